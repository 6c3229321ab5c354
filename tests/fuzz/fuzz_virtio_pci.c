/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Every PCI and virtio register in any order: a stream of port, MMIO and memory accesses of any
 * width against a board with a console, a balloon, an entropy device and the bridge (T6, T10).
 */
#include "core/log.h"
#include "devices/virtio_balloon.h"
#include "devices/virtio_console.h"
#include "devices/virtio_rng.h"
#include "fuzz/input.h"
#include "unit/virtio_rig.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEVICES = 3, OPS_MAX = 400 };

static struct {
    struct rig r;
    struct virtio_console *con;
    struct virtio_balloon *balloon;
    struct virtio_pci *vp[DEVICES];
    struct drv d[DEVICES];
} m;

static void nothing(void *opaque, const void *buf, size_t len)
{
    static volatile uint8_t sink;

    (void)opaque;
    for (size_t i = 0; i < len; i++) /* reads it all: it must be there */
        sink ^= ((const uint8_t *)buf)[i];
}

static void init(void)
{
    const struct virtio_console_host host = {.out = nothing};

    log_set_level(LOG_ERROR);
    if (rig_init(&m.r, 4 << 20) < 0)
        abort();
    m.con = virtio_console_new(&m.r.env, &host, NULL);
    m.balloon = virtio_balloon_new(&m.r.env, NULL);
    m.vp[0] = rig_plug(&m.r, 1, virtio_console_dev(m.con));
    m.vp[1] = rig_plug(&m.r, 2, virtio_balloon_dev(m.balloon));
    m.vp[2] = rig_plug(&m.r, 3, virtio_rng_dev(virtio_rng_new(&m.r.env, NULL)));
    for (unsigned i = 0; i < DEVICES; i++)
        drv_probe(&m.d[i], &m.r, i + 1);
}

/* One access of 1, 2, 4 or 8 bytes on a bus; reads must not bring bits from elsewhere. */
static void access_bus(struct input *in, struct bus *b, uint64_t addr, uint8_t how)
{
    const unsigned size = 1u << (how & 3);
    uint64_t v;

    if (how & 4) {
        bus_read(b, addr, size, &v);
        if (size < 8 && v >> (8 * size))
            abort();
    } else {
        bus_write(b, addr, size, take(in, size));
    }
}

/* A working driver, so that the stream has something to disturb. */
static void bring_up(unsigned i)
{
    struct drv *d = &m.d[i];
    const struct drv_buf out = {.gpa = RIG_DATA_GPA, .len = 64};
    const struct drv_buf in = {.gpa = RIG_DATA_GPA + 0x1000, .len = 64, .write = true};

    drv_negotiate(d, drv_features(d));
    for (unsigned q = 0; q < 5; q++)
        drv_queue(d, q, 8, true);
    drv_msix_on(d, 3);
    drv_ok(d);
    for (unsigned q = 0; q < 5; q++) {
        drv_add(d, q, q % 2 ? &out : &in, 1);
        drv_kick(d, q);
    }
}

static void op(struct input *in)
{
    const uint8_t what = (uint8_t)take(in, 1), how = (uint8_t)take(in, 1);
    struct drv *d = &m.d[what / 16 % DEVICES];

    switch (what % 16) {
    case 0:
    case 1: /* a register of configuration space */
        cf8(&m.r, how >> 6, (unsigned)take(in, 1));
        access_bus(in, m.r.pio, 0xcfc + (how >> 3 & 3), how);
        break;
    case 2:
        access_bus(in, m.r.pio, 0xcf8 + (how >> 3 & 7), how);
        break;
    case 3:
        access_bus(in, m.r.mmio, 0xe0000000 + take(in, 3), how);
        break;
    case 4:
    case 5:
    case 6:
        access_bus(in, m.r.mmio, d->common + take(in, 1) % 64, how);
        break;
    case 7:
        access_bus(in, m.r.mmio, d->common + (take(in, 2) & 0x7fff), how);
        break;
    case 8:
        access_bus(in, m.r.mmio, d->msix + (take(in, 2) & 0x1fff), how);
        break;
    case 9: /* the rings */
        ram_write16(&m.r, RIG_RINGS_GPA + (uint64_t)(how % 5) * 0x10000 + (take(in, 2) & 0xfffe),
                    (uint16_t)take(in, 2));
        break;
    case 10:
        drv_kick(d, how % 8);
        loop_step(m.r.loop, 0);
        break;
    case 11:
        bring_up(what / 16 % DEVICES);
        break;
    case 12:
        virtio_console_in(m.con, in->p, in->left < how ? in->left : how);
        virtio_console_resize(m.con, how, how);
        break;
    case 13: {
        struct balloon_stats s;

        virtio_balloon_target(m.balloon, take(in, 4), NULL);
        virtio_balloon_get(m.balloon, &s);
        vclock_step(m.r.clock, (uint64_t)how << 24);
        break;
    }
    case 14:
        drv_set_status(d, how);
        break;
    case 15:
        virtio_pci_reset(m.vp[what / 16 % DEVICES]);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {.p = data, .left = size};

    if (!m.con)
        init();
    for (unsigned i = 0; i < OPS_MAX && in.left; i++)
        op(&in);
    loop_step(m.r.loop, 0);
    for (unsigned i = 0; i < DEVICES; i++)
        virtio_pci_reset(m.vp[i]);
    pci_reset(m.r.pci);
    return 0;
}
