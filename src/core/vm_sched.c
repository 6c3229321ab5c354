/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * vm_sched: a VM as the governor sees it: what its threads used, and how they are held.
 */
#include "core/vm_internal.h"

#include "core/clock.h"
#include "core/futex.h"
#include "core/slice.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static uint64_t cpu_ns(void *opaque, unsigned cpu)
{
    struct vm *vm = opaque;
    clockid_t id;

    return pthread_getcpuclockid(vm->vcpu[cpu].thread, &id) == 0 ? clock_ns(id) : 0;
}

/* Where we see it halt, what is left of its own time is waiting; so is the time from when it is let run until it
 * has a CPU to see that. */
static int64_t wait_by_ledger(struct vcpu *v, uint64_t cpu_time)
{
    uint64_t ns[LEDGER_STATES];

    ledger_read(&v->ledger, clock_mono_ns(), ns);
    return (int64_t)(ns[LEDGER_RUN] + ns[LEDGER_VMM] + ns[LEDGER_READY] + ns[LEDGER_CAPPED] - cpu_time);
}

/* 'R': runs or waits for a CPU. */
static bool is_runnable(const struct vcpu *v)
{
    char buf[64];
    ssize_t n = v->stat >= 0 ? pread(v->stat, buf, sizeof buf - 1, 0) : -1;
    const char *p;

    if (n <= 0)
        return false;
    buf[n] = '\0';
    p = strrchr(buf, ')');
    return p && strncmp(p, ") R", 3) == 0;
}

/* The kernel counts a wait when it is over. One that goes on shows as a thread that is runnable
 * and has not moved; what is added for it here is in the kernel's count later. */
static int64_t wait_by_kernel(struct vcpu *v, uint64_t cpu_time, bool first)
{
    struct vcpu_wait *w = &v->wait;
    bool known;
    uint64_t now = clock_mono_ns(), delay = vcpu_read_delay_ns(v, &known);
    int64_t idle = (int64_t)(now - w->now_ns) - (int64_t)(cpu_time - w->cpu_ns) - (int64_t)(delay - w->delay_ns);
    bool moved = cpu_time != w->cpu_ns || delay != w->delay_ns;

    w->going_ns = (moved ? 0 : w->going_ns) + (idle > 0 ? idle : 0);
    if (first || idle < (int64_t)(now - w->now_ns) / 20 || !known || !is_runnable(v))
        w->going_ns = 0;
    w->now_ns = now;
    w->cpu_ns = cpu_time;
    w->delay_ns = delay;
    return (int64_t)delay + w->going_ns;
}

static int64_t wait_ns(void *opaque, unsigned cpu, uint64_t cpu_time, bool first)
{
    struct vm *vm = opaque;
    struct vcpu *v = &vm->vcpu[cpu];

    return vm->irqchip_user ? wait_by_ledger(v, cpu_time) : wait_by_kernel(v, cpu_time, first);
}

static uint64_t io_ns(void *opaque)
{
    return vm_io_cpu_ns(opaque);
}

static _Atomic uint32_t *let_run(void *opaque, unsigned cpu)
{
    struct vm *vm = opaque;

    atomic_fetch_and(&vm->vcpu[cpu].attention, ~(uint32_t)ATT_HOLD);
    return &vm->vcpu[cpu].attention;
}

static void hold(void *opaque, unsigned cpu, enum gov_hold how)
{
    struct vm *vm = opaque;
    struct vcpu *v = &vm->vcpu[cpu];

    if (how == GOV_RUN)
        futex_wake(let_run(vm, cpu));
    else if (how == GOV_HOLD_CAP)
        vcpu_post(v, ATT_CAP);
    else
        vcpu_post(v, ATT_SHARE);
    if (how == GOV_HOLD_SHARE)
        vcpu_clear(v, ATT_CAP);
}

static enum sched_now now(void *opaque, unsigned cpu)
{
    struct vm *vm = opaque;
    struct vcpu *v = &vm->vcpu[cpu];

    if (!vm->irqchip_user) {
        uint32_t halts = v->naps;
        int halted = vm->accel->vcpu_halted ? vm->accel->vcpu_halted(v->av, &halts) : -1;

        v->naps = halts;
        return halted < 0 ? NOW_UNKNOWN : halted ? NOW_ASLEEP : NOW_AWAKE;
    }
    return v->nap == NAP_ASLEEP && !(v->attention & ~(uint32_t)ATT_HOLD) ? NOW_ASLEEP : NOW_AWAKE;
}

static uint32_t sleep_number(void *opaque, unsigned cpu)
{
    const struct vm *vm = opaque;
    uint32_t n = vm->vcpu[cpu].sleeps;

    return n & 1 ? n : 0;
}

static uint32_t naps(void *opaque, unsigned cpu)
{
    const struct vm *vm = opaque;

    return vm->vcpu[cpu].naps;
}

static bool tells(void *opaque)
{
    const struct vm *vm = opaque;

    return vm->irqchip_user;
}

static int where(void *opaque, unsigned cpu)
{
    const struct vm *vm = opaque;
    const uint32_t *on = vm->vcpu[cpu].on_cpu;

    return on ? (int)__atomic_load_n(on, __ATOMIC_RELAXED) : -1;
}

static void place(void *opaque, unsigned cpu, const cpu_set_t *set)
{
    struct vm *vm = opaque;

    sched_setaffinity(vm->vcpu[cpu].tid, sizeof *set, set);
}

static void slice(void *opaque, unsigned cpu, uint64_t ns)
{
    const struct vm *vm = opaque;

    slice_ask(vm->vcpu[cpu].tid, ns);
}

static void pace(void *opaque, unsigned hz)
{
    const struct vm *vm = opaque;

    vclock_pace(vm->clock, hz);
}

int vm_govern(struct vm *vm, struct governor *g)
{
    static const struct gov_ops ops = {.cpu_ns = cpu_ns, .wait_ns = wait_ns, .io_ns = io_ns, .hold = hold,
                                       .let_run = let_run, .now = now, .sleep = sleep_number, .naps = naps, .tells = tells,
                                       .where = where, .place = place, .slice = slice, .pace = pace};

    vm->gov = governor_add(g, vm->nvcpus, &ops, vm);
    return vm->gov ? 0 : -ENOMEM;
}

struct gov_guest *vm_governed(struct vm *vm)
{
    return vm->gov;
}
