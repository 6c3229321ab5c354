/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * acpi_pm: the fixed hardware of ACPI: power management event block, control register and
 * timer, with the power button and S5. Not the tables that announce it (acpi_tables.h), nor
 * the reset register (PCI's); pc_map.h keeps them agreed.
 *
 * There is no SMI command port, so the machine is always in ACPI mode (SCI_EN reads 1).
 * S1, S3 and S4 do not exist: a guest that asks for them is counted and stays awake.
 * Follows: ACPI 6.4, 4.8.2 (PM timer) and 4.8.3 (fixed registers).
 *
 * Threads: vCPUs come through the bus with acpi_pm_lock held; the power button and the timer
 * take it. The wire and `power` are called with it held.
 */
#ifndef RUCHE_DEVICES_ACPI_PM_H
#define RUCHE_DEVICES_ACPI_PM_H

#include "core/board.h"
#include "core/bus.h"
#include "core/err.h"
#include "core/irq.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct acpi_pm;
struct vclock;

/* One bus region at PC_PM1_EVT_PORT; the lengths of its blocks are those of pc_map.h. */
enum {
    ACPI_PM_EVT_OFFSET = 0, /* PM1a_EVT_BLK: status, then enable */
    ACPI_PM_CNT_OFFSET = 4, /* PM1a_CNT_BLK */
    ACPI_PM_TMR_OFFSET = 8, /* PM_TMR_BLK */
    ACPI_PM_BYTES = 12,
    ACPI_PM_TMR_HZ = 3579545,
};

struct acpi_pm_host {
    void (*power)(void *opaque, enum board_power what, unsigned code); /* must only note it */
    void *opaque;
};

struct acpi_pm_regs {
    uint16_t pm1_sts, pm1_en, pm1_cnt;
    uint64_t timer_half; /* half period of the timer in which TMR_STS was last settled */
};

/* `sci` is active high, level. `timer_bits`: 32 if the FADT says TMR_VAL_EXT, else 24. NULL and `e`
 * if there is no memory. */
struct acpi_pm *acpi_pm_new(const struct irq_wire *sci, struct vclock *clock, unsigned timer_bits,
                            const struct acpi_pm_host *host, struct err *e);
void acpi_pm_free(struct acpi_pm *p);
void acpi_pm_reset(struct acpi_pm *p);

pthread_mutex_t *acpi_pm_lock(struct acpi_pm *p);
extern const struct bus_ops acpi_pm_ops; /* ACPI_PM_BYTES long */

/* Presses the button. True if the guest has asked to be told (PWRBTN_EN): otherwise only the
 * status bit stays, for a guest that looks later. */
bool acpi_pm_power_button(struct acpi_pm *p);

/* Sleep types asked for that do not exist, cumulative. */
uint64_t acpi_pm_bad_sleeps(struct acpi_pm *p);

void acpi_pm_regs_get(struct acpi_pm *p, struct acpi_pm_regs *out);

#endif
