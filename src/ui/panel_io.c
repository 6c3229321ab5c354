/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * panel_io: what a guest's disks and links do: rates, latency, limits, totals. Two rows each.
 */
#include "ui/ui_internal.h"

#include "core/units.h"

#include <math.h>
#include <stdio.h>

enum { HEADS = 2, ROWS_EACH = 2 };

static const char *size_or_dash(char out[UNITS_TEXT], double v)
{
    return isnan(v) ? "–" : units_fmt_size(out, (uint64_t)v);
}

static const char *count_or_dash(char out[UNITS_TEXT], double v)
{
    return isnan(v) ? "–" : units_fmt_count(out, v);
}

/* "–" while nothing was counted. */
static const char *time_or_dash(char out[UNITS_TEXT], const struct latency_figures *l, uint64_t ns)
{
    return l->count ? units_fmt_ns(out, ns) : "–";
}

/* Text in columns of `w`, right-aligned; printf counts bytes, and a dash has three. */
static int cell(int y, int x, int w, enum role r, const char *s)
{
    draw_right(y, x, w, r, s);
    return x + w + 1;
}

static const int disk_width[] = {6, 6, 5, 6, 6, 6, 6};

static void disk_heads(int y, struct area a)
{
    static const char *const heads[] = {"RD/s", "WR/s", "IOPS", "read", "p99", "write", "p99"};
    int x = a.x + 7;

    for (int i = 0; i < 7; i++)
        x = cell(y, x, disk_width[i], ROLE_DIM, heads[i]);
}

static void disk_figures(int y, struct area a, const struct disk_stats *d, const struct disk_rates *r)
{
    const struct latency_figures *rd = &d->latency[DISK_READ], *wr = &d->latency[DISK_WRITE];
    char t[7][UNITS_TEXT];
    const char *s[7] = {size_or_dash(t[0], r->rate[RATE_RD_BYTES]),
                        size_or_dash(t[1], r->rate[RATE_WR_BYTES]),
                        count_or_dash(t[2], r->rate[RATE_RD_REQS] + r->rate[RATE_WR_REQS]),
                        time_or_dash(t[3], rd, rd->mean_ns),
                        time_or_dash(t[4], rd, rd->p99_ns),
                        time_or_dash(t[5], wr, wr->mean_ns),
                        time_or_dash(t[6], wr, wr->p99_ns)};
    int x = a.x + 7;

    draw_text(y, a.x + 1, 6, ROLE_TEXT, d->name);
    for (int i = 0; i < 7; i++)
        x = cell(y, x, disk_width[i], ROLE_TEXT, s[i]);
}

static void disk_totals(int y, struct area a, const struct disk_stats *d, const struct disk_rates *r)
{
    char cap[UNITS_TEXT], rd[UNITS_TEXT], wr[UNITS_TEXT], limit[UNITS_TEXT];
    int x = a.x + 3, end = a.x + a.w - 1;

    if (d->errors)
        x += draw_fmt(y, x, end - x, ROLE_BAD, "%llu errors  ", (unsigned long long)d->errors);
    x += draw_fmt(y, x, end - x, ROLE_DIM, "%s%s", units_fmt_size(cap, d->capacity_bytes), d->readonly ? " read-only" : "") + 2;
    if (d->iops)
        x += draw_fmt(y, x, end - x, ROLE_WARN, "iops %u", d->iops) + 2;
    if (d->bytes_per_s)
        x += draw_fmt(y, x, end - x, ROLE_WARN, "bps %s", units_fmt_size(limit, d->bytes_per_s)) + 2;
    if ((d->iops || d->bytes_per_s) && !isnan(r->rate[RATE_HELD_NS]))
        x += draw_fmt(y, x, end - x, ROLE_WARN, "held %.0f%%", fmin(r->rate[RATE_HELD_NS] / 1e7, 100)) + 2;
    draw_fmt(y, x, end - x, ROLE_DIM, "read %s, wrote %s in all", units_fmt_size(rd, d->rd_bytes), units_fmt_size(wr, d->wr_bytes));
}

int panel_disks_rows(const struct row *r)
{
    return r->io.ndisks ? HEADS + ROWS_EACH * (int)r->io.ndisks : 0;
}

int panel_disks(struct ui *u, struct row *r, struct area a)
{
    const struct vm_stats *st = model_stats(&u->model, r->g);
    int y = a.y;

    panel_rule(y++, a.x, a.w, "disks: rates; time of a request: mean, p99");
    disk_heads(y++, a);
    for (unsigned i = 0; i < st->ndisks && i < r->io.ndisks && y < a.y + a.h; i++) {
        disk_figures(y++, a, &st->disks[i], &r->io.disk[i]);
        disk_totals(y++, a, &st->disks[i], &r->io.disk[i]);
    }
    return y - a.y;
}

static const int net_width[] = {6, 6, 6, 6, 6};

static void net_heads(int y, struct area a)
{
    static const char *const heads[] = {"RX/s", "TX/s", "RX pk", "TX pk", "drops"};
    int x = a.x + 20;

    for (int i = 0; i < 5; i++)
        x = cell(y, x, net_width[i], ROLE_DIM, heads[i]);
}

static void net_figures(int y, struct area a, const struct net_stats *n, const struct net_rates *r)
{
    double drops = r->rate[RATE_RX_DROPS] + r->rate[RATE_TX_DROPS];
    char t[5][UNITS_TEXT];
    const char *s[5] = {size_or_dash(t[0], r->rate[RATE_RX_BYTES]), size_or_dash(t[1], r->rate[RATE_TX_BYTES]),
                        count_or_dash(t[2], r->rate[RATE_RX_PKTS]), count_or_dash(t[3], r->rate[RATE_TX_PKTS]),
                        count_or_dash(t[4], drops)};
    int x = a.x + 20;

    draw_fmt(y, a.x + 1, 13, ROLE_TEXT, "%s %s", n->name, n->network);
    draw_text(y, a.x + 15, 4, n->up ? ROLE_GOOD : ROLE_BAD, n->up ? "up" : "DOWN");
    for (int i = 0; i < 5; i++)
        x = cell(y, x, net_width[i], i == 4 && drops > 0 ? ROLE_WARN : ROLE_TEXT, s[i]);
}

static int net_limits(int y, int x, int end, const struct net_stats *n)
{
    char t[UNITS_TEXT];
    int from = x;

    if (n->rate_bits)
        x += draw_fmt(y, x, end - x, ROLE_WARN, "rate %sbit", units_fmt_count(t, (double)n->rate_bits)) + 2;
    if (n->delay_ns)
        x += draw_fmt(y, x, end - x, ROLE_WARN, "delay %s", units_fmt_ns(t, n->delay_ns)) + 2;
    if (n->loss_ppm)
        x += draw_fmt(y, x, end - x, ROLE_WARN, "loss %g%%", n->loss_ppm / 1e4) + 2;
    if (n->capturing)
        x += draw_text(y, x, end - x, ROLE_WARN, "captured") + 2;
    return x - from;
}

static void net_totals(int y, struct area a, const struct net_stats *n)
{
    char rx[UNITS_TEXT], tx[UNITS_TEXT], drops[UNITS_TEXT], ip[UNITS_TEXT];
    int x = a.x + 3, end = a.x + a.w - 1;

    if (n->ip)
        x += draw_text(y, x, end - x, ROLE_DIM, units_fmt_ip(ip, n->ip)) + 2;
    x += net_limits(y, x, end, n);
    draw_fmt(y, x, end - x, ROLE_DIM, "%s in, %s out, %s dropped", units_fmt_size(rx, n->rx_bytes),
             units_fmt_size(tx, n->tx_bytes), units_fmt_count(drops, (double)(n->rx_drops + n->tx_drops)));
}

int panel_nets_rows(const struct row *r)
{
    return r->io.nnets ? HEADS + ROWS_EACH * (int)r->io.nnets : 0;
}

int panel_nets(struct ui *u, struct row *r, struct area a)
{
    const struct vm_stats *st = model_stats(&u->model, r->g);
    int y = a.y;

    panel_rule(y++, a.x, a.w, "links: bytes and packets a second");
    net_heads(y++, a);
    for (unsigned i = 0; i < st->nnets && i < r->io.nnets && y < a.y + a.h; i++) {
        net_figures(y++, a, &st->nets[i], &r->io.net[i]);
        net_totals(y++, a, &st->nets[i]);
    }
    return y - a.y;
}
