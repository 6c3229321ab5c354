/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * emu_scroll: see emu_scroll.h.
 */
#include "ui/emu_scroll.h"

#include <stdlib.h>
#include <string.h>

struct line {
    struct emu_cell *cells;
    unsigned n;
};

struct emu_scroll {
    uint64_t ever;
    unsigned room;
    struct line ring[];
};

struct emu_scroll *emu_scroll_new(unsigned lines)
{
    struct emu_scroll *s = calloc(1, sizeof *s + lines * sizeof s->ring[0]);

    if (s)
        s->room = lines;
    return s;
}

void emu_scroll_free(struct emu_scroll *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->room; i++)
        free(s->ring[i].cells);
    free(s);
}

bool emu_cell_is_blank(const struct emu_cell *c)
{
    return (c->ch[0] == 0 || c->ch[0] == ' ') && c->bg < 0 && !(c->attr & (EMU_REVERSE | EMU_UNDERLINE)) && c->width == 1;
}

void emu_scroll_push(struct emu_scroll *s, const struct emu_cell *cells, unsigned n)
{
    struct line *l = &s->ring[s->ever++ % s->room];

    while (n && emu_cell_is_blank(&cells[n - 1]))
        n--;
    if (n != l->n || !l->cells) {
        free(l->cells);
        l->cells = n ? malloc(n * sizeof *cells) : NULL;
    }
    l->n = l->cells ? n : 0;
    if (l->n)
        memcpy(l->cells, cells, n * sizeof *cells);
}

unsigned emu_scroll_lines(const struct emu_scroll *s)
{
    return s->ever < s->room ? (unsigned)s->ever : s->room;
}

uint64_t emu_scroll_ever(const struct emu_scroll *s)
{
    return s->ever;
}

const struct emu_cell *emu_scroll_line(const struct emu_scroll *s, unsigned back, unsigned *n)
{
    const struct line *l;

    *n = 0;
    if (back >= emu_scroll_lines(s))
        return NULL;
    l = &s->ring[(s->ever - 1 - back) % s->room];
    *n = l->n;
    return l->cells;
}
