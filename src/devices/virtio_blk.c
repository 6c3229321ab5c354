/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtio_blk: see virtio_blk.h. A request is handled from first to last byte before the next
 * one is taken; completions are shown to the guest in groups, each with one interrupt at the
 * most: when the queue runs empty, after SHOW_BYTES of data or SHOW_NS, and before anything
 * that is known to take the host long.
 *
 * Requests are the disk's own thread's, which may wait for the host. But a few reads of what the
 * host has in memory are done by the vCPU that asks (where its notification comes to us: not under
 * KVM): to wake two threads one after the other costs as much as to read some hundred KiB.
 */
#include "devices/virtio_blk.h"

#include "core/clock.h"
#include "core/loop.h"
#include "core/thread.h"
#include "core/vclock.h"
#include "devices/iov.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLK_QUEUE_SIZE = 256,
    BLK_SEG_MAX = VIRTQ_SEGS_MAX - 2, /* beside header and status */
    SECTOR = 512,
    RANGES_MAX = 32,               /* in one discard or write zeroes request */
    DISCARD_SECTORS_MAX = 1 << 22, /* 2 GiB */
    ZERO_SECTORS_MAX = 1 << 16,    /* 32 MiB: may have to be written */
    SHOW_BYTES = 512 << 10,
    SHOW_NS = 100 * 1000,
    AT_ONCE_REQUESTS = 4, AT_ONCE_BYTES = 1 << 20, /* the most that a vCPU reads itself */
    BURST_NS = 50 * 1000 * 1000, /* what an idle disk may save up of its limit */
    STACK_BYTES = 256 << 10,
    CONFIG_BYTES = offsetof(struct virtio_blk_config, unused1) + 3,
};

_Static_assert(CONFIG_BYTES == 60, "as in virtio 1.2 section 5.2.4");
_Static_assert(sizeof(struct virtio_blk_outhdr) == 16, "as in virtio 1.2 section 5.2.6");
_Static_assert(sizeof(struct virtio_blk_discard_write_zeroes) == 16, "likewise");

/* One rate: the next request may start when `free_ns` has come, and moves it on by its own
 * cost. What is owed for a large request is paid by waiting after it, never more. */
struct rate {
    uint64_t per_s;   /* 0: no limit */
    uint64_t free_ns; /* guest time */
};

struct virtio_blk {
    struct virtio_dev vdev; /* first */
    struct blkfile *file;
    char serial[VIRTIO_BLK_ID_BYTES];
    struct loop *own_loop; /* NULL: on env->io */
    pthread_t thread;
    bool thread_runs;
    struct vtimer timer; /* a limit lets the next request pass */
    _Atomic bool write_back;

    pthread_mutex_t limit_lock; /* rates; last in the order */
    struct rate iops, bytes;
    _Atomic bool limited;

    /* io_lock */
    struct virtq_chain chain;
    struct virtio_blk_outhdr header; /* of `chain`: read once */
    struct iovec iov[VIRTQ_SEGS_MAX]; /* the data of the request; used up */
    uint64_t unshown_bytes, unshown_ns;
    uint64_t held_since_ns; /* guest time; 0: no request waits for a limit */
    uint64_t began_ns;      /* guest time; of the request in hand */
    bool lost_told;         /* that the image's helper is lost */
    bool failed_told;       /* that the host's file gives errors */
    bool stalled;           /* the host has no room for the request in hand, `chain` */
    uint32_t stalled_epoch;
    _Atomic bool retry; /* set by virtio_blk_retry; partner: still_stalled */
    enum disk_op op;        /* of the request in hand; DISK_OPS: none that is timed */
    struct latency latency[DISK_OPS];
    _Atomic uint64_t held_ns;

    _Atomic uint64_t rd_bytes, wr_bytes, rd_reqs, wr_reqs, flush_reqs, discard_reqs, errors;
};

static void count(_Atomic uint64_t *what, uint64_t n)
{
    atomic_fetch_add_explicit(what, n, memory_order_relaxed);
}

/* ---- limits ---- */

static void rate_charge(struct rate *r, uint64_t cost, uint64_t now)
{
    if (r->per_s == 0)
        return;
    if (now > BURST_NS && r->free_ns < now - BURST_NS)
        r->free_ns = now - BURST_NS;
    r->free_ns += (uint64_t)((unsigned __int128)cost * NS_PER_S / r->per_s);
}

static void limit_charge(struct virtio_blk *b, uint64_t bytes)
{
    uint64_t now;

    if (!b->limited || b->stalled) /* a second attempt is no second request */
        return;
    now = vclock_now_ns(b->vdev.env.clock);
    pthread_mutex_lock(&b->limit_lock);
    rate_charge(&b->iops, 1, now);
    rate_charge(&b->bytes, bytes, now);
    pthread_mutex_unlock(&b->limit_lock);
}

/* True if the next request has to wait; then the timer will notify the queue. */
static bool limit_holds(struct virtio_blk *b)
{
    uint64_t due = 0, now;

    if (!b->limited)
        return false;
    now = vclock_now_ns(b->vdev.env.clock);
    pthread_mutex_lock(&b->limit_lock);
    if (b->iops.per_s)
        due = b->iops.free_ns;
    if (b->bytes.per_s && b->bytes.free_ns > due)
        due = b->bytes.free_ns;
    pthread_mutex_unlock(&b->limit_lock);
    if (due <= now)
        return false;
    if (!b->held_since_ns)
        b->held_since_ns = now;
    vtimer_arm(&b->timer, due);
    return true;
}

static void limit_timer(void *arg)
{
    struct virtio_blk *b = arg;

    virtio_kick(&b->vdev, 0);
}

/* A new limit starts from now: what was owed under the old one is forgiven. */
void virtio_blk_limit(struct virtio_blk *b, uint32_t iops, uint64_t bytes_per_s)
{
    const uint64_t now = vclock_now_ns(b->vdev.env.clock);

    pthread_mutex_lock(&b->limit_lock);
    b->iops = (struct rate){.per_s = iops, .free_ns = now};
    b->bytes = (struct rate){.per_s = bytes_per_s, .free_ns = now};
    b->limited = iops || bytes_per_s;
    pthread_mutex_unlock(&b->limit_lock);
    virtio_kick(&b->vdev, 0);
}

/* ---- completions ---- */

static void show(struct virtio_blk *b)
{
    virtq_flush(&b->vdev.queue[0].vq);
    b->unshown_bytes = 0;
    b->unshown_ns = 0;
}

static void show_if_due(struct virtio_blk *b, uint64_t bytes)
{
    const uint64_t now = clock_mono_ns();

    b->unshown_bytes += bytes;
    if (!b->unshown_ns)
        b->unshown_ns = now;
    if (b->unshown_bytes >= SHOW_BYTES || now - b->unshown_ns >= SHOW_NS)
        show(b);
}

/* ---- requests: each returns 0 or -errno ---- */

static bool writes_through(const struct virtio_blk *b)
{
    const struct virtio_dev *d = &b->vdev;

    /* virtio 1.2 section 5.2.6.2: without FLUSH a driver relies on write-through */
    return !virtio_has(d, VIRTIO_BLK_F_FLUSH) ||
           (virtio_has(d, VIRTIO_BLK_F_CONFIG_WCE) && !b->write_back);
}

static int do_flush(struct virtio_blk *b)
{
    b->op = DISK_FLUSH;
    if (!b->stalled)
        count(&b->flush_reqs, 1);
    show(b);
    return blkfile_flush(b->file);
}

static int do_transfer(struct virtio_blk *b, uint64_t sector, struct iov *data, bool write)
{
    const uint64_t len = iov_bytes(data);
    int r;

    if (len % SECTOR || sector > UINT64_MAX / SECTOR)
        return -EINVAL;
    limit_charge(b, len);
    r = write ? blkfile_write(b->file, data, sector * SECTOR)
              : blkfile_read(b->file, data, sector * SECTOR);
    if (r < 0)
        return r;
    r = write && writes_through(b) ? blkfile_flush(b->file) : 0;
    if (r == -ENOSPC)
        return r; /* comes again, whole */
    b->op = write ? DISK_WRITE : DISK_READ;
    count(write ? &b->wr_reqs : &b->rd_reqs, 1);
    count(write ? &b->wr_bytes : &b->rd_bytes, len);
    return r;
}

/* A legal range of a discard (`zero` false) or write zeroes request. section 5.2.6.2 */
static int do_range(struct virtio_blk *b, const struct virtio_blk_discard_write_zeroes *r,
                    bool zero)
{
    const uint64_t sector = le64toh(r->sector), n = le32toh(r->num_sectors);
    const uint32_t flags = le32toh(r->flags);

    if (flags & ~(zero ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0u))
        return -EOPNOTSUPP;
    if (n > (zero ? ZERO_SECTORS_MAX : DISCARD_SECTORS_MAX) || sector > UINT64_MAX / SECTOR)
        return -EINVAL;
    if (!zero)
        return blkfile_discard(b->file, sector * SECTOR, n * SECTOR);
    return blkfile_zero(b->file, sector * SECTOR, n * SECTOR, flags != 0);
}

static int do_ranges(struct virtio_blk *b, bool zero)
{
    struct virtio_blk_discard_write_zeroes range[RANGES_MAX];
    const size_t len = b->chain.out_bytes - sizeof(struct virtio_blk_outhdr);
    int r = 0;

    if (len == 0 || len % sizeof *range || len > sizeof range)
        return -EINVAL;
    virtq_copy_from(&b->chain, sizeof(struct virtio_blk_outhdr), range, len);
    if (!b->stalled)
        count(&b->discard_reqs, 1);
    limit_charge(b, 0);
    show(b);
    for (size_t i = 0; i < len / sizeof *range && r == 0; i++)
        r = do_range(b, &range[i], zero);
    return r == 0 && zero && writes_through(b) ? blkfile_flush(b->file) : r;
}

static int do_get_id(struct virtio_blk *b)
{
    size_t room = b->chain.in_bytes - 1u;

    virtq_copy_to(&b->vdev.queue[0].vq, &b->chain, 0, b->serial,
                  room < sizeof b->serial ? room : sizeof b->serial);
    return 0;
}

/* The data behind the header, or before the status byte, as a row of its own. */
static struct iov request_data(struct virtio_blk *b, bool write)
{
    const struct virtq_chain *c = &b->chain;
    struct iov it = {.v = b->iov, .n = write ? c->nout : c->nin};

    memcpy(b->iov, write ? c->iov : c->iov + c->nout, it.n * sizeof *b->iov);
    if (write)
        iov_skip(&it, sizeof(struct virtio_blk_outhdr));
    else
        iov_cut(&it, 1);
    return it;
}

static int do_request(struct virtio_blk *b, uint32_t type, uint64_t sector)
{
    struct iov data;

    switch (type) {
    case VIRTIO_BLK_T_IN:
    case VIRTIO_BLK_T_OUT:
        data = request_data(b, type == VIRTIO_BLK_T_OUT);
        return do_transfer(b, sector, &data, type == VIRTIO_BLK_T_OUT);
    case VIRTIO_BLK_T_FLUSH:
        return do_flush(b);
    case VIRTIO_BLK_T_GET_ID:
        return do_get_id(b);
    case VIRTIO_BLK_T_DISCARD:
    case VIRTIO_BLK_T_WRITE_ZEROES:
        return do_ranges(b, type == VIRTIO_BLK_T_WRITE_ZEROES);
    default:
        return -EOPNOTSUPP;
    }
}

/* Notes when the request in hand could have begun: before a limit held it. */
static void begin(struct virtio_blk *b)
{
    const uint64_t now = vclock_now_ns(b->vdev.env.clock);

    b->op = DISK_OPS;
    if (b->stalled)
        return;
    b->began_ns = b->held_since_ns ? b->held_since_ns : now;
    b->held_since_ns = 0;
    count(&b->held_ns, now - b->began_ns);
}

/* The request stays in hand, whole: what it wrote already is written again. */
static void stall(struct virtio_blk *b, struct virtq *q)
{
    b->retry = false;
    b->stalled = true;
    b->stalled_epoch = q->epoch;
    if (b->vdev.env.disk_full)
        b->vdev.env.disk_full(b->vdev.env.opaque, b->vdev.name);
}

static void tell(struct virtio_blk *b, const char *why)
{
    if (b->vdev.env.device_error)
        b->vdev.env.device_error(b->vdev.env.opaque, b->vdev.name, why);
}

/* A request failed by the host, not by its own mistake. Each kind is said once, the guest hears it each time. */
static void tell_failed(struct virtio_blk *b)
{
    char why[VIRTIO_ERROR_MAX];

    if (blkfile_lost(b->file)) { /* every later request fails at once */
        if (b->lost_told)
            return;
        b->lost_told = true;
        blkfile_why(b->file, why, sizeof why);
        tell(b, why);
    } else if (!b->failed_told) {
        b->failed_told = true;
        tell(b, b->op == DISK_FLUSH ? "the host cannot sync its file: look at its disk; what was written since the last sync may be lost"
                                    : "the host gives errors for its file: look at its disk, and whether the file is whole");
    }
}

static void answer(struct virtio_blk *b, struct virtq *q, uint8_t status)
{
    const struct virtq_chain *c = &b->chain;

    if (b->op < DISK_OPS)
        latency_add(&b->latency[b->op], vclock_now_ns(b->vdev.env.clock) - b->began_ns);
    virtq_copy_to(q, c, c->in_bytes - 1u, &status, 1); /* also says that the data has changed */
    virtq_push(q, c->head, c->in_bytes);
}

static void handle(struct virtio_blk *b, struct virtq *q)
{
    struct virtio_blk_outhdr *h = &b->header;
    struct virtq_chain *c = &b->chain;
    uint8_t status = VIRTIO_BLK_S_OK;
    int r;

    begin(b);
    if (!b->stalled && (virtq_copy_from(c, 0, h, sizeof *h) < sizeof *h || c->in_bytes == 0)) {
        virtq_break(q, "disk request without a header or a status byte");
        return;
    }
    r = do_request(b, le32toh(h->type), le64toh(h->sector));
    if (r == -ENOSPC) {
        stall(b, q);
        return;
    }
    b->stalled = false;
    if (r < 0) {
        status = r == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
        count(&b->errors, 1);
        if (r == -EIO)
            tell_failed(b);
    }
    answer(b, q, status);
    show_if_due(b, (uint64_t)c->in_bytes + c->out_bytes);
}

/* Tries the request in hand again if somebody asked for it. True: nothing behind it may pass. */
static bool still_stalled(struct virtio_blk *b, struct virtq *q)
{
    if (b->stalled && b->stalled_epoch != q->epoch)
        b->stalled = false; /* the queue was reset: it is not a request any more */
    if (b->stalled && atomic_exchange(&b->retry, false))
        handle(b, q);
    return b->stalled;
}

void virtio_blk_retry(struct virtio_blk *b)
{
    b->retry = true;
    virtio_kick(&b->vdev, 0);
}

static unsigned blk_queue_notify(struct virtio_dev *d, unsigned qi, unsigned budget)
{
    struct virtio_blk *b = (struct virtio_blk *)d;
    struct virtq *q = &d->queue[qi].vq;
    unsigned n = 0;

    while (!still_stalled(b, q) && n < budget && !virtio_must_stop(d) && virtq_has_work(q) && !limit_holds(b) &&
           virtq_pop(q, &b->chain)) {
        handle(b, q);
        n++;
    }
    show(b);
    return n;
}

/* What fails comes again, to the disk's thread, which tells the guest. */
static bool read_at_once(struct virtio_blk *b, size_t *room)
{
    const struct virtq_chain *c = &b->chain;
    struct virtio_blk_outhdr h;
    struct iov data;

    if (c->in_bytes == 0 || c->in_bytes - 1u > *room || virtq_copy_from(c, 0, &h, sizeof h) < sizeof h ||
        le32toh(h.type) != VIRTIO_BLK_T_IN)
        return false;
    *room -= c->in_bytes - 1u;
    begin(b);
    data = request_data(b, false);
    data.at_once = true;
    if (do_transfer(b, le64toh(h.sector), &data, false) == 0)
        return true;
    virtq_wrote(&b->vdev.queue[0].vq, c, c->in_bytes); /* a part has been read, perhaps */
    return false;
}

static bool blk_queue_at_once(struct virtio_dev *d, unsigned qi, unsigned waiting)
{
    struct virtio_blk *b = (struct virtio_blk *)d;
    struct virtq *q = &d->queue[qi].vq;
    size_t room = AT_ONCE_BYTES;

    if (waiting > AT_ONCE_REQUESTS || b->stalled || b->limited || b->held_since_ns)
        return false;
    for (; waiting && !virtio_must_stop(d) && virtq_pop(q, &b->chain); waiting--) {
        if (!read_at_once(b, &room)) {
            virtq_unpop(q, 1);
            break;
        }
        answer(b, q, VIRTIO_BLK_S_OK);
    }
    show(b);
    return !waiting;
}

/* ---- configuration ---- */

static void blk_config_get(struct virtio_dev *d, void *config)
{
    const struct virtio_blk *b = (struct virtio_blk *)d;
    struct virtio_blk_config c = {
        .capacity = htole64(blkfile_size_bytes(b->file) / SECTOR),
        .seg_max = htole32(BLK_SEG_MAX),
        .blk_size = htole32(SECTOR),
        .physical_block_exp = 3, /* 4 KiB: the host's pages, and an overlay's blocks */
        .min_io_size = htole16(8),
        .wce = b->write_back,
        .num_queues = htole16(1),
        .max_discard_sectors = htole32(DISCARD_SECTORS_MAX),
        .max_discard_seg = htole32(RANGES_MAX),
        .discard_sector_alignment = htole32(8),
        .max_write_zeroes_sectors = htole32(ZERO_SECTORS_MAX),
        .max_write_zeroes_seg = htole32(RANGES_MAX),
        .write_zeroes_may_unmap = 1,
    };

    memcpy(config, &c, CONFIG_BYTES);
}

static void blk_config_set(struct virtio_dev *d, unsigned off, unsigned size, uint32_t val)
{
    struct virtio_blk *b = (struct virtio_blk *)d;

    if (off == offsetof(struct virtio_blk_config, wce) && size == 1 &&
        virtio_has(d, VIRTIO_BLK_F_CONFIG_WCE))
        b->write_back = val & 1;
}

static void blk_reset(struct virtio_dev *d)
{
    struct virtio_blk *b = (struct virtio_blk *)d;

    b->write_back = true;
    b->unshown_bytes = b->unshown_ns = 0;
    b->held_since_ns = 0;
    b->stalled = false;
}

static const struct virtio_ops blk_ops = {
    .config_get = blk_config_get,
    .config_set = blk_config_set,
    .queue_notify = blk_queue_notify,
    .queue_at_once = blk_queue_at_once,
    .reset = blk_reset,
};

static uint64_t blk_features(const struct blkfile *f)
{
    const uint64_t all = 1ull << VIRTIO_BLK_F_SEG_MAX | 1ull << VIRTIO_BLK_F_BLK_SIZE |
                         1ull << VIRTIO_BLK_F_TOPOLOGY | 1ull << VIRTIO_BLK_F_FLUSH;

    if (blkfile_readonly(f))
        return all | 1ull << VIRTIO_BLK_F_RO;
    return all | 1ull << VIRTIO_BLK_F_CONFIG_WCE | 1ull << VIRTIO_BLK_F_DISCARD |
           1ull << VIRTIO_BLK_F_WRITE_ZEROES;
}

/* ---- life ---- */

static void *disk_thread(void *arg)
{
    struct virtio_blk *b = arg;
    const struct virtio_env *env = &b->vdev.env;

    pthread_setname_np(pthread_self(), "disk");
    if (env->thread_started)
        env->thread_started(env->opaque, b->vdev.name);
    loop_run(b->own_loop);
    return NULL;
}

static int blk_init(struct virtio_blk *b, const struct virtio_env *env,
                    const struct virtio_blk_opts *o, struct err *e)
{
    const struct virtio_kind kind = {
        .device_id = VIRTIO_ID_BLOCK, .class_code = 0x018000, .config_bytes = CONFIG_BYTES,
        .features = blk_features(b->file), .nqueues = 1, .queue_size = BLK_QUEUE_SIZE,
    };
    struct loop *loop = env->io;
    char serial[sizeof b->vdev.name + 8];
    int r;

    if (!o->on_env_loop && !(loop = b->own_loop = loop_new(e)))
        return -ENOMEM;
    r = virtio_init(&b->vdev, &blk_ops, &kind, o->name, env, loop, e);
    if (r < 0)
        return r;
    snprintf(serial, sizeof serial, "ruche-%s", b->vdev.name);
    memcpy(b->serial, serial, strnlen(serial, sizeof b->serial)); /* need not be terminated */
    vtimer_init(&b->timer, env->clock, limit_timer, b);
    virtio_blk_limit(b, o->iops, o->bytes_per_s);
    if (blkfile_helper(b->file) && env->helper_started)
        env->helper_started(env->opaque, blkfile_helper(b->file));
    if (!b->own_loop)
        return 0;
    r = thread_start(&b->thread, b->vdev.name, STACK_BYTES, disk_thread, b, e);
    b->thread_runs = r == 0;
    return r;
}

struct virtio_blk *virtio_blk_new(const struct virtio_env *env, const struct virtio_blk_opts *o,
                                  struct blkfile *file, struct err *e)
{
    struct virtio_blk *b = calloc(1, sizeof *b);

    if (!b) {
        err_set(e, ENOMEM, "out of memory");
        blkfile_free(file);
        return NULL;
    }
    b->file = file;
    b->write_back = true;
    pthread_mutex_init(&b->limit_lock, NULL);
    if (blk_init(b, env, o, e) < 0) {
        virtio_blk_free(b);
        return NULL;
    }
    return b;
}

void virtio_blk_free(struct virtio_blk *b)
{
    if (!b)
        return;
    if (b->thread_runs) {
        loop_stop(b->own_loop);
        pthread_join(b->thread, NULL);
    }
    vtimer_cancel(&b->timer);
    virtio_fini(&b->vdev);
    loop_free(b->own_loop);
    blkfile_free(b->file);
    pthread_mutex_destroy(&b->limit_lock);
    free(b);
}

struct virtio_dev *virtio_blk_dev(struct virtio_blk *b)
{
    return &b->vdev;
}

void virtio_blk_stats(struct virtio_blk *b, struct disk_stats *s)
{
    *s = (struct disk_stats){
        .rd_bytes = b->rd_bytes,
        .wr_bytes = b->wr_bytes,
        .rd_reqs = b->rd_reqs,
        .wr_reqs = b->wr_reqs,
        .flush_reqs = b->flush_reqs,
        .discard_reqs = b->discard_reqs,
        .errors = b->errors,
        .capacity_bytes = blkfile_size_bytes(b->file),
        .readonly = blkfile_readonly(b->file),
        .held_ns = b->held_ns,
    };
    snprintf(s->name, sizeof s->name, "%s", b->vdev.name);
    for (int i = 0; i < DISK_OPS; i++)
        s->latency[i] = latency_read(&b->latency[i]);
    pthread_mutex_lock(&b->limit_lock);
    s->iops = (uint32_t)b->iops.per_s;
    s->bytes_per_s = b->bytes.per_s;
    pthread_mutex_unlock(&b->limit_lock);
}
