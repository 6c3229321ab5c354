/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * debug_ports: see debug_ports.h.
 */
#include "devices/debug_ports.h"

#include "core/every_exit.h"

#include <errno.h>
#include <stdlib.h>

enum { DEBUG_CONSOLE_ID = 0xe9 };

struct debug_ports {
    pthread_mutex_t lock; /* protects all below */
    struct debug_ports_host host;
    uint8_t post;
};

static uint64_t post_read(void *dev, uint64_t off, unsigned size)
{
    struct debug_ports *d = dev;

    (void)off, (void)size;
    return d->post;
}

static void post_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct debug_ports *d = dev;

    (void)off, (void)size;
    d->post = (uint8_t)val;
}

static uint64_t console_read(void *dev, uint64_t off, unsigned size)
{
    (void)dev, (void)off, (void)size;
    return DEBUG_CONSOLE_ID;
}

EVERY_EXIT static void console_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct debug_ports *d = dev;
    uint8_t c = (uint8_t)val;

    (void)off, (void)size;
    if (d->host.out)
        d->host.out(d->host.opaque, &c, 1);
}

static uint64_t exit_read(void *dev, uint64_t off, unsigned size)
{
    (void)dev, (void)off, (void)size;
    return 0;
}

static void exit_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct debug_ports *d = dev;

    (void)size;
    if (off == 0 && d->host.power)
        d->host.power(d->host.opaque, BOARD_DEBUG_EXIT, (unsigned)val);
}

const struct bus_ops debug_post_ops = {.read = post_read, .write = post_write, .widths = BUS_W1};
const struct bus_ops debug_console_ops = {
    .read = console_read, .write = console_write, .widths = BUS_W1,
};
const struct bus_ops debug_exit_ops = {
    .read = exit_read, .write = exit_write, .widths = BUS_W1 | BUS_W2 | BUS_W4,
};

struct debug_ports *debug_ports_new(const struct debug_ports_host *host, struct err *e)
{
    struct debug_ports *d = calloc(1, sizeof *d);

    if (!d) {
        err_set(e, ENOMEM, "out of memory for the debug ports; free some or start fewer guests");
        return NULL;
    }
    pthread_mutex_init(&d->lock, NULL);
    d->host = *host;
    return d;
}

void debug_ports_free(struct debug_ports *d)
{
    if (!d)
        return;
    pthread_mutex_destroy(&d->lock);
    free(d);
}

void debug_ports_reset(struct debug_ports *d)
{
    pthread_mutex_lock(&d->lock);
    d->post = 0;
    pthread_mutex_unlock(&d->lock);
}

pthread_mutex_t *debug_ports_lock(struct debug_ports *d)
{
    return &d->lock;
}

uint8_t debug_ports_post(struct debug_ports *d)
{
    uint8_t post;

    pthread_mutex_lock(&d->lock);
    post = d->post;
    pthread_mutex_unlock(&d->lock);
    return post;
}
