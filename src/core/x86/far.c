/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * far: far JMP, CALL, RET and IRET. SDM 2 has their pseudocode, SDM 3A 5.8 the rules.
 * Task gates and TSS descriptors lead to task.c.
 *
 * The whole frame is read or checked before state changes.
 */
#include "core/x86/io.h"
#include "core/x86/mmu.h"
#include "core/x86/seg.h"
#include "core/x86/task.h"

#define RSP c->gpr[X86_RSP]

enum { GATE_CALL16 = 4, GATE_CALL32 = 12 };

static unsigned dpl_of(const struct x86_seg *s)
{
    return s->attr >> X86_SEG_DPL_SHIFT & 3;
}

static bool is_code(const struct x86_seg *s)
{
    return s->attr & X86_SEG_S && s->attr & 8;
}

/* L and D together are reserved in long mode. */
static bool bad_l_d(const struct scpu *c, const struct x86_seg *s)
{
    return scpu_long_mode(c) && s->attr & X86_SEG_L && s->attr & X86_SEG_DB;
}

static int offset_ok(struct scpu *c, const struct x86_seg *cs, uint64_t off)
{
    if (scpu_long_mode(c) && cs->attr & X86_SEG_L ? mmu_canonical(off) : off <= cs->limit)
        return 0;
    return exc_raise_err(c, VEC_GP, 0);
}

static void set_cs(struct scpu *c, const struct x86_seg *cs, unsigned cpl, uint64_t off)
{
    c->seg[X86_CS] = *cs;
    c->seg[X86_CS].sel = (uint16_t)((cs->sel & ~3u) | cpl);
    c->cpl = cpl;
    c->rip = off;
    scpu_mode_update(c);
}

/* Code segment descriptor of a far JMP or CALL without gate. */
static int check_direct(struct scpu *c, uint16_t sel, struct desc *d, struct x86_seg *cs)
{
    unsigned rpl = sel & SEL_RPL;

    desc_to_seg(cs, sel, d);
    if (!is_code(cs) || bad_l_d(c, cs))
        return exc_raise_err(c, VEC_GP, sel & ~3u);
    if (cs->attr & 4 ? dpl_of(cs) > c->cpl : rpl > c->cpl || dpl_of(cs) != c->cpl)
        return exc_raise_err(c, VEC_GP, sel & ~3u);
    if (!(cs->attr & X86_SEG_P))
        return exc_raise_err(c, VEC_NP, sel & ~3u);
    if (desc_set_accessed(c, sel, d) < 0)
        return -1;
    cs->attr |= 1;
    return 0;
}

struct gate {
    uint16_t sel;
    uint64_t off;
    unsigned opsize, params;
};

static bool is_task(const struct scpu *c, const struct desc *d)
{
    unsigned type = d->lo >> 40 & 31;

    return !scpu_long_mode(c) && (type == 1 || type == 5 || type == 9);
}

/* A call gate's contents, with the code segment it leads to in `d`. */
static int read_gate(struct scpu *c, uint16_t sel, struct desc *d, struct gate *g)
{
    unsigned type = d->lo >> 40 & 31, dpl = d->lo >> 45 & 3;
    bool lm = scpu_long_mode(c);

    if (type != GATE_CALL32 && (type != GATE_CALL16 || lm))
        return exc_raise_err(c, VEC_GP, sel & ~3u);
    if (dpl < c->cpl || dpl < (sel & SEL_RPL))
        return exc_raise_err(c, VEC_GP, sel & ~3u);
    if (!(d->lo >> 47 & 1))
        return exc_raise_err(c, VEC_NP, sel & ~3u);
    if (lm && desc_read(c, sel, d, true, VEC_GP) < 0)
        return -1;
    g->sel = (uint16_t)(d->lo >> 16);
    g->off = (d->lo & 0xffff) | (d->lo >> 32 & 0xffff0000) | (lm ? d->hi << 32 : 0);
    g->opsize = lm ? 8 : type == GATE_CALL32 ? 4 : 2;
    if (g->opsize == 2)
        g->off &= 0xffff;
    g->params = lm ? 0 : d->lo >> 32 & 31;
    if ((g->sel & ~3u) == 0)
        return exc_raise_err(c, VEC_GP, 0);
    return desc_read(c, g->sel, d, false, VEC_GP);
}

static int check_gate_code(struct scpu *c, const struct gate *g, struct desc *d, struct x86_seg *cs)
{
    desc_to_seg(cs, g->sel, d);
    if (!is_code(cs) || dpl_of(cs) > c->cpl || bad_l_d(c, cs) ||
        (scpu_long_mode(c) && !(cs->attr & X86_SEG_L)))
        return exc_raise_err(c, VEC_GP, g->sel & ~3u);
    if (!(cs->attr & X86_SEG_P))
        return exc_raise_err(c, VEC_NP, g->sel & ~3u);
    return 0;
}

static int jump_real(struct scpu *c, uint16_t sel, uint64_t off)
{
    if (off > c->seg[X86_CS].limit)
        return exc_raise_err(c, VEC_GP, 0);
    seg_real(c, X86_CS, sel);
    c->rip = off;
    scpu_mode_update(c);
    return 0;
}

int far_jump(struct scpu *c, uint16_t sel, uint64_t off, unsigned opsize)
{
    struct x86_seg cs;
    struct desc d;
    struct gate g;

    if (opsize == 2)
        off &= 0xffff;
    if (!scpu_protected(c))
        return jump_real(c, sel, off);
    if ((sel & ~3u) == 0)
        return exc_raise_err(c, VEC_GP, 0);
    if (desc_read(c, sel, &d, false, VEC_GP) < 0)
        return -1;
    if (d.lo >> 44 & 1) {
        if (check_direct(c, sel, &d, &cs) < 0)
            return -1;
    } else if (is_task(c, &d)) {
        return task_far(c, sel, &d, false);
    } else {
        if (read_gate(c, sel, &d, &g) < 0 || check_gate_code(c, &g, &d, &cs) < 0)
            return -1;
        if (!(cs.attr & 4) && dpl_of(&cs) != c->cpl)
            return exc_raise_err(c, VEC_GP, g.sel & ~3u);
        off = g.off;
    }
    if (offset_ok(c, &cs, off) < 0)
        return -1;
    set_cs(c, &cs, c->cpl, off);
    return 0;
}

/* Pushes CS:IP of the current mode's stack. */
static int push_return(struct scpu *c, unsigned opsize)
{
    uint64_t rsp = RSP;

    if (stack_push(c, c->seg[X86_CS].sel, opsize) < 0)
        return -1;
    if (stack_push(c, c->rip, opsize) < 0) {
        RSP = rsp;
        return -1;
    }
    return 0;
}

/* To a more privileged level in 64-bit mode: SS becomes null. */
static int gate_inward64(struct scpu *c, const struct x86_seg *cs, uint64_t off)
{
    uint64_t frame[4] = {c->rip, c->seg[X86_CS].sel, RSP, c->seg[X86_SS].sel}, rsp;
    unsigned cpl = dpl_of(cs);

    if (offset_ok(c, cs, off) < 0 || tss_stack64(c, cpl, &rsp) < 0)
        return -1;
    rsp -= 32;
    if (mmu_write_sys(c, rsp, frame, 32) < 0)
        return -1;
    set_cs(c, cs, cpl, off);
    c->seg[X86_SS] = (struct x86_seg){.sel = (uint16_t)cpl, .attr = (uint16_t)(cpl << X86_SEG_DPL_SHIFT)};
    RSP = rsp;
    scpu_mode_update(c);
    return 0;
}

/* New stack of a legacy inner level: checks of SDM 3A 5.8.5. */
static int inner_stack(struct scpu *c, unsigned cpl, struct x86_seg *ss, uint32_t *esp)
{
    struct desc d;
    uint16_t sel;

    if (tss_stack(c, cpl, &sel, esp) < 0)
        return -1;
    if ((sel & ~3u) == 0 || desc_read(c, sel, &d, false, VEC_TS) < 0)
        return (sel & ~3u) == 0 ? exc_raise_err(c, VEC_TS, sel & ~3u) : -1;
    desc_to_seg(ss, sel, &d);
    if ((sel & SEL_RPL) != cpl || dpl_of(ss) != cpl || !(ss->attr & X86_SEG_S) || ss->attr & 8 ||
        !(ss->attr & 2))
        return exc_raise_err(c, VEC_TS, sel & ~3u);
    if (!(ss->attr & X86_SEG_P))
        return exc_raise_err(c, VEC_SS, sel & ~3u);
    return 0;
}

static int gate_inward(struct scpu *c, const struct x86_seg *cs, const struct gate *g)
{
    unsigned cpl = dpl_of(cs), n = g->opsize;
    struct x86_seg ss;
    uint64_t old_sp = RSP, v[31], lin;
    uint16_t old_ss = c->seg[X86_SS].sel, old_cs = c->seg[X86_CS].sel;
    uint32_t esp, at;
    unsigned k = 0, total;
    uint8_t frame[35 * 4];

    if (offset_ok(c, cs, g->off) < 0 || inner_stack(c, cpl, &ss, &esp) < 0)
        return -1;
    for (unsigned i = 0; i < g->params; i++) {
        if (stack_peek(c, i * n, &v[i], n) < 0)
            return -1;
    }
    total = (4 + g->params) * n;
#define PUT(x) (n == 2 ? (void)(*(uint16_t *)(frame + k) = (uint16_t)(x)) : (void)(*(uint32_t *)(frame + k) = (uint32_t)(x)), k += n)
    PUT(c->rip);
    PUT(old_cs);
    for (unsigned i = 0; i < g->params; i++)
        PUT(v[i]);
    PUT(old_sp);
    PUT(old_ss);
#undef PUT
    esp -= total;
    at = ss.attr & X86_SEG_DB ? esp : (uint16_t)esp;
    if (at > ss.limit && !(ss.attr & 4))
        return exc_raise_err(c, VEC_SS, ss.sel & ~3u);
    lin = (uint32_t)(ss.base + at);
    if (mmu_write_sys(c, lin, frame, total) < 0)
        return -1;
    c->seg[X86_SS] = ss;
    set_cs(c, cs, cpl, g->off);
    stack_set_rsp(c, esp);
    return 0;
}

int far_call(struct scpu *c, uint16_t sel, uint64_t off, unsigned opsize)
{
    struct x86_seg cs;
    struct desc d;
    struct gate g;

    if (opsize == 2)
        off &= 0xffff;
    if (!scpu_protected(c)) {
        if (off > c->seg[X86_CS].limit)
            return exc_raise_err(c, VEC_GP, 0);
        return push_return(c, opsize) < 0 ? -1 : jump_real(c, sel, off);
    }
    if ((sel & ~3u) == 0)
        return exc_raise_err(c, VEC_GP, 0);
    if (desc_read(c, sel, &d, false, VEC_GP) < 0)
        return -1;
    if (d.lo >> 44 & 1) {
        if (check_direct(c, sel, &d, &cs) < 0 || offset_ok(c, &cs, off) < 0 || push_return(c, opsize) < 0)
            return -1;
        set_cs(c, &cs, c->cpl, off);
        return 0;
    }
    if (is_task(c, &d))
        return task_far(c, sel, &d, true);
    if (read_gate(c, sel, &d, &g) < 0 || check_gate_code(c, &g, &d, &cs) < 0)
        return -1;
    if (!(cs.attr & 4) && dpl_of(&cs) < c->cpl)
        return scpu_long_mode(c) ? gate_inward64(c, &cs, g.off) : gate_inward(c, &cs, &g);
    if (offset_ok(c, &cs, g.off) < 0 || push_return(c, g.opsize) < 0)
        return -1;
    set_cs(c, &cs, c->cpl, g.off);
    return 0;
}

/* ---- returns ---- */

/* Code segment to return to. */
static int check_return_code(struct scpu *c, uint16_t sel, struct x86_seg *cs)
{
    unsigned rpl = sel & SEL_RPL;
    struct desc d;

    if ((sel & ~3u) == 0)
        return exc_raise_err(c, VEC_GP, 0);
    if (desc_read(c, sel, &d, false, VEC_GP) < 0)
        return -1;
    desc_to_seg(cs, sel, &d);
    if (!is_code(cs) || rpl < c->cpl || bad_l_d(c, cs) ||
        (cs->attr & 4 ? dpl_of(cs) > rpl : dpl_of(cs) != rpl))
        return exc_raise_err(c, VEC_GP, sel & ~3u);
    if (!(cs->attr & X86_SEG_P))
        return exc_raise_err(c, VEC_NP, sel & ~3u);
    if (desc_set_accessed(c, sel, &d) < 0)
        return -1;
    cs->attr |= 1;
    return 0;
}

/* Stack segment to return to with `cs`; null is allowed to 64-bit code that is not user's. */
static int check_return_stack(struct scpu *c, uint16_t sel, const struct x86_seg *cs, struct x86_seg *ss)
{
    unsigned rpl = cs->sel & SEL_RPL;
    struct desc d;

    if ((sel & ~3u) == 0) {
        if (!(scpu_long_mode(c) && cs->attr & X86_SEG_L && rpl != 3))
            return exc_raise_err(c, VEC_GP, 0);
        *ss = (struct x86_seg){.sel = sel, .attr = (uint16_t)(rpl << X86_SEG_DPL_SHIFT)};
        return 0;
    }
    if (desc_read(c, sel, &d, false, VEC_GP) < 0)
        return -1;
    desc_to_seg(ss, sel, &d);
    if ((sel & SEL_RPL) != rpl || !(ss->attr & X86_SEG_S) || ss->attr & 8 || !(ss->attr & 2) ||
        dpl_of(ss) != rpl)
        return exc_raise_err(c, VEC_GP, sel & ~3u);
    if (!(ss->attr & X86_SEG_P))
        return exc_raise_err(c, VEC_SS, sel & ~3u);
    if (desc_set_accessed(c, sel, &d) < 0)
        return -1;
    ss->attr |= 1;
    return 0;
}

/* Outward returns take away what the outer level may not use; the bases of FS and GS stay. */
static void drop_inner_segments(struct scpu *c)
{
    static const uint8_t segs[] = {X86_ES, X86_DS, X86_FS, X86_GS};

    for (unsigned i = 0; i < 4; i++) {
        struct x86_seg *s = &c->seg[segs[i]];

        if (s->attr & X86_SEG_P && dpl_of(s) < c->cpl && (s->attr & 0xc) != 0xc)
            *s = (struct x86_seg){.base = s->base};
    }
}

static int iret_real(struct scpu *c, unsigned n)
{
    uint64_t ip, cs, f, keep;

    if (stack_peek(c, 0, &ip, n) < 0 || stack_peek(c, n, &cs, n) < 0 || stack_peek(c, 2 * n, &f, n) < 0)
        return -1;
    if (ip > 0xffff)
        return exc_raise_err(c, VEC_GP, 0);
    stack_set_rsp(c, RSP + 3 * n);
    keep = n == 2 ? scpu_rflags(c) & 0xffff0000 : scpu_rflags(c) & (FLAG_VM | FLAG_VIF | FLAG_VIP);
    scpu_set_rflags(c, keep | (f & (n == 2 ? 0xffff : 0x257fd5)));
    return jump_real(c, (uint16_t)cs, ip);
}

/* Within virtual-8086 mode: as in real mode, but IOPL must be 3, and stays. */
static int iret_vm86(struct scpu *c, unsigned n)
{
    uint64_t keep = scpu_rflags(c) & (FLAG_VM | FLAG_IOPL | FLAG_VIF | FLAG_VIP);
    uint64_t ip, cs, f;

    if ((c->rflags_sys & FLAG_IOPL) != FLAG_IOPL)
        return exc_raise_err(c, VEC_GP, 0);
    if (stack_peek(c, 0, &ip, n) < 0 || stack_peek(c, n, &cs, n) < 0 || stack_peek(c, 2 * n, &f, n) < 0)
        return -1;
    if (ip > 0xffff)
        return exc_raise_err(c, VEC_GP, 0);
    stack_set_rsp(c, RSP + 3 * n);
    if (n == 2)
        f |= scpu_rflags(c) & 0xffff0000;
    scpu_set_rflags(c, keep | (f & ~(uint64_t)(FLAG_VM | FLAG_IOPL | FLAG_VIF | FLAG_VIP)));
    return jump_real(c, (uint16_t)cs, ip);
}

/* Into virtual-8086 mode: the frame goes on with ESP, SS, ES, DS, FS, GS. */
static int iret_to_vm86(struct scpu *c, uint32_t ip, uint16_t cs, uint32_t f)
{
    static const uint8_t order[] = {X86_SS, X86_ES, X86_DS, X86_FS, X86_GS};
    uint64_t sp, sel[5];

    if (stack_peek(c, 12, &sp, 4) < 0)
        return -1;
    for (unsigned i = 0; i < 5; i++) {
        if (stack_peek(c, 16 + 4 * i, &sel[i], 4) < 0)
            return -1;
    }
    c->cpl = 3;
    scpu_set_rflags(c, f);
    seg_real(c, X86_CS, cs);
    for (unsigned i = 0; i < 5; i++)
        seg_real(c, order[i], (uint16_t)sel[i]);
    RSP = (uint32_t)sp;
    c->rip = ip & 0xffff;
    return 0;
}

static void iret_flags(struct scpu *c, uint64_t f, unsigned n, unsigned old_cpl)
{
    uint64_t mask = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT;
    unsigned iopl = (c->rflags_sys & FLAG_IOPL) >> 12;

    if (n > 2)
        mask |= FLAG_RF | FLAG_AC | FLAG_ID;
    if (old_cpl <= iopl)
        mask |= FLAG_IF;
    if (old_cpl == 0)
        mask |= FLAG_IOPL | (n > 2 ? FLAG_VIF | FLAG_VIP : 0);
    scpu_set_rflags(c, (scpu_rflags(c) & ~mask) | (f & mask));
}

int far_iret(struct scpu *c, unsigned n)
{
    uint64_t ip, csel, f, sp = 0, ssel = 0;
    unsigned old_cpl = c->cpl;
    bool with_stack, from64 = scpu_code64(c);
    struct x86_seg cs, ss;

    if (!(c->cr0 & CR0_PE))
        return iret_real(c, n);
    if (c->rflags_sys & FLAG_VM)
        return iret_vm86(c, n);
    if (c->rflags_sys & FLAG_NT)
        return scpu_long_mode(c) ? exc_raise_err(c, VEC_GP, 0) : task_return(c);
    if (stack_peek(c, 0, &ip, n) < 0 || stack_peek(c, n, &csel, n) < 0 || stack_peek(c, 2 * n, &f, n) < 0)
        return -1;
    if (f & FLAG_VM && n == 4 && !scpu_long_mode(c) && c->cpl == 0)
        return iret_to_vm86(c, (uint32_t)ip, (uint16_t)csel, (uint32_t)f);
    with_stack = from64 || (csel & SEL_RPL) > c->cpl;
    if (with_stack && (stack_peek(c, 3 * n, &sp, n) < 0 || stack_peek(c, 4 * n, &ssel, n) < 0))
        return -1;
    if (check_return_code(c, (uint16_t)csel, &cs) < 0 ||
        (with_stack && check_return_stack(c, (uint16_t)ssel, &cs, &ss) < 0) || offset_ok(c, &cs, ip) < 0)
        return -1;
    if (!with_stack)
        stack_set_rsp(c, RSP + 3 * n);
    iret_flags(c, f, n, old_cpl);
    if (with_stack)
        c->seg[X86_SS] = ss;
    set_cs(c, &cs, csel & SEL_RPL, ip);
    if (with_stack) {
        if (scpu_code64(c))
            RSP = sp;
        else
            stack_set_rsp(c, sp);
    }
    if (c->cpl > old_cpl) {
        drop_inner_segments(c);
        scpu_mode_update(c);
    }
    return 0;
}

static int ret_real(struct scpu *c, unsigned n, unsigned release)
{
    uint64_t ip, cs;

    if (stack_peek(c, 0, &ip, n) < 0 || stack_peek(c, n, &cs, n) < 0)
        return -1;
    if (ip > c->seg[X86_CS].limit)
        return exc_raise_err(c, VEC_GP, 0);
    stack_set_rsp(c, RSP + 2 * n + release);
    return jump_real(c, (uint16_t)cs, ip);
}

int far_ret(struct scpu *c, unsigned n, unsigned release)
{
    uint64_t ip, csel, sp = 0, ssel = 0;
    struct x86_seg cs, ss;
    bool outward;

    if (!scpu_protected(c))
        return ret_real(c, n, release);
    if (stack_peek(c, 0, &ip, n) < 0 || stack_peek(c, n, &csel, n) < 0)
        return -1;
    outward = (csel & SEL_RPL) > c->cpl;
    if (outward && (stack_peek(c, 2 * n + release, &sp, n) < 0 || stack_peek(c, 3 * n + release, &ssel, n) < 0))
        return -1;
    if (check_return_code(c, (uint16_t)csel, &cs) < 0 ||
        (outward && check_return_stack(c, (uint16_t)ssel, &cs, &ss) < 0) || offset_ok(c, &cs, ip) < 0)
        return -1;
    if (!outward) {
        stack_set_rsp(c, RSP + 2 * n + release);
        set_cs(c, &cs, c->cpl, ip);
        return 0;
    }
    c->seg[X86_SS] = ss;
    set_cs(c, &cs, csel & SEL_RPL, ip);
    if (scpu_code64(c))
        RSP = sp + release;
    else
        stack_set_rsp(c, sp + release);
    drop_inner_segments(c);
    scpu_mode_update(c);
    return 0;
}
