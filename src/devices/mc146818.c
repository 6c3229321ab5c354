/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * mc146818: see mc146818.h.
 */
#include "devices/mc146818.h"

#include "core/clock.h"
#include "core/vclock.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

enum {
    RTC_SEC, RTC_SEC_ALARM, RTC_MIN, RTC_MIN_ALARM, RTC_HOUR, RTC_HOUR_ALARM, RTC_WDAY, RTC_MDAY,
    RTC_MONTH, RTC_YEAR, RTC_A, RTC_B, RTC_C, RTC_D,
    RTC_CENTURY = 0x32,
};

enum { A_RATE = 0x0f, A_DV = 0x70, A_DV_RESET = 0x60, A_UIP = 0x80 };
enum { B_24H = 2, B_BINARY = 4, B_UIE = 16, B_AIE = 32, B_PIE = 64, B_SET = 128 };
enum { C_UF = 16, C_AF = 32, C_PF = 64, C_IRQF = 128 };
enum { D_VALID = 128 };
enum { HOUR_PM = 0x80, ALARM_ANY = 0xc0 };
enum { UIP_NS = 244141, CRYSTAL_HZ = 32768, DAY_S = 86400 };

struct mc146818 {
    pthread_mutex_t lock; /* protects all below */
    struct irq_wire irq;
    struct vclock *clock;
    struct mc146818_params p;
    struct vtimer timer; /* the next moment at which an enabled flag can rise */
    int level;
    struct mc146818_regs r;
};

static uint8_t reg_b(const struct mc146818 *m)
{
    return m->r.cmos[RTC_B];
}

/* SET, or the divider chain held in reset: the time bytes are the guest's to write. */
static bool stopped(const struct mc146818 *m)
{
    return (reg_b(m) & B_SET) || (m->r.cmos[RTC_A] & A_DV_RESET) == A_DV_RESET;
}

/* Seconds since 1970, and how far into the running one. A guest may set any year, so this
 * does not fit into nanoseconds. */
struct rtc_now {
    int64_t s;
    int64_t ns;
};

static uint64_t real_ns(const struct mc146818 *m)
{
    return m->p.real_ns ? m->p.real_ns(m->p.opaque) : clock_real_ns();
}

static struct rtc_now rtc_now(const struct mc146818 *m)
{
    uint64_t ns = real_ns(m) + m->r.offset_ns;

    return (struct rtc_now){.s = (int64_t)(ns / NS_PER_S) + m->r.offset_s,
                            .ns = (int64_t)(ns % NS_PER_S)};
}

static uint8_t encode(const struct mc146818 *m, int n)
{
    n %= 100;
    if (n < 0)
        n += 100;
    return (uint8_t)(reg_b(m) & B_BINARY ? n : n / 10 << 4 | n % 10);
}

static int decode(const struct mc146818 *m, uint8_t val)
{
    return reg_b(m) & B_BINARY ? val : (val >> 4) * 10 + (val & 15);
}

static uint8_t encode_hour(const struct mc146818 *m, int hour)
{
    if (reg_b(m) & B_24H)
        return encode(m, hour);
    return encode(m, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static int decode_hour(const struct mc146818 *m, uint8_t val)
{
    if (reg_b(m) & B_24H)
        return decode(m, val);
    return decode(m, val & (uint8_t)~HOUR_PM) % 12 + (val & HOUR_PM ? 12 : 0);
}

/* The time `s` as the guest reads it, into the CMOS bytes. */
static void time_store(struct mc146818 *m, int64_t s)
{
    uint8_t *c = m->r.cmos;
    time_t t = (time_t)s;
    struct tm tm;

    if (!gmtime_r(&t, &tm))
        return;
    c[RTC_SEC] = encode(m, tm.tm_sec);
    c[RTC_MIN] = encode(m, tm.tm_min);
    c[RTC_HOUR] = encode_hour(m, tm.tm_hour);
    c[RTC_WDAY] = encode(m, tm.tm_wday + 1);
    c[RTC_MDAY] = encode(m, tm.tm_mday);
    c[RTC_MONTH] = encode(m, tm.tm_mon + 1);
    c[RTC_YEAR] = encode(m, tm.tm_year);
    c[RTC_CENTURY] = encode(m, (tm.tm_year + 1900) / 100);
}

/* The seconds since 1970 that the CMOS bytes say; nonsense is carried over, never refused. */
static int64_t time_load(const struct mc146818 *m)
{
    const uint8_t *c = m->r.cmos;
    struct tm tm = {
        .tm_sec = decode(m, c[RTC_SEC]), .tm_min = decode(m, c[RTC_MIN]),
        .tm_hour = decode_hour(m, c[RTC_HOUR]), .tm_mday = decode(m, c[RTC_MDAY]),
        .tm_mon = decode(m, c[RTC_MONTH]) - 1,
        .tm_year = decode(m, c[RTC_CENTURY]) * 100 + decode(m, c[RTC_YEAR]) - 1900,
    };

    return timegm(&tm);
}

/* Makes the clock run from what the bytes say, `phase_ns` into that second. */
static void time_start(struct mc146818 *m, int64_t phase_ns)
{
    uint64_t real = real_ns(m);
    int64_t behind = phase_ns - (int64_t)(real % NS_PER_S);
    int64_t s = time_load(m);

    m->r.offset_s = s - (int64_t)(real / NS_PER_S) - (behind < 0);
    m->r.offset_ns = (uint32_t)(behind < 0 ? behind + (int64_t)NS_PER_S : behind);
    m->r.settled_s = s;
}

/* 32768 Hz cycles of one period; 0: off. Rates 1 and 2 are those of 8 and 9. */
static unsigned periodic_cycles(const struct mc146818 *m)
{
    unsigned rate = m->r.cmos[RTC_A] & A_RATE;

    if (rate == 0 || stopped(m))
        return 0;
    return 1u << ((rate < 3 ? rate + 7 : rate) - 1);
}

static uint64_t periods_since_start(const struct mc146818 *m, unsigned cycles)
{
    uint64_t ns = vclock_now_ns(m->clock) - m->r.periodic_start_ns;

    return (uint64_t)((unsigned __int128)ns * CRYSTAL_HZ / ((uint64_t)cycles * NS_PER_S));
}

/* Guest time of the end of period `n`, exact over any number of periods. */
static uint64_t period_end_ns(const struct mc146818 *m, unsigned cycles, uint64_t n)
{
    unsigned __int128 ns = (unsigned __int128)n * cycles * NS_PER_S;

    return m->r.periodic_start_ns + (uint64_t)((ns + CRYSTAL_HZ - 1) / CRYSTAL_HZ);
}

static void periodic_restart(struct mc146818 *m)
{
    m->r.periodic_start_ns = vclock_now_ns(m->clock);
    m->r.periodic_settled = 0;
}

static bool alarm_byte_matches(const struct mc146818 *m, unsigned reg, int value)
{
    uint8_t want = m->r.cmos[reg];

    if ((want & ALARM_ANY) == ALARM_ANY)
        return true;
    return (reg == RTC_HOUR_ALARM ? decode_hour(m, want) : decode(m, want)) == value;
}

static bool alarm_matches(const struct mc146818 *m, int64_t s)
{
    int of_day = (int)(s % DAY_S);

    if (of_day < 0)
        of_day += DAY_S;
    return alarm_byte_matches(m, RTC_SEC_ALARM, of_day % 60) &&
           alarm_byte_matches(m, RTC_MIN_ALARM, of_day / 60 % 60) &&
           alarm_byte_matches(m, RTC_HOUR_ALARM, of_day / 3600);
}

/* Sets UF and AF for the updates since the last call. A day of seconds holds every alarm. */
static void settle_updates(struct mc146818 *m)
{
    int64_t now, s;

    if (stopped(m))
        return;
    now = rtc_now(m).s;
    if (now > m->r.settled_s)
        m->r.cmos[RTC_C] |= C_UF;
    s = now - DAY_S > m->r.settled_s ? now - DAY_S : m->r.settled_s;
    while (s < now && !(m->r.cmos[RTC_C] & C_AF))
        if (alarm_matches(m, ++s))
            m->r.cmos[RTC_C] |= C_AF;
    m->r.settled_s = now;
}

static void settle_periodic(struct mc146818 *m)
{
    unsigned cycles = periodic_cycles(m);
    uint64_t n = cycles ? periods_since_start(m, cycles) : 0;

    if (n > m->r.periodic_settled)
        m->r.cmos[RTC_C] |= C_PF;
    m->r.periodic_settled = n;
}

/* Guest time of the next moment at which an enabled flag that is not yet set can rise. */
static uint64_t next_event_ns(const struct mc146818 *m)
{
    uint8_t waiting = reg_b(m) & (uint8_t)~m->r.cmos[RTC_C] & (B_PIE | B_AIE | B_UIE);
    unsigned cycles = periodic_cycles(m);
    uint64_t due = UINT64_MAX;

    if ((waiting & B_PIE) && cycles)
        due = period_end_ns(m, cycles, m->r.periodic_settled + 1);
    if ((waiting & (B_AIE | B_UIE)) && !stopped(m)) {
        uint64_t update = vclock_now_ns(m->clock) + (NS_PER_S - (uint64_t)rtc_now(m).ns);

        due = update < due ? update : due;
    }
    return due;
}

/* The flags of register C stand at the bits of their enables in register B. */
static void mc146818_update(struct mc146818 *m)
{
    uint64_t due;
    int level;

    settle_updates(m);
    settle_periodic(m);
    level = (reg_b(m) & m->r.cmos[RTC_C] & (B_PIE | B_AIE | B_UIE)) != 0;
    due = next_event_ns(m);
    if (due == UINT64_MAX)
        vtimer_cancel(&m->timer);
    else
        vtimer_arm(&m->timer, due);
    if (level != m->level) {
        m->level = level;
        irq_set(&m->irq, level);
    }
}

static void timer_fired(void *arg)
{
    struct mc146818 *m = arg;

    pthread_mutex_lock(&m->lock);
    mc146818_update(m);
    pthread_mutex_unlock(&m->lock);
}

static bool is_time_byte(unsigned reg)
{
    return reg == RTC_SEC || reg == RTC_MIN || reg == RTC_HOUR || reg == RTC_CENTURY ||
           (reg >= RTC_WDAY && reg <= RTC_YEAR);
}

static uint8_t cmos_read(struct mc146818 *m, unsigned reg)
{
    uint8_t val;

    if (is_time_byte(reg) && !stopped(m))
        time_store(m, rtc_now(m).s);
    val = m->r.cmos[reg];
    if (reg == RTC_A && !stopped(m) && rtc_now(m).ns >= (int64_t)NS_PER_S - UIP_NS)
        val |= A_UIP;
    if (reg == RTC_C) {
        mc146818_update(m);
        val = m->r.cmos[RTC_C] | (m->level ? C_IRQF : 0);
        m->r.cmos[RTC_C] = 0;
    }
    return val;
}

static void time_byte_write(struct mc146818 *m, unsigned reg, uint8_t val)
{
    int64_t phase;

    if (stopped(m)) {
        m->r.cmos[reg] = val;
        return;
    }
    phase = rtc_now(m).ns;
    time_store(m, rtc_now(m).s);
    m->r.cmos[reg] = val;
    if (reg != RTC_WDAY) /* follows from the date */
        time_start(m, phase);
}

/* Registers A and B: both may stop the clock or let it go. */
static void control_write(struct mc146818 *m, unsigned reg, uint8_t val)
{
    bool was_stopped = stopped(m);
    bool was_reset = (m->r.cmos[RTC_A] & A_DV_RESET) == A_DV_RESET;
    uint8_t rate = m->r.cmos[RTC_A] & A_RATE;
    int64_t phase = rtc_now(m).ns;

    if (!was_stopped)
        time_store(m, rtc_now(m).s);
    m->r.cmos[reg] = reg == RTC_A ? val & (A_DV | A_RATE) : val;
    if (reg_b(m) & B_SET)
        m->r.cmos[RTC_B] &= (uint8_t)~B_UIE;
    if (was_stopped && !stopped(m)) /* the first update is half a second after the dividers start */
        time_start(m, was_reset ? (int64_t)NS_PER_S / 2 : phase);
    if (was_stopped != stopped(m) || rate != (m->r.cmos[RTC_A] & A_RATE))
        periodic_restart(m);
}

static void cmos_write(struct mc146818 *m, unsigned reg, uint8_t val)
{
    settle_updates(m); /* by the alarm that was set until now */
    settle_periodic(m);
    if (reg == RTC_C || reg == RTC_D)
        return;
    if (is_time_byte(reg))
        time_byte_write(m, reg, val);
    else if (reg == RTC_A || reg == RTC_B)
        control_write(m, reg, val);
    else
        m->r.cmos[reg] = val;
}

static uint64_t mc146818_read(void *dev, uint64_t off, unsigned size)
{
    struct mc146818 *m = dev;
    uint8_t val;

    (void)size;
    if (off == 0)
        return 0xff; /* the index is write-only */
    val = cmos_read(m, m->r.index);
    mc146818_update(m);
    return val;
}

static void mc146818_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct mc146818 *m = dev;

    (void)size;
    if (off == 0) {
        m->r.index = val & (MC146818_CMOS_BYTES - 1);
        return;
    }
    cmos_write(m, m->r.index, (uint8_t)val);
    mc146818_update(m);
}

const struct bus_ops mc146818_ops = {
    .read = mc146818_read, .write = mc146818_write, .widths = BUS_W1,
};

static void put_le(uint8_t *cmos, unsigned low, unsigned high, uint64_t val)
{
    cmos[low] = (uint8_t)val;
    cmos[high] = (uint8_t)(val >> 8);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What firmware leaves there: memory sizes, equipment, checksum of 10-2d. */
static void firmware_bytes(struct mc146818 *m)
{
    const uint64_t mib = 1 << 20;
    uint64_t low = m->p.low_bytes, chunks = m->p.high_bytes >> 16;
    uint64_t ext_kib = low > mib ? min_u64((low - mib) >> 10, 0xffff) : 0;
    uint64_t ext_64k = low > 16 * mib ? min_u64((low - 16 * mib) >> 16, 0xffff) : 0;
    uint8_t *c = m->r.cmos;
    unsigned sum = 0;

    c[0x14] = 0x02; /* a coprocessor */
    put_le(c, 0x15, 0x16, min_u64(low >> 10, 640));
    put_le(c, 0x17, 0x18, ext_kib);
    put_le(c, 0x30, 0x31, ext_kib);
    put_le(c, 0x34, 0x35, ext_64k);
    put_le(c, 0x5b, 0x5c, chunks);
    c[0x5d] = (uint8_t)(chunks >> 16);
    c[0x5f] = (uint8_t)(m->p.vcpus - 1);
    for (unsigned i = 0x10; i <= 0x2d; i++)
        sum += c[i];
    put_le(c, 0x2f, 0x2e, sum);
}

static void reset_locked(struct mc146818 *m)
{
    m->r = (struct mc146818_regs){.offset_s = m->r.offset_s, .offset_ns = m->r.offset_ns};
    m->r.cmos[RTC_A] = 0x26;
    m->r.cmos[RTC_B] = B_24H;
    m->r.cmos[RTC_D] = D_VALID;
    m->r.settled_s = rtc_now(m).s;
    firmware_bytes(m);
    periodic_restart(m);
    mc146818_update(m);
}

void mc146818_reset(struct mc146818 *m)
{
    pthread_mutex_lock(&m->lock);
    reset_locked(m);
    pthread_mutex_unlock(&m->lock);
}

struct mc146818 *mc146818_new(const struct irq_wire *irq, struct vclock *clock,
                              const struct mc146818_params *params, struct err *e)
{
    struct mc146818 *m = calloc(1, sizeof *m);

    if (!m) {
        err_set(e, ENOMEM, "out of memory for the RTC; free some or start fewer guests");
        return NULL;
    }
    pthread_mutex_init(&m->lock, NULL);
    m->irq = *irq;
    m->clock = clock;
    m->p = *params;
    vtimer_init(&m->timer, clock, timer_fired, m);
    reset_locked(m);
    return m;
}

void mc146818_free(struct mc146818 *m)
{
    if (!m)
        return;
    vtimer_cancel(&m->timer);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

pthread_mutex_t *mc146818_lock(struct mc146818 *m)
{
    return &m->lock;
}

void mc146818_regs_get(struct mc146818 *m, struct mc146818_regs *out)
{
    pthread_mutex_lock(&m->lock);
    *out = m->r;
    pthread_mutex_unlock(&m->lock);
}
