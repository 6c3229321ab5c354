/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * words: a command line into words and back, with a subset of the shell's quoting.
 *
 * '...' takes all literally; in "..." a backslash escapes " and \; outside, a backslash escapes
 * a blank, a quote, # and \. Before anything else a backslash stays, so that `send VM a\n`
 * and regular expressions need no second one. # at the beginning of a word begins a comment.
 */
#ifndef RUCHE_CORE_WORDS_H
#define RUCHE_CORE_WORDS_H

#include "core/err.h"
#include "core/text.h"

#include <stdbool.h>
#include <stddef.h>

enum { WORDS_MAX = 256 };

struct words {
    unsigned n;
    char *w[WORDS_MAX];
    size_t start[WORDS_MAX]; /* offset of its first byte in the line */
    char quote;              /* the line ended inside this quote (words_split_open) */
};

/* -EINVAL: a quote is not closed, too many words. */
int words_split(const char *line, struct words *w, struct err *e);

/* The first `len` bytes of a line that is still being typed: an open quote is no mistake; the
 * last word is the one under the cursor, "" after a blank. */
int words_split_open(const char *line, size_t len, struct words *w);

void words_free(struct words *w);

/* Adds `word` to a line so that words_split gives it back. */
void words_quote(struct text *line, const char *word);

#endif
