/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * i8259: the two cascaded interrupt controllers of a PC, with the ELCR registers that choose
 * edge or level per input.
 *
 * The slave's output is the master's input 2, as a level, whatever the ELCR says. A request
 * whose line falls before it is acknowledged is gone, edge or level, as the data sheet has it:
 * that is what makes "virtual wire" timers work, where nobody runs the INTA cycle.
 * Not modelled: MCS-80 mode, buffered mode, ICW1's LTIM (the ELCR decides).
 * Follows: Intel 8259A data sheet; 82371FB (PIIX) for the ELCR.
 *
 * Threads: none of its own and no lock: irqchip.h owns it and serialises all calls. Nothing
 * is called back: after every call the owner looks at i8259_output.
 */
#ifndef RUCHE_DEVICES_I8259_H
#define RUCHE_DEVICES_I8259_H

#include "core/bus.h"
#include "core/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Its six registers, in pairs that a PC has at three places. */
enum { I8259_MASTER = 0, I8259_SLAVE = 2, I8259_ELCR = 4, I8259_REGS = 6, I8259_LINES = 16 };

struct i8259_regs {
    uint8_t irr, isr, imr;
    uint8_t lines;         /* levels of the inputs */
    uint8_t elcr;          /* 1: level triggered */
    uint8_t base;          /* ICW2: vector of input 0 */
    uint8_t lowest;        /* input of lowest priority */
    uint8_t icw;           /* ICW awaited at the odd port: 2, 3, 4; 0: none */
    bool icw4_follows, single;
    bool auto_eoi, rotate_on_auto_eoi, special_mask, fully_nested;
    bool read_isr, poll;   /* what the next read of the even port gives */
};

struct i8259; /* both chips */

struct i8259 *i8259_new(struct err *e);
void i8259_free(struct i8259 *p);
void i8259_reset(struct i8259 *p);

/* `dev` is the struct i8259, the offset a register. */
extern const struct bus_ops i8259_ops;

void i8259_set_line(struct i8259 *p, unsigned irq, int level); /* 0-15; 2 is the cascade: ignored */

/* The INTR pin of the master. */
bool i8259_output(const struct i8259 *p);

/* The INTA cycles: the vector, which is that of a spurious 7 or 15 if the request is gone. */
uint8_t i8259_ack(struct i8259 *p);

void i8259_regs_get(const struct i8259 *p, struct i8259_regs out[2]); /* master, slave */

#endif
