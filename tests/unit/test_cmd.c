/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The grammar: words, commands and their arguments, targets, completion, help.
 */
#include "session_rig.h"

#include "core/cmd_internal.h"
#include "core/target.h"
#include "core/words.h"

#include "fake_vm.c"

static const char lab[] = "guests:\n"
                          "  web: {image: hello, memory: 1M, group: front, vcpus: 2}\n"
                          "  web2: {image: hello, memory: 1M, group: front}\n"
                          "  n: {image: spin, memory: 1M, count: 12}\n";

static int setup(void **state)
{
    *state = rig_new(lab);
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

/* Words. */

static void split_is(const char *line, unsigned n, const char *const *want)
{
    struct words w;
    struct err e;

    assert_int_equal(words_split(line, &w, &e), 0);
    assert_int_equal(w.n, n);
    for (unsigned i = 0; i < n; i++)
        assert_string_equal(w.w[i], want[i]);
    words_free(&w);
}

static void words_are_split_like_a_shell_does(void **state)
{
    (void)state;
    split_is("  send web\t'a  b' \"c d\"e f\\ g ", 5, (const char *const[]){"send", "web", "a  b", "c de", "f g"});
    split_is("a '' \"\"", 3, (const char *const[]){"a", "", ""});
    split_is("# nothing", 0, NULL);
    split_is("a # b", 1, (const char *const[]){"a"});
    split_is("a b#c", 2, (const char *const[]){"a", "b#c"});
}

static void backslashes_stay_but_before_what_they_quote(void **state)
{
    (void)state;
    split_is("a\\n \\x1b \\\\ \\\" \\'", 5, (const char *const[]){"a\\n", "\\x1b", "\\", "\"", "'"});
    split_is("\"a\\n\\\"\\\\\" 'a\\n\\'", 2, (const char *const[]){"a\\n\"\\", "a\\n\\"});
    split_is("end\\", 1, (const char *const[]){"end\\"});
}

static void open_quotes_and_too_many_words_are_refused(void **state)
{
    struct text t = {0};
    struct words w;
    struct err e;

    (void)state;
    assert_true(words_split("send web 'abc", &w, &e) < 0);
    assert_string_equal(e.msg, "a quote (') is not closed");
    for (int i = 0; i < 300; i++)
        text_puts(&t, "a ");
    assert_true(words_split(text_str(&t), &w, &e) < 0);
    text_free(&t);
}

static void quoted_words_come_back_as_they_were(void **state)
{
    static const char *const words[] = {"a", "", "a b", "it's", "\"", "\\", "a\\ b", "#x", "\t", "'\"\\ #"};
    struct text line = {0};
    unsigned n = sizeof words / sizeof *words;

    (void)state;
    for (unsigned i = 0; i < n; i++)
        words_quote(&line, words[i]);
    split_is(text_str(&line), n, words);
    text_free(&line);
}

/* Commands. */

static void names_can_be_shortened_while_unique(void **state)
{
    struct err e;

    (void)state;
    assert_string_equal(cmd_find("lis", &e)->name, "list");
    assert_string_equal(cmd_find("exi", &e)->name, "exits"); /* `exit` is an alias, written out */
    assert_string_equal(cmd_find("exit", &e)->name, "quit");
    assert_string_equal(cmd_find("?", &e)->name, "help");
    assert_string_equal(cmd_find("reg", &e)->name, "regs");
    assert_null(cmd_find("sta", &e));
    assert_string_equal(e.msg, "`sta` could be `stats`, `start`");
}

static void what_destroys_is_written_out(void **state)
{
    struct err e;

    (void)state;
    assert_null(cmd_find("sto", &e));
    assert_string_equal(e.msg, "`stop` is written out: its name cannot be shortened");
    assert_null(cmd_find("rem", &e));
    assert_non_null(cmd_find("remove", &e));
    assert_null(cmd_find("q", &e));
}

static void unknown_commands_get_a_suggestion(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_do(r, "puase web"), CMD_USAGE);
    assert_string_equal(text_str(&r->error), "there is no command `puase` (did you mean `pause`?); `help` lists them\n");
    assert_int_equal(rig_do(r, "frobnicate"), CMD_USAGE);
    assert_string_equal(text_str(&r->error), "there is no command `frobnicate`; `help` lists them\n");
}

static void arguments_are_counted_and_usage_shown(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_do(r, "pause"), CMD_USAGE);
    assert_string_equal(text_str(&r->error), "`pause` needs VM\nusage: pause VM...\n");
    assert_int_equal(rig_do(r, "check web"), CMD_USAGE);
    assert_says(r->error, "usage: check VM FIGURE RANGE [TIMEOUT]\n");
    assert_int_equal(rig_do(r, "share web 1 2"), CMD_USAGE);
    assert_says(r->error, "`share` takes no more than 2 arguments");
    assert_int_equal(rig_do(r, ""), CMD_DONE);
    assert_int_equal(rig_do(r, "   # a comment"), CMD_DONE);
}

static void options_stand_anywhere_before_a_text(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_do(r, "events -n 5"), CMD_DONE);
    assert_int_equal(rig_do(r, "events --lines=5 web"), CMD_DONE);
    assert_int_equal(rig_do(r, "events web --lines 5 web2"), CMD_DONE);
    assert_int_equal(rig_do(r, "events --lines"), CMD_USAGE);
    assert_says(r->error, "`--lines` needs a value: --lines N");
    assert_int_equal(rig_do(r, "events --line 5"), CMD_USAGE);
    assert_says(r->error, "`events` has no option `--line` (did you mean `--lines`?)");
    assert_int_equal(rig_do(r, "start --json web"), CMD_DONE);
    assert_int_equal(rig_do(r, "send web -n --json"), CMD_DONE); /* before the text: options */
    assert_string_equal(text_str(&fake_vm(rig_vm(r, "web"))->typed), "");
    assert_int_equal(rig_do(r, "send web ls -n --json"), CMD_DONE);
    assert_string_equal(text_str(&fake_vm(rig_vm(r, "web"))->typed), "ls -n --json\r");
    assert_int_equal(rig_do(r, "send web -- -n"), CMD_DONE);
    assert_string_equal(text_str(&fake_vm(rig_vm(r, "web"))->typed), "ls -n --json\r-n\r");
}

static void syntax_is_checked_without_guests(void **state)
{
    struct err e;

    (void)state;
    assert_int_equal(cmd_check("pause nobody", &e), 0);
    assert_int_equal(cmd_check("", &e), 0);
    assert_int_equal(cmd_check("at +5s share x 7", &e), 0);
    assert_int_equal(cmd_check("at +5s 'share x 7'", &e), 0);
    assert_true(cmd_check("at +5s shrae x 7", &e) < 0);
    assert_true(cmd_check("pause", &e) < 0);
    assert_true(cmd_check("send x 'y", &e) < 0);
    assert_true(cmd_check("at +1s at +1s at +1s at +1s at +1s at +1s list", &e) < 0);
}

static void a_line_that_is_too_long_is_refused(void **state)
{
    struct rig *r = *state;
    struct text t = {0};

    text_puts(&t, "send web ");
    for (int i = 0; i < 70000; i++)
        text_putc(&t, 'x');
    assert_int_equal(rig_do(r, text_str(&t)), CMD_USAGE);
    assert_says(r->error, "a command has at most 65536 bytes");
    text_free(&t);
}

/* Targets. */

static unsigned count(struct rig *r, const char *word)
{
    struct targets t = {0};
    struct err e;
    int rc = targets_add(&t, r->s, word, &e);
    unsigned n = rc < 0 ? 0 : t.n;

    targets_free(&t);
    return n;
}

static void targets_are_names_patterns_ranges_and_groups(void **state)
{
    struct rig *r = *state;

    assert_int_equal(count(r, "web"), 1);
    assert_int_equal(count(r, "web*"), 2);
    assert_int_equal(count(r, "w?b"), 1);
    assert_int_equal(count(r, "n[2-5]"), 4);
    assert_int_equal(count(r, "n[10-99]"), 3);
    assert_int_equal(count(r, "@front"), 2);
    assert_int_equal(count(r, "@f*"), 2);
    assert_int_equal(count(r, "all"), 14);
    assert_int_equal(count(r, "*"), 14);
    assert_int_equal(count(r, "web.1"), 1);
    assert_int_equal(count(r, "web.2"), 0);
    assert_int_equal(count(r, "n[5-2]"), 0);
    assert_int_equal(count(r, "n[a-b]"), 0);
    assert_int_equal(count(r, "n[1"), 0);
    assert_int_equal(count(r, ""), 0);
}

static void targets_that_are_nobody_say_so(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_do(r, "pause wbe"), CMD_FAILED);
    assert_string_equal(text_str(&r->error), "there is no guest `wbe` (did you mean `web`?): `list` shows who is there\n");
    assert_int_equal(rig_do(r, "pause x*"), CMD_FAILED);
    assert_says(r->error, "no guest matches `x*`");
    assert_int_equal(rig_do(r, "pause @frnt"), CMD_FAILED);
    assert_says(r->error, "there is no group `frnt` (did you mean `front`?)");
    assert_int_equal(rig_do(r, "regs web.7"), CMD_FAILED);
    assert_says(r->error, "web has no vCPU 7, only 0 to 1");
    assert_int_equal(rig_do(r, "pause web.0"), CMD_FAILED);
    assert_says(r->error, "`web.0` is a vCPU, `pause` takes whole guests");
    assert_int_equal(rig_do(r, "regs web*"), CMD_FAILED);
    assert_says(r->error, "`web*` means 2 guests, `regs` takes one");
}

static void patterns_with_many_stars_do_not_take_for_ever(void **state)
{
    (void)state;
    assert_false(target_match("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    assert_true(target_match("*a*b*", "xxaxxbxx"));
    assert_true(target_match("n[1-3]x", "n2x"));
    assert_false(target_match("n[1-3]", "n2x"));
    assert_false(target_match("n[1-3]", "n99999999999999999999"));
}

/* Completion. */

static void add_word(void *arg, const char *word, bool space)
{
    text_printf(arg, "%s%s", word, space ? " " : "|");
}

static void completes(struct rig *r, const char *line, const char *want)
{
    struct text t = {0};

    cmd_complete(r->s, line, strlen(line), add_word, &t);
    assert_string_equal(text_str(&t), want);
    text_free(&t);
}

static void completion_knows_commands_guests_and_options(void **state)
{
    struct rig *r = *state;

    completes(r, "sh", "shutdown share ");
    completes(r, "pause w", "web web2 ");
    completes(r, "pause web @", "@front ");
    completes(r, "watch a", "");
    completes(r, "console a", "all ");
    completes(r, "pause a", "all ");
    completes(r, "events --f", "--follow ");
    completes(r, "cap web n", "none ");
    completes(r, "help exp", "expect ");
    completes(r, "wait we", "web web2 ");
    completes(r, "wait web st", "stopped ");
    completes(r, "set i", "interval ");
    completes(r, "create x me", "memory=|mergeable=yes ");
    completes(r, "create x image=sp", "image=spin ");
    completes(r, "at +5s pau", "pause ");
    completes(r, "at +5s pause web2", "web2 ");
    completes(r, "expect --line ", "");
    completes(r, "nonsense ", "");
    completes(r, "pause 'we", "web web2 ");
}

static void completion_never_reads_past_the_cursor(void **state)
{
    struct rig *r = *state;
    struct text t = {0};

    assert_int_equal(cmd_complete(r->s, "pause web2", 8, add_word, &t), 6);
    assert_string_equal(text_str(&t), "web web2 ");
    text_free(&t);
}

/* Help. */

static void every_command_has_help_that_fits(void **state)
{
    struct rig *r = *state;
    char line[80];

    for (unsigned i = 0; cmd_at(i); i++) {
        const struct cmd *c = cmd_at(i);

        snprintf(line, sizeof line, "help %s", c->name);
        assert_int_equal(rig_do(r, line), CMD_DONE);
        assert_says(r->out, c->help);
        snprintf(line, sizeof line, "%s --help", c->name);
        assert_int_equal(rig_do(r, line), CMD_DONE);
        assert_true(strlen(c->help) < 80);
        for (const char *p = text_str(&r->out); *p; p += strcspn(p, "\n") + 1)
            assert_true(strcspn(p, "\n") <= 115);
    }
    assert_int_equal(rig_do(r, "help"), CMD_DONE);
    assert_says(r->out, "\nlist      show the guests and their states\n" + 1);
    assert_int_equal(rig_do(r, "help nonsense"), CMD_FAILED);
}

static void the_man_section_has_every_command(void **state)
{
    struct text t = {0};

    (void)state;
    cmd_help_man(&t);
    for (unsigned i = 0; cmd_at(i); i++) {
        char head[60];

        snprintf(head, sizeof head, strchr(cmd_at(i)->name, '-') ? ".TP\n\\fBmem\\-dump\\fR" : ".TP\n\\fB%s\\fR",
                 cmd_at(i)->name);
        assert_says(t, head);
    }
    assert_null(strstr(text_str(&t), "\n'"));
    text_free(&t);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_split_like_a_shell_does),
        cmocka_unit_test(backslashes_stay_but_before_what_they_quote),
        cmocka_unit_test(open_quotes_and_too_many_words_are_refused),
        cmocka_unit_test(quoted_words_come_back_as_they_were),
        cmocka_unit_test(names_can_be_shortened_while_unique),
        cmocka_unit_test(what_destroys_is_written_out),
        T(unknown_commands_get_a_suggestion),
        T(arguments_are_counted_and_usage_shown),
        T(options_stand_anywhere_before_a_text),
        cmocka_unit_test(syntax_is_checked_without_guests),
        T(a_line_that_is_too_long_is_refused),
        T(targets_are_names_patterns_ranges_and_groups),
        T(targets_that_are_nobody_say_so),
        cmocka_unit_test(patterns_with_many_stars_do_not_take_for_ever),
        T(completion_knows_commands_guests_and_options),
        T(completion_never_reads_past_the_cursor),
        T(every_command_has_help_that_fits),
        cmocka_unit_test(the_man_section_has_every_command),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
