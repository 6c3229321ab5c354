/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd_console: console, watch, send, expect, log.
 */
#include "core/cmd_internal.h"

#include "core/ansi.h"
#include "core/clock.h"
#include "core/conlog.h"
#include "core/expect.h"
#include "core/units.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_BYTES = 16384, WATCH_ROOM = 64 << 10 };

bool cmd_line_option(struct cmd_run *r, unsigned k, enum board_console *c)
{
    static const char *const names[CONSOLES] = {"serial0", "serial1", "virtio", "debug"};
    char show[40];

    *c = CONSOLE_SERIAL0;
    if (!r->p.opt[k])
        return true;
    for (int i = 0; i < CONSOLES; i++) {
        if (strcmp(names[i], r->p.opt[k]) == 0) {
            *c = (enum board_console)i;
            return true;
        }
    }
    cmd_fail(r, "a guest has the lines serial0, serial1, virtio and debug, not `%s`",
                    text_show(show, sizeof show, r->p.opt[k]));
    return false;
}

/* Will it say anything more by itself? */
static bool is_over(const struct guest *g)
{
    return !guest_is_up(g) && !g->starting && !g->want_start && !vm_busy(g->vm);
}

void exec_console(struct cmd_run *r)
{
    enum board_console c;
    struct err e;
    int rc = 1;

    if (!cmd_line_option(r, 0, &c))
        return;
    for (unsigned i = 0; i < r->targets.n && rc > 0; i++)
        rc = session_attach(r->session, r->targets.t[i].g, c, r, &e);
    if (rc == 0 && r->targets.n > 1)
        cmd_note(r, "this terminal shows one guest at a time: %s", r->targets.t[0].g->c->name);
    if (rc < 0)
        cmd_fail(r, "%s", e.msg);
    else if (rc > 0)
        cmd_done(r, CMD_DONE);
}

/* watch */

struct watch {
    enum board_console console;
    uint64_t pos, lost, until_ns;
    struct ansi ansi;
};

static bool watch_room(const struct cmd_run *r)
{
    return !r->client.room || r->client.room(r->client.opaque) >= WATCH_ROOM;
}

static void poll_watch(struct cmd_run *r)
{
    struct watch *w = r->state;
    struct guest *g = r->targets.t[0].g;
    uint8_t raw[READ_BYTES];
    char plain[2 * READ_BYTES + 1];
    size_t n = 0;

    while (watch_room(r) &&
           (n = console_read(vm_console(g->vm, w->console), &w->pos, raw, sizeof raw, &w->lost)) > 0) {
        text_add(&r->out, plain, ansi_plain(&w->ansi, raw, n, plain));
        if (!r->json)
            cmd_flush(r);
    }
    if (w->lost)
        cmd_note(r, "%llu bytes were lost: they came faster than they were read", (unsigned long long)w->lost);
    w->lost = 0;
    if (r->timed_out || r->cancelled || (n == 0 && is_over(g)))
        cmd_done(r, CMD_DONE);
}

void exec_watch(struct cmd_run *r)
{
    struct watch *w = cmd_state(r, sizeof *w, NULL);
    struct guest *g = r->targets.t[0].g;
    uint64_t ns = 0, lines = 10;
    struct err e;

    if (!w || !cmd_line_option(r, 1, &w->console))
        return;
    if ((r->p.arg[1] && units_duration(r->p.arg[1], &ns, &e) < 0) ||
        (r->p.opt[0] && units_uint(r->p.opt[0], "--lines", 0, 100000, &lines, &e) < 0)) {
        cmd_fail(r, "%s", e.msg);
        return;
    }
    if (!r->p.arg[1] && !r->json && session_view_watch(r->session, g, w->console, r))
        return; /* the user interface shows it */
    w->pos = lines ? console_tail(vm_console(g->vm, w->console), (unsigned)lines)
                   : console_end(vm_console(g->vm, w->console));
    if (cmd_watch(r, g, w->console) == 0)
        cmd_wait(r, poll_watch, ns);
}

/* send */

struct send {
    enum board_console console;
    char *bytes;
    size_t len;
    size_t *done; /* of each guest */
};

static void send_free(void *state)
{
    struct send *s = state;

    free(s->bytes);
    free(s->done);
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;

    return at && ((c >= '0' && c <= '9') || (c | 0x20) >= 'a') ? (int)(at - digits) : -1;
}

/* Replaces escapes in place; returns the length. -1: a lone \x. */
static ssize_t unescape(char *s)
{
    char *out = s, *begin = s;

    for (; *s; s++) {
        if (*s != '\\' || !s[1]) {
            *out++ = *s;
            continue;
        }
        switch (*++s) {
        case 'n':
        case 'r':
            *out++ = '\r';
            break;
        case 't':
            *out++ = '\t';
            break;
        case 'e':
            *out++ = 0x1b;
            break;
        case 'x':
            if (hex_digit(s[1]) < 0 || hex_digit(s[2]) < 0)
                return -1;
            *out++ = (char)(hex_digit(s[1]) << 4 | hex_digit(s[2]));
            s += 2;
            break;
        case '\\':
            *out++ = '\\';
            break;
        default: /* not ours: both bytes */
            *out++ = '\\';
            *out++ = *s;
        }
    }
    return out - begin;
}

static void poll_send(struct cmd_run *r)
{
    struct send *s = r->state;
    bool waiting = false, failed = false;

    for (unsigned i = 0; i < r->targets.n; i++) {
        struct guest *g = r->targets.t[i].g;

        if (s->done[i] < s->len && guest_is_up(g))
            s->done[i] += vm_console_send(g->vm, s->console, s->bytes + s->done[i], s->len - s->done[i]);
        if (s->done[i] == s->len)
            continue;
        if (is_over(g))
            cmd_error(r, "%s is %s: nobody reads what is typed", g->c->name, vm_state_name(vm_state(g->vm)));
        else if (r->timed_out)
            cmd_error(r, "%s does not read what is typed: %zu of %zu bytes are left", g->c->name,
                      s->len - s->done[i], s->len);
        else
            waiting = true;
        failed |= is_over(g) || r->timed_out;
    }
    if (!waiting || r->cancelled)
        cmd_done(r, failed ? CMD_FAILED : CMD_DONE);
}

void exec_send(struct cmd_run *r)
{
    struct send *s = cmd_state(r, sizeof *s, send_free);
    ssize_t len;

    if (!s || !cmd_line_option(r, 2, &s->console))
        return;
    s->bytes = cmd_rest_text(&r->p);
    s->done = calloc(r->targets.n, sizeof *s->done);
    len = s->bytes ? unescape(s->bytes) : 0;
    if (!s->bytes || !s->done) {
        cmd_fail(r, "out of memory");
        return;
    }
    if (len < 0) {
        cmd_fail(r, "\\x is followed by two hexadecimal digits, as \\x1b");
        return;
    }
    s->len = (size_t)len;
    if (!r->p.opt[0])
        s->bytes[s->len++] = '\r'; /* in place of the NUL */
    for (unsigned i = 0; r->p.opt[1] && i < r->targets.n; i++)
        r->targets.t[i].g->mark[s->console] = console_end(vm_console(r->targets.t[i].g->vm, s->console));
    cmd_wait(r, poll_send, 30000000000ull);
}

/* expect */

struct expecting {
    enum board_console console;
    struct expect *x;
    uint64_t pos, lost;
};

static void expecting_free(void *state)
{
    expect_free(((struct expecting *)state)->x);
}

static void expect_failed(struct cmd_run *r, const struct expecting *w, const char *why)
{
    char show[80];
    struct text t = {0};

    cmd_error(r, "%s did not say `%s`: %s", r->targets.t[0].g->c->name,
              text_show(show, sizeof show, r->p.arg[1]), why);
    expect_tail(w->x, 8, "  | ", &t);
    if (t.len)
        cmd_error(r, "it said last:");
    for (const char *p = text_str(&t); *p;) {
        size_t n = strcspn(p, "\n");
        char line[400];

        snprintf(line, sizeof line, "%.*s", (int)n, p);
        cmd_error(r, "%s", text_show((char[400]){0}, 400, line));
        p += n + (p[n] == '\n');
    }
    text_free(&t);
    cmd_done(r, CMD_FAILED);
}

static void expect_matched(struct cmd_run *r, const struct expecting *w)
{
    r->targets.t[0].g->mark[w->console] = expect_end(w->x);
    if (r->p.opt[0])
        expect_line(w->x, &r->out);
    cmd_done(r, CMD_DONE);
}

/* Nothing more can come: a guest that has not been started yet may be, from elsewhere. */
static bool will_not_say(const struct guest *g)
{
    return is_over(g) && (vm_state(g->vm) != VM_NEW || g->failed);
}

static void poll_expect(struct cmd_run *r)
{
    struct expecting *w = r->state;
    struct guest *g = r->targets.t[0].g;
    bool over = will_not_say(g); /* looked at before its last words are read */
    uint8_t raw[READ_BYTES];
    char why[300];
    size_t n;

    do {
        w->lost = 0;
        n = console_read(vm_console(g->vm, w->console), &w->pos, raw, sizeof raw, &w->lost);
        if (n && expect_feed(w->x, raw, n, w->lost)) {
            expect_matched(r, w);
            return;
        }
    } while (n);
    if (r->timed_out) {
        const char *limit = r->p.arg[2] ? r->p.arg[2] : "30";
        const char *unit = limit[strspn(limit, "0123456789.")] ? "" : " s";

        snprintf(why, sizeof why, "%s%s is over%s", limit, unit,
                 is_over(g) ? ", and it was not started: see `start`" : "");
        expect_failed(r, w, text_show((char[300]){0}, 300, why));
    } else if (over) {
        snprintf(why, sizeof why, "it is %s%s%s", vm_state_name(vm_state(g->vm)),
                 vm_reason(g->vm)[0] ? ": " : "", vm_reason(g->vm));
        expect_failed(r, w, why);
    } else if (r->cancelled) {
        cmd_done(r, CMD_FAILED);
    }
}

void exec_expect(struct cmd_run *r)
{
    struct expecting *w = cmd_state(r, sizeof *w, expecting_free);
    struct guest *g = r->targets.t[0].g;
    uint64_t ns = 30000000000ull;
    struct err e;

    if (!w || !cmd_line_option(r, 1, &w->console))
        return;
    if (r->p.arg[2] && units_duration(r->p.arg[2], &ns, &e) < 0) {
        cmd_fail(r, "%s", e.msg);
        return;
    }
    w->pos = g->mark[w->console];
    w->x = expect_new(r->p.arg[1], w->pos, &e);
    if (!w->x)
        cmd_fail(r, "%s", e.msg);
    else if (cmd_watch(r, g, w->console) == 0)
        cmd_wait(r, poll_expect, ns ? ns : 1);
}

/* log */

static void log_show(struct cmd_run *r, const struct guest *g)
{
    char show[400];

    if (g->log)
        cmd_printf(r, "%s\n", text_show(show, sizeof show, conlog_path(g->log)));
    else
        cmd_note(r, "%s is not logged", g->c->name);
    cmd_done(r, CMD_DONE);
}

void exec_log(struct cmd_run *r)
{
    struct guest *g = r->targets.t[0].g;
    struct conlog_params p = {.path = r->p.arg[1], .append = r->p.opt[0] != NULL,
                              .size_bytes = CONLOG_SIZE_DEFAULT};
    uint64_t keep = CONLOG_KEEP_DEFAULT;
    struct conlog *l;
    struct err e;

    if (!p.path) {
        log_show(r, g);
        return;
    }
    if ((r->p.opt[1] && units_size(r->p.opt[1], &p.size_bytes, &e) < 0) ||
        (r->p.opt[2] && units_uint(r->p.opt[2], "--keep", 0, 9, &keep, &e) < 0)) {
        cmd_fail(r, "%s", e.msg);
        return;
    }
    if (p.size_bytes < 4096) {
        cmd_fail(r, "a log has at least 4K");
        return;
    }
    p.keep = (unsigned)keep;
    l = strcmp(p.path, "off") == 0 ? NULL : conlog_new(r->session, g, CONSOLE_SERIAL0, &p, &e);
    if (!l && strcmp(p.path, "off") != 0) {
        cmd_fail(r, "%s", e.msg);
        return;
    }
    conlog_free(g->log);
    g->log = l;
    undo_begin(cmd_undo(r), r->line);
    if (l)
        undo_step(cmd_undo(r), "log %s off", g->c->name);
    cmd_done(r, CMD_DONE);
}
