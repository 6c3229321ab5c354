/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * i8042: a keyboard controller with no keyboard and no mouse, for what PCs came to use it
 * for: resetting the machine (command 0xfe, output port, port 0x92) and the A20 gate.
 *
 * Every command is answered at once, so that a driver that probes it neither hangs nor waits:
 * the controller passes its self test, both device ports fail theirs, and a byte sent to a
 * device comes back as a timeout. A20 is a bit that reads back; the address line is always on.
 * Not modelled: interrupts 1 and 12 (nothing could raise them but the answers themselves).
 * Follows: Intel UPI-41/42 keyboard controller, IBM PS/2 technical reference.
 *
 * Threads: vCPUs come through the bus with i8042_lock held; `power` is called with it held.
 */
#ifndef RUCHE_DEVICES_I8042_H
#define RUCHE_DEVICES_I8042_H

#include "core/board.h"
#include "core/bus.h"
#include "core/err.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct i8042;

struct i8042_host {
    void (*power)(void *opaque, enum board_power what, unsigned code); /* must only note it */
    void *opaque;
};

struct i8042_regs {
    uint8_t status, data; /* port 0x64 as read, port 0x60 as read */
    uint8_t command;      /* awaiting its byte at port 0x60; 0: none */
    uint8_t ctr;          /* command byte ("controller RAM" 0) */
    uint8_t outport;      /* bit 0: not reset, bit 1: A20 */
    uint8_t port92;
};

struct i8042 *i8042_new(const struct i8042_host *host, struct err *e);
void i8042_free(struct i8042 *k);
void i8042_reset(struct i8042 *k);

pthread_mutex_t *i8042_lock(struct i8042 *k);
extern const struct bus_ops i8042_data_ops;    /* port 0x60 */
extern const struct bus_ops i8042_command_ops; /* port 0x64 */
extern const struct bus_ops i8042_port92_ops;  /* port 0x92 */

void i8042_regs_get(struct i8042 *k, struct i8042_regs *out);

#endif
