/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * t_vm86: virtual-8086 mode without VME, and the I/O permission bitmap. SDM 3A chapter 20.
 */
#include "pm32.h"

enum { TF = 1 << 8, IF = 1 << 9, IOPL3 = 3 << 12, NT = 1 << 14, RF = 1 << 16, VMF = 1 << 17, AC = 1 << 18 };
enum { SEL_DS = 0x700, SEL_SS = 0x780 };

/* Prepares a run of 16-bit code with these flags; the registers are those of pm32_vm86. */
static void enter(const void *code, size_t len, u32 flags)
{
    pm32_prepare();
    memcpy((void *)PM32_CODE, code, len);
    memset((void *)(SEL_DS * 16ul), 0, 0x800);
    pm32_frame[0] = 0;
    pm32_frame[1] = PM32_SEL16;
    pm32_frame[2] = 2 | VMF | flags;
    pm32_frame[3] = 0x700;
    pm32_frame[4] = SEL_SS;
    pm32_frame[5] = 0x701; /* ES DS FS GS */
    pm32_frame[6] = SEL_DS;
    pm32_frame[7] = 0x702;
    pm32_frame[8] = 0xfffc;
}

static const struct pm32_rec *run(const void *code, size_t len, u32 flags)
{
    enter(code, len, flags);
    return pm32_run(pm32_vm86);
}
#define RUN(code, flags) run(code, CODE_LEN(code), flags)

static void ends(const char *name, const struct pm32_rec *r, u32 vec, u32 err, u32 ip)
{
    u64 got = (u64)r->vec << 48 | (u64)r->err << 32 | r->eip;

    check_eq(name, got, (u64)vec << 48 | (u64)err << 32 | ip);
}

#define V86(name, text) CODE(name, ".code16\n" text "\n")

V86(v_segments, "mov %cs, %cx\n mov %ds, %dx\n movw $0x55, 0\n push $0x1234\n mov 0x20(%bx), %di\n ud2");

static void entering(void)
{
    const struct pm32_rec *r = RUN(v_segments, IF);

    ends("vm86.entered", r, VEC_UD, 0, CODE_LEN(v_segments) - 2);
    check("vm86.flags_pushed", (r->flags & (VMF | IF | IOPL3)) == (VMF | IF));
    check("vm86.frame", r->cs == PM32_SEL16 && r->v_ss == SEL_SS && r->v_es == 0x701 && r->v_ds == SEL_DS &&
                            r->v_fs == 0x702 && r->v_gs == 0xfffc);
    check("vm86.esp_pushed", r->v_esp == 0x6fe);
    check("vm86.handler_segments_null", !r->ds && !r->es && !r->fs && !r->gs);
    check_eq("vm86.handler_flags", r->handler_flags & (VMF | IF | TF | NT), 0);
    check("vm86.selectors", (r->ecx & 0xffff) == PM32_SEL16 && (r->edx & 0xffff) == SEL_DS);
    check("vm86.bases", mmio16(SEL_DS * 16) == 0x55 && mmio16(SEL_SS * 16 + 0x6fe) == 0x1234);
    check("vm86.upper_halves", r->eax == 0x11223344 && r->ebx >> 16 == 0x5566);
}

V86(v_cli, "cli\n ud2");
V86(v_sti, "sti\n ud2");
V86(v_pushf, "pushf\n ud2");
V86(v_pushfl, "pushfl\n ud2");
V86(v_popf, "popf\n ud2");
V86(v_int, "int $0x60\n ud2");
V86(v_iret, "iret\n ud2");
V86(v_int3, "int3\n ud2");
V86(v_into, "mov $0x7f, %al\n inc %al\n into\n ud2");

/* What of IF and the stack belongs to the monitor unless IOPL is 3. */
static void sensitive(void)
{
    const struct pm32_rec *r;

    ends("vm86.cli", RUN(v_cli, IF), VEC_GP, 0, 0);
    ends("vm86.sti", RUN(v_sti, 0), VEC_GP, 0, 0);
    ends("vm86.pushf", RUN(v_pushf, 0), VEC_GP, 0, 0);
    ends("vm86.pushfl", RUN(v_pushfl, 0), VEC_GP, 0, 0);
    ends("vm86.popf", RUN(v_popf, 0), VEC_GP, 0, 0);
    ends("vm86.iret", RUN(v_iret, 0), VEC_GP, 0, 0);
    ends("vm86.int", RUN(v_int, 0), VEC_GP, 0, 0);
    ends("vm86.int3_dpl", RUN(v_int3, 0), VEC_GP, 3 * 8 + 2, 0);
    ends("vm86.into_dpl", RUN(v_into, 0), VEC_GP, 4 * 8 + 2, 4);
    ends("vm86.int_dpl", RUN(v_int, IOPL3), VEC_GP, PM32_INT * 8 + 2, 0);
    enter(v_int3, CODE_LEN(v_int3), 0);
    pm32_gate(VEC_BP, SEL_CODE32, pm32_stub(VEC_BP), 0xee);
    ends("vm86.int3", pm32_run(pm32_vm86), VEC_BP, 0, 1);
    enter(v_int, CODE_LEN(v_int), IOPL3);
    pm32_gate(PM32_INT, SEL_CODE32, pm32_stub(PM32_INT), 0xee);
    r = pm32_run(pm32_vm86);
    ends("vm86.int_iopl3", r, PM32_INT, 0, 2);
    check_eq("vm86.int_frame", r->flags & VMF, VMF);
}

V86(v_flags, "cli\n pushf\n pop %cx\n sti\n pushf\n pop %dx\n push $0x0002\n popf\n pushfl\n pop %edi\n ud2");
V86(v_iret3, "0: push $0x4203\n push $0x5f0\n push $0x100 + 3f - 0b\n iret\n ud2\n3: mov %cs, %cx\n ud2");
V86(v_iret3l, "0: pushl $0x00040203\n pushl $0x600\n pushl $3f - 0b\n iretl\n ud2\n3: pushfl\n pop %edi\n ud2");

static void iopl3(void)
{
    const struct pm32_rec *r = RUN(v_flags, IOPL3 | IF);

    ends("vm86.flags_iopl3", r, VEC_UD, 0, CODE_LEN(v_flags) - 2);
    check("vm86.cli_iopl3", !(r->ecx & IF));
    check("vm86.sti_iopl3", r->edx & IF);
    check_eq("vm86.popf_keeps_iopl", r->edi & (IF | IOPL3 | VMF | RF), IOPL3);
    check_eq("vm86.popf_stays", r->flags & (VMF | IOPL3), VMF | IOPL3);
}

V86(v_in80, "in $0x80, %al\n ud2");
V86(v_inw7f, "mov $0x7f, %dx\n in %dx, %ax\n ud2");
V86(v_out, "out %al, $0x80\n ud2");

static void allow(unsigned port)
{
    pm32_a.map[port / 8] &= (u8)~(1u << (port & 7));
    pm32_main.map[port / 8] &= (u8)~(1u << (port & 7));
}

CODE(u_in80, ".code32\n in $0x80, %al\n ud2");
CODE(u_inw7f, ".code32\n mov $0x7f, %edx\n in %dx, %ax\n ud2");
CODE(u_ind7d, ".code32\n mov $0x7d, %edx\n in %dx, %eax\n ud2");

/* The same at CPL 3 of protected mode, by a task switch. */
static const struct pm32_rec *user(const void *code, size_t len, u32 flags, u32 limit)
{
    memcpy((void *)PM32_CODE, code, len);
    for (unsigned i = 0; i < 6; i++)
        pm32_a.seg[i] = SEL_UDATA | 3;
    pm32_a.seg[S_CS] = SEL_UCODE32 | 3;
    pm32_a.eip = PM32_CODE;
    pm32_a.eflags = 2 | flags;
    pm32_gdt[PM32_A / 8] = pm32_desc((u32)(u64)&pm32_a, limit, 0x89, 0);
    pm32.target_sel = PM32_A;
    return pm32_run(pm32_call);
}
#define USER32(code, flags, limit) user(code, CODE_LEN(code), flags, limit)

static void ports(void)
{
    u32 all = sizeof(struct tss32) - 1, base = __builtin_offsetof(struct tss32, map);

    ends("vm86.port_denied", RUN(v_in80, 0), VEC_GP, 0, 0);
    ends("vm86.port_denied_iopl3", RUN(v_in80, IOPL3), VEC_GP, 0, 0);
    enter(v_in80, CODE_LEN(v_in80), 0);
    allow(0x80);
    ends("vm86.port_allowed", pm32_run(pm32_vm86), VEC_UD, 0, 2);
    enter(v_out, CODE_LEN(v_out), 0);
    allow(0x80);
    ends("vm86.port_out_allowed", pm32_run(pm32_vm86), VEC_UD, 0, 2);
    enter(v_inw7f, CODE_LEN(v_inw7f), 0);
    allow(0x7f);
    ends("vm86.port_half_allowed", pm32_run(pm32_vm86), VEC_GP, 0, 3);
    enter(v_inw7f, CODE_LEN(v_inw7f), 0);
    allow(0x7f);
    allow(0x80);
    ends("vm86.port_across_bytes", pm32_run(pm32_vm86), VEC_UD, 0, 4);

    pm32_prepare();
    ends("iomap.denied", USER32(u_in80, 0, all), VEC_GP, 0, PM32_CODE);
    pm32_prepare();
    ends("iomap.iopl", USER32(u_in80, IOPL3, all), VEC_UD, 0, PM32_CODE + 2);
    pm32_prepare();
    allow(0x80);
    ends("iomap.allowed", USER32(u_in80, 0, all), VEC_UD, 0, PM32_CODE + 2);
    pm32_prepare();
    allow(0x7f);
    ends("iomap.half_allowed", USER32(u_inw7f, 0, all), VEC_GP, 0, PM32_CODE + 5);
    pm32_prepare();
    for (unsigned i = 0x7d; i <= 0x80; i++)
        allow(i);
    ends("iomap.across_bytes", USER32(u_ind7d, 0, all), VEC_UD, 0, PM32_CODE + 6);
    pm32_prepare();
    allow(0x80);
    ends("iomap.second_byte_beyond", USER32(u_in80, 0, base + 0x10), VEC_GP, 0, PM32_CODE);
    pm32_prepare();
    allow(0x80);
    ends("iomap.second_byte_last", USER32(u_in80, 0, base + 0x11), VEC_UD, 0, PM32_CODE + 2);
}

V86(v_hlt, "hlt\n ud2");
V86(v_cr0, "mov %cr0, %eax\n ud2");
V86(v_dr7, "mov %eax, %dr7\n ud2");
V86(v_lgdt, "lgdt 0\n ud2");
V86(v_lmsw, "lmsw %ax\n ud2");
V86(v_clts, "clts\n ud2");
V86(v_rdmsr, "rdmsr\n ud2");
V86(v_sldt, "sldt %ax\n ud2");
V86(v_ltr, "ltr %ax\n ud2");
V86(v_lar, "lar %ax, %cx\n ud2");
V86(v_verr, "verr %ax\n ud2");
V86(v_arpl, "arpl %ax, %cx\n ud2");
V86(v_smsw, "smsw %cx\n ud2");

static void privileged(void)
{
    ends("vm86.hlt", RUN(v_hlt, IOPL3), VEC_GP, 0, 0);
    ends("vm86.mov_cr", RUN(v_cr0, IOPL3), VEC_GP, 0, 0);
    ends("vm86.mov_dr", RUN(v_dr7, IOPL3), VEC_GP, 0, 0);
    ends("vm86.lgdt", RUN(v_lgdt, IOPL3), VEC_GP, 0, 0);
    ends("vm86.lmsw", RUN(v_lmsw, IOPL3), VEC_GP, 0, 0);
    ends("vm86.clts", RUN(v_clts, IOPL3), VEC_GP, 0, 0);
    ends("vm86.rdmsr", RUN(v_rdmsr, IOPL3), VEC_GP, 0, 0);
    ends("vm86.sldt", RUN(v_sldt, IOPL3), VEC_UD, 0, 0);
    ends("vm86.ltr", RUN(v_ltr, IOPL3), VEC_UD, 0, 0);
    ends("vm86.lar", RUN(v_lar, IOPL3), VEC_UD, 0, 0);
    ends("vm86.verr", RUN(v_verr, IOPL3), VEC_UD, 0, 0);
    ends("vm86.arpl", RUN(v_arpl, IOPL3), VEC_UD, 0, 0);
    ends("vm86.smsw", RUN(v_smsw, IOPL3), VEC_UD, 0, 3);
}

V86(v_limit_ds, "mov 0xffff, %ax\n ud2");
V86(v_limit_ss, "mov $0xffff, %bp\n mov (%bp), %ax\n ud2");
V86(v_load, "mov $0x710, %ax\n mov %ax, %ds\n movw $0x77, 0\n les 2, %cx\n mov %es, %dx\n ud2");
V86(v_far, "0: lcall $0x5ff, $0x10 + 2f - 0b\n jmp 3f\n2: mov %cs, %cx\n lret\n3: mov %cs, %dx\n ud2");
V86(v_nop, "nop\n nop\n ud2");

static void the_rest(void)
{
    const struct pm32_rec *r;

    if (under_tcg()) {
        skip("vm86.limits", "TCG checks no limits");
    } else {
        ends("vm86.limit", RUN(v_limit_ds, 0), VEC_GP, 0, 0);
        ends("vm86.limit_stack", RUN(v_limit_ss, 0), VEC_SS, 0, 3);
    }
    r = RUN(v_load, 0);
    ends("vm86.loads_any_selector", r, VEC_UD, 0, CODE_LEN(v_load) - 2);
    check("vm86.loaded_base", mmio16(0x7100) == 0x77 && r->v_ds == 0x710);
    r = RUN(v_far, 0);
    check("vm86.far_call", r->vec == VEC_UD && (r->ecx & 0xffff) == 0x5ff && (r->edx & 0xffff) == 0x600);
    r = RUN(v_nop, TF);
    check("vm86.single_step", r->vec == VEC_DB && r->eip == 1 && r->dr6 & 1 << 14 && r->flags & VMF);
    r = RUN(v_iret3, IOPL3);
    check("vm86.iret_iopl3", r->vec == VEC_UD && r->cs == 0x5f0 && (r->ecx & 0xffff) == 0x5f0 &&
                                 (r->flags & (VMF | IOPL3 | NT | IF)) == (VMF | IOPL3 | NT | IF));
    r = RUN(v_iret3l, IOPL3);
    check("vm86.iretl_iopl3", r->vec == VEC_UD && r->eip == CODE_LEN(v_iret3l) - 2 &&
                                  (r->flags & (VMF | IOPL3 | IF | AC)) == (VMF | IOPL3 | IF | AC));

    enter(v_nop, CODE_LEN(v_nop), 0);
    pm32_gate(VEC_UD, SEL_UCODE32, pm32_stub(VEC_UD), 0x8e);
    r = pm32_run(pm32_vm86);
    check("vm86.handler_must_be_cpl0", r->vec == VEC_GP && (r->err & ~1u) == SEL_UCODE32);
}

static void task(void)
{
    const struct pm32_rec *r;

    enter(v_segments, CODE_LEN(v_segments), 0);
    pm32_a.eflags = 2 | VMF | IF;
    pm32_a.eip = 0;
    pm32_a.gpr[4] = 0x700;
    pm32_a.seg[S_CS] = PM32_SEL16;
    pm32_a.seg[S_SS] = SEL_SS;
    pm32_a.seg[S_DS] = SEL_DS;
    pm32_a.seg[S_ES] = pm32_a.seg[S_FS] = pm32_a.seg[S_GS] = 0x123;
    pm32.target_sel = PM32_A;
    r = pm32_run(pm32_call);
    check("vm86.task", r->vec == VEC_UD && r->tr == PM32_A && r->v_es == 0x123 &&
                           (r->flags & (VMF | NT | IF)) == (VMF | NT | IF) && mmio16(SEL_DS * 16) == 0x55);
    enter(v_nop, CODE_LEN(v_nop), 0);
    pm32_gate(VEC_UD, PM32_A, 0, 0x85);
    pm32.then = (u32)(u64)pm32_then_int;
    r = pm32_run(pm32_vm86);
    check("vm86.task_gate", r->vec == PM32_INT && r->tr == PM32_A && pm32_main.eflags & VMF && pm32_main.eip == 2 &&
                                pm32_main.seg[S_DS] == SEL_DS && !(pm32_seen.flags & VMF));
}

void test_vm86(void)
{
    entering();
    sensitive();
    iopl3();
    privileged();
    ports();
    the_rest();
    task();
}
