/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * console: see console.h.
 */
#include "core/console.h"

#include "core/every_exit.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct console {
    pthread_mutex_t lock; /* protects all below */
    uint8_t *ring;        /* mmap'd: pages that were never written cost nothing */
    uint64_t end;
    void (*notify)(void *arg);
    void *notify_arg;
    bool notified;
};

struct console *console_new(void)
{
    struct console *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    pthread_mutex_init(&c->lock, NULL);
    c->ring = mmap(NULL, CONSOLE_RING_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (c->ring == MAP_FAILED) {
        pthread_mutex_destroy(&c->lock);
        free(c);
        return NULL;
    }
    /* a huge page for the first byte would cost each guest 2 MiB */
    madvise(c->ring, CONSOLE_RING_BYTES, MADV_NOHUGEPAGE);
    return c;
}

void console_free(struct console *c)
{
    if (!c)
        return;
    munmap(c->ring, CONSOLE_RING_BYTES);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static uint64_t begin_locked(const struct console *c)
{
    return c->end > CONSOLE_RING_BYTES ? c->end - CONSOLE_RING_BYTES : 0;
}

EVERY_EXIT void console_write(struct console *c, const void *buf, size_t len)
{
    const uint8_t *p = buf;
    void (*fn)(void *arg) = NULL;
    void *arg = NULL;

    if (len == 0)
        return;
    pthread_mutex_lock(&c->lock);
    if (len > CONSOLE_RING_BYTES) {
        c->end += len - CONSOLE_RING_BYTES;
        p += len - CONSOLE_RING_BYTES;
        len = CONSOLE_RING_BYTES;
    }
    for (size_t n; len; len -= n, p += n, c->end += n) {
        size_t at = c->end % CONSOLE_RING_BYTES;

        n = len < CONSOLE_RING_BYTES - at ? len : CONSOLE_RING_BYTES - at;
        if (n == 1) /* a serial line's way */
            c->ring[at] = *p;
        else
            memcpy(c->ring + at, p, n);
    }
    if (!c->notified) {
        c->notified = true;
        fn = c->notify;
        arg = c->notify_arg;
    }
    pthread_mutex_unlock(&c->lock);
    if (fn)
        fn(arg);
}

uint64_t console_end(const struct console *c)
{
    struct console *m = (struct console *)c;
    uint64_t end;

    pthread_mutex_lock(&m->lock);
    end = c->end;
    pthread_mutex_unlock(&m->lock);
    return end;
}

uint64_t console_begin(const struct console *c)
{
    struct console *m = (struct console *)c;
    uint64_t begin;

    pthread_mutex_lock(&m->lock);
    begin = begin_locked(c);
    pthread_mutex_unlock(&m->lock);
    return begin;
}

size_t console_read(struct console *c, uint64_t *pos, void *buf, size_t len, uint64_t *lost)
{
    uint8_t *p = buf;
    size_t done = 0;

    pthread_mutex_lock(&c->lock);
    if (*pos < begin_locked(c)) {
        if (lost)
            *lost += begin_locked(c) - *pos;
        *pos = begin_locked(c);
    }
    if (*pos > c->end)
        *pos = c->end;
    while (done < len && *pos < c->end) {
        size_t at = *pos % CONSOLE_RING_BYTES;
        size_t n = CONSOLE_RING_BYTES - at;

        if (n > c->end - *pos)
            n = (size_t)(c->end - *pos);
        if (n > len - done)
            n = len - done;
        memcpy(p + done, c->ring + at, n);
        done += n;
        *pos += n;
    }
    pthread_mutex_unlock(&c->lock);
    return done;
}

uint64_t console_tail(struct console *c, unsigned lines)
{
    uint64_t pos, begin;

    pthread_mutex_lock(&c->lock);
    begin = begin_locked(c);
    pos = c->end;
    while (pos > begin) {
        /* the newline that ends the last line does not count as a line of its own */
        if (c->ring[(pos - 1) % CONSOLE_RING_BYTES] == '\n' && pos != c->end && lines-- <= 1)
            break;
        pos--;
    }
    pthread_mutex_unlock(&c->lock);
    return pos;
}

void console_set_notify(struct console *c, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&c->lock);
    c->notify = fn;
    c->notify_arg = arg;
    c->notified = false;
    pthread_mutex_unlock(&c->lock);
}

void console_rearm(struct console *c)
{
    pthread_mutex_lock(&c->lock);
    c->notified = false;
    pthread_mutex_unlock(&c->lock);
}
