/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * table: the guests, a row each: which rows there are, in which order, which one is selected,
 * and what keys and the mouse do.
 */
#define NCURSES_WIDECHAR 1
#include "ui/table_internal.h"

#include "ui/cmdline.h"

#include <curses.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

void table_choose_rows(struct table *t)
{
    struct model *m = &t->v.ui->model;

    t->nshown = 0;
    for (unsigned i = 0; i < m->n && t->nshown < TABLE_SHOWN_MAX; i++)
        if (row_matches(&m->rows[i], t->filter))
            t->shown[t->nshown++] = &m->rows[i];
    sorting = t;
    qsort(t->shown, t->nshown, sizeof *t->shown, compare);
}

unsigned table_selected_index(const struct table *t)
{
    for (unsigned i = 0; i < t->nshown; i++)
        if (t->shown[i]->id == t->selected)
            return i;
    return 0;
}

struct row *table_selected(struct view *v)
{
    struct table *t = (struct table *)v;

    table_choose_rows(t);
    return t->nshown ? t->shown[table_selected_index(t)] : NULL;
}

void table_select(struct view *v, unsigned id)
{
    ((struct table *)v)->selected = id;
}

static void move_to(struct table *t, int to)
{
    table_choose_rows(t);
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
    if (t->filter[0])
        memcpy(t->sought, t->filter, sizeof t->sought);
    ui_redraw(t->v.ui);
}

/* The next guest, downward or upward and around, that the last filter matches. */
static void search_again(struct table *t, int step)
{
    int at, n;

    table_choose_rows(t);
    at = (int)table_selected_index(t);
    n = (int)t->nshown;
    for (int i = 1; t->sought[0] && i <= n; i++) {
        int to = ((at + i * step) % n + n) % n;

        if (row_matches(t->shown[to], t->sought)) {
            t->selected = t->shown[to]->id;
            return;
        }
    }
    if (t->sought[0])
        ui_say(t->v.ui, true, "no guest here matches `%s`", t->sought);
    else
        ui_say(t->v.ui, true, "nothing was looked for yet: / does");
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

    table_choose_rows(t);
    for (unsigned i = 0; i < t->nshown; i++)
        all &= t->shown[i]->tagged;
    for (unsigned i = 0; i < t->nshown; i++)
        t->shown[i]->tagged = !all;
}

static bool move_key(struct table *t, uint32_t code)
{
    int at, page = t->area.h / 2;

    table_choose_rows(t);
    at = (int)table_selected_index(t);
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
    case 'n': case 'N':
        search_again(t, c == 'n' ? 1 : -1);
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
    int row = m->y - t->area.y - 1, x = t->area.x + TABLE_MARK;

    if (m->release)
        return true;
    table_choose_rows(t);
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

    *y = t->area.y + 1 + (int)(table_selected_index(t) - t->first); /* parked on the row, for screen readers */
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
    {"/ n N", "filter by name, state, group; !x: without; next match"}, {"< > I S", "sort by the column beside; invert; as in the lab"},
    {"o", "group by group"}, {"x v m Tab", "below: exits, vCPUs, memory, next"}, {"w W", "what is this number? of a column, of the host bar"},
    {"[ ] 0", "look back in time, forth, now"}, {"z", "freeze, go on"}, {NULL, NULL}};

static const struct view_ops table_ops = {.name = "guests", .keys = help, .draw = table_draw, .key = key, .mouse = on_mouse,
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
