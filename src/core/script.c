/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * script: see script.h.
 */
#include "core/script.h"

#include "core/loop.h"
#include "core/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One --exec (fd -1, the line is in `in`) or one file. */
struct source {
    struct source *next;
    int fd;
    char *name;      /* of the file, for errors; NULL: --exec */
    unsigned line;
    bool eof, watched;
    struct text in; /* read, not yet run */
};

struct script {
    struct session *session;
    struct cmd_client out;
    void (*end)(void *arg, int status);
    void *arg;
    struct source *first;
    struct loop_fd *watch;
    struct cmd_run *run;
    bool going, ended;
};

static void step(struct script *x);

static void source_free(struct source *s)
{
    if (s->fd > 0)
        close(s->fd);
    free(s->name);
    text_free(&s->in);
    free(s);
}

struct script *script_new(struct session *s, const struct cmd_client *out,
                          void (*end)(void *arg, int status), void *arg, struct err *e)
{
    struct script *x = calloc(1, sizeof *x);

    if (!x) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    *x = (struct script){.session = s, .out = *out, .end = end, .arg = arg};
    return x;
}

void script_free(struct script *x)
{
    if (!x)
        return;
    loop_del_fd(x->watch);
    if (x->run)
        cmd_abandon(x->run);
    while (x->first) {
        struct source *s = x->first;

        x->first = s->next;
        source_free(s);
    }
    free(x);
}

static struct source *add(struct script *x, const char *name, int fd, struct err *e)
{
    struct source *s = calloc(1, sizeof *s), **p = &x->first;

    if (!s || (name && !(s->name = strdup(name)))) {
        err_set(e, ENOMEM, "out of memory");
        free(s);
        return NULL;
    }
    s->fd = fd;
    s->eof = fd < 0;
    while (*p)
        p = &(*p)->next;
    *p = s;
    return s;
}

int script_add_line(struct script *x, const char *line, struct err *e)
{
    struct source *s = add(x, NULL, -1, e);

    if (!s)
        return -ENOMEM;
    text_puts(&s->in, line);
    return 0;
}

int script_add_file(struct script *x, const char *path, struct err *e)
{
    bool in = strcmp(path, "-") == 0;
    int fd = in ? 0 : open(path, O_RDONLY | O_CLOEXEC);
    char show[200];

    if (fd < 0)
        return err_set(e, errno, "script `%s` cannot be opened: %s", text_show(show, sizeof show, path),
                       strerror(errno));
    if (add(x, in ? "stdin" : path, fd, e))
        return 0;
    if (!in)
        close(fd);
    return -ENOMEM;
}

static void finish(struct script *x, int status)
{
    if (x->ended)
        return;
    x->ended = true;
    x->end(x->arg, status);
}

static void say(struct script *x, enum cmd_stream to, const char *text, size_t len)
{
    x->out.write(x->out.opaque, to, text, len);
}

/* An error of a file begins with its place. */
static void script_write(void *opaque, enum cmd_stream to, const char *text, size_t len)
{
    struct script *x = opaque;
    struct text t = {0};
    char show[200];

    if (to == CMD_ERROR && x->first && x->first->name) {
        text_printf(&t, "%s:%u: ", text_show(show, sizeof show, x->first->name), x->first->line);
        text_add(&t, text, len);
        say(x, to, text_str(&t), t.len);
        text_free(&t);
    } else {
        say(x, to, text, len);
    }
}

static void script_done(void *opaque, int status)
{
    struct script *x = opaque;

    x->run = NULL;
    if (session_quitting(x->session))
        return;
    if (status == CMD_DONE)
        step(x);
    else
        finish(x, status);
}

static void script_gone(void *opaque)
{
    ((struct script *)opaque)->run = NULL;
}

static void run_line(struct script *x, const char *line)
{
    struct cmd_client c = {.write = script_write, .done = script_done, .gone = script_gone, .room = x->out.room,
                           .opaque = x};

    x->run = cmd_start(x->session, line, &c);
    if (!x->run)
        finish(x, CMD_FAILED);
}

/* Takes a whole line off the source; false if there is none yet. A source at its end gives
 * what is left. */
static bool take_line(struct source *s, struct text *line)
{
    const char *nl = s->in.len ? memchr(s->in.buf, '\n', s->in.len) : NULL;
    size_t n = nl ? (size_t)(nl - s->in.buf) : s->in.len;

    if (!nl && (!s->eof || !s->in.len))
        return false;
    text_clear(line);
    text_add(line, s->in.buf ? s->in.buf : "", n);
    text_drop(&s->in, n + (nl != NULL));
    s->line++;
    return true;
}

static void refuse(struct script *x, const char *why, int status)
{
    script_write(x, CMD_ERROR, why, strlen(why));
    finish(x, status);
}

static void on_input(void *arg, uint32_t events)
{
    struct script *x = arg;

    (void)events;
    loop_del_fd(x->watch);
    x->watch = NULL;
    x->first->watched = true;
    step(x);
}

/* Reads some more of the file. False: it has to be waited for. */
static bool fill(struct script *x, struct source *s)
{
    char buf[4096], why[120];
    ssize_t n;

    if (!s->watched) { /* a regular file cannot be watched and never waits */
        x->watch = loop_add_fd(session_loop(x->session), s->fd, EPOLLIN, on_input, x, NULL);
        if (x->watch)
            return false;
    }
    s->watched = false;
    n = read(s->fd, buf, sizeof buf);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (n < 0) {
        snprintf(why, sizeof why, "the script cannot be read%s: %s\n", s->line ? " any further" : "", strerror(errno));
        refuse(x, why, CMD_FAILED);
        return false;
    }
    if (n == 0)
        s->eof = true;
    else
        text_add(&s->in, buf, (size_t)n);
    return true;
}

/* The next command, from the first source that has one. */
static void step(struct script *x)
{
    struct text line = {0};

    while (x->first) {
        struct source *s = x->first;

        if (take_line(s, &line)) {
            if (line.len == strlen(text_str(&line)))
                run_line(x, text_str(&line));
            else
                refuse(x, "a command contains a zero byte: this is no script\n", CMD_USAGE);
            text_free(&line);
            return;
        }
        if (!s->eof && s->in.len > CMD_LINE_MAX) {
            s->line++;
            run_line(x, text_str(&s->in)); /* refused, with the sentence about its length */
            text_clear(&s->in);
            return;
        }
        if (!s->eof && !fill(x, s))
            return;
        if (s->eof && !s->in.len) {
            x->first = s->next;
            source_free(s);
        }
    }
    finish(x, CMD_DONE);
}

void script_go(struct script *x)
{
    if (x->going)
        return;
    x->going = true;
    step(x);
}

void script_cancel(struct script *x)
{
    if (x->run)
        cmd_cancel(x->run);
}
