/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * mmu: linear address to host memory, for data and for instruction fetch.
 *
 * Each view (user, kernel, kernel with EFLAGS.AC) has three direct-mapped tables. A page is in
 * the R/W/X table of a view only if that access needs no further thought there: RAM, permitted,
 * accessed and (W) dirty bits set, no translated code (W). All else takes the slow path.
 * A probe is one compare: `va ^ tag` is above 4096 - n for another page, a crossing access, an
 * empty slot. Page walks follow SDM 3A chapter 4: 32-bit, PAE and 4-level paging.
 *
 * Threads: the vCPU's own; others may clear the tags of W entries (code.c).
 */
#ifndef RUCHE_CORE_X86_MMU_H
#define RUCHE_CORE_X86_MMU_H

#include "core/x86/scpu.h"

#include <stddef.h>

enum { TLB_SLOTS = 2048, TLB_LOG = 512, TLB_LARGE_BITS = 4096 };
enum { MMU_PHYS_BITS = 46 };

struct tlbe {
    uint64_t tag;
    uint8_t *host;
};

/* Indices filled since the last flush, so that a flush costs what was used. */
struct tlb_log {
    unsigned n; /* above TLB_LOG: overflown */
    uint16_t idx[TLB_LOG];
};

struct tlb {
    struct tlbe r[TLB_SLOTS], w[TLB_SLOTS], x[TLB_SLOTS];
    struct tlb_log local, global; /* non-global and global pages */
    uint64_t large[TLB_LARGE_BITS / 64]; /* by 2 MiB region: filled from a large page */
    bool huge;                           /* filled from a 1 GiB page */
};

enum mmu_access { MMU_R, MMU_W, MMU_X };

struct tlb *tlb_new(void);
void tlb_free(struct tlb *t);
void tlb_flush_all(struct scpu *c);
void tlb_flush_local(struct scpu *c);
void tlb_flush_page(struct scpu *c, uint64_t va);
/* Removes the W entries of one page from all views; any thread. */
void tlb_revoke_write(struct scpu *c, const uint8_t *hpage);

/* 0 and the physical address, or -1 with c->exc filled. Sets A and D bits. */
int mmu_translate(struct scpu *c, enum tlb_view view, uint64_t va, enum mmu_access acc, uint64_t *pa);

/* What a walk gives without faults and side effects, for debuggers. False: not mapped. */
bool mmu_debug_translate(struct scpu *c, uint64_t va, uint64_t *pa);

/* `n` bytes in the current view. 0; -1: fault queued, nothing written; mmu_write: 1: done, and
 * it hit translated code. */
int mmu_read(struct scpu *c, uint64_t va, void *buf, unsigned n);
int mmu_write(struct scpu *c, uint64_t va, const void *buf, unsigned n);
/* Checks that mmu_write would not fault. */
int mmu_check_write(struct scpu *c, uint64_t va, unsigned n);
int mmu_check_read(struct scpu *c, uint64_t va, unsigned n);

/* The same as supervisor whatever the CPL (descriptor tables, TSS, interrupt frames). */
int mmu_read_sys(struct scpu *c, uint64_t va, void *buf, unsigned n);
int mmu_write_sys(struct scpu *c, uint64_t va, const void *buf, unsigned n);
int mmu_check_write_sys(struct scpu *c, uint64_t va, unsigned n);

/* Host address of the page that holds code at linear address `lin`, and its physical address;
 * NULL with a fault queued. Memory that is no RAM fetches as all-ones. */
uint8_t *mmu_fetch_page(struct scpu *c, uint64_t lin, uint64_t *pa);

/* Physical memory: RAM, local APIC or device. phys_write: 1 if it hit translated code. */
void phys_read(struct scpu *c, uint64_t pa, void *buf, unsigned n);
int phys_write(struct scpu *c, uint64_t pa, const void *buf, unsigned n);

/* Slow halves of handlers; 1 to 8 bytes. */
struct mmu_value {
    uint64_t val;
    uint64_t bad; /* a fault is queued */
};
struct mmu_value mmu_load(struct scpu *c, uint64_t va, unsigned n);
int mmu_store(struct scpu *c, uint64_t va, unsigned n, uint64_t v);

/* Read-modify-write of 1 to 16 bytes: host memory, or a bounce buffer that mmu_rmw_end writes
 * back (its result as of mmu_write). NULL: fault. */
void *mmu_rmw_begin(struct scpu *c, uint64_t va, unsigned n);
int mmu_rmw_end(struct scpu *c);

/* Host pointer for reading/writing all of [va, va+n), or NULL without a fault queued if that
 * needs the slow path (crossing, device, code page). Faults are queued: check c->exc.kind. */
uint8_t *mmu_host_r(struct scpu *c, uint64_t va, unsigned n);
uint8_t *mmu_host_w(struct scpu *c, uint64_t va, unsigned n);

static inline bool mmu_canonical(uint64_t va)
{
    return (uint64_t)((int64_t)va >> 47) + 1 <= 1;
}

static inline uint8_t *tlb_probe(const struct tlbe *table, uint64_t va, unsigned n)
{
    const struct tlbe *e = &table[(va >> 12) & (TLB_SLOTS - 1)];
    uint64_t o = va ^ __atomic_load_n(&e->tag, __ATOMIC_RELAXED);

    return o <= 4096 - n ? e->host + o : NULL;
}

#endif
