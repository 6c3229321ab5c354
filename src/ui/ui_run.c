/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ui_run: commands given in the full-screen console. What one says in a line goes to the message
 * line; what says more gets a window of its own, as it comes. A question waits for y or n.
 */
#include "ui/ui_internal.h"

#include "ui/cmdline.h"
#include "ui/screen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_one_line(const struct text *t)
{
    const char *nl = t->len ? memchr(t->buf, '\n', t->len) : NULL;

    return !nl || nl == t->buf + t->len - 1;
}

static void show(struct ui_run *r)
{
    if (!r->pager && !is_one_line(&r->out)) {
        r->pager = pager_new(r->ui, r->line);
        ui_push(r->ui, r->pager);
    }
    if (r->pager)
        pager_set(r->pager, text_str(&r->out), r->out.len);
    ui_redraw(r->ui);
}

static void on_write(void *opaque, enum cmd_stream to, const char *text, size_t len)
{
    struct ui_run *r = opaque;

    r->bad |= to == CMD_ERROR;
    if (r->out.len + len > 1 << 20)
        text_drop(&r->out, r->out.len / 2);
    text_add(&r->out, text, len);
    show(r);
}

/* In the message row; what does not fit there gets a window. */
static void say_line(struct ui_run *r, bool bad)
{
    char *line = strndup(text_str(&r->out), strcspn(text_str(&r->out), "\n"));
    int lines, cols;

    screen_size(&lines, &cols);
    if (line && (int)text_columns(line) > cols - 3)
        ui_push(r->ui, sentence_new(r->ui, r->line, line, cols - 8 < 72 ? cols - 8 : 72));
    else if (line)
        ui_say(r->ui, bad, "%s", line);
    free(line);
}

static void on_done(void *opaque, int status)
{
    struct ui_run *r = opaque;

    if (r->ui->asking == r->run)
        r->ui->asking = NULL;
    if (!r->pager && r->out.len)
        say_line(r, r->bad || status);
    text_free(&r->out);
    *r = (struct ui_run){0};
}

static void on_gone(void *opaque)
{
    struct ui_run *r = opaque;

    text_free(&r->out);
    *r = (struct ui_run){0};
}

static void on_ask(void *opaque, struct cmd_run *run, const char *question)
{
    struct ui_run *r = opaque;

    if (r->ui->asking) { /* one at a time */
        cmd_answer(run, false);
        return;
    }
    r->ui->asking = run;
    text_show(r->ui->question, sizeof r->ui->question, question);
    ui_redraw(r->ui);
}

void ui_answer(struct ui *u, bool yes)
{
    struct cmd_run *r = u->asking;

    u->asking = NULL;
    if (r)
        cmd_answer(r, yes);
}

static bool is_blank(const char *s)
{
    return s[strspn(s, " \t")] == '\0';
}

void ui_run_line(struct ui *u, const char *line)
{
    struct cmd_client c = {.write = on_write, .done = on_done, .gone = on_gone, .ask = on_ask,
                           .looks_only = u->readonly};
    struct ui_run *r = NULL;

    for (int i = 0; i < UI_RUNS && !r; i++)
        if (!u->runs[i].used)
            r = &u->runs[i];
    if (is_blank(line))
        return;
    if (!r) {
        ui_say(u, true, "%d commands are running: wait for one, or close its window", UI_RUNS);
        return;
    }
    *r = (struct ui_run){.ui = u, .used = true};
    text_show(r->line, sizeof r->line, line);
    c.opaque = r;
    u->message[0] = '\0';
    r->run = cmd_start(u->session, line, &c);
    if (!r->run)
        r->used = false;
}

void ui_cancel_run(struct ui *u, struct view *pager)
{
    for (int i = 0; i < UI_RUNS; i++) {
        struct ui_run *r = &u->runs[i];

        if (r->used && r->pager == pager) {
            r->pager = NULL;
            text_clear(&r->out);
            if (r->run && !cmd_is_over(r->run))
                cmd_cancel(r->run);
        }
    }
}

bool ui_owns(struct ui *u, const struct cmd_run *run)
{
    for (int i = 0; i < UI_RUNS; i++)
        if (u->runs[i].used && cmd_is_of(run, &u->runs[i]))
            return true;
    return false;
}

void ui_runs_fini(struct ui *u)
{
    for (int i = 0; i < UI_RUNS; i++) {
        if (u->runs[i].used && u->runs[i].run)
            cmd_abandon(u->runs[i].run);
        text_free(&u->runs[i].out);
        u->runs[i] = (struct ui_run){0};
    }
}

static void entered(void *arg, const char *text)
{
    if (text)
        ui_run_line(arg, text);
    ui_redraw(arg);
}

void ui_open_command(struct ui *u, const char *text)
{
    cmdline_open(":", text, entered, NULL, u);
    ui_redraw(u);
}
