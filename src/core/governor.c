/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * governor: see governor.h.
 */
#include "core/governor.h"

#include "core/clock.h"
#include "core/sandbox.h"
#include "core/sched.h"
#include "core/slice.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

enum { SLICE_NS = 100000 }; /* what it decides is for now: it waits for nobody's slice to end */

struct gov_guest {
    struct governor *gov;
    struct gov_guest *next;
    const struct gov_ops *ops;
    void *vm;
    /* all below: under the governor's lock */
    bool live;
    cpu_set_t cpus;
    struct sched_domain domain; /* used if it is the first of its domain */
    struct gov_guest *root;     /* that one */
    struct sched_vm s;
    uint64_t io_ns;
    struct reading {
        uint64_t cpu_ns;
        int64_t wait_ns;
        enum gov_hold told;
        bool wait_read;
    } *reading; /* one a vCPU */
    /* the interval that is open, and the last one */
    double seconds, entitled, why[REASONS];
    double entitlement;
    enum sched_reason reason;
};

struct governor {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* main has changed something: look now */
    pthread_t thread;
    bool started, quit, poked, regroup, enforce;
    unsigned cpus;
    struct gov_guest *guests;
    uint64_t last_ns;
    _Atomic uint64_t used_ns; /* the thread's own; partner: governor_cpu_ns */
};

/* Domains: guests whose CPU sets meet, also by way of others. */

static void join_domain(struct governor *g, struct gov_guest *a)
{
    for (struct gov_guest *b = g->guests; b && b != a; b = b->next) {
        struct gov_guest *old = b->root;
        cpu_set_t both;

        CPU_AND(&both, &a->cpus, &b->cpus);
        if (!b->live || old == a->root || CPU_COUNT(&both) == 0)
            continue;
        for (struct gov_guest *o = g->guests; o; o = o->next) /* a's domain goes over into b's */
            if (o->live && o != a && o->root == a->root)
                o->root = old;
        a->root = old;
    }
}

static void regroup(struct governor *g)
{
    g->regroup = false;
    for (struct gov_guest *a = g->guests; a; a = a->next) {
        a->root = a;
        if (a->live)
            join_domain(g, a);
    }
    for (struct gov_guest *r = g->guests; r; r = r->next) {
        cpu_set_t all;

        CPU_ZERO(&all);
        for (struct gov_guest *a = g->guests; a; a = a->next)
            if (a->live && a->root == r)
                CPU_OR(&all, &all, &a->cpus);
        if (r->domain.cpus != CPU_COUNT(&all))
            r->domain = (struct sched_domain){.cpus = CPU_COUNT(&all)};
    }
}

/* Reading and telling. */

static double seconds_since(uint64_t *last, uint64_t now)
{
    double d = now > *last ? (double)(now - *last) / 1e9 : 0;

    *last = now;
    return d;
}

/* May be negative: what was taken for waiting was not. */
static void read_wait(struct gov_guest *a, unsigned i)
{
    struct reading *r = &a->reading[i];
    int64_t ns = a->ops->wait_ns(a->vm, i, !r->wait_read);

    if (r->wait_read) /* else nobody looked at what went before */
        a->s.cpu[i].waited = (double)(ns - r->wait_ns) / 1e9;
    r->wait_ns = ns;
    r->wait_read = true;
}

/* Waiting costs a read of /proc: not for vCPUs that do nothing. */
static void read_cpu(struct gov_guest *a, unsigned i, double dt)
{
    struct reading *r = &a->reading[i];
    struct sched_cpu *c = &a->s.cpu[i];
    bool awake;

    c->used = seconds_since(&r->cpu_ns, a->ops->cpu_ns(a->vm, i));
    c->waited = 0;
    awake = !a->s.paused && (c->used > 0.02 * dt || c->demand > 0.02);
    if (!awake || c->hold)
        r->wait_read = false;
    else
        read_wait(a, i);
}

static void read_guest(struct gov_guest *a, double dt)
{
    for (unsigned i = 0; i < a->s.ncpus; i++)
        read_cpu(a, i, dt);
    a->s.io_used = seconds_since(&a->io_ns, a->ops->io_ns(a->vm));
}

static void tell(struct gov_guest *a, bool run)
{
    for (unsigned i = 0; i < a->s.ncpus; i++) {
        struct reading *r = &a->reading[i];
        enum gov_hold how = !a->s.cpu[i].hold ? GOV_RUN : a->s.capped ? GOV_HOLD_CAP : GOV_HOLD_SHARE;

        if (how == r->told || (how == GOV_RUN) != run)
            continue;
        r->told = how;
        a->ops->hold(a->vm, i, how);
        if (how == GOV_RUN) /* what it waits from now on counts */
            r->wait_ns = a->ops->wait_ns(a->vm, i, true);
        r->wait_read = how == GOV_RUN;
    }
}

static void note(struct gov_guest *a, double dt)
{
    a->seconds += dt;
    a->entitled += a->s.entitlement * dt;
    a->why[a->s.reason] += dt;
}

static double step_domain(struct governor *g, struct gov_guest *root, struct sched_vm **list, double dt)
{
    unsigned n = 0;

    for (struct gov_guest *a = g->guests; a; a = a->next)
        if (a->live && a->root == root)
            list[n++] = &a->s;
    root->domain.elsewhere = !g->enforce;
    return n ? sched_step(&root->domain, list, n, dt) : INFINITY;
}

/* One tick. Returns in how many seconds the next one is due; INFINITY: no guest runs. */
static double tick(struct governor *g)
{
    uint64_t now = clock_mono_ns();
    double dt = seconds_since(&g->last_ns, now), step = INFINITY, s;
    struct sched_vm **list;
    unsigned n = 0;

    for (struct gov_guest *a = g->guests; a; a = a->next)
        n += a->live;
    list = n ? calloc(n, sizeof(struct sched_vm *)) : NULL;
    if (!list)
        return n ? 0.1 : INFINITY;
    if (g->regroup)
        regroup(g);
    for (struct gov_guest *a = g->guests; a; a = a->next)
        if (a->live)
            read_guest(a, dt);
    for (struct gov_guest *r = g->guests; r; r = r->next) {
        s = step_domain(g, r, list, dt);
        step = s < step ? s : step;
    }
    for (struct gov_guest *a = g->guests; a; a = a->next) {
        if (!a->live)
            continue;
        note(a, dt);
        for (unsigned i = 0; i < a->s.ncpus && !g->enforce; i++)
            a->s.cpu[i].hold = false;
    }
    /* who may run is woken first, so that no CPU is idle in between */
    for (int run = 1; run >= 0; run--)
        for (struct gov_guest *a = g->guests; a; a = a->next)
            if (a->live)
                tell(a, run);
    free(list);
    return g->enforce ? step : 0.1;
}

static void sleep_until(struct governor *g, double step)
{
    uint64_t until = g->last_ns + (uint64_t)(step * 1e9);
    struct timespec ts = {.tv_sec = (time_t)(until / NS_PER_S), .tv_nsec = (long)(until % NS_PER_S)};

    while (!g->quit && !g->poked)
        if (pthread_cond_timedwait(&g->changed, &g->lock, &ts) == ETIMEDOUT)
            return;
}

static void *governor_main(void *arg)
{
    struct governor *g = arg;
    double step;

    prctl(PR_SET_TIMERSLACK, 1);
    slice_ask(SLICE_NS);
    sandbox_io_thread();
    pthread_mutex_lock(&g->lock);
    while (!g->quit) {
        g->poked = false;
        step = tick(g);
        g->used_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        if (step < INFINITY)
            sleep_until(g, step);
        while (step == INFINITY && !g->quit && !g->poked)
            pthread_cond_wait(&g->changed, &g->lock);
    }
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

static void poke_locked(struct governor *g)
{
    g->poked = true;
    pthread_cond_signal(&g->changed);
}

struct governor *governor_new(unsigned cpus, struct err *e)
{
    struct governor *g = calloc(1, sizeof *g);
    pthread_condattr_t attr;

    if (!g) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    g->cpus = cpus < CPU_SETSIZE ? cpus : CPU_SETSIZE;
    g->enforce = true;
    pthread_mutex_init(&g->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&g->changed, &attr);
    pthread_condattr_destroy(&attr);
    return g;
}

void governor_free(struct governor *g)
{
    if (!g)
        return;
    pthread_mutex_lock(&g->lock);
    g->quit = true;
    poke_locked(g);
    pthread_mutex_unlock(&g->lock);
    if (g->started)
        pthread_join(g->thread, NULL);
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

void governor_enforce(struct governor *g, bool yes)
{
    pthread_mutex_lock(&g->lock);
    g->enforce = yes;
    poke_locked(g);
    pthread_mutex_unlock(&g->lock);
}

struct gov_guest *governor_add(struct governor *g, unsigned ncpus, const struct gov_ops *ops, void *vm)
{
    struct gov_guest *a = calloc(1, sizeof *a), **p = &g->guests;

    if (!a)
        return NULL;
    a->gov = g;
    a->ops = ops;
    a->vm = vm;
    a->s.ncpus = ncpus;
    a->s.weight = 100;
    a->entitlement = NAN;
    a->s.cpu = calloc(ncpus, sizeof *a->s.cpu);
    a->reading = calloc(ncpus, sizeof *a->reading);
    if (!a->s.cpu || !a->reading) {
        free(a->s.cpu);
        free(a->reading);
        free(a);
        return NULL;
    }
    for (unsigned i = 0; i < g->cpus; i++)
        CPU_SET(i, &a->cpus);
    pthread_mutex_lock(&g->lock);
    while (*p)
        p = &(*p)->next;
    *p = a;
    pthread_mutex_unlock(&g->lock);
    return a;
}

void governor_remove(struct gov_guest *a)
{
    struct gov_guest **p;

    if (!a)
        return;
    pthread_mutex_lock(&a->gov->lock);
    for (p = &a->gov->guests; *p && *p != a; p = &(*p)->next)
        ;
    if (*p)
        *p = a->next;
    a->gov->regroup = true;
    pthread_mutex_unlock(&a->gov->lock);
    free(a->s.cpu);
    free(a->reading);
    free(a);
}

void governor_set(struct gov_guest *a, unsigned share, unsigned cap_pct)
{
    pthread_mutex_lock(&a->gov->lock);
    a->s.weight = share;
    a->s.cap = cap_pct / 100.0;
    poke_locked(a->gov);
    pthread_mutex_unlock(&a->gov->lock);
}

void governor_set_cpus(struct gov_guest *a, const cpu_set_t *set)
{
    pthread_mutex_lock(&a->gov->lock);
    a->gov->regroup |= !CPU_EQUAL(&a->cpus, set);
    a->cpus = *set;
    poke_locked(a->gov);
    pthread_mutex_unlock(&a->gov->lock);
}

/* Nothing is known of it yet: it runs, it may want all, and what it used before does not count. */
static void forget(struct gov_guest *a)
{
    a->io_ns = a->ops->io_ns(a->vm);
    a->s.credit = a->s.tokens = a->s.io_demand = 0;
    a->s.capped = a->s.bound = a->s.paused = false;
    memset(a->s.cpu, 0, a->s.ncpus * sizeof *a->s.cpu);
    for (unsigned i = 0; i < a->s.ncpus; i++) {
        a->s.cpu[i].demand = 1;
        a->reading[i] = (struct reading){.cpu_ns = a->ops->cpu_ns(a->vm, i), .told = GOV_RUN};
    }
}

void governor_begin(struct gov_guest *a)
{
    struct governor *g = a->gov;

    pthread_mutex_lock(&g->lock);
    forget(a);
    a->live = g->regroup = true;
    if (!g->started && pthread_create(&g->thread, NULL, governor_main, g) == 0) {
        g->started = true;
        g->last_ns = clock_mono_ns();
        pthread_setname_np(g->thread, "governor");
    }
    poke_locked(g);
    pthread_mutex_unlock(&g->lock);
}

void governor_pause(struct gov_guest *a, bool paused)
{
    pthread_mutex_lock(&a->gov->lock);
    a->s.paused = paused;
    poke_locked(a->gov);
    pthread_mutex_unlock(&a->gov->lock);
}

void governor_end(struct gov_guest *a)
{
    pthread_mutex_lock(&a->gov->lock);
    a->live = false;
    a->gov->regroup = true;
    poke_locked(a->gov);
    pthread_mutex_unlock(&a->gov->lock);
}

void governor_sample(struct gov_guest *a)
{
    pthread_mutex_lock(&a->gov->lock);
    a->entitlement = a->live && a->seconds > 0 ? a->entitled / a->seconds : NAN;
    a->reason = REASON_NONE;
    for (int r = 1; a->live && r < REASONS; r++)
        if (a->why[r] > a->why[a->reason])
            a->reason = (enum sched_reason)r;
    a->seconds = a->entitled = 0;
    memset(a->why, 0, sizeof a->why);
    pthread_mutex_unlock(&a->gov->lock);
}

void governor_read(struct gov_guest *a, double *entitlement, enum sched_reason *reason)
{
    *entitlement = a->entitlement; /* written by main alone */
    *reason = a->reason;
}

uint64_t governor_cpu_ns(struct governor *g)
{
    return g->used_ns;
}
