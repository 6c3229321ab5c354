/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * time: the TSC, measured against the PM timer or the PIT unless CPUID tells its rate; sleep by
 * the local APIC's timer; the PIT as a periodic interrupt. No kvmclock.
 */
#ifndef TINY_TIME_H
#define TINY_TIME_H

#include "cpu.h"

#define PM_TIMER 0x608
#define PM_TIMER_HZ 3579545u
#define PIT_HZ 1193182u

enum timer_mode { TIMER_ONESHOT = 0, TIMER_PERIODIC = 1, TIMER_DEADLINE = 2 };

void time_init(void); /* remembers when the machine started */

u64 tsc_hz(void); /* measured (20 ms) at the first call */
const char *tsc_hz_source(void);
u64 tsc_to_ns(u64 ticks);
u64 ns_to_tsc(u64 ns);
u64 now_ns(void); /* since time_init */
void delay_us(u64 us); /* busy */

/* HLT until `tsc`, woken by this CPU's LAPIC timer; also by other interrupts (then goes on
 * sleeping). Interrupts are enabled while it sleeps. */
void sleep_until(u64 tsc);

/* One HLT, also if `tsc` is past: the timer's interrupt then waits for it. Another interrupt may
 * end it before. */
void halt_once(u64 tsc);
void sleep_ms(u64 ms);

bool pm_timer_present(void);
u32 pm_timer_mask(void);
u16 pit_read(unsigned channel);
void pit_start(unsigned hz); /* channel 0, IRQ 0 unmasked */
void pit_stop(void);

#endif
