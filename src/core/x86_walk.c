/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * x86_walk: see x86_walk.h.
 */
#include "core/x86_walk.h"

#include <errno.h>
#include <string.h>

#define CR0_PE (1ull << 0)
#define CR0_PG (1ull << 31)
#define CR4_PSE (1ull << 4)
#define CR4_PAE (1ull << 5)
#define CR4_LA57 (1ull << 12)
#define EFER_LMA (1ull << 10)
#define PTE_P (1ull << 0)
#define PTE_PS (1ull << 7)
#define PTE_ADDR 0x000ffffffffff000ull

unsigned x86_code_bits(const struct x86_regs *r)
{
    uint16_t attr = r->seg[X86_CS].attr;

    if (!(r->cr0 & CR0_PE))
        return 16;
    if ((r->efer & EFER_LMA) && (attr & X86_SEG_L))
        return 64;
    return attr & X86_SEG_DB ? 32 : 16;
}

static int not_mapped(struct err *e, uint64_t linear)
{
    return err_set(e, EFAULT, "%#llx is not mapped by the guest's page tables", (unsigned long long)linear);
}

static int read_entry(const struct x86_walk *w, uint64_t gpa, unsigned size, uint64_t *out, struct err *e)
{
    *out = 0;
    return w->read(w->opaque, gpa, out, size, e);
}

/* 32-bit paging: two levels of 4-byte entries, 4 MiB pages (with PSE-36 bits). */
static int walk32(const struct x86_walk *w, uint32_t linear, uint64_t *gpa, struct err *e)
{
    uint64_t pde, pte;

    if (read_entry(w, (w->regs->cr3 & 0xfffff000) + (linear >> 22) * 4, 4, &pde, e) < 0)
        return -EFAULT;
    if (!(pde & PTE_P))
        return not_mapped(e, linear);
    if ((pde & PTE_PS) && (w->regs->cr4 & CR4_PSE)) {
        *gpa = (pde & 0xffc00000) | (pde >> 13 & 0xff) << 32 | (linear & 0x3fffff);
        return 0;
    }
    if (read_entry(w, (pde & 0xfffff000) + (linear >> 12 & 0x3ff) * 4, 4, &pte, e) < 0)
        return -EFAULT;
    if (!(pte & PTE_P))
        return not_mapped(e, linear);
    *gpa = (pte & 0xfffff000) | (linear & 0xfff);
    return 0;
}

/* Levels of 8-byte entries, `top` the highest: 2 (PAE below its four pointers), 4 or 5. */
static int walk64(const struct x86_walk *w, uint64_t table, unsigned top, uint64_t linear, uint64_t *gpa,
                  struct err *e)
{
    uint64_t entry;

    for (unsigned level = top; level > 0; level--) {
        unsigned shift = 12 + 9 * (level - 1);
        uint64_t page = (1ull << shift) - 1;

        if (read_entry(w, table + (linear >> shift & 0x1ff) * 8, 8, &entry, e) < 0)
            return -EFAULT;
        if (!(entry & PTE_P))
            return not_mapped(e, linear);
        if (level == 1 || ((entry & PTE_PS) && level <= 3)) {
            *gpa = (entry & PTE_ADDR & ~page) | (linear & page);
            return 0;
        }
        table = entry & PTE_ADDR;
    }
    return not_mapped(e, linear);
}

static int walk_pae(const struct x86_walk *w, uint32_t linear, uint64_t *gpa, struct err *e)
{
    uint64_t pdpte;

    if (read_entry(w, (w->regs->cr3 & 0xffffffe0) + (linear >> 30) * 8, 8, &pdpte, e) < 0)
        return -EFAULT;
    if (!(pdpte & PTE_P))
        return not_mapped(e, linear);
    return walk64(w, pdpte & PTE_ADDR, 2, linear & 0x3fffffff, gpa, e);
}

int x86_translate(const struct x86_walk *w, uint64_t linear, uint64_t *gpa, struct err *e)
{
    const struct x86_regs *r = w->regs;

    if (!(r->cr0 & CR0_PG)) {
        *gpa = linear;
        return 0;
    }
    if (!(r->cr4 & CR4_PAE))
        return walk32(w, (uint32_t)linear, gpa, e);
    if (!(r->efer & EFER_LMA))
        return walk_pae(w, (uint32_t)linear, gpa, e);
    return walk64(w, r->cr3 & PTE_ADDR, r->cr4 & CR4_LA57 ? 5 : 4, linear, gpa, e);
}

size_t x86_read_linear(const struct x86_walk *w, uint64_t linear, void *buf, size_t len, struct err *e)
{
    size_t done = 0;

    while (done < len) {
        uint64_t at = linear + done, gpa;
        size_t n = 4096 - (at & 0xfff);

        if (n > len - done)
            n = len - done;
        if (x86_translate(w, at, &gpa, e) < 0 || w->read(w->opaque, gpa, (char *)buf + done, n, e) < 0)
            break;
        done += n;
    }
    return done;
}
