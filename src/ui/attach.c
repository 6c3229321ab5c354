/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * attach: see attach.h. Output is read from the console's ring only as fast as the terminal
 * takes it: what waits, waits in the ring, and the loop never blocks.
 */
#include "ui/attach.h"

#include "core/ansi.h"
#include "core/loop.h"
#include "ui/term.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 4096, ESCAPE = 0x1d, ESCAPE_WAIT_NS = 300000000, TYPED_MAX = 4096, RETRY_NS = 20000000 };

static const char f12[] = "\033[24~";

struct attach {
    struct session *session;
    struct guest *g;
    enum board_console console;
    void (*end)(void *arg, enum attach_end why);
    void *arg;
    struct watcher *watcher;
    struct loop_fd *in, *out_ready;
    struct loop_timer *timer;  /* after Ctrl-] */
    struct loop_timer *retry;  /* the guest did not take all that was typed */
    struct ansi ansi;
    uint64_t pos;
    bool tty, escape, over;
    bool in_file; /* input is a file and not yet at its end */
    char typed[TYPED_MAX];     /* not yet taken by the guest */
    size_t ntyped;
    char out[2 * CHUNK + 64];  /* not yet taken by the terminal */
    size_t out_at, out_len;
};

static void finish(struct attach *a, enum attach_end why)
{
    void (*end)(void *arg, enum attach_end w) = a->end;
    void *arg = a->arg;

    if (a->over)
        return;
    a->over = true;
    attach_free(a);
    end(arg, why);
}

static bool guest_is_over(const struct guest *g)
{
    return !guest_is_up(g) && !g->starting && !g->want_start && !vm_busy(g->vm);
}

static void pump(struct attach *a);

static void on_writable(void *arg, uint32_t events)
{
    (void)events;
    pump(arg);
}

/* Waits until the terminal takes more; a file always does. */
static void wait_writable(struct attach *a)
{
    if (!a->out_ready)
        a->out_ready = loop_add_fd(session_loop(a->session), term_output_fd(), EPOLLOUT, on_writable, a, NULL);
}

/* What is in `out`, to the terminal. 1: all; 0: it does not take all now; -1: it is gone, and
 * `a` too. */
static int drain(struct attach *a)
{
    while (a->out_at < a->out_len) {
        ssize_t n = write(term_output_fd(), a->out + a->out_at, a->out_len - a->out_at);

        if (n < 0 && errno == EAGAIN) {
            wait_writable(a);
            return 0;
        }
        if (n < 0 && errno != EINTR) {
            finish(a, ATTACH_LOST);
            return -1;
        }
        a->out_at += n > 0 ? (size_t)n : 0;
    }
    a->out_at = a->out_len = 0;
    return 1;
}

static void pump(struct attach *a)
{
    uint8_t raw[CHUNK];
    uint64_t lost = 0;
    size_t n;
    int rc;

    for (unsigned turns = 0; (rc = drain(a)) > 0; turns++) {
        if (turns == 16) { /* 64 KiB at a time: the rest of the program wants its turn */
            wait_writable(a);
            return;
        }
        n = console_read(vm_console(a->g->vm, a->console), &a->pos, raw, sizeof raw, &lost);
        if (n == 0)
            break;
        if (lost)
            a->out_len = (size_t)snprintf(a->out, 64, "\r\n[%llu bytes lost]\r\n", (unsigned long long)lost);
        lost = 0;
        a->out_len += ansi_safe(&a->ansi, raw, n, a->out + a->out_len);
    }
    if (rc <= 0)
        return;
    loop_del_fd(a->out_ready);
    a->out_ready = NULL;
    if (guest_is_over(a->g))
        finish(a, ATTACH_GUEST_ENDED);
}

static void on_console(void *arg)
{
    pump(arg);
}

static void type(struct attach *a)
{
    size_t n = vm_console_send(a->g->vm, a->console, a->typed, a->ntyped);

    a->ntyped -= n;
    memmove(a->typed, a->typed + n, a->ntyped);
    if (a->in && !a->tty && a->ntyped < TYPED_MAX)
        loop_mod_fd(a->in, EPOLLIN);
    if (a->ntyped && (a->g->starting || guest_is_up(a->g)))
        loop_arm_ns(a->retry, RETRY_NS);
    else
        a->ntyped = 0;
}

static void add_typed(struct attach *a, const char *buf, size_t len)
{
    if (len > TYPED_MAX - a->ntyped)
        len = TYPED_MAX - a->ntyped; /* nobody types that much ahead */
    memcpy(a->typed + a->ntyped, buf, len);
    a->ntyped += len;
}

static void on_escape_over(void *arg)
{
    struct attach *a = arg;

    if (a->escape)
        finish(a, ATTACH_DETACHED);
}

/* Keys of a terminal; true if they ended the attachment. */
static bool keys(struct attach *a, const char *buf, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool is_f12 = len - i >= sizeof f12 - 1 && memcmp(buf + i, f12, sizeof f12 - 1) == 0;

        if (is_f12 || (a->escape && buf[i] != ESCAPE)) {
            type(a);
            finish(a, ATTACH_DETACHED);
            return true;
        }
        if (buf[i] != ESCAPE) {
            add_typed(a, buf + i, 1);
        } else if (a->escape) {
            a->escape = false;
            add_typed(a, buf + i, 1);
        } else {
            a->escape = true;
            loop_arm_ns(a->timer, ESCAPE_WAIT_NS);
        }
    }
    return false;
}

static void on_input(void *arg, uint32_t events)
{
    struct attach *a = arg;
    char buf[1024];
    size_t room = TYPED_MAX - a->ntyped;
    ssize_t n;

    (void)events;
    if (room == 0 && !a->tty) { /* a pipe can wait */
        loop_mod_fd(a->in, 0);
        loop_arm_ns(a->retry, RETRY_NS);
        return;
    }
    n = read(0, buf, room && room < sizeof buf ? room : sizeof buf);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        loop_del_fd(a->in);
        a->in = NULL;
        a->in_file = false;
        if (a->tty)
            finish(a, ATTACH_LOST);
        return;
    }
    if (a->tty && keys(a, buf, (size_t)n))
        return;
    if (!a->tty)
        add_typed(a, buf, (size_t)n);
    type(a);
}

/* What cannot be watched is looked at again after a while: a guest that does not read, input
 * from a file, output to one. */
static void on_retry(void *arg)
{
    struct attach *a = arg;

    if (a->in_file)
        loop_arm_ns(a->retry, RETRY_NS);
    if (a->in_file && a->ntyped < TYPED_MAX)
        on_input(a, 0);
    else
        type(a);
    pump(a); /* the last: it may end us */
}

void attach_resize(struct attach *a)
{
    unsigned cols, rows;

    term_size(&cols, &rows);
    vm_console_resize(a->g->vm, cols, rows);
}

void attach_check(struct attach *a)
{
    if (a->ntyped)
        type(a);
    if (vm_state(a->g->vm) == VM_RUNNING)
        attach_resize(a);
    pump(a);
}

struct guest *attach_guest(struct attach *a)
{
    return a->g;
}

void attach_free(struct attach *a)
{
    if (!a)
        return;
    session_unwatch(a->session, a->watcher);
    loop_del_fd(a->in);
    loop_del_fd(a->out_ready);
    loop_del_timer(a->timer);
    loop_del_timer(a->retry);
    if (a->tty)
        term_restore();
    free(a);
}

static void greet(const struct attach *a)
{
    fprintf(stderr, "attached to %s, Ctrl-] or F12 detaches\r\n", a->g->c->name);
}

struct attach *attach_new(struct session *s, struct guest *g, enum board_console c,
                          void (*end)(void *arg, enum attach_end why), void *arg, struct err *e)
{
    struct loop *l = session_loop(s);
    struct attach *a = calloc(1, sizeof *a);
    unsigned cols, rows;

    if (!a) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    *a = (struct attach){.session = s, .g = g, .console = c, .end = end, .arg = arg};
    a->tty = isatty(0) && isatty(1);
    a->timer = loop_add_timer(l, on_escape_over, a, e);
    a->retry = loop_add_timer(l, on_retry, a, e);
    a->watcher = session_watch(s, g, c, on_console, a);
    if (!a->timer || !a->retry || !a->watcher) {
        attach_free(a);
        return NULL;
    }
    a->in = loop_add_fd(l, 0, EPOLLIN, on_input, a, NULL);
    a->in_file = !a->in;
    term_size(&cols, &rows);
    a->pos = console_tail(vm_console(g->vm, c), rows > 2 ? rows - 2 : rows);
    if (a->tty) {
        greet(a);
        term_raw();
    }
    attach_resize(a);
    wait_writable(a); /* pumps in the next turn */
    if (!a->out_ready || a->in_file)
        loop_arm_ns(a->retry, 1);
    return a;
}
