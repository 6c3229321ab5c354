/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ui: see ui.h. The stack of views, the loop's side of it, and the frame.
 */
#define NCURSES_WIDECHAR 1
#include "ui/ui_internal.h"

#include "core/clock.h"
#include "core/log.h"
#include "ui/cmdline.h"
#include "ui/screen.h"
#include "ui/term.h"

#include <curses.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Frames are so far apart, but those that answer a key. */
enum { GAP_NS = 33000000, KEY_GAP_NS = 4000000, MIN_ROWS = 10, MIN_COLS = 40, CTRL_L = 12, CTRL_Z = 26, ESCAPE = 27, HINT_KEYS = 3 };
static const uint64_t message_for_ns = 10000000000;

/* What views ask. */

struct session *ui_session(struct ui *u)
{
    return u->session;
}

struct guest *ui_selected(struct ui *u)
{
    struct row *r = u->table ? table_selected(u->table) : NULL;

    return r ? r->g : NULL;
}

bool ui_readonly(struct ui *u)
{
    return u->readonly;
}

static void draw_after(struct ui *u, uint64_t gap_ns)
{
    uint64_t since = clock_ns(CLOCK_MONOTONIC) - u->drawn_ns;

    if (u->closing)
        return;
    u->dirty = true;
    loop_arm_ns(u->draw_timer, since < gap_ns ? gap_ns - since : 1);
}

void ui_redraw(struct ui *u)
{
    if (!u->dirty)
        draw_after(u, GAP_NS);
}

void ui_redraw_now(struct ui *u)
{
    draw_after(u, KEY_GAP_NS);
}

void ui_say(struct ui *u, bool bad, const char *fmt, ...)
{
    char buf[UI_MESSAGE];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(buf, sizeof buf, fmt, ap);
    va_end(ap);
    text_show(u->message, sizeof u->message, buf);
    u->message_bad = bad;
    u->message_ns = clock_ns(CLOCK_MONOTONIC);
    ui_redraw(u);
}

void ui_run(struct ui *u, const char *fmt, ...)
{
    char *line;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&line, fmt, ap) < 0)
        line = NULL;
    va_end(ap);
    if (line)
        ui_run_line(u, line);
    free(line);
}

void ui_push(struct ui *u, struct view *v)
{
    if (!v)
        return;
    v->ui = u;
    v->below = u->top;
    u->top = v;
    ui_redraw(u);
}

static void bury(void *arg)
{
    struct ui *u = arg;

    while (u->dying) {
        struct view *v = u->dying;

        u->dying = v->below;
        v->ops->free(v);
    }
}

void ui_pop(struct ui *u, struct view *v)
{
    for (struct view **p = &u->top; *p; p = &(*p)->below) {
        if (*p == v && v != u->table) {
            *p = v->below;
            v->below = u->dying;
            u->dying = v;
            loop_post(u->loop, bury, u);
            break;
        }
    }
    ui_redraw(u);
}

/* The frame. */

static bool message_is_fresh(const struct ui *u)
{
    return u->message[0] && clock_ns(CLOCK_MONOTONIC) - u->message_ns < message_for_ns;
}

static void draw_hint(int y, int w)
{
    static const char *const hint[][2] = {{"up down", "pick a guest"}, {"a", "type in it"}, {"F12", "back"}, {"+ -", "its share"}, {"?", "all keys"}, {"q", "out"}};
    int x = 1;

    for (unsigned i = 0; i < sizeof hint / sizeof *hint; i++) {
        x += draw_text(y, x, w - x, ROLE_KEY, hint[i][0]) + 1;
        x += draw_text(y, x, w - x, ROLE_TEXT, hint[i][1]) + 2;
    }
}

/* Something went wrong just now: that goes before the hint. */
static bool is_alarm(const struct event *e)
{
    bool bad = e && (e->kind == EV_FAILED || e->kind == EV_DEVICE || (e->kind == EV_STATE && strstr(e->text, "crashed")));

    return bad && clock_ns(CLOCK_REALTIME) < e->real_ns + message_for_ns;
}

static void draw_message(struct ui *u, int y, int w)
{
    struct events *ev = session_events(u->session);
    uint64_t last = events_last(ev);
    char when[16], show[260];
    int x = 1;

    if (message_is_fresh(u)) {
        draw_fmt(y, 1, w - 2, u->message_bad ? ROLE_BAD : ROLE_TEXT, "%s", u->message);
        return;
    }
    if (u->hint && !is_alarm(events_get(ev, last))) {
        draw_hint(y, w);
        return;
    }
    for (uint64_t i = 0; i < 3 && last > i && x < w - 24; i++) {
        const struct event *e = events_get(ev, last - i);

        if (!e)
            break;
        x += draw_fmt(y, x, w - x - 1, ROLE_DIM, "%.8s ", event_time(e, when));
        x += draw_fmt(y, x, w - x - 1, e->kind == EV_FAILED || e->kind == EV_DEVICE ? ROLE_BAD : ROLE_TEXT, "%s%s%s",
                      e->guest, e->guest[0] ? " " : "", text_show(show, sizeof show, e->text)) + 3;
    }
}

static void draw_question(struct ui *u, int lines, int cols)
{
    int w = (int)text_columns(u->question) + 6;
    struct area a;

    w = w < 36 ? 36 : w > cols - 4 ? cols - 4 : w;
    a = (struct area){lines / 2 - 3, (cols - w) / 2, 5, w};
    draw_clear(a);
    draw_box(a, ROLE_WARN, true, "are you sure?");
    draw_text(a.y + 1, a.x + 3, w - 6, ROLE_TEXT, u->question);
    draw_text(a.y + 3, a.x + 3, w - 6, ROLE_KEY, "y");
    draw_text(a.y + 3, a.x + 5, w - 8, ROLE_DIM, "yes    any other key: no");
}

static bool draw_caret(struct ui *u, int lines, int cols, int *y, int *x)
{
    if (cmdline_active()) {
        *y = lines - 2;
        cmdline_draw(*y, cols, x);
        return true;
    }
    *y = lines - 1;
    *x = cols - 1;
    return u->top->ops->caret && u->top->ops->caret(u->top, y, x);
}

static void draw_stack(struct view *v, struct area a)
{
    if (v->ops->overlay && v->below)
        draw_stack(v->below, a);
    v->ops->draw(v, a);
}

struct area ui_main_area(struct ui *u)
{
    int lines, cols, top;

    screen_size(&lines, &cols);
    top = hostbar_rows(u, lines);
    return (struct area){top, 0, lines - top - 2, cols};
}

static void draw_middle(struct ui *u, int lines, int cols)
{
    if (u->top->ops->full) {
        u->top->ops->draw(u->top, (struct area){0, 0, lines - 1, cols});
        if (message_is_fresh(u)) {
            draw_fill(lines - 2, 0, cols, ROLE_TEXT, ' ');
            draw_message(u, lines - 2, cols);
        }
        return;
    }
    hostbar_draw(u, hostbar_rows(u, lines), cols);
    draw_stack(u->top, ui_main_area(u));
    if (!cmdline_active())
        draw_message(u, lines - 2, cols);
}

static void draw_frame(struct ui *u)
{
    int lines, cols, y = 0, x = 0;
    bool caret = false;

    screen_size(&lines, &cols);
    screen_begin();
    if (lines < MIN_ROWS || cols < MIN_COLS) {
        draw_fmt(0, 0, cols, ROLE_TEXT, "too small: %dx%d", cols, lines);
        if (lines > 1)
            draw_fmt(1, 0, cols, ROLE_TEXT, "needs %dx%d", MIN_COLS, MIN_ROWS);
    } else {
        draw_middle(u, lines, cols);
        if (u->top->ops->keybar)
            u->top->ops->keybar(u->top, lines - 1, cols);
        else
            table_keybar(u, lines - 1, cols);
        caret = draw_caret(u, lines, cols, &y, &x);
        if (u->asking)
            draw_question(u, lines, cols);
    }
    screen_end(caret, y, x);
}

static void on_draw(void *arg)
{
    struct ui *u = arg;

    if (!u->dirty || u->closing)
        return;
    u->drawn_ns = clock_ns(CLOCK_MONOTONIC);
    if (!screen_ready()) { /* the last frame is not out, or somebody else has the terminal */
        loop_arm_ns(u->draw_timer, GAP_NS);
        return;
    }
    u->dirty = false;
    draw_frame(u);
}

/* Samples. */

static void on_sample(void *arg)
{
    struct ui *u = arg;

    loop_arm_ns(u->sample_timer, session_interval_ns(u->session));
    model_sample(&u->model, true);
    if (u->frozen)
        return;
    for (struct view *v = u->top; v; v = v->below)
        if (v->ops->tick)
            v->ops->tick(v);
    ui_redraw(u);
}

/* Input. */

static bool common_key(struct ui *u, const struct key *k)
{
    if (k->special && k->code == KEY_F(1)) {
        ui_push(u, help_new(u, u->top->ops));
        return true;
    }
    if (k->special)
        return false;
    switch (k->code) {
    case CTRL_L:
        screen_repaint();
        break;
    case ':':
        ui_open_command(u, "");
        break;
    case '?':
        ui_push(u, help_new(u, u->top->ops));
        break;
    case ESCAPE:
        if (u->top != u->table)
            ui_pop(u, u->top);
        break;
    default:
        return false;
    }
    return true;
}

static void on_key(struct ui *u, const struct key *k, const struct mouse *m);

static void on_mouse(struct ui *u, const struct mouse *m)
{
    struct key k;
    int lines, cols;

    screen_size(&lines, &cols);
    if (!u->mouse || u->asking)
        return;
    if (m->y == lines - 1 && !u->top->ops->keybar) {
        if (m->button == 0 && !m->release && !cmdline_active() && table_keybar_at(u, m->x, cols, &k))
            on_key(u, &k, m);
    } else if (u->top->ops->mouse) {
        u->top->ops->mouse(u->top, m);
    }
}

/* To pick a guest, and to type in one, is what the hint is about: it stays. */
static bool ends_hint(const struct ui *u, const struct key *k)
{
    static const uint32_t moves[] = {KEY_UP, KEY_DOWN, KEY_HOME, KEY_END, KEY_PPAGE, KEY_NPAGE, KEY_MOUSE_SGR};

    if (u->top->ops->raw || (!k->special && (k->code == 'j' || k->code == 'k' || k->code == 'G')))
        return false;
    for (unsigned i = 0; k->special && i < sizeof moves / sizeof *moves; i++)
        if (k->code == moves[i])
            return false;
    return true;
}

static void on_key(struct ui *u, const struct key *k, const struct mouse *m)
{
    if (u->hint && ends_hint(u, k))
        u->hint--;
    if (k->special && k->code == KEY_MOUSE_SGR) {
        on_mouse(u, m);
    } else if (u->asking) {
        ui_answer(u, !k->special && (k->code == 'y' || k->code == 'Y'));
    } else if (cmdline_active()) {
        cmdline_key(k);
    } else if (u->top->ops->raw) {
        if (u->top->ops->full && u->message[0]) { /* it covers what the view shows */
            u->message[0] = '\0';
            ui_redraw(u);
        }
        u->top->ops->key(u->top, k);
        return; /* drawing now would delay what the guest answers by a frame */
    } else if (!k->special && k->code == CTRL_Z) {
        screen_suspend();
    } else if (!bind_key(u, k) && !u->top->ops->key(u->top, k)) {
        common_key(u, k);
    }
    ui_redraw(u);
}

static void on_input(void *arg, uint32_t events)
{
    struct ui *u = arg;
    struct mouse m = {0};
    struct key k;

    while (!u->closing && screen_key(&k, &m))
        on_key(u, &k, &m);
    if ((events & (EPOLLHUP | EPOLLERR)) && !u->closing) {
        u->closing = true;
        loop_del_fd(u->in);
        u->in = NULL;
        log_msg(LOG_INFO, "the terminal is gone: guests are stopped");
        session_quit(u->session, 128 + SIGHUP);
    }
}

static void on_stderr(void *arg, uint32_t events)
{
    struct ui *u = arg;
    char buf[UI_MESSAGE];
    size_t n = screen_errors(buf, sizeof buf - 1);

    (void)events;
    buf[n] = '\0';
    buf[strcspn(buf, "\n")] = '\0';
    if (buf[0])
        ui_say(u, true, "%s", buf);
}

void ui_signal(struct ui *u, int sig)
{
    if (sig == SIGTSTP)
        screen_suspend();
    else if (sig == SIGWINCH)
        screen_resize();
    ui_redraw(u);
}

/* Of the session. */

/* Rows of guests that the session no longer has: their views end before the guest is freed. */
static void forget_removed(struct ui *u)
{
    for (unsigned i = 0; i < u->model.n; i++) {
        struct guest *g = u->model.rows[i].g, *have = session_guests(u->session);

        while (have && have != g)
            have = have->next;
        if (have)
            continue;
        for (struct view *v = u->top, *next; v; v = next) {
            next = v->below;
            if (v->ops->gone)
                v->ops->gone(v, g);
        }
        model_forget(&u->model, g);
        i--;
    }
}

static void on_event(void *opaque, const struct event *ev)
{
    struct ui *u = opaque;

    forget_removed(u);
    if (ev->kind == EV_STATE || ev->kind == EV_CONFIG || ev->kind == EV_SESSION)
        model_sample(&u->model, false);
    ui_redraw(u);
}

static void on_quit(void *opaque)
{
    struct ui *u = opaque;

    u->closing = true;
    cmdline_close();
    screen_leave();
}

static void output_write(void *opaque, enum cmd_stream to, const char *text, size_t len)
{
    ui_say(opaque, to == CMD_ERROR, "%.*s", (int)len, text);
}

static void output_done(void *opaque, int status)
{
    (void)opaque;
    (void)status;
}

static int open_sources(struct ui *u, struct err *e)
{
    u->in = loop_add_fd(u->loop, 0, EPOLLIN, on_input, u, e);
    if (screen_errors_fd() >= 0)
        u->errors = loop_add_fd(u->loop, screen_errors_fd(), EPOLLIN, on_stderr, u, e);
    u->draw_timer = loop_add_timer(u->loop, on_draw, u, e);
    u->sample_timer = loop_add_timer(u->loop, on_sample, u, e);
    return u->in && (u->errors || screen_errors_fd() < 0) && u->draw_timer && u->sample_timer ? 0 : -ENOMEM;
}

static int begin(struct ui *u, const struct ui_params *p, struct err *e)
{
    struct session_listener l = {.event = on_event, .quit = on_quit, .opaque = u};
    struct cmd_client out = {.write = output_write, .done = output_done, .opaque = u};

    if (screen_open(u->loop, p->ascii, e) < 0 || open_sources(u, e) < 0)
        return -1;
    u->hint = cmdline_init(u->session) ? 0 : HINT_KEYS;
    u->table = table_new(u);
    if (!u->table || model_init(&u->model, u->session) < 0)
        return err_set(e, ENOMEM, "out of memory");
    ui_push(u, u->table);
    session_listen(u->session, &l);
    session_set_output(u->session, &out);
    ui_attach_init(u);
    ui_settings_init(u);
    for (int t = 0; p->theme && t < THEMES; t++)
        if (strcmp(p->theme, draw_theme_name((enum draw_theme)t)) == 0)
            draw_set_theme((enum draw_theme)t);
    model_sample(&u->model, false);
    on_sample(u);
    return 0;
}

struct ui *ui_new(struct session *s, const struct ui_params *p, struct err *e)
{
    struct ui *u = calloc(1, sizeof *u);

    if (!u) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    u->session = s;
    u->loop = session_loop(s);
    u->readonly = p->readonly;
    if (begin(u, p, e) < 0) {
        ui_free(u);
        return NULL;
    }
    return u;
}

void ui_free(struct ui *u)
{
    if (!u)
        return;
    u->closing = true;
    ui_attach_fini(u);
    ui_settings_fini(u);
    bind_fini(u);
    session_unlisten(u->session, u);
    ui_runs_fini(u);
    cmdline_fini();
    while (u->top) {
        struct view *v = u->top;

        u->top = v->below;
        v->ops->free(v);
    }
    bury(u);
    loop_del_fd(u->in);
    loop_del_fd(u->errors);
    loop_del_timer(u->draw_timer);
    loop_del_timer(u->sample_timer);
    screen_close();
    model_fini(&u->model);
    term_restore();
    free(u);
}
