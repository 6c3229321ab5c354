/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * netport: links come, go and change while others send. See netswitch.h.
 */
#include "core/netswitch_internal.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DHCP_FIRST = 15 }; /* host part of the first guest's address */

void netport_attach(struct netport *p, const struct netport_user *u)
{
    pthread_mutex_lock(&p->sw->lock);
    p->user = *u;
    p->attached = true;
    p->asked_ns = netswitch_now_ns(p->sw);
    pthread_mutex_unlock(&p->sw->lock);
}

void netport_detach(struct netport *p)
{
    pthread_mutex_lock(&p->sw->lock);
    p->attached = false;
    netport_clear_locked(p);
    netswitch_unlock(p->sw);
    while (p->calls)
        sched_yield();
    while (p->lowered) {
        struct netframe *f = p->lowered;

        p->lowered = f->next;
        netframe_free(f);
    }
    p->takes = 0;
}

void netport_set_takes(struct netport *p, unsigned takes)
{
    p->takes = takes;
}

static uint64_t seed_of(const struct netport *p)
{
    uint64_t h = 0x9e3779b97f4a7c15ull;

    for (int i = 0; i < 6; i++)
        h = (h ^ p->mac[i]) * 0x100000001b3ull;
    return h | 1;
}

static void port_join(struct netport *p, unsigned index)
{
    struct netswitch *s = p->sw;
    const uint32_t host = DHCP_FIRST + index;

    p->index = index;
    s->port[index] = p;
    if (index >= s->nports)
        s->nports = index + 1;
    netmac_own(p);
    if (p->has_mac && s->subnet.bits && host < (1u << (32 - s->subnet.bits)) - 1)
        p->ip = s->subnet.base + host;
}

struct netport *netport_new(struct netswitch *s, const char *name, const uint8_t mac[6], struct err *e)
{
    static const uint8_t none[6];
    struct netport *p = calloc(1, sizeof *p);
    unsigned i = 0;

    if (!p) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    p->sw = s;
    p->up = true;
    p->active_last = &p->active;
    p->has_mac = memcmp(mac, none, 6) != 0;
    memcpy(p->mac, mac, 6);
    p->random = seed_of(p);
    snprintf(p->name, sizeof p->name, "%s", name);
    pthread_mutex_init(&p->capture_lock, NULL);
    pthread_mutex_lock(&s->lock);
    while (i < NETSWITCH_PORTS_MAX && s->port[i])
        i++;
    if (!p->has_mac) /* at the end: guests are numbered from the first on */
        for (i = NETSWITCH_PORTS_MAX - 1; i > 0 && s->port[i]; i--)
            continue;
    if (i < NETSWITCH_PORTS_MAX && !s->port[i])
        port_join(p, i);
    pthread_mutex_unlock(&s->lock);
    if (p->sw->port[i < NETSWITCH_PORTS_MAX ? i : 0] == p)
        return p;
    err_set(e, ENOSPC, "network %s has %d links already", s->name, NETSWITCH_PORTS_MAX);
    pthread_mutex_destroy(&p->capture_lock);
    free(p);
    return NULL;
}

void netport_free(struct netport *p)
{
    struct netswitch *s;

    if (!p)
        return;
    s = p->sw;
    netport_detach(p);
    pthread_mutex_lock(&s->lock);
    s->port[p->index] = NULL;
    netmac_forget(p);
    for (unsigned i = 0; i < NETSWITCH_PORTS_MAX; i++) {
        free(p->queue[i]);
        if (s->port[i] && s->port[i]->carried)
            s->port[i]->carried[p->index] = 0; /* the next at this place owes nothing */
    }
    free(p->carried);
    pthread_mutex_unlock(&s->lock);
    netpcap_free(p->capture);
    pthread_mutex_destroy(&p->capture_lock);
    free(p);
}

const uint8_t *netport_mac(const struct netport *p)
{
    return p->mac;
}

const char *netport_name(const struct netport *p)
{
    return p->name;
}

bool netport_up(const struct netport *p)
{
    return p->up;
}

bool netport_capturing(const struct netport *p)
{
    return p->capturing;
}

uint32_t netport_ip(const struct netport *p)
{
    return p->ip;
}

struct netswitch *netport_switch(struct netport *p)
{
    return p->sw;
}

void netport_get_limits(struct netport *p, struct link_limits *l)
{
    pthread_mutex_lock(&p->sw->lock);
    *l = p->limits;
    pthread_mutex_unlock(&p->sw->lock);
}

/* What was owed under the old limits is forgiven. */
void netport_set_limits(struct netport *p, const struct link_limits *l)
{
    pthread_mutex_lock(&p->sw->lock);
    p->limits = *l;
    p->tx_free_ns = p->rx_free_ns = netswitch_now_ns(p->sw);
    if (p->attached) {
        p->user.wake_rx(p->user.opaque);
        p->user.wake_tx(p->user.opaque);
    }
    pthread_mutex_unlock(&p->sw->lock);
}

void netport_set_up(struct netport *p, bool up)
{
    pthread_mutex_lock(&p->sw->lock);
    if (p->up != up) {
        p->up = up;
        if (!up)
            netport_clear_locked(p);
        if (p->attached && p->user.link)
            p->user.link(p->user.opaque, up);
    }
    netswitch_unlock(p->sw);
}

void netport_stats(struct netport *p, struct net_stats *out)
{
    struct link_limits l;

    netport_get_limits(p, &l);
    *out = (struct net_stats){
        .name = p->name, .network = p->sw->name, .ip = p->ip, .up = p->up, .capturing = p->capturing,
        .rx_bytes = p->rx_bytes, .tx_bytes = p->tx_bytes, .rx_pkts = p->rx_pkts, .tx_pkts = p->tx_pkts,
        .rx_drops = p->rx_drops, .tx_drops = p->tx_drops,
        .rate_bits = l.rate_bits, .delay_ns = l.delay_ns, .loss_ppm = l.loss_ppm,
    };
    memcpy(out->mac, p->mac, 6);
}

/* Upkeep without a frame waits for who comes next, but no more than this: an idle network is nobody's. */
#define UNBILLED_MAX_NS NS_PER_MS

static void bill_locked(struct netport *p, uint64_t ns)
{
    struct netswitch *s = p->sw;
    uint64_t all = 0;

    for (unsigned i = 0; i < s->nports; i++)
        all += p->carried[i];
    if (all == 0) {
        p->unbilled_ns = p->unbilled_ns + ns < UNBILLED_MAX_NS ? p->unbilled_ns + ns : UNBILLED_MAX_NS;
        return;
    }
    ns += p->unbilled_ns;
    p->unbilled_ns = 0;
    for (unsigned i = 0; i < s->nports; i++) {
        if (p->carried[i] && s->port[i])
            net_count(&s->port[i]->served_ns, (uint64_t)((double)ns * p->carried[i] / (double)all));
        p->carried[i] = 0;
    }
}

void netport_bill(struct netport *p, uint64_t cpu_ns)
{
    pthread_mutex_lock(&p->sw->lock);
    if (p->carried)
        bill_locked(p, cpu_ns - p->billed_ns);
    else
        p->carried = calloc(NETSWITCH_PORTS_MAX, sizeof *p->carried);
    p->billed_ns = cpu_ns;
    pthread_mutex_unlock(&p->sw->lock);
}

uint64_t netport_served_ns(struct netport *p)
{
    return p->served_ns;
}

bool netport_capture_over(struct netport *p)
{
    return p->capture_over && atomic_exchange(&p->capture_over, false);
}

int netport_capture(struct netport *p, const char *path, uint64_t max_bytes, struct err *e)
{
    struct netpcap *old, *c = path ? netpcap_new(path, max_bytes, e) : NULL;

    if (path && !c)
        return -EIO;
    pthread_mutex_lock(&p->capture_lock);
    old = p->capture;
    p->capture = c;
    p->capturing = c != NULL;
    p->capture_over = false;
    pthread_mutex_unlock(&p->capture_lock);
    netpcap_free(old);
    return 0;
}

