/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * text: a string that grows, for output that is put together piece by piece.
 *
 * It never grows beyond its limit (default 16 MiB): what does not fit is dropped and `full` is
 * set, so that nobody who writes in a loop can take all memory. One thread at a time.
 */
#ifndef RUCHE_CORE_TEXT_H
#define RUCHE_CORE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct text {
    char *buf; /* NUL-terminated once anything was added; NULL before */
    size_t len, room;
    size_t limit; /* bytes, 0: the default */
    bool full;    /* something was dropped */
};

enum { TEXT_LIMIT_BYTES = 16 << 20 };

void text_free(struct text *t);           /* ready for use again, empty */
void text_clear(struct text *t);          /* empty, keeps its memory */
const char *text_str(const struct text *t); /* "" if empty, never NULL */

void text_add(struct text *t, const void *bytes, size_t len);
void text_puts(struct text *t, const char *s);
void text_putc(struct text *t, char c);
void text_printf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_vprintf(struct text *t, const char *fmt, va_list ap);

/* The directory that `path` lies in: with its slash, or "." if it names none. Cut if it does not fit. */
void text_directory(char *dir, size_t size, const char *path);

/* Removes the first `len` bytes. */
void text_drop(struct text *t, size_t len);

/* The string for the caller to free (never NULL unless out of memory); `t` is empty after. */
char *text_take(struct text *t);

/* Copies `s` to `out`, made harmless for a terminal and short enough for a sentence: control
 * and non-ASCII bytes that are not UTF-8 become '?', what does not fit ends in "...". */
const char *text_show(char *out, size_t size, const char *s);

/* Columns that a UTF-8 string takes when each character is one column wide. */
size_t text_columns(const char *s);

static inline char *dup_or_null(const char *s)
{
    return s ? strdup(s) : NULL;
}

#endif
