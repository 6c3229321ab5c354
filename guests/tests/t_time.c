/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * t_time: clocks against each other, and timers against clocks. A machine that is short of CPU
 * time may be late, never early; what is compared with a tolerance is a rate.
 */
#include "selftest.h"

static u64 tick_tsc[64];
static volatile u32 ticks;

static void note_tick(struct regs *r)
{
    (void)r;
    if (ticks < ARRAY_LEN(tick_tsc))
        tick_tsc[ticks] = rdtsc();
    ticks = ticks + 1;
}

/* 40 periods of 5 ms. Early is wrong everywhere; late is wrong (`strict`) on a quiet host only. */
static void check_period(const char *name)
{
    u64 us = tsc_to_ns(tick_tsc[40] - tick_tsc[0]) / 1000;

    if (us > 200000 && us < 400000 && !opt_flag("strict"))
        check(name, true);
    else
        check_near(name, us, 200000, 2);
}

static void wait_ticks(u32 n, u64 ms)
{
    u64 until = rdtsc() + ns_to_tsc(ms * 1000000);

    sti();
    while (ticks < n && (s64)(until - rdtsc()) > 0)
        pause();
    cli();
}

static void tsc_and_pm_timer(void)
{
    u32 a, b;
    u64 t;

    if (!pm_timer_present()) {
        skip("time.pm_timer", "not there");
        return;
    }
    a = inl(PM_TIMER);
    t = rdtsc();
    while (rdtsc() - t < tsc_hz() / 5)
        pause();
    b = inl(PM_TIMER);
    t = rdtsc() - t;
    check_near("time.pm_timer_rate", (b - a) & 0xffffff, tsc_to_ns(t) * PM_TIMER_HZ / 1000000000, 1);
}

static void pit_counts(void)
{
    u64 t;
    u16 a, b;

    outb(0x61, (u8)((inb(0x61) & ~2) | 1));
    outb(0x43, 0xb4); /* channel 2, rate generator */
    outb(0x42, 0);
    outb(0x42, 0);
    delay_us(2000);
    a = pit_read(2);
    t = rdtsc();
    while (rdtsc() - t < tsc_hz() / 40)
        pause();
    b = pit_read(2);
    t = rdtsc() - t;
    check_near("time.pit_rate", (u16)(a - b), tsc_to_ns(t) * PIT_HZ / 1000000000, 1);
    outb(0x43, 0xb0); /* channel 2, one shot: OUT rises after the count */
    outb(0x42, 0x38);
    outb(0x42, 0x4a); /* 19000: 15.9 ms */
    t = rdtsc();
    check("time.pit_out_low", !(inb(0x61) & 0x20));
    while (!(inb(0x61) & 0x20) && rdtsc() - t < tsc_hz())
        pause();
    check("time.pit_one_shot", tsc_to_ns(rdtsc() - t) > 15000000 && tsc_to_ns(rdtsc() - t) < 500000000);
    outb(0x43, 0xe8); /* read-back: status of channel 2 */
    check_eq("time.pit_status_mode", inb(0x42) & 0x3f, 0x30);
}

static void pit_interrupts(void)
{
    irq_handler(VEC_PIC, note_tick);
    ticks = 0;
    pit_start(200);
    wait_ticks(41, 2000);
    pit_stop();
    irq_handler(VEC_PIC, NULL);
    check("time.pit_ticks", ticks >= 41);
    check_period("time.pit_tick_rate");
}

static void lapic_timer(void)
{
    u64 t, hz = lapic_timer_hz();
    u32 now;

    irq_handler(VEC_TIMER, note_tick);
    ticks = 0;
    t = rdtsc();
    lapic_timer_start(TIMER_ONESHOT, hz / 50);
    wait_ticks(1, 1000);
    check("time.lapic_one_shot", ticks == 1 && tsc_to_ns(tick_tsc[0] - t) >= 19500000);
    check_eq("time.lapic_one_shot_stays_zero", lapic_read(LAPIC_TIMER_NOW), 0);
    wait_ticks(2, 50);
    check_eq("time.lapic_one_shot_is_one", ticks, 1);
    ticks = 0;
    lapic_timer_start(TIMER_PERIODIC, hz / 200);
    wait_ticks(41, 2000);
    lapic_timer_stop();
    check("time.lapic_periodic", ticks >= 41);
    check_period("time.lapic_periodic_rate");
    lapic_write(LAPIC_TIMER_DIV, 0x3); /* 16 */
    lapic_write(LAPIC_TIMER_INIT, 0xffffffff);
    t = rdtsc();
    while (rdtsc() - t < tsc_hz() / 20)
        pause();
    now = lapic_read(LAPIC_TIMER_NOW);
    t = rdtsc() - t;
    lapic_timer_stop();
    check_near("time.lapic_divide_16", (0xffffffff - now) / 1000, tsc_to_ns(t) / 1000 * (hz / 1000) / 16000000, 2);
}

static void deadline(void)
{
    u64 t;

    if (!lapic_has_deadline()) {
        skip("time.deadline", "not there");
        return;
    }
    ticks = 0;
    t = rdtsc() + ns_to_tsc(10000000);
    lapic_timer_start(TIMER_DEADLINE, t);
    check_eq("time.deadline_reads_back", rdmsr(0x6e0), t);
    wait_ticks(1, 1000);
    check("time.deadline", ticks == 1 && tick_tsc[0] >= t);
    check_eq("time.deadline_msr_zero_after", rdmsr(0x6e0), 0);
    lapic_timer_start(TIMER_DEADLINE, rdtsc() - 1);
    wait_ticks(2, 1000);
    check_eq("time.deadline_past_fires", ticks, 2);
    lapic_timer_start(TIMER_DEADLINE, rdtsc() + ns_to_tsc(20000000));
    wrmsr(0x6e0, 0);
    wait_ticks(3, 60);
    check_eq("time.deadline_disarmed", ticks, 2);
    lapic_timer_stop();
}

static void halt(void)
{
    u64 t = rdtsc();

    irq_handler(VEC_TIMER, NULL);
    sleep_ms(20);
    t = tsc_to_ns(rdtsc() - t);
    check("time.hlt_sleeps", t >= 20000000 && t < 1000000000);
}

static u8 cmos(u8 reg)
{
    outb(0x70, reg);
    return inb(0x71);
}

static void rtc(void)
{
    u8 a, b = cmos(0x0b), s;
    u64 t = rdtsc();

    if (b == 0xff) {
        skip("time.rtc", "not there");
        return;
    }
    while ((cmos(0x0a) & 0x80) && rdtsc() - t < tsc_hz())
        pause();
    a = s = cmos(0);
    check("time.rtc_valid", (cmos(0x0d) & 0x80) && (b & 4 ? a < 60 : (a & 15) < 10 && a < 0x60));
    t = rdtsc();
    while ((s = cmos(0)) == a && rdtsc() - t < 2 * tsc_hz())
        pause();
    a = s;
    t = rdtsc();
    while ((s = cmos(0)) == a && rdtsc() - t < 3 * tsc_hz())
        pause();
    check_near("time.rtc_second_ms", tsc_to_ns(rdtsc() - t) / 1000000, 1000, 10);
}

void test_time(void)
{
    tsc_and_pm_timer();
    pit_counts();
    pit_interrupts();
    lapic_timer();
    deadline();
    halt();
    rtc();
}
