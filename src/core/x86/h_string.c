/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * h_string: MOVS STOS LODS CMPS SCAS INS OUTS, with and without REP.
 *
 * One handler call runs a REP instruction for as long as it can: forward moves and fills go
 * page-wise by the host's memmove and memset. Registers are committed after every piece, so a
 * fault or an exit request leaves a restartable state (SDM 1 7.3.9.2). u->d is the element size,
 * u->aux the address size, u->scale the prefix: 0 none, 2 REPNE, 3 REP.
 */
#include "core/x86/guest_bytes.h"
#include "core/x86/handlers.h"
#include "core/x86/io.h"
#include "core/x86/seg.h"

#include <string.h>

#define RCX c->gpr[X86_RCX]
#define RSI c->gpr[X86_RSI]
#define RDI c->gpr[X86_RDI]

enum { REP_NONE = 0, REP_NE = 2, REP_E = 3 };

static uint64_t addr_mask(unsigned bytes)
{
    return bytes == 2 ? 0xffff : bytes == 4 ? 0xffffffff : ~0ull;
}

/* Writes an address register as an instruction with that address size does. */
static void set_addr(uint64_t *r, uint64_t v, unsigned bytes)
{
    if (bytes == 2)
        *(uint16_t *)r = (uint16_t)v;
    else
        *r = bytes == 4 ? (uint32_t)v : v;
}

static int64_t step(const struct scpu *c, const struct uop *u)
{
    return c->rflags_sys & FLAG_DF ? -(int64_t)u->d : u->d;
}

static void advance(struct scpu *c, const struct uop *u, uint64_t *r, int64_t by)
{
    (void)c;
    set_addr(r, *r + (uint64_t)by, u->aux);
}

static uint64_t count_left(const struct scpu *c, const struct uop *u)
{
    return u->scale == REP_NONE ? 1 : RCX & addr_mask(u->aux);
}

static void count_done(struct scpu *c, const struct uop *u, uint64_t n)
{
    if (u->scale != REP_NONE)
        set_addr(&RCX, RCX - n, u->aux);
}

static int src_linear(struct scpu *c, const struct uop *u, uint64_t *lin)
{
    return seg_linear(c, u->seg, RSI & addr_mask(u->aux), u->d, false, lin);
}

static int dst_linear(struct scpu *c, const struct uop *u, bool write, uint64_t *lin)
{
    return seg_linear(c, X86_ES, RDI & addr_mask(u->aux), u->d, write, lin);
}

/* A debug trap comes after each iteration. */
static bool stepping(const struct scpu *c)
{
    return c->rflags_sys & FLAG_TF || c->dbg_hits;
}

/* Segment checks are per element except where segments are flat; then a run of elements up to the
 * page's end may be taken at once. */
static bool bulk_allowed(const struct scpu *c, const struct uop *u)
{
    return u->scale != REP_NONE && !(c->rflags_sys & FLAG_DF) && u->aux != 2 &&
           c->view != VIEW_USER_AC && !stepping(c) &&
           (scpu_code64(c) || (c->mode & MODE_FLAT && u->seg != X86_FS && u->seg != X86_GS));
}

static uint64_t elements_to_page_end(uint64_t lin, unsigned size)
{
    return (4096 - (lin & 0xfff)) / size;
}

static uint64_t min64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* How a step of a string instruction ended. */
enum step_end { STEP_MORE, STEP_DONE, STEP_FAULT, STEP_LEAVE };

static const struct uop *finish(struct scpu *c, const struct uop *u, uint64_t fl, enum step_end e)
{
    if (e == STEP_FAULT)
        return raise_fault(c, u, fl);
    if (e == STEP_LEAVE) { /* the rest when we come back */
        c->rip = uop_rip(u);
        LEAVE;
    }
    if (c->smc_hit) {
        c->smc_hit = false;
        return leave_next(c, u, fl);
    }
    NEXT;
}

/* Runs `one` until the count is used up; looks for exit requests on the way. */
static enum step_end repeat(struct scpu *c, const struct uop *u,
                            enum step_end (*one)(struct scpu *c, const struct uop *u))
{
    unsigned n = 0;

    c->smc_hit = false;
    while (count_left(c, u)) {
        enum step_end e = one(c, u);

        if (e != STEP_MORE)
            return e;
        if (u->scale == REP_NONE)
            break;
        if ((c->smc_hit || stepping(c) || ((++n & 63) == 0 && atomic_load(&c->exitreq))) && count_left(c, u))
            return STEP_LEAVE;
    }
    return STEP_DONE;
}

/* ---- MOVS ---- */

static enum step_end movs_bulk(struct scpu *c, const struct uop *u, uint64_t src, uint64_t dst)
{
    uint64_t n = min64(count_left(c, u),
                       min64(elements_to_page_end(src, u->d), elements_to_page_end(dst, u->d)));
    unsigned bytes = (unsigned)n * u->d;
    uint8_t *s, *d;

    if (n < 2)
        return STEP_LEAVE;
    s = mmu_host_r(c, src, bytes);
    if (!s)
        return c->exc.kind ? STEP_FAULT : STEP_LEAVE;
    d = mmu_host_w(c, dst, bytes);
    if (!d)
        return c->exc.kind ? STEP_FAULT : STEP_LEAVE;
    if (d > s && d < s + u->d) /* an element overlaps itself: one by one */
        return STEP_LEAVE;
    if (d > s && d < s + bytes) {
        for (unsigned i = 0; i < bytes; i++) /* the pattern spreads */
            d[i] = s[i];
    } else {
        guest_copy(d, s, bytes);
    }
    advance(c, u, &RSI, bytes);
    advance(c, u, &RDI, bytes);
    count_done(c, u, n);
    return STEP_MORE;
}

static enum step_end movs_one(struct scpu *c, const struct uop *u)
{
    uint64_t src, dst, v = 0;

    if (src_linear(c, u, &src) < 0 || dst_linear(c, u, true, &dst) < 0)
        return STEP_FAULT;
    if (bulk_allowed(c, u)) {
        enum step_end e = movs_bulk(c, u, src, dst);

        if (e != STEP_LEAVE)
            return e;
    }
    if (mmu_read(c, src, &v, u->d) < 0 || mmu_write(c, dst, &v, u->d) < 0)
        return STEP_FAULT;
    advance(c, u, &RSI, step(c, u));
    advance(c, u, &RDI, step(c, u));
    count_done(c, u, 1);
    return STEP_MORE;
}

HANDLER(h_movs)
{
    return finish(c, u, fl, repeat(c, u, movs_one));
}

/* ---- STOS ---- */

static void fill(uint8_t *d, uint64_t v, unsigned size, uint64_t n)
{
    if (v == 0 || size == 1) {
        guest_fill(d, (uint8_t)v, n * size);
        return;
    }
    for (uint64_t i = 0; i < n; i++)
        guest_copy(d + i * size, &v, size);
}

static enum step_end stos_one(struct scpu *c, const struct uop *u)
{
    uint64_t dst, v = c->gpr[X86_RAX];

    if (dst_linear(c, u, true, &dst) < 0)
        return STEP_FAULT;
    if (u->d < 8)
        v &= (1ull << (u->d * 8)) - 1;
    if (bulk_allowed(c, u)) {
        uint64_t n = min64(count_left(c, u), elements_to_page_end(dst, u->d));
        uint8_t *d = n > 1 ? mmu_host_w(c, dst, (unsigned)n * u->d) : NULL;

        if (c->exc.kind)
            return STEP_FAULT;
        if (d) {
            fill(d, v, u->d, n);
            advance(c, u, &RDI, (int64_t)(n * u->d));
            count_done(c, u, n);
            return STEP_MORE;
        }
    }
    if (mmu_write(c, dst, &v, u->d) < 0)
        return STEP_FAULT;
    advance(c, u, &RDI, step(c, u));
    count_done(c, u, 1);
    return STEP_MORE;
}

HANDLER(h_stos)
{
    return finish(c, u, fl, repeat(c, u, stos_one));
}

/* ---- LODS ---- */

static enum step_end lods_one(struct scpu *c, const struct uop *u)
{
    uint64_t src, v = 0;

    if (src_linear(c, u, &src) < 0 || mmu_read(c, src, &v, u->d) < 0)
        return STEP_FAULT;
    switch (u->d) {
    case 1: SET8(X86_RAX * 8, v); break;
    case 2: SET16(X86_RAX * 8, v); break;
    case 4: SET32(X86_RAX * 8, v); break;
    default: SET64(X86_RAX * 8, v);
    }
    advance(c, u, &RSI, step(c, u));
    count_done(c, u, 1);
    return STEP_MORE;
}

HANDLER(h_lods)
{
    return finish(c, u, fl, repeat(c, u, lods_one));
}

/* ---- CMPS, SCAS: flags in c->fl while they run ---- */

static void compare(struct scpu *c, uint64_t a, uint64_t b, unsigned size)
{
    uint64_t f = 0;

    switch (size) {
    case 1: __asm__("cmpb %b2, %b1\n\t" FL_SAVE : "+&a"(f) : "q"(a), "q"(b) : "cc"); break;
    case 2: __asm__("cmpw %w2, %w1\n\t" FL_SAVE : "+&a"(f) : "r"(a), "r"(b) : "cc"); break;
    case 4: __asm__("cmpl %k2, %k1\n\t" FL_SAVE : "+&a"(f) : "r"(a), "r"(b) : "cc"); break;
    default: __asm__("cmpq %2, %1\n\t" FL_SAVE : "+&a"(f) : "r"(a), "r"(b) : "cc"); break;
    }
    c->fl = f;
}

static enum step_end compared(const struct scpu *c, const struct uop *u)
{
    if (u->scale == REP_NONE)
        return STEP_MORE;
    return (u->scale == REP_E) == !!(c->fl & FL_ZF) ? STEP_MORE : STEP_DONE;
}

/* ES:DI is read first, as AMD's processors do; the manuals do not say. */
static enum step_end cmps_one(struct scpu *c, const struct uop *u)
{
    uint64_t src, dst, a = 0, b = 0;

    if (dst_linear(c, u, false, &dst) < 0 || mmu_read(c, dst, &b, u->d) < 0 ||
        src_linear(c, u, &src) < 0 || mmu_read(c, src, &a, u->d) < 0)
        return STEP_FAULT;
    compare(c, a, b, u->d);
    advance(c, u, &RSI, step(c, u));
    advance(c, u, &RDI, step(c, u));
    count_done(c, u, 1);
    return compared(c, u);
}

HANDLER(h_cmps)
{
    enum step_end e;

    c->fl = fl;
    e = repeat(c, u, cmps_one);
    return finish(c, u, c->fl, e);
}

static enum step_end scas_one(struct scpu *c, const struct uop *u)
{
    uint64_t dst, b = 0;

    if (dst_linear(c, u, false, &dst) < 0 || mmu_read(c, dst, &b, u->d) < 0)
        return STEP_FAULT;
    compare(c, c->gpr[X86_RAX], b, u->d);
    advance(c, u, &RDI, step(c, u));
    count_done(c, u, 1);
    return compared(c, u);
}

HANDLER(h_scas)
{
    enum step_end e;

    c->fl = fl;
    e = repeat(c, u, scas_one);
    return finish(c, u, c->fl, e);
}

/* ---- INS, OUTS ---- */

static enum step_end ins_one(struct scpu *c, const struct uop *u)
{
    uint16_t port = (uint16_t)c->gpr[X86_RDX];
    uint64_t dst;
    uint32_t v;

    if (dst_linear(c, u, true, &dst) < 0 ||
        mmu_check_write(c, dst, u->d) < 0)
        return STEP_FAULT;
    v = io_in(c, port, u->d);
    if (mmu_write(c, dst, &v, u->d) < 0)
        return STEP_FAULT;
    advance(c, u, &RDI, step(c, u));
    count_done(c, u, 1);
    return STEP_MORE;
}

HANDLER(h_ins)
{
    if (tss_io_allowed(c, (uint16_t)c->gpr[X86_RDX], u->d) < 0)
        return raise_fault(c, u, fl);
    c->fl = fl;
    return finish(c, u, fl, repeat(c, u, ins_one));
}

static enum step_end outs_one(struct scpu *c, const struct uop *u)
{
    uint16_t port = (uint16_t)c->gpr[X86_RDX];
    uint64_t src;
    uint32_t v = 0;

    if (src_linear(c, u, &src) < 0 ||
        mmu_read(c, src, &v, u->d) < 0)
        return STEP_FAULT;
    io_out(c, port, u->d, v);
    advance(c, u, &RSI, step(c, u));
    count_done(c, u, 1);
    return STEP_MORE;
}

HANDLER(h_outs)
{
    if (tss_io_allowed(c, (uint16_t)c->gpr[X86_RDX], u->d) < 0)
        return raise_fault(c, u, fl);
    c->fl = fl;
    return finish(c, u, fl, repeat(c, u, outs_one));
}
