/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * blkfile: see blkfile.h.
 */
#include "devices/blkfile.h"

#include "core/held.h"
#include "core/log.h"
#include "devices/blkcreate.h"
#include "devices/blkformat.h"
#include "devices/blknbd.h"
#include "devices/blkoverlay.h"
#include "devices/blkqcow2.h"
#include "devices/blkqemu.h"
#include "devices/iov.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = 512 };

struct blkfile {
    int fd; /* the image, or the base; -1: it is served */
    struct blkqemu *served; /* the same, if it is qcow2 */
    bool readonly;
    bool sync_failed; /* a flush failed once: never believe a later one */
    uint64_t size_bytes;
    struct blkoverlay *overlay; /* NULL: raw */
};

/* ---- opening ---- */

static int explain_open(int code, const char *path, bool writable, struct err *e)
{
    switch (code) {
    case ENOENT:
        return err_set(e, code, writable
                       ? "%s does not exist; correct the path, or give a size to create it"
                       : "%s does not exist; correct the path", path);
    case EISDIR:
        return err_set(e, code, "%s is a directory; name a disk image in it", path);
    case EACCES:
    case EPERM:
    case EROFS:
    case ETXTBSY:
        if (writable && access(path, R_OK) == 0)
            return err_set(e, code, "%s may be read but not written; make it writable "
                           "(chmod u+w), or use it as readonly or as the base of an overlay", path);
        return err_set(e, code, "%s may not be opened; ask its owner for permission (chmod)", path);
    default:
        return err_set(e, code, "%s cannot be opened: %s", path, strerror(code));
    }
}

/* Size and time of an open image; refuses what is neither a file nor a block device. */
static int stat_image(int fd, const char *path, struct overlay_base *out, struct err *e)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_set(e, errno, "%s cannot be examined: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return explain_open(EISDIR, path, false, e);
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return err_set(e, EINVAL, "%s is neither a file nor a block device; name a disk image",
                       path);
    *out = (struct overlay_base){
        .fd = fd, .size_bytes = (uint64_t)st.st_size,
        .mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec};
    if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, &out->size_bytes) < 0)
        return err_set(e, errno, "the size of %s is unknown: %s", path, strerror(errno));
    return 0;
}

/* A raw image that is open: lock and check it. */
static int take_raw(struct blkfile *f, int fd, bool writable, const char *path, uint64_t size, struct err *e)
{
    int r = blkcreate_lock(fd, writable, path, e);

    if (r == 0)
        r = blkcreate_check_size(path, size, e);
    if (r == 0)
        f->fd = fd;
    return r;
}

/* Served, and with QEMU's own locks: its size is that of the disk. */
static int take_served(struct blkfile *f, bool writable, const char *path, struct overlay_base *b, struct err *e)
{
    int r;

    if (held_for(path, writable))
        return err_set(e, EACCES, "%s is a qcow2 image, opened by a helper that has no privileges; "
                       "run ruche as its owner, or `chown` it", path);
    r = blkqcow2_examine(path, e);
    if (r < 0)
        return r;
    f->served = blkqemu_open(path, !writable, e);
    if (!f->served)
        return e && e->code ? -e->code : -EINVAL;
    b->fd = -1;
    b->nbd = blkqemu_nbd(f->served);
    b->size_bytes = blknbd_size_bytes(b->nbd);
    return 0;
}

/* Opens, locks and checks an image that exists, as f->fd or f->served. 0 or -errno. */
static int open_image(struct blkfile *f, const struct disk_config *c, bool writable, struct overlay_base *b,
                      struct err *e)
{
    int fd = held_open(c->path, writable ? O_RDWR : O_RDONLY);
    int r;

    if (fd < 0)
        return explain_open(errno, c->path, writable, e);
    r = stat_image(fd, c->path, b, e);
    if (r == 0)
        r = blkformat_examine(fd, b->size_bytes, c->path, c->format, e);
    if (r == DISK_FORMAT_QCOW2)
        r = take_served(f, writable, c->path, b, e);
    else if (r == DISK_FORMAT_RAW)
        r = take_raw(f, fd, writable, c->path, b->size_bytes, e);
    if (f->fd != fd)
        close(fd);
    return r;
}

/* ---- the three modes ---- */

static int open_raw(struct blkfile *f, const struct disk_config *c, struct err *e)
{
    const bool writable = c->mode == DISK_RAW;
    struct overlay_base b = {.size_bytes = c->size_bytes};
    int r;

    f->readonly = !writable;
    if (writable && c->size_bytes && held_access(c->path, F_OK) < 0 && errno == ENOENT)
        r = f->fd = blkcreate_raw(c, e);
    else
        r = open_image(f, c, writable, &b, e);
    if (r < 0)
        return r;
    if (c->size_bytes && c->size_bytes != b.size_bytes)
        return err_set(e, EINVAL, "%s exists with %llu bytes, but its size is given as %llu; "
                       "leave the size out, or resize the file yourself", c->path,
                       (unsigned long long)b.size_bytes, (unsigned long long)c->size_bytes);
    f->size_bytes = b.size_bytes;
    return 0;
}

static struct blkoverlay *create_named(const char *path, const struct overlay_base *b,
                                       uint64_t size, struct err *e)
{
    struct blkoverlay *o;
    int fd = blkcreate_begin(path, e);

    if (fd < 0)
        return NULL;
    if (blkcreate_lock(fd, true, path, e) < 0) {
        blkcreate_abort(fd, path);
        close(fd);
        return NULL;
    }
    o = blkoverlay_create(fd, b, size, true, e);
    if (o && blkcreate_end(fd, path, e) < 0) {
        blkcreate_abort(fd, path);
        blkoverlay_free(o);
        return NULL;
    }
    return o;
}

static struct blkoverlay *open_named(const char *path, const struct overlay_base *b,
                                     uint64_t size, struct err *e)
{
    struct blkoverlay *o;
    int fd = held_open(path, O_RDWR);

    if (fd < 0 && errno == ENOENT)
        return create_named(path, b, size ? size : b->size_bytes, e);
    if (fd < 0) {
        explain_open(errno, path, true, e);
        return NULL;
    }
    if (blkcreate_lock(fd, true, path, e) < 0) {
        close(fd);
        return NULL;
    }
    o = blkoverlay_open(fd, b, path, e);
    if (o && size && size != blkoverlay_size_bytes(o)) {
        err_set(e, EINVAL, "the overlay %s makes a disk of %llu bytes, but its size is given as "
                "%llu; leave the size out, or start a new overlay", path,
                (unsigned long long)blkoverlay_size_bytes(o), (unsigned long long)size);
        blkoverlay_free(o);
        return NULL;
    }
    return o;
}

static struct blkoverlay *open_anonymous(const char *base_path, const struct overlay_base *b,
                                         uint64_t size, struct err *e)
{
    int fd = blkcreate_anonymous(base_path, e);

    return fd < 0 ? NULL : blkoverlay_create(fd, b, size ? size : b->size_bytes, false, e);
}

static int open_overlay(struct blkfile *f, const struct disk_config *c, struct err *e)
{
    struct overlay_base b;
    int r;

    r = open_image(f, c, false, &b, e);
    if (r < 0)
        return r;
    if (c->size_bytes && c->size_bytes < b.size_bytes)
        return err_set(e, EINVAL, "the size of an overlay, %llu bytes, is less than that of its "
                       "base %s, %llu; leave it out", (unsigned long long)c->size_bytes, c->path,
                       (unsigned long long)b.size_bytes);
    if (c->size_bytes > OVERLAY_MAX_BYTES)
        return err_set(e, EFBIG, "an overlay has at most 16 TiB; give a smaller size");
    r = c->size_bytes ? blkcreate_check_size(c->path, c->size_bytes, e) : 0;
    if (r < 0)
        return r;
    f->overlay = c->overlay_path ? open_named(c->overlay_path, &b, c->size_bytes, e)
                                 : open_anonymous(c->path, &b, c->size_bytes, e);
    if (!f->overlay)
        return -EINVAL; /* `e` tells */
    f->size_bytes = blkoverlay_size_bytes(f->overlay);
    return 0;
}

struct blkfile *blkfile_open(const struct disk_config *c, struct err *e)
{
    struct blkfile *f = calloc(1, sizeof *f);
    int r;

    if (!f) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    f->fd = -1;
    r = c->mode == DISK_OVERLAY ? open_overlay(f, c, e) : open_raw(f, c, e);
    if (r < 0) {
        err_prefix(e, "disk %s: ", c->name);
        blkfile_free(f);
        return NULL;
    }
    return f;
}

void blkfile_free(struct blkfile *f)
{
    if (!f)
        return;
    if ((f->overlay || f->served) && !blkfile_lost(f) && blkfile_flush(f) < 0)
        log_msg(LOG_ERROR, "a disk could not be written out; its last writes are lost");
    blkoverlay_free(f->overlay);
    blkqemu_free(f->served);
    if (f->fd >= 0)
        close(f->fd);
    free(f);
}

/* ---- use ---- */

uint64_t blkfile_size_bytes(const struct blkfile *f)
{
    return f->size_bytes;
}

bool blkfile_readonly(const struct blkfile *f)
{
    return f->readonly;
}

static int check_range(const struct blkfile *f, uint64_t off, uint64_t len, bool write)
{
    if (off > f->size_bytes || len > f->size_bytes - off)
        return -EINVAL;
    return write && f->readonly ? -EROFS : 0;
}

/* Of the image or the base; NULL: it is a file. */
static struct blknbd *server(const struct blkfile *f)
{
    return f->served ? blkqemu_nbd(f->served) : NULL;
}

int blkfile_read(struct blkfile *f, struct iov *it, uint64_t off)
{
    const uint64_t len = iov_bytes(it);
    int r = check_range(f, off, len, false);

    if (r < 0)
        return r;
    if (f->overlay)
        return blkoverlay_read(f->overlay, it, off);
    return f->served ? blknbd_read(server(f), it, off, len) : iov_pread(it, f->fd, off, len);
}

/* A quota that is used up is a full disk. */
static int no_room(int r)
{
    return r == -EDQUOT ? -ENOSPC : r;
}

int blkfile_write(struct blkfile *f, struct iov *it, uint64_t off)
{
    const uint64_t len = iov_bytes(it);
    int r = check_range(f, off, len, true);

    if (r < 0)
        return r;
    if (f->overlay)
        r = blkoverlay_write(f->overlay, it, off);
    else
        r = f->served ? blknbd_write(server(f), it, off, len) : iov_pwrite(it, f->fd, off, len);
    return no_room(r);
}

int blkfile_flush(struct blkfile *f)
{
    int r;

    if (f->sync_failed)
        return -EIO;
    if (f->readonly)
        return 0;
    if (f->overlay)
        r = no_room(blkoverlay_flush(f->overlay));
    else
        r = f->served ? blknbd_flush(server(f)) : fdatasync(f->fd) < 0 ? -EIO : 0;
    f->sync_failed = r < 0 && r != -ENOSPC;
    return r;
}

static int punch(const struct blkfile *f, uint64_t off, uint64_t len)
{
    return fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len) < 0
               ? -errno : 0;
}

/* Where the file system cannot make zeros by itself. */
static int write_zeros(const struct blkfile *f, uint64_t off, uint64_t len)
{
    static const uint8_t zeros[64 << 10];
    int r = 0;

    while (len && r == 0) {
        const uint64_t n = len < sizeof zeros ? len : sizeof zeros;

        r = buf_pwrite(f->fd, off, zeros, n);
        off += n;
        len -= n;
    }
    return r;
}

int blkfile_zero(struct blkfile *f, uint64_t off, uint64_t len, bool unmap)
{
    int r = check_range(f, off, len, true);

    if (r < 0 || len == 0)
        return r;
    if (f->overlay)
        return no_room(blkoverlay_zero(f->overlay, off, len));
    if (f->served)
        return blknbd_zero(server(f), off, len, unmap);
    if (unmap)
        r = punch(f, off, len);
    else
        r = fallocate(f->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)off,
                      (off_t)len) < 0 ? -errno : 0;
    return no_room(r == -EOPNOTSUPP ? write_zeros(f, off, len) : r);
}

int blkfile_discard(struct blkfile *f, uint64_t off, uint64_t len)
{
    int r = check_range(f, off, len, true);

    if (r < 0 || len == 0)
        return r;
    if (f->overlay)
        r = blkoverlay_zero(f->overlay, off, len);
    else
        r = f->served ? blknbd_discard(server(f), off, len) : punch(f, off, len);
    return r == -EOPNOTSUPP ? 0 : no_room(r);
}

int blkfile_helper(const struct blkfile *f)
{
    return f->served ? blkqemu_pid(f->served) : 0;
}

bool blkfile_lost(const struct blkfile *f)
{
    return f->served && blknbd_lost(server(f));
}

const char *blkfile_why(struct blkfile *f, char *buf, size_t len)
{
    return blkqemu_why(f->served, buf, len);
}
