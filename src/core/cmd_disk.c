/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd_disk: `disk VM.DISK [iops=N] [bps=SIZE]`: the limits of disks, shown and changed. DESIGN §6.
 */
#include "core/cmd_internal.h"

#include "core/columns.h"
#include "core/units.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IOPS_MAX = 10000000, BAR_MAX = 40 };

struct limits {
    bool has_iops, has_bps;
    uint64_t iops, bps;
};

static int read_limit(struct limits *l, const char *word, struct err *e)
{
    char show[48];

    if (strncmp(word, "iops=", 5) == 0) {
        l->has_iops = true;
        return units_uint(word + 5, "iops", 0, IOPS_MAX, &l->iops, e);
    }
    if (strncmp(word, "bps=", 4) == 0) {
        l->has_bps = true;
        return units_size(word + 4, &l->bps, e);
    }
    return err_set(e, EINVAL, "`%s` is no limit: write iops=N or bps=SIZE",
                   text_show(show, sizeof show, word));
}

/* Splits `web*.vda` and finds the guests; `*disk` is the pattern of the disks. */
static int resolve(struct cmd_run *r, char word[TARGET_PART_MAX], const char **disk, struct err *e)
{
    if (!target_split(r->p.arg[0], word, disk) || !*disk || !word[0] || !**disk)
        return err_set(e, EINVAL, "a disk is written as `web.vda`; `info VM` shows a guest's disks");
    return targets_add(&r->targets, r->session, word, e);
}

static int limit_one(struct cmd_run *r, struct guest *g, struct disk_config *d, const struct limits *l,
                     struct err *e)
{
    const uint32_t iops = l->has_iops ? (uint32_t)l->iops : d->iops;
    const uint64_t bps = l->has_bps ? l->bps : d->bytes_per_s;
    char a[UNITS_TEXT];
    int rc = vm_disk_limit(g->vm, d->name, iops, bps, e);

    if (rc < 0)
        return rc;
    undo_step(cmd_undo(r), "disk %s.%s iops=%u bps=%llu", g->c->name, d->name, d->iops,
              (unsigned long long)d->bytes_per_s);
    d->iops = iops;
    d->bytes_per_s = bps;
    session_event(r->session, EV_CONFIG, g, "%s has the limits iops %u, bytes per second %s", d->name,
                  iops, bps ? units_fmt_size(a, bps) : "0");
    return 0;
}

static void show_one(struct columns *c, const struct guest *g, const struct disk_config *d)
{
    char a[UNITS_TEXT];

    columns_cell(c, "%s.%s", g->c->name, d->name);
    columns_cell(c, d->iops ? "%u" : "none", d->iops);
    columns_cell(c, "%s", d->bytes_per_s ? units_fmt_size(a, d->bytes_per_s) : "none");
}

/* Each disk that was meant: shown (no limits given) or changed. Returns how many there were. */
static unsigned each(struct cmd_run *r, const char *disk, const struct limits *l, struct columns *c,
                     int *status)
{
    unsigned n = 0;
    struct err e;

    for (unsigned i = 0; i < r->targets.n; i++) {
        struct guest *g = r->targets.t[i].g;

        for (unsigned k = 0; k < g->c->ndisks; k++) {
            if (!target_match(disk, g->c->disks[k].name))
                continue;
            n++;
            if (c) {
                show_one(c, g, &g->c->disks[k]);
            } else if (limit_one(r, g, &g->c->disks[k], l, &e) < 0) {
                cmd_error(r, "%s", e.msg);
                *status = CMD_FAILED;
            }
        }
    }
    return n;
}

static void show_histogram(struct cmd_run *r, const struct guest *g, const struct disk_stats *d, enum disk_op op)
{
    static const char *const names[DISK_OPS] = {[DISK_READ] = "reads", [DISK_WRITE] = "writes", [DISK_FLUSH] = "flushes"};
    const struct latency_figures *f = &d->latency[op];
    char a[UNITS_TEXT], b[UNITS_TEXT], bar[BAR_MAX + 1];
    int first = 0, last = HIST_OCTAVES - 1;
    uint32_t most = 1;

    if (!f->count)
        return;
    cmd_printf(r, "\n%s.%s: %llu %s, mean %s, 99 %% within %s\n", g->c->name, d->name, (unsigned long long)f->count,
               names[op], units_fmt_ns(a, f->mean_ns), units_fmt_ns(b, f->p99_ns));
    while (first < last && !f->octave[first])
        first++;
    while (last > first && !f->octave[last])
        last--;
    for (int k = first; k <= last; k++)
        most = f->octave[k] > most ? f->octave[k] : most;
    for (int k = first; k <= last; k++) {
        int cells = (int)((uint64_t)f->octave[k] * BAR_MAX / most);

        memset(bar, '#', sizeof bar);
        bar[f->octave[k] && !cells ? 1 : cells] = '\0';
        cmd_printf(r, "  below %7s %9u %5.1f%% %s\n", units_fmt_ns(a, 2ull << k), f->octave[k],
                   100.0 * f->octave[k] / (double)f->count, bar);
    }
}

/* Of the disks meant by `disk`: how long requests took. */
static void show_latency(struct cmd_run *r, const char *disk)
{
    struct vm_stats *st = malloc(sizeof *st);

    for (unsigned i = 0; st && i < r->targets.n; i++) {
        struct guest *g = r->targets.t[i].g;

        vm_stats(g->vm, st, 0);
        for (unsigned k = 0; k < st->ndisks; k++)
            for (int op = 0; op < DISK_OPS && target_match(disk, st->disks[k].name); op++)
                show_histogram(r, g, &st->disks[k], (enum disk_op)op);
    }
    free(st);
}

static void show(struct cmd_run *r, const char *disk, unsigned *n)
{
    struct columns c;

    columns_init(&c, "<DISK|>IOPS|>BYTES/s");
    *n = each(r, disk, NULL, &c, NULL);
    if (*n)
        columns_print(&c, &r->out);
    columns_fini(&c);
    show_latency(r, disk);
}

void exec_disk(struct cmd_run *r)
{
    char word[TARGET_PART_MAX], pattern[48];
    struct limits l = {0};
    const char *disk = "";
    int status = CMD_DONE;
    unsigned n;
    struct err e;

    for (unsigned i = 0; i < r->p.nrest; i++) {
        if (read_limit(&l, r->p.rest[i], &e) < 0) {
            cmd_fail(r, "%s", e.msg);
            return;
        }
    }
    if (resolve(r, word, &disk, &e) < 0) {
        cmd_fail(r, "%s", e.msg);
        return;
    }
    if (r->p.nrest) {
        undo_begin(cmd_undo(r), r->line);
        n = each(r, disk, &l, NULL, &status);
    } else {
        show(r, disk, &n);
    }
    if (!n) {
        cmd_fail(r, "%s has no disk `%s`: `info` shows a guest's disks", word,
                 text_show(pattern, sizeof pattern, disk));
        return;
    }
    cmd_done(r, status);
}
