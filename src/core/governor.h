/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * governor: divides the host's processors among the guests of a session (DESIGN §4).
 *
 * Its thread reads what every guest has used and waited for, asks sched.h who may run, holds the
 * vCPUs of the others, and puts those that run on a host CPU each: the kernel's own balancing is
 * slower than our slices, so two would share a CPU while another had nothing to do. It ticks in
 * milliseconds while shares or caps bind, some ten times a second while nothing does, not at all
 * without guests that have been started; and at once when a guest that is part of it halts while others are held, or
 * wakes while others might have to be.
 *
 * Threads: main adds, removes, sets and reads; the VM's job thread begins, pauses and ends. The
 * functions of `gov_ops` are called on the governor's thread, and by the other functions here on their
 * callers'; never after governor_end has returned. Under its locks these take vclock's and no other.
 */
#ifndef RUCHE_CORE_GOVERNOR_H
#define RUCHE_CORE_GOVERNOR_H

#include "core/err.h"
#include "core/sched.h"
#include "core/sched_info.h"

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

struct governor;
struct gov_guest;

enum gov_hold { GOV_RUN, GOV_HOLD_SHARE, GOV_HOLD_CAP };

struct gov_ops {
    uint64_t (*cpu_ns)(void *vm, unsigned cpu);  /* CPU time of a vCPU's thread */
    /* Time it wanted a CPU, was not held and got none; `cpu_ns` as last read, it has used no more since; `first`: nobody
     * has asked for a while. */
    int64_t (*wait_ns)(void *vm, unsigned cpu, uint64_t cpu_ns, bool first);
    uint64_t (*io_ns)(void *vm);                 /* CPU time of all its other threads */
    void (*hold)(void *vm, unsigned cpu, enum gov_hold how);
    /* As GOV_RUN, but who calls it then wakes what sleeps on what it returns. Any thread. */
    _Atomic uint32_t *(*let_run)(void *vm, unsigned cpu);
    enum sched_now (*now)(void *vm, unsigned cpu);
    uint32_t (*sleep)(void *vm, unsigned cpu); /* 0: its thread may be using a CPU; else the number of this sleep */
    uint32_t (*naps)(void *vm, unsigned cpu); /* how often it was seen to go to sleep, as of the last `now`; modulo 2^32 */
    bool (*tells)(void *vm); /* it calls governor_stir and governor_halts */
    int (*where)(void *vm, unsigned cpu); /* the host CPU that it is on or was last; negative: not known */
    void (*place)(void *vm, unsigned cpu, const cpu_set_t *set); /* its thread may run there only */
    void (*slice)(void *vm, unsigned cpu, uint64_t ns); /* as slice_ask (slice.h) */
    void (*pace)(void *vm, unsigned hz); /* as vclock_pace (vclock.h) */
};

/* `cpus`: of the host. Its thread begins, sleeps until there are guests, and goes first if the caller did (slice.h). */
struct governor *governor_new(unsigned cpus, struct err *e);
void governor_free(struct governor *g); /* all guests are removed before; NULL is legal */

/* False: only measures, something else divides; nobody is held. */
void governor_enforce(struct governor *g, bool yes);

struct gov_guest *governor_add(struct governor *g, unsigned ncpus, const struct gov_ops *ops, void *vm);
void governor_remove(struct gov_guest *gg); /* NULL is legal; after governor_end */

/* At once. */
void governor_set(struct gov_guest *gg, unsigned share, unsigned cap_pct);
/* Where its vCPUs may run, a set for each. Tell it before the kernel: it may give them the sets it knows. */
void governor_set_cpus(struct gov_guest *gg, const cpu_set_t *set);

void governor_begin(struct gov_guest *gg); /* its threads are there, nobody is held */
void governor_pause(struct gov_guest *gg, bool paused);
void governor_end(struct gov_guest *gg);   /* its threads are about to end */

/* One of its vCPUs wants to run. Any thread; takes no lock. */
void governor_stir(struct gov_guest *gg);
/* One of them goes to sleep: who was to run next on the host CPU that it leaves is let run. Any thread. */
void governor_halts(struct gov_guest *gg, unsigned cpu);

/* Closes an interval: governor_read tells its means until the next. */
void governor_sample(struct gov_guest *gg);
void governor_read(struct gov_guest *gg, double *entitlement, enum sched_reason *reason);

/* CPU time that the governor itself has used. */
uint64_t governor_cpu_ns(struct governor *g);

#endif
