/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * boot_linux: Linux kernels as distributions ship them (bzImage), in two ways:
 *
 *   bzimage  the protected-mode code goes to its preferred address and is entered at its 64-bit
 *            entry, or at its 32-bit one if it has no other; it unpacks, moves and randomises
 *            the kernel inside the guest.
 *   direct   the kernel inside is unpacked on the host and entered itself. Address
 *            randomisation, which that other code would have done, is done here.
 *
 * Linux Documentation/arch/x86/boot.rst, protocol 2.10 and newer (Linux 2.6.31); the 64-bit entry
 * is told by 2.12 (Linux 3.8).
 * Not done here that a bzImage would do for itself: 5-level paging, memory encryption.
 */
#include "core/boot_priv.h"

#include "core/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* offsets of the setup header in the file */
enum {
    H_SETUP_SECTS = 0x1f1,
    H_SYSSIZE = 0x1f4,
    H_JUMP = 0x200,
    H_MAGIC = 0x202,
    H_VERSION = 0x206,
    H_LOADFLAGS = 0x211,
    H_CODE32_START = 0x214,
    H_INITRD_ADDR_MAX = 0x22c,
    H_ALIGNMENT = 0x230,
    H_RELOCATABLE = 0x234,
    H_XLOADFLAGS = 0x236,
    H_CMDLINE_SIZE = 0x238,
    H_PAYLOAD_OFFSET = 0x248,
    H_PAYLOAD_LENGTH = 0x24c,
    H_PREF_ADDRESS = 0x258,
    H_INIT_SIZE = 0x260,
    H_END_MIN = 0x264,
    H_END_MAX = 0x290,
};

enum {
    SECTOR = 512,
    PARAGRAPH = 16,
    DEFAULT_SETUP_SECTS = 4,
    LOADED_HIGH = 1,
    XLF_KERNEL_64 = 1,
    XLF_CAN_BE_LOADED_ABOVE_4G = 2,
    ENTRY_64 = 0x200,
    VERSION_2_10 = 0x020a,
    VERSION_2_12 = 0x020c,
};

static bool linux_probe(const struct boot_image *b)
{
    return b->head_bytes >= H_MAGIC + 4 && !memcmp(b->head + H_MAGIC, "HdrS", 4);
}

/* ---- the header ---- */

static int check_version(const struct boot_image *b, const char *path, struct err *e)
{
    const uint8_t *p = b->head;
    unsigned version;

    if (b->head_bytes < H_END_MAX)
        return err_set(e, ENODATA, "kernel %s is truncated inside its header; copy it again", path);
    version = le16_get(p + H_VERSION);
    if (version < VERSION_2_10)
        return err_set(e, ENOTSUP,
                       "kernel %s speaks Linux boot protocol %u.%02u; 2.10 is needed "
                       "(Linux 2.6.31 or newer)",
                       path, version >> 8, version & 0xff);
    if (!(p[H_LOADFLAGS] & LOADED_HIGH))
        return err_set(e, ENOTSUP, "kernel %s wants to be loaded below 1 MiB (zImage); use a bzImage",
                       path);
    return 0;
}

/* What the header says of its ways in; before 2.12 it cannot tell. */
static unsigned xloadflags(const uint8_t *p)
{
    return le16_get(p + H_VERSION) < VERSION_2_12 ? 0 : le16_get(p + H_XLOADFLAGS);
}

static int check_sizes(const struct linux_header *h, const struct boot_file *k, struct err *e)
{
    if (h->code_offset >= k->size_bytes || h->code_bytes > k->size_bytes - h->code_offset)
        return err_set(e, ENODATA,
                       "kernel %s is truncated: its header says %llu bytes, the file has "
                       "%llu; copy or download it again",
                       k->path, (unsigned long long)(h->code_offset + h->code_bytes),
                       (unsigned long long)k->size_bytes);
    if (h->code_bytes <= (h->bits64 ? ENTRY_64 : 0))
        return err_set(e, EBADMSG, "kernel %s is damaged: its header says it has no code", k->path);
    if ((h->alignment & (h->alignment - 1)) || h->alignment < GMEM_PAGE_BYTES ||
        h->alignment > MIB(64) || h->pref_address < BOOT_HIGH_START ||
        h->pref_address > GMEM_HOLE_START || h->pref_address % h->alignment)
        return err_set(e, EBADMSG, "kernel %s is damaged: its header asks for impossible addresses",
                       k->path);
    return 0;
}

/* The header counts paragraphs, and some (memtest86+) have a last one that is not whole. */
static uint64_t missing_of_last_paragraph(const struct linux_header *h, const struct boot_file *k)
{
    uint64_t end = h->code_offset + h->code_bytes;

    if (h->code_bytes == 0 || end <= k->size_bytes || end - k->size_bytes >= PARAGRAPH)
        return 0;
    return end - k->size_bytes;
}

/* Kept apart from the other checks: a kernel with a bad payload can still try for itself. */
static void find_payload(struct linux_header *h, const uint8_t *p)
{
    uint64_t offset = le32_get(p + H_PAYLOAD_OFFSET), len = le32_get(p + H_PAYLOAD_LENGTH);

    if (offset > h->code_bytes || len > h->code_bytes - offset)
        len = 0;
    h->payload_offset = h->code_offset + offset;
    h->payload_bytes = len;
}

static int read_header(const struct boot_image *b, struct linux_header *h, struct err *e)
{
    const uint8_t *p = b->head;
    unsigned sects = p[H_SETUP_SECTS] ? p[H_SETUP_SECTS] : DEFAULT_SETUP_SECTS;
    unsigned end;
    int r = check_version(b, b->kernel.path, e);

    if (r < 0)
        return r;
    end = H_MAGIC + p[H_JUMP + 1];
    end = end < H_END_MIN ? H_END_MIN : end > H_END_MAX ? H_END_MAX : end;
    *h = (struct linux_header){
        .raw_bytes = end - H_SETUP_SECTS,
        .code_offset = (uint64_t)(sects + 1) * SECTOR,
        .code_bytes = (uint64_t)le32_get(p + H_SYSSIZE) * PARAGRAPH,
        .init_size = le32_get(p + H_INIT_SIZE),
        .cmdline_max = le32_get(p + H_CMDLINE_SIZE),
        .initrd_addr_max = le32_get(p + H_INITRD_ADDR_MAX),
        .pref_address = le64_get(p + H_PREF_ADDRESS),
        .alignment = le32_get(p + H_ALIGNMENT),
        .relocatable = p[H_RELOCATABLE] != 0,
        .above_4g = (xloadflags(p) & XLF_CAN_BE_LOADED_ABOVE_4G) != 0,
        .bits64 = (xloadflags(p) & XLF_KERNEL_64) != 0,
    };
    memcpy(h->raw, p + H_SETUP_SECTS, h->raw_bytes);
    h->code_bytes -= missing_of_last_paragraph(h, &b->kernel);
    r = check_sizes(h, &b->kernel, e);
    if (r == 0)
        find_payload(h, p);
    return r;
}

/* ---- the command line, as far as boot loaders must read it ---- */

/* The word that begins with `key` (or is it, if key does not end in '='). NULL: none. The last
 * one counts. */
static const char *find_word(const char *cmdline, const char *key)
{
    size_t len = strlen(key);
    const char *found = NULL;

    for (const char *p = cmdline ? cmdline : ""; *p;) {
        size_t word;

        p += strspn(p, " \t\n");
        word = strcspn(p, " \t\n");
        if (word >= len && !strncmp(p, key, len) && (key[len - 1] == '=' || word == len))
            found = p;
        p += word;
    }
    return found;
}

/* mem=SIZE: Linux will not use what is above, so nothing may be put there. */
static uint64_t memory_limit(const char *cmdline)
{
    static const char suffixes[] = "kmgt";
    const char *word = find_word(cmdline, "mem="), *s;
    char *end;
    uint64_t n;
    unsigned shift;

    if (!word)
        return UINT64_MAX;
    n = strtoull(word + 4, &end, 0);
    if (end == word + 4 || n == 0)
        return UINT64_MAX;
    s = *end ? strchr(suffixes, *end | 0x20) : NULL;
    shift = s ? 10 * (unsigned)(s - suffixes + 1) : 0;
    return n > UINT64_MAX >> shift ? UINT64_MAX : n << shift;
}

static bool kaslr_wanted(const char *cmdline)
{
    return !find_word(cmdline, "nokaslr");
}

/* ---- the plan ---- */

struct limits {
    uint64_t low_end, high_end; /* usable RAM; high_end 0: none above 4 GiB */
};

static struct limits limits_of(const struct boot_ram *ram, const char *cmdline)
{
    uint64_t max = memory_limit(cmdline);
    struct limits l = {.low_end = ram->low_end, .high_end = ram->high_end};

    if (max < l.low_end)
        l.low_end = max;
    if (max < l.high_end)
        l.high_end = max;
    if (l.high_end <= GMEM_HIGH_START)
        l.high_end = 0;
    return l;
}

static int explain_memory(const struct boot_image *b, const struct linux_plan *plan,
                          const struct boot_ram *ram, const struct limits *l, struct err *e)
{
    unsigned long long start = plan->kernel_gpa >> 20,
                       kernel = (plan->kernel_bytes + MIB(1) - 1) >> 20;
    unsigned long long initrd = (plan->initrd_bytes + MIB(1) - 1) >> 20,
                       need = start + kernel + initrd;

    if (l->low_end < ram->low_end)
        return err_set(e, ENOMEM,
                       "kernel %s: mem= on its command line leaves %llu MiB, it needs %llu MiB "
                       "to start; take mem= out of append:",
                       b->kernel.path, (unsigned long long)(l->low_end >> 20), need);
    if (need > GMEM_HOLE_START >> 20)
        return err_set(e, EFBIG,
                       "kernel %s and initrd need %llu MiB below 3 GiB, more than any guest has "
                       "there; use a smaller initrd",
                       b->kernel.path, need);
    if (initrd)
        return err_set(e, ENOMEM,
                       "not enough memory: %llu MiB below the kernel, %llu MiB for kernel %s, "
                       "%llu MiB for initrd %s make %llu MiB, the guest has %llu MiB; set "
                       "memory: %lluM or more",
                       start, kernel, b->kernel.path, initrd, b->initrd.path, need,
                       (unsigned long long)(ram->size_bytes >> 20),
                       (unsigned long long)boot_memory_hint_mib(MIB(need + need / 8)));
    return err_set(e, ENOMEM,
                   "not enough memory: %llu MiB below the kernel and %llu MiB for kernel %s make "
                   "%llu MiB, the guest has %llu MiB; set memory: %lluM or more",
                   start, kernel, b->kernel.path, need, (unsigned long long)(ram->size_bytes >> 20),
                   (unsigned long long)boot_memory_hint_mib(MIB(need + need / 8)));
}

static int place_initrd(const struct boot_image *b, const struct limits *l, struct linux_plan *plan,
                        struct err *e)
{
    uint64_t hi = (uint64_t)b->lx.h.initrd_addr_max + 1,
             floor = plan->kernel_gpa + plan->kernel_bytes;
    struct boot_busy none = {0};

    if (plan->initrd_bytes == 0)
        return 0;
    if (hi > l->low_end)
        hi = l->low_end;
    if (boot_place_high(&none, floor, hi, plan->initrd_bytes, GMEM_PAGE_BYTES, &plan->initrd_gpa))
        return 0;
    return err_set(e, EFBIG,
                   "initrd %s has %llu MiB, kernel %s takes it only below %llu MiB; use a "
                   "smaller one",
                   b->initrd.path, (unsigned long long)(plan->initrd_bytes >> 20), b->kernel.path,
                   (unsigned long long)(hi >> 20));
}

/* A random place in all RAM that is free, from the kernel's own address upwards. */
static int randomise_place(const struct linux_header *h, const struct limits *l,
                           struct linux_plan *plan, struct err *e)
{
    uint64_t bytes = plan->kernel_bytes, lo = plan->kernel_gpa, low, high = 0, pick;
    struct boot_busy busy = {0};
    int r = boot_busy_add(&busy, plan->initrd_gpa, plan->initrd_bytes);

    if (r < 0)
        return err_set(e, -r, "the initrd is too large");
    low = boot_place_count(&busy, lo, l->low_end, bytes, h->alignment);
    if (h->above_4g && l->high_end)
        high = boot_place_count(&busy, GMEM_HIGH_START, l->high_end, bytes, h->alignment);
    if (low + high == 0)
        return 0;
    r = boot_random_below(low + high, &pick, e);
    if (r < 0)
        return r;
    plan->kernel_gpa = pick < low ? boot_place_nth(&busy, lo, l->low_end, bytes, h->alignment, pick)
                                  : boot_place_nth(&busy, GMEM_HIGH_START, l->high_end, bytes,
                                                   h->alignment, pick - low);
    return 0;
}

static int randomise(const struct boot_image *b, const char *cmdline, const struct limits *l,
                     struct linux_plan *plan, struct err *e)
{
    struct boot_kernel_view v = boot_kernel_view(b->lx.kernel);
    const struct linux_header *h = &b->lx.h;
    uint64_t slots = boot_kaslr_virtual_slots(v.elf, h->alignment), pick;
    int r = 0;

    /* memmap= tells Linux of holes that we do not see */
    if (h->relocatable && !find_word(cmdline, "memmap="))
        r = randomise_place(h, l, plan, e);
    if (r == 0 && slots && v.relocs->n32) {
        r = boot_random_below(slots, &pick, e);
        plan->virt_delta = pick * h->alignment;
        plan->kaslr = true;
    }
    return r;
}

static uint64_t align_up(uint64_t n, uint64_t align)
{
    return (n + align - 1) & ~(align - 1);
}

/* Where the kernel goes if nothing is random, and how much it needs there. */
static void plan_kernel(const struct boot_image *b, struct linux_plan *plan)
{
    const struct linux_header *h = &b->lx.h;

    if (b->lx.kernel) {
        struct boot_kernel_view v = boot_kernel_view(b->lx.kernel);

        plan->kernel_gpa = v.elf->start;
        plan->kernel_bytes = v.elf->end - v.elf->start;
    } else {
        plan->kernel_gpa = h->pref_address;
        plan->kernel_bytes = h->init_size > h->code_bytes ? h->init_size : h->code_bytes;
    }
    plan->kernel_bytes = align_up(plan->kernel_bytes, GMEM_PAGE_BYTES);
}

static int make_plan(const struct boot_image *b, const struct boot_ram *ram, const char *cmdline,
                     struct linux_plan *plan, struct err *e)
{
    struct limits l = limits_of(ram, cmdline);
    int r;

    *plan = (struct linux_plan){.initrd_bytes = b->initrd.fd >= 0 ? b->initrd.size_bytes : 0};
    plan_kernel(b, plan);
    if (plan->kernel_gpa + plan->kernel_bytes > l.low_end ||
        align_up(plan->initrd_bytes, GMEM_PAGE_BYTES) >
            l.low_end - plan->kernel_gpa - plan->kernel_bytes)
        return explain_memory(b, plan, ram, &l, e);
    r = place_initrd(b, &l, plan, e);
    if (r == 0 && b->lx.kernel && kaslr_wanted(cmdline))
        r = randomise(b, cmdline, &l, plan, e);
    return r;
}

/* ---- open ---- */

static void note_direct(struct boot_image *b, const char *cmdline)
{
    struct boot_kernel_view v = boot_kernel_view(b->lx.kernel);
    const char *kaslr = "KASLR done by us, physical and virtual";

    if (!kaslr_wanted(cmdline))
        kaslr = "no KASLR, as the command line says nokaslr";
    else if (!v.relocs->n32 && !b->lx.h.relocatable)
        kaslr = "no KASLR, the kernel cannot be moved";
    else if (!v.relocs->n32)
        kaslr = "KASLR of the physical address only: the kernel carries no relocations; boot: "
                "bzimage would not do more";
    else if (!b->lx.h.relocatable || find_word(cmdline, "memmap="))
        kaslr = "KASLR done by us, of the virtual address only";
    snprintf(b->note, sizeof b->note, "kernel unpacked on the host (%s%s); %s", v.packer,
             v.from_cache ? ", from the cache" : "", kaslr);
}

/* The kernel inside, or why not. */
static int open_direct(struct boot_image *b, uint64_t memory_bytes, struct err *e)
{
    const struct linux_header *h = &b->lx.h;

    if (!h->bits64)
        return err_set(e, ENOTSUP, "it is entered in 32-bit mode");
    if (h->payload_bytes == 0)
        return err_set(e, EBADMSG, "its header names no payload");
    b->lx.kernel =
        boot_kernel_get(&b->kernel, h->payload_offset, h->payload_bytes, memory_bytes, e);
    if (!b->lx.kernel)
        return -e->code;
    if (boot_kernel_view(b->lx.kernel).elf->start == h->pref_address)
        return 0;
    boot_kernel_put(b->lx.kernel);
    b->lx.kernel = NULL;
    return err_set(e, EBADMSG, "its payload is not linked to the address that its header prefers");
}

static int choose(struct boot_image *b, const struct vm_config *c, struct err *e)
{
    struct err why = {0};
    int r;

    b->protocol = b->lx.h.bits64 ? BOOT_LINUX64 : BOOT_LINUX32;
    if (c->boot == BOOT_BZIMAGE) {
        snprintf(b->note, sizeof b->note, "the guest unpacks its kernel itself (boot: bzimage)");
        return 0;
    }
    r = open_direct(b, c->memory_bytes, &why);
    if (r == 0) {
        b->protocol = BOOT_LINUX_DIRECT;
        note_direct(b, c->append);
        return 0;
    }
    if (c->boot == BOOT_DIRECT)
        return err_set(e, -r, "kernel %s cannot be booted directly: %s; use boot: bzimage",
                       b->kernel.path, why.msg);
    if (r == -EILSEQ) /* the guest would only find the same, and stand still */
        return err_set(e, EILSEQ, "kernel %s: %s; copy or download it again, or let the guest try: boot: bzimage",
                       b->kernel.path, why.msg);
    snprintf(b->note, sizeof b->note, "the guest unpacks its kernel itself, since %s", why.msg);
    return 0;
}

static int linux_open(struct boot_image *b, const struct vm_config *c, struct err *e)
{
    struct boot_ram ram = boot_ram_of(c->memory_bytes);
    struct linux_plan plan;
    int r = read_header(b, &b->lx.h, e);

    if (r == 0)
        r = choose(b, c, e);
    if (r == 0) /* what cannot fit is said now, not at the first start */
        r = make_plan(b, &ram, c->append, &plan, e);
    return r;
}

static void linux_close(struct boot_image *b)
{
    boot_kernel_put(b->lx.kernel);
}

/* ---- load ---- */

static int load_kernel(const struct boot_image *b, const struct linux_plan *plan, struct gmem *m,
                       uint64_t *entry, struct err *e)
{
    const struct linux_header *h = &b->lx.h;
    const struct boot_elf *elf;
    int r;

    if (!b->lx.kernel) {
        *entry = plan->kernel_gpa + (h->bits64 ? ENTRY_64 : 0);
        return boot_file_load(&b->kernel, h->code_offset, h->code_bytes, m, plan->kernel_gpa, e);
    }
    elf = boot_kernel_view(b->lx.kernel).elf;
    *entry = plan->kernel_gpa + (elf->entry - elf->start);
    r = boot_kernel_load(b->lx.kernel, m, plan->kernel_gpa, plan->virt_delta);
    return r < 0 ? err_set(e, -r, "kernel %s does not fit into the guest's memory", b->kernel.path)
                 : 0;
}

static int linux_load(const struct boot_image *b, struct gmem *m, const struct boot_params *p,
                      struct x86_regs *regs, struct err *e)
{
    struct boot_ram ram = boot_ram_of(gmem_size_bytes(m));
    struct linux_plan plan;
    uint64_t entry = 0;
    int r = make_plan(b, &ram, p->cmdline, &plan, e);

    if (r == 0)
        r = load_kernel(b, &plan, m, &entry, e);
    if (r == 0)
        r = boot_file_load(&b->initrd, 0, plan.initrd_bytes, m, plan.initrd_gpa, e);
    if (r == 0)
        r = boot_zeropage_write(&b->lx.h, &plan, &ram, p, m, e);
    if (r == 0 && b->protocol == BOOT_LINUX32)
        r = boot_entry32_write(entry, m, regs, e);
    else if (r == 0)
        r = boot_long_mode_write(&plan, entry, m, regs, e);
    return r;
}

const struct boot_format boot_format_linux = {
    .probe = linux_probe,
    .open = linux_open,
    .load = linux_load,
    .close = linux_close,
};
