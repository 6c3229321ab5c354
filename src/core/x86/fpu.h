/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * fpu: x87, MMX and SSE instructions, one function each, executed by the host's own
 * instruction of the same name, so that results, NaNs and rounding are the hardware's.
 *
 * The decoder asks fpu_lookup once per decoded instruction, fpu_bind once the immediate is
 * known, and keeps the function. Executing it is then one indirect call.
 *
 * Who does what
 *  caller: CR0.EM/TS, CR4.OSFXSR by `class` (#UD, #NM); c->fpu.x87_pending if FPU_WAITS (#MF,
 *          before the effective address is looked at); effective address, alignment (#GP(0)),
 *          page crossing, page faults. Memory operands are passed as host pointers: right into
 *          guest RAM, or a 16-byte aligned bounce buffer where that is not possible (page
 *          crossing, MMIO, ROM). If FPU_SETS_IP: c->fx.fip = offset of the instruction in CS
 *          (its first prefix), c->fx.fop = FPU_FOP(opcode, modrm), and with a memory operand
 *          c->fx.fdp = effective address (offset in its segment), before the call.
 *  here:   operands, MXCSR, #XM (#UD without CR4.OSXMMEXCPT), x87 control and status, tags,
 *          x87/MMX aliasing.
 *
 * Where the state lives. XMM registers are always in c->fx. Between fpu_enter and fpu_leave the
 * host's MXCSR holds the guest's with all exceptions masked, and from the first x87 instruction
 * on the host's x87 registers hold the guest's; c->fx has both again after fpu_leave (or
 * fpu_sync). So all C code that runs in between is built with -mgeneral-regs-only and calls
 * nothing that computes in floating point: put fpu_leave/fpu_enter around calls out of the
 * engine (device models, hooks). It costs 10 ns, 100 ns more if x87 was used. An unmasked
 * exception never reaches the host as a signal: x87 functions look at the host's status word
 * after each instruction while the guest has anything unmasked, SSE functions run masked on a
 * copy of the flags and undo.
 *
 * Threads: everything on the vCPU's thread; a vCPU does not change threads between enter and
 * leave. fpu_lookup and fpu_features: any thread.
 *
 * SDM 1 chapters 8-12, AMD APM 2 11 (FXSAVE without error pointers unless FSW.ES is set).
 */
#ifndef RUCHE_CORE_X86_FPU_H
#define RUCHE_CORE_X86_FPU_H

#include "core/x86/scpu.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Instruction set extensions; which of them an fpu_query may find is up to the caller. */
enum fpu_feature {
    FPU_F_BASE = 1 << 0, /* x87, MMX, SSE, SSE2, FXSR: always there */
    FPU_F_SSE3 = 1 << 1,
    FPU_F_SSSE3 = 1 << 2,
    FPU_F_SSE41 = 1 << 3,
    FPU_F_SSE42 = 1 << 4,
    FPU_F_AES = 1 << 5,
    FPU_F_PCLMUL = 1 << 6,
    FPU_F_SHA = 1 << 7,
};

/* What this host can execute. Costs CPUID instructions (slow in a VM): ask once, keep. */
uint32_t fpu_features(void);

/* The CPUID bits of such a set: leaf 1 ECX/EDX, leaf 7 EBX (with the bit "FCS and FDS are
 * deprecated"; they are stored as 0). */
void fpu_cpuid(uint32_t features, uint32_t *l1_ecx, uint32_t *l1_edx, uint32_t *l7_ebx);

/* What the decoder knows of an instruction. */
struct fpu_query {
    uint32_t features; /* enum fpu_feature */
    uint8_t map;       /* 0: one-byte map (D8-DF, 9B), 1: 0F, 2: 0F38, 3: 0F3A */
    uint8_t prefix;    /* mandatory prefix: 0, 0x66, 0xf2, 0xf3 (the last of F2/F3 wins over 66) */
    uint8_t opcode;
    uint8_t modrm;
    bool rex_w;
    bool opsize16;  /* effective operand size is 16 bits (environment formats) */
    bool mode64;    /* CS.L */
    bool prot_mode; /* CR0.PE and not VM86 (environment formats) */
};

/* Where an operand lives. */
enum fpu_kind {
    FPU_NONE, /* the pointer is not looked at */
    FPU_XMM,  /* pointer to c->fx.xmm[i] */
    FPU_MMX,  /* pointer to c->fx.st[i & 7], whatever TOP is: the function sees to that */
    FPU_GPR,  /* pointer to the 64-bit register; the function zero-extends 32-bit results */
};

/* How the instruction uses its memory operand (modrm.mod != 3). */
enum fpu_mem {
    FPU_MEM_NONE, /* no such form: #UD, fpu_lookup has seen to it */
    FPU_MEM_READ,
    FPU_MEM_WRITE,  /* the function writes all mem_bytes */
    FPU_MEM_RW,     /* it may write less or nothing: fill a bounce buffer with what is there */
    FPU_MEM_MASKED, /* MASKMOVQ/MASKMOVDQU: not called; the caller stores the bytes of `reg` to
                     * DS:rDI of which the byte in `rm` has bit 7 set (after fpu_mmx_begin for
                     * MASKMOVQ) */
};

enum fpu_class {
    FPU_X87,  /* #NM if CR0.EM or TS */
    FPU_WAIT, /* FWAIT: #NM if CR0.MP and TS */
    FPU_MMXC, /* #UD if CR0.EM, #NM if TS */
    FPU_SSE,  /* #UD if CR0.EM or !CR4.OSFXSR, #NM if TS */
    FPU_FXSR, /* FXSAVE, FXRSTOR: #NM if CR0.EM or TS */
};

enum {
    FPU_WAITS = 1 << 0,      /* a pending x87 exception (c->fpu.x87_pending) is taken first: #MF */
    FPU_SETS_FLAGS = 1 << 1, /* the value returned is the new c->fl */
    FPU_SETS_IP = 1 << 2,    /* caller stores c->fx.fip, fop, fdp */
    FPU_USES_FLAGS = 1 << 3, /* reads c->fl (FCMOVcc): store it before the call */
    FPU_SIMD_EX = 1 << 4,    /* may raise #XM */
    FPU_IMPLICIT = 1 << 5,   /* reads or writes GPRs through c (PCMPxSTRx) */
};

/* `reg`: operand of modrm.reg, `rm`: operand of modrm.rm, register or memory, as their kinds
 * say. `imm`: unused by bound functions.
 *
 * Returns FPU_FAULT | vector (error code 0) when it raised an exception and committed nothing;
 * else the new flags if FPU_SETS_FLAGS, else anything without FPU_FAULT. */
#define FPU_FAULT (1ull << 63)
typedef uint64_t fpu_fn(struct scpu *c, void *reg, void *rm, uint32_t imm);

#define FPU_FOP(opcode, modrm) ((uint16_t)(((opcode) & 7) << 8 | (modrm)))

struct fpu_op {
    const char *name; /* mnemonic, for tests */
    fpu_fn *fn;       /* of the lowest immediate; see fpu_bind */
    uint8_t reg, rm;  /* enum fpu_kind; rm is that of mod == 3 */
    uint8_t mem;      /* enum fpu_mem */
    uint8_t class;    /* enum fpu_class */
    uint16_t mem_bytes; /* of the memory operand */
    uint8_t align;      /* a misaligned memory operand is #GP(0); 0: any alignment */
    uint8_t imm_bytes;  /* 0 or 1 follows */
    uint8_t flags;
    uint8_t imm_mask, imm_top; /* one function per immediate up to imm_top, imm_step bytes apart */
    uint16_t imm_step;
    uint32_t feature;
};

/* The instruction, or NULL: it is none of ours, or its extension is not among q->features, or it
 * has no such operand form (#UD unless an integer instruction). The answer is constant data. */
const struct fpu_op *fpu_lookup(const struct fpu_query *q);

/* The function for this immediate (modrm in map 0; 0 where none follows). */
static inline fpu_fn *fpu_bind(const struct fpu_op *op, uint8_t imm)
{
    unsigned n = imm & op->imm_mask;
    if (n > op->imm_top)
        n = op->imm_top;
    return (fpu_fn *)((char *)op->fn + (size_t)n * op->imm_step);
}

/* Power-up state: FNINIT, MXCSR 1f80, registers 0. INIT changes nothing (SDM 3A table 10-1). */
void fpu_reset(struct scpu *c);

/* Host control state to the guest's and back, around guest code on this thread. c->fx may be
 * changed while outside (registers set, snapshot restored). */
void fpu_enter(struct scpu *c);
void fpu_leave(struct scpu *c);

/* Inside: brings c->fx up to date, for those who look at it (debugger, FXSAVE). */
void fpu_sync(struct scpu *c);

/* Inside: enters MMX mode (TOP 0, all tags valid), as each MMX instruction but EMMS does. */
void fpu_mmx_begin(struct scpu *c);

#endif
