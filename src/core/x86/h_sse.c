/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * h_sse: the SSE instructions that programs are full of, done by the handler itself instead of by
 * a call of the function in sse_stubs.c. Anything unusual (the FPU is not available, SIMD
 * exceptions are unmasked, the operand is misaligned or not at hand) goes to the handler of
 * h_fpu.c that does the same instruction in general. `d` and `s` are as there, imm is its function.
 *
 * The compiler keeps nothing in XMM registers here (-mgeneral-regs-only): xmm0 and xmm1 are free.
 */
#include "core/x86/fpu.h"
#include "core/x86/handlers.h"

#define OPERAND(units) ((void *)((uint64_t *)c + (units)))

/* The host's instructions `code`, with %0 = operand of modrm.reg, %1 = that of modrm.rm. */
#define DO(code, reg, rm) __asm__ volatile(code : : "r"(reg), "r"(rm) : "memory")

/* Instructions in which `x` may raise #XM. */
#define UNUSUAL(x) unlikely((c->fpu_trap & 1 << FPU_SSE) | ((x) ? c->fpu.mx_trap : 0))

#define SLOW(N)                                                                                    \
    HANDLER_S(load##N##_s)                                                                         \
    {                                                                                              \
        (void)va;                                                                                  \
        return h_sse_rm##N(c, u, fl);                                                              \
    }                                                                                              \
    HANDLER_S(store##N##_s)                                                                        \
    {                                                                                              \
        (void)va;                                                                                  \
        return h_sse_mr##N(c, u, fl);                                                              \
    }
SLOW(4)
SLOW(8)
SLOW(16)

#define H_RR(name, code, x)                                                                        \
    static HANDLER(h_##name##_rr)                                                                  \
    {                                                                                              \
        if (UNUSUAL(x))                                                                            \
            return h_sse_rr(c, u, fl);                                                             \
        DO(code, OPERAND(u->d), OPERAND(u->s));                                                    \
        NEXT;                                                                                      \
    }
#define H_LOAD(name, code, N, x)                                                                   \
    static HANDLER(h_##name##_rm)                                                                  \
    {                                                                                              \
        uint64_t va = EA_X;                                                                        \
        if (UNUSUAL(x) | unlikely(va & u->aux))                                                    \
            return h_sse_rm##N(c, u, fl);                                                          \
        PROBE_R(N, load##N##_s);                                                                   \
        DO(code, OPERAND(u->d), p);                                                                \
        NEXT;                                                                                      \
    }
#define H_STORE(name, code, N)                                                                     \
    static HANDLER(h_##name##_mr)                                                                  \
    {                                                                                              \
        uint64_t va = EA_X;                                                                        \
        if (UNUSUAL(false) | unlikely(va & u->aux))                                                \
            return h_sse_mr##N(c, u, fl);                                                          \
        PROBE_W(N, store##N##_s);                                                                  \
        DO(code, OPERAND(u->d), p);                                                                \
        NEXT;                                                                                      \
    }

/* reg = f(reg, rm) */
#define BINARY(insn) "movaps (%0), %%xmm0\n\t" insn " (%1), %%xmm0\n\tmovaps %%xmm0, (%0)"
#define ARITHMETIC(F)                                                                              \
    F(addss, 4) F(addsd, 8) F(addps, 16) F(addpd, 16) F(subss, 4) F(subsd, 8) F(subps, 16)         \
    F(subpd, 16) F(mulss, 4) F(mulsd, 8) F(mulps, 16) F(mulpd, 16) F(divss, 4) F(divsd, 8)         \
    F(divps, 16) F(divpd, 16) F(sqrtss, 4) F(sqrtsd, 8)
#define LOGIC(F)                                                                                   \
    F(andps, 16) F(andpd, 16) F(andnps, 16) F(andnpd, 16) F(orps, 16) F(orpd, 16) F(xorps, 16)     \
    F(xorpd, 16) F(pand, 16) F(pandn, 16) F(por, 16) F(pxor, 16) F(pcmpeqb, 16) F(pcmpeqd, 16)     \
    F(pminub, 16) F(paddb, 16) F(paddd, 16) F(paddq, 16) F(psubb, 16) F(psubd, 16) F(pmuludq, 16)  \
    F(punpckldq, 16) F(punpcklqdq, 16) F(unpcklps, 16) F(unpcklpd, 16)
#define H_ARITHMETIC(insn, N) H_RR(insn, BINARY(#insn), true) H_LOAD(insn, BINARY(#insn), N, true)
#define H_LOGIC(insn, N) H_RR(insn, BINARY(#insn), false) H_LOAD(insn, BINARY(#insn), N, false)
ARITHMETIC(H_ARITHMETIC)
LOGIC(H_LOGIC)

/* reg = rm, and back */
#define LOAD(insn) insn " (%1), %%xmm0\n\tmovaps %%xmm0, (%0)"
#define STORE(insn) "movaps (%0), %%xmm0\n\t" insn " %%xmm0, (%1)"
H_RR(copy, LOAD("movaps"), false)
H_LOAD(load4, LOAD("movss"), 4, false)
H_LOAD(load8, LOAD("movsd"), 8, false)
H_LOAD(load16, LOAD("movups"), 16, false)
H_STORE(store4, STORE("movss"), 4)
H_STORE(store8, STORE("movsd"), 8)
H_STORE(store16, STORE("movups"), 16)
/* the low part alone, between registers */
#define MERGE(insn)                                                                                \
    "movaps (%0), %%xmm0\n\tmovaps (%1), %%xmm1\n\t" insn " %%xmm1, %%xmm0\n\tmovaps %%xmm0, (%0)"
H_RR(movss, MERGE("movss"), false)
H_RR(movsd, MERGE("movsd"), false)
H_RR(movq, LOAD("movq"), false)

#define FUNCTION(insn, N) fpu_fn fpu_i_##insn;
ARITHMETIC(FUNCTION)
LOGIC(FUNCTION)
#define COPIES(LD, ST)                                                                             \
    LD(movss_ld, 4, NULL) LD(movsd_ld, 8, NULL) LD(movq_vw, 8, h_movq_rr) ST(movss_st, 4)          \
    ST(movsd_st, 8) ST(movq_mw, 8) LD(movaps_ld, 16, h_copy_rr) LD(movapd_ld, 16, h_copy_rr)       \
    LD(movdqa_ld, 16, h_copy_rr) LD(movups_ld, 16, h_copy_rr) LD(movupd_ld, 16, h_copy_rr)         \
    LD(movdqu_ld, 16, h_copy_rr) ST(movaps_st, 16) ST(movapd_st, 16) ST(movdqa_st, 16)             \
    ST(movups_st, 16) ST(movupd_st, 16) ST(movdqu_st, 16)
#define COPY_FUNCTION(name, ...) fpu_fn fpu_i_##name;
COPIES(COPY_FUNCTION, COPY_FUNCTION)
fpu_fn fpu_i_movss_rr, fpu_i_movsd_rr;

/* clang-format off */
static const struct hot {
    fpu_fn *function; /* its general form */
    uop_fn *rr, *mem;
} hot[] = {
#define ROW(insn, N) {fpu_i_##insn, h_##insn##_rr, h_##insn##_rm},
#define ROW_LD(name, N, copy) {fpu_i_##name, copy, h_load##N##_rm},
#define ROW_ST(name, N) {fpu_i_##name, NULL, h_store##N##_mr},
    ARITHMETIC(ROW) LOGIC(ROW) COPIES(ROW_LD, ROW_ST)
    {fpu_i_movss_rr, h_movss_rr, NULL}, {fpu_i_movsd_rr, h_movsd_rr, NULL},
};
/* clang-format on */

uop_fn *sse_hot(fpu_fn *function, bool mem)
{
    for (size_t i = 0; i < sizeof hot / sizeof *hot; i++) {
        if (hot[i].function == function)
            return mem ? hot[i].mem : hot[i].rr;
    }
    return NULL;
}
