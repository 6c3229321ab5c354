/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtq: the device's side of one split virtqueue. virtio 1.2 section 2.7.
 *
 *   driver                            device
 *   desc[] -- avail.ring[] --------->  virtq_pop   a chain, copied in and checked
 *          <- used.ring[]  ---------   virtq_push  any number, not yet visible
 *          <- used.idx, interrupt --   virtq_flush all of them at once
 *
 * The addresses and size are a private copy, checked when the queue starts; what the guest
 * does to its registers later changes nothing. A descriptor is read once into a local. A
 * chain has at most as many descriptors as its table and VIRTQ_SEGS_MAX, one level of
 * indirection, no empty buffer, every byte in RAM. Anything else breaks the queue: it then
 * reads as empty until the device is reset, and `owner` is told once.
 *
 * Threads: one at a time (the device's io_lock). The guest's vCPUs run against us all the time.
 */
#ifndef RUCHE_DEVICES_VIRTQ_H
#define RUCHE_DEVICES_VIRTQ_H

#include "core/err.h"
#include "core/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum { VIRTQ_SIZE_MAX = 1024, VIRTQ_SEGS_MAX = 256 };
#define VIRTQ_BYTES_MAX (1ull << 30) /* of one chain */

struct virtq_owner {
    void (*interrupt)(void *opaque, unsigned index);
    void (*broken)(void *opaque, unsigned index, const char *what);
};

struct virtq_ring { /* what the guest programmed */
    uint16_t size;
    uint64_t desc, avail, used;
    bool event_idx, indirect; /* negotiated */
};

struct virtq {
    struct gmem *mem;
    const struct virtq_owner *owner;
    void *opaque;
    unsigned index;

    bool live;
    bool event_idx, indirect;
    uint16_t size;
    uint16_t last_avail;   /* next entry of avail.ring to take */
    uint16_t avail_seen;   /* avail.idx when last read */
    uint16_t used_idx;     /* next entry of used.ring to fill */
    uint16_t used_shown;   /* used.idx as the guest sees it */
    uint16_t inflight;     /* popped, not yet pushed or put back */
    bool put_back;         /* chains were, and none was popped since */
    uint32_t epoch;        /* counts starts: who completes later compares */
    uint64_t used_gpa;
    const uint64_t *desc;  /* two words per descriptor; all three point into guest memory */
    const uint16_t *avail;
    uint16_t *used;
};

/* One request. iov[0..nout) the device reads, iov[nout..nout+nin) it writes; gpa[] likewise.
 * The bytes behind iov may change at any time. */
struct virtq_chain {
    uint16_t head;
    uint16_t nout, nin;
    uint32_t out_bytes, in_bytes;
    struct iovec iov[VIRTQ_SEGS_MAX];
    uint64_t gpa[VIRTQ_SEGS_MAX];
};

void virtq_init(struct virtq *q, struct gmem *mem, unsigned index, const struct virtq_owner *owner,
                void *opaque);

/* Checks and starts. -EINVAL: size, alignment or addresses are not legal. */
int virtq_start(struct virtq *q, const struct virtq_ring *r) RUCHE_MUST_CHECK;
void virtq_stop(struct virtq *q);

/* Stops the queue and tells the owner. `what`: a short sentence. */
void virtq_break(struct virtq *q, const char *what);

/* 1: `c` is the next chain. 0: none (or the queue is broken). */
int virtq_pop(struct virtq *q, struct virtq_chain *c);

/* Puts the last `n` popped chains back, newest first. */
void virtq_unpop(struct virtq *q, unsigned n);

/* Returns a chain of which the device wrote the first `written` bytes. Not visible yet. */
void virtq_push(struct virtq *q, uint16_t head, uint32_t written);

/* Shows all pushed chains to the guest, and interrupts it if it asked for that. */
void virtq_flush(struct virtq *q);

/* Asks the guest not to notify (a hint). */
void virtq_hush(struct virtq *q);

/* Asks for a notification about the next chain; true if there is one already. Chains that were put back wait for more
 * of them: the next is one that has not been seen. */
bool virtq_rearm(struct virtq *q);

/* True if there is at least one chain to pop; how many there are now. */
bool virtq_has_work(struct virtq *q);
unsigned virtq_waiting(struct virtq *q);

/* Copies from the readable / to the writable part of a chain, from byte `off`; returns how many
 * bytes fitted. virtq_copy_to also tells gmem that they changed. */
size_t virtq_copy_from(const struct virtq_chain *c, size_t off, void *buf, size_t len);
size_t virtq_copy_to(struct virtq *q, const struct virtq_chain *c, size_t off, const void *buf,
                     size_t len);

/* Tells gmem that the first `len` writable bytes were changed through iov. */
void virtq_wrote(struct virtq *q, const struct virtq_chain *c, size_t len);

#endif
