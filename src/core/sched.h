/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sched: who may run now. A pure function of what was used and wanted: no clock, no thread, no
 * system call (governor.h has them), so that it can be tested with a simulated machine.
 *
 * Guests that may use the same host CPUs form a domain. Its capacity is divided by weighted
 * max-min fairness: a guest is entitled to what its share is of the capacity, or to what it
 * would use alone or its cap if that is less; what is left goes to the others in the ratio of their shares.
 * Service owed is kept exactly, in CPU seconds, as `credit`: it grows by the entitlement's part
 * of all that was really used, and shrinks by what the guest used. So a busy host changes
 * nothing in the ratio, and a slice that was too long is made up for by a longer wait, also at
 * 1000:1. Who wants less than it is entitled to banks nothing.
 * Those who are owed most run; the others are held. Who is known to sleep takes no place: so if
 * the caller steps whenever somebody halts while others are held, or wakes beside those that hardly ever halt, no
 * place is empty for long while another wants it, and who wakes within its part has one at once. Who sleeps again soon
 * and wants no more than the kernel gives it anyway is not worth that (`brief`): it takes a part of a place. Where that cannot be known, the mean of what a
 * guest wanted stands for what it wants now. Only the last one admitted may have some of
 * its vCPUs held, in turns, else two CPUs could not be divided 1:1 among a guest with two vCPUs
 * and one with one.
 * A cap is a bucket of CPU seconds that may go below zero, so that it is exact in the mean.
 *
 * All times are seconds, all rates host CPUs.
 */
#ifndef RUCHE_CORE_SCHED_H
#define RUCHE_CORE_SCHED_H

#include "core/sched_info.h"

#include <stdbool.h>

#define SCHED_LIGHT 0.05     /* a vCPU that wants less is not worth holding */
#define SCHED_BRIEF 0.00025 /* seconds awake, at least; who sleeps again sooner is not worth holding others for */

enum sched_now { NOW_UNKNOWN, NOW_AWAKE, NOW_ASLEEP };

struct sched_cpu { /* one vCPU */
    enum sched_now now; /* asleep: the guest has halted it */
    /* since the last step */
    double used;
    double waited; /* it wanted a CPU and the host gave none; negative: so much less than was said */
    double held;   /* the step had let it run, but nobody had told it yet */
    unsigned naps; /* how often it was seen to go to sleep */
    /* state; the caller zeroes it */
    double demand; /* 0 to 1: the part of the time in which it ran or waited */
    double ran;    /* in which it ran */
    double nap_rate; /* a second */
    double turn; /* CPU time, fading: who has had less comes first */
    bool brief;  /* when it wakes the kernel fits it in */
    /* decided */
    bool hold;
};

/* It is worth a place: for all that is known it wants to run now. */
static inline bool sched_wants(const struct sched_cpu *c)
{
    return c->demand >= SCHED_LIGHT && c->now != NOW_ASLEEP;
}

struct sched_vm {
    double weight;
    double cap; /* host CPUs, 0: none */
    bool paused;
    unsigned ncpus;
    struct sched_cpu *cpu;
    double io_used; /* by threads of it that cannot be held, since it was last read */
    /* state */
    double credit, tokens, io_demand;
    double cap_was; /* which `tokens` are of */
    double lack; /* light guests' whose sleep is unknown: what the host did not give, though they were within their part */
    double want;  /* CPUs that its threads would use alone on the host */
    double limit; /* what it could have alone: of that what the host gives, or its cap */
    double fair;  /* what it might have at most if it wanted */
    /* decided */
    double entitlement;
    bool bound;  /* wants more than it is entitled to */
    bool capped; /* its own cap holds it */
    enum sched_reason reason;
};

struct sched_domain {
    double cpus;     /* host CPUs that it may use */
    double moment;   /* as SCHED_BRIEF where holding costs more; or 0 */
    bool elsewhere;  /* something else holds guests: who is capped waits for its cap */
    /* state */
    double used, wanted;
    double supply;   /* the part of a CPU that the host gives to a thread that wants all of one */
    double capacity; /* CPUs, of which others on the host leave that part */
    bool contended;
};

/* `dt` seconds after the last step. Decides `hold` of every vCPU; returns in how many seconds it
 * wants to be called again. */
double sched_step(struct sched_domain *d, struct sched_vm *const *vm, unsigned n, double dt);

/* Of two vCPUs, `c` of `v` and `d` of `w`: should the first run before the other? As the last step left them. */
bool sched_before(const struct sched_vm *v, const struct sched_cpu *c, const struct sched_vm *w,
                  const struct sched_cpu *d);

#endif
