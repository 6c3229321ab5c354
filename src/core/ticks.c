/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ticks: see ticks.h. Neither CPUID's word on an invariant counter nor its frequency is used: the
 * kernel has watched the counter since it booted and says what it thinks by its clock source.
 */
#include "core/ticks.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define CLOCK_SOURCE "/sys/devices/system/clocksource/clocksource0/current_clocksource"

enum { MEASURE_NS = 1000000 };

static struct ticks host;

static int kernel_keeps_time_by_tsc(void)
{
    int fd = open(CLOCK_SOURCE, O_RDONLY | O_CLOEXEC);
    char name[4] = "";
    ssize_t n = fd >= 0 ? read(fd, name, 3) : -1;

    if (fd >= 0)
        close(fd);
    return n == 3 && strcmp(name, "tsc") == 0; /* tsc-early is the same counter */
}

/* The counter at a known time: the reading with the least between the two clock reads. */
static uint64_t pair(uint64_t *ns)
{
    uint64_t best = UINT64_MAX, tsc = 0;

    for (int i = 0; i < 5; i++) {
        uint64_t a = clock_mono_ns(), t = __rdtsc(), b = clock_mono_ns();

        if (b - a >= best)
            continue;
        best = b - a;
        tsc = t;
        *ns = a + (b - a) / 2;
    }
    return tsc;
}

static void measure(void)
{
    const struct timespec nap = {.tv_nsec = MEASURE_NS};
    uint64_t ns0, ns1, t0, t1;

    if (!kernel_keeps_time_by_tsc())
        return;
    t0 = pair(&ns0);
    nanosleep(&nap, NULL);
    t1 = pair(&ns1);
    if (t1 > t0 && ns1 > ns0)
        host.ns_per_tick_q32 = (uint64_t)(((unsigned __int128)(ns1 - ns0) << 32) / (t1 - t0));
}

struct ticks ticks_host(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, measure);
    return host;
}
