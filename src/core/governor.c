/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * governor: see governor.h.
 */
#include "core/governor_internal.h"

#include "core/clock.h"
#include "core/futex.h"
#include "core/idle_watch.h"
#include "core/sandbox.h"
#include "core/sched.h"
#include "core/sched_place.h"
#include "core/slice.h"
#include "core/thread.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PEEK_NS = 400000, IO_LOOK_NS = 4000000,
    STACK_BYTES = 256 << 10,
    PACE_HZ = 1000, PACE_BRIEF_HZ = 500, /* timers of guests that work when they are woken, and of others */
    STIR_NS = 1000000, STIR_BURST = 4, /* guests that halt and wake cost a tick each ms, or some at once */
    LEISURE = 16, FREE_LEISURE = 2, /* where they cost more, as with many guests: a sixteenth, or half, of a CPU at most */
    HOLD_TICKS = 4, MOMENT_NS = 1000000, /* others are not held for who is awake for less than ticks cost, or this */
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

/* A live guest's is live, too. */
static bool is_root(const struct gov_guest *a)
{
    return a->live && a->root == a;
}

/* From here on nobody is let run by who halts. */
static void forget_heirs(struct governor *g)
{
    pthread_mutex_lock(&g->heir_lock);
    for (struct gov_guest *r = g->guests; r; r = r->next)
        r->heir.guest = NULL;
    pthread_mutex_unlock(&g->heir_lock);
}

static void regroup(struct governor *g)
{
    g->regroup = false;
    pthread_mutex_lock(&g->heir_lock);
    for (struct gov_guest *a = g->guests; a; a = a->next) {
        a->root = a;
        if (a->live)
            join_domain(g, a);
    }
    pthread_mutex_unlock(&g->heir_lock);
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
    int64_t ns = a->ops->wait_ns(a->vm, i, r->cpu_ns, !r->wait_read);

    if (r->wait_read) /* else nobody looked at what went before */
        a->s.cpu[i].waited = (double)(ns - r->wait_ns) / 1e9;
    r->wait_ns = ns;
    r->wait_read = true;
}

/* A system call: not for who has slept since the last. */
static double read_used(struct gov_guest *a, unsigned i)
{
    struct reading *r = &a->reading[i];
    uint32_t last = r->sleep;

    r->sleep = a->ops->sleep(a->vm, i);
    return last && last == r->sleep ? 0 : seconds_since(&r->cpu_ns, a->ops->cpu_ns(a->vm, i));
}

/* Waiting may cost a read of /proc: not for vCPUs that do nothing. Returns whether this one does something. */
static bool read_cpu(struct gov_guest *a, unsigned i, double dt, uint64_t now)
{
    struct reading *r = &a->reading[i];
    struct sched_cpu *c = &a->s.cpu[i];
    bool awake;

    c->used = read_used(a, i);
    c->waited = 0;
    c->held = dt - fmin(dt, (double)(now - r->run_ns) / 1e9);
    awake = !a->s.paused && (c->used > 0.02 * dt || c->demand > 0.02);
    if (!awake || r->told != GOV_RUN) /* `hold` if nobody let it run since */
        r->wait_read = false;
    else
        read_wait(a, i);
    return awake;
}

/* System calls, too: threads that hardly work are not asked at each of a guest's halts. */
static void read_io(struct gov_guest *a, uint64_t now)
{
    bool look = a->s.io_demand > 0.02 || now - a->io_read_ns >= IO_LOOK_NS;

    a->s.io_used = look ? seconds_since(&a->io_ns, a->ops->io_ns(a->vm)) : 0;
    a->io_read_ns = look ? now : a->io_read_ns;
}

static void read_now(struct gov_guest *a, unsigned i, bool look)
{
    struct reading *r = &a->reading[i];
    struct sched_cpu *c = &a->s.cpu[i];
    uint32_t naps = r->naps;

    c->now = look ? a->ops->now(a->vm, i) : NOW_ASLEEP;
    r->naps = look ? a->ops->naps(a->vm, i) : naps;
    c->naps = look && r->looked ? r->naps - naps : 0;
    r->looked = look;
}

static void read_guest(struct gov_guest *a, double dt, uint64_t now)
{
    for (unsigned i = 0; i < a->s.ncpus; i++) {
        bool awake = read_cpu(a, i, dt, now);

        read_now(a, i, awake || !a->unseen);
    }
    read_io(a, now);
}

/* Placing: each that runs has a CPU of its own. */

/* Who shares a CPU with another, or is about to run, is told where to go. */
static void place_domain(struct governor *g, const struct gov_guest *root)
{
    struct sched_place *p = g->place;
    unsigned n = 0, k = 0;

    for (struct gov_guest *a = g->guests; a; a = a->next)
        for (unsigned i = 0; i < a->s.ncpus && a->live && a->root == root; i++)
            p[n++] = (struct sched_place){
                .may = &a->reading[i].may,
                .at = takes_cpu(a, i) ? a->ops->where(a->vm, i) : -1,
                .there = a->reading[i].told == GOV_RUN,
            };
    sched_place(p, n);
    for (struct gov_guest *a = g->guests; a; a = a->next)
        for (unsigned i = 0; i < a->s.ncpus && a->live && a->root == root; i++)
            a->reading[i].to = p[k++].to;
}

/* The kernel may move it on from there: only it knows what else runs on the host. */
static void run_there(struct gov_guest *a, unsigned i)
{
    struct reading *r = &a->reading[i];
    cpu_set_t one;

    if (r->to >= 0) {
        CPU_ZERO(&one);
        CPU_SET(r->to, &one);
        a->ops->place(a->vm, i, &one);
    }
    if (r->told != GOV_RUN) {
        r->run_ns = clock_mono_ns();
        a->ops->hold(a->vm, i, GOV_RUN);
    }
    if (r->to >= 0)
        a->ops->place(a->vm, i, &r->may);
}

static void tell(struct gov_guest *a, bool run)
{
    for (unsigned i = 0; i < a->s.ncpus; i++) {
        struct reading *r = &a->reading[i];
        enum gov_hold how = !a->s.cpu[i].hold ? GOV_RUN : a->s.capped ? GOV_HOLD_CAP : GOV_HOLD_SHARE;

        bool news = how != r->told;

        if ((how == GOV_RUN) != run || (!news && (!run || r->to < 0)))
            continue;
        if (news && run) /* what it waits from now on counts */
            r->wait_ns = a->ops->wait_ns(a->vm, i, r->cpu_ns, true);
        if (news)
            r->wait_read = run;
        if (run)
            run_there(a, i);
        else
            a->ops->hold(a->vm, i, how);
        r->told = how;
    }
}

/* Until the governor has seen that somebody halts, and has let another run, his CPU would have nothing to do. Of several
 * CPUs the kernel might wake the other on one that has. */
static void name_heir(struct governor *g, struct gov_guest *root)
{
    struct heir h = {0};
    unsigned run = 0;

    for (struct gov_guest *a = g->guests; a; a = a->next)
        for (unsigned i = 0; i < a->s.ncpus && a->live && a->root == root; i++) {
            const struct sched_cpu *c = &a->s.cpu[i];
            bool held = a->reading[i].told == GOV_HOLD_SHARE && sched_wants(c);

            a->reading[i].leaves_room = root->domain.cpus == 1 && takes_cpu(a, i) && !c->brief;
            run += a->reading[i].leaves_room;
            if (held && (!h.guest || sched_before(&a->s, c, &h.guest->s, &h.guest->s.cpu[h.cpu])))
                h = (struct heir){.guest = a, .cpu = i};
        }
    if (run != 1)
        return;
    pthread_mutex_lock(&g->heir_lock);
    root->heir = h;
    pthread_mutex_unlock(&g->heir_lock);
}

/* Of several CPUs one that had nothing to do for a moment would pull somebody over, who then runs beside another:
 * so who may run is woken first. It preempts who must not, who then has to be given a CPU only to find that out;
 * on one CPU that can be spared. */
static void tell_domain(struct governor *g, const struct gov_guest *root)
{
    for (int turn = 0; turn < 2; turn++)
        for (struct gov_guest *a = g->guests; a; a = a->next)
            if (a->live && a->root == root)
                tell(a, (turn == 0) == (root->domain.cpus > 1));
}

static uint64_t busy_slice(const struct governor *g)
{
    return g->enforce ? SLICE_BUSY_NS : SLICE_BUSY_TURN_NS;
}

/* Who halts goes first when it wakes. */
static void set_slices(const struct governor *g, struct gov_guest *a)
{
    for (unsigned i = 0; i < a->s.ncpus; i++) {
        struct reading *r = &a->reading[i];
        bool busy = a->s.cpu[i].demand > (r->busy ? 0.7 : 0.9);

        if (busy != r->busy)
            a->ops->slice(a->vm, i, busy ? busy_slice(g) : SLICE_LIGHT_NS);
        r->busy = busy;
    }
}

static bool hardly_works(const struct gov_guest *a)
{
    for (unsigned i = 0; i < a->s.ncpus; i++)
        if (a->s.cpu[i].demand >= fmax(SCHED_LIGHT, a->s.cpu[i].nap_rate * SCHED_BRIEF))
            return false;
    return true;
}

/* Each time that a timer wakes somebody costs who runs there some us, whatever it may be entitled to. */
static void set_pace(struct gov_guest *a)
{
    unsigned pace = !a->root->domain.contended ? 0 : hardly_works(a) ? PACE_BRIEF_HZ : PACE_HZ;

    if (pace != a->pace)
        a->ops->pace(a->vm, pace);
    a->pace = pace;
}

static void note(struct gov_guest *a, double dt)
{
    a->seconds += dt;
    a->entitled += a->s.entitlement * dt;
    a->why[a->s.reason] += dt;
}

static double step_domain(struct governor *g, struct gov_guest *root, double dt)
{
    unsigned n = 0;
    double step;

    for (struct gov_guest *a = g->guests; a; a = a->next)
        if (a->live && a->root == root)
            g->list[n++] = &a->s;
    root->domain.elsewhere = !g->enforce;
    root->domain.moment = fmin(HOLD_TICKS * (double)g->cost_ns, MOMENT_NS) / 1e9;
    step = sched_step(&root->domain, g->list, n, dt);
    for (struct gov_guest *a = g->guests; a; a = a->next)
        for (unsigned i = 0; i < a->s.ncpus && a->root == root; i++)
            a->reading[i].to = -1;
    if (g->enforce && root->domain.contended && root->domain.cpus > 1)
        place_domain(g, root);
    return step;
}

/* One tick. Returns in how many seconds the next one is due; INFINITY: there are none. */
static double tick(struct governor *g)
{
    uint64_t now = clock_mono_ns();
    double dt = seconds_since(&g->last_ns, now), step = INFINITY, s;
    bool any = false;

    for (struct gov_guest *a = g->guests; a; a = a->next)
        any |= a->live;
    dt = g->idle ? 0 : dt;
    g->idle = !any;
    if (!any)
        return INFINITY;
    forget_heirs(g);
    if (g->regroup)
        regroup(g);
    for (struct gov_guest *a = g->guests; a; a = a->next)
        if (a->live)
            read_guest(a, dt, now);
    for (struct gov_guest *r = g->guests; r; r = r->next) {
        if (!is_root(r))
            continue;
        s = step_domain(g, r, dt);
        step = s < step ? s : step;
    }
    for (struct gov_guest *a = g->guests; a; a = a->next) {
        if (!a->live)
            continue;
        note(a, dt);
        set_slices(g, a);
        set_pace(a);
        for (unsigned i = 0; i < a->s.ncpus && !g->enforce; i++)
            a->s.cpu[i].hold = false;
    }
    for (struct gov_guest *r = g->guests; r; r = r->next) {
        if (!is_root(r))
            continue;
        tell_domain(g, r);
        governor_find_news(g, r);
        name_heir(g, r);
    }
    governor_watch_unseen(g);
    return g->enforce ? step : 0.1;
}

/* Sleeps while `poked` is exactly `value`. False: until `ns`, UINT64_MAX: for ever. */
static bool wait_poke(struct governor *g, uint32_t value, uint64_t ns)
{
    struct timespec ts = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};

    if (ns <= clock_mono_ns()) /* a timer that is late already costs us as much as another */
        return false;
    return syscall(SYS_futex, &g->poked, FUTEX_WAIT_BITSET_PRIVATE, value, ns == UINT64_MAX ? NULL : &ts, NULL,
                   FUTEX_BITSET_MATCH_ANY) == 0 || errno != ETIMEDOUT;
}

static void poke(struct governor *g, uint32_t bits)
{
    if ((atomic_fetch_or(&g->poked, bits) & bits) != bits)
        futex_wake(&g->poked);
}

/* An idle CPU is news if one of ours has left it. */
static uint32_t pokes(struct governor *g)
{
    if (atomic_fetch_and(&g->poked, ~(uint32_t)POKE_IDLE) & POKE_IDLE && governor_looks(g, NOW_AWAKE))
        atomic_fetch_or(&g->poked, POKE_STIR | POKE_FREE);
    return g->poked;
}

/* From one tick for a guest that halts or wakes to the next. */
static uint64_t stir_ns(const struct governor *g, unsigned leisure)
{
    return STIR_NS > leisure * g->cost_ns ? STIR_NS : leisure * g->cost_ns;
}

/* Ticks for halts and wakes that may come at once are saved up, and then owed. */
static uint64_t stir_at(const struct governor *g, uint32_t poked)
{
    const uint64_t saved = STIR_BURST * stir_ns(g, LEISURE), free_at = g->last_ns + stir_ns(g, FREE_LEISURE);
    const uint64_t at = g->stir_ns > saved ? g->stir_ns - saved : 0;

    return poked & POKE_FREE && at > free_at ? free_at : at;
}

static void owe_stir(struct governor *g, uint32_t poked)
{
    const uint64_t most = g->last_ns + STIR_BURST * stir_ns(g, LEISURE); /* what was owed may have cost more then */
    const uint64_t from = g->stir_ns > g->last_ns ? g->stir_ns : g->last_ns;

    g->stir_ns = (from < most ? from : most) + stir_ns(g, poked & POKE_FREE ? FREE_LEISURE : LEISURE);
}

static void sleep_for(struct governor *g, double step)
{
    uint64_t until = step < INFINITY ? g->last_ns + (uint64_t)(step * 1e9) : UINT64_MAX, at, peek;
    uint32_t poked;
    bool over = false;

    while (!over && !((poked = pokes(g)) & POKE_NOW)) {
        at = stir_at(g, poked);
        at = !(poked & POKE_STIR) || at > until ? until : at;
        peek = g->peeks && !(poked & POKE_STIR) ? clock_mono_ns() + PEEK_NS : UINT64_MAX;
        if (peek >= at)
            over = !wait_poke(g, poked, at);
        else if (!wait_poke(g, poked, peek) && governor_looks(g, NOW_ASLEEP))
            atomic_fetch_or(&g->poked, POKE_STIR);
    }
}

static void *governor_main(void *arg)
{
    struct governor *g = arg;
    uint64_t began;
    double step;

    pthread_setname_np(pthread_self(), "governor");
    prctl(PR_SET_TIMERSLACK, 1);
    sandbox_governor_thread();
    while (!g->quit) {
        uint32_t poked = atomic_exchange(&g->poked, 0);

        began = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        pthread_mutex_lock(&g->lock);
        step = tick(g);
        pthread_mutex_unlock(&g->lock);
        g->used_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        g->cost_ns = (7 * g->cost_ns + g->used_ns - began) / 8;
        if (poked & POKE_STIR)
            owe_stir(g, poked);
        sleep_for(g, step);
    }
    return NULL;
}

static void cpu_idle(void *arg)
{
    poke(arg, POKE_IDLE);
}

static void find_watches(struct gov_guest *a)
{
    struct governor *g = a->gov;

    for (unsigned c = 0; c < g->cpus && a->unseen && g->enforce; c++)
        if (CPU_ISSET(c, &a->cpus) && !g->watch[c])
            g->watch[c] = idle_watch_new(c, cpu_idle, g);
}

struct governor *governor_new(unsigned cpus, struct err *e)
{
    struct governor *g = calloc(1, sizeof *g);

    if (g)
        g->watch = calloc(cpus, sizeof(struct idle_watch *));
    if (!g || !g->watch) {
        free(g);
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    g->cpus = cpus < CPU_SETSIZE ? cpus : CPU_SETSIZE;
    g->enforce = g->idle = true;
    pthread_mutex_init(&g->lock, NULL);
    pthread_mutex_init(&g->heir_lock, NULL);
    g->started = thread_start(&g->thread, "the governor", STACK_BYTES, governor_main, g, e) == 0;
    slice_as_usual(); /* it has inherited that it goes first */
    if (g->started)
        return g;
    governor_free(g);
    return NULL;
}

void governor_free(struct governor *g)
{
    if (!g)
        return;
    pthread_mutex_lock(&g->lock);
    g->quit = true;
    poke(g, POKE_NOW);
    pthread_mutex_unlock(&g->lock);
    if (g->started)
        pthread_join(g->thread, NULL);
    for (unsigned c = 0; c < g->cpus; c++)
        idle_watch_free(g->watch[c]);
    free(g->watch);
    free(g->list);
    free(g->place);
    pthread_mutex_destroy(&g->lock);
    pthread_mutex_destroy(&g->heir_lock);
    free(g);
}

void governor_enforce(struct governor *g, bool yes)
{
    pthread_mutex_lock(&g->lock);
    g->enforce = yes;
    for (struct gov_guest *a = g->guests; a; a = a->next) {
        if (!a->live)
            continue;
        find_watches(a);
        for (unsigned i = 0; i < a->s.ncpus; i++)
            if (a->reading[i].busy)
                a->ops->slice(a->vm, i, busy_slice(g));
    }
    poke(g, POKE_NOW);
    pthread_mutex_unlock(&g->lock);
}

/* With one more guest. */
static int make_room(struct governor *g, unsigned ncpus)
{
    unsigned guests = 1;
    struct sched_vm **list;
    struct sched_place *place;

    for (struct gov_guest *a = g->guests; a; a = a->next, guests++)
        ncpus += a->s.ncpus;
    list = realloc(g->list, guests * sizeof(struct sched_vm *));
    g->list = list ? list : g->list;
    place = realloc(g->place, ncpus * sizeof *place);
    g->place = place ? place : g->place;
    return list && place ? 0 : -ENOMEM;
}

static void guest_free(struct gov_guest *a)
{
    free(a->s.cpu);
    free(a->reading);
    free(a);
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
    for (unsigned i = 0; i < g->cpus; i++)
        CPU_SET(i, &a->cpus);
    pthread_mutex_lock(&g->lock);
    if (!a->s.cpu || !a->reading || make_room(g, ncpus) < 0) {
        guest_free(a);
        a = NULL;
    }
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
    pthread_mutex_unlock(&a->gov->lock);
    guest_free(a);
}

void governor_set(struct gov_guest *a, unsigned share, unsigned cap_pct)
{
    pthread_mutex_lock(&a->gov->lock);
    a->s.weight = share;
    a->s.cap = cap_pct / 100.0;
    poke(a->gov, POKE_NOW);
    pthread_mutex_unlock(&a->gov->lock);
}

void governor_set_cpus(struct gov_guest *a, const cpu_set_t *set)
{
    cpu_set_t all;

    pthread_mutex_lock(&a->gov->lock);
    CPU_ZERO(&all);
    for (unsigned i = 0; i < a->s.ncpus; i++) {
        a->reading[i].may = set[i];
        CPU_OR(&all, &all, &set[i]);
    }
    a->gov->regroup |= !CPU_EQUAL(&a->cpus, &all);
    a->cpus = all;
    if (a->live)
        find_watches(a);
    poke(a->gov, POKE_NOW);
    pthread_mutex_unlock(&a->gov->lock);
}

/* Nothing is known of it yet: it runs, it may want all, and what it used before does not count. */
static void forget(struct gov_guest *a)
{
    a->io_ns = a->ops->io_ns(a->vm);
    a->ops->pace(a->vm, 0);
    a->s.credit = a->s.tokens = a->s.io_demand = 0;
    a->s.capped = a->s.bound = a->s.paused = false;
    a->pace = 0;
    a->unseen = !a->ops->tells(a->vm);
    memset(a->s.cpu, 0, a->s.ncpus * sizeof *a->s.cpu);
    for (unsigned i = 0; i < a->s.ncpus; i++) {
        a->s.cpu[i].demand = 1;
        a->reading[i] = (struct reading){
            .cpu_ns = a->ops->cpu_ns(a->vm, i), .naps = a->ops->naps(a->vm, i), .told = GOV_RUN,
            .may = a->reading[i].may, .to = -1};
    }
}

void governor_begin(struct gov_guest *a)
{
    struct governor *g = a->gov;

    pthread_mutex_lock(&g->lock);
    forget(a);
    a->live = g->regroup = true;
    find_watches(a);
    poke(g, POKE_NOW);
    pthread_mutex_unlock(&g->lock);
}

void governor_pause(struct gov_guest *a, bool paused)
{
    pthread_mutex_lock(&a->gov->lock);
    a->s.paused = paused;
    poke(a->gov, POKE_NOW);
    pthread_mutex_unlock(&a->gov->lock);
}

void governor_end(struct gov_guest *a)
{
    pthread_mutex_lock(&a->gov->lock);
    a->live = false;
    a->halt_is_news = a->wake_is_news = false;
    forget_heirs(a->gov);
    regroup(a->gov); /* nobody's domain is called by it */
    poke(a->gov, POKE_NOW);
    pthread_mutex_unlock(&a->gov->lock);
}

void governor_halts(struct gov_guest *a, unsigned cpu)
{
    _Atomic uint32_t *sleeps = NULL;
    struct heir *h;

    if (a->reading[cpu].leaves_room) {
        pthread_mutex_lock(&a->gov->heir_lock);
        h = &a->root->heir;
        if (h->guest) {
            sleeps = h->guest->ops->let_run(h->guest->vm, h->cpu);
            h->guest->reading[h->cpu].told = GOV_RUN;
            h->guest = NULL;
        }
        pthread_mutex_unlock(&a->gov->heir_lock);
    }
    if (sleeps) /* it may preempt us */
        futex_wake(sleeps);
    if (a->halt_is_news) /* it has left a CPU */
        poke(a->gov, POKE_STIR | POKE_FREE);
}

void governor_stir(struct gov_guest *a)
{
    if (a->wake_is_news)
        poke(a->gov, POKE_STIR);
}

void governor_sample(struct gov_guest *a)
{
    pthread_mutex_lock(&a->gov->lock);
    if (!a->live) {
        a->entitlement = NAN;
        a->reason = REASON_NONE;
    } else if (a->seconds > 0) { /* else no step was taken since: what was, is */
        a->entitlement = a->entitled / a->seconds;
        a->reason = REASON_NONE;
        for (int r = 1; r < REASONS; r++)
            if (a->why[r] > a->why[a->reason])
                a->reason = (enum sched_reason)r;
    }
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
