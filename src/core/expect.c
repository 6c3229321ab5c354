/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * expect: see expect.h.
 */
#include "core/expect.h"

#include "core/ansi.h"
#include "core/text.h"

#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

struct expect {
    regex_t re;
    bool compiled;
    struct ansi ansi;
    uint64_t pos;         /* in the stream, of what is fed next */
    char *buf;            /* EXPECT_WINDOW + 1: plain text, NUL-terminated */
    uint64_t *at;         /* EXPECT_WINDOW: position in the stream of each byte of it */
    size_t len;
    size_t match_end;     /* in buf */
};

struct expect *expect_new(const char *regex, uint64_t pos, struct err *e)
{
    struct expect *x = calloc(1, sizeof *x);
    char why[120], show[80];
    int rc;

    if (!x || !(x->buf = malloc(EXPECT_WINDOW + 1)) || !(x->at = malloc(EXPECT_WINDOW * sizeof *x->at))) {
        err_set(e, ENOMEM, "out of memory");
        goto fail;
    }
    x->buf[0] = '\0';
    x->pos = pos;
    rc = regcomp(&x->re, regex, REG_EXTENDED | REG_NEWLINE);
    if (rc) {
        regerror(rc, &x->re, why, sizeof why);
        err_set(e, EINVAL, "`%s` is no regular expression: %s", text_show(show, sizeof show, regex), why);
        goto fail;
    }
    x->compiled = true;
    return x;
fail:
    expect_free(x);
    return NULL;
}

void expect_free(struct expect *x)
{
    if (!x)
        return;
    if (x->compiled)
        regfree(&x->re);
    free(x->buf);
    free(x->at);
    free(x);
}

/* Makes room for `more` bytes at the end: the first half of the window goes. */
static void make_room(struct expect *x, size_t more)
{
    size_t drop = EXPECT_WINDOW / 2;

    if (x->len + more <= EXPECT_WINDOW)
        return;
    if (drop > x->len)
        drop = x->len;
    x->len -= drop;
    memmove(x->buf, x->buf + drop, x->len + 1);
    memmove(x->at, x->at + drop, x->len * sizeof *x->at);
}

static bool search(struct expect *x, size_t from)
{
    regmatch_t m;
    int flags = from && x->buf[from - 1] != '\n' ? REG_NOTBOL : 0;

    if (regexec(&x->re, x->buf + from, 1, &m, flags) != 0)
        return false;
    x->match_end = from + (size_t)m.rm_eo;
    return true;
}

bool expect_feed(struct expect *x, const void *bytes, size_t len, uint64_t lost)
{
    const uint8_t *p = bytes;
    size_t from = x->len;
    char plain[4];

    x->pos += lost;
    while (len) {
        size_t piece = len < EXPECT_WINDOW / 4 ? len : EXPECT_WINDOW / 4;

        make_room(x, 2 * piece + 1);
        from = x->len;
        for (size_t i = 0; i < piece; i++) { /* byte by byte, to know where each came from */
            size_t n = ansi_plain(&x->ansi, p + i, 1, plain);

            for (size_t k = 0; k < n; k++) {
                x->at[x->len] = x->pos;
                x->buf[x->len++] = plain[k];
            }
            x->pos++;
        }
        x->buf[x->len] = '\0';
        if (search(x, from > EXPECT_OVERLAP ? from - EXPECT_OVERLAP : 0))
            return true;
        p += piece;
        len -= piece;
    }
    return false;
}

uint64_t expect_end(const struct expect *x)
{
    return x->match_end ? x->at[x->match_end - 1] + 1 : x->len ? x->at[0] : x->pos;
}

void expect_line(const struct expect *x, struct text *out)
{
    size_t a = x->match_end, b = x->match_end;

    while (a > 0 && x->buf[a - 1] != '\n')
        a--;
    while (b < x->len && x->buf[b] != '\n')
        b++;
    text_add(out, x->buf + a, b - a);
    text_putc(out, '\n');
}

void expect_tail(const struct expect *x, unsigned lines, const char *prefix, struct text *out)
{
    size_t a = x->len, end = x->len;

    while (end > 0 && x->buf[end - 1] == '\n')
        end--;
    for (a = end; a > 0; a--)
        if (x->buf[a - 1] == '\n' && lines-- <= 1)
            break;
    while (a < end) {
        size_t n = strcspn(x->buf + a, "\n");

        n = n < end - a ? n : end - a;
        text_printf(out, "%s%.*s\n", prefix, (int)(n < 300 ? n : 300), x->buf + a);
        a += n + 1;
    }
}
