/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * slice: how long the kernel lets a thread run before it looks for another that is owed more.
 */
#ifndef RUCHE_CORE_SLICE_H
#define RUCHE_CORE_SLICE_H

#include <stdint.h>

/* Who wakes goes before one whose slice is longer, but for the last part of that slice, which is as
 * long as its own; then it waits for a tick of the kernel, some ms. So each is a good deal longer than
 * the one before. */
enum {
    SLICE_SERVES_NS = 100000,     /* threads that serve and sleep: console, devices, governor */
    SLICE_LIGHT_NS = 400000,      /* vCPUs that halt now and then */
    SLICE_BUSY_NS = 10000000,     /* vCPUs that never do, while we see to it that each has a CPU of its own */
    SLICE_BUSY_TURN_NS = 3000000, /* while they take turns on one */
};

/* Asks it for the thread `tid`, 0: the calling one. It has no more of the CPU in the end. 0.1 to 100 ms;
 * needs no privilege. Kernels before 6.12 ignore it. Who has a longer one than SLICE_LIGHT_NS becomes a batch thread:
 * it takes the CPU from nobody when it is woken, least of all from the governor, who has others to tell. The first
 * call is main's, before there are threads. */
void slice_ask(int tid, uint64_t ns);

/* From here on the calling thread, and those that it starts, go first when they wake, by a lower nice value, and are
 * not interrupted so soon: for those that work little, also with kernels that know no such slices. Needs a privilege, is
 * nothing without. Then the calling one is as it was. */
void slice_first(void);
void slice_as_usual(void);

#endif
