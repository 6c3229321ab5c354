/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * i8254: the programmable interval timer of a PC: three 16-bit counters at 1.193182 MHz, and
 * the bits of port 0x61 that belong to them (gate of counter 2, its output, refresh toggle).
 *
 * Nothing counts: every value is computed from guest time and the moment a count was loaded,
 * so periods never drift. Counter 0's output drives a wire; a host timer fires once per rising
 * edge. Edges that were missed are not made up for, and edges come at most every 100 us of
 * guest time, on the grid of the programmed period. Output levels between two rising edges
 * (low half of a square wave) are right when read back and not shown on the wire.
 * Follows: Intel 82C54 data sheet; gates of counters 0 and 1 are tied high.
 *
 * Threads: vCPUs come through the bus with i8254_lock held; the timer takes it. The wire is
 * called with it held.
 */
#ifndef RUCHE_DEVICES_I8254_H
#define RUCHE_DEVICES_I8254_H

#include "core/bus.h"
#include "core/err.h"
#include "core/irq.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct i8254;
struct vclock;

enum { I8254_PORTS = 4, I8254_HZ = 1193182, I8254_COUNTERS = 3, I8254_MIN_EDGE_NS = 100000 };

struct i8254_counter {
    uint8_t control;    /* access, mode and BCD bits of the control word */
    bool gate;
    bool running;       /* a count was loaded (and, in modes 1 and 5, triggered) */
    bool written;       /* a count was written since the control word */
    uint16_t reload;    /* as written; 0: 65536, or 10000 in BCD */
    uint16_t count;     /* that counts now, likewise */
    uint64_t start;     /* tick at which `count` was loaded */
    uint64_t paused;    /* ticks counted when the gate fell */
    bool reload_waits;  /* modes 2 and 3: `reload` takes over at the end of the period */
    uint8_t write_low;  /* first byte of a two-byte count */
    bool write_second, read_second;
    uint16_t latch;
    uint8_t latch_bytes; /* bytes of `latch` still to be read */
    uint8_t status;
    bool status_latched;
    uint64_t edges;     /* rising edges of the output since `start` that were shown */
};

struct i8254_regs {
    struct i8254_counter counter[I8254_COUNTERS];
    uint8_t port61; /* bits 0-3 */
};

/* `irq` follows counter 0. NULL and `e` if there is no memory. */
struct i8254 *i8254_new(const struct irq_wire *irq, struct vclock *clock, struct err *e);
void i8254_free(struct i8254 *p);
void i8254_reset(struct i8254 *p);

pthread_mutex_t *i8254_lock(struct i8254 *p);
extern const struct bus_ops i8254_ops;        /* ports 0x40-0x43 */
extern const struct bus_ops i8254_port61_ops; /* port 0x61 */

void i8254_regs_get(struct i8254 *p, struct i8254_regs *out);

#endif
