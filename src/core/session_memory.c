/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * session_memory: what the guests may take of the host's memory, beside what there is. A guest
 * that is up may grow to its target; what it holds already is no longer "available". Main only.
 */
#include "core/session_internal.h"

#include <math.h>
#include <stdlib.h>

enum { MAX_AGE_NS = 2000000000 };

static void add_guest(struct guest *g, struct vm_stats *st, struct session_memory *m)
{
    if (!guest_is_up(g))
        return;
    vm_stats(g->vm, st, MAX_AGE_NS);
    m->configured += g->c->memory_bytes;
    m->target += guest_target(g);
    m->resident += st->memory_resident_bytes;
}

void session_memory(struct session *s, struct session_memory *m)
{
    struct vm_stats *st = malloc(sizeof *st);
    struct lab_host h;

    lab_host_measure(&h);
    *m = (struct session_memory){.total = h.memory_total_bytes, .available = h.memory_available_bytes};
    for (struct guest *g = s->guests; g && st; g = g->next)
        add_guest(g, st, m);
    free(st);
    m->overcommit = m->target ? (double)m->target / (double)(m->available + m->resident) : NAN;
}
