/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * governor_internal: what the governor's parts share; only they include it.
 *
 * governor.c       the thread: reads, decides, tells; guests come, change and go
 * governor_news.c  which halts and wakes are worth a tick of their own
 */
#ifndef RUCHE_CORE_GOVERNOR_INTERNAL_H
#define RUCHE_CORE_GOVERNOR_INTERNAL_H

#include "core/governor.h"

#include <pthread.h>
#include <stdatomic.h>

/* Bits of `poked`. FREE: a STIR while a CPU has nothing to do: that tick hardly takes anything from anybody. */
enum { POKE_NOW = 1, POKE_STIR = 2, POKE_IDLE = 4, POKE_FREE = 8 };

struct gov_guest {
    struct governor *gov;
    struct gov_guest *next;
    const struct gov_ops *ops;
    void *vm;
    /* all below: under the governor's lock, but for what says otherwise */
    bool live;
    cpu_set_t cpus; /* of all its vCPUs */
    bool unseen; /* nobody tells when it halts or wakes */
    unsigned pace; /* so often a second its timers may take the CPU from others; 0: as they like */
    _Atomic bool halt_is_news, wake_is_news; /* partners: governor_halts, governor_stir */
    struct sched_domain domain; /* used if it is the first of its domain */
    struct gov_guest *root;     /* that one; written under `heir_lock`, too */
    struct heir { /* who is held and is let run by the first that halts; if it is the first of its domain */
        struct gov_guest *guest; /* NULL: nobody */
        unsigned cpu;
    } heir; /* under `heir_lock`; while there is one, so is its `told` */
    struct sched_vm s;
    uint64_t io_ns, io_read_ns; /* what its other threads have used, and when we looked */
    struct reading {
        uint64_t cpu_ns, run_ns; /* `run_ns`: when it was let run */
        uint32_t sleep; /* of its thread, begun before that was read; 0: none */
        int64_t wait_ns;
        uint32_t naps;
        bool looked; /* so `naps` were read */
        enum gov_hold told;
        bool wait_read;
        bool busy;     /* it has the slices of those that never halt */
        _Atomic bool leaves_room; /* if it halts another can run; partner: governor_halts */
        cpu_set_t may; /* where it may run */
        int to;        /* the host CPU that it is sent to now; negative: none */
    } *reading; /* one a vCPU */
    /* the interval that is open, and the last one */
    double seconds, entitled, why[REASONS];
    double entitlement;
    enum sched_reason reason;
};

struct governor {
    pthread_mutex_t lock, heir_lock; /* the second: within the first */
    pthread_t thread;
    _Atomic bool quit;
    _Atomic uint32_t poked; /* the thread sleeps on it */
    bool started, regroup, enforce;
    bool idle; /* at the last tick no guest ran */
    unsigned cpus;
    struct idle_watch **watch; /* one a CPU where guests may run whose halts nobody tells; else NULL */
    struct gov_guest *guests;
    struct sched_vm **list;    /* room for all of them */
    struct sched_place *place; /* and for all their vCPUs */
    unsigned looks; /* at CPUs that seemed idle, since the last tick; governor_news.c's, as is `peeks` */
    bool peeks;     /* somebody may wake without a word */
    uint64_t last_ns, stir_ns; /* the thread's: last tick; ticks that halts and wakes have cost */
    uint64_t cost_ns;          /* the thread's: of a tick of late */
    _Atomic uint64_t used_ns; /* the thread's own; partner: governor_cpu_ns */
};

static inline bool takes_cpu(const struct gov_guest *a, unsigned i)
{
    return !a->s.paused && !a->s.cpu[i].hold && sched_wants(&a->s.cpu[i]);
}

/* All under the governor's lock, on its thread, but for what says otherwise. */

/* After a tick has told everybody: which halts and wakes are news until the next, in a domain. */
void governor_find_news(struct governor *g, const struct gov_guest *root);
/* Then: what is not told is to be looked for. Resets `looks`. */
void governor_watch_unseen(struct governor *g);
/* Has one of those that do not tell halted (it was awake), or woken? Takes the lock. */
bool governor_looks(struct governor *g, enum sched_now was);

#endif
