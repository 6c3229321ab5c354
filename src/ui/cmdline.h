/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmdline: the line at the bottom of the console, edited by readline: its history, inputrc,
 * search and completion, drawn by us. Completions are a popup above it.
 *
 * A singleton, as readline is one. Threads: main's.
 */
#ifndef RUCHE_UI_CMDLINE_H
#define RUCHE_UI_CMDLINE_H

#include "core/session.h"
#include "ui/view.h"

bool cmdline_init(struct session *s); /* true: commands were given before, by the history */
void cmdline_fini(void); /* saves the history */

/* Begins a line. `enter` gets the text, NULL: it was given up. `change`: after each key with
 * the text so far, may be NULL; then it is no command: no history, no completion. */
void cmdline_open(const char *prompt, const char *text, void (*enter)(void *arg, const char *text),
                  void (*change)(void *arg, const char *text), void *arg);
void cmdline_close(void); /* gives up */
bool cmdline_active(void);
void cmdline_key(const struct key *k);

/* In the row `y`; the popup goes above it. Tells where the cursor is. */
void cmdline_draw(int y, int w, int *caret_x);

#endif
