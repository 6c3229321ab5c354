/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * blkqcow2: see blkqcow2.h. The format: QEMU's docs/interop/qcow2.txt.
 */
#include "devices/blkqcow2.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct header { /* big endian */
    char magic[4];
    uint32_t version;
    uint64_t backing_at;
    uint32_t backing_len, cluster_bits;
    uint64_t size;
    uint32_t crypt, l1_entries;
    uint64_t l1_at, refcounts_at;
    uint32_t refcount_clusters, snapshots;
    uint64_t snapshots_at;
    uint64_t incompatible; /* from version 3 on, as what follows */
    uint64_t compatible, autoclear;
    uint32_t refcount_order, header_len;
} __attribute__((packed));

_Static_assert(sizeof(struct header) == 104, "as in files");

enum {
    CHAIN_MAX = 64,
    NAME_MAX_BYTES = 1023,
    L1_ENTRIES_MAX = 4 << 20,
    TABLES_MAX = 512,          /* L2 tables that are looked into: 256 GiB with clusters of 64 KiB */
    VERSION_2_BYTES = 72,
};

#define ENTRY_OFFSET 0x00fffffffffffe00ull
#define ENTRY_COMPRESSED (1ull << 62)
#define INCOMPATIBLE_CORRUPT (1ull << 1)
#define INCOMPATIBLE_DATA_FILE (1ull << 2)
#define INCOMPATIBLE_EXTENDED (1ull << 4)
#define EXTENSION_BACKING_FORMAT 0xe2792acau

struct image {
    const char *path;
    int fd;
    uint64_t bytes; /* of the file */
    dev_t dev;
    ino_t ino;
    unsigned cluster_bits;
    uint64_t incompatible;
    struct header h;
    char backing[PATH_MAX]; /* "": none, or one that is no plain file name */
    char backing_format[16];
};

static int damaged(const struct image *m, const char *what, struct err *e)
{
    return err_set(e, EINVAL, "%s is a damaged qcow2 image: %s; take a copy that is whole, or see what "
                   "`qemu-img check -r all %s` can mend", m->path, what, m->path);
}

static int truncated(const struct image *m, uint64_t needs, struct err *e)
{
    return err_set(e, EINVAL, "%s is cut off: the file has %llu bytes, and what it says of itself needs %llu; "
                   "copy or fetch it again", m->path, (unsigned long long)m->bytes, (unsigned long long)needs);
}

/* Does `len` bytes at `at` lie in the file? */
static int in_file(const struct image *m, uint64_t at, uint64_t len, struct err *e)
{
    const uint64_t disk = be64toh(m->h.size), most = disk < 1ull << 60 ? 2 * disk + (1ull << 30) : UINT64_MAX;

    if (at > UINT64_MAX - len || (at + len > most && at + len > m->bytes))
        return damaged(m, "it points far beyond its end", e);
    return at + len > m->bytes ? truncated(m, at + len, e) : 0;
}

static int read_at(const struct image *m, void *buf, size_t len, uint64_t at, struct err *e)
{
    const ssize_t n = pread(m->fd, buf, len, (off_t)at);

    if (n < 0)
        return err_set(e, errno, "%s cannot be read: %s", m->path, strerror(errno));
    return (size_t)n < len ? truncated(m, at + len, e) : 0;
}

/* ---- header ---- */

static int check_header(struct image *m, struct err *e)
{
    const struct header *h = &m->h;
    const uint32_t version = be32toh(h->version);
    char what[80];

    if (version != 2 && version != 3) {
        snprintf(what, sizeof what, "its version is %u, and there are 2 and 3", version);
        return damaged(m, what, e);
    }
    m->cluster_bits = be32toh(h->cluster_bits);
    m->incompatible = version >= 3 ? be64toh(h->incompatible) : 0;
    if (m->cluster_bits < 9 || m->cluster_bits > 21)
        return damaged(m, "the size of its clusters is none", e);
    if (m->incompatible & INCOMPATIBLE_CORRUPT)
        return damaged(m, "who wrote it last has marked it so", e);
    if (be32toh(h->crypt))
        return err_set(e, EINVAL, "%s is encrypted: convert it with `qemu-img convert` to one that is not", m->path);
    if (be32toh(h->l1_entries) > L1_ENTRIES_MAX)
        return damaged(m, "its table of tables is too large", e);
    if (be32toh(h->backing_len) > NAME_MAX_BYTES)
        return damaged(m, "the name of the image it is based on is too long", e);
    return 0;
}

/* The format of what it is based on, from the header's extensions; "" if it does not say. */
static int read_extensions(struct image *m, struct err *e)
{
    uint64_t at = be32toh(m->h.version) >= 3 ? be32toh(m->h.header_len) : VERSION_2_BYTES;
    const uint64_t end = m->h.backing_at ? be64toh(m->h.backing_at) : 1ull << m->cluster_bits;

    while (at + 8 <= end) {
        uint32_t ext[2];
        int r = read_at(m, ext, sizeof ext, at, e);
        const uint32_t type = be32toh(ext[0]), len = be32toh(ext[1]);

        if (r < 0 || type == 0)
            return r;
        if (type == EXTENSION_BACKING_FORMAT && len < sizeof m->backing_format)
            r = read_at(m, m->backing_format, len, at + 8, e);
        if (r < 0)
            return r;
        at += 8 + (((uint64_t)len + 7) & ~7ull);
    }
    return 0;
}

/* A name that is relative counts from the image's directory. What is no file name of the host
 * (json:, nbd:) is left to QEMU. */
static int read_backing(struct image *m, struct err *e)
{
    const uint64_t at = be64toh(m->h.backing_at);
    const uint32_t len = be32toh(m->h.backing_len);
    const char *slash = strrchr(m->path, '/');
    char name[NAME_MAX_BYTES + 1] = "";
    int r;

    if (!at || !len)
        return 0;
    if (at + len > 1ull << m->cluster_bits)
        return damaged(m, "the name of the image it is based on lies outside its header", e);
    r = read_at(m, name, len, at, e);
    if (r < 0)
        return r;
    if (strncmp(name, "file:", 5) == 0)
        memmove(name, name + 5, strlen(name + 5) + 1);
    if (strcspn(name, ":") < strcspn(name, "/"))
        return 0;
    if (name[0] == '/' || !slash)
        snprintf(m->backing, sizeof m->backing, "%s", name);
    else
        snprintf(m->backing, sizeof m->backing, "%.*s/%s", (int)(slash - m->path), m->path, name);
    return 0;
}

/* ---- tables ---- */

/* Where the data of an entry ends; 0: it has none in this file. */
static uint64_t data_end(const struct image *m, uint64_t entry)
{
    const uint64_t at = entry & ENTRY_OFFSET;

    if (entry & ENTRY_COMPRESSED || m->incompatible & INCOMPATIBLE_DATA_FILE)
        return 0;
    return at ? at + 1 : 0; /* the last cluster of a file may be short */
}

static int check_table(const struct image *m, uint64_t at, uint64_t *table, struct err *e)
{
    const size_t bytes = (size_t)1 << m->cluster_bits;
    const unsigned step = m->incompatible & INCOMPATIBLE_EXTENDED ? 2 : 1;
    uint64_t most = 0;
    int r = at % bytes ? damaged(m, "a table of it is where none can be", e) : in_file(m, at, bytes, e);

    if (r == 0)
        r = read_at(m, table, bytes, at, e);
    for (size_t i = 0; r == 0 && i < bytes / 8; i += step) {
        const uint64_t end = data_end(m, be64toh(table[i]));

        most = end > most ? end : most;
    }
    return r == 0 ? in_file(m, most, 0, e) : r;
}

static int check_tables(const struct image *m, struct err *e)
{
    const uint32_t n = be32toh(m->h.l1_entries);
    const uint64_t at = be64toh(m->h.l1_at);
    uint64_t *l1, *table;
    unsigned looked = 0;
    int r = in_file(m, be64toh(m->h.refcounts_at), (uint64_t)be32toh(m->h.refcount_clusters) << m->cluster_bits, e);

    if (r == 0)
        r = in_file(m, at, 8ull * n, e);
    if (r < 0)
        return r;
    l1 = malloc(8ull * n + 1);
    table = malloc((size_t)1 << m->cluster_bits);
    r = l1 && table ? read_at(m, l1, 8ull * n, at, e) : err_set(e, ENOMEM, "out of memory");
    for (uint32_t i = 0; r == 0 && i < n && looked < TABLES_MAX; i++) {
        const uint64_t where = be64toh(l1[i]) & ENTRY_OFFSET;

        if (where) {
            r = check_table(m, where, table, e);
            looked++;
        }
    }
    free(l1);
    free(table);
    return r;
}

/* ---- the chain ---- */

static int open_image(struct image *m, const char *path, const char *above, struct err *e)
{
    struct stat st;

    *m = (struct image){.path = path, .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    if (m->fd < 0 && above && errno == ENOENT)
        return err_set(e, ENOENT, "%s is based on %s, which does not exist; put it there, or say where it is now: "
                       "qemu-img rebase -u -F FORMAT -b FILE %s", above, path, above);
    if (m->fd < 0 && above)
        return err_set(e, errno, "%s is based on %s, which cannot be opened: %s%s", above, path, strerror(errno),
                       errno == EACCES || errno == EPERM ? "; is it below a directory given by --allow, or in that of the image?" : "");
    if (m->fd < 0 || fstat(m->fd, &st) < 0)
        return err_set(e, errno, "%s cannot be opened: %s", path, strerror(errno));
    m->bytes = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : UINT64_MAX; /* a block device is as large as it is */
    m->dev = st.st_dev;
    m->ino = st.st_ino;
    return 0;
}

/* 1: it is a qcow2 image, and whole as far as that can be seen; 0: it is another. */
static int examine(struct image *m, const struct image *above, struct err *e)
{
    const ssize_t n = pread(m->fd, &m->h, sizeof m->h, 0);
    int r;

    if (n < 0)
        return err_set(e, errno, "%s cannot be read: %s", m->path, strerror(errno));
    if (n < 4 || memcmp(m->h.magic, "QFI\xfb", 4) != 0)
        return above && strcmp(above->backing_format, "qcow2") == 0
                   ? err_set(e, EINVAL, "%s is based on %s, of which it says that it is a qcow2 image, but it is none; "
                             "if it is raw: qemu-img rebase -u -F raw -b FILE %s", above->path, m->path, above->path)
                   : 0;
    if (n < VERSION_2_BYTES)
        return truncated(m, VERSION_2_BYTES, e);
    r = check_header(m, e);
    if (r == 0)
        r = read_extensions(m, e);
    if (r == 0)
        r = read_backing(m, e);
    if (r == 0)
        r = check_tables(m, e);
    return r < 0 ? r : 1;
}

/* Images seen, top first. */
struct chain {
    struct image *image[CHAIN_MAX];
    unsigned n;
};

static int check_loop(const struct chain *c, const struct image *m, struct err *e)
{
    if (c->n && c->image[c->n - 1]->dev == m->dev && c->image[c->n - 1]->ino == m->ino)
        return err_set(e, ELOOP, "%s is based on itself; give it another base: qemu-img rebase -u -F FORMAT -b FILE "
                       "%s", m->path, m->path);
    for (unsigned i = 0; i < c->n; i++)
        if (c->image[i]->dev == m->dev && c->image[i]->ino == m->ino)
            return err_set(e, ELOOP, "%s is based on itself (%s, which it is based on, is based on it); give one of "
                           "them another base: qemu-img rebase -u -F FORMAT -b FILE IMAGE", c->image[i]->path,
                           c->image[c->n - 1]->path);
    return 0;
}

/* Adds what `path` is; 1 if there is something below it that is to be looked at. */
static int chain_add(struct chain *c, const char *path, struct err *e)
{
    const struct image *above = c->n ? c->image[c->n - 1] : NULL;
    struct image *m;
    int r;

    if (c->n == CHAIN_MAX)
        return err_set(e, ELOOP, "%s has more than %d images below it; make one of them: qemu-img convert",
                       c->image[0]->path, CHAIN_MAX);
    m = malloc(sizeof *m);
    if (!m)
        return err_set(e, ENOMEM, "out of memory");
    r = open_image(m, path, above ? above->path : NULL, e);
    if (r == 0)
        r = check_loop(c, m, e);
    if (r == 0)
        r = examine(m, above, e);
    if (m->fd >= 0)
        close(m->fd);
    c->image[c->n++] = m;
    return r < 0 ? r : r == 1 && m->backing[0];
}

int blkqcow2_examine(const char *path, struct err *e)
{
    struct chain c = {.n = 0};
    int r = chain_add(&c, path, e);

    while (r == 1) {
        const struct image *m = c.image[c.n - 1];

        r = chain_add(&c, m->backing, e);
        if (r == 1 && strcmp(m->backing_format, "raw") == 0)
            r = 0; /* its content only looks like one */
    }
    while (c.n)
        free(c.image[--c.n]);
    return r;
}
