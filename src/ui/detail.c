/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * detail: everything about one guest: its history as graphs, the time ledger of its vCPUs,
 * exits, memory, disks, links, and what happened to it. In two columns where there is room; on a
 * tall screen the graphs grow, on a short one it scrolls.
 */
#define NCURSES_WIDECHAR 1
#include "ui/ui_internal.h"

#include "core/units.h"

#include <curses.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDE = 112, WHEEL = 3 };

struct detail {
    struct view v;
    unsigned id;
    int scroll;     /* rows that are above */
    int rows, page; /* of the last frame: all, and those that fit */
};

static void clamp(struct detail *d)
{
    int max = d->rows > d->page ? d->rows - d->page : 0;

    d->scroll = d->scroll > max ? max : d->scroll < 0 ? 0 : d->scroll;
}

/* What is not seen, said in the last row. */
static void draw_more(const struct detail *d, struct area a)
{
    int below = d->rows - d->page - d->scroll;
    char text[64];

    if (below)
        snprintf(text, sizeof text, " PgDn: %d rows more%s ", below, d->scroll ? ", PgUp" : "");
    else
        snprintf(text, sizeof text, " PgUp: %d rows above ", d->scroll);
    draw_right(a.y + a.h - 1, a.x, a.w - 1, ROLE_SELECT, text);
}

static void draw_title(struct row *r, struct area a)
{
    char age[UNITS_TEXT], mem[UNITS_TEXT];
    const char *why = vm_reason(r->g->vm);
    int x = a.x + 1;

    draw_fill(a.y, a.x, a.w, ROLE_DIM, draw_glyphs()->hheavy);
    x += draw_fmt(a.y, x, a.w - x, ROLE_TITLE, " %s ", r->name) + 1;
    x += draw_fmt(a.y, x, a.w - x, r->state == VM_CRASHED ? ROLE_BAD : ROLE_GOOD, " %s%s%s ", r->word, *why ? ": " : "", why) + 1;
    x += draw_fmt(a.y, x, a.w - x, ROLE_TEXT, " %u vCPU, %s, %s ", r->vcpus, units_fmt_size(mem, r->memory),
                  vm_accel(r->g->vm)->name) + 1;
    if (r->up)
        x += draw_fmt(a.y, x, a.w - x, ROLE_TEXT, " up %s ", units_fmt_age(age, vm_uptime_ns(r->g->vm))) + 1;
    if (r->g->c->group[0])
        draw_fmt(a.y, x, a.w - x, ROLE_DIM, " @%s ", r->g->c->group);
}

static void percent(char out[16], double v)
{
    if (isnan(v))
        snprintf(out, 16, "–");
    else
        snprintf(out, 16, "%.1f%%", v * 100);
}

static int draw_sched(struct row *r, struct area a)
{
    char entitled[16], got[16], cap[16] = "none";
    const char *why = sched_reason_name(r->sched.reason);

    percent(entitled, r->sched.entitlement);
    percent(got, r->sched.got);
    if (r->sched.cap_pct)
        snprintf(cap, sizeof cap, "%u%%", r->sched.cap_pct);
    draw_fmt(a.y, a.x + 1, a.w - 2, ROLE_TEXT, "share %u   cap %s   entitled %s   got %s   limited by %s   (%s)",
             r->sched.share, cap, entitled, got, why ? why : "nothing", r->sched.mechanism ? r->sched.mechanism : "none");
    return 1;
}

static unsigned count_events(struct ui *u, const struct row *r)
{
    struct events *ev = session_events(u->session);
    unsigned n = 0;

    for (uint64_t i = events_last(ev); i && events_get(ev, i); i--)
        n += strcmp(events_get(ev, i)->guest, r->name) == 0;
    return n;
}

static int draw_events(struct ui *u, struct row *r, struct area a)
{
    struct events *ev = session_events(u->session);
    char when[16], show[260];
    int y = a.y + 1;

    panel_rule(a.y, a.x, a.w, "what happened to it");
    for (uint64_t i = events_last(ev); i && y < a.y + a.h; i--) {
        const struct event *e = events_get(ev, i);

        if (!e)
            break;
        if (strcmp(e->guest, r->name) != 0)
            continue;
        draw_fmt(y, a.x + 1, 9, ROLE_DIM, "%.8s", event_time(e, when));
        draw_text(y++, a.x + 10, a.w - 11, e->kind == EV_FAILED || e->kind == EV_DEVICE ? ROLE_BAD : ROLE_TEXT,
                  text_show(show, sizeof show, e->text));
    }
    return y - a.y;
}

/* The sections. Each has rows that it needs, and may make use of more. */

static int cpu(struct ui *u, struct row *r, struct area a)
{
    return panel_history(u, r, HIST_CPU, "CPU (line: entitled)", a);
}

static int memory_history(struct ui *u, struct row *r, struct area a)
{
    return panel_history(u, r, HIST_MEMORY, "resident memory", a);
}

static int exit_history(struct ui *u, struct row *r, struct area a)
{
    return panel_history(u, r, HIST_EXITS, "exits a second", a);
}

enum section { CPU, VCPUS, MEMORY, MEMORY_HISTORY, EXITS, EXIT_HISTORY, DISKS, NETS, EVENTS, SECTIONS };

static const struct {
    int (*draw)(struct ui *u, struct row *r, struct area a);
    int most; /* rows that it can make use of; 0: see rows_useful */
} sections[SECTIONS] = {
    [CPU] = {cpu, PANEL_HISTORY_ROWS},
    [VCPUS] = {panel_vcpus, 0},
    [MEMORY] = {panel_memory, 0},
    [MEMORY_HISTORY] = {memory_history, PANEL_HISTORY_ROWS},
    [EXITS] = {panel_exits, 0},
    [EXIT_HISTORY] = {exit_history, PANEL_HISTORY_ROWS},
    [DISKS] = {panel_disks, 0},
    [NETS] = {panel_nets, 0},
    [EVENTS] = {draw_events, 0},
};

static int rows_needed(struct ui *u, struct row *r, enum section s)
{
    unsigned events = s == EVENTS ? count_events(u, r) : 0;

    switch (s) {
    case CPU: case MEMORY_HISTORY: case EXIT_HISTORY:
        return 4;
    case VCPUS:
        return 2 + (int)r->vcpus;
    case MEMORY:
        return panel_memory_rows();
    case EXITS:
        return panel_exits_rows(u, r);
    case DISKS:
        return panel_disks_rows(r);
    case NETS:
        return panel_nets_rows(r);
    default:
        return 1 + (int)(events < 4 ? events : 4);
    }
}

/* At most; not more than it needs: no others. */
static int rows_useful(struct ui *u, struct row *r, enum section s)
{
    return s == EVENTS ? 1 + (int)count_events(u, r) : sections[s].most;
}

struct column {
    enum section s[SECTIONS];
    int n, rows[SECTIONS];
};

/* Gives each section its rows; what is left of `h` goes to those that can make use of it. */
static int plan(struct ui *u, struct row *r, struct column *c, int h)
{
    int used = 0, most[SECTIONS];
    bool more = true;

    for (int i = 0; i < c->n; i++) {
        used += c->rows[i] = rows_needed(u, r, c->s[i]);
        most[i] = rows_useful(u, r, c->s[i]);
    }
    while (used < h && more) {
        more = false;
        for (int i = 0; i < c->n && used < h; i++) {
            if (c->rows[i] < most[i]) {
                c->rows[i]++;
                used++;
                more = true;
            }
        }
    }
    return used;
}

static void draw_column(struct ui *u, struct row *r, const struct column *c, struct area body, int scroll)
{
    int y = body.y - scroll;

    for (int i = 0; i < c->n; y += c->rows[i++])
        if (c->rows[i] && y < body.y + body.h && y + c->rows[i] > body.y)
            sections[c->s[i]].draw(u, r, (struct area){y, body.x, c->rows[i], body.w});
}

/* One column or two, from row `scroll` on. */
static void draw_body(struct detail *d, struct row *r, struct area a)
{
    struct ui *u = d->v.ui;
    bool wide = a.w >= WIDE;
    struct column left = {{CPU, VCPUS, MEMORY, MEMORY_HISTORY}, 4, {0}}, right = {{EXITS, EXIT_HISTORY, DISKS, NETS, EVENTS}, 5, {0}},
                  all = {{CPU, VCPUS, EXITS, DISKS, NETS, MEMORY, MEMORY_HISTORY, EXIT_HISTORY, EVENTS}, 9, {0}};
    int half = wide ? (a.w - 2) / 2 : a.w, rows = plan(u, r, wide ? &left : &all, a.h);
    int other = wide ? plan(u, r, &right, a.h) : 0;

    d->page = a.h;
    d->rows = rows > other ? rows : other;
    clamp(d);
    draw_clip(a);
    draw_column(u, r, wide ? &left : &all, (struct area){a.y, a.x, a.h, half}, d->scroll);
    if (wide)
        draw_column(u, r, &right, (struct area){a.y, a.x + half + 2, a.h, a.w - half - 2}, d->scroll);
    draw_unclip();
    if (d->rows > a.h)
        draw_more(d, a);
}

static void draw(struct view *v, struct area a)
{
    struct detail *d = (struct detail *)v;
    struct row *r = model_row(&v->ui->model, d->id);

    if (!r) {
        draw_text(a.y + 1, a.x + 2, a.w - 2, ROLE_DIM, "this guest was removed; Escape goes back");
        return;
    }
    draw_title(r, (struct area){a.y, a.x, 1, a.w});
    draw_sched(r, (struct area){a.y + 1, a.x, 1, a.w});
    draw_body(d, r, (struct area){a.y + 2, a.x, a.h - 2, a.w});
}

/* The next or the last guest, without going back. */
static void go(struct detail *d, int step)
{
    struct model *m = &d->v.ui->model;

    for (unsigned i = 0; i < m->n; i++) {
        if (m->rows[i].id == d->id) {
            d->id = m->rows[(i + m->n + (unsigned)(step + (int)m->n)) % m->n].id;
            d->scroll = 0;
            table_select(d->v.ui->table, d->id);
            return;
        }
    }
}

static bool scroll_key(struct detail *d, const struct key *k)
{
    int page = d->page > 2 ? d->page - 1 : 1;

    if ((k->special && k->code == KEY_NPAGE) || (!k->special && k->code == ' '))
        d->scroll += page;
    else if (k->special && k->code == KEY_PPAGE)
        d->scroll -= page;
    else if (k->special && k->code == KEY_HOME)
        d->scroll = 0;
    else if ((k->special && k->code == KEY_END) || (!k->special && k->code == 'G'))
        d->scroll = d->rows;
    else
        return false;
    clamp(d);
    return true;
}

static bool on_mouse(struct view *v, const struct mouse *m)
{
    struct detail *d = (struct detail *)v;

    if (m->button == 64 || m->button == 65)
        d->scroll += m->button == 64 ? -WHEEL : WHEEL;
    clamp(d);
    return true;
}

static bool key(struct view *v, const struct key *k)
{
    struct detail *d = (struct detail *)v;

    if (scroll_key(d, k))
        return true;
    if ((k->special && (k->code == KEY_LEFT || k->code == KEY_UP)) || (!k->special && (k->code == 'k' || k->code == 'h')))
        go(d, -1);
    else if ((k->special && (k->code == KEY_RIGHT || k->code == KEY_DOWN)) || (!k->special && (k->code == 'j' || k->code == 'l')))
        go(d, 1);
    else if (!k->special && k->code == 'w')
        ui_push(v->ui, explain_new(v->ui, FIELDS + figure_first("detail")));
    else
        return keys_guest(v->ui, k);
    return true;
}

static void detail_free(struct view *v)
{
    free(v);
}

static const struct key_help help[] = {{"up down j k", "the guest before, the next"}, {"PgUp PgDn Home G", "scroll"}, {"a", "its console"},
                                       {"p", "pause, resume"}, {"+ - s", "share"}, {"K R", "stop, reset (asks)"},
                                       {"w", "what is this number?"}, {"[ ] 0", "look back in time, forth, now"},
                                       {NULL, NULL}};

static const struct view_ops detail_ops = {.name = "one guest", .keys = help, .draw = draw, .key = key, .mouse = on_mouse,
                                           .free = detail_free};

struct view *detail_new(struct ui *u, unsigned id)
{
    struct detail *d = calloc(1, sizeof *d);

    if (!d)
        return NULL;
    d->v = (struct view){.ops = &detail_ops, .ui = u};
    d->id = id;
    return &d->v;
}
