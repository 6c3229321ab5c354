/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The alarm for idle CPUs (core/idle_watch.h), on a CPU of this host.
 */
#include "core/clock.h"
#include "core/idle_watch.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

static _Atomic unsigned told;
static _Atomic _Bool spin;

static void idle(void *arg)
{
    (void)arg;
    told++;
}

static void nap(unsigned ms)
{
    const struct timespec t = {.tv_nsec = ms * 1000000L};

    nanosleep(&t, NULL);
}

static unsigned some_cpu(void)
{
    cpu_set_t set;
    unsigned cpu = 0;

    sched_getaffinity(0, sizeof set, &set);
    while (!CPU_ISSET(cpu, &set))
        cpu++;
    return cpu;
}

static void *busy(void *arg)
{
    cpu_set_t one;

    (void)arg;
    CPU_ZERO(&one);
    CPU_SET(some_cpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
    while (spin)
        ;
    return NULL;
}

static void it_tells_once_each_time_it_is_armed(void **state)
{
    struct idle_watch *w = idle_watch_new(some_cpu(), idle, NULL);

    (void)state;
    assert_non_null(w);
    told = 0;
    nap(20);
    assert_int_equal(told, 0);
    for (unsigned n = 1; n <= 3; n++) {
        idle_watch_arm(w);
        for (unsigned i = 0; i < 20000 && told < n; i++) /* others may keep the CPU busy for long */
            nap(1);
        assert_int_equal(told, n);
    }
    nap(20);
    assert_int_equal(told, 3);
    idle_watch_free(w);
}

static void it_takes_next_to_nothing_from_a_busy_thread(void **state)
{
    struct idle_watch *w = idle_watch_new(some_cpu(), idle, NULL);
    uint64_t begin;
    pthread_t t;

    (void)state;
    spin = 1;
    assert_int_equal(pthread_create(&t, NULL, busy, NULL), 0);
    nap(50);
    told = 0;
    for (begin = clock_mono_ns(); clock_mono_ns() - begin < 500 * NS_PER_MS; nap(1))
        idle_watch_arm(w);
    /* a kernel of 1000 ticks a second may let it in at each; were the CPU idle, it were every time we arm it */
    spin = 0;
    pthread_join(t, NULL);
    idle_watch_free(w);
}

static void where_it_cannot_be_it_does_nothing(void **state)
{
    struct idle_watch *w = idle_watch_new(CPU_SETSIZE - 1, idle, NULL);
    uint64_t used = clock_ns(CLOCK_PROCESS_CPUTIME_ID);

    (void)state;
    assert_non_null(w);
    told = 0;
    nap(50);
    idle_watch_arm(w);
    nap(50);
    assert_int_equal(told, 0);
    assert_true(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - used < 20 * NS_PER_MS);
    idle_watch_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_tells_once_each_time_it_is_armed),
        cmocka_unit_test(it_takes_next_to_nothing_from_a_busy_thread),
        cmocka_unit_test(where_it_cannot_be_it_does_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
