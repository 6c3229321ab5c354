/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * boot_flat: code without any header: a boot sector (512 bytes to 64 KiB that carry the
 * signature 55 AA at offset 510), or a file named *.bin or *.flat.
 *
 * Both go to 0x7c00 and are entered there in real mode, as a PC's BIOS enters a boot sector:
 * CS:IP 0000:7c00, other segments 0, SP 0x7c00, DL 0x80, interrupts off. The file is
 * loaded whole: there is no `int 13h` to get the rest of it.
 */
#include "core/boot_priv.h"

#include "core/mem.h"

#include <errno.h>
#include <string.h>

enum {
    FLAT_GPA = 0x7c00,
    FLAT_MAX_BYTES = BOOT_LOW_END - FLAT_GPA,
    SECTOR = 512,
    BOOT_SECTOR_MAX_BYTES = 65536,
    FIRST_DISK = 0x80,
};

static bool ends_with(const char *s, const char *suffix)
{
    size_t a = strlen(s), b = strlen(suffix);

    return a >= b && !strcmp(s + a - b, suffix);
}

static bool flat_probe(const struct boot_image *b)
{
    if (boot_is_elf(b))
        return false;
    if (ends_with(b->kernel.path, ".bin") || ends_with(b->kernel.path, ".flat"))
        return true;
    return b->head_bytes >= SECTOR && b->kernel.size_bytes <= BOOT_SECTOR_MAX_BYTES &&
           b->head[510] == 0x55 && b->head[511] == 0xaa;
}

static int flat_open(struct boot_image *b, const struct vm_config *c, struct err *e)
{
    (void)c;
    if (b->kernel.size_bytes > FLAT_MAX_BYTES)
        return err_set(e, EFBIG,
                       "kernel %s is too large for a flat binary: %llu bytes, at most %d fit "
                       "between 0x7c00 and 640K; use Multiboot",
                       b->kernel.path, (unsigned long long)b->kernel.size_bytes, FLAT_MAX_BYTES);
    if (b->initrd.fd >= 0)
        return err_set(e, EINVAL, "a flat binary takes no initrd; remove initrd:");
    b->protocol = BOOT_FLAT;
    return 0;
}

static int flat_load(const struct boot_image *b, struct gmem *m, const struct boot_params *p,
                     struct x86_regs *regs, struct err *e)
{
    (void)p;
    x86_regs_reset(regs);
    regs->seg[X86_CS].sel = 0;
    regs->seg[X86_CS].base = 0;
    regs->rip = FLAT_GPA;
    regs->gpr[X86_RSP] = FLAT_GPA;
    regs->gpr[X86_RDX] = FIRST_DISK;
    regs->idt.limit = 0x3ff;
    return boot_file_load(&b->kernel, 0, b->kernel.size_bytes, m, FLAT_GPA, e);
}

const struct boot_format boot_format_flat = {
    .probe = flat_probe,
    .open = flat_open,
    .load = flat_load,
};
