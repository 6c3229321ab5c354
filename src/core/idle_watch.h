/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * idle_watch: tells when a host CPU has nothing else to do.
 *
 * The kernel does not say so, but a thread of its lowest class (SCHED_IDLE) that is bound to the CPU and
 * wants to run gets it when nobody else does: while armed, it waits for that, tells, and sleeps until it is
 * armed again. It asks for no privilege. Now and then the kernel lets it run beside busy threads, too, some
 * thousandths of the time: what it tells has to be looked at.
 */
#ifndef RUCHE_CORE_IDLE_WATCH_H
#define RUCHE_CORE_IDLE_WATCH_H

struct idle_watch;

/* `idle` is called on a thread of its own. NULL: no thread to be had; then nobody tells. */
struct idle_watch *idle_watch_new(unsigned cpu, void (*idle)(void *arg), void *arg);
void idle_watch_arm(struct idle_watch *w); /* any thread; NULL is legal */
void idle_watch_free(struct idle_watch *w); /* waits for its thread; NULL is legal */

#endif
