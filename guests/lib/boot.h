/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * boot: what the loader told (PVH start info or Multiboot information), copied before anything
 * is written outside the image; command line options; the memory map.
 */
#ifndef TINY_BOOT_H
#define TINY_BOOT_H

#include "cpu.h"

enum { MEMMAP_MAX = 32, CMDLINE_MAX = 1024 };

struct memmap {
    u64 addr, size;
    u32 type; /* 1: RAM */
};

struct boot {
    unsigned protocol; /* BOOT_PVH, BOOT_MULTIBOOT */
    char cmdline[CMDLINE_MAX];
    u64 rsdp; /* 0: to be searched */
    unsigned nmemmap;
    struct memmap memmap[MEMMAP_MAX];
};

extern struct boot boot;

void boot_init(unsigned protocol, u64 info);

/* Value of `key=value` (up to a space; copied), NULL if absent. Not reentrant: one buffer. */
const char *opt(const char *key);
u64 opt_u64(const char *key, u64 otherwise); /* decimal, 0x hex, suffix k, M, G */
bool opt_flag(const char *word);             /* `word` or `word=1` */

/* Parses as opt_u64 does; false if `s` is no number. */
bool parse_u64(const char *s, u64 *v);

u64 ram_total(void);
u64 ram_end_low(void); /* end of the RAM region that holds the image */
u64 image_end(void);

/* Whole pages from behind the image, zeroed; NULL when RAM is used up. Never given back. */
void *pages_alloc(unsigned n);
u64 pages_used_end(void);

#endif
