/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * session_start: in which order guests start, whether their memory fits, on which processors
 * they run.
 */
#include "core/session_internal.h"

#include "core/units.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* Does `name` in a depends list mean this guest? */
static bool means(const char *name, const struct guest *g)
{
    return strcmp(name, g->c->name) == 0 || strcmp(name, g->spec.base) == 0;
}

/* The next guest after `g` (NULL: from the first) that `who` depends on. */
static struct guest *next_depend(struct session *s, const struct guest *who, struct guest *g)
{
    for (g = g ? g->next : s->guests; g; g = g->next)
        for (unsigned i = 0; i < who->c->ndepends; i++)
            if (g != who && means(who->c->depends[i], g))
                return g;
    return NULL;
}

static void want_start(struct session *s, struct guest *g)
{
    if (g->want_start)
        return;
    g->want_start = true;
    for (struct guest *d = next_depend(s, g, NULL); d; d = next_depend(s, g, d))
        if (!d->ran)
            want_start(s, d);
}

void session_start_lab(struct session *s)
{
    s->story_due = s->story.about != NULL;
    for (struct guest *g = s->guests; g; g = g->next)
        if (g->c->autostart)
            want_start(s, g);
    session_advance(s);
}

/* Memory that guests may still take, beside what they have touched already. */
static int check_memory(struct session *s, const struct guest *g, struct err *e)
{
    struct vm_stats *st = malloc(sizeof *st);
    char a[UNITS_TEXT], b[UNITS_TEXT], c[UNITS_TEXT];
    uint64_t asked = g->c->memory_bytes, others = 0;
    struct lab_host h = s->host;
    unsigned n = 0;

    if (!st)
        return err_set(e, ENOMEM, "out of memory");
    for (struct guest *o = s->guests; o; o = o->next) {
        if (o == g || (!guest_is_up(o) && !o->starting))
            continue;
        vm_stats(o->vm, st, 2000000000);
        n++;
        if (guest_target(o) > st->memory_resident_bytes)
            others += guest_target(o) - st->memory_resident_bytes;
    }
    free(st);
    if (!s->host_fixed)
        lab_host_measure(&h);
    if (!n || asked + others <= h.memory_available_bytes)
        return lab_check_memory(asked, 1, h.memory_available_bytes, e);
    return err_set(e, ENOMEM, "%s needs %s and %u guest%s may still take %s, but this host has only %s available: stop one or ask it "
                   "for memory (`mem`), or allow it with `set overcommit on`", g->c->name, units_fmt_size(a, asked), n,
                   n == 1 ? " that runs" : "s that run", units_fmt_size(b, others),
                   units_fmt_size(c, h.memory_available_bytes));
}

int session_start(struct session *s, struct guest *g, struct err *e)
{
    uint64_t end[CONSOLES];
    int rc;

    for (unsigned i = 0; i < g->c->ndisks; i++)
        if ((rc = lab_check_disk_file(&g->c->disks[i], e)) < 0)
            return rc;
    rc = s->overcommit ? 0 : check_memory(s, g, e);
    if (rc == 0)
        rc = session_apply_pins(s, g, e); /* before it runs: with sets of its own it disturbs nobody else's */
    if (rc < 0)
        return rc;
    for (int c = 0; c < CONSOLES; c++)
        end[c] = console_end(vm_console(g->vm, (enum board_console)c));
    rc = vm_start(g->vm, e);
    if (rc == 0)
        memcpy(g->mark, end, sizeof g->mark); /* what it said in an earlier life is past */
    g->starting = rc == 0;
    g->failed = rc < 0 && rc != -EALREADY && rc != -EBUSY;
    g->want_start = false;
    return rc;
}

static void start_failed(struct session *s, struct guest *g, const char *why)
{
    g->want_start = false;
    g->failed = true;
    session_event(s, EV_FAILED, g, "was not started: %s", why);
}

/* True if it may start now; a guest whose depends failed fails too. */
static bool may_start(struct session *s, struct guest *g)
{
    char why[120];

    for (struct guest *d = next_depend(s, g, NULL); d; d = next_depend(s, g, d)) {
        if (d->failed) {
            snprintf(why, sizeof why, "it depends on %s, which did not start", d->c->name);
            start_failed(s, g, why);
            return false;
        }
        if (!d->ran)
            return false;
    }
    return true;
}

void session_advance(struct session *s)
{
    unsigned starting = 0;
    bool again = true;
    struct err e;

    for (struct guest *g = s->guests; g; g = g->next)
        starting += g->starting;
    while (again) {
        again = false;
        for (struct guest *g = s->guests; g && starting < SESSION_STARTS_AT_ONCE; g = g->next) {
            if (!g->want_start || !may_start(s, g)) {
                continue;
            } else if (session_start(s, g, &e) < 0) {
                start_failed(s, g, e.msg);
                again = true;
            } else {
                starting++;
            }
        }
    }
    if (s->story_due && session_settled(s, &starting)) {
        s->story_due = false;
        session_event(s, EV_SESSION, NULL, "%s: `lab` says what to try", s->story.title ? s->story.title : s->name);
    }
}

bool session_settled(const struct session *s, unsigned *failed)
{
    bool settled = true;

    *failed = 0;
    for (const struct guest *g = s->guests; g; g = g->next) {
        settled &= !g->want_start && !g->starting;
        *failed += g->failed;
    }
    return settled;
}

/* Processors. */

/* Takes from `set` what is not in `list`, if there is one. */
static int keep_only(cpu_set_t *set, const struct session *s, const char *list, struct err *e)
{
    cpu_set_t own;
    int rc = list ? units_cpus(list, s->host.cpus, &own, e) : 0;

    if (list && rc == 0)
        CPU_AND(set, set, &own);
    return rc;
}

static int pin_set(const struct session *s, const char *pin, cpu_set_t *set, struct err *e)
{
    int rc;

    CPU_ZERO(set);
    for (unsigned i = 0; i < s->host.cpus && i < CPU_SETSIZE; i++)
        CPU_SET(i, set);
    if ((rc = keep_only(set, s, s->cpus, e)) < 0 || (rc = keep_only(set, s, pin, e)) < 0)
        return rc;
    if (CPU_COUNT(set) == 0)
        return err_set(e, EINVAL, "CPUs `%s` are not among the lab's (`%s`): pin it elsewhere, or change host.cpus", pin, s->cpus);
    CPU_AND(set, set, &s->host.usable);
    if (CPU_COUNT(set) == 0)
        return err_set(e, EINVAL, "CPUs `%s` are off line, or not among those that this process may use: `taskset -cp %d` "
                       "shows these, and `pin` and host.cpus choose among them", pin ? pin : s->cpus, (int)getpid());
    return 0;
}

int session_apply_pins(struct session *s, struct guest *g, struct err *e)
{
    int tid[VM_THREADS_MAX];
    unsigned n = vm_threads(g->vm, tid, VM_THREADS_MAX);
    cpu_set_t set[VM_THREADS_MAX];
    int rc = 0;

    memset(set, 0, sizeof set);
    for (unsigned i = 0; i < (n ? n : g->c->vcpus) && rc == 0; i++) {
        const char *own = i < g->c->vcpus ? g->vcpu_pin[i] : NULL;

        rc = pin_set(s, own ? own : g->c->pin, &set[i], e);
    }
    if (rc == 0 && vm_governed(g->vm))
        governor_set_cpus(vm_governed(g->vm), set);
    for (unsigned i = 0; i < n && rc == 0; i++)
        if (sched_setaffinity(tid[i], sizeof set[i], &set[i]) < 0 && errno != ESRCH)
            rc = err_set(e, errno, "%s cannot be pinned: %s", g->c->name, strerror(errno));
    if (n)
        session_sched_threads(g);
    return rc;
}
