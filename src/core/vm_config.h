/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * vm_config: what a person asked a guest to be (lab file, `create`, `run`), checked and with
 * defaults filled in. Plain data; the lab owns it, a VM keeps its own copy (vm_config_dup).
 */
#ifndef RUCHE_CORE_VM_CONFIG_H
#define RUCHE_CORE_VM_CONFIG_H

#include "core/err.h"
#include "core/netlimits.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    VM_NAME_MAX = 31,
    VM_VCPUS_MAX = 64,
    VM_DISKS_MAX = 16,
    VM_NICS_MAX = 8,
    VM_SHARE_DEFAULT = 100,
    VM_SHARE_MAX = 10000,
};

enum boot_mode {
    BOOT_AUTO,    /* direct where it is safe, else bzimage */
    BOOT_DIRECT,  /* unpack the kernel on the host, enter its ELF */
    BOOT_BZIMAGE, /* let the guest unpack itself */
};

enum disk_mode {
    DISK_RAW,      /* read and write the file itself */
    DISK_READONLY, /* never written */
    DISK_OVERLAY,  /* the file is a read-only base; writes go to a private overlay */
};

enum disk_format {
    DISK_FORMAT_AUTO, /* told by the image's name and content */
    DISK_FORMAT_RAW,
    DISK_FORMAT_QCOW2,
};

struct disk_config {
    char name[VM_NAME_MAX + 1]; /* "vda", "vdb", ... unless given */
    char *path;                 /* the image, or the base of an overlay */
    char *overlay_path;         /* NULL: anonymous, gone when the guest is removed */
    enum disk_mode mode;
    enum disk_format format;    /* of the image or base */
    uint64_t size_bytes;        /* create a sparse file of this size if absent; 0: must exist */
    uint32_t iops;              /* limits, 0: none */
    uint64_t bytes_per_s;
};

struct nic_config {
    char network[VM_NAME_MAX + 1];
    uint8_t mac[6]; /* all zero: derived from lab and guest name */
    struct link_limits limits; /* at first */
};

struct vm_config {
    char name[VM_NAME_MAX + 1];
    char group[VM_NAME_MAX + 1]; /* "" : none */
    char *kernel;                /* path, after `image:` was resolved */
    char *initrd;                /* path or NULL */
    char *append;                /* kernel command line, "" if none */
    char *image;                 /* what was asked for, for display: "debian", "hello", a path */
    enum boot_mode boot;
    uint64_t memory_bytes;
    unsigned vcpus;
    unsigned share;   /* 1..10000 */
    unsigned cap_pct; /* percent of one host CPU, 0: none */
    char *pin;        /* CPU list text, NULL: none */
    bool irqchip_user;
    bool mergeable;
    bool autostart; /* default true */
    unsigned ndisks;
    struct disk_config disks[VM_DISKS_MAX];
    unsigned nnics;
    struct nic_config nics[VM_NICS_MAX];
    unsigned ndepends;
    char **depends; /* names of guests that start before */
};

/* Fills the defaults: 128 MiB, 1 vCPU, share 100, autostart, `append` "". */
void vm_config_init(struct vm_config *c, const char *name);

/* Deep copy; NULL if out of memory. */
struct vm_config *vm_config_dup(const struct vm_config *c);

/* Releases what it points to, not itself. */
void vm_config_fini(struct vm_config *c);

#endif
