/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * t_debug: single step, breakpoints on execution and data, ICEBP, general detect.
 * SDM volume 3, chapter 17.
 */
#include "selftest.h"

#define DR_SET(n, v) asm volatile("mov %0, %%dr" #n : : "r"((u64)(v)) : "memory")

static u64 dr(unsigned n)
{
    u64 v;

    if (n == 6)
        asm volatile("mov %%dr6, %0" : "=r"(v));
    else
        asm volatile("mov %%dr7, %0" : "=r"(v));
    return v;
}

static volatile unsigned hits;
static u64 first_rip, last_rip, seen_dr6;

static bool db_hook(struct regs *r)
{
    if (r->vec != VEC_DB)
        return false;
    hits = hits + 1;
    if (hits == 1)
        first_rip = r->rip;
    last_rip = r->rip;
    seen_dr6 = dr(6);
    DR_SET(6, 0xffff0ff0);
    r->rflags |= 0x10000; /* RF: an execution breakpoint is passed */
    if (hits > 1000)
        r->rflags &= ~0x100ull;
    return true;
}

static void reset(void)
{
    hits = 0;
    seen_dr6 = 0;
    DR_SET(7, 0x400);
    DR_SET(6, 0xffff0ff0);
}

static void single_step(void)
{
    u64 src[2] = {1, 2}, dst[2], n = 2;
    const void *s = src;
    void *d = dst;

    reset();
    asm volatile("pushfq; orq $0x100, (%%rsp); popfq\n\tnop\n\tnop\n\tnop\n\tpushfq; andq $~0x100, (%%rsp); popfq"
                 : : : "memory", "cc");
    check("debug.single_step", hits == 6);
    check_eq("debug.dr6_bs", seen_dr6 & 0x400f, 0x4000);
    reset();
    asm volatile("pushfq; orq $0x100, (%%rsp); popfq\n\trep movsq\n\tpushfq; andq $~0x100, (%%rsp); popfq"
                 : "+S"(s), "+D"(d), "+c"(n) : : "memory", "cc");
    check("debug.single_step_each_rep", hits == 5 && dst[1] == 2);
    reset();
    asm volatile("mov %%ss, %%eax; pushfq; orq $0x100, (%%rsp); popfq\n\tmov %%eax, %%ss\n\tnop\n\tpushfq; andq $~0x100, (%%rsp); popfq"
                 : : : "memory", "cc", "rax");
    check("debug.mov_ss_holds_step_back", hits == 4);
    reset();
    TRY(".byte 0xf1", : : "memory");
    check_eq("debug.icebp", hits, 1);
}

static void breakpoints(void)
{
    static volatile u64 watched;
    u64 at, v = 0;

    reset();
    asm volatile("lea 1f(%%rip), %0" "\n\tmov %0, %%dr0\n\tmov %2, %%dr7\n\tnop\n1:\tmov $7, %k1\n\tnop"
                 : "=&r"(at), "=&r"(v) : "r"(0x402ull) : "memory");
    check("debug.execute", hits == 1 && first_rip == at && v == 7);
    check_eq("debug.execute_dr6", seen_dr6 & 0xf, 1);
    reset();
    DR_SET(1, (u64)&watched);
    DR_SET(7, 0x400 | 8 | 0xdull << 20); /* DR1, write, 4 bytes */
    watched = 5;
    check("debug.write", hits == 1 && watched == 5);
    check_eq("debug.write_dr6", seen_dr6 & 0xf, 2);
    v = watched;
    check_eq("debug.write_not_read", hits, 1);
    DR_SET(7, 0x400 | 8 | 0xfull << 20); /* read or write */
    v = watched;
    check_eq("debug.read", hits, 2);
    *((volatile u8 *)&watched + 3) = 1;
    check_eq("debug.write_byte_inside", hits, 3);
    *((volatile u8 *)&watched + 4) = 1;
    check_eq("debug.write_byte_outside", hits, 3);
    DR_SET(7, 0x400);
    watched = v;
    check_eq("debug.off", hits, 3);
}

/* What a trap of a single instruction tells, and what it leaves in DR6. */
static void priorities(void)
{
    static volatile u32 watched;
    u64 at;

    reset();
    DR_SET(6, 0xffff0ff0 | 0x4003);
    asm volatile("lea 1f(%%rip), %0\n\tmov %0, %%dr2\n\tmov %1, %%dr7\n1:\tnop" : "=&r"(at) : "r"(0x420ull) : "memory");
    check_eq("debug.dr6_forgets_other_hits", seen_dr6 & 0x400f, 0x4004);

    watched = SEL_DATA;
    reset();
    DR_SET(1, (u64)&watched);
    DR_SET(7, 0x400 | 8 | 0xfull << 20);
    TRY("mov %0, %%ss\n\t.byte 0xf1", : "m"(watched) : "memory"); /* #UD on TCG */
    check_eq("debug.mov_ss_and_icebp_are_one", hits, 1);
    reset();
    DR_SET(7, 0x400 | 8 | 0xfull << 20);
    asm volatile("mov %0, %%ss\n\tint $1" : : "m"(watched) : "memory");
    check_eq("debug.mov_ss_and_int_are_two", hits, 2);
    reset();
}

/* SYSCALL traps by the TF that it leaves; the debug trap of a HLT ends it. */
static void steps(void)
{
    u64 star = rdmsr(0xc0000081), lstar = rdmsr(0xc0000082), mask = rdmsr(0xc0000084), efer = rdmsr(0xc0000080);

    wrmsr(0xc0000080, efer | 1);
    wrmsr(0xc0000081, (u64)SEL_CODE << 32);
    wrmsr(0xc0000084, 0x100);
    reset();
    asm volatile("mov $0xc0000082, %%ecx; lea 1f(%%rip), %%rax; mov %%rax, %%rdx; shr $32, %%rdx; wrmsr\n\t"
                 "pushfq; orq $0x100, (%%rsp); popfq\n\tsyscall\n1:\tnop\n\tnop"
                 : : : "rax", "rcx", "rdx", "r11", "memory", "cc");
    check_eq("debug.syscall_masks_tf", hits, 0);
    wrmsr(0xc0000081, star);
    wrmsr(0xc0000082, lstar);
    wrmsr(0xc0000084, mask);
    wrmsr(0xc0000080, efer);
    if (under_tcg()) {
        skip("debug.step_ends_hlt", "TCG sleeps for good");
        return;
    }
    reset();
    cli();
    asm volatile("pushfq; orq $0x100, (%%rsp); popfq\n\thlt\n\tpushfq; andq $~0x100, (%%rsp); popfq" : : : "memory", "cc");
    check_eq("debug.step_ends_hlt", hits, 4);
}

static void general(void)
{
    reset();
    expect("debug.dr6_upper_half", TRY("mov %0, %%dr6", : "r"(1ull << 32) : "memory"), VEC_GP, 0);
    expect("debug.dr7_upper_half", TRY("mov %0, %%dr7", : "r"(1ull << 32) : "memory"), VEC_GP, 0);
    cr4_set(cr4() | 8);
    expect("debug.dr4_with_de", TRY("mov %%dr4, %%rax", : : "rax", "memory"), VEC_UD, 0);
    cr4_set(cr4() & ~8ull);
    expect_none("debug.dr4_is_dr6", TRY("mov %%dr4, %%rax", : : "rax", "memory"));
    on_exception(NULL);
    DR_SET(7, 0x2400);
    expect("debug.general_detect", TRY("mov %%dr0, %%rax", : : "rax", "memory"), VEC_DB, 0);
    check("debug.general_detect_clears_gd", !(dr(7) & 0x2000));
    check("debug.general_detect_dr6", dr(6) & 0x2000);
    DR_SET(7, 0x400);
    DR_SET(6, 0xffff0ff0);
}

void test_debug(void)
{
    on_exception(db_hook);
    single_step();
    breakpoints();
    priorities();
    steps();
    general();
}
