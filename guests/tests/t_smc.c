/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * t_smc: code that changes code: itself, ahead of itself, through another mapping, across pages,
 * by string instructions, and data next to code that is no code.
 */
#include "selftest.h"

typedef u32 fn(void);

static void put_mov(u64 at, u32 v)
{
    mmio8_set(at, 0xb8); /* mov $v, %eax; ret */
    asm volatile("movl %0, (%1)" : : "r"(v), "r"(at + 1) : "memory");
    mmio8_set(at + 5, 0xc3);
}

static u32 call(u64 at)
{
    return ((fn *)at)();
}

static void rewrite(void)
{
    u64 va = win_map(2, PTE_P | PTE_W);
    u64 sum = 0;

    for (u32 i = 0; i < 20000; i++) {
        put_mov(va, i);
        sum += call(va) == i;
    }
    check_eq("smc.rewrite_and_call", sum, 20000);
    sum = 0;
    for (u32 i = 0; i < 5000; i++) { /* data in the same page, then in the same line */
        mmio32_set(va + 2048, i);
        mmio32_set(va + 32, i);
        sum += call(va) == 19999;
    }
    check_eq("smc.data_beside_code", sum, 5000);
    win_map(4, PTE_P | PTE_W);
    *win_pte(4) = win_page(2) | PTE_P | PTE_W;
    invlpg(WIN + 4 * 4096);
    sum = 0;
    for (u32 i = 0; i < 5000; i++) {
        put_mov(WIN + 4 * 4096, i);
        asm volatile("cpuid" : : "a"(0) : "rbx", "rcx", "rdx", "memory");
        sum += call(va) == i;
    }
    check_eq("smc.through_alias", sum, 5000);
}

static void across_pages(void)
{
    u64 va = win_map(2, PTE_P | PTE_W), sum = 0;

    win_map(3, PTE_P | PTE_W);
    for (u32 i = 0; i < 2000; i++) {
        put_mov(va + 4093, i * 0x10001);
        sum += call(va + 4093) == i * 0x10001;
    }
    check_eq("smc.across_pages", sum, 2000);
    put_mov(va + 4093, 0x11223344);
    sum = call(va + 4093) == 0x11223344;
    *win_pte(3) = win_page(5) | PTE_P | PTE_W; /* other bytes behind the same address */
    memcpy((void *)win_page(5), (void *)win_page(3), 16);
    mmio8_set(win_page(5), 0x99);
    invlpg(va + 4096);
    check("smc.remapped_tail", sum == 1 && call(va + 4093) == 0x11993344);
    win_map(3, PTE_P | PTE_W);
}

/* Writes over the instruction just ahead; x86 must see it. */
static void ahead(void)
{
    static const u8 code[] = {
        0x89, 0x3d, 1, 0, 0, 0, /* mov %edi, 1(%rip): the immediate of the next instruction */
        0xb8, 0, 0, 0, 0,       /* mov $0, %eax */
        0xc3};
    u64 va = win_map(2, PTE_P | PTE_W), ok = 0;

    memcpy((void *)va, code, sizeof(code));
    for (u32 i = 1; i <= 1000; i++)
        ok += ((u32(*)(u32))va)(i) == i;
    check_eq("smc.next_instruction", ok, 1000);
}

static void by_strings(void)
{
    u64 va = win_map(2, PTE_P | PTE_W), from = win_map(6, PTE_P | PTE_W), ok = 0;

    for (u32 i = 0; i < 1000; i++) {
        put_mov(from, i);
        memcpy((void *)va, (void *)from, 6);
        ok += call(va) == i;
    }
    check_eq("smc.rep_movs", ok, 1000);
    ok = 0;
    for (u32 i = 0; i < 1000; i++) {
        u32 old = i ? i - 1 : 999, seen = i;
        asm volatile("lock cmpxchg %2, %0" : "+m"(*(u32 *)(va + 1)), "+a"(old) : "r"(seen) : "cc", "memory");
        ok += call(va) == i;
    }
    check_eq("smc.locked", ok, 1000);
}

/* A loop whose step is changed while it runs: inc by `add $imm8`. */
static void inside_loop(void)
{
    static const u8 code[] = {
        0x31, 0xc0,                   /* xor %eax, %eax */
        0xb9, 100, 0, 0, 0,           /* mov $100, %ecx */
        0x83, 0xc0, 0x01,             /* L: add $1, %eax */
        0x83, 0xf9, 50,               /* cmp $50, %ecx */
        0x75, 0x07,                   /* jne +7 */
        0xc6, 0x05, 0xf3, 0xff, 0xff, 0xff, 0x03, /* movb $3, L+2 */
        0xff, 0xc9,                   /* dec %ecx */
        0x75, 0xed,                   /* jnz L */
        0xc3};
    u64 va = win_map(2, PTE_P | PTE_W);

    memcpy((void *)va, code, sizeof(code));
    check_eq("smc.inside_loop", call(va), 51 + 49 * 3);
}

void test_smc(void)
{
    rewrite();
    across_pages();
    ahead();
    by_strings();
    inside_loop();
}
