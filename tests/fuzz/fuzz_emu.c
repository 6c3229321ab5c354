/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A guest says anything to its terminal. Input: columns and rows, one byte each, the length of
 * one read, then what is said. Afterwards every cell must be fit for the person's terminal, and
 * the terminal must still do what it is told.
 */
#include "ui/emu.h"
#include "ui/guard.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t replies;

static void reply(void *arg, const char *bytes, size_t len)
{
    (void)arg;
    (void)bytes;
    replies += len;
}

static void check_cell(const struct guard *g, const struct emu_cell *c, bool after_wide)
{
    if (c->fg < -1 || c->fg > 255 || c->bg < -1 || c->bg > 255)
        abort();
    if ((c->width == 0) != after_wide)
        abort();
    if (c->width && (guard_width(g, c->ch[0]) != c->width || (c->ch[1] && guard_width(g, c->ch[1]) != 0)))
        abort();
}

static void check(const struct emu *e, const struct guard *g)
{
    char text[EMU_COLS_MAX * 8 + 9];
    unsigned row, col;
    int top = -(int)emu_scrolled(e);

    emu_cursor(e, &row, &col);
    if (row >= emu_rows(e) || col >= emu_cols(e))
        abort();
    for (int r = top < -40 ? -40 : top; r < (int)emu_rows(e); r++) {
        bool wide = false;

        for (unsigned c = 0; c < emu_cols(e); c++) {
            struct emu_cell cell = emu_cell(e, r, c);

            check_cell(g, &cell, wide);
            wide = cell.width == 2;
        }
        if (wide || emu_row_text(e, r, text, sizeof text) != strlen(text))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char check_text[] = "\030\033\\\007\033c\033[Hok";
    char text[EMU_COLS_MAX * 8 + 9];
    struct guard *g;
    struct emu *e;
    size_t step;
    int found;

    if (size < 3)
        return 0;
    g = guard_new(80, NULL, NULL);
    e = emu_new(data[0], data[1], reply, NULL);
    step = data[2] ? data[2] : 1;
    for (size_t at = 3; at < size; at += step)
        emu_feed(e, data + at, step < size - at ? step : size - at);
    check(e, g);
    emu_type_key(e, EMU_KEY_UP, 0);
    emu_search(e, "a", (int)emu_rows(e) - 1, -1, &found);
    emu_feed(e, (const uint8_t *)check_text, sizeof check_text - 1);
    emu_row_text(e, 0, text, sizeof text);
    if (strcmp(text, "ok") != 0)
        abort();
    emu_free(e);
    guard_free(g);
    return 0;
}
