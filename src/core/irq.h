/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * irq: what a device holds instead of an interrupt controller.
 *
 * A wire is a level (0/1) on one numbered input of whatever it was soldered to by the
 * board; an MSI sink takes the address and data words that a guest wrote into its MSI-X
 * table. Both may be called from any thread; the receiver does its own locking.
 */
#ifndef RUCHE_CORE_IRQ_H
#define RUCHE_CORE_IRQ_H

#include <stdint.h>

struct irq_wire {
    void (*set)(void *opaque, unsigned n, int level);
    void *opaque;
    unsigned n;
};

struct msi_sink {
    void (*send)(void *opaque, uint64_t addr, uint32_t data);
    void *opaque;
};

/* An unconnected wire (set == NULL) swallows the level. */
static inline void irq_set(const struct irq_wire *w, int level)
{
    if (w->set)
        w->set(w->opaque, w->n, level);
}

static inline void msi_send(const struct msi_sink *s, uint64_t addr, uint32_t data)
{
    if (s->send)
        s->send(s->opaque, addr, data);
}

#endif
