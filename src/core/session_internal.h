/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * session_internal: what the parts of a session share. Only session*.c include it.
 *
 * session.c        the object, its loop, its end
 * session_guest.c  guests come and go, what their VMs tell
 * session_start.c  order of starts, memory that fits, processors
 * session_sched.c  what guests get of the processors
 * session_watch.c  who listens to consoles
 * session_plan.c   commands for later
 * session_net.c    the lab's networks and the guests' links
 */
#ifndef RUCHE_CORE_SESSION_INTERNAL_H
#define RUCHE_CORE_SESSION_INTERNAL_H

#include "core/cmd_internal.h"
#include "core/governor.h"
#include "core/session.h"

enum { SESSION_LISTENERS_MAX = 8, SESSION_STARTS_AT_ONCE = 4 };

struct netswitch;
struct sched_cgroup;
struct netnat;
struct nettap;

struct session_net { /* a network of the lab */
    struct netswitch *sw;
    struct netnat *nat; /* NULL: none */
    struct nettap *tap; /* NULL: none */
};

struct session {
    struct loop *loop;
    char name[VM_NAME_MAX + 1];
    const struct accel_ops *engine;
    const struct accel_ops *const *copies;
    char engine_note[600];
    const struct board_ops *board;
    struct lab_host host;
    bool host_fixed; /* given by a test: not measured again */
    bool overcommit;
    char *cpus;
    char *socket;
    struct lab_story story;
    bool story_due; /* it is said when the lab's guests have started: then it is the last thing said */
    uint64_t began_ns, interval_ns;
    unsigned next_id;
    struct guest *guests;
    unsigned nnets;
    struct session_net nets[LAB_NETS_MAX];
    struct events events;
    struct undo *undo;
    struct governor *governor;
    enum sched_choice sched_choice; /* what was asked for */
    struct sched_cgroup *cgroup;    /* NULL: the governor divides */
    struct cmd_runs runs;
    struct cmd_client output;
    struct session_listener listener[SESSION_LISTENERS_MAX];
    unsigned nlisteners;
    session_attach_fn attach;
    void *attach_opaque;
    struct session_views views;
    const struct session_setting *settings;
    void *settings_opaque;

    struct loop_timer *tick; /* samples */
    struct watcher *watchers;
    unsigned watch_depth;      /* inside a call of a watcher */
    struct loop_timer *pump;   /* console output that was held back */
    bool pump_armed;
    struct loop_timer *planner;
    struct plan plans[SESSION_PLANS_MAX];
    unsigned nplans;

    bool quitting, quit_when_idle, idle_posted;
    int status;
};

/* session_guest.c */
void guest_free(struct session *s, struct guest *g);

/* session_sched.c */
void session_sched_threads(struct guest *g); /* it has new ones */
void session_sched_gone(struct guest *g);    /* they have ended for good */
void session_sched_fini(struct session *s);
void session_sched_sample(struct guest *g);
/* session_net.c */
int session_nets_new(struct session *s, const struct lab *lab, struct err *e);   /* before guests are added */
int session_nets_out(struct session *s, const struct lab *lab, struct err *e);   /* NAT and TAP, when all are there */
void session_nets_free(struct session *s);                                       /* when none is left */
void session_nets_macs(struct session *s, struct vm_config *c);                  /* fills in what was not given */
int session_nets_link(struct session *s, struct guest *g, struct err *e);
void session_nets_pin(struct session *s, const cpu_set_t *set);
void session_nets_unlink(struct netport *const link[VM_NICS_MAX]);

/* session_start.c */
void session_advance(struct session *s); /* starts who may start now */

/* session.c */
void session_check_idle(struct session *s); /* soon: is there anything left to wait for? */

/* session_plan.c */
void session_planner(void *session); /* the timer `planner` */

/* session_watch.c */
void session_console_event(struct session *s, struct guest *g, enum board_console c);
void session_unwatch_guest(struct session *s, struct guest *g);
void session_watch_fini(struct session *s);
void session_pump(void *session); /* the timer `pump` */

#endif
