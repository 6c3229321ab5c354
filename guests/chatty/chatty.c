/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * chatty: leaves the guest as often as it can, in a way that can be chosen, and prints how often
 * that was.
 *
 * Options: mode=NAME[,NAME...] or all (pio)  each=S (seconds per mode when several, 5)
 *   rate=N (at most N a second per CPU; 0: no limit)  hz=N (of the timer storm, 20000)  cpus=N (all)
 *   run=S (then power off)  quiet
 */
#include "tiny.h"

#define MMIO_NOBODY 0xfed80000u /* nothing answers here */

static struct {
    u64 each_s, rate, run_s, hz;
    bool quiet;
    unsigned ncpus;
} cfg;

struct mode {
    const char *name, *unit;
    void (*once)(unsigned cpu);
    void (*begin)(void), (*end)(void); /* on each CPU; may be NULL */
};

static const struct mode *volatile current;
static volatile bool stop;

static void pio(unsigned cpu) { outb(0x80, (u8)cpu); }
static void in(unsigned cpu) { (void)cpu; inb(0x80); }
static void mmio(unsigned cpu) { mmio32_set(MMIO_NOBODY + 4 * cpu, cpu); }
static void mmio_read(unsigned cpu) { mmio32(MMIO_NOBODY + 4 * cpu); }
static void cpuid_once(unsigned cpu) { (void)cpu; cpuid(0, 0); }

static void debug(unsigned cpu)
{
    static const char text[] = "chatty on the debug port\n";
    static u64 n[CPUS_MAX];

    outb(PORT_DEBUG, (u8)text[n[cpu]++ % (sizeof(text) - 1)]);
}

static void strings(unsigned cpu)
{
    static const char text[64] = "";
    const void *p = text;
    u64 n = sizeof(text);

    (void)cpu;
    asm volatile("rep outsb" : "+S"(p), "+c"(n) : "d"(0x80) : "memory");
}

static void serial(unsigned cpu)
{
    print("chatty: cpu%u: the quick brown fox jumps over the lazy dog 0123456789\n", cpu);
}

static void msr_write(void *arg)
{
    (void)arg;
    wrmsr(0x1b, rdmsr(0x1b));
}

static void msr(unsigned cpu)
{
    (void)cpu;
    try_call(msr_write, NULL, NULL);
}

static void halt(unsigned cpu)
{
    (void)cpu;
    sleep_until(rdtsc() + tsc_hz() / 100000); /* 10 us */
}

static void timer_begin(void) { lapic_timer_start(TIMER_PERIODIC, lapic_timer_hz() / cfg.hz); }
static void timer(unsigned cpu) { (void)cpu; sti_hlt(); }

/* To the next CPU, or to itself if it is alone; goes on when the other has taken it. */
static void ipi_once(unsigned cpu)
{
    unsigned to = (cpu + 1) % cfg.ncpus;
    volatile u32 *taken = &cpus[to].irqs[VEC_IPI];
    u32 before = *taken;
    u64 until = rdtsc() + tsc_hz() / 100;

    ipi(cpus[to].apic_id, IPI_FIXED | VEC_IPI);
    while (*taken == before && (s64)(until - rdtsc()) > 0)
        pause();
}

static void lapic_regs(unsigned cpu) { (void)cpu; lapic_write(LAPIC_TPR, 0); }

static const struct mode modes[] = {
    {"pio", "out 0x80", pio, NULL, NULL},
    {"in", "in 0x80", in, NULL, NULL},
    {"debug", "out 0xe9", debug, NULL, NULL},
    {"strings", "rep outs of 64", strings, NULL, NULL},
    {"mmio", "writes to nobody", mmio, NULL, NULL},
    {"mmior", "reads from nobody", mmio_read, NULL, NULL},
    {"cpuid", "cpuid", cpuid_once, NULL, NULL},
    {"msr", "apic base read and written", msr, NULL, NULL},
    {"lapic", "tpr writes", lapic_regs, NULL, NULL},
    {"serial", "lines", serial, NULL, NULL},
    {"hlt", "naps of 10 us", halt, NULL, lapic_timer_stop},
    {"timer", "periodic ticks", timer, timer_begin, lapic_timer_stop},
    {"ipi", "IPIs taken", ipi_once, NULL, NULL},
};

/* Waits while this CPU is ahead of cfg.rate. */
static void keep_rate(u64 done, u64 start)
{
    if (cfg.rate)
        while ((now_ns() - start) / 1000 * cfg.rate < done * 1000000)
            sleep_ms(1);
}

static void storm(void *arg)
{
    const struct mode *m = current;
    unsigned cpu = this_cpu()->index;
    struct progress_cpu *p = &progress.cpu[cpu];
    u64 start = now_ns(), done = 0;

    (void)arg;
    if (m->begin)
        m->begin();
    sti();
    while (!stop) {
        m->once(cpu);
        p->done++;
        done++;
        if (cpu == 0 && !(done & 15) && now_ns() - start >= cfg.each_s * 1000000000)
            stop = true;
        keep_rate(done, start);
    }
    p->tsc = rdtsc();
    if (m->end)
        m->end();
}

static u64 done_by_all(void)
{
    u64 sum = 0;

    for (unsigned i = 0; i < cfg.ncpus; i++)
        sum += progress.cpu[i].done;
    return sum;
}

static void run_mode(const struct mode *m)
{
    u64 before = done_by_all(), start = now_ns(), n, us;

    current = m;
    stop = false;
    for (unsigned i = 1; i < cfg.ncpus; i++)
        smp_run(i, storm, NULL);
    storm(NULL);
    sti();
    smp_wait();
    n = done_by_all() - before;
    us = (now_ns() - start) / 1000;
    if (!cfg.quiet)
        print("chatty: %s %lu (%s), %lu/s\n", m->name, n, m->unit, us ? n * 1000000 / us : 0);
}

static bool listed(const char *list, const char *name)
{
    size_t n = strlen(name);

    if (!strcmp(list, "all"))
        return true;
    for (const char *s = list; *s; s++)
        if ((s == list || s[-1] == ',') && !memcmp(s, name, n) && (!s[n] || s[n] == ','))
            return true;
    return false;
}

static void configure(void)
{
    cfg.each_s = opt_u64("each", 5);
    cfg.rate = opt_u64("rate", 0);
    cfg.run_s = opt_u64("run", 0);
    cfg.hz = opt_u64("hz", 20000);
    cfg.quiet = opt_flag("quiet");
    cfg.ncpus = (unsigned)opt_u64("cpus", CPUS_MAX);
    if (cfg.ncpus > 1 && cfg.ncpus > smp_start())
        cfg.ncpus = smp_running();
    if (!cfg.hz)
        cfg.hz = 1;
}

void guest_main(void)
{
    char list[128];
    const char *s = opt("mode");
    unsigned chosen = 0;

    formatf(list, sizeof(list), "%s", s ? s : "pio");
    configure();
    progress_init("chatty", "exits", cfg.ncpus);
    print("chatty: ready, %u CPUs\n", cfg.ncpus);
    for (u64 start = now_ns();; chosen = 0) {
        for (unsigned i = 0; i < ARRAY_LEN(modes); i++)
            if (listed(list, modes[i].name)) {
                run_mode(&modes[i]);
                chosen++;
            }
        if (!chosen)
            break;
        if (cfg.run_s && now_ns() - start >= cfg.run_s * 1000000000) {
            print("chatty: done\n");
            poweroff();
        }
    }
    print("chatty: unknown mode=%s; known:", list);
    for (unsigned i = 0; i < ARRAY_LEN(modes); i++)
        print(" %s", modes[i].name);
    print("\n");
}
