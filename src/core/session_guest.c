/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * session_guest: guests come and go, and what their VMs tell: into events, hooks, and to the
 * commands that wait.
 */
#include "core/session_internal.h"

#include "core/cast.h"
#include "core/conlog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What happened to a guest that hooks can be tied to; HOOKS: nothing of that kind. */
static enum lab_hook_on hook_of(const struct vm_event *ev)
{
    if (ev->kind == VM_EVENT_RESET)
        return HOOK_RESET;
    if (ev->kind != VM_EVENT_STATE)
        return HOOKS;
    switch (ev->new_state) {
    case VM_RUNNING:
        return ev->old_state == VM_PAUSED ? HOOK_RESUME : HOOK_START;
    case VM_PAUSED:
        return HOOK_PAUSE;
    case VM_STOPPED:
        return HOOK_STOP;
    case VM_CRASHED:
        return HOOK_CRASH;
    default:
        return HOOKS;
    }
}

static void run_hooks(struct session *s, struct guest *g, const struct vm_event *ev)
{
    enum lab_hook_on on = hook_of(ev);
    struct text lines = {0};

    for (unsigned i = 0; i < g->spec.nhooks; i++)
        if (g->spec.hooks[i].on == on)
            text_printf(&lines, "%s\n", g->spec.hooks[i].command);
    if (lines.len && !cmd_batch_new(s, text_str(&lines), &s->output))
        session_event(s, EV_FAILED, g, "its hooks were not run: out of memory");
    text_free(&lines);
}

static void state_changed(struct session *s, struct guest *g, const struct vm_event *ev)
{
    struct err e;

    if (ev->new_state == VM_RUNNING) {
        g->starting = false;
        g->ran = true;
        if (session_apply_pins(s, g, &e) < 0)
            session_event(s, EV_FAILED, g, "%s", e.msg);
        if (g->mem_target && vm_mem_target(g->vm, g->mem_target, &e) < 0)
            session_event(s, EV_FAILED, g, "%s", e.msg);
    }
    session_event(s, EV_STATE, g, "is %s%s%s", vm_state_name(ev->new_state), ev->text[0] ? ": " : "", ev->text);
}

static void on_vm_event(void *opaque, struct vm *vm, const struct vm_event *ev)
{
    struct guest *g = opaque;
    struct session *s = g->session;
    struct err e;

    (void)vm;
    switch (ev->kind) {
    case VM_EVENT_CONSOLE:
        session_console_event(s, g, ev->console);
        return;
    case VM_EVENT_STATE:
        state_changed(s, g, ev);
        break;
    case VM_EVENT_RESET:
        if (session_apply_pins(s, g, &e) < 0)
            session_event(s, EV_FAILED, g, "%s", e.msg);
        session_event(s, EV_RESET, g, "%s", ev->text[0] ? ev->text : "was reset");
        break;
    case VM_EVENT_FAILED:
        g->failed |= g->starting;
        g->starting = false;
        session_event(s, EV_FAILED, g, "%s", ev->text);
        break;
    case VM_EVENT_DEVICE:
        session_event(s, EV_DEVICE, g, "%s", ev->text);
        break;
    case VM_EVENT_EXIT:
        session_event(s, EV_EXIT, g, "ended with exit code %u", ev->code);
        break;
    }
    run_hooks(s, g, ev);
    session_advance(s);
    cmd_runs_poll(s);
    session_check_idle(s);
}

void guest_free(struct session *s, struct guest *g)
{
    struct netport *link[VM_NICS_MAX] = {NULL};

    session_unwatch_guest(s, g);
    conlog_free(g->log);
    cast_free(g->cast);
    for (unsigned i = 0; g->vm && i < VM_NICS_MAX; i++)
        link[i] = vm_link(g->vm, i);
    vm_free(g->vm);
    session_sched_gone(g);
    session_nets_unlink(link);
    if (g->c)
        vm_config_fini(g->c);
    free(g->c);
    for (unsigned i = 0; i < VM_VCPUS_MAX; i++)
        free(g->vcpu_pin[i]);
    for (unsigned i = 0; i < g->spec.nhooks; i++)
        free(g->spec.hooks[i].command);
    free(g);
}

/* Its disks beside those of everybody else. */
static int check_disks(struct session *s, const struct vm_config *c, struct err *e)
{
    const struct vm_config *all[LAB_GUESTS_MAX + 1];
    unsigned n = 0, guest, disk;

    for (struct guest *g = s->guests; g && n < LAB_GUESTS_MAX; g = g->next)
        all[n++] = g->c;
    all[n++] = c;
    return lab_check_disks(all, n, &guest, &disk, e);
}

static int copy_spec(struct guest *g, const struct lab_guest *from)
{
    g->spec = *from;
    memset(&g->spec.c, 0, sizeof g->spec.c);
    g->spec.nhooks = 0;
    for (unsigned i = 0; i < from->nhooks; i++) {
        g->spec.hooks[i].command = strdup(from->hooks[i].command);
        if (!g->spec.hooks[i].command)
            return -ENOMEM;
        g->spec.nhooks++;
    }
    g->c = vm_config_dup(&from->c);
    return g->c ? 0 : -ENOMEM;
}

static int check_new(struct session *s, const struct lab_guest *spec, struct err *e)
{
    unsigned n = 0;

    for (struct guest *g = s->guests; g; g = g->next)
        n++;
    if (n == LAB_GUESTS_MAX)
        return err_set(e, ENOSPC, "a session can have %d guests: `remove` one first", LAB_GUESTS_MAX);
    if (session_guest(s, spec->c.name))
        return err_set(e, EEXIST, "there is a guest `%s` already: take another name", spec->c.name);
    return check_disks(s, &spec->c, e);
}

static unsigned users(const struct session *s, const struct accel_ops *code)
{
    unsigned n = 0;

    for (const struct guest *g = s->guests; g; g = g->next)
        n += vm_accel(g->vm) == code;
    return n;
}

/* The engine, or that copy of its code which fewer guests run on. */
static const struct accel_ops *least_used(const struct session *s)
{
    const struct accel_ops *best = s->engine;

    for (const struct accel_ops *const *c = s->copies; c && *c; c++)
        if (strcmp((*c)->name, best->name) == 0 && users(s, *c) < users(s, best))
            best = *c;
    return best;
}

struct guest *session_add(struct session *s, const struct lab_guest *spec, struct err *e)
{
    struct vm_listener listener = {.event = on_vm_event};
    struct guest *g = NULL, **p = &s->guests;

    if (check_new(s, spec, e) < 0)
        return NULL;
    g = calloc(1, sizeof *g);
    if (!g || copy_spec(g, spec) < 0) {
        err_set(e, ENOMEM, "out of memory");
        goto fail;
    }
    g->session = s;
    g->id = s->next_id++;
    listener.opaque = g;
    session_nets_macs(s, g->c);
    g->vm = vm_new(g->c, least_used(s), s->board, s->loop, &listener, e);
    if (!g->vm || session_nets_link(s, g, e) < 0)
        goto fail;
    if (vm_govern(g->vm, s->governor) < 0) {
        err_set(e, ENOMEM, "out of memory");
        goto fail;
    }
    session_sched_changed(g);
    while (*p)
        p = &(*p)->next;
    *p = g;
    return g;
fail:
    if (g)
        guest_free(s, g);
    return NULL;
}

static void free_later(void *arg)
{
    struct guest *g = arg;

    guest_free(g->session, g);
}

void session_remove(struct session *s, struct guest *g)
{
    struct guest **p = &s->guests;

    while (*p && *p != g)
        p = &(*p)->next;
    if (!*p)
        return;
    *p = g->next;
    cmd_runs_forget(s, g);
    session_unwatch_guest(s, g);
    session_event(s, EV_SESSION, g, "was removed");
    if (loop_post(s->loop, free_later, g) < 0) /* not inside one of its own events */
        session_event(s, EV_FAILED, NULL, "out of memory: %s is leaked", g->c->name);
    session_check_idle(s);
}
