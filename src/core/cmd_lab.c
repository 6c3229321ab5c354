/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd_lab: what the lab's file says about itself, and its own checks.
 */
#include "core/cmd_internal.h"

#include <string.h>

static void tell(struct cmd_run *r)
{
    const struct lab_story *l = session_story(r->session);

    if (!l->title && !l->about && !l->checks) {
        cmd_note(r, "this lab says nothing about itself: its file may have `title`, `about` and `checks`");
        cmd_done(r, CMD_DONE);
        return;
    }
    if (l->title)
        cmd_printf(r, "%s\n", l->title);
    if (l->about)
        cmd_printf(r, "%s%s", l->title ? "\n" : "", l->about);
    if (l->about && *l->about && l->about[strlen(l->about) - 1] != '\n')
        cmd_printf(r, "\n");
    if (l->checks)
        cmd_printf(r, "%s`lab check` looks whether it is so.\n", l->about ? "\n" : "");
    cmd_done(r, CMD_DONE);
}

void exec_lab(struct cmd_run *r)
{
    const struct lab_story *l = session_story(r->session);

    if (!r->p.arg[0])
        tell(r);
    else if (strcmp(r->p.arg[0], "check") != 0)
        cmd_usage_error(r, "it is `lab` or `lab check`");
    else if (!l->checks)
        cmd_fail(r, "this lab has no `checks`");
    else
        cmd_run_lines(r, l->checks, CMD_PART_SPEAKS);
}
