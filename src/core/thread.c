/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * thread: see thread.h.
 */
#include "core/thread.h"

#include <signal.h>
#include <string.h>

/* Blocked, a fault would end the process without the handler that gives the terminal back. */
static void block_all_but_faults(sigset_t *old)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};
    sigset_t blocked;

    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&blocked, faults[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, old);
}

int thread_start(pthread_t *t, const char *what, size_t stack_bytes, void *(*run)(void *), void *arg,
                 struct err *e)
{
    pthread_attr_t attr;
    sigset_t old;
    int rc;

    block_all_but_faults(&old);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, stack_bytes);
    rc = pthread_create(t, &attr, run, arg);
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc ? err_set(e, rc, "cannot start a thread for %s: %s", what, strerror(rc)) : 0;
}
