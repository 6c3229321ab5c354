/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * board: the contract between a VM (core) and its devices (src/devices/board.c).
 *
 * core knows no device; it gets one `struct board_ops` from main. The board knows no VM; it
 * gets a `struct board_env`, by which it reaches memory, buses, time and the few things a
 * machine can ask of its host (power off, reset, interrupts, console bytes).
 *
 * Threads: new, free and reset are called while no vCPU and no I/O loop runs. All other
 * functions may be called from any thread; env's functions too. What a device does on a
 * guest's behalf that may block (disk, network) it does on `io`, the guest's I/O loop.
 */
#ifndef RUCHE_CORE_BOARD_H
#define RUCHE_CORE_BOARD_H

#include "core/err.h"
#include "core/irqchip.h"
#include "core/stats.h"
#include "core/vm_config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct board;
struct bus;
struct gmem;
struct loop;
struct netport;
struct vclock;
struct vm_config;

enum board_power {
    BOARD_POWEROFF,
    BOARD_RESET,
    BOARD_DEBUG_EXIT, /* `code`: what the guest wrote to port 0xf4 */
};

/* Consoles of a guest: serial ports, then the virtio console. */
enum board_console { CONSOLE_SERIAL0, CONSOLE_SERIAL1, CONSOLE_VIRTIO, CONSOLE_DEBUG, CONSOLES };

struct board_env {
    struct gmem *mem;
    struct bus *pio, *mmio;
    struct loop *io;
    struct vclock *clock;
    struct netport *const *nics; /* links, one for each NIC of the configuration; NULL: not connected */
    bool irqchip_in_engine; /* irq_line and msi go to the accelerator's own controllers */

    void *opaque; /* first argument of the functions below */
    void (*irq_line)(void *opaque, unsigned gsi, int level); /* engine's chip only */
    void (*msi)(void *opaque, uint64_t addr, uint32_t data); /* engine's chip only */
    void (*cpu_event)(void *opaque, unsigned cpu, enum cpu_event ev, uint8_t vector); /* ours */
    uint64_t (*tsc_to_ns)(void *opaque, unsigned cpu, uint64_t tsc); /* guest time when a vCPU's TSC is `tsc` */
    uint64_t (*tsc_now)(void *opaque, unsigned cpu);
    void (*power)(void *opaque, enum board_power what, unsigned code);
    void (*console_out)(void *opaque, enum board_console c, const void *buf, size_t len);
    void (*console_room)(void *opaque, enum board_console c); /* input that was refused may be tried again */

    /* First thing on a thread that a device starts for itself (a disk has one): it is named,
     * put under the I/O filter, and its CPU time charged to the guest. */
    void (*thread_started)(void *opaque, const char *name);

    /* A device started a process of its own (a qcow2 disk has one): its CPU time is charged to the
     * guest too. It lives at least as long as the board. */
    void (*helper_started)(void *opaque, int pid);

    /* A guest broke a device's rules and the device latched an error, or the device lost what it
     * needs of the host. One short sentence. */
    void (*device_error)(void *opaque, const char *device, const char *what);

    /* The host has no room for what disk `disk` shall write: it holds that request, and all
     * behind it, until ops->retry. The VM should be paused and somebody told. */
    void (*disk_full)(void *opaque, const char *disk);
};

struct balloon_stats { /* what the guest says of itself; claims, UINT64_MAX: never said */
    uint64_t free_bytes, available_bytes, total_bytes, disk_caches_bytes;
    uint64_t major_faults, minor_faults, swap_in_bytes, swap_out_bytes;
    uint64_t actual_bytes;   /* in the balloon now */
    uint64_t target_bytes;   /* asked of it */
    uint64_t reported_bytes; /* given back by free page reporting, cumulative */
    bool driver_ok;
};

enum disk_op { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_OPS };

struct disk_stats { /* cumulative, of one disk since the VM was created */
    char name[VM_NAME_MAX + 1]; /* a copy: figures of a stopped VM outlive its devices */
    uint64_t rd_bytes, wr_bytes, rd_reqs, wr_reqs, flush_reqs, discard_reqs, errors;
    uint64_t capacity_bytes;
    bool readonly;
    uint32_t iops; /* the limits now, 0: none */
    uint64_t bytes_per_s;
    uint64_t held_ns; /* guest time that requests were held by the limits, cumulative */

    /* From when the disk could begin with a request, being held by a limit included, until it
     * was done. Guest time: a pause does not count. */
    struct latency_figures latency[DISK_OPS];
};

struct net_stats { /* of one link, as its guest sees it; cumulative since the guest was added */
    const char *name, *network; /* "eth0", "lan" */
    uint8_t mac[6];
    uint32_t ip;               /* that DHCP gives it, host order; 0: none */
    bool up, capturing;
    uint64_t rx_bytes, tx_bytes, rx_pkts, tx_pkts, rx_drops, tx_drops;
    uint64_t rate_bits, delay_ns; /* limits, 0: none; per second and direction; per direction */
    uint32_t loss_ppm;            /* frames of a million */
};

struct board_ops {
    /* Builds every device of `c`, opens its disks. NULL and `e`. `c` outlives the board. */
    struct board *(*new)(const struct vm_config *c, const struct board_env *env, struct err *e);
    void (*free)(struct board *b);

    /* Every device to its power-up state. */
    void (*reset)(struct board *b);

    /* The interrupt controllers, if they are ours (ops NULL otherwise). Known before new():
     * an accelerator needs it. */
    struct irqchip (*irqchip)(struct board *b);

    /* Writes the firmware tables into guest memory; returns the guest address of the RSDP, or 0
     * and `e`. */
    uint64_t (*acpi)(struct board *b, struct err *e);

    /* Bytes typed by a person; returns how many were taken (env->console_room follows if fewer). */
    size_t (*console_in)(struct board *b, enum board_console c, const void *buf, size_t len);
    void (*console_resize)(struct board *b, unsigned cols, unsigned rows); /* virtio console */
    void (*console_break)(struct board *b, enum board_console c);          /* serial BREAK */

    void (*power_button)(struct board *b);

    int (*balloon_target)(struct board *b, uint64_t balloon_bytes, struct err *e);
    bool (*balloon_get)(struct board *b, struct balloon_stats *s); /* false: no balloon */

    unsigned (*disks)(struct board *b, struct disk_stats *out, unsigned max);
    int (*disk_limit)(struct board *b, const char *disk, uint32_t iops, uint64_t bytes_per_s,
                      struct err *e);

    /* The VM goes on after a pause: what a disk holds for want of room is tried again. */
    void (*retry)(struct board *b);

    /* While vCPUs stand still no device touches the guest's memory. Returns when what was begun is done; a reset ends it. */
    void (*pause)(struct board *b, bool paused);

    /* Devices in error: one line each, for `info`. Returns the length written. */
    size_t (*errors)(struct board *b, char *buf, size_t len);
};

extern const struct board_ops pc_board; /* src/devices/board.c; named only by main and tests */

#endif
