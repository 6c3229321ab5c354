/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * block: the cache of decoded blocks, as branch handlers and the run loop use it.
 */
#ifndef RUCHE_CORE_X86_BLOCK_H
#define RUCHE_CORE_X86_BLOCK_H

#include "core/x86/uop.h"

static inline unsigned jc_slot(uint64_t lin)
{
    return (unsigned)(lin ^ lin >> 12) & (JC_SLOTS - 1);
}

/* Does the fetch TLB say that the code page `lin` is at `host`? False: it may be there all the same. */
static inline bool fetches_from(const struct scpu *c, uint64_t lin, const uint8_t *host)
{
    const struct tlbe *e = &c->tlb->x[(lin >> 12) & (TLB_SLOTS - 1)];

    return e->tag == lin && e->host == host;
}

/* What an empty slot of scpu.jc points to: matches no address. */
extern const struct block block_none;

/* Fills `u` (room for BLOCK_MAX_UOPS) with the uops of the code at linear address `lin`, of
 * which `avail` bytes are at `code` up to the end of its page, and `code2` are those of the next
 * page or NULL. Returns the number of uops; *bytes and *ninsns of the block. 0: the first
 * instruction goes on behind `avail` and code2 is NULL. */
unsigned translate_block(struct scpu *c, uint64_t lin, uint64_t mode, const uint8_t *code,
                         unsigned avail, const uint8_t *code2, struct uop *u, unsigned *bytes,
                         unsigned *ninsns);

/* Turns an unlinked branch uop into one that goes to `to`. */
void block_link(struct svm *vm, struct uop *from, struct block *to);

#endif
