/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * t_task: hardware task switches: what they save, load, mark and refuse. SDM 3A chapter 8.
 */
#include "pm32.h"

enum { NT = 1 << 14, TS = 1 << 3, BT = 1 << 15, VMF = 1 << 17 };

/* CALL or JMP to `sel` of fresh tables, which `change` has altered. */
static const struct pm32_rec *go(const u8 *op, u16 sel, void (*change)(void))
{
    pm32_prepare();
    pm32.target_sel = sel;
    if (change)
        change();
    return pm32_run(op);
}

static void expect_task(const char *name, const u8 *op, u16 sel, void (*change)(void), u32 vec, u32 err, u16 tr)
{
    const struct pm32_rec *r = go(op, sel, change);

    if (r->vec == vec && r->err == err && r->tr == tr)
        check(name, true);
    else
        check_eq(name, (u64)r->vec << 32 | (u64)r->tr << 16 | r->err, (u64)vec << 32 | (u64)tr << 16 | err);
}

static void call(void)
{
    const struct pm32_rec *r = go(pm32_call, PM32_A, NULL);

    check("task.call_enters", pm32_seen.count == 1 && pm32_seen.tr == PM32_A);
    check("task.call_loads_registers", pm32_seen.eax == 0x1000 && pm32_seen.edi == 0x1007 &&
                                           pm32_seen.esp == pm32_a.esp0 + sizeof(u8[1024]));
    check_eq("task.call_sets_nt", pm32_seen.flags & NT, NT);
    check_eq("task.call_sets_ts", pm32_seen.cr0 & TS, TS);
    check_eq("task.call_links", pm32_a.link & 0xffff, PM32_MAIN);
    check("task.iret_comes_back", r->vec == PM32_NONE && r->tr == PM32_MAIN);
    check_eq("task.iret_restores_flags", r->handler_flags & NT, 0);
    check("task.iret_ends_the_task", !pm32_busy(PM32_A) && pm32_busy(PM32_MAIN));
    check_eq("task.iret_saves_without_nt", pm32_a.eflags & NT, 0);
    check_eq("task.iret_saves_next_eip", pm32_a.eip, (u32)(u64)pm32_then_iret + 1);
    check_eq("task.call_saves_stack", pm32_main.seg[S_SS], SEL_DATA);
}

static void then_main(void)
{
    pm32.then = (u32)(u64)pm32_then_main;
    pm32_a.link = 0x1234;
}

static void then_stop(void)
{
    pm32.then = (u32)(u64)pm32_then_ud;
}

static void jump(void)
{
    const struct pm32_rec *r = go(pm32_jmp, PM32_A, then_main);

    check("task.jmp_there_and_back", r->vec == PM32_NONE && pm32_seen.tr == PM32_A && r->tr == PM32_MAIN);
    check("task.jmp_leaves_link_and_nt", pm32_a.link == 0x1234 && !(pm32_seen.flags & NT));
    check("task.jmp_moves_busy", !pm32_busy(PM32_A) && pm32_busy(PM32_MAIN));
    r = go(pm32_jmp, PM32_A, then_stop);
    check("task.jmp_frees_old", r->vec == VEC_UD && !pm32_busy(PM32_MAIN) && pm32_busy(PM32_A));
    r = go(pm32_call, PM32_A, then_stop);
    check("task.call_keeps_old_busy", r->vec == VEC_UD && pm32_busy(PM32_MAIN) && pm32_busy(PM32_A));
}

static void gate_int(void)
{
    pm32_gate(PM32_INT, PM32_A, 0, 0x85);
}

static void gate_gp(void)
{
    pm32_gate(VEC_GP, PM32_A, 0, 0x85);
    then_stop();
}

static void gate_ud(void)
{
    pm32_gate(VEC_UD, PM32_A, 0, 0x85);
    pm32.then = (u32)(u64)pm32_then_main; /* an IRET would only fault again */
}

static void gate_df(void)
{
    pm32_gate(VEC_GP, SEL_CODE32, 0, 0x0e); /* not present: a contributory fault on top of #GP */
    pm32_gate(VEC_DF, PM32_A, 0, 0x85);
    then_stop();
}

static void gates(void)
{
    const struct pm32_rec *r = go(pm32_call, PM32_GATE, NULL);

    check("task.call_gate", r->vec == PM32_NONE && pm32_seen.tr == PM32_A && pm32_seen.flags & NT);
    r = go(pm32_jmp, PM32_GATE, then_main);
    check("task.jmp_gate", r->vec == PM32_NONE && pm32_seen.tr == PM32_A && !(pm32_seen.flags & NT));
    r = go(pm32_int, 0, gate_int);
    check("task.int_gate", r->vec == PM32_NONE && pm32_seen.tr == PM32_A && pm32_seen.flags & NT);
    r = go(pm32_gp, 0, gate_gp);
    check("task.exception_pushes_error", pm32_seen.tr == PM32_A && pm32_seen.top == 0xfff8);
    check("task.exception_saves_its_eip", mmio8(pm32_main.eip) == 0x8e);
    go(pm32_ud, 0, gate_ud);
    check("task.fault_saves_its_eip", pm32_seen.count >= 1 && pm32_main.eip == (u32)(u64)pm32_ud);
    r = go(pm32_gp, 0, gate_df);
    check("task.double_fault", r->vec == VEC_UD && pm32_seen.tr == PM32_A && !pm32_seen.top &&
                                   mmio8(pm32_main.eip) == 0x8e);
    expect_task("task.gate_rpl", pm32_call, PM32_GATE | 3, NULL, VEC_GP, PM32_GATE, PM32_MAIN);
    expect_task("task.tss_rpl", pm32_call, PM32_A | 3, NULL, VEC_GP, PM32_A, PM32_MAIN);
}

static void a_busy(void)
{
    pm32_gdt[PM32_A / 8] |= 2ull << 40;
}

static void a_absent(void)
{
    pm32_gdt[PM32_A / 8] &= ~(0x80ull << 40);
}

static void a_short(void)
{
    pm32_gdt[PM32_A / 8] = pm32_desc((u32)(u64)&pm32_a, 0x66, 0x89, 0);
}

static void gate_absent(void)
{
    pm32_gdt[PM32_GATE / 8] &= ~(0x80ull << 40);
}

static void gate_to_data(void)
{
    pm32_gdt[PM32_GATE / 8] = (u64)SEL_DATA << 16 | 0x85ull << 40;
}

static void gate_local(void)
{
    pm32_gdt[PM32_GATE / 8] = (u64)(PM32_A | 4) << 16 | 0x85ull << 40;
}

static void nt_to_idle(void)
{
    pm32.flags = 2 | NT;
    pm32_main.link = PM32_A;
}

static void nt_to_data(void)
{
    pm32.flags = 2 | NT;
    pm32_main.link = SEL_DATA;
}

static void nt_beyond(void)
{
    pm32.flags = 2 | NT;
    pm32_main.link = 0xfff8;
}

static void refusals(void)
{
    expect_task("task.busy", pm32_call, PM32_A, a_busy, VEC_GP, PM32_A, PM32_MAIN);
    expect_task("task.jmp_to_itself", pm32_jmp, PM32_MAIN, NULL, VEC_GP, PM32_MAIN, PM32_MAIN);
    expect_task("task.absent", pm32_call, PM32_A, a_absent, VEC_NP, PM32_A, PM32_MAIN);
    expect_task("task.short", pm32_call, PM32_A, a_short, VEC_TS, PM32_A, PM32_MAIN);
    expect_task("task.gate_absent", pm32_call, PM32_GATE, gate_absent, VEC_NP, PM32_GATE, PM32_MAIN);
    expect_task("task.gate_to_data", pm32_call, PM32_GATE, gate_to_data, VEC_GP, SEL_DATA, PM32_MAIN);
    expect_task("task.gate_to_ldt", pm32_call, PM32_GATE, gate_local, VEC_GP, PM32_A | 4, PM32_MAIN);
    expect_task("task.iret_to_idle", pm32_iret, 0, nt_to_idle, VEC_TS, PM32_A, PM32_MAIN);
    expect_task("task.iret_to_data", pm32_iret, 0, nt_to_data, VEC_TS, SEL_DATA, PM32_MAIN);
    expect_task("task.iret_beyond_gdt", pm32_iret, 0, nt_beyond, VEC_TS, 0xfff8, PM32_MAIN);
}

/* ---- faults that belong to the new task ---- */

static void ring3(void)
{
    for (unsigned i = 0; i < 6; i++)
        pm32_a.seg[i] = SEL_UDATA | 3;
    pm32_a.seg[S_CS] = SEL_UCODE32 | 3;
}

static void cs_absent(void)
{
    pm32_gdt[PM32_SEG / 8] = pm32_gdt[SEL_CODE32 / 8] & ~(0x80ull << 40);
    pm32_a.seg[S_CS] = PM32_SEG;
}

static void cs_data(void)
{
    pm32_a.seg[S_CS] = SEL_DATA;
}

static void cs_level(void)
{
    ring3();
    pm32_a.seg[S_CS] = SEL_CODE32 | 3;
}

static void ss_absent(void)
{
    ring3();
    pm32_gdt[PM32_SEG / 8] = pm32_gdt[SEL_UDATA / 8] & ~(0x80ull << 40);
    pm32_a.seg[S_SS] = PM32_SEG | 3;
}

static void ss_null(void)
{
    ring3();
    pm32_a.seg[S_SS] = 0;
}

static void ss_level(void)
{
    ring3();
    pm32_a.seg[S_SS] = SEL_DATA | 3;
}

static void ds_level(void)
{
    ring3();
    pm32_a.seg[S_DS] = SEL_DATA;
}

static void ds_absent(void)
{
    pm32_gdt[PM32_SEG / 8] = pm32_gdt[SEL_DATA / 8] & ~(0x80ull << 40);
    pm32_a.seg[S_DS] = PM32_SEG;
}

static void gs_system(void)
{
    pm32_a.seg[S_GS] = PM32_MAIN;
}

static void ldt_data(void)
{
    pm32_a.ldt = SEL_DATA;
}

static void eip_beyond(void)
{
    pm32_gdt[PM32_SEG / 8] = pm32_desc(0, 0xfff, 0x9b, 4);
    pm32_a.seg[S_CS] = PM32_SEG;
    pm32_a.eip = 0x1000;
}

static void trapped(void)
{
    pm32_a.trap = 1;
    then_stop();
}

static void trapped_by_int(void)
{
    trapped();
    gate_int();
}

static void new_state(void)
{
    const struct pm32_rec *r;

    expect_task("task.cs_absent", pm32_call, PM32_A, cs_absent, VEC_NP, PM32_SEG, PM32_A);
    expect_task("task.cs_data", pm32_call, PM32_A, cs_data, VEC_TS, SEL_DATA, PM32_A);
    expect_task("task.cs_level", pm32_call, PM32_A, cs_level, VEC_TS, SEL_CODE32, PM32_A);
    expect_task("task.ss_absent", pm32_call, PM32_A, ss_absent, VEC_SS, PM32_SEG, PM32_A);
    expect_task("task.ss_null", pm32_call, PM32_A, ss_null, VEC_TS, 0, PM32_A);
    expect_task("task.ss_level", pm32_call, PM32_A, ss_level, VEC_TS, SEL_DATA, PM32_A);
    expect_task("task.ds_level", pm32_call, PM32_A, ds_level, VEC_TS, SEL_DATA, PM32_A);
    expect_task("task.ds_absent", pm32_call, PM32_A, ds_absent, VEC_NP, PM32_SEG, PM32_A);
    expect_task("task.gs_system", pm32_call, PM32_A, gs_system, VEC_TS, PM32_MAIN, PM32_A);
    expect_task("task.ldt_data", pm32_call, PM32_A, ldt_data, VEC_TS, SEL_DATA, PM32_A);
    expect_task("task.eip_beyond", pm32_call, PM32_A, eip_beyond, VEC_GP, 0, PM32_A);
    r = go(pm32_call, PM32_A, ring3);
    check("task.user", r->vec == VEC_GP && r->tr == PM32_A && (r->cs & 3) == 3); /* reads CR0 */
    r = go(pm32_call, PM32_A, trapped);
    check("task.trap_flag", r->vec == VEC_DB && r->dr6 & BT && r->eip == (u32)(u64)pm32_task && !pm32_seen.count);
    r = go(pm32_int, 0, trapped_by_int);
    check("task.trap_flag_by_gate", r->vec == VEC_DB && r->dr6 & BT && r->eip == (u32)(u64)pm32_task && !pm32_seen.count);
}

/* ---- LDT, CR3, DR7, 16-bit ---- */

static u64 ldt[2];
static u32 dir[2][1024] __attribute__((aligned(4096)));
static u32 leaf[2][1024] __attribute__((aligned(4096)));
static u32 words[2][1024] __attribute__((aligned(4096)));

static void with_ldt(void)
{
    ldt[1] = pm32_gdt[SEL_DATA / 8];
    pm32_gdt[PM32_LDT / 8] = pm32_desc((u32)(u64)ldt, sizeof(ldt) - 1, 0x82, 0);
    pm32_a.ldt = PM32_LDT;
    pm32_a.seg[S_FS] = 8 | 4;
}

static void with_paging(void)
{
    for (unsigned k = 0; k < 2; k++) {
        for (unsigned i = 0; i < 8; i++)
            dir[k][i] = i << 22 | 0x83;
        dir[k][256] = (u32)(u64)leaf[k] | 3;
        leaf[k][0] = (u32)(u64)words[k] | 3;
        words[k][0] = 0x11111111 * (k + 1);
    }
    pm32.cr3 = pm32_main.cr3 = (u32)(u64)dir[0];
    pm32_a.cr3 = (u32)(u64)dir[1];
}

static void with_breakpoints(void)
{
    pm32.dr7 = 0x703; /* L0 G0 and LE GE of an address that nobody reaches */
}

CODE(code16, ".code16\n mov %ax, 0x7000\n mov %sp, 0x7002\n str %ax\n mov %ax, 0x7004\n"
             "pushf\n pop %ax\n mov %ax, 0x7006\n iret");

static void to_16(void)
{
    memcpy((void *)PM32_CODE, code16, CODE_LEN(code16));
    for (unsigned i = 0; i < 8; i++)
        pm32_t16.gpr[i] = (u16)(0x2000 + i);
    pm32_t16.gpr[4] = 0x7f00;
    pm32_t16.ip = PM32_CODE;
    pm32_t16.flags = 2;
    pm32_t16.cs = SEL_CODE16;
    pm32_t16.ds = pm32_t16.es = pm32_t16.ss = SEL_DATA16;
}

CODE(through_gate, ".code32\n lcall $0x70, $0\n ud2"); /* PM32_SEG */

/* At CPL 3, through a call gate to a stack that its segment has no room for; #SS has a task. */
static void no_room(void)
{
    u32 to = (u32)(u64)pm32_then_ud;

    ring3();
    memcpy((void *)PM32_CODE, through_gate, CODE_LEN(through_gate));
    pm32_a.eip = PM32_CODE;
    pm32_a.ss0 = PM32_LDT;
    pm32_a.esp0 = 0x1000;
    pm32_gdt[PM32_LDT / 8] = pm32_desc(0, 0xf, 0x93, 4);
    pm32_gdt[PM32_SEG / 8] = (to & 0xffff) | (u64)SEL_CODE32 << 16 | 0xecull << 40 | (u64)(to >> 16) << 48;
    pm32_gate(VEC_SS, PM32_MAIN, 0, 0x85);
}

static void the_rest(void)
{
    const struct pm32_rec *r = go(pm32_call, PM32_A, with_ldt);

    check("task.ldt", r->vec == PM32_NONE && pm32_seen.ldt == PM32_LDT && pm32_seen.fs == 12);
    r = go(pm32_call, PM32_A, with_paging);
    check("task.cr3", r->vec == PM32_NONE && pm32_seen.mapped == 0x22222222);
    r = go(pm32_call, PM32_A, with_breakpoints);
    check_eq("task.clears_local_breakpoints", pm32_seen.dr7 & 0x3ff, 0x202);
    r = go(pm32_call, PM32_16, to_16);
    check("task.16_bit", r->vec == PM32_NONE && r->tr == PM32_MAIN && mmio16(0x7000) == 0x2000 &&
                             mmio16(0x7002) == 0x7f00 && mmio16(0x7004) == PM32_16);
    check("task.16_bit_links", pm32_t16.link == PM32_MAIN && mmio16(0x7006) & NT);
    check_eq("task.16_bit_saves_next_ip", pm32_t16.ip, PM32_CODE + CODE_LEN(code16));
    if (under_tcg()) {
        skip("task.call_gate_stack_limit", "TCG checks no limits");
    } else {
        r = go(pm32_jmp, PM32_A, no_room);
        check("task.call_gate_stack_limit", r->vec == PM32_NONE && r->tr == PM32_MAIN && r->eip == PM32_LDT &&
                                                pm32_a.eip == PM32_CODE);
    }
}

void test_task(void)
{
    call();
    jump();
    gates();
    refusals();
    new_state();
    the_rest();
}
