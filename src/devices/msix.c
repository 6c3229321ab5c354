/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * msix: see msix.h.
 */
#include "devices/msix.h"

#include <errno.h>
#include <linux/pci_regs.h>

/* Entry layout: address 0-7, data 8-11, control 12-15. */
enum { ENTRY_BYTES = 16 };

static bool function_masked(const struct msix *m)
{
    return pci_dev_get(m->fn, m->cap + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_MASKALL;
}

bool msix_enabled_locked(const struct msix *m)
{
    return pci_dev_get(m->fn, m->cap + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_ENABLE;
}

static bool vector_masked(const struct msix *m, unsigned v)
{
    return function_masked(m) || (m->table[v].ctrl & PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

/* A message is a write to memory, for which the function must be a bus master. */
static bool may_send(const struct msix *m, unsigned v)
{
    return !vector_masked(m, v) && pci_dev_get(m->fn, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;
}

void msix_raise_locked(struct msix *m, unsigned v)
{
    if (v >= m->nvectors || !msix_enabled_locked(m))
        return;
    if (!may_send(m, v)) {
        m->pending |= 1ull << v;
        return;
    }
    m->pending &= ~(1ull << v);
    msi_send(&m->sink, m->table[v].addr, m->table[v].data);
}

static void send_pending(struct msix *m)
{
    for (unsigned v = 0; v < m->nvectors && m->pending; v++)
        if (m->pending >> v & 1)
            msix_raise_locked(m, v);
}

void msix_config_written_locked(struct msix *m, unsigned off, unsigned size)
{
    const bool flags = off < m->cap + PCI_MSIX_FLAGS + 2 && m->cap + PCI_MSIX_FLAGS < off + size;

    if (flags || off < PCI_COMMAND + 2)
        send_pending(m);
}

static uint32_t table_read32(const struct msix *m, uint64_t off)
{
    const struct msix_entry *t = &m->table[off / ENTRY_BYTES];

    switch (off % ENTRY_BYTES) {
    case PCI_MSIX_ENTRY_LOWER_ADDR:
        return (uint32_t)t->addr;
    case PCI_MSIX_ENTRY_UPPER_ADDR:
        return (uint32_t)(t->addr >> 32);
    case PCI_MSIX_ENTRY_DATA:
        return t->data;
    default:
        return t->ctrl;
    }
}

static uint32_t bar_read32(const struct msix *m, uint64_t off)
{
    if (off < m->nvectors * ENTRY_BYTES)
        return table_read32(m, off);
    if (off == MSIX_PBA_OFF || off == MSIX_PBA_OFF + 4)
        return (uint32_t)(m->pending >> (8 * (off - MSIX_PBA_OFF)));
    return 0;
}

static void table_write32(struct msix *m, uint64_t off, uint32_t val)
{
    struct msix_entry *t = &m->table[off / ENTRY_BYTES];

    switch (off % ENTRY_BYTES) {
    case PCI_MSIX_ENTRY_LOWER_ADDR:
        t->addr = (t->addr & ~0xffffffffull) | (val & ~3u);
        break;
    case PCI_MSIX_ENTRY_UPPER_ADDR:
        t->addr = (t->addr & 0xffffffff) | (uint64_t)val << 32;
        break;
    case PCI_MSIX_ENTRY_DATA:
        t->data = val;
        break;
    case PCI_MSIX_ENTRY_VECTOR_CTRL:
        t->ctrl = val & PCI_MSIX_ENTRY_CTRL_MASKBIT;
        send_pending(m);
        break;
    }
}

/* Offsets are aligned to `size` by the bus, which is 4 or 8. */
static uint64_t bar_read(void *dev, uint64_t off, unsigned size)
{
    uint64_t val = bar_read32(dev, off);

    return size == 8 ? val | (uint64_t)bar_read32(dev, off + 4) << 32 : val;
}

static void bar_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct msix *m = dev;

    for (unsigned i = 0; i < size; i += 4, val >>= 32)
        if (off + i < m->nvectors * ENTRY_BYTES)
            table_write32(m, off + i, (uint32_t)val);
}

static const struct bus_ops bar_ops = {
    .read = bar_read, .write = bar_write, .widths = BUS_W4 | BUS_W8};

int msix_init(struct msix *m, struct pci_dev *fn, struct bus *mmio, unsigned bar, unsigned nvectors,
              const struct msi_sink *sink, struct err *e)
{
    struct bus_region *region;

    if (nvectors == 0 || nvectors > MSIX_VECTORS_MAX)
        return err_set(e, EINVAL, "%s: %u MSI-X vectors are not possible", fn->name, nvectors);
    *m = (struct msix){.fn = fn, .sink = *sink, .nvectors = nvectors};
    m->cap = pci_dev_add_cap(fn, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);
    if (!m->cap)
        return err_set(e, ENOSPC, "%s: no room for the MSI-X capability", fn->name);
    pci_dev_set(fn, m->cap + PCI_MSIX_FLAGS, 2, nvectors - 1);
    pci_dev_set_writable(fn, m->cap + PCI_MSIX_FLAGS, 2,
                         PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    pci_dev_set(fn, m->cap + PCI_MSIX_TABLE, 4, bar);
    pci_dev_set(fn, m->cap + PCI_MSIX_PBA, 4, MSIX_PBA_OFF | bar);
    region = bus_add_hidden(mmio, fn->name, MSIX_BAR_BYTES, &bar_ops, m, fn->lock, e);
    if (!region)
        return -ENOSPC;
    pci_dev_add_bar(fn, bar, MSIX_BAR_BYTES, false, region);
    msix_reset_locked(m);
    return 0;
}

void msix_reset_locked(struct msix *m)
{
    m->pending = 0;
    for (unsigned v = 0; v < m->nvectors; v++)
        m->table[v] = (struct msix_entry){.ctrl = PCI_MSIX_ENTRY_CTRL_MASKBIT};
}
