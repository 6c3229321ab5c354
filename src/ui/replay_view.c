/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * replay_view: a recording (core/cast.h) in the full-screen console: the terminal it was made
 * on, in its own time; faster, slower, paused. The file may come from anywhere: what it holds
 * is as hostile as a guest. Threads: main's.
 */
#define NCURSES_WIDECHAR 1
#include "ui/console_view.h"

#include "core/cast.h"
#include "core/clock.h"
#include "core/loop.h"
#include "ui/emu_draw.h"

#include <curses.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 16384 };

struct replay_view {
    struct view v;
    struct cast_reader *cast;
    struct emu *emu;
    struct loop_timer *timer;
    char name[80];
    double speed;
    uint64_t at_ns, seen_ns; /* of the recording: of the next output, and now */
    uint64_t clock_ns;       /* when seen_ns was that */
    const char *text;        /* the next output */
    size_t len;
    bool paused, over;
};

static uint64_t now_in_cast(const struct replay_view *r)
{
    if (r->paused || r->over)
        return r->seen_ns;
    return r->seen_ns + (uint64_t)((double)(clock_mono_ns() - r->clock_ns) * r->speed);
}

static void keep_time(struct replay_view *r)
{
    r->seen_ns = now_in_cast(r);
    r->clock_ns = clock_mono_ns();
}

static void say_nothing(void *arg, const char *bytes, size_t len)
{
    (void)arg;
    (void)bytes;
    (void)len;
}

static void step(void *arg)
{
    struct replay_view *r = arg;
    struct err e;
    size_t n;
    int rc;

    keep_time(r);
    ui_redraw(r->v.ui);
    for (unsigned turns = 0; !r->paused && !r->over; turns++) {
        if (r->at_ns > r->seen_ns || turns == 16) {
            uint64_t left = r->at_ns > r->seen_ns ? r->at_ns - r->seen_ns : 1;

            loop_arm_ns(r->timer, (uint64_t)((double)left / r->speed) + 1);
            return;
        }
        n = r->len < CHUNK ? r->len : CHUNK;
        emu_feed(r->emu, (const uint8_t *)r->text, n);
        r->text += n;
        r->len -= n;
        if (r->len)
            continue;
        rc = cast_next(r->cast, &r->at_ns, &r->text, &r->len, &e);
        r->over = rc <= 0;
        if (rc < 0)
            ui_say(r->v.ui, true, "%s", e.msg);
    }
}

static bool key(struct view *v, const struct key *k)
{
    struct replay_view *r = (struct replay_view *)v;

    keep_time(r);
    if (k->special) {
        if (k->code == KEY_F(12))
            ui_pop(v->ui, v);
        return k->code == KEY_F(12);
    }
    switch (k->code) {
    case ' ':
        r->paused = !r->paused;
        break;
    case '+':
        r->speed = r->speed < 64 ? r->speed * 2 : r->speed;
        break;
    case '-':
        r->speed = r->speed > 0.1 ? r->speed / 2 : r->speed;
        break;
    case '.': /* at once to the next output */
        r->seen_ns = r->at_ns;
        break;
    case 'q':
    case 0x1b:
    case 0x1d:
        ui_pop(v->ui, v);
        return true;
    default:
        return false;
    }
    step(r);
    return true;
}

static void draw(struct view *v, struct area a)
{
    struct replay_view *r = (struct replay_view *)v;

    emu_draw(r->emu, a, emu_port_live(r->emu, a));
}

static void draw_status(struct view *v, int y, int w)
{
    struct replay_view *r = (struct replay_view *)v;

    draw_fill(y, 0, w, ROLE_SELECT, ' ');
    draw_fmt(y, 0, w, ROLE_SELECT, " replay %s  %.1f s  x%g  %s   Space pause  + - speed  . skip a pause  q leaves", r->name,
             (double)now_in_cast(r) / 1e9, r->speed, r->over ? "END" : r->paused ? "PAUSED" : "PLAYS");
}

static void tick(struct view *v)
{
    ui_redraw(v->ui);
}

static void free_view(struct view *v)
{
    struct replay_view *r = (struct replay_view *)v;

    loop_del_timer(r->timer);
    cast_close(r->cast);
    emu_free(r->emu);
    free(r);
}

static const struct key_help keys[] = {
    {"Space", "pause, go on"},
    {"+ -", "faster, slower"},
    {".", "skip a pause"},
    {"q Esc F12", "leave"},
    {NULL, NULL},
};

static const struct view_ops ops = {
    .name = "replay",
    .keys = keys,
    .draw = draw,
    .key = key,
    .tick = tick,
    .keybar = draw_status,
    .free = free_view,
};

struct view *replay_view_new(struct ui *u, const char *path, double speed, struct err *e)
{
    struct replay_view *r = calloc(1, sizeof *r);
    const char *base = strrchr(path, '/');

    if (!r) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    r->v.ops = &ops;
    r->v.ui = u;
    r->speed = speed;
    snprintf(r->name, sizeof r->name, "%s", base ? base + 1 : path);
    r->cast = cast_open(path, e);
    r->emu = r->cast ? emu_new(cast_cols(r->cast), cast_rows(r->cast), say_nothing, r) : NULL;
    r->timer = r->emu ? loop_add_timer(session_loop(ui_session(u)), step, r, e) : NULL;
    if (!r->timer) {
        free_view(&r->v);
        return NULL;
    }
    r->clock_ns = clock_mono_ns();
    loop_arm_ns(r->timer, 1);
    return &r->v;
}
