/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * uop: one step of a decoded block, and how its handler passes control on.
 *
 * A handler is called with the vCPU, its uop and the arithmetic flags (flags.h). Ending, it
 * tail-calls the next uop's handler (NEXT), jumps to another block (block_enter), or returns
 * NULL to the run loop with rip and fl stored. Where sibling calls are no option (-O0,
 * sanitizers), SCPU_CALL_LOOP makes handlers return the next uop to a loop instead.
 *
 * A handler does everything that can fault before it changes state; then raise_fault(c, u, fl)
 * makes the fault precise, for the uop knows its instruction's address. What misses the TLB
 * goes to a cold twin of the handler (`_s`), so that the hot one saves no registers.
 */
#ifndef RUCHE_CORE_X86_UOP_H
#define RUCHE_CORE_X86_UOP_H

#include "core/x86/flags.h"
#include "core/x86/mmu.h"
#include "core/x86/scpu.h"

#include <stddef.h>

#if !defined(__OPTIMIZE__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||         \
    defined(__clang__)
#define SCPU_CALL_LOOP 1
#endif

typedef const struct uop *uop_fn(struct scpu *c, const struct uop *u, uint64_t fl);

struct uop {
    uop_fn *f;
    uint8_t d, s, b, x; /* byte offsets into struct scpu: destination, source, base, index */
    uint8_t scale;      /* of the index, 0-3 */
    uint8_t seg;        /* of the memory operand */
    uint8_t len;        /* of the instruction */
    uint8_t idx;        /* of this uop in its block */
    int32_t disp;
    uint16_t off;       /* of the instruction in its page */
    uint16_t aux;
    uint64_t imm;
};
_Static_assert(sizeof(struct uop) == 32, "two uops per cache line");

enum { BLOCK_MAX_UOPS = 160, BLOCK_MAX_INSNS = 64 };

enum {
    BLOCK_SPAN = 1 << 0, /* its one instruction crosses a page end; its first uop, h_span, looks whether that is still so */
};

struct block {
    uint64_t lin, mode; /* key: linear address, scpu.mode; lin is ~0 once dead */
    uint64_t pa;
    uint8_t *hpage;     /* host address of its page */
    struct block *hash_next;
    struct block *page_next[2]; /* list of its page; [1]: of the second page of a SPAN block */
    uint16_t nuops, bytes;
    uint8_t ninsns, flags;
    uint16_t rsv;
    uint64_t lin0;      /* lin as it was, also when dead */
    struct block *successor; /* of a dead block: what replaced it */
    uint64_t pa2;       /* of the second page of a SPAN block */
    uint64_t lin2;      /* likewise */
    uint8_t *hpage2;    /* likewise */
    uint64_t rsv2[3];
    struct uop u[];
};
_Static_assert(sizeof(struct block) % sizeof(struct uop) == 0, "uops follow");

static inline struct block *uop_block(const struct uop *u)
{
    return (struct block *)((char *)(uintptr_t)(u - u->idx) - offsetof(struct block, u));
}

/* Instruction pointer of the uop's instruction / of the one after it. */
static inline uint64_t uop_rip(const struct uop *u)
{
    const struct block *b = uop_block(u);
    uint64_t ip = (b->lin0 & ~0xfffull) + u->off - (b->mode >> 32);

    return (b->mode & MODE_CSIZE) == MODE_CS64 ? ip : (uint32_t)ip;
}

static inline uint64_t uop_next_rip(const struct uop *u)
{
    uint64_t ip = uop_rip(u) + u->len;

    switch (uop_block(u)->mode & MODE_CSIZE) {
    case MODE_CS64:
        return ip;
    case MODE_CS32:
        return (uint32_t)ip;
    default:
        return (uint16_t)ip;
    }
}

#define HANDLER(name) const struct uop *name(struct scpu *c, const struct uop *u, uint64_t fl)
#define HANDLER_S(name)                                                                            \
    static __attribute__((noinline, cold)) const struct uop *name(                                 \
        struct scpu *c, const struct uop *u, uint64_t fl, uint64_t va)

#ifdef SCPU_CALL_LOOP
#define GOTO_UOP(n)                                                                                \
    do {                                                                                           \
        c->fl = fl;                                                                                \
        return (n);                                                                                \
    } while (0)
#else
#define GOTO_UOP(n) return (n)->f(c, (n), fl)
#endif

#define NEXT GOTO_UOP(u + 1)

/* Back to the run loop; c->rip is set. */
#define LEAVE                                                                                      \
    do {                                                                                           \
        c->fl = fl;                                                                                \
        return NULL;                                                                               \
    } while (0)

/* The exception in c->exc belongs to this instruction. */
HANDLER(raise_fault);
/* Back to the run loop at the next instruction. */
HANDLER(leave_next);

/* After a store: goes on, or leaves because it hit translated code. */
#define NEXT_STORED(r)                                                                             \
    do {                                                                                           \
        if (__builtin_expect((r) != 0, 0))                                                         \
            return leave_next(c, u, fl);                                                           \
        NEXT;                                                                                      \
    } while (0)

#define R8(ofs) SCPU_REG(c, ofs, uint8_t)
#define R16(ofs) SCPU_REG(c, ofs, uint16_t)
#define R32(ofs) SCPU_REG(c, ofs, uint32_t)
#define R64(ofs) SCPU_REG(c, ofs, uint64_t)

/* Destination writes: 32-bit ones clear the upper half. */
#define SET8(ofs, v) (R8(ofs) = (uint8_t)(v))
#define SET16(ofs, v) (R16(ofs) = (uint16_t)(v))
#define SET32(ofs, v) (R64(ofs) = (uint32_t)(v))
#define SET64(ofs, v) (R64(ofs) = (v))

#define EA_B (R64(u->b) + (uint64_t)(int64_t)u->disp)
#define EA_X (R64(u->b) + (R64(u->x) << u->scale) + (uint64_t)(int64_t)u->disp)

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Host pointer to `n` bytes at `va` for reading/writing, or tail call of the cold twin. */
#define PROBE(table, n, slow)                                                                      \
    const struct tlbe *te_ = &c->tlb->table[(va >> 12) & (TLB_SLOTS - 1)];                         \
    uint64_t po_ = va ^ __atomic_load_n(&te_->tag, __ATOMIC_RELAXED);                              \
    if (unlikely(po_ > 4096 - (n)))                                                                \
        return slow(c, u, fl, va);                                                                 \
    uint8_t *p = te_->host + po_
#define PROBE_R(n, slow) PROBE(r, n, slow)
#define PROBE_W(n, slow) PROBE(w, n, slow)

#endif
