/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * irqchip: the interrupt controllers of the board in our process: PICs, IOAPIC and a local
 * APIC per vCPU, wired as on a PC, behind the interface that an engine knows
 * (core/irqchip.h). Not used with KVM's own.
 *
 * ISA interrupts reach both the PICs and the IOAPIC (IRQ 0 at its pin 2). The PICs' INTR goes
 * to LINT0 of every CPU and to the IOAPIC's pin 0; a message of ExtINT kind, an open LINT0 or
 * a switched-off APIC lets it in.
 *
 * Threads: every function may be called from any thread; one mutex serialises them, `pending`
 * takes none. What the chips ask of a vCPU is told (env.cpu_event) after the mutex is released:
 * CPU_EVENT_INTR each time `pending` turns true. Locks of other devices may be held around
 * irqchip_set_line and irqchip_msi; cpu_event must not take them.
 */
#ifndef RUCHE_DEVICES_IRQCHIP_H
#define RUCHE_DEVICES_IRQCHIP_H

#include "core/bus.h"
#include "core/err.h"
#include "core/irq.h"
#include "core/irqchip.h"

#include <stdint.h>

struct irqchip_dev;
struct irqchip_region;
struct vclock;

enum { IRQCHIP_MAX_CPUS = 64, IRQCHIP_GSIS = 24, IRQCHIP_IOAPIC_BYTES = 4096 };

struct irqchip_env {
    struct vclock *clock;
    unsigned phys_bits; /* MAXPHYADDR that the guest's CPUID says; 0: 40 */
    void *opaque;
    void (*cpu_event)(void *opaque, unsigned cpu, enum cpu_event ev, uint8_t vector);
    uint64_t (*tsc_to_ns)(void *opaque, unsigned cpu, uint64_t tsc); /* guest time, rounded down */
    uint64_t (*tsc_now)(void *opaque, unsigned cpu);
};

struct irqchip_stats { /* cumulative */
    uint64_t delivered; /* interrupts acknowledged by vCPUs */
    uint64_t ipis;      /* messages sent by ICRs */
    uint64_t msis;
    uint64_t nowhere;   /* messages that no CPU took, and MSIs to other addresses */
};

/* NULL and `e`: more than IRQCHIP_MAX_CPUS, or no memory. */
struct irqchip_dev *irqchip_new(unsigned vcpus, const struct irqchip_env *env, struct err *e);
void irqchip_free(struct irqchip_dev *d);
void irqchip_reset(struct irqchip_dev *d);

/* What the engine gets. */
struct irqchip irqchip_get(struct irqchip_dev *d);

/* Inputs: 0-15 are ISA interrupts (0: the timer; 2 does not exist), 16-23 the IOAPIC's own. */
void irqchip_set_line(struct irqchip_dev *d, unsigned gsi, int level);
void irqchip_msi(struct irqchip_dev *d, uint64_t addr, uint32_t data);

/* The same as things to hand to a device. */
struct irq_wire irqchip_wire(struct irqchip_dev *d, unsigned gsi);
struct msi_sink irqchip_msi_sink(struct irqchip_dev *d);

/* A pulse on LINT1 of every CPU. */
void irqchip_nmi(struct irqchip_dev *d);

/* What goes onto a bus, without a lock (NULL): two ports for each of the PICs and their ELCR,
 * with irqchip_pic_ops; a page for the IOAPIC, with irqchip_ioapic_ops. */
enum irqchip_place { IRQCHIP_MASTER, IRQCHIP_SLAVE, IRQCHIP_ELCR, IRQCHIP_IOAPIC, IRQCHIP_PLACES };

struct irqchip_region *irqchip_region(struct irqchip_dev *d, enum irqchip_place where);
extern const struct bus_ops irqchip_pic_ops, irqchip_ioapic_ops;

void irqchip_stats_get(struct irqchip_dev *d, struct irqchip_stats *out);

#endif
