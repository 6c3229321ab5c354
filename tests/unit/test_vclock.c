/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Guest time: by hand, and on a loop with the host's clock. The latter tests wait for
 * conditions, and bound what may only be late.
 */
#include "core/clock.h"
#include "core/loop.h"
#include "core/vclock.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct alarm {
    struct vtimer t;
    struct vclock *clock;
    _Atomic unsigned fired;
    uint64_t at_ns;     /* guest time of the last firing */
    uint64_t again_ns;  /* re-arm after so much; 0: not */
    struct vtimer *cancels;
};

static void ring(void *arg)
{
    struct alarm *a = arg;

    a->at_ns = vclock_now_ns(a->clock);
    a->fired++;
    if (a->again_ns)
        vtimer_arm(&a->t, a->at_ns + a->again_ns);
    if (a->cancels)
        vtimer_cancel(a->cancels);
}

static void alarm_init(struct alarm *a, struct vclock *c)
{
    *a = (struct alarm){.clock = c};
    vtimer_init(&a->t, c, ring, a);
}

static int setup(void **state)
{
    *state = vclock_new_manual();
    return *state == NULL;
}

static int teardown(void **state)
{
    vclock_free(*state);
    return 0;
}

/* ---- by hand */

static void a_manual_clock_moves_only_when_stepped(void **state)
{
    assert_int_equal(vclock_now_ns(*state), 0);
    vclock_step(*state, 123);
    assert_int_equal(vclock_now_ns(*state), 123);
    vclock_step(*state, 0);
    assert_int_equal(vclock_now_ns(*state), 123);
}

static void a_timer_fires_once_at_exactly_its_time(void **state)
{
    struct alarm a;

    alarm_init(&a, *state);
    assert_false(vtimer_is_armed(&a.t));
    vtimer_arm(&a.t, 1000);
    assert_true(vtimer_is_armed(&a.t));
    assert_int_equal(vclock_next_ns(*state), 1000);
    vclock_step(*state, 999);
    assert_int_equal(a.fired, 0);
    vclock_step(*state, 5000);
    assert_int_equal(a.fired, 1);
    assert_int_equal(a.at_ns, 1000);
    assert_int_equal(vclock_now_ns(*state), 5999);
    assert_false(vtimer_is_armed(&a.t));
    assert_int_equal(vclock_next_ns(*state), UINT64_MAX);
}

static void a_timer_due_in_the_past_fires_at_the_next_step(void **state)
{
    struct alarm a;

    alarm_init(&a, *state);
    vclock_step(*state, 1000);
    vtimer_arm(&a.t, 10);
    assert_int_equal(vclock_next_ns(*state), 0);
    vclock_step(*state, 0);
    assert_int_equal(a.fired, 1);
    assert_int_equal(a.at_ns, 1000); /* time does not go back */
}

static void re_arming_moves_and_cancelling_disarms(void **state)
{
    struct alarm a;

    alarm_init(&a, *state);
    vtimer_cancel(&a.t);
    vtimer_arm(&a.t, 100);
    vtimer_arm(&a.t, 300);
    vclock_step(*state, 200);
    assert_int_equal(a.fired, 0);
    vtimer_arm(&a.t, 250);
    vclock_step(*state, 60);
    assert_int_equal(a.fired, 1);
    vtimer_arm(&a.t, 500);
    vtimer_cancel(&a.t);
    vtimer_cancel(&a.t);
    vclock_step(*state, 1000);
    assert_int_equal(a.fired, 1);
}

static void a_timer_that_re_arms_itself_keeps_its_beat_in_one_step(void **state)
{
    struct alarm a;

    alarm_init(&a, *state);
    a.again_ns = 100;
    vtimer_arm(&a.t, 100);
    vclock_step(*state, 1050);
    assert_int_equal(a.fired, 10);
    assert_int_equal(a.at_ns, 1000);
}

static void a_callback_may_cancel_another_timer_that_is_due(void **state)
{
    struct alarm a, b;

    alarm_init(&a, *state);
    alarm_init(&b, *state);
    a.cancels = &b.t;
    vtimer_arm(&a.t, 100);
    vtimer_arm(&b.t, 101);
    vclock_step(*state, 1000);
    assert_int_equal(a.fired, 1);
    assert_int_equal(b.fired, 0);
}

enum { MANY = 400 };

struct order {
    struct vclock *clock;
    uint64_t last;
    unsigned fired;
    bool wrong;
};

static struct order the_order;

static void check_order(void *arg)
{
    uint64_t due = *(uint64_t *)arg;

    the_order.wrong |= due < the_order.last || vclock_now_ns(the_order.clock) != due;
    the_order.last = due;
    the_order.fired++;
}

static void many_timers_fire_in_order_of_time(void **state)
{
    static struct vtimer t[MANY];
    static uint64_t due[MANY];
    unsigned cancelled = 0;

    the_order = (struct order){.clock = *state};
    srand(1);
    for (unsigned i = 0; i < MANY; i++) {
        vtimer_init(&t[i], *state, check_order, &due[i]);
        due[i] = (uint64_t)rand() % 10000;
        vtimer_arm(&t[i], due[i]);
    }
    for (unsigned i = 0; i < MANY; i += 3) { /* from the middle of the heap, too */
        due[i] = (uint64_t)rand() % 10000;
        vtimer_arm(&t[i], due[i]);
    }
    for (unsigned i = 0; i < MANY; i += 7, cancelled++)
        vtimer_cancel(&t[i]);
    vclock_step(*state, 20000);
    assert_false(the_order.wrong);
    assert_int_equal(the_order.fired, MANY - cancelled);
}

static void more_timers_than_there_is_room_for_stay_disarmed(void **state)
{
    static struct alarm a[600];
    unsigned armed = 0;

    for (unsigned i = 0; i < 600; i++) {
        alarm_init(&a[i], *state);
        vtimer_arm(&a[i].t, 1000 + i);
        armed += vtimer_is_armed(&a[i].t);
    }
    assert_in_range(armed, 256, 599);
    vclock_step(*state, 5000);
    for (unsigned i = 0; i < 600; i++)
        armed -= a[i].fired;
    assert_int_equal(armed, 0);
}

static void a_paused_manual_clock_stands_still(void **state)
{
    struct alarm a;

    alarm_init(&a, *state);
    vtimer_arm(&a.t, 100);
    vclock_pause(*state);
    vclock_step(*state, 1000);
    assert_int_equal(vclock_now_ns(*state), 0);
    assert_int_equal(a.fired, 0);
    vclock_resume(*state);
    vclock_step(*state, 100);
    assert_int_equal(a.fired, 1);
}

static void pause_in_callback(void *arg)
{
    vclock_pause(arg);
}

static void a_timer_may_pause_its_clock(void **state)
{
    struct vtimer t;

    vtimer_init(&t, *state, pause_in_callback, *state);
    vtimer_arm(&t, 100);
    vclock_step(*state, 1000);
    assert_int_equal(vclock_now_ns(*state), 100);
}

/* ---- on a loop */

struct live {
    struct loop *loop;
    struct vclock *clock;
};

static int setup_live(void **state)
{
    struct live *l = calloc(1, sizeof *l);
    struct err e = {0};

    l->loop = loop_new(&e);
    l->clock = vclock_new(l->loop, &e);
    assert_non_null(l->clock);
    *state = l;
    return 0;
}

static int teardown_live(void **state)
{
    struct live *l = *state;

    vclock_free(l->clock);
    loop_free(l->loop);
    free(l);
    return 0;
}

static void step_until_fired(struct live *l, const struct alarm *a, unsigned n)
{
    const uint64_t give_up = clock_mono_ns() + 5 * NS_PER_S;

    while (a->fired < n && clock_mono_ns() < give_up)
        loop_step(l->loop, 100);
    assert_true(a->fired >= n);
}

static void a_new_clock_is_paused_at_zero(void **state)
{
    struct live *l = *state;
    struct alarm a;

    alarm_init(&a, l->clock);
    vtimer_arm(&a.t, 0);
    for (unsigned i = 0; i < 5; i++)
        loop_step(l->loop, 2);
    assert_int_equal(vclock_now_ns(l->clock), 0);
    assert_int_equal(a.fired, 0);
    vclock_resume(l->clock);
    step_until_fired(l, &a, 1);
}

static void guest_time_runs_at_the_pace_of_the_host(void **state)
{
    struct live *l = *state;
    uint64_t host[4], guest[2];

    vclock_resume(l->clock);
    vclock_resume(l->clock); /* twice is once */
    host[0] = clock_mono_ns();
    guest[0] = vclock_now_ns(l->clock);
    host[1] = clock_mono_ns();
    while (clock_mono_ns() < host[1] + 5 * NS_PER_MS)
        assert_true(vclock_now_ns(l->clock) >= guest[0]);
    host[2] = clock_mono_ns();
    guest[1] = vclock_now_ns(l->clock);
    host[3] = clock_mono_ns();
    assert_true(guest[1] - guest[0] >= host[2] - host[1]);
    assert_true(guest[1] - guest[0] <= host[3] - host[0]);
}

static void pausing_hides_the_time_that_passes(void **state)
{
    struct live *l = *state;
    uint64_t until, before, after, resumed;

    vclock_resume(l->clock);
    vclock_pause(l->clock);
    before = vclock_now_ns(l->clock);
    until = clock_mono_ns() + 20 * NS_PER_MS;
    while (clock_mono_ns() < until)
        assert_int_equal(vclock_now_ns(l->clock), before);
    vclock_pause(l->clock);
    resumed = clock_mono_ns();
    vclock_resume(l->clock);
    after = vclock_now_ns(l->clock);
    assert_true(after - before <= clock_mono_ns() - resumed);
}

static void a_timer_waits_out_the_pause(void **state)
{
    struct live *l = *state;
    struct alarm a;

    alarm_init(&a, l->clock);
    vclock_resume(l->clock);
    vtimer_arm(&a.t, vclock_now_ns(l->clock) + 5 * NS_PER_MS);
    vclock_pause(l->clock);
    for (unsigned i = 0; i < 4; i++)
        loop_step(l->loop, 5);
    assert_int_equal(a.fired, 0);
    vclock_resume(l->clock);
    step_until_fired(l, &a, 1);
    assert_true(a.at_ns >= 5 * NS_PER_MS);
}

static void a_live_timer_is_never_early(void **state)
{
    struct live *l = *state;
    struct alarm a;
    uint64_t due;

    alarm_init(&a, l->clock);
    vclock_resume(l->clock);
    for (unsigned i = 1; i <= 20; i++) {
        due = vclock_now_ns(l->clock) + i * 100 * NS_PER_US;
        vtimer_arm(&a.t, due);
        step_until_fired(l, &a, i);
        assert_true(a.at_ns >= due);
    }
}

static void arming_an_earlier_timer_brings_the_wake_up_forward(void **state)
{
    struct live *l = *state;
    struct alarm late, early;

    alarm_init(&late, l->clock);
    alarm_init(&early, l->clock);
    vclock_resume(l->clock);
    vtimer_arm(&late.t, 3600 * NS_PER_S);
    vtimer_arm(&early.t, vclock_now_ns(l->clock) + NS_PER_MS);
    step_until_fired(l, &early, 1);
    assert_int_equal(late.fired, 0);
    vtimer_arm(&late.t, vclock_now_ns(l->clock) + NS_PER_MS);
    step_until_fired(l, &late, 1);
}

static void a_timer_at_the_end_of_time_does_not_spin_the_loop(void **state)
{
    struct live *l = *state;
    struct alarm a;

    alarm_init(&a, l->clock);
    vclock_resume(l->clock);
    for (unsigned shift = 0; shift < 3; shift++) {
        uint64_t began = clock_mono_ns();

        vtimer_arm(&a.t, UINT64_MAX - shift * NS_PER_S);
        loop_step(l->loop, 20);
        assert_true(clock_mono_ns() - began >= 15 * NS_PER_MS); /* nothing woke it */
    }
    assert_int_equal(a.fired, 0);
}

static void a_timer_that_re_arms_in_the_past_lets_the_loop_go_on(void **state)
{
    struct live *l = *state;
    struct alarm a;

    alarm_init(&a, l->clock);
    vclock_resume(l->clock);
    vtimer_arm(&a.t, 0);
    a.again_ns = 1;
    loop_step(l->loop, 1000);
    assert_in_range(a.fired, 1, 1000); /* one turn, not for ever */
    a.again_ns = 0;
    loop_step(l->loop, 1000);
}

enum { PACED_HZ = 1000 };

/* A timer that storms for 50 ms. Returns how often it fired: once a wake, twice if the host lets us wait in between. */
static unsigned storm(struct live *l, uint64_t *took_ns)
{
    uint64_t began = clock_mono_ns();
    struct alarm a;

    alarm_init(&a, l->clock);
    a.again_ns = 100 * NS_PER_US;
    vtimer_arm(&a.t, vclock_now_ns(l->clock));
    do {
        loop_step(l->loop, 10);
        *took_ns = clock_mono_ns() - began;
    } while (*took_ns < 50 * NS_PER_MS);
    vtimer_cancel(&a.t);
    return a.fired;
}

static void a_paced_clock_lets_no_timer_storm(void **state)
{
    struct live *l = *state;
    uint64_t took;
    unsigned n;

    vclock_resume(l->clock);
    storm(l, &took); /* what was before does not count */
    vclock_pace(l->clock, PACED_HZ);
    for (int i = 0; i < 3; i++) {
        n = storm(l, &took);
        assert_in_range(n, 1, 2 * (took * PACED_HZ / NS_PER_S + VCLOCK_PACED_BURST + 1));
    }
}

static void a_paced_clock_is_in_time_for_who_rests_between(void **state)
{
    struct live *l = *state;
    struct alarm a;
    uint64_t due, late, least = UINT64_MAX;

    alarm_init(&a, l->clock);
    vclock_resume(l->clock);
    vclock_pace(l->clock, PACED_HZ);
    for (unsigned i = 1; i <= 20; i++) {
        due = vclock_now_ns(l->clock) + 2 * NS_PER_S / PACED_HZ;
        vtimer_arm(&a.t, due);
        step_until_fired(l, &a, i);
        late = a.at_ns - due;
        least = late < least ? late : least;
    }
    assert_true(least < NS_PER_S / PACED_HZ / 2);
}

/* ---- many threads */

struct worker {
    struct vclock *clock;
    struct alarm a;
    unsigned rounds;
};

static void *worker_run(void *arg)
{
    struct worker *w = arg;

    for (unsigned i = 0; i < w->rounds; i++) {
        vtimer_arm(&w->a.t, vclock_now_ns(w->clock) + i % 1000);
        if (i % 3 == 0)
            vtimer_cancel(&w->a.t);
    }
    vtimer_arm(&w->a.t, 0);
    return NULL;
}

static void timers_may_be_armed_from_any_thread(void **state)
{
    struct live *l = *state;
    struct worker w[4];
    pthread_t thread[4];

    vclock_resume(l->clock);
    for (unsigned i = 0; i < 4; i++) {
        w[i] = (struct worker){.clock = l->clock, .rounds = 3000};
        alarm_init(&w[i].a, l->clock);
        assert_int_equal(pthread_create(&thread[i], NULL, worker_run, &w[i]), 0);
    }
    for (unsigned i = 0; i < 50; i++) {
        loop_step(l->loop, 0);
        vclock_pause(l->clock);
        vclock_resume(l->clock);
    }
    for (unsigned i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    for (unsigned i = 0; i < 4; i++) {
        const uint64_t give_up = clock_mono_ns() + 5 * NS_PER_S;

        while (vtimer_is_armed(&w[i].a.t) && clock_mono_ns() < give_up)
            loop_step(l->loop, 10);
        assert_false(vtimer_is_armed(&w[i].a.t));
        assert_true(w[i].a.fired > 0);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TLIVE(f) cmocka_unit_test_setup_teardown(f, setup_live, teardown_live)
    const struct CMUnitTest tests[] = {
        T(a_manual_clock_moves_only_when_stepped),
        T(a_timer_fires_once_at_exactly_its_time),
        T(a_timer_due_in_the_past_fires_at_the_next_step),
        T(re_arming_moves_and_cancelling_disarms),
        T(a_timer_that_re_arms_itself_keeps_its_beat_in_one_step),
        T(a_callback_may_cancel_another_timer_that_is_due),
        T(many_timers_fire_in_order_of_time),
        T(more_timers_than_there_is_room_for_stay_disarmed),
        T(a_paused_manual_clock_stands_still),
        T(a_timer_may_pause_its_clock),
        TLIVE(a_new_clock_is_paused_at_zero),
        TLIVE(guest_time_runs_at_the_pace_of_the_host),
        TLIVE(pausing_hides_the_time_that_passes),
        TLIVE(a_timer_waits_out_the_pause),
        TLIVE(a_live_timer_is_never_early),
        TLIVE(arming_an_earlier_timer_brings_the_wake_up_forward),
        TLIVE(a_timer_at_the_end_of_time_does_not_spin_the_loop),
        TLIVE(a_timer_that_re_arms_in_the_past_lets_the_loop_go_on),
        TLIVE(a_paced_clock_lets_no_timer_storm),
        TLIVE(a_paced_clock_is_in_time_for_who_rests_between),
        TLIVE(timers_may_be_armed_from_any_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
