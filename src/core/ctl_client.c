/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ctl_client: `ruche ctl`, the person's end of the control socket. See ctl.h. A process of its
 * own that may block.
 */
#include "core/ctl.h"

#include "core/cmd.h"
#include "core/json_out.h"

#include <dirent.h>
#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { INSTANCES_MAX = 64, SILENCE_MS = 2000 };

/* -1: nobody answers, errno says why. */
static int dial(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof a.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(a.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) < 0) {
        int saved = errno;

        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sockets in `dir` that answer; their paths in `found`, the descriptor of the first in *fd. */
static unsigned find_instances(const char *dir, char *found[INSTANCES_MAX], int *fd)
{
    DIR *d = opendir(dir);
    struct dirent *ent;
    unsigned n = 0;

    *fd = -1;
    while (d && n < INSTANCES_MAX && (ent = readdir(d))) {
        const char *dot = strrchr(ent->d_name, '.');
        char *path;
        int one;

        if (!dot || strcmp(dot, ".sock") != 0 || asprintf(&path, "%s/%s", dir, ent->d_name) < 0)
            continue;
        one = dial(path);
        if (one < 0) {
            free(path);
            continue;
        }
        found[n++] = path;
        if (*fd < 0)
            *fd = one;
        else
            close(one);
    }
    if (d)
        closedir(d);
    if (n > 1)
        qsort(found, n, sizeof *found, by_name);
    return n;
}

static int dial_only(struct err *e)
{
    static const char nobody[] = "no ruche is running that you may control: start one with `ruche LAB`, or name "
                                 "its socket with --socket";
    char *dir = ctl_dir(false, NULL), *found[INSTANCES_MAX];
    struct text names = {.limit = 300};
    unsigned n;
    int fd = -1;

    if (!dir)
        return err_set(e, ENOENT, "%s", nobody);
    n = find_instances(dir, found, &fd);
    for (unsigned i = 0; i < n; i++) {
        text_printf(&names, "%s%s", i ? ", " : "", strrchr(found[i], '/') + 1);
        free(found[i]);
    }
    if (n != 1) {
        if (fd >= 0)
            close(fd);
        fd = n ? err_set(e, EINVAL, "%u instances of ruche are running, choose one with --socket: %s", n,
                         text_str(&names))
               : err_set(e, ENOENT, "%s", nobody);
    }
    text_free(&names);
    free(dir);
    return fd;
}

static int dial_named(const char *name, struct err *e)
{
    char *path = ctl_path(name, false, e);
    int fd = path ? dial(path) : -1;

    if (path && fd < 0)
        err_set(e, errno, "no ruche answers at %s (%s): start one with `ruche --socket %s LAB`", path,
                strerror(errno), path);
    free(path);
    return fd;
}

/* The request may be longer than the server likes: it answers while we are still writing. */
static void send_request(int fd, const struct text *t)
{
    for (size_t at = 0; at < t->len;) {
        ssize_t n = send(fd, t->buf + at, t->len - at, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR)
            return;
        at += n > 0 ? (size_t)n : 0;
    }
}

static void print_member(struct json_object *o, const char *key, FILE *to)
{
    struct json_object *v;
    const char *s;

    if (!json_object_object_get_ex(o, key, &v))
        return;
    s = json_object_get_string(v);
    fwrite(s, 1, (size_t)json_object_get_string_len(v), to);
    if (to == stderr)
        fputc('\n', to);
    fflush(to);
}

/* One line of the answer; its status, -1: there is more to come, -2: this is no answer. */
static int print_reply(const char *line)
{
    struct json_object *o = json_tokener_parse(line), *v;
    int status = -1;

    if (!o || !json_object_is_type(o, json_type_object)) {
        json_object_put(o);
        return -2;
    }
    print_member(o, "output", stdout);
    if (json_object_object_get_ex(o, "result", &v)) {
        puts(json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
        fflush(stdout);
    }
    print_member(o, "note", stderr);
    print_member(o, "error", stderr);
    if (json_object_object_get_ex(o, "status", &v))
        status = json_object_get_int(v);
    json_object_put(o);
    return status;
}

/* Commands may take long, but one that was sent to a stopped process would for ever, without a word. */
static void tell_if_stopped(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct ucred who;
    socklen_t len = sizeof who;
    char name[32], state = 0;
    FILE *f;

    if (poll(&p, 1, SILENCE_MS) != 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
        return;
    snprintf(name, sizeof name, "/proc/%d/stat", (int)who.pid);
    f = fopen(name, "r");
    if (f && fscanf(f, "%*d (%*[^)]) %c", &state) == 1 && (state == 'T' || state == 't'))
        fprintf(stderr, "ruche: the instance is stopped, and answers when it goes on: `kill -CONT %d`\n", (int)who.pid);
    if (f)
        fclose(f);
}

static int read_replies(int fd)
{
    FILE *f = fdopen(fd, "r");
    char *line = NULL;
    size_t room = 0;
    int status = -1;

    while (f && status == -1 && getline(&line, &room, f) > 0)
        status = print_reply(line);
    free(line);
    if (f)
        fclose(f);
    else
        close(fd);
    if (status >= 0)
        return status;
    fputs(status == -1 ? "ruche: the instance ended before it answered\n"
                       : "ruche: what answers there is no ruche\n", stderr);
    return CMD_FAILED;
}

int ctl_client(const char *path, bool json, char *const *words, unsigned n)
{
    struct text t = {0};
    struct json_out j = {.t = &t};
    struct err e;
    int fd = path ? dial_named(path, &e) : dial_only(&e);

    if (fd < 0) {
        fprintf(stderr, "ruche: %s\n", e.msg);
        return CMD_FAILED;
    }
    jout_begin(&j, NULL, '{');
    if (n == 1)
        jout_str(&j, "command", words[0]);
    else
        jout_begin(&j, "args", '[');
    for (unsigned i = 0; n != 1 && i < n; i++)
        jout_str(&j, NULL, words[i]);
    if (n != 1)
        jout_end(&j, ']');
    jout_bool(&j, "json", json);
    jout_end(&j, '}');
    text_putc(&t, '\n');
    send_request(fd, &t);
    text_free(&t);
    tell_if_stopped(fd);
    return read_replies(fd);
}
