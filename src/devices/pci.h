/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pci: the host bridge and bus 0. Configuration mechanism #1 (ports 0xcf8-0xcff), ECAM (1 MiB,
 * bus 0 only), the reset control register at port 0xcf9, and the hand that firmware would
 * have had: it gives each BAR an address from a window, so that a kernel finds devices
 * configured. PCI Local Bus 3.0 section 3.2.2.3.2, PCI Express 3.0 section 7.2.2.
 * Absent functions read as all-ones. One function per slot, no bridges.
 *
 * Threads: config accesses come from any vCPU. The host has no lock: the address latch is an
 * atomic (two CPUs that use it at once confuse each other only, as on a real chip), slots are
 * fixed before a guest runs, each function locks for itself.
 */
#ifndef RUCHE_DEVICES_PCI_H
#define RUCHE_DEVICES_PCI_H

#include "devices/pci_dev.h"

enum { PCI_SLOTS = 32 };

struct pci_env {
    struct bus *pio, *mmio;
    uint64_t ecam_base;                 /* 1 MiB there; 0: no ECAM */
    uint64_t window_base, window_bytes; /* where BARs are put */
    /* A guest wrote the reset bit into 0xcf9; `hard`: also the system reset bit. vCPU thread. */
    void (*reset_control)(void *opaque, bool hard);
    void *opaque;
};

struct pci;

struct pci *pci_new(const struct pci_env *env, struct err *e);
void pci_free(struct pci *p); /* its functions are freed by their owners, before */

/* The bridge's own registers; each function is reset by its owner. */
void pci_reset(struct pci *p);

/* Plugs a function in, after its BARs and capabilities were added: assigns addresses, notes
 * the reset state, shows the BARs. -EINVAL slot, -EEXIST taken, -ENOSPC window full. */
int pci_plug(struct pci *p, unsigned slot, struct pci_dev *d, struct err *e) RUCHE_MUST_CHECK;

struct bus *pci_mmio(const struct pci *p);

/* Configuration access by slot, as the buses do it; for tests and diagnosis. */
uint32_t pci_config_read(struct pci *p, unsigned slot, unsigned off, unsigned size);
void pci_config_write(struct pci *p, unsigned slot, unsigned off, unsigned size, uint32_t val);

#endif
