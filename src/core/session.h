/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * session: one instance of the program: its guests, what happens to them, and when it ends.
 *
 * It owns the main loop, the guests, the ring of events, timers, and the commands that are
 * running (cmd.h). It knows no terminal: a user interface registers a listener and hands in
 * commands, exactly as a script or the control socket does.
 *
 * Threads: everything here is main's.
 */
#ifndef RUCHE_CORE_SESSION_H
#define RUCHE_CORE_SESSION_H

#include "core/events.h"
#include "core/lab.h"
#include "core/sched_info.h"
#include "core/undo.h"
#include "core/vm.h"

struct session;
struct cast;
struct conlog;
struct cmd_run;
struct watcher;

enum { SESSION_ENGINES_MAX = 4 };

struct session_params {
    const struct accel_ops *engines[SESSION_ENGINES_MAX]; /* best first, NULL at the end */
    const struct accel_ops *const *copies; /* engines' code once more, over which guests are spread;
                                            * NULL at the end, or NULL */
    const char *accel;                                    /* "auto" or the name of one */
    const struct board_ops *board;
    const char *name;         /* of the instance; NULL: the lab's */
    const struct lab *lab;    /* NULL: no guests yet. Copied. */
    struct lab_host host;
};

/* One guest of the session. Its fields are read by anybody on main, written by session*.c and
 * by the commands that change what a guest gets. */
struct guest {
    struct session *session;
    struct guest *next; /* in the order of the lab */
    unsigned id;        /* from 1, never given twice */
    struct vm *vm;
    struct vm_config *c; /* what it was asked to be, with the changes made since */
    struct lab_guest spec; /* hooks, and the name before `count`; its `c` is not used */
    char *vcpu_pin[VM_VCPUS_MAX]; /* CPU list of one vCPU, NULL: as `c->pin` */
    uint64_t mem_target;          /* bytes asked of the balloon, 0: none */
    bool want_start;              /* waits for those that it depends on */
    bool starting;                /* asked for, not yet there */
    bool ran;                     /* it has been running */
    bool failed;                  /* its last start failed */
    uint64_t mark[CONSOLES]; /* what `expect` has consumed of a console */
    struct conlog *log;
    struct cast *cast;
};

static inline bool guest_is_up(const struct guest *g)
{
    return vm_state(g->vm) == VM_RUNNING || vm_state(g->vm) == VM_PAUSED;
}

/* Bytes that it may take. */
static inline uint64_t guest_target(const struct guest *g)
{
    return g->mem_target ? g->mem_target : g->c->memory_bytes;
}

struct session *session_new(const struct session_params *p, struct err *e);
void session_free(struct session *s); /* stops what runs */

/* Starts every guest with autostart, each after those that it depends on. */
void session_start_lab(struct session *s);

/* True when no start is under way any more; then `*failed` is how many guests did not start. */
bool session_settled(const struct session *s, unsigned *failed);

/* Turns the loop until session_quit; returns the status given there. */
int session_run(struct session *s);
void session_quit(struct session *s, int status);
bool session_quitting(const struct session *s);

/* Ends by itself when no guest runs or starts: status 0, or 3 if one has crashed. */
void session_quit_when_idle(struct session *s);

struct loop *session_loop(struct session *s);
const struct lab_story *session_story(const struct session *s);
const char *session_name(const struct session *s);
const struct lab_host *session_host(const struct session *s);
const struct accel_ops *session_engine(const struct session *s);
const char *session_engine_note(const struct session *s); /* why not the best one, or "" */
struct events *session_events(struct session *s);
struct undo *session_undo(struct session *s);
bool session_overcommit(const struct session *s);

/* The host's memory beside what the guests that are up may take. */
struct session_memory {
    uint64_t total, available;             /* the host's, as the kernel says now */
    uint64_t configured, target, resident; /* sums over the guests that are up */
    double overcommit; /* target of available + resident: above 1 they cannot all have it; NAN: nobody is up */
};

void session_memory(struct session *s, struct session_memory *m);

/* The same for who reads all guests anyway: from zeros, add each with what it holds, then end. */
void session_memory_add(struct session_memory *m, const struct guest *g, uint64_t resident);
void session_memory_end(struct session_memory *m);

void session_set_overcommit(struct session *s, bool yes);
uint64_t session_interval_ns(const struct session *s); /* between samples */
void session_set_interval_ns(struct session *s, uint64_t ns);
uint64_t session_uptime_ns(const struct session *s);
const char *session_socket(const struct session *s); /* path of the control socket, or "" */
void session_set_socket(struct session *s, const char *path);
const char *session_cpus(const struct session *s); /* CPU list given to the lab, NULL: all */
int session_set_cpus(struct session *s, const char *list, struct err *e);

/* Guests. */
struct guest *session_guests(struct session *s); /* first, then ->next */
struct guest *session_guest(struct session *s, const char *name);
unsigned session_running(struct session *s); /* running, paused or starting */

/* Adds a guest (not started). `g` is copied. -EEXIST, -EBUSY (disk), -ENOSPC. */
struct guest *session_add(struct session *s, const struct lab_guest *g, struct err *e);

/* Asks for a start: refused (-ENOMEM) if its memory does not fit beside the others'. */
int session_start(struct session *s, struct guest *g, struct err *e);

/* Takes a guest that does not run out of the session; commands that wait for it fail. */
void session_remove(struct session *s, struct guest *g);

/* CPU affinity of a guest's threads, from pins, the lab's CPUs and those that the process may use; before and at every start. */
int session_apply_pins(struct session *s, struct guest *g, struct err *e);

/* What divides the processor: "auto", "slots" or "cgroup"; what was asked for, and what does it. */
int session_set_sched(struct session *s, const char *v, struct err *e);
const char *session_sched_choice(const struct session *s);
const char *session_sched_mechanism(const struct session *s); /* never "auto" */

/* Its share or cap has changed. */
void session_sched_changed(struct guest *g);

/* What a guest should get of the processors and what it got; `st` is a fresh copy of its figures. */
void session_sched(struct session *s, struct guest *g, const struct vm_stats *st, struct sched_info *out);

/* A command that will be run `from_now_ns` later; what it says goes to session_output. -ENOSPC. */
enum { SESSION_PLANS_MAX = 64 };
struct plan {
    uint64_t due_ns; /* CLOCK_MONOTONIC */
    char *line;
};
int session_plan(struct session *s, uint64_t from_now_ns, const char *line, struct err *e);
unsigned session_plans(const struct session *s, const struct plan **out); /* first due first */
void session_plan_clear(struct session *s);

/* Says what happened: into the ring, to the listeners. `g` may be NULL. */
void session_event(struct session *s, enum event_kind k, struct guest *g, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Who wants to hear of events. */
struct session_listener {
    void (*event)(void *opaque, const struct event *ev);
    void (*quit)(void *opaque); /* the session is ending; may be NULL */
    void *opaque;
};
void session_listen(struct session *s, const struct session_listener *l);
void session_unlisten(struct session *s, void *opaque);

/* Where the output of hooks and of `at` goes. */
struct cmd_client;
void session_set_output(struct session *s, const struct cmd_client *c);
const struct cmd_client *session_output(const struct session *s); /* never NULL */

/* The user interface's part in `console VM`, for each guest that was named: takes the terminal.
 * 0: `run` ends by cmd_done when the person detaches; 1: it is shown, `run` is done. Absent
 * (NULL): `console` is refused. */
typedef int (*session_attach_fn)(void *opaque, struct guest *g, enum board_console c,
                                 struct cmd_run *run, struct err *e);
void session_set_attach(struct session *s, session_attach_fn fn, void *opaque);
int session_attach(struct session *s, struct guest *g, enum board_console c, struct cmd_run *run,
                   struct err *e);

/* The user interface's part in `watch VM` and `replay FILE`: true if it shows them itself; then it
 * ends the run by cmd_done. Absent, or false: they are printed as text. */
struct session_views {
    bool (*watch)(void *opaque, struct guest *g, enum board_console c, struct cmd_run *run);
    bool (*replay)(void *opaque, const char *path, double speed, struct cmd_run *run);
    /* A key gets a command ("": takes back what it had; NULL: tells); all keys if `key` is NULL. */
    int (*bind)(void *opaque, const char *key, const char *line, struct text *out, struct err *e);
    void *opaque;
};
void session_set_views(struct session *s, const struct session_views *v); /* NULL: none */
bool session_view_watch(struct session *s, struct guest *g, enum board_console c, struct cmd_run *run);
bool session_view_replay(struct session *s, const char *path, double speed, struct cmd_run *run);
int session_view_bind(struct session *s, const char *key, const char *line, struct text *out, struct err *e);

enum { SETTING_TEXT = 256 }; /* a setting's value and its end */

/* The user interface's own settings, for `set`. Ends with a NULL key; lives as long as it is set. */
struct session_setting {
    const char *key, *choices; /* words for completion, NULL: any */
    const char *(*get)(void *opaque, char out[SETTING_TEXT]);
    int (*set)(void *opaque, const char *value, struct err *e);
};
void session_set_settings(struct session *s, const struct session_setting *table, void *opaque);
const struct session_setting *session_settings(const struct session *s, void **opaque); /* NULL: none */

/* Calls `fn` after a guest has said something on a console, at most some hundred times a second.
 * Watchers end by themselves (fn is not called again) when the guest is removed. */
struct watcher *session_watch(struct session *s, struct guest *g, enum board_console c,
                              void (*fn)(void *arg), void *arg);
void session_unwatch(struct session *s, struct watcher *w); /* NULL is legal */

#endif
