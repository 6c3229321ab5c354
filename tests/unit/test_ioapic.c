/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The IOAPIC through its page, with what it sends written down; and the decoding of MSIs.
 */
#include "chip_rig.h"
#include "devices/ioapic.h"

#include <cmocka.h>

enum { LOGICAL = 0x800, REMOTE_IRR = 0x4000, LEVEL = 0x8000, MASKED = 0x10000, PIN = 14 };

#define PAGE 0xfec00000ull

struct io_rig {
    struct rig r;
    struct ioapic *a;
    unsigned sent;
    struct apic_msg last;
    bool nobody; /* no local APIC takes what is sent */
};

static bool note_send(void *opaque, const struct apic_msg *m)
{
    struct io_rig *t = opaque;

    t->sent++;
    t->last = *m;
    return !t->nobody;
}

static int setup(void **state)
{
    struct io_rig *t = calloc(1, sizeof *t);
    const struct ioapic_env env = {.send = note_send, .opaque = t};
    struct err e = {0};

    rig_init(&t->r);
    t->a = ioapic_new(&env, &e);
    assert_non_null(t->a);
    assert_non_null(bus_add(t->r.bus, "ioapic", PAGE, IOAPIC_BYTES, &ioapic_ops, t->a, NULL, &e));
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct io_rig *t = *state;

    ioapic_free(t->a);
    rig_fini(&t->r);
    free(t);
    return 0;
}

static uint32_t rd(struct io_rig *t, unsigned reg)
{
    outl(&t->r, PAGE, reg);
    return inl(&t->r, PAGE + 0x10);
}

static void wr(struct io_rig *t, unsigned reg, uint32_t val)
{
    outl(&t->r, PAGE, reg);
    outl(&t->r, PAGE + 0x10, val);
}

static void entry(struct io_rig *t, unsigned pin, uint32_t low)
{
    wr(t, 0x10 + 2 * pin, low);
}

static void line(struct io_rig *t, int level)
{
    ioapic_set_line(t->a, PIN, level);
}

static void pulse(struct io_rig *t)
{
    line(t, 1);
    line(t, 0);
}

static void only_four_bits_of_the_id_can_be_written(void **state)
{
    struct io_rig *t = *state;

    wr(t, 0, 0xffffffff);
    assert_int_equal(rd(t, 0), 0x0f000000);
    assert_int_equal(rd(t, 2), 0x0f000000); /* the arbitration ID follows */
    wr(t, 2, 0);
    assert_int_equal(rd(t, 2), 0x0f000000);
}

static void the_version_says_24_inputs_and_cannot_be_written(void **state)
{
    struct io_rig *t = *state;

    assert_int_equal(rd(t, 1), 0x170020);
    wr(t, 1, ~rd(t, 1));
    assert_int_equal(rd(t, 1), 0x170020);
}

static void entries_start_masked_and_keep_their_writable_bits(void **state)
{
    struct io_rig *t = *state;

    for (unsigned pin = 0; pin < 24; pin++) {
        assert_int_equal(rd(t, 0x10 + 2 * pin), MASKED);
        wr(t, 0x10 + 2 * pin, 0xffffffff);
        wr(t, 0x11 + 2 * pin, 0xffffffff);
        assert_int_equal(rd(t, 0x10 + 2 * pin), 0x1afff);
        assert_int_equal(rd(t, 0x11 + 2 * pin), 0xff000000);
    }
}

static void registers_that_do_not_exist_read_zero(void **state)
{
    struct io_rig *t = *state;

    for (unsigned reg = 3; reg < 256; reg++) {
        if (reg >= 0x10 && reg < 0x40)
            continue;
        wr(t, reg, 0xffffffff);
        assert_int_equal(rd(t, reg), 0);
    }
    assert_int_equal(inl(&t->r, PAGE + 0x20), 0);
    assert_int_equal(inl(&t->r, PAGE + 0xffc), 0);
}

static void the_index_is_a_byte_and_the_data_a_dword(void **state)
{
    struct io_rig *t = *state;

    outb(&t->r, PAGE, 1);
    assert_int_equal(inl(&t->r, PAGE), 1);
    assert_int_equal(inl(&t->r, PAGE + 0x10), 0x170020);
    outl(&t->r, PAGE, 0xffffff01);
    assert_int_equal(inl(&t->r, PAGE), 1);
    wr(t, 0, 0x05000000);
    outw(&t->r, PAGE + 0x10, 0);
    assert_int_equal(rd(t, 0), 0x05000000);
}

static void an_edge_sends_what_the_entry_says(void **state)
{
    struct io_rig *t = *state;

    wr(t, 0x11 + 2 * PIN, 0x03000000);
    entry(t, PIN, LOGICAL | 0x100 | 0x76);
    line(t, 1);
    assert_int_equal(t->sent, 1);
    assert_int_equal(t->last.dest, 3);
    assert_int_equal(t->last.vector, 0x76);
    assert_int_equal(t->last.delivery, APIC_LOWEST);
    assert_true(t->last.logical);
    assert_false(t->last.level);
    assert_false(t->last.wide);
    line(t, 1);
    line(t, 0);
    assert_int_equal(t->sent, 1);
    line(t, 1);
    assert_int_equal(t->sent, 2);
}

static void an_edge_on_a_masked_input_is_lost(void **state)
{
    struct io_rig *t = *state;

    entry(t, PIN, MASKED | 0x81);
    pulse(t);
    entry(t, PIN, 0x81);
    assert_int_equal(t->sent, 0);
    line(t, 1);
    assert_int_equal(t->sent, 1);
    entry(t, PIN, MASKED | 0x81);
    entry(t, PIN, 0x81); /* the line is still high: not an edge */
    assert_int_equal(t->sent, 1);
}

static void a_level_is_sent_again_only_after_its_eoi(void **state)
{
    struct io_rig *t = *state;

    entry(t, PIN, LEVEL | 0x77);
    line(t, 1);
    assert_int_equal(t->sent, 1);
    assert_true(t->last.level);
    assert_int_equal(rd(t, 0x10 + 2 * PIN), LEVEL | REMOTE_IRR | 0x77);
    line(t, 0);
    line(t, 1);
    assert_int_equal(t->sent, 1); /* coalesced */
    ioapic_eoi(t->a, 0x77);
    assert_int_equal(t->sent, 2);
    line(t, 0);
    ioapic_eoi(t->a, 0x77);
    assert_int_equal(t->sent, 2);
    assert_int_equal(rd(t, 0x10 + 2 * PIN), LEVEL | 0x77);
    line(t, 1);
    assert_int_equal(t->sent, 3);
}

static void a_level_on_a_masked_input_waits_for_the_mask(void **state)
{
    struct io_rig *t = *state;

    entry(t, PIN, MASKED | LEVEL | 0x82);
    line(t, 1);
    assert_int_equal(t->sent, 0);
    entry(t, PIN, LEVEL | 0x82);
    assert_int_equal(t->sent, 1);
    entry(t, PIN, MASKED | LEVEL | 0x82);
    ioapic_eoi(t->a, 0x82); /* masked by its handler, as Linux does */
    assert_int_equal(t->sent, 1);
    entry(t, PIN, LEVEL | 0x82);
    assert_int_equal(t->sent, 2);
}

static void an_eoi_concerns_every_pin_of_its_vector(void **state)
{
    struct io_rig *t = *state;

    entry(t, 3, LEVEL | 0x90);
    entry(t, 4, LEVEL | 0x90);
    entry(t, 5, LEVEL | 0x91);
    for (unsigned pin = 3; pin <= 5; pin++)
        ioapic_set_line(t->a, pin, 1);
    assert_int_equal(t->sent, 3);
    ioapic_eoi(t->a, 0x90);
    assert_int_equal(t->sent, 5);
    ioapic_eoi(t->a, 0x92);
    assert_int_equal(t->sent, 5);
}

static void the_eoi_register_does_the_same(void **state)
{
    struct io_rig *t = *state;

    entry(t, PIN, LEVEL | 0x77);
    line(t, 1);
    line(t, 0);
    outl(&t->r, PAGE + 0x40, 0x77);
    assert_int_equal(rd(t, 0x10 + 2 * PIN) & REMOTE_IRR, 0);
}

static void switching_to_edge_clears_remote_irr(void **state)
{
    struct io_rig *t = *state;

    entry(t, PIN, LEVEL | 0x77);
    line(t, 1);
    line(t, 0);
    entry(t, PIN, MASKED | 0x77);
    assert_int_equal(rd(t, 0x10 + 2 * PIN) & REMOTE_IRR, 0);
    entry(t, PIN, LEVEL | 0x77);
    line(t, 1);
    assert_int_equal(t->sent, 2);
}

static void remote_irr_cannot_be_written(void **state)
{
    struct io_rig *t = *state;

    entry(t, PIN, LEVEL | REMOTE_IRR | 0x77);
    assert_int_equal(rd(t, 0x10 + 2 * PIN), LEVEL | 0x77);
    line(t, 1);
    entry(t, PIN, LEVEL | 0x77);
    assert_int_equal(rd(t, 0x10 + 2 * PIN), LEVEL | REMOTE_IRR | 0x77);
    assert_int_equal(t->sent, 1);
}

static void a_level_that_nobody_took_may_be_sent_again(void **state)
{
    struct io_rig *t = *state;

    t->nobody = true;
    entry(t, PIN, LEVEL | 0x77);
    line(t, 1);
    assert_int_equal(rd(t, 0x10 + 2 * PIN) & REMOTE_IRR, 0);
    t->nobody = false;
    line(t, 1);
    assert_int_equal(t->sent, 2);
    assert_int_equal(rd(t, 0x10 + 2 * PIN) & REMOTE_IRR, REMOTE_IRR);
}

static void nmi_and_extint_are_edges_whatever_the_trigger_bit_says(void **state)
{
    struct io_rig *t = *state;

    entry(t, PIN, LEVEL | 0x400);
    line(t, 1);
    line(t, 1);
    assert_int_equal(t->sent, 1);
    assert_int_equal(t->last.delivery, APIC_NMI);
    assert_false(t->last.level);
    entry(t, PIN, LEVEL | 0x700);
    assert_int_equal(t->sent, 1);
}

static void the_polarity_bit_is_ignored(void **state)
{
    struct io_rig *t = *state;

    entry(t, PIN, 0x2000 | LEVEL | 0x77);
    assert_int_equal(t->sent, 0);
    line(t, 1);
    assert_int_equal(t->sent, 1);
}

static void inputs_beyond_the_last_do_not_exist(void **state)
{
    struct io_rig *t = *state;

    for (unsigned pin = 24; pin < 100; pin++)
        ioapic_set_line(t->a, pin, 1);
    assert_int_equal(t->sent, 0);
}

static void reset_masks_everything(void **state)
{
    struct io_rig *t = *state;
    struct ioapic_regs r;

    entry(t, PIN, LEVEL | 0x77);
    line(t, 1);
    ioapic_reset(t->a);
    ioapic_regs_get(t->a, &r);
    assert_int_equal(r.entry[PIN], MASKED);
    assert_int_equal(r.lines, 1 << PIN); /* the source still drives it */
}

static void an_msi_is_decoded_by_the_sdm(void **state)
{
    struct apic_msg m;

    (void)state;
    assert_true(msi_decode(0xfee05000, 0x0041, &m));
    assert_int_equal(m.dest, 5);
    assert_int_equal(m.vector, 0x41);
    assert_int_equal(m.delivery, APIC_FIXED);
    assert_false(m.logical || m.level || m.wide);
    assert_true(msi_decode(0xfee0300c, 0xc141, &m)); /* logical, redirectable, level assert */
    assert_true(m.logical && m.level);
    assert_int_equal(m.delivery, APIC_LOWEST);
    assert_true(msi_decode(0xfee00008, 0x8041, &m)); /* redirection hint, level de-assert */
    assert_int_equal(m.delivery, APIC_LOWEST);
    assert_false(m.level);
    assert_true(msi_decode(0xfee00008, 0x0400, &m));
    assert_int_equal(m.delivery, APIC_NMI);
    assert_false(msi_decode(0xfed00000, 0, &m));
    assert_false(msi_decode(0x1fee00000, 0, &m));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(only_four_bits_of_the_id_can_be_written),
        T(the_version_says_24_inputs_and_cannot_be_written),
        T(entries_start_masked_and_keep_their_writable_bits),
        T(registers_that_do_not_exist_read_zero),
        T(the_index_is_a_byte_and_the_data_a_dword),
        T(an_edge_sends_what_the_entry_says),
        T(an_edge_on_a_masked_input_is_lost),
        T(a_level_is_sent_again_only_after_its_eoi),
        T(a_level_on_a_masked_input_waits_for_the_mask),
        T(an_eoi_concerns_every_pin_of_its_vector),
        T(the_eoi_register_does_the_same),
        T(switching_to_edge_clears_remote_irr),
        T(remote_irr_cannot_be_written),
        T(a_level_that_nobody_took_may_be_sent_again),
        T(nmi_and_extint_are_edges_whatever_the_trigger_bit_says),
        T(the_polarity_bit_is_ignored),
        T(inputs_beyond_the_last_do_not_exist),
        T(reset_masks_everything),
        T(an_msi_is_decoded_by_the_sdm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
