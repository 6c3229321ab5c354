/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * text: see text.h.
 */
#include "core/text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_free(struct text *t)
{
    free(t->buf);
    *t = (struct text){.limit = t->limit};
}

void text_clear(struct text *t)
{
    t->len = 0;
    t->full = false;
    if (t->buf)
        t->buf[0] = '\0';
}

const char *text_str(const struct text *t)
{
    return t->buf ? t->buf : "";
}

/* Room for `more` bytes and the NUL; false if the limit or memory does not allow it. */
static bool text_grow(struct text *t, size_t more)
{
    size_t limit = t->limit ? t->limit : TEXT_LIMIT_BYTES;
    size_t want = t->room ? t->room : 128;
    char *p;

    if (more > limit || t->len > limit - more)
        return false;
    if (t->len + more < t->room)
        return true;
    while (want <= t->len + more)
        want *= 2;
    p = realloc(t->buf, want);
    if (!p)
        return false;
    t->buf = p;
    t->room = want;
    return true;
}

void text_add(struct text *t, const void *bytes, size_t len)
{
    if (!text_grow(t, len)) {
        t->full = true;
        return;
    }
    if (len)
        memcpy(t->buf + t->len, bytes, len);
    t->len += len;
    t->buf[t->len] = '\0';
}

void text_puts(struct text *t, const char *s)
{
    text_add(t, s, strlen(s));
}

void text_putc(struct text *t, char c)
{
    text_add(t, &c, 1);
}

void text_vprintf(struct text *t, const char *fmt, va_list ap)
{
    va_list again;
    int n;

    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, ap);
    if (n >= 0 && text_grow(t, (size_t)n)) {
        vsnprintf(t->buf + t->len, (size_t)n + 1, fmt, again);
        t->len += (size_t)n;
    } else {
        t->full = true;
    }
    va_end(again);
}

void text_printf(struct text *t, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    text_vprintf(t, fmt, ap);
    va_end(ap);
}

void text_drop(struct text *t, size_t len)
{
    if (len > t->len)
        len = t->len;
    if (len == 0)
        return;
    t->len -= len;
    memmove(t->buf, t->buf + len, t->len + 1);
}

char *text_take(struct text *t)
{
    char *s;

    text_add(t, "", 0);
    s = t->buf;
    t->buf = NULL;
    text_free(t);
    return s;
}

/* Length of the UTF-8 sequence at `s`, 0 if it is none that may be shown. */
static size_t utf8_len(const unsigned char *s)
{
    size_t n = *s >= 0xf0 && *s < 0xf5 ? 4 : *s >= 0xe0 ? 3 : *s >= 0xc2 ? 2 : 0;

    if (*s >= 0xf5 || (*s == 0xc2 && s[1] < 0xa0)) /* C1 controls are U+0080..9F */
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

const char *text_show(char *out, size_t size, const char *s)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t n = 0;

    while (*p) {
        size_t len = *p < 0x80 ? 1 : utf8_len(p);

        if (n + (len ? len : 1) + 4 > size && strlen((const char *)p) + n + 1 > size) {
            memcpy(out + n, "...", 4);
            return out;
        }
        if (len == 0 || *p < 0x20 || *p == 0x7f) {
            out[n++] = '?';
            p++;
            continue;
        }
        memcpy(out + n, p, len);
        n += len;
        p += len;
    }
    out[n] = '\0';
    return out;
}

size_t text_columns(const char *s)
{
    size_t n = 0;

    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

void text_directory(char *dir, size_t size, const char *path)
{
    const char *slash = strrchr(path, '/');

    snprintf(dir, size, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
}
