/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * diag: what is wrong in a file that a person wrote, all of it at once, each with its place.
 */
#ifndef RUCHE_CORE_DIAG_H
#define RUCHE_CORE_DIAG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct text;

enum { DIAGS_MAX = 50 }; /* more are counted only */

struct diag {
    unsigned line, column; /* from 1; line 0: the file as a whole */
    bool warning;
    char msg[360];
};

struct diags {
    char *file;
    unsigned n, errors, warnings; /* n: kept in d */
    struct diag d[DIAGS_MAX];
};

struct diags *diags_new(const char *file);
void diags_free(struct diags *d);

void diags_error(struct diags *d, unsigned line, unsigned column, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void diags_warn(struct diags *d, unsigned line, unsigned column, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* In the order of the file. */
void diags_sort(struct diags *d);

/* `file:line:column: sentence`, one line each; how many more there are. */
void diags_print(const struct diags *d, struct text *out);

#endif
