/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * i8254: see i8254.h. Times are in ticks of the 1.193182 MHz clock since the guest began; a
 * count written now starts at the next tick. Known deviation: a new count written in mode 3
 * takes over at the end of the whole period, not of the half.
 */
#include "devices/i8254.h"

#include "core/clock.h"
#include "core/vclock.h"

#include <errno.h>
#include <stdlib.h>

enum { CONTROL_PORT = 3, ACCESS_LOW = 1, ACCESS_HIGH = 2, ACCESS_BOTH = 3 };
enum { CONTROL_KEPT = 0x3f, CONTROL_BCD = 1, SELECT_READ_BACK = 3 };
enum { READ_BACK_NO_COUNT = 0x20, READ_BACK_NO_STATUS = 0x10 };
enum { STATUS_OUT = 0x80, STATUS_NULL = 0x40 };
enum { P61_GATE2 = 1, P61_KEPT = 15, P61_REFRESH = 16, P61_OUT2 = 32, REFRESH_NS = 15085 };
enum { MIN_EDGE_TICKS = (uint64_t)I8254_MIN_EDGE_NS * I8254_HZ / NS_PER_S };

struct i8254 {
    pthread_mutex_t lock; /* protects all below */
    struct irq_wire irq;
    struct vclock *clock;
    struct vtimer edge; /* the next rising edge of counter 0 */
    int level;
    struct i8254_regs r;
};

static uint64_t ticks_now(const struct i8254 *p)
{
    return (uint64_t)((unsigned __int128)vclock_now_ns(p->clock) * I8254_HZ / NS_PER_S);
}

/* First guest time at which ticks_now is `ticks`. */
static uint64_t ticks_to_ns(uint64_t ticks)
{
    return (uint64_t)(((unsigned __int128)ticks * NS_PER_S + I8254_HZ - 1) / I8254_HZ);
}

static unsigned mode_of(const struct i8254_counter *c)
{
    unsigned mode = c->control >> 1 & 7;

    return mode > 5 ? mode - 4 : mode; /* 6 and 7 are 2 and 3 */
}

static unsigned access_of(const struct i8254_counter *c)
{
    return c->control >> 4 & 3;
}

static bool is_periodic(const struct i8254_counter *c)
{
    return mode_of(c) == 2 || mode_of(c) == 3;
}

static bool is_triggered(const struct i8254_counter *c)
{
    return mode_of(c) == 1 || mode_of(c) == 5;
}

static unsigned counts_of_range(const struct i8254_counter *c)
{
    return c->control & CONTROL_BCD ? 10000 : 65536;
}

/* The number that the 16 bits of a count register stand for. */
static unsigned number(const struct i8254_counter *c, uint16_t raw)
{
    if (raw == 0)
        return counts_of_range(c);
    if (!(c->control & CONTROL_BCD))
        return raw;
    return (raw >> 12) * 1000u + (raw >> 8 & 15) * 100u + (raw >> 4 & 15) * 10u + (raw & 15);
}

static uint16_t raw_of(const struct i8254_counter *c, uint64_t n)
{
    unsigned v = (unsigned)(n % counts_of_range(c));

    if (!(c->control & CONTROL_BCD))
        return (uint16_t)v;
    return (uint16_t)(v / 1000 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10);
}

static bool gate_stops(const struct i8254_counter *c)
{
    return !c->gate && !is_triggered(c);
}

/* Ticks counted since the count was loaded. */
static uint64_t elapsed(const struct i8254_counter *c, uint64_t now)
{
    if (gate_stops(c))
        return c->paused;
    return now > c->start ? now - c->start : 0;
}

static void count_load(struct i8254_counter *c, uint64_t start)
{
    c->count = c->reload;
    c->start = start;
    c->paused = 0;
    c->edges = 0;
    c->running = true;
    c->reload_waits = false;
}

/* Lets a count that waits for the end of the period take over, if that has come. */
static void counter_sync(struct i8254_counter *c, uint64_t now)
{
    uint64_t end = c->start + number(c, c->count);

    if (is_periodic(c) && c->running && c->reload_waits && !gate_stops(c) && now >= end)
        count_load(c, end);
}

static bool output(const struct i8254_counter *c, uint64_t now)
{
    uint64_t n = number(c, c->count), t = elapsed(c, now);

    if (!c->running)
        return mode_of(c) != 0;
    switch (mode_of(c)) {
    case 0:
        return t >= n;
    case 1:
        return t >= n;
    case 2:
        return gate_stops(c) || t % n != n - 1;
    case 3:
        return gate_stops(c) || t % n < (n + 1) / 2;
    default: /* 4, 5: low for one tick */
        return t != n;
    }
}

/* The counting element as it would be read. */
static uint16_t counter_value(const struct i8254_counter *c, uint64_t now)
{
    uint64_t n = number(c, c->count), t = elapsed(c, now), range = counts_of_range(c);

    if (!c->running)
        return c->count;
    if (mode_of(c) == 2)
        return raw_of(c, n - t % n);
    if (mode_of(c) == 3) { /* counts by two, each half of the period from the top */
        uint64_t high = (n + 1) / 2, in_period = t % n;
        uint64_t in_half = in_period < high ? in_period : in_period - high;

        return raw_of(c, (n & ~1ull) - 2 * in_half);
    }
    return raw_of(c, n + range - t % range);
}

/* Rising edges of the output since the count was loaded. */
static uint64_t edges_until(const struct i8254_counter *c, uint64_t now)
{
    uint64_t n = number(c, c->count), t = elapsed(c, now);

    if (!c->running || gate_stops(c))
        return c->edges;
    if (is_periodic(c))
        return t / n;
    return t >= (mode_of(c) < 2 ? n : n + 1);
}

/* A guest may ask for a million edges a second; it is shown the grid's next one after 100 us. */
static uint64_t edges_per_show(const struct i8254_counter *c)
{
    uint64_t n = number(c, c->count);

    return is_periodic(c) && n < MIN_EDGE_TICKS ? (MIN_EDGE_TICKS + n - 1) / n : 1;
}

/* Tick of the next edge to be shown, or UINT64_MAX. */
static uint64_t next_edge(const struct i8254_counter *c)
{
    uint64_t n = number(c, c->count);

    if (!c->running || gate_stops(c))
        return UINT64_MAX;
    if (is_periodic(c))
        return c->start + (c->edges + edges_per_show(c)) * n;
    return c->edges ? UINT64_MAX : c->start + (mode_of(c) < 2 ? n : n + 1);
}

static void level_set(struct i8254 *p, int level)
{
    if (level == p->level)
        return;
    p->level = level;
    irq_set(&p->irq, level);
}

/* What the wire shows of counter 0: only mode 0 and 1 stay low for long. */
static int wire_level(const struct i8254_counter *c, uint64_t now)
{
    return mode_of(c) < 2 ? output(c, now) : 1;
}

/* Pulses the wire for the rising edges since the last call: one, however many they were. */
static void edges_show(struct i8254 *p, uint64_t now)
{
    struct i8254_counter *c = &p->r.counter[0];
    uint64_t edges = edges_until(c, now);

    if (edges >= c->edges + edges_per_show(c)) {
        c->edges = edges;
        level_set(p, 0);
    }
    level_set(p, wire_level(c, now));
}

static void i8254_update(struct i8254 *p)
{
    struct i8254_counter *c = &p->r.counter[0];
    uint64_t now = ticks_now(p), due;

    edges_show(p, now); /* those of a count that is about to be replaced, too */
    for (unsigned i = 0; i < I8254_COUNTERS; i++)
        counter_sync(&p->r.counter[i], now);
    edges_show(p, now);
    due = next_edge(c);
    if (due == UINT64_MAX)
        vtimer_cancel(&p->edge);
    else
        vtimer_arm(&p->edge, ticks_to_ns(due));
}

static void edge_due(void *arg)
{
    struct i8254 *p = arg;

    pthread_mutex_lock(&p->lock);
    i8254_update(p);
    pthread_mutex_unlock(&p->lock);
}

static void count_written(struct i8254_counter *c, uint16_t raw, uint64_t now)
{
    c->reload = raw;
    c->written = true;
    if (is_triggered(c)) {
        c->reload_waits = true; /* for the gate */
    } else if (is_periodic(c) && c->running) {
        uint64_t n = number(c, c->count), periods = elapsed(c, now) / n;

        c->start += periods * n; /* of the period that goes on to its end */
        c->edges = c->edges > periods ? c->edges - periods : 0;
        c->reload_waits = true;
    } else {
        count_load(c, now + 1);
    }
}

static void counter_write(struct i8254_counter *c, uint8_t val, uint64_t now)
{
    switch (access_of(c)) {
    case ACCESS_LOW:
        count_written(c, val, now);
        break;
    case ACCESS_HIGH:
        count_written(c, (uint16_t)(val << 8), now);
        break;
    case ACCESS_BOTH:
        if (c->write_second) {
            count_written(c, (uint16_t)(val << 8 | c->write_low), now);
        } else {
            c->write_low = val;
            if (mode_of(c) == 0)
                c->running = false; /* the first byte stops it, output low */
        }
        c->write_second = !c->write_second;
        break;
    default:
        break; /* never programmed */
    }
}

static uint8_t counter_read(struct i8254_counter *c, uint64_t now)
{
    uint16_t val = c->latch_bytes ? c->latch : counter_value(c, now);
    bool high = access_of(c) == ACCESS_HIGH;

    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    if (access_of(c) == ACCESS_BOTH) {
        high = c->read_second;
        c->read_second = !c->read_second;
    }
    if (c->latch_bytes)
        c->latch_bytes--;
    return (uint8_t)(high ? val >> 8 : val);
}

/* A latch holds until it is read: a second command does nothing. */
static void count_latch(struct i8254_counter *c, uint64_t now)
{
    if (c->latch_bytes)
        return;
    c->latch = counter_value(c, now);
    c->latch_bytes = access_of(c) == ACCESS_BOTH ? 2 : 1;
    c->read_second = false;
}

static void status_latch(struct i8254_counter *c, uint64_t now)
{
    bool not_loaded = !c->running || c->reload_waits || (now < c->start && !gate_stops(c));

    if (c->status_latched)
        return;
    c->status = (c->control & CONTROL_KEPT) | (output(c, now) ? STATUS_OUT : 0) |
                (not_loaded ? STATUS_NULL : 0);
    c->status_latched = true;
}

static void mode_set(struct i8254_counter *c, uint8_t control)
{
    c->control = control & CONTROL_KEPT;
    c->running = c->written = c->reload_waits = false;
    c->write_second = c->read_second = c->status_latched = false;
    c->latch_bytes = 0;
    c->edges = 0;
}

static void read_back(struct i8254 *p, uint8_t val, uint64_t now)
{
    for (unsigned i = 0; i < I8254_COUNTERS; i++) {
        if (!(val & 2 << i))
            continue;
        if (!(val & READ_BACK_NO_COUNT))
            count_latch(&p->r.counter[i], now);
        if (!(val & READ_BACK_NO_STATUS))
            status_latch(&p->r.counter[i], now);
    }
}

static void control_write(struct i8254 *p, uint8_t val, uint64_t now)
{
    unsigned select = val >> 6;

    if (select == SELECT_READ_BACK)
        read_back(p, val, now);
    else if ((val & 0x30) == 0)
        count_latch(&p->r.counter[select], now);
    else
        mode_set(&p->r.counter[select], val);
}

static void gate_set(struct i8254_counter *c, bool gate, uint64_t now)
{
    if (gate == c->gate)
        return;
    if (!gate) {
        c->paused = elapsed(c, now);
        c->gate = false;
        return;
    }
    c->gate = true;
    if (is_triggered(c) || is_periodic(c)) {
        if (c->written)
            count_load(c, now + 1);
    } else {
        c->start = now - c->paused;
    }
}

static uint64_t i8254_read(void *dev, uint64_t off, unsigned size)
{
    struct i8254 *p = dev;

    (void)size;
    if (off >= CONTROL_PORT)
        return 0xff;
    i8254_update(p);
    return counter_read(&p->r.counter[off], ticks_now(p));
}

static void i8254_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct i8254 *p = dev;

    (void)size;
    i8254_update(p);
    if (off == CONTROL_PORT)
        control_write(p, (uint8_t)val, ticks_now(p));
    else if (off < CONTROL_PORT)
        counter_write(&p->r.counter[off], (uint8_t)val, ticks_now(p));
    i8254_update(p);
}

static uint64_t port61_read(void *dev, uint64_t off, unsigned size)
{
    struct i8254 *p = dev;

    (void)off, (void)size;
    i8254_update(p);
    return p->r.port61 | (vclock_now_ns(p->clock) / REFRESH_NS & 1 ? P61_REFRESH : 0) |
           (output(&p->r.counter[2], ticks_now(p)) ? P61_OUT2 : 0);
}

static void port61_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct i8254 *p = dev;

    (void)off, (void)size;
    i8254_update(p);
    p->r.port61 = val & P61_KEPT;
    gate_set(&p->r.counter[2], val & P61_GATE2, ticks_now(p));
    i8254_update(p);
}

const struct bus_ops i8254_ops = {.read = i8254_read, .write = i8254_write, .widths = BUS_W1};
const struct bus_ops i8254_port61_ops = {
    .read = port61_read, .write = port61_write, .widths = BUS_W1};

static void reset_locked(struct i8254 *p)
{
    p->r = (struct i8254_regs){.counter = {{.gate = true}, {.gate = true}, {.gate = false}}};
    i8254_update(p);
}

void i8254_reset(struct i8254 *p)
{
    pthread_mutex_lock(&p->lock);
    reset_locked(p);
    pthread_mutex_unlock(&p->lock);
}

struct i8254 *i8254_new(const struct irq_wire *irq, struct vclock *clock, struct err *e)
{
    struct i8254 *p = calloc(1, sizeof *p);

    if (!p) {
        err_set(e, ENOMEM, "out of memory for the PIT; free some or start fewer guests");
        return NULL;
    }
    pthread_mutex_init(&p->lock, NULL);
    p->irq = *irq;
    p->clock = clock;
    vtimer_init(&p->edge, clock, edge_due, p);
    reset_locked(p);
    return p;
}

void i8254_free(struct i8254 *p)
{
    if (!p)
        return;
    vtimer_cancel(&p->edge);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

pthread_mutex_t *i8254_lock(struct i8254 *p)
{
    return &p->lock;
}

void i8254_regs_get(struct i8254 *p, struct i8254_regs *out)
{
    pthread_mutex_lock(&p->lock);
    *out = p->r;
    pthread_mutex_unlock(&p->lock);
}
