/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * session: the object, its loop, its end. See session.h.
 */
#include "core/session_internal.h"

#include "core/clock.h"
#include "core/netswitch.h"
#include "core/text.h"
#include "core/units.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SESSION_TICK_NS = 1000000000 };

static void output_nowhere(void *opaque, enum cmd_stream to, const char *text, size_t len)
{
    (void)opaque;
    (void)to;
    (void)text;
    (void)len;
}

static void output_done(void *opaque, int status)
{
    (void)opaque;
    (void)status;
}

/* The engine asked for, or the first that works; then `note` says why not the best. */
static int choose_engine(struct session *s, const struct session_params *p, struct err *e)
{
    const char *accel = p->accel ? p->accel : "auto";
    struct err why = {0};
    bool any = strcmp(accel, "auto") == 0;
    char known[100] = "";
    size_t n = 0;

    for (unsigned i = 0; i < SESSION_ENGINES_MAX && p->engines[i]; i++) {
        const struct accel_ops *a = p->engines[i];

        n += (size_t)snprintf(known + n, n < sizeof known ? sizeof known - n : 0, ", %s", a->name);
        if (!any && strcmp(accel, a->name) != 0)
            continue;
        if (a->probe(&why) == 0) {
            s->engine = a;
            s->copies = p->copies;
            return 0;
        }
        if (!any)
            return err_set(e, why.code, "%s; `ruche doctor` tells more", why.msg);
        if (!s->engine_note[0])
            snprintf(s->engine_note, sizeof s->engine_note, "%s", why.msg);
    }
    if (any)
        return err_set(e, ENODEV, "%s; `ruche doctor` tells more", s->engine_note);
    return err_set(e, EINVAL, "there is no engine `%s`: `--accel` is one of auto%s",
                   text_show((char[40]){0}, 40, accel), known);
}

/* CPUs go off line and come back, a cpuset or who calls taskset(1) gives us others. */
static void check_cpus(struct session *s)
{
    struct err e;
    cpu_set_t now;

    lab_host_usable(&now);
    if (s->host_fixed || CPU_EQUAL(&now, &s->host.usable))
        return;
    s->host.usable = now;
    session_event(s, EV_CONFIG, NULL, "the host lets this process use %d of its CPUs from now on", CPU_COUNT(&now));
    for (struct guest *g = s->guests; g; g = g->next)
        if (session_apply_pins(s, g, &e) < 0)
            session_event(s, EV_FAILED, g, "%s", e.msg);
}

static void check_captures(struct guest *g)
{
    for (unsigned i = 0; i < VM_NICS_MAX; i++)
        if (vm_link(g->vm, i) && netport_capture_over(vm_link(g->vm, i)))
            session_event(g->session, EV_FAILED, g, "eth%u: its capture has ended: the file is as large as it may be, or could "
                          "not be written; `link %s.eth%u capture=FILE` begins another", i, g->c->name, i);
}

static void on_tick(void *arg)
{
    struct session *s = arg;

    check_cpus(s);
    for (struct guest *g = s->guests; g; g = g->next) {
        session_sched_sample(g);
        check_captures(g);
    }
    cmd_runs_poll(s);
    session_check_idle(s);
    loop_arm_ns(s->tick, s->interval_ns);
}

static int add_lab(struct session *s, const struct lab *lab, struct err *e)
{
    int rc = session_nets_new(s, lab, e);

    s->story = (struct lab_story){dup_or_null(lab->story.title), dup_or_null(lab->story.about),
                                  dup_or_null(lab->story.checks)};

    for (unsigned i = 0; i < lab->nguests && rc == 0; i++)
        if (!session_add(s, &lab->guests[i], e))
            return -EINVAL;
    if (rc == 0)
        rc = session_nets_out(s, lab, e);
    if (rc < 0)
        return rc;
    s->overcommit = lab->overcommit;
    return lab->host_cpus ? session_set_cpus(s, lab->host_cpus, e) : 0;
}

static int session_init(struct session *s, const struct session_params *p, struct err *e)
{
    const char *name = p->name ? p->name : p->lab ? p->lab->name : "ruche";

    snprintf(s->name, sizeof s->name, "%s", name);
    s->board = p->board;
    s->host = p->host;
    s->host_fixed = p->host.memory_available_bytes != 0;
    if (!s->host_fixed)
        lab_host_measure(&s->host);
    for (unsigned i = 0; s->host_fixed && i < s->host.cpus && i < CPU_SETSIZE; i++)
        CPU_SET(i, &s->host.usable);
    s->began_ns = clock_mono_ns();
    s->interval_ns = SESSION_TICK_NS;
    s->next_id = 1;
    s->output = (struct cmd_client){.write = output_nowhere, .done = output_done};
    if (choose_engine(s, p, e) < 0 || !(s->loop = loop_new(e)))
        return -1;
    s->undo = undo_new();
    s->governor = governor_new(s->host.cpus, e);
    if (!s->governor)
        return -1;
    if (!s->undo || events_init(&s->events) < 0)
        return err_set(e, ENOMEM, "out of memory");
    s->tick = loop_add_timer(s->loop, on_tick, s, e);
    s->pump = loop_add_timer(s->loop, session_pump, s, e);
    s->planner = loop_add_timer(s->loop, session_planner, s, e);
    if (!s->tick || !s->pump || !s->planner)
        return -1;
    loop_arm_ns(s->tick, s->interval_ns);
    if (session_set_sched(s, p->lab && p->lab->host_sched ? p->lab->host_sched : "auto", e) < 0)
        return -1;
    return p->lab ? add_lab(s, p->lab, e) : 0;
}

struct session *session_new(const struct session_params *p, struct err *e)
{
    struct session *s = calloc(1, sizeof *s);

    if (!s) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    if (session_init(s, p, e) == 0)
        return s;
    session_free(s);
    return NULL;
}

void session_free(struct session *s)
{
    struct guest *g;

    if (!s)
        return;
    cmd_runs_free(s);
    for (g = s->guests; g; g = g->next)
        vm_stop(g->vm, NULL); /* all at once; vm_free waits for each */
    while ((g = s->guests)) {
        s->guests = g->next;
        guest_free(s, g);
    }
    session_sched_fini(s);
    governor_free(s->governor);
    session_nets_free(s);
    session_watch_fini(s);
    loop_del_timer(s->tick);
    loop_del_timer(s->pump);
    loop_del_timer(s->planner);
    session_plan_clear(s);
    loop_free(s->loop);
    undo_free(s->undo);
    events_fini(&s->events);
    lab_story_fini(&s->story);
    free(s->cpus);
    free(s->socket);
    free(s);
}

int session_run(struct session *s)
{
    while (!s->quitting)
        loop_run(s->loop);
    cmd_runs_reap(s); /* who said `quit` is answered, too */
    return s->status;
}

void session_quit(struct session *s, int status)
{
    if (s->quitting)
        return;
    s->quitting = true;
    s->status = status;
    for (unsigned i = 0; i < s->nlisteners; i++)
        if (s->listener[i].quit)
            s->listener[i].quit(s->listener[i].opaque);
    loop_stop(s->loop);
}

bool session_quitting(const struct session *s)
{
    return s->quitting;
}

/* The end of a headless run. Not inside a VM's event, where a hook may be about to begin. */
static void idle_now(void *arg)
{
    struct session *s = arg;
    unsigned failed;
    bool crashed = false;

    s->idle_posted = false;
    if (!s->quit_when_idle || s->quitting || s->runs.first || s->nplans || !session_settled(s, &failed))
        return;
    for (struct guest *g = s->guests; g; g = g->next) {
        enum vm_state st = vm_state(g->vm);

        if (st == VM_RUNNING || st == VM_PAUSED || vm_busy(g->vm))
            return;
        crashed |= st == VM_CRASHED;
    }
    session_quit(s, crashed ? 3 : failed ? 1 : 0);
}

void session_check_idle(struct session *s)
{
    if (s->quit_when_idle && !s->idle_posted)
        s->idle_posted = loop_post(s->loop, idle_now, s) == 0;
}

void session_quit_when_idle(struct session *s)
{
    s->quit_when_idle = true;
    session_check_idle(s);
}

/* Events. */

void session_event(struct session *s, enum event_kind k, struct guest *g, const char *fmt, ...)
{
    const struct event *ev;
    char text[ERR_TEXT];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ev = events_add(&s->events, k, g ? g->c->name : "", text);
    for (unsigned i = 0; i < s->nlisteners; i++)
        s->listener[i].event(s->listener[i].opaque, ev);
}

void session_listen(struct session *s, const struct session_listener *l)
{
    if (s->nlisteners < SESSION_LISTENERS_MAX)
        s->listener[s->nlisteners++] = *l;
}

void session_unlisten(struct session *s, void *opaque)
{
    unsigned n = 0;

    for (unsigned i = 0; i < s->nlisteners; i++)
        if (s->listener[i].opaque != opaque)
            s->listener[n++] = s->listener[i];
    s->nlisteners = n;
}

void session_set_attach(struct session *s, session_attach_fn fn, void *opaque)
{
    s->attach = fn;
    s->attach_opaque = opaque;
}

int session_attach(struct session *s, struct guest *g, enum board_console c, struct cmd_run *run,
                   struct err *e)
{
    if (!s->attach)
        return err_set(e, ENOTTY, "`console` needs a terminal of its own: use it at the prompt; here "
                       "`watch`, `send` and `expect` do the same");
    return s->attach(s->attach_opaque, g, c, run, e);
}

void session_set_settings(struct session *s, const struct session_setting *table, void *opaque)
{
    s->settings = table;
    s->settings_opaque = opaque;
}

const struct session_setting *session_settings(const struct session *s, void **opaque)
{
    *opaque = s->settings_opaque;
    return s->settings;
}

void session_set_views(struct session *s, const struct session_views *v)
{
    s->views = v ? *v : (struct session_views){0};
}

bool session_view_watch(struct session *s, struct guest *g, enum board_console c, struct cmd_run *run)
{
    return s->views.watch && s->views.watch(s->views.opaque, g, c, run);
}

bool session_view_replay(struct session *s, const char *path, double speed, struct cmd_run *run)
{
    return s->views.replay && s->views.replay(s->views.opaque, path, speed, run);
}

int session_view_bind(struct session *s, const char *key, const char *line, struct text *out, struct err *e)
{
    if (!s->views.bind)
        return err_set(e, ENOTTY, "only the full-screen console has keys");
    return s->views.bind(s->views.opaque, key, line, out, e);
}

/* Settings and figures. */

struct loop *session_loop(struct session *s)
{
    return s->loop;
}

const char *session_name(const struct session *s)
{
    return s->name;
}

const struct lab_host *session_host(const struct session *s)
{
    return &s->host;
}

const struct accel_ops *session_engine(const struct session *s)
{
    return s->engine;
}

const char *session_engine_note(const struct session *s)
{
    return s->engine_note;
}

struct events *session_events(struct session *s)
{
    return &s->events;
}

struct undo *session_undo(struct session *s)
{
    return s->undo;
}

struct cmd_runs *session_runs(struct session *s)
{
    return &s->runs;
}

bool session_overcommit(const struct session *s)
{
    return s->overcommit;
}

void session_set_overcommit(struct session *s, bool yes)
{
    s->overcommit = yes;
}

uint64_t session_interval_ns(const struct session *s)
{
    return s->interval_ns;
}

void session_set_interval_ns(struct session *s, uint64_t ns)
{
    s->interval_ns = ns;
    loop_arm_ns(s->tick, ns);
}

uint64_t session_uptime_ns(const struct session *s)
{
    return clock_mono_ns() - s->began_ns;
}

const char *session_socket(const struct session *s)
{
    return s->socket ? s->socket : "";
}

void session_set_socket(struct session *s, const char *path)
{
    free(s->socket);
    s->socket = strdup(path);
}

const struct lab_story *session_story(const struct session *s)
{
    return &s->story;
}

const char *session_cpus(const struct session *s)
{
    return s->cpus;
}

int session_set_cpus(struct session *s, const char *list, struct err *e)
{
    cpu_set_t set;
    char *before = s->cpus;
    int rc = units_cpus(list, s->host.cpus, &set, e);

    if (rc < 0)
        return rc;
    s->cpus = strdup(list);
    if (!s->cpus) {
        s->cpus = before;
        return err_set(e, ENOMEM, "out of memory");
    }
    for (struct guest *g = s->guests; g && rc == 0; g = g->next)
        rc = session_apply_pins(s, g, e);
    if (rc == 0) {
        session_nets_pin(s, &set);
        free(before);
        return 0;
    }
    free(s->cpus); /* a guest may be pinned elsewhere: all or nothing */
    s->cpus = before;
    for (struct guest *g = s->guests; g; g = g->next)
        session_apply_pins(s, g, NULL);
    return rc;
}

void session_set_output(struct session *s, const struct cmd_client *c)
{
    s->output = *c;
}

const struct cmd_client *session_output(const struct session *s)
{
    return &s->output;
}

struct guest *session_guests(struct session *s)
{
    return s->guests;
}

struct guest *session_guest(struct session *s, const char *name)
{
    for (struct guest *g = s->guests; g; g = g->next)
        if (strcmp(g->c->name, name) == 0)
            return g;
    return NULL;
}

unsigned session_running(struct session *s)
{
    unsigned n = 0;

    for (struct guest *g = s->guests; g; g = g->next)
        n += guest_is_up(g) || g->starting || g->want_start;
    return n;
}
