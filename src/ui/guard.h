/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * guard: what a guest says, made safe for the terminal emulator's library.
 *
 * libvterm 0.1.4 reads and writes out of its bounds on hostile input (truncated UTF-8, REP after
 * a wide character, restored cursors), so only a known language reaches it: complete UTF-8 of
 * known width, a list of CSI sequences with at most 16 parameters of at most 4 digits, a few
 * escapes. Titles (OSC 0-2) stay here, made harmless; REP is written out; all else is dropped:
 * DCS, APC, PM, SOS, C1, ENQ, other OSC, mouse modes, margins left and right. What is held
 * between two calls is bounded. Reference: ECMA-48, xterm's ctlseqs. Threads: one at a time.
 */
#ifndef RUCHE_UI_GUARD_H
#define RUCHE_UI_GUARD_H

#include <stddef.h>
#include <stdint.h>

struct guard;

enum { GUARD_TITLE_BYTES = 80 };

/* `out` gets what is safe, in pieces that never end inside a character or a sequence. `cols`:
 * columns of the screen, the most that one REP may repeat. NULL: out of memory. */
struct guard *guard_new(unsigned cols, void (*out)(void *arg, const char *bytes, size_t len), void *arg);
void guard_free(struct guard *g);

void guard_feed(struct guard *g, const uint8_t *bytes, size_t len);

/* Printable UTF-8, "" before the guest gave one. */
const char *guard_title(const struct guard *g);

/* Columns that a character takes, in any locale: -1 not printable, 0 combining, 1 or 2. */
int guard_width(const struct guard *g, uint32_t cp);

#endif
