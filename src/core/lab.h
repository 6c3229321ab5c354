/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * lab: the lab file (DESIGN §10), read and checked: which guests there are and what they get.
 *
 * A lab is plain data; nothing of the host is used by reading one, no file named in it is
 * changed. Every mistake is told with its place (diag.h), as many at once as can be found.
 * The file may come from anybody: size, depth, aliases and lists are bounded.
 */
#ifndef RUCHE_CORE_LAB_H
#define RUCHE_CORE_LAB_H

#include "core/diag.h"
#include "core/vm_config.h"

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    LAB_FILE_MAX = 1 << 20, /* bytes */
    LAB_GUESTS_MAX = 256,
    LAB_NETS_MAX = 32,
    LAB_FORWARDS_MAX = 32,
    LAB_HOOKS_MAX = 16, /* commands per guest */
    LAB_CHECKS_MAX = 64,
};

/* What a guest does that commands can be tied to. */
enum lab_hook_on { HOOK_START, HOOK_PAUSE, HOOK_RESUME, HOOK_STOP, HOOK_CRASH, HOOK_RESET, HOOKS };

const char *lab_hook_name(enum lab_hook_on h);

struct lab_hook {
    enum lab_hook_on on;
    char *command; /* `{name}` is replaced by the guest's name already */
    unsigned line, column;
};

struct lab_guest {
    struct vm_config c;
    unsigned nhooks;
    struct lab_hook hooks[LAB_HOOKS_MAX];
    char base[VM_NAME_MAX + 1]; /* name in the file; with count, c.name has a number more */
    unsigned line, column;      /* of its name */
    unsigned memory_line, memory_column, depends_line, depends_column, nets_line, nets_column;
    unsigned disk_line[VM_DISKS_MAX], disk_column[VM_DISKS_MAX];
};

struct lab_forward {
    bool udp;
    uint16_t host_port, guest_port;
    char guest[VM_NAME_MAX + 1];
    unsigned line, column;
};

struct lab_net {
    char name[VM_NAME_MAX + 1];
    bool nat;
    char *subnet, *tap; /* NULL: not given */
    int tap_fd;         /* -1: not open (nettap_open_lab) */
    unsigned nforwards;
    struct lab_forward forwards[LAB_FORWARDS_MAX];
};

/* What a lab says about itself; NULL: nothing. */
struct lab_story {
    char *title, *about;
    char *checks; /* commands, a line each */
};

void lab_story_fini(struct lab_story *s);

struct lab {
    char *path;             /* of the file, "" if there is none */
    char name[VM_NAME_MAX + 1];
    struct lab_story story;
    char *host_cpus;        /* CPU list, NULL: all */
    char *host_sched;       /* auto, slots, cgroup; NULL: auto */
    bool overcommit;        /* guests may have more memory than the host */
    unsigned nnets, nguests;
    struct lab_net *nets;
    struct lab_guest *guests; /* in the order of the file */
};

/* What the checks compare with; see lab_host_measure. */
struct lab_host {
    uint64_t memory_total_bytes; /* 0: not measured */
    uint64_t memory_available_bytes;
    unsigned cpus;    /* their numbers are below that */
    cpu_set_t usable; /* those on line that the process may run on: a cpuset or taskset(1) may leave it few */
};

void lab_host_measure(struct lab_host *h);
void lab_host_usable(cpu_set_t *set); /* as they are now */

/* Reads the file at `path` (or `lab.yaml` in the directory `path`). NULL if `*d` has errors; it
 * may have warnings in any case. `*d` is made here and freed by the caller. */
struct lab *lab_load(const char *path, const struct lab_host *h, struct diags **d);

/* The same for text in memory; names in it are relative to the directory of `path`. */
struct lab *lab_parse(const char *yaml, size_t len, const char *path, const struct lab_host *h,
                      struct diags *d);

/* A lab without guests, for `create` and `run`. */
struct lab *lab_new(const char *name);
void lab_free(struct lab *lab);

/* Letters, digits, `-` and `_`, first a letter or digit, at most VM_NAME_MAX. */
int lab_check_name(const char *what, const char *name, struct err *e);

/* Writers of the same file among `n` configurations: -EBUSY and a sentence that names both;
 * indices of the guest and its disk that came second. */
int lab_check_disks(const struct vm_config *const *c, unsigned n, unsigned *guest, unsigned *disk,
                    struct err *e);

/* The file of one disk: absent without a size, not readable, not writable, no file. */
int lab_check_disk_file(const struct disk_config *d, struct err *e);

/* Memory asked for against what the host has: -ENOMEM and the arithmetic. */
int lab_check_memory(uint64_t asked_bytes, unsigned guests, uint64_t available_bytes, struct err *e);

/* Indices of guests, each after those that it depends on; false (order not filled) on a cycle. */
bool lab_order(const struct lab *lab, unsigned *order);

#endif
