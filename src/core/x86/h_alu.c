/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * h_alu: ADD OR ADC SBB AND SUB XOR CMP TEST, all sizes and operand forms. The host's own
 * instruction computes result and flags. Handlers are made by macros over operation, size and
 * whether the flags are wanted; see handlers.h for the forms.
 */
#include "core/x86/handlers.h"
#include "core/x86/svm.h"

#define ALWAYS static inline __attribute__((always_inline))

/* op_fS(&a, b, fl) on a register, op_mS on host memory, op_lS the same locked. */
#define DEF_ASM(op, ins, pre, S, sfx, T)                                                           \
    ALWAYS T op##_f##S(T a, T b, uint64_t *fl)                                                     \
    {                                                                                              \
        uint64_t f = *fl;                                                                          \
        __asm__(pre ins sfx " %2, %0\n\t" FL_SAVE : "+r"(a), "+&a"(f) : "r"(b) : "cc");            \
        *fl = f;                                                                                   \
        return a;                                                                                  \
    }                                                                                              \
    ALWAYS void op##_m##S(T *p, T b, uint64_t *fl)                                                 \
    {                                                                                              \
        uint64_t f = *fl;                                                                          \
        __asm__ volatile(pre ins sfx " %2, %0\n\t" FL_SAVE : "+m"(*p), "+&a"(f) : "r"(b) : "cc");  \
        *fl = f;                                                                                   \
    }                                                                                              \
    static inline __attribute__((unused)) void op##_l##S(T *p, T b, uint64_t *fl)                  \
    {                                                                                              \
        uint64_t f = *fl;                                                                          \
        __asm__ volatile(pre "lock; " ins sfx " %2, %0\n\t" FL_SAVE                                \
                         : "+m"(*p), "+&a"(f) : "r"(b) : "cc", "memory");                          \
        *fl = f;                                                                                   \
    }

#define DEF_SIZES(op, ins, pre)                                                                    \
    DEF_ASM(op, ins, pre, 8, "b", uint8_t)                                                         \
    DEF_ASM(op, ins, pre, 16, "w", uint16_t)                                                       \
    DEF_ASM(op, ins, pre, 32, "l", uint32_t)                                                       \
    DEF_ASM(op, ins, pre, 64, "q", uint64_t)

#define CARRY_IN "bt $8, %1\n\t"
DEF_SIZES(add, "add", "")
DEF_SIZES(or, "or", "")
DEF_SIZES(adc, "adc", CARRY_IN)
DEF_SIZES(sbb, "sbb", CARRY_IN)
DEF_SIZES(and, "and", "")
DEF_SIZES(sub, "sub", "")
DEF_SIZES(xor, "xor", "")

/* CMP and TEST write no operand. */
#define DEF_CMP(op, ins, S, sfx, T)                                                                \
    ALWAYS T op##_f##S(T a, T b, uint64_t *fl)                                                     \
    {                                                                                              \
        uint64_t f = *fl;                                                                          \
        __asm__(ins sfx " %2, %1\n\t" FL_SAVE : "+&a"(f) : "r"(a), "r"(b) : "cc");                 \
        *fl = f;                                                                                   \
        return a;                                                                                  \
    }
#define DEF_CMPS(op, ins)                                                                          \
    DEF_CMP(op, ins, 8, "b", uint8_t)                                                              \
    DEF_CMP(op, ins, 16, "w", uint16_t)                                                            \
    DEF_CMP(op, ins, 32, "l", uint32_t)                                                            \
    DEF_CMP(op, ins, 64, "q", uint64_t)
DEF_CMPS(cmp, "cmp")
DEF_CMPS(test, "test")

#define CF_IN ((fl >> 8) & 1)
#define NF_add(a, b) ((a) + (b))
#define NF_or(a, b) ((a) | (b))
#define NF_adc(a, b) ((a) + (b) + CF_IN)
#define NF_sbb(a, b) ((a) - (b) - CF_IN)
#define NF_and(a, b) ((a) & (b))
#define NF_sub(a, b) ((a) - (b))
#define NF_xor(a, b) ((a) ^ (b))

/* How the variants compute: with flags on a value / on memory, without flags. */
#define VF(op, S, a, b) op##_f##S(a, b, &fl)
#define MF(op, S, p, b) op##_m##S(p, b, &fl)
#define VN(op, S, a, b) NF_##op(a, b)
#define MN(op, S, p, b) (*(p) = (__typeof__(*(p)))NF_##op(*(p), b))

#define H_REG(op, S, T, v, V)                                                                      \
    static HANDLER(op##S##_rr_##v)                                                                 \
    {                                                                                              \
        SET##S(u->d, V(op, S, R##S(u->d), R##S(u->s)));                                            \
        NEXT;                                                                                      \
    }                                                                                              \
    static HANDLER(op##S##_ri_##v)                                                                 \
    {                                                                                              \
        SET##S(u->d, V(op, S, R##S(u->d), (T)u->imm));                                             \
        NEXT;                                                                                      \
    }

#define H_LOAD(op, S, T, v, V)                                                                     \
    HANDLER_S(op##S##_rm_##v##_s)                                                                  \
    {                                                                                              \
        struct mmu_value mv = mmu_load(c, va, sizeof(T));                                          \
        if (mv.bad)                                                                                \
            return raise_fault(c, u, fl);                                                          \
        SET##S(u->d, V(op, S, R##S(u->d), (T)mv.val));                                               \
        NEXT;                                                                                      \
    }                                                                                              \
    static HANDLER(op##S##_rm_##v)                                                                 \
    {                                                                                              \
        uint64_t va = EA_B;                                                                        \
        PROBE_R(sizeof(T), op##S##_rm_##v##_s);                                                    \
        T b = *(volatile T *)p;                                                                    \
        SET##S(u->d, V(op, S, R##S(u->d), b));                                                     \
        NEXT;                                                                                      \
    }                                                                                              \
    static HANDLER(op##S##_rx_##v)                                                                 \
    {                                                                                              \
        uint64_t va = EA_X;                                                                        \
        PROBE_R(sizeof(T), op##S##_rm_##v##_s);                                                    \
        T b = *(volatile T *)p;                                                                    \
        SET##S(u->d, V(op, S, R##S(u->d), b));                                                     \
        NEXT;                                                                                      \
    }

/* Memory destination, source SRC. */
#define H_STORE1(op, S, T, v, M, form, EA, SRC)                                                    \
    static HANDLER(op##S##_##form##_##v)                                                           \
    {                                                                                              \
        uint64_t va = EA;                                                                          \
        PROBE_W(sizeof(T), op##S##_s##v##_s##SRC);                                                 \
        M(op, S, (T *)p, SRC_##SRC(S, T));                                                         \
        NEXT;                                                                                      \
    }
#define SRC_r(S, T) R##S(u->s)
#define SRC_i(S, T) (T)u->imm
#define H_STORE_SLOW(op, S, T, v, M, SRC)                                                          \
    HANDLER_S(op##S##_s##v##_s##SRC)                                                               \
    {                                                                                              \
        T *p = mmu_rmw_begin(c, va, sizeof(T));                                                    \
        if (!p)                                                                                    \
            return raise_fault(c, u, fl);                                                          \
        M(op, S, p, SRC_##SRC(S, T));                                                              \
        NEXT_STORED(mmu_rmw_end(c));                                                               \
    }
#define H_STORE(op, S, T, v, M)                                                                    \
    H_STORE_SLOW(op, S, T, v, M, r)                                                                \
    H_STORE_SLOW(op, S, T, v, M, i)                                                                \
    H_STORE1(op, S, T, v, M, mr, EA_B, r)                                                          \
    H_STORE1(op, S, T, v, M, xr, EA_X, r)                                                          \
    H_STORE1(op, S, T, v, M, mi, EA_B, i)                                                          \
    H_STORE1(op, S, T, v, M, xi, EA_X, i)

#define H_BOTH(op, S, T)                                                                           \
    H_REG(op, S, T, f, VF)                                                                         \
    H_REG(op, S, T, n, VN)                                                                         \
    H_LOAD(op, S, T, f, VF)                                                                        \
    H_LOAD(op, S, T, n, VN)                                                                        \
    H_STORE(op, S, T, f, MF)                                                                       \
    H_STORE(op, S, T, n, MN)

/* CMP and TEST: nothing is written; the memory operand may stand left (mr, mi) or right (rm). */
#define H_CMP_LOAD(op, S, T, form, EA, A, B)                                                       \
    HANDLER_S(op##S##_##form##_s)                                                                  \
    {                                                                                              \
        struct mmu_value mv = mmu_load(c, va, sizeof(T));                                          \
        T m = (T)mv.val;                                                                             \
        if (mv.bad)                                                                                \
            return raise_fault(c, u, fl);                                                          \
        op##_f##S(A, B, &fl);                                                                      \
        NEXT;                                                                                      \
    }                                                                                              \
    static HANDLER(op##S##_##form##_f)                                                             \
    {                                                                                              \
        uint64_t va = EA;                                                                          \
        PROBE_R(sizeof(T), op##S##_##form##_s);                                                    \
        T m = *(volatile T *)p;                                                                    \
        op##_f##S(A, B, &fl);                                                                      \
        NEXT;                                                                                      \
    }
#define H_CMP(op, S, T)                                                                            \
    static HANDLER(op##S##_rr_f)                                                                   \
    {                                                                                              \
        op##_f##S(R##S(u->d), R##S(u->s), &fl);                                                    \
        NEXT;                                                                                      \
    }                                                                                              \
    static HANDLER(op##S##_ri_f)                                                                   \
    {                                                                                              \
        op##_f##S(R##S(u->d), (T)u->imm, &fl);                                                     \
        NEXT;                                                                                      \
    }                                                                                              \
    H_CMP_LOAD(op, S, T, rm, EA_B, R##S(u->d), m)                                                  \
    H_CMP_LOAD(op, S, T, rx, EA_X, R##S(u->d), m)                                                  \
    H_CMP_LOAD(op, S, T, mr, EA_B, m, R##S(u->s))                                                  \
    H_CMP_LOAD(op, S, T, xr, EA_X, m, R##S(u->s))                                                  \
    H_CMP_LOAD(op, S, T, mi, EA_B, m, (T)u->imm)                                                   \
    H_CMP_LOAD(op, S, T, xi, EA_X, m, (T)u->imm)

#define ALL_SIZES(X, op)                                                                           \
    X(op, 8, uint8_t)                                                                              \
    X(op, 16, uint16_t)                                                                            \
    X(op, 32, uint32_t)                                                                            \
    X(op, 64, uint64_t)

ALL_SIZES(H_BOTH, add)
ALL_SIZES(H_BOTH, or)
ALL_SIZES(H_BOTH, adc)
ALL_SIZES(H_BOTH, sbb)
ALL_SIZES(H_BOTH, and)
ALL_SIZES(H_BOTH, sub)
ALL_SIZES(H_BOTH, xor)
ALL_SIZES(H_CMP, cmp)
ALL_SIZES(H_CMP, test)

#define FORM_ROW(op, S, v)                                                                         \
    {op##S##_rr_##v, op##S##_ri_##v, op##S##_rm_##v, op##S##_rx_##v,                               \
     op##S##_mr_##v, op##S##_xr_##v, op##S##_mi_##v, op##S##_xi_##v}
#define OP_ROW(op, v) {FORM_ROW(op, 8, v), FORM_ROW(op, 16, v), FORM_ROW(op, 32, v), FORM_ROW(op, 64, v)}

uop_fn *const h_alu[2][ALU_OPS][4][FORMS] = {
    {OP_ROW(add, f), OP_ROW(or, f), OP_ROW(adc, f), OP_ROW(sbb, f), OP_ROW(and, f),
     OP_ROW(sub, f), OP_ROW(xor, f), OP_ROW(cmp, f), OP_ROW(test, f)},
    {OP_ROW(add, n), OP_ROW(or, n), OP_ROW(adc, n), OP_ROW(sbb, n), OP_ROW(and, n),
     OP_ROW(sub, n), OP_ROW(xor, n), OP_ROW(cmp, f), OP_ROW(test, f)},
};

/* LOCKed: one host instruction on the host's memory; a bounced operand goes under split_lock. */
#define H_LOCK1(op, S, T, SRC)                                                                     \
    HANDLER_S(op##S##_lock##SRC##_s)                                                               \
    {                                                                                              \
        T *p = mmu_rmw_begin(c, va, sizeof(T));                                                    \
        int r;                                                                                     \
        if (!p)                                                                                    \
            return raise_fault(c, u, fl);                                                          \
        if (!c->xbuf_len) {                                                                        \
            op##_l##S(p, SRC_##SRC(S, T), &fl);                                                    \
            NEXT;                                                                                  \
        }                                                                                          \
        pthread_mutex_lock(&c->vm->split_lock);                                                    \
        p = mmu_rmw_begin(c, va, sizeof(T));                                                       \
        op##_m##S(p ? p : (T *)c->xbuf, SRC_##SRC(S, T), &fl);                                     \
        r = mmu_rmw_end(c);                                                                        \
        pthread_mutex_unlock(&c->vm->split_lock);                                                  \
        NEXT_STORED(r);                                                                            \
    }                                                                                              \
    static HANDLER(op##S##_lock##SRC)                                                              \
    {                                                                                              \
        uint64_t va = EA_B;                                                                        \
        PROBE_W(sizeof(T), op##S##_lock##SRC##_s);                                                 \
        op##_l##S((T *)p, SRC_##SRC(S, T), &fl);                                                   \
        NEXT;                                                                                      \
    }
#define H_LOCK(op, S, T)                                                                           \
    H_LOCK1(op, S, T, r)                                                                           \
    H_LOCK1(op, S, T, i)

ALL_SIZES(H_LOCK, add)
ALL_SIZES(H_LOCK, or)
ALL_SIZES(H_LOCK, adc)
ALL_SIZES(H_LOCK, sbb)
ALL_SIZES(H_LOCK, and)
ALL_SIZES(H_LOCK, sub)
ALL_SIZES(H_LOCK, xor)

#define LOCK_ROW(op)                                                                               \
    {{op##8_lockr, op##8_locki}, {op##16_lockr, op##16_locki},                                     \
     {op##32_lockr, op##32_locki}, {op##64_lockr, op##64_locki}}

uop_fn *const h_alu_lock[ALU_XOR + 1][4][2] = {
    LOCK_ROW(add), LOCK_ROW(or), LOCK_ROW(adc), LOCK_ROW(sbb), LOCK_ROW(and), LOCK_ROW(sub), LOCK_ROW(xor),
};
