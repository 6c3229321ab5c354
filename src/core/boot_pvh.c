/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * boot_pvh: ELF kernels (vmlinux and others) with the note XEN_ELFNOTE_PHYS32_ENTRY, entered
 * in flat 32-bit protected mode without paging, EBX pointing to `struct hvm_start_info`.
 *
 * Xen docs/misc/pvh.pandoc, xen/include/public/arch-x86/hvm/start_info.h (version 1).
 */
#include "core/boot_priv.h"

#include "core/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* the block of structures that the kernel is handed, and offsets in it */
enum {
    INFO = 0,
    INFO_BYTES = 56,
    MODULE = 64,
    MODULE_BYTES = 32,
    MEMMAP = 128,
    MEMMAP_ENTRY_BYTES = 24,
    GDT = 320,
    BLOCK_BYTES = 384, /* the command line follows */
};

#define START_MAGIC 0x336ec578u

static bool pvh_probe(const struct boot_image *b)
{
    return boot_is_elf(b) && b->elf.has_pvh;
}

struct pvh_plan {
    uint64_t block_gpa, block_bytes, initrd_gpa, initrd_bytes;
};

static int pvh_plan(const struct boot_image *b, const struct boot_ram *ram, const char *cmdline,
                    struct pvh_plan *plan, struct err *e)
{
    struct boot_busy busy = {0};
    int r = boot_elf_check_ram(&b->elf, &b->kernel, ram, &busy, e);

    if (r < 0)
        return r;
    *plan = (struct pvh_plan){.block_bytes = BLOCK_BYTES + strlen(cmdline) + 1,
                              .initrd_bytes = b->initrd.fd >= 0 ? b->initrd.size_bytes : 0};
    if (!boot_place_low(&busy, BOOT_GDT_GPA, BOOT_LOW_END, plan->block_bytes, 64, &plan->block_gpa))
        return err_set(e, E2BIG,
                       "kernel %s leaves no room below 640K for its command line of %zu "
                       "bytes; shorten append:",
                       b->kernel.path, strlen(cmdline));
    if (plan->initrd_bytes &&
        !boot_place_high(&busy, BOOT_HIGH_START, ram->low_end, plan->initrd_bytes, GMEM_PAGE_BYTES,
                         &plan->initrd_gpa))
        return err_set(e, ENOMEM,
                       "not enough memory: kernel %s needs %llu MiB, initrd %s %llu MiB more, "
                       "the guest has %llu MiB; set memory: %lluM or more",
                       b->kernel.path, (unsigned long long)((b->elf.end + MIB(1) - 1) >> 20),
                       b->initrd.path,
                       (unsigned long long)((plan->initrd_bytes + MIB(1) - 1) >> 20),
                       (unsigned long long)(ram->size_bytes >> 20),
                       (unsigned long long)boot_memory_hint_mib(b->elf.end + plan->initrd_bytes));
    return 0;
}

static int pvh_open(struct boot_image *b, const struct vm_config *c, struct err *e)
{
    struct boot_ram ram = boot_ram_of(c->memory_bytes);
    uint64_t entry = b->elf.pvh_entry;
    struct pvh_plan plan;
    bool inside = false;

    b->protocol = BOOT_PVH;
    for (unsigned i = 0; i < b->elf.nsegs; i++)
        inside |= entry - b->elf.segs[i].paddr < b->elf.segs[i].memsz;
    if (!inside)
        return err_set(e, EBADMSG, "kernel %s has a PVH entry at 0x%llx, where it loads nothing",
                       b->kernel.path, (unsigned long long)entry);
    if (b->elf.says_linux)
        snprintf(b->note, sizeof b->note, "a vmlinux entered by PVH has no KASLR; the bzImage has");
    return pvh_plan(b, &ram, c->append ? c->append : "", &plan, e);
}

static void put_memmap(uint8_t *block, const struct boot_ram *ram, uint64_t gpa)
{
    struct boot_mem map[BOOT_MEMMAP_MAX];
    unsigned n = boot_memmap(ram, map);

    le64_put(block + INFO + 40, gpa + MEMMAP);
    le32_put(block + INFO + 48, n);
    for (unsigned i = 0; i < n; i++) {
        uint8_t *p = block + MEMMAP + i * MEMMAP_ENTRY_BYTES;

        le64_put(p, map[i].start);
        le64_put(p + 8, map[i].size);
        le32_put(p + 16, map[i].type);
    }
}

static int write_block(const struct pvh_plan *plan, const struct boot_ram *ram,
                       const struct boot_params *p, const char *cmdline, struct gmem *m)
{
    uint8_t block[BLOCK_BYTES] = {0};
    uint64_t gpa = plan->block_gpa;
    int r;

    le32_put(block + INFO, START_MAGIC);
    le32_put(block + INFO + 4, 1); /* version */
    if (plan->initrd_bytes) {
        le32_put(block + INFO + 12, 1);
        le64_put(block + INFO + 16, gpa + MODULE);
        le64_put(block + MODULE, plan->initrd_gpa);
        le64_put(block + MODULE + 8, plan->initrd_bytes);
    }
    le64_put(block + INFO + 24, gpa + BLOCK_BYTES);
    le64_put(block + INFO + 32, p->rsdp_gpa);
    put_memmap(block, ram, gpa);
    r = gmem_write(m, gpa, block, sizeof block);
    return r < 0 ? r : gmem_write(m, gpa + BLOCK_BYTES, cmdline, strlen(cmdline) + 1);
}

static int pvh_load(const struct boot_image *b, struct gmem *m, const struct boot_params *p,
                    struct x86_regs *regs, struct err *e)
{
    struct boot_ram ram = boot_ram_of(gmem_size_bytes(m));
    const char *cmdline = p->cmdline ? p->cmdline : "";
    struct pvh_plan plan;
    int r = pvh_plan(b, &ram, cmdline, &plan, e);

    if (r == 0)
        r = boot_elf_load(&b->elf, &b->kernel, m, e);
    if (r == 0)
        r = boot_file_load(&b->initrd, 0, plan.initrd_bytes, m, plan.initrd_gpa, e);
    if (r < 0)
        return r;
    boot_regs_flat32(regs, b->elf.pvh_entry);
    regs->gpr[X86_RBX] = plan.block_gpa;
    r = write_block(&plan, &ram, p, cmdline, m);
    if (r == 0)
        r = boot_gdt_write(m, plan.block_gpa + GDT, false, regs);
    return r < 0 ? err_set(e, -r, "the guest's memory is too small; set memory: 16M or more") : 0;
}

const struct boot_format boot_format_pvh = {
    .probe = pvh_probe,
    .open = pvh_open,
    .load = pvh_load,
};
