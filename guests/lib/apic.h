/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * apic: the PIC pair (remapped to VEC_PIC), the local APIC in either mode, IPIs, its timer.
 */
#ifndef TINY_APIC_H
#define TINY_APIC_H

#include "cpu.h"
#include "time.h"

#define LAPIC_BASE 0xfee00000u
#define IOAPIC_BASE 0xfec00000u

enum lapic_reg {
    LAPIC_ID = 0x20, LAPIC_VERSION = 0x30, LAPIC_TPR = 0x80, LAPIC_EOI = 0xb0, LAPIC_LDR = 0xd0,
    LAPIC_DFR = 0xe0, LAPIC_SVR = 0xf0, LAPIC_ISR = 0x100, LAPIC_TMR = 0x180, LAPIC_IRR = 0x200,
    LAPIC_ESR = 0x280, LAPIC_ICR = 0x300, LAPIC_ICR_HIGH = 0x310, LAPIC_LVT_TIMER = 0x320,
    LAPIC_LVT_LINT0 = 0x350, LAPIC_LVT_LINT1 = 0x360, LAPIC_LVT_ERROR = 0x370,
    LAPIC_TIMER_INIT = 0x380, LAPIC_TIMER_NOW = 0x390, LAPIC_TIMER_DIV = 0x3e0,
};

enum { IPI_FIXED = 0, IPI_NMI = 0x400, IPI_INIT = 0x4500, IPI_SIPI = 0x600 };
enum { IPI_SELF = 0x40000, IPI_ALL = 0x80000, IPI_OTHERS = 0xc0000 };

void pic_init(void);
void pic_mask(unsigned irq, bool masked);
void pic_eoi(unsigned irq);
bool pic_spurious(unsigned irq);

void lapic_init(void); /* this CPU: enabled; on the boot processor LINT0 = ExtINT */
u32 lapic_read(unsigned reg);
void lapic_write(unsigned reg, u32 v);
unsigned lapic_id(void);
bool x2apic_on(void);

/* `what` is mode | vector | shorthand; `dest` counts without shorthand. */
void ipi(unsigned dest, u32 what);

/* The timer on VEC_TIMER. lapic_timer_hz: rate of its counter with divisor 1, measured. */
u64 lapic_timer_hz(void);
bool lapic_has_deadline(void);
void lapic_timer_start(enum timer_mode mode, u64 count); /* counts, or the deadline */
void lapic_timer_stop(void);

#endif
