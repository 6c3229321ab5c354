/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * expect: looks for a regular expression in what a console says, as it comes.
 *
 * Escape sequences and controls are taken out before. Only a window of the last
 * EXPECT_WINDOW bytes is kept, and a match that began more than EXPECT_OVERLAP bytes before
 * the newest piece may be missed. Threads: the caller's.
 */
#ifndef RUCHE_CORE_EXPECT_H
#define RUCHE_CORE_EXPECT_H

#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EXPECT_WINDOW = 256 << 10, EXPECT_OVERLAP = 4096 };

struct expect;
struct text;

/* Begins at position `pos` of a console's stream. NULL and `e`: no regular expression. */
struct expect *expect_new(const char *regex, uint64_t pos, struct err *e);
void expect_free(struct expect *x);

/* The next bytes of the stream; `lost`: that many are missing before them. True on a match:
 * then what follows it is not consumed. */
bool expect_feed(struct expect *x, const void *bytes, size_t len, uint64_t lost);

/* After a match: position in the stream behind it, and the whole line where it ended. */
uint64_t expect_end(const struct expect *x);
void expect_line(const struct expect *x, struct text *out);

/* The last `lines` lines that were seen, as plain text, each with `prefix`. */
void expect_tail(const struct expect *x, unsigned lines, const char *prefix, struct text *out);

#endif
