/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * apic: attacks on and by the interrupt controllers. Vectors below 32 are not sent to anybody:
 * they would look like exceptions to this guest's own handlers.
 */
#include "rogue.h"

#define MSR_APIC_BASE 0x1b

/* Registers that take a vector keep a sane one; nobody is sent INIT or a start-up IPI. */
static u32 harmless(unsigned reg, u32 v)
{
    if (reg >= 0x2f0 && reg <= 0x37f) {
        v = (v & ~0xffu) | sane_vector(v);
        if ((v >> 8 & 7) == 5 || (v >> 8 & 7) == 7)
            v &= ~0x700u; /* INIT; ExtINT would ask the PIC */
    }
    if (reg >= 0x300 && reg < 0x310 && ((v >> 8 & 7) == 5 || (v >> 8 & 7) == 6))
        v &= ~0x700u;
    if (reg >= 0xf0 && reg < 0x100)
        v = (v & ~0xffu) | sane_vector(v);
    return v;
}

struct poke {
    u64 va;
    u32 v;
    unsigned width;
    bool write;
};

static void do_poke(void *arg)
{
    struct poke *p = arg;

    switch (p->width * 2 + p->write) {
    case 2: p->v = mmio8(p->va); break;
    case 3: mmio8_set(p->va, (u8)p->v); break;
    case 4: p->v = mmio16(p->va); break;
    case 5: mmio16_set(p->va, (u16)p->v); break;
    case 8: p->v = mmio32(p->va); break;
    case 9: mmio32_set(p->va, p->v); break;
    case 16: mmio64(p->va); break;
    default: mmio64_set(p->va, p->v);
    }
}

static void breathe(void)
{
    sti();
    for (unsigned i = 0; i < 20; i++)
        pause();
    cli();
}

void lapic(void)
{
    while (more()) {
        unsigned off = (unsigned)rnd(rnd(4) ? 0x400 : 0x1000);
        struct poke p = {LAPIC_BASE + off, 0, 1u << rnd(4), rnd(2)};
        if (rnd(4)) {
            off &= ~15u;
            p.va = LAPIC_BASE + off;
            p.width = 4;
        }
        if (off + 8 > 0x300 && off < 0x310 && (p.width != 4 || off & 15))
            p.write = false; /* a torn ICR could be an INIT */
        p.v = harmless(off, (u32)rnd64());
        try_call(do_poke, &p, NULL);
        attempted();
        if (!rnd(16))
            breathe();
        if (!rnd(64))
            repair();
    }
}

static void write_apic_base(void *arg)
{
    wrmsr(MSR_APIC_BASE, (u64)arg);
}

static void use_apic(void *arg)
{
    (void)arg;
    mmio32(LAPIC_BASE + LAPIC_VERSION);
    rdmsr(0x803);
}

void apicbase(void)
{
    u64 good = rdmsr(MSR_APIC_BASE);

    while (more()) {
        u64 v = rnd(2) ? (bad_addr() & ~0xfffull) | 0x900 : (good & ~0xd00ull) | (rnd64() & 0xd00);
        try_call(write_apic_base, (void *)(rnd(4) ? v : rnd64()), NULL);
        try_call(use_apic, NULL, NULL);
        try_call(write_apic_base, (void *)((good & ~0xc00ull)), NULL); /* off: the way out of x2APIC */
        try_call(write_apic_base, (void *)good, NULL);
        attempted();
    }
    wrmsr(MSR_APIC_BASE, good & ~0xc00ull);
    wrmsr(MSR_APIC_BASE, good);
}

void ioapic(void)
{
    while (more()) {
        unsigned index = (unsigned)rnd(rnd(4) ? 64 : 256);
        u32 v = (u32)rnd64();
        if (index >= 0x10 && !(index & 1)) {
            v = (v & ~0xffu) | sane_vector(v);
            if ((v >> 8 & 7) == 5 || (v >> 8 & 7) == 7)
                v &= ~0x700u;
        }
        mmio32_set(IOAPIC_BASE, index);
        if (rnd(8))
            mmio32_set(IOAPIC_BASE + 0x10, v);
        else
            try_call(do_poke, &(struct poke){IOAPIC_BASE + 0x20 + rnd(0xfd8), v, 1u << rnd(4), rnd(2)}, NULL);
        mmio32(IOAPIC_BASE + 0x10);
        mmio32_set(IOAPIC_BASE + 0x40, rnd(256)); /* EOI of newer ones */
        attempted();
        if (!rnd(16)) {
            pit_start(1000);
            breathe();
        }
        if (!rnd(64))
            repair();
    }
}

void irqstorm(void)
{
    while (more()) {
        lapic_timer_start(TIMER_PERIODIC, 1 + rnd(200));
        pit_start(100000 + (u32)rnd(1000000));
        for (unsigned i = 0; i < 200; i++)
            breathe();
        lapic_timer_stop();
        if (lapic_has_deadline())
            for (unsigned i = 0; i < 100; i++) {
                lapic_timer_start(TIMER_DEADLINE, rdtsc() - rnd(1000));
                breathe();
            }
        attempted();
    }
}

static void ap_idle(void *arg)
{
    (void)arg;
    sti();
    for (unsigned i = 0; i < 100; i++)
        pause();
}

void ipistorm(void)
{
    unsigned n = smp_start();

    while (more()) {
        static const u32 to[] = {0, IPI_SELF, IPI_ALL, IPI_OTHERS};
        u32 what = sane_vector(rnd64()) | to[rnd(4)] | (rnd(4) ? 0 : 0x100) | (rnd(8) ? 0 : 0x800);
        ipi((unsigned)rnd(rnd(2) ? n : 256), what);
        if (rnd(16) == 0)
            ipi(0, IPI_SELF | (u32)rnd(16)); /* illegal vectors */
        if (n > 1 && !rnd(64) && smp_idle(1))
            smp_run(1, ap_idle, NULL);
        attempted();
        if (!rnd(8))
            breathe();
    }
    smp_wait();
}

void nmistorm(void)
{
    unsigned n = smp_start();

    while (more()) {
        ipi(cpus[rnd(n)].apic_id, IPI_NMI);
        if (!rnd(4))
            ipi(0, IPI_OTHERS | IPI_NMI);
        attempted();
    }
}

/* A page of `cli; hlt; jmp` for those who start at the wrong place. */
void initstorm(void)
{
    unsigned n = smp_start();
    u64 until;

    if (n < 2) {
        print("rogue: initstorm needs two CPUs\n");
        return;
    }
    memcpy((void *)0x9000, "\xfa\xf4\xeb\xfc", 4);
    while (more()) {
        unsigned id = cpus[1 + rnd(n - 1)].apic_id;
        if (rnd(2))
            ipi(id, IPI_INIT);
        if (rnd(2))
            ipi(id, IPI_SIPI | 9);
        if (!rnd(4))
            ipi(id, IPI_NMI);
        if (!rnd(8))
            ipi(id, 0x8500); /* INIT de-assert */
        attempted();
        for (until = rdtsc() + rnd(20000); (s64)(until - rdtsc()) > 0;)
            pause();
    }
    for (unsigned i = 1; i < n; i++)
        ipi(cpus[i].apic_id, IPI_INIT);
    smp_forget();
    print("rogue: %u CPUs start again\n", smp_start() - 1);
}
