/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * h_flags: instructions on single flags, LAHF/SAHF, and SALC, XLAT.
 */
#include "core/x86/handlers.h"

HANDLER(h_cmc)
{
    fl ^= FL_CF;
    NEXT;
}

HANDLER(h_clc)
{
    fl &= ~(uint64_t)FL_CF;
    NEXT;
}

HANDLER(h_stc)
{
    fl |= FL_CF;
    NEXT;
}

HANDLER(h_cld)
{
    c->rflags_sys &= ~(uint64_t)FLAG_DF;
    NEXT;
}

HANDLER(h_std)
{
    c->rflags_sys |= FLAG_DF;
    NEXT;
}

/* CLI and STI: no virtual interrupt flag (CR4.VME, PVI are not there). */
static bool may_change_if(struct scpu *c)
{
    unsigned iopl = (c->rflags_sys & FLAG_IOPL) >> 12;

    if ((c->rflags_sys & FLAG_VM ? 3 : c->cpl) <= iopl || !(c->cr0 & 1))
        return true;
    exc_raise_err(c, VEC_GP, 0);
    return false;
}

HANDLER(h_cli)
{
    if (!may_change_if(c))
        return raise_fault(c, u, fl);
    c->rflags_sys &= ~(uint64_t)FLAG_IF;
    NEXT;
}

/* Ends its block: an interrupt may be waiting, but not before the next instruction is done. */
HANDLER(h_sti)
{
    if (!may_change_if(c))
        return raise_fault(c, u, fl);
    if (!(c->rflags_sys & FLAG_IF)) {
        c->rflags_sys |= FLAG_IF;
        c->shadow = true;
        c->intr_check = true;
    }
    return leave_next(c, u, fl);
}

HANDLER(h_lahf)
{
    R8(X86_RAX * 8 + 1) = (uint8_t)((fl >> 8 & 0xd5) | 2);
    NEXT;
}

HANDLER(h_sahf)
{
    fl = (fl & 1) | (uint64_t)(R8(X86_RAX * 8 + 1) & 0xd5) << 8;
    NEXT;
}

HANDLER(h_salc)
{
    R8(X86_RAX * 8) = fl & FL_CF ? 0xff : 0;
    NEXT;
}

/* The address was computed into c->ea. */
HANDLER(h_xlat)
{
    struct mmu_value mv = mmu_load(c, c->ea, 1);

    if (mv.bad)
        return raise_fault(c, u, fl);
    R8(X86_RAX * 8) = (uint8_t)mv.val;
    NEXT;
}
