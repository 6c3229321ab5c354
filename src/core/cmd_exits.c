/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd_exits: why guest code is left, how often, at what cost, and for which device.
 */
#include "core/cmd_internal.h"

#include "core/columns.h"
#include "core/units.h"

#include <stdlib.h>
#include <string.h>

enum { KSTATS_MAX = 160, HITS_MAX = 64, HITS_DEFAULT = 8 };

struct exits {
    struct vm_stats st;
    struct kstat k[KSTATS_MAX];
    struct vm_hit hit[HITS_MAX];
    unsigned nk, nhits;
    unsigned first, end; /* vCPUs asked for */
};

/* Sums the engine's counters of the vCPUs asked for, by name. */
static void take_kstats(struct exits *x, struct guest *g)
{
    struct kstat k[KSTATS_MAX];

    for (unsigned v = x->first; v < x->end; v++) {
        unsigned n = vm_kstats(g->vm, v, k, KSTATS_MAX);

        for (unsigned i = 0; i < n; i++) {
            unsigned at = 0;

            while (at < x->nk && strcmp(x->k[at].name, k[i].name) != 0)
                at++;
            if (at == KSTATS_MAX)
                continue;
            if (at == x->nk)
                x->k[x->nk++] = k[i];
            else
                x->k[at].value += k[i].value;
        }
    }
}

static uint64_t ledger_sum(const struct vcpu_stats *v)
{
    uint64_t ns = 0;

    for (int k = 0; k < LEDGER_STATES; k++)
        ns += v->ledger_ns[k];
    return ns;
}

static void reasons_text(struct cmd_run *r, const struct exits *x)
{
    char a[UNITS_TEXT];
    struct columns c;

    columns_init(&c, ">VCPU|<REASON|>COUNT|>/s|>MEAN|>P99|>TIME%");
    for (unsigned i = x->first; i < x->end; i++) {
        const struct vcpu_stats *v = &x->st.vcpu[i];
        uint64_t all = ledger_sum(v);

        for (int k = 0; k < EXIT_REASONS; k++) {
            if (!v->exits[k])
                continue;
            columns_cell(&c, "%u", i);
            columns_cell(&c, "%s", exit_reason_name((enum exit_reason)k));
            columns_cell(&c, "%llu", (unsigned long long)v->exits[k]);
            columns_cell(&c, "%s", units_fmt_count(a, v->exit_rate[k]));
            columns_cell(&c, "%s", units_fmt_ns(a, v->exit_ns[k] / v->exits[k]));
            columns_cell(&c, "%s", units_fmt_ns(a, v->exit_p99_ns[k]));
            if (all)
                columns_cell(&c, "%.2f", 100 * (double)v->exit_ns[k] / (double)all);
            else
                columns_cell(&c, "-");
        }
    }
    columns_print(&c, &r->out);
    columns_fini(&c);
}

static void kernel_text(struct cmd_run *r, const struct exits *x)
{
    struct columns c;

    columns_init(&c, "<HANDLED BY THE ENGINE|>COUNT");
    for (unsigned i = 0; i < x->nk; i++) {
        if (!x->k[i].value)
            continue;
        columns_cell(&c, "%s", x->k[i].name);
        columns_cell(&c, "%llu", (unsigned long long)x->k[i].value);
    }
    if (c.ncells > 2) {
        cmd_printf(r, "\n");
        columns_print(&c, &r->out);
    }
    columns_fini(&c);
}

static void hits_text(struct cmd_run *r, const struct exits *x)
{
    struct columns c;

    if (!x->nhits)
        return;
    columns_init(&c, "<BUS|>REGISTER|<DEVICE|>COUNT");
    for (unsigned i = 0; i < x->nhits; i++) {
        columns_cell(&c, "%s", x->hit[i].bus);
        columns_cell(&c, "%#llx", (unsigned long long)x->hit[i].addr);
        columns_cell(&c, "%s", x->hit[i].device);
        columns_cell(&c, "%llu", (unsigned long long)x->hit[i].count);
    }
    cmd_printf(r, "\n");
    columns_print(&c, &r->out);
    columns_fini(&c);
}

static void reasons_json(struct json_out *j, const struct exits *x)
{
    jout_begin(j, "vcpus", '[');
    for (unsigned i = x->first; i < x->end; i++) {
        const struct vcpu_stats *v = &x->st.vcpu[i];

        jout_begin(j, NULL, '{');
        jout_u64(j, "vcpu", i);
        for (int k = 0; k < EXIT_REASONS; k++) {
            jout_begin(j, exit_reason_name((enum exit_reason)k), '{');
            jout_u64(j, "count", v->exits[k]);
            jout_num(j, "rate", v->exit_rate[k], 1);
            jout_u64(j, "ns", v->exit_ns[k]);
            if (v->exits[k])
                jout_u64(j, "p99_ns", v->exit_p99_ns[k]);
            else
                jout_null(j, "p99_ns");
            jout_end(j, '}');
        }
        jout_end(j, '}');
    }
    jout_end(j, ']');
}

static void exits_json(struct cmd_run *r, const struct guest *g, const struct exits *x)
{
    struct json_out j = cmd_json(r);

    jout_begin(&j, NULL, '{');
    jout_str(&j, "name", g->c->name);
    reasons_json(&j, x);
    jout_begin(&j, "engine", '{');
    for (unsigned i = 0; i < x->nk; i++)
        jout_u64(&j, x->k[i].name, x->k[i].value);
    jout_end(&j, '}');
    jout_begin(&j, "registers", '[');
    for (unsigned i = 0; i < x->nhits; i++) {
        jout_begin(&j, NULL, '{');
        jout_str(&j, "bus", x->hit[i].bus);
        jout_u64(&j, "address", x->hit[i].addr);
        jout_str(&j, "device", x->hit[i].device);
        jout_u64(&j, "count", x->hit[i].count);
        jout_end(&j, '}');
    }
    jout_end(&j, ']');
    jout_end(&j, '}');
}

void exec_exits(struct cmd_run *r)
{
    struct guest *g = r->targets.t[0].g;
    int vcpu = r->targets.t[0].vcpu;
    struct exits *x = cmd_state(r, sizeof *x, NULL);
    uint64_t top = HITS_DEFAULT;
    struct err e;

    if (!x)
        return;
    if (r->p.opt[0] && units_uint(r->p.opt[0], "--top", 0, HITS_MAX, &top, &e) < 0) {
        cmd_fail(r, "%s", e.msg);
        return;
    }
    vm_stats(g->vm, &x->st, session_interval_ns(r->session) * 3 / 2);
    x->first = vcpu < 0 ? 0 : (unsigned)vcpu;
    x->end = vcpu < 0 ? x->st.vcpus : x->first + 1;
    take_kstats(x, g);
    x->nhits = vm_hits(g->vm, x->hit, (unsigned)top);
    if (r->json) {
        exits_json(r, g, x);
    } else {
        reasons_text(r, x);
        kernel_text(r, x);
        hits_text(r, x);
    }
    cmd_done(r, CMD_DONE);
}
