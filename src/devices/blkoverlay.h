/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * blkoverlay: what a guest wrote over a base that nobody writes. A sparse file holds the blocks
 * (4 KiB) at their own place behind a header; a bitmap tells which of them are there. A part
 * of blkfile, which opens and locks the files.
 *
 * Named overlays keep the bitmap in the file (all numbers little endian):
 *   0         header, one block: struct overlay_header
 *   4096      bitmap, bit i of byte i/8 = block i is here; padded to a block
 *   data_off  block i at data_off + 4096 i
 * A bit goes from clear to set only, and reaches the file in _flush alone, after the data was
 * synced. So at any moment the file is the disk of some moment after the last flush; kill -9 or
 * power loss cost no more than what a disk's volatile cache would.
 * Anonymous ones keep the bitmap in memory, and their file has no name and no header.
 *
 * Threads: one at a time, as blkfile.
 */
#ifndef RUCHE_DEVICES_BLKOVERLAY_H
#define RUCHE_DEVICES_BLKOVERLAY_H

#include "core/err.h"
#include "devices/iov.h"

#include <stdbool.h>
#include <stdint.h>

enum { OVERLAY_BLOCK_BYTES = 4096 };
#define OVERLAY_MAX_BYTES (16ull << 40)

struct blkoverlay;
struct blknbd;

struct overlay_base {
    int fd; /* open for reading; borrowed */
    struct blknbd *nbd; /* likewise; NULL: `fd` */
    uint64_t size_bytes;
    uint64_t mtime_ns;
};

/* An overlay in the empty file `fd` (taken, also on failure). `size_bytes` of the disk it makes,
 * at least the base's. With `named`, the header is written (not synced). */
struct blkoverlay *blkoverlay_create(int fd, const struct overlay_base *base, uint64_t size_bytes,
                                     bool named, struct err *e);

/* A named overlay that exists (fd taken, also on failure). `path` for the sentences. */
struct blkoverlay *blkoverlay_open(int fd, const struct overlay_base *base, const char *path,
                                   struct err *e);
void blkoverlay_free(struct blkoverlay *o); /* without a flush */

uint64_t blkoverlay_size_bytes(const struct blkoverlay *o);

/* 0 or -errno. The caller checked that the range is inside the disk. */
int blkoverlay_read(struct blkoverlay *o, struct iov *it, uint64_t off) RUCHE_MUST_CHECK;
int blkoverlay_write(struct blkoverlay *o, struct iov *it, uint64_t off) RUCHE_MUST_CHECK;
int blkoverlay_zero(struct blkoverlay *o, uint64_t off, uint64_t len) RUCHE_MUST_CHECK;
/* A failed sync is -EIO; -ENOSPC: there is no room for the bitmap yet, nothing is lost. */
int blkoverlay_flush(struct blkoverlay *o) RUCHE_MUST_CHECK;

#endif
