/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * trap: exceptions, interrupts and the per-CPU state they need.
 *
 * An exception that nobody expects prints every register and halts (or ends the machine with
 * `panic=exit` or `panic=crash` on the command line). One inside try_call is caught, on any CPU, at any
 * nesting. Handlers run with interrupts masked.
 */
#ifndef TINY_TRAP_H
#define TINY_TRAP_H

#include "cpu.h"

struct regs {
    u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    u64 vec, err, rip, cs, rflags, rsp, ss;
};

struct fault {
    u64 vec, err, cr2;
    struct regs regs; /* as they were at the fault */
};

struct tss {
    u32 reserved0;
    u64 rsp[3];
    u64 reserved1;
    u64 ist[7];
    u64 reserved2;
    u16 reserved3, iomap;
} PACKED;

struct cpu {
    unsigned index, apic_id;
    u64 try_rsp;              /* 0: no try_call is running */
    struct fault fault;       /* what ended the last try_call */
    bool (*hook)(struct regs *r); /* sees every exception first; true: dealt with */
    u32 irqs[256];            /* deliveries by vector, exceptions too */
    struct tss tss;
};

extern struct cpu cpus[CPUS_MAX];

/* Found by the task register, which no wild segment load changes. */
static inline struct cpu *this_cpu(void)
{
    u16 tr;
    asm volatile("str %0" : "=r"(tr));
    return &cpus[(tr - SEL_TSS) / 16];
}

/* Descriptor tables of one CPU. */
void trap_init_cpu(unsigned index);

/* Exceptions 0-31 take the same stack of their own (IST 2): for code that has no stack. */
void trap_use_ist(bool on);
void trap_set_gate(unsigned vec, void *entry, unsigned type_dpl, unsigned ist);
void trap_load_idt(void);

/* Calls fn(arg). True if an exception ended it; then *f (may be NULL) says which. */
bool try_call(void (*fn)(void *arg), void *arg, struct fault *f);

/* From an interrupt handler: ends the try_call that `r` was taken from, as a fault would (vec is
 * the interrupt's). False: there is none. */
bool try_abort(struct regs *r);

/* Handler of a vector >= 32. Acknowledging the controller is done by the library. */
void irq_handler(unsigned vec, void (*fn)(struct regs *r));

const char *trap_name(unsigned vec);
void regs_print(const struct regs *r);

/* Prints and stops this CPU for good, or ends the machine (`panic=exit`, `panic=crash`). */
void panic(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void halt_forever(void) __attribute__((noreturn));

#endif
