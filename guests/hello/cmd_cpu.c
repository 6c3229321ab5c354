/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd_cpu: commands about the processor: identification, registers, x87/SSE check, SMP.
 */
#include "hello.h"

struct feature {
    u32 leaf;
    char reg; /* a b c d */
    u8 bit;
    const char *name;
};

static const struct feature features[] = {
    {1, 'd', 0, "fpu"},      {1, 'd', 4, "tsc"},       {1, 'd', 6, "pae"},      {1, 'd', 9, "apic"},
    {1, 'd', 25, "sse"},     {1, 'd', 26, "sse2"},     {1, 'c', 0, "sse3"},     {1, 'c', 9, "ssse3"},
    {1, 'c', 19, "sse4_1"},  {1, 'c', 20, "sse4_2"},   {1, 'c', 23, "popcnt"},  {1, 'c', 13, "cx16"},
    {1, 'c', 17, "pcid"},    {1, 'c', 21, "x2apic"},   {1, 'c', 24, "tsc_deadline"},
    {1, 'c', 26, "xsave"},   {1, 'c', 28, "avx"},      {1, 'c', 25, "aes"},     {1, 'c', 30, "rdrand"},
    {1, 'c', 5, "vmx"},      {1, 'c', 31, "hypervisor"},
    {7, 'b', 7, "smep"},     {7, 'b', 20, "smap"},     {7, 'b', 9, "erms"},     {7, 'c', 2, "umip"},
    {7, 'b', 5, "avx2"},     {7, 'b', 3, "bmi1"},      {7, 'b', 8, "bmi2"},     {7, 'b', 18, "rdseed"},
    {7, 'd', 4, "fsrm"},     {0x80000001, 'd', 20, "nx"}, {0x80000001, 'd', 26, "pdpe1gb"},
    {0x80000001, 'd', 27, "rdtscp"}, {0x80000001, 'c', 2, "svm"}, {0x80000007, 'd', 8, "constant_tsc"},
};

static bool has(const struct feature *f)
{
    u32 top = cpuid(f->leaf & 0x80000000, 0).a;
    struct cpuid c = cpuid(f->leaf, 0);
    u32 v = f->reg == 'a' ? c.a : f->reg == 'b' ? c.b : f->reg == 'c' ? c.c : c.d;

    return f->leaf <= top && (v >> f->bit & 1);
}

static void print_hypervisor(void)
{
    struct cpuid c = cpuid(0x40000000, 0);
    char name[13];

    if (!(cpuid(1, 0).c >> 31)) {
        print("hypervisor: none told\n");
        return;
    }
    memcpy(name, &c.b, 4);
    memcpy(name + 4, &c.c, 4);
    memcpy(name + 8, &c.d, 4);
    name[12] = 0;
    print("hypervisor: %s, leaves to 0x%x\n", name, c.a);
}

void cmd_cpu(const struct args *a)
{
    struct cpuid c = cpuid(0, 0);
    char vendor[13], brand[49] = "";
    u32 sig = cpuid(1, 0).a, family, model;

    (void)a;
    memcpy(vendor, &c.b, 4);
    memcpy(vendor + 4, &c.d, 4);
    memcpy(vendor + 8, &c.c, 4);
    vendor[12] = 0;
    for (u32 i = 0; i < 3 && cpuid(0x80000000, 0).a >= 0x80000004; i++) {
        c = cpuid(0x80000002 + i, 0);
        memcpy(brand + 16 * i, &c, 16);
    }
    family = (sig >> 8 & 15) + ((sig >> 8 & 15) == 15 ? sig >> 20 & 255 : 0);
    model = (sig >> 4 & 15) | (sig >> 12 & 0xf0);
    print("vendor: %s family %u model %u stepping %u\nbrand: %s\n", vendor, family, model, sig & 15, brand);
    print_hypervisor();
    print("physical address bits: %u\nfeatures:", phys_bits());
    for (unsigned i = 0; i < ARRAY_LEN(features); i++)
        if (has(&features[i]))
            print(" %s", features[i].name);
    print("\n");
}

void cmd_regs(const struct args *a)
{
    struct regs r = {.cs = SEL_CODE, .ss = SEL_DATA, .rflags = rflags()};

    (void)a;
    asm volatile("mov %%rsp, %0\n\tlea 0(%%rip), %1" : "=r"(r.rsp), "=r"(r.rip));
    asm volatile("mov %%rbx, %0\n\tmov %%rbp, %1" : "=m"(r.rbx), "=m"(r.rbp));
    asm volatile("mov %%r12, %0\n\tmov %%r13, %1\n\tmov %%r14, %2\n\tmov %%r15, %3"
                 : "=m"(r.r12), "=m"(r.r13), "=m"(r.r14), "=m"(r.r15));
    regs_print(&r);
    print("efer=%lx apic_base=%lx cpu%u apic id %u\n", rdmsr(0xc0000080), rdmsr(0x1b),
          this_cpu()->index, lapic_id());
}

static bool x87_works(void)
{
    u32 in = 144, out = 0;
    u64 pi = 0;

    asm volatile("fninit; fildl %2; fsqrt; fistpl %0; fldpi; fstpl %1" : "=m"(out), "=m"(pi) : "m"(in));
    return out == 12 && pi == 0x400921fb54442d18;
}

static void sse_check(void *arg)
{
    u32 in[4] __attribute__((aligned(16))) = {1, 2, 3, 4}, sum[4] __attribute__((aligned(16)));
    u64 root = 0;
    u32 two = 2;

    asm volatile("movdqa %2, %%xmm0; paddd %%xmm0, %%xmm0; movdqa %%xmm0, %0\n\t"
                 "cvtsi2sdl %3, %%xmm1; sqrtsd %%xmm1, %%xmm1; movsd %%xmm1, %1"
                 : "=m"(sum), "=m"(root) : "m"(in), "m"(two));
    *(bool *)arg = sum[0] == 2 && sum[1] == 4 && sum[2] == 6 && sum[3] == 8 && root == 0x3ff6a09e667f3bcd;
}

void cmd_fpu(const struct args *a)
{
    bool sse = false;

    (void)a;
    print("x87: %s\n", x87_works() ? "ok" : "WRONG");
    try_call(sse_check, &sse, NULL);
    print("sse: %s\n", sse ? "ok" : "WRONG");
}

void cmd_smp(const struct args *a)
{
    unsigned n = smp_start();

    (void)a;
    print("%u of %u CPUs run; APIC IDs:", n, acpi_get()->ncpus);
    for (unsigned i = 0; i < n; i++)
        print(" %u", cpus[i].apic_id);
    print("\n");
}
