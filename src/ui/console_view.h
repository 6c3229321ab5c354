/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * console_view: guests' terminals in the full-screen console: one over the whole area, or several
 * side by side; typed to, or only watched; with what scrolled off, search, and keys for all of
 * them at once. Ctrl-] is the prefix of its own keys, F12 leaves. Threads: main's.
 */
#ifndef RUCHE_UI_CONSOLE_VIEW_H
#define RUCHE_UI_CONSOLE_VIEW_H

#include "core/session.h"
#include "ui/view.h"

enum { CONSOLE_PANES_MAX = 16 };

/* A view of one guest's line. `watch`: what is typed does not reach it. NULL and `e`. */
struct view *console_view_new(struct ui *u, struct guest *g, enum board_console c, bool watch, struct err *e);

/* One pane more, unless it is there already. -ENOSPC, -ENOMEM. */
int console_view_add(struct view *v, struct guest *g, enum board_console c, struct err *e);

/* A recording, played in its own time. NULL and `e`. */
struct view *replay_view_new(struct ui *u, const char *path, double speed, struct err *e);

#endif
