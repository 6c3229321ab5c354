/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * page: virtual = physical. The first 4 GiB are always mapped; more is mapped on request, by
 * 2 MiB pages, anywhere below 2^47.
 */
#ifndef TINY_PAGE_H
#define TINY_PAGE_H

#include "cpu.h"

enum {
    PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_PWT = 8, PTE_PCD = 16, PTE_A = 32, PTE_D = 64,
    PTE_LARGE = 128, PTE_G = 256,
};
#define PTE_NX (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull

/* Maps [pa, pa+len) to itself. False: out of RAM for tables, or not canonical. */
bool page_map(u64 pa, u64 len);
void page_map_ram(void); /* all RAM above 4 GiB */

/* The entry that maps `va` at `level` (1: 4K, 2: 2M, 3: 1G, 4: 512G) in the tables at `root`,
 * making tables on the way; NULL if there is no RAM for them or a large page is in the way. */
u64 *page_entry(u64 root, u64 va, unsigned level);

unsigned phys_bits(void);

#endif
