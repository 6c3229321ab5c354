/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * attach: a guest's console on the terminal, raw: what is typed goes to the guest, what it says
 * is shown as it is, but for the sequences that would change the terminal itself (core/ansi.h).
 *
 * Ctrl-] or F12 ends it; Ctrl-] twice within a moment types one. Works on pipes too: then
 * nothing ends it but the guest, and the end of input is only the end of typing.
 */
#ifndef RUCHE_UI_ATTACH_H
#define RUCHE_UI_ATTACH_H

#include "core/session.h"

struct attach;

enum attach_end { ATTACH_DETACHED, ATTACH_GUEST_ENDED, ATTACH_LOST };

/* Takes the terminal. `end` is called once from the loop, after the terminal is restored; the
 * object is freed by then. */
struct attach *attach_new(struct session *s, struct guest *g, enum board_console c,
                          void (*end)(void *arg, enum attach_end why), void *arg, struct err *e);
void attach_free(struct attach *a); /* before its end; restores the terminal */

void attach_resize(struct attach *a); /* SIGWINCH */

/* Something happened to its guest: ends when it will say nothing more. */
void attach_check(struct attach *a);
struct guest *attach_guest(struct attach *a);

#endif
