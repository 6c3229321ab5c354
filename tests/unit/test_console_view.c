/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Consoles in panes: who gets the keys, what is seen, looking back. The frame and the screen
 * are the test's own: a canvas of characters.
 */
#define NCURSES_WIDECHAR 1
#include "ui/console_view.h"

#include "fake_vm.c"
#include "session_rig.h"

#include <curses.h>
#include <locale.h>

enum { H = 24, W = 80 };

struct ui {
    struct session *session;
    char said[300], ran[300];
    unsigned popped;
};

/* Curses is not begun: what it draws with is not called. */
static wchar_t canvas[H][W];

struct session *ui_session(struct ui *u)
{
    return u->session;
}

void ui_push(struct ui *u, struct view *v)
{
    (void)u;
    (void)v;
}

void ui_pop(struct ui *u, struct view *v)
{
    (void)v;
    u->popped++;
}

bool ui_readonly(struct ui *u)
{
    (void)u;
    return false;
}

void ui_redraw(struct ui *u)
{
    (void)u;
}

void ui_redraw_now(struct ui *u)
{
    (void)u;
}

void ui_say(struct ui *u, bool bad, const char *fmt, ...)
{
    va_list ap;

    (void)bad;
    va_start(ap, fmt);
    vsnprintf(u->said, sizeof u->said, fmt, ap);
    va_end(ap);
}

void ui_run(struct ui *u, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(u->ran, sizeof u->ran, fmt, ap);
    va_end(ap);
}

static void put(int y, int x, wchar_t c)
{
    if (y < 0 || y >= H || x < 0 || x >= W)
        fail_msg("drawn outside: %d,%d", y, x);
    canvas[y][x] = c;
}

void draw_raw(int y, int x, const wchar_t *c, int fg, int bg, unsigned attr)
{
    (void)attr;
    assert_in_range(fg + 1, 0, 256);
    assert_in_range(bg + 1, 0, 256);
    put(y, x, c[0]);
}

int draw_text(int y, int x, int w, enum role r, const char *utf8)
{
    (void)r;
    for (int i = 0; utf8[i] && i < w; i++)
        put(y, x + i, (unsigned char)utf8[i]);
    return (int)strlen(utf8);
}

int draw_fmt(int y, int x, int w, enum role r, const char *fmt, ...)
{
    char text[300];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return draw_text(y, x, w, r, text);
}

void draw_fill(int y, int x, int w, enum role r, wchar_t c)
{
    (void)r;
    for (int i = 0; i < w; i++)
        put(y, x + i, c);
}

void draw_box(struct area a, enum role r, bool heavy, const char *title)
{
    draw_fill(a.y, a.x, a.w, r, heavy ? '=' : '-');
    draw_text(a.y, a.x + 1, a.w - 2, r, title);
}

void draw_clear(struct area a)
{
    for (int i = 0; i < a.h; i++)
        draw_fill(a.y + i, a.x, a.w, ROLE_TEXT, ' ');
}

void draw_highlight(int y, int x, int w)
{
    put(y, x + w - 1, '<');
}

int draw_colors(void)
{
    return 256;
}

bool draw_mono(void)
{
    return false;
}

bool draw_is_ascii(void)
{
    return false;
}

/* The rig. */

static const char lab[] = "guests:\n  web: {image: hello, memory: 16M}\n  db: {image: hello, memory: 16M}\n";

struct cv {
    struct rig *r;
    struct ui u;
    struct view *v;
};

static int set_up(void **state)
{
    struct cv *t = calloc(1, sizeof *t);
    struct err e;

    t->r = rig_new(lab);
    t->u.session = t->r->s;
    rig_do(t->r, "start all");
    t->v = console_view_new(&t->u, session_guest(t->r->s, "web"), CONSOLE_SERIAL0, false, &e);
    *state = t;
    return t->v ? 0 : -1;
}

static int tear_down(void **state)
{
    struct cv *t = *state;

    t->v->ops->free(t->v);
    rig_free(t->r);
    free(t);
    return 0;
}

static void turn(struct cv *t)
{
    for (int i = 0; i < 30; i++)
        loop_step(session_loop(t->r->s), 1);
}

static void draw(struct cv *t)
{
    turn(t);
    for (int y = 0; y < H; y++)
        wmemset(canvas[y], ' ', W);
    t->v->ops->draw(t->v, (struct area){0, 0, H - 1, W});
    t->v->ops->keybar(t->v, H - 1, W);
}

static const char *line(int y)
{
    static char text[W * 4 + 1];
    int n = 0;

    for (int x = 0; x < W; x++)
        n += canvas[y][x] < 0x80 ? (text[n] = (char)canvas[y][x], 1) : wctomb(text + n, canvas[y][x]);
    while (n && text[n - 1] == ' ')
        n--;
    text[n] = '\0';
    return text;
}

static bool seen(const char *what)
{
    for (int y = 0; y < H; y++)
        if (strstr(line(y), what))
            return true;
    return false;
}

static void keys(struct cv *t, const char *s)
{
    for (; *s; s++)
        t->v->ops->key(t->v, &(struct key){.code = (unsigned char)*s});
    turn(t);
}

static void special(struct cv *t, uint32_t code)
{
    t->v->ops->key(t->v, &(struct key){.code = code, .special = true});
    turn(t);
}

static const char *typed(struct cv *t, const char *name)
{
    return text_str(&fake_vm(rig_vm(t->r, name))->typed);
}

static void add(struct cv *t, const char *name)
{
    struct err e;

    assert_int_equal(console_view_add(t->v, session_guest(t->r->s, name), CONSOLE_SERIAL0, &e), 0);
}

static void lines(struct cv *t, const char *name, int n)
{
    char s[32];

    for (int i = 0; i < n; i++) {
        snprintf(s, sizeof s, "line %d\r\n", i);
        fake_vm_say(rig_vm(t->r, name), s);
    }
    turn(t);
}

/* Cases. */

static void what_is_said_is_seen_and_what_is_typed_is_sent(void **state)
{
    struct cv *t = *state;
    int y, x;

    fake_vm_say(rig_vm(t->r, "web"), "hello \033[31mred\033[m> ");
    draw(t);
    assert_string_equal(line(0), "hello red>");
    assert_true(t->v->ops->caret(t->v, &y, &x));
    assert_int_equal(y, 0);
    assert_int_equal(x, 11);
    keys(t, "ls -l\r\003");
    special(t, KEY_UP);
    special(t, KEY_BACKSPACE);
    assert_string_equal(typed(t, "web"), "ls -l\r\003\033[A\177");
    assert_string_equal(typed(t, "db"), "");
}

static void both_ways_to_leave_are_shown_and_work(void **state)
{
    struct cv *t = *state;

    draw(t);
    assert_true(strstr(line(H - 1), "F12 or Ctrl-] d detaches") != NULL);
    assert_true(strstr(line(H - 1), "ATTACHED") != NULL);
    special(t, KEY_F(12));
    assert_int_equal(t->u.popped, 1);
    keys(t, "\035");
    draw(t);
    assert_true(strstr(line(H - 1), "d detach") != NULL);
    keys(t, "d");
    assert_int_equal(t->u.popped, 2);
    assert_string_equal(typed(t, "web"), "");
}

static void the_prefix_twice_types_it(void **state)
{
    struct cv *t = *state;

    keys(t, "\035\035x");
    assert_string_equal(typed(t, "web"), "\035x");
}

static void panes_share_the_area_and_one_has_the_keys(void **state)
{
    struct cv *t = *state;

    add(t, "db");
    add(t, "db"); /* is there already */
    fake_vm_say(rig_vm(t->r, "web"), "I am web");
    fake_vm_say(rig_vm(t->r, "db"), "I am db");
    draw(t);
    assert_true(seen("1 web serial0 ATTACHED") && seen("2 db serial0") && seen("I am web") && seen("I am db"));
    keys(t, "\035n" "x");
    assert_string_equal(typed(t, "db"), "x");
    keys(t, "\0351" "y");
    assert_string_equal(typed(t, "web"), "y");
    keys(t, "\035z");
    draw(t);
    assert_string_equal(line(0), "I am web");
    assert_false(seen("I am db"));
    keys(t, "\035z\035x"); /* closes web's */
    draw(t);
    assert_string_equal(line(0), "I am db");
}

static void keys_for_all_reach_all(void **state)
{
    struct cv *t = *state;

    keys(t, "\035B");
    assert_true(strstr(t->u.said, "one pane only") != NULL);
    keys(t, "\035g\035B" "uptime\r");
    assert_string_equal(typed(t, "web"), "uptime\r");
    assert_string_equal(typed(t, "db"), "uptime\r");
    fake_vm_say(rig_vm(t->r, "web"), "\033[6n"); /* its terminal's answer is its own */
    turn(t);
    assert_true(strstr(typed(t, "web"), "R") != NULL);
    assert_string_equal(typed(t, "db"), "uptime\r");
    keys(t, "\035B" "z");
    assert_true(strchr(typed(t, "web"), 'z') != NULL);
    assert_string_equal(typed(t, "db"), "uptime\r");
}

static void who_watches_does_not_type(void **state)
{
    struct cv *t = *state;

    keys(t, "\035w" "rm -rf /\r");
    special(t, KEY_PASTE_BEGIN);
    keys(t, "rm");
    special(t, KEY_PASTE_END);
    assert_string_equal(typed(t, "web"), "");
    draw(t);
    assert_true(strstr(line(H - 1), "WATCHED") != NULL);
    keys(t, "\035w" "a");
    assert_string_equal(typed(t, "web"), "a");
}

static void what_scrolled_off_stands_still_while_more_comes(void **state)
{
    struct cv *t = *state;

    lines(t, "web", 200);
    draw(t);
    assert_string_equal(line(0), "line 178"); /* the cursor's row is the 23rd */
    keys(t, "\035");
    special(t, KEY_PPAGE);
    draw(t);
    assert_string_equal(line(0), "line 156");
    lines(t, "web", 50);
    draw(t);
    assert_string_equal(line(0), "line 156");
    keys(t, "g");
    draw(t);
    assert_string_equal(line(0), "line 0");
    keys(t, "jjk");
    draw(t);
    assert_string_equal(line(0), "line 1");
    keys(t, "\033x");
    draw(t);
    assert_string_equal(line(21), "line 49");
    assert_string_equal(typed(t, "web"), "x");
}

static void search_goes_up_and_marks_the_line(void **state)
{
    struct cv *t = *state;

    fake_vm_say(rig_vm(t->r, "web"), "The Needle\r\n");
    lines(t, "web", 100);
    fake_vm_say(rig_vm(t->r, "web"), "needle again\r\n");
    lines(t, "web", 100);
    draw(t);
    keys(t, "\035/needlr\177e\r");
    draw(t);
    assert_true(seen("needle again") && seen("<"));
    keys(t, "n");
    draw(t);
    assert_true(seen("The Needle"));
    keys(t, "n");
    assert_true(strstr(t->u.said, "is not there") != NULL);
    keys(t, "N");
    draw(t);
    assert_true(seen("needle again"));
    assert_string_equal(typed(t, "web"), "");
}

static void a_paste_is_one_piece(void **state)
{
    struct cv *t = *state;

    fake_vm_say(rig_vm(t->r, "web"), "\033[?2004h");
    turn(t);
    special(t, KEY_PASTE_BEGIN);
    keys(t, "a\nb\035d");
    special(t, KEY_PASTE_END);
    assert_string_equal(typed(t, "web"), "\033[200~a\rbd\033[201~");
    assert_int_equal(t->u.popped, 0);
}

static void the_size_is_typed_only_when_asked(void **state)
{
    struct cv *t = *state;

    fake_vm_say(rig_vm(t->r, "web"), "kept\033[c");
    draw(t);
    turn(t);
    text_clear(&fake_vm(rig_vm(t->r, "web"))->typed);
    keys(t, "\035t");
    draw(t);
    assert_string_equal(typed(t, "web"), " stty rows 23 cols 80\r"); /* and \033[c not answered again */
    assert_string_equal(line(0), "kept");
}

static void a_guest_that_is_removed_takes_its_pane_along(void **state)
{
    struct cv *t = *state;

    add(t, "db");
    t->v->ops->gone(t->v, session_guest(t->r->s, "db"));
    rig_do(t->r, "remove db");
    draw(t);
    assert_false(seen("db"));
    t->v->ops->gone(t->v, session_guest(t->r->s, "web"));
    rig_do(t->r, "remove web");
    assert_int_equal(t->u.popped, 1);
    keys(t, "x\035n");
    for (int y = 0; y < H; y++)
        wmemset(canvas[y], ' ', W);
    t->v->ops->draw(t->v, (struct area){0, 0, H - 1, W});
}

static void areas_of_any_size_are_kept(void **state)
{
    struct cv *t = *state;

    add(t, "db");
    fake_vm_say(rig_vm(t->r, "web"), "\033[2J\033[24;75H\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5");
    lines(t, "db", 300);
    for (int h = 0; h <= H; h++)
        for (int w = 0; w <= W; w += 3)
            if (h >= 6 || w == 0)
                t->v->ops->draw(t->v, (struct area){0, 0, h, w < 8 && w ? 8 : w});
    draw(t);
    assert_true(seen("line 299"));
}

static void log_and_record_are_commands(void **state)
{
    struct cv *t = *state;

    keys(t, "\035s");
    assert_true(strncmp(t->u.ran, "log web web-", 12) == 0);
    keys(t, "\035R");
    assert_true(strncmp(t->u.ran, "record web web-", 15) == 0 && strstr(t->u.ran, ".cast"));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_said_is_seen_and_what_is_typed_is_sent),
        CASE(both_ways_to_leave_are_shown_and_work),
        CASE(the_prefix_twice_types_it),
        CASE(panes_share_the_area_and_one_has_the_keys),
        CASE(keys_for_all_reach_all),
        CASE(who_watches_does_not_type),
        CASE(what_scrolled_off_stands_still_while_more_comes),
        CASE(search_goes_up_and_marks_the_line),
        CASE(a_paste_is_one_piece),
        CASE(the_size_is_typed_only_when_asked),
        CASE(a_guest_that_is_removed_takes_its_pane_along),
        CASE(areas_of_any_size_are_kept),
        CASE(log_and_record_are_commands),
    };

    setlocale(LC_ALL, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
