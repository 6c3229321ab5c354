/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * idle_watch: see idle_watch.h.
 */
#include "core/idle_watch.h"

#include "core/futex.h"
#include "core/sandbox.h"
#include "core/thread.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { ASLEEP, ARMED, ENDS, STACK_BYTES = 128 << 10 };

struct idle_watch {
    _Atomic uint32_t state; /* the thread sleeps on it while ASLEEP */
    unsigned cpu;
    void (*idle)(void *arg);
    void *arg;
    pthread_t thread;
};

static void change(struct idle_watch *w, uint32_t state)
{
    if (atomic_exchange(&w->state, state) != state)
        futex_wake(&w->state);
}

static int take_place(unsigned cpu)
{
    const struct sched_param none = {0};
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return sched_setaffinity(0, sizeof one, &one) < 0 || sched_setscheduler(0, SCHED_IDLE, &none) < 0 ? -1 : 0;
}

static void *watch(void *arg)
{
    struct idle_watch *w = arg;
    bool placed = take_place(w->cpu) == 0; /* else that CPU is not ours to watch */

    sandbox_idle_thread();
    while (placed && w->state != ENDS) {
        uint32_t armed = ARMED;

        if (atomic_compare_exchange_strong(&w->state, &armed, ASLEEP))
            w->idle(w->arg);
        else if (armed != ENDS)
            futex_wait(&w->state, armed);
    }
    return NULL;
}

struct idle_watch *idle_watch_new(unsigned cpu, void (*idle)(void *arg), void *arg)
{
    struct idle_watch *w = calloc(1, sizeof *w);
    struct err e;
    char name[16];

    if (!w)
        return NULL;
    *w = (struct idle_watch){.cpu = cpu, .idle = idle, .arg = arg};
    if (thread_start(&w->thread, "idle watch", STACK_BYTES, watch, w, &e) < 0) {
        free(w);
        return NULL;
    }
    snprintf(name, sizeof name, "idle/%u", cpu);
    pthread_setname_np(w->thread, name);
    return w;
}

void idle_watch_arm(struct idle_watch *w)
{
    if (w)
        change(w, ARMED);
}

void idle_watch_free(struct idle_watch *w)
{
    if (!w)
        return;
    change(w, ENDS);
    pthread_join(w->thread, NULL);
    free(w);
}
