/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtio_console: one port (hvc0), its size, emergency write. virtio 1.2 section 5.3, without
 * VIRTIO_CONSOLE_F_MULTIPORT.
 *
 * Threads: see virtio.h. Input is kept in a fixed ring under a lock of its own (last in the
 * order), so that _in never waits for the guest. Input that does not fit is refused and
 * `room` is called when some of it may be tried again; output is taken as fast as `out` does.
 */
#ifndef RUCHE_DEVICES_VIRTIO_CONSOLE_H
#define RUCHE_DEVICES_VIRTIO_CONSOLE_H

#include "devices/virtio.h"

struct virtio_console;

struct virtio_console_host {
    void (*out)(void *opaque, const void *buf, size_t len); /* io thread, or vCPU (emergency) */
    void (*room)(void *opaque);                             /* io thread */
    void *opaque;
};

struct virtio_console *virtio_console_new(const struct virtio_env *env,
                                          const struct virtio_console_host *host, struct err *e);
void virtio_console_free(struct virtio_console *c);
struct virtio_dev *virtio_console_dev(struct virtio_console *c);

/* Forgets typed input (the device is reset by its transport). */
void virtio_console_reset(struct virtio_console *c);

/* Any thread. Returns how many bytes were taken. */
size_t virtio_console_in(struct virtio_console *c, const void *buf, size_t len);
void virtio_console_resize(struct virtio_console *c, unsigned cols, unsigned rows);

/* Output bytes a guest sent in one request beyond what is taken, cumulative. */
uint64_t virtio_console_dropped(const struct virtio_console *c);

#endif
