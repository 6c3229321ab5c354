/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * bus: who answers at an address. A guest has two: port I/O and memory-mapped I/O.
 *
 * A device claims a region and says which access widths it takes. The bus, not the device,
 * enforces them: a wider access is split into the widest allowed pieces (little endian), a
 * narrower or misaligned one is not delivered. What nobody claims reads as all-ones and
 * swallows writes; both are counted.
 *
 * A doorbell is an address where a write, of any width, only signals an eventfd: the
 * accelerator may serve it in the kernel (ioeventfd); where it does not, the bus does, unless who
 * would be woken by it can do at once what there is to do (two threads need not be woken then).
 *
 * Threads: vCPU threads look up without a lock (a sequence count tells them to look again
 * when the map has changed meanwhile) and call the device with the region's own `lock` held. Regions may be moved, hidden and shown
 * at any time (a guest programs BARs); they are freed only with the bus.
 */
#ifndef RUCHE_CORE_BUS_H
#define RUCHE_CORE_BUS_H

#include "core/err.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { BUS_W1 = 1, BUS_W2 = 2, BUS_W4 = 4, BUS_W8 = 8, BUS_WANY = 15 };
enum { BUS_HIT_SLOTS = 64 };

/* `off` is relative to the region; `size` is one of `widths`; only the low `size` bytes count. */
struct bus_ops {
    uint64_t (*read)(void *dev, uint64_t off, unsigned size);
    void (*write)(void *dev, uint64_t off, unsigned size, uint64_t val);
    uint8_t widths; /* BUS_W* that the device takes */
};

struct bus;

struct bus_region {
    const char *name;          /* device, for the exit table */
    uint64_t len;              /* fixed */
    _Atomic uint64_t base;     /* written under the map's lock; partner: bus_find */
    _Atomic bool shown;        /* likewise */
    struct bus_ops ops;        /* fixed */
    void *dev;
    pthread_mutex_t *lock;     /* held around ops; NULL: the device locks for itself */
    _Atomic uint64_t hits[BUS_HIT_SLOTS]; /* per offset, or per len/64 slice of a longer region */
};

struct bus_doorbell {
    uint64_t addr;
    int eventfd;
    /* Tried first, on the vCPU's thread, no lock of ours held: true if there is no need to signal. May be NULL. */
    bool (*at_once)(void *opaque);
    void *opaque;
    bool shown;
};

/* Told after a doorbell was shown or hidden; called with the map locked: must only note it. */
struct bus_doorbell_listener {
    void (*changed)(void *opaque);
    void *opaque;
};

struct bus *bus_new(const char *name);
void bus_free(struct bus *b);
const char *bus_name(const struct bus *b);

/* Adds a region, shown. NULL and `e`: overlaps another shown region of this bus, or no memory. */
struct bus_region *bus_add(struct bus *b, const char *name, uint64_t base, uint64_t len,
                           const struct bus_ops *ops, void *dev, pthread_mutex_t *lock, struct err *e);

/* Like bus_add, hidden and without an address yet (a BAR before the guest programs it). */
struct bus_region *bus_add_hidden(struct bus *b, const char *name, uint64_t len,
                                  const struct bus_ops *ops, void *dev, pthread_mutex_t *lock,
                                  struct err *e);

/* Moves and shows, or hides, a region. Overlap is allowed here (guests do it): the region that
 * was added first answers. */
void bus_show(struct bus *b, struct bus_region *r, uint64_t base);
void bus_hide(struct bus *b, struct bus_region *r);

/* A doorbell starts hidden. It signals `eventfd` (borrowed) on any write to `addr`, if `at_once` (NULL: none)
 * does not make that needless. */
struct bus_doorbell *bus_add_doorbell(struct bus *b, int eventfd, bool (*at_once)(void *opaque), void *opaque,
                                      struct err *e);
void bus_show_doorbell(struct bus *b, struct bus_doorbell *d, uint64_t addr);
void bus_hide_doorbell(struct bus *b, struct bus_doorbell *d);
void bus_set_doorbell_listener(struct bus *b, const struct bus_doorbell_listener *l);

/* Copies at most `max` shown doorbells; returns how many there are. */
unsigned bus_doorbells(struct bus *b, struct bus_doorbell *out, unsigned max);

/* One guest access of 1, 2, 4 or 8 bytes. Always succeeds: unclaimed reads give all-ones.
 * Returns false if nobody claimed it (it was counted). */
bool bus_read(struct bus *b, uint64_t addr, unsigned size, uint64_t *val);
bool bus_write(struct bus *b, uint64_t addr, unsigned size, uint64_t val);

/* Accesses nobody claimed, and accesses of a width or alignment the device does not take. */
uint64_t bus_unclaimed(const struct bus *b);
uint64_t bus_refused(const struct bus *b);

/* Calls `fn` for every region in order of addition, for the exit table. */
void bus_each(struct bus *b, void (*fn)(void *arg, const struct bus_region *r), void *arg);

#endif
