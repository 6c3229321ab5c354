/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * h_mov: moves, extensions, LEA, XCHG, CMOVcc, SETcc, BSWAP, MOVBE.
 */
#include "core/x86/handlers.h"
#include "core/x86/svm.h"

#define ALL_SIZES(X)                                                                               \
    X(8, uint8_t)                                                                                  \
    X(16, uint16_t)                                                                                \
    X(32, uint32_t)                                                                                \
    X(64, uint64_t)

/* Load with a conversion CONV from T to what is stored as S bits in d. */
#define H_LOADS(name, S, T, CONV)                                                                  \
    HANDLER_S(name##_s)                                                                            \
    {                                                                                              \
        struct mmu_value mv = mmu_load(c, va, sizeof(T));                                          \
        if (mv.bad)                                                                                \
            return raise_fault(c, u, fl);                                                          \
        SET##S(u->d, CONV((T)mv.val));                                                             \
        NEXT;                                                                                      \
    }                                                                                              \
    static HANDLER(name##_rm)                                                                      \
    {                                                                                              \
        uint64_t va = EA_B;                                                                        \
        PROBE_R(sizeof(T), name##_s);                                                              \
        SET##S(u->d, CONV(*(volatile T *)p));                                                      \
        NEXT;                                                                                      \
    }                                                                                              \
    static HANDLER(name##_rx)                                                                      \
    {                                                                                              \
        uint64_t va = EA_X;                                                                        \
        PROBE_R(sizeof(T), name##_s);                                                              \
        SET##S(u->d, CONV(*(volatile T *)p));                                                      \
        NEXT;                                                                                      \
    }

#define H_STORES1(name, T, SRC, k)                                                                 \
    HANDLER_S(name##_##k##_s)                                                                      \
    {                                                                                              \
        int r = mmu_store(c, va, sizeof(T), SRC);                                                  \
        if (r < 0)                                                                                 \
            return raise_fault(c, u, fl);                                                          \
        NEXT_STORED(r);                                                                            \
    }                                                                                              \
    static HANDLER(name##_m##k)                                                                    \
    {                                                                                              \
        uint64_t va = EA_B;                                                                        \
        PROBE_W(sizeof(T), name##_##k##_s);                                                        \
        *(volatile T *)p = SRC;                                                                    \
        NEXT;                                                                                      \
    }                                                                                              \
    static HANDLER(name##_x##k)                                                                    \
    {                                                                                              \
        uint64_t va = EA_X;                                                                        \
        PROBE_W(sizeof(T), name##_##k##_s);                                                        \
        *(volatile T *)p = SRC;                                                                    \
        NEXT;                                                                                      \
    }

#define SAME(x) (x)
#define H_MOV(S, T)                                                                                \
    static HANDLER(mov##S##_rr)                                                                    \
    {                                                                                              \
        SET##S(u->d, R##S(u->s));                                                                  \
        NEXT;                                                                                      \
    }                                                                                              \
    static HANDLER(mov##S##_ri)                                                                    \
    {                                                                                              \
        SET##S(u->d, (T)u->imm);                                                                   \
        NEXT;                                                                                      \
    }                                                                                              \
    H_LOADS(mov##S, S, T, SAME)                                                                    \
    H_STORES1(mov##S, T, R##S(u->s), r)                                                            \
    H_STORES1(mov##S, T, (T)u->imm, i)
ALL_SIZES(H_MOV)

#define MOV_ROW(S) {mov##S##_rr, mov##S##_ri, mov##S##_rm, mov##S##_rx, mov##S##_mr, mov##S##_xr, mov##S##_mi, mov##S##_xi}
uop_fn *const h_mov[4][FORMS] = {MOV_ROW(8), MOV_ROW(16), MOV_ROW(32), MOV_ROW(64)};

/* ---- extensions ---- */

#define ZX(x) (x)
#define SX8(x) ((uint64_t)(int8_t)(x))
#define SX16(x) ((uint64_t)(int16_t)(x))
#define SX32(x) ((uint64_t)(int32_t)(x))
#define H_EXT(name, F, S, CONV)                                                                    \
    static HANDLER(name##_rr)                                                                      \
    {                                                                                              \
        SET##S(u->d, CONV(R##F(u->s)));                                                            \
        NEXT;                                                                                      \
    }                                                                                              \
    H_LOADS(name, S, uint##F##_t, CONV)
H_EXT(zx8_16, 8, 16, ZX)
H_EXT(zx8_64, 8, 64, ZX)
H_EXT(zx16_16, 16, 16, ZX)
H_EXT(zx16_64, 16, 64, ZX)
H_EXT(sx8_16, 8, 16, SX8)
H_EXT(sx8_32, 8, 32, SX8)
H_EXT(sx8_64, 8, 64, SX8)
H_EXT(sx16_16, 16, 16, SX16)
H_EXT(sx16_32, 16, 32, SX16)
H_EXT(sx16_64, 16, 64, SX16)
H_EXT(sx32_16, 32, 16, SX32)
H_EXT(sx32_32, 32, 32, SX32)
H_EXT(sx32_64, 32, 64, SX32)
#define EXT_ROW(n) {n##_rr, n##_rm, n##_rx}
uop_fn *const h_movzx[2][4][3] = {
    {{NULL}, EXT_ROW(zx8_16), EXT_ROW(zx8_64), EXT_ROW(zx8_64)},
    {{NULL}, EXT_ROW(zx16_16), EXT_ROW(zx16_64), EXT_ROW(zx16_64)},
};
uop_fn *const h_movsx[3][4][3] = {
    {{NULL}, EXT_ROW(sx8_16), EXT_ROW(sx8_32), EXT_ROW(sx8_64)},
    {{NULL}, EXT_ROW(sx16_16), EXT_ROW(sx16_32), EXT_ROW(sx16_64)},
    {{NULL}, EXT_ROW(sx32_16), EXT_ROW(sx32_32), EXT_ROW(sx32_64)},
};

#define H_TMP(S)                                                                                   \
    HANDLER_S(tmp##S##_s)                                                                          \
    {                                                                                              \
        struct mmu_value mv = mmu_load(c, va, S / 8);                                              \
        if (mv.bad)                                                                                \
            return raise_fault(c, u, fl);                                                          \
        c->tmp = mv.val;                                                                           \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER(h_load_tmp##S)                                                                         \
    {                                                                                              \
        uint64_t va = EA_X;                                                                        \
        PROBE_R(S / 8, tmp##S##_s);                                                                \
        c->tmp = *(volatile uint##S##_t *)p;                                                       \
        NEXT;                                                                                      \
    }
H_TMP(8)
H_TMP(16)
H_TMP(32)
H_TMP(64)

HANDLER(h_nop)
{
    NEXT;
}

#define H_ACC(name, stmt)                                                                          \
    HANDLER(name)                                                                                  \
    {                                                                                              \
        uint64_t *a = &c->gpr[X86_RAX], *d = &c->gpr[X86_RDX];                                     \
        (void)d;                                                                                   \
        stmt;                                                                                      \
        NEXT;                                                                                      \
    }
H_ACC(h_cbw, *(uint16_t *)a = (uint16_t)(int8_t)*a)
H_ACC(h_cwde, *a = (uint32_t)(int16_t)*a)
H_ACC(h_cdqe, *a = (uint64_t)(int32_t)*a)
H_ACC(h_cwd, *(uint16_t *)d = (uint16_t)((int16_t)*a >> 15))
H_ACC(h_cdq, *d = (uint32_t)((int32_t)*a >> 31))
H_ACC(h_cqo, *d = (uint64_t)((int64_t)*a >> 63))

/* ---- LEA: addresses of 64 bits ---- */

#define H_LEA(S)                                                                                   \
    static HANDLER(lea##S##_b)                                                                     \
    {                                                                                              \
        SET##S(u->d, EA_B);                                                                        \
        NEXT;                                                                                      \
    }                                                                                              \
    static HANDLER(lea##S##_x)                                                                     \
    {                                                                                              \
        SET##S(u->d, EA_X);                                                                        \
        NEXT;                                                                                      \
    }
H_LEA(16)
H_LEA(32)
H_LEA(64)
uop_fn *const h_lea[4][2] = {{NULL}, {lea16_b, lea16_x}, {lea32_b, lea32_x}, {lea64_b, lea64_x}};

/* ---- XCHG ---- */

#define H_XCHG(S, T)                                                                               \
    static HANDLER(xchg##S##_rr)                                                                   \
    {                                                                                              \
        T a = R##S(u->d), b = R##S(u->s);                                                          \
        SET##S(u->d, b);                                                                           \
        SET##S(u->s, a);                                                                           \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER_S(xchg##S##_s)                                                                         \
    {                                                                                              \
        T *p = mmu_rmw_begin(c, va, sizeof(T)), old;                                               \
        if (!p)                                                                                    \
            return raise_fault(c, u, fl);                                                          \
        old = __atomic_exchange_n(p, R##S(u->s), __ATOMIC_SEQ_CST);                                \
        SET##S(u->s, old);                                                                         \
        NEXT_STORED(mmu_rmw_end(c));                                                               \
    }                                                                                              \
    static HANDLER(xchg##S##_m)                                                                    \
    {                                                                                              \
        uint64_t va = EA_B;                                                                        \
        PROBE_W(sizeof(T), xchg##S##_s);                                                           \
        SET##S(u->s, __atomic_exchange_n((T *)p, R##S(u->s), __ATOMIC_SEQ_CST));                   \
        NEXT;                                                                                      \
    }
ALL_SIZES(H_XCHG)
uop_fn *const h_xchg[4][2] = {
    {xchg8_rr, xchg8_m}, {xchg16_rr, xchg16_m}, {xchg32_rr, xchg32_m}, {xchg64_rr, xchg64_m},
};

/* ---- conditions ---- */

#define H_CC(cc)                                                                                   \
    static HANDLER(cmov##cc##_16)                                                                  \
    {                                                                                              \
        if (fl_cond(cc, fl))                                                                       \
            R16(u->d) = R16(u->s);                                                                 \
        NEXT;                                                                                      \
    }                                                                                              \
    static HANDLER(cmov##cc##_32)                                                                  \
    {                                                                                              \
        R64(u->d) = fl_cond(cc, fl) ? R32(u->s) : R32(u->d);                                       \
        NEXT;                                                                                      \
    }                                                                                              \
    static HANDLER(cmov##cc##_64)                                                                  \
    {                                                                                              \
        R64(u->d) = fl_cond(cc, fl) ? R64(u->s) : R64(u->d);                                       \
        NEXT;                                                                                      \
    }                                                                                              \
    static HANDLER(set##cc##_r)                                                                    \
    {                                                                                              \
        R8(u->d) = fl_cond(cc, fl);                                                                \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER_S(set##cc##_s)                                                                         \
    {                                                                                              \
        int r = mmu_store(c, va, 1, fl_cond(cc, fl));                                              \
        if (r < 0)                                                                                 \
            return raise_fault(c, u, fl);                                                          \
        NEXT_STORED(r);                                                                            \
    }                                                                                              \
    static HANDLER(set##cc##_m)                                                                    \
    {                                                                                              \
        uint64_t va = EA_X;                                                                        \
        PROBE_W(1, set##cc##_s);                                                                   \
        *p = fl_cond(cc, fl);                                                                      \
        NEXT;                                                                                      \
    }
#define ALL_CC(X)                                                                                  \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
ALL_CC(H_CC)
#define CMOV_ROW(cc) {NULL, cmov##cc##_16, cmov##cc##_32, cmov##cc##_64},
#define SET_ROW(cc) {set##cc##_r, set##cc##_m},
uop_fn *const h_cmov[16][4] = {ALL_CC(CMOV_ROW)};
uop_fn *const h_setcc[16][2] = {ALL_CC(SET_ROW)};

/* ---- byte order ---- */

static HANDLER(bswap32)
{
    SET32(u->d, __builtin_bswap32(R32(u->d)));
    NEXT;
}

static HANDLER(bswap64)
{
    SET64(u->d, __builtin_bswap64(R64(u->d)));
    NEXT;
}

/* Undefined; hardware gives 0. */
static HANDLER(bswap16)
{
    SET16(u->d, 0);
    NEXT;
}
uop_fn *const h_bswap[4] = {NULL, bswap16, bswap32, bswap64};

#define H_MOVBE(S)                                                                                 \
    H_LOADS(movbe##S, S, uint##S##_t, __builtin_bswap##S)                                          \
    H_STORES1(movbe##S, uint##S##_t, __builtin_bswap##S(R##S(u->s)), r)
H_MOVBE(16)
H_MOVBE(32)
H_MOVBE(64)
#define MOVBE_ROW(S) {movbe##S##_rm, movbe##S##_rx, movbe##S##_mr, movbe##S##_xr}
uop_fn *const h_movbe[4][4] = {{NULL}, MOVBE_ROW(16), MOVBE_ROW(32), MOVBE_ROW(64)};
