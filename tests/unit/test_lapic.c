/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One local APIC, its page on a bus, with what it sends written down. CPU 5 unless said.
 * Guest TSC: 2 GHz.
 */
#include "chip_rig.h"
#include "devices/lapic.h"

#include <cmocka.h>

enum {
    ID = 0x20, VERSION = 0x30, TPR = 0x80, APR = 0x90, PPR = 0xa0, EOI = 0xb0, LDR = 0xd0,
    DFR = 0xe0, SVR = 0xf0, ISR = 0x100, TMR = 0x180, IRR = 0x200, ESR = 0x280, ICR = 0x300,
    ICR2 = 0x310, LVT_TIMER = 0x320, LVT_THERMAL = 0x330, LVT_PERF = 0x340, LVT_LINT0 = 0x350,
    LVT_LINT1 = 0x360, LVT_ERROR = 0x370, INITIAL = 0x380, CURRENT = 0x390, DIVIDE = 0x3e0,
};
enum { MASKED = 1 << 16, PERIODIC = 1 << 17, DEADLINE = 2 << 17, DIVIDE_BY_1 = 0xb };
enum { APIC_BASE_MSR = 0x1b, DEADLINE_MSR = 0x6e0, X2 = 0x800 };
enum { BSP = 0x100, EXTD = 0x400, EN = 0x800, THIS_CPU = 5, TSC_PER_NS = 2 };

#define PAGE 0xfee00000ull

struct apic_rig {
    struct rig r;
    struct lapic *l;
    unsigned sent, eois, events, last_shorthand;
    struct apic_msg last;
    uint8_t last_eoi, last_event_vector;
    enum cpu_event last_event;
};

static void note_send(void *opaque, unsigned cpu, const struct apic_msg *m, unsigned shorthand)
{
    struct apic_rig *t = opaque;

    assert_in_range(cpu, 0, 63);
    t->sent++;
    t->last = *m;
    t->last_shorthand = shorthand;
    if (shorthand == LAPIC_TO_SELF)
        lapic_accept(t->l, m);
}

static void note_eoi(void *opaque, unsigned cpu, uint8_t vector)
{
    struct apic_rig *t = opaque;

    (void)cpu;
    t->eois++;
    t->last_eoi = vector;
}

static void note_event(void *opaque, unsigned cpu, enum cpu_event ev, uint8_t vector)
{
    struct apic_rig *t = opaque;

    (void)cpu;
    t->events++;
    t->last_event = ev;
    t->last_event_vector = vector;
}

static void timer_due(void *opaque, unsigned cpu)
{
    (void)cpu;
    lapic_timer_check(((struct apic_rig *)opaque)->l);
}

static uint64_t tsc_to_ns(void *opaque, unsigned cpu, uint64_t tsc)
{
    (void)opaque, (void)cpu;
    return tsc / TSC_PER_NS;
}

static uint64_t tsc_now(void *opaque, unsigned cpu)
{
    (void)cpu;
    return vclock_now_ns(((struct apic_rig *)opaque)->r.clock) * TSC_PER_NS;
}

static uint64_t page_read(void *dev, uint64_t off, unsigned size)
{
    (void)size;
    return lapic_mmio_read(((struct apic_rig *)dev)->l, (uint32_t)off);
}

static void page_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    (void)size;
    lapic_mmio_write(((struct apic_rig *)dev)->l, (uint32_t)off, (uint32_t)val);
}

static const struct bus_ops page_ops = {.read = page_read, .write = page_write, .widths = BUS_W4};

static uint32_t rd(struct apic_rig *t, uint32_t reg)
{
    return inl(&t->r, PAGE + reg);
}

static void wr(struct apic_rig *t, uint32_t reg, uint32_t val)
{
    outl(&t->r, PAGE + reg, val);
}

static uint64_t rdmsr(struct apic_rig *t, uint32_t msr)
{
    uint64_t val = 0;

    assert_true(lapic_rdmsr(t->l, msr, &val));
    return val;
}

static void wrmsr(struct apic_rig *t, uint32_t msr, uint64_t val)
{
    assert_true(lapic_wrmsr(t->l, msr, val));
}

static bool rdmsr_faults(struct apic_rig *t, uint32_t msr)
{
    uint64_t val;

    return !lapic_rdmsr(t->l, msr, &val);
}

static bool wrmsr_faults(struct apic_rig *t, uint32_t msr, uint64_t val)
{
    return !lapic_wrmsr(t->l, msr, val);
}

static struct apic_rig *rig_of_cpu(unsigned cpu)
{
    struct apic_rig *t = calloc(1, sizeof *t);
    const struct lapic_env env = {
        .phys_bits = 40, .opaque = t, .send = note_send, .eoi = note_eoi, .event = note_event,
        .timer_due = timer_due, .tsc_to_ns = tsc_to_ns, .tsc_now = tsc_now,
    };
    struct err e = {0};

    rig_init(&t->r);
    t->l = lapic_new(cpu, t->r.clock, &env, &e);
    assert_non_null(t->l);
    assert_non_null(bus_add(t->r.bus, "lapic", PAGE, LAPIC_PAGE_BYTES, &page_ops, t, NULL, &e));
    return t;
}

static int setup_off(void **state) /* as after power-up: not software enabled */
{
    *state = rig_of_cpu(THIS_CPU);
    return 0;
}

static int setup_bsp(void **state)
{
    *state = rig_of_cpu(0);
    return 0;
}

static int setup(void **state)
{
    setup_off(state);
    wr(*state, SVR, 0x1ff);
    return 0;
}

static int setup_x2(void **state)
{
    setup(state);
    wrmsr(*state, APIC_BASE_MSR, PAGE | EN | EXTD);
    return 0;
}

static int teardown(void **state)
{
    struct apic_rig *t = *state;

    lapic_free(t->l);
    rig_fini(&t->r);
    free(t);
    return 0;
}

static void fixed(struct apic_rig *t, uint8_t vector, bool level)
{
    const struct apic_msg m = {.dest = THIS_CPU, .vector = vector, .level = level};

    lapic_accept(t->l, &m);
}

static uint32_t word(struct apic_rig *t, uint32_t set, unsigned vector)
{
    return rd(t, set + vector / 32 * 16) >> vector % 32 & 1;
}

/* ---- registers */

static void reset_state_is_that_of_the_sdm(void **state)
{
    struct apic_rig *t = *state;

    assert_int_equal(rd(t, ID), THIS_CPU << 24);
    assert_int_equal(rd(t, VERSION), 0x50014);
    assert_int_equal(rd(t, SVR), 0xff);
    assert_int_equal(rd(t, DFR), 0xffffffff);
    assert_int_equal(rd(t, LDR) | rd(t, TPR) | rd(t, PPR) | rd(t, ESR), 0);
    for (uint32_t reg = LVT_TIMER; reg <= LVT_ERROR; reg += 16)
        assert_int_equal(rd(t, reg), MASKED);
    assert_int_equal(rd(t, INITIAL) | rd(t, CURRENT) | rd(t, DIVIDE), 0);
    for (uint32_t reg = ISR; reg < ESR; reg += 16)
        assert_int_equal(rd(t, reg), 0);
    assert_int_equal(rdmsr(t, APIC_BASE_MSR), PAGE | EN);
}

static void the_boot_cpu_starts_as_a_virtual_wire(void **state)
{
    struct apic_rig *t = *state;

    assert_int_equal(rdmsr(t, APIC_BASE_MSR), PAGE | EN | BSP);
    assert_int_equal(rd(t, LVT_LINT0), 0x700);
    assert_true(lapic_takes_extint(t->l));
    wr(t, SVR, 0x1ff);
    wr(t, LVT_LINT0, 0x700 | MASKED);
    assert_false(lapic_takes_extint(t->l));
    lapic_init(t->l);
    assert_true(lapic_takes_extint(t->l));
}

static void registers_keep_only_their_bits(void **state)
{
    static const struct { uint32_t reg, bits; } row[] = {
        {TPR, 0xff}, {LDR, 0xff000000}, {SVR, 0x3ff}, {LVT_TIMER, 0x700ff}, {LVT_THERMAL, 0x107ff},
        {LVT_PERF, 0x107ff}, {LVT_LINT0, 0x1a7ff}, {LVT_LINT1, 0x1a7ff}, {LVT_ERROR, 0x100ff},
        {DIVIDE, 0xb}, {ICR2, 0xff000000}, {DFR, 0xffffffff},
    };
    struct apic_rig *t = *state;

    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        wr(t, row[i].reg, 0xffffffff);
        assert_int_equal(rd(t, row[i].reg), row[i].bits);
    }
    wr(t, DFR, 0);
    assert_int_equal(rd(t, DFR), 0x0fffffff);
}

static void read_only_registers_stay(void **state)
{
    static const uint32_t reg[] = {ID, VERSION, PPR, APR, ISR, TMR, IRR, CURRENT};
    struct apic_rig *t = *state;

    for (unsigned i = 0; i < sizeof reg / sizeof *reg; i++) {
        uint32_t before = rd(t, reg[i]);

        wr(t, reg[i], ~before);
        assert_int_equal(rd(t, reg[i]), before);
    }
    wr(t, ESR, 0);
    assert_int_equal(rd(t, ESR), 0);
}

static void reserved_addresses_are_an_error_once(void **state)
{
    struct apic_rig *t = *state;

    wr(t, LVT_ERROR, 0xe0);
    assert_int_equal(rd(t, 0x000), 0);
    assert_int_equal(rd(t, 0x3f0), 0);
    assert_int_equal(rd(t, 0x2f0), 0);
    assert_int_equal(rd(t, 0xffc), 0);
    assert_int_equal(rd(t, 0x24), 0);
    wr(t, 0x40, 1);
    assert_int_equal(lapic_ack(t->l), 0xe0); /* one interrupt for all of them */
    assert_int_equal(lapic_ack(t->l), -1);
    assert_int_equal(rd(t, ESR), 0); /* shown only after a write */
    wr(t, ESR, 0);
    assert_int_equal(rd(t, ESR), 0x80);
    wr(t, ESR, 0);
    assert_int_equal(rd(t, ESR), 0);
}

static void accesses_that_are_not_32_bits_wide_do_nothing(void **state)
{
    struct apic_rig *t = *state;

    outb(&t->r, PAGE + TPR, 0x20);
    assert_int_equal(rd(t, TPR), 0);
    assert_int_equal(bus_refused(t->r.bus), 1);
    assert_int_equal(in(&t->r, PAGE + VERSION, 8) & 0xffffffff, 0x50014);
}

/* ---- priorities */

static void the_highest_vector_goes_first(void **state)
{
    struct apic_rig *t = *state;

    fixed(t, 0x31, false);
    fixed(t, 0xa1, false);
    fixed(t, 0x55, false);
    assert_int_equal(lapic_pending(t->l), 0xa1);
    assert_int_equal(lapic_ack(t->l), 0xa1);
    assert_int_equal(rd(t, PPR), 0xa0);
    assert_int_equal(word(t, ISR, 0xa1), 1);
    assert_int_equal(word(t, IRR, 0xa1), 0);
    assert_int_equal(word(t, IRR, 0x55), 1);
    assert_int_equal(lapic_ack(t->l), -1);
    wr(t, EOI, 0);
    assert_int_equal(lapic_ack(t->l), 0x55);
}

static void a_higher_class_nests_the_same_class_waits(void **state)
{
    struct apic_rig *t = *state;

    fixed(t, 0x50, false);
    assert_int_equal(lapic_ack(t->l), 0x50);
    fixed(t, 0x5f, false);
    assert_int_equal(lapic_pending(t->l), -1);
    fixed(t, 0x60, false);
    assert_int_equal(lapic_ack(t->l), 0x60);
    wr(t, EOI, 0);
    assert_int_equal(word(t, ISR, 0x50), 1);
    wr(t, EOI, 0);
    assert_int_equal(lapic_ack(t->l), 0x5f);
}

static void the_task_priority_holds_back_its_class(void **state)
{
    struct apic_rig *t = *state;

    fixed(t, 0x45, false);
    wr(t, TPR, 0x40);
    assert_int_equal(lapic_pending(t->l), -1);
    wr(t, TPR, 0x3f);
    assert_int_equal(rd(t, PPR), 0x3f);
    assert_int_equal(lapic_pending(t->l), 0x45);
}

static void cr8_is_the_upper_nibble_of_the_task_priority(void **state)
{
    struct apic_rig *t = *state;

    lapic_set_cr8(t->l, 0xa);
    assert_int_equal(rd(t, TPR), 0xa0);
    wr(t, TPR, 0x7f);
    assert_int_equal(lapic_cr8(t->l), 7);
    lapic_set_cr8(t->l, 0xff);
    assert_int_equal(lapic_cr8(t->l), 15);
}

static void cr8_works_with_the_apic_off(void **state)
{
    struct apic_rig *t = *state;

    wrmsr(t, APIC_BASE_MSR, PAGE);
    lapic_set_cr8(t->l, 9);
    assert_int_equal(lapic_cr8(t->l), 9);
}

static void requesting_a_vector_twice_delivers_it_once(void **state)
{
    struct apic_rig *t = *state;

    fixed(t, 0x41, false);
    fixed(t, 0x41, false);
    assert_int_equal(lapic_ack(t->l), 0x41);
    fixed(t, 0x41, false); /* while in service: once more afterwards */
    wr(t, EOI, 0);
    assert_int_equal(lapic_ack(t->l), 0x41);
    wr(t, EOI, 0);
    assert_int_equal(lapic_ack(t->l), -1);
}

static void an_eoi_with_nothing_in_service_does_nothing(void **state)
{
    struct apic_rig *t = *state;

    fixed(t, 0x41, true);
    wr(t, EOI, 0);
    assert_int_equal(lapic_pending(t->l), 0x41);
    assert_int_equal(t->eois, 0);
}

static void only_level_triggered_vectors_tell_the_ioapic(void **state)
{
    struct apic_rig *t = *state;

    fixed(t, 0x41, true);
    assert_int_equal(word(t, TMR, 0x41), 1);
    lapic_ack(t->l);
    wr(t, EOI, 0);
    assert_int_equal(t->eois, 1);
    assert_int_equal(t->last_eoi, 0x41);
    assert_int_equal(word(t, TMR, 0x41), 1); /* until the vector comes as an edge */
    fixed(t, 0x41, false);
    assert_int_equal(word(t, TMR, 0x41), 0);
    lapic_ack(t->l);
    wr(t, EOI, 0);
    assert_int_equal(t->eois, 1);
}

static void vectors_below_16_are_illegal(void **state)
{
    struct apic_rig *t = *state;

    fixed(t, 15, false);
    assert_int_equal(lapic_pending(t->l), -1);
    wr(t, ESR, 0);
    assert_int_equal(rd(t, ESR), 0x40);
    wr(t, ICR, 0x40000 | 15);
    assert_int_equal(t->sent, 0);
    wr(t, ESR, 0);
    assert_int_equal(rd(t, ESR), 0x20);
}

static void an_error_vector_below_16_does_not_recurse(void **state)
{
    struct apic_rig *t = *state;

    wr(t, LVT_ERROR, 3);
    rd(t, 0x3f0);
    wr(t, ESR, 0);
    assert_int_equal(rd(t, ESR), 0xc0);
}

/* ---- software and hardware enable */

static void software_disable_masks_the_lvt_and_refuses_interrupts(void **state)
{
    struct apic_rig *t = *state;
    const struct apic_msg nmi = {.dest = THIS_CPU, .delivery = APIC_NMI};

    wr(t, LVT_TIMER, 0x40);
    fixed(t, 0x50, false);
    wr(t, SVR, 0xff);
    assert_int_equal(rd(t, LVT_TIMER), 0x40 | MASKED);
    wr(t, LVT_TIMER, 0x40);
    assert_int_equal(rd(t, LVT_TIMER), 0x40 | MASKED);
    fixed(t, 0x60, false);
    assert_int_equal(lapic_pending(t->l), 0x50); /* what was requested stays */
    lapic_accept(t->l, &nmi);
    assert_int_equal(t->events, 1);
    wr(t, SVR, 0x1ff);
    assert_int_equal(rd(t, LVT_TIMER), 0x40 | MASKED);
}

static void switching_off_resets_and_hides_the_page(void **state)
{
    struct apic_rig *t = *state;

    fixed(t, 0x50, false);
    wr(t, TPR, 0x20);
    wrmsr(t, APIC_BASE_MSR, PAGE);
    assert_int_equal(rd(t, VERSION), 0xffffffff);
    assert_int_equal(lapic_pending(t->l), -1);
    fixed(t, 0x60, false);
    assert_true(lapic_takes_extint(t->l)); /* INTR goes straight to the CPU */
    wrmsr(t, APIC_BASE_MSR, PAGE | EN);
    assert_int_equal(rd(t, VERSION), 0x50014);
    assert_int_equal(rd(t, SVR), 0xff);
    assert_int_equal(rd(t, TPR), 0);
    assert_int_equal(lapic_pending(t->l), -1);
}

static void apic_base_follows_the_state_machine(void **state)
{
    enum { OFF = 0, XAPIC = EN, X2APIC = EN | EXTD, INVALID = EXTD };
    static const struct { unsigned from, to; bool ok;
    } row[] = {
        {XAPIC, XAPIC, true},    {XAPIC, X2APIC, true},    {XAPIC, OFF, true},
        {XAPIC, INVALID, false}, {X2APIC, X2APIC, true},   {X2APIC, XAPIC, false},
        {X2APIC, OFF, true},     {X2APIC, INVALID, false}, {OFF, OFF, true},
        {OFF, XAPIC, true},      {OFF, X2APIC, false},     {OFF, INVALID, false},
    };
    struct apic_rig *t = *state;

    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        lapic_reset(t->l);
        if (row[i].from != XAPIC)
            wrmsr(t, APIC_BASE_MSR, PAGE | row[i].from);
        assert_int_equal(lapic_wrmsr(t->l, APIC_BASE_MSR, PAGE | row[i].to), row[i].ok);
        assert_int_equal(rdmsr(t, APIC_BASE_MSR), PAGE | (row[i].ok ? row[i].to : row[i].from));
    }
}

static void apic_base_has_reserved_bits(void **state)
{
    struct apic_rig *t = *state;

    for (unsigned bit = 0; bit < 64; bit++) {
        bool reserved = bit < 8 || bit == 9 || bit >= 40;

        if (bit == 10)
            continue;
        assert_int_equal(wrmsr_faults(t, APIC_BASE_MSR, (PAGE | EN) ^ 1ull << bit), reserved);
        lapic_reset(t->l);
    }
    wrmsr(t, APIC_BASE_MSR, 0xfed40000 | EN | BSP); /* moved, and not made the boot CPU */
    assert_int_equal(rdmsr(t, APIC_BASE_MSR), 0xfed40000 | EN);
    assert_int_equal(rd(t, VERSION), 0x50014);
}

/* ---- x2APIC */

static void x2apic_hides_the_page(void **state)
{
    struct apic_rig *t = *state;

    wr(t, TPR, 0x50);
    assert_int_equal(rd(t, VERSION), 0xffffffff);
    assert_int_equal(rdmsr(t, X2 + 0x08), 0);
}

static void x2apic_msrs_fault_in_xapic_mode(void **state)
{
    struct apic_rig *t = *state;

    for (uint32_t msr = X2; msr < X2 + 0x100; msr++) {
        assert_true(rdmsr_faults(t, msr));
        assert_true(wrmsr_faults(t, msr, 0));
    }
}

static void x2apic_has_exactly_its_registers(void **state)
{
    struct apic_rig *t = *state;

    for (uint32_t n = 0; n < 0x100; n++) {
        bool vectors = n >= 0x10 && n <= 0x27, lvt = n >= 0x32 && n <= 0x37;
        bool readable = vectors || lvt || n == 0x02 || n == 0x03 || n == 0x08 || n == 0x0a ||
                        n == 0x0d || n == 0x0f || n == 0x28 || n == 0x30 || n == 0x38 ||
                        n == 0x39 || n == 0x3e;
        bool writable = lvt || n == 0x08 || n == 0x0b || n == 0x0f || n == 0x28 || n == 0x30 ||
                        n == 0x38 || n == 0x3e || n == 0x3f;

        assert_int_equal(rdmsr_faults(t, X2 + n), !readable);
        assert_int_equal(wrmsr_faults(t, X2 + n, 0), !writable);
    }
}

static void x2apic_registers_fault_on_reserved_bits(void **state)
{
    static const struct { uint32_t n; uint64_t bits; } row[] = {
        {0x08, 0xff}, {0x0b, 0}, {0x0f, 0x3ff}, {0x28, 0}, {0x32, 0x710ff}, {0x33, 0x117ff},
        {0x34, 0x117ff}, {0x35, 0x1f7ff}, {0x36, 0x1f7ff}, {0x37, 0x110ff}, {0x38, 0xffffffff},
        {0x3e, 0xb}, {0x3f, 0xff},
    };
    struct apic_rig *t = *state;

    for (unsigned i = 0; i < sizeof row / sizeof *row; i++)
        for (unsigned bit = 0; bit < 64; bit++)
            assert_int_equal(wrmsr_faults(t, X2 + row[i].n, 1ull << bit),
                             !(row[i].bits >> bit & 1));
}

static void x2apic_icr_is_one_64_bit_register(void **state)
{
    struct apic_rig *t = *state;

    wrmsr(t, X2 + 0x30, 0x0001000200000841);
    assert_int_equal(t->sent, 1);
    assert_int_equal(t->last.dest, 0x00010002);
    assert_int_equal(t->last.vector, 0x41);
    assert_true(t->last.logical);
    assert_true(t->last.wide);
    assert_int_equal(rdmsr(t, X2 + 0x30), 0x0001000200000841);
    assert_true(wrmsr_faults(t, X2 + 0x30, 0x2041));
    assert_true(wrmsr_faults(t, X2 + 0x30, 0x10041));
    assert_true(wrmsr_faults(t, X2 + 0x30, 0x100041));
}

static void x2apic_ids_are_derived_from_the_cpu(void **state)
{
    struct apic_rig *t = *state;

    assert_int_equal(rdmsr(t, X2 + 0x02), THIS_CPU);
    assert_int_equal(rdmsr(t, X2 + 0x0d), 1 << THIS_CPU);
    lapic_free(t->l);
    t->l = NULL;
    rig_fini(&t->r);
    free(t);
    *state = t = rig_of_cpu(37);
    wrmsr(t, APIC_BASE_MSR, PAGE | EN | EXTD);
    assert_int_equal(rdmsr(t, X2 + 0x02), 37);
    assert_int_equal(rdmsr(t, X2 + 0x0d), 2 << 16 | 1 << 5);
}

static void the_self_ipi_register_interrupts_itself(void **state)
{
    struct apic_rig *t = *state;

    wrmsr(t, X2 + 0x3f, 0x99);
    assert_int_equal(lapic_ack(t->l), 0x99);
    wrmsr(t, X2 + 0x0b, 0);
    wrmsr(t, X2 + 0x3f, 5);
    wrmsr(t, X2 + 0x28, 0);
    assert_int_equal(rdmsr(t, X2 + 0x28), 0x20);
}

/* ---- destinations and IPIs */

static bool is_dest(struct apic_rig *t, uint32_t dest, bool logical, bool wide)
{
    const struct apic_msg m = {.dest = dest, .logical = logical, .wide = wide};

    return lapic_is_dest(t->l, &m);
}

static void physical_destinations_are_ids_and_all_ones(void **state)
{
    struct apic_rig *t = *state;

    assert_true(is_dest(t, THIS_CPU, false, false));
    assert_false(is_dest(t, 4, false, false));
    assert_true(is_dest(t, 0xff, false, false));
    assert_true(is_dest(t, 0xffffffff, false, true));
    assert_false(is_dest(t, 0xff, false, true)); /* CPU 255 */
}

static void flat_logical_destinations_are_bits(void **state)
{
    struct apic_rig *t = *state;

    assert_false(is_dest(t, 0x20, true, false)); /* no LDR yet */
    wr(t, LDR, 0x20000000);
    assert_true(is_dest(t, 0x20, true, false));
    assert_true(is_dest(t, 0x30, true, false));
    assert_false(is_dest(t, 0x1f, true, false));
    assert_true(is_dest(t, 0xff, true, false));
    assert_false(is_dest(t, 0x00, true, false));
}

static void cluster_logical_destinations_are_cluster_and_bits(void **state)
{
    struct apic_rig *t = *state;

    wr(t, DFR, 0x0fffffff);
    wr(t, LDR, 0x24000000);
    assert_true(is_dest(t, 0x24, true, false));
    assert_true(is_dest(t, 0x2f, true, false));
    assert_false(is_dest(t, 0x23, true, false));
    assert_false(is_dest(t, 0x34, true, false));
    assert_true(is_dest(t, 0xf4, true, false)); /* every cluster */
    assert_false(is_dest(t, 0xf3, true, false));
    assert_true(is_dest(t, 0xff, true, false));
}

static void x2apic_logical_destinations_are_wide_clusters(void **state)
{
    struct apic_rig *t = *state;

    assert_true(is_dest(t, 1 << THIS_CPU, true, true));
    assert_true(is_dest(t, 0xffff, true, true));
    assert_false(is_dest(t, 0x10000 | 1 << THIS_CPU, true, true));
    assert_true(is_dest(t, 0xffffffff, true, true));
    assert_true(is_dest(t, 1 << THIS_CPU, true, false)); /* an MSI's eight bits */
    assert_true(is_dest(t, 0xff, true, false));
}

static void the_icr_sends_what_it_says(void **state)
{
    struct apic_rig *t = *state;

    wr(t, ICR2, 0x07000000);
    wr(t, ICR, 0x4841);
    assert_int_equal(t->sent, 1);
    assert_int_equal(t->last.dest, 7);
    assert_int_equal(t->last.vector, 0x41);
    assert_true(t->last.logical);
    assert_false(t->last.wide);
    assert_int_equal(t->last.delivery, APIC_FIXED);
    assert_int_equal(t->last_shorthand, LAPIC_TO_DEST);
    assert_int_equal(rd(t, ICR), 0x4841); /* delivered: idle */
    wr(t, ICR, 0xc4500);
    assert_int_equal(t->last.delivery, APIC_INIT);
    assert_int_equal(t->last_shorthand, LAPIC_TO_OTHERS);
    wr(t, ICR, 0x4699);
    assert_int_equal(t->last.delivery, APIC_STARTUP);
    assert_int_equal(t->last.vector, 0x99);
    wr(t, ICR, 0x400);
    assert_int_equal(t->last.delivery, APIC_NMI);
    wr(t, ICR, 0x80141);
    assert_int_equal(t->last.delivery, APIC_LOWEST);
    assert_int_equal(t->last_shorthand, LAPIC_TO_ALL);
    assert_int_equal(t->sent, 5);
}

static void a_level_deassert_and_reserved_modes_are_not_sent(void **state)
{
    struct apic_rig *t = *state;

    wr(t, ICR, 0x8500); /* INIT level de-assert */
    wr(t, ICR, 0x4341); /* reserved */
    wr(t, ICR, 0x4741); /* ExtINT cannot be sent */
    assert_int_equal(t->sent, 0);
}

static void events_pass_straight_to_the_cpu(void **state)
{
    struct apic_rig *t = *state;
    struct apic_msg m = {.dest = THIS_CPU, .delivery = APIC_INIT};

    lapic_accept(t->l, &m);
    assert_int_equal(t->last_event, CPU_EVENT_INIT);
    m = (struct apic_msg){.dest = THIS_CPU, .delivery = APIC_STARTUP, .vector = 0x9a};
    lapic_accept(t->l, &m);
    assert_int_equal(t->last_event, CPU_EVENT_SIPI);
    assert_int_equal(t->last_event_vector, 0x9a);
    m.delivery = APIC_NMI;
    lapic_accept(t->l, &m);
    assert_int_equal(t->last_event, CPU_EVENT_NMI);
    m.delivery = APIC_SMI;
    lapic_accept(t->l, &m);
    assert_int_equal(t->events, 3);
}

static void init_keeps_id_and_mode(void **state)
{
    struct apic_rig *t = *state;

    wrmsr(t, X2 + 0x08, 0x30);
    lapic_init(t->l);
    assert_int_equal(rdmsr(t, APIC_BASE_MSR), PAGE | EN | EXTD);
    assert_int_equal(rdmsr(t, X2 + 0x02), THIS_CPU);
    assert_int_equal(rdmsr(t, X2 + 0x08), 0);
    assert_int_equal(rdmsr(t, X2 + 0x0f), 0xff);
}

/* ---- LINT pins */

static void lint1_as_nmi_counts_edges(void **state)
{
    struct apic_rig *t = *state;

    wr(t, LVT_LINT1, 0x400);
    lapic_set_lint(t->l, 1, true);
    lapic_set_lint(t->l, 1, true);
    assert_int_equal(t->events, 1);
    lapic_set_lint(t->l, 1, false);
    lapic_set_lint(t->l, 1, true);
    assert_int_equal(t->events, 2);
    wr(t, LVT_LINT1, 0x400 | MASKED);
    lapic_set_lint(t->l, 1, false);
    lapic_set_lint(t->l, 1, true);
    assert_int_equal(t->events, 2);
}

static void a_local_pin_cannot_start_a_cpu(void **state)
{
    struct apic_rig *t = *state;

    for (uint32_t delivery = 0; delivery < 8; delivery++) {
        wr(t, LVT_LINT1, delivery << 8 | 0x99);
        lapic_set_lint(t->l, 1, true);
        lapic_set_lint(t->l, 1, false);
    }
    assert_int_equal(t->events, 2); /* NMI and INIT */
    assert_int_equal(t->last_event, CPU_EVENT_INIT);
    assert_int_equal(lapic_ack(t->l), 0x99); /* fixed */
}

static void lint0_as_fixed_edge_is_a_vector(void **state)
{
    struct apic_rig *t = *state;

    wr(t, LVT_LINT0, 0x61);
    assert_false(lapic_takes_extint(t->l));
    lapic_set_lint(t->l, 0, true);
    assert_int_equal(lapic_ack(t->l), 0x61);
    wr(t, EOI, 0);
    assert_int_equal(lapic_ack(t->l), -1);
}

static void lint0_as_fixed_level_comes_again_until_it_falls(void **state)
{
    struct apic_rig *t = *state;

    lapic_set_lint(t->l, 0, true);
    wr(t, LVT_LINT0, 0x8061);
    assert_int_equal(rd(t, LVT_LINT0), 0xc061);
    assert_int_equal(lapic_ack(t->l), 0x61);
    assert_int_equal(lapic_ack(t->l), -1);
    wr(t, EOI, 0);
    assert_int_equal(lapic_ack(t->l), 0x61);
    lapic_set_lint(t->l, 0, false);
    wr(t, EOI, 0);
    assert_int_equal(lapic_ack(t->l), -1);
    assert_int_equal(rd(t, LVT_LINT0), 0x8061);
}

static void extint_passes_while_lint0_is_open(void **state)
{
    struct apic_rig *t = *state;
    const struct apic_msg m = {.dest = THIS_CPU, .delivery = APIC_EXTINT};

    assert_false(lapic_takes_extint(t->l));
    wr(t, LVT_LINT0, 0x700);
    assert_true(lapic_takes_extint(t->l));
    wr(t, LVT_LINT0, 0x700 | MASKED);
    lapic_set_lint(t->l, 0, true);
    lapic_accept(t->l, &m); /* or by a message, until INTR falls */
    assert_true(lapic_takes_extint(t->l));
    lapic_set_lint(t->l, 0, false);
    assert_false(lapic_takes_extint(t->l));
}

/* ---- timer */

static void a_one_shot_timer_fires_once(void **state)
{
    struct apic_rig *t = *state;

    wr(t, DIVIDE, DIVIDE_BY_1);
    wr(t, LVT_TIMER, 0x40);
    wr(t, INITIAL, 1000000);
    assert_int_equal(rd(t, CURRENT), 1000000);
    vclock_step(t->r.clock, 400000);
    assert_int_equal(rd(t, CURRENT), 600000);
    vclock_step(t->r.clock, 599999);
    assert_int_equal(lapic_pending(t->l), -1);
    vclock_step(t->r.clock, 1);
    assert_int_equal(lapic_ack(t->l), 0x40);
    assert_int_equal(rd(t, CURRENT), 0);
    assert_int_equal(rd(t, INITIAL), 1000000);
    wr(t, EOI, 0);
    vclock_step(t->r.clock, 5000000);
    assert_int_equal(lapic_ack(t->l), -1);
    assert_int_equal(vclock_next_ns(t->r.clock), UINT64_MAX);
}

static void a_periodic_timer_does_not_drift(void **state)
{
    struct apic_rig *t = *state;
    unsigned fired = 0;

    wr(t, DIVIDE, 3); /* by 16 */
    wr(t, LVT_TIMER, 0x40 | PERIODIC);
    wr(t, INITIAL, 62500); /* 1 ms */
    for (unsigned i = 0; i < 33333; i++) {
        vclock_step(t->r.clock, 300007);
        if (lapic_ack(t->l) == 0x40) {
            fired++;
            wr(t, EOI, 0);
        }
    }
    assert_int_equal(fired, 33333ull * 300007 / NS_PER_MS);
    assert_int_equal(rd(t, CURRENT), 62500 - 33333ull * 300007 % NS_PER_MS / 16);
}

static void every_divisor_divides(void **state)
{
    static const struct { uint32_t dcr; unsigned by; } row[] = {
        {0x0, 2}, {0x1, 4}, {0x2, 8}, {0x3, 16}, {0x8, 32}, {0x9, 64}, {0xa, 128}, {0xb, 1},
    };
    struct apic_rig *t = *state;

    for (unsigned i = 0; i < 8; i++) {
        wr(t, DIVIDE, row[i].dcr);
        wr(t, INITIAL, 1000000);
        vclock_step(t->r.clock, 128000);
        assert_int_equal(rd(t, CURRENT), 1000000 - 128000 / row[i].by);
    }
}

static void changing_the_divisor_keeps_the_count(void **state)
{
    struct apic_rig *t = *state;

    wr(t, LVT_TIMER, 0x40);
    wr(t, DIVIDE, DIVIDE_BY_1);
    wr(t, INITIAL, 1000000);
    vclock_step(t->r.clock, 500000);
    wr(t, DIVIDE, 0); /* by 2 */
    assert_int_equal(rd(t, CURRENT), 500000);
    vclock_step(t->r.clock, 999999);
    assert_int_equal(lapic_pending(t->l), -1);
    vclock_step(t->r.clock, 1);
    assert_int_equal(lapic_pending(t->l), 0x40);
}

static void changing_between_one_shot_and_periodic_keeps_counting(void **state)
{
    const uint32_t n = 0x999999;
    struct apic_rig *t = *state;

    wr(t, DIVIDE, DIVIDE_BY_1);
    wr(t, LVT_TIMER, 0x40);
    wr(t, INITIAL, n);
    vclock_step(t->r.clock, n * 6ull / 10);
    wr(t, LVT_TIMER, 0x40 | PERIODIC);
    assert_in_range(rd(t, CURRENT), 1, n / 2); /* not reset */
    vclock_step(t->r.clock, n / 2);
    assert_in_range(rd(t, CURRENT), n / 2, n - 1); /* wrapped around */
    vclock_step(t->r.clock, n / 2);
    wr(t, LVT_TIMER, 0x40);
    assert_in_range(rd(t, CURRENT), 1, n / 2);
    vclock_step(t->r.clock, n);
    assert_int_equal(rd(t, CURRENT), 0);
    wr(t, LVT_TIMER, 0x40 | PERIODIC);
    assert_int_equal(rd(t, CURRENT), 0); /* it had ended */
    assert_int_equal(rd(t, INITIAL), n);
}

static void an_initial_count_of_zero_stops_the_timer(void **state)
{
    struct apic_rig *t = *state;

    wr(t, LVT_TIMER, 0x40 | PERIODIC);
    wr(t, INITIAL, 500000);
    wr(t, INITIAL, 0);
    assert_int_equal(vclock_next_ns(t->r.clock), UINT64_MAX);
    vclock_step(t->r.clock, 10 * NS_PER_MS);
    assert_int_equal(lapic_pending(t->l), -1);
}

static void a_masked_timer_counts_in_silence_and_for_free(void **state)
{
    struct apic_rig *t = *state;

    wr(t, DIVIDE, DIVIDE_BY_1);
    wr(t, LVT_TIMER, 0x40 | MASKED | PERIODIC);
    wr(t, INITIAL, 1000000);
    assert_int_equal(vclock_next_ns(t->r.clock), UINT64_MAX);
    vclock_step(t->r.clock, 2300000);
    assert_int_equal(rd(t, CURRENT), 700000);
    wr(t, LVT_TIMER, 0x40 | PERIODIC);
    assert_int_equal(lapic_pending(t->l), -1);
    vclock_step(t->r.clock, 700000);
    assert_int_equal(lapic_pending(t->l), 0x40);
}

static void a_one_shot_that_ended_masked_is_over(void **state)
{
    struct apic_rig *t = *state;

    wr(t, LVT_TIMER, 0x40 | MASKED);
    wr(t, INITIAL, 1000);
    vclock_step(t->r.clock, NS_PER_MS);
    wr(t, LVT_TIMER, 0x40);
    vclock_step(t->r.clock, NS_PER_MS);
    assert_int_equal(lapic_pending(t->l), -1);
}

static void a_frantic_period_is_slowed_down(void **state)
{
    struct apic_rig *t = *state;
    unsigned fired = 0;

    wr(t, DIVIDE, DIVIDE_BY_1);
    wr(t, LVT_TIMER, 0x40 | PERIODIC);
    wr(t, INITIAL, 1);
    for (unsigned i = 0; i < 1000; i++) {
        vclock_step(t->r.clock, NS_PER_MS / 10);
        if (lapic_ack(t->l) == 0x40) {
            fired++;
            wr(t, EOI, 0);
        }
    }
    assert_in_range(fired, 990, 1000);
    assert_int_equal(rd(t, CURRENT), 1);
}

static void the_tsc_deadline_fires_at_its_time_and_clears(void **state)
{
    struct apic_rig *t = *state;

    wr(t, LVT_TIMER, 0x40 | DEADLINE);
    wrmsr(t, DEADLINE_MSR, 2000001);
    assert_int_equal(rdmsr(t, DEADLINE_MSR), 2000001);
    vclock_step(t->r.clock, 1000000);
    assert_int_equal(lapic_pending(t->l), -1); /* TSC 2000000 */
    vclock_step(t->r.clock, 1);
    assert_int_equal(lapic_ack(t->l), 0x40);
    assert_int_equal(rdmsr(t, DEADLINE_MSR), 0);
    wr(t, EOI, 0);
    vclock_step(t->r.clock, 10 * NS_PER_MS);
    assert_int_equal(lapic_ack(t->l), -1);
}

static void a_deadline_in_the_past_fires_at_once(void **state)
{
    struct apic_rig *t = *state;

    vclock_step(t->r.clock, NS_PER_MS);
    wr(t, LVT_TIMER, 0x40 | DEADLINE);
    wrmsr(t, DEADLINE_MSR, tsc_now(t, 0));
    assert_int_equal(lapic_ack(t->l), 0x40);
    assert_int_equal(rdmsr(t, DEADLINE_MSR), 0);
    assert_int_equal(vclock_next_ns(t->r.clock), UINT64_MAX);
}

static void a_deadline_of_zero_disarms(void **state)
{
    struct apic_rig *t = *state;

    wr(t, LVT_TIMER, 0x40 | DEADLINE);
    wrmsr(t, DEADLINE_MSR, 2000000);
    wrmsr(t, DEADLINE_MSR, 0);
    vclock_step(t->r.clock, 10 * NS_PER_MS);
    assert_int_equal(lapic_pending(t->l), -1);
}

static void deadline_and_count_exclude_each_other(void **state)
{
    struct apic_rig *t = *state;

    wrmsr(t, DEADLINE_MSR, 1000); /* one-shot mode: ignored */
    assert_int_equal(rdmsr(t, DEADLINE_MSR), 0);
    wr(t, LVT_TIMER, 0x40);
    wr(t, INITIAL, 1000000);
    wr(t, LVT_TIMER, 0x40 | DEADLINE); /* disarms */
    assert_int_equal(rd(t, INITIAL) | rd(t, CURRENT), 0);
    wr(t, INITIAL, 1000); /* ignored */
    assert_int_equal(rd(t, INITIAL) | rd(t, CURRENT), 0);
    wrmsr(t, DEADLINE_MSR, 4000000);
    wr(t, LVT_TIMER, 0x40);
    vclock_step(t->r.clock, 10 * NS_PER_MS);
    assert_int_equal(lapic_pending(t->l), -1);
}

static void a_deadline_at_the_end_of_time_is_harmless(void **state)
{
    struct apic_rig *t = *state;

    wr(t, LVT_TIMER, 0x40 | DEADLINE);
    wrmsr(t, DEADLINE_MSR, UINT64_MAX);
    vclock_step(t->r.clock, 1000 * NS_PER_S);
    assert_int_equal(lapic_pending(t->l), -1);
    assert_int_equal(rdmsr(t, DEADLINE_MSR), UINT64_MAX);
}

static void the_reserved_timer_mode_does_nothing(void **state)
{
    struct apic_rig *t = *state;

    wr(t, LVT_TIMER, 0x40 | 3 << 17);
    wr(t, INITIAL, 1000);
    vclock_step(t->r.clock, NS_PER_MS);
    assert_int_equal(lapic_pending(t->l), -1);
    assert_int_equal(rd(t, CURRENT), 0);
}

static void unknown_msrs_fault(void **state)
{
    struct apic_rig *t = *state;

    assert_true(rdmsr_faults(t, 0x10));
    assert_true(wrmsr_faults(t, 0x6e1, 0));
    assert_true(rdmsr_faults(t, 0xffffffff));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TOFF(f) cmocka_unit_test_setup_teardown(f, setup_off, teardown)
#define TBSP(f) cmocka_unit_test_setup_teardown(f, setup_bsp, teardown)
#define TX2(f) cmocka_unit_test_setup_teardown(f, setup_x2, teardown)
    const struct CMUnitTest tests[] = {
        TOFF(reset_state_is_that_of_the_sdm),
        TBSP(the_boot_cpu_starts_as_a_virtual_wire),
        T(registers_keep_only_their_bits),
        T(read_only_registers_stay),
        T(reserved_addresses_are_an_error_once),
        T(accesses_that_are_not_32_bits_wide_do_nothing),
        T(the_highest_vector_goes_first),
        T(a_higher_class_nests_the_same_class_waits),
        T(the_task_priority_holds_back_its_class),
        T(cr8_is_the_upper_nibble_of_the_task_priority),
        T(cr8_works_with_the_apic_off),
        T(requesting_a_vector_twice_delivers_it_once),
        T(an_eoi_with_nothing_in_service_does_nothing),
        T(only_level_triggered_vectors_tell_the_ioapic),
        T(vectors_below_16_are_illegal),
        T(an_error_vector_below_16_does_not_recurse),
        T(software_disable_masks_the_lvt_and_refuses_interrupts),
        T(switching_off_resets_and_hides_the_page),
        T(apic_base_follows_the_state_machine),
        T(apic_base_has_reserved_bits),
        TX2(x2apic_hides_the_page),
        T(x2apic_msrs_fault_in_xapic_mode),
        TX2(x2apic_has_exactly_its_registers),
        TX2(x2apic_registers_fault_on_reserved_bits),
        TX2(x2apic_icr_is_one_64_bit_register),
        TX2(x2apic_ids_are_derived_from_the_cpu),
        TX2(the_self_ipi_register_interrupts_itself),
        T(physical_destinations_are_ids_and_all_ones),
        T(flat_logical_destinations_are_bits),
        T(cluster_logical_destinations_are_cluster_and_bits),
        TX2(x2apic_logical_destinations_are_wide_clusters),
        T(the_icr_sends_what_it_says),
        T(a_level_deassert_and_reserved_modes_are_not_sent),
        T(events_pass_straight_to_the_cpu),
        TX2(init_keeps_id_and_mode),
        T(lint1_as_nmi_counts_edges),
        T(a_local_pin_cannot_start_a_cpu),
        T(lint0_as_fixed_edge_is_a_vector),
        T(lint0_as_fixed_level_comes_again_until_it_falls),
        T(extint_passes_while_lint0_is_open),
        T(a_one_shot_timer_fires_once),
        T(a_periodic_timer_does_not_drift),
        T(every_divisor_divides),
        T(changing_the_divisor_keeps_the_count),
        T(changing_between_one_shot_and_periodic_keeps_counting),
        T(an_initial_count_of_zero_stops_the_timer),
        T(a_masked_timer_counts_in_silence_and_for_free),
        T(a_one_shot_that_ended_masked_is_over),
        T(a_frantic_period_is_slowed_down),
        T(the_tsc_deadline_fires_at_its_time_and_clears),
        T(a_deadline_in_the_past_fires_at_once),
        T(a_deadline_of_zero_disarms),
        T(deadline_and_count_exclude_each_other),
        T(a_deadline_at_the_end_of_time_is_harmless),
        T(the_reserved_timer_mode_does_nothing),
        T(unknown_msrs_fault),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
