/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * t_strings: string instructions: widths, directions, REP counts, and what is left in the
 * registers when one of them faults in the middle.
 */
#include "selftest.h"

struct s {
    u64 src, dst, n, a;
};

#define STRING(insn, s)                                                                        \
    asm volatile(insn "\n\tcld" : "+S"((s).src), "+D"((s).dst), "+c"((s).n), "+a"((s).a) : : "memory", "cc")

static u8 a[256] __attribute__((aligned(16))), b[256] __attribute__((aligned(16)));

static void fill(void)
{
    for (unsigned i = 0; i < 256; i++)
        a[i] = (u8)(i + 1), b[i] = 0;
}

static void moves(void)
{
    struct s s;

    fill();
    s = (struct s){(u64)a, (u64)b, 5, 0};
    STRING("rep movsq", s);
    check("strings.movsq", !memcmp(a, b, 40) && !b[40] && !s.n && s.dst == (u64)b + 40 && s.src == (u64)a + 40);
    s = (struct s){(u64)a, (u64)a + 1, 100, 0};
    STRING("rep movsb", s);
    check("strings.movsb_overlap_replicates", a[100] == 1 && a[0] == 1 && a[50] == 1 && a[101] == 102);
    fill();
    s = (struct s){(u64)a, (u64)a + 4, 100, 0};
    STRING("rep movsw", s);
    check("strings.movsw_overlap", a[202] == 3 && a[203] == 4 && a[200] == 1);
    fill();
    s = (struct s){(u64)a, (u64)a + 2, 4, 0}; /* an element is read before the next is written */
    STRING("rep movsl", s);
    check("strings.movsl_overlaps_itself", !memcmp(a, "\1\2\1\2\3\4\3\4\7\10\7\10\13\14\13\14\17\20\23", 19));
    fill();
    s = (struct s){(u64)a + 9, (u64)a + 19, 10, 0};
    STRING("std; rep movsb", s);
    check("strings.movsb_backwards", a[10] == 1 && a[19] == 10 && s.dst == (u64)a + 9 && s.src == (u64)a - 1);
    s = (struct s){0x10, 0x20, 0, 0}; /* addresses that must not be touched with CR2 games */
    STRING("rep movsb", s);
    check("strings.rep_0_does_nothing", s.src == 0x10 && s.dst == 0x20);
    s = (struct s){(u64)a, (u64)b + 3, 4, 0};
    STRING("rep movsl", s);
    check("strings.movsl_unaligned", !memcmp(a, b + 3, 16));
}

static void stores_and_scans(void)
{
    struct s s;
    bool z;

    fill();
    s = (struct s){0, (u64)b, 3, 0x1122334455667788};
    STRING("rep stosw", s);
    check("strings.stosw", b[0] == 0x88 && b[5] == 0x77 && !b[6]);
    s = (struct s){(u64)a, 0, 3, ~0ull};
    STRING("rep lodsb", s);
    check_eq("strings.rep_lodsb", s.a, 0xffffffffffffff03);
    s = (struct s){(u64)a, 0, 1, ~0ull};
    STRING("lodsl", s);
    check("strings.lodsl_clears_upper", s.a == 0x04030201 && s.n == 1);
    s = (struct s){0, (u64)a, 256, 10};
    asm volatile("repne scasb; setz %0" : "=q"(z), "+D"(s.dst), "+c"(s.n) : "a"(s.a) : "cc", "memory");
    check("strings.scasb_finds", z && s.n == 246 && s.dst == (u64)a + 10);
    s = (struct s){0, (u64)a, 5, 77};
    asm volatile("repne scasb; setz %0" : "=q"(z), "+D"(s.dst), "+c"(s.n) : "a"(s.a) : "cc", "memory");
    check("strings.scasb_misses", !z && !s.n && s.dst == (u64)a + 5);
    memcpy(b, a, 64);
    b[33] ^= 1;
    s = (struct s){(u64)a, (u64)b, 8, 0};
    asm volatile("repe cmpsq; setz %0" : "=q"(z), "+S"(s.src), "+D"(s.dst), "+c"(s.n) : : "cc", "memory");
    check("strings.cmpsq_differs", !z && s.n == 3 && s.dst == (u64)b + 40);
    s = (struct s){(u64)a, (u64)a, 0, 0};
    asm volatile("cmp %%eax, %%eax; repe cmpsb; setz %0" : "=q"(z), "+S"(s.src), "+D"(s.dst), "+c"(s.n) : : "cc", "memory");
    check("strings.cmps_count_0_keeps_flags", z);
}

static void address_size(void)
{
    struct s s = {0x100000000 + (u64)a, 0x700000000 + (u64)b, 0x500000004, 0};

    fill();
    asm volatile("rep movsb (%%esi), (%%edi)" : "+S"(s.src), "+D"(s.dst), "+c"(s.n) : : "memory");
    check("strings.address_32", !memcmp(a, b, 4) && !b[4]);
    check("strings.address_32_clears_upper", s.src == (u64)a + 4 && s.dst == (u64)b + 4 && s.n == 0);
    s = (struct s){0, (u64)b, 1, 0};
    wrmsr(0xc0000100, (u64)a + 7);
    asm volatile("movsb %%fs:(%%rsi), (%%rdi)" : "+S"(s.src), "+D"(s.dst) : : "memory");
    check("strings.segment_override", b[0] == 8 && s.src == 1);
    wrmsr(0xc0000100, 0);
}

static void faults(void)
{
    u64 va = win_map(2, PTE_P | PTE_W);
    struct s s = {va, va + 4096 - 20, 100, 0};
    const struct fault *f;

    win_unmap(3);
    f = TRY("rep movsb", "+S"(s.src), "+D"(s.dst), "+c"(s.n) : : "memory");
    expect_pf("strings.movsb_fault", f, PF_W, va + 4096);
    check("strings.movsb_fault_commits", s.n == 80 && s.dst == va + 4096 && s.src == va + 20);
    s = (struct s){va + 4096 - 16, va, 10, 0};
    f = TRY("rep movsq", "+S"(s.src), "+D"(s.dst), "+c"(s.n) : : "memory");
    expect_pf("strings.movsq_read_fault", f, 0, va + 4096);
    check("strings.movsq_fault_commits", s.n == 8 && s.src == va + 4096 && s.dst == va + 16);
    s = (struct s){0, va + 4096 - 12, 10, 0x5555};
    mmio32_set(va + 4092, 0);
    f = TRY("rep stosq", "+D"(s.dst), "+c"(s.n) : "a"(s.a) : "memory");
    expect_pf("strings.stosq_crossing_fault", f, PF_W, va + 4096);
    check("strings.stosq_crossing_writes_nothing", s.n == 9 && s.dst == va + 4092 && mmio32(va + 4092) == 0);
    s = (struct s){0, 1ull << 63, 10, 0};
    expect("strings.non_canonical", TRY("rep stosb", "+D"(s.dst), "+c"(s.n) : "a"(0) : "memory"), VEC_GP, 0);
}

static void ports(void)
{
    u64 va = win_map(2, PTE_P | PTE_W);
    struct s s = {(u64)a, va + 4096 - 6, 8, 0};
    const struct fault *f;

    asm volatile("rep outsb" : "+S"(s.src), "+c"(s.n) : "d"(0x80) : "memory");
    check("strings.outsb", s.n == 0 && s.src == (u64)a + 8);
    s.n = 4;
    f = TRY("rep insw", "+D"(s.dst), "+c"(s.n) : "d"(0x80) : "memory");
    expect_pf("strings.insw_fault", f, PF_W, va + 4096);
    check("strings.insw_fault_commits", s.n == 1 && s.dst == va + 4096);
}

void test_strings(void)
{
    moves();
    stores_and_scans();
    address_size();
    faults();
    ports();
}
