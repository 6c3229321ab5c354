/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * debug: breakpoints of DR0-DR3 (SDM 3B chapter 18). While any is enabled, blocks are of one
 * instruction and pages with a watched address are in no TLB table, so that every access to
 * them is seen here; without one this costs nothing.
 */
#ifndef RUCHE_CORE_X86_DEBUG_H
#define RUCHE_CORE_X86_DEBUG_H

#include "core/x86/scpu.h"

enum { DBG_EXEC = 1, DBG_DATA = 2, DBG_IO = 4 };
enum { DR6_HITS = 15, DR6_BD = 1 << 13, DR6_BS = 1 << 14, DR6_BT = 1 << 15, DR7_LOCAL = 0x155, DR7_GD = 1 << 13 };

/* After a change of DR0-DR3, DR7 or CR4.DE. */
void debug_update(struct scpu *c);

/* What a #DB is about, in bits of DR6: 0-3, which breakpoints, are of this one; the others are only ever set. */
static inline void debug_note(struct scpu *c, unsigned causes)
{
    c->dr[6] = (c->dr[6] & ~(uint64_t)DR6_HITS) | causes;
}

bool debug_watches_page(const struct scpu *c, uint64_t va);

/* Note hits in c->dbg_hits: #DB after the instruction. */
void debug_data_access(struct scpu *c, uint64_t va, unsigned n, bool write);
void debug_io_access(struct scpu *c, uint16_t port, unsigned n);

/* DR6 bits of execution breakpoints at a linear address. */
unsigned debug_exec_hits(const struct scpu *c, uint64_t lin);

#endif
