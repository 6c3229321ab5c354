/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Fuzz target: kernel and initrd files. The whole way: boot_open() on a file, boot_load() into
 * 16 to 64 MiB, twice as at a reset; and what must hold after a boot that was accepted.
 *
 * First byte: bits 0-1 memory, 2-3 boot mode, 4 an initrd, 5 a name that ends in .bin, 6 the
 * rest is the vmlinux inside a bzImage and is packed here (else no mutation would get behind
 * the packers' checksums), 7 nokaslr.
 */
#include "boot_images.h"

#include "core/mem.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { INITRD = 1 << 4, NAMED_BIN = 1 << 5, PACK_HERE = 1 << 6, NOKASLR = 1 << 7 };

static int kernel_fd, initrd_fd;
static char kernel_path[64], bin_path[64], initrd_path[64];
static struct gmem *memories[3];

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void remove_link(void)
{
    unlink(bin_path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    setenv("RUCHE_CACHE", "off", 1);
    kernel_fd = memfd_create("kernel", 0);
    initrd_fd = memfd_create("initrd", 0);
    snprintf(kernel_path, sizeof kernel_path, "/proc/self/fd/%d", kernel_fd);
    snprintf(initrd_path, sizeof initrd_path, "/proc/self/fd/%d", initrd_fd);
    snprintf(bin_path, sizeof bin_path, "/tmp/ruche-fuzz-%d.bin", getpid());
    if (symlink(kernel_path, bin_path) == 0)
        atexit(remove_link);
    for (unsigned i = 0; i < 3; i++)
        memories[i] = gmem_new("fuzz", MIB(16) << i, NULL);
    return 0;
}

static void fill(int fd, const uint8_t *p, size_t len)
{
    if (ftruncate(fd, 0) < 0 || pwrite(fd, p, len, 0) != (ssize_t)len)
        abort();
}

static void fill_packed(int fd, const uint8_t *p, size_t len)
{
    struct image v = {0}, packed, k;

    image_add(&v, p, len);
    packed = image_pack(PACK_LZ4, &v);
    k = bzimage_make(&packed);
    fill(fd, k.data, k.len);
    image_free(&v);
    image_free(&packed);
    image_free(&k);
}

/* An accepted boot enters the guest's memory. (The code of a Multiboot kernel may be where it
 * wants, so nothing is said about its surroundings.) */
static void check(struct gmem *m, const struct x86_regs *r)
{
    if (!gmem_ptr(m, r->seg[X86_CS].base + r->rip, 1))
        abort();
    if ((r->cr0 >> 31 & 1) && !gmem_ptr(m, r->cr3, 4096))
        abort();
}

static void boot(const struct vm_config *c, struct gmem *m)
{
    struct boot_params p = {.cmdline = c->append, .rsdp_gpa = 0xe0000, .vcpus = 1};
    struct err e = {0};
    struct boot_image *b = boot_open(c, &e);

    if (!b && !e.msg[0])
        abort();
    for (int i = 0; b && i < 2; i++) {
        struct x86_regs r;

        gmem_clear(m);
        e.msg[0] = 0;
        if (boot_load(b, m, &p, &r, &e) == 0)
            check(m, &r);
        else if (!e.msg[0])
            abort();
    }
    boot_close(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vm_config c;
    char nokaslr[] = "quiet nokaslr", plain[] = "quiet";
    unsigned how;

    if (size < 2)
        return 0;
    how = data[0];
    vm_config_init(&c, "fuzz");
    free(c.append);
    c.memory_bytes = gmem_size_bytes(memories[(how & 3) % 3]);
    c.boot = (enum boot_mode)((how >> 2 & 3) % 3);
    c.kernel = how & NAMED_BIN ? bin_path : kernel_path;
    c.initrd = how & INITRD ? initrd_path : NULL;
    c.append = how & NOKASLR ? nokaslr : plain;
    if (how & PACK_HERE)
        fill_packed(kernel_fd, data + 1, size - 1);
    else
        fill(kernel_fd, data + 1, size - 1);
    fill(initrd_fd, data, size);
    boot(&c, memories[(how & 3) % 3]);
    return 0;
}
