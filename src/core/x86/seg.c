/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * seg: segment checks, the stack, descriptor loads, the TSS. SDM 3A chapters 3, 5 and 7.
 * Not here: control transfers (far.c), interrupts (exc.c), task switches (task.c).
 */
#include "core/x86/seg.h"

#include "core/x86/io.h"
#include "core/x86/mmu.h"

#include <string.h>

/* ---- access checks ---- */

static int seg_fault(struct scpu *c, unsigned seg)
{
    return exc_raise_err(c, seg == X86_SS ? VEC_SS : VEC_GP, 0);
}

static bool limit_ok(const struct x86_seg *s, uint64_t off, unsigned n)
{
    uint64_t last = off + n - 1;

    /* Expand-down data: valid above the limit. */
    if ((s->attr & X86_SEG_S) && (s->attr & 0xc) == 4) {
        uint64_t top = s->attr & X86_SEG_DB ? 0xffffffff : 0xffff;

        return off > s->limit && last <= top;
    }
    return last <= s->limit;
}

static bool rights_ok(const struct scpu *c, const struct x86_seg *s, bool write)
{
    bool code = s->attr & 8;

    if (!(s->attr & X86_SEG_P))
        return false;
    if (!scpu_protected(c))
        return true;
    return write ? !code && s->attr & 2 : !code || s->attr & 2;
}

int seg_linear(struct scpu *c, unsigned seg, uint64_t off, unsigned n, bool write, uint64_t *lin)
{
    const struct x86_seg *s = &c->seg[seg];

    if (scpu_code64(c)) {
        *lin = seg == X86_FS || seg == X86_GS ? off + s->base : off;
        return 0;
    }
    *lin = (uint32_t)(off + s->base);
    if (c->mode & MODE_FLAT && seg != X86_FS && seg != X86_GS && seg != X86_CS)
        return 0;
    if (!rights_ok(c, s, write) || !limit_ok(s, off, n))
        return seg_fault(c, seg);
    return 0;
}

/* ---- stack ---- */

uint64_t stack_mask(const struct scpu *c)
{
    if (scpu_code64(c))
        return ~0ull;
    return c->mode & MODE_SS32 ? 0xffffffff : 0xffff;
}

void stack_set_rsp(struct scpu *c, uint64_t v)
{
    uint64_t m = stack_mask(c);

    if (m == 0xffff)
        *(uint16_t *)&c->gpr[X86_RSP] = (uint16_t)v;
    else
        c->gpr[X86_RSP] = v & m;
}

int stack_push(struct scpu *c, uint64_t v, unsigned bytes)
{
    uint64_t sp = c->gpr[X86_RSP] - bytes, lin;
    int r;

    if (seg_linear(c, X86_SS, sp & stack_mask(c), bytes, true, &lin) < 0)
        return -1;
    r = mmu_write(c, lin, &v, bytes);
    if (r >= 0)
        stack_set_rsp(c, sp);
    else if (c->exc.noncanonical)
        c->exc.vec = VEC_SS;
    return r;
}

int stack_check_push(struct scpu *c, unsigned bytes)
{
    uint64_t lin;

    if (seg_linear(c, X86_SS, (c->gpr[X86_RSP] - bytes) & stack_mask(c), bytes, true, &lin) < 0)
        return -1;
    if (mmu_check_write(c, lin, bytes) < 0) {
        if (c->exc.noncanonical)
            c->exc.vec = VEC_SS;
        return -1;
    }
    return 0;
}

int stack_peek(struct scpu *c, unsigned off, uint64_t *v, unsigned bytes)
{
    uint64_t lin;

    *v = 0;
    if (seg_linear(c, X86_SS, (c->gpr[X86_RSP] + off) & stack_mask(c), bytes, false, &lin) < 0)
        return -1;
    if (mmu_read(c, lin, v, bytes) < 0) {
        if (c->exc.noncanonical)
            c->exc.vec = VEC_SS;
        return -1;
    }
    return 0;
}

int stack_pop(struct scpu *c, uint64_t *v, unsigned bytes)
{
    if (stack_peek(c, 0, v, bytes) < 0)
        return -1;
    stack_set_rsp(c, c->gpr[X86_RSP] + bytes);
    return 0;
}

/* ---- descriptors ---- */

static bool table_of(const struct scpu *c, uint16_t sel, uint64_t *base, uint32_t *limit)
{
    if (sel & SEL_TI) {
        *base = c->seg[X86_LDTR].base;
        *limit = c->seg[X86_LDTR].limit;
        return c->seg[X86_LDTR].attr & X86_SEG_P;
    }
    *base = c->gdt.base;
    *limit = c->gdt.limit;
    return true;
}

bool desc_in_table(const struct scpu *c, uint16_t sel, unsigned bytes)
{
    uint64_t base;
    uint32_t limit;

    return table_of(c, sel, &base, &limit) && (sel & ~7u) + bytes - 1 <= limit;
}

/* Beyond the table: fault `vec` with the selector. */
int desc_read(struct scpu *c, uint16_t sel, struct desc *d, bool wide, unsigned vec)
{
    unsigned bytes = wide ? 16 : 8;
    uint64_t base;
    uint32_t limit;

    d->hi = 0;
    table_of(c, sel, &base, &limit);
    if (!desc_in_table(c, sel, bytes))
        return exc_raise_err(c, vec, sel & ~3u);
    return mmu_read_sys(c, base + (sel & ~7u), d, bytes);
}

void desc_to_seg(struct x86_seg *s, uint16_t sel, const struct desc *d)
{
    s->sel = sel;
    s->attr = (uint16_t)(d->lo >> 40 & 0xf0ff);
    s->base = (d->lo >> 16 & 0xffffff) | (d->lo >> 32 & 0xff000000);
    s->limit = (uint32_t)((d->lo & 0xffff) | (d->lo >> 32 & 0xf0000));
    if (s->attr & X86_SEG_G)
        s->limit = s->limit << 12 | 0xfff;
}

int desc_set_accessed(struct scpu *c, uint16_t sel, struct desc *d)
{
    uint64_t base;
    uint32_t limit;
    uint8_t type;

    if (d->lo >> 40 & 1)
        return 0;
    d->lo |= 1ull << 40;
    table_of(c, sel, &base, &limit);
    type = (uint8_t)(d->lo >> 40);
    return mmu_write_sys(c, base + (sel & ~7u) + 5, &type, 1) < 0 ? -1 : 0;
}

void seg_real(struct scpu *c, unsigned seg, uint16_t sel)
{
    struct x86_seg *s = &c->seg[seg];

    s->sel = sel;
    s->base = (uint64_t)sel << 4;
    if (c->rflags_sys & FLAG_VM) {
        s->limit = 0xffff;
        s->attr = 0xf3;
    } else {
        /* Limit and attributes stay ("unreal" mode), but the segment is usable again. */
        s->attr |= X86_SEG_P;
    }
    scpu_mode_update(c);
}

static int load_null(struct scpu *c, unsigned seg, uint16_t sel)
{
    if (seg == X86_SS && (!scpu_code64(c) || c->cpl == 3 || (sel & SEL_RPL) != c->cpl))
        return exc_raise_err(c, VEC_GP, 0);
    c->seg[seg] = (struct x86_seg){.sel = sel};
    if (seg == X86_SS)
        c->seg[seg].attr = (uint16_t)(c->cpl << X86_SEG_DPL_SHIFT);
    scpu_mode_update(c);
    return 0;
}

static bool data_segment_ok(const struct scpu *c, unsigned seg, uint16_t sel, unsigned attr)
{
    unsigned dpl = attr >> X86_SEG_DPL_SHIFT & 3, rpl = sel & SEL_RPL;
    bool code = attr & 8;

    if (!(attr & X86_SEG_S))
        return false;
    if (seg == X86_SS)
        return !code && attr & 2 && rpl == c->cpl && dpl == c->cpl;
    if (code && !(attr & 2))
        return false;
    if (code && attr & 4) /* conforming: any privilege */
        return true;
    return dpl >= rpl && dpl >= c->cpl;
}

int seg_load(struct scpu *c, unsigned seg, uint16_t sel)
{
    struct x86_seg s;
    struct desc d;

    if (!scpu_protected(c)) {
        seg_real(c, seg, sel);
        return 0;
    }
    if ((sel & ~3u) == 0)
        return load_null(c, seg, sel);
    if (desc_read(c, sel, &d, false, VEC_GP) < 0)
        return -1;
    desc_to_seg(&s, sel, &d);
    if (!data_segment_ok(c, seg, sel, s.attr))
        return exc_raise_err(c, VEC_GP, sel & ~3u);
    if (!(s.attr & X86_SEG_P))
        return exc_raise_err(c, seg == X86_SS ? VEC_SS : VEC_NP, sel & ~3u);
    if (desc_set_accessed(c, sel, &d) < 0)
        return -1;
    s.attr |= 1;
    c->seg[seg] = s;
    scpu_mode_update(c);
    return 0;
}

/* LDTR and TR: 16-byte descriptors in long mode. */
static int load_system(struct scpu *c, unsigned seg, uint16_t sel, struct desc *d)
{
    struct x86_seg s;

    if (sel & SEL_TI)
        return exc_raise_err(c, VEC_GP, sel & ~3u);
    if (desc_read(c, sel, d, scpu_long_mode(c), VEC_GP) < 0)
        return -1;
    desc_to_seg(&s, sel, d);
    if (scpu_long_mode(c))
        s.base |= d->hi << 32;
    if (s.attr & X86_SEG_S || (seg == X86_LDTR ? (s.attr & 15) != 2 : (s.attr & 15) != 9 && (s.attr & 15) != 1) ||
        ((s.attr & 15) == 1 && scpu_long_mode(c)) || !mmu_canonical(s.base))
        return exc_raise_err(c, VEC_GP, sel & ~3u);
    if (!(s.attr & X86_SEG_P))
        return exc_raise_err(c, VEC_NP, sel & ~3u);
    c->seg[seg] = s;
    return 0;
}

int seg_load_ldt(struct scpu *c, uint16_t sel)
{
    struct desc d;

    if ((sel & ~3u) == 0) {
        c->seg[X86_LDTR] = (struct x86_seg){.sel = sel};
        return 0;
    }
    return load_system(c, X86_LDTR, sel, &d);
}

int seg_load_tr(struct scpu *c, uint16_t sel)
{
    struct x86_seg old = c->seg[X86_TR];
    struct desc d;
    uint8_t type;

    if ((sel & ~3u) == 0)
        return exc_raise_err(c, VEC_GP, 0);
    if (load_system(c, X86_TR, sel, &d) < 0)
        return -1;
    c->seg[X86_TR].attr |= 2; /* busy */
    type = (uint8_t)(d.lo >> 40) | 2;
    if (mmu_write_sys(c, c->gdt.base + (sel & ~7u) + 5, &type, 1) < 0) {
        c->seg[X86_TR] = old;
        return -1;
    }
    return 0;
}

void seg_flat_code(struct scpu *c, uint16_t sel, unsigned dpl, bool l)
{
    c->seg[X86_CS] = (struct x86_seg){
        .sel = sel, .limit = 0xffffffff,
        .attr = (uint16_t)(0xb | X86_SEG_S | X86_SEG_P | X86_SEG_G | dpl << X86_SEG_DPL_SHIFT |
                           (l ? X86_SEG_L : X86_SEG_DB)),
    };
}

void seg_flat_stack(struct scpu *c, uint16_t sel, unsigned dpl)
{
    c->seg[X86_SS] = (struct x86_seg){
        .sel = sel, .limit = 0xffffffff,
        .attr = (uint16_t)(3 | X86_SEG_S | X86_SEG_P | X86_SEG_G | X86_SEG_DB | dpl << X86_SEG_DPL_SHIFT),
    };
}

/* ---- TSS ---- */

static int tss_read(struct scpu *c, unsigned off, void *buf, unsigned n)
{
    const struct x86_seg *t = &c->seg[X86_TR];

    if (off + n - 1 > t->limit)
        return exc_raise_err(c, VEC_TS, t->sel & ~3u);
    return mmu_read_sys(c, t->base + off, buf, n);
}

/* `index`: 0-2 RSP of a level, 3 + n for IST n (1-7). */
int tss_stack64(struct scpu *c, unsigned index, uint64_t *rsp)
{
    unsigned off = index < 3 ? 4 + 8 * index : 0x24 + 8 * (index - 4);

    if (tss_read(c, off, rsp, 8) < 0)
        return -1;
    if (!mmu_canonical(*rsp))
        return exc_raise_err(c, VEC_SS, 0);
    return 0;
}

int tss_stack(struct scpu *c, unsigned cpl, uint16_t *ss, uint32_t *esp)
{
    bool wide = c->seg[X86_TR].attr & 8;

    *esp = 0;
    if (!wide)
        return tss_read(c, 2 + 4 * cpl, esp, 2) < 0 || tss_read(c, 4 + 4 * cpl, ss, 2) < 0 ? -1 : 0;
    return tss_read(c, 4 + 8 * cpl, esp, 4) < 0 || tss_read(c, 8 + 8 * cpl, ss, 2) < 0 ? -1 : 0;
}

int tss_io_allowed(struct scpu *c, uint16_t port, unsigned bytes)
{
    const struct x86_seg *t = &c->seg[X86_TR];
    unsigned iopl = (c->rflags_sys & FLAG_IOPL) >> 12;
    uint16_t map, bits;
    uint32_t byte;

    if (!(c->cr0 & CR0_PE) || (c->cpl <= iopl && !(c->rflags_sys & FLAG_VM)))
        return 0;
    if (!(t->attr & X86_SEG_P) || !(t->attr & 8) || t->limit < 0x67)
        return exc_raise_err(c, VEC_GP, 0);
    if (mmu_read_sys(c, t->base + 0x66, &map, 2) < 0)
        return -1;
    byte = (uint32_t)map + port / 8;
    if (byte + 1 > t->limit)
        return exc_raise_err(c, VEC_GP, 0);
    if (mmu_read_sys(c, t->base + byte, &bits, 2) < 0)
        return -1;
    if (bits >> (port & 7) & ((1u << bytes) - 1))
        return exc_raise_err(c, VEC_GP, 0);
    return 0;
}
