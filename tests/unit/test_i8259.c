/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The two PICs through their ports.
 */
#include "chip_rig.h"
#include "devices/i8259.h"

#include <cmocka.h>

enum { M = 0x20, S = M + I8259_SLAVE, ELCR = M + I8259_ELCR };

struct pic_rig {
    struct rig r;
    struct i8259 *p;
};

/* As every PC kernel does: vectors 0x20 and 0x28, 8086 mode, nothing masked. */
static void init(struct pic_rig *t, uint8_t icw4)
{
    outb(&t->r, M, 0x11);
    outb(&t->r, M + 1, 0x20);
    outb(&t->r, M + 1, 0x04);
    outb(&t->r, M + 1, icw4);
    outb(&t->r, S, 0x11);
    outb(&t->r, S + 1, 0x28);
    outb(&t->r, S + 1, 0x02);
    outb(&t->r, S + 1, icw4);
    outb(&t->r, M + 1, 0x00);
    outb(&t->r, S + 1, 0x00);
}

static int setup(void **state)
{
    struct pic_rig *t = calloc(1, sizeof *t);
    struct err e = {0};

    rig_init(&t->r);
    t->p = i8259_new(&e);
    assert_non_null(t->p);
    assert_non_null(bus_add(t->r.bus, "pic", M, I8259_REGS, &i8259_ops, t->p, NULL, &e));
    init(t, 0x01);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct pic_rig *t = *state;

    i8259_free(t->p);
    rig_fini(&t->r);
    free(t);
    return 0;
}

/* A rising edge; the line stays high. */
static void pulse(struct pic_rig *t, unsigned irq)
{
    i8259_set_line(t->p, irq, 0);
    i8259_set_line(t->p, irq, 1);
}

static uint8_t irr(struct pic_rig *t, uint64_t chip)
{
    outb(&t->r, chip, 0x0a);
    return inb(&t->r, chip);
}

static uint8_t isr(struct pic_rig *t, uint64_t chip)
{
    outb(&t->r, chip, 0x0b);
    return inb(&t->r, chip);
}

static void after_power_up_nothing_gets_through(void **state)
{
    struct pic_rig *t = *state;

    i8259_reset(t->p);
    for (unsigned irq = 0; irq < 16; irq++)
        pulse(t, irq);
    assert_false(i8259_output(t->p));
    assert_int_equal(inb(&t->r, M + 1), 0xff);
}

static void an_edge_is_delivered_once(void **state)
{
    struct pic_rig *t = *state;

    i8259_set_line(t->p, 3, 1);
    assert_true(i8259_output(t->p));
    assert_int_equal(i8259_ack(t->p), 0x23);
    assert_false(i8259_output(t->p));
    assert_int_equal(isr(t, M), 0x08);
    outb(&t->r, M, 0x20);
    assert_int_equal(isr(t, M), 0x00);
    assert_false(i8259_output(t->p)); /* the line is still high: no new edge */
    i8259_set_line(t->p, 3, 0);
    i8259_set_line(t->p, 3, 1);
    assert_true(i8259_output(t->p));
}

static void an_edge_during_service_waits_for_its_end(void **state)
{
    struct pic_rig *t = *state;

    pulse(t, 4);
    assert_int_equal(i8259_ack(t->p), 0x24);
    pulse(t, 4);
    assert_false(i8259_output(t->p));
    assert_int_equal(irr(t, M), 0x10);
    outb(&t->r, M, 0x20);
    assert_int_equal(i8259_ack(t->p), 0x24);
}

static void the_slave_reaches_the_cpu_through_input_2(void **state)
{
    struct pic_rig *t = *state;

    pulse(t, 8);
    assert_int_equal(irr(t, M), 0x04);
    assert_int_equal(i8259_ack(t->p), 0x28);
    assert_int_equal(isr(t, M), 0x04);
    assert_int_equal(isr(t, S), 0x01);
    outb(&t->r, S, 0x20);
    outb(&t->r, M, 0x20);
    assert_int_equal(isr(t, M) | isr(t, S), 0);
}

static void priorities_fall_from_0_to_15_with_the_slave_in_between(void **state)
{
    static const unsigned order[] = {0, 1, 8, 9, 10, 11, 12, 13, 14, 15, 3, 4, 5, 6, 7};
    struct pic_rig *t = *state;

    for (unsigned irq = 0; irq < 16; irq++)
        pulse(t, irq);
    for (unsigned i = 0; i < sizeof order / sizeof *order; i++) {
        assert_int_equal(i8259_ack(t->p), 0x20 + order[i]);
        if (order[i] >= 8)
            outb(&t->r, S, 0x20);
        outb(&t->r, M, 0x20);
    }
    assert_false(i8259_output(t->p));
}

static void a_higher_priority_interrupts_a_lower_one(void **state)
{
    struct pic_rig *t = *state;

    pulse(t, 5);
    i8259_ack(t->p);
    pulse(t, 6);
    assert_false(i8259_output(t->p));
    pulse(t, 1);
    assert_int_equal(i8259_ack(t->p), 0x21);
    outb(&t->r, M, 0x20); /* non-specific: the highest in service */
    assert_int_equal(isr(t, M), 0x20);
    outb(&t->r, M, 0x65); /* specific */
    assert_int_equal(i8259_ack(t->p), 0x26);
}

static void the_mask_holds_back_and_keeps(void **state)
{
    struct pic_rig *t = *state;

    outb(&t->r, M + 1, 0x08);
    pulse(t, 3);
    assert_false(i8259_output(t->p));
    assert_int_equal(inb(&t->r, M + 1), 0x08);
    outb(&t->r, M + 1, 0x00);
    assert_int_equal(i8259_ack(t->p), 0x23);
}

static void a_level_is_delivered_while_it_lasts(void **state)
{
    struct pic_rig *t = *state;

    outb(&t->r, ELCR + 1, 0x02); /* IRQ 9 */
    assert_int_equal(inb(&t->r, ELCR + 1), 0x02);
    i8259_set_line(t->p, 9, 1);
    assert_int_equal(i8259_ack(t->p), 0x29);
    outb(&t->r, S, 0x20);
    outb(&t->r, M, 0x20);
    assert_int_equal(i8259_ack(t->p), 0x29);
    i8259_set_line(t->p, 9, 0);
    outb(&t->r, S, 0x20);
    outb(&t->r, M, 0x20);
    assert_false(i8259_output(t->p));
}

static void elcr_leaves_the_legacy_inputs_alone(void **state)
{
    struct pic_rig *t = *state;

    outw(&t->r, ELCR, 0xffff);
    assert_int_equal(inw(&t->r, ELCR), 0xdef8);
}

static void switching_to_level_takes_the_line_as_it_is(void **state)
{
    struct pic_rig *t = *state;

    pulse(t, 5);
    assert_int_equal(i8259_ack(t->p), 0x25);
    outb(&t->r, M, 0x20);
    assert_false(i8259_output(t->p));
    outb(&t->r, ELCR, 0x20);
    assert_true(i8259_output(t->p));
    i8259_set_line(t->p, 5, 0);
    assert_false(i8259_output(t->p));
}

static void a_request_that_is_gone_becomes_a_spurious_7(void **state)
{
    struct pic_rig *t = *state;

    for (uint8_t elcr = 0; elcr <= 0x20; elcr += 0x20) {
        outb(&t->r, ELCR, elcr);
        i8259_set_line(t->p, 5, 1);
        i8259_set_line(t->p, 5, 0);
        assert_false(i8259_output(t->p));
        assert_int_equal(i8259_ack(t->p), 0x27);
        assert_int_equal(isr(t, M), 0x00); /* which is how a kernel knows it */
    }
}

static void auto_eoi_needs_no_eoi(void **state)
{
    struct pic_rig *t = *state;

    init(t, 0x03);
    pulse(t, 0);
    assert_int_equal(i8259_ack(t->p), 0x20);
    assert_int_equal(isr(t, M), 0);
    pulse(t, 0);
    assert_int_equal(i8259_ack(t->p), 0x20);
    pulse(t, 12);
    assert_int_equal(i8259_ack(t->p), 0x2c);
    assert_int_equal(isr(t, M) | isr(t, S), 0);
}

static void auto_eoi_can_rotate(void **state)
{
    struct pic_rig *t = *state;

    init(t, 0x03);
    outb(&t->r, M, 0x80);
    pulse(t, 0);
    i8259_ack(t->p); /* 0 has the lowest priority now */
    pulse(t, 0);
    pulse(t, 7);
    assert_int_equal(i8259_ack(t->p), 0x27);
    outb(&t->r, M, 0x00);
    assert_int_equal(i8259_ack(t->p), 0x20);
    pulse(t, 0);
    pulse(t, 6);
    assert_int_equal(i8259_ack(t->p), 0x20); /* after 7 came 0, and it did not rotate again */
}

static void rotation_makes_the_served_one_the_lowest(void **state)
{
    struct pic_rig *t = *state;

    pulse(t, 3);
    i8259_ack(t->p);
    outb(&t->r, M, 0xa0); /* rotate on non-specific EOI */
    pulse(t, 3);
    pulse(t, 4);
    assert_int_equal(i8259_ack(t->p), 0x24);
    outb(&t->r, M, 0xe4); /* rotate on specific EOI: 4 is lowest, 5 highest, then 3 */
    assert_int_equal(isr(t, M), 0);
    pulse(t, 5);
    assert_int_equal(i8259_ack(t->p), 0x25);
}

static void priorities_can_be_set(void **state)
{
    struct pic_rig *t = *state;

    outb(&t->r, M, 0xc4); /* 4 lowest, so 5 highest */
    pulse(t, 0);
    pulse(t, 5);
    assert_int_equal(i8259_ack(t->p), 0x25);
}

static void special_mask_mode_lets_lower_ones_through(void **state)
{
    struct pic_rig *t = *state;

    pulse(t, 1);
    i8259_ack(t->p);
    outb(&t->r, M + 1, 0x02); /* mask the one in service */
    pulse(t, 6);
    assert_false(i8259_output(t->p));
    outb(&t->r, M, 0x68);
    assert_int_equal(i8259_ack(t->p), 0x26);
    outb(&t->r, M, 0x20); /* ends 6, not the masked 1 */
    assert_int_equal(isr(t, M), 0x02);
    outb(&t->r, M, 0x48);
    pulse(t, 5);
    assert_false(i8259_output(t->p));
}

static void special_fully_nested_mode_lets_the_slave_interrupt_itself(void **state)
{
    struct pic_rig *t = *state;

    pulse(t, 12);
    i8259_ack(t->p);
    pulse(t, 8);
    assert_false(i8259_output(t->p)); /* the master has input 2 in service */
    init(t, 0x11);
    pulse(t, 12);
    assert_int_equal(i8259_ack(t->p), 0x2c);
    pulse(t, 8);
    assert_int_equal(i8259_ack(t->p), 0x28);
}

static void polling_takes_the_place_of_inta(void **state)
{
    struct pic_rig *t = *state;

    outb(&t->r, M, 0x0c);
    assert_int_equal(inb(&t->r, M) & 0x80, 0);
    pulse(t, 6);
    outb(&t->r, M, 0x0c);
    assert_int_equal(inb(&t->r, M), 0x86);
    assert_int_equal(isr(t, M), 0x40);
    outb(&t->r, M, 0x20);
    pulse(t, 10); /* through the cascade: poll both */
    outb(&t->r, M, 0x0c);
    assert_int_equal(inb(&t->r, M), 0x82);
    outb(&t->r, S, 0x0c);
    assert_int_equal(inb(&t->r, S), 0x82);
    assert_false(i8259_output(t->p));
}

static void initialisation_forgets_masks_edges_and_service(void **state)
{
    struct pic_rig *t = *state;

    pulse(t, 3);
    i8259_ack(t->p);
    i8259_set_line(t->p, 4, 1);
    outb(&t->r, M + 1, 0xff);
    outb(&t->r, M, 0x11);
    assert_int_equal(inb(&t->r, M), 0); /* IRR is selected, and empty */
    outb(&t->r, M + 1, 0x40);
    outb(&t->r, M + 1, 0x04);
    outb(&t->r, M + 1, 0x01);
    assert_int_equal(inb(&t->r, M + 1), 0x00);
    assert_int_equal(isr(t, M), 0);
    assert_false(i8259_output(t->p));
    pulse(t, 5);
    assert_int_equal(i8259_ack(t->p), 0x45);
}

static void a_short_initialisation_skips_icw3_and_icw4(void **state)
{
    struct pic_rig *t = *state;

    outb(&t->r, M, 0x12); /* single, no ICW4 */
    outb(&t->r, M + 1, 0x57);
    outb(&t->r, M + 1, 0xfe); /* already the mask */
    assert_int_equal(inb(&t->r, M + 1), 0xfe);
    pulse(t, 0);
    assert_int_equal(i8259_ack(t->p), 0x50); /* the low three bits are the input's */
}

static void the_cascade_input_cannot_be_driven(void **state)
{
    struct pic_rig *t = *state;

    i8259_set_line(t->p, 2, 1);
    i8259_set_line(t->p, 99, 1);
    assert_false(i8259_output(t->p));
}

static void a_masked_cascade_stops_the_slave(void **state)
{
    struct pic_rig *t = *state;

    outb(&t->r, M + 1, 0x04);
    pulse(t, 14);
    assert_false(i8259_output(t->p));
    outb(&t->r, M + 1, 0x00);
    assert_int_equal(i8259_ack(t->p), 0x2e);
}

static void registers_can_be_copied_out(void **state)
{
    struct pic_rig *t = *state;
    struct i8259_regs regs[2];

    pulse(t, 3);
    i8259_regs_get(t->p, regs);
    assert_int_equal(regs[0].irr, 0x08);
    assert_int_equal(regs[0].base, 0x20);
    assert_int_equal(regs[1].base, 0x28);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(after_power_up_nothing_gets_through),
        T(an_edge_is_delivered_once),
        T(an_edge_during_service_waits_for_its_end),
        T(the_slave_reaches_the_cpu_through_input_2),
        T(priorities_fall_from_0_to_15_with_the_slave_in_between),
        T(a_higher_priority_interrupts_a_lower_one),
        T(the_mask_holds_back_and_keeps),
        T(a_level_is_delivered_while_it_lasts),
        T(elcr_leaves_the_legacy_inputs_alone),
        T(switching_to_level_takes_the_line_as_it_is),
        T(a_request_that_is_gone_becomes_a_spurious_7),
        T(auto_eoi_needs_no_eoi),
        T(auto_eoi_can_rotate),
        T(rotation_makes_the_served_one_the_lowest),
        T(priorities_can_be_set),
        T(special_mask_mode_lets_lower_ones_through),
        T(special_fully_nested_mode_lets_the_slave_interrupt_itself),
        T(polling_takes_the_place_of_inta),
        T(initialisation_forgets_masks_edges_and_service),
        T(a_short_initialisation_skips_icw3_and_icw4),
        T(the_cascade_input_cannot_be_driven),
        T(a_masked_cascade_stops_the_slave),
        T(registers_can_be_copied_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
