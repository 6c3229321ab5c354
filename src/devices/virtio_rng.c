/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtio_rng: see virtio_rng.h. A request gets at most RNG_BYTES_MAX bytes, however large its
 * buffers are: the standard asks for one or more, and nobody may keep the loop busy.
 */
#include "devices/virtio_rng.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <sys/random.h>

enum { RNG_QUEUE_SIZE = 64, RNG_BYTES_MAX = 4096 };

struct virtio_rng {
    struct virtio_dev vdev; /* first */
    struct virtq_chain chain;
};

static void rng_config_get(struct virtio_dev *d, void *config)
{
    (void)d;
    (void)config; /* it has none */
}

/* Random bytes into the writable part; returns how many. */
static uint32_t rng_fill(struct virtq *q, const struct virtq_chain *c)
{
    uint8_t buf[256];
    uint32_t want = c->in_bytes < RNG_BYTES_MAX ? c->in_bytes : RNG_BYTES_MAX, done = 0;

    while (done < want) {
        size_t n = want - done < sizeof buf ? want - done : sizeof buf;
        ssize_t got = getrandom(buf, n, 0); /* up to 256 bytes are never cut short */

        if (got <= 0)
            break;
        done += (uint32_t)virtq_copy_to(q, c, done, buf, (size_t)got);
    }
    return done;
}

static unsigned rng_queue_notify(struct virtio_dev *d, unsigned qi, unsigned budget)
{
    struct virtio_rng *r = (struct virtio_rng *)d;
    struct virtq *q = &d->queue[qi].vq;
    unsigned n = 0;

    while (n < budget && !virtio_must_stop(d) && virtq_pop(q, &r->chain)) {
        virtq_push(q, r->chain.head, rng_fill(q, &r->chain));
        n++;
    }
    virtq_flush(q);
    return n;
}

static const struct virtio_ops rng_ops = {
    .config_get = rng_config_get,
    .queue_notify = rng_queue_notify,
};

static const struct virtio_kind rng_kind = {
    .device_id = VIRTIO_ID_RNG,
    .class_code = 0x00ff00,
    .nqueues = 1,
    .queue_size = RNG_QUEUE_SIZE,
};

struct virtio_rng *virtio_rng_new(const struct virtio_env *env, struct err *e)
{
    struct virtio_rng *r = calloc(1, sizeof *r);

    if (!r) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    if (virtio_init(&r->vdev, &rng_ops, &rng_kind, "rng", env, env->io, e) < 0) {
        free(r);
        return NULL;
    }
    return r;
}

void virtio_rng_free(struct virtio_rng *r)
{
    if (!r)
        return;
    virtio_fini(&r->vdev);
    free(r);
}

struct virtio_dev *virtio_rng_dev(struct virtio_rng *r)
{
    return &r->vdev;
}
