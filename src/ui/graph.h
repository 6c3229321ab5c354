/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * graph: numbers to glyphs. Pure: writes wide characters, knows no screen.
 */
#ifndef RUCHE_UI_GRAPH_H
#define RUCHE_UI_GRAPH_H

#include "ui/draw.h"

/* Values per column of a graph: braille has two. */
int graph_per_cell(enum draw_graph g);

/* `n` values, oldest first, as an area of `w` columns and `h` rows over 0..max, the newest at
 * the right; NAN is nothing, more than `max` is full. A value above 0 shows at least a dot.
 * out: h rows of w characters, top row first. */
void graph_area(enum draw_graph g, const float *v, int n, double max, int w, int h, wchar_t *out);

/* A bar of `w` characters, `part` 0..1 of it filled. */
void graph_bar(const struct glyphs *gl, double part, int w, wchar_t *out);

/* Divides `cells` among `n` parts in proportion, so that they sum to at most `cells` and each
 * is within one of its exact size. `total` is what all cells stand for. */
void graph_split(const double *v, int n, double total, int cells, int *out);

/* An upper-bound for a scale that reads well: 1, 2, 5 times a power of ten. */
double graph_nice(double max);

#endif
