/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtio_rng: entropy from the host's getrandom. virtio 1.2 section 5.4.
 * Threads: see virtio.h; nothing of its own.
 */
#ifndef RUCHE_DEVICES_VIRTIO_RNG_H
#define RUCHE_DEVICES_VIRTIO_RNG_H

#include "devices/virtio.h"

struct virtio_rng;

struct virtio_rng *virtio_rng_new(const struct virtio_env *env, struct err *e);
void virtio_rng_free(struct virtio_rng *r);
struct virtio_dev *virtio_rng_dev(struct virtio_rng *r);

#endif
