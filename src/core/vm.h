/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * vm: one virtual machine, from `new` to `stopped`, and what can be asked of it.
 *
 * Threads
 *   main     calls everything in this header; never waits for a guest. Heavy work (unpacking
 *            a kernel, creating, joining threads) is done by a job on the VM's helper thread;
 *            its end, and all that the guest itself causes, arrives as an event on main's loop.
 *   vCPU     one per virtual processor: runs guest code, handles its exits.
 *   I/O      one per guest: its loop runs virtio queues, device timers, doorbells.
 * Lock order: vm->lock > a device's lock > bus map lock > irqchip lock > vclock lock. Nobody
 * calls up this list while holding a lock further down.
 *
 * States: new -> running <-> paused -> stopped, and crashed (triple fault, engine failure).
 * A stopped or crashed VM has given its memory back and can be started again.
 */
#ifndef RUCHE_CORE_VM_H
#define RUCHE_CORE_VM_H

#include "core/accel.h"
#include "core/board.h"
#include "core/console.h"
#include "core/err.h"
#include "core/stats.h"
#include "core/vm_config.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct vm;

enum vm_state { VM_NEW, VM_RUNNING, VM_PAUSED, VM_STOPPED, VM_CRASHED, VM_STATES };

const char *vm_state_name(enum vm_state s);

enum vm_event_kind {
    VM_EVENT_STATE,   /* state changed; `text` says why if it was not asked for */
    VM_EVENT_RESET,   /* the guest rebooted, or was reset */
    VM_EVENT_FAILED,  /* what was asked could not be done; `text` */
    VM_EVENT_DEVICE,  /* a device latched an error; `text` */
    VM_EVENT_CONSOLE, /* new bytes on console `console` (coalesced; console_rearm to hear again) */
    VM_EVENT_EXIT,    /* port 0xf4: `code` */
};

struct vm_event {
    enum vm_event_kind kind;
    enum vm_state old_state, new_state;
    enum board_console console;
    unsigned code;
    char text[ERR_TEXT];
};

/* Who hears of events; called on main's thread, from main's loop. */
struct vm_listener {
    void (*event)(void *opaque, struct vm *vm, const struct vm_event *ev);
    void *opaque;
};

/* A VM in state `new`; nothing of the host is used yet. `accel`, `board` and `main` outlive it. */
struct vm *vm_new(const struct vm_config *c, const struct accel_ops *accel,
                  const struct board_ops *board, struct loop *main, const struct vm_listener *l,
                  struct err *e);

/* From now on the host's processors are divided by `g`, which outlives it. -ENOMEM. */
struct governor;
struct gov_guest;
int vm_govern(struct vm *vm, struct governor *g);
struct gov_guest *vm_governed(struct vm *vm); /* NULL: by nobody */

/* Stops it if needed and waits (at most some ms: vCPUs are kicked) for its threads. */
void vm_free(struct vm *vm);

const struct vm_config *vm_config(const struct vm *vm);
const char *vm_name(const struct vm *vm);
enum vm_state vm_state(const struct vm *vm);
bool vm_busy(const struct vm *vm); /* a life-cycle request has not ended yet */
const struct accel_ops *vm_accel(const struct vm *vm);
const char *vm_reason(const struct vm *vm);    /* why it stopped or crashed, "" if not known */
const char *vm_boot_note(const struct vm *vm); /* protocol, and boot_image_note; "" before start */
int vm_exit_code(const struct vm *vm);         /* port 0xf4, or -1 */
uint64_t vm_uptime_ns(const struct vm *vm);    /* guest time since start; stands still when paused */

/* Connects NIC `i` to a link that outlives the VM; before it is started. */
struct netport;
void vm_set_link(struct vm *vm, unsigned i, struct netport *link);
struct netport *vm_link(const struct vm *vm, unsigned i);

/* Life cycle. 0: accepted, the end comes as an event; -errno and `e`: refused in this state, or
 * busy. A request that is fulfilled already (pause when paused) is refused with -EALREADY. */
int vm_start(struct vm *vm, struct err *e);
int vm_pause(struct vm *vm, struct err *e);
int vm_resume(struct vm *vm, struct err *e);
int vm_stop(struct vm *vm, struct err *e);     /* now, as by pulling the plug */
int vm_reset(struct vm *vm, struct err *e);    /* ends running */
int vm_shutdown(struct vm *vm, struct err *e); /* presses the power button; the guest decides */

/* Consoles. The ring lives as long as the VM, over restarts. Never NULL. */
struct console *vm_console(struct vm *vm, enum board_console c);

/* Types bytes into a console. Returns how many were taken: less than `len` if the guest does
 * not read (a queue of 64 KiB is full). */
size_t vm_console_send(struct vm *vm, enum board_console c, const void *buf, size_t len);
void vm_console_resize(struct vm *vm, unsigned cols, unsigned rows);
void vm_console_break(struct vm *vm);

/* Looking inside: only while paused (-EBUSY otherwise). */
int vm_regs(struct vm *vm, unsigned cpu, struct x86_regs *r, struct err *e);
/* Executes one instruction on one vCPU; the guest's time stands still but for that, and it takes no
 * interrupt. -errno and why not: halted (-ENODATA), busy. Waits 0.2 s at most. */
int vm_step(struct vm *vm, unsigned cpu, struct err *e);
int vm_mem_read(struct vm *vm, uint64_t gpa, void *buf, size_t len, struct err *e);

/* Balloon: bytes that the guest shall keep. -ENOTSUP without balloon driver. */
int vm_mem_target(struct vm *vm, uint64_t bytes, struct err *e);

/* Limits of one disk, 0: none; from now on, and at the next start. -ENOENT, -EBUSY. */
int vm_disk_limit(struct vm *vm, const char *disk, uint32_t iops, uint64_t bytes_per_s,
                  struct err *e);

/* One device and register that exits went to. */
struct vm_hit {
    const char *device;
    const char *bus; /* "pio", "mmio"; "msr": registers of a local APIC that is ours */
    uint64_t addr;   /* address of the register now (bus address, number of the MSR) */
    uint64_t count;
};

/* The busiest `max` registers, most first. */
unsigned vm_hits(struct vm *vm, struct vm_hit *out, unsigned max);

/* Copies for readers. */
struct vcpu_stats {
    uint64_t ledger_ns[LEDGER_STATES]; /* cumulative since the VM was created */
    double ledger[LEDGER_STATES];      /* fractions of the last sample interval; sum 1 */
    bool ready_known;                  /* the host tells run-queue waiting (schedstat) */
    uint64_t cpu_ns;                   /* CPU time of its thread, cumulative */
    uint64_t exits[EXIT_REASONS], exit_ns[EXIT_REASONS], exit_p99_ns[EXIT_REASONS];
    double exit_rate[EXIT_REASONS];    /* per second, last interval */
    double mips;                       /* guest instructions, million per second; -1: not known (KVM) */
};

struct vm_stats {
    uint64_t sampled_ns; /* CLOCK_MONOTONIC */
    double interval_s; /* what the fractions and rates are over */
    unsigned vcpus;
    struct vcpu_stats vcpu[VM_VCPUS_MAX];
    uint64_t cpu_ns;   /* vCPU and I/O threads, cumulative */
    double cpu;        /* host CPUs used over the interval: 1.0 is one CPU */
    uint64_t io_cpu_ns;
    uint64_t exits, memory_resident_bytes;
    uint64_t memory_shared_bytes; /* of that, merged with other pages; UINT64_MAX: not known */
    double exit_rate;
    double mips;       /* sum over the vCPUs; -1: the engine does not count instructions */
    bool balloon;
    struct balloon_stats balloon_stats;
    unsigned ndisks;
    struct disk_stats disks[VM_DISKS_MAX];
    unsigned nnets;
    struct net_stats nets[VM_NICS_MAX];
    uint64_t pio_unclaimed, mmio_unclaimed, bus_refused, device_errors;
};

/* For how long the kernel has held its threads for its cap, in all: known before the next vm_sample. */
void vm_set_throttled(struct vm *vm, uint64_t ns);

/* Closes a sample interval; called by the session once a second for each VM. */
void vm_sample(struct vm *vm);

/* The state as of the last vm_sample (taken now if there was none, or it is over `max_age_ns` old). */
void vm_stats(struct vm *vm, struct vm_stats *out, uint64_t max_age_ns);

/* The engine's own counters of one vCPU, cumulative over restarts is not promised. */
unsigned vm_kstats(struct vm *vm, unsigned cpu, struct kstat *out, unsigned max);

/* Thread ids, for tests and `info`: vCPU threads in order, then I/O threads. */
enum { VM_THREADS_MAX = VM_VCPUS_MAX + 1 + 2 * VM_DISKS_MAX };
unsigned vm_threads(struct vm *vm, int *tids, unsigned max);

#endif
