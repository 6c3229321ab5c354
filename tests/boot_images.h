/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Synthetic kernels for the tests of the loaders: small files with everything that a real one
 * has where a loader looks. Used by test_boot*.c and by the generator of the fuzz corpus.
 */
#ifndef RUCHE_TESTS_BOOT_IMAGES_H
#define RUCHE_TESTS_BOOT_IMAGES_H

#include "core/boot_priv.h"

#include <elf.h>
#include <lz4.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

struct image {
    uint8_t *data;
    size_t len;
};

static inline void image_add(struct image *i, const void *p, size_t len)
{
    i->data = realloc(i->data, i->len + len + 1);
    if (p)
        memcpy(i->data + i->len, p, len);
    else
        memset(i->data + i->len, 0, len);
    i->len += len;
}

static inline void image_add_le32(struct image *i, uint32_t v)
{
    uint8_t b[4];

    le32_put(b, v);
    image_add(i, b, 4);
}

static inline void image_pad(struct image *i, size_t to)
{
    if (i->len < to)
        image_add(i, NULL, to - i->len);
}

static inline void image_free(struct image *i)
{
    free(i->data);
    *i = (struct image){0};
}

/* ---- vmlinux: what is inside a bzImage ---- */

enum {
    VMLINUX_BASE = 0x1000000,
    VMLINUX_TEXT_OFFSET = 0x1000, /* in the file */
    VMLINUX_TEXT_BYTES = 0x3000,
    VMLINUX_PERCPU_PADDR = VMLINUX_BASE + 0x4000,
    VMLINUX_END = VMLINUX_BASE + 0x8000,
    AT_WORD64 = 0x1100, /* offsets in the loaded image of what is relocated */
    AT_WORD32 = 0x1110,
    AT_INVERSE32 = 0x1120,
    AT_PERCPU64 = 0x4008,
    AT_PLAIN = 0x1130, /* and of what is not */
};

#define WORD64 0xffffffff81000200ull
#define WORD32 0x81000300u
#define INVERSE32 0x00012340u
#define PLAIN 0xffffffff81000400ull

enum vmlinux_relocs {
    RELOCS_NONE,
    RELOCS_3_LISTS,
    RELOCS_2_LISTS,
    RELOCS_NO_SECTIONS, /* 3 lists behind an ELF without section headers */
    RELOCS_OUTSIDE,
    RELOCS_GARBAGE,
};

static inline void vmlinux_add_relocs(struct image *v, enum vmlinux_relocs kind)
{
    if (kind == RELOCS_NONE)
        return;
    image_add_le32(v, kind == RELOCS_GARBAGE ? 0x12345678 : 0);
    image_add_le32(v, 0x81000000u + AT_WORD64);
    image_add_le32(v, kind == RELOCS_OUTSIDE ? 0x81000000u + 0x7ff9 : 0x81000000u + AT_PERCPU64);
    image_add_le32(v, 0);
    if (kind != RELOCS_2_LISTS) {
        image_add_le32(v, 0x81000000u + AT_INVERSE32);
        image_add_le32(v, 0);
    }
    image_add_le32(v, 0x81000000u + AT_WORD32);
}

static inline struct image vmlinux_make(enum vmlinux_relocs kind)
{
    Elf64_Ehdr h = {.e_ident = ELFMAG,
                    .e_type = ET_EXEC,
                    .e_machine = EM_X86_64,
                    .e_version = 1,
                    .e_entry = VMLINUX_BASE + 0x10,
                    .e_phoff = sizeof h,
                    .e_ehsize = sizeof h,
                    .e_phentsize = sizeof(Elf64_Phdr),
                    .e_phnum = 2,
                    .e_shoff = 0x5000,
                    .e_shentsize = sizeof(Elf64_Shdr),
                    .e_shnum = 1};
    Elf64_Phdr p[2] = {
        {.p_type = PT_LOAD,
         .p_offset = VMLINUX_TEXT_OFFSET,
         .p_vaddr = KERNEL_MAP + VMLINUX_BASE,
         .p_paddr = VMLINUX_BASE,
         .p_filesz = VMLINUX_TEXT_BYTES,
         .p_memsz = VMLINUX_TEXT_BYTES},
        {.p_type = PT_LOAD,
         .p_offset = 0x4000,
         .p_vaddr = 0,
         .p_paddr = VMLINUX_PERCPU_PADDR,
         .p_filesz = 0x1000,
         .p_memsz = VMLINUX_END - VMLINUX_PERCPU_PADDR},
    };
    struct image v = {0};
    uint8_t *text;

    h.e_ident[EI_CLASS] = ELFCLASS64;
    h.e_ident[EI_DATA] = ELFDATA2LSB;
    if (kind == RELOCS_NO_SECTIONS)
        h.e_shoff = h.e_shnum = 0;
    image_add(&v, &h, sizeof h);
    image_add(&v, p, sizeof p);
    image_pad(&v, 0x5000);
    if (kind != RELOCS_NO_SECTIONS)
        image_add(&v, NULL, sizeof(Elf64_Shdr));
    text = v.data + VMLINUX_TEXT_OFFSET;
    memcpy(text, "TEXTtext", 8);
    le64_put(text + AT_WORD64, WORD64);
    le32_put(text + AT_WORD32, WORD32);
    le32_put(text + AT_INVERSE32, INVERSE32);
    le64_put(text + AT_PLAIN, PLAIN);
    le64_put(v.data + 0x4008, WORD64 + 8);
    vmlinux_add_relocs(&v, kind);
    return v;
}

/* ---- packers ---- */

enum pack { PACK_XZ, PACK_GZIP, PACK_ZSTD, PACK_LZ4, PACK_LZMA, PACK_BZIP2, PACK_LZO, PACKS };

static inline void pack_gzip(struct image *out, const struct image *in)
{
    z_stream z = {0};
    size_t room = compressBound(in->len) + 64;
    uint8_t *buf = malloc(room);

    deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    z.next_in = in->data;
    z.avail_in = (uInt)in->len;
    z.next_out = buf;
    z.avail_out = (uInt)room;
    deflate(&z, Z_FINISH);
    image_add(out, buf, room - z.avail_out);
    deflateEnd(&z);
    free(buf);
}

/* What the kernel's build makes of it: packed, and its size behind it (gzip has it already). */
static inline struct image image_pack(enum pack pack, const struct image *in)
{
    static const char *const unsupported[PACKS] = {
        [PACK_LZMA] = "\x5d\0\0\0\1", [PACK_BZIP2] = "BZh91", [PACK_LZO] = "\x89LZO\0"};
    size_t room = in->len * 2 + 4096, n = 0;
    uint8_t *buf = malloc(room);
    struct image out = {0};

    if (pack == PACK_XZ)
        (void)!lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, in->data, in->len, buf, &n, room);
    if (pack == PACK_ZSTD)
        n = ZSTD_compress(buf, room, in->data, in->len, 3);
    if (pack == PACK_LZ4) {
        n = (size_t)LZ4_compress_default((char *)in->data, (char *)buf + 8, (int)in->len,
                                         (int)room - 8);
        le32_put(buf, 0x184c2102);
        le32_put(buf + 4, (uint32_t)n);
        n += 8;
    }
    if (pack >= PACK_LZMA) {
        n = 64;
        memset(buf, 0x55, n);
        memcpy(buf, unsupported[pack], 5);
    }
    image_add(&out, buf, n);
    free(buf);
    if (pack == PACK_GZIP)
        pack_gzip(&out, in);
    else
        image_add_le32(&out, (uint32_t)in->len);
    return out;
}

/* ---- bzImage ---- */

enum {
    BZ_SETUP_BYTES = 1024, /* boot sector and one sector of setup */
    BZ_PAYLOAD_AT = 0x300, /* in the protected-mode code */
    BZ_INIT_SIZE = 0x10000,
    BZ_CMDLINE_MAX = 255,
};

static inline struct image bzimage_make(const struct image *payload)
{
    struct image b = {0};
    uint8_t *p;

    image_pad(&b, BZ_SETUP_BYTES + BZ_PAYLOAD_AT);
    image_add(&b, payload->data, payload->len);
    image_pad(&b, (b.len + 15) / 16 * 16);
    p = b.data;
    memset(p + BZ_SETUP_BYTES, 0xc0, BZ_PAYLOAD_AT);
    p[0x1f1] = 1;
    le32_put(p + 0x1f4, (uint32_t)(b.len - BZ_SETUP_BYTES) / 16);
    p[510] = 0x55;
    p[511] = 0xaa;
    p[0x200] = 0xeb;
    p[0x201] = 0x6a;
    memcpy(p + 0x202, "HdrS", 4);
    le16_put(p + 0x206, 0x20f);
    p[0x211] = 1; /* LOADED_HIGH */
    le32_put(p + 0x214, 0x100000);
    le32_put(p + 0x22c, 0x7fffffff);
    le32_put(p + 0x230, 0x200000);
    p[0x234] = 1;
    le16_put(p + 0x236, 0x7f);
    le32_put(p + 0x238, BZ_CMDLINE_MAX);
    le32_put(p + 0x248, BZ_PAYLOAD_AT);
    le32_put(p + 0x24c, (uint32_t)payload->len);
    le64_put(p + 0x258, VMLINUX_BASE);
    le32_put(p + 0x260, BZ_INIT_SIZE);
    return b;
}

static inline struct image bzimage_of(enum pack pack, enum vmlinux_relocs relocs)
{
    struct image v = vmlinux_make(relocs), packed = image_pack(pack, &v), b = bzimage_make(&packed);

    image_free(&v);
    image_free(&packed);
    return b;
}

/* ---- ELF32 with a PVH note, a Multiboot header, or both ---- */

enum {
    SMALL_PADDR = 0x200000,
    SMALL_VADDR = 0xc0200000u,
    SMALL_ENTRY = 0x40,
    SMALL_OFFSET = 0x200, /* in the file; the Multiboot header is there */
    SMALL_BYTES = 0x400,
    SMALL_MEM = 0x2000,
};

static inline void put_multiboot(uint8_t *p, uint32_t flags)
{
    le32_put(p, 0x1badb002);
    le32_put(p + 4, flags);
    le32_put(p + 8, -(0x1badb002 + flags));
}

struct small {
    bool pvh, multiboot, linux_os;
    uint32_t multiboot_flags, entry; /* entry 0: SMALL_PADDR + SMALL_ENTRY */
    uint32_t paddr;                  /* 0: SMALL_PADDR */
};

static inline struct image small_make(const struct small *k)
{
    uint32_t paddr = k->paddr ? k->paddr : SMALL_PADDR;
    uint32_t note[] = {4,   4, 18, 0x6e6558, k->entry ? k->entry : paddr + SMALL_ENTRY,
                       4,   6, 6,  0x6e6558, 0x756e696c,
                       0x78};
    Elf32_Ehdr h = {.e_ident = ELFMAG,
                    .e_type = ET_EXEC,
                    .e_machine = EM_386,
                    .e_version = 1,
                    .e_entry = k->entry ? k->entry : paddr + SMALL_ENTRY,
                    .e_phoff = sizeof h,
                    .e_ehsize = sizeof h,
                    .e_phentsize = sizeof(Elf32_Phdr),
                    .e_phnum = 2};
    Elf32_Phdr p[2] = {
        {.p_type = PT_LOAD,
         .p_offset = SMALL_OFFSET,
         .p_vaddr = SMALL_VADDR,
         .p_paddr = paddr,
         .p_filesz = SMALL_BYTES,
         .p_memsz = SMALL_MEM},
        {.p_type = PT_NOTE,
         .p_offset = 0x100,
         .p_filesz = k->linux_os ? sizeof note : 20,
         .p_align = 4},
    };
    struct image s = {0};

    h.e_ident[EI_CLASS] = ELFCLASS32;
    h.e_ident[EI_DATA] = ELFDATA2LSB;
    if (!k->pvh)
        h.e_phnum = 1;
    image_add(&s, &h, sizeof h);
    image_add(&s, p, sizeof p);
    image_pad(&s, 0x100);
    image_add(&s, note, sizeof note);
    image_pad(&s, SMALL_OFFSET + SMALL_BYTES);
    memcpy(s.data + SMALL_OFFSET + SMALL_ENTRY, "CODE", 4);
    if (k->multiboot)
        put_multiboot(s.data + SMALL_OFFSET, k->multiboot_flags);
    return s;
}

/* A flat file with the address fields in its Multiboot header. */
static inline struct image multiboot_flat_make(void)
{
    struct image s = {0};
    uint8_t *p;

    image_pad(&s, 0x500);
    p = s.data + 0x20;
    put_multiboot(p, 1 << 16);
    le32_put(p + 12, SMALL_PADDR + 0x10);  /* header_addr: loading begins at file offset 0x10 */
    le32_put(p + 16, SMALL_PADDR);         /* load_addr */
    le32_put(p + 20, SMALL_PADDR + 0x400); /* load_end_addr */
    le32_put(p + 24, SMALL_PADDR + 0x900); /* bss_end_addr */
    le32_put(p + 28, SMALL_PADDR + 0x80);  /* entry_addr */
    memcpy(s.data + 0x10 + 0x80, "FLAT", 4);
    return s;
}

#endif
