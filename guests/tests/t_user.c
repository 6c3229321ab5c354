/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * t_user: what CPL 3 may not do, and what the I/O permission bitmap, IOPL, CR4 and gates allow.
 */
#include "selftest.h"

extern u64 gdt[];

CODE(u_rdmsr, "mov $0x10, %ecx; rdmsr; ud2");
CODE(u_hlt, "hlt; ud2");
CODE(u_cli, "cli; ud2");
CODE(u_sti, "sti; ud2");
CODE(u_cr0, "mov %cr0, %rax; ud2");
CODE(u_cr3, "mov %rax, %cr3; ud2");
CODE(u_lgdt, "lgdt (%rsp); ud2");
CODE(u_lidt, "lidt -16(%rsp); ud2");
CODE(u_invlpg, "invlpg (%rdi); ud2");
CODE(u_wbinvd, "wbinvd; ud2");
CODE(u_swapgs, "swapgs; ud2");
CODE(u_ltr, "ltr %ax; ud2");
CODE(u_clts, "clts; ud2");
CODE(u_dr, "mov %dr7, %rax; ud2");
CODE(u_sysret, "sysretq; ud2");
CODE(u_in, "in $0x80, %al; ud2");
CODE(u_out, "mov $0x80, %dx; out %ax, %dx; ud2");
CODE(u_in32, "mov $0x7e, %edx; in %dx, %eax; ud2");
CODE(u_outs, "mov $0x80, %edx; mov %rsp, %rsi; sub $16, %rsi; outsb; ud2");
CODE(u_rdtsc, "rdtsc; ud2");
CODE(u_int50, "int $0x50; ud2");
CODE(u_int3, "int3; ud2");
CODE(u_sgdt, "sgdt -16(%rsp); ud2");
CODE(u_popf, "mov $0x3202, %eax; push %rax; popf; pushf; pop %rax; ud2");
CODE(u_ac, "pushf; orl $0x40000, (%rsp); popf; mov -15(%rsp), %rax; ud2");
CODE(u_cs, "mov %cs, %eax; ud2");
CODE(u_load_ss, "mov $0x10, %eax; mov %eax, %ds; ud2");
CODE(u_null_ss, "xor %eax, %eax; mov %eax, %ss; ud2");
CODE(u_far, "push $8; push %rdi; lretq");

#define PRIVILEGED(name, code) expect(name, USER(code, USER_BASE), VEC_GP, 0)

static void privileged(void)
{
    PRIVILEGED("user.rdmsr", u_rdmsr);
    PRIVILEGED("user.hlt", u_hlt);
    PRIVILEGED("user.cli", u_cli);
    PRIVILEGED("user.sti", u_sti);
    PRIVILEGED("user.read_cr0", u_cr0);
    PRIVILEGED("user.write_cr3", u_cr3);
    PRIVILEGED("user.lgdt", u_lgdt);
    PRIVILEGED("user.lidt", u_lidt);
    PRIVILEGED("user.invlpg", u_invlpg);
    PRIVILEGED("user.wbinvd", u_wbinvd);
    PRIVILEGED("user.swapgs", u_swapgs);
    PRIVILEGED("user.ltr", u_ltr);
    PRIVILEGED("user.clts", u_clts);
    PRIVILEGED("user.debug_register", u_dr);
    wrmsr(0xc0000080, rdmsr(0xc0000080) | 1); /* else #UD comes first */
    PRIVILEGED("user.sysret", u_sysret);
    expect("user.ud2_reached", USER(u_cs, 0), VEC_UD, 0);
    check_eq("user.cs", USER(u_cs, 0)->regs.rax, SEL_UCODE | 3);
    expect("user.load_kernel_data", USER(u_load_ss, 0), VEC_GP, SEL_DATA);
    expect("user.load_null_ss", USER(u_null_ss, 0), VEC_GP, 0);
    expect("user.far_return_to_kernel", USER(u_far, USER_BASE), VEC_GP, SEL_CODE);
}

static void gates(void)
{
    extern u8 trap_stubs[];

    trap_set_gate(0x50, trap_stubs + TRAP_STUB_BYTES * 0x50, 0x8e, 0);
    expect("user.int_through_kernel_gate", USER(u_int50, 0), VEC_GP, 0x50 * 8 + 2);
    trap_set_gate(0x50, trap_stubs + TRAP_STUB_BYTES * 0x50, 0xee, 0);
    expect("user.int_through_user_gate", USER(u_int50, 0), VEC_UD, 0);
    expect("user.int3_through_kernel_gate", USER(u_int3, 0), VEC_GP, 3 * 8 + 2);
    trap_set_gate(3, trap_stubs + TRAP_STUB_BYTES * 3, 0xee, 0);
    expect("user.int3", USER(u_int3, 0), VEC_BP, 0);
    trap_set_gate(3, trap_stubs + TRAP_STUB_BYTES * 3, 0x8e, 0);
}

static void flags(void)
{
    check_eq("user.popf_keeps_if_iopl", USER(u_popf, 0)->regs.rax & 0x3200, 0);
    cr0_set(cr0() | 0x40000);
    expect("user.alignment_check", USER(u_ac, 0), VEC_AC, 0);
    cr0_set(cr0() & ~0x40000ull);
    expect("user.no_alignment_check", USER(u_ac, 0), VEC_UD, 0);
}

static void cr4_bits(void)
{
    u64 c4 = cr4();

    expect("user.rdtsc", USER(u_rdtsc, 0), VEC_UD, 0);
    cr4_set(c4 | 4);
    expect("user.rdtsc_tsd", USER(u_rdtsc, 0), VEC_GP, 0);
    cr4_set(c4);
    expect("user.sgdt", USER(u_sgdt, 0), VEC_UD, 0);
    if (cpuid(0, 0).a >= 7 && cpuid(7, 0).c & 4) {
        cr4_set(c4 | 1 << 11);
        expect("user.sgdt_umip", USER(u_sgdt, 0), VEC_GP, 0);
        cr4_set(c4);
    } else {
        skip("user.sgdt_umip", "not there");
    }
}

/* A TSS with a permission bitmap: ports 0x80 and 0x81 open. */
static void io_bitmap(void)
{
    static struct {
        struct tss tss;
        u8 map[8193];
    } PACKED t;
    u64 base = (u64)&t, limit = sizeof(t) - 1;

    expect("user.in_denied", USER(u_in, 0), VEC_GP, 0);
    t.tss = cpus[0].tss;
    t.tss.iomap = sizeof(struct tss);
    memset(t.map, 0xff, sizeof(t.map));
    t.map[0x80 / 8] = 0xfc;
    gdt[SEL_TSS / 8] = limit % 65536 | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 255) << 56;
    asm volatile("ltr %w0" : : "r"(SEL_TSS));
    t.tss.rsp[0] = cpus[0].tss.rsp[0];
    expect("user.in_allowed", USER(u_in, 0), VEC_UD, 0);
    expect("user.out16_allowed", USER(u_out, 0), VEC_UD, 0);
    expect("user.outs_allowed", USER(u_outs, 0), VEC_UD, 0);
    t.map[0x80 / 8] = 0xfe;
    expect("user.out16_half_denied", USER(u_out, 0), VEC_GP, 0);
    expect("user.in32_denied", USER(u_in32, 0), VEC_GP, 0);
    trap_init_cpu(0);
}

CODE(u_fs, "mov %fs:8, %rax; mov %fs, %ebx; ud2");

/* IRET to CPL 3 takes a segment of DPL 0 away, not the base that 64-bit code uses. */
static void outward(void)
{
    const struct fault *f;

    win_page(1);
    *(u64 *)(win_page(1) + 8) = 0x5e9;
    asm volatile("mov %w0, %%fs" : : "r"(SEL_DATA));
    wrmsr(0xc0000100, USER_BASE + 4096);
    f = USER(u_fs, 0);
    check("user.iret_takes_segment_not_base", f->vec == VEC_UD && f->regs.rax == 0x5e9 && !f->regs.rbx);
    asm volatile("mov %w0, %%fs" : : "r"(0));
    wrmsr(0xc0000100, 0);
}

void test_user(void)
{
    privileged();
    gates();
    flags();
    cr4_bits();
    io_bitmap();
    outward();
}
