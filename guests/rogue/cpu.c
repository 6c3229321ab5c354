/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cpu: attacks on the processor: its registers, its decoder, its modes, its exceptions.
 */
#include "rogue.h"

static bool under_tcg(void)
{
    return (cpuid(1, 0).c >> 31) && cpuid(0x40000000, 0).b == 0x54474354;
}

struct value {
    u64 v;
    unsigned which;
};

static void write_register(void *arg)
{
    const struct value *x = arg;

    switch (x->which) {
    case 0: cr0_set(x->v); break;
    case 1: cr4_set(x->v); break;
    case 2: wrmsr(0xc0000080, x->v); break;
    case 3: cr8_set(x->v); break;
    case 4: asm volatile("xsetbv" : : "a"((u32)x->v), "d"((u32)(x->v >> 32)), "c"(x->v >> 60)); break;
    case 5: asm volatile("lmsw %w0" : : "r"(x->v) : "memory"); break;
    case 6: cr2_set(x->v); break;
    default: asm volatile("mov %0, %%dr6" : : "r"(x->v));
    }
}

/* One garbage value, what follows from it, and back. */
void registers(void)
{
    u64 c0 = cr0(), c4 = cr4(), efer = rdmsr(0xc0000080);

    while (more()) {
        static const u64 base_bits[] = {0x80010033, 0x620, 0x500, 0, 7, 0x33, 0, 0};
        struct value x = {0, (unsigned)rnd(8)};
        x.v = rnd(2) ? base_bits[x.which] ^ 1ull << rnd(64) : rnd64();
        if (x.which == 2) /* LMSLE: KVM lets it pass, and processors without it (Zen 3, QEMU's) refuse VMRUN then */
            x.v &= ~0x2000ull;
        if (under_tcg()) { /* it obeys where the hardware refuses */
            if (x.which == 0)
                x.v = (x.v & 0x4002a) | 0x80010011;
            if (x.which == 1)
                x.v = (x.v & 0x68c) | 0x620;
            if (x.which == 2)
                x.v = (x.v & 0x801) | 0x500;
        }
        try_call(write_register, &x, NULL);
        cr0_set(c0);
        cr4_set(c4);
        wrmsr(0xc0000080, efer);
        cr8_set(0);
        attempted();
    }
}

/* Not these: the guest's own time and its interrupts depend on them. */
static bool msr_spared(u32 msr)
{
    return msr == 0x10 || msr == 0x3b || msr == 0x1b || msr == 0xc0000080 || msr == 0x6e0 || (msr >= 0x800 && msr < 0x900) ||
           (msr >= 0xc0000104 && msr <= 0xc0000104) || msr == 0x79;
}

struct msr {
    u32 index;
    u64 v;
};

static void read_msr(void *arg)
{
    struct msr *m = arg;

    m->v = rdmsr(m->index);
}

static void write_msr(void *arg)
{
    const struct msr *m = arg;

    wrmsr(m->index, m->v);
}

/* KVM's own MSRs take guest addresses, with an enable bit: they get the sandbox or nothing real. */
static u64 msr_value(u32 msr)
{
    if (msr == 0x11 || msr == 0x12 || (msr >= 0x40000000 && msr < 0x40001000) || (msr >= 0x4b564d00 && msr < 0x4b564e00))
        return (rnd(2) ? sandbox() + rnd(4096) : bad_addr()) | rnd(8);
    return rnd64();
}

void msrs(void)
{
    static const u32 bases[] = {0, 0x100, 0x170, 0x200, 0x2ff, 0x400, 0x480, 0x600, 0xc80, 0x40000000, 0x4b564d00,
                                0xc0000080, 0xc0000100, 0xc0000200, 0xc0010000, 0xc0010110, 0xc0011020};

    while (more()) {
        struct msr old = {rnd(16) ? bases[rnd(ARRAY_LEN(bases))] + (u32)rnd(64) : (u32)rnd64(), 0}, bad;
        bool readable = !try_call(read_msr, &old, NULL);
        attempted();
        if (msr_spared(old.index))
            continue;
        bad = (struct msr){old.index, msr_value(old.index)};
        try_call(write_msr, &bad, NULL);
        if (readable)
            try_call(write_msr, &old, NULL);
    }
}

static void write_tsc(void *arg)
{
    wrmsr(0x10, *(u64 *)arg);
}

/* Jumps, and back to where it would have been. */
void tsc(void)
{
    for (unsigned i = 0; i < 200; i++) {
        u64 now = rdtsc(), there = rnd64(), t;
        try_call(write_tsc, &there, NULL);
        t = rdtsc();
        lapic_timer_start(TIMER_ONESHOT, 1000);
        if (lapic_has_deadline())
            lapic_timer_start(TIMER_DEADLINE, rnd64());
        now += rdtsc() - t;
        try_call(write_tsc, &now, NULL);
        attempted();
    }
    lapic_timer_stop();
}

static void one_virt(void *arg)
{
    u64 pa = sandbox(), bad = bad_addr();

    switch ((u64)arg) {
    case 0: asm volatile("vmxon %0" : : "m"(pa) : "cc", "memory"); break;
    case 1: asm volatile("vmptrld %0" : : "m"(bad) : "cc", "memory"); break;
    case 2: asm volatile("vmclear %0" : : "m"(bad) : "cc", "memory"); break;
    case 3: asm volatile("vmlaunch" : : : "cc", "memory"); break;
    case 4: asm volatile("vmresume" : : : "cc", "memory"); break;
    case 5: asm volatile("vmread %1, %0" : "=r"(pa) : "r"(bad) : "cc", "memory"); break;
    case 6: asm volatile("vmwrite %1, %0" : : "r"(pa), "r"(bad) : "cc", "memory"); break;
    case 7: asm volatile("vmxoff" : : : "cc", "memory"); break;
    case 8: asm volatile("vmrun" : : "a"(bad) : "cc", "memory"); break;
    case 9: asm volatile("vmload" : : "a"(bad) : "memory"); break;
    case 10: asm volatile("vmsave" : : "a"(bad) : "memory"); break;
    case 11: asm volatile("stgi"); break;
    case 12: asm volatile("skinit" : : "a"((u32)bad) : "memory"); break;
    case 13: asm volatile("invlpga" : : "a"(bad), "c"(1) : "memory"); break;
    case 14: asm volatile("invept %0, %1" : : "m"(pa), "r"(1ull) : "cc", "memory"); break;
    case 15: asm volatile("invvpid %0, %1" : : "m"(pa), "r"(1ull) : "cc", "memory"); break;
    case 16: asm volatile("rsm"); break;
    case 17: asm volatile("getsec" : : "a"(0) : "rbx", "rcx", "memory"); break;
    case 18: asm volatile(".byte 0x0f, 0x01, 0xcf"); break; /* enclu group */
    case 19: asm volatile("monitor; mwait" : : "a"(bad), "c"(0), "d"(0)); break;
    case 20: asm volatile("xsaves (%0)" : : "r"(pa), "a"(-1), "d"(-1) : "memory"); break;
    case 21: asm volatile("invpcid %0, %1" : : "m"(pa), "r"(bad) : "memory"); break;
    default: asm volatile("wbinvd; invd"); break;
    }
}

void virt(void)
{
    while (more()) {
        try_call(one_virt, (void *)rnd(23), NULL);
        attempted();
    }
}

/* Random bytes, sometimes with a likely opcode first. */
static size_t random_code(u8 *code, size_t n)
{
    static const u8 likely[] = {0x0f, 0x66, 0xf2, 0xf3, 0xf0, 0x48, 0xc5, 0xc4, 0x62, 0x8f, 0xff, 0xf7, 0xd8, 0xd9, 0xdf, 0xcf, 0x9a, 0xea,
                                0xc8, 0x8e, 0xcd, 0x6c, 0xa4, 0x0e, 0xab, 0xe8};

    for (size_t i = 0; i < n; i++)
        code[i] = rnd(3) ? (u8)rnd(256) : likely[rnd(ARRAY_LEN(likely))];
    return n;
}

void instructions(void)
{
    u8 code[64];

    while (more()) {
        static const unsigned bits[] = {64, 64, 32, 16};
        user_bytes(code, random_code(code, sizeof(code)), bits[rnd(4)], 200);
        attempted();
    }
}

/* At the very end of a page behind which there is nothing. */
void prefixes(void)
{
    static const u8 prefix[] = {0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0x40, 0x48, 0x4f};
    u64 *last = page_entry(cr3(), USER_BASE + 4096, 1), saved = *last;

    *last = 0;
    invlpg(USER_BASE + 4096);
    while (more()) {
        u8 code[8] = {0xe9}; /* jmp to the end of the page */
        unsigned n = 1 + (unsigned)rnd(17), p = (unsigned)rnd(n + 1);
        s64 to = 4096 - (s64)n;
        u32 rel = (u32)(to - 5);
        u8 *at = (u8 *)sandbox() + to;
        memcpy(code + 1, &rel, 4);
        for (unsigned i = 0; i < n; i++)
            at[i] = i < p ? prefix[rnd(ARRAY_LEN(prefix))] : (u8)rnd(256);
        user_bytes(code, 5, rnd(2) ? 64 : 32, 200);
        attempted();
    }
    *last = saved;
    invlpg(USER_BASE + 4096);
}

/* Code whose next instruction would be non-canonical, or at address 0 again. */
void edges(void)
{
    u64 low = 0x00007ffffffff000, high = 0xfffffffffffff000, first = 0xffff800000000000;
    u64 page = sandbox() + 4096;

    for (unsigned i = 0; i < 3; i++) {
        u64 va = i == 0 ? low : i == 1 ? high : first;
        *page_entry(cr3(), va, 1) = page | PTE_P | PTE_W | PTE_U;
        *page_entry(cr3(), va, 4) |= PTE_U;
    }
    cr3_set(cr3());
    while (more()) {
        static const u8 tail[] = {0x90, 0x66, 0xe8, 0x0f, 0xf3, 0x48, 0xb8, 0xc8};
        memset((void *)(page + 4064), 0x90, 32);
        for (unsigned i = 0; i < rnd(4); i++)
            mmio8_set(page + 4095 - i, tail[rnd(ARRAY_LEN(tail))]);
        mmio8_set(page, 0xcc);
        user_jump((rnd(2) ? low : high) + 4095 - rnd(30), 64, 200);
        attempted();
    }
    *page_entry(cr3(), low, 1) = *page_entry(cr3(), high, 1) = *page_entry(cr3(), first, 1) = 0;
    cr3_set(cr3());
}

struct locked {
    u64 va;
    unsigned kind;
};

static void do_locked(void *arg)
{
    const struct locked *l = arg;

    switch (l->kind) {
    case 0: asm volatile("lock incq (%0)" : : "r"(l->va) : "memory", "cc"); break;
    case 1: asm volatile("lock cmpxchgl %1, (%0)" : : "r"(l->va), "r"(1), "a"(0) : "memory", "cc"); break;
    case 2: asm volatile("xchgw %w1, (%0)" : : "r"(l->va), "r"(1) : "memory"); break;
    case 3: asm volatile("lock cmpxchg8b (%0)" : : "r"(l->va), "a"(0), "b"(0), "c"(0), "d"(0) : "memory", "cc"); break;
    case 4: asm volatile("lock btsq %1, (%0)" : : "r"(l->va), "r"(70ull) : "memory", "cc"); break;
    case 5: asm volatile("lock xaddq %1, (%0)" : : "r"(l->va), "r"(3ull) : "memory", "cc"); break;
    default: asm volatile("lock notq (%0)" : : "r"(l->va) : "memory"); break;
    }
}

void locks(void)
{
    while (more()) {
        struct locked l = {WINDOW + 4096 - rnd(16), (unsigned)rnd(7)};
        *window_pte(0) = sandbox() | PTE_P | PTE_W;
        *window_pte(1) = rnd(2) ? (sandbox() + 4096) | PTE_P | PTE_W : rnd(2) ? 0xfed00000 | PTE_P | PTE_W : 0;
        cr3_set(cr3());
        for (unsigned i = 0; i < 50; i++)
            try_call(do_locked, &l, NULL);
        l.va = WINDOW + 64 - rnd(8);
        for (unsigned i = 0; i < 50; i++)
            try_call(do_locked, &l, NULL);
        attempted();
    }
}

/* 32-bit unprivileged code with a segment of its own whose limit and type are random. */
void segments(void)
{
    extern u64 gdt[];
    static const u8 code[] = {
        0xb8, SEL_SPARE + 11, 0, 0, 0, /* mov $spare 1, %eax */
        0x8e, 0xd8,                    /* mov %eax, %ds */
        0x8b, 0x0b,                    /* mov (%ebx), %ecx */
        0x89, 0x0e,                    /* mov %ecx, (%esi) */
        0x8e, 0xd0,                    /* mov %eax, %ss */
        0x50, 0x58, 0xc3};             /* push, pop, ret */

    while (more()) {
        gdt[SEL_SPARE / 8 + 1] = (rnd64() & 0x00c0000000ffffff) | 0x0000f20000000000 | (rnd64() & 0x0000050000000000);
        user_bytes(code, sizeof(code), 32, 200);
        attempted();
    }
    gdt[SEL_SPARE / 8 + 1] = 0;
}

void smc(void)
{
    while (more()) {
        u8 code[64];
        size_t n = 0;
        /* a loop that writes a random byte somewhere in itself, and stops by time */
        for (unsigned i = 0; i < 6; i++) {
            code[n++] = 0xc6;
            code[n++] = 0x05; /* movb $imm, disp(%rip) */
            code[n] = (u8)rnd(80);
            code[n + 1] = code[n + 2] = code[n + 3] = 0;
            n += 4;
            code[n++] = rnd(2) ? 0x90 : (u8)rnd(256);
        }
        code[n] = 0xeb;
        code[n + 1] = (u8)-(n + 2);
        n += 2;
        user_bytes(code, n, 64, 300);
        attempted();
    }
}

static bool swallow_db(struct regs *r)
{
    if (r->vec != 1)
        return false;
    r->rflags = (r->rflags & ~0x100ull) | 0x10000;
    if (cpus[0].irqs[1] % 1000 == 0)
        asm volatile("mov %0, %%dr7" : : "r"(0x400ull));
    return true;
}

struct debug {
    u64 addr[4], dr7;
};

static void arm(void *arg)
{
    const struct debug *d = arg;

    asm volatile("mov %0, %%dr0" : : "r"(d->addr[0]));
    asm volatile("mov %0, %%dr1" : : "r"(d->addr[1]));
    asm volatile("mov %0, %%dr2" : : "r"(d->addr[2]));
    asm volatile("mov %0, %%dr3" : : "r"(d->addr[3]));
    asm volatile("mov %0, %%dr7" : : "r"(d->dr7));
    mmio64_set(sandbox() + 8, mmio64(sandbox()));
    asm volatile("rep movsb" : : "S"(sandbox()), "D"(sandbox() + 64), "c"(32) : "memory");
    asm volatile("pushfq; orq $0x100, (%%rsp); popfq; nop; nop; int3" : : : "memory", "cc");
}

void debugregs(void)
{
    cpus[0].hook = swallow_db;
    while (more()) {
        struct debug d = {{sandbox() + rnd(16), sandbox() + 64 + rnd(16), rnd64(), (u64)arm + rnd(64)}, (rnd64() & 0xffffdfff) | 0x400};
        try_call(arm, &d, NULL);
        asm volatile("mov %0, %%dr7" : : "r"(0x400ull));
        attempted();
    }
    cpus[0].hook = disguised;
    asm volatile("mov %0, %%dr6" : : "r"(0xffff0ff0ull));
}

static void call(void *arg)
{
    const u64 *a = arg;
    u64 rax = a[0];

    if (a[5] & 1)
        asm volatile("vmcall" : "+a"(rax) : "b"(a[1]), "c"(a[2]), "d"(a[3]), "S"(a[4]) : "memory");
    else
        asm volatile("vmmcall" : "+a"(rax) : "b"(a[1]), "c"(a[2]), "d"(a[3]), "S"(a[4]) : "memory");
}

void hypercalls(void)
{
    while (more()) {
        u64 a[6] = {rnd(4) ? rnd(16) : rnd64(), rnd64(), rnd64(), rnd64(), 0, rnd64()};
        if (a[0] == 10)
            a[0] = 11; /* KVM's SEND_IPI: could be an INIT to ourselves */
        try_call(call, a, NULL);
        attempted();
    }
}

static void one_fault(void *arg)
{
    switch ((u64)arg) {
    case 0: asm volatile("ud2"); break;
    case 1: asm volatile("int3"); break;
    case 2: asm volatile("div %0" : : "r"(0), "a"(1), "d"(0) : "cc"); break;
    case 3: mmio64(WINDOW + 7 * 4096); break;
    case 4: mmio64(1ull << 63); break;
    case 5: asm volatile("mov %0, %%ds" : : "r"(0xfff8) : "memory"); break;
    case 6: asm volatile("int $0x81" : : : "memory"); break;
    default: asm volatile("movaps 1(%0), %%xmm0" : : "r"(sandbox())); break;
    }
}

void faults(void)
{
    trap_set_gate(0x81, NULL, 0, 0);
    while (more()) {
        try_call(one_fault, (void *)rnd(8), NULL);
        attempted();
    }
}

static void bad_stack(void *arg)
{
    asm volatile("mov %0, %%rsp; push %%rax" : : "r"(arg) : "memory");
}

void doublefaults(void)
{
    extern u8 trap_stubs[];

    while (more()) {
        if (rnd(2)) {
            trap_set_gate(13, NULL, 0x0e, 0);
            try_call(one_fault, (void *)4, NULL);
            trap_set_gate(13, trap_stubs + TRAP_STUB_BYTES * 13, 0x8e, 0);
        } else {
            try_call(bad_stack, (void *)(rnd(2) ? WINDOW + 7 * 4096 : 1ull << 63), NULL);
        }
        attempted();
    }
}

void hltstorm(void)
{
    while (more()) {
        sleep_until(rdtsc() + rnd(20000));
        attempted();
    }
}
