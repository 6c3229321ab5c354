/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * hostbar: the rows at the top: the instance, the host's processors and memory, and how the
 * processors are divided: what each guest should get, and what it got.
 */
#include "ui/ui_internal.h"

#include "core/units.h"
#include "ui/graph.h"
#include "ui/screen.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { SPARK_MAX = 64, BAR_GUESTS = 64 };

int hostbar_rows(const struct ui *u, int lines)
{
    (void)u;
    return lines >= 30 ? 3 : lines >= 14 ? 2 : 1;
}

static void host_history(struct ui *u, int n, float *out)
{
    float v[SPARK_MAX * 2];

    for (int i = 0; i < n; i++)
        out[i] = 0;
    for (unsigned k = 0; k < u->model.n; k++) {
        past_get(u->model.history, u->model.rows[k].id, HIST_CPU, u->scroll_back, n, v);
        for (int i = 0; i < n; i++)
            out[i] += isnan(v[i]) ? 0 : v[i];
    }
}

static int draw_cpu(struct ui *u, int x, int w)
{
    int cells = w >= 110 ? 24 : w >= 90 ? 16 : 10, n = cells * graph_per_cell(draw_graph());
    double part = u->model.cpus > 0 ? u->model.cpu / u->model.cpus : 0;
    float v[SPARK_MAX * 2];
    wchar_t out[SPARK_MAX];
    int at = x;

    at += draw_fmt(0, at, w - at, ROLE_TEXT, "%.0f pCPU ", u->model.cpus);
    at += draw_fmt(0, at, w - at, part > 0.95 ? ROLE_WARN : ROLE_GOOD, "%3.0f%% ", part * 100);
    host_history(u, n, v);
    graph_area(draw_graph(), v, n, u->model.cpus, cells, 1, out);
    draw_cells(0, at, cells, ROLE_ACCENT, out);
    return at + cells + 2;
}

static int draw_memory(struct ui *u, int x, int w)
{
    char a[UNITS_TEXT], b[UNITS_TEXT];
    uint64_t used = u->model.host_total > u->model.host_available ? u->model.host_total - u->model.host_available : 0;
    double part = u->model.host_total ? (double)used / (double)u->model.host_total : 0;
    int cells = w >= 100 ? 10 : 6, at = x;
    wchar_t out[16];

    at += draw_fmt(0, at, w - at, ROLE_DIM, "mem ");
    at += draw_fmt(0, at, w - at, ROLE_TEXT, "%.1f/%.1fG ", (double)used / 1073741824, (double)u->model.host_total / 1073741824);
    graph_bar(draw_glyphs(), part, cells, out);
    draw_cells(0, at, cells, part > 0.9 ? ROLE_WARN : ROLE_ACCENT, out);
    at += cells + 2;
    if (w < 130)
        return at;
    at += draw_fmt(0, at, w - at, ROLE_DIM, "guests %s of %s", units_fmt_size(a, u->model.resident),
                   units_fmt_size(b, u->model.memory));
    return at + 2;
}

static void draw_first(struct ui *u, int w)
{
    char clock[16], n[UNITS_TEXT], age[UNITS_TEXT];
    time_t now = time(NULL);
    struct tm tm;
    int x = 1;

    strftime(clock, sizeof clock, "%H:%M:%S", localtime_r(&now, &tm));
    x += draw_text(0, x, w / 4, ROLE_TITLE, session_name(u->session)) + 2;
    x += draw_fmt(0, x, w - x, ROLE_DIM, "%s", session_engine(u->session)->name) + 2;
    if (w >= 110)
        x += draw_fmt(0, x, w - x, ROLE_DIM, "up %s", units_fmt_age(age, session_uptime_ns(u->session))) + 2;
    x = draw_cpu(u, x, w);
    x = draw_memory(u, x, w);
    if (w >= 100) {
        x += draw_fmt(0, x, w - x - 10, ROLE_TEXT, "%s", units_fmt_count(n, u->model.exits));
        x += draw_text(0, x, w - x - 10, ROLE_DIM, " exits/s") + 2;
        x += draw_fmt(0, x, w - x - 10, ROLE_TEXT, "%u", u->model.running);
        x += draw_fmt(0, x, w - x - 10, ROLE_DIM, " of %u up", u->model.n) + 2;
    }
    if (u->frozen)
        draw_right(0, 0, w - 1, ROLE_WARN, "FROZEN (z goes on)");
    else if (u->scroll_back)
        draw_fmt(0, w - 20, 20, ROLE_WARN, "%u s ago (0: now)", u->scroll_back);
    else if (x < w - 9)
        draw_right(0, 0, w - 1, ROLE_DIM, clock);
}

/* One bar of segments, each as wide as the guest's part of the host. */
static void draw_division(struct ui *u, int y, int w, const char *title, bool got)
{
    double v[BAR_GUESTS];
    int cells[BAR_GUESTS], n = u->model.n < BAR_GUESTS ? (int)u->model.n : BAR_GUESTS, x = 11;
    const struct glyphs *g = draw_glyphs();

    draw_text(y, 1, 10, ROLE_DIM, title);
    for (int i = 0; i < n; i++)
        v[i] = got ? u->model.rows[i].cpu : u->model.rows[i].sched.entitlement;
    graph_split(v, n, u->model.cpus, w - x - 1, cells);
    for (int i = 0; i < n; i++) {
        enum role r = ROLE_GUEST + (enum role)u->model.rows[i].color;

        if (cells[i] > 0) {
            draw_cell(y, x, r, g->mark);
            draw_text(y, x + 1, cells[i] - 1, r, u->model.rows[i].name);
            for (int k = 1 + (int)text_columns(u->model.rows[i].name); k < cells[i]; k++)
                draw_cell(y, x + k, r, g->hheavy);
        }
        x += cells[i];
    }
    if (x < w - 7)
        draw_text(y, x, 5, ROLE_DIM, "|idle");
    draw_fill(y, x + 5 < w - 1 ? x + 5 : w - 1, w - 1 - x - 5, ROLE_DIM, g->dot);
}

void hostbar_draw(struct ui *u, int rows, int w)
{
    draw_first(u, w);
    if (rows == 3)
        draw_division(u, 1, w, "entitled", false);
    if (rows >= 2)
        draw_division(u, rows - 1, w, "got", true);
}
