/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * io: see io.h. 16550 programming after the PC16550D datasheet.
 */
#include "io.h"
#include "apic.h"
#include "smp.h"
#include "time.h"
#include "trap.h"

enum { THR = 0, IER = 1, FCR = 2, LCR = 3, MCR = 4, LSR = 5 };
enum { FIFO_BYTES = 16, RING = 256 };

static struct lock print_lock;
static u8 ring[RING];
static volatile unsigned ring_in, ring_out;
static volatile bool ring_held; /* no more interrupts until there is room */

void serial_init(void)
{
    outb(COM1 + IER, 0);
    outb(COM1 + LCR, 0x83); /* divisor latch; 8 bits, no parity, 1 stop */
    outb(COM1 + THR, 1);    /* 115200 baud */
    outb(COM1 + IER, 0);
    outb(COM1 + LCR, 0x03);
    outb(COM1 + FCR, 0x07); /* FIFOs on and empty, trigger at 1 byte */
    outb(COM1 + MCR, 0x0b); /* DTR, RTS, OUT2 (lets the interrupt through) */
}

static void serial_room(void)
{
    for (u32 i = 0; i < 1000000 && !(inb(COM1 + LSR) & 0x20); i++)
        pause();
}

void serial_write(const char *s, size_t n)
{
    unsigned room = 0;

    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\n') {
            if (!room) {
                serial_room();
                room = FIFO_BYTES;
            }
            outb(COM1 + THR, '\r');
            room--;
        }
        if (!room) {
            serial_room();
            room = FIFO_BYTES;
        }
        outb(COM1 + THR, (u8)s[i]);
        room--;
    }
}

/* A full ring leaves the rest in the UART, which holds the sender back. */
static void serial_interrupt(struct regs *r)
{
    (void)r;
    while (inb(COM1 + LSR) & 1) {
        if (ring_in - ring_out == RING) {
            ring_held = true;
            outb(COM1 + IER, 0);
            return;
        }
        ring[ring_in % RING] = inb(COM1);
        ring_in = ring_in + 1;
        if (inb(COM1 + LSR) == 0xff)
            break; /* no UART at all */
    }
}

void serial_irq_on(void)
{
    irq_handler(VEC_PIC + 4, serial_interrupt);
    pic_mask(4, false);
    outb(COM1 + IER, 1);
}

int serial_get(void)
{
    int c;

    if (ring_in == ring_out)
        return -1;
    c = ring[ring_out % RING];
    ring_out = ring_out + 1;
    if (ring_held) {
        ring_held = false;
        outb(COM1 + IER, 1);
    }
    return c;
}

int serial_wait(void)
{
    int c;

    for (;;) {
        cli();
        c = serial_get();
        if (c >= 0) {
            sti();
            return c;
        }
        sti_hlt();
    }
}

struct out {
    char *buf;
    size_t size, n;
};

static void put(struct out *o, char c)
{
    if (o->n + 1 < o->size)
        o->buf[o->n++] = c;
}

static void pad(struct out *o, char c, int n)
{
    while (n-- > 0)
        put(o, c);
}

struct spec {
    bool left, zero;
    int width;
};

static void put_text(struct out *o, const struct spec *s, const char *t, int n)
{
    if (!s->left)
        pad(o, s->zero ? '0' : ' ', s->width - n);
    for (int i = 0; i < n; i++)
        put(o, t[i]);
    if (s->left)
        pad(o, ' ', s->width - n);
}

static void put_number(struct out *o, const struct spec *s, u64 v, unsigned base, bool negative)
{
    char t[24];
    int i = sizeof(t);

    do
        t[--i] = "0123456789abcdef"[v % base];
    while (v /= base);
    if (negative)
        t[--i] = '-';
    put_text(o, s, t + i, (int)sizeof(t) - i);
}

static const char *parse_spec(const char *f, struct spec *s)
{
    *s = (struct spec){0};
    for (;; f++) {
        if (*f == '-')
            s->left = true;
        else if (*f == '0')
            s->zero = true;
        else
            break;
    }
    for (; *f >= '0' && *f <= '9'; f++)
        s->width = s->width * 10 + (*f - '0');
    return f;
}

static u64 number_arg(va_list *ap, bool is_long, bool is_signed)
{
    if (is_long)
        return va_arg(*ap, u64);
    return is_signed ? (u64)(s64)va_arg(*ap, int) : va_arg(*ap, unsigned);
}

static void put_conversion(struct out *o, const struct spec *s, char kind, bool is_long, va_list *ap)
{
    const char *t;
    u64 v;
    char c;

    switch (kind) {
    case 'd':
        v = number_arg(ap, is_long, true);
        put_number(o, s, (s64)v < 0 ? -v : v, 10, (s64)v < 0);
        break;
    case 'u':
        put_number(o, s, number_arg(ap, is_long, false), 10, false);
        break;
    case 'x':
        put_number(o, s, number_arg(ap, is_long, false), 16, false);
        break;
    case 'p':
        put_number(o, s, va_arg(*ap, u64), 16, false);
        break;
    case 's':
        t = va_arg(*ap, const char *);
        put_text(o, s, t, (int)strlen(t));
        break;
    case 'c':
        c = (char)va_arg(*ap, int);
        put_text(o, s, &c, 1);
        break;
    default:
        put(o, kind);
    }
}

size_t format(char *buf, size_t size, const char *f, va_list ap)
{
    struct out o = {buf, size, 0};
    struct spec s;
    va_list args;
    bool is_long;

    va_copy(args, ap);
    for (; *f; f++) {
        if (*f != '%') {
            put(&o, *f);
            continue;
        }
        f = parse_spec(f + 1, &s);
        for (is_long = false; *f == 'l'; f++)
            is_long = true;
        if (!*f)
            break;
        put_conversion(&o, &s, *f, is_long, &args);
    }
    va_end(args);
    buf[o.n] = 0;
    return o.n;
}

size_t formatf(char *buf, size_t size, const char *fmt, ...)
{
    va_list ap;
    size_t n;

    va_start(ap, fmt);
    n = format(buf, size, fmt, ap);
    va_end(ap);
    return n;
}

void print(const char *fmt, ...)
{
    char buf[400];
    va_list ap;
    size_t n;
    bool irqs;

    va_start(ap, fmt);
    n = format(buf, sizeof(buf), fmt, ap);
    va_end(ap);
    irqs = irq_save();
    lock_take(&print_lock);
    serial_write(buf, n);
    lock_drop(&print_lock);
    irq_restore(irqs);
}

void print_force(void)
{
    lock_drop(&print_lock);
}

void debug_exit(u8 code)
{
    outb(PORT_EXIT, code);
}

void poweroff(void)
{
    u16 port = acpi_get()->pm1a_cnt ? acpi_get()->pm1a_cnt : 0x604;

    cli();
    outw(port, 5 << 10 | 1 << 13);
    outw(port, 1 << 13); /* other machines name S5 by 0 */
    delay_us(2000000);   /* it may take effect a little later */
    print("poweroff: this machine has no ACPI power control at 0x%x\n", port);
    halt_forever();
}

void reboot(void)
{
    cli();
    outb(0xcf9, 0x02);
    outb(0xcf9, 0x06);
    outb(0x64, 0xfe); /* keyboard controller: pulse reset */
    triple_fault();
}

void triple_fault(void)
{
    static const struct {
        u16 limit;
        u64 base;
    } PACKED none = {0, 0};

    cli();
    asm volatile("lidt %0; int3" : : "m"(none));
    halt_forever();
}
