/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ns16550: one 16550A UART: eight byte-wide registers, a wire for its INTR pin, a sink for
 * what the guest sends and a bounded queue for what people type.
 *
 * Sending takes no time: a byte written to THR has left, and THR is empty again. After a long
 * burst the THRE *interrupt* alone takes a short breath, so that a driver that loops in its
 * handler gets out of it. Receiving is held back by the host while the FIFO is full, so the
 * line never overruns; it can in loopback.
 *
 * Not modelled: parity and frame format (LCR is stored, the word length is not applied), the
 * time a byte takes, gating of INTR by OUT2 (the board's wiring on a PC).
 * Follows: National PC16550D data sheet, 8.1-8.10.
 *
 * Threads: vCPUs come through the bus with ns16550_lock held; receive, break and the timers
 * take it themselves. `out`, `room` and the wire are called with it held.
 */
#ifndef RUCHE_DEVICES_NS16550_H
#define RUCHE_DEVICES_NS16550_H

#include "core/bus.h"
#include "core/err.h"
#include "core/irq.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ns16550;
struct vclock;

enum {
    NS16550_PORTS = 8,         /* length of its bus region */
    NS16550_FIFO = 16,         /* bytes */
    NS16550_QUEUE = 4096,      /* bytes of input waiting for the FIFO */
    NS16550_BURST = 2048,      /* bytes sent before the THRE interrupt takes a breath */
    NS16550_BREATH_NS = 100000 /* of this length */
};

struct ns16550_host {
    void (*out)(void *opaque, const void *buf, size_t len); /* what the guest sends */
    void (*room)(void *opaque); /* after a short ns16550_receive: half of the queue is free */
    void *opaque;               /* neither may call back into the UART */
};

/* What the guest can see, and a snapshot must keep. */
struct ns16550_regs {
    uint8_t ier, fcr, lcr, mcr, lsr, msr, scr, dll, dlm;
    bool thre_pending;    /* THRE interrupt not yet acknowledged */
    bool timeout_pending; /* characters wait below the trigger level */
    uint8_t fifo_first, fifo_count;
    uint16_t fifo[NS16550_FIFO]; /* low byte: data; high byte: LSR error bits */
};

struct ns16550_stats { /* cumulative */
    uint64_t tx_bytes;   /* sent to `out` */
    uint64_t rx_bytes;   /* read by the guest from RBR */
    uint64_t rx_dropped; /* FIFO cleared by the guest, overrun in loopback, BREAK on a full queue */
    uint64_t irqs;       /* rising edges of INTR */
};

/* `irq` and `host` are copied. NULL and `e` if there is no memory. */
struct ns16550 *ns16550_new(const struct irq_wire *irq, struct vclock *clock,
                            const struct ns16550_host *host, struct err *e);
void ns16550_free(struct ns16550 *u);

/* The MR pin, and the input queue emptied. */
void ns16550_reset(struct ns16550 *u);

/* For bus_add: held around ns16550_ops. */
pthread_mutex_t *ns16550_lock(struct ns16550 *u);
extern const struct bus_ops ns16550_ops;

/* Bytes that arrive on the line; returns how many were taken. If fewer than `len`, `room` will
 * be called. */
size_t ns16550_receive(struct ns16550 *u, const void *buf, size_t len);

/* A BREAK arrives, after what was received before. */
void ns16550_break(struct ns16550 *u);

void ns16550_regs_get(struct ns16550 *u, struct ns16550_regs *out);
void ns16550_stats_get(struct ns16550 *u, struct ns16550_stats *out);

#endif
