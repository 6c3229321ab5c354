/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmdline: see cmdline.h. readline reads whole characters or whole key sequences from a queue
 * of ours and writes to /dev/null; we draw its buffer.
 */
#define NCURSES_WIDECHAR 1
#include "ui/cmdline.h"

#include "core/text.h"
#include "ui/paste.h"
#include "ui/prompt.h"
#include "ui/screen.h"

#include <curses.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <readline/history.h>
#include <readline/readline.h>

enum { QUEUE_MAX = 32, MATCHES_MAX = 200, POPUP_ROWS = 10, PASTE_MAX = 8192, ESCAPE = 27 };

static struct {
    bool active, popup;
    char prompt[16];
    void (*enter)(void *arg, const char *text);
    void (*change)(void *arg, const char *text);
    void *arg;
    char queue[QUEUE_MAX];
    int head, tail;
    FILE *null;
    char *match[MATCHES_MAX];
    int nmatches, pick; /* pick: -1 none */
    int pop_start;      /* where the completed word begins */
    struct paste paste;
} the_line;

/* readline's hooks. */

static int next_byte(FILE *f)
{
    (void)f;
    return the_line.head < the_line.tail ? (unsigned char)the_line.queue[the_line.head++] : EOF;
}

static int has_byte(void)
{
    return the_line.head < the_line.tail;
}

static void no_term(int meta)
{
    (void)meta;
}

static void nothing(void)
{
}

static void drop_popup(void)
{
    while (the_line.nmatches)
        free(the_line.match[--the_line.nmatches]);
    the_line.popup = false;
    the_line.pick = -1;
}

static void show_matches(char **m, int n, int longest)
{
    (void)longest;
    drop_popup();
    for (int i = 1; i <= n && the_line.nmatches < MATCHES_MAX; i++) {
        the_line.match[the_line.nmatches] = strdup(m[i]);
        the_line.nmatches += the_line.match[the_line.nmatches] != NULL;
    }
    the_line.popup = the_line.nmatches > 0;
    the_line.pop_start = rl_point - (int)strlen(m[0]);
    if (the_line.pop_start < 0)
        the_line.pop_start = 0;
}

static void finish(const char *text)
{
    void (*enter)(void *arg, const char *t) = the_line.enter;

    the_line.active = false;
    drop_popup();
    enter(the_line.arg, text);
}

static void on_line(char *text)
{
    rl_callback_handler_remove();
    if (text && !the_line.change)
        prompt_remember(text);
    finish(text);
    free(text);
}

bool cmdline_init(struct session *s)
{
    prompt_setup(s);
    the_line.null = fopen("/dev/null", "we");
    rl_prep_term_function = no_term;
    rl_deprep_term_function = nothing;
    if (the_line.null)
        rl_outstream = the_line.null;
    rl_getc_function = next_byte;
    rl_input_available_hook = has_byte;
    rl_redisplay_function = nothing;
    rl_completion_query_items = -1;
    rl_completion_display_matches_hook = show_matches;
    rl_initialize();
    rl_variable_bind("bell-style", "none");
    rl_variable_bind("enable-bracketed-paste", "off");
    rl_variable_bind("bind-tty-special-chars", "off");
    rl_variable_bind("show-all-if-ambiguous", "on");
    return history_length > 0;
}

void cmdline_fini(void)
{
    cmdline_close();
    prompt_save();
    text_free(&the_line.paste.text);
    rl_getc_function = rl_getc;
    rl_input_available_hook = NULL;
    rl_outstream = stdout;
    if (the_line.null)
        fclose(the_line.null);
    the_line.null = NULL;
}

void cmdline_open(const char *prompt, const char *text, void (*enter)(void *arg, const char *text),
                  void (*change)(void *arg, const char *text), void *arg)
{
    if (the_line.active)
        return;
    the_line.enter = enter;
    the_line.change = change;
    the_line.arg = arg;
    the_line.active = true;
    the_line.head = the_line.tail = 0;
    snprintf(the_line.prompt, sizeof the_line.prompt, "%s", prompt);
    rl_callback_handler_install(the_line.prompt, on_line);
    if (text && *text)
        rl_insert_text(text);
}

void cmdline_close(void)
{
    if (!the_line.active)
        return;
    rl_callback_sigcleanup();
    rl_free_line_state();
    rl_replace_line("", 0);
    rl_callback_handler_remove();
    finish(NULL);
}

bool cmdline_active(void)
{
    return the_line.active;
}

/* Keys. */

static void push(const char *bytes, size_t n)
{
    if (the_line.tail + (int)n <= QUEUE_MAX) {
        memcpy(the_line.queue + the_line.tail, bytes, n);
        the_line.tail += (int)n;
    }
}

static const char *sequence(uint32_t code)
{
    static const struct {
        uint32_t code;
        const char *seq;
    } keys[] = {{KEY_UP, "\033[A"},    {KEY_DOWN, "\033[B"}, {KEY_RIGHT, "\033[C"}, {KEY_LEFT, "\033[D"},
                {KEY_HOME, "\033[H"},  {KEY_END, "\033[F"},  {KEY_DC, "\033[3~"},   {KEY_BACKSPACE, "\177"},
                {KEY_ENTER, "\r"},     {KEY_BTAB, "\033[Z"}};

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i].code == code)
            return keys[i].seq;
    return "";
}

static void push_char(uint32_t c, bool alt)
{
    char buf[MB_LEN_MAX + 1] = {ESCAPE};
    mbstate_t st = {0};
    size_t n = wcrtomb(buf + 1, (wchar_t)c, &st);

    if (n != (size_t)-1)
        push(buf + !alt, n + alt);
}

static void pump(void)
{
    while (the_line.active && has_byte())
        rl_callback_read_char();
    the_line.head = the_line.tail = 0;
    if (the_line.active && the_line.change)
        the_line.change(the_line.arg, rl_line_buffer);
}

/* Takes the next completion into the line. */
static void pick(int step)
{
    int n = the_line.nmatches;

    the_line.pick = the_line.pick < 0 ? (step > 0 ? 0 : n - 1) : (the_line.pick + step + n) % n;
    rl_delete_text(the_line.pop_start, rl_point);
    rl_point = the_line.pop_start;
    rl_insert_text(the_line.match[the_line.pick]);
}

static bool popup_key(const struct key *k)
{
    bool down = (k->special && k->code == KEY_DOWN) || (!k->special && k->code == '\t');

    if (!the_line.popup)
        return false;
    if (down || (k->special && (k->code == KEY_UP || k->code == KEY_BTAB))) {
        pick(down ? 1 : -1);
        return true;
    }
    if (!k->special && k->code == ESCAPE) {
        drop_popup();
        return true;
    }
    if (!k->special && (k->code == '\r' || k->code == '\n') && the_line.pick >= 0) {
        rl_insert_text(" ");
        drop_popup();
        return true;
    }
    drop_popup();
    return false;
}

/* Pasted text is one insertion; what would end the line becomes a blank. */
static bool paste_key(const struct key *k)
{
    struct text *t = &the_line.paste.text;
    enum paste_step step = paste_take(&the_line.paste, k, PASTE_MAX);

    if (step == PASTE_WHOLE) {
        for (size_t i = 0; i < t->len; i++)
            t->buf[i] = (unsigned char)t->buf[i] < ' ' ? ' ' : t->buf[i];
        rl_insert_text(text_str(t));
        text_clear(t);
        pump();
    }
    return step != PASTE_NOT;
}

/* Escape gives up, but in vi mode only from an empty line. */
static bool gives_up(const struct key *k)
{
    if (k->special || k->alt)
        return false;
    return k->code == 3 || k->code == 7 || (k->code == ESCAPE && (rl_editing_mode == 1 || !*rl_line_buffer)) ||
           ((k->code == 127 || k->code == 8) && !*rl_line_buffer);
}

void cmdline_key(const struct key *k)
{
    if (paste_key(k) || popup_key(k))
        return;
    if (gives_up(k) && !(k->code == 7 && RL_ISSTATE(RL_STATE_ISEARCH))) {
        cmdline_close();
        return;
    }
    if (k->special && k->code == KEY_BACKSPACE && !*rl_line_buffer) {
        cmdline_close();
        return;
    }
    if (!k->special && k->code == '\t' && the_line.change)
        return;
    if (k->special)
        push(sequence(k->code), strlen(sequence(k->code)));
    else
        push_char(k->code, k->alt);
    pump();
}

/* Drawing. */

/* The line as it is shown, control characters as ^X, and the column of byte `point` in it. */
static int shown(struct text *out, int point)
{
    int col = -1;

    for (int i = 0; rl_line_buffer[i]; i++) {
        unsigned char c = (unsigned char)rl_line_buffer[i];

        if (i == point)
            col = (int)text_columns(text_str(out));
        if (c < ' ' || c == 127)
            text_printf(out, "^%c", c ^ 64);
        else
            text_putc(out, (char)c);
    }
    return col < 0 ? (int)text_columns(text_str(out)) : col;
}

static const char *skip_columns(const char *s, int n)
{
    while (n > 0 && *s) {
        s++;
        while ((*s & 0xc0) == 0x80)
            s++;
        n--;
    }
    return s;
}

static void draw_popup(int y, int x)
{
    int rows = the_line.nmatches < POPUP_ROWS ? the_line.nmatches : POPUP_ROWS, w = 10;
    int first = the_line.pick >= rows ? the_line.pick - rows + 1 : 0, lines, cols;

    screen_size(&lines, &cols);
    if (rows > y - 3)
        rows = y - 3;
    if (rows < 1)
        return;
    for (int i = 0; i < the_line.nmatches; i++)
        if ((int)text_columns(the_line.match[i]) > w)
            w = (int)text_columns(the_line.match[i]);
    w = w + 4 > cols ? cols : w + 4;
    if (x + w > cols)
        x = cols - w;
    draw_clear((struct area){y - rows - 2, x, rows + 2, w});
    draw_box((struct area){y - rows - 2, x, rows + 2, w}, ROLE_DIM, false, NULL);
    for (int i = 0; i < rows; i++) {
        draw_text(y - rows - 1 + i, x + 2, w - 4, ROLE_TEXT, the_line.match[first + i]);
        if (first + i == the_line.pick)
            draw_highlight(y - rows - 1 + i, x + 1, w - 2);
    }
    if (the_line.nmatches > rows)
        draw_fmt(y - 1, x + 2, w - 4, ROLE_DIM, " %d of %d ", rows, the_line.nmatches);
}

void cmdline_draw(int y, int w, int *caret_x)
{
    const char *prompt = rl_display_prompt ? rl_display_prompt : the_line.prompt;
    struct text t = {0};
    int plen = draw_text(y, 0, w / 2, ROLE_KEY, prompt), room = w - plen - 1;
    int col = shown(&t, rl_point), skip = col >= room ? col - room + 1 : 0;

    draw_text(y, plen, w - plen, ROLE_TEXT, skip_columns(text_str(&t), skip));
    *caret_x = plen + col - skip;
    text_free(&t);
    if (the_line.popup)
        draw_popup(y, plen + the_line.pop_start - skip > 0 ? plen + the_line.pop_start - skip - 1 : 0);
}
