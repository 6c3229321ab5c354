/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * trap: see trap.h. The IDT is one for all CPUs; each has its TSS with three stacks: IST 1 for
 * NMI, double fault and machine check, IST 2 for all exceptions on request, IST 3 for tests.
 */
#include "trap.h"
#include "apic.h"
#include "boot.h"
#include "io.h"

struct gate {
    u16 offset0, selector;
    u8 ist, type;
    u16 offset1;
    u32 offset2, reserved;
} PACKED;

struct table_ptr {
    u16 limit;
    u64 base;
} PACKED;

struct cpu cpus[CPUS_MAX];

static struct gate idt[256] __attribute__((aligned(16)));
static void (*irq_handlers[256])(struct regs *r);

extern u8 trap_stubs[], try_landing[], ist_stacks[];
extern u64 gdt[];
extern struct table_ptr boot_gdtr;

void trap_handle(struct regs *r);
u64 try_enter(u64 *save_rsp, void (*fn)(void *arg), void *arg);

void trap_set_gate(unsigned vec, void *entry, unsigned type_dpl, unsigned ist)
{
    u64 a = (u64)entry;

    idt[vec] = (struct gate){.offset0 = (u16)a,
                             .selector = SEL_CODE,
                             .ist = (u8)ist,
                             .type = (u8)type_dpl,
                             .offset1 = (u16)(a >> 16),
                             .offset2 = (u32)(a >> 32)};
}

static unsigned default_ist(unsigned vec)
{
    return vec == 2 || vec == 8 || vec == 18 ? 1 : 0;
}

void trap_use_ist(bool on)
{
    for (unsigned v = 0; v < 32; v++)
        if (!default_ist(v))
            idt[v].ist = on ? 2 : 0;
}

void trap_load_idt(void)
{
    struct table_ptr p = {sizeof(idt) - 1, (u64)idt};

    asm volatile("lidt %0" : : "m"(p));
}

void trap_init_cpu(unsigned index)
{
    struct cpu *c = &cpus[index];
    u64 base = (u64)&c->tss, limit = sizeof(c->tss) - 1;
    u64 *desc = &gdt[(SEL_TSS + 16 * index) / 8];

    if (index == 0)
        for (unsigned v = 0; v < 256; v++)
            trap_set_gate(v, trap_stubs + TRAP_STUB_BYTES * v, 0x8e, default_ist(v));
    c->index = index;
    for (unsigned i = 0; i < 3; i++)
        c->tss.ist[i] = (u64)ist_stacks + (index * 3 + i + 1) * IST_BYTES;
    c->tss.iomap = sizeof(c->tss);
    desc[0] = limit | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
    desc[1] = base >> 32;
    asm volatile("lgdt %0; ltr %w1; lldt %w2" : : "m"(boot_gdtr), "r"(SEL_TSS + 16 * index), "r"(0));
    trap_load_idt();
}

bool try_call(void (*fn)(void *arg), void *arg, struct fault *f)
{
    struct cpu *c = this_cpu();
    u64 outer = c->try_rsp;
    bool faulted;

    faulted = try_enter(&c->try_rsp, fn, arg);
    c->try_rsp = outer;
    if (faulted && f)
        *f = c->fault;
    return faulted;
}

void irq_handler(unsigned vec, void (*fn)(struct regs *r))
{
    irq_handlers[vec] = fn;
}

const char *trap_name(unsigned vec)
{
    static const char *const names[32] = {
        "#DE divide error", "#DB debug", "NMI", "#BP breakpoint", "#OF overflow", "#BR bound",
        "#UD invalid opcode", "#NM no FPU", "#DF double fault", "9", "#TS invalid TSS",
        "#NP segment not present", "#SS stack fault", "#GP general protection", "#PF page fault",
        "15", "#MF x87 error", "#AC alignment", "#MC machine check", "#XM SIMD error",
        "#VE virtualization", "#CP control protection", "22", "23", "24", "25", "26", "27",
        "#HV", "#VC", "#SX", "31"};

    return vec < 32 ? names[vec] : "interrupt";
}

void regs_print(const struct regs *r)
{
    print("rip=%016lx cs=%04lx rflags=%08lx rsp=%016lx ss=%04lx\n", r->rip, r->cs, r->rflags, r->rsp,
          r->ss);
    print("rax=%016lx rbx=%016lx rcx=%016lx rdx=%016lx\n", r->rax, r->rbx, r->rcx, r->rdx);
    print("rsi=%016lx rdi=%016lx rbp=%016lx r8 =%016lx\n", r->rsi, r->rdi, r->rbp, r->r8);
    print("r9 =%016lx r10=%016lx r11=%016lx r12=%016lx\n", r->r9, r->r10, r->r11, r->r12);
    print("r13=%016lx r14=%016lx r15=%016lx\n", r->r13, r->r14, r->r15);
    print("cr0=%08lx cr2=%016lx cr3=%016lx cr4=%08lx\n", cr0(), cr2(), cr3(), cr4());
}

void halt_forever(void)
{
    for (;;) {
        cli();
        hlt();
    }
}

static void __attribute__((noreturn)) stop(void)
{
    const char *how = opt("panic");

    if (how && !strcmp(how, "exit"))
        debug_exit(0x7f);
    if (how && !strcmp(how, "crash"))
        triple_fault();
    halt_forever();
}

void panic(const char *fmt, ...)
{
    char line[200];
    va_list ap;

    cli();
    print_force();
    va_start(ap, fmt);
    format(line, sizeof(line), fmt, ap);
    va_end(ap);
    print("panic: %s\n", line);
    stop();
}

static void __attribute__((noreturn)) unexpected(struct regs *r)
{
    print_force();
    print("\nexception %lu %s error=%lx on cpu%u\n", r->vec, trap_name((unsigned)r->vec), r->err,
          this_cpu()->index);
    regs_print(r);
    print("halted\n");
    stop();
}

bool try_abort(struct regs *r)
{
    struct cpu *c = this_cpu();

    if (!c->try_rsp)
        return false;
    c->fault = (struct fault){r->vec, r->err, cr2(), *r};
    r->rip = (u64)try_landing;
    r->cs = SEL_CODE;
    r->ss = SEL_DATA;
    r->rsp = c->try_rsp;
    r->rflags &= ~0x54500ull; /* TF, DF, NT, RF, AC out; interrupts as they were */
    return true;
}

static void exception(struct cpu *c, struct regs *r)
{
    if (c->hook && c->hook(r))
        return;
    if (r->vec != 2 && !try_abort(r)) /* NMIs are only counted */
        unexpected(r);
}

void trap_handle(struct regs *r)
{
    struct cpu *c = this_cpu();

    c->irqs[r->vec]++;
    if (r->vec < 32) {
        exception(c, r);
        return;
    }
    if (r->vec >= VEC_PIC && r->vec < VEC_PIC + 16 && pic_spurious((unsigned)r->vec - VEC_PIC))
        return;
    if (r->rip == (u64)sti_hlt_halts)
        r->rip++; /* the one that was waited for */
    if (irq_handlers[r->vec])
        irq_handlers[r->vec](r);
    if (r->vec >= VEC_PIC && r->vec < VEC_PIC + 16)
        pic_eoi((unsigned)r->vec - VEC_PIC);
    else if (r->vec != VEC_SPURIOUS)
        lapic_write(LAPIC_EOI, 0);
}
