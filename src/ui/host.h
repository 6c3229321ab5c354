/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * host: how busy each CPU of the host is, by /proc/stat (proc(5)), with a short history. It does
 * not know whose work it is: what guests use is the model's. Threads: main's.
 */
#ifndef RUCHE_UI_HOST_H
#define RUCHE_UI_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HOST_CPUS = 64, HOST_PAST = 64 }; /* more CPUs are only counted in the sum */

struct host_cpu {
    uint64_t busy, all;   /* ticks since boot */
    float past[HOST_PAST]; /* part of an interval, oldest first; NAN: not known */
    bool seen;
};

struct host {
    int fd; /* of /proc/stat, -1: none */
    unsigned cpus;
    double busy; /* CPUs' worth over the last interval; NAN: not known */
    struct host_cpu sum, cpu[HOST_CPUS];
};

void host_init(struct host *h); /* opens it, before rights are given up */
void host_fini(struct host *h);
void host_sample(struct host *h);

/* The same from text: what host_sample reads. */
void host_parse(struct host *h, const char *text);

#endif
