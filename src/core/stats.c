/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * stats: see stats.h.
 */
#include "core/stats.h"

#include "core/every_exit.h"

static const char *const reason_names[EXIT_REASONS] = {
    [EXIT_IO] = "io",           [EXIT_MMIO] = "mmio",     [EXIT_HLT] = "hlt",
    [EXIT_IRQWIN] = "irqwin",   [EXIT_CPUID] = "cpuid",   [EXIT_MSR] = "msr",
    [EXIT_FAULT] = "fault",     [EXIT_HYPERCALL] = "hypercall", [EXIT_SIGNAL] = "signal",
    [EXIT_SHUTDOWN] = "shutdown", [EXIT_OTHER] = "other",
};

static const char *const ledger_names[LEDGER_STATES] = {
    [LEDGER_RUN] = "run",       [LEDGER_VMM] = "vmm",   [LEDGER_POLL] = "poll",
    [LEDGER_READY] = "ready",   [LEDGER_CAPPED] = "capped", [LEDGER_HALT] = "halt",
    [LEDGER_BLOCKED] = "blocked", [LEDGER_PAUSED] = "paused",
};

const char *exit_reason_name(enum exit_reason r)
{
    return r < EXIT_REASONS ? reason_names[r] : "?";
}

const char *ledger_state_name(enum ledger_state s)
{
    return s < LEDGER_STATES ? ledger_names[s] : "?";
}

void ledger_init(struct ledger *l, enum ledger_state s, uint64_t now_ns)
{
    l->state = s;
    l->since_ns = now_ns;
}

void ledger_switch(struct ledger *l, enum ledger_state s, uint64_t now_ns)
{
    uint32_t old = atomic_load_explicit(&l->state, memory_order_relaxed);
    uint64_t since = atomic_load_explicit(&l->since_ns, memory_order_relaxed);
    uint32_t seq = atomic_load_explicit(&l->seq, memory_order_relaxed);
    uint64_t sum = atomic_load_explicit(&l->ns[old], memory_order_relaxed);

    atomic_store_explicit(&l->seq, seq + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    if (now_ns > since)
        atomic_store_explicit(&l->ns[old], sum + (now_ns - since), memory_order_relaxed);
    atomic_store_explicit(&l->state, s, memory_order_relaxed);
    atomic_store_explicit(&l->since_ns, now_ns, memory_order_relaxed);
    atomic_store_explicit(&l->seq, seq + 2, memory_order_release);
}

void ledger_read(struct ledger *l, uint64_t now_ns, uint64_t out[LEDGER_STATES])
{
    /* bounded: a vCPU that exits without end must not hold the reader */
    for (int tries = 0; tries < 100; tries++) {
        uint32_t seq = atomic_load_explicit(&l->seq, memory_order_acquire);
        uint32_t state = atomic_load_explicit(&l->state, memory_order_relaxed);
        uint64_t since = atomic_load_explicit(&l->since_ns, memory_order_relaxed);

        for (int i = 0; i < LEDGER_STATES; i++)
            out[i] = atomic_load_explicit(&l->ns[i], memory_order_relaxed);
        if (now_ns > since)
            out[state] += now_ns - since;
        atomic_thread_fence(memory_order_acquire);
        if (!(seq & 1) && seq == atomic_load_explicit(&l->seq, memory_order_relaxed))
            return;
    }
}

EVERY_EXIT static unsigned hist_bucket(uint64_t ns)
{
    unsigned log2, b;

    if (ns < 4)
        return (unsigned)ns;
    log2 = 63 - (unsigned)__builtin_clzll(ns);
    b = log2 * 4 + (unsigned)(ns >> (log2 - 2) & 3) - 4;
    return b < HIST_BUCKETS ? b : HIST_BUCKETS - 1;
}

/* First value beyond bucket `b`: the inverse of hist_bucket. */
static uint64_t hist_upper_ns(unsigned b)
{
    unsigned log2 = (b + 4) / 4;

    if (b < 4)
        return b + 1;
    return ((b + 4) % 4 + 5ull) << (log2 - 2);
}

EVERY_EXIT void latency_add(struct latency *l, uint64_t ns)
{
    _Atomic uint32_t *h = &l->hist[hist_bucket(ns)];

    /* one writer: no locked addition is needed */
    atomic_store_explicit(&l->count, l->count + 1, memory_order_relaxed);
    atomic_store_explicit(&l->ns, l->ns + ns, memory_order_relaxed);
    atomic_store_explicit(h, *h + 1, memory_order_relaxed);
}

struct latency_figures latency_read(const struct latency *l)
{
    struct latency_figures f = {.count = l->count};
    uint32_t hist[HIST_BUCKETS];

    for (int i = 0; i < HIST_BUCKETS; i++) {
        hist[i] = atomic_load_explicit(&l->hist[i], memory_order_relaxed);
        f.octave[(i + 4) / 4] += hist[i];
    }
    if (f.count)
        f.mean_ns = l->ns / f.count;
    f.p50_ns = hist_percentile_ns(hist, 50);
    f.p99_ns = hist_percentile_ns(hist, 99);
    return f;
}

uint64_t hist_percentile_ns(const uint32_t hist[HIST_BUCKETS], unsigned pct)
{
    uint64_t total = 0, sum = 0, want;

    for (int i = 0; i < HIST_BUCKETS; i++)
        total += hist[i];
    if (total == 0)
        return 0;
    want = (total * pct + 99) / 100;
    for (unsigned i = 0; i < HIST_BUCKETS; i++) {
        sum += hist[i];
        if (sum >= want)
            return hist_upper_ns(i);
    }
    return hist_upper_ns(HIST_BUCKETS - 1);
}
