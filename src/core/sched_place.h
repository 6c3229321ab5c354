/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sched_place: on which host CPU each vCPU that runs is best. A pure function, as sched.h.
 */
#ifndef RUCHE_CORE_SCHED_PLACE_H
#define RUCHE_CORE_SCHED_PLACE_H

#include <sched.h>
#include <stdbool.h>

struct sched_place { /* one vCPU */
    const cpu_set_t *may; /* the host CPUs that it may use */
    int at;               /* the one it is on or was last; negative: it does not run or that is unknown */
    bool there;           /* it runs already */
    int to;               /* decided: where it has to be sent; negative: nowhere */
};

/* Who runs alone on a CPU stays. The others, and those that are about to run, get a CPU where nobody
 * is, their last one if they can; where all are taken the kernel decides. */
void sched_place(struct sched_place *p, unsigned n);

#endif
