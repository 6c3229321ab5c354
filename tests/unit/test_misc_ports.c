/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The small ones through their ports: ACPI fixed hardware, debug ports, i8042.
 */
#include "chip_rig.h"
#include "devices/acpi_pm.h"
#include "devices/debug_ports.h"
#include "devices/i8042.h"
#include "devices/pc_map.h"

#include <cmocka.h>

enum { STS = PC_PM1_EVT_PORT, EN = STS + 2, CNT = PC_PM1_CNT_PORT, TMR = PC_PM_TMR_PORT };
enum { PWRBTN = 0x100, TMR_BIT = 1, SLP_EN = 0x2000 };

struct misc_rig {
    struct rig r;
    struct acpi_pm *pm;
    struct debug_ports *dbg;
    struct i8042 *kbc;
};

static void add(struct misc_rig *t, uint64_t port, uint64_t len, const struct bus_ops *ops,
                void *dev, pthread_mutex_t *lock)
{
    struct err e = {0};

    assert_non_null(bus_add(t->r.bus, "misc", port, len, ops, dev, lock, &e));
}

static struct misc_rig *rig_with(unsigned timer_bits)
{
    struct misc_rig *t = calloc(1, sizeof *t);
    struct err e = {0};

    rig_init(&t->r);
    const struct irq_wire sci = probe_wire(&t->r.irq);
    const struct acpi_pm_host pm_host = {power_note, &t->r.power};
    const struct i8042_host kbc_host = {power_note, &t->r.power};

    t->pm = acpi_pm_new(&sci, t->r.clock, timer_bits, &pm_host, &e);
    t->kbc = i8042_new(&kbc_host, &e);
    assert_non_null(t->pm);
    assert_non_null(t->kbc);
    add(t, STS, ACPI_PM_BYTES, &acpi_pm_ops, t->pm, acpi_pm_lock(t->pm));
    add(t, 0x60, 1, &i8042_data_ops, t->kbc, i8042_lock(t->kbc));
    add(t, 0x64, 1, &i8042_command_ops, t->kbc, i8042_lock(t->kbc));
    add(t, 0x92, 1, &i8042_port92_ops, t->kbc, i8042_lock(t->kbc));
    return t;
}

static void debug_out(void *opaque, const void *buf, size_t len)
{
    sink_out(&((struct misc_rig *)opaque)->r.sink, buf, len);
}

static void debug_power(void *opaque, enum board_power what, unsigned code)
{
    power_note(&((struct misc_rig *)opaque)->r.power, what, code);
}

static int setup(void **state)
{
    struct misc_rig *t = rig_with(32);
    const struct debug_ports_host host = {debug_out, debug_power, t};
    struct err e = {0};

    t->dbg = debug_ports_new(&host, &e);
    assert_non_null(t->dbg);
    add(t, 0x80, DEBUG_POST_BYTES, &debug_post_ops, t->dbg, debug_ports_lock(t->dbg));
    add(t, 0xe9, DEBUG_CONSOLE_BYTES, &debug_console_ops, t->dbg, debug_ports_lock(t->dbg));
    add(t, 0xf4, DEBUG_EXIT_BYTES, &debug_exit_ops, t->dbg, debug_ports_lock(t->dbg));
    *state = t;
    return 0;
}

static int setup_24_bit_timer(void **state)
{
    *state = rig_with(24);
    return 0;
}

static int teardown(void **state)
{
    struct misc_rig *t = *state;

    acpi_pm_free(t->pm);
    debug_ports_free(t->dbg);
    i8042_free(t->kbc);
    rig_fini(&t->r);
    free(t);
    return 0;
}

/* ---- ACPI fixed hardware */

static void the_power_button_raises_sci_only_if_enabled(void **state)
{
    struct misc_rig *t = *state;

    assert_false(acpi_pm_power_button(t->pm));
    assert_int_equal(t->r.irq.level, 0);
    assert_int_equal(inw(&t->r, STS), PWRBTN);
    outw(&t->r, EN, PWRBTN); /* it was pressed before the guest listened */
    assert_int_equal(t->r.irq.level, 1);
    outw(&t->r, STS, PWRBTN);
    assert_int_equal(t->r.irq.level, 0);
    assert_true(acpi_pm_power_button(t->pm));
    assert_int_equal(t->r.irq.level, 1);
}

static void status_bits_are_cleared_by_writing_ones(void **state)
{
    struct misc_rig *t = *state;

    acpi_pm_power_button(t->pm);
    outw(&t->r, STS, 0);
    assert_int_equal(inw(&t->r, STS), PWRBTN);
    outw(&t->r, STS, (uint16_t)~PWRBTN);
    assert_int_equal(inw(&t->r, STS), PWRBTN);
    outb(&t->r, STS + 1, 1); /* by parts */
    assert_int_equal(inw(&t->r, STS), 0);
}

static void event_registers_can_be_accessed_as_one_dword(void **state)
{
    struct misc_rig *t = *state;

    outl(&t->r, STS, 0x01000000);
    assert_int_equal(inl(&t->r, STS), 0x01000000);
    assert_int_equal(inb(&t->r, EN + 1), 1);
    outw(&t->r, EN, 0xffff);
    assert_int_equal(inw(&t->r, EN), 0x0721); /* no other bits exist */
}

static void the_machine_is_always_in_acpi_mode(void **state)
{
    struct misc_rig *t = *state;

    assert_int_equal(inw(&t->r, CNT), 1);
    outw(&t->r, CNT, 0);
    assert_int_equal(inw(&t->r, CNT), 1);
}

static void sleep_type_5_powers_off(void **state)
{
    struct misc_rig *t = *state;

    outw(&t->r, CNT, 5 << 10); /* SLP_TYP first, as ACPICA does */
    assert_int_equal(t->r.power.count, 0);
    outw(&t->r, CNT, 5 << 10 | SLP_EN);
    assert_int_equal(t->r.power.count, 1);
    assert_int_equal(t->r.power.what, BOARD_POWEROFF);
    assert_int_equal(inw(&t->r, CNT), 5 << 10 | 1); /* SLP_EN reads zero */
}

static void other_sleep_types_are_counted_and_ignored(void **state)
{
    struct misc_rig *t = *state;

    for (unsigned type = 0; type < 8; type++)
        if (type != 5)
            outw(&t->r, CNT, (uint16_t)(type << 10 | SLP_EN));
    assert_int_equal(t->r.power.count, 0);
    assert_int_equal(acpi_pm_bad_sleeps(t->pm), 7);
}

static void the_timer_counts_at_3_579545_mhz(void **state)
{
    struct misc_rig *t = *state;

    assert_int_equal(inl(&t->r, TMR), 0);
    vclock_step(t->r.clock, NS_PER_S);
    assert_int_equal(inl(&t->r, TMR), 3579545);
    vclock_step(t->r.clock, 999 * NS_PER_S);
    assert_int_equal(inl(&t->r, TMR), 3579545000u);
    assert_int_equal(inw(&t->r, TMR + 2), 3579545000u >> 16);
    outl(&t->r, TMR, 1);
    assert_int_equal(inl(&t->r, TMR), 3579545000u);
    vclock_step(t->r.clock, 200 * NS_PER_S);
    assert_int_equal(inl(&t->r, TMR), (uint32_t)(3579545ull * 1200));
}

static void a_24_bit_timer_wraps_at_24_bits(void **state)
{
    struct misc_rig *t = *state;

    vclock_step(t->r.clock, 10 * NS_PER_S);
    assert_int_equal(inl(&t->r, TMR), 35795450 & 0xffffff);
}

static void the_timers_top_bit_sets_its_status_and_sci(void **state)
{
    struct misc_rig *t = *state;
    const uint64_t half_ns = 2343484438; /* 2^23 / 3579545 Hz, rounded up */

    outw(&t->r, EN, TMR_BIT);
    vclock_step(t->r.clock, half_ns - 1);
    assert_int_equal(t->r.irq.level, 0);
    vclock_step(t->r.clock, 1);
    assert_int_equal(t->r.irq.level, 1);
    assert_int_equal(inw(&t->r, STS), TMR_BIT);
    outw(&t->r, STS, TMR_BIT);
    assert_int_equal(t->r.irq.level, 0);
    vclock_step(t->r.clock, 4 * NS_PER_S);
    assert_int_equal(t->r.irq.rises, 2);
    outw(&t->r, EN, 0);
    outw(&t->r, STS, TMR_BIT);
    assert_int_equal(vclock_next_ns(t->r.clock), UINT64_MAX);
    vclock_step(t->r.clock,
                4 * NS_PER_S); /* nobody waits, yet the status is right when looked at */
    assert_int_equal(inw(&t->r, STS), TMR_BIT);
}

static void acpi_reset_clears_events(void **state)
{
    struct misc_rig *t = *state;
    struct acpi_pm_regs r;

    outw(&t->r, EN, PWRBTN);
    acpi_pm_power_button(t->pm);
    acpi_pm_reset(t->pm);
    assert_int_equal(t->r.irq.level, 0);
    acpi_pm_regs_get(t->pm, &r);
    assert_int_equal(r.pm1_sts | r.pm1_en | r.pm1_cnt, 0);
}

static void ports_between_the_blocks_read_zero_and_swallow_writes(void **state)
{
    struct misc_rig *t = *state;

    outw(&t->r, CNT + 2, 0xffff);
    assert_int_equal(inw(&t->r, CNT + 2), 0);
    assert_int_equal(inl(&t->r, CNT), 1);
}

/* ---- debug ports */

static void the_debug_console_prints_and_tells_that_it_is_there(void **state)
{
    struct misc_rig *t = *state;

    assert_int_equal(inb(&t->r, 0xe9), 0xe9);
    outb(&t->r, 0xe9, 'h');
    outb(&t->r, 0xe9, 'i');
    assert_int_equal(t->r.sink.len, 2);
    assert_memory_equal(t->r.sink.buf, "hi", 2);
}

static void debug_exit_gives_its_value_in_any_width(void **state)
{
    struct misc_rig *t = *state;

    outb(&t->r, 0xf4, 7);
    assert_int_equal(t->r.power.what, BOARD_DEBUG_EXIT);
    assert_int_equal(t->r.power.code, 7);
    outw(&t->r, 0xf4, 0x1234);
    assert_int_equal(t->r.power.code, 0x1234);
    outl(&t->r, 0xf4, 0x12345678);
    assert_int_equal(t->r.power.code, 0x12345678);
    assert_int_equal(t->r.power.count, 3);
    outb(&t->r, 0xf5, 1);
    assert_int_equal(t->r.power.count, 3);
    assert_int_equal(inl(&t->r, 0xf4), 0);
}

static void the_post_code_reads_back_until_reset(void **state)
{
    struct misc_rig *t = *state;

    outb(&t->r, 0x80, 0x42);
    assert_int_equal(inb(&t->r, 0x80), 0x42);
    assert_int_equal(debug_ports_post(t->dbg), 0x42);
    debug_ports_reset(t->dbg);
    assert_int_equal(inb(&t->r, 0x80), 0);
}

/* ---- i8042 */

static void command_fe_resets_the_machine(void **state)
{
    struct misc_rig *t = *state;

    assert_int_equal(inb(&t->r, 0x64) & 2, 0); /* a kernel waits for this before it writes */
    outb(&t->r, 0x64, 0xfe);
    assert_int_equal(t->r.power.count, 1);
    assert_int_equal(t->r.power.what, BOARD_RESET);
    outb(&t->r, 0x64, 0xff); /* pulses nothing */
    assert_int_equal(t->r.power.count, 1);
}

static void the_output_port_holds_a20_and_reset(void **state)
{
    struct misc_rig *t = *state;

    outb(&t->r, 0x64, 0xd0);
    assert_int_equal(inb(&t->r, 0x64) & 1, 1);
    assert_int_equal(inb(&t->r, 0x60) & 3, 3);
    outb(&t->r, 0x64, 0xd1);
    outb(&t->r, 0x60, 0xdd); /* A20 off */
    assert_int_equal(t->r.power.count, 0);
    assert_int_equal(inb(&t->r, 0x92), 0);
    outb(&t->r, 0x64, 0xdf);
    assert_int_equal(inb(&t->r, 0x92), 2);
    outb(&t->r, 0x64, 0xd1);
    outb(&t->r, 0x60, 0x02); /* reset line low */
    assert_int_equal(t->r.power.count, 1);
}

static void port_92_resets_when_its_bit_rises(void **state)
{
    struct misc_rig *t = *state;

    outb(&t->r, 0x92, 0x02);
    assert_int_equal(t->r.power.count, 0);
    outb(&t->r, 0x92, 0x03);
    outb(&t->r, 0x92, 0x03);
    assert_int_equal(t->r.power.count, 1);
    assert_int_equal(t->r.power.what, BOARD_RESET);
}

static void a_probe_of_the_controller_is_answered_at_once(void **state)
{
    static const struct { uint8_t cmd, answer; } row[] = {{0xaa, 0x55}, {0xab, 0x01}, {0xa9, 0x01}};
    struct misc_rig *t = *state;

    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        outb(&t->r, 0x64, row[i].cmd);
        assert_int_equal(inb(&t->r, 0x64) & 3, 1);
        assert_int_equal(inb(&t->r, 0x60), row[i].answer);
        assert_int_equal(inb(&t->r, 0x64) & 3, 0);
    }
}

static void the_command_byte_reads_back(void **state)
{
    struct misc_rig *t = *state;

    outb(&t->r, 0x64, 0x60);
    outb(&t->r, 0x60, 0x74);
    outb(&t->r, 0x64, 0x20);
    assert_int_equal(inb(&t->r, 0x60), 0x74);
    outb(&t->r, 0x64, 0xae);
    outb(&t->r, 0x64, 0xa8);
    outb(&t->r, 0x64, 0x20);
    assert_int_equal(inb(&t->r, 0x60), 0x44);
}

static void nobody_at_the_keyboard_port_times_out(void **state)
{
    struct misc_rig *t = *state;

    outb(&t->r, 0x60, 0xf2);
    assert_int_equal(inb(&t->r, 0x64) & 0x61, 0x41);
    assert_int_equal(inb(&t->r, 0x60), 0xfe);
    outb(&t->r, 0x64, 0xd3); /* Linux' test for a mouse port expects its byte back */
    outb(&t->r, 0x60, 0x5a);
    assert_int_equal(inb(&t->r, 0x64) & 0x61, 0x61);
    assert_int_not_equal(inb(&t->r, 0x60), 0x5a);
}

static void i8042_reset_forgets_a_half_given_command(void **state)
{
    struct misc_rig *t = *state;
    struct i8042_regs r;

    outb(&t->r, 0x64, 0xd1);
    i8042_reset(t->kbc);
    outb(&t->r, 0x60, 0x00); /* would have been a reset */
    assert_int_equal(t->r.power.count, 0);
    i8042_regs_get(t->kbc, &r);
    assert_int_equal(r.port92, 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define T24(f) cmocka_unit_test_setup_teardown(f, setup_24_bit_timer, teardown)
    const struct CMUnitTest tests[] = {
        T(the_power_button_raises_sci_only_if_enabled),
        T(status_bits_are_cleared_by_writing_ones),
        T(event_registers_can_be_accessed_as_one_dword),
        T(the_machine_is_always_in_acpi_mode),
        T(sleep_type_5_powers_off),
        T(other_sleep_types_are_counted_and_ignored),
        T(the_timer_counts_at_3_579545_mhz),
        T24(a_24_bit_timer_wraps_at_24_bits),
        T24(the_timers_top_bit_sets_its_status_and_sci),
        T(acpi_reset_clears_events),
        T(ports_between_the_blocks_read_zero_and_swallow_writes),
        T(the_debug_console_prints_and_tells_that_it_is_there),
        T(debug_exit_gives_its_value_in_any_width),
        T(the_post_code_reads_back_until_reset),
        T(command_fe_resets_the_machine),
        T(the_output_port_holds_a20_and_reset),
        T(port_92_resets_when_its_bit_rises),
        T(a_probe_of_the_controller_is_answered_at_once),
        T(the_command_byte_reads_back),
        T(nobody_at_the_keyboard_port_times_out),
        T(i8042_reset_forgets_a_half_given_command),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
