/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * progress: what a guest has done so far, at a fixed guest physical address, for the host to
 * read while the guest runs (no exit, no serial line). Little endian; only counters change.
 * `done` is written by its CPU alone, with single 64-bit stores.
 */
#ifndef TINY_PROGRESS_H
#define TINY_PROGRESS_H

#include "cpu.h"

#define PROGRESS_VERSION 1

struct progress_cpu {
    u64 done;     /* units of work: what a unit is says `unit` */
    u64 tsc;      /* of the last update */
    u64 slept_ns; /* time it chose to sleep */
    u64 spare[5];
};

struct progress {
    char magic[8]; /* "RUCHSPIN", written last */
    u32 version;
    u32 ncpus;
    u64 tsc_hz;
    u64 start_tsc;
    char guest[16];
    char unit[16];
    u8 spare[4096 - 64];
    struct progress_cpu cpu[CPUS_MAX]; /* at + 4096, 64 bytes each */
};

extern struct progress progress; /* at PROGRESS_ADDR */

void progress_init(const char *guest, const char *unit, unsigned ncpus);

#endif
