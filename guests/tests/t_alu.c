/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * t_alu: integer instructions: results and the flags that the SDM defines. A sample; random
 * states against the host's own processor are another test's work.
 */
#include "selftest.h"

enum { CF = 1, PF = 4, AF = 16, ZF = 64, SF = 128, OF = 2048, ARITH = CF | PF | AF | ZF | SF | OF };

/* Runs `insn` with %0 = a (in and out), %2 = b; flags in are `fl`. */
#define OP(insn, a, b, fl)                                                                   \
    ({                                                                                       \
        u64 a_ = (a), f_ = (fl), b_ = (b);                                                   \
        asm volatile("push %1; popfq; " insn "; pushfq; pop %1"                              \
                     : "+a"(a_), "+r"(f_) : "c"(b_) : "cc", "memory");                       \
        (struct result){a_, f_};                                                             \
    })

struct result {
    u64 value, flags;
};

static void is(const char *name, struct result r, u64 value, u64 flags, u64 mask)
{
    if (r.value != value)
        check_eq(name, r.value, value);
    else
        check_eq(name, r.flags & mask, flags);
}

static void arithmetic(void)
{
    is("alu.add_carry", OP("add %2, %0", ~0ull, 1, 2), 0, CF | PF | AF | ZF, ARITH);
    is("alu.add_overflow", OP("add %2, %0", 0x7fffffffffffffff, 1, 2), 1ull << 63, PF | AF | SF | OF, ARITH);
    is("alu.add32_clears_upper", OP("add %%ecx, %%eax", 0xffffffff00000001, 2, 2), 3, PF, ARITH);
    is("alu.add8_keeps_upper", OP("add %%cl, %%ah", 0x1234ff00, 1, 2), 0x12340000, CF | PF | AF | ZF, ARITH);
    is("alu.adc", OP("adc %2, %0", 1, 1, 3), 3, PF, ARITH);
    is("alu.sbb_borrow", OP("sbb %2, %0", 0, 0, 3), ~0ull, CF | PF | AF | SF, ARITH);
    is("alu.sub", OP("sub %2, %0", 5, 7, 2), (u64)-2, CF | AF | SF, ARITH);
    is("alu.cmp", OP("cmp %2, %0", 5, 5, 2), 5, PF | ZF, ARITH);
    is("alu.inc_keeps_cf", OP("inc %0", ~0ull, 0, 3), 0, CF | PF | AF | ZF, ARITH);
    is("alu.dec_keeps_cf", OP("decb %%al", 0x80, 0, 3), 0x7f, CF | AF | OF, ARITH);
    is("alu.neg", OP("neg %0", 1, 0, 2), ~0ull, CF | PF | AF | SF, ARITH);
    is("alu.and_clears_cf_of", OP("and %2, %0", 0xf0, 0x8f, OF | CF | 2), 0x80, 0, CF | OF | ZF | SF);
    is("alu.xor_zero", OP("xor %0, %0", 77, 0, 3), 0, PF | ZF, ARITH & ~AF);
    is("alu.imul", OP("imul %2, %0", 1ull << 62, 4, 2), 0, CF | OF, CF | OF);
    is("alu.xadd", OP("xadd %2, %0", 3, 4, 2), 7, 0, CF | ZF | OF);
}

static void shifts(void)
{
    is("alu.shl_1", OP("shl $1, %0", 1ull << 63, 0, 2), 0, CF | ZF | OF, CF | ZF | OF);
    is("alu.shift_0_keeps_flags", OP("shl %%cl, %0", 5, 64, ARITH | 2), 5, ARITH, ARITH);
    is("alu.shl32_masks_31", OP("shl %%cl, %%eax", 1, 33, 2), 2, 0, CF | ZF);
    is("alu.sar", OP("sar $3, %0", (u64)-17, 0, 2), (u64)-3, CF | SF, CF | SF | ZF);
    is("alu.rcl", OP("rcl $1, %0", 1ull << 63, 0, 3), 1, CF, CF);
    is("alu.rcr16", OP("rcrw $1, %%ax", 0, 0, 3), 0x8000, 0, CF);
    is("alu.ror", OP("ror $4, %0", 0xf, 0, 2), 0xfull << 60, CF, CF);
    is("alu.shld", OP("shld $8, %2, %0", 0x12, 0xab00000000000000, 2), 0x12ab, 0, CF);
    is("alu.bt_sets_cf", OP("bt %2, %0", 1ull << 40, 40 + 64, 2), 1ull << 40, CF, CF);
    is("alu.btc", OP("btc %2, %0", 8, 3, 2), 0, CF, CF);
    is("alu.bsf", OP("bsf %2, %0", 0, 0x100, 2), 8, 0, ZF);
    is("alu.bsr_zero", OP("bsr %2, %2", 1, 0, 2), 1, ZF, ZF);
    is("alu.bswap", OP("bswap %0", 0x0102030405060708, 0, 2), 0x0807060504030201, 0, 0);
    is("alu.cmov32_false_clears_upper", OP("cmovc %%ecx, %%eax", 0xffffffff12345678, 9, 2), 0x12345678, 0, CF);
    is("alu.movsx", OP("movsbq %%cl, %0", 0, 0x80, 2), (u64)-128, 0, 0);
    is("alu.movsxd", OP("movslq %%ecx, %0", 0, 0x80000000, 2), 0xffffffff80000000, 0, 0);
    is("alu.cdqe_cwde", OP("movw $0x8000, %%ax; cwde; cdqe", 0, 0, 2), (u64)-32768, 0, 0);
    is("alu.lea_addr32_wraps", OP("lea 2(%%ecx), %0", 0, 0xfffffffe, 2), 0, 0, 0);
    is("alu.lahf_sahf", OP("mov $0xd5, %%ah; sahf; mov $0, %%ah; lahf", 0, 0, OF | 2), 0xd700,
       CF | PF | AF | ZF | SF | OF, ARITH);
}

static void memory_forms(void)
{
    u64 m[3] = {0, 0, 0}, old = 5, lo = 1, hi = 2;
    u64 *mid = &m[1];
    u8 z = 0;

    asm volatile("bts %1, %0" : "+m"(*mid) : "r"(-3ll) : "cc", "memory");
    check_eq("alu.bts_memory_negative_bit", m[0], 1ull << 61);
    asm volatile("btsl %1, %0" : "+m"(*mid) : "r"(70) : "cc", "memory");
    check_eq("alu.bts_memory_beyond", m[2], 1 << 6);
    m[0] = 5;
    asm volatile("lock cmpxchg %2, %0; setz %1" : "+m"(m[0]), "=q"(z), "+r"(lo), "+a"(old) : : "cc");
    check("alu.cmpxchg_equal", z && m[0] == 1);
    old = 9;
    asm volatile("lock cmpxchg %2, %0; setz %1" : "+m"(m[0]), "=q"(z), "+r"(hi), "+a"(old) : : "cc");
    check("alu.cmpxchg_different", !z && m[0] == 1 && old == 1);
    asm volatile("lock decl %0" : "+m"(m[0]) : : "cc");
    check_eq("alu.lock_dec", m[0], 0);
}

static void wide_exchange(void)
{
    u64 pair[2] __attribute__((aligned(16))) = {1, 2}, a = 1, d = 2;
    bool z;

    asm volatile("lock cmpxchg8b %0; setz %1" : "+m"(pair[0]), "=q"(z), "+a"(a), "+d"(d) : "b"(7), "c"(8) : "cc");
    check("alu.cmpxchg8b_different", !z && a == 1 && d == 0);
    asm volatile("lock cmpxchg8b %0; setz %1" : "+m"(pair[0]), "=q"(z), "+a"(a), "+d"(d) : "b"(7), "c"(8) : "cc");
    check("alu.cmpxchg8b_equal", z && pair[0] == 0x800000007);
    if (!(cpuid(1, 0).c & 1 << 13)) {
        skip("alu.cmpxchg16b", "no cx16");
        return;
    }
    a = pair[0];
    d = pair[1];
    asm volatile("lock cmpxchg16b %0; setz %1" : "+m"(pair), "=q"(z), "+a"(a), "+d"(d) : "b"(3ull), "c"(4ull) : "cc");
    check("alu.cmpxchg16b_equal", z && pair[0] == 3 && pair[1] == 4);
    expect("alu.cmpxchg16b_unaligned", TRY("lock cmpxchg16b 8(%0)", : "r"(pair), "a"(0), "b"(0), "c"(0), "d"(0) : "memory", "cc"), VEC_GP, 0);
}

static void divide(void)
{
    u64 a = 100, d = 0;
    u64 before_a, before_d;

    asm volatile("div %2" : "+a"(a), "+d"(d) : "r"(7ull) : "cc");
    check("alu.div", a == 14 && d == 2);
    a = (u64)-100, d = (u64)-1;
    asm volatile("idiv %2" : "+a"(a), "+d"(d) : "r"(7ull) : "cc");
    check("alu.idiv_truncates", (s64)a == -14 && (s64)d == -2);
    a = before_a = 5, d = before_d = 7;
    expect("alu.div_overflow", TRY("div %2", "+a"(a), "+d"(d) : "r"(7ull) : "cc"), VEC_DE, 0);
    check("alu.div_fault_changes_nothing", a == before_a && d == before_d);
    expect("alu.div_zero", TRY("divl %2", "+a"(a), "+d"(d) : "r"(0) : "cc"), VEC_DE, 0);
    a = 1ull << 63, d = ~0ull;
    expect("alu.idiv_min_by_minus_1", TRY("idiv %2", "+a"(a), "+d"(d) : "r"(-1ll) : "cc"), VEC_DE, 0);
    a = 0x80ff;
    expect("alu.idiv8_overflow", TRY("idivb %1", "+a"(a) : "q"((u8)1) : "cc"), VEC_DE, 0);
}

static void control(void)
{
    u64 n = 0, c = 3;

    asm volatile("1: inc %0; loop 1b" : "+r"(n), "+c"(c));
    check("alu.loop", n == 3 && c == 0);
    c = 0x100000000;
    n = 1;
    asm volatile("jecxz 1f; mov $0, %0; 1:" : "+r"(n) : "c"(c));
    check("alu.jecxz_looks_at_ecx", n == 1);
    asm volatile("jrcxz 1f; mov $5, %0; 1:" : "+r"(n) : "c"(c));
    check("alu.jrcxz_looks_at_rcx", n == 5);
    asm volatile("mov %%rsp, %%rdx; push $-2; pop %0; sub %%rsp, %%rdx" : "=r"(n), "=&d"(c));
    check("alu.push_imm_sign_extends", n == (u64)-2 && c == 0);
    asm volatile("mov %%rsp, %%rbx; mov %%rbp, %%r8; enter $32, $0; mov %%rbp, %0; leave; mov %%r8, %%rbp;"
                 "sub %%rbx, %0; sub %%rsp, %%rbx; mov %%rbx, %1" : "=&r"(n), "=&r"(c) : : "rbx", "r8", "memory");
    check("alu.enter_leave", (s64)n == -8 && c == 0);
    asm volatile("mov %%rsp, %%rbx; pushw $0x1234; popw %w0; sub %%rsp, %%rbx; mov %%rbx, %1"
                 : "=r"(n), "=r"(c) : "0"(0ull) : "rbx");
    check("alu.push16", (u16)n == 0x1234 && c == 0);
    asm volatile("push %%rsp; pop %0; mov %%rsp, %1" : "=&r"(n), "=&r"(c));
    check("alu.push_rsp_is_old_value", n == c);
}

static void optional(void)
{
    u32 c1 = cpuid(1, 0).c;
    u64 v = 0;
    u32 m = 0x11223344;

    if (c1 & 1 << 23) {
        is("alu.popcnt", OP("popcnt %2, %0", 0, 0xf0f0, 2), 8, 0, ARITH);
        is("alu.popcnt_zero", OP("popcnt %2, %0", 1, 0, CF | OF | 2), 0, ZF, ARITH);
    }
    if (c1 & 1 << 22) {
        asm volatile("movbe %1, %k0" : "=r"(v) : "m"(m));
        check_eq("alu.movbe", v, 0x44332211);
    }
    if (c1 & 1 << 30) {
        bool ok = false;
        for (unsigned i = 0; i < 100 && !ok; i++)
            asm volatile("rdrand %0; setc %1" : "=r"(v), "=q"(ok) : : "cc");
        check("alu.rdrand", ok);
    } else {
        expect("alu.rdrand_absent_ud", TRY("rdrand %%rax", : : "rax", "cc"), VEC_UD, 0);
    }
    if (cpuid(0x80000001, 0).c & 32)
        is("alu.lzcnt", OP("lzcnt %2, %0", 0, 0, 2), 64, CF, CF);
    if (c1 & 1 << 20) {
        v = 0xffffffff;
        asm volatile("crc32q %1, %0" : "+r"(v) : "r"(0ull));
        check_eq("alu.crc32", v, 0x73d74d75);
    }
}

void test_alu(void)
{
    arithmetic();
    shifts();
    memory_forms();
    wide_exchange();
    divide();
    control();
    optional();
}
