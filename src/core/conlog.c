/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * conlog: see conlog.h.
 */
#include "core/conlog.h"

#include "core/fence.h"
#include "core/session.h"
#include "core/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct conlog {
    struct session *session;
    struct guest *g;
    enum board_console console;
    struct watcher *watcher;
    char *path;
    int fd; /* -1: given up */
    uint64_t pos, size, limit;
    unsigned keep;
};

static const char *older(const struct conlog *l, unsigned i, char out[PATH_MAX])
{
    if (i == 0)
        snprintf(out, PATH_MAX, "%s", l->path);
    else
        snprintf(out, PATH_MAX, "%s.%u", l->path, i);
    return out;
}

static int open_file(const struct conlog *l, int flags)
{
    return open(l->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | flags, 0600);
}

static void rotate(struct conlog *l)
{
    char from[PATH_MAX], to[PATH_MAX];

    close(l->fd);
    for (unsigned i = l->keep; i > 0; i--)
        if (rename(older(l, i - 1, from), older(l, i, to)) < 0 && errno != ENOENT)
            break;
    l->fd = open_file(l, O_TRUNC);
    l->size = 0;
}

static void give_up(struct conlog *l)
{
    session_event(l->session, EV_FAILED, l->g, "its log %s ends here: %s", l->path, strerror(errno));
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}

static void put(struct conlog *l, const char *buf, size_t len)
{
    while (len && l->fd >= 0) {
        size_t n = l->limit - l->size < len ? (size_t)(l->limit - l->size) : len;
        ssize_t w = n ? write(l->fd, buf, n) : 0;

        if (w < 0) {
            give_up(l);
            return;
        }
        buf += w;
        len -= (size_t)w;
        l->size += (uint64_t)w;
        if (l->size < l->limit)
            continue;
        rotate(l);
        if (l->fd < 0)
            give_up(l);
    }
}

static void drain(void *arg)
{
    struct conlog *l = arg;
    struct console *con = vm_console(l->g->vm, l->console);
    uint64_t lost = 0;
    char buf[16384], note[80];
    size_t n;

    while (l->fd >= 0 && (n = console_read(con, &l->pos, buf, sizeof buf, &lost)) > 0) {
        if (lost) {
            snprintf(note, sizeof note, "\n[ruche: %llu bytes were lost here]\n", (unsigned long long)lost);
            put(l, note, strlen(note));
            lost = 0;
        }
        put(l, buf, n);
    }
}

/* No file that is there already may be overwritten, an older one of the rotation neither. */
static int check_absent(const struct conlog *l, struct err *e)
{
    char path[PATH_MAX], show[160];
    struct stat st;

    for (unsigned i = 0; i <= l->keep; i++)
        if (lstat(older(l, i, path), &st) == 0)
            return err_set(e, EEXIST, "`%s` is there already: choose another name, or `--append`",
                           text_show(show, sizeof show, path));
    return 0;
}

static int begin(struct conlog *l, const struct conlog_params *p, struct err *e)
{
    char show[160];
    struct stat st;

    if (strlen(p->path) > PATH_MAX - 8)
        return err_set(e, ENAMETOOLONG, "the name of the file is too long");
    if (!p->append && check_absent(l, e) < 0)
        return -EEXIST;
    l->fd = open_file(l, O_NONBLOCK | (p->append ? O_APPEND : O_EXCL));
    if (l->fd < 0 || fstat(l->fd, &st) < 0)
        return err_set(e, errno, "`%s` cannot be written: %s%s", text_show(show, sizeof show, p->path),
                       strerror(errno), fence_hint(p->path, FENCE_WRITE));
    if (!S_ISREG(st.st_mode))
        return err_set(e, EINVAL, "`%s` is not a file", text_show(show, sizeof show, p->path));
    l->size = (uint64_t)st.st_size;
    if (l->size >= l->limit)
        rotate(l);
    return 0;
}

struct conlog *conlog_new(struct session *s, struct guest *g, enum board_console c,
                          const struct conlog_params *p, struct err *e)
{
    struct conlog *l = calloc(1, sizeof *l);

    if (!l || !(l->path = strdup(p->path))) {
        err_set(e, ENOMEM, "out of memory");
        free(l);
        return NULL;
    }
    l->session = s;
    l->g = g;
    l->console = c;
    l->fd = -1;
    l->limit = p->size_bytes;
    l->keep = p->keep;
    l->pos = console_end(vm_console(g->vm, c));
    if (begin(l, p, e) < 0)
        goto fail;
    l->watcher = session_watch(s, g, c, drain, l);
    if (l->watcher)
        return l;
    err_set(e, ENOMEM, "out of memory");
fail:
    conlog_free(l);
    return NULL;
}

void conlog_free(struct conlog *l)
{
    if (!l)
        return;
    drain(l);
    session_unwatch(l->session, l->watcher);
    if (l->fd >= 0)
        close(l->fd);
    free(l->path);
    free(l);
}

const char *conlog_path(const struct conlog *l)
{
    return l->path;
}
