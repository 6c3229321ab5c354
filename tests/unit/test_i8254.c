/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The PIT through its ports, with a clock that is stepped by whole ticks.
 */
#include "chip_rig.h"
#include "devices/i8254.h"

#include <cmocka.h>

enum { C0 = 0x40, C1, C2, CONTROL, P61 = 0x61 };

struct pit_rig {
    struct rig r;
    struct i8254 *p;
};

static int setup(void **state)
{
    struct pit_rig *t = calloc(1, sizeof *t);
    struct err e = {0};

    rig_init(&t->r);
    const struct irq_wire irq = probe_wire(&t->r.irq);
    t->p = i8254_new(&irq, t->r.clock, &e);
    assert_non_null(t->p);
    assert_non_null(
        bus_add(t->r.bus, "pit", C0, I8254_PORTS, &i8254_ops, t->p, i8254_lock(t->p), &e));
    assert_non_null(
        bus_add(t->r.bus, "port61", P61, 1, &i8254_port61_ops, t->p, i8254_lock(t->p), &e));
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct pit_rig *t = *state;

    i8254_free(t->p);
    rig_fini(&t->r);
    free(t);
    return 0;
}

/* Moves the clock to the beginning of tick `n`. */
static void tick_to(struct pit_rig *t, uint64_t n)
{
    uint64_t ns = (n * NS_PER_S + I8254_HZ - 1) / I8254_HZ;

    vclock_step(t->r.clock, ns - vclock_now_ns(t->r.clock));
}

static void count_write(struct pit_rig *t, uint64_t port, unsigned count)
{
    outb(&t->r, port, (uint8_t)count);
    outb(&t->r, port, (uint8_t)(count >> 8));
}

static void program(struct pit_rig *t, unsigned counter, unsigned mode, unsigned count)
{
    outb(&t->r, CONTROL, (uint8_t)(counter << 6 | 0x30 | mode << 1));
    count_write(t, C0 + counter, count);
}

static unsigned count_read(struct pit_rig *t, uint64_t port)
{
    unsigned low = inb(&t->r, port);

    return low | (unsigned)inb(&t->r, port) << 8;
}

static unsigned latched(struct pit_rig *t, unsigned counter)
{
    outb(&t->r, CONTROL, (uint8_t)(counter << 6));
    return count_read(t, C0 + counter);
}

static uint8_t status(struct pit_rig *t, unsigned counter)
{
    outb(&t->r, CONTROL, (uint8_t)(0xe0 | 2 << counter));
    return inb(&t->r, C0 + counter);
}

/* The pin of counter `n` at every tick from 1 on: "LLHH...". */
static void waveform(struct pit_rig *t, unsigned counter, uint64_t from, const char *want)
{
    for (unsigned i = 0; want[i]; i++) {
        tick_to(t, from + i);
        assert_int_equal(status(t, counter) >> 7, want[i] == 'H');
    }
}

static void mode_0_rises_at_terminal_count(void **state)
{
    struct pit_rig *t = *state;

    program(t, 0, 0, 4);
    assert_int_equal(t->r.irq.level, 0);
    assert_int_equal(status(t, 0), 0x70); /* not loaded before the next clock */
    waveform(t, 0, 1, "LLLLHHHH");
    assert_int_equal(t->r.irq.rises, 1);
    assert_int_equal(t->r.irq.level, 1);
    assert_int_equal(vclock_next_ns(t->r.clock), UINT64_MAX);
    program(t, 0, 0, 4);
    assert_int_equal(t->r.irq.level, 0);
}

static void mode_0_goes_on_counting_past_zero(void **state)
{
    struct pit_rig *t = *state;

    program(t, 0, 0, 4);
    tick_to(t, 1);
    assert_int_equal(latched(t, 0), 4);
    tick_to(t, 4);
    assert_int_equal(latched(t, 0), 1);
    tick_to(t, 5);
    assert_int_equal(latched(t, 0), 0);
    tick_to(t, 6);
    assert_int_equal(latched(t, 0), 0xffff);
}

static void the_first_byte_of_a_count_stops_mode_0(void **state)
{
    struct pit_rig *t = *state;

    program(t, 0, 0, 4);
    tick_to(t, 3);
    outb(&t->r, C0, 10);
    tick_to(t, 30);
    assert_int_equal(t->r.irq.level, 0);
    outb(&t->r, C0, 0);
    tick_to(t, 40);
    assert_int_equal(t->r.irq.level, 0);
    tick_to(t, 41);
    assert_int_equal(t->r.irq.level, 1);
}

static void mode_2_is_low_for_one_tick_of_its_period(void **state)
{
    struct pit_rig *t = *state;

    program(t, 1, 2, 4);
    waveform(t, 1, 1, "HHHLHHHLHHHL");
    tick_to(t, 13);
    assert_int_equal(latched(t, 1), 4);
    tick_to(t, 16);
    assert_int_equal(latched(t, 1), 1);
}

static void mode_3_is_a_square_wave(void **state)
{
    struct pit_rig *t = *state;

    program(t, 1, 3, 4);
    waveform(t, 1, 1, "HHLLHHLL");
    program(t, 1, 3, 5); /* from tick 9 */
    waveform(t, 1, 9, "HHHLLHHHLL");
}

static void mode_3_counts_by_two(void **state)
{
    static const unsigned even[] = {6, 4, 2, 6, 4, 2, 6}, odd[] = {4, 2, 0, 4, 2, 4, 2};
    struct pit_rig *t = *state;

    program(t, 1, 3, 6);
    for (unsigned i = 0; i < 7; i++) {
        tick_to(t, 1 + i);
        assert_int_equal(latched(t, 1), even[i]);
    }
    program(t, 1, 3, 5);
    for (unsigned i = 0; i < 7; i++) {
        tick_to(t, 8 + i);
        assert_int_equal(latched(t, 1), odd[i]);
    }
}

static void modes_6_and_7_are_2_and_3(void **state)
{
    struct pit_rig *t = *state;

    program(t, 1, 6, 3);
    waveform(t, 1, 1, "HHLHHL");
    program(t, 1, 7, 2);
    waveform(t, 1, 7, "HLHL");
}

static void mode_4_strobes_once(void **state)
{
    struct pit_rig *t = *state;

    program(t, 0, 4, 3);
    assert_int_equal(t->r.irq.level, 1);
    waveform(t, 0, 1, "HHHLHHHHHH");
    assert_int_equal(t->r.irq.rises, 2); /* the mode's own rise from mode 0, and the strobe's */
    count_write(t, C0, 3);
    tick_to(t, 20);
    assert_int_equal(t->r.irq.rises, 3);
    assert_int_equal(vclock_next_ns(t->r.clock), UINT64_MAX);
}

static void mode_1_is_started_by_the_gate(void **state)
{
    struct pit_rig *t = *state;

    program(t, 2, 1, 3);
    waveform(t, 2, 1, "HHH");
    outb(&t->r, P61, 1); /* at tick 3 */
    waveform(t, 2, 4, "LLLHH");
    outb(&t->r, P61, 0);
    outb(&t->r, P61, 1); /* at tick 8 */
    waveform(t, 2, 9, "LL");
    outb(&t->r, P61, 0);
    outb(&t->r, P61, 1); /* at tick 10: starts again */
    waveform(t, 2, 11, "LLLH");
}

static void mode_5_strobes_after_the_gate(void **state)
{
    struct pit_rig *t = *state;

    program(t, 2, 5, 2);
    waveform(t, 2, 1, "HH");
    outb(&t->r, P61, 1); /* at tick 2 */
    waveform(t, 2, 3, "HHLHHH");
}

static void the_gate_pauses_mode_0(void **state)
{
    struct pit_rig *t = *state;

    outb(&t->r, P61, 1);
    program(t, 2, 0, 10);
    tick_to(t, 4);
    outb(&t->r, P61, 0);
    tick_to(t, 1000);
    assert_int_equal(latched(t, 2), 7);
    assert_int_equal(inb(&t->r, P61) & 0x20, 0);
    outb(&t->r, P61, 1);
    tick_to(t, 1006);
    assert_int_equal(inb(&t->r, P61) & 0x20, 0);
    tick_to(t, 1007);
    assert_int_equal(inb(&t->r, P61) & 0x20, 0x20);
}

static void the_gate_restarts_modes_2_and_3(void **state)
{
    struct pit_rig *t = *state;

    program(t, 2, 2, 4);
    waveform(t, 2, 1, "HHHHHH"); /* gate low: high, and not counting */
    outb(&t->r, P61, 1);         /* at tick 6 */
    waveform(t, 2, 7, "HHHLHH");
    outb(&t->r, P61, 0);
    waveform(t, 2, 13, "HHHH");
    outb(&t->r, P61, 1); /* at tick 16 */
    waveform(t, 2, 17, "HHHL");
}

static void a_calibration_as_linux_makes_it_sees_the_time(void **state)
{
    struct pit_rig *t = *state;

    outb(&t->r, P61, (inb(&t->r, P61) & ~2) | 1);
    program(t, 2, 0, 11932); /* 10 ms */
    vclock_step(t->r.clock, 9990 * NS_PER_US);
    assert_int_equal(inb(&t->r, P61) & 0x20, 0);
    vclock_step(t->r.clock, 20 * NS_PER_US);
    assert_int_equal(inb(&t->r, P61) & 0x20, 0x20);
}

static void a_new_count_waits_for_the_end_of_the_period(void **state)
{
    struct pit_rig *t = *state;

    program(t, 1, 2, 5);
    tick_to(t, 3);
    count_write(t, C1, 3);
    assert_int_equal(status(t, 1) & 0x40, 0x40);
    waveform(t, 1, 4, "HLHHLHHL");
    assert_int_equal(status(t, 1) & 0x40, 0);
}

static void a_new_period_of_the_timer_loses_no_edge(void **state)
{
    struct pit_rig *t = *state;

    program(t, 0, 2, 1000);
    tick_to(t, 500);
    count_write(t, C0, 300);
    tick_to(t, 1000);
    assert_int_equal(t->r.irq.rises, 1); /* by programming the mode */
    tick_to(t, 1001);
    assert_int_equal(t->r.irq.rises, 2);
    tick_to(t, 1301);
    assert_int_equal(t->r.irq.rises, 3);
    tick_to(t, 1601);
    assert_int_equal(t->r.irq.rises, 4);
}

static void the_period_does_not_drift(void **state)
{
    struct pit_rig *t = *state;
    const unsigned count = 1193; /* Linux' 1000 Hz */

    program(t, 0, 2, count);
    for (unsigned i = 0; i < 100000; i++)
        vclock_step(t->r.clock, NS_PER_MS / 10);
    assert_int_equal(t->r.irq.rises - 1, (10ull * I8254_HZ - 1) / count);
    assert_int_equal(t->r.irq.falls, t->r.irq.rises - 1);
}

static void a_frantic_period_is_slowed_down_on_its_grid(void **state)
{
    struct pit_rig *t = *state;

    program(t, 0, 2, 2); /* 600,000 edges a second */
    vclock_step(t->r.clock, NS_PER_S);
    assert_in_range(t->r.irq.rises, 9000, 10100);
    assert_int_equal(status(t, 0) & 0x3f, 0x34);
}

static void a_frantic_period_keeps_its_phase(void **state)
{
    struct pit_rig *t = *state;

    program(t, 0, 2, 7); /* 17 periods are the first multiple beyond 100 us */
    for (unsigned i = 1; i < 50; i++) {
        tick_to(t, i * 17 * 7);
        assert_int_equal(t->r.irq.rises, i);
        tick_to(t, i * 17 * 7 + 1);
        assert_int_equal(t->r.irq.rises, i + 1);
    }
}

static void a_count_of_0_is_65536(void **state)
{
    struct pit_rig *t = *state;

    program(t, 0, 2, 0);
    tick_to(t, 65536);
    assert_int_equal(t->r.irq.rises, 1);
    assert_int_equal(latched(t, 0), 1);
    tick_to(t, 65537);
    assert_int_equal(t->r.irq.rises, 2);
    assert_int_equal(latched(t, 0), 0);
}

static void bcd_counts_in_decimal(void **state)
{
    struct pit_rig *t = *state;

    outb(&t->r, CONTROL, 0x31 | 2 << 1);
    count_write(t, C0, 0x1000);
    tick_to(t, 2);
    assert_int_equal(latched(t, 0), 0x0999);
    tick_to(t, 1001);
    assert_int_equal(t->r.irq.rises, 2);
    outb(&t->r, CONTROL, 0x31);
    count_write(t, C0, 0); /* 10000 */
    tick_to(t, 1003);
    assert_int_equal(latched(t, 0), 0x9999);
    outb(&t->r, CONTROL, 0x31);
    count_write(t, C0, 0xffff); /* no decimal number: taken digit by digit */
    tick_to(t, 1005);
    assert_in_range(latched(t, 0), 0, 0xffff);
}

static void low_and_high_byte_access_take_one_byte(void **state)
{
    struct pit_rig *t = *state;

    outb(&t->r, CONTROL, 0x10); /* counter 0, low byte, mode 0 */
    outb(&t->r, C0, 100);
    tick_to(t, 11);
    assert_int_equal(inb(&t->r, C0), 90);
    assert_int_equal(inb(&t->r, C0), 90);
    outb(&t->r, CONTROL, 0x20); /* high byte */
    outb(&t->r, C0, 2);
    tick_to(t, 13);
    assert_int_equal(inb(&t->r, C0), 1);
}

static void a_latch_holds_until_it_is_read(void **state)
{
    struct pit_rig *t = *state;

    program(t, 0, 0, 1000);
    tick_to(t, 101);
    outb(&t->r, CONTROL, 0x00);
    tick_to(t, 501);
    outb(&t->r, CONTROL, 0x00); /* ignored */
    assert_int_equal(count_read(t, C0), 900);
    assert_int_equal(count_read(t, C0), 500);
}

static void read_back_latches_several_counters_and_their_status(void **state)
{
    struct pit_rig *t = *state;

    program(t, 0, 2, 1000);
    program(t, 1, 3, 500);
    tick_to(t, 11);
    outb(&t->r, CONTROL, 0xc6); /* count and status of 0 and 1 */
    tick_to(t, 200);
    assert_int_equal(inb(&t->r, C0), 0xb4); /* output high, loaded, both bytes, mode 2 */
    assert_int_equal(count_read(t, C0), 990);
    assert_int_equal(inb(&t->r, C1), 0xb6);
    assert_int_equal(count_read(t, C1), 480);
}

static void the_control_port_cannot_be_read(void **state)
{
    struct pit_rig *t = *state;

    assert_int_equal(inb(&t->r, CONTROL), 0xff);
}

static void port_61_has_the_speaker_bits_and_the_refresh_toggle(void **state)
{
    struct pit_rig *t = *state;
    unsigned toggles = 0;
    uint8_t last;

    outb(&t->r, P61, 0xff);
    assert_int_equal(inb(&t->r, P61) & 0xcf, 0x0f);
    last = inb(&t->r, P61) & 0x10;
    for (unsigned i = 0; i < 1000; i++) {
        vclock_step(t->r.clock, NS_PER_US);
        toggles += (inb(&t->r, P61) & 0x10) != last;
        last = inb(&t->r, P61) & 0x10;
    }
    assert_in_range(toggles, 65, 67); /* every 15 us */
}

static void counters_that_were_never_programmed_are_quiet(void **state)
{
    struct pit_rig *t = *state;

    for (uint64_t port = C0; port <= C2; port++) {
        outb(&t->r, port, 0x55);
        assert_int_equal(inb(&t->r, port), 0);
    }
    vclock_step(t->r.clock, NS_PER_S);
    assert_int_equal(t->r.irq.rises, 0);
}

static void reset_stops_the_timer(void **state)
{
    struct pit_rig *t = *state;
    struct i8254_regs r;

    program(t, 0, 2, 1000);
    i8254_reset(t->p);
    assert_int_equal(t->r.irq.level, 0);
    assert_int_equal(vclock_next_ns(t->r.clock), UINT64_MAX);
    i8254_regs_get(t->p, &r);
    assert_true(r.counter[0].gate);
    assert_false(r.counter[2].gate);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(mode_0_rises_at_terminal_count),
        T(mode_0_goes_on_counting_past_zero),
        T(the_first_byte_of_a_count_stops_mode_0),
        T(mode_2_is_low_for_one_tick_of_its_period),
        T(mode_3_is_a_square_wave),
        T(mode_3_counts_by_two),
        T(modes_6_and_7_are_2_and_3),
        T(mode_4_strobes_once),
        T(mode_1_is_started_by_the_gate),
        T(mode_5_strobes_after_the_gate),
        T(the_gate_pauses_mode_0),
        T(the_gate_restarts_modes_2_and_3),
        T(a_calibration_as_linux_makes_it_sees_the_time),
        T(a_new_count_waits_for_the_end_of_the_period),
        T(a_new_period_of_the_timer_loses_no_edge),
        T(the_period_does_not_drift),
        T(a_frantic_period_keeps_its_phase),
        T(a_frantic_period_is_slowed_down_on_its_grid),
        T(a_count_of_0_is_65536),
        T(bcd_counts_in_decimal),
        T(low_and_high_byte_access_take_one_byte),
        T(a_latch_holds_until_it_is_read),
        T(read_back_latches_several_counters_and_their_status),
        T(the_control_port_cannot_be_read),
        T(port_61_has_the_speaker_bits_and_the_refresh_toggle),
        T(counters_that_were_never_programmed_are_quiet),
        T(reset_stops_the_timer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
