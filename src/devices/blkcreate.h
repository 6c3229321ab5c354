/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * blkcreate: new files for disks and overlays, and what every file of a disk has: a lock and a size that
 * is one of a disk. blkfile.c and main use it. Nothing that exists is ever replaced. Threads: any.
 */
#ifndef RUCHE_DEVICES_BLKCREATE_H
#define RUCHE_DEVICES_BLKCREATE_H

#include "core/err.h"
#include "core/vm_config.h"

#include <stdbool.h>
#include <stdint.h>

/* Of the whole file, held as long as it is open. -EBUSY and `e`: another has it. */
int blkcreate_lock(int fd, bool exclusive, const char *path, struct err *e);

/* -EINVAL and `e`: no disk has that size. */
int blkcreate_check_size(const char *path, uint64_t size, struct err *e);

/* A new empty file for `path`, which gets its name by blkcreate_end, when it is whole; or it loses it by
 * blkcreate_abort. A descriptor, or -1 and `e`. */
int blkcreate_begin(const char *path, struct err *e);
int blkcreate_end(int fd, const char *path, struct err *e);
void blkcreate_abort(int fd, const char *path);

/* A sparse raw disk of c->size_bytes, locked. A descriptor, or -errno and `e`. */
int blkcreate_raw(const struct disk_config *c, struct err *e);

/* A nameless file for an overlay. A descriptor, or -errno and `e`. */
int blkcreate_anonymous(const char *base_path, struct err *e);

#endif
