/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtq: see virtq.h. Ring words and descriptors are read with relaxed atomics: a guest may
 * write them at the same moment, and whatever value is found is checked after it was read.
 * Host and guest are both little endian.
 */
#include "devices/virtq.h"

#include <errno.h>
#include <linux/virtio_ring.h>
#include <string.h>

/* Words of the two rings, as indices into arrays of uint16_t. */
enum { RING_FLAGS = 0, RING_IDX = 1, RING_ENTRIES = 2 };

_Static_assert(sizeof(struct vring_desc) == 16, "a descriptor is two 64-bit words");
_Static_assert(sizeof(struct vring_used_elem) == 8, "a used element is four 16-bit words");

static uint16_t load16(const uint16_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void store16(struct virtq *q, unsigned word, uint16_t val)
{
    __atomic_store_n(&q->used[word], val, __ATOMIC_RELAXED);
    gmem_dirty(q->mem, q->used_gpa + 2ull * word, 2);
}

/* The event index fields lie behind the entries. virtio 1.2 section 2.7.7. */
static unsigned used_event_word(const struct virtq *q)
{
    return RING_ENTRIES + q->size;
}

static unsigned avail_event_word(const struct virtq *q)
{
    return RING_ENTRIES + 4u * q->size;
}

void virtq_init(struct virtq *q, struct gmem *mem, unsigned index, const struct virtq_owner *owner,
                void *opaque)
{
    *q = (struct virtq){.mem = mem, .index = index, .owner = owner, .opaque = opaque};
}

static void *ring_ptr(struct virtq *q, uint64_t gpa, uint64_t len, unsigned align)
{
    return gpa & (align - 1) ? NULL : gmem_ptr(q->mem, gpa, len);
}

int virtq_start(struct virtq *q, const struct virtq_ring *r)
{
    const uint64_t n = r->size;

    virtq_stop(q);
    if (n == 0 || n > VIRTQ_SIZE_MAX || (n & (n - 1)))
        return -EINVAL;
    q->desc = ring_ptr(q, r->desc, 16 * n, 16);
    q->avail = ring_ptr(q, r->avail, 2 * n + 6, 2);
    q->used = ring_ptr(q, r->used, 8 * n + 6, 4);
    if (!q->desc || !q->avail || !q->used)
        return -EINVAL;
    q->size = r->size;
    q->used_gpa = r->used;
    q->event_idx = r->event_idx;
    q->indirect = r->indirect;
    q->last_avail = q->avail_seen = q->used_idx = q->used_shown = q->inflight = 0;
    q->put_back = false;
    q->epoch++;
    q->live = true;
    return 0;
}

void virtq_stop(struct virtq *q)
{
    q->live = false;
    q->desc = NULL;
    q->avail = NULL;
    q->used = NULL;
}

void virtq_break(struct virtq *q, const char *what)
{
    if (!q->live)
        return;
    virtq_stop(q);
    q->owner->broken(q->opaque, q->index, what);
}

/* Reads how far the guest is; false if there is nothing new or the queue broke. */
static bool avail_refresh(struct virtq *q)
{
    uint16_t idx;

    if (!q->live)
        return false;
    /* acquire: pairs with the guest's write barrier between filling ring entries and avail.idx */
    idx = __atomic_load_n(&q->avail[RING_IDX], __ATOMIC_ACQUIRE);
    if ((uint16_t)(idx - q->last_avail) > q->size) {
        virtq_break(q, "available index runs ahead of the queue");
        return false;
    }
    q->avail_seen = idx;
    return idx != q->last_avail;
}

unsigned virtq_waiting(struct virtq *q)
{
    return avail_refresh(q) ? (uint16_t)(q->avail_seen - q->last_avail) : 0;
}

bool virtq_has_work(struct virtq *q)
{
    return q->live && (q->avail_seen != q->last_avail || avail_refresh(q));
}

struct desc_table {
    const uint64_t *words; /* two per descriptor */
    uint32_t len;
    bool indirect;
};

/* Each word is read once; what tears between the two is the guest's own doing and is checked. */
static struct vring_desc desc_load(const struct desc_table *t, uint32_t i)
{
    uint64_t lo = __atomic_load_n(&t->words[2 * (uint64_t)i], __ATOMIC_RELAXED);
    uint64_t hi = __atomic_load_n(&t->words[2 * (uint64_t)i + 1], __ATOMIC_RELAXED);

    return (struct vring_desc){.addr = lo, .len = (uint32_t)hi, .flags = (uint16_t)(hi >> 32),
                               .next = (uint16_t)(hi >> 48)};
}

/* Moves into the indirect table that `d` names; a sentence if it may not. */
static const char *table_enter(struct virtq *q, struct desc_table *t, const struct vring_desc *d)
{
    if (!q->indirect)
        return "indirect descriptor was not negotiated";
    if (t->indirect)
        return "indirect descriptor inside an indirect table";
    if (d->flags & VRING_DESC_F_NEXT)
        return "indirect descriptor with a next one";
    if (d->len == 0 || d->len % sizeof *d)
        return "length of an indirect table is not a multiple of 16";
    /* the standard asks for no alignment here; our word-wise reads do, and drivers give it */
    t->words = ring_ptr(q, d->addr, d->len, 8);
    if (!t->words)
        return "indirect table is not in memory or not aligned to 8";
    t->len = d->len / sizeof *d;
    t->indirect = true;
    return NULL;
}

/* Appends one buffer to the chain; a sentence if it may not. */
static const char *chain_add(struct virtq *q, struct virtq_chain *c, const struct vring_desc *d)
{
    const unsigned n = c->nout + c->nin;
    const bool in = d->flags & VRING_DESC_F_WRITE;
    void *p;

    if (n == VIRTQ_SEGS_MAX)
        return "descriptor chain is too long";
    if (!in && c->nin)
        return "readable descriptor after a writable one";
    if ((uint64_t)c->out_bytes + c->in_bytes + d->len > VIRTQ_BYTES_MAX)
        return "request is larger than 1 GiB";
    p = gmem_ptr(q->mem, d->addr, d->len);
    if (!p)
        return d->len ? "buffer is not in memory" : "buffer is empty";
    c->iov[n] = (struct iovec){.iov_base = p, .iov_len = d->len};
    c->gpa[n] = d->addr;
    c->nout += !in;
    c->nin += in;
    *(in ? &c->in_bytes : &c->out_bytes) += d->len;
    return NULL;
}

/* Collects the chain that starts at `head`; a sentence if it breaks a rule. Bounded: each table
 * is left after at most as many steps as it has entries, or after VIRTQ_SEGS_MAX buffers. */
static const char *chain_walk(struct virtq *q, uint16_t head, struct virtq_chain *c)
{
    struct desc_table t = {.words = q->desc, .len = q->size};
    uint32_t i = head, steps = 0;
    const char *wrong;

    c->head = head;
    c->nout = c->nin = 0;
    c->out_bytes = c->in_bytes = 0;
    for (;;) {
        struct vring_desc d;

        if (steps++ == t.len)
            return "descriptor chain loops";
        d = desc_load(&t, i);
        if (d.flags & VRING_DESC_F_INDIRECT) {
            if ((wrong = table_enter(q, &t, &d)) != NULL)
                return wrong;
            i = steps = 0;
            continue;
        }
        if ((wrong = chain_add(q, c, &d)) != NULL)
            return wrong;
        if (!(d.flags & VRING_DESC_F_NEXT))
            return NULL;
        i = d.next;
        if (i >= t.len)
            return "next descriptor is outside its table";
    }
}

int virtq_pop(struct virtq *q, struct virtq_chain *c)
{
    const char *wrong;
    uint16_t head;

    if (!virtq_has_work(q))
        return 0;
    if (q->inflight == q->size) {
        virtq_break(q, "more requests in flight than the queue has entries");
        return 0;
    }
    head = load16(&q->avail[RING_ENTRIES + (q->last_avail & (q->size - 1))]);
    wrong = head < q->size ? chain_walk(q, head, c) : "head descriptor is outside the queue";
    if (wrong) {
        virtq_break(q, wrong);
        return 0;
    }
    q->last_avail++;
    q->inflight++;
    q->put_back = false;
    return 1;
}

void virtq_unpop(struct virtq *q, unsigned n)
{
    if (!q->live)
        return;
    if (n > q->inflight)
        n = q->inflight;
    q->put_back = n > 0;
    q->last_avail = (uint16_t)(q->last_avail - n);
    q->inflight = (uint16_t)(q->inflight - n);
}

void virtq_push(struct virtq *q, uint16_t head, uint32_t written)
{
    unsigned word;

    if (!q->live || q->inflight == 0)
        return;
    word = RING_ENTRIES + 4u * (q->used_idx & (q->size - 1));
    __atomic_store_n((uint32_t *)(void *)&q->used[word], head, __ATOMIC_RELAXED);
    __atomic_store_n((uint32_t *)(void *)&q->used[word + 2], written, __ATOMIC_RELAXED);
    gmem_dirty(q->mem, q->used_gpa + 2ull * word, 8);
    q->used_idx++;
    q->inflight--;
}

/* Did the guest ask to hear of anything between `old` and now? virtio 1.2 section 2.7.7.2. */
static bool interrupt_wanted(struct virtq *q, uint16_t old)
{
    uint16_t event;

    if (!q->event_idx)
        return !(load16(&q->avail[RING_FLAGS]) & VRING_AVAIL_F_NO_INTERRUPT);
    event = load16(&q->avail[used_event_word(q)]);
    return vring_need_event(event, q->used_idx, old);
}

void virtq_flush(struct virtq *q)
{
    const uint16_t old = q->used_shown;

    if (!q->live || q->used_idx == old)
        return;
    /* release: pairs with the guest's read barrier between used.idx and the used entries */
    __atomic_store_n(&q->used[RING_IDX], q->used_idx, __ATOMIC_RELEASE);
    gmem_dirty(q->mem, q->used_gpa + 2 * RING_IDX, 2);
    q->used_shown = q->used_idx;
    /* full: pairs with the guest's barrier between writing used_event (or flags) and reading
     * used.idx once more; one of us sees the other's write */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (interrupt_wanted(q, old))
        q->owner->interrupt(q->opaque, q->index);
}

void virtq_hush(struct virtq *q)
{
    /* with event indices an avail_event left in the past keeps the guest quiet */
    if (q->live && !q->event_idx)
        store16(q, RING_FLAGS, VRING_USED_F_NO_NOTIFY);
}

bool virtq_rearm(struct virtq *q)
{
    const uint16_t seen = q->avail_seen;

    if (!q->live)
        return false;
    if (q->event_idx)
        store16(q, avail_event_word(q), q->put_back ? seen : q->last_avail);
    else
        store16(q, RING_FLAGS, 0);
    /* full: pairs with the guest's barrier between writing avail.idx and reading avail_event
     * (or flags); either we see its chain or it sees that we want to be told */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return avail_refresh(q) && (!q->put_back || q->avail_seen != seen);
}

/* Copies between `buf` and a row of segments, skipping `off` bytes. */
static size_t segs_copy(const struct iovec *v, unsigned n, size_t off, void *buf, size_t len,
                        bool to)
{
    size_t done = 0;

    for (unsigned i = 0; i < n && done < len; i++) {
        size_t room = v[i].iov_len;

        if (off >= room) {
            off -= room;
            continue;
        }
        room -= off;
        if (room > len - done)
            room = len - done;
        if (to)
            memcpy((uint8_t *)v[i].iov_base + off, (uint8_t *)buf + done, room);
        else
            memcpy((uint8_t *)buf + done, (const uint8_t *)v[i].iov_base + off, room);
        done += room;
        off = 0;
    }
    return done;
}

size_t virtq_copy_from(const struct virtq_chain *c, size_t off, void *buf, size_t len)
{
    return segs_copy(c->iov, c->nout, off, buf, len, false);
}

size_t virtq_copy_to(struct virtq *q, const struct virtq_chain *c, size_t off, const void *buf,
                     size_t len)
{
    size_t done = segs_copy(c->iov + c->nout, c->nin, off, (void *)(uintptr_t)buf, len, true);

    virtq_wrote(q, c, off + done);
    return done;
}

void virtq_wrote(struct virtq *q, const struct virtq_chain *c, size_t len)
{
    for (unsigned i = c->nout; i < (unsigned)c->nout + c->nin && len; i++) {
        size_t n = c->iov[i].iov_len < len ? c->iov[i].iov_len : len;

        gmem_dirty(q->mem, c->gpa[i], n);
        len -= n;
    }
}
