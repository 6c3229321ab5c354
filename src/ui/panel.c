/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * panel: pictures of the host and of one guest: how the processors were divided over time, where
 * each vCPU's time goes, why it stopped running, where its memory is.
 */
#include "ui/ui_internal.h"

#include "core/units.h"
#include "ui/graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STACK_MAX = 64, LEGEND = 22, STEPS = 8, BESIDE = 112, BESIDE_ROWS = 8 };

void panel_rule(int y, int x, int w, const char *title)
{
    draw_fill(y, x, w, ROLE_DIM, draw_glyphs()->hline);
    draw_fmt(y, x + 1, w - 2, ROLE_TITLE, " %s ", title);
}

/* The division of the host: one column a moment, the guests one upon the other. */

static char letter(unsigned i)
{
    return i < 26 ? (char)('a' + i) : i < 52 ? (char)('A' + i - 26) : '?';
}

static void draw_column(struct ui *u, struct area a, int x, const double *v, int n, double total)
{
    int cells[STACK_MAX], at = 0, filled = 0;
    bool fine = !draw_mono() && draw_graph() <= GRAPH_BLOCK;
    int steps = fine ? STEPS : 1;
    static const wchar_t blocks[] = L" ▁▂▃▄▅▆▇█";
    signed char owner[512];

    graph_split(v, n, total, a.h * steps, cells);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < cells[i] && filled < (int)sizeof owner; k++)
            owner[filled++] = (signed char)i;
    for (int y = a.y + a.h - 1; y >= a.y; y--, at += steps) {
        int low = at < filled ? owner[at] : -1, same = 0;
        enum role r;

        if (low < 0)
            break;
        r = ROLE_GUEST + (enum role)u->model.rows[low].color;
        while (same < steps && at + same < filled && owner[at + same] == low)
            same++;
        if (!fine)
            draw_cell(y, x, r, draw_mono() || draw_is_ascii() ? (wchar_t)letter((unsigned)low) : draw_glyphs()->full);
        else if (same < steps && at + same < filled)
            draw_two(y, x, r, ROLE_GUEST + (enum role)u->model.rows[owner[at + same]].color, blocks[same]);
        else
            draw_cell(y, x, r, blocks[same]);
    }
}

static void draw_legend(struct ui *u, struct area a, int n)
{
    int row = 0;

    for (int i = n - 1; i >= 0 && row < a.h; i--) {
        const struct row *r = &u->model.rows[i];
        enum role role = ROLE_GUEST + (enum role)r->color;

        if (!r->up && n > a.h)
            continue;
        draw_cell(a.y + row, a.x, role, draw_mono() || draw_is_ascii() ? (wchar_t)letter((unsigned)i) : draw_glyphs()->full);
        draw_text(a.y + row, a.x + 2, LEGEND - 9, ROLE_TEXT, r->name);
        draw_fmt(a.y + row++, a.x + LEGEND - 7, 6, ROLE_TEXT, "%5.1f%%", 100 * r->cpu / u->model.cpus);
    }
}

static void draw_time_axis(struct area a, double seconds_per_column, double back)
{
    int y = a.y + a.h - 1;
    const struct glyphs *g = draw_glyphs();
    char t[UNITS_TEXT];

    draw_fill(y, a.x, a.w, ROLE_DIM, g->hline);
    for (int x = a.w - 1; x >= 12; x -= 30) {
        double ago = back + (a.w - 1 - x) * seconds_per_column;

        if (ago < 1)
            draw_text(y, a.x + a.w - 3, 3, ROLE_DIM, "now");
        else
            draw_fmt(y, a.x + x - 3, 10, ROLE_DIM, "-%s", units_fmt_age(t, (uint64_t)(ago * 1e9)));
    }
}

/* All guests' values of the last `w` moments: v[guest * w + moment]. */
static float *read_stack(struct ui *u, int n, int w)
{
    float *v = malloc(sizeof *v * (size_t)n * (size_t)w);

    for (int i = 0; v && i < n; i++)
        past_get(u->model.history, u->model.rows[i].id, HIST_CPU, u->scroll_back, w, v + (size_t)i * (size_t)w);
    return v;
}

/* The part of the host that the graph's height stands for: all, unless very little was used. */
static double division_scale(const struct ui *u, const float *v, int n, int w)
{
    static const double scales[] = {0.1, 0.2, 0.5};
    double peak = 0;

    for (int x = 0; x < w; x++) {
        double sum = 0;

        for (int i = 0; i < n; i++)
            sum += isnan(v[i * w + x]) ? 0 : v[i * w + x];
        peak = sum > peak ? sum : peak;
    }
    for (int i = 0; i < 3; i++)
        if (peak < 0.95 * scales[i] * u->model.cpus)
            return scales[i];
    return 1;
}

void panel_division(struct ui *u, struct area a)
{
    int n = u->model.n < STACK_MAX ? (int)u->model.n : STACK_MAX, w = a.w - LEGEND - 8;
    struct area plot = {a.y + 1, a.x + 6, a.h - 2, w};
    double scale, col[STACK_MAX], interval = (double)session_interval_ns(u->session) / 1e9;
    float *v = a.h >= 4 && w >= 10 && n ? read_stack(u, n, w) : NULL;

    panel_rule(a.y, a.x, a.w, "how the host's processors were divided");
    if (!v)
        return;
    scale = division_scale(u, v, n, w);
    draw_fmt(plot.y, a.x, 6, ROLE_DIM, "%4.0f%%", scale * 100);
    if (plot.h >= 5)
        draw_fmt(plot.y + plot.h / 2, a.x, 6, ROLE_DIM, "%4.0f%%", scale * 50);
    draw_fmt(plot.y + plot.h - 1, a.x, 6, ROLE_DIM, "%4d%%", 0);
    for (int x = 0; x < w; x++) {
        for (int i = 0; i < n; i++)
            col[i] = v[i * w + x];
        draw_column(u, plot, plot.x + x, col, n, scale * u->model.cpus);
    }
    draw_time_axis((struct area){a.y, plot.x, a.h, w}, interval, u->scroll_back * interval);
    draw_legend(u, (struct area){plot.y, a.x + a.w - LEGEND + 1, plot.h, LEGEND - 1}, n);
    free(v);
}

/* Where the time of each vCPU goes. */

/* Letters where there are no colours. */
static bool ledger_plain(void)
{
    return draw_mono() || draw_is_ascii();
}

static wchar_t ledger_mark(int s)
{
    static const wchar_t letters[] = L"rvpwchbs";

    return ledger_plain() ? letters[s] : s == LEDGER_HALT ? draw_glyphs()->dot : draw_glyphs()->full;
}

static void draw_ledger(const double part[LEDGER_STATES], int y, int x, int w)
{
    int cells[LEDGER_STATES];

    graph_split(part, LEDGER_STATES, 1, w, cells);
    for (int s = 0; s < LEDGER_STATES; s++)
        for (int k = 0; k < cells[s]; k++, x++)
            draw_cell(y, x, ROLE_LEDGER + (enum role)s, ledger_mark(s));
}

/* Whether any vCPU has a part of this that can be seen. */
static bool ledger_seen(const struct vm_stats *st, int s)
{
    for (unsigned i = 0; i < st->vcpus; i++)
        if (st->vcpu[i].ledger[s] >= 0.005)
            return true;
    return false;
}

/* All states; where they do not fit, those that occur. */
static void ledger_legend(const struct vm_stats *st, int y, int x, int w)
{
    int gap = ledger_plain() ? 2 : 1, all = 0, end = x + w; /* a letter is no block: "r run" */

    for (int s = 0; s < LEDGER_STATES; s++)
        all += (int)strlen(ledger_state_name((enum ledger_state)s)) + 2 * gap;
    for (int s = 0; s < LEDGER_STATES; s++) {
        const char *name = ledger_state_name((enum ledger_state)s);

        if ((all - gap > w && !ledger_seen(st, s)) || x + gap + (int)strlen(name) > end)
            continue;
        draw_cell(y, x, ROLE_LEDGER + (enum role)s, ledger_mark(s));
        x += gap + draw_text(y, x + gap, end - x - gap, ROLE_DIM, name) + gap;
    }
}

/* Which figures fit into `w` columns: of the states that take most of the guest's time, the same for all
 * its vCPUs, so that they stand below each other. */
static void choose_figures(const struct vm_stats *st, int w, bool shown[LEDGER_STATES])
{
    double all[LEDGER_STATES] = {0};
    int used = 0;

    for (unsigned i = 0; i < st->vcpus; i++)
        for (int s = 0; s < LEDGER_STATES; s++)
            all[s] += st->vcpu[i].ledger[s];
    memset(shown, 0, LEDGER_STATES * sizeof *shown);
    for (int k = 0; k < LEDGER_STATES; k++) {
        int most = 0, cells;

        for (int s = 1; s < LEDGER_STATES; s++)
            if (all[s] > all[most])
                most = s;
        cells = (int)strlen(ledger_state_name((enum ledger_state)most)) + 5;
        shown[most] = all[most] >= 0.005 && used + cells <= w + 1;
        used += shown[most] ? cells : 0;
        all[most] = -1;
    }
}

static void draw_figures(const double part[LEDGER_STATES], const bool shown[LEDGER_STATES], int y, int x, int w)
{
    for (int s = 0, end = x + w; s < LEDGER_STATES; s++)
        if (shown[s])
            x += draw_fmt(y, x, end - x, ROLE_TEXT, "%s %3.0f", ledger_state_name((enum ledger_state)s), part[s] * 100) + 1;
}

enum { LEDGER_TEXT = 39, LEDGER_TEXT_NARROW = 28 }; /* with a gap before them */

int panel_vcpus(struct ui *u, struct row *r, struct area a)
{
    const struct vm_stats *st = model_stats(&u->model, r->g);
    int y = a.y + 1, end = a.y + a.h, room = a.w >= 76 ? LEDGER_TEXT : a.w >= 50 ? LEDGER_TEXT_NARROW : 0, w = a.w - 8 - room;
    bool shown[LEDGER_STATES];

    panel_rule(a.y, a.x, a.w, "where each vCPU's time goes, 100 % a bar");
    if (a.h < 3)
        return 1;
    ledger_legend(st, y++, a.x + 1, a.w - 2);
    choose_figures(st, room - 1, shown);
    for (unsigned i = 0; i < st->vcpus && y < end; i++, y++) {
        const double *l = st->vcpu[i].ledger;

        draw_fmt(y, a.x + 1, 6, ROLE_TEXT, "vcpu%-2u", i);
        draw_ledger(l, y, a.x + 8, w);
        draw_figures(l, shown, y, a.x + 9 + w, room - 1);
    }
    return y - a.y;
}

/* Why it stopped running. */

struct reason {
    enum exit_reason r;
    double rate;
    uint64_t count, ns, p99_ns;
};

static int by_count(const void *a, const void *b)
{
    const struct reason *x = a, *y = b;

    return x->rate != y->rate ? (x->rate < y->rate ? 1 : -1) : x->count < y->count ? 1 : x->count > y->count ? -1 : 0;
}

static int read_reasons(const struct vm_stats *st, struct reason out[EXIT_REASONS], uint64_t *all_ns)
{
    int n = 0;

    *all_ns = 0;
    for (int r = 0; r < EXIT_REASONS; r++) {
        struct reason x = {.r = (enum exit_reason)r};

        for (unsigned i = 0; i < st->vcpus; i++) {
            x.rate += st->vcpu[i].exit_rate[r];
            x.count += st->vcpu[i].exits[r];
            x.ns += st->vcpu[i].exit_ns[r];
            if (st->vcpu[i].exit_p99_ns[r] > x.p99_ns)
                x.p99_ns = st->vcpu[i].exit_p99_ns[r];
        }
        *all_ns += x.ns;
        if (x.count)
            out[n++] = x;
    }
    qsort(out, (size_t)n, sizeof *out, by_count);
    return n;
}

static void draw_reason(const struct reason *x, double max, uint64_t all_ns, int y, struct area a)
{
    char rate[UNITS_TEXT], mean[UNITS_TEXT], p99[UNITS_TEXT];
    int bar = a.w - 52;
    wchar_t out[128];

    draw_fmt(y, a.x + 1, a.w - 2, ROLE_TEXT, "%-10s %7s  %5.1f%%  %8s  %8s", exit_reason_name(x->r),
             units_fmt_count(rate, x->rate), all_ns ? 100.0 * (double)x->ns / (double)all_ns : 0.0,
             units_fmt_ns(mean, x->count ? x->ns / x->count : 0), units_fmt_ns(p99, x->p99_ns));
    bar = bar > 60 ? 60 : bar;
    if (bar < 4)
        return;
    graph_bar(draw_glyphs(), max > 0 ? x->rate / max : 0, bar, out);
    draw_cells(y, a.x + 50, bar, ROLE_ACCENT, out);
}

int panel_exits(struct ui *u, struct row *r, struct area a)
{
    struct reason x[EXIT_REASONS];
    uint64_t all_ns;
    int n = read_reasons(model_stats(&u->model, r->g), x, &all_ns), y = a.y + 1;

    panel_rule(a.y, a.x, a.w, "exits: why it stopped running");
    if (a.h < 3)
        return 1;
    draw_fmt(y++, a.x + 1, a.w - 2, ROLE_DIM, "%-10s %7s  %6s  %8s  %8s", "reason", "a sec", "time", "mean", "p99");
    for (int i = 0; i < n && y < a.y + a.h; i++)
        draw_reason(&x[i], x[0].rate, all_ns, y++, a);
    if (!n)
        draw_text(y++, a.x + 1, a.w - 2, ROLE_DIM, "none yet");
    return y - a.y;
}

int panel_exits_rows(struct ui *u, struct row *r)
{
    struct reason x[EXIT_REASONS];
    uint64_t all_ns;
    int n = read_reasons(model_stats(&u->model, r->g), x, &all_ns);

    return 2 + (n ? n : 1);
}

/* Where its memory is. */

enum { MEMORY_LINES = 9 };

int panel_memory_rows(void)
{
    return 1 + MEMORY_LINES;
}


static int memory_line(int y, struct area a, const char *what, uint64_t bytes, uint64_t of)
{
    char size[UNITS_TEXT];
    wchar_t out[128];
    int bar = a.w - 28 > 60 ? 60 : a.w - 28;

    draw_text(y, a.x + 1, 12, ROLE_DIM, what);
    draw_right(y, a.x + 14, 8, ROLE_TEXT, bytes == UINT64_MAX ? "–" : units_fmt_size(size, bytes));
    if (bar >= 4 && bytes != UINT64_MAX && of) {
        graph_bar(draw_glyphs(), (double)bytes / (double)of, bar, out);
        draw_cells(y, a.x + 24, bar, ROLE_ACCENT, out);
    }
    return y + 1;
}

int panel_memory(struct ui *u, struct row *r, struct area a)
{
    const struct vm_stats *st = model_stats(&u->model, r->g);
    const struct balloon_stats *b = &st->balloon_stats;
    bool tells = st->balloon && b->driver_ok;
    const struct {
        const char *what;
        uint64_t bytes;
    } lines[MEMORY_LINES] = {
        {"configured", r->memory},
        {"resident", r->up ? r->resident : UINT64_MAX},
        {"shared", r->up ? st->memory_shared_bytes : UINT64_MAX},
        {"in balloon", tells ? b->actual_bytes : UINT64_MAX},
        {"asked of it", tells ? b->target_bytes : UINT64_MAX},
        {"guest: free", tells ? b->free_bytes : UINT64_MAX},
        {"guest: avail", tells ? b->available_bytes : UINT64_MAX},
        {"guest: cache", tells ? b->disk_caches_bytes : UINT64_MAX},
        {"given back", tells ? b->reported_bytes : UINT64_MAX},
    };
    int y = a.y + 1;

    panel_rule(a.y, a.x, a.w, "memory");
    for (int i = 0; i < MEMORY_LINES && y < a.y + a.h; i++)
        y = memory_line(y, a, lines[i].what, lines[i].bytes, r->memory);
    return y - a.y;
}

/* The history that belongs to a panel, beside it or below; rows used by both. */
static int with_history(struct ui *u, struct row *r, enum panel p, struct area a)
{
    int (*draw)(struct ui *u, struct row *r, struct area a) = p == PANEL_EXITS ? panel_exits : panel_memory;
    enum past_field f = p == PANEL_EXITS ? HIST_EXITS : HIST_MEMORY;
    const char *title = p == PANEL_EXITS ? "exits a second" : "resident memory";
    int half = (a.w - 2) / 2, used = draw(u, r, (struct area){a.y, a.x, a.h, a.w >= BESIDE ? half : a.w}), left = a.h - used;

    if (a.w >= BESIDE) {
        used = used < BESIDE_ROWS ? (a.h < BESIDE_ROWS ? a.h : BESIDE_ROWS) : used;
        panel_history(u, r, f, title, (struct area){a.y, a.x + half + 2, used, a.w - half - 2});
        return used;
    }
    if (left < 4)
        return used;
    left = left > BESIDE_ROWS ? BESIDE_ROWS : left;
    panel_history(u, r, f, title, (struct area){a.y + used, a.x, left, a.w});
    return used + left;
}

void panel_draw(struct ui *u, enum panel p, struct row *r, struct area a)
{
    int used = 0;

    if (a.h < 3 || p == PANEL_NONE)
        return;
    if (r && p == PANEL_VCPUS)
        used = panel_vcpus(u, r, a);
    else if (r && (p == PANEL_EXITS || p == PANEL_MEMORY))
        used = with_history(u, r, p, a);
    if (!used || a.h - used >= 8)
        panel_division(u, (struct area){a.y + used, a.x, a.h - used, a.w});
}
