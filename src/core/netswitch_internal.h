/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * netswitch_internal: what a switch's parts share; only they include it.
 *
 * netswitch.c  from a sender to a receiver: links, queues, turns
 * netmac.c     which address is where
 * netport.c    links come, go and change
 */
#ifndef RUCHE_CORE_NETSWITCH_INTERNAL_H
#define RUCHE_CORE_NETSWITCH_INTERNAL_H

#include "core/clock.h"
#include "core/netpcap.h"
#include "core/netswitch.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    NET_HASH_BUCKETS = 512,
    QUEUE_BYTES = 1 << 20,       /* of one queue; with a delay, frames on their way come on top */
    QUEUE_DELAY_BYTES = 8 << 20,
    QUEUE_FRAMES = 1024,
};

struct queue { /* frames from one port to another */
    struct netframe *first, **last;
    uint32_t bytes, frames;
    bool sender_waits, active;
    unsigned from;
    struct queue *next_active;
};

struct mac_entry {
    uint8_t mac[6];
    bool used;
    uint64_t seen_ns;
    struct netport *port;
    struct mac_entry *next;
};

struct netport {
    struct netswitch *sw;
    unsigned index;
    char name[16];
    uint8_t mac[6];
    bool has_mac;
    uint32_t ip;
    _Atomic bool up;
    _Atomic unsigned takes;

    /* sw->lock */
    struct netport_user user;
    bool attached, rx_told;
    _Atomic unsigned calls; /* who counts here calls `user` without the lock; netport_detach waits for 0 */
    struct mac_entry own, learnt[NETPORT_MACS];
    struct queue *queue[NETSWITCH_PORTS_MAX]; /* by sender; made at its first frame */
    struct queue *active, **active_last;
    uint64_t asked_ns, held_until_ns; /* when it last took, or may again */
    struct link_limits limits;
    uint64_t tx_free_ns, rx_free_ns;
    uint64_t random;

    struct netframe *lowered; /* the taker's */

    /* Of a port whose end works for the others (netport_bill): what it carried for each since the last bill, and
     * time without a frame. sw->lock */
    uint32_t *carried;
    uint64_t billed_ns, unbilled_ns;
    _Atomic uint64_t served_ns; /* of a guest's port: what others have worked for it */

    pthread_mutex_t capture_lock;
    struct netpcap *capture;
    _Atomic bool capturing, capture_over; /* the second: by itself, nobody was told yet */

    _Atomic uint64_t rx_bytes, tx_bytes, rx_pkts, tx_pkts, rx_drops, tx_drops;
};

struct netswitch {
    char name[32];
    struct net_subnet subnet;
    struct net_clock clock;
    pthread_mutex_t lock;
    struct netport *port[NETSWITCH_PORTS_MAX];
    struct mac_entry *hash[NET_HASH_BUCKETS];
    /* Who is woken when the lock is free: before, it would run at once, only to wait for that. NULL: nobody */
    struct netport *woken;
    void (*wake)(void *opaque);
    unsigned nports; /* highest index in use + 1 */
};

static inline uint64_t netswitch_now_ns(const struct netswitch *s)
{
    return s->clock.now_ns ? s->clock.now_ns(s->clock.opaque) : clock_mono_ns();
}

static inline void net_count(_Atomic uint64_t *what, uint64_t n)
{
    atomic_fetch_add_explicit(what, n, memory_order_relaxed);
}

/* netmac.c; all with the lock held. */
void netmac_own(struct netport *p);                                                  /* p->mac is p's */
void netmac_forget(struct netport *p);                                               /* all that was at p */
void netmac_learn(struct netport *p, const uint8_t mac[6], uint64_t now);            /* `mac` sends at p */
struct netport *netmac_lookup(struct netswitch *s, const uint8_t mac[6], uint64_t now); /* NULL: unknown, or for all */

/* netswitch.c; lock held. */
void netport_clear_locked(struct netport *p);
void netswitch_unlock(struct netswitch *s); /* after anything that may wake somebody */

#endif
