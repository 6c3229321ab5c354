/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * prompt: a line editor on the terminal, by readline, driven by the main loop.
 *
 * readline is a singleton, so there is one prompt. Other output goes through prompt_print,
 * which takes the line away, prints, and draws the line again. The history is kept in
 * ${XDG_STATE_HOME:-~/.local/state}/ruche/history.
 */
#ifndef RUCHE_UI_PROMPT_H
#define RUCHE_UI_PROMPT_H

#include "core/session.h"

#include <stdbool.h>
#include <stddef.h>

/* What every use of readline here needs: completion by the command table, the history file. */
void prompt_setup(struct session *s);
void prompt_remember(const char *line); /* into the history, unless it was the last one too */
void prompt_save(void);                 /* the history file */

/* `line` is called with what was entered, NULL at the end of input. */
int prompt_open(struct session *s, void (*line)(void *arg, const char *text), void *arg, struct err *e);
void prompt_close(void); /* saves the history */

/* Begins to read a line; with `keep` it goes into the history. */
void prompt_show(const char *prompt, bool keep);
void prompt_hide(void);               /* gives the terminal to something else */
void prompt_interrupt(void);          /* Ctrl-C: a new, empty line */
void prompt_resize(void);

/* Prints above the line, to stdout or stderr. */
void prompt_print(bool error, const char *text, size_t len);

#endif
