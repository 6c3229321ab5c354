/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * columns: a table of text cells, printed aligned.
 */
#ifndef RUCHE_CORE_COLUMNS_H
#define RUCHE_CORE_COLUMNS_H

#include "core/text.h"

enum { COLUMNS_MAX = 24 };

struct columns {
    unsigned n;             /* columns */
    char align[COLUMNS_MAX]; /* '<' or '>' each */
    struct text cells;      /* NUL-terminated one behind the other, row by row */
    size_t ncells;
};

/* `head`: titles with `|` between, each beginning with `<` or `>` for its side: "<NAME|>CPU%". */
void columns_init(struct columns *c, const char *head);
void columns_fini(struct columns *c);

/* The next cell; a row is over when all its columns were given. "" is an empty cell. */
void columns_cell(struct columns *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Every line ends without trailing blanks. */
void columns_print(const struct columns *c, struct text *out);

#endif
