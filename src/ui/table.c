/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * table: the guests, a row each, and below it one picture. The columns that fit are shown; what
 * is left goes to the graph.
 */
#define NCURSES_WIDECHAR 1
#include "ui/ui_internal.h"

#include "ui/cmdline.h"
#include "ui/graph.h"

#include <curses.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GRAPH_MAX = 80, SHOWN_MAX = 256, MARK = 2 };

struct table {
    struct view v;
    unsigned selected; /* id of the guest */
    unsigned first;    /* row at the top */
    char filter[64];
    enum field_id sort;
    bool sorted, invert, grouped;
    enum panel panel;
    bool hidden[FIELDS];
    /* of the last frame */
    struct area area;
    enum field_id col[FIELDS];
    int ncols, width[FIELDS];
    struct row *shown[SHOWN_MAX];
    unsigned nshown;
};

/* Which rows, in which order. */

static const struct table *sorting; /* qsort has no argument */

static int compare(const void *a, const void *b)
{
    const struct row *x = *(struct row *const *)a, *y = *(struct row *const *)b;
    int c = sorting->grouped ? strcmp(x->group, y->group) : 0;

    if (!c && sorting->sorted)
        c = sorting->invert ? -field_compare(sorting->sort, x, y) : field_compare(sorting->sort, x, y);
    return c ? c : (int)x->id - (int)y->id;
}

static void choose_rows(struct table *t)
{
    struct model *m = &t->v.ui->model;

    t->nshown = 0;
    for (unsigned i = 0; i < m->n && t->nshown < SHOWN_MAX; i++)
        if (row_matches(&m->rows[i], t->filter))
            t->shown[t->nshown++] = &m->rows[i];
    sorting = t;
    qsort(t->shown, t->nshown, sizeof *t->shown, compare);
}

static unsigned index_of(const struct table *t)
{
    for (unsigned i = 0; i < t->nshown; i++)
        if (t->shown[i]->id == t->selected)
            return i;
    return 0;
}

struct row *table_selected(struct view *v)
{
    struct table *t = (struct table *)v;

    choose_rows(t);
    return t->nshown ? t->shown[index_of(t)] : NULL;
}

void table_select(struct view *v, unsigned id)
{
    ((struct table *)v)->selected = id;
}

static void move_to(struct table *t, int to)
{
    choose_rows(t);
    if (!t->nshown)
        return;
    to = to < 0 ? 0 : to >= (int)t->nshown ? (int)t->nshown - 1 : to;
    t->selected = t->shown[to]->id;
}

void table_targets(struct view *v, struct text *out)
{
    struct model *m = &v->ui->model;
    struct row *r;
    bool any = false;

    for (unsigned i = 0; i < m->n; i++) {
        if (m->rows[i].tagged) {
            text_printf(out, " %s", m->rows[i].name);
            any = true;
        }
    }
    r = any ? NULL : table_selected(v);
    if (r)
        text_printf(out, " %s", r->name);
}

const char *table_filter(struct view *v)
{
    return ((struct table *)v)->filter;
}

void table_set_filter(struct view *v, const char *filter)
{
    snprintf(((struct table *)v)->filter, sizeof ((struct table *)v)->filter, "%s", filter);
}

/* Which columns. */

static bool known(struct table *t, enum field_id f)
{
    const struct model *m = &t->v.ui->model;

    if (t->hidden[f])
        return false;
    if (f == FIELD_GROUP && t->grouped)
        return true;
    for (unsigned i = 0; i < m->n; i++) {
        if (f == FIELD_MIPS && !isnan(m->rows[i].mips))
            return true;
        if (f == FIELD_CAP && m->rows[i].sched.cap_pct)
            return true;
        if ((f == FIELD_RD || f == FIELD_WR) && m->rows[i].io.ndisks)
            return true;
        if ((f == FIELD_RX || f == FIELD_TX) && m->rows[i].io.nnets)
            return true;
        if (f == FIELD_GROUP && m->rows[i].group[0])
            return true;
    }
    return f != FIELD_MIPS && f != FIELD_CAP && f != FIELD_GROUP && (f < FIELD_RD || f > FIELD_TX);
}

static int total_width(const struct table *t)
{
    int w = MARK;

    for (int i = 0; i < t->ncols; i++)
        w += t->width[i] + 1;
    return w;
}

static void drop_one(struct table *t)
{
    int worst = -1;

    for (int i = 0; i < t->ncols; i++)
        if (field_at(t->col[i])->drop && (worst < 0 || field_at(t->col[i])->drop > field_at(t->col[worst])->drop))
            worst = i;
    if (worst < 0) {
        t->ncols--;
        return;
    }
    memmove(t->col + worst, t->col + worst + 1, (size_t)(t->ncols - worst - 1) * sizeof *t->col);
    memmove(t->width + worst, t->width + worst + 1, (size_t)(t->ncols - worst - 1) * sizeof *t->width);
    t->ncols--;
}

static void choose_columns(struct table *t, int w)
{
    t->ncols = 0;
    for (int f = 0; f < FIELDS; f++) {
        if (!known(t, (enum field_id)f))
            continue;
        t->col[t->ncols] = (enum field_id)f;
        t->width[t->ncols++] = field_at((enum field_id)f)->width;
    }
    while (t->ncols > 1 && total_width(t) > w)
        drop_one(t);
    for (int i = 0; i < t->ncols; i++) {
        int more = w - total_width(t);

        if (t->col[i] == FIELD_CPU_GRAPH && more > 0)
            t->width[i] = t->width[i] + more > 60 ? 60 : t->width[i] + more;
    }
}

int table_set_columns(struct view *v, const char *list, struct err *e)
{
    struct table *t = (struct table *)v;
    bool hide[FIELDS];
    char word[32];

    for (int f = 0; f < FIELDS; f++)
        hide[f] = strcmp(list, "all") != 0;
    hide[FIELD_NAME] = false;
    while (*list && strcmp(list, "all") != 0) {
        size_t n = strcspn(list, ",");
        int f;

        snprintf(word, sizeof word, "%.*s", (int)n, list);
        f = field_find(word);
        if (f < 0)
            return err_set(e, EINVAL, "there is no column of this name: `set columns` takes all, or names like cpu,mem,exits");
        hide[f] = false;
        list += n + (list[n] == ',');
    }
    memcpy(t->hidden, hide, sizeof hide);
    return 0;
}

void table_columns(struct view *v, char out[64])
{
    struct table *t = (struct table *)v;
    size_t n = 0;
    bool all = true;

    out[0] = '\0';
    for (int f = 0; f < FIELDS; f++) {
        all &= !t->hidden[f];
        if (!t->hidden[f] && n < 60)
            n += (size_t)snprintf(out + n, 64 - n, "%s%s", n ? "," : "", field_at((enum field_id)f)->key);
    }
    if (all)
        strcpy(out, "all");
}

int table_set_sort(struct view *v, const char *key, struct err *e)
{
    struct table *t = (struct table *)v;
    int f = field_find(key);

    t->sorted = strcmp(key, "none") != 0;
    if (t->sorted && f < 0) {
        t->sorted = false;
        return err_set(e, EINVAL, "there is no column of this name: `set sort` takes none, or a name like cpu or mem");
    }
    if (t->sorted)
        t->sort = (enum field_id)f;
    return 0;
}

const char *table_sort(struct view *v)
{
    const struct table *t = (struct table *)v;

    return t->sorted ? field_at(t->sort)->key : "none";
}

/* Drawing. */

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
    int x = a.x + MARK;

    draw_cell(y, a.x, ROLE_KEY, selected ? L'>' : L' ');
    draw_cell(y, a.x + 1, ROLE_WARN, r->tagged ? L'*' : L' ');
    for (int i = 0; i < t->ncols; i++) {
        draw_field(t, r, i, y, x);
        x += t->width[i] + 1;
    }
    if (selected)
        draw_highlight(y, a.x + 1, MARK + t->width[0]);
}

static void draw_heads(struct table *t, int y)
{
    int x = t->area.x + MARK;

    draw_fill(y, t->area.x, t->area.w, ROLE_HEAD, L' ');
    for (int i = 0; i < t->ncols; i++) {
        const struct field *f = field_at(t->col[i]);
        enum role role = t->sorted && t->col[i] == t->sort ? ROLE_TITLE : ROLE_HEAD;

        (f->left || f->graph ? draw_text : draw_right)(y, x, t->width[i], role, f->title);
        x += t->width[i] + 1;
    }
    if (t->filter[0])
        draw_fmt(y, t->area.x + t->area.w - 24, 24, ROLE_WARN, " /%s (%u of %u)", t->filter, t->nshown,
                 t->v.ui->model.n);
}

/* Rows for guests: all if half of the height is enough, then the picture gets the rest. */
static int table_rows(const struct table *t, int h)
{
    int want = (int)t->nshown, room = h - 1;

    if (t->panel == PANEL_NONE || room < 10)
        return room;
    return want < room - 7 ? want : want > room / 2 ? (room - 8 > room / 2 ? room - 8 : room / 2) : want;
}

static void scroll_to_selected(struct table *t, int rows)
{
    unsigned at = index_of(t);

    if (t->nshown)
        t->selected = t->shown[at]->id;
    if (at < t->first)
        t->first = at;
    if (rows > 0 && at >= t->first + (unsigned)rows)
        t->first = at - (unsigned)rows + 1;
    if (t->first + (unsigned)rows > t->nshown)
        t->first = t->nshown > (unsigned)rows ? t->nshown - (unsigned)rows : 0;
}

static void draw(struct view *v, struct area a)
{
    struct table *t = (struct table *)v;
    int rows, y = a.y;
    struct row *sel;

    t->area = a;
    choose_rows(t);
    choose_columns(t, a.w);
    rows = table_rows(t, a.h);
    scroll_to_selected(t, rows);
    draw_heads(t, y++);
    for (unsigned i = t->first; i < t->nshown && (int)(i - t->first) < rows; i++)
        draw_row(t, t->shown[i], y++, t->shown[i]->id == t->selected);
    if (!t->nshown)
        draw_text(y++, a.x + MARK, a.w - MARK, ROLE_DIM,
                  t->filter[0] ? "no guest matches the filter: / changes it, Escape clears it"
                               : "no guests: `:create NAME image=hello` makes one");
    sel = t->nshown ? t->shown[index_of(t)] : NULL;
    y = a.y + 1 + (rows > (int)t->nshown && !t->nshown ? 1 : rows);
    if (t->panel != PANEL_NONE)
        panel_draw(v->ui, t->panel, sel, (struct area){y, a.x, a.y + a.h - y, a.w});
}

/* Keys. */

static void filter_changed(void *arg, const char *text)
{
    struct table *t = arg;

    table_set_filter(&t->v, text);
    ui_redraw(t->v.ui);
}

static void filter_entered(void *arg, const char *text)
{
    struct table *t = arg;

    table_set_filter(&t->v, text ? text : "");
    ui_redraw(t->v.ui);
}

static void sort_by(struct table *t, int step)
{
    int at = 0;

    for (int i = 0; i < t->ncols; i++)
        if (t->col[i] == t->sort)
            at = i;
    if (t->ncols)
        at = t->sorted ? (at + step + t->ncols) % t->ncols : step > 0 ? 0 : t->ncols - 1;
    t->sort = t->col[at];
    t->sorted = true;
    ui_say(t->v.ui, false, "sorted by %s%s; I turns the order, S: as in the lab", field_at(t->sort)->key, t->invert ? ", inverted" : "");
}

static void tag_all(struct table *t)
{
    bool all = true;

    choose_rows(t);
    for (unsigned i = 0; i < t->nshown; i++)
        all &= t->shown[i]->tagged;
    for (unsigned i = 0; i < t->nshown; i++)
        t->shown[i]->tagged = !all;
}

static bool move_key(struct table *t, uint32_t code)
{
    int at, page = t->area.h / 2;

    choose_rows(t);
    at = (int)index_of(t);
    switch (code) {
    case KEY_UP: case 'k':
        at--;
        break;
    case KEY_DOWN: case 'j':
        at++;
        break;
    case KEY_PPAGE:
        at -= page;
        break;
    case KEY_NPAGE:
        at += page;
        break;
    case KEY_HOME:
        at = 0;
        break;
    case KEY_END: case 'G':
        at = (int)t->nshown;
        break;
    default:
        return false;
    }
    move_to(t, at);
    return true;
}

static void toggle_panel(struct table *t, enum panel p)
{
    t->panel = t->panel == p ? PANEL_DIVISION : p;
}

static bool look_key(struct table *t, uint32_t c)
{
    switch (c) {
    case '<': case '>':
        sort_by(t, c == '<' ? -1 : 1);
        break;
    case 'I':
        t->invert = !t->invert;
        break;
    case 'S':
        t->sorted = false;
        break;
    case 'o':
        t->grouped = !t->grouped;
        break;
    case 'x':
        toggle_panel(t, PANEL_EXITS);
        break;
    case 'v':
        toggle_panel(t, PANEL_VCPUS);
        break;
    case 'm':
        toggle_panel(t, PANEL_MEMORY);
        break;
    case '\t':
        t->panel = (t->panel + 1) % PANELS;
        break;
    case 'W':
        ui_push(t->v.ui, explain_new(t->v.ui, FIELDS + figure_first("host bar")));
        break;
    case 'w':
        ui_push(t->v.ui, explain_new(t->v.ui, (int)(t->sorted ? t->sort : FIELD_CPU)));
        break;
    case '/':
        cmdline_open("/", t->filter, filter_entered, filter_changed, t);
        break;
    default:
        return false;
    }
    return true;
}

static bool key(struct view *v, const struct key *k)
{
    struct table *t = (struct table *)v;
    struct row *r = table_selected(v);

    if (move_key(t, k->special ? k->code : k->alt ? 0 : k->code))
        return true;
    if (k->special && k->code != KEY_ENTER)
        return keys_guest(v->ui, k);
    if (k->alt || look_key(t, k->code))
        return !k->alt;
    if (k->code == ' ' && r) {
        r->tagged = !r->tagged;
        move_key(t, KEY_DOWN);
    } else if (k->code == '*') {
        tag_all(t);
    } else if ((k->code == '\r' || k->code == '\n' || k->special) && r) {
        ui_push(v->ui, detail_new(v->ui, r->id));
    } else if (k->code == 27 && t->filter[0]) {
        t->filter[0] = '\0';
    } else {
        return keys_guest(v->ui, k);
    }
    return true;
}

static bool on_mouse(struct view *v, const struct mouse *m)
{
    struct table *t = (struct table *)v;
    int row = m->y - t->area.y - 1, x = t->area.x + MARK;

    if (m->release)
        return true;
    choose_rows(t);
    if (m->button == 64 || m->button == 65) {
        move_key(t, m->button == 64 ? KEY_UP : KEY_DOWN);
        return true;
    }
    for (int i = 0; row == -1 && i < t->ncols; x += t->width[i++] + 1) {
        if (m->x >= x && m->x <= x + t->width[i]) {
            t->invert = t->sorted && t->sort == t->col[i] ? !t->invert : false;
            t->sort = t->col[i];
            t->sorted = true;
        }
    }
    if (row >= 0 && row < table_rows(t, t->area.h) && t->first + (unsigned)row < t->nshown) {
        bool again = t->shown[t->first + (unsigned)row]->id == t->selected;

        t->selected = t->shown[t->first + (unsigned)row]->id;
        if (again)
            ui_push(v->ui, detail_new(v->ui, t->selected));
    }
    return true;
}

static bool caret(struct view *v, int *y, int *x)
{
    struct table *t = (struct table *)v;

    *y = t->area.y + 1 + (int)(index_of(t) - t->first); /* parked on the row, for screen readers */
    *x = 0;
    return false;
}

static void table_free(struct view *v)
{
    free(v);
}

static const struct key_help help[] = {
    {"Enter", "everything about the guest"}, {"a", "its console (Ctrl-] or F12 leaves)"},
    {"g", "consoles side by side: the tagged, or all"}, {"p", "pause, resume"}, {"+ -", "more, less share"}, {"s", "set the share"}, {"u", "take the last change back"},
    {"K R", "stop, reset at once (asks)"}, {"P B", "power button; start"}, {"Space *", "tag one, all: keys act on the tagged"},
    {"/", "filter by name, state or group; !x: without"}, {"< > I S", "sort by the column left, right; invert; as in the lab"},
    {"o", "group by group"}, {"x v m Tab", "below: exits, vCPUs, memory, next"}, {"w W", "what is this number? of a column, of the host bar"},
    {"[ ] 0", "look back in time, forth, now"}, {"z", "freeze, go on"}, {NULL, NULL}};

static const struct view_ops table_ops = {.name = "guests", .keys = help, .draw = draw, .key = key, .mouse = on_mouse,
                                          .caret = caret, .free = table_free};

struct view *table_new(struct ui *u)
{
    struct table *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->v = (struct view){.ops = &table_ops, .ui = u};
    t->sort = FIELD_CPU;
    return &t->v;
}
