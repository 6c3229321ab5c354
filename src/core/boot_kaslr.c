/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * boot_kaslr: what the decompressor inside a bzImage would do for address randomisation,
 * done by us because we unpack in its place.
 *
 * The kernel's build (arch/x86/tools/relocs) appends to vmlinux, before it is packed, lists
 * of little-endian 32-bit words, each the low half of a link-time virtual address
 * 0xffffffffXXXXXXXX at which something must be moved. From the end of the ELF on:
 *
 *     0, addresses of 64-bit words that grow by the virtual offset
 *     0, addresses of 32-bit words that shrink by it (per-CPU references; until Linux 6.14)
 *     0, addresses of 32-bit words that grow by it
 *
 * Every address is checked once, against the extent of the kernel, before the lists are used.
 */
#include "core/boot_priv.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

int boot_random(void *buf, size_t len, struct err *e)
{
    ssize_t n;

    do
        n = getrandom(buf, len, 0);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)len)
        return err_set(e, EIO, "the system gives no random numbers (getrandom)");
    return 0;
}

/* Rejection keeps it uniform. */
int boot_random_below(uint64_t n, uint64_t *out, struct err *e)
{
    uint64_t unfair = -n % n, v; /* 2^64 mod n */

    do {
        int r = boot_random(&v, sizeof v, e);

        if (r < 0)
            return r;
    } while (v < unfair);
    *out = v % n;
    return 0;
}

static void extend(uint64_t *end, size_t len, uint64_t offset, uint64_t size)
{
    if (offset <= len && size <= len - offset && offset + size > *end)
        *end = offset + size;
}

/* Where the ELF ends: behind its headers and everything that they describe. */
static size_t elf_end(const uint8_t *data, size_t len, const struct boot_elf *f)
{
    uint64_t end = sizeof(Elf64_Ehdr);
    Elf64_Ehdr h;

    memcpy(&h, data, sizeof h); /* boot_elf_parse() saw that it is there */
    extend(&end, len, h.e_phoff, (uint64_t)h.e_phnum * h.e_phentsize);
    for (unsigned i = 0; i < f->nsegs; i++)
        extend(&end, len, f->segs[i].offset, f->segs[i].filesz);
    if (h.e_shoff == 0 || h.e_shentsize != sizeof(Elf64_Shdr) || h.e_shoff > len ||
        (uint64_t)h.e_shnum * sizeof(Elf64_Shdr) > len - h.e_shoff)
        return (size_t)end;
    extend(&end, len, h.e_shoff, (uint64_t)h.e_shnum * sizeof(Elf64_Shdr));
    for (unsigned i = 0; i < h.e_shnum; i++) {
        Elf64_Shdr s;

        memcpy(&s, data + h.e_shoff + i * sizeof s, sizeof s);
        if (s.sh_type != SHT_NOBITS)
            extend(&end, len, s.sh_offset, s.sh_size);
    }
    return (size_t)end;
}

/* A list: `n` words from `at`, ended by the next zero word or the end of the table. */
struct list {
    const uint8_t *at;
    size_t n;
};

enum { LISTS_MAX = 3 };

/* Splits the table at its zero words. Returns the number of lists, 0 if it is no such table. */
static unsigned split(const uint8_t *p, size_t words, struct list out[LISTS_MAX])
{
    unsigned n = 0;

    if (words == 0 || le32_get(p) != 0)
        return 0;
    for (size_t i = 0; i < words; i++) {
        if (le32_get(p + 4 * i) != 0) {
            out[n - 1].n++;
            continue;
        }
        if (n == LISTS_MAX)
            return 0;
        out[n++] = (struct list){.at = p + 4 * (i + 1)};
    }
    return n;
}

/* Offset into the loaded image of what a list entry names. */
static uint64_t offset_of(const struct boot_elf *f, uint32_t entry)
{
    return (uint64_t)(int64_t)(int32_t)entry - KERNEL_MAP - f->start;
}

static bool inside(const struct boot_elf *f, const struct list *l, unsigned width)
{
    uint64_t len = f->end - f->start;

    for (size_t i = 0; i < l->n; i++)
        if (offset_of(f, le32_get(l->at + 4 * i)) > len - width)
            return false;
    return true;
}

int boot_relocs_parse(const uint8_t *data, size_t len, const struct boot_elf *f,
                      struct boot_relocs *out, struct err *e)
{
    size_t end = elf_end(data, len, f);
    struct list l[LISTS_MAX] = {0};
    unsigned n;

    *out = (struct boot_relocs){0};
    if (end == len)
        return 0;
    n = split(data + end, (len - end) / 4, l);
    if (n < 2 || f->end - f->start < 8)
        return err_set(e, EBADMSG, "what follows its ELF is no table of relocations");
    if (n == 2) {
        l[2] = l[1];
        l[1].n = 0;
    }
    if (!inside(f, &l[0], 8) || !inside(f, &l[1], 4) || !inside(f, &l[2], 4))
        return err_set(e, EBADMSG, "its relocations point outside of the kernel");
    *out = (struct boot_relocs){l[0].at, l[1].at, l[2].at, l[0].n, l[1].n, l[2].n};
    return 0;
}

void boot_relocs_apply(const struct boot_relocs *r, const struct boot_elf *f, uint8_t *image,
                       uint64_t delta)
{
    for (size_t i = 0; i < r->n64; i++) {
        uint8_t *p = image + offset_of(f, le32_get(r->abs64 + 4 * i));

        le64_put(p, le64_get(p) + delta);
    }
    for (size_t i = 0; i < r->ninv32; i++) {
        uint8_t *p = image + offset_of(f, le32_get(r->inv32 + 4 * i));

        le32_put(p, le32_get(p) - (uint32_t)delta);
    }
    for (size_t i = 0; i < r->n32; i++) {
        uint8_t *p = image + offset_of(f, le32_get(r->abs32 + 4 * i));

        le32_put(p, le32_get(p) + (uint32_t)delta);
    }
}

uint64_t boot_kaslr_virtual_slots(const struct boot_elf *f, uint64_t align)
{
    return f->end > KERNEL_MAP_BYTES ? 0 : (KERNEL_MAP_BYTES - f->end) / align + 1;
}
