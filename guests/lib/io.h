/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * io: the serial line (16550 at 0x3f8, IRQ 4), printing, and the ways to end the machine.
 *
 * Output polls the transmitter, a FIFO at a time. Input comes by interrupt into a ring of 256
 * bytes; a full ring drops. print is atomic between CPUs for lines up to 400 characters.
 */
#ifndef TINY_IO_H
#define TINY_IO_H

#include "cpu.h"
#include <stdarg.h>

#define COM1 0x3f8
#define PORT_DEBUG 0xe9
#define PORT_EXIT 0xf4

void serial_init(void);
void serial_write(const char *s, size_t n);

/* After serial_irq_on: next byte typed, or -1. serial_wait sleeps in HLT until there is one. */
void serial_irq_on(void);
int serial_get(void);
int serial_wait(void);

/* %d %u %x %s %c %p with widths, '-', '0', 'l' and "ll"; nothing else. */
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
size_t format(char *buf, size_t size, const char *fmt, va_list ap);
size_t formatf(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The print lock is taken away from whoever holds it (panic). */
void print_force(void);

void debug_exit(u8 code); /* port 0xf4; comes back where nobody listens */
void poweroff(void) __attribute__((noreturn));
void reboot(void) __attribute__((noreturn));
void triple_fault(void) __attribute__((noreturn));

#endif
