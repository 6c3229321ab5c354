/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * irqchip: see irqchip.h.
 *
 * Each entry takes the mutex (chip_enter), changes state, and leaves (chip_leave): there the
 * wires between the chips are settled, `pending` is recomputed for the CPUs that were touched,
 * and the events that this made are told after the mutex is released.
 */
#include "devices/irqchip.h"

#include "core/vclock.h"
#include "devices/i8259.h"
#include "devices/ioapic.h"
#include "devices/lapic.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { PIN_OF_PIC = 0, PIN_OF_TIMER = 2, ISA_IRQS = 16, CASCADE_IRQ = 2, LINT0 = 0, LINT1 = 1 };
enum { DEFAULT_PHYS_BITS = 40, MIN_PHYS_BITS = 32, MAX_PHYS_BITS = 52 };

/* One bit per CPU. */
struct events {
    uint64_t intr, nmi, init, sipi;
    uint8_t sipi_vector[IRQCHIP_MAX_CPUS];
};

/* Registers of a chip as the bus sees them. */
struct irqchip_region {
    struct irqchip_dev *d;
    const struct bus_ops *ops;
    void *chip;
    unsigned first; /* register at offset 0 */
};

struct irqchip_dev {
    pthread_mutex_t lock; /* protects all below but `pending` */
    struct irqchip_env env;
    unsigned vcpus;
    struct i8259 *pic;
    struct ioapic *ioapic;
    struct lapic *lapic[IRQCHIP_MAX_CPUS];
    struct irqchip_region region[IRQCHIP_PLACES]; /* fixed */
    bool pic_output;   /* as LINT0 and the IOAPIC were told */
    uint64_t touched;  /* CPUs whose `pending` may have changed */
    struct events events;
    unsigned last_lowest; /* CPU that took the last lowest-priority message */
    struct irqchip_stats stats;
    /* Written under the lock; read without it by irqchip_ops.pending of the same CPU, after
     * the cpu_event that was sent when it turned true. */
    _Atomic bool pending[IRQCHIP_MAX_CPUS];
};

static uint64_t bit(unsigned cpu)
{
    return 1ull << cpu;
}

static uint64_t all_cpus(const struct irqchip_dev *d)
{
    return d->vcpus == 64 ? ~0ull : bit(d->vcpus) - 1;
}

/* ---- entering and leaving */

static void chip_enter(struct irqchip_dev *d)
{
    pthread_mutex_lock(&d->lock);
}

/* The PICs' output is wired to LINT0 of every CPU and to the IOAPIC. */
static void pic_settle(struct irqchip_dev *d)
{
    bool output = i8259_output(d->pic);

    if (output == d->pic_output)
        return;
    d->pic_output = output;
    for (unsigned cpu = 0; cpu < d->vcpus; cpu++)
        lapic_set_lint(d->lapic[cpu], LINT0, output);
    ioapic_set_line(d->ioapic, PIN_OF_PIC, output);
    d->touched = all_cpus(d);
}

static bool is_pending(const struct irqchip_dev *d, unsigned cpu)
{
    return (d->pic_output && lapic_takes_extint(d->lapic[cpu])) ||
           lapic_pending(d->lapic[cpu]) >= 0;
}

static void pending_settle(struct irqchip_dev *d)
{
    for (; d->touched; d->touched &= d->touched - 1) {
        unsigned cpu = (unsigned)__builtin_ctzll(d->touched);
        bool now = is_pending(d, cpu);

        if (now && !d->pending[cpu])
            d->events.intr |= bit(cpu);
        d->pending[cpu] = now;
    }
}

static void tell(const struct irqchip_dev *d, uint64_t cpus, enum cpu_event ev,
                 const uint8_t *vector)
{
    for (; cpus; cpus &= cpus - 1) {
        unsigned cpu = (unsigned)__builtin_ctzll(cpus);

        d->env.cpu_event(d->env.opaque, cpu, ev, vector ? vector[cpu] : 0);
    }
}

static void chip_leave(struct irqchip_dev *d)
{
    struct events ev;
    bool any;

    pic_settle(d);
    pending_settle(d);
    any = d->events.intr | d->events.nmi | d->events.init | d->events.sipi;
    if (any) {
        ev = d->events;
        d->events.intr = d->events.nmi = d->events.init = d->events.sipi = 0;
    }
    pthread_mutex_unlock(&d->lock);
    if (!any)
        return;
    tell(d, ev.init, CPU_EVENT_INIT, NULL);
    tell(d, ev.sipi, CPU_EVENT_SIPI, ev.sipi_vector);
    tell(d, ev.nmi, CPU_EVENT_NMI, NULL);
    tell(d, ev.intr, CPU_EVENT_INTR, NULL);
}

/* ---- messages */

static bool accept(struct irqchip_dev *d, unsigned cpu, const struct apic_msg *m)
{
    d->touched |= bit(cpu);
    return lapic_accept(d->lapic[cpu], m);
}

/* Of the CPUs in `set` that may take it, the least busy; of equals, the next after the last. */
static int lowest_priority_cpu(const struct irqchip_dev *d, uint64_t set)
{
    int best = -1;

    for (unsigned i = 1; i <= d->vcpus; i++) {
        unsigned cpu = (d->last_lowest + i) % d->vcpus;

        if (!(set & bit(cpu)) || !lapic_is_enabled(d->lapic[cpu]))
            continue;
        if (best < 0 || lapic_priority(d->lapic[cpu]) < lapic_priority(d->lapic[best]))
            best = (int)cpu;
    }
    return best;
}

static bool deliver_to(struct irqchip_dev *d, uint64_t set, const struct apic_msg *m)
{
    bool taken = false;

    if (m->delivery == APIC_LOWEST) {
        int cpu = lowest_priority_cpu(d, set);

        set = cpu < 0 ? 0 : bit((unsigned)cpu);
        if (cpu >= 0)
            d->last_lowest = (unsigned)cpu;
    }
    for (; set; set &= set - 1)
        taken |= accept(d, (unsigned)__builtin_ctzll(set), m);
    d->stats.nowhere += !taken;
    return taken;
}

static uint64_t destinations(const struct irqchip_dev *d, const struct apic_msg *m)
{
    uint64_t set = 0;

    for (unsigned cpu = 0; cpu < d->vcpus; cpu++)
        if (lapic_is_dest(d->lapic[cpu], m))
            set |= bit(cpu);
    return set;
}

static bool deliver(struct irqchip_dev *d, const struct apic_msg *m)
{
    return deliver_to(d, destinations(d, m), m);
}

/* ---- what the chips call, with the mutex held */

static bool from_ioapic(void *opaque, const struct apic_msg *m)
{
    return deliver(opaque, m);
}

static void from_icr(void *opaque, unsigned cpu, const struct apic_msg *m, unsigned shorthand)
{
    struct irqchip_dev *d = opaque;

    d->stats.ipis++;
    if (shorthand == LAPIC_TO_SELF)
        deliver_to(d, bit(cpu), m);
    else if (shorthand == LAPIC_TO_ALL)
        deliver_to(d, all_cpus(d), m);
    else if (shorthand == LAPIC_TO_OTHERS)
        deliver_to(d, all_cpus(d) & ~bit(cpu), m);
    else
        deliver(d, m);
}

static void eoi_broadcast(void *opaque, unsigned cpu, uint8_t vector)
{
    struct irqchip_dev *d = opaque;

    (void)cpu;
    ioapic_eoi(d->ioapic, vector);
}

static void lapic_event(void *opaque, unsigned cpu, enum cpu_event ev, uint8_t vector)
{
    struct irqchip_dev *d = opaque;

    switch (ev) {
    case CPU_EVENT_NMI:
        d->events.nmi |= bit(cpu);
        break;
    case CPU_EVENT_INIT:
        d->events.init |= bit(cpu);
        break;
    case CPU_EVENT_SIPI:
        d->events.sipi |= bit(cpu);
        d->events.sipi_vector[cpu] = vector;
        break;
    default:
        break;
    }
}

/* On the I/O thread, without the mutex. */
static void lapic_timer_due(void *opaque, unsigned cpu)
{
    struct irqchip_dev *d = opaque;

    chip_enter(d);
    lapic_timer_check(d->lapic[cpu]);
    d->touched |= bit(cpu);
    chip_leave(d);
}

static uint64_t chip_tsc_to_ns(void *opaque, unsigned cpu, uint64_t tsc)
{
    const struct irqchip_dev *d = opaque;

    return d->env.tsc_to_ns(d->env.opaque, cpu, tsc);
}

static uint64_t chip_tsc_now(void *opaque, unsigned cpu)
{
    const struct irqchip_dev *d = opaque;

    return d->env.tsc_now(d->env.opaque, cpu);
}

/* ---- inputs */

void irqchip_set_line(struct irqchip_dev *d, unsigned gsi, int level)
{
    if (gsi >= IRQCHIP_GSIS || gsi == CASCADE_IRQ)
        return;
    chip_enter(d);
    if (gsi < ISA_IRQS)
        i8259_set_line(d->pic, gsi, level);
    ioapic_set_line(d->ioapic, gsi == 0 ? PIN_OF_TIMER : gsi, level);
    chip_leave(d);
}

void irqchip_msi(struct irqchip_dev *d, uint64_t addr, uint32_t data)
{
    struct apic_msg m;

    chip_enter(d);
    d->stats.msis++;
    if (msi_decode(addr, data, &m))
        deliver(d, &m);
    else
        d->stats.nowhere++;
    chip_leave(d);
}

static void wire_set(void *opaque, unsigned n, int level)
{
    irqchip_set_line(opaque, n, level);
}

static void sink_send(void *opaque, uint64_t addr, uint32_t data)
{
    irqchip_msi(opaque, addr, data);
}

struct irq_wire irqchip_wire(struct irqchip_dev *d, unsigned gsi)
{
    return (struct irq_wire){.set = wire_set, .opaque = d, .n = gsi};
}

struct msi_sink irqchip_msi_sink(struct irqchip_dev *d)
{
    return (struct msi_sink){.send = sink_send, .opaque = d};
}

void irqchip_nmi(struct irqchip_dev *d)
{
    chip_enter(d);
    for (unsigned cpu = 0; cpu < d->vcpus; cpu++) {
        lapic_set_lint(d->lapic[cpu], LINT1, true);
        lapic_set_lint(d->lapic[cpu], LINT1, false);
    }
    d->touched = all_cpus(d);
    chip_leave(d);
}

/* ---- for the engine */

static bool op_pending(void *chip, unsigned cpu)
{
    const struct irqchip_dev *d = chip;

    return cpu < d->vcpus && d->pending[cpu];
}

static int ack_locked(struct irqchip_dev *d, unsigned cpu)
{
    if (d->pic_output && lapic_takes_extint(d->lapic[cpu]))
        return i8259_ack(d->pic);
    return lapic_ack(d->lapic[cpu]);
}

static int op_ack(void *chip, unsigned cpu)
{
    struct irqchip_dev *d = chip;
    int vector;

    if (cpu >= d->vcpus)
        return -1;
    chip_enter(d);
    vector = ack_locked(d, cpu);
    d->stats.delivered += vector >= 0;
    d->touched |= bit(cpu);
    chip_leave(d);
    return vector;
}

static uint32_t op_mmio_read(void *chip, unsigned cpu, uint32_t off)
{
    struct irqchip_dev *d = chip;
    uint32_t val;

    if (cpu >= d->vcpus)
        return 0xffffffff;
    chip_enter(d);
    val = lapic_mmio_read(d->lapic[cpu], off);
    d->touched |= bit(cpu); /* reading may settle the timer */
    chip_leave(d);
    return val;
}

static void op_mmio_write(void *chip, unsigned cpu, uint32_t off, uint32_t val)
{
    struct irqchip_dev *d = chip;

    if (cpu >= d->vcpus)
        return;
    chip_enter(d);
    lapic_mmio_write(d->lapic[cpu], off, val);
    d->touched |= bit(cpu);
    chip_leave(d);
}

static bool op_rdmsr(void *chip, unsigned cpu, uint32_t msr, uint64_t *val)
{
    struct irqchip_dev *d = chip;
    bool ok;

    if (cpu >= d->vcpus)
        return false;
    chip_enter(d);
    ok = lapic_rdmsr(d->lapic[cpu], msr, val);
    d->touched |= bit(cpu);
    chip_leave(d);
    return ok;
}

static bool op_wrmsr(void *chip, unsigned cpu, uint32_t msr, uint64_t val)
{
    struct irqchip_dev *d = chip;
    bool ok;

    if (cpu >= d->vcpus)
        return false;
    chip_enter(d);
    ok = lapic_wrmsr(d->lapic[cpu], msr, val);
    d->touched |= bit(cpu);
    chip_leave(d);
    return ok;
}

static uint8_t op_cr8_get(void *chip, unsigned cpu)
{
    struct irqchip_dev *d = chip;
    uint8_t cr8;

    if (cpu >= d->vcpus)
        return 0;
    chip_enter(d);
    cr8 = lapic_cr8(d->lapic[cpu]);
    chip_leave(d);
    return cr8;
}

static void op_cr8_set(void *chip, unsigned cpu, uint8_t cr8)
{
    struct irqchip_dev *d = chip;

    if (cpu >= d->vcpus)
        return;
    chip_enter(d);
    lapic_set_cr8(d->lapic[cpu], cr8);
    d->touched |= bit(cpu);
    chip_leave(d);
}

static void op_init(void *chip, unsigned cpu)
{
    struct irqchip_dev *d = chip;

    if (cpu >= d->vcpus)
        return;
    chip_enter(d);
    lapic_init(d->lapic[cpu]);
    d->touched |= bit(cpu);
    chip_leave(d);
}

static const struct irqchip_ops chip_ops = {
    .pending = op_pending, .ack = op_ack, .mmio_read = op_mmio_read, .mmio_write = op_mmio_write,
    .rdmsr = op_rdmsr, .wrmsr = op_wrmsr, .cr8_get = op_cr8_get, .cr8_set = op_cr8_set,
    .init = op_init,
};

struct irqchip irqchip_get(struct irqchip_dev *d)
{
    return (struct irqchip){.ops = &chip_ops, .chip = d};
}

/* ---- bus regions: the chips' own, inside enter and leave */

static uint64_t region_read(void *dev, uint64_t off, unsigned size)
{
    const struct irqchip_region *r = dev;
    uint64_t val;

    chip_enter(r->d);
    val = r->ops->read(r->chip, r->first + off, size);
    chip_leave(r->d);
    return val;
}

static void region_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    const struct irqchip_region *r = dev;

    chip_enter(r->d);
    r->ops->write(r->chip, r->first + off, size, val);
    chip_leave(r->d);
}

const struct bus_ops irqchip_pic_ops = {
    .read = region_read, .write = region_write, .widths = BUS_W1};
const struct bus_ops irqchip_ioapic_ops = {
    .read = region_read, .write = region_write, .widths = BUS_W1 | BUS_W2 | BUS_W4,
};

struct irqchip_region *irqchip_region(struct irqchip_dev *d, enum irqchip_place where)
{
    return &d->region[where];
}

static void regions_init(struct irqchip_dev *d)
{
    d->region[IRQCHIP_MASTER] = (struct irqchip_region){d, &i8259_ops, d->pic, I8259_MASTER};
    d->region[IRQCHIP_SLAVE] = (struct irqchip_region){d, &i8259_ops, d->pic, I8259_SLAVE};
    d->region[IRQCHIP_ELCR] = (struct irqchip_region){d, &i8259_ops, d->pic, I8259_ELCR};
    d->region[IRQCHIP_IOAPIC] = (struct irqchip_region){d, &ioapic_ops, d->ioapic, 0};
}

/* ---- life */

void irqchip_reset(struct irqchip_dev *d)
{
    chip_enter(d);
    i8259_reset(d->pic);
    ioapic_reset(d->ioapic);
    for (unsigned cpu = 0; cpu < d->vcpus; cpu++)
        lapic_reset(d->lapic[cpu]);
    d->touched = all_cpus(d);
    d->last_lowest = 0;
    chip_leave(d);
}

void irqchip_free(struct irqchip_dev *d)
{
    if (!d)
        return;
    for (unsigned cpu = 0; cpu < d->vcpus; cpu++)
        lapic_free(d->lapic[cpu]);
    ioapic_free(d->ioapic);
    i8259_free(d->pic);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

static int lapics_new(struct irqchip_dev *d, struct err *e)
{
    const struct lapic_env env = {
        .phys_bits = d->env.phys_bits, .opaque = d, .send = from_icr, .eoi = eoi_broadcast,
        .event = lapic_event, .timer_due = lapic_timer_due, .tsc_to_ns = chip_tsc_to_ns,
        .tsc_now = chip_tsc_now,
    };

    for (unsigned cpu = 0; cpu < d->vcpus; cpu++) {
        d->lapic[cpu] = lapic_new(cpu, d->env.clock, &env, e);
        if (!d->lapic[cpu])
            return -ENOMEM;
    }
    return 0;
}

struct irqchip_dev *irqchip_new(unsigned vcpus, const struct irqchip_env *env, struct err *e)
{
    struct irqchip_dev *d = NULL;

    if (vcpus < 1 || vcpus > IRQCHIP_MAX_CPUS) {
        err_set(e, EINVAL, "a guest can have 1 to %d vCPUs, not %u", IRQCHIP_MAX_CPUS, vcpus);
        return NULL;
    }
    d = calloc(1, sizeof *d);
    if (!d) {
        err_set(e, ENOMEM, "out of memory for interrupt controllers; start fewer guests");
        return NULL;
    }
    const struct ioapic_env ioapic = {.send = from_ioapic, .opaque = d};

    pthread_mutex_init(&d->lock, NULL);
    d->env = *env;
    d->vcpus = vcpus;
    if (d->env.phys_bits < MIN_PHYS_BITS || d->env.phys_bits > MAX_PHYS_BITS)
        d->env.phys_bits = DEFAULT_PHYS_BITS;
    d->pic = i8259_new(e);
    d->ioapic = ioapic_new(&ioapic, e);
    if (!d->pic || !d->ioapic || lapics_new(d, e) < 0) {
        irqchip_free(d);
        return NULL;
    }
    regions_init(d);
    return d;
}

void irqchip_stats_get(struct irqchip_dev *d, struct irqchip_stats *out)
{
    chip_enter(d);
    *out = d->stats;
    chip_leave(d);
}
