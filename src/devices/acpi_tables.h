/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * acpi_tables: the ACPI tables of the board, written into guest memory by us: the guest has
 * no firmware. RSDP, XSDT, FADT, FACS, MADT, MCFG and the DSDT compiled from pc_dsdt.asl.
 *
 * Describes what pc_map.h says is there and nothing else (no HPET, no VGA, no keyboard).
 * ACPI 6.3: 5.2 (tables), 4.8 (fixed hardware).
 */
#ifndef RUCHE_DEVICES_ACPI_TABLES_H
#define RUCHE_DEVICES_ACPI_TABLES_H

#include "core/err.h"

#include <stdint.h>

struct gmem;

enum { ACPI_VCPUS_MAX = 4096 };

struct acpi_params {
    unsigned vcpus; /* 1..ACPI_VCPUS_MAX; APIC id = index */
};

/* Writes all tables into [PC_ACPI_AREA, + PC_ACPI_AREA_BYTES). Returns the guest address of
 * the RSDP, or 0 and `e`: no vCPU or too many, guest memory smaller than 1 MiB. */
uint64_t acpi_tables_write(struct gmem *m, const struct acpi_params *p, struct err *e);

#endif
