/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What goes out: JSON, tables, text without escape sequences; and what is looked for in what
 * came in; page tables of a guest.
 */
#include "core/ansi.h"
#include "core/columns.h"
#include "core/expect.h"
#include "core/json_out.h"
#include "core/undo.h"
#include "core/x86_walk.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void json_is_quoted_and_separated(void **state)
{
    struct text t = {0};
    struct json_out j = {.t = &t};

    (void)state;
    jout_begin(&j, NULL, '{');
    jout_str(&j, "a", "x\"\\\n\x01\xc3\xbc\xff\xed\xa0\x80");
    jout_begin(&j, "b", '[');
    jout_u64(&j, NULL, UINT64_MAX);
    jout_num(&j, NULL, 1.5, 3);
    jout_num(&j, NULL, NAN, 3);
    jout_num(&j, NULL, INFINITY, 3);
    jout_begin(&j, NULL, '{');
    jout_end(&j, '}');
    jout_end(&j, ']');
    jout_bool(&j, "c", true);
    jout_str(&j, "d", NULL);
    jout_strn(&j, "e", "a\0b", 3);
    jout_end(&j, '}');
    assert_string_equal(text_str(&t), "{\"a\":\"x\\\"\\\\\\n\\u0001\xc3\xbc\\ufffd\\ufffd\\ufffd\\ufffd\",\"b\":["
                                      "18446744073709551615,1.500,null,null,{}],\"c\":true,\"d\":null,"
                                      "\"e\":\"a\\u0000b\"}");
    text_free(&t);
}

static void tables_are_aligned_without_trailing_blanks(void **state)
{
    struct columns c;
    struct text t = {0};

    (void)state;
    columns_init(&c, "<NAME|>N|<WHY");
    columns_cell(&c, "a");
    columns_cell(&c, "%d", 100);
    columns_cell(&c, "%s", "");
    columns_cell(&c, "gr\xc3\xbcn");
    columns_cell(&c, "-");
    columns_cell(&c, "because");
    columns_print(&c, &t);
    assert_string_equal(text_str(&t), "NAME    N  WHY\na     100\ngr\xc3\xbcn    -  because\n");
    columns_fini(&c);
    text_free(&t);
}

static void plain(const char *in, const char *want)
{
    struct ansi a = {0};
    char out[600];
    size_t n = ansi_plain(&a, (const uint8_t *)in, strlen(in), out);

    out[n] = '\0';
    assert_string_equal(out, want);
    /* and byte by byte the same */
    a = (struct ansi){0};
    n = 0;
    for (const char *p = in; *p; p++)
        n += ansi_plain(&a, (const uint8_t *)p, 1, out + n);
    out[n] = '\0';
    assert_string_equal(out, want);
}

static void plain_text_has_no_sequences(void **state)
{
    (void)state;
    plain("a\033[1;31mb\033[0mc", "abc");
    plain("\033]0;title\007x\033]52;c;AAAA\033\\y", "xy");
    plain("\033P1$r0m\033\\z\033_apc\033\\\033^pm\033\\", "z");
    plain("\033(Ba\033)0b\033=c\033>", "abc");
    plain("a\rb\bc\td\ne\x7f\x01", "abc\td\ne");
    plain("\033[\033[31mx", "x");
    plain("\033]0;never ends", "");
    plain("\033[12\030x", "x");
    plain("gr\xc3\xbc\xc2\x9b" "31m\xc2\xa0", "gr\xc3\xbc" "31m\xc2\xa0");
}

static void safe(const char *in, const char *want)
{
    struct ansi a = {0};
    char out[600];
    size_t n = 0;

    for (const char *p = in; *p; p++)
        n += ansi_safe(&a, (const uint8_t *)p, 1, out + n);
    out[n] = '\0';
    assert_string_equal(out, want);
}

static void safe_output_keeps_colours_and_drops_strings(void **state)
{
    (void)state;
    safe("\033[1;31mred\033[0m\r\n\a", "\033[1;31mred\033[0m\r\n\a");
    safe("\033]0;title\007x", "x");
    safe("\033]52;c;QUJD\033\\x", "x");
    safe("\033Pq#0\033\\x\033_y\033\\z", "xz");
    safe("\033]0;broken\033[31mx", "\033[31mx");
    safe("\033\033]0;t\007x", "x");
    safe("\xc2\x9d" "0;t\007", "0;t\007");
    safe("\033(0lqk\033(B", "\033(0lqk\033(B");
}

static void matches_span_pieces_and_are_consumed(void **state)
{
    struct expect *x;
    struct text t = {0};
    struct err e;

    (void)state;
    x = expect_new("b+c", 1000, &e);
    assert_non_null(x);
    assert_false(expect_feed(x, "\033[1mab", 6, 0));
    assert_false(expect_feed(x, "b", 1, 0));
    assert_true(expect_feed(x, "bcd\n", 4, 0));
    assert_int_equal(expect_end(x), 1000 + 9);
    expect_line(x, &t);
    assert_string_equal(text_str(&t), "abbbcd\n");
    text_free(&t);
    expect_free(x);
    assert_null(expect_new("[a", 0, &e));
    assert_int_equal(e.code, EINVAL);
}

static void the_window_of_expect_is_bounded(void **state)
{
    struct expect *x;
    char block[10000];
    uint64_t pos = 0;
    struct err e;

    (void)state;
    memset(block, 'a', sizeof block);
    block[99] = '\n';
    x = expect_new("end$", 0, &e);
    for (int i = 0; i < 200; i++, pos += sizeof block)
        assert_false(expect_feed(x, block, sizeof block, 0));
    assert_true(expect_feed(x, "the end", 7, 5)); /* five bytes were lost before it */
    assert_int_equal(expect_end(x), pos + 5 + 7);
    expect_free(x);
}

/* Guest memory for the walks: 16 pages. */
static uint8_t mem[16 * 4096];

static int read_mem(void *opaque, uint64_t gpa, void *buf, size_t len, struct err *e)
{
    (void)opaque;
    if (gpa > sizeof mem || len > sizeof mem - gpa)
        return err_set(e, EFAULT, "no memory");
    memcpy(buf, mem + gpa, len);
    return 0;
}

static void entry(uint64_t table, unsigned index, uint64_t value, unsigned size)
{
    memcpy(mem + table + index * size, &value, size);
}

static void walks_follow_the_guests_page_tables(void **state)
{
    struct x86_regs r = {0};
    struct x86_walk w = {&r, read_mem, NULL};
    uint64_t gpa;
    struct err e;

    (void)state;
    assert_int_equal(x86_translate(&w, 0x1234, &gpa, &e), 0); /* no paging */
    assert_int_equal(gpa, 0x1234);
    memset(mem, 0, sizeof mem);
    r.cr0 = 0x80000001;
    r.cr3 = 0x1000;
    entry(0x1000, 1, 0x2003, 4); /* 32-bit: 4 MiB.. by a table, 8 MiB.. one large page */
    entry(0x2000, 5, 0x7003, 4);
    entry(0x1000, 2, 0x00c00083, 4);
    r.cr4 = 0x10;
    assert_int_equal(x86_translate(&w, 0x405123, &gpa, &e), 0);
    assert_int_equal(gpa, 0x7123);
    assert_int_equal(x86_translate(&w, 0x812345, &gpa, &e), 0);
    assert_int_equal(gpa, 0xc12345);
    assert_int_equal(x86_translate(&w, 0x400000, &gpa, &e), -EFAULT);
    assert_string_equal(e.msg, "0x400000 is not mapped by the guest's page tables");
    memset(mem, 0, sizeof mem);
    r.cr4 = 0x20; /* PAE */
    entry(0x1000, 3, 0x2001, 8);
    entry(0x2000, 1, 0x3003, 8);
    entry(0x3000, 2, 0x8000000000009003, 8);
    assert_int_equal(x86_translate(&w, 0xc0202abc, &gpa, &e), 0);
    assert_int_equal(gpa, 0x9abc);
    memset(mem, 0, sizeof mem);
    r.efer = 0x500; /* 4 levels, 2 MiB page */
    entry(0x1000, 511, 0x2003, 8);
    entry(0x2000, 510, 0x3003, 8);
    entry(0x3000, 8, 0x1000083, 8);
    assert_int_equal(x86_translate(&w, 0xffffffff81012345, &gpa, &e), 0);
    assert_int_equal(gpa, 0x1012345);
    r.cr4 |= 1 << 12; /* 5 levels: one table more on top */
    entry(0x4000, 511, 0x1003, 8);
    r.cr3 = 0x4000;
    assert_int_equal(x86_translate(&w, 0xffffffff81012345, &gpa, &e), 0);
    assert_int_equal(gpa, 0x1012345);
    r.cr3 = 0xfffff000; /* tables outside of memory */
    assert_int_equal(x86_translate(&w, 0xffffffff81012345, &gpa, &e), -EFAULT);
}

static void reads_stop_where_nothing_is_mapped(void **state)
{
    struct x86_regs r = {.cr0 = 0x80000001, .cr3 = 0x1000};
    struct x86_walk w = {&r, read_mem, NULL};
    uint8_t buf[64];
    struct err e;

    (void)state;
    memset(mem, 0, sizeof mem);
    entry(0x1000, 0, 0x2003, 4);
    entry(0x2000, 0, 0x5003, 4);
    memset(mem + 0x5ff0, 0xaa, 16);
    assert_int_equal(x86_read_linear(&w, 0xff0, buf, sizeof buf, &e), 16);
    assert_int_equal(buf[15], 0xaa);
}

static void undo_keeps_the_last_changes_only(void **state)
{
    struct undo *u = undo_new();
    char *what, *lines, *why;
    unsigned n = 0;

    (void)state;
    undo_begin(u, "nothing came of it");
    for (unsigned i = 0; i < 100; i++) {
        undo_begin(u, "change");
        undo_step(u, "back %u", i);
        undo_step(u, "and %u", i);
    }
    undo_begin(u, "nothing either");
    while (undo_pop(u, &what, &lines, &why)) {
        if (n++ == 0)
            assert_string_equal(lines, "back 99\nand 99\n");
        assert_string_equal(what, "change");
        free(what);
        free(lines);
        free(why);
    }
    assert_int_equal(n, UNDO_KEPT - 1); /* the empty one took a place */
    undo_free(u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_quoted_and_separated),
        cmocka_unit_test(tables_are_aligned_without_trailing_blanks),
        cmocka_unit_test(plain_text_has_no_sequences),
        cmocka_unit_test(safe_output_keeps_colours_and_drops_strings),
        cmocka_unit_test(matches_span_pieces_and_are_consumed),
        cmocka_unit_test(the_window_of_expect_is_bounded),
        cmocka_unit_test(walks_follow_the_guests_page_tables),
        cmocka_unit_test(reads_stop_where_nothing_is_mapped),
        cmocka_unit_test(undo_keeps_the_last_changes_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
