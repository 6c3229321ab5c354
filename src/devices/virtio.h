/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtio: what all virtio devices share: the status register's state machine, feature
 * negotiation, queue registers, notifications, reset, and the latched error. virtio 1.2
 * sections 2.1-2.4, 2.6, 3. It knows no bus (a transport does) and no request (a device does).
 * A device embeds struct virtio_dev as its first member.
 *
 * Threads and locks, in this order:
 *   io_lock  queues and the device's requests. The loop's thread holds it for a batch. A vCPU
 *            takes it to reset, to start and to reset a queue; a batch ends early when one
 *            waits, so it waits for one request at the most. If nobody has it, it takes it for a
 *            short request, too (virtio_at_once). Never taken by the main thread, except to
 *            reset, pause or free.
 *   lock     registers: status, features, queue registers, device config, and the transport's.
 *            Held for short times only, never during I/O.
 * A device's own small locks come after `lock`; the bus' map and the interrupt controllers
 * come last. env functions are called with io_lock or lock held: they must not call back.
 */
#ifndef RUCHE_DEVICES_VIRTIO_H
#define RUCHE_DEVICES_VIRTIO_H

#include "core/err.h"
#include "core/log.h"
#include "devices/virtq.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { VIRTIO_QUEUES_MAX = 16, VIRTIO_CONFIG_MAX = 128, VIRTIO_ERROR_MAX = 120 };

struct loop;
struct loop_fd;
struct vclock;
struct virtio_dev;

/* What a device gets from the board. */
struct virtio_env {
    struct gmem *mem;
    struct loop *io;
    struct vclock *clock;
    void *opaque;
    /* A guest broke a rule, the device wants a reset. One short sentence. May be NULL. */
    void (*device_error)(void *opaque, const char *device, const char *what);
    /* First thing on a thread that a device starts (a disk has one). May be NULL. */
    void (*thread_started)(void *opaque, const char *name);
    /* See board_env. May be NULL. */
    void (*helper_started)(void *opaque, int pid);
    /* See board_env. io_lock held. May be NULL. */
    void (*disk_full)(void *opaque, const char *disk);
};

struct virtio_ops {
    /* Fills all config_bytes of the device's configuration. lock held. */
    void (*config_get)(struct virtio_dev *d, void *config);

    /* The guest wrote 1, 2 or 4 bytes there; NULL: nothing is writable. lock held. */
    void (*config_set)(struct virtio_dev *d, unsigned off, unsigned size, uint32_t val);

    /* May refuse a combination of features (they are offered ones). NULL: all legal. lock held. */
    bool (*features_legal)(struct virtio_dev *d, uint64_t accepted);

    /* Queue `qi` is live, or is reset alone (then dead). NULL: nothing. io_lock, lock held. */
    void (*queue_ready)(struct virtio_dev *d, unsigned qi);

    /* There may be chains in queue `qi`: take at most `budget`; returns how many were taken.
     * Looks at virtio_must_stop between two chains. io_lock held, on the loop's thread. */
    unsigned (*queue_notify)(struct virtio_dev *d, unsigned qi, unsigned budget);

    /* Does what the `waiting` chains in queue `qi` ask for, if that can be done soon and without waiting for anything:
     * false if not, with those that are left put back. Many are for the loop's thread, which works on them while the
     * guest goes on. NULL: never. io_lock held, on a vCPU's thread. */
    bool (*queue_at_once)(struct virtio_dev *d, unsigned qi, unsigned waiting);

    /* Forget requests and negotiated state; the queues are dead. NULL: nothing. io_lock held. */
    void (*reset)(struct virtio_dev *d);
};

/* How a transport is told. Called with lock held. */
struct virtio_transport_ops {
    void (*queue_interrupt)(void *transport, unsigned qi);
    void (*config_interrupt)(void *transport);
    void (*reset)(void *transport);
};

struct virtio_queue { /* regs: lock; vq: io_lock */
    struct virtio_dev *dev;
    struct virtq vq;
    uint16_t max_size;
    int kick; /* eventfd: the guest notified */
    struct loop_fd *source;
    bool enabled;
    uint16_t size;
    uint64_t desc, avail, used;
};

/* What a device is; fixed. */
struct virtio_kind {
    uint16_t device_id;  /* virtio's: 1 net, 2 block, ... */
    uint32_t class_code; /* PCI's */
    uint64_t features;   /* beside those that the layer offers itself */
    unsigned config_bytes;
    unsigned nqueues;
    uint16_t queue_size; /* largest, power of two */
};

struct virtio_dev {
    const struct virtio_ops *ops;
    struct virtio_kind kind;
    struct virtio_env env;
    char name[32];
    struct loop *loop; /* where queues are served: env.io, or the device's own */
    struct virtio_queue queue[VIRTIO_QUEUES_MAX];

    pthread_mutex_t io_lock, lock;
    const struct virtio_transport_ops *transport; /* fixed once attached */
    void *transport_arg;

    /* lock */
    uint8_t status, config_generation;
    uint64_t offered, accepted;
    char error[VIRTIO_ERROR_MAX]; /* "" : none since the last reset */

    _Atomic bool broken;       /* written with both locks held; read by any thread */
    _Atomic bool paused;       /* main sets it; partner: virtio_must_stop */
    _Atomic bool dma_off;      /* the transport may not access memory; partner: virtio_must_stop */
    _Atomic unsigned waiters;  /* threads that want io_lock now; partner: virtio_must_stop */
    _Atomic uint64_t errors;   /* latched errors since creation */
    struct log_limit log_limit;
};

/* Fills `d`, watches its notifications on `loop` (which does not run yet). 0 or -errno. */
int virtio_init(struct virtio_dev *d, const struct virtio_ops *ops, const struct virtio_kind *kind,
                const char *name, const struct virtio_env *env, struct loop *loop,
                struct err *e) RUCHE_MUST_CHECK;
void virtio_fini(struct virtio_dev *d);

void virtio_attach(struct virtio_dev *d, const struct virtio_transport_ops *ops, void *transport);

/* May the device access memory? Off: the batch ends after the request it is at, and queues are
 * served again when it is on (a notification is not lost). lock held. */
void virtio_allow_dma_locked(struct virtio_dev *d, bool on);

/* Power-up state. Returns when no request is in flight. Any thread, no lock held. */
void virtio_reset(struct virtio_dev *d);

/* Serves no queue until resumed or reset (a notification is not lost). Any thread, no lock held. */
void virtio_pause(struct virtio_dev *d);
void virtio_resume(struct virtio_dev *d);

/* Registers, for the transport. No lock held. `qi` out of range reads as 0, ignores writes. */
uint8_t virtio_status(struct virtio_dev *d);
void virtio_set_status(struct virtio_dev *d, uint8_t val);
void virtio_accept_features(struct virtio_dev *d, unsigned word, uint32_t val);
void virtio_queue_set_size(struct virtio_dev *d, unsigned qi, uint16_t size);
void virtio_queue_enable(struct virtio_dev *d, unsigned qi);
void virtio_queue_reset(struct virtio_dev *d, unsigned qi);
void virtio_kick(struct virtio_dev *d, unsigned qi); /* as if the guest had notified */

/* The guest notifies `queue` (a struct virtio_queue): true if all was done here and now; false: to be kicked. */
bool virtio_at_once(void *queue);

void virtio_config_read(struct virtio_dev *d, unsigned off, void *buf, unsigned len);
void virtio_config_write(struct virtio_dev *d, unsigned off, unsigned size, uint32_t val);

/* One 32-bit half of a ring address: `which` 0 desc, 1 avail, 2 used. */
void virtio_queue_set_addr(struct virtio_dev *d, unsigned qi, unsigned which, bool high,
                           uint32_t val);

/* For the device. */
static inline bool virtio_must_stop(const struct virtio_dev *d)
{
    return d->waiters || d->paused || d->broken || d->dma_off;
}

/* Is `f` (bit number) negotiated? io_lock or lock held. */
static inline bool virtio_has(const struct virtio_dev *d, unsigned f)
{
    return d->accepted >> f & 1;
}

/* The configuration is about to be read differently: interrupts the guest. lock held. */
void virtio_config_changed_locked(struct virtio_dev *d);

/* Latches the error state: queues dead, DEVICE_NEEDS_RESET, interrupt. io_lock held. */
void virtio_break(struct virtio_dev *d, const char *what);

/* "vda: descriptor chain loops" into `buf`, or returns 0 if there is no error. Any thread. */
size_t virtio_describe_error(struct virtio_dev *d, char *buf, size_t len);

#endif
