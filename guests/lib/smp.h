/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * smp: application processors, found by the MADT, started one after the other, then waiting in
 * HLT for work. Also the few things that ACPI tables tell.
 */
#ifndef TINY_SMP_H
#define TINY_SMP_H

#include "cpu.h"

struct acpi {
    bool found;
    unsigned ncpus;          /* enabled local APICs in the MADT; 1 without a MADT */
    u32 apic_ids[CPUS_MAX];
    u64 lapic, ioapic, ecam; /* 0: not told */
    unsigned ecam_bus_end;
    u16 pm1a_cnt, pm_tmr;    /* 0: not told */
};

const struct acpi *acpi_get(void); /* reads the tables at the first call */

/* Starts all others that the MADT names; how many CPUs run now. Further calls only count. */
unsigned smp_start(void);
unsigned smp_running(void);

/* The others were sent INIT: smp_start may start them again. */
void smp_forget(void);

/* fn(arg) on CPU `index` (not this one), waking it. smp_wait: until all are idle again. */
void smp_run(unsigned index, void (*fn)(void *arg), void *arg);
void smp_wait(void);
bool smp_idle(unsigned index);

#endif
