/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * console_view: see console_view.h. Panes, their places on the screen, and drawing them; keys
 * are console_keys.c's, looking back console_pane.c's.
 */
#include "ui/console_pane.h"

#include "core/loop.h"
#include "core/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SETTLE_NS = 150000000, WHEEL_LINES = 3, ANSWERS = 3 };

static void on_changed(void *arg)
{
    struct pane *p = arg;

    if (p->answers) {
        p->answers--;
        ui_redraw_now(p->owner->v.ui);
    } else {
        ui_redraw(p->owner->v.ui);
    }
}

static void on_typed(void *arg, const char *bytes, size_t len)
{
    struct pane *from = arg;
    struct console_view *c = from->owner;

    from->answers = ANSWERS;
    for (unsigned i = 0; c->broadcast && i < c->n; i++)
        if (c->panes[i] != from)
            guest_term_send(c->panes[i]->term, bytes, len);
}

static void share_rate(struct console_view *c)
{
    for (unsigned i = 0; i < c->n; i++)
        guest_term_share(c->panes[i]->term, c->zoom ? 1 : c->n);
}

int console_view_add(struct view *v, struct guest *g, enum board_console line, struct err *e)
{
    struct console_view *c = (struct console_view *)v;
    struct guest_term_owner o = {.changed = on_changed, .typed = on_typed};
    struct pane *p;

    for (unsigned i = 0; i < c->n; i++)
        if (guest_term_guest(c->panes[i]->term) == g && guest_term_console(c->panes[i]->term) == line)
            return 0;
    if (c->n == CONSOLE_PANES_MAX)
        return err_set(e, ENOSPC, "there are %d panes already", CONSOLE_PANES_MAX);
    p = o.arg = calloc(1, sizeof *p);
    if (!p)
        return err_set(e, ENOMEM, "out of memory");
    p->owner = c;
    p->found = -1;
    p->term = guest_term_new(ui_session(v->ui), g, line, &o, e);
    if (!p->term) {
        free(p);
        return -ENOMEM;
    }
    c->panes[c->n++] = p;
    share_rate(c);
    ui_redraw(v->ui);
    return 0;
}

static void free_pane(struct pane *p)
{
    guest_term_free(p->term);
    free(p);
}

void console_view_close_pane(struct console_view *c, unsigned i)
{
    if (c->n == 1) {
        ui_pop(c->v.ui, &c->v);
        return;
    }
    free_pane(c->panes[i]);
    memmove(c->panes + i, c->panes + i + 1, (c->n - i - 1) * sizeof c->panes[0]);
    c->n--;
    if (c->focus > i || c->focus == c->n)
        c->focus--;
    c->broadcast &= c->n > 1;
    share_rate(c);
    ui_redraw(c->v.ui);
}

/* Drawing. */

/* In `w` columns: where they are few, what is done with it goes before the name of the line. */
static void pane_title(const struct pane *p, unsigned number, bool has_focus, int w, char *out, size_t size)
{
    const struct console_view *c = p->owner;
    const struct guest *g = guest_term_guest(p->term);
    enum vm_state s = vm_state(g->vm);
    const char *title = emu_title(guest_term_emu(p->term));
    const char *doing = !has_focus ? "" : c->watch ? " WATCHED" : " ATTACHED", *line = guest_term_line_name(guest_term_console(p->term));
    char rest[160];

    snprintf(rest, sizeof rest, "%s%s%s%s%s", doing, c->broadcast ? " ALL" : "", p->scrolling ? " LOOKING BACK" : "",
             s == VM_RUNNING ? "" : " ", s == VM_RUNNING ? "" : vm_state_name(s));
    snprintf(out, size, "%u %s %s%s", number, g->c->name, line, rest);
    if ((int)text_columns(out) > w)
        snprintf(out, size, "%u %s%s", number, g->c->name, rest);
    if (*title)
        snprintf(out + strlen(out), size - strlen(out), ": %s", title);
}

/* A guest on a virtio console is told the size of its pane, once it stands still. */
static void note_size(struct console_view *c, const struct pane *p)
{
    const struct emu *e = guest_term_emu(p->term);

    if (guest_term_console(p->term) == CONSOLE_VIRTIO &&
        (emu_cols(e) != (unsigned)p->area.w || emu_rows(e) != (unsigned)p->area.h))
        loop_arm_ns(c->settle, SETTLE_NS);
}

static unsigned bounded(int v, unsigned min, unsigned max)
{
    return v < (int)min ? min : v > (int)max ? max : (unsigned)v;
}

static void on_settled(void *arg)
{
    struct console_view *c = arg;

    for (unsigned i = 0; i < c->n; i++) {
        struct pane *p = c->panes[i];

        if (guest_term_console(p->term) == CONSOLE_VIRTIO && p->area.w > 0)
            guest_term_resize(p->term, bounded(p->area.w, EMU_COLS_MIN, EMU_COLS_MAX),
                              bounded(p->area.h, EMU_ROWS_MIN, EMU_ROWS_MAX));
    }
    ui_redraw(c->v.ui);
}

static void draw_pane(struct console_view *c, unsigned i, struct area a, bool boxed)
{
    struct pane *p = c->panes[i];
    char title[200];

    if (boxed) {
        pane_title(p, i + 1, i == c->focus, a.w - 6, title, sizeof title);
        draw_box(a, i == c->focus ? ROLE_TITLE : ROLE_DIM, i == c->focus, title);
        a = (struct area){a.y + 1, a.x + 1, a.h - 2, a.w - 2};
    }
    p->area = a;
    if (a.h <= 0 || a.w <= 0)
        return;
    note_size(c, p);
    emu_draw(guest_term_emu(p->term), a, pane_port(p));
    if (p->scrolling && p->found >= 0) {
        int row = (int)((int64_t)p->found - (int64_t)emu_scrolled_ever(guest_term_emu(p->term))) - pane_port(p).row;

        if (row >= 0 && row < a.h)
            draw_highlight(a.y + row, a.x, a.w);
    }
}

static unsigned columns_for(unsigned n, int width)
{
    unsigned cols = 1;

    if (n == 2)
        return width >= 120 ? 2 : 1;
    while (cols * cols < n)
        cols++;
    return cols;
}

static void draw_grid(struct console_view *c, struct area a)
{
    unsigned cols = columns_for(c->n, a.w), rows = (c->n + cols - 1) / cols;

    for (unsigned i = 0; i < c->n; i++) {
        unsigned row = i / cols, col = i % cols, in_row = row == rows - 1 ? c->n - row * cols : cols;
        int y = (int)row * a.h / (int)rows, y2 = (int)(row + 1) * a.h / (int)rows;
        int x = (int)col * a.w / (int)in_row, x2 = (int)(col + 1) * a.w / (int)in_row;

        draw_pane(c, i, (struct area){a.y + y, a.x + x, y2 - y, x2 - x}, true);
    }
}

static void draw_help(struct area a)
{
    int n = 0, h;
    struct area box;

    while (console_keys[n].key)
        n++;
    h = n + 2 < a.h ? n + 2 : a.h;
    box = (struct area){a.y + (a.h - h) / 2, a.x + (a.w > 50 ? (a.w - 50) / 2 : 0), h, a.w > 50 ? 50 : a.w};
    draw_clear(box);
    draw_box(box, ROLE_TITLE, true, "Keys of a console (^] is Ctrl-])");
    for (int i = 0; i < h - 2; i++) {
        draw_text(box.y + 1 + i, box.x + 2, 12, ROLE_KEY, console_keys[i].key);
        draw_text(box.y + 1 + i, box.x + 15, box.w - 17, ROLE_TEXT, console_keys[i].what);
    }
}

/* On a line that cannot be told its size, a full-screen program that just misses the status row gets it: in
 * a window of 24 rows an editor's last row is not hidden. The prefix brings the status back. */
static bool takes_status_row(struct console_view *c, struct area a)
{
    struct pane *p = console_focus(c);
    const struct emu *e = guest_term_emu(p->term);

    return c->mode == CONSOLE_TYPE && !p->scrolling && guest_term_console(p->term) != CONSOLE_VIRTIO &&
           emu_is_alternate(e) && (int)emu_rows(e) == a.h + 1;
}

static void draw_view(struct view *v, struct area a)
{
    struct console_view *c = (struct console_view *)v;

    if (c->n == 0)
        return;
    c->whole = (c->n == 1 || c->zoom) && takes_status_row(c, a);
    if (c->n == 1 || c->zoom)
        draw_pane(c, c->focus, (struct area){a.y, a.x, a.h + c->whole, a.w}, false);
    else
        draw_grid(c, a);
    if (c->mode == CONSOLE_HELP)
        draw_help(a);
}

static bool caret(struct view *v, int *y, int *x)
{
    struct console_view *c = (struct console_view *)v;
    struct pane *p = console_focus(c);

    return c->n && c->mode != CONSOLE_HELP && !p->scrolling &&
           emu_caret(guest_term_emu(p->term), p->area, pane_port(p), y, x);
}

/* What may follow the prefix: as much as fits, and how to see all. */
static void draw_prefix(int y, int w)
{
    static const char *const keys[] = {"d detach", "n p 1-9 pane", "z zoom", "g grid", "| split", "x close", "PgUp back", "/ search",
                                       "B all", "w watch", "t stty", "s log", "R record", "c copy", "b BREAK", "r redraw"};
    static const char all[] = "? all keys";
    int x = draw_text(y, 0, w, ROLE_SELECT, " Ctrl-] then") + 2;

    for (unsigned i = 0; i < sizeof keys / sizeof *keys && x + (int)strlen(keys[i]) + 2 + (int)sizeof all <= w; i++)
        x += draw_text(y, x, w - x, ROLE_SELECT, keys[i]) + 2;
    draw_text(y, x, w - x, ROLE_SELECT, all);
}

static void draw_status(struct view *v, int y, int w)
{
    struct console_view *c = (struct console_view *)v;
    struct pane *p = console_focus(c);
    char title[200], line[600];

    if (c->n == 0 || c->whole)
        return;
    draw_fill(y, 0, w, ROLE_SELECT, ' ');
    if (c->mode == CONSOLE_PREFIX) {
        draw_prefix(y, w);
        return;
    }
    pane_title(p, c->focus + 1, true, w, title, sizeof title);
    if (c->mode == CONSOLE_SEARCH)
        snprintf(line, sizeof line, " search: %s", c->search);
    else if (p->scrolling)
        snprintf(line, sizeof line, " %s  line %llu of %llu  PgUp PgDn  / n N search  Esc back", title,
                 (unsigned long long)(p->top + 1), (unsigned long long)emu_scrolled_ever(guest_term_emu(p->term)));
    else
        snprintf(line, sizeof line, " F12 or Ctrl-] d detaches  Ctrl-] menu   %s%s", title,
                 guest_term_lost(p->term) ? "  (too fast: some lost)" : "");
    draw_text(y, 0, w, ROLE_SELECT, line);
}

static bool mouse(struct view *v, const struct mouse *m)
{
    struct console_view *c = (struct console_view *)v;

    for (unsigned i = 0; i < c->n; i++) {
        const struct area *a = &c->panes[i]->area;

        if ((c->zoom && i != c->focus) || m->y < a->y || m->y >= a->y + a->h || m->x < a->x || m->x >= a->x + a->w)
            continue;
        if (m->button == 64 || m->button == 65)
            pane_scroll(c->panes[i], m->button == 64 ? -WHEEL_LINES : WHEEL_LINES);
        else
            c->focus = i;
        ui_redraw(v->ui);
        return true;
    }
    return false;
}

static void gone(struct view *v, struct guest *g)
{
    struct console_view *c = (struct console_view *)v;

    for (unsigned i = c->n; i-- > 0;) {
        bool last = c->n == 1;

        if (guest_term_guest(c->panes[i]->term) != g)
            continue;
        console_view_close_pane(c, i);
        if (last) { /* the view goes later, the guest now */
            free_pane(c->panes[0]);
            c->n = 0;
        }
    }
}

static void free_view(struct view *v)
{
    struct console_view *c = (struct console_view *)v;

    for (unsigned i = 0; i < c->n; i++)
        free_pane(c->panes[i]);
    loop_del_timer(c->settle);
    text_free(&c->paste.text);
    free(c);
}

static const struct view_ops ops = {
    .name = "console",
    .keys = console_keys,
    .raw = true,
    .full = true,
    .draw = draw_view,
    .key = console_view_key,
    .mouse = mouse,
    .caret = caret,
    .keybar = draw_status,
    .gone = gone,
    .free = free_view,
};

struct view *console_view_new(struct ui *u, struct guest *g, enum board_console line, bool watch, struct err *e)
{
    struct console_view *c = calloc(1, sizeof *c);

    if (!c) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    c->v.ops = &ops;
    c->v.ui = u;
    c->watch = watch;
    c->settle = loop_add_timer(session_loop(ui_session(u)), on_settled, c, e);
    if (!c->settle || console_view_add(&c->v, g, line, e) < 0) {
        free_view(&c->v);
        return NULL;
    }
    return &c->v;
}
