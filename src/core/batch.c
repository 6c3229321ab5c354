/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * batch: see batch.h.
 */
#include "core/batch.h"

#include "core/clock.h"
#include "core/columns.h"
#include "core/loop.h"
#include "core/units.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { IO_RD, IO_WR, IO_KINDS };

/* What a guest's disks had moved at the sample before. */
struct before {
    unsigned id; /* of the guest; 0: free */
    uint64_t bytes[IO_KINDS];
};

struct batch {
    struct session *session;
    struct batch_params p;
    struct loop_timer *timer;
    uint64_t due_ns, taken_ns; /* CLOCK_MONOTONIC; taken_ns 0: no sample yet */
    uint64_t samples;
    struct before before[LAB_GUESTS_MAX];
};

/* One guest at one moment; NAN is what cannot be known. */
struct row {
    const struct guest *g;
    bool up;
    struct sched_info sched;
    double cpu_pct, entitled_pct, exit_rate, mips, resident, io[IO_KINDS];
};

static struct before *before_of(struct batch *b, unsigned id)
{
    struct before *free_one = NULL;

    for (unsigned i = 0; i < LAB_GUESTS_MAX; i++) {
        if (b->before[i].id == id)
            return &b->before[i];
        if (!b->before[i].id && !free_one)
            free_one = &b->before[i];
    }
    return free_one;
}

static void forget_removed(struct batch *b)
{
    for (unsigned i = 0; i < LAB_GUESTS_MAX; i++) {
        struct guest *g = session_guests(b->session);

        while (g && g->id != b->before[i].id)
            g = g->next;
        if (!g)
            b->before[i].id = 0;
    }
}

static void rate_io(struct batch *b, struct row *row, const struct vm_stats *st, double seconds)
{
    uint64_t now[IO_KINDS] = {0};
    struct before *last = before_of(b, row->g->id);
    bool known = last && last->id == row->g->id && seconds > 0 && row->up;

    for (unsigned i = 0; i < st->ndisks; i++) {
        now[IO_RD] += st->disks[i].rd_bytes;
        now[IO_WR] += st->disks[i].wr_bytes;
    }
    for (unsigned k = 0; k < IO_KINDS; k++)
        row->io[k] = known && now[k] >= last->bytes[k] ? (double)(now[k] - last->bytes[k]) / seconds : NAN;
    if (last) {
        last->id = row->g->id;
        memcpy(last->bytes, now, sizeof now);
    }
}

static void take(struct batch *b, struct guest *g, double seconds, struct row *row)
{
    struct vm_stats *st = calloc(1, sizeof *st);

    *row = (struct row){.g = g, .cpu_pct = NAN, .entitled_pct = NAN, .exit_rate = NAN, .mips = NAN,
                        .resident = NAN, .io = {NAN, NAN}};
    if (!st)
        return; /* a row of what is not known */
    row->up = guest_is_up(g);
    vm_stats(g->vm, st, b->p.interval_ns * 3 / 2); /* the session samples at the same pace */
    session_sched(b->session, g, st, &row->sched);
    rate_io(b, row, st, seconds);
    if (row->up)
        row->resident = (double)st->memory_resident_bytes;
    if (row->up && seconds > 0) { /* the first sample would be of the few ms since the start */
        row->cpu_pct = st->cpu * 100;
        row->entitled_pct = row->sched.entitlement * 100;
        row->exit_rate = st->exit_rate;
        row->mips = st->mips >= 0 ? st->mips : NAN;
    }
    free(st);
}

/* Text. */

static void cell_pct(struct columns *c, double pct)
{
    columns_cell(c, isnan(pct) ? "-" : "%.1f", pct);
}

static void cell_count(struct columns *c, double n)
{
    char text[UNITS_TEXT];

    columns_cell(c, "%s", isnan(n) ? "-" : units_fmt_count(text, n));
}

static void cell_size(struct columns *c, double bytes)
{
    char text[UNITS_TEXT];

    columns_cell(c, "%s", isnan(bytes) ? "-" : units_fmt_size(text, (uint64_t)bytes));
}

static void text_row(struct columns *c, const struct row *r)
{
    const char *why = sched_reason_name(r->sched.reason);

    columns_cell(c, "%s", r->g->c->name);
    columns_cell(c, "%s", vm_state_name(vm_state(r->g->vm)));
    columns_cell(c, "%u", r->g->c->vcpus);
    cell_pct(c, r->cpu_pct);
    cell_pct(c, r->entitled_pct);
    columns_cell(c, "%s", r->up && why ? why : "-");
    columns_cell(c, "%u", r->g->c->share);
    columns_cell(c, r->g->c->cap_pct ? "%u" : "-", r->g->c->cap_pct);
    cell_size(c, (double)r->g->c->memory_bytes);
    cell_size(c, r->resident);
    cell_count(c, r->exit_rate);
    cell_size(c, r->io[IO_RD]);
    cell_size(c, r->io[IO_WR]);
    cell_count(c, r->mips);
}

/* CSV: names and words of ours hold neither commas nor quotes (lab_check_name). */

static const char csv_head[] = "time,name,state,vcpus,cpu_percent,entitled_percent,reason,share,cap_percent,"
                               "memory_bytes,resident_bytes,exits_per_s,read_bytes_per_s,write_bytes_per_s,mips\n";

static void csv_number(struct text *t, double v, int decimals)
{
    if (isnan(v))
        text_putc(t, ',');
    else
        text_printf(t, ",%.*f", decimals, v);
}

static void csv_row(struct text *t, const char *when, const struct row *r)
{
    const char *why = sched_reason_name(r->sched.reason);

    text_printf(t, "%s,%s,%s,%u", when, r->g->c->name, vm_state_name(vm_state(r->g->vm)), r->g->c->vcpus);
    csv_number(t, r->cpu_pct, 2);
    csv_number(t, r->entitled_pct, 2);
    text_printf(t, ",%s,%u,%u,%llu", r->up && why ? why : "", r->g->c->share, r->g->c->cap_pct,
                (unsigned long long)r->g->c->memory_bytes);
    csv_number(t, r->resident, 0);
    csv_number(t, r->exit_rate, 1);
    csv_number(t, r->io[IO_RD], 0);
    csv_number(t, r->io[IO_WR], 0);
    csv_number(t, r->mips, 1);
    text_putc(t, '\n');
}

static void write_sample(struct batch *b, double seconds)
{
    char when[40] = "";
    time_t now = time(NULL);
    struct text out = {0};
    struct columns c;
    struct row row;
    struct tm tm;

    if (localtime_r(&now, &tm))
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S%z", &tm);
    columns_init(&c, "<NAME|<STATE|>VCPUS|>CPU%|>ENTITLED%|<WHY|>SHARE|>CAP|>MEMORY|>RESIDENT|>EXITS/s|>RD/s|>WR/s|>MIPS");
    if (b->p.csv && !b->samples)
        text_puts(&out, csv_head);
    for (struct guest *g = session_guests(b->session); g; g = g->next) {
        take(b, g, seconds, &row);
        if (b->p.csv)
            csv_row(&out, when, &row);
        else
            text_row(&c, &row);
    }
    if (!b->p.csv) {
        text_printf(&out, "%s%s  %s, %s\n", b->samples ? "\n" : "", when, session_name(b->session),
                    session_engine(b->session)->name);
        columns_print(&c, &out);
    }
    columns_fini(&c);
    b->p.write(b->p.opaque, text_str(&out), out.len);
    text_free(&out);
}

/* Moments stay at whole intervals from the beginning; those that a busy host slept through are
 * left out. */
static void arm(struct batch *b)
{
    uint64_t now = clock_mono_ns();

    while (b->due_ns <= now)
        b->due_ns += b->p.interval_ns;
    loop_arm_ns(b->timer, b->due_ns - now);
}

static void on_timer(void *arg)
{
    struct batch *b = arg;
    uint64_t now = clock_mono_ns();

    forget_removed(b);
    write_sample(b, b->taken_ns ? (double)(now - b->taken_ns) / 1e9 : 0);
    b->taken_ns = now;
    b->samples++;
    if (b->p.count && b->samples >= b->p.count)
        b->p.done(b->p.opaque);
    else
        arm(b);
}

struct batch *batch_new(struct session *s, const struct batch_params *p, struct err *e)
{
    struct batch *b = calloc(1, sizeof *b);

    if (!b) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    b->session = s;
    b->p = *p;
    b->due_ns = clock_mono_ns();
    b->timer = loop_add_timer(session_loop(s), on_timer, b, e);
    if (!b->timer) {
        free(b);
        return NULL;
    }
    session_set_interval_ns(s, p->interval_ns);
    arm(b);
    return b;
}

void batch_free(struct batch *b)
{
    if (!b)
        return;
    loop_del_timer(b->timer);
    free(b);
}
