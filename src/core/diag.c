/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * diag: see diag.h.
 */
#include "core/diag.h"

#include "core/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct diags *diags_new(const char *file)
{
    struct diags *d = calloc(1, sizeof *d);

    if (d)
        d->file = strdup(file);
    if (d && !d->file) {
        free(d);
        return NULL;
    }
    return d;
}

void diags_free(struct diags *d)
{
    if (!d)
        return;
    free(d->file);
    free(d);
}

static void diags_add(struct diags *d, unsigned line, unsigned column, bool warning, const char *fmt,
                      va_list ap)
{
    struct diag *x;

    if (warning)
        d->warnings++;
    else
        d->errors++;
    if (d->n == DIAGS_MAX)
        return;
    x = &d->d[d->n++];
    x->line = line;
    x->column = column;
    x->warning = warning;
    vsnprintf(x->msg, sizeof x->msg, fmt, ap);
}

void diags_error(struct diags *d, unsigned line, unsigned column, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    diags_add(d, line, column, false, fmt, ap);
    va_end(ap);
}

void diags_warn(struct diags *d, unsigned line, unsigned column, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    diags_add(d, line, column, true, fmt, ap);
    va_end(ap);
}

static bool diag_before(const struct diag *a, const struct diag *b)
{
    return a->line != b->line ? a->line < b->line : a->column < b->column;
}

void diags_sort(struct diags *d)
{
    for (unsigned i = 1; i < d->n; i++) {
        struct diag x = d->d[i];
        unsigned j = i;

        for (; j > 0 && diag_before(&x, &d->d[j - 1]); j--)
            d->d[j] = d->d[j - 1];
        d->d[j] = x;
    }
}

void diags_print(const struct diags *d, struct text *out)
{
    char file[300];

    text_show(file, sizeof file, d->file);
    for (unsigned i = 0; i < d->n; i++) {
        const struct diag *x = &d->d[i];

        text_puts(out, file);
        if (x->line)
            text_printf(out, ":%u:%u", x->line, x->column);
        text_printf(out, ": %s%s\n", x->warning ? "warning: " : "", x->msg);
    }
    if (d->errors + d->warnings > d->n)
        text_printf(out, "%s: and %u more\n", file, d->errors + d->warnings - d->n);
}
