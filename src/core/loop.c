/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * loop: see loop.h. Sources removed during a turn are only marked, and freed when the turn
 * is over, so that an event fetched earlier in the same turn never meets freed memory.
 */
#include "core/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { LOOP_EVENTS_PER_TURN = 32 };

struct loop_fd {
    struct loop *loop;
    int fd;
    loop_fd_fn fn;
    void *arg;
    bool dead;
    struct loop_fd *next; /* all sources of the loop */
};

struct loop_timer {
    struct loop *loop;
    int fd;
    loop_fn fn;
    void *arg;
    struct loop_fd *source;
    bool dead;
    struct loop_timer *next; /* all timers of the loop */
};

struct posted {
    loop_fn fn;
    void *arg;
    struct posted *next;
};

struct loop {
    int epoll;
    int wake; /* eventfd: something was posted, or stop */
    _Atomic bool stop;
    _Atomic pthread_t owner; /* thread inside loop_step, for loop_is_mine */
    _Atomic unsigned depth; /* of loop_step inside loop_step, by a callback */
    struct loop_fd *sources;
    struct loop_timer *timers;
    bool reap;
    bool lets_through;
    sigset_t let_through; /* if so */
    pthread_mutex_t post_lock; /* protects the list of posted calls */
    struct posted *first, **last;
};

static void loop_wake(struct loop *l)
{
    const uint64_t one = 1;

    if (write(l->wake, &one, sizeof one) < 0)
        return; /* EAGAIN: it is awake already */
}

static void loop_run_posted(void *arg, uint32_t events)
{
    struct loop *l = arg;
    struct posted *p;
    uint64_t n;

    (void)events;
    if (read(l->wake, &n, sizeof n) < 0 && errno != EAGAIN)
        return;
    pthread_mutex_lock(&l->post_lock);
    p = l->first;
    l->first = NULL;
    l->last = &l->first;
    pthread_mutex_unlock(&l->post_lock);
    while (p) {
        struct posted *next = p->next;

        p->fn(p->arg);
        free(p);
        p = next;
    }
}

struct loop *loop_new(struct err *e)
{
    struct loop *l = calloc(1, sizeof *l);

    if (!l) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    l->last = &l->first;
    pthread_mutex_init(&l->post_lock, NULL);
    l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll < 0 || l->wake < 0) {
        err_set(e, errno, "cannot create an event loop: %s", strerror(errno));
        loop_free(l);
        return NULL;
    }
    if (!loop_add_fd(l, l->wake, EPOLLIN, loop_run_posted, l, e)) {
        loop_free(l);
        return NULL;
    }
    return l;
}

static void loop_reap_timers(struct loop *l, bool all)
{
    struct loop_timer **p = &l->timers;

    while (*p) {
        struct loop_timer *t = *p;

        if (!t->dead && !all) {
            p = &t->next;
            continue;
        }
        if (!t->dead)
            close(t->fd);
        *p = t->next;
        free(t);
    }
}

/* Frees what was removed, or all. */
static void loop_reap(struct loop *l, bool all)
{
    struct loop_fd **p = &l->sources;

    while (*p) {
        struct loop_fd *s = *p;

        if (!s->dead && !all) {
            p = &s->next;
            continue;
        }
        *p = s->next;
        free(s);
    }
    loop_reap_timers(l, all);
    l->reap = false;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    loop_reap(l, true);
    while (l->first) {
        struct posted *p = l->first;

        l->first = p->next;
        free(p);
    }
    if (l->epoll >= 0)
        close(l->epoll);
    if (l->wake >= 0)
        close(l->wake);
    pthread_mutex_destroy(&l->post_lock);
    free(l);
}

void loop_let_through(struct loop *l, const sigset_t *set)
{
    l->let_through = *set;
    l->lets_through = true;
}

void loop_step(struct loop *l, int timeout_ms)
{
    struct epoll_event ev[LOOP_EVENTS_PER_TURN];
    int n;

    l->owner = pthread_self();
    l->depth++;
    if (l->lets_through) /* epoll_pwait would not while there are events */
        pthread_sigmask(SIG_UNBLOCK, &l->let_through, NULL);
    n = epoll_wait(l->epoll, ev, LOOP_EVENTS_PER_TURN, timeout_ms);
    if (l->lets_through)
        pthread_sigmask(SIG_BLOCK, &l->let_through, NULL);
    for (int i = 0; i < n; i++) {
        struct loop_fd *s = ev[i].data.ptr;

        if (!s->dead)
            s->fn(s->arg, ev[i].events);
    }
    if (l->reap && l->depth == 1) /* an outer turn may still hold what was removed */
        loop_reap(l, false);
    l->depth--;
}

void loop_run(struct loop *l)
{
    while (!l->stop)
        loop_step(l, -1);
    l->stop = false;
}

void loop_stop(struct loop *l)
{
    l->stop = true;
    loop_wake(l);
}

bool loop_is_mine(const struct loop *l)
{
    return l->depth && pthread_equal(l->owner, pthread_self());
}

struct loop_fd *loop_add_fd(struct loop *l, int fd, uint32_t events, loop_fd_fn fn, void *arg,
                            struct err *e)
{
    struct loop_fd *s = calloc(1, sizeof *s);
    struct epoll_event ev = {.events = events};

    if (!s) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    *s = (struct loop_fd){.loop = l, .fd = fd, .fn = fn, .arg = arg};
    ev.data.ptr = s;
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) < 0) {
        err_set(e, errno, "cannot watch a descriptor: %s", strerror(errno));
        free(s);
        return NULL;
    }
    s->next = l->sources;
    l->sources = s;
    return s;
}

void loop_mod_fd(struct loop_fd *s, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = s};

    epoll_ctl(s->loop->epoll, EPOLL_CTL_MOD, s->fd, &ev);
}

void loop_del_fd(struct loop_fd *s)
{
    if (!s || s->dead)
        return;
    epoll_ctl(s->loop->epoll, EPOLL_CTL_DEL, s->fd, NULL);
    s->dead = true;
    s->loop->reap = true;
}

static void loop_timer_fired(void *arg, uint32_t events)
{
    struct loop_timer *t = arg;
    uint64_t n;

    (void)events;
    if (read(t->fd, &n, sizeof n) == sizeof n && !t->dead)
        t->fn(t->arg);
}

struct loop_timer *loop_add_timer(struct loop *l, loop_fn fn, void *arg, struct err *e)
{
    struct loop_timer *t = calloc(1, sizeof *t);

    if (!t) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    *t = (struct loop_timer){.loop = l, .fn = fn, .arg = arg};
    t->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (t->fd < 0) {
        err_set(e, errno, "cannot create a timer: %s", strerror(errno));
        free(t);
        return NULL;
    }
    t->source = loop_add_fd(l, t->fd, EPOLLIN, loop_timer_fired, t, e);
    if (!t->source) {
        close(t->fd);
        free(t);
        return NULL;
    }
    t->next = l->timers;
    l->timers = t;
    return t;
}

void loop_arm_ns(struct loop_timer *t, uint64_t from_now_ns)
{
    uint64_t ns = from_now_ns ? from_now_ns : 1; /* 0 would disarm */
    struct itimerspec its = {.it_value = {.tv_sec = (time_t)(ns / 1000000000ull),
                                          .tv_nsec = (long)(ns % 1000000000ull)}};

    timerfd_settime(t->fd, 0, &its, NULL);
}

void loop_disarm(struct loop_timer *t)
{
    struct itimerspec its = {0};

    timerfd_settime(t->fd, 0, &its, NULL);
}

void loop_del_timer(struct loop_timer *t)
{
    if (!t || t->dead)
        return;
    loop_del_fd(t->source);
    close(t->fd);
    t->dead = true;
}

int loop_post(struct loop *l, loop_fn fn, void *arg)
{
    struct posted *p = malloc(sizeof *p);

    if (!p)
        return -ENOMEM;
    *p = (struct posted){.fn = fn, .arg = arg};
    pthread_mutex_lock(&l->post_lock);
    *l->last = p;
    l->last = &p->next;
    pthread_mutex_unlock(&l->post_lock);
    loop_wake(l);
    return 0;
}
