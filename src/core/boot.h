/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * boot: puts a kernel into guest memory and says in which state the first vCPU enters it.
 *
 * Knows Linux bzImage (64-bit entry, or its payload unpacked on the host and entered
 * directly), ELF with a PVH note, ELF with Multiboot 1 header, Multiboot 1 flat, and flat
 * binaries. Kernel files are hostile input: every size is checked against the file and
 * against guest RAM before anything is copied.
 *
 * Image files are opened once per guest (boot_open) and read again at every reset from the
 * same descriptors, so that a guest reboots into what it was started from.
 */
#ifndef RUCHE_CORE_BOOT_H
#define RUCHE_CORE_BOOT_H

#include "core/err.h"
#include "core/vm_config.h"
#include "core/x86_regs.h"

struct gmem;
struct boot_image;

enum boot_protocol {
    BOOT_LINUX64,      /* bzImage, 64-bit entry, unpacks itself */
    BOOT_LINUX32,      /* the same by its 32-bit entry */
    BOOT_LINUX_DIRECT, /* bzImage, unpacked by us */
    BOOT_PVH,
    BOOT_MULTIBOOT,
    BOOT_FLAT,
};

const char *boot_protocol_name(enum boot_protocol p);

/* Opens kernel and initrd of `c`, finds the protocol, unpacks if that is to be done. NULL and
 * one sentence in `e`: absent, unreadable, truncated, unknown (naming the known kinds). */
struct boot_image *boot_open(const struct vm_config *c, struct err *e);
void boot_close(struct boot_image *b);
enum boot_protocol boot_image_protocol(const struct boot_image *b);

/* What a person should know about this boot (for example that KASLR was done by us or is off),
 * or "". */
const char *boot_image_note(const struct boot_image *b);

struct boot_params {
    const char *cmdline;
    uint64_t rsdp_gpa; /* ACPI root pointer, 0: none */
    unsigned vcpus;
};

/* Loads into clean guest memory; fills `regs` for the boot vCPU. Called at start and at every
 * reset; each Linux direct boot gets fresh KASLR entropy unless the command line says nokaslr. */
int boot_load(const struct boot_image *b, struct gmem *m, const struct boot_params *p,
              struct x86_regs *regs, struct err *e) RUCHE_MUST_CHECK;

#endif
