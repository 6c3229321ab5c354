/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * draw: cells on the screen: text in roles, glyphs by what the terminal can show.
 *
 * A role is what a text means, not how it looks; themes say how (draw_set_theme). Nothing is
 * ever told by colour alone. Everything is drawn anew in each frame and clipped to its area;
 * curses finds out what changed.
 *
 * A singleton, as there is one screen. Threads: main's.
 */
#ifndef RUCHE_UI_DRAW_H
#define RUCHE_UI_DRAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wchar.h>

struct area {
    int y, x, h, w;
};

enum role {
    ROLE_TEXT,   /* the terminal's own colour */
    ROLE_DIM,    /* units, rules, what is less important */
    ROLE_TITLE,  /* heading of a pane */
    ROLE_HEAD,   /* column heads */
    ROLE_GOOD,   /* runs */
    ROLE_WARN,   /* paused, contended */
    ROLE_BAD,    /* crashed, refused */
    ROLE_ACCENT, /* graphs, what the eye shall find first */
    ROLE_SELECT, /* the row under the cursor */
    ROLE_KEY,    /* a key in the key bar */
    ROLE_LEDGER, /* + enum ledger_state */
    ROLE_GUEST = ROLE_LEDGER + 8, /* + index mod ROLE_GUESTS: colour of a guest */
    ROLE_GUESTS = 8,
    ROLES = ROLE_GUEST + ROLE_GUESTS
};

enum draw_theme { THEME_DARK, THEME_LIGHT, THEME_MONO, THEMES };
enum draw_graph { GRAPH_BRAILLE, GRAPH_BLOCK, GRAPH_CP437, GRAPH_ASCII, GRAPHS };

/* Lines and marks, by what can be shown. */
struct glyphs {
    wchar_t hline, vline, ul, ur, ll, lr; /* box */
    wchar_t hheavy, vheavy, hul, hur, hll, hlr; /* box with the focus */
    wchar_t bar, bar_half, bar_rest;  /* thin bars in rows */
    wchar_t full, mark, more, dot, others;
};

/* What the terminal can do; once, after curses has begun. `ascii`: nothing but ASCII. */
void draw_init(bool ascii);
void draw_set_theme(enum draw_theme t);
enum draw_theme draw_theme(void);
const char *draw_theme_name(enum draw_theme t);
bool draw_mono(void); /* no colour: by theme, by NO_COLOR, or the terminal has none */
/* The best that can be shown if `g` cannot. */
void draw_set_graph(enum draw_graph g);
enum draw_graph draw_graph(void);
const char *draw_graph_name(enum draw_graph g);
const struct glyphs *draw_glyphs(void);
bool draw_is_ascii(void);

/* Nothing is drawn outside of `a` until draw_unclip: for what is scrolled. */
void draw_clip(struct area a);
void draw_unclip(void);

/* All clip to the screen; text also to `w` columns. Invalid or control characters become '?'.
 * Return columns used. */
int draw_text(int y, int x, int w, enum role r, const char *utf8);
int draw_right(int y, int x, int w, enum role r, const char *utf8); /* at the right of [x, x+w) */
int draw_fmt(int y, int x, int w, enum role r, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void draw_cell(int y, int x, enum role r, wchar_t c);
void draw_cells(int y, int x, int n, enum role r, const wchar_t *c);
void draw_two(int y, int x, enum role fg, enum role bg, wchar_t c); /* one role's colour on another's */
void draw_fill(int y, int x, int w, enum role r, wchar_t c);
void draw_box(struct area a, enum role r, bool heavy, const char *title);
void draw_clear(struct area a);
void draw_highlight(int y, int x, int w); /* the row is selected: keeps the text */

/* A cell of a guest's own screen: `c` is a base character with its combining ones, 0 at the
 * end; colours are palette indices, -1 the default; `attr` are curses' (A_BOLD, ...). */
void draw_raw(int y, int x, const wchar_t *c, int fg, int bg, unsigned attr);
int draw_colors(void); /* of the palette: 0, 8, 16, 256 */

#endif
