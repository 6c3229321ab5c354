/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * h_pair: two uops that follow each other done by one handler, which saves a load and an indirect
 * jump. The first one's handler is replaced, both keep their operands and the second one its
 * handler: if an access misses the TLB, handlers go on that do one uop each. Pairs are made of
 * uops that kernels and compilers use most, and that always go on with the next one.
 *
 * A chain is the same for one long row of uops: the product of 128 bits from four of 64 as compilers
 * write it out for C without such a type. Half of the instructions of a Linux boot are in it (MPI
 * arithmetic of the certificates' self tests).
 */
#include "core/x86/flags.h"
#include "core/x86/handlers.h"
#include "core/x86/svm.h"

#include <string.h>

#define RSP c->gpr[X86_RSP]

/* What an operation does; false: it misses, and nothing was done. */
#define OP(name) \
    static inline __attribute__((always_inline)) bool name(struct scpu *c, const struct uop *u, uint64_t *fl)
#define SIMPLE(name, body)                                                                         \
    OP(name)                                                                                       \
    {                                                                                              \
        (void)fl;                                                                                  \
        body;                                                                                      \
        return true;                                                                               \
    }
/* With p at the operand of `n` bytes in memory. */
#define AT(name, EA, table, n, body)                                                               \
    OP(name)                                                                                       \
    {                                                                                              \
        uint64_t va = EA;                                                                          \
        uint8_t *p = tlb_probe(c->tlb->table, va, n);                                              \
        (void)fl;                                                                                  \
        if (unlikely(!p))                                                                          \
            return false;                                                                          \
        body;                                                                                      \
        return true;                                                                               \
    }
/* The host's instruction on the register and its flags. */
#define FLAGS(name, ins, S, sfx, SRC, keep)                                                        \
    OP(name)                                                                                       \
    {                                                                                              \
        uint##S##_t a = R##S(u->d);                                                                \
        uint64_t f = 0;                                                                            \
        __asm__(ins sfx " %2, %0\n\t" FL_SAVE : "+r"(a), "+&a"(f) : "r"((uint##S##_t)(SRC)) : "cc"); \
        keep;                                                                                      \
        *fl = f;                                                                                   \
        return true;                                                                               \
    }

SIMPLE(mov64_rr, SET64(u->d, R64(u->s)))
SIMPLE(mov32_rr, SET32(u->d, R32(u->s)))
SIMPLE(mov32_ri, SET32(u->d, u->imm))
AT(mov64_rm, EA_B, r, 8, SET64(u->d, *(volatile uint64_t *)p))
AT(mov64_rx, EA_X, r, 8, SET64(u->d, *(volatile uint64_t *)p))
AT(mov32_rm, EA_B, r, 4, SET32(u->d, *(volatile uint32_t *)p))
AT(mov64_mr, EA_B, w, 8, *(volatile uint64_t *)p = R64(u->s))
AT(mov64_xr, EA_X, w, 8, *(volatile uint64_t *)p = R64(u->s))
AT(mov32_mr, EA_B, w, 4, *(volatile uint32_t *)p = R32(u->s))
SIMPLE(zx8_rr, SET64(u->d, R8(u->s)))
AT(zx8_rm, EA_B, r, 1, SET64(u->d, *(volatile uint8_t *)p))
AT(zx8_rx, EA_X, r, 1, SET64(u->d, *(volatile uint8_t *)p))
SIMPLE(sx32_rr, SET64(u->d, (uint64_t)(int32_t)R32(u->s)))
SIMPLE(add64_rr, SET64(u->d, R64(u->d) + R64(u->s)))
SIMPLE(add64_ri, SET64(u->d, R64(u->d) + u->imm))
SIMPLE(sub64_rr, SET64(u->d, R64(u->d) - R64(u->s)))
SIMPLE(xor32_rr, SET32(u->d, R32(u->d) ^ R32(u->s)))
SIMPLE(imul64, SET64(u->d, R64(u->d) * R64(u->s)))
SIMPLE(shl64, SET64(u->d, R64(u->d) << (u->imm & 63)))
SIMPLE(shr64, SET64(u->d, R64(u->d) >> (u->imm & 63)))
SIMPLE(lea64_b, SET64(u->d, EA_B))
SIMPLE(lea64_x, SET64(u->d, EA_X))
AT(push64, RSP - 8, w, 8, *(volatile uint64_t *)p = R64(u->s); RSP = va)
AT(pop64, RSP, r, 8, RSP = va + 8; R64(u->d) = *(volatile uint64_t *)p)
FLAGS(add64_f, "add", 64, "q", R64(u->s), SET64(u->d, a))
FLAGS(sub64_f, "sub", 64, "q", R64(u->s), SET64(u->d, a))
FLAGS(add32i_f, "add", 32, "l", u->imm, SET32(u->d, a))
SIMPLE(setc, SET8(u->d, fl_cond(2, *fl)))
SIMPLE(cmovnc, if (fl_cond(3, *fl)) SET64(u->d, R64(u->s)))
OP(cmp64_f)
{
    uint64_t f = 0;

    __asm__("cmpq %2, %1\n\t" FL_SAVE : "+&a"(f) : "r"(R64(u->d)), "r"(R64(u->s)) : "cc");
    *fl = f;
    return true;
}

/* Operation, and the handler that does it alone. The list is there twice, for either place. */
#define FIRST(X, b)                                                                                \
    X(mov64_rr, b) X(mov32_rr, b) X(mov32_ri, b) X(mov64_rm, b) X(mov64_rx, b) X(mov32_rm, b)      \
    X(mov64_mr, b) X(mov32_mr, b) X(zx8_rr, b) X(zx8_rm, b) X(sx32_rr, b) X(add64_rr, b)           \
    X(add64_ri, b) X(sub64_rr, b) X(xor32_rr, b) X(imul64, b) X(shl64, b) X(shr64, b)              \
    X(lea64_b, b) X(lea64_x, b) X(push64, b) X(pop64, b) X(add64_f, b) X(add32i_f, b) X(setc, b)   \
    X(cmovnc, b) X(cmp64_f, b) X(mov64_xr, b) X(zx8_rx, b) X(sub64_f, b)
#define SECOND(X)                                                                                  \
    X(mov64_rr, h_mov[3][F_RR]) X(mov32_rr, h_mov[2][F_RR]) X(mov32_ri, h_mov[2][F_RI])            \
    X(mov64_rm, h_mov[3][F_RM]) X(mov64_rx, h_mov[3][F_RX]) X(mov32_rm, h_mov[2][F_RM])            \
    X(mov64_mr, h_mov[3][F_MR]) X(mov32_mr, h_mov[2][F_MR]) X(zx8_rr, h_movzx[0][3][0])            \
    X(zx8_rm, h_movzx[0][3][1]) X(sx32_rr, h_movsx[2][3][0])                                       \
    X(add64_rr, h_alu[1][ALU_ADD][3][F_RR]) X(add64_ri, h_alu[1][ALU_ADD][3][F_RI])                \
    X(sub64_rr, h_alu[1][ALU_SUB][3][F_RR]) X(xor32_rr, h_alu[1][ALU_XOR][2][F_RR])                \
    X(imul64, h_imul2[1][3]) X(shl64, h_shift_nf[SH_SHL][3]) X(shr64, h_shift_nf[SH_SHR][3])       \
    X(lea64_b, h_lea[3][0]) X(lea64_x, h_lea[3][1]) X(push64, h_push64) X(pop64, h_pop64)          \
    X(add64_f, h_alu[0][ALU_ADD][3][F_RR]) X(add32i_f, h_alu[0][ALU_ADD][2][F_RI])                 \
    X(setc, h_setcc[2][0]) X(cmovnc, h_cmov[3][3]) X(cmp64_f, h_alu[0][ALU_CMP][3][F_RR]) \
    X(mov64_xr, h_mov[3][F_XR]) X(zx8_rx, h_movzx[0][3][2]) X(sub64_f, h_alu[0][ALU_SUB][3][F_RR])

#define NUMBER(name, alone) PAIR_##name,
enum { SECOND(NUMBER) PAIR_OPS };

static uop_fn *alone_of(unsigned op)
{
#define CASE_ALONE(name, alone) case PAIR_##name: return alone;
    switch (op) {
        SECOND(CASE_ALONE)
    default: return NULL;
    }
}

#define PAIR(a, b)                                                                                 \
    static HANDLER(a##__##b)                                                                       \
    {                                                                                              \
        if (unlikely(!a(c, u, &fl)))                                                               \
            return alone_of(PAIR_##a)(c, u, fl);                                                   \
        u++;                                                                                       \
        if (unlikely(!b(c, u, &fl)))                                                               \
            GOTO_UOP(u);                                                                           \
        NEXT;                                                                                      \
    }
#define PAIRS(b, alone) FIRST(PAIR, b)
SECOND(PAIRS)

#define ENTRY(a, b) [PAIR_##a] = a##__##b,
#define ROW(b, alone) [PAIR_##b] = {FIRST(ENTRY, b)},
static uop_fn *const pairs[PAIR_OPS][PAIR_OPS] = {SECOND(ROW)}; /* [second][first] */

/* ---- chains, of simple operations only ---- */

#define WIDE_PRODUCT(X)                                                                            \
    X(mov64_rr) X(mov32_rr) X(shr64) X(mov64_rr) X(imul64) X(mov64_rr) X(imul64) X(imul64)         \
    X(imul64) X(mov64_rr) X(mov32_rr) X(shr64) X(add64_rr) X(add64_rr) X(mov64_rr) X(add64_rr)     \
    X(cmp64_f) X(mov64_rr) X(cmovnc) X(add64_rr) X(shl64) X(add64_rr)

#define STEP(name) name(c, u++, &fl);
static HANDLER(wide_product)
{
    WIDE_PRODUCT(STEP)
    GOTO_UOP(u);
}

#define OP_NUMBER(name) PAIR_##name,
static const uint8_t wide_product_ops[] = {WIDE_PRODUCT(OP_NUMBER)};

/* ---- blocks ---- */

/* The operation of each uop, PAIR_OPS for others. */
static void find_ops(const struct uop *u, unsigned n, uint8_t *op)
{
    uop_fn *alone[PAIR_OPS];

    for (unsigned k = 0; k < PAIR_OPS; k++)
        alone[k] = alone_of(k);
    for (unsigned i = 0; i < n; i++) {
        op[i] = 0;
        while (op[i] < PAIR_OPS && alone[op[i]] != u[i].f)
            op[i]++;
    }
}

void pair_uops(struct uop *u, unsigned n)
{
    uint8_t op[BLOCK_MAX_UOPS];

    find_ops(u, n, op);
    for (unsigned k = 0; k + 1 < n; k++) {
        if (n - k >= sizeof wide_product_ops && !memcmp(op + k, wide_product_ops, sizeof wide_product_ops)) {
            u[k].f = wide_product;
            k += sizeof wide_product_ops - 1;
        } else if (op[k] < PAIR_OPS && op[k + 1] < PAIR_OPS) {
            u[k].f = pairs[op[k + 1]][op[k]];
            k++;
        }
    }
}
