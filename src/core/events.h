/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * events: the last things that happened in a session, in a ring.
 */
#ifndef RUCHE_CORE_EVENTS_H
#define RUCHE_CORE_EVENTS_H

#include "core/vm_config.h"

#include <stdint.h>

enum { EVENTS_KEPT = 1024 };

enum event_kind {
    EV_STATE,   /* a guest changed its state */
    EV_RESET,   /* it rebooted */
    EV_FAILED,  /* what was asked of it could not be done */
    EV_DEVICE,  /* one of its devices is in error */
    EV_EXIT,    /* it wrote an exit code */
    EV_CONFIG,  /* what it gets was changed: share, cap, memory */
    EV_SESSION, /* of the session: create, remove, at, hooks */
    EV_KINDS
};

const char *event_kind_name(enum event_kind k);

struct event {
    uint64_t seq;     /* from 1, without gaps */
    uint64_t real_ns; /* wall clock */
    enum event_kind kind;
    char guest[VM_NAME_MAX + 1]; /* "": the session */
    char text[ERR_TEXT];
};

struct events {
    uint64_t next; /* seq of the next one; 0 counts as 1 */
    struct event *ring;
};

int events_init(struct events *e); /* -ENOMEM */
void events_fini(struct events *e);

/* Adds one; the oldest goes. Returns it (valid until EVENTS_KEPT more). */
const struct event *events_add(struct events *e, enum event_kind k, const char *guest, const char *text);

/* The event `seq`, NULL if it is gone or not there yet. */
const struct event *events_get(const struct events *e, uint64_t seq);
uint64_t events_last(const struct events *e); /* 0: none */

/* "14:02:11.123" in local time. */
const char *event_time(const struct event *ev, char out[16]);

#endif
