/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * lab_check: what only the whole lab can tell: doubled names, depends, networks, who writes
 * which disk, memory against the host. Some of it serves `create` and `start` too.
 */
#include "core/lab_internal.h"

#include "core/fence.h"
#include "core/held.h"
#include "core/sandbox.h"
#include "core/suggest.h"
#include "core/text.h"
#include "core/units.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int lab_check_name(const char *what, const char *name, struct err *e)
{
    char show[48];
    size_t len = strlen(name);

    if (len == 0)
        return err_set(e, EINVAL, "%s is empty", what);
    if (len > VM_NAME_MAX)
        return err_set(e, EINVAL, "%s has at most %d characters: `%s`", what, VM_NAME_MAX,
                       text_show(show, sizeof show, name));
    for (const char *p = name; *p; p++)
        if (!isascii(*p) || !(isalnum((unsigned char)*p) || (p > name && (*p == '-' || *p == '_'))))
            return err_set(e, EINVAL, "%s is made of letters, digits, `-` and `_`, and begins with a "
                           "letter or digit: `%s` does not", what, text_show(show, sizeof show, name));
    if (strcmp(name, "all") == 0)
        return err_set(e, EINVAL, "`all` means every guest and can be no name");
    return 0;
}

/* Disks. */

/* One use of a file by a guest. Its identity is device and inode if it exists, else those of
 * its directory, and its name. */
struct disk_use {
    unsigned guest, disk;
    const char *path;
    bool writes, exists;
    dev_t dev;
    ino_t ino;
    const char *base;
};

static void disk_identify(struct disk_use *u)
{
    const char *slash = strrchr(u->path, '/');
    char dir[PATH_MAX];
    struct stat st = {0};

    u->base = slash ? slash + 1 : u->path;
    u->exists = held_stat(u->path, &st) == 0;
    text_directory(dir, sizeof dir, u->path);
    if (!u->exists && held_stat(dir, &st) < 0)
        memset(&st, 0, sizeof st);
    u->dev = st.st_dev;
    u->ino = st.st_ino;
}

static bool same_file(const struct disk_use *a, const struct disk_use *b)
{
    return a->exists == b->exists && a->dev == b->dev && a->ino == b->ino &&
           (a->exists || strcmp(a->base, b->base) == 0);
}

static unsigned disk_uses(const struct vm_config *const *c, unsigned n, struct disk_use *out)
{
    unsigned k = 0;

    for (unsigned g = 0; g < n; g++) {
        for (unsigned i = 0; i < c[g]->ndisks; i++) {
            const struct disk_config *d = &c[g]->disks[i];

            out[k++] = (struct disk_use){.guest = g, .disk = i, .path = d->path, .writes = d->mode == DISK_RAW};
            if (d->mode == DISK_OVERLAY && d->overlay_path)
                out[k++] = (struct disk_use){.guest = g, .disk = i, .path = d->overlay_path, .writes = true};
        }
    }
    for (unsigned i = 0; i < k; i++)
        disk_identify(&out[i]);
    return k;
}

static int disk_clash(const struct vm_config *const *c, const struct disk_use *a, const struct disk_use *b,
                      struct err *e)
{
    const struct disk_use *w = a->writes ? a : b, *o = a->writes ? b : a;
    char show[120];

    text_show(show, sizeof show, w->path);
    if (a->guest == b->guest)
        return err_set(e, EBUSY, "`%s` has disk `%s` twice and would write it through one of them: give the "
                       "second its own file", c[a->guest]->name, show);
    return err_set(e, EBUSY, "disk `%s` is written by `%s` and %s by `%s`: give each its own file, or `overlay: true`",
                   show, c[w->guest]->name, o->writes ? "written" : "read", c[o->guest]->name);
}

int lab_check_disks(const struct vm_config *const *c, unsigned n, unsigned *guest, unsigned *disk,
                    struct err *e)
{
    struct disk_use *u = calloc((size_t)n * VM_DISKS_MAX * 2 + 1, sizeof *u);
    unsigned k = u ? disk_uses(c, n, u) : 0;
    int rc = u ? 0 : err_set(e, ENOMEM, "out of memory");

    for (unsigned j = 0; j < k && rc == 0; j++) {
        for (unsigned i = 0; i < j && rc == 0; i++) {
            if (!same_file(&u[i], &u[j]) || !(u[i].writes || u[j].writes))
                continue;
            *guest = u[j].guest;
            *disk = u[j].disk;
            rc = disk_clash(c, &u[i], &u[j], e);
        }
    }
    free(u);
    return rc;
}

static void check_disks(struct lab_reader *r)
{
    struct lab *lab = r->lab;
    const struct vm_config **c = calloc(lab->nguests + 1, sizeof *c);
    unsigned guest = 0, disk = 0;
    struct err e;

    for (unsigned i = 0; c && i < lab->nguests; i++)
        c[i] = &lab->guests[i].c;
    if (c && lab_check_disks(c, lab->nguests, &guest, &disk, &e) < 0)
        diags_error(r->diags, lab->guests[guest].disk_line[disk], lab->guests[guest].disk_column[disk],
                    "%s", e.msg);
    free(c);
}

/* What the fence says of a file that is not open already: access(2) does not know it. */
static const char *hint_of(const char *path, bool writing)
{
    return held_for(path, writing) ? "" : fence_hint(path, writing ? FENCE_WRITE : FENCE_READ);
}

static const char *disk_hint(const struct disk_config *d)
{
    const char *hint = hint_of(d->path, d->mode == DISK_RAW);

    return *hint || !d->overlay_path ? hint : hint_of(d->overlay_path, true);
}


/* Root is a user like others once the lab is read. */
static const char *as_root(void)
{
    return errno != EACCES || geteuid() != 0 || sandbox_any_file_left()
               ? "" : "; root has no more rights than others once the lab is read: name the disk in the lab, run ruche as the "
                      "file's owner, or `chown root` it";
}

/* Of a disk that is to be made. */
static int check_directory(const char *path, const char *show, struct err *e)
{
    char dir[PATH_MAX], where[160];

    text_directory(dir, sizeof dir, path);
    if (held_access(dir, W_OK | X_OK) == 0 || held_only_makes(path))
        return 0;
    return err_set(e, errno, "disk `%s` cannot be made in `%s` (%s): put it elsewhere, or %s%s", show,
                   text_show(where, sizeof where, dir), strerror(errno),
                   errno == ENOENT ? "make that directory" : "give yourself permission to write there",
                   as_root());
}

int lab_check_disk_file(const struct disk_config *d, struct err *e)
{
    char show[160];
    struct stat st;

    text_show(show, sizeof show, d->path);
    if (d->mode == DISK_RAW)
        held_add(d->path, O_RDWR);
    held_add(d->path, O_RDONLY);
    held_add(d->overlay_path, O_RDWR);
    if (*disk_hint(d))
        return err_set(e, EACCES, "disk `%s` cannot be used%s", show, disk_hint(d));
    if (held_stat(d->path, &st) < 0) {
        if (errno != ENOENT)
            return err_set(e, errno, "disk `%s` cannot be opened: %s%s", show, strerror(errno), as_root());
        if (d->mode != DISK_RAW || !d->size_bytes)
            return err_set(e, ENOENT, "disk `%s` does not exist: %s", show,
                           d->mode == DISK_RAW ? "give it a `size:` and it is made" : "check the path");
        return check_directory(d->path, show, e);
    }
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return err_set(e, EINVAL, "disk `%s` is neither a file nor a block device: give the path "
                       "of an image", show);
    if (held_access(d->path, R_OK) < 0)
        return err_set(e, errno, "disk `%s` may not be read (%s): make it readable for you%s", show,
                       strerror(errno), as_root());
    if (d->mode == DISK_RAW && held_access(d->path, W_OK) < 0)
        return err_set(e, errno, "disk `%s` may not be written (%s): make it `readonly: true` or give it "
                       "`overlay: true`%s", show, strerror(errno), as_root());
    if (S_ISREG(st.st_mode) && st.st_size < 512)
        return err_set(e, EINVAL, "disk `%s` has %lld bytes, less than one sector: remove it, or give it "
                       "its content", show, (long long)st.st_size);
    return 0;
}

static void check_disk_files(struct lab_reader *r)
{
    struct err e;

    for (unsigned i = 0; i < r->lab->nguests; i++) {
        const struct lab_guest *g = &r->lab->guests[i];

        for (unsigned d = 0; d < g->c.ndisks; d++)
            if (lab_check_disk_file(&g->c.disks[d], &e) < 0)
                diags_error(r->diags, g->disk_line[d], g->disk_column[d], "%s", e.msg);
    }
}

/* Memory. */

int lab_check_memory(uint64_t asked, unsigned guests, uint64_t available, struct err *e)
{
    char a[UNITS_TEXT], b[UNITS_TEXT];

    if (asked <= available)
        return 0;
    return err_set(e, ENOMEM, "%u guest%s with %s of memory in all do%s not fit into the %s that this host "
                   "has available: give them less, or allow it with `host: {overcommit: true}`",
                   guests, guests == 1 ? "" : "s", units_fmt_size(a, asked), guests == 1 ? "es" : "",
                   units_fmt_size(b, available));
}

static void check_memory(struct lab_reader *r)
{
    const struct lab_guest *largest = NULL;
    uint64_t sum = 0;
    unsigned n = 0;
    struct err e;

    for (unsigned i = 0; i < r->lab->nguests; i++) {
        const struct lab_guest *g = &r->lab->guests[i];

        if (!g->c.autostart)
            continue;
        n++;
        sum += g->c.memory_bytes;
        if (!largest || g->c.memory_bytes > largest->c.memory_bytes)
            largest = g;
    }
    if (r->lab->overcommit || lab_check_memory(sum, n, r->host->memory_available_bytes, &e) == 0)
        return;
    diags_error(r->diags, largest->memory_line ? largest->memory_line : largest->line,
                largest->memory_line ? largest->memory_column : largest->column, "%s", e.msg);
}

/* Names and depends. */

static void check_names(struct lab_reader *r)
{
    const struct lab *lab = r->lab;

    for (unsigned i = 0; i < lab->nguests; i++) {
        for (unsigned j = 0; j < i; j++) {
            const struct lab_guest *a = &lab->guests[j], *b = &lab->guests[i];

            if (strcmp(a->c.name, b->c.name) != 0)
                continue;
            diags_error(r->diags, b->line, b->column, "there are two guests `%s`: the other is at line %u",
                        b->c.name, a->line);
            return;
        }
    }
}

static void depend_unknown(struct lab_reader *r, const struct lab_guest *g, const char *name)
{
    struct suggest s = suggest_begin(name);
    char hint[80];

    for (unsigned i = 0; i < r->lab->nguests; i++)
        suggest_offer(&s, r->lab->guests[i].base);
    diags_error(r->diags, g->depends_line, g->depends_column, "`%s` depends on `%s`, which is no guest%s",
                g->base, name, suggest_text(&s, hint, sizeof hint));
}

/* True if `name` in a depends list means guest `g`: its name, or the name that `count` unfolded. */
static bool means(const char *name, const struct lab_guest *g)
{
    return strcmp(name, g->c.name) == 0 || strcmp(name, g->base) == 0;
}

static bool check_depends(struct lab_reader *r)
{
    const struct lab *lab = r->lab;
    bool ok = true;

    for (unsigned i = 0; i < lab->nguests; i++) {
        const struct lab_guest *g = &lab->guests[i];

        if (i && strcmp(g->base, lab->guests[i - 1].base) == 0)
            continue; /* the same pattern */
        for (unsigned d = 0; d < g->c.ndepends; d++) {
            bool found = false;

            for (unsigned k = 0; k < lab->nguests; k++)
                found |= means(g->c.depends[d], &lab->guests[k]);
            if (!found)
                depend_unknown(r, g, g->c.depends[d]);
            ok &= found;
        }
    }
    return ok;
}

static bool ready(const struct lab *lab, const struct lab_guest *g, const bool *done)
{
    for (unsigned d = 0; d < g->c.ndepends; d++)
        for (unsigned k = 0; k < lab->nguests; k++)
            if (means(g->c.depends[d], &lab->guests[k]) && !done[k])
                return false;
    return true;
}

bool lab_order(const struct lab *lab, unsigned *order)
{
    bool done[LAB_GUESTS_MAX] = {false};
    unsigned n = 0;

    while (n < lab->nguests) {
        unsigned before = n;

        for (unsigned i = 0; i < lab->nguests; i++) {
            if (done[i] || !ready(lab, &lab->guests[i], done))
                continue;
            done[i] = true;
            order[n++] = i;
        }
        if (n == before)
            return false;
    }
    return true;
}

static void check_cycle(struct lab_reader *r)
{
    const struct lab *lab = r->lab;
    unsigned order[LAB_GUESTS_MAX];
    bool done[LAB_GUESTS_MAX] = {false};
    const struct lab_guest *first = NULL;
    struct text names = {.limit = 200};
    bool more = true;

    if (lab_order(lab, order))
        return;
    while (more) { /* what can start, to leave what cannot */
        more = false;
        for (unsigned i = 0; i < lab->nguests; i++)
            if (!done[i] && ready(lab, &lab->guests[i], done))
                done[i] = more = true;
    }
    for (unsigned i = 0; i < lab->nguests; i++) {
        if (done[i])
            continue;
        text_printf(&names, "%s`%s`", first ? ", " : "", lab->guests[i].c.name);
        first = first ? first : &lab->guests[i];
    }
    diags_error(r->diags, first->depends_line, first->depends_column,
                "these guests wait for each other and none can start first: %s", text_str(&names));
    text_free(&names);
}

/* A guest whose CPUs are all outside of the lab's could run nowhere. */
static void check_pins(struct lab_reader *r)
{
    const struct lab *lab = r->lab;
    cpu_set_t of_lab, own;

    if (!lab->host_cpus || units_cpus(lab->host_cpus, r->host->cpus, &of_lab, NULL) < 0)
        return;
    for (unsigned i = 0; i < lab->nguests; i++) {
        const struct lab_guest *g = &lab->guests[i];

        if (!g->c.pin || units_cpus(g->c.pin, r->host->cpus, &own, NULL) < 0)
            continue;
        CPU_AND(&own, &own, &of_lab);
        if (CPU_COUNT(&own) == 0)
            diags_error(r->diags, g->line, g->column, "`%s` is pinned to CPUs `%s`, none of which the lab has (`%s`): "
                        "change `pin`, or `host: {cpus: ...}`", g->c.name, g->c.pin, lab->host_cpus);
    }
}

/* Networks. */

static void check_nets(struct lab_reader *r)
{
    const struct lab *lab = r->lab;
    char hint[80];

    for (unsigned i = 0; i < lab->nguests; i++) {
        const struct lab_guest *g = &lab->guests[i];

        for (unsigned n = 0; n < g->c.nnics; n++) {
            struct suggest s = suggest_begin(g->c.nics[n].network);
            unsigned k = 0;

            for (; k < lab->nnets && strcmp(lab->nets[k].name, g->c.nics[n].network) != 0; k++)
                suggest_offer(&s, lab->nets[k].name);
            if (k == lab->nnets)
                diags_error(r->diags, g->nets_line, g->nets_column, "there is no network `%s` in this lab%s",
                            g->c.nics[n].network, suggest_text(&s, hint, sizeof hint));
        }
    }
}

static bool has_link(const struct lab_guest *g, const char *network)
{
    for (unsigned i = 0; i < g->c.nnics; i++)
        if (strcmp(g->c.nics[i].network, network) == 0)
            return true;
    return false;
}

static void check_forward_guest(struct lab_reader *r, const struct lab_net *net, const struct lab_forward *f)
{
    struct suggest s = suggest_begin(f->guest);
    char hint[80];

    for (unsigned i = 0; i < r->lab->nguests; i++) {
        const struct lab_guest *g = &r->lab->guests[i];

        suggest_offer(&s, g->c.name);
        if (strcmp(g->c.name, f->guest) != 0)
            continue;
        if (!has_link(g, net->name))
            diags_error(r->diags, f->line, f->column, "`%s` has no link to network `%s`: give it `nets: %s`",
                        f->guest, net->name, net->name);
        return;
    }
    diags_error(r->diags, f->line, f->column, "port %u is forwarded to `%s`, which is no guest%s", f->host_port,
                f->guest, suggest_text(&s, hint, sizeof hint));
}

/* A port of the host is forwarded once in the whole lab. */
static void check_forward_port(struct lab_reader *r, unsigned net, unsigned index)
{
    const struct lab_forward *f = &r->lab->nets[net].forwards[index];

    for (unsigned n = 0; n <= net; n++) {
        for (unsigned i = 0; i < (n == net ? index : r->lab->nets[n].nforwards); i++) {
            const struct lab_forward *other = &r->lab->nets[n].forwards[i];

            if (other->host_port != f->host_port || other->udp != f->udp)
                continue;
            diags_error(r->diags, f->line, f->column, "port %u of the host is forwarded already, at line %u: take "
                        "another", f->host_port, other->line);
            return;
        }
    }
}

static void check_forwards(struct lab_reader *r)
{
    for (unsigned n = 0; n < r->lab->nnets; n++) {
        const struct lab_net *net = &r->lab->nets[n];

        if (net->nforwards && !net->nat) {
            diags_error(r->diags, net->forwards[0].line, net->forwards[0].column,
                        "network `%s` forwards a port, but has no `nat: true`", net->name);
            continue;
        }
        for (unsigned i = 0; i < net->nforwards; i++) {
            check_forward_guest(r, net, &net->forwards[i]);
            check_forward_port(r, n, i);
        }
    }
}

/* A switch sends frames where it saw an address last: two guests with the same one take them from each other. */
static bool mac_taken(const struct lab *lab, unsigned guest, const struct nic_config *nic, const char **by)
{
    for (unsigned g = 0; g <= guest; g++) {
        const struct vm_config *c = &lab->guests[g].c;

        for (unsigned i = 0; i < c->nnics && &c->nics[i] != nic; i++) {
            *by = c->name;
            if (memcmp(c->nics[i].mac, nic->mac, sizeof nic->mac) == 0 && strcmp(c->nics[i].network, nic->network) == 0)
                return true;
        }
    }
    return false;
}

static void check_macs(struct lab_reader *r)
{
    static const uint8_t chosen_by_us[6];
    const char *by;

    for (unsigned i = 0; i < r->lab->nguests; i++) {
        const struct lab_guest *g = &r->lab->guests[i];

        for (unsigned n = 0; n < g->c.nnics; n++) {
            const struct nic_config *nic = &g->c.nics[n];

            if (memcmp(nic->mac, chosen_by_us, sizeof nic->mac) == 0 || !mac_taken(r->lab, i, nic, &by))
                continue;
            diags_error(r->diags, g->nets_line, g->nets_column, "`%s` and `%s` have the same MAC address in network "
                        "`%s`: give each its own, or none", by, g->c.name, nic->network);
            return;
        }
    }
}

void lab_check(struct lab_reader *r)
{
    check_names(r);
    if (check_depends(r))
        check_cycle(r);
    check_pins(r);
    check_nets(r);
    check_forwards(r);
    check_macs(r);
    check_disks(r);
    check_disk_files(r);
    check_memory(r);
}
