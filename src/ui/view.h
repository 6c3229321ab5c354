/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * view: a part of the full-screen console: it draws into an area and gets the keys when it has
 * the focus. The console (ui.h) keeps a stack of them; Escape goes back by one.
 *
 * A view embeds `struct view` as its first member and sets `ops`. Threads: main's.
 */
#ifndef RUCHE_UI_VIEW_H
#define RUCHE_UI_VIEW_H

#include "ui/draw.h"

struct guest;
struct session;
struct ui;
struct view;

/* A key as curses tells it. */
struct key {
    uint32_t code; /* character, or KEY_... of curses if `special` */
    bool special, alt;
};

/* Special keys of our own, above those of curses. */
enum { KEY_PASTE_BEGIN = 0x4000, KEY_PASTE_END, KEY_MOUSE_SGR };

struct mouse {
    int y, x;       /* on the screen, from 0 */
    int button;     /* 0 left, 1 middle, 2 right, 64 wheel up, 65 wheel down */
    bool release;
};

struct key_help { /* a line of the help overlay; ends with a NULL key */
    const char *key, *what;
};

struct view_ops {
    const char *name; /* in the help overlay */
    const struct key_help *keys;
    bool overlay; /* draws a box over what is below */
    bool raw; /* gets every key, `:` and Escape too (a guest's terminal), and says itself when to draw */
    bool full; /* has the whole screen but for the key bar */
    void (*draw)(struct view *v, struct area a);
    bool (*key)(struct view *v, const struct key *k);     /* false: not mine */
    bool (*mouse)(struct view *v, const struct mouse *m); /* NULL: none */
    void (*tick)(struct view *v);                         /* a new sample; NULL: none */
    bool (*caret)(struct view *v, int *y, int *x);        /* where the cursor blinks; NULL: nowhere */
    void (*keybar)(struct view *v, int y, int w);         /* NULL: the usual */
    void (*gone)(struct view *v, struct guest *g);        /* this guest is being removed; NULL: none */
    void (*free)(struct view *v);
};

struct view {
    const struct view_ops *ops;
    struct ui *ui;
    struct view *below; /* the console's */
};

/* What a view may ask of the console. */
struct session *ui_session(struct ui *u);
void ui_push(struct ui *u, struct view *v); /* on top, with the focus; owned by the console */
void ui_pop(struct ui *u, struct view *v);  /* frees it (in the next turn of the loop) */
bool ui_readonly(struct ui *u);             /* nothing here may change a guest, the session, a file */
void ui_redraw(struct ui *u);               /* soon */
void ui_redraw_now(struct ui *u);           /* it answers a key: sooner */
void ui_say(struct ui *u, bool bad, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void ui_run(struct ui *u, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* a command */
struct guest *ui_selected(struct ui *u);    /* in the table; NULL: none */

#endif
