/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Graphs, bars and the history behind them.
 */
#include "ui/graph.h"
#include "ui/past.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void blocks_have_eight_levels(void **state)
{
    const float v[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
    wchar_t out[10] = {0};

    (void)state;
    graph_area(GRAPH_BLOCK, v, 9, 8, 9, 1, out);
    assert_memory_equal(out, L" ▁▂▃▄▅▆▇█", 9 * sizeof *out);
}

static void braille_holds_two_values_a_cell(void **state)
{
    const float v[] = {0, 4, 4, 0, 1, 2};
    wchar_t out[3];

    (void)state;
    graph_area(GRAPH_BRAILLE, v, 6, 4, 3, 1, out);
    assert_int_equal(out[0], 0x28b8);
    assert_int_equal(out[1], 0x2847);
    assert_int_equal(out[2], 0x2800 | 0x40 | 0xa0);
}

static void newest_is_right_and_nothing_is_blank(void **state)
{
    const float v[] = {NAN, 100};
    wchar_t out[8];

    (void)state;
    graph_area(GRAPH_ASCII, v, 2, 8, 4, 2, out);
    assert_memory_equal(out, L"   #   #", sizeof out); /* beyond the scale is full, no more */
}

static void a_little_is_not_nothing(void **state)
{
    const float v[] = {0.0001f};
    wchar_t out;

    (void)state;
    graph_area(GRAPH_BLOCK, v, 1, 100, 1, 1, &out);
    assert_int_equal(out, L'▁');
}

static void no_scale_draws_nothing(void **state)
{
    const float v[] = {5, -1};
    wchar_t out[2];

    (void)state;
    graph_area(GRAPH_BLOCK, v, 2, 0, 2, 1, out);
    assert_memory_equal(out, L"  ", sizeof out);
}

static void every_set_keeps_to_its_glyphs(void **state)
{
    float v[64];
    wchar_t out[32 * 3];

    (void)state;
    for (int i = 0; i < 64; i++)
        v[i] = (float)i;
    for (int g = 0; g < GRAPHS; g++) {
        graph_area((enum draw_graph)g, v, 64, 63, 32, 3, out);
        for (int i = 0; i < 32 * 3; i++) {
            if (g == GRAPH_ASCII)
                assert_true(out[i] >= 32 && out[i] < 127);
            if (g == GRAPH_CP437)
                assert_true(out[i] == L' ' || out[i] == L'▄' || out[i] == L'█');
            if (g == GRAPH_BRAILLE)
                assert_true(out[i] == L' ' || (out[i] > 0x2800 && out[i] <= 0x28ff));
        }
    }
}

static const struct glyphs marks = {.bar = '=', .bar_half = '-', .bar_rest = ' '};

static void bar_has_half_steps(void **state)
{
    wchar_t out[4];

    (void)state;
    graph_bar(&marks, 0.625, 4, out);
    assert_memory_equal(out, L"==- ", sizeof out);
    graph_bar(&marks, 0, 4, out);
    assert_memory_equal(out, L"    ", sizeof out);
    graph_bar(&marks, 0.001, 4, out);
    assert_memory_equal(out, L"-   ", sizeof out);
    graph_bar(&marks, 7, 4, out);
    assert_memory_equal(out, L"====", sizeof out);
    graph_bar(&marks, (double)NAN, 4, out);
    assert_memory_equal(out, L"    ", sizeof out);
}

static void split_sums_up(void **state)
{
    unsigned seed = 1;

    (void)state;
    for (int round = 0; round < 1000; round++) {
        double v[8], sum = 0;
        int out[8], used = 0, cells = 1 + (int)((seed = seed * 1103515245 + 12345) >> 16) % 200;

        for (int i = 0; i < 8; i++)
            sum += v[i] = (seed = seed * 1103515245 + 12345) >> 16;
        graph_split(v, 8, sum, cells, out);
        for (int i = 0; i < 8; i++) {
            assert_true(fabs(out[i] - v[i] / sum * cells) <= 1);
            used += out[i];
        }
        assert_int_equal(used, cells);
    }
}

static void split_never_exceeds(void **state)
{
    const double v[] = {3, (double)NAN, 3};
    int out[3];

    (void)state;
    graph_split(v, 3, 4, 8, out);
    assert_int_equal(out[0] + out[1] + out[2], 8);
    assert_int_equal(out[1], 0);
    graph_split(v, 3, 0, 8, out);
    assert_int_equal(out[0], 0);
}

static void scales_read_well(void **state)
{
    (void)state;
    assert_float_equal(graph_nice(0), 1, 0);
    assert_float_equal(graph_nice(3), 5, 1e-9);
    assert_float_equal(graph_nice(100), 100, 1e-9);
    assert_float_equal(graph_nice(101), 200, 1e-9);
    assert_float_equal(graph_nice(0.07), 0.1, 1e-9);
}

static void set(struct past *h, unsigned id, float cpu)
{
    const float v[HIST_FIELDS] = {[HIST_CPU] = cpu, [HIST_EXITS] = cpu * 10};

    past_set(h, id, v);
}

static void history_keeps_ten_minutes(void **state)
{
    struct past *h = past_new();
    float out[PAST_TICKS + 1];

    (void)state;
    assert_true(PAST_TICKS >= 600);
    for (int i = 1; i <= 2000; i++) {
        past_tick(h);
        set(h, 7, (float)i);
    }
    past_get(h, 7, HIST_CPU, 0, PAST_TICKS + 1, out);
    assert_true(isnan(out[0]));
    assert_float_equal(out[1], 2000 - PAST_TICKS + 1, 0);
    assert_float_equal(out[PAST_TICKS], 2000, 0);
    past_get(h, 7, HIST_EXITS, 100, 2, out);
    assert_float_equal(out[1], 19000, 0);
    past_free(h);
}

static void history_has_gaps(void **state)
{
    struct past *h = past_new();
    float out[6];

    (void)state;
    past_tick(h);
    set(h, 1, 1);
    past_tick(h);
    past_tick(h);
    set(h, 1, 3);
    set(h, 2, 4);
    past_get(h, 1, HIST_CPU, 0, 4, out);
    assert_true(isnan(out[0]) && isnan(out[2]));
    assert_float_equal(out[1], 1, 0);
    assert_float_equal(out[3], 3, 0);
    past_get(h, 2, HIST_CPU, 0, 2, out); /* it came later */
    assert_true(isnan(out[0]));
    assert_float_equal(out[1], 4, 0);
    past_drop(h, 1);
    past_get(h, 1, HIST_CPU, 0, 1, out);
    assert_true(isnan(out[0]));
    past_free(h);
}

static void history_forgets_a_long_gap(void **state)
{
    struct past *h = past_new();
    float out[PAST_TICKS];

    (void)state;
    past_tick(h);
    set(h, 1, 1);
    for (int i = 0; i < 3 * PAST_TICKS; i++)
        past_tick(h);
    set(h, 1, 2);
    past_get(h, 1, HIST_CPU, 0, PAST_TICKS, out);
    for (int i = 0; i < PAST_TICKS - 1; i++)
        assert_true(isnan(out[i]));
    assert_float_equal(out[PAST_TICKS - 1], 2, 0);
    past_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_have_eight_levels),
        cmocka_unit_test(braille_holds_two_values_a_cell),
        cmocka_unit_test(newest_is_right_and_nothing_is_blank),
        cmocka_unit_test(a_little_is_not_nothing),
        cmocka_unit_test(no_scale_draws_nothing),
        cmocka_unit_test(every_set_keeps_to_its_glyphs),
        cmocka_unit_test(bar_has_half_steps),
        cmocka_unit_test(split_sums_up),
        cmocka_unit_test(split_never_exceeds),
        cmocka_unit_test(scales_read_well),
        cmocka_unit_test(history_keeps_ten_minutes),
        cmocka_unit_test(history_has_gaps),
        cmocka_unit_test(history_forgets_a_long_gap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
