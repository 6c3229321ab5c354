/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * lab_guest: the keys of a guest.
 *
 * A guest begins as a copy of what `defaults:` says and its own keys override that; then its
 * image is found and `count: n` unfolds it into n guests with a number behind their names.
 */
#include "core/lab_internal.h"

#include "core/cmd.h"
#include "core/images.h"
#include "core/mem.h"
#include "core/suggest.h"
#include "core/text.h"
#include "core/units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { APPEND_MAX = 2047 }; /* what a Linux kernel of x86 takes */

static void mark(const yaml_node_t *n, unsigned *line, unsigned *column)
{
    *line = NODE_LINE(n);
    *column = NODE_COLUMN(n);
}

static void drop(char **s)
{
    free(*s);
    *s = NULL;
}

static void read_kernel(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct guest_spec *s = obj;

    if (s->image_line)
        lab_error_at(r, v, "give either `image` or `kernel`, not both");
    drop(&s->image); /* a default */
    mark(v, &s->kernel_line, &s->kernel_column);
    lab_read_string(r, v, "kernel", &s->kernel);
}

static void read_image(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct guest_spec *s = obj;

    if (s->kernel_line)
        lab_error_at(r, v, "give either `image` or `kernel`, not both");
    drop(&s->kernel);
    mark(v, &s->image_line, &s->image_column);
    lab_read_string(r, v, "image", &s->image);
}

static void read_initrd(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct guest_spec *s = obj;

    lab_read_path(r, v, "initrd", &s->g.c.initrd);
}

static void read_append(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct guest_spec *s = obj;

    s->append_given = true;
    if (v->type == YAML_SCALAR_NODE && v->data.scalar.length == 0) {
        free(s->g.c.append);
        s->g.c.append = strdup("");
        return;
    }
    if (lab_read_string(r, v, "append", &s->g.c.append) && strlen(s->g.c.append) > APPEND_MAX) {
        lab_error_at(r, v, "`append` has %zu bytes, a kernel takes %d", strlen(s->g.c.append), APPEND_MAX);
        s->g.c.append[APPEND_MAX] = '\0';
    }
}

static void read_memory(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct guest_spec *s = obj;
    uint64_t bytes;
    char size[UNITS_TEXT];

    mark(v, &s->g.memory_line, &s->g.memory_column);
    if (!lab_read_size(r, v, "memory", &bytes))
        return;
    if (bytes < GMEM_MIN_BYTES || bytes > GMEM_MAX_BYTES) {
        lab_error_at(r, v, "`memory` goes from 1M to 64G, this is %s%s", units_fmt_size(size, bytes),
                     bytes && bytes < 65536 ? " bytes (write `M` behind the number for MiB)" : "");
        return;
    }
    s->g.c.memory_bytes = bytes;
}

static void read_vcpus(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct guest_spec *s = obj;
    uint64_t n;

    if (lab_read_uint(r, v, "vcpus", 1, VM_VCPUS_MAX, &n))
        s->g.c.vcpus = (unsigned)n;
}

static void read_share(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct guest_spec *s = obj;
    uint64_t n;

    if (lab_read_uint(r, v, "share", 1, VM_SHARE_MAX, &n))
        s->g.c.share = (unsigned)n;
}

static void read_cap(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct guest_spec *s = obj;
    const char *text = lab_scalar(r, v, "cap");
    struct err e;

    if (text && units_percent(text, &s->g.c.cap_pct, &e) < 0)
        lab_error_at(r, v, "%s", e.msg);
}

static void read_pin(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct guest_spec *s = obj;

    lab_read_cpus(r, v, &s->g.c.pin);
}

static void read_group(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct guest_spec *s = obj;

    lab_read_name(r, v, "group", s->g.c.group);
}

static void read_depend(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct vm_config *c = obj;
    char name[VM_NAME_MAX + 1], **p;

    if (!lab_read_name(r, v, "depends", name))
        return;
    p = realloc(c->depends, (c->ndepends + 1) * sizeof *p);
    if (!p)
        return;
    c->depends = p;
    c->depends[c->ndepends] = strdup(name);
    c->ndepends += c->depends[c->ndepends] != NULL;
}

static void read_depends(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct guest_spec *s = obj;

    mark(v, &s->g.depends_line, &s->g.depends_column);
    lab_each_item(r, v, LAB_GUESTS_MAX, "`depends`", read_depend, &s->g.c);
}

static void read_count(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct guest_spec *s = obj;
    uint64_t n;

    if (lab_read_uint(r, v, "count", 1, LAB_GUESTS_MAX, &n))
        s->count = (unsigned)n;
}

static void read_boot(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    static const char *const modes[] = {[BOOT_AUTO] = "auto", [BOOT_DIRECT] = "direct", [BOOT_BZIMAGE] = "bzimage"};
    struct guest_spec *s = obj;
    const char *text = lab_scalar(r, v, "boot");
    char show[40];

    for (unsigned i = 0; text && i < 3; i++) {
        if (strcmp(text, modes[i]) == 0) {
            s->g.c.boot = (enum boot_mode)i;
            return;
        }
    }
    if (text)
        lab_error_at(r, v, "`boot` is `auto`, `direct` or `bzimage`, not `%s`",
                     text_show(show, sizeof show, text));
}

static void read_irqchip(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct guest_spec *s = obj;
    const char *text = lab_scalar(r, v, "irqchip");
    char show[40];

    if (!text)
        return;
    if (strcmp(text, "user") != 0 && strcmp(text, "kernel") != 0)
        lab_error_at(r, v, "`irqchip` is `kernel` or `user`, not `%s`", text_show(show, sizeof show, text));
    s->g.c.irqchip_user = strcmp(text, "user") == 0;
}

static void read_mergeable(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct guest_spec *s = obj;

    lab_read_bool(r, v, "mergeable", &s->g.c.mergeable);
}

static void read_autostart(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct guest_spec *s = obj;

    lab_read_bool(r, v, "autostart", &s->g.c.autostart);
}

static void read_disks(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct guest_spec *s = obj;

    lab_each_item(r, v, VM_DISKS_MAX, "`disks`", lab_read_disk, &s->g);
}

static void read_nets(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct guest_spec *s = obj;

    mark(v, &s->g.nets_line, &s->g.nets_column);
    lab_each_item(r, v, VM_NICS_MAX, "`nets`", lab_read_nic, &s->g);
}

/* Hooks: on: {start: "COMMAND", crash: [COMMAND, ...]} */

struct hook_ctx {
    struct lab_guest *g;
    enum lab_hook_on on;
};

static void read_hook(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct hook_ctx *x = obj;
    struct lab_hook *h = &x->g->hooks[x->g->nhooks];
    struct err e;

    if (x->g->nhooks == LAB_HOOKS_MAX) {
        lab_error_at(r, v, "a guest can have %d hook commands", LAB_HOOKS_MAX);
        return;
    }
    *h = (struct lab_hook){.on = x->on, .line = NODE_LINE(v), .column = NODE_COLUMN(v)};
    if (!lab_read_string(r, v, lab_hook_name(x->on), &h->command))
        return;
    x->g->nhooks++;
    if (cmd_check(h->command, &e) < 0)
        lab_error_at(r, v, "%s", e.msg);
}

static void read_hooks(struct lab_reader *r, yaml_node_t *k, yaml_node_t *v, void *obj)
{
    struct hook_ctx x = {obj, 0};
    const char *name = lab_scalar(r, k, "on");
    struct suggest s = suggest_begin(name ? name : "");
    char show[40], hint[80];

    if (!name)
        return;
    for (; x.on < HOOKS && strcmp(lab_hook_name(x.on), name) != 0; x.on++)
        suggest_offer(&s, lab_hook_name(x.on));
    if (x.on == HOOKS)
        lab_error_at(r, k, "`on` knows start, pause, resume, stop, crash and reset, not `%s`%s",
                     text_show(show, sizeof show, name), suggest_text(&s, hint, sizeof hint));
    else
        lab_each_item(r, v, LAB_HOOKS_MAX, "a hook", read_hook, &x);
}

static void read_on(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct guest_spec *s = obj;

    lab_each_pair(r, v, "`on`", read_hooks, &s->g);
}

static const struct lab_key guest_keys[] = {
    {"image", read_image, false},         {"kernel", read_kernel, false},
    {"initrd", read_initrd, false},       {"append", read_append, false},
    {"memory", read_memory, false},       {"vcpus", read_vcpus, false},
    {"share", read_share, false},         {"cap", read_cap, false},
    {"pin", read_pin, false},             {"disks", read_disks, true},
    {"nets", read_nets, true},            {"group", read_group, false},
    {"depends", read_depends, true},      {"count", read_count, true},
    {"boot", read_boot, false},           {"irqchip", read_irqchip, false},
    {"mergeable", read_mergeable, false}, {"autostart", read_autostart, false},
    {"on", read_on, true},
};
enum { NGUEST_KEYS = sizeof guest_keys / sizeof *guest_keys };

void lab_guest_fini(struct lab_guest *g)
{
    vm_config_fini(&g->c);
    for (unsigned i = 0; i < g->nhooks; i++)
        free(g->hooks[i].command);
    g->nhooks = 0;
}

void guest_spec_fini(struct guest_spec *s)
{
    lab_guest_fini(&s->g);
    free(s->kernel);
    free(s->image);
}

/* `s` with every `{name}` replaced; takes it over. */
static char *with_name(char *s, const char *name)
{
    struct text t = {0};
    const char *p = s, *at;

    if (!s || !strstr(s, "{name}"))
        return s;
    while ((at = strstr(p, "{name}"))) {
        text_add(&t, p, (size_t)(at - p));
        text_puts(&t, name);
        p = at + 6;
    }
    text_puts(&t, p);
    free(s);
    return text_take(&t);
}

/* Copies what a guest takes over from its pattern (defaults, or a guest with `count`). */
static bool guest_copy(struct lab_guest *to, const struct lab_guest *from, const char *name)
{
    struct vm_config *c = vm_config_dup(&from->c);

    if (!c)
        return false;
    *to = *from;
    to->c = *c;
    free(c);
    snprintf(to->c.name, sizeof to->c.name, "%s", name);
    to->c.append = with_name(to->c.append, name);
    for (unsigned i = 0; i < to->c.ndisks; i++) {
        to->c.disks[i].path = with_name(to->c.disks[i].path, name);
        to->c.disks[i].overlay_path = with_name(to->c.disks[i].overlay_path, name);
    }
    to->nhooks = 0;
    for (unsigned i = 0; i < from->nhooks; i++) {
        to->hooks[to->nhooks] = from->hooks[i];
        to->hooks[to->nhooks].command = with_name(dup_or_null(from->hooks[i].command), name);
        to->nhooks += to->hooks[to->nhooks].command != NULL;
    }
    return true;
}

/* Finds the kernel of guest `g`. `kernel: NAME` is a file unless an image has that name. */
static int guest_kernel(struct lab_reader *r, struct lab_guest *g, const struct guest_spec *s,
                        struct err *e)
{
    const char *what = s->image ? s->image : s->kernel;
    bool is_path = image_is_path(what) || (s->kernel && !image_find(what));
    char *append = s->append_given ? dup_or_null(g->c.append) : NULL;
    char *path = is_path ? lab_join(r->dir, what) : NULL;
    int rc = path ? image_apply_path(path, append, &g->c, e) : image_apply(what, append, &g->c, e);

    free(path);
    free(append);
    return rc;
}

/* Adds the guest to the lab. */
static void guest_add(struct lab_reader *r, const struct guest_spec *s, const char *name)
{
    struct lab_guest *p = realloc(r->lab->guests, (r->lab->nguests + 1) * sizeof *p), *g;
    struct err e = {0};

    if (!p)
        return;
    r->lab->guests = p;
    g = &p[r->lab->nguests];
    if (!guest_copy(g, &s->g, name))
        return;
    r->lab->nguests++;
    if ((s->image || s->kernel) && guest_kernel(r, g, s, &e) < 0)
        diags_error(r->diags, s->image ? s->image_line : s->kernel_line,
                    s->image ? s->image_column : s->kernel_column, "%s", e.msg);
}

static void guest_unfold(struct lab_reader *r, yaml_node_t *k, const struct guest_spec *s)
{
    char name[VM_NAME_MAX + 16];

    if (r->lab->nguests + (s->count ? s->count : 1) > LAB_GUESTS_MAX) {
        lab_error_at(r, k, "a lab can have %d guests", LAB_GUESTS_MAX);
        return;
    }
    if (!s->count)
        guest_add(r, s, s->g.base);
    for (unsigned i = 1; i <= s->count; i++) {
        unsigned errors = r->diags->errors;

        snprintf(name, sizeof name, "%s%u", s->g.base, i);
        if (strlen(name) > VM_NAME_MAX) {
            lab_error_at(r, k, "the name `%s` is too long with a number behind", s->g.base);
            return;
        }
        guest_add(r, s, name);
        if (r->diags->errors > errors)
            return; /* the others would say the same */
    }
}

void lab_read_guest(struct lab_reader *r, yaml_node_t *k, yaml_node_t *v,
                    const struct guest_spec *defaults)
{
    struct guest_spec s = {0};

    if (!guest_copy(&s.g, &defaults->g, ""))
        return;
    s.kernel = dup_or_null(defaults->kernel);
    s.image = dup_or_null(defaults->image);
    s.append_given = defaults->append_given;
    s.image_line = s.kernel_line = 0;
    mark(k, &s.g.line, &s.g.column);
    if (!lab_read_name(r, k, "a guest's name", s.g.base))
        goto out;
    lab_read_map(r, v, "a guest", guest_keys, NGUEST_KEYS, false, &s);
    if (!s.kernel && !s.image)
        lab_error_at(r, k, "guest `%s` has no kernel: give it `image:` or `kernel:`", s.g.base);
    guest_unfold(r, k, &s);
out:
    guest_spec_fini(&s);
}

void lab_read_defaults(struct lab_reader *r, yaml_node_t *v, struct guest_spec *spec)
{
    lab_read_map(r, v, "`defaults`", guest_keys, NGUEST_KEYS, true, spec);
}
