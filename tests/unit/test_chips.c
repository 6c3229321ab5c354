/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * All classic chips at once, as in a running machine: two vCPU threads, the I/O thread with a
 * live clock, and the main thread that types. What is checked is that nothing deadlocks, that
 * every byte arrives, and, under ThreadSanitizer, that nothing is touched without its lock.
 */
#include "chip_machine.h"
#include "core/loop.h"

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>

enum { CPUS = 2, ROUNDS = 20000, BYTES = 20000 };

struct machine {
    struct chips c;
    struct loop *loop;
    struct vclock *clock;
    _Atomic unsigned events, sent, rooms, powers, taken;
    _Atomic uint64_t received; /* bytes that the guest read */
    _Atomic bool out_of_order, stop;
};

static void count_event(void *opaque, unsigned cpu, enum cpu_event ev, uint8_t vector)
{
    (void)cpu, (void)ev, (void)vector;
    ((struct machine *)opaque)->events++;
}

static uint64_t tsc_to_ns(void *opaque, unsigned cpu, uint64_t tsc)
{
    (void)opaque, (void)cpu;
    return tsc;
}

static uint64_t tsc_now(void *opaque, unsigned cpu)
{
    (void)cpu;
    return vclock_now_ns(((struct machine *)opaque)->clock);
}

static void count_out(void *opaque, const void *buf, size_t len)
{
    (void)buf;
    ((struct machine *)opaque)->sent += (unsigned)len;
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

static int setup(void **state)
{
    struct machine *m = calloc(1, sizeof *m);
    const struct chips_host host = {.cpus = CPUS,
                                    .opaque = m,
                                    .cpu_event = count_event,
                                    .tsc_to_ns = tsc_to_ns,
                                    .tsc_now = tsc_now,
                                    .out = count_out,
                                    .room = count_room,
                                    .power = count_power};

    m->loop = loop_new(NULL);
    m->clock = vclock_new(m->loop, NULL);
    assert_non_null(m->clock);
    assert_true(chips_new(&m->c, m->clock, &host));
    *state = m;
    return 0;
}

static int teardown(void **state)
{
    struct machine *m = *state;

    chips_free(&m->c);
    vclock_free(m->clock);
    loop_free(m->loop);
    free(m);
    return 0;
}

static uint8_t pin(struct machine *m, uint64_t port)
{
    uint64_t val;

    bus_read(m->c.pio, port, 1, &val);
    return (uint8_t)val;
}

static void pout(struct machine *m, uint64_t port, uint8_t val)
{
    bus_write(m->c.pio, port, 1, val);
}

static void lwr(struct machine *m, unsigned cpu, uint32_t off, uint32_t val)
{
    m->c.chip.ops->mmio_write(m->c.chip.chip, cpu, off, val);
}

/* Reads what was typed: bytes count up, so that a lost or doubled one shows. */
static void uart_drain(struct machine *m)
{
    while (pin(m, PC_COM1_PORT + 5) & 1) {
        uint8_t c = pin(m, PC_COM1_PORT);

        if (c != (uint8_t)m->received)
            m->out_of_order = true;
        m->received++;
    }
}

/* Starts every source of interrupts there is. */
static void kernel_boot(struct machine *m)
{
    static const uint8_t gsi[] = {2, PC_GSI_COM1, PC_GSI_RTC, PC_GSI_SCI};

    for (unsigned cpu = 0; cpu < CPUS; cpu++) {
        lwr(m, cpu, 0xf0, 0x1ff);
        lwr(m, cpu, 0x320, 0xe0 | 1 << 17);
        lwr(m, cpu, 0x3e0, 0xb);
        lwr(m, cpu, 0x380, 200000);
    }
    for (unsigned i = 0; i < sizeof gsi; i++) {
        bus_write(m->c.mmio, PC_IOAPIC, 4, 0x11 + 2u * gsi[i]);
        bus_write(m->c.mmio, PC_IOAPIC + 0x10, 4, (uint64_t)(i % CPUS) << 24);
        bus_write(m->c.mmio, PC_IOAPIC, 4, 0x10 + 2u * gsi[i]);
        bus_write(m->c.mmio, PC_IOAPIC + 0x10, 4, 0x30u + gsi[i]);
    }
    pout(m, 0x43, 0x34);
    pout(m, 0x40, 0x00);
    pout(m, 0x40, 0x01);
    pout(m, 0x70, 0x0b);
    pout(m, 0x71, 0x42);
    pout(m, PC_COM1_PORT + 2, 0x81);
    pout(m, PC_COM1_PORT + 1, 0x07);
    bus_write(m->c.pio, PC_PM1_EVT_PORT + 2, 2, 0x101);
}

struct vcpu {
    struct machine *m;
    unsigned cpu;
};

static void serve(struct machine *m, unsigned cpu)
{
    for (int v; m->c.chip.ops->pending(m->c.chip.chip, cpu) &&
                (v = m->c.chip.ops->ack(m->c.chip.chip, cpu)) >= 0;) {
        m->taken++;
        if (v == 0x30 + PC_GSI_RTC) {
            pout(m, 0x70, 0x0c);
            pin(m, 0x71);
        } else if (v == 0x30 + PC_GSI_SCI) {
            bus_write(m->c.pio, PC_PM1_EVT_PORT, 2, 0xffff);
        }
        lwr(m, cpu, 0xb0, 0);
    }
}

static void *vcpu_run(void *arg)
{
    const struct vcpu *v = arg;
    struct machine *m = v->m;
    uint64_t val;

    for (unsigned i = 0; i < ROUNDS || (v->cpu == 0 && m->received < BYTES); i++) {
        serve(m, v->cpu);
        lwr(m, v->cpu, 0x310, (v->cpu ^ 1) << 24);
        lwr(m, v->cpu, 0x300, 0x4000 | 0x80 | (i & 0x3f));
        pout(m, PC_COM1_PORT, 'x');
        pin(m, PC_COM1_PORT + 2);
        pin(m, PC_PIT_PORT);
        bus_read(m->c.pio, PC_PM_TMR_PORT, 4, &val);
        pout(m, PC_DEBUG_CONSOLE_PORT, '.');
        pin(m, PC_I8042_CMD_PORT);
        if (v->cpu == 0)
            uart_drain(m);
        if (i % 64 == 0) {
            m->c.chip.ops->wrmsr(m->c.chip.chip, v->cpu, 0x6e0, 1);
            m->c.chip.ops->cr8_set(m->c.chip.chip, v->cpu, i / 64 & 7);
        }
    }
    m->c.chip.ops->cr8_set(m->c.chip.chip, v->cpu, 0);
    return NULL;
}

static void *io_run(void *arg)
{
    struct machine *m = arg;

    while (!m->stop)
        loop_step(m->loop, 20);
    return NULL;
}

/* As the main thread does: what is refused is tried again. */
static void type_everything(struct machine *m)
{
    uint8_t buf[300];
    const uint64_t give_up = clock_mono_ns() + 60 * NS_PER_S;

    for (unsigned sent = 0; sent < BYTES && clock_mono_ns() < give_up;) {
        unsigned n = BYTES - sent < sizeof buf ? BYTES - sent : sizeof buf;

        for (unsigned i = 0; i < n; i++)
            buf[i] = (uint8_t)(sent + i);
        sent += (unsigned)ns16550_receive(m->c.uart, buf, n);
        if (sent % 7 == 0)
            acpi_pm_power_button(m->c.pm);
        if (sent % 5 == 0) {
            vclock_pause(m->clock);
            vclock_resume(m->clock);
        }
    }
}

static void a_machine_under_load_neither_deadlocks_nor_loses_bytes(void **state)
{
    struct machine *m = *state;
    struct vcpu v[CPUS] = {{m, 0}, {m, 1}};
    pthread_t cpu[CPUS], io;
    struct ns16550_stats s;

    kernel_boot(m);
    vclock_resume(m->clock);
    assert_int_equal(pthread_create(&io, NULL, io_run, m), 0);
    for (unsigned i = 0; i < CPUS; i++)
        assert_int_equal(pthread_create(&cpu[i], NULL, vcpu_run, &v[i]), 0);
    type_everything(m);
    for (unsigned i = 0; i < CPUS; i++)
        pthread_join(cpu[i], NULL);
    m->stop = true;
    pthread_join(io, NULL);
    ns16550_stats_get(m->c.uart, &s);
    assert_false(m->out_of_order);
    assert_int_equal(m->received, BYTES);
    assert_int_equal(s.rx_bytes, BYTES);
    assert_int_equal(s.rx_dropped, 0);
    assert_true(s.tx_bytes >= CPUS * ROUNDS);
    assert_true(m->taken > 100);
    assert_int_equal(m->powers, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_machine_under_load_neither_deadlocks_nor_loses_bytes,
                                        setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
