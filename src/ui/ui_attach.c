/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ui_attach: guests' terminals in the full-screen console: `console VM`, and all that are up
 * side by side.
 */
#include "ui/ui_internal.h"

#include "ui/console_view.h"

#include <errno.h>

static int on_attach(void *opaque, struct guest *g, enum board_console c, struct cmd_run *run, struct err *e)
{
    struct ui *u = opaque;
    struct view *v;
    int rc;

    if (!ui_owns(u, run))
        return err_set(e, ENOTTY, "`console` needs a terminal of its own: use it at the prompt; here `watch`, `send` "
                       "and `expect` do the same");
    if (u->attach_run == run && u->attached && u->attached == u->top) { /* `console all`: one pane more */
        rc = console_view_add(u->attached, g, c, e);
        return rc < 0 ? rc : 1;
    }
    v = console_view_new(u, g, c, false, e);
    if (!v)
        return -ENOMEM;
    ui_push(u, v);
    u->attached = v;
    u->attach_run = run;
    return 1;
}

static bool on_watch(void *opaque, struct guest *g, enum board_console c, struct cmd_run *run)
{
    struct ui *u = opaque;
    struct view *v;
    struct err e;

    if (!ui_owns(u, run))
        return false;
    v = console_view_new(u, g, c, true, &e);
    if (!v)
        return false;
    ui_push(u, v);
    cmd_done(run, CMD_DONE);
    return true;
}

static bool on_replay(void *opaque, const char *path, double speed, struct cmd_run *run)
{
    struct ui *u = opaque;
    struct view *v;
    struct err e;

    if (!ui_owns(u, run))
        return false;
    v = replay_view_new(u, path, speed, &e);
    if (!v) /* the command finds the error again, and tells it */
        return false;
    ui_push(u, v);
    cmd_done(run, CMD_DONE);
    return true;
}

/* The tagged guests if there are some, else all that are up, as many as there are panes. */
void ui_grid(struct ui *u)
{
    struct view *v = NULL;
    bool tagged = false;
    struct err e;

    for (unsigned i = 0; i < u->model.n; i++)
        tagged |= u->model.rows[i].tagged;
    for (unsigned i = 0; i < u->model.n; i++) {
        struct row *r = &u->model.rows[i];

        if (tagged ? !r->tagged : !r->up)
            continue;
        if (!v)
            v = console_view_new(u, r->g, CONSOLE_SERIAL0, u->readonly, &e);
        else if (console_view_add(v, r->g, CONSOLE_SERIAL0, &e) < 0)
            break;
    }
    if (v)
        ui_push(u, v);
    else
        ui_say(u, true, "no guest is up");
}

void ui_attach_init(struct ui *u)
{
    const struct session_views views = {.watch = on_watch, .replay = on_replay, .bind = bind_command, .opaque = u};

    session_set_attach(u->session, on_attach, u);
    session_set_views(u->session, &views);
}

void ui_attach_fini(struct ui *u)
{
    session_set_attach(u->session, NULL, NULL);
    session_set_views(u->session, NULL);
}
