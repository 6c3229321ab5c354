/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A byte stream as a hostile guest of the classic chips: port and memory accesses of all widths,
 * local APIC registers and MSRs of three CPUs, steps of the clock, typed bytes, lines and MSIs,
 * resets. Besides the sanitizers, what must always hold is checked.
 */
#include "chip_machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CPUS = 3, OPS_MAX = 4000, RECEIVE_MAX = 5000 };

/* A frantic timer fires 10,000 times a second of guest time: so much is enough for one input. */
#define STEP_BUDGET_NS (NS_PER_S / 2)

struct machine {
    struct chips c;
    uint64_t host_jump_ns, stepped_ns;
    uint64_t sent, rooms, powers;
};

struct input {
    const uint8_t *p;
    size_t left;
};

static void must(bool claim)
{
    if (!claim)
        abort();
}

static uint64_t take(struct input *in_, unsigned bytes)
{
    uint64_t val = 0;

    for (unsigned i = 0; i < bytes && in_->left; i++, in_->left--)
        val |= (uint64_t)*in_->p++ << 8 * i;
    return val;
}

static void ignore_event(void *opaque, unsigned cpu, enum cpu_event ev, uint8_t vector)
{
    (void)opaque, (void)vector;
    must(cpu < CPUS && ev <= CPU_EVENT_SIPI);
}

static uint64_t tsc_to_ns(void *opaque, unsigned cpu, uint64_t tsc)
{
    (void)opaque, (void)cpu;
    return tsc / 3;
}

static uint64_t tsc_now(void *opaque, unsigned cpu)
{
    (void)cpu;
    return vclock_now_ns(((struct machine *)opaque)->c.clock) * 3;
}

static uint64_t host_time(void *opaque)
{
    struct machine *m = opaque;

    return 1700000000 * NS_PER_S + m->host_jump_ns + vclock_now_ns(m->c.clock);
}

static void count_out(void *opaque, const void *buf, size_t len)
{
    (void)buf;
    ((struct machine *)opaque)->sent += len;
}

static void count_room(void *opaque)
{
    ((struct machine *)opaque)->rooms++;
}

static void count_power(void *opaque, enum board_power what, unsigned code)
{
    (void)what, (void)code;
    ((struct machine *)opaque)->powers++;
}

static void machine_new(struct machine *m)
{
    const struct chips_host host = {.cpus = CPUS,
                                    .opaque = m,
                                    .cpu_event = ignore_event,
                                    .tsc_to_ns = tsc_to_ns,
                                    .tsc_now = tsc_now,
                                    .real_ns = host_time,
                                    .out = count_out,
                                    .room = count_room,
                                    .power = count_power};

    memset(m, 0, sizeof *m);
    must(chips_new(&m->c, vclock_new_manual(), &host));
}

static void machine_free(struct machine *m)
{
    chips_free(&m->c);
    vclock_free(m->c.clock);
}

/* Where something answers, mostly: a random port would rarely hit. */
static uint64_t some_port(struct input *in_)
{
    static const uint16_t base[16] = {0x20, 0x40, 0x60, 0x64, 0x70, 0x80, 0x92, 0xa0,
                                      0xe9, 0xf4, 0x3f8, 0x4d0, 0x600, 0x608, 0x61, 0xcf8};
    uint8_t where = (uint8_t)take(in_, 1);

    return base[where >> 4] + (where & 15u);
}

static void access_bus(struct bus *b, uint64_t addr, unsigned size, bool write, struct input *in_)
{
    uint64_t val = 0;

    if (write) {
        bus_write(b, addr, size, take(in_, size));
    } else {
        bus_read(b, addr, size, &val);
        must(size == 8 || val >> 8 * size == 0);
    }
}

static void access_lapic(struct machine *m, uint8_t how, struct input *in_)
{
    unsigned cpu = (how >> 2) % (CPUS + 1);
    uint32_t off = (uint32_t)take(in_, 1) << 4;

    if (how & 0x80)
        off += (uint32_t)take(in_, 1) << 4 | (how & 15);
    if (how & 1)
        m->c.chip.ops->mmio_write(m->c.chip.chip, cpu, off, (uint32_t)take(in_, 4));
    else
        m->c.chip.ops->mmio_read(m->c.chip.chip, cpu, off);
}

static void access_msr(struct machine *m, uint8_t how, struct input *in_)
{
    static const uint32_t msrs[4] = {0x1b, 0x6e0, 0x800, 0x830};
    unsigned cpu = (how >> 1 & 3) % (CPUS + 1);
    uint32_t msr = msrs[how >> 3 & 3];
    uint64_t val = 0;

    if (msr >= 0x800)
        msr = 0x800 + (uint32_t)take(in_, 1);
    if (how & 1)
        m->c.chip.ops->wrmsr(m->c.chip.chip, cpu, msr, take(in_, how & 0x20 ? 8 : 4));
    else
        m->c.chip.ops->rdmsr(m->c.chip.chip, cpu, msr, &val);
}

/* A vCPU: takes what is there. `pending` and `ack` must agree. */
static void take_interrupt(struct machine *m, uint8_t how)
{
    unsigned cpu = how % CPUS;
    bool pending = m->c.chip.ops->pending(m->c.chip.chip, cpu);
    int vector = m->c.chip.ops->ack(m->c.chip.chip, cpu);

    must(pending == (vector >= 0));
    must(vector < 256);
    if (how & 0x80)
        m->c.chip.ops->mmio_write(m->c.chip.chip, cpu, 0xb0, 0);
}

static void step(struct machine *m, struct input *in_)
{
    uint64_t ns = take(in_, 2) << (take(in_, 1) & 15);

    if (ns > STEP_BUDGET_NS - m->stepped_ns)
        ns = STEP_BUDGET_NS - m->stepped_ns;
    m->stepped_ns += ns;
    vclock_step(m->c.clock, ns);
    must(vclock_next_ns(m->c.clock) > 0); /* what was due has fired */
}

static void type(struct machine *m, struct input *in_)
{
    static const char text[RECEIVE_MAX];
    size_t len = take(in_, 2) % RECEIVE_MAX;

    must(ns16550_receive(m->c.uart, text, len) <= len);
}

static void from_outside(struct machine *m, uint8_t how, struct input *in_)
{
    switch (how & 7) {
    case 0:
        type(m, in_);
        break;
    case 1:
        ns16550_break(m->c.uart);
        break;
    case 2:
        acpi_pm_power_button(m->c.pm);
        break;
    case 3:
        irqchip_set_line(m->c.d, how >> 3, (int)take(in_, 1) & 1);
        break;
    case 4:
        irqchip_msi(m->c.d, 0xfee00000 | take(in_, 2) << 2, (uint32_t)take(in_, 2));
        break;
    case 5:
        irqchip_nmi(m->c.d);
        m->c.chip.ops->init(m->c.chip.chip, (how >> 3) % (CPUS + 1));
        break;
    case 6:
        m->c.chip.ops->cr8_set(m->c.chip.chip, (how >> 3) % (CPUS + 1), (uint8_t)take(in_, 1));
        break;
    default:
        if (how >> 3 == 0)
            chips_reset(&m->c);
        else
            m->host_jump_ns += take(in_, 3) * NS_PER_S;
        break;
    }
}

static void pio_write(struct machine *m, uint64_t port, uint8_t val)
{
    bus_write(m->c.pio, port, 1, val);
}

static void lapic_write(struct machine *m, unsigned cpu, uint32_t off, uint32_t val)
{
    m->c.chip.ops->mmio_write(m->c.chip.chip, cpu, off, val);
}

/* What a kernel does first, and random bytes rarely: each bit of `how` starts a part. */
static void prepare(struct machine *m, uint8_t how)
{
    static const uint8_t icw[] = {0x11, 0x20, 0x04, 0x01, 0x00};

    for (unsigned cpu = 0; cpu < CPUS && (how & 1); cpu++) {
        lapic_write(m, cpu, 0xf0, 0x1ff);
        lapic_write(m, cpu, 0xd0, 1u << (24 + cpu));
        lapic_write(m, cpu, 0x320, 0x40 | (cpu << 17));
        lapic_write(m, cpu, 0x3e0, 0xb);
    }
    if (how & 2)
        m->c.chip.ops->wrmsr(m->c.chip.chip, 2, 0x1b, 0xfee00c00);
    for (unsigned i = 0; i < sizeof icw && (how & 4); i++) {
        pio_write(m, 0x20 + (i > 0), icw[i]);
        pio_write(m, 0xa0 + (i > 0), i == 1 ? 0x28 : i == 2 ? 2 : icw[i]);
    }
    for (unsigned pin = 0; pin < 24 && (how & 8); pin++) {
        bus_write(m->c.mmio, PC_IOAPIC, 4, 0x10 + 2 * pin);
        bus_write(m->c.mmio, PC_IOAPIC + 0x10, 4, (0x30 + pin) | (pin & 1 ? 0x8000 : 0));
    }
    if (how & 16) {
        pio_write(m, PC_COM1_PORT + 2, 0x81);
        pio_write(m, PC_COM1_PORT + 1, 0x0f);
    }
}

static void check(struct machine *m)
{
    struct ns16550_regs u;

    ns16550_regs_get(m->c.uart, &u);
    must(u.fifo_count <= NS16550_FIFO && u.fifo_first < NS16550_FIFO);
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        must(m->c.chip.ops->cr8_get(m->c.chip.chip, cpu) <= 15);
}

static void one_op(struct machine *m, struct input *in_)
{
    uint8_t op = (uint8_t)take(in_, 1), how = op >> 3;

    switch (op & 7) {
    case 0:
    case 1:
        access_bus(m->c.pio, some_port(in_), 1u << (how & 3), op & 1, in_);
        break;
    case 2:
        access_bus(m->c.mmio, PC_IOAPIC + (take(in_, 1) & 0x7f), 1u << (how & 3), how & 4, in_);
        break;
    case 3:
        access_lapic(m, (uint8_t)take(in_, 1), in_);
        break;
    case 4:
        access_msr(m, (uint8_t)take(in_, 1), in_);
        break;
    case 5:
        step(m, in_);
        break;
    case 6:
        take_interrupt(m, (uint8_t)take(in_, 1));
        break;
    default:
        from_outside(m, (uint8_t)take(in_, 1), in_);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in_ = {data, size};
    static struct machine m; /* large; built anew for each input */

    machine_new(&m);
    prepare(&m, (uint8_t)take(&in_, 1));
    for (unsigned i = 0; i < OPS_MAX && in_.left; i++)
        one_op(&m, &in_);
    check(&m);
    machine_free(&m);
    return 0;
}
