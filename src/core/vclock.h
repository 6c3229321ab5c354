/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * vclock: a guest's time, and the timers of its devices.
 *
 * Guest time starts at 0, runs at the pace of CLOCK_MONOTONIC and stands still while the
 * guest is paused. Timers fire on the guest's I/O thread, never while paused. In tests the
 * clock is manual: it moves only by vclock_step, and timers fire inside that call.
 *
 * Threads: all functions but _new/_free may be called from any thread. A callback runs with
 * no lock of the clock held; vtimer_cancel does not wait for one that runs already, so a
 * callback checks its device's state under the device's lock.
 */
#ifndef RUCHE_CORE_VCLOCK_H
#define RUCHE_CORE_VCLOCK_H

#include "core/err.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct vclock;

struct vtimer {
    struct vclock *clock;
    void (*fn)(void *arg);
    void *arg;
    uint64_t due_ns; /* guest time; meaningful while armed */
    bool armed;      /* this and `slot`: protected by the clock's lock */
    unsigned slot;
};

/* A paused clock at 0, driven by `l`. */
struct vclock *vclock_new(struct loop *l, struct err *e);

/* A running clock at 0 that only vclock_step moves. */
struct vclock *vclock_new_manual(void);
void vclock_free(struct vclock *c);

uint64_t vclock_now_ns(const struct vclock *c);
void vclock_pause(struct vclock *c);
void vclock_resume(struct vclock *c);

/* The clock wakes the I/O thread for timers `hz` times a second at most, VCLOCK_PACED_BURST times at once: for who
 * shares a host CPU with others. Timers come late then, together. 0: as often as they ask. */
enum { VCLOCK_PACED_BURST = 8 };
void vclock_pace(struct vclock *c, unsigned hz);

/* Manual clock only: moves time by `ns`, firing every timer that falls due, in order, each at
 * exactly its time. */
void vclock_step(struct vclock *c, uint64_t ns);

/* Nanoseconds until the next timer, or UINT64_MAX. */
uint64_t vclock_next_ns(const struct vclock *c);

void vtimer_init(struct vtimer *t, struct vclock *c, void (*fn)(void *arg), void *arg);
void vtimer_arm(struct vtimer *t, uint64_t due_ns); /* absolute guest time; re-arms */
void vtimer_cancel(struct vtimer *t);               /* legal on a disarmed timer */
bool vtimer_is_armed(const struct vtimer *t);

#endif
