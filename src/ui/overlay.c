/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * overlay: boxes over the picture: the output of a command, the keys, what a number is.
 */
#define NCURSES_WIDECHAR 1
#include "ui/ui_internal.h"

#include <curses.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TITLE = 80, ASIDE = 8 };

struct overlay {
    struct view v;
    char title[TITLE];
    char *text;
    int lines, first, page, widest;
    int aside;               /* columns left of what is shown */
    bool follows, is_output; /* follows: shows the end as it grows */
    int field;               /* of an explanation: a field_id, or FIELDS + number of a figure; -1 */
};

static void measure(struct overlay *o)
{
    int w = 0;

    o->lines = 0;
    o->widest = (int)text_columns(o->title) + 6;
    for (const char *s = o->text; *s; s++) {
        w = *s == '\n' ? 0 : w + ((*s & 0xc0) != 0x80);
        o->widest = w > o->widest ? w : o->widest;
        o->lines += *s == '\n' || !s[1];
    }
}

static const char *line_at(const struct overlay *o, int n)
{
    const char *s = o->text;

    while (n-- > 0 && s) {
        s = strchr(s, '\n');
        s = s ? s + 1 : NULL;
    }
    return s;
}

static void set_text(struct overlay *o, const char *text, size_t len)
{
    char *copy = strndup(text, len);

    if (!copy)
        return;
    free(o->text);
    o->text = copy;
    measure(o);
}

static struct area place(const struct overlay *o, struct area a)
{
    int w = o->widest + 4, h = o->lines + 2;

    w = w > a.w - 2 ? a.w - 2 : w < 30 ? 30 : w;
    h = h > a.h ? a.h : h < 3 ? 3 : h;
    return (struct area){a.y + (a.h - h) / 2, a.x + (a.w - w) / 2, h, w};
}

static int clamped(int v, int max)
{
    return v > max && max > 0 ? max : v < 0 || max <= 0 ? 0 : v;
}

/* Where its column `n` begins. */
static const char *skip_columns(const char *s, int n)
{
    while (n > 0 && *s && *s != '\n') {
        s++;
        while ((*s & 0xc0) == 0x80)
            s++;
        n--;
    }
    return s;
}

/* What is not seen, and how to see it. */
static void draw_rest(const struct overlay *o, struct area a)
{
    int x = a.x + 2;

    if (o->lines > o->page)
        x += draw_fmt(a.y + a.h - 1, x, a.w - 4, ROLE_DIM, " %d-%d of %d ", o->first + 1, o->first + o->page, o->lines) + 1;
    if (o->widest > a.w - 4)
        draw_text(a.y + a.h - 1, x, a.x + a.w - 2 - x, ROLE_DIM, o->aside ? " left right: the rest " : " right: the rest ");
    draw_right(a.y + a.h - 1, a.x + 2, a.w - 4, ROLE_DIM, " Esc closes ");
}

static void draw(struct view *v, struct area all)
{
    struct overlay *o = (struct overlay *)v;
    struct area a = place(o, all);

    o->page = a.h - 2;
    if (o->follows)
        o->first = o->lines;
    o->first = clamped(o->first, o->lines - o->page);
    o->aside = clamped(o->aside, o->widest - (a.w - 4));
    draw_clear(a);
    draw_box(a, ROLE_DIM, false, o->title);
    for (int i = 0; i < o->page; i++) {
        const char *s = line_at(o, o->first + i);
        char line[1000];

        if (!s)
            break;
        s = skip_columns(s, o->aside);
        snprintf(line, sizeof line, "%.*s", (int)strcspn(s, "\n"), s);
        draw_text(a.y + 1 + i, a.x + 2, a.w - 4, ROLE_TEXT, line);
    }
    draw_rest(o, a);
}

static void explain(struct overlay *o);

/* An explanation shows what the figure is now. */
static void tick(struct view *v)
{
    struct overlay *o = (struct overlay *)v;

    if (o->field >= 0)
        explain(o);
}

static bool turn(struct overlay *o, uint32_t code)
{
    int all = FIELDS + figure_count();

    if (o->field < 0 || (code != KEY_LEFT && code != KEY_RIGHT && code != '<' && code != '>'))
        return false;
    o->field = (o->field + (code == KEY_LEFT || code == '<' ? all - 1 : 1)) % all;
    explain(o);
    return true;
}

static bool key(struct view *v, const struct key *k)
{
    struct overlay *o = (struct overlay *)v;

    if (turn(o, k->code))
        return true;
    o->follows = false;
    switch (k->code) {
    case KEY_UP: case 'k':
        o->first--;
        break;
    case KEY_DOWN: case 'j':
        o->first++;
        break;
    case KEY_LEFT: case 'h':
        o->aside -= ASIDE;
        break;
    case KEY_RIGHT: case 'l':
        o->aside += ASIDE;
        break;
    case KEY_PPAGE:
        o->first -= o->page;
        break;
    case KEY_NPAGE: case ' ':
        o->first += o->page;
        break;
    case KEY_HOME: case 'g':
        o->first = 0;
        break;
    case KEY_END: case 'G':
        o->follows = true;
        break;
    case ':': case 12:
        return false;
    default:
        ui_pop(v->ui, v); /* Escape, q, Enter, any other */
    }
    return true;
}

static bool on_mouse(struct view *v, const struct mouse *m)
{
    struct overlay *o = (struct overlay *)v;

    if (m->button == 64 || m->button == 65)
        o->first += m->button == 64 ? -3 : 3;
    else if (!m->release)
        ui_pop(v->ui, v);
    return true;
}

static void overlay_free(struct view *v)
{
    struct overlay *o = (struct overlay *)v;

    if (o->is_output)
        ui_cancel_run(v->ui, v);
    free(o->text);
    free(o);
}

static const struct key_help help[] = {{"arrows hjkl PgUp PgDn g G", "scroll"}, {"any other", "close"}, {NULL, NULL}};

static const struct view_ops overlay_ops = {.name = "a window", .keys = help, .overlay = true, .draw = draw, .key = key, .tick = tick,
                                            .mouse = on_mouse, .free = overlay_free};

static struct overlay *overlay_new(struct ui *u, const char *title)
{
    struct overlay *o = calloc(1, sizeof *o);

    if (!o)
        return NULL;
    o->v = (struct view){.ops = &overlay_ops, .ui = u};
    o->field = -1;
    o->text = strdup("");
    text_show(o->title, sizeof o->title, title);
    if (o->text)
        return o;
    free(o);
    return NULL;
}

struct view *pager_new(struct ui *u, const char *title)
{
    struct overlay *o = overlay_new(u, title);

    if (o)
        o->is_output = true;
    return o ? &o->v : NULL;
}

void pager_set(struct view *v, const char *text, size_t len)
{
    struct overlay *o = (struct overlay *)v;
    bool more = o->lines > 0;

    set_text(o, text, len);
    if (more && o->page && o->lines > o->page)
        o->follows = true;
}

static void add_keys(struct text *t, const struct key_help *k)
{
    for (; k && k->key; k++)
        text_printf(t, "%-18s%s\n", k->key, k->what);
}

struct view *help_new(struct ui *u, const struct view_ops *of)
{
    struct text t = {0};
    char title[TITLE];
    struct overlay *o;

    snprintf(title, sizeof title, "keys: %s", of->name);
    o = overlay_new(u, title);
    if (!of->full)
        bind_list(u, &t, "%-18s:%s\n");
    add_keys(&t, of->keys);
    text_puts(&t, "\n");
    add_keys(&t, keys_common);
    text_puts(&t, "\n`:help` lists the commands, `:help share` explains one.\n");
    if (o)
        set_text(o, text_str(&t), t.len);
    text_free(&t);
    return o ? &o->v : NULL;
}

/* Text broken into lines of at most `w`, right of its head. */
static void wrap_at(struct text *out, const char *head, int indent, const char *s, int w)
{
    int col = indent;

    if (!*s)
        return;
    text_printf(out, "%-*s", indent, head);
    while (*s) {
        int n = (int)strcspn(s, " ");

        if (col > indent && col + n >= w) {
            text_printf(out, "\n%-*s", indent, "");
            col = indent;
        }
        text_printf(out, "%.*s ", n, s);
        col += n + 1;
        s += n + (s[n] == ' ');
    }
    text_puts(out, "\n");
}

static void wrap(struct text *out, const char *head, const char *s, int w)
{
    wrap_at(out, head, 10, s, w);
}

struct view *sentence_new(struct ui *u, const char *title, const char *sentence, int w)
{
    struct overlay *o = overlay_new(u, title);
    struct text t = {0};

    wrap_at(&t, "", 0, sentence, w);
    if (o)
        set_text(o, text_str(&t), t.len);
    text_free(&t);
    return o ? &o->v : NULL;
}

static void explain_field(struct overlay *o, const struct field *f, struct text *t)
{
    struct row *r = table_selected(o->v.ui->table);
    char now[FIELD_TEXT];

    snprintf(o->title, sizeof o->title, "%s (%s)", f->title, f->key);
    wrap(t, "what", f->what, 66);
    wrap(t, "formula", f->formula, 66);
    wrap(t, "source", f->source, 66);
    if (r && f->text) {
        f->text(r, now);
        text_printf(t, "%-10s%s: %s\n", "now", r->name, now[0] ? now : "-");
    }
}

static void explain_figure(struct overlay *o, const struct figure *f, struct text *t)
{
    struct row *r = table_selected(o->v.ui->table);
    char now[FIGURE_TEXT] = "";
    struct text line = {0};

    snprintf(o->title, sizeof o->title, "%s (%s)", f->title, f->where);
    wrap(t, "what", f->what, 66);
    wrap(t, "formula", f->formula, 66);
    wrap(t, "source", f->source, 66);
    if (f->of_guest && !r)
        return;
    f->now(o->v.ui, r, now);
    text_printf(&line, "%s%s%s", f->of_guest ? r->name : "", f->of_guest ? ": " : "", now[0] ? now : "–");
    wrap(t, "now", text_str(&line), 66);
    text_free(&line);
}

static void explain(struct overlay *o)
{
    const struct figure *figure = figure_at(o->field - FIELDS);
    struct text t = {0};

    if (figure)
        explain_figure(o, figure, &t);
    else
        explain_field(o, field_at((enum field_id)o->field), &t);
    text_puts(&t, "\n< > other figures;  a number that cannot be known is shown as a dash\n");
    set_text(o, text_str(&t), t.len);
    text_free(&t);
}

struct view *explain_new(struct ui *u, int i)
{
    struct overlay *o = overlay_new(u, "");

    if (!o)
        return NULL;
    o->field = i;
    explain(o);
    return &o->v;
}
