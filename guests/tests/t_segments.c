/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * t_segments: descriptors as long mode still uses them, and 32- and 16-bit code segments beside
 * it (compatibility mode), with instructions that exist only there, and segment limits.
 */
#include "selftest.h"

extern u64 gdt[];

static void set_spare(unsigned slot, u64 desc)
{
    gdt[SEL_SPARE / 8 + slot] = desc;
}

static void loads(void)
{
    expect_none("segments.null_ds", TRY("mov %0, %%ds; mov %1, %%ds", : "r"(0), "r"(SEL_DATA) : "memory"));
    expect("segments.beyond_gdt", TRY("mov %0, %%ds", : "r"(0xfff8) : "memory"), VEC_GP, 0xfff8);
    expect("segments.tss_in_ds", TRY("mov %0, %%ds", : "r"(SEL_TSS) : "memory"), VEC_GP, SEL_TSS);
    expect("segments.code_in_ss", TRY("mov %0, %%ss", : "r"(SEL_CODE) : "memory"), VEC_GP, SEL_CODE);
    expect("segments.user_data_in_ss", TRY("mov %0, %%ss", : "r"(SEL_UDATA | 3) : "memory"), VEC_GP, SEL_UDATA);
    expect_none("segments.user_data_in_es", TRY("mov %0, %%es; mov %1, %%es", : "r"(SEL_UDATA | 3), "r"(SEL_DATA) : "memory"));
    set_spare(0, 0x00cf13000000ffff);
    expect("segments.ds_not_present", TRY("mov %0, %%ds", : "r"(SEL_SPARE) : "memory"), VEC_NP, SEL_SPARE);
    expect("segments.ss_not_present", TRY("mov %0, %%ss", : "r"(SEL_SPARE) : "memory"), VEC_SS, SEL_SPARE);
    expect("segments.ldt_absent", TRY("mov %0, %%ds", : "r"(0x0c) : "memory"), VEC_GP, 0x0c);
    expect("segments.mov_cs", TRY(".byte 0x8e, 0xc8", : "a"(SEL_CODE) : "memory"), VEC_UD, 0);
    set_spare(0, 0x00cf92000000ffff);
    TRY("mov %0, %%es; mov %1, %%es", : "r"(SEL_SPARE), "r"(SEL_DATA) : "memory");
    check("segments.load_sets_accessed", gdt[SEL_SPARE / 8] >> 40 & 1);
}

static void queries(void)
{
    u64 v = 0;
    bool z;

    asm volatile("lar %2, %0; setz %1" : "=r"(v), "=q"(z) : "r"((u64)SEL_CODE) : "cc");
    check("segments.lar", z && (v & 0xf0ff00) == 0xa09b00);
    asm volatile("lsl %2, %0; setz %1" : "=r"(v), "=q"(z) : "r"((u64)SEL_DATA) : "cc");
    check("segments.lsl_granular", z && v == 0xffffffff);
    asm volatile("lar %2, %0; setz %1" : "=r"(v), "=q"(z) : "r"(0xfff8ull) : "cc");
    check("segments.lar_beyond", !z);
    asm volatile("verw %w1; setz %0" : "=q"(z) : "r"(SEL_CODE) : "cc");
    check("segments.verw_code", !z);
    asm volatile("verr %w1; setz %0" : "=q"(z) : "r"(SEL_CODE) : "cc");
    check("segments.verr_code", z);
    asm volatile("sldt %0" : "=r"(v));
    check_eq("segments.sldt", v & 0xffff, 0);
    asm volatile("smsw %0" : "=r"(v));
    check_eq("segments.smsw", v & 0xffff, cr0() & 0xffff);
}

static void bases(void)
{
    static u64 word = 0x1122334455667788;
    u64 v;

    wrmsr(0xc0000100, (u64)&word - 16);
    asm volatile("mov %%fs:16, %0" : "=r"(v));
    check_eq("segments.fs_base", v, word);
    wrmsr(0xc0000101, (u64)&word);
    wrmsr(0xc0000102, (u64)&word + 4);
    asm volatile("swapgs; mov %%gs:0, %k0; swapgs" : "=r"(v));
    check_eq("segments.swapgs", v, 0x11223344);
    check_eq("segments.swapgs_back", rdmsr(0xc0000101), (u64)&word);
    asm volatile("mov %0, %%fs" : : "r"(SEL_DATA));
    check_eq("segments.load_clears_base", rdmsr(0xc0000100), 0);
    asm volatile("mov %0, %%fs" : : "r"(0));
    expect("segments.fs_base_non_canonical", TRY("wrmsr", : "c"(0xc0000100), "a"(0), "d"(0x90000000) : "memory"), VEC_GP, 0);
    if (cpuid(0, 0).a >= 7 && cpuid(7, 0).b & 1) {
        expect("segments.wrfsbase_off", TRY("wrfsbase %0", : "r"(5ull)), VEC_UD, 0);
        cr4_set(cr4() | 1 << 16);
        asm volatile("wrfsbase %1; rdfsbase %0" : "=r"(v) : "r"(0x1234567890ull));
        check_eq("segments.wrfsbase", v, 0x1234567890);
        asm volatile("wrfsbase %0" : : "r"(0ull));
        cr4_set(cr4() & ~(1ull << 16));
    } else {
        skip("segments.wrfsbase", "not there");
    }
    wrmsr(0xc0000101, 0);
    wrmsr(0xc0000102, 0);
}

/* 32-bit code: one-byte INC, decimal adjust, PUSHA, LES, ARPL, BOUND, INTO. */
CODE(c32_inc, ".code32; inc %eax; inc %eax; dec %eax; lret");
CODE(c32_wrap, ".code32; mov $0xffffffff, %eax; add $2, %eax; lret");
CODE(c32_pusha, ".code32; mov $1, %ecx; mov $2, %edx; mov $3, %ebx; mov $7, %edi; pusha; xor %edi, %edi; xor %ebx, %ebx;"
                "popa; lea (%edi,%ebx,2), %eax; lret");
CODE(c32_daa, ".code32; mov $0x79, %al; add $0x35, %al; daa; setc %ah; movzx %ax, %eax; lret");
CODE(c32_das, ".code32; mov $0x35, %al; sub $0x47, %al; das; setc %ah; movzx %ax, %eax; lret");
CODE(c32_aaa, ".code32; mov $0x0f, %ax; aaa; movzx %ax, %eax; lret");
CODE(c32_aam, ".code32; mov $123, %eax; aam; aad; movzx %ax, %eax; lret");
CODE(c32_arpl, ".code32; mov $0x10, %ecx; mov $3, %edx; arpl %dx, %cx; setz %al; movzx %al, %eax; shl $16, %eax; mov %cx, %ax; lret");
CODE(c32_salc, ".code32; stc; .byte 0xd6; movzx %al, %eax; lret");
CODE(c32_segments, ".code32; push %es; push %ds; pop %es; mov %es, %eax; pop %es; lret");
CODE(c32_call, ".code32; call 1f; 1: pop %eax; sub $1b, %eax; lret");
CODE(c32_addr16, ".code32; mov $0xffff0010, %ebx; lea 4(%bx), %eax; lret");
CODE(c32_les, ".code32; sub $8, %esp; movl $0x1234, (%esp); movl $0x10, 4(%esp); les (%esp), %eax; add $8, %esp; lret");
CODE(c32_into, ".code32; mov $0x7fffffff, %eax; inc %eax; into; lret");
CODE(c32_bound, ".code32; sub $8, %esp; movl $1, (%esp); movl $5, 4(%esp); bound %eax, (%esp); add $8, %esp; lret");
CODE(c32_rex, ".code32; .byte 0x48; lret"); /* REX.W is DEC here */
CODE(c16_basic, ".code16; mov $0xffff, %ax; inc %ax; setz %al; movzx %al, %eax; lretl");
CODE(c16_opsize, ".code16; mov $0x12345678, %eax; rol $8, %eax; lretl");
CODE(c16_addr, ".code16; mov $0xfffe, %bx; mov $5, %si; lea 1(%bx,%si), %ax; movzx %ax, %eax; lretl");

static void compat32(void)
{
    check_eq("segments.c32_inc_dec", compat_call(c32_inc, SEL_CODE32, 41), 42);
    check_eq("segments.c32_wraps", compat_call(c32_wrap, SEL_CODE32, 0), 1);
    check_eq("segments.c32_pusha", compat_call(c32_pusha, SEL_CODE32, 0), 13);
    check_eq("segments.c32_daa", compat_call(c32_daa, SEL_CODE32, 0), 0x114);
    check_eq("segments.c32_das", compat_call(c32_das, SEL_CODE32, 0), 0x188);
    check_eq("segments.c32_aaa", compat_call(c32_aaa, SEL_CODE32, 0), 0x105);
    check_eq("segments.c32_aam_aad", compat_call(c32_aam, SEL_CODE32, 0), 123);
    check_eq("segments.c32_arpl", compat_call(c32_arpl, SEL_CODE32, 0), 0x10013);
    check_eq("segments.c32_salc", compat_call(c32_salc, SEL_CODE32, 0), 0xff);
    check_eq("segments.c32_push_segment", compat_call(c32_segments, SEL_CODE32, 0), SEL_DATA);
    check_eq("segments.c32_call", compat_call(c32_call, SEL_CODE32, 0), 0);
    check_eq("segments.c32_address_16", compat_call(c32_addr16, SEL_CODE32, 0), 0x14);
    check_eq("segments.c32_les", compat_call(c32_les, SEL_CODE32, 0), 0x1234);
    check_eq("segments.c32_rex_is_dec", compat_call(c32_rex, SEL_CODE32, 7), 6);
    check_eq("segments.c32_bound", compat_call(c32_bound, SEL_CODE32, 5), 5);
}

/* In a 16-bit segment whose base is the code itself. */
static u32 call16(const void *code, u32 arg)
{
    u64 base = (u64)code;

    set_spare(0, 0x00009b000000ffff | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56);
    return compat_call(NULL, SEL_SPARE, arg);
}

static void compat16(void)
{
    check_eq("segments.c16_inc", call16(c16_basic, 0), 1);
    check_eq("segments.c16_operand_32", call16(c16_opsize, 0), 0x34567812);
    check_eq("segments.c16_address_wraps", call16(c16_addr, 0), 4);
}

struct call {
    const void *code;
    u32 arg;
};

static void do_call(void *arg)
{
    const struct call *c = arg;

    compat_call(c->code, SEL_CODE32, c->arg);
}

static const struct fault *compat_fault(const void *code, u32 arg)
{
    static struct fault f;
    struct call c = {code, arg};

    if (!try_call(do_call, &c, &f))
        f.vec = NO_FAULT;
    asm volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%ss" : : "r"(SEL_DATA));
    return &f;
}

CODE(lim_read, ".code32; push %ds; mov $0x48, %ecx; mov %ecx, %ds; mov (%eax), %ecx; pop %ds; lret");
CODE(lim_write, ".code32; push %ds; mov $0x48, %ecx; mov %ecx, %ds; mov %ecx, (%eax); pop %ds; lret");
CODE(null_read, ".code32; push %ds; xor %ecx, %ecx; mov %ecx, %ds; mov (%eax), %ecx; pop %ds; lret");
CODE(code_write, ".code32; mov %eax, %cs:(%eax); lret");
CODE(lim_stack, ".code32; mov $0x48, %ecx; mov %ecx, %ss; mov %eax, %esp; push %eax; lret");

/* Limits and types matter again in compatibility mode. */
static void limits(void)
{
    expect("segments.c32_into", compat_fault(c32_into, 0), VEC_OF, 0);
    expect("segments.c32_bound_fault", compat_fault(c32_bound, 6), VEC_BR, 0);
    set_spare(0, 0x0040f3000000ffff & ~(3ull << 45)); /* 64 KiB, writable, DPL 0 */
    expect_none("segments.limit_inside", compat_fault(lim_read, 0xfffc));
    if (under_tcg()) {
        skip("segments.limits", "TCG checks no limits");
        return;
    }
    expect("segments.limit_beyond", compat_fault(lim_read, 0x10000), VEC_GP, 0);
    expect("segments.limit_across", compat_fault(lim_read, 0xfffd), VEC_GP, 0);
    expect("segments.stack_limit", compat_fault(lim_stack, 0x20000), VEC_SS, 0);
    expect("segments.null_segment", compat_fault(null_read, (u32)(u64)&fix), VEC_GP, 0);
    expect("segments.write_code", compat_fault(code_write, (u32)(u64)&fix.f.err), VEC_GP, 0);
    set_spare(0, 0x004091000000ffff); /* read only, 64 KiB */
    expect("segments.write_read_only", compat_fault(lim_write, 0x8000), VEC_GP, 0);
    set_spare(0, 0x0040970000000fff); /* expand down: valid from 0x1000 up */
    expect("segments.expand_down_below", compat_fault(lim_read, 0xffc), VEC_GP, 0);
    expect_none("segments.expand_down_above", compat_fault(lim_read, 0x1000));
}

/* A call gate of 64-bit mode. */
asm(".pushsection .text\ngate_target: mov $0x77, %eax; lretq\n.popsection");
extern const u8 gate_target[];

static void call_gate(void)
{
    u64 t = (u64)gate_target, v = 0;
    struct {
        u32 offset;
        u16 sel;
    } PACKED p = {0, SEL_SPARE};

    set_spare(0, (t & 0xffff) | (u64)SEL_CODE << 16 | 0x8cull << 40 | (t >> 16 & 0xffff) << 48);
    set_spare(1, t >> 32);
    asm volatile("lcall *%1" : "=a"(v) : "m"(p) : "memory");
    check_eq("segments.call_gate", v, 0x77);
    set_spare(0, gdt[SEL_SPARE / 8] & ~(0x80ull << 40));
    expect("segments.call_gate_not_present", TRY("lcall *%0", : "m"(p) : "memory"), VEC_NP, SEL_SPARE);
    set_spare(0, 0);
    set_spare(1, 0);
    expect("segments.far_call_null", TRY("lcall *%0", : "m"(p) : "memory"), VEC_GP, SEL_SPARE);
    asm volatile("pushq %0; pushq $1f; lretq; 1:" : : "i"(SEL_CODE) : "memory");
    check("segments.lretq", true);
}

void test_segments(void)
{
    loads();
    queries();
    bases();
    compat32();
    compat16();
    limits();
    call_gate();
}
