/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * h_un: INC DEC NOT NEG, shifts and rotates, SHLD SHRD. Instructions that keep some flags run
 * with the guest's flags loaded into the host's, so that a count of 0 and undefined flags come
 * out as on the host.
 */
#include "core/x86/handlers.h"
#include "core/x86/svm.h"

#define ALL_SIZES(X, ...)                                                                          \
    X(8, "b", uint8_t, __VA_ARGS__)                                                                \
    X(16, "w", uint16_t, __VA_ARGS__)                                                              \
    X(32, "l", uint32_t, __VA_ARGS__)                                                              \
    X(64, "q", uint64_t, __VA_ARGS__)

/* ---- one operand ---- */

#define UN_ASM(S, sfx, T, op)                                                                      \
    static inline T op##_r##S(T a, uint64_t *fl)                                                   \
    {                                                                                              \
        uint64_t f = *fl;                                                                          \
        __asm__("bt $8, %1\n\t" #op sfx " %0\n\t" FL_SAVE : "+r"(a), "+&a"(f) : : "cc");           \
        *fl = f;                                                                                   \
        return a;                                                                                  \
    }                                                                                              \
    static inline void op##_l##S(T *p, uint64_t *fl)                                               \
    {                                                                                              \
        uint64_t f = *fl;                                                                          \
        __asm__ volatile("bt $8, %1\n\tlock; " #op sfx " %0\n\t" FL_SAVE                           \
                         : "+m"(*p), "+&a"(f) : : "cc", "memory");                                 \
        *fl = f;                                                                                   \
    }
ALL_SIZES(UN_ASM, inc)
ALL_SIZES(UN_ASM, dec)
ALL_SIZES(UN_ASM, neg)
#define NOT_ASM(S, sfx, T, op)                                                                     \
    static inline T not_r##S(T a, uint64_t *fl)                                                    \
    {                                                                                              \
        (void)fl;                                                                                  \
        return (T)~a;                                                                              \
    }                                                                                              \
    static inline void not_l##S(T *p, uint64_t *fl)                                                \
    {                                                                                              \
        (void)fl;                                                                                  \
        __asm__ volatile("lock; not" sfx " %0" : "+m"(*p) : : "memory");                           \
    }
ALL_SIZES(NOT_ASM, not)

#define UF(op, S, T, a) op##_r##S(a, &fl)
#define UN_inc(a) ((a) + 1)
#define UN_dec(a) ((a) - 1)
#define UN_not(a) (~(a))
#define UN_neg(a) (0 - (a))
#define UN(op, S, T, a) ((T)UN_##op(a))

#define H_UN(S, sfx, T, op, v, V)                                                                  \
    static HANDLER(op##S##_r_##v)                                                                  \
    {                                                                                              \
        SET##S(u->d, V(op, S, T, R##S(u->d)));                                                     \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER_S(op##S##_m_##v##_s)                                                                   \
    {                                                                                              \
        T *p = mmu_rmw_begin(c, va, sizeof(T));                                                    \
        if (!p)                                                                                    \
            return raise_fault(c, u, fl);                                                          \
        *p = V(op, S, T, *p);                                                                      \
        NEXT_STORED(mmu_rmw_end(c));                                                               \
    }                                                                                              \
    static HANDLER(op##S##_m_##v)                                                                  \
    {                                                                                              \
        uint64_t va = EA_B;                                                                        \
        PROBE_W(sizeof(T), op##S##_m_##v##_s);                                                     \
        *(T *)p = V(op, S, T, *(T *)p);                                                            \
        NEXT;                                                                                      \
    }                                                                                              \
    static HANDLER(op##S##_x_##v)                                                                  \
    {                                                                                              \
        uint64_t va = EA_X;                                                                        \
        PROBE_W(sizeof(T), op##S##_m_##v##_s);                                                     \
        *(T *)p = V(op, S, T, *(T *)p);                                                            \
        NEXT;                                                                                      \
    }
ALL_SIZES(H_UN, inc, f, UF)
ALL_SIZES(H_UN, inc, n, UN)
ALL_SIZES(H_UN, dec, f, UF)
ALL_SIZES(H_UN, dec, n, UN)
ALL_SIZES(H_UN, not, n, UN)
ALL_SIZES(H_UN, neg, f, UF)
ALL_SIZES(H_UN, neg, n, UN)

#define UN_ROW1(op, S, v) {op##S##_r_##v, op##S##_m_##v, op##S##_x_##v}
#define UN_ROW(op, v) {UN_ROW1(op, 8, v), UN_ROW1(op, 16, v), UN_ROW1(op, 32, v), UN_ROW1(op, 64, v)}
uop_fn *const h_un[2][UN_OPS][4][3] = {
    {UN_ROW(inc, f), UN_ROW(dec, f), UN_ROW(not, n), UN_ROW(neg, f)},
    {UN_ROW(inc, n), UN_ROW(dec, n), UN_ROW(not, n), UN_ROW(neg, n)},
};

#define H_UN_LOCK(S, sfx, T, op)                                                                   \
    HANDLER_S(op##S##_lock_s)                                                                      \
    {                                                                                              \
        T *p = mmu_rmw_begin(c, va, sizeof(T));                                                    \
        int r;                                                                                     \
        if (!p)                                                                                    \
            return raise_fault(c, u, fl);                                                          \
        if (!c->xbuf_len) {                                                                        \
            op##_l##S(p, &fl);                                                                     \
            NEXT;                                                                                  \
        }                                                                                          \
        pthread_mutex_lock(&c->vm->split_lock);                                                    \
        p = mmu_rmw_begin(c, va, sizeof(T));                                                       \
        op##_l##S(p ? p : (T *)c->xbuf, &fl);                                                      \
        r = mmu_rmw_end(c);                                                                        \
        pthread_mutex_unlock(&c->vm->split_lock);                                                  \
        NEXT_STORED(r);                                                                            \
    }                                                                                              \
    static HANDLER(op##S##_lock)                                                                   \
    {                                                                                              \
        uint64_t va = EA_B;                                                                        \
        PROBE_W(sizeof(T), op##S##_lock_s);                                                        \
        op##_l##S((T *)p, &fl);                                                                    \
        NEXT;                                                                                      \
    }
ALL_SIZES(H_UN_LOCK, inc)
ALL_SIZES(H_UN_LOCK, dec)
ALL_SIZES(H_UN_LOCK, not)
ALL_SIZES(H_UN_LOCK, neg)
#define UN_LOCK_ROW(op) {op##8_lock, op##16_lock, op##32_lock, op##64_lock}
uop_fn *const h_un_lock[UN_OPS][4] = {
    UN_LOCK_ROW(inc), UN_LOCK_ROW(dec), UN_LOCK_ROW(not), UN_LOCK_ROW(neg),
};

/* ---- shifts ---- */

#define SHIFT_ASM(S, sfx, T, op)                                                                   \
    static inline T op##_r##S(T a, uint8_t n, uint64_t *fl)                                        \
    {                                                                                              \
        uint64_t f = *fl;                                                                          \
        __asm__(FL_LOAD #op sfx " %%cl, %0\n\t" FL_SAVE : "+r"(a), "+&a"(f) : "c"(n) : "cc");      \
        *fl = f;                                                                                   \
        return a;                                                                                  \
    }
ALL_SIZES(SHIFT_ASM, rol)
ALL_SIZES(SHIFT_ASM, ror)
ALL_SIZES(SHIFT_ASM, rcl)
ALL_SIZES(SHIFT_ASM, rcr)
ALL_SIZES(SHIFT_ASM, shl)
ALL_SIZES(SHIFT_ASM, shr)
ALL_SIZES(SHIFT_ASM, sar)

#define H_SHIFT1(S, sfx, T, op, form, COUNT)                                                       \
    static HANDLER(op##S##_r##form)                                                                \
    {                                                                                              \
        SET##S(u->d, op##_r##S(R##S(u->d), COUNT, &fl));                                           \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER_S(op##S##_m##form##_s)                                                                 \
    {                                                                                              \
        T *p = mmu_rmw_begin(c, va, sizeof(T));                                                    \
        if (!p)                                                                                    \
            return raise_fault(c, u, fl);                                                          \
        *p = op##_r##S(*p, COUNT, &fl);                                                            \
        NEXT_STORED(mmu_rmw_end(c));                                                               \
    }                                                                                              \
    static HANDLER(op##S##_m##form)                                                                \
    {                                                                                              \
        uint64_t va = EA_B;                                                                        \
        PROBE_W(sizeof(T), op##S##_m##form##_s);                                                   \
        *(T *)p = op##_r##S(*(T *)p, COUNT, &fl);                                                  \
        NEXT;                                                                                      \
    }
#define H_SHIFT(S, sfx, T, op)                                                                     \
    H_SHIFT1(S, sfx, T, op, i, (uint8_t)u->imm)                                                    \
    H_SHIFT1(S, sfx, T, op, c, (uint8_t)c->gpr[X86_RCX])
ALL_SIZES(H_SHIFT, rol)
ALL_SIZES(H_SHIFT, ror)
ALL_SIZES(H_SHIFT, rcl)
ALL_SIZES(H_SHIFT, rcr)
ALL_SIZES(H_SHIFT, shl)
ALL_SIZES(H_SHIFT, shr)
ALL_SIZES(H_SHIFT, sar)

#define SHIFT_ROW1(op, S) {op##S##_ri, op##S##_rc, op##S##_mi, op##S##_mc}
#define SHIFT_ROW(op) {SHIFT_ROW1(op, 8), SHIFT_ROW1(op, 16), SHIFT_ROW1(op, 32), SHIFT_ROW1(op, 64)}
uop_fn *const h_shift[SH_OPS][4][4] = {
    SHIFT_ROW(rol), SHIFT_ROW(ror), SHIFT_ROW(rcl), SHIFT_ROW(rcr),
    SHIFT_ROW(shl), SHIFT_ROW(shr), SHIFT_ROW(shl), SHIFT_ROW(sar),
};

/* All flags are written, so none is loaded first. */
#define H_SHIFT_IMM(S, sfx, T, op)                                                                 \
    static HANDLER(op##S##_imm)                                                                    \
    {                                                                                              \
        uint64_t f = 0;                                                                            \
        T a = R##S(u->d);                                                                          \
        __asm__(#op sfx " %%cl, %0\n\t" FL_SAVE : "+r"(a), "+&a"(f) : "c"((uint8_t)u->imm) : "cc"); \
        SET##S(u->d, a);                                                                           \
        fl = f;                                                                                    \
        NEXT;                                                                                      \
    }
ALL_SIZES(H_SHIFT_IMM, shl)
ALL_SIZES(H_SHIFT_IMM, shr)
ALL_SIZES(H_SHIFT_IMM, sar)
#define SHIFT_IMM_ROW(op) {op##8_imm, op##16_imm, op##32_imm, op##64_imm}
uop_fn *const h_shift_imm[SH_OPS][4] = {
    [SH_SHL] = SHIFT_IMM_ROW(shl), [SH_SHR] = SHIFT_IMM_ROW(shr), [SH_SAL] = SHIFT_IMM_ROW(shl),
    [SH_SAR] = SHIFT_IMM_ROW(sar),
};

/* By an immediate of 1 to 31 or 63 (masked by the translator), flags dead. */
#define H_SHIFT_NF(name, S, EXPR)                                                                  \
    static HANDLER(name##S##_nf)                                                                   \
    {                                                                                              \
        uint##S##_t a = R##S(u->d);                                                                \
        unsigned n = (unsigned)u->imm;                                                             \
        SET##S(u->d, EXPR);                                                                        \
        NEXT;                                                                                      \
    }
H_SHIFT_NF(shl, 32, a << n)
H_SHIFT_NF(shl, 64, a << n)
H_SHIFT_NF(shr, 32, a >> n)
H_SHIFT_NF(shr, 64, a >> n)
H_SHIFT_NF(sar, 32, (uint32_t)((int32_t)a >> n))
H_SHIFT_NF(sar, 64, (uint64_t)((int64_t)a >> n))
H_SHIFT_NF(rol, 32, (a << n | a >> (-n & 31)))
H_SHIFT_NF(rol, 64, (a << n | a >> (-n & 63)))
H_SHIFT_NF(ror, 32, (a >> n | a << (-n & 31)))
H_SHIFT_NF(ror, 64, (a >> n | a << (-n & 63)))
#define NF_ROW(op) {NULL, NULL, op##32_nf, op##64_nf}
uop_fn *const h_shift_nf[SH_OPS][4] = {
    [SH_ROL] = NF_ROW(rol), [SH_ROR] = NF_ROW(ror), [SH_SHL] = NF_ROW(shl),
    [SH_SHR] = NF_ROW(shr), [SH_SAL] = NF_ROW(shl), [SH_SAR] = NF_ROW(sar),
};

/* ---- double shifts ---- */

#define SHD_ASM(S, sfx, T, op)                                                                     \
    static inline T op##_r##S(T a, T b, uint8_t n, uint64_t *fl)                                   \
    {                                                                                              \
        uint64_t f = *fl;                                                                          \
        __asm__(FL_LOAD #op sfx " %%cl, %2, %0\n\t" FL_SAVE                                        \
                : "+r"(a), "+&a"(f) : "r"(b), "c"(n) : "cc");                                      \
        *fl = f;                                                                                   \
        return a;                                                                                  \
    }
#define H_SHD1(S, sfx, T, op, form, COUNT)                                                         \
    static HANDLER(op##S##_r##form)                                                                \
    {                                                                                              \
        SET##S(u->d, op##_r##S(R##S(u->d), R##S(u->s), COUNT, &fl));                               \
        NEXT;                                                                                      \
    }                                                                                              \
    HANDLER_S(op##S##_m##form##_s)                                                                 \
    {                                                                                              \
        T *p = mmu_rmw_begin(c, va, sizeof(T));                                                    \
        if (!p)                                                                                    \
            return raise_fault(c, u, fl);                                                          \
        *p = op##_r##S(*p, R##S(u->s), COUNT, &fl);                                                \
        NEXT_STORED(mmu_rmw_end(c));                                                               \
    }                                                                                              \
    static HANDLER(op##S##_m##form)                                                                \
    {                                                                                              \
        return op##S##_m##form##_s(c, u, fl, EA_B);                                                \
    }
#define H_SHD(S, sfx, T, op)                                                                       \
    SHD_ASM(S, sfx, T, op)                                                                         \
    H_SHD1(S, sfx, T, op, i, (uint8_t)u->imm)                                                      \
    H_SHD1(S, sfx, T, op, c, (uint8_t)c->gpr[X86_RCX])
H_SHD(16, "w", uint16_t, shld)
H_SHD(32, "l", uint32_t, shld)
H_SHD(64, "q", uint64_t, shld)
H_SHD(16, "w", uint16_t, shrd)
H_SHD(32, "l", uint32_t, shrd)
H_SHD(64, "q", uint64_t, shrd)
uop_fn *const h_shd[2][4][4] = {
    {{NULL}, SHIFT_ROW1(shld, 16), SHIFT_ROW1(shld, 32), SHIFT_ROW1(shld, 64)},
    {{NULL}, SHIFT_ROW1(shrd, 16), SHIFT_ROW1(shrd, 32), SHIFT_ROW1(shrd, 64)},
};
