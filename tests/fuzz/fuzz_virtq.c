/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A queue in memory that holds anything. Input: 8 bytes that place the rings, then memory
 * content. Each chain that the queue lets pass must lie in memory and within the limits; its
 * writable part is overwritten, which may hit the rings (T4). The work of one input is bounded
 * by the budget, as a device's is.
 */
#include "devices/virtq.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEM_BYTES = 1 << 20, LOW_BYTES = 64 << 10, PLACE_BYTES = 8 };

static struct gmem *mem;
static unsigned breaks;

static void interrupt(void *opaque, unsigned index)
{
    (void)opaque;
    if (index != 3)
        abort();
}

static void broken(void *opaque, unsigned index, const char *what)
{
    (void)opaque;
    (void)index;
    if (!what || !*what || ++breaks > 1)
        abort(); /* told once */
}

static const struct virtq_owner owner = {.interrupt = interrupt, .broken = broken};

static void check(const struct virtq_chain *c)
{
    const uint8_t *ram = gmem_ptr(mem, 0, MEM_BYTES);
    uint64_t out = 0, in = 0;

    if (c->nout + c->nin == 0 || c->nout + c->nin > VIRTQ_SEGS_MAX)
        abort();
    for (unsigned i = 0; i < (unsigned)c->nout + c->nin; i++) {
        const uint8_t *p = c->iov[i].iov_base;

        if (p != ram + c->gpa[i] || c->iov[i].iov_len == 0 ||
            c->iov[i].iov_len > (size_t)(ram + MEM_BYTES - p))
            abort();
        *(i < c->nout ? &out : &in) += c->iov[i].iov_len;
    }
    if (out != c->out_bytes || in != c->in_bytes || out + in > VIRTQ_BYTES_MAX)
        abort();
}

static void serve(struct virtq *q)
{
    static struct virtq_chain c;
    uint8_t buf[256];
    unsigned budget = q->size, n = 0;

    virtq_hush(q);
    while (n < budget && virtq_pop(q, &c)) {
        size_t len = virtq_copy_from(&c, 0, buf, sizeof buf);

        check(&c);
        n++;
        if (len && buf[0] == 0xee) {
            virtq_unpop(q, 1);
            break;
        }
        virtq_copy_to(q, &c, len ? buf[0] : 0, buf, sizeof buf);
        if (!(len && buf[0] == 0xdd)) /* else it stays in flight */
            virtq_push(q, c.head, (uint32_t)len);
        if (n % 4 == 0)
            virtq_flush(q);
    }
    virtq_flush(q);
    virtq_rearm(q);
    if (q->live && q->inflight > q->size)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct virtq_ring r;
    struct virtq q;
    size_t len;

    if (size < PLACE_BYTES)
        return 0;
    if (!mem)
        mem = gmem_new("fuzz", MEM_BYTES, NULL);
    len = size - PLACE_BYTES < LOW_BYTES ? size - PLACE_BYTES : LOW_BYTES;
    memset(gmem_ptr(mem, 0, LOW_BYTES), 0, LOW_BYTES);
    if (len)
        memcpy(gmem_ptr(mem, 0, len), data + PLACE_BYTES, len);
    breaks = 0;
    virtq_init(&q, mem, 3, &owner, NULL);
    r = (struct virtq_ring){
        .size = (uint16_t)(1u << data[0] % 11),
        .desc = data[1] * 16ull,
        .avail = (data[2] | data[3] << 8) & ~1u,
        .used = (data[4] | data[5] << 8) & ~3u,
        .event_idx = data[6] & 1,
        .indirect = data[6] & 2,
    };
    if (data[6] & 4) /* at the end of memory */
        r.desc += MEM_BYTES - 16ull * r.size;
    if (virtq_start(&q, &r) < 0)
        return 0;
    for (unsigned turn = 0; turn < 4; turn++)
        serve(&q);
    return 0;
}
