/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * console_pane: what console_view.c and console_keys.c share: the panes and what the person is
 * doing with them.
 */
#ifndef RUCHE_UI_CONSOLE_PANE_H
#define RUCHE_UI_CONSOLE_PANE_H

#include "ui/console_view.h"
#include "ui/emu_draw.h"
#include "ui/guest_term.h"
#include "ui/paste.h"

struct pane {
    struct console_view *owner;
    struct guest_term *term;
    struct area area;  /* of its cells, in the last frame */
    unsigned answers;  /* changes that are shown at once, since a key was typed */
    bool scrolling;    /* looks at what scrolled off */
    uint64_t top;      /* then: the line at its top, counted from the guest's first */
    int found;         /* row that a search has found, counted as `top`; -1: none */
};

enum console_mode { CONSOLE_TYPE, CONSOLE_PREFIX, CONSOLE_SEARCH, CONSOLE_HELP };

struct console_view {
    struct view v;
    struct pane *panes[CONSOLE_PANES_MAX];
    unsigned n, focus;
    bool zoom;      /* only the one with the focus */
    bool whole;     /* the last frame had no status row */
    bool watch;     /* keys do not reach the guest */
    bool broadcast; /* keys reach the guests of all panes */
    enum console_mode mode;
    char search[64]; /* what is looked for, UTF-8 */
    size_t nsearch;
    struct paste paste;
    struct loop_timer *settle; /* the size of a virtio console's pane has changed */
};

extern const struct key_help console_keys[];

static inline struct pane *console_focus(struct console_view *c)
{
    return c->panes[c->focus];
}

bool console_view_key(struct view *v, const struct key *k);
void console_view_close_pane(struct console_view *c, unsigned i); /* the last one: leaves */

/* The first row and column that a pane shows now. */
struct emu_port pane_port(struct pane *p);
void pane_scroll(struct pane *p, int lines); /* < 0: into the past; at the end it is live again */
bool pane_search(struct pane *p, const char *what, int step);
int pane_save(const struct pane *p, char *path, size_t size); /* visible text; path is made up. -errno */

#endif
