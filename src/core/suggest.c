/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * suggest: see suggest.h.
 */
#include "core/suggest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { SUGGEST_MAX = 32 };

static unsigned min2(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned suggest_distance(const char *a, const char *b)
{
    unsigned d[SUGGEST_MAX + 1][SUGGEST_MAX + 1];
    size_t n = strlen(a), m = strlen(b);

    if (n > SUGGEST_MAX || m > SUGGEST_MAX)
        return SUGGEST_MAX;
    for (unsigned i = 0; i <= n; i++)
        d[i][0] = i;
    for (unsigned j = 0; j <= m; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        for (size_t j = 1; j <= m; j++) {
            int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);

            d[i][j] = min2(min2(d[i - 1][j] + 1, d[i][j - 1] + 1), d[i - 1][j - 1] + (x != y));
            if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
                y == tolower((unsigned char)a[i - 2]))
                d[i][j] = min2(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[n][m];
}

struct suggest suggest_begin(const char *word)
{
    return (struct suggest){.word = word, .distance = SUGGEST_MAX};
}

void suggest_offer(struct suggest *s, const char *known)
{
    size_t len = strlen(s->word), klen = strlen(known);
    unsigned d = suggest_distance(s->word, known);
    unsigned limit = len <= 1 ? 0 : len <= 3 ? 1 : len <= 6 ? 2 : 3; /* any letter is near any other */

    /* what somebody broke off typing is near too: `mem` for `memory` */
    if (len >= 3 && klen > len && strncmp(s->word, known, len) == 0)
        d = min2(d, 1);
    if (d > limit || d >= s->distance)
        return;
    s->best = known;
    s->distance = d;
}

const char *suggest_text(const struct suggest *s, char *out, size_t size)
{
    if (s->best)
        snprintf(out, size, " (did you mean `%s`?)", s->best);
    else
        out[0] = '\0';
    return out;
}
