/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd_time: commands that take time: clocks, interrupts, spinning, exits on demand.
 */
#include "hello.h"

/* Nothing answers here on this board (docs: DESIGN §2); reads are all ones. */
#define MMIO_NOBODY 0xfed80000u

static void print_seconds(const char *what, u64 ns)
{
    print("%s%lu.%03lu s", what, ns / 1000000000, ns / 1000000 % 1000);
}

void cmd_time(const struct args *a)
{
    (void)a;
    print_seconds("up ", now_ns());
    print(", tsc %lu at %lu.%03lu MHz (%s)\n", rdtsc(), tsc_hz() / 1000000, tsc_hz() / 1000 % 1000,
          tsc_hz_source());
    print("lapic timer %lu kHz%s, PM timer %s, PIT channel 0 at %u\n", lapic_timer_hz() / 1000,
          lapic_has_deadline() ? ", has deadline mode" : "", pm_timer_present() ? "runs" : "absent",
          pit_read(0));
}

static const char *vector_name(unsigned v)
{
    switch (v) {
    case VEC_PIC: return "pit";
    case VEC_PIC + 4: return "serial";
    case VEC_TIMER: return "lapic timer";
    case VEC_IPI: return "ipi";
    case VEC_WAKE: return "wake";
    case VEC_SPURIOUS: return "spurious";
    default: return trap_name(v);
    }
}

static void print_counts(void)
{
    for (unsigned c = 0; c < smp_running(); c++)
        for (unsigned v = 0; v < 256; v++)
            if (cpus[c].irqs[v])
                print("cpu%u vector %3u %10u %s\n", c, v, cpus[c].irqs[v], vector_name(v));
}

static void ticks_for_a_second(const char *name, unsigned vec, u64 hz)
{
    u32 before = this_cpu()->irqs[vec];
    u64 until = rdtsc() + tsc_hz();

    if (vec == VEC_TIMER)
        lapic_timer_start(TIMER_PERIODIC, lapic_timer_hz() / hz);
    else
        pit_start((unsigned)hz);
    while ((s64)(until - rdtsc()) > 0 && !interrupted())
        sti_hlt();
    if (vec == VEC_TIMER)
        lapic_timer_stop();
    else
        pit_stop();
    print("%s: %u interrupts in 1 s at %lu Hz\n", name, this_cpu()->irqs[vec] - before, hz);
}

void cmd_irq(const struct args *a)
{
    u64 hz;

    if (a->n < 2) {
        print_counts();
        return;
    }
    if (!arg_u64(a, 2, 100, &hz))
        return;
    if (hz < 19 || hz > 100000)
        print("irq: HZ is 19 to 100000\n");
    else if (!strcmp(a->v[1], "pit"))
        ticks_for_a_second("pit", VEC_PIC, hz);
    else if (!strcmp(a->v[1], "lapic"))
        ticks_for_a_second("lapic", VEC_TIMER, hz);
    else
        print("irq: pit or lapic, not `%s`\n", a->v[1]);
}

void cmd_spin(const struct args *a)
{
    u64 seconds, loops = 0, start = now_ns(), end;

    if (!arg_u64(a, 1, 0, &seconds))
        return;
    end = seconds ? start + seconds * 1000000000 : ~0ull;
    sti();
    while (now_ns() < end && !interrupted())
        for (unsigned i = 0; i < 10000; i++, loops++)
            asm volatile("");
    print_seconds("spun ", now_ns() - start);
    print(", %lu loops\n", loops);
}

void cmd_sleep(const struct args *a)
{
    u64 seconds, start = now_ns();

    if (!arg_needed(a, 1, "SECONDS", &seconds))
        return;
    sti();
    while (now_ns() - start < seconds * 1000000000 && !interrupted())
        sleep_ms(50);
    print_seconds("slept ", now_ns() - start);
    print("\n");
}

static void one_io(void) { outb(PORT_DEBUG, 0); }
static void one_in(void) { inb(0x80); }
static void one_mmio(void) { mmio32(MMIO_NOBODY); }
static void one_cpuid(void) { cpuid(0, 0); }
static void one_msr(void) { rdmsr(0x1b); }
static void one_hlt(void) { halt_once(rdtsc() + tsc_hz() / 50000); } /* 20 us */

static void one_ipi(void)
{
    ipi(0, IPI_SELF | VEC_IPI);
    sti();
    asm volatile("nop");
}

static const struct {
    const char *name;
    void (*once)(void);
} kinds[] = {
    {"io", one_io},       {"in", one_in},   {"mmio", one_mmio}, {"cpuid", one_cpuid},
    {"msr", one_msr},     {"hlt", one_hlt}, {"ipi", one_ipi},
};

static u64 repeat(void (*once)(void), u64 n, u64 *done)
{
    u64 t0 = rdtsc();

    for (*done = 0; *done < n; ++*done) {
        once();
        if (!(*done & 0xffff) && *done && interrupted())
            break;
    }
    return rdtsc() - t0;
}

static void run_kind(unsigned k, u64 n)
{
    u64 done, ticks = repeat(kinds[k].once, n, &done), per = done ? ticks / done : 0;

    print("%-6s %9lu times, %8lu ticks each, %8lu ns each\n", kinds[k].name, done, per,
          tsc_to_ns(ticks) / (done ? done : 1));
}

void cmd_exits(const struct args *a)
{
    const char *name = a->n > 2 ? a->v[2] : "io";
    u64 n;

    if (!arg_needed(a, 1, "N", &n))
        return;
    for (unsigned k = 0; k < ARRAY_LEN(kinds); k++)
        if (!strcmp(name, kinds[k].name)) {
            run_kind(k, n);
            return;
        }
    print("exits: unknown kind `%s`, try `help exits`\n", name);
}

void cmd_bench(const struct args *a)
{
    u64 n;

    if (!arg_u64(a, 1, 1000, &n))
        return;
    for (unsigned k = 0; k < ARRAY_LEN(kinds); k++)
        run_kind(k, n);
}
