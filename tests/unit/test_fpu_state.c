/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What fpu.h promises about where state lives and how exceptions come; the instructions' results
 * are compared with the host by tests/oracle.
 */
#include "core/x86/fpu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct fpu_op *find(uint8_t map, uint8_t prefix, uint8_t opcode, uint8_t modrm)
{
    struct fpu_query q = {.features = fpu_features(), .map = map, .prefix = prefix, .opcode = opcode,
                          .modrm = modrm, .mode64 = true, .prot_mode = true};
    return fpu_lookup(&q);
}

/* Executes with modrm.reg = `reg` and modrm.rm = `rm`, or memory `mem`. */
static uint64_t run(struct scpu *c, uint8_t map, uint8_t prefix, uint8_t opcode, unsigned reg, unsigned rm,
                    void *mem, uint8_t imm)
{
    uint8_t modrm = (uint8_t)((mem ? 0 : 0xc0) | reg << 3 | rm);
    const struct fpu_op *op = find(map, prefix, opcode, modrm);
    void *ptr[2] = {NULL, mem};
    const uint8_t kind[2] = {op->reg, op->rm}, index[2] = {(uint8_t)reg, (uint8_t)rm};

    for (unsigned i = 0; i < 2; i++)
        if (ptr[i] == NULL)
            ptr[i] = kind[i] == FPU_XMM ? (void *)c->fx.xmm[index[i]]
                     : kind[i] == FPU_MMX ? (void *)c->fx.st[index[i]]
                     : kind[i] == FPU_GPR ? (void *)&c->gpr[index[i]]
                                          : NULL;
    return fpu_bind(op, map == 0 ? modrm : imm)(c, ptr[0], ptr[1], imm);
}

static int setup(void **state)
{
    struct scpu *c = aligned_alloc(64, (sizeof *c + 63) & ~(size_t)63);

    memset(c, 0, sizeof *c);
    c->cr4 = 1u << 9 | 1u << 10;
    fpu_reset(c);
    fpu_enter(c);
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    fpu_leave(*state);
    free(*state);
    return 0;
}

static void put_double(struct scpu *c, unsigned xmm, double d)
{
    memcpy(c->fx.xmm[xmm], &d, 8);
}

static uint64_t xmm_low(struct scpu *c, unsigned xmm)
{
    uint64_t v;
    memcpy(&v, c->fx.xmm[xmm], 8);
    return v;
}

static void set_mxcsr(struct scpu *c, uint32_t v)
{
    assert_int_equal(run(c, 1, 0, 0xae, 2, 0, &v, 0), 0);
}

static uint32_t get_mxcsr(struct scpu *c)
{
    uint32_t v = 0;
    run(c, 1, 0, 0xae, 3, 0, &v, 0);
    return v;
}

static void sse_rounds_as_mxcsr_says(void **state)
{
    struct scpu *c = *state;

    put_double(c, 1, 1.0);
    put_double(c, 2, 3.0);
    set_mxcsr(c, 0x1f80);
    run(c, 1, 0xf2, 0x5e, 1, 2, NULL, 0);
    assert_int_equal(xmm_low(c, 1), 0x3fd5555555555555);
    put_double(c, 1, 1.0);
    set_mxcsr(c, 0x1f80 | 2 << 13);
    run(c, 1, 0xf2, 0x5e, 1, 2, NULL, 0);
    assert_int_equal(xmm_low(c, 1), 0x3fd5555555555556);
    assert_int_equal(get_mxcsr(c), 0x1f80 | 2 << 13 | 0x20);
}

static void sse_unmasked_exception_raises_xm_and_keeps_destination(void **state)
{
    struct scpu *c = *state;

    put_double(c, 1, 1.0);
    put_double(c, 2, 0.0);
    set_mxcsr(c, 0x1f80 & ~0x200u);
    assert_int_equal(run(c, 1, 0xf2, 0x5e, 1, 2, NULL, 0), FPU_FAULT | VEC_XM);
    assert_int_equal(xmm_low(c, 1), 0x3ff0000000000000);
    assert_int_equal(get_mxcsr(c), (0x1f80 & ~0x200) | 4);
    c->cr4 &= ~(1ull << 10);
    assert_int_equal(run(c, 1, 0xf2, 0x5e, 1, 2, NULL, 0), FPU_FAULT | VEC_UD);
}

static void sse_tiny_exact_result_underflows_only_if_unmasked(void **state)
{
    struct scpu *c = *state;
    static const double smallest = 0x1p-1022;

    put_double(c, 1, smallest);
    put_double(c, 2, 0.5);
    assert_int_equal(run(c, 1, 0xf2, 0x59, 1, 2, NULL, 0), 0);
    assert_int_equal(xmm_low(c, 1), 0x0008000000000000);
    assert_int_equal(get_mxcsr(c) & 0x3f, 0);
    put_double(c, 1, smallest);
    set_mxcsr(c, 0x1f80 & ~0x800u);
    assert_int_equal(run(c, 1, 0xf2, 0x59, 1, 2, NULL, 0), FPU_FAULT | VEC_XM);
    assert_int_equal(get_mxcsr(c) & 0x3f, 0x10);
    assert_int_equal(xmm_low(c, 1), 0x0010000000000000);
}

static void host_mxcsr_is_back_after_leave(void **state)
{
    struct scpu *c = *state;
    uint32_t before = c->fpu.host_mxcsr, after;

    set_mxcsr(c, 0x0000);
    fpu_leave(c);
    __asm__ volatile("stmxcsr %0" : "=m"(after));
    fpu_enter(c);
    assert_int_equal(before, after);
    assert_int_equal(get_mxcsr(c), 0);
}

static void ldmxcsr_refuses_reserved_bits(void **state)
{
    struct scpu *c = *state;
    uint32_t v = 0x31f80;

    assert_int_equal(run(c, 1, 0, 0xae, 2, 0, &v, 0), FPU_FAULT | VEC_GP);
    assert_int_equal(get_mxcsr(c), 0x1f80);
}

static void x87_stack_survives_leave_and_enter(void **state)
{
    struct scpu *c = *state;
    double one_and_half = 1.5, out = 0;

    run(c, 0, 0, 0xdd, 0, 0, &one_and_half, 0); /* fld */
    run(c, 0, 0, 0xd9, 5, 3, NULL, 0);          /* fldpi */
    fpu_leave(c);
    assert_int_equal(c->fx.fsw >> 11 & 7, 6);
    assert_int_equal(c->fx.ftw, 0xc0);
    assert_int_equal(c->fx.st[1][7], 0xc0);
    fpu_enter(c);
    run(c, 0, 0, 0xdd, 3, 0, &out, 0);
    run(c, 0, 0, 0xdd, 3, 0, &out, 0);
    assert_memory_equal(&out, &one_and_half, 8);
}

static void x87_unmasked_exception_waits_for_the_next_waiting_instruction(void **state)
{
    struct scpu *c = *state;
    uint16_t cw = 0x37b, sw = 0; /* zero divide unmasked */

    run(c, 0, 0, 0xd9, 5, 0, &cw, 0);
    run(c, 0, 0, 0xd9, 5, 6, NULL, 0); /* fldz */
    run(c, 0, 0, 0xd9, 5, 0, NULL, 0); /* fld1 */
    assert_false(c->fpu.x87_pending);
    assert_int_equal(run(c, 0, 0, 0xd8, 6, 1, NULL, 0) & FPU_FAULT, 0); /* 1 / 0 */
    assert_true(c->fpu.x87_pending);
    run(c, 0, 0, 0xdd, 7, 0, &sw, 0); /* fnstsw does not wait */
    assert_int_equal(sw & 0x80ff, 0x8084);
    assert_int_equal(run(c, 0, 0, 0xd9, 5, 0, NULL, 0), FPU_FAULT | VEC_MF);
    assert_int_equal(run(c, 0, 0, 0x9b, 0, 0, NULL, 0), FPU_FAULT | VEC_MF);
    fpu_leave(c);
    fpu_enter(c);
    assert_true(c->fpu.x87_pending);
    run(c, 0, 0, 0xdb, 4, 2, NULL, 0); /* fnclex */
    assert_false(c->fpu.x87_pending);
    assert_int_equal(run(c, 0, 0, 0xd9, 5, 0, NULL, 0), 0);
}

static void x87_unmasked_invalid_keeps_store_from_memory(void **state)
{
    struct scpu *c = *state;
    uint16_t cw = 0x37e;
    uint32_t mem = 0x12345678;

    run(c, 0, 0, 0xd9, 5, 0, &cw, 0);
    run(c, 0, 0, 0xd9, 3, 0, &mem, 0); /* fstp of an empty stack */
    assert_true(c->fpu.x87_pending);
    assert_int_equal(mem, 0x12345678);
}

static void fnstenv_shows_guest_pointers_only(void **state)
{
    struct scpu *c = *state;
    uint32_t env[7];

    c->fx.fip = 0x11223344;
    c->fx.fdp = 0x55667788;
    c->fx.fop = 0x5e8;
    run(c, 0, 0, 0xd9, 5, 0, NULL, 0); /* fld1 */
    run(c, 0, 0, 0xd9, 6, 0, env, 0);
    assert_int_equal(env[3], 0x11223344);
    assert_int_equal(env[4], 0x05e80000);
    assert_int_equal(env[5], 0x55667788);
    assert_int_equal(env[6], 0xffff0000);
    assert_int_equal(env[2], 0xffff3fff);
}

static void fnsave_resets_and_frstor_brings_back(void **state)
{
    struct scpu *c = *state;
    uint8_t a[108], b[108];
    uint16_t cw = 0x27f, sw;

    run(c, 0, 0, 0xd9, 5, 0, &cw, 0);
    run(c, 0, 0, 0xd9, 5, 3, NULL, 0);
    run(c, 0, 0, 0xdd, 6, 0, a, 0);
    run(c, 0, 0, 0xdd, 7, 0, &sw, 0);
    assert_int_equal(sw, 0);
    run(c, 0, 0, 0xdd, 4, 0, a, 0);
    run(c, 0, 0, 0xdd, 6, 0, b, 0);
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(a[0], 0x7f);
    assert_int_equal(a[1], 0x02);
}

static void mmx_sees_physical_registers_and_resets_top(void **state)
{
    struct scpu *c = *state;
    uint64_t v = 0x0123456789abcdef;

    run(c, 0, 0, 0xd9, 5, 0, NULL, 0);        /* fld1: physical register 7 */
    run(c, 1, 0, 0x7e, 7, 0, NULL, 0);        /* movd eax, mm7 */
    assert_int_equal(c->gpr[0], 0);           /* low half of 1.0's significand */
    run(c, 1, 0, 0x7f, 7, 0, &v, 0);          /* movq m, mm7 */
    assert_int_equal(v, 0x8000000000000000);
    run(c, 1, 0, 0x6e, 3, 0, NULL, 0);        /* movd mm3, eax */
    fpu_sync(c);
    assert_int_equal(c->fx.fsw >> 11 & 7, 0);
    assert_int_equal(c->fx.ftw, 0xff);
    assert_int_equal(c->fx.st[3][8], 0xff);
    assert_int_equal(c->fx.st[3][9], 0xff);
    run(c, 1, 0, 0x77, 0, 0, NULL, 0); /* emms */
    fpu_sync(c);
    assert_int_equal(c->fx.ftw, 0);
}

static void fxsave_keeps_all_and_fxrstor_restores_it(void **state)
{
    struct scpu *c = *state;
    static _Alignas(16) uint8_t img[512], img2[512];
    uint32_t mxcsr = 0x9fc1;

    set_mxcsr(c, mxcsr);
    run(c, 0, 0, 0xd9, 5, 3, NULL, 0); /* fldpi */
    memset(c->fx.xmm[15], 0x5a, 16);
    memset(img2 + 416, 0, 96);
    run(c, 1, 0, 0xae, 0, 0, img, 0);
    fpu_leave(c);
    fpu_reset(c);
    fpu_enter(c);
    assert_int_equal(run(c, 1, 0, 0xae, 1, 0, img, 0), 0);
    assert_int_equal(get_mxcsr(c), mxcsr);
    run(c, 1, 0, 0xae, 0, 0, img2, 0);
    assert_memory_equal(img, img2, 416);
    assert_int_equal(img[160 + 15 * 16], 0x5a);
    img[26] = 1; /* MXCSR bit 16 */
    assert_int_equal(run(c, 1, 0, 0xae, 1, 0, img, 0), FPU_FAULT | VEC_GP);
}

static void each_immediate_has_its_own_function(void **state)
{
    struct scpu *c = *state;

    for (unsigned imm = 0; imm < 256; imm++) {
        uint32_t in[4] = {10, 11, 12, 13}, out[4];
        memcpy(c->fx.xmm[2], in, 16);
        run(c, 1, 0x66, 0x70, 1, 2, NULL, (uint8_t)imm);
        memcpy(out, c->fx.xmm[1], 16);
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(out[i], in[imm >> 2 * i & 3]);
    }
    for (unsigned imm = 0; imm < 256; imm++) {
        memset(c->fx.xmm[2], 0xff, 16);
        run(c, 1, 0x66, 0x73, 2, 2, NULL, (uint8_t)imm); /* psrlq xmm2, imm */
        assert_int_equal(xmm_low(c, 2), imm < 64 ? ~0ull >> imm : 0);
    }
}

static void comparison_returns_flags(void **state)
{
    struct scpu *c = *state;

    put_double(c, 1, 1.0);
    put_double(c, 2, 2.0);
    assert_int_equal(run(c, 1, 0x66, 0x2e, 1, 2, NULL, 0) & 0xd501, 0x0100); /* CF */
    assert_int_equal(run(c, 1, 0x66, 0x2e, 2, 1, NULL, 0) & 0xd501, 0);
    assert_int_equal(run(c, 1, 0x66, 0x2e, 1, 1, NULL, 0) & 0xd501, 0x4000); /* ZF */
}

static void lookup_knows_only_what_was_asked_for(void **state)
{
    struct fpu_query q = {.features = FPU_F_BASE, .map = 2, .prefix = 0x66, .opcode = 0xdc, .modrm = 0xc1};

    (void)state;
    assert_null(fpu_lookup(&q)); /* aesenc */
    q.features = ~0u;
    assert_non_null(fpu_lookup(&q));
    q.prefix = 0xf2;
    assert_null(fpu_lookup(&q));
    assert_null(find(1, 0, 0x13, 0xc0));     /* movlps to a register */
    assert_non_null(find(1, 0, 0x13, 0x00));
    assert_null(find(0, 0, 0xd9, 0xd1));     /* next to fnop */
    assert_null(find(0, 0, 0xd9, 0x08));
    assert_null(find(1, 0x66, 0x73, 0xc8));  /* group 14 /1 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(sse_rounds_as_mxcsr_says),
        T(sse_unmasked_exception_raises_xm_and_keeps_destination),
        T(sse_tiny_exact_result_underflows_only_if_unmasked),
        T(host_mxcsr_is_back_after_leave),
        T(ldmxcsr_refuses_reserved_bits),
        T(x87_stack_survives_leave_and_enter),
        T(x87_unmasked_exception_waits_for_the_next_waiting_instruction),
        T(x87_unmasked_invalid_keeps_store_from_memory),
        T(fnstenv_shows_guest_pointers_only),
        T(fnsave_resets_and_frstor_brings_back),
        T(mmx_sees_physical_registers_and_resets_top),
        T(fxsave_keeps_all_and_fxrstor_restores_it),
        T(each_immediate_has_its_own_function),
        T(comparison_returns_flags),
        T(lookup_knows_only_what_was_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
