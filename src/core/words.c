/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * words: see words.h.
 */
#include "core/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

void words_free(struct words *w)
{
    for (unsigned i = 0; i < w->n; i++)
        free(w->w[i]);
    w->n = 0;
}

/* Reads one word from `p` to `end`; returns where it stops. */
static const char *scan_word(const char *p, const char *end, struct text *t, char *quote)
{
    *quote = 0;
    for (; p < end; p++) {
        if (*quote && *p == *quote) {
            *quote = 0;
        } else if (*quote == '\'') {
            text_putc(t, *p);
        } else if (*p == '\\' && p + 1 < end && strchr(*quote ? "\"\\" : " \t\"'#\\", p[1])) {
            text_putc(t, *++p);
        } else if (!*quote && (*p == '\'' || *p == '"')) {
            *quote = *p;
        } else if (!*quote && is_blank(*p)) {
            break;
        } else {
            text_putc(t, *p);
        }
    }
    return p;
}

static int split(const char *line, size_t len, struct words *w)
{
    const char *p = line, *end = line + len;

    w->n = 0;
    w->quote = 0;
    for (;;) {
        struct text t = {0};

        while (p < end && is_blank(*p))
            p++;
        if (p == end || *p == '#')
            return 0;
        if (w->n == WORDS_MAX)
            return -E2BIG;
        w->start[w->n] = (size_t)(p - line);
        p = scan_word(p, end, &t, &w->quote);
        w->w[w->n] = text_take(&t);
        if (!w->w[w->n])
            return -ENOMEM;
        w->n++;
    }
}

int words_split(const char *line, struct words *w, struct err *e)
{
    int rc = split(line, strlen(line), w);

    if (rc == 0 && w->quote)
        rc = err_set(e, EINVAL, "a quote (%c) is not closed", w->quote);
    else if (rc == -E2BIG)
        rc = err_set(e, EINVAL, "the command has more than %d words: put longer text into quotes", WORDS_MAX);
    else if (rc)
        rc = err_set(e, -rc, "out of memory");
    if (rc)
        words_free(w);
    return rc;
}

int words_split_open(const char *line, size_t len, struct words *w)
{
    int rc = split(line, len, w);

    if (rc == 0 && !w->quote && (len == 0 || is_blank(line[len - 1])) && w->n < WORDS_MAX) {
        w->start[w->n] = len;
        w->w[w->n] = strdup("");
        if (w->w[w->n])
            w->n++;
    }
    if (rc)
        words_free(w);
    return rc;
}

void words_quote(struct text *line, const char *word)
{
    if (line->len)
        text_putc(line, ' ');
    if (*word && !strpbrk(word, " \t\r\n\"'#\\")) {
        text_puts(line, word);
        return;
    }
    text_putc(line, '\'');
    for (; *word; word++) {
        if (*word == '\'')
            text_puts(line, "'\"'\"'");
        else
            text_putc(line, *word);
    }
    text_putc(line, '\'');
}
