/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * h_muldiv: multiplication, division, decimal adjustments. Quotients that do not fit are found
 * before the host divides; flags, also undefined ones, are the host's.
 */
#include "core/x86/handlers.h"

#define RAX c->gpr[X86_RAX]
#define RDX c->gpr[X86_RDX]

static const struct uop *divide_error(struct scpu *c, const struct uop *u, uint64_t fl)
{
    exc_raise(c, VEC_DE);
    return raise_fault(c, u, fl);
}

/* ---- one-operand MUL and IMUL ---- */

#define H_MUL8(ins)                                                                                \
    static HANDLER(ins##8)                                                                         \
    {                                                                                              \
        uint64_t f = fl;                                                                           \
        uint16_t r;                                                                                \
        __asm__(FL_LOAD "movb %b2, %%al\n\t" #ins "b %b3\n\tmovw %%ax, %1\n\t" FL_SAVE             \
                : "+&a"(f), "=&r"(r) : "r"((uint32_t)(uint8_t)RAX), "r"((uint32_t)R8(u->s)) : "cc"); \
        *(uint16_t *)&RAX = r;                                                                     \
        fl = f;                                                                                    \
        NEXT;                                                                                      \
    }
#define H_MUL(ins, S, sfx, acc)                                                                    \
    static HANDLER(ins##S)                                                                         \
    {                                                                                              \
        uint64_t f = fl;                                                                           \
        uint##S##_t lo, hi;                                                                        \
        __asm__(FL_LOAD "mov" sfx " %3, %%" acc "\n\t" #ins sfx " %4\n\tmov" sfx " %%" acc ", %1\n\t" \
                FL_SAVE : "+&a"(f), "=&r"(lo), "=&d"(hi)                                           \
                : "r"((uint##S##_t)RAX), "r"(R##S(u->s)) : "cc");                                  \
        SET##S(X86_RAX * 8, lo);                                                                   \
        SET##S(X86_RDX * 8, hi);                                                                   \
        fl = f;                                                                                    \
        NEXT;                                                                                      \
    }
H_MUL8(mul)
H_MUL8(imul)
H_MUL(mul, 16, "w", "ax")
H_MUL(mul, 32, "l", "eax")
H_MUL(mul, 64, "q", "rax")
H_MUL(imul, 16, "w", "ax")
H_MUL(imul, 32, "l", "eax")
H_MUL(imul, 64, "q", "rax")
uop_fn *const h_mul[4] = {mul8, mul16, mul32, mul64};
uop_fn *const h_imul1[4] = {imul8, imul16, imul32, imul64};

#define H_IMUL(S, sfx)                                                                             \
    static inline uint##S##_t imul_##S(uint##S##_t a, uint##S##_t b, uint64_t *fl)                 \
    {                                                                                              \
        uint64_t f = *fl;                                                                          \
        __asm__(FL_LOAD "imul" sfx " %2, %0\n\t" FL_SAVE : "+r"(a), "+&a"(f) : "r"(b) : "cc");     \
        *fl = f;                                                                                   \
        return a;                                                                                  \
    }                                                                                              \
    static HANDLER(imul2_##S)                                                                      \
    {                                                                                              \
        SET##S(u->d, imul_##S(R##S(u->d), R##S(u->s), &fl));                                       \
        NEXT;                                                                                      \
    }                                                                                              \
    static HANDLER(imul3_##S)                                                                      \
    {                                                                                              \
        SET##S(u->d, imul_##S(R##S(u->s), (uint##S##_t)u->imm, &fl));                              \
        NEXT;                                                                                      \
    }
H_IMUL(16, "w")
H_IMUL(32, "l")
H_IMUL(64, "q")

#define H_IMUL_NF(S)                                                                               \
    static HANDLER(imul2_##S##_nf)                                                                 \
    {                                                                                              \
        SET##S(u->d, (uint64_t)R##S(u->d) * R##S(u->s));                                           \
        NEXT;                                                                                      \
    }                                                                                              \
    static HANDLER(imul3_##S##_nf)                                                                 \
    {                                                                                              \
        SET##S(u->d, (uint64_t)R##S(u->s) * u->imm);                                               \
        NEXT;                                                                                      \
    }
H_IMUL_NF(16)
H_IMUL_NF(32)
H_IMUL_NF(64)
uop_fn *const h_imul2[2][4] = {
    {NULL, imul2_16, imul2_32, imul2_64}, {NULL, imul2_16_nf, imul2_32_nf, imul2_64_nf},
};
uop_fn *const h_imul3[2][4] = {
    {NULL, imul3_16, imul3_32, imul3_64}, {NULL, imul3_16_nf, imul3_32_nf, imul3_64_nf},
};

static HANDLER(mul32_nf)
{
    uint64_t r = (uint64_t)(uint32_t)RAX * R32(u->s);

    RAX = (uint32_t)r;
    RDX = r >> 32;
    NEXT;
}

static HANDLER(mul64_nf)
{
    unsigned __int128 r = (unsigned __int128)RAX * R64(u->s);

    RAX = (uint64_t)r;
    RDX = (uint64_t)(r >> 64);
    NEXT;
}
uop_fn *const h_mul_nf[4] = {NULL, NULL, mul32_nf, mul64_nf};

/* ---- DIV, IDIV ---- */

/* Divides with the host's instruction; the quotient is known to fit. */
#define DIV_ASM(ins, S, sfx, acc)                                                                  \
    static inline void ins##_##S(uint##S##_t lo, uint##S##_t hi, uint##S##_t d, uint##S##_t *q,    \
                                 uint##S##_t *r, uint64_t *fl)                                     \
    {                                                                                              \
        uint64_t f = *fl;                                                                          \
        uint##S##_t quo, rem = hi;                                                                 \
        __asm__(FL_LOAD "mov" sfx " %3, %%" acc "\n\t" #ins sfx " %4\n\tmov" sfx " %%" acc ", %1\n\t" \
                FL_SAVE : "+&a"(f), "=&r"(quo), "+&d"(rem) : "r"(lo), "r"(d) : "cc");              \
        *q = quo;                                                                                  \
        *r = rem;                                                                                  \
        *fl = f;                                                                                   \
    }
DIV_ASM(div, 16, "w", "ax")
DIV_ASM(div, 32, "l", "eax")
DIV_ASM(div, 64, "q", "rax")
DIV_ASM(idiv, 16, "w", "ax")
DIV_ASM(idiv, 32, "l", "eax")
DIV_ASM(idiv, 64, "q", "rax")

#define DIV8_ASM(ins)                                                                              \
    static inline uint16_t ins##_8(uint16_t ax, uint8_t d, uint64_t *fl)                           \
    {                                                                                              \
        uint64_t f = *fl;                                                                          \
        uint16_t r;                                                                                \
        __asm__(FL_LOAD "movw %w2, %%ax\n\t" #ins "b %b3\n\tmovw %%ax, %w1\n\t" FL_SAVE            \
                : "+&a"(f), "=&r"(r) : "r"(ax), "r"((uint32_t)d) : "cc");                          \
        *fl = f;                                                                                   \
        return r;                                                                                  \
    }
DIV8_ASM(div)
DIV8_ASM(idiv)

static HANDLER(div8)
{
    uint8_t d = R8(u->s);
    uint16_t n = (uint16_t)RAX;

    if (d == 0 || n >> 8 >= d)
        return divide_error(c, u, fl);
    *(uint16_t *)&RAX = div_8(n, d, &fl);
    NEXT;
}

static HANDLER(idiv8)
{
    int8_t d = (int8_t)R8(u->s);
    int16_t n = (int16_t)RAX;

    if (d == 0 || n / d != (int8_t)(n / d))
        return divide_error(c, u, fl);
    *(uint16_t *)&RAX = idiv_8((uint16_t)n, (uint8_t)d, &fl);
    NEXT;
}

#define H_DIV(S)                                                                                   \
    static HANDLER(div##S)                                                                         \
    {                                                                                              \
        uint##S##_t d = R##S(u->s), q, r, hi = (uint##S##_t)RDX;                                   \
        if (hi >= d)                                                                               \
            return divide_error(c, u, fl);                                                         \
        div_##S((uint##S##_t)RAX, hi, d, &q, &r, &fl);                                             \
        SET##S(X86_RAX * 8, q);                                                                    \
        SET##S(X86_RDX * 8, r);                                                                    \
        NEXT;                                                                                      \
    }
H_DIV(16)
H_DIV(32)
H_DIV(64)

/* |n| / |d| fits an unsigned half iff high(|n|) < |d|; then compare with the signed limits. */
#define H_IDIV(S, W)                                                                               \
    static HANDLER(idiv##S)                                                                        \
    {                                                                                              \
        uint##S##_t d = R##S(u->s), q, r, lo = (uint##S##_t)RAX, hi = (uint##S##_t)RDX;            \
        bool nneg = hi >> (S - 1), dneg = d >> (S - 1);                                            \
        W n = (W)hi << S | lo;                                                                     \
        uint##S##_t ad = dneg ? (uint##S##_t)-d : d, limit = (uint##S##_t)1 << (S - 1);            \
        uint64_t scratch = 0;                                                                      \
        if (nneg)                                                                                  \
            n = -n;                                                                                \
        if ((uint##S##_t)(n >> S) >= ad)                                                           \
            return divide_error(c, u, fl);                                                         \
        div_##S((uint##S##_t)n, (uint##S##_t)(n >> S), ad, &q, &r, &scratch);                      \
        if (nneg == dneg ? q >= limit : q > limit)                                                 \
            return divide_error(c, u, fl);                                                         \
        idiv_##S(lo, hi, d, &q, &r, &fl);                                                          \
        SET##S(X86_RAX * 8, q);                                                                    \
        SET##S(X86_RDX * 8, r);                                                                    \
        NEXT;                                                                                      \
    }
H_IDIV(16, uint32_t)
H_IDIV(32, uint64_t)
H_IDIV(64, unsigned __int128)
uop_fn *const h_div[4] = {div8, div16, div32, div64};
uop_fn *const h_idiv[4] = {idiv8, idiv16, idiv32, idiv64};

/* ---- decimal: 16- and 32-bit code only, so not the host's (SDM 2 "AAA" etc.) ---- */

/* SF, ZF, PF of a byte, other flags as given. */
static uint64_t flags_of(uint8_t v, uint64_t keep)
{
    uint64_t f = keep & ~(uint64_t)(FL_SF | FL_ZF | FL_PF);

    f |= v & 0x80 ? FL_SF : 0;
    f |= v ? 0 : FL_ZF;
    f |= __builtin_parity(v) ? 0 : FL_PF;
    return f;
}

HANDLER(h_aam)
{
    uint8_t al = (uint8_t)RAX, base = (uint8_t)u->imm;

    if (base == 0)
        return divide_error(c, u, fl);
    *(uint16_t *)&RAX = (uint16_t)((al / base) << 8 | al % base);
    fl = flags_of(al % base, fl & ~(uint64_t)(FL_CF | FL_AF | FL_OF));
    NEXT;
}

HANDLER(h_aad)
{
    uint8_t al = (uint8_t)(RAX + (RAX >> 8 & 0xff) * (uint8_t)u->imm);

    *(uint16_t *)&RAX = al;
    fl = flags_of(al, fl & ~(uint64_t)(FL_CF | FL_AF | FL_OF));
    NEXT;
}

static uint64_t decimal_adjust(struct scpu *c, uint64_t fl, int sign)
{
    uint8_t al = (uint8_t)RAX, old = al;
    bool cf = fl & FL_CF, af = (al & 15) > 9 || fl & FL_AF;
    uint64_t f = 0;

    if (af) {
        cf |= sign > 0 ? al > 0xf9 : al < 6;
        al = (uint8_t)(al + sign * 6);
    }
    if (old > 0x99 || fl & FL_CF) {
        al = (uint8_t)(al + sign * 0x60);
        cf = true;
    }
    *(uint8_t *)&RAX = al;
    f |= cf ? FL_CF : 0;
    f |= af ? FL_AF : 0;
    return flags_of(al, f);
}

HANDLER(h_daa)
{
    fl = decimal_adjust(c, fl, 1);
    NEXT;
}

HANDLER(h_das)
{
    fl = decimal_adjust(c, fl, -1);
    NEXT;
}

static uint64_t ascii_adjust(struct scpu *c, uint64_t fl, int sign)
{
    uint16_t ax = (uint16_t)RAX;
    bool adj = (ax & 15) > 9 || fl & FL_AF;
    uint64_t f = adj ? FL_AF | FL_CF : 0;

    if (adj)
        ax = (uint16_t)(ax + sign * 0x106);
    ax &= 0xff0f;
    *(uint16_t *)&RAX = ax;
    return flags_of((uint8_t)ax, f);
}

HANDLER(h_aaa)
{
    fl = ascii_adjust(c, fl, 1);
    NEXT;
}

HANDLER(h_aas)
{
    fl = ascii_adjust(c, fl, -1);
    NEXT;
}
