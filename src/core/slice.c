/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * slice: see slice.h. The C library has no sched_setattr yet everywhere.
 */
#include "core/slice.h"

#include <sched.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FIRST_BY = 12 };

static _Atomic int policy = -1; /* of the process, from the first call on, when there are no other threads */
static int usual;       /* its nice value */
static bool first;

void slice_ask(int tid, uint64_t ns)
{
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attr = {.size = sizeof attr};

    if (syscall(SYS_sched_getattr, tid, &attr, sizeof attr, 0) < 0)
        return;
    if (policy < 0)
        policy = (int)attr.policy;
    if (policy != SCHED_OTHER || (attr.policy != SCHED_OTHER && attr.policy != SCHED_BATCH))
        return; /* somebody has chosen another */
    attr.policy = ns > SLICE_LIGHT_NS ? SCHED_BATCH : SCHED_OTHER;
    attr.runtime = ns;
    syscall(SYS_sched_setattr, tid, &attr, 0);
}

void slice_first(void)
{
    usual = getpriority(PRIO_PROCESS, 0);
    first = setpriority(PRIO_PROCESS, 0, usual - FIRST_BY) == 0;
    if (first)
        slice_ask(0, SLICE_LIGHT_NS);
}

void slice_as_usual(void)
{
    if (first) {
        setpriority(PRIO_PROCESS, 0, usual);
        slice_ask(0, SLICE_SERVES_NS);
    }
    first = false;
}
