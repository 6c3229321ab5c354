/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * decode: instruction bytes to fields. Knows lengths, prefixes and operand encodings of the
 * legacy, 0F, 0F38 and 0F3A maps and of VEX-coded general-purpose instructions; not what
 * instructions do (translate.c). SDM 2 chapters 2 and A; AMD APM 3.
 */
#ifndef RUCHE_CORE_X86_DECODE_H
#define RUCHE_CORE_X86_DECODE_H

#include <stdbool.h>
#include <stdint.h>

enum { INSN_MAX = 15 };

/* Results of insn_decode other than a length. */
enum { DECODE_MORE = 0, DECODE_TOO_LONG = -1, DECODE_UD = -2 };

enum insn_map { MAP_1B, MAP_0F, MAP_0F38, MAP_0F3A };

enum { REG_NONE = 0xff };

struct insn {
    uint8_t len;
    uint8_t map, op;
    uint8_t rep;      /* 0, f2, f3: the last of them */
    bool p66, p67, lock;
    uint8_t rex;      /* 0: none */
    uint8_t vex;      /* 0: none; else 2 or 3 bytes; vex_v and vex_l count, pp is in p66/rep */
    uint8_t vex_v, vex_l;
    uint8_t opsize;   /* effective, bytes: 2, 4, 8 */
    uint8_t adsize;   /* 2, 4, 8 */
    uint8_t seg;      /* of the memory operand: override or default */
    bool seg_override;
    uint8_t modrm, mod, reg, rm; /* reg, rm with REX.R, REX.B */
    uint8_t base, index, scale;  /* registers or REG_NONE */
    bool riprel;
    int32_t disp;
    uint64_t imm;     /* sign-extended from its size; moffs address; far pointer offset */
    uint16_t imm2;    /* far pointer selector; ENTER's level */
};

/* Decodes at most `avail` bytes for code size 16, 32 or 64. Returns the length, or DECODE_MORE if
 * the instruction goes on behind them. `avail` above 15 is as 15. */
int insn_decode(struct insn *i, const uint8_t *bytes, unsigned avail, unsigned bits);

#endif
