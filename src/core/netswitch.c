/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * netswitch: see netswitch.h. One lock a switch, held for look-ups and list operations; frames
 * are copied, cut, summed and captured outside it.
 */
#include "core/netswitch.h"

#include "core/clock.h"
#include "core/netdhcp.h"
#include "core/netpcap.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HASH_BUCKETS = 512,
    QUEUE_BYTES = 1 << 20,       /* of one queue; with a delay, frames on their way come on top */
    QUEUE_DELAY_BYTES = 8 << 20,
    QUEUE_FRAMES = 1024,
    DHCP_FIRST = 15,             /* host part of the first guest's address */
};

#define AGE_NS (300 * NS_PER_S)
#define STALL_NS (50 * NS_PER_MS) /* who takes nothing for so long loses frames */
#define RETRY_NS (20 * NS_PER_MS)
#define BURST_NS (5 * NS_PER_MS)  /* what an idle link may save up of its rate */

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
    struct mac_entry own, learnt[NETPORT_MACS];
    struct queue *queue[NETSWITCH_PORTS_MAX]; /* by sender; made at its first frame */
    struct queue *active, **active_last;
    uint64_t asked_ns, held_until_ns; /* when it last took, or may again */
    struct link_limits limits;
    uint64_t tx_free_ns, rx_free_ns;
    uint64_t random;

    struct netframe *lowered; /* the taker's */

    pthread_mutex_t capture_lock;
    struct netpcap *capture;
    _Atomic bool capturing;

    _Atomic uint64_t rx_bytes, tx_bytes, rx_pkts, tx_pkts, rx_drops, tx_drops;
};

struct netswitch {
    char name[32];
    struct net_subnet subnet;
    struct net_clock clock;
    pthread_mutex_t lock;
    struct netport *port[NETSWITCH_PORTS_MAX];
    struct mac_entry *hash[HASH_BUCKETS];
    unsigned nports; /* highest index in use + 1 */
};

static uint64_t now_ns(const struct netswitch *s)
{
    return s->clock.now_ns ? s->clock.now_ns(s->clock.opaque) : clock_mono_ns();
}

static void count(_Atomic uint64_t *what, uint64_t n)
{
    atomic_fetch_add_explicit(what, n, memory_order_relaxed);
}

/* ---- addresses ---- */

static unsigned mac_hash(const uint8_t mac[6])
{
    uint32_t h = 2166136261u;

    for (int i = 0; i < 6; i++)
        h = (h ^ mac[i]) * 16777619u;
    return (h ^ h >> 16) % HASH_BUCKETS;
}

static struct mac_entry *mac_find(struct netswitch *s, const uint8_t mac[6])
{
    struct mac_entry *m = s->hash[mac_hash(mac)];

    while (m && memcmp(m->mac, mac, 6) != 0)
        m = m->next;
    return m;
}

static void mac_unlink(struct netswitch *s, struct mac_entry *m)
{
    struct mac_entry **p = &s->hash[mac_hash(m->mac)];

    if (!m->used)
        return;
    while (*p && *p != m)
        p = &(*p)->next;
    if (*p)
        *p = m->next;
    m->used = false;
}

static void mac_link(struct netswitch *s, struct mac_entry *m, const uint8_t mac[6], struct netport *p,
                     uint64_t now)
{
    struct mac_entry **head = &s->hash[mac_hash(mac)];

    *m = (struct mac_entry){.used = true, .seen_ns = now, .port = p, .next = *head};
    memcpy(m->mac, mac, 6);
    *head = m;
}

/* `mac` sends at `p`. A NIC's own address stays where it is. */
static void learn(struct netport *p, const uint8_t mac[6], uint64_t now)
{
    struct mac_entry *m = mac_find(p->sw, mac), *oldest = &p->learnt[0];

    if ((mac[0] & 1) || (m && m == &m->port->own))
        return;
    if (m && m->port == p) {
        m->seen_ns = now;
        return;
    }
    if (m)
        mac_unlink(p->sw, m);
    for (unsigned i = 0; i < NETPORT_MACS && oldest->used; i++)
        if (!p->learnt[i].used || p->learnt[i].seen_ns < oldest->seen_ns)
            oldest = &p->learnt[i];
    mac_unlink(p->sw, oldest);
    mac_link(p->sw, oldest, mac, p, now);
}

/* Where `mac` is; NULL: not known, or for all. */
static struct netport *lookup(struct netswitch *s, const uint8_t mac[6], uint64_t now)
{
    struct mac_entry *m = mac[0] & 1 ? NULL : mac_find(s, mac);

    if (m && m != &m->port->own && now - m->seen_ns > AGE_NS) {
        mac_unlink(s, m);
        return NULL;
    }
    return m ? m->port : NULL;
}

/* ---- links ---- */

static bool lost(struct netport *p)
{
    if (!p->limits.loss_ppm)
        return false;
    p->random ^= p->random << 13;
    p->random ^= p->random >> 7;
    p->random ^= p->random << 17;
    return (p->random >> 16) % 1000000 < p->limits.loss_ppm;
}

/* How long until the next frame may pass; 0: now. */
static uint64_t rate_wait(const struct netport *p, uint64_t free_ns, uint64_t now)
{
    return p->limits.rate_bits && free_ns > now ? free_ns - now : 0;
}

/* The next frame may pass when this one has been paid for; an idle link saves up a little. */
static void rate_charge(const struct netport *p, uint64_t *free_ns, uint32_t bytes, uint64_t now)
{
    if (!p->limits.rate_bits)
        return;
    if (now > BURST_NS && *free_ns < now - BURST_NS)
        *free_ns = now - BURST_NS;
    *free_ns += (uint64_t)((unsigned __int128)bytes * 8 * NS_PER_S / p->limits.rate_bits);
}

/* ---- queues ---- */

static struct queue *queue_get(struct netport *to, const struct netport *from)
{
    struct queue **q = &to->queue[from->index];

    if (!*q) {
        *q = calloc(1, sizeof **q);
        if (!*q)
            return NULL;
        (*q)->last = &(*q)->first;
        (*q)->from = from->index;
    }
    return *q;
}

static bool queue_full(const struct netport *to, const struct netport *from, const struct queue *q, uint32_t len)
{
    const bool delayed = to->limits.delay_ns || from->limits.delay_ns;
    const uint32_t room = delayed ? QUEUE_DELAY_BYTES : QUEUE_BYTES;

    return q->frames && (q->bytes + len > room || q->frames >= (delayed ? 8 * QUEUE_FRAMES : QUEUE_FRAMES));
}

static void activate(struct netport *p, struct queue *q)
{
    if (q->active)
        return;
    q->active = true;
    q->next_active = NULL;
    *p->active_last = q;
    p->active_last = &q->next_active;
}

static void wake_rx(struct netport *p)
{
    if (p->attached && !p->rx_told) {
        p->rx_told = true;
        p->user.wake_rx(p->user.opaque);
    }
}

static void enqueue(struct netport *to, struct netport *from, struct queue *q, struct netframe *f, uint64_t now)
{
    f->due_ns = now + to->limits.delay_ns + from->limits.delay_ns;
    f->next = NULL;
    *q->last = f;
    q->last = &f->next;
    q->bytes += f->len;
    q->frames++;
    activate(to, q);
    wake_rx(to);
}

static struct netframe *dequeue(struct queue *q)
{
    struct netframe *f = q->first;

    q->first = f->next;
    if (!q->first)
        q->last = &q->first;
    q->bytes -= f->len;
    q->frames--;
    f->next = NULL;
    return f;
}

/* There is room again for who was refused. */
static void release_sender(struct netswitch *s, struct queue *q)
{
    struct netport *from = s->port[q->from];

    if (!q->sender_waits || q->bytes > QUEUE_BYTES / 2 || q->frames > QUEUE_FRAMES / 2)
        return;
    q->sender_waits = false;
    if (from && from->attached)
        from->user.wake_tx(from->user.opaque);
}

static void queue_clear(struct netswitch *s, struct queue *q)
{
    while (q->first)
        netframe_free(dequeue(q));
    release_sender(s, q);
}

static void port_clear(struct netport *p)
{
    for (unsigned i = 0; i < NETSWITCH_PORTS_MAX; i++) {
        if (p->queue[i]) {
            queue_clear(p->sw, p->queue[i]);
            p->queue[i]->active = false;
        }
    }
    p->active = NULL;
    p->active_last = &p->active;
    p->rx_told = false;
}

static bool takes_nothing(const struct netport *p, uint64_t now)
{
    const uint64_t last = p->asked_ns > p->held_until_ns ? p->asked_ns : p->held_until_ns;

    return now > last + STALL_NS;
}

/* ---- sending ---- */

static void drop_rx(struct netport *to, struct netframe *f)
{
    count(&to->rx_drops, 1);
    netframe_free(f);
}

/* 0, or -EAGAIN if `f` is kept by the caller. */
static int deliver(struct netport *to, struct netport *from, struct netframe *f, uint64_t now, bool may_wait)
{
    struct queue *q;

    if (!to->attached || !to->up || lost(to) || !(q = queue_get(to, from))) {
        drop_rx(to, f);
        return 0;
    }
    if (queue_full(to, from, q, f->len)) {
        wake_rx(to);
        if (may_wait && !takes_nothing(to, now)) {
            q->sender_waits = true;
            return -EAGAIN;
        }
        drop_rx(to, f);
        return 0;
    }
    if (!q->frames && !to->active)
        to->asked_ns = now; /* it had nothing to take until now */
    enqueue(to, from, q, f, now);
    return 0;
}

static void flood(struct netport *from, struct netframe *f, uint64_t now)
{
    struct netswitch *s = from->sw;

    for (unsigned i = 0; i < s->nports; i++) {
        struct netframe *d;

        if (!s->port[i] || s->port[i] == from || !s->port[i]->attached)
            continue;
        d = netframe_dup(f);
        if (d)
            deliver(s->port[i], from, d, now, false);
    }
    netframe_free(f);
}

/* DHCP: the switch answers on the link that asked. */
static bool answer_dhcp(struct netport *p, struct netframe *f, uint64_t now)
{
    struct netframe *a;

    if (!p->ip || !netdhcp_is_request(f))
        return false;
    a = netdhcp_answer(f, &p->sw->subnet, p->ip);
    netframe_free(f);
    if (a)
        deliver(p, p, a, now, false);
    return true;
}

static int forward(struct netport *p, struct netframe *f, uint64_t now)
{
    struct netport *to;

    learn(p, f->data + 6, now);
    if (answer_dhcp(p, f, now))
        return 0;
    to = lookup(p->sw, f->data, now);
    if (to == p) {
        netframe_free(f);
        return 0;
    }
    if (to)
        return deliver(to, p, f, now, true);
    flood(p, f, now);
    return 0;
}

static int send_locked(struct netport *p, struct netframe *f, uint64_t *wait_ns)
{
    const uint64_t now = now_ns(p->sw), tx_free = p->tx_free_ns;
    const uint32_t len = f->len;
    int rc = 0;

    *wait_ns = rate_wait(p, p->tx_free_ns, now);
    if (*wait_ns)
        return -EAGAIN;
    rate_charge(p, &p->tx_free_ns, len, now);
    if (!p->up || lost(p)) {
        count(&p->tx_drops, 1);
        netframe_free(f);
        return 0;
    }
    rc = forward(p, f, now);
    if (rc < 0) {
        p->tx_free_ns = tx_free;
        *wait_ns = RETRY_NS;
        return rc;
    }
    count(&p->tx_pkts, 1);
    count(&p->tx_bytes, len);
    return 0;
}

static void capture(struct netport *p, struct netframe *f)
{
    pthread_mutex_lock(&p->capture_lock);
    if (p->capture)
        netpcap_write(p->capture, f);
    pthread_mutex_unlock(&p->capture_lock);
}

int netport_send(struct netport *p, struct netframe **f, uint64_t *wait_ns)
{
    int rc;

    *wait_ns = 0;
    if ((*f)->len < NETFRAME_MIN || !netframe_offload_ok(*f)) {
        count(&p->tx_drops, 1);
        netframe_free(*f);
        *f = NULL;
        return 0;
    }
    if (p->capturing && !(*f)->captured) {
        (*f)->captured = true; /* by the sender; a frame that waits is written once */
        capture(p, *f);
    }
    pthread_mutex_lock(&p->sw->lock);
    rc = send_locked(p, *f, wait_ns);
    pthread_mutex_unlock(&p->sw->lock);
    if (rc == 0)
        *f = NULL;
    return rc;
}

/* ---- taking ---- */

/* The next frame that is due, from the queue whose turn it is; `*due` is when there will be one. */
static struct netframe *take_due(struct netport *p, uint64_t now, uint64_t *due)
{
    struct queue **at = &p->active, *q;
    struct netframe *f;

    *due = UINT64_MAX;
    for (; (q = *at) != NULL; at = &q->next_active) {
        if (q->first->due_ns > now) {
            if (q->first->due_ns < *due)
                *due = q->first->due_ns;
            continue;
        }
        *at = q->next_active;
        if (p->active_last == &q->next_active)
            p->active_last = at;
        q->active = false;
        f = dequeue(q);
        release_sender(p->sw, q);
        if (q->first)
            activate(p, q); /* at the end of the row */
        return f;
    }
    return NULL;
}

static struct netframe *take_locked(struct netport *p, uint64_t *wait_ns)
{
    const uint64_t now = now_ns(p->sw);
    struct netframe *f = NULL;
    uint64_t due;

    p->asked_ns = now;
    *wait_ns = p->active ? rate_wait(p, p->rx_free_ns, now) : 0;
    if (*wait_ns == 0) {
        f = take_due(p, now, &due);
        if (f)
            rate_charge(p, &p->rx_free_ns, f->len, now);
        else if (due != UINT64_MAX)
            *wait_ns = due - now;
    }
    if (*wait_ns)
        p->held_until_ns = now + *wait_ns;
    p->rx_told = p->active != NULL; /* it comes back by itself, or after *wait_ns */
    return f;
}

struct netframe *netport_take(struct netport *p, uint64_t *wait_ns)
{
    struct netframe *f;

    *wait_ns = 0;
    while (!p->lowered) {
        pthread_mutex_lock(&p->sw->lock);
        f = take_locked(p, wait_ns);
        pthread_mutex_unlock(&p->sw->lock);
        if (!f)
            return NULL;
        if (p->capturing)
            capture(p, f);
        p->lowered = netframe_lower(f, p->takes);
        if (!p->lowered)
            count(&p->rx_drops, 1);
    }
    f = p->lowered;
    p->lowered = f->next;
    f->next = NULL;
    count(&p->rx_pkts, 1);
    count(&p->rx_bytes, f->len);
    return f;
}

/* ---- ports ---- */

void netport_attach(struct netport *p, const struct netport_user *u)
{
    pthread_mutex_lock(&p->sw->lock);
    p->user = *u;
    p->attached = true;
    p->asked_ns = now_ns(p->sw);
    pthread_mutex_unlock(&p->sw->lock);
}

void netport_detach(struct netport *p)
{
    pthread_mutex_lock(&p->sw->lock);
    p->attached = false;
    port_clear(p);
    pthread_mutex_unlock(&p->sw->lock);
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
    if (p->has_mac && !mac_find(s, p->mac))
        mac_link(s, &p->own, p->mac, p, 0);
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
    mac_unlink(s, &p->own);
    for (unsigned i = 0; i < NETPORT_MACS; i++)
        mac_unlink(s, &p->learnt[i]);
    for (unsigned i = 0; i < NETSWITCH_PORTS_MAX; i++)
        free(p->queue[i]);
    pthread_mutex_unlock(&s->lock);
    netpcap_free(p->capture);
    pthread_mutex_destroy(&p->capture_lock);
    free(p);
}

const uint8_t *netport_mac(const struct netport *p)
{
    return p->mac;
}

bool netport_up(const struct netport *p)
{
    return p->up;
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
    p->tx_free_ns = p->rx_free_ns = now_ns(p->sw);
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
            port_clear(p);
        if (p->attached && p->user.link)
            p->user.link(p->user.opaque, up);
    }
    pthread_mutex_unlock(&p->sw->lock);
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

int netport_capture(struct netport *p, const char *path, uint64_t max_bytes, struct err *e)
{
    struct netpcap *old, *c = path ? netpcap_new(path, max_bytes, e) : NULL;

    if (path && !c)
        return -EIO;
    pthread_mutex_lock(&p->capture_lock);
    old = p->capture;
    p->capture = c;
    p->capturing = c != NULL;
    pthread_mutex_unlock(&p->capture_lock);
    netpcap_free(old);
    return 0;
}

/* ---- the switch ---- */

struct netswitch *netswitch_new(const char *name, const struct net_subnet *subnet,
                                const struct net_clock *clock, struct err *e)
{
    struct netswitch *s = calloc(1, sizeof *s);

    if (!s) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    snprintf(s->name, sizeof s->name, "%s", name);
    if (subnet)
        s->subnet = *subnet;
    if (clock)
        s->clock = *clock;
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void netswitch_free(struct netswitch *s)
{
    if (!s)
        return;
    pthread_mutex_destroy(&s->lock);
    free(s);
}

const char *netswitch_name(const struct netswitch *s)
{
    return s->name;
}

const struct net_subnet *netswitch_subnet(const struct netswitch *s)
{
    return &s->subnet;
}
