/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * past: the last samples of every guest, in rings of a fixed size.
 *
 * All guests share one count of ticks, so that the same tick of two guests is the same moment:
 * their values can be stacked.
 */
#ifndef RUCHE_UI_PAST_H
#define RUCHE_UI_PAST_H

#include <stdbool.h>
#include <stdint.h>

enum { PAST_TICKS = 900 }; /* a quarter of an hour at one a second; 18 KiB a guest */

enum past_field {
    HIST_CPU,      /* host CPUs used */
    HIST_ENTITLED, /* host CPUs that it should get */
    HIST_EXITS,    /* per second */
    HIST_MEMORY,   /* resident bytes */
    HIST_IO,       /* bytes per second, disks */
    HIST_FIELDS
};

struct past;

struct past *past_new(void);
void past_free(struct past *h);

/* Begins the next moment; guests that are not set in it have no value there. */
void past_tick(struct past *h);
void past_set(struct past *h, unsigned id, const float v[HIST_FIELDS]); /* out of memory: no value */
void past_drop(struct past *h, unsigned id);
uint64_t past_ticks(const struct past *h);

/* The `n` values that end `back` ticks ago, oldest first; NAN where there is none. */
void past_get(const struct past *h, unsigned id, enum past_field f, unsigned back, int n, float *out);

#endif
