/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * vm: what people ask of a virtual machine, and what it reports. See vm.h for the threads.
 *
 * A life-cycle request is checked against the table of states, then done by a job on a
 * thread of its own (vm_machine.c); main goes on. Everything that happens elsewhere sets a
 * bit in `news` and wakes main by one eventfd, so that a guest cannot make main's queue grow.
 */
#include "core/vm_internal.h"

#include "core/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const char *const state_names[VM_STATES] = {
    [VM_NEW] = "new",         [VM_RUNNING] = "running", [VM_PAUSED] = "paused",
    [VM_STOPPED] = "stopped", [VM_CRASHED] = "crashed",
};

/* Which request is legal in which state: 1 yes, 0 no, -1 it is so already. */
static const signed char legal[][VM_STATES] = {
    /*              new run pau sto cra */
    [JOB_START] =  {1, -1, 0, 1, 1},
    [JOB_PAUSE] =  {0, 1, -1, 0, 0},
    [JOB_RESUME] = {0, -1, 1, 0, 0},
    [JOB_STOP] =   {0, 1, 1, -1, 1},
    [JOB_RESET] =  {0, 1, 1, 0, 1},
};

static const char *const job_names[] = {
    [JOB_START] = "start", [JOB_PAUSE] = "pause", [JOB_RESUME] = "resume",
    [JOB_STOP] = "stop",   [JOB_RESET] = "reset",
};

const char *vm_state_name(enum vm_state s)
{
    return s < VM_STATES ? state_names[s] : "?";
}

void vm_tell(struct vm *vm, uint32_t news)
{
    const uint64_t one = 1;

    if ((atomic_fetch_or(&vm->news, news) & news) == news)
        return;
    if (write(vm->news_fd, &one, sizeof one) < 0)
        return; /* EAGAIN: main is awake already */
}

static void emit(struct vm *vm, const struct vm_event *ev)
{
    vm->listener.event(vm->listener.opaque, vm, ev);
}

static void emit_text(struct vm *vm, enum vm_event_kind kind, const char *text)
{
    struct vm_event ev = {.kind = kind, .old_state = vm->state, .new_state = vm->state};

    snprintf(ev.text, sizeof ev.text, "%s", text);
    emit(vm, &ev);
}

static void set_state(struct vm *vm, enum vm_state s, const char *why)
{
    struct vm_event ev = {.kind = VM_EVENT_STATE, .old_state = vm->state, .new_state = s};

    if (vm->state == s)
        return;
    vm->state = s;
    snprintf(vm->reason, sizeof vm->reason, "%s", why);
    snprintf(ev.text, sizeof ev.text, "%s", why);
    emit(vm, &ev);
}

void vm_freeze(struct vm *vm)
{
    for (unsigned i = 0; i < vm->nvcpus; i++)
        vcpu_post(&vm->vcpu[i], ATT_FREEZE);
}

void vm_crash(struct vm *vm, const char *fmt, ...)
{
    va_list ap;

    if (atomic_exchange(&vm->crashed, true))
        return;
    pthread_mutex_lock(&vm->text_lock);
    va_start(ap, fmt);
    vsnprintf(vm->crash_text, sizeof vm->crash_text, fmt, ap);
    va_end(ap);
    pthread_mutex_unlock(&vm->text_lock);
    vm_freeze(vm);
    vm_tell(vm, NEWS_CRASH);
}

void vm_power(void *opaque, enum board_power what, unsigned code)
{
    struct vm *vm = opaque;
    uint64_t none = 0;

    if (!atomic_compare_exchange_strong(&vm->power_request, &none, (uint64_t)code << 32 | (1 + what)))
        return;
    vm_freeze(vm); /* no guest instruction runs after the one that did it, but for other vCPUs' last few */
    vm_tell(vm, NEWS_POWER);
}

bool vm_rebuilding(const struct vm *vm)
{
    /* the job first: while it builds, `machine_up` is its */
    return vm->job == JOB_START || vm->job == JOB_STOP || vm->job == JOB_RESET || !vm->machine_up;
}

static void *job_main(void *arg)
{
    struct vm *vm = arg;

    switch (vm->job) {
    case JOB_START:
        vm->job_rc = machine_start(vm, &vm->job_err);
        break;
    case JOB_PAUSE:
        vm->job_rc = machine_pause(vm, &vm->job_err);
        break;
    case JOB_RESUME:
        vm->job_rc = machine_resume(vm, &vm->job_err);
        break;
    case JOB_RESET:
        vm->job_rc = machine_reset(vm, &vm->job_err);
        break;
    default:
        machine_stop(vm);
        vm->job_rc = 0;
    }
    vm_tell(vm, NEWS_JOB);
    return NULL;
}

static int job_begin(struct vm *vm, enum job_kind k, struct err *e)
{
    int rc;

    vm->job = k;
    vm->job_err = (struct err){0};
    rc = pthread_create(&vm->job_thread, NULL, job_main, vm);
    if (rc == 0)
        return 0;
    vm->job = JOB_NONE;
    return err_set(e, rc, "cannot start a thread to %s %s: %s", job_names[k], vm->config->name,
                   strerror(rc));
}

/* What to do about a request that is not legal in this state. */
static const char *instead(enum vm_state s)
{
    return s == VM_PAUSED ? "`resume` lets it go on" : s == VM_RUNNING ? "`stop` it first" : "`start` it first";
}

static int check_no_job(const struct vm *vm, struct err *e)
{
    if (vm->job == JOB_NONE)
        return 0;
    return err_set(e, EBUSY, "%s is busy (%s); try again in a moment", vm->config->name, job_names[vm->job]);
}

static int request(struct vm *vm, enum job_kind k, struct err *e)
{
    int rc = check_no_job(vm, e);

    if (rc < 0)
        return rc;
    if (legal[k][vm->state] < 0)
        return err_set(e, EALREADY, "%s is %s already", vm->config->name, state_names[vm->state]);
    if (legal[k][vm->state] == 0)
        return err_set(e, EINVAL, "%s is %s and cannot %s now: %s", vm->config->name,
                       state_names[vm->state], job_names[k], instead(vm->state));
    vm->rebooting = false;
    return job_begin(vm, k, e);
}

static void take_power(struct vm *vm)
{
    uint64_t request = vm->power_request;
    uint32_t what = (uint32_t)request;
    struct vm_event ev = {.kind = VM_EVENT_EXIT, .old_state = vm->state, .new_state = vm->state};

    if (what == 0 || vm->job != JOB_NONE)
        return; /* looked at again when the job ends */
    if (vm->state != VM_RUNNING && vm->state != VM_PAUSED)
        return;
    if (what == 1 + BOARD_DEBUG_EXIT) {
        ev.code = (unsigned)(request >> 32);
        vm->exit_code = (int)ev.code;
        emit(vm, &ev);
    }
    vm->rebooting = what == 1 + BOARD_RESET;
    job_begin(vm, vm->rebooting ? JOB_RESET : JOB_STOP, NULL);
}

static void take_crash(struct vm *vm)
{
    char why[ERR_TEXT];

    if (!vm->crashed || vm->job != JOB_NONE || (vm->state != VM_RUNNING && vm->state != VM_PAUSED))
        return;
    pthread_mutex_lock(&vm->text_lock);
    memcpy(why, vm->crash_text, sizeof why);
    pthread_mutex_unlock(&vm->text_lock);
    if (vm->gov)
        governor_pause(vm->gov, true); /* it wants no CPU any more */
    set_state(vm, VM_CRASHED, why);
}

static void take_disk_full(struct vm *vm)
{
    char why[ERR_TEXT];

    if (!vm->disk_full || vm->job != JOB_NONE)
        return; /* looked at again when the job ends */
    vm->disk_full = false;
    pthread_mutex_lock(&vm->text_lock);
    memcpy(why, vm->full_text, sizeof why);
    pthread_mutex_unlock(&vm->text_lock);
    if (vm->state == VM_RUNNING && job_begin(vm, JOB_PAUSE, NULL) == 0) {
        memcpy(vm->pause_text, why, sizeof why);
    } else if (vm->state == VM_RUNNING || vm->state == VM_PAUSED) {
        memcpy(vm->reason, why, sizeof why);
        emit_text(vm, VM_EVENT_DEVICE, why);
    }
}

static const char *stop_reason(const struct vm *vm, char *buf, size_t len)
{
    uint64_t request = vm->power_request;

    switch ((uint32_t)request) {
    case 1 + BOARD_POWEROFF:
        return "powered off by the guest";
    case 1 + BOARD_DEBUG_EXIT:
        snprintf(buf, len, "ended by the guest with exit code %u", (unsigned)(request >> 32));
        return buf;
    default:
        return "";
    }
}

static void job_succeeded(struct vm *vm, enum job_kind k)
{
    char buf[80];

    switch (k) {
    case JOB_START:
        vm_stats_restart(vm);
        set_state(vm, VM_RUNNING, "");
        break;
    case JOB_PAUSE:
        set_state(vm, VM_PAUSED, vm->pause_text);
        break;
    case JOB_RESUME:
        set_state(vm, VM_RUNNING, "");
        break;
    case JOB_RESET:
        vm_stats_restart(vm);
        emit_text(vm, VM_EVENT_RESET, vm->rebooting ? "rebooted by the guest" : "");
        set_state(vm, VM_RUNNING, ""); /* from crashed or paused */
        break;
    default:
        vm_stats_restart(vm);
        set_state(vm, VM_STOPPED, stop_reason(vm, buf, sizeof buf));
        vm->power_request = 0;
    }
}

static void take_job(struct vm *vm)
{
    enum job_kind k = vm->job;

    if (k == JOB_NONE)
        return;
    pthread_join(vm->job_thread, NULL);
    vm->job = JOB_NONE;
    if (vm->job_rc == 0) {
        job_succeeded(vm, k);
    } else {
        emit_text(vm, VM_EVENT_FAILED, vm->job_err.msg);
        if (k == JOB_RESET) { /* the old machine is gone */
            vm->power_request = 0;
            vm_stats_restart(vm);
            set_state(vm, VM_CRASHED, vm->job_err.msg);
        }
    }
    vm->pause_text[0] = '\0';
    /* what came up meanwhile */
    take_crash(vm);
    take_power(vm);
    take_disk_full(vm);
}

static void flush_send(struct vm *vm, enum board_console c)
{
    struct send_queue *q = &vm->send[c];
    size_t n, run;

    while (q->len && !vm_rebuilding(vm)) {
        run = SEND_QUEUE_BYTES - q->head < q->len ? SEND_QUEUE_BYTES - q->head : q->len;
        n = vm->board_ops->console_in(vm->board, c, q->buf + q->head, run);
        q->head = (q->head + n) % SEND_QUEUE_BYTES;
        q->len -= n;
        if (n < run)
            break;
    }
}

static void take_device_error(struct vm *vm)
{
    char text[ERR_TEXT];

    pthread_mutex_lock(&vm->text_lock);
    memcpy(text, vm->device_text, sizeof text);
    pthread_mutex_unlock(&vm->text_lock);
    emit_text(vm, VM_EVENT_DEVICE, text);
}

static void on_news(void *arg, uint32_t events)
{
    struct vm *vm = arg;
    uint64_t n;
    uint32_t news;

    (void)events;
    if (read(vm->news_fd, &n, sizeof n) < 0 && errno != EAGAIN)
        return;
    news = atomic_exchange(&vm->news, 0);
    for (int c = 0; c < CONSOLES; c++) {
        struct vm_event ev = {.kind = VM_EVENT_CONSOLE, .console = (enum board_console)c,
                              .old_state = vm->state, .new_state = vm->state};

        if (news & NEWS_CONSOLE0 << c)
            emit(vm, &ev);
        if (news & NEWS_ROOM0 << c)
            flush_send(vm, (enum board_console)c);
    }
    if (news & NEWS_DEVICE)
        take_device_error(vm);
    if (news & NEWS_JOB)
        take_job(vm);
    if (news & NEWS_CRASH)
        take_crash(vm);
    if (news & NEWS_POWER)
        take_power(vm);
    if (news & NEWS_DISK_FULL)
        take_disk_full(vm);
}

static void tell_console(struct vm *vm, int c)
{
    vm_tell(vm, NEWS_CONSOLE0 << c);
}

/* One function a console: its ring's notify has one argument. */
static void tell_console0(void *vm) { tell_console(vm, 0); }
static void tell_console1(void *vm) { tell_console(vm, 1); }
static void tell_console2(void *vm) { tell_console(vm, 2); }
static void tell_console3(void *vm) { tell_console(vm, 3); }

static int make_consoles(struct vm *vm)
{
    static void (*const tell[CONSOLES])(void *) = {tell_console0, tell_console1, tell_console2,
                                                   tell_console3};

    for (int c = 0; c < CONSOLES; c++) {
        vm->console[c] = console_new();
        if (!vm->console[c])
            return -ENOMEM;
        console_set_notify(vm->console[c], tell[c], vm);
    }
    return 0;
}

static int vm_init(struct vm *vm, const struct vm_config *c, struct err *e)
{
    vm->io_wake = -1;
    vm->exit_code = -1;
    pthread_mutex_init(&vm->text_lock, NULL);
    for (unsigned i = 0; i < vm->nvcpus; i++) {
        vm->vcpu[i].vm = vm;
        vm->vcpu[i].index = i;
        vm->vcpu[i].schedstat = vm->vcpu[i].stat = -1;
    }
    vm->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (vm->news_fd < 0)
        return err_set(e, errno, "cannot create guest %s: %s", c->name, strerror(errno));
    vm->config = vm_config_dup(c);
    vm->stats = calloc(1, sizeof *vm->stats);
    if (!vm->config || !vm->stats || make_consoles(vm) < 0)
        return err_set(e, ENOMEM, "out of memory");
    vm->news_source = loop_add_fd(vm->main, vm->news_fd, EPOLLIN, on_news, vm, e);
    return vm->news_source ? 0 : -ENOMEM;
}

struct vm *vm_new(const struct vm_config *c, const struct accel_ops *accel,
                  const struct board_ops *board, struct loop *main, const struct vm_listener *l,
                  struct err *e)
{
    struct vm *vm;

    if (c->vcpus < 1 || c->vcpus > VM_VCPUS_MAX) {
        err_set(e, EINVAL, "guest %s: vcpus must be 1 to %d", c->name, VM_VCPUS_MAX);
        return NULL;
    }
    vm = calloc(1, sizeof *vm + c->vcpus * sizeof vm->vcpu[0]);
    if (!vm) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    vm->accel = accel;
    vm->board_ops = board;
    vm->main = main;
    vm->listener = *l;
    vm->nvcpus = c->vcpus;
    if (vm_init(vm, c, e) < 0) {
        vm_free(vm);
        return NULL;
    }
    return vm;
}

void vm_set_link(struct vm *vm, unsigned i, struct netport *link)
{
    if (i < VM_NICS_MAX)
        vm->link[i] = link;
}

struct netport *vm_link(const struct vm *vm, unsigned i)
{
    return i < VM_NICS_MAX ? vm->link[i] : NULL;
}

void vm_free(struct vm *vm)
{
    if (!vm)
        return;
    if (vm->job != JOB_NONE)
        pthread_join(vm->job_thread, NULL);
    machine_stop(vm);
    governor_remove(vm->gov);
    loop_del_fd(vm->news_source);
    if (vm->news_fd >= 0)
        close(vm->news_fd);
    for (int c = 0; c < CONSOLES; c++) {
        console_free(vm->console[c]);
        free(vm->send[c].buf);
    }
    if (vm->config)
        vm_config_fini(vm->config);
    free(vm->config);
    free(vm->stats);
    pthread_mutex_destroy(&vm->text_lock);
    free(vm);
}

const struct vm_config *vm_config(const struct vm *vm)
{
    return vm->config;
}

const char *vm_name(const struct vm *vm)
{
    return vm->config->name;
}

enum vm_state vm_state(const struct vm *vm)
{
    return vm->state;
}

bool vm_busy(const struct vm *vm)
{
    return vm->job != JOB_NONE;
}

const struct accel_ops *vm_accel(const struct vm *vm)
{
    return vm->accel;
}

const char *vm_reason(const struct vm *vm)
{
    return vm->reason;
}

const char *vm_boot_note(const struct vm *vm)
{
    return vm_rebuilding(vm) ? "" : vm->boot_note;
}

int vm_exit_code(const struct vm *vm)
{
    return vm->exit_code;
}

uint64_t vm_uptime_ns(const struct vm *vm)
{
    return vm_rebuilding(vm) ? 0 : vclock_now_ns(vm->clock) - vm->boot_ns;
}

int vm_start(struct vm *vm, struct err *e)
{
    int rc = request(vm, JOB_START, e);

    if (rc == 0)
        vm->exit_code = -1;
    return rc;
}

int vm_pause(struct vm *vm, struct err *e)
{
    return request(vm, JOB_PAUSE, e);
}

int vm_resume(struct vm *vm, struct err *e)
{
    return request(vm, JOB_RESUME, e);
}

int vm_stop(struct vm *vm, struct err *e)
{
    return request(vm, JOB_STOP, e);
}

int vm_reset(struct vm *vm, struct err *e)
{
    return request(vm, JOB_RESET, e);
}

int vm_shutdown(struct vm *vm, struct err *e)
{
    if (vm->state != VM_RUNNING || vm_rebuilding(vm))
        return err_set(e, EINVAL, "%s is %s: only a running guest hears its power button%s",
                       vm->config->name, state_names[vm->state],
                       vm->state == VM_PAUSED ? "; resume it first" : "");
    vm->board_ops->power_button(vm->board);
    return 0;
}

struct console *vm_console(struct vm *vm, enum board_console c)
{
    return vm->console[c];
}

size_t vm_console_send(struct vm *vm, enum board_console c, const void *buf, size_t len)
{
    struct send_queue *q = &vm->send[c];
    size_t n = len < SEND_QUEUE_BYTES - q->len ? len : SEND_QUEUE_BYTES - q->len;

    if (!q->buf)
        q->buf = malloc(SEND_QUEUE_BYTES);
    if (!q->buf || vm_rebuilding(vm))
        return 0;
    for (size_t i = 0; i < n; i++)
        q->buf[(q->head + q->len + i) % SEND_QUEUE_BYTES] = ((const uint8_t *)buf)[i];
    q->len += n;
    flush_send(vm, c);
    return n;
}

void vm_console_resize(struct vm *vm, unsigned cols, unsigned rows)
{
    if (!vm_rebuilding(vm))
        vm->board_ops->console_resize(vm->board, cols, rows);
}

void vm_console_break(struct vm *vm)
{
    if (!vm_rebuilding(vm))
        vm->board_ops->console_break(vm->board, CONSOLE_SERIAL0);
}

static int check_parked(struct vm *vm, struct err *e)
{
    if (vm->state == VM_CRASHED && vm->machine_up && vm->job == JOB_NONE)
        return vm_wait_parked(vm, 100) < 0
                   ? err_set(e, EBUSY, "%s is still stopping; try again", vm->config->name)
                   : 0;
    if (vm->state != VM_PAUSED || vm_rebuilding(vm))
        return err_set(e, EBUSY, "%s is %s: %s", vm->config->name, state_names[vm->state],
                       vm->state == VM_RUNNING ? "`pause` it first" : "`start` it, then `pause` it");
    return 0;
}

static int check_vcpu(struct vm *vm, unsigned cpu, struct err *e)
{
    int rc = check_parked(vm, e);

    if (rc == 0 && cpu >= vm->nvcpus)
        rc = err_set(e, EINVAL, "%s has vCPUs 0 to %u", vm->config->name, vm->nvcpus - 1);
    return rc;
}

int vm_step(struct vm *vm, unsigned cpu, struct err *e)
{
    const char *name = vm->config->name;
    int rc = check_vcpu(vm, cpu, e);

    if (rc == 0)
        rc = check_no_job(vm, e);
    if (rc < 0)
        return rc;
    if (vm->state != VM_PAUSED || vm->crashed || vm->power_request)
        return err_set(e, EINVAL, "%s has ended: its vCPUs cannot go on", name);
    vm->accel->clock_resume(vm->av); /* else it would be where the host's is */
    rc = vcpu_execute(&vm->vcpu[cpu]);
    vm->accel->clock_pause(vm->av);
    if (rc == -ENODATA)
        return err_set(e, -rc, "vCPU %u of %s is halted: what wakes it comes only while the guest runs (`resume`)",
                       cpu, name);
    if (rc == -ECANCELED || rc == -ETIMEDOUT)
        return err_set(e, -rc, "vCPU %u of %s did not get past this instruction in 0.1 s; if that is HLT, it waits "
                       "for an interrupt", cpu, name);
    return rc < 0 ? err_set(e, -rc, "vCPU %u of %s cannot go on: %s", cpu, name, strerror(-rc)) : 0;
}

int vm_regs(struct vm *vm, unsigned cpu, struct x86_regs *r, struct err *e)
{
    int rc = check_vcpu(vm, cpu, e);

    if (rc < 0)
        return rc;
    rc = vm->accel->regs_get(vm->vcpu[cpu].av, r);
    return rc < 0 ? err_set(e, -rc, "cannot read the registers: %s", strerror(-rc)) : 0;
}

int vm_mem_read(struct vm *vm, uint64_t gpa, void *buf, size_t len, struct err *e)
{
    int rc = check_parked(vm, e);

    if (rc < 0)
        return rc;
    if (gmem_read(vm->mem, gpa, buf, len) < 0)
        return err_set(e, EFAULT, "%#llx is not in the guest's memory", (unsigned long long)gpa);
    return 0;
}

int vm_mem_target(struct vm *vm, uint64_t bytes, struct err *e)
{
    if (vm_rebuilding(vm))
        return err_set(e, EINVAL, "%s is %s: start it first", vm->config->name, state_names[vm->state]);
    if (bytes > vm->config->memory_bytes)
        return err_set(e, EINVAL, "%s was started with %llu MiB: a target cannot be above that",
                       vm->config->name, (unsigned long long)(vm->config->memory_bytes >> 20));
    return vm->board_ops->balloon_target(vm->board, vm->config->memory_bytes - bytes, e);
}

int vm_disk_limit(struct vm *vm, const char *disk, uint32_t iops, uint64_t bytes_per_s,
                  struct err *e)
{
    struct disk_config *d = NULL;

    for (unsigned i = 0; i < vm->config->ndisks; i++)
        if (strcmp(vm->config->disks[i].name, disk) == 0)
            d = &vm->config->disks[i];
    if (!d)
        return err_set(e, ENOENT, "%s has no disk %s: `info %s` shows its disks", vm->config->name,
                       disk, vm->config->name);
    if (vm->job != JOB_NONE && vm_rebuilding(vm)) /* the job reads what we would write */
        return err_set(e, EBUSY, "%s is being started, stopped or reset: try again",
                       vm->config->name);
    d->iops = iops;
    d->bytes_per_s = bytes_per_s;
    if (!vm->machine_up)
        return 0;
    return vm->board_ops->disk_limit(vm->board, disk, iops, bytes_per_s, e);
}

unsigned vm_threads(struct vm *vm, int *tids, unsigned max)
{
    unsigned n = 0;

    if (vm_rebuilding(vm))
        return 0;
    for (unsigned i = 0; i < vm->nvcpus && n < max; i++)
        tids[n++] = vm->vcpu[i].tid;
    if (n < max && vm->io_tid)
        tids[n++] = vm->io_tid;
    for (unsigned i = 0; i < vm->ndevice_threads && n < max; i++)
        tids[n++] = vm->device_thread[i].tid;
    return n;
}
