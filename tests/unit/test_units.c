/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Numbers as people write them.
 */
#include "core/units.h"
#include "core/suggest.h"
#include "core/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static uint64_t size_of(const char *s)
{
    uint64_t v = 0;
    struct err e;

    return units_size(s, &v, &e) == 0 ? v : UINT64_MAX;
}

static void sizes_take_units_and_fractions(void **state)
{
    (void)state;
    assert_int_equal(size_of("4096"), 4096);
    assert_int_equal(size_of("128M"), 128ull << 20);
    assert_int_equal(size_of("128m"), 128ull << 20);
    assert_int_equal(size_of("2GiB"), 2ull << 30);
    assert_int_equal(size_of("1.5G"), 3ull << 29);
    assert_int_equal(size_of("0.25K"), 256);
    assert_int_equal(size_of("1T"), 1ull << 40);
    assert_int_equal(size_of("0"), 0);
}

static void sizes_that_are_none_are_refused_with_an_example(void **state)
{
    static const char *const bad[] = {"",    "M",    "-1",   "1X", "1.M", "1..5G", " 1M", "1 M",
                                      "0x10", "1,5G", "1M\n", "M1", "nan", "inf"};
    struct err e;
    uint64_t v;

    (void)state;
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_true(units_size(bad[i], &v, &e) < 0);
        assert_non_null(strstr(e.msg, "512M"));
    }
}

static void sizes_beyond_64_bits_are_refused(void **state)
{
    (void)state;
    assert_int_equal(size_of("18446744073709551616"), UINT64_MAX);
    assert_int_equal(size_of("17179869184G"), UINT64_MAX);
    assert_int_equal(size_of("99999999999999999999999T"), UINT64_MAX);
    assert_int_equal(size_of("18446744073709551615.9K"), UINT64_MAX);
}

static void durations_are_seconds_unless_said(void **state)
{
    uint64_t ns;
    struct err e;

    (void)state;
    assert_int_equal(units_duration("30", &ns, &e), 0);
    assert_int_equal(ns, 30000000000ull);
    assert_int_equal(units_duration("250ms", &ns, &e), 0);
    assert_int_equal(ns, 250000000ull);
    assert_int_equal(units_duration("1.5m", &ns, &e), 0);
    assert_int_equal(ns, 90000000000ull);
    assert_int_equal(units_duration("5days", &ns, &e), -EINVAL);
    assert_int_equal(units_duration("999999999999h", &ns, &e), -ERANGE);
}

static void percents_may_carry_the_sign(void **state)
{
    unsigned pct;
    struct err e;

    (void)state;
    assert_int_equal(units_percent("50%", &pct, &e), 0);
    assert_int_equal(pct, 50);
    assert_int_equal(units_percent("150", &pct, &e), 0);
    assert_int_equal(pct, 150);
    assert_true(units_percent("50%%", &pct, &e) < 0);
    assert_true(units_percent("%", &pct, &e) < 0);
    assert_true(units_percent("-5", &pct, &e) < 0);
    assert_true(units_percent("1000000", &pct, &e) < 0);
    assert_true(units_percent("0000000000000000000000000000000000000000000000000000000000000000050x",
                              &pct, &e) < 0);
}

static void cpu_lists_have_ranges_and_exceptions(void **state)
{
    cpu_set_t set;
    struct err e;

    (void)state;
    assert_int_equal(units_cpus("0-3,^2", 8, &set, &e), 0);
    assert_int_equal(CPU_COUNT(&set), 3);
    assert_false(CPU_ISSET(2, &set));
    assert_int_equal(units_cpus("^0", 4, &set, &e), 0);
    assert_int_equal(CPU_COUNT(&set), 3);
    assert_int_equal(units_cpus("1,3,5", 8, &set, &e), 0);
    assert_int_equal(CPU_COUNT(&set), 3);
}

static void cpu_lists_name_the_cpu_that_is_not_there(void **state)
{
    static const char *const bad[] = {"", ",", "1-", "-1", "3-1", "0,,1", "0,", "a", "1;2", "^", "0,^0"};
    cpu_set_t set;
    struct err e;

    (void)state;
    assert_int_equal(units_cpus("0-8", 8, &set, &e), -ERANGE);
    assert_string_equal(e.msg, "there is no CPU 8: this host has CPUs 0 to 7");
    assert_int_equal(units_cpus("99999999999999999999", 8, &set, &e), -EINVAL);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_true(units_cpus(bad[i], 8, &set, &e) < 0);
}

static void numbers_outside_say_their_range(void **state)
{
    uint64_t v;
    struct err e;

    (void)state;
    assert_int_equal(units_uint("10001", "share", 1, 10000, &v, &e), -ERANGE);
    assert_string_equal(e.msg, "share goes from 1 to 10000, `10001` is outside");
    assert_int_equal(units_uint("99999999999999999999999", "share", 1, 10000, &v, &e), -ERANGE);
    assert_int_equal(units_uint("1.5", "vcpus", 1, 64, &v, &e), -EINVAL);
    assert_int_equal(units_uint("", "vcpus", 1, 64, &v, &e), -EINVAL);
}

static void addresses_are_decimal_or_hex(void **state)
{
    uint64_t v;

    (void)state;
    assert_int_equal(units_addr("0xffffffff81000000", &v, NULL), 0);
    assert_int_equal(v, 0xffffffff81000000ull);
    assert_int_equal(units_addr("4096", &v, NULL), 0);
    assert_int_equal(v, 4096);
    assert_true(units_addr("0x", &v, NULL) < 0);
    assert_true(units_addr("-1", &v, NULL) < 0);
    assert_true(units_addr("0x1ffffffffffffffff", &v, NULL) < 0);
    assert_true(units_addr("beef", &v, NULL) < 0);
}

static void formats_are_short_and_exact_where_they_can_be(void **state)
{
    char b[UNITS_TEXT];

    (void)state;
    assert_string_equal(units_fmt_size(b, 128ull << 20), "128M");
    assert_string_equal(units_fmt_size(b, 3ull << 29), "1.5G");
    assert_string_equal(units_fmt_size(b, 0), "0");
    assert_string_equal(units_fmt_size(b, 1000), "1000");
    assert_string_equal(units_fmt_size(b, 64ull << 30), "64G");
    assert_string_equal(units_fmt_size(b, 80740352), "77M");
    assert_string_equal(units_fmt_count(b, 8213), "8213");
    assert_string_equal(units_fmt_count(b, 21900), "21.9k");
    assert_string_equal(units_fmt_ns(b, 850), "850ns");
    assert_string_equal(units_fmt_ns(b, 3400000), "3.4ms");
    assert_string_equal(units_fmt_age(b, 7860000000000ull), "2h11m");
}

static void suggestions_find_near_words_only(void **state)
{
    struct suggest s = suggest_begin("memroy");
    char out[80];

    (void)state;
    suggest_offer(&s, "vcpus");
    suggest_offer(&s, "memory");
    assert_string_equal(suggest_text(&s, out, sizeof out), " (did you mean `memory`?)");
    s = suggest_begin("frobnicate");
    suggest_offer(&s, "memory");
    assert_string_equal(suggest_text(&s, out, sizeof out), "");
    assert_int_equal(suggest_distance("abcd", "abdc"), 1);
    assert_int_equal(suggest_distance("a", "A"), 0);
}

static void shown_text_cannot_reach_the_terminal_raw(void **state)
{
    char out[32];

    (void)state;
    assert_string_equal(text_show(out, sizeof out, "a\033[31mb\tc\x7f"), "a?[31mb?c?");
    assert_string_equal(text_show(out, sizeof out, "\xc2\x9b" "31m\xff\xc3"), "??31m??");
    assert_string_equal(text_show(out, sizeof out, "gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
    assert_string_equal(text_show(out, 11, "0123456789abc"), "0123456...");
    assert_string_equal(text_show(out, 11, "0123456789"), "0123456789");
}

static void text_never_grows_beyond_its_limit(void **state)
{
    struct text t = {.limit = 100};

    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        text_puts(&t, "0123456789");
    assert_int_equal(t.len, 100);
    assert_true(t.full);
    text_drop(&t, 95);
    assert_string_equal(text_str(&t), "56789");
    text_free(&t);
    assert_string_equal(text_str(&t), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_take_units_and_fractions),
        cmocka_unit_test(sizes_that_are_none_are_refused_with_an_example),
        cmocka_unit_test(sizes_beyond_64_bits_are_refused),
        cmocka_unit_test(durations_are_seconds_unless_said),
        cmocka_unit_test(percents_may_carry_the_sign),
        cmocka_unit_test(cpu_lists_have_ranges_and_exceptions),
        cmocka_unit_test(cpu_lists_name_the_cpu_that_is_not_there),
        cmocka_unit_test(numbers_outside_say_their_range),
        cmocka_unit_test(addresses_are_decimal_or_hex),
        cmocka_unit_test(formats_are_short_and_exact_where_they_can_be),
        cmocka_unit_test(suggestions_find_near_words_only),
        cmocka_unit_test(shown_text_cannot_reach_the_terminal_raw),
        cmocka_unit_test(text_never_grows_beyond_its_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
