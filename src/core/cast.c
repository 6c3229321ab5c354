/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cast: see cast.h. Writing; cast_reader.c reads.
 */
#include "core/cast.h"

#include "core/clock.h"
#include "core/fence.h"
#include "core/json_out.h"
#include "core/session.h"
#include "core/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 2048 };

struct cast {
    struct session *session;
    struct guest *g;
    enum board_console console;
    struct watcher *watcher;
    char *path;
    int fd; /* -1: ended */
    uint64_t begin_ns, pos, size, limit;
    char held[4]; /* the beginning of a character */
    size_t nheld;
};

static void end(struct cast *c, const char *why)
{
    session_event(c->session, EV_FAILED, c->g, "its recording %s ends here: %s", c->path, why);
    close(c->fd);
    c->fd = -1;
}

static void put_line(struct cast *c, struct text *t)
{
    text_putc(t, '\n');
    if (c->size + t->len > c->limit)
        end(c, "it has reached its size");
    else if (t->full || write(c->fd, t->buf, t->len) != (ssize_t)t->len)
        end(c, errno ? strerror(errno) : "the disk is full");
    c->size += t->len;
    text_free(t);
}

static void put_header(struct cast *c)
{
    struct text t = {0};
    struct json_out j = {.t = &t};

    jout_begin(&j, NULL, '{');
    jout_u64(&j, "version", 2);
    jout_u64(&j, "width", CAST_COLS);
    jout_u64(&j, "height", CAST_ROWS);
    jout_u64(&j, "timestamp", (uint64_t)time(NULL));
    jout_str(&j, "title", c->g->c->name);
    jout_end(&j, '}');
    put_line(c, &t);
}

static void put_output(struct cast *c, const char *bytes, size_t len)
{
    struct text t = {0};
    struct json_out j = {.t = &t};

    jout_begin(&j, NULL, '[');
    jout_num(&j, NULL, (double)(clock_mono_ns() - c->begin_ns) / 1e9, 6);
    jout_str(&j, NULL, "o");
    jout_strn(&j, NULL, bytes, len);
    jout_end(&j, ']');
    put_line(c, &t);
}

/* Bytes at the end of `s` that begin a character which is not complete, at most 3. */
static size_t incomplete(const char *s, size_t len)
{
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        unsigned char b = (unsigned char)s[len - back];
        size_t need = b >= 0xf0 ? 4 : b >= 0xe0 ? 3 : b >= 0xc0 ? 2 : 1;

        if ((b & 0xc0) != 0x80)
            return need > back ? back : 0;
    }
    return 0;
}

static void drain(void *arg)
{
    struct cast *c = arg;
    char buf[CHUNK + sizeof c->held];
    size_t n;

    while (c->fd >= 0) {
        memcpy(buf, c->held, c->nheld);
        n = console_read(vm_console(c->g->vm, c->console), &c->pos, buf + c->nheld, CHUNK, NULL);
        if (n == 0)
            return;
        n += c->nheld;
        c->nheld = incomplete(buf, n);
        memcpy(c->held, buf + n - c->nheld, c->nheld);
        if (n > c->nheld)
            put_output(c, buf, n - c->nheld);
    }
}

struct cast *cast_new(struct session *s, struct guest *g, enum board_console console, const char *path,
                      uint64_t size_bytes, struct err *e)
{
    struct cast *c = calloc(1, sizeof *c);
    char show[160];

    if (!c || !(c->path = strdup(path))) {
        err_set(e, ENOMEM, "out of memory");
        free(c);
        return NULL;
    }
    c->session = s;
    c->g = g;
    c->console = console;
    c->limit = size_bytes;
    c->begin_ns = clock_mono_ns();
    c->pos = console_end(vm_console(g->vm, console));
    c->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0600);
    if (c->fd < 0) {
        err_set(e, errno, "`%s` cannot be written: %s%s", text_show(show, sizeof show, path), strerror(errno),
                fence_hint(path, FENCE_WRITE));
        goto fail;
    }
    put_header(c);
    c->watcher = session_watch(s, g, console, drain, c);
    if (c->watcher)
        return c;
    err_set(e, ENOMEM, "out of memory");
fail:
    cast_free(c);
    return NULL;
}

void cast_free(struct cast *c)
{
    if (!c)
        return;
    if (c->fd >= 0)
        drain(c);
    session_unwatch(c->session, c->watcher);
    if (c->fd >= 0 && c->nheld)
        put_output(c, c->held, c->nheld);
    if (c->fd >= 0)
        close(c->fd);
    free(c->path);
    free(c);
}

const char *cast_path(const struct cast *c)
{
    return c->path;
}
