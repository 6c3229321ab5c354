/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtio_rig: a machine without a CPU (memory, buses, a PCI host, a loop and a clock that are
 * stepped by hand) and a small virtio driver that programs devices by port and MMIO accesses
 * only, as a guest would. For unit tests and fuzzers. No threads unless a test makes them.
 */
#ifndef RUCHE_TESTS_VIRTIO_RIG_H
#define RUCHE_TESTS_VIRTIO_RIG_H

#include "core/bus.h"
#include "core/irq.h"
#include "core/loop.h"
#include "core/mem.h"
#include "core/vclock.h"
#include "devices/pci.h"
#include "devices/virtio.h"
#include "devices/virtio_pci.h"

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
    RIG_GSI = 17,
    RIG_SLOT = 3,
    RIG_RINGS_GPA = 0x10000, /* queue i at + i * 0x10000 */
    RIG_DATA_GPA = 0x100000,
};

struct rig {
    struct gmem *mem;
    struct bus *pio, *mmio;
    struct loop *loop;
    struct vclock *clock;
    struct pci *pci;
    struct virtio_env env;
    _Atomic int level;       /* of the wire */
    _Atomic unsigned msis;   /* sent */
    _Atomic uint32_t msi_data; /* of the last one */
    _Atomic uint64_t msi_addr;
    _Atomic unsigned resets, hard_resets;
    _Atomic unsigned errors;
    char error[128]; /* the last one */
    _Atomic unsigned fulls; /* env.disk_full was called */
};

static inline void rig_wire(void *opaque, unsigned n, int level)
{
    struct rig *r = opaque;

    (void)n;
    r->level = level;
}

static inline void rig_msi(void *opaque, uint64_t addr, uint32_t data)
{
    struct rig *r = opaque;

    r->msi_addr = addr;
    r->msi_data = data;
    r->msis++;
}

static inline void rig_reset_control(void *opaque, bool hard)
{
    struct rig *r = opaque;

    r->resets++;
    r->hard_resets += hard;
}

static inline void rig_error(void *opaque, const char *device, const char *what)
{
    struct rig *r = opaque;

    snprintf(r->error, sizeof r->error, "%s: %s", device, what);
    r->errors++;
}

static inline void rig_full(void *opaque, const char *disk)
{
    struct rig *r = opaque;

    (void)disk;
    r->fulls++;
}

static inline struct irq_wire rig_irq(struct rig *r)
{
    return (struct irq_wire){.set = rig_wire, .opaque = r, .n = RIG_GSI};
}

static inline struct msi_sink rig_sink(struct rig *r)
{
    return (struct msi_sink){.send = rig_msi, .opaque = r};
}

/* Returns 0, or -1 if the host has no room. */
static inline int rig_init(struct rig *r, uint64_t mem_bytes)
{
    memset(r, 0, sizeof *r);
    r->mem = gmem_new("rig", mem_bytes, NULL);
    r->pio = bus_new("io");
    r->mmio = bus_new("mmio");
    r->loop = loop_new(NULL);
    r->clock = vclock_new_manual();
    if (!r->mem || !r->pio || !r->mmio || !r->loop || !r->clock)
        return -1;
    const struct pci_env pe = {
        .pio = r->pio, .mmio = r->mmio, .ecam_base = 0xe0000000, .window_base = 0xc0000000,
        .window_bytes = 0x20000000, .reset_control = rig_reset_control, .opaque = r,
    };
    r->pci = pci_new(&pe, NULL);
    r->env = (struct virtio_env){
        .mem = r->mem, .io = r->loop, .clock = r->clock, .opaque = r, .device_error = rig_error,
        .disk_full = rig_full};
    return r->pci ? 0 : -1;
}

/* Devices are freed before. */
static inline void rig_fini(struct rig *r)
{
    pci_free(r->pci);
    vclock_free(r->clock);
    loop_free(r->loop);
    bus_free(r->mmio);
    bus_free(r->pio);
    gmem_free(r->mem);
}

static inline struct virtio_pci *rig_plug(struct rig *r, unsigned slot, struct virtio_dev *d)
{
    const struct irq_wire w = rig_irq(r);
    const struct msi_sink s = rig_sink(r);

    return virtio_pci_new(r->pci, slot, d, &w, &s, NULL);
}

/* Lets the loop handle all that is pending now. */
static inline void rig_step(struct rig *r)
{
    for (int i = 0; i < 4; i++)
        loop_step(r->loop, 0);
}

/* ---- configuration space, by mechanism #1 ---- */

static inline void cf8(struct rig *r, unsigned slot, unsigned off)
{
    bus_write(r->pio, 0xcf8, 4, 0x80000000u | slot << 11 | (off & 0xfc));
}

static inline uint32_t cfg_read(struct rig *r, unsigned slot, unsigned off, unsigned size)
{
    uint64_t v;

    cf8(r, slot, off);
    bus_read(r->pio, 0xcfc + (off & 3), size, &v);
    return (uint32_t)v;
}

static inline void cfg_write(struct rig *r, unsigned slot, unsigned off, unsigned size,
                             uint32_t val)
{
    cf8(r, slot, off);
    bus_write(r->pio, 0xcfc + (off & 3), size, val);
}

/* Offset of the capability `id` (of virtio type `type` if id is vendor), or 0. */
static inline unsigned cfg_find_cap(struct rig *r, unsigned slot, unsigned id, unsigned type)
{
    unsigned at = cfg_read(r, slot, PCI_CAPABILITY_LIST, 1);

    for (int guard = 0; at && guard < 48; guard++) {
        if (cfg_read(r, slot, at, 1) == id &&
            (id != PCI_CAP_ID_VNDR || cfg_read(r, slot, at + VIRTIO_PCI_CAP_CFG_TYPE, 1) == type))
            return at;
        at = cfg_read(r, slot, at + 1, 1);
    }
    return 0;
}

static inline uint64_t cfg_bar(struct rig *r, unsigned slot, unsigned n)
{
    uint32_t lo = cfg_read(r, slot, PCI_BASE_ADDRESS_0 + 4 * n, 4);
    uint64_t addr = lo & 0xfffffff0u;

    if ((lo & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64)
        addr |= (uint64_t)cfg_read(r, slot, PCI_BASE_ADDRESS_0 + 4 * n + 4, 4) << 32;
    return addr;
}

/* ---- the driver ---- */

struct drv_queue {
    uint16_t size;
    uint64_t desc, avail, used;
    uint16_t next_desc;  /* descriptors are handed out round robin */
    uint16_t avail_idx, used_idx;
    bool event_idx;
};

struct drv {
    struct rig *r;
    unsigned slot;
    uint64_t common, isr, device, notify, msix;
    uint32_t notify_multiplier;
    struct drv_queue q[VIRTIO_QUEUES_MAX];
};

struct drv_buf {
    uint64_t gpa;
    uint32_t len;
    bool write; /* by the device */
};

static inline uint64_t mmio_read(struct rig *r, uint64_t addr, unsigned size)
{
    uint64_t v;

    bus_read(r->mmio, addr, size, &v);
    return v;
}

static inline uint32_t drv_get(struct drv *d, unsigned off, unsigned size)
{
    return (uint32_t)mmio_read(d->r, d->common + off, size);
}

static inline void drv_set(struct drv *d, unsigned off, unsigned size, uint32_t val)
{
    bus_write(d->r->mmio, d->common + off, size, val);
}

static inline uint64_t drv_cap_addr(struct drv *d, unsigned type)
{
    unsigned cap = cfg_find_cap(d->r, d->slot, PCI_CAP_ID_VNDR, type);

    return cfg_bar(d->r, d->slot, cfg_read(d->r, d->slot, cap + VIRTIO_PCI_CAP_BAR, 1)) +
           cfg_read(d->r, d->slot, cap + VIRTIO_PCI_CAP_OFFSET, 4);
}

/* May the function access memory? */
static inline void drv_master(struct drv *d, bool on)
{
    const uint32_t other = cfg_read(d->r, d->slot, PCI_COMMAND, 2) & ~(uint32_t)PCI_COMMAND_MASTER;

    cfg_write(d->r, d->slot, PCI_COMMAND, 2, other | (on ? PCI_COMMAND_MASTER : 0));
}

/* Finds the structures; the device is left alone. */
static inline void drv_probe(struct drv *d, struct rig *r, unsigned slot)
{
    unsigned notify, msix;

    memset(d, 0, sizeof *d);
    d->r = r;
    d->slot = slot;
    d->common = drv_cap_addr(d, VIRTIO_PCI_CAP_COMMON_CFG);
    d->isr = drv_cap_addr(d, VIRTIO_PCI_CAP_ISR_CFG);
    d->device = drv_cap_addr(d, VIRTIO_PCI_CAP_DEVICE_CFG);
    d->notify = drv_cap_addr(d, VIRTIO_PCI_CAP_NOTIFY_CFG);
    notify = cfg_find_cap(r, slot, PCI_CAP_ID_VNDR, VIRTIO_PCI_CAP_NOTIFY_CFG);
    d->notify_multiplier = cfg_read(r, slot, notify + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
    msix = cfg_find_cap(r, slot, PCI_CAP_ID_MSIX, 0);
    d->msix = cfg_bar(r, slot, cfg_read(r, slot, msix + PCI_MSIX_TABLE, 4) & 7);
}

static inline uint64_t drv_features(struct drv *d)
{
    uint64_t lo;

    drv_set(d, VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
    lo = drv_get(d, VIRTIO_PCI_COMMON_DF, 4);
    drv_set(d, VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
    return lo | (uint64_t)drv_get(d, VIRTIO_PCI_COMMON_DF, 4) << 32;
}

static inline uint8_t drv_status(struct drv *d)
{
    return (uint8_t)drv_get(d, VIRTIO_PCI_COMMON_STATUS, 1);
}

static inline void drv_set_status(struct drv *d, uint8_t s)
{
    drv_set(d, VIRTIO_PCI_COMMON_STATUS, 1, s);
}

/* Reset, become bus master and negotiate; true if the device kept FEATURES_OK. */
static inline bool drv_negotiate(struct drv *d, uint64_t features)
{
    drv_master(d, true);
    drv_set_status(d, 0);
    drv_set_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
    drv_set(d, VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
    drv_set(d, VIRTIO_PCI_COMMON_GF, 4, (uint32_t)features);
    drv_set(d, VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
    drv_set(d, VIRTIO_PCI_COMMON_GF, 4, (uint32_t)(features >> 32));
    drv_set_status(d, drv_status(d) | VIRTIO_CONFIG_S_FEATURES_OK);
    return drv_status(d) & VIRTIO_CONFIG_S_FEATURES_OK;
}

static inline void drv_set64(struct drv *d, unsigned off, uint64_t val)
{
    drv_set(d, off, 4, (uint32_t)val);
    drv_set(d, off + 4, 4, (uint32_t)(val >> 32));
}

/* Lays queue `qi` out at its place in memory, `size` entries, and enables it. */
static inline void drv_queue(struct drv *d, unsigned qi, uint16_t size, bool event_idx)
{
    struct drv_queue *q = &d->q[qi];
    const uint64_t base = RIG_RINGS_GPA + (uint64_t)qi * 0x10000;

    *q = (struct drv_queue){.size = size, .desc = base, .avail = base + 0x4000,
                            .used = base + 0x8000, .event_idx = event_idx};
    memset(gmem_ptr(d->r->mem, q->desc, 16u * size), 0, 16u * size);
    memset(gmem_ptr(d->r->mem, q->avail, 2u * size + 6), 0, 2u * size + 6);
    memset(gmem_ptr(d->r->mem, q->used, 8u * size + 6), 0, 8u * size + 6);
    drv_set(d, VIRTIO_PCI_COMMON_Q_SELECT, 2, qi);
    drv_set(d, VIRTIO_PCI_COMMON_Q_SIZE, 2, size);
    drv_set64(d, VIRTIO_PCI_COMMON_Q_DESCLO, q->desc);
    drv_set64(d, VIRTIO_PCI_COMMON_Q_AVAILLO, q->avail);
    drv_set64(d, VIRTIO_PCI_COMMON_Q_USEDLO, q->used);
    drv_set(d, VIRTIO_PCI_COMMON_Q_MSIX, 2, qi + 1);
    drv_set(d, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

static inline void drv_ok(struct drv *d)
{
    drv_set_status(d, drv_status(d) | VIRTIO_CONFIG_S_DRIVER_OK);
}

/* Programs vector v of the MSI-X table with data 0x40 + v and switches MSI-X on. */
static inline void drv_msix_on(struct drv *d, unsigned vectors)
{
    unsigned cap = cfg_find_cap(d->r, d->slot, PCI_CAP_ID_MSIX, 0);

    for (unsigned v = 0; v < vectors; v++) {
        bus_write(d->r->mmio, d->msix + 16 * v, 8, 0xfee00000);
        bus_write(d->r->mmio, d->msix + 16 * v + 8, 4, 0x40 + v);
        bus_write(d->r->mmio, d->msix + 16 * v + 12, 4, 0);
    }
    cfg_write(d->r, d->slot, cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
}

static inline void ram_write16(struct rig *r, uint64_t gpa, uint16_t v)
{
    __atomic_store_n((uint16_t *)gmem_ptr(r->mem, gpa, 2), v, __ATOMIC_RELEASE);
}

static inline uint16_t ram_read16(struct rig *r, uint64_t gpa)
{
    return __atomic_load_n((uint16_t *)gmem_ptr(r->mem, gpa, 2), __ATOMIC_ACQUIRE);
}

static inline void drv_desc(struct drv *d, uint64_t at, uint64_t gpa, uint32_t len, uint16_t flags,
                            uint16_t next)
{
    struct vring_desc *v = gmem_ptr(d->r->mem, at, sizeof *v);

    __atomic_store_n(&v->addr, gpa, __ATOMIC_RELAXED);
    __atomic_store_n((uint64_t *)(void *)v + 1,
                     len | (uint64_t)flags << 32 | (uint64_t)next << 48, __ATOMIC_RELAXED);
}

/* Puts head into the available ring and shows it. */
static inline void drv_show(struct drv *d, unsigned qi, uint16_t head)
{
    struct drv_queue *q = &d->q[qi];

    ram_write16(d->r, q->avail + 4 + 2u * (q->avail_idx & (q->size - 1)), head);
    q->avail_idx++;
    ram_write16(d->r, q->avail + 2, q->avail_idx);
}

/* Builds a chain of `n` buffers and makes it available; returns its head. No notification. */
static inline uint16_t drv_add(struct drv *d, unsigned qi, const struct drv_buf *b, unsigned n)
{
    struct drv_queue *q = &d->q[qi];
    uint16_t head = q->next_desc;

    for (unsigned i = 0; i < n; i++) {
        uint16_t at = q->next_desc, next = (at + 1) & (q->size - 1);
        uint16_t flags = b[i].write ? VRING_DESC_F_WRITE : 0;

        if (i + 1 < n)
            flags |= VRING_DESC_F_NEXT;
        drv_desc(d, q->desc + 16ull * at, b[i].gpa, b[i].len, flags, next);
        q->next_desc = next;
    }
    drv_show(d, qi, head);
    return head;
}

/* True if the device wants to hear of the chains added since avail index `old`. */
static inline bool drv_wants_kick(struct drv *d, unsigned qi, uint16_t old)
{
    struct drv_queue *q = &d->q[qi];

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (q->event_idx)
        return vring_need_event(ram_read16(d->r, q->used + 4 + 8u * q->size), q->avail_idx, old);
    return !(ram_read16(d->r, q->used) & VRING_USED_F_NO_NOTIFY);
}

static inline void drv_kick(struct drv *d, unsigned qi)
{
    bus_write(d->r->mmio, d->notify + qi * d->notify_multiplier, 2, qi);
}

/* Takes the next used element; false if there is none. */
static inline bool drv_used(struct drv *d, unsigned qi, uint32_t *id, uint32_t *len)
{
    struct drv_queue *q = &d->q[qi];
    uint64_t at = q->used + 4 + 8u * (q->used_idx & (q->size - 1));

    if (ram_read16(d->r, q->used + 2) == q->used_idx)
        return false;
    *id = __atomic_load_n((uint32_t *)gmem_ptr(d->r->mem, at, 4), __ATOMIC_RELAXED);
    *len = __atomic_load_n((uint32_t *)gmem_ptr(d->r->mem, at + 4, 4), __ATOMIC_RELAXED);
    q->used_idx++;
    return true;
}

/* Add, notify, let the loop run, and take the completion: its length, or -1. */
static inline int64_t drv_do(struct drv *d, unsigned qi, const struct drv_buf *b, unsigned n)
{
    uint16_t head = drv_add(d, qi, b, n);
    uint32_t id, len;

    drv_kick(d, qi);
    rig_step(d->r);
    if (!drv_used(d, qi, &id, &len) || id != head)
        return -1;
    return len;
}

#endif
