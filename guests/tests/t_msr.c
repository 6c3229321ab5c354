/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * t_msr: MSRs and control registers: what must raise #GP does, and what must be kept is kept.
 */
#include "selftest.h"

#define RDMSR(msr) TRY("rdmsr", : "c"(msr) : "rax", "rdx", "memory")
#define WRMSR(msr, v) TRY("wrmsr", : "c"(msr), "a"((u32)(v)), "d"((u32)((u64)(v) >> 32)) : "memory")
#define CR_SET(n, v) TRY("mov %0, %%cr" #n, : "r"((u64)(v)) : "memory")

static void registers(void)
{
    u64 bad = 1ull << 63 | 5, efer = rdmsr(0xc0000080), pat = rdmsr(0x277);

    expect("msr.read_nowhere", RDMSR(0x12345678), VEC_GP, 0);
    expect("msr.write_nowhere", WRMSR(0x12345678, 0), VEC_GP, 0);
    expect("msr.fs_base_non_canonical", WRMSR(0xc0000100, bad), VEC_GP, 0);
    expect("msr.kernel_gs_base_non_canonical", WRMSR(0xc0000102, bad), VEC_GP, 0);
    expect("msr.lstar_non_canonical", WRMSR(0xc0000082, bad), VEC_GP, 0);
    wrmsr(0xc0000082, 0xffff800000001234);
    check_eq("msr.lstar_keeps", rdmsr(0xc0000082), 0xffff800000001234);
    wrmsr(0xc0000084, 0x47700);
    check_eq("msr.sfmask_keeps", rdmsr(0xc0000084), 0x47700);
    expect("msr.efer_reserved", WRMSR(0xc0000080, efer | 1ull << 40), VEC_GP, 0);
    expect("msr.pat_invalid_type", WRMSR(0x277, 2), VEC_GP, 0);
    wrmsr(0x277, pat);
    if (under_tcg())
        skip("msr.efer_lme_while_paging", "TCG obeys it");
    else
        expect("msr.efer_lme_while_paging", WRMSR(0xc0000080, efer & ~0x100ull), VEC_GP, 0);
    wrmsr(0xc0000080, efer);
    check("msr.efer_lma", rdmsr(0xc0000080) & 0x400);
}

static void control(void)
{
    u64 c0 = cr0(), c4 = cr4();

    expect("msr.cr0_nw_without_cd", CR_SET(0, (c0 | 1 << 29) & ~(1ull << 30)), VEC_GP, 0);
    expect("msr.cr0_upper_half", CR_SET(0, c0 | 1ull << 32), VEC_GP, 0);
    cr0_set(c0);
    if (under_tcg()) {
        skip("msr.cr_of_long_mode", "TCG obeys or hangs");
    } else {
        expect("msr.cr0_paging_without_protection", CR_SET(0, c0 & ~1ull), VEC_GP, 0);
        expect("msr.cr4_reserved", CR_SET(4, c4 | 1ull << 40), VEC_GP, 0);
        expect("msr.cr3_reserved", CR_SET(3, cr3() | 1ull << 62), VEC_GP, 0);
        expect("msr.cr4_pae_off_in_long_mode", CR_SET(4, c4 & ~0x20ull), VEC_GP, 0);
    }
    expect("msr.cr8_above_15", CR_SET(8, 16), VEC_GP, 0);
    cr0_set(c0);
    cr4_set(c4);
    cr8_set(0);
    expect("msr.cr1", TRY(".byte 0x0f, 0x20, 0xc8", : : "rax", "memory"), VEC_UD, 0);
    check("msr.cr_kept", cr0() == c0 && cr4() == c4);
    cr0_set(c0 | 8);
    check("msr.cr0_ts", cr0() & 8);
    asm volatile("clts");
    check("msr.clts", !(cr0() & 8));
    asm volatile("lmsw %w0" : : "r"((u16)(c0 & ~1)));
    check("msr.lmsw_does_not_clear_pe", cr0() & 1);
    cr0_set(c0);
}

static void xsave(void)
{
    u32 lo, hi;

    if (!(cpuid(1, 0).c & 1 << 26)) {
        expect("msr.xgetbv_absent", TRY("xgetbv", : "c"(0) : "rax", "rdx", "memory"), VEC_UD, 0);
        if (!under_tcg())
            expect("msr.osxsave_absent", CR_SET(4, cr4() | 1 << 18), VEC_GP, 0);
        return;
    }
    expect("msr.xgetbv_off", TRY("xgetbv", : "c"(0) : "rax", "rdx", "memory"), VEC_UD, 0);
    cr4_set(cr4() | 1 << 18);
    check("msr.osxsave_in_cpuid", cpuid(1, 0).c & 1 << 27);
    asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    check("msr.xcr0_x87", lo & 1);
    expect("msr.xsetbv_without_x87", TRY("xsetbv", : "a"(2), "d"(0), "c"(0) : "memory"), VEC_GP, 0);
    expect("msr.xsetbv_index", TRY("xsetbv", : "a"(1), "d"(0), "c"(1) : "memory"), VEC_GP, 0);
    expect("msr.xsetbv_avx_without_sse", TRY("xsetbv", : "a"(5), "d"(0), "c"(0) : "memory"), VEC_GP, 0);
    expect_none("msr.xsetbv", TRY("xsetbv", : "a"(3), "d"(0), "c"(0) : "memory"));
    cr4_set(cr4() & ~(1ull << 18));
}

static void absent(void)
{
    u32 c1 = cpuid(1, 0).c, ext = cpuid(0x80000001, 0).c;
    u64 dummy = 0;

    if (!(c1 & 1 << 5))
        expect("msr.vmxon_absent", TRY("vmxon %0", : "m"(dummy) : "cc", "memory"), VEC_UD, 0);
    if (!(ext & 4))
        expect("msr.vmrun_absent", TRY("vmrun", : "a"(0) : "memory"), VEC_UD, 0);
    if (!(cpuid(0, 0).a >= 7 && cpuid(7, 0).b & 1 << 20))
        expect("msr.clac_absent", TRY("clac", : : "cc", "memory"), VEC_UD, 0);
    if (!(ext & 1))
        skip("msr.lahf", "not there");
    check("msr.cpuid_brand", cpuid(0x80000000, 0).a >= 0x80000004);
    check("msr.cpuid_apic_id", cpuid(1, 0).b >> 24 == (lapic_id() & 255));
}

static void tsc(void)
{
    u64 a, b, aux = 0;

    a = rdtsc();
    b = rdtsc();
    check("msr.tsc_rises", b > a);
    a = rdmsr(0x10);
    b = rdtsc();
    check("msr.tsc_msr", b >= a && b - a < tsc_hz());
    if (cpuid(0x80000001, 0).d & 1 << 27) {
        wrmsr(0xc0000103, 0x77);
        asm volatile("rdtscp" : "=c"(aux) : : "rax", "rdx");
        check_eq("msr.rdtscp", aux, 0x77);
    } else {
        skip("msr.rdtscp", "not there");
    }
}

void test_msr(void)
{
    registers();
    control();
    xsave();
    absent();
    tsc();
}
