/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * x86_regs: the state after reset, INIT and start-up IPI. SDM 3A table 10-1.
 */
#include "core/x86_regs.h"

#include <string.h>

enum { DATA_RW_ACCESSED = 3, CODE_RX_ACCESSED = 11, LDT = 2, TSS_BUSY = 11 };

static struct x86_seg real_seg(unsigned type, unsigned s)
{
    return (struct x86_seg){.limit = 0xffff, .attr = (uint16_t)(type | s | X86_SEG_P)};
}

void x86_regs_reset(struct x86_regs *r)
{
    memset(r, 0, sizeof *r);
    for (int i = X86_ES; i <= X86_GS; i++)
        r->seg[i] = real_seg(DATA_RW_ACCESSED, X86_SEG_S);
    r->seg[X86_CS] = real_seg(CODE_RX_ACCESSED, X86_SEG_S);
    r->seg[X86_CS].sel = 0xf000;
    r->seg[X86_CS].base = 0xffff0000;
    r->seg[X86_LDTR] = real_seg(LDT, 0);
    r->seg[X86_TR] = real_seg(TSS_BUSY, 0);
    r->rip = 0xfff0;
    r->rflags = 2;
    r->gdt.limit = r->idt.limit = 0xffff;
    r->cr0 = 0x60000010;
    r->apic_base = 0xfee00800;
    r->dr[6] = 0xffff0ff0;
    r->dr[7] = 0x400;
}

void x86_regs_sipi(struct x86_regs *r, uint8_t sipi_vector)
{
    r->seg[X86_CS].sel = (uint16_t)(sipi_vector << 8);
    r->seg[X86_CS].base = (uint64_t)sipi_vector << 12;
    r->rip = 0;
}
