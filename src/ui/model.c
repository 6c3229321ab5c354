/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * model: see model.h.
 */
#include "ui/model.h"

#include "core/clock.h"
#include "ui/draw.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int model_init(struct model *m, struct session *s)
{
    *m = (struct model){.session = s, .history = past_new(), .stats = calloc(1, sizeof *m->stats)};
    m->others = NAN;
    host_init(&m->host);
    return m->history && m->stats ? 0 : -ENOMEM;
}

void model_fini(struct model *m)
{
    host_fini(&m->host);
    past_free(m->history);
    free(m->stats);
    free(m->rows);
    *m = (struct model){.host.fd = -1};
}

const char *model_word(const struct guest *g)
{
    switch (vm_state(g->vm)) {
    case VM_RUNNING:
        return "RUN";
    case VM_PAUSED:
        return "PAUSE";
    case VM_CRASHED:
        return g->starting ? "BOOT" : "CRASH";
    default:
        return g->starting || g->want_start ? "BOOT" : g->failed ? "FAIL" : "OFF";
    }
}

const struct vm_stats *model_stats(struct model *m, struct guest *g)
{
    vm_stats(g->vm, m->stats, UINT64_MAX);
    return m->stats;
}

static void read_vcpus(struct row *r, const struct vm_stats *st)
{
    unsigned known = 0;

    r->ready = r->capped = 0;
    for (unsigned i = 0; i < st->vcpus; i++) {
        known += st->vcpu[i].ready_known;
        r->ready += st->vcpu[i].ledger[LEDGER_READY];
        r->capped += st->vcpu[i].ledger[LEDGER_CAPPED];
    }
    r->ready = known && r->up ? r->ready / st->vcpus : NAN;
    r->capped = st->vcpus && r->up ? r->capped / st->vcpus : NAN;
}

static void read_row(struct model *m, struct row *r, struct guest *g, const struct row *old)
{
    const struct vm_stats *st = model_stats(m, g);

    *r = (struct row){.g = g, .id = g->id, .name = g->c->name, .group = g->c->group, .vcpus = g->c->vcpus,
                      .color = (g->id - 1) % ROLE_GUESTS, .tagged = old && old->tagged,
                      .memory = g->c->memory_bytes, .word = model_word(g), .state = vm_state(g->vm)};
    r->up = guest_is_up(g);
    session_sched(m->session, g, st, &r->sched);
    r->cpu = r->up ? st->cpu : 0;
    r->exits = r->up ? st->exit_rate : 0;
    r->mips = r->up && st->mips >= 0 ? st->mips : NAN;
    r->resident = r->up ? st->memory_resident_bytes : 0;
    read_vcpus(r, st);
    rates_read(&r->io, old ? &old->io : NULL, st, clock_mono_ns());
}

static void keep(struct model *m, const struct row *r)
{
    float v[HIST_FIELDS];

    v[HIST_CPU] = (float)r->cpu;
    v[HIST_ENTITLED] = (float)r->sched.entitlement;
    v[HIST_EXITS] = (float)r->exits;
    v[HIST_MEMORY] = (float)r->resident;
    v[HIST_IO] = (float)(rates_disks(&r->io, RATE_RD_BYTES) + rates_disks(&r->io, RATE_WR_BYTES));
    past_set(m->history, r->id, v);
}

static void read_host(struct model *m, bool tick)
{
    session_memory_end(&m->memory);
    if (tick) {
        host_sample(&m->host);
        m->others = fmax(m->host.busy - m->cpu, m->host.busy * 0); /* NAN stays */
    }
}

static struct row *find(struct row *rows, unsigned n, unsigned id)
{
    for (unsigned i = 0; i < n; i++)
        if (rows[i].id == id)
            return &rows[i];
    return NULL;
}

struct row *model_row(struct model *m, unsigned id)
{
    return find(m->rows, m->n, id);
}

static void sum(struct model *m, const struct row *r)
{
    m->cpu += r->cpu;
    m->exits += r->exits;
    session_memory_add(&m->memory, r->g, r->resident);
    m->running += r->up;
}

void model_sample(struct model *m, bool tick)
{
    unsigned n = 0, i = 0;
    struct row *rows;

    for (struct guest *g = session_guests(m->session); g; g = g->next)
        n++;
    rows = calloc(n ? n : 1, sizeof *rows);
    if (!rows)
        return;
    if (tick)
        past_tick(m->history);
    m->cpus = CPU_COUNT(&session_host(m->session)->usable);
    m->cpu = m->exits = 0;
    m->memory = (struct session_memory){0};
    m->running = 0;
    for (struct guest *g = session_guests(m->session); g; g = g->next, i++) {
        read_row(m, &rows[i], g, find(m->rows, m->n, g->id));
        sum(m, &rows[i]);
        if (tick)
            keep(m, &rows[i]);
    }
    free(m->rows);
    m->rows = rows;
    m->n = n;
    m->sampled = true;
    read_host(m, tick);
}

void model_forget(struct model *m, const struct guest *g)
{
    struct row *r = model_row(m, g->id);

    if (!r)
        return;
    past_drop(m->history, g->id);
    memmove(r, r + 1, (size_t)(m->rows + m->n - (r + 1)) * sizeof *r);
    m->n--;
}
