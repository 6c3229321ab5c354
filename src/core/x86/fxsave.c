/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * fxsave: FXSAVE, FXRSTOR, LDMXCSR, STMXCSR, EMMS. As AMD does, the x87 error pointers are
 * saved and restored only while FSW.ES is set, and zero otherwise.
 *
 * SDM 1 10.5.1; AMD APM 2 11.4.4.
 */
#include "core/x86/fpu_int.h"
#include "core/x86/guest_bytes.h"

#include <string.h>

enum {
    FX_XMM = 160,
    FX_BYTES_LEGACY = FX_XMM + 8 * 16, /* outside 64-bit mode there are 8 XMM registers */
    FX_BYTES = FX_XMM + 16 * 16,
};

static uint64_t save(struct scpu *c, void *mem, bool mode64, bool wide)
{
    struct fx_image i;

    fpu_sync(c);
    i = c->fx;
    i.rsv0 = 0;
    i.mxcsr_mask = MXCSR_VALID;
    if (!(i.fsw & FSW_ES)) {
        i.fop = 0;
        i.fip = 0;
        i.fdp = 0;
    } else if (!wide) {
        i.fip = (uint32_t)i.fip;
        i.fdp = (uint32_t)i.fdp;
    }
    for (unsigned r = 0; r < 8; r++)
        memset(i.st[r] + 10, 0, 6);
    guest_copy(mem, &i, mode64 ? FX_BYTES : FX_BYTES_LEGACY);
    return 0;
}

static uint64_t restore(struct scpu *c, const void *mem, bool mode64, bool wide)
{
    size_t n = mode64 ? FX_BYTES : FX_BYTES_LEGACY;
    struct fx_image i = c->fx;

    guest_copy(&i, mem, n);
    if (i.mxcsr & ~MXCSR_VALID)
        return FPU_FAULT | VEC_GP;
    fpu_to_image(c);
    i.mxcsr_mask = c->fx.mxcsr_mask;
    i.fcw = (i.fcw & FCW_VALID) | FCW_ONE;
    if (!wide) {
        i.fip = (uint32_t)i.fip;
        i.fdp = (uint32_t)i.fdp;
    }
    memcpy(&c->fx, &i, sizeof i);
    fpu_image_loaded(c);
    if (!c->fpu.x87_pending) {
        c->fx.fop = 0;
        c->fx.fip = 0;
        c->fx.fdp = 0;
    }
    return 0;
}

#define FX_FN(what, name, mode64, wide)                                                            \
    static uint64_t what##_##name(struct scpu *c, void *reg, void *rm, uint32_t imm)               \
    {                                                                                              \
        (void)reg;                                                                                 \
        (void)imm;                                                                                 \
        return what(c, rm, mode64, wide);                                                          \
    }
FX_FN(save, legacy, false, false)
FX_FN(save, 32, true, false)
FX_FN(save, 64, true, true)
FX_FN(restore, legacy, false, false)
FX_FN(restore, 32, true, false)
FX_FN(restore, 64, true, true)

static uint64_t ldmxcsr(struct scpu *c, void *reg, void *rm, uint32_t imm)
{
    uint32_t v;

    (void)reg;
    (void)imm;
    memcpy(&v, rm, 4);
    if (v & ~MXCSR_VALID)
        return FPU_FAULT | VEC_GP;
    fpu_set_mxcsr(c, v);
    return 0;
}

static uint64_t stmxcsr(struct scpu *c, void *reg, void *rm, uint32_t imm)
{
    uint32_t v = fpu_mxcsr(c);

    (void)reg;
    (void)imm;
    memcpy(rm, &v, 4);
    return 0;
}

static uint64_t emms(struct scpu *c, void *reg, void *rm, uint32_t imm)
{
    (void)reg;
    (void)rm;
    (void)imm;
    fpu_mmx_begin(c); /* TOP = 0, as AMD has it */
    c->fx.ftw = 0;
    c->fpu.where = FPU_IN_IMAGE;
    c->fpu.mmx_slow = 1;
    return 0;
}

#define FX_OP(nm, fun, use) {.name = nm, .fn = (fun), .mem = (use), .class = FPU_FXSR, \
                             .mem_bytes = 512, .align = 16, .feature = FPU_F_BASE}
static const struct fpu_op
    op_save[] = {FX_OP("fxsave", save_legacy, FPU_MEM_RW), FX_OP("fxsave", save_32, FPU_MEM_RW),
                 FX_OP("fxsave64", save_64, FPU_MEM_RW)},
    op_restore[] = {FX_OP("fxrstor", restore_legacy, FPU_MEM_READ), FX_OP("fxrstor", restore_32, FPU_MEM_READ),
                    FX_OP("fxrstor64", restore_64, FPU_MEM_READ)},
    op_ldmxcsr = {.name = "ldmxcsr", .fn = ldmxcsr, .mem = FPU_MEM_READ, .class = FPU_SSE,
                  .mem_bytes = 4, .feature = FPU_F_BASE},
    op_stmxcsr = {.name = "stmxcsr", .fn = stmxcsr, .mem = FPU_MEM_WRITE, .class = FPU_SSE,
                  .mem_bytes = 4, .feature = FPU_F_BASE},
    op_emms = {.name = "emms", .fn = emms, .class = FPU_MMXC, .flags = FPU_WAITS, .feature = FPU_F_BASE};

const struct fpu_op *fxsave_lookup(const struct fpu_query *q)
{
    unsigned size = q->mode64 ? 1 + q->rex_w : 0;

    if (q->prefix != 0)
        return NULL;
    if (q->opcode == 0x77)
        return &op_emms;
    if (q->opcode != 0xae || q->modrm >= 0xc0)
        return NULL;
    switch (q->modrm >> 3 & 7) {
    case 0: return &op_save[size];
    case 1: return &op_restore[size];
    case 2: return &op_ldmxcsr;
    case 3: return &op_stmxcsr;
    default: return NULL;
    }
}
