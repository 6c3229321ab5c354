/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * chip_machine: all classic chips on two buses, wired as on the board, for tests that want the
 * whole. The test brings the clock and the functions that the chips call.
 */
#ifndef RUCHE_TESTS_CHIP_MACHINE_H
#define RUCHE_TESTS_CHIP_MACHINE_H

#include "chip_rig.h"
#include "devices/acpi_pm.h"
#include "devices/debug_ports.h"
#include "devices/i8042.h"
#include "devices/i8254.h"
#include "devices/irqchip.h"
#include "devices/mc146818.h"
#include "devices/ns16550.h"
#include "devices/pc_map.h"

struct chips {
    struct bus *pio, *mmio;
    struct vclock *clock;
    struct irqchip_dev *d;
    struct irqchip chip;
    struct i8254 *pit;
    struct mc146818 *rtc;
    struct ns16550 *uart;
    struct acpi_pm *pm;
    struct i8042 *kbc;
    struct debug_ports *dbg;
};

struct chips_host {
    unsigned cpus;
    void *opaque;
    void (*cpu_event)(void *opaque, unsigned cpu, enum cpu_event ev, uint8_t vector);
    uint64_t (*tsc_to_ns)(void *opaque, unsigned cpu, uint64_t tsc);
    uint64_t (*tsc_now)(void *opaque, unsigned cpu);
    uint64_t (*real_ns)(void *opaque); /* NULL: the host's time of day */
    void (*out)(void *opaque, const void *buf, size_t len);
    void (*room)(void *opaque);
    void (*power)(void *opaque, enum board_power what, unsigned code);
};

static inline bool chips_make(struct chips *c, const struct chips_host *h)
{
    const struct irqchip_env env = {.clock = c->clock,
                                    .opaque = h->opaque,
                                    .cpu_event = h->cpu_event,
                                    .tsc_to_ns = h->tsc_to_ns,
                                    .tsc_now = h->tsc_now};
    const struct mc146818_params cmos = {
        .low_bytes = 1 << 30, .vcpus = h->cpus, .real_ns = h->real_ns, .opaque = h->opaque};
    const struct ns16550_host serial = {h->out, h->room, h->opaque};
    const struct acpi_pm_host pm = {h->power, h->opaque};
    const struct i8042_host kbc = {h->power, h->opaque};
    const struct debug_ports_host dbg = {h->out, h->power, h->opaque};

    c->d = irqchip_new(h->cpus, &env, NULL);
    if (!c->d)
        return false;
    const struct irq_wire irq0 = irqchip_wire(c->d, 0), com1 = irqchip_wire(c->d, PC_GSI_COM1),
                          irq8 = irqchip_wire(c->d, PC_GSI_RTC),
                          sci = irqchip_wire(c->d, PC_GSI_SCI);

    c->chip = irqchip_get(c->d);
    c->pit = i8254_new(&irq0, c->clock, NULL);
    c->rtc = mc146818_new(&irq8, c->clock, &cmos, NULL);
    c->uart = ns16550_new(&com1, c->clock, &serial, NULL);
    c->pm = acpi_pm_new(&sci, c->clock, 24, &pm, NULL);
    c->kbc = i8042_new(&kbc, NULL);
    c->dbg = debug_ports_new(&dbg, NULL);
    return c->pit && c->rtc && c->uart && c->pm && c->kbc && c->dbg;
}

static inline bool chips_wire(struct chips *c)
{
    const struct {
        uint64_t base, len;
        const struct bus_ops *ops;
        void *dev;
        pthread_mutex_t *lock;
    } row[] = {
        {PC_PIC_MASTER_PORT, 2, &irqchip_pic_ops, irqchip_region(c->d, IRQCHIP_MASTER), NULL},
        {PC_PIC_SLAVE_PORT, 2, &irqchip_pic_ops, irqchip_region(c->d, IRQCHIP_SLAVE), NULL},
        {PC_PIC_ELCR_PORT, 2, &irqchip_pic_ops, irqchip_region(c->d, IRQCHIP_ELCR), NULL},
        {PC_PIT_PORT, I8254_PORTS, &i8254_ops, c->pit, i8254_lock(c->pit)},
        {PC_PORT_B, 1, &i8254_port61_ops, c->pit, i8254_lock(c->pit)},
        {PC_RTC_PORT, MC146818_PORTS, &mc146818_ops, c->rtc, mc146818_lock(c->rtc)},
        {PC_COM1_PORT, NS16550_PORTS, &ns16550_ops, c->uart, ns16550_lock(c->uart)},
        {PC_PM1_EVT_PORT, ACPI_PM_BYTES, &acpi_pm_ops, c->pm, acpi_pm_lock(c->pm)},
        {PC_I8042_DATA_PORT, 1, &i8042_data_ops, c->kbc, i8042_lock(c->kbc)},
        {PC_I8042_CMD_PORT, 1, &i8042_command_ops, c->kbc, i8042_lock(c->kbc)},
        {PC_PORT_92, 1, &i8042_port92_ops, c->kbc, i8042_lock(c->kbc)},
        {PC_POST_PORT, DEBUG_POST_BYTES, &debug_post_ops, c->dbg, debug_ports_lock(c->dbg)},
        {PC_DEBUG_CONSOLE_PORT, DEBUG_CONSOLE_BYTES, &debug_console_ops, c->dbg,
         debug_ports_lock(c->dbg)},
        {PC_DEBUG_EXIT_PORT, DEBUG_EXIT_BYTES, &debug_exit_ops, c->dbg, debug_ports_lock(c->dbg)},
    };

    for (unsigned i = 0; i < sizeof row / sizeof *row; i++)
        if (!bus_add(c->pio, "chip", row[i].base, row[i].len, row[i].ops, row[i].dev, row[i].lock,
                     NULL))
            return false;
    return bus_add(c->mmio, "ioapic", PC_IOAPIC, IRQCHIP_IOAPIC_BYTES, &irqchip_ioapic_ops,
                   irqchip_region(c->d, IRQCHIP_IOAPIC), NULL, NULL) != NULL;
}

/* `clock` is borrowed. False: no memory. */
static inline bool chips_new(struct chips *c, struct vclock *clock, const struct chips_host *h)
{
    *c = (struct chips){.pio = bus_new("pio"), .mmio = bus_new("mmio"), .clock = clock};
    return c->pio && c->mmio && chips_make(c, h) && chips_wire(c);
}

static inline void chips_free(struct chips *c)
{
    debug_ports_free(c->dbg);
    i8042_free(c->kbc);
    acpi_pm_free(c->pm);
    ns16550_free(c->uart);
    mc146818_free(c->rtc);
    i8254_free(c->pit);
    irqchip_free(c->d);
    bus_free(c->pio);
    bus_free(c->mmio);
}

static inline void chips_reset(struct chips *c)
{
    debug_ports_reset(c->dbg);
    i8042_reset(c->kbc);
    acpi_pm_reset(c->pm);
    ns16550_reset(c->uart);
    mc146818_reset(c->rtc);
    i8254_reset(c->pit);
    irqchip_reset(c->d);
}

#endif
