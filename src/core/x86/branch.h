/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * branch: how handlers go from block to block. Private to h_branch.c and h_fused.c.
 *
 * A direct jump starts unlinked: it leaves to the run loop, which finds the target and turns the
 * uop into its `_linked` form (target on the same page) or `_cross` form (another page: the
 * fetch TLB must still say that it is there). imm then holds the block. Every way from block to
 * block looks at exitreq. u->x counts instructions.
 */
#ifndef RUCHE_CORE_X86_BRANCH_H
#define RUCHE_CORE_X86_BRANCH_H

#include "core/x86/block.h"
#include "core/x86/handlers.h"

static inline bool exit_wanted(const struct scpu *c)
{
    return unlikely(atomic_load_explicit(&c->exitreq, memory_order_relaxed) != 0);
}

static inline const struct block *linked(const struct uop *u)
{
    return (const struct block *)(uintptr_t)__atomic_load_n(&u->imm, __ATOMIC_RELAXED);
}

/* Is the block's page still fetched from where the block was decoded? */
static inline bool still_mapped(const struct scpu *c, const struct block *b)
{
    return likely(fetches_from(c, b->lin0 & ~0xfffull, b->hpage));
}

/* Target of a relative branch; u->aux: operand size, 0 for a fall-through. */
static inline uint64_t branch_target(const struct uop *u)
{
    uint64_t ip = uop_rip(u) + u->len + (uint64_t)(int64_t)u->disp;

    if (u->aux == 2)
        return (uint16_t)ip;
    return (uop_block(u)->mode & MODE_CSIZE) == MODE_CS64 ? ip : (uint32_t)ip;
}

/* To the run loop, with or without a wish to be linked. */
HANDLER(leave_to_target);
HANDLER(leave_to_link);

#define ENTER(b)                                                                                   \
    do {                                                                                           \
        const struct block *b_ = (b);                                                              \
        GOTO_UOP(&b_->u[0]);                                                                       \
    } while (0)

#define JUMP_LINKED                                                                                \
    do {                                                                                           \
        if (exit_wanted(c))                                                                        \
            return leave_to_target(c, u, fl);                                                      \
        ENTER(linked(u));                                                                          \
    } while (0)

#define JUMP_CROSS                                                                                 \
    do {                                                                                           \
        const struct block *t_ = linked(u);                                                        \
        if (exit_wanted(c) || !still_mapped(c, t_))                                                \
            return leave_to_target(c, u, fl);                                                      \
        ENTER(t_);                                                                                 \
    } while (0)

#define COUNT_INSNS scpu_count(c, insns, u->x)

/* To an instruction pointer known only now. */
#define JUMP_IP(ip_)                                                                               \
    do {                                                                                           \
        uint64_t to_ = (ip_);                                                                      \
        uint64_t lin_ = scpu_code64(c) ? to_ : (uint32_t)(to_ + (c->mode >> 32));                  \
        const struct block *t_ = c->jc[jc_slot(lin_)];                                             \
        if (unlikely(t_->lin != lin_ || t_->mode != c->mode) || !still_mapped(c, t_) ||            \
            exit_wanted(c)) {                                                                      \
            c->rip = to_;                                                                          \
            LEAVE;                                                                                 \
        }                                                                                          \
        ENTER(t_);                                                                                 \
    } while (0)

#endif
