/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A guest's terminal: what it draws, what it refuses, what keys become.
 */
#include "core/text.h"
#include "ui/emu.h"
#include "ui/guard.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct rig {
    struct emu *e;
    struct text said; /* to the guest */
};

static void reply(void *arg, const char *bytes, size_t len)
{
    text_add(&((struct rig *)arg)->said, bytes, len);
}

static int set_up(void **state)
{
    struct rig *r = calloc(1, sizeof *r);

    r->e = emu_new(EMU_COLS, EMU_ROWS, reply, r);
    *state = r;
    return r->e ? 0 : -1;
}

static int tear_down(void **state)
{
    struct rig *r = *state;

    emu_free(r->e);
    text_free(&r->said);
    free(r);
    return 0;
}

static void feed(struct rig *r, const char *s)
{
    emu_feed(r->e, (const uint8_t *)s, strlen(s));
}

static const char *row(struct rig *r, int n)
{
    static char text[EMU_COLS_MAX * 8 + 9];

    emu_row_text(r->e, n, text, sizeof text);
    return text;
}

static void text_colours_and_cursor_are_cells(void **state)
{
    struct rig *r = *state;
    unsigned at_row, at_col;

    feed(r, "plain \033[1;31mred\033[0m \033[7mrev\033[m\r\n\033[38;2;255;0;0mx\033[48;5;17my");
    assert_string_equal(row(r, 0), "plain red rev");
    assert_int_equal(emu_cell(r->e, 0, 0).fg, -1);
    assert_int_equal(emu_cell(r->e, 0, 0).bg, -1);
    assert_int_equal(emu_cell(r->e, 0, 6).fg, 9); /* bold is bright */
    assert_true(emu_cell(r->e, 0, 6).attr & EMU_BOLD);
    assert_true(emu_cell(r->e, 0, 10).attr & EMU_REVERSE);
    assert_int_equal(emu_cell(r->e, 1, 0).fg, 196);
    assert_int_equal(emu_cell(r->e, 1, 1).bg, 17);
    assert_true(emu_cursor(r->e, &at_row, &at_col));
    assert_int_equal(at_row, 1);
    assert_int_equal(at_col, 2);
    feed(r, "\033[?25l");
    assert_false(emu_cursor(r->e, &at_row, &at_col));
}

static void wide_and_combining_characters_fill_their_cells(void **state)
{
    struct rig *r = *state;

    feed(r, "\xe6\x97\xa5" "e\xcc\x81\xcc\x82\xcc\x83\xcc\x84|");
    assert_int_equal(emu_cell(r->e, 0, 0).width, 2);
    assert_int_equal(emu_cell(r->e, 0, 1).width, 0);
    assert_int_equal(emu_cell(r->e, 0, 2).ch[0], 'e');
    assert_int_equal(emu_cell(r->e, 0, 2).ch[1], 0x301);
    assert_int_equal(emu_cell(r->e, 0, 3).ch[0], '|');
}

static void a_character_may_come_in_pieces(void **state)
{
    struct rig *r = *state;

    feed(r, "\xe6");
    feed(r, "\x97");
    feed(r, "\xa5|");
    assert_int_equal(emu_cell(r->e, 0, 0).ch[0], 0x65e5);
    assert_int_equal(emu_cell(r->e, 0, 2).ch[0], '|');
    feed(r, "\xe6\x97z"); /* never completed */
    assert_int_equal(emu_cell(r->e, 0, 3).ch[0], 0xfffd);
    assert_int_equal(emu_cell(r->e, 0, 4).ch[0], 'z');
}

static void known_crashers_of_the_library_do_nothing(void **state)
{
    static const char *const bad[] = {
        "\xe6\x97\xa5\033[1;80H\033[b",               /* REP after a wide character at the margin */
        "\033[1;80H\xe6\x97\xa5\033[999b",
        "\033[65535;65535H\0337\033[r\0338\033[J",
        "\033[?69h\033[5;70s\033[2'}\033[3'~x",       /* margins left and right */
        "\033[1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1m", /* more parameters than there is room for */
        "\033[99999999999999999999A\033[;;;;;;;H",
        "\033P1$r0m\033\\\033_x\033\\\033^y\033\\\033]52;c;AAAA\007",
        "\033%G\033%@\033#8\033#3\005\xc2\x9b" "31m",
    };

    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct rig *r = *state;

        feed(r, bad[i]);
        feed(r, "\033c\033[Hstill here");
        assert_string_equal(row(r, 0), "still here");
        assert_int_equal(r->said.len, 0);
    }
}

static void rep_repeats_no_more_than_a_row(void **state)
{
    struct rig *r = *state;

    feed(r, "-\033[9b|");
    assert_string_equal(row(r, 0), "----------|");
    feed(r, "\033[2J\033[Hx\033[9999b");
    assert_string_equal(row(r, 2), "");
    feed(r, "\033[2J\033[H\033[5b|"); /* nothing to repeat */
    assert_string_equal(row(r, 0), "|");
}

static void cursor_is_saved_in_the_way_of_ansi_sys_too(void **state)
{
    struct rig *r = *state;

    feed(r, "ab\033[s\033[10;10Hfar\033[uc");
    assert_string_equal(row(r, 0), "abc");
}

static void lines_scroll_into_the_ring(void **state)
{
    struct rig *r = *state;
    char line[32];

    for (int i = 0; i < 100; i++) {
        snprintf(line, sizeof line, "line %d\r\n", i);
        feed(r, line);
    }
    assert_int_equal(emu_scrolled(r->e), 100 - 23);
    assert_string_equal(row(r, -1), "line 76");
    assert_string_equal(row(r, -77), "line 0");
    assert_string_equal(row(r, -78), "");
}

static void the_ring_forgets_the_oldest(void **state)
{
    struct rig *r = *state;
    char line[32];

    for (int i = 0; i < EMU_SCROLL_LINES + 123; i++) {
        snprintf(line, sizeof line, "%d\r\n", i);
        feed(r, line);
    }
    assert_int_equal(emu_scrolled(r->e), EMU_SCROLL_LINES);
    assert_int_equal(emu_scrolled_ever(r->e), EMU_SCROLL_LINES + 123 - 23);
    assert_string_equal(row(r, -EMU_SCROLL_LINES), "100");
}

static void search_finds_upwards_and_downwards(void **state)
{
    struct rig *r = *state;
    int at;

    feed(r, "Alpha\r\nbeta\r\n");
    for (int i = 0; i < 50; i++)
        feed(r, "filler\r\n");
    feed(r, "alpha again");
    assert_true(emu_search(r->e, "alpha", 23, -1, &at));
    assert_int_equal(at, 23);
    assert_true(emu_search(r->e, "alpha", at - 1, -1, &at));
    assert_string_equal(row(r, at), "Alpha");
    assert_true(emu_search(r->e, "beta", at, 1, &at));
    assert_string_equal(row(r, at), "beta");
    assert_true(emu_search(r->e, "Alpha", 23, -1, &at)); /* a capital: as it is written */
    assert_string_equal(row(r, at), "Alpha");
    assert_false(emu_search(r->e, "gamma", 23, -1, &at));
    assert_false(emu_search(r->e, "", 23, -1, &at));
}

static void full_screen_programs_leave_what_was_there(void **state)
{
    struct rig *r = *state;

    feed(r, "shell\033[?1049h\033[2J\033[Hvi");
    assert_true(emu_is_alternate(r->e));
    assert_string_equal(row(r, 0), "vi");
    feed(r, "\033[?1049l");
    assert_false(emu_is_alternate(r->e));
    assert_string_equal(row(r, 0), "shell");
}

static void line_drawing_is_drawn(void **state)
{
    struct rig *r = *state;

    feed(r, "\033(0lqk\033(B");
    assert_string_equal(row(r, 0), "\xe2\x94\x8c\xe2\x94\x80\xe2\x94\x90");
}

static void questions_are_answered_but_not_while_muted(void **state)
{
    struct rig *r = *state;

    feed(r, "\033[3;4H\033[6n");
    assert_string_equal(text_str(&r->said), "\033[3;4R");
    text_clear(&r->said);
    emu_mute(r->e, true);
    feed(r, "\033[6n\033[c");
    assert_int_equal(r->said.len, 0);
}

static void titles_are_made_harmless(void **state)
{
    struct rig *r = *state;

    feed(r, "\033]0;web \001\033\\|\033]2;a\xc2\x9b" "b\xff\007");
    assert_string_equal(emu_title(r->e), "a??b?");
    feed(r, "\033]52;c;aGVsbG8=\007\033]4;1;rgb:ff/ff/ff\007");
    assert_string_equal(emu_title(r->e), "a??b?");
    for (int i = 0; i < 1000; i++)
        feed(r, i ? "long" : "\033]2;");
    feed(r, "\007");
    assert_true(strlen(emu_title(r->e)) < GUARD_TITLE_BYTES);
    assert_string_equal(row(r, 0), "|");
}

static void keys_are_what_a_terminal_sends(void **state)
{
    struct rig *r = *state;

    emu_type_char(r->e, '\r', 0);
    emu_type_char(r->e, '\t', 0);
    emu_type_char(r->e, 3, 0);
    emu_type_char(r->e, 0x7f, 0);
    emu_type_char(r->e, 'c', EMU_CTRL);
    emu_type_char(r->e, 'x', EMU_ALT);
    emu_type_char(r->e, 0xfc, 0);
    assert_string_equal(text_str(&r->said), "\r\t\003\177\003\033x\xc3\xbc");
    text_clear(&r->said);
    emu_type_key(r->e, EMU_KEY_UP, 0);
    emu_type_key(r->e, EMU_KEY_F1, 0);
    emu_type_key(r->e, EMU_KEY_F12, 0);
    emu_type_key(r->e, EMU_KEY_PAGE_UP, 0);
    emu_type_key(r->e, EMU_KEY_BACK_TAB, 0);
    assert_string_equal(text_str(&r->said), "\033[A\033OP\033[24~\033[5~\033[Z");
    text_clear(&r->said);
    feed(r, "\033[?1h"); /* as vi does */
    emu_type_key(r->e, EMU_KEY_UP, 0);
    assert_string_equal(text_str(&r->said), "\033OA");
}

static void what_is_pasted_cannot_end_the_paste(void **state)
{
    struct rig *r = *state;

    emu_paste(r->e, "a\nb", 3);
    assert_string_equal(text_str(&r->said), "a\rb");
    text_clear(&r->said);
    feed(r, "\033[?2004h");
    emu_paste(r->e, "x\033[201~y", 8);
    assert_string_equal(text_str(&r->said), "\033[200~x[201~y\033[201~");
}

static void every_character_takes_the_columns_that_the_guard_says(void **state)
{
    struct rig *r = *state;
    struct guard *g = guard_new(80, NULL, NULL);
    unsigned at_row, at_col, wrong = 0;

    for (uint32_t cp = 0xa0; cp < 0x20000; cp++) {
        char s[16] = "\r_";
        int width = guard_width(g, cp);

        if (cp >= 0xd800 && cp < 0xe000)
            continue;
        if (width < 0)
            width = 1; /* the replacement */
        if (cp < 0x800)
            snprintf(s + 2, 8, "%c%c", (char)(0xc0 | cp >> 6), (char)(0x80 | (cp & 63)));
        else if (cp < 0x10000)
            snprintf(s + 2, 8, "%c%c%c", (char)(0xe0 | cp >> 12), (char)(0x80 | (cp >> 6 & 63)), (char)(0x80 | (cp & 63)));
        else
            snprintf(s + 2, 8, "%c%c%c%c", (char)(0xf0 | cp >> 18), (char)(0x80 | (cp >> 12 & 63)),
                     (char)(0x80 | (cp >> 6 & 63)), (char)(0x80 | (cp & 63)));
        feed(r, s);
        emu_cursor(r->e, &at_row, &at_col);
        /* a printable one never combines: only then is what the library keeps of it bounded */
        wrong += width > 0 && at_col < 2;
        for (unsigned col = 1; col <= at_col; col++) {
            struct emu_cell c = emu_cell(r->e, 0, col);

            if (c.ch[0] && c.width)
                assert_int_equal(guard_width(g, c.ch[0]), c.width);
        }
        feed(r, "\r\033[K");
    }
    assert_int_equal(wrong, 0);
    guard_free(g);
}

static void junk_leaves_the_terminal_usable(void **state)
{
    struct rig *r = *state;
    uint32_t seed = 12345;
    uint8_t junk[64];

    for (int i = 0; i < 20000; i++) {
        for (unsigned k = 0; k < sizeof junk; k++) {
            static const char likely[] = "\033[]0123456789;;?hlmHJKbrsu\r\n\xe6\x97\xa5\xcc\x81(0P_";

            seed = seed * 1664525 + 1013904223;
            junk[k] = (uint8_t)(seed >> 31 ? (uint8_t)likely[(seed >> 8) % (sizeof likely - 1)] : seed >> 16);
        }
        emu_feed(r->e, junk, sizeof junk);
    }
    feed(r, "\030\033\\\007\033c\033[Hok");
    assert_string_equal(row(r, 0), "ok");
}

static void sizes_are_brought_into_limits(void **state)
{
    struct emu *e = emu_new(1, 1, reply, *state);

    assert_int_equal(emu_cols(e), EMU_COLS_MIN);
    assert_int_equal(emu_rows(e), EMU_ROWS_MIN);
    emu_free(e);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(text_colours_and_cursor_are_cells),
        CASE(wide_and_combining_characters_fill_their_cells),
        CASE(a_character_may_come_in_pieces),
        CASE(known_crashers_of_the_library_do_nothing),
        CASE(rep_repeats_no_more_than_a_row),
        CASE(cursor_is_saved_in_the_way_of_ansi_sys_too),
        CASE(lines_scroll_into_the_ring),
        CASE(the_ring_forgets_the_oldest),
        CASE(search_finds_upwards_and_downwards),
        CASE(full_screen_programs_leave_what_was_there),
        CASE(line_drawing_is_drawn),
        CASE(questions_are_answered_but_not_while_muted),
        CASE(titles_are_made_harmless),
        CASE(keys_are_what_a_terminal_sends),
        CASE(what_is_pasted_cannot_end_the_paste),
        CASE(every_character_takes_the_columns_that_the_guard_says),
        CASE(junk_leaves_the_terminal_usable),
        CASE(sizes_are_brought_into_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
