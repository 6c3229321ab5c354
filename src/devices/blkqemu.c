/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * blkqemu: see blkqemu.h. The helper gets a listening socket as systemd's socket activation passes
 * it (sd_listen_fds(3)), in whose queue our connection already waits: it serves one client, and
 * that is us. The socket's name lies in a directory of our own, and only until we are connected.
 */
#include "devices/blkqemu.h"

#include "core/log.h"
#include "devices/blknbd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ANSWER_MS = 60 * 1000, /* a request that takes the helper longer never ends */
    END_MS = 20 * 1000,    /* for what it still has to write */
    NOT_FOUND = 127,       /* the shell's status */
};

struct blkqemu {
    pid_t pid;
    int said; /* the helper's error output, does not block it when full; ends with it */
    struct blknbd *nbd;
};

/* ---- a connection that waits in a listener's queue ---- */

/* Binds `listener` in the directory `dir` and connects `client`. */
static int meet(int listener, int client, const char *dir)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), r = 0;

    if (fd < 0)
        return -errno;
    snprintf(name.sun_path, sizeof name.sun_path, "/proc/self/fd/%d/nbd", fd); /* any TMPDIR fits */
    if (bind(listener, (struct sockaddr *)&name, sizeof name) < 0)
        r = -errno;
    if (r == 0 && (listen(listener, 1) < 0 || connect(client, (struct sockaddr *)&name, sizeof name) < 0))
        r = -errno;
    unlinkat(fd, "nbd", 0);
    close(fd);
    return r;
}

static int connected_pair(int *listener, int *client)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = NULL;
    int r;

    *listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*listener < 0 || *client < 0)
        return -errno;
    if (asprintf(&dir, "%s/ruche-nbd-XXXXXX", tmp && tmp[0] == '/' ? tmp : "/tmp") < 0)
        return -ENOMEM;
    r = mkdtemp(dir) ? meet(*listener, *client, dir) : -errno;
    rmdir(dir);
    free(dir);
    return r;
}

/* ---- the process ---- */

/* `path` as a value of QEMU's options: a comma is doubled. To be freed. */
static char *option_path(const char *path)
{
    char *out = malloc(2 * strlen(path) + 1), *o = out;

    for (; out && *path; *o++ = *path++)
        if (*path == ',')
            *o++ = ',';
    if (out)
        *o = '\0';
    return out;
}

static int spawn_as(pid_t *pid, int listener, int errors, char *const *argv)
{
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    sigset_t none, pipe;
    int r;

    sigemptyset(&none);
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE); /* which we ignore */
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_adddup2(&fa, 0, 1);
    posix_spawn_file_actions_adddup2(&fa, errors, 2);
    posix_spawn_file_actions_adddup2(&fa, listener, 3);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &pipe);
    posix_spawnattr_setpgroup(&attr, 0); /* Ctrl-C at the terminal is for us */
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    r = posix_spawn(pid, "/bin/sh", &fa, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&fa);
    return -r;
}

/* Only a shell can name its own process in the environment of what it becomes. */
static int spawn(pid_t *pid, int listener, int errors, const char *path, bool readonly)
{
    char *escaped = option_path(path), *image = NULL;
    int r = -ENOMEM;

    if (escaped && asprintf(&image, "driver=qcow2,file.driver=file,file.filename=%s", escaped) >= 0) {
        char *argv[] = {"sh", "-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec qemu-nbd \"$@\"", "sh",
                        "--discard=unmap", "--image-opts", image, readonly ? "--read-only" : NULL, NULL};

        r = spawn_as(pid, listener, errors, argv);
        free(image);
    }
    free(escaped);
    return r;
}

/* Waits for the helper's end, which closes its error output; kills it if that does not come.
 * Its status. */
static int reap(struct blkqemu *q)
{
    struct pollfd end = {.fd = q->said}; /* POLLHUP alone */
    int status = 0;

    if (poll(&end, 1, END_MS) == 0) {
        log_msg(LOG_ERROR, "qemu-nbd (process %d) does not end: it is killed", (int)q->pid);
        kill(q->pid, SIGKILL);
    }
    while (waitpid(q->pid, &status, 0) < 0 && errno == EINTR)
        ;
    q->pid = 0;
    return status;
}

/* ---- what went wrong ---- */

/* The last line that the helper said and we have not read, without its name; "" if none. */
static void last_words(struct blkqemu *q, char *buf, size_t len)
{
    char text[4096];
    ssize_t n = read(q->said, text, sizeof text - 1);
    char *line;

    if (n < 0)
        n = 0;
    while (n && text[n - 1] == '\n')
        n--;
    text[n] = '\0';
    line = strrchr(text, '\n');
    line = line ? line + 1 : text;
    if (strncmp(line, "qemu-nbd: ", 10) == 0)
        line += 10;
    snprintf(buf, len, "%.*s", (int)len - 1, line);
}

const char *blkqemu_why(struct blkqemu *q, char *buf, size_t len)
{
    char words[200];

    last_words(q, words, sizeof words);
    snprintf(buf, len, "qemu-nbd is lost: %s%s%s", blknbd_lost(q->nbd), *words ? ": " : "", words);
    return buf;
}

/* After a failed start; the connection is closed. `why`: what our side saw. */
static void explain(struct blkqemu *q, const char *path, const char *why, struct err *e)
{
    char words[300];
    int status;

    kill(q->pid, SIGTERM);
    status = reap(q);
    last_words(q, words, sizeof words);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_FOUND)
        err_set(e, ENOENT, "%s is a qcow2 image, which needs the program qemu-nbd: install the package "
                "qemu-utils", path);
    else if (strstr(words, "another process using")) /* the image? */
        err_set(e, EBUSY, "%s, or an image that it is based on, is in use by another guest or program; stop that one "
                "first, or use a copy", path);
    else
        err_set(e, EINVAL, "%s cannot be opened by qemu-nbd: %s", path, *words ? words : why);
}

/* ---- life ---- */

static int start(struct blkqemu *q, const char *path, bool readonly, int *client, struct err *e)
{
    int errors[2] = {-1, -1}, listener = -1, r;

    r = pipe2(errors, O_CLOEXEC) < 0 ? -errno : connected_pair(&listener, client);
    q->said = errors[0];
    if (r == 0) {
        fcntl(errors[0], F_SETFL, O_NONBLOCK);
        fcntl(errors[1], F_SETFL, O_NONBLOCK);
        r = spawn(&q->pid, listener, errors[1], path, readonly);
    }
    if (listener >= 0)
        close(listener); /* else its end would not end our connection */
    if (errors[1] >= 0)
        close(errors[1]);
    return r < 0 ? err_set(e, -r, "qemu-nbd cannot be started for %s: %s", path, strerror(-r)) : 0;
}

struct blkqemu *blkqemu_open(const char *path, bool readonly, struct err *e)
{
    struct blkqemu *q = calloc(1, sizeof *q);
    int client = -1;
    struct err why;

    if (!q) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    if (start(q, path, readonly, &client, e) < 0) {
        if (client >= 0)
            close(client);
        blkqemu_free(q);
        return NULL;
    }
    q->nbd = blknbd_new(client, ANSWER_MS, &why);
    if (!q->nbd) {
        explain(q, path, why.msg, e);
        blkqemu_free(q);
        return NULL;
    }
    return q;
}

void blkqemu_free(struct blkqemu *q)
{
    if (!q)
        return;
    blknbd_free(q->nbd);
    if (q->pid > 0)
        reap(q);
    if (q->said >= 0)
        close(q->said);
    free(q);
}

struct blknbd *blkqemu_nbd(struct blkqemu *q)
{
    return q->nbd;
}

int blkqemu_pid(const struct blkqemu *q)
{
    return (int)q->pid;
}
