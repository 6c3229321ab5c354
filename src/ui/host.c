/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * host: see host.h.
 */
#include "ui/host.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STAT_BYTES = 64 << 10, IDLE = 3, IOWAIT = 4, TIMES = 8 }; /* guest times are in user's already */

static void forget(struct host_cpu *c)
{
    for (int i = 0; i < HOST_PAST; i++)
        c->past[i] = NAN;
}

void host_init(struct host *h)
{
    *h = (struct host){.fd = open("/proc/stat", O_RDONLY | O_CLOEXEC), .busy = NAN};
    forget(&h->sum);
    for (int i = 0; i < HOST_CPUS; i++)
        forget(&h->cpu[i]);
}

void host_fini(struct host *h)
{
    if (h->fd >= 0)
        close(h->fd);
    h->fd = -1;
}

static void advance(struct host_cpu *c, uint64_t busy, uint64_t all)
{
    float part = NAN;

    if (c->seen && all > c->all && busy >= c->busy)
        part = (float)((double)(busy - c->busy) / (double)(all - c->all));
    else if (c->seen && all == c->all)
        return; /* no tick since */
    memmove(c->past, c->past + 1, (HOST_PAST - 1) * sizeof *c->past);
    c->past[HOST_PAST - 1] = part;
    c->busy = busy;
    c->all = all;
    c->seen = true;
}

/* `s`: behind "cpu3". */
static void read_line(struct host_cpu *c, const char *s)
{
    uint64_t all = 0, busy = 0;

    for (int i = 0; i < TIMES; i++) {
        char *end;
        uint64_t v = strtoull(s, &end, 10);

        if (end == s)
            break;
        all += v;
        busy += i == IDLE || i == IOWAIT ? 0 : v;
        s = end;
    }
    if (all)
        advance(c, busy, all);
}

void host_parse(struct host *h, const char *text)
{
    unsigned cpus = 0;

    for (const char *s = text; s && strncmp(s, "cpu", 3) == 0; s = strchr(s, '\n'), s = s ? s + 1 : NULL) {
        char *end;
        unsigned long n;

        if (s[3] == ' ') {
            read_line(&h->sum, s + 4);
            continue;
        }
        n = strtoul(s + 3, &end, 10);
        cpus++;
        if (end != s + 3 && n < HOST_CPUS)
            read_line(&h->cpu[n], end);
    }
    h->cpus = cpus;
    h->busy = h->sum.past[HOST_PAST - 1] * cpus;
}

void host_sample(struct host *h)
{
    char *buf = h->fd >= 0 ? malloc(STAT_BYTES) : NULL;
    ssize_t n = buf ? pread(h->fd, buf, STAT_BYTES - 1, 0) : -1;

    if (n > 0) {
        buf[n] = '\0';
        host_parse(h, buf);
    } else {
        h->busy = NAN;
    }
    free(buf);
}
