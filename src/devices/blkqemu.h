/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * blkqemu: a qcow2 image, read and written by `qemu-nbd` (QEMU's own code, in the package
 * qemu-utils): a helper process for each image, with an NBD connection that nobody else can open.
 *
 * The helper takes QEMU's locks on the image and on what it is based upon. It inherits what the
 * process gave up (capabilities, Landlock, the process's filter of system calls), and ends when the
 * connection does: by blkqemu_free, or by the death of this process, however it dies (but for the
 * some 20 ms in which it starts: a helper that nobody has spoken to yet waits for ever).
 *
 * Threads: blkqemu_open and _free wait for the helper; one at a time, but for blkqemu_pid.
 */
#ifndef RUCHE_DEVICES_BLKQEMU_H
#define RUCHE_DEVICES_BLKQEMU_H

#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>

struct blkqemu;
struct blknbd;

/* Starts a helper for the image at `path`. NULL and `e`: a sentence that names the image. */
struct blkqemu *blkqemu_open(const char *path, bool readonly, struct err *e);

/* Ends the connection and waits until the helper has written all and ended; one that does not end
 * is killed after some seconds. NULL is legal. */
void blkqemu_free(struct blkqemu *q);

struct blknbd *blkqemu_nbd(struct blkqemu *q); /* borrowed */
int blkqemu_pid(const struct blkqemu *q);

/* Why the connection is lost, with what the helper said last; `buf` is returned. */
const char *blkqemu_why(struct blkqemu *q, char *buf, size_t len);

#endif
