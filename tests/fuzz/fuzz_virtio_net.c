/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A network card and a driver that says anything, on a switch with a second link that takes whole
 * frames (so that cutting, sums and DHCP see what the driver makes up): frames, wild descriptors,
 * register writes, resets, limits and time.
 */
#include "core/log.h"
#include "core/netswitch.h"
#include "devices/virtio_net.h"
#include "fuzz/input.h"
#include "unit/virtio_rig.h"

#include <linux/virtio_net.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { QUEUE = 16, OPS_MAX = 200, RX = 0, TX = 1 };

static struct {
    struct rig r;
    struct netswitch *sw;
    struct netport *port, *other;
    struct virtio_net *nic;
    struct virtio_pci *vp;
    struct drv d;
    uint64_t now;
} m;

static uint64_t now(void *opaque)
{
    (void)opaque;
    return m.now;
}

static void nothing(void *opaque)
{
    (void)opaque;
}

static void init(void)
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1}, mac2[6] = {2, 0, 0, 0, 0, 2};
    const struct net_subnet sub = {.base = 0x0a000200, .bits = 24, .gateway = 0x0a000202};
    const struct netport_user u = {.wake_rx = nothing, .wake_tx = nothing};
    const struct net_clock clock = {.now_ns = now};

    log_set_level(LOG_ERROR);
    m.now = 1000000000;
    if (rig_init(&m.r, 4 << 20) < 0 || !(m.sw = netswitch_new("lan", &sub, &clock, NULL)))
        abort();
    m.port = netport_new(m.sw, "eth0", mac, NULL);
    m.other = netport_new(m.sw, "eth0", mac2, NULL);
    netport_attach(m.other, &u);
    m.nic = virtio_net_new(&m.r.env, "eth0", mac, m.port, NULL);
    m.vp = rig_plug(&m.r, RIG_SLOT, virtio_net_dev(m.nic));
    drv_probe(&m.d, &m.r, RIG_SLOT);
}

static void start(uint8_t how)
{
    uint64_t features = 1ull << VIRTIO_F_VERSION_1;

    if (how & 1)
        features |= 1ull << VIRTIO_RING_F_EVENT_IDX | 1ull << VIRTIO_RING_F_INDIRECT_DESC;
    if (how & 2)
        features |= 1ull << VIRTIO_NET_F_MRG_RXBUF;
    if (how & 4)
        features |= 1ull << VIRTIO_NET_F_CSUM | 1ull << VIRTIO_NET_F_HOST_TSO4 | 1ull << VIRTIO_NET_F_HOST_TSO6;
    if (how & 8)
        features |= 1ull << VIRTIO_NET_F_GUEST_CSUM | 1ull << VIRTIO_NET_F_GUEST_TSO4;
    drv_negotiate(&m.d, features);
    drv_queue(&m.d, RX, QUEUE, how & 1);
    drv_queue(&m.d, TX, QUEUE, how & 1);
    drv_ok(&m.d);
}

/* A frame that is nearly right: to the other link, to all, or a DHCP request. */
static void frame(struct input *in)
{
    static const uint8_t to[4][6] = {{2, 0, 0, 0, 0, 2}, {255, 255, 255, 255, 255, 255}, {2, 0, 0, 0, 0, 1}, {2, 9}};
    const uint8_t how = (uint8_t)take(in, 1);
    struct virtio_net_hdr_v1 h = {.flags = how & 1, .gso_type = how & 2 ? (how & 4 ? 4 : 1) : 0};
    uint8_t *f = gmem_ptr(m.r.mem, RIG_DATA_GPA, 0x20000);
    const uint32_t len = (uint32_t)take(in, 2) + (how & 64 ? 1000 : 0);

    h.csum_start = how & 8 ? 34 : (uint16_t)take(in, 2);
    h.csum_offset = how & 8 ? 16 : (uint16_t)take(in, 2);
    h.gso_size = (uint16_t)take(in, 2);
    memcpy(f, &h, sizeof h);
    f += sizeof h;
    memcpy(f, to[how >> 4 & 3], 6);
    f[6] = 2;
    f[12] = h.gso_type == 4 ? 0x86 : 8;
    f[13] = h.gso_type == 4 ? 0xdd : 0;
    f[14] = h.gso_type == 4 ? 0x60 : 0x45;
    f[20] = 6;
    f[23] = how & 128 ? 17 : 6;
    f[37] = how & 128 ? 67 : 0;
    f[46] = (uint8_t)take(in, 1);
    for (unsigned i = 0; i < 8; i++) {
        const uint16_t at = (uint16_t)take(in, 1);

        f[14 + at * 2] = (uint8_t)take(in, 1);
    }
    const struct drv_buf b[2] = {{.gpa = RIG_DATA_GPA, .len = 12}, {.gpa = RIG_DATA_GPA + 12, .len = len ? len : 1}};

    drv_add(&m.d, TX, b, 2);
}

static void op(struct input *in)
{
    struct link_limits l = {0};
    struct drv_buf b;
    uint64_t at;

    switch (take(in, 1) % 8) {
    case 0:
    case 1:
        frame(in);
        break;
    case 2:
        drv_kick(&m.d, TX);
        drv_kick(&m.d, RX);
        loop_step(m.r.loop, 0);
        break;
    case 3: /* a wild descriptor, or what else is in the rings */
        at = RIG_RINGS_GPA + (take(in, 3) & 0x1fff8);
        *(uint64_t *)gmem_ptr(m.r.mem, at, 8) = take(in, 8);
        break;
    case 4: /* a receive buffer, and a frame for it */
        b = (struct drv_buf){.gpa = RIG_DATA_GPA + 0x100000, .len = (uint32_t)take(in, 2) + 1, .write = true};
        drv_add(&m.d, RX, &b, 1);
        struct netframe *f = netframe_new(take(in, 2));
        uint64_t wait;

        if (f) {
            memset(f->data, 0xff, f->len);
            netport_send(m.other, &f, &wait);
            netframe_free(f);
        }
        break;
    case 5:
        start((uint8_t)take(in, 1));
        break;
    case 6:
        bus_write(m.r.mmio, m.d.device + take(in, 1) % 64, 1u << take(in, 1) % 4, take(in, 4));
        break;
    case 7:
        l.rate_bits = take(in, 2) << 10;
        l.delay_ns = take(in, 2) << 8;
        l.loss_ppm = (uint32_t)take(in, 2);
        netport_set_limits(m.port, &l);
        netport_set_up(m.port, l.loss_ppm % 7 != 1);
        at = take(in, 4);
        m.now += at;
        vclock_step(m.r.clock, at);
        break;
    }
}

/* What the other link gets must be whole. */
static void drain(void)
{
    uint64_t wait;
    struct netframe *f;

    while ((f = netport_take(m.other, &wait)) != NULL) {
        if (f->len < NETFRAME_MIN || f->len > NETFRAME_MAX || f->off.csum || f->off.gso != NET_GSO_NONE)
            abort();
        netframe_free(f);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {.p = data, .left = size};

    if (!m.nic)
        init();
    netport_set_limits(m.port, &(struct link_limits){0});
    netport_set_up(m.port, true);
    start((uint8_t)take(&in, 1));
    for (unsigned i = 0; i < OPS_MAX && in.left; i++) {
        op(&in);
        drain();
    }
    drv_kick(&m.d, TX);
    loop_step(m.r.loop, 0);
    drain();
    virtio_pci_reset(m.vp);
    netport_detach(m.other);
    netport_attach(m.other, &(struct netport_user){.wake_rx = nothing, .wake_tx = nothing});
    loop_step(m.r.loop, 0);
    return 0;
}
