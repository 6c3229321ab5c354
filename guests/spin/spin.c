/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * spin: burns every CPU it was given and keeps count, on the serial line and in the progress
 * pages. What a share of a processor is worth can be read from its counters alone.
 *
 * Options: rate=S (seconds between lines, 5; 0 none)  quiet  run=S (then power off; end=exit|halt)
 *   steady (a loop takes as long whatever a core's caches and branch predictors hold: one long instruction)
 *   cpus=N (all)  duty=PCT period=MS (busy PCT of each period, 10 ms, then HLT)
 *   sleepy=MS guard=US phase=US sweep (adversary: asleep around each tick of MS, busy otherwise)
 *   late (how late it woke from its rests since the line before: median, 99th percentile, worst)
 */
#include "tiny.h"

enum { CHUNK = 50 };

static struct {
    u64 rate_s, run_s, duty_pct, period, sleepy, guard, phase, next_ns;
    bool quiet, sweep, late, steady;
    unsigned ncpus;
} cfg;

static volatile bool stop;

/* How late the first CPU woke, in steps of an eighth from 8 us on. */
enum { STEPS = 8, LATE_MIN_US = 8, LATE_BUCKETS = 20 * STEPS };

static struct {
    u32 n, at[LATE_BUCKETS];
    u64 worst_us;
} late;

static u64 late_bound(unsigned i) { return (u64)LATE_MIN_US * (STEPS + i % STEPS) << i / STEPS >> 3; }

static void late_add(u64 us)
{
    unsigned i = 0;

    while (i < LATE_BUCKETS - 1 && us >= late_bound(i + 1))
        i++;
    late.at[i]++;
    late.n++;
    if (us > late.worst_us)
        late.worst_us = us;
}

static u64 late_percentile(unsigned percent)
{
    u64 sum = 0;

    for (unsigned i = 0; i < LATE_BUCKETS - 1; i++)
        if ((sum += late.at[i]) * 100 >= (u64)late.n * percent)
            return late_bound(i + 1) < late.worst_us ? late_bound(i + 1) : late.worst_us;
    return late.worst_us;
}

static void late_print(void)
{
    if (late.n)
        print("spin: late %lu %lu %lu us (median, 99 %%, worst of %u)\n", late_percentile(50),
              late_percentile(99), late.worst_us, late.n);
    memset(&late, 0, sizeof(late));
}

/* What programs are made of: arithmetic, a small table, calls, branches; all of it from the nearest
 * caches. A loop of a few instructions would measure how a predictor of branches remembers it. */
static __attribute__((noinline)) u64 mix(u64 v[4], u64 m)
{
    v[3] ^= m;
    for (unsigned round = 0; round < 2; round++) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = (v[1] << 13 | v[1] >> 51) ^ v[0];
        v[3] = (v[3] << 16 | v[3] >> 48) ^ v[2];
        v[0] = v[0] << 32 | v[0] >> 32;
        v[2] += v[1];
        v[0] += v[3];
        v[1] = (v[1] << 17 | v[1] >> 47) ^ v[2];
        v[3] = (v[3] << 21 | v[3] >> 43) ^ v[0];
        v[2] = v[2] << 32 | v[2] >> 32;
    }
    v[0] ^= m;
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void work(u64 v[4], u32 table[CHUNK])
{
    for (unsigned n = 0; n < CHUNK; n++) {
        u64 x = mix(v, n);

        table[n] = n % 8 ? table[n] + (u32)x : (u32)(x * 0x9E3779B1u >> 16);
    }
}

static void steady_work(void)
{
    static const u8 zeros[1024];
    const u8 *at = zeros;
    u64 n = sizeof(zeros);

    asm volatile("repne scasb" : "+D"(at), "+c"(n) : "a"(1) : "memory", "cc");
}

static void rest(struct progress_cpu *p, u64 until)
{
    u64 start = rdtsc();

    sleep_until(until);
    p->slept_ns += tsc_to_ns(rdtsc() - start);
    if (cfg.late && p == &progress.cpu[0])
        late_add(tsc_to_ns(rdtsc() - until) / 1000);
}

static void rest_if_due(struct progress_cpu *p, u64 now, u64 start)
{
    u64 in;

    if (cfg.sleepy) {
        in = (now - start + cfg.phase + cfg.guard) % cfg.sleepy;
        if (in < 2 * cfg.guard)
            rest(p, now + 2 * cfg.guard - in);
    } else if (cfg.duty_pct < 100) {
        in = (now - start) % cfg.period;
        if (in >= cfg.period * cfg.duty_pct / 100)
            rest(p, now + cfg.period - in);
    }
}

static void print_line(unsigned cpu, u64 ns)
{
    print("spin: cpu%u %lu loops %lu.%lu s\n", cpu, progress.cpu[cpu].done, ns / 1000000000,
          ns / 100000000 % 10);
}

/* On the first CPU, between two chunks of work. */
static void report(u64 now, u64 start)
{
    u64 ns = tsc_to_ns(now - start);

    if (cfg.run_s && ns >= cfg.run_s * 1000000000)
        stop = true;
    if (!cfg.rate_s || ns < cfg.next_ns)
        return;
    cfg.next_ns += cfg.rate_s * 1000000000;
    if (cfg.sweep)
        cfg.phase += cfg.guard;
    for (unsigned i = 0; i < cfg.ncpus && !cfg.quiet; i++)
        print_line(i, ns);
    if (!cfg.quiet)
        late_print();
}

static void spin(void *arg)
{
    unsigned index = this_cpu()->index;
    struct progress_cpu *p = &progress.cpu[index];
    u64 start = progress.start_tsc, now, v[4] = {1, 2, 3, 4};
    u32 table[CHUNK] = {0};

    (void)arg;
    sti();
    while (!stop) {
        if (cfg.steady)
            steady_work();
        else
            work(v, table);
        now = rdtsc();
        p->done += CHUNK;
        p->tsc = now;
        if (index == 0)
            report(now, start);
        rest_if_due(p, now, start);
    }
}

static void configure(void)
{
    cfg.rate_s = opt_u64("rate", 5);
    cfg.run_s = opt_u64("run", 0);
    cfg.duty_pct = opt_u64("duty", 100);
    cfg.period = ns_to_tsc(opt_u64("period", 10) * 1000000);
    cfg.sleepy = ns_to_tsc(opt_u64("sleepy", opt_flag("sleepy") ? 10 : 0) * 1000000);
    cfg.guard = ns_to_tsc(opt_u64("guard", 300) * 1000);
    cfg.phase = ns_to_tsc(opt_u64("phase", 0) * 1000);
    cfg.next_ns = cfg.rate_s * 1000000000;
    cfg.quiet = opt_flag("quiet");
    cfg.sweep = opt_flag("sweep");
    cfg.late = opt_flag("late");
    cfg.steady = opt_flag("steady");
    if (!cfg.period)
        cfg.period = 1;
    cfg.ncpus = (unsigned)opt_u64("cpus", CPUS_MAX);
    if (cfg.ncpus > 1 && cfg.ncpus > smp_start())
        cfg.ncpus = smp_running();
}

static void end(u64 ns)
{
    const char *how = opt("end");
    u64 sum = 0;

    for (unsigned i = 0; i < cfg.ncpus; i++)
        sum += progress.cpu[i].done;
    print("spin: done %lu loops %lu.%lu s\n", sum, ns / 1000000000, ns / 100000000 % 10);
    if (how && !strcmp(how, "halt"))
        halt_forever();
    if (how && !strcmp(how, "exit"))
        debug_exit(0);
    poweroff();
}

void guest_main(void)
{
    configure();
    progress_init("spin", "loops", cfg.ncpus);
    print("spin: ready, %u CPUs\n", cfg.ncpus);
    for (unsigned i = 1; i < cfg.ncpus; i++)
        smp_run(i, spin, NULL);
    spin(NULL);
    smp_wait();
    end(tsc_to_ns(rdtsc() - progress.start_tsc));
}
