/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd_stats: where time, memory and I/O of guests go. The names of the JSON object are those of
 * ruche-stats(5); what cannot be known is null there and `-` in the table, never 0.
 */
#include "core/cmd_internal.h"

#include "core/columns.h"
#include "core/units.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sample that is as old as the interval at most. */
static void take(struct cmd_run *r, struct guest *g, struct vm_stats *st)
{
    vm_stats(g->vm, st, session_interval_ns(r->session) * 3 / 2);
}

/* What the ledger of a vCPU can say: nothing while it is down, no `ready` on a mute host. */
static double fraction(const struct guest *g, const struct vcpu_stats *v, enum ledger_state k)
{
    if (!guest_is_up(g) || (k == LEDGER_READY && !v->ready_known))
        return NAN;
    return v->ledger[k];
}

/* JSON. */

static void json_claim(struct json_out *j, const char *key, bool known, uint64_t v)
{
    if (known && v != UINT64_MAX)
        jout_u64(j, key, v);
    else
        jout_null(j, key);
}

static void json_vcpus(struct json_out *j, const struct guest *g, const struct vm_stats *st)
{
    jout_begin(j, "vcpus", '[');
    for (unsigned i = 0; i < st->vcpus; i++) {
        jout_begin(j, NULL, '{');
        for (int k = 0; k < LEDGER_STATES; k++)
            jout_num(j, ledger_state_name((enum ledger_state)k),
                     fraction(g, &st->vcpu[i], (enum ledger_state)k), 4);
        jout_end(j, '}');
    }
    jout_end(j, ']');
}

static void json_cpu(struct json_out *j, struct guest *g, const struct vm_stats *st)
{
    struct sched_info i;

    session_sched(g->session, g, st, &i);
    jout_begin(j, "cpu", '{');
    jout_u64(j, "share", i.share);
    jout_u64(j, "cap", i.cap_pct);
    jout_num(j, "entitlement", i.entitlement, 4);
    jout_num(j, "got", i.got, 4);
    jout_str(j, "reason", sched_reason_name(i.reason));
    jout_str(j, "mechanism", i.mechanism);
    jout_num(j, "seconds", i.used_seconds, 3);
    jout_num(j, "mips", guest_is_up(g) && st->mips >= 0 ? st->mips : NAN, 1);
    jout_end(j, '}');
}

static void json_memory(struct json_out *j, const struct guest *g, const struct vm_stats *st)
{
    const struct balloon_stats *b = &st->balloon_stats;

    jout_begin(j, "memory", '{');
    jout_u64(j, "configured", g->c->memory_bytes);
    json_claim(j, "target", guest_is_up(g) && st->balloon && b->target_bytes <= g->c->memory_bytes,
               g->c->memory_bytes - b->target_bytes);
    json_claim(j, "resident", guest_is_up(g), st->memory_resident_bytes);
    json_claim(j, "shared", guest_is_up(g), st->memory_shared_bytes);
    json_claim(j, "balloon_free", st->balloon, b->free_bytes);
    json_claim(j, "balloon_available", st->balloon, b->available_bytes);
    jout_end(j, '}');
}

static void json_exits(struct json_out *j, const struct guest *g, const struct vm_stats *st)
{
    jout_begin(j, "exits", '{');
    jout_u64(j, "total", st->exits);
    jout_num(j, "rate", guest_is_up(g) ? st->exit_rate : NAN, 1);
    jout_begin(j, "by_reason", '{');
    for (int k = 0; k < EXIT_REASONS; k++) {
        uint64_t n = 0;

        for (unsigned i = 0; i < st->vcpus; i++)
            n += st->vcpu[i].exits[k];
        jout_u64(j, exit_reason_name((enum exit_reason)k), n);
    }
    jout_end(j, '}');
    jout_end(j, '}');
}

static const char *const op_names[DISK_OPS] = {
    [DISK_READ] = "read", [DISK_WRITE] = "write", [DISK_FLUSH] = "flush"};

static void json_latency(struct json_out *j, const struct disk_stats *d)
{
    jout_begin(j, "latency", '{');
    for (int i = 0; i < DISK_OPS; i++) {
        const struct latency_figures *f = &d->latency[i];

        jout_begin(j, op_names[i], '{');
        jout_u64(j, "count", f->count);
        json_claim(j, "mean_ns", f->count, f->mean_ns);
        json_claim(j, "p50_ns", f->count, f->p50_ns);
        json_claim(j, "p99_ns", f->count, f->p99_ns);
        jout_begin(j, "histogram", '[');
        for (int k = 0; k < HIST_OCTAVES; k++)
            jout_u64(j, NULL, f->octave[k]);
        jout_end(j, ']');
        jout_end(j, '}');
    }
    jout_end(j, '}');
}

static void json_disks(struct json_out *j, const struct vm_stats *st)
{
    jout_begin(j, "disks", '[');
    for (unsigned i = 0; i < st->ndisks; i++) {
        const struct disk_stats *d = &st->disks[i];

        jout_begin(j, NULL, '{');
        jout_str(j, "name", d->name);
        jout_u64(j, "rd_bytes", d->rd_bytes);
        jout_u64(j, "wr_bytes", d->wr_bytes);
        jout_u64(j, "rd_reqs", d->rd_reqs);
        jout_u64(j, "wr_reqs", d->wr_reqs);
        jout_u64(j, "flush_reqs", d->flush_reqs);
        jout_u64(j, "discard_reqs", d->discard_reqs);
        jout_u64(j, "errors", d->errors);
        jout_u64(j, "capacity", d->capacity_bytes);
        jout_u64(j, "iops", d->iops);
        jout_u64(j, "bps", d->bytes_per_s);
        jout_num(j, "held_seconds", (double)d->held_ns / 1e9, 3);
        json_latency(j, d);
        jout_end(j, '}');
    }
    jout_end(j, ']');
}

static void json_nets(struct json_out *j, const struct vm_stats *st)
{
    char mac[UNITS_TEXT];

    jout_begin(j, "nets", '[');
    for (unsigned i = 0; i < st->nnets; i++) {
        const struct net_stats *n = &st->nets[i];

        jout_begin(j, NULL, '{');
        jout_str(j, "name", n->name);
        jout_str(j, "network", n->network);
        jout_str(j, "mac", units_fmt_mac(mac, n->mac));
        jout_bool(j, "up", n->up);
        jout_u64(j, "rx_bytes", n->rx_bytes);
        jout_u64(j, "tx_bytes", n->tx_bytes);
        jout_u64(j, "rx_pkts", n->rx_pkts);
        jout_u64(j, "tx_pkts", n->tx_pkts);
        jout_u64(j, "rx_drops", n->rx_drops);
        jout_u64(j, "tx_drops", n->tx_drops);
        json_claim(j, "rate", n->rate_bits != 0, n->rate_bits);
        jout_num(j, "delay", (double)n->delay_ns / 1e9, 6);
        jout_num(j, "loss", n->loss_ppm / 1e6, 6);
        jout_end(j, '}');
    }
    jout_end(j, ']');
}

static void json_guest(struct json_out *j, struct guest *g, const struct vm_stats *st)
{
    jout_begin(j, NULL, '{');
    jout_str(j, "name", g->c->name);
    jout_str(j, "state", vm_state_name(vm_state(g->vm)));
    jout_str(j, "accel", vm_accel(g->vm)->name);
    json_vcpus(j, g, st);
    json_cpu(j, g, st);
    json_memory(j, g, st);
    json_exits(j, g, st);
    json_disks(j, st);
    json_nets(j, st);
    jout_num(j, "uptime", guest_is_up(g) ? (double)vm_uptime_ns(g->vm) / 1e9 : NAN, 3);
    jout_end(j, '}');
}

static void json_host(struct json_out *j, struct session *s)
{
    struct session_memory m;

    session_memory(s, &m);
    jout_begin(j, "host", '{');
    jout_begin(j, "memory", '{');
    jout_u64(j, "total", m.total);
    jout_u64(j, "available", m.available);
    jout_u64(j, "configured", m.configured);
    jout_u64(j, "target", m.target);
    jout_u64(j, "resident", m.resident);
    jout_num(j, "overcommit", m.overcommit, 4);
    jout_end(j, '}');
    jout_end(j, '}');
}

static void stats_json(struct cmd_run *r, struct vm_stats *st)
{
    struct json_out j = cmd_json(r);

    jout_begin(&j, NULL, '{');
    jout_begin(&j, "vms", '[');
    for (struct guest *g = session_guests(r->session); g; g = g->next) {
        bool named = r->targets.n == 0;

        for (unsigned i = 0; i < r->targets.n; i++)
            named |= r->targets.t[i].g == g;
        if (!named)
            continue;
        take(r, g, st);
        json_guest(&j, g, st);
    }
    jout_end(&j, ']');
    json_host(&j, r->session);
    jout_end(&j, '}');
}

/* Text. */

static void cell_fraction(struct columns *c, double f)
{
    if (isnan(f))
        columns_cell(c, "-");
    else
        columns_cell(c, "%.1f", f * 100);
}

/* Mean over the vCPUs; not known if it is not known for one. */
static double mean(const struct guest *g, const struct vm_stats *st, enum ledger_state k)
{
    double sum = 0;

    for (unsigned i = 0; i < st->vcpus; i++)
        sum += fraction(g, &st->vcpu[i], k);
    return sum / st->vcpus;
}

#define LEDGER_HEAD ">RUN|>VMM|>POLL|>READY|>CAPPED|>HALT|>BLOCKED|>PAUSED"

static const char *reason(const struct sched_info *i)
{
    const char *name = sched_reason_name(i->reason);

    return name ? name : "-";
}

static void stats_table(struct cmd_run *r, struct vm_stats *st)
{
    char size[UNITS_TEXT];
    struct sched_info i;
    struct columns c;

    columns_init(&c, "<NAME|<STATE|>CPU%|>ENTL%|<LIMIT|" LEDGER_HEAD "|>RESIDENT|>MEMORY|>EXITS/s");
    for (struct guest *g = session_guests(r->session); g; g = g->next) {
        take(r, g, st);
        columns_cell(&c, "%s", g->c->name);
        columns_cell(&c, "%s", vm_state_name(vm_state(g->vm)));
        cell_fraction(&c, guest_is_up(g) ? st->cpu : NAN);
        session_sched(r->session, g, st, &i);
        cell_fraction(&c, i.entitlement);
        columns_cell(&c, "%s", reason(&i));
        for (int k = 0; k < LEDGER_STATES; k++)
            cell_fraction(&c, mean(g, st, (enum ledger_state)k));
        columns_cell(&c, "%s", guest_is_up(g) ? units_fmt_size(size, st->memory_resident_bytes) : "-");
        columns_cell(&c, "%s", units_fmt_size(size, g->c->memory_bytes));
        columns_cell(&c, "%s", guest_is_up(g) ? units_fmt_count(size, st->exit_rate) : "-");
    }
    columns_print(&c, &r->out);
    columns_fini(&c);
}

static const char *claim(char out[UNITS_TEXT], uint64_t v)
{
    return v == UINT64_MAX ? "-" : units_fmt_size(out, v);
}

static void detail_memory(struct cmd_run *r, const struct guest *g, const struct vm_stats *st)
{
    const struct balloon_stats *b = &st->balloon_stats;
    char a[UNITS_TEXT], c[UNITS_TEXT], d[UNITS_TEXT], e[UNITS_TEXT];

    cmd_printf(r, "memory: configured %s, resident %s", units_fmt_size(a, g->c->memory_bytes),
               guest_is_up(g) ? units_fmt_size(c, st->memory_resident_bytes) : "-");
    if (guest_is_up(g) && g->c->mergeable)
        cmd_printf(r, ", shared %s", claim(a, st->memory_shared_bytes));
    if (guest_is_up(g) && st->balloon)
        cmd_printf(r, ", in the balloon %s of %s asked, guest claims free %s, available %s, given back %s",
                   claim(a, b->actual_bytes), claim(c, b->target_bytes), claim(d, b->free_bytes),
                   claim(e, b->available_bytes), claim((char[UNITS_TEXT]){0}, b->reported_bytes));
    cmd_printf(r, "\n");
}

static void detail_disks(struct cmd_run *r, const struct vm_stats *st)
{
    char a[UNITS_TEXT];
    struct columns c;

    if (!st->ndisks)
        return;
    columns_init(&c, "<DISK|>SIZE|>READ|>WRITTEN|>READS|>WRITES|>FLUSHES|>DISCARDS|>ERRORS");
    for (unsigned i = 0; i < st->ndisks; i++) {
        const struct disk_stats *d = &st->disks[i];

        columns_cell(&c, "%s", d->name);
        columns_cell(&c, "%s", units_fmt_size(a, d->capacity_bytes));
        columns_cell(&c, "%s", units_fmt_size(a, d->rd_bytes));
        columns_cell(&c, "%s", units_fmt_size(a, d->wr_bytes));
        columns_cell(&c, "%llu", (unsigned long long)d->rd_reqs);
        columns_cell(&c, "%llu", (unsigned long long)d->wr_reqs);
        columns_cell(&c, "%llu", (unsigned long long)d->flush_reqs);
        columns_cell(&c, "%llu", (unsigned long long)d->discard_reqs);
        columns_cell(&c, "%llu", (unsigned long long)d->errors);
    }
    columns_print(&c, &r->out);
    columns_fini(&c);
}

static void detail_latency(struct cmd_run *r, const struct vm_stats *st)
{
    char a[UNITS_TEXT];
    struct columns c;

    if (!st->ndisks)
        return;
    columns_init(&c, "<DISK|<LATENCY|>COUNT|>MEAN|>P50|>P99|>IOPS MAX|>BYTES/s MAX|>HELD");
    for (unsigned i = 0; i < st->ndisks * DISK_OPS; i++) {
        const struct disk_stats *d = &st->disks[i / DISK_OPS];
        const struct latency_figures *f = &d->latency[i % DISK_OPS];

        columns_cell(&c, "%s", d->name);
        columns_cell(&c, "%s", op_names[i % DISK_OPS]);
        columns_cell(&c, "%llu", (unsigned long long)f->count);
        columns_cell(&c, "%s", f->count ? units_fmt_ns(a, f->mean_ns) : "-");
        columns_cell(&c, "%s", f->count ? units_fmt_ns(a, f->p50_ns) : "-");
        columns_cell(&c, "%s", f->count ? units_fmt_ns(a, f->p99_ns) : "-");
        columns_cell(&c, "%s", d->iops ? units_fmt_count(a, d->iops) : "none");
        columns_cell(&c, "%s", d->bytes_per_s ? units_fmt_size(a, d->bytes_per_s) : "none");
        columns_cell(&c, "%s", units_fmt_ns(a, d->held_ns));
    }
    columns_print(&c, &r->out);
    columns_fini(&c);
}

static void detail_nets(struct cmd_run *r, const struct vm_stats *st)
{
    char a[UNITS_TEXT];
    struct columns c;

    if (!st->nnets)
        return;
    columns_init(&c, "<LINK|<NETWORK|<STATE|>RECEIVED|>SENT|>RX FRAMES|>TX FRAMES|>RX DROPS|>TX DROPS");
    for (unsigned i = 0; i < st->nnets; i++) {
        const struct net_stats *n = &st->nets[i];

        columns_cell(&c, "%s", n->name);
        columns_cell(&c, "%s", n->network);
        columns_cell(&c, "%s", n->up ? "up" : "down");
        columns_cell(&c, "%s", units_fmt_size(a, n->rx_bytes));
        columns_cell(&c, "%s", units_fmt_size(a, n->tx_bytes));
        columns_cell(&c, "%llu", (unsigned long long)n->rx_pkts);
        columns_cell(&c, "%llu", (unsigned long long)n->tx_pkts);
        columns_cell(&c, "%llu", (unsigned long long)n->rx_drops);
        columns_cell(&c, "%llu", (unsigned long long)n->tx_drops);
    }
    columns_print(&c, &r->out);
    columns_fini(&c);
}

static void detail(struct cmd_run *r, struct guest *g, struct vm_stats *st)
{
    char rate[UNITS_TEXT];
    struct sched_info i;
    struct columns c;

    take(r, g, st);
    cmd_printf(r, "%s: %s on %s", g->c->name, vm_state_name(vm_state(g->vm)), vm_accel(g->vm)->name);
    if (guest_is_up(g))
        cmd_printf(r, ", %.1f%% of one CPU over the last %.1f s, %s exits/s", st->cpu * 100, st->interval_s,
                   units_fmt_count(rate, st->exit_rate));
    if (guest_is_up(g) && st->mips >= 0)
        cmd_printf(r, ", %.0f MIPS", st->mips);
    cmd_printf(r, ", %.1f s of CPU time in all\n", (double)st->cpu_ns / 1e9);
    session_sched(r->session, g, st, &i);
    if (!isnan(i.entitlement))
        cmd_printf(r, "share %u%s: entitled to %.1f%% of a CPU, got %.1f%%; what limits it: %s\n", i.share,
                   i.cap_pct ? ", capped" : "", i.entitlement * 100, i.got * 100, reason(&i));
    columns_init(&c, ">VCPU|" LEDGER_HEAD "|>EXITS");
    for (unsigned v = 0; v < st->vcpus; v++) {
        uint64_t exits = 0;

        columns_cell(&c, "%u", v);
        for (int k = 0; k < LEDGER_STATES; k++)
            cell_fraction(&c, fraction(g, &st->vcpu[v], (enum ledger_state)k));
        for (int k = 0; k < EXIT_REASONS; k++)
            exits += st->vcpu[v].exits[k];
        columns_cell(&c, "%llu", (unsigned long long)exits);
    }
    columns_print(&c, &r->out);
    columns_fini(&c);
    detail_memory(r, g, st);
    detail_disks(r, st);
    detail_latency(r, st);
    detail_nets(r, st);
    if (st->pio_unclaimed + st->mmio_unclaimed + st->bus_refused + st->device_errors)
        cmd_printf(r, "accesses to nothing: %llu port, %llu memory; refused %llu; device errors %llu\n",
                   (unsigned long long)st->pio_unclaimed, (unsigned long long)st->mmio_unclaimed,
                   (unsigned long long)st->bus_refused, (unsigned long long)st->device_errors);
}

void exec_stats(struct cmd_run *r)
{
    struct vm_stats *st = cmd_state(r, sizeof *st, NULL);

    if (!st)
        return;
    if (r->json) {
        stats_json(r, st);
    } else if (r->targets.n == 0) {
        stats_table(r, st);
    } else {
        for (unsigned i = 0; i < r->targets.n; i++) {
            if (i)
                cmd_printf(r, "\n");
            detail(r, r->targets.t[i].g, st);
        }
    }
    cmd_done(r, CMD_DONE);
}
