/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * h_branch: the ends of blocks: jumps, calls, returns, loops; see branch.h.
 */
#include "core/x86/branch.h"
#include "core/x86/seg.h"

#define RSP c->gpr[X86_RSP]

HANDLER(leave_to_target)
{
    c->rip = branch_target(u);
    c->link_from = NULL;
    LEAVE;
}

HANDLER(leave_to_link)
{
    c->rip = branch_target(u);
    c->link_from = (struct uop *)(uintptr_t)u;
    LEAVE;
}

/* Before the last uop of a block that does not end by a branch. */
HANDLER(h_count)
{
    COUNT_INSNS;
    NEXT;
}

HANDLER(h_jmp)
{
    COUNT_INSNS;
    return leave_to_link(c, u, fl);
}

HANDLER(h_jmp_linked)
{
    COUNT_INSNS;
    JUMP_LINKED;
}

HANDLER(h_jmp_cross)
{
    COUNT_INSNS;
    JUMP_CROSS;
}

#define H_JCC(cc)                                                                                  \
    static HANDLER(jcc##cc)                                                                        \
    {                                                                                              \
        if (!fl_cond(cc, fl))                                                                      \
            NEXT;                                                                                  \
        COUNT_INSNS;                                                                               \
        return leave_to_link(c, u, fl);                                                            \
    }                                                                                              \
    static HANDLER(jcc##cc##_linked)                                                               \
    {                                                                                              \
        if (!fl_cond(cc, fl))                                                                      \
            NEXT;                                                                                  \
        COUNT_INSNS;                                                                               \
        JUMP_LINKED;                                                                               \
    }                                                                                              \
    static HANDLER(jcc##cc##_cross)                                                                \
    {                                                                                              \
        if (!fl_cond(cc, fl))                                                                      \
            NEXT;                                                                                  \
        COUNT_INSNS;                                                                               \
        JUMP_CROSS;                                                                                \
    }
#define ALL_CC(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
ALL_CC(H_JCC)
#define ROW(cc) jcc##cc,
#define ROW_L(cc) jcc##cc##_linked,
#define ROW_X(cc) jcc##cc##_cross,
uop_fn *const h_jcc[16] = {ALL_CC(ROW)};
uop_fn *const h_jcc_linked[16] = {ALL_CC(ROW_L)};
uop_fn *const h_jcc_cross[16] = {ALL_CC(ROW_X)};

/* ---- CALL ---- */

static inline uint64_t next64(const struct uop *u)
{
    return (uop_block(u)->lin0 & ~0xfffull) + u->off + u->len;
}

/* A store that hits code needs no special way out: the jump looks its target up. */
HANDLER_S(call64_s)
{
    if (mmu_store(c, va, 8, next64(u)) < 0)
        return raise_fault(c, u, fl);
    RSP = va;
    COUNT_INSNS;
    return leave_to_target(c, u, fl);
}

#define H_CALL64(name, JUMP)                                                                       \
    HANDLER(name)                                                                                  \
    {                                                                                              \
        uint64_t va = RSP - 8;                                                                     \
        PROBE_W(8, call64_s);                                                                      \
        *(volatile uint64_t *)p = next64(u);                                                       \
        RSP = va;                                                                                  \
        COUNT_INSNS;                                                                               \
        JUMP;                                                                                      \
    }
H_CALL64(h_call64, return leave_to_link(c, u, fl))
H_CALL64(h_call64_linked, JUMP_LINKED)
H_CALL64(h_call64_cross, JUMP_CROSS)

HANDLER(h_call)
{
    if (stack_push(c, uop_next_rip(u), u->aux) < 0)
        return raise_fault(c, u, fl);
    COUNT_INSNS;
    return leave_to_target(c, u, fl);
}

static uint64_t mask_ip(uint64_t ip, unsigned bytes)
{
    return bytes == 2 ? (uint16_t)ip : bytes == 4 ? (uint32_t)ip : ip;
}

static bool bad_ip(struct scpu *c, uint64_t ip)
{
    if (scpu_code64(c) ? mmu_canonical(ip) : ip <= c->seg[X86_CS].limit)
        return false;
    exc_raise_err(c, VEC_GP, 0);
    return true;
}

HANDLER(h_jmp_reg)
{
    uint64_t ip = mask_ip(R64(u->s), u->aux);

    if (unlikely(bad_ip(c, ip)))
        return raise_fault(c, u, fl);
    COUNT_INSNS;
    JUMP_IP(ip);
}

HANDLER(h_call_reg)
{
    uint64_t ip = mask_ip(R64(u->s), u->aux);

    if (unlikely(bad_ip(c, ip))) { /* a fault of the stack comes first */
        c->exc.kind = EXC_NONE;
        if (stack_check_push(c, u->aux) == 0)
            bad_ip(c, ip);
        return raise_fault(c, u, fl);
    }
    if (stack_push(c, uop_next_rip(u), u->aux) < 0)
        return raise_fault(c, u, fl);
    COUNT_INSNS;
    JUMP_IP(ip);
}

/* ---- RET ---- */

HANDLER_S(ret64_s)
{
    struct mmu_value mv = mmu_load(c, va, 8);

    if (mv.bad || bad_ip(c, mv.val))
        return raise_fault(c, u, fl);
    RSP = va + 8 + u->imm;
    c->rip = mv.val;
    COUNT_INSNS;
    LEAVE;
}

HANDLER(h_ret64)
{
    uint64_t va = RSP, ip;

    PROBE_R(8, ret64_s);
    ip = *(volatile uint64_t *)p;
    if (unlikely(!mmu_canonical(ip)))
        return ret64_s(c, u, fl, va);
    RSP = va + 8 + u->imm;
    COUNT_INSNS;
    JUMP_IP(ip);
}

HANDLER(h_ret)
{
    uint64_t ip;

    if (stack_peek(c, 0, &ip, u->aux) < 0 || bad_ip(c, ip))
        return raise_fault(c, u, fl);
    stack_set_rsp(c, RSP + u->aux + u->imm);
    COUNT_INSNS;
    JUMP_IP(ip);
}

/* ---- LOOPcc, JrCXZ ---- */

static bool count_down(struct scpu *c, unsigned bytes, bool *nonzero)
{
    uint64_t *rcx = &c->gpr[X86_RCX], v = *rcx - 1;

    if (bytes == 2)
        *(uint16_t *)rcx = (uint16_t)v;
    else
        *rcx = bytes == 4 ? (uint32_t)v : v;
    *nonzero = mask_ip(*rcx, bytes) != 0;
    return true;
}

#define H_LOOP(name, COND)                                                                         \
    static HANDLER(name)                                                                           \
    {                                                                                              \
        bool more;                                                                                 \
        count_down(c, u->s, &more);                                                              \
        if (!(COND))                                                                               \
            NEXT;                                                                                  \
        COUNT_INSNS;                                                                               \
        return leave_to_target(c, u, fl);                                                          \
    }
H_LOOP(loopne, more && !(fl & FL_ZF))
H_LOOP(loope, more && fl & FL_ZF)
H_LOOP(loop_, more)

static HANDLER(jcxz)
{
    if (mask_ip(c->gpr[X86_RCX], u->s) != 0)
        NEXT;
    COUNT_INSNS;
    return leave_to_target(c, u, fl);
}
uop_fn *const h_loop[4] = {loopne, loope, loop_, jcxz};

/* ---- an instruction on two pages ---- */

HANDLER(h_span)
{
    const struct block *b = uop_block(u);

    if (likely(fetches_from(c, b->lin2, b->hpage2)))
        NEXT;
    c->rip = uop_rip(u);
    LEAVE;
}

/* ---- dropped blocks ---- */

/* The block that replaced this one is remembered by it, for links that still come here. */
HANDLER(h_dead)
{
    struct block *b = uop_block(u);
    struct block *n = __atomic_load_n(&b->successor, __ATOMIC_ACQUIRE);

    if (n && n->lin == b->lin0 && !exit_wanted(c))
        ENTER(n);
    c->rip = uop_rip(u);
    c->link_dead = b;
    LEAVE;
}
