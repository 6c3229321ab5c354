// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * tsc-khz: prints the rate of this host's time stamp counter in kHz.  The counter is read against
 * CLOCK_MONOTONIC_RAW over 50 ms; each end is the closest of several tries, so that being put
 * off the processor in between does no harm.  scripts/in-kvm tells it to the kernel it starts.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

struct sample {
    uint64_t tsc;
    int64_t ns;
};

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC_RAW, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static struct sample closest_sample(void)
{
    struct sample best = {0, 0};
    int64_t best_width = INT64_MAX;

    for (int i = 0; i < 32; i++) {
        int64_t before = now_ns();
        uint64_t tsc = __rdtsc();
        int64_t width = now_ns() - before;
        if (width < best_width) {
            best_width = width;
            best = (struct sample){tsc, before + width / 2};
        }
    }
    return best;
}

int main(void)
{
    const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
    struct sample a = closest_sample();

    nanosleep(&pause, NULL);
    struct sample b = closest_sample();
    printf("%.0f\n", (double)(b.tsc - a.tsc) * 1e6 / (double)(b.ns - a.ns));
    return 0;
}
