/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtio-net: two cards on one switch, driven by two rigs; frames, merged buffers, offloads,
 * link status, hostile headers and descriptors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/netswitch.h"
#include "devices/virtio_net.h"
#include "unit/virtio_rig.h"

#include <linux/virtio_net.h>

enum { RX = 0, TX = 1, HDR = sizeof(struct virtio_net_hdr_v1), QUEUE = 64 };

#define BASIC (1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX | 1ull << VIRTIO_NET_F_MAC | \
               1ull << VIRTIO_NET_F_STATUS)
#define MERGE (1ull << VIRTIO_NET_F_MRG_RXBUF)
#define CSUMS (1ull << VIRTIO_NET_F_CSUM | 1ull << VIRTIO_NET_F_GUEST_CSUM)
#define TSO (1ull << VIRTIO_NET_F_HOST_TSO4 | 1ull << VIRTIO_NET_F_GUEST_TSO4)

struct side {
    struct rig r;
    struct netport *port;
    struct virtio_net *nic;
    struct virtio_pci *vp;
    struct drv d;
};

struct pair {
    struct netswitch *sw;
    struct side s[2];
};

static int setup(void **state)
{
    struct pair *p = calloc(1, sizeof *p);

    p->sw = netswitch_new("lan", NULL, NULL, NULL);
    for (int i = 0; i < 2; i++) {
        const uint8_t mac[6] = {2, 0, 0, 0, 0, (uint8_t)(i + 1)};
        struct side *s = &p->s[i];

        if (rig_init(&s->r, 8 << 20) < 0)
            return -1;
        s->port = netport_new(p->sw, "eth0", mac, NULL);
        s->nic = virtio_net_new(&s->r.env, "eth0", mac, s->port, NULL);
        s->vp = rig_plug(&s->r, RIG_SLOT, virtio_net_dev(s->nic));
        drv_probe(&s->d, &s->r, RIG_SLOT);
    }
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct pair *p = *state;

    for (int i = 0; i < 2; i++) {
        virtio_pci_free(p->s[i].vp);
        virtio_net_free(p->s[i].nic);
        netport_free(p->s[i].port);
        rig_fini(&p->s[i].r);
    }
    netswitch_free(p->sw);
    free(p);
    return 0;
}

static void start(struct side *s, uint64_t features)
{
    assert_true(drv_negotiate(&s->d, features));
    drv_queue(&s->d, RX, QUEUE, true);
    drv_queue(&s->d, TX, QUEUE, true);
    drv_ok(&s->d);
}

static void start_both(struct pair *p, uint64_t features)
{
    start(&p->s[0], features);
    start(&p->s[1], features);
}

/* Receive buffers number `from`.. of `len` bytes, at 64 KiB steps. */
static void add_rx(struct side *s, unsigned from, unsigned n, uint32_t len)
{
    for (unsigned i = from; i < from + n; i++) {
        const struct drv_buf b = {.gpa = RIG_DATA_GPA + 0x200000 + i * 0x10000ull, .len = len, .write = true};

        drv_add(&s->d, RX, &b, 1);
    }
    drv_kick(&s->d, RX);
    rig_step(&s->r);
}

/* A frame of `len` bytes from side 0 to side 1 with this header; the driver's chain is two buffers. */
static int64_t send(struct side *s, const struct virtio_net_hdr_v1 *h, uint32_t len)
{
    const struct drv_buf b[2] = {{.gpa = RIG_DATA_GPA, .len = HDR}, {.gpa = RIG_DATA_GPA + 0x1000, .len = len}};
    uint8_t *f = gmem_ptr(s->r.mem, RIG_DATA_GPA + 0x1000, len ? len : 1);

    for (uint32_t i = 14; i < len; i++)
        f[i] = (uint8_t)(i * 13);
    if (len >= 14)
        memcpy(f, (uint8_t[]){2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5}, 14);
    assert_int_equal(gmem_write(s->r.mem, RIG_DATA_GPA, h, HDR), 0);
    return drv_do(&s->d, TX, b, 2);
}

static const uint8_t *rx_buf(struct side *s, unsigned i)
{
    return gmem_ptr(s->r.mem, RIG_DATA_GPA + 0x200000 + i * 0x10000ull, 0x10000);
}

static void a_frame_goes_from_guest_to_guest(void **state)
{
    const struct virtio_net_hdr_v1 h = {0};
    struct pair *p = *state;
    uint32_t id, len;

    start_both(p, BASIC | MERGE);
    add_rx(&p->s[1], 0, 4, 2048);
    assert_int_equal(send(&p->s[0], &h, 1000), 0);
    rig_step(&p->s[1].r);
    assert_true(drv_used(&p->s[1].d, RX, &id, &len));
    assert_int_equal(len, 1000 + HDR);
    assert_int_equal(((const struct virtio_net_hdr_v1 *)rx_buf(&p->s[1], 0))->num_buffers, 1);
    for (unsigned i = 14; i < 1000; i++)
        assert_int_equal(rx_buf(&p->s[1], 0)[HDR + i], (uint8_t)(i * 13));
    assert_false(drv_used(&p->s[1].d, RX, &id, &len));
}

/* How many of `n` frames of `len` bytes the guest has back when it has notified: no loop has run. */
static unsigned sent_at_once(struct side *s, unsigned n, uint32_t len)
{
    const struct drv_buf b[2] = {{.gpa = RIG_DATA_GPA, .len = HDR}, {.gpa = RIG_DATA_GPA + 0x1000, .len = len}};
    unsigned done = 0;
    uint32_t id, used;

    memset(gmem_ptr(s->r.mem, RIG_DATA_GPA, HDR), 0, HDR);
    memcpy(gmem_ptr(s->r.mem, RIG_DATA_GPA + 0x1000, 14), (uint8_t[]){2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5}, 14);
    for (unsigned i = 0; i < n; i++)
        drv_add(&s->d, TX, b, 2);
    drv_kick(&s->d, TX);
    while (drv_used(&s->d, TX, &id, &used))
        done++;
    rig_step(&s->r);
    for (unsigned i = done; i < n; i++)
        assert_true(drv_used(&s->d, TX, &id, &used));
    return done;
}

static void a_short_frame_alone_is_sent_by_the_vcpu_itself(void **state)
{
    struct pair *p = *state;
    struct net_stats st;
    uint32_t id, len;

    start_both(p, BASIC | MERGE);
    add_rx(&p->s[1], 0, 8, 4096);
    assert_int_equal(sent_at_once(&p->s[0], 1, 1000), 1);
    assert_int_equal(sent_at_once(&p->s[0], 2, 1000), 0);
    assert_int_equal(sent_at_once(&p->s[0], 1, 3000), 0);
    rig_step(&p->s[1].r);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(drv_used(&p->s[1].d, RX, &id, &len));
        assert_int_equal(len, HDR + (i == 3 ? 3000 : 1000));
    }
    netport_stats(p->s[0].port, &st);
    assert_int_equal(st.tx_pkts, 4);
}

static void frames_wait_until_the_guest_has_buffers(void **state)
{
    const struct virtio_net_hdr_v1 h = {0};
    struct pair *p = *state;
    uint32_t id, len;

    start_both(p, BASIC | MERGE);
    for (int i = 0; i < 5; i++)
        assert_int_equal(send(&p->s[0], &h, 100), 0);
    rig_step(&p->s[1].r);
    assert_false(drv_used(&p->s[1].d, RX, &id, &len));
    add_rx(&p->s[1], 0, 8, 2048);
    for (int i = 0; i < 5; i++)
        assert_true(drv_used(&p->s[1].d, RX, &id, &len));
}

static void a_long_segment_is_spread_over_merged_buffers(void **state)
{
    const struct virtio_net_hdr_v1 h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
                                        .gso_size = 1448, .csum_start = 34, .csum_offset = 16, .hdr_len = 66};
    const struct drv_buf one = {.gpa = RIG_DATA_GPA + 0x200000 + 10 * 0x10000ull, .len = 1536, .write = true};
    const struct virtio_net_hdr_v1 *got;
    struct pair *p = *state;
    uint32_t id, len, sum = 0;

    start_both(p, BASIC | MERGE | CSUMS | TSO);
    add_rx(&p->s[1], 0, 10, 1536);
    assert_int_equal(send(&p->s[0], &h, 20000), 0);
    rig_step(&p->s[1].r); /* 14 buffers are needed, there are 10: it waits, and nothing is used */
    assert_false(drv_used(&p->s[1].d, RX, &id, &len));
    drv_add(&p->s[1].d, RX, &one, 1);
    assert_true(drv_wants_kick(&p->s[1].d, RX, (uint16_t)(p->s[1].d.q[RX].avail_idx - 1)));
    add_rx(&p->s[1], 11, 5, 1536);
    got = (const void *)rx_buf(&p->s[1], 0);
    assert_int_equal(got->num_buffers, 14);
    assert_int_equal(got->gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
    assert_int_equal(got->gso_size, 1448);
    assert_int_equal(got->csum_start, 34);
    for (unsigned k = 0; drv_used(&p->s[1].d, RX, &id, &len); k++) {
        const unsigned at = k ? 0 : HDR;

        for (unsigned i = at; i < len; i++, sum++)
            if (sum >= 14)
                assert_int_equal(rx_buf(&p->s[1], k)[i], (uint8_t)(sum * 13));
    }
    assert_int_equal(sum, 20000);
}

static void nonsense_headers_lose_the_frame_only(void **state)
{
    const struct virtio_net_hdr_v1 bad[] = {
        {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 99, .csum_offset = 65535},
        {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 99, .csum_offset = 0},
        {.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 100},
        {.gso_type = 77},
        {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .csum_start = 34},
    };
    const struct virtio_net_hdr_v1 good = {0};
    struct pair *p = *state;
    uint32_t id, len;

    start_both(p, BASIC | MERGE | CSUMS | TSO);
    add_rx(&p->s[1], 0, 8, 2048);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(send(&p->s[0], &bad[i], 100), 0);
    assert_int_equal(send(&p->s[0], &good, 5), 0); /* shorter than its addresses */
    assert_int_equal(send(&p->s[0], &good, 0x18000), 0);
    rig_step(&p->s[1].r);
    assert_false(drv_used(&p->s[1].d, RX, &id, &len));
    assert_int_equal(send(&p->s[0], &good, 100), 0);
    rig_step(&p->s[1].r);
    assert_true(drv_used(&p->s[1].d, RX, &id, &len));
    assert_int_equal(p->s[0].r.errors, 0);
}

static void a_receive_buffer_without_room_for_the_header_breaks_the_device(void **state)
{
    const struct virtio_net_hdr_v1 h = {0};
    struct pair *p = *state;

    start_both(p, BASIC | MERGE);
    add_rx(&p->s[1], 0, 1, 8);
    send(&p->s[0], &h, 100);
    rig_step(&p->s[1].r);
    assert_int_equal(p->s[1].r.errors, 1);
    assert_true(drv_status(&p->s[1].d) & VIRTIO_CONFIG_S_NEEDS_RESET);
    start(&p->s[1], BASIC | MERGE); /* and a reset mends it */
    add_rx(&p->s[1], 0, 1, 2048);
    assert_false(drv_status(&p->s[1].d) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void a_frame_that_no_buffers_can_hold_is_dropped(void **state)
{
    const struct virtio_net_hdr_v1 h = {0};
    struct pair *p = *state;
    uint32_t id, len;

    start_both(p, BASIC); /* no merging */
    add_rx(&p->s[1], 0, 4, 500);
    send(&p->s[0], &h, 1000);
    send(&p->s[0], &h, 100);
    rig_step(&p->s[1].r);
    assert_true(drv_used(&p->s[1].d, RX, &id, &len));
    assert_int_equal(len, 100 + HDR);
}

static void segments_without_checksums_are_not_negotiated(void **state)
{
    struct pair *p = *state;

    assert_false(drv_negotiate(&p->s[0].d, BASIC | TSO));
    assert_true(drv_negotiate(&p->s[0].d, BASIC | TSO | CSUMS));
}

static void link_status_is_told_by_a_configuration_interrupt(void **state)
{
    struct pair *p = *state;
    struct side *s = &p->s[0];
    const uint8_t gen = (uint8_t)drv_get(&s->d, VIRTIO_PCI_COMMON_CFGGENERATION, 1);

    start(s, BASIC);
    assert_int_equal(mmio_read(&s->r, s->d.device + 6, 2), VIRTIO_NET_S_LINK_UP);
    netport_set_up(s->port, false);
    assert_int_equal(mmio_read(&s->r, s->d.device + 6, 2), 0);
    assert_int_not_equal(drv_get(&s->d, VIRTIO_PCI_COMMON_CFGGENERATION, 1), gen);
    assert_int_equal(mmio_read(&s->r, s->d.isr, 1) & 2, 2);
    assert_int_equal(mmio_read(&s->r, s->d.device, 1), 2); /* the MAC */
}

static void a_rate_delays_frames_by_the_guests_clock(void **state)
{
    const struct link_limits l = {.rate_bits = 80000}; /* 0.6 s for one of these frames */
    const struct virtio_net_hdr_v1 h = {0};
    struct pair *p = *state;
    struct net_stats st;

    start_both(p, BASIC | MERGE);
    add_rx(&p->s[1], 0, 32, 2048);
    netport_set_limits(p->s[0].port, &l);
    for (int i = 0; i < 20; i++)
        send(&p->s[0], &h, 6000);
    netport_stats(p->s[0].port, &st);
    assert_in_range(st.tx_pkts, 1, 2); /* the others wait in the guest's queue */
    netport_set_limits(p->s[0].port, &(struct link_limits){0});
    rig_step(&p->s[0].r);
    netport_stats(p->s[0].port, &st);
    assert_int_equal(st.tx_pkts, 20);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_frame_goes_from_guest_to_guest),
        T(a_short_frame_alone_is_sent_by_the_vcpu_itself),
        T(frames_wait_until_the_guest_has_buffers),
        T(a_long_segment_is_spread_over_merged_buffers),
        T(nonsense_headers_lose_the_frame_only),
        T(a_receive_buffer_without_room_for_the_header_breaks_the_device),
        T(a_frame_that_no_buffers_can_hold_is_dropped),
        T(segments_without_checksums_are_not_negotiated),
        T(link_status_is_told_by_a_configuration_interrupt),
        T(a_rate_delays_frames_by_the_guests_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
