/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * exc: exceptions and interrupts on their way through the IDT or the real-mode vector table.
 * SDM 3A chapter 6; nested faults by table 6-5. Task gates lead to task.c.
 */
#include "core/x86/debug.h"
#include "core/x86/io.h"
#include "core/x86/mmu.h"
#include "core/x86/task.h"

#include <string.h>

#define RSP c->gpr[X86_RSP]

enum { GATE_TASK = 5, GATE_INT16 = 6, GATE_TRAP16 = 7, GATE_INT32 = 14, GATE_TRAP32 = 15 };

int exc_raise(struct scpu *c, unsigned vec)
{
    c->exc = (struct exc){.kind = EXC_FAULT, .vec = (uint8_t)vec};
    return -1;
}

int exc_raise_err(struct scpu *c, unsigned vec, uint32_t err)
{
    c->exc = (struct exc){.kind = EXC_FAULT, .vec = (uint8_t)vec, .has_err = true, .err = err};
    return -1;
}

void exc_soft(struct scpu *c, enum exc_kind kind, unsigned vec, uint64_t ret)
{
    c->exc = (struct exc){.kind = (uint8_t)kind, .vec = (uint8_t)vec, .ret = ret};
}

void exc_extern(struct scpu *c, unsigned vec)
{
    c->exc = (struct exc){.kind = EXC_EXTERN, .vec = (uint8_t)vec};
}

static uint64_t return_ip(const struct scpu *c, const struct exc *e)
{
    return e->kind == EXC_SOFT || e->kind == EXC_PRIV_SOFT ? e->ret : c->rip;
}

/* A fault while delivering: its error code says whether the first event came from outside. */
static int fault(struct scpu *c, const struct exc *e, unsigned vec, uint32_t err)
{
    return exc_raise_err(c, vec, err | (e->kind == EXC_SOFT ? 0 : 1));
}

/* Values for the handler's stack, lowest address last. */
struct frame {
    uint64_t v[11];
    unsigned n;
};

static void frame_add(struct frame *f, uint64_t v)
{
    f->v[f->n++] = v;
}

static uint64_t pushed_flags(const struct scpu *c, const struct exc *e)
{
    uint64_t f = scpu_rflags(c);

    if (e->kind == EXC_FAULT && (e->vec != VEC_DB || e->set_rf))
        f |= FLAG_RF;
    return f;
}

/* Writes the frame with elements of `n` bytes below `sp`; *sp moves only on success. */
static int frame_write(struct scpu *c, const struct frame *f, unsigned n, bool user, uint64_t base,
                       uint64_t mask, uint64_t *sp)
{
    uint8_t buf[sizeof f->v];
    unsigned bytes = f->n * n;
    uint64_t at = (*sp - bytes) & mask, lin = base + at;
    int r;

    for (unsigned i = 0; i < f->n; i++)
        memcpy(buf + bytes - (i + 1) * n, &f->v[i], n);
    if (!scpu_long_mode(c))
        lin = (uint32_t)lin;
    if (user)
        r = mmu_write(c, lin, buf, bytes);
    else
        r = mmu_write_sys(c, lin, buf, bytes);
    if (r < 0)
        return -1;
    *sp = at;
    return 0;
}

static void enter_handler(struct scpu *c, const struct x86_seg *cs, unsigned cpl, uint64_t off, bool trap)
{
    c->seg[X86_CS] = *cs;
    c->seg[X86_CS].sel = (uint16_t)((cs->sel & ~3u) | cpl);
    c->cpl = cpl;
    c->rip = off;
    c->rflags_sys &= ~(uint64_t)(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM);
    if (!trap)
        c->rflags_sys &= ~(uint64_t)FLAG_IF;
    scpu_mode_update(c);
}

static int read_handler_code(struct scpu *c, const struct exc *e, uint16_t sel, struct x86_seg *cs)
{
    struct desc d;

    if ((sel & ~3u) == 0)
        return fault(c, e, VEC_GP, 0);
    if (!desc_in_table(c, sel, 8))
        return fault(c, e, VEC_GP, sel & ~3u);
    if (desc_read(c, sel, &d, false, VEC_GP) < 0)
        return -1;
    desc_to_seg(cs, sel, &d);
    if (!(cs->attr & X86_SEG_S) || !(cs->attr & 8) || (cs->attr >> X86_SEG_DPL_SHIFT & 3u) > c->cpl)
        return fault(c, e, VEC_GP, sel & ~3u);
    if (!(cs->attr & X86_SEG_P))
        return fault(c, e, VEC_NP, sel & ~3u);
    if (desc_set_accessed(c, sel, &d) < 0)
        return -1;
    return 0;
}

/* ---- long mode ---- */

static int deliver64(struct scpu *c, const struct exc *e)
{
    uint64_t g[2], off, rsp = RSP;
    unsigned type, ist, cpl, idx = e->vec * 8u + 2;
    struct frame f = {.n = 0};
    struct x86_seg cs;

    if (e->vec * 16u + 15 > c->idt.limit)
        return fault(c, e, VEC_GP, idx);
    if (mmu_read_sys(c, c->idt.base + e->vec * 16u, g, 16) < 0)
        return -1;
    type = g[0] >> 40 & 31;
    if (type != GATE_INT32 && type != GATE_TRAP32)
        return fault(c, e, VEC_GP, idx);
    if (e->kind == EXC_SOFT && (g[0] >> 45 & 3) < c->cpl)
        return fault(c, e, VEC_GP, idx);
    if (!(g[0] >> 47 & 1))
        return fault(c, e, VEC_NP, idx);
    if (read_handler_code(c, e, (uint16_t)(g[0] >> 16), &cs) < 0)
        return -1;
    if (!(cs.attr & X86_SEG_L) || cs.attr & X86_SEG_DB)
        return fault(c, e, VEC_GP, cs.sel & ~3u);
    off = (g[0] & 0xffff) | (g[0] >> 32 & 0xffff0000) | g[1] << 32;
    ist = g[0] >> 32 & 7;
    cpl = cs.attr & 4 ? c->cpl : cs.attr >> X86_SEG_DPL_SHIFT & 3u;
    if ((ist && tss_stack64(c, 3 + ist, &rsp) < 0) || (!ist && cpl < c->cpl && tss_stack64(c, cpl, &rsp) < 0))
        return -1;
    if (!mmu_canonical(off))
        return fault(c, e, VEC_GP, 0);
    rsp &= ~15ull;
    frame_add(&f, c->seg[X86_SS].sel);
    frame_add(&f, RSP);
    frame_add(&f, pushed_flags(c, e));
    frame_add(&f, c->seg[X86_CS].sel);
    frame_add(&f, return_ip(c, e));
    if (e->has_err)
        frame_add(&f, e->err);
    if (frame_write(c, &f, 8, cpl == 3, 0, ~0ull, &rsp) < 0) {
        if (c->exc.noncanonical)
            c->exc.vec = VEC_SS;
        return -1;
    }
    if (cpl < c->cpl)
        c->seg[X86_SS] = (struct x86_seg){.sel = (uint16_t)cpl, .attr = (uint16_t)(cpl << X86_SEG_DPL_SHIFT)};
    RSP = rsp;
    enter_handler(c, &cs, cpl, off, type == GATE_TRAP32);
    return 0;
}

/* ---- protected mode ---- */

static int inner_stack(struct scpu *c, const struct exc *e, unsigned cpl, struct x86_seg *ss, uint64_t *sp)
{
    struct desc d;
    uint16_t sel;
    uint32_t esp;

    if (tss_stack(c, cpl, &sel, &esp) < 0)
        return -1;
    if ((sel & ~3u) == 0)
        return fault(c, e, VEC_TS, 0);
    if (desc_read(c, sel, &d, false, VEC_TS) < 0)
        return -1;
    desc_to_seg(ss, sel, &d);
    if ((sel & SEL_RPL) != cpl || (ss->attr >> X86_SEG_DPL_SHIFT & 3u) != cpl || !(ss->attr & X86_SEG_S) ||
        ss->attr & 8 || !(ss->attr & 2))
        return fault(c, e, VEC_TS, sel & ~3u);
    if (!(ss->attr & X86_SEG_P))
        return fault(c, e, VEC_SS, sel & ~3u);
    *sp = esp;
    return 0;
}

/* A fault of the new task's is one of the delivery, too. */
static int deliver_task(struct scpu *c, const struct exc *e, uint64_t gate)
{
    struct task_switch t = {
        .why = TASK_NEST, .flags = (uint32_t)pushed_flags(c, e), .ext = e->kind == EXC_SOFT ? 0 : 1,
    };
    uint64_t rip = c->rip;
    int r;

    if (task_gate(c, gate, t.ext, &t.sel) < 0)
        return -1;
    c->rip = return_ip(c, e);
    r = task_switch(c, &t);
    if (r == -1)
        c->rip = rip;
    if (r < 0)
        return -1;
    if (!e->has_err)
        return 0;
    return stack_push(c, e->err, c->seg[X86_TR].attr & 8 ? 4 : 2) < 0 ? -1 : 0;
}

static int deliver_protected(struct scpu *c, const struct exc *e)
{
    static const uint8_t data_segs[] = {X86_GS, X86_FS, X86_DS, X86_ES}; /* pushed out of virtual-8086 mode */
    bool vm = c->rflags_sys & FLAG_VM;
    uint64_t g, off, sp = RSP, mask;
    unsigned type, cpl, n, idx = e->vec * 8u + 2;
    struct x86_seg cs, ss = c->seg[X86_SS];
    struct frame f = {.n = 0};

    if (idx + 5 > c->idt.limit)
        return fault(c, e, VEC_GP, idx);
    if (mmu_read_sys(c, c->idt.base + e->vec * 8u, &g, 8) < 0)
        return -1;
    type = g >> 40 & 31;
    if (type != GATE_TASK && (type & ~1u) != GATE_INT32 && (type & ~1u) != GATE_INT16)
        return fault(c, e, VEC_GP, idx);
    if (e->kind == EXC_SOFT && (g >> 45 & 3) < c->cpl)
        return fault(c, e, VEC_GP, idx);
    if (!(g >> 47 & 1))
        return fault(c, e, VEC_NP, idx);
    if (type == GATE_TASK)
        return deliver_task(c, e, g);
    if (read_handler_code(c, e, (uint16_t)(g >> 16), &cs) < 0)
        return -1;
    n = type & 8 ? 4 : 2;
    off = (g & 0xffff) | (n == 4 ? g >> 32 & 0xffff0000 : 0);
    cpl = cs.attr & 4 ? c->cpl : cs.attr >> X86_SEG_DPL_SHIFT & 3u;
    if (vm && cpl != 0)
        return fault(c, e, VEC_GP, cs.sel & ~3u);
    if (off > cs.limit)
        return fault(c, e, VEC_GP, 0);
    if (cpl < c->cpl) {
        if (inner_stack(c, e, cpl, &ss, &sp) < 0)
            return -1;
        for (unsigned i = 0; vm && i < sizeof data_segs; i++)
            frame_add(&f, c->seg[data_segs[i]].sel);
        frame_add(&f, c->seg[X86_SS].sel);
        frame_add(&f, RSP);
    }
    frame_add(&f, pushed_flags(c, e));
    frame_add(&f, c->seg[X86_CS].sel);
    frame_add(&f, return_ip(c, e));
    if (e->has_err)
        frame_add(&f, e->err);
    mask = ss.attr & X86_SEG_DB ? 0xffffffff : 0xffff;
    if (((sp - f.n * n) & mask) > ss.limit && !(ss.attr & 4))
        return fault(c, e, VEC_SS, cpl < c->cpl ? ss.sel & ~3u : 0);
    if (frame_write(c, &f, n, cpl == 3, ss.base, mask, &sp) < 0)
        return -1;
    for (unsigned i = 0; vm && i < sizeof data_segs; i++)
        c->seg[data_segs[i]] = (struct x86_seg){0};
    c->seg[X86_SS] = ss;
    RSP = mask == 0xffff ? (RSP & ~0xffffull) | sp : sp;
    enter_handler(c, &cs, cpl, off, type & 1);
    return 0;
}

static int deliver_real(struct scpu *c, const struct exc *e)
{
    uint16_t v[2];

    if (e->vec * 4u + 3 > c->idt.limit)
        return fault(c, e, VEC_GP, 0);
    if (mmu_read_sys(c, c->idt.base + e->vec * 4u, v, 4) < 0)
        return -1;
    if (stack_push(c, scpu_rflags(c), 2) < 0 || stack_push(c, c->seg[X86_CS].sel, 2) < 0 ||
        stack_push(c, return_ip(c, e), 2) < 0)
        return -1;
    c->rflags_sys &= ~(uint64_t)(FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF);
    seg_real(c, X86_CS, v[1]);
    c->rip = v[0];
    scpu_mode_update(c);
    return 0;
}

static int deliver(struct scpu *c, const struct exc *e)
{
    if (e->kind == EXC_FAULT && e->vec == VEC_PF)
        c->cr2 = e->cr2;
    if (e->kind == EXC_FAULT && e->vec == VEC_DB)
        c->dr[7] &= ~(uint64_t)DR7_GD;
    if (scpu_long_mode(c))
        return deliver64(c, e);
    return c->cr0 & CR0_PE ? deliver_protected(c, e) : deliver_real(c, e);
}

/* ---- nesting ---- */

static bool contributory(const struct exc *e)
{
    return e->kind == EXC_FAULT &&
           (e->vec == VEC_DE || e->vec == VEC_TS || e->vec == VEC_NP || e->vec == VEC_SS || e->vec == VEC_GP);
}

static bool page_fault(const struct exc *e)
{
    return e->kind == EXC_FAULT && e->vec == VEC_PF;
}

static bool makes_double_fault(const struct exc *first, const struct exc *second)
{
    return (contributory(first) && contributory(second)) ||
           (page_fault(first) && (contributory(second) || page_fault(second)));
}

void exc_deliver(struct scpu *c)
{
    struct exc e = c->exc;

    for (;;) {
        struct exc next;

        c->exc.kind = EXC_NONE;
        scpu_count(c, exceptions, e.kind == EXC_FAULT);
        scpu_count(c, page_faults, page_fault(&e));
        if (e.kind == EXC_FAULT && e.has_err && !(c->cr0 & CR0_PE))
            e.has_err = false;
        if (deliver(c, &e) == 0)
            return;
        next = c->exc;
        if (e.kind == EXC_FAULT && e.vec == VEC_DF) {
            c->exc.kind = EXC_NONE;
            c->shutdown = true;
            return;
        }
        if (makes_double_fault(&e, &next))
            e = (struct exc){.kind = EXC_FAULT, .vec = VEC_DF, .has_err = true};
        else
            e = next;
    }
}
