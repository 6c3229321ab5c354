/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * slice: how long the kernel lets a thread run before it looks for another that is owed more.
 */
#ifndef RUCHE_CORE_SLICE_H
#define RUCHE_CORE_SLICE_H

#include <stdint.h>

/* Asks it for the calling thread: who wakes with a shorter slice goes before those with longer ones,
 * and has no more in the end. 0.1 to 100 ms; needs no privilege. Kernels before 6.12 ignore it. */
void slice_ask(uint64_t ns);

#endif
