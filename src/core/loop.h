/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * loop: an event loop over epoll. The main thread has one, each guest's I/O thread has one.
 *
 * Callbacks run on the thread that runs the loop. All functions but loop_post, loop_stop and
 * loop_wake must be called on that thread, or before it runs. A source may be removed from
 * inside any callback, its own included.
 */
#ifndef RUCHE_CORE_LOOP_H
#define RUCHE_CORE_LOOP_H

#include "core/err.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct loop;
struct loop_fd;
struct loop_timer;

typedef void (*loop_fd_fn)(void *arg, uint32_t events);
typedef void (*loop_fn)(void *arg);

struct loop *loop_new(struct err *e);
void loop_free(struct loop *l); /* frees its sources, closes none of their descriptors */

/* Signals of `set`, which its thread blocks, are let through while it waits. Their handlers may make a source ready. */
void loop_let_through(struct loop *l, const sigset_t *set);

/* Runs until loop_stop. */
void loop_run(struct loop *l);

/* Handles what is ready, waits at most `timeout_ms` (-1: for ever) for something. */
void loop_step(struct loop *l, int timeout_ms);

/* Any thread. */
void loop_stop(struct loop *l);

/* Watches `fd` for EPOLLIN/EPOLLOUT `events`. NULL and `e` on failure. */
struct loop_fd *loop_add_fd(struct loop *l, int fd, uint32_t events, loop_fd_fn fn, void *arg,
                            struct err *e);
void loop_mod_fd(struct loop_fd *s, uint32_t events);
void loop_del_fd(struct loop_fd *s); /* NULL is legal */

/* A one-shot timer on CLOCK_MONOTONIC; created disarmed. */
struct loop_timer *loop_add_timer(struct loop *l, loop_fn fn, void *arg, struct err *e);
void loop_arm_ns(struct loop_timer *t, uint64_t from_now_ns);
void loop_disarm(struct loop_timer *t);
void loop_del_timer(struct loop_timer *t); /* NULL is legal */

/* Any thread: `fn(arg)` will run on the loop's thread, in order. -ENOMEM. */
int loop_post(struct loop *l, loop_fn fn, void *arg);

/* True on the thread that is inside loop_run/loop_step. */
bool loop_is_mine(const struct loop *l);

#endif
