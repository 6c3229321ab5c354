/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * boot: see boot.h. Opens the files, finds the format, and says what a file is that cannot be
 * booted. What a format needs is in its own file; boot_priv.h lists them.
 *
 * Order of formats: bzImage (its header is unmistakable), ELF with PVH note, Multiboot (ELF or
 * flat), flat binary. An ELF with both a PVH note and a Multiboot header is booted by PVH.
 */
#include "core/bios.h"
#include "core/boot_priv.h"

#include "core/mem.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct boot_format *const formats[] = {
    &boot_format_linux,
    &boot_format_pvh,
    &boot_format_multiboot,
    &boot_format_flat,
};

#define KNOWN_KINDS                                                                                \
    "known are: Linux bzImage (vmlinuz), ELF with a PVH note, ELF or flat with a Multiboot 1 "     \
    "header, boot sector or flat binary (*.bin, *.flat)"

const char *boot_protocol_name(enum boot_protocol p)
{
    static const char *const names[] = {
        [BOOT_LINUX64] = "Linux bzImage",
        [BOOT_LINUX32] = "Linux bzImage, 32-bit",
        [BOOT_LINUX_DIRECT] = "Linux direct",
        [BOOT_PVH] = "PVH",
        [BOOT_MULTIBOOT] = "Multiboot",
        [BOOT_FLAT] = "flat binary",
    };

    return (unsigned)p < sizeof names / sizeof names[0] ? names[p] : "unknown";
}

/* ---- files that are something else ---- */

struct kind {
    unsigned offset;
    const char *magic;
    unsigned len;
    const char *what;
};

static const struct kind kinds[] = {
    {0, "\x1f\x8b", 2, "a gzip file (an initrd? unpack a compressed vmlinux first)"},
    {0, "\xfd\x37zXZ", 5, "an xz file (unpack it first)"},
    {0, "\x28\xb5\x2f\xfd", 4, "a zstd file (unpack it first)"},
    {0, "070701", 6, "a cpio archive (an initrd? it goes to initrd:)"},
    {0, "QFI\xfb", 4, "a qcow2 disk image (it goes to disks:)"},
    {0, "KDMV", 4, "a VMDK disk image (it goes to disks:)"},
    {0, "conectix", 8, "a VHD disk image (it goes to disks:)"},
    {0x8001, "CD001", 5, "an ISO image; take the kernel and initrd out of it"},
    {0, "PK\x03\x04", 4, "a zip archive"},
    {0, "!<arch>", 7, "an archive (.a or .deb); take the kernel out of it"},
    {0, "#!", 2, "a script"},
    {0, "\xd6\x50\x52\xe8", 4, "a Multiboot 2 kernel; only Multiboot 1 is known"},
    {0, "MZ", 2, "a DOS or EFI program; there is no EFI here"},
    {510, "\x55\xaa", 2,
     "a disk image with a boot sector (there is no BIOS here: give a kernel, and the "
     "disk under disks:)"},
    {0x101, "ustar", 5, "a tar archive"},
};

static bool has_magic(const struct boot_image *b, const struct kind *k)
{
    uint8_t buf[16];

    if (k->offset + k->len <= b->head_bytes)
        return !memcmp(b->head + k->offset, k->magic, k->len);
    return k->len <= sizeof buf && k->offset + k->len <= b->kernel.size_bytes &&
           boot_file_read(&b->kernel, k->offset, buf, k->len, NULL) == 0 &&
           !memcmp(buf, k->magic, k->len);
}

static int explain_unknown(const struct boot_image *b, struct err *e)
{
    const char *path = b->kernel.path;

    if (boot_is_elf(b))
        return err_set(e, ENOEXEC,
                       "kernel %s is an ELF file without a way in: it has neither a PVH note "
                       "nor a Multiboot 1 header; for a Linux vmlinux, use the bzImage",
                       path);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (has_magic(b, &kinds[i]))
            return err_set(e, ENOEXEC, "kernel %s is %s; " KNOWN_KINDS, path, kinds[i].what);
    return err_set(e, ENOEXEC, "kernel %s is of no known kind; " KNOWN_KINDS, path);
}

/* ---- open, close ---- */

bool boot_is_elf(const struct boot_image *b)
{
    return boot_elf_is(b->head, b->head_bytes);
}

static int open_files(struct boot_image *b, const struct vm_config *c, struct err *e)
{
    int r;

    if (!c->kernel || !c->kernel[0])
        return err_set(e, EINVAL, "the guest has no kernel; give kernel: PATH or image: NAME");
    r = boot_file_open(&b->kernel, "kernel", c->kernel, e);
    if (r == 0 && c->initrd && c->initrd[0])
        r = boot_file_open(&b->initrd, "initrd", c->initrd, e);
    if (r < 0)
        return r;
    b->head_bytes =
        b->kernel.size_bytes < sizeof b->head ? (size_t)b->kernel.size_bytes : sizeof b->head;
    return boot_file_read(&b->kernel, 0, b->head, b->head_bytes, e);
}

static int parse_elf(struct boot_image *b, struct err *e)
{
    struct boot_source s = {.file = &b->kernel, .size_bytes = b->kernel.size_bytes};
    int r;

    if (!boot_is_elf(b))
        return 0;
    r = boot_elf_parse(&s, &b->elf, e);
    if (r < 0)
        err_prefix(e, "kernel %s: ", b->kernel.path);
    return r;
}

static int find_format(struct boot_image *b, const struct vm_config *c, struct err *e)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (formats[i]->probe(b)) {
            b->format = formats[i];
            return b->format->open(b, c, e);
        }
    return explain_unknown(b, e);
}

struct boot_image *boot_open(const struct vm_config *c, struct err *e)
{
    struct boot_image *b = calloc(1, sizeof *b);

    if (!b) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    b->kernel.fd = b->initrd.fd = -1;
    if (open_files(b, c, e) < 0 || parse_elf(b, e) < 0 || find_format(b, c, e) < 0) {
        boot_close(b);
        return NULL;
    }
    return b;
}

void boot_close(struct boot_image *b)
{
    if (!b)
        return;
    if (b->format && b->format->close)
        b->format->close(b);
    boot_file_close(&b->kernel);
    boot_file_close(&b->initrd);
    free(b);
}

enum boot_protocol boot_image_protocol(const struct boot_image *b)
{
    return b->protocol;
}

const char *boot_image_note(const struct boot_image *b)
{
    return b->note;
}

/* What a BIOS leaves in its data area (RBIL memory.lst, 0040h:), as far as kernels look: Xen and
 * Linux place their real-mode code below the base memory's end, others find serial ports here. */
static int write_bios_data(struct gmem *m, struct err *e)
{
    enum { BDA = 0x400, BDA_BYTES = 0x16, COM1 = 0x3f8, COM2 = 0x2f8, TWO_PORTS_AND_FPU = 2 << 9 | 2 };
    uint8_t bda[BDA_BYTES] = {0}, ebda_kib = (0xa0000 - BOOT_LOW_END) >> 10;
    int r;

    le16_put(bda + 0x00, COM1);
    le16_put(bda + 0x02, COM2);
    le16_put(bda + 0x0e, BOOT_LOW_END >> 4); /* segment of the extended data area */
    le16_put(bda + 0x10, TWO_PORTS_AND_FPU);
    le16_put(bda + 0x13, BOOT_LOW_END >> 10);
    r = bios_write(m);
    if (r == 0)
        r = gmem_write(m, BDA, bda, sizeof bda);
    if (r == 0)
        r = gmem_write(m, BOOT_LOW_END, &ebda_kib, 1);
    return r < 0 ? err_set(e, -r, "the guest's memory is too small; set memory: 16M or more") : 0;
}

int boot_load(const struct boot_image *b, struct gmem *m, const struct boot_params *p,
              struct x86_regs *regs, struct err *e)
{
    int r = write_bios_data(m, e); /* first: an image may lie there */

    return r < 0 ? r : b->format->load(b, m, p, regs, e);
}
