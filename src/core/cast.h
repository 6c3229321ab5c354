/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cast: a guest's console recorded with its timing, and recordings read back: asciicast v2
 * (docs.asciinema.org/manual/asciicast/v2), which asciinema and its players know.
 *
 * A recording is bounded: when it has reached its size it ends, and an event says so. Bytes
 * that are no UTF-8 are recorded as U+FFFD; a character that comes in two pieces is kept whole.
 * Threads: main's.
 */
#ifndef RUCHE_CORE_CAST_H
#define RUCHE_CORE_CAST_H

#include "core/board.h"
#include "core/err.h"

#include <stddef.h>
#include <stdint.h>

struct cast;
struct cast_reader;
struct guest;
struct session;

enum { CAST_SIZE_DEFAULT = 64 << 20, CAST_COLS = 80, CAST_ROWS = 24 };

/* Begins with what the guest says from now on. NULL and `e`: -EEXIST if the file is there. */
struct cast *cast_new(struct session *s, struct guest *g, enum board_console c, const char *path,
                      uint64_t size_bytes, struct err *e);
void cast_free(struct cast *c); /* writes what is left */
const char *cast_path(const struct cast *c);

/* A recording, read event by event. NULL and `e`: it cannot be read, or is none. */
struct cast_reader *cast_open(const char *path, struct err *e);
void cast_close(struct cast_reader *r);
unsigned cast_cols(const struct cast_reader *r);
unsigned cast_rows(const struct cast_reader *r);

/* The next output: when, since its beginning, and what; valid until the next call. 1: there is
 * one; 0: the end; -errno and `e`: the file is broken here. */
int cast_next(struct cast_reader *r, uint64_t *at_ns, const char **text, size_t *len, struct err *e);

#endif
