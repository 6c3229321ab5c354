/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * h_fused: CMP or TEST of a register with a register or a short immediate, and the Jcc behind it,
 * as one uop. It stands where both stood: its length is that of both. The immediate is in s and
 * b, as imm holds the link.
 */
#include "core/x86/branch.h"

#define COMPARE(ins, S, sfx, B)                                                                    \
    do {                                                                                           \
        uint64_t f = 0;                                                                            \
        __asm__(ins sfx " %2, %1\n\t" FL_SAVE                                                      \
                : "+&a"(f) : "r"(R##S(u->d)), "r"((uint##S##_t)(B)) : "cc");                       \
        fl = f;                                                                                    \
    } while (0)
#define IMM16 (int16_t)(u->s | u->b << 8)

#define H_FUSED1(name, ins, S, sfx, B, cc)                                                         \
    static HANDLER(name##_##cc)                                                                    \
    {                                                                                              \
        COMPARE(ins, S, sfx, B);                                                                   \
        if (!fl_cond(cc, fl))                                                                      \
            NEXT;                                                                                  \
        COUNT_INSNS;                                                                               \
        return leave_to_link(c, u, fl);                                                            \
    }                                                                                              \
    static HANDLER(name##_##cc##_linked)                                                           \
    {                                                                                              \
        COMPARE(ins, S, sfx, B);                                                                   \
        if (!fl_cond(cc, fl))                                                                      \
            NEXT;                                                                                  \
        COUNT_INSNS;                                                                               \
        JUMP_LINKED;                                                                               \
    }                                                                                              \
    static HANDLER(name##_##cc##_cross)                                                            \
    {                                                                                              \
        COMPARE(ins, S, sfx, B);                                                                   \
        if (!fl_cond(cc, fl))                                                                      \
            NEXT;                                                                                  \
        COUNT_INSNS;                                                                               \
        JUMP_CROSS;                                                                                \
    }
#define ALL_CC(X, ...)                                                                             \
    X(__VA_ARGS__, 0) X(__VA_ARGS__, 1) X(__VA_ARGS__, 2) X(__VA_ARGS__, 3) X(__VA_ARGS__, 4)      \
    X(__VA_ARGS__, 5) X(__VA_ARGS__, 6) X(__VA_ARGS__, 7) X(__VA_ARGS__, 8) X(__VA_ARGS__, 9)      \
    X(__VA_ARGS__, 10) X(__VA_ARGS__, 11) X(__VA_ARGS__, 12) X(__VA_ARGS__, 13)                    \
    X(__VA_ARGS__, 14) X(__VA_ARGS__, 15)
ALL_CC(H_FUSED1, cmp32_rr, "cmp", 32, "l", R32(u->s))
ALL_CC(H_FUSED1, cmp64_rr, "cmp", 64, "q", R64(u->s))
ALL_CC(H_FUSED1, cmp32_ri, "cmp", 32, "l", IMM16)
ALL_CC(H_FUSED1, cmp64_ri, "cmp", 64, "q", IMM16)
ALL_CC(H_FUSED1, test32_rr, "test", 32, "l", R32(u->s))
ALL_CC(H_FUSED1, test64_rr, "test", 64, "q", R64(u->s))
ALL_CC(H_FUSED1, test32_ri, "test", 32, "l", IMM16)
ALL_CC(H_FUSED1, test64_ri, "test", 64, "q", IMM16)

#define ROW(name, cc) {name##_##cc, name##_##cc##_linked, name##_##cc##_cross},
uop_fn *const h_fused[FUSED_OPS][2][2][16][3] = {
    {{{ALL_CC(ROW, cmp32_rr)}, {ALL_CC(ROW, cmp64_rr)}}, {{ALL_CC(ROW, cmp32_ri)}, {ALL_CC(ROW, cmp64_ri)}}},
    {{{ALL_CC(ROW, test32_rr)}, {ALL_CC(ROW, test64_rr)}}, {{ALL_CC(ROW, test32_ri)}, {ALL_CC(ROW, test64_ri)}}},
};
