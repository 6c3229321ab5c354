/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * hello: the monitor's parts. line.c reads a line, cmd_*.c hold the commands, hello.c the table.
 */
#ifndef HELLO_H
#define HELLO_H

#include "tiny.h"

enum { LINE_MAX = 128, ARGS_MAX = 16 };

struct args {
    unsigned n;
    char *v[ARGS_MAX]; /* v[0] is the command */
    const char *rest;  /* the line behind the command, as typed */
};

struct command {
    const char *name, *usage, *help;
    void (*run)(const struct args *a);
};

/* Reads an edited line (echoing); returns its length. ^C gives an empty line. */
size_t line_read(const char *prompt, char *buf);

/* True if ^C was typed; other input typed meanwhile is dropped. */
bool interrupted(void);

/* Argument i as a number. A missing one is `otherwise`; a bad one says so and gives false. */
bool arg_u64(const struct args *a, unsigned i, u64 otherwise, u64 *v);
bool arg_needed(const struct args *a, unsigned i, const char *what, u64 *v);

void cmd_mem(const struct args *a);
void cmd_peek(const struct args *a);
void cmd_poke(const struct args *a);
void cmd_dump(const struct args *a);
void cmd_in(const struct args *a);
void cmd_out(const struct args *a);
void cmd_cpu(const struct args *a);
void cmd_regs(const struct args *a);
void cmd_fpu(const struct args *a);
void cmd_smp(const struct args *a);
void cmd_time(const struct args *a);
void cmd_irq(const struct args *a);
void cmd_spin(const struct args *a);
void cmd_sleep(const struct args *a);
void cmd_exits(const struct args *a);
void cmd_bench(const struct args *a);

#endif
