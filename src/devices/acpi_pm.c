/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * acpi_pm: see acpi_pm.h.
 *
 * TMR_STS is settled lazily: the registers keep the half period of the timer (the state of its
 * top bit, counted from boot) that was seen last. A host timer runs only while TMR_EN is set.
 */
#include "devices/acpi_pm.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/vclock.h"
#include "devices/pc_map.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static_assert(PC_PM1_EVT_PORT + ACPI_PM_CNT_OFFSET == PC_PM1_CNT_PORT &&
              PC_PM1_EVT_PORT + ACPI_PM_TMR_OFFSET == PC_PM_TMR_PORT &&
              ACPI_PM_TMR_OFFSET + PC_PM_TMR_BYTES == ACPI_PM_BYTES, "one region holds all blocks");

/* PM1 status and enable */
enum {
    PM1_TMR = 1 << 0, PM1_BM = 1 << 4, PM1_GBL = 1 << 5, PM1_PWRBTN = 1 << 8,
    PM1_SLPBTN = 1 << 9, PM1_RTC = 1 << 10, PM1_WAK = 1 << 15,
    PM1_STS_ALL = PM1_TMR | PM1_BM | PM1_GBL | PM1_PWRBTN | PM1_SLPBTN | PM1_RTC | PM1_WAK,
    PM1_EN_ALL = PM1_TMR | PM1_GBL | PM1_PWRBTN | PM1_SLPBTN | PM1_RTC,
};

/* PM1 control */
enum {
    CNT_SCI_EN = 1 << 0, CNT_BM_RLD = 1 << 1, CNT_SLP_TYP = 7 << 10, CNT_SLP_EN = 1 << 13,
    CNT_SLP_TYP_SHIFT = 10,
    CNT_KEPT = CNT_BM_RLD | CNT_SLP_TYP,
};

struct acpi_pm {
    pthread_mutex_t lock; /* protects all below */
    struct irq_wire sci;
    struct acpi_pm_host host;
    struct vclock *clock;
    struct vtimer overflow; /* the timer's next change of its top bit; armed while TMR_EN */
    unsigned timer_bits;
    int level;
    struct acpi_pm_regs r;
    uint64_t bad_sleeps;
    struct log_limit limit;
};

static uint64_t timer_ticks(const struct acpi_pm *p)
{
    return (uint64_t)((unsigned __int128)vclock_now_ns(p->clock) * ACPI_PM_TMR_HZ / NS_PER_S);
}

/* First guest time at which timer_ticks is `ticks`. */
static uint64_t ticks_to_ns(uint64_t ticks)
{
    return (uint64_t)(((unsigned __int128)ticks * NS_PER_S + ACPI_PM_TMR_HZ - 1) / ACPI_PM_TMR_HZ);
}

static void acpi_pm_update(struct acpi_pm *p)
{
    uint64_t half = timer_ticks(p) >> (p->timer_bits - 1);
    int level;

    if (half != p->r.timer_half)
        p->r.pm1_sts |= PM1_TMR;
    p->r.timer_half = half;
    if ((p->r.pm1_en & PM1_TMR) && !(p->r.pm1_sts & PM1_TMR))
        vtimer_arm(&p->overflow, ticks_to_ns((half + 1) << (p->timer_bits - 1)));
    else
        vtimer_cancel(&p->overflow);
    level = (p->r.pm1_sts & p->r.pm1_en & PM1_EN_ALL) != 0;
    if (level != p->level) {
        p->level = level;
        irq_set(&p->sci, level);
    }
}

static void overflow_fired(void *arg)
{
    struct acpi_pm *p = arg;

    pthread_mutex_lock(&p->lock);
    acpi_pm_update(p);
    pthread_mutex_unlock(&p->lock);
}

static void sleep_enter(struct acpi_pm *p, unsigned type)
{
    if (type == PC_SLEEP_TYPE_S5) {
        if (p->host.power)
            p->host.power(p->host.opaque, BOARD_POWEROFF, 0);
        return;
    }
    p->bad_sleeps++;
    log_limited(&p->limit, LOG_INFO, "a guest asked for sleep type %u, which does not exist", type);
}

/* The registers as bytes, little endian: ACPI lets them be accessed by parts. */
static uint8_t byte_read(struct acpi_pm *p, unsigned off)
{
    const uint16_t reg[3] = {p->r.pm1_sts, p->r.pm1_en, p->r.pm1_cnt | CNT_SCI_EN};

    if (off >= ACPI_PM_CNT_OFFSET + PC_PM1_CNT_BYTES)
        return 0;
    return (uint8_t)(reg[off / 2] >> 8 * (off % 2));
}

static void byte_write(struct acpi_pm *p, unsigned off, uint8_t val)
{
    uint16_t bits = (uint16_t)(val << 8 * (off % 2));
    uint16_t lane = (uint16_t)(0xff << 8 * (off % 2));

    switch (off / 2) {
    case 0:
        p->r.pm1_sts &= (uint16_t)~bits;
        break;
    case 1:
        p->r.pm1_en = (p->r.pm1_en & (uint16_t)~lane) | (bits & PM1_EN_ALL);
        break;
    case 2:
        p->r.pm1_cnt = (p->r.pm1_cnt & (uint16_t)~lane) | (bits & CNT_KEPT);
        if (bits & CNT_SLP_EN)
            sleep_enter(p, (p->r.pm1_cnt & CNT_SLP_TYP) >> CNT_SLP_TYP_SHIFT);
        break;
    default:
        break; /* the timer is read-only */
    }
}

static uint32_t timer_read(const struct acpi_pm *p)
{
    return (uint32_t)(timer_ticks(p) & (p->timer_bits == 32 ? 0xffffffff : 0xffffff));
}

static uint64_t acpi_pm_read(void *dev, uint64_t off, unsigned size)
{
    struct acpi_pm *p = dev;
    uint64_t val = 0;

    if (off >= ACPI_PM_TMR_OFFSET)
        return timer_read(p) >> 8 * (off - ACPI_PM_TMR_OFFSET);
    acpi_pm_update(p); /* settles TMR_STS */
    for (unsigned i = 0; i < size; i++)
        val |= (uint64_t)byte_read(p, (unsigned)off + i) << 8 * i;
    return val;
}

static void acpi_pm_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct acpi_pm *p = dev;

    acpi_pm_update(p); /* what is cleared now is what had happened until now */
    for (unsigned i = 0; i < size; i++)
        byte_write(p, (unsigned)off + i, (uint8_t)(val >> 8 * i));
    acpi_pm_update(p);
}

const struct bus_ops acpi_pm_ops = {
    .read = acpi_pm_read, .write = acpi_pm_write, .widths = BUS_W1 | BUS_W2 | BUS_W4,
};

bool acpi_pm_power_button(struct acpi_pm *p)
{
    bool listens;

    pthread_mutex_lock(&p->lock);
    p->r.pm1_sts |= PM1_PWRBTN;
    listens = p->r.pm1_en & PM1_PWRBTN;
    acpi_pm_update(p);
    pthread_mutex_unlock(&p->lock);
    return listens;
}

static void reset_locked(struct acpi_pm *p)
{
    p->r = (struct acpi_pm_regs){.timer_half = timer_ticks(p) >> (p->timer_bits - 1)};
    acpi_pm_update(p);
}

void acpi_pm_reset(struct acpi_pm *p)
{
    pthread_mutex_lock(&p->lock);
    reset_locked(p);
    pthread_mutex_unlock(&p->lock);
}

struct acpi_pm *acpi_pm_new(const struct irq_wire *sci, struct vclock *clock, unsigned timer_bits,
                            const struct acpi_pm_host *host, struct err *e)
{
    struct acpi_pm *p = calloc(1, sizeof *p);

    if (!p) {
        err_set(e, ENOMEM, "out of memory for ACPI; free some or start fewer guests");
        return NULL;
    }
    pthread_mutex_init(&p->lock, NULL);
    p->sci = *sci;
    p->host = *host;
    p->clock = clock;
    p->timer_bits = timer_bits == 24 ? 24 : 32;
    vtimer_init(&p->overflow, clock, overflow_fired, p);
    reset_locked(p);
    return p;
}

void acpi_pm_free(struct acpi_pm *p)
{
    if (!p)
        return;
    vtimer_cancel(&p->overflow);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

pthread_mutex_t *acpi_pm_lock(struct acpi_pm *p)
{
    return &p->lock;
}

uint64_t acpi_pm_bad_sleeps(struct acpi_pm *p)
{
    uint64_t n;

    pthread_mutex_lock(&p->lock);
    n = p->bad_sleeps;
    pthread_mutex_unlock(&p->lock);
    return n;
}

void acpi_pm_regs_get(struct acpi_pm *p, struct acpi_pm_regs *out)
{
    pthread_mutex_lock(&p->lock);
    *out = p->r;
    pthread_mutex_unlock(&p->lock);
}
