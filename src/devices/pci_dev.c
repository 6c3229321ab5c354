/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pci_dev: see pci_dev.h.
 */
#include "devices/pci_dev.h"

#include <linux/pci_regs.h>
#include <string.h>

enum { CAPS_START = 0x40 };

uint32_t pci_dev_get(const struct pci_dev *d, unsigned off, unsigned size)
{
    uint32_t val = 0;

    for (unsigned i = 0; i < size && off + i < PCI_CONFIG_BYTES; i++)
        val |= (uint32_t)d->config[off + i] << (8 * i);
    return val;
}

void pci_dev_set(struct pci_dev *d, unsigned off, unsigned size, uint32_t val)
{
    for (unsigned i = 0; i < size && off + i < PCI_CONFIG_BYTES; i++)
        d->config[off + i] = (uint8_t)(val >> (8 * i));
}

void pci_dev_set_writable(struct pci_dev *d, unsigned off, unsigned size, uint32_t mask)
{
    for (unsigned i = 0; i < size && off + i < PCI_CONFIG_BYTES; i++)
        d->writable[off + i] = (uint8_t)(mask >> (8 * i));
}

void pci_dev_init(struct pci_dev *d, const char *name, const struct pci_dev_id *id,
                  const struct pci_dev_ops *ops, pthread_mutex_t *lock)
{
    memset(d, 0, sizeof *d);
    d->name = name;
    d->ops = ops;
    d->lock = lock;
    d->cap_end = CAPS_START;
    pci_dev_set(d, PCI_VENDOR_ID, 2, id->vendor);
    pci_dev_set(d, PCI_DEVICE_ID, 2, id->device);
    pci_dev_set(d, PCI_REVISION_ID, 1, id->revision);
    pci_dev_set(d, PCI_CLASS_PROG, 3, id->class_code);
    pci_dev_set(d, PCI_SUBSYSTEM_VENDOR_ID, 2, id->subvendor);
    pci_dev_set(d, PCI_SUBSYSTEM_ID, 2, id->subdevice);
    pci_dev_set(d, PCI_INTERRUPT_PIN, 1, id->irq_pin);
    pci_dev_set(d, PCI_INTERRUPT_LINE, 1, id->irq_line);
    pci_dev_set_writable(d, PCI_COMMAND, 2,
                         PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
    pci_dev_set_writable(d, PCI_CACHE_LINE_SIZE, 1, 0xff);
    pci_dev_set_writable(d, PCI_LATENCY_TIMER, 1, 0xff);
    pci_dev_set_writable(d, PCI_INTERRUPT_LINE, 1, 0xff);
}

static unsigned bar_off(unsigned n)
{
    return PCI_BASE_ADDRESS_0 + 4 * n;
}

void pci_dev_add_bar(struct pci_dev *d, unsigned n, uint64_t size_bytes, bool is_64,
                     struct bus_region *region)
{
    d->bar[n] = (struct pci_bar){.size_bytes = size_bytes, .is_64 = is_64, .region = region};
    pci_dev_set(d, bar_off(n), 4, is_64 ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0);
    pci_dev_set_writable(d, bar_off(n), 4, (uint32_t)~(size_bytes - 1));
    if (is_64)
        pci_dev_set_writable(d, bar_off(n + 1), 4, (uint32_t)(~(size_bytes - 1) >> 32));
}

unsigned pci_dev_add_cap(struct pci_dev *d, uint8_t id, unsigned len)
{
    const unsigned off = d->cap_end;

    if (off + len > PCI_CONFIG_BYTES)
        return 0;
    pci_dev_set(d, off, 1, id);
    pci_dev_set(d, d->cap_last ? d->cap_last + 1 : PCI_CAPABILITY_LIST, 1, off);
    pci_dev_set(d, PCI_STATUS, 2, pci_dev_get(d, PCI_STATUS, 2) | PCI_STATUS_CAP_LIST);
    d->cap_last = off;
    d->cap_end = (off + len + 3) & ~3u;
    return off;
}

static uint64_t bar_addr(const struct pci_dev *d, unsigned n)
{
    uint64_t addr = pci_dev_get(d, bar_off(n), 4) & (uint32_t)PCI_BASE_ADDRESS_MEM_MASK;

    if (d->bar[n].is_64)
        addr |= (uint64_t)pci_dev_get(d, bar_off(n + 1), 4) << 32;
    return addr;
}

/* Brings the bus in line with command register and BARs. */
static void bar_update(struct pci_dev *d, unsigned n)
{
    struct pci_bar *b = &d->bar[n];
    const bool show = pci_dev_get(d, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY;
    const uint64_t addr = bar_addr(d, n);

    if (!d->mmio || (show == b->shown && (!show || addr == b->addr)))
        return;
    b->shown = show;
    b->addr = addr;
    if (show)
        bus_show(d->mmio, b->region, addr);
    else
        bus_hide(d->mmio, b->region);
    if (d->ops->bar_moved)
        d->ops->bar_moved(d, n);
}

static void bars_update(struct pci_dev *d)
{
    for (unsigned n = 0; n < PCI_BARS; n++)
        if (d->bar[n].size_bytes)
            bar_update(d, n);
}

void pci_dev_reset(struct pci_dev *d)
{
    pthread_mutex_lock(d->lock);
    memcpy(d->config, d->at_reset, sizeof d->config);
    bars_update(d);
    pthread_mutex_unlock(d->lock);
}

void pci_dev_unplug(struct pci_dev *d)
{
    if (!d->lock)
        return;
    pthread_mutex_lock(d->lock);
    pci_dev_set(d, PCI_COMMAND, 2, 0);
    bars_update(d);
    d->mmio = NULL;
    pthread_mutex_unlock(d->lock);
}

static bool in_window(const struct pci_dev *d, unsigned off)
{
    return d->window_off && off >= d->window_off && off < d->window_off + 4;
}

uint32_t pci_dev_config_read(struct pci_dev *d, unsigned off, unsigned size)
{
    uint32_t val;

    if (in_window(d, off))
        return d->ops->window_read(d, off - d->window_off, size);
    pthread_mutex_lock(d->lock);
    val = pci_dev_get(d, off, size);
    pthread_mutex_unlock(d->lock);
    return val;
}

static bool touches(unsigned off, unsigned size, unsigned first, unsigned len)
{
    return off < first + len && first < off + size;
}

void pci_dev_config_write(struct pci_dev *d, unsigned off, unsigned size, uint32_t val)
{
    if (in_window(d, off)) {
        d->ops->window_write(d, off - d->window_off, size, val);
        return;
    }
    pthread_mutex_lock(d->lock);
    for (unsigned i = off; i < off + size && i < PCI_CONFIG_BYTES; i++, val >>= 8)
        d->config[i] = (uint8_t)((d->config[i] & ~d->writable[i]) | (val & d->writable[i]));
    if (touches(off, size, PCI_COMMAND, 2) || touches(off, size, bar_off(0), 4 * PCI_BARS))
        bars_update(d);
    if (d->ops->config_written)
        d->ops->config_written(d, off, size);
    pthread_mutex_unlock(d->lock);
}
