/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Recordings: what is written, that it can be read back, what is refused.
 */
#include "core/cast.h"

#include "fake_vm.c"
#include "session_rig.h"

#include <sys/stat.h>

static const char lab[] = "guests:\n  web: {image: hello, memory: 16M}\n";

static int set_up(void **state)
{
    *state = rig_new(lab);
    return 0;
}

static int tear_down(void **state)
{
    rig_free(*state);
    return 0;
}

static const char *in_dir(struct rig *r, const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s", r->dir, name);
    return path;
}

static int run(struct rig *r, const char *before, const char *name, const char *after)
{
    char line[256];

    snprintf(line, sizeof line, "%s%s%s", before, in_dir(r, name), after);
    return rig_do(r, line);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    fputs(text, f);
    fclose(f);
}

static void what_was_recorded_is_replayed(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_do(r, "start web"), 0);
    fake_vm_say(rig_vm(r, "web"), "before\n");
    assert_int_equal(run(r, "record web ", "a.cast", ""), 0);
    fake_vm_say(rig_vm(r, "web"), "\033[1mone\033[m \"quoted\"\r\n");
    rig_idle(r);
    fake_vm_say(rig_vm(r, "web"), "two\r\n");
    assert_int_equal(rig_do(r, "record web"), 0);
    assert_says(r->out, "a.cast");
    assert_int_equal(rig_do(r, "record web off"), 0);
    fake_vm_say(rig_vm(r, "web"), "after\n");
    assert_int_equal(run(r, "replay ", "a.cast", " 1000"), 0);
    assert_string_equal(text_str(&r->out), "one \"quoted\"\ntwo\n");
}

static void characters_in_two_pieces_stay_whole(void **state)
{
    struct rig *r = *state;
    struct cast_reader *c;
    const char *text;
    struct err e;
    uint64_t at;
    size_t len;

    assert_int_equal(rig_do(r, "start web"), 0);
    assert_int_equal(run(r, "record web ", "b.cast", ""), 0);
    fake_vm_say(rig_vm(r, "web"), "\xe6\x97");
    rig_idle(r);
    fake_vm_say(rig_vm(r, "web"), "\xa5\xff");
    assert_int_equal(rig_do(r, "record web off"), 0);
    c = cast_open(in_dir(r, "b.cast"), &e);
    assert_non_null(c);
    assert_int_equal(cast_cols(c), 80);
    assert_int_equal(cast_rows(c), 24);
    assert_int_equal(cast_next(c, &at, &text, &len, &e), 1);
    assert_string_equal(text, "\xe6\x97\xa5"); /* 0xff may begin one */
    assert_int_equal(cast_next(c, &at, &text, &len, &e), 1);
    assert_string_equal(text, "\xef\xbf\xbd");
    assert_int_equal(cast_next(c, &at, &text, &len, &e), 0);
    cast_close(c);
}

static void a_recording_ends_at_its_size(void **state)
{
    struct rig *r = *state;
    struct stat st;

    assert_int_equal(rig_do(r, "start web"), 0);
    assert_int_equal(run(r, "record web ", "c.cast", " --size 64K"), 0);
    for (int i = 0; i < 4000; i++) {
        fake_vm_say(rig_vm(r, "web"), "0123456789 0123456789\r\n");
        rig_idle(r);
    }
    for (int i = 0; i < 2000; i++) { /* a console's readers are told of output some times a second */
        assert_int_equal(rig_do(r, "events web"), 0);
        if (strstr(r->out.buf, "has reached"))
            break;
        usleep(1000);
    }
    assert_int_equal(stat(in_dir(r, "c.cast"), &st), 0);
    assert_in_range(st.st_size, 60000, 65536);
    assert_says(r->out, "has reached its size");
    assert_int_equal(run(r, "replay ", "c.cast", " 1000"), 0);
}

static void a_file_that_exists_is_not_touched(void **state)
{
    struct rig *r = *state;
    struct stat st;

    write_file(in_dir(r, "d.cast"), "precious");
    assert_int_equal(run(r, "record web ", "d.cast", ""), 1);
    assert_says(r->error, "File exists");
    assert_int_equal(stat(in_dir(r, "d.cast"), &st), 0);
    assert_int_equal(st.st_size, 8);
}

static void what_is_no_recording_is_refused(void **state)
{
    static const char *const bad[] = {"", "hello\n", "{\"version\": 1}\n", "[1, 2]\n", "{}\n", "{\"version\":2}\nxx\n",
                                      "{\"version\":2}\n[[[[[[[[[[[[[[1\n"};
    struct rig *r = *state;

    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_file(in_dir(r, "bad.cast"), bad[i]);
        assert_int_equal(run(r, "replay ", "bad.cast", ""), 1);
        assert_true(r->error.len > 0);
    }
    assert_int_equal(run(r, "replay ", "absent.cast", ""), 1);
    assert_int_equal(run(r, "replay ", "bad.cast", " fast"), 1);
    assert_int_equal(run(r, "replay ", "bad.cast", " nan"), 1);
}

static void strange_events_are_passed_over(void **state)
{
    struct rig *r = *state;

    write_file(in_dir(r, "e.cast"), "{\"version\":2,\"width\":1e99,\"height\":-5}\n[1]\n{}\n[0,\"i\",\"x\"]\n"
                                    "[1e300,\"o\",\"a\"]\n[-5,\"o\",\"b\"]\n[\"x\",\"o\",\"c\"]\n[0,\"o\",7]\n");
    assert_int_equal(run(r, "replay ", "e.cast", " 1000"), 0);
    assert_string_equal(text_str(&r->out), "abc");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_was_recorded_is_replayed),   CASE(characters_in_two_pieces_stay_whole),
        CASE(a_recording_ends_at_its_size),    CASE(a_file_that_exists_is_not_touched),
        CASE(what_is_no_recording_is_refused), CASE(strange_events_are_passed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
