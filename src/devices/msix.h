/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * msix: the MSI-X capability of a PCI function, with its table and pending bits in one 4 KiB
 * BAR: table at 0, pending bits at 0x800. PCI Local Bus 3.0 section 6.8.2. Accesses of 4 and 8
 * bytes; others, and those outside table and pending bits, are ignored.
 *
 * Threads: the function's lock protects everything; `_locked` means the caller holds it.
 */
#ifndef RUCHE_DEVICES_MSIX_H
#define RUCHE_DEVICES_MSIX_H

#include "core/irq.h"
#include "devices/pci_dev.h"

enum { MSIX_VECTORS_MAX = 64, MSIX_BAR_BYTES = 4096, MSIX_PBA_OFF = 0x800 };

struct msix_entry {
    uint64_t addr;
    uint32_t data;
    uint32_t ctrl; /* bit 0: masked */
};

struct msix {
    struct pci_dev *fn;
    struct msi_sink sink;
    unsigned nvectors;
    unsigned cap; /* offset of the capability */
    struct msix_entry table[MSIX_VECTORS_MAX];
    uint64_t pending; /* one bit per vector */
};

/* Adds capability and BAR `bar` (on `mmio`) to a function that is not plugged in yet. */
int msix_init(struct msix *m, struct pci_dev *fn, struct bus *mmio, unsigned bar, unsigned nvectors,
              const struct msi_sink *sink, struct err *e) RUCHE_MUST_CHECK;
void msix_reset_locked(struct msix *m);

bool msix_enabled_locked(const struct msix *m);

/* Sends vector `v`, or remembers it while masked. Out of range or disabled: nothing. */
void msix_raise_locked(struct msix *m, unsigned v);

/* To be called from config_written: sends what a mask held back. */
void msix_config_written_locked(struct msix *m, unsigned off, unsigned size);

#endif
