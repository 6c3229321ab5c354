/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pcidev: see pcidev.h. PCI 3.0 section 3.2.2.3; virtio 1.2 sections 4.1.4 and 2.7.
 */
#include "pcidev.h"
#include "apic.h"
#include "page.h"

u32 pci_read(unsigned bdf, unsigned reg, unsigned width)
{
    u16 port = (u16)(0xcfc + (reg & 3));

    outl(0xcf8, 1u << 31 | bdf << 8 | (reg & 0xfc));
    return width == 1 ? inb(port) : width == 2 ? inw(port) : inl(port);
}

void pci_write(unsigned bdf, unsigned reg, unsigned width, u32 v)
{
    u16 port = (u16)(0xcfc + (reg & 3));

    outl(0xcf8, 1u << 31 | bdf << 8 | (reg & 0xfc));
    if (width == 1)
        outb(port, (u8)v);
    else if (width == 2)
        outw(port, (u16)v);
    else
        outl(port, v);
}

/* A firmware has done this on most machines. */
static void assign_bars(unsigned bdf)
{
    static u32 next = 0xd8000000;

    for (unsigned reg = 0x10; reg < 0x28; reg += 4) {
        u32 old = pci_read(bdf, reg, 4), size;
        bool wide = (old & 7) == 4;
        pci_write(bdf, reg, 4, ~0u);
        size = pci_read(bdf, reg, 4);
        pci_write(bdf, reg, 4, old);
        if (!(old & 1) && size && !(old & ~15u) && !(wide && pci_read(bdf, reg + 4, 4))) {
            size = ~(size & ~15u) + 1;
            next = (next + size - 1) & ~(size - 1);
            pci_write(bdf, reg, 4, next | (old & 15));
            next += size;
        }
        if (wide)
            reg += 4;
    }
    pci_write(bdf, 4, 2, pci_read(bdf, 4, 2) | 6); /* memory, bus master */
}

unsigned pci_scan(struct pci_saved devs[PCI_DEVS_MAX])
{
    unsigned n = 0;

    for (unsigned bdf = 0; bdf < 256 && n < PCI_DEVS_MAX; bdf++) {
        if (pci_read(bdf, 0, 2) == 0xffff)
            continue;
        if ((pci_read(bdf, 0x0e, 1) & 0x7f) == 0)
            assign_bars(bdf);
        devs[n].bdf = bdf;
        for (unsigned i = 0; i < 64; i++)
            devs[n].words[i] = pci_read(bdf, 4 * i, 4);
        n++;
    }
    return n;
}

void pci_restore(const struct pci_saved *d)
{
    pci_write(d->bdf, 4, 2, 0);
    for (unsigned i = 63; i > 1; i--)
        pci_write(d->bdf, 4 * i, 4, d->words[i]);
    pci_write(d->bdf, 4, 2, d->words[1]);
}

u64 pci_bar(unsigned bdf, unsigned bar)
{
    u32 lo = pci_read(bdf, 0x10 + 4 * bar, 4);

    if (bar > 5 || (lo & 1) || !(lo & ~15u))
        return 0;
    return (lo & ~15u) | ((lo & 6) == 4 ? (u64)pci_read(bdf, 0x14 + 4 * bar, 4) << 32 : 0);
}

unsigned pci_cap(unsigned bdf, unsigned id, unsigned from)
{
    unsigned off = from ? pci_read(bdf, from + 1, 1) : pci_read(bdf, 0x34, 1);

    for (unsigned i = 0; off >= 0x40 && i < 48; i++, off = pci_read(bdf, (off & 0xfc) + 1, 1))
        if (pci_read(bdf, off & 0xfc, 1) == id)
            return off & 0xfc;
    return 0;
}

static void read_caps(struct vdev *v)
{
    for (unsigned cap = pci_cap(v->bdf, 9, 0); cap; cap = pci_cap(v->bdf, 9, cap)) {
        u64 at = pci_bar(v->bdf, pci_read(v->bdf, cap + 4, 1)) + pci_read(v->bdf, cap + 8, 4);
        page_map(at, 4096);
        switch (pci_read(v->bdf, cap + 3, 1)) {
        case 1: v->common = at; break;
        case 2:
            v->notify = at;
            v->notify_mult = pci_read(v->bdf, cap + 16, 4);
            break;
        case 3: v->isr = at; break;
        case 4: v->config = at; break;
        }
    }
}

bool virtio_find(unsigned n, struct vdev *v)
{
    static struct pci_saved devs[PCI_DEVS_MAX];
    static unsigned ndevs;

    if (!ndevs)
        ndevs = pci_scan(devs);
    for (unsigned i = 0; i < ndevs; i++) {
        u32 id = devs[i].words[0], dev = id >> 16;
        if ((id & 0xffff) != 0x1af4 || dev < 0x1000 || dev > 0x107f)
            continue;
        *v = (struct vdev){.bdf = devs[i].bdf, .type = dev >= 0x1040 ? dev - 0x1040 : devs[i].words[11] >> 16};
        read_caps(v);
        if (v->common && v->notify && !n--)
            return true;
    }
    return false;
}

void virtio_reset(const struct vdev *v)
{
    mmio8_set(v->common + VIRTIO_STATUS, 0);
    for (unsigned i = 0; i < 100000 && mmio8(v->common + VIRTIO_STATUS); i++)
        pause();
}

bool virtio_begin(const struct vdev *v, u32 features)
{
    virtio_reset(v);
    mmio8_set(v->common + VIRTIO_STATUS, 1);
    mmio8_set(v->common + VIRTIO_STATUS, 3);
    mmio32_set(v->common + VIRTIO_FEATURE_SEL, 0);
    features &= mmio32(v->common + VIRTIO_FEATURE);
    mmio32_set(v->common + VIRTIO_GUEST_SEL, 0);
    mmio32_set(v->common + VIRTIO_GUEST, features);
    mmio32_set(v->common + VIRTIO_GUEST_SEL, 1);
    mmio32_set(v->common + VIRTIO_GUEST, 1); /* VERSION_1 */
    mmio8_set(v->common + VIRTIO_STATUS, 11);
    return mmio8(v->common + VIRTIO_STATUS) & 8;
}

void virtio_driver_ok(const struct vdev *v)
{
    mmio8_set(v->common + VIRTIO_STATUS, 15);
}

void virtio_queue_raw(const struct vdev *v, u16 index, u16 size, u64 desc, u64 avail, u64 used)
{
    u64 c = v->common;

    mmio16_set(c + VIRTIO_Q_SEL, index);
    mmio16_set(c + VIRTIO_Q_SIZE, size);
    mmio32_set(c + VIRTIO_Q_DESC, (u32)desc);
    mmio32_set(c + VIRTIO_Q_DESC + 4, (u32)(desc >> 32));
    mmio32_set(c + VIRTIO_Q_DRIVER, (u32)avail);
    mmio32_set(c + VIRTIO_Q_DRIVER + 4, (u32)(avail >> 32));
    mmio32_set(c + VIRTIO_Q_DEVICE, (u32)used);
    mmio32_set(c + VIRTIO_Q_DEVICE + 4, (u32)(used >> 32));
    mmio16_set(c + VIRTIO_Q_ENABLE, 1);
}

struct vq virtio_queue(const struct vdev *v, u16 index, void *rings)
{
    u64 at = (u64)rings;
    struct vq q = {.index = index, .desc = rings, .avail = (u16 *)(at + 4096), .used = (u16 *)(at + 8192)};

    mmio16_set(v->common + VIRTIO_Q_SEL, index);
    q.size = mmio16(v->common + VIRTIO_Q_SIZE);
    if (q.size > 256)
        q.size = 256;
    memset(rings, 0, VQ_BYTES);
    if (q.size)
        virtio_queue_raw(v, index, q.size, at, at + 4096, at + 8192);
    return q;
}

bool virtio_irq(const struct vdev *v, u16 index, unsigned vec)
{
    unsigned cap = pci_cap(v->bdf, 0x11, 0);
    u32 where;
    u64 entry;

    if (!cap)
        return false;
    where = pci_read(v->bdf, cap + 4, 4);
    entry = pci_bar(v->bdf, where & 7) + (where & ~7u);
    page_map(entry, 16);
    mmio32_set(entry, LAPIC_BASE | lapic_id() << 12);
    mmio32_set(entry + 4, 0);
    mmio32_set(entry + 8, vec);
    mmio32_set(entry + 12, 0);
    pci_write(v->bdf, cap + 2, 2, 0x8000);
    mmio16_set(v->common + VIRTIO_Q_SEL, index);
    mmio16_set(v->common + VIRTIO_Q_MSIX, 0);
    return mmio16(v->common + VIRTIO_Q_MSIX) == 0;
}

void virtio_kick(const struct vdev *v, u16 index)
{
    u16 off;

    mmio16_set(v->common + VIRTIO_Q_SEL, index);
    off = mmio16(v->common + VIRTIO_Q_NOTIFY_OFF);
    mmio16_set(v->notify + (u64)(off & 0xfff) * v->notify_mult, index);
}

void vq_publish(struct vq *q, u16 head)
{
    u16 idx = q->avail[1];

    q->avail[2 + idx % (q->size ? q->size : 1)] = head;
    asm volatile("mfence" : : : "memory");
    q->avail[1] = (u16)(idx + 1);
}
