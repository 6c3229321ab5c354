/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Writes the first corpus of fuzz_loader into a directory: one file of each format that
 * boot_images.h can make. Run by hand when a format is added:
 *   cc -Isrc -Itests -D_GNU_SOURCE tests/fuzz/seed_loader.c -llzma -lzstd -lz -llz4 -o seed
 *   ./seed tests/fuzz/corpus/loader
 */
#include "boot_images.h"

#include <stdio.h>

static void save(const char *dir, const char *name, unsigned how, struct image k)
{
    char path[256];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "w");
    if (!f || fputc((int)how, f) == EOF || fwrite(k.data, 1, k.len, f) != k.len || fclose(f))
        perror(path);
    image_free(&k);
}

int main(int argc, char **argv)
{
    const char *d = argc > 1 ? argv[1] : ".";
    struct image sector = {0};

    image_pad(&sector, 512);
    sector.data[510] = 0x55;
    sector.data[511] = 0xaa;
    save(d, "bzimage-xz", 0x02, bzimage_of(PACK_XZ, RELOCS_3_LISTS));
    save(d, "bzimage-gzip", 0x12, bzimage_of(PACK_GZIP, RELOCS_NONE));
    save(d, "bzimage-zstd", 0x82, bzimage_of(PACK_ZSTD, RELOCS_3_LISTS));
    save(d, "bzimage-lz4", 0x16, bzimage_of(PACK_LZ4, RELOCS_2_LISTS));
    save(d, "bzimage-lzma", 0x02, bzimage_of(PACK_LZMA, RELOCS_NONE));
    save(d, "bzimage-guest-unpacks", 0x1a, bzimage_of(PACK_LZ4, RELOCS_3_LISTS));
    save(d, "vmlinux-3", 0x42, vmlinux_make(RELOCS_3_LISTS));
    save(d, "vmlinux-2", 0x56, vmlinux_make(RELOCS_2_LISTS));
    save(d, "pvh", 0x10, small_make(&(struct small){.pvh = true, .linux_os = true}));
    save(d, "multiboot", 0x11,
         small_make(&(struct small){.multiboot = true, .multiboot_flags = 3}));
    save(d, "multiboot-flat", 0x10, multiboot_flat_make());
    save(d, "sector", 0x00, sector);
    return 0;
}
