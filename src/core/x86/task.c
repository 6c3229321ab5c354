/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * task: hardware task switches, SDM 3A chapter 8 (7 in older editions). See task.h.
 *
 * All that can fault in the old task's name is checked before the first write. From the load of
 * CR3 on faults belong to the new task: its registers are there, its segments as far as they
 * were good.
 */
#include "core/x86/task.h"

#include "core/x86/debug.h"
#include "core/x86/io.h"
#include "core/x86/mmu.h"
#include "core/x86/seg.h"

#include <string.h>

enum { TYPE_TSS16 = 1, TYPE_TASK_GATE = 5, TYPE_TSS32 = 9, TYPE_BUSY = 2 };

struct tss16 {
    uint16_t link, stacks[6], ip, flags, gpr[8], es, cs, ss, ds, ldt;
};
_Static_assert(sizeof(struct tss16) == 44, "16-bit TSS");

struct sel32 {
    uint16_t sel, reserved;
};
struct tss32 {
    struct sel32 link;
    uint32_t stacks[6];
    uint32_t cr3, eip, eflags, gpr[8];
    struct sel32 seg[6]; /* in the order of X86_ES to X86_GS */
    struct sel32 ldt;
    uint16_t trap, iomap;
};
_Static_assert(sizeof(struct tss32) == 104, "32-bit TSS");

/* Both kinds start with the link; [state, ldt) is what a switch saves. */
struct tss {
    bool wide;
    union {
        struct tss16 t16;
        struct tss32 t32;
    };
};

static unsigned tss_bytes(bool wide)
{
    return wide ? sizeof(struct tss32) : sizeof(struct tss16);
}

static unsigned state_at(bool wide)
{
    return wide ? __builtin_offsetof(struct tss32, eip) : __builtin_offsetof(struct tss16, ip);
}

static unsigned state_end(bool wide)
{
    return wide ? __builtin_offsetof(struct tss32, ldt) : __builtin_offsetof(struct tss16, ldt);
}

static bool is_wide(const struct x86_seg *t)
{
    return t->attr & 8;
}

/* ---- which task ---- */

int task_gate(struct scpu *c, uint64_t gate, uint32_t ext, uint16_t *sel)
{
    *sel = (uint16_t)(gate >> 16);
    if ((*sel & ~3u) == 0 || *sel & SEL_TI || !desc_in_table(c, *sel, 8))
        return exc_raise_err(c, VEC_GP, (*sel & ~3u) | ext);
    return 0;
}

/* The new task's descriptor: a TSS, busy only if it is returned to. */
static int read_tss_desc(struct scpu *c, const struct task_switch *t, struct desc *d, struct x86_seg *tr)
{
    bool ret = t->why == TASK_IRET;
    unsigned vec = ret ? VEC_TS : VEC_GP, type;
    uint32_t err = (t->sel & ~3u) | t->ext;

    if (t->sel & SEL_TI || (t->sel & ~3u) == 0 || !desc_in_table(c, t->sel, 8))
        return exc_raise_err(c, vec, err);
    if (desc_read(c, t->sel, d, false, vec) < 0)
        return -1;
    desc_to_seg(tr, t->sel, d);
    type = tr->attr & (X86_SEG_S | X86_SEG_TYPE);
    if (type != (ret ? TYPE_TSS16 | TYPE_BUSY : TYPE_TSS16) && type != (ret ? TYPE_TSS32 | TYPE_BUSY : TYPE_TSS32))
        return exc_raise_err(c, vec, err);
    if (!(tr->attr & X86_SEG_P))
        return exc_raise_err(c, VEC_NP, err);
    if (tr->limit < tss_bytes(is_wide(tr)) - 1)
        return exc_raise_err(c, VEC_TS, err);
    return 0;
}

static int set_busy(struct scpu *c, uint16_t sel, bool busy)
{
    uint64_t at = c->gdt.base + (sel & ~7u) + 5;
    uint8_t type;

    if (mmu_read_sys(c, at, &type, 1) < 0)
        return -1;
    type = (uint8_t)(busy ? type | TYPE_BUSY : type & ~TYPE_BUSY);
    return mmu_write_sys(c, at, &type, 1) < 0 ? -1 : 0;
}

/* ---- the old task ---- */

/* Nothing that the switch writes may fault once it has begun. */
static int check_writes(struct scpu *c, const struct task_switch *t, const struct x86_seg *tr)
{
    const struct x86_seg *old = &c->seg[X86_TR];
    unsigned from = state_at(is_wide(old));

    if (!(old->attr & X86_SEG_P) || old->limit < tss_bytes(is_wide(old)) - 1)
        return exc_raise_err(c, VEC_TS, (old->sel & ~3u) | t->ext);
    if (mmu_check_write_sys(c, old->base + from, state_end(is_wide(old)) - from) < 0)
        return -1;
    if (t->why == TASK_NEST && mmu_check_write_sys(c, tr->base, 2) < 0)
        return -1;
    if (t->why != TASK_NEST && mmu_check_write_sys(c, c->gdt.base + (old->sel & ~7u) + 5, 1) < 0)
        return -1;
    return t->why == TASK_IRET ? 0 : mmu_check_write_sys(c, c->gdt.base + (t->sel & ~7u) + 5, 1);
}

static void collect16(const struct scpu *c, uint32_t flags, struct tss16 *t)
{
    t->ip = (uint16_t)c->rip;
    t->flags = (uint16_t)flags;
    for (int i = 0; i < 8; i++)
        t->gpr[i] = (uint16_t)c->gpr[i];
    t->es = c->seg[X86_ES].sel;
    t->cs = c->seg[X86_CS].sel;
    t->ss = c->seg[X86_SS].sel;
    t->ds = c->seg[X86_DS].sel;
}

static void collect32(const struct scpu *c, uint32_t flags, struct tss32 *t)
{
    t->eip = (uint32_t)c->rip;
    t->eflags = flags;
    for (int i = 0; i < 8; i++)
        t->gpr[i] = (uint32_t)c->gpr[i];
    for (int i = X86_ES; i <= X86_GS; i++)
        t->seg[i].sel = c->seg[i].sel;
}

static int save_old(struct scpu *c, const struct task_switch *t)
{
    const struct x86_seg *old = &c->seg[X86_TR];
    bool wide = is_wide(old);
    unsigned from = state_at(wide), n = state_end(wide) - from;
    uint32_t flags = t->flags & ~(t->why == TASK_IRET ? (uint32_t)FLAG_NT : 0);
    struct tss s = {.wide = wide};
    uint8_t *bytes = wide ? (uint8_t *)&s.t32 : (uint8_t *)&s.t16;

    if (mmu_read_sys(c, old->base + from, bytes + from, n) < 0) /* reserved halves stay */
        return -1;
    if (wide)
        collect32(c, flags, &s.t32);
    else
        collect16(c, flags, &s.t16);
    return mmu_write_sys(c, old->base + from, bytes + from, n) < 0 ? -1 : 0;
}

/* ---- the new task ---- */

/* What both kinds of TSS give. */
struct incoming {
    uint16_t seg[6], ldt;
    uint32_t flags;
    bool trap;
};

static void load16(struct scpu *c, const struct tss16 *t, struct incoming *in)
{
    for (int i = 0; i < 8; i++)
        c->gpr[i] = 0xffff0000u | t->gpr[i];
    c->rip = t->ip;
    *in = (struct incoming){.flags = t->flags, .ldt = t->ldt};
    in->seg[X86_ES] = t->es;
    in->seg[X86_CS] = t->cs;
    in->seg[X86_SS] = t->ss;
    in->seg[X86_DS] = t->ds;
}

static void load32(struct scpu *c, const struct tss32 *t, struct incoming *in)
{
    for (int i = 0; i < 8; i++)
        c->gpr[i] = t->gpr[i];
    c->rip = t->eip;
    *in = (struct incoming){.flags = t->eflags, .ldt = t->ldt.sel, .trap = t->trap & 1};
    for (int i = X86_ES; i <= X86_GS; i++)
        in->seg[i] = t->seg[i].sel;
    if (c->cr0 & CR0_PG) {
        c->cr3 = t->cr3;
        scpu_count(c, cr3_writes, 1);
        tlb_flush_local(c);
    }
}

static int load_ldt(struct scpu *c, uint16_t sel, uint32_t ext)
{
    struct x86_seg s;
    struct desc d;

    c->seg[X86_LDTR] = (struct x86_seg){.sel = sel};
    if ((sel & ~3u) == 0)
        return 0;
    if (sel & SEL_TI || !desc_in_table(c, sel, 8))
        return exc_raise_err(c, VEC_TS, (sel & ~3u) | ext);
    if (desc_read(c, sel, &d, false, VEC_TS) < 0)
        return -1;
    desc_to_seg(&s, sel, &d);
    if ((s.attr & (X86_SEG_S | X86_SEG_TYPE)) != 2 || !(s.attr & X86_SEG_P))
        return exc_raise_err(c, VEC_TS, (sel & ~3u) | ext);
    c->seg[X86_LDTR] = s;
    return 0;
}

static bool seg_ok(const struct scpu *c, unsigned seg, uint16_t sel, unsigned attr)
{
    unsigned dpl = attr >> X86_SEG_DPL_SHIFT & 3, rpl = sel & SEL_RPL;
    bool code = attr & 8, conforming = code && attr & 4;

    if (!(attr & X86_SEG_S))
        return false;
    if (seg == X86_CS)
        return code && (conforming ? dpl <= rpl : dpl == rpl);
    if (seg == X86_SS)
        return !code && attr & 2 && dpl == c->cpl && rpl == c->cpl;
    if (code && !(attr & 2))
        return false;
    return conforming || (dpl >= c->cpl && dpl >= rpl);
}

static int load_seg(struct scpu *c, unsigned seg, uint16_t sel, uint32_t ext)
{
    uint32_t err = (sel & ~3u) | ext;
    struct x86_seg s;
    struct desc d;

    if ((sel & ~3u) == 0 && (seg == X86_CS || seg == X86_SS))
        return exc_raise_err(c, VEC_TS, err);
    if ((sel & ~3u) == 0) {
        c->seg[seg] = (struct x86_seg){.sel = sel};
        return 0;
    }
    if (!desc_in_table(c, sel, 8))
        return exc_raise_err(c, VEC_TS, err);
    if (desc_read(c, sel, &d, false, VEC_TS) < 0)
        return -1;
    desc_to_seg(&s, sel, &d);
    if (!seg_ok(c, seg, sel, s.attr))
        return exc_raise_err(c, VEC_TS, err);
    if (!(s.attr & X86_SEG_P))
        return exc_raise_err(c, seg == X86_SS ? VEC_SS : VEC_NP, err);
    if (desc_set_accessed(c, sel, &d) < 0)
        return -1;
    s.attr |= 1;
    c->seg[seg] = s;
    return 0;
}

static int load_segs(struct scpu *c, const struct incoming *in, uint32_t ext)
{
    static const uint8_t order[] = {X86_CS, X86_SS, X86_DS, X86_ES, X86_FS, X86_GS};

    for (unsigned i = 0; i < sizeof order; i++) {
        if (load_seg(c, order[i], in->seg[order[i]], ext) < 0)
            return -1;
    }
    return 0;
}

/* Selectors, CPL and flags first: a fault further on finds them. Its handler may need a stack: what
 * the selectors stand for stays the old task's until it is loaded (no manual says; KVM does so). */
static int enter_new(struct scpu *c, const struct incoming *in, uint32_t ext)
{
    bool vm = in->flags & FLAG_VM;
    int r;

    for (int i = X86_ES; i <= X86_GS; i++)
        c->seg[i].sel = in->seg[i];
    c->cpl = vm ? 3 : in->seg[X86_CS] & SEL_RPL;
    scpu_set_rflags(c, in->flags);
    r = load_ldt(c, in->ldt, ext);
    if (vm) {
        for (unsigned i = X86_ES; i <= X86_GS; i++)
            seg_real(c, i, in->seg[i]);
    } else if (r == 0) {
        r = load_segs(c, in, ext);
    }
    scpu_mode_update(c);
    return r;
}

static void leave_behind(struct scpu *c)
{
    c->cr0 |= CR0_TS;
    fpu_trap_update(c);
    if (c->dr[7] & DR7_LOCAL) {
        c->dr[7] &= ~(uint64_t)DR7_LOCAL;
        debug_update(c);
    }
}

int task_switch(struct scpu *c, const struct task_switch *t)
{
    uint16_t old = c->seg[X86_TR].sel;
    struct incoming in;
    struct x86_seg tr;
    struct desc d;
    struct tss n;

    if (read_tss_desc(c, t, &d, &tr) < 0)
        return -1;
    n.wide = is_wide(&tr);
    if (mmu_read_sys(c, tr.base, n.wide ? (void *)&n.t32 : (void *)&n.t16, tss_bytes(n.wide)) < 0 ||
        check_writes(c, t, &tr) < 0)
        return -1;
    if ((t->why != TASK_NEST && set_busy(c, old, false) < 0) || save_old(c, t) < 0 ||
        (t->why == TASK_NEST && mmu_write_sys(c, tr.base, &old, 2) < 0) ||
        (t->why != TASK_IRET && set_busy(c, t->sel, true) < 0))
        return -1;
    tr.attr |= TYPE_BUSY;
    c->seg[X86_TR] = tr;
    if (n.wide)
        load32(c, &n.t32, &in);
    else
        load16(c, &n.t16, &in);
    if (t->why == TASK_NEST)
        in.flags |= FLAG_NT;
    leave_behind(c);
    if (enter_new(c, &in, t->ext) < 0)
        return TASK_FAULT;
    if (c->rip > c->seg[X86_CS].limit) {
        exc_raise_err(c, VEC_GP, t->ext);
        return TASK_FAULT;
    }
    if (in.trap) {
        debug_note(c, DR6_BT);
        exc_raise(c, VEC_DB);
    }
    return 0;
}

/* ---- the ways in ---- */

int task_far(struct scpu *c, uint16_t sel, const struct desc *d, bool call)
{
    unsigned type = d->lo >> 40 & 31, dpl = d->lo >> 45 & 3;
    struct task_switch t = {
        .why = call ? TASK_NEST : TASK_JUMP, .sel = sel, .flags = (uint32_t)scpu_rflags(c),
    };

    if (dpl < c->cpl || dpl < (sel & SEL_RPL))
        return exc_raise_err(c, VEC_GP, sel & ~3u);
    if (type == TYPE_TASK_GATE) {
        if (!(d->lo >> 47 & 1))
            return exc_raise_err(c, VEC_NP, sel & ~3u);
        if (task_gate(c, d->lo, 0, &t.sel) < 0)
            return -1;
    }
    return task_switch(c, &t) == -1 ? -1 : 0;
}

int task_return(struct scpu *c)
{
    struct task_switch t = {.why = TASK_IRET, .flags = (uint32_t)scpu_rflags(c)};

    if (mmu_read_sys(c, c->seg[X86_TR].base, &t.sel, 2) < 0)
        return -1;
    return task_switch(c, &t) == -1 ? -1 : 0;
}
