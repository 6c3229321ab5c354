/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * events: see events.h.
 */
#include "core/events.h"

#include "core/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

const char *event_kind_name(enum event_kind k)
{
    static const char *const names[EV_KINDS] = {"state", "reset", "failed", "device", "exit", "config", "session"};

    return names[k];
}

int events_init(struct events *e)
{
    e->next = 1;
    e->ring = calloc(EVENTS_KEPT, sizeof *e->ring);
    return e->ring ? 0 : -ENOMEM;
}

void events_fini(struct events *e)
{
    free(e->ring);
    e->ring = NULL;
}

const struct event *events_add(struct events *e, enum event_kind k, const char *guest, const char *text)
{
    struct event *ev = &e->ring[e->next % EVENTS_KEPT];

    ev->seq = e->next++;
    ev->real_ns = clock_real_ns();
    ev->kind = k;
    snprintf(ev->guest, sizeof ev->guest, "%s", guest);
    snprintf(ev->text, sizeof ev->text, "%s", text);
    return ev;
}

const struct event *events_get(const struct events *e, uint64_t seq)
{
    const struct event *ev = &e->ring[seq % EVENTS_KEPT];

    return seq && ev->seq == seq ? ev : NULL;
}

uint64_t events_last(const struct events *e)
{
    return e->next - 1;
}

const char *event_time(const struct event *ev, char out[16])
{
    time_t t = (time_t)(ev->real_ns / 1000000000);
    struct tm tm;

    localtime_r(&t, &tm);
    snprintf(out, 16, "%02u:%02u:%02u.%03u", (unsigned)tm.tm_hour % 24, (unsigned)tm.tm_min % 60,
             (unsigned)tm.tm_sec % 61, (unsigned)(ev->real_ns / 1000000 % 1000));
    return out;
}
