/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * json_out: see json_out.h.
 */
#include "core/json_out.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Bytes of the valid UTF-8 sequence at `s`, 0 if there is none (overlong and surrogates too). */
static size_t utf8_sequence(const unsigned char *s, size_t len)
{
    size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3
               : s[0] >= 0xf0 && s[0] < 0xf5                                            ? 4
                                                                                        : 0;

    if (n == 0 || n > len)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] >= 0x90))
        return 0;
    return n;
}

static void put_char(struct text *t, const unsigned char *s, size_t n)
{
    static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
    const char *at = n == 1 && s[0] ? strchr(from, s[0]) : NULL;

    if (n == 0)
        text_puts(t, "\\ufffd");
    else if (at)
        text_printf(t, "\\%c", to[at - from]);
    else if (s[0] < 0x20 || s[0] == 0x7f)
        text_printf(t, "\\u%04x", s[0]);
    else
        text_add(t, s, n);
}

static void put_string(struct text *t, const char *s, size_t len)
{
    const unsigned char *p = (const unsigned char *)s;

    text_putc(t, '"');
    for (size_t i = 0; i < len;) {
        size_t n = utf8_sequence(p + i, len - i);

        put_char(t, p + i, n);
        i += n ? n : 1;
    }
    text_putc(t, '"');
}

static void put_key(struct json_out *j, const char *key)
{
    if (j->comma)
        text_putc(j->t, ',');
    j->comma = true;
    if (key) {
        put_string(j->t, key, strlen(key));
        text_putc(j->t, ':');
    }
}

void jout_begin(struct json_out *j, const char *key, char bracket)
{
    put_key(j, key);
    text_putc(j->t, bracket);
    j->comma = false;
}

void jout_end(struct json_out *j, char bracket)
{
    text_putc(j->t, bracket);
    j->comma = true;
}

void jout_strn(struct json_out *j, const char *key, const char *s, size_t len)
{
    put_key(j, key);
    put_string(j->t, s, len);
}

void jout_str(struct json_out *j, const char *key, const char *s)
{
    if (s)
        jout_strn(j, key, s, strlen(s));
    else
        jout_null(j, key);
}

void jout_u64(struct json_out *j, const char *key, uint64_t v)
{
    put_key(j, key);
    text_printf(j->t, "%llu", (unsigned long long)v);
}

void jout_bool(struct json_out *j, const char *key, bool v)
{
    put_key(j, key);
    text_puts(j->t, v ? "true" : "false");
}

void jout_null(struct json_out *j, const char *key)
{
    put_key(j, key);
    text_puts(j->t, "null");
}

void jout_num(struct json_out *j, const char *key, double v, unsigned decimals)
{
    if (!isfinite(v)) {
        jout_null(j, key);
        return;
    }
    put_key(j, key);
    text_printf(j->t, "%.*f", (int)decimals, v);
}

void jout_raw(struct json_out *j, const char *key, const char *json, size_t len)
{
    put_key(j, key);
    text_add(j->t, json, len);
}
