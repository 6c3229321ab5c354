/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * irq_or: see irq_or.h.
 */
#include "devices/irq_or.h"

static void input_set(void *opaque, unsigned n, int level)
{
    struct irq_or *o = opaque;
    uint32_t was;

    pthread_mutex_lock(&o->lock);
    was = o->high;
    o->high = level ? was | 1u << n : was & ~(1u << n);
    if (!was != !o->high)
        irq_set(&o->out, o->high != 0);
    pthread_mutex_unlock(&o->lock);
}

void irq_or_init(struct irq_or *o, const struct irq_wire *out)
{
    pthread_mutex_init(&o->lock, NULL);
    o->out = *out;
    o->high = 0;
}

void irq_or_fini(struct irq_or *o)
{
    pthread_mutex_destroy(&o->lock);
}

struct irq_wire irq_or_input(struct irq_or *o, unsigned n)
{
    return (struct irq_wire){.set = input_set, .opaque = o, .n = n % IRQ_OR_INPUTS};
}
