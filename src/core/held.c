/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * held: see held.h.
 */
#include "core/held.h"

#include "core/sandbox.h"
#include "core/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* O_NONBLOCK: a FIFO must not hold us up before it can be refused. */
enum { MORE = O_CLOEXEC | O_NONBLOCK | O_NOCTTY };

struct entry {
    char *path;
    int fd;
    bool writing;
};

static struct {
    struct entry *entry;
    unsigned n;
} held;

static bool writes(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY;
}

static const struct entry *find(const char *path, bool writing)
{
    for (unsigned i = 0; i < held.n; i++)
        if (strcmp(held.entry[i].path, path) == 0 && held.entry[i].writing >= writing)
            return &held.entry[i];
    return NULL;
}

static void hold(const char *path, int fd, bool writing)
{
    struct entry *more = realloc(held.entry, (held.n + 1) * sizeof *more);
    char *copy = strdup(path);

    if (more)
        held.entry = more;
    if (more && copy) {
        held.entry[held.n++] = (struct entry){copy, fd, writing};
        return;
    }
    free(copy); /* it is refused later, then, as it would be without us */
    close(fd);
}

/* With the privileges in effect. */
static int may(const char *path, int mode)
{
    const int rc = faccessat(AT_FDCWD, path, mode, AT_EACCESS);

    return rc < 0 && errno == EPERM ? access(path, mode) : rc; /* some containers do not let it through */
}

static bool owner_may(int fd, bool writing)
{
    const mode_t want = S_IRUSR | (writing ? S_IWUSR : 0);
    struct stat st;

    return fstat(fd, &st) == 0 && (st.st_mode & want) == want;
}

void held_add(const char *path, int flags)
{
    int fd;

    if (!path || find(path, writes(flags)) || may(path, writes(flags) ? R_OK | W_OK : R_OK) == 0 || errno != EACCES ||
        !sandbox_any_file(true))
        return;
    fd = open(path, flags | MORE);
    sandbox_any_file(false);
    if (fd >= 0 && owner_may(fd, writes(flags)))
        hold(path, fd, writes(flags));
    else if (fd >= 0)
        close(fd);
}

bool held_only_makes(const char *path)
{
    char dir[PATH_MAX];
    struct stat st;

    text_directory(dir, sizeof dir, path);
    return sandbox_any_file_left() && may(dir, W_OK | X_OK) < 0 && errno == EACCES && held_stat(path, &st) < 0 && errno == ENOENT;
}

bool held_for(const char *path, bool writing)
{
    return find(path, writing) && may(path, writing ? R_OK | W_OK : R_OK) < 0 && errno == EACCES;
}

int held_access(const char *path, int mode)
{
    const int rc = may(path, mode);

    return rc < 0 && errno == EACCES && find(path, mode & W_OK) ? 0 : rc;
}

int held_stat(const char *path, struct stat *st)
{
    const int rc = stat(path, st);
    const struct entry *h = rc < 0 && errno == EACCES ? find(path, false) : NULL;
    int again, code;

    if (h)
        return fstat(h->fd, st);
    if (rc == 0 || errno != EACCES || !sandbox_any_file(true))
        return rc;
    again = stat(path, st);
    code = errno;
    sandbox_any_file(false);
    errno = code;
    return again;
}

int held_open(const char *path, int flags)
{
    const int fd = open(path, flags | MORE);
    const struct entry *h = fd < 0 && errno == EACCES ? find(path, writes(flags)) : NULL;
    struct stat st;

    if (!h || fstat(h->fd, &st) < 0)
        return fd;
    if (st.st_nlink > 0)
        return fcntl(h->fd, F_DUPFD_CLOEXEC, 0);
    errno = ENOENT;
    return -1;
}
