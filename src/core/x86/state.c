/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * state: RFLAGS, and what follows from a change of segments, control registers and CPL.
 */
#include "core/x86/flags.h"
#include "core/x86/io.h"
#include "core/x86/mmu.h"
#include "core/x86/scpu.h"

uint64_t scpu_rflags(const struct scpu *c)
{
    return fl_to_rflags(c->fl) | c->rflags_sys | 2;
}

void scpu_set_rflags(struct scpu *c, uint64_t v)
{
    uint64_t sys = v & (FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_RF | FLAG_VM |
                        FLAG_AC | FLAG_VIF | FLAG_VIP | FLAG_ID);

    if (sys & ~c->rflags_sys & FLAG_IF)
        c->intr_check = true;
    c->fl = fl_from_rflags(v);
    c->rflags_sys = sys;
    scpu_mode_update(c);
}

static bool is_flat(const struct x86_seg *s)
{
    return s->base == 0 && s->limit == 0xffffffff && s->attr & X86_SEG_P &&
           (s->attr & (X86_SEG_S | 0xe)) == (X86_SEG_S | 2);
}

static uint64_t code_size(const struct scpu *c)
{
    const struct x86_seg *cs = &c->seg[X86_CS];

    if (scpu_long_mode(c) && cs->attr & X86_SEG_L)
        return MODE_CS64;
    return cs->attr & X86_SEG_DB && !(c->rflags_sys & FLAG_VM) ? MODE_CS32 : MODE_CS16;
}

static enum tlb_view view_of(const struct scpu *c)
{
    bool ac = c->rflags_sys & FLAG_AC;

    if (c->cpl == 3)
        return ac && c->cr0 & CR0_AM ? VIEW_USER_AC : VIEW_USER;
    return ac && c->cr4 & CR4_SMAP ? VIEW_KERNEL_AC : VIEW_KERNEL;
}

void scpu_mode_update(struct scpu *c)
{
    uint64_t m = code_size(c) | c->cpl << MODE_CPL_SHIFT;

    if (c->cr0 & CR0_PE)
        m |= MODE_PE;
    if (c->rflags_sys & FLAG_VM)
        m |= MODE_VM86;
    if ((m & MODE_CSIZE) == MODE_CS64) {
        for (int i = 0; i < X86_NSEGS; i++)
            c->seg_base[i] = i == X86_FS || i == X86_GS ? c->seg[i].base : 0;
    } else {
        m |= c->seg[X86_CS].base << 32;
        if (c->seg[X86_SS].attr & X86_SEG_DB)
            m |= MODE_SS32;
        if (is_flat(&c->seg[X86_DS]) && is_flat(&c->seg[X86_ES]) && is_flat(&c->seg[X86_SS]) &&
            !(m & MODE_VM86))
            m |= MODE_FLAT;
        for (int i = 0; i < X86_NSEGS; i++)
            c->seg_base[i] = c->seg[i].base;
    }
    c->mode = m;
    c->view = view_of(c);
    c->tlb = c->views[c->view];
}
