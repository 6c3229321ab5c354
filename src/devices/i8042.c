/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * i8042: see i8042.h.
 */
#include "devices/i8042.h"

#include <errno.h>
#include <stdlib.h>

enum {
    ST_OUTPUT_FULL = 1,
    ST_SYSTEM = 4,
    ST_COMMAND = 8,
    ST_UNLOCKED = 16,
    ST_AUX = 32,
    ST_TIMEOUT = 64
};

enum {
    CMD_READ_CTR = 0x20, CMD_WRITE_CTR = 0x60, CMD_AUX_DISABLE = 0xa7, CMD_AUX_ENABLE = 0xa8,
    CMD_AUX_TEST = 0xa9, CMD_SELF_TEST = 0xaa, CMD_KBD_TEST = 0xab, CMD_KBD_DISABLE = 0xad,
    CMD_KBD_ENABLE = 0xae, CMD_READ_INPORT = 0xc0, CMD_READ_OUTPORT = 0xd0,
    CMD_WRITE_OUTPORT = 0xd1, CMD_KBD_LOOP = 0xd2, CMD_AUX_LOOP = 0xd3, CMD_AUX_SEND = 0xd4,
    CMD_A20_OFF = 0xdd, CMD_A20_ON = 0xdf, CMD_PULSE = 0xf0,
};

enum { ANSWER_SELF_TEST = 0x55, ANSWER_CLOCK_STUCK = 0x01, ANSWER_NOT_LOCKED = 0x80,
       ANSWER_TIMEOUT = 0xfe };
enum { CTR_SYSTEM = 0x04, CTR_KBD_OFF = 0x10, CTR_AUX_OFF = 0x20 };
enum { OUT_NOT_RESET = 1, OUT_A20 = 2 };
enum { P92_RESET = 1, P92_A20 = 2 };

struct i8042 {
    pthread_mutex_t lock; /* protects all below */
    struct i8042_host host;
    struct i8042_regs r;
};

static void machine_reset(struct i8042 *k)
{
    if (k->host.power)
        k->host.power(k->host.opaque, BOARD_RESET, 0);
}

static void answer(struct i8042 *k, uint8_t data, uint8_t extra_status)
{
    k->r.data = data;
    k->r.status &= (uint8_t)~(ST_AUX | ST_TIMEOUT);
    k->r.status |= ST_OUTPUT_FULL | extra_status;
}

static void outport_write(struct i8042 *k, uint8_t val)
{
    k->r.outport = val | OUT_NOT_RESET;
    k->r.port92 = (k->r.port92 & (uint8_t)~P92_A20) | (val & OUT_A20 ? P92_A20 : 0);
    if (!(val & OUT_NOT_RESET))
        machine_reset(k);
}

/* Commands that only ask. False: it is not one of them. */
static bool answer_question(struct i8042 *k, uint8_t cmd)
{
    switch (cmd) {
    case CMD_READ_CTR:
        answer(k, k->r.ctr, 0);
        return true;
    case CMD_SELF_TEST:
        k->r.status |= ST_SYSTEM;
        answer(k, ANSWER_SELF_TEST, 0);
        return true;
    case CMD_KBD_TEST:
    case CMD_AUX_TEST:
        answer(k, ANSWER_CLOCK_STUCK, 0);
        return true;
    case CMD_READ_INPORT:
        answer(k, ANSWER_NOT_LOCKED, 0);
        return true;
    case CMD_READ_OUTPORT:
        answer(k, k->r.outport, 0);
        return true;
    default:
        return false;
    }
}

/* Commands whose byte follows at port 0x60 are only noted. */
static void command_write(struct i8042 *k, uint8_t cmd)
{
    k->r.status |= ST_COMMAND;
    k->r.command = 0;
    if (answer_question(k, cmd))
        return;
    if (cmd >= CMD_PULSE) { /* low bits: lines of the output port that are NOT pulsed low */
        if (!(cmd & OUT_NOT_RESET))
            machine_reset(k);
        return;
    }
    switch (cmd) {
    case CMD_AUX_DISABLE:
        k->r.ctr |= CTR_AUX_OFF;
        break;
    case CMD_AUX_ENABLE:
        k->r.ctr &= (uint8_t)~CTR_AUX_OFF;
        break;
    case CMD_KBD_DISABLE:
        k->r.ctr |= CTR_KBD_OFF;
        break;
    case CMD_KBD_ENABLE:
        k->r.ctr &= (uint8_t)~CTR_KBD_OFF;
        break;
    case CMD_A20_OFF:
        outport_write(k, k->r.outport & (uint8_t)~OUT_A20);
        break;
    case CMD_A20_ON:
        outport_write(k, k->r.outport | OUT_A20);
        break;
    case CMD_WRITE_CTR:
    case CMD_WRITE_OUTPORT:
    case CMD_KBD_LOOP:
    case CMD_AUX_LOOP:
    case CMD_AUX_SEND:
        k->r.command = cmd;
        break;
    default:
        break;
    }
}

static void data_write(struct i8042 *k, uint8_t val)
{
    uint8_t cmd = k->r.command;

    k->r.command = 0;
    k->r.status &= (uint8_t)~ST_COMMAND;
    switch (cmd) {
    case CMD_WRITE_CTR:
        k->r.ctr = val;
        k->r.status = (k->r.status & (uint8_t)~ST_SYSTEM) | (val & CTR_SYSTEM);
        break;
    case CMD_WRITE_OUTPORT:
        outport_write(k, val);
        break;
    case CMD_KBD_LOOP:
        answer(k, val, 0);
        break;
    case CMD_AUX_LOOP: /* no second port: a driver that asks for an echo sees that it is wrong */
    case CMD_AUX_SEND:
        answer(k, ANSWER_TIMEOUT, ST_AUX | ST_TIMEOUT);
        break;
    default: /* for the keyboard */
        answer(k, ANSWER_TIMEOUT, ST_TIMEOUT);
        break;
    }
}

static uint64_t i8042_data_read(void *dev, uint64_t off, unsigned size)
{
    struct i8042 *k = dev;

    (void)off, (void)size;
    k->r.status &= (uint8_t)~(ST_OUTPUT_FULL | ST_AUX | ST_TIMEOUT);
    return k->r.data;
}

static void i8042_data_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    (void)off, (void)size;
    data_write(dev, (uint8_t)val);
}

static uint64_t i8042_status_read(void *dev, uint64_t off, unsigned size)
{
    const struct i8042 *k = dev;

    (void)off, (void)size;
    return k->r.status;
}

static void i8042_command_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    (void)off, (void)size;
    command_write(dev, (uint8_t)val);
}

static uint64_t port92_read(void *dev, uint64_t off, unsigned size)
{
    const struct i8042 *k = dev;

    (void)off, (void)size;
    return k->r.port92;
}

/* Bit 0 resets when it rises. */
static void port92_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct i8042 *k = dev;
    bool reset = val & ~(uint64_t)k->r.port92 & P92_RESET;

    (void)off, (void)size;
    k->r.port92 = val & (P92_RESET | P92_A20);
    k->r.outport = (k->r.outport & (uint8_t)~OUT_A20) | (val & P92_A20 ? OUT_A20 : 0);
    if (reset)
        machine_reset(k);
}

const struct bus_ops i8042_data_ops = {
    .read = i8042_data_read, .write = i8042_data_write, .widths = BUS_W1,
};
const struct bus_ops i8042_command_ops = {
    .read = i8042_status_read, .write = i8042_command_write, .widths = BUS_W1,
};
const struct bus_ops i8042_port92_ops = {
    .read = port92_read, .write = port92_write, .widths = BUS_W1,
};

static void reset_locked(struct i8042 *k)
{
    k->r = (struct i8042_regs){
        .status = ST_SYSTEM | ST_UNLOCKED,
        .ctr = CTR_SYSTEM | CTR_KBD_OFF | CTR_AUX_OFF,
        .outport = OUT_NOT_RESET | OUT_A20,
        .port92 = P92_A20,
    };
}

void i8042_reset(struct i8042 *k)
{
    pthread_mutex_lock(&k->lock);
    reset_locked(k);
    pthread_mutex_unlock(&k->lock);
}

struct i8042 *i8042_new(const struct i8042_host *host, struct err *e)
{
    struct i8042 *k = calloc(1, sizeof *k);

    if (!k) {
        err_set(e, ENOMEM, "out of memory for the i8042; free some or start fewer guests");
        return NULL;
    }
    pthread_mutex_init(&k->lock, NULL);
    k->host = *host;
    reset_locked(k);
    return k;
}

void i8042_free(struct i8042 *k)
{
    if (!k)
        return;
    pthread_mutex_destroy(&k->lock);
    free(k);
}

pthread_mutex_t *i8042_lock(struct i8042 *k)
{
    return &k->lock;
}

void i8042_regs_get(struct i8042 *k, struct i8042_regs *out)
{
    pthread_mutex_lock(&k->lock);
    *out = k->r;
    pthread_mutex_unlock(&k->lock);
}
