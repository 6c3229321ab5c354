/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * blkoverlay: see blkoverlay.h.
 */
#include "devices/blkoverlay.h"

#include "core/log.h"
#include "devices/blknbd.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { OVERLAY_VERSION = 1, PAGE = OVERLAY_BLOCK_BYTES };

static const char overlay_magic[8] = "RUCHEOV1";

struct overlay_header {
    char magic[8];
    uint32_t version;
    uint32_t block_bytes;
    uint64_t size_bytes;
    uint64_t base_size_bytes;
    uint64_t base_mtime_ns;
    uint64_t data_off;
    uint32_t crc; /* CRC-32 of all before */
    uint32_t zero;
};

_Static_assert(sizeof(struct overlay_header) == 56, "written to files");

struct blkoverlay {
    int fd;
    struct overlay_base base;
    uint64_t size_bytes;
    uint64_t data_off;     /* 0 if anonymous */
    uint64_t bitmap_bytes; /* padded to whole pages */
    uint64_t *bitmap;      /* anonymous mapping: only what is touched costs memory */
    uint8_t *page_dirty;   /* per page of the bitmap: differs from the file; NULL if anonymous */
};

static uint64_t blocks_of(uint64_t bytes)
{
    return (bytes + PAGE - 1) / PAGE;
}

static uint64_t bitmap_bytes_of(uint64_t size_bytes)
{
    return blocks_of((blocks_of(size_bytes) + 7) / 8) * PAGE;
}

/* ---- the bitmap ---- */

static bool block_here(const struct blkoverlay *o, uint64_t b)
{
    return o->bitmap[b / 64] >> (b % 64) & 1;
}

static void block_set(struct blkoverlay *o, uint64_t b)
{
    if (block_here(o, b))
        return;
    o->bitmap[b / 64] |= 1ull << (b % 64);
    if (o->page_dirty)
        o->page_dirty[b / 8 / PAGE] = 1;
}

static void blocks_set(struct blkoverlay *o, uint64_t b, uint64_t end)
{
    for (; b < end; b++)
        block_set(o, b);
}

/* How many blocks from `b`, at most `max`, are like `b`: here, or in the base. */
static uint64_t run_length(const struct blkoverlay *o, uint64_t b, uint64_t max)
{
    const uint64_t like = block_here(o, b) ? ~0ull : 0;
    uint64_t n = 0;

    while (n < max) {
        uint64_t at = b + n, differ = (o->bitmap[at / 64] ^ like) >> (at % 64);

        if (differ) {
            n += (uint64_t)__builtin_ctzll(differ);
            break;
        }
        n += 64 - at % 64;
    }
    return n < max ? n : max;
}

/* ---- reading ---- */

static int base_read(struct blkoverlay *o, struct iov *it, uint64_t off, uint64_t len)
{
    uint64_t in_base = off < o->base.size_bytes ? o->base.size_bytes - off : 0;
    int r = 0;

    if (in_base > len)
        in_base = len;
    if (in_base)
        r = o->base.nbd ? blknbd_read(o->base.nbd, it, off, in_base) : iov_pread(it, o->base.fd, off, in_base);
    if (r == 0)
        iov_zero(it, len - in_base);
    return r;
}

int blkoverlay_read(struct blkoverlay *o, struct iov *it, uint64_t off)
{
    uint64_t len = iov_bytes(it);

    while (len) {
        const uint64_t b = off / PAGE, end = (off + len - 1) / PAGE + 1;
        const bool here = block_here(o, b);
        uint64_t n = run_length(o, b, end - b) * PAGE - off % PAGE;
        int r;

        if (n > len)
            n = len;
        r = here ? iov_pread(it, o->fd, o->data_off + off, n) : base_read(o, it, off, n);
        if (r < 0)
            return r;
        off += n;
        len -= n;
    }
    return 0;
}

/* ---- writing ---- */

/* Brings a block of the base here, if it is not yet. */
static int copy_up(struct blkoverlay *o, uint64_t b)
{
    uint8_t buf[PAGE];
    struct iovec v = {.iov_base = buf, .iov_len = sizeof buf};
    int r;

    if (block_here(o, b))
        return 0;
    r = base_read(o, &(struct iov){.v = &v, .n = 1}, b * PAGE, sizeof buf);
    if (r < 0)
        return r;
    r = buf_pwrite(o->fd, o->data_off + b * PAGE, buf, sizeof buf);
    if (r == 0)
        block_set(o, b);
    return r;
}

/* The first and last block of a range, where it covers them only partly. */
static int copy_up_edges(struct blkoverlay *o, uint64_t off, uint64_t len)
{
    int r = 0;

    if (off % PAGE)
        r = copy_up(o, off / PAGE);
    if (r == 0 && (off + len) % PAGE && off + len < o->size_bytes)
        r = copy_up(o, (off + len) / PAGE);
    return r;
}

int blkoverlay_write(struct blkoverlay *o, struct iov *it, uint64_t off)
{
    const uint64_t len = iov_bytes(it);
    int r = copy_up_edges(o, off, len);

    if (r == 0)
        r = iov_pwrite(it, o->fd, o->data_off + off, len);
    if (r == 0)
        blocks_set(o, off / PAGE, blocks_of(off + len));
    return r;
}

static int write_zeros(struct blkoverlay *o, uint64_t off, uint64_t len)
{
    static const uint8_t zeros[PAGE];
    int r = 0;

    while (len && r == 0) {
        uint64_t n = PAGE - off % PAGE;
        struct iovec v = {.iov_base = (void *)(uintptr_t)zeros};

        v.iov_len = n = n < len ? n : len;
        r = blkoverlay_write(o, &(struct iov){.v = &v, .n = 1}, off);
        off += n;
        len -= n;
    }
    return r;
}

/* Whole blocks become holes that count as here; the edges are written. */
int blkoverlay_zero(struct blkoverlay *o, uint64_t off, uint64_t len)
{
    const uint64_t first = blocks_of(off) * PAGE;
    const uint64_t last = off + len == o->size_bytes ? blocks_of(off + len) * PAGE
                                                     : (off + len) / PAGE * PAGE;
    int r;

    if (first >= last)
        return write_zeros(o, off, len);
    if (fallocate(o->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(o->data_off + first),
                  (off_t)(last - first)) < 0)
        return errno == EOPNOTSUPP ? write_zeros(o, off, len) : -errno;
    blocks_set(o, first / PAGE, last / PAGE);
    r = write_zeros(o, off, first - off);
    if (r == 0 && off + len > last)
        r = write_zeros(o, last, off + len - last);
    return r;
}

static int bitmap_write_dirty(struct blkoverlay *o, bool *any)
{
    for (uint64_t p = 0; p < o->bitmap_bytes / PAGE; p++) {
        int r;

        if (!o->page_dirty[p])
            continue;
        r = buf_pwrite(o->fd, PAGE + p * PAGE, (uint8_t *)o->bitmap + p * PAGE, PAGE);
        if (r < 0)
            return r;
        o->page_dirty[p] = 0;
        *any = true;
    }
    return 0;
}

/* Data first, then the bits that make it visible. */
int blkoverlay_flush(struct blkoverlay *o)
{
    bool any = false;
    int r;

    if (!o->page_dirty)
        return 0; /* gone with the process: there is nothing that could be kept */
    if (fdatasync(o->fd) < 0)
        return -EIO;
    r = bitmap_write_dirty(o, &any);
    if (r == 0 && any && fdatasync(o->fd) < 0)
        r = -EIO;
    return r;
}

/* ---- creation and opening ---- */

static struct blkoverlay *overlay_alloc(int fd, const struct overlay_base *base, uint64_t size,
                                        bool named, struct err *e)
{
    struct blkoverlay *o = calloc(1, sizeof *o);

    if (!o) {
        err_set(e, ENOMEM, "out of memory");
        close(fd);
        return NULL;
    }
    o->fd = fd;
    o->base = *base;
    o->size_bytes = size;
    o->bitmap_bytes = bitmap_bytes_of(size);
    o->data_off = named ? PAGE + o->bitmap_bytes : 0;
    o->bitmap = mmap(NULL, o->bitmap_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (o->bitmap == MAP_FAILED)
        o->bitmap = NULL;
    if (named)
        o->page_dirty = calloc(o->bitmap_bytes / PAGE, 1);
    if (!o->bitmap || (named && !o->page_dirty)) {
        err_set(e, ENOMEM, "out of memory");
        blkoverlay_free(o);
        return NULL;
    }
    return o;
}

void blkoverlay_free(struct blkoverlay *o)
{
    if (!o)
        return;
    if (o->bitmap)
        munmap(o->bitmap, o->bitmap_bytes);
    free(o->page_dirty);
    close(o->fd);
    free(o);
}

uint64_t blkoverlay_size_bytes(const struct blkoverlay *o)
{
    return o->size_bytes;
}

static uint64_t file_bytes(const struct blkoverlay *o)
{
    return o->data_off + blocks_of(o->size_bytes) * PAGE;
}

static uint32_t header_crc(const struct overlay_header *h)
{
    return (uint32_t)crc32(0, (const uint8_t *)h, offsetof(struct overlay_header, crc));
}

static int header_write(struct blkoverlay *o)
{
    struct overlay_header h = {
        .version = OVERLAY_VERSION, .block_bytes = PAGE, .size_bytes = o->size_bytes,
        .base_size_bytes = o->base.size_bytes, .base_mtime_ns = o->base.mtime_ns,
        .data_off = o->data_off,
    };

    memcpy(h.magic, overlay_magic, sizeof h.magic);
    h.crc = header_crc(&h);
    return buf_pwrite(o->fd, 0, &h, sizeof h);
}

struct blkoverlay *blkoverlay_create(int fd, const struct overlay_base *base, uint64_t size_bytes,
                                     bool named, struct err *e)
{
    struct blkoverlay *o = overlay_alloc(fd, base, size_bytes, named, e);
    int r;

    if (!o)
        return NULL;
    r = ftruncate(fd, (off_t)file_bytes(o)) < 0 ? -errno : 0;
    if (r == 0 && named)
        r = header_write(o);
    if (r < 0) {
        err_set(e, -r, "an overlay of %llu bytes cannot be made: %s",
                (unsigned long long)size_bytes, strerror(-r));
        blkoverlay_free(o);
        return NULL;
    }
    return o;
}

/* A file is input like any other: nothing of the header is believed that does not add up. */
static int header_check(const struct overlay_header *h, const struct overlay_base *base,
                        const char *path, struct err *e)
{
    if (memcmp(h->magic, overlay_magic, sizeof h->magic) != 0)
        return err_set(e, EINVAL,
                       "%s exists and is not an overlay; remove it or name another file", path);
    if (h->version != OVERLAY_VERSION || h->block_bytes != PAGE)
        return err_set(e, EINVAL, "%s is an overlay of a later version; use a newer ruche", path);
    if (h->crc != header_crc(h) || h->size_bytes == 0 || h->size_bytes % 512 ||
        h->size_bytes > OVERLAY_MAX_BYTES || h->size_bytes < h->base_size_bytes ||
        h->data_off != PAGE + bitmap_bytes_of(h->size_bytes))
        return err_set(e, EINVAL, "the header of the overlay %s is damaged; restore a copy", path);
    if (h->base_size_bytes != base->size_bytes)
        return err_set(e, EINVAL,
                       "%s was made over a base of %llu bytes, but the base has %llu now; "
                       "give it its own base", path, (unsigned long long)h->base_size_bytes,
                       (unsigned long long)base->size_bytes);
    if (h->base_mtime_ns != base->mtime_ns)
        log_msg(LOG_WARN, "%s: its base has another time stamp than when the overlay was made; "
                "if it was changed, the disk is inconsistent", path);
    return 0;
}

/* Reads the bitmap, skipping what is a hole. */
static int bitmap_load(struct blkoverlay *o)
{
    const off_t end = (off_t)(PAGE + o->bitmap_bytes);
    off_t at = PAGE;

    while ((at = lseek(o->fd, at, SEEK_DATA)) >= 0 && at < end) {
        off_t hole = lseek(o->fd, at, SEEK_HOLE);
        size_t n = (size_t)((hole < 0 || hole > end ? end : hole) - at);
        int r = buf_pread(o->fd, (uint64_t)at, (uint8_t *)o->bitmap + (at - PAGE), n);

        if (r < 0)
            return r;
        at += (off_t)n;
    }
    return at < 0 && errno != ENXIO ? -errno : 0;
}

struct blkoverlay *blkoverlay_open(int fd, const struct overlay_base *base, const char *path,
                                   struct err *e)
{
    struct overlay_header h = {0};
    struct blkoverlay *o;
    struct stat st;
    int r;

    if (pread(fd, &h, sizeof h, 0) != sizeof h)
        memset(&h, 0, sizeof h);
    if (header_check(&h, base, path, e) < 0) {
        close(fd);
        return NULL;
    }
    o = overlay_alloc(fd, base, h.size_bytes, true, e);
    if (!o)
        return NULL;
    r = fstat(fd, &st) < 0 ? -errno : (uint64_t)st.st_size < file_bytes(o) ? -EIO : bitmap_load(o);
    if (r < 0) {
        err_set(e, -r, "the overlay %s cannot be read (%s); restore a copy", path, strerror(-r));
        blkoverlay_free(o);
        return NULL;
    }
    return o;
}
