/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtio_net: a network card. virtio 1.2 section 5.1: one pair of queues, merged receive buffers,
 * checksums and TCP segments left undone in both directions, link status. Frames are copied out
 * of the sender's memory once and into the receiver's once; what is in between is a netport.
 * Without VIRTIO_NET_F_CTRL_VQ a card takes every frame that the switch sends it.
 *
 * Threads: as in virtio.h, on the guest's I/O thread. The link wakes it from other guests'
 * threads; it only signals the queue's eventfd.
 */
#ifndef RUCHE_DEVICES_VIRTIO_NET_H
#define RUCHE_DEVICES_VIRTIO_NET_H

#include "core/netswitch.h"
#include "devices/virtio.h"

struct virtio_net;

/* `link` is borrowed, and NULL for a card without a cable. */
struct virtio_net *virtio_net_new(const struct virtio_env *env, const char *name, const uint8_t mac[6],
                                  struct netport *link, struct err *e);
void virtio_net_free(struct virtio_net *n);
struct virtio_dev *virtio_net_dev(struct virtio_net *n);

#endif
