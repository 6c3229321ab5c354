/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * history: the last samples of every guest, in rings of a fixed size.
 *
 * All guests share one count of ticks, so that the same tick of two guests is the same moment:
 * their values can be stacked.
 */
#ifndef RUCHE_UI_HISTORY_H
#define RUCHE_UI_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

enum { HISTORY_TICKS = 900 }; /* a quarter of an hour at one a second; 18 KiB a guest */

enum history_field {
    HIST_CPU,      /* host CPUs used */
    HIST_ENTITLED, /* host CPUs that it should get */
    HIST_EXITS,    /* per second */
    HIST_MEMORY,   /* resident bytes */
    HIST_IO,       /* bytes per second, disks */
    HIST_FIELDS
};

struct history;

struct history *history_new(void);
void history_free(struct history *h);

/* Begins the next moment; guests that are not set in it have no value there. */
void history_tick(struct history *h);
void history_set(struct history *h, unsigned id, const float v[HIST_FIELDS]); /* out of memory: no value */
void history_drop(struct history *h, unsigned id);
uint64_t history_ticks(const struct history *h);

/* The `n` values that end `back` ticks ago, oldest first; NAN where there is none. */
void history_get(const struct history *h, unsigned id, enum history_field f, unsigned back, int n, float *out);

#endif
