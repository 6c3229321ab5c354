/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Ticks against the clock that they stand for.
 */
#include "core/ticks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Brackets the span of ticks between two spans of the clock: holds on a busy host too. */
static void a_span_is_as_long_as_the_clock_says(void **state)
{
    const struct timespec nap = {.tv_nsec = 30000000};
    struct ticks t = ticks_host();
    uint64_t outer = clock_mono_ns(), begin = ticks_now(t), inner = clock_mono_ns(), least, span, most;

    (void)state;
    nanosleep(&nap, NULL);
    least = clock_mono_ns() - inner;
    span = ticks_since_ns(t, begin);
    most = clock_mono_ns() - outer;
    assert_true(span >= least - least / 200);
    assert_true(span <= most + most / 200);
}

static void the_rate_is_the_same_each_time(void **state)
{
    (void)state;
    assert_int_equal(ticks_host().ns_per_tick_q32, ticks_host().ns_per_tick_q32);
}

static void a_span_is_never_negative(void **state)
{
    struct ticks t = ticks_host();

    (void)state;
    assert_int_equal(ticks_since_ns(t, ticks_now(t) + (1ull << 40)), 0);
}

static void without_a_rate_ticks_are_nanoseconds(void **state)
{
    struct ticks t = {0};
    uint64_t before = clock_mono_ns(), now = ticks_now(t);

    (void)state;
    assert_true(now >= before && now <= clock_mono_ns());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_span_is_as_long_as_the_clock_says),
        cmocka_unit_test(the_rate_is_the_same_each_time),
        cmocka_unit_test(a_span_is_never_negative),
        cmocka_unit_test(without_a_rate_ticks_are_nanoseconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
