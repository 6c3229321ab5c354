/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * t_syscall: SYSCALL and SYSRET from 64-bit and 32-bit code; SYSENTER is not there in AMD's
 * long mode.
 */
#include "selftest.h"

/* Notes rcx, r11, cs, ss, rflags; returns by sysret, or sysretl if eax was 32. */
asm(".pushsection .text\n"
    "sys_entry:\n"
    "mov %rcx, sys_rcx\n mov %r11, sys_r11\n mov %rsp, sys_rsp\n"
    "mov %cs, %edx\n mov %edx, sys_cs\n mov %ss, %edx\n mov %edx, sys_ss\n"
    "mov $sys_stack + 1024, %rsp\n pushfq\n popq sys_flags\n mov sys_rsp, %rsp\n"
    "cmp $32, %eax\n mov $0x1234, %eax\n je 1f\n sysretq\n"
    "1: sysretl\n"
    ".popsection\n");
extern u8 sys_entry[];
u64 sys_rcx, sys_r11, sys_rsp, sys_flags;
u32 sys_cs, sys_ss;
u8 sys_stack[1024] __attribute__((aligned(16)));

CODE(s_call, "mov $0, %eax; pushf; orl $0xc01, (%rsp); popf; syscall; pushf; pop %rbx; mov %cs, %esi; mov %ss, %edi; ud2");
CODE(s_call32, ".code32; mov $32, %eax; syscall; mov %cs, %esi; mov %ss, %edi; ud2");
CODE(s_ret32, "mov $32, %eax; syscall; .code32; mov %cs, %esi; inc %eax; ud2");
CODE(s_enter, "sysenter; ud2");

static void calls(void)
{
    const struct fault *f;

    wrmsr(0xc0000080, rdmsr(0xc0000080) & ~1ull);
    expect("syscall.off", USER(s_call, 0), VEC_UD, 0);
    wrmsr(0xc0000080, rdmsr(0xc0000080) | 1);
    wrmsr(0xc0000081, (u64)(SEL_UCODE32 | 3) << 48 | (u64)SEL_CODE << 32);
    wrmsr(0xc0000082, (u64)sys_entry);
    wrmsr(0xc0000083, (u64)sys_entry);
    wrmsr(0xc0000084, 0x400 | 1);
    f = USER(s_call, 0);
    expect("syscall.returns", f, VEC_UD, 0);
    check_eq("syscall.result", f->regs.rax, 0x1234);
    check("syscall.rcx_is_next", sys_rcx > USER_BASE && sys_rcx < USER_BASE + 64 && mmio8(sys_rcx - 2) == 0x0f);
    check_eq("syscall.cs", sys_cs, SEL_CODE);
    check_eq("syscall.ss", sys_ss, SEL_DATA);
    check_eq("syscall.r11_has_flags", sys_r11 & 0xc01, 0xc01);
    check_eq("syscall.fmask_clears", sys_flags & 0xc01, 0x800);
    check_eq("syscall.keeps_rsp", sys_rsp, USER_BASE + 2 * 4096);
    check_eq("syscall.sysret_flags", f->regs.rbx & 0xc01, 0xc01);
    check("syscall.sysret_selectors", f->regs.rsi == (SEL_UCODE | 3) && f->regs.rdi == (SEL_UDATA | 3));
    f = USER(s_ret32, 0);
    expect("syscall.sysret_to_32", f, VEC_UD, 0);
    check("syscall.sysret32_selector", f->regs.rsi == (SEL_UCODE32 | 3) && f->regs.rax == 0x1235);
}

static void calls32(void)
{
    const struct fault *f;

    if (cpuid(0, 0).b != 0x68747541) {
        skip("syscall.from_32", "AMD only");
        return;
    }
    f = user_run_sel(s_call32, CODE_LEN(s_call32), 0, SEL_UCODE32 | 3, SEL_UDATA | 3);
    expect("syscall.from_32", f, VEC_UD, 0);
    check("syscall.from_32_selectors", f->regs.rsi == (SEL_UCODE32 | 3) && f->regs.rdi == (SEL_UDATA | 3));
    check("syscall.from_32_result", f->regs.rax == 0x1234 && sys_cs == SEL_CODE);
}

static void enter(void)
{
    if (cpuid(0, 0).b == 0x68747541)
        expect("syscall.sysenter_on_amd", USER(s_enter, 0), VEC_UD, 0);
    else
        skip("syscall.sysenter", "SYSEXIT needs another order of selectors");
}

void test_syscall(void)
{
    calls();
    calls32();
    enter();
}
