/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtio: see virtio.h. Who needs io_lock besides the loop enters by io_enter, which makes the
 * running batch end soon, and leaves by io_leave, which notifies the queues on behalf of the
 * guest, because a batch that ended early or was not begun has forgotten why.
 */
#include "devices/virtio.h"

#include "core/loop.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#ifndef VIRTIO_F_RING_RESET
#define VIRTIO_F_RING_RESET 40 /* virtio 1.2; newer than some distributions' headers */
#endif

static const uint64_t layer_features =
    1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_RING_RESET | 1ull << VIRTIO_RING_F_EVENT_IDX |
    1ull << VIRTIO_RING_F_INDIRECT_DESC;

static void kick_live_queues(struct virtio_dev *d)
{
    for (unsigned i = 0; i < d->kind.nqueues; i++)
        if (d->queue[i].vq.live)
            virtio_kick(d, i);
}

static void io_enter(struct virtio_dev *d)
{
    d->waiters++;
    pthread_mutex_lock(&d->io_lock);
}

static void io_leave(struct virtio_dev *d)
{
    d->waiters--;
    kick_live_queues(d);
    pthread_mutex_unlock(&d->io_lock);
}

/* ---- serving queues ---- */

/* A wake-up takes at most as many chains as the queue has entries; a guest whose rings overlap
 * (or that is very busy) comes back through the loop, where others have their turn. */
static void serve_locked(struct virtio_queue *q)
{
    struct virtio_dev *d = q->dev;
    const unsigned qi = q->vq.index;
    unsigned budget = q->vq.size;
    bool unwanted = false;

    virtq_hush(&q->vq);
    for (;;) {
        unsigned took = d->ops->queue_notify(d, qi, budget);

        if (took >= budget) {
            virtio_kick(d, qi);
            return;
        }
        budget -= took;
        if (virtio_must_stop(d) || !virtq_rearm(&q->vq))
            return;
        if (!took && unwanted) /* there are buffers that the device has no use for yet */
            return;
        unwanted = !took;
    }
}

static void queue_kicked(void *arg, uint32_t events)
{
    struct virtio_queue *q = arg;
    struct virtio_dev *d = q->dev;

    (void)events; /* edge-triggered: the counter need not be read */
    if (virtio_must_stop(d))
        return;
    pthread_mutex_lock(&d->io_lock);
    if (q->vq.live && !virtio_must_stop(d))
        serve_locked(q);
    pthread_mutex_unlock(&d->io_lock);
}

bool virtio_at_once(void *queue)
{
    struct virtio_queue *q = queue;
    struct virtio_dev *d = q->dev;
    unsigned waiting;
    bool done;

    if (!d->ops->queue_at_once || virtio_must_stop(d) || pthread_mutex_trylock(&d->io_lock) != 0)
        return false;
    waiting = q->vq.live && !virtio_must_stop(d) ? virtq_waiting(&q->vq) : 0;
    done = waiting && d->ops->queue_at_once(d, q->vq.index, waiting) && !virtq_rearm(&q->vq);
    pthread_mutex_unlock(&d->io_lock);
    return done;
}

void virtio_kick(struct virtio_dev *d, unsigned qi)
{
    const uint64_t one = 1;

    if (qi < d->kind.nqueues && write(d->queue[qi].kick, &one, sizeof one) < 0)
        return; /* EAGAIN: it is signalled already */
}

void virtio_allow_dma_locked(struct virtio_dev *d, bool on)
{
    const bool was_off = atomic_exchange(&d->dma_off, !on);

    if (on && was_off)
        kick_live_queues(d);
}

/* ---- the error state ---- */

static bool break_locked(struct virtio_dev *d, const char *what)
{
    if (d->broken)
        return false;
    d->broken = true;
    d->errors++;
    snprintf(d->error, sizeof d->error, "%s", what);
    for (unsigned i = 0; i < d->kind.nqueues; i++)
        virtq_stop(&d->queue[i].vq);
    d->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
    if (d->transport && (d->status & VIRTIO_CONFIG_S_DRIVER_OK))
        d->transport->config_interrupt(d->transport_arg);
    return true;
}

static void report_error(struct virtio_dev *d, const char *what)
{
    log_limited(&d->log_limit, LOG_WARN, "%s: %s; the device waits for a reset", d->name, what);
    if (d->env.device_error)
        d->env.device_error(d->env.opaque, d->name, what);
}

void virtio_break(struct virtio_dev *d, const char *what)
{
    bool first;

    pthread_mutex_lock(&d->lock);
    first = break_locked(d, what);
    pthread_mutex_unlock(&d->lock);
    if (first)
        report_error(d, what);
}

size_t virtio_describe_error(struct virtio_dev *d, char *buf, size_t len)
{
    int n = 0;

    pthread_mutex_lock(&d->lock);
    if (d->error[0] && len)
        n = snprintf(buf, len, "%s: %s", d->name, d->error);
    pthread_mutex_unlock(&d->lock);
    return n < 0 ? 0 : (size_t)n < len ? (size_t)n : len - 1;
}

static void vq_broken(void *opaque, unsigned index, const char *what)
{
    (void)index;
    virtio_break(opaque, what);
}

static void vq_interrupt(void *opaque, unsigned index)
{
    struct virtio_dev *d = opaque;

    pthread_mutex_lock(&d->lock);
    if (d->transport)
        d->transport->queue_interrupt(d->transport_arg, index);
    pthread_mutex_unlock(&d->lock);
}

static const struct virtq_owner vq_owner = {.interrupt = vq_interrupt, .broken = vq_broken};

void virtio_config_changed_locked(struct virtio_dev *d)
{
    d->config_generation++;
    if (d->transport && (d->status & VIRTIO_CONFIG_S_DRIVER_OK))
        d->transport->config_interrupt(d->transport_arg);
}

/* ---- queue registers ---- */

static void queue_regs_reset(struct virtio_queue *q)
{
    q->enabled = false;
    q->size = q->max_size;
    q->desc = q->avail = q->used = 0;
}

/* Makes an enabled queue live; a sentence if what the guest programmed is not legal. */
static const char *queue_start_locked(struct virtio_queue *q)
{
    struct virtio_dev *d = q->dev;
    const struct virtq_ring r = {
        .size = q->size, .desc = q->desc, .avail = q->avail, .used = q->used,
        .event_idx = virtio_has(d, VIRTIO_RING_F_EVENT_IDX),
        .indirect = virtio_has(d, VIRTIO_RING_F_INDIRECT_DESC),
    };

    if (virtq_start(&q->vq, &r) < 0)
        return "rings of a queue are misaligned or not in memory";
    if (d->ops->queue_ready)
        d->ops->queue_ready(d, q->vq.index);
    return NULL;
}

void virtio_queue_set_size(struct virtio_dev *d, unsigned qi, uint16_t size)
{
    if (qi >= d->kind.nqueues)
        return;
    pthread_mutex_lock(&d->lock);
    if (!d->queue[qi].enabled && size && size <= d->queue[qi].max_size && !(size & (size - 1)))
        d->queue[qi].size = size;
    pthread_mutex_unlock(&d->lock);
}

void virtio_queue_set_addr(struct virtio_dev *d, unsigned qi, unsigned which, bool high,
                           uint32_t val)
{
    struct virtio_queue *q = &d->queue[qi < VIRTIO_QUEUES_MAX ? qi : 0];
    uint64_t *addr = which == 0 ? &q->desc : which == 1 ? &q->avail : &q->used;

    if (qi >= d->kind.nqueues)
        return;
    pthread_mutex_lock(&d->lock);
    if (!q->enabled) {
        if (high)
            *addr = (*addr & 0xffffffff) | (uint64_t)val << 32;
        else
            *addr = (*addr & ~0xffffffffull) | val;
    }
    pthread_mutex_unlock(&d->lock);
}

void virtio_queue_enable(struct virtio_dev *d, unsigned qi)
{
    const char *wrong = NULL;
    struct virtio_queue *q;

    if (qi >= d->kind.nqueues)
        return;
    q = &d->queue[qi];
    io_enter(d);
    pthread_mutex_lock(&d->lock);
    if (!q->enabled && !d->broken) {
        q->enabled = true;
        if (d->status & VIRTIO_CONFIG_S_DRIVER_OK)
            wrong = queue_start_locked(q);
        if (wrong && !break_locked(d, wrong))
            wrong = NULL;
    }
    pthread_mutex_unlock(&d->lock);
    if (wrong)
        report_error(d, wrong);
    io_leave(d);
}

void virtio_queue_reset(struct virtio_dev *d, unsigned qi)
{
    if (qi >= d->kind.nqueues)
        return;
    io_enter(d);
    pthread_mutex_lock(&d->lock);
    if (virtio_has(d, VIRTIO_F_RING_RESET)) {
        virtq_stop(&d->queue[qi].vq);
        queue_regs_reset(&d->queue[qi]);
        if (d->ops->queue_ready)
            d->ops->queue_ready(d, qi);
    }
    pthread_mutex_unlock(&d->lock);
    io_leave(d);
}

/* ---- status, features, config ---- */

uint8_t virtio_status(struct virtio_dev *d)
{
    uint8_t status;

    pthread_mutex_lock(&d->lock);
    status = d->status;
    pthread_mutex_unlock(&d->lock);
    return status;
}

void virtio_accept_features(struct virtio_dev *d, unsigned word, uint32_t val)
{
    pthread_mutex_lock(&d->lock);
    if (word < 2 && !(d->status & VIRTIO_CONFIG_S_FEATURES_OK)) {
        d->accepted &= ~(0xffffffffull << (32 * word));
        d->accepted |= (uint64_t)val << (32 * word);
    }
    pthread_mutex_unlock(&d->lock);
}

static bool features_legal(struct virtio_dev *d)
{
    if ((d->accepted & ~d->offered) || !virtio_has(d, VIRTIO_F_VERSION_1))
        return false;
    return !d->ops->features_legal || d->ops->features_legal(d, d->accepted);
}

/* DRIVER_OK: every queue that was enabled becomes live. */
static const char *start_locked(struct virtio_dev *d)
{
    const char *wrong = NULL;

    for (unsigned i = 0; i < d->kind.nqueues && !wrong; i++)
        if (d->queue[i].enabled)
            wrong = queue_start_locked(&d->queue[i]);
    return wrong && break_locked(d, wrong) ? wrong : NULL;
}

/* Bits are only ever added; FEATURES_OK is refused by not keeping it. virtio 1.2 section 2.1. */
static const char *add_status_locked(struct virtio_dev *d, uint8_t added)
{
    added &= ~(d->status | VIRTIO_CONFIG_S_NEEDS_RESET);
    if ((added & VIRTIO_CONFIG_S_FEATURES_OK) && !features_legal(d))
        added &= ~VIRTIO_CONFIG_S_FEATURES_OK;
    if (!((d->status | added) & VIRTIO_CONFIG_S_FEATURES_OK) || d->broken)
        added &= ~VIRTIO_CONFIG_S_DRIVER_OK;
    d->status |= added;
    return added & VIRTIO_CONFIG_S_DRIVER_OK ? start_locked(d) : NULL;
}

void virtio_set_status(struct virtio_dev *d, uint8_t val)
{
    const bool start = (val & ~virtio_status(d)) & VIRTIO_CONFIG_S_DRIVER_OK;
    const char *wrong;

    if (val == 0) {
        virtio_reset(d);
        return;
    }
    if (!start) /* only a start needs io_lock; one that another vCPU undoes meanwhile is void */
        val &= ~VIRTIO_CONFIG_S_DRIVER_OK;
    if (start)
        io_enter(d);
    pthread_mutex_lock(&d->lock);
    wrong = add_status_locked(d, val);
    pthread_mutex_unlock(&d->lock);
    if (wrong)
        report_error(d, wrong);
    if (start)
        io_leave(d);
}

void virtio_config_read(struct virtio_dev *d, unsigned off, void *buf, unsigned len)
{
    uint8_t config[VIRTIO_CONFIG_MAX] = {0};

    memset(buf, 0, len);
    if (off >= d->kind.config_bytes)
        return;
    pthread_mutex_lock(&d->lock);
    d->ops->config_get(d, config);
    pthread_mutex_unlock(&d->lock);
    memcpy(buf, config + off, len < d->kind.config_bytes - off ? len : d->kind.config_bytes - off);
}

void virtio_config_write(struct virtio_dev *d, unsigned off, unsigned size, uint32_t val)
{
    if (!d->ops->config_set || off >= d->kind.config_bytes || size > d->kind.config_bytes - off)
        return;
    pthread_mutex_lock(&d->lock);
    d->ops->config_set(d, off, size, val);
    pthread_mutex_unlock(&d->lock);
}

/* ---- life ---- */

void virtio_reset(struct virtio_dev *d)
{
    io_enter(d);
    pthread_mutex_lock(&d->lock);
    for (unsigned i = 0; i < d->kind.nqueues; i++) {
        virtq_stop(&d->queue[i].vq);
        queue_regs_reset(&d->queue[i]);
    }
    d->status = 0;
    d->accepted = 0;
    d->broken = d->paused = false;
    d->error[0] = '\0';
    if (d->transport)
        d->transport->reset(d->transport_arg);
    pthread_mutex_unlock(&d->lock);
    if (d->ops->reset)
        d->ops->reset(d);
    io_leave(d);
}

void virtio_pause(struct virtio_dev *d)
{
    d->paused = true;
    io_enter(d); /* waits for the batch */
    io_leave(d);
}

void virtio_resume(struct virtio_dev *d)
{
    d->paused = false;
    io_enter(d);
    io_leave(d);
}

static int queue_init(struct virtio_dev *d, unsigned i, struct err *e)
{
    struct virtio_queue *q = &d->queue[i];

    q->dev = d;
    q->max_size = d->kind.queue_size;
    queue_regs_reset(q);
    virtq_init(&q->vq, d->env.mem, i, &vq_owner, d);
    q->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (q->kick < 0)
        return err_set(e, errno, "cannot create an event descriptor for %s: %s", d->name,
                       strerror(errno));
    q->source = loop_add_fd(d->loop, q->kick, EPOLLIN | EPOLLET, queue_kicked, q, e);
    return q->source ? 0 : -ENOMEM;
}

int virtio_init(struct virtio_dev *d, const struct virtio_ops *ops, const struct virtio_kind *kind,
                const char *name, const struct virtio_env *env, struct loop *loop, struct err *e)
{
    memset(d, 0, sizeof *d);
    d->ops = ops;
    d->kind = *kind;
    d->env = *env;
    d->loop = loop;
    d->offered = kind->features | layer_features;
    snprintf(d->name, sizeof d->name, "%s", name);
    pthread_mutex_init(&d->io_lock, NULL);
    pthread_mutex_init(&d->lock, NULL);
    for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++)
        d->queue[i].kick = -1;
    for (unsigned i = 0; i < kind->nqueues; i++) {
        int r = queue_init(d, i, e);

        if (r < 0) {
            virtio_fini(d);
            return r;
        }
    }
    return 0;
}

void virtio_fini(struct virtio_dev *d)
{
    if (!d->ops)
        return;
    for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++) {
        loop_del_fd(d->queue[i].source);
        if (d->queue[i].kick >= 0)
            close(d->queue[i].kick);
    }
    pthread_mutex_destroy(&d->lock);
    pthread_mutex_destroy(&d->io_lock);
    d->ops = NULL;
}

void virtio_attach(struct virtio_dev *d, const struct virtio_transport_ops *ops, void *transport)
{
    pthread_mutex_lock(&d->lock);
    d->transport = ops;
    d->transport_arg = transport;
    pthread_mutex_unlock(&d->lock);
}
