/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * figures: what the figures of the host bar and of the detail pane are; those of the table
 * stand in field.c. The explanation overlay (overlay.c) shows both.
 */
#include "ui/ui_internal.h"

#include "core/units.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define VIRTIO_BLK "the disk's own counters (virtio-blk)"
#define SWITCH "the lab's switch, at this link"

/* What the figures are now. */

static void pcpu_now(struct ui *u, struct row *r, char *out)
{
    (void)r;
    snprintf(out, FIGURE_TEXT, "%.0f CPUs, %.0f%% of them used by guests", u->model.cpus,
             u->model.cpus > 0 ? u->model.cpu / u->model.cpus * 100 : 0);
}

static void mem_now(struct ui *u, struct row *r, char *out)
{
    const struct session_memory *m = &u->model.memory;
    char used[UNITS_TEXT], all[UNITS_TEXT];

    (void)r;
    snprintf(out, FIGURE_TEXT, "%s of %s", units_fmt_size(used, m->total - m->available), units_fmt_size(all, m->total));
}

static void promised_now(struct ui *u, struct row *r, char *out)
{
    const struct session_memory *m = &u->model.memory;
    char promised[UNITS_TEXT], all[UNITS_TEXT], touched[UNITS_TEXT];

    (void)r;
    snprintf(out, FIGURE_TEXT, "%s promised of %s, %s touched", units_fmt_size(promised, m->target),
             units_fmt_size(all, m->available + m->resident), units_fmt_size(touched, m->resident));
}

static void host_cpus_now(struct ui *u, struct row *r, char *out)
{
    (void)r;
    snprintf(out, FIGURE_TEXT, isnan(u->model.host.busy) ? "–" : "%.2f of %u CPUs busy", u->model.host.busy,
             u->model.host.cpus);
}

static void others_now(struct ui *u, struct row *r, char *out)
{
    (void)r;
    snprintf(out, FIGURE_TEXT, isnan(u->model.others) ? "–" : "%.2f CPUs", u->model.others);
}

static void entitled_now(struct ui *u, struct row *r, char *out)
{
    char entitled[FIELD_TEXT], got[FIELD_TEXT];

    (void)u;
    field_at(FIELD_ENTITLED)->text(r, entitled);
    field_at(FIELD_CPU)->text(r, got);
    snprintf(out, FIGURE_TEXT, "entitled to %s%%, got %s%%", entitled, got);
}

/* The mean over its vCPUs, states that are not 0. */
static void ledger_now(struct ui *u, struct row *r, char *out)
{
    const struct vm_stats *st = model_stats(&u->model, r->g);
    size_t n = 0;

    for (int s = 0; s < LEDGER_STATES && n < FIGURE_TEXT - 24; s++) {
        double part = 0;

        for (unsigned i = 0; i < st->vcpus; i++)
            part += st->vcpu[i].ledger[s] / st->vcpus;
        if (part >= 0.0005)
            n += (size_t)snprintf(out + n, FIGURE_TEXT - n, "%s%s %.1f%%", n ? ", " : "",
                                  ledger_state_name((enum ledger_state)s), part * 100);
    }
}

static void exits_now(struct ui *u, struct row *r, char *out)
{
    char n[UNITS_TEXT];

    (void)u;
    snprintf(out, FIGURE_TEXT, "%s a second", units_fmt_count(n, r->exits));
}

static void resident_now(struct ui *u, struct row *r, char *out)
{
    (void)u;
    field_at(FIELD_MEM)->text(r, out);
}

static const char *claim(char buf[UNITS_TEXT], uint64_t bytes)
{
    return bytes == UINT64_MAX ? "–" : units_fmt_size(buf, bytes);
}

static void balloon_now(struct ui *u, struct row *r, char *out)
{
    const struct vm_stats *st = model_stats(&u->model, r->g);
    char n[UNITS_TEXT];

    snprintf(out, FIGURE_TEXT, "%s", st->balloon ? claim(n, st->balloon_stats.actual_bytes) : "–");
}

static void claims_now(struct ui *u, struct row *r, char *out)
{
    const struct vm_stats *st = model_stats(&u->model, r->g);
    const struct balloon_stats *b = &st->balloon_stats;
    char free_[UNITS_TEXT], available[UNITS_TEXT], cache[UNITS_TEXT];

    snprintf(out, FIGURE_TEXT, st->balloon ? "%s, %s, %s" : "–", claim(free_, b->free_bytes),
             claim(available, b->available_bytes), claim(cache, b->disk_caches_bytes));
}

static void disk_rate_now(struct ui *u, struct row *r, char *out)
{
    double iops = rates_disks(&r->io, RATE_RD_REQS) + rates_disks(&r->io, RATE_WR_REQS);
    char rd[FIELD_TEXT], wr[FIELD_TEXT], n[UNITS_TEXT];

    (void)u;
    field_at(FIELD_RD)->text(r, rd);
    field_at(FIELD_WR)->text(r, wr);
    snprintf(out, FIGURE_TEXT, "all its disks: %s, %s, %s", rd, wr, isnan(iops) ? "–" : units_fmt_count(n, iops));
}

static const char *mean(char buf[UNITS_TEXT], const struct latency_figures *l)
{
    return l->count ? units_fmt_ns(buf, l->mean_ns) : "–";
}

static void disk_latency_now(struct ui *u, struct row *r, char *out)
{
    const struct vm_stats *st = model_stats(&u->model, r->g);
    const struct disk_stats *d = &st->disks[0];
    char rd[UNITS_TEXT], wr[UNITS_TEXT];

    if (st->ndisks)
        snprintf(out, FIGURE_TEXT, "%s: read %s, write %s (mean)", d->name, mean(rd, &d->latency[DISK_READ]),
                 mean(wr, &d->latency[DISK_WRITE]));
}

static void held_now(struct ui *u, struct row *r, char *out)
{
    double ns = rates_disks(&r->io, RATE_HELD_NS);

    (void)u;
    snprintf(out, FIGURE_TEXT, isnan(ns) ? "–" : "all its disks: %.0f%%", ns / 1e7);
}

static void net_rate_now(struct ui *u, struct row *r, char *out)
{
    double pk = rates_nets(&r->io, RATE_RX_PKTS) + rates_nets(&r->io, RATE_TX_PKTS);
    char rx[FIELD_TEXT], tx[FIELD_TEXT], n[UNITS_TEXT];

    (void)u;
    field_at(FIELD_RX)->text(r, rx);
    field_at(FIELD_TX)->text(r, tx);
    snprintf(out, FIGURE_TEXT, "all its links: %s, %s, %s pk", rx, tx, isnan(pk) ? "–" : units_fmt_count(n, pk));
}

static void drops_now(struct ui *u, struct row *r, char *out)
{
    double d = rates_nets(&r->io, RATE_RX_DROPS) + rates_nets(&r->io, RATE_TX_DROPS);
    char n[UNITS_TEXT];

    (void)u;
    snprintf(out, FIGURE_TEXT, "all its links: %s", isnan(d) ? "–" : units_fmt_count(n, d));
}

static const struct figure figures[] = {
    {"host bar", "pCPU", "How many CPUs the host has, and what part of them all guests use together.",
     "sum of CPU% of all guests / (100 * pCPU)", "CPU clocks of the guests' threads", pcpu_now, false},
    {"host bar", "mem", "Memory of the host that is in use, by anybody, of all that it has.", "total - available",
     "MemAvailable in /proc/meminfo", mem_now, false},
    {"host bar", "promised", "Memory that the guests that are up may take, of what the host has for them. OVER: it does not have that much, and "
     "goes on well only while guests leave some of it untouched.", "sum of their memory, or of what `mem` asked them to keep / (available + what they hold)", "the lab file, `mem`", promised_now, false},
    {"host bar", "host CPUs", "How busy each CPU of the host is, whoever uses it.",
     "1 - (idle + iowait) / all ticks of the last interval", "/proc/stat", host_cpus_now, false},
    {"host bar", "others", "CPUs that are used, but not by guests: other programs, the kernel, this console.",
     "busy CPUs - sum of the guests' CPU%", "/proc/stat and CPU clocks", others_now, false},
    {"host bar", "entitled, got", "What each guest should get of the host's CPUs, and what it got; the whole width is all CPUs.",
     "as ENTL% and CPU%", "the governor, CPU clocks", entitled_now, true},
    {"detail", "CPU", "What it used over the last moments; the line is what it was entitled to. Full height is all its vCPUs busy.",
     "as CPU% and ENTL%", "CPU clocks, the governor", entitled_now, true},
    {"detail", "run vmm poll ready ...", "Where the time of a vCPU goes. run: guest code; vmm: our handling of its exits; poll: KVM waits "
     "busily for work; ready: it wants a CPU and the host gives none; capped: held by share or cap; halt: it is idle; "
     "blocked: it waits for us; paused.", "each state's part of the interval; they sum to 100 %",
     "clocks of the vCPU's thread, schedstat, KVM's statistics", ledger_now, true},
    {"detail", "exits", "Why it stopped running: how often a second, the reason's part of all time spent with exits, and how long one takes.",
     "time: its time / time of all reasons; mean: time / exits; p99: 99 of 100 take no longer", "counted and timed at each exit", exits_now, true},
    {"detail", "resident", "Memory of it that the host holds now: pages touched and not given back.", "pages * size of a page",
     "the host's page tables", resident_now, true},
    {"detail", "in balloon", "Memory that it has lent back to the host, by its balloon driver.", "", "the guest's driver (virtio-balloon)", balloon_now, true},
    {"detail", "guest: free, avail, cache", "What the guest says of its own memory; a claim, since nobody else can see it.", "",
     "balloon statistics of the guest's kernel", claims_now, true},
    {"detail", "RD/s WR/s IOPS", "Bytes and requests a second that the disk reads and writes.", "growth in the last interval / its length", VIRTIO_BLK, disk_rate_now, true},
    {"detail", "read, write (disk)", "How long a request takes, mean and p99, since the start of the guest; waiting for a limit is part of it. "
     "A pause is not.", "p99: 99 of 100 take no longer (upper edge of a bucket)", VIRTIO_BLK, disk_latency_now, true},
    {"detail", "held", "Part of the time in which the disk's limits (iops, bps) kept a request waiting.", "time held / length of the interval", VIRTIO_BLK, held_now, true},
    {"detail", "RX/s TX/s, pk", "Bytes and packets a second that the guest receives and sends. A segment left uncut counts as one packet.",
     "growth in the last interval / its length", SWITCH, net_rate_now, true},
    {"detail", "drops", "Frames a second that were lost on this link, both ways: by its loss, because it was down, or because nobody took them.",
     "growth in the last interval / its length", SWITCH, drops_now, true},
};

enum { FIGURES = sizeof figures / sizeof *figures };

const struct figure *figure_at(int i)
{
    return i >= 0 && i < FIGURES ? &figures[i] : NULL;
}

int figure_count(void)
{
    return FIGURES;
}

int figure_first(const char *where)
{
    for (int i = 0; i < FIGURES; i++)
        if (strcmp(figures[i].where, where) == 0)
            return i;
    return 0;
}
