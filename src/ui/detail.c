/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * detail: everything about one guest: its history as a graph, the time ledger of its vCPUs,
 * exits, memory, disks, links, and what happened to it. In two columns where there is room.
 */
#define NCURSES_WIDECHAR 1
#include "ui/ui_internal.h"

#include "core/units.h"
#include "ui/graph.h"

#include <curses.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GRAPH_COLS = 256, GRAPH_ROWS = 12 };

struct detail {
    struct view v;
    unsigned id;
};

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

/* The graph of its CPU time, with what it was entitled to as a mark in each column. */
static int draw_cpu(struct ui *u, struct row *r, struct area a)
{
    float v[GRAPH_COLS * 2];
    wchar_t *out = calloc((size_t)GRAPH_COLS * GRAPH_ROWS, sizeof *out);
    int w = a.w - 8 > GRAPH_COLS ? GRAPH_COLS : a.w - 8, h = a.h - 1 > GRAPH_ROWS ? GRAPH_ROWS : a.h - 1, n;
    double max = r->vcpus < u->model.cpus ? r->vcpus : u->model.cpus;

    panel_rule(a.y, a.x, a.w, "CPU, percent of one host CPU");
    n = w * graph_per_cell(draw_graph());
    if (out && w > 4 && h > 0) {
        past_get(u->model.history, r->id, HIST_CPU, u->scroll_back, n, v);
        graph_area(draw_graph(), v, n, max, w, h, out);
        for (int y = 0; y < h; y++)
            draw_cells(a.y + 1 + y, a.x + 7, w, ROLE_GUEST + (enum role)r->color, out + y * w);
        draw_fmt(a.y + 1, a.x, 7, ROLE_DIM, "%5.0f%%", max * 100);
        if (h > 1)
            draw_fmt(a.y + h, a.x, 7, ROLE_DIM, "%5d%%", 0);
    }
    free(out);
    return h + 1;
}

static int draw_disks(struct ui *u, struct row *r, struct area a)
{
    const struct vm_stats *st = model_stats(&u->model, r->g);
    char rd[UNITS_TEXT], wr[UNITS_TEXT], cap[UNITS_TEXT];
    int y = a.y + 1;

    if (!st->ndisks)
        return 0;
    panel_rule(a.y, a.x, a.w, "disks");
    for (unsigned i = 0; i < st->ndisks && y < a.y + a.h; i++) {
        const struct disk_stats *d = &st->disks[i];

        draw_fmt(y++, a.x + 1, a.w - 2, d->errors ? ROLE_BAD : ROLE_TEXT,
                 "%-5s %6s%s  read %s in %llu  wrote %s in %llu  errors %llu", d->name,
                 units_fmt_size(cap, d->capacity_bytes), d->readonly ? " ro" : "", units_fmt_size(rd, d->rd_bytes),
                 (unsigned long long)d->rd_reqs, units_fmt_size(wr, d->wr_bytes), (unsigned long long)d->wr_reqs,
                 (unsigned long long)d->errors);
    }
    return y - a.y;
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

/* Sections one below the other, from row `at` on; rows used. */
static int left_half(struct ui *u, struct row *r, struct area a)
{
    int y = a.y, end = a.y + a.h, graph = a.h / 4 < 4 ? 4 : a.h / 4 > 9 ? 9 : a.h / 4;

    y += draw_cpu(u, r, (struct area){y, a.x, graph, a.w});
    if (y < end)
        y += panel_vcpus(u, r, (struct area){y, a.x, end - y, a.w});
    if (y < end)
        y += panel_memory(u, r, (struct area){y, a.x, end - y, a.w});
    return y - a.y;
}

static int right_half(struct ui *u, struct row *r, struct area a)
{
    int y = a.y, end = a.y + a.h;

    y += panel_exits(u, r, (struct area){y, a.x, end - y, a.w});
    if (y + 1 < end)
        y += draw_disks(u, r, (struct area){y, a.x, end - y, a.w});
    if (y + 1 < end)
        y += draw_events(u, r, (struct area){y, a.x, end - y, a.w});
    return y - a.y;
}

static void draw(struct view *v, struct area a)
{
    struct detail *d = (struct detail *)v;
    struct row *r = model_row(&v->ui->model, d->id);
    int half = (a.w - 2) / 2, y = a.y;

    if (!r) {
        draw_text(a.y + 1, a.x + 2, a.w - 2, ROLE_DIM, "this guest was removed; Escape goes back");
        return;
    }
    draw_title(r, (struct area){y++, a.x, 1, a.w});
    y += draw_sched(r, (struct area){y, a.x, 1, a.w});
    if (a.w >= 110) {
        left_half(v->ui, r, (struct area){y, a.x, a.y + a.h - y, half});
        right_half(v->ui, r, (struct area){y, a.x + half + 2, a.y + a.h - y, a.w - half - 2});
        return;
    }
    y += left_half(v->ui, r, (struct area){y, a.x, a.y + a.h - y, a.w});
    if (y + 2 < a.y + a.h)
        right_half(v->ui, r, (struct area){y, a.x, a.y + a.h - y, a.w});
}

/* The next or the last guest, without going back. */
static void go(struct detail *d, int step)
{
    struct model *m = &d->v.ui->model;

    for (unsigned i = 0; i < m->n; i++) {
        if (m->rows[i].id == d->id) {
            d->id = m->rows[(i + m->n + (unsigned)(step + (int)m->n)) % m->n].id;
            table_select(d->v.ui->table, d->id);
            return;
        }
    }
}

static bool key(struct view *v, const struct key *k)
{
    struct detail *d = (struct detail *)v;

    if ((k->special && (k->code == KEY_LEFT || k->code == KEY_UP)) || (!k->special && (k->code == 'k' || k->code == 'h')))
        go(d, -1);
    else if ((k->special && (k->code == KEY_RIGHT || k->code == KEY_DOWN)) || (!k->special && (k->code == 'j' || k->code == 'l')))
        go(d, 1);
    else if (!k->special && k->code == 'w')
        ui_push(v->ui, explain_new(v->ui, FIELD_CPU));
    else
        return keys_guest(v->ui, k);
    return true;
}

static void detail_free(struct view *v)
{
    free(v);
}

static const struct key_help help[] = {{"up down j k", "the guest before, the next"}, {"a", "its console"},
                                       {"p", "pause, resume"}, {"+ - s", "share"}, {"K R", "stop, reset (asks)"},
                                       {"w", "what is this number?"}, {"[ ] 0", "look back in time, forth, now"},
                                       {NULL, NULL}};

static const struct view_ops detail_ops = {.name = "one guest", .keys = help, .draw = draw, .key = key, .free = detail_free};

struct view *detail_new(struct ui *u, unsigned id)
{
    struct detail *d = calloc(1, sizeof *d);

    if (!d)
        return NULL;
    d->v = (struct view){.ops = &detail_ops, .ui = u};
    d->id = id;
    return &d->v;
}
