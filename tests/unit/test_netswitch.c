/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * netswitch, netframe, netdhcp, netpcap: with a clock that is moved by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/netdhcp.h"
#include "core/netswitch.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

enum { PORTS = 3 };

struct end {
    _Atomic unsigned rx, tx, links;
    bool up;
};

struct net {
    struct netswitch *sw;
    struct netport *port[PORTS];
    struct end end[PORTS];
    _Atomic uint64_t now;
};

static uint64_t manual(void *opaque)
{
    return ((struct net *)opaque)->now;
}

static void on_rx(void *opaque)
{
    ((struct end *)opaque)->rx++;
}

static void on_tx(void *opaque)
{
    ((struct end *)opaque)->tx++;
}

static void on_link(void *opaque, bool up)
{
    struct end *e = opaque;

    e->links++;
    e->up = up;
}

static int setup(void **state)
{
    struct net *n = calloc(1, sizeof *n);
    const struct net_subnet sub = {.base = 0x0a000200, .bits = 24, .gateway = 0x0a000202, .dns = 0x0a000203};
    const struct net_clock clock = {.now_ns = manual, .opaque = n};

    n->now = 1000000000;
    n->sw = netswitch_new("lan", &sub, &clock, NULL);
    for (int i = 0; i < PORTS; i++) {
        const uint8_t mac[6] = {2, 0, 0, 0, 0, (uint8_t)(i + 1)};
        const struct netport_user u = {.wake_rx = on_rx, .wake_tx = on_tx, .link = on_link, .opaque = &n->end[i]};

        n->port[i] = netport_new(n->sw, "eth0", mac, NULL);
        netport_attach(n->port[i], &u);
    }
    *state = n;
    return 0;
}

static int teardown(void **state)
{
    struct net *n = *state;

    for (int i = 0; i < PORTS; i++)
        netport_free(n->port[i]);
    netswitch_free(n->sw);
    free(n);
    return 0;
}

/* A frame from port `from` to the last byte `to` of a MAC (0xff: all), `len` bytes. */
static struct netframe *frame(unsigned from, unsigned to, size_t len)
{
    struct netframe *f = netframe_new(len);

    memset(f->data, 0, len);
    memset(f->data, to == 0xff ? 0xff : 0, 6);
    if (to != 0xff) {
        f->data[0] = 2;
        f->data[5] = (uint8_t)to;
    }
    f->data[6] = 2;
    f->data[11] = (uint8_t)(from + 1);
    f->data[12] = 0x88;
    f->data[13] = 0xb5;
    return f;
}

static int send(struct net *n, unsigned from, unsigned to, size_t len)
{
    struct netframe *f = frame(from, to, len);
    uint64_t wait;
    int rc = netport_send(n->port[from], &f, &wait);

    netframe_free(f);
    return rc;
}

static size_t take(struct net *n, unsigned at)
{
    uint64_t wait;
    struct netframe *f = netport_take(n->port[at], &wait);
    size_t len = f ? f->len : 0;

    netframe_free(f);
    return len;
}

static void switch_sends_a_known_address_to_its_port_only(void **state)
{
    struct net *n = *state;

    assert_int_equal(send(n, 0, 2, 100), 0);
    assert_int_equal(n->end[1].rx, 1);
    assert_int_equal(take(n, 2), 0);
    assert_int_equal(take(n, 1), 100);
    assert_int_equal(take(n, 1), 0);
}

static void switch_sends_broadcasts_to_all_others(void **state)
{
    struct net *n = *state;

    assert_int_equal(send(n, 0, 0xff, 64), 0);
    assert_int_equal(take(n, 0), 0);
    assert_int_equal(take(n, 1), 64);
    assert_int_equal(take(n, 2), 64);
}

static void switch_learns_and_forgets_addresses(void **state)
{
    struct net *n = *state;
    struct netframe *f = frame(2, 1, 64);
    uint64_t wait;

    f->data[11] = 0x77; /* a second address behind port 2 */
    assert_int_equal(netport_send(n->port[2], &f, &wait), 0);
    assert_int_equal(take(n, 0), 64);
    send(n, 0, 0x77, 70);
    assert_int_equal(take(n, 1), 0);
    assert_int_equal(take(n, 2), 70);
    n->now += 301ull * 1000000000;
    send(n, 0, 0x77, 71); /* not known any more: to all */
    assert_int_equal(take(n, 1), 71);
    assert_int_equal(take(n, 2), 71);
}

static void switch_keeps_a_nics_own_address_from_others(void **state)
{
    struct net *n = *state;
    struct netframe *f = frame(2, 0xff, 64);
    uint64_t wait;

    f->data[11] = 2; /* port 2 says it were port 1 */
    netport_send(n->port[2], &f, &wait);
    take(n, 1);
    send(n, 0, 2, 80);
    assert_int_equal(take(n, 1), 80);
}

static void switch_bounds_addresses_of_a_flooding_port(void **state)
{
    struct net *n = *state;
    uint64_t wait;

    for (unsigned i = 0; i < 100000; i++) {
        struct netframe *f = frame(2, 1, 64);

        memcpy(f->data + 7, &i, 4);
        netport_send(n->port[2], &f, &wait);
        take(n, 0);
    }
    send(n, 0, 2, 90); /* and the others are still found */
    assert_int_equal(take(n, 1), 90);
    assert_int_equal(take(n, 2), 0);
}

static void switch_holds_a_fast_sender_back_and_loses_nothing(void **state)
{
    struct net *n = *state;
    unsigned sent = 0, got = 0;

    for (int round = 0; round < 100; round++) {
        while (send(n, 0, 2, 60000) == 0)
            sent++;
        assert_true(sent - got < 30); /* bounded */
        while (take(n, 1))
            got++;
    }
    assert_int_equal(sent, got);
    assert_true(n->end[0].tx >= 99);
}

static void switch_drops_for_who_takes_nothing(void **state)
{
    struct net *n = *state;
    struct net_stats st;

    while (send(n, 0, 2, 60000) == 0)
        continue;
    n->now += 60 * 1000000;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(send(n, 0, 2, 60000), 0);
    netport_stats(n->port[1], &st);
    assert_int_equal(st.rx_drops, 1000);
    assert_true(st.rx_drops > 0);
}

static void switch_serves_senders_in_turn(void **state)
{
    struct net *n = *state;

    while (send(n, 0, 2, 1500) == 0)
        continue;
    assert_int_equal(send(n, 2, 2, 99), 0); /* the queue of the other is not full */
    take(n, 1);
    assert_int_equal(take(n, 1), 99);
}

static void link_down_loses_frames_and_tells_its_guest(void **state)
{
    struct net *n = *state;
    struct net_stats st;

    netport_set_up(n->port[1], false);
    assert_int_equal(n->end[1].links, 1);
    assert_false(n->end[1].up);
    send(n, 0, 2, 64);
    assert_int_equal(take(n, 1), 0);
    send(n, 1, 1, 64);
    assert_int_equal(take(n, 0), 0);
    netport_stats(n->port[1], &st);
    assert_int_equal(st.rx_drops, 1);
    assert_int_equal(st.tx_drops, 1);
    netport_set_up(n->port[1], true);
    send(n, 0, 2, 64);
    assert_int_equal(take(n, 1), 64);
}

/* Sends as fast as the link lets, for `seconds`; bytes that got through. */
static uint64_t pump(struct net *n, double seconds, size_t len)
{
    const uint64_t end = n->now + (uint64_t)(seconds * 1e9);
    uint64_t bytes = 0, wait;

    while (n->now < end) {
        struct netframe *f = frame(0, 2, len);
        int rc = netport_send(n->port[0], &f, &wait);

        netframe_free(f);
        while (take(n, 1))
            bytes += len;
        if (rc < 0)
            n->now += wait + wait % 977; /* timers are a little late */
    }
    return bytes;
}

static void link_rate_is_exact_within_3_percent(void **state)
{
    static const uint64_t rates[] = {1000000, 10000000, 250000000, 1000000000};
    static const size_t lens[] = {100, 1514, 60000};
    struct net *n = *state;

    for (unsigned i = 0; i < 4; i++) {
        for (unsigned k = 0; k < 3; k++) {
            const struct link_limits l = {.rate_bits = rates[i]};
            const double seconds = rates[i] < 10000000 ? 20 : 3;

            netport_set_limits(n->port[0], &l);
            double got = (double)pump(n, seconds, lens[k]) * 8 / seconds;
            assert_true(got > 0.97 * (double)rates[i] && got < 1.03 * (double)rates[i]);
        }
    }
}

static void link_rate_holds_in_the_receiving_direction(void **state)
{
    const struct link_limits l = {.rate_bits = 10000000};
    struct net *n = *state;
    uint64_t bytes = 0, wait;

    netport_set_limits(n->port[1], &l);
    for (const uint64_t end = n->now + 4000000000; n->now < end;) {
        while (send(n, 0, 2, 1500) == 0)
            continue;
        struct netframe *f = netport_take(n->port[1], &wait);
        if (f)
            bytes += f->len;
        else
            n->now += wait;
        netframe_free(f);
    }
    assert_true(bytes * 8 > 4 * 9700000ull && bytes * 8 < 4 * 10300000ull);
}

static void link_delay_holds_a_frame_for_its_time(void **state)
{
    const struct link_limits l = {.delay_ns = 20000000};
    struct net *n = *state;
    uint64_t wait;

    netport_set_limits(n->port[0], &l);
    netport_set_limits(n->port[1], &l);
    send(n, 0, 2, 64);
    assert_null(netport_take(n->port[1], &wait));
    assert_int_equal(wait, 40000000);
    n->now += 39999999;
    assert_int_equal(take(n, 1), 0);
    n->now += 1;
    assert_int_equal(take(n, 1), 64);
}

static void link_loss_is_near_what_was_asked(void **state)
{
    const struct link_limits l = {.loss_ppm = 100000};
    struct net *n = *state;
    unsigned got = 0;

    netport_set_limits(n->port[0], &l);
    for (int i = 0; i < 20000; i++) {
        send(n, 0, 2, 64);
        got += take(n, 1) != 0;
    }
    assert_in_range(got, 17700, 18300);
}

static void a_frame_that_waits_for_room_is_drawn_for_loss_once(void **state)
{
    const struct link_limits lossy = {.loss_ppm = 500000}, lossless = {0};
    struct netframe *f = frame(0, 2, 1000);
    struct net *n = *state;
    uint64_t wait;

    take(n, 1);
    send(n, 1, 1, 64); /* it is known where port 1 is */
    while (send(n, 0, 2, 1000) == 0)
        ;
    assert_int_equal(netport_send(n->port[0], &f, &wait), -EAGAIN);
    netport_set_limits(n->port[1], &lossy);
    for (int i = 0; i < 100; i++)
        assert_int_equal(netport_send(n->port[0], &f, &wait), -EAGAIN);
    while (take(n, 1))
        ;
    assert_int_equal(netport_send(n->port[0], &f, &wait), 0);
    assert_int_equal(take(n, 1), 1000);
    netport_set_limits(n->port[1], &lossless);
}

static void link_capture_is_a_pcap_file_with_an_end(void **state)
{
    struct net *n = *state;
    char path[] = "/tmp/ruche-pcap-XXXXXX";
    uint32_t head[6], rec[4];
    struct net_stats st;
    int fd = mkstemp(path);
    struct err e;
    FILE *f;

    assert_int_equal(write(fd, "precious", 8), 8); /* what is there stays as it is */
    assert_true(netport_capture(n->port[0], path, 1000, &e) < 0);
    assert_non_null(strstr(e.msg, "is there already: choose another name"));
    assert_int_equal(lseek(fd, 0, SEEK_END), 8);
    close(fd);
    unlink(path);
    assert_int_equal(netport_capture(n->port[0], path, 1000, NULL), 0);
    for (int i = 0; i < 100; i++) {
        send(n, 0, 2, 100);
        take(n, 1);
        netport_stats(n->port[0], &st);
        assert_int_equal(st.capturing, i < 8); /* the ninth does not fit */
    }
    assert_true(netport_capture_over(n->port[0]));
    assert_false(netport_capture_over(n->port[0]));
    assert_int_equal(netport_capture(n->port[0], NULL, 0, NULL), 0);
    f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(head, 4, 6, f), 6);
    assert_int_equal(head[0], 0xa1b23c4d);
    assert_int_equal(head[5], 1);
    assert_int_equal(fread(rec, 4, 4, f), 4);
    assert_int_equal(rec[2], 100);
    fseek(f, 0, SEEK_END);
    assert_int_equal(ftell(f), 24 + 8 * 116);
    fclose(f);
    unlink(path);
}

/* ---- frames ---- */

static uint16_t sum(const uint8_t *p, size_t len, uint32_t s)
{
    for (size_t i = 0; i < len; i++)
        s += i % 2 ? p[i] : (uint32_t)p[i] << 8;
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return (uint16_t)s;
}

/* A TCP segment of `data` bytes, v4, sum of the pseudo header in place, as a driver leaves it. */
static struct netframe *segment(size_t data, uint16_t mss)
{
    struct netframe *f = frame(0, 2, 54 + data);
    uint8_t *ip = f->data + 14, *tcp = ip + 20;

    f->data[12] = 8;
    f->data[13] = 0;
    ip[0] = 0x45;
    ip[8] = 64;
    ip[9] = 6;
    memcpy(ip + 12, (uint8_t[]){10, 0, 2, 15, 10, 0, 2, 16}, 8);
    tcp[7] = 100; /* sequence number */
    tcp[12] = 0x50;
    tcp[13] = 0x19; /* ACK PSH FIN */
    for (size_t i = 0; i < data; i++)
        f->data[54 + i] = (uint8_t)(i * 7);
    f->off = (struct net_offload){.csum = true, .csum_start = 34, .csum_offset = 16, .gso = NET_GSO_TCP4,
                                  .gso_size = mss, .hdr_len = 54};
    return f;
}

static void a_long_segment_is_cut_into_right_ones(void **state)
{
    struct netframe *f = netframe_lower(segment(10000, 1460), 0);
    unsigned n = 0, off = 0;

    (void)state;
    while (f) {
        const uint8_t *ip = f->data + 14, *tcp = ip + 20;
        struct netframe *next = f->next;
        const uint32_t len = f->len - 54;

        assert_int_equal(len, next ? 1460 : 10000 % 1460);
        assert_int_equal(ip[2] << 8 | ip[3], f->len - 14);
        assert_int_equal(sum(ip, 20, 0), 0xffff);
        assert_int_equal(sum(tcp, f->len - 34, sum(ip + 12, 8, 6 + f->len - 34)), 0xffff);
        assert_int_equal(tcp[6] << 8 | tcp[7], 100 + off);
        assert_int_equal(tcp[13], next ? 0x10 : 0x19);
        for (uint32_t i = 0; i < len; i++)
            assert_int_equal(f->data[54 + i], (uint8_t)((off + i) * 7));
        off += len;
        n++;
        netframe_free(f);
        f = next;
    }
    assert_int_equal(n, 7);
    assert_int_equal(off, 10000);
}

static void a_segment_stays_whole_for_who_takes_it(void **state)
{
    struct netframe *f = netframe_lower(segment(10000, 1460), NET_TAKES_CSUM | NET_TAKES_TCP4);

    (void)state;
    assert_int_equal(f->len, 10054);
    assert_true(f->off.csum);
    netframe_free(f);
}

static void a_segment_that_lies_is_dropped(void **state)
{
    struct netframe *f = segment(3000, 1460);

    (void)state;
    f->data[14] = 0x4f; /* header of 60 bytes: then TCP's offset is nonsense */
    f->data[14 + 60 + 12] = 0x10;
    assert_null(netframe_lower(f, 0));
    f = segment(3000, 1460);
    f->data[12] = 0x86; /* not IPv4 */
    assert_null(netframe_lower(f, 0));
    f = segment(3000, 1);
    assert_null(netframe_lower(f, 0));
}

/* ---- DHCP ---- */

static struct netframe *dhcp(uint8_t type, const uint8_t *asked)
{
    struct netframe *f = frame(0, 0xff, 14 + 20 + 8 + 236 + 4 + 3 + 6 + 1);
    uint8_t *b = f->data + 42, *o = b + 240;

    f->data[12] = 8;
    f->data[13] = 0;
    f->data[14] = 0x45;
    f->data[23] = 17;
    f->data[37] = 67;
    b[0] = b[1] = 1;
    b[2] = 6;
    memcpy(b + 4, "abcd", 4);
    memcpy(b + 236, (uint8_t[]){99, 130, 83, 99, 53, 1, type}, 7);
    o += 3;
    if (asked) {
        o[0] = 50;
        o[1] = 4;
        memcpy(o + 2, asked, 4);
        o += 6;
    }
    *o = 255;
    return f;
}

static void dhcp_gives_each_link_its_address(void **state)
{
    static const uint8_t second[4] = {10, 0, 2, 16}, wrong[4] = {10, 0, 2, 99};
    struct net *n = *state;
    struct netframe *f = dhcp(1, NULL);
    uint64_t wait;

    netport_send(n->port[1], &f, &wait);
    f = netport_take(n->port[1], &wait);
    assert_non_null(f);
    assert_memory_equal(f->data + 42 + 16, second, 4);
    assert_memory_equal(f->data + 42 + 4, "abcd", 4);
    assert_int_equal(f->data[42 + 240 + 2], 2); /* OFFER */
    assert_int_equal(sum(f->data + 14, 20, 0), 0xffff);
    netframe_free(f);
    f = dhcp(3, second);
    netport_send(n->port[1], &f, &wait);
    f = netport_take(n->port[1], &wait);
    assert_int_equal(f->data[42 + 240 + 2], 5); /* ACK */
    netframe_free(f);
    f = dhcp(3, wrong);
    netport_send(n->port[1], &f, &wait);
    f = netport_take(n->port[1], &wait);
    assert_int_equal(f->data[42 + 240 + 2], 6); /* NAK */
    netframe_free(f);
    assert_int_equal(take(n, 0), 0); /* nobody else heard of it */
}

/* ---- threads ---- */

struct racer {
    struct net *n;
    unsigned me;
    _Atomic bool *stop;
};

static void *race_send(void *arg)
{
    struct racer *r = arg;

    while (!*r->stop)
        send(r->n, r->me, r->me == 0 ? 2 : 0xff, 1000);
    return NULL;
}

static void *race_take(void *arg)
{
    struct racer *r = arg;

    while (!*r->stop)
        take(r->n, r->me);
    return NULL;
}

static void ports_come_and_go_while_others_send(void **state)
{
    struct net *n = *state;
    uint64_t end_ns = clock_mono_ns() + 30000000000ull; /* the senders may have to wait for a processor */
    _Atomic bool stop = false;
    struct racer r[] = {{n, 0, &stop}, {n, 1, &stop}, {n, 0, &stop}};
    void *(*const fn[])(void *) = {race_send, race_send, race_take};
    pthread_t t[3];

    for (int i = 0; i < 3; i++)
        pthread_create(&t[i], NULL, fn[i], &r[i]);
    for (int i = 0; i < 300 || (!n->end[2].rx && clock_mono_ns() < end_ns); i++) {
        const uint8_t mac[6] = {2, 0, 0, 0, 0, 3};
        const struct netport_user u = {.wake_rx = on_rx, .wake_tx = on_tx, .link = on_link, .opaque = &n->end[2]};
        const struct link_limits l = {.rate_bits = i % 3 ? 0 : 1000000000, .loss_ppm = (uint32_t)i % 1000};

        netport_free(n->port[2]);
        n->port[2] = netport_new(n->sw, "eth0", mac, NULL);
        netport_attach(n->port[2], &u);
        netport_set_up(n->port[1], i % 2);
        netport_set_limits(n->port[0], &l);
        n->now += 1000000;
        take(n, 2);
        if (i % 7 == 0)
            netport_detach(n->port[2]);
    }
    stop = true;
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    assert_true(n->end[2].rx > 0);
}

static void work_at_the_end_of_a_link_is_charged_by_what_it_carried(void **state)
{
    struct net *n = *state;

    send(n, 0, 3, 100);
    take(n, 2); /* before it counts */
    netport_bill(n->port[2], 5000000);
    assert_int_equal(netport_served_ns(n->port[0]), 0);
    for (int i = 0; i < 3; i++)
        send(n, 0, 3, 100);
    send(n, 1, 3, 100);
    while (take(n, 2))
        continue;
    netport_bill(n->port[2], 5000000 + 400);
    assert_int_equal(netport_served_ns(n->port[0]), 300);
    assert_int_equal(netport_served_ns(n->port[1]), 100);
    assert_int_equal(netport_served_ns(n->port[2]), 0);

    send(n, 2, 1, 100); /* the other way; a long frame is more work */
    send(n, 2, 2, 3 * 1500);
    netport_bill(n->port[2], 5000000 + 400 + 500);
    assert_int_equal(netport_served_ns(n->port[0]), 400);
    assert_int_equal(netport_served_ns(n->port[1]), 500);

    netport_bill(n->port[2], 900000000); /* nobody's: an idle network's upkeep is not owed by who comes next */
    assert_int_equal(netport_served_ns(n->port[0]), 400);
    send(n, 2, 1, 100);
    netport_bill(n->port[2], 900000000);
    assert_int_equal(netport_served_ns(n->port[0]), 400 + 1000000);

    send(n, 1, 3, 100);
    take(n, 2);
    netport_free(n->port[1]); /* and who has gone owes nothing */
    n->port[1] = NULL;
    netport_bill(n->port[2], 910000000);
    assert_int_equal(netport_served_ns(n->port[0]), 400 + 1000000);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(switch_sends_a_known_address_to_its_port_only),
        T(switch_sends_broadcasts_to_all_others),
        T(switch_learns_and_forgets_addresses),
        T(switch_keeps_a_nics_own_address_from_others),
        T(switch_bounds_addresses_of_a_flooding_port),
        T(switch_holds_a_fast_sender_back_and_loses_nothing),
        T(switch_drops_for_who_takes_nothing),
        T(switch_serves_senders_in_turn),
        T(link_down_loses_frames_and_tells_its_guest),
        T(link_rate_is_exact_within_3_percent),
        T(link_rate_holds_in_the_receiving_direction),
        T(link_delay_holds_a_frame_for_its_time),
        T(link_loss_is_near_what_was_asked),
        T(a_frame_that_waits_for_room_is_drawn_for_loss_once),
        T(link_capture_is_a_pcap_file_with_an_end),
        T(a_long_segment_is_cut_into_right_ones),
        T(a_segment_stays_whole_for_who_takes_it),
        T(a_segment_that_lies_is_dropped),
        T(dhcp_gives_each_link_its_address),
        T(work_at_the_end_of_a_link_is_charged_by_what_it_carried),
        T(ports_come_and_go_while_others_send),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
