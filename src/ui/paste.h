/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * paste: gathers what a terminal sends as one bracketed paste. Threads: main's.
 */
#ifndef RUCHE_UI_PASTE_H
#define RUCHE_UI_PASTE_H

#include "core/text.h"
#include "ui/view.h"

struct paste { /* all zero: none; text_free(&text) when done with it */
    bool on;
    uint64_t last_ns; /* when the last key of it came */
    struct text text; /* UTF-8 */
};

enum paste_step {
    PASTE_NOT,  /* the key is no part of a paste */
    PASTE_MORE, /* it was taken */
    PASTE_WHOLE /* it was the end: `text` is the caller's, to use and to clear */
};

/* Characters beyond `max` bytes are left out. A paste comes at once: one that has not ended a second
 * after its last key is dropped, for its end was lost and it must not take all keys for ever. */
enum paste_step paste_take(struct paste *p, const struct key *k, size_t max);

#endif
