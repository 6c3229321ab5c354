/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sse: the decoder's table of MMX and SSE instructions (sse_ops.h) and what happens when the
 * guest has unmasked SIMD exceptions. The instructions themselves are in sse_stubs.c.
 *
 * SDM 1 11.5 (SIMD exceptions), SDM 2 appendix A (opcode maps).
 */
#include "core/x86/fpu_int.h"

#include <string.h>

/* Operand kinds of each form: what fpu_op says of it. */
#define FORM_LD .reg = FPU_XMM, .rm = FPU_XMM, .mem = FPU_MEM_READ, .class = FPU_SSE
#define FORM_ST .reg = FPU_XMM, .rm = FPU_XMM, .mem = FPU_MEM_WRITE, .class = FPU_SSE
#define FORM_STi FORM_ST, .imm_bytes = 1
#define FORM_NT FORM_ST
#define FORM_VW FORM_LD
#define FORM_VWi FORM_LD, .imm_bytes = 1
#define FORM_VWX FORM_LD, .flags = FPU_SIMD_EX
#define FORM_VWXi FORM_VWX, .imm_bytes = 1
#define FORM_VW0 FORM_LD
#define FORM_VWU FORM_LD
#define FORM_VWUi FORM_LD, .imm_bytes = 1
#define FORM_VWU0 FORM_LD
#define FORM_VU .reg = FPU_XMM, .rm = FPU_XMM, .class = FPU_SSE
#define FORM_VUi FORM_VU, .imm_bytes = 1
#define FORM_UVq FORM_VU
#define FORM_UVi .rm = FPU_XMM, .class = FPU_SSE, .imm_bytes = 1
#define FORM_GU .reg = FPU_GPR, .rm = FPU_XMM, .class = FPU_SSE
#define FORM_GUi FORM_GU, .imm_bytes = 1
#define FORM_GWX FORM_GU, .mem = FPU_MEM_READ, .flags = FPU_SIMD_EX
#define FORM_EVr .reg = FPU_XMM, .rm = FPU_GPR, .class = FPU_SSE
#define FORM_EVri FORM_EVr, .imm_bytes = 1
#define FORM_VE FORM_EVr, .mem = FPU_MEM_READ
#define FORM_VEi FORM_VE, .imm_bytes = 1
#define FORM_VEX FORM_VE, .flags = FPU_SIMD_EX
#define FORM_FW FORM_LD, .flags = FPU_SETS_FLAGS
#define FORM_FWX FORM_LD, .flags = FPU_SETS_FLAGS | FPU_SIMD_EX
#define FORM_ESM FORM_LD, .imm_bytes = 1, .flags = FPU_SETS_FLAGS | FPU_IMPLICIT
#define FORM_ESI FORM_ESM
#define FORM_ISM FORM_ESM
#define FORM_ISI FORM_ESM
#define FORM_PMV .reg = FPU_MMX, .rm = FPU_MMX, .class = FPU_MMXC, .flags = FPU_WAITS
#define FORM_PQ FORM_PMV, .mem = FPU_MEM_READ
#define FORM_PQi FORM_PQ, .imm_bytes = 1
#define FORM_PLQ FORM_PQ
#define FORM_GP8 .reg = FPU_MMX, .rm = FPU_GPR, .class = FPU_MMXC, .flags = FPU_WAITS
#define FORM_GP4 FORM_GP8
#define FORM_PLD4 FORM_GP8, .mem = FPU_MEM_READ
#define FORM_PLD8 FORM_PLD4
#define FORM_PEi FORM_PLD4, .imm_bytes = 1
#define FORM_PST4 .reg = FPU_MMX, .mem = FPU_MEM_WRITE, .class = FPU_MMXC, .flags = FPU_WAITS
#define FORM_PST8 FORM_PST4
#define FORM_GP .reg = FPU_GPR, .rm = FPU_MMX, .class = FPU_MMXC, .flags = FPU_WAITS
#define FORM_GPi FORM_GP, .imm_bytes = 1
#define FORM_NQi .rm = FPU_MMX, .class = FPU_MMXC, .imm_bytes = 1, .flags = FPU_WAITS
#define FORM_VN .reg = FPU_XMM, .rm = FPU_MMX, .class = FPU_SSE, .flags = FPU_WAITS
#define FORM_PU .reg = FPU_MMX, .rm = FPU_XMM, .class = FPU_SSE, .flags = FPU_WAITS
#define FORM_PWX FORM_PU, .mem = FPU_MEM_READ, .flags = FPU_WAITS | FPU_SIMD_EX
#define FORM_VQX FORM_VN, .mem = FPU_MEM_READ, .flags = FPU_WAITS | FPU_SIMD_EX
#define FORM_MASKP FORM_PMV, .mem = FPU_MEM_MASKED
#define FORM_MASKV FORM_VU, .mem = FPU_MEM_MASKED

#define SSE_HEAD(name, ...) fpu_fn fpu_i_##name;
#define SSE_ALSO(name, ...) fpu_fn fpu_i_##name;
#include "core/x86/sse_ops.h"

enum {
#define SSE_HEAD(name, ...) ROW_##name,
#define SSE_ALSO(name, ...) ROW_##name,
#include "core/x86/sse_ops.h"
    ROWS
};

struct sse_row {
    struct fpu_op op;
    uint8_t sel;
    bool also; /* same opcode as the row before */
};

/* Later members of a row override those of its form on purpose. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
#define ROW(nm, sl, form, bytes, al, ext, mask, top, is_also)                                      \
    [ROW_##nm] = {.op = {FORM_##form, .name = #nm, .fn = fpu_i_##nm, .mem_bytes = (bytes),         \
                         .align = (al) > 1 ? (al) : 0, .feature = FPU_F_##ext, .imm_mask = (mask), \
                         .imm_top = (top), .imm_step = FPU_IMM_STEP_##form},                       \
                  .sel = (sl), .also = (is_also)},
static const struct sse_row rows[ROWS + 1] = {
#define SSE_HEAD(name, pfx, map, opc, sel, form, bytes, align, ext, mask, top)                     \
    ROW(name, sel, form, bytes, align, ext, mask, top, false)
#define SSE_ALSO(name, pfx, map, opc, sel, form, bytes, align, ext, mask, top)                     \
    ROW(name, sel, form, bytes, align, ext, mask, top, true)
#include "core/x86/sse_ops.h"
};
#pragma GCC diagnostic pop

#define PFX_INDEX(p) ((p) == 0x66 ? 1 : (p) == 0xf3 ? 2 : (p) == 0xf2 ? 3 : 0)

/* First row of each opcode, plus one. */
static const uint16_t heads[3][256][4] = {
#define SSE_HEAD(name, pfx, map, opc, ...) [(map) - 1][opc][PFX_INDEX(pfx)] = ROW_##name + 1,
#define SSE_ALSO(name, ...)
#include "core/x86/sse_ops.h"
};

static bool row_applies(const struct sse_row *r, const struct fpu_query *q)
{
    bool is_reg = q->modrm >= 0xc0;

    if (r->sel & (is_reg ? SEL_MEM : SEL_REG))
        return false;
    if (r->sel & (q->rex_w ? SEL_W0 : SEL_W1))
        return false;
    return !(r->sel & 16) || r->sel >> 5 == ((q->modrm >> 3) & 7);
}

const struct fpu_op *sse_lookup(const struct fpu_query *q)
{
    unsigned n = heads[q->map - 1][q->opcode][PFX_INDEX(q->prefix)];

    if (n == 0)
        return NULL;
    const struct sse_row *r = &rows[n - 1];
    do {
        if (row_applies(r, q))
            return r->op.feature & q->features ? &r->op : NULL;
        r++;
    } while (r->also);
    return NULL;
}

/* Runs `raw` with all masked and the flags clear; returns the flags it raised. */
static uint32_t run_masked(struct scpu *c, void *reg, void *rm, fpu_fn *raw, uint32_t mxcsr, uint64_t *ret)
{
    host_set_mxcsr((mxcsr | MXCSR_MASKS) & ~MXCSR_FLAGS);
    *ret = raw(c, reg, rm, 0);
    return host_mxcsr() & MXCSR_FLAGS;
}

/* All that can raise SIMD exceptions writes `reg` and nothing else (but flags), so it can be
 * undone. A tiny exact result raises U only if that is unmasked, so the masked run does not show
 * it; flushing to zero does. Exceptions of the operands (I D Z), unmasked, keep the operation from
 * being done, so that those of the result are not flagged. SDM 1 11.5.2, 11.5.3, 4.9.1.5. */
uint64_t fpu_mx_trap(struct scpu *c, void *reg, void *rm, uint32_t imm, fpu_fn *raw)
{
    uint32_t mxcsr = fpu_mxcsr(c), unmasked = ~mxcsr >> MXCSR_MASK_SHIFT & MXCSR_FLAGS;
    uint8_t before[16], after[16];
    uint64_t ret, ret2;

    (void)imm;
    if ((char *)reg >= (char *)c->fx.st && (char *)reg < (char *)c->fx.xmm)
        fpu_mmx_begin(c); /* it may move what `reg` points at */
    memcpy(before, reg, sizeof before);
    uint32_t raised = run_masked(c, reg, rm, raw, mxcsr, &ret);
    if ((unmasked & EX_U) && !(raised & EX_U)) {
        memcpy(after, reg, sizeof after);
        memcpy(reg, before, sizeof before);
        raised |= run_masked(c, reg, rm, raw, mxcsr | MXCSR_FTZ, &ret2) & EX_U;
        memcpy(reg, after, sizeof after);
    }
    if (raised & unmasked & (EX_I | EX_D | EX_Z))
        raised &= EX_I | EX_D | EX_Z;
    host_set_mxcsr(mxcsr | MXCSR_MASKS | raised);
    if (!(raised & unmasked))
        return ret;
    memcpy(reg, before, sizeof before);
    return FPU_FAULT | (c->cr4 & 1u << 10 ? VEC_XM : VEC_UD);
}
