/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * past: see past.h.
 */
#include "ui/past.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct series {
    struct series *next;
    unsigned id;
    uint64_t first, last; /* ticks */
    float v[PAST_TICKS][HIST_FIELDS];
};

struct past {
    uint64_t ticks; /* the last one; 0: none yet */
    struct series *series;
};

struct past *past_new(void)
{
    return calloc(1, sizeof(struct past));
}

void past_free(struct past *h)
{
    while (h && h->series) {
        struct series *s = h->series;

        h->series = s->next;
        free(s);
    }
    free(h);
}

void past_tick(struct past *h)
{
    h->ticks++;
}

uint64_t past_ticks(const struct past *h)
{
    return h->ticks;
}

static struct series *find(const struct past *h, unsigned id)
{
    for (struct series *s = h->series; s; s = s->next)
        if (s->id == id)
            return s;
    return NULL;
}

void past_drop(struct past *h, unsigned id)
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
    if (to - from > PAST_TICKS)
        from = to - PAST_TICKS;
    for (; from < to; from++)
        for (int f = 0; f < HIST_FIELDS; f++)
            s->v[from % PAST_TICKS][f] = NAN;
}

void past_set(struct past *h, unsigned id, const float v[HIST_FIELDS])
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
    memcpy(s->v[h->ticks % PAST_TICKS], v, sizeof s->v[0]);
}

void past_get(const struct past *h, unsigned id, enum past_field f, unsigned back, int n, float *out)
{
    const struct series *s = find(h, id);

    for (int i = 0; i < n; i++) {
        uint64_t ago = back + (uint64_t)(n - 1 - i);
        uint64_t t = h->ticks - ago;

        out[i] = NAN;
        if (s && ago < PAST_TICKS && ago < h->ticks && t >= s->first && t <= s->last)
            out[i] = s->v[t % PAST_TICKS][f];
    }
}
