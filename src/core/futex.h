/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * futex: threads of this process sleep on a word of 32 bits until another has changed it (futex(2)).
 */
#ifndef RUCHE_CORE_FUTEX_H
#define RUCHE_CORE_FUTEX_H

#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Sleeps while the word is exactly `value`; may return for no reason. */
static inline void futex_wait(void *word, uint32_t value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

/* Wakes all that sleep on it. */
static inline void futex_wake(void *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

#endif
