/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ioapic: see ioapic.h.
 */
#include "devices/ioapic.h"

#include <errno.h>
#include <stdlib.h>

enum { OFF_INDEX = 0x00, OFF_DATA = 0x10, OFF_EOI = 0x40 };
enum { REG_ID, REG_VERSION, REG_ARBITRATION, REG_ENTRY = 0x10 };
enum { VERSION = 0x20 | (IOAPIC_PINS - 1) << 16, ID_BITS = 0x0f000000 };
enum {
    E_VECTOR = 0xff, E_DELIVERY_SHIFT = 8, E_LOGICAL = 1 << 11, E_REMOTE_IRR = 1 << 14,
    E_LEVEL = 1 << 15, E_MASKED = 1 << 16, E_DEST_SHIFT = 56,
    E_WRITABLE_LOW = 0x1afff, /* all but delivery status and remote IRR */
};

struct ioapic {
    struct ioapic_env env;
    struct ioapic_regs r;
};

/* Level triggering means something only for vectored interrupts. */
static bool is_level(uint64_t entry)
{
    unsigned delivery = entry >> E_DELIVERY_SHIFT & 7;

    return (entry & E_LEVEL) && (delivery == APIC_FIXED || delivery == APIC_LOWEST);
}

static void pin_send(struct ioapic *a, unsigned pin)
{
    uint64_t entry = a->r.entry[pin];
    const struct apic_msg m = {
        .dest = (uint32_t)(entry >> E_DEST_SHIFT),
        .vector = entry & E_VECTOR,
        .delivery = entry >> E_DELIVERY_SHIFT & 7,
        .logical = entry & E_LOGICAL,
        .level = is_level(entry),
    };

    if (a->env.send(a->env.opaque, &m) && m.level)
        a->r.entry[pin] |= E_REMOTE_IRR;
}

/* An active, open, level triggered input sends unless its last message is still in service. */
static void pin_check_level(struct ioapic *a, unsigned pin)
{
    uint64_t entry = a->r.entry[pin];

    if (is_level(entry) && (a->r.lines >> pin & 1) && !(entry & (E_MASKED | E_REMOTE_IRR)))
        pin_send(a, pin);
}

void ioapic_set_line(struct ioapic *a, unsigned pin, int level)
{
    bool rises;

    if (pin >= IOAPIC_PINS)
        return;
    rises = level && !(a->r.lines >> pin & 1);
    if (level)
        a->r.lines |= 1u << pin;
    else
        a->r.lines &= ~(1u << pin);
    if (is_level(a->r.entry[pin]))
        pin_check_level(a, pin);
    else if (rises && !(a->r.entry[pin] & E_MASKED))
        pin_send(a, pin);
}

void ioapic_eoi(struct ioapic *a, uint8_t vector)
{
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        uint64_t *entry = &a->r.entry[pin];

        if (!(*entry & E_REMOTE_IRR) || (*entry & E_VECTOR) != vector)
            continue;
        *entry &= ~(uint64_t)E_REMOTE_IRR;
        pin_check_level(a, pin);
    }
}

/* Kernels switch an entry to edge and back to clear a stuck remote IRR. */
static void entry_write(struct ioapic *a, unsigned reg, uint32_t val)
{
    unsigned pin = reg / 2;
    uint64_t *entry = &a->r.entry[pin];

    if (reg & 1) {
        *entry = (*entry & 0xffffffff) | (uint64_t)(val & 0xff000000) << 32;
        return;
    }
    *entry = (*entry & ~(uint64_t)E_WRITABLE_LOW) | (val & E_WRITABLE_LOW);
    if (!is_level(*entry))
        *entry &= ~(uint64_t)E_REMOTE_IRR;
    pin_check_level(a, pin);
}

static uint32_t data_read(const struct ioapic *a)
{
    unsigned reg = a->r.index;

    switch (reg) {
    case REG_ID:
    case REG_ARBITRATION:
        return a->r.id;
    case REG_VERSION:
        return VERSION;
    default:
        if (reg < REG_ENTRY || reg >= REG_ENTRY + 2 * IOAPIC_PINS)
            return 0;
        reg -= REG_ENTRY;
        return (uint32_t)(a->r.entry[reg / 2] >> (reg & 1 ? 32 : 0));
    }
}

static void data_write(struct ioapic *a, uint32_t val)
{
    unsigned reg = a->r.index;

    if (reg == REG_ID)
        a->r.id = val & ID_BITS;
    else if (reg >= REG_ENTRY && reg < REG_ENTRY + 2 * IOAPIC_PINS)
        entry_write(a, reg - REG_ENTRY, val);
}

static uint64_t ioapic_read(void *dev, uint64_t off, unsigned size)
{
    const struct ioapic *a = dev;

    if (off == OFF_INDEX)
        return a->r.index;
    return off == OFF_DATA && size == 4 ? data_read(a) : 0;
}

static void ioapic_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct ioapic *a = dev;

    if (off == OFF_INDEX)
        a->r.index = (uint8_t)val;
    else if (off == OFF_DATA && size == 4)
        data_write(a, (uint32_t)val);
    else if (off == OFF_EOI)
        ioapic_eoi(a, (uint8_t)val);
}

const struct bus_ops ioapic_ops = {
    .read = ioapic_read, .write = ioapic_write, .widths = BUS_W1 | BUS_W2 | BUS_W4,
};

bool msi_decode(uint64_t addr, uint32_t data, struct apic_msg *m)
{
    bool to_lowest = addr & 8; /* redirection hint */

    if (addr >> 20 != 0xfee)
        return false;
    *m = (struct apic_msg){
        .dest = addr >> 12 & 0xff,
        .vector = (uint8_t)data,
        .delivery = data >> 8 & 7,
        .logical = addr & 4,
        .level = (data >> 15 & 1) && (data >> 14 & 1),
    };
    if (to_lowest && m->delivery == APIC_FIXED)
        m->delivery = APIC_LOWEST;
    return true;
}

/* The levels of the inputs are their sources' to change. */
void ioapic_reset(struct ioapic *a)
{
    a->r = (struct ioapic_regs){.lines = a->r.lines};
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        a->r.entry[pin] = E_MASKED;
}

struct ioapic *ioapic_new(const struct ioapic_env *env, struct err *e)
{
    struct ioapic *a = calloc(1, sizeof *a);

    if (!a) {
        err_set(e, ENOMEM, "out of memory for the IOAPIC; free some or start fewer guests");
        return NULL;
    }
    a->env = *env;
    ioapic_reset(a);
    return a;
}

void ioapic_free(struct ioapic *a)
{
    free(a);
}

void ioapic_regs_get(const struct ioapic *a, struct ioapic_regs *out)
{
    *out = a->r;
}
