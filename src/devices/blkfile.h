/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * blkfile: a disk's bytes in host files. Raw read-write, raw read-only, or a read-only base
 * with a private overlay. It creates only what does not exist, and never truncates,
 * overwrites or converts. What is not raw is refused, never taken for raw.
 *
 * Locks on the files (open file description locks, whole file): exclusive for who writes,
 * shared for who reads. They hold between guests of one process too, and end with the process.
 *
 * An anonymous overlay is a nameless sparse file. A named one is a sparse file of its own
 * format, see overlay.h part of blkfile.c:
 *   0         header, 4096 bytes: magic "RUCHEOV1", geometry, size and time of the base, CRC
 *   4096      bitmap, one bit per 4 KiB block: set = the block is here, clear = in the base
 *   data_off  block i at data_off + 4096 i (sparse)
 * Bits only ever go from clear to set. They reach the file in blkfile_flush, after the data
 * was synced: kill -9 or power loss leave the disk as of the last flush, plus perhaps later
 * writes to blocks that were there before.
 *
 * Threads: one at a time (the device's io_lock), except blkfile_size_bytes and _readonly.
 */
#ifndef RUCHE_DEVICES_BLKFILE_H
#define RUCHE_DEVICES_BLKFILE_H

#include "core/err.h"
#include "core/vm_config.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct blkfile;

/* Opens, or creates by size, what `c` says. NULL and `e`: a sentence that names the file. */
struct blkfile *blkfile_open(const struct disk_config *c, struct err *e);

/* Writes out what an overlay still keeps in memory (not a sync). */
void blkfile_free(struct blkfile *f);

uint64_t blkfile_size_bytes(const struct blkfile *f); /* a multiple of 512 */
bool blkfile_readonly(const struct blkfile *f);

/* Whole transfers, at a byte offset: 0 or -errno. `iov` is used up (its entries change).
 * The caller has checked that [off, off+len) is inside the disk. */
int blkfile_readv(struct blkfile *f, struct iovec *iov, unsigned n, uint64_t off) RUCHE_MUST_CHECK;
int blkfile_writev(struct blkfile *f, struct iovec *iov, unsigned n, uint64_t off) RUCHE_MUST_CHECK;

/* 0 once all that was written is on stable storage. */
int blkfile_flush(struct blkfile *f) RUCHE_MUST_CHECK;

/* The range reads as zeros. `unmap`: storage is given back where the host can. */
int blkfile_zero(struct blkfile *f, uint64_t off, uint64_t len, bool unmap) RUCHE_MUST_CHECK;

#endif
