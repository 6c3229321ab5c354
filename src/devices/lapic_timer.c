/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * lapic_timer: see lapic_timer.h.
 */
#include "devices/lapic_timer.h"

/* Divide configuration: bits 3, 1, 0 say 2, 4, 8 ... 128, 1. */
static unsigned divide_shift(const struct lapic_timer *t)
{
    return (((t->r.divide & 3) | (t->r.divide >> 1 & 4)) + 1) & 7;
}

static uint64_t period_ns(const struct lapic_timer *t)
{
    return (uint64_t)t->r.initial << divide_shift(t);
}

/* A guest may ask for a period of a nanosecond: so many periods make one expiry. */
static uint64_t periods_per_expiry(const struct lapic_timer *t)
{
    uint64_t p = period_ns(t);

    return p < LAPIC_TIMER_MIN_NS ? (LAPIC_TIMER_MIN_NS + p - 1) / p : 1;
}

static void timer_arm(struct lapic_timer *t)
{
    if (t->r.masked)
        vtimer_cancel(&t->timer);
    else if (t->r.mode == LAPIC_TSC_DEADLINE && t->r.deadline)
        vtimer_arm(&t->timer, t->r.due_ns);
    else if (t->r.mode == LAPIC_ONE_SHOT && t->r.running)
        vtimer_arm(&t->timer, t->r.start_ns + period_ns(t));
    else if (t->r.mode == LAPIC_PERIODIC && t->r.running)
        vtimer_arm(&t->timer, t->r.start_ns + periods_per_expiry(t) * period_ns(t));
    else
        vtimer_cancel(&t->timer);
}

static bool deadline_passed(struct lapic_timer *t, uint64_t now)
{
    if (t->r.deadline == 0 || now < t->r.due_ns)
        return false;
    t->r.deadline = 0;
    return true;
}

static bool count_passed(struct lapic_timer *t, uint64_t now)
{
    uint64_t period = period_ns(t), ns = now - t->r.start_ns;

    if (!t->r.running || ns < period)
        return false;
    if (t->r.mode == LAPIC_ONE_SHOT) {
        t->r.running = false;
        return true;
    }
    if (ns / period < periods_per_expiry(t))
        return false;
    t->r.start_ns += ns / period * period;
    return true;
}

bool lapic_timer_expired(struct lapic_timer *t)
{
    uint64_t now = vclock_now_ns(t->clock);
    bool expired = t->r.mode == LAPIC_TSC_DEADLINE ? deadline_passed(t, now) : count_passed(t, now);

    timer_arm(t);
    return expired;
}

/* Counting goes on from one-shot to periodic and back; to and from the others it ends. */
void lapic_timer_set_mode(struct lapic_timer *t, enum lapic_timer_mode mode, bool masked)
{
    if (mode != t->r.mode && (mode > LAPIC_PERIODIC || t->r.mode > LAPIC_PERIODIC)) {
        t->r.running = false;
        t->r.initial = 0;
        t->r.deadline = 0;
    } else if (mode != t->r.mode && t->r.running) {
        uint64_t ns = vclock_now_ns(t->clock) - t->r.start_ns;

        t->r.start_ns += ns / period_ns(t) * period_ns(t);
    }
    t->r.mode = mode;
    t->r.masked = masked;
    timer_arm(t);
}

void lapic_timer_set_initial(struct lapic_timer *t, uint32_t count)
{
    if (t->r.mode > LAPIC_PERIODIC)
        return;
    t->r.initial = count;
    t->r.running = count != 0;
    t->r.start_ns = vclock_now_ns(t->clock);
    timer_arm(t);
}

uint32_t lapic_timer_current(const struct lapic_timer *t)
{
    uint64_t ticks;

    if (!t->r.running)
        return 0;
    ticks = (vclock_now_ns(t->clock) - t->r.start_ns) >> divide_shift(t);
    if (t->r.mode == LAPIC_PERIODIC)
        ticks %= t->r.initial;
    return ticks < t->r.initial ? (uint32_t)(t->r.initial - ticks) : 0;
}

/* The count that is left goes on at the new pace. */
void lapic_timer_set_divide(struct lapic_timer *t, uint32_t dcr)
{
    uint32_t left = lapic_timer_current(t);

    t->r.divide = dcr & 0xb;
    if (t->r.running) {
        uint64_t counted = (uint64_t)(t->r.initial - left) << divide_shift(t);
        uint64_t now = vclock_now_ns(t->clock);

        /* guest time before its beginning wraps, and wraps back where it is used */
        t->r.start_ns = now - counted;
    }
    timer_arm(t);
}

/* Guest time at which the TSC will have passed `tsc`. By the distance from now, so that a TSC
 * that does not keep pace with guest time to the last digit makes no difference. */
static uint64_t deadline_ns(const struct lapic_timer *t, uint64_t tsc, uint64_t tsc_now)
{
    uint64_t from = t->env.tsc_to_ns(t->env.opaque, t->env.cpu, tsc_now);
    uint64_t to = t->env.tsc_to_ns(t->env.opaque, t->env.cpu, tsc);
    uint64_t now = vclock_now_ns(t->clock),
             due = now + (to - from) + 1; /* rounded down: never early */

    return to >= from && due > now ? due : UINT64_MAX;
}

void lapic_timer_set_deadline(struct lapic_timer *t, uint64_t tsc)
{
    uint64_t now;

    if (t->r.mode != LAPIC_TSC_DEADLINE)
        return;
    now = t->env.tsc_now(t->env.opaque, t->env.cpu);
    t->r.deadline = tsc;
    t->r.due_ns = 0;
    if (tsc && now >= tsc)
        return; /* the caller asks for what has expired */
    if (tsc)
        t->r.due_ns = deadline_ns(t, tsc, now);
    timer_arm(t);
}

uint64_t lapic_timer_deadline(const struct lapic_timer *t)
{
    return t->r.mode == LAPIC_TSC_DEADLINE ? t->r.deadline : 0;
}

static void timer_due(void *arg)
{
    struct lapic_timer *t = arg;

    t->env.due(t->env.opaque, t->env.cpu);
}

void lapic_timer_reset(struct lapic_timer *t)
{
    t->r = (struct lapic_timer_regs){.masked = true};
    timer_arm(t);
}

void lapic_timer_init(struct lapic_timer *t, struct vclock *clock,
                      const struct lapic_timer_env *env)
{
    *t = (struct lapic_timer){.env = *env, .clock = clock};
    vtimer_init(&t->timer, clock, timer_due, t);
    lapic_timer_reset(t);
}

void lapic_timer_fini(struct lapic_timer *t)
{
    vtimer_cancel(&t->timer);
}
