/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtio_pci: a virtio device as a PCI function. virtio 1.2 section 4.1, modern only
 * (device ids 0x1040+n, revision 1), MSI-X with one vector per queue and one for the
 * configuration, INTx where a guest does not use MSI-X.
 *
 *   BAR 0     MSI-X table and pending bits, 4 KiB
 *   BAR 2/3   64-bit, 16 KiB: common 0x0000, ISR 0x1000, device 0x2000, notify 0x3000 + 4n
 *
 * Notify addresses are doorbells (bus.h): a write signals the queue's eventfd and is served on
 * the device's loop, never on the vCPU.
 *
 * Threads: registers are protected by the virtio device's `lock`, see virtio.h.
 */
#ifndef RUCHE_DEVICES_VIRTIO_PCI_H
#define RUCHE_DEVICES_VIRTIO_PCI_H

#include "core/irq.h"
#include "devices/pci.h"
#include "devices/virtio.h"

struct virtio_pci;

/* Plugs `dev` (borrowed, freed after this) into `slot`. `intx.n` is the GSI, left in the
 * interrupt line register. */
struct virtio_pci *virtio_pci_new(struct pci *pci, unsigned slot, struct virtio_dev *dev,
                                  const struct irq_wire *intx, const struct msi_sink *msi,
                                  struct err *e);
void virtio_pci_free(struct virtio_pci *p);

/* Power-up state of the function and of its virtio device. */
void virtio_pci_reset(struct virtio_pci *p);

#endif
