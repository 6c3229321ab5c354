/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * screen: the terminal in full-screen mode. A frame is one write, and a terminal that does not
 * read never stops the program: what it does not take waits, and the next frames are left out.
 *
 * A singleton, as there is one terminal. Threads: main's.
 */
#ifndef RUCHE_UI_SCREEN_H
#define RUCHE_UI_SCREEN_H

#include "core/err.h"
#include "ui/view.h"

#include <stdbool.h>

struct loop;

/* Can this terminal be used so? (It is one, and its cursor can be moved.) */
bool screen_possible(void);

int screen_open(struct loop *l, bool ascii, struct err *e);
void screen_close(void); /* the terminal is as it was */

/* The next key; false: no more for now. */
bool screen_key(struct key *k, struct mouse *m);

/* True if the last frame is out: only then a new one is to be drawn. */
bool screen_ready(void);
void screen_begin(void);                       /* a frame: everything is blank */
void screen_end(bool caret, int y, int x);     /* shows it */
void screen_size(int *rows, int *cols);
void screen_resize(void);                      /* after SIGWINCH */
void screen_repaint(void);                     /* Ctrl-L */
void screen_mouse(bool on);
void screen_suspend(void);                     /* as by Ctrl-Z; returns when continued */

/* For somebody else who takes the terminal (raw attach), and back. */
void screen_leave(void);
void screen_enter(void);

/* What was written to stderr meanwhile; 0: nothing. */
size_t screen_errors(char *buf, size_t size);
int screen_errors_fd(void); /* -1: stderr goes elsewhere */

uint64_t screen_bytes(void); /* written so far */

#endif
