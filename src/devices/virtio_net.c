/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtio_net: see virtio_net.h. A frame that cannot be handed on now (no buffer of the guest, no
 * room in the switch, a limit of the link) is kept, one in each direction, and tried again first.
 *
 * A short frame alone is sent by the vCPU that asks for it (where its notification comes to us: see virtio_blk.c).
 */
#include "devices/virtio_net.h"

#include "core/clock.h"
#include "core/vclock.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>

enum {
    NET_QUEUE_SIZE = 256,
    NET_RX = 0,
    NET_TX = 1,
    MERGE_MAX = 128, /* buffers that one frame may need */
    HDR = sizeof(struct virtio_net_hdr_v1),
    CONFIG_BYTES = 8, /* mac, status */
    FLUSH_FRAMES = 32,
    AT_ONCE_BYTES = 2048, /* of a frame that a vCPU sends itself */
};

_Static_assert(HDR == 12, "as in virtio 1.2 section 5.1.6");

struct virtio_net {
    struct virtio_dev vdev; /* first */
    struct netport *link;   /* NULL: no cable */
    uint8_t mac[6];
    struct vtimer rx_timer, tx_timer; /* a limit lets the next frame pass */

    /* io_lock */
    struct netframe *rx_frame, *tx_frame; /* kept for later */
    struct virtq_chain chain, more;
    uint16_t head[MERGE_MAX];
    uint32_t used[MERGE_MAX];
};

/* ---- waking ---- */

static void wake_rx(void *opaque)
{
    struct virtio_net *n = opaque;

    virtio_kick(&n->vdev, NET_RX);
}

static void wake_tx(void *opaque)
{
    struct virtio_net *n = opaque;

    virtio_kick(&n->vdev, NET_TX);
}

static void link_changed(void *opaque, bool up)
{
    struct virtio_net *n = opaque;

    (void)up;
    pthread_mutex_lock(&n->vdev.lock);
    virtio_config_changed_locked(&n->vdev);
    pthread_mutex_unlock(&n->vdev.lock);
}

static void wait_for(struct virtio_net *n, struct vtimer *t, uint64_t wait_ns)
{
    if (wait_ns)
        vtimer_arm(t, vclock_now_ns(n->vdev.env.clock) + wait_ns);
}

/* ---- receiving ---- */

/* The frame from byte `off` on, into the chain's buffers from byte `at` on; how much went in. */
static uint32_t fill(struct virtio_net *n, struct virtq *q, const struct virtq_chain *c, size_t at, uint32_t off)
{
    const struct netframe *f = n->rx_frame;

    return (uint32_t)virtq_copy_to(q, c, at, f->data + off, f->len - off);
}

enum fit { FIT_DONE, FIT_LATER, FIT_NEVER };

/* Spreads the frame over as many buffers as it needs; the header, which says how many, last. */
static enum fit place(struct virtio_net *n, struct virtq *q)
{
    const unsigned max = virtio_has(&n->vdev, VIRTIO_NET_F_MRG_RXBUF) ? MERGE_MAX : 1;
    uint32_t done = 0;
    unsigned k = 0;

    while (done < n->rx_frame->len || k == 0) {
        struct virtq_chain *c = k ? &n->more : &n->chain;
        uint32_t now;

        if (k == max || !virtq_pop(q, c)) {
            virtq_unpop(q, k);
            return k == max ? FIT_NEVER : FIT_LATER;
        }
        if (k == 0 && c->in_bytes < HDR) {
            virtq_break(q, "receive buffer without room for a header");
            return FIT_LATER;
        }
        now = fill(n, q, c, k ? 0 : HDR, done);
        done += now;
        n->head[k] = c->head;
        n->used[k] = now + (k ? 0 : HDR);
        k++;
    }
    struct virtio_net_hdr_v1 h = netframe_header(n->rx_frame, k);

    virtq_copy_to(q, &n->chain, 0, &h, sizeof h);
    for (unsigned i = 0; i < k; i++)
        virtq_push(q, n->head[i], n->used[i]);
    return FIT_DONE;
}

static bool next_rx(struct virtio_net *n)
{
    uint64_t wait;

    if (!n->rx_frame && n->link) {
        n->rx_frame = netport_take(n->link, &wait);
        if (!n->rx_frame)
            wait_for(n, &n->rx_timer, wait);
    }
    return n->rx_frame != NULL;
}

static unsigned receive(struct virtio_net *n, struct virtq *q, unsigned budget)
{
    unsigned frames = 0;

    while (frames < budget && !virtio_must_stop(&n->vdev) && virtq_has_work(q) && next_rx(n)) {
        if (place(n, q) == FIT_LATER)
            break;
        netframe_free(n->rx_frame); /* delivered, or larger than the guest's buffers */
        n->rx_frame = NULL;
        if (++frames % FLUSH_FRAMES == 0)
            virtq_flush(q);
    }
    virtq_flush(q);
    return frames;
}

/* ---- sending ---- */

/* What the guest left undone; false: not negotiated, or nonsense. */
static bool read_offload(const struct virtio_net *n, const struct virtio_net_hdr_v1 *h, struct net_offload *o)
{
    static const unsigned need[] = {[NET_GSO_TCP4] = VIRTIO_NET_F_HOST_TSO4, [NET_GSO_TCP6] = VIRTIO_NET_F_HOST_TSO6};
    const struct virtio_dev *d = &n->vdev;

    return netframe_offload_from(h, o) && (!o->csum || virtio_has(d, VIRTIO_NET_F_CSUM)) &&
           (o->gso == NET_GSO_NONE || virtio_has(d, need[o->gso]));
}

/* Copies the request into a frame. NULL: there is none in it; that is dropped, as a wire would. */
static struct netframe *read_frame(struct virtio_net *n)
{
    const struct virtq_chain *c = &n->chain;
    struct virtio_net_hdr_v1 h;
    struct net_offload off;
    struct netframe *f;

    if (c->out_bytes < HDR + NETFRAME_MIN || virtq_copy_from(c, 0, &h, sizeof h) < sizeof h ||
        !read_offload(n, &h, &off))
        return NULL;
    f = netframe_new(c->out_bytes - HDR);
    if (!f)
        return NULL;
    virtq_copy_from(c, HDR, f->data, f->len);
    f->off = off;
    return f;
}

/* True if the frame that was kept is gone. */
static bool flush_tx(struct virtio_net *n)
{
    uint64_t wait;

    if (!n->tx_frame)
        return true;
    if (!n->link) {
        netframe_free(n->tx_frame);
        n->tx_frame = NULL;
    } else if (netport_send(n->link, &n->tx_frame, &wait) < 0) {
        wait_for(n, &n->tx_timer, wait);
        return false;
    }
    return true;
}

static unsigned transmit(struct virtio_net *n, struct virtq *q, unsigned budget)
{
    unsigned frames = 0;

    while (frames < budget && !virtio_must_stop(&n->vdev) && flush_tx(n) && virtq_pop(q, &n->chain)) {
        n->tx_frame = read_frame(n);
        virtq_push(q, n->chain.head, 0);
        frames++;
    }
    if (!virtio_must_stop(&n->vdev))
        flush_tx(n);
    virtq_flush(q);
    return frames;
}

static unsigned net_queue_notify(struct virtio_dev *d, unsigned qi, unsigned budget)
{
    struct virtio_net *n = (struct virtio_net *)d;
    struct virtq *q = &d->queue[qi].vq;

    return qi == NET_RX ? receive(n, q, budget) : transmit(n, q, budget);
}

static bool net_queue_at_once(struct virtio_dev *d, unsigned qi, unsigned waiting)
{
    struct virtio_net *n = (struct virtio_net *)d;
    struct virtq *q = &d->queue[qi].vq;

    if (qi != NET_TX || waiting != 1 || n->tx_frame || (n->link && netport_capturing(n->link)) /* the file may be slow */ ||
        !virtq_pop(q, &n->chain))
        return false;
    if (n->chain.out_bytes > AT_ONCE_BYTES) {
        virtq_unpop(q, 1);
        return false;
    }
    n->tx_frame = read_frame(n);
    virtq_push(q, n->chain.head, 0);
    virtq_flush(q);
    return flush_tx(n);
}

/* ---- configuration ---- */

static void net_config_get(struct virtio_dev *d, void *config)
{
    const struct virtio_net *n = (struct virtio_net *)d;
    struct virtio_net_config c = {
        .status = htole16(n->link && netport_up(n->link) ? VIRTIO_NET_S_LINK_UP : 0)};

    memcpy(c.mac, n->mac, sizeof c.mac);
    memcpy(config, &c, CONFIG_BYTES);
}

/* virtio 1.2 section 5.1.3.1: segments need checksums. */
static bool net_features_legal(struct virtio_dev *d, uint64_t f)
{
    const uint64_t host = 1ull << VIRTIO_NET_F_HOST_TSO4 | 1ull << VIRTIO_NET_F_HOST_TSO6;
    const uint64_t guest = 1ull << VIRTIO_NET_F_GUEST_TSO4 | 1ull << VIRTIO_NET_F_GUEST_TSO6;

    (void)d;
    return (!(f & host) || f >> VIRTIO_NET_F_CSUM & 1) && (!(f & guest) || f >> VIRTIO_NET_F_GUEST_CSUM & 1);
}

static void net_queue_ready(struct virtio_dev *d, unsigned qi)
{
    struct virtio_net *n = (struct virtio_net *)d;
    unsigned takes = 0;

    if (qi != NET_RX || !n->link)
        return;
    if (virtio_has(d, VIRTIO_NET_F_GUEST_CSUM))
        takes |= NET_TAKES_CSUM;
    if (virtio_has(d, VIRTIO_NET_F_GUEST_TSO4))
        takes |= NET_TAKES_TCP4;
    if (virtio_has(d, VIRTIO_NET_F_GUEST_TSO6))
        takes |= NET_TAKES_TCP6;
    netport_set_takes(n->link, takes);
}

static void drop_kept(struct virtio_net *n)
{
    netframe_free(n->rx_frame);
    netframe_free(n->tx_frame);
    n->rx_frame = n->tx_frame = NULL;
}

static void net_reset(struct virtio_dev *d)
{
    struct virtio_net *n = (struct virtio_net *)d;

    drop_kept(n);
    if (n->link)
        netport_set_takes(n->link, 0);
}

static const struct virtio_ops net_ops = {
    .config_get = net_config_get,
    .features_legal = net_features_legal,
    .queue_ready = net_queue_ready,
    .queue_notify = net_queue_notify,
    .queue_at_once = net_queue_at_once,
    .reset = net_reset,
};

static const struct virtio_kind net_kind = {
    .device_id = VIRTIO_ID_NET,
    .class_code = 0x020000,
    .features = 1ull << VIRTIO_NET_F_MAC | 1ull << VIRTIO_NET_F_STATUS | 1ull << VIRTIO_NET_F_MRG_RXBUF |
                1ull << VIRTIO_NET_F_CSUM | 1ull << VIRTIO_NET_F_GUEST_CSUM |
                1ull << VIRTIO_NET_F_HOST_TSO4 | 1ull << VIRTIO_NET_F_HOST_TSO6 |
                1ull << VIRTIO_NET_F_GUEST_TSO4 | 1ull << VIRTIO_NET_F_GUEST_TSO6,
    .config_bytes = CONFIG_BYTES,
    .nqueues = 2,
    .queue_size = NET_QUEUE_SIZE,
};

/* ---- life ---- */

struct virtio_net *virtio_net_new(const struct virtio_env *env, const char *name, const uint8_t mac[6],
                                  struct netport *link, struct err *e)
{
    struct netport_user u = {.wake_rx = wake_rx, .wake_tx = wake_tx, .link = link_changed};
    struct virtio_net *n = calloc(1, sizeof *n);

    if (!n) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    memcpy(n->mac, mac, 6);
    if (virtio_init(&n->vdev, &net_ops, &net_kind, name, env, env->io, e) < 0) {
        free(n);
        return NULL;
    }
    vtimer_init(&n->rx_timer, env->clock, wake_rx, n);
    vtimer_init(&n->tx_timer, env->clock, wake_tx, n);
    u.opaque = n;
    n->link = link;
    if (link)
        netport_attach(link, &u);
    return n;
}

void virtio_net_free(struct virtio_net *n)
{
    if (!n)
        return;
    if (n->link)
        netport_detach(n->link);
    vtimer_cancel(&n->rx_timer);
    vtimer_cancel(&n->tx_timer);
    drop_kept(n);
    virtio_fini(&n->vdev);
    free(n);
}

struct virtio_dev *virtio_net_dev(struct virtio_net *n)
{
    return &n->vdev;
}
