/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtio_balloon: see virtio_balloon.h.
 *
 * The reporting queue's number: the standard gives it 4, and page hinting 3; drivers that
 * number the queues they use without gaps take 3. Hinting is not offered here, so both are
 * the reporting queue and every driver finds it.
 */
#include "devices/virtio_balloon.h"

#include "core/clock.h"
#include "core/vclock.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_balloon.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#ifndef VIRTIO_BALLOON_F_REPORTING
#define VIRTIO_BALLOON_F_REPORTING 5
#endif

enum {
    BALLOON_QUEUE_SIZE = 128,
    Q_INFLATE = 0,
    Q_DEFLATE = 1,
    Q_STATS = 2,
    Q_REPORT = 3, /* and 4 */
    QUEUES = 5,
    PFN_BYTES = 1 << VIRTIO_BALLOON_PFN_SHIFT,
    PFNS_PER_TURN = 256,
    PFNS_MAX = 64 << 10, /* of one request: 256 MiB; the rest is ignored */
    STATS_MAX = 32,      /* tags in one report */
};

/* Guest's words, in the order of the tags; UINT64_MAX: never said. */
enum { TAGS = VIRTIO_BALLOON_S_CACHES + 1 };

struct virtio_balloon {
    struct virtio_dev vdev; /* first */
    struct virtq_chain chain; /* io_lock */
    _Atomic uint64_t reported_bytes;
    _Atomic bool stats_wanted; /* set by who asks, cleared when the guest is asked */

    /* vdev.lock */
    uint32_t target_pages, actual_pages;
    uint64_t tag[TAGS];
    uint64_t asked_ns; /* guest time */

    /* io_lock: the buffer in which the guest will send its next figures */
    bool stats_held;
    uint16_t stats_head;
    uint32_t stats_epoch;
};

/* ---- inflate ---- */

static int pfn_order(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Gives pages back to the host, neighbours in one call. What is not RAM is skipped: the guest
 * says where its own memory is, wrongly. */
static void discard_pfns(struct virtio_balloon *b, uint32_t *pfn, unsigned n)
{
    qsort(pfn, n, sizeof *pfn, pfn_order);
    for (unsigned i = 0; i < n;) {
        unsigned run = 1;

        while (i + run < n && pfn[i + run] - pfn[i + run - 1] <= 1)
            run++; /* the next page, or the same one again */
        gmem_discard(b->vdev.env.mem, (uint64_t)pfn[i] * PFN_BYTES,
                     ((uint64_t)pfn[i + run - 1] - pfn[i] + 1) * PFN_BYTES);
        i += run;
    }
}

static void inflate(struct virtio_balloon *b)
{
    uint32_t pfn[PFNS_PER_TURN];
    size_t off = 0, len;

    while (off < PFNS_MAX * sizeof *pfn && !virtio_must_stop(&b->vdev) &&
           (len = virtq_copy_from(&b->chain, off, pfn, sizeof pfn)) >= sizeof *pfn) {
        for (unsigned i = 0; i < len / sizeof *pfn; i++)
            pfn[i] = le32toh(pfn[i]);
        discard_pfns(b, pfn, (unsigned)(len / sizeof *pfn));
        off += len;
    }
}

/* ---- free page reporting: section 5.5.6.7 ---- */

static void take_report(struct virtio_balloon *b)
{
    const struct virtq_chain *c = &b->chain;

    for (unsigned i = c->nout; i < (unsigned)c->nout + c->nin; i++)
        if (gmem_discard(b->vdev.env.mem, c->gpa[i], c->iov[i].iov_len) == 0)
            b->reported_bytes += c->iov[i].iov_len;
}

/* ---- statistics: section 5.5.6.3 ---- */

static void take_stats(struct virtio_balloon *b)
{
    struct virtio_balloon_stat s[STATS_MAX];
    size_t len = virtq_copy_from(&b->chain, 0, s, sizeof s);

    pthread_mutex_lock(&b->vdev.lock);
    for (unsigned i = 0; i < len / sizeof *s; i++)
        if (le16toh(s[i].tag) < TAGS)
            b->tag[le16toh(s[i].tag)] = le64toh(s[i].val);
    pthread_mutex_unlock(&b->vdev.lock);
}

/* Returns the buffer to the guest, which will fill and send it again. */
static void ask_stats(struct virtio_balloon *b, struct virtq *q)
{
    if (!b->stats_held || b->stats_epoch != q->epoch)
        return;
    b->stats_held = false;
    b->stats_wanted = false;
    virtq_push(q, b->stats_head, 0);
}

static unsigned serve_stats(struct virtio_balloon *b, struct virtq *q, unsigned budget)
{
    unsigned n = 0;

    while (n < budget && !virtio_must_stop(&b->vdev) && virtq_pop(q, &b->chain)) {
        if (b->stats_held && b->stats_epoch == q->epoch)
            virtq_push(q, b->stats_head, 0); /* a guest that sends more than one buffer */
        take_stats(b);
        b->stats_held = true;
        b->stats_head = b->chain.head;
        b->stats_epoch = q->epoch;
        n++;
    }
    if (b->stats_wanted)
        ask_stats(b, q);
    virtq_flush(q);
    return n;
}

/* ---- queues ---- */

static unsigned serve_pages(struct virtio_balloon *b, struct virtq *q, unsigned budget)
{
    unsigned n = 0;

    while (n < budget && !virtio_must_stop(&b->vdev) && virtq_pop(q, &b->chain)) {
        if (q->index == Q_INFLATE)
            inflate(b);
        else if (q->index >= Q_REPORT)
            take_report(b);
        /* deflated pages come back by themselves when they are touched */
        virtq_push(q, b->chain.head, 0);
        n++;
    }
    virtq_flush(q);
    return n;
}

static unsigned balloon_queue_notify(struct virtio_dev *d, unsigned qi, unsigned budget)
{
    struct virtio_balloon *b = (struct virtio_balloon *)d;
    struct virtq *q = &d->queue[qi].vq;

    return qi == Q_STATS ? serve_stats(b, q, budget) : serve_pages(b, q, budget);
}

/* ---- configuration ---- */

static void balloon_config_get(struct virtio_dev *d, void *config)
{
    const struct virtio_balloon *b = (struct virtio_balloon *)d;
    const uint32_t words[2] = {htole32(b->target_pages), htole32(b->actual_pages)};

    memcpy(config, words, sizeof words);
}

static void balloon_config_set(struct virtio_dev *d, unsigned off, unsigned size, uint32_t val)
{
    struct virtio_balloon *b = (struct virtio_balloon *)d;

    if (off == offsetof(struct virtio_balloon_config, actual) && size == 4)
        b->actual_pages = val;
}

static void balloon_reset_guest(struct virtio_dev *d)
{
    struct virtio_balloon *b = (struct virtio_balloon *)d;

    b->stats_held = false;
    pthread_mutex_lock(&d->lock);
    b->actual_pages = 0; /* a guest that starts anew has all its memory */
    memset(b->tag, 0xff, sizeof b->tag);
    pthread_mutex_unlock(&d->lock);
}

static const struct virtio_ops balloon_ops = {
    .config_get = balloon_config_get,
    .config_set = balloon_config_set,
    .queue_notify = balloon_queue_notify,
    .reset = balloon_reset_guest,
};

static const struct virtio_kind balloon_kind = {
    .device_id = VIRTIO_ID_BALLOON,
    .class_code = 0x00ff00,
    .features = 1ull << VIRTIO_BALLOON_F_STATS_VQ | 1ull << VIRTIO_BALLOON_F_DEFLATE_ON_OOM |
                1ull << VIRTIO_BALLOON_F_REPORTING,
    .config_bytes = 8,
    .nqueues = QUEUES,
    .queue_size = BALLOON_QUEUE_SIZE,
};

/* ---- for the board ---- */

int virtio_balloon_target(struct virtio_balloon *b, uint64_t bytes, struct err *e)
{
    const uint64_t all = gmem_size_bytes(b->vdev.env.mem);

    if (bytes > all)
        return err_set(e, EINVAL, "the guest has %llu MiB; it cannot give up %llu MiB",
                       (unsigned long long)(all >> 20), (unsigned long long)(bytes >> 20));
    pthread_mutex_lock(&b->vdev.lock);
    b->target_pages = (uint32_t)(bytes / PFN_BYTES);
    virtio_config_changed_locked(&b->vdev);
    pthread_mutex_unlock(&b->vdev.lock);
    return 0;
}

/* True if a second has passed since the guest was asked. vdev.lock held. */
static bool stats_old_locked(struct virtio_balloon *b)
{
    const uint64_t now = vclock_now_ns(b->vdev.env.clock);

    if (b->asked_ns && now - b->asked_ns < NS_PER_S)
        return false;
    b->asked_ns = now ? now : 1;
    return true;
}

void virtio_balloon_get(struct virtio_balloon *b, struct balloon_stats *s)
{
    bool ask;

    pthread_mutex_lock(&b->vdev.lock);
    *s = (struct balloon_stats){
        .swap_in_bytes = b->tag[VIRTIO_BALLOON_S_SWAP_IN],
        .swap_out_bytes = b->tag[VIRTIO_BALLOON_S_SWAP_OUT],
        .major_faults = b->tag[VIRTIO_BALLOON_S_MAJFLT],
        .minor_faults = b->tag[VIRTIO_BALLOON_S_MINFLT],
        .free_bytes = b->tag[VIRTIO_BALLOON_S_MEMFREE],
        .total_bytes = b->tag[VIRTIO_BALLOON_S_MEMTOT],
        .available_bytes = b->tag[VIRTIO_BALLOON_S_AVAIL],
        .disk_caches_bytes = b->tag[VIRTIO_BALLOON_S_CACHES],
        .actual_bytes = (uint64_t)b->actual_pages * PFN_BYTES,
        .target_bytes = (uint64_t)b->target_pages * PFN_BYTES,
        .reported_bytes = b->reported_bytes,
        .driver_ok = b->vdev.status & VIRTIO_CONFIG_S_DRIVER_OK,
    };
    ask = stats_old_locked(b);
    pthread_mutex_unlock(&b->vdev.lock);
    if (ask) {
        b->stats_wanted = true;
        virtio_kick(&b->vdev, Q_STATS);
    }
}

struct virtio_balloon *virtio_balloon_new(const struct virtio_env *env, struct err *e)
{
    struct virtio_balloon *b = calloc(1, sizeof *b);

    if (!b) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    memset(b->tag, 0xff, sizeof b->tag);
    if (virtio_init(&b->vdev, &balloon_ops, &balloon_kind, "balloon", env, env->io, e) < 0) {
        free(b);
        return NULL;
    }
    return b;
}

void virtio_balloon_free(struct virtio_balloon *b)
{
    if (!b)
        return;
    virtio_fini(&b->vdev);
    free(b);
}

struct virtio_dev *virtio_balloon_dev(struct virtio_balloon *b)
{
    return &b->vdev;
}
