/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * console: what a guest has said on one of its lines, kept in a ring of bytes.
 *
 * The guest's thread writes and never waits; watchers each keep a position of their own and
 * read at their leisure. Who falls behind by more than the ring loses the oldest bytes, and
 * is told how many. Bytes are kept as the guest sent them: hostile, unparsed.
 *
 * Threads: any thread may call any function.
 */
#ifndef RUCHE_CORE_CONSOLE_H
#define RUCHE_CORE_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

struct console;

enum { CONSOLE_RING_BYTES = 1 << 20 }; /* some 10,000 lines */

struct console *console_new(void);
void console_free(struct console *c);

void console_write(struct console *c, const void *buf, size_t len);

/* Bytes written since the console was made: the position of the end. */
uint64_t console_end(const struct console *c);

/* Position of the oldest byte that is still there. */
uint64_t console_begin(const struct console *c);

/* Copies at most `len` bytes from position *pos and moves it on. If *pos was overwritten, it is
 * first moved to the oldest byte, and the difference added to *lost (may be NULL). */
size_t console_read(struct console *c, uint64_t *pos, void *buf, size_t len, uint64_t *lost);

/* Position where the last `lines` lines begin (or the oldest byte). */
uint64_t console_tail(struct console *c, unsigned lines);

/* Called after a write that follows a console_rearm; on the writer's thread, must not block. */
void console_set_notify(struct console *c, void (*fn)(void *arg), void *arg);
void console_rearm(struct console *c);

#endif
