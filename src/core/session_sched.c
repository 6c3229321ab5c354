/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * session_sched: what guests get of the processors, as the session's people see it.
 */
#include "core/session_internal.h"

#include <math.h>
#include <stdlib.h>

const char *sched_reason_name(enum sched_reason r)
{
    static const char *const names[SCHED_REASONS] = {
        [SCHED_IDLE] = "idle", [SCHED_SHARE] = "share",   [SCHED_CAP] = "cap",
        [SCHED_HOST] = "host", [SCHED_PAUSED] = "paused",
    };

    return r < SCHED_REASONS ? names[r] : NULL;
}

void session_sched(struct session *s, struct guest *g, const struct vm_stats *st, struct sched_info *out)
{
    bool up = vm_state(g->vm) == VM_RUNNING || vm_state(g->vm) == VM_PAUSED;

    (void)s;
    *out = (struct sched_info){
        .share = g->c->share, .cap_pct = g->c->cap_pct, .entitlement = NAN, .got = up ? st->cpu : NAN,
        .reason = vm_state(g->vm) == VM_PAUSED ? SCHED_PAUSED : SCHED_NONE, .mechanism = "none",
        .used_seconds = (double)st->cpu_ns / 1e9,
    };
}
