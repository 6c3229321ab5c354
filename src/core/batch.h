/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * batch: the table of guests as text or CSV, every some seconds, for those who can't or don't
 * want a full screen, and for spreadsheets (as `top -b`, `xentop -b`).
 *
 * Text is for reading: units, `-` for what cannot be known. CSV is for programs: one head line,
 * then a line per guest and sample, plain numbers in the units that the head names, nothing
 * between two commas for what cannot be known.
 *
 * Threads: main's.
 */
#ifndef RUCHE_CORE_BATCH_H
#define RUCHE_CORE_BATCH_H

#include "core/session.h"

struct batch;

struct batch_params {
    bool csv;
    uint64_t interval_ns; /* between samples */
    uint64_t count;       /* samples, then `done`; 0: without end */
    /* Whole lines. */
    void (*write)(void *opaque, const char *text, size_t len);
    void (*done)(void *opaque);
    void *opaque;
};

/* The first sample comes after one interval, so that its rates are over an interval. */
struct batch *batch_new(struct session *s, const struct batch_params *p, struct err *e);
void batch_free(struct batch *b); /* NULL is legal */

#endif
