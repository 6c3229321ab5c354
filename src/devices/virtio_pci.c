/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtio_pci: see virtio_pci.h.
 */
#include "devices/virtio_pci.h"

#include "devices/msix.h"
#include "devices/pc_map.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
    BAR_MSIX = 0,
    BAR_REGS = 2,
    REGS_BYTES = 0x4000,
    COMMON_OFF = 0x0000, /* each in a page of its own */
    ISR_OFF = 0x1000,
    DEVICE_OFF = 0x2000,
    NOTIFY_OFF = 0x3000,
    NOTIFY_MULTIPLIER = 4,
    COMMON_BYTES = 64,
    Q_RESET_OFF = 58, /* queue_reset, behind what older headers know */
    ISR_QUEUE = 1,
    PCI_DEVICE_BASE = 0x1040,
    VENDOR_REDHAT = 0x1af4,
    SUBSYSTEM = 0x1100, /* any id from 0x40 on tells a driver that this is not transitional */
};

struct virtio_pci {
    struct pci_dev fn; /* first: pci_dev's callbacks find us by it */
    struct virtio_dev *dev;
    struct msix msix;
    struct irq_wire intx;
    struct bus_doorbell *bell[VIRTIO_QUEUES_MAX];

    /* dev->lock */
    uint8_t isr;
    uint32_t feature_select, driver_feature_select;
    uint16_t queue_select;
    uint16_t config_vector, queue_vector[VIRTIO_QUEUES_MAX];
};

_Static_assert(offsetof(struct virtio_pci, fn) == 0, "found by its pci_dev");

/* ---- interrupts ---- */

/* The level of INTA, and the status bit that says so, from state. */
static void intx_update(struct virtio_pci *p)
{
    struct pci_dev *fn = &p->fn;
    const bool pending = p->isr && !msix_enabled_locked(&p->msix);
    const bool disabled = pci_dev_get(fn, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE;
    uint32_t status = pci_dev_get(fn, PCI_STATUS, 2) & ~(uint32_t)PCI_STATUS_INTERRUPT;

    pci_dev_set(fn, PCI_STATUS, 2, status | (pending ? PCI_STATUS_INTERRUPT : 0));
    irq_set(&p->intx, pending && !disabled);
}

static void raise(struct virtio_pci *p, uint16_t vector, uint8_t isr)
{
    if (msix_enabled_locked(&p->msix)) {
        msix_raise_locked(&p->msix, vector); /* VIRTIO_MSI_NO_VECTOR is out of range */
        return;
    }
    p->isr |= isr;
    intx_update(p);
}

static void queue_interrupt(void *transport, unsigned qi)
{
    struct virtio_pci *p = transport;

    raise(p, p->queue_vector[qi], ISR_QUEUE);
}

static void config_interrupt(void *transport)
{
    struct virtio_pci *p = transport;

    raise(p, p->config_vector, VIRTIO_PCI_ISR_CONFIG);
}

static void transport_reset(void *transport)
{
    struct virtio_pci *p = transport;

    p->isr = 0;
    p->feature_select = p->driver_feature_select = 0;
    p->queue_select = 0;
    p->config_vector = VIRTIO_MSI_NO_VECTOR;
    for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++)
        p->queue_vector[i] = VIRTIO_MSI_NO_VECTOR;
    intx_update(p);
}

static const struct virtio_transport_ops transport_ops = {
    .queue_interrupt = queue_interrupt,
    .config_interrupt = config_interrupt,
    .reset = transport_reset,
};

/* A vector that does not exist reads back as "none", by which a driver learns it. */
static uint16_t vector_checked(const struct virtio_pci *p, uint32_t v)
{
    return v < p->msix.nvectors ? (uint16_t)v : VIRTIO_MSI_NO_VECTOR;
}

/* ---- common configuration: virtio 1.2 section 4.1.4.3 ---- */

static uint32_t feature_word(uint64_t features, uint32_t select)
{
    return select < 2 ? (uint32_t)(features >> (32 * select)) : 0;
}

static void common_fill_queue(struct virtio_pci *p, struct virtio_pci_common_cfg *c)
{
    const struct virtio_queue *q;

    if (p->queue_select >= p->dev->kind.nqueues)
        return; /* size 0: there is no such queue */
    q = &p->dev->queue[p->queue_select];
    c->queue_size = q->size;
    c->queue_msix_vector = p->queue_vector[p->queue_select];
    c->queue_enable = q->enabled;
    c->queue_notify_off = p->queue_select;
    c->queue_desc_lo = (uint32_t)q->desc;
    c->queue_desc_hi = (uint32_t)(q->desc >> 32);
    c->queue_avail_lo = (uint32_t)q->avail;
    c->queue_avail_hi = (uint32_t)(q->avail >> 32);
    c->queue_used_lo = (uint32_t)q->used;
    c->queue_used_hi = (uint32_t)(q->used >> 32);
}

static uint32_t common_read(struct virtio_pci *p, unsigned off, unsigned size)
{
    uint8_t image[COMMON_BYTES] = {0};
    struct virtio_pci_common_cfg c = {0};
    uint32_t val = 0;

    pthread_mutex_lock(&p->dev->lock);
    c.device_feature_select = p->feature_select;
    c.device_feature = feature_word(p->dev->offered, p->feature_select);
    c.guest_feature_select = p->driver_feature_select;
    c.guest_feature = feature_word(p->dev->accepted, p->driver_feature_select);
    c.msix_config = p->config_vector;
    c.num_queues = (uint16_t)p->dev->kind.nqueues;
    c.device_status = p->dev->status;
    c.config_generation = p->dev->config_generation;
    c.queue_select = p->queue_select;
    common_fill_queue(p, &c);
    pthread_mutex_unlock(&p->dev->lock);
    memcpy(image, &c, sizeof c);
    memcpy(&val, image + off, size);
    return val;
}

/* The registers that belong to the transport itself. */
static void common_write_own(struct virtio_pci *p, unsigned off, uint32_t val)
{
    pthread_mutex_lock(&p->dev->lock);
    switch (off) {
    case VIRTIO_PCI_COMMON_DFSELECT:
        p->feature_select = val;
        break;
    case VIRTIO_PCI_COMMON_GFSELECT:
        p->driver_feature_select = val;
        break;
    case VIRTIO_PCI_COMMON_MSIX:
        p->config_vector = vector_checked(p, val);
        break;
    case VIRTIO_PCI_COMMON_Q_SELECT:
        p->queue_select = (uint16_t)val;
        break;
    case VIRTIO_PCI_COMMON_Q_MSIX:
        if (p->queue_select < p->dev->kind.nqueues)
            p->queue_vector[p->queue_select] = vector_checked(p, val);
        break;
    }
    pthread_mutex_unlock(&p->dev->lock);
}

static void common_write(struct virtio_pci *p, unsigned off, uint32_t val)
{
    struct virtio_dev *d = p->dev;
    uint32_t feature_select;
    uint16_t qi;

    pthread_mutex_lock(&d->lock);
    qi = p->queue_select;
    feature_select = p->driver_feature_select;
    pthread_mutex_unlock(&d->lock);
    switch (off) {
    case VIRTIO_PCI_COMMON_GF:
        virtio_accept_features(d, feature_select, val);
        break;
    case VIRTIO_PCI_COMMON_STATUS:
        virtio_set_status(d, (uint8_t)val);
        break;
    case VIRTIO_PCI_COMMON_Q_SIZE:
        virtio_queue_set_size(d, qi, (uint16_t)val);
        break;
    case VIRTIO_PCI_COMMON_Q_ENABLE:
        if (val == 1)
            virtio_queue_enable(d, qi);
        break;
    case Q_RESET_OFF:
        if (val == 1)
            virtio_queue_reset(d, qi);
        break;
    default:
        if (off >= VIRTIO_PCI_COMMON_Q_DESCLO && off <= VIRTIO_PCI_COMMON_Q_USEDHI)
            virtio_queue_set_addr(d, qi, (off - VIRTIO_PCI_COMMON_Q_DESCLO) / 8, off & 4, val);
        else
            common_write_own(p, off, val);
    }
}

/* Writes count only if they are a whole register. */
static const uint8_t common_width[COMMON_BYTES] = {
    [VIRTIO_PCI_COMMON_DFSELECT] = 4, [VIRTIO_PCI_COMMON_GFSELECT] = 4,
    [VIRTIO_PCI_COMMON_GF] = 4,       [VIRTIO_PCI_COMMON_MSIX] = 2,
    [VIRTIO_PCI_COMMON_STATUS] = 1,   [VIRTIO_PCI_COMMON_Q_SELECT] = 2,
    [VIRTIO_PCI_COMMON_Q_SIZE] = 2,   [VIRTIO_PCI_COMMON_Q_MSIX] = 2,
    [VIRTIO_PCI_COMMON_Q_ENABLE] = 2, [VIRTIO_PCI_COMMON_Q_DESCLO] = 4,
    [VIRTIO_PCI_COMMON_Q_DESCHI] = 4, [VIRTIO_PCI_COMMON_Q_AVAILLO] = 4,
    [VIRTIO_PCI_COMMON_Q_AVAILHI] = 4, [VIRTIO_PCI_COMMON_Q_USEDLO] = 4,
    [VIRTIO_PCI_COMMON_Q_USEDHI] = 4, [Q_RESET_OFF] = 2,
};

/* ---- the register BAR; accesses are aligned, 1, 2 or 4 bytes ---- */

static uint32_t isr_read(struct virtio_pci *p)
{
    uint8_t isr;

    pthread_mutex_lock(&p->dev->lock);
    isr = p->isr;
    p->isr = 0;
    intx_update(p);
    pthread_mutex_unlock(&p->dev->lock);
    return isr;
}

static uint64_t regs_read(void *dev, uint64_t off, unsigned size)
{
    struct virtio_pci *p = dev;
    uint32_t val = 0;

    if (off < COMMON_OFF + COMMON_BYTES)
        val = common_read(p, (unsigned)off, size);
    else if (off == ISR_OFF)
        val = isr_read(p);
    else if (off >= DEVICE_OFF && off < NOTIFY_OFF)
        virtio_config_read(p->dev, (unsigned)(off - DEVICE_OFF), &val, size);
    return val;
}

static void regs_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct virtio_pci *p = dev;

    if (off < COMMON_OFF + COMMON_BYTES) {
        if (common_width[off] == size)
            common_write(p, (unsigned)off, (uint32_t)val);
    } else if (off >= NOTIFY_OFF) {
        if ((off - NOTIFY_OFF) % NOTIFY_MULTIPLIER == 0)
            virtio_kick(p->dev, (unsigned)(off - NOTIFY_OFF) / NOTIFY_MULTIPLIER);
    } else if (off >= DEVICE_OFF) {
        virtio_config_write(p->dev, (unsigned)(off - DEVICE_OFF), size, (uint32_t)val);
    }
}

static const struct bus_ops regs_ops = {
    .read = regs_read, .write = regs_write, .widths = BUS_W1 | BUS_W2 | BUS_W4};

/* ---- the same registers through configuration space: section 4.1.4.9 ---- */

/* Where the guest points the window; false unless it is a legal place. */
static bool window_target(struct virtio_pci *p, uint32_t *off, uint32_t *len)
{
    const unsigned cap = p->fn.window_off - sizeof(struct virtio_pci_cap);
    uint32_t bar;

    pthread_mutex_lock(&p->dev->lock);
    bar = pci_dev_get(&p->fn, cap + VIRTIO_PCI_CAP_BAR, 1);
    *off = pci_dev_get(&p->fn, cap + VIRTIO_PCI_CAP_OFFSET, 4);
    *len = pci_dev_get(&p->fn, cap + VIRTIO_PCI_CAP_LENGTH, 4);
    pthread_mutex_unlock(&p->dev->lock);
    return bar == BAR_REGS && (*len == 1 || *len == 2 || *len == 4) && *off % *len == 0 &&
           *off <= REGS_BYTES - *len;
}

static uint32_t window_read(struct pci_dev *fn, unsigned off, unsigned size)
{
    struct virtio_pci *p = (struct virtio_pci *)fn;
    uint32_t at, len;

    (void)size; /* the bus cuts it */
    if (off != 0 || !window_target(p, &at, &len))
        return 0;
    return (uint32_t)regs_read(p, at, len);
}

static void window_write(struct pci_dev *fn, unsigned off, unsigned size, uint32_t val)
{
    struct virtio_pci *p = (struct virtio_pci *)fn;
    uint32_t at, len;

    if (off != 0 || !window_target(p, &at, &len) || len > size)
        return;
    regs_write(p, at, len, len == 4 ? val : val & ((1u << (8 * len)) - 1));
}

static bool bus_master(const struct pci_dev *fn)
{
    return pci_dev_get(fn, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;
}

static void config_written(struct pci_dev *fn, unsigned off, unsigned size)
{
    struct virtio_pci *p = (struct virtio_pci *)fn;

    virtio_allow_dma_locked(p->dev, bus_master(fn));
    msix_config_written_locked(&p->msix, off, size);
    intx_update(p);
}

static void bar_moved(struct pci_dev *fn, unsigned n)
{
    struct virtio_pci *p = (struct virtio_pci *)fn;
    const struct pci_bar *b = &fn->bar[n];

    if (n != BAR_REGS)
        return;
    for (unsigned i = 0; i < p->dev->kind.nqueues; i++) {
        if (b->shown)
            bus_show_doorbell(fn->mmio, p->bell[i], b->addr + NOTIFY_OFF + i * NOTIFY_MULTIPLIER);
        else
            bus_hide_doorbell(fn->mmio, p->bell[i]);
    }
}

static const struct pci_dev_ops fn_ops = {
    .config_written = config_written,
    .bar_moved = bar_moved,
    .window_read = window_read,
    .window_write = window_write,
};

/* ---- construction ---- */

/* One vendor capability: where in the register BAR a structure is. `extra`: bytes behind it. */
static unsigned add_structure(struct virtio_pci *p, uint8_t type, uint32_t off, uint32_t len,
                              unsigned extra)
{
    const unsigned bytes = (unsigned)sizeof(struct virtio_pci_cap) + extra;
    const unsigned cap = pci_dev_add_cap(&p->fn, PCI_CAP_ID_VNDR, bytes);

    if (cap) {
        pci_dev_set(&p->fn, cap + VIRTIO_PCI_CAP_LEN, 1, bytes);
        pci_dev_set(&p->fn, cap + VIRTIO_PCI_CAP_CFG_TYPE, 1, type);
        pci_dev_set(&p->fn, cap + VIRTIO_PCI_CAP_BAR, 1, BAR_REGS);
        pci_dev_set(&p->fn, cap + VIRTIO_PCI_CAP_OFFSET, 4, off);
        pci_dev_set(&p->fn, cap + VIRTIO_PCI_CAP_LENGTH, 4, len);
    }
    return cap;
}

static int add_structures(struct virtio_pci *p, struct err *e)
{
    const unsigned notify_bytes = NOTIFY_MULTIPLIER * p->dev->kind.nqueues;
    unsigned common, notify, isr, cfg, window;

    common = add_structure(p, VIRTIO_PCI_CAP_COMMON_CFG, COMMON_OFF, COMMON_BYTES, 0);
    notify = add_structure(p, VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY_OFF, notify_bytes, 4);
    isr = add_structure(p, VIRTIO_PCI_CAP_ISR_CFG, ISR_OFF, 1, 0);
    cfg = add_structure(p, VIRTIO_PCI_CAP_DEVICE_CFG, DEVICE_OFF, NOTIFY_OFF - DEVICE_OFF, 0);
    window = add_structure(p, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, 4);
    if (!common || !notify || !isr || !cfg || !window)
        return err_set(e, ENOSPC, "%s: no room for its PCI capabilities", p->dev->name);
    pci_dev_set(&p->fn, notify + VIRTIO_PCI_NOTIFY_CAP_MULT, 4, NOTIFY_MULTIPLIER);
    pci_dev_set_writable(&p->fn, window + VIRTIO_PCI_CAP_BAR, 1, 0xff);
    pci_dev_set_writable(&p->fn, window + VIRTIO_PCI_CAP_OFFSET, 4, 0xffffffff);
    pci_dev_set_writable(&p->fn, window + VIRTIO_PCI_CAP_LENGTH, 4, 0xffffffff);
    p->fn.window_off = window + (unsigned)sizeof(struct virtio_pci_cap);
    return 0;
}

static int add_bars(struct virtio_pci *p, struct bus *mmio, const struct msi_sink *msi,
                    struct err *e)
{
    struct virtio_dev *d = p->dev;
    struct bus_region *r;

    if (msix_init(&p->msix, &p->fn, mmio, BAR_MSIX, d->kind.nqueues + 1, msi, e) < 0)
        return -ENOSPC;
    r = bus_add_hidden(mmio, d->name, REGS_BYTES, &regs_ops, p, NULL, e);
    if (!r)
        return -ENOSPC;
    pci_dev_add_bar(&p->fn, BAR_REGS, REGS_BYTES, true, r);
    for (unsigned i = 0; i < d->kind.nqueues; i++) {
        p->bell[i] = bus_add_doorbell(mmio, d->queue[i].kick, virtio_at_once, &d->queue[i], e);
        if (!p->bell[i])
            return -ENOSPC;
    }
    return add_structures(p, e);
}

struct virtio_pci *virtio_pci_new(struct pci *pci, unsigned slot, struct virtio_dev *dev,
                                  const struct irq_wire *intx, const struct msi_sink *msi,
                                  struct err *e)
{
    struct virtio_pci *p = calloc(1, sizeof *p);
    const struct pci_dev_id id = {
        .vendor = VENDOR_REDHAT, .device = (uint16_t)(PCI_DEVICE_BASE + dev->kind.device_id),
        .subvendor = VENDOR_REDHAT, .subdevice = SUBSYSTEM, .class_code = dev->kind.class_code,
        .revision = 1, .irq_pin = 1, .irq_line = (uint8_t)pc_gsi_of_slot(slot),
    };

    if (!p) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    p->dev = dev;
    p->intx = *intx;
    pci_dev_init(&p->fn, dev->name, &id, &fn_ops, &dev->lock);
    if (add_bars(p, pci_mmio(pci), msi, e) < 0 || pci_plug(pci, slot, &p->fn, e) < 0) {
        free(p);
        return NULL;
    }
    virtio_attach(dev, &transport_ops, p);
    virtio_pci_reset(p);
    return p;
}

void virtio_pci_free(struct virtio_pci *p)
{
    if (!p)
        return;
    virtio_attach(p->dev, NULL, NULL);
    pci_dev_unplug(&p->fn);
    p->dev->dma_off = false;
    free(p);
}

void virtio_pci_reset(struct virtio_pci *p)
{
    virtio_reset(p->dev);
    pthread_mutex_lock(&p->dev->lock);
    msix_reset_locked(&p->msix);
    pthread_mutex_unlock(&p->dev->lock);
    pci_dev_reset(&p->fn);
    pthread_mutex_lock(&p->dev->lock);
    virtio_allow_dma_locked(p->dev, bus_master(&p->fn));
    pthread_mutex_unlock(&p->dev->lock);
}
