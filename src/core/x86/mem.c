/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * mem: what a TLB probe of mmu.h does not settle: fills, accesses that cross pages, device
 * memory, the local APIC's page, and stores to pages that hold translated code.
 *
 * RAM is accessed with single moves of the access' width where it does not cross a page, so
 * the guest's memory order is the host's. Crossing accesses are translated wholly before the
 * first byte is written.
 */
#include "core/accel.h"
#include "core/x86/debug.h"
#include "core/x86/fpu.h"
#include "core/x86/guest_bytes.h"
#include "core/x86/mmu.h"
#include "core/x86/svm.h"

#include <string.h>

/* ---- physical ---- */

static bool is_apic(const struct scpu *c, uint64_t pa)
{
    return c->vm->chip.ops && (pa & ~0xfffull) == (c->apic_base & ~0xfffull) &&
           (c->apic_base & (APIC_ENABLED | APIC_X2)) == APIC_ENABLED;
}

static void apic_read(struct scpu *c, uint32_t off, void *buf, unsigned n)
{
    uint32_t v = c->vm->chip.ops->mmio_read(c->vm->chip.chip, c->index, off & ~3u);
    uint64_t wide = (uint64_t)v >> ((off & 3) * 8);

    memset(buf, 0, n);
    memcpy(buf, &wide, n < 4 ? n : 4);
}

static void apic_write(struct scpu *c, uint32_t off, const void *buf, unsigned n)
{
    uint32_t v = 0;

    if (off & 3 || n < 4)
        return;
    memcpy(&v, buf, 4);
    c->vm->chip.ops->mmio_write(c->vm->chip.chip, c->index, off, v);
    c->intr_check = true;
    atomic_fetch_or(&c->exitreq, EXITREQ_EVENT);
}

static void device_access(struct scpu *c, uint64_t pa, void *buf, unsigned n, bool write)
{
    fpu_leave(c);
    for (unsigned done = 0; done < n;) {
        unsigned k = n - done;
        struct vexit x = {.reason = EXIT_MMIO};

        k = k >= 8 ? 8 : k >= 4 ? 4 : k >= 2 ? 2 : 1;
        x.mmio.gpa = pa + done;
        x.mmio.size = (uint8_t)k;
        x.mmio.write = write;
        x.mmio.data = (uint8_t *)buf + done;
        c->host.handle(c->host.opaque, &x);
        done += k;
    }
    fpu_enter(c);
}

/* One move of the whole width for the sizes that have one. */
static void ram_read(const uint8_t *p, void *buf, unsigned n)
{
    switch (n) {
    case 1: *(uint8_t *)buf = *(const volatile uint8_t *)p; break;
    case 2: *(uint16_t *)buf = *(const volatile uint16_t *)p; break;
    case 4: *(uint32_t *)buf = *(const volatile uint32_t *)p; break;
    case 8: *(uint64_t *)buf = *(const volatile uint64_t *)p; break;
    default: guest_copy(buf, p, n);
    }
}

static void ram_write(uint8_t *p, const void *buf, unsigned n)
{
    switch (n) {
    case 1: *(volatile uint8_t *)p = *(const uint8_t *)buf; break;
    case 2: *(volatile uint16_t *)p = *(const uint16_t *)buf; break;
    case 4: *(volatile uint32_t *)p = *(const uint32_t *)buf; break;
    case 8: *(volatile uint64_t *)p = *(const uint64_t *)buf; break;
    default: guest_copy(p, buf, n);
    }
}

void phys_read(struct scpu *c, uint64_t pa, void *buf, unsigned n)
{
    const uint8_t *p = svm_ram(c->vm, pa);

    if (p)
        ram_read(p, buf, n);
    else if (is_apic(c, pa))
        apic_read(c, pa & 0xfff, buf, n);
    else
        device_access(c, pa, buf, n, false);
}

/* Did a store, already done, hit translated code? Drops it then. */
static int code_hit(struct scpu *c, uint64_t pa, unsigned n)
{
    struct page_desc *pd = svm_page(c->vm, pa);
    uint64_t lines;
    unsigned first = (pa & 0xfff) / 64, last = ((pa & 0xfff) + n - 1) / 64;

    atomic_thread_fence(memory_order_seq_cst);
    lines = atomic_load(&pd->code_lines);
    if (!(lines & (~0ull << first) & (~0ull >> (63 - last))))
        return 0;
    if (!code_invalidate(c->vm, pa, n))
        return 0;
    c->smc_hit = true;
    return 1;
}

int phys_write(struct scpu *c, uint64_t pa, const void *buf, unsigned n)
{
    uint8_t *p = svm_ram(c->vm, pa);

    if (p) {
        ram_write(p, buf, n);
        return code_hit(c, pa, n);
    }
    if (is_apic(c, pa))
        apic_write(c, pa & 0xfff, buf, n);
    else
        device_access(c, pa, (void *)(uintptr_t)buf, n, true);
    return 0;
}

/* ---- linear ---- */

static unsigned first_part(uint64_t va, unsigned n)
{
    unsigned room = 4096 - (va & 0xfff);

    return n < room ? n : room;
}

/* Address arithmetic wraps at 4 GiB outside 64-bit mode. */
static uint64_t next_page(const struct scpu *c, uint64_t va)
{
    uint64_t next = (va | 0xfff) + 1;

    return scpu_code64(c) ? next : (uint32_t)next;
}

/* #AC comes before #PF, after #GP for an address that is none. SDM 3A table 6-7. */
static unsigned alignment_of(unsigned n)
{
    switch (n) {
    case 10: return 8;           /* x87: 80-bit values, */
    case 14: case 94: return 2;  /* environments and states of 16-bit */
    case 28: case 108: return 4; /* and 32-bit operand size */
    case 2: case 4: case 8: case 16: return n;
    default: return 1;
    }
}

/* An access of `n` bytes that must not be made, wherever its pages are. */
static bool refused(struct scpu *c, enum tlb_view view, uint64_t va, unsigned n)
{
    if (mmu_canonical(va) && !mmu_canonical(va + n - 1)) {
        exc_raise_err(c, VEC_GP, 0);
        c->exc.noncanonical = true;
        return true;
    }
    if (view != VIEW_USER_AC || !(va & (alignment_of(n) - 1)) || !mmu_canonical(va))
        return false;
    exc_raise_err(c, VEC_AC, 0);
    return true;
}

static int read_view(struct scpu *c, enum tlb_view view, uint64_t va, void *buf, unsigned n)
{
    if (refused(c, view, va, n))
        return -1;
    while (n) {
        unsigned k = first_part(va, n);
        const uint8_t *p = tlb_probe(c->views[view]->r, va, k);
        uint64_t pa;

        if (p) {
            ram_read(p, buf, k);
        } else {
            if (mmu_translate(c, view, va, MMU_R, &pa) < 0)
                return -1;
            phys_read(c, pa, buf, k);
            if (c->dbg & DBG_DATA)
                debug_data_access(c, va, k, false);
        }
        buf = (uint8_t *)buf + k;
        va = next_page(c, va);
        n -= k;
    }
    return 0;
}

/* At most two pages. */
static int write_view(struct scpu *c, enum tlb_view view, uint64_t va, const void *buf, unsigned n)
{
    unsigned k = first_part(va, n);
    uint8_t *p = tlb_probe(c->views[view]->w, va, n);
    uint64_t pa, pa2 = 0;
    int r;

    if (refused(c, view, va, n))
        return -1;
    if (p) {
        ram_write(p, buf, n);
        return 0;
    }
    if (mmu_translate(c, view, va, MMU_W, &pa) < 0)
        return -1;
    if (k < n && mmu_translate(c, view, next_page(c, va), MMU_W, &pa2) < 0)
        return -1;
    if (c->dbg & DBG_DATA)
        debug_data_access(c, va, n, true);
    r = phys_write(c, pa, buf, k);
    if (k < n)
        r |= phys_write(c, pa2, (const uint8_t *)buf + k, n - k);
    return r;
}

int mmu_read(struct scpu *c, uint64_t va, void *buf, unsigned n)
{
    return read_view(c, c->view, va, buf, n);
}

int mmu_write(struct scpu *c, uint64_t va, const void *buf, unsigned n)
{
    return write_view(c, c->view, va, buf, n);
}

int mmu_read_sys(struct scpu *c, uint64_t va, void *buf, unsigned n)
{
    return read_view(c, VIEW_KERNEL, va, buf, n);
}

int mmu_write_sys(struct scpu *c, uint64_t va, const void *buf, unsigned n)
{
    return write_view(c, VIEW_KERNEL, va, buf, n);
}

static int check(struct scpu *c, enum tlb_view view, uint64_t va, unsigned n, enum mmu_access acc)
{
    uint64_t pa;

    if (refused(c, view, va, n) || mmu_translate(c, view, va, acc, &pa) < 0)
        return -1;
    if (first_part(va, n) < n && mmu_translate(c, view, next_page(c, va), acc, &pa) < 0)
        return -1;
    return 0;
}

int mmu_check_write(struct scpu *c, uint64_t va, unsigned n)
{
    return check(c, c->view, va, n, MMU_W);
}

int mmu_check_read(struct scpu *c, uint64_t va, unsigned n)
{
    return check(c, c->view, va, n, MMU_R);
}

int mmu_check_write_sys(struct scpu *c, uint64_t va, unsigned n)
{
    return check(c, VIEW_KERNEL, va, n, MMU_W);
}

struct mmu_value mmu_load(struct scpu *c, uint64_t va, unsigned n)
{
    struct mmu_value r = {0};

    r.bad = read_view(c, c->view, va, &r.val, n) < 0;
    return r;
}

int mmu_store(struct scpu *c, uint64_t va, unsigned n, uint64_t v)
{
    return write_view(c, c->view, va, &v, n);
}

uint8_t *mmu_host_r(struct scpu *c, uint64_t va, unsigned n)
{
    uint8_t *p = tlb_probe(c->tlb->r, va, n);
    uint64_t pa;

    if (p || first_part(va, n) < n || refused(c, c->view, va, n))
        return p;
    if (mmu_translate(c, c->view, va, MMU_R, &pa) < 0)
        return NULL;
    return tlb_probe(c->tlb->r, va, n);
}

uint8_t *mmu_host_w(struct scpu *c, uint64_t va, unsigned n)
{
    uint8_t *p = tlb_probe(c->tlb->w, va, n);
    uint64_t pa;

    if (p || first_part(va, n) < n || refused(c, c->view, va, n))
        return p;
    if (mmu_translate(c, c->view, va, MMU_W, &pa) < 0)
        return NULL;
    return tlb_probe(c->tlb->w, va, n);
}

void *mmu_rmw_begin(struct scpu *c, uint64_t va, unsigned n)
{
    uint8_t *p = mmu_host_w(c, va, n);

    c->xbuf_len = 0;
    if (p)
        return p;
    if (c->exc.kind != EXC_NONE || check(c, c->view, va, n, MMU_W) < 0)
        return NULL;
    memset(c->xbuf, 0, 16);
    if (read_view(c, c->view, va, c->xbuf, n) < 0)
        return NULL;
    c->xbuf_va = va;
    c->xbuf_len = n;
    return c->xbuf;
}

int mmu_rmw_end(struct scpu *c)
{
    unsigned n = c->xbuf_len;

    c->xbuf_len = 0;
    return n ? write_view(c, c->view, c->xbuf_va, c->xbuf, n) : 0;
}
