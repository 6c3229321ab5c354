/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * vclock: see vclock.h. Armed timers stand in a binary heap by due time; one timerfd, set to
 * the earliest, wakes the I/O thread.
 */
#include "core/vclock.h"

#include "core/clock.h"
#include "core/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* Each device has a fixed number of timers; guests cannot make more. */
enum { VCLOCK_MAX_TIMERS = 512, VCLOCK_FIRES_PER_WAKE = 64 };

struct vclock {
    pthread_mutex_t lock; /* protects all below */
    bool manual, paused;
    uint64_t pace_ns; /* between wakes; 0: not paced */
    uint64_t next_ns; /* host time; paced: no wake before it */
    uint64_t base_ns; /* guest time when `host_ns` was taken; manual or paused: guest time */
    uint64_t host_ns;
    struct vtimer *heap[VCLOCK_MAX_TIMERS];
    unsigned nheap;
    int fd; /* timerfd, -1 if manual */
    struct loop_fd *source;
};

static uint64_t now_locked(const struct vclock *c)
{
    if (c->manual || c->paused)
        return c->base_ns;
    return c->base_ns + (clock_mono_ns() - c->host_ns);
}

static void heap_put(struct vclock *c, unsigned i, struct vtimer *t)
{
    c->heap[i] = t;
    t->slot = i;
}

static void heap_up(struct vclock *c, unsigned i)
{
    struct vtimer *t = c->heap[i];

    while (i > 0 && c->heap[(i - 1) / 2]->due_ns > t->due_ns) {
        heap_put(c, i, c->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    heap_put(c, i, t);
}

static void heap_down(struct vclock *c, unsigned i)
{
    struct vtimer *t = c->heap[i];

    for (;;) {
        unsigned k = 2 * i + 1;

        if (k >= c->nheap)
            break;
        if (k + 1 < c->nheap && c->heap[k + 1]->due_ns < c->heap[k]->due_ns)
            k++;
        if (c->heap[k]->due_ns >= t->due_ns)
            break;
        heap_put(c, i, c->heap[k]);
        i = k;
    }
    heap_put(c, i, t);
}

static void heap_remove(struct vclock *c, struct vtimer *t)
{
    unsigned i = t->slot;

    t->armed = false;
    c->nheap--;
    if (i == c->nheap)
        return;
    heap_put(c, i, c->heap[c->nheap]);
    heap_up(c, i);
    heap_down(c, c->heap[i]->slot);
}

static void program_locked(struct vclock *c)
{
    struct itimerspec its = {0};
    uint64_t at;

    if (c->fd < 0)
        return;
    if (!c->paused && c->nheap) {
        uint64_t due = c->heap[0]->due_ns;

        at = due > c->base_ns ? c->host_ns + (due - c->base_ns) : 1;
        if (at < c->host_ns && due > c->base_ns)
            at = UINT64_MAX; /* a guest may ask for the end of time */
        if (c->pace_ns && at < c->next_ns)
            at = c->next_ns;
        its.it_value.tv_sec = (time_t)(at / NS_PER_S);
        its.it_value.tv_nsec = (long)(at % NS_PER_S);
    }
    timerfd_settime(c->fd, TFD_TIMER_ABSTIME, &its, NULL);
}

/* Takes the earliest timer due by `until_ns`, or NULL. */
static struct vtimer *take_due_locked(struct vclock *c, uint64_t until_ns)
{
    struct vtimer *t;

    if (c->nheap == 0 || c->heap[0]->due_ns > until_ns)
        return NULL;
    t = c->heap[0];
    heap_remove(c, t);
    return t;
}

static void use_pace_locked(struct vclock *c)
{
    uint64_t burst = clock_mono_ns() - VCLOCK_PACED_BURST * c->pace_ns;

    c->next_ns = (c->next_ns > burst ? c->next_ns : burst) + c->pace_ns;
}

static void vclock_wake(void *arg, uint32_t events)
{
    struct vclock *c = arg;
    uint64_t n;

    (void)events;
    if (read(c->fd, &n, sizeof n) < 0 && errno != EAGAIN)
        return;
    pthread_mutex_lock(&c->lock);
    if (c->pace_ns)
        use_pace_locked(c);
    /* bounded: a guest that re-arms in the past must not keep this thread for itself */
    for (int i = 0; i < VCLOCK_FIRES_PER_WAKE && !c->paused; i++) {
        struct vtimer *t = take_due_locked(c, now_locked(c));

        if (!t)
            break;
        pthread_mutex_unlock(&c->lock);
        t->fn(t->arg);
        pthread_mutex_lock(&c->lock);
    }
    program_locked(c);
    pthread_mutex_unlock(&c->lock);
}

struct vclock *vclock_new_manual(void)
{
    struct vclock *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    pthread_mutex_init(&c->lock, NULL);
    c->manual = true;
    c->fd = -1;
    return c;
}

struct vclock *vclock_new(struct loop *l, struct err *e)
{
    struct vclock *c = vclock_new_manual();

    if (!c) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    c->manual = false;
    c->paused = true;
    c->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (c->fd < 0)
        err_set(e, errno, "cannot create a timer: %s", strerror(errno));
    else
        c->source = loop_add_fd(l, c->fd, EPOLLIN, vclock_wake, c, e);
    if (!c->source) {
        vclock_free(c);
        return NULL;
    }
    return c;
}

void vclock_free(struct vclock *c)
{
    if (!c)
        return;
    loop_del_fd(c->source);
    if (c->fd >= 0)
        close(c->fd);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

uint64_t vclock_now_ns(const struct vclock *c)
{
    struct vclock *m = (struct vclock *)c;
    uint64_t now;

    pthread_mutex_lock(&m->lock);
    now = now_locked(c);
    pthread_mutex_unlock(&m->lock);
    return now;
}

void vclock_pause(struct vclock *c)
{
    pthread_mutex_lock(&c->lock);
    c->base_ns = now_locked(c);
    c->paused = true;
    program_locked(c);
    pthread_mutex_unlock(&c->lock);
}

void vclock_resume(struct vclock *c)
{
    pthread_mutex_lock(&c->lock);
    if (c->paused) {
        c->host_ns = clock_mono_ns();
        c->paused = false;
        program_locked(c);
    }
    pthread_mutex_unlock(&c->lock);
}

void vclock_pace(struct vclock *c, unsigned hz)
{
    pthread_mutex_lock(&c->lock);
    c->pace_ns = hz ? NS_PER_S / hz : 0;
    program_locked(c);
    pthread_mutex_unlock(&c->lock);
}

void vclock_step(struct vclock *c, uint64_t ns)
{
    uint64_t end;
    struct vtimer *t;

    pthread_mutex_lock(&c->lock);
    end = c->base_ns + (c->paused ? 0 : ns);
    while (!c->paused && (t = take_due_locked(c, end)) != NULL) {
        if (t->due_ns > c->base_ns)
            c->base_ns = t->due_ns;
        pthread_mutex_unlock(&c->lock);
        t->fn(t->arg);
        pthread_mutex_lock(&c->lock);
    }
    if (!c->paused) /* a timer may have paused the clock, at its own time */
        c->base_ns = end;
    pthread_mutex_unlock(&c->lock);
}

uint64_t vclock_next_ns(const struct vclock *c)
{
    struct vclock *m = (struct vclock *)c;
    uint64_t ns = UINT64_MAX;

    pthread_mutex_lock(&m->lock);
    if (c->nheap) {
        uint64_t now = now_locked(c), due = c->heap[0]->due_ns;

        ns = due > now ? due - now : 0;
    }
    pthread_mutex_unlock(&m->lock);
    return ns;
}

void vtimer_init(struct vtimer *t, struct vclock *c, void (*fn)(void *arg), void *arg)
{
    *t = (struct vtimer){.clock = c, .fn = fn, .arg = arg};
}

void vtimer_arm(struct vtimer *t, uint64_t due_ns)
{
    struct vclock *c = t->clock;
    bool earliest;

    pthread_mutex_lock(&c->lock);
    if (t->armed && t->due_ns == due_ns) { /* devices re-arm whenever they look; no system call */
        pthread_mutex_unlock(&c->lock);
        return;
    }
    earliest = t->armed && t->slot == 0;
    if (t->armed)
        heap_remove(c, t);
    if (c->nheap < VCLOCK_MAX_TIMERS) {
        t->due_ns = due_ns;
        t->armed = true;
        heap_put(c, c->nheap++, t);
        heap_up(c, t->slot);
    }
    if (earliest || (t->armed && t->slot == 0))
        program_locked(c);
    pthread_mutex_unlock(&c->lock);
}

void vtimer_cancel(struct vtimer *t)
{
    struct vclock *c = t->clock;
    bool earliest;

    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    earliest = t->armed && t->slot == 0;
    if (t->armed)
        heap_remove(c, t);
    if (earliest)
        program_locked(c);
    pthread_mutex_unlock(&c->lock);
}

bool vtimer_is_armed(const struct vtimer *t)
{
    bool armed;

    pthread_mutex_lock(&t->clock->lock);
    armed = t->armed;
    pthread_mutex_unlock(&t->clock->lock);
    return armed;
}
