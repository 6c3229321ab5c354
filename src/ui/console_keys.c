/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * console_keys: keys while a guest's terminal has them (console_view.h): to the guest, but for
 * the prefix Ctrl-] and F12; and what follows the prefix.
 */
#define NCURSES_WIDECHAR 1
#include "ui/console_pane.h"

#include "core/cast.h"
#include "core/conlog.h"

#include <curses.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PREFIX_KEY = 0x1d, PASTE_MAX = 256 << 10 };

const struct key_help console_keys[] = {
    {"F12", "detach"},
    {"^] d", "detach"},
    {"^] ^]", "type one Ctrl-]"},
    {"^] n p 1-9", "next, previous, that pane"},
    {"^] z", "this pane alone, or all"},
    {"^] g", "panes of all guests"},
    {"^] |", "one pane more: the next guest"},
    {"^] x", "close this pane"},
    {"^] PgUp", "look back; Esc returns"},
    {"^] /", "search; n and N go on"},
    {"^] B", "type to the guests of all panes"},
    {"^] w", "only watch, or type again"},
    {"^] t", "size of the pane; types stty"},
    {"^] s", "log to a file, or end it"},
    {"^] R", "record, or end it"},
    {"^] c", "copy what is seen to a file"},
    {"^] b", "send BREAK"},
    {"^] r", "draw the terminal anew"},
    {NULL, NULL},
};

/* Keys for the guest. */

static bool special_of(uint32_t code, enum emu_key *key)
{
    static const struct {
        uint32_t code;
        enum emu_key key;
    } map[] = {
        {KEY_UP, EMU_KEY_UP},       {KEY_DOWN, EMU_KEY_DOWN},     {KEY_LEFT, EMU_KEY_LEFT},
        {KEY_RIGHT, EMU_KEY_RIGHT}, {KEY_IC, EMU_KEY_INSERT},     {KEY_DC, EMU_KEY_DELETE},
        {KEY_HOME, EMU_KEY_HOME},   {KEY_END, EMU_KEY_END},       {KEY_PPAGE, EMU_KEY_PAGE_UP},
        {KEY_NPAGE, EMU_KEY_PAGE_DOWN}, {KEY_BTAB, EMU_KEY_BACK_TAB},
    };

    for (unsigned i = 0; i < sizeof map / sizeof *map; i++) {
        if (map[i].code == code) {
            *key = map[i].key;
            return true;
        }
    }
    *key = (enum emu_key)(EMU_KEY_F1 + code - KEY_F(1));
    return code >= KEY_F(1) && code <= KEY_F(12);
}

static void to_guest(struct console_view *c, const struct key *k)
{
    struct guest_term *t = console_focus(c)->term;
    unsigned mods = k->alt ? EMU_ALT : 0;
    enum emu_key key;

    if (c->watch) {
        ui_say(c->v.ui, true, ui_readonly(c->v.ui) ? "only watched (--readonly): F12 leaves" : "only watched: Ctrl-] w types again, F12 leaves");
        return;
    }
    if (!k->special)
        guest_term_char(t, k->code, mods);
    else if (k->code == KEY_BACKSPACE)
        guest_term_char(t, 0x7f, mods);
    else if (k->code == KEY_ENTER)
        guest_term_char(t, '\r', mods);
    else if (special_of(k->code, &key))
        guest_term_key(t, key, mods);
}

/* False: it is no part of a paste. */
static bool paste_key(struct console_view *c, const struct key *k)
{
    bool may_begin = c->mode == CONSOLE_TYPE && !console_focus(c)->scrolling;
    enum paste_step step = c->paste.on || may_begin ? paste_take(&c->paste, k, SIZE_MAX) : PASTE_NOT;

    if (step == PASTE_WHOLE) {
        if (!c->watch)
            guest_term_paste(console_focus(c)->term, text_str(&c->paste.text), c->paste.text.len);
        text_free(&c->paste.text);
    }
    return step != PASTE_NOT;
}

/* Looking back. */

static void search_again(struct console_view *c, int step)
{
    if (!pane_search(console_focus(c), c->search, step))
        ui_say(c->v.ui, true, "`%s` is not there", c->search);
}

static void begin_search(struct console_view *c)
{
    c->mode = CONSOLE_SEARCH;
    c->nsearch = 0;
    c->search[0] = '\0';
    console_focus(c)->found = -1;
}

static void search_key(struct console_view *c, const struct key *k)
{
    wchar_t w[2] = {(wchar_t)k->code, 0};
    char utf8[8];
    size_t n;

    if (!k->special && (k->code == '\r' || k->code == '\n')) {
        c->mode = CONSOLE_TYPE;
        if (c->nsearch)
            search_again(c, -1);
    } else if (!k->special && k->code == 0x1b) {
        c->mode = CONSOLE_TYPE;
    } else if (k->special ? k->code == KEY_BACKSPACE : k->code == 0x7f || k->code == 8) {
        while (c->nsearch && (c->search[--c->nsearch] & 0xc0) == 0x80)
            ;
        c->search[c->nsearch] = '\0';
    } else if (!k->special && k->code >= 0x20 && (n = wcstombs(utf8, w, sizeof utf8)) != (size_t)-1 &&
               c->nsearch + n < sizeof c->search) {
        memcpy(c->search + c->nsearch, utf8, n + 1);
        c->nsearch += n;
    }
}

static void look_back_key(struct console_view *c, const struct key *k)
{
    struct pane *p = console_focus(c);
    int page = p->area.h > 2 ? p->area.h - 1 : 1, far = EMU_SCROLL_LINES + EMU_ROWS_MAX;

    if (k->special) {
        pane_scroll(p, k->code == KEY_PPAGE || k->code == KEY_SPREVIOUS ? -page
                       : k->code == KEY_NPAGE || k->code == KEY_SNEXT  ? page
                       : k->code == KEY_UP                             ? -1
                       : k->code == KEY_DOWN                           ? 1
                       : k->code == KEY_HOME                           ? -far
                       : k->code == KEY_END                            ? far
                                                                       : 0);
        return;
    }
    switch (k->code) {
    case 'k':
        pane_scroll(p, -1);
        break;
    case 'j':
        pane_scroll(p, 1);
        break;
    case 'g':
        pane_scroll(p, -far);
        break;
    case '/':
        begin_search(c);
        break;
    case 'n':
        search_again(c, -1);
        break;
    case 'N':
        search_again(c, 1);
        break;
    case 'G':
    case 'q':
    case 0x1b:
        pane_scroll(p, far);
        break;
    }
}

/* After the prefix. */

static void focus(struct console_view *c, unsigned i)
{
    if (i < c->n)
        c->focus = i;
}

static struct guest *not_shown(struct console_view *c)
{
    struct guest *g = session_guests(ui_session(c->v.ui));

    for (; g; g = g->next) {
        unsigned i = 0;

        while (i < c->n && guest_term_guest(c->panes[i]->term) != g)
            i++;
        if (i == c->n)
            return g;
    }
    return NULL;
}

static void add_next(struct console_view *c, bool all)
{
    struct guest *g;
    struct err e;
    bool added = false;

    while ((g = not_shown(c))) {
        if (console_view_add(&c->v, g, CONSOLE_SERIAL0, &e) < 0) {
            ui_say(c->v.ui, true, "%s", e.msg);
            return;
        }
        added = true;
        if (!all)
            break;
    }
    c->zoom = false;
    if (!added && !all)
        ui_say(c->v.ui, true, "all guests have a pane");
    if (added && !all)
        focus(c, c->n - 1);
}

static void save(struct console_view *c)
{
    char path[300];
    int rc = pane_save(console_focus(c), path, sizeof path);

    if (rc < 0)
        ui_say(c->v.ui, true, "%s cannot be written: %s", path, strerror(-rc));
    else
        ui_say(c->v.ui, false, "what is seen was copied to %s", path);
}

/* `log` and `record`: begins one with a name made up, or ends it. */
static void toggle_file(struct console_view *c, const char *command, bool on, const char *suffix)
{
    const char *name = guest_term_guest(console_focus(c)->term)->c->name;
    char when[32];
    time_t now = time(NULL);

    strftime(when, sizeof when, "%Y%m%d-%H%M%S", localtime(&now));
    if (on)
        ui_run(c->v.ui, "%s %s off", command, name);
    else
        ui_run(c->v.ui, "%s %s %s-%s.%s", command, name, name, when, suffix);
    ui_say(c->v.ui, false, on ? "%s of %s ended" : "%s of %s: %s-%s.%s", command, name, name, when, suffix);
}

static void type_size(struct console_view *c)
{
    struct pane *p = console_focus(c);

    if (guest_term_resize(p->term, (unsigned)p->area.w, (unsigned)p->area.h) == 0)
        guest_term_type_size(p->term);
}

static void broadcast(struct console_view *c)
{
    c->broadcast = !c->broadcast && c->n > 1;
    if (c->n == 1)
        ui_say(c->v.ui, true, "there is one pane only: Ctrl-] g or | adds others");
}

static void prefix_key(struct console_view *c, const struct key *k)
{
    struct guest *g = guest_term_guest(console_focus(c)->term);

    c->mode = CONSOLE_TYPE;
    if (ui_readonly(c->v.ui) && !k->special && k->code < 128 && strchr("BwtsRcb", (int)k->code)) {
        ui_say(c->v.ui, true, "this console only looks (--readonly): F12 leaves");
        return;
    }
    if (k->special) {
        if (k->code == KEY_PPAGE)
            look_back_key(c, k);
        return;
    }
    if (k->code >= '1' && k->code <= '9')
        focus(c, k->code - '1');
    switch (k->code) {
    case 'd':
        ui_pop(c->v.ui, &c->v);
        break;
    case PREFIX_KEY:
        to_guest(c, k);
        break;
    case 'n':
        focus(c, (c->focus + 1) % c->n);
        break;
    case 'p':
        focus(c, (c->focus + c->n - 1) % c->n);
        break;
    case 'z':
        c->zoom = !c->zoom;
        break;
    case 'g':
        add_next(c, true);
        break;
    case '|':
    case '-':
        add_next(c, false);
        break;
    case 'x':
        console_view_close_pane(c, c->focus);
        break;
    case '/':
        begin_search(c);
        break;
    case 'B':
        broadcast(c);
        break;
    case 'w':
        c->watch = !c->watch;
        break;
    case 't':
        type_size(c);
        break;
    case 's':
        toggle_file(c, "log", g->log != NULL, "log");
        break;
    case 'R':
        toggle_file(c, "record", g->cast != NULL, "cast");
        break;
    case 'c':
        save(c);
        break;
    case 'b':
        vm_console_break(g->vm);
        ui_say(c->v.ui, false, "BREAK sent to %s", g->c->name);
        break;
    case 'r':
        guest_term_reset(console_focus(c)->term);
        break;
    case '?':
        c->mode = CONSOLE_HELP;
        break;
    }
}

bool console_view_key(struct view *v, const struct key *k)
{
    struct console_view *c = (struct console_view *)v;

    if (c->n == 0) /* its guest is gone, and so is the view in a moment */
        return true;
    if (c->mode != CONSOLE_TYPE || console_focus(c)->scrolling || k->special || k->code == PREFIX_KEY)
        ui_redraw(v->ui); /* else the guest's answer will */
    if (paste_key(c, k))
        return true;
    if (k->special && k->code == KEY_F(12))
        ui_pop(v->ui, v);
    else if (c->mode == CONSOLE_HELP)
        c->mode = CONSOLE_TYPE;
    else if (c->mode == CONSOLE_PREFIX)
        prefix_key(c, k);
    else if (c->mode == CONSOLE_SEARCH)
        search_key(c, k);
    else if (!k->special && k->code == PREFIX_KEY)
        c->mode = CONSOLE_PREFIX;
    else if (console_focus(c)->scrolling || (k->special && k->code == KEY_SPREVIOUS))
        look_back_key(c, k);
    else
        to_guest(c, k);
    return true;
}
