/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * debug: see debug.h.
 */
#include "core/x86/debug.h"

#include "core/x86/io.h"
#include "core/x86/mmu.h"

enum { RW_EXEC, RW_WRITE, RW_IO, RW_READ_WRITE };

static bool enabled(const struct scpu *c, unsigned i)
{
    return c->dr[7] >> (2 * i) & 3;
}

static unsigned kind(const struct scpu *c, unsigned i)
{
    return c->dr[7] >> (16 + 4 * i) & 3;
}

static unsigned length(const struct scpu *c, unsigned i)
{
    static const uint8_t len[4] = {1, 2, 8, 4};

    return len[c->dr[7] >> (18 + 4 * i) & 3];
}

static bool overlaps(const struct scpu *c, unsigned i, uint64_t va, unsigned n)
{
    uint64_t len = length(c, i), at = c->dr[i] & ~(len - 1);

    return va < at + len && at < va + n;
}

void debug_update(struct scpu *c)
{
    uint8_t old = c->dbg;

    c->dbg = 0;
    for (unsigned i = 0; i < 4; i++) {
        if (!enabled(c, i))
            continue;
        switch (kind(c, i)) {
        case RW_EXEC: c->dbg |= DBG_EXEC; break;
        case RW_IO: c->dbg |= c->cr4 & CR4_DE ? DBG_IO : 0; break;
        default: c->dbg |= DBG_DATA;
        }
    }
    if ((old | c->dbg) & DBG_DATA)
        tlb_flush_all(c);
}

bool debug_watches_page(const struct scpu *c, uint64_t va)
{
    for (unsigned i = 0; i < 4; i++) {
        if (enabled(c, i) && kind(c, i) & 1 && (c->dr[i] ^ va) >> 12 == 0)
            return true;
    }
    return false;
}

void debug_data_access(struct scpu *c, uint64_t va, unsigned n, bool write)
{
    for (unsigned i = 0; i < 4; i++) {
        unsigned k = kind(c, i);

        if (enabled(c, i) && (k == RW_READ_WRITE || (k == RW_WRITE && write)) && overlaps(c, i, va, n))
            c->dbg_hits |= 1u << i;
    }
}

void debug_io_access(struct scpu *c, uint16_t port, unsigned n)
{
    for (unsigned i = 0; i < 4; i++) {
        if (enabled(c, i) && kind(c, i) == RW_IO && overlaps(c, i, port, n))
            c->dbg_hits |= 1u << i;
    }
}

unsigned debug_exec_hits(const struct scpu *c, uint64_t lin)
{
    unsigned hits = 0;

    for (unsigned i = 0; i < 4; i++) {
        if (enabled(c, i) && kind(c, i) == RW_EXEC && c->dr[i] == lin)
            hits |= 1u << i;
    }
    return hits;
}
