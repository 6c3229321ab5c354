/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * draw: see draw.h. The palettes: orange, sky blue, bluish green, yellow, blue, vermilion,
 * purple and grey can be told apart by people with the usual kinds of colour blindness. The
 * terminal's own background is always kept, and no text is ever set to black or white.
 */
#define NCURSES_WIDECHAR 1
#include "ui/draw.h"

#include <curses.h>
#include <langinfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIERS = 2 }; /* 256 colours, 8 */

struct look {
    short fg[THEME_MONO][TIERS]; /* -1: the default */
    attr_t attr, mono;
};

#define LOOK(d256, d8, l256, l8, a, m) {{{d256, d8}, {l256, l8}}, a, m}

/* The dark theme's text can be read on white too: not every terminal tells its background. */
static const struct look looks[ROLES] = {
    [ROLE_TEXT] = LOOK(-1, -1, -1, -1, 0, 0),
    [ROLE_DIM] = LOOK(245, -1, 243, -1, 0, 0),
    [ROLE_TITLE] = LOOK(33, 6, 25, 4, A_BOLD, A_BOLD),
    [ROLE_HEAD] = LOOK(-1, -1, -1, -1, A_UNDERLINE, A_UNDERLINE),
    [ROLE_GOOD] = LOOK(35, 2, 29, 2, 0, 0),
    [ROLE_WARN] = LOOK(172, 3, 130, 1, 0, 0),
    [ROLE_BAD] = LOOK(203, 1, 160, 1, A_BOLD, A_BOLD),
    [ROLE_ACCENT] = LOOK(39, 6, 25, 4, 0, 0),
    [ROLE_SELECT] = LOOK(-1, -1, -1, -1, A_REVERSE, A_REVERSE),
    [ROLE_KEY] = LOOK(33, 6, 25, 4, A_BOLD, A_BOLD),
    [ROLE_LEDGER + 0] = LOOK(36, 2, 29, 2, 0, 0),    /* run */
    [ROLE_LEDGER + 1] = LOOK(214, 3, 130, 3, 0, 0),  /* vmm */
    [ROLE_LEDGER + 2] = LOOK(117, 6, 31, 6, 0, 0),   /* poll */
    [ROLE_LEDGER + 3] = LOOK(203, 1, 160, 1, 0, 0),  /* ready */
    [ROLE_LEDGER + 4] = LOOK(175, 5, 133, 5, 0, 0),  /* capped */
    [ROLE_LEDGER + 5] = LOOK(240, -1, 250, -1, 0, 0), /* halt */
    [ROLE_LEDGER + 6] = LOOK(250, -1, 240, -1, 0, 0), /* blocked */
    [ROLE_LEDGER + 7] = LOOK(67, 4, 67, 4, 0, 0),    /* paused */
    [ROLE_GUEST + 0] = LOOK(39, 6, 25, 4, 0, 0),
    [ROLE_GUEST + 1] = LOOK(214, 3, 172, 5, 0, 0),
    [ROLE_GUEST + 2] = LOOK(36, 2, 29, 2, 0, 0),
    [ROLE_GUEST + 3] = LOOK(175, 5, 133, 1, 0, 0),
    [ROLE_GUEST + 4] = LOOK(117, 4, 37, 6, 0, 0),
    [ROLE_GUEST + 5] = LOOK(203, 1, 160, -1, 0, 0),
    [ROLE_GUEST + 6] = LOOK(185, -1, 136, 3, 0, 0),
    [ROLE_GUEST + 7] = LOOK(146, 6, 60, 4, 0, 0),
};

static const struct glyphs unicode = {
    .hline = L'─', .vline = L'│', .ul = L'┌', .ur = L'┐', .ll = L'└', .lr = L'┘',
    .hheavy = L'━', .vheavy = L'┃', .hul = L'┏', .hur = L'┓', .hll = L'┗', .hlr = L'┛',
    .bar = L'━', .bar_half = L'╸', .bar_rest = L' ', .full = L'█', .mark = L'┃', .more = L'…', .dot = L'·', .others = L'╌',
};

static const struct glyphs cp437 = {
    .hline = L'─', .vline = L'│', .ul = L'┌', .ur = L'┐', .ll = L'└', .lr = L'┘',
    .hheavy = L'═', .vheavy = L'║', .hul = L'╔', .hur = L'╗', .hll = L'╚', .hlr = L'╝',
    .bar = L'■', .bar_half = L'■', .bar_rest = L' ', .full = L'█', .mark = L'│', .more = L'.', .dot = L'·', .others = L'░',
};

static const struct glyphs ascii_glyphs = {
    .hline = L'-', .vline = L'|', .ul = L'+', .ur = L'+', .ll = L'+', .lr = L'+',
    .hheavy = L'=', .vheavy = L'#', .hul = L'#', .hur = L'#', .hll = L'#', .hlr = L'#',
    .bar = L'=', .bar_half = L'-', .bar_rest = L' ', .full = L'#', .mark = L'|', .more = L'.', .dot = L'.', .others = L'/',
};

static struct {
    enum draw_theme theme;
    enum draw_graph graph, best;
    bool ascii, colors, clipped;
    int ncolors;
    struct area clip;
} the_draw;

static bool light_background(void)
{
    const char *v = getenv("COLORFGBG"), *bg = v ? strrchr(v, ';') : NULL;

    return bg && (strcmp(bg + 1, "7") == 0 || strcmp(bg + 1, "15") == 0);
}

void draw_init(bool ascii)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

    the_draw.ascii = ascii || strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
    the_draw.best = the_draw.ascii ? GRAPH_ASCII : term && strcmp(term, "linux") == 0 ? GRAPH_CP437 : GRAPH_BRAILLE;
    the_draw.graph = the_draw.best;
    the_draw.colors = has_colors() && !(no && *no);
    if (the_draw.colors) {
        start_color();
        use_default_colors();
    }
    the_draw.ncolors = the_draw.colors ? COLORS : 0;
    draw_set_theme(light_background() ? THEME_LIGHT : THEME_DARK);
}

void draw_set_theme(enum draw_theme t)
{
    the_draw.theme = the_draw.colors ? t : THEME_MONO;
}

enum draw_theme draw_theme(void)
{
    return the_draw.theme;
}

const char *draw_theme_name(enum draw_theme t)
{
    static const char *const names[THEMES] = {"dark", "light", "mono"};

    return names[t];
}

bool draw_mono(void)
{
    return the_draw.theme == THEME_MONO;
}

void draw_set_graph(enum draw_graph g)
{
    the_draw.graph = g < the_draw.best ? the_draw.best : g;
}

enum draw_graph draw_graph(void)
{
    return the_draw.graph;
}

const char *draw_graph_name(enum draw_graph g)
{
    static const char *const names[GRAPHS] = {"braille", "block", "cp437", "ascii"};

    return names[g];
}

const struct glyphs *draw_glyphs(void)
{
    if (the_draw.ascii || the_draw.graph == GRAPH_ASCII)
        return &ascii_glyphs;
    return the_draw.graph == GRAPH_CP437 ? &cp437 : &unicode;
}

bool draw_is_ascii(void)
{
    return the_draw.ascii || the_draw.graph == GRAPH_ASCII;
}

int draw_colors(void)
{
    return the_draw.ncolors;
}

/* The look of a role as it is now. */
static void look_of(enum role r, int *fg, attr_t *attr)
{
    const struct look *l = &looks[r < ROLES ? r : ROLE_TEXT];

    *fg = -1;
    *attr = l->mono;
    if (the_draw.theme == THEME_MONO)
        return;
    *fg = l->fg[the_draw.theme][the_draw.ncolors >= 256 ? 0 : 1];
    *attr = l->attr;
    if (the_draw.theme == THEME_DARK && *fg == COLOR_BLUE) { /* too dark on black */
        *fg = the_draw.ncolors >= 16 ? COLOR_BLUE + 8 : COLOR_BLUE;
        *attr |= the_draw.ncolors >= 16 ? 0 : A_BOLD;
    }
}

void draw_clip(struct area a)
{
    the_draw.clip = a;
    the_draw.clipped = true;
}

void draw_unclip(void)
{
    the_draw.clipped = false;
}

static bool visible(int y, int x)
{
    const struct area *a = &the_draw.clip;

    if (y < 0 || x < 0 || y >= LINES || x >= COLS)
        return false;
    return !the_draw.clipped || (y >= a->y && y < a->y + a->h && x >= a->x && x < a->x + a->w);
}

static void put(int y, int x, const wchar_t *c, int fg, int bg, attr_t attr)
{
    cchar_t cell;
    int pair = the_draw.ncolors && (fg >= 0 || bg >= 0) ? alloc_pair(fg, bg) : 0;

    if (!visible(y, x) || setcchar(&cell, c, attr, 0, &pair) == ERR)
        return;
    mvadd_wch(y, x, &cell);
}

void draw_cell(int y, int x, enum role r, wchar_t c)
{
    wchar_t s[2] = {c, 0};
    attr_t attr;
    int fg;

    look_of(r, &fg, &attr);
    put(y, x, s, fg, -1, attr);
}

void draw_two(int y, int x, enum role a, enum role b, wchar_t c)
{
    wchar_t s[2] = {c, 0};
    attr_t attr, attr2;
    int fg, bg;

    look_of(a, &fg, &attr);
    look_of(b, &bg, &attr2);
    put(y, x, s, fg, bg, attr);
}

void draw_raw(int y, int x, const wchar_t *c, int fg, int bg, unsigned attr)
{
    if (!the_draw.ncolors || draw_mono())
        fg = bg = -1;
    put(y, x, c, fg, bg, attr);
}

void draw_cells(int y, int x, int n, enum role r, const wchar_t *c)
{
    for (int i = 0; i < n; i++)
        if (c[i] != L' ')
            draw_cell(y, x + i, r, c[i]);
}

void draw_fill(int y, int x, int w, enum role r, wchar_t c)
{
    for (int i = 0; i < w; i++)
        draw_cell(y, x + i, r, c);
}

/* The next character of a string: what cannot be shown is a '?'. */
static wchar_t next_char(const char **s, mbstate_t *st)
{
    wchar_t c;
    size_t n = mbrtowc(&c, *s, strlen(*s), st);

    if (n == (size_t)-1 || n == (size_t)-2) {
        memset(st, 0, sizeof *st);
        n = 1;
        c = L'?';
    }
    *s += n;
    if (c == L'–' && draw_is_ascii())
        c = L'-';
    if (the_draw.ascii && c > 126)
        c = L'?';
    return wcwidth(c) > 0 ? c : L'?';
}

int draw_text(int y, int x, int w, enum role r, const char *s)
{
    mbstate_t st = {0};
    attr_t attr;
    int fg, used = 0;

    look_of(r, &fg, &attr);
    while (*s) {
        wchar_t c[2] = {next_char(&s, &st), 0};
        int cols = wcwidth(c[0]);

        if (used + cols > w)
            break;
        put(y, x + used, c, fg, -1, attr);
        used += cols;
    }
    return used;
}

static int width_of(const char *s)
{
    mbstate_t st = {0};
    int w = 0;

    while (*s)
        w += wcwidth(next_char(&s, &st));
    return w;
}

int draw_right(int y, int x, int w, enum role r, const char *s)
{
    int n = width_of(s);

    return draw_text(y, x + (n < w ? w - n : 0), w, r, s);
}

int draw_fmt(int y, int x, int w, enum role r, const char *fmt, ...)
{
    char buf[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(buf, sizeof buf, fmt, ap);
    va_end(ap);
    return draw_text(y, x, w, r, buf);
}

void draw_clear(struct area a)
{
    for (int y = a.y; y < a.y + a.h; y++)
        draw_fill(y, a.x, a.w, ROLE_TEXT, L' ');
}

void draw_box(struct area a, enum role r, bool heavy, const char *title)
{
    const struct glyphs *g = draw_glyphs();
    int bottom = a.y + a.h - 1, right = a.x + a.w - 1;

    draw_fill(a.y, a.x, a.w, r, heavy ? g->hheavy : g->hline);
    draw_fill(bottom, a.x, a.w, r, heavy ? g->hheavy : g->hline);
    for (int y = a.y; y <= bottom; y++) {
        draw_cell(y, a.x, r, heavy ? g->vheavy : g->vline);
        draw_cell(y, right, r, heavy ? g->vheavy : g->vline);
    }
    draw_cell(a.y, a.x, r, heavy ? g->hul : g->ul);
    draw_cell(a.y, right, r, heavy ? g->hur : g->ur);
    draw_cell(bottom, a.x, r, heavy ? g->hll : g->ll);
    draw_cell(bottom, right, r, heavy ? g->hlr : g->lr);
    if (title && a.w > 6)
        draw_fmt(a.y, a.x + 2, a.w - 4, ROLE_TITLE, " %s ", title);
}

void draw_highlight(int y, int x, int w)
{
    if (visible(y, x))
        mvchgat(y, x, w, A_REVERSE, 0, NULL);
}
