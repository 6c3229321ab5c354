/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pci_dev: one PCI function: 256 bytes of configuration space, memory BARs, capabilities.
 * It is embedded in the device that it belongs to; it knows neither its slot's interrupts nor
 * what its BARs contain. PCI Local Bus 3.0, section 6. No I/O BARs, no expansion ROM, no
 * multi-function. Bus master enable is the owner's to obey: virtio_pci and msix do.
 *
 * Threads: `lock` belongs to the owner and protects everything here. The functions of the
 * owner are called with it held, except window_read/window_write. Order: owner's lock, then
 * the bus' map (bus_show).
 */
#ifndef RUCHE_DEVICES_PCI_DEV_H
#define RUCHE_DEVICES_PCI_DEV_H

#include "core/bus.h"
#include "core/err.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { PCI_BARS = 6, PCI_CONFIG_BYTES = 256 };

struct pci;
struct pci_dev;

struct pci_dev_id {
    uint16_t vendor, device, subvendor, subdevice;
    uint32_t class_code; /* 24 bits: base, sub, interface */
    uint8_t revision;
    uint8_t irq_pin;     /* 1 = INTA, 0: none */
    uint8_t irq_line;    /* what firmware would leave here */
};

/* All may be NULL. */
struct pci_dev_ops {
    /* The writable bits of [off, off+size) have been stored. */
    void (*config_written)(struct pci_dev *d, unsigned off, unsigned size);

    /* Bar `n` was moved, shown or hidden: see d->bar[n]. */
    void (*bar_moved)(struct pci_dev *d, unsigned n);

    /* Accesses inside the 4 bytes at d->window_off go here instead, without the lock. */
    uint32_t (*window_read)(struct pci_dev *d, unsigned off, unsigned size);
    void (*window_write)(struct pci_dev *d, unsigned off, unsigned size, uint32_t val);
};

struct pci_bar {
    uint64_t size_bytes; /* power of two; 0: no such BAR */
    bool is_64;
    bool shown;
    uint64_t addr; /* meaningful while shown */
    struct bus_region *region;
};

struct pci_dev {
    const char *name;
    const struct pci_dev_ops *ops;
    pthread_mutex_t *lock;
    struct bus *mmio;
    struct pci_bar bar[PCI_BARS];
    uint8_t config[PCI_CONFIG_BYTES];
    uint8_t writable[PCI_CONFIG_BYTES]; /* mask of bits a guest may change */
    uint8_t at_reset[PCI_CONFIG_BYTES]; /* taken when the function is plugged in */
    unsigned cap_end, cap_last; /* where the next capability goes; the last one, 0: none */
    unsigned window_off; /* 0: no window */
};

/* Fills `d` with the registers every function has. */
void pci_dev_init(struct pci_dev *d, const char *name, const struct pci_dev_id *id,
                  const struct pci_dev_ops *ops, pthread_mutex_t *lock);

/* Memory BAR `n` (a 64-bit one takes n and n+1) of `size_bytes`, answered by `region`
 * (added hidden). Before the function is plugged in. */
void pci_dev_add_bar(struct pci_dev *d, unsigned n, uint64_t size_bytes, bool is_64,
                     struct bus_region *region);

/* Appends a capability of `len` bytes, zero but for its id; returns its offset, 0: no room. */
unsigned pci_dev_add_cap(struct pci_dev *d, uint8_t id, unsigned len);

/* Power-up state: registers as when plugged in, BARs where firmware would have put them. */
void pci_dev_reset(struct pci_dev *d);

/* Takes the BARs off the bus (before the owner is freed). */
void pci_dev_unplug(struct pci_dev *d);

/* One access of 1, 2 or 4 bytes, aligned, off < 256. Takes the lock. */
uint32_t pci_dev_config_read(struct pci_dev *d, unsigned off, unsigned size);
void pci_dev_config_write(struct pci_dev *d, unsigned off, unsigned size, uint32_t val);

/* Little-endian fields of the configuration space, for the owner (lock held or not plugged in). */
uint32_t pci_dev_get(const struct pci_dev *d, unsigned off, unsigned size);
void pci_dev_set(struct pci_dev *d, unsigned off, unsigned size, uint32_t val);
void pci_dev_set_writable(struct pci_dev *d, unsigned off, unsigned size, uint32_t mask);

#endif
