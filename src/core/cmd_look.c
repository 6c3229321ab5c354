/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd_look: list, info, events.
 */
#include "core/cmd_internal.h"

#include "core/cast.h"
#include "core/columns.h"
#include "core/conlog.h"
#include "core/netswitch.h"
#include "core/sandbox.h"
#include "core/units.h"

#include <math.h>
#include <string.h>

/* The guests that a command is about: those named, or all. */
static struct guest *next_guest(struct cmd_run *r, struct guest *g, unsigned *i)
{
    if (r->targets.n)
        return *i < r->targets.n ? r->targets.t[(*i)++].g : NULL;
    return g ? g->next : (*i)++ ? NULL : session_guests(r->session);
}

static const char *state_word(const struct guest *g)
{
    if (g->starting)
        return "starting";
    if (g->want_start)
        return "waiting";
    return vm_state_name(vm_state(g->vm));
}

static void guest_json(struct json_out *j, const struct guest *g)
{
    jout_u64(j, "id", g->id);
    jout_str(j, "name", g->c->name);
    jout_str(j, "state", state_word(g));
    jout_str(j, "reason", vm_reason(g->vm));
    jout_str(j, "group", g->c->group[0] ? g->c->group : NULL);
    jout_str(j, "image", g->c->image);
    jout_u64(j, "vcpus", g->c->vcpus);
    jout_u64(j, "memory", g->c->memory_bytes);
    jout_u64(j, "share", g->c->share);
    jout_u64(j, "cap", g->c->cap_pct);
    jout_str(j, "pin", g->c->pin);
    if (vm_exit_code(g->vm) >= 0)
        jout_u64(j, "exit_code", (uint64_t)vm_exit_code(g->vm));
    else
        jout_null(j, "exit_code");
    if (guest_is_up(g))
        jout_num(j, "uptime", (double)vm_uptime_ns(g->vm) / 1e9, 3);
    else
        jout_null(j, "uptime");
}

/* The guests, each with what `more` (may be NULL) adds. */
static void guests_json(struct cmd_run *r, void (*more)(struct json_out *j, struct cmd_run *r, struct guest *g))
{
    struct json_out j = cmd_json(r);
    struct guest *g = NULL;
    unsigned i = 0;

    jout_begin(&j, NULL, '{');
    jout_begin(&j, "vms", '[');
    while ((g = next_guest(r, g, &i))) {
        jout_begin(&j, NULL, '{');
        guest_json(&j, g);
        if (more)
            more(&j, r, g);
        jout_end(&j, '}');
    }
    jout_end(&j, ']');
    jout_end(&j, '}');
}

static void list_row(struct columns *c, const struct guest *g)
{
    char size[UNITS_TEXT], age[UNITS_TEXT], show[64];
    const char *image = strrchr(g->c->image ? g->c->image : "", '/');

    columns_cell(c, "%u", g->id);
    columns_cell(c, "%s", g->c->name);
    columns_cell(c, "%s", state_word(g));
    columns_cell(c, "%u", g->c->vcpus);
    columns_cell(c, "%s", units_fmt_size(size, g->c->memory_bytes));
    columns_cell(c, "%u", g->c->share);
    if (g->c->cap_pct)
        columns_cell(c, "%u%%", g->c->cap_pct);
    else
        columns_cell(c, "-");
    columns_cell(c, "%s", guest_is_up(g) ? units_fmt_age(age, vm_uptime_ns(g->vm)) : "-");
    columns_cell(c, "%s", text_show(show, sizeof show, image ? image + 1 : g->c->image ? g->c->image : "-"));
    columns_cell(c, "%s", vm_reason(g->vm));
}

void exec_list(struct cmd_run *r)
{
    struct guest *g = NULL;
    struct columns c;
    unsigned i = 0;

    if (r->json) {
        guests_json(r, NULL);
        cmd_done(r, CMD_DONE);
        return;
    }
    columns_init(&c, ">ID|<NAME|<STATE|>VCPUS|>MEMORY|>SHARE|>CAP|>UPTIME|<IMAGE|<");
    while ((g = next_guest(r, g, &i)))
        list_row(&c, g);
    columns_print(&c, &r->out);
    columns_fini(&c);
    cmd_done(r, CMD_DONE);
}

/* info */

static void info_disks(struct cmd_run *r, const struct guest *g)
{
    static const char *const modes[] = {[DISK_RAW] = "", [DISK_READONLY] = " (read-only)", [DISK_OVERLAY] = ""};
    char show[200];

    for (unsigned i = 0; i < g->c->ndisks; i++) {
        const struct disk_config *d = &g->c->disks[i];

        cmd_printf(r, "disk %-10s %s%s", d->name, text_show(show, sizeof show, d->path), modes[d->mode]);
        if (d->mode == DISK_OVERLAY)
            cmd_printf(r, " with overlay %s", d->overlay_path ? text_show(show, sizeof show, d->overlay_path)
                                                              : "gone with the guest");
        cmd_printf(r, "\n");
    }
}

static void info_links(struct cmd_run *r, const struct guest *g)
{
    char text[UNITS_TEXT];

    for (unsigned i = 0; i < g->c->nnics; i++) {
        struct net_stats n;

        if (!vm_link(g->vm, i))
            continue;
        netport_stats(vm_link(g->vm, i), &n);
        cmd_printf(r, "%-15s %s, %s, %s", n.name, n.network, units_fmt_mac(text, n.mac), n.up ? "up" : "down");
        if (n.ip)
            cmd_printf(r, ", %s by DHCP", units_fmt_ip(text, n.ip));
        cmd_printf(r, "\n");
    }
}

static void info_threads(struct cmd_run *r, struct guest *g)
{
    int tid[VM_THREADS_MAX];
    unsigned n = vm_threads(g->vm, tid, VM_THREADS_MAX);

    if (!n)
        return;
    cmd_printf(r, "threads         ");
    for (unsigned i = 0; i < n; i++)
        cmd_printf(r, "%s%d", i ? " " : "", tid[i]);
    cmd_printf(r, "\n");
}

/* What all guests may take of what the host has. */
static void info_host_memory(struct cmd_run *r)
{
    char a[UNITS_TEXT], b[UNITS_TEXT], c[UNITS_TEXT];
    struct session_memory m;

    session_memory(r->session, &m);
    if (isnan(m.overcommit))
        return;
    cmd_printf(r, "host memory     guests may have %s and hold %s, %s more is available: %.0f%% asked for%s\n",
               units_fmt_size(a, m.target), units_fmt_size(b, m.resident), units_fmt_size(c, m.available),
               m.overcommit * 100, m.overcommit > 1 ? ", more than there is" : "");
}

static void info_one(struct cmd_run *r, struct guest *g)
{
    char size[UNITS_TEXT], age[UNITS_TEXT], show[400];
    const struct vm_config *c = g->c;

    cmd_printf(r, "name            %s\n", c->name);
    cmd_printf(r, "state           %s%s%s\n", state_word(g), vm_reason(g->vm)[0] ? ": " : "", vm_reason(g->vm));
    if (guest_is_up(g))
        cmd_printf(r, "uptime          %s\n", units_fmt_age(age, vm_uptime_ns(g->vm)));
    cmd_printf(r, "engine          %s%s\n", vm_accel(g->vm)->name,
               c->irqchip_user ? ", interrupt controllers in this process" : "");
    if (c->group[0])
        cmd_printf(r, "group           %s\n", c->group);
    cmd_printf(r, "kernel          %s\n", text_show(show, sizeof show, c->kernel ? c->kernel : "-"));
    if (c->initrd)
        cmd_printf(r, "initrd          %s\n", text_show(show, sizeof show, c->initrd));
    cmd_printf(r, "append          %s\n", text_show(show, sizeof show, c->append ? c->append : ""));
    if (vm_boot_note(g->vm)[0])
        cmd_printf(r, "boot            %s\n", vm_boot_note(g->vm));
    cmd_printf(r, "memory          %s\n", units_fmt_size(size, c->memory_bytes));
    if (g->mem_target)
        cmd_printf(r, "memory target   %s\n", units_fmt_size(size, g->mem_target));
    if (c->mergeable)
        cmd_printf(r, "mergeable       yes\n");
    info_host_memory(r);
    cmd_printf(r, "vcpus           %u\n", c->vcpus);
    cmd_printf(r, "share           %u\n", c->share);
    cmd_printf(r, "divided by      %s\n", session_sched_mechanism(r->session));
    if (c->cap_pct)
        cmd_printf(r, "cap             %u%%\n", c->cap_pct);
    if (c->pin)
        cmd_printf(r, "pin             %s\n", c->pin);
    for (unsigned i = 0; i < c->vcpus; i++)
        if (g->vcpu_pin[i])
            cmd_printf(r, "pin of vcpu %-3u %s\n", i, g->vcpu_pin[i]);
    for (unsigned i = 0; i < c->ndepends; i++)
        cmd_printf(r, "depends         %s\n", c->depends[i]);
    info_disks(r, g);
    info_links(r, g);
    if (g->log)
        cmd_printf(r, "log             %s\n", text_show(show, sizeof show, conlog_path(g->log)));
    if (g->cast)
        cmd_printf(r, "recording       %s\n", text_show(show, sizeof show, cast_path(g->cast)));
    if (vm_exit_code(g->vm) >= 0)
        cmd_printf(r, "exit code       %d\n", vm_exit_code(g->vm));
    info_threads(r, g);
    sandbox_describe(show, sizeof show);
    cmd_printf(r, "sandbox         %s\n", show);
}

static void disks_json(struct json_out *j, const struct guest *g)
{
    static const char *const modes[] = {[DISK_RAW] = "writable", [DISK_READONLY] = "readonly", [DISK_OVERLAY] = "overlay"};

    jout_begin(j, "disks", '[');
    for (unsigned i = 0; i < g->c->ndisks; i++) {
        const struct disk_config *d = &g->c->disks[i];

        jout_begin(j, NULL, '{');
        jout_str(j, "name", d->name);
        jout_str(j, "path", d->path);
        jout_str(j, "mode", modes[d->mode]);
        jout_str(j, "overlay", d->overlay_path);
        jout_end(j, '}');
    }
    jout_end(j, ']');
}

static void links_json(struct json_out *j, const struct guest *g)
{
    char text[UNITS_TEXT];

    jout_begin(j, "nets", '[');
    for (unsigned i = 0; i < g->c->nnics; i++) {
        struct net_stats n;

        if (!vm_link(g->vm, i))
            continue;
        netport_stats(vm_link(g->vm, i), &n);
        jout_begin(j, NULL, '{');
        jout_str(j, "name", n.name);
        jout_str(j, "network", n.network);
        jout_str(j, "mac", units_fmt_mac(text, n.mac));
        jout_str(j, "ip", n.ip ? units_fmt_ip(text, n.ip) : NULL);
        jout_bool(j, "up", n.up);
        jout_end(j, '}');
    }
    jout_end(j, ']');
}

static void info_json(struct json_out *j, struct cmd_run *r, struct guest *g)
{
    int tid[VM_THREADS_MAX];
    unsigned n = vm_threads(g->vm, tid, VM_THREADS_MAX);
    const struct vm_config *c = g->c;

    jout_str(j, "engine", vm_accel(g->vm)->name);
    jout_str(j, "irqchip", c->irqchip_user ? "user" : "kernel");
    jout_str(j, "kernel", c->kernel);
    jout_str(j, "initrd", c->initrd);
    jout_str(j, "append", c->append);
    jout_str(j, "boot", vm_boot_note(g->vm)[0] ? vm_boot_note(g->vm) : NULL);
    jout_bool(j, "mergeable", c->mergeable);
    jout_str(j, "mechanism", session_sched_mechanism(r->session));
    jout_begin(j, "depends", '[');
    for (unsigned i = 0; i < c->ndepends; i++)
        jout_str(j, NULL, c->depends[i]);
    jout_end(j, ']');
    disks_json(j, g);
    links_json(j, g);
    jout_str(j, "log", g->log ? conlog_path(g->log) : NULL);
    jout_str(j, "recording", g->cast ? cast_path(g->cast) : NULL);
    jout_begin(j, "threads", '[');
    for (unsigned i = 0; i < n; i++)
        jout_u64(j, NULL, (uint64_t)tid[i]);
    jout_end(j, ']');
}

void exec_info(struct cmd_run *r)
{
    if (r->json) {
        guests_json(r, info_json);
        cmd_done(r, CMD_DONE);
        return;
    }
    for (unsigned i = 0; i < r->targets.n; i++) {
        if (i)
            cmd_printf(r, "\n");
        info_one(r, r->targets.t[i].g);
    }
    cmd_done(r, CMD_DONE);
}

/* events */

struct follow {
    uint64_t seq; /* the last one shown */
};

static bool wanted(const struct cmd_run *r, const struct event *ev)
{
    for (unsigned i = 0; i < r->targets.n; i++)
        if (strcmp(r->targets.t[i].g->c->name, ev->guest) == 0)
            return true;
    return r->targets.n == 0;
}

static void print_event(struct cmd_run *r, const struct event *ev, struct json_out *j)
{
    char when[16], show[ERR_TEXT];

    if (!j) {
        cmd_printf(r, "%s %s%s%s\n", event_time(ev, when), ev->guest, ev->guest[0] ? " " : "",
                   text_show(show, sizeof show, ev->text));
        return;
    }
    jout_begin(j, NULL, '{');
    jout_u64(j, "seq", ev->seq);
    jout_num(j, "time", (double)ev->real_ns / 1e9, 3);
    jout_str(j, "kind", event_kind_name(ev->kind));
    jout_str(j, "vm", ev->guest[0] ? ev->guest : NULL);
    jout_str(j, "text", ev->text);
    jout_end(j, '}');
}

static void poll_follow(struct cmd_run *r)
{
    struct follow *f = r->state;
    const struct event *ev;
    uint64_t last = events_last(session_events(r->session));

    if (last - f->seq > EVENTS_KEPT)
        f->seq = last - EVENTS_KEPT;
    while (f->seq < last && (!r->client.room || r->client.room(r->client.opaque) > 4096)) {
        ev = events_get(session_events(r->session), ++f->seq);
        if (!ev || !wanted(r, ev))
            continue;
        if (r->json) {
            struct json_out j = cmd_json(r);

            print_event(r, ev, &j);
            text_putc(&r->out, '\n');
        } else {
            print_event(r, ev, NULL);
        }
        cmd_flush(r);
    }
    if (r->cancelled)
        cmd_done(r, CMD_DONE);
}

static uint64_t first_event(const struct cmd_run *r, const struct events *all, uint64_t lines)
{
    uint64_t seq = events_last(all);
    const struct event *ev;

    for (; lines && (ev = events_get(all, seq)); seq--)
        lines -= wanted(r, ev);
    return seq + 1;
}

void exec_events(struct cmd_run *r)
{
    const struct events *all = session_events(r->session);
    struct json_out j = {0};
    uint64_t lines = 20, seq;
    struct follow *f;
    struct err e;

    if (r->p.opt[0] && units_uint(r->p.opt[0], "--lines", 0, EVENTS_KEPT, &lines, &e) < 0) {
        cmd_fail(r, "%s", e.msg);
        return;
    }
    seq = first_event(r, all, lines);
    if (r->p.opt[1]) {
        f = cmd_state(r, sizeof *f, NULL);
        if (!f)
            return;
        f->seq = seq - 1;
        cmd_wait(r, poll_follow, 0);
        return;
    }
    if (r->json) {
        j = cmd_json(r);
        jout_begin(&j, NULL, '{');
        jout_begin(&j, "events", '[');
    }
    for (const struct event *ev; (ev = events_get(all, seq)); seq++)
        if (wanted(r, ev))
            print_event(r, ev, r->json ? &j : NULL);
    if (r->json) {
        jout_end(&j, ']');
        jout_end(&j, '}');
    }
    cmd_done(r, CMD_DONE);
}
