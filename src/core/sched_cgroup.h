/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sched_cgroup: the kernel divides the processor among guests, by cgroup v2 (DESIGN §4).
 *
 * Below the cgroup that the process is in: one threaded group `ruche-PID`, so that guests together
 * weigh as much as the lab's CPUs and never more than the console or other programs allow, and in
 * it one group a guest with its `cpu.weight` and `cpu.max`. All threads of a guest are in its group;
 * main and the governor stay outside. It needs a cgroup with `cpu` that the user may write to
 * without capabilities: a delegated one (`systemd-run --user --scope -p Delegate=yes`).
 *
 * Specification: Documentation/admin-guide/cgroup-v2.rst, "Threads" and "CPU Interface Files".
 * Threads: main's. A move waits for the kernel, some ms at most.
 */
#ifndef RUCHE_CORE_SCHED_CGROUP_H
#define RUCHE_CORE_SCHED_CGROUP_H

#include "core/err.h"

#include <stdint.h>

struct sched_cgroup;

/* Finds the own cgroup, clears what ended instances left, makes the group and tries it out: NULL
 * and a sentence if anything of that does not work; then nothing is left behind. */
struct sched_cgroup *sched_cgroup_new(unsigned cpus, struct err *e);
void sched_cgroup_free(struct sched_cgroup *c); /* threads go back, groups go; NULL is legal */

/* A guest's group, made if it is not there. `cap_pct` of one CPU, 0: none. 0 or -errno. */
int sched_cgroup_set(struct sched_cgroup *c, const char *guest, unsigned share, unsigned cap_pct,
                     struct err *e);
int sched_cgroup_move(struct sched_cgroup *c, const char *guest, const int *tid, unsigned n, struct err *e);
/* For how long the kernel has held the guest's threads for its cap, summed over host CPUs; 0: not known. */
uint64_t sched_cgroup_throttled_ns(struct sched_cgroup *c, const char *guest);
void sched_cgroup_remove(struct sched_cgroup *c, const char *guest); /* its threads have ended */

#endif
