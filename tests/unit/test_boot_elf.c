/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * PVH, Multiboot, flat binaries, and the sentences about files that are none of them.
 */
#include "boot_images.h"

#include "core/mem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];

struct guest {
    struct vm_config c;
    char kernel[128], initrd[128];
    const char *cmdline;
    struct boot_image *b;
    struct gmem *m;
    struct x86_regs r;
    struct err e;
};

static void write_file(const char *path, const void *p, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, p, len), len);
    close(fd);
}

static struct guest guest_named(const char *name, struct image *k)
{
    struct guest g = {0};

    vm_config_init(&g.c, "t");
    g.c.memory_bytes = MIB(16);
    snprintf(g.kernel, sizeof g.kernel, "%s/%s", dir, name);
    if (k) {
        write_file(g.kernel, k->data, k->len);
        image_free(k);
    }
    return g;
}

static struct guest guest_of(const struct small *s)
{
    struct image k = small_make(s);

    return guest_named("kernel", &k);
}

static void guest_initrd(struct guest *g, const char *text)
{
    snprintf(g->initrd, sizeof g->initrd, "%s/module.tar", dir);
    write_file(g->initrd, text, strlen(text));
}

static bool guest_try(struct guest *g)
{
    char *append = g->c.append;
    struct boot_params p = {.cmdline = g->cmdline, .rsdp_gpa = 0xe0000, .vcpus = 1};

    g->c.kernel = g->kernel[0] ? g->kernel : NULL;
    g->c.initrd = g->initrd[0] ? g->initrd : NULL;
    g->c.append = (char *)(uintptr_t)g->cmdline;
    g->b = boot_open(&g->c, &g->e);
    g->c.kernel = g->c.initrd = NULL;
    g->c.append = append;
    if (!g->b)
        return false;
    g->m = gmem_new("t", g->c.memory_bytes, NULL);
    return boot_load(g->b, g->m, &p, &g->r, &g->e) == 0;
}

static void guest_boot(struct guest *g)
{
    if (!guest_try(g))
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

static void assert_text(struct guest *g, uint64_t gpa, const char *text)
{
    char buf[64] = "";

    assert_int_equal(gmem_read(g->m, gpa, buf, strlen(text)), 0);
    assert_string_equal(buf, text);
}

static void assert_refused(struct guest g, const char *part)
{
    if (guest_try(&g))
        fail_msg("was accepted, expected '%s'", part);
    if (!strstr(g.e.msg, part))
        fail_msg("'%s' does not say '%s'", g.e.msg, part);
    guest_end(&g);
}

static void assert_flat32(struct guest *g)
{
    assert_int_equal(g->r.cr0 & 0x80000001, 1); /* protected, no paging */
    assert_int_equal(g->r.cr4, 0);
    assert_int_equal(g->r.rflags, 2);
    assert_int_equal(g->r.seg[X86_CS].attr, 0xc09b);
    assert_int_equal(g->r.seg[X86_CS].base, 0);
    assert_int_equal(g->r.seg[X86_CS].limit, 0xffffffff);
    assert_int_equal(g->r.seg[X86_DS].attr, 0xc093);
    assert_int_equal(peek(g, g->r.gdt.base + g->r.seg[X86_CS].sel, 8), 0x00cf9b000000ffffull);
    assert_int_equal(peek(g, g->r.gdt.base + g->r.seg[X86_DS].sel, 8), 0x00cf93000000ffffull);
}

/* ---- PVH ---- */

static void pvh_kernel_is_entered_flat_with_its_start_info(void **state)
{
    struct guest g = guest_of(&(struct small){.pvh = true});
    uint64_t info, module, map;

    (void)state;
    g.cmdline = "one two";
    guest_initrd(&g, "module");
    guest_boot(&g);
    info = g.r.gpr[X86_RBX];
    assert_int_equal(boot_image_protocol(g.b), BOOT_PVH);
    assert_string_equal(boot_image_note(g.b), "");
    assert_int_equal(g.r.rip, SMALL_PADDR + SMALL_ENTRY);
    assert_flat32(&g);
    assert_text(&g, SMALL_PADDR + SMALL_ENTRY, "CODE");
    assert_int_equal(peek(&g, info, 4), 0x336ec578);
    assert_int_equal(peek(&g, info + 4, 4), 1);
    assert_int_equal(peek(&g, info + 12, 4), 1);
    module = peek(&g, info + 16, 8);
    assert_text(&g, peek(&g, module, 8), "module");
    assert_int_equal(peek(&g, module + 8, 8), 6);
    assert_text(&g, peek(&g, info + 24, 8), "one two");
    assert_int_equal(peek(&g, info + 32, 8), 0xe0000);
    map = peek(&g, info + 40, 8);
    assert_int_equal(peek(&g, info + 48, 4), 5);
    assert_int_equal(peek(&g, map, 8), 0);
    assert_int_equal(peek(&g, map + 8, 8), 0x9fc00);
    assert_int_equal(peek(&g, map + 16, 4), 1);
    assert_int_equal(peek(&g, map + 3 * 24 + 8, 8), MIB(15));
    guest_end(&g);
}

static void pvh_without_initrd_has_no_module(void **state)
{
    struct guest g = guest_of(&(struct small){.pvh = true});

    (void)state;
    guest_boot(&g);
    assert_int_equal(peek(&g, g.r.gpr[X86_RBX] + 12, 4), 0);
    guest_end(&g);
}

static void a_linux_that_is_entered_by_pvh_is_said_to_lack_kaslr(void **state)
{
    struct guest g = guest_of(&(struct small){.pvh = true, .linux_os = true});

    (void)state;
    guest_boot(&g);
    assert_non_null(strstr(boot_image_note(g.b), "no KASLR"));
    guest_end(&g);
}

static void pvh_wins_over_multiboot(void **state)
{
    struct guest g = guest_of(&(struct small){.pvh = true, .multiboot = true});

    (void)state;
    guest_boot(&g);
    assert_int_equal(boot_image_protocol(g.b), BOOT_PVH);
    guest_end(&g);
}

static void structures_keep_clear_of_a_kernel_in_low_memory(void **state)
{
    struct guest g = guest_of(&(struct small){.pvh = true, .paddr = 0x5000});

    (void)state;
    guest_boot(&g);
    assert_true(g.r.gpr[X86_RBX] >= 0x5000 + SMALL_MEM);
    assert_text(&g, 0x5000 + SMALL_ENTRY, "CODE");
    guest_end(&g);
}

static void elf_in_bad_places_is_refused(void **state)
{
    (void)state;
    assert_refused(guest_of(&(struct small){.pvh = true, .paddr = 0x9f000}), "BIOS area");
    assert_refused(guest_of(&(struct small){.pvh = true, .paddr = 0xef000}), "BIOS area");
    assert_refused(guest_of(&(struct small){.pvh = true, .paddr = MIB(16) - 0x1000}),
                   "set memory: 32M or more");
    assert_refused(guest_of(&(struct small){.pvh = true, .paddr = 0xfffff000}),
                   "needs memory up to");
    assert_refused(guest_of(&(struct small){.pvh = true, .entry = 0x5000}),
                   "where it loads nothing");
}

static void the_page_below_1m_may_hold_the_headers_of_a_kernel(void **state)
{
    struct guest g = guest_of(&(struct small){.multiboot = true, .paddr = 0xff000});

    (void)state;
    guest_boot(&g);
    assert_int_equal(g.r.rip, 0xff000 + SMALL_ENTRY);
    guest_end(&g);
}

/* ---- Multiboot ---- */

static void multiboot_elf_is_entered_with_its_info(void **state)
{
    struct guest g = guest_of(&(struct small){.multiboot = true, .multiboot_flags = 3});
    uint64_t info, module, map;

    (void)state;
    g.cmdline = "a=b";
    guest_initrd(&g, "module");
    guest_boot(&g);
    info = g.r.gpr[X86_RBX];
    assert_int_equal(boot_image_protocol(g.b), BOOT_MULTIBOOT);
    assert_int_equal(g.r.gpr[X86_RAX], 0x2badb002);
    assert_int_equal(g.r.rip, SMALL_PADDR + SMALL_ENTRY);
    assert_flat32(&g);
    assert_int_equal(peek(&g, info, 4), 0x24d);
    assert_int_equal(peek(&g, info + 4, 4), 639);
    assert_int_equal(peek(&g, info + 8, 4), 15 * 1024);
    assert_text(&g, peek(&g, info + 16, 4), "a=b");
    assert_int_equal(peek(&g, info + 20, 4), 1);
    module = peek(&g, info + 24, 4);
    assert_int_equal(peek(&g, module, 4), SMALL_PADDR + SMALL_MEM); /* page behind the kernel */
    assert_int_equal(peek(&g, module + 4, 4), SMALL_PADDR + SMALL_MEM + 6);
    assert_text(&g, SMALL_PADDR + SMALL_MEM, "module");
    assert_text(&g, peek(&g, module + 8, 4), "module.tar");
    map = peek(&g, info + 48, 4);
    assert_int_equal(peek(&g, info + 44, 4), 5 * 24);
    assert_int_equal(peek(&g, map, 4), 20);
    assert_int_equal(peek(&g, map + 3 * 24 + 4, 8), MIB(1));
    assert_int_equal(peek(&g, map + 3 * 24 + 12, 8), MIB(15));
    assert_int_equal(peek(&g, map + 3 * 24 + 20, 4), 1);
    assert_text(&g, peek(&g, info + 64, 4), "ruche");
    guest_end(&g);
}

static void a_virtual_entry_point_is_translated(void **state)
{
    struct guest g =
        guest_of(&(struct small){.multiboot = true, .entry = SMALL_VADDR + SMALL_ENTRY});

    (void)state;
    guest_boot(&g);
    assert_int_equal(g.r.rip, SMALL_PADDR + SMALL_ENTRY);
    guest_end(&g);
}

static void multiboot_flat_is_loaded_by_its_address_fields(void **state)
{
    struct image k = multiboot_flat_make();
    struct guest g = guest_named("kernel", &k);

    (void)state;
    guest_boot(&g);
    assert_int_equal(boot_image_protocol(g.b), BOOT_MULTIBOOT);
    assert_int_equal(g.r.rip, SMALL_PADDR + 0x80);
    assert_text(&g, SMALL_PADDR + 0x80, "FLAT");
    guest_end(&g);
}

static void multiboot_requirements_that_we_lack_are_refused(void **state)
{
    (void)state;
    assert_refused(guest_of(&(struct small){.multiboot = true, .multiboot_flags = 4}),
                   "video mode");
    assert_refused(guest_of(&(struct small){.multiboot = true, .multiboot_flags = 0x120}),
                   "bits 0x120");
}

static void optional_multiboot_flags_are_ignored(void **state)
{
    struct guest g = guest_of(&(struct small){.multiboot = true, .multiboot_flags = 0xfffe0003});

    (void)state;
    guest_boot(&g);
    guest_end(&g);
}

static void a_module_larger_than_memory_is_refused(void **state)
{
    struct guest g = guest_of(&(struct small){.multiboot = true});

    (void)state;
    guest_initrd(&g, "x");
    assert_int_equal(truncate(g.initrd, MIB(20)), 0);
    assert_refused(g, "20 MiB more, the guest has 16 MiB; set memory: 32M or more");
}

/* Each field of the address block, each with values that lie. */
static void lies_in_multiboot_addresses_are_survived(void **state)
{
    static const uint32_t lies[] = {0,          1,          SMALL_PADDR - 1, SMALL_PADDR + 0x10000,
                                    0x7fffffff, 0xfffffff0, 0xffffffff};
    unsigned refused = 0;

    (void)state;
    for (unsigned at = 0x20 + 12; at < 0x20 + 32; at += 4)
        for (unsigned i = 0; i < sizeof lies / sizeof lies[0]; i++) {
            struct image k = multiboot_flat_make();
            struct guest g;

            le32_put(k.data + at, lies[i]);
            g = guest_named("kernel", &k);
            if (guest_try(&g)) {
                assert_non_null(gmem_ptr(g.m, g.r.rip, 1));
            } else {
                refused++;
                assert_true(strlen(g.e.msg) > 20);
            }
            guest_end(&g);
        }
    assert_true(refused >= 25);
}

/* ---- ELF files cut and bent ---- */

static void elf_truncated_at_every_byte_is_noticed(void **state)
{
    struct image k = small_make(&(struct small){.pvh = true, .multiboot = true});

    (void)state;
    for (size_t n = 1; n < k.len; n++) {
        struct image part = {0};
        struct guest g;

        image_add(&part, k.data, n);
        g = guest_named("kernel", &part);
        assert_false(guest_try(&g));
        assert_true(strlen(g.e.msg) > 20);
        guest_end(&g);
    }
    image_free(&k);
}

static void every_bent_byte_of_an_elf_is_survived(void **state)
{
    static const uint8_t lies[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    struct small s = {.pvh = true, .multiboot = true};

    (void)state;
    for (size_t at = 0; at < 0x130; at++)
        for (unsigned i = 0; i < sizeof lies; i++) {
            struct image k = small_make(&s);
            struct guest g;

            k.data[at] = lies[i];
            g = guest_named("kernel", &k);
            if (guest_try(&g))
                assert_non_null(gmem_ptr(g.m, g.r.rip, 1));
            else
                assert_true(strlen(g.e.msg) > 20);
            guest_end(&g);
        }
}

static void elf_for_others_is_refused_by_name(void **state)
{
    struct image arm = small_make(&(struct small){.pvh = true});
    struct image object = small_make(&(struct small){.pvh = true});
    struct image plain = small_make(&(struct small){0});

    (void)state;
    le16_put(arm.data + 18, EM_AARCH64);
    assert_refused(guest_named("kernel", &arm), "another processor");
    le16_put(object.data + 16, ET_REL);
    assert_refused(guest_named("kernel", &object), "not an executable");
    assert_refused(guest_named("kernel", &plain), "neither a PVH note nor a Multiboot 1 header");
}

static void overlapping_segments_cannot_cost_more_than_memory(void **state)
{
    struct image k = small_make(&(struct small){.multiboot = true});
    Elf32_Phdr p;

    (void)state;
    memcpy(&p, k.data + sizeof(Elf32_Ehdr), sizeof p);
    p.p_memsz = MIB(14) - 1;
    memcpy(k.data + sizeof(Elf32_Ehdr), &p, sizeof p);
    memcpy(k.data + sizeof(Elf32_Ehdr) + sizeof p, &p, sizeof p);
    le16_put(k.data + 44, 2);
    assert_refused(guest_named("kernel", &k), "overlap");
}

/* ---- flat ---- */

static struct image boot_sector(size_t len)
{
    struct image k = {0};

    image_pad(&k, len);
    k.data[0] = 0xf4;
    if (len >= 512) {
        k.data[510] = 0x55;
        k.data[511] = 0xaa;
    }
    return k;
}

static void a_boot_sector_starts_in_real_mode_at_7c00(void **state)
{
    struct image k = boot_sector(512);
    struct guest g = guest_named("kernel", &k);

    (void)state;
    guest_boot(&g);
    assert_int_equal(boot_image_protocol(g.b), BOOT_FLAT);
    assert_int_equal(g.r.cr0 & 1, 0);
    assert_int_equal(g.r.seg[X86_CS].base + g.r.rip, 0x7c00);
    assert_int_equal(g.r.seg[X86_CS].sel, 0);
    assert_int_equal(g.r.gpr[X86_RDX], 0x80);
    assert_int_equal(peek(&g, 0x7c00, 1), 0xf4);
    assert_int_equal(peek(&g, 0x7dfe, 2), 0xaa55);
    guest_end(&g);
}

static void a_name_ending_in_bin_or_flat_makes_a_flat_binary(void **state)
{
    static const char *const names[] = {"k.bin", "k.flat"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct image k = boot_sector(100);
        struct guest g = guest_named(names[i], &k);

        guest_boot(&g);
        assert_int_equal(boot_image_protocol(g.b), BOOT_FLAT);
        guest_end(&g);
    }
}

static void flat_binaries_have_limits(void **state)
{
    struct image big = boot_sector(622593), disk = boot_sector(65537), k = boot_sector(512);
    struct guest g;

    (void)state;
    assert_refused(guest_named("big.bin", &big), "at most 622592");
    assert_refused(guest_named("disk.img", &disk), "there is no BIOS here");
    g = guest_named("kernel", &k);
    guest_initrd(&g, "x");
    assert_refused(g, "takes no initrd");
}

/* Xen puts its real-mode code below the base memory's end that the BIOS data tell. */
static void bios_data_tell_base_memory_and_serial_ports(void **state)
{
    struct guest g = guest_of(&(struct small){.multiboot = true});

    (void)state;
    guest_boot(&g);
    assert_int_equal(peek(&g, 0x400, 4), 0x02f803f8);
    assert_int_equal(peek(&g, 0x40e, 2), 0x9fc0);
    assert_int_equal(peek(&g, 0x413, 2), 639);
    assert_int_equal(peek(&g, 0x9fc00, 1), 1);
    guest_end(&g);
}

/* ---- files that are none of it ---- */

static void assert_refused_text(const char *text, size_t len, const char *part)
{
    struct image k = {0};

    image_add(&k, text, len);
    assert_refused(guest_named("kernel", &k), part);
}

static void unknown_files_are_named_and_the_known_kinds_listed(void **state)
{
    (void)state;
    assert_refused_text("QFI\xfb\0\0\0\3", 8, "qcow2 disk image");
    assert_refused_text("\x1f\x8b\x08", 3, "gzip file");
    assert_refused_text("070701", 6, "cpio archive");
    assert_refused_text("#!/bin/sh\n", 10, "a script");
    assert_refused_text("MZ", 2, "EFI program");
    assert_refused_text(
        "hello, world", 12,
        "of no known kind; known are: Linux bzImage (vmlinuz), ELF with a PVH note, ELF "
        "or flat with a Multiboot 1 header, boot sector or flat binary (*.bin, *.flat)");
}

static void absent_empty_and_odd_files_are_refused(void **state)
{
    struct guest none = guest_named("", NULL), g;

    (void)state;
    none.kernel[0] = 0;
    assert_refused(none, "has no kernel");
    assert_refused(guest_named("absent", NULL), "does not exist");
    g = guest_named("absent", NULL);
    strcpy(g.kernel, "build/guests/absent");
    assert_refused(g, "make guests");
    g = guest_named("", NULL);
    assert_refused(g, "is a directory");
    assert_refused_text("", 0, "is empty");
    g = guest_named("fifo", NULL);
    assert_int_equal(mkfifo(g.kernel, 0600), 0);
    assert_refused(g, "is no regular file; copy it into one");
    g = guest_of(&(struct small){.pvh = true});
    strcpy(g.initrd, "/nonexistent/initrd");
    assert_refused(g, "initrd /nonexistent/initrd does not exist");
}

static void an_unreadable_file_is_explained(void **state)
{
    struct guest g = guest_of(&(struct small){.pvh = true});

    (void)state;
    assert_int_equal(chmod(g.kernel, 0), 0);
    if (geteuid() == 0) /* root reads every file: be nobody for a moment */
        assert_int_equal(seteuid(65534), 0);
    assert_false(guest_try(&g));
    assert_int_equal(seteuid(getuid()), 0);
    assert_non_null(strstr(g.e.msg, "permission denied"));
    guest_end(&g);
}

static void protocols_have_names(void **state)
{
    (void)state;
    assert_string_equal(boot_protocol_name(BOOT_PVH), "PVH");
    assert_string_equal(boot_protocol_name(BOOT_LINUX_DIRECT), "Linux direct");
    assert_string_equal(boot_protocol_name((enum boot_protocol)99), "unknown");
}

static int setup(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)state;
    snprintf(dir, sizeof dir, "%s/elf-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    setenv("RUCHE_CACHE", "off", 1);
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pvh_kernel_is_entered_flat_with_its_start_info),
        cmocka_unit_test(pvh_without_initrd_has_no_module),
        cmocka_unit_test(a_linux_that_is_entered_by_pvh_is_said_to_lack_kaslr),
        cmocka_unit_test(pvh_wins_over_multiboot),
        cmocka_unit_test(structures_keep_clear_of_a_kernel_in_low_memory),
        cmocka_unit_test(elf_in_bad_places_is_refused),
        cmocka_unit_test(the_page_below_1m_may_hold_the_headers_of_a_kernel),
        cmocka_unit_test(multiboot_elf_is_entered_with_its_info),
        cmocka_unit_test(a_virtual_entry_point_is_translated),
        cmocka_unit_test(multiboot_flat_is_loaded_by_its_address_fields),
        cmocka_unit_test(multiboot_requirements_that_we_lack_are_refused),
        cmocka_unit_test(optional_multiboot_flags_are_ignored),
        cmocka_unit_test(a_module_larger_than_memory_is_refused),
        cmocka_unit_test(lies_in_multiboot_addresses_are_survived),
        cmocka_unit_test(elf_truncated_at_every_byte_is_noticed),
        cmocka_unit_test(every_bent_byte_of_an_elf_is_survived),
        cmocka_unit_test(elf_for_others_is_refused_by_name),
        cmocka_unit_test(overlapping_segments_cannot_cost_more_than_memory),
        cmocka_unit_test(a_boot_sector_starts_in_real_mode_at_7c00),
        cmocka_unit_test(a_name_ending_in_bin_or_flat_makes_a_flat_binary),
        cmocka_unit_test(flat_binaries_have_limits),
        cmocka_unit_test(bios_data_tell_base_memory_and_serial_ports),
        cmocka_unit_test(unknown_files_are_named_and_the_known_kinds_listed),
        cmocka_unit_test(absent_empty_and_odd_files_are_refused),
        cmocka_unit_test(an_unreadable_file_is_explained),
        cmocka_unit_test(protocols_have_names),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
