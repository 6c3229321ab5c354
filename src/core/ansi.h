/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ansi: takes escape sequences out of what a guest says, byte by byte.
 *
 * Two uses: plain text for matching, logs and pipes (all sequences go, and what a terminal
 * would not show), and a raw terminal (only the strings go by which a guest could change the
 * title, the clipboard or the terminal's settings: OSC, DCS, APC, PM, SOS). What the parser
 * holds between calls is its state only, never bytes: hostile input cannot make it grow.
 */
#ifndef RUCHE_CORE_ANSI_H
#define RUCHE_CORE_ANSI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ansi_state { ANSI_TEXT, ANSI_ESC, ANSI_CSI, ANSI_STRING, ANSI_STRING_ESC, ANSI_SKIP };

struct ansi {
    enum ansi_state state;
    bool lead; /* 0xc2 came and was not passed on yet */
};

/* Both write at most 2 * `len` + 1 bytes to `out` and return how many; `out` is not `in`. */
size_t ansi_plain(struct ansi *a, const uint8_t *in, size_t len, char *out);
size_t ansi_safe(struct ansi *a, const uint8_t *in, size_t len, char *out);

#endif
