/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd: the life of a run, from the line to its status. See cmd.h and cmd_internal.h.
 *
 * A run that is over is only marked; the loop frees it and tells its client in a turn of its
 * own, so that nobody finds a run gone in the middle of what he does with it.
 */
#include "core/cmd_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void run_free(struct cmd_run *r)
{
    session_unwatch(r->session, r->watcher);
    loop_del_timer(r->timer);
    if (r->state_free)
        r->state_free(r->state);
    free(r->state);
    cmd_parsed_fini(&r->p);
    targets_free(&r->targets);
    text_free(&r->out);
    free(r->line);
    free(r);
}

static void reap(void *arg)
{
    struct session *s = arg;
    struct cmd_runs *runs = session_runs(s);
    struct cmd_run **p = &runs->first, *over = NULL, **last = &over;

    runs->reap_posted = false;
    while (*p) {
        struct cmd_run *r = *p;

        if (!r->over) {
            p = &r->next;
            continue;
        }
        *p = r->next;
        r->next = NULL;
        *last = r;
        last = &r->next;
    }
    while (over) {
        struct cmd_run *r = over;
        struct cmd_client c = r->client;
        bool tell = !r->abandoned;
        int status = r->status;

        over = r->next;
        run_free(r);
        if (tell)
            c.done(c.opaque, status);
    }
}

static void write_to(struct cmd_run *r, enum cmd_stream to, const char *text, size_t len)
{
    if (!r->abandoned && len)
        r->client.write(r->client.opaque, to, text, len);
}

void cmd_flush(struct cmd_run *r)
{
    write_to(r, CMD_OUT, text_str(&r->out), r->out.len);
    text_clear(&r->out);
}

/* Somebody asked for JSON of a command that has only text. */
static void wrap_json(struct cmd_run *r)
{
    struct text t = {0};
    struct json_out j = {.t = &t};

    jout_begin(&j, NULL, '{');
    jout_strn(&j, "output", text_str(&r->out), r->out.len);
    jout_end(&j, '}');
    text_free(&r->out);
    r->out = t;
}

void cmd_done(struct cmd_run *r, int status)
{
    struct cmd_runs *runs = session_runs(r->session);

    if (r->over)
        return;
    r->over = true;
    r->status = status;
    if (r->json && !r->json_made && status == CMD_DONE)
        wrap_json(r);
    if (r->json && r->out.len && r->out.buf[r->out.len - 1] != '\n')
        text_putc(&r->out, '\n');
    if (r->out.full)
        cmd_error(r, "the output was cut: it was more than %u MiB", TEXT_LIMIT_BYTES >> 20);
    cmd_flush(r);
    if (!runs->reap_posted)
        runs->reap_posted = loop_post(session_loop(r->session), reap, r->session) == 0;
}

const struct cmd *cmd_of(const struct cmd_run *r)
{
    return r->cmd;
}

bool cmd_is_over(const struct cmd_run *r)
{
    return r->over;
}

bool cmd_is_of(const struct cmd_run *r, const void *opaque)
{
    return !r->abandoned && r->client.opaque == opaque;
}

void cmd_printf(struct cmd_run *r, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    text_vprintf(&r->out, fmt, ap);
    va_end(ap);
}

static void say(struct cmd_run *r, enum cmd_stream to, const char *fmt, va_list ap)
{
    char line[1024];
    int n = vsnprintf(line, sizeof line - 1, fmt, ap);

    if (n < 0)
        return;
    if (n > (int)sizeof line - 2)
        n = (int)sizeof line - 2;
    line[n++] = '\n';
    write_to(r, to, line, (size_t)n);
}

void cmd_note(struct cmd_run *r, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(r, CMD_NOTE, fmt, ap);
    va_end(ap);
}

void cmd_error(struct cmd_run *r, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(r, CMD_ERROR, fmt, ap);
    va_end(ap);
}

void cmd_fail(struct cmd_run *r, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(r, CMD_ERROR, fmt, ap);
    va_end(ap);
    cmd_done(r, CMD_FAILED);
}

struct undo *cmd_undo(struct cmd_run *r)
{
    return r->client.undoes ? NULL : session_undo(r->session);
}

void cmd_usage_error(struct cmd_run *r, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(r, CMD_ERROR, fmt, ap);
    va_end(ap);
    cmd_done(r, CMD_USAGE);
}

struct json_out cmd_json(struct cmd_run *r)
{
    r->json_made = true;
    return (struct json_out){.t = &r->out};
}

void *cmd_state(struct cmd_run *r, size_t size, void (*free_state)(void *state))
{
    r->state = calloc(1, size);
    if (r->state)
        r->state_free = free_state;
    else
        cmd_fail(r, "out of memory");
    return r->state;
}

/* Waiting. */

void cmd_poll(struct cmd_run *r)
{
    if (r->over || !r->poll || r->polling)
        return;
    r->polling = true;
    r->poll(r);
    r->polling = false;
}

static void on_timeout(void *arg)
{
    struct cmd_run *r = arg;

    r->timed_out = true;
    cmd_poll(r);
}

void cmd_wait(struct cmd_run *r, void (*poll)(struct cmd_run *r), uint64_t timeout_ns)
{
    struct err e;

    r->poll = poll;
    if (timeout_ns) {
        r->timer = r->timer ? r->timer : loop_add_timer(session_loop(r->session), on_timeout, r, &e);
        if (!r->timer) {
            cmd_fail(r, "%s", e.msg);
            return;
        }
        loop_arm_ns(r->timer, timeout_ns);
    }
    cmd_poll(r);
}

static void on_console(void *arg)
{
    cmd_poll(arg);
}

int cmd_watch(struct cmd_run *r, struct guest *g, enum board_console c)
{
    r->watcher = session_watch(r->session, g, c, on_console, r);
    if (!r->watcher)
        cmd_fail(r, "out of memory");
    return r->watcher ? 0 : -ENOMEM;
}

void cmd_cancel(struct cmd_run *r)
{
    r->cancelled = true;
    cmd_poll(r);
    if (!r->over)
        cmd_done(r, CMD_FAILED);
}

void cmd_abandon(struct cmd_run *r)
{
    r->abandoned = true;
    cmd_cancel(r);
}

void cmd_runs_poll(struct session *s)
{
    for (struct cmd_run *r = session_runs(s)->first; r; r = r->next)
        cmd_poll(r);
}

void cmd_runs_forget(struct session *s, struct guest *g)
{
    for (struct cmd_run *r = session_runs(s)->first; r; r = r->next) {
        for (unsigned i = 0; i < r->targets.n && !r->over; i++)
            if (r->targets.t[i].g == g && !r->polling)
                cmd_fail(r, "%s was removed meanwhile", g->c->name);
    }
}

void cmd_runs_reap(struct session *s)
{
    reap(s);
}

void cmd_runs_free(struct session *s)
{
    struct cmd_run *r;

    while ((r = session_runs(s)->first)) {
        struct cmd_client c = r->client;
        bool tell = !r->abandoned && c.gone;

        session_runs(s)->first = r->next;
        run_free(r);
        if (tell)
            c.gone(c.opaque);
    }
}

/* Beginning. */

void cmd_refuse_looker(struct cmd_run *r)
{
    cmd_fail(r, "%s: this console only looks (--readonly); `ruche ctl` can", r->cmd->name);
}

static bool guest_arg(enum cmd_arg_kind k)
{
    return k == ARG_GUEST || k == ARG_GUESTS || k == ARG_VCPU || k == ARG_VCPUS;
}

static int resolve_word(struct cmd_run *r, const struct cmd_arg *a, const char *word, struct err *e)
{
    unsigned before = r->targets.n;
    int rc = targets_add(&r->targets, r->session, word, e);

    if (rc < 0)
        return rc;
    if ((a->kind == ARG_GUEST || a->kind == ARG_VCPU) && r->targets.n - before > 1)
        return err_set(e, EINVAL, "`%s` means %u guests, `%s` takes one", word, r->targets.n - before,
                       r->cmd->name);
    if ((a->kind == ARG_GUEST || a->kind == ARG_GUESTS) && r->targets.t[r->targets.n - 1].vcpu >= 0)
        return err_set(e, EINVAL, "`%s` is a vCPU, `%s` takes whole guests", word, r->cmd->name);
    return 0;
}

static int resolve(struct cmd_run *r, struct err *e)
{
    int rc = 0;

    for (unsigned i = 0; i < CMD_ARGS_MAX && rc == 0; i++) {
        const struct cmd_arg *a = &r->cmd->args[i];

        if (!guest_arg(a->kind))
            continue;
        if (a->many)
            for (unsigned k = 0; k < r->p.nrest && rc == 0; k++)
                rc = resolve_word(r, a, r->p.rest[k], e);
        else if (r->p.arg[i])
            rc = resolve_word(r, a, r->p.arg[i], e);
    }
    return rc;
}

/* "stop web, db: sure?" */
static void ask(struct cmd_run *r)
{
    struct text q = {.limit = 400};

    text_printf(&q, "%s", r->cmd->name);
    for (unsigned i = 0; i < r->targets.n; i++)
        text_printf(&q, "%s%s", i ? ", " : " ", r->targets.t[i].g->c->name);
    if (!r->targets.n)
        text_printf(&q, " with %u guest%s running", session_running(r->session),
                    session_running(r->session) == 1 ? "" : "s");
    text_puts(&q, "?");
    r->asked = true;
    r->client.ask(r->client.opaque, r, text_str(&q));
    text_free(&q);
}

static bool must_ask(const struct cmd_run *r)
{
    return (r->cmd->flags & CMD_DESTRUCTIVE) && r->client.ask &&
           (r->targets.n || session_running(r->session));
}

static void begin(struct cmd_run *r)
{
    char usage[200];
    struct err e = {0};
    int rc = cmd_parse(&r->p, &e);

    r->cmd = r->p.cmd;
    r->json = r->p.json || r->client.json;
    if (rc < 0) {
        cmd_error(r, "%s", e.msg);
        if (r->cmd)
            cmd_error(r, "usage: %s", cmd_usage(r->cmd, usage, sizeof usage));
        cmd_done(r, CMD_USAGE);
    } else if (!r->cmd) {
        r->json_made = true;
        cmd_done(r, CMD_DONE);
    } else if (r->p.help) {
        cmd_help_one(r->cmd, &r->out);
        cmd_done(r, CMD_DONE);
    } else if (r->client.looks_only && !(r->cmd->flags & CMD_LOOKS)) {
        cmd_refuse_looker(r);
    } else if (resolve(r, &e) < 0) {
        cmd_fail(r, "%s", e.msg);
    } else if (must_ask(r)) {
        ask(r);
    } else {
        r->cmd->exec(r);
    }
}

void cmd_answer(struct cmd_run *r, bool yes)
{
    if (!r->asked || r->over)
        return;
    r->asked = false;
    if (yes)
        r->cmd->exec(r);
    else
        cmd_fail(r, "%s: not done", r->cmd->name);
}

static struct cmd_run *run_new(struct session *s, const struct cmd_client *client)
{
    struct cmd_run *r = calloc(1, sizeof *r), **p = &session_runs(s)->first;

    if (!r)
        return NULL;
    r->session = s;
    r->client = *client;
    while (*p)
        p = &(*p)->next;
    *p = r;
    return r;
}

struct cmd_run *cmd_start(struct session *s, const char *line, const struct cmd_client *client)
{
    struct cmd_run *r = run_new(s, client);
    struct err e;

    if (!r)
        return NULL;
    r->line = strdup(line);
    if (strlen(line) > CMD_LINE_MAX)
        cmd_usage_error(r, "a command has at most %d bytes", CMD_LINE_MAX);
    else if (!r->line || words_split(line, &r->p.words, &e) < 0)
        cmd_usage_error(r, "%s", r->line ? e.msg : "out of memory");
    else
        begin(r);
    return r;
}

struct cmd_run *cmd_start_words(struct session *s, char *const *words, unsigned n,
                                const struct cmd_client *client)
{
    struct cmd_run *r = run_new(s, client);
    struct text line = {0};

    if (!r)
        return NULL;
    for (unsigned i = 0; i < n; i++)
        words_quote(&line, words[i]);
    r->line = text_take(&line);
    for (unsigned i = 0; i < n && i < WORDS_MAX; i++)
        if ((r->p.words.w[i] = strdup(words[i])))
            r->p.words.n++;
    if (n > WORDS_MAX || line.full || !r->line)
        cmd_usage_error(r, "a command has at most %d words", WORDS_MAX);
    else
        begin(r);
    return r;
}
