/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * gmem: the RAM of one guest, and the only way from a guest physical address to memory.
 *
 * Private memory inside a PROT_NONE reservation with at least 1 MiB of guard on both sides, in
 * huge pages where the host has them, kept out of core dumps and children. The guest sees it in two regions: [0, min(size, 3 GiB))
 * and, for what is above, [4 GiB, ...): between them lies the hole for devices.
 *
 * Threads: the map never changes while a guest lives, so any thread may read and write
 * guest memory at any time; what it finds there may change under its eyes. Copy in
 * (gmem_read), check the copy, use the copy. Never check guest memory in place.
 */
#ifndef RUCHE_CORE_MEM_H
#define RUCHE_CORE_MEM_H

#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GMEM_PAGE_BYTES 4096ull
#define GMEM_HOLE_START 0xc0000000ull /* RAM below this, devices from here to 4 GiB */
#define GMEM_HIGH_START 0x100000000ull
#define GMEM_MIN_BYTES (1ull << 20)
#define GMEM_MAX_BYTES (64ull << 30)

struct gmem;

struct gmem_region {
    uint64_t gpa;
    uint64_t size_bytes;
    void *host;
};

/* `size_bytes` is rounded up to a page. NULL and `e` filled: too small/large, no memory. */
struct gmem *gmem_new(const char *name, uint64_t size_bytes, struct err *e);
void gmem_free(struct gmem *m);

uint64_t gmem_size_bytes(const struct gmem *m);

/* Fills at most 2 regions, returns how many. For the accelerator and the e820 map. */
unsigned gmem_regions(const struct gmem *m, struct gmem_region out[2]);

/* Host address of guest [gpa, gpa+len), or NULL unless all of it is RAM in one region and len > 0. */
void *gmem_ptr(struct gmem *m, uint64_t gpa, uint64_t len);

/* Copy out of / into guest memory. 0, or -EFAULT if not wholly RAM (then nothing is copied).
 * gmem_write also tells the dirty hook. */
int gmem_read(struct gmem *m, uint64_t gpa, void *buf, size_t len) RUCHE_MUST_CHECK;
int gmem_write(struct gmem *m, uint64_t gpa, const void *buf, size_t len) RUCHE_MUST_CHECK;

/* Who wrote through gmem_ptr says so here: the software CPU keeps translated code of these pages. */
void gmem_dirty(struct gmem *m, uint64_t gpa, uint64_t len);

/* One listener, set before the guest runs; called from any thread that writes. */
void gmem_set_dirty_hook(struct gmem *m, void (*fn)(void *arg, uint64_t gpa, uint64_t len), void *arg);

/* Gives whole pages inside [gpa, gpa+len) back to the host; they read as zero. 0 or -errno. */
int gmem_discard(struct gmem *m, uint64_t gpa, uint64_t len);

/* All pages back to the host, all zero. */
void gmem_clear(struct gmem *m);

/* Bytes that the host holds for this guest now. Costs some ms per 10 GiB. */
uint64_t gmem_resident_bytes(const struct gmem *m);

/* Lets the host merge equal pages (KSM), of huge pages none. Before the guest runs. -errno if this
 * kernel cannot; nothing has changed then. */
int gmem_merge(struct gmem *m);

/* Bytes of pages that KSM has merged with others; UINT64_MAX if the kernel does not tell (it does
 * from 6.7 on). Without gmem_merge 0: private memory is nobody else's. Walks the page tables. */
uint64_t gmem_shared_bytes(const struct gmem *m);

/* True if the host address lies in this guest's reservation, guards included (crash handler). */
bool gmem_owns(const struct gmem *m, const void *host);

#endif
