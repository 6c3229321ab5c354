/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtio_balloon: asks a guest for memory, and takes back what it reports as free. virtio 1.2
 * section 5.5: statistics, deflate on OOM, free page reporting. Not: page hinting, poison.
 * What a guest says is a claim; what it returns is given to the host at once.
 *
 * Threads: see virtio.h. _target and _get may be called from any thread and never wait for
 * I/O.
 */
#ifndef RUCHE_DEVICES_VIRTIO_BALLOON_H
#define RUCHE_DEVICES_VIRTIO_BALLOON_H

#include "core/board.h"
#include "devices/virtio.h"

struct virtio_balloon;

struct virtio_balloon *virtio_balloon_new(const struct virtio_env *env, struct err *e);
void virtio_balloon_free(struct virtio_balloon *b);
struct virtio_dev *virtio_balloon_dev(struct virtio_balloon *b);

/* Asks the guest to put `bytes` (rounded down to pages) into the balloon. -EINVAL: more than
 * the guest has. It is a person's setting: resets of the device and the guest leave it. */
int virtio_balloon_target(struct virtio_balloon *b, uint64_t bytes, struct err *e);

/* The last known figures; asks the guest for new ones if it was not asked within the last
 * second of its time. So a guest that nobody looks at is left alone. */
void virtio_balloon_get(struct virtio_balloon *b, struct balloon_stats *s);

#endif
