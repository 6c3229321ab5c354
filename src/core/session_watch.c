/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * session_watch: who listens to which console.
 *
 * A console tells that it has new output once, until it is rearmed. It is rearmed only while
 * somebody watches, and at most every WATCH_GAP_NS: a guest that floods its console costs main
 * some hundred wake-ups a second and no more.
 */
#include "core/session_internal.h"

#include "core/clock.h"

#include <stdlib.h>

enum { WATCH_GAP_NS = 5000000 };

struct watcher {
    struct watcher *next;
    struct guest *g; /* NULL: over */
    enum board_console console;
    void (*fn)(void *arg);
    void *arg;
    uint64_t last_ns; /* when it was called last */
    bool pending;     /* output came too soon after */
};

static void sweep(struct session *s)
{
    struct watcher **p = &s->watchers;

    while (*p) {
        struct watcher *w = *p;

        if (w->g) {
            p = &w->next;
            continue;
        }
        *p = w->next;
        free(w);
    }
}

struct watcher *session_watch(struct session *s, struct guest *g, enum board_console c,
                              void (*fn)(void *arg), void *arg)
{
    struct watcher *w = calloc(1, sizeof *w);

    if (!w)
        return NULL;
    *w = (struct watcher){.next = s->watchers, .g = g, .console = c, .fn = fn, .arg = arg};
    s->watchers = w;
    console_rearm(vm_console(g->vm, c));
    return w;
}

void session_unwatch(struct session *s, struct watcher *w)
{
    if (!w)
        return;
    w->g = NULL;
    if (!s->watch_depth)
        sweep(s);
}

void session_unwatch_guest(struct session *s, struct guest *g)
{
    for (struct watcher *w = s->watchers; w; w = w->next)
        if (w->g == g)
            w->fn = NULL; /* its owner still has the pointer */
}

void session_watch_fini(struct session *s)
{
    for (struct watcher *w = s->watchers; w; w = w->next)
        w->g = NULL;
    sweep(s);
}

/* Rearms first, then calls: what comes in between is told again. */
static void call(struct session *s, struct watcher *w, uint64_t now)
{
    w->last_ns = now;
    w->pending = false;
    if (!w->fn)
        return;
    console_rearm(vm_console(w->g->vm, w->console));
    s->watch_depth++;
    w->fn(w->arg);
    if (--s->watch_depth == 0)
        sweep(s);
}

void session_pump(void *arg)
{
    struct session *s = arg;
    uint64_t now = clock_mono_ns();
    struct watcher *w, *next;

    s->pump_armed = false;
    s->watch_depth++; /* the list stays as it is while we walk it */
    for (w = s->watchers; w; w = next) {
        next = w->next;
        if (w->g && w->pending)
            call(s, w, now);
    }
    if (--s->watch_depth == 0)
        sweep(s);
}

void session_console_event(struct session *s, struct guest *g, enum board_console c)
{
    uint64_t now = clock_mono_ns();
    struct watcher *w, *next;

    s->watch_depth++;
    for (w = s->watchers; w; w = next) {
        next = w->next;
        if (w->g != g || w->console != c)
            continue;
        if (now - w->last_ns >= WATCH_GAP_NS) {
            call(s, w, now);
        } else {
            w->pending = true;
            if (!s->pump_armed)
                loop_arm_ns(s->pump, WATCH_GAP_NS);
            s->pump_armed = true;
        }
    }
    if (--s->watch_depth == 0)
        sweep(s);
}
