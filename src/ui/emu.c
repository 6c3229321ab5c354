/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * emu: see emu.h.
 */
#include "ui/emu.h"

#include "ui/emu_scroll.h"
#include "ui/guard.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <vterm.h>

enum { REPLACEMENT = 0xfffd, RIGHT_HALF = 0xffffffff };

struct emu {
    VTerm *vt;
    VTermScreen *screen;
    struct guard *guard;
    struct emu_scroll *scroll;
    unsigned cols, rows;
    void (*reply)(void *arg, const char *bytes, size_t len);
    void *arg;
    bool mute;
    bool cursor_visible, alternate;
    unsigned bells;
    uint64_t version;
    struct emu_cell line[EMU_COLS_MAX]; /* on its way to the ring */
};

/* Cells. */

static int16_t level_of(uint8_t v) /* of the cube's six: 0 95 135 175 215 255 */
{
    return v < 48 ? 0 : v < 115 ? 1 : (int16_t)((v - 35) / 40);
}

static int16_t nearest(uint8_t r, uint8_t g, uint8_t b)
{
    if (r == g && g == b && r >= 8 && r < 238)
        return (int16_t)(232 + (r - 8) / 10);
    return (int16_t)(16 + 36 * level_of(r) + 6 * level_of(g) + level_of(b));
}

static int16_t colour(const VTermColor *c, uint8_t is_default)
{
    if (c->type & is_default)
        return -1;
    if (VTERM_COLOR_IS_INDEXED(c))
        return c->indexed.idx;
    return nearest(c->rgb.red, c->rgb.green, c->rgb.blue);
}

static struct emu_cell sane(const struct emu *e, const VTermScreenCell *v)
{
    struct emu_cell c = {.width = v->width == 2 ? 2 : 1,
                         .fg = colour(&v->fg, VTERM_COLOR_DEFAULT_FG),
                         .bg = colour(&v->bg, VTERM_COLOR_DEFAULT_BG)};

    c.attr = (uint8_t)((v->attrs.bold ? EMU_BOLD : 0) | (v->attrs.underline ? EMU_UNDERLINE : 0) |
                       (v->attrs.reverse ? EMU_REVERSE : 0) | (v->attrs.blink ? EMU_BLINK : 0) |
                       (v->attrs.italic ? EMU_ITALIC : 0));
    if (v->chars[0] == RIGHT_HALF) {
        c.width = 0;
        return c;
    }
    c.ch[0] = v->chars[0] ? v->chars[0] : ' ';
    if (guard_width(e->guard, c.ch[0]) != c.width) {
        c.ch[0] = REPLACEMENT;
        c.width = 1;
    } else if (v->chars[1] && guard_width(e->guard, v->chars[1]) == 0) {
        c.ch[1] = v->chars[1];
    }
    return c;
}

static const struct emu_cell blank = {.ch = {' '}, .fg = -1, .bg = -1, .width = 1};

static struct emu_cell screen_cell(const struct emu *e, int row, unsigned col)
{
    VTermScreenCell v;
    struct emu_cell c;

    if (!vterm_screen_get_cell(e->screen, (VTermPos){row, (int)col}, &v))
        return blank;
    c = sane(e, &v);
    if (c.width == 0 && (col == 0 || !vterm_screen_get_cell(e->screen, (VTermPos){row, (int)col - 1}, &v) ||
                         sane(e, &v).width != 2))
        return blank; /* a right half without its left one */
    return c;
}

struct emu_cell emu_cell(const struct emu *e, int row, unsigned col)
{
    const struct emu_cell *line;
    unsigned n;

    if (col >= e->cols || row >= (int)e->rows)
        return blank;
    if (row >= 0)
        return screen_cell(e, row, col);
    line = emu_scroll_line(e->scroll, (unsigned)(-row - 1), &n);
    return col < n ? line[col] : blank;
}

/* What the library tells. */

static int on_damage(VTermRect r, void *user)
{
    (void)r;
    ((struct emu *)user)->version++;
    return 1;
}

static int on_cursor(VTermPos pos, VTermPos old, int visible, void *user)
{
    (void)pos;
    (void)old;
    (void)visible;
    ((struct emu *)user)->version++;
    return 1;
}

static int on_prop(VTermProp prop, VTermValue *val, void *user)
{
    struct emu *e = user;

    if (prop == VTERM_PROP_CURSORVISIBLE)
        e->cursor_visible = val->boolean;
    if (prop == VTERM_PROP_ALTSCREEN)
        e->alternate = val->boolean;
    e->version++;
    return 1;
}

static int on_bell(void *user)
{
    ((struct emu *)user)->bells++;
    return 1;
}

static int on_line(int cols, const VTermScreenCell *cells, void *user)
{
    struct emu *e = user;
    unsigned n = cols < 0 ? 0 : (unsigned)cols < e->cols ? (unsigned)cols : e->cols;

    for (unsigned i = 0; i < n; i++) {
        e->line[i] = sane(e, &cells[i]);
        if (e->line[i].width == 0 && (i == 0 || e->line[i - 1].width != 2))
            e->line[i].ch[0] = ' ', e->line[i].width = 1;
        if (i && e->line[i - 1].width == 2 && e->line[i].width != 0)
            e->line[i - 1].ch[0] = REPLACEMENT, e->line[i - 1].width = 1;
    }
    if (n && e->line[n - 1].width == 2)
        e->line[n - 1].ch[0] = REPLACEMENT, e->line[n - 1].width = 1;
    emu_scroll_push(e->scroll, e->line, n);
    return 1;
}

static void on_output(const char *bytes, size_t len, void *user)
{
    struct emu *e = user;

    if (!e->mute)
        e->reply(e->arg, bytes, len);
}

static void on_safe(void *arg, const char *bytes, size_t len)
{
    struct emu *e = arg;

    vterm_input_write(e->vt, bytes, len);
}

static const VTermScreenCallbacks callbacks = {
    .damage = on_damage,
    .movecursor = on_cursor,
    .settermprop = on_prop,
    .bell = on_bell,
    .sb_pushline = on_line,
};

static unsigned within(unsigned v, unsigned min, unsigned max)
{
    return v < min ? min : v > max ? max : v;
}

struct emu *emu_new(unsigned cols, unsigned rows, void (*reply)(void *arg, const char *bytes, size_t len), void *arg)
{
    struct emu *e = calloc(1, sizeof *e);

    if (!e)
        return NULL;
    e->cols = within(cols, EMU_COLS_MIN, EMU_COLS_MAX);
    e->rows = within(rows, EMU_ROWS_MIN, EMU_ROWS_MAX);
    e->reply = reply;
    e->arg = arg;
    e->cursor_visible = true;
    e->guard = guard_new(e->cols, on_safe, e);
    e->scroll = emu_scroll_new(EMU_SCROLL_LINES);
    e->vt = vterm_new((int)e->rows, (int)e->cols);
    if (!e->guard || !e->scroll || !e->vt) {
        emu_free(e);
        return NULL;
    }
    vterm_set_utf8(e->vt, 1);
    vterm_output_set_callback(e->vt, on_output, e);
    vterm_state_set_bold_highbright(vterm_obtain_state(e->vt), 1);
    e->screen = vterm_obtain_screen(e->vt);
    vterm_screen_set_callbacks(e->screen, &callbacks, e);
    vterm_screen_enable_altscreen(e->screen, 1);
    vterm_screen_set_damage_merge(e->screen, VTERM_DAMAGE_SCROLL);
    vterm_screen_reset(e->screen, 1);
    return e;
}

void emu_free(struct emu *e)
{
    if (!e)
        return;
    if (e->vt)
        vterm_free(e->vt);
    emu_scroll_free(e->scroll);
    guard_free(e->guard);
    free(e);
}

void emu_feed(struct emu *e, const uint8_t *bytes, size_t len)
{
    guard_feed(e->guard, bytes, len);
    vterm_screen_flush_damage(e->screen);
    if (len)
        e->version++;
}

void emu_mute(struct emu *e, bool mute)
{
    e->mute = mute;
}

unsigned emu_cols(const struct emu *e)
{
    return e->cols;
}

unsigned emu_rows(const struct emu *e)
{
    return e->rows;
}

uint64_t emu_version(const struct emu *e)
{
    return e->version;
}

unsigned emu_scrolled(const struct emu *e)
{
    return emu_scroll_lines(e->scroll);
}

uint64_t emu_scrolled_ever(const struct emu *e)
{
    return emu_scroll_ever(e->scroll);
}

bool emu_cursor(const struct emu *e, unsigned *row, unsigned *col)
{
    VTermPos at;

    vterm_state_get_cursorpos(vterm_obtain_state(e->vt), &at);
    *row = at.row < 0 ? 0 : within((unsigned)at.row, 0, e->rows - 1);
    *col = at.col < 0 ? 0 : within((unsigned)at.col, 0, e->cols - 1);
    return e->cursor_visible;
}

const char *emu_title(const struct emu *e)
{
    return guard_title(e->guard);
}

bool emu_is_alternate(const struct emu *e)
{
    return e->alternate;
}

unsigned emu_bells(const struct emu *e)
{
    return e->bells;
}

/* Text. */

static size_t put_utf8(char *out, uint32_t cp)
{
    if (cp < 0x80)
        return out[0] = (char)cp, 1;
    if (cp < 0x800)
        return out[0] = (char)(0xc0 | cp >> 6), out[1] = (char)(0x80 | (cp & 63)), 2;
    if (cp < 0x10000)
        return out[0] = (char)(0xe0 | cp >> 12), out[1] = (char)(0x80 | (cp >> 6 & 63)),
               out[2] = (char)(0x80 | (cp & 63)), 3;
    return out[0] = (char)(0xf0 | cp >> 18), out[1] = (char)(0x80 | (cp >> 12 & 63)),
           out[2] = (char)(0x80 | (cp >> 6 & 63)), out[3] = (char)(0x80 | (cp & 63)), 4;
}

size_t emu_row_text(const struct emu *e, int row, char *out, size_t size)
{
    size_t n = 0, end = 0;

    for (unsigned col = 0; col < e->cols && n + 9 <= size; col++) {
        struct emu_cell c = emu_cell(e, row, col);

        for (unsigned i = 0; c.width && i < 2 && c.ch[i]; i++)
            n += put_utf8(out + n, c.ch[i]);
        if (c.width && c.ch[0] != ' ')
            end = n;
    }
    if (size)
        out[end] = '\0';
    return end;
}

static bool contains(const char *text, const char *what, bool exact)
{
    return exact ? strstr(text, what) != NULL : strcasestr(text, what) != NULL;
}

bool emu_search(const struct emu *e, const char *what, int from, int step, int *row)
{
    char text[EMU_COLS_MAX * 8 + 9];
    int top = -(int)emu_scrolled(e), bottom = (int)e->rows - 1;
    bool exact = false;

    if (!*what)
        return false;
    for (const char *p = what; *p; p++)
        exact |= isupper((unsigned char)*p) != 0;
    if (from < top)
        from = step > 0 ? top : top - 1;
    for (int r = from; r >= top && r <= bottom; r += step) {
        emu_row_text(e, r, text, sizeof text);
        if (contains(text, what, exact)) {
            *row = r;
            return true;
        }
    }
    return false;
}

/* Keys. Controls go straight: the library would write Ctrl-I and Ctrl-M as sequences that
 * hardly any guest knows. */

void emu_type_char(struct emu *e, uint32_t cp, unsigned mods)
{
    char out[8] = {0};
    size_t n = 0;

    if (cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
        return;
    if (mods & EMU_ALT)
        out[n++] = 0x1b;
    if ((mods & EMU_CTRL) && cp >= 0x40 && cp < 0x7f)
        cp &= 0x1f;
    n += put_utf8(out + n, cp);
    on_output(out, n, e);
}

void emu_type_key(struct emu *e, enum emu_key key, unsigned mods)
{
    static const VTermKey keys[] = {
        [EMU_KEY_UP] = VTERM_KEY_UP,         [EMU_KEY_DOWN] = VTERM_KEY_DOWN,
        [EMU_KEY_LEFT] = VTERM_KEY_LEFT,     [EMU_KEY_RIGHT] = VTERM_KEY_RIGHT,
        [EMU_KEY_INSERT] = VTERM_KEY_INS,    [EMU_KEY_DELETE] = VTERM_KEY_DEL,
        [EMU_KEY_HOME] = VTERM_KEY_HOME,     [EMU_KEY_END] = VTERM_KEY_END,
        [EMU_KEY_PAGE_UP] = VTERM_KEY_PAGEUP, [EMU_KEY_PAGE_DOWN] = VTERM_KEY_PAGEDOWN,
    };
    VTermModifier m = (VTermModifier)(((mods & EMU_SHIFT) ? VTERM_MOD_SHIFT : 0) |
                                      ((mods & EMU_ALT) ? VTERM_MOD_ALT : 0) | ((mods & EMU_CTRL) ? VTERM_MOD_CTRL : 0));

    if (key == EMU_KEY_BACK_TAB)
        on_output("\033[Z", 3, e);
    else if (key >= EMU_KEY_F1 && key <= EMU_KEY_F12)
        vterm_keyboard_key(e->vt, (VTermKey)VTERM_KEY_FUNCTION(key - EMU_KEY_F1 + 1), m);
    else if ((unsigned)key < sizeof keys / sizeof *keys)
        vterm_keyboard_key(e->vt, keys[key], m);
}

void emu_paste(struct emu *e, const char *utf8, size_t len)
{
    vterm_keyboard_start_paste(e->vt);
    for (size_t i = 0; i < len; i++) {
        char c = utf8[i] == '\n' ? '\r' : utf8[i];

        if ((unsigned char)c >= 0x20 || c == '\r' || c == '\t') /* no ESC: it could end the paste */
            on_output(&c, 1, e);
    }
    vterm_keyboard_end_paste(e->vt);
}
