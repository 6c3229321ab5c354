/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pci: see pci.h.
 */
#include "devices/pci.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    PORTS_BASE = 0xcf8, /* address 0-3 (and reset control at 1), data 4-7 */
    PORTS_BYTES = 8,
    RESET_CONTROL = 1,
    DATA_OFF = 4,
    ECAM_BYTES = 1 << 20, /* bus 0: 32 devices, 8 functions, 4 KiB each */
    /* reset control: Intel ICH9 datasheet, section 13.7.5 */
    RST_SYSTEM = 1 << 1,
    RST_CPU = 1 << 2,
    RST_FULL = 1 << 3,
};

struct pci {
    struct pci_env env;
    struct pci_dev *slot[PCI_SLOTS]; /* fixed before a guest runs */
    uint64_t window_next;
    _Atomic uint32_t address; /* the latch at 0xcf8 */
    _Atomic uint8_t reset_control;
    pthread_mutex_t lock; /* the bridge's own registers */
    struct pci_dev bridge;
};

/* Absent functions, and what lies behind byte 255 of the others, have no registers. */
static uint32_t function_read(struct pci *p, unsigned devfn, unsigned off, unsigned size)
{
    struct pci_dev *d = devfn % 8 == 0 ? p->slot[devfn / 8] : NULL;

    if (!d)
        return 0xffffffff;
    return off < PCI_CONFIG_BYTES ? pci_dev_config_read(d, off, size) : 0;
}

static void function_write(struct pci *p, unsigned devfn, unsigned off, unsigned size, uint32_t val)
{
    struct pci_dev *d = devfn % 8 == 0 ? p->slot[devfn / 8] : NULL;

    if (d && off < PCI_CONFIG_BYTES)
        pci_dev_config_write(d, off, size, val);
}

/* Enable bit 31, bus 23:16, device and function 15:8, register 7:2. -1: not for us. */
static int latch_devfn(uint32_t address)
{
    if (!(address & 0x80000000u) || (address >> 16 & 0xff))
        return -1;
    return (int)(address >> 8 & 0xff);
}

static uint64_t ports_read(void *dev, uint64_t off, unsigned size)
{
    struct pci *p = dev;
    const uint32_t address = p->address;
    const int devfn = latch_devfn(address);

    if (off == RESET_CONTROL && size == 1)
        return p->reset_control;
    if (off < DATA_OFF)
        return off == 0 && size == 4 ? address : ~0ull;
    if (devfn < 0)
        return ~0ull;
    return function_read(p, (unsigned)devfn, (address & 0xfc) | (off & 3), size);
}

static void reset_control_write(struct pci *p, uint8_t val)
{
    p->reset_control = val & (RST_SYSTEM | RST_FULL);
    if ((val & RST_CPU) && p->env.reset_control)
        p->env.reset_control(p->env.opaque, val & RST_SYSTEM);
}

static void ports_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct pci *p = dev;
    const uint32_t address = p->address;
    const int devfn = latch_devfn(address);

    if (off == 0 && size == 4)
        p->address = (uint32_t)val & 0x80fffffc;
    else if (off == RESET_CONTROL && size == 1)
        reset_control_write(p, (uint8_t)val);
    else if (off >= DATA_OFF && devfn >= 0)
        function_write(p, (unsigned)devfn, (address & 0xfc) | (off & 3), size, (uint32_t)val);
}

static uint64_t ecam_read(void *dev, uint64_t off, unsigned size)
{
    return function_read(dev, (unsigned)(off >> 12), off & 0xfff, size);
}

static void ecam_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    function_write(dev, (unsigned)(off >> 12), off & 0xfff, size, (uint32_t)val);
}

static const struct bus_ops ports_ops = {
    .read = ports_read, .write = ports_write, .widths = BUS_W1 | BUS_W2 | BUS_W4};
static const struct bus_ops ecam_ops = {
    .read = ecam_read, .write = ecam_write, .widths = BUS_W1 | BUS_W2 | BUS_W4};

/* The identity that other virtual machines' bridges bear; Linux has no quirk for it. */
static const struct pci_dev_id bridge_id = {
    .vendor = 0x8086, .device = 0x0d57, .class_code = 0x060000};
static const struct pci_dev_ops bridge_ops = {0};

static int pci_init(struct pci *p, struct err *e)
{
    pci_dev_init(&p->bridge, "pci", &bridge_id, &bridge_ops, &p->lock);
    if (!bus_add(p->env.pio, "pci", PORTS_BASE, PORTS_BYTES, &ports_ops, p, NULL, e))
        return -1;
    if (p->env.ecam_base &&
        !bus_add(p->env.mmio, "pci-ecam", p->env.ecam_base, ECAM_BYTES, &ecam_ops, p, NULL, e))
        return -1;
    return pci_plug(p, 0, &p->bridge, e);
}

struct pci *pci_new(const struct pci_env *env, struct err *e)
{
    struct pci *p = calloc(1, sizeof *p);

    if (!p) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    p->env = *env;
    p->window_next = env->window_base;
    pthread_mutex_init(&p->lock, NULL);
    if (pci_init(p, e) < 0) {
        pci_free(p);
        return NULL;
    }
    return p;
}

void pci_free(struct pci *p)
{
    if (!p)
        return;
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void pci_reset(struct pci *p)
{
    p->address = 0;
    p->reset_control = 0;
    pci_dev_reset(&p->bridge);
}

struct bus *pci_mmio(const struct pci *p)
{
    return p->env.mmio;
}

/* Gives BAR `n` the next naturally aligned address of the window. */
static int bar_assign(struct pci *p, struct pci_dev *d, unsigned n, struct err *e)
{
    const uint64_t size = d->bar[n].size_bytes;
    const uint64_t at = (p->window_next + size - 1) & ~(size - 1);
    const unsigned off = PCI_BASE_ADDRESS_0 + 4 * n;

    if (at + size > p->env.window_base + p->env.window_bytes)
        return err_set(e, ENOSPC, "the PCI memory window is full; use fewer disks or networks");
    p->window_next = at + size;
    pci_dev_set(d, off, 4, pci_dev_get(d, off, 4) | (uint32_t)at);
    if (d->bar[n].is_64)
        pci_dev_set(d, off + 4, 4, (uint32_t)(at >> 32));
    return 0;
}

int pci_plug(struct pci *p, unsigned slot, struct pci_dev *d, struct err *e)
{
    if (slot >= PCI_SLOTS)
        return err_set(e, EINVAL, "there is no PCI slot %u", slot);
    if (p->slot[slot])
        return err_set(e, EEXIST, "PCI slot %u is taken by %s", slot, p->slot[slot]->name);
    for (unsigned n = 0; n < PCI_BARS; n++) {
        int r = d->bar[n].size_bytes ? bar_assign(p, d, n, e) : 0;

        if (r < 0)
            return r;
    }
    pci_dev_set(d, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    memcpy(d->at_reset, d->config, sizeof d->at_reset);
    d->mmio = p->env.mmio;
    p->slot[slot] = d;
    pci_dev_reset(d); /* shows the BARs */
    return 0;
}

uint32_t pci_config_read(struct pci *p, unsigned slot, unsigned off, unsigned size)
{
    return slot < PCI_SLOTS ? function_read(p, slot * 8, off, size) : 0xffffffff;
}

void pci_config_write(struct pci *p, unsigned slot, unsigned off, unsigned size, uint32_t val)
{
    if (slot < PCI_SLOTS)
        function_write(p, slot * 8, off, size, val);
}
