/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * code: the block cache of a VM, exact detection of self-modifying code, stop-the-world.
 *
 * A 64-byte line that holds decoded code has its bit set in the page's descriptor before its
 * bytes are read; a page with any such bit is in no W table, so stores to it take the slow path,
 * store first and look at the bit after. What a vCPU on another thread has between probe and
 * store at that moment is not seen (a window of a few instructions of the host; the guest
 * must have raced with its own code change for it to matter).
 *
 * A dropped block stays where it is until the pool is flushed: its first uop becomes h_dead.
 */
#include "core/x86/block.h"
#include "core/x86/guest_bytes.h"
#include "core/x86/handlers.h"
#include "core/x86/svm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { BLOCK_MAX_BYTES = 480 };

const struct block block_none = {.lin = ~0ull, .mode = ~0ull, .lin0 = ~0ull};

int code_init(struct svm *vm)
{
    vm->pool = mmap(NULL, CODE_POOL_BYTES, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (vm->pool == MAP_FAILED) {
        vm->pool = NULL;
        return -ENOMEM;
    }
    vm->buckets = calloc(CODE_BUCKETS, sizeof *vm->buckets);
    return vm->buckets ? 0 : -ENOMEM;
}

void code_fini(struct svm *vm)
{
    if (vm->pool)
        munmap(vm->pool, CODE_POOL_BYTES);
    free(vm->buckets);
}

static unsigned bucket_of(uint64_t pa, uint64_t mode)
{
    uint64_t h = (pa ^ mode << 7) * 0x9e3779b97f4a7c15ull;

    return (unsigned)(h >> 40) & (CODE_BUCKETS - 1);
}

struct block *code_find(struct svm *vm, uint64_t lin, uint64_t mode, uint64_t pa)
{
    struct block *b = atomic_load_explicit(&vm->buckets[bucket_of(pa, mode)], memory_order_acquire);

    while (b && !(__atomic_load_n(&b->lin, __ATOMIC_RELAXED) == lin && b->mode == mode && b->pa == pa))
        b = __atomic_load_n(&b->hash_next, __ATOMIC_ACQUIRE);
    return b;
}

/* ---- dropping ---- */

static struct block **page_link(struct block *b, uint64_t page_pa)
{
    return &b->page_next[(b->pa & ~0xfffull) == page_pa ? 0 : 1];
}

static void page_list_remove(struct svm *vm, struct block *b, uint64_t page_pa)
{
    struct block **at;

    if (!svm_ram(vm, page_pa))
        return;
    at = &svm_page(vm, page_pa)->blocks;
    while (*at && *at != b)
        at = page_link(*at, page_pa);
    if (*at)
        *at = *page_link(b, page_pa);
}

static void kill_locked(struct svm *vm, struct block *b)
{
    unsigned i = bucket_of(b->pa, b->mode);
    struct block *p = atomic_load(&vm->buckets[i]);

    atomic_fetch_add_explicit(&vm->dropped, 1, memory_order_relaxed);
    __atomic_store_n(&b->lin, ~0ull, __ATOMIC_RELAXED);
    __atomic_store_n(&b->u[0].f, h_dead, __ATOMIC_RELEASE);
    if (p == b) {
        atomic_store(&vm->buckets[i], b->hash_next);
    } else {
        while (p && p->hash_next != b)
            p = p->hash_next;
        if (p)
            __atomic_store_n(&p->hash_next, b->hash_next, __ATOMIC_RELEASE);
    }
    page_list_remove(vm, b, b->pa & ~0xfffull);
    if (b->flags & BLOCK_SPAN)
        page_list_remove(vm, b, b->pa2);
}

static uint64_t line_mask(unsigned first, unsigned last)
{
    return (~0ull << first / 64) & (~0ull >> (63 - last / 64));
}

/* Bytes of the block on the page, as offsets. */
static void extent(const struct block *b, uint64_t page_pa, unsigned *first, unsigned *last)
{
    if (b->flags & BLOCK_SPAN && (b->pa & ~0xfffull) == b->pa2) { /* both of its pages are this one */
        *first = 0;
        *last = 4095;
    } else if ((b->pa & ~0xfffull) == page_pa) {
        *first = b->pa & 0xfff;
        *last = *first + b->bytes - 1;
        if (*last > 4095)
            *last = 4095;
    } else {
        *first = 0;
        *last = (unsigned)((b->pa & 0xfff) + b->bytes - 1 - 4096);
    }
}

/* Drops blocks of one page that overlap [first, last]. */
static bool invalidate_page_locked(struct svm *vm, uint64_t page_pa, unsigned first, unsigned last)
{
    struct page_desc *pd = svm_page(vm, page_pa);
    uint64_t mask = 0;
    bool any = false;
    struct block *b, *next;

    for (b = pd->blocks; b; b = next) {
        unsigned f, l;

        next = *page_link(b, page_pa);
        extent(b, page_pa, &f, &l);
        if (f <= last && l >= first) {
            kill_locked(vm, b);
            any = true;
        } else {
            mask |= line_mask(f, l);
        }
    }
    atomic_store(&pd->code_lines, mask);
    return any;
}

bool code_invalidate(struct svm *vm, uint64_t pa, uint64_t len)
{
    bool any = false;

    while (len) {
        unsigned first = pa & 0xfff;
        uint64_t n = 4096 - first < len ? 4096 - first : len;
        unsigned last = (unsigned)(first + n - 1);

        if (svm_ram(vm, pa) &&
            atomic_load(&svm_page(vm, pa)->code_lines) & line_mask(first, last)) {
            pthread_mutex_lock(&vm->code_lock);
            any |= invalidate_page_locked(vm, pa & ~0xfffull, first, last);
            pthread_mutex_unlock(&vm->code_lock);
        }
        pa += n;
        len -= n;
    }
    return any;
}

void code_flush_stopped(struct svm *vm)
{
    pthread_mutex_lock(&vm->code_lock);
    for (unsigned i = 0; i < CODE_BUCKETS; i++) {
        struct block *b = atomic_load(&vm->buckets[i]);

        for (; b; b = b->hash_next) {
            atomic_fetch_add_explicit(&vm->dropped, 1, memory_order_relaxed);
            uint64_t pages[2] = {b->pa, b->flags & BLOCK_SPAN ? b->pa2 : b->pa};

            for (int k = 0; k < 2; k++) {
                if (svm_ram(vm, pages[k])) {
                    svm_page(vm, pages[k])->blocks = NULL;
                    atomic_store(&svm_page(vm, pages[k])->code_lines, 0);
                }
            }
        }
        atomic_store(&vm->buckets[i], NULL);
    }
    vm->pool_used = 0;
    for (unsigned i = 0; i < SVM_MAX_VCPUS; i++) {
        struct scpu *c = vm->vcpu[i];

        if (!c)
            continue;
        for (unsigned k = 0; k < JC_SLOTS; k++)
            c->jc[k] = (struct block *)(uintptr_t)&block_none;
        c->link_from = NULL;
        c->link_dead = NULL;
    }
    pthread_mutex_unlock(&vm->code_lock);
}

/* ---- building ---- */

/* Announces that bytes of a page are about to be read as code; takes the page out of all W
 * tables the first time. Returns the lines that were marked before. */
static uint64_t mark_locked(struct svm *vm, uint64_t pa, unsigned len)
{
    struct page_desc *pd;
    uint64_t old, who;
    uint8_t *host = svm_ram(vm, pa & ~0xfffull);

    if (!host)
        return 0;
    pd = svm_page(vm, pa);
    old = atomic_fetch_or(&pd->code_lines, line_mask(pa & 0xfff, (unsigned)(pa & 0xfff) + len - 1));
    who = atomic_exchange(&pd->w_mapped, 0);
    for (unsigned i = 0; who; i++, who >>= 1) {
        if (who & 1 && vm->vcpu[i])
            tlb_revoke_write(vm->vcpu[i], host);
    }
    return old;
}

/* Takes marks back that turned out to be too many. */
static void trim_locked(struct svm *vm, uint64_t pa, uint64_t old, unsigned bytes)
{
    uint64_t used = bytes ? line_mask(pa & 0xfff, (unsigned)(pa & 0xfff) + bytes - 1) : 0;

    if (svm_ram(vm, pa))
        atomic_store(&svm_page(vm, pa)->code_lines, old | used);
}

static void page_list_add(struct svm *vm, struct block *b, uint64_t pa, int k)
{
    struct page_desc *pd;

    if (!svm_ram(vm, pa))
        return;
    pd = svm_page(vm, pa);
    b->page_next[k] = pd->blocks;
    pd->blocks = b;
}

static void publish_locked(struct svm *vm, struct block *b)
{
    unsigned i = bucket_of(b->pa, b->mode);

    page_list_add(vm, b, b->pa, 0);
    if (b->flags & BLOCK_SPAN)
        page_list_add(vm, b, b->pa2, 1);
    b->hash_next = atomic_load(&vm->buckets[i]);
    atomic_store_explicit(&vm->buckets[i], b, memory_order_release);
    vm->pool_used += (sizeof *b + b->nuops * sizeof b->u[0] + 63) & ~63ull;
}

static struct block *new_block(struct svm *vm, uint64_t lin, uint64_t mode, uint8_t *hpage, uint64_t pa)
{
    struct block *b = (struct block *)(vm->pool + vm->pool_used);

    memset(b, 0, sizeof *b);
    b->lin = b->lin0 = lin;
    b->mode = mode;
    b->pa = pa;
    b->hpage = hpage;
    return b;
}

/* Decodes into `b`; `second` is a copy of the next page's start or NULL. False: needs it. */
static bool decode_into(struct scpu *c, struct block *b, const uint8_t *code, unsigned avail,
                        const uint8_t *second)
{
    unsigned bytes = 0, ninsns = 0;

    b->nuops = (uint16_t)translate_block(c, b->lin, b->mode, code, avail, second, b->u, &bytes, &ninsns);
    b->bytes = (uint16_t)bytes;
    b->ninsns = (uint8_t)ninsns;
    return b->nuops != 0;
}

static struct block *build_in_page(struct scpu *c, uint64_t lin, uint64_t mode, uint8_t *hpage, uint64_t pa)
{
    struct svm *vm = c->vm;
    unsigned off = pa & 0xfff, avail = 4096 - off;
    uint8_t code[BLOCK_MAX_BYTES];
    struct block *b;
    uint64_t old;

    if (avail > BLOCK_MAX_BYTES)
        avail = BLOCK_MAX_BYTES;
    old = mark_locked(vm, pa, avail);
    guest_copy(code, hpage + off, avail);
    b = new_block(vm, lin, mode, hpage, pa);
    if (!decode_into(c, b, code, avail, NULL)) {
        trim_locked(vm, pa, old, 0);
        return NULL;
    }
    trim_locked(vm, pa, old, b->bytes);
    publish_locked(vm, b);
    return b;
}

static struct block *build_span(struct scpu *c, uint64_t lin, uint64_t mode, uint8_t *hpage, uint64_t pa,
                                uint64_t lin2, uint8_t *hpage2, uint64_t pa2)
{
    struct svm *vm = c->vm;
    unsigned off = pa & 0xfff, avail = 4096 - off;
    uint8_t code[16], code2[16];
    uint64_t old2;
    struct block *b;

    mark_locked(vm, pa, avail);
    old2 = mark_locked(vm, pa2, 16);
    guest_copy(code, hpage + off, avail);
    guest_copy(code2, hpage2, 16);
    b = new_block(vm, lin, mode, hpage, pa);
    b->flags = BLOCK_SPAN;
    b->pa2 = pa2;
    b->lin2 = lin2;
    b->hpage2 = hpage2;
    if (!decode_into(c, b, code, avail, code2))
        return NULL; /* cannot be: 16 more bytes complete or refuse any instruction */
    trim_locked(vm, pa2, old2, 1);
    publish_locked(vm, b);
    return b;
}

static bool pool_full(struct scpu *c)
{
    struct svm *vm = c->vm;
    bool full;

    pthread_mutex_lock(&vm->code_lock);
    full = vm->pool_used + sizeof(struct block) + (BLOCK_MAX_UOPS + 8) * sizeof(struct uop) > CODE_POOL_BYTES;
    pthread_mutex_unlock(&vm->code_lock);
    if (full && svm_stop_world(c)) {
        code_flush_stopped(vm);
        svm_resume_world(c);
    }
    return full;
}

struct block *code_build(struct scpu *c, uint64_t lin, uint64_t mode, uint8_t *hpage, uint64_t pa)
{
    struct svm *vm = c->vm;
    struct block *b;
    uint8_t *hpage2;
    uint64_t pa2, lin2 = (lin | 0xfff) + 1;

    if (pool_full(c))
        return NULL;
    scpu_count(c, blocks_decoded, 1);
    pthread_mutex_lock(&vm->code_lock);
    b = code_find(vm, lin, mode, pa);
    if (!b)
        b = build_in_page(c, lin, mode, hpage, pa);
    pthread_mutex_unlock(&vm->code_lock);
    if (b)
        return b;
    if ((mode & MODE_CSIZE) != MODE_CS64)
        lin2 = (uint32_t)lin2;
    hpage2 = mmu_fetch_page(c, lin2, &pa2);
    if (!hpage2)
        return NULL;
    pthread_mutex_lock(&vm->code_lock);
    b = build_span(c, lin, mode, hpage, pa, lin2, hpage2, pa2);
    pthread_mutex_unlock(&vm->code_lock);
    return b;
}

/* The second page of a SPAN block may have been remapped. */
bool code_span_valid(struct scpu *c, struct block *b)
{
    uint64_t pa2;

    if (fetches_from(c, b->lin2, b->hpage2))
        return true;
    if (!mmu_fetch_page(c, b->lin2, &pa2))
        return false;
    if (pa2 == b->pa2)
        return true;
    pthread_mutex_lock(&c->vm->code_lock);
    if (b->lin != ~0ull) /* under the lock that its writers hold */
        kill_locked(c->vm, b);
    pthread_mutex_unlock(&c->vm->code_lock);
    return false;
}

/* ---- who runs ---- */

static void park_locked(struct svm *vm)
{
    while (vm->stop_wanted)
        pthread_cond_wait(&vm->stop_cond, &vm->stop_lock);
}

void svm_enter(struct svm *vm)
{
    pthread_mutex_lock(&vm->stop_lock);
    park_locked(vm);
    vm->running++;
    pthread_mutex_unlock(&vm->stop_lock);
}

void svm_exit(struct svm *vm)
{
    pthread_mutex_lock(&vm->stop_lock);
    vm->running--;
    pthread_cond_broadcast(&vm->stop_cond);
    pthread_mutex_unlock(&vm->stop_lock);
}

void svm_park(struct svm *vm)
{
    svm_exit(vm);
    svm_enter(vm);
}

bool svm_stop_world(struct scpu *c)
{
    struct svm *vm = c->vm;

    pthread_mutex_lock(&vm->stop_lock);
    if (vm->stop_wanted) {
        vm->running--;
        pthread_cond_broadcast(&vm->stop_cond);
        park_locked(vm);
        vm->running++;
        pthread_mutex_unlock(&vm->stop_lock);
        return false;
    }
    vm->stop_wanted = true;
    for (unsigned i = 0; i < SVM_MAX_VCPUS; i++) {
        if (vm->vcpu[i] && vm->vcpu[i] != c)
            atomic_fetch_or(&vm->vcpu[i]->exitreq, EXITREQ_STOP);
    }
    while (vm->running > 1)
        pthread_cond_wait(&vm->stop_cond, &vm->stop_lock);
    pthread_mutex_unlock(&vm->stop_lock);
    return true;
}

void svm_resume_world(struct scpu *c)
{
    struct svm *vm = c->vm;

    pthread_mutex_lock(&vm->stop_lock);
    vm->stop_wanted = false;
    pthread_cond_broadcast(&vm->stop_cond);
    pthread_mutex_unlock(&vm->stop_lock);
}

/* The linked form of a branch handler, or NULL if it has none (any more). */
static uop_fn *linked_form(uop_fn *f, bool same_page)
{
    uop_fn *const (*fused)[3] = &h_fused[0][0][0][0];
    size_t n = sizeof h_fused / sizeof *fused;

    if (f == h_jmp)
        return same_page ? h_jmp_linked : h_jmp_cross;
    if (f == h_call64)
        return same_page ? h_call64_linked : h_call64_cross;
    for (unsigned cc = 0; cc < 16; cc++) {
        if (f == h_jcc[cc])
            return same_page ? h_jcc_linked[cc] : h_jcc_cross[cc];
    }
    for (size_t k = 0; k < n; k++) {
        if (f == fused[k][0])
            return fused[k][same_page ? 1 : 2];
    }
    return NULL;
}

/* Under the lock: a block that is being dropped must keep h_dead. */
void block_link(struct svm *vm, struct uop *from, struct block *to)
{
    struct block *b = uop_block(from);
    uop_fn *linked;

    pthread_mutex_lock(&vm->code_lock);
    linked = linked_form(from->f, (b->lin0 ^ to->lin0) >> 12 == 0);
    if (linked) {
        __atomic_store_n(&from->imm, (uint64_t)(uintptr_t)to, __ATOMIC_RELEASE);
        __atomic_store_n(&from->f, linked, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&vm->code_lock);
}
