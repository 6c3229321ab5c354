/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * lapic_timer: the timer of one local APIC: one-shot, periodic and TSC-deadline, on a bus
 * clock of 1 GHz, so that a count at divisor 1 is a nanosecond of guest time.
 *
 * Nothing counts: the current count is computed from guest time, so periods never drift. A
 * host timer runs only while the timer runs unmasked. Periods that were missed are not made
 * up for; a periodic timer expires at most every 100 us, on the grid of its period.
 * Follows: SDM vol. 3, 11.5.4.
 *
 * Threads: its local APIC's owner serialises all calls. `due` is called on the I/O thread
 * without any lock; the owner takes its lock and calls lapic_timer_expired.
 */
#ifndef RUCHE_DEVICES_LAPIC_TIMER_H
#define RUCHE_DEVICES_LAPIC_TIMER_H

#include "core/vclock.h"

#include <stdbool.h>
#include <stdint.h>

enum lapic_timer_mode { LAPIC_ONE_SHOT, LAPIC_PERIODIC, LAPIC_TSC_DEADLINE, LAPIC_TIMER_RESERVED };

enum { LAPIC_TIMER_MIN_NS = 100000 };

struct lapic_timer_env {
    void (*due)(void *opaque, unsigned cpu);
    uint64_t (*tsc_to_ns)(void *opaque, unsigned cpu, uint64_t tsc);
    uint64_t (*tsc_now)(void *opaque, unsigned cpu);
    void *opaque;
    unsigned cpu;
};

struct lapic_timer_regs {
    enum lapic_timer_mode mode;
    bool masked;
    bool running;      /* one-shot and periodic */
    uint32_t initial;
    uint32_t divide;   /* as written to the divide configuration register */
    uint64_t start_ns; /* guest time at which the running period began */
    uint64_t deadline; /* TSC value; 0: not armed */
    uint64_t due_ns;   /* guest time of `deadline` */
};

struct lapic_timer {
    struct lapic_timer_env env;
    struct vclock *clock;
    struct vtimer timer;
    struct lapic_timer_regs r;
};

void lapic_timer_init(struct lapic_timer *t, struct vclock *clock,
                      const struct lapic_timer_env *env);
void lapic_timer_fini(struct lapic_timer *t);
void lapic_timer_reset(struct lapic_timer *t);

/* True once for each expiry. Called when `due`, and before every other call here, so that what
 * has passed is settled under the old settings. */
bool lapic_timer_expired(struct lapic_timer *t);

void lapic_timer_set_mode(struct lapic_timer *t, enum lapic_timer_mode mode, bool masked);
void lapic_timer_set_initial(struct lapic_timer *t, uint32_t count);
void lapic_timer_set_divide(struct lapic_timer *t, uint32_t dcr);
uint32_t lapic_timer_current(const struct lapic_timer *t);

/* IA32_TSC_DEADLINE; ignored, and reads 0, in the other modes. A deadline that has passed
 * already expires at once: ask lapic_timer_expired. */
void lapic_timer_set_deadline(struct lapic_timer *t, uint64_t tsc);
uint64_t lapic_timer_deadline(const struct lapic_timer *t);

#endif
