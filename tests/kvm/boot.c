/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Boot protocols on real KVM: Debian's kernel as bzImage that unpacks itself, unpacked by us
 * (each time at another address, KASLR) and as vmlinux by its PVH note; hello by PVH and by
 * Multiboot; a boot sector. The example of docs and guests/example, if it is built.
 */
#include "core/boot_priv.h"
#include "rig.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

static const char *scratch(void)
{
    return getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
}

static bool write_file(const char *path, const void *bytes, size_t len)
{
    FILE *f = fopen(path, "we");
    bool ok = f && fwrite(bytes, 1, len, f) == len;

    return f && fclose(f) == 0 && ok;
}

static uint8_t *read_file(const char *path, size_t *len)
{
    FILE *f = fopen(path, "re");
    struct stat st;
    uint8_t *p;

    if (!f || fstat(fileno(f), &st) < 0 || !(p = malloc((size_t)st.st_size)))
        return NULL;
    *len = fread(p, 1, (size_t)st.st_size, f);
    fclose(f);
    return p;
}

/* Where a Linux guest's kernel text is, as it says itself; 0 if it says nothing. */
static uint64_t text_address(struct rguest *g)
{
    if (!rig_do(g, "echo \"<$(grep ' _text$' /proc/kallsyms)>\"", "^<([0-9a-f]+) T _text>", 60))
        return 0;
    return strtoull(g->word, NULL, 16);
}

/* --- Linux -------------------------------------------------------------------------- */

static struct rguest *linux_guest(const char *name, enum boot_mode mode, const char *append)
{
    struct rguest *g = rig_guest(name, "debian", append);

    g->c.boot = mode;
    return g;
}

/* Kernels that are unpacked by us: where their text is, and that it moves at each boot; the same
 * address may come twice by chance. */
static void direct(void)
{
    struct rguest *g = linux_guest("moved", BOOT_AUTO, "quiet");
    struct rguest *fixed = linux_guest("fixed", BOOT_DIRECT, "quiet nokaslr");
    uint64_t first = 0, second = 0, at;

    if (!rig_check(rig_start(g) && rig_start(fixed), "linux_starts_directly"))
        return;
    rig_check(rig_debian_up(g), "linux_comes_up_directly");
    first = second = text_address(g);
    printf("# note: %s\n", vm_boot_note(g->vm));
    rig_check(strstr(vm_boot_note(g->vm), "KASLR") != NULL, "boot_note_says_what_became_of_kaslr");
    rig_check(rig_debian_up(fixed), "linux_comes_up_directly_without_kaslr");
    at = text_address(fixed);
    rig_case(at == 0xffffffff81000000, "kernel_text_is_where_it_was_linked_with_nokaslr", "%" PRIx64, at);
    for (int i = 0; i < 3 && second == first; i++) {
        rig_hush(g);
        rig_check(rig_ask(g, vm_reset, VM_RUNNING) && rig_debian_up(g), "linux_comes_up_after_a_reset");
        second = text_address(g);
    }
    rig_case(first && second && first != second, "kernel_text_is_elsewhere_at_each_direct_boot",
             "%" PRIx64 " %" PRIx64, first, second);
    rig_drop(g);
    rig_drop(fixed);
}

static void unpacks_itself(struct rguest *g)
{
    uint64_t at;

    rig_check(rig_expect(g, ":/# ", 200), "linux_comes_up_from_a_bzimage_that_unpacks_itself");
    at = text_address(g);
    rig_case(at >= 0xffffffff81000000 && at % 0x200000 == 0, "its_text_is_where_linux_may_put_it", "%" PRIx64, at);
    rig_drop(g);
}

/* The ELF inside a bzImage, as `extract-vmlinux` has it (Documentation/x86/boot.rst). */
static uint8_t *vmlinux_of(const uint8_t *z, size_t zlen, size_t *len)
{
    uint32_t offset, size, plain, sects = z[0x1f1] ? z[0x1f1] : 4;
    const struct boot_packer *packer;
    const uint8_t *payload;
    uint8_t *out;

    memcpy(&offset, z + 0x248, 4);
    memcpy(&size, z + 0x24c, 4);
    payload = z + (sects + 1) * 512 + offset;
    if (zlen < 0x250 || payload + size > z + zlen || size < 8)
        return NULL;
    memcpy(&plain, payload + size - 4, 4);
    packer = boot_packer_of(payload, size);
    out = packer && packer->unpack ? malloc(plain) : NULL;
    if (!out || packer->unpack(payload, size, out, plain) < 0)
        return NULL;
    *len = plain;
    return out;
}

static struct rguest *start_vmlinux(void)
{
    size_t zlen = 0, len = 0;
    uint8_t *z = read_file("build/guests/vmlinuz", &zlen), *elf = z ? vmlinux_of(z, zlen, &len) : NULL;
    struct rguest *g;
    char path[300];

    snprintf(path, sizeof path, "%s/vmlinux", scratch());
    if (!rig_check(elf && write_file(path, elf, len), "vmlinux_is_extracted"))
        return NULL;
    g = rig_guest("vmlinux", path, "console=ttyS0 quiet ruche.name=vmlinux");
    g->c.initrd = strdup("build/guests/initrd.gz");
    g->c.memory_bytes = 128 << 20;
    free(z);
    free(elf);
    return rig_check(rig_start(g), "vmlinux_starts") ? g : NULL;
}

static void pvh_of_linux(struct rguest *g)
{
    rig_check(g && rig_debian_up(g), "linux_comes_up_by_its_pvh_note");
    if (g)
        rig_check(text_address(g) == 0xffffffff81000000, "vmlinux_by_pvh_is_where_it_was_linked");
    if (g)
        rig_drop(g);
}

/* --- others -------------------------------------------------------------------------- */

static void hello_by(const char *what, const char *path)
{
    struct rguest *g = rig_guest("hello", path, "name=teller of=it");
    char pattern[60], name[60];

    snprintf(pattern, sizeof pattern, "^%s: .*name=teller", what);
    snprintf(name, sizeof name, "hello_boots_by_%s", what);
    rig_check(rig_start(g) && rig_expect(g, "teller> $", 60) && rig_do(g, "cmdline", pattern, 30), name);
    rig_drop(g);
}

/* hello without its PVH note is a Multiboot kernel: the note gets a type that nobody knows. */
static void hellos(void)
{
    static const uint8_t note[] = {4, 0, 0, 0, 8, 0, 0, 0, 18, 0, 0, 0, 'X', 'e', 'n', 0};
    size_t len = 0;
    uint8_t *elf = read_file("build/guests/tiny/hello.elf", &len);
    uint8_t *at = elf ? memmem(elf, len, note, sizeof note) : NULL;
    char path[300];

    hello_by("PVH", "build/guests/tiny/hello.elf");
    if (at)
        at[8] = 99;
    snprintf(path, sizeof path, "%s/multiboot.elf", scratch());
    if (rig_check(at && write_file(path, elf, len), "hello_has_a_pvh_note"))
        hello_by("Multiboot", path);
    free(elf);
}

asm(".pushsection .rodata, \"a\"\n"
    "sector: .code16\n mov $0x7c00 + (1f - sector), %si\n mov $0x3f8, %dx\n mov $2f - 1f, %cx\n cld\n rep outsb\n"
    " mov $42, %al\n out %al, $0xf4\n 3: hlt\n jmp 3b\n"
    "1: .ascii \"flat and well\\r\\n\"\n2:\n .org sector + 510\n .word 0xaa55\n .code64\n .popsection");
extern const uint8_t sector[512];

static void flat(void)
{
    struct rguest *g;
    char path[300];
    bool ok;

    snprintf(path, sizeof path, "%s/sector", scratch());
    if (!rig_check(write_file(path, sector, 512), "boot_sector_is_written"))
        return;
    g = rig_guest("flat", path, NULL);
    ok = rig_start(g) && rig_expect(g, "flat and well", 30) && UNTIL(20, rig_is(g, VM_STOPPED));
    rig_check(ok && vm_exit_code(g->vm) == 42, "boot_sector_prints_and_leaves_with_its_code");
    rig_drop(g);
}

static void example(void)
{
    static const char path[] = "build/guests/example/kernel.elf";
    struct rguest *g;

    if (access(path, R_OK) < 0) {
        printf("# no %s\n", path);
        return;
    }
    g = rig_guest("example", path, NULL);
    rig_check(rig_start(g) && rig_expect(g, "[A-Za-z]", 30), "example_kernel_says_something");
    rig_drop(g);
}

int main(void)
{
    struct rguest *slow, *pvh;

    rig_begin();
    hellos();
    flat();
    example();
    slow = linux_guest("slow", BOOT_BZIMAGE, "quiet");
    rig_check(rig_start(slow), "bzimage_starts");
    direct();
    pvh = start_vmlinux();
    pvh_of_linux(pvh);
    unpacks_itself(slow);
    return rig_end();
}
