/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * blkfile: a disk's bytes in host files. Read-write, read-only, or a read-only base with a private
 * overlay. The image or base is raw, or qcow2 and then served by a helper (blkqemu.h). It creates
 * only what does not exist, and never truncates, overwrites or converts. What is neither is
 * refused, never taken for raw.
 *
 * Locks on the files (open file description locks, whole file): exclusive for who writes,
 * shared for who reads. They hold between guests of one process too, and end with the process.
 *
 * An anonymous overlay is a nameless sparse file beside the image or in a directory for
 * temporary files; a named one is a file of its own format, see blkoverlay.h.
 *
 * No room: -ENOSPC from any of the functions that change the disk (a quota included) means that
 * the same call may be made again once there is room, and nothing is lost. A failed sync is never
 * that: the kernel forgets what it could not write, so it is -EIO, for ever.
 *
 * Threads: one at a time (the device's io_lock), except blkfile_size_bytes and _readonly.
 */
#ifndef RUCHE_DEVICES_BLKFILE_H
#define RUCHE_DEVICES_BLKFILE_H

#include "core/err.h"
#include "core/vm_config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct blkfile;
struct iov;

/* Opens, or creates by size, what `c` says. NULL and `e`: a sentence that names the file. */
struct blkfile *blkfile_open(const struct disk_config *c, struct err *e);

/* Flushes a named overlay or a helper, and waits for the helper's end; all else is in the host's
 * hands already. */
void blkfile_free(struct blkfile *f);

uint64_t blkfile_size_bytes(const struct blkfile *f); /* a multiple of 512 */
bool blkfile_readonly(const struct blkfile *f);

/* Whole transfers, at a byte offset: 0 or -errno. `it` is used up. -EINVAL: not wholly inside
 * the disk; -EROFS: the disk is read-only. */
int blkfile_read(struct blkfile *f, struct iov *it, uint64_t off) RUCHE_MUST_CHECK;
int blkfile_write(struct blkfile *f, struct iov *it, uint64_t off) RUCHE_MUST_CHECK;

/* 0 once all that was written is on stable storage. After a failure it fails for ever: the
 * host may have dropped what it could not write, and would say so only once. */
int blkfile_flush(struct blkfile *f) RUCHE_MUST_CHECK;

/* The range reads as zeros. `unmap`: storage is given back where the host can. */
int blkfile_zero(struct blkfile *f, uint64_t off, uint64_t len, bool unmap) RUCHE_MUST_CHECK;

/* The guest no longer needs the range: storage is given back where the host can, else
 * nothing happens. */
int blkfile_discard(struct blkfile *f, uint64_t off, uint64_t len) RUCHE_MUST_CHECK;

/* The process that serves the image, 0: none. Its CPU time is the guest's. */
int blkfile_helper(const struct blkfile *f);

/* The helper is lost: everything fails from now on. _why tells (once in full) what it said last;
 * `buf` is returned. */
bool blkfile_lost(const struct blkfile *f);
const char *blkfile_why(struct blkfile *f, char *buf, size_t len);

#endif
