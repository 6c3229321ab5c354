/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * emu: a guest's terminal: what it says becomes cells, keys become what it expects to read.
 *
 * A screen of fixed size, as a terminal on a serial line has, and the lines that scrolled off
 * its top. Input is hostile: it passes the guard (guard.h) before libvterm sees it, and cells
 * are made sane when they are read: a character has the width of its cell, colours are in the
 * palette of 256. Nothing of a guest but such cells ever reaches the person's terminal.
 * The size is never changed: the library corrupts memory then. A new size is a new terminal,
 * to which what the console still holds is said again (with emu_mute: it must not answer).
 *
 * Threads: main's.
 */
#ifndef RUCHE_UI_EMU_H
#define RUCHE_UI_EMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct emu;

enum { EMU_COLS = 80, EMU_ROWS = 24, EMU_SCROLL_LINES = 10000 };
enum { EMU_COLS_MIN = 8, EMU_COLS_MAX = 512, EMU_ROWS_MIN = 2, EMU_ROWS_MAX = 200 };

enum emu_attr {
    EMU_BOLD = 1 << 0,
    EMU_UNDERLINE = 1 << 1,
    EMU_REVERSE = 1 << 2,
    EMU_BLINK = 1 << 3,
    EMU_ITALIC = 1 << 4,
};

struct emu_cell {
    uint32_t ch[2];  /* a character and what combines with it, 0: none */
    int16_t fg, bg;  /* of the 256 colours, -1: default */
    uint8_t attr;    /* enum emu_attr */
    uint8_t width;   /* 1, 2; 0: the right half of a wide one */
};

/* `reply` gets what the terminal or emu_key has to say to the guest. Sizes are brought into
 * the limits above. NULL: out of memory. */
struct emu *emu_new(unsigned cols, unsigned rows, void (*reply)(void *arg, const char *bytes, size_t len),
                    void *arg);
void emu_free(struct emu *e);

void emu_feed(struct emu *e, const uint8_t *bytes, size_t len);
void emu_mute(struct emu *e, bool mute); /* answers nothing while muted */

unsigned emu_cols(const struct emu *e);
unsigned emu_rows(const struct emu *e);

/* Changes whenever a cell, the cursor or the title may have changed. */
uint64_t emu_version(const struct emu *e);

/* Row 0 is the top of the screen, row -1 the line that scrolled off last, down to
 * -emu_scrolled(). Beyond that and beyond the columns: blank. */
struct emu_cell emu_cell(const struct emu *e, int row, unsigned col);
unsigned emu_scrolled(const struct emu *e);
uint64_t emu_scrolled_ever(const struct emu *e); /* lines; those that were dropped too */

/* A row as UTF-8 without trailing blanks. Returns its length. */
size_t emu_row_text(const struct emu *e, int row, char *out, size_t size);

/* The next row that contains `what` (letter case does not matter unless it has a capital),
 * from row `from` (inclusive) upwards, `step` -1, or downwards, 1. */
bool emu_search(const struct emu *e, const char *what, int from, int step, int *row);

/* False: the guest has hidden it. */
bool emu_cursor(const struct emu *e, unsigned *row, unsigned *col);
const char *emu_title(const struct emu *e); /* printable, "" if none */
bool emu_is_alternate(const struct emu *e); /* a full-screen program runs */
unsigned emu_bells(const struct emu *e);    /* rung so far */

/* Keys. */
enum emu_key {
    EMU_KEY_UP, EMU_KEY_DOWN, EMU_KEY_LEFT, EMU_KEY_RIGHT, EMU_KEY_INSERT, EMU_KEY_DELETE, EMU_KEY_HOME,
    EMU_KEY_END, EMU_KEY_PAGE_UP, EMU_KEY_PAGE_DOWN, EMU_KEY_BACK_TAB,
    EMU_KEY_F1, /* F2 is EMU_KEY_F1 + 1 ... F12 */
    EMU_KEY_F12 = EMU_KEY_F1 + 11,
};
enum emu_mod { EMU_SHIFT = 1, EMU_ALT = 2, EMU_CTRL = 4 };

void emu_type_key(struct emu *e, enum emu_key key, unsigned mods);
void emu_type_char(struct emu *e, uint32_t cp, unsigned mods); /* controls too: 13 is Enter */
void emu_paste(struct emu *e, const char *utf8, size_t len);   /* bracketed where the guest asked */

#endif
