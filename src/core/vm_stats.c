/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * vm_stats: from raw readings to figures that add up.
 *
 * Each second main reads, per vCPU: the ledger that its thread keeps (running, halted, paused),
 * the time it spent handling exits, its CPU clock, its run-queue delay (/proc schedstat) and
 * KVM's halt polling time. Running time is divided with these: handling is vmm, what the
 * thread burnt in guest mode is run (or poll), what it waited for a CPU is ready, the rest is halt
 * (KVM halts in the kernel). Where we see it halt, all the rest is ready: on a host that is a guest
 * itself that counts steal, too, which is in no run queue's delay. Of ready is capped what a cgroup's
 * limit made it wait.
 * Each interval is scaled to add up exactly; cumulative figures are sums of intervals.
 */
#include "core/vm_internal.h"

#include "core/clock.h"
#include "core/netswitch.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { KSTATS_MAX = 128 };

uint64_t vcpu_read_delay_ns(const struct vcpu *v, bool *known)
{
    char buf[128];
    ssize_t n = v->schedstat >= 0 ? pread(v->schedstat, buf, sizeof buf - 1, 0) : -1;
    unsigned long long on_cpu, delay;

    *known = false;
    if (n <= 0)
        return 0;
    buf[n] = '\0';
    if (sscanf(buf, "%llu %llu", &on_cpu, &delay) != 2)
        return 0;
    *known = on_cpu > 0; /* all zero: the kernel does not count */
    return delay;
}

static uint64_t thread_cpu_ns(pthread_t t)
{
    clockid_t id;

    return pthread_getcpuclockid(t, &id) == 0 ? clock_ns(id) : 0;
}

uint64_t vm_device_threads_cpu_ns(const struct vm *vm)
{
    uint64_t ns = 0;

    for (unsigned i = 0; i < vm->ndevice_threads; i++)
        ns += clock_ns(vm->device_thread[i].clock);
    return ns;
}

/* Of NAT and TAP threads, for this guest; never falls. */
static uint64_t network_cpu_ns(const struct vm *vm)
{
    uint64_t ns = 0;

    for (unsigned i = 0; i < VM_NICS_MAX; i++)
        ns += vm->link[i] ? netport_served_ns(vm->link[i]) : 0;
    return ns;
}

uint64_t vm_io_cpu_ns(const struct vm *vm)
{
    return (vm->io_live ? thread_cpu_ns(vm->io_thread) : 0) + vm_device_threads_cpu_ns(vm) + network_cpu_ns(vm);
}

/* What only the engine knows: KVM's halt polling time, the software CPU's instructions. */
static void read_engine(struct vcpu *v, struct vcpu_raw *r)
{
    struct kstat k[KSTATS_MAX];
    unsigned n = v->vm->accel->vcpu_kstats ? v->vm->accel->vcpu_kstats(v->av, k, KSTATS_MAX) : 0;

    r->poll_ns = 0;
    r->insns = UINT64_MAX;
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(k[i].name, "halt_poll_success_ns") == 0 || strcmp(k[i].name, "halt_poll_fail_ns") == 0)
            r->poll_ns += k[i].value;
        else if (strcmp(k[i].name, "insns") == 0)
            r->insns = k[i].value;
    }
}

static void read_raw(struct vcpu *v, uint64_t now, struct vcpu_raw *r, bool *ready_known)
{
    ledger_read(&v->ledger, now, r->ledger_ns);
    r->cpu_ns = thread_cpu_ns(v->thread);
    r->delay_ns = vcpu_read_delay_ns(v, ready_known);
    read_engine(v, r);
    r->handled_ns = 0;
    for (int i = 0; i < EXIT_REASONS; i++) {
        r->exits[i] = atomic_load_explicit(&v->exits[i].count, memory_order_relaxed);
        r->handled_ns += atomic_load_explicit(&v->exits[i].ns, memory_order_relaxed);
    }
}

static uint64_t sub(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static uint64_t take(uint64_t *from, uint64_t want)
{
    uint64_t n = want < *from ? want : *from;

    *from -= n;
    return n;
}

/* Divides the interval between two readings into the eight states; they sum to what the
 * thread's own ledger advanced. `throttled`: what the kernel's cap has held of this guest's vCPUs; taken from. */
static void divide(const struct vcpu *v, const struct vcpu_raw *a, const struct vcpu_raw *b, uint64_t *throttled,
                   uint64_t d[LEDGER_STATES])
{
    uint64_t guest, burnt, ready, capped;

    for (int i = 0; i < LEDGER_STATES; i++)
        d[i] = sub(b->ledger_ns[i], a->ledger_ns[i]);
    guest = d[LEDGER_RUN];
    d[LEDGER_VMM] += take(&guest, sub(b->handled_ns, a->handled_ns));
    /* our own handling is CPU time too; what is left was burnt in guest mode */
    burnt = sub(sub(b->cpu_ns, a->cpu_ns), d[LEDGER_VMM]);
    d[LEDGER_POLL] += take(&guest, sub(b->poll_ns, a->poll_ns));
    d[LEDGER_RUN] = take(&guest, sub(burnt, d[LEDGER_POLL]));
    ready = v->vm->irqchip_user ? guest : take(&guest, sub(b->delay_ns, a->delay_ns));
    d[LEDGER_HALT] += v->vm->irqchip_user ? 0 : guest;
    capped = take(&ready, *throttled);
    *throttled -= capped;
    d[LEDGER_CAPPED] += capped;
    d[LEDGER_READY] += ready;
}

static void sample_vcpu(struct vm *vm, unsigned i, uint64_t now, double seconds, uint64_t *throttled)
{
    struct vcpu *v = &vm->vcpu[i];
    struct vcpu_stats *s = &vm->stats->vcpu[i];
    struct vcpu_raw r;
    uint64_t d[LEDGER_STATES], sum = 0;

    read_raw(v, now, &r, &s->ready_known);
    divide(v, &v->raw, &r, throttled, d);
    for (int k = 0; k < LEDGER_STATES; k++)
        sum += d[k];
    for (int k = 0; k < LEDGER_STATES; k++) {
        s->ledger_ns[k] += d[k];
        s->ledger[k] = sum ? (double)d[k] / (double)sum : 0;
    }
    for (int k = 0; k < EXIT_REASONS; k++) {
        s->exits[k] = r.exits[k];
        s->exit_ns[k] = v->exits[k].ns;
        s->exit_rate[k] = (double)sub(r.exits[k], v->raw.exits[k]) / seconds;
    }
    s->mips = r.insns == UINT64_MAX ? -1 : (double)sub(r.insns, v->raw.insns) / 1e6 / seconds;
    s->cpu_ns = v->cpu_base_ns + r.cpu_ns;
    v->raw = r;
}

/* A stopped machine: counters stay, rates and fractions are of nothing. */
static void sample_down(struct vm *vm)
{
    for (unsigned i = 0; i < vm->nvcpus; i++) {
        struct vcpu_stats *s = &vm->stats->vcpu[i];

        memset(s->ledger, 0, sizeof s->ledger);
        memset(s->exit_rate, 0, sizeof s->exit_rate);
        s->mips = -1;
        s->cpu_ns = vm->vcpu[i].cpu_base_ns;
    }
    vm->stats->memory_resident_bytes = 0;
    vm->stats->memory_shared_bytes = UINT64_MAX;
    vm->stats->balloon = false;
    vm->stats->cpu = vm->stats->exit_rate = 0;
    vm->stats->mips = -1;
}

static void sample_up(struct vm *vm, uint64_t now, double seconds)
{
    struct vm_stats *s = vm->stats;
    uint64_t cpu_before = s->cpu_ns, exits_before = s->exits, throttled = sub(vm->throttled_ns, vm->throttled_seen_ns);

    s->io_cpu_ns = vm->io_cpu_base_ns + vm_io_cpu_ns(vm);
    s->cpu_ns = s->io_cpu_ns;
    s->exits = 0;
    s->mips = vm->nvcpus ? 0 : -1;
    for (unsigned i = 0; i < vm->nvcpus; i++) {
        sample_vcpu(vm, i, now, seconds, &throttled);
        s->cpu_ns += s->vcpu[i].cpu_ns;
        s->mips = s->vcpu[i].mips < 0 ? -1 : s->mips + s->vcpu[i].mips;
        for (int k = 0; k < EXIT_REASONS; k++)
            s->exits += s->vcpu[i].exits[k];
    }
    vm->throttled_seen_ns = vm->throttled_ns;
    s->cpu = (double)sub(s->cpu_ns, cpu_before) / 1e9 / seconds;
    s->exit_rate = (double)sub(s->exits, exits_before) / seconds;
    if (now >= vm->resident_due_ns) { /* counting takes time: once a second for each 4 GiB */
        s->memory_resident_bytes = gmem_resident_bytes(vm->mem);
        s->memory_shared_bytes = gmem_shared_bytes(vm->mem);
        vm->resident_due_ns = now + (vm->config->memory_bytes >> 32) * NS_PER_S;
    }
    s->balloon = vm->board_ops->balloon_get(vm->board, &s->balloon_stats);
    s->ndisks = vm->board_ops->disks(vm->board, s->disks, VM_DISKS_MAX);
    s->pio_unclaimed = bus_unclaimed(vm->pio);
    s->mmio_unclaimed = bus_unclaimed(vm->mmio);
    s->bus_refused = bus_refused(vm->pio) + bus_refused(vm->mmio);
    s->device_errors = vm->device_errors;
}

void vm_set_throttled(struct vm *vm, uint64_t ns)
{
    vm->throttled_ns = ns;
}

void vm_sample(struct vm *vm)
{
    uint64_t now = clock_mono_ns();
    double seconds = (double)sub(now, vm->sample_ns) / 1e9;

    vm->stats->vcpus = vm->nvcpus;
    vm->stats->interval_s = seconds;
    vm->stats->sampled_ns = now;
    vm->sample_ns = now;
    if (vm_rebuilding(vm))
        sample_down(vm);
    else
        sample_up(vm, now, seconds > 0 ? seconds : 1e-9);
}

void vm_stats_restart(struct vm *vm)
{
    for (unsigned i = 0; i < vm->nvcpus; i++) {
        struct vcpu *v = &vm->vcpu[i];

        v->raw.cpu_ns = v->raw.delay_ns = v->raw.poll_ns = v->raw.insns = 0; /* new threads */
    }
    if (vm->machine_up)
        vm_sample(vm);
}

static void fill_p99(struct vm *vm, struct vm_stats *out)
{
    for (unsigned i = 0; i < vm->nvcpus; i++)
        for (int k = 0; k < EXIT_REASONS; k++)
            if (out->vcpu[i].exits[k])
                out->vcpu[i].exit_p99_ns[k] = latency_read(&vm->vcpu[i].exits[k]).p99_ns;
}

/* Links live as long as the VM, their figures are always there. */
static void fill_nets(struct vm *vm, struct vm_stats *out)
{
    out->nnets = 0;
    for (unsigned i = 0; i < vm->config->nnics && i < VM_NICS_MAX; i++)
        if (vm->link[i])
            netport_stats(vm->link[i], &out->nets[out->nnets++]);
}

void vm_stats(struct vm *vm, struct vm_stats *out, uint64_t max_age_ns)
{
    if (vm->sample_ns == 0 || clock_mono_ns() - vm->sample_ns > max_age_ns)
        vm_sample(vm);
    *out = *vm->stats;
    fill_p99(vm, out);
    fill_nets(vm, out);
}

unsigned vm_kstats(struct vm *vm, unsigned cpu, struct kstat *out, unsigned max)
{
    if (vm_rebuilding(vm) || cpu >= vm->nvcpus || !vm->accel->vcpu_kstats)
        return 0;
    return vm->accel->vcpu_kstats(vm->vcpu[cpu].av, out, max);
}

struct hit_list {
    struct vm_hit *out;
    unsigned n, max;
    const char *bus;
};

static void hit_insert(struct hit_list *l, const struct vm_hit *h)
{
    unsigned at = l->n;

    while (at > 0 && l->out[at - 1].count < h->count)
        at--;
    if (at >= l->max)
        return;
    if (l->n < l->max)
        l->n++;
    memmove(&l->out[at + 1], &l->out[at], (l->n - 1 - at) * sizeof *h);
    l->out[at] = *h;
}

static void hit_region(void *arg, const struct bus_region *r)
{
    struct hit_list *l = arg;
    uint64_t step = r->len <= BUS_HIT_SLOTS ? 1 : (r->len + BUS_HIT_SLOTS - 1) / BUS_HIT_SLOTS;

    for (unsigned i = 0; i < BUS_HIT_SLOTS; i++) {
        struct vm_hit h = {.device = r->name, .bus = l->bus, .addr = r->base + i * step,
                           .count = atomic_load_explicit(&r->hits[i], memory_order_relaxed)};

        if (h.count)
            hit_insert(l, &h);
    }
}

static void lapic_registers(struct vm *vm, struct hit_list *l)
{
    static const struct {
        const char *bus;
        uint64_t base, step;
    } way[LAPIC_WAYS] = {[LAPIC_BY_MMIO] = {"mmio", LAPIC_PAGE, 16}, [LAPIC_BY_MSR] = {"msr", LAPIC_MSR, 1}};

    for (unsigned w = 0; w < LAPIC_WAYS; w++) {
        for (unsigned reg = 0; reg < LAPIC_REGS; reg++) {
            struct vm_hit h = {.device = "lapic", .bus = way[w].bus, .addr = way[w].base + reg * way[w].step};

            for (unsigned i = 0; i < vm->nvcpus; i++)
                h.count += atomic_load_explicit(&vm->vcpu[i].lapic_hits[w][reg], memory_order_relaxed);
            if (h.count)
                hit_insert(l, &h);
        }
    }
}

unsigned vm_hits(struct vm *vm, struct vm_hit *out, unsigned max)
{
    struct hit_list l = {.out = out, .max = max, .bus = "pio"};

    if (vm_rebuilding(vm))
        return 0;
    bus_each(vm->pio, hit_region, &l);
    l.bus = "mmio";
    bus_each(vm->mmio, hit_region, &l);
    lapic_registers(vm, &l);
    return l.n;
}
