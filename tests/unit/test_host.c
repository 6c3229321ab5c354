/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The host's CPUs from /proc/stat.
 */
#include "ui/host.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static struct host *fresh(void)
{
    static struct host h;

    host_init(&h);
    host_fini(&h);
    return &h;
}

static float last(const struct host_cpu *c)
{
    return c->past[HOST_PAST - 1];
}

static void one_reading_tells_no_load(void **state)
{
    struct host *h = fresh();

    (void)state;
    host_parse(h, "cpu  100 0 0 100 0 0 0 0 0 0\ncpu0 100 0 0 100 0 0 0 0 0 0\nintr 5\n");
    assert_int_equal(h->cpus, 1);
    assert_true(isnan(h->busy));
    assert_true(isnan(last(&h->cpu[0])));
}

static void waiting_for_a_disk_is_not_busy(void **state)
{
    struct host *h = fresh();

    (void)state;
    host_parse(h, "cpu  0 0 0 100 0 0 0 0\ncpu0 0 0 0 50 0 0 0 0\ncpu1 0 0 0 50 0 0 0 0\n");
    host_parse(h, "cpu  50 0 25 150 75 0 0 0\ncpu0 50 0 25 50 25 0 0 0\ncpu1 0 0 0 100 50 0 0 0\n");
    assert_true(fabs(last(&h->cpu[0]) - 0.75) < 1e-6);
    assert_true(last(&h->cpu[1]) == 0);
    assert_true(fabs(h->busy - 0.75) < 1e-6);
}

static void guest_time_is_not_counted_twice(void **state)
{
    struct host *h = fresh();

    (void)state;
    host_parse(h, "cpu  0 0 0 100 0 0 0 0 0 0\n");
    host_parse(h, "cpu  50 0 0 150 0 0 0 0 50 0\ncpu0 50 0 0 150 0 0 0 0 50 0\n");
    assert_true(fabs(last(&h->sum) - 0.5) < 1e-6);
}

static void no_tick_keeps_the_last_figure(void **state)
{
    struct host *h = fresh();

    (void)state;
    host_parse(h, "cpu  0 0 0 100\ncpu0 0 0 0 100\n");
    host_parse(h, "cpu  100 0 0 100\ncpu0 100 0 0 100\n");
    host_parse(h, "cpu  100 0 0 100\ncpu0 100 0 0 100\n");
    assert_true(last(&h->cpu[0]) == 1);
    assert_true(h->busy == 1);
}

static void what_is_not_a_cpu_is_left_alone(void **state)
{
    struct host *h = fresh();

    (void)state;
    host_parse(h, "");
    assert_int_equal(h->cpus, 0);
    host_parse(h, "cpu");
    host_parse(h, "cpu99 1 2 3 4\ncpu\ncpu0\n");
    assert_false(h->cpu[0].seen);
}

static void the_hosts_own_file_is_read(void **state)
{
    struct host h;

    (void)state;
    host_init(&h);
    host_sample(&h);
    assert_true(h.cpus >= 1);
    assert_true(h.sum.seen);
    host_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_reading_tells_no_load),
        cmocka_unit_test(waiting_for_a_disk_is_not_busy),
        cmocka_unit_test(guest_time_is_not_counted_twice),
        cmocka_unit_test(no_tick_keeps_the_last_figure),
        cmocka_unit_test(what_is_not_a_cpu_is_left_alone),
        cmocka_unit_test(the_hosts_own_file_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
