/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * vm_machine: builds, pauses, resets and tears down what a running VM consists of.
 *
 * Runs on the VM's job thread while main keeps away (vm_rebuilding). Order of building:
 * image, memory, buses, time, board, engine, vCPUs, threads; torn down in reverse.
 */
#include "core/every_exit.h"
#include "core/vm_internal.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/sandbox.h"
#include "core/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PARK_TIMEOUT_MS = 5000, IO_STACK_BYTES = 512 << 10 };

static void env_irq_line(void *opaque, unsigned gsi, int level)
{
    struct vm *vm = opaque;

    if (vm->av) /* not yet while the board is built, not any more between two boots */
        vm->accel->irq_line(vm->av, gsi, level);
}

static void env_msi(void *opaque, uint64_t addr, uint32_t data)
{
    struct vm *vm = opaque;

    if (vm->av)
        vm->accel->msi(vm->av, addr, data);
}

static void env_cpu_event(void *opaque, unsigned cpu, enum cpu_event ev, uint8_t vector)
{
    static const uint32_t bit[] = {[CPU_EVENT_INTR] = ATT_INTR, [CPU_EVENT_NMI] = ATT_NMI,
                                   [CPU_EVENT_INIT] = ATT_INIT, [CPU_EVENT_SIPI] = ATT_SIPI};
    struct vm *vm = opaque;

    if (cpu >= vm->nvcpus)
        return;
    if (ev == CPU_EVENT_SIPI)
        vm->vcpu[cpu].sipi_vector = vector;
    vcpu_post(&vm->vcpu[cpu], bit[ev]);
}

static uint64_t env_tsc_now(void *opaque, unsigned cpu)
{
    struct vm *vm = opaque;

    (void)cpu;
    return (uint64_t)((unsigned __int128)vclock_now_ns(vm->clock) * vm->accel->tsc_khz(vm->av) / 1000000);
}

static uint64_t env_tsc_to_ns(void *opaque, unsigned cpu, uint64_t tsc)
{
    struct vm *vm = opaque;
    uint32_t khz = vm->accel->tsc_khz(vm->av);

    (void)cpu;
    return khz ? (uint64_t)((unsigned __int128)tsc * 1000000 / khz) : UINT64_MAX;
}

EVERY_EXIT static void env_console_out(void *opaque, enum board_console c, const void *buf, size_t len)
{
    struct vm *vm = opaque;

    console_write(vm->console[c], buf, len);
}

static void env_console_room(void *opaque, enum board_console c)
{
    vm_tell(opaque, NEWS_ROOM0 << c);
}

static void env_device_error(void *opaque, const char *device, const char *what)
{
    struct vm *vm = opaque;

    vm->device_errors++;
    pthread_mutex_lock(&vm->text_lock);
    snprintf(vm->device_text, sizeof vm->device_text, "%s: %s", device, what);
    pthread_mutex_unlock(&vm->text_lock);
    vm_tell(vm, NEWS_DEVICE);
}

/* Where the storage of a disk is, as far as its configuration says. */
static const char *disk_place(const struct vm *vm, const char *disk)
{
    for (unsigned i = 0; i < vm->config->ndisks; i++) {
        const struct disk_config *d = &vm->config->disks[i];

        if (strcmp(d->name, disk) == 0)
            return d->mode == DISK_OVERLAY && d->overlay_path ? d->overlay_path : d->path;
    }
    return "?";
}

static void env_disk_full(void *opaque, const char *disk)
{
    struct vm *vm = opaque;

    pthread_mutex_lock(&vm->text_lock);
    snprintf(vm->full_text, sizeof vm->full_text,
             "the host's storage of %s is full (%.90s): free some there, then `resume %s`", disk,
             disk_place(vm, disk), vm->config->name);
    pthread_mutex_unlock(&vm->text_lock);
    vm->disk_full = true;
    vm_tell(vm, NEWS_DISK_FULL);
}

/* From now on `tid` is the guest's: it obeys its pins, and its CPU time by `clock` is charged. */
static void add_device_thread(struct vm *vm, clockid_t clock, int tid)
{
    unsigned n;

    pthread_mutex_lock(&vm->text_lock);
    n = vm->ndevice_threads;
    if (n < sizeof vm->device_thread / sizeof *vm->device_thread) {
        vm->device_thread[n].clock = clock;
        vm->device_thread[n].tid = tid;
        vm->ndevice_threads = n + 1;
    }
    pthread_mutex_unlock(&vm->text_lock);
}

/* On the new thread. */
static void env_thread_started(void *opaque, const char *name)
{
    struct vm *vm = opaque;
    clockid_t clock;
    char text[16];

    snprintf(text, sizeof text, "%.9s/%.5s", vm->config->name, name);
    pthread_setname_np(pthread_self(), text);
    if (pthread_getcpuclockid(pthread_self(), &clock) == 0)
        add_device_thread(vm, clock, (int)syscall(SYS_gettid));
    sandbox_io_thread();
}

/* The clock counts all its threads, also those that have ended, and stands when it has. */
static void env_helper_started(void *opaque, int pid)
{
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) == 0)
        add_device_thread(opaque, clock, pid);
}

/* On the I/O thread. */
static void on_doorbells(void *arg, uint32_t events)
{
    struct vm *vm = arg;
    uint64_t n;

    (void)events;
    if (read(vm->io_wake, &n, sizeof n) == sizeof n && vm->accel->doorbells_sync)
        vm->accel->doorbells_sync(vm->av, vm->mmio);
}

/* Any thread, bus map locked. Until the engine follows, the bus serves the doorbell itself. */
static void doorbells_changed(void *opaque)
{
    struct vm *vm = opaque;
    const uint64_t one = 1;

    if (write(vm->io_wake, &one, sizeof one) < 0)
        return; /* EAGAIN: asked already */
}

static int build_frame(struct vm *vm, struct err *e)
{
    const struct bus_doorbell_listener l = {doorbells_changed, vm};

    vm->mem = gmem_new(vm->config->name, vm->config->memory_bytes, e);
    if (!vm->mem)
        return -ENOMEM;
    if (vm->config->mergeable && gmem_merge(vm->mem) < 0)
        log_msg(LOG_WARN, "%s: its memory is not merged with others': this kernel has no KSM",
                vm->config->name);
    vm->pio = bus_new("pio");
    vm->mmio = bus_new("mmio");
    vm->io_wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!vm->pio || !vm->mmio || vm->io_wake < 0)
        return err_set(e, ENOMEM, "out of memory or descriptors");
    vm->io = loop_new(e);
    if (!vm->io)
        return -ENOMEM;
    vm->io_wake_source = loop_add_fd(vm->io, vm->io_wake, EPOLLIN, on_doorbells, vm, e);
    vm->clock = vclock_new(vm->io, e);
    bus_set_doorbell_listener(vm->mmio, &l);
    return vm->clock && vm->io_wake_source ? 0 : -ENOMEM;
}

static int build_board(struct vm *vm, struct err *e)
{
    const struct board_env env = {
        .mem = vm->mem, .pio = vm->pio, .mmio = vm->mmio, .io = vm->io, .clock = vm->clock,
        .nics = vm->link, .irqchip_in_engine = !vm->irqchip_user, .opaque = vm,
        .irq_line = env_irq_line, .msi = env_msi, .cpu_event = env_cpu_event,
        .tsc_now = env_tsc_now, .tsc_to_ns = env_tsc_to_ns, .power = vm_power,
        .console_out = env_console_out, .console_room = env_console_room,
        .device_error = env_device_error, .thread_started = env_thread_started,
        .helper_started = env_helper_started,
        .disk_full = env_disk_full,
    };

    vm->board = vm->board_ops->new(vm->config, &env, e);
    if (!vm->board)
        return -EINVAL;
    vm->chip = vm->board_ops->irqchip(vm->board);
    return 0;
}

static int build_engine(struct vm *vm, struct err *e)
{
    const struct accel_vm_params p = {
        .name = vm->config->name, .mem = vm->mem, .clock = vm->clock, .vcpus = vm->nvcpus,
        .irqchip_user = vm->irqchip_user, .chip = vm->chip,
    };

    vm->av = vm->accel->vm_new(&p, e);
    if (!vm->av)
        return -EINVAL;
    for (unsigned i = 0; i < vm->nvcpus; i++) {
        const struct vcpu_host host = {vcpu_handle, &vm->vcpu[i]};

        vm->vcpu[i].av = vm->accel->vcpu_new(vm->av, i, &host, e);
        if (!vm->vcpu[i].av)
            return -EINVAL;
    }
    return 0;
}

static int load_guest(struct vm *vm, struct err *e)
{
    struct boot_params p = {.cmdline = vm->config->append ? vm->config->append : "",
                            .vcpus = vm->nvcpus};
    struct x86_regs regs;
    int rc;

    p.rsdp_gpa = vm->board_ops->acpi(vm->board, e);
    if (!p.rsdp_gpa)
        return -EINVAL;
    x86_regs_reset(&regs);
    rc = boot_load(vm->image, vm->mem, &p, &regs, e);
    if (rc < 0)
        return rc;
    rc = vm->accel->regs_set(vm->vcpu[0].av, &regs);
    return rc < 0 ? err_set(e, -rc, "the %s engine refuses the boot state: %s", vm->accel->name,
                            strerror(-rc))
                  : 0;
}

static void *io_main(void *arg)
{
    struct vm *vm = arg;

    thread_tell_tid(&vm->io_tid);
    sandbox_io_thread();
    loop_run(vm->io);
    vm->io_cpu_base_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID);
    return NULL;
}

static int start_io(struct vm *vm, struct err *e)
{
    char name[16];
    int rc = thread_start(&vm->io_thread, "I/O", IO_STACK_BYTES, io_main, vm, e);

    if (rc < 0)
        return rc;
    vm->io_live = true;
    snprintf(name, sizeof name, "%.11s/io", vm->config->name);
    pthread_setname_np(vm->io_thread, name);
    thread_await_tid(&vm->io_tid); /* else it would miss its pins */
    return 0;
}

static int start_threads(struct vm *vm, struct err *e)
{
    int rc = start_io(vm, e);

    for (unsigned i = 0; i < vm->nvcpus && rc == 0; i++) {
        vm->vcpu[i].attention = ATT_PAUSE; /* begin parked: all start together */
        rc = vcpu_start(&vm->vcpu[i], e);
    }
    return rc;
}

static void unpark(struct vm *vm, uint32_t bits)
{
    for (unsigned i = 0; i < vm->nvcpus; i++)
        vcpu_clear(&vm->vcpu[i], bits);
}

static void stop_threads(struct vm *vm)
{
    if (vm->gov)
        governor_end(vm->gov);
    for (unsigned i = 0; i < vm->nvcpus; i++)
        if (vm->vcpu[i].thread_live)
            vcpu_post(&vm->vcpu[i], ATT_EXIT);
    for (unsigned i = 0; i < vm->nvcpus; i++)
        vcpu_join(&vm->vcpu[i]);
    if (vm->io_live) {
        loop_stop(vm->io);
        pthread_join(vm->io_thread, NULL);
        vm->io_live = false;
        vm->io_tid = 0;
    }
    if (vm->clock)
        vclock_pause(vm->clock);
}

static void free_engine(struct vm *vm)
{
    for (unsigned i = 0; i < vm->nvcpus; i++) {
        if (vm->vcpu[i].av)
            vm->accel->vcpu_free(vm->vcpu[i].av);
        vm->vcpu[i].av = NULL;
    }
    if (vm->av)
        vm->accel->vm_free(vm->av);
    vm->av = NULL;
}

void machine_stop(struct vm *vm)
{
    stop_threads(vm);
    vm->io_cpu_base_ns += vm_device_threads_cpu_ns(vm);
    vm->ndevice_threads = 0;
    vm->board_ops->free(vm->board);
    vm->board = NULL;
    free_engine(vm);
    loop_del_fd(vm->io_wake_source);
    vm->io_wake_source = NULL;
    vclock_free(vm->clock);
    vm->clock = NULL;
    loop_free(vm->io);
    vm->io = NULL;
    if (vm->io_wake >= 0)
        close(vm->io_wake);
    vm->io_wake = -1;
    bus_free(vm->pio);
    bus_free(vm->mmio);
    vm->pio = vm->mmio = NULL;
    gmem_free(vm->mem);
    vm->mem = NULL;
    boot_close(vm->image);
    vm->image = NULL;
    vm->machine_up = false;
}

static void no_op_signal(int sig)
{
    (void)sig;
}

/* The kick only has to interrupt KVM_RUN; installed by whoever starts a guest first. */
static void install_kick_signal(void)
{
    struct sigaction sa = {.sa_handler = no_op_signal};

    sigaction(ACCEL_KICK_SIGNAL, &sa, NULL);
}

static int boot(struct vm *vm, struct err *e)
{
    int rc = build_engine(vm, e);

    if (rc == 0)
        rc = load_guest(vm, e);
    if (rc == 0)
        rc = start_threads(vm, e);
    if (rc < 0)
        return rc;
    vm->crashed = vm->disk_full = false;
    vm->machine_up = true;
    vclock_resume(vm->clock);
    vm->boot_ns = vclock_now_ns(vm->clock);
    if (vm->gov)
        governor_begin(vm->gov);
    return 0;
}

int machine_start(struct vm *vm, struct err *e)
{
    int rc;

    machine_stop(vm); /* what a crash left */
    install_kick_signal();
    vm->power_request = 0;
    vm->irqchip_user = vm->config->irqchip_user || !vm->accel->has_irqchip;
    vm->image = boot_open(vm->config, e);
    rc = vm->image ? build_frame(vm, e) : -EINVAL;
    if (rc == 0)
        rc = build_board(vm, e);
    if (rc == 0)
        rc = boot(vm, e);
    if (rc < 0) {
        machine_stop(vm);
        return rc;
    }
    snprintf(vm->boot_note, sizeof vm->boot_note, "%s%s%s", boot_protocol_name(boot_image_protocol(vm->image)),
             boot_image_note(vm->image)[0] ? ": " : "", boot_image_note(vm->image));
    unpark(vm, ATT_PAUSE);
    return 0;
}

int machine_pause(struct vm *vm, struct err *e)
{
    for (unsigned i = 0; i < vm->nvcpus; i++)
        vcpu_post(&vm->vcpu[i], ATT_PAUSE);
    if (vm_wait_parked(vm, PARK_TIMEOUT_MS) < 0) {
        unpark(vm, ATT_PAUSE);
        return err_set(e, ETIMEDOUT, "%s did not stop within %d s: a device holds a vCPU",
                       vm->config->name, PARK_TIMEOUT_MS / 1000);
    }
    vclock_pause(vm->clock);
    vm->accel->clock_pause(vm->av);
    vm->board_ops->pause(vm->board, true);
    if (vm->gov)
        governor_pause(vm->gov, true);
    return 0;
}

int machine_resume(struct vm *vm, struct err *e)
{
    (void)e;
    vm->accel->clock_resume(vm->av);
    vclock_resume(vm->clock);
    if (vm->gov)
        governor_pause(vm->gov, false);
    vm->board_ops->pause(vm->board, false);
    unpark(vm, ATT_PAUSE);
    vm->board_ops->retry(vm->board);
    return 0;
}

int machine_reset(struct vm *vm, struct err *e)
{
    int rc;

    stop_threads(vm);
    if (!vm->machine_up) {
        free_engine(vm);
        return err_set(e, EINVAL, "%s has no machine to reset; start it", vm->config->name);
    }
    vm->power_request = 0; /* here, while nobody runs: what the guest asks from now on is of its new life */
    vm->board_ops->reset(vm->board); /* disks finish what they are at, and interrupt the engine then */
    free_engine(vm);
    gmem_clear(vm->mem);
    rc = boot(vm, e);
    if (rc < 0) {
        machine_stop(vm);
        return rc;
    }
    unpark(vm, ATT_PAUSE);
    return 0;
}
