/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Rates of disks and links from counters that are read at uneven moments.
 */
#include "ui/rates.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#define S 1000000000ull

static struct vm_stats *stats_of(uint64_t sampled_ns, uint64_t rd, uint64_t rx)
{
    static struct vm_stats st;

    st = (struct vm_stats){.sampled_ns = sampled_ns, .ndisks = 2, .nnets = 1};
    st.disks[0].rd_bytes = rd;
    st.disks[1].rd_bytes = rd;
    st.disks[1].held_ns = rd;
    st.nets[0].rx_bytes = rx;
    return &st;
}

static void the_first_reading_knows_no_rate(void **state)
{
    struct rates r;

    (void)state;
    rates_read(&r, NULL, stats_of(10 * S, 500, 500), 10 * S);
    assert_int_equal(r.ndisks, 2);
    assert_true(isnan(r.disk[0].rate[RATE_RD_BYTES]));
    assert_true(isnan(rates_disks(&r, RATE_RD_BYTES)));
    assert_true(isnan(rates_nets(&r, RATE_RX_BYTES)));
}

static void growth_is_divided_by_the_time_between_samples(void **state)
{
    struct rates a, b;

    (void)state;
    rates_read(&a, NULL, stats_of(10 * S, 1000, 0), 10 * S);
    rates_read(&b, &a, stats_of(12 * S, 5000, 600), 13 * S);
    assert_true(b.disk[0].rate[RATE_RD_BYTES] == 2000);
    assert_true(b.disk[1].rate[RATE_HELD_NS] == 2000);
    assert_true(rates_disks(&b, RATE_RD_BYTES) == 4000);
    assert_true(rates_disks(&b, RATE_WR_BYTES) == 0);
    assert_true(rates_nets(&b, RATE_RX_BYTES) == 200);
}

static void a_sample_read_twice_keeps_its_rate(void **state)
{
    struct rates a, b, c;

    (void)state;
    rates_read(&a, NULL, stats_of(10 * S, 0, 0), 10 * S);
    rates_read(&b, &a, stats_of(11 * S, 3000, 700), 11 * S);
    rates_read(&c, &b, stats_of(11 * S, 3000, 900), 11 * S + 1000);
    assert_true(c.disk[0].rate[RATE_RD_BYTES] == 3000);
    assert_true(c.net[0].rate[RATE_RX_BYTES] == 700);
    assert_int_equal(c.net[0].count[RATE_RX_BYTES], 700);
}

static void a_counter_that_went_back_grows_by_nothing(void **state)
{
    struct rates a, b;

    (void)state;
    rates_read(&a, NULL, stats_of(10 * S, 9000, 0), 10 * S);
    rates_read(&b, &a, stats_of(11 * S, 10, 0), 11 * S);
    assert_true(b.disk[0].rate[RATE_RD_BYTES] == 0);
}

static void without_disks_nothing_is_known(void **state)
{
    struct vm_stats *st = calloc(1, sizeof *st);
    struct rates a, b;

    (void)state;
    assert_non_null(st);
    rates_read(&a, NULL, st, S);
    rates_read(&b, &a, st, 2 * S);
    assert_true(isnan(rates_disks(&b, RATE_RD_BYTES)));
    assert_true(isnan(rates_nets(&b, RATE_TX_BYTES)));
    free(st);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_reading_knows_no_rate),
        cmocka_unit_test(growth_is_divided_by_the_time_between_samples),
        cmocka_unit_test(a_sample_read_twice_keeps_its_rate),
        cmocka_unit_test(a_counter_that_went_back_grows_by_nothing),
        cmocka_unit_test(without_disks_nothing_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
