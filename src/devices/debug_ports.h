/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * debug_ports: three ports without a chip that small kernels and classes use.
 *
 *   0x80  POST code: what was written is remembered and reads back; also the delay port
 *   0xe9  debug console: a byte written is printed; reads give 0xe9, which is how a kernel
 *         finds out that it is there
 *   0xf4  debug exit: the value written ends the guest and becomes its exit code
 *
 * Threads: vCPUs come through the bus with debug_ports_lock held; the host's functions are
 * called with it held.
 */
#ifndef RUCHE_DEVICES_DEBUG_PORTS_H
#define RUCHE_DEVICES_DEBUG_PORTS_H

#include "core/board.h"
#include "core/bus.h"
#include "core/err.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct debug_ports;

enum { DEBUG_POST_BYTES = 1, DEBUG_CONSOLE_BYTES = 1, DEBUG_EXIT_BYTES = 4 };

struct debug_ports_host {
    void (*out)(void *opaque, const void *buf, size_t len);
    void (*power)(void *opaque, enum board_power what, unsigned code);
    void *opaque;
};

struct debug_ports *debug_ports_new(const struct debug_ports_host *host, struct err *e);
void debug_ports_free(struct debug_ports *d);
void debug_ports_reset(struct debug_ports *d);

pthread_mutex_t *debug_ports_lock(struct debug_ports *d);
extern const struct bus_ops debug_post_ops, debug_console_ops, debug_exit_ops;

/* The last POST code. */
uint8_t debug_ports_post(struct debug_ports *d);

#endif
