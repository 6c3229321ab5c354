/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * decode: see decode.h. Per opcode a row of letters says what follows it.
 */
#include "core/x86/decode.h"

#include "core/x86_regs.h"

#include <string.h>

/* One letter per opcode:
 *   .  nothing          m  ModRM            b  imm8             B  ModRM + imm8
 *   z  imm16/32         Z  ModRM + imm16/32 v  imm16/32/64      w  imm16
 *   p  far pointer      o  moffs            e  imm16 + imm8     j  rel16/32
 *   3  group 3 byte     4  group 3 word     P  prefix           x  undefined */
static const char map_1b[256 + 1] =
    "mmmmbz..mmmmbz.P" /* 00 */
    "mmmmbz..mmmmbz.." /* 10 */
    "mmmmbzP.mmmmbzP." /* 20 */
    "mmmmbzP.mmmmbzP." /* 30 */
    "................" /* 40: REX in 64-bit mode */
    "................" /* 50 */
    "..mmPPPPzZbB...." /* 60 */
    "bbbbbbbbbbbbbbbb" /* 70 */
    "BZBBmmmmmmmmmmmm" /* 80 */
    "..........p....." /* 90 */
    "oooo....bz......" /* A0 */
    "bbbbbbbbvvvvvvvv" /* B0 */
    "BBw.mmBZe.w..b.." /* C0 */
    "mmmmbb..mmmmmmmm" /* D0 */
    "bbbbbbbbjjpb...." /* E0 */
    "P.PP..34......mm" /* F0 */;

static const char map_0f[256 + 1] =
    "mmmmx.....x.xm.x" /* 00 */
    "mmmmmmmmmmmmmmmm" /* 10 */
    "mmmmxxxxmmmmmmmm" /* 20 */
    "......x.PxPxxxxx" /* 30 */
    "mmmmmmmmmmmmmmmm" /* 40 */
    "mmmmmmmmmmmmmmmm" /* 50 */
    "mmmmmmmmmmmmmmmm" /* 60 */
    "BBBBmmm.mmxxmmmm" /* 70 */
    "jjjjjjjjjjjjjjjj" /* 80 */
    "mmmmmmmmmmmmmmmm" /* 90 */
    "...mBmxx...mBmmm" /* A0 */
    "mmmmmmmmmmBmmmmm" /* B0 */
    "mmBmBBBm........" /* C0 */
    "mmmmmmmmmmmmmmmm" /* D0 */
    "mmmmmmmmmmmmmmmm" /* E0 */
    "mmmmmmmmmmmmmmmm" /* F0 */;

/* Cursor over the bytes. */
struct in {
    const uint8_t *p;
    unsigned avail, pos;
    bool more; /* ran off the end */
};

static uint64_t take(struct in *in, unsigned n)
{
    uint64_t v = 0;

    if (in->pos + n > in->avail) {
        in->more = true;
        return 0;
    }
    memcpy(&v, in->p + in->pos, n);
    in->pos += n;
    return v;
}

static uint64_t take_signed(struct in *in, unsigned n)
{
    uint64_t v = take(in, n);

    switch (n) {
    case 1: return (uint64_t)(int8_t)v;
    case 2: return (uint64_t)(int16_t)v;
    case 4: return (uint64_t)(int32_t)v;
    default: return v;
    }
}

static bool legacy_prefix(struct insn *i, uint8_t b, bool mode64)
{
    static const uint8_t seg_of[] = {X86_ES, X86_CS, X86_SS, X86_DS};

    switch (b) {
    case 0x66: i->p66 = true; return true;
    case 0x67: i->p67 = true; return true;
    case 0xf0: i->lock = true; return true;
    case 0xf2: case 0xf3: i->rep = b; return true;
    case 0x26: case 0x2e: case 0x36: case 0x3e:
        if (!mode64) { /* ignored in 64-bit mode */
            i->seg = seg_of[(b >> 3) & 3];
            i->seg_override = true;
        }
        return true;
    case 0x64: case 0x65:
        i->seg = b == 0x64 ? X86_FS : X86_GS;
        i->seg_override = true;
        return true;
    default:
        return false;
    }
}

static void modrm16(struct insn *i, struct in *in)
{
    static const uint8_t base[8] = {X86_RBX, X86_RBX, X86_RBP, X86_RBP, X86_RSI, X86_RDI, X86_RBP, X86_RBX};
    static const uint8_t index[8] = {X86_RSI, X86_RDI, X86_RSI, X86_RDI, REG_NONE, REG_NONE, REG_NONE, REG_NONE};
    unsigned rm = i->modrm & 7;

    i->base = base[rm];
    i->index = index[rm];
    if (i->mod == 0 && rm == 6) {
        i->base = REG_NONE;
        i->disp = (int16_t)take(in, 2);
    } else if (i->mod == 1) {
        i->disp = (int8_t)take(in, 1);
    } else if (i->mod == 2) {
        i->disp = (int16_t)take(in, 2);
    }
    if (!i->seg_override)
        i->seg = i->base == X86_RBP ? X86_SS : X86_DS;
}

static void modrm32(struct insn *i, struct in *in, bool mode64)
{
    unsigned rm = i->modrm & 7;
    unsigned b = (i->rex & 1) << 3, x = (i->rex & 2) << 2;

    i->base = (uint8_t)(rm | b);
    if (rm == 4) {
        uint8_t sib = (uint8_t)take(in, 1);

        i->scale = sib >> 6;
        i->index = (uint8_t)((sib >> 3 & 7) | x);
        if (i->index == 4)
            i->index = REG_NONE;
        i->base = (uint8_t)((sib & 7) | b);
        if ((sib & 7) == 5 && i->mod == 0) {
            i->base = REG_NONE;
            i->disp = (int32_t)take(in, 4);
        }
    } else if (rm == 5 && i->mod == 0) {
        i->base = REG_NONE;
        i->riprel = mode64;
        i->disp = (int32_t)take(in, 4);
    }
    if (i->mod == 1)
        i->disp = (int8_t)take(in, 1);
    else if (i->mod == 2)
        i->disp = (int32_t)take(in, 4);
    if (!i->seg_override)
        i->seg = i->base == X86_RBP || i->base == X86_RSP ? X86_SS : X86_DS;
}

static void take_modrm(struct insn *i, struct in *in, bool mode64)
{
    i->modrm = (uint8_t)take(in, 1);
    i->mod = i->modrm >> 6;
    i->reg = (uint8_t)((i->modrm >> 3 & 7) | (i->rex & 4) << 1);
    i->rm = (uint8_t)((i->modrm & 7) | (i->rex & 1) << 3);
    /* MOV to and from CR and DR: always registers. */
    if (i->map == MAP_0F && i->op >= 0x20 && i->op <= 0x23)
        i->mod = 3;
    if (i->mod == 3)
        return;
    if (i->adsize == 2)
        modrm16(i, in);
    else
        modrm32(i, in, mode64);
}

static void take_immediate(struct insn *i, struct in *in, char kind)
{
    unsigned z = i->opsize == 2 ? 2 : 4;

    switch (kind) {
    case 'b': case 'B': i->imm = take_signed(in, 1); break;
    case 'z': case 'Z': case 'j': i->imm = take_signed(in, z); break;
    case 'v': i->imm = take_signed(in, i->opsize); break;
    case 'w': i->imm = take(in, 2); break;
    case 'o': i->imm = take(in, i->adsize); break;
    case 'p':
        i->imm = take(in, z);
        i->imm2 = (uint16_t)take(in, 2);
        break;
    case 'e':
        i->imm = take(in, 2);
        i->imm2 = (uint16_t)take(in, 1);
        break;
    case '3':
        if ((i->modrm & 0x38) < 0x10)
            i->imm = take_signed(in, 1);
        break;
    case '4':
        if ((i->modrm & 0x38) < 0x10)
            i->imm = take_signed(in, z);
        break;
    default: break;
    }
}

/* C4/C5 in 64-bit mode, or with mod 3 elsewhere. False: it is LES/LDS. */
static bool take_vex(struct insn *i, struct in *in, bool mode64)
{
    uint8_t b1, b2, pp;

    if (in->pos >= in->avail) {
        in->more = true;
        return true;
    }
    if (!mode64 && in->p[in->pos] < 0xc0)
        return false;
    b1 = (uint8_t)take(in, 1);
    if (i->op == 0xc5) {
        i->vex = 2;
        i->rex = 0x40 | (b1 & 0x80 ? 0 : 4);
        b2 = b1;
        i->map = MAP_0F;
    } else {
        i->vex = 3;
        b2 = (uint8_t)take(in, 1);
        i->rex = (uint8_t)(0x40 | (~b1 >> 5 & 7) | (b2 & 0x80 ? 8 : 0));
        i->map = (b1 & 31) < 4 ? b1 & 31 : 0;
    }
    if (!mode64)
        i->rex = 0x40;
    i->vex_v = ~b2 >> 3 & (mode64 ? 15 : 7);
    i->vex_l = b2 >> 2 & 1;
    pp = b2 & 3;
    i->p66 = pp == 1;
    i->rep = pp == 2 ? 0xf3 : pp == 3 ? 0xf2 : 0;
    i->op = (uint8_t)take(in, 1);
    return true;
}

/* Near branches, PUSH/POP and the like: 64 bits by default in 64-bit mode. 66 makes near branches
 * there 16 bits wide, as on AMD (Intel ignores it). */
static bool default64(const struct insn *i)
{
    if (i->map == MAP_1B) {
        if (i->op >= 0x50 && i->op <= 0x5f)
            return true;
        switch (i->op) {
        case 0x68: case 0x6a: case 0x8f: case 0x9c: case 0x9d: case 0xc8: case 0xc9:
        case 0xc2: case 0xc3: case 0xe8: case 0xe9: case 0xeb:
        case 0xe0: case 0xe1: case 0xe2: case 0xe3:
            return true;
        default:
            return i->op >= 0x70 && i->op <= 0x7f;
        }
    }
    if (i->map == MAP_0F)
        return (i->op >= 0x80 && i->op <= 0x8f) || i->op == 0xa0 || i->op == 0xa1 || i->op == 0xa8 ||
               i->op == 0xa9;
    return false;
}

static bool near_branch(const struct insn *i)
{
    if (i->map == MAP_1B)
        return (i->op >= 0x70 && i->op <= 0x7f) || i->op == 0xe8 || i->op == 0xe9 || i->op == 0xeb ||
               i->op == 0xc2 || i->op == 0xc3 || (i->op >= 0xe0 && i->op <= 0xe3);
    return i->map == MAP_0F && i->op >= 0x80 && i->op <= 0x8f;
}

static void set_sizes(struct insn *i, unsigned bits)
{
    if (bits == 64) {
        i->adsize = i->p67 ? 4 : 8;
        i->opsize = i->rex & 8 ? 8 : i->p66 ? 2 : 4;
        if (near_branch(i))
            i->opsize = i->opsize == 2 ? 2 : 8;
        else if (default64(i) && i->opsize == 4)
            i->opsize = 8;
    } else {
        i->adsize = (bits == 32) != i->p67 ? 4 : 2;
        i->opsize = (bits == 32) != i->p66 ? 4 : 2;
    }
}

/* FF /2 /4 /6: near indirect branches and PUSH. */
static void fix_group5(struct insn *i, unsigned bits)
{
    unsigned sub = i->modrm >> 3 & 7;

    if (bits != 64 || i->map != MAP_1B || i->op != 0xff)
        return;
    if ((sub == 2 || sub == 4 || sub == 6) && i->opsize == 4)
        i->opsize = 8;
}

static char opcode_kind(const struct insn *i, bool mode64)
{
    switch (i->map) {
    case MAP_1B:
        if (mode64 && (i->op & 0xe7) == 0x06) /* PUSH/POP seg, DAA... : undefined, no operands */
            return '.';
        return map_1b[i->op];
    case MAP_0F:
        if (i->op == 0x78 && (i->p66 || i->rep == 0xf2)) /* SSE4a EXTRQ/INSERTQ: not ours */
            return 'm';
        return map_0f[i->op];
    case MAP_0F38:
        return 'm';
    default:
        return 'B';
    }
}

static int result(const struct insn *i, const struct in *in, unsigned avail)
{
    if (in->more)
        return avail >= INSN_MAX ? DECODE_TOO_LONG : DECODE_MORE;
    return i->len;
}

int insn_decode(struct insn *i, const uint8_t *bytes, unsigned avail, unsigned bits)
{
    struct in in = {.p = bytes, .avail = avail > INSN_MAX ? INSN_MAX : avail};
    bool mode64 = bits == 64;
    uint8_t b;
    char kind;

    memset(i, 0, sizeof *i);
    i->base = i->index = REG_NONE;
    i->seg = X86_DS;
    for (;;) {
        b = (uint8_t)take(&in, 1);
        if (in.more)
            return result(i, &in, avail);
        if (mode64 && (b & 0xf0) == 0x40) {
            i->rex = b;
            continue;
        }
        if (!legacy_prefix(i, b, mode64))
            break;
        i->rex = 0; /* only right before the opcode does it count */
    }
    i->op = b;
    if ((b == 0xc4 || b == 0xc5)) {
        bool bad = i->p66 || i->rep || i->lock || i->rex;

        if (take_vex(i, &in, mode64) && i->vex && !in.more && bad)
            i->vex_v = 0xff; /* #UD, but decoded to its end */
    }
    if (b == 0x0f) {
        i->map = MAP_0F;
        i->op = (uint8_t)take(&in, 1);
        if (i->op == 0x38 || i->op == 0x3a) {
            i->map = i->op == 0x38 ? MAP_0F38 : MAP_0F3A;
            i->op = (uint8_t)take(&in, 1);
        }
    }
    if (in.more)
        return result(i, &in, avail);
    set_sizes(i, bits);
    kind = opcode_kind(i, mode64);
    if (kind == 'm' || kind == 'B' || kind == 'Z' || kind == '3' || kind == '4')
        take_modrm(i, &in, mode64);
    fix_group5(i, bits);
    take_immediate(i, &in, kind);
    i->len = (uint8_t)in.pos;
    return result(i, &in, avail);
}
