/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd_guest: create. A guest described by KEY=VALUE words becomes a lab of one guest, so that
 * `create`, `ruche run` and the lab file know the same keys and make the same checks.
 */
#include "core/cmd_internal.h"

#include "core/lab_words.h"

void exec_create(struct cmd_run *r)
{
    struct lab_host host = *session_host(r->session);
    struct lab *lab;
    struct guest *g;
    struct err e;

    host.memory_available_bytes = UINT64_MAX; /* it is not started yet */
    lab = lab_from_words(r->p.arg[0], r->p.rest, r->p.nrest, &host, &e);
    if (!lab) {
        cmd_fail(r, "%s", e.msg);
        return;
    }
    g = session_add(r->session, &lab->guests[0], &e);
    lab_free(lab);
    if (!g) {
        cmd_fail(r, "%s", e.msg);
        return;
    }
    session_event(r->session, EV_SESSION, g, "was created");
    undo_begin(cmd_undo(r), r->line);
    undo_step(cmd_undo(r), "remove %s", g->c->name);
    cmd_done(r, CMD_DONE);
}
