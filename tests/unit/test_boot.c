/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Linux kernels (bzImage), loaded both ways, with images made here: what is where in guest
 * memory, what is random and what is not, and what is refused. test_boot_elf.c has the rest.
 */
#include "boot_images.h"

#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { ZP = BOOT_ZERO_PAGE_GPA, LOADFLAGS_KASLR = 2 };

static char dir[64];

static char *path_of(const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void write_file(const char *path, const void *p, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, p, len), len);
    close(fd);
}

/* A guest with one kernel file; NULL data: no new file. */
struct guest {
    struct vm_config c;
    char kernel[128], initrd[160];
    struct boot_image *b;
    struct gmem *m;
    struct x86_regs r;
    struct err e;
    const char *cmdline;
};

static struct guest guest_with(struct image *kernel, uint64_t mib)
{
    static unsigned n;
    struct guest g = {0};

    vm_config_init(&g.c, "t");
    snprintf(g.kernel, sizeof g.kernel, "%s/k%u", dir, n++);
    if (kernel) {
        write_file(g.kernel, kernel->data, kernel->len);
        image_free(kernel);
    }
    g.c.memory_bytes = MIB(mib);
    return g;
}

static void guest_initrd(struct guest *g, const void *p, size_t len)
{
    snprintf(g->initrd, sizeof g->initrd, "%s.initrd", g->kernel);
    write_file(g->initrd, p, len);
}

static bool guest_open(struct guest *g)
{
    char *append = g->c.append;

    g->c.kernel = g->kernel;
    g->c.initrd = g->initrd[0] ? g->initrd : NULL;
    g->c.append = (char *)(g->cmdline ? g->cmdline : "");
    g->b = boot_open(&g->c, &g->e);
    g->c.kernel = g->c.initrd = NULL;
    g->c.append = append;
    return g->b != NULL;
}

static bool guest_load(struct guest *g)
{
    struct boot_params p = {.cmdline = g->cmdline, .rsdp_gpa = 0xe0000, .vcpus = 1};

    if (!g->m)
        g->m = gmem_new("t", g->c.memory_bytes, NULL);
    assert_non_null(g->m);
    gmem_clear(g->m);
    return boot_load(g->b, g->m, &p, &g->r, &g->e) == 0;
}

static void guest_boot(struct guest *g)
{
    if (!guest_open(g) || !guest_load(g))
        fail_msg("%s", g->e.msg);
}

static void guest_end(struct guest *g)
{
    boot_close(g->b);
    gmem_free(g->m);
    vm_config_fini(&g->c);
    unlink(g->kernel);
    if (g->initrd[0])
        unlink(g->initrd);
}

static uint64_t peek(struct guest *g, uint64_t gpa, unsigned width)
{
    uint8_t b[8] = {0};

    assert_int_equal(gmem_read(g->m, gpa, b, width), 0);
    return le64_get(b);
}

static uint64_t image_base(struct guest *g)
{
    return g->r.rip - 0x10;
}

static void assert_text(struct guest *g, uint64_t gpa, const char *text)
{
    char buf[64] = "";

    assert_int_equal(gmem_read(g->m, gpa, buf, strlen(text)), 0);
    assert_string_equal(buf, text);
}

static void assert_says(const char *sentence, const char *part)
{
    if (!strstr(sentence, part))
        fail_msg("'%s' does not say '%s'", sentence, part);
}

static void assert_refused(struct guest *g, const char *part)
{
    if (guest_open(g) && guest_load(g))
        fail_msg("was accepted, expected '%s'", part);
    assert_says(g->e.msg, part);
    guest_end(g);
}

/* ---- direct ---- */

static void every_packer_is_unpacked_and_entered_directly(void **state)
{
    static const char *const names[] = {"xz", "gzip", "zstd", "lz4"};

    (void)state;
    for (enum pack p = PACK_XZ; p <= PACK_LZ4; p++) {
        struct image k = bzimage_of(p, RELOCS_3_LISTS);
        struct guest g = guest_with(&k, 64);

        g.c.boot = BOOT_DIRECT;
        guest_boot(&g);
        assert_int_equal(boot_image_protocol(g.b), BOOT_LINUX_DIRECT);
        assert_says(boot_image_note(g.b), names[p]);
        assert_says(boot_image_note(g.b), "KASLR done by us");
        assert_text(&g, image_base(&g), "TEXTtext");
        guest_end(&g);
    }
}

static void kaslr_moves_every_kind_of_relocation_and_nothing_else(void **state)
{
    static const enum vmlinux_relocs kinds[] = {RELOCS_3_LISTS, RELOCS_2_LISTS, RELOCS_NO_SECTIONS};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct image k = bzimage_of(PACK_LZ4, kinds[i]);
        struct guest g = guest_with(&k, 64);
        uint64_t base, delta;

        guest_boot(&g);
        base = image_base(&g);
        delta = peek(&g, base + AT_WORD64, 8) - WORD64;
        assert_int_equal(delta % MIB(2), 0);
        assert_true(delta < GIB(1));
        assert_int_equal(peek(&g, base + AT_PERCPU64, 8), WORD64 + 8 + delta);
        assert_int_equal(peek(&g, base + AT_WORD32, 4), (uint32_t)(WORD32 + delta));
        assert_int_equal(peek(&g, base + AT_INVERSE32, 4),
                         kinds[i] != RELOCS_2_LISTS ? (uint32_t)(INVERSE32 - delta) : INVERSE32);
        assert_int_equal(peek(&g, base + AT_PLAIN, 8), PLAIN);
        assert_true(peek(&g, ZP + 0x211, 1) & LOADFLAGS_KASLR);
        guest_end(&g);
    }
}

static void every_boot_gets_fresh_places_inside_free_memory(void **state)
{
    struct image k = bzimage_of(PACK_LZ4, RELOCS_3_LISTS);
    struct guest g = guest_with(&k, 64);
    uint64_t first_base = 0, first_delta = 0, last_seed = 0;
    unsigned bases = 0, deltas = 0;

    (void)state;
    guest_initrd(&g, "0123456789", 10);
    assert_true(guest_open(&g));
    for (int i = 0; i < 40; i++) {
        uint64_t base, delta, seed;

        assert_true(guest_load(&g));
        base = image_base(&g);
        delta = peek(&g, base + AT_WORD64, 8) - WORD64;
        seed = peek(&g, BOOT_SEED_GPA + 16, 8);
        assert_int_equal(base % MIB(2), 0);
        assert_in_range(base, VMLINUX_BASE, MIB(64) - 4096 - 0x8000);
        assert_true(VMLINUX_BASE + delta + 0x8000 <= GIB(1));
        assert_text(&g, peek(&g, ZP + 0x218, 4), "0123456789");
        bases += i > 0 && base != first_base;
        deltas += i > 0 && delta != first_delta;
        first_base = i ? first_base : base;
        first_delta = i ? first_delta : delta;
        assert_true(seed != last_seed);
        last_seed = seed;
    }
    assert_true(bases > 20); /* 23 places: all the same has no chance */
    assert_true(deltas > 30);
    guest_end(&g);
}

static void nokaslr_puts_the_kernel_where_it_is_linked(void **state)
{
    struct image k = bzimage_of(PACK_ZSTD, RELOCS_3_LISTS);
    struct guest g = guest_with(&k, 64);

    (void)state;
    g.cmdline = "quiet nokaslr";
    guest_boot(&g);
    assert_int_equal(g.r.rip, VMLINUX_BASE + 0x10);
    assert_int_equal(peek(&g, VMLINUX_BASE + AT_WORD64, 8), WORD64);
    assert_int_equal(peek(&g, ZP + 0x211, 1) & LOADFLAGS_KASLR, 0);
    assert_says(boot_image_note(g.b), "nokaslr");
    guest_end(&g);
}

static void a_word_that_contains_nokaslr_is_not_nokaslr(void **state)
{
    struct image k = bzimage_of(PACK_ZSTD, RELOCS_3_LISTS);
    struct guest g = guest_with(&k, 64);

    (void)state;
    g.cmdline = "xnokaslr nokaslr2 mem=nopentium";
    guest_boot(&g);
    assert_true(peek(&g, ZP + 0x211, 1) & LOADFLAGS_KASLR);
    guest_end(&g);
}

static void a_kernel_without_relocations_is_moved_physically_and_the_note_says_so(void **state)
{
    struct image k = bzimage_of(PACK_XZ, RELOCS_NONE);
    struct guest g = guest_with(&k, 64);

    (void)state;
    guest_boot(&g);
    assert_int_equal(boot_image_protocol(g.b), BOOT_LINUX_DIRECT);
    assert_says(boot_image_note(g.b), "physical address only");
    assert_int_equal(peek(&g, image_base(&g) + AT_WORD64, 8), WORD64);
    assert_int_equal(peek(&g, ZP + 0x211, 1) & LOADFLAGS_KASLR, 0);
    guest_end(&g);
}

static void bad_relocations_fall_back_to_bzimage_and_are_refused_for_direct(void **state)
{
    static const enum vmlinux_relocs kinds[] = {RELOCS_OUTSIDE, RELOCS_GARBAGE};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct image k = bzimage_of(PACK_LZ4, kinds[i]), again = bzimage_of(PACK_LZ4, kinds[i]);
        struct guest g = guest_with(&k, 64), d = guest_with(&again, 64);

        guest_boot(&g);
        assert_int_equal(boot_image_protocol(g.b), BOOT_LINUX64);
        assert_says(boot_image_note(g.b), "relocations");
        guest_end(&g);
        d.c.boot = BOOT_DIRECT;
        assert_refused(&d, "use boot: bzimage");
    }
}

static void packers_that_we_lack_fall_back_to_bzimage_by_name(void **state)
{
    static const char *const names[] = {
        [PACK_LZMA] = "lzma", [PACK_BZIP2] = "bzip2", [PACK_LZO] = "lzo"};

    (void)state;
    for (enum pack p = PACK_LZMA; p < PACKS; p++) {
        struct image k = bzimage_of(p, RELOCS_3_LISTS), again = bzimage_of(p, RELOCS_3_LISTS);
        struct guest g = guest_with(&k, 64), d = guest_with(&again, 64);

        guest_boot(&g);
        assert_int_equal(boot_image_protocol(g.b), BOOT_LINUX64);
        assert_says(boot_image_note(g.b), names[p]);
        guest_end(&g);
        d.c.boot = BOOT_DIRECT;
        assert_refused(&d, names[p]);
    }
}

static void memory_above_4_gib_is_used_and_mapped(void **state)
{
    struct image k = bzimage_of(PACK_LZ4, RELOCS_3_LISTS);
    struct guest g = guest_with(&k, 6144);
    bool high = false;

    (void)state;
    assert_true(guest_open(&g));
    for (int i = 0; i < 60; i++) {
        uint64_t base, pml4e, pdpte, pde;

        assert_true(guest_load(&g));
        base = image_base(&g);
        high |= base >= GIB(4);
        pml4e = peek(&g, g.r.cr3, 8);
        pdpte = peek(&g, (pml4e & ~0xfffull) + (g.r.rip >> 30) * 8, 8);
        pde = peek(&g, (pdpte & ~0xfffull) + (g.r.rip >> 21 & 511) * 8, 8);
        assert_int_equal(pde, (g.r.rip & ~(MIB(2) - 1)) | 0x83);
        assert_text(&g, base, "TEXTtext");
    }
    assert_true(high);
    guest_end(&g);
}

static void mem_on_the_command_line_bounds_kernel_and_initrd(void **state)
{
    struct image k = bzimage_of(PACK_LZ4, RELOCS_3_LISTS);
    struct guest g = guest_with(&k, 256);

    (void)state;
    guest_initrd(&g, "initrd", 6);
    g.cmdline = "mem=20M";
    assert_true(guest_open(&g));
    for (int i = 0; i < 20; i++) {
        assert_true(guest_load(&g));
        assert_true(image_base(&g) + 0x8000 <= MIB(20));
        assert_int_equal(peek(&g, ZP + 0x218, 4), MIB(20) - 4096);
    }
    guest_end(&g);
}

static void memmap_on_the_command_line_keeps_the_physical_place(void **state)
{
    struct image k = bzimage_of(PACK_LZ4, RELOCS_3_LISTS);
    struct guest g = guest_with(&k, 256);

    (void)state;
    g.cmdline = "memmap=16M$64M";
    assert_true(guest_open(&g));
    assert_says(boot_image_note(g.b), "virtual address only");
    for (int i = 0; i < 20; i++) {
        assert_true(guest_load(&g));
        assert_int_equal(image_base(&g), VMLINUX_BASE);
    }
    guest_end(&g);
}

static void guests_of_one_kernel_share_it(void **state)
{
    struct image k = bzimage_of(PACK_XZ, RELOCS_3_LISTS);
    struct guest g = guest_with(&k, 64), h = guest_with(NULL, 64);

    (void)state;
    memcpy(h.kernel, g.kernel, sizeof h.kernel);
    assert_true(guest_open(&g));
    assert_true(guest_open(&h));
    assert_ptr_equal(g.b->lx.kernel, h.b->lx.kernel);
    guest_end(&g);
    assert_true(guest_load(&h));
    assert_text(&h, image_base(&h), "TEXTtext");
    guest_end(&h);
}

/* ---- bzimage ---- */

static void bzimage_is_loaded_at_its_preferred_address(void **state)
{
    struct image k = bzimage_of(PACK_XZ, RELOCS_3_LISTS);
    size_t code = k.len - BZ_SETUP_BYTES;
    struct guest g = guest_with(&k, 64);

    (void)state;
    g.c.boot = BOOT_BZIMAGE;
    guest_boot(&g);
    assert_int_equal(boot_image_protocol(g.b), BOOT_LINUX64);
    assert_int_equal(g.r.rip, VMLINUX_BASE + 0x200);
    assert_int_equal(peek(&g, VMLINUX_BASE, 1), 0xc0);
    assert_text(&g, VMLINUX_BASE + BZ_PAYLOAD_AT + 1, "7zXZ");
    assert_int_equal(peek(&g, ZP + 0x1f4, 4) * 16, code);
    assert_int_equal(peek(&g, ZP + 0x211, 1) & LOADFLAGS_KASLR, 0);
    guest_end(&g);
}

static void entry_state_is_long_mode_with_flat_segments(void **state)
{
    struct image k = bzimage_of(PACK_LZ4, RELOCS_3_LISTS);
    struct guest g = guest_with(&k, 64);

    (void)state;
    guest_boot(&g);
    assert_int_equal(g.r.gpr[X86_RSI], ZP);
    assert_int_equal(g.r.cr0 & 0x80000001, 0x80000001);
    assert_int_equal(g.r.cr4 & 0x20, 0x20);
    assert_int_equal(g.r.efer, 0x500);
    assert_int_equal(g.r.rflags, 2);
    assert_int_equal(g.r.seg[X86_CS].sel, 0x10);
    assert_int_equal(g.r.seg[X86_CS].attr, 0xa09b);
    assert_int_equal(g.r.seg[X86_DS].sel, 0x18);
    assert_int_equal(g.r.seg[X86_SS].attr, 0xc093);
    assert_int_equal(peek(&g, g.r.gdt.base + 0x10, 8), 0x00af9b000000ffffull);
    assert_int_equal(peek(&g, g.r.gdt.base + 0x18, 8), 0x00cf93000000ffffull);
    guest_end(&g);
}

static void zero_page_describes_memory_command_line_and_acpi(void **state)
{
    static const uint64_t want[][3] = {{0, 0x9fc00, 1},
                                       {0x9fc00, 0x400, 2},
                                       {0xe0000, 0x20000, 2},
                                       {0x100000, GIB(3) - 0x100000, 1},
                                       {0xe0000000, 0x20000000, 2},
                                       {GIB(4), GIB(1), 1}};
    struct image k = bzimage_of(PACK_LZ4, RELOCS_3_LISTS);
    struct guest g = guest_with(&k, 4096);

    (void)state;
    g.cmdline = "console=ttyS0 quiet";
    guest_boot(&g);
    assert_int_equal(peek(&g, ZP + 0x1e8, 1), 6);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(peek(&g, ZP + 0x2d0 + 20 * i, 8), want[i][0]);
        assert_int_equal(peek(&g, ZP + 0x2d8 + 20 * i, 8), want[i][1]);
        assert_int_equal(peek(&g, ZP + 0x2e0 + 20 * i, 4), want[i][2]);
    }
    assert_int_equal(peek(&g, ZP + 0x70, 8), 0xe0000);
    assert_int_equal(peek(&g, ZP + 0x210, 1), 0xff);
    assert_int_equal(peek(&g, ZP + 0x1ef, 1), 0); /* sentinel */
    assert_text(&g, peek(&g, ZP + 0x228, 4), "console=ttyS0 quiet");
    assert_int_equal(peek(&g, peek(&g, ZP + 0x250, 8) + 8, 4), 9); /* SETUP_RNG_SEED */
    assert_int_equal(peek(&g, peek(&g, ZP + 0x250, 8) + 12, 4), 32);
    guest_end(&g);
}

static void initrd_goes_as_high_as_the_kernel_allows(void **state)
{
    static const struct {
        uint64_t mib, end;
    } cases[] = {{64, MIB(64)}, {1024, GIB(1)}, {4096, GIB(2)}};
    uint8_t data[5000];

    (void)state;
    memset(data, 'i', sizeof data);
    for (int i = 0; i < 3; i++) {
        struct image k = bzimage_of(PACK_LZ4, RELOCS_3_LISTS);
        struct guest g = guest_with(&k, cases[i].mib);

        g.c.boot = BOOT_BZIMAGE;
        guest_initrd(&g, data, sizeof data);
        guest_boot(&g);
        assert_int_equal(peek(&g, ZP + 0x218, 4), cases[i].end - 8192);
        assert_int_equal(peek(&g, ZP + 0x21c, 4), sizeof data);
        assert_text(&g, cases[i].end - 8192 + 4990, "iiiiiiiiii");
        guest_end(&g);
    }
}

/* ---- refused ---- */

static void a_kernel_larger_than_memory_is_refused_with_the_arithmetic(void **state)
{
    struct image k = bzimage_of(PACK_LZ4, RELOCS_3_LISTS);
    struct guest g = guest_with(&k, 16);

    (void)state;
    assert_refused(&g, "16 MiB below the kernel and 1 MiB for kernel");
    assert_says(g.e.msg, "the guest has 16 MiB; set memory: 32M or more");
}

static void an_initrd_larger_than_memory_is_refused_with_the_arithmetic(void **state)
{
    struct image k = bzimage_of(PACK_LZ4, RELOCS_3_LISTS);
    struct guest g = guest_with(&k, 64);
    uint8_t *big = calloc(1, MIB(50));

    (void)state;
    guest_initrd(&g, big, MIB(50));
    free(big);
    assert_refused(&g, "50 MiB for initrd");
    assert_says(g.e.msg, "make 67 MiB, the guest has 64 MiB; set memory: 80M or more");
}

static void a_command_line_that_is_too_long_is_refused(void **state)
{
    struct image k = bzimage_of(PACK_LZ4, RELOCS_3_LISTS);
    struct guest g = guest_with(&k, 64);
    char line[BZ_CMDLINE_MAX + 2];

    (void)state;
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = 0;
    g.cmdline = line;
    assert_refused(&g, "at most 255");
}

static void old_kernels_and_zimages_are_refused(void **state)
{
    struct image old = bzimage_of(PACK_LZ4, RELOCS_3_LISTS),
                 low = bzimage_of(PACK_LZ4, RELOCS_3_LISTS);
    struct guest g, h;

    (void)state;
    le16_put(old.data + 0x206, 0x209);
    g = guest_with(&old, 64);
    assert_refused(&g, "protocol 2.09");
    low.data[0x211] = 0;
    h = guest_with(&low, 64);
    assert_refused(&h, "zImage");
}

/* A 32-bit kernel, and a 64-bit one from before its header could tell. */
static void kernels_without_a_64_bit_entry_start_in_flat_32_bit_mode(void **state)
{
    for (int i = 0; i < 2; i++) {
        struct image k = bzimage_of(PACK_LZ4, RELOCS_3_LISTS);
        struct guest g;

        (void)state;
        if (i == 0)
            le16_put(k.data + 0x236, 0x7e); /* no XLF_KERNEL_64 */
        else
            le16_put(k.data + 0x206, 0x20b);
        g = guest_with(&k, 64);
        guest_boot(&g);
        assert_int_equal(boot_image_protocol(g.b), BOOT_LINUX32);
        assert_says(boot_image_note(g.b), "32-bit mode");
        assert_int_equal(g.r.rip, VMLINUX_BASE);
        assert_int_equal(g.r.gpr[X86_RSI], ZP);
        assert_int_equal(g.r.gpr[X86_RBP], 0);
        assert_int_equal(g.r.cr0 & 0x80000001, 1);
        assert_int_equal(g.r.efer, 0);
        assert_int_equal(g.r.seg[X86_CS].sel, 0x10);
        assert_int_equal(g.r.seg[X86_CS].attr, 0xc09b);
        assert_int_equal(peek(&g, g.r.gdt.base + 0x10, 8), 0x00cf9b000000ffffull);
        assert_int_equal(peek(&g, g.r.gdt.base + 0x18, 8), 0x00cf93000000ffffull);
        guest_end(&g);
    }
}

static void a_32_bit_kernel_is_not_booted_directly(void **state)
{
    struct image k = bzimage_of(PACK_LZ4, RELOCS_3_LISTS);
    struct guest g;

    (void)state;
    le16_put(k.data + 0x236, 0x7e);
    g = guest_with(&k, 64);
    g.c.boot = BOOT_DIRECT;
    assert_refused(&g, "use boot: bzimage");
}

static void truncation_at_every_byte_is_noticed(void **state)
{
    struct image k = bzimage_of(PACK_XZ, RELOCS_3_LISTS);
    size_t len = k.len;

    (void)state;
    for (size_t n = 0x206; n <= len - 16; n++) { /* before it is no Linux kernel */
        struct image part = {0};
        struct guest g;

        image_add(&part, k.data, n);
        g = guest_with(&part, 64);
        assert_refused(&g, n < 0x290 ? "truncated inside its header" : "truncated");
    }
    image_free(&k);
}

static void the_last_paragraph_need_not_be_whole(void **state)
{
    struct image k = bzimage_of(PACK_LZ4, RELOCS_3_LISTS);
    struct guest g;

    (void)state;
    k.len -= 8;
    g = guest_with(&k, 64);
    g.c.boot = BOOT_BZIMAGE;
    guest_boot(&g);
    assert_int_equal(boot_image_protocol(g.b), BOOT_LINUX64);
    guest_end(&g);
}

/* Whatever the file says: a sentence, or a boot inside the guest's memory. */
static void try_image(struct image *k, enum boot_mode mode, struct gmem *m)
{
    struct guest g = guest_with(k, 32);

    g.c.boot = mode;
    g.m = m;
    if (!guest_open(&g) || !guest_load(&g))
        assert_true(strlen(g.e.msg) > 10);
    else
        assert_non_null(gmem_ptr(g.m, g.r.rip, 1));
    g.m = NULL;
    guest_end(&g);
}

static void try_field(const struct image *k, size_t at, unsigned width, uint64_t value,
                      struct gmem *m)
{
    static const enum boot_mode modes[] = {BOOT_AUTO, BOOT_BZIMAGE};
    uint8_t v[8];

    le64_put(v, value);
    for (int i = 0; i < 2; i++) {
        struct image copy = {0};

        image_add(&copy, k->data, k->len);
        memcpy(copy.data + at, v, width);
        try_image(&copy, modes[i], m);
    }
}

static void lies_in_every_header_field_are_survived(void **state)
{
    static const struct {
        unsigned at, width;
    } fields[] = {{0x1f1, 1}, {0x1f4, 4}, {0x201, 1}, {0x206, 2}, {0x211, 1},
                  {0x214, 4}, {0x218, 8}, {0x228, 4}, {0x22c, 4}, {0x230, 4},
                  {0x234, 1}, {0x235, 1}, {0x236, 2}, {0x238, 4}, {0x248, 4},
                  {0x24c, 4}, {0x250, 8}, {0x258, 8}, {0x260, 4}, {0x264, 4}};
    static const uint64_t lies[] = {
        0,         1,          0x7f,       0xff,       0x1000,     0xffff,      0x10000,
        0x200000,  0x7fffffff, 0x80000000, 0xfffff000, 0xffffffff, 0x100000000, UINT64_MAX - 4095,
        UINT64_MAX};
    struct image k = bzimage_of(PACK_LZ4, RELOCS_3_LISTS);
    struct gmem *m = gmem_new("t", MIB(32), NULL);

    (void)state;
    for (size_t f = 0; f < sizeof fields / sizeof fields[0]; f++)
        for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
            try_field(&k, fields[f].at, fields[f].width, lies[i], m);
    image_free(&k);
    gmem_free(m);
}

static void lies_inside_the_payload_are_survived(void **state)
{
    struct gmem *m = gmem_new("t", MIB(32), NULL);

    (void)state;
    for (enum pack p = PACK_XZ; p <= PACK_LZ4; p++) {
        struct image k = bzimage_of(p, RELOCS_3_LISTS);

        for (size_t at = BZ_SETUP_BYTES + BZ_PAYLOAD_AT; at < k.len; at++) {
            struct image copy = {0};

            image_add(&copy, k.data, k.len);
            copy.data[at] ^= 0xff;
            try_image(&copy, BOOT_AUTO, m);
        }
        image_free(&k);
    }
    gmem_free(m);
}

static void lies_inside_the_unpacked_kernel_are_survived(void **state)
{
    struct image v = vmlinux_make(RELOCS_3_LISTS);
    struct gmem *m = gmem_new("t", MIB(32), NULL);

    (void)state;
    for (size_t at = 0; at < v.len; at += at < 180 || at >= 0x5000 ? 1 : 0x5000 - 180) {
        struct image bad = {0}, packed, k;

        image_add(&bad, v.data, v.len);
        bad.data[at] ^= 0xff;
        packed = image_pack(PACK_LZ4, &bad);
        k = bzimage_make(&packed);
        try_image(&k, BOOT_AUTO, m);
        image_free(&bad);
        image_free(&packed);
    }
    image_free(&v);
    gmem_free(m);
}

static void a_file_that_shrinks_after_opening_is_an_error(void **state)
{
    struct image k = bzimage_of(PACK_LZ4, RELOCS_3_LISTS);
    struct guest g = guest_with(&k, 64);

    (void)state;
    g.c.boot = BOOT_BZIMAGE;
    assert_true(guest_open(&g));
    assert_int_equal(truncate(g.kernel, 1500), 0);
    assert_false(guest_load(&g));
    assert_says(g.e.msg, "became shorter");
    guest_end(&g);
}

/* ---- cache ---- */

static char *cached_file(void)
{
    static char path[256];
    uint8_t digest[SHA256_BYTES];
    char *end;

    boot_sha256("abc", 3, digest);
    end = path + snprintf(path, sizeof path, "%s/cache/ruche/unpacked/", dir);
    for (int i = 0; i < SHA256_BYTES; i++)
        end += sprintf(end, "%02x", digest[i]);
    strcpy(end, ".lz4");
    return path;
}

static unsigned count_cached(void)
{
    char cmd[160], out[16] = "";
    FILE *f;

    snprintf(cmd, sizeof cmd, "ls %s/cache/ruche/unpacked 2>/dev/null | wc -l", dir);
    f = popen(cmd, "r");
    assert_non_null(f);
    assert_non_null(fgets(out, sizeof out, f));
    pclose(f);
    return (unsigned)atoi(out);
}

static int cache_on(void **state)
{
    (void)state;
    setenv("XDG_CACHE_HOME", path_of("cache"), 1);
    unsetenv("RUCHE_CACHE");
    return 0;
}

static int cache_off(void **state)
{
    char cmd[160];

    (void)state;
    setenv("RUCHE_CACHE", "off", 1);
    snprintf(cmd, sizeof cmd, "rm -rf %s/cache", dir);
    return system(cmd);
}

static void cache_returns_what_was_put_and_only_for_its_size(void **state)
{
    uint8_t digest[SHA256_BYTES], out[5000], data[5000];

    (void)state;
    memset(data, 'd', sizeof data);
    boot_sha256("abc", 3, digest);
    assert_false(boot_cache_get(digest, out, sizeof out));
    boot_cache_put(digest, data, sizeof data);
    assert_true(boot_cache_get(digest, out, sizeof out));
    assert_memory_equal(out, data, sizeof out);
    assert_false(boot_cache_get(digest, out, sizeof out - 1));
}

static void damaged_cache_files_are_ignored_and_removed(void **state)
{
    uint8_t digest[SHA256_BYTES], out[5000], data[5000];
    struct stat st;

    (void)state;
    boot_sha256("abc", 3, digest);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * i >> 3);
    boot_cache_put(digest, data, sizeof data);
    assert_int_equal(stat(cached_file(), &st), 0);
    for (off_t at = 0; at < st.st_size; at += 7) {
        int fd = open(cached_file(), O_RDWR);
        uint8_t b;

        assert_int_equal(pread(fd, &b, 1, at), 1);
        b ^= 0x10;
        assert_int_equal(pwrite(fd, &b, 1, at), 1);
        close(fd);
        if (boot_cache_get(digest, out, sizeof out)) /* a bit that means nothing */
            assert_memory_equal(out, data, sizeof out);
        else
            assert_int_equal(access(cached_file(), F_OK), -1);
        boot_cache_put(digest, data, sizeof data);
    }
    assert_int_equal(truncate(cached_file(), st.st_size / 2), 0);
    assert_false(boot_cache_get(digest, out, sizeof out));
}

static void a_cache_that_others_may_write_is_not_trusted(void **state)
{
    uint8_t digest[SHA256_BYTES], out[100], data[100] = "x";
    char path[256];

    (void)state;
    boot_sha256("abc", 3, digest);
    boot_cache_put(digest, data, sizeof data);
    assert_true(boot_cache_get(digest, out, sizeof out));
    snprintf(path, sizeof path, "%s/cache/ruche/unpacked", dir);
    assert_int_equal(chmod(path, 0770), 0);
    assert_false(boot_cache_get(digest, out, sizeof out));
    assert_int_equal(chmod(path, 0700), 0);
    assert_true(boot_cache_get(digest, out, sizeof out));
    snprintf(path, sizeof path, "%s/cache/ruche", dir);
    assert_int_equal(chmod(path, 0777), 0);
    assert_false(boot_cache_get(digest, out, sizeof out));
}

static void the_cache_is_bounded(void **state)
{
    uint8_t digest[SHA256_BYTES], data[100] = "x";

    (void)state;
    for (int i = 0; i < 20; i++) {
        boot_sha256(&i, sizeof i, digest);
        boot_cache_put(digest, data, sizeof data);
    }
    assert_int_equal(count_cached(), 8);
}

static void slow_packers_use_the_cache(void **state)
{
    struct image k = bzimage_of(PACK_XZ, RELOCS_3_LISTS);
    struct guest g = guest_with(&k, 64);

    (void)state;
    guest_boot(&g);
    assert_null(strstr(boot_image_note(g.b), "cache"));
    assert_int_equal(count_cached(), 1);
    boot_close(g.b);
    guest_boot(&g);
    assert_says(boot_image_note(g.b), "xz, from the cache");
    assert_text(&g, image_base(&g), "TEXTtext");
    guest_end(&g);
}

/* ---- parts ---- */

static void sha256_gives_the_published_digests(void **state)
{
    static const struct {
        const char *text, *hex;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrl"
         "mnopq"
         "rsmnopqrstnopqrstu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t d[SHA256_BYTES];
        char hex[2 * SHA256_BYTES + 1];

        boot_sha256(cases[i].text, strlen(cases[i].text), d);
        for (int j = 0; j < SHA256_BYTES; j++)
            sprintf(hex + 2 * j, "%02x", d[j]);
        assert_string_equal(hex, cases[i].hex);
    }
}

static void places_are_found_around_what_is_busy(void **state)
{
    struct boot_busy b = {0};
    uint64_t at = 0;

    (void)state;
    assert_int_equal(boot_busy_add(&b, 0x3000, 0x1000), 0);
    assert_int_equal(boot_busy_add(&b, 0x6000, 0x2000), 0);
    assert_int_equal(boot_busy_add(&b, UINT64_MAX, 2), -EINVAL);
    assert_true(boot_place_high(&b, 0, 0x9000, 0x1000, 0x1000, &at));
    assert_int_equal(at, 0x8000);
    assert_true(boot_place_high(&b, 0, 0x9000, 0x1800, 0x1000, &at));
    assert_int_equal(at, 0x4000);
    assert_false(boot_place_high(&b, 0x4000, 0x9000, 0x3000, 0x1000, &at));
    assert_true(boot_place_low(&b, 0x2800, 0x9000, 0x1000, 0x1000, &at));
    assert_int_equal(at, 0x4000);
    assert_int_equal(boot_place_count(&b, 0x1000, 0x9000, 0x1000, 0x1000), 5); /* 1 2 4 5 8 */
    assert_int_equal(boot_place_nth(&b, 0x1000, 0x9000, 0x1000, 0x1000, 0), 0x1000);
    assert_int_equal(boot_place_nth(&b, 0x1000, 0x9000, 0x1000, 0x1000, 2), 0x4000);
    assert_int_equal(boot_place_nth(&b, 0x1000, 0x9000, 0x1000, 0x1000, 4), 0x8000);
}

static int setup(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)state;
    snprintf(dir, sizeof dir, "%s/boot-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    setenv("RUCHE_CACHE", "off", 1);
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(dir);
}

#define CACHE_TEST(f) cmocka_unit_test_setup_teardown(f, cache_on, cache_off)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_packer_is_unpacked_and_entered_directly),
        cmocka_unit_test(kaslr_moves_every_kind_of_relocation_and_nothing_else),
        cmocka_unit_test(every_boot_gets_fresh_places_inside_free_memory),
        cmocka_unit_test(nokaslr_puts_the_kernel_where_it_is_linked),
        cmocka_unit_test(a_word_that_contains_nokaslr_is_not_nokaslr),
        cmocka_unit_test(a_kernel_without_relocations_is_moved_physically_and_the_note_says_so),
        cmocka_unit_test(bad_relocations_fall_back_to_bzimage_and_are_refused_for_direct),
        cmocka_unit_test(packers_that_we_lack_fall_back_to_bzimage_by_name),
        cmocka_unit_test(memory_above_4_gib_is_used_and_mapped),
        cmocka_unit_test(mem_on_the_command_line_bounds_kernel_and_initrd),
        cmocka_unit_test(memmap_on_the_command_line_keeps_the_physical_place),
        cmocka_unit_test(guests_of_one_kernel_share_it),
        cmocka_unit_test(bzimage_is_loaded_at_its_preferred_address),
        cmocka_unit_test(entry_state_is_long_mode_with_flat_segments),
        cmocka_unit_test(zero_page_describes_memory_command_line_and_acpi),
        cmocka_unit_test(initrd_goes_as_high_as_the_kernel_allows),
        cmocka_unit_test(a_kernel_larger_than_memory_is_refused_with_the_arithmetic),
        cmocka_unit_test(an_initrd_larger_than_memory_is_refused_with_the_arithmetic),
        cmocka_unit_test(a_command_line_that_is_too_long_is_refused),
        cmocka_unit_test(old_kernels_and_zimages_are_refused),
        cmocka_unit_test(kernels_without_a_64_bit_entry_start_in_flat_32_bit_mode),
        cmocka_unit_test(a_32_bit_kernel_is_not_booted_directly),
        cmocka_unit_test(truncation_at_every_byte_is_noticed),
        cmocka_unit_test(the_last_paragraph_need_not_be_whole),
        cmocka_unit_test(lies_in_every_header_field_are_survived),
        cmocka_unit_test(lies_inside_the_payload_are_survived),
        cmocka_unit_test(lies_inside_the_unpacked_kernel_are_survived),
        cmocka_unit_test(a_file_that_shrinks_after_opening_is_an_error),
        CACHE_TEST(cache_returns_what_was_put_and_only_for_its_size),
        CACHE_TEST(damaged_cache_files_are_ignored_and_removed),
        CACHE_TEST(a_cache_that_others_may_write_is_not_trusted),
        CACHE_TEST(the_cache_is_bounded),
        CACHE_TEST(slow_packers_use_the_cache),
        cmocka_unit_test(sha256_gives_the_published_digests),
        cmocka_unit_test(places_are_found_around_what_is_busy),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
