/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * t_exceptions: delivery of exceptions and interrupts in long mode: error codes, what RIP is
 * saved, stacks, IRET, interrupt shadows, NMI blocking, double faults.
 */
#include "selftest.h"

enum { VEC_X = 0x50, VEC_Y = 0x61 };

static void plain(void)
{
    const struct fault *f;

    f = TRY("ud2", : : "memory");
    expect("exceptions.ud2", f, VEC_UD, 0);
    check("exceptions.ud2_saves_its_own_rip", mmio8(f->regs.rip) == 0x0f && mmio8(f->regs.rip + 1) == 0x0b);
    f = TRY("int3", : : "memory");
    expect("exceptions.int3", f, VEC_BP, 0);
    check("exceptions.int3_saves_next_rip", mmio8(f->regs.rip - 1) == 0xcc);
    expect("exceptions.lock_without_memory", TRY(".byte 0xf0; add %%eax, %%eax", : : "cc"), VEC_UD, 0);
    expect("exceptions.lock_mov", TRY(".byte 0xf0; mov %%eax, (%0)", : "r"(&fix.f.err) : "memory"), VEC_UD, 0);
    expect("exceptions.opcode_06_in_64_bit", TRY(".byte 6, 0x90", : : "memory"), VEC_UD, 0);
    expect("exceptions.too_long", TRY(".fill 15, 1, 0x66; nop", : : "memory"), VEC_GP, 0);
    expect_none("exceptions.length_15", TRY(".fill 14, 1, 0x66; nop", : : "memory"));
    expect_none("exceptions.int_n", TRY("int $0x70", : : "memory"));
}

static void raise_gp(void *arg)
{
    (void)arg;
    asm volatile("int $0x50" : : : "memory");
}

static void gates(void)
{
    const struct fault *f;
    struct fault caught;

    irq_handler(VEC_X, NULL);
    trap_set_gate(VEC_X, NULL, 0x0e, 0); /* not present */
    f = TRY("int $0x50", : : "memory");
    expect("exceptions.gate_not_present", f, VEC_NP, VEC_X * 8 + 2);
    check("exceptions.int_fault_saves_its_own_rip", mmio8(f->regs.rip) == 0xcd);
    trap_set_gate(VEC_X, NULL, 0x80 | 5, 0); /* no gate type of long mode */
    expect("exceptions.gate_of_wrong_type", TRY("int $0x50", : : "memory"), VEC_GP, VEC_X * 8 + 2);
    trap_set_gate(VEC_X, (void *)0x0000900000000000, 0x8e, 0);
    check("exceptions.gate_to_non_canonical",
          try_call(raise_gp, NULL, &caught) && caught.vec == VEC_GP && !caught.err);
}

extern u8 trap_stubs[];
static u64 seen_rsp, seen_rflags, old_rsp;
static u64 seen_count, order[8];

static void see(struct regs *r)
{
    seen_rsp = (u64)&r->ss + 8;
    seen_rflags = rflags();
    old_rsp = r->rsp;
    if (seen_count < 8)
        order[seen_count] = r->vec;
    seen_count++;
}

static void stacks(void)
{
    u64 before;

    trap_set_gate(VEC_X, trap_stubs + TRAP_STUB_BYTES * VEC_X, 0x8e, 3);
    irq_handler(VEC_X, see);
    irq_handler(VEC_Y, see);
    asm volatile("int $0x50" : : : "memory");
    check_eq("exceptions.ist_stack", seen_rsp, cpus[0].tss.ist[2]);
    trap_set_gate(VEC_X, trap_stubs + TRAP_STUB_BYTES * VEC_X, 0x8e, 0);
    asm volatile("mov %%rsp, %0; and $-16, %%rsp; sub $8, %%rsp; int $0x50; mov %0, %%rsp" : "=&r"(before) : : "memory");
    check("exceptions.frame_aligned_to_16", !(seen_rsp & 15) && seen_rsp < old_rsp);
    sti();
    asm volatile("int $0x50" : : : "memory");
    check("exceptions.interrupt_gate_masks", !(seen_rflags & 0x200));
    trap_set_gate(VEC_X, trap_stubs + TRAP_STUB_BYTES * VEC_X, 0x8f, 0);
    asm volatile("int $0x50" : : : "memory");
    check("exceptions.trap_gate_does_not_mask", seen_rflags & 0x200);
    cli();
    trap_set_gate(VEC_X, trap_stubs + TRAP_STUB_BYTES * VEC_X, 0x8e, 0);
}

static void self(unsigned vec)
{
    ipi(0, IPI_SELF | vec);
    for (unsigned i = 0; i < 1000 && !(lapic_read(LAPIC_IRR + vec / 32 * 16) >> vec % 32 & 1); i++)
        pause();
}

static void shadows(void)
{
    u64 at_shadow;

    cli();
    seen_count = 0;
    self(VEC_X);
    check_eq("exceptions.masked_interrupt_waits", seen_count, 0);
    asm volatile("sti; cli" : : : "memory");
    check_eq("exceptions.sti_shadow", seen_count, 0);
    asm volatile("sti; nop; cli" : : : "memory");
    check_eq("exceptions.after_sti_shadow", seen_count, 1);
    self(VEC_X);
    asm volatile("push %%rbx; mov %%ss, %%ebx; sti; mov %%ebx, %%ss; mov %1, %0; cli; pop %%rbx"
                 : "=r"(at_shadow) : "m"(seen_count) : "memory");
    check("exceptions.mov_ss_shadow", at_shadow == 1 || at_shadow == 2);
    asm volatile("sti; nop; cli" : : : "memory");
    check_eq("exceptions.delivered_once", seen_count, 2);
    asm volatile("push %%rax; pushfq; orq $0x200, (%%rsp); popfq; nop; cli; pop %%rax" : : : "memory", "cc");
    check_eq("exceptions.none_left", seen_count, 2);
}

static void priorities(void)
{
    cli();
    seen_count = 0;
    self(VEC_X);
    self(VEC_Y);
    asm volatile("sti; nop; nop; cli" : : : "memory");
    check("exceptions.higher_vector_first", seen_count == 2 && order[0] == VEC_Y && order[1] == VEC_X);
    cr8_set(5);
    check_eq("exceptions.cr8_is_tpr", lapic_read(LAPIC_TPR), 0x50);
    seen_count = 0;
    self(VEC_X);
    self(VEC_Y);
    asm volatile("sti; nop; nop; cli" : : : "memory");
    check("exceptions.tpr_holds_back", seen_count == 1 && order[0] == VEC_Y);
    sti();
    cr8_set(0);
    asm volatile("nop; nop");
    cli();
    check("exceptions.tpr_lowered", seen_count == 2 && order[1] == VEC_X);
}

static unsigned nmi_depth, nmi_max, nmi_count;

static bool nmi_hook(struct regs *r)
{
    if (r->vec != VEC_NMI)
        return false;
    nmi_count++;
    if (++nmi_depth > nmi_max)
        nmi_max = nmi_depth;
    if (nmi_count == 1) {
        ipi(cpus[0].apic_id, IPI_NMI);
        for (unsigned i = 0; i < 1000; i++)
            pause();
    }
    nmi_depth--;
    return true;
}

static void nmi(void)
{
    on_exception(nmi_hook);
    ipi(cpus[0].apic_id, IPI_NMI);
    for (unsigned i = 0; i < 100000 && nmi_count < 2; i++)
        pause();
    check("exceptions.nmi_ignores_if", nmi_count >= 1);
    check_eq("exceptions.nmi_blocked_until_iret", nmi_max, 1);
    check_eq("exceptions.nmi_pending_delivered", nmi_count, 2);
    on_exception(NULL);
}

static void use_bad_stack(void *arg)
{
    asm volatile("mov %0, %%rsp; push %%rax" : : "r"(arg) : "memory");
}

static void double_fault(void)
{
    struct fault f;

    /* delivering #GP itself faults: contributory after contributory */
    trap_set_gate(VEC_X, NULL, 0x80 | 5, 0);
    trap_set_gate(VEC_GP, NULL, 0x0e, 0);
    check("exceptions.double_fault", try_call(raise_gp, NULL, &f) && f.vec == VEC_DF && f.err == 0);
    trap_set_gate(VEC_GP, trap_stubs + TRAP_STUB_BYTES * VEC_GP, 0x8e, 0);
    trap_set_gate(VEC_X, trap_stubs + TRAP_STUB_BYTES * VEC_X, 0x8e, 0);
    /* #PF whose frame cannot be pushed */
    win_unmap(2);
    check("exceptions.fault_on_bad_stack", try_call(use_bad_stack, (void *)(WIN + 3 * 4096), &f) && f.vec == VEC_DF);
    check_eq("exceptions.bad_stack_cr2", f.cr2 & ~0xfffull, WIN + 2 * 4096);
}

static void iret_from(void *frame)
{
    asm volatile("mov %0, %%rsp; iretq" : : "r"(frame) : "memory");
}

static void iret_with_nt(void *frame)
{
    asm volatile("pushfq; orq $0x4000, (%%rsp); popfq; mov %0, %%rsp; iretq" : : "r"(frame) : "memory");
}

static void iret(void)
{
    static u64 stack[256]; /* room below for the frames of exceptions */
    u64 *bad_frame = stack + 250;
    u64 v = 0;
    struct fault f;

    asm volatile("mov %%rsp, %%rdx; pushq $0x10; push %%rdx; pushfq; pushq $8; pushq $1f; iretq; 1: sub %%rsp, %%rdx; mov %%rdx, %0"
                 : "=r"(v) : : "rdx", "memory");
    check_eq("exceptions.iretq", v, 0);
    asm volatile("xor %%eax, %%eax; push %%rax; popfq; pushfq; pop %0" : "=r"(v) : : "rax", "memory", "cc");
    check_eq("exceptions.popf_fixed_bit", v, 2);
    memcpy(bad_frame, (u64[5]){0, SEL_DATA, 2, (u64)&stack[200], SEL_DATA}, 40);
    check("exceptions.iretq_to_data_segment", try_call(iret_from, bad_frame, &f) && f.vec == VEC_GP && f.err == SEL_DATA);
    bad_frame[1] = SEL_CODE;
    bad_frame[0] = 1ull << 63;
    check("exceptions.iretq_to_non_canonical", try_call(iret_from, bad_frame, &f) && f.vec == VEC_GP && !f.err);
    bad_frame[0] = 0;
    bad_frame[2] = 0x4002; /* the image may have NT; what counts is the flag now */
    check("exceptions.iretq_with_nt", try_call(iret_with_nt, bad_frame, &f) && f.vec == VEC_GP && !f.err);
}

void test_exceptions(void)
{
    plain();
    gates();
    stacks();
    shadows();
    priorities();
    nmi();
    double_fault();
    iret();
}
