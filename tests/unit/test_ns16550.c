/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The UART through its bus region, as a driver sees it.
 */
#include "chip_rig.h"
#include "devices/ns16550.h"

#include <cmocka.h>

enum { BASE = 0x3f8, DATA = BASE, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };
enum { NONE = 1, THRE = 2, RDA = 4, RLS = 6, TIMEOUT = 12, MODEM = 0, FIFOS = 0xc0 };

/* Four characters at 115200 baud, and a little. */
enum { FOUR_CHARS_NS = 350000 };

struct uart_rig {
    struct rig r;
    struct ns16550 *u;
};

static int setup(void **state)
{
    struct uart_rig *t = calloc(1, sizeof *t);
    struct err e = {0};

    rig_init(&t->r);
    const struct irq_wire irq = probe_wire(&t->r.irq);
    const struct ns16550_host host = {.out = sink_out, .room = sink_room, .opaque = &t->r.sink};
    t->u = ns16550_new(&irq, t->r.clock, &host, &e);
    assert_non_null(t->u);
    assert_non_null(bus_add(t->r.bus, "uart", BASE, NS16550_PORTS, &ns16550_ops, t->u,
                            ns16550_lock(t->u), &e));
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct uart_rig *t = *state;

    ns16550_free(t->u);
    rig_fini(&t->r);
    free(t);
    return 0;
}

static size_t type(struct uart_rig *t, const char *s)
{
    return ns16550_receive(t->u, s, strlen(s));
}

static void reset_state_is_that_of_the_data_sheet(void **state)
{
    struct uart_rig *t = *state;

    assert_int_equal(inb(&t->r, IER), 0);
    assert_int_equal(inb(&t->r, IIR), NONE);
    assert_int_equal(inb(&t->r, LCR), 0);
    assert_int_equal(inb(&t->r, MCR), 0);
    assert_int_equal(inb(&t->r, LSR), 0x60);
    assert_int_equal(inb(&t->r, MSR), 0xb0);
    assert_int_equal(t->r.irq.level, 0);
}

static void scratch_register_keeps_every_bit(void **state)
{
    struct uart_rig *t = *state;

    for (unsigned i = 0; i < 256; i++) {
        outb(&t->r, SCR, (uint8_t)i);
        assert_int_equal(inb(&t->r, SCR), i);
    }
}

static void ier_and_mcr_have_no_bits_of_later_chips(void **state)
{
    struct uart_rig *t = *state;

    outb(&t->r, IER, 0xff);
    assert_int_equal(inb(&t->r, IER), 0x0f);
    outb(&t->r, MCR, 0xff);
    assert_int_equal(inb(&t->r, MCR), 0x1f);
}

static void a_driver_recognises_a_16550a(void **state)
{
    struct uart_rig *t = *state;

    assert_int_equal(inb(&t->r, IIR) >> 6, 0);
    outb(&t->r, FCR, 0x01);
    assert_int_equal(inb(&t->r, IIR) >> 6, 3);
    outb(&t->r, LCR, 0x80); /* a 16650 would show its EFR here */
    assert_int_not_equal(inb(&t->r, IIR), 0);
    outb(&t->r, LCR, 0);
    outb(&t->r, FCR, 0x21); /* a 16750 would show 64-byte FIFOs in bit 5 */
    assert_int_equal(inb(&t->r, IIR) & 0x20, 0);
    outb(&t->r, FCR, 0x00);
    assert_int_equal(inb(&t->r, IIR) >> 6, 0);
}

static void divisor_latch_hides_data_and_ier(void **state)
{
    struct uart_rig *t = *state;

    outb(&t->r, IER, 0x05);
    outb(&t->r, LCR, 0x83);
    outb(&t->r, DATA, 0x34);
    outb(&t->r, IER, 0x12);
    assert_int_equal(inb(&t->r, DATA), 0x34);
    assert_int_equal(inb(&t->r, IER), 0x12);
    outb(&t->r, LCR, 0x03);
    assert_int_equal(inb(&t->r, IER), 0x05);
    assert_int_equal(t->r.sink.len, 0);
}

static void bytes_sent_reach_the_sink_in_order(void **state)
{
    struct uart_rig *t = *state;

    for (const char *p = "hello"; *p; p++) {
        assert_int_equal(inb(&t->r, LSR) & 0x60, 0x60);
        outb(&t->r, DATA, (uint8_t)*p);
    }
    assert_int_equal(t->r.sink.len, 5);
    assert_memory_equal(t->r.sink.buf, "hello", 5);
}

static void string_output_wider_than_a_byte_touches_the_next_registers(void **state)
{
    struct uart_rig *t = *state;

    outw(&t->r, DATA, 0x0341);
    assert_int_equal(t->r.sink.buf[0], 'A');
    assert_int_equal(inb(&t->r, IER), 0x03);
}

static void enabling_thre_raises_its_interrupt_every_time(void **state)
{
    struct uart_rig *t = *state;

    /* the test that Linux' 8250 driver makes for chips that forget it */
    for (int i = 0; i < 3; i++) {
        outb(&t->r, IER, 0x02);
        assert_int_equal(t->r.irq.level, 1);
        assert_int_equal(inb(&t->r, IIR), THRE);
        assert_int_equal(t->r.irq.level, 0);
        assert_int_equal(inb(&t->r, IIR), NONE);
        outb(&t->r, IER, 0x00);
    }
    assert_int_equal(t->r.irq.rises, 3);
}

static void writing_thr_makes_a_new_edge_after_iir_was_read(void **state)
{
    struct uart_rig *t = *state;

    outb(&t->r, IER, 0x02);
    inb(&t->r, IIR);
    assert_int_equal(t->r.irq.level, 0);
    outb(&t->r, DATA, 'x');
    assert_int_equal(t->r.irq.level, 1);
    assert_int_equal(t->r.irq.rises, 2);
    assert_int_equal(inb(&t->r, IIR), THRE);
}

/* Linux: read IIR, send 16 bytes, again, until IIR says none. `left` bytes are to be sent. */
static unsigned tx_handler(struct uart_rig *t, unsigned *left)
{
    unsigned passes = 0;

    while ((inb(&t->r, IIR) & 15) == THRE) {
        passes++;
        for (int i = 0; i < 16 && *left; i++, (*left)--)
            outb(&t->r, DATA, 'x');
        if (*left == 0)
            outb(&t->r, IER, 0);
    }
    return passes;
}

static void a_long_burst_lets_the_handler_out_and_goes_on_by_interrupt(void **state)
{
    struct uart_rig *t = *state;
    unsigned left = 65536, rounds = 0;

    outb(&t->r, FCR, 0x01);
    outb(&t->r, IER, 0x02);
    while (left) {
        assert_int_equal(t->r.irq.level, 1);
        assert_in_range(tx_handler(t, &left), 1, 200); /* Linux gives up, with a warning, at 512 */
        assert_true(left == 0 || t->r.irq.level == 0);
        vclock_step(t->r.clock, NS16550_BREATH_NS);
        assert_in_range(++rounds, 1, 40);
    }
    assert_int_equal(t->r.sink.len, 65536);
}

static void enabling_thre_again_during_a_breath_ends_it(void **state)
{
    struct uart_rig *t = *state;
    unsigned left = 4000;

    outb(&t->r, IER, 0x02);
    tx_handler(t, &left);
    assert_int_equal(t->r.irq.level, 0);
    outb(&t->r, IER, 0x00);
    outb(&t->r, IER, 0x02);
    assert_int_equal(t->r.irq.level, 1);
}

static void a_polling_driver_never_waits(void **state)
{
    struct uart_rig *t = *state;

    for (unsigned i = 0; i < 3 * NS16550_BURST; i++) {
        assert_int_equal(inb(&t->r, LSR) & 0x60, 0x60);
        outb(&t->r, DATA, 'p');
    }
    assert_int_equal(t->r.irq.rises, 0);
    assert_int_equal(vclock_next_ns(t->r.clock), UINT64_MAX);
}

static void without_fifo_each_byte_interrupts(void **state)
{
    struct uart_rig *t = *state;

    outb(&t->r, IER, 0x01);
    assert_int_equal(type(t, "ab"), 2);
    assert_int_equal(inb(&t->r, IIR), RDA);
    assert_int_equal(inb(&t->r, LSR), 0x61);
    assert_int_equal(inb(&t->r, DATA), 'a');
    assert_int_equal(t->r.irq.level, 1);
    assert_int_equal(inb(&t->r, DATA), 'b');
    assert_int_equal(t->r.irq.level, 0);
    assert_int_equal(inb(&t->r, LSR), 0x60);
    assert_int_equal(inb(&t->r, DATA), 0);
}

static void the_trigger_level_holds_the_interrupt_back(void **state)
{
    static const struct {
        uint8_t fcr, level;
    } row[] = {{0x01, 1}, {0x41, 4}, {0x81, 8}, {0xc1, 14}};
    struct uart_rig *t = *state;

    outb(&t->r, IER, 0x01);
    for (unsigned i = 0; i < 4; i++) {
        outb(&t->r, FCR, row[i].fcr | 2);
        for (unsigned n = 1; n < row[i].level; n++) {
            type(t, "x");
            assert_int_equal(t->r.irq.level, 0);
        }
        type(t, "x");
        assert_int_equal(t->r.irq.level, 1);
        assert_int_equal(inb(&t->r, IIR), FIFOS | RDA);
        inb(&t->r, DATA);
        assert_int_equal(t->r.irq.level, 0);
    }
}

static void characters_below_the_trigger_level_time_out(void **state)
{
    struct uart_rig *t = *state;

    outb(&t->r, IER, 0x01);
    outb(&t->r, FCR, 0xc1);
    type(t, "ab");
    vclock_step(t->r.clock, FOUR_CHARS_NS / 2);
    assert_int_equal(t->r.irq.level, 0);
    type(t, "c"); /* starts the timeout again */
    vclock_step(t->r.clock, FOUR_CHARS_NS * 3 / 4);
    assert_int_equal(t->r.irq.level, 0);
    vclock_step(t->r.clock, FOUR_CHARS_NS / 4);
    assert_int_equal(t->r.irq.level, 1);
    assert_int_equal(inb(&t->r, IIR), FIFOS | TIMEOUT);
    assert_int_equal(inb(&t->r, IIR), FIFOS | TIMEOUT);
    assert_int_equal(inb(&t->r, DATA), 'a');
    assert_int_equal(t->r.irq.level, 0);
    vclock_step(t->r.clock, FOUR_CHARS_NS);
    assert_int_equal(inb(&t->r, IIR), FIFOS | TIMEOUT);
    assert_int_equal(inb(&t->r, DATA), 'b');
    assert_int_equal(inb(&t->r, DATA), 'c');
    assert_int_equal(t->r.irq.level, 0);
    assert_int_equal(vclock_next_ns(t->r.clock), UINT64_MAX);
}

static void a_slow_baud_rate_does_not_make_people_wait(void **state)
{
    struct uart_rig *t = *state;

    outb(&t->r, LCR, 0x83);
    outb(&t->r, DATA, 0xff);
    outb(&t->r, IER, 0xff);
    outb(&t->r, LCR, 0x03);
    outb(&t->r, IER, 0x01);
    outb(&t->r, FCR, 0x81);
    type(t, "x");
    vclock_step(t->r.clock, NS_PER_MS);
    assert_int_equal(t->r.irq.level, 1);
}

static void the_fifo_is_fed_from_the_queue_as_it_is_read(void **state)
{
    struct uart_rig *t = *state;
    char text[1000];

    for (unsigned i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i % 26);
    outb(&t->r, FCR, 0x01);
    assert_int_equal(ns16550_receive(t->u, text, sizeof text), sizeof text);
    for (unsigned i = 0; i < sizeof text; i++) {
        assert_int_equal(inb(&t->r, LSR) & 0x83, 0x01);
        assert_int_equal(inb(&t->r, DATA), text[i]);
    }
    assert_int_equal(inb(&t->r, LSR) & 1, 0);
}

static void a_full_queue_refuses_and_says_when_there_is_room(void **state)
{
    struct uart_rig *t = *state;
    struct ns16550_stats s;
    static char flood[3 * NS16550_QUEUE];
    size_t taken;

    outb(&t->r, FCR, 0x01);
    inb(&t->r, LSR);
    taken = ns16550_receive(t->u, flood, sizeof flood);
    assert_int_equal(taken, NS16550_QUEUE);
    assert_int_equal(ns16550_receive(t->u, flood, 100), 16); /* 16 had moved into the FIFO */
    assert_int_equal(ns16550_receive(t->u, flood, 100), 0);
    assert_int_equal(t->r.sink.rooms, 0);
    for (unsigned i = 0; i < NS16550_QUEUE / 2; i++)
        inb(&t->r, DATA);
    assert_int_equal(t->r.sink.rooms, 1);
    for (unsigned i = 0; i < NS16550_QUEUE; i++)
        inb(&t->r, DATA);
    assert_int_equal(t->r.sink.rooms, 1);
    ns16550_stats_get(t->u, &s);
    assert_int_equal(s.rx_dropped, 0);
    assert_int_equal(s.rx_bytes, NS16550_QUEUE + 16);
}

static void clearing_the_receive_fifo_counts_what_is_lost(void **state)
{
    struct uart_rig *t = *state;
    struct ns16550_stats s;

    outb(&t->r, FCR, 0x01);
    inb(&t->r, LSR);
    type(t, "0123456789");
    outb(&t->r, FCR, 0x03);
    assert_int_equal(inb(&t->r, LSR), 0x60);
    ns16550_stats_get(t->u, &s);
    assert_int_equal(s.rx_dropped, 10);
}

static void what_comes_before_the_guest_looks_survives_its_set_up(void **state)
{
    struct uart_rig *t = *state;

    type(t, "ab");
    outb(&t->r, IER, 0);
    outb(&t->r, FCR, 0x07);
    outb(&t->r, DATA, 'x'); /* what it says needs no look */
    outb(&t->r, FCR, 0x07);
    assert_int_equal(inb(&t->r, LSR) & 1, 1);
    assert_int_equal(inb(&t->r, DATA), 'a');
    assert_int_equal(inb(&t->r, DATA), 'b');
    ns16550_reset(t->u); /* the next one may be early again */
    type(t, "c");
    outb(&t->r, FCR, 0x07);
    outb(&t->r, MCR, 0x08);
    outb(&t->r, IER, 0x01); /* who waits for an interrupt need not look */
    assert_int_equal(inb(&t->r, IIR) & 0x0f, 0x04);
    assert_int_equal(inb(&t->r, DATA), 'c');
}

static void loopback_returns_what_is_sent(void **state)
{
    struct uart_rig *t = *state;

    outb(&t->r, MCR, 0x10);
    outb(&t->r, DATA, 0x5a);
    assert_int_equal(t->r.sink.len, 0);
    assert_int_equal(inb(&t->r, LSR) & 1, 1);
    assert_int_equal(inb(&t->r, DATA), 0x5a);
}

static void loopback_connects_the_modem_lines(void **state)
{
    static const struct { uint8_t mcr, msr; } row[] = {
        {0x11, 0x20}, {0x12, 0x10}, {0x14, 0x40}, {0x18, 0x80}, {0x1f, 0xf0}, {0x1a, 0x90},
    };
    struct uart_rig *t = *state;

    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        outb(&t->r, MCR, row[i].mcr);
        assert_int_equal(inb(&t->r, MSR) & 0xf0, row[i].msr);
    }
    outb(&t->r, MCR, 0x0b);
    assert_int_equal(inb(&t->r, MSR) & 0xf0, 0xb0);
}

static void loopback_overruns_and_cuts_the_line_off(void **state)
{
    struct uart_rig *t = *state;

    outb(&t->r, FCR, 0x01);
    outb(&t->r, MCR, 0x10);
    type(t, "outside");
    assert_int_equal(inb(&t->r, LSR) & 1, 0);
    for (int i = 0; i < 17; i++)
        outb(&t->r, DATA, (uint8_t)i);
    assert_int_equal(inb(&t->r, LSR) & 3, 3);
    assert_int_equal(inb(&t->r, LSR) & 3, 1);
    for (int i = 0; i < 16; i++)
        assert_int_equal(inb(&t->r, DATA), i);
    outb(&t->r, MCR, 0x00);
    assert_int_equal(inb(&t->r, DATA), 'o');
}

static void overrun_without_fifo_keeps_the_newest(void **state)
{
    struct uart_rig *t = *state;

    outb(&t->r, MCR, 0x10);
    outb(&t->r, DATA, 1);
    outb(&t->r, DATA, 2);
    assert_int_equal(inb(&t->r, LSR) & 3, 3);
    assert_int_equal(inb(&t->r, DATA), 2);
}

static void uart_reading_msr_clears_delta_bits(void **state)
{
    struct uart_rig *t = *state;

    outb(&t->r, IER, 0x08);
    outb(&t->r, MCR, 0x10); /* all inputs fall */
    assert_int_equal(t->r.irq.level, 1);
    assert_int_equal(inb(&t->r, IIR), MODEM);
    assert_int_equal(inb(&t->r, MSR), 0x0b);
    assert_int_equal(t->r.irq.level, 0);
    assert_int_equal(inb(&t->r, MSR), 0x00);
}

static void only_the_trailing_edge_of_ring_is_noted(void **state)
{
    struct uart_rig *t = *state;

    outb(&t->r, MCR, 0x10);
    inb(&t->r, MSR);
    outb(&t->r, MCR, 0x14);
    assert_int_equal(inb(&t->r, MSR), 0x40);
    outb(&t->r, MCR, 0x10);
    assert_int_equal(inb(&t->r, MSR), 0x04);
}

static void a_break_arrives_in_order_and_shows_in_lsr(void **state)
{
    struct uart_rig *t = *state;

    outb(&t->r, FCR, 0x01);
    outb(&t->r, IER, 0x05);
    type(t, "a");
    ns16550_break(t->u);
    type(t, "h");
    assert_int_equal(inb(&t->r, LSR) & 0x9f, 0x81); /* an error is in the FIFO, not yet first */
    assert_int_equal(inb(&t->r, DATA), 'a');
    assert_int_equal(inb(&t->r, IIR), FIFOS | RLS);
    assert_int_equal(inb(&t->r, LSR) & 0x9f, 0x99);
    assert_int_equal(inb(&t->r, LSR) & 0x9f, 0x01); /* reading cleared it */
    assert_int_equal(inb(&t->r, DATA), 0);
    assert_int_equal(inb(&t->r, LSR) & 0x9f, 0x01);
    assert_int_equal(inb(&t->r, DATA), 'h');
}

static void sending_a_break_in_loopback_receives_it(void **state)
{
    struct uart_rig *t = *state;

    outb(&t->r, MCR, 0x10);
    outb(&t->r, LCR, 0x43);
    assert_int_equal(inb(&t->r, LSR) & 0x1f, 0x19);
    assert_int_equal(inb(&t->r, LCR), 0x43);
}

static void interrupts_come_in_order_of_priority(void **state)
{
    struct uart_rig *t = *state;

    outb(&t->r, FCR, 0x01);
    outb(&t->r, MCR, 0x10); /* modem deltas */
    outb(&t->r, DATA, 'x'); /* data */
    outb(&t->r, LCR, 0x40); /* break */
    outb(&t->r, IER, 0x0f); /* and THRE */
    inb(&t->r, DATA);       /* the break is first now */
    assert_int_equal(inb(&t->r, IIR) & 15, RLS);
    inb(&t->r, LSR);
    assert_int_equal(inb(&t->r, IIR) & 15, RDA);
    inb(&t->r, DATA);
    assert_int_equal(inb(&t->r, IIR) & 15, THRE);
    assert_int_equal(inb(&t->r, IIR) & 15, MODEM);
    inb(&t->r, MSR);
    assert_int_equal(inb(&t->r, IIR) & 15, NONE);
    assert_int_equal(t->r.irq.level, 0);
}

static void iir_of_a_higher_source_does_not_acknowledge_thre(void **state)
{
    struct uart_rig *t = *state;

    outb(&t->r, IER, 0x03);
    type(t, "x");
    assert_int_equal(inb(&t->r, IIR), RDA);
    inb(&t->r, DATA);
    assert_int_equal(inb(&t->r, IIR), THRE);
}

static void lsr_and_msr_cannot_be_written(void **state)
{
    struct uart_rig *t = *state;

    outb(&t->r, LSR, 0xff);
    outb(&t->r, MSR, 0xff);
    assert_int_equal(inb(&t->r, LSR), 0x60);
    assert_int_equal(inb(&t->r, MSR), 0xb0);
}

static void switching_the_fifo_mode_empties_it(void **state)
{
    struct uart_rig *t = *state;

    outb(&t->r, FCR, 0x01);
    inb(&t->r, LSR);
    type(t, "abc");
    outb(&t->r, FCR, 0x00);
    assert_int_equal(inb(&t->r, LSR) & 1, 0);
    outb(&t->r, FCR, 0xc6); /* without bit 0 the others are not programmed */
    type(t, "d");
    assert_int_equal(inb(&t->r, IIR) & 0xc0, 0);
    assert_int_equal(inb(&t->r, DATA), 'd');
}

static void reset_gives_up_input_interrupt_and_says_there_is_room(void **state)
{
    struct uart_rig *t = *state;
    static char flood[NS16550_QUEUE + 1];
    struct ns16550_regs r;

    outb(&t->r, IER, 0x03);
    ns16550_receive(t->u, flood, sizeof flood);
    ns16550_receive(t->u, flood, 100);
    ns16550_reset(t->u);
    assert_int_equal(t->r.irq.level, 0);
    assert_int_equal(t->r.sink.rooms, 1);
    ns16550_regs_get(t->u, &r);
    assert_int_equal(r.fifo_count, 0);
    assert_int_equal(r.ier, 0);
    assert_int_equal(inb(&t->r, LSR), 0x60);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(reset_state_is_that_of_the_data_sheet),
        T(scratch_register_keeps_every_bit),
        T(ier_and_mcr_have_no_bits_of_later_chips),
        T(a_driver_recognises_a_16550a),
        T(divisor_latch_hides_data_and_ier),
        T(bytes_sent_reach_the_sink_in_order),
        T(string_output_wider_than_a_byte_touches_the_next_registers),
        T(enabling_thre_raises_its_interrupt_every_time),
        T(writing_thr_makes_a_new_edge_after_iir_was_read),
        T(a_long_burst_lets_the_handler_out_and_goes_on_by_interrupt),
        T(enabling_thre_again_during_a_breath_ends_it),
        T(a_polling_driver_never_waits),
        T(without_fifo_each_byte_interrupts),
        T(the_trigger_level_holds_the_interrupt_back),
        T(characters_below_the_trigger_level_time_out),
        T(a_slow_baud_rate_does_not_make_people_wait),
        T(the_fifo_is_fed_from_the_queue_as_it_is_read),
        T(a_full_queue_refuses_and_says_when_there_is_room),
        T(clearing_the_receive_fifo_counts_what_is_lost),
        T(what_comes_before_the_guest_looks_survives_its_set_up),
        T(loopback_returns_what_is_sent),
        T(loopback_connects_the_modem_lines),
        T(loopback_overruns_and_cuts_the_line_off),
        T(overrun_without_fifo_keeps_the_newest),
        T(uart_reading_msr_clears_delta_bits),
        T(only_the_trailing_edge_of_ring_is_noted),
        T(a_break_arrives_in_order_and_shows_in_lsr),
        T(sending_a_break_in_loopback_receives_it),
        T(interrupts_come_in_order_of_priority),
        T(iir_of_a_higher_source_does_not_acknowledge_thre),
        T(lsr_and_msr_cannot_be_written),
        T(switching_the_fifo_mode_empties_it),
        T(reset_gives_up_input_interrupt_and_says_there_is_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
