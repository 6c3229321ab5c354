/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * PICs, IOAPIC and four local APICs wired together, seen from the engine's side (irqchip_ops),
 * from the bus and from the devices. The scenarios are those of kernels.
 */
#include "chip_rig.h"
#include "devices/i8254.h"
#include "devices/irqchip.h"

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>

enum { CPUS = 4, PIC_M = 0x20, PIC_S = 0xa0, ELCR = 0x4d0 };
enum {
    TPR = 0x80,
    EOI = 0xb0,
    LDR = 0xd0,
    SVR = 0xf0,
    TMR = 0x180,
    IRR = 0x200,
    ICR = 0x300,
    ICR2 = 0x310,
    LVT_TIMER = 0x320,
    LVT_LINT0 = 0x350,
    LVT_LINT1 = 0x360,
    INITIAL = 0x380,
    DIVIDE = 0x3e0,
};
enum { LOGICAL = 0x800, LEVEL = 0x8000, MASKED = 0x10000, LOWEST = 0x100, EXTINT = 0x700 };

#define IOAPIC_PAGE 0xfec00000ull

struct chip_rig {
    struct rig r;
    struct irqchip_dev *d;
    struct irqchip chip;
    unsigned events[4][CPUS]; /* by enum cpu_event */
    uint8_t sipi[CPUS];
};

static void note_event(void *opaque, unsigned cpu, enum cpu_event ev, uint8_t vector)
{
    struct chip_rig *t = opaque;

    assert_in_range(cpu, 0, CPUS - 1);
    t->events[ev][cpu]++;
    if (ev == CPU_EVENT_SIPI)
        t->sipi[cpu] = vector;
}

static uint64_t tsc_to_ns(void *opaque, unsigned cpu, uint64_t tsc)
{
    (void)opaque, (void)cpu;
    return tsc;
}

static uint64_t tsc_now(void *opaque, unsigned cpu)
{
    (void)cpu;
    return vclock_now_ns(((struct chip_rig *)opaque)->r.clock);
}

static void add(struct chip_rig *t, uint64_t base, uint64_t len, const struct bus_ops *ops,
                enum irqchip_place where)
{
    struct err e = {0};

    assert_non_null(
        bus_add(t->r.bus, "irqchip", base, len, ops, irqchip_region(t->d, where), NULL, &e));
}

static uint32_t lrd(struct chip_rig *t, unsigned cpu, uint32_t reg)
{
    return t->chip.ops->mmio_read(t->chip.chip, cpu, reg);
}

static void lwr(struct chip_rig *t, unsigned cpu, uint32_t reg, uint32_t val)
{
    t->chip.ops->mmio_write(t->chip.chip, cpu, reg, val);
}

static bool pending(struct chip_rig *t, unsigned cpu)
{
    return t->chip.ops->pending(t->chip.chip, cpu);
}

static int ack(struct chip_rig *t, unsigned cpu)
{
    return t->chip.ops->ack(t->chip.chip, cpu);
}

static uint32_t io_rd(struct chip_rig *t, unsigned reg)
{
    outl(&t->r, IOAPIC_PAGE, reg);
    return inl(&t->r, IOAPIC_PAGE + 0x10);
}

static void io_entry(struct chip_rig *t, unsigned pin, uint32_t low, uint8_t dest)
{
    outl(&t->r, IOAPIC_PAGE, 0x11 + 2 * pin);
    outl(&t->r, IOAPIC_PAGE + 0x10, (uint32_t)dest << 24);
    outl(&t->r, IOAPIC_PAGE, 0x10 + 2 * pin);
    outl(&t->r, IOAPIC_PAGE + 0x10, low);
}

static void pic_init(struct chip_rig *t, uint8_t icw4)
{
    static const uint8_t base[2] = {0x20, 0x28}, cascade[2] = {4, 2};

    for (unsigned i = 0; i < 2; i++) {
        uint64_t port = i ? PIC_S : PIC_M;

        outb(&t->r, port, 0x11);
        outb(&t->r, port + 1, base[i]);
        outb(&t->r, port + 1, cascade[i]);
        outb(&t->r, port + 1, icw4);
        outb(&t->r, port + 1, 0);
    }
}

static int setup_power_up(void **state)
{
    struct chip_rig *t = calloc(1, sizeof *t);
    struct err e = {0};

    rig_init(&t->r);
    const struct irqchip_env env = {.clock = t->r.clock,
                                    .phys_bits = 40,
                                    .opaque = t,
                                    .cpu_event = note_event,
                                    .tsc_to_ns = tsc_to_ns,
                                    .tsc_now = tsc_now};
    t->d = irqchip_new(CPUS, &env, &e);
    assert_non_null(t->d);
    t->chip = irqchip_get(t->d);
    add(t, PIC_M, 2, &irqchip_pic_ops, IRQCHIP_MASTER);
    add(t, PIC_S, 2, &irqchip_pic_ops, IRQCHIP_SLAVE);
    add(t, ELCR, 2, &irqchip_pic_ops, IRQCHIP_ELCR);
    add(t, IOAPIC_PAGE, 4096, &irqchip_ioapic_ops, IRQCHIP_IOAPIC);
    *state = t;
    return 0;
}

static int setup(void **state) /* local APICs enabled, flat logical IDs, virtual wire closed */
{
    struct chip_rig *t;

    setup_power_up(state);
    t = *state;
    for (unsigned cpu = 0; cpu < CPUS; cpu++) {
        lwr(t, cpu, SVR, 0x1ff);
        lwr(t, cpu, LDR, 1u << (24 + cpu));
        lwr(t, cpu, LVT_LINT0, MASKED | EXTINT);
        lwr(t, cpu, LVT_LINT1, 0x400);
    }
    return 0;
}

static int teardown(void **state)
{
    struct chip_rig *t = *state;

    irqchip_free(t->d);
    rig_fini(&t->r);
    free(t);
    return 0;
}

/* A rising edge; the line stays high. */
static void pulse(struct chip_rig *t, unsigned gsi)
{
    irqchip_set_line(t->d, gsi, 0);
    irqchip_set_line(t->d, gsi, 1);
}

static uint64_t takers(struct chip_rig *t, int vector)
{
    uint64_t set = 0;

    for (unsigned cpu = 0; cpu < CPUS; cpu++) {
        if (ack(t, cpu) != vector)
            continue;
        lwr(t, cpu, EOI, 0);
        set |= 1u << cpu;
    }
    return set;
}

/* ---- PICs */

static void a_pic_kernel_gets_interrupts_through_the_virtual_wire(void **state)
{
    struct chip_rig *t = *state;

    pic_init(t, 1);
    pulse(t, 4);
    assert_true(pending(t, 0));
    assert_int_equal(t->events[CPU_EVENT_INTR][0], 1);
    for (unsigned cpu = 1; cpu < CPUS; cpu++)
        assert_false(pending(t, cpu));
    assert_int_equal(ack(t, 0), 0x24);
    assert_false(pending(t, 0));
    outb(&t->r, PIC_M, 0x20);
    assert_int_equal(ack(t, 0), -1);
    pulse(t, 12);
    assert_int_equal(ack(t, 0), 0x2c);
}

static void masking_lint0_closes_the_virtual_wire(void **state)
{
    struct chip_rig *t = *state;

    pic_init(t, 1);
    pulse(t, 4);
    assert_true(pending(t, 0));
    lwr(t, 0, LVT_LINT0, MASKED | EXTINT);
    assert_false(pending(t, 0));
    assert_int_equal(ack(t, 0), -1);
    lwr(t, 0, SVR, 0x1ff);
    lwr(t, 0, LVT_LINT0, EXTINT);
    assert_true(pending(t, 0));
    assert_int_equal(t->events[CPU_EVENT_INTR][0], 2);
}

static void a_pic_request_that_is_gone_is_not_delivered(void **state)
{
    struct chip_rig *t = *state;

    pic_init(t, 1);
    outb(&t->r, ELCR, 0x20);
    irqchip_set_line(t->d, 5, 1);
    assert_true(pending(t, 0));
    irqchip_set_line(t->d, 5, 0);
    assert_false(pending(t, 0));
    assert_int_equal(ack(t, 0), -1);
}

static void the_task_priority_does_not_hold_back_the_pics(void **state)
{
    struct chip_rig *t = *state;

    pic_init(t, 1);
    t->chip.ops->cr8_set(t->chip.chip, 0, 15);
    pulse(t, 1);
    assert_int_equal(ack(t, 0), 0x21);
}

static void a_cpu_whose_apic_is_off_takes_pic_interrupts(void **state)
{
    struct chip_rig *t = *state;

    pic_init(t, 1);
    assert_true(t->chip.ops->wrmsr(t->chip.chip, 0, 0x1b, 0xfee00000));
    pulse(t, 4);
    assert_int_equal(ack(t, 0), 0x24);
}

static void the_pics_reach_a_cpu_through_ioapic_pin_0(void **state)
{
    struct chip_rig *t = *state;

    pic_init(t, 1);
    io_entry(t, 0, EXTINT, 2);
    pulse(t, 4);
    pulse(t, 6);
    assert_true(pending(t, 2));
    assert_false(pending(t, 0));
    assert_int_equal(ack(t, 2), 0x24);
    outb(&t->r, PIC_M, 0x20);
    assert_int_equal(ack(t, 2), 0x26);
    outb(&t->r, PIC_M, 0x20);
    assert_int_equal(ack(t, 2), -1);
}

static void the_timer_works_through_lint0_as_a_fixed_vector(void **state)
{
    struct chip_rig *t = *state;

    /* Linux' "virtual wire IRQ": PIC in auto-EOI mode, LINT0 fixed */
    pic_init(t, 3);
    lwr(t, 0, LVT_LINT0, 0x30);
    for (unsigned i = 0; i < 3; i++) {
        pulse(t, 0);
        assert_int_equal(ack(t, 0), 0x30);
        lwr(t, 0, EOI, 0);
    }
}

/* ---- IOAPIC and MSI */

static void isa_interrupts_reach_pic_and_ioapic(void **state)
{
    struct chip_rig *t = *state;

    pic_init(t, 1);
    io_entry(t, 4, 0x44, 1);
    irqchip_set_line(t->d, 4, 1);
    assert_int_equal(ack(t, 1), 0x44);
    outb(&t->r, PIC_M, 0x0a);
    assert_int_equal(inb(&t->r, PIC_M), 0x10);
}

static void irq_0_is_at_pin_2(void **state)
{
    struct chip_rig *t = *state;

    io_entry(t, 2, 0x30, 0);
    io_entry(t, 0, 0x31, 0);
    pulse(t, 0);
    assert_int_equal(ack(t, 0), 0x30);
    lwr(t, 0, EOI, 0);
    pulse(t, 2); /* there is no IRQ 2 */
    assert_int_equal(ack(t, 0), -1);
}

static void inputs_above_15_are_the_ioapics_alone(void **state)
{
    struct chip_rig *t = *state;
    struct irq_wire w = irqchip_wire(t->d, 17);

    pic_init(t, 1);
    io_entry(t, 17, LEVEL | 0x61, 3);
    irq_set(&w, 1);
    assert_true(pending(t, 3));
    irqchip_set_line(t->d, 24, 1);
    irqchip_set_line(t->d, 1000, 1);
    assert_int_equal(ack(t, 3), 0x61);
}

static void a_level_interrupt_repeats_until_the_device_is_served(void **state)
{
    struct chip_rig *t = *state;

    io_entry(t, 16, LEVEL | 0x77, 0);
    irqchip_set_line(t->d, 16, 1);
    assert_int_equal(ack(t, 0), 0x77);
    assert_int_equal(lrd(t, 0, TMR + 0x77 / 32 * 16) >> 0x77 % 32 & 1, 1);
    assert_int_equal(ack(t, 0), -1);
    lwr(t, 0, EOI, 0);
    assert_int_equal(ack(t, 0), 0x77);
    irqchip_set_line(t->d, 16, 0);
    lwr(t, 0, EOI, 0);
    assert_int_equal(ack(t, 0), -1);
    assert_int_equal(io_rd(t, 0x10 + 2 * 16) & 0x4000, 0);
}

static void a_handler_may_move_its_own_interrupt(void **state)
{
    struct chip_rig *t = *state;

    io_entry(t, 14, LEVEL | 0x84, 0);
    irqchip_set_line(t->d, 14, 1);
    assert_int_equal(ack(t, 0), 0x84);
    irqchip_set_line(t->d, 14, 0);
    outl(&t->r, IOAPIC_PAGE, 0x11 + 2 * 14);
    outl(&t->r, IOAPIC_PAGE + 0x10, 1 << 24);
    lwr(t, 0, EOI, 0);
    assert_int_equal(io_rd(t, 0x10 + 2 * 14), LEVEL | 0x84);
    irqchip_set_line(t->d, 14, 1);
    assert_int_equal(ack(t, 1), 0x84);
}

static void a_logical_destination_reaches_each_of_its_cpus(void **state)
{
    struct chip_rig *t = *state;

    io_entry(t, 14, LOGICAL | 0x86, 0x0d);
    pulse(t, 14);
    assert_int_equal(takers(t, 0x86), 0x0d);
    io_entry(t, 14, 0x86, 0xff); /* physical broadcast */
    pulse(t, 14);
    assert_int_equal(takers(t, 0x86), 0x0f);
}

static void lowest_priority_takes_the_least_busy_in_turn(void **state)
{
    struct chip_rig *t = *state;
    uint64_t seen = 0;

    io_entry(t, 14, LOGICAL | LOWEST | 0x86, 0x0f);
    for (unsigned i = 0; i < CPUS; i++) {
        pulse(t, 14);
        seen |= takers(t, 0x86);
    }
    assert_int_equal(seen, 0x0f); /* equals take turns */
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        lwr(t, cpu, TPR, cpu == 2 ? 0x10 : 0x20);
    for (unsigned i = 0; i < CPUS; i++) {
        pulse(t, 14);
        assert_int_equal(takers(t, 0x86), 1 << 2);
    }
    lwr(t, 2, SVR, 0xff); /* a disabled one takes nothing */
    pulse(t, 14);
    assert_int_equal(takers(t, 0x86) & 1 << 2, 0);
}

static void an_msi_is_delivered(void **state)
{
    struct chip_rig *t = *state;
    struct msi_sink s = irqchip_msi_sink(t->d);
    struct irqchip_stats stats;

    msi_send(&s, 0xfee02000, 0x4151);
    assert_int_equal(ack(t, 2), 0x51);
    lwr(t, 2, EOI, 0);
    msi_send(&s, 0xfee0c004, 0x0052); /* logical: CPUs 2 and 3 */
    assert_int_equal(takers(t, 0x52), 0x0c);
    msi_send(&s, 0xfee63000, 0x0053); /* nobody */
    msi_send(&s, 0x12345678, 0x0054);
    irqchip_stats_get(t->d, &stats);
    assert_int_equal(stats.msis, 4);
    assert_int_equal(stats.nowhere, 2);
    assert_int_equal(stats.delivered, 3);
}

/* ---- between CPUs */

static void ipis_reach_their_destinations(void **state)
{
    static const struct { uint32_t dest, icr; uint64_t takers; } row[] = {
        {2, 0x41, 0x4}, {0xff, 0x41, 0xf}, {0x0a, LOGICAL | 0x41, 0xa}, {0, 0x40041, 0x2},
        {0, 0x80041, 0xf}, {0, 0xc0041, 0xd}, {9, 0x41, 0},
    };
    struct chip_rig *t = *state;

    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        lwr(t, 1, ICR2, row[i].dest << 24);
        lwr(t, 1, ICR, row[i].icr);
        assert_int_equal(takers(t, 0x41), row[i].takers);
    }
}

static void an_ipi_tells_the_target_once(void **state)
{
    struct chip_rig *t = *state;

    memset(t->events, 0, sizeof t->events);
    lwr(t, 0, ICR2, 3 << 24);
    lwr(t, 0, ICR, 0x41);
    lwr(t, 0, ICR, 0x51);
    assert_int_equal(t->events[CPU_EVENT_INTR][3], 1); /* still pending: it knows */
    assert_int_equal(ack(t, 3), 0x51);
    assert_false(pending(t, 3)); /* 41 waits for the end of 51 */
    lwr(t, 3, EOI, 0);
    assert_true(pending(t, 3));
    assert_int_equal(t->events[CPU_EVENT_INTR][3], 2);
}

static void a_kernel_starts_its_other_cpus(void **state)
{
    struct chip_rig *t = *state;

    lwr(t, 0, ICR2, 1 << 24);
    lwr(t, 0, ICR, 0xc500); /* INIT assert */
    lwr(t, 0, ICR, 0x8500); /* de-assert */
    assert_int_equal(t->events[CPU_EVENT_INIT][1], 1);
    t->chip.ops->init(t->chip.chip, 1);
    assert_int_equal(lrd(t, 1, SVR), 0xff);
    lwr(t, 0, ICR, 0x4699);
    lwr(t, 0, ICR, 0x4699);
    assert_int_equal(t->events[CPU_EVENT_SIPI][1], 2);
    assert_int_equal(t->sipi[1], 0x99);
    lwr(t, 0, ICR, 0xc4400); /* NMI to all others */
    assert_int_equal(t->events[CPU_EVENT_NMI][0], 0);
    for (unsigned cpu = 1; cpu < CPUS; cpu++)
        assert_int_equal(t->events[CPU_EVENT_NMI][cpu], 1);
}

static void x2apic_and_xapic_cpus_hear_each_other(void **state)
{
    struct chip_rig *t = *state;

    assert_true(t->chip.ops->wrmsr(t->chip.chip, 2, 0x1b, 0xfee00c00));
    assert_true(t->chip.ops->wrmsr(t->chip.chip, 2, 0x80f, 0x1ff));
    assert_true(t->chip.ops->wrmsr(t->chip.chip, 2, 0x830, 0x0000000100000041));
    assert_int_equal(ack(t, 1), 0x41);
    lwr(t, 1, ICR2, 2 << 24);
    lwr(t, 1, ICR, 0x51);
    assert_int_equal(ack(t, 2), 0x51);
    assert_true(t->chip.ops->wrmsr(t->chip.chip, 2, 0x80b, 0));
    assert_true(t->chip.ops->wrmsr(t->chip.chip, 2, 0x830, 0xffffffff00000061));
    assert_true(t->chip.ops->wrmsr(t->chip.chip, 2, 0x83f, 0x62));
    assert_int_equal(ack(t, 0), 0x61);
    assert_int_equal(ack(t, 3), 0x61);
    assert_int_equal(ack(t, 2), 0x62);
}

/* ---- pending and events */

static void raising_and_lowering_the_task_priority_moves_pending(void **state)
{
    struct chip_rig *t = *state;

    t->chip.ops->cr8_set(t->chip.chip, 0, 5);
    lwr(t, 0, ICR, 0x40000 | 0x55);
    assert_false(pending(t, 0));
    assert_int_equal(ack(t, 0), -1);
    t->chip.ops->cr8_set(t->chip.chip, 0, 4);
    assert_int_equal(t->chip.ops->cr8_get(t->chip.chip, 0), 4);
    assert_true(pending(t, 0));
    assert_int_equal(t->events[CPU_EVENT_INTR][0], 1);
    lwr(t, 0, TPR, 0xff);
    assert_false(pending(t, 0));
}

static void each_cpu_has_its_own_timer(void **state)
{
    struct chip_rig *t = *state;

    for (unsigned cpu = 0; cpu < CPUS; cpu++) {
        lwr(t, cpu, DIVIDE, 0xb);
        lwr(t, cpu, LVT_TIMER, 0xe0);
        lwr(t, cpu, INITIAL, (cpu + 1) * 1000000);
    }
    for (unsigned cpu = 0; cpu < CPUS; cpu++) {
        vclock_step(t->r.clock, NS_PER_MS);
        for (unsigned other = 0; other < CPUS; other++)
            assert_int_equal(pending(t, other), other == cpu);
        assert_int_equal(ack(t, cpu), 0xe0);
    }
}

static void a_deadline_already_passed_is_pending_at_once(void **state)
{
    struct chip_rig *t = *state;

    vclock_step(t->r.clock, NS_PER_MS);
    lwr(t, 0, LVT_TIMER, 2 << 17 | 0xef);
    assert_true(t->chip.ops->wrmsr(t->chip.chip, 0, 0x6e0, NS_PER_MS));
    assert_true(pending(t, 0));
    assert_int_equal(ack(t, 0), 0xef);
}

static void an_nmi_button_reaches_cpus_with_lint1_open(void **state)
{
    struct chip_rig *t = *state;

    lwr(t, 2, LVT_LINT1, MASKED | 0x400);
    irqchip_nmi(t->d);
    assert_int_equal(t->events[CPU_EVENT_NMI][0], 1);
    assert_int_equal(t->events[CPU_EVENT_NMI][2], 0);
    irqchip_nmi(t->d);
    assert_int_equal(t->events[CPU_EVENT_NMI][3], 2);
}

static void cpus_that_do_not_exist_get_nothing(void **state)
{
    struct chip_rig *t = *state;
    uint64_t val;

    assert_false(pending(t, CPUS));
    assert_int_equal(ack(t, 1000), -1);
    assert_int_equal(lrd(t, CPUS, SVR), 0xffffffff);
    lwr(t, CPUS, SVR, 0);
    assert_false(t->chip.ops->rdmsr(t->chip.chip, CPUS, 0x1b, &val));
    assert_false(t->chip.ops->wrmsr(t->chip.chip, CPUS, 0x1b, 0));
    t->chip.ops->cr8_set(t->chip.chip, CPUS, 1);
    t->chip.ops->init(t->chip.chip, CPUS);
    assert_int_equal(t->chip.ops->cr8_get(t->chip.chip, CPUS), 0);
}

static void a_machine_has_1_to_64_cpus(void **state)
{
    struct chip_rig *t = *state;
    const struct irqchip_env env = {.clock = t->r.clock, .opaque = t, .cpu_event = note_event,
                                    .tsc_to_ns = tsc_to_ns, .tsc_now = tsc_now};
    struct irqchip_dev *d;
    struct err e = {0};

    assert_null(irqchip_new(0, &env, &e));
    assert_int_equal(e.code, EINVAL);
    assert_null(irqchip_new(65, &env, &e));
    d = irqchip_new(64, &env, &e);
    assert_non_null(d);
    irqchip_msi(d, 0xfeeff000, 0x41);
    irqchip_free(d);
    irqchip_free(NULL);
}

static void reset_brings_everything_back(void **state)
{
    struct chip_rig *t = *state;

    pic_init(t, 1);
    io_entry(t, 4, 0x44, 0);
    irqchip_set_line(t->d, 4, 1);
    assert_true(pending(t, 0));
    irqchip_reset(t->d);
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        assert_false(pending(t, cpu));
    assert_int_equal(io_rd(t, 0x10 + 8), MASKED);
    assert_int_equal(lrd(t, 0, LVT_LINT0), EXTINT);
    assert_int_equal(inb(&t->r, PIC_M + 1), 0xff);
}

static void a_pit_drives_the_timer_interrupt(void **state)
{
    struct chip_rig *t = *state;
    struct irq_wire w = irqchip_wire(t->d, 0);
    struct err e = {0};
    struct i8254 *pit = i8254_new(&w, t->r.clock, &e);
    unsigned ticks = 0;

    assert_non_null(pit);
    assert_non_null(bus_add(t->r.bus, "pit", 0x40, 4, &i8254_ops, pit, i8254_lock(pit), &e));
    io_entry(t, 2, 0x30, 0);
    outb(&t->r, 0x43, 0x34);
    outb(&t->r, 0x40, 0xa9); /* 1193: 1 ms */
    outb(&t->r, 0x40, 0x04);
    assert_int_equal(ack(t, 0), 0x30); /* the output rose with the mode */
    lwr(t, 0, EOI, 0);
    for (unsigned i = 0; i < 100; i++) {
        vclock_step(t->r.clock, NS_PER_MS);
        while (ack(t, 0) == 0x30) {
            lwr(t, 0, EOI, 0);
            ticks++;
        }
    }
    assert_in_range(ticks, 99, 100);
    i8254_free(pit);
}

/* ---- many threads */

enum { ROUNDS = 20000 };

struct storm {
    struct chip_rig *t;
    unsigned cpu;
    unsigned taken;
};

static void *storm_run(void *arg)
{
    struct storm *s = arg;

    for (unsigned i = 0; i < ROUNDS; i++) {
        lwr(s->t, s->cpu, ICR2, (s->cpu + 1) % CPUS << 24);
        lwr(s->t, s->cpu, ICR, 0x40 + i % 0x80);
        pulse(s->t, 4 + s->cpu);
        while (pending(s->t, s->cpu) && ack(s->t, s->cpu) >= 0) {
            lwr(s->t, s->cpu, EOI, 0);
            s->taken++;
        }
    }
    return NULL;
}

static void ignore_event(void *opaque, unsigned cpu, enum cpu_event ev, uint8_t vector)
{
    (void)opaque, (void)cpu, (void)ev, (void)vector;
}

static void many_threads_lose_no_interrupt_for_ever(void **state)
{
    struct chip_rig *t = *state;
    const struct irqchip_env env = {.clock = t->r.clock, .opaque = t, .cpu_event = ignore_event,
                                    .tsc_to_ns = tsc_to_ns, .tsc_now = tsc_now};
    struct storm storm[CPUS];
    pthread_t thread[CPUS];
    struct irqchip_stats stats;
    struct irqchip_dev *old = t->d;
    struct err e = {0};
    unsigned taken = 0;

    t->d = irqchip_new(CPUS, &env, &e);
    t->chip = irqchip_get(t->d);
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        lwr(t, cpu, SVR, 0x1ff);
    for (unsigned cpu = 0; cpu < CPUS; cpu++) {
        storm[cpu] = (struct storm){.t = t, .cpu = cpu};
        assert_int_equal(pthread_create(&thread[cpu], NULL, storm_run, &storm[cpu]), 0);
    }
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        pthread_join(thread[cpu], NULL);
    for (unsigned cpu = 0; cpu < CPUS; cpu++) {
        taken += storm[cpu].taken;
        while (ack(t, cpu) >= 0) {
            lwr(t, cpu, EOI, 0);
            taken++;
        }
        assert_false(pending(t, cpu));
    }
    irqchip_stats_get(t->d, &stats);
    assert_int_equal(stats.ipis, CPUS * ROUNDS);
    assert_int_equal(stats.delivered, taken);
    irqchip_free(old);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TUP(f) cmocka_unit_test_setup_teardown(f, setup_power_up, teardown)
    const struct CMUnitTest tests[] = {
        TUP(a_pic_kernel_gets_interrupts_through_the_virtual_wire),
        TUP(masking_lint0_closes_the_virtual_wire),
        TUP(a_pic_request_that_is_gone_is_not_delivered),
        TUP(the_task_priority_does_not_hold_back_the_pics),
        T(a_cpu_whose_apic_is_off_takes_pic_interrupts),
        T(the_pics_reach_a_cpu_through_ioapic_pin_0),
        T(the_timer_works_through_lint0_as_a_fixed_vector),
        T(isa_interrupts_reach_pic_and_ioapic),
        T(irq_0_is_at_pin_2),
        T(inputs_above_15_are_the_ioapics_alone),
        T(a_level_interrupt_repeats_until_the_device_is_served),
        T(a_handler_may_move_its_own_interrupt),
        T(a_logical_destination_reaches_each_of_its_cpus),
        T(lowest_priority_takes_the_least_busy_in_turn),
        T(an_msi_is_delivered),
        T(ipis_reach_their_destinations),
        T(an_ipi_tells_the_target_once),
        T(a_kernel_starts_its_other_cpus),
        T(x2apic_and_xapic_cpus_hear_each_other),
        T(raising_and_lowering_the_task_priority_moves_pending),
        T(each_cpu_has_its_own_timer),
        T(a_deadline_already_passed_is_pending_at_once),
        T(an_nmi_button_reaches_cpus_with_lint1_open),
        T(cpus_that_do_not_exist_get_nothing),
        T(a_machine_has_1_to_64_cpus),
        T(reset_brings_everything_back),
        T(a_pit_drives_the_timer_interrupt),
        T(many_threads_lose_no_interrupt_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
