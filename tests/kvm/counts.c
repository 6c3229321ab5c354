/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Statistics of real guests: exits by reason and register against a known number that hello
 * makes, what the kernel handles itself, the time ledger of a busy and of an idle guest, resident
 * memory as memhog takes it, and a Debian guest's balloon and free page reporting.
 */
#include "rig.h"

#include <math.h>

/* A halt lasts until the next timer tick: fewer of them, for a slow machine. */
enum { N = 1000, HALTS = 200, MIB = 1 << 20 };

static struct vm_stats st; /* large; one reader */

static struct vm_stats *sample(struct rguest *g)
{
    vm_stats(g->vm, &st, 0);
    return &st;
}

static double resident_mib(struct rguest *g)
{
    return (double)sample(g)->memory_resident_bytes / MIB;
}

/* --- exits ------------------------------------------------------------------------ */

struct counts {
    uint64_t reason[EXIT_REASONS];
    uint64_t kernel_all, kernel_halt; /* as KVM counts them */
    uint64_t port_e9, port_80, mmio_unclaimed;
};

static uint64_t kernel_count(struct rguest *g, const char *name)
{
    struct kstat k[160];
    unsigned n = vm_kstats(g->vm, 0, k, 160);

    for (unsigned i = 0; i < n; i++)
        if (strcmp(k[i].name, name) == 0)
            return k[i].value;
    return 0;
}

static uint64_t hits_at(struct rguest *g, uint64_t port)
{
    struct vm_hit h[256];
    unsigned n = vm_hits(g->vm, h, 256);

    for (unsigned i = 0; i < n; i++)
        if (h[i].addr == port && strcmp(h[i].bus, "pio") == 0)
            return h[i].count;
    return 0;
}

static struct counts count(struct rguest *g)
{
    struct counts c = {0};
    const struct vm_stats *s = sample(g);

    memcpy(c.reason, s->vcpu[0].exits, sizeof c.reason);
    c.mmio_unclaimed = s->mmio_unclaimed;
    c.kernel_all = kernel_count(g, "exits");
    c.kernel_halt = kernel_count(g, "halt_exits");
    c.port_e9 = hits_at(g, 0xe9);
    c.port_80 = hits_at(g, 0x80);
    return c;
}

/* Has hello leave N times in a way; what that added to the counts. */
static struct counts exits_of(struct rguest *g, const char *kind, int n)
{
    char line[40];
    struct counts a = count(g), b;

    snprintf(line, sizeof line, "exits %d %s", n, kind);
    rig_do(g, line, "times, .*\n.*> $", 60);
    b = count(g);
    for (int k = 0; k < EXIT_REASONS; k++)
        b.reason[k] -= a.reason[k];
    b.kernel_all -= a.kernel_all;
    b.kernel_halt -= a.kernel_halt;
    b.port_e9 -= a.port_e9;
    b.port_80 -= a.port_80;
    b.mmio_unclaimed -= a.mmio_unclaimed;
    return b;
}

static bool near(uint64_t n)
{
    return n >= N && n <= N + N / 2; /* the prompt and the line typed leave some hundred times */
}

static void exits(struct rguest *g)
{
    struct counts c;

    rig_do(g, "time", "^up .*\n.*\n.*> $", 60); /* it measures its clocks once, with many reads */
    c = exits_of(g, "io", N);
    rig_case(near(c.reason[EXIT_IO]) && c.port_e9 == N, "port_writes_are_counted_by_reason_and_register",
             "%d made: %llu io exits, %llu of port 0xe9", N, (unsigned long long)c.reason[EXIT_IO],
             (unsigned long long)c.port_e9);
    c = exits_of(g, "in", N);
    rig_case(near(c.reason[EXIT_IO]) && c.port_80 == N, "port_reads_are_counted_by_reason_and_register",
             "%d made: %llu io exits, %llu of port 0x80", N, (unsigned long long)c.reason[EXIT_IO],
             (unsigned long long)c.port_80);
    c = exits_of(g, "mmio", N);
    rig_case(c.reason[EXIT_MMIO] == N && c.mmio_unclaimed == N, "memory_reads_where_nobody_is_are_counted",
             "%d made: %llu mmio exits, %llu unclaimed", N, (unsigned long long)c.reason[EXIT_MMIO],
             (unsigned long long)c.mmio_unclaimed);
    c = exits_of(g, "cpuid", N);
    rig_case(c.kernel_all >= N && c.reason[EXIT_IO] < N / 2, "cpuid_is_seen_in_the_kernels_statistics",
             "%d made: the kernel counts %llu exits, %llu io reached us", N, (unsigned long long)c.kernel_all,
             (unsigned long long)c.reason[EXIT_IO]);
    c = exits_of(g, "hlt", HALTS);
    rig_case(c.kernel_halt >= HALTS && c.reason[EXIT_HLT] == 0,
             "hlt_is_seen_in_the_kernels_statistics", "%d made: the kernel counts %llu halts", HALTS,
             (unsigned long long)c.kernel_halt);
}

/* Each exit handled takes time: the mean and the percentile are there and ordered. */
static void latency(struct rguest *g)
{
    const struct vcpu_stats *v = &sample(g)->vcpu[0];
    uint64_t mean = v->exits[EXIT_IO] ? v->exit_ns[EXIT_IO] / v->exits[EXIT_IO] : 0;

    rig_case(mean > 0 && v->exit_p99_ns[EXIT_IO] >= mean / 4 && v->exit_p99_ns[EXIT_IO] < 10 * NS_PER_S,
             "handling_time_is_measured", "io: mean %llu ns, p99 %llu ns", (unsigned long long)mean,
             (unsigned long long)v->exit_p99_ns[EXIT_IO]);
}

/* --- ledger ------------------------------------------------------------------------ */

static double total_seconds(const struct vcpu_stats *v)
{
    double ns = 0;

    for (int k = 0; k < LEDGER_STATES; k++)
        ns += (double)v->ledger_ns[k];
    return ns / 1e9;
}

static void ledger(struct rguest *g, enum ledger_state want, double least, const char *name)
{
    char text[200] = "";
    double sum = 0, seconds;
    uint64_t begin;

    seconds = -total_seconds(&sample(g)->vcpu[0]);
    begin = clock_mono_ns();
    rig_wait(3);
    seconds += total_seconds(&sample(g)->vcpu[0]);
    seconds /= (double)(clock_mono_ns() - begin) / 1e9;
    rig_case(fabs(seconds - 1) <= 0.03, "ledger_is_of_all_the_time", "%.4f of it", seconds); /* the clock is read a little later */
    for (int k = 0; k < LEDGER_STATES; k++) {
        size_t n = strlen(text);

        sum += st.vcpu[0].ledger[k];
        snprintf(text + n, sizeof text - n, "%s %.3f ", ledger_state_name((enum ledger_state)k),
                 st.vcpu[0].ledger[k]);
    }
    rig_case(fabs(sum - 1) <= 0.01 && st.vcpu[0].ledger[want] >= least, name, "%ssum %.4f", text, sum);
}

/* The machine has one CPU, and its own work takes some of it: the guest is `ready` then. */
static void busy_ledger(struct rguest *g)
{
    double ready;

    ledger(g, LEDGER_RUN, 0.75, "busy_guest_runs");
    ready = st.vcpu[0].ledger[LEDGER_READY];
    rig_case(st.vcpu[0].ready_known, "what_a_vcpu_waits_is_known", "no schedstat"); /* else it has no READY */
    rig_case(st.vcpu[0].ledger[LEDGER_RUN] + ready >= 0.98, "busy_guest_runs_or_is_ready", "ready %.3f", ready);
}

static void paused_ledger(struct rguest *g)
{
    rig_ask(g, vm_pause, VM_PAUSED);
    ledger(g, LEDGER_PAUSED, 0.99, "paused_guest_is_paused_in_the_ledger");
    rig_ask(g, vm_resume, VM_RUNNING);
}

/* --- memory ------------------------------------------------------------------------ */

static void memhog(void)
{
    struct rguest *g = rig_guest("memhog", "memhog", "size=67108864");
    double before, full, again;

    g->c.memory_bytes = 96 * MIB;
    if (!rig_check(rig_start(g) && rig_expect(g, "memhog: ready", 60), "memhog_starts"))
        return;
    before = resident_mib(g);
    rig_expect(g, "memhog: full", 120);
    full = resident_mib(g);
    rig_ask(g, vm_reset, VM_RUNNING);
    again = resident_mib(g);
    rig_case(full >= 64 && full <= 96 && again < full, "resident_memory_follows_what_the_guest_takes",
             "%.1f MiB at first, %.1f when it holds 64, %.1f after a reset", before, full, again);
    rig_drop(g);
}

static uint64_t ballooned_mib(struct rguest *g)
{
    return sample(g)->balloon ? st.balloon_stats.actual_bytes / MIB : 0;
}

static void fill(struct rguest *g, unsigned mib)
{
    char line[80];

    snprintf(line, sizeof line, "dd if=/dev/zero of=/tmp/f bs=1M count=%u; echo fill'ed'", mib);
    rig_do(g, line, "^filled", 120);
}

static void balloon(void)
{
    struct rguest *g = rig_guest("deb", "debian", "quiet");
    double full, less, most;
    struct err e = {0};

    g->c.memory_bytes = 192 * MIB;
    if (!rig_check(rig_start(g) && rig_debian_up(g), "debian_starts"))
        return;
    rig_check(UNTIL(30, sample(g)->balloon && st.balloon_stats.driver_ok), "debian_has_a_balloon_driver");

    fill(g, 64);
    full = resident_mib(g);
    rig_do(g, "rm /tmp/f; echo gon'e'", "^gone", 30);
    UNTIL(60, (less = resident_mib(g)) < full - 48);
    rig_case(less < full - 48, "memory_freed_in_a_guest_returns_to_the_host",
             "%.1f MiB resident, %.1f after 64 were freed, %llu MiB reported in all", full, less,
             (unsigned long long)st.balloon_stats.reported_bytes / MIB);

    fill(g, 64);
    full = resident_mib(g);
    rig_check(vm_mem_target(g->vm, 128 * MIB, &e) == 0, "memory_target_is_accepted");
    rig_do(g, "rm /tmp/f; echo gon'e'", "^gone", 30);
    UNTIL(60, ballooned_mib(g) == 64);
    most = resident_mib(g);
    rig_case(ballooned_mib(g) == 64 && most <= 128 && most < full, "balloon_takes_memory",
             "%llu MiB in the balloon, %.1f MiB resident, %.1f before", (unsigned long long)ballooned_mib(g), most,
             full);
    rig_check(vm_mem_target(g->vm, 192 * MIB, &e) == 0, "memory_target_can_be_taken_back");
    UNTIL(60, ballooned_mib(g) == 0);
    rig_case(ballooned_mib(g) == 0 && rig_number(g, "free -m | grep Mem: | tr -s ' ' | cut -d' ' -f2") > 130,
             "balloon_gives_memory_back", "%llu MiB are left in it", (unsigned long long)ballooned_mib(g));
    rig_check(vm_mem_target(g->vm, 193 * MIB, &e) < 0 && e.msg[0], "target_above_the_configured_size_is_refused");
    rig_drop(g);
}

int main(void)
{
    struct rguest *hello, *spin;

    rig_begin();
    spin = rig_guest("spin", "spin", "quiet");
    if (!rig_check(rig_start(spin) && rig_expect(spin, "spin: ready", 60), "spin_starts"))
        return rig_end();
    busy_ledger(spin);
    paused_ledger(spin);
    rig_drop(spin);

    hello = rig_guest("hello", "hello", NULL);
    if (!rig_check(rig_start(hello) && rig_hello_up(hello), "hello_starts"))
        return rig_end();
    ledger(hello, LEDGER_HALT, 0.95, "idle_guest_is_halted");
    exits(hello);
    latency(hello);
    rig_drop(hello);
    memhog();
    balloon();
    return rig_end();
}
