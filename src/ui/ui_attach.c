/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ui_attach: `console VM` in the full-screen console: the guest gets the whole terminal, raw,
 * and the console comes back when the person detaches.
 */
#include "ui/ui_internal.h"

#include "ui/attach.h"
#include "ui/screen.h"

#include <errno.h>
#include <unistd.h>

static void attach_over(void *arg, enum attach_end why)
{
    struct ui *u = arg;
    struct cmd_run *r = u->attach_run;

    u->attach = NULL;
    u->attach_run = NULL;
    if (r)
        cmd_done(r, CMD_DONE);
    if (why == ATTACH_LOST) {
        session_quit(u->session, 1);
        return;
    }
    if (u->closing)
        return;
    screen_enter();
    ui_listen_keys(u, true);
    ui_redraw(u);
}

static int on_attach(void *opaque, struct guest *g, enum board_console c, struct cmd_run *run, struct err *e)
{
    static const char hint[] = "\033[H\033[J[ Ctrl-] or F12 leaves ]\r\n";
    struct ui *u = opaque;
    enum vm_state s = vm_state(g->vm);

    if (!ui_owns(u, run))
        return err_set(e, ENOTTY, "`console` needs a terminal of its own: use it at the prompt; here `watch`, `send` "
                       "and `expect` do the same");
    if (s != VM_RUNNING && s != VM_PAUSED && !g->starting && !g->want_start)
        return err_set(e, EINVAL, "%s is %s: `start %s` first; `watch %s` shows what it said", g->c->name,
                       vm_state_name(s), g->c->name, g->c->name);
    if (u->attach)
        return err_set(e, EBUSY, "the terminal is attached to %s already", attach_guest(u->attach)->c->name);
    ui_listen_keys(u, false);
    screen_leave();
    if (write(1, hint, sizeof hint - 1) < 0)
        errno = 0;
    u->attach_run = run;
    u->attach = attach_new(u->session, g, c, attach_over, u, e);
    if (u->attach)
        return 0;
    u->attach_run = NULL;
    screen_enter();
    ui_listen_keys(u, true);
    return -ENOMEM;
}

void ui_attach_init(struct ui *u)
{
    session_set_attach(u->session, on_attach, u);
}

void ui_attach_fini(struct ui *u)
{
    session_set_attach(u->session, NULL, NULL);
    attach_free(u->attach);
    u->attach = NULL;
}
