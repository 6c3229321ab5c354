/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * accel: what runs guest code. Two implementations, KVM and our own CPU, each other's
 * oracle: the same guest must behave the same on both, with exits of the same names.
 *
 * Threads: vcpu_* run on the vCPU's own thread, except kick (any thread) and regs_get/set,
 * kstats (any thread, while the vCPU is parked; kstats at any time). vm_*, irq_line, msi and
 * doorbells_sync: any thread unless said otherwise.
 */
#ifndef RUCHE_CORE_ACCEL_H
#define RUCHE_CORE_ACCEL_H

#include "core/err.h"
#include "core/irqchip.h"
#include "core/x86_regs.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct bus;
struct gmem;
struct vclock;
struct accel_vm;
struct accel_vcpu;

/* Reasons why guest code was left; the words of DESIGN §3 and of `exits`. */
enum exit_reason {
    EXIT_IO,        /* port access that reached us */
    EXIT_MMIO,      /* access to device memory that reached us */
    EXIT_HLT,       /* HLT that reached us (never with KVM's own irqchip) */
    EXIT_IRQWIN,    /* the guest can take an interrupt now */
    EXIT_CPUID,
    EXIT_MSR,
    EXIT_FAULT,     /* page fault on our side of the translation */
    EXIT_HYPERCALL,
    EXIT_SIGNAL,    /* a kick */
    EXIT_SHUTDOWN,  /* triple fault */
    EXIT_OTHER,     /* all else; `text` says what */
    EXIT_REASONS
};

const char *exit_reason_name(enum exit_reason r);

struct vexit {
    enum exit_reason reason;
    union {
        struct {
            uint16_t port;
            uint8_t size;  /* 1, 2, 4 */
            bool write;
            uint32_t count; /* of a string instruction; 1 otherwise */
            void *data;     /* count * size bytes, to be read or filled */
        } io;
        struct {
            uint64_t gpa;
            uint8_t size; /* 1..8 */
            bool write;
            void *data;
        } mmio;
        struct {
            uint32_t index;
            bool write;
            uint64_t val;
            bool fault; /* set by the handler: raise #GP */
        } msr;
        struct {
            bool irqs_enabled; /* RFLAGS.IF: if not, only NMI and INIT wake it */
        } hlt;
        struct {
            bool fatal; /* the vCPU cannot go on */
            char text[160];
        } other;
    };
};

/* Called by an engine for each exit it leaves to us. */
struct vcpu_host {
    void (*handle)(void *opaque, struct vexit *x);
    void *opaque;
};

struct accel_vm_params {
    const char *name;
    struct gmem *mem;
    struct vclock *clock;
    unsigned vcpus;
    bool irqchip_user; /* the interrupt controllers are in our process: `chip` below */
    struct irqchip chip;
};

/* One counter that only the engine knows (KVM binary statistics, TLB misses, ...). */
struct kstat {
    const char *name; /* as the kernel names it; lives as long as the vCPU */
    uint64_t value;
    bool instant; /* a level, not a cumulative count */
};

/* A system call that a vCPU thread keeps using: ioctl(fd, request, ...). */
struct accel_ioctl {
    int fd;
    unsigned long request;
};

struct accel_ops {
    const char *name; /* "kvm", "soft" */
    bool has_irqchip; /* can keep the interrupt controllers itself */

    /* 0, or -errno and the sentence why not and what to do. */
    int (*probe)(struct err *e);

    struct accel_vm *(*vm_new)(const struct accel_vm_params *p, struct err *e);
    void (*vm_free)(struct accel_vm *vm); /* all vCPUs are freed before */

    struct accel_vcpu *(*vcpu_new)(struct accel_vm *vm, unsigned index, const struct vcpu_host *host,
                                   struct err *e);
    void (*vcpu_free)(struct accel_vcpu *v);

    /* Called once on the vCPU's own thread before the first run. Fills at most `max` ioctls that
     * this thread needs from now on (its seccomp filter allows no other); returns how many. */
    unsigned (*vcpu_thread_init)(struct accel_vcpu *v, struct accel_ioctl *out, unsigned max);

    /* Runs guest code, calling host->handle for each exit. Returns after every exit (KVM), or
     * only after HLT, SIGNAL, SHUTDOWN and fatal OTHER (an engine that goes on inline after
     * the rest). 0, or -errno when the engine itself failed. */
    int (*vcpu_run)(struct accel_vcpu *v);

    /* Executes one instruction of a vCPU that does not run, and takes no interrupt; exits go to
     * host->handle. On its own thread. 0; -EAGAIN: it was kicked, or the engine needs another try;
     * another -errno: it can execute nothing (-ENODATA: halted). */
    int (*vcpu_step)(struct accel_vcpu *v);

    /* kick: the run that is going on, or the next one if none is, ends at once with
     * EXIT_SIGNAL. kick_clear is called by the vCPU's thread before it looks at its requests
     * a last time and runs. */
    void (*vcpu_kick)(struct accel_vcpu *v);
    void (*vcpu_kick_clear)(struct accel_vcpu *v);

    int (*regs_get)(struct accel_vcpu *v, struct x86_regs *r);
    int (*regs_set)(struct accel_vcpu *v, const struct x86_regs *r);

    /* NMI at the next chance (irqchip_user only). */
    void (*vcpu_nmi)(struct accel_vcpu *v);

    /* Engine's own interrupt controllers (has_irqchip && !irqchip_user). */
    void (*irq_line)(struct accel_vm *vm, unsigned gsi, int level);
    void (*msi)(struct accel_vm *vm, uint64_t addr, uint32_t data);

    /* Serves the doorbells that the bus shows now in the engine, forgets the others. Not on a
     * vCPU thread. May be NULL. */
    void (*doorbells_sync)(struct accel_vm *vm, struct bus *mmio);

    /* Guest clocks (TSC, kvmclock, timers) stand still from pause to resume, while all vCPUs
     * are parked. The vclock is paused before and resumed after. */
    void (*clock_pause)(struct accel_vm *vm);
    void (*clock_resume)(struct accel_vm *vm);

    /* Fills at most `max`, returns how many. At any time. */
    unsigned (*vcpu_kstats)(struct accel_vcpu *v, struct kstat *out, unsigned max);

    /* Is it in a HLT that the engine itself waits out? 1 or 0; negative: not known here. `halts`: how often it came to
     * one, also if that ended at once, modulo 2^32; left alone where that is not known. At any time. */
    int (*vcpu_halted)(struct accel_vcpu *v, uint32_t *halts);

    /* Guest TSC frequency in kHz. */
    uint32_t (*tsc_khz)(struct accel_vm *vm);
};

/* The signal that a kick sends to a vCPU's thread; its handler does nothing. */
#define ACCEL_KICK_SIGNAL (SIGRTMIN + 1)

extern const struct accel_ops accel_kvm;
extern const struct accel_ops accel_soft;
/* The same engine, its code at another address (x86.mk). */
extern const struct accel_ops accel_soft_1, accel_soft_2, accel_soft_3, accel_soft_4, accel_soft_5,
    accel_soft_6, accel_soft_7;

#endif
