/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The control socket: the server's end in a session with fake guests, the client's end as a
 * child process.
 */
#include "session_rig.h"

#include "core/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "fake_vm.c"

struct ctl_rig {
    struct rig *r;
    struct ctl_server *x;
    char dir[64]; /* XDG_RUNTIME_DIR */
};

static int setup(void **state)
{
    struct ctl_rig *c = calloc(1, sizeof *c);
    struct err e;

    c->r = rig_new("guests: {web: {image: hello, memory: 1M}, db: {image: spin, memory: 1M}}\n");
    strcpy(c->dir, "/tmp/ruche-ctl-XXXXXX");
    assert_non_null(mkdtemp(c->dir));
    setenv("XDG_RUNTIME_DIR", c->dir, 1);
    session_start_lab(c->r->s);
    rig_idle(c->r);
    c->x = ctl_server_new(c->r->s, NULL, &e);
    if (!c->x)
        fail_msg("%s", e.msg);
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    struct ctl_rig *c = *state;
    char cmd[100];

    ctl_server_free(c->x);
    rig_free(c->r);
    snprintf(cmd, sizeof cmd, "rm -r %s", c->dir);
    if (system(cmd) != 0)
        return -1;
    free(c);
    return 0;
}

static int dial(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* Turns the server's loop until `fd` has a line (2 s at most), which it returns. */
static const char *hear(struct ctl_rig *c, int fd)
{
    static char line[1 << 20];
    size_t n = 0;

    for (int i = 0; i < 400; i++) {
        loop_step(session_loop(c->r->s), 5);
        while (n < sizeof line - 1 && read(fd, line + n, 1) == 1)
            if (line[n++] == '\n') {
                line[n] = '\0';
                return line;
            }
    }
    return "(nothing)";
}

static const char *request(struct ctl_rig *c, int fd, const char *line)
{
    say(fd, line);
    return hear(c, fd);
}

static void one_object_a_line_in_both_directions(void **state)
{
    struct ctl_rig *c = *state;
    int fd = dial(session_socket(c->r->s));

    assert_string_equal(request(c, fd, "{\"command\":\"share web 5\"}\n"),
                        "{\"status\":0,\"note\":\"share of web is 5\"}\n");
    assert_string_equal(request(c, fd, "{\"command\":\"pause nobody\"}\n"),
                        "{\"status\":1,\"error\":\"there is no guest `nobody`: `list` shows who is there\"}\n");
    assert_string_equal(request(c, fd, "{\"command\":\"at cancel now\"}\n"),
                        "{\"status\":1,\"error\":\"`cancel` is no time: write `+5s`, `+2m` or `14:30:05`\"}\n");
    assert_string_equal(request(c, fd, "{\"args\":[\"set\",\"interval\"]}\n"),
                        "{\"status\":0,\"output\":\"interval     1\\n\"}\n");
    assert_string_equal(request(c, fd, "{\"args\":[\"send\",\"web\",\"a  'b\\\"\"]}\n"), "{\"status\":0}\n");
    assert_string_equal(text_str(&fake_vm(rig_vm(c->r, "web"))->typed), "a  'b\"\r");
    assert_string_equal(request(c, fd, "{\"command\":\"set interval\",\"json\":true}\n"),
                        "{\"status\":0,\"result\":{\"interval\":\"1\"}}\n");
    close(fd);
}

static void stats_are_one_object(void **state)
{
    struct ctl_rig *c = *state;
    int fd = dial(session_socket(c->r->s));
    struct json_object *o = json_tokener_parse(request(c, fd, "{\"command\":\"stats\",\"json\":true}\n")), *v, *vms;

    assert_true(json_object_object_get_ex(o, "result", &v));
    assert_true(json_object_object_get_ex(v, "vms", &vms));
    assert_int_equal(json_object_array_length(vms), 2);
    json_object_put(o);
    close(fd);
}

static void requests_in_a_row_are_answered_in_order(void **state)
{
    struct ctl_rig *c = *state;
    int fd = dial(session_socket(c->r->s));

    say(fd, "{\"command\":\"wait 50ms\"}\n{\"command\":\"set interval\"}\n\n{\"command\":\"pause web\"}\n");
    assert_string_equal(hear(c, fd), "{\"status\":0}\n");
    assert_string_equal(hear(c, fd), "{\"status\":0,\"output\":\"interval     1\\n\"}\n");
    assert_string_equal(hear(c, fd), "{\"status\":0}\n");
    close(fd);
}

static void streams_come_as_they_go(void **state)
{
    struct ctl_rig *c = *state;
    int fd = dial(session_socket(c->r->s));

    fake_vm_say(rig_vm(c->r, "web"), "one\n");
    assert_string_equal(request(c, fd, "{\"command\":\"watch web\"}\n"), "{\"output\":\"one\\n\"}\n");
    fake_vm_say(rig_vm(c->r, "web"), "two\n");
    assert_string_equal(hear(c, fd), "{\"output\":\"two\\n\"}\n");
    fake_vm_poweroff(rig_vm(c->r, "web"));
    assert_string_equal(hear(c, fd), "{\"status\":0}\n");
    close(fd);
}

static void what_is_no_request_is_refused(void **state)
{
    static const char *const bad[] = {"list\n", "{}\n", "[]\n", "{\"command\":5}\n", "{\"command\":\"a\\u0000b\"}\n",
                                      "{\"args\":[]}\n", "{\"args\":[1]}\n", "{\"args\":\"list\"}\n", "{\n",
                                      "[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]\n", "\"\\ud800\"\n", "nul\n"};
    struct ctl_rig *c = *state;
    int fd = dial(session_socket(c->r->s));

    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_non_null(strstr(request(c, fd, bad[i]), "{\"status\":2,\"error\":\"a request "));
    assert_string_equal(request(c, fd, "{\"command\":\"\"}\n"), "{\"status\":0}\n");
    close(fd);
}

static void a_line_of_10_megabytes_is_refused_at_bounded_memory(void **state)
{
    struct ctl_rig *c = *state;
    int fd = dial(session_socket(c->r->s));
    char block[4096];
    size_t sent = 0;

    memset(block, 'x', sizeof block);
    while (sent < 10 << 20) {
        ssize_t n = write(fd, block, sizeof block);

        if (n > 0)
            sent += (size_t)n;
        else
            loop_step(session_loop(c->r->s), 1);
    }
    while (write(fd, "\n", 1) != 1)
        loop_step(session_loop(c->r->s), 1);
    assert_string_equal(hear(c, fd), "{\"status\":2,\"error\":\"a request has at most 65536 bytes: send less at once\"}\n");
    assert_string_equal(request(c, fd, "{\"command\":\"set interval\"}\n"),
                        "{\"status\":0,\"output\":\"interval     1\\n\"}\n");
    close(fd);
}

static void a_client_that_never_reads_is_bounded(void **state)
{
    struct ctl_rig *c = *state;
    int fd = dial(session_socket(c->r->s)), other = dial(session_socket(c->r->s));
    struct text burst = {0};

    for (int i = 0; i < 1000; i++)
        text_puts(&burst, "0123456789012345678901234567890123456789012345678901234567890123456789\n");
    say(fd, "{\"command\":\"watch web\"}\n");
    for (int i = 0; i < 100; i++) { /* 7 MB said, none of it read */
        fake_vm_say(rig_vm(c->r, "web"), text_str(&burst));
        loop_step(session_loop(c->r->s), 6);
        loop_step(session_loop(c->r->s), 0);
    }
    assert_string_equal(request(c, other, "{\"command\":\"set interval\"}\n"),
                        "{\"status\":0,\"output\":\"interval     1\\n\"}\n");
    text_free(&burst);
    close(fd);
    close(other);
    rig_idle(c->r);
}

static void too_many_clients_are_turned_away_kindly(void **state)
{
    struct ctl_rig *c = *state;
    int fd[CTL_CLIENTS_MAX + 1];

    for (int i = 0; i <= CTL_CLIENTS_MAX; i++) {
        fd[i] = dial(session_socket(c->r->s));
        rig_idle(c->r);
    }
    assert_non_null(strstr(hear(c, fd[CTL_CLIENTS_MAX]), "too many clients at once"));
    close(fd[3]);
    rig_idle(c->r);
    close(fd[CTL_CLIENTS_MAX]);
    fd[CTL_CLIENTS_MAX] = dial(session_socket(c->r->s));
    assert_string_equal(request(c, fd[CTL_CLIENTS_MAX], "{\"command\":\"\"}\n"), "{\"status\":0}\n");
    for (int i = 0; i <= CTL_CLIENTS_MAX; i++)
        if (i != 3)
            close(fd[i]);
}

static void a_client_that_leaves_ends_its_command(void **state)
{
    struct ctl_rig *c = *state;
    int fd = dial(session_socket(c->r->s));

    say(fd, "{\"command\":\"wait web stopped 100\"}\n");
    rig_idle(c->r);
    close(fd);
    rig_idle(c->r);
    assert_int_equal(rig_do(c->r, "list"), 0);
}

static void half_closed_clients_get_their_answer(void **state)
{
    struct ctl_rig *c = *state;
    int fd = dial(session_socket(c->r->s));
    char byte;

    say(fd, "{\"command\":\"wait 30ms\"}\n");
    shutdown(fd, SHUT_WR);
    assert_string_equal(hear(c, fd), "{\"status\":0}\n");
    rig_idle(c->r);
    assert_int_equal(read(fd, &byte, 1), 0);
    close(fd);
}

static void the_socket_is_for_its_owner_only(void **state)
{
    struct ctl_rig *c = *state;
    struct stat st;
    char dir[100];

    assert_int_equal(stat(session_socket(c->r->s), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    snprintf(dir, sizeof dir, "%s/ruche", c->dir);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_non_null(strstr(session_socket(c->r->s), "/ruche/rig.sock"));
}

static void a_name_in_use_gets_the_process_id(void **state)
{
    struct ctl_rig *c = *state;
    struct ctl_server *second;
    char first[200];
    struct err e;

    snprintf(first, sizeof first, "%s", session_socket(c->r->s));
    second = ctl_server_new(c->r->s, NULL, &e);
    assert_non_null(second);
    assert_non_null(strstr(session_socket(c->r->s), "/rig-"));
    ctl_server_free(second);
    assert_null(ctl_server_new(c->r->s, first, &e));
    assert_int_equal(e.code, EADDRINUSE);
    assert_non_null(strstr(e.msg, "another instance of ruche uses the socket"));
    assert_int_equal(access(first, F_OK), 0); /* and it is still there */
}

static void stale_sockets_are_replaced_but_files_are_not(void **state)
{
    struct ctl_rig *c = *state;
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct ctl_server *x;
    char file[100];
    struct err e;

    snprintf(a.sun_path, sizeof a.sun_path, "%s/old.sock", c->dir);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    close(fd); /* as a crash leaves it */
    x = ctl_server_new(c->r->s, a.sun_path, &e);
    assert_non_null(x);
    ctl_server_free(x);
    assert_int_equal(access(a.sun_path, F_OK), -1);
    snprintf(file, sizeof file, "%s/file", c->dir);
    fd = open(file, O_CREAT | O_WRONLY, 0600);
    close(fd);
    assert_null(ctl_server_new(c->r->s, file, &e));
    assert_non_null(strstr(e.msg, "is there already and is no socket"));
    assert_int_equal(access(file, F_OK), 0);
    assert_null(ctl_server_new(c->r->s, "/nonexistent/dir/x.sock", &e));
}

static void a_directory_of_somebody_else_is_not_used(void **state)
{
    struct ctl_rig *c = *state;
    char dir[100];
    struct err e;

    snprintf(dir, sizeof dir, "%s/open", c->dir);
    mkdir(dir, 0700);
    setenv("XDG_RUNTIME_DIR", dir, 1);
    strcat(dir, "/ruche");
    mkdir(dir, 0700);
    chmod(dir, 0777);
    assert_null(ctl_dir(true, &e));
    assert_non_null(strstr(e.msg, "is not a directory of your own that only you may write to"));
}

/* The client as a child; its output is kept. */
static int client(struct ctl_rig *c, const char *path, bool json, char *const *words, unsigned n, char *out, size_t size)
{
    int p[2], status = 0;
    size_t len = 0;
    ssize_t got = 1;
    pid_t pid;

    assert_int_equal(pipe(p), 0);
    fflush(stdout);
    fflush(stderr);
    pid = fork();
    if (pid == 0) {
        dup2(p[1], 1);
        dup2(p[1], 2);
        close(p[0]);
        close(p[1]);
        status = ctl_client(path, json, words, n);
        fflush(stdout);
        _exit(status);
    }
    close(p[1]);
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 1000 && got; i++) {
        loop_step(session_loop(c->r->s), 5);
        got = read(p[0], out + len, size - 1 - len);
        len += got > 0 ? (size_t)got : 0;
    }
    out[len] = '\0';
    close(p[0]);
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

static void the_client_finds_the_only_instance(void **state)
{
    struct ctl_rig *c = *state;
    char out[8192];

    assert_int_equal(client(c, NULL, false, (char *[]){"set", "interval"}, 2, out, sizeof out), 0);
    assert_string_equal(out, "interval     1\n");
    assert_int_equal(client(c, NULL, false, (char *[]){"set interval"}, 1, out, sizeof out), 0);
    assert_string_equal(out, "interval     1\n");
    assert_int_equal(client(c, "rig", true, (char *[]){"set", "interval"}, 2, out, sizeof out), 0);
    assert_string_equal(out, "{\"interval\":\"1\"}\n");
    assert_int_equal(client(c, NULL, true, (char *[]){"stats"}, 1, out, sizeof out), 0);
    assert_non_null(strstr(out, "{\"run\":0.2500,"));
    assert_int_equal(client(c, NULL, false, (char *[]){"pause", "x"}, 2, out, sizeof out), 1);
    assert_string_equal(out, "there is no guest `x`: `list` shows who is there\n");
    assert_int_equal(client(c, NULL, false, (char *[]){"pause"}, 1, out, sizeof out), 2);
}

static void the_client_asks_which_of_several(void **state)
{
    struct ctl_rig *c = *state;
    struct ctl_server *second;
    char out[1000];
    struct err e;

    second = ctl_server_new(c->r->s, "second", &e);
    assert_non_null(second);
    assert_int_equal(client(c, NULL, false, (char *[]){"list"}, 1, out, sizeof out), 1);
    assert_string_equal(out, "ruche: 2 instances of ruche are running, choose one with --socket: rig.sock, "
                             "second.sock\n");
    ctl_server_free(second);
}

static void the_client_says_when_there_is_nobody(void **state)
{
    struct ctl_rig *c = *state;
    char out[1000];

    ctl_server_free(c->x);
    c->x = NULL;
    assert_int_equal(client(c, NULL, false, (char *[]){"list"}, 1, out, sizeof out), 1);
    assert_string_equal(out, "ruche: no ruche is running that you may control: start one with `ruche LAB`, or name "
                             "its socket with --socket\n");
    assert_int_equal(client(c, "/tmp/no.sock", false, (char *[]){"list"}, 1, out, sizeof out), 1);
    assert_string_equal(out, "ruche: no ruche answers at /tmp/no.sock (No such file or directory): start one with "
                             "`ruche --socket /tmp/no.sock LAB`\n");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(one_object_a_line_in_both_directions),
        T(stats_are_one_object),
        T(requests_in_a_row_are_answered_in_order),
        T(streams_come_as_they_go),
        T(what_is_no_request_is_refused),
        T(a_line_of_10_megabytes_is_refused_at_bounded_memory),
        T(a_client_that_never_reads_is_bounded),
        T(too_many_clients_are_turned_away_kindly),
        T(a_client_that_leaves_ends_its_command),
        T(half_closed_clients_get_their_answer),
        T(the_socket_is_for_its_owner_only),
        T(a_name_in_use_gets_the_process_id),
        T(stale_sockets_are_replaced_but_files_are_not),
        T(a_directory_of_somebody_else_is_not_used),
        T(the_client_finds_the_only_instance),
        T(the_client_asks_which_of_several),
        T(the_client_says_when_there_is_nobody),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
