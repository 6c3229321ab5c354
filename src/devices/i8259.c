/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * i8259: see i8259.h.
 */
#include "devices/i8259.h"

#include <errno.h>
#include <stdlib.h>

enum { MASTER, SLAVE, CHIPS };
enum { CASCADE = 2, CASCADE_BIT = 1 << CASCADE, SPURIOUS = 7, NOTHING = 8 };
enum { ICW1_IC4 = 1, ICW1_SINGLE = 2, ICW1_INIT = 0x10 };
enum { ICW4_AUTO_EOI = 2, ICW4_FULLY_NESTED = 0x10 };
enum {
    OCW3 = 8,
    OCW3_READ_ISR = 1,
    OCW3_READ = 2,
    OCW3_POLL = 4,
    OCW3_SMM = 0x20,
    OCW3_SET_SMM = 0x40
};
enum { POLL_FOUND = 0x80 };

/* Inputs whose trigger mode software may choose: not the timer, keyboard, cascade, RTC, FPU. */
static const uint8_t elcr_mask[CHIPS] = {0xf8, 0xde};

struct i8259 {
    struct i8259_regs chip[CHIPS];
};

/* The position of the first set bit, counted from the input of highest priority; 8: none. */
static unsigned priority_of(const struct i8259_regs *c, uint8_t bits)
{
    for (unsigned n = 0; n < 8; n++)
        if (bits & 1 << ((c->lowest + 1 + n) & 7))
            return n;
    return NOTHING;
}

static unsigned input_at(const struct i8259_regs *c, unsigned priority)
{
    return (c->lowest + 1 + priority) & 7;
}

/* The input that asks for service now, or NOTHING. */
static unsigned requested(const struct i8259_regs *c)
{
    unsigned asking = priority_of(c, c->irr & (uint8_t)~c->imr);
    uint8_t blocking = c->isr;

    if (c->special_mask)
        blocking &= (uint8_t)~c->imr;
    if (c->fully_nested)
        blocking &= (uint8_t)~CASCADE_BIT; /* the slave may interrupt its own service */
    if (asking == NOTHING || asking >= priority_of(c, blocking))
        return NOTHING;
    return input_at(c, asking);
}

/* Derives what follows from state: the master's input 2 is the slave's output. */
static void i8259_update(struct i8259 *p)
{
    struct i8259_regs *m = &p->chip[MASTER];

    if (requested(&p->chip[SLAVE]) != NOTHING)
        m->irr |= CASCADE_BIT;
    else
        m->irr &= (uint8_t)~CASCADE_BIT;
}

bool i8259_output(const struct i8259 *p)
{
    return requested(&p->chip[MASTER]) != NOTHING;
}

static void line_set(struct i8259_regs *c, unsigned n, int level)
{
    uint8_t bit = (uint8_t)(1 << n);

    if (!level)
        c->irr &= (uint8_t)~bit;
    else if ((c->elcr & bit) || !(c->lines & bit))
        c->irr |= bit;
    c->lines = level ? c->lines | bit : c->lines & (uint8_t)~bit;
}

void i8259_set_line(struct i8259 *p, unsigned irq, int level)
{
    if (irq >= I8259_LINES || irq == CASCADE)
        return;
    line_set(&p->chip[irq / 8], irq % 8, level);
    i8259_update(p);
}

static void serve(struct i8259_regs *c, unsigned n)
{
    uint8_t bit = (uint8_t)(1 << n);

    if (!(c->elcr & bit))
        c->irr &= (uint8_t)~bit;
    if (!c->auto_eoi)
        c->isr |= bit;
    else if (c->rotate_on_auto_eoi)
        c->lowest = (uint8_t)n;
}

/* One chip's answer to INTA: the input served, or 7 with nothing in service. */
static unsigned chip_ack(struct i8259_regs *c)
{
    unsigned n = requested(c);

    if (n == NOTHING)
        return SPURIOUS;
    serve(c, n);
    return n;
}

uint8_t i8259_ack(struct i8259 *p)
{
    const struct i8259_regs *c = &p->chip[MASTER];
    unsigned n = chip_ack(&p->chip[MASTER]);

    if (n == CASCADE) {
        c = &p->chip[SLAVE];
        n = chip_ack(&p->chip[SLAVE]);
    }
    i8259_update(p);
    return (uint8_t)(c->base + n);
}

static void end_of_interrupt(struct i8259_regs *c, unsigned n, bool rotate)
{
    if (n == NOTHING)
        return;
    c->isr &= (uint8_t)~(1 << n);
    if (rotate)
        c->lowest = (uint8_t)n;
}

/* What a non-specific EOI ends: in special mask mode the masked ones stay in service. */
static unsigned highest_in_service(const struct i8259_regs *c)
{
    uint8_t isr = c->special_mask ? c->isr & (uint8_t)~c->imr : c->isr;
    unsigned priority = priority_of(c, isr);

    return priority == NOTHING ? NOTHING : input_at(c, priority);
}

static void icw1_write(struct i8259_regs *c, uint8_t val)
{
    uint8_t levels = c->lines & c->elcr;

    c->irr = levels; /* edges need a new transition */
    c->isr = c->imr = 0;
    c->lowest = 7;
    c->special_mask = c->rotate_on_auto_eoi = c->read_isr = c->poll = false;
    c->auto_eoi = c->fully_nested = false;
    c->icw4_follows = val & ICW1_IC4;
    c->single = val & ICW1_SINGLE;
    c->icw = 2;
}

static void ocw2_write(struct i8259_regs *c, uint8_t val)
{
    unsigned n = val & 7;

    switch (val >> 5) {
    case 0:
        c->rotate_on_auto_eoi = false;
        break;
    case 1: /* non-specific */
    case 5:
        end_of_interrupt(c, highest_in_service(c), val >> 5 == 5);
        break;
    case 3: /* specific */
    case 7:
        end_of_interrupt(c, n, val >> 5 == 7);
        break;
    case 4:
        c->rotate_on_auto_eoi = true;
        break;
    case 6:
        c->lowest = (uint8_t)n;
        break;
    default:
        break; /* 2: no operation */
    }
}

static void ocw3_write(struct i8259_regs *c, uint8_t val)
{
    if (val & OCW3_READ)
        c->read_isr = val & OCW3_READ_ISR;
    if (val & OCW3_POLL)
        c->poll = true;
    if (val & OCW3_SET_SMM)
        c->special_mask = val & OCW3_SMM;
}

/* The odd port: the initialisation words that are awaited, else the mask. */
static void odd_write(struct i8259_regs *c, uint8_t val)
{
    switch (c->icw) {
    case 2:
        c->base = val & 0xf8;
        c->icw = !c->single ? 3 : c->icw4_follows ? 4 : 0;
        break;
    case 3: /* the cascade is wired, whatever the guest thinks */
        c->icw = c->icw4_follows ? 4 : 0;
        break;
    case 4:
        c->auto_eoi = val & ICW4_AUTO_EOI;
        c->fully_nested = val & ICW4_FULLY_NESTED;
        c->icw = 0;
        break;
    default:
        c->imr = val;
        break;
    }
}

static void chip_write(struct i8259_regs *c, uint64_t off, uint8_t val)
{
    if (off & 1)
        odd_write(c, val);
    else if (val & ICW1_INIT)
        icw1_write(c, val);
    else if (val & OCW3)
        ocw3_write(c, val);
    else
        ocw2_write(c, val);
}

/* A polled read takes the place of INTA, at either port. */
static uint8_t chip_read(struct i8259_regs *c, uint64_t off)
{
    if (c->poll) {
        bool found = requested(c) != NOTHING;

        c->poll = false;
        return found ? (uint8_t)(POLL_FOUND | chip_ack(c)) : SPURIOUS;
    }
    if (off & 1)
        return c->imr;
    return c->read_isr ? c->isr : c->irr;
}

/* Requests of inputs that become level triggered are what their lines say now. */
static void elcr_write(struct i8259_regs *c, uint8_t val)
{
    uint8_t to_level = val & (uint8_t)~c->elcr;

    c->elcr = val;
    c->irr = (c->irr & (uint8_t)~to_level) | (c->lines & to_level);
}

static uint64_t i8259_read(void *dev, uint64_t off, unsigned size)
{
    struct i8259 *p = dev;
    uint8_t val = 0xff;

    (void)size;
    if (off < I8259_ELCR)
        val = chip_read(&p->chip[off / 2], off);
    else if (off < I8259_REGS)
        val = p->chip[off - I8259_ELCR].elcr;
    i8259_update(p);
    return val;
}

static void i8259_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct i8259 *p = dev;

    (void)size;
    if (off < I8259_ELCR)
        chip_write(&p->chip[off / 2], off, (uint8_t)val);
    else if (off < I8259_REGS)
        elcr_write(&p->chip[off - I8259_ELCR], (uint8_t)val & elcr_mask[off - I8259_ELCR]);
    i8259_update(p);
}

const struct bus_ops i8259_ops = {.read = i8259_read, .write = i8259_write, .widths = BUS_W1};

/* The levels of the inputs are their sources' to change. */
void i8259_reset(struct i8259 *p)
{
    for (unsigned i = 0; i < CHIPS; i++)
        p->chip[i] = (struct i8259_regs){.lines = p->chip[i].lines, .lowest = 7, .imr = 0xff};
    i8259_update(p);
}

struct i8259 *i8259_new(struct err *e)
{
    struct i8259 *p = calloc(1, sizeof *p);

    if (p)
        i8259_reset(p);
    else
        err_set(e, ENOMEM, "out of memory for the PICs; free some or start fewer guests");
    return p;
}

void i8259_free(struct i8259 *p)
{
    free(p);
}

void i8259_regs_get(const struct i8259 *p, struct i8259_regs out[2])
{
    out[MASTER] = p->chip[MASTER];
    out[SLAVE] = p->chip[SLAVE];
}
