/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * boot_zeropage: what a Linux kernel is handed at its entry: `struct boot_params` (the "zero
 * page") with setup header, memory map, command line and a random seed; flat segments; for the
 * 64-bit entry an identity map.
 *
 * Linux Documentation/arch/x86/boot.rst ("32-bit" and "64-bit boot protocol") and zero-page.rst.
 */
#include "core/boot_priv.h"

#include "core/mem.h"

#include <errno.h>
#include <string.h>

/* offsets in the zero page */
enum {
    ZP_ACPI_RSDP = 0x070,
    ZP_EXT_INITRD = 0x0c0,
    ZP_EXT_INITRD_SIZE = 0x0c4,
    ZP_EXT_CMDLINE = 0x0c8,
    ZP_E820_ENTRIES = 0x1e8,
    ZP_HEADER = 0x1f1,
    ZP_VID_MODE = 0x1fa,
    ZP_TYPE_OF_LOADER = 0x210,
    ZP_LOADFLAGS = 0x211,
    ZP_CODE32_START = 0x214,
    ZP_INITRD = 0x218,
    ZP_INITRD_SIZE = 0x21c,
    ZP_CMDLINE = 0x228,
    ZP_SETUP_DATA = 0x250,
    ZP_E820 = 0x2d0,
    ZP_BYTES = 4096,
    E820_BYTES = 20,
};

enum {
    LOADER_UNKNOWN = 0xff,
    LOADFLAGS_KASLR = 1 << 1,
    VID_MODE_NORMAL = 0xffff,
    SETUP_RNG_SEED = 9, /* since Linux 6.0, ignored before */
    SEED_BYTES = 32,
};

static void put_memmap(uint8_t *zp, const struct boot_ram *ram)
{
    struct boot_mem map[BOOT_MEMMAP_MAX];
    unsigned n = boot_memmap(ram, map);

    zp[ZP_E820_ENTRIES] = (uint8_t)n;
    for (unsigned i = 0; i < n; i++) {
        uint8_t *e = zp + ZP_E820 + i * E820_BYTES;

        le64_put(e, map[i].start);
        le64_put(e + 8, map[i].size);
        le32_put(e + 16, map[i].type);
    }
}

static void put_header(uint8_t *zp, const struct linux_header *h, const struct linux_plan *plan)
{
    memcpy(zp + ZP_HEADER, h->raw, h->raw_bytes);
    zp[ZP_TYPE_OF_LOADER] = LOADER_UNKNOWN;
    zp[ZP_LOADFLAGS] &= (uint8_t)~LOADFLAGS_KASLR;
    if (plan->kaslr)
        zp[ZP_LOADFLAGS] |= LOADFLAGS_KASLR;
    le16_put(zp + ZP_VID_MODE, VID_MODE_NORMAL);
    le32_put(zp + ZP_CODE32_START, (uint32_t)plan->kernel_gpa);
    le32_put(zp + ZP_CMDLINE, BOOT_CMDLINE_GPA);
    le32_put(zp + ZP_EXT_CMDLINE, 0);
    le32_put(zp + ZP_INITRD, (uint32_t)plan->initrd_gpa);
    le32_put(zp + ZP_EXT_INITRD, (uint32_t)(plan->initrd_gpa >> 32));
    le32_put(zp + ZP_INITRD_SIZE, (uint32_t)plan->initrd_bytes);
    le32_put(zp + ZP_EXT_INITRD_SIZE, (uint32_t)(plan->initrd_bytes >> 32));
    le64_put(zp + ZP_SETUP_DATA, BOOT_SEED_GPA);
}

/* struct setup_data: next, type, length, data. */
static int write_seed(struct gmem *m, struct err *e)
{
    uint8_t d[16 + SEED_BYTES] = {0};
    int r = boot_random(d + 16, SEED_BYTES, e);

    if (r < 0)
        return r;
    le32_put(d + 8, SETUP_RNG_SEED);
    le32_put(d + 12, SEED_BYTES);
    r = gmem_write(m, BOOT_SEED_GPA, d, sizeof d);
    explicit_bzero(d, sizeof d);
    return r;
}

static int write_cmdline(const struct linux_header *h, const char *cmdline, struct gmem *m,
                         struct err *e)
{
    size_t len = cmdline ? strlen(cmdline) : 0;

    if (len > h->cmdline_max || len >= BOOT_CMDLINE_MAX)
        return err_set(e, E2BIG,
                       "the kernel command line has %zu characters, this kernel takes at "
                       "most %u; shorten append:",
                       len,
                       h->cmdline_max < BOOT_CMDLINE_MAX ? h->cmdline_max : BOOT_CMDLINE_MAX - 1);
    return gmem_write(m, BOOT_CMDLINE_GPA, len ? cmdline : "", len + 1);
}

int boot_zeropage_write(const struct linux_header *h, const struct linux_plan *plan,
                        const struct boot_ram *ram, const struct boot_params *p, struct gmem *m,
                        struct err *e)
{
    uint8_t zp[ZP_BYTES] = {0};
    int r = write_cmdline(h, p->cmdline, m, e);

    if (r == 0)
        r = write_seed(m, e);
    if (r < 0)
        return r;
    put_header(zp, h, plan);
    put_memmap(zp, ram);
    le64_put(zp + ZP_ACPI_RSDP, p->rsdp_gpa);
    return gmem_write(m, BOOT_ZERO_PAGE_GPA, zp, sizeof zp);
}

enum { PTE_P = 1, PTE_RW = 2, PTE_PS = 0x80, PTE_BYTES = 8, TABLE_ENTRIES = 512 };
enum {
    CR0_PE = 1,
    CR0_ET = 0x10,
    CR0_NE = 0x20,
    CR4_PAE = 0x20,
    EFER_LME = 0x100,
    EFER_LMA = 0x400
};
#define CR0_PG 0x80000000u

/* Page tables being filled; the root first, directories as they are needed. */
struct tables {
    uint8_t pages[BOOT_PAGE_TABLES][GMEM_PAGE_BYTES];
    unsigned used;
};

static uint64_t table_gpa(unsigned n)
{
    return BOOT_PAGE_TABLES_GPA + n * GMEM_PAGE_BYTES;
}

enum { ROOT, POINTERS, FIRST_DIRECTORY };

/* Maps the GiB number `gib` onto itself, in pages of 2 MiB. */
static int map_gib(struct tables *t, uint64_t gib)
{
    uint8_t *pointer = t->pages[POINTERS] + gib * PTE_BYTES;

    if (gib >= TABLE_ENTRIES)
        return -EFAULT;
    if (le64_get(pointer))
        return 0;
    if (t->used == BOOT_PAGE_TABLES)
        return -EFAULT;
    for (unsigned i = 0; i < TABLE_ENTRIES; i++)
        le64_put(t->pages[t->used] + i * PTE_BYTES,
                 (GIB(gib) + MIB(2) * i) | PTE_P | PTE_RW | PTE_PS);
    le64_put(pointer, table_gpa(t->used) | PTE_P | PTE_RW);
    t->used++;
    return 0;
}

static int write_tables(const struct linux_plan *plan, struct gmem *m)
{
    struct tables t = {.used = FIRST_DIRECTORY};
    uint64_t last = (plan->kernel_gpa + plan->kernel_bytes - 1) >> 30;
    int r = 0;

    le64_put(t.pages[ROOT], table_gpa(POINTERS) | PTE_P | PTE_RW);
    for (uint64_t gib = 0; gib < 4 && r == 0; gib++)
        r = map_gib(&t, gib);
    for (uint64_t gib = plan->kernel_gpa >> 30; gib <= last && r == 0; gib++)
        r = map_gib(&t, gib);
    if (r == 0)
        r = gmem_write(m, table_gpa(ROOT), t.pages, t.used * GMEM_PAGE_BYTES);
    return r;
}

#define TOO_SMALL "the guest's memory is too small to boot Linux; set memory: 64M or more"

int boot_long_mode_write(const struct linux_plan *plan, uint64_t entry, struct gmem *m,
                         struct x86_regs *r, struct err *e)
{
    int rc = write_tables(plan, m);

    x86_regs_reset(r);
    if (rc == 0)
        rc = boot_gdt_write(m, BOOT_GDT_GPA, true, r);
    if (rc < 0)
        return err_set(e, -rc, TOO_SMALL);
    memset(r->gpr, 0, sizeof r->gpr);
    r->gpr[X86_RSI] = BOOT_ZERO_PAGE_GPA;
    r->rip = entry;
    r->idt.limit = 0;
    r->cr0 = CR0_PG | CR0_NE | CR0_ET | CR0_PE;
    r->cr3 = table_gpa(ROOT);
    r->cr4 = CR4_PAE;
    r->efer = EFER_LME | EFER_LMA;
    return 0;
}

int boot_entry32_write(uint64_t entry, struct gmem *m, struct x86_regs *r, struct err *e)
{
    int rc;

    boot_regs_flat32(r, (uint32_t)entry);
    rc = boot_gdt_write(m, BOOT_GDT_GPA, false, r);
    if (rc < 0)
        return err_set(e, -rc, TOO_SMALL);
    r->gpr[X86_RSI] = BOOT_ZERO_PAGE_GPA;
    return 0;
}
