/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtio_console: see virtio_console.h.
 */
#include "devices/virtio_console.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONSOLE_QUEUE_SIZE = 128,
    CONSOLE_RX = 0,
    CONSOLE_TX = 1,
    INPUT_BYTES = 4096,            /* power of two */
    OUTPUT_REQUEST_MAX = 64 << 10, /* of one request; the rest is dropped and counted */
};

_Static_assert(sizeof(struct virtio_console_config) == 12, "as in virtio 1.2 section 5.3.4");

struct virtio_console {
    struct virtio_dev vdev; /* first */
    struct virtio_console_host host;
    struct virtq_chain chain;   /* io_lock */
    uint16_t cols, rows;        /* vdev.lock */
    _Atomic uint64_t dropped;
    bool resized;   /* somebody said a size; vdev.lock */
    bool size_told; /* to this driver, by tell_size; io_lock */

    pthread_mutex_t in_lock; /* the fields below; last in the order */
    uint8_t in[INPUT_BYTES];
    unsigned in_head, in_tail; /* free running; tail - head bytes are waiting */
    bool in_refused;           /* somebody waits for room */
};

/* ---- input ---- */

size_t virtio_console_in(struct virtio_console *c, const void *buf, size_t len)
{
    size_t n = 0;

    pthread_mutex_lock(&c->in_lock);
    while (n < len && c->in_tail - c->in_head < INPUT_BYTES)
        c->in[c->in_tail++ % INPUT_BYTES] = ((const uint8_t *)buf)[n++];
    c->in_refused |= n < len;
    pthread_mutex_unlock(&c->in_lock);
    if (n)
        virtio_kick(&c->vdev, CONSOLE_RX);
    return n;
}

/* Copies what is waiting, at most `max` bytes, without taking it. */
static size_t input_peek(struct virtio_console *c, uint8_t *buf, size_t max)
{
    size_t n = 0;

    pthread_mutex_lock(&c->in_lock);
    for (unsigned at = c->in_head; n < max && at != c->in_tail; at++)
        buf[n++] = c->in[at % INPUT_BYTES];
    pthread_mutex_unlock(&c->in_lock);
    return n;
}

/* Takes `n` bytes that were peeked; true if somebody must be told of the room. */
static bool input_take(struct virtio_console *c, size_t n)
{
    bool tell;

    pthread_mutex_lock(&c->in_lock);
    if (n > c->in_tail - c->in_head)
        n = c->in_tail - c->in_head; /* forgotten by a reset meanwhile */
    c->in_head += (unsigned)n;
    tell = c->in_refused && n;
    if (tell)
        c->in_refused = false;
    pthread_mutex_unlock(&c->in_lock);
    return tell;
}

static unsigned receive(struct virtio_console *c, struct virtq *q, unsigned budget)
{
    uint8_t buf[INPUT_BYTES];
    bool tell = false;
    unsigned n = 0;
    size_t len;

    while (n < budget && !virtio_must_stop(&c->vdev) &&
           (len = input_peek(c, buf, sizeof buf)) > 0 && virtq_pop(q, &c->chain)) {
        len = virtq_copy_to(q, &c->chain, 0, buf, len);
        tell |= input_take(c, len);
        virtq_push(q, c->chain.head, (uint32_t)len);
        n++;
    }
    virtq_flush(q);
    if (tell && c->host.room)
        c->host.room(c->host.opaque);
    return n;
}

/* ---- output ---- */

static void output(struct virtio_console *c)
{
    uint8_t buf[4096];
    size_t off = 0, n;

    while (off < OUTPUT_REQUEST_MAX && !virtio_must_stop(&c->vdev) &&
           (n = virtq_copy_from(&c->chain, off, buf, sizeof buf)) > 0) {
        c->host.out(c->host.opaque, buf, n);
        off += n;
    }
    c->dropped += c->chain.out_bytes - off;
}

/* Linux reads the size when it is told of a change, not when its driver begins: so it is told
 * again after the first output, when there is a terminal to set it on. */
static void tell_size(struct virtio_console *c)
{
    pthread_mutex_lock(&c->vdev.lock);
    if (c->resized)
        virtio_config_changed_locked(&c->vdev);
    pthread_mutex_unlock(&c->vdev.lock);
    c->size_told = true;
}

static unsigned transmit(struct virtio_console *c, struct virtq *q, unsigned budget)
{
    unsigned n = 0;

    while (n < budget && !virtio_must_stop(&c->vdev) && virtq_pop(q, &c->chain)) {
        output(c);
        virtq_push(q, c->chain.head, 0);
        n++;
    }
    virtq_flush(q);
    if (n && !c->size_told)
        tell_size(c);
    return n;
}

static void console_driver_reset(struct virtio_dev *d)
{
    ((struct virtio_console *)d)->size_told = false;
}

static unsigned console_queue_notify(struct virtio_dev *d, unsigned qi, unsigned budget)
{
    struct virtio_console *c = (struct virtio_console *)d;
    struct virtq *q = &d->queue[qi].vq;

    return qi == CONSOLE_RX ? receive(c, q, budget) : transmit(c, q, budget);
}

/* ---- configuration ---- */

static void console_config_get(struct virtio_dev *d, void *config)
{
    const struct virtio_console *c = (struct virtio_console *)d;
    const struct virtio_console_config out = {
        .cols = htole16(c->cols), .rows = htole16(c->rows), .max_nr_ports = htole32(1)};

    memcpy(config, &out, sizeof out);
}

/* Emergency write: a byte, before any queue exists. Section 5.3.4. */
static void console_config_set(struct virtio_dev *d, unsigned off, unsigned size, uint32_t val)
{
    struct virtio_console *c = (struct virtio_console *)d;
    const uint8_t byte = (uint8_t)val;

    (void)size;
    if (off == offsetof(struct virtio_console_config, emerg_wr))
        c->host.out(c->host.opaque, &byte, 1);
}

void virtio_console_resize(struct virtio_console *c, unsigned cols, unsigned rows)
{
    pthread_mutex_lock(&c->vdev.lock);
    if (c->cols != cols || c->rows != rows) {
        c->cols = cols < UINT16_MAX ? (uint16_t)cols : UINT16_MAX;
        c->rows = rows < UINT16_MAX ? (uint16_t)rows : UINT16_MAX;
        c->resized = true;
        virtio_config_changed_locked(&c->vdev);
    }
    pthread_mutex_unlock(&c->vdev.lock);
}

static const struct virtio_ops console_ops = {
    .config_get = console_config_get,
    .config_set = console_config_set,
    .queue_notify = console_queue_notify,
    .reset = console_driver_reset,
};

static const struct virtio_kind console_kind = {
    .device_id = VIRTIO_ID_CONSOLE,
    .class_code = 0x078000,
    .features = 1ull << VIRTIO_CONSOLE_F_SIZE | 1ull << VIRTIO_CONSOLE_F_EMERG_WRITE,
    .config_bytes = sizeof(struct virtio_console_config),
    .nqueues = 2,
    .queue_size = CONSOLE_QUEUE_SIZE,
};

/* ---- life ---- */

struct virtio_console *virtio_console_new(const struct virtio_env *env,
                                          const struct virtio_console_host *host, struct err *e)
{
    struct virtio_console *c = calloc(1, sizeof *c);

    if (!c) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    c->host = *host;
    c->cols = 80;
    c->rows = 25;
    pthread_mutex_init(&c->in_lock, NULL);
    if (virtio_init(&c->vdev, &console_ops, &console_kind, "console", env, env->io, e) < 0) {
        virtio_console_free(c);
        return NULL;
    }
    return c;
}

void virtio_console_free(struct virtio_console *c)
{
    if (!c)
        return;
    virtio_fini(&c->vdev);
    pthread_mutex_destroy(&c->in_lock);
    free(c);
}

struct virtio_dev *virtio_console_dev(struct virtio_console *c)
{
    return &c->vdev;
}

void virtio_console_reset(struct virtio_console *c)
{
    bool tell;

    pthread_mutex_lock(&c->in_lock);
    tell = c->in_refused;
    c->in_head = c->in_tail = 0;
    c->in_refused = false;
    pthread_mutex_unlock(&c->in_lock);
    if (tell && c->host.room)
        c->host.room(c->host.opaque);
}

uint64_t virtio_console_dropped(const struct virtio_console *c)
{
    return c->dropped;
}
