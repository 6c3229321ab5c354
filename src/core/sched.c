/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sched: see sched.h.
 */
#include "core/sched.h"

#include <math.h>
#include <stddef.h>

#define DEMAND_FADE 0.030  /* seconds over which demand is averaged */
#define LOAD_FADE 0.100    /* the same for what others on the host take */
#define TURN_FADE 0.200
#define SLICE_MAX 0.005
#define SLICE_MIN 0.003    /* shorter ones cost who has few of them a part of his work: caches are cold at each */
#define STEP_MIN 0.0015
#define QUIET_STEP 0.100   /* nothing binds: only look for what may come up */
#define BANK 0.001         /* seconds that a guest may keep for later */
#define OVERDRAFT 0.005    /* seconds by which a light guest may exceed its part at once */
#define OWED 0.002         /* lacked seconds for which a light guest is given room of its own */
#define CREDIT_MAX 0.250   /* more than that is a host that does not follow us */
#define CAP_SLICE 0.006    /* what a capped guest runs at once, at most */
#define ROOM_MIN 0.1
#define BRIEF_PART 0.5     /* of a CPU: what the kernel gives who wakes beside another */
#define SUPPLY_MIN 0.02

static double fade(double old, double now, double dt, double over)
{
    return old + (1 - exp(-dt / over)) * (now - old);
}

static double least(double a, double b)
{
    return a < b ? a : b;
}

static double used_by(const struct sched_vm *v)
{
    double sum = v->io_used;

    for (unsigned i = 0; i < v->ncpus; i++)
        sum += v->cpu[i].used;
    return sum;
}

/* CPUs that it would use alone: if it had not waited it would have slept the more. How long I/O threads wait is not
 * known; where they work, what their vCPUs wait stands for it. */
static double would_use(const struct sched_vm *v, const struct sched_cpu *c)
{
    if (c->demand > 0.9)
        return 1;
    return v->io_demand < SCHED_LIGHT && c->ran > 0 ? least(c->demand, c->ran / (c->ran + 1 - c->demand)) : c->demand;
}

static void measure_cpu(struct sched_cpu *c, double dt)
{
    if (dt <= 0)
        return;
    c->demand = fade(c->demand, (c->used + c->waited) / dt, dt, DEMAND_FADE);
    c->ran = fade(c->ran, c->used / dt, dt, DEMAND_FADE);
    c->nap_rate = fade(c->nap_rate, c->naps / dt, dt, DEMAND_FADE);
}

/* Who is owed is worth holding others for. */
static bool is_brief(const struct sched_domain *d, const struct sched_vm *v, const struct sched_cpu *c)
{
    return c->demand < least(BRIEF_PART, c->nap_rate * fmax(d->moment, SCHED_BRIEF)) && v->credit < OVERDRAFT;
}

/* What was measured becomes demand; a vCPU that was held could not show any, and what a guest
 * wanted before a pause is the best guess for what it wants after. */
static void measure(struct sched_domain *d, struct sched_vm *const *vm, unsigned n, double dt)
{
    double used = 0, waited = 0;

    for (unsigned k = 0; k < n; k++) {
        struct sched_vm *v = vm[k];
        double want = 0;

        v->io_demand = fade(v->io_demand, v->io_used / dt, dt, DEMAND_FADE);
        for (unsigned i = 0; i < v->ncpus; i++) {
            struct sched_cpu *c = &v->cpu[i];

            if (!c->hold && !v->paused)
                measure_cpu(c, dt - c->held);
            c->demand = fmax(0, least(c->demand, 1));
            c->brief = is_brief(d, v, c);
            c->turn = fade(c->turn, 0, dt, TURN_FADE) + c->used;
            want += v->paused ? 0 : would_use(v, c);
            waited += c->hold || (d->elsewhere && v->cap > 0) ? 0 : c->waited;
        }
        v->want = want + v->io_demand;
        used += used_by(v);
    }
    d->used = fade(d->used, used / dt, dt, LOAD_FADE);
    d->wanted = fade(d->wanted, least((used + waited) / dt, d->cpus), dt, LOAD_FADE);
}

/* What the rest of the host leaves us: of the time in which our guests could have run, as many
 * at a time as there are CPUs, the part in which they did. So a wait for one of ours is none. */
static void find_supply(struct sched_domain *d, struct sched_vm *const *vm, unsigned n)
{
    d->supply = fmax(SUPPLY_MIN, least((d->used + 0.01) / (fmax(d->wanted, 0) + 0.01), 1));
    d->capacity = d->cpus * d->supply;
    for (unsigned k = 0; k < n; k++) {
        struct sched_vm *v = vm[k];

        v->limit = v->paused ? 0 : v->io_demand;
        for (unsigned i = 0; i < v->ncpus && !v->paused; i++)
            v->limit += least(would_use(v, &v->cpu[i]), d->supply);
        v->limit = v->cap > 0 ? least(v->limit, v->cap) : v->limit;
    }
}

/* Weighted max-min fairness. Returns how many guests want more than they are entitled to. */
static unsigned divide(struct sched_domain *d, struct sched_vm *const *vm, unsigned n)
{
    double room = d->capacity, weights = 0;
    unsigned bound = 0;
    bool again = true;

    for (unsigned k = 0; k < n; k++) {
        vm[k]->bound = !vm[k]->paused;
        weights += vm[k]->bound ? vm[k]->weight : 0;
    }
    while (again && weights > 0) { /* each turn takes one out at least */
        double level = (room > 0 ? room : 0) / weights;

        again = false;
        for (unsigned k = 0; k < n; k++) {
            struct sched_vm *v = vm[k];

            if (!v->bound || v->limit > v->weight * level * (1 + 1e-9))
                continue;
            v->bound = false;
            room -= v->limit;
            weights -= v->weight;
            again = true;
        }
    }
    for (unsigned k = 0; k < n; k++) {
        struct sched_vm *v = vm[k];
        double level = weights > 0 ? v->weight * (room > 0 ? room : 0) / weights : d->capacity;

        v->entitlement = v->paused ? 0 : v->bound ? level : v->limit;
        v->fair = v->bound ? level : fmax(level, v->limit);
        bound += v->bound;
    }
    return bound;
}

static bool runs_whole(const struct sched_vm *v)
{
    for (unsigned i = 0; i < v->ncpus; i++)
        if (v->cpu[i].hold)
            return false;
    return true;
}

static bool halts_are_seen(const struct sched_vm *v)
{
    return v->cpu[0].now != NOW_UNKNOWN;
}

/* Light guests share CPUs with those that run beside them; waiting shows what that costs. */
static void note_lack(struct sched_vm *v, double entitled)
{
    double waited = 0;

    for (unsigned i = 0; i < v->ncpus; i++)
        waited += v->cpu[i].waited;
    if (v->bound || waited <= 0 || halts_are_seen(v))
        v->lack = 0;
    else
        v->lack = fmax(0, least(v->lack + entitled - used_by(v), 2 * OWED));
}

/* Who is owed how much. The bound ones' credits sum to zero: what they all were owed, the host
 * did not have. */
static void account(struct sched_vm *const *vm, unsigned n, bool contended)
{
    double used = 0, entitled = 0, owed = 0, rates = 0;

    for (unsigned k = 0; k < n; k++) {
        used += used_by(vm[k]);
        entitled += vm[k]->entitlement;
    }
    for (unsigned k = 0; k < n; k++) {
        struct sched_vm *v = vm[k];

        if (!contended || v->paused) {
            v->credit = v->lack = 0;
            continue;
        }
        note_lack(v, entitled > 0 ? used * v->entitlement / entitled : 0);
        v->credit += (entitled > 0 ? used * v->fair / entitled : 0) - used_by(v);
        if (!v->bound && (v->capped || runs_whole(v)))
            v->credit = least(v->credit, BANK);
        v->credit = fmax(-CREDIT_MAX, least(v->credit, CREDIT_MAX));
        if (v->bound) {
            owed += v->credit;
            rates += v->entitlement;
        }
    }
    for (unsigned k = 0; k < n && rates > 0; k++)
        if (vm[k]->bound)
            vm[k]->credit -= owed * vm[k]->entitlement / rates;
}

static double cap_slice(const struct sched_vm *v)
{
    return fmax(STEP_MIN, least(CAP_SLICE, v->cap * 0.020));
}

/* The bucket: full at CAP_SLICE, runs until empty, waits until half full. */
static void apply_cap(struct sched_vm *v, double dt)
{
    double slice = cap_slice(v);

    if (v->cap <= 0 || v->cap != v->cap_was) { /* what it used before is not charged to a new cap */
        v->cap_was = v->cap;
        v->capped = false;
        v->tokens = 0;
        return;
    }
    v->tokens -= used_by(v);
    if (!v->paused)
        v->tokens = fmax(-1, least(v->tokens + v->cap * dt, slice * 1.5));
    if (v->tokens <= 0)
        v->capped = true;
    else if (v->tokens >= slice)
        v->capped = false;
}

/* When its cap has to be looked at again. */
static double cap_step(const struct sched_vm *v)
{
    double slice = cap_slice(v);

    if (v->cap <= 0 || v->paused)
        return QUIET_STEP;
    if (v->capped)
        return fmax(0.001, (slice - v->tokens) / v->cap);
    if (v->limit < 0.001)
        return 0.020;
    return fmax(0.001, v->tokens / fmax(1, v->ncpus));
}

static double slice_of(const struct sched_vm *v)
{
    return fmax(SLICE_MIN, least(SLICE_MAX, v->entitlement * 0.020));
}

/* Higher runs first: seconds for which it is owed its entitlement, less half a slice, so that
 * the error is as often above as below. */
static double urgency(const struct sched_vm *v)
{
    return (v->credit - slice_of(v) / 2) / fmax(v->fair, 1e-6);
}

bool sched_before(const struct sched_vm *v, const struct sched_cpu *c, const struct sched_vm *w,
                  const struct sched_cpu *d)
{
    return v == w ? c->turn < d->turn : urgency(v) > urgency(w);
}

static void hold_all(struct sched_vm *v, bool hold)
{
    for (unsigned i = 0; i < v->ncpus; i++)
        v->cpu[i].hold = hold;
}

/* What is left beside those that are brief: always a place, if there was one, for nobody is told when they halt. */
static double beside(double room, double brief)
{
    return fmax(room - brief, least(room, 2 * ROOM_MIN));
}

/* The places that are not for others. */
static double wants_now(const struct sched_cpu *c)
{
    if (!sched_wants(c))
        return 0;
    return c->now == NOW_AWAKE && !c->brief ? 1 : c->demand;
}

/* Admits `m` of its vCPUs that want to run, those that had least of late; then those that are brief, too. */
static void admit_some(struct sched_vm *v, unsigned m)
{
    for (unsigned i = 0; i < v->ncpus; i++) {
        const struct sched_cpu *c = &v->cpu[i];
        unsigned before = 0;

        for (unsigned k = 0; m && k < v->ncpus; k++)
            before += sched_wants(&v->cpu[k]) && !v->cpu[k].brief &&
                      (v->cpu[k].turn < c->turn || (v->cpu[k].turn == c->turn && k < i));
        v->cpu[i].hold = sched_wants(c) && !(m && c->brief) && before >= m;
    }
}

/* Returns the room that is left. */
static double admit(struct sched_vm *v, double room)
{
    double want = 0, brief = 0;
    unsigned m;

    if (room < ROOM_MIN) {
        if (v->credit < -4 * OVERDRAFT)
            hold_all(v, true);
        else
            admit_some(v, 0);
        return room;
    }
    for (unsigned i = 0; i < v->ncpus; i++) {
        const double takes = wants_now(&v->cpu[i]);

        want += v->cpu[i].brief ? 0 : takes;
        brief += v->cpu[i].brief ? takes : 0;
    }
    room = beside(room, brief);
    if (want <= room + ROOM_MIN) {
        hold_all(v, false);
        return room - want;
    }
    m = (unsigned)ceil(room - ROOM_MIN);
    admit_some(v, m);
    return room - m;
}

static bool goes_first(const struct sched_vm *v)
{
    return !v->bound && v->credit >= -OVERDRAFT;
}

/* The places that a light guest takes; `brief`: those of its vCPUs that are, also while they sleep, are added. */
static double place_of(const struct sched_domain *d, const struct sched_vm *v, double *brief)
{
    double sum = 0;

    if (!halts_are_seen(v))
        return v->lack > OWED ? fmax(v->want, 1) : least(v->want, v->limit / d->supply);
    for (unsigned i = 0; i < v->ncpus; i++) {
        *brief += v->cpu[i].brief ? v->cpu[i].demand : 0;
        sum += v->cpu[i].brief ? 0 : wants_now(&v->cpu[i]);
    }
    return sum;
}

/* Light guests within their part always run; the others by urgency while there is room: as many
 * as there are CPUs, however busy the host is, for it gives to each that wants to run. */
static double choose(struct sched_domain *d, struct sched_vm *const *vm, unsigned n)
{
    double room = d->cpus, brief = 0, step = SLICE_MAX, last = INFINITY;
    const struct sched_vm *last_vm = NULL;

    for (unsigned k = 0; k < n; k++) {
        struct sched_vm *v = vm[k];

        if (v->paused || v->capped || !goes_first(v))
            continue;
        hold_all(v, false);
        room -= place_of(d, v, &brief);
        step = v->lack > OWED ? STEP_MIN : step;
    }
    room = beside(room, brief);
    for (;;) {
        struct sched_vm *next = NULL;

        for (unsigned k = 0; k < n; k++) { /* in order of urgency, then of place */
            struct sched_vm *v = vm[k];
            double u = urgency(v);

            if (v->paused || v->capped || goes_first(v) || u > last || (u == last && v <= last_vm))
                continue;
            if (!next || u > urgency(next) || (u == urgency(next) && v < next))
                next = v;
        }
        if (!next)
            return step;
        last = urgency(next);
        last_vm = next;
        if (room >= ROOM_MIN)
            step = least(step, slice_of(next));
        room = admit(next, room);
    }
}

/* Would an idle host give it more than it would have here without the other guests? */
static bool host_weighs_more(const struct sched_domain *d, const struct sched_vm *v)
{
    return v->entitlement / d->supply > least(v->want, d->cpus) * d->supply;
}

static void explain(const struct sched_domain *d, struct sched_vm *v)
{
    bool busy_host = d->supply < 0.95, divided = v->bound && d->contended;

    if (v->paused)
        v->reason = REASON_PAUSED;
    else if (v->cap > 0 && v->limit >= v->cap * 0.98 && !divided)
        v->reason = REASON_CAP;
    else if (divided && !(busy_host && host_weighs_more(d, v)))
        v->reason = REASON_SHARE;
    else if (v->bound || (busy_host && v->want > 0.1 && v->want > v->limit * 1.02))
        v->reason = REASON_HOST;
    else
        v->reason = v->want < v->ncpus * 0.9 ? REASON_IDLE : REASON_NONE;
}

/* Nothing binds yet: the closer to it, the sooner it may. */
static double quiet_step(const struct sched_domain *d)
{
    return d->used > 0.6 * d->capacity ? QUIET_STEP / 5 : d->used > 0.1 * d->capacity ? QUIET_STEP / 2 : QUIET_STEP;
}

double sched_step(struct sched_domain *d, struct sched_vm *const *vm, unsigned n, double dt)
{
    double step;
    unsigned here = 0, bound;
    bool was;

    if (dt <= 0)
        dt = 1e-6;
    measure(d, vm, n, dt);
    find_supply(d, vm, n);
    bound = divide(d, vm, n);
    for (unsigned k = 0; k < n; k++) {
        here += !vm[k]->paused && vm[k]->limit > 0.001;
        apply_cap(vm[k], dt);
    }
    was = d->contended;
    d->contended = bound > 0 && here > 1; /* one alone is divided by nobody but the host */
    account(vm, n, d->contended && was); /* what went before was free for all */
    step = d->contended ? choose(d, vm, n) : quiet_step(d);
    for (unsigned k = 0; k < n; k++) {
        if (vm[k]->paused || (!d->contended && !vm[k]->capped))
            hold_all(vm[k], false);
        else if (vm[k]->capped)
            hold_all(vm[k], true);
        step = least(step, cap_step(vm[k]));
        explain(d, vm[k]);
    }
    return step;
}
