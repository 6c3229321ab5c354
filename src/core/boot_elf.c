/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * boot_elf: ELF32 and ELF64 executables for x86, from a buffer or a file: program headers and
 * the Xen notes that name a PVH entry. Sections and symbols are not looked at.
 *
 * System V gABI chapter 5; xen/include/public/elfnote.h for the notes.
 */
#include "core/boot_priv.h"

#include "core/mem.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    NOTE_BYTES_MAX = 65536,
    PHDRS_MAX = 128, /* bounds the time that a hostile file can cost */
    XEN_NOTE_GUEST_OS = 6,
    XEN_NOTE_PHYS32_ENTRY = 18,
};

bool boot_elf_is(const uint8_t *head, size_t len)
{
    return len >= SELFMAG && !memcmp(head, ELFMAG, SELFMAG);
}

static int source_read(const struct boot_source *s, uint64_t offset, void *buf, size_t len)
{
    if (offset > s->size_bytes || len > s->size_bytes - offset)
        return -ENODATA;
    if (!s->data)
        return boot_file_read(s->file, offset, buf, len, NULL);
    memcpy(buf, s->data + offset, len);
    return 0;
}

/* One program header of either size. */
struct phdr {
    uint32_t type;
    uint64_t align;
    struct boot_seg seg;
};

static void phdr_decode(unsigned bits, const uint8_t *p, struct phdr *out)
{
    if (bits == 64) {
        Elf64_Phdr h;

        memcpy(&h, p, sizeof h);
        *out = (struct phdr){
            h.p_type, h.p_align, {h.p_offset, h.p_vaddr, h.p_paddr, h.p_filesz, h.p_memsz}};
    } else {
        Elf32_Phdr h;

        memcpy(&h, p, sizeof h);
        *out = (struct phdr){
            h.p_type, h.p_align, {h.p_offset, h.p_vaddr, h.p_paddr, h.p_filesz, h.p_memsz}};
    }
}

static int add_segment(const struct boot_source *s, struct boot_elf *out, const struct boot_seg *g,
                       struct err *e)
{
    if (g->memsz == 0)
        return 0;
    if (out->nsegs == BOOT_SEGS_MAX)
        return err_set(e, EINVAL, "its ELF has more than %d segments", BOOT_SEGS_MAX);
    if (g->filesz > g->memsz)
        return err_set(e, EINVAL,
                       "its ELF has a segment with more bytes in the file than in memory");
    if (g->offset > s->size_bytes || g->filesz > s->size_bytes - g->offset)
        return err_set(e, ENODATA,
                       "its ELF is truncated: segment %u ends behind the end of the file",
                       out->nsegs);
    if (g->paddr + g->memsz < g->paddr || g->vaddr + g->memsz - 1 < g->vaddr)
        return err_set(e, EINVAL, "its ELF has a segment that wraps around the address space");
    out->segs[out->nsegs++] = *g;
    if (g->paddr < out->start)
        out->start = g->paddr;
    if (g->paddr + g->memsz > out->end)
        out->end = g->paddr + g->memsz;
    return 0;
}

static size_t pad(size_t n, size_t align)
{
    return (n + align - 1) & ~(align - 1);
}

static void take_xen_note(struct boot_elf *out, uint32_t type, const uint8_t *desc, uint32_t len)
{
    if (type == XEN_NOTE_PHYS32_ENTRY && len >= 4) {
        out->has_pvh = true;
        out->pvh_entry = le32_get(desc);
    }
    if (type == XEN_NOTE_GUEST_OS && len >= 5)
        out->says_linux = !memcmp(desc, "linux", 5);
}

static void walk_notes(struct boot_elf *out, const uint8_t *p, size_t len, size_t align)
{
    while (len >= 12) {
        size_t name = le32_get(p), desc = le32_get(p + 4), body, total;

        if (name > len || desc > len)
            return;
        body = 12 + pad(name, align);
        total = body + pad(desc, align);
        if (body + desc > len)
            return;
        if (name == 4 && !memcmp(p + 12, "Xen", 4))
            take_xen_note(out, le32_get(p + 8), p + body, (uint32_t)desc);
        if (total >= len)
            return;
        p += total;
        len -= total;
    }
}

/* Notes that cannot be read are as good as absent. */
static void read_notes(const struct boot_source *s, struct boot_elf *out, const struct phdr *h)
{
    size_t len = h->seg.filesz < NOTE_BYTES_MAX ? (size_t)h->seg.filesz : NOTE_BYTES_MAX;
    uint8_t *buf = malloc(len ? len : 1);

    if (buf && source_read(s, h->seg.offset, buf, len) == 0)
        walk_notes(out, buf, len, h->align == 8 ? 8 : 4);
    free(buf);
}

struct ehdr {
    uint64_t phoff;
    unsigned phnum, phentsize;
};

static int read_ehdr(const struct boot_source *s, struct boot_elf *out, struct ehdr *h,
                     struct err *e)
{
    uint8_t b[sizeof(Elf64_Ehdr)] = {0};
    size_t len = s->size_bytes < sizeof b ? (size_t)s->size_bytes : sizeof b;
    bool wide;

    if (len < sizeof(Elf32_Ehdr) || source_read(s, 0, b, len) < 0)
        return err_set(e, ENODATA, "its ELF header is truncated");
    wide = b[EI_CLASS] == ELFCLASS64;
    if (!wide && b[EI_CLASS] != ELFCLASS32)
        return err_set(e, EINVAL, "its ELF header is of an unknown class");
    if (b[EI_DATA] != ELFDATA2LSB)
        return err_set(e, EINVAL, "its ELF is big-endian, not for x86");
    if (wide && len < sizeof b)
        return err_set(e, ENODATA, "its ELF header is truncated");
    out->bits = wide ? 64 : 32;
    out->type = le16_get(b + 16);
    out->machine = le16_get(b + 18);
    out->entry = wide ? le64_get(b + 24) : le32_get(b + 24);
    h->phoff = wide ? le64_get(b + 32) : le32_get(b + 28);
    h->phentsize = le16_get(b + (wide ? 54 : 42));
    h->phnum = le16_get(b + (wide ? 56 : 44));
    return 0;
}

static int check_ehdr(const struct boot_elf *f, const struct ehdr *h, struct err *e)
{
    if (f->machine != EM_386 && f->machine != EM_X86_64)
        return err_set(e, ENOEXEC, "its ELF is for another processor (machine %u), not for x86",
                       f->machine);
    if (f->type != ET_EXEC && f->type != ET_DYN)
        return err_set(e, ENOEXEC,
                       "its ELF is not an executable (type %u: an object file or core?)", f->type);
    if (h->phentsize != (f->bits == 64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
        return err_set(e, EINVAL,
                       "its ELF has program headers of %u bytes, which is no size they have",
                       h->phentsize);
    if (h->phnum > PHDRS_MAX)
        return err_set(e, EINVAL, "its ELF has %u program headers; no kernel has more than %d",
                       h->phnum, PHDRS_MAX);
    return 0;
}

static int read_phdrs(const struct boot_source *s, struct boot_elf *out, const struct ehdr *h,
                      struct err *e)
{
    for (unsigned i = 0; i < h->phnum; i++) {
        uint8_t b[sizeof(Elf64_Phdr)];
        struct phdr p;
        int r = 0;

        if (h->phoff > s->size_bytes ||
            source_read(s, h->phoff + (uint64_t)i * h->phentsize, b, h->phentsize) < 0)
            return err_set(e, ENODATA, "its ELF is truncated: program header %u is behind its end",
                           i);
        phdr_decode(out->bits, b, &p);
        if (p.type == PT_LOAD)
            r = add_segment(s, out, &p.seg, e);
        if (p.type == PT_NOTE)
            read_notes(s, out, &p);
        if (r < 0)
            return r;
    }
    return 0;
}

int boot_elf_parse(const struct boot_source *s, struct boot_elf *out, struct err *e)
{
    struct ehdr h = {0};
    int r;

    *out = (struct boot_elf){.start = UINT64_MAX};
    r = read_ehdr(s, out, &h, e);
    if (r == 0)
        r = check_ehdr(out, &h, e);
    if (r == 0)
        r = read_phdrs(s, out, &h, e);
    if (r == 0 && out->nsegs == 0)
        r = err_set(e, ENOEXEC, "its ELF has no segment to load");
    return r;
}

/* Nothing may be loaded where a PC has video memory and we have ACPI tables. The last 64 KiB
 * below 1 MiB are left alone by both, and linkers like to put the page with the ELF header of a
 * kernel linked to 1 MiB there. The sum of all segments is bounded so that overlapping ones cannot
 * cost more time than the guest has memory. */
int boot_elf_check_ram(const struct boot_elf *f, const struct boot_file *k,
                       const struct boot_ram *ram, struct boot_busy *busy, struct err *e)
{
    uint64_t sum = 0;

    if (f->end > ram->low_end)
        return err_set(e, ENOMEM,
                       "kernel %s needs memory up to %llu MiB (it is linked there), the "
                       "guest has %llu MiB below 4 GiB; set memory: %lluM or more",
                       k->path, (unsigned long long)((f->end + MIB(1) - 1) >> 20),
                       (unsigned long long)(ram->low_end >> 20),
                       (unsigned long long)boot_memory_hint_mib(f->end));
    for (unsigned i = 0; i < f->nsegs; i++) {
        const struct boot_seg *g = &f->segs[i];

        sum += g->memsz;
        if (g->paddr < BOOT_TABLES_END && g->paddr + g->memsz > BOOT_LOW_END)
            return err_set(e, EINVAL,
                           "kernel %s has a segment at 0x%llx in the BIOS area (0x%x to 1M); "
                           "link it to 1M or higher",
                           k->path, (unsigned long long)g->paddr, BOOT_LOW_END);
        if (sum > ram->low_end)
            return err_set(e, EINVAL, "kernel %s has segments that overlap", k->path);
        if (boot_busy_add(busy, g->paddr, g->memsz) < 0)
            return err_set(e, EINVAL, "kernel %s has too many segments", k->path);
    }
    return 0;
}

int boot_elf_load(const struct boot_elf *f, const struct boot_file *k, struct gmem *m,
                  struct err *e)
{
    for (unsigned i = 0; i < f->nsegs; i++) {
        const struct boot_seg *g = &f->segs[i];
        int r = boot_file_load(k, g->offset, g->filesz, m, g->paddr, e);

        if (r < 0)
            return r;
    }
    return 0;
}

bool boot_elf_entry(const struct boot_elf *f, uint64_t *entry)
{
    for (unsigned i = 0; i < f->nsegs; i++) {
        const struct boot_seg *g = &f->segs[i];

        if (*entry - g->vaddr < g->memsz) {
            *entry = *entry - g->vaddr + g->paddr;
            return true;
        }
    }
    for (unsigned i = 0; i < f->nsegs; i++)
        if (*entry - f->segs[i].paddr < f->segs[i].memsz)
            return true;
    return false;
}
