/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd_resource: share, cap, pin, mem, set: what guests and the session get, changed while they
 * run. Each change leaves the command that takes it back.
 */
#include "core/cmd_internal.h"

#include "core/columns.h"
#include "core/suggest.h"
#include "core/units.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void bad(struct cmd_run *r, const struct err *e)
{
    cmd_fail(r, "%s", e->msg);
}

/* "web, db" */
static const char *names(const struct cmd_run *r, char *out, size_t size)
{
    size_t n = 0;

    out[0] = '\0';
    for (unsigned i = 0; i < r->targets.n && n < size - 1; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s", i ? ", " : "", r->targets.t[i].g->c->name);
    return out;
}

/* `share VM`, `cap VM`, `pin VM`, `mem VM` without a value: what they have. */
static bool shows(struct cmd_run *r)
{
    char a[UNITS_TEXT], b[UNITS_TEXT];
    struct columns c;

    if (r->p.arg[1])
        return false;
    columns_init(&c, "<NAME|>SHARE|>CAP|>MEMORY|>KEEP|<PIN");
    for (unsigned i = 0; i < r->targets.n; i++) {
        const struct target *t = &r->targets.t[i];
        const struct vm_config *g = t->g->c;
        const char *pin = t->vcpu >= 0 && t->g->vcpu_pin[t->vcpu] ? t->g->vcpu_pin[t->vcpu] : g->pin;

        columns_cell(&c, t->vcpu < 0 ? "%s" : "%s.%d", g->name, t->vcpu);
        columns_cell(&c, "%u", g->share);
        columns_cell(&c, g->cap_pct ? "%u%%" : "none", g->cap_pct);
        columns_cell(&c, "%s", units_fmt_size(a, g->memory_bytes));
        columns_cell(&c, "%s", t->g->mem_target ? units_fmt_size(b, t->g->mem_target) : "all");
        columns_cell(&c, "%s", pin ? pin : "all");
    }
    columns_print(&c, &r->out);
    columns_fini(&c);
    cmd_done(r, CMD_DONE);
    return true;
}

void exec_share(struct cmd_run *r)
{
    uint64_t share;
    char who[120];
    struct err e;

    if (shows(r))
        return;
    if (units_uint(r->p.arg[1], "a share", 1, VM_SHARE_MAX, &share, &e) < 0) {
        bad(r, &e);
        return;
    }
    undo_begin(cmd_undo(r), r->line);
    for (unsigned i = 0; i < r->targets.n; i++) {
        struct guest *g = r->targets.t[i].g;

        undo_step(cmd_undo(r), "share %s %u", g->c->name, g->c->share);
        g->c->share = (unsigned)share;
        session_sched_changed(g);
        session_event(r->session, EV_CONFIG, g, "has share %u", g->c->share);
    }
    cmd_note(r, "share of %s is %u", names(r, who, sizeof who), (unsigned)share);
    cmd_done(r, CMD_DONE);
}

void exec_cap(struct cmd_run *r)
{
    unsigned cap = 0;
    unsigned most = 0;
    char who[120];
    struct err e;

    if (shows(r))
        return;
    if (strcmp(r->p.arg[1], "none") != 0 && units_percent(r->p.arg[1], &cap, &e) < 0) {
        bad(r, &e);
        return;
    }
    undo_begin(cmd_undo(r), r->line);
    for (unsigned i = 0; i < r->targets.n; i++) {
        struct guest *g = r->targets.t[i].g;

        undo_step(cmd_undo(r), "cap %s %u", g->c->name, g->c->cap_pct);
        g->c->cap_pct = cap;
        most = g->c->vcpus > most ? g->c->vcpus : most;
        session_sched_changed(g);
        session_event(r->session, EV_CONFIG, g, cap ? "has cap %u%%" : "has no cap", cap);
    }
    cmd_note(r, !cap ? "%s: no cap" : cap < 100 * most ? "cap of %s is %u%%" : "cap of %s is %u%%: with %u vCPU%s it limits little",
             names(r, who, sizeof who), cap, most, most == 1 ? "" : "s");
    cmd_done(r, CMD_DONE);
}

/* Gives one target a list (NULL: none) and puts the old one back if the host refuses. */
static int pin_one(struct cmd_run *r, const struct target *t, const char *list, struct err *e)
{
    char **slot = t->vcpu < 0 ? &t->g->c->pin : &t->g->vcpu_pin[t->vcpu], *old = *slot;
    char name[VM_NAME_MAX + 16], which[24] = "";

    *slot = list ? strdup(list) : NULL;
    if (list && !*slot) {
        *slot = old;
        return err_set(e, ENOMEM, "out of memory");
    }
    if (session_apply_pins(r->session, t->g, e) < 0) {
        free(*slot);
        *slot = old;
        session_apply_pins(r->session, t->g, NULL);
        return -EINVAL;
    }
    snprintf(name, sizeof name, "%s", t->g->c->name);
    if (t->vcpu >= 0) {
        snprintf(name, sizeof name, "%s.%d", t->g->c->name, t->vcpu);
        snprintf(which, sizeof which, "vCPU %d ", t->vcpu);
    }
    undo_step(cmd_undo(r), "pin %s %s", name, old ? old : "all");
    session_event(r->session, EV_CONFIG, t->g, "%sis pinned to %s", which, list ? list : "all CPUs");
    free(old);
    return 0;
}

void exec_pin(struct cmd_run *r)
{
    const char *list = r->p.arg[1];
    int status = CMD_DONE;
    char who[120];
    cpu_set_t set;
    struct err e;

    if (shows(r))
        return;
    if (strcmp(list, "all") == 0 || strcmp(list, "none") == 0)
        list = NULL;
    if (list && units_cpus(list, session_host(r->session)->cpus, &set, &e) < 0) {
        bad(r, &e);
        return;
    }
    undo_begin(cmd_undo(r), r->line);
    for (unsigned i = 0; i < r->targets.n; i++) {
        if (pin_one(r, &r->targets.t[i], list, &e) < 0) {
            cmd_error(r, "%s: %s", r->targets.t[i].g->c->name, e.msg);
            status = CMD_FAILED;
        }
    }
    if (status == CMD_DONE)
        cmd_note(r, "%s may run on %s", names(r, who, sizeof who), list ? list : "all CPUs of the lab");
    cmd_done(r, status);
}

/* A driver in the guest does what is asked. */
static bool has_balloon(struct guest *g)
{
    struct vm_stats *st = malloc(sizeof *st);
    bool has;

    if (st)
        vm_stats(g->vm, st, 0);
    has = st && st->balloon && st->balloon_stats.driver_ok;
    free(st);
    return has;
}

static int mem_one(struct cmd_run *r, struct guest *g, uint64_t bytes, struct err *e)
{
    uint64_t old = guest_target(g);
    char size[UNITS_TEXT];
    int rc;

    if (bytes > g->c->memory_bytes)
        return err_set(e, EINVAL, "it was made with %s, more it cannot get while it exists",
                       units_fmt_size(size, g->c->memory_bytes));
    rc = guest_is_up(g) ? vm_mem_target(g->vm, bytes, e) : 0; /* else when it starts */
    if (rc < 0)
        return rc;
    g->mem_target = bytes == g->c->memory_bytes ? 0 : bytes;
    undo_step(cmd_undo(r), "mem %s %llu", g->c->name, (unsigned long long)old);
    session_event(r->session, EV_CONFIG, g, "is asked to keep %s of memory", units_fmt_size(size, bytes));
    cmd_note(r, "%s is asked to keep %s%s", g->c->name, units_fmt_size(size, bytes),
             !guest_is_up(g) ? " when it starts" : has_balloon(g) ? "" : ", but has no driver for a balloon: nothing happens until it loads one");
    return 0;
}

void exec_mem(struct cmd_run *r)
{
    int status = CMD_DONE;
    uint64_t bytes;
    struct err e;

    if (shows(r))
        return;
    if (units_size(r->p.arg[1], &bytes, &e) < 0) {
        bad(r, &e);
        return;
    }
    if (bytes < 1 << 20) {
        cmd_fail(r, "a guest needs at least 1M of memory: write `M` or `G` behind the number");
        return;
    }
    undo_begin(cmd_undo(r), r->line);
    for (unsigned i = 0; i < r->targets.n; i++) {
        if (mem_one(r, r->targets.t[i].g, bytes, &e) < 0) {
            cmd_error(r, "%s: %s", r->targets.t[i].g->c->name, e.msg);
            status = CMD_FAILED;
        }
    }
    cmd_done(r, status);
}

/* set: one row a key. */

static const char *get_interval(struct session *s, char out[SETTING_TEXT])
{
    snprintf(out, SETTING_TEXT, "%g", (double)session_interval_ns(s) / 1e9);
    return out;
}

static int set_interval(struct session *s, const char *v, struct err *e)
{
    uint64_t ns;
    int rc = units_duration(v, &ns, e);

    if (rc == 0 && (ns < 100000000 || ns > 60000000000))
        rc = err_set(e, ERANGE, "the interval goes from 0.1 to 60 seconds");
    if (rc == 0)
        session_set_interval_ns(s, ns);
    return rc;
}

static const char *get_overcommit(struct session *s, char out[SETTING_TEXT])
{
    (void)out;
    return session_overcommit(s) ? "yes" : "no";
}

static int set_overcommit(struct session *s, const char *v, struct err *e)
{
    bool yes;
    int rc = units_bool(v, &yes, e);

    if (rc == 0)
        session_set_overcommit(s, yes);
    return rc;
}

static const char *get_cpus(struct session *s, char out[SETTING_TEXT])
{
    if (session_cpus(s))
        snprintf(out, SETTING_TEXT, "%s", session_cpus(s));
    else
        snprintf(out, SETTING_TEXT, "0-%u", session_host(s)->cpus - 1);
    return out;
}

static const char *get_sched(struct session *s, char out[SETTING_TEXT])
{
    (void)out;
    return session_sched_choice(s);
}

static const struct setting {
    const char *key;
    const char *(*get)(struct session *s, char out[SETTING_TEXT]);
    int (*set)(struct session *s, const char *v, struct err *e);
} settings[] = {
    {"interval", get_interval, set_interval},
    {"overcommit", get_overcommit, set_overcommit},
    {"host.cpus", get_cpus, session_set_cpus},
    {"host.sched", get_sched, session_set_sched},
};
enum { NSETTINGS = sizeof settings / sizeof *settings };

static void show_setting(struct cmd_run *r, struct json_out *j, const char *key, const char *value)
{
    if (r->json)
        jout_str(j, key, value);
    else
        cmd_printf(r, "%-12s %s\n", key, value);
}

static void show_settings(struct cmd_run *r, const char *key)
{
    void *opaque;
    const struct session_setting *ui = session_settings(r->session, &opaque);
    struct json_out j = {0};
    char v[SETTING_TEXT];

    if (r->json) {
        j = cmd_json(r);
        jout_begin(&j, NULL, '{');
    }
    for (unsigned i = 0; i < NSETTINGS; i++)
        if (!key || strcmp(key, settings[i].key) == 0)
            show_setting(r, &j, settings[i].key, settings[i].get(r->session, v));
    for (; ui && ui->key; ui++)
        if (!key || strcmp(key, ui->key) == 0)
            show_setting(r, &j, ui->key, ui->get(opaque, v));
    if (r->json)
        jout_end(&j, '}');
    cmd_done(r, CMD_DONE);
}

/* How the console looks: nothing that an event or `undo` is about. */
static bool set_ui(struct cmd_run *r, const char *key, const char *value, struct suggest *near)
{
    void *opaque;
    const struct session_setting *ui = session_settings(r->session, &opaque);
    struct err e;

    for (; ui && key && ui->key; ui++) {
        suggest_offer(near, ui->key);
        if (strcmp(ui->key, key) != 0)
            continue;
        if (!value)
            show_settings(r, key);
        else if (ui->set(opaque, value, &e) < 0)
            cmd_fail(r, "%s", e.msg);
        else
            cmd_done(r, CMD_DONE);
        return true;
    }
    return false;
}

void exec_bind(struct cmd_run *r)
{
    const char *key = r->p.arg[0];
    char *line = r->p.nrest ? cmd_rest_line(&r->p) : NULL;
    bool off = line && strcmp(line, "off") == 0;
    struct err e;

    if (line && !off && cmd_check(line, &e) < 0)
        cmd_usage_error(r, "%s", e.msg);
    else if (session_view_bind(r->session, key, off ? "" : line, &r->out, &e) < 0)
        cmd_fail(r, "%s", e.msg);
    else
        cmd_done(r, CMD_DONE);
    free(line);
}

void exec_set(struct cmd_run *r)
{
    const char *key = r->p.arg[0], *value = r->p.arg[1];
    struct suggest near = suggest_begin(key ? key : "");
    const struct setting *found = NULL;
    char hint[80], old[SETTING_TEXT], buf[SETTING_TEXT], show[40];
    struct err e;

    for (unsigned i = 0; key && i < NSETTINGS; i++) {
        suggest_offer(&near, settings[i].key);
        if (strcmp(key, settings[i].key) == 0)
            found = &settings[i];
    }
    if (key && !found && set_ui(r, key, value, &near))
        return;
    if (key && !found) {
        cmd_fail(r, "there is no setting `%s`%s; `set` lists them", text_show(show, sizeof show, key),
                        suggest_text(&near, hint, sizeof hint));
        return;
    }
    if (!value) {
        show_settings(r, key);
        return;
    }
    if (r->client.looks_only) {
        cmd_refuse_looker(r);
        return;
    }
    snprintf(old, sizeof old, "%s", found->get(r->session, buf));
    if (found->set(r->session, value, &e) < 0) {
        cmd_fail(r, "%s", e.msg);
        return;
    }
    undo_begin(cmd_undo(r), r->line);
    undo_step(cmd_undo(r), "set %s %s", key, old);
    session_event(r->session, EV_CONFIG, NULL, "%s is %s", key, text_show(show, sizeof show, value));
    cmd_done(r, CMD_DONE);
}
