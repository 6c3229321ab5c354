/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * columns: see columns.h.
 */
#include "core/columns.h"

#include <string.h>

void columns_init(struct columns *c, const char *head)
{
    *c = (struct columns){.n = 0};
    while (*head && c->n < COLUMNS_MAX) {
        size_t len = strcspn(head + 1, "|");

        c->align[c->n++] = *head;
        text_add(&c->cells, head + 1, len);
        text_putc(&c->cells, '\0');
        c->ncells++;
        head += 1 + len;
        head += *head == '|';
    }
}

void columns_fini(struct columns *c)
{
    text_free(&c->cells);
}

void columns_cell(struct columns *c, const char *fmt, ...)
{
    size_t before = c->cells.len;
    va_list ap;

    va_start(ap, fmt);
    text_vprintf(&c->cells, fmt, ap);
    va_end(ap);
    text_putc(&c->cells, '\0');
    if (c->cells.full)
        c->cells.len = before; /* half a cell would shift the rest */
    else
        c->ncells++;
}

static void pad(struct text *out, size_t n)
{
    while (n--)
        text_putc(out, ' ');
}

void columns_print(const struct columns *c, struct text *out)
{
    size_t width[COLUMNS_MAX] = {0}, blanks = 0;
    const char *p = text_str(&c->cells);

    for (size_t i = 0; i < c->ncells; i++, p += strlen(p) + 1)
        if (text_columns(p) > width[i % c->n])
            width[i % c->n] = text_columns(p);
    p = text_str(&c->cells);
    for (size_t i = 0; i < c->ncells; i++, p += strlen(p) + 1) {
        size_t k = i % c->n, room = width[k] - text_columns(p);

        blanks += k ? 2 : 0;
        if (c->align[k] == '>')
            blanks += room;
        if (*p) {
            pad(out, blanks);
            text_puts(out, p);
            blanks = 0;
        }
        if (c->align[k] != '>')
            blanks += room;
        if (k == c->n - 1) {
            text_putc(out, '\n');
            blanks = 0;
        }
    }
}
