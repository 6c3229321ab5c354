/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The full-screen console on a lab of fake guests whose figures are functions of a count of
 * samples, with a clock that stands still: what it draws is the same each time. The console is
 * the real one; what it asks of guests, host and clock is answered here (linked with --wrap).
 * tests/tui/golden drives it and compares screens.
 */
#include "session_rig.h"

#include "fake_vm.c"
#include "ui/host.h"
#include "ui/screen.h"
#include "ui/term.h"
#include "ui/ui_internal.h"

#include <locale.h>
#include <math.h>

enum { SAMPLES = 200, CPUS = 8, GUESTS = 8 };

static const char lab[] =
    "name: atlas\n"
    "networks: {lan: {}}\n"
    "guests:\n"
    "  web:   {image: hello, memory: 256M, share: 200, group: front, nets: [lan]}\n"
    "  db:    {image: hello, memory: 1G, vcpus: 2, group: back, cap: 150, nets: [lan]}\n"
    "  batch: {image: spin, memory: 512M, vcpus: 4, share: 50}\n"
    "  hello: {image: hello, memory: 16M}\n"
    "  mail:  {image: hello, memory: 128M, group: front}\n"
    "  build: {image: spin, memory: 2G, vcpus: 2}\n"
    "  old:   {image: hello, memory: 64M}\n"
    "  spare: {image: hello, memory: 64M, autostart: false}\n";

static unsigned sample; /* of the lab's life, one a second; the clock of all that is asked here */

/* The clocks: of the host only for who waits, else the sample's second. 2026-03-01 12:00 UTC. */
int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
time_t __wrap_time(time_t *t);

time_t __wrap_time(time_t *t)
{
    time_t now = 1772366400 + sample;

    if (t)
        *t = now;
    return now;
}

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
    if (id != CLOCK_REALTIME && id != CLOCK_MONOTONIC)
        return __real_clock_gettime(id, ts);
    *ts = (struct timespec){.tv_sec = id == CLOCK_REALTIME ? __wrap_time(NULL) : 1000 + (time_t)sample};
    return 0;
}

/* The host: eight CPUs, 16 GiB. */
void __wrap_host_sample(struct host *h);
void __wrap_lab_host_measure(struct lab_host *h);

void __wrap_lab_host_measure(struct lab_host *h)
{
    *h = (struct lab_host){.memory_total_bytes = 16ull << 30, .memory_available_bytes = 11ull << 30, .cpus = CPUS};
}

/* Ticks since boot: CPU i is busy a part of each second that goes up and down. */
void __wrap_host_sample(struct host *h)
{
    unsigned busy[CPUS], sum = 0;
    struct text t = {0};

    for (unsigned i = 0; i < CPUS; i++) {
        busy[i] = 0;
        for (unsigned s = 0; s <= sample; s++)
            busy[i] += 55 + (s * (i + 3) + 7 * i) % 40;
        sum += busy[i];
    }
    text_printf(&t, "cpu  %u 0 0 %u 0 0 0 0\n", sum, CPUS * 100 * (sample + 1) - sum);
    for (unsigned i = 0; i < CPUS; i++)
        text_printf(&t, "cpu%u %u 0 0 %u 0 0 0 0\n", i, busy[i], 100 * (sample + 1) - busy[i]);
    host_parse(h, text_str(&t));
    text_free(&t);
}

/* The guests. */
void __wrap_vm_stats(struct vm *vm, struct vm_stats *out, uint64_t max_age_ns);
uint64_t __wrap_vm_uptime_ns(const struct vm *vm);
void __wrap_session_sched(struct session *s, struct guest *g, const struct vm_stats *st, struct sched_info *out);

static double wave(unsigned period, double low, double high)
{
    unsigned at = sample % period, half = period / 2;

    return low + (high - low) * (at < half ? at : period - at) / half;
}

/* CPUs used by the guest of this place in the lab; a share was changed at sample 140. */
static double used(unsigned place)
{
    bool later = sample >= 140;

    switch (place) {
    case 0:
        return later ? 0.90 : 0.60;
    case 1:
        return wave(40, 0.5, 1.3);
    case 2:
        return later ? 0.7 : 1.1;
    case 3:
        return 0.004;
    case 4:
        return sample % 30 < 6 ? 0.35 : 0.02;
    default:
        return 0;
    }
}

static unsigned place_of(const struct vm *vm)
{
    static const char *const names[GUESTS] = {"web", "db", "batch", "hello", "mail", "build", "old", "spare"};
    unsigned i = 0;

    while (i < GUESTS - 1 && strcmp(names[i], vm->config->name) != 0)
        i++;
    return i;
}

static void vcpu_figures(struct vcpu_stats *v, double used_part, unsigned i)
{
    v->ready_known = true;
    v->ledger[LEDGER_RUN] = used_part * 0.9;
    v->ledger[LEDGER_VMM] = used_part * 0.1;
    v->ledger[LEDGER_READY] = (1 - used_part) * 0.1 * (i + 1);
    v->ledger[LEDGER_HALT] = 1 - used_part - v->ledger[LEDGER_READY];
    for (int s = 0; s < LEDGER_STATES; s++)
        v->ledger_ns[s] = (uint64_t)(v->ledger[s] * 200e9);
    for (int r = EXIT_IO; r <= EXIT_MSR; r++) {
        v->exit_rate[r] = used_part * 4000 / (r + 1);
        v->exits[r] = (uint64_t)(v->exit_rate[r] * 200);
        v->exit_ns[r] = v->exits[r] * (unsigned)(1500 + 700 * r);
        v->exit_p99_ns[r] = (unsigned)(4000 + 1000 * r);
    }
    v->mips = used_part * 400;
}

void __wrap_vm_stats(struct vm *vm, struct vm_stats *out, uint64_t max_age_ns)
{
    unsigned place = place_of(vm);
    bool up = vm->state == VM_RUNNING;

    (void)max_age_ns;
    *out = (struct vm_stats){.sampled_ns = clock_mono_ns(), .interval_s = 1, .vcpus = vm->config->vcpus,
                             .memory_shared_bytes = UINT64_MAX};
    out->cpu = up ? used(place) : 0;
    for (unsigned i = 0; i < out->vcpus; i++) {
        vcpu_figures(&out->vcpu[i], fmin(out->cpu / out->vcpus, 1), i);
        for (int r = 0; r < EXIT_REASONS; r++)
            out->exit_rate += out->vcpu[i].exit_rate[r];
        out->mips += out->vcpu[i].mips;
    }
    out->exits = (uint64_t)(out->exit_rate * 200);
    out->memory_resident_bytes = vm->config->memory_bytes / 10 * (2 + place % 4) + (place == 1 ? (uint64_t)sample << 20 : 0);
    out->balloon = place < 2;
    out->balloon_stats = (struct balloon_stats){.free_bytes = 90 << 20, .available_bytes = 120 << 20, .total_bytes = 240 << 20,
                                                .disk_caches_bytes = 30 << 20, .actual_bytes = 16 << 20, .driver_ok = true};
    if (place == 1) {
        out->ndisks = 1;
        out->disks[0] = (struct disk_stats){.name = "vda", .rd_bytes = sample * 1500000ull, .wr_bytes = sample * 400000ull,
                                            .rd_reqs = sample * 120ull, .wr_reqs = sample * 30ull, .flush_reqs = sample,
                                            .capacity_bytes = 8ull << 30, .iops = 500, .held_ns = sample * 40000000ull};
        out->disks[0].latency[DISK_READ] = (struct latency_figures){.count = 100, .mean_ns = 120000, .p50_ns = 100000, .p99_ns = 900000};
        out->disks[0].latency[DISK_WRITE] = (struct latency_figures){.count = 100, .mean_ns = 340000, .p50_ns = 300000, .p99_ns = 2000000};
    }
    if (place < 2) {
        out->nnets = 1;
        out->nets[0] = (struct net_stats){.name = "eth0", .network = "lan", .mac = {0x52, 0x54, 0, 1, 2, (uint8_t)place}, .up = true,
                                          .rx_bytes = sample * 25000ull, .tx_bytes = sample * 310000ull,
                                          .rx_pkts = sample * 200ull, .tx_pkts = sample * 260ull, .rx_drops = sample / 50};
    }
}

uint64_t __wrap_vm_uptime_ns(const struct vm *vm)
{
    return vm->state == VM_RUNNING || vm->state == VM_PAUSED ? sample * NS_PER_S : 0;
}

void __wrap_session_sched(struct session *s, struct guest *g, const struct vm_stats *st, struct sched_info *out)
{
    unsigned place = place_of(g->vm);

    (void)s;
    *out = (struct sched_info){.share = g->c->share, .cap_pct = g->c->cap_pct, .got = st->cpu, .mechanism = "slots",
                               .entitlement = place < 3 ? fmin(st->cpu * 1.05 + 0.02, g->c->vcpus) : st->cpu,
                               .used_seconds = st->cpu * sample};
    out->reason = vm_state(g->vm) == VM_PAUSED ? REASON_PAUSED : place == 0 || place == 2 ? REASON_SHARE
                : place == 1 && st->cpu > 1.25 ? REASON_CAP : REASON_IDLE;
}

static void run_quietly(struct rig *r, const char *line)
{
    if (rig_do(r, line) != 0)
        fail_msg("%s: %s", line, text_str(&r->error));
}

/* What the guests have on their terminals: a shell in colours, an editor and a monitor that have
 * the whole screen, a prompt with wide and line-drawing characters. */
static void say(struct rig *r)
{
    struct vm *db = rig_vm(r, "db"), *batch = rig_vm(r, "batch");
    char line[200];

    fake_vm_say(rig_vm(r, "web"), "Debian GNU/Linux 12 web ttyS0\r\n\r\nweb login: root\r\nLast login: Sun Mar  1 11:58:02 on ttyS0\r\n"
                "\033[01;32mroot@web\033[00m:\033[01;34m~\033[00m# ls --color\r\n"
                "\033[01;34mbin\033[0m  \033[01;36mlib\033[0m  \033[40;33;01mtty0\033[0m  \033[30;42mtmp\033[0m  \033[01;31mlog.gz\033[0m  \033[01;32mrun.sh\033[0m\r\n"
                "\033[01;32mroot@web\033[00m:\033[01;34m~\033[00m# ");
    fake_vm_say(db, "db:/# vi notes\r\n\033[?1049h\033[1;24r\033[H\033[2J# what is to be done\r\n\033[33mTODO\033[m measure, then change\r\n");
    for (int y = 4; y <= 23; y++) {
        snprintf(line, sizeof line, "\033[%d;1H\033[1;34m~\033[m", y);
        fake_vm_say(db, line);
    }
    fake_vm_say(db, "\033[24;1H\033[7mnotes 2/3 66%\033[m\033[2;6H");
    fake_vm_say(batch, "\033[H\033[2JMem: 40512K used, 206452K free\r\nCPU:  97% usr   2% sys   1% idle\r\n\033[7m  PID USER     STAT %CPU COMMAND                                             \033[m\r\n");
    for (int i = 0; i < 12; i++) {
        snprintf(line, sizeof line, "  %3d root     %c    %3d  \033[%dmworker/%d\033[m\r\n", 100 + 7 * i, "RSD"[i % 3], 60 / (i + 1), 31 + i % 6, i);
        fake_vm_say(batch, line);
    }
    fake_vm_say(rig_vm(r, "hello"), "hello: ready\r\nhello> 日本 \033(0lqqk\033(B \033[4mé\033[m\r\nhello> ");
}

int main(int argc, char **argv)
{
    struct ui_params p = {0};
    struct rig *r;
    struct ui *u;
    struct err e;

    for (int i = 1; i < argc; i++) {
        p.ascii |= strcmp(argv[i], "--ascii") == 0;
        p.readonly |= strcmp(argv[i], "--readonly") == 0;
    }
    setlocale(LC_ALL, "");
    r = rig_new(lab);
    if (!term_init() || !screen_possible()) {
        fprintf(stderr, "this terminal cannot show it\n");
        return 1;
    }
    run_quietly(r, "start all");
    run_quietly(r, "stop spare");
    run_quietly(r, "set interval 60"); /* the console's own samples come too late for the test */
    u = ui_new(r->s, &p, &e);
    if (!u) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    run_quietly(r, "set interval 1");
    for (sample = 1; sample < SAMPLES; sample++)
        model_sample(&u->model, true);
    sample = SAMPLES - 30;
    ui_run_line(u, "pause build");
    rig_idle(r);
    sample = SAMPLES - 12;
    fake_vm_crash(rig_vm(r, "old"), "triple fault at 0x1000f2");
    rig_idle(r);
    sample = SAMPLES;
    model_sample(&u->model, true);
    say(r);
    ui_redraw(u);
    for (int turns = 0; !session_quitting(r->s) && turns < 100000; turns++)
        loop_step(session_loop(r->s), 1000);
    ui_free(u);
    rig_free(r);
    return 0;
}
