/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * lapic: one vCPU's local APIC: xAPIC by its memory page, x2APIC by MSRs, the arbitration of
 * 256 vectors, local vector table, timer, and the sending of IPIs.
 *
 * It neither knows the other APICs nor the IOAPIC: it hands messages to its owner (irqchip.h)
 * and is asked whether a message is for it. The vCPU's own events (NMI, INIT, start-up) go
 * straight to the owner.
 *
 * Version 0x14, six LVT entries, no EOI-broadcast suppression, no CMCI. The ID cannot be
 * changed. SMIs are swallowed. After power-up of CPU 0, LINT0 is an open ExtINT ("virtual
 * wire"), as firmware leaves it: there is none.
 * Follows: SDM vol. 3, chapter 11 (2023 numbering).
 *
 * Threads: no lock of its own; the owner serialises all calls, `timer_due` excepted, which is
 * called on the I/O thread without any lock.
 */
#ifndef RUCHE_DEVICES_LAPIC_H
#define RUCHE_DEVICES_LAPIC_H

#include "core/err.h"
#include "core/irqchip.h"
#include "devices/apic.h"
#include "devices/lapic_timer.h"

#include <stdbool.h>
#include <stdint.h>

struct lapic;
struct vclock;

enum { LAPIC_PAGE_BYTES = 4096, LAPIC_LVTS = 6, LAPIC_VECTOR_WORDS = 8 };

/* All functions get `opaque` and the number of this CPU. Of the LAPIC they may call back only
 * lapic_accept and what looks at it. */
struct lapic_env {
    unsigned phys_bits; /* MAXPHYADDR of CPUID; APIC base bits above it fault */
    void *opaque;
    void (*send)(void *opaque, unsigned cpu, const struct apic_msg *m, unsigned shorthand);
    void (*eoi)(void *opaque, unsigned cpu, uint8_t vector); /* of a level triggered one */
    void (*event)(void *opaque, unsigned cpu, enum cpu_event ev, uint8_t vector);
    void (*timer_due)(void *opaque, unsigned cpu);
    uint64_t (*tsc_to_ns)(void *opaque, unsigned cpu, uint64_t tsc);
    uint64_t (*tsc_now)(void *opaque, unsigned cpu);
};

/* Destination shorthands of the ICR. */
enum { LAPIC_TO_DEST, LAPIC_TO_SELF, LAPIC_TO_ALL, LAPIC_TO_OTHERS };

struct lapic_regs {
    uint64_t base; /* IA32_APIC_BASE */
    uint32_t tpr, ldr, dfr, svr, esr, esr_pending, icr_low, icr_high;
    uint32_t lvt[LAPIC_LVTS]; /* timer, thermal, performance, LINT0, LINT1, error */
    uint32_t irr[LAPIC_VECTOR_WORDS], isr[LAPIC_VECTOR_WORDS], tmr[LAPIC_VECTOR_WORDS];
    bool lint[2]; /* levels of the pins */
    bool extint;  /* an ExtINT message waits for its INTA cycle */
};

struct lapic *lapic_new(unsigned cpu, struct vclock *clock, const struct lapic_env *env,
                        struct err *e);
void lapic_free(struct lapic *l);

void lapic_reset(struct lapic *l); /* power-up */
void lapic_init(struct lapic *l);  /* INIT: the ID and IA32_APIC_BASE stay */

/* The page: 32-bit accesses. All ones and no effect while not in xAPIC mode. */
uint32_t lapic_mmio_read(struct lapic *l, uint32_t off);
void lapic_mmio_write(struct lapic *l, uint32_t off, uint32_t val);

/* IA32_APIC_BASE, IA32_TSC_DEADLINE, x2APIC. False: #GP. */
bool lapic_rdmsr(struct lapic *l, uint32_t msr, uint64_t *val);
bool lapic_wrmsr(struct lapic *l, uint32_t msr, uint64_t val);

/* CR8 works in every mode, even with the APIC off. */
uint8_t lapic_cr8(const struct lapic *l);
void lapic_set_cr8(struct lapic *l, uint8_t cr8);

bool lapic_is_dest(const struct lapic *l, const struct apic_msg *m);

/* Takes a message that is for it (lapic_is_dest, or a shorthand). False: it is switched off, by
 * hardware or, for a vectored one, by software. */
bool lapic_accept(struct lapic *l, const struct apic_msg *m);

/* Whether a lowest-priority message may go here, and how busy it is: less is preferred. */
bool lapic_is_enabled(const struct lapic *l);
uint8_t lapic_priority(const struct lapic *l);

/* The vector that may be delivered now, or -1; ack moves it from requested to in service. */
int lapic_pending(const struct lapic *l);
int lapic_ack(struct lapic *l);

/* Whether the PICs' INTR reaches this CPU now, by LINT0, by an ExtINT message or because the
 * APIC is off. */
bool lapic_takes_extint(const struct lapic *l);

/* LINT0 (the PICs' output) and LINT1 (NMI). */
void lapic_set_lint(struct lapic *l, unsigned pin, bool level);

/* After `timer_due`. */
void lapic_timer_check(struct lapic *l);

void lapic_regs_get(const struct lapic *l, struct lapic_regs *out, struct lapic_timer_regs *timer);

#endif
