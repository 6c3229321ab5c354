/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtio_blk: a disk. virtio 1.2 section 5.2: read, write, flush, id, discard, write zeroes,
 * write-back switch; one queue. Data goes straight between the host file and guest memory.
 *
 * When the host has no room for a write, the request is not completed with an error, which
 * guests answer by giving up their file system: it stays in hand, env.disk_full is told, and
 * virtio_blk_retry tries it again. A reset drops it.
 *
 * Threads: a disk has its own thread and loop: it may block in the host's storage for as long
 * as it likes without stalling the guest's console or timers, and a notification reaches it
 * without a detour. The rest as in virtio.h. Figures are atomics, readable from any thread.
 */
#ifndef RUCHE_DEVICES_VIRTIO_BLK_H
#define RUCHE_DEVICES_VIRTIO_BLK_H

#include "core/board.h"
#include "devices/blkfile.h"
#include "devices/virtio.h"

struct virtio_blk;

struct virtio_blk_opts {
    const char *name; /* "vda": in statistics, errors, and (prefixed) the disk's serial number */
    bool on_env_loop; /* serve on env->io instead of a thread of its own (tests) */
    uint32_t iops;    /* limits, 0: none */
    uint64_t bytes_per_s;
};

/* Takes `file`, also when it fails. */
struct virtio_blk *virtio_blk_new(const struct virtio_env *env, const struct virtio_blk_opts *o,
                                  struct blkfile *file, struct err *e);
void virtio_blk_free(struct virtio_blk *b);
struct virtio_dev *virtio_blk_dev(struct virtio_blk *b);

/* Any thread, no lock held, never waits. `s->name` lives as long as the disk. */
void virtio_blk_stats(struct virtio_blk *b, struct disk_stats *s);
void virtio_blk_limit(struct virtio_blk *b, uint32_t iops, uint64_t bytes_per_s);
void virtio_blk_retry(struct virtio_blk *b); /* if it holds a request for want of room */

#endif
