/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * session_plan: commands for later (`at`).
 */
#include "core/session_internal.h"

#include "core/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void arm(struct session *s)
{
    uint64_t now = clock_mono_ns();

    if (!s->planner)
        return;
    if (s->nplans)
        loop_arm_ns(s->planner, s->plans[0].due_ns > now ? s->plans[0].due_ns - now : 1);
    else
        loop_disarm(s->planner);
}

int session_plan(struct session *s, uint64_t from_now_ns, const char *line, struct err *e)
{
    struct plan p = {.due_ns = clock_mono_ns() + from_now_ns, .line = strdup(line)};
    unsigned i = s->nplans;

    if (!p.line)
        return err_set(e, ENOMEM, "out of memory");
    if (s->nplans == SESSION_PLANS_MAX) {
        free(p.line);
        return err_set(e, ENOSPC, "%d commands are planned already: `at cancel` forgets them", SESSION_PLANS_MAX);
    }
    for (; i > 0 && s->plans[i - 1].due_ns > p.due_ns; i--)
        s->plans[i] = s->plans[i - 1];
    s->plans[i] = p;
    s->nplans++;
    arm(s);
    return 0;
}

unsigned session_plans(const struct session *s, const struct plan **out)
{
    *out = s->plans;
    return s->nplans;
}

void session_plan_clear(struct session *s)
{
    while (s->nplans)
        free(s->plans[--s->nplans].line);
    arm(s);
}

void session_planner(void *arg)
{
    struct session *s = arg;

    while (s->nplans && s->plans[0].due_ns <= clock_mono_ns()) {
        char *line = s->plans[0].line;

        memmove(&s->plans[0], &s->plans[1], --s->nplans * sizeof s->plans[0]);
        session_event(s, EV_SESSION, NULL, "at: %s", line);
        if (!cmd_start(s, line, &s->output))
            session_event(s, EV_FAILED, NULL, "at: out of memory");
        free(line);
    }
    arm(s);
}
