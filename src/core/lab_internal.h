/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * lab_internal: what the parts of the lab reader share. Only lab*.c include it.
 *
 * lab.c        a lab as an object; files
 * lab_yaml.c   YAML nodes with their places: maps by key table, scalars by type
 * lab_keys.c   the keys of the file, of host and of networks
 * lab_guest.c  the keys of a guest
 * lab_disk.c   its disks and links
 * lab_check.c  what only the whole can tell: names, images, depends, disks, memory
 */
#ifndef RUCHE_CORE_LAB_INTERNAL_H
#define RUCHE_CORE_LAB_INTERNAL_H

#include "core/lab.h"

#include <yaml.h>

struct lab_reader {
    yaml_document_t doc;
    struct lab *lab;
    struct diags *diags;
    const struct lab_host *host;
    char *dir;       /* paths in the file are relative to it */
    unsigned budget; /* nodes that may still be looked at: aliases can multiply them */
};

/* What a guest's keys say, before images are resolved and `count` is unfolded. */
struct guest_spec {
    struct lab_guest g;
    char *kernel, *image; /* as written */
    unsigned image_line, image_column;
    unsigned kernel_line, kernel_column;
    bool append_given;
    unsigned count; /* 0: not given */
};

struct lab_key {
    const char *name;
    void (*read)(struct lab_reader *r, yaml_node_t *v, void *obj);
    bool no_default; /* not in `defaults:` */
};

#define NODE_LINE(n) ((unsigned)(n)->start_mark.line + 1)
#define NODE_COLUMN(n) ((unsigned)(n)->start_mark.column + 1)

/* lab_yaml.c */
void lab_error_at(struct lab_reader *r, const yaml_node_t *n, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
yaml_node_t *lab_node(struct lab_reader *r, int index); /* NULL if out of budget (told once) */
const char *lab_node_kind(const yaml_node_t *n);

/* Reads every key of a map (and of those merged into it by `<<`). `what` names it. */
void lab_read_map(struct lab_reader *r, yaml_node_t *n, const char *what, const struct lab_key *keys,
                  unsigned nkeys, bool defaults, void *obj);

/* Calls `each` for every pair of a map whose keys are free names. */
void lab_each_pair(struct lab_reader *r, yaml_node_t *n, const char *what,
                   void (*each)(struct lab_reader *r, yaml_node_t *k, yaml_node_t *v, void *obj), void *obj);

/* Calls `each` for every item of a list; a single scalar or map counts as a list of one. */
void lab_each_item(struct lab_reader *r, yaml_node_t *n, unsigned max, const char *what,
                   void (*each)(struct lab_reader *r, yaml_node_t *v, void *obj), void *obj);

/* Scalars: NULL or false if it is none, after telling. `what` is the key. */
const char *lab_scalar(struct lab_reader *r, yaml_node_t *n, const char *what);
bool lab_read_string(struct lab_reader *r, yaml_node_t *n, const char *what, char **out);
bool lab_read_name(struct lab_reader *r, yaml_node_t *n, const char *what, char out[VM_NAME_MAX + 1]);
bool lab_read_path(struct lab_reader *r, yaml_node_t *n, const char *what, char **out);
bool lab_read_bool(struct lab_reader *r, yaml_node_t *n, const char *what, bool *out);
bool lab_read_uint(struct lab_reader *r, yaml_node_t *n, const char *what, uint64_t min, uint64_t max,
                   uint64_t *out);
bool lab_read_size(struct lab_reader *r, yaml_node_t *n, const char *what, uint64_t *out);
bool lab_read_cpus(struct lab_reader *r, yaml_node_t *n, char **out);

char *lab_join(const char *dir, const char *path);

/* lab_keys.c */
void lab_read_top(struct lab_reader *r, yaml_node_t *root);

/* lab_guest.c */
void lab_read_guest(struct lab_reader *r, yaml_node_t *k, yaml_node_t *v,
                    const struct guest_spec *defaults);
void lab_read_defaults(struct lab_reader *r, yaml_node_t *v, struct guest_spec *spec);
void guest_spec_fini(struct guest_spec *s);
void lab_guest_fini(struct lab_guest *g);

/* lab_disk.c: one item of a list; `obj` is a struct lab_guest */
void lab_read_disk(struct lab_reader *r, yaml_node_t *v, void *obj);
void lab_read_nic(struct lab_reader *r, yaml_node_t *v, void *obj);

/* lab_check.c */
void lab_check(struct lab_reader *r);

#endif
