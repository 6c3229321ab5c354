/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * vm_internal: what vm.c (requests and events), vm_machine.c (building, tearing down),
 * vm_stats.c and vcpu.c share. Nobody else includes this.
 *
 * Who may touch what:
 *   main's       only the main thread, at any time
 *   machine's    written by the job thread while `busy`; main reads it only when not rebuilding
 *   atomic       as said at each field
 */
#ifndef RUCHE_CORE_VM_INTERNAL_H
#define RUCHE_CORE_VM_INTERNAL_H

#include "core/boot.h"
#include "core/bus.h"
#include "core/governor.h"
#include "core/loop.h"
#include "core/mem.h"
#include "core/ticks.h"
#include "core/vclock.h"
#include "core/vm.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

/* Bits of vcpu.attention, the one word a vCPU sleeps on. */
enum {
    ATT_EXIT = 1 << 0,   /* leave the thread */
    ATT_PAUSE = 1 << 1,  /* park: a person asked */
    ATT_FREEZE = 1 << 2, /* park: the machine is ending (power off, reset, crash) */
    ATT_INTR = 1 << 3,   /* the interrupt controllers have something */
    ATT_NMI = 1 << 4,
    ATT_INIT = 1 << 5,
    ATT_SIPI = 1 << 6,
    ATT_CAP = 1 << 7,   /* do not run guest code: its own cap holds it */
    ATT_SHARE = 1 << 8, /* the same: others' shares do */
    ATT_STEP = 1 << 9,  /* parked: execute an instruction */
    ATT_PARK = ATT_PAUSE | ATT_FREEZE,
    ATT_HOLD = ATT_CAP | ATT_SHARE,
};

/* Bits of vm.news: what main has to look at; set by any thread, taken by main. */
enum {
    NEWS_CONSOLE0 = 1 << 0, /* one bit a console: new output */
    NEWS_ROOM0 = 1 << 4,    /* one bit a console: it takes input again */
    NEWS_POWER = 1 << 8,
    NEWS_CRASH = 1 << 9,
    NEWS_DEVICE = 1 << 10,
    NEWS_JOB = 1 << 11,
    NEWS_DISK_FULL = 1 << 12,
};

enum { SEND_QUEUE_BYTES = 64 << 10 };

/* A local APIC's registers, 16 bytes apart in memory or one MSR each (SDM 3A table 11-6). */
enum { LAPIC_BY_MMIO, LAPIC_BY_MSR, LAPIC_WAYS, LAPIC_REGS = 64, LAPIC_PAGE = 0xfee00000, LAPIC_MSR = 0x800 };

/* Whether it is halted until `attention` says something. The governor is told of both ends once: by who wakes it,
 * or by itself if it has a CPU sooner. */
enum vcpu_nap { NAP_NONE, NAP_ASLEEP, NAP_WOKEN /* and not yet told */ };

struct vcpu {
    struct vm *vm;
    unsigned index;
    struct accel_vcpu *av; /* machine's */
    pthread_t thread;      /* machine's */
    bool thread_live;      /* machine's */
    _Atomic int tid;       /* set by the thread, vcpu_start sleeps on it; 0: none */
    _Atomic uint32_t attention;
    _Atomic uint32_t sipi_vector;
    _Atomic uint32_t sleeps; /* odd: in futex_wait on attention; another number each time; partners: vcpu_post, the governor */
    _Atomic uint32_t nap; /* enum vcpu_nap; read by the governor */
    _Atomic int stepped; /* how the last ATT_STEP ended, as accel->vcpu_step */
    _Atomic uint32_t naps; /* how often it became NAP_ASLEEP, also again, if what woke it did not end its halt; or halted
                            * where the engine waits that out: then the governor's */
    const uint32_t *on_cpu; /* where the kernel writes which host CPU the thread is on; NULL: nowhere */
    _Atomic bool parked; /* in ATT_PARK; being held is not enough */
    bool halted;           /* own thread: HLT was executed, or waiting for INIT/SIPI */
    bool halted_irqs;      /* own thread: an interrupt may end it */
    bool wait_sipi;        /* own thread */
    bool dead;             /* own thread: it cannot go on */
    struct ledger ledger;
    struct ticks ticks; /* how the time of an exit is measured */
    struct latency exits[EXIT_REASONS]; /* time that we spent handling them */
    _Atomic uint64_t lapic_hits[LAPIC_WAYS][LAPIC_REGS]; /* a local APIC that is ours is on no bus */
    _Atomic uint64_t cpu_base_ns; /* CPU time of earlier threads of this vCPU */
    uint64_t sample_ledger_ns[LEDGER_STATES]; /* main's: cumulative, as reported */
    /* main's: raw readings at the last sample */
    struct vcpu_raw {
        uint64_t ledger_ns[LEDGER_STATES], cpu_ns, delay_ns, poll_ns, handled_ns;
        uint64_t insns; /* UINT64_MAX: the engine does not count them */
        uint64_t exits[EXIT_REASONS];
    } raw;
    int schedstat, stat; /* fds of its /proc files or -1; machine's */
    struct vcpu_wait { /* governor's: the last reading, and the wait that goes on */
        uint64_t now_ns, cpu_ns, delay_ns;
        int64_t going_ns;
    } wait;
};

enum job_kind { JOB_NONE, JOB_START, JOB_PAUSE, JOB_RESUME, JOB_STOP, JOB_RESET };

struct send_queue { /* main's: typed, not yet taken by the guest */
    uint8_t *buf;   /* SEND_QUEUE_BYTES, made at first use */
    size_t head, len;
};

struct vm {
    const struct accel_ops *accel;
    struct bus *pio, *mmio; /* machine's */
    struct console *console[CONSOLES];
    struct vm_config *config;
    const struct board_ops *board_ops;
    struct loop *main;
    struct vm_listener listener;
    struct netport *link[VM_NICS_MAX]; /* main's; fixed once started */
    enum vm_state state; /* main's */
    char reason[ERR_TEXT]; /* main's */
    int exit_code;       /* main's */

    /* events from other threads to main */
    int news_fd; /* eventfd in main's loop */
    struct loop_fd *news_source;
    _Atomic uint32_t news;
    /* 0, or 1 + enum board_power and above 32 bits its exit code: the first one wins with its code; see machine_reset */
    _Atomic uint64_t power_request;
    bool rebooting; /* main's: the guest asked for the reset that runs */
    _Atomic bool crashed; /* first crash wins */
    _Atomic bool disk_full; /* a disk holds a request for want of room; partner: take_disk_full */
    pthread_mutex_t text_lock; /* protects the three texts */
    char crash_text[ERR_TEXT], device_text[ERR_TEXT], full_text[ERR_TEXT];
    char pause_text[ERR_TEXT]; /* main's: why it is being paused, "": a person asked */
    _Atomic uint64_t device_errors;

    /* the job */
    enum job_kind job; /* main's; JOB_NONE: not busy */
    pthread_t job_thread;
    int job_rc; /* job thread; main after NEWS_JOB */
    struct err job_err;

    /* machine's */
    bool machine_up;
    struct boot_image *image;
    struct gmem *mem;
    struct loop *io;
    struct vclock *clock;
    struct board *board;
    struct irqchip chip;
    struct accel_vm *av;
    bool irqchip_user;
    pthread_t io_thread;
    bool io_live;
    _Atomic int io_tid;
    int io_wake; /* eventfd: doorbells changed */
    struct loop_fd *io_wake_source;
    uint64_t boot_ns; /* guest time of the last start or reset */
    char boot_note[200];
    _Atomic uint64_t io_cpu_base_ns; /* CPU time of I/O threads that have ended */
    struct device_thread {           /* that devices started, and helpers; entries below the count are fixed */
        clockid_t clock;
        int tid;
    } device_thread[2 * VM_DISKS_MAX];
    _Atomic unsigned ndevice_threads;

    struct gov_guest *gov; /* set once, before the first start; NULL: nobody divides */

    struct send_queue send[CONSOLES];

    /* main's: samples */
    uint64_t sample_ns;
    uint64_t throttled_ns, throttled_seen_ns; /* by the kernel; what samples have divided up */
    uint64_t resident_due_ns;
    struct vm_stats *stats;

    unsigned nvcpus;
    struct vcpu vcpu[];
};

/* vcpu.c */
void thread_tell_tid(_Atomic int *tid);         /* on a new thread; who made it waits with the next one */
void thread_await_tid(_Atomic int *tid);
int vcpu_start(struct vcpu *v, struct err *e);  /* its thread begins, parked if ATT_PARK is set */
void vcpu_join(struct vcpu *v);                 /* after ATT_EXIT */
void vcpu_post(struct vcpu *v, uint32_t bits);  /* any thread */
void vcpu_clear(struct vcpu *v, uint32_t bits); /* any thread: ends a park */
void vcpu_handle(void *opaque, struct vexit *x);
/* Waits until every vCPU is parked or gone. -ETIMEDOUT; time in which the host did not run us does not count. */
int vm_wait_parked(struct vm *vm, unsigned timeout_ms);
/* Main's: has a parked vCPU execute an instruction, as accel->vcpu_step; -ECANCELED, -ETIMEDOUT: not in 0.1 s. */
int vcpu_execute(struct vcpu *v);

/* vm_machine.c: on the job thread */
int machine_start(struct vm *vm, struct err *e);
int machine_pause(struct vm *vm, struct err *e);
int machine_resume(struct vm *vm, struct err *e);
int machine_reset(struct vm *vm, struct err *e);
void machine_stop(struct vm *vm);

/* vm.c: any thread */
void vm_tell(struct vm *vm, uint32_t news);
void vm_crash(struct vm *vm, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void vm_power(void *opaque, enum board_power what, unsigned code);
void vm_freeze(struct vm *vm);
bool vm_rebuilding(const struct vm *vm); /* main: the machine's parts must not be touched */

/* vm_stats.c */
void vm_stats_restart(struct vm *vm); /* main: threads are new, raw readings begin at 0 */
uint64_t vcpu_read_delay_ns(const struct vcpu *v, bool *known);
uint64_t vm_device_threads_cpu_ns(const struct vm *vm);
uint64_t vm_io_cpu_ns(const struct vm *vm); /* of all its threads that are there but vCPUs, and of NAT and TAP threads for it */

#endif
