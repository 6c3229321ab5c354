/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * emu_scroll: lines that scrolled off the top of a guest's terminal: a ring, without the blanks
 * at their ends. Threads: main's.
 */
#ifndef RUCHE_UI_EMU_SCROLL_H
#define RUCHE_UI_EMU_SCROLL_H

#include "ui/emu.h"

struct emu_scroll;

struct emu_scroll *emu_scroll_new(unsigned lines);
void emu_scroll_free(struct emu_scroll *s);

/* The oldest line goes when it is full; a line that there is no memory for is blank. */
void emu_scroll_push(struct emu_scroll *s, const struct emu_cell *cells, unsigned n);

unsigned emu_scroll_lines(const struct emu_scroll *s);
uint64_t emu_scroll_ever(const struct emu_scroll *s);

/* `back` 0 is the newest. NULL and *n 0: blank, or there is none. */
const struct emu_cell *emu_scroll_line(const struct emu_scroll *s, unsigned back, unsigned *n);

bool emu_cell_is_blank(const struct emu_cell *c);

#endif
