/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * netswitch: see netswitch.h. One lock a switch, held for look-ups and list operations; frames
 * are copied in and out, cut, summed and captured outside it.
 */
#include "core/netswitch_internal.h"

#include "core/netdhcp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STALL_NS (50 * NS_PER_MS) /* who takes nothing for so long loses frames */
#define RETRY_NS (20 * NS_PER_MS)
#define BURST_NS (5 * NS_PER_MS)  /* what an idle link may save up of its rate */

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

/* By netswitch_unlock, or at once if that has somebody already. */
static void wake(struct netport *p, void (*how)(void *opaque))
{
    struct netswitch *s = p->sw;

    if (s->woken) {
        how(p->user.opaque);
        return;
    }
    s->woken = p;
    s->wake = how;
    p->calls++;
}

void netswitch_unlock(struct netswitch *s)
{
    struct netport *p = s->woken;
    void (*how)(void *opaque) = s->wake;

    s->woken = NULL;
    pthread_mutex_unlock(&s->lock);
    if (p) {
        how(p->user.opaque);
        p->calls--;
    }
}

static void wake_rx(struct netport *p)
{
    if (p->attached && (!p->rx_told || p->calls)) { /* who is about to tell it may be late */
        p->rx_told = true;
        wake(p, p->user.wake_rx);
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
        wake(from, from->user.wake_tx);
}

static void queue_clear(struct netswitch *s, struct queue *q)
{
    while (q->first)
        netframe_free(dequeue(q));
    release_sender(s, q);
}

void netport_clear_locked(struct netport *p)
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
    net_count(&to->rx_drops, 1);
    netframe_free(f);
}

/* Work grows with the frames, and with what is cut out of a long one. */
static void carry(struct netport *p, unsigned other, uint32_t len)
{
    if (p->carried)
        p->carried[other] += 1 + len / 1500;
}

/* 0, or -EAGAIN if `f` is kept by the caller. */
static int deliver(struct netport *to, struct netport *from, struct netframe *f, uint64_t now, bool may_wait)
{
    const uint32_t len = f->len;
    struct queue *q;

    if (!to->attached || !to->up || (!f->not_lost && lost(to)) || !(q = queue_get(to, from))) {
        drop_rx(to, f);
        carry(from, to->index, len);
        return 0;
    }
    if (queue_full(to, from, q, len)) {
        wake_rx(to);
        if (may_wait && !takes_nothing(to, now)) {
            q->sender_waits = true;
            return -EAGAIN;
        }
        drop_rx(to, f);
        carry(from, to->index, len);
        return 0;
    }
    if (!q->frames && !to->active)
        to->asked_ns = now; /* it had nothing to take until now */
    enqueue(to, from, q, f, now);
    carry(from, to->index, len);
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

    netmac_learn(p, f->data + 6, now);
    if (answer_dhcp(p, f, now))
        return 0;
    to = netmac_lookup(p->sw, f->data, now);
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
    const uint64_t now = netswitch_now_ns(p->sw), tx_free = p->tx_free_ns;
    const uint32_t len = f->len;
    int rc = 0;

    *wait_ns = rate_wait(p, p->tx_free_ns, now);
    if (*wait_ns)
        return -EAGAIN;
    rate_charge(p, &p->tx_free_ns, len, now);
    if (!p->up || (!f->not_lost && lost(p))) {
        net_count(&p->tx_drops, 1);
        netframe_free(f);
        return 0;
    }
    rc = forward(p, f, now);
    if (rc < 0) {
        f->not_lost = true;
        p->tx_free_ns = tx_free;
        *wait_ns = RETRY_NS;
        return rc;
    }
    net_count(&p->tx_pkts, 1);
    net_count(&p->tx_bytes, len);
    return 0;
}

static void capture(struct netport *p, struct netframe *f)
{
    pthread_mutex_lock(&p->capture_lock);
    if (p->capture && p->capturing && !netpcap_write(p->capture, f)) {
        p->capturing = false;
        p->capture_over = true;
    }
    pthread_mutex_unlock(&p->capture_lock);
}

int netport_send(struct netport *p, struct netframe **f, uint64_t *wait_ns)
{
    int rc;

    *wait_ns = 0;
    if ((*f)->len < NETFRAME_MIN || !netframe_offload_ok(*f)) {
        net_count(&p->tx_drops, 1);
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
    netswitch_unlock(p->sw);
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
        carry(p, q->from, f->len);
        release_sender(p->sw, q);
        if (q->first)
            activate(p, q); /* at the end of the row */
        return f;
    }
    return NULL;
}

static struct netframe *take_locked(struct netport *p, uint64_t *wait_ns)
{
    const uint64_t now = netswitch_now_ns(p->sw);
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
        netswitch_unlock(p->sw);
        if (!f)
            return NULL;
        if (p->capturing)
            capture(p, f);
        p->lowered = netframe_lower(f, p->takes);
        if (!p->lowered)
            net_count(&p->rx_drops, 1);
    }
    f = p->lowered;
    p->lowered = f->next;
    f->next = NULL;
    net_count(&p->rx_pkts, 1);
    net_count(&p->rx_bytes, f->len);
    return f;
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
