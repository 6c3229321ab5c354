/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd_record: record, replay.
 */
#include "core/cmd_internal.h"

#include "core/ansi.h"
#include "core/cast.h"
#include "core/clock.h"
#include "core/units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void record_show(struct cmd_run *r, const struct guest *g)
{
    char show[400];

    if (g->cast)
        cmd_printf(r, "%s\n", text_show(show, sizeof show, cast_path(g->cast)));
    else
        cmd_note(r, "%s is not recorded", g->c->name);
    cmd_done(r, CMD_DONE);
}

void exec_record(struct cmd_run *r)
{
    struct guest *g = r->targets.t[0].g;
    const char *path = r->p.arg[1];
    uint64_t size = CAST_SIZE_DEFAULT;
    enum board_console c;
    struct cast *cast = NULL;
    struct err e;

    if (!path) {
        record_show(r, g);
        return;
    }
    if (!cmd_line_option(r, 1, &c))
        return;
    if (r->p.opt[0] && units_size(r->p.opt[0], &size, &e) < 0) {
        cmd_fail(r, "%s", e.msg);
        return;
    }
    if (strcmp(path, "off") != 0 && !(cast = cast_new(r->session, g, c, path, size, &e))) {
        cmd_fail(r, "%s", e.msg);
        return;
    }
    cast_free(g->cast);
    g->cast = cast;
    undo_begin(cmd_undo(r), r->line);
    if (cast)
        undo_step(cmd_undo(r), "record %s off", g->c->name);
    cmd_done(r, CMD_DONE);
}

/* replay: as plain text, in its time. */

enum { REPLAY_ROOM = 64 << 10, PLAIN_BYTES = 16384 };

struct replay {
    struct cast_reader *cast;
    struct loop_timer *timer;
    struct ansi ansi;
    double speed;
    uint64_t begin_ns, at_ns;
    const char *text; /* the next output, shown when its time has come */
    size_t len;
};

static void replay_free(void *state)
{
    struct replay *p = state;

    loop_del_timer(p->timer);
    cast_close(p->cast);
}

static void on_replay_timer(void *arg)
{
    cmd_poll(arg);
}

static void replay_print(struct cmd_run *r, struct replay *p)
{
    char plain[2 * PLAIN_BYTES + 1];

    for (size_t n; p->len; p->len -= n, p->text += n) {
        n = p->len < PLAIN_BYTES ? p->len : PLAIN_BYTES;
        text_add(&r->out, plain, ansi_plain(&p->ansi, (const uint8_t *)p->text, n, plain));
    }
    if (!r->json)
        cmd_flush(r);
}

static void poll_replay(struct cmd_run *r)
{
    struct replay *p = r->state;
    struct err e;
    int rc = 1;

    while (!r->cancelled) {
        uint64_t due = p->begin_ns + (uint64_t)((double)p->at_ns / p->speed), now = clock_mono_ns();

        if (r->client.room && r->client.room(r->client.opaque) < REPLAY_ROOM)
            due = now + 10000000; /* who reads is slower than that */
        if (due > now) {
            loop_arm_ns(p->timer, due - now);
            return;
        }
        replay_print(r, p);
        rc = cast_next(p->cast, &p->at_ns, &p->text, &p->len, &e);
        if (rc <= 0)
            break;
    }
    if (rc < 0)
        cmd_fail(r, "%s", e.msg);
    else
        cmd_done(r, CMD_DONE);
}

void exec_replay(struct cmd_run *r)
{
    struct replay *p = cmd_state(r, sizeof *p, replay_free);
    struct err e;
    char *end;

    if (!p)
        return;
    p->speed = r->p.arg[1] ? strtod(r->p.arg[1], &end) : 1;
    if (r->p.arg[1] && (*end || !(p->speed >= 0.01 && p->speed <= 1000))) {
        cmd_fail(r, "a speed is a number from 0.01 to 1000; 2 is twice as fast");
        return;
    }
    if (session_view_replay(r->session, r->p.arg[0], p->speed, r))
        return; /* the user interface shows it */
    p->cast = cast_open(r->p.arg[0], &e);
    p->timer = p->cast ? loop_add_timer(session_loop(r->session), on_replay_timer, r, &e) : NULL;
    p->begin_ns = clock_mono_ns();
    if (!p->timer)
        cmd_fail(r, "%s", e.msg);
    else
        cmd_wait(r, poll_replay, 0);
}
