/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * blkqcow2: what can be wrong with a qcow2 image and with those it is based on, found from their
 * metadata before QEMU's code sees them, so that it can be said with what to do about it. It only reads;
 * what it lets pass, QEMU may refuse yet.
 *
 * A qcow2 image is written by a guest's host software or somebody else: nothing in it is believed,
 * and everything is bounded. Threads: any.
 */
#ifndef RUCHE_DEVICES_BLKQCOW2_H
#define RUCHE_DEVICES_BLKQCOW2_H

#include "core/err.h"

/* 0, or -errno and `e`: a sentence that names the image. */
int blkqcow2_examine(const char *path, struct err *e) RUCHE_MUST_CHECK;

#endif
