/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * term: the terminal that the program was started on: its settings, kept and always put back.
 *
 * A singleton, as there is one terminal. term_raw and term_restore may be called at any time
 * on main; a crash or an exit by any way restores too, and the reason is printed.
 */
#ifndef RUCHE_UI_TERM_H
#define RUCHE_UI_TERM_H

#include <stdbool.h>
#include <stddef.h>

/* Remembers the settings and sets handlers for crashes. False: input or output is no terminal. */
bool term_init(void);

void term_raw(void);     /* every key as it is, Ctrl-C too */
void term_restore(void); /* as it was; from signal handlers too */
bool term_is_raw(void);

/* What term_restore also writes, to `fd` (the sequences that leave the full screen), and what
 * stderr becomes again, -1: stays. NULL: nothing more. */
void term_set_exit(int fd, int err_fd, const char *sequence);

void term_size(unsigned *cols, unsigned *rows); /* 80x24 if it does not tell */

/* A descriptor for output that never blocks: a description of its own of fd 1 where that is
 * possible (terminal, pipe), else fd 1. */
int term_output_fd(void);

/* Can the terminal move its cursor and clear lines? (TERM=dumb cannot.) */
bool term_is_dumb(void);

/* Stops the process as Ctrl-Z does; returns when it is continued. */
void term_suspend(void);

#endif
