/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * rates: see rates.h.
 */
#include "ui/rates.h"

#include <math.h>
#include <string.h>

enum { LEAST_NS = 50000000 }; /* a shorter interval says little: the last figures stay */

static void count_disk(const struct disk_stats *d, uint64_t out[DISK_RATES])
{
    out[RATE_RD_BYTES] = d->rd_bytes;
    out[RATE_WR_BYTES] = d->wr_bytes;
    out[RATE_RD_REQS] = d->rd_reqs;
    out[RATE_WR_REQS] = d->wr_reqs;
    out[RATE_FLUSHES] = d->flush_reqs;
    out[RATE_HELD_NS] = d->held_ns;
}

static void count_net(const struct net_stats *n, uint64_t out[NET_RATES])
{
    out[RATE_RX_BYTES] = n->rx_bytes;
    out[RATE_TX_BYTES] = n->tx_bytes;
    out[RATE_RX_PKTS] = n->rx_pkts;
    out[RATE_TX_PKTS] = n->tx_pkts;
    out[RATE_RX_DROPS] = n->rx_drops;
    out[RATE_TX_DROPS] = n->tx_drops;
}

/* `before` NULL: the first time. A counter that went back has begun anew. */
static void grow(const uint64_t *before, const uint64_t *now, unsigned n, double seconds, double *out)
{
    for (unsigned i = 0; i < n; i++)
        out[i] = !before ? NAN : now[i] >= before[i] ? (double)(now[i] - before[i]) / seconds : 0;
}

static bool is_new(uint64_t before_ns, uint64_t now_ns)
{
    return !before_ns || now_ns >= before_ns + LEAST_NS;
}

static void read_disks(struct rates *r, const struct rates *old, const struct vm_stats *st)
{
    bool known = old && old->disks_ns && old->ndisks == st->ndisks;
    double seconds = known ? (double)(st->sampled_ns - old->disks_ns) / 1e9 : 0;

    r->disks_ns = st->sampled_ns;
    r->ndisks = st->ndisks;
    for (unsigned i = 0; i < st->ndisks; i++) {
        count_disk(&st->disks[i], r->disk[i].count);
        grow(known ? old->disk[i].count : NULL, r->disk[i].count, DISK_RATES, seconds, r->disk[i].rate);
    }
}

static void read_nets(struct rates *r, const struct rates *old, const struct vm_stats *st, uint64_t now_ns)
{
    bool known = old && old->nets_ns && old->nnets == st->nnets;
    double seconds = known ? (double)(now_ns - old->nets_ns) / 1e9 : 0;

    r->nets_ns = now_ns;
    r->nnets = st->nnets;
    for (unsigned i = 0; i < st->nnets; i++) {
        count_net(&st->nets[i], r->net[i].count);
        grow(known ? old->net[i].count : NULL, r->net[i].count, NET_RATES, seconds, r->net[i].rate);
    }
}

void rates_read(struct rates *r, const struct rates *old, const struct vm_stats *st, uint64_t now_ns)
{
    static const struct rates none;

    *r = old ? *old : none;
    if (is_new(r->disks_ns, st->sampled_ns))
        read_disks(r, old, st);
    if (is_new(r->nets_ns, now_ns))
        read_nets(r, old, st, now_ns);
}

double rates_disks(const struct rates *r, enum disk_rate k)
{
    double sum = r->ndisks ? 0 : NAN;

    for (unsigned i = 0; i < r->ndisks; i++)
        sum += r->disk[i].rate[k];
    return sum;
}

double rates_nets(const struct rates *r, enum net_rate k)
{
    double sum = r->nnets ? 0 : NAN;

    for (unsigned i = 0; i < r->nnets; i++)
        sum += r->net[i].rate[k];
    return sum;
}
