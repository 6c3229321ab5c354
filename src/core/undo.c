/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * undo: see undo.h.
 */
#include "core/undo.h"

#include "core/text.h"

#include <stdlib.h>
#include <string.h>

struct undo_record {
    char *what, *why;
    struct text lines;
};

struct undo {
    unsigned n;
    bool open; /* the last record still takes steps */
    struct undo_record r[UNDO_KEPT];
};

static void record_free(struct undo_record *r)
{
    free(r->what);
    free(r->why);
    text_free(&r->lines);
    memset(r, 0, sizeof *r);
}

struct undo *undo_new(void)
{
    return calloc(1, sizeof(struct undo));
}

void undo_free(struct undo *u)
{
    if (!u)
        return;
    for (unsigned i = 0; i < u->n; i++)
        record_free(&u->r[i]);
    free(u);
}

static struct undo_record *undo_push(struct undo *u, const char *what)
{
    struct undo_record *last = u->n ? &u->r[u->n - 1] : NULL;

    if (last && !last->why && last->lines.len == 0) { /* begun, but it changed nothing */
        record_free(last);
        u->n--;
    }
    if (u->n == UNDO_KEPT) {
        record_free(&u->r[0]);
        memmove(&u->r[0], &u->r[1], (UNDO_KEPT - 1) * sizeof u->r[0]);
        u->n--;
        memset(&u->r[u->n], 0, sizeof u->r[0]);
    }
    u->r[u->n].what = strdup(what);
    return &u->r[u->n++];
}

void undo_begin(struct undo *u, const char *what)
{
    if (!u)
        return;
    undo_push(u, what);
    u->open = true;
}

void undo_step(struct undo *u, const char *fmt, ...)
{
    va_list ap;

    if (!u || !u->n || !u->open)
        return;
    va_start(ap, fmt);
    text_vprintf(&u->r[u->n - 1].lines, fmt, ap);
    va_end(ap);
    text_putc(&u->r[u->n - 1].lines, '\n');
}

void undo_never(struct undo *u, const char *what, const char *because)
{
    if (!u)
        return;
    undo_push(u, what)->why = strdup(because);
    u->open = false;
}

bool undo_pop(struct undo *u, char **what, char **lines, char **why)
{
    struct undo_record *r;

    while (u->n && !u->r[u->n - 1].why && u->r[u->n - 1].lines.len == 0)
        record_free(&u->r[--u->n]);
    u->open = false;
    if (!u->n)
        return false;
    r = &u->r[--u->n];
    *what = r->what;
    *why = r->why;
    *lines = r->why ? NULL : text_take(&r->lines);
    r->what = r->why = NULL;
    record_free(r);
    return true;
}
