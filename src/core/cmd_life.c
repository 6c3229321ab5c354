/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd_life: start, pause, resume, shutdown, stop, reset, remove.
 *
 * A command of this kind asks each of its guests, waits while one is busy with something else,
 * and ends when all are where they should be, one has failed, or the time is over. A guest that
 * is there already is remarked on and counts as done.
 */
#include "core/cmd_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS(n) ((uint64_t)(n) * 1000000000ull)

struct verb {
    const char *name;
    int (*ask)(struct session *s, struct guest *g, struct err *e);
    unsigned goal; /* bits of the states that end it */
    unsigned timeout_s;
    const char *inverse; /* command that takes it back, NULL: none */
    const char *never;   /* why it cannot be taken back */
};

enum life_phase { LIFE_ASK, LIFE_WAIT, LIFE_THERE, LIFE_FAILED };

struct life {
    const struct verb *verb;
    enum life_phase *phase;
    uint64_t since; /* events up to this one are older than the command */
};

static int ask_pause(struct session *s, struct guest *g, struct err *e)
{
    (void)s;
    return vm_pause(g->vm, e);
}

static int ask_resume(struct session *s, struct guest *g, struct err *e)
{
    (void)s;
    return vm_resume(g->vm, e);
}

static int ask_stop(struct session *s, struct guest *g, struct err *e)
{
    (void)s;
    g->want_start = false;
    return vm_stop(g->vm, e);
}

static int ask_reset(struct session *s, struct guest *g, struct err *e)
{
    uint64_t end[CONSOLES];
    int rc;

    (void)s;
    for (int c = 0; c < CONSOLES; c++)
        end[c] = console_end(vm_console(g->vm, (enum board_console)c));
    rc = vm_reset(g->vm, e);
    if (rc == 0)
        memcpy(g->mark, end, sizeof g->mark);
    return rc;
}

#define IN(state) (1u << (state))

static const struct verb verb_start = {"start", session_start, IN(VM_RUNNING), 60, NULL, "`stop` ends the guest"};
static const struct verb verb_pause = {"pause", ask_pause, IN(VM_PAUSED), 15, "resume", NULL};
static const struct verb verb_resume = {"resume", ask_resume, IN(VM_RUNNING), 15, "pause", NULL};
static const struct verb verb_stop = {"stop", ask_stop, IN(VM_STOPPED), 30, NULL,
                                      "what ran is gone; `start` boots it anew"};
static const struct verb verb_reset = {"reset", ask_reset, IN(VM_RUNNING) | IN(VM_PAUSED), 60, NULL,
                                       "what ran is gone"};
static const struct verb verb_remove = {"remove", ask_stop, IN(VM_NEW) | IN(VM_STOPPED), 30, NULL,
                                        "the guest is gone; `create` makes one"};

static void life_free(void *state)
{
    free(((struct life *)state)->phase);
}

/* What a guest said about a failure after the command began, NULL: nothing. */
static const char *failure(const struct cmd_run *r, const struct guest *g, uint64_t since)
{
    const struct events *all = session_events(r->session);
    const struct event *ev;

    for (uint64_t seq = since + 1; seq <= events_last(all); seq++)
        if ((ev = events_get(all, seq)) && ev->kind == EV_FAILED && strcmp(ev->guest, g->c->name) == 0)
            return ev->text;
    return NULL;
}

static void phase_ask(struct cmd_run *r, struct life *l, unsigned i)
{
    struct guest *g = r->targets.t[i].g;
    struct err e = {0};
    int rc = l->verb->ask(r->session, g, &e);

    if (rc == 0)
        l->phase[i] = LIFE_WAIT;
    if (rc == 0 || rc == -EBUSY)
        return;
    if (rc == -EALREADY || (rc == -EINVAL && (l->verb->goal & IN(vm_state(g->vm))))) {
        if (l->verb != &verb_remove)
            cmd_note(r, "%s is %s already", g->c->name, vm_state_name(vm_state(g->vm)));
        l->phase[i] = LIFE_THERE;
        return;
    }
    cmd_error(r, "%s", e.msg);
    l->phase[i] = LIFE_FAILED;
}

static void phase_wait(struct cmd_run *r, struct life *l, unsigned i)
{
    struct guest *g = r->targets.t[i].g;
    const char *why = failure(r, g, l->since);

    if (vm_busy(g->vm))
        return;
    if (why) {
        cmd_error(r, "%s: %s", g->c->name, why);
        l->phase[i] = LIFE_FAILED;
    } else if (l->verb->goal & IN(vm_state(g->vm))) {
        l->phase[i] = LIFE_THERE;
        if (l->verb->inverse)
            undo_step(cmd_undo(r), "%s %s", l->verb->inverse, g->c->name);
    }
}

static void life_over(struct cmd_run *r, struct life *l)
{
    struct guest *gone[LAB_GUESTS_MAX];
    unsigned n = 0;
    bool failed = false;

    for (unsigned i = 0; i < r->targets.n; i++) {
        failed |= l->phase[i] != LIFE_THERE;
        if (l->verb == &verb_remove && l->phase[i] == LIFE_THERE && n < LAB_GUESTS_MAX)
            gone[n++] = r->targets.t[i].g;
    }
    cmd_done(r, failed ? CMD_FAILED : CMD_DONE);
    r->targets.n = 0; /* they may be gone when it is freed */
    for (unsigned i = 0; i < n; i++)
        session_remove(r->session, gone[i]);
}

static void poll_life(struct cmd_run *r)
{
    struct life *l = r->state;
    bool waiting = false;

    for (unsigned i = 0; i < r->targets.n; i++) {
        if (l->phase[i] == LIFE_ASK)
            phase_ask(r, l, i);
        if (l->phase[i] == LIFE_WAIT)
            phase_wait(r, l, i);
        if (l->phase[i] != LIFE_ASK && l->phase[i] != LIFE_WAIT)
            continue;
        waiting = true;
        if (r->timed_out)
            cmd_error(r, "%s is still %s after %u s; the request stays", r->targets.t[i].g->c->name,
                      vm_state_name(vm_state(r->targets.t[i].g->vm)), l->verb->timeout_s);
    }
    if (!waiting || r->timed_out || r->cancelled)
        life_over(r, l);
}

static void life(struct cmd_run *r, const struct verb *v)
{
    struct life *l = cmd_state(r, sizeof *l, life_free);

    if (!l)
        return;
    l->verb = v;
    l->since = events_last(session_events(r->session));
    l->phase = calloc(r->targets.n, sizeof *l->phase);
    if (!l->phase) {
        cmd_fail(r, "out of memory");
        return;
    }
    if (v->inverse)
        undo_begin(cmd_undo(r), r->line);
    else
        undo_never(cmd_undo(r), r->line, v->never);
    cmd_wait(r, poll_life, SECONDS(v->timeout_s));
}

void exec_start(struct cmd_run *r)
{
    life(r, &verb_start);
}

void exec_pause(struct cmd_run *r)
{
    life(r, &verb_pause);
}

void exec_resume(struct cmd_run *r)
{
    life(r, &verb_resume);
}

void exec_stop(struct cmd_run *r)
{
    life(r, &verb_stop);
}

void exec_reset(struct cmd_run *r)
{
    life(r, &verb_reset);
}

void exec_remove(struct cmd_run *r)
{
    life(r, &verb_remove);
}

void exec_shutdown(struct cmd_run *r)
{
    int status = CMD_DONE;
    struct err e;

    undo_never(cmd_undo(r), r->line, "the guest has heard its power button");
    for (unsigned i = 0; i < r->targets.n; i++) {
        if (vm_shutdown(r->targets.t[i].g->vm, &e) < 0) {
            cmd_error(r, "%s", e.msg);
            status = CMD_FAILED;
        }
    }
    cmd_done(r, status);
}
