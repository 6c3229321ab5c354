/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * mc146818: the real-time clock and its 128 bytes of CMOS memory.
 *
 * The time of day is the host's (UTC) plus an offset that the guest changes by setting the
 * clock. It goes on while the guest is paused; the rates of its interrupts follow guest time.
 * An update takes no time; UIP is set during the 244 us before it.
 *
 * Flags that nobody waits for by interrupt are settled when register C is read, so a clock
 * that is not listened to costs no host timer. Not modelled: square wave, daylight saving,
 * dividers other than 32768 Hz (any but "reset" counts as running).
 * Follows: Motorola MC146818A data sheet; CMOS bytes as PC firmware leaves them.
 *
 * Threads: vCPUs come through the bus with mc146818_lock held; the timer takes it. The wire is
 * called with it held.
 */
#ifndef RUCHE_DEVICES_MC146818_H
#define RUCHE_DEVICES_MC146818_H

#include "core/bus.h"
#include "core/err.h"
#include "core/irq.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct mc146818;
struct vclock;

enum { MC146818_PORTS = 2, MC146818_CMOS_BYTES = 128 };

struct mc146818_params {
    uint64_t low_bytes;  /* RAM below 4 GiB, for the memory size bytes */
    uint64_t high_bytes; /* RAM above */
    unsigned vcpus;
    uint64_t (*real_ns)(void *opaque); /* time of day, ns since 1970; NULL: the host's */
    void *opaque;
};

struct mc146818_regs {
    uint8_t index;                      /* as written to the first port, without the NMI bit */
    uint8_t cmos[MC146818_CMOS_BYTES];  /* time bytes are valid only while the clock is stopped */
    int64_t offset_s;                   /* RTC minus real time, while it runs: */
    uint32_t offset_ns;                 /* seconds, and 0..999999999 ns more */
    int64_t settled_s;                  /* RTC second up to which update and alarm flags are set */
    uint64_t periodic_start_ns;         /* guest time at which the periodic rate was set */
    uint64_t periodic_settled;          /* periods since then that have set PF */
};

/* NULL and `e` if there is no memory. */
struct mc146818 *mc146818_new(const struct irq_wire *irq, struct vclock *clock,
                              const struct mc146818_params *params, struct err *e);
void mc146818_free(struct mc146818 *m);

/* Power-up. A time that the guest had set is kept, as by the battery. */
void mc146818_reset(struct mc146818 *m);

pthread_mutex_t *mc146818_lock(struct mc146818 *m);
extern const struct bus_ops mc146818_ops; /* ports 0x70 and 0x71 */

void mc146818_regs_get(struct mc146818 *m, struct mc146818_regs *out);

#endif
