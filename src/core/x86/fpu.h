/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * fpu: x87, MMX and SSE instructions, one function each, on operands that are host memory.
 *
 * The decoder asks fpu_lookup once per decoded instruction and keeps the answer. What
 * touches guest memory (effective address, page crossing, alignment, faults) is the
 * caller's: the function gets pointers and cannot fault on them. Before a call the caller has
 * checked CR0.EM/TS, CR4.OSFXSR (#UD, #NM) according to `class`, and FSW.ES (#MF) if
 * FPU_WAITS is set.
 *
 * Threads: functions run on the vCPU's thread between fpu_enter and fpu_leave.
 */
#ifndef RUCHE_CORE_X86_FPU_H
#define RUCHE_CORE_X86_FPU_H

#include "core/x86/scpu.h"

#include <stdbool.h>
#include <stdint.h>

/* What the decoder knows of an instruction. */
struct fpu_query {
    uint8_t map;    /* 0: one-byte map (D8-DF, 9B), 1: 0F, 2: 0F38, 3: 0F3A */
    uint8_t prefix; /* mandatory prefix in force: 0, 0x66, 0xf2, 0xf3 (the last of F2/F3 wins over 66) */
    uint8_t opcode;
    uint8_t modrm;
    bool rex_w;
    bool opsize16; /* effective operand size is 16 bits (environment formats) */
    bool mode64;   /* CS.L */
    bool protected; /* CR0.PE and not VM86 (environment formats) */
};

/* Where an operand lives. */
enum fpu_kind {
    FPU_NONE,
    FPU_XMM, /* pointer to 16 bytes in fx.xmm */
    FPU_MMX, /* pointer to the low 8 bytes of fx.st[i] (physical = ST order handled by the function) */
    FPU_GPR, /* pointer to the 64-bit register; the function itself zero-extends 32-bit results */
};

/* How the instruction uses its memory operand (modrm.mod != 3). */
enum fpu_mem {
    FPU_MEM_NONE,
    FPU_MEM_READ,
    FPU_MEM_WRITE,   /* the function writes all mem_bytes */
    FPU_MEM_RW,
    FPU_MEM_MASKED,  /* MASKMOVQ/MASKMOVDQU: the caller stores bytes of `reg` to DS:rDI where `rm` has bit 7 set */
};

enum fpu_class {
    FPU_X87, /* #NM if CR0.EM or TS */
    FPU_WAIT, /* FWAIT: #NM if CR0.MP and TS */
    FPU_MMXC, /* #UD if CR0.EM, #NM if TS */
    FPU_SSE,  /* #UD if CR0.EM or !CR4.OSFXSR, #NM if TS */
    FPU_FXSR, /* FXSAVE, FXRSTOR: #NM if CR0.EM or TS */
    FPU_FREE, /* no check (prefetch, fences, MOVNTI, CRC32, POPCNT if they were here) */
};

enum {
    FPU_WAITS = 1 << 0,      /* x87/MMX: pending unmasked exception (FSW.ES) is taken first */
    FPU_SETS_FLAGS = 1 << 1, /* the returned value holds the new arithmetic flags, RFLAGS layout */
};

struct fpu_op;

/* `reg`: operand of modrm.reg, `rm`: operand of modrm.rm, register or memory, as their kinds
 * say. `imm`: the immediate byte. x87 instructions find ST in c->fx and get in `imm` the modrm
 * byte; a memory operand is `rm`.
 *
 * Returns FPU_FAULT | vector (error code 0) when it raised an exception and committed nothing;
 * else arithmetic flags if FPU_SETS_FLAGS, else anything without FPU_FAULT. */
#define FPU_FAULT (1ull << 63)
typedef uint64_t fpu_fn(struct scpu *c, void *reg, void *rm, uint32_t imm);

struct fpu_op {
    fpu_fn *fn;
    uint8_t reg, rm;    /* enum fpu_kind; rm is that of mod == 3 */
    uint8_t mem;        /* enum fpu_mem */
    uint8_t class;      /* enum fpu_class */
    uint16_t mem_bytes; /* of the memory operand */
    uint8_t align;      /* a misaligned memory operand is #GP(0); 0: any alignment */
    uint8_t imm_bytes;  /* 0 or 1 follows */
    uint8_t flags;
    const char *name;   /* mnemonic, for tests */
};

/* The instruction, or NULL: it is not ours or not on the host (#UD unless an integer
 * instruction). The answer is constant data. */
const struct fpu_op *fpu_lookup(const struct fpu_query *q);

/* CPUID bits that this part implements on this host: leaf 1 ECX/EDX, leaf 7 EBX. */
void fpu_cpuid(uint32_t *l1_ecx, uint32_t *l1_edx, uint32_t *l7_ebx);

void fpu_reset(struct scpu *c); /* power-up state (FNINIT, MXCSR 1f80) */

/* Host control state (MXCSR, x87) to the guest's / back; around guest code on this thread. */
void fpu_enter(struct scpu *c);
void fpu_leave(struct scpu *c);

#endif
