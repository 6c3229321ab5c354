/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * session_sched: what guests get of the processors, as the session's people see it.
 */
#include "core/session_internal.h"

#include <math.h>
#include <stdlib.h>

const char *sched_reason_name(enum sched_reason r)
{
    static const char *const names[REASONS] = {
        [REASON_IDLE] = "idle", [REASON_SHARE] = "share",   [REASON_CAP] = "cap",
        [REASON_HOST] = "host", [REASON_PAUSED] = "paused",
    };

    return r < REASONS ? names[r] : NULL;
}

void session_sched_changed(struct guest *g)
{
    if (vm_governed(g->vm))
        governor_set(vm_governed(g->vm), g->c->share, g->c->cap_pct);
}

void session_sched_sample(struct guest *g)
{
    vm_sample(g->vm);
    if (vm_governed(g->vm))
        governor_sample(vm_governed(g->vm));
}

void session_sched(struct session *s, struct guest *g, const struct vm_stats *st, struct sched_info *out)
{
    bool up = vm_state(g->vm) == VM_RUNNING || vm_state(g->vm) == VM_PAUSED;
    struct gov_guest *gov = vm_governed(g->vm);

    (void)s;
    *out = (struct sched_info){
        .share = g->c->share, .cap_pct = g->c->cap_pct, .entitlement = NAN, .got = up ? st->cpu : NAN,
        .mechanism = gov ? "slots" : "none", .used_seconds = (double)st->cpu_ns / 1e9,
    };
    if (gov && up)
        governor_read(gov, &out->entitlement, &out->reason);
    if (vm_state(g->vm) == VM_PAUSED)
        out->reason = REASON_PAUSED;
}
