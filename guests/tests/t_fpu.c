/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * t_fpu: x87, MMX and SSE: a few results, rounding, exceptions, and the control bits that turn
 * them off. Compiled without FPU code of the compiler's own.
 */
#include "selftest.h"

#define DBL_PI 0x400921fb54442d18
#define DBL_2 0x4000000000000000
#define DBL_3 0x4008000000000000
#define DBL_THIRD 0x3fe5555555555555 /* 2/3 */
#define DBL_INF 0x7ff0000000000000

static u8 image[512] __attribute__((aligned(64)));

static u64 add80(u64 a, u64 b)
{
    u64 r;

    asm volatile("fldl %1; faddl %2; fstpl %0" : "=m"(r) : "m"(a), "m"(b));
    return r;
}

static void x87(void)
{
    u64 r, two = DBL_2, three = DBL_3;
    u32 i = 0;
    u16 sw, cw;
    s64 big = -1234567890123456789;

    asm volatile("fninit; fnstcw %0; fnstsw %1" : "=m"(cw), "=m"(sw));
    check("fpu.fninit", cw == 0x37f && sw == 0);
    asm volatile("fldpi; fstpl %0" : "=m"(r));
    check_eq("fpu.fldpi", r, DBL_PI);
    check_eq("fpu.fadd", add80(DBL_2, DBL_2), 0x4010000000000000);
    asm volatile("fldl %1; fdivl %2; fstpl %0" : "=m"(r) : "m"(two), "m"(three));
    check_eq("fpu.fdiv_nearest", r, DBL_THIRD);
    cw = 0x37f | 0x800; /* round up */
    asm volatile("fldcw %3; fldl %1; fdivl %2; fstpl %0; fninit" : "=m"(r) : "m"(two), "m"(three), "m"(cw));
    check_eq("fpu.fdiv_up", r, DBL_THIRD + 1);
    asm volatile("fildq %1; fistpq %0" : "=m"(r) : "m"(big));
    check_eq("fpu.fild_fistp_64", r, (u64)big);
    asm volatile("fldl %1; fsqrt; fistpl %0" : "=m"(i) : "m"(three));
    check_eq("fpu.fsqrt_fistp", i, 2);
    asm volatile("fldz; fld1; fcompp; fnstsw %0" : "=m"(sw));
    check_eq("fpu.fcom_less", sw & 0x4700, 0);
    asm volatile("fldz; fld1; fcomip; fstp %%st(0); setc %b0" : "=r"(i) : "0"(0) : "cc");
    check_eq("fpu.fcomi", i, 0);
    asm volatile("fld1; fld1; fld1; fnstsw %0; fninit" : "=m"(sw));
    check_eq("fpu.top", sw >> 11 & 7, 5);
    asm volatile("fstp %%st(0); fnstsw %0; fninit" : "=m"(sw));
    check_eq("fpu.stack_underflow", sw & 0x241, 0x41);
}

static void x87_exceptions(void)
{
    u16 cw = 0x37b; /* zero divide unmasked */
    u16 sw;

    asm volatile("fninit; fldcw %0; fld1; fldz; fdivrp" : : "m"(cw));
    expect("fpu.mf_at_next_waiting", TRY("fwait", : : "memory"), VEC_MF, 0);
    asm volatile("fnstsw %0; fnclex; fninit" : "=m"(sw));
    check_eq("fpu.mf_status", sw & 0x84, 0x84);
    expect_none("fpu.cleared", TRY("fwait", : : "memory"));
    asm volatile("fninit; fld1; fldz; fdivrp; fstpl %0" : "=m"(*(u64 *)image));
    check_eq("fpu.masked_zero_divide", *(u64 *)image, DBL_INF);
}

static void off(void)
{
    u64 c0 = cr0(), c4 = cr4();

    cr0_set(c0 | 8);
    expect("fpu.ts_x87", TRY("fld1", : : "memory"), VEC_NM, 0);
    expect("fpu.ts_sse", TRY("addps %%xmm0, %%xmm0", : : "memory"), VEC_NM, 0);
    expect("fpu.ts_mp_fwait", TRY("fwait", : : "memory"), VEC_NM, 0);
    cr0_set((c0 & ~2ull) | 8);
    expect_none("fpu.ts_without_mp_fwait", TRY("fwait", : : "memory"));
    cr0_set(c0 | 4);
    expect("fpu.em_x87", TRY("fld1", : : "memory"), VEC_NM, 0);
    expect("fpu.em_sse", TRY("addps %%xmm0, %%xmm0", : : "memory"), VEC_UD, 0);
    cr0_set(c0);
    cr4_set(c4 & ~0x200ull);
    expect("fpu.osfxsr_off_sse", TRY("addps %%xmm0, %%xmm0", : : "memory"), VEC_UD, 0);
    cr4_set(c4);
    asm volatile("fninit");
}

static void sse(void)
{
    u32 v[4] __attribute__((aligned(16))) = {0x3f800000, 0x40000000, 0x40400000, 0x40800000}, r[4] __attribute__((aligned(16)));
    u64 d = DBL_2, three = DBL_3, q;
    u32 mx, i;
    bool c;

    asm volatile("movaps %1, %%xmm1; addps %%xmm1, %%xmm1; movaps %%xmm1, %0" : "=m"(r) : "m"(v));
    check("fpu.addps", r[0] == 0x40000000 && r[3] == 0x41000000);
    asm volatile("movsd %1, %%xmm0; divsd %2, %%xmm0; movsd %%xmm0, %0" : "=m"(q) : "m"(d), "m"(three));
    check_eq("fpu.divsd", q, DBL_THIRD);
    mx = 0x1f80 | 2 << 13;
    asm volatile("ldmxcsr %3; movsd %1, %%xmm0; divsd %2, %%xmm0; movsd %%xmm0, %0" : "=m"(q) : "m"(d), "m"(three), "m"(mx));
    check_eq("fpu.divsd_up", q, DBL_THIRD + 1);
    asm volatile("stmxcsr %0" : "=m"(mx));
    check_eq("fpu.mxcsr_inexact", mx & 0x3f, 0x20);
    mx = 0x1f80;
    asm volatile("ldmxcsr %0" : : "m"(mx));
    asm volatile("cvttsd2si %1, %0" : "=r"(i) : "m"(three));
    check_eq("fpu.cvttsd2si", i, 3);
    q = DBL_INF;
    asm volatile("cvttsd2si %1, %0" : "=r"(i) : "m"(q));
    check_eq("fpu.cvttsd2si_indefinite", i, 0x80000000);
    asm volatile("ldmxcsr %0" : : "m"(mx));
    asm volatile("movsd %1, %%xmm0; ucomisd %2, %%xmm0; setb %0" : "=q"(c) : "m"(d), "m"(three) : "cc");
    check("fpu.ucomisd", c);
    asm volatile("pcmpeqd %%xmm2, %%xmm2; pmovmskb %%xmm2, %0" : "=r"(i));
    check_eq("fpu.pmovmskb", i, 0xffff);
    asm volatile("movq %1, %%xmm3; pshufd $0, %%xmm3, %%xmm3; movaps %%xmm3, %0" : "=m"(r) : "m"(three));
    check("fpu.pshufd", !r[0] && !r[3]);
}

static void sse_faults(void)
{
    u32 mx = 0x1f80 & ~0x200u, bad = 0x10000;
    u64 one = 0x3ff0000000000000, zero = 0;

    expect("fpu.movaps_unaligned", TRY("movaps 4(%0), %%xmm0", : "r"(image) : "memory"), VEC_GP, 0);
    expect_none("fpu.movups_unaligned", TRY("movups 4(%0), %%xmm0", : "r"(image) : "memory"));
    asm volatile("ldmxcsr %0" : : "m"(mx));
    expect("fpu.xm_zero_divide", TRY("movsd %0, %%xmm0; divsd %1, %%xmm0", : "m"(one), "m"(zero) : "memory"), VEC_XM, 0);
    mx = 0x1f80;
    asm volatile("ldmxcsr %0" : : "m"(mx));
    expect("fpu.mxcsr_reserved", TRY("ldmxcsr %0", : "m"(bad) : "memory"), VEC_GP, 0);
}

static void save(void)
{
    u64 pattern = 0x1122334455667788, r;
    u16 ftw;

    asm volatile("fninit; fld1; movq %1, %%xmm5; fxsave64 %0" : "=m"(image) : "m"(pattern));
    ftw = image[4];
    check_eq("fpu.fxsave_tags", ftw, 0x80);
    check_eq("fpu.fxsave_xmm5", *(u64 *)(image + 160 + 5 * 16), pattern);
    check_eq("fpu.fxsave_st0", *(u64 *)(image + 32), 1ull << 63);
    asm volatile("fninit; pxor %%xmm5, %%xmm5; fxrstor64 %1; movq %%xmm5, %0" : "=m"(r) : "m"(image));
    check_eq("fpu.fxrstor", r, pattern);
    asm volatile("fstpl %0" : "=m"(r));
    check_eq("fpu.fxrstor_st0", r, 0x3ff0000000000000);
    expect("fpu.fxsave_unaligned", TRY("fxsave 8(%0)", : "r"(image) : "memory"), VEC_GP, 0);
    asm volatile("movq %1, %%mm0; paddb %%mm0, %%mm0; movq %%mm0, %0; emms" : "=m"(r) : "m"(pattern));
    check_eq("fpu.mmx", r, 0x22446688aaccee10);
    asm volatile("fninit; movq %0, %%mm1; fxsave64 %1; emms" : : "m"(pattern), "m"(image) : "memory");
    check("fpu.mmx_aliases_x87", image[4] == 0xff && *(u64 *)(image + 48) == pattern);
    check_eq("fpu.mmx_sets_exponent", *(u16 *)(image + 56), 0xffff);
}

void test_fpu(void)
{
    x87();
    x87_exceptions();
    off();
    sse();
    sse_faults();
    save();
}
