/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * bus: see bus.h. The map is a short array searched linearly: a board has some twenty regions,
 * and the last hit is tried first. Every exit passes here, so that a look costs no lock.
 */
#include "core/bus.h"

#include "core/every_exit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUS_MAX_REGIONS = 128, BUS_MAX_DOORBELLS = 256 };

struct bus {
    _Atomic uint32_t seq;     /* odd while it changes; partner: bus_find */
    _Atomic bool overlaps;    /* two shown regions share an address: order of addition decides */
    _Atomic unsigned last;    /* index of the region hit last: a hint, any value is legal */
    _Atomic unsigned nregions, ndoorbells;
    _Atomic uint64_t bell_first, bell_last; /* all shown doorbells are in here: most writes are not */
    struct bus_region *region[BUS_MAX_REGIONS];
    const char *name;
    pthread_mutex_t map_lock; /* held to change the map */
    struct bus_doorbell *doorbell[BUS_MAX_DOORBELLS];
    struct bus_doorbell_listener listener;
    _Atomic uint64_t unclaimed, refused;
};

struct bus *bus_new(const char *name)
{
    struct bus *b = calloc(1, sizeof *b);

    if (!b)
        return NULL;
    b->name = name;
    pthread_mutex_init(&b->map_lock, NULL);
    return b;
}

void bus_free(struct bus *b)
{
    if (!b)
        return;
    for (unsigned i = 0; i < b->nregions; i++)
        free(b->region[i]);
    for (unsigned i = 0; i < b->ndoorbells; i++)
        free(b->doorbell[i]);
    pthread_mutex_destroy(&b->map_lock);
    free(b);
}

const char *bus_name(const struct bus *b)
{
    return b->name;
}

static bool regions_overlap(const struct bus_region *r, uint64_t base, uint64_t len)
{
    return r->shown && base < r->base + r->len && r->base < base + len;
}

static int bus_check_free(struct bus *b, const char *name, uint64_t base, uint64_t len, struct err *e)
{
    for (unsigned i = 0; i < b->nregions; i++)
        if (regions_overlap(b->region[i], base, len))
            return err_set(e, EEXIST, "%s at %#llx overlaps %s on the %s bus", name,
                           (unsigned long long)base, b->region[i]->name, b->name);
    return 0;
}

/* The map is about to change, and has changed: who looks meanwhile looks again. */
static void map_change(struct bus *b)
{
    pthread_mutex_lock(&b->map_lock);
    b->seq++;
}

static void map_changed(struct bus *b)
{
    bool overlaps = false;

    for (unsigned i = 0; i < b->nregions && !overlaps; i++)
        for (unsigned k = 0; k < i && !overlaps; k++)
            overlaps = b->region[k]->shown &&
                       regions_overlap(b->region[i], b->region[k]->base, b->region[k]->len);
    b->overlaps = overlaps;
    b->seq++;
    pthread_mutex_unlock(&b->map_lock);
}

static struct bus_region *region_dup(const struct bus_region *proto)
{
    struct bus_region *r = calloc(1, sizeof *r);

    if (r) {
        r->name = proto->name;
        r->base = proto->base;
        r->len = proto->len;
        r->shown = proto->shown;
        r->ops = proto->ops;
        r->dev = proto->dev;
        r->lock = proto->lock;
    }
    return r;
}

static struct bus_region *bus_insert(struct bus *b, const struct bus_region *proto, struct err *e)
{
    struct bus_region *r = NULL;

    map_change(b);
    if (b->nregions == BUS_MAX_REGIONS) {
        err_set(e, ENOSPC, "the %s bus is full", b->name);
    } else if (!proto->shown || bus_check_free(b, proto->name, proto->base, proto->len, e) == 0) {
        r = region_dup(proto);
        if (r) {
            b->region[b->nregions] = r;
            b->nregions++;
        } else {
            err_set(e, ENOMEM, "out of memory");
        }
    }
    map_changed(b);
    return r;
}

struct bus_region *bus_add(struct bus *b, const char *name, uint64_t base, uint64_t len,
                           const struct bus_ops *ops, void *dev, pthread_mutex_t *lock, struct err *e)
{
    const struct bus_region proto = {.name = name, .base = base, .len = len, .shown = true,
                                     .ops = *ops, .dev = dev, .lock = lock};

    return bus_insert(b, &proto, e);
}

struct bus_region *bus_add_hidden(struct bus *b, const char *name, uint64_t len,
                                  const struct bus_ops *ops, void *dev, pthread_mutex_t *lock,
                                  struct err *e)
{
    const struct bus_region proto = {.name = name, .len = len, .ops = *ops, .dev = dev, .lock = lock};

    return bus_insert(b, &proto, e);
}

void bus_show(struct bus *b, struct bus_region *r, uint64_t base)
{
    map_change(b);
    r->base = base;
    r->shown = base + r->len > base;
    map_changed(b);
}

void bus_hide(struct bus *b, struct bus_region *r)
{
    map_change(b);
    r->shown = false;
    map_changed(b);
}

struct bus_doorbell *bus_add_doorbell(struct bus *b, int eventfd, bool (*at_once)(void *opaque), void *opaque,
                                      struct err *e)
{
    struct bus_doorbell *d = NULL;

    pthread_mutex_lock(&b->map_lock);
    if (b->ndoorbells < BUS_MAX_DOORBELLS)
        d = calloc(1, sizeof *d);
    if (d) {
        d->eventfd = eventfd;
        d->at_once = at_once;
        d->opaque = opaque;
        b->doorbell[b->ndoorbells++] = d;
    } else {
        err_set(e, ENOSPC, "the %s bus has no room for another doorbell", b->name);
    }
    pthread_mutex_unlock(&b->map_lock);
    return d;
}

static void doorbell_bounds(struct bus *b)
{
    uint64_t first = UINT64_MAX, last = 0;

    for (unsigned i = 0; i < b->ndoorbells; i++) {
        const struct bus_doorbell *d = b->doorbell[i];

        if (d->shown) {
            first = d->addr < first ? d->addr : first;
            last = d->addr > last ? d->addr : last;
        }
    }
    b->bell_first = first;
    b->bell_last = last;
}

static void doorbell_set(struct bus *b, struct bus_doorbell *d, bool shown, uint64_t addr)
{
    pthread_mutex_lock(&b->map_lock);
    if (d->shown != shown || d->addr != addr) {
        d->shown = shown;
        d->addr = addr;
        doorbell_bounds(b);
        if (b->listener.changed)
            b->listener.changed(b->listener.opaque);
    }
    pthread_mutex_unlock(&b->map_lock);
}

void bus_show_doorbell(struct bus *b, struct bus_doorbell *d, uint64_t addr)
{
    doorbell_set(b, d, true, addr);
}

void bus_hide_doorbell(struct bus *b, struct bus_doorbell *d)
{
    doorbell_set(b, d, false, d->addr);
}

void bus_set_doorbell_listener(struct bus *b, const struct bus_doorbell_listener *l)
{
    pthread_mutex_lock(&b->map_lock);
    b->listener = *l;
    pthread_mutex_unlock(&b->map_lock);
}

unsigned bus_doorbells(struct bus *b, struct bus_doorbell *out, unsigned max)
{
    unsigned n = 0;

    pthread_mutex_lock(&b->map_lock);
    for (unsigned i = 0; i < b->ndoorbells; i++) {
        if (!b->doorbell[i]->shown)
            continue;
        if (n < max)
            out[n] = *b->doorbell[i];
        n++;
    }
    pthread_mutex_unlock(&b->map_lock);
    return n;
}

static bool region_has(const struct bus_region *r, uint64_t addr)
{
    return r->shown && addr - r->base < r->len;
}

EVERY_EXIT static struct bus_region *bus_look(struct bus *b, uint64_t addr)
{
    unsigned n = b->nregions, last = b->last;

    if (last < n && !b->overlaps && region_has(b->region[last], addr))
        return b->region[last];
    for (unsigned i = 0; i < n; i++) {
        if (region_has(b->region[i], addr)) {
            b->last = i;
            return b->region[i];
        }
    }
    return NULL;
}

/* The region at `addr`, the offset in it and the bytes left there, or NULL. Regions live on,
 * so that what was found may be used even if it is moved now. */
EVERY_EXIT static struct bus_region *bus_find(struct bus *b, uint64_t addr, uint64_t *off, uint64_t *room)
{
    struct bus_region *r;
    uint32_t seq;

    for (int tries = 0; tries < 3; tries++) {
        seq = b->seq;
        r = bus_look(b, addr);
        *off = r ? addr - r->base : 0;
        if (!(seq & 1) && seq == b->seq)
            goto found;
    }
    pthread_mutex_lock(&b->map_lock); /* a guest that moves its BARs all the time waits */
    r = bus_look(b, addr);
    *off = r ? addr - r->base : 0;
    pthread_mutex_unlock(&b->map_lock);
found:
    if (r)
        *room = r->len - *off;
    return r;
}

static void region_count(struct bus_region *r, uint64_t off)
{
    uint64_t slot = r->len <= BUS_HIT_SLOTS ? off : off / ((r->len + BUS_HIT_SLOTS - 1) / BUS_HIT_SLOTS);

    if (r->lock) /* held: one writer at a time, no locked addition is needed */
        atomic_store_explicit(&r->hits[slot], atomic_load_explicit(&r->hits[slot], memory_order_relaxed) + 1,
                              memory_order_relaxed);
    else
        atomic_fetch_add_explicit(&r->hits[slot], 1, memory_order_relaxed);
}

/* The widest access the device takes that fits into `size` at `off`, or 0. */
static unsigned piece_width(const struct bus_region *r, uint64_t off, unsigned size)
{
    for (unsigned w = 8; w; w >>= 1)
        if ((r->ops.widths & w) && w <= size && (off & (w - 1)) == 0)
            return w;
    return 0;
}

EVERY_EXIT static bool region_access(struct bus *b, struct bus_region *r, uint64_t off, unsigned size, bool write,
                          uint64_t *val)
{
    bool ok = true;

    if (r->lock)
        pthread_mutex_lock(r->lock);
    region_count(r, off);
    for (unsigned done = 0, w; done < size; done += w) {
        w = piece_width(r, off + done, size - done);
        if (!w) {
            b->refused++;
            ok = false;
            break;
        }
        uint64_t mask = w == 8 ? ~0ull : (1ull << (8 * w)) - 1;
        if (write)
            r->ops.write(r->dev, off + done, w, (*val >> (8 * done)) & mask);
        else
            *val = (*val & ~(mask << (8 * done))) |
                   ((r->ops.read(r->dev, off + done, w) & mask) << (8 * done));
    }
    if (r->lock)
        pthread_mutex_unlock(r->lock);
    return ok;
}

/* An access that runs past the end of its region is served by its first `room` bytes. */
EVERY_EXIT static bool bus_access(struct bus *b, uint64_t addr, unsigned size, bool write, uint64_t *val)
{
    uint64_t off = 0, room = 0;
    struct bus_region *r = bus_find(b, addr, &off, &room);

    if (!r) {
        b->unclaimed++;
        return false;
    }
    return region_access(b, r, off, size < room ? size : (unsigned)room, write, val);
}

EVERY_EXIT bool bus_read(struct bus *b, uint64_t addr, unsigned size, uint64_t *val)
{
    bool ok;

    *val = ~0ull;
    ok = bus_access(b, addr, size, false, val);
    if (size < 8)
        *val &= (1ull << (8 * size)) - 1;
    return ok;
}

EVERY_EXIT static const struct bus_doorbell *bus_find_doorbell(struct bus *b, uint64_t addr)
{
    const struct bus_doorbell *d = NULL;

    if (b->ndoorbells == 0 || addr < b->bell_first || addr > b->bell_last)
        return NULL;
    pthread_mutex_lock(&b->map_lock);
    for (unsigned i = 0; i < b->ndoorbells && !d; i++)
        if (b->doorbell[i]->shown && b->doorbell[i]->addr == addr)
            d = b->doorbell[i]; /* whom it is for does not change */
    pthread_mutex_unlock(&b->map_lock);
    return d;
}

EVERY_EXIT bool bus_write(struct bus *b, uint64_t addr, unsigned size, uint64_t val)
{
    const struct bus_doorbell *d = bus_find_doorbell(b, addr);

    if (d) {
        const uint64_t one = 1;
        return (d->at_once && d->at_once(d->opaque)) || write(d->eventfd, &one, sizeof one) == sizeof one;
    }
    return bus_access(b, addr, size, true, &val);
}

uint64_t bus_unclaimed(const struct bus *b)
{
    return b->unclaimed;
}

uint64_t bus_refused(const struct bus *b)
{
    return b->refused;
}

void bus_each(struct bus *b, void (*fn)(void *arg, const struct bus_region *r), void *arg)
{
    pthread_mutex_lock(&b->map_lock);
    for (unsigned i = 0; i < b->nregions; i++)
        fn(arg, b->region[i]);
    pthread_mutex_unlock(&b->map_lock);
}
