/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * page: see page.h. Tables come from pages_alloc and stay.
 */
#include "page.h"
#include "boot.h"

u64 *page_entry(u64 root, u64 va, unsigned level)
{
    u64 *table = (u64 *)(root & PTE_ADDR);
    void *next;

    for (unsigned l = 4;; l--) {
        u64 *e = &table[va >> (3 + 9 * l) & 511];
        if (l == level)
            return e;
        if (!(*e & PTE_P)) {
            next = pages_alloc(1);
            if (!next)
                return NULL;
            *e = (u64)next | PTE_P | PTE_W | PTE_U;
        } else if (*e & PTE_LARGE) {
            return NULL;
        }
        table = (u64 *)(*e & PTE_ADDR);
    }
}

bool page_map(u64 pa, u64 len)
{
    u64 end = pa + len;

    if (end < pa || end > 1ull << 47)
        return false;
    for (pa &= ~0x1fffffull; pa < end; pa += 0x200000) {
        u64 *e;
        if (pa < 1ull << 32)
            continue;
        e = page_entry(cr3(), pa, 2);
        if (!e)
            return false;
        if (!(*e & PTE_P))
            *e = pa | PTE_P | PTE_W | PTE_LARGE;
    }
    return true;
}

void page_map_ram(void)
{
    for (unsigned i = 0; i < boot.nmemmap; i++)
        if (boot.memmap[i].type == 1 && boot.memmap[i].addr >= 1ull << 32)
            page_map(boot.memmap[i].addr, boot.memmap[i].size);
}

unsigned phys_bits(void)
{
    if (cpuid(0x80000000, 0).a < 0x80000008)
        return 36;
    return cpuid(0x80000008, 0).a & 0xff;
}
