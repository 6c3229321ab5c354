/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ui: the full-screen console: the guests' table, graphs, the command line, the guests' own
 * terminals. Sampling (once an interval) and drawing (when something changed, at most 30 times a
 * second) are two things. Threads: main's.
 */
#ifndef RUCHE_UI_UI_H
#define RUCHE_UI_UI_H

#include "core/session.h"

struct ui;

struct ui_params {
    bool ascii, readonly; /* readonly: no key and no command given here changes anything */
    const char *theme; /* NULL: by the terminal's background */
};

/* Takes the terminal; screen_possible() was true. */
struct ui *ui_new(struct session *s, const struct ui_params *p, struct err *e);
void ui_free(struct ui *u); /* restores the terminal; NULL is legal */

/* Signals, from the main loop: SIGWINCH, SIGTSTP. */
void ui_signal(struct ui *u, int sig);

#endif
