/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * See fake_vm.h.
 */
#include "fake_vm.h"

#include "core/clock.h"
#include "core/loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum fake_job { FAKE_NONE, FAKE_START, FAKE_PAUSE, FAKE_RESUME, FAKE_STOP, FAKE_RESET };

struct vm {
    struct vm_config *config;
    const struct accel_ops *accel;
    struct loop *loop;
    struct vm_listener listener;
    enum vm_state state;
    enum fake_job job;
    char reason[200];
    int exit_code;
    uint64_t boot_ns;
    struct console *console[CONSOLES];
    bool told[CONSOLES];
    struct fake_vm_script script;
    struct netport *link[VM_NICS_MAX];
};

static int fake_probe(struct err *e)
{
    (void)e;
    return 0;
}

static int fake_absent(struct err *e)
{
    return err_set(e, ENODEV, "this engine is not here");
}

const struct accel_ops fake_accel = {.name = "fake", .probe = fake_probe};
const struct accel_ops fake_accel_absent = {.name = "absent", .probe = fake_absent};

struct fake_vm_script *fake_vm(struct vm *vm)
{
    return &vm->script;
}

const char *vm_state_name(enum vm_state s)
{
    static const char *const names[VM_STATES] = {"new", "running", "paused", "stopped", "crashed"};

    return names[s];
}

static void emit(struct vm *vm, enum vm_event_kind k, const char *text)
{
    struct vm_event ev = {.kind = k, .old_state = vm->state, .new_state = vm->state};

    snprintf(ev.text, sizeof ev.text, "%s", text);
    vm->listener.event(vm->listener.opaque, vm, &ev);
}

static void set_state(struct vm *vm, enum vm_state s, const char *why)
{
    struct vm_event ev = {.kind = VM_EVENT_STATE, .old_state = vm->state, .new_state = s};

    if (vm->state == s)
        return;
    vm->state = s;
    snprintf(vm->reason, sizeof vm->reason, "%s", why);
    snprintf(ev.text, sizeof ev.text, "%s", why);
    vm->listener.event(vm->listener.opaque, vm, &ev);
}

static void job_end(void *arg)
{
    struct vm *vm = arg;
    enum fake_job job = vm->job;

    if (vm->script.stall || job == FAKE_NONE)
        return;
    vm->job = FAKE_NONE;
    switch (job) {
    case FAKE_START:
        if (vm->script.fail_start) {
            emit(vm, VM_EVENT_FAILED, vm->script.fail_start);
            return;
        }
        vm->script.starts++;
        vm->boot_ns = clock_mono_ns();
        set_state(vm, VM_RUNNING, "");
        break;
    case FAKE_PAUSE:
        set_state(vm, VM_PAUSED, "");
        break;
    case FAKE_RESUME:
        set_state(vm, VM_RUNNING, "");
        break;
    case FAKE_RESET:
        emit(vm, VM_EVENT_RESET, "");
        set_state(vm, VM_RUNNING, "");
        break;
    default:
        set_state(vm, VM_STOPPED, "");
    }
}

void fake_vm_release(struct vm *vm)
{
    vm->script.stall = false;
    job_end(vm);
}

void fake_vm_crash(struct vm *vm, const char *why)
{
    set_state(vm, VM_CRASHED, why);
}

void fake_vm_poweroff(struct vm *vm)
{
    set_state(vm, VM_STOPPED, "powered off by the guest");
}

void fake_vm_exit(struct vm *vm, unsigned code)
{
    vm->exit_code = (int)code;
    emit(vm, VM_EVENT_EXIT, "");
    set_state(vm, VM_STOPPED, "ended");
}

void fake_vm_device_error(struct vm *vm, const char *text)
{
    emit(vm, VM_EVENT_DEVICE, text);
}

static void tell0(void *arg)
{
    struct vm *vm = arg;
    struct vm_event ev = {.kind = VM_EVENT_CONSOLE, .old_state = vm->state, .new_state = vm->state};

    vm->told[0] = false;
    vm->listener.event(vm->listener.opaque, vm, &ev);
}

static void notify0(void *arg)
{
    struct vm *vm = arg;

    if (!vm->told[0])
        vm->told[0] = loop_post(vm->loop, tell0, vm) == 0;
}

void fake_vm_say(struct vm *vm, const char *text)
{
    console_write(vm->console[0], text, strlen(text));
}

struct vm *vm_new(const struct vm_config *c, const struct accel_ops *accel, const struct board_ops *board,
                  struct loop *main, const struct vm_listener *l, struct err *e)
{
    struct vm *vm = calloc(1, sizeof *vm);

    (void)board;
    (void)e;
    vm->config = vm_config_dup(c);
    vm->accel = accel;
    vm->loop = main;
    vm->listener = *l;
    vm->exit_code = -1;
    for (int i = 0; i < CONSOLES; i++)
        vm->console[i] = console_new();
    console_set_notify(vm->console[0], notify0, vm);
    return vm;
}

int vm_govern(struct vm *vm, struct governor *g)
{
    (void)vm;
    (void)g;
    return 0;
}

struct gov_guest *vm_governed(struct vm *vm)
{
    (void)vm;
    return NULL;
}

void vm_set_link(struct vm *vm, unsigned i, struct netport *link)
{
    vm->link[i] = link;
}

struct netport *vm_link(const struct vm *vm, unsigned i)
{
    return vm->link[i];
}

void vm_free(struct vm *vm)
{
    if (!vm)
        return;
    for (int i = 0; i < CONSOLES; i++)
        console_free(vm->console[i]);
    vm_config_fini(vm->config);
    free(vm->config);
    text_free(&vm->script.typed);
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
    return vm->job != FAKE_NONE;
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
    return vm->state == VM_NEW ? "" : "booted by nobody";
}

int vm_exit_code(const struct vm *vm)
{
    return vm->exit_code;
}

uint64_t vm_uptime_ns(const struct vm *vm)
{
    return clock_mono_ns() - vm->boot_ns;
}

static int ask(struct vm *vm, enum fake_job job, unsigned legal, enum vm_state there, struct err *e)
{
    if (vm->job != FAKE_NONE)
        return err_set(e, EBUSY, "%s is busy", vm->config->name);
    if (vm->state == there)
        return err_set(e, EALREADY, "%s is %s already", vm->config->name, vm_state_name(there));
    if (!(legal & 1u << vm->state))
        return err_set(e, EINVAL, "%s is %s: not now", vm->config->name, vm_state_name(vm->state));
    vm->job = job;
    loop_post(vm->loop, job_end, vm);
    return 0;
}

#define ST(s) (1u << (s))

int vm_start(struct vm *vm, struct err *e)
{
    return ask(vm, FAKE_START, ST(VM_NEW) | ST(VM_STOPPED) | ST(VM_CRASHED), VM_RUNNING, e);
}

int vm_pause(struct vm *vm, struct err *e)
{
    return ask(vm, FAKE_PAUSE, ST(VM_RUNNING), VM_PAUSED, e);
}

int vm_resume(struct vm *vm, struct err *e)
{
    return ask(vm, FAKE_RESUME, ST(VM_PAUSED), VM_RUNNING, e);
}

int vm_stop(struct vm *vm, struct err *e)
{
    return ask(vm, FAKE_STOP, ST(VM_RUNNING) | ST(VM_PAUSED) | ST(VM_CRASHED), VM_STOPPED, e);
}

int vm_reset(struct vm *vm, struct err *e)
{
    return ask(vm, FAKE_RESET, ST(VM_RUNNING) | ST(VM_PAUSED) | ST(VM_CRASHED), VM_STATES, e);
}

int vm_shutdown(struct vm *vm, struct err *e)
{
    if (vm->state != VM_RUNNING)
        return err_set(e, EINVAL, "%s is %s: it hears no button", vm->config->name, vm_state_name(vm->state));
    return 0;
}

struct console *vm_console(struct vm *vm, enum board_console c)
{
    return vm->console[c];
}

size_t vm_console_send(struct vm *vm, enum board_console c, const void *buf, size_t len)
{
    (void)c;
    if (vm->script.deaf || vm->state != VM_RUNNING)
        return 0;
    text_add(&vm->script.typed, buf, len);
    return len;
}

void vm_console_resize(struct vm *vm, unsigned cols, unsigned rows)
{
    (void)vm;
    (void)cols;
    (void)rows;
}

void vm_console_break(struct vm *vm)
{
    (void)vm;
}

int vm_regs(struct vm *vm, unsigned cpu, struct x86_regs *r, struct err *e)
{
    if (vm->state != VM_PAUSED)
        return err_set(e, EBUSY, "%s is %s: pause it first", vm->config->name, vm_state_name(vm->state));
    *r = vm->script.regs;
    r->gpr[15] = cpu;
    return 0;
}

/* Its processor knows NOP, which counts in rax, and HLT. */
int vm_step(struct vm *vm, unsigned cpu, struct err *e)
{
    struct x86_regs *r = &vm->script.regs;

    if (vm_regs(vm, cpu, &(struct x86_regs){0}, e) < 0)
        return -EBUSY;
    if (vm->script.mem[r->seg[X86_CS].base + r->rip] != 0x90)
        return err_set(e, ENODATA, "vCPU %u of %s is halted", cpu, vm->config->name);
    r->gpr[0]++;
    r->rip++;
    return 0;
}

int vm_mem_read(struct vm *vm, uint64_t gpa, void *buf, size_t len, struct err *e)
{
    if (vm->state != VM_PAUSED)
        return err_set(e, EBUSY, "%s is %s: pause it first", vm->config->name, vm_state_name(vm->state));
    if (len > sizeof vm->script.mem || gpa > sizeof vm->script.mem - len)
        return err_set(e, EFAULT, "%#llx is not in the guest's memory", (unsigned long long)gpa);
    memcpy(buf, vm->script.mem + gpa, len);
    return 0;
}

int vm_mem_target(struct vm *vm, uint64_t bytes, struct err *e)
{
    if (vm->state != VM_RUNNING)
        return err_set(e, EINVAL, "%s does not run", vm->config->name);
    vm->script.mem_target = bytes;
    return 0;
}

int vm_disk_limit(struct vm *vm, const char *disk, uint32_t iops, uint64_t bytes_per_s,
                  struct err *e)
{
    (void)disk;
    (void)e;
    vm->script.disk_iops = iops;
    vm->script.disk_bps = bytes_per_s;
    return 0;
}

unsigned vm_hits(struct vm *vm, struct vm_hit *out, unsigned max)
{
    (void)vm;
    if (max)
        out[0] = (struct vm_hit){"com1", "pio", 0x3f8, 42};
    return max > 0;
}

void vm_set_throttled(struct vm *vm, uint64_t ns)
{
    (void)vm;
    (void)ns;
}

void vm_sample(struct vm *vm)
{
    (void)vm;
}

void vm_stats(struct vm *vm, struct vm_stats *out, uint64_t max_age_ns)
{
    (void)max_age_ns;
    memset(out, 0, sizeof *out);
    out->vcpus = vm->config->vcpus;
    out->interval_s = 1;
    for (unsigned i = 0; i < out->vcpus; i++) {
        out->vcpu[i].ledger[LEDGER_RUN] = 0.25;
        out->vcpu[i].ledger[LEDGER_HALT] = 0.75;
        out->vcpu[i].ledger_ns[LEDGER_RUN] = 1000000000;
        out->vcpu[i].exits[EXIT_IO] = 10;
        out->vcpu[i].exit_ns[EXIT_IO] = 20000;
        out->vcpu[i].exit_p99_ns[EXIT_IO] = 4000;
        out->vcpu[i].exit_rate[EXIT_IO] = 5;
    }
    out->cpu = 0.25 * out->vcpus;
    out->cpu_ns = 1500000000;
    out->exits = 10 * out->vcpus;
    out->exit_rate = 5 * out->vcpus;
    out->mips = 350;
    out->memory_resident_bytes = 4 << 20;
    out->memory_shared_bytes = UINT64_MAX;
}

unsigned vm_kstats(struct vm *vm, unsigned cpu, struct kstat *out, unsigned max)
{
    (void)vm;
    (void)cpu;
    if (max)
        out[0] = (struct kstat){.name = "halt_exits", .value = 7};
    return max > 0;
}

unsigned vm_threads(struct vm *vm, int *tids, unsigned max)
{
    if (!max || !vm->script.tid || vm->state != VM_RUNNING)
        return 0;
    tids[0] = vm->script.tid;
    return 1;
}
