/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * fpu_int: what fpu.c, sse*.c, x87*.c and fxsave.c share, and nobody else needs.
 */
#ifndef RUCHE_CORE_X86_FPU_INT_H
#define RUCHE_CORE_X86_FPU_INT_H

#include "core/x86/fpu.h"

enum {
    MXCSR_FLAGS = 0x003f,
    MXCSR_DAZ = 0x0040,
    MXCSR_MASKS = 0x1f80,
    MXCSR_MASK_SHIFT = 7,
    MXCSR_FTZ = 0x8000,
    MXCSR_VALID = 0xffff, /* all others are #GP: the misaligned mode of AMD is not advertised */

    FCW_MASKS = 0x3f,
    FCW_VALID = 0x1f7f, /* the other bits are 0 whatever is loaded, */
    FCW_ONE = 0x40,     /* and this one is 1 */
    FSW_ES = 0x80,
    FSW_B = 0x8000,
};

/* Exceptions of MXCSR and FSW. */
enum { EX_I = 1, EX_D = 2, EX_Z = 4, EX_O = 8, EX_U = 16, EX_P = 32 };

/* Distance between the functions of consecutive immediates, by the form of sse_ops.h. */
#define FPU_IMM_STEP_LD 0
#define FPU_IMM_STEP_ST 0
#define FPU_IMM_STEP_STi 16
#define FPU_IMM_STEP_NT 0
#define FPU_IMM_STEP_VW 0
#define FPU_IMM_STEP_VWi 16
#define FPU_IMM_STEP_VWX 0
#define FPU_IMM_STEP_VWXi 48
#define FPU_IMM_STEP_VW0 0
#define FPU_IMM_STEP_VWU 0
#define FPU_IMM_STEP_VWUi 24
#define FPU_IMM_STEP_VWU0 0
#define FPU_IMM_STEP_VU 0
#define FPU_IMM_STEP_VUi 24
#define FPU_IMM_STEP_UVq 0
#define FPU_IMM_STEP_UVi 16
#define FPU_IMM_STEP_GU 0
#define FPU_IMM_STEP_GUi 16
#define FPU_IMM_STEP_GWX 0
#define FPU_IMM_STEP_EVr 0
#define FPU_IMM_STEP_EVri 16
#define FPU_IMM_STEP_VE 0
#define FPU_IMM_STEP_VEi 16
#define FPU_IMM_STEP_VEX 0
#define FPU_IMM_STEP_FW 0
#define FPU_IMM_STEP_FWX 0
#define FPU_IMM_STEP_ESM 48
#define FPU_IMM_STEP_ESI 48
#define FPU_IMM_STEP_ISM 32
#define FPU_IMM_STEP_ISI 32
#define FPU_IMM_STEP_PQ 0
#define FPU_IMM_STEP_PQi 48
#define FPU_IMM_STEP_PEi 48
#define FPU_IMM_STEP_NQi 48
#define FPU_IMM_STEP_PLD4 0
#define FPU_IMM_STEP_PLD8 0
#define FPU_IMM_STEP_PLQ 0
#define FPU_IMM_STEP_PU 0
#define FPU_IMM_STEP_PMV 0
#define FPU_IMM_STEP_PST4 0
#define FPU_IMM_STEP_PST8 0
#define FPU_IMM_STEP_GP4 0
#define FPU_IMM_STEP_GP8 0
#define FPU_IMM_STEP_GP 0
#define FPU_IMM_STEP_GPi 48
#define FPU_IMM_STEP_VN 0
#define FPU_IMM_STEP_PWX 0
#define FPU_IMM_STEP_VQX 0
#define FPU_IMM_STEP_MASKP 0
#define FPU_IMM_STEP_MASKV 0

static inline uint32_t host_mxcsr(void)
{
    uint32_t v;
    __asm__ volatile("stmxcsr %0" : "=m"(v));
    return v;
}

static inline void host_set_mxcsr(uint32_t v)
{
    __asm__ volatile("ldmxcsr %0" : : "m"(v));
}

static inline uint16_t host_fsw(void)
{
    uint16_t v;
    __asm__ volatile("fnstsw %0" : "=a"(v));
    return v;
}

static inline uint16_t host_fcw(void)
{
    uint16_t v;
    __asm__ volatile("fnstcw %0" : "=m"(v));
    return v;
}

/* The guest's MXCSR while inside: masks and modes from the image, sticky flags from the host. */
uint32_t fpu_mxcsr(struct scpu *c);
void fpu_set_mxcsr(struct scpu *c, uint32_t v);

/* x87 state into the host's registers / back into c->fx (no-op where it is there already). */
void fpu_to_host(struct scpu *c);
void fpu_to_image(struct scpu *c);

/* c->fx has been loaded from outside: MXCSR, FSW.ES and where the state is follow from it. */
void fpu_image_loaded(struct scpu *c);

/* Looks at what the host's x87 registers hold now: pending exception, anything unmasked. */
void fpu_x87_update(struct scpu *c);

/* Targets of the assembly: an instruction while SIMD exceptions are unmasked; an x87 instruction
 * while x87_slow is set. `raw` does the instruction alone. */
uint64_t fpu_mx_trap(struct scpu *c, void *reg, void *rm, uint32_t imm, fpu_fn *raw);
uint64_t fpu_x87_slow_call(struct scpu *c, void *reg, void *rm, uint32_t imm, fpu_fn *raw);

/* The tables behind fpu_lookup: maps 1-3 without 0F AE and EMMS; map 0; the rest. */
const struct fpu_op *sse_lookup(const struct fpu_query *q);
const struct fpu_op *x87_lookup(const struct fpu_query *q);
const struct fpu_op *fxsave_lookup(const struct fpu_query *q);

#endif
