/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * vm_config: see vm_config.h.
 */
#include "core/vm_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void vm_config_init(struct vm_config *c, const char *name)
{
    memset(c, 0, sizeof *c);
    snprintf(c->name, sizeof c->name, "%s", name);
    c->memory_bytes = 128ull << 20;
    c->vcpus = 1;
    c->share = VM_SHARE_DEFAULT;
    c->autostart = true;
}

static bool dup_string(char **dst, const char *src)
{
    *dst = src ? strdup(src) : NULL;
    return *dst || !src;
}

static bool dup_strings(struct vm_config *d, const struct vm_config *c)
{
    bool ok = dup_string(&d->kernel, c->kernel) & dup_string(&d->initrd, c->initrd) &
              dup_string(&d->append, c->append) & dup_string(&d->image, c->image) &
              dup_string(&d->pin, c->pin);

    for (unsigned i = 0; i < c->ndisks; i++) {
        ok &= dup_string(&d->disks[i].path, c->disks[i].path);
        ok &= dup_string(&d->disks[i].overlay_path, c->disks[i].overlay_path);
    }
    d->depends = c->ndepends ? calloc(c->ndepends, sizeof *d->depends) : NULL;
    ok &= d->depends || !c->ndepends;
    for (unsigned i = 0; d->depends && i < c->ndepends; i++)
        ok &= dup_string(&d->depends[i], c->depends[i]);
    return ok;
}

struct vm_config *vm_config_dup(const struct vm_config *c)
{
    struct vm_config *d = malloc(sizeof *d);

    if (!d)
        return NULL;
    *d = *c;
    if (dup_strings(d, c))
        return d;
    vm_config_fini(d);
    free(d);
    return NULL;
}

void vm_config_fini(struct vm_config *c)
{
    free(c->kernel);
    free(c->initrd);
    free(c->append);
    free(c->image);
    free(c->pin);
    for (unsigned i = 0; i < c->ndisks; i++) {
        free(c->disks[i].path);
        free(c->disks[i].overlay_path);
    }
    for (unsigned i = 0; c->depends && i < c->ndepends; i++)
        free(c->depends[i]);
    free(c->depends);
    memset(c, 0, sizeof *c);
}
