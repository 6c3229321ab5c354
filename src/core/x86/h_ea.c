/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * h_ea: uops that compute the address of the next uop's memory operand into c->ea, where
 * base + index * scale + disp of 64 bits is not all there is to it.
 */
#include "core/x86/handlers.h"
#include "core/x86/seg.h"

HANDLER(h_ea_base)
{
    c->ea = EA_X + c->seg_base[u->seg];
    NEXT;
}

HANDLER(h_ea_const)
{
    c->ea = u->imm;
    NEXT;
}

HANDLER(h_ea_32)
{
    c->ea = (uint32_t)EA_X;
    if (u->seg == X86_FS || u->seg == X86_GS)
        c->ea += c->seg_base[u->seg];
    NEXT;
}

HANDLER(h_ea_flat)
{
    c->ea = (uint32_t)EA_X;
    NEXT;
}

HANDLER(h_ea_lea)
{
    c->ea = EA_X & u->imm;
    NEXT;
}

HANDLER(h_ea_seg)
{
    uint64_t off = u->aux & EA_A16 ? (uint16_t)EA_X : (uint32_t)EA_X;

    if (seg_linear(c, u->seg, off, u->aux & EA_SIZE, u->aux & EA_WRITE, &c->ea) < 0)
        return raise_fault(c, u, fl);
    NEXT;
}
