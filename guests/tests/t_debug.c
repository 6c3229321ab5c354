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
    general();
}
