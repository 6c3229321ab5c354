/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * chip_rig: a bench for one chip: a real bus, a clock that moves by hand, and a probe on its
 * interrupt wire. Header only, for unit tests and fuzz targets.
 */
#ifndef RUCHE_TESTS_CHIP_RIG_H
#define RUCHE_TESTS_CHIP_RIG_H

#include "core/board.h"
#include "core/bus.h"
#include "core/clock.h"
#include "core/irq.h"
#include "core/vclock.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct probe { /* what was seen on a wire */
    int level;
    unsigned rises, falls;
};

static inline void probe_set(void *opaque, unsigned n, int level)
{
    struct probe *p = opaque;

    (void)n;
    p->rises += level && !p->level;
    p->falls += !level && p->level;
    p->level = level;
}

static inline struct irq_wire probe_wire(struct probe *p)
{
    return (struct irq_wire){.set = probe_set, .opaque = p};
}

struct power_log { /* what a chip asked of the machine */
    unsigned count;
    enum board_power what;
    unsigned code;
};

static inline void power_note(void *opaque, enum board_power what, unsigned code)
{
    struct power_log *p = opaque;

    p->count++;
    p->what = what;
    p->code = code;
}

struct sink { /* what a chip printed */
    char buf[70000];
    size_t len;
    unsigned rooms;
};

static inline void sink_out(void *opaque, const void *buf, size_t len)
{
    struct sink *s = opaque;

    for (size_t i = 0; i < len; i++)
        if (s->len < sizeof s->buf)
            s->buf[s->len++] = ((const char *)buf)[i];
}

static inline void sink_room(void *opaque)
{
    ((struct sink *)opaque)->rooms++;
}

struct rig {
    struct bus *bus;
    struct vclock *clock;
    struct probe irq;
    struct power_log power;
    struct sink sink;
};

static inline void rig_init(struct rig *r)
{
    memset(r, 0, sizeof *r);
    r->bus = bus_new("pio");
    r->clock = vclock_new_manual();
}

static inline void rig_fini(struct rig *r)
{
    bus_free(r->bus);
    vclock_free(r->clock);
}

static inline uint64_t in(struct rig *r, uint64_t addr, unsigned size)
{
    uint64_t val;

    bus_read(r->bus, addr, size, &val);
    return val;
}

static inline uint8_t inb(struct rig *r, uint64_t addr)
{
    return (uint8_t)in(r, addr, 1);
}

static inline uint16_t inw(struct rig *r, uint64_t addr)
{
    return (uint16_t)in(r, addr, 2);
}

static inline uint32_t inl(struct rig *r, uint64_t addr)
{
    return (uint32_t)in(r, addr, 4);
}

static inline void outb(struct rig *r, uint64_t addr, uint8_t val)
{
    bus_write(r->bus, addr, 1, val);
}

static inline void outw(struct rig *r, uint64_t addr, uint16_t val)
{
    bus_write(r->bus, addr, 2, val);
}

static inline void outl(struct rig *r, uint64_t addr, uint32_t val)
{
    bus_write(r->bus, addr, 4, val);
}

#endif
