/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * boot: see boot.h. Structures after Xen's arch-x86/hvm/start_info.h (version 1) and the
 * Multiboot 0.6.96 specification, section 3.3.
 */
#include "boot.h"
#include "io.h"
#include "page.h"
#include "trap.h"

struct pvh_info {
    u32 magic, version, flags, nr_modules;
    u64 modlist, cmdline, rsdp;
    u64 memmap;
    u32 memmap_entries, reserved;
} PACKED;

struct pvh_memmap {
    u64 addr, size;
    u32 type, reserved;
} PACKED;

struct mb_info {
    u32 flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4];
    u32 mmap_length, mmap_addr;
} PACKED;

struct mb_memmap {
    u32 size; /* of what follows */
    u64 addr, len;
    u32 type;
} PACKED;

struct boot boot;

extern u8 _image_end[];
static u64 alloc_next, alloc_end;

static void copy_cmdline(u64 addr)
{
    const char *s = (const char *)addr;
    size_t n = 0;

    for (; s && n < CMDLINE_MAX - 1 && s[n]; n++)
        boot.cmdline[n] = s[n];
    boot.cmdline[n] = 0;
}

static void add_memmap(u64 addr, u64 size, u32 type)
{
    if (boot.nmemmap < MEMMAP_MAX && size)
        boot.memmap[boot.nmemmap++] = (struct memmap){addr, size, type};
}

static void from_pvh(const struct pvh_info *i)
{
    const struct pvh_memmap *m = (const struct pvh_memmap *)i->memmap;

    copy_cmdline(i->cmdline);
    boot.rsdp = i->rsdp;
    for (u32 k = 0; i->version >= 1 && m && k < i->memmap_entries; k++)
        add_memmap(m[k].addr, m[k].size, m[k].type);
}

static void from_multiboot(const struct mb_info *i)
{
    if (i->flags & 4)
        copy_cmdline(i->cmdline);
    for (u32 off = 0; (i->flags & 64) && off < i->mmap_length;) {
        const struct mb_memmap *m = (const struct mb_memmap *)(u64)(i->mmap_addr + off);
        add_memmap(m->addr, m->len, m->type);
        off += m->size + 4;
    }
    if (!boot.nmemmap && (i->flags & 1)) {
        add_memmap(0, (u64)i->mem_lower << 10, 1);
        add_memmap(1 << 20, (u64)i->mem_upper << 10, 1);
    }
}

static bool holds(const struct memmap *m, u64 addr)
{
    return m->type == 1 && addr >= m->addr && addr - m->addr < m->size;
}

u64 image_end(void)
{
    return (u64)_image_end;
}

u64 ram_end_low(void)
{
    for (unsigned i = 0; i < boot.nmemmap; i++)
        if (holds(&boot.memmap[i], image_end() - 1))
            return boot.memmap[i].addr + boot.memmap[i].size;
    return image_end();
}

u64 ram_total(void)
{
    u64 sum = 0;

    for (unsigned i = 0; i < boot.nmemmap; i++)
        if (boot.memmap[i].type == 1)
            sum += boot.memmap[i].size;
    return sum;
}

void boot_init(unsigned protocol, u64 info)
{
    boot.protocol = protocol;
    if (protocol == BOOT_PVH)
        from_pvh((const struct pvh_info *)info);
    else
        from_multiboot((const struct mb_info *)info);
    alloc_next = image_end();
    alloc_end = ram_end_low() & ~4095ull;
}

void *pages_alloc(unsigned n)
{
    void *p = (void *)alloc_next;

    if (alloc_end - alloc_next < n * 4096ull)
        return NULL;
    alloc_next += n * 4096ull;
    return memset(p, 0, n * 4096ull);
}

u64 pages_used_end(void)
{
    return alloc_next;
}

bool parse_u64(const char *s, u64 *v)
{
    unsigned base = 10, digit, shift = 0;
    const char *start;

    if (s[0] == '0' && (s[1] | 32) == 'x') {
        base = 16;
        s += 2;
    }
    for (start = s, *v = 0; *s; s++, *v = *v * base + digit) {
        digit = *s >= '0' && *s <= '9' ? (unsigned)(*s - '0') : (unsigned)(*s | 32) - 'a' + 10;
        if (digit >= base)
            break;
    }
    if (s == start)
        return false;
    if ((*s | 32) == 'k')
        shift = 10;
    else if ((*s | 32) == 'm')
        shift = 20;
    else if ((*s | 32) == 'g')
        shift = 30;
    *v <<= shift;
    return !s[shift ? 1 : 0];
}

/* The word after `key` in the command line, at the start of a word; NULL if there is none. */
static const char *find_word(const char *key)
{
    size_t n = strlen(key);

    for (const char *s = boot.cmdline; *s;) {
        if (!memcmp(s, key, n))
            return s + n;
        while (*s && *s != ' ')
            s++;
        while (*s == ' ')
            s++;
    }
    return NULL;
}

const char *opt(const char *key)
{
    static char value[256];
    char word[32];
    const char *s;
    size_t n = 0;

    formatf(word, sizeof(word), "%s=", key);
    s = find_word(word);
    if (!s)
        return NULL;
    for (; s[n] && s[n] != ' ' && n < sizeof(value) - 1; n++)
        value[n] = s[n];
    value[n] = 0;
    return value;
}

u64 opt_u64(const char *key, u64 otherwise)
{
    const char *s = opt(key);
    u64 v;

    if (!s)
        return otherwise;
    if (!parse_u64(s, &v)) {
        print("%s=%s is no number; using %lu\n", key, s, otherwise);
        return otherwise;
    }
    return v;
}

bool opt_flag(const char *word)
{
    const char *s = find_word(word);

    return s && (!*s || *s == ' ' || (*s == '=' && s[1] == '1'));
}
