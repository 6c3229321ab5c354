/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * session_sched: what guests get of the processors, as the session's people see it.
 */
#include "core/session_internal.h"

#include "core/sched_cgroup.h"
#include "core/text.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>


const char *sched_reason_name(enum sched_reason r)
{
    static const char *const names[REASONS] = {
        [REASON_IDLE] = "idle", [REASON_SHARE] = "share",   [REASON_CAP] = "cap",
        [REASON_HOST] = "host", [REASON_PAUSED] = "paused",
    };

    return r < REASONS ? names[r] : NULL;
}

/* What divides: the kernel by cgroups, or the governor by slots. */

static void use_slots(struct session *s)
{
    sched_cgroup_free(s->cgroup);
    s->cgroup = NULL;
    governor_enforce(s->governor, true);
}

static int set_group(struct guest *g, struct err *e)
{
    return sched_cgroup_set(g->session->cgroup, g->c->name, g->c->share, g->c->cap_pct, e);
}

/* Slow: for each thread the kernel waits until nobody else starts or ends any. */
static int to_cgroup(struct guest *g, struct err *e)
{
    int tid[VM_THREADS_MAX], rc;
    unsigned n = vm_threads(g->vm, tid, VM_THREADS_MAX);

    if (!n)
        return 0;
    rc = set_group(g, e);
    return rc < 0 ? rc : sched_cgroup_move(g->session->cgroup, g->c->name, tid, n, e);
}

static int use_cgroup(struct session *s, struct err *e)
{
    int rc = 0;

    if (!s->cgroup && !(s->cgroup = sched_cgroup_new((unsigned)CPU_COUNT(&s->host.usable), e)))
        return -ENOTSUP;
    for (struct guest *g = s->guests; g && rc == 0; g = g->next)
        rc = to_cgroup(g, e);
    if (rc < 0)
        use_slots(s);
    else
        governor_enforce(s->governor, false);
    return rc;
}

static const char *const mechanisms[] = {[SCHED_AUTO] = "auto", [SCHED_SLOTS] = "slots", [SCHED_CGROUP] = "cgroup"};

const char *session_sched_choice(const struct session *s)
{
    return mechanisms[s->sched_choice];
}

const char *session_sched_mechanism(const struct session *s)
{
    return mechanisms[s->cgroup ? SCHED_CGROUP : SCHED_SLOTS];
}

int sched_choice_parse(const char *v, enum sched_choice *out, struct err *e)
{
    char show[40];

    for (enum sched_choice c = SCHED_AUTO; c <= SCHED_CGROUP; c++) {
        if (strcmp(v, mechanisms[c]) == 0) {
            *out = c;
            return 0;
        }
    }
    return err_set(e, EINVAL, "`%s` divides no processor: write `auto`, `slots` or `cgroup`",
                   text_show(show, sizeof show, v));
}

int session_set_sched(struct session *s, const char *v, struct err *e)
{
    enum sched_choice c;
    struct err why;
    int rc = sched_choice_parse(v, &c, e);

    if (rc == 0 && c == SCHED_CGROUP)
        rc = use_cgroup(s, e);
    if (rc < 0)
        return rc;
    if (c == SCHED_SLOTS)
        use_slots(s);
    else if (c == SCHED_AUTO && !s->cgroup)
        use_cgroup(s, &why); /* else it stays with slots */
    s->sched_choice = c;
    return 0;
}

static void give_up_cgroup(struct guest *g, const struct err *e)
{
    session_event(g->session, EV_FAILED, g, "%s; slots divide the processor from now on", e->msg);
    use_slots(g->session);
}

void session_sched_threads(struct guest *g)
{
    struct err e;

    if (g->session->cgroup && to_cgroup(g, &e) < 0)
        give_up_cgroup(g, &e);
}

void session_sched_gone(struct guest *g)
{
    if (g->session && g->session->cgroup)
        sched_cgroup_remove(g->session->cgroup, g->c->name);
}

void session_sched_fini(struct session *s)
{
    sched_cgroup_free(s->cgroup);
    s->cgroup = NULL;
}

void session_sched_changed(struct guest *g)
{
    struct err e;

    if (vm_governed(g->vm))
        governor_set(vm_governed(g->vm), g->c->share, g->c->cap_pct);
    if (g->session->cgroup && set_group(g, &e) < 0)
        give_up_cgroup(g, &e);
}

void session_sched_sample(struct guest *g)
{
    if (g->session->cgroup)
        vm_set_throttled(g->vm, sched_cgroup_throttled_ns(g->session->cgroup, g->c->name));
    vm_sample(g->vm);
    if (vm_governed(g->vm))
        governor_sample(vm_governed(g->vm));
}

void session_sched(struct session *s, struct guest *g, const struct vm_stats *st, struct sched_info *out)
{
    bool up = guest_is_up(g);
    struct gov_guest *gov = vm_governed(g->vm);

    *out = (struct sched_info){
        .share = g->c->share, .cap_pct = g->c->cap_pct, .entitlement = NAN, .got = up ? st->cpu : NAN,
        .mechanism = gov ? session_sched_mechanism(s) : "none", .used_seconds = (double)st->cpu_ns / 1e9,
    };
    if (gov && up)
        governor_read(gov, &out->entitlement, &out->reason);
    if (vm_state(g->vm) == VM_PAUSED)
        out->reason = REASON_PAUSED;
}
