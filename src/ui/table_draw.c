/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * table_draw: the table of guests on the screen, and below it one picture.
 */
#include "ui/table_internal.h"

#include "ui/graph.h"

#include <math.h>
#include <stdio.h>

enum { GRAPH_MAX = 80 };

static enum role state_role(const struct row *r)
{
    switch (r->state) {
    case VM_RUNNING:
        return ROLE_GOOD;
    case VM_PAUSED:
        return ROLE_WARN;
    case VM_CRASHED:
        return ROLE_BAD;
    default:
        return r->g->failed ? ROLE_BAD : ROLE_DIM;
    }
}

static void draw_history(struct ui *u, const struct row *r, enum past_field f, double max, int y, int x, int w)
{
    float v[GRAPH_MAX * 2];
    wchar_t out[GRAPH_MAX];
    int n;

    w = w > GRAPH_MAX ? GRAPH_MAX : w;
    n = w * graph_per_cell(draw_graph());
    past_get(u->model.history, r->id, f, u->scroll_back, n, v);
    for (int i = 0; i < n && f == HIST_EXITS; i++)
        max = v[i] > max ? v[i] : max;
    graph_area(draw_graph(), v, n, max, w, 1, out);
    draw_cells(y, x, w, ROLE_GUEST + (enum role)r->color, out);
}

static void draw_bar(const struct row *r, int y, int x, int w)
{
    wchar_t out[32];

    w = w > 32 ? 32 : w;
    graph_bar(draw_glyphs(), r->up && r->memory ? (double)r->resident / (double)r->memory : 0, w, out);
    draw_cells(y, x, w, ROLE_ACCENT, out);
}

/* What it used of what it could use at most, and a mark at what it was entitled to. */
static void draw_cpu_bar(const struct ui *u, const struct row *r, int y, int x, int w)
{
    double most = r->vcpus < u->model.cpus ? r->vcpus : u->model.cpus, entitled = r->sched.entitlement / most;
    wchar_t out[32];

    w = w > 32 ? 32 : w;
    graph_bar(draw_glyphs(), r->up ? r->cpu / most : 0, w, out);
    draw_cells(y, x, w, ROLE_GUEST + (enum role)r->color, out);
    if (r->up && entitled > 0)
        draw_cell(y, x + (int)(fmin(entitled, 0.999) * w), ROLE_WARN, draw_glyphs()->vline);
}

static void draw_field(struct table *t, const struct row *r, int i, int y, int x)
{
    const struct field *f = field_at(t->col[i]);
    enum role role = !r->up && t->col[i] != FIELD_NAME ? ROLE_DIM : ROLE_TEXT;
    char text[FIELD_TEXT];

    switch (t->col[i]) {
    case FIELD_CPU_GRAPH:
        draw_history(t->v.ui, r, HIST_CPU, r->vcpus < t->v.ui->model.cpus ? r->vcpus : t->v.ui->model.cpus, y, x,
                     t->width[i]);
        return;
    case FIELD_EXIT_GRAPH:
        draw_history(t->v.ui, r, HIST_EXITS, 1, y, x, t->width[i]);
        return;
    case FIELD_CPU_BAR:
        draw_cpu_bar(t->v.ui, r, y, x, t->width[i]);
        return;
    case FIELD_MEM_BAR:
        draw_bar(r, y, x, t->width[i]);
        return;
    case FIELD_STATE:
        role = state_role(r);
        break;
    case FIELD_WHY:
        role = r->sched.reason == REASON_SHARE || r->sched.reason == REASON_CAP ? ROLE_WARN : ROLE_DIM;
        break;
    default:
        break;
    }
    f->text(r, text);
    (f->left ? draw_text : draw_right)(y, x, t->width[i], role, text);
}

static void draw_row(struct table *t, const struct row *r, int y, bool selected)
{
    struct area a = t->area;
    int x = a.x + TABLE_MARK;

    draw_cell(y, a.x, ROLE_KEY, selected ? L'>' : L' ');
    draw_cell(y, a.x + 1, ROLE_WARN, r->tagged ? L'*' : L' ');
    for (int i = 0; i < t->ncols; i++) {
        draw_field(t, r, i, y, x);
        x += t->width[i] + 1;
    }
    if (selected)
        draw_highlight(y, a.x + 1, TABLE_MARK + t->width[0]);
}

/* The filter, at the right end, over whole heads: half of one would read as another. */
static void draw_filter(struct table *t, int y)
{
    char text[sizeof t->filter + 40];
    int x = t->area.x + TABLE_MARK, end = t->area.x + t->area.w - 1, at, from = -1;

    snprintf(text, sizeof text, "/%s (%u of %u)", t->filter, t->nshown, t->v.ui->model.n);
    at = end - (int)text_columns(text);
    for (int i = 0; i < t->ncols && x < at; i++) {
        from = x;
        x += t->width[i] + 1;
    }
    from = x > at && from >= 0 ? from : at;
    draw_fill(y, from, end + 1 - from, ROLE_HEAD, L' ');
    draw_right(y, t->area.x, t->area.w - 1, ROLE_WARN, text);
}

static void draw_heads(struct table *t, int y)
{
    int x = t->area.x + TABLE_MARK;

    draw_fill(y, t->area.x, t->area.w, ROLE_HEAD, L' ');
    for (int i = 0; i < t->ncols; i++) {
        const struct field *f = field_at(t->col[i]);
        enum role role = t->sorted && t->col[i] == t->sort ? ROLE_TITLE : ROLE_HEAD;

        (f->left || f->graph ? draw_text : draw_right)(y, x, t->width[i], role, f->title);
        x += t->width[i] + 1;
    }
    if (t->filter[0])
        draw_filter(t, y);
}

/* Rows for guests: all if half of the height is enough, then the picture gets the rest. */
int table_rows(const struct table *t, int h)
{
    int want = (int)t->nshown, room = h - 1;

    if (t->panel == PANEL_NONE || room < 10)
        return room;
    return want < room - 7 ? want : want > room / 2 ? (room - 8 > room / 2 ? room - 8 : room / 2) : want;
}

static void scroll_to_selected(struct table *t, int rows)
{
    unsigned at = table_selected_index(t);

    if (t->nshown)
        t->selected = t->shown[at]->id;
    if (at < t->first)
        t->first = at;
    if (rows > 0 && at >= t->first + (unsigned)rows)
        t->first = at - (unsigned)rows + 1;
    if (t->first + (unsigned)rows > t->nshown)
        t->first = t->nshown > (unsigned)rows ? t->nshown - (unsigned)rows : 0;
}

void table_draw(struct view *v, struct area a)
{
    struct table *t = (struct table *)v;
    int rows, y = a.y;
    struct row *sel;

    t->area = a;
    table_choose_rows(t);
    table_choose_columns(t, a.w);
    rows = table_rows(t, a.h);
    scroll_to_selected(t, rows);
    draw_heads(t, y++);
    for (unsigned i = t->first; i < t->nshown && (int)(i - t->first) < rows; i++)
        draw_row(t, t->shown[i], y++, t->shown[i]->id == t->selected);
    if (!t->nshown)
        draw_text(y++, a.x + TABLE_MARK, a.w - TABLE_MARK, ROLE_DIM,
                  t->filter[0] ? "no guest matches the filter: / changes it, Escape clears it"
                               : "no guests: `:create NAME image=hello` makes one");
    sel = t->nshown ? t->shown[table_selected_index(t)] : NULL;
    y = a.y + 1 + (rows > (int)t->nshown && !t->nshown ? 1 : rows);
    if (t->panel != PANEL_NONE)
        panel_draw(v->ui, t->panel, sel, (struct area){y, a.x, a.y + a.h - y, a.w});
}
