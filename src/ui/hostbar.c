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
    int lines_of_cpus = lines >= 45 && u->model.host.cpus > 1;

    return lines >= 30 ? 3 + lines_of_cpus : lines >= 14 ? 2 : 1;
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
    const struct session_memory *m = &u->model.memory;
    uint64_t used = m->total > m->available ? m->total - m->available : 0;
    double part = m->total ? (double)used / (double)m->total : 0;
    int cells = w >= 100 ? 10 : 6, at = x;
    wchar_t out[16];

    at += draw_fmt(0, at, w - at, ROLE_DIM, "mem ");
    at += draw_fmt(0, at, w - at, ROLE_TEXT, "%.1f/%.1fG ", (double)used / 1073741824, (double)m->total / 1073741824);
    graph_bar(draw_glyphs(), part, cells, out);
    draw_cells(0, at, cells, part > 0.9 ? ROLE_WARN : ROLE_ACCENT, out);
    return at + cells + 2;
}

/* What the guests that are up may take, of what there is for them; "OVER": more than all. */
static int draw_promised(struct ui *u, int x, int w, int end)
{
    char a[UNITS_TEXT], b[UNITS_TEXT], figure[24];
    const struct session_memory *m = &u->model.memory;
    double part = m->target ? m->overcommit : 0;
    enum role r = part > 1 ? ROLE_BAD : part > 0.8 ? ROLE_WARN : ROLE_TEXT;
    wchar_t out[16];
    int at = x;

    snprintf(figure, sizeof figure, "%.0f%%%s ", part * 100, part > 1 ? " OVER" : "");
    if (x + 9 + (int)strlen(figure) > end - 1)
        return x;
    at += draw_text(0, at, w - at, ROLE_DIM, "promised ");
    at += draw_text(0, at, w - at, r, figure);
    if (w < 150)
        return at + 1;
    graph_bar(draw_glyphs(), part, 8, out);
    draw_cells(0, at, 8, r == ROLE_TEXT ? ROLE_ACCENT : r, out);
    at += 9;
    at += draw_fmt(0, at, w - at, ROLE_DIM, "%s touched of %s", units_fmt_size(a, m->resident),
                   units_fmt_size(b, m->target));
    return at + 2;
}

/* A figure and its word, if there is room for both before `end`; where the next one begins. */
static int draw_counted(int x, int end, const char *figure, const char *word)
{
    int need = (int)(strlen(figure) + strlen(word)) + 1;

    if (x + need + 2 > end)
        return x;
    draw_text(0, x, need, ROLE_TEXT, figure);
    draw_text(0, x + (int)strlen(figure) + 1, need, ROLE_DIM, word);
    return x + need + 2;
}

/* Of what is shown. */
static enum role what_time(struct ui *u, char *out, size_t size)
{
    double interval = (double)session_interval_ns(u->session) / 1e9;
    time_t now = time(NULL);
    struct tm tm;

    if (u->frozen)
        snprintf(out, size, "FROZEN (z goes on)");
    else if (u->scroll_back)
        snprintf(out, size, "%.*f s ago (0: now)", interval < 1, u->scroll_back * interval);
    else
        strftime(out, size, "%H:%M:%S", localtime_r(&now, &tm));
    return u->frozen || u->scroll_back ? ROLE_WARN : ROLE_DIM;
}

static void draw_first(struct ui *u, int w)
{
    char when[40], n[UNITS_TEXT], age[UNITS_TEXT];
    enum role r = what_time(u, when, sizeof when);
    int x = 1, end = w - 1 - (int)strlen(when);

    x += draw_text(0, x, w / 4, ROLE_TITLE, session_name(u->session)) + 2;
    x += draw_fmt(0, x, w - x, ROLE_DIM, "%s", session_engine(u->session)->name) + 2;
    if (w >= 130)
        x += draw_fmt(0, x, w - x, ROLE_DIM, "up %s", units_fmt_age(age, session_uptime_ns(u->session))) + 2;
    x = draw_cpu(u, x, w);
    x = draw_memory(u, x, w);
    if (w >= 100)
        x = draw_promised(u, x, w, end);
    x = draw_counted(x, end, units_fmt_count(n, u->model.exits), "exits/s");
    snprintf(n, sizeof n, "%u of %u", u->model.running, u->model.n);
    x = draw_counted(x, end, n, "up");
    if (x <= end || r != ROLE_DIM)
        draw_right(0, 0, w - 1, r, when);
}

/* Each CPU of the host: its load over the last moments, whoever caused it. */
static void draw_pcpus(struct ui *u, int y, int w)
{
    const struct host *h = &u->model.host;
    int n = h->cpus < HOST_CPUS ? (int)h->cpus : HOST_CPUS, per = graph_per_cell(draw_graph());
    int room = n ? (w - 30) / n : 0, each = room > 42 ? 42 : room, cells = each - 9 > HOST_PAST / per ? HOST_PAST / per : each - 9, x = 11;
    wchar_t out[HOST_PAST];

    draw_text(y, 1, 10, ROLE_DIM, "host CPUs");
    for (int i = 0; i < n && x < w - 19; i++, x += each) {
        const float *past = h->cpu[i].past;
        float now = past[HOST_PAST - 1];

        if (cells < 1) { /* too many for graphs: a cell each */
            each = 1;
            graph_area(draw_graph() == GRAPH_BRAILLE ? GRAPH_BLOCK : draw_graph(), &now, 1, 1, 1, 1, out);
            draw_cells(y, x, 1, ROLE_ACCENT, out);
            continue;
        }
        draw_fmt(y, x, 3, ROLE_DIM, "%d", i);
        graph_area(draw_graph(), past, HOST_PAST, 1, cells, 1, out);
        draw_cells(y, x + 3, cells, ROLE_ACCENT, out);
        draw_fmt(y, x + 4 + cells, 5, isnan(now) ? ROLE_DIM : ROLE_TEXT, isnan(now) ? "–" : "%3.0f%%", now * 100);
    }
    if (!isnan(u->model.others))
        draw_fmt(y, w - 17, 16, ROLE_DIM, "others %.2f CPU", u->model.others);
}

/* What others on the host used, behind the guests' segments; where it ends. */
static int draw_others(struct ui *u, int y, int x, int w)
{
    int all = w - 12, cells = isnan(u->model.others) ? 0 : (int)(u->model.others / u->model.cpus * all + 0.5);

    cells = x + cells > w - 1 ? w - 1 - x : cells;
    draw_fill(y, x, cells, ROLE_DIM, draw_glyphs()->others);
    if (cells > 0)
        draw_text(y, x, cells, ROLE_DIM, "|others");
    return x + cells;
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
    if (got)
        x = draw_others(u, y, x, w);
    if (x < w - 7)
        draw_text(y, x, 5, ROLE_DIM, "|idle");
    draw_fill(y, x + 5 < w - 1 ? x + 5 : w - 1, w - 1 - x - 5, ROLE_DIM, g->dot);
}

void hostbar_draw(struct ui *u, int rows, int w)
{
    draw_first(u, w);
    if (rows == 4)
        draw_pcpus(u, 1, w);
    if (rows >= 3)
        draw_division(u, rows - 2, w, "entitled", false);
    if (rows >= 2)
        draw_division(u, rows - 1, w, "got", true);
}
