/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * panel_history: one figure of one guest over the last moments, as a graph with a scale.
 */
#include "ui/ui_internal.h"

#include "core/units.h"
#include "ui/graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { COLS = 256, ROWS = PANEL_HISTORY_ROWS - 1, SCALE = 8 };

struct plot {
    struct ui *ui;
    const struct row *row;
    enum past_field field;
    double max;
    int w, h, y, x; /* of the graph alone */
    float v[COLS * 2];
    wchar_t cell[COLS * ROWS];
};

/* The level at a scale's mark, as the figure is written elsewhere. */
static const char *level_text(enum past_field f, double v, char out[UNITS_TEXT])
{
    if (f == HIST_CPU)
        snprintf(out, UNITS_TEXT, "%.0f%%", v * 100);
    else if (f == HIST_MEMORY)
        units_fmt_size(out, (uint64_t)v);
    else
        units_fmt_count(out, v);
    return out;
}

static double scale_of(const struct plot *p, int n)
{
    double top = 0;

    if (p->field == HIST_CPU)
        return p->row->vcpus < p->ui->model.cpus ? p->row->vcpus : p->ui->model.cpus;
    if (p->field == HIST_MEMORY)
        return (double)p->row->memory;
    for (int i = 0; i < n; i++)
        top = p->v[i] > top ? p->v[i] : top;
    return graph_nice(top);
}

/* A line at what it was entitled to; where the graph ends in the same cell, the graph is shown. */
static void draw_entitled(const struct plot *p)
{
    int per = graph_per_cell(draw_graph());
    float v[COLS * 2];

    past_get(p->ui->model.history, p->row->id, HIST_ENTITLED, p->ui->scroll_back, p->w * per, v);
    for (int x = 0; x < p->w; x++) {
        double level = v[x * per + per - 1] / p->max;
        int row = isnan(level) || level <= 0 ? -1 : p->h - 1 - (int)(fmin(level, 0.999) * p->h);
        bool top = row >= 0 && p->cell[row * p->w + x] != L' ' && (row == 0 || p->cell[(row - 1) * p->w + x] == L' ');

        if (row >= 0 && !top)
            draw_cell(p->y + row, p->x + x, ROLE_WARN, draw_glyphs()->hline);
    }
}

static void draw_span(const struct plot *p, int y, int x, int w)
{
    double seconds = (double)session_interval_ns(p->ui->session) / 1e9, n = p->w * graph_per_cell(draw_graph());
    char from[UNITS_TEXT], to[UNITS_TEXT], text[64];

    units_fmt_age(from, (uint64_t)((n + p->ui->scroll_back) * seconds * 1e9));
    if (p->ui->scroll_back)
        snprintf(text, sizeof text, " -%s to -%s ", from, units_fmt_age(to, (uint64_t)(p->ui->scroll_back * seconds * 1e9)));
    else
        snprintf(text, sizeof text, " last %s ", from);
    draw_right(y, x, w - 1, ROLE_DIM, text);
}

static void draw_plot(struct plot *p, struct area a)
{
    int n = p->w * graph_per_cell(draw_graph());
    char t[UNITS_TEXT];

    past_get(p->ui->model.history, p->row->id, p->field, p->ui->scroll_back, n, p->v);
    p->max = scale_of(p, n);
    graph_area(draw_graph(), p->v, n, p->max, p->w, p->h, p->cell);
    for (int y = 0; y < p->h; y++)
        draw_cells(p->y + y, p->x, p->w, ROLE_GUEST + (enum role)p->row->color, p->cell + y * p->w);
    if (p->field == HIST_CPU)
        draw_entitled(p);
    draw_right(p->y, a.x, SCALE - 2, ROLE_DIM, level_text(p->field, p->max, t));
    if (p->h > 2)
        draw_right(p->y + p->h - 1, a.x, SCALE - 2, ROLE_DIM, "0");
    draw_span(p, a.y, a.x, a.w);
}

int panel_history(struct ui *u, struct row *r, enum past_field f, const char *title, struct area a)
{
    struct plot *p = calloc(1, sizeof *p);

    panel_rule(a.y, a.x, a.w, title);
    if (p) {
        *p = (struct plot){.ui = u, .row = r, .field = f, .y = a.y + 1, .x = a.x + SCALE - 1};
        p->w = a.w - SCALE > COLS ? COLS : a.w - SCALE;
        p->h = a.h - 1 > ROWS ? ROWS : a.h - 1;
        if (p->w > 4 && p->h > 0)
            draw_plot(p, a);
    }
    free(p);
    return a.h;
}
