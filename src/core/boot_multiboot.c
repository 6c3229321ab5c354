/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * boot_multiboot: kernels with a Multiboot 1 header: ELF (32-bit, or 64-bit with an entry
 * below 4 GiB), or flat with the address fields of the header ("a.out kludge").
 *
 * Multiboot Specification 0.6.96. Given: memory sizes and map, command line, the initrd as one
 * module (its string is the file's name), boot loader name. Not given: video modes (there is
 * no display: a kernel that requires one is refused), ELF symbols, drives, APM, BIOS tables.
 */
#include "core/boot_priv.h"

#include "core/mem.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#define HEADER_MAGIC 0x1badb002u
#define ENTRY_MAGIC 0x2badb002u

enum { HEADER_BYTES = 12, ADDRESS_BYTES = 32 };

/* header flags; 0-15 must be understood, 16-31 may be ignored */
enum {
    REQUIRE_PAGE_ALIGN = 1 << 0,
    REQUIRE_MEMORY = 1 << 1,
    REQUIRE_VIDEO = 1 << 2,
    REQUIRE_MASK = 0xffff,
    HAS_ADDRESSES = 1 << 16,
};

/* info flags */
enum {
    INFO_MEMORY = 1 << 0,
    INFO_CMDLINE = 1 << 2,
    INFO_MODULES = 1 << 3,
    INFO_MMAP = 1 << 6,
    INFO_LOADER_NAME = 1 << 9,
};

/* the block of structures that the kernel is handed, and offsets in it */
enum {
    INFO = 0,
    INFO_BYTES = 120,
    MODULE = 128,
    MMAP = 160,
    MMAP_ENTRY_BYTES = 24, /* the size field counts 20 of them */
    GDT = 320,
    LOADER = 352,
    MODULE_NAME = 384,
    MODULE_NAME_MAX = 128,
    BLOCK_BYTES = MODULE_NAME + MODULE_NAME_MAX, /* the command line follows */
};

/* The header lies in the first 8 KiB, aligned to 4. Returns its offset, or -1. */
static long find_header(const struct boot_image *b)
{
    for (size_t at = 0; at + HEADER_BYTES <= b->head_bytes; at += 4) {
        const uint8_t *p = b->head + at;

        if (le32_get(p) == HEADER_MAGIC && le32_get(p) + le32_get(p + 4) + le32_get(p + 8) == 0)
            return (long)at;
    }
    return -1;
}

static bool multiboot_probe(const struct boot_image *b)
{
    return find_header(b) >= 0;
}

static int check_flags(const struct boot_image *b, uint32_t flags, struct err *e)
{
    uint32_t unknown =
        flags & REQUIRE_MASK & ~(REQUIRE_PAGE_ALIGN | REQUIRE_MEMORY | REQUIRE_VIDEO);

    if (flags & REQUIRE_VIDEO)
        return err_set(e, ENOTSUP,
                       "kernel %s requires a video mode (bit 2 of its Multiboot header); "
                       "there is no display here: clear the bit, write to port 0x3f8",
                       b->kernel.path);
    if (unknown)
        return err_set(e, ENOTSUP,
                       "kernel %s requires unknown features of its Multiboot loader (bits "
                       "0x%x of its header)",
                       b->kernel.path, unknown);
    return 0;
}

/* The address fields: 3.1.3 of the specification. */
static int read_addresses(struct boot_image *b, struct err *e)
{
    struct multiboot_boot *mb = &b->mb;
    const uint8_t *p = b->head + mb->header_offset;
    uint64_t header_addr, load, load_end, bss_end, before;

    if (mb->header_offset + ADDRESS_BYTES > b->head_bytes)
        return err_set(e, ENODATA, "kernel %s is truncated inside its Multiboot header",
                       b->kernel.path);
    header_addr = le32_get(p + 12);
    load = le32_get(p + 16);
    load_end = le32_get(p + 20);
    bss_end = le32_get(p + 24);
    mb->entry = le32_get(p + 28);
    before = header_addr - load;
    if (header_addr < load || before > mb->header_offset)
        return err_set(e, EBADMSG,
                       "kernel %s: load_addr in its Multiboot header lies before the file",
                       b->kernel.path);
    mb->file_offset = mb->header_offset - before;
    mb->load_gpa = load;
    mb->load_bytes = load_end ? load_end - load : b->kernel.size_bytes - mb->file_offset;
    if ((load_end && load_end < load) || mb->load_bytes == 0 ||
        mb->load_bytes > b->kernel.size_bytes - mb->file_offset)
        return err_set(e, EBADMSG,
                       "kernel %s is truncated, or load_end_addr in its Multiboot header is "
                       "wrong",
                       b->kernel.path);
    if (bss_end && bss_end < load + mb->load_bytes)
        return err_set(e, EBADMSG,
                       "kernel %s: bss_end_addr in its Multiboot header lies before the end "
                       "of what is loaded",
                       b->kernel.path);
    mb->mem_bytes = bss_end ? bss_end - load : mb->load_bytes;
    if (mb->entry - load >= mb->mem_bytes)
        return err_set(e, EBADMSG,
                       "kernel %s: entry_addr in its Multiboot header lies outside of it",
                       b->kernel.path);
    return 0;
}

/* A flat kernel as an ELF of one segment, so that the rest need not know. */
static void as_elf(struct boot_image *b)
{
    const struct multiboot_boot *mb = &b->mb;

    b->elf = (struct boot_elf){
        .bits = 32,
        .machine = EM_386,
        .nsegs = 1,
        .segs = {{mb->file_offset, mb->load_gpa, mb->load_gpa, mb->load_bytes, mb->mem_bytes}},
        .start = mb->load_gpa,
        .end = mb->load_gpa + mb->mem_bytes,
    };
}

static int read_kernel(struct boot_image *b, struct err *e)
{
    struct multiboot_boot *mb = &b->mb;
    const uint8_t *p;
    int r;

    mb->header_offset = (uint32_t)find_header(b);
    p = b->head + mb->header_offset;
    r = check_flags(b, le32_get(p + 4), e);
    if (r < 0)
        return r;
    if (le32_get(p + 4) & HAS_ADDRESSES) {
        r = read_addresses(b, e);
        if (r == 0)
            as_elf(b);
        return r;
    }
    if (!boot_is_elf(b))
        return err_set(e, EBADMSG,
                       "kernel %s has a Multiboot header without addresses (bit 16) and is no "
                       "ELF",
                       b->kernel.path);
    mb->entry = b->elf.entry;
    if (!boot_elf_entry(&b->elf, &mb->entry) || mb->entry > UINT32_MAX)
        return err_set(e, EBADMSG,
                       "kernel %s has an entry point outside of its segments, or above "
                       "4 GiB",
                       b->kernel.path);
    return 0;
}

struct mb_plan {
    uint64_t block_gpa, module_gpa, module_bytes;
};

static int mb_plan(const struct boot_image *b, const struct boot_ram *ram, const char *cmdline,
                   struct mb_plan *plan, struct err *e)
{
    struct boot_busy busy = {0};
    uint64_t after = b->elf.end > BOOT_HIGH_START ? b->elf.end : BOOT_HIGH_START;
    int r = boot_elf_check_ram(&b->elf, &b->kernel, ram, &busy, e);

    if (r < 0)
        return r;
    *plan = (struct mb_plan){.module_bytes = b->initrd.fd >= 0 ? b->initrd.size_bytes : 0};
    if (!boot_place_low(&busy, BOOT_GDT_GPA, BOOT_LOW_END, BLOCK_BYTES + strlen(cmdline) + 1, 64,
                        &plan->block_gpa))
        return err_set(e, E2BIG,
                       "kernel %s leaves no room below 640K for its command line of %zu "
                       "bytes; shorten append:",
                       b->kernel.path, strlen(cmdline));
    if (plan->module_bytes && !boot_place_low(&busy, after, ram->low_end, plan->module_bytes,
                                              GMEM_PAGE_BYTES, &plan->module_gpa))
        return err_set(e, ENOMEM,
                       "not enough memory: kernel %s needs %llu MiB, module %s %llu MiB more, "
                       "the guest has %llu MiB; set memory: %lluM or more",
                       b->kernel.path, (unsigned long long)((after + MIB(1) - 1) >> 20),
                       b->initrd.path,
                       (unsigned long long)((plan->module_bytes + MIB(1) - 1) >> 20),
                       (unsigned long long)(ram->size_bytes >> 20),
                       (unsigned long long)boot_memory_hint_mib(after + plan->module_bytes));
    return 0;
}

static int multiboot_open(struct boot_image *b, const struct vm_config *c, struct err *e)
{
    struct boot_ram ram = boot_ram_of(c->memory_bytes);
    struct mb_plan plan;
    int r = read_kernel(b, e);

    b->protocol = BOOT_MULTIBOOT;
    return r < 0 ? r : mb_plan(b, &ram, c->append ? c->append : "", &plan, e);
}

static void put_memory(uint8_t *block, const struct boot_ram *ram, uint64_t gpa)
{
    struct boot_mem map[BOOT_MEMMAP_MAX];
    unsigned n = boot_memmap(ram, map);
    uint64_t upper = ram->low_end > BOOT_HIGH_START ? ram->low_end - BOOT_HIGH_START : 0;

    le32_put(block + INFO + 4, BOOT_LOW_END / 1024);
    le32_put(block + INFO + 8, (uint32_t)(upper / 1024));
    le32_put(block + INFO + 44, n * MMAP_ENTRY_BYTES);
    le32_put(block + INFO + 48, (uint32_t)gpa + MMAP);
    for (unsigned i = 0; i < n; i++) {
        uint8_t *p = block + MMAP + i * MMAP_ENTRY_BYTES;

        le32_put(p, MMAP_ENTRY_BYTES - 4);
        le64_put(p + 4, map[i].start);
        le64_put(p + 12, map[i].size);
        le32_put(p + 20, map[i].type);
    }
}

static void put_module(uint8_t *block, const struct boot_image *b, const struct mb_plan *plan)
{
    const char *slash = strrchr(b->initrd.path, '/');
    const char *name = slash ? slash + 1 : b->initrd.path;
    size_t len = strnlen(name, MODULE_NAME_MAX - 1);

    le32_put(block + INFO + 20, 1);
    le32_put(block + INFO + 24, (uint32_t)plan->block_gpa + MODULE);
    le32_put(block + MODULE, (uint32_t)plan->module_gpa);
    le32_put(block + MODULE + 4, (uint32_t)(plan->module_gpa + plan->module_bytes));
    le32_put(block + MODULE + 8, (uint32_t)plan->block_gpa + MODULE_NAME);
    memcpy(block + MODULE_NAME, name, len);
}

static int write_block(const struct boot_image *b, const struct mb_plan *plan,
                       const struct boot_ram *ram, const char *cmdline, struct gmem *m)
{
    uint8_t block[BLOCK_BYTES] = {0};
    uint32_t gpa = (uint32_t)plan->block_gpa;
    int r;

    le32_put(block + INFO,
             INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MMAP | INFO_LOADER_NAME);
    le32_put(block + INFO + 16, gpa + BLOCK_BYTES);
    le32_put(block + INFO + 64, gpa + LOADER);
    memcpy(block + LOADER, "ruche", 6);
    put_memory(block, ram, gpa);
    if (plan->module_bytes)
        put_module(block, b, plan);
    r = gmem_write(m, gpa, block, sizeof block);
    return r < 0 ? r : gmem_write(m, gpa + BLOCK_BYTES, cmdline, strlen(cmdline) + 1);
}

static int multiboot_load(const struct boot_image *b, struct gmem *m, const struct boot_params *p,
                          struct x86_regs *regs, struct err *e)
{
    struct boot_ram ram = boot_ram_of(gmem_size_bytes(m));
    const char *cmdline = p->cmdline ? p->cmdline : "";
    struct mb_plan plan;
    int r = mb_plan(b, &ram, cmdline, &plan, e);

    if (r == 0)
        r = boot_elf_load(&b->elf, &b->kernel, m, e);
    if (r == 0)
        r = boot_file_load(&b->initrd, 0, plan.module_bytes, m, plan.module_gpa, e);
    if (r < 0)
        return r;
    boot_regs_flat32(regs, (uint32_t)b->mb.entry);
    regs->gpr[X86_RAX] = ENTRY_MAGIC;
    regs->gpr[X86_RBX] = plan.block_gpa;
    r = write_block(b, &plan, &ram, cmdline, m);
    if (r == 0)
        r = boot_gdt_write(m, plan.block_gpa + GDT, false, regs);
    return r < 0 ? err_set(e, -r, "the guest's memory is too small; set memory: 16M or more") : 0;
}

const struct boot_format boot_format_multiboot = {
    .probe = multiboot_probe,
    .open = multiboot_open,
    .load = multiboot_load,
};
