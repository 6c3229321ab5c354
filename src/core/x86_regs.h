/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * x86_regs: the architectural register state of a vCPU, the same for every accelerator.
 */
#ifndef RUCHE_CORE_X86_REGS_H
#define RUCHE_CORE_X86_REGS_H

#include <stdint.h>

/* Order of the ModRM encoding, and of the segment override prefixes. */
enum { X86_RAX, X86_RCX, X86_RDX, X86_RBX, X86_RSP, X86_RBP, X86_RSI, X86_RDI };
enum { X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS, X86_LDTR, X86_TR, X86_NSEGS };

/* Bits of x86_seg.attr: descriptor bits 40-55 without the limit (SDM 3A 3.4.5). */
enum {
    X86_SEG_TYPE = 0x000f,
    X86_SEG_S = 0x0010, /* code or data */
    X86_SEG_DPL_SHIFT = 5,
    X86_SEG_P = 0x0080,
    X86_SEG_AVL = 0x1000,
    X86_SEG_L = 0x2000,
    X86_SEG_DB = 0x4000,
    X86_SEG_G = 0x8000,
};

struct x86_seg {
    uint64_t base;
    uint32_t limit; /* in bytes, scaled by G already */
    uint16_t sel;
    uint16_t attr; /* not present (no X86_SEG_P): unusable */
};

struct x86_table {
    uint64_t base;
    uint16_t limit;
};

struct x86_regs {
    uint64_t gpr[16]; /* rax rcx rdx rbx rsp rbp rsi rdi r8..r15 */
    uint64_t rip, rflags;
    struct x86_seg seg[X86_NSEGS];
    struct x86_table gdt, idt;
    uint64_t cr0, cr2, cr3, cr4, cr8;
    uint64_t efer, apic_base;
    uint64_t dr[8]; /* 4 and 5 unused */
};

/* The state after INIT or power-up with CS:IP at `sipi_vector << 12` (SDM 3A 10.1.1, table 10-1). */
void x86_regs_reset(struct x86_regs *r);
void x86_regs_sipi(struct x86_regs *r, uint8_t sipi_vector);

#endif
