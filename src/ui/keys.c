/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * keys: what single keys do to guests and to the console, and the row that shows them. What can
 * be undone is done at once; what cannot asks, since the commands behind do.
 */
#define NCURSES_WIDECHAR 1
#include "ui/ui_internal.h"

#include "ui/screen.h"

#include <curses.h>
#include <stdio.h>
#include <string.h>

enum { BAR_TABLE = 1, BAR_ABOVE = 2, BAR_BOTH = 3 }; /* in the table; in what is opened from it */

/* Keys in a bar entry that are one character stand for themselves; `code` is for the others. */
static const struct {
    const char *key, *label;
    uint32_t code; /* 0: see above */
    int where;
} bar[] = {{"F1", "Help", '?', BAR_BOTH},         {"Enter", "Detail", '\r', BAR_TABLE}, {"Esc", "Back", 27, BAR_ABOVE},
           {"a", "Console", 0, BAR_BOTH},         {"p", "Pause", 0, BAR_BOTH},          {"+/-", "Share", 0, BAR_BOTH},
           {":", "Command", 0, BAR_BOTH},         {"q", "Quit", 0, BAR_BOTH},           {"/", "Filter", 0, BAR_TABLE},
           {"g", "Grid", 0, BAR_TABLE},           {"v", "vCPUs", 0, BAR_TABLE},         {"x", "Exits", 0, BAR_TABLE},
           {"m", "Memory", 0, BAR_TABLE},         {"w", "What's this", 0, BAR_BOTH},    {"< >", "Sort", 0, BAR_TABLE},
           {"Space", "Tag", ' ', BAR_TABLE},      {"[ ]", "Back in time", 0, BAR_BOTH}, {"z", "Freeze", 0, BAR_BOTH},
           {"t", "Theme", 0, BAR_BOTH},           {"u", "Undo", 0, BAR_BOTH}};

enum { BAR = sizeof bar / sizeof *bar };

/* Columns of an entry, without the gap behind it. */
static int bar_width(int i)
{
    return (int)(strlen(bar[i].key) + strlen(bar[i].label)) + 1;
}

/* The first entry from `i` on that belongs to what is open; BAR: it does not fit at column `x`, or there is none. */
static int bar_next(const struct ui *u, int i, int x, int w)
{
    int where = u->top == u->table ? BAR_TABLE : BAR_ABOVE;

    while (i < BAR && !(bar[i].where & where))
        i++;
    return i < BAR && x + bar_width(i) + 1 <= w ? i : BAR;
}

void table_keybar(struct ui *u, int y, int w)
{
    int x = 1;

    for (int i = bar_next(u, 0, x, w); i < BAR; i = bar_next(u, i + 1, x, w)) {
        draw_text(y, x, w - x, ROLE_KEY, bar[i].key);
        draw_text(y, x + (int)strlen(bar[i].key) + 1, w - x, ROLE_DIM, bar[i].label);
        x += bar_width(i) + 2;
    }
}

bool table_keybar_at(struct ui *u, int at, int w, struct key *k)
{
    int x = 1;

    for (int i = bar_next(u, 0, x, w); i < BAR; i = bar_next(u, i + 1, x, w)) {
        if (at >= x && at < x + bar_width(i)) {
            /* of two, "+/-", the one that was hit; the label is for the first */
            bool second = !bar[i].code && at == x + 2 && bar[i].key[1];

            *k = (struct key){.code = bar[i].code ? bar[i].code : (uint32_t)bar[i].key[second ? 2 : 0]};
            return true;
        }
        x += bar_width(i) + 2;
    }
    return false;
}

const struct key_help keys_common[] = {
    {":", "a command (Tab completes, Ctrl-R searches)"}, {"F1 ?", "this help"}, {"Esc", "back"},
    {"t b", "theme; graphs of braille, blocks, ASCII"}, {"Ctrl-L Ctrl-Z", "draw anew; suspend"},
    {"q F10", "quit (asks if guests run)"}, {NULL, NULL}};

static void run_on_targets(struct ui *u, const char *command)
{
    struct text t = {0};

    table_targets(u->table, &t);
    if (t.len)
        ui_run(u, "%s%s", command, text_str(&t));
    text_free(&t);
}

static void pause_or_resume(struct ui *u)
{
    struct row *r = table_selected(u->table);

    for (unsigned i = 0; i < u->model.n; i++)
        if (u->model.rows[i].tagged)
            r = &u->model.rows[i];
    if (r)
        run_on_targets(u, vm_state(r->g->vm) == VM_PAUSED ? "resume" : "pause");
}

/* A quarter more or less, at least by one. The rows are read anew by the change's event. */
static void change_share(struct ui *u, const struct row *r, bool up)
{
    const char *name = r->g->c->name;
    unsigned now = r->g->c->share, want = up ? now + (now + 3) / 4 : now - (now + 4) / 5;

    want = want < 1 ? 1 : want > VM_SHARE_MAX ? VM_SHARE_MAX : want;
    ui_run(u, "share %s %u", name, want);
    if (!u->readonly)
        ui_say(u, false, "share of %s: %u", name, want);
}

static void change_shares(struct ui *u, bool up)
{
    struct row *r = table_selected(u->table);
    bool any = false;

    for (unsigned i = 0; i < u->model.n; i++) {
        if (u->model.rows[i].tagged) {
            any = true;
            change_share(u, &u->model.rows[i], up);
        }
    }
    if (!any && r)
        change_share(u, r, up);
}

static void look_back(struct ui *u, int step)
{
    int to = (int)u->scroll_back + step, max = PAST_TICKS - 60;

    if (past_ticks(u->model.history) < (uint64_t)max)
        max = (int)past_ticks(u->model.history);
    u->scroll_back = to < 0 ? 0 : to > max ? (unsigned)max : (unsigned)to;
}

static void next_theme(struct ui *u)
{
    draw_set_theme((draw_theme() + 1) % THEMES);
    screen_repaint();
    ui_say(u, false, "theme: %s", draw_theme_name(draw_theme()));
}

static void next_graph(struct ui *u)
{
    enum draw_graph g = draw_graph();

    draw_set_graph((g + 1) % GRAPHS);
    ui_say(u, false, "graphs: %s", draw_graph_name(draw_graph()));
}

static void prefilled(struct ui *u, const char *command)
{
    struct text t = {0}, line = {0};

    table_targets(u->table, &t);
    text_printf(&line, "%s%s ", command, text_str(&t));
    ui_open_command(u, text_str(&line));
    text_free(&t);
    text_free(&line);
}

static bool guest_key(struct ui *u, uint32_t c)
{
    struct guest *g = ui_selected(u);

    switch (c) {
    case 'a':
        if (g)
            ui_run(u, "%s %s", u->readonly ? "watch" : "console", g->c->name);
        break;
    case 'p':
        pause_or_resume(u);
        break;
    case '+': case '=': case '-':
        change_shares(u, c != '-');
        break;
    case 's':
        prefilled(u, "share");
        break;
    case 'K':
        run_on_targets(u, "stop");
        break;
    case 'R':
        run_on_targets(u, "reset");
        break;
    case 'P':
        run_on_targets(u, "shutdown");
        break;
    case 'B':
        run_on_targets(u, "start");
        break;
    case 'g':
        ui_grid(u);
        break;
    case 'u':
        ui_run(u, "undo");
        break;
    default:
        return false;
    }
    return true;
}

static void leave(struct ui *u)
{
    if (session_running(u->session))
        ui_run(u, "quit"); /* it asks */
    else
        session_quit(u->session, 0);
}

static bool console_key(struct ui *u, uint32_t c)
{
    switch (c) {
    case 'q':
        if (u->top != u->table)
            ui_pop(u, u->top);
        else
            leave(u);
        break;
    case 'z':
        u->frozen = !u->frozen;
        break;
    case 't':
        next_theme(u);
        break;
    case 'b':
        next_graph(u);
        break;
    case '[':
        look_back(u, 10);
        break;
    case ']':
        look_back(u, -10);
        break;
    case '0':
        u->scroll_back = 0;
        break;
    default:
        return false;
    }
    return true;
}

bool keys_guest(struct ui *u, const struct key *k)
{
    if (k->special && k->code == KEY_F(10)) {
        leave(u);
        return true;
    }
    if (k->special || k->alt)
        return false;
    return guest_key(u, k->code) || console_key(u, k->code);
}
