/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * history: see history.h.
 */
#include "ui/history.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct series {
    struct series *next;
    unsigned id;
    uint64_t first, last; /* ticks */
    float v[HISTORY_TICKS][HIST_FIELDS];
};

struct history {
    uint64_t ticks; /* the last one; 0: none yet */
    struct series *series;
};

struct history *history_new(void)
{
    return calloc(1, sizeof(struct history));
}

void history_free(struct history *h)
{
    while (h && h->series) {
        struct series *s = h->series;

        h->series = s->next;
        free(s);
    }
    free(h);
}

void history_tick(struct history *h)
{
    h->ticks++;
}

uint64_t history_ticks(const struct history *h)
{
    return h->ticks;
}

static struct series *find(const struct history *h, unsigned id)
{
    for (struct series *s = h->series; s; s = s->next)
        if (s->id == id)
            return s;
    return NULL;
}

void history_drop(struct history *h, unsigned id)
{
    for (struct series **p = &h->series; *p; p = &(*p)->next) {
        struct series *s = *p;

        if (s->id == id) {
            *p = s->next;
            free(s);
            return;
        }
    }
}

static void blank(struct series *s, uint64_t from, uint64_t to)
{
    if (to - from > HISTORY_TICKS)
        from = to - HISTORY_TICKS;
    for (; from < to; from++)
        for (int f = 0; f < HIST_FIELDS; f++)
            s->v[from % HISTORY_TICKS][f] = NAN;
}

void history_set(struct history *h, unsigned id, const float v[HIST_FIELDS])
{
    struct series *s = find(h, id);

    if (!s) {
        s = calloc(1, sizeof *s);
        if (!s)
            return;
        s->id = id;
        s->first = s->last = h->ticks;
        s->next = h->series;
        h->series = s;
    }
    blank(s, s->last + 1, h->ticks > s->last ? h->ticks : s->last + 1);
    s->last = h->ticks;
    memcpy(s->v[h->ticks % HISTORY_TICKS], v, sizeof s->v[0]);
}

void history_get(const struct history *h, unsigned id, enum history_field f, unsigned back, int n, float *out)
{
    const struct series *s = find(h, id);

    for (int i = 0; i < n; i++) {
        uint64_t ago = back + (uint64_t)(n - 1 - i);
        uint64_t t = h->ticks - ago;

        out[i] = NAN;
        if (s && ago < HISTORY_TICKS && ago < h->ticks && t >= s->first && t <= s->last)
            out[i] = s->v[t % HISTORY_TICKS][f];
    }
}
