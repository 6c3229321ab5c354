/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A VM's states, events, pauses and accounts, with a scripted engine and an empty board:
 * everything of vm.c, vm_machine.c, vm_stats.c and vcpu.c but the guest.
 */
#include "core/boot.h"
#include "core/bus.h"
#include "core/clock.h"
#include "core/loop.h"
#include "core/vm.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* --- a scripted engine ---------------------------------------------------------- */

enum script { RUN_FOREVER, TRIPLE_FAULT, HALT_AT_ONCE, STORM, FAIL_RUN, FAIL_NEW, RESET_AT_ONCE };
enum { RESETS = 50 };

static struct {
    _Atomic enum script script; /* a test changes it while vCPUs run */
    _Atomic unsigned vms, vcpus, runs, pauses, resumes, boots, retries;
    _Atomic bool devices_paused;
    const struct board_env *env;
    struct board_env env_copy;
    _Atomic int storm_left, resets_left;
} fake;

struct accel_vm {
    int unused;
};

struct accel_vcpu {
    struct vcpu_host host;
    _Atomic bool kicked;
    unsigned index;
};

static int fk_probe(struct err *e)
{
    (void)e;
    return 0;
}

static struct accel_vm *fk_vm_new(const struct accel_vm_params *p, struct err *e)
{
    (void)p;
    if (fake.script == FAIL_NEW) {
        err_set(e, EIO, "the fake engine was told to fail");
        return NULL;
    }
    fake.vms++;
    return calloc(1, sizeof(struct accel_vm));
}

static void fk_vm_free(struct accel_vm *vm)
{
    fake.vms--;
    free(vm);
}

static struct accel_vcpu *fk_vcpu_new(struct accel_vm *vm, unsigned index, const struct vcpu_host *host,
                                      struct err *e)
{
    struct accel_vcpu *v = calloc(1, sizeof *v);

    (void)vm;
    (void)e;
    v->host = *host;
    v->index = index;
    fake.vcpus++;
    return v;
}

static void fk_vcpu_free(struct accel_vcpu *v)
{
    fake.vcpus--;
    free(v);
}

static unsigned fk_thread_init(struct accel_vcpu *v, struct accel_ioctl *out, unsigned max)
{
    (void)v;
    (void)out;
    (void)max;
    return 0;
}

static void exit_with(struct accel_vcpu *v, enum exit_reason r)
{
    struct vexit x = {.reason = r};

    if (r == EXIT_HLT)
        x.hlt.irqs_enabled = true;
    v->host.handle(v->host.opaque, &x);
}

static void port_write(struct accel_vcpu *v, uint16_t port, uint8_t val)
{
    struct vexit x = {.reason = EXIT_IO,
                      .io = {.port = port, .size = 1, .write = true, .count = 1, .data = &val}};

    v->host.handle(v->host.opaque, &x);
}

static int fk_run(struct accel_vcpu *v)
{
    const struct timespec nap = {.tv_nsec = 20000};

    fake.runs++;
    switch (fake.script) {
    case TRIPLE_FAULT:
        exit_with(v, EXIT_SHUTDOWN);
        return 0;
    case HALT_AT_ONCE:
        exit_with(v, EXIT_HLT);
        return 0;
    case FAIL_RUN:
        return -EIO;
    case RESET_AT_ONCE:
        if (v->kicked)
            break;
        fake.env->power(fake.env->opaque, fake.resets_left-- > 0 ? BOARD_RESET : BOARD_POWEROFF, 0);
        return 0;
    case STORM:
        if (fake.storm_left > 0) {
            fake.storm_left--;
            port_write(v, 0xe9, 'x');
            return 0;
        }
        break;
    default:
        break;
    }
    while (!v->kicked)
        nanosleep(&nap, NULL);
    exit_with(v, EXIT_SIGNAL);
    return 0;
}

static void fk_kick(struct accel_vcpu *v)
{
    v->kicked = true;
}

static void fk_kick_clear(struct accel_vcpu *v)
{
    v->kicked = false;
}

static int fk_regs_get(struct accel_vcpu *v, struct x86_regs *r)
{
    memset(r, 0, sizeof *r);
    r->rip = 0x1000 + v->index;
    return 0;
}

static int fk_regs_set(struct accel_vcpu *v, const struct x86_regs *r)
{
    (void)v;
    (void)r;
    return 0;
}

static void fk_pause(struct accel_vm *vm)
{
    (void)vm;
    fake.pauses++;
}

static void fk_resume(struct accel_vm *vm)
{
    (void)vm;
    fake.resumes++;
}

static uint32_t fk_tsc_khz(struct accel_vm *vm)
{
    (void)vm;
    return 1000000;
}

static const struct accel_ops fake_accel = {
    .name = "fake", .has_irqchip = false, .probe = fk_probe, .vm_new = fk_vm_new, .vm_free = fk_vm_free,
    .vcpu_new = fk_vcpu_new, .vcpu_free = fk_vcpu_free, .vcpu_thread_init = fk_thread_init,
    .vcpu_run = fk_run, .vcpu_kick = fk_kick, .vcpu_kick_clear = fk_kick_clear,
    .regs_get = fk_regs_get, .regs_set = fk_regs_set, .clock_pause = fk_pause,
    .clock_resume = fk_resume, .tsc_khz = fk_tsc_khz,
};

/* --- an empty board, with one port for what the tests do ------------------------- */

struct board {
    struct board_env env;
};

static bool no_irq(void *chip, unsigned cpu)
{
    (void)chip;
    (void)cpu;
    return false;
}

static void no_init(void *chip, unsigned cpu)
{
    (void)chip;
    (void)cpu;
}

static const struct irqchip_ops no_chip = {.pending = no_irq, .init = no_init};

static uint64_t port_read(void *dev, uint64_t off, unsigned size)
{
    (void)dev;
    (void)off;
    (void)size;
    return 0;
}

static void port_out(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct board *b = dev;
    char c = (char)val;

    (void)off;
    (void)size;
    b->env.console_out(b->env.opaque, CONSOLE_DEBUG, &c, 1);
}

static const struct bus_ops port_ops = {port_read, port_out, BUS_W1};

static struct board *bd_new(const struct vm_config *c, const struct board_env *env, struct err *e)
{
    struct board *b = calloc(1, sizeof *b);

    (void)c;
    b->env = *env;
    fake.env_copy = *env;
    fake.env = &fake.env_copy;
    assert_non_null(bus_add(env->pio, "debug", 0xe9, 1, &port_ops, b, NULL, e));
    return b;
}

static void bd_free(struct board *b)
{
    free(b);
}

static void bd_reset(struct board *b)
{
    (void)b;
}

static struct irqchip bd_irqchip(struct board *b)
{
    (void)b;
    return (struct irqchip){.ops = &no_chip};
}

static uint64_t bd_acpi(struct board *b, struct err *e)
{
    (void)b;
    (void)e;
    return 0xe0000;
}

static size_t bd_console_in(struct board *b, enum board_console c, const void *buf, size_t len)
{
    (void)b;
    (void)c;
    (void)buf;
    return len > 3 ? 3 : len; /* a slow reader */
}

static void bd_button(struct board *b)
{
    b->env.power(b->env.opaque, BOARD_POWEROFF, 0);
}

static bool bd_balloon(struct board *b, struct balloon_stats *s)
{
    (void)b;
    (void)s;
    return false;
}

static unsigned bd_disks(struct board *b, struct disk_stats *out, unsigned max)
{
    (void)b;
    (void)out;
    (void)max;
    return 0;
}

static void bd_retry(struct board *b)
{
    (void)b;
    fake.retries++;
}

static void bd_pause(struct board *b, bool paused)
{
    (void)b;
    fake.devices_paused = paused;
}

static const struct board_ops fake_board = {
    .new = bd_new, .free = bd_free, .reset = bd_reset, .irqchip = bd_irqchip, .acpi = bd_acpi,
    .console_in = bd_console_in, .power_button = bd_button, .balloon_get = bd_balloon,
    .disks = bd_disks, .retry = bd_retry, .pause = bd_pause,
};

/* --- no kernel ------------------------------------------------------------------- */

struct boot_image {
    int unused;
};

struct boot_image *boot_open(const struct vm_config *c, struct err *e)
{
    (void)c;
    (void)e;
    return calloc(1, sizeof(struct boot_image));
}

void boot_close(struct boot_image *b)
{
    free(b);
}

enum boot_protocol boot_image_protocol(const struct boot_image *b)
{
    (void)b;
    return 0;
}

const char *boot_protocol_name(enum boot_protocol p)
{
    (void)p;
    return "a protocol";
}

const char *boot_image_note(const struct boot_image *b)
{
    (void)b;
    return "a note";
}

int boot_load(const struct boot_image *b, struct gmem *m, const struct boot_params *p,
              struct x86_regs *regs, struct err *e)
{
    (void)b;
    (void)m;
    (void)p;
    (void)regs;
    (void)e;
    fake.boots++;
    return 0;
}

/* --- harness --------------------------------------------------------------------- */

struct rig {
    struct loop *loop;
    struct vm *vm;
    unsigned events[8];
    char text[ERR_TEXT];
    unsigned code;
};

static void on_event(void *opaque, struct vm *vm, const struct vm_event *ev)
{
    struct rig *r = opaque;

    (void)vm;
    r->events[ev->kind]++;
    if (ev->text[0])
        snprintf(r->text, sizeof r->text, "%s", ev->text);
    if (ev->kind == VM_EVENT_EXIT)
        r->code = ev->code;
}

static void rig_up(struct rig *r, enum script s, unsigned vcpus)
{
    struct vm_config c;
    struct err e = {0};
    const struct vm_listener l = {on_event, r};

    memset(r, 0, sizeof *r);
    fake.script = s;
    fake.runs = fake.pauses = fake.resumes = fake.boots = fake.retries = 0;
    vm_config_init(&c, "t");
    c.vcpus = vcpus;
    c.memory_bytes = 4 << 20;
    r->loop = loop_new(&e);
    assert_non_null(r->loop);
    r->vm = vm_new(&c, &fake_accel, &fake_board, r->loop, &l, &e);
    assert_non_null(r->vm);
}

static void rig_down(struct rig *r)
{
    vm_free(r->vm);
    loop_free(r->loop);
    assert_int_equal(fake.vms, 0);
    assert_int_equal(fake.vcpus, 0);
}

static bool wait_state(struct rig *r, enum vm_state s)
{
    for (int i = 0; i < 500; i++) {
        if (vm_state(r->vm) == s && !vm_busy(r->vm))
            return true;
        loop_step(r->loop, 10);
    }
    return false;
}

static void started(struct rig *r, enum script s, unsigned vcpus)
{
    struct err e = {0};

    rig_up(r, s, vcpus);
    assert_int_equal(vm_start(r->vm, &e), 0);
    assert_true(wait_state(r, VM_RUNNING));
}

/* --- tests ------------------------------------------------------------------------ */

static void vm_whose_disk_has_no_room_is_paused_and_tried_again_by_resume(void **state)
{
    struct rig r;
    struct err e = {0};

    (void)state;
    started(&r, RUN_FOREVER, 1);
    fake.env->disk_full(fake.env->opaque, "vda");
    assert_true(wait_state(&r, VM_PAUSED));
    assert_non_null(strstr(r.text, "storage of vda is full"));
    assert_non_null(strstr(r.text, "`resume t`"));
    assert_string_equal(vm_reason(r.vm), r.text);
    assert_int_equal(fake.retries, 0);
    r.text[0] = '\0';
    fake.env->disk_full(fake.env->opaque, "vdb"); /* a second disk: told, too */
    for (int i = 0; i < 100 && !r.events[VM_EVENT_DEVICE]; i++)
        loop_step(r.loop, 10);
    assert_non_null(strstr(r.text, "storage of vdb is full"));
    assert_int_equal(vm_resume(r.vm, &e), 0);
    fake.env->disk_full(fake.env->opaque, "vda"); /* still full, while the job goes on */
    assert_true(wait_state(&r, VM_PAUSED));
    assert_int_equal(fake.retries, 1);
    assert_int_equal(vm_resume(r.vm, &e), 0);
    assert_true(wait_state(&r, VM_RUNNING));
    assert_string_equal(vm_reason(r.vm), "");
    assert_int_equal(vm_pause(r.vm, &e), 0); /* a person's pause has no reason */
    assert_true(wait_state(&r, VM_PAUSED));
    assert_string_equal(vm_reason(r.vm), "");
    assert_true(fake.devices_paused);
    assert_int_equal(vm_resume(r.vm, &e), 0);
    assert_true(wait_state(&r, VM_RUNNING));
    assert_false(fake.devices_paused);
    rig_down(&r);
}

static int ask(struct vm *vm, int what, struct err *e)
{
    switch (what) {
    case 0:
        return vm_start(vm, e);
    case 1:
        return vm_pause(vm, e);
    case 2:
        return vm_resume(vm, e);
    case 3:
        return vm_stop(vm, e);
    default:
        return vm_reset(vm, e);
    }
}

static void bring_to(struct rig *r, enum vm_state s)
{
    struct err e = {0};

    rig_up(r, s == VM_CRASHED ? TRIPLE_FAULT : RUN_FOREVER, 2);
    if (s == VM_NEW)
        return;
    assert_int_equal(vm_start(r->vm, &e), 0);
    assert_true(wait_state(r, s == VM_CRASHED ? VM_CRASHED : VM_RUNNING));
    if (s == VM_PAUSED)
        assert_int_equal(vm_pause(r->vm, &e), 0);
    if (s == VM_STOPPED)
        assert_int_equal(vm_stop(r->vm, &e), 0);
    assert_true(wait_state(r, s));
    fake.script = RUN_FOREVER;
}

static void every_request_in_every_state_does_what_the_table_says(void **state)
{
    /* rows: request; columns: state it is made in; value: state after, or < 0 the refusal */
    static const int expect[5][VM_STATES] = {
        /*         new         running     paused      stopped     crashed */
        /*start */ {VM_RUNNING, -EALREADY, -EINVAL, VM_RUNNING, VM_RUNNING},
        /*pause */ {-EINVAL, VM_PAUSED, -EALREADY, -EINVAL, -EINVAL},
        /*resume*/ {-EINVAL, -EALREADY, VM_RUNNING, -EINVAL, -EINVAL},
        /*stop  */ {-EINVAL, VM_STOPPED, VM_STOPPED, -EALREADY, VM_STOPPED},
        /*reset */ {-EINVAL, VM_RUNNING, VM_RUNNING, -EINVAL, VM_RUNNING},
    };

    (void)state;
    for (int what = 0; what < 5; what++) {
        for (int s = 0; s < VM_STATES; s++) {
            struct rig r;
            struct err e = {0};
            int rc;

            bring_to(&r, (enum vm_state)s);
            rc = ask(r.vm, what, &e);
            if (expect[what][s] < 0) {
                assert_int_equal(rc, expect[what][s]);
                assert_true(strlen(e.msg) > 5);
                if (rc == -EINVAL) /* and what to do instead */
                    assert_non_null(strstr(e.msg, s == VM_PAUSED ? "`resume`" : "`start`"));
                assert_int_equal(vm_state(r.vm), s);
            } else {
                assert_int_equal(rc, 0);
                assert_true(wait_state(&r, (enum vm_state)expect[what][s]));
            }
            rig_down(&r);
        }
    }
}

static void a_busy_vm_refuses_a_second_request(void **state)
{
    struct rig r;
    struct err e = {0};

    (void)state;
    rig_up(&r, RUN_FOREVER, 1);
    assert_int_equal(vm_start(r.vm, &e), 0);
    assert_int_equal(vm_pause(r.vm, &e), -EBUSY);
    assert_true(wait_state(&r, VM_RUNNING));
    rig_down(&r);
}

static void a_failed_start_leaves_it_new_and_says_why(void **state)
{
    struct rig r;
    struct err e = {0};

    (void)state;
    rig_up(&r, FAIL_NEW, 1);
    assert_int_equal(vm_start(r.vm, &e), 0);
    for (int i = 0; i < 100 && r.events[VM_EVENT_FAILED] == 0; i++)
        loop_step(r.loop, 10);
    assert_int_equal(r.events[VM_EVENT_FAILED], 1);
    assert_string_equal(r.text, "the fake engine was told to fail");
    assert_int_equal(vm_state(r.vm), VM_NEW);
    rig_down(&r);
}

static void a_triple_fault_crashes_and_registers_can_be_read(void **state)
{
    struct rig r;
    struct err e = {0};
    struct x86_regs regs;

    (void)state;
    rig_up(&r, TRIPLE_FAULT, 2);
    assert_int_equal(vm_start(r.vm, &e), 0);
    assert_true(wait_state(&r, VM_CRASHED));
    assert_non_null(strstr(vm_reason(r.vm), "triple fault on vCPU"));
    assert_int_equal(vm_regs(r.vm, 1, &regs, &e), 0);
    assert_int_equal(regs.rip, 0x1001);
    rig_down(&r);
}

static void an_engine_that_fails_crashes_only_its_vm(void **state)
{
    struct rig r;
    struct err e = {0};

    (void)state;
    rig_up(&r, FAIL_RUN, 1);
    assert_int_equal(vm_start(r.vm, &e), 0);
    assert_true(wait_state(&r, VM_CRASHED));
    assert_non_null(strstr(vm_reason(r.vm), "engine failed"));
    rig_down(&r);
}

static void poweroff_by_the_guest_stops_it(void **state)
{
    struct rig r;

    (void)state;
    started(&r, RUN_FOREVER, 2);
    fake.env->power(fake.env->opaque, BOARD_POWEROFF, 0);
    assert_true(wait_state(&r, VM_STOPPED));
    assert_string_equal(vm_reason(r.vm), "powered off by the guest");
    rig_down(&r);
}

static void reboot_by_the_guest_boots_again(void **state)
{
    struct rig r;

    (void)state;
    started(&r, RUN_FOREVER, 2);
    fake.env->power(fake.env->opaque, BOARD_RESET, 0);
    for (int i = 0; i < 200 && fake.boots < 2; i++)
        loop_step(r.loop, 10);
    assert_true(wait_state(&r, VM_RUNNING));
    assert_int_equal(fake.boots, 2);
    assert_int_equal(r.events[VM_EVENT_RESET], 1);
    rig_down(&r);
}

/* What a guest asks for while main does not know yet that it runs again is not lost. */
static void a_guest_may_reboot_as_fast_as_it_likes(void **state)
{
    struct rig r;
    struct err e;

    (void)state;
    rig_up(&r, RESET_AT_ONCE, 1);
    fake.resets_left = RESETS;
    assert_int_equal(vm_start(r.vm, &e), 0);
    assert_true(wait_state(&r, VM_STOPPED));
    assert_int_equal(fake.boots, RESETS + 1);
    assert_int_equal(r.events[VM_EVENT_RESET], RESETS);
    assert_string_equal(vm_reason(r.vm), "powered off by the guest");
    rig_down(&r);
}

static void debug_exit_carries_its_code(void **state)
{
    struct rig r;

    (void)state;
    started(&r, RUN_FOREVER, 1);
    fake.env->power(fake.env->opaque, BOARD_DEBUG_EXIT, 42);
    assert_true(wait_state(&r, VM_STOPPED));
    assert_int_equal(vm_exit_code(r.vm), 42);
    assert_int_equal(r.code, 42);
    rig_down(&r);
}

static void of_two_that_end_the_vm_the_first_one_counts(void **state)
{
    struct rig r;

    (void)state;
    started(&r, RUN_FOREVER, 2);
    fake.env->power(fake.env->opaque, BOARD_DEBUG_EXIT, 42);
    fake.env->power(fake.env->opaque, BOARD_DEBUG_EXIT, 7); /* another vCPU, before main has looked */
    fake.env->power(fake.env->opaque, BOARD_POWEROFF, 0);
    assert_true(wait_state(&r, VM_STOPPED));
    assert_int_equal(vm_exit_code(r.vm), 42);
    assert_string_equal(vm_reason(r.vm), "ended by the guest with exit code 42");
    rig_down(&r);
}

static void guest_time_stands_still_while_paused(void **state)
{
    struct rig r;
    struct err e = {0};
    const struct timespec nap = {.tv_nsec = 100000000};
    uint64_t t0;

    (void)state;
    started(&r, RUN_FOREVER, 1);
    assert_int_equal(vm_pause(r.vm, &e), 0);
    assert_true(wait_state(&r, VM_PAUSED));
    t0 = vm_uptime_ns(r.vm);
    nanosleep(&nap, NULL);
    assert_int_equal(vm_uptime_ns(r.vm), t0);
    assert_int_equal(fake.pauses, 1);
    assert_int_equal(vm_resume(r.vm, &e), 0);
    assert_true(wait_state(&r, VM_RUNNING));
    assert_int_equal(fake.resumes, 1);
    assert_true(vm_uptime_ns(r.vm) - t0 < 90000000);
    rig_down(&r);
}

static void the_ledger_of_a_halted_vcpu_says_halt_and_sums_to_one(void **state)
{
    struct rig r;
    struct vm_stats *s = calloc(1, sizeof *s);
    double sum = 0;
    const struct timespec nap = {.tv_nsec = 200000000};

    (void)state;
    started(&r, HALT_AT_ONCE, 1);
    do /* on a busy host the thread may not have come so far yet */
        vm_stats(r.vm, s, 0);
    while (s->vcpu[0].exits[EXIT_HLT] == 0);
    nanosleep(&nap, NULL);
    vm_sample(r.vm);
    vm_stats(r.vm, s, UINT64_MAX);
    for (int i = 0; i < LEDGER_STATES; i++)
        sum += s->vcpu[0].ledger[i];
    assert_true(sum > 0.999 && sum < 1.001);
    assert_true(s->vcpu[0].ledger[LEDGER_HALT] > 0.98);
    assert_int_equal(s->vcpu[0].exits[EXIT_HLT], 1);
    free(s);
    rig_down(&r);
}

static void exits_are_counted_and_registers_named(void **state)
{
    struct rig r;
    struct vm_stats *s = calloc(1, sizeof *s);
    struct vm_hit hit[4];

    (void)state;
    fake.storm_left = 1000;
    started(&r, STORM, 1);
    for (int i = 0; i < 200 && fake.storm_left > 0; i++)
        loop_step(r.loop, 10);
    vm_stats(r.vm, s, 0);
    assert_int_equal(s->vcpu[0].exits[EXIT_IO], 1000);
    assert_true(s->vcpu[0].exit_p99_ns[EXIT_IO] > 0);
    assert_int_equal(vm_hits(r.vm, hit, 4), 1);
    assert_string_equal(hit[0].device, "debug");
    assert_int_equal(hit[0].addr, 0xe9);
    assert_int_equal(hit[0].count, 1000);
    assert_int_equal(console_end(vm_console(r.vm, CONSOLE_DEBUG)), 1000);
    assert_true(r.events[VM_EVENT_CONSOLE] <= 1); /* coalesced until re-armed */
    free(s);
    rig_down(&r);
}

static void typed_bytes_wait_for_a_slow_guest(void **state)
{
    struct rig r;
    char big[2048] = {0};

    (void)state;
    started(&r, RUN_FOREVER, 1);
    assert_int_equal(vm_console_send(r.vm, CONSOLE_SERIAL0, big, sizeof big), sizeof big);
    for (int i = 0; i < 40; i++)
        vm_console_send(r.vm, CONSOLE_SERIAL0, big, sizeof big);
    /* the queue is bounded: at last it takes no more */
    assert_int_equal(vm_console_send(r.vm, CONSOLE_SERIAL0, big, sizeof big) < sizeof big, 1);
    rig_down(&r);
}

static void three_hundred_pauses_lose_no_kick(void **state)
{
    struct rig r;
    struct err e = {0};

    (void)state;
    started(&r, RUN_FOREVER, 3);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(vm_pause(r.vm, &e), 0);
        assert_true(wait_state(&r, VM_PAUSED));
        assert_int_equal(vm_resume(r.vm, &e), 0);
        assert_true(wait_state(&r, VM_RUNNING));
    }
    rig_down(&r);
}

static void histogram_percentiles_bound_what_was_counted(void **state)
{
    static struct latency l;
    struct latency_figures f;

    (void)state;
    for (int i = 1; i <= 100; i++)
        latency_add(&l, (uint64_t)i * 1000);
    f = latency_read(&l);
    assert_in_range(f.p50_ns, 50000, 62500);
    assert_in_range(f.p99_ns, 99000, 125000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vm_whose_disk_has_no_room_is_paused_and_tried_again_by_resume),
        cmocka_unit_test(every_request_in_every_state_does_what_the_table_says),
        cmocka_unit_test(a_busy_vm_refuses_a_second_request),
        cmocka_unit_test(a_failed_start_leaves_it_new_and_says_why),
        cmocka_unit_test(a_triple_fault_crashes_and_registers_can_be_read),
        cmocka_unit_test(an_engine_that_fails_crashes_only_its_vm),
        cmocka_unit_test(poweroff_by_the_guest_stops_it),
        cmocka_unit_test(reboot_by_the_guest_boots_again),
        cmocka_unit_test(a_guest_may_reboot_as_fast_as_it_likes),
        cmocka_unit_test(debug_exit_carries_its_code),
        cmocka_unit_test(of_two_that_end_the_vm_the_first_one_counts),
        cmocka_unit_test(guest_time_stands_still_while_paused),
        cmocka_unit_test(the_ledger_of_a_halted_vcpu_says_halt_and_sums_to_one),
        cmocka_unit_test(exits_are_counted_and_registers_named),
        cmocka_unit_test(typed_bytes_wait_for_a_slow_guest),
        cmocka_unit_test(three_hundred_pauses_lose_no_kick),
        cmocka_unit_test(histogram_percentiles_bound_what_was_counted),
    };

    return cmocka_run_group_tests_name("vm", tests, NULL, NULL);
}
