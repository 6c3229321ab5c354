/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * blkformat: what a disk image is, told by what was asked, by its name and by its first and last
 * sector. Raw and qcow2 are used; everything else is refused, never taken for raw.
 *
 * An image's content is written by a guest: a raw disk may begin like a qcow2 image because its guest
 * wrote that. Such a header must not make us open other files: what names another file (as its base
 * or for its data) is used only if a person said that it is qcow2, by `format: qcow2` or by a name
 * that ends in .qcow2.
 */
#ifndef RUCHE_DEVICES_BLKFORMAT_H
#define RUCHE_DEVICES_BLKFORMAT_H

#include "core/err.h"
#include "core/vm_config.h"

#include <stdint.h>

/* What a person said of the image at `path`: DISK_FORMAT_AUTO: nothing. */
enum disk_format blkformat_said(const char *path, enum disk_format asked);

/* Of the image `fd` with `size` bytes: DISK_FORMAT_RAW or _QCOW2, or -errno and `e`. */
int blkformat_examine(int fd, uint64_t size, const char *path, enum disk_format asked, struct err *e);

#endif
