/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pcidev: PCI configuration space by ports 0xcf8/0xcfc, and what starts a modern virtio-pci device.
 */
#ifndef TINY_PCIDEV_H
#define TINY_PCIDEV_H

#include "cpu.h"

u32 pci_read(unsigned bdf, unsigned reg, unsigned width);
void pci_write(unsigned bdf, unsigned reg, unsigned width, u32 v);

enum { PCI_DEVS_MAX = 32 };

struct pci_saved { /* what an attack may ruin and must put back */
    unsigned bdf;
    u32 words[64];
};

/* Finds the functions of bus 0, gives addresses to memory BARs that have none. */
unsigned pci_scan(struct pci_saved devs[PCI_DEVS_MAX]);
void pci_restore(const struct pci_saved *d);
u64 pci_bar(unsigned bdf, unsigned bar); /* address of a memory BAR, 0 if it is none */
unsigned pci_cap(unsigned bdf, unsigned id, unsigned from); /* offset, 0: none */

enum virtio_reg {
    VIRTIO_FEATURE_SEL = 0, VIRTIO_FEATURE = 4, VIRTIO_GUEST_SEL = 8, VIRTIO_GUEST = 12, VIRTIO_MSIX = 16,
    VIRTIO_QUEUES = 18, VIRTIO_STATUS = 20, VIRTIO_Q_SEL = 22, VIRTIO_Q_SIZE = 24, VIRTIO_Q_MSIX = 26,
    VIRTIO_Q_ENABLE = 28, VIRTIO_Q_NOTIFY_OFF = 30, VIRTIO_Q_DESC = 32, VIRTIO_Q_DRIVER = 40, VIRTIO_Q_DEVICE = 48,
};

struct vdev {
    unsigned bdf, type; /* 1 net, 2 block, 3 console, 4 entropy, 5 balloon */
    u64 common, notify, isr, config;
    u32 notify_mult;
};

/* The n-th virtio device; false if there are fewer. */
bool virtio_find(unsigned n, struct vdev *v);

struct desc {
    u64 addr;
    u32 len;
    u16 flags, next;
} PACKED;

enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 }; /* flags; WRITE: by the device */

struct vq {
    u16 index, size;
    struct desc *desc;
    volatile u16 *avail; /* flags, idx, ring[] */
    volatile u16 *used;  /* flags, idx, then {u32 id, len}[] */
};

void virtio_reset(const struct vdev *v);
bool virtio_begin(const struct vdev *v, u32 features); /* reset .. FEATURES_OK, with those of the first 32 that it has */
void virtio_driver_ok(const struct vdev *v);

/* Queue `index`, 256 long at most, with its rings there (whole pages); size 0 of it: there is none. */
enum { VQ_BYTES = 4 * 4096 };
struct vq virtio_queue(const struct vdev *v, u16 index, void *rings);
bool virtio_irq(const struct vdev *v, u16 index, unsigned vec); /* by MSI-X to this CPU; before virtio_queue */
void virtio_queue_raw(const struct vdev *v, u16 index, u16 size, u64 desc, u64 avail, u64 used);
void virtio_kick(const struct vdev *v, u16 index);

/* The device may take the chain that begins at `head`. */
void vq_publish(struct vq *q, u16 head);

#endif
