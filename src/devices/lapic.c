/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * lapic: see lapic.h. Registers are numbered by their offset in the page divided by 16, which
 * is also their x2APIC MSR minus 0x800.
 */
#include "devices/lapic.h"

#include "core/vclock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    REG_ID = 0x02, REG_VERSION = 0x03, REG_TPR = 0x08, REG_APR = 0x09, REG_PPR = 0x0a,
    REG_EOI = 0x0b, REG_RRD = 0x0c, REG_LDR = 0x0d, REG_DFR = 0x0e, REG_SVR = 0x0f,
    REG_ISR = 0x10, REG_TMR = 0x18, REG_IRR = 0x20, REG_ESR = 0x28, REG_ICR = 0x30,
    REG_ICR_HIGH = 0x31, REG_LVT = 0x32, REG_INITIAL = 0x38, REG_CURRENT = 0x39,
    REG_DIVIDE = 0x3e, REG_SELF_IPI = 0x3f, REGS = 0x40,
};

enum { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR };
enum { LVT_VECTOR = 0xff, LVT_REMOTE_IRR = 1 << 14, LVT_LEVEL = 1 << 15, LVT_MASKED = 1 << 16 };
enum { LVT_DELIVERY_SHIFT = 8, LVT_TIMER_MODE_SHIFT = 17 };
enum { SVR_ENABLE = 0x100 };
enum { ESR_SEND_ILLEGAL = 0x20, ESR_RECEIVE_ILLEGAL = 0x40, ESR_REGISTER = 0x80 };
enum { ICR_LOGICAL = 1 << 11, ICR_ASSERT = 1 << 14, ICR_LEVEL = 1 << 15, ICR_SHORTHAND_SHIFT = 18 };
enum { VERSION = 0x14 | (LAPIC_LVTS - 1) << 16 };
enum { MSR_APIC_BASE = 0x1b, MSR_TSC_DEADLINE = 0x6e0, MSR_X2APIC = 0x800 };
enum { BASE_BSP = 1 << 8, BASE_X2 = 1 << 10, BASE_ENABLE = 1 << 11, BASE_RESERVED_LOW = 0x2ff };
enum { FIRST_LEGAL_VECTOR = 16, NO_VECTOR = -1 };

#define BASE_DEFAULT 0xfee00000ull

/* What a register is: readable and writable in which of the two modes, and which bits may be
 * written as ones in x2APIC mode without a fault. */
enum { R1 = 1, W1 = 2, R2 = 4, W2 = 8, RW1 = R1 | W1, RW2 = R2 | W2, RR = R1 | R2, RW = RW1 | RW2 };

struct reg_kind {
    uint8_t access;
    uint32_t x2_bits;
};

static const struct reg_kind reg_kinds[REGS] = {
    [REG_ID] = {RR | W1, 0},
    [REG_VERSION] = {RR | W1, 0},
    [REG_TPR] = {RW, 0xff},
    [REG_APR] = {R1 | W1, 0},
    [REG_PPR] = {RR | W1, 0},
    [REG_EOI] = {W1 | W2 | R1, 0},
    [REG_RRD] = {R1 | W1, 0},
    [REG_LDR] = {RW1 | R2, 0},
    [REG_DFR] = {RW1, 0},
    [REG_SVR] = {RW, 0x3ff},
    [REG_ISR ... REG_ISR + 7] = {RR | W1, 0},
    [REG_TMR ... REG_TMR + 7] = {RR | W1, 0},
    [REG_IRR ... REG_IRR + 7] = {RR | W1, 0},
    [REG_ESR] = {RW, 0},
    [REG_ICR] = {RW, 0xcdfff},
    [REG_ICR_HIGH] = {RW1, 0},
    [REG_LVT + LVT_TIMER] = {RW, 0x710ff},
    [REG_LVT + LVT_THERMAL] = {RW, 0x117ff},
    [REG_LVT + LVT_PERF] = {RW, 0x117ff},
    [REG_LVT + LVT_LINT0] = {RW, 0x1f7ff},
    [REG_LVT + LVT_LINT1] = {RW, 0x1f7ff},
    [REG_LVT + LVT_ERROR] = {RW, 0x110ff},
    [REG_INITIAL] = {RW, 0xffffffff},
    [REG_CURRENT] = {RR | W1, 0},
    [REG_DIVIDE] = {RW, 0xb},
    [REG_SELF_IPI] = {W2, 0xff},
};

/* Bits of an LVT entry that a write changes. */
static const uint32_t lvt_bits[LAPIC_LVTS] = {0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff};

struct lapic {
    unsigned cpu;
    struct lapic_env env;
    struct lapic_regs r;
    struct lapic_timer timer;
};

static void lvt_fire(struct lapic *l, unsigned n);

static bool is_on(const struct lapic *l)
{
    return l->r.base & BASE_ENABLE;
}

static bool in_x2apic(const struct lapic *l)
{
    return (l->r.base & (BASE_ENABLE | BASE_X2)) == (BASE_ENABLE | BASE_X2);
}

bool lapic_is_enabled(const struct lapic *l)
{
    return is_on(l) && (l->r.svr & SVR_ENABLE);
}

/* ---- sets of vectors */

static void vector_set(uint32_t *set, unsigned v)
{
    set[v / 32] |= 1u << v % 32;
}

static void vector_clear(uint32_t *set, unsigned v)
{
    set[v / 32] &= ~(1u << v % 32);
}

static bool vector_has(const uint32_t *set, unsigned v)
{
    return set[v / 32] >> v % 32 & 1;
}

static int vector_highest(const uint32_t *set)
{
    for (int w = LAPIC_VECTOR_WORDS - 1; w >= 0; w--)
        if (set[w])
            return w * 32 + 31 - __builtin_clz(set[w]);
    return NO_VECTOR;
}

/* ---- priorities */

uint8_t lapic_priority(const struct lapic *l)
{
    int in_service = vector_highest(l->r.isr);
    unsigned isr_class = in_service < 0 ? 0 : (unsigned)in_service & 0xf0;

    return (uint8_t)((l->r.tpr & 0xf0) >= isr_class ? l->r.tpr : isr_class);
}

int lapic_pending(const struct lapic *l)
{
    int v = vector_highest(l->r.irr);

    if (v < 0 || !is_on(l) || (v & 0xf0) <= (lapic_priority(l) & 0xf0))
        return NO_VECTOR;
    return v;
}

int lapic_ack(struct lapic *l)
{
    int v = lapic_pending(l);

    if (v < 0)
        return NO_VECTOR;
    vector_clear(l->r.irr, (unsigned)v);
    vector_set(l->r.isr, (unsigned)v);
    return v;
}

uint8_t lapic_cr8(const struct lapic *l)
{
    return (uint8_t)(l->r.tpr >> 4);
}

void lapic_set_cr8(struct lapic *l, uint8_t cr8)
{
    l->r.tpr = (uint32_t)(cr8 & 15) << 4;
}

/* ---- errors and local interrupts */

static void error_note(struct lapic *l, uint32_t bit)
{
    bool news = !(l->r.esr_pending & bit);

    l->r.esr_pending |= bit;
    if (news)
        lvt_fire(l, LVT_ERROR);
}

static void request(struct lapic *l, uint8_t vector, bool level)
{
    if (vector < FIRST_LEGAL_VECTOR) {
        error_note(l, ESR_RECEIVE_ILLEGAL);
        return;
    }
    vector_set(l->r.irr, vector);
    if (level)
        vector_set(l->r.tmr, vector);
    else
        vector_clear(l->r.tmr, vector);
}

/* Deliveries that pass by the arbitration. SMIs and reserved ones do nothing. */
static void event_of(struct lapic *l, enum apic_delivery delivery, uint8_t vector)
{
    if (delivery == APIC_NMI)
        l->env.event(l->env.opaque, l->cpu, CPU_EVENT_NMI, 0);
    else if (delivery == APIC_INIT)
        l->env.event(l->env.opaque, l->cpu, CPU_EVENT_INIT, 0);
    else if (delivery == APIC_STARTUP)
        l->env.event(l->env.opaque, l->cpu, CPU_EVENT_SIPI, vector);
}

/* An entry of the local vector table whose source has become active. */
static void lvt_fire(struct lapic *l, unsigned n)
{
    uint32_t lvt = l->r.lvt[n];
    bool pin = n == LVT_LINT0 || n == LVT_LINT1;
    enum apic_delivery delivery =
        n == LVT_TIMER || n == LVT_ERROR ? APIC_FIXED : lvt >> LVT_DELIVERY_SHIFT & 7;

    if ((lvt & LVT_MASKED) || !is_on(l))
        return;
    switch (delivery) {
    case APIC_FIXED:
        if (pin && (lvt & LVT_LEVEL)) {
            if (lvt & LVT_REMOTE_IRR)
                break;
            l->r.lvt[n] |= LVT_REMOTE_IRR;
        }
        request(l, lvt & LVT_VECTOR, pin && (lvt & LVT_LEVEL));
        break;
    case APIC_STARTUP:
        break; /* only a message can */
    default:
        event_of(l, delivery, 0); /* ExtINT is looked at in lapic_takes_extint */
        break;
    }
}

static bool lint_is_level(const struct lapic *l, unsigned pin)
{
    uint32_t lvt = l->r.lvt[LVT_LINT0 + pin];

    return (lvt & LVT_LEVEL) && (lvt >> LVT_DELIVERY_SHIFT & 7) == APIC_FIXED;
}

void lapic_set_lint(struct lapic *l, unsigned pin, bool level)
{
    bool rises = level && !l->r.lint[pin];

    l->r.lint[pin] = level;
    if (pin == 0 && !level)
        l->r.extint = false; /* the PICs have nothing any more */
    if (rises)
        lvt_fire(l, LVT_LINT0 + pin);
}

bool lapic_takes_extint(const struct lapic *l)
{
    uint32_t lvt = l->r.lvt[LVT_LINT0];

    if (!is_on(l) || l->r.extint)
        return true;
    return !(lvt & LVT_MASKED) && (lvt >> LVT_DELIVERY_SHIFT & 7) == APIC_EXTINT;
}

static void eoi(struct lapic *l)
{
    int v = vector_highest(l->r.isr);

    if (v < 0)
        return;
    vector_clear(l->r.isr, (unsigned)v);
    if (!vector_has(l->r.tmr, (unsigned)v))
        return;
    for (unsigned pin = 0; pin < 2; pin++) {
        uint32_t *lvt = &l->r.lvt[LVT_LINT0 + pin];

        if (!(*lvt & LVT_REMOTE_IRR) || (*lvt & LVT_VECTOR) != (uint32_t)v)
            continue;
        *lvt &= ~(uint32_t)LVT_REMOTE_IRR;
        if (l->r.lint[pin] && lint_is_level(l, pin))
            lvt_fire(l, LVT_LINT0 + pin);
    }
    l->env.eoi(l->env.opaque, l->cpu, (uint8_t)v);
}

void lapic_timer_check(struct lapic *l)
{
    if (lapic_timer_expired(&l->timer))
        lvt_fire(l, LVT_TIMER);
}

/* ---- messages */

static uint32_t ldr_x2(const struct lapic *l)
{
    return l->cpu >> 4 << 16 | 1u << (l->cpu & 15);
}

static bool is_logical_dest(const struct lapic *l, uint32_t dest)
{
    uint32_t ldr = in_x2apic(l) ? ldr_x2(l) : l->r.ldr >> 24;

    if (in_x2apic(l))
        return dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff);
    if (l->r.dfr >> 28 == 15) /* flat */
        return dest & ldr;
    return (dest >> 4 == ldr >> 4 || dest >> 4 == 15) && (dest & ldr & 15);
}

bool lapic_is_dest(const struct lapic *l, const struct apic_msg *m)
{
    if (!is_on(l))
        return false;
    if (apic_msg_is_broadcast(m))
        return true;
    return m->logical ? is_logical_dest(l, m->dest) : m->dest == l->cpu;
}

bool lapic_accept(struct lapic *l, const struct apic_msg *m)
{
    if (!is_on(l))
        return false;
    switch (m->delivery) {
    case APIC_FIXED:
    case APIC_LOWEST:
        if (!lapic_is_enabled(l))
            return false;
        request(l, m->vector, m->level);
        break;
    case APIC_EXTINT:
        l->r.extint = l->r.lint[0];
        break;
    default:
        event_of(l, m->delivery, m->vector);
        break;
    }
    return true;
}

/* Sends what the ICR says. IPIs are edges; a level de-assert (of INIT) is history. */
static void icr_send(struct lapic *l)
{
    uint32_t low = l->r.icr_low;
    struct apic_msg m = {
        .dest = in_x2apic(l) ? l->r.icr_high : l->r.icr_high >> 24,
        .vector = (uint8_t)low,
        .delivery = low >> 8 & 7,
        .logical = low & ICR_LOGICAL,
        .wide = in_x2apic(l),
    };
    bool vectored = m.delivery == APIC_FIXED || m.delivery == APIC_LOWEST;

    if ((low & ICR_LEVEL) && !(low & ICR_ASSERT))
        return;
    if (m.delivery == APIC_RESERVED3 || m.delivery == APIC_EXTINT)
        return;
    if (vectored && m.vector < FIRST_LEGAL_VECTOR) {
        error_note(l, ESR_SEND_ILLEGAL);
        return;
    }
    l->env.send(l->env.opaque, l->cpu, &m, low >> ICR_SHORTHAND_SHIFT & 3);
}

static void self_ipi(struct lapic *l, uint8_t vector)
{
    const struct apic_msg m = {.vector = vector, .delivery = APIC_FIXED};

    if (vector < FIRST_LEGAL_VECTOR)
        error_note(l, ESR_SEND_ILLEGAL);
    else
        l->env.send(l->env.opaque, l->cpu, &m, LAPIC_TO_SELF);
}

/* ---- registers */

static uint32_t reg_read(struct lapic *l, unsigned reg)
{
    switch (reg) {
    case REG_ID:
        return in_x2apic(l) ? l->cpu : l->cpu << 24;
    case REG_VERSION:
        return VERSION;
    case REG_TPR:
        return l->r.tpr;
    case REG_APR:
    case REG_PPR:
        return lapic_priority(l);
    case REG_LDR:
        return in_x2apic(l) ? ldr_x2(l) : l->r.ldr;
    case REG_DFR:
        return l->r.dfr;
    case REG_SVR:
        return l->r.svr;
    case REG_ISR ... REG_ISR + 7:
        return l->r.isr[reg - REG_ISR];
    case REG_TMR ... REG_TMR + 7:
        return l->r.tmr[reg - REG_TMR];
    case REG_IRR ... REG_IRR + 7:
        return l->r.irr[reg - REG_IRR];
    case REG_ESR:
        return l->r.esr;
    case REG_ICR:
        return l->r.icr_low;
    case REG_ICR_HIGH:
        return l->r.icr_high;
    case REG_LVT ... REG_LVT + LAPIC_LVTS - 1:
        return l->r.lvt[reg - REG_LVT];
    case REG_INITIAL:
        return l->timer.r.initial;
    case REG_CURRENT:
        return lapic_timer_current(&l->timer);
    case REG_DIVIDE:
        return l->timer.r.divide;
    default:
        return 0; /* EOI, RRD */
    }
}

static void timer_follow_lvt(struct lapic *l)
{
    uint32_t lvt = l->r.lvt[LVT_TIMER];

    lapic_timer_set_mode(&l->timer, lvt >> LVT_TIMER_MODE_SHIFT & 3, lvt & LVT_MASKED);
}

static void lvt_write(struct lapic *l, unsigned n, uint32_t val)
{
    uint32_t old = l->r.lvt[n], now = val & lvt_bits[n];

    if (!(l->r.svr & SVR_ENABLE))
        now |= LVT_MASKED;
    if (now & LVT_LEVEL)
        now |= old & LVT_REMOTE_IRR;
    l->r.lvt[n] = now;
    if (n == LVT_TIMER)
        timer_follow_lvt(l);
    else if ((n == LVT_LINT0 || n == LVT_LINT1) && l->r.lint[n - LVT_LINT0] &&
             lint_is_level(l, n - LVT_LINT0))
        lvt_fire(l, n);
}

/* Software disable masks the local vector table; what is requested stays. */
static void svr_write(struct lapic *l, uint32_t val)
{
    l->r.svr = val & 0x3ff;
    if (val & SVR_ENABLE)
        return;
    for (unsigned n = 0; n < LAPIC_LVTS; n++)
        l->r.lvt[n] |= LVT_MASKED;
    timer_follow_lvt(l);
}

static void reg_write(struct lapic *l, unsigned reg, uint32_t val)
{
    switch (reg) {
    case REG_TPR:
        l->r.tpr = val & 0xff;
        break;
    case REG_EOI:
        eoi(l);
        break;
    case REG_LDR:
        l->r.ldr = val & 0xff000000;
        break;
    case REG_DFR:
        l->r.dfr = val | 0x0fffffff;
        break;
    case REG_SVR:
        svr_write(l, val);
        break;
    case REG_ESR:
        l->r.esr = l->r.esr_pending;
        l->r.esr_pending = 0;
        break;
    case REG_ICR:
        l->r.icr_low = val & reg_kinds[REG_ICR].x2_bits & ~(1u << 12);
        icr_send(l);
        break;
    case REG_ICR_HIGH:
        l->r.icr_high = val & 0xff000000;
        break;
    case REG_LVT ... REG_LVT + LAPIC_LVTS - 1:
        lvt_write(l, reg - REG_LVT, val);
        break;
    case REG_INITIAL:
        lapic_timer_set_initial(&l->timer, val);
        break;
    case REG_DIVIDE:
        lapic_timer_set_divide(&l->timer, val);
        break;
    case REG_SELF_IPI:
        self_ipi(l, (uint8_t)val);
        break;
    default:
        break; /* read-only */
    }
}

/* Before these are touched, what the timer has done until now must be settled. */
static bool is_timer_reg(unsigned reg)
{
    return reg == REG_SVR || reg == REG_LVT + LVT_TIMER || reg == REG_INITIAL ||
           reg == REG_CURRENT || reg == REG_DIVIDE;
}

static uint32_t settled_read(struct lapic *l, unsigned reg)
{
    if (is_timer_reg(reg))
        lapic_timer_check(l);
    return reg_read(l, reg);
}

static void settled_write(struct lapic *l, unsigned reg, uint32_t val)
{
    if (is_timer_reg(reg))
        lapic_timer_check(l);
    reg_write(l, reg, val);
}

/* The register at `off` if it may be accessed so, or -1 and an error noted. */
static int mmio_reg(struct lapic *l, uint32_t off, uint8_t access)
{
    uint32_t reg = off >> 4;

    if ((off & 15) == 0 && reg < REGS && (reg_kinds[reg].access & access))
        return (int)reg;
    error_note(l, ESR_REGISTER);
    return -1;
}

uint32_t lapic_mmio_read(struct lapic *l, uint32_t off)
{
    int reg;

    if (!is_on(l) || in_x2apic(l))
        return 0xffffffff;
    reg = mmio_reg(l, off, R1);
    return reg < 0 ? 0 : settled_read(l, (unsigned)reg);
}

void lapic_mmio_write(struct lapic *l, uint32_t off, uint32_t val)
{
    int reg;

    if (!is_on(l) || in_x2apic(l))
        return;
    reg = mmio_reg(l, off, W1);
    if (reg >= 0)
        settled_write(l, (unsigned)reg, val);
}

/* ---- MSRs */

static void regs_reset(struct lapic *l)
{
    l->r = (struct lapic_regs){
        .base = l->r.base, .dfr = 0xffffffff, .svr = 0xff,
        .lint = {l->r.lint[0], l->r.lint[1]},
    };
    for (unsigned n = 0; n < LAPIC_LVTS; n++)
        l->r.lvt[n] = LVT_MASKED;
    lapic_timer_reset(&l->timer);
}

/* SDM 11.12.5: off -> xAPIC -> x2APIC -> off; nothing else. */
static bool base_write(struct lapic *l, uint64_t val)
{
    const uint64_t old = l->r.base, modes = BASE_ENABLE | BASE_X2;
    bool off = !(val & BASE_ENABLE);

    if ((val & BASE_RESERVED_LOW) || (val >> l->env.phys_bits))
        return false;
    if (off && (val & BASE_X2))
        return false;
    if (!off && (old & modes) == modes && !(val & BASE_X2))
        return false;
    if (!(old & BASE_ENABLE) && (val & BASE_X2))
        return false;
    l->r.base = (val & ~(uint64_t)BASE_BSP) | (old & BASE_BSP);
    if (off && (old & BASE_ENABLE))
        regs_reset(l);
    return true;
}

static bool x2_read(struct lapic *l, unsigned reg, uint64_t *val)
{
    if (!in_x2apic(l) || reg >= REGS || !(reg_kinds[reg].access & R2))
        return false;
    *val = settled_read(l, reg);
    if (reg == REG_ICR)
        *val |= (uint64_t)l->r.icr_high << 32;
    return true;
}

static bool x2_write(struct lapic *l, unsigned reg, uint64_t val)
{
    if (!in_x2apic(l) || reg >= REGS || !(reg_kinds[reg].access & W2))
        return false;
    if ((uint32_t)val & ~reg_kinds[reg].x2_bits)
        return false;
    if (reg != REG_ICR && val >> 32)
        return false;
    if (reg == REG_ICR)
        l->r.icr_high = (uint32_t)(val >> 32);
    settled_write(l, reg, (uint32_t)val);
    return true;
}

bool lapic_rdmsr(struct lapic *l, uint32_t msr, uint64_t *val)
{
    switch (msr) {
    case MSR_APIC_BASE:
        *val = l->r.base;
        return true;
    case MSR_TSC_DEADLINE:
        lapic_timer_check(l);
        *val = lapic_timer_deadline(&l->timer);
        return true;
    default:
        return msr >= MSR_X2APIC && x2_read(l, msr - MSR_X2APIC, val);
    }
}

bool lapic_wrmsr(struct lapic *l, uint32_t msr, uint64_t val)
{
    switch (msr) {
    case MSR_APIC_BASE:
        return base_write(l, val);
    case MSR_TSC_DEADLINE:
        lapic_timer_check(l);
        lapic_timer_set_deadline(&l->timer, val);
        lapic_timer_check(l);
        return true;
    default:
        return msr >= MSR_X2APIC && x2_write(l, msr - MSR_X2APIC, val);
    }
}

/* ---- life */

void lapic_init(struct lapic *l)
{
    regs_reset(l);
    if (l->r.base & BASE_BSP)
        l->r.lvt[LVT_LINT0] = APIC_EXTINT << LVT_DELIVERY_SHIFT;
}

void lapic_reset(struct lapic *l)
{
    l->r.base = BASE_DEFAULT | BASE_ENABLE | (l->cpu == 0 ? BASE_BSP : 0);
    lapic_init(l);
}

struct lapic *lapic_new(unsigned cpu, struct vclock *clock, const struct lapic_env *env,
                        struct err *e)
{
    const struct lapic_timer_env timer = {.due = env->timer_due,
                                          .tsc_to_ns = env->tsc_to_ns,
                                          .tsc_now = env->tsc_now,
                                          .opaque = env->opaque,
                                          .cpu = cpu};
    struct lapic *l = calloc(1, sizeof *l);

    if (!l) {
        err_set(e, ENOMEM, "out of memory for a local APIC; free some or start fewer guests");
        return NULL;
    }
    l->cpu = cpu;
    l->env = *env;
    lapic_timer_init(&l->timer, clock, &timer);
    lapic_reset(l);
    return l;
}

void lapic_free(struct lapic *l)
{
    if (!l)
        return;
    lapic_timer_fini(&l->timer);
    free(l);
}

void lapic_regs_get(const struct lapic *l, struct lapic_regs *out, struct lapic_timer_regs *timer)
{
    *out = l->r;
    *timer = l->timer.r;
}
