/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The event loop: descriptors, timers, calls posted from other threads.
 */
#include "core/clock.h"
#include "core/loop.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct seen {
    struct loop *loop;
    unsigned calls;
    uint32_t events;
    struct loop_fd *removes, *removes_too;
    struct loop_timer *removes_timer;
};

static int setup(void **state)
{
    struct err e = {0};

    *state = loop_new(&e);
    return *state == NULL;
}

static int teardown(void **state)
{
    loop_free(*state);
    return 0;
}

static void on_fd(void *arg, uint32_t events)
{
    struct seen *s = arg;

    s->calls++;
    s->events = events;
    loop_del_fd(s->removes);
    loop_del_fd(s->removes_too);
}

static void on_call(void *arg)
{
    ((struct seen *)arg)->calls++;
}

static void a_readable_descriptor_calls_back_until_it_is_read(void **state)
{
    struct seen s = {0};
    int fd[2];
    char c;

    assert_int_equal(pipe(fd), 0);
    assert_non_null(loop_add_fd(*state, fd[0], EPOLLIN, on_fd, &s, NULL));
    loop_step(*state, 0);
    assert_int_equal(s.calls, 0);
    assert_int_equal(write(fd[1], "x", 1), 1);
    loop_step(*state, 1000);
    loop_step(*state, 1000);
    assert_int_equal(s.calls, 2);
    assert_int_equal(s.events, EPOLLIN);
    assert_int_equal(read(fd[0], &c, 1), 1);
    loop_step(*state, 0);
    assert_int_equal(s.calls, 2);
    close(fd[1]);
    loop_step(*state, 1000);
    assert_int_equal(s.events & EPOLLHUP, EPOLLHUP);
    close(fd[0]);
}

static void what_is_watched_for_can_be_changed(void **state)
{
    struct seen s = {0};
    struct loop_fd *src;
    int fd[2];

    assert_int_equal(pipe(fd), 0);
    src = loop_add_fd(*state, fd[1], 0, on_fd, &s, NULL);
    loop_step(*state, 0);
    assert_int_equal(s.calls, 0);
    loop_mod_fd(src, EPOLLOUT);
    loop_step(*state, 1000);
    assert_int_equal(s.calls, 1);
    loop_mod_fd(src, 0);
    loop_step(*state, 0);
    assert_int_equal(s.calls, 1);
    close(fd[0]);
    close(fd[1]);
}

static void a_descriptor_that_cannot_be_watched_is_an_error(void **state)
{
    struct err e = {0};

    assert_null(loop_add_fd(*state, -1, EPOLLIN, on_fd, NULL, &e));
    assert_int_equal(e.code, EBADF);
    assert_true(e.msg[0] != '\0');
}

static void a_source_may_remove_itself_and_others_in_its_callback(void **state)
{
    struct seen s[3] = {0};
    struct loop_fd *src[3];
    int fd[3][2];
    unsigned calls;

    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(pipe(fd[i]), 0);
        assert_int_equal(write(fd[i][1], "x", 1), 1);
        src[i] = loop_add_fd(*state, fd[i][0], EPOLLIN, on_fd, &s[i], NULL);
    }
    for (unsigned i = 0; i < 3; i++) { /* whoever comes first removes all */
        s[i].removes = src[i];
        s[i].removes_too = src[(i + 1) % 3];
    }
    loop_step(*state, 1000);
    loop_step(*state, 0);
    calls = s[0].calls + s[1].calls + s[2].calls;
    assert_in_range(calls, 1, 2);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(s[i].calls <= 1);
        close(fd[i][0]);
        close(fd[i][1]);
    }
    loop_del_fd(NULL);
    loop_del_timer(NULL);
}

/* ---- timers */

static void step_until(struct loop *l, const unsigned *calls, unsigned n)
{
    const uint64_t give_up = clock_mono_ns() + 5 * NS_PER_S;

    while (*calls < n && clock_mono_ns() < give_up)
        loop_step(l, 100);
    assert_true(*calls >= n);
}

static void a_timer_fires_once_and_not_early(void **state)
{
    struct seen s = {0};
    struct loop_timer *t = loop_add_timer(*state, on_call, &s, NULL);
    uint64_t began = clock_mono_ns();

    loop_step(*state, 0);
    assert_int_equal(s.calls, 0);
    loop_arm_ns(t, 3 * NS_PER_MS);
    step_until(*state, &s.calls, 1);
    assert_true(clock_mono_ns() - began >= 3 * NS_PER_MS);
    loop_step(*state, 5);
    assert_int_equal(s.calls, 1);
    loop_arm_ns(t, 0); /* at once */
    step_until(*state, &s.calls, 2);
    loop_del_timer(t);
}

static void a_disarmed_timer_does_not_fire(void **state)
{
    struct seen s = {0};
    struct loop_timer *t = loop_add_timer(*state, on_call, &s, NULL);

    loop_arm_ns(t, 1);
    loop_disarm(t);
    loop_step(*state, 5);
    assert_int_equal(s.calls, 0);
    loop_del_timer(t);
}

static void remove_timer(void *arg)
{
    struct seen *s = arg;

    s->calls++;
    loop_del_timer(s->removes_timer);
}

static void a_timer_may_remove_itself(void **state)
{
    struct seen s = {0};

    s.removes_timer = loop_add_timer(*state, remove_timer, &s, NULL);
    loop_arm_ns(s.removes_timer, 1);
    step_until(*state, &s.calls, 1);
    loop_step(*state, 0);
    assert_int_equal(s.calls, 1);
}

static void freeing_the_loop_frees_timers_and_calls_that_wait(void **state)
{
    int before = dup(0), after;
    struct loop *l = loop_new(NULL);
    struct seen s = {0};

    (void)state;
    assert_non_null(l);
    assert_non_null(loop_add_timer(l, on_call, &s, NULL));
    loop_del_timer(loop_add_timer(l, on_call, &s, NULL));
    assert_int_equal(loop_post(l, on_call, &s), 0);
    loop_free(l); /* nothing leaks: the sanitiser looks, and so do we */
    loop_free(NULL);
    close(before);
    after = dup(0);
    assert_int_equal(before, after);
    close(after);
    assert_int_equal(s.calls, 0);
}

/* ---- calls from elsewhere */

static void post_again(void *arg)
{
    struct seen *s = arg;

    if (++s->calls < 3)
        assert_int_equal(loop_post(s->loop, post_again, s), 0);
}

static void a_posted_call_may_post_another(void **state)
{
    struct seen s = {.loop = *state};

    assert_int_equal(loop_post(*state, post_again, &s), 0);
    step_until(*state, &s.calls, 3);
}

enum { POSTS = 5000, POSTERS = 4 };

struct poster {
    struct loop *loop;
    unsigned next; /* checked on the loop's thread: calls of one thread come in order */
    unsigned sent;
    _Atomic bool wrong;
};

static void take_post(void *arg)
{
    struct poster *p = arg;

    p->wrong = p->wrong || !loop_is_mine(p->loop);
    p->next++;
}

static void *poster_run(void *arg)
{
    struct poster *p = arg;

    for (; p->sent < POSTS; p->sent++)
        if (loop_post(p->loop, take_post, p) < 0 || loop_is_mine(p->loop))
            p->wrong = true;
    return NULL;
}

static void posts_from_many_threads_all_arrive_on_the_loops_thread(void **state)
{
    struct poster p[POSTERS];
    pthread_t thread[POSTERS];

    assert_false(loop_is_mine(*state));
    for (unsigned i = 0; i < POSTERS; i++) {
        p[i] = (struct poster){.loop = *state};
        assert_int_equal(pthread_create(&thread[i], NULL, poster_run, &p[i]), 0);
    }
    for (unsigned i = 0; i < POSTERS; i++) {
        step_until(*state, &p[i].next, POSTS);
        pthread_join(thread[i], NULL);
        assert_int_equal(p[i].next, POSTS);
        assert_false(p[i].wrong);
    }
}

static void *stop_it(void *arg)
{
    loop_stop(arg);
    return NULL;
}

static void another_thread_can_stop_a_running_loop(void **state)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, stop_it, *state), 0);
    loop_run(*state);
    pthread_join(thread, NULL);
    loop_stop(*state); /* before it runs: the run ends at once */
    loop_run(*state);
}

static void inner_turn(void *arg)
{
    struct seen *s = arg;

    s->calls++;
    loop_del_timer(s->removes_timer);
    s->removes_timer = NULL;
    loop_step(s->loop,
              0); /* a callback that waits: what it removed lives until the outer turn ends */
}

static void a_turn_inside_a_turn_frees_nothing_under_it(void **state)
{
    struct seen s = {.loop = *state};
    struct loop_timer *t = loop_add_timer(*state, inner_turn, &s, NULL);

    s.removes_timer = t;
    loop_arm_ns(t, 1);
    step_until(*state, &s.calls, 1);
}

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
    caught = sig;
}

/* Also while it never has to wait, for a source is always ready. */
static void signals_are_let_through_while_it_waits_only(void **state)
{
    const struct sigaction sa = {.sa_handler = on_signal};
    struct seen s = {0};
    sigset_t set;
    int fd[2];

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    assert_int_equal(sigaction(SIGUSR1, &sa, NULL), 0);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
    assert_int_equal(pipe(fd), 0);
    assert_int_equal(write(fd[1], "x", 1), 1);
    assert_non_null(loop_add_fd(*state, fd[0], EPOLLIN, on_fd, &s, NULL));
    raise(SIGUSR1);
    loop_step(*state, 0);
    assert_int_equal(caught, 0); /* nobody has said so yet */
    loop_let_through(*state, &set);
    loop_step(*state, 1000);
    assert_int_equal(caught, SIGUSR1);
    caught = 0;
    raise(SIGUSR1);
    assert_int_equal(caught, 0);
    loop_step(*state, 1000);
    assert_int_equal(caught, SIGUSR1);
    assert_true(s.calls >= 2);
    close(fd[0]);
    close(fd[1]);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_readable_descriptor_calls_back_until_it_is_read),
        T(what_is_watched_for_can_be_changed),
        T(a_descriptor_that_cannot_be_watched_is_an_error),
        T(a_source_may_remove_itself_and_others_in_its_callback),
        T(a_timer_fires_once_and_not_early),
        T(a_disarmed_timer_does_not_fire),
        T(a_timer_may_remove_itself),
        T(freeing_the_loop_frees_timers_and_calls_that_wait),
        T(a_posted_call_may_post_another),
        T(posts_from_many_threads_all_arrive_on_the_loops_thread),
        T(another_thread_can_stop_a_running_loop),
        T(a_turn_inside_a_turn_frees_nothing_under_it),
        T(signals_are_let_through_while_it_waits_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
