/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * every_exit: marks the functions that each exit of a vCPU passes. The linker puts them side by
 * side: a processor that has just left a guest finds its TLB empty or full of other things, and
 * every page of code that the way touches costs a walk. For the same reason what an exit reads and
 * writes stands at the head of its struct.
 */
#ifndef RUCHE_CORE_EVERY_EXIT_H
#define RUCHE_CORE_EVERY_EXIT_H

#define EVERY_EXIT __attribute__((hot))

#endif
