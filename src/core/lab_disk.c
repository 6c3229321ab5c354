/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * lab_disk: the disks and the links of a guest.
 *
 * A disk is a path (a raw file), or {path: P} or {base: P, overlay: true}, with what else it has.
 */
#include "core/lab_internal.h"

#include "core/text.h"
#include "core/units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct disk_spec {
    struct disk_config d;
    bool has_path, overlay, readonly;
};

static void read_disk_path(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct disk_spec *s = obj;

    if (s->has_path)
        lab_error_at(r, v, "a disk has either `path` or `base`, not both");
    s->has_path = true;
    lab_read_path(r, v, "path", &s->d.path);
}

static void read_disk_base(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct disk_spec *s = obj;

    read_disk_path(r, v, obj);
    s->overlay = true;
}

static void read_disk_overlay(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct disk_spec *s = obj;
    const char *text = lab_scalar(r, v, "overlay");
    bool yes;

    if (!text)
        return;
    if (units_bool(text, &yes, NULL) == 0) {
        s->overlay = yes;
        return;
    }
    s->overlay = true;
    lab_read_path(r, v, "overlay", &s->d.overlay_path);
}

static void read_disk_readonly(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct disk_spec *s = obj;

    lab_read_bool(r, v, "readonly", &s->readonly);
}

static void read_disk_format(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct disk_spec *s = obj;
    const char *text = lab_scalar(r, v, "format");
    char show[40];

    if (!text)
        return;
    if (strcmp(text, "raw") == 0)
        s->d.format = DISK_FORMAT_RAW;
    else if (strcmp(text, "qcow2") == 0)
        s->d.format = DISK_FORMAT_QCOW2;
    else
        lab_error_at(r, v, "`format` is `raw` or `qcow2`, not `%s`; convert others: qemu-img convert -O qcow2",
                     text_show(show, sizeof show, text));
}

static void read_disk_size(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct disk_spec *s = obj;

    if (lab_read_size(r, v, "size", &s->d.size_bytes) && s->d.size_bytes < 512)
        lab_error_at(r, v, "a disk has at least 512 bytes");
}

static void read_disk_name(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct disk_spec *s = obj;

    lab_read_name(r, v, "name", s->d.name);
}

static void read_disk_iops(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct disk_spec *s = obj;
    uint64_t n;

    if (lab_read_uint(r, v, "iops", 0, 10000000, &n))
        s->d.iops = (uint32_t)n;
}

static void read_disk_bps(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct disk_spec *s = obj;

    lab_read_size(r, v, "bps", &s->d.bytes_per_s);
}

static const struct lab_key disk_keys[] = {
    {"path", read_disk_path, false},         {"base", read_disk_base, false},
    {"overlay", read_disk_overlay, false},   {"readonly", read_disk_readonly, false},
    {"size", read_disk_size, false},         {"name", read_disk_name, false},
    {"iops", read_disk_iops, false},         {"bps", read_disk_bps, false},
    {"format", read_disk_format, false},
};

static void disk_default_name(struct vm_config *c, struct disk_config *d)
{
    if (!d->name[0])
        snprintf(d->name, sizeof d->name, "vd%c", 'a' + (int)(c->ndisks & 15));
}

void lab_read_disk(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct lab_guest *g = obj;
    struct vm_config *c = &g->c;
    struct disk_spec d = {0};
    unsigned errors = r->diags->errors;

    if (v->type == YAML_SCALAR_NODE)
        read_disk_path(r, v, &d);
    else
        lab_read_map(r, v, "a disk", disk_keys, sizeof disk_keys / sizeof *disk_keys, false, &d);
    if (d.readonly && d.overlay && d.d.overlay_path)
        lab_error_at(r, v, "a disk is either `readonly` or has an `overlay`, not both");
    if (!d.d.path && !d.has_path)
        lab_error_at(r, v, "a disk needs a `path` (or a `base` for an overlay)");
    d.d.mode = d.readonly ? DISK_READONLY : d.overlay ? DISK_OVERLAY : DISK_RAW;
    if (!d.d.path || c->ndisks == VM_DISKS_MAX || r->diags->errors > errors) { /* its file is none of the mistakes */
        free(d.d.path);
        free(d.d.overlay_path);
        return;
    }
    disk_default_name(c, &d.d);
    for (unsigned i = 0; i < c->ndisks; i++)
        if (strcmp(c->disks[i].name, d.d.name) == 0)
            lab_error_at(r, v, "two disks of this guest have the name `%s`", d.d.name);
    g->disk_line[c->ndisks] = NODE_LINE(v);
    g->disk_column[c->ndisks] = NODE_COLUMN(v);
    c->disks[c->ndisks++] = d.d;
}

/* Links. */

static void read_nic_network(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct nic_config *n = obj;

    lab_read_name(r, v, "network", n->network);
}

static void read_nic_mac(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct nic_config *n = obj;
    const char *s = lab_scalar(r, v, "mac");
    char show[40], end;

    if (!s)
        return;
    if (strlen(s) != 17 || sscanf(s, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &n->mac[0], &n->mac[1],
                                  &n->mac[2], &n->mac[3], &n->mac[4], &n->mac[5], &end) != 6)
        lab_error_at(r, v, "`%s` is not a MAC address: write it as `52:54:00:12:34:56`",
                     text_show(show, sizeof show, s));
    else if (n->mac[0] & 1)
        lab_error_at(r, v, "`%s` is a multicast address: the first byte of a MAC must be even", s);
}

static void read_nic_limit(struct lab_reader *r, yaml_node_t *v, struct nic_config *n, const char *key)
{
    const char *s = lab_scalar(r, v, key);
    struct err e;

    if (s && link_limits_set(&n->limits, key, s, &e) < 0)
        lab_error_at(r, v, "%s", e.msg);
}

static void read_nic_rate(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    read_nic_limit(r, v, obj, "rate");
}

static void read_nic_delay(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    read_nic_limit(r, v, obj, "delay");
}

static void read_nic_loss(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    read_nic_limit(r, v, obj, "loss");
}

static const struct lab_key nic_keys[] = {
    {"network", read_nic_network, false}, {"mac", read_nic_mac, false}, {"rate", read_nic_rate, false},
    {"delay", read_nic_delay, false}, {"loss", read_nic_loss, false},
};

void lab_read_nic(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct lab_guest *g = obj;
    struct nic_config n = {0};

    if (v->type == YAML_SCALAR_NODE)
        read_nic_network(r, v, &n);
    else
        lab_read_map(r, v, "a link", nic_keys, sizeof nic_keys / sizeof *nic_keys, false, &n);
    if (v->type == YAML_MAPPING_NODE && !n.network[0])
        lab_error_at(r, v, "a link needs a `network`");
    if (n.network[0] && g->c.nnics < VM_NICS_MAX)
        g->c.nics[g->c.nnics++] = n;
}
