/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * h_stack: PUSH, POP and their relatives. The 64-bit forms are on the fast path; the others
 * go through stack_push and stack_pop, which know all stack widths.
 */
#include "core/x86/handlers.h"
#include "core/x86/seg.h"

#define RSP c->gpr[X86_RSP]
#define RBP c->gpr[X86_RBP]

HANDLER_S(push64_s)
{
    int r = mmu_store(c, va, 8, R64(u->s));

    if (r < 0)
        return raise_fault(c, u, fl);
    RSP = va;
    NEXT_STORED(r);
}

HANDLER(h_push64)
{
    uint64_t va = RSP - 8;

    PROBE_W(8, push64_s);
    *(volatile uint64_t *)p = R64(u->s);
    RSP = va;
    NEXT;
}

HANDLER_S(push64i_s)
{
    int r = mmu_store(c, va, 8, u->imm);

    if (r < 0)
        return raise_fault(c, u, fl);
    RSP = va;
    NEXT_STORED(r);
}

HANDLER(h_push64i)
{
    uint64_t va = RSP - 8;

    PROBE_W(8, push64i_s);
    *(volatile uint64_t *)p = u->imm;
    RSP = va;
    NEXT;
}

HANDLER_S(pop64_s)
{
    struct mmu_value mv = mmu_load(c, va, 8);

    if (mv.bad)
        return raise_fault(c, u, fl);
    RSP = va + 8;
    R64(u->d) = mv.val;
    NEXT;
}

HANDLER(h_pop64)
{
    uint64_t va = RSP;

    PROBE_R(8, pop64_s);
    RSP = va + 8;
    R64(u->d) = *(volatile uint64_t *)p;
    NEXT;
}

/* Writes `bytes` of v to register d as an instruction of that size does. */
static void set_reg(struct scpu *c, unsigned d, uint64_t v, unsigned bytes)
{
    if (bytes == 2)
        SET16(d, v);
    else if (bytes == 4)
        SET32(d, v);
    else
        SET64(d, v);
}

HANDLER(h_push)
{
    int r = stack_push(c, R64(u->s), u->aux);

    if (r < 0)
        return raise_fault(c, u, fl);
    NEXT_STORED(r);
}

HANDLER(h_pushi)
{
    int r = stack_push(c, u->imm, u->aux);

    if (r < 0)
        return raise_fault(c, u, fl);
    NEXT_STORED(r);
}

HANDLER(h_pop)
{
    uint64_t v;

    if (stack_pop(c, &v, u->aux) < 0)
        return raise_fault(c, u, fl);
    set_reg(c, u->d, v, u->aux);
    NEXT;
}

/* POP to memory: rSP is incremented before it is used as a base. */
HANDLER(h_popm)
{
    uint64_t v, rsp = RSP, lin, off, mask = u->scale >> 4 == 2 ? 0xffff : u->scale >> 4 == 4 ? 0xffffffff : ~0ull;
    int r;

    if (stack_pop(c, &v, u->aux) < 0)
        return raise_fault(c, u, fl);
    off = (R64(u->b) + (R64(u->x) << (u->scale & 3)) + (uint64_t)(int64_t)u->disp + u->imm) & mask;
    if (seg_linear(c, u->seg, off, u->aux, true, &lin) < 0 || (r = mmu_store(c, lin, u->aux, v)) < 0) {
        RSP = rsp;
        return raise_fault(c, u, fl);
    }
    NEXT_STORED(r);
}

HANDLER(h_pusha)
{
    uint64_t rsp = RSP, lin;
    int r = 0;

    /* The whole frame must be writable before anything is stored. */
    for (unsigned i = 1; i <= 8; i++) {
        if (seg_linear(c, X86_SS, (rsp - i * u->aux) & stack_mask(c), u->aux, true, &lin) < 0 ||
            mmu_check_write(c, lin, u->aux) < 0)
            return raise_fault(c, u, fl);
    }
    for (unsigned i = 0; i < 8; i++)
        r |= stack_push(c, i == X86_RSP ? rsp : c->gpr[i], u->aux);
    if (r < 0) {
        RSP = rsp;
        return raise_fault(c, u, fl);
    }
    NEXT_STORED(r);
}

HANDLER(h_popa)
{
    uint64_t v[8];

    for (unsigned i = 0; i < 8; i++) {
        if (stack_peek(c, i * u->aux, &v[7 - i], u->aux) < 0)
            return raise_fault(c, u, fl);
    }
    for (unsigned i = 0; i < 8; i++) {
        if (i != X86_RSP)
            set_reg(c, i * 8, v[i], u->aux);
    }
    stack_set_rsp(c, RSP + 8u * u->aux);
    NEXT;
}

static bool vm86_iopl_fault(struct scpu *c)
{
    if (!(c->rflags_sys & FLAG_VM) || (c->rflags_sys & FLAG_IOPL) == FLAG_IOPL)
        return false;
    exc_raise_err(c, VEC_GP, 0);
    return true;
}

HANDLER(h_pushf)
{
    int r;

    if (vm86_iopl_fault(c))
        return raise_fault(c, u, fl);
    c->fl = fl;
    r = stack_push(c, scpu_rflags(c) & ~(uint64_t)(FLAG_VM | FLAG_RF), u->aux);
    if (r < 0)
        return raise_fault(c, u, fl);
    NEXT_STORED(r);
}

/* What POPF may change depends on CPL and IOPL (SDM 2 POPF, table 4-16). Ends its block. */
HANDLER(h_popf)
{
    uint64_t v, mask = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT, old = c->rflags_sys;
    unsigned iopl = (old & FLAG_IOPL) >> 12;

    if (vm86_iopl_fault(c) || stack_pop(c, &v, u->aux) < 0)
        return raise_fault(c, u, fl);
    if (u->aux > 2)
        mask |= FLAG_AC | FLAG_ID;
    if (c->cpl == 0)
        mask |= FLAG_IOPL;
    if (c->cpl <= iopl)
        mask |= FLAG_IF;
    c->fl = fl;
    v = (scpu_rflags(c) & ~(mask | FLAG_RF)) | (v & mask);
    scpu_set_rflags(c, v);
    c->rip = uop_next_rip(u);
    return NULL;
}

HANDLER(h_enter)
{
    unsigned size = u->imm & 0xffff, level = u->aux >> 8 & 31, bytes = u->aux & 15;
    uint64_t rsp = RSP, rbp = RBP, frame, mask = stack_mask(c), lin, v;

    if (stack_push(c, rbp, bytes) < 0)
        goto fault;
    frame = RSP;
    for (unsigned i = 1; i < level; i++) {
        uint64_t off = (rbp - i * bytes) & mask;

        v = 0;
        if (seg_linear(c, X86_SS, off, bytes, false, &lin) < 0 || mmu_read(c, lin, &v, bytes) < 0 ||
            stack_push(c, v, bytes) < 0)
            goto fault;
    }
    if (level && stack_push(c, frame, bytes) < 0)
        goto fault;
    if (seg_linear(c, X86_SS, (RSP - size) & mask, bytes, true, &lin) < 0 ||
        mmu_check_write(c, lin, bytes) < 0)
        goto fault;
    set_reg(c, X86_RBP * 8, frame, bytes);
    stack_set_rsp(c, RSP - size);
    NEXT;
fault:
    RSP = rsp;
    return raise_fault(c, u, fl);
}

HANDLER(h_leave)
{
    uint64_t rsp = RSP, v;

    stack_set_rsp(c, RBP);
    if (stack_pop(c, &v, u->aux) < 0) {
        RSP = rsp;
        return raise_fault(c, u, fl);
    }
    set_reg(c, X86_RBP * 8, v, u->aux);
    NEXT;
}

HANDLER_S(leave64_s)
{
    struct mmu_value mv = mmu_load(c, va, 8);

    if (mv.bad)
        return raise_fault(c, u, fl);
    RSP = va + 8;
    RBP = mv.val;
    NEXT;
}

HANDLER(h_leave64)
{
    uint64_t va = RBP;

    PROBE_R(8, leave64_s);
    RSP = va + 8;
    RBP = *(volatile uint64_t *)p;
    NEXT;
}

HANDLER(h_push_seg)
{
    int r = stack_push(c, c->seg[u->s].sel, u->aux);

    if (r < 0)
        return raise_fault(c, u, fl);
    NEXT_STORED(r);
}

/* Ends its block: what follows may be decoded for other segments. */
HANDLER(h_pop_seg)
{
    uint64_t v, rsp = RSP;

    if (stack_pop(c, &v, u->aux) < 0)
        return raise_fault(c, u, fl);
    if (seg_load(c, u->d, (uint16_t)v) < 0) {
        RSP = rsp;
        return raise_fault(c, u, fl);
    }
    if (u->d == X86_SS)
        c->shadow = c->shadow_ss = true;
    return leave_next(c, u, fl);
}
