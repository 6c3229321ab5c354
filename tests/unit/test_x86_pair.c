/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Uops that are done together (h_pair.c): results, and faults and addresses in the middle.
 */
#include "x86_rig.h"

static uint64_t next_random(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

/* RCX * (R8 + R9 * 2^32) as a compiler without a 128-bit type writes it; RBX is 2^32, RSI added.
 * Low half to RAX, middle carry in RCX, high half without it in RDX. */
__asm__(".pushsection .rodata\n"
        "product_begin:\n"
        "mov %rcx, %rdx; mov %ecx, %ecx; shr $32, %rdx; mov %rcx, %rax; imul %r8, %rax\n"
        "mov %rdx, %r13; imul %r8, %r13; imul %r9, %rcx; imul %r9, %rdx; mov %rax, %r14\n"
        "mov %eax, %eax; shr $32, %r14; add %r13, %rcx; add %r14, %rcx; mov %rdx, %r14\n"
        "add %rbx, %rdx; cmp %r13, %rcx; mov %rcx, %r13; cmovae %r14, %rdx; add %rsi, %rax\n"
        "shl $32, %r13; add %r13, %rax; cmp %rsi, %rax; setb %sil\n"
        "shr $32, %rcx; movzbl %sil, %esi; add %rcx, %rsi; add %rdx, %rsi; hlt\n"
        "product_end:\n"
        "walk_begin:\n" /* loads and stores in pairs, then a pair whose second half faults */
        "push %rax; push %rcx; mov (%rdi), %rax; mov 8(%rdi), %rcx; mov %rcx, (%rsi); mov %rax, 8(%rsi)\n"
        "mov %rax, %rbx\n"
        "walk_fault: mov (%rdx), %rbp; hlt\n"
        "walk_end:\n"
        ".popsection\n");
extern const uint8_t product_begin[], product_end[], walk_begin[], walk_fault[], walk_end[];

static void wide_product_is_that_of_128_bits(void **state)
{
    struct rig r;
    uint64_t s = 88172645463325252ull;

    (void)state;
    rig_new(&r, 1);
    rig_code(&r, product_begin, (size_t)(product_end - product_begin));
    for (unsigned i = 0; i < 2000; i++) {
        struct x86_regs regs = rig_regs();
        uint64_t a = next_random(&s), b = next_random(&s), add = next_random(&s);

        if (i % 5 == 0)
            a |= 0xffffffff00000000ull;
        if (i % 7 == 0)
            b = ~0ull;
        regs.gpr[X86_RCX] = a;
        regs.gpr[8] = (uint32_t)b;
        regs.gpr[9] = b >> 32;
        regs.gpr[X86_RBX] = 1ull << 32;
        regs.gpr[X86_RSI] = add;
        rig_run(&r, &regs);
        unsigned __int128 want = (unsigned __int128)a * b + add;
        assert_int_equal(regs.gpr[X86_RAX], (uint64_t)want);
        assert_int_equal(regs.gpr[X86_RSI], (uint64_t)(want >> 64));
    }
    rig_free(&r);
}

/* The first half of the pair is done, the second tells its own address. */
static void fault_in_the_second_half_is_precise(void **state)
{
    struct rig r;
    struct x86_regs regs = rig_regs();
    uint64_t *data, *frame;

    (void)state;
    rig_new(&r, 1);
    rig_code(&r, walk_begin, (size_t)(walk_end - walk_begin));
    data = (uint64_t *)(r.ram + RIG_DATA);
    data[0] = 0x1122334455667788ull;
    data[1] = 0x99aabbccddeeff00ull;
    *rig_pte(&r, RIG_DATA + 0x3000) = 0;
    regs.gpr[X86_RDI] = RIG_DATA;
    regs.gpr[X86_RSI] = RIG_DATA + 0x1000 - 4; /* crosses pages: not the fast way */
    regs.gpr[X86_RDX] = RIG_DATA + 0x3000;
    rig_run(&r, &regs);
    assert_int_equal(rig_vector(&r), 14);
    assert_int_equal(regs.cr2, RIG_DATA + 0x3000);
    assert_int_equal(regs.gpr[X86_RBX], data[0]);
    assert_memory_equal(r.ram + RIG_DATA + 0x1000 - 4, &data[1], 8);
    assert_memory_equal(r.ram + RIG_DATA + 0x1000 + 4, &data[0], 8);
    frame = (uint64_t *)(r.ram + RIG_STACK - 16);
    assert_int_equal(frame[-5], RIG_CODE + (uint64_t)(walk_fault - walk_begin)); /* SS RSP RFLAGS CS RIP */
    rig_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wide_product_is_that_of_128_bits),
        cmocka_unit_test(fault_in_the_second_half_is_precise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
