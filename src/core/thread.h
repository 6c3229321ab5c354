/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * thread: starts the threads that do a guest's work: with a stack of their own size and without
 * signals but their own faults; what is sent to the process belongs to the main loop.
 */
#ifndef RUCHE_CORE_THREAD_H
#define RUCHE_CORE_THREAD_H

#include "core/err.h"

#include <pthread.h>
#include <stddef.h>

/* `what` it is, for the error. 0, or -errno with `e` set. */
int thread_start(pthread_t *t, const char *what, size_t stack_bytes, void *(*run)(void *), void *arg,
                 struct err *e);

#endif
