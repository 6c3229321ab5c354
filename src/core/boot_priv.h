/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * boot_priv: what the files boot*.c share, and nobody else includes.
 *
 * boot.c          front: files, choice of format, errors about unknown files
 * boot_file.c     image files: opening, reading exactly, reading into guest memory
 * boot_place.c    RAM map, free ranges, where things go; the first descriptor table
 * boot_linux.c    bzImage: header, plan, load; boot_zeropage.c: struct boot_params of Linux
 * boot_kernel.c   unpacked kernels, shared by the guests of the process
 * boot_unpack.c   decompressors; boot_cache.c: unpacked kernels on disk; boot_sha256.c
 * boot_kaslr.c    random places and the relocations that go with them
 * boot_elf.c      ELF headers and segments; boot_pvh.c, boot_multiboot.c, boot_flat.c
 */
#ifndef RUCHE_CORE_BOOT_PRIV_H
#define RUCHE_CORE_BOOT_PRIV_H

#include "core/boot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

/* ---- little-endian fields of files and guest structures ---- */

static inline uint16_t le16_get(const void *p)
{
    const uint8_t *b = p;

    return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t le32_get(const void *p)
{
    return le16_get(p) | (uint32_t)le16_get((const uint8_t *)p + 2) << 16;
}

static inline uint64_t le64_get(const void *p)
{
    return le32_get(p) | (uint64_t)le32_get((const uint8_t *)p + 4) << 32;
}

static inline void le16_put(void *p, uint16_t v)
{
    uint8_t *b = p;

    b[0] = (uint8_t)v;
    b[1] = (uint8_t)(v >> 8);
}

static inline void le32_put(void *p, uint32_t v)
{
    le16_put(p, (uint16_t)v);
    le16_put((uint8_t *)p + 2, (uint16_t)(v >> 16));
}

static inline void le64_put(void *p, uint64_t v)
{
    le32_put(p, (uint32_t)v);
    le32_put((uint8_t *)p + 4, (uint32_t)(v >> 32));
}

/* ---- boot_file.c ---- */

struct boot_file {
    int fd; /* -1: none */
    char *path;
    const char *what; /* "kernel", "initrd": for sentences */
    uint64_t size_bytes;
    dev_t dev;
    ino_t ino;
    struct timespec mtime, ctime;
};

int boot_file_open(struct boot_file *f, const char *what, const char *path, struct err *e);
void boot_file_close(struct boot_file *f);

/* Reads exactly `len` bytes; -EIO if the file became shorter since it was opened. */
int boot_file_read(const struct boot_file *f, uint64_t offset, void *buf, size_t len,
                   struct err *e) RUCHE_MUST_CHECK;
/* The same into guest memory; -EFAULT if [gpa, gpa+len) is not RAM. */
int boot_file_load(const struct boot_file *f, uint64_t offset, uint64_t len, struct gmem *m,
                   uint64_t gpa, struct err *e) RUCHE_MUST_CHECK;

/* ---- boot_place.c ---- */

enum {
    /* Below 1 MiB. Page 0 has interrupt vectors (zero) and BIOS data. Linux only: the others
     * look for free places, because their kernels may be linked to these addresses. */
    BOOT_GDT_GPA = 0x6000,
    BOOT_ZERO_PAGE_GPA = 0x7000,
    BOOT_PAGE_TABLES_GPA = 0x9000, /* at most BOOT_PAGE_TABLES pages */
    BOOT_PAGE_TABLES = 16,
    BOOT_SEED_GPA = 0x1f000,
    BOOT_CMDLINE_GPA = 0x20000,
    BOOT_CMDLINE_MAX = 0x10000, /* with its NUL */
    BOOT_LOW_END = 0x9fc00,     /* end of conventional memory */
    BOOT_BIOS_START = 0xe0000,  /* ACPI tables from here */
    BOOT_TABLES_END = 0xf0000,  /* to here, with 64 vCPUs and more */
    BOOT_HIGH_START = 0x100000,
    BOOT_BUSY_MAX = 40,
    BOOT_MEMMAP_MAX = 6,
    BOOT_GDT_BYTES = 32,
};

/* RAM of a guest by addresses; high_end 0: nothing above 4 GiB. */
struct boot_ram {
    uint64_t size_bytes, low_end, high_end;
};

struct boot_range {
    uint64_t start, end;
};

struct boot_busy {
    struct boot_range r[BOOT_BUSY_MAX];
    unsigned n;
};

enum boot_mem_type { BOOT_MEM_RAM = 1, BOOT_MEM_RESERVED = 2 }; /* of e820, Multiboot and PVH */

struct boot_mem {
    uint64_t start, size;
    enum boot_mem_type type;
};

struct boot_ram boot_ram_of(uint64_t size_bytes);
unsigned boot_memmap(const struct boot_ram *ram, struct boot_mem out[BOOT_MEMMAP_MAX]);
/* -EINVAL, table full: more ranges than BOOT_BUSY_MAX. Empty ranges are ignored. */
int boot_busy_add(struct boot_busy *b, uint64_t start, uint64_t size) RUCHE_MUST_CHECK;
/* Highest, lowest place of `size` bytes inside [lo, hi); `align` a power of two. False: none. */
bool boot_place_high(const struct boot_busy *b, uint64_t lo, uint64_t hi, uint64_t size,
                     uint64_t align, uint64_t *gpa);
bool boot_place_low(const struct boot_busy *b, uint64_t lo, uint64_t hi, uint64_t size,
                    uint64_t align, uint64_t *gpa);
/* How many places there are, and the n-th. */
uint64_t boot_place_count(const struct boot_busy *b, uint64_t lo, uint64_t hi, uint64_t size,
                          uint64_t align);
uint64_t boot_place_nth(const struct boot_busy *b, uint64_t lo, uint64_t hi, uint64_t size,
                        uint64_t align, uint64_t n);

/* Null, unused, code at 0x10 (64-bit or 32-bit), data at 0x18: the descriptors and registers. */
int boot_gdt_write(struct gmem *m, uint64_t gpa, bool bits64, struct x86_regs *r);
/* Flat 32-bit protected mode without paging, interrupts off. */
void boot_regs_flat32(struct x86_regs *r, uint32_t eip);

/* "64M": the memory that holds `bytes`, rounded up to what a person would write. */
uint64_t boot_memory_hint_mib(uint64_t bytes);

/* ---- boot_elf.c ---- */

/* Where bytes come from: a buffer, or a file. */
struct boot_source {
    const uint8_t *data; /* NULL: read `file` */
    const struct boot_file *file;
    uint64_t size_bytes;
};

enum { BOOT_SEGS_MAX = 32 };

struct boot_seg {
    uint64_t offset, vaddr, paddr, filesz, memsz;
};

struct boot_elf {
    unsigned bits; /* 32 or 64 */
    uint16_t type, machine;
    uint64_t entry;
    unsigned nsegs;
    struct boot_seg segs[BOOT_SEGS_MAX]; /* PT_LOAD with memsz > 0 */
    bool has_pvh, says_linux;
    uint32_t pvh_entry;
    uint64_t start, end; /* of all segments, physical */
};

bool boot_elf_is(const uint8_t *head, size_t len);
/* Everything in `out` is checked: segments lie inside the source, sums do not overflow. */
int boot_elf_parse(const struct boot_source *s, struct boot_elf *out, struct err *e);
/* Checks segments against RAM and what is never RAM; adds them to `busy`. */
int boot_elf_check_ram(const struct boot_elf *f, const struct boot_file *k,
                       const struct boot_ram *ram, struct boot_busy *busy, struct err *e);
int boot_elf_load(const struct boot_elf *f, const struct boot_file *k, struct gmem *m,
                  struct err *e);
/* Physical address of an entry that may be given as virtual one. False: in no segment. */
bool boot_elf_entry(const struct boot_elf *f, uint64_t *entry);

/* ---- boot_unpack.c ---- */

struct boot_packer {
    const char *name;
    uint8_t magic[6];
    uint8_t magic_len;
    bool slow; /* worth a file in the cache */
    /* Exactly `outlen` bytes or an error. NULL: known by name only. */
    int (*unpack)(const uint8_t *in, size_t inlen, uint8_t *out, size_t outlen);
};

const struct boot_packer *boot_packer_of(const uint8_t *in, size_t len); /* NULL: unknown */

/* ---- boot_cache.c, boot_sha256.c ---- */

enum { SHA256_BYTES = 32 };

void boot_sha256(const void *p, size_t len, uint8_t digest[SHA256_BYTES]);
/* True: `out` has exactly what was stored for this digest. */
bool boot_cache_get(const uint8_t digest[SHA256_BYTES], uint8_t *out, size_t outlen);
void boot_cache_put(const uint8_t digest[SHA256_BYTES], const uint8_t *data, size_t len);

/* ---- boot_kernel.c ---- */

/* Relocations of vmlinux, pointing into the unpacked data: 32-bit little-endian words. */
struct boot_relocs {
    const uint8_t *abs64, *inv32, *abs32;
    size_t n64, ninv32, n32;
};

struct boot_kernel; /* immutable, shared; see boot_kernel.c */

struct boot_kernel_view {
    const struct boot_elf *elf;
    const struct boot_relocs *relocs; /* all counts 0: the kernel cannot move virtually */
    const char *packer;               /* "xz" */
    bool from_cache;                  /* of the disk */
};

/* The payload at [offset, offset+len) of `f`, unpacked, at most max_bytes of it. NULL and `e`,
 * whose sentence begins with "its" (EILSEQ: what is packed is damaged). */
struct boot_kernel *boot_kernel_get(const struct boot_file *f, uint64_t offset, uint64_t len,
                                    uint64_t max_bytes, struct err *e);
void boot_kernel_put(struct boot_kernel *k);
struct boot_kernel_view boot_kernel_view(const struct boot_kernel *k);
/* Into clean memory at `gpa`, moved by `delta` virtual bytes. -EFAULT: not all RAM. */
int boot_kernel_load(const struct boot_kernel *k, struct gmem *m, uint64_t gpa,
                     uint64_t delta) RUCHE_MUST_CHECK;

/* ---- boot_kaslr.c ---- */

#define KERNEL_MAP 0xffffffff80000000ull /* __START_KERNEL_map */
#define KERNEL_MAP_BYTES GIB(1)          /* KERNEL_IMAGE_SIZE of kernels that have relocations */

int boot_random(void *buf, size_t len, struct err *e) RUCHE_MUST_CHECK;
/* Uniform in [0, n), n > 0. */
int boot_random_below(uint64_t n, uint64_t *out, struct err *e) RUCHE_MUST_CHECK;
/* Finds and checks the tables behind the ELF. No relocations is no error. */
int boot_relocs_parse(const uint8_t *data, size_t len, const struct boot_elf *f,
                      struct boot_relocs *out, struct err *e);
/* Moves the kernel loaded at `image` (its whole run length) by `delta` virtual bytes. */
void boot_relocs_apply(const struct boot_relocs *r, const struct boot_elf *f, uint8_t *image,
                       uint64_t delta);
/* How many virtual places of `align` there are. */
uint64_t boot_kaslr_virtual_slots(const struct boot_elf *f, uint64_t align);

/* ---- boot_linux.c, boot_zeropage.c ---- */

/* Fields of the setup header (Documentation/arch/x86/boot.rst), checked. */
struct linux_header {
    uint8_t raw[0x290 - 0x1f1]; /* as in the file, from offset 0x1f1 */
    size_t raw_bytes;
    uint64_t code_offset, code_bytes;       /* protected-mode code in the file */
    uint64_t payload_offset, payload_bytes; /* in the file; 0: none */
    uint32_t init_size, cmdline_max, initrd_addr_max;
    uint64_t pref_address, alignment;
    bool relocatable, above_4g, bits64; /* bits64: has an entry for 64-bit mode */
};

struct linux_boot { /* part of boot_image */
    struct linux_header h;
    struct boot_kernel *kernel; /* NULL: the guest unpacks itself */
};

/* Where everything of one boot is. */
struct linux_plan {
    uint64_t kernel_gpa, kernel_bytes;
    uint64_t initrd_gpa, initrd_bytes;
    uint64_t virt_delta;
    bool kaslr; /* tell the kernel to move its memory regions too */
};

int boot_zeropage_write(const struct linux_header *h, const struct linux_plan *plan,
                        const struct boot_ram *ram, const struct boot_params *p, struct gmem *m,
                        struct err *e);
/* Identity map of the first 4 GiB and of the kernel; sets the 64-bit entry state in `r`. */
int boot_long_mode_write(const struct linux_plan *plan, uint64_t entry, struct gmem *m,
                         struct x86_regs *r, struct err *e);

/* The 32-bit entry state instead: flat protected mode without paging. */
int boot_entry32_write(uint64_t entry, struct gmem *m, struct x86_regs *r, struct err *e);

/* ---- boot_multiboot.c ---- */

struct multiboot_boot {
    uint32_t header_offset;
    uint64_t entry;
    uint64_t file_offset, load_gpa, load_bytes, mem_bytes; /* from the address fields */
};

/* ---- formats ---- */

enum { BOOT_HEAD_BYTES = 8192 };

struct boot_format {
    bool (*probe)(const struct boot_image *b);
    int (*open)(struct boot_image *b, const struct vm_config *c, struct err *e);
    int (*load)(const struct boot_image *b, struct gmem *m, const struct boot_params *p,
                struct x86_regs *r, struct err *e);
    void (*close)(struct boot_image *b); /* may be NULL */
};

struct boot_image {
    const struct boot_format *format;
    enum boot_protocol protocol;
    struct boot_file kernel, initrd;
    uint8_t head[BOOT_HEAD_BYTES]; /* the kernel file's beginning */
    size_t head_bytes;
    char note[600];
    struct linux_boot lx;
    struct boot_elf elf;
    struct multiboot_boot mb;
};

extern const struct boot_format boot_format_linux, boot_format_pvh, boot_format_multiboot,
    boot_format_flat;

bool boot_is_elf(const struct boot_image *b);

#endif
