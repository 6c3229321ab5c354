/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * vcpu: the thread of one virtual processor.
 *
 * It runs guest code through the accelerator, handles each exit, and keeps its time ledger.
 * All that others want of it is a bit in `attention`: they set it, then wake or kick. The
 * thread clears the kick first and reads `attention` after, so that a bit that was set before
 * the clear is seen, and one set later ends the run (SAFETY T19).
 */
#include "core/clock.h"
#include "core/every_exit.h"
#include "core/futex.h"
#include "core/sandbox.h"
#include "core/slice.h"
#include "core/thread.h"
#include "core/vm_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    VCPU_STACK_BYTES = 256 << 10, VCPU_MAX_IOCTLS = 32,
    STEP_TIMEOUT_MS = 100, STEP_NOT_YET = 1,
    NAP_COUNTS_NS = 5000000, /* the most of one nap of vm_wait_parked that counts as waiting */
};

void thread_tell_tid(_Atomic int *tid)
{
    *tid = (int)syscall(SYS_gettid);
    futex_wake(tid);
}

void thread_await_tid(_Atomic int *tid)
{
    while (!*tid)
        futex_wait(tid, 0);
}

/* It wants a CPU. */
static void vcpu_stirs(struct vcpu *v)
{
    if (v->vm->gov)
        governor_stir(v->vm->gov);
}

static bool moves(struct vcpu *v, uint32_t from, uint32_t to)
{
    return v->nap == from && atomic_compare_exchange_strong(&v->nap, &from, to);
}

void vcpu_post(struct vcpu *v, uint32_t bits)
{
    /* before the bit: after it, it may already be asleep again */
    bool wakes = bits & ~(uint32_t)ATT_HOLD && moves(v, NAP_ASLEEP, NAP_WOKEN);
    uint32_t old = atomic_fetch_or(&v->attention, bits);

    /* seq_cst pairs with vcpu_sleep: either it sees the bit, or we see it sleeping */
    if ((old & bits) != bits) {
        if (v->sleeps & 1)
            futex_wake(&v->attention);
        else if (v->av)
            v->vm->accel->vcpu_kick(v->av);
    }
    if (wakes && moves(v, NAP_WOKEN, NAP_NONE)) /* unless it had a CPU before us */
        vcpu_stirs(v);
}

void vcpu_clear(struct vcpu *v, uint32_t bits)
{
    atomic_fetch_and(&v->attention, ~bits);
    futex_wake(&v->attention);
}

/* Sleeps while `attention` is exactly `value`. */
static void vcpu_sleep(struct vcpu *v, uint32_t value, enum ledger_state s)
{
    ledger_switch(&v->ledger, s, clock_mono_ns());
    v->sleeps++;
    if (v->attention == value)
        futex_wait(&v->attention, value);
    v->sleeps++;
    ledger_switch(&v->ledger, LEDGER_VMM, clock_mono_ns());
}

static void vcpu_halts(struct vcpu *v)
{
    if (v->nap == NAP_ASLEEP)
        return;
    v->nap = NAP_ASLEEP;
    atomic_store_explicit(&v->naps, v->naps + 1, memory_order_relaxed);
    ledger_switch(&v->ledger, LEDGER_HALT, clock_mono_ns()); /* what comes now is no waiting */
    if (v->vm->gov)
        governor_halts(v->vm->gov, v->index);
}

/* Again when it was kicked by another, until main gives up. */
static void vcpu_step(struct vcpu *v)
{
    int rc;

    do {
        v->vm->accel->vcpu_kick_clear(v->av);
        rc = v->dead || v->attention & (ATT_EXIT | ATT_FREEZE) ? -EIO
             : v->halted                                       ? -ENODATA
             : v->attention & ATT_STEP                         ? v->vm->accel->vcpu_step(v->av)
                                                               : -ECANCELED;
    } while (rc == -EAGAIN);
    atomic_fetch_and(&v->attention, ~(uint32_t)ATT_STEP);
    v->stepped = rc;
}

static void vcpu_park(struct vcpu *v)
{
    uint32_t att;

    v->parked = true;
    while ((att = v->attention) & ATT_PARK && !(att & ATT_EXIT)) {
        if (att & ATT_STEP)
            vcpu_step(v);
        else
            vcpu_sleep(v, att, LEDGER_PAUSED);
    }
    atomic_fetch_and(&v->attention, ~(uint32_t)ATT_STEP);
    v->parked = false;
}

/* The guest wants to run and the governor does not let it. */
static void vcpu_hold(struct vcpu *v, uint32_t att)
{
    vcpu_sleep(v, att, att & ATT_CAP ? LEDGER_CAPPED : LEDGER_READY);
}

static void vcpu_init(struct vcpu *v)
{
    struct x86_regs r;

    v->vm->chip.ops->init(v->vm->chip.chip, v->index);
    x86_regs_reset(&r);
    v->vm->accel->regs_set(v->av, &r);
    v->halted = v->wait_sipi = v->index != 0;
    v->halted_irqs = false;
}

static void vcpu_sipi(struct vcpu *v)
{
    struct x86_regs r;

    if (!v->wait_sipi)
        return;
    x86_regs_reset(&r);
    x86_regs_sipi(&r, (uint8_t)v->sipi_vector);
    v->vm->accel->regs_set(v->av, &r);
    v->halted = v->wait_sipi = false;
}

/* Interrupt controllers in our process: what they told this vCPU. */
static void vcpu_take_events(struct vcpu *v, uint32_t att)
{
    atomic_fetch_and(&v->attention, ~(att & (ATT_INTR | ATT_NMI | ATT_INIT | ATT_SIPI)));
    if (att & ATT_INIT)
        vcpu_init(v);
    if (att & ATT_SIPI)
        vcpu_sipi(v);
    if (v->wait_sipi)
        return;
    if (att & ATT_NMI) {
        v->vm->accel->vcpu_nmi(v->av);
        v->halted = false;
    }
    if (v->halted && v->halted_irqs && v->vm->chip.ops->pending(v->vm->chip.chip, v->index))
        v->halted = false;
}

EVERY_EXIT static void exit_io(struct vcpu *v, struct vexit *x)
{
    uint8_t *p = x->io.data;
    uint64_t val;

    for (uint32_t i = 0; i < x->io.count; i++, p += x->io.size) {
        if (x->io.write) {
            val = x->io.size == 1 ? *p : 0;
            if (x->io.size > 1)
                memcpy(&val, p, x->io.size);
            bus_write(v->vm->pio, x->io.port, x->io.size, val);
        } else {
            bus_read(v->vm->pio, x->io.port, x->io.size, &val);
            memcpy(p, &val, x->io.size);
        }
    }
}

static void lapic_hit(struct vcpu *v, unsigned way, uint32_t reg)
{
    if (reg < LAPIC_REGS) /* one writer: no locked addition is needed */
        atomic_store_explicit(&v->lapic_hits[way][reg], v->lapic_hits[way][reg] + 1, memory_order_relaxed);
}

static bool exit_lapic(struct vcpu *v, struct vexit *x)
{
    const struct irqchip *chip = &v->vm->chip;
    uint32_t off = (uint32_t)(x->mmio.gpa - LAPIC_PAGE), val = 0;

    if (!chip->ops || x->mmio.gpa - LAPIC_PAGE >= 0x1000)
        return false;
    lapic_hit(v, LAPIC_BY_MMIO, off >> 4);
    /* other widths than 32 bits are undefined (SDM 3A 11.4.1.2); a narrow read gives its bytes */
    if (x->mmio.write) {
        memcpy(&val, x->mmio.data, x->mmio.size < 4 ? x->mmio.size : 4);
        if (x->mmio.size == 4)
            chip->ops->mmio_write(chip->chip, v->index, off, val);
        return true;
    }
    val = chip->ops->mmio_read(chip->chip, v->index, off & ~3u) >> (8 * (off & 3));
    memset(x->mmio.data, 0, x->mmio.size);
    memcpy(x->mmio.data, &val, x->mmio.size < 4 ? x->mmio.size : 4);
    return true;
}

/* Splits what is no power of two, as a bus would. */
static void exit_mmio(struct vcpu *v, struct vexit *x)
{
    uint8_t *p = x->mmio.data;
    uint64_t gpa = x->mmio.gpa, val;

    if (exit_lapic(v, x))
        return;
    for (unsigned left = x->mmio.size, n; left; left -= n, p += n, gpa += n) {
        n = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
        if (x->mmio.write) {
            val = 0;
            memcpy(&val, p, n);
            bus_write(v->vm->mmio, gpa, n, val);
        } else {
            bus_read(v->vm->mmio, gpa, n, &val);
            memcpy(p, &val, n);
        }
    }
}

static void exit_msr(struct vcpu *v, struct vexit *x)
{
    const struct irqchip *chip = &v->vm->chip;

    lapic_hit(v, LAPIC_BY_MSR, x->msr.index - LAPIC_MSR);
    x->msr.fault = !chip->ops || !(x->msr.write
                       ? chip->ops->wrmsr(chip->chip, v->index, x->msr.index, x->msr.val)
                       : chip->ops->rdmsr(chip->chip, v->index, x->msr.index, &x->msr.val));
}

static void exit_end(struct vcpu *v, const struct vexit *x)
{
    v->dead = true;
    if (x->reason == EXIT_SHUTDOWN)
        vm_crash(v->vm, "triple fault on vCPU %u: an exception while a double fault was delivered",
                 v->index);
    else
        vm_crash(v->vm, "vCPU %u: %s", v->index, x->other.text);
}

EVERY_EXIT void vcpu_handle(void *opaque, struct vexit *x)
{
    struct vcpu *v = opaque;
    uint64_t begin = ticks_now(v->ticks);

    if (x->reason == EXIT_IO) /* before the table of jumps, which is a page of its own */
        exit_io(v, x);
    else switch (x->reason) {
    case EXIT_MMIO:
        exit_mmio(v, x);
        break;
    case EXIT_MSR:
        exit_msr(v, x);
        break;
    case EXIT_HLT:
        v->halted = true;
        v->halted_irqs = x->hlt.irqs_enabled;
        break;
    case EXIT_SHUTDOWN:
        exit_end(v, x);
        break;
    case EXIT_OTHER:
        if (x->other.fatal)
            exit_end(v, x);
        break;
    default:
        break;
    }
    /* the ledger stays at `run`: vm_stats takes the handling time, counted here, out of it */
    latency_add(&v->exits[x->reason], ticks_since_ns(v->ticks, begin));
}

/* One turn. False: the thread ends. */
EVERY_EXIT static bool vcpu_turn(struct vcpu *v)
{
    uint32_t att;
    int rc;

    v->vm->accel->vcpu_kick_clear(v->av);
    att = v->attention;
    if (att & ATT_EXIT)
        return false;
    if (att & ATT_PARK || v->dead) {
        if (v->dead)
            atomic_fetch_or(&v->attention, ATT_FREEZE);
        vcpu_park(v);
        return true;
    }
    if (att & ~(uint32_t)ATT_HOLD)
        vcpu_take_events(v, att);
    att &= ATT_HOLD; /* what may be left of it while it sleeps */
    if (v->halted) {
        /* an interrupt may have come before the halt: then no new event will tell */
        if (v->halted_irqs && !v->wait_sipi &&
            v->vm->chip.ops->pending(v->vm->chip.chip, v->index))
            v->halted = false;
        else {
            vcpu_halts(v);
            vcpu_sleep(v, att, LEDGER_HALT);
        }
        return true;
    }
    if (v->nap && atomic_exchange(&v->nap, NAP_NONE))
        vcpu_stirs(v);
    if (att) {
        vcpu_hold(v, att);
        return true;
    }
    if (v->ledger.state != LEDGER_RUN) /* after an exit it is so already */
        ledger_switch(&v->ledger, LEDGER_RUN, clock_mono_ns());
    rc = v->vm->accel->vcpu_run(v->av);
    if (rc < 0) {
        v->dead = true;
        vm_crash(v->vm, "vCPU %u: the %s engine failed: %s", v->index, v->vm->accel->name,
                 strerror(-rc));
    }
    return true;
}

static void take_kicks(void)
{
    sigset_t kick;

    sigemptyset(&kick);
    sigaddset(&kick, ACCEL_KICK_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
}

/* The C library has registered an area with the kernel in which that tells the CPU, for rseq(2). */
static const uint32_t *rseq_cpu(void)
{
    return __rseq_size ? &((const struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset))->cpu_id : NULL;
}

EVERY_EXIT static void *vcpu_main(void *arg)
{
    struct vcpu *v = arg;
    struct accel_ioctl io[VCPU_MAX_IOCTLS];
    unsigned n;

    take_kicks();
    v->on_cpu = rseq_cpu();
    slice_ask(0, SLICE_LIGHT_NS); /* before anybody else asks for another */
    thread_tell_tid(&v->tid);
    n = v->vm->accel->vcpu_thread_init(v->av, io, VCPU_MAX_IOCTLS);
    sandbox_vcpu_thread(v->vm->accel->name, io, n);
    while (vcpu_turn(v))
        ;
    v->cpu_base_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID);
    v->parked = true;
    return NULL;
}

/* Of its thread. -1: the host does not tell. */
static int open_proc_file(const struct vcpu *v, const char *what)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/task/%d/%s", (int)v->tid, what);
    return open(path, O_RDONLY | O_CLOEXEC);
}

int vcpu_start(struct vcpu *v, struct err *e)
{
    char name[32];
    int rc;

    v->halted = v->wait_sipi = v->vm->irqchip_user && v->index != 0;
    v->halted_irqs = false;
    v->sleeps = 0;
    v->nap = NAP_NONE;
    v->parked = false;
    v->dead = false;
    v->ticks = ticks_host();
    ledger_init(&v->ledger, LEDGER_PAUSED, clock_mono_ns());
    snprintf(name, sizeof name, "vCPU %u", v->index);
    rc = thread_start(&v->thread, name, VCPU_STACK_BYTES, vcpu_main, v, e);
    if (rc < 0)
        return rc;
    v->thread_live = true;
    snprintf(name, sizeof name, "%.9s/cpu%u", v->vm->config->name, v->index);
    pthread_setname_np(v->thread, name);
    thread_await_tid(&v->tid);
    v->schedstat = open_proc_file(v, "schedstat");
    v->stat = open_proc_file(v, "stat");
    return 0;
}

void vcpu_join(struct vcpu *v)
{
    if (!v->thread_live)
        return;
    pthread_join(v->thread, NULL);
    v->thread_live = false;
    v->tid = 0;
    if (v->schedstat >= 0)
        close(v->schedstat);
    if (v->stat >= 0)
        close(v->stat);
    v->schedstat = v->stat = -1;
}

struct patience {
    uint64_t last_ns, waited_ns;
};

/* A short one; false: `timeout_ms` are over. After a longer nap it was the host that let us wait, and the
 * vCPUs with us. */
static bool nap(struct patience *p, unsigned timeout_ms)
{
    const struct timespec t = {.tv_nsec = 50000};
    uint64_t now;

    if (p->waited_ns > timeout_ms * NS_PER_MS)
        return false;
    nanosleep(&t, NULL);
    now = clock_mono_ns();
    p->waited_ns += now - p->last_ns < NAP_COUNTS_NS ? now - p->last_ns : NAP_COUNTS_NS;
    p->last_ns = now;
    return true;
}

int vm_wait_parked(struct vm *vm, unsigned timeout_ms)
{
    struct patience p = {.last_ns = clock_mono_ns()};

    for (unsigned i = 0; i < vm->nvcpus; i++)
        while (vm->vcpu[i].thread_live && !vm->vcpu[i].parked)
            if (!nap(&p, timeout_ms))
                return -ETIMEDOUT;
    return 0;
}

int vcpu_execute(struct vcpu *v)
{
    struct patience p = {.last_ns = clock_mono_ns()};

    v->stepped = STEP_NOT_YET;
    vcpu_post(v, ATT_STEP);
    while (v->stepped == STEP_NOT_YET && nap(&p, STEP_TIMEOUT_MS))
        ;
    if (v->stepped == STEP_NOT_YET) {
        vcpu_clear(v, ATT_STEP);
        v->vm->accel->vcpu_kick(v->av);
        while (v->stepped == STEP_NOT_YET && nap(&p, 2 * STEP_TIMEOUT_MS))
            ;
    }
    return v->stepped == STEP_NOT_YET ? -ETIMEDOUT : v->stepped;
}
