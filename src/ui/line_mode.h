/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * line_mode: the plain interactive mode: a prompt, what happens above it, and the terminal of a
 * guest when asked for. For dumb terminals, screen readers, and who likes it.
 */
#ifndef RUCHE_UI_LINE_MODE_H
#define RUCHE_UI_LINE_MODE_H

#include "core/session.h"

struct line_mode;

/* Takes the terminal. `attach`: begin on this guest's serial line (NULL: at the prompt), and
 * end the session when it ends there. */
struct line_mode *line_mode_new(struct session *s, const char *attach, struct err *e);
void line_mode_free(struct line_mode *m); /* restores the terminal */

/* Signals, from the main loop: SIGINT, SIGWINCH, SIGTSTP, SIGCONT. */
void line_mode_signal(struct line_mode *m, int sig);

/* True while a guest has the terminal. */
bool line_mode_attached(const struct line_mode *m);

#endif
