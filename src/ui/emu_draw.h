/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * emu_draw: a guest's terminal on the person's screen, by cells (draw_raw) only: nothing that a
 * guest says reaches the screen in another way. Threads: main's.
 */
#ifndef RUCHE_UI_EMU_DRAW_H
#define RUCHE_UI_EMU_DRAW_H

#include "ui/draw.h"
#include "ui/emu.h"

/* What an area shows of a terminal: its first row and column. */
struct emu_port {
    int row;
    unsigned col;
};

/* The part with the cursor and what was said last; above it, where there is room, what scrolled
 * off. */
struct emu_port emu_port_live(const struct emu *e, struct area a);

void emu_draw(const struct emu *e, struct area a, struct emu_port p);

/* Where the guest's cursor is on the screen; false: hidden, or not in the area. */
bool emu_caret(const struct emu *e, struct area a, struct emu_port p, int *y, int *x);

#endif
