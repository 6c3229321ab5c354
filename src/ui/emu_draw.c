/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * emu_draw: see emu_draw.h.
 */
#define NCURSES_WIDECHAR 1
#include "ui/emu_draw.h"

#include <curses.h>

static unsigned attributes(const struct emu_cell *c)
{
    return (unsigned)((c->attr & EMU_BOLD ? A_BOLD : 0) | (c->attr & EMU_UNDERLINE ? A_UNDERLINE : 0) |
                      (c->attr & EMU_REVERSE ? A_REVERSE : 0) | (c->attr & EMU_BLINK ? A_BLINK : 0));
}

/* One of the 256 colours as one of eight, for terminals that have no more. */
static int of_eight(int c)
{
    int r, g, b;

    if (c < 8)
        return c;
    if (c < 16)
        return c - 8;
    if (c >= 232)
        return c < 244 ? 0 : 7;
    c -= 16;
    r = c / 36, g = c / 6 % 6, b = c % 6;
    return (r > 2) | (g > 2) << 1 | (b > 2) << 2;
}

static int colour(int c)
{
    int colours = draw_colors();

    if (c < 0 || colours < 8 || draw_mono())
        return -1;
    return c < colours ? c : of_eight(c);
}

/* What a terminal without Unicode can show of it. */
static wchar_t plain(uint32_t cp)
{
    if (cp < 0x7f)
        return (wchar_t)cp;
    if (cp == 0x2500 || cp == 0x2501 || cp == 0x2550)
        return '-';
    if (cp == 0x2502 || cp == 0x2503 || cp == 0x2551)
        return '|';
    if (cp > 0x2503 && cp < 0x2580)
        return '+';
    return cp >= 0x2580 && cp < 0x25a0 ? '#' : '?';
}

static void put(int y, int x, const struct emu_cell *c, bool fits)
{
    wchar_t text[3] = {(wchar_t)c->ch[0], (wchar_t)c->ch[1], 0};

    if (!fits)
        text[0] = ' ', text[1] = 0;
    else if (draw_is_ascii())
        text[0] = plain(c->ch[0]), text[1] = 0;
    draw_raw(y, x, text, colour(c->fg), colour(c->bg), attributes(c));
}

void emu_draw(const struct emu *e, struct area a, struct emu_port p)
{
    for (int i = 0; i < a.h; i++) {
        for (int k = 0; k < a.w; k++) {
            struct emu_cell c = emu_cell(e, p.row + i, p.col + (unsigned)k);

            if (p.row + i >= (int)emu_rows(e) || p.col + (unsigned)k >= emu_cols(e))
                break;
            if (c.width == 0 && k > 0)
                continue;
            if (c.width == 0)
                c.ch[0] = ' ';
            put(a.y + i, a.x + k, &c, c.width != 2 || k + 1 < a.w);
        }
    }
}

static bool row_is_blank(const struct emu *e, int row)
{
    for (unsigned col = 0; col < emu_cols(e); col++) {
        struct emu_cell c = emu_cell(e, row, col);

        if (c.ch[0] != ' ' || c.bg >= 0)
            return false;
    }
    return true;
}

struct emu_port emu_port_live(const struct emu *e, struct area a)
{
    struct emu_port p = {0};
    int rows = (int)emu_rows(e), last = rows - 1;
    unsigned row, col;

    emu_cursor(e, &row, &col);
    if (a.h >= rows) {
        p.row = emu_is_alternate(e) ? 0 : rows - a.h;
        if (p.row < -(int)emu_scrolled(e))
            p.row = -(int)emu_scrolled(e);
    } else if (emu_is_alternate(e)) {
        p.row = (int)row < a.h ? 0 : (int)row - a.h + 1;
    } else {
        while (last > (int)row && row_is_blank(e, last))
            last--;
        p.row = last < a.h ? 0 : last - a.h + 1;
        if ((int)row < p.row)
            p.row = (int)row;
    }
    p.col = (int)col < a.w ? 0 : col - (unsigned)a.w + 1;
    return p;
}

bool emu_caret(const struct emu *e, struct area a, struct emu_port p, int *y, int *x)
{
    unsigned row, col;
    bool visible = emu_cursor(e, &row, &col);
    int at_y = (int)row - p.row, at_x = (int)col - (int)p.col;

    *y = a.y + at_y;
    *x = a.x + at_x;
    return visible && at_y >= 0 && at_y < a.h && at_x >= 0 && at_x < a.w;
}
