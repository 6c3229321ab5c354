/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * irqchip: interrupt controllers that live in our process (LAPICs, IOAPIC, PICs), as a vCPU
 * and its accelerator see them. Used by the software CPU, and under KVM with `irqchip: user`.
 * The devices implement it (src/devices/irqchip.c); nothing here is used when the
 * controllers are KVM's own.
 *
 * Threads: every function may be called from any thread; `cpu` is the index of the vCPU.
 */
#ifndef RUCHE_CORE_IRQCHIP_H
#define RUCHE_CORE_IRQCHIP_H

#include <stdbool.h>
#include <stdint.h>

/* What a controller asks of a vCPU. */
enum cpu_event {
    CPU_EVENT_INTR, /* look at irqchip_ops.pending again, wake from HLT */
    CPU_EVENT_NMI,
    CPU_EVENT_INIT,
    CPU_EVENT_SIPI, /* with the start-up vector */
};

struct irqchip_ops {
    /* True if an interrupt could be delivered now if RFLAGS.IF allowed it (TPR is counted in). */
    bool (*pending)(void *chip, unsigned cpu);

    /* Acknowledges and returns the vector 0-255 to deliver, or -1 if it is gone. */
    int (*ack)(void *chip, unsigned cpu);

    /* The local APIC's page, by offset; 32-bit accesses. */
    uint32_t (*mmio_read)(void *chip, unsigned cpu, uint32_t off);
    void (*mmio_write)(void *chip, unsigned cpu, uint32_t off, uint32_t val);

    /* IA32_APIC_BASE (1b), IA32_TSC_DEADLINE (6e0), x2APIC (800-83f). False: not such a MSR, or
     * the hardware would raise #GP. */
    bool (*rdmsr)(void *chip, unsigned cpu, uint32_t msr, uint64_t *val);
    bool (*wrmsr)(void *chip, unsigned cpu, uint32_t msr, uint64_t val);

    /* CR8 is the upper nibble of the task priority. */
    uint8_t (*cr8_get)(void *chip, unsigned cpu);
    void (*cr8_set)(void *chip, unsigned cpu, uint8_t cr8);

    /* INIT resets the local APIC of one CPU (its ID stays). */
    void (*init)(void *chip, unsigned cpu);
};

struct irqchip {
    const struct irqchip_ops *ops; /* NULL: the accelerator has its own */
    void *chip;
};

#endif
