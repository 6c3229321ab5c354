/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * irq_or: several level-triggered devices on one interrupt line, as PCI's INTx pins are wired:
 * the line is high while any of them holds it.
 *
 * Threads: any; the output is driven with the lock held, so that levels arrive in their order.
 */
#ifndef RUCHE_DEVICES_IRQ_OR_H
#define RUCHE_DEVICES_IRQ_OR_H

#include "core/irq.h"

#include <pthread.h>
#include <stdint.h>

enum { IRQ_OR_INPUTS = 32 };

struct irq_or {
    pthread_mutex_t lock; /* protects `high` and the order of levels on `out` */
    struct irq_wire out;
    uint32_t high; /* inputs that hold the line, bit n: input n */
};

void irq_or_init(struct irq_or *o, const struct irq_wire *out);
void irq_or_fini(struct irq_or *o);

/* The wire of input `n` < IRQ_OR_INPUTS. */
struct irq_wire irq_or_input(struct irq_or *o, unsigned n);

#endif
