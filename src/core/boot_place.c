/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * boot_place: the RAM map that guests are told, where free room is, and the flat segments
 * that every 32-bit and 64-bit entry has. Pure arithmetic but for boot_gdt_write().
 */
#include "core/boot_priv.h"

#include "core/mem.h"

#include <errno.h>
#include <string.h>

/* ECAM, IOAPIC, LAPIC: never RAM, never for BARs. */
#define MMIO_RESERVED_START 0xe0000000ull

struct boot_ram boot_ram_of(uint64_t size_bytes)
{
    struct boot_ram ram = {.size_bytes = size_bytes, .low_end = size_bytes};

    if (size_bytes > GMEM_HOLE_START) {
        ram.low_end = GMEM_HOLE_START;
        ram.high_end = GMEM_HIGH_START + (size_bytes - GMEM_HOLE_START);
    }
    return ram;
}

unsigned boot_memmap(const struct boot_ram *ram, struct boot_mem out[BOOT_MEMMAP_MAX])
{
    unsigned n = 0;

    out[n++] = (struct boot_mem){0, BOOT_LOW_END, BOOT_MEM_RAM};
    out[n++] = (struct boot_mem){BOOT_LOW_END, 0xa0000 - BOOT_LOW_END, BOOT_MEM_RESERVED};
    out[n++] =
        (struct boot_mem){BOOT_BIOS_START, BOOT_HIGH_START - BOOT_BIOS_START, BOOT_MEM_RESERVED};
    if (ram->low_end > BOOT_HIGH_START)
        out[n++] = (struct boot_mem){BOOT_HIGH_START, ram->low_end - BOOT_HIGH_START, BOOT_MEM_RAM};
    out[n++] = (struct boot_mem){MMIO_RESERVED_START, GMEM_HIGH_START - MMIO_RESERVED_START,
                                 BOOT_MEM_RESERVED};
    if (ram->high_end)
        out[n++] =
            (struct boot_mem){GMEM_HIGH_START, ram->high_end - GMEM_HIGH_START, BOOT_MEM_RAM};
    return n;
}

int boot_busy_add(struct boot_busy *b, uint64_t start, uint64_t size)
{
    if (size == 0)
        return 0;
    if (b->n == BOOT_BUSY_MAX || start + size < start)
        return -EINVAL;
    b->r[b->n++] = (struct boot_range){start, start + size};
    return 0;
}

bool boot_place_high(const struct boot_busy *b, uint64_t lo, uint64_t hi, uint64_t size,
                     uint64_t align, uint64_t *gpa)
{
    for (unsigned tries = 0; tries <= b->n; tries++) {
        uint64_t top = hi, at;

        if (hi < lo || size > hi - lo)
            return false;
        at = (hi - size) & ~(align - 1);
        if (at < lo)
            return false;
        for (unsigned i = 0; i < b->n; i++)
            if (at < b->r[i].end && at + size > b->r[i].start && b->r[i].start < top)
                top = b->r[i].start;
        if (top == hi) {
            *gpa = at;
            return true;
        }
        hi = top;
    }
    return false;
}

/* The first gap at or above `from`, cut to [.., hi). False: none. */
static bool next_gap(const struct boot_busy *b, uint64_t from, uint64_t hi, struct boot_range *gap)
{
    bool moved = true;

    while (moved) {
        moved = false;
        for (unsigned i = 0; i < b->n; i++)
            if (from >= b->r[i].start && from < b->r[i].end) {
                from = b->r[i].end;
                moved = true;
            }
    }
    if (from >= hi)
        return false;
    *gap = (struct boot_range){from, hi};
    for (unsigned i = 0; i < b->n; i++)
        if (b->r[i].start > from && b->r[i].start < gap->end)
            gap->end = b->r[i].start;
    return true;
}

/* Places inside one gap: first in *first. */
static uint64_t gap_places(const struct boot_range *gap, uint64_t size, uint64_t align,
                           uint64_t *first)
{
    *first = (gap->start + align - 1) & ~(align - 1);
    if (*first < gap->start || *first >= gap->end || size > gap->end - *first)
        return 0;
    return (gap->end - *first - size) / align + 1;
}

uint64_t boot_place_count(const struct boot_busy *b, uint64_t lo, uint64_t hi, uint64_t size,
                          uint64_t align)
{
    struct boot_range gap;
    uint64_t n = 0, first;

    for (; next_gap(b, lo, hi, &gap); lo = gap.end)
        n += gap_places(&gap, size, align, &first);
    return n;
}

uint64_t boot_place_nth(const struct boot_busy *b, uint64_t lo, uint64_t hi, uint64_t size,
                        uint64_t align, uint64_t n)
{
    struct boot_range gap;
    uint64_t first;

    for (; next_gap(b, lo, hi, &gap); lo = gap.end) {
        uint64_t here = gap_places(&gap, size, align, &first);

        if (n < here)
            return first + n * align;
        n -= here;
    }
    return 0;
}

bool boot_place_low(const struct boot_busy *b, uint64_t lo, uint64_t hi, uint64_t size,
                    uint64_t align, uint64_t *gpa)
{
    if (boot_place_count(b, lo, hi, size, align) == 0)
        return false;
    *gpa = boot_place_nth(b, lo, hi, size, align, 0);
    return true;
}

enum { CODE_RX_ACCESSED = 11, DATA_RW_ACCESSED = 3, BOOT_CS = 0x10, BOOT_DS = 0x18 };

static struct x86_seg flat_seg(uint16_t sel, unsigned attr)
{
    return (struct x86_seg){.limit = UINT32_MAX,
                            .sel = sel,
                            .attr = (uint16_t)(attr | X86_SEG_S | X86_SEG_P | X86_SEG_G)};
}

static void set_flat_segs(struct x86_regs *r, bool bits64)
{
    r->seg[X86_CS] = flat_seg(BOOT_CS, CODE_RX_ACCESSED | (bits64 ? X86_SEG_L : X86_SEG_DB));
    for (int i = X86_ES; i <= X86_GS; i++)
        if (i != X86_CS)
            r->seg[i] = flat_seg(BOOT_DS, DATA_RW_ACCESSED | X86_SEG_DB);
    r->seg[X86_TR].limit = 0x67;
}

void boot_regs_flat32(struct x86_regs *r, uint32_t eip)
{
    x86_regs_reset(r);
    set_flat_segs(r, false);
    memset(r->gpr, 0, sizeof r->gpr);
    r->rip = eip;
    r->cr0 = 0x31; /* PE, ET, NE */
    r->idt.limit = 0;
}

/* A flat segment as the 8 bytes of a descriptor (SDM 3A 3.4.5). */
static uint64_t descriptor(const struct x86_seg *s)
{
    return 0xffffull | (uint64_t)(s->attr & 0xff) << 40 | 0xfull << 48 |
           (uint64_t)(s->attr & 0xf000) << 40;
}

int boot_gdt_write(struct gmem *m, uint64_t gpa, bool bits64, struct x86_regs *r)
{
    uint8_t gdt[BOOT_GDT_BYTES] = {0};

    set_flat_segs(r, bits64);
    le64_put(gdt + BOOT_CS, descriptor(&r->seg[X86_CS]));
    le64_put(gdt + BOOT_DS, descriptor(&r->seg[X86_DS]));
    r->gdt = (struct x86_table){.base = gpa, .limit = sizeof gdt - 1};
    return gmem_write(m, gpa, gdt, sizeof gdt);
}

uint64_t boot_memory_hint_mib(uint64_t bytes)
{
    uint64_t mib = (bytes + MIB(1) - 1) >> 20;

    return mib < 16 ? mib : (mib + 15) / 16 * 16;
}
