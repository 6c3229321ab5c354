/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ioapic: the I/O APIC: 24 inputs, a redirection entry for each, behind an index and a data
 * register, and an EOI register (version 0x20).
 *
 * It sends messages and hears of EOIs; who receives them is its owner's business
 * (irqchip.h). Polarity is ignored: a wire that is 1 is active. An edge on a masked input is
 * lost, as the data sheet says. Delivery is instant, so "delivery status" always reads idle.
 * Follows: Intel 82093AA data sheet; ICH for the EOI register.
 *
 * Threads: no lock of its own; the owner serialises all calls.
 */
#ifndef RUCHE_DEVICES_IOAPIC_H
#define RUCHE_DEVICES_IOAPIC_H

#include "core/bus.h"
#include "core/err.h"
#include "devices/apic.h"

#include <stdbool.h>
#include <stdint.h>

struct ioapic;

enum { IOAPIC_PINS = 24, IOAPIC_BYTES = 4096 };

struct ioapic_env {
    /* True if a local APIC took it. Must not call back. */
    bool (*send)(void *opaque, const struct apic_msg *m);
    void *opaque;
};

struct ioapic_regs {
    uint32_t index, id;
    uint64_t entry[IOAPIC_PINS];
    uint32_t lines; /* levels of the inputs */
};

struct ioapic *ioapic_new(const struct ioapic_env *env, struct err *e);
void ioapic_free(struct ioapic *a);
void ioapic_reset(struct ioapic *a);

extern const struct bus_ops ioapic_ops; /* `dev` is the struct ioapic */

void ioapic_set_line(struct ioapic *a, unsigned pin, int level);

/* A local APIC has finished a level triggered `vector`: who sent it may send again. */
void ioapic_eoi(struct ioapic *a, uint8_t vector);

/* An MSI as a device writes it: 0xfeexxxxx and data. False: not such an address. */
bool msi_decode(uint64_t addr, uint32_t data, struct apic_msg *m);

void ioapic_regs_get(const struct ioapic *a, struct ioapic_regs *out);

#endif
