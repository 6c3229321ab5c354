/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * apic: see apic.h. 8259A datasheet; SDM volume 3, chapter "APIC".
 */
#include "apic.h"
#include "trap.h"

#define MSR_APIC_BASE 0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC 0x800

static u8 pic_masks[2] = {0xfb, 0xff}; /* the cascade is open */

static void pic_write_masks(void)
{
    outb(0x21, pic_masks[0]);
    outb(0xa1, pic_masks[1]);
}

void pic_init(void)
{
    outb(0x20, 0x11); /* ICW1: edge, cascade, ICW4 follows */
    outb(0xa0, 0x11);
    outb(0x21, VEC_PIC);
    outb(0xa1, VEC_PIC + 8);
    outb(0x21, 4);
    outb(0xa1, 2);
    outb(0x21, 1);
    outb(0xa1, 1);
    pic_write_masks();
}

void pic_mask(unsigned irq, bool masked)
{
    u8 bit = (u8)(1 << (irq & 7));

    if (masked)
        pic_masks[irq / 8] |= bit;
    else
        pic_masks[irq / 8] &= (u8)~bit;
    pic_write_masks();
}

void pic_eoi(unsigned irq)
{
    if (irq >= 8)
        outb(0xa0, 0x20);
    outb(0x20, 0x20);
}

bool pic_spurious(unsigned irq)
{
    u16 port = irq >= 8 ? 0xa0 : 0x20;

    if ((irq & 7) != 7)
        return false;
    outb(port, 0x0b); /* next read: in-service register */
    if (inb(port) & 0x80)
        return false;
    if (irq >= 8)
        outb(0x20, 0x20); /* the master did see the cascade */
    return true;
}

bool x2apic_on(void)
{
    return rdmsr(MSR_APIC_BASE) & 0x400;
}

u32 lapic_read(unsigned reg)
{
    return x2apic_on() ? (u32)rdmsr(MSR_X2APIC + reg / 16) : mmio32(LAPIC_BASE + reg);
}

void lapic_write(unsigned reg, u32 v)
{
    if (x2apic_on())
        wrmsr(MSR_X2APIC + reg / 16, v);
    else
        mmio32_set(LAPIC_BASE + reg, v);
}

unsigned lapic_id(void)
{
    u32 id = lapic_read(LAPIC_ID);

    return x2apic_on() ? id : id >> 24;
}

void lapic_init(void)
{
    wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 0x800);
    lapic_write(LAPIC_TPR, 0);
    lapic_write(LAPIC_SVR, 0x100 | VEC_SPURIOUS);
    lapic_write(LAPIC_LVT_TIMER, 0x10000);
    if (this_cpu()->index == 0)
        lapic_write(LAPIC_LVT_LINT0, 0x700); /* ExtINT: the PIC reaches this CPU */
    this_cpu()->apic_id = lapic_id();
}

void ipi(unsigned dest, u32 what)
{
    if (x2apic_on()) {
        wrmsr(MSR_X2APIC + LAPIC_ICR / 16, (u64)dest << 32 | what);
        return;
    }
    while (mmio32(LAPIC_BASE + LAPIC_ICR) & 0x1000)
        pause();
    mmio32_set(LAPIC_BASE + LAPIC_ICR_HIGH, dest << 24);
    mmio32_set(LAPIC_BASE + LAPIC_ICR, what);
}

bool lapic_has_deadline(void)
{
    return cpuid(1, 0).c & 1u << 24;
}

u64 lapic_timer_hz(void)
{
    static u64 hz;
    u64 t0, t1;
    u32 left;

    if (hz)
        return hz;
    lapic_write(LAPIC_TIMER_DIV, 0xb); /* 1 */
    lapic_write(LAPIC_LVT_TIMER, 0x10000 | VEC_TIMER);
    lapic_write(LAPIC_TIMER_INIT, 0xffffffff);
    t0 = rdtsc();
    while (rdtsc() - t0 < tsc_hz() / 200)
        pause();
    left = lapic_read(LAPIC_TIMER_NOW);
    t1 = rdtsc();
    lapic_write(LAPIC_TIMER_INIT, 0);
    hz = (u64)(0xffffffff - left) * tsc_hz() / (t1 - t0);
    return hz ? hz : 1;
}

void lapic_timer_start(enum timer_mode mode, u64 count)
{
    lapic_write(LAPIC_LVT_TIMER, VEC_TIMER | (u32)mode << 17);
    if (mode == TIMER_DEADLINE) {
        asm volatile("mfence" : : : "memory"); /* xAPIC: the LVT write comes first (SDM) */
        wrmsr(MSR_TSC_DEADLINE, count);
        return;
    }
    lapic_write(LAPIC_TIMER_DIV, 0xb);
    lapic_write(LAPIC_TIMER_INIT, count > 0xffffffff ? 0xffffffff : count ? (u32)count : 1);
}

void lapic_timer_stop(void)
{
    lapic_write(LAPIC_LVT_TIMER, 0x10000 | VEC_TIMER);
    lapic_write(LAPIC_TIMER_INIT, 0);
}
