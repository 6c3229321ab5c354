/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sched_info: what a guest should get of the host's processors, what it got, and why (DESIGN §4).
 */
#ifndef RUCHE_CORE_SCHED_INFO_H
#define RUCHE_CORE_SCHED_INFO_H

#include "core/err.h"

#include <stdint.h>

/* What divides the processor: the governor in this process or the kernel. */
enum sched_choice { SCHED_AUTO, SCHED_SLOTS, SCHED_CGROUP }; /* auto: cgroup where it works */

int sched_choice_parse(const char *v, enum sched_choice *out, struct err *e);

/* What held a guest at what it got, in one word. */
enum sched_reason {
    REASON_NONE,   /* nothing: it ran all it could, or it is not known */
    REASON_IDLE,   /* it did not want more */
    REASON_SHARE,  /* others' shares */
    REASON_CAP,    /* its own cap */
    REASON_HOST,   /* others on the host than our guests */
    REASON_PAUSED, /* a person */
    REASONS
};

/* "idle", "share", ...; NULL for REASON_NONE. */
const char *sched_reason_name(enum sched_reason r);

struct sched_info {
    unsigned share, cap_pct;
    double entitlement;        /* host CPUs, mean over the last interval; NAN: not known */
    double got;                /* host CPUs used over it, I/O threads included; NAN: not known */
    enum sched_reason reason;
    const char *mechanism;     /* what divides: "slots", "cgroup", "none"; lives for ever */
    double used_seconds;       /* CPU time, cumulative */
};

#endif
