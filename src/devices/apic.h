/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * apic: what travels between local APICs, the IOAPIC and MSIs: one interrupt message.
 * SDM vol. 3, 11.6 (IPIs), 11.11 (MSI); 82093AA, 3.2.4 (redirection table).
 */
#ifndef RUCHE_DEVICES_APIC_H
#define RUCHE_DEVICES_APIC_H

#include <stdbool.h>
#include <stdint.h>

/* Encoded alike in ICR, LVT, redirection table and MSI data. */
enum apic_delivery {
    APIC_FIXED,
    APIC_LOWEST,
    APIC_SMI,
    APIC_RESERVED3,
    APIC_NMI,
    APIC_INIT,
    APIC_STARTUP,
    APIC_EXTINT,
};

struct apic_msg {
    uint32_t dest;
    uint8_t vector;
    enum apic_delivery delivery;
    bool logical; /* `dest` is a logical destination */
    bool wide;    /* `dest` has 32 bits (x2APIC), else 8; all ones is everybody */
    bool level;   /* level triggered: its EOI is told to the IOAPIC */
};

/* Is the message for everybody, whatever their mode? */
static inline bool apic_msg_is_broadcast(const struct apic_msg *m)
{
    return m->dest == (m->wide ? 0xffffffff : 0xff);
}

#endif
