/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * rates: how fast the counters of a guest's disks and links grow. Pure: no clock, no screen.
 *
 * The figures of disks are those of the guest's last sample, which may be read more than once;
 * those of links are of the moment. So each kind has a time of its own.
 */
#ifndef RUCHE_UI_RATES_H
#define RUCHE_UI_RATES_H

#include "core/vm.h"

enum disk_rate { RATE_RD_BYTES, RATE_WR_BYTES, RATE_RD_REQS, RATE_WR_REQS, RATE_FLUSHES, RATE_HELD_NS, DISK_RATES };
enum net_rate { RATE_RX_BYTES, RATE_TX_BYTES, RATE_RX_PKTS, RATE_TX_PKTS, RATE_RX_DROPS, RATE_TX_DROPS, NET_RATES };

struct disk_rates {
    uint64_t count[DISK_RATES];
    double rate[DISK_RATES]; /* per second; NAN: not known yet */
};

struct net_rates {
    uint64_t count[NET_RATES];
    double rate[NET_RATES];
};

struct rates {
    uint64_t disks_ns, nets_ns; /* when the counters were read, 0: never */
    unsigned ndisks, nnets;
    struct disk_rates disk[VM_DISKS_MAX];
    struct net_rates net[VM_NICS_MAX];
};

/* `now_ns`: when `st` was taken; `old`: what this gave the last time, NULL: nothing. */
void rates_read(struct rates *r, const struct rates *old, const struct vm_stats *st, uint64_t now_ns);

/* Sums over all disks, all links; NAN: there are none, or it is not known yet. */
double rates_disks(const struct rates *r, enum disk_rate k);
double rates_nets(const struct rates *r, enum net_rate k);

#endif
