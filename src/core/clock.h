/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * clock: the host's clocks, in nanoseconds. Guest time is vclock.h.
 */
#ifndef RUCHE_CORE_CLOCK_H
#define RUCHE_CORE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull
#define NS_PER_US 1000ull

static inline uint64_t clock_ns(clockid_t id)
{
    struct timespec ts = {0}; /* stays so for a thread that has ended */

    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static inline uint64_t clock_mono_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static inline uint64_t clock_real_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

#endif
