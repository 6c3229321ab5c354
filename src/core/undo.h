/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * undo: for each command that changed something, the commands that put it back; and the
 * sentence why not, where nothing can.
 */
#ifndef RUCHE_CORE_UNDO_H
#define RUCHE_CORE_UNDO_H

#include <stdbool.h>

enum { UNDO_KEPT = 64 };

struct undo;

struct undo *undo_new(void);
void undo_free(struct undo *u);

/* Nobody records anything in NULL. */

/* Begins the record of one command, written as `what`. Nothing is kept if no step is added. */
void undo_begin(struct undo *u, const char *what);
void undo_step(struct undo *u, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The command `what` cannot be taken back, because. */
void undo_never(struct undo *u, const char *what, const char *because);

/* Takes the last record off. False: there is none. `*lines`: commands with a newline after each,
 * NULL if it cannot be taken back, then `*why` is the sentence. The caller frees all three. */
bool undo_pop(struct undo *u, char **what, char **lines, char **why);

#endif
