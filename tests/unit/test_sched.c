/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The decision who may run (core/sched.h), on a simulated machine: its CPUs are divided evenly
 * among the vCPUs that run, as a kernel does.
 */
#include "core/sched.h"
#include "core/sched_place.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { VMS = 8, CPUS = 4 };
#define QUANTUM 0.0001

struct machine {
    struct sched_domain d;
    struct sched_vm vm[VMS], *list[VMS];
    struct sched_cpu cpu[VMS][CPUS];
    double duty[VMS], period; /* busy for this part of each period */
    double entitled[VMS], got[VMS], idle;    /* CPU seconds; `idle`: lost while somebody wanted to run */
    double foreign;           /* busy threads of others */
    double now, due;
    unsigned n, steps;
    bool seen; /* a step at once when somebody halts or wakes who is not brief */
    struct sched_vm *sleeper; /* sleeps around each step */
    struct sched_cpu *busy;   /* never sleeps */
    double shift;             /* seconds from the awakening of one vCPU of a guest to that of the one before */
};

static void add(struct machine *m, double weight, unsigned ncpus, double duty)
{
    struct sched_vm *v = &m->vm[m->n];

    v->weight = weight;
    v->ncpus = ncpus;
    v->cpu = m->cpu[m->n];
    m->duty[m->n] = duty;
    m->list[m->n++] = v;
}

static struct machine *machine(double cpus)
{
    struct machine *m = calloc(1, sizeof *m);

    m->d.cpus = cpus;
    m->period = 0.010;
    return m;
}

static bool wants(const struct machine *m, unsigned k, unsigned i)
{
    if (m->sleeper == &m->vm[k] && (m->due - m->now < 0.0004))
        return false;
    return m->busy == &m->cpu[k][i] || fmod(m->now + i * m->shift, m->period) < m->duty[k] * m->period;
}

/* One quantum of a kernel that gives each runnable thread the same, one CPU at most. */
static void run(struct machine *m)
{
    double threads = m->foreign, part, wanted = 0;

    for (unsigned k = 0; k < m->n; k++)
        for (unsigned i = 0; i < m->vm[k].ncpus; i++) {
            if (!wants(m, k, i))
                continue;
            threads += !m->cpu[k][i].hold;
            wanted += !m->vm[k].capped;
        }
    part = threads > m->d.cpus ? m->d.cpus / threads : 1;
    m->idle += fmin(fmax(m->d.cpus - threads * part, 0), fmax(wanted - threads + m->foreign, 0)) * QUANTUM;
    for (unsigned k = 0; k < m->n; k++)
        for (unsigned i = 0; i < m->vm[k].ncpus; i++) {
            struct sched_cpu *c = &m->cpu[k][i];

            if (c->hold || !wants(m, k, i))
                continue;
            c->used += part * QUANTUM;
            c->waited += (1 - part) * QUANTUM;
            m->got[k] += part * QUANTUM;
        }
    m->now += QUANTUM;
}

/* Who sleeps is told; returns whether that has changed. */
static bool tell_now(struct machine *m)
{
    bool changed = false;

    for (unsigned k = 0; k < m->n && m->seen; k++)
        for (unsigned i = 0; i < m->vm[k].ncpus; i++) {
            struct sched_cpu *c = &m->cpu[k][i];
            enum sched_now now = wants(m, k, i) ? NOW_AWAKE : NOW_ASLEEP;

            changed |= c->now != now && !c->brief;
            c->naps += c->now == NOW_AWAKE && now == NOW_ASLEEP;
            c->now = now;
        }
    return changed;
}

static void simulate(struct machine *m, double seconds)
{
    double until = m->now + seconds, last = m->now;

    while (m->now < until) {
        run(m);
        if (!tell_now(m) && m->now < m->due)
            continue;
        m->due = m->now + sched_step(&m->d, m->list, m->n, m->now - last);
        last = m->now;
        m->steps++;
        for (unsigned k = 0; k < m->n; k++)
            m->entitled[k] += m->vm[k].entitlement * (m->due - m->now);
        for (unsigned k = 0; k < m->n; k++)
            for (unsigned i = 0; i < CPUS; i++) {
                m->cpu[k][i].used = m->cpu[k][i].waited = 0;
                m->cpu[k][i].naps = 0;
            }
    }
}

static void settle(struct machine *m)
{
    simulate(m, 0.5);
    memset(m->got, 0, sizeof m->got);
    memset(m->entitled, 0, sizeof m->entitled);
    m->idle = 0;
    m->steps = 0;
}

static void assert_near(double have, double want, double within)
{
    if (fabs(have - want) > within)
        fail_msg("%.4f is not %.4f within %.4f", have, want, within);
}

static void shares_are_exact_within_two_percent_up_to_twenty_to_one(void **state)
{
    static const double shares[][3] = {{100, 100, 0}, {300, 100, 0}, {2000, 100, 0}, {1000, 500, 100}};

    (void)state;
    for (unsigned t = 0; t < 4; t++) {
        struct machine *m = machine(1);
        double sum = 0;

        for (unsigned k = 0; k < 3 && shares[t][k] > 0; k++, sum += shares[t][k - 1])
            add(m, shares[t][k], 1, 1);
        settle(m);
        simulate(m, 5);
        for (unsigned k = 0; k < m->n; k++)
            assert_near(m->got[k] / 5, shares[t][k] / sum, 0.02 * shares[t][k] / sum);
        assert_near(m->idle, 0, 0.01 * 5);
        free(m);
    }
}

static void thousand_to_one_is_within_half_a_point_and_starves_nobody(void **state)
{
    struct machine *m = machine(1);

    (void)state;
    add(m, 10000, 1, 1);
    add(m, 10, 1, 1);
    settle(m);
    simulate(m, 10);
    assert_near(m->got[1] / 10, 0.001, 0.0005);
    free(m);
}

static void guests_with_more_vcpus_get_no_more(void **state)
{
    struct machine *m = machine(2);

    (void)state;
    add(m, 100, 4, 1);
    add(m, 100, 1, 1);
    settle(m);
    simulate(m, 5);
    assert_near(m->got[0] / 5, 1, 0.02);
    assert_near(m->got[1] / 5, 1, 0.02);
    free(m);
}

static void what_a_guest_cannot_use_goes_to_the_others(void **state)
{
    struct machine *m = machine(2);

    (void)state;
    add(m, 300, 1, 1);
    add(m, 100, 1, 1);
    add(m, 100, 1, 1);
    settle(m);
    simulate(m, 5);
    assert_near(m->got[0] / 5, 1, 0.02);
    assert_near(m->got[1] / 5, 0.5, 0.01);
    assert_near(m->got[2] / 5, 0.5, 0.01);
    assert_near(m->idle, 0, 0.01 * 10);
    free(m);
}

static void idle_guests_leave_all_to_the_others(void **state)
{
    struct machine *m = machine(1);

    (void)state;
    add(m, 100, 1, 1);
    add(m, 10000, 1, 0);
    add(m, 100, 1, 0.02);
    settle(m);
    simulate(m, 5);
    assert_true(m->got[0] / 5 > 0.97);
    assert_int_equal(m->vm[1].reason, REASON_IDLE);
    free(m);
}

static void a_half_busy_guest_gets_what_it_asks_and_leaves_the_rest(void **state)
{
    (void)state;
    for (unsigned cpus = 1; cpus <= 2; cpus++) {
        struct machine *m = machine(cpus);

        m->seen = true;
        add(m, 300, 1, 1);
        add(m, 100, 1, 1);
        add(m, 1200, 1, 0.5);
        settle(m);
        simulate(m, 5);
        assert_true(m->got[2] / 5 > 0.97 * 0.5);
        assert_true(m->idle < 0.01 * 5 * cpus);
        assert_near(m->got[0] + m->got[1] + m->got[2], 5 * cpus, 0.02 * 5 * cpus);
        if (cpus == 1)
            assert_near(m->got[0] / (m->got[0] + m->got[1]), 0.75, 0.015);
        free(m);
    }
}

/* In how many of 200 steps of 2 ms the busy one is held, beside one that is always seen awake, uses so much in each and
 * sleeps `naps` times, where holding somebody is not worth it for who is awake for less than `moment`. */
static unsigned held_beside(double used, unsigned naps, double moment)
{
    struct machine *m = machine(1);
    unsigned held = 0;

    add(m, 100, 1, 1);
    add(m, 100, 1, 1);
    m->d.moment = moment;
    for (unsigned i = 0; i < 300; i++) {
        m->cpu[0][0].used = 0.0018;
        m->cpu[1][0].used = used;
        m->cpu[0][0].waited = 0.0002;
        m->cpu[0][0].now = m->cpu[1][0].now = NOW_AWAKE;
        m->cpu[1][0].naps = naps;
        sched_step(&m->d, m->list, 2, 0.002);
        held += i >= 100 && m->cpu[0][0].hold;
    }
    free(m);
    return held;
}

static void nobody_is_held_for_who_wakes_for_a_moment_only(void **state)
{
    (void)state;
    assert_int_equal(held_beside(0.0002, 4, 0), 0);
    assert_int_equal(held_beside(0.0002, 0, 0), 200);
}

static void where_holding_costs_more_a_moment_is_longer(void **state)
{
    (void)state;
    assert_int_equal(held_beside(0.0006, 1, 0), 200);
    assert_int_equal(held_beside(0.0006, 1, 0.0005), 200);
    assert_int_equal(held_beside(0.0006, 1, 0.0007), 0);
    assert_int_equal(held_beside(0.0002, 1, 0.0001), 0); /* never less than SCHED_BRIEF */
}

/* One CPU where holding somebody is not worth it for who is awake for less than 1 ms. */
static struct machine *napping_machine(double period)
{
    struct machine *m = machine(1);

    m->seen = true;
    m->period = period;
    m->d.moment = 0.001;
    return m;
}

/* Nobody steps when it halts. */
static void nothing_is_lost_beside_a_brief_one_that_wants_more_than_its_part(void **state)
{
    struct machine *m = napping_machine(0.002);

    (void)state;
    add(m, 100, 1, 1);
    add(m, 100, 1, 1);
    add(m, 40, 1, 0.45);
    settle(m);
    simulate(m, 5);
    assert_true(m->cpu[2][0].brief);
    assert_true(m->idle < 0.01 * 5);
    assert_near(m->got[2] / 5, 1.0 / 6, 0.005);
    assert_near(m->got[0] / m->got[1], 1, 0.01);
    free(m);
}

static void who_wakes_often_and_wants_much_has_it(void **state)
{
    struct machine *m = napping_machine(0.001);

    (void)state;
    add(m, 1200, 1, 0.8);
    add(m, 100, 1, 1);
    settle(m);
    simulate(m, 5);
    assert_true(m->got[0] / 5 > 0.97 * 0.8);
    assert_near(m->got[0] + m->got[1], 5, 0.01 * 5);
    free(m);
}

/* They wake by turns, or all at once beside one of the same guest that never sleeps. */
static void brief_vcpus_of_one_guest_leave_no_place_empty(void **state)
{
    (void)state;
    for (unsigned busy = 0; busy <= 1; busy++) {
        struct machine *m = napping_machine(0.002);

        m->shift = busy ? 0 : m->period / 3;
        add(m, 100, 1, 1);
        add(m, 100, 3 + busy, 0.4);
        m->busy = busy ? &m->cpu[1][0] : NULL;
        settle(m);
        simulate(m, 5);
        assert_true(m->cpu[1][1].brief);
        assert_true(m->idle < 0.01 * 5);
        assert_near(m->got[1] / 5, 0.5, 0.02);
        free(m);
    }
}

/* It wakes for a tenth of the time, and waits twice as long each time for what runs there. */
static void waiting_to_be_woken_is_no_demand(void **state)
{
    struct machine *m = machine(1);

    (void)state;
    add(m, 100, 1, 1);
    add(m, 100, 1, 1);
    for (unsigned i = 0; i < 300; i++) {
        m->cpu[0][0].used = 0.0010;
        m->cpu[0][0].waited = 0.0010;
        m->cpu[1][0].used = 0.0002;
        m->cpu[1][0].waited = 0.0004;
        sched_step(&m->d, m->list, 2, 0.002);
    }
    assert_near(m->vm[1].entitlement, 0.0002 / 0.0016, 0.001);
    free(m);
}

static void each_that_runs_has_a_cpu_where_no_other_is(void **state)
{
    cpu_set_t all, second;
    struct sched_place p[] = {
        {.may = &all, .at = 0, .there = false},    /* begins, comes from a CPU that is taken */
        {.may = &all, .at = 0, .there = true},     /* stays */
        {.may = &all, .at = 0, .there = true},     /* shares that CPU */
        {.may = &second, .at = 2, .there = false}, /* may only run where another is now: the kernel decides */
        {.may = &all, .at = -1},
    };

    (void)state;
    CPU_ZERO(&all);
    CPU_ZERO(&second);
    for (int c = 0; c < 3; c++)
        CPU_SET(c, &all);
    CPU_SET(1, &second);
    sched_place(p, 5);
    assert_int_equal(p[1].to, -1);
    assert_int_equal(p[0].to, 1);
    assert_int_equal(p[2].to, 2);
    assert_int_equal(p[3].to, -1);
    assert_int_equal(p[4].to, -1);
    p[0].at = 2;
    p[1].there = p[2].there = false;
    sched_place(p, 2);
    assert_int_equal(p[0].to, 2); /* its last one */
    assert_int_equal(p[1].to, 0);
}

static void a_sleeper_before_each_step_gains_nothing(void **state)
{
    struct machine *m = machine(1);

    (void)state;
    add(m, 100, 1, 1);
    add(m, 100, 1, 1);
    m->sleeper = &m->vm[1];
    settle(m);
    simulate(m, 5);
    assert_true(m->got[1] / (m->got[0] + m->got[1]) < 0.51);
    free(m);
}

static void a_busy_host_changes_nothing_in_the_ratio(void **state)
{
    struct machine *m = machine(1);

    (void)state;
    m->foreign = 1;
    add(m, 300, 1, 1);
    add(m, 100, 1, 1);
    settle(m);
    simulate(m, 5);
    assert_near(m->got[0] / (m->got[0] + m->got[1]), 0.75, 0.01);
    free(m);
}

/* Two others run on two CPUs: a kernel gives half of each to the two of ours that may run. */
static void a_busy_host_is_asked_for_all_that_it_gives(void **state)
{
    static const double want[] = {0.5, 0.4167, 0.0833};
    struct machine *m = machine(2);

    (void)state;
    m->foreign = 2;
    add(m, 1000, 1, 1);
    add(m, 500, 1, 1);
    add(m, 100, 1, 1);
    settle(m);
    simulate(m, 5);
    for (unsigned k = 0; k < 3; k++) {
        assert_near(m->got[k] / 5, want[k], 0.02 * want[k]);
        assert_near(m->entitled[k] / 5, want[k], 0.02 * want[k]);
    }
    free(m);
}

static void who_limits_a_guest_most_is_the_reason(void **state)
{
    struct machine *m = machine(2);

    (void)state;
    add(m, 300, 1, 1);
    add(m, 100, 1, 1);
    settle(m);
    assert_int_equal(m->vm[0].reason, REASON_NONE);
    m->foreign = 2; /* two that have a CPU each, but for others on the host */
    settle(m);
    assert_int_equal(m->vm[0].reason, REASON_HOST);
    assert_int_equal(m->vm[1].reason, REASON_HOST);
    m->d.cpus = 1;
    m->foreign = 0;
    settle(m);
    assert_int_equal(m->vm[0].reason, REASON_SHARE);
    m->foreign = 1; /* with an idle host it would have 3/4, without the other guest 1/2 */
    settle(m);
    assert_int_equal(m->vm[0].reason, REASON_HOST);
    assert_int_equal(m->vm[1].reason, REASON_SHARE);
    free(m);
}

static void what_was_wanted_before_a_pause_is_wanted_after(void **state)
{
    struct machine *m = machine(1);

    (void)state;
    add(m, 300, 1, 1);
    add(m, 100, 1, 1);
    settle(m);
    m->vm[0].paused = true;
    m->duty[0] = 0;
    simulate(m, 1);
    assert_near(m->vm[0].entitlement, 0, 1e-9);
    m->vm[0].paused = false;
    m->duty[0] = 1;
    m->due = m->now;
    memset(m->got, 0, sizeof m->got);
    simulate(m, 0.1);
    assert_near(m->got[0] / 0.1, 0.75, 0.08);
    free(m);
}

static void a_change_shows_within_a_tenth_of_a_second(void **state)
{
    struct machine *m = machine(1);

    (void)state;
    add(m, 300, 1, 1);
    add(m, 100, 1, 1);
    settle(m);
    for (unsigned turn = 0; turn < 6; turn++) {
        double before = m->vm[0].weight;

        m->vm[0].weight = m->vm[1].weight;
        m->vm[1].weight = before;
        simulate(m, 0.1);
        memset(m->got, 0, sizeof m->got);
        simulate(m, 0.2);
        assert_near(m->got[0] / 0.2, m->vm[0].weight / 400, 0.05);
    }
    free(m);
}

static void caps_hold_on_an_idle_machine(void **state)
{
    static const double caps[] = {0.05, 0.3, 0.9, 1.5};

    (void)state;
    for (unsigned t = 0; t < 4; t++) {
        struct machine *m = machine(4);

        add(m, 100, 2, 1);
        m->vm[0].cap = caps[t];
        simulate(m, 2);
        settle(m);
        simulate(m, 5);
        assert_near(m->got[0] / 5, caps[t], 0.02 * caps[t]);
        assert_int_equal(m->vm[0].reason, REASON_CAP);
        free(m);
    }
}

static void a_new_cap_is_not_charged_for_what_went_before(void **state)
{
    struct machine *m = machine(16);

    (void)state;
    add(m, 100, 4, 1);
    simulate(m, 2);
    for (unsigned t = 0; t < 2; t++) { /* also if another was there already */
        m->vm[0].cap = t ? 0.05 : 0.50;
        memset(m->got, 0, sizeof m->got);
        simulate(m, 2);
        assert_near(m->got[0] / 2, m->vm[0].cap, 0.2 * m->vm[0].cap);
    }
    free(m);
}

static void nothing_is_held_and_little_is_asked_when_nothing_binds(void **state)
{
    struct machine *m = machine(2);

    (void)state;
    add(m, 100, 1, 0.05);
    add(m, 100, 1, 0.02);
    settle(m);
    simulate(m, 2);
    assert_true(m->steps <= 2 * 21);
    assert_false(m->d.contended);
    free(m);
}

/* Whatever the load: entitlements never exceed what there is, nobody waits for ever. */
static void any_load_is_divided_up_and_nobody_starves(void **state)
{
    unsigned seed = 1;

    (void)state;
    for (unsigned t = 0; t < 60; t++) {
        struct machine *m = machine(1 + rand_r(&seed) % 3);
        double sum = 0;

        for (unsigned k = 2 + rand_r(&seed) % (VMS - 2); k; k--)
            add(m, 1 + rand_r(&seed) % 1000, 1 + rand_r(&seed) % CPUS, t % 2 == 0 || rand_r(&seed) % 3 ? 1 : 0.3);
        settle(m);
        simulate(m, 3);
        for (unsigned k = 0; k < m->n; k++) {
            sum += m->vm[k].entitlement;
            assert_true(m->vm[k].entitlement >= 0 && m->vm[k].entitlement <= m->vm[k].ncpus + 1e-9);
            /* guests that all sleep and wake together hide what they want: no more is promised */
            if (m->duty[k] == 1 && m->got[k] < m->entitled[k] * (t % 2 ? 0.25 : 0.96) - 0.006)
                fail_msg("load %u: guest %u got %.3f of %.3f s", t, k, m->got[k], m->entitled[k]);
        }
        assert_true(sum <= m->d.cpus + 1e-6);
        free(m);
    }
}

/* A governor that has to tell many is late for the last ones: they could not want anything before. */
static void what_somebody_is_told_late_is_no_time_of_his_own(void **state)
{
    struct machine *m = machine(1);
    struct sched_cpu *c = &m->cpu[0][0];

    (void)state;
    add(m, 100, 1, 1);
    c->demand = 1;
    for (int i = 0; i < 100; i++) {
        c->used = 0.002;
        c->held = 0.003;
        sched_step(&m->d, m->list, m->n, 0.005);
    }
    assert_true(c->demand > 0.99);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_exact_within_two_percent_up_to_twenty_to_one),
        cmocka_unit_test(thousand_to_one_is_within_half_a_point_and_starves_nobody),
        cmocka_unit_test(guests_with_more_vcpus_get_no_more),
        cmocka_unit_test(what_a_guest_cannot_use_goes_to_the_others),
        cmocka_unit_test(idle_guests_leave_all_to_the_others),
        cmocka_unit_test(a_half_busy_guest_gets_what_it_asks_and_leaves_the_rest),
        cmocka_unit_test(nobody_is_held_for_who_wakes_for_a_moment_only),
        cmocka_unit_test(where_holding_costs_more_a_moment_is_longer),
        cmocka_unit_test(nothing_is_lost_beside_a_brief_one_that_wants_more_than_its_part),
        cmocka_unit_test(who_wakes_often_and_wants_much_has_it),
        cmocka_unit_test(brief_vcpus_of_one_guest_leave_no_place_empty),
        cmocka_unit_test(waiting_to_be_woken_is_no_demand),
        cmocka_unit_test(what_somebody_is_told_late_is_no_time_of_his_own),
        cmocka_unit_test(each_that_runs_has_a_cpu_where_no_other_is),
        cmocka_unit_test(a_sleeper_before_each_step_gains_nothing),
        cmocka_unit_test(a_busy_host_changes_nothing_in_the_ratio),
        cmocka_unit_test(a_busy_host_is_asked_for_all_that_it_gives),
        cmocka_unit_test(who_limits_a_guest_most_is_the_reason),
        cmocka_unit_test(what_was_wanted_before_a_pause_is_wanted_after),
        cmocka_unit_test(a_change_shows_within_a_tenth_of_a_second),
        cmocka_unit_test(caps_hold_on_an_idle_machine),
        cmocka_unit_test(a_new_cap_is_not_charged_for_what_went_before),
        cmocka_unit_test(nothing_is_held_and_little_is_asked_when_nothing_binds),
        cmocka_unit_test(any_load_is_divided_up_and_nobody_starves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
