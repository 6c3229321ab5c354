/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * svm: what the software vCPUs of one guest share: RAM, page descriptors, decoded blocks.
 *
 * Locks, in order: `stop_lock` (who runs, stop-the-world), `code_lock` (blocks, page lists,
 * clearing of code_lines). Blocks are found without a lock, published with a release store,
 * and reclaimed only while all vCPUs are stopped.
 */
#ifndef RUCHE_CORE_X86_SVM_H
#define RUCHE_CORE_X86_SVM_H

#include "core/irqchip.h"
#include "core/x86/scpu.h"

#include <pthread.h>

struct gmem;
struct vclock;

enum { SVM_MAX_VCPUS = 64, CODE_BUCKETS = 1 << 15 };
enum { CODE_POOL_BYTES = 48 << 20 };

/* Of one guest page. A bit of code_lines is set before the code of that 64-byte line is read
 * for decoding; its partner is the check after each store of phys_write. */
struct page_desc {
    _Atomic uint64_t code_lines;
    _Atomic uint64_t w_mapped; /* vCPUs that may have the page in a W table */
    struct block *blocks;      /* protected by code_lock */
};

struct svm {
    struct gmem *mem;
    struct vclock *clock;
    struct irqchip chip;
    uint8_t *lo, *hi;
    uint64_t lo_bytes, hi_bytes;
    struct page_desc *pages;
    uint64_t npages;
    uint32_t fpu_features; /* enum fpu_feature: what the host has and CPUID shows */
    bool host_rdrand, host_rdseed, host_adx;
    uint8_t *ones; /* a page of 0xff, fetched where there is no RAM */

    pthread_mutex_t code_lock;
    _Atomic(struct block *) *buckets;
    uint8_t *pool;
    size_t pool_used;
    _Atomic uint64_t dropped; /* blocks; written under the lock, read by anyone */

    pthread_mutex_t stop_lock;
    pthread_cond_t stop_cond;
    bool stop_wanted;
    unsigned running; /* vCPUs between svm_enter and svm_exit that are not parked */

    pthread_mutex_t split_lock; /* LOCKed accesses that cannot be one host instruction */

    unsigned nvcpus;
    struct scpu *vcpu[SVM_MAX_VCPUS]; /* NULL: not created or freed; protected by stop_lock */
};

/* Host address of the page of RAM that holds `pa`, or NULL; its descriptor. */
static inline uint8_t *svm_ram(const struct svm *vm, uint64_t pa)
{
    if (pa < vm->lo_bytes)
        return vm->lo + pa;
    if (pa - 0x100000000ull < vm->hi_bytes)
        return vm->hi + (pa - 0x100000000ull);
    return NULL;
}

static inline struct page_desc *svm_page(const struct svm *vm, uint64_t pa)
{
    if (pa < vm->lo_bytes)
        return &vm->pages[pa >> 12];
    return &vm->pages[(vm->lo_bytes + (pa - 0x100000000ull)) >> 12];
}

/* code.c */
int code_init(struct svm *vm);
void code_fini(struct svm *vm);
struct block *code_find(struct svm *vm, uint64_t lin, uint64_t mode, uint64_t pa);
/* Decodes the block at c->rip and publishes it. NULL: fault queued, or the pool was flushed
 * (c->exc.kind tells). */
struct block *code_build(struct scpu *c, uint64_t lin, uint64_t mode, uint8_t *hpage, uint64_t pa);
/* Is the second page of a BLOCK_SPAN block still the one it was decoded from? False with or without
 * a fault queued. */
bool code_span_valid(struct scpu *c, struct block *b);
/* Memory was written: drops blocks there. True if any. Any thread. */
bool code_invalidate(struct svm *vm, uint64_t pa, uint64_t len);
/* All vCPUs stopped (or none running): forgets every block. */
void code_flush_stopped(struct svm *vm);

/* Counts a vCPU thread in and out of guest code; waits while the world is stopped. */
void svm_enter(struct svm *vm);
void svm_exit(struct svm *vm);
void svm_park(struct svm *vm);  /* EXITREQ_STOP was seen */
/* Stops all other vCPUs. False: somebody else did meanwhile; look again. */
bool svm_stop_world(struct scpu *c);
void svm_resume_world(struct scpu *c);

#endif
