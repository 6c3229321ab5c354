/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * translate: blocks of guest code to uops. Here the block loop, addressing and flag liveness;
 * translate_1b.c and translate_0f.c know the instructions.
 *
 * Flags that a later instruction of the block overwrites unread are not computed. After a
 * block all are taken to be read. A fault in between therefore may push flags that the program
 * itself is about to overwrite.
 */
#include "core/x86/translate.h"

#include "core/x86/block.h"

#include <string.h>

struct uop *xl_emit_nf(struct xl *x, uop_fn *f, uop_fn *nf, enum flag_use use)
{
    struct uop *u = &x->u[x->n];

    x->info[x->n] = (struct uop_info){.nf = nf, .use = (uint8_t)use};
    *u = (struct uop){
        .f = f, .b = OFS_ZERO, .x = OFS_ZERO, .seg = x->i.seg, .len = x->i.len, .idx = (uint8_t)x->n,
        .off = (uint16_t)x->off,
    };
    x->n++;
    return u;
}

struct uop *xl_emit(struct xl *x, uop_fn *f, enum flag_use use)
{
    return xl_emit_nf(x, f, NULL, use);
}

/* Branches count the block's instructions themselves, all other ends by a uop before them. */
static struct uop *last(struct xl *x, uop_fn *f)
{
    x->end = true;
    return xl_emit(x, f, FU_READ);
}

struct uop *xl_last(struct xl *x, uop_fn *f)
{
    xl_emit(x, h_count, FU_NONE);
    x->info[x->n - 1].branch = true;
    return last(x, f);
}

void xl_ud(struct xl *x)
{
    xl_last(x, h_ud);
}

unsigned xl_size(unsigned bytes)
{
    return bytes == 8 ? 3 : bytes == 4 ? 2 : bytes == 2 ? 1 : 0;
}

uint8_t xl_reg(const struct xl *x, unsigned r, unsigned bytes)
{
    if (bytes == 1 && !x->i.rex && r >= 4 && r < 8)
        return (uint8_t)((r - 4) * 8 + 1);
    return (uint8_t)(r * 8);
}

/* ---- addresses ---- */

static bool fits32(uint64_t v)
{
    return v == (uint64_t)(int64_t)(int32_t)v;
}

static void via_ea(struct xl *x, uop_fn *f, unsigned aux)
{
    struct uop *u = xl_emit(x, f, FU_NONE);

    xl_put_mem(x, u);
    u->aux = (uint16_t)aux;
    x->m = (struct mem){.b = OFS_EA, .x = OFS_ZERO};
}

static void mem64(struct xl *x, bool indexed)
{
    const struct insn *i = &x->i;

    if (i->riprel) {
        uint64_t ea = x->next_ip + (uint64_t)(int64_t)i->disp;

        if (i->adsize == 4)
            ea = (uint32_t)ea;
        if (i->seg != X86_FS && i->seg != X86_GS && fits32(ea)) {
            x->m = (struct mem){.b = OFS_ZERO, .x = OFS_ZERO, .disp = (int32_t)ea};
            return;
        }
        xl_emit(x, h_ea_const, FU_NONE)->imm = ea;
        x->m = (struct mem){.b = OFS_EA, .x = OFS_ZERO};
        if (i->seg == X86_FS || i->seg == X86_GS)
            via_ea(x, h_ea_base, 0);
        return;
    }
    if (i->adsize == 4)
        via_ea(x, h_ea_32, 0);
    else if (i->seg == X86_FS || i->seg == X86_GS || (x->m.indexed && !indexed))
        via_ea(x, h_ea_base, 0);
}

void xl_mem(struct xl *x, unsigned bytes, bool write, bool indexed)
{
    const struct insn *i = &x->i;

    x->m = (struct mem){
        .b = i->base == REG_NONE ? OFS_ZERO : (uint8_t)(i->base * 8),
        .x = i->index == REG_NONE ? OFS_ZERO : (uint8_t)(i->index * 8),
        .scale = i->scale, .disp = i->disp, .indexed = i->index != REG_NONE,
    };
    if (x->bits == 64)
        mem64(x, indexed);
    else if (x->mode & MODE_FLAT && i->adsize == 4 && i->seg != X86_FS && i->seg != X86_GS && i->seg != X86_CS)
        via_ea(x, h_ea_flat, 0);
    else
        via_ea(x, h_ea_seg, bytes | (write ? EA_WRITE : 0) | (i->adsize == 2 ? EA_A16 : 0));
}

void xl_put_mem(struct xl *x, struct uop *u)
{
    u->b = x->m.b;
    u->x = x->m.x;
    u->scale = x->m.scale;
    u->disp = x->m.disp;
}

uint8_t xl_rm_value(struct xl *x, unsigned bytes)
{
    static uop_fn *const load[4] = {h_load_tmp8, h_load_tmp16, h_load_tmp32, h_load_tmp64};

    if (x->i.mod == 3)
        return xl_reg(x, x->i.rm, bytes);
    xl_mem(x, bytes, false, true);
    xl_put_mem(x, xl_emit(x, load[xl_size(bytes)], FU_NONE));
    return OFS_TMP;
}

void xl_rm_store(struct xl *x, unsigned bytes, uint8_t ofs)
{
    struct uop *u;

    if (x->i.mod == 3) {
        u = xl_emit(x, h_mov[xl_size(bytes)][F_RR], FU_NONE);
        u->d = xl_reg(x, x->i.rm, bytes);
    } else {
        xl_mem(x, bytes, true, true);
        u = xl_emit(x, h_mov[xl_size(bytes)][x->m.indexed ? F_XR : F_MR], FU_NONE);
        xl_put_mem(x, u);
    }
    u->s = ofs;
}

struct uop *xl_branch(struct xl *x, uop_fn *f)
{
    struct uop *u = last(x, f);

    x->info[x->n - 1].branch = true;
    return u;
}

void xl_jump_next(struct xl *x)
{
    xl_branch(x, h_jmp);
}

/* ---- prefixes ---- */

/* LOCK is legal only on these, and only with a memory destination (SDM 2 LOCK); MOV CR8 aside. */
static bool lock_ok(const struct insn *i)
{
    unsigned sub = i->modrm >> 3 & 7;

    if (i->map == MAP_0F && (i->op == 0x20 || i->op == 0x22))
        return sub == 0; /* AMD: CR8 */
    if (i->mod == 3)
        return false;
    if (i->map == MAP_1B) {
        if (i->op < 0x38)
            return (i->op & 7) < 2;
        switch (i->op) {
        case 0x80: case 0x81: case 0x82: case 0x83: return sub != 7;
        case 0x86: case 0x87: return true;
        case 0xf6: case 0xf7: return sub == 2 || sub == 3;
        case 0xfe: case 0xff: return sub < 2;
        default: return false;
        }
    }
    if (i->map != MAP_0F)
        return false;
    switch (i->op) {
    case 0xab: case 0xb3: case 0xbb: case 0xb0: case 0xb1: case 0xc0: case 0xc1: return true;
    case 0xba: return sub > 4;
    case 0xc7: return sub == 1;
    default: return false;
    }
}

static void translate_insn(struct xl *x)
{
    if (x->i.lock && !lock_ok(&x->i)) {
        xl_ud(x);
        return;
    }
    if (x->i.vex) {
        xl_ud(x); /* neither AVX nor BMI are advertised */
        return;
    }
    switch (x->i.map) {
    case MAP_1B: xl_insn_1b(x); break;
    case MAP_0F: xl_insn_0f(x); break;
    case MAP_0F38: xl_insn_0f38(x); break;
    default: xl_insn_0f3a(x); break;
    }
}

/* ---- blocks ---- */

static void drop_dead_flags(struct xl *x)
{
    bool live = true;

    for (unsigned k = x->n; k-- > 0;) {
        const struct uop_info *in = &x->info[k];

        if (!live && in->nf && (in->use == FU_WRITE || in->use == FU_MERGE || in->use == FU_CARRY))
            x->u[k].f = in->nf;
        switch (in->use) {
        case FU_WRITE: live = false; break;
        case FU_CARRY: case FU_READ: live = true; break;
        default: break;
        }
    }
}

static unsigned code_bits(uint64_t mode)
{
    return (mode & MODE_CSIZE) == MODE_CS64 ? 64 : (mode & MODE_CSIZE) == MODE_CS32 ? 32 : 16;
}

static uint64_t next_ip(const struct xl *x, uint64_t lin)
{
    uint64_t ip = lin - (x->mode >> 32);

    return x->bits == 64 ? ip : x->bits == 32 ? (uint32_t)ip : (uint16_t)ip;
}

/* Decodes at `pos`. False: the instruction does not end here; the block ends before it. */
static bool decode_at(struct xl *x, unsigned pos, const uint8_t *code, unsigned avail, const uint8_t *code2)
{
    uint8_t joined[32];
    int len = insn_decode(&x->i, code + pos, avail - pos, x->bits);

    x->off = (unsigned)(x->lin & 0xfff) + pos;
    if (len == DECODE_MORE && code2 && pos == 0 && avail < 16) {
        memcpy(joined, code, avail);
        memcpy(joined + avail, code2, 16);
        len = insn_decode(&x->i, joined, avail + 16, x->bits);
    }
    if (len == DECODE_MORE)
        return false;
    if (len < 0) {
        x->i.len = 1;
        xl_last(x, len == DECODE_TOO_LONG ? h_too_long : h_ud);
        return true;
    }
    x->next_ip = next_ip(x, x->lin + pos + (unsigned)len);
    translate_insn(x);
    return true;
}

unsigned translate_block(struct scpu *c, uint64_t lin, uint64_t mode, const uint8_t *code,
                         unsigned avail, const uint8_t *code2, struct uop *u, unsigned *bytes,
                         unsigned *ninsns)
{
    struct xl x = {.c = c, .lin = lin, .mode = mode, .bits = code_bits(mode), .u = u};
    unsigned pos = 0, count = 0, last_off = 0;
    uint8_t last_len = 0;
    unsigned max = mode & MODE_SINGLE || code2 ? 1 : BLOCK_MAX_INSNS;

    if (code2) {
        x.off = (unsigned)(lin & 0xfff);
        xl_emit(&x, h_span, FU_NONE);
    }
    while (!x.end && count < max && x.n < BLOCK_MAX_UOPS - 16) {
        if (pos >= avail || !decode_at(&x, pos, code, avail, code2))
            break;
        pos += x.i.len;
        last_off = x.off;
        last_len = x.i.len;
        count++;
    }
    if (count == 0)
        return 0;
    if (!x.end) { /* on to the next instruction, wherever it is */
        x.off = last_off;
        x.i.len = last_len;
        xl_jump_next(&x);
    }
    for (unsigned k = 0; k < x.n; k++) {
        if (x.info[k].branch)
            x.u[k].x = (uint8_t)count;
    }
    drop_dead_flags(&x);
    pair_uops(x.u, x.n);
    *bytes = pos;
    *ninsns = count;
    return x.n;
}
