/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * session_memory: what the guests may take of the host's memory, beside what there is. A guest
 * that is up may grow to its target; what it holds already is no longer "available". Main only.
 */
#include "core/session_internal.h"

#include <math.h>
#include <stdlib.h>

enum { MAX_AGE_NS = 2000000000 };

void session_memory_add(struct session_memory *m, const struct guest *g, uint64_t resident)
{
    if (!guest_is_up(g))
        return;
    m->configured += g->c->memory_bytes;
    m->target += guest_target(g);
    m->resident += resident;
}

void session_memory_end(struct session_memory *m)
{
    struct lab_host h;

    lab_host_measure(&h);
    m->total = h.memory_total_bytes;
    m->available = h.memory_available_bytes;
    m->overcommit = m->target ? (double)m->target / (double)(m->available + m->resident) : NAN;
}

void session_memory(struct session *s, struct session_memory *m)
{
    struct vm_stats *st = malloc(sizeof *st);

    *m = (struct session_memory){0};
    for (struct guest *g = s->guests; g && st; g = g->next) {
        if (guest_is_up(g)) {
            vm_stats(g->vm, st, MAX_AGE_NS);
            session_memory_add(m, g, st->memory_resident_bytes);
        }
    }
    free(st);
    session_memory_end(m);
}
