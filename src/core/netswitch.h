/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * netswitch: a lab's network: a layer-2 switch in the process, and the links to it.
 *
 *   guest's NIC -- netport_send --> [link: up, loss, rate] -- switch --> a queue per (to, from)
 *   guest's NIC <- netport_take --  [link: up, loss, rate, delay] <------'
 *
 * A port has one queue for each port that sends to it; they are served in turn, so one that
 * floods delays its own frames only. A full queue holds its sender back (nothing is lost between
 * two guests that both run), but not on account of a receiver that does not take anything: then
 * frames are dropped and counted. Broadcasts never hold back. Everything is bounded. Addresses
 * are learnt (at most NETPORT_MACS a port, the oldest forgotten, all after five minutes); that of
 * a NIC itself is fixed, so that no other guest can take it over.
 *
 * Threads: ports come and go on main. One thread at a time sends, one takes (a NIC's loop).
 * Link settings and figures: any thread. Locks: a device's io_lock > the switch's lock > a virtio
 * device's `lock`. The user's functions are called with the switch's lock held, or just after.
 */
#ifndef RUCHE_CORE_NETSWITCH_H
#define RUCHE_CORE_NETSWITCH_H

#include "core/board.h"
#include "core/err.h"
#include "core/netframe.h"
#include "core/netlimits.h"

struct netport;
struct netswitch;

enum { NETSWITCH_PORTS_MAX = 300, NETPORT_MACS = 16 };

struct net_clock { /* CLOCK_MONOTONIC if `now` is NULL */
    uint64_t (*now_ns)(void *opaque);
    void *opaque;
};

/* `base`/`bits`: the IPv4 subnet in which the switch answers DHCP requests of guests; host order. `gateway`
 * and `dns` 0: not told. bits 0: no DHCP. */
struct net_subnet {
    uint32_t base, gateway, dns;
    unsigned bits;
};

struct netswitch *netswitch_new(const char *name, const struct net_subnet *subnet,
                                const struct net_clock *clock, struct err *e);
void netswitch_free(struct netswitch *s); /* no ports any more */
const char *netswitch_name(const struct netswitch *s);
const struct net_subnet *netswitch_subnet(const struct netswitch *s);

/* Who is at the end of a link. */
struct netport_user {
    void (*wake_rx)(void *opaque);         /* there may be something to take */
    void (*wake_tx)(void *opaque);         /* what was refused may be sent again */
    void (*link)(void *opaque, bool up);   /* may be NULL */
    void *opaque;
};

/* A link that is up; nobody at its end yet. `name` "eth0"; `mac` all zero: none of its own (NAT). */
struct netport *netport_new(struct netswitch *s, const char *name, const uint8_t mac[6], struct err *e);
void netport_free(struct netport *p); /* NULL is legal */

void netport_attach(struct netport *p, const struct netport_user *u);
void netport_detach(struct netport *p); /* no call any more after this; what waits for it is gone */
void netport_set_takes(struct netport *p, unsigned takes);

/* Takes *f (then NULL) or says -EAGAIN: wake_tx follows, or *wait_ns is how long to wait (0: only
 * the call). */
int netport_send(struct netport *p, struct netframe **f, uint64_t *wait_ns);

/* The next frame; NULL: none now, wake_rx follows, or look again after *wait_ns (0: only the call). */
struct netframe *netport_take(struct netport *p, uint64_t *wait_ns);

/* The thread at the end of `p` (a NAT's, a TAP's) has used `cpu_ns` of CPU time in all. What came to it since it said so
 * last is charged to the links that it exchanged frames with since then, by what was carried for each. The first call
 * begins it. */
void netport_bill(struct netport *p, uint64_t cpu_ns);

/* CPU time that was charged to this link. Never falls. */
uint64_t netport_served_ns(struct netport *p);

const uint8_t *netport_mac(const struct netport *p);
const char *netport_name(const struct netport *p);
bool netport_up(const struct netport *p);
struct netswitch *netport_switch(struct netport *p);

/* The address that DHCP gives to it, host order. 0: none. */
uint32_t netport_ip(const struct netport *p);

/* Hot settings of a link. */
void netport_get_limits(struct netport *p, struct link_limits *l);
void netport_set_limits(struct netport *p, const struct link_limits *l);
void netport_set_up(struct netport *p, bool up);
void netport_stats(struct netport *p, struct net_stats *out);

/* Copies every frame of the link into `path` until stopped (path NULL) or `max_bytes`. */
int netport_capture(struct netport *p, const char *path, uint64_t max_bytes, struct err *e);
bool netport_capturing(const struct netport *p);
bool netport_capture_over(struct netport *p); /* it has ended by itself since this was asked */

#endif
