/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ticks: the cheapest clock for short spans, read twice at each exit of a vCPU.
 *
 * It is the processor's time-stamp counter where the kernel itself keeps time by it (then it is
 * constant and equal on all CPUs), else the monotonic clock, four times as dear. Not for points
 * in time: it drifts against CLOCK_MONOTONIC by some parts in 100,000.
 *
 * Threads: any; the rate is measured once for the process.
 */
#ifndef RUCHE_CORE_TICKS_H
#define RUCHE_CORE_TICKS_H

#include "core/clock.h"

#include <stdint.h>
#include <x86intrin.h>

struct ticks {
    uint64_t ns_per_tick_q32; /* fixed point, 0: ticks are nanoseconds of the monotonic clock */
};

/* How this host's ticks are read. The first call takes a millisecond. */
struct ticks ticks_host(void);

static inline uint64_t ticks_now(struct ticks t)
{
    return t.ns_per_tick_q32 ? __rdtsc() : clock_mono_ns();
}

/* From `begin` to now in ns, never negative. */
static inline uint64_t ticks_since_ns(struct ticks t, uint64_t begin)
{
    uint64_t now = ticks_now(t), span = now > begin ? now - begin : 0;

    return t.ns_per_tick_q32 ? (uint64_t)(((unsigned __int128)span * t.ns_per_tick_q32) >> 32) : span;
}

#endif
