/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ctl_server: the instance's end of the control socket. See ctl.h.
 *
 * A client sends a line, gets the lines of its answer, and its next line is looked at: while a
 * command runs nothing is read. A line that is too long is thrown away as it comes and answered
 * with an error. What a client does not read is kept up to CTL_REPLY_MAX; beyond that it is cut off.
 */
#include "core/ctl.h"

#include "core/cmd.h"
#include "core/json_out.h"
#include "core/loop.h"
#include "core/session.h"
#include "core/words.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct conn {
    struct ctl_server *server;
    int fd; /* -1: free */
    struct loop_fd *source;
    struct text in, out;
    struct text said[3]; /* of the running command, not yet sent: by stream */
    struct cmd_run *run;
    bool json;     /* of the running command */
    bool skipping; /* the rest of a line that was too long */
    bool eof;      /* the client will send nothing more */
    bool starting; /* inside cmd_start */
};

struct ctl_server {
    struct session *session;
    int fd;
    struct loop_fd *source;
    char *path;
    dev_t dev; /* of the socket, to remove no other */
    ino_t ino;
    struct conn conn[CTL_CLIENTS_MAX];
};

static void conn_work(struct conn *c);

static void conn_close(struct conn *c)
{
    if (c->fd < 0)
        return;
    if (c->run)
        cmd_abandon(c->run);
    c->run = NULL;
    loop_del_fd(c->source);
    c->source = NULL;
    close(c->fd);
    c->fd = -1;
    text_free(&c->in);
    text_free(&c->out);
    for (int i = 0; i < 3; i++)
        text_free(&c->said[i]);
}

/* Writes what the socket takes; closes on error or when all is said. */
static void conn_flush(struct conn *c)
{
    while (c->fd >= 0 && c->out.len) {
        ssize_t n = send(c->fd, c->out.buf, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n < 0) {
            conn_close(c);
            return;
        }
        text_drop(&c->out, (size_t)n);
    }
    if (c->fd >= 0 && c->out.full) {
        conn_close(c);
        return;
    }
    if (c->fd >= 0)
        loop_mod_fd(c->source, (c->run || c->eof || c->out.len ? 0 : EPOLLIN) | (c->out.len ? EPOLLOUT : 0));
}

/* What a stream has, as a member of the reply. */
static void say_member(struct conn *c, struct json_out *j, enum cmd_stream to, const char *key)
{
    struct text *t = &c->said[to];

    while (t->len && t->buf[t->len - 1] == '\n' && (to != CMD_OUT || c->json))
        t->len--;
    if (t->len && to == CMD_OUT && c->json)
        jout_raw(j, "result", t->buf, t->len);
    else if (t->len)
        jout_strn(j, key, t->buf, t->len);
    text_clear(t);
}

/* One line of an answer; `status` -1: there will be more. */
static void conn_say(struct conn *c, int status)
{
    struct json_out j = {.t = &c->out};

    if (status < 0 && !c->said[0].len && !c->said[1].len && !c->said[2].len)
        return;
    jout_begin(&j, NULL, '{');
    if (status >= 0)
        jout_u64(&j, "status", (uint64_t)status);
    say_member(c, &j, CMD_ERROR, "error");
    say_member(c, &j, CMD_NOTE, "note");
    say_member(c, &j, CMD_OUT, "output");
    jout_end(&j, '}');
    text_putc(&c->out, '\n');
}

static void client_write(void *opaque, enum cmd_stream to, const char *text, size_t len)
{
    struct conn *c = opaque;

    if (c->fd < 0)
        return;
    text_add(&c->said[to], text, len);
    if (c->run && !cmd_is_over(c->run)) { /* a stream, or a remark on the way */
        conn_say(c, -1);
        conn_flush(c);
    }
}

static size_t client_room(void *opaque)
{
    struct conn *c = opaque;

    return c->out.len < CTL_STREAM_ROOM ? CTL_STREAM_ROOM - c->out.len : 0;
}

static void client_done(void *opaque, int status)
{
    struct conn *c = opaque;

    c->run = NULL;
    conn_say(c, status);
    conn_work(c);
}

static void client_gone(void *opaque)
{
    ((struct conn *)opaque)->run = NULL;
}

static void refuse(struct conn *c, const char *why)
{
    text_puts(&c->said[CMD_ERROR], why);
    conn_say(c, CMD_USAGE);
}

/* The words of "args", to `w`; false: they are none. */
static bool request_args(struct json_object *args, struct words *w)
{
    size_t n = json_object_is_type(args, json_type_array) ? json_object_array_length(args) : 0;

    w->n = 0;
    for (size_t i = 0; i < n && i < WORDS_MAX; i++) {
        struct json_object *a = json_object_array_get_idx(args, i);
        const char *s = json_object_is_type(a, json_type_string) ? json_object_get_string(a) : NULL;

        if (!s || strlen(s) != (size_t)json_object_get_string_len(a) || !(w->w[w->n] = strdup(s)))
            return false;
        w->n++;
    }
    return n > 0 && n <= WORDS_MAX;
}

static void request_run(struct conn *c, struct json_object *q)
{
    struct cmd_client client = {.write = client_write, .done = client_done, .gone = client_gone,
                                .room = client_room, .opaque = c};
    struct json_object *line = NULL, *args = NULL, *json = NULL;
    struct session *s = c->server->session;
    struct words w = {0};
    struct cmd_run *run = NULL;

    json_object_object_get_ex(q, "command", &line);
    json_object_object_get_ex(q, "args", &args);
    c->json = client.json = json_object_object_get_ex(q, "json", &json) && json_object_get_boolean(json);
    if (line && json_object_is_type(line, json_type_string) &&
        strlen(json_object_get_string(line)) == (size_t)json_object_get_string_len(line))
        run = cmd_start(s, json_object_get_string(line), &client);
    else if (!line && request_args(args, &w))
        run = cmd_start_words(s, w.w, w.n, &client);
    else
        refuse(c, "a request has `command`, a line, or `args`, a list of words; and `json`, true or false");
    words_free(&w);
    c->run = run;
    if (run && !cmd_is_over(run))
        conn_say(c, -1);
}

/* One line of the client. */
static void conn_request(struct conn *c, const char *line, size_t len)
{
    struct json_tokener *tok = json_tokener_new_ex(8);
    struct json_object *q = tok ? json_tokener_parse_ex(tok, line, (int)len) : NULL;

    if (q && json_object_is_type(q, json_type_object) && json_tokener_get_error(tok) == json_tokener_success)
        request_run(c, q);
    else
        refuse(c, "a request is one JSON object on one line, as {\"command\": \"list\", \"json\": true}");
    json_object_put(q);
    if (tok)
        json_tokener_free(tok);
}

/* Throws away what has come of a line that is too long; true when its end was there. */
static bool skip_line(struct conn *c)
{
    const char *nl = memchr(c->in.buf, '\n', c->in.len);

    text_drop(&c->in, nl ? (size_t)(nl - c->in.buf) + 1 : c->in.len);
    c->skipping = !nl;
    return nl != NULL;
}

/* Handles the lines that are there, one command at a time. */
static void conn_work(struct conn *c)
{
    char why[80];

    while (c->fd >= 0 && !c->run && c->in.len && c->out.len < CTL_STREAM_ROOM) {
        const char *nl = memchr(c->in.buf, '\n', c->in.len);

        if (c->skipping || (nl ? (size_t)(nl - c->in.buf) : c->in.len) > CMD_LINE_MAX) {
            if (!skip_line(c))
                break;
            snprintf(why, sizeof why, "a request has at most %d bytes: send less at once", CMD_LINE_MAX);
            refuse(c, why);
            continue;
        }
        if (!nl)
            break;
        if (nl > c->in.buf)
            conn_request(c, c->in.buf, (size_t)(nl - c->in.buf));
        text_drop(&c->in, (size_t)(nl - c->in.buf) + 1);
    }
    conn_flush(c);
    if (c->fd >= 0 && c->eof && !c->run && !c->out.len)
        conn_close(c);
}

static void conn_read(struct conn *c)
{
    char buf[16384];
    ssize_t n = recv(c->fd, buf, sizeof buf, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        conn_close(c);
        return;
    }
    if (n == 0)
        c->eof = true;
    text_add(&c->in, buf, (size_t)n);
    conn_work(c);
}

static void on_conn(void *arg, uint32_t events)
{
    struct conn *c = arg;

    if ((events & (EPOLLHUP | EPOLLERR)) && !(events & EPOLLIN)) {
        conn_close(c); /* nobody is there to read the answer */
        return;
    }
    if (events & EPOLLOUT)
        conn_work(c);
    if (c->fd >= 0 && (events & EPOLLIN))
        conn_read(c);
}

static bool is_allowed(int fd)
{
    struct ucred who;
    socklen_t len = sizeof who;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && (who.uid == geteuid() || who.uid == 0);
}

static void turn_away(int fd, const char *why)
{
    char line[160];
    int n = snprintf(line, sizeof line, "{\"status\":1,\"error\":\"%s\"}\n", why);

    if (send(fd, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        errno = 0; /* it is going away in any case */
    close(fd);
}

static void on_listen(void *arg, uint32_t events)
{
    struct ctl_server *x = arg;
    int fd = accept4(x->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct conn *c = NULL;

    (void)events;
    if (fd < 0)
        return;
    for (int i = 0; i < CTL_CLIENTS_MAX && !c; i++)
        if (x->conn[i].fd < 0)
            c = &x->conn[i];
    if (!is_allowed(fd)) {
        turn_away(fd, "this instance belongs to another user");
        return;
    }
    if (!c) {
        turn_away(fd, "too many clients at once: try again when one has ended");
        return;
    }
    *c = (struct conn){.server = x, .fd = fd, .in.limit = CMD_LINE_MAX + 16384 + 1, .out.limit = CTL_REPLY_MAX};
    c->source = loop_add_fd(session_loop(x->session), fd, EPOLLIN, on_conn, c, NULL);
    if (!c->source)
        conn_close(c);
}

/* Is somebody listening at `path`? A socket that refuses is left over from a crash. */
static bool answers(const struct sockaddr_un *a)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool yes = fd >= 0 && (connect(fd, (const struct sockaddr *)a, sizeof *a) == 0 || errno == EAGAIN);

    if (fd >= 0)
        close(fd);
    return yes;
}

static int make_room(const struct sockaddr_un *a, struct err *e)
{
    struct stat st;

    if (lstat(a->sun_path, &st) < 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, EEXIST, "%s is there already and is no socket: choose another with --socket", a->sun_path);
    if (answers(a))
        return err_set(e, EADDRINUSE, "another instance of ruche uses the socket %s: choose another with --socket, "
                       "or end that one with `ruche ctl --socket %s quit`", a->sun_path, a->sun_path);
    return unlink(a->sun_path) < 0 ? err_set(e, errno, "%s cannot be replaced: %s", a->sun_path, strerror(errno)) : 0;
}

static int server_listen(struct ctl_server *x, struct err *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct stat st;
    mode_t mask;
    int rc;

    if (strlen(x->path) >= sizeof a.sun_path)
        return err_set(e, ENAMETOOLONG, "the path of the socket has more than %zu bytes: choose a shorter one with "
                       "--socket; it is %s", sizeof a.sun_path - 1, x->path);
    strcpy(a.sun_path, x->path);
    rc = make_room(&a, e);
    if (rc < 0)
        return rc;
    x->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mask = umask(0177);
    rc = x->fd < 0 ? -1 : bind(x->fd, (struct sockaddr *)&a, sizeof a);
    umask(mask);
    if (rc < 0 || listen(x->fd, 64) < 0 || lstat(x->path, &st) < 0)
        return err_set(e, errno, "the control socket %s cannot be made (%s): choose another place with --socket", x->path,
                       strerror(errno));
    x->dev = st.st_dev;
    x->ino = st.st_ino;
    x->source = loop_add_fd(session_loop(x->session), x->fd, EPOLLIN, on_listen, x, e);
    return x->source ? 0 : -1;
}

static struct ctl_server *server_at(struct session *s, char *path, struct err *e)
{
    struct ctl_server *x = path ? calloc(1, sizeof *x) : NULL;

    if (!x) {
        if (path)
            err_set(e, ENOMEM, "out of memory");
        free(path);
        return NULL;
    }
    x->session = s;
    x->path = path;
    x->fd = -1;
    for (int i = 0; i < CTL_CLIENTS_MAX; i++)
        x->conn[i].fd = -1;
    if (server_listen(x, e) == 0) {
        session_set_socket(s, path);
        return x;
    }
    ctl_server_free(x);
    return NULL;
}

struct ctl_server *ctl_server_new(struct session *s, const char *path, struct err *e)
{
    struct ctl_server *x = server_at(s, ctl_path(path ? path : session_name(s), true, e), e);
    char name[VM_NAME_MAX + 20];

    if (x || path || !e || e->code != EADDRINUSE)
        return x;
    snprintf(name, sizeof name, "%s-%d", session_name(s), (int)getpid());
    return server_at(s, ctl_path(name, true, e), e);
}

void ctl_server_free(struct ctl_server *x)
{
    struct stat st;

    if (!x)
        return;
    for (int i = 0; i < CTL_CLIENTS_MAX; i++)
        conn_close(&x->conn[i]);
    loop_del_fd(x->source);
    if (x->fd >= 0)
        close(x->fd);
    if (x->ino && lstat(x->path, &st) == 0 && st.st_dev == x->dev && st.st_ino == x->ino)
        unlink(x->path);
    free(x->path);
    free(x);
}
