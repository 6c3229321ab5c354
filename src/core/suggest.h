/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * suggest: which of the known words a misspelt one was meant to be.
 */
#ifndef RUCHE_CORE_SUGGEST_H
#define RUCHE_CORE_SUGGEST_H

#include <stddef.h>

struct suggest {
    const char *word; /* what was written */
    const char *best; /* nearest known word so far, NULL if none is near */
    unsigned distance;
};

struct suggest suggest_begin(const char *word);
void suggest_offer(struct suggest *s, const char *known);

/* " (did you mean `memory`?)", or "" if nothing is near. */
const char *suggest_text(const struct suggest *s, char *out, size_t size);

/* Edit distance (insert, delete, replace, swap neighbours), case ignored; words beyond 32 bytes
 * are far from everything. */
unsigned suggest_distance(const char *a, const char *b);

#endif
