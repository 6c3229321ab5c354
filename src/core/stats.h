/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * stats: what is counted per vCPU, and the time ledger.
 *
 * Writers: the vCPU's own thread, with relaxed atomics (partner: readers on the main thread,
 * who may see one exit counted whose time is not yet). Readers take copies; what they compute
 * over an interval is made to sum up (vm_stats.h).
 */
#ifndef RUCHE_CORE_STATS_H
#define RUCHE_CORE_STATS_H

#include "core/accel.h"

#include <stdatomic.h>
#include <stdint.h>

/* Where a vCPU's wall time goes; the words of DESIGN §4. */
enum ledger_state {
    LEDGER_RUN,     /* guest code */
    LEDGER_VMM,     /* our handling of its exits */
    LEDGER_POLL,    /* KVM's halt polling: the CPU is burnt, the guest is idle */
    LEDGER_READY,   /* wants a CPU, the host is busy */
    LEDGER_CAPPED,  /* held by its own cap or budget */
    LEDGER_HALT,    /* guest idle */
    LEDGER_BLOCKED, /* waiting for us: I/O, page-in */
    LEDGER_PAUSED,
    LEDGER_STATES
};

const char *ledger_state_name(enum ledger_state s);

struct ledger {
    _Atomic uint32_t seq; /* odd while being written; partner: ledger_read */
    _Atomic uint32_t state;
    _Atomic uint64_t since_ns;
    _Atomic uint64_t ns[LEDGER_STATES];
};

void ledger_init(struct ledger *l, enum ledger_state s, uint64_t now_ns);
void ledger_switch(struct ledger *l, enum ledger_state s, uint64_t now_ns); /* owner thread */

/* Copies the totals up to `now_ns`, the running state's part included. Any thread. */
void ledger_read(struct ledger *l, uint64_t now_ns, uint64_t out[LEDGER_STATES]);

/* Histogram of durations: four buckets per power of two, up to 17 s. */
enum { HIST_BUCKETS = 4 * 34, HIST_OCTAVES = 35 };

/* Durations of one kind of work: one writer, readers on any thread. */
struct latency {
    _Atomic uint64_t count, ns;
    _Atomic uint32_t hist[HIST_BUCKETS];
};

struct latency_figures { /* over all that was counted; all 0 if nothing was */
    uint64_t count, mean_ns, p50_ns, p99_ns;
    uint32_t octave[HIST_OCTAVES]; /* how many of 2^i ns and more, but less than 2^(i+1) */
};

void latency_add(struct latency *l, uint64_t ns); /* owner thread */
struct latency_figures latency_read(const struct latency *l);

/* Smallest duration in ns that `pct` percent of the counted do not exceed (upper edge of its
 * bucket), 0 if none. */
uint64_t hist_percentile_ns(const uint32_t hist[HIST_BUCKETS], unsigned pct);

#endif
