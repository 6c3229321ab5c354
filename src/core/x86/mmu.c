/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * mmu: page walks, TLB fills and flushes. See mmu.h; accesses are in mem.c.
 */
#include "core/x86/mmu.h"

#include "core/x86/debug.h"
#include "core/x86/guest_bytes.h"
#include "core/x86/io.h"
#include "core/x86/svm.h"

#include <stdlib.h>
#include <string.h>

/* Page table entry bits, SDM 3A 4.5. */
enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 0x20, PTE_D = 0x40, PTE_PS = 0x80, PTE_G = 0x100 };
#define PTE_NX (1ull << 63)
#define PTE_ADDR (((1ull << MMU_PHYS_BITS) - 1) & ~0xfffull)
#define PTE_RSVD (((1ull << 52) - 1) & ~((1ull << MMU_PHYS_BITS) - 1))

enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16 };

/* A translation, with the rights of all levels combined. */
struct walk {
    uint64_t pa;
    unsigned shift; /* log2 of the page size */
    bool user, write, nx, global;
    bool dirty;
};

/* An empty slot: its index bits differ from those of every address that is looked up there. */
static uint64_t empty_tag(unsigned i)
{
    return (uint64_t)(i ^ 1) << 12;
}

static void clear_slot(struct tlb *t, unsigned i)
{
    t->r[i].tag = t->x[i].tag = empty_tag(i);
    __atomic_store_n(&t->w[i].tag, empty_tag(i), __ATOMIC_RELAXED);
}

static void clear_all(struct tlb *t)
{
    for (unsigned i = 0; i < TLB_SLOTS; i++)
        clear_slot(t, i);
    t->local.n = t->global.n = 0;
    memset(t->large, 0, sizeof t->large);
    t->huge = false;
}

static void clear_logged(struct tlb *t, struct tlb_log *l)
{
    if (l->n > TLB_LOG) {
        clear_all(t);
        return;
    }
    for (unsigned i = 0; i < l->n; i++)
        clear_slot(t, l->idx[i]);
    l->n = 0;
}

static void log_fill(struct tlb_log *l, unsigned i)
{
    if (l->n < TLB_LOG)
        l->idx[l->n] = (uint16_t)i;
    if (l->n <= TLB_LOG)
        l->n++;
}

struct tlb *tlb_new(void)
{
    struct tlb *t = aligned_alloc(64, (sizeof *t + 63) & ~63ull);

    if (t)
        clear_all(t);
    return t;
}

void tlb_free(struct tlb *t)
{
    free(t);
}

void tlb_flush_all(struct scpu *c)
{
    scpu_count(c, tlb_flushes, 1);
    for (int v = 0; v < VIEWS; v++) {
        clear_logged(c->views[v], &c->views[v]->local);
        clear_logged(c->views[v], &c->views[v]->global);
    }
}

void tlb_flush_local(struct scpu *c)
{
    scpu_count(c, tlb_flushes, 1);
    for (int v = 0; v < VIEWS; v++)
        clear_logged(c->views[v], &c->views[v]->local);
}

static bool is_large(const struct tlb *t, uint64_t va)
{
    unsigned i = (va >> 21) & (TLB_LARGE_BITS - 1);

    return t->large[i / 64] >> (i % 64) & 1;
}

static void flush_2m(struct tlb *t, uint64_t va)
{
    unsigned first = (va >> 12) & (TLB_SLOTS - 1) & ~511u;

    for (unsigned i = first; i < first + 512; i++) {
        if ((t->r[i].tag ^ va) >> 21 == 0 || (t->x[i].tag ^ va) >> 21 == 0 ||
            (t->w[i].tag ^ va) >> 21 == 0)
            clear_slot(t, i);
    }
}

void tlb_flush_page(struct scpu *c, uint64_t va)
{
    for (int v = 0; v < VIEWS; v++) {
        struct tlb *t = c->views[v];

        if (t->huge)
            clear_all(t);
        else if (is_large(t, va))
            flush_2m(t, va);
        else
            clear_slot(t, (va >> 12) & (TLB_SLOTS - 1));
    }
}

void tlb_revoke_write(struct scpu *c, const uint8_t *hpage)
{
    for (int v = 0; v < VIEWS; v++) {
        struct tlbe *w = c->views[v]->w;

        for (unsigned i = 0; i < TLB_SLOTS; i++) {
            if (__atomic_load_n(&w[i].host, __ATOMIC_RELAXED) == hpage)
                __atomic_store_n(&w[i].tag, empty_tag(i), __ATOMIC_RELAXED);
        }
    }
}

/* ---- walks ---- */

static int page_fault(struct scpu *c, uint64_t va, enum mmu_access acc, bool user, unsigned err)
{
    if (acc == MMU_W)
        err |= PF_W;
    if (user)
        err |= PF_U;
    if (acc == MMU_X && (c->cr4 & CR4_SMEP || (c->efer & EFER_NXE && c->cr4 & CR4_PAE)))
        err |= PF_I;
    c->exc = (struct exc){.kind = EXC_FAULT, .vec = VEC_PF, .has_err = true, .err = err, .cr2 = va};
    return -1;
}

/* An entry of a paging structure. Outside RAM it reads as not present. */
static GUEST_UNSEEN uint64_t entry_read(struct svm *vm, uint64_t pa, unsigned bytes)
{
    uint8_t *p = svm_ram(vm, pa);

    if (!p)
        return 0;
    return bytes == 8 ? __atomic_load_n((uint64_t *)p, __ATOMIC_RELAXED)
                      : __atomic_load_n((uint32_t *)p, __ATOMIC_RELAXED);
}

static GUEST_UNSEEN void entry_or(struct svm *vm, uint64_t pa, uint32_t bits)
{
    uint8_t *p = svm_ram(vm, pa);

    if (p) {
        __atomic_fetch_or((uint32_t *)p, bits, __ATOMIC_RELAXED);
        if (atomic_load_explicit(&svm_page(vm, pa)->code_lines, memory_order_relaxed))
            code_invalidate(vm, pa, 4);
    }
}

struct step {
    uint64_t pa[4], pte[4]; /* the entries that were used */
    unsigned n;
};

/* Follows 64-bit entries from `level` (4, 3) down. Returns PF_* bits or -1 if translated. */
static int walk64(struct scpu *c, uint64_t table, int level, uint64_t va, struct walk *w, struct step *s)
{
    uint64_t rsvd = PTE_RSVD | (c->efer & EFER_NXE ? 0 : PTE_NX);

    for (;; level--) {
        unsigned shift = 12 + 9 * (unsigned)(level - 1);
        bool pdpte_pae = level == 3 && !scpu_long_mode(c);
        uint64_t pa = table + (pdpte_pae ? (va >> 30 & 3) : (va >> shift & 511)) * 8;
        uint64_t e = entry_read(c->vm, pa, 8);
        bool leaf;

        if (!(e & PTE_P))
            return 0;
        if (pdpte_pae) {
            table = e & PTE_ADDR;
            continue;
        }
        leaf = level == 1 || (level <= 3 && e & PTE_PS);
        if (e & rsvd || (level == 4 && e & PTE_PS))
            return PF_P | PF_RSVD;
        if (leaf && level > 1 && e & ((1ull << shift) - 1) & ~0x1fffull)
            return PF_P | PF_RSVD;
        s->pa[s->n] = pa;
        s->pte[s->n++] = e;
        w->user &= !!(e & PTE_U);
        w->write &= !!(e & PTE_W);
        w->nx |= e >> 63;
        if (leaf) {
            w->shift = shift;
            w->pa = (e & PTE_ADDR & ~((1ull << shift) - 1)) | (va & ((1ull << shift) - 1));
            w->global = e & PTE_G && c->cr4 & CR4_PGE;
            w->dirty = e & PTE_D;
            return -1;
        }
        table = e & PTE_ADDR;
    }
}

static int walk32(struct scpu *c, uint64_t va, struct walk *w, struct step *s)
{
    uint64_t table = c->cr3 & 0xfffff000;

    for (int level = 2; ; level--) {
        unsigned shift = level == 2 ? 22 : 12;
        uint64_t pa = table + (va >> shift & 1023) * 4;
        uint64_t e = entry_read(c->vm, pa, 4);
        bool leaf = level == 1 || (e & PTE_PS && c->cr4 & CR4_PSE);

        if (!(e & PTE_P))
            return 0;
        s->pa[s->n] = pa;
        s->pte[s->n++] = e;
        w->user &= !!(e & PTE_U);
        w->write &= !!(e & PTE_W);
        if (leaf) {
            uint64_t frame = level == 1 ? e & 0xfffff000 : (e & 0xffc00000) | (e >> 13 & 0xff) << 32;

            if (level == 2 && e & 1u << 21)
                return PF_P | PF_RSVD;
            w->shift = shift;
            w->pa = frame | (va & ((1ull << shift) - 1));
            w->global = e & PTE_G && c->cr4 & CR4_PGE;
            w->dirty = e & PTE_D;
            return -1;
        }
        table = e & 0xfffff000;
    }
}

static int do_walk(struct scpu *c, uint64_t va, struct walk *w, struct step *s)
{
    *w = (struct walk){.user = true, .write = true};
    s->n = 0;
    if (!(c->cr0 & CR0_PG)) {
        w->pa = (uint32_t)va;
        w->shift = 12;
        w->dirty = true;
        return -1;
    }
    scpu_count(c, tlb_misses, 1);
    if (scpu_long_mode(c))
        return walk64(c, c->cr3 & PTE_ADDR, 4, va, w, s);
    if (c->cr4 & CR4_PAE)
        return walk64(c, c->cr3 & 0xffffffe0, 3, va, w, s);
    return walk32(c, va, w, s);
}

static bool is_user(enum tlb_view view)
{
    return view == VIEW_USER || view == VIEW_USER_AC;
}

static bool permitted(const struct scpu *c, const struct walk *w, enum tlb_view view,
                      enum mmu_access acc)
{
    if (!(c->cr0 & CR0_PG))
        return true;
    if (is_user(view)) {
        if (!w->user)
            return false;
    } else if (w->user) {
        if (acc == MMU_X ? c->cr4 & CR4_SMEP : view == VIEW_KERNEL && c->cr4 & CR4_SMAP)
            return false;
    }
    if (acc == MMU_W && !w->write)
        return !is_user(view) && !(c->cr0 & CR0_WP);
    return !(acc == MMU_X && w->nx);
}

static void set_accessed(struct scpu *c, struct step *s, enum mmu_access acc)
{
    for (unsigned i = 0; i < s->n; i++) {
        uint32_t want = PTE_A;

        if (i == s->n - 1 && acc == MMU_W)
            want |= PTE_D;
        if ((s->pte[i] & want) != want)
            entry_or(c->vm, s->pa[i], want);
    }
}

static int translate(struct scpu *c, enum tlb_view view, uint64_t va, enum mmu_access acc,
                     struct walk *w)
{
    struct step s;
    int r;

    if (!mmu_canonical(va)) {
        exc_raise_err(c, VEC_GP, 0);
        c->exc.noncanonical = true;
        return -1;
    }
    r = do_walk(c, va, w, &s);
    if (r >= 0)
        return page_fault(c, va, acc, is_user(view), (unsigned)r);
    if (!permitted(c, w, view, acc))
        return page_fault(c, va, acc, is_user(view), PF_P);
    set_accessed(c, &s, acc);
    return 0;
}

/* Makes W entries only of pages without code; the page's bit in w_mapped lets code.c find us. */
static void fill_w(struct scpu *c, struct tlb *t, unsigned i, uint64_t page, uint8_t *host, uint64_t pa)
{
    struct page_desc *pd = svm_page(c->vm, pa);
    uint64_t bit = 1ull << c->index;

    if (!(atomic_load_explicit(&pd->w_mapped, memory_order_relaxed) & bit))
        atomic_fetch_or(&pd->w_mapped, bit);
    if (atomic_load(&pd->code_lines))
        return;
    __atomic_store_n(&t->w[i].tag, empty_tag(i), __ATOMIC_RELAXED);
    __atomic_store_n(&t->w[i].host, host, __ATOMIC_RELAXED);
    __atomic_store_n(&t->w[i].tag, page, __ATOMIC_SEQ_CST);
    if (atomic_load(&pd->code_lines) ||
        !(atomic_load(&pd->w_mapped) & bit))
        __atomic_store_n(&t->w[i].tag, empty_tag(i), __ATOMIC_RELAXED);
}

static void fill(struct scpu *c, enum tlb_view view, uint64_t va, enum mmu_access acc,
                 const struct walk *w)
{
    struct tlb *t = c->views[view];
    unsigned i = (va >> 12) & (TLB_SLOTS - 1);
    uint64_t page = va & ~0xfffull;
    uint8_t *host = svm_ram(c->vm, w->pa & ~0xfffull);

    if (!host || (view == VIEW_USER_AC && acc != MMU_X) ||
        (acc != MMU_X && c->dbg & DBG_DATA && debug_watches_page(c, va)))
        return;
    scpu_count(c, tlb_fills, 1);
    log_fill(w->global ? &t->global : &t->local, i);
    if (w->shift > 12) {
        unsigned k = (va >> 21) & (TLB_LARGE_BITS - 1);

        t->large[k / 64] |= 1ull << (k % 64);
        t->huge |= w->shift == 30;
    }
    if (acc == MMU_X) {
        t->x[i] = (struct tlbe){.tag = page, .host = host};
        return;
    }
    t->r[i] = (struct tlbe){.tag = page, .host = host};
    if (acc == MMU_W)
        fill_w(c, t, i, page, host, w->pa);
}

int mmu_translate(struct scpu *c, enum tlb_view view, uint64_t va, enum mmu_access acc, uint64_t *pa)
{
    struct walk w;

    if (translate(c, view, va, acc, &w) < 0)
        return -1;
    fill(c, view, va, acc, &w);
    *pa = w.pa;
    return 0;
}

bool mmu_debug_translate(struct scpu *c, uint64_t va, uint64_t *pa)
{
    struct walk w;
    struct step s;

    if (!mmu_canonical(va) || do_walk(c, va, &w, &s) >= 0)
        return false;
    *pa = w.pa;
    return true;
}

uint8_t *mmu_fetch_page(struct scpu *c, uint64_t lin, uint64_t *pa)
{
    uint8_t *host;

    if (mmu_translate(c, c->view, lin, MMU_X, pa) < 0)
        return NULL;
    *pa &= ~0xfffull;
    host = svm_ram(c->vm, *pa);
    return host ? host : c->vm->ones;
}
