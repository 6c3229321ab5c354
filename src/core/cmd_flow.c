/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd_flow: wait, at, undo, quit: the order in which things are done.
 */
#include "core/cmd_internal.h"

#include "core/clock.h"
#include "core/suggest.h"
#include "core/units.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WAIT_DEFAULT_NS 60000000000ull
#define DAY_S (24 * 3600)

/* wait */

struct waiting {
    unsigned states; /* bits */
};

static void poll_sleep(struct cmd_run *r)
{
    if (r->timed_out)
        cmd_done(r, CMD_DONE);
}

static bool there(const struct guest *g, unsigned states)
{
    return !g->starting && !g->want_start && !vm_busy(g->vm) && (states & 1u << vm_state(g->vm));
}

static void poll_state(struct cmd_run *r)
{
    const struct waiting *w = r->state;
    unsigned left = 0;

    for (unsigned i = 0; i < r->targets.n; i++)
        left += !there(r->targets.t[i].g, w->states);
    if (!left) {
        cmd_done(r, CMD_DONE);
        return;
    }
    if (!r->timed_out)
        return;
    for (unsigned i = 0; i < r->targets.n; i++)
        if (!there(r->targets.t[i].g, w->states))
            cmd_error(r, "%s is %s after %s, not %s", r->targets.t[i].g->c->name,
                      vm_state_name(vm_state(r->targets.t[i].g->vm)), r->p.arg[2] ? r->p.arg[2] : "60 s",
                      r->p.arg[1]);
    cmd_done(r, CMD_FAILED);
}

static int parse_state(const char *word, unsigned *states, struct err *e)
{
    struct suggest s = suggest_begin(word);
    char hint[80], show[40];

    if (strcmp(word, "ended") == 0) {
        *states = 1u << VM_STOPPED | 1u << VM_CRASHED;
        return 0;
    }
    for (int k = 0; k < VM_STATES; k++) {
        suggest_offer(&s, vm_state_name((enum vm_state)k));
        *states = 1u << k;
        if (strcmp(word, vm_state_name((enum vm_state)k)) == 0)
            return 0;
    }
    return err_set(e, EINVAL, "`%s` is no state%s: running, paused, stopped, crashed or ended",
                   text_show(show, sizeof show, word), suggest_text(&s, hint, sizeof hint));
}

static void wait_state(struct cmd_run *r)
{
    struct waiting *w = cmd_state(r, sizeof *w, NULL);
    uint64_t ns = WAIT_DEFAULT_NS;
    struct err e;

    if (!w)
        return;
    if (targets_add(&r->targets, r->session, r->p.arg[0], &e) < 0)
        cmd_fail(r, "%s", e.msg);
    else if (!r->p.arg[1])
        cmd_usage_error(r, "`wait %s` needs a state: running, paused, stopped, crashed or ended", r->p.arg[0]);
    else if (parse_state(r->p.arg[1], &w->states, &e) < 0 ||
             (r->p.arg[2] && units_duration(r->p.arg[2], &ns, &e) < 0))
        cmd_fail(r, "%s", e.msg);
    else
        cmd_wait(r, poll_state, ns ? ns : 1);
}

void exec_wait(struct cmd_run *r)
{
    uint64_t ns;
    struct err e;

    if (!isdigit((unsigned char)r->p.arg[0][0]) || r->p.arg[1]) {
        wait_state(r);
        return;
    }
    if (units_duration(r->p.arg[0], &ns, &e) < 0)
        cmd_fail(r, "%s", e.msg);
    else
        cmd_wait(r, poll_sleep, ns ? ns : 1);
}

/* at */

/* `14:30` or `14:30:05`: nanoseconds until then, today or tomorrow. */
static int until_clock(const char *s, uint64_t *ns)
{
    unsigned h, m, sec = 0;
    time_t now = (time_t)(clock_real_ns() / 1000000000);
    struct tm tm;
    char end;
    int n = sscanf(s, "%2u:%2u:%2u%c", &h, &m, &sec, &end);
    long left;

    if ((n != 3 && (n != 2 || sscanf(s, "%2u:%2u%c", &h, &m, &end) != 2)) || h > 23 || m > 59 || sec > 59)
        return -EINVAL;
    localtime_r(&now, &tm);
    left = ((long)h - tm.tm_hour) * 3600 + ((long)m - tm.tm_min) * 60 + (long)sec - tm.tm_sec;
    *ns = (uint64_t)(left < 0 ? left + DAY_S : left) * 1000000000;
    return 0;
}

static int parse_time(const char *s, uint64_t *ns, struct err *e)
{
    char show[40];

    if (s[0] == '+')
        return units_duration(s + 1, ns, e);
    if (until_clock(s, ns) == 0)
        return 0;
    return err_set(e, EINVAL, "`%s` is no time: write `+5s`, `+2m` or `14:30:05`", text_show(show, sizeof show, s));
}

static void show_plans(struct cmd_run *r)
{
    const struct plan *p;
    unsigned n = session_plans(r->session, &p);
    uint64_t now = clock_mono_ns();
    char left[UNITS_TEXT];

    for (unsigned i = 0; i < n; i++)
        cmd_printf(r, "in %s: %s\n", units_fmt_age(left, p[i].due_ns > now ? p[i].due_ns - now : 0), p[i].line);
    cmd_done(r, CMD_DONE);
}

void exec_at(struct cmd_run *r)
{
    struct err e;
    uint64_t ns;
    char *line;

    if (!r->p.arg[0]) {
        show_plans(r);
        return;
    }
    if (strcmp(r->p.arg[0], "cancel") == 0 && !r->p.nrest) {
        session_plan_clear(r->session);
        cmd_done(r, CMD_DONE);
        return;
    }
    line = r->p.nrest ? cmd_rest_line(&r->p) : NULL;
    if (!line)
        cmd_usage_error(r, "`at` needs a command after the time, as `at +5s pause web`");
    else if (parse_time(r->p.arg[0], &ns, &e) < 0)
        cmd_fail(r, "%s", e.msg);
    else if (cmd_check(line, &e) < 0)
        cmd_usage_error(r, "%s", e.msg);
    else if (session_plan(r->session, ns, line, &e) < 0)
        cmd_fail(r, "%s", e.msg);
    else
        cmd_done(r, CMD_DONE);
    free(line);
}

void exec_undo(struct cmd_run *r)
{
    char *what, *lines, *why;

    if (!undo_pop(session_undo(r->session), &what, &lines, &why)) {
        cmd_fail(r, "there is nothing to take back");
        return;
    }
    if (lines) {
        cmd_note(r, "takes back: %s", what);
        cmd_run_lines(r, lines, CMD_PART_UNDOES);
    } else {
        cmd_fail(r, "`%s` cannot be taken back: %s", what, why);
    }
    free(what);
    free(lines);
    free(why);
}

void exec_quit(struct cmd_run *r)
{
    uint64_t status = 0;
    struct err e;

    if (r->p.arg[0] && units_uint(r->p.arg[0], "a status", 0, 255, &status, &e) < 0) {
        cmd_fail(r, "%s", e.msg);
        return;
    }
    cmd_done(r, CMD_DONE);
    session_quit(r->session, (int)status);
}
