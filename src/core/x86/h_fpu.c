/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * h_fpu: between decoded blocks and the functions of fpu.h. Operand registers are held in
 * uops as offsets in 8-byte units, so that one field reaches GPRs, MMX and XMM registers.
 *
 * SSE instructions with plain operands have handlers of their own whose imm is the function; for
 * all else h_fpu takes the fpu_op from imm and the immediate byte from aux.
 */
#include "core/x86/fpu.h"
#include "core/x86/io.h"
#include "core/x86/translate.h"
#include "core/x86/svm.h"

enum { AUX_MEM = 1 << 15, AUX_OPCODE_SHIFT = 8 };

#define OPERAND(units) ((void *)((uint64_t *)c + (units)))

/* ---- availability ---- */

static const struct uop *unavailable(struct scpu *c, const struct uop *u, uint64_t fl, unsigned class)
{
    bool ud = class == FPU_MMXC ? c->cr0 & CR0_EM
              : class == FPU_SSE ? c->cr0 & CR0_EM || !(c->cr4 & CR4_OSFXSR) : false;

    exc_raise(c, ud ? VEC_UD : VEC_NM);
    return raise_fault(c, u, fl);
}

void fpu_trap_update(struct scpu *c)
{
    bool em = c->cr0 & CR0_EM, ts = c->cr0 & CR0_TS, fxsr = c->cr4 & CR4_OSFXSR;
    unsigned t = 0;

    t |= (em || ts) << FPU_X87;
    t |= (ts && c->cr0 & CR0_MP) << FPU_WAIT;
    t |= (em || ts) << FPU_MMXC;
    t |= (em || ts || !fxsr) << FPU_SSE;
    t |= (em || ts) << FPU_FXSR;
    c->fpu_trap = (uint8_t)t;
}

#define CHECK_CLASS(k)                                                                             \
    do {                                                                                           \
        if (unlikely(c->fpu_trap >> (k) & 1))                                                      \
            return unavailable(c, u, fl, k);                                                       \
    } while (0)

static const struct uop *fpu_fault(struct scpu *c, const struct uop *u, uint64_t fl, uint64_t r)
{
    unsigned vec = r & 0xff;

    if (vec == VEC_GP)
        exc_raise_err(c, vec, 0);
    else
        exc_raise(c, vec);
    return raise_fault(c, u, fl);
}

/* ---- SSE with plain operands ---- */

static inline uint64_t call(struct scpu *c, const struct uop *u, void *reg, void *rm)
{
    return ((fpu_fn *)(uintptr_t)u->imm)(c, reg, rm, 0);
}

HANDLER(h_sse_rr)
{
    uint64_t r;

    CHECK_CLASS(FPU_SSE);
    r = call(c, u, OPERAND(u->d), OPERAND(u->s));
    if (unlikely(r & FPU_FAULT))
        return fpu_fault(c, u, fl, r);
    NEXT;
}

static HANDLER(h_sse_rr_flags)
{
    uint64_t r;

    CHECK_CLASS(FPU_SSE);
    r = call(c, u, OPERAND(u->d), OPERAND(u->s));
    if (unlikely(r & FPU_FAULT))
        return fpu_fault(c, u, fl, r);
    fl = r;
    NEXT;
}

#define H_SSE_LOAD(N)                                                                              \
    HANDLER_S(h_sse_rm##N##_s)                                                                     \
    {                                                                                              \
        uint64_t r;                                                                                \
        if (mmu_read(c, va, c->xbuf, N) < 0)                                                       \
            return raise_fault(c, u, fl);                                                          \
        r = call(c, u, OPERAND(u->d), c->xbuf);                                                    \
        if (unlikely(r & FPU_FAULT))                                                               \
            return fpu_fault(c, u, fl, r);                                                         \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(h_sse_rm##N)                                                                           \
    {                                                                                              \
        uint64_t va = EA_X, r;                                                                     \
        CHECK_CLASS(FPU_SSE);                                                                      \
        if (unlikely(va & u->aux)) {                                                               \
            exc_raise_err(c, VEC_GP, 0);                                                           \
            return raise_fault(c, u, fl);                                                          \
        }                                                                                          \
        PROBE_R(N, h_sse_rm##N##_s);                                                               \
        r = call(c, u, OPERAND(u->d), p);                                                          \
        if (unlikely(r & FPU_FAULT))                                                               \
            return fpu_fault(c, u, fl, r);                                                         \
        NEXT;                                                                                      \
    }
H_SSE_LOAD(4)
H_SSE_LOAD(8)
H_SSE_LOAD(16)

#define H_SSE_STORE(N)                                                                             \
    HANDLER_S(h_sse_mr##N##_s)                                                                     \
    {                                                                                              \
        int w;                                                                                     \
        if (mmu_check_write(c, va, N) < 0)                                                         \
            return raise_fault(c, u, fl);                                                          \
        call(c, u, OPERAND(u->d), c->xbuf);                                                        \
        w = mmu_write(c, va, c->xbuf, N);                                                          \
        if (w < 0)                                                                                 \
            return raise_fault(c, u, fl);                                                          \
        NEXT_STORED(w);                                                                            \
    }                                                                                              \
    HANDLER(h_sse_mr##N)                                                                           \
    {                                                                                              \
        uint64_t va = EA_X;                                                                        \
        CHECK_CLASS(FPU_SSE);                                                                      \
        if (unlikely(va & u->aux)) {                                                               \
            exc_raise_err(c, VEC_GP, 0);                                                           \
            return raise_fault(c, u, fl);                                                          \
        }                                                                                          \
        PROBE_W(N, h_sse_mr##N##_s);                                                               \
        call(c, u, OPERAND(u->d), p);                                                              \
        NEXT;                                                                                      \
    }
H_SSE_STORE(4)
H_SSE_STORE(8)
H_SSE_STORE(16)

/* ---- everything else ---- */

/* Host memory for the operand: RAM, or the bounce buffer with what is there if it is read. NULL:
 * fault. */
static void *operand_memory(struct scpu *c, const struct fpu_op *op, uint64_t va)
{
    unsigned n = op->mem_bytes;
    bool write = op->mem != FPU_MEM_READ;
    uint8_t *p;

    if (op->align && va & (op->align - 1u)) {
        bool ac = n == sizeof c->fx && va & 3 && c->view == VIEW_USER_AC && mmu_canonical(va);

        exc_raise_err(c, ac ? VEC_AC : VEC_GP, 0);
        c->exc.noncanonical = op->class == FPU_FXSR && !mmu_canonical(va);
        return NULL;
    }
    p = write ? mmu_host_w(c, va, n) : mmu_host_r(c, va, n);
    if (p || c->exc.kind)
        return p;
    if (write && mmu_check_write(c, va, n) < 0)
        return NULL;
    if (op->mem != FPU_MEM_WRITE && mmu_read(c, va, c->xbuf, n) < 0)
        return NULL;
    return c->xbuf;
}

static void set_ip(struct scpu *c, const struct uop *u, uint64_t va)
{
    c->fx.fip = uop_rip(u);
    c->fx.fop = (uint16_t)(((u->aux >> AUX_OPCODE_SHIFT) & 7) << 8 | (u->aux & 0xff));
    if (u->aux & AUX_MEM)
        c->fx.fdp = va - c->seg_base[u->seg];
}

#define CHECK_PENDING(op)                                                                          \
    do {                                                                                           \
        if (unlikely((op)->flags & FPU_WAITS && c->fpu.x87_pending)) {                             \
            exc_raise(c, VEC_MF);                                                                  \
            return raise_fault(c, u, fl);                                                          \
        }                                                                                          \
    } while (0)

/* #UD, #NM and #MF come before faults of the operand; elsewhere its segment has uops of its own. */
static HANDLER(h_fpu_ready)
{
    const struct fpu_op *op = (const struct fpu_op *)(uintptr_t)u->imm;

    CHECK_CLASS(op->class);
    CHECK_PENDING(op);
    if (op->mem == FPU_MEM_MASKED && op->reg == FPU_MMX) /* also if the store faults, as on the host */
        fpu_mmx_begin(c);
    NEXT;
}

static HANDLER(h_fpu)
{
    const struct fpu_op *op = (const struct fpu_op *)(uintptr_t)u->imm;
    uint64_t va = 0, r;
    void *rm = OPERAND(u->s);
    int w = 0;

    CHECK_CLASS(op->class);
    CHECK_PENDING(op);
    if (u->aux & AUX_MEM) {
        va = EA_X;
        rm = operand_memory(c, op, va);
        if (!rm)
            return raise_fault(c, u, fl);
    }
    c->fl = fl;
    if (op->flags & FPU_SETS_IP)
        set_ip(c, u, va);
    r = fpu_bind(op, u->aux & 0xff)(c, OPERAND(u->d), rm, 0);
    if (r & FPU_FAULT)
        return fpu_fault(c, u, fl, r);
    if (op->flags & FPU_SETS_FLAGS)
        fl = r;
    if (rm == c->xbuf && op->mem != FPU_MEM_READ)
        w = mmu_write(c, va, c->xbuf, op->mem_bytes);
    NEXT_STORED(w);
}

/* MASKMOVQ is subject to #AC, MASKMOVDQU not: ask for bytes, one on each page. */
static bool maskmov_allowed(struct scpu *c, uint64_t va, unsigned n)
{
    uint64_t next = (va | 0xfff) + 1;

    if (n == 8)
        return mmu_check_write(c, va, n) == 0;
    return mmu_check_write(c, va, 1) == 0 && (next - va >= n || mmu_check_write(c, next, 1) == 0);
}

/* MASKMOVQ, MASKMOVDQU: bytes with the mask's bit 7 set are stored. */
static HANDLER(h_maskmov)
{
    const struct fpu_op *op = (const struct fpu_op *)(uintptr_t)u->imm;
    const uint8_t *data = OPERAND(u->d), *mask = OPERAND(u->s);
    uint64_t va = EA_X;
    int w = 0;

    CHECK_CLASS(op->class);
    CHECK_PENDING(op);
    if (op->reg == FPU_MMX) /* also if the store faults, as on the host */
        fpu_mmx_begin(c);
    if (!maskmov_allowed(c, va, op->mem_bytes))
        return raise_fault(c, u, fl);
    for (unsigned i = 0; i < op->mem_bytes; i++) {
        if (mask[i] & 0x80)
            w |= mmu_write(c, va + i, &data[i], 1);
    }
    NEXT_STORED(w > 0);
}

/* ---- translation ---- */

static uint8_t units_of(const struct xl *x, unsigned kind, unsigned r)
{
    size_t ofs = 0;

    (void)x;
    switch (kind) {
    case FPU_XMM: ofs = offsetof(struct scpu, fx.xmm) + r * 16; break;
    case FPU_MMX: ofs = offsetof(struct scpu, fx.st) + (r & 7) * 16; break;
    case FPU_GPR: ofs = r * 8; break;
    default: break;
    }
    return (uint8_t)(ofs / 8);
}
_Static_assert((offsetof(struct scpu, fx.xmm) + 15 * 16) / 8 < 256, "reach of an operand field");
_Static_assert(offsetof(struct scpu, fx.xmm) % 8 == 0, "operands in units of 8");

static bool is_plain_sse(const struct fpu_op *op)
{
    return op->class == FPU_SSE && !(op->flags & (FPU_WAITS | FPU_SETS_IP | FPU_USES_FLAGS | FPU_IMPLICIT));
}

/* Handler for a plain SSE operation with these operands, or NULL. */
static uop_fn *plain_handler(const struct fpu_op *op, bool mem)
{
    uop_fn *hot = sse_hot(op->fn, mem);

    if (hot)
        return hot;
    if (!is_plain_sse(op))
        return NULL;
    if (!mem)
        return op->flags & FPU_SETS_FLAGS ? h_sse_rr_flags : h_sse_rr;
    if (op->flags & FPU_SETS_FLAGS)
        return NULL;
    if (op->mem == FPU_MEM_READ)
        return op->mem_bytes == 4 ? h_sse_rm4 : op->mem_bytes == 8 ? h_sse_rm8
               : op->mem_bytes == 16 ? h_sse_rm16 : NULL;
    if (op->mem == FPU_MEM_WRITE)
        return op->mem_bytes == 4 ? h_sse_mr4 : op->mem_bytes == 8 ? h_sse_mr8
               : op->mem_bytes == 16 ? h_sse_mr16 : NULL;
    return NULL;
}

static void operand(struct xl *x, const struct fpu_op *op, bool write)
{
    if (x->bits != 64)
        xl_emit(x, h_fpu_ready, FU_NONE)->imm = (uintptr_t)op;
    xl_mem(x, op->mem_bytes, write, true);
}

static void maskmov(struct xl *x, const struct fpu_op *op)
{
    struct uop *u;

    x->i.base = X86_RDI;
    x->i.index = REG_NONE;
    x->i.disp = 0;
    if (!x->i.seg_override)
        x->i.seg = X86_DS;
    operand(x, op, true);
    u = xl_emit(x, h_maskmov, FU_NONE);
    xl_put_mem(x, u);
    u->d = units_of(x, op->reg, x->i.reg);
    u->s = units_of(x, op->rm, x->i.rm);
    u->imm = (uintptr_t)op;
}

static const struct fpu_op *lookup(const struct xl *x)
{
    struct fpu_query q = {
        .features = x->c->vm->fpu_features, .map = x->i.map, .opcode = x->i.op, .modrm = x->i.modrm,
        .prefix = x->i.rep ? x->i.rep : x->i.p66 ? 0x66 : 0, .rex_w = x->i.rex & 8,
        .opsize16 = x->i.opsize == 2, .mode64 = x->bits == 64,
        .prot_mode = x->mode & MODE_PE && !(x->mode & MODE_VM86),
    };

    return fpu_lookup(&q);
}

/* Mnemonics that read or write flags are told apart by the table's flags. */
static enum flag_use flags_of(const struct fpu_op *op)
{
    return op->flags & (FPU_SETS_FLAGS | FPU_USES_FLAGS) ? FU_READ : FU_NONE;
}

bool xl_fpu(struct xl *x)
{
    const struct fpu_op *op = lookup(x);
    bool mem = x->i.mod != 3 && !(x->i.map == MAP_1B && x->i.op == 0x9b) &&
               !(x->i.map == MAP_0F && x->i.op == 0x77);
    uint8_t imm;
    uop_fn *f;
    struct uop *u;

    if (!op)
        return false;
    if (op->mem == FPU_MEM_MASKED) {
        maskmov(x, op);
        return true;
    }
    imm = x->i.map == MAP_1B ? x->i.modrm : op->imm_bytes ? (uint8_t)x->i.imm : 0;
    if (mem)
        operand(x, op, op->mem != FPU_MEM_READ);
    f = plain_handler(op, mem);
    u = xl_emit(x, f ? f : h_fpu, flags_of(op));
    if (mem)
        xl_put_mem(x, u);
    u->d = units_of(x, op->reg, x->i.reg);
    u->s = units_of(x, op->rm, x->i.rm);
    if (f) {
        u->imm = (uintptr_t)fpu_bind(op, imm);
        u->aux = mem && op->align ? (uint16_t)(op->align - 1) : 0;
    } else {
        u->imm = (uintptr_t)op;
        u->aux = (uint16_t)(imm | (x->i.op & 7) << AUX_OPCODE_SHIFT | (mem ? AUX_MEM : 0));
    }
    return true;
}
