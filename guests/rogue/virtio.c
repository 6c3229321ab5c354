/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtio: attacks on the queues of every virtio device there is. Virtio 1.2 says what a driver
 * must not do; here it is done.
 */
#include "pcidev.h"
#include "rogue.h"

static bool begin(const struct vdev *v)
{
    return virtio_begin(v, rnd(2) ? ~0u : (u32)rnd64());
}

/* Runs `once` on each queue of each device in turn, each time started anew. */
static void each_queue(void (*once)(const struct vdev *v, struct vq *q))
{
    struct vdev v;

    if (!virtio_find(0, &v)) {
        print("rogue: no virtio device\n");
        return;
    }
    while (more()) {
        for (unsigned n = 0; virtio_find(n, &v); n++) {
            unsigned queues;
            u16 queue;
            struct vq q;
            if (!begin(&v))
                continue;
            queues = mmio16(v.common + VIRTIO_QUEUES);
            queue = (u16)rnd(queues ? queues : 1);
            q = virtio_queue(&v, queue, (void *)(sandbox() + (16 + 4 * (queue % 8)) * 4096));
            if (q.size) {
                virtio_driver_ok(&v);
                once(&v, &q);
            }
            attempted();
            virtio_reset(&v);
        }
    }
}

static u64 data(void)
{
    return sandbox() + rnd(8) * 4096 + rnd(4096);
}

static void set(struct vq *q, unsigned i, u64 addr, u64 len, unsigned flags, u64 next)
{
    q->desc[i % q->size] = (struct desc){addr, (u32)len, (u16)flags, (u16)next};
}

static void settle(void)
{
    for (unsigned i = 0; i < 200; i++)
        pause();
}

static void go(const struct vdev *v, struct vq *q, u16 head)
{
    vq_publish(q, head);
    virtio_kick(v, q->index);
    settle();
}

static void cycle(const struct vdev *v, struct vq *q)
{
    unsigned n = 1 + (unsigned)rnd(q->size);

    for (unsigned i = 0; i < n; i++)
        set(q, i, data(), rnd(64), DESC_NEXT | (rnd(2) ? DESC_WRITE : 0), (i + 1) % n);
    if (!rnd(3)) /* a chain that ends, but far too late */
        set(q, n - 1, data(), 16, DESC_WRITE, 0);
    if (!rnd(4))
        set(q, n - 1, data(), 16, DESC_NEXT, q->size + rnd(65536 - q->size));
    go(v, q, (u16)rnd(n));
}

static void range(const struct vdev *v, struct vq *q)
{
    for (unsigned i = 0; i < 3; i++)
        set(q, i, rnd(3) ? bad_addr() : data(), rnd(2) ? rnd64() : 4096, (i < 2 ? DESC_NEXT : 0) | (rnd(2) ? DESC_WRITE : 0), i + 1);
    for (unsigned i = 0; i < 3; i++) /* never a huge length from a good address: it would be ours */
        if (is_ram(q->desc[i].addr, 1) && q->desc[i].len > 4096)
            q->desc[i].len = rnd(2) ? 0 : 4096;
    go(v, q, 0);
}

static void indirect(const struct vdev *v, struct vq *q)
{
    struct desc *t = (struct desc *)((ram_end_low() & ~4095ull) - 4096); /* behind it RAM ends */
    static const u32 lens[] = {0, 1, 15, 16, 17, 32, 4096, 0xfffffff0, 0xffffffff, 65536 * 16};

    for (unsigned i = 0; i < 256; i++)
        t[i] = (struct desc){rnd(4) ? data() : bad_addr(), (u32)rnd(512), (u16)rnd(rnd(4) ? 4 : 8), (u16)rnd(rnd(4) ? 256 : 65536)};
    set(q, 0, rnd(4) ? (u64)t : bad_addr(), lens[rnd(ARRAY_LEN(lens))], DESC_INDIRECT | (unsigned)rnd(4), rnd(4));
    set(q, 1, (u64)t, 4096, DESC_INDIRECT, 0);
    if (!rnd(4))
        t[0] = (struct desc){(u64)t, 4096, DESC_INDIRECT | DESC_NEXT, 1}; /* tables in tables */
    go(v, q, 0);
}

static void size(const struct vdev *v, struct vq *q)
{
    static const u16 sizes[] = {0, 1, 3, 5, 127, 255, 257, 512, 1000, 32768, 32769, 65535};
    u64 d = (u64)q->desc;

    begin(v);
    virtio_queue_raw(v, q->index, sizes[rnd(ARRAY_LEN(sizes))], d, d + 4096, d + 8192);
    virtio_queue_raw(v, (u16)rnd64(), sizes[rnd(ARRAY_LEN(sizes))], d, d + 4096, d + 8192);
    virtio_driver_ok(v);
    for (unsigned i = 0; i < 4; i++)
        set(q, i, data(), 64, rnd(2) ? DESC_WRITE : 0, 0);
    go(v, q, 0);
    go(v, q, 1);
}

static void indices(const struct vdev *v, struct vq *q)
{
    for (unsigned i = 0; i < q->size; i++) {
        set(q, i, data(), 32, i & 1 ? DESC_WRITE : 0, 0);
        q->avail[2 + i] = (u16)(rnd(2) ? i : rnd64());
    }
    for (unsigned i = 0; i < 8; i++) {
        q->avail[1] = (u16)rnd64();
        q->avail[0] = (u16)rnd(4);
        virtio_kick(v, rnd(4) ? q->index : (u16)rnd64());
    }
    settle();
}

static void overlap(const struct vdev *v, struct vq *q)
{
    u64 at = sandbox() + 16 * 4096;
    u64 desc = at + rnd(4) * 16, avail = rnd(2) ? desc + rnd(64) * 2 : at + rnd(4096), used = rnd(2) ? avail + rnd(64) * 2 - 4 : desc + rnd(512) * 4;

    begin(v);
    for (unsigned i = 0; i < 2048; i++)
        ((u64 *)at)[i] = rnd(4) ? i : data();
    virtio_queue_raw(v, q->index, q->size, desc, avail, used);
    virtio_driver_ok(v);
    for (unsigned i = 0; i < 16; i++) {
        virtio_kick(v, q->index);
        mmio16_set(at + rnd(4096), (u16)rnd(512));
    }
    settle();
}

static void rings_in_mmio(const struct vdev *v, struct vq *q)
{
    u64 d = (u64)q->desc;

    begin(v);
    virtio_queue_raw(v, q->index, q->size, rnd(2) ? bad_addr() & ~15ull : d, rnd(2) ? bad_addr() & ~1ull : d + 4096,
                     rnd(2) ? bad_addr() & ~3ull : d + 8192);
    virtio_driver_ok(v);
    set(q, 0, rnd(2) ? v->common : data(), 64, rnd(2) ? DESC_WRITE : 0, 0); /* a device that programs itself */
    go(v, q, 0);
}

static void early(const struct vdev *v, struct vq *q)
{
    static const u8 states[] = {0, 1, 3, 11, 2, 4, 8, 0x40, 0x80, 0xff};

    virtio_reset(v);
    mmio8_set(v->common + VIRTIO_STATUS, states[rnd(ARRAY_LEN(states))]);
    set(q, 0, data(), 64, DESC_WRITE, 0);
    vq_publish(q, 0);
    for (u16 i = 0; i < 4; i++)
        virtio_kick(v, i);
    mmio16_set(v->notify + rnd(4096), (u16)rnd64());
    mmio32_set(v->notify + (rnd(1024) & ~3ull), (u32)rnd64());
    settle();
}

static void change(const struct vdev *v, struct vq *q)
{
    u64 c = v->common;

    for (unsigned i = 0; i < 4; i++)
        set(q, i, data(), 512, DESC_WRITE, 0);
    go(v, q, 0);
    for (unsigned i = 0; i < 16; i++) {
        mmio16_set(c + VIRTIO_Q_SEL, rnd(4) ? q->index : (u16)rnd64());
        switch (rnd(6)) {
        case 0: mmio16_set(c + VIRTIO_Q_SIZE, (u16)rnd64()); break;
        case 1: mmio32_set(c + VIRTIO_Q_DESC + 4 * (u32)rnd(6), (u32)bad_addr()); break;
        case 2: mmio16_set(c + VIRTIO_Q_ENABLE, (u16)rnd(3)); break;
        case 3: mmio32_set(c + VIRTIO_GUEST, (u32)rnd64()); break;
        case 4: mmio16_set(c + VIRTIO_Q_MSIX, (u16)rnd64()); break;
        default: mmio8_set(c + VIRTIO_STATUS, (u8)(rnd(128) | 4 | 15));
        }
        vq_publish(q, (u16)rnd(4));
        virtio_kick(v, q->index);
    }
}

static void resets(const struct vdev *v, struct vq *q)
{
    for (unsigned i = 0; i < q->size; i++)
        set(q, i, data(), 4096, i & 1 ? DESC_WRITE : 0, 0);
    for (unsigned i = 0; i < q->size; i++)
        vq_publish(q, (u16)i);
    virtio_kick(v, q->index);
    for (unsigned i = 0; i < rnd(100); i++)
        pause();
    mmio8_set(v->common + VIRTIO_STATUS, 0); /* nobody waits for it */
    if (rnd(2))
        virtio_kick(v, q->index);
    if (rnd(2))
        pci_write(v->bdf, 4, 2, (u32)rnd(8));
    pci_write(v->bdf, 4, 2, 6);
}

struct poke {
    u64 at;
};

static void poke_register(void *arg)
{
    u64 at = ((struct poke *)arg)->at;

    switch (rnd(8)) {
    case 0: mmio8_set(at, (u8)rnd64()); break;
    case 1: mmio16_set(at, (u16)rnd64()); break;
    case 2: mmio32_set(at, (u32)bad_addr()); break;
    case 3: mmio64_set(at, bad_addr()); break;
    case 4: mmio8(at); break;
    case 5: mmio16(at); break;
    case 6: mmio32(at); break;
    default: mmio64(at);
    }
}

static void config(const struct vdev *v, struct vq *q)
{
    const u64 places[] = {v->common, v->config ? v->config : v->common, v->isr ? v->isr : v->common, v->notify};

    (void)q;
    for (unsigned i = 0; i < 32; i++) {
        struct poke p = {places[rnd(4)] + rnd(rnd(8) ? 64 : 4096)};
        try_call(poke_register, &p, NULL);
    }
}

static void fill_random(struct vq *q)
{
    for (unsigned i = 0; i < q->size; i++) {
        bool good = rnd(3);
        set(q, i, good ? data() : bad_addr(), good ? rnd(4097) : rnd64(), (unsigned)rnd(8), rnd(16) ? rnd(q->size) : rnd64());
        if (is_ram(q->desc[i].addr, 1) && q->desc[i].len > 4096)
            q->desc[i].len = 4096;
    }
}

static void randoms(const struct vdev *v, struct vq *q)
{
    fill_random(q);
    for (unsigned i = 0; i < 16; i++)
        vq_publish(q, (u16)(rnd(16) ? rnd(q->size) : rnd64()));
    virtio_kick(v, q->index);
    settle();
}

static struct vq race_queue;
static volatile bool race_stop;

static void racer(void *arg)
{
    u64 state = 1;

    (void)arg;
    while (!race_stop) {
        struct desc *d = &race_queue.desc[rng_below(&state, 4)];
        d->len = (u32)rng_below(&state, 2) ? 16 : 4096;
        d->addr = rng_below(&state, 2) ? sandbox() : 0xd0000000;
        d->flags = (u16)rng_below(&state, 4);
        d->next = (u16)rng_below(&state, 5);
    }
}

/* Another CPU rewrites the descriptors while the device looks at them. */
static void race(const struct vdev *v, struct vq *q)
{
    race_queue = *q;
    race_stop = false;
    if (smp_running() > 1)
        smp_run(1, racer, NULL);
    for (unsigned i = 0; i < 200; i++) {
        fill_random(q);
        vq_publish(q, (u16)rnd(4));
        virtio_kick(v, q->index);
    }
    race_stop = true;
    smp_wait();
}

/* Requests of a block device: header, data, status, each of them wrong in some way. */
static void block(const struct vdev *v, struct vq *q)
{
    struct {
        u32 type, reserved;
        u64 sector;
    } *header = (void *)(sandbox() + 13 * 4096);
    static const u32 types[] = {0, 1, 4, 8, 11, 13, 2, 0xffffffff, 0x80000000};
    unsigned n = 1 + (unsigned)rnd(6);

    if (v->type != 2)
        return;
    header->type = types[rnd(ARRAY_LEN(types))];
    header->reserved = (u32)rnd64();
    header->sector = rnd64();
    set(q, 0, (u64)header, rnd(4) ? 16 : rnd(32), DESC_NEXT | (rnd(8) ? 0 : DESC_WRITE), 1);
    for (unsigned i = 1; i < n; i++)
        set(q, i, data(), rnd(2) ? 512 : rnd(4096), DESC_NEXT | (rnd(2) ? DESC_WRITE : 0), i + 1);
    set(q, n, rnd(8) ? sandbox() : bad_addr(), rnd(8) ? 1 : rnd(16), rnd(8) ? DESC_WRITE : 0, 0);
    if (!rnd(4)) { /* one descriptor for everything; header split in two */
        set(q, 0, (u64)header, 7, DESC_NEXT, 1);
        set(q, 1, (u64)header + 7, 9, DESC_NEXT | (rnd(2) ? DESC_WRITE : 0), n);
    }
    go(v, q, 0);
}

void vq_cycle(void) { each_queue(cycle); }
void vq_range(void) { each_queue(range); }
void vq_indirect(void) { each_queue(indirect); }
void vq_size(void) { each_queue(size); }
void vq_index(void) { each_queue(indices); }
void vq_overlap(void) { each_queue(overlap); }
void vq_mmio(void) { each_queue(rings_in_mmio); }
void vq_early(void) { each_queue(early); }
void vq_change(void) { each_queue(change); }
void vq_reset(void) { each_queue(resets); }
void vq_config(void) { each_queue(config); }
void vq_random(void) { each_queue(randoms); }
void blk(void) { each_queue(block); }

void vq_race(void)
{
    smp_start();
    each_queue(race);
}
