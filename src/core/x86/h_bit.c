/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * h_bit: bit tests and scans, counts, CRC32, ADCX/ADOX, and the compare-and-exchange family.
 */
#include "core/x86/handlers.h"
#include "core/x86/svm.h"

#define SIZES3(X, ...)                                                                             \
    X(16, "w", uint16_t, __VA_ARGS__)                                                              \
    X(32, "l", uint32_t, __VA_ARGS__)                                                              \
    X(64, "q", uint64_t, __VA_ARGS__)
#define SIZES4(X, ...) X(8, "b", uint8_t, __VA_ARGS__) SIZES3(X, __VA_ARGS__)

/* ---- BT BTS BTR BTC ---- */

#define BT_ASM(S, sfx, T, op)                                                                      \
    static inline T op##_r##S(T a, T bit, uint64_t *fl)                                            \
    {                                                                                              \
        uint64_t f = *fl;                                                                          \
        __asm__(FL_LOAD #op sfx " %2, %0\n\t" FL_SAVE : "+r"(a), "+&a"(f) : "r"(bit) : "cc");      \
        *fl = f;                                                                                   \
        return a;                                                                                  \
    }
SIZES3(BT_ASM, bt)
SIZES3(BT_ASM, bts)
SIZES3(BT_ASM, btr)
SIZES3(BT_ASM, btc)

#define BIT_R(S) R##S(u->s)
#define BIT_I(S) (uint##S##_t)u->imm

#define H_BT_REG(S, sfx, T, op, form, BIT)                                                         \
    static HANDLER(op##S##_##form)                                                                 \
    {                                                                                              \
        SET##S(u->d, op##_r##S(R##S(u->d), BIT(S), &fl));                                          \
        NEXT;                                                                                      \
    }
#define H_BT_TEST(S, sfx, T, form, BIT)                                                            \
    static HANDLER(bt##S##_##form)                                                                 \
    {                                                                                              \
        bt_r##S(R##S(u->d), BIT(S), &fl);                                                          \
        NEXT;                                                                                      \
    }
SIZES3(H_BT_TEST, r, BIT_R)
SIZES3(H_BT_TEST, i, BIT_I)
SIZES3(H_BT_REG, bts, r, BIT_R)
SIZES3(H_BT_REG, bts, i, BIT_I)
SIZES3(H_BT_REG, btr, r, BIT_R)
SIZES3(H_BT_REG, btr, i, BIT_I)
SIZES3(H_BT_REG, btc, r, BIT_R)
SIZES3(H_BT_REG, btc, i, BIT_I)
#define BT_ROW(op, pre) {{NULL}, {op##16##pre##r, op##16##pre##i}, {op##32##pre##r, op##32##pre##i}, {op##64##pre##r, op##64##pre##i}}
uop_fn *const h_bt[4][4][2] = {BT_ROW(bt, _), BT_ROW(bts, _), BT_ROW(btr, _), BT_ROW(btc, _)};

/* A bit offset in a register reaches beyond the operand, in both directions. */
static uint64_t bit_displacement(int64_t bit, unsigned bytes)
{
    return (uint64_t)((bit >> (bytes == 2 ? 4 : bytes == 4 ? 5 : 6)) * (int64_t)bytes);
}
#define VA_R(S) (EA_B + bit_displacement((int##S##_t)R##S(u->s), S / 8))
#define VA_I(S) EA_B

/* Effective address to c->tmp, where address size or segmentation still have to be applied to it. */
HANDLER(h_bit_ea)
{
    int64_t bit = u->aux == 2 ? (int16_t)R16(u->s) : u->aux == 4 ? (int32_t)R32(u->s) : (int64_t)R64(u->s);

    c->tmp = EA_X + u->imm + bit_displacement(bit, u->aux);
    NEXT;
}

#define H_BTM_TEST(S, sfx, T, form, BIT, VA)                                                       \
    static HANDLER(bt##S##_m##form)                                                                \
    {                                                                                              \
        struct mmu_value mv = mmu_load(c, VA(S), S / 8);                                           \
        if (mv.bad)                                                                                \
            return raise_fault(c, u, fl);                                                          \
        bt_r##S((T)mv.val, BIT(S), &fl);                                                           \
        NEXT;                                                                                      \
    }
#define H_BTM(S, sfx, T, op, form, BIT, VA)                                                        \
    static HANDLER(op##S##_m##form)                                                                \
    {                                                                                              \
        T *p = mmu_rmw_begin(c, VA(S), S / 8);                                                     \
        if (!p)                                                                                    \
            return raise_fault(c, u, fl);                                                          \
        *p = op##_r##S(*p, BIT(S), &fl);                                                           \
        NEXT_STORED(mmu_rmw_end(c));                                                               \
    }                                                                                              \
    static HANDLER(op##S##_l##form)                                                                \
    {                                                                                              \
        T *p = mmu_rmw_begin(c, VA(S), S / 8);                                                     \
        T bit = BIT(S) & (S - 1);                                                                  \
        uint64_t f = fl;                                                                           \
        if (!p)                                                                                    \
            return raise_fault(c, u, fl);                                                          \
        __asm__ volatile(FL_LOAD "lock; " #op sfx " %2, %1\n\t" FL_SAVE                            \
                         : "+&a"(f), "+m"(*p) : "r"(bit) : "cc", "memory");                        \
        fl = f;                                                                                    \
        NEXT_STORED(mmu_rmw_end(c));                                                               \
    }
SIZES3(H_BTM_TEST, r, BIT_R, VA_R)
SIZES3(H_BTM_TEST, i, BIT_I, VA_I)
SIZES3(H_BTM_TEST, a, BIT_R, VA_I)
SIZES3(H_BTM, bts, r, BIT_R, VA_R)
SIZES3(H_BTM, bts, i, BIT_I, VA_I)
SIZES3(H_BTM, btr, r, BIT_R, VA_R)
SIZES3(H_BTM, btr, i, BIT_I, VA_I)
SIZES3(H_BTM, btc, r, BIT_R, VA_R)
SIZES3(H_BTM, btc, i, BIT_I, VA_I)
SIZES3(H_BTM, bts, a, BIT_R, VA_I)
SIZES3(H_BTM, btr, a, BIT_R, VA_I)
SIZES3(H_BTM, btc, a, BIT_R, VA_I)
#define BTM_ROW(op, pre)                                                                           \
    {{NULL}, {op##16##pre##r, op##16##pre##i, op##16##pre##a},                                     \
     {op##32##pre##r, op##32##pre##i, op##32##pre##a}, {op##64##pre##r, op##64##pre##i, op##64##pre##a}}
uop_fn *const h_btm[4][4][3] = {BTM_ROW(bt, _m), BTM_ROW(bts, _m), BTM_ROW(btr, _m), BTM_ROW(btc, _m)};
uop_fn *const h_btm_lock[4][4][3] = {{{NULL}}, BTM_ROW(bts, _l), BTM_ROW(btr, _l), BTM_ROW(btc, _l)};

/* ---- scans and counts ---- */

#define H_COUNT(S, sfx, T, op)                                                                     \
    static HANDLER(op##S)                                                                          \
    {                                                                                              \
        uint64_t f = fl, d = R64(u->d);                                                            \
        T s = R##S(u->s);                                                                          \
        __asm__(FL_LOAD #op sfx " %2, %" COUNT_MOD_##S "0\n\t" FL_SAVE                             \
                : "+r"(d), "+&a"(f) : "r"(s) : "cc");                                              \
        R64(u->d) = d;                                                                             \
        fl = f;                                                                                    \
        NEXT;                                                                                      \
    }
#define COUNT_MOD_16 "w"
#define COUNT_MOD_32 "k"
#define COUNT_MOD_64 "q"
SIZES3(H_COUNT, bsf)
SIZES3(H_COUNT, bsr)
SIZES3(H_COUNT, tzcnt)
SIZES3(H_COUNT, lzcnt)
SIZES3(H_COUNT, popcnt)
#define COUNT_ROW(op) {NULL, op##16, op##32, op##64}
uop_fn *const h_bitcount[BC_OPS][4] = {
    COUNT_ROW(bsf), COUNT_ROW(bsr), COUNT_ROW(tzcnt), COUNT_ROW(lzcnt), COUNT_ROW(popcnt),
};

#define CRC_MOD_8 "k"
#define CRC_MOD_16 "k"
#define CRC_MOD_32 "k"
#define CRC_MOD_64 "q"
#define H_CRC(S, sfx, T, x)                                                                        \
    static HANDLER(crc##S)                                                                         \
    {                                                                                              \
        uint64_t d = R32(u->d);                                                                    \
        T s = R##S(u->s);                                                                          \
        __asm__("crc32" sfx " %1, %" CRC_MOD_##S "0" : "+r"(d) : "r"(s));                                         \
        R64(u->d) = d;                                                                             \
        NEXT;                                                                                      \
    }
SIZES4(H_CRC, x)
uop_fn *const h_crc32[4] = {crc8, crc16, crc32, crc64};

#define H_ADX(S, sfx, T, op)                                                                       \
    static HANDLER(op##S)                                                                          \
    {                                                                                              \
        uint64_t f = fl;                                                                           \
        T d = R##S(u->d), s = R##S(u->s);                                                          \
        __asm__(FL_LOAD #op sfx " %2, %0\n\t" FL_SAVE : "+r"(d), "+&a"(f) : "r"(s) : "cc");        \
        SET##S(u->d, d);                                                                           \
        fl = f;                                                                                    \
        NEXT;                                                                                      \
    }
H_ADX(32, "l", uint32_t, adcx)
H_ADX(64, "q", uint64_t, adcx)
H_ADX(32, "l", uint32_t, adox)
H_ADX(64, "q", uint64_t, adox)
uop_fn *const h_adx[2][2] = {{adcx32, adcx64}, {adox32, adox64}};

/* ---- XADD, CMPXCHG: always one locked host instruction on memory ---- */

#define H_XADD(S, sfx, T, x)                                                                       \
    static inline T xadd_##S(T *p, T s, uint64_t *fl)                                              \
    {                                                                                              \
        uint64_t f = *fl;                                                                          \
        __asm__ volatile("lock; xadd" sfx " %0, %2\n\t" FL_SAVE                                    \
                         : "+r"(s), "+&a"(f), "+m"(*p) : : "cc", "memory");                        \
        *fl = f;                                                                                   \
        return s;                                                                                  \
    }                                                                                              \
    static HANDLER(xadd##S##_rr)                                                                   \
    {                                                                                              \
        T d = R##S(u->d), s = R##S(u->s), sum = d;                                                 \
        xadd_##S(&sum, s, &fl);                                                                    \
        SET##S(u->s, d);                                                                           \
        SET##S(u->d, sum);                                                                         \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER_S(xadd##S##_s)                                                                         \
    {                                                                                              \
        T *p = mmu_rmw_begin(c, va, sizeof(T)), old;                                               \
        if (!p)                                                                                    \
            return raise_fault(c, u, fl);                                                          \
        old = xadd_##S(p, R##S(u->s), &fl);                                                        \
        SET##S(u->s, old);                                                                         \
        NEXT_STORED(mmu_rmw_end(c));                                                               \
    }                                                                                              \
    static HANDLER(xadd##S##_m)                                                                    \
    {                                                                                              \
        uint64_t va = EA_B;                                                                        \
        PROBE_W(sizeof(T), xadd##S##_s);                                                           \
        SET##S(u->s, xadd_##S((T *)p, R##S(u->s), &fl));                                           \
        NEXT;                                                                                      \
    }
SIZES4(H_XADD, x)
#define XADD_ROW(S) {xadd##S##_rr, xadd##S##_m, xadd##S##_m}
uop_fn *const h_xadd[4][3] = {XADD_ROW(8), XADD_ROW(16), XADD_ROW(32), XADD_ROW(64)};

/* The accumulator travels as all 64 bits, so that what a 32-bit form does to the upper half is
 * what the host does. */
#define H_CMPXCHG(S, sfx, T, x)                                                                    \
    static inline uint64_t cas_##S(T *p, uint64_t acc, T s, uint64_t *fl)                          \
    {                                                                                              \
        uint64_t f = acc, out;                                                                     \
        __asm__ volatile("lock; cmpxchg" sfx " %3, %2\n\tmovq %%rax, %1\n\t" FL_SAVE               \
                         : "+&a"(f), "=&r"(out), "+m"(*p) : "r"(s) : "cc", "memory");              \
        *fl = f;                                                                                   \
        return out;                                                                                \
    }                                                                                              \
    static HANDLER(cmpxchg##S##_rr)                                                                \
    {                                                                                              \
        uint64_t acc = c->gpr[X86_RAX];                                                            \
        T d = R##S(u->d), s = R##S(u->s);                                                          \
        bool equal = (T)acc == d;                                                                  \
        acc = cas_##S(&d, acc, s, &fl);                                                            \
        if (equal)                                                                                 \
            SET##S(u->d, d);                                                                       \
        else                                                                                       \
            c->gpr[X86_RAX] = acc;                                                                 \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER_S(cmpxchg##S##_s)                                                                      \
    {                                                                                              \
        T *p = mmu_rmw_begin(c, va, sizeof(T));                                                    \
        if (!p)                                                                                    \
            return raise_fault(c, u, fl);                                                          \
        c->gpr[X86_RAX] = cas_##S(p, c->gpr[X86_RAX], R##S(u->s), &fl);                            \
        NEXT_STORED(mmu_rmw_end(c));                                                               \
    }                                                                                              \
    static HANDLER(cmpxchg##S##_m)                                                                 \
    {                                                                                              \
        uint64_t va = EA_B;                                                                        \
        PROBE_W(sizeof(T), cmpxchg##S##_s);                                                        \
        c->gpr[X86_RAX] = cas_##S((T *)p, c->gpr[X86_RAX], R##S(u->s), &fl);                       \
        NEXT;                                                                                      \
    }
SIZES4(H_CMPXCHG, x)
#define CAS_ROW(S) {cmpxchg##S##_rr, cmpxchg##S##_m, cmpxchg##S##_m}
uop_fn *const h_cmpxchg[4][3] = {CAS_ROW(8), CAS_ROW(16), CAS_ROW(32), CAS_ROW(64)};

/* Only ZF changes. */
static uint64_t with_zf(uint64_t fl, bool z)
{
    return (fl & ~(uint64_t)FL_ZF) | (z ? FL_ZF : 0);
}

HANDLER(h_cmpxchg8b)
{
    uint64_t *p = mmu_rmw_begin(c, EA_B, 8);
    uint64_t old = (uint32_t)c->gpr[X86_RAX] | c->gpr[X86_RDX] << 32;
    uint64_t new = (uint32_t)c->gpr[X86_RBX] | c->gpr[X86_RCX] << 32;
    bool same;

    if (!p)
        return raise_fault(c, u, fl);
    same = __atomic_compare_exchange_n(p, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    if (!same) {
        c->gpr[X86_RAX] = (uint32_t)old;
        c->gpr[X86_RDX] = old >> 32;
    }
    fl = with_zf(fl, same);
    NEXT_STORED(mmu_rmw_end(c));
}

HANDLER(h_cmpxchg16b)
{
    uint64_t va = EA_B, lo = c->gpr[X86_RAX], hi = c->gpr[X86_RDX];
    uint64_t *p;
    uint8_t same;

    if (va & 15) {
        exc_raise_err(c, VEC_GP, 0);
        return raise_fault(c, u, fl);
    }
    p = mmu_rmw_begin(c, va, 16);
    if (!p)
        return raise_fault(c, u, fl);
    __asm__ volatile("lock; cmpxchg16b %1\n\tsete %0"
                     : "=q"(same), "+m"(*(unsigned __int128 *)p), "+a"(lo), "+d"(hi)
                     : "b"(c->gpr[X86_RBX]), "c"(c->gpr[X86_RCX])
                     : "cc", "memory");
    if (!same) {
        c->gpr[X86_RAX] = lo;
        c->gpr[X86_RDX] = hi;
    }
    fl = with_zf(fl, same);
    NEXT_STORED(mmu_rmw_end(c));
}
