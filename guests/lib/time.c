/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * time: see time.h. The TSC's rate is measured between two readings of a second clock, each
 * reading the tightest of several, so that a host that takes the CPU away does not spoil it.
 */
#include "time.h"
#include "apic.h"
#include "smp.h"
#include "trap.h"

static u64 start_tsc, hz_cache, mult; /* mult: ns * 2^32 per tick */
static const char *source = "unknown";

struct reading {
    u64 tsc;
    u32 count; /* of the other clock */
};

void time_init(void)
{
    start_tsc = rdtsc();
}

static u16 pm_timer_port(void)
{
    return acpi_get()->pm_tmr ? acpi_get()->pm_tmr : PM_TIMER;
}

bool pm_timer_present(void)
{
    static int known;
    u32 a;

    if (known)
        return known > 0;
    known = -1;
    a = inl(pm_timer_port());
    for (unsigned i = 0; i < 1000 && known < 0; i++)
        if (inl(pm_timer_port()) != a && a != 0xffffffff)
            known = 1;
    return known > 0;
}

u32 pm_timer_mask(void)
{
    return 0xffffff; /* 24 bits are there on every machine */
}

u16 pit_read(unsigned channel)
{
    u8 lo;

    outb(0x43, (u8)(channel << 6)); /* latch */
    lo = inb((u16)(0x40 + channel));
    return (u16)(lo | inb((u16)(0x40 + channel)) << 8);
}

static u32 clock_pm(void)
{
    return inl(pm_timer_port()) & 0xffffff;
}

static u32 clock_pit(void)
{
    return (u16)-pit_read(2);
}

static struct reading read_pair(u32 (*clock)(void))
{
    struct reading r = {0, 0};
    u64 best = ~0ull;

    for (unsigned i = 0; i < 8; i++) {
        u64 a = rdtsc();
        u32 c = clock();
        u64 b = rdtsc();
        if (b - a < best) {
            best = b - a;
            r = (struct reading){a + (b - a) / 2, c};
        }
    }
    return r;
}

/* TSC ticks per second by `clock`, which counts up at clock_hz and wraps beyond `mask`. */
static u64 measure(u32 (*clock)(void), u32 mask, u32 clock_hz)
{
    struct reading a = read_pair(clock), b;
    u64 ticks;

    do
        pause();
    while (((clock() - a.count) & mask) < clock_hz / 50);
    b = read_pair(clock);
    ticks = (b.count - a.count) & mask;
    return (b.tsc - a.tsc) * clock_hz / (ticks ? ticks : 1);
}

static u64 tsc_hz_told(void)
{
    struct cpuid c = cpuid(0x40000000, 0);

    if ((cpuid(1, 0).c >> 31) && c.a >= 0x40000010 && c.a < 0x40010000 && cpuid(0x40000010, 0).a) {
        source = "hypervisor leaf";
        return cpuid(0x40000010, 0).a * 1000ull;
    }
    if (cpuid(0, 0).a >= 0x15) {
        c = cpuid(0x15, 0);
        if (c.a && c.b && c.c) {
            source = "cpuid leaf 0x15";
            return (u64)c.c * c.b / c.a;
        }
    }
    return 0;
}

static u64 tsc_hz_measured(void)
{
    u64 hz;

    if (pm_timer_present()) {
        source = "PM timer";
        return measure(clock_pm, 0xffffff, PM_TIMER_HZ);
    }
    source = "PIT";
    outb(0x61, (u8)((inb(0x61) & ~2) | 1)); /* gate of channel 2 */
    outb(0x43, 0xb4);                       /* channel 2, both bytes, rate generator */
    outb(0x42, 0);
    outb(0x42, 0);
    hz = measure(clock_pit, 0xffff, PIT_HZ);
    return hz;
}

u64 tsc_hz(void)
{
    if (hz_cache)
        return hz_cache;
    hz_cache = tsc_hz_told();
    if (!hz_cache)
        hz_cache = tsc_hz_measured();
    if (!hz_cache)
        hz_cache = 1000000000;
    mult = (1000000000ull << 32) / hz_cache;
    return hz_cache;
}

const char *tsc_hz_source(void)
{
    tsc_hz();
    return source;
}

u64 tsc_to_ns(u64 ticks)
{
    tsc_hz();
    return (u64)((unsigned __int128)ticks * mult >> 32);
}

u64 ns_to_tsc(u64 ns)
{
    u64 hz = tsc_hz();

    return ns / 1000000000 * hz + ns % 1000000000 * hz / 1000000000;
}

u64 now_ns(void)
{
    return tsc_to_ns(rdtsc() - start_tsc);
}

void delay_us(u64 us)
{
    u64 until = rdtsc() + ns_to_tsc(us * 1000);

    while ((s64)(until - rdtsc()) > 0)
        pause();
}

static void arm(u64 until)
{
    s64 left = (s64)(until - rdtsc());
    u64 ns = left > 0 ? tsc_to_ns((u64)left) : 0; /* it may just have passed */

    if (lapic_has_deadline()) {
        lapic_timer_start(TIMER_DEADLINE, until);
        return;
    }
    if (ns >> 31)
        ns = 1ull << 31; /* the caller comes again */
    lapic_timer_start(TIMER_ONESHOT, ns * lapic_timer_hz() / 1000000000);
}

void sleep_until(u64 until)
{
    bool irqs = irq_save();

    lapic_timer_hz();
    while ((s64)(until - rdtsc()) > 0) {
        arm(until);
        sti_hlt();
        cli();
    }
    irq_restore(irqs);
}

void halt_once(u64 until)
{
    bool irqs = irq_save();

    lapic_timer_hz();
    arm(until);
    sti_hlt();
    cli();
    irq_restore(irqs);
}

void sleep_ms(u64 ms)
{
    sleep_until(rdtsc() + ns_to_tsc(ms * 1000000));
}

void pit_start(unsigned hz)
{
    u32 div = PIT_HZ / hz;

    if (div > 65535)
        div = 0;
    outb(0x43, 0x34); /* channel 0, both bytes, rate generator */
    outb(0x40, (u8)div);
    outb(0x40, (u8)(div >> 8));
    pic_mask(0, false);
}

void pit_stop(void)
{
    pic_mask(0, true);
    outb(0x43, 0x30); /* one shot, and never loaded */
}
