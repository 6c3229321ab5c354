/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * graph: see graph.h.
 */
#include "ui/graph.h"

#include <math.h>

int graph_per_cell(enum draw_graph g)
{
    return g == GRAPH_BRAILLE ? 2 : 1;
}

static int levels_per_row(enum draw_graph g)
{
    switch (g) {
    case GRAPH_BRAILLE:
        return 4;
    case GRAPH_CP437:
        return 2;
    default:
        return 8;
    }
}

/* Value `i` from the right (0: newest) in steps of the whole height, 0..steps. */
static int level(const float *v, int n, int i, double max, int steps)
{
    double x;

    if (i >= n || max <= 0)
        return 0;
    x = v[n - 1 - i];
    if (!(x > 0))
        return 0;
    x = ceil(x / max * steps - 0.5);
    return x < 1 ? 1 : x > steps ? steps : (int)x;
}

static int clamp(int v, int max)
{
    return v < 0 ? 0 : v > max ? max : v;
}

static wchar_t braille(int left, int right)
{
    static const unsigned char lbits[] = {0, 0x40, 0x44, 0x46, 0x47}, rbits[] = {0, 0x80, 0xa0, 0xb0, 0xb8};

    /* an empty cell is a blank: some fonts draw the empty dots */
    return left || right ? (wchar_t)(0x2800 | lbits[left] | rbits[right]) : L' ';
}

static wchar_t column(enum draw_graph g, int filled)
{
    static const wchar_t blocks[] = L" ▁▂▃▄▅▆▇█", half[] = L" ▄█", text[] = L" .:-=+*%#";

    return g == GRAPH_CP437 ? half[filled] : g == GRAPH_ASCII ? text[filled] : blocks[filled];
}

void graph_area(enum draw_graph g, const float *v, int n, double max, int w, int h, wchar_t *out)
{
    int per = levels_per_row(g), steps = per * h;

    for (int x = 0; x < w; x++) {
        int from_right = w - 1 - x;
        int a = g == GRAPH_BRAILLE ? level(v, n, 2 * from_right + 1, max, steps) : 0;
        int b = level(v, n, g == GRAPH_BRAILLE ? 2 * from_right : from_right, max, steps);

        for (int y = 0; y < h; y++) {
            int below = (h - 1 - y) * per;

            out[y * w + x] = g == GRAPH_BRAILLE ? braille(clamp(a - below, per), clamp(b - below, per))
                                                : column(g, clamp(b - below, per));
        }
    }
}

void graph_bar(const struct glyphs *gl, double part, int w, wchar_t *out)
{
    int halves = part > 0 ? (int)(fmin(part, 1) * 2 * w + 0.5) : 0;

    if (part > 0 && halves == 0)
        halves = 1;
    for (int i = 0; i < w; i++)
        out[i] = 2 * i + 2 <= halves ? gl->bar : 2 * i + 1 == halves ? gl->bar_half : gl->bar_rest;
}

void graph_split(const double *v, int n, double total, int cells, int *out)
{
    double sum = 0;
    int used = 0;

    for (int i = 0; i < n; i++) {
        int end;

        sum += v[i] > 0 ? v[i] : 0;
        end = total > 0 ? (int)(fmin(sum / total, 1) * cells + 0.5) : 0;
        out[i] = end - used;
        used = end;
    }
}

double graph_nice(double max)
{
    double power, m;

    if (!(max > 0))
        return 1;
    power = pow(10, floor(log10(max)));
    m = max / power;
    return power * (m <= 1 ? 1 : m <= 2 ? 2 : m <= 5 ? 5 : 10);
}
