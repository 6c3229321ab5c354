/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * h_seg: handlers of segment, descriptor-table and far control transfer instructions. What
 * changes segments ends its block: the code after it may have to be decoded anew.
 */
#include "core/x86/handlers.h"
#include "core/x86/io.h"
#include "core/x86/seg.h"

#include <string.h>

#define NEED_CPL0                                                                                  \
    do {                                                                                           \
        if (c->cpl != 0) {                                                                         \
            exc_raise_err(c, VEC_GP, 0);                                                           \
            return raise_fault(c, u, fl);                                                          \
        }                                                                                          \
    } while (0)

static bool umip_fault(struct scpu *c)
{
    if (!(c->cr4 & CR4_UMIP) || c->cpl == 0)
        return false;
    exc_raise_err(c, VEC_GP, 0);
    return true;
}

/* ---- tables ---- */

HANDLER(h_sgdt)
{
    const struct x86_table *t = u->d ? &c->idt : &c->gdt;
    unsigned n = scpu_code64(c) ? 10 : 6;
    uint8_t buf[10];
    int r;

    if (umip_fault(c))
        return raise_fault(c, u, fl);
    memcpy(buf, &t->limit, 2);
    memcpy(buf + 2, &t->base, 8);
    r = mmu_write(c, EA_X, buf, n);
    if (r < 0)
        return raise_fault(c, u, fl);
    NEXT_STORED(r);
}

HANDLER(h_lgdt)
{
    struct x86_table *t = u->d ? &c->idt : &c->gdt;
    unsigned n = scpu_code64(c) ? 10 : 6;
    uint8_t buf[10] = {0};
    uint64_t base;

    if (mmu_read(c, EA_X, buf, n) < 0)
        return raise_fault(c, u, fl);
    memcpy(&base, buf + 2, 8);
    if (n == 10 && !mmu_canonical(base)) {
        exc_raise_err(c, VEC_GP, 0);
        return raise_fault(c, u, fl);
    }
    if (n == 6)
        base &= u->aux == 2 ? 0xffffff : 0xffffffff;
    memcpy(&t->limit, buf, 2);
    t->base = base;
    return leave_next(c, u, fl);
}

HANDLER(h_sldt_str)
{
    if (umip_fault(c))
        return raise_fault(c, u, fl);
    c->tmp = c->seg[u->d].sel;
    NEXT;
}

HANDLER(h_lldt)
{
    NEED_CPL0;
    if (seg_load_ldt(c, R16(u->s)) < 0)
        return raise_fault(c, u, fl);
    return leave_next(c, u, fl);
}

HANDLER(h_ltr)
{
    NEED_CPL0;
    if (seg_load_tr(c, R16(u->s)) < 0)
        return raise_fault(c, u, fl);
    return leave_next(c, u, fl);
}

/* ---- VERR VERW LAR LSL ARPL ---- */

/* The descriptor, if the selector is in its table; a page fault on the way counts. 1: found. */
static int look_up(struct scpu *c, uint16_t sel, struct x86_seg *s)
{
    struct desc d;

    if ((sel & ~3u) == 0 || !desc_in_table(c, sel, 8))
        return 0;
    if (desc_read(c, sel, &d, false, VEC_GP) < 0)
        return -1;
    desc_to_seg(s, sel, &d);
    return 1;
}

static bool visible(const struct scpu *c, const struct x86_seg *s, uint16_t sel)
{
    unsigned dpl = s->attr >> X86_SEG_DPL_SHIFT & 3;

    if ((s->attr & (X86_SEG_S | 0xc)) == (X86_SEG_S | 0xc)) /* conforming code */
        return true;
    return dpl >= c->cpl && dpl >= (sel & SEL_RPL);
}

static uint64_t set_zf(uint64_t fl, bool z)
{
    return (fl & ~(uint64_t)FL_ZF) | (z ? FL_ZF : 0);
}

HANDLER(h_verr_verw)
{
    uint16_t sel = R16(u->s);
    struct x86_seg s;
    int r = look_up(c, sel, &s);
    bool ok;

    if (r < 0)
        return raise_fault(c, u, fl);
    ok = r && s.attr & X86_SEG_S && visible(c, &s, sel);
    if (ok)
        ok = u->d ? !(s.attr & 8) && s.attr & 2 : !(s.attr & 8) || s.attr & 2;
    fl = set_zf(fl, ok);
    NEXT;
}

/* Types of system descriptors that LAR and LSL know. */
static bool system_type_ok(const struct scpu *c, unsigned type, bool lsl)
{
    bool lm = scpu_long_mode(c);

    switch (type) {
    case 2: case 9: case 11: return true;
    case 1: case 3: return !lm;
    case 4: case 5: return !lsl && !lm;
    case 12: return !lsl;
    default: return false;
    }
}

HANDLER(h_lar_lsl)
{
    uint16_t sel = R16(u->s);
    bool lsl = u->imm;
    struct x86_seg s;
    int r = look_up(c, sel, &s);
    uint32_t v;

    if (r < 0)
        return raise_fault(c, u, fl);
    if (!r || !visible(c, &s, sel) || (!(s.attr & X86_SEG_S) && !system_type_ok(c, s.attr & 15, lsl))) {
        fl = set_zf(fl, false);
        NEXT;
    }
    v = s.limit;
    if (!lsl) {
        struct desc d;

        if (desc_read(c, sel, &d, false, VEC_GP) < 0)
            return raise_fault(c, u, fl);
        v = (uint32_t)(d.lo >> 32) & 0xf0ff00;
    }
    if (u->aux == 2)
        R16(u->d) = (uint16_t)v;
    else
        R64(u->d) = v;
    fl = set_zf(fl, true);
    NEXT;
}

static bool arpl(uint16_t *d, uint16_t s)
{
    bool less = (*d & 3) < (s & 3);

    if (less)
        *d = (uint16_t)((*d & ~3u) | (s & 3));
    return less;
}

HANDLER(h_arpl_r)
{
    uint16_t d = R16(u->d);

    fl = set_zf(fl, arpl(&d, R16(u->s)));
    SET16(u->d, d);
    NEXT;
}

/* Memory is written, and may be write-protected, only where the RPL changes. */
HANDLER(h_arpl_m)
{
    uint64_t va = EA_X;
    uint16_t d;
    bool less;
    int w = 0;

    if (mmu_read(c, va, &d, sizeof d) < 0)
        return raise_fault(c, u, fl);
    less = arpl(&d, R16(u->s));
    if (less && (seg_linear(c, u->seg, (uint32_t)(va - c->seg[u->seg].base), sizeof d, true, &va) < 0 ||
                 mmu_check_write(c, va, sizeof d) < 0))
        return raise_fault(c, u, fl);
    fl = set_zf(fl, less);
    if (less)
        w = mmu_write(c, va, &d, sizeof d);
    NEXT_STORED(w > 0);
}

/* ---- segment registers ---- */

HANDLER(h_mov_to_seg)
{
    c->fl = fl;
    if (seg_load(c, u->d, R16(u->s)) < 0)
        return raise_fault(c, u, fl);
    if (u->d == X86_SS)
        c->shadow = c->shadow_ss = true;
    return leave_next(c, u, fl);
}

HANDLER(h_mov_from_seg)
{
    c->tmp = c->seg[u->s].sel;
    NEXT;
}

/* Offset and selector at the memory operand. */
static int read_far(struct scpu *c, const struct uop *u, uint64_t *off, uint16_t *sel)
{
    uint64_t va = EA_X;

    *off = 0;
    if (mmu_read(c, va, off, u->aux) < 0 || mmu_read(c, va + u->aux, sel, 2) < 0)
        return -1;
    return 0;
}

HANDLER(h_load_far)
{
    uint64_t off;
    uint16_t sel;

    if (read_far(c, u, &off, &sel) < 0 || seg_load(c, u->s, sel) < 0)
        return raise_fault(c, u, fl);
    if (u->aux == 2)
        R16(u->d) = (uint16_t)off;
    else
        R64(u->d) = off;
    return leave_next(c, u, fl);
}

/* ---- far transfers ---- */

typedef int far_fn(struct scpu *c, uint16_t sel, uint64_t off, unsigned opsize);

static const struct uop *transfer(struct scpu *c, const struct uop *u, uint64_t fl, far_fn *f, uint16_t sel,
                                  uint64_t off)
{
    c->fl = fl;
    c->rip = uop_next_rip(u);
    if (f(c, sel, off, u->aux) < 0)
        return raise_fault(c, u, fl);
    return NULL;
}

HANDLER(h_jmp_far)
{
    return transfer(c, u, fl, far_jump, (uint16_t)(u->imm >> 32), (uint32_t)u->imm);
}

HANDLER(h_call_far)
{
    return transfer(c, u, fl, far_call, (uint16_t)(u->imm >> 32), (uint32_t)u->imm);
}

HANDLER(h_jmp_far_mem)
{
    uint64_t off;
    uint16_t sel;

    if (read_far(c, u, &off, &sel) < 0)
        return raise_fault(c, u, fl);
    return transfer(c, u, fl, far_jump, sel, off);
}

HANDLER(h_call_far_mem)
{
    uint64_t off;
    uint16_t sel;

    if (read_far(c, u, &off, &sel) < 0)
        return raise_fault(c, u, fl);
    return transfer(c, u, fl, far_call, sel, off);
}

HANDLER(h_ret_far)
{
    c->fl = fl;
    if (far_ret(c, u->aux, (unsigned)u->imm) < 0)
        return raise_fault(c, u, fl);
    return NULL;
}

HANDLER(h_bound)
{
    uint64_t va = EA_X;
    int32_t v, lo, hi;
    int16_t b[2];

    if (u->aux == 2) {
        v = (int16_t)R16(u->d);
        if (mmu_read(c, va, &b[0], 2) < 0 || mmu_read(c, va + 2, &b[1], 2) < 0)
            return raise_fault(c, u, fl);
        lo = b[0];
        hi = b[1];
    } else {
        v = (int32_t)R32(u->d);
        if (mmu_read(c, va, &lo, 4) < 0 || mmu_read(c, va + 4, &hi, 4) < 0)
            return raise_fault(c, u, fl);
    }
    if (v < lo || v > hi) {
        exc_raise(c, VEC_BR);
        return raise_fault(c, u, fl);
    }
    NEXT;
}
