/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The RTC through its two ports. The host's time of day is the manual clock plus EPOCH.
 */
#include "chip_rig.h"
#include "devices/mc146818.h"

#include <cmocka.h>

enum { SEC, SEC_ALARM, MIN, MIN_ALARM, HOUR, HOUR_ALARM, WDAY, MDAY, MONTH, YEAR, A, B, C, D };
enum { CENTURY = 0x32 };
enum { UIE = 16, AIE = 32, PIE = 64, SET = 128, H24 = 2, BINARY = 4 };

#define EPOCH 1718454645ull /* Saturday 2024-06-15 12:30:45 UTC */

struct rtc_rig {
    struct rig r;
    struct mc146818 *m;
    uint64_t host_jump_s; /* the host's clock was set forward */
};

static uint64_t host_time(void *opaque)
{
    struct rtc_rig *t = opaque;

    return (EPOCH + t->host_jump_s) * NS_PER_S + vclock_now_ns(t->r.clock);
}

static int setup(void **state)
{
    struct rtc_rig *t = calloc(1, sizeof *t);
    const struct mc146818_params p = {.low_bytes = 3ull << 30, .high_bytes = 5ull << 30, .vcpus = 4,
                                      .real_ns = host_time, .opaque = t};
    struct err e = {0};

    rig_init(&t->r);
    const struct irq_wire irq = probe_wire(&t->r.irq);
    t->m = mc146818_new(&irq, t->r.clock, &p, &e);
    assert_non_null(t->m);
    assert_non_null(bus_add(t->r.bus, "rtc", 0x70, MC146818_PORTS, &mc146818_ops, t->m,
                            mc146818_lock(t->m), &e));
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct rtc_rig *t = *state;

    mc146818_free(t->m);
    rig_fini(&t->r);
    free(t);
    return 0;
}

static uint8_t get(struct rtc_rig *t, uint8_t reg)
{
    outb(&t->r, 0x70, reg);
    return inb(&t->r, 0x71);
}

static void put(struct rtc_rig *t, uint8_t reg, uint8_t val)
{
    outb(&t->r, 0x70, reg);
    outb(&t->r, 0x71, val);
}

static void expect(struct rtc_rig *t, const uint8_t (*want)[2], size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_int_equal(get(t, want[i][0]), want[i][1]);
}

#define EXPECT(t, ...) \
    do { \
        static const uint8_t want[][2] = {__VA_ARGS__}; \
        expect(t, want, sizeof want / sizeof *want); \
    } while (0)

static void time_of_day_is_the_hosts_in_bcd(void **state)
{
    EXPECT(*state, {SEC, 0x45}, {MIN, 0x30}, {HOUR, 0x12}, {WDAY, 7}, {MDAY, 0x15}, {MONTH, 6},
           {YEAR, 0x24}, {CENTURY, 0x20});
}

static void binary_mode_shows_plain_numbers(void **state)
{
    put(*state, B, H24 | BINARY);
    EXPECT(*state, {SEC, 45}, {MIN, 30}, {HOUR, 12}, {MDAY, 15}, {MONTH, 6}, {YEAR, 24},
           {CENTURY, 20});
}

static void twelve_hour_mode_marks_the_afternoon(void **state)
{
    static const struct { unsigned hour; uint8_t shown; } row[] = {
        {0, 0x12}, {1, 0x01}, {11, 0x11}, {12, 0x92}, {13, 0x81}, {23, 0x91},
    };
    struct rtc_rig *t = *state;

    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        put(t, B, H24 | BINARY);
        put(t, HOUR, (uint8_t)row[i].hour);
        put(t, B, 0);
        assert_int_equal(get(t, HOUR), row[i].shown);
        put(t, HOUR, row[i].shown); /* and back */
        put(t, B, H24 | BINARY);
        assert_int_equal(get(t, HOUR), row[i].hour);
    }
}

static void time_goes_on_by_itself(void **state)
{
    struct rtc_rig *t = *state;

    vclock_step(t->r.clock, 14 * NS_PER_S);
    EXPECT(t, {SEC, 0x59}, {MIN, 0x30});
    vclock_step(t->r.clock, NS_PER_S);
    EXPECT(t, {SEC, 0x00}, {MIN, 0x31});
    vclock_step(t->r.clock, 200ull * 86400 * NS_PER_S);
    EXPECT(t, {YEAR, 0x25}, {MONTH, 1}, {MDAY, 1}, {SEC, 0});
}

static void update_in_progress_warns_before_the_second_ends(void **state)
{
    struct rtc_rig *t = *state;

    assert_int_equal(get(t, A), 0x26);
    vclock_step(t->r.clock, NS_PER_S - 250 * NS_PER_US);
    assert_int_equal(get(t, A), 0x26);
    vclock_step(t->r.clock, 10 * NS_PER_US);
    assert_int_equal(get(t, A), 0xa6);
    vclock_step(t->r.clock, 240 * NS_PER_US);
    assert_int_equal(get(t, A), 0x26);
    assert_int_equal(get(t, SEC), 0x46);
}

static void set_stops_the_clock_and_lets_it_be_set(void **state)
{
    struct rtc_rig *t = *state;

    put(t, B, SET | H24);
    vclock_step(t->r.clock, 5 * NS_PER_S);
    assert_int_equal(get(t, SEC), 0x45);
    assert_int_equal(get(t, A) & 0x80, 0);
    put(t, SEC, 0x59);
    put(t, MIN, 0x59);
    put(t, HOUR, 0x23);
    put(t, MDAY, 0x31);
    put(t, MONTH, 0x12);
    put(t, YEAR, 0x99);
    put(t, CENTURY, 0x19);
    put(t, B, H24);
    EXPECT(t, {SEC, 0x59}, {YEAR, 0x99}, {CENTURY, 0x19}, {WDAY, 6});
    vclock_step(t->r.clock, NS_PER_S);
    EXPECT(t, {SEC, 0}, {MIN, 0}, {HOUR, 0}, {MDAY, 1}, {MONTH, 1}, {YEAR, 0}, {CENTURY, 0x20},
           {WDAY, 7});
}

static void a_running_clock_can_be_set_byte_by_byte(void **state)
{
    struct rtc_rig *t = *state;

    vclock_step(t->r.clock, NS_PER_S / 4);
    put(t, HOUR, 0x03);
    EXPECT(t, {SEC, 0x45}, {MIN, 0x30}, {HOUR, 0x03}, {MDAY, 0x15});
    vclock_step(t->r.clock, NS_PER_S * 3 / 4 - 1);
    assert_int_equal(get(t, SEC), 0x45);
    vclock_step(t->r.clock, 1);
    assert_int_equal(get(t, SEC), 0x46);
}

static void the_first_update_follows_half_a_second_after_the_dividers_start(void **state)
{
    struct rtc_rig *t = *state;

    vclock_step(t->r.clock, NS_PER_S / 10);
    put(t, A, 0x70 | 6); /* as Linux does when it sets the time */
    put(t, SEC, 0x10);
    vclock_step(t->r.clock, 3 * NS_PER_S);
    assert_int_equal(get(t, SEC), 0x10);
    put(t, A, 0x26);
    vclock_step(t->r.clock, NS_PER_S / 2 - 1);
    assert_int_equal(get(t, SEC), 0x10);
    vclock_step(t->r.clock, 1);
    assert_int_equal(get(t, SEC), 0x11);
}

static void nonsense_in_the_time_bytes_is_carried_over(void **state)
{
    struct rtc_rig *t = *state;

    put(t, B, SET | H24 | BINARY);
    for (uint8_t reg = SEC; reg <= YEAR; reg++)
        put(t, reg, 0xff);
    put(t, CENTURY, 0xff);
    assert_int_equal(get(t, MONTH), 0xff);
    put(t, B, H24 | BINARY);
    assert_in_range(get(t, MONTH), 1, 12);
    assert_in_range(get(t, SEC), 0, 59);
    put(t, B, SET | H24);
    for (uint8_t reg = SEC; reg <= YEAR; reg++)
        put(t, reg, 0);
    put(t, CENTURY, 0);
    put(t, B, H24);
    assert_in_range(get(t, MDAY), 0x01, 0x31);
    vclock_step(t->r.clock, 2 * NS_PER_S);
    assert_int_equal(get(t, SEC), 2);
}

static void the_update_ended_interrupt_comes_every_second(void **state)
{
    struct rtc_rig *t = *state;

    vclock_step(t->r.clock, NS_PER_S / 3);
    put(t, B, H24 | UIE);
    for (unsigned i = 1; i <= 5; i++) {
        vclock_step(t->r.clock, NS_PER_S);
        assert_int_equal(t->r.irq.rises, i);
        assert_int_equal(get(t, C) & ~0x40, 0x80 | UIE);
        assert_int_equal(t->r.irq.level, 0);
        assert_int_equal(get(t, C), 0);
    }
}

static void setting_the_set_bit_disables_update_interrupts(void **state)
{
    struct rtc_rig *t = *state;

    put(t, B, SET | H24 | UIE);
    assert_int_equal(get(t, B), SET | H24);
}

static void flags_are_set_without_their_interrupts(void **state)
{
    struct rtc_rig *t = *state;

    assert_int_equal(get(t, C), 0);
    assert_int_equal(vclock_next_ns(t->r.clock), UINT64_MAX); /* and cost nothing */
    vclock_step(t->r.clock, NS_PER_S);
    assert_int_equal(t->r.irq.rises, 0);
    assert_int_equal(get(t, C), 0x40 | 0x10);
    assert_int_equal(get(t, C), 0);
}

static void the_periodic_rate_does_not_drift(void **state)
{
    struct rtc_rig *t = *state;

    put(t, A, 0x26); /* 1024 Hz: 976562.5 ns */
    put(t, B, H24 | PIE);
    for (unsigned i = 0; i < 10000; i++) {
        vclock_step(t->r.clock, NS_PER_MS / 10);
        if (t->r.irq.level)
            get(t, C);
    }
    assert_int_equal(t->r.irq.rises, 1024);
}

static void every_periodic_rate_has_its_frequency(void **state)
{
    static const unsigned hz[16] = {0,   256, 128, 8192, 4096, 2048, 1024, 512,
                                    256, 128, 64,  32,   16,   8,    4,    2};
    struct rtc_rig *t = *state;

    put(t, B, H24 | PIE);
    for (unsigned rate = 0; rate < 16; rate++) {
        unsigned before;

        put(t, A, (uint8_t)(0x20 | rate));
        get(t, C);
        before = t->r.irq.rises;
        for (unsigned i = 0; i < 50000; i++) {
            vclock_step(t->r.clock, 20 * NS_PER_US);
            if (t->r.irq.level)
                get(t, C);
        }
        assert_int_equal(t->r.irq.rises - before, hz[rate]);
    }
}

static void an_unread_periodic_flag_stops_the_host_timer(void **state)
{
    struct rtc_rig *t = *state;

    put(t, A, 0x23);
    put(t, B, H24 | PIE);
    vclock_step(t->r.clock, NS_PER_S);
    assert_int_equal(t->r.irq.rises, 1);
    assert_int_equal(vclock_next_ns(t->r.clock), UINT64_MAX);
    assert_int_equal(get(t, C) & 0xc0, 0xc0);
    vclock_step(t->r.clock, NS_PER_MS);
    assert_int_equal(t->r.irq.rises, 2);
}

static void the_alarm_rings_at_its_time(void **state)
{
    struct rtc_rig *t = *state;

    put(t, HOUR_ALARM, 0x12);
    put(t, MIN_ALARM, 0x31);
    put(t, SEC_ALARM, 0x10);
    put(t, B, H24 | AIE);
    vclock_step(t->r.clock, 25 * NS_PER_S - 1);
    assert_int_equal(t->r.irq.level, 0);
    vclock_step(t->r.clock, 1);
    assert_int_equal(t->r.irq.level, 1);
    assert_int_equal(get(t, C) & 0xa0, 0xa0);
    vclock_step(t->r.clock, 86399 * NS_PER_S);
    assert_int_equal(t->r.irq.rises, 1);
    vclock_step(t->r.clock, NS_PER_S);
    assert_int_equal(t->r.irq.rises, 2);
}

static void an_alarm_byte_of_c0_matches_always(void **state)
{
    struct rtc_rig *t = *state;
    unsigned seconds = 0;

    put(t, HOUR_ALARM, 0xff);
    put(t, MIN_ALARM, 0xc0);
    put(t, SEC_ALARM, 0x05);
    put(t, B, H24 | AIE);
    for (; seconds < 600; seconds++) {
        vclock_step(t->r.clock, NS_PER_S);
        if (t->r.irq.level)
            get(t, C);
    }
    assert_int_equal(t->r.irq.rises, 10);
}

static void an_alarm_passed_while_the_guest_was_paused_rings(void **state)
{
    struct rtc_rig *t = *state;

    put(t, HOUR_ALARM, 0x12);
    put(t, MIN_ALARM, 0x40);
    put(t, SEC_ALARM, 0x00);
    put(t, B, H24 | AIE);
    t->host_jump_s = 3600;
    vclock_step(t->r.clock, NS_PER_S);
    assert_int_equal(t->r.irq.level, 1);
}

static void setting_the_time_past_the_alarm_does_not_ring(void **state)
{
    struct rtc_rig *t = *state;

    put(t, HOUR_ALARM, 0x13);
    put(t, MIN_ALARM, 0x00);
    put(t, SEC_ALARM, 0x00);
    put(t, B, H24 | AIE);
    put(t, HOUR, 0x14);
    vclock_step(t->r.clock, 10 * NS_PER_S);
    assert_int_equal(t->r.irq.level, 0);
}

static void the_index_port_ignores_the_nmi_bit(void **state)
{
    struct rtc_rig *t = *state;

    outb(&t->r, 0x70, 0x80 | D);
    assert_int_equal(inb(&t->r, 0x71), 0x80);
    assert_int_equal(inb(&t->r, 0x70), 0xff);
}

static void registers_c_and_d_are_read_only(void **state)
{
    struct rtc_rig *t = *state;

    put(t, C, 0xff);
    put(t, D, 0x00);
    assert_int_equal(get(t, C), 0);
    assert_int_equal(get(t, D), 0x80);
    put(t, A, 0xff & ~0x60);
    assert_int_equal(get(t, A), 0x1f);
}

static void memory_sizes_are_where_firmware_puts_them(void **state)
{
    EXPECT(*state, {0x15, 0x80}, {0x16, 0x02}, {0x17, 0xff}, {0x18, 0xff}, {0x30, 0xff},
           {0x31, 0xff}, {0x34, 0x00}, {0x35, 0xbf}, /* (3 GiB - 16 MiB) / 64 KiB */
           {0x5b, 0x00}, {0x5c, 0x40}, {0x5d, 0x01}, /* 5 GiB / 64 KiB */
           {0x5f, 3});
}

static void the_cmos_checksum_is_right(void **state)
{
    unsigned sum = 0;

    for (uint8_t i = 0x10; i <= 0x2d; i++)
        sum += get(*state, i);
    assert_int_equal(get(*state, 0x2e) << 8 | get(*state, 0x2f), sum);
}

static void other_bytes_are_memory(void **state)
{
    struct rtc_rig *t = *state;

    put(t, 0x0f, 0x0a);
    put(t, 0x7f, 0x55);
    assert_int_equal(get(t, 0x0f), 0x0a);
    assert_int_equal(get(t, 0x7f), 0x55);
}

static void reset_keeps_the_time_that_was_set(void **state)
{
    struct rtc_rig *t = *state;

    put(t, YEAR, 0x30);
    put(t, B, H24 | PIE | UIE | AIE);
    vclock_step(t->r.clock, 2 * NS_PER_S);
    assert_int_equal(t->r.irq.level, 1);
    mc146818_reset(t->m);
    assert_int_equal(t->r.irq.level, 0);
    EXPECT(t, {YEAR, 0x30}, {SEC, 0x47}, {B, H24}, {0x5f, 3});
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(time_of_day_is_the_hosts_in_bcd),
        T(binary_mode_shows_plain_numbers),
        T(twelve_hour_mode_marks_the_afternoon),
        T(time_goes_on_by_itself),
        T(update_in_progress_warns_before_the_second_ends),
        T(set_stops_the_clock_and_lets_it_be_set),
        T(a_running_clock_can_be_set_byte_by_byte),
        T(the_first_update_follows_half_a_second_after_the_dividers_start),
        T(nonsense_in_the_time_bytes_is_carried_over),
        T(the_update_ended_interrupt_comes_every_second),
        T(setting_the_set_bit_disables_update_interrupts),
        T(flags_are_set_without_their_interrupts),
        T(the_periodic_rate_does_not_drift),
        T(every_periodic_rate_has_its_frequency),
        T(an_unread_periodic_flag_stops_the_host_timer),
        T(the_alarm_rings_at_its_time),
        T(an_alarm_byte_of_c0_matches_always),
        T(an_alarm_passed_while_the_guest_was_paused_rings),
        T(setting_the_time_past_the_alarm_does_not_ring),
        T(the_index_port_ignores_the_nmi_bit),
        T(registers_c_and_d_are_read_only),
        T(memory_sizes_are_where_firmware_puts_them),
        T(the_cmos_checksum_is_right),
        T(other_bytes_are_memory),
        T(reset_keeps_the_time_that_was_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
