/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * translate_1b: the one-byte opcode map. SDM 2 appendix A, table A-2.
 */
#include "core/x86/translate.h"

/* ---- arithmetic ---- */

static enum flag_use alu_use(unsigned op)
{
    return op == ALU_ADC || op == ALU_SBB ? FU_CARRY : FU_WRITE;
}

static struct uop *alu(struct xl *x, unsigned op, unsigned bytes, enum form form)
{
    unsigned s = xl_size(bytes);
    uop_fn *nf = op == ALU_CMP || op == ALU_TEST ? NULL : h_alu[1][op][s][form];

    return xl_emit_nf(x, h_alu[0][op][s][form], nf, alu_use(op));
}

/* rm op= register `src` or, if that is 0xff, the immediate. */
static void alu_to_rm(struct xl *x, unsigned op, unsigned bytes, uint8_t src)
{
    bool imm = src == 0xff, writes = op != ALU_CMP && op != ALU_TEST;
    struct uop *u;

    if (x->i.mod == 3) {
        u = alu(x, op, bytes, imm ? F_RI : F_RR);
        u->d = xl_reg(x, x->i.rm, bytes);
    } else if (x->i.lock) {
        xl_mem(x, bytes, true, false);
        u = xl_emit(x, h_alu_lock[op][xl_size(bytes)][imm], alu_use(op));
        xl_put_mem(x, u);
    } else {
        xl_mem(x, bytes, writes, true);
        u = alu(x, op, bytes, x->m.indexed ? (imm ? F_XI : F_XR) : (imm ? F_MI : F_MR));
        xl_put_mem(x, u);
    }
    if (imm)
        u->imm = x->i.imm;
    else
        u->s = src;
}

static void alu_to_reg(struct xl *x, unsigned op, unsigned bytes)
{
    struct uop *u;

    if (x->i.mod == 3) {
        u = alu(x, op, bytes, F_RR);
        u->s = xl_reg(x, x->i.rm, bytes);
    } else {
        xl_mem(x, bytes, false, true);
        u = alu(x, op, bytes, x->m.indexed ? F_RX : F_RM);
        xl_put_mem(x, u);
    }
    u->d = xl_reg(x, x->i.reg, bytes);
}

static void alu_acc(struct xl *x, unsigned op, unsigned bytes)
{
    struct uop *u = alu(x, op, bytes, F_RI);

    u->d = X86_RAX * 8;
    u->imm = x->i.imm;
}

static unsigned op_bytes(const struct xl *x)
{
    return x->i.op & 1 ? x->i.opsize : 1;
}

static void insn_alu(struct xl *x)
{
    unsigned op = x->i.op >> 3, bytes = op_bytes(x);

    switch (x->i.op & 7) {
    case 0: case 1: alu_to_rm(x, op, bytes, xl_reg(x, x->i.reg, bytes)); break;
    case 2: case 3: alu_to_reg(x, op, bytes); break;
    default: alu_acc(x, op, bytes); break;
    }
}

static void unary(struct xl *x, unsigned op, unsigned bytes)
{
    unsigned s = xl_size(bytes);
    enum flag_use use = op == UN_NOT ? FU_NONE : op == UN_NEG ? FU_WRITE : FU_MERGE;
    struct uop *u;

    if (x->i.mod == 3) {
        u = xl_emit_nf(x, h_un[0][op][s][0], h_un[1][op][s][0], use);
        u->d = xl_reg(x, x->i.rm, bytes);
        return;
    }
    xl_mem(x, bytes, true, !x->i.lock);
    if (x->i.lock)
        u = xl_emit(x, h_un_lock[op][s], use);
    else
        u = xl_emit_nf(x, h_un[0][op][s][x->m.indexed ? 2 : 1], h_un[1][op][s][x->m.indexed ? 2 : 1], use);
    xl_put_mem(x, u);
}

static void group3(struct xl *x)
{
    unsigned bytes = op_bytes(x), sub = x->i.modrm >> 3 & 7, s = xl_size(bytes);
    uop_fn *f;
    uint8_t ofs;

    switch (sub) {
    case 0: case 1: alu_to_rm(x, ALU_TEST, bytes, 0xff); return;
    case 2: unary(x, UN_NOT, bytes); return;
    case 3: unary(x, UN_NEG, bytes); return;
    case 4: f = h_mul[s]; break;
    case 5: f = h_imul1[s]; break;
    case 6: f = h_div[s]; break;
    default: f = h_idiv[s]; break;
    }
    ofs = xl_rm_value(x, bytes);
    xl_emit_nf(x, f, sub == 4 ? h_mul_nf[s] : NULL, FU_MERGE)->s = ofs;
}

static void shift(struct xl *x)
{
    unsigned bytes = op_bytes(x), s = xl_size(bytes), sub = x->i.modrm >> 3 & 7;
    bool by_cl = (x->i.op & 0xfe) == 0xd2;
    unsigned count = (x->i.op & 0xfe) == 0xd0 ? 1 : x->i.imm & (bytes == 8 ? 63 : 31);
    bool rotate = sub < SH_SHL;
    struct uop *u;

    if (x->i.mod == 3) {
        uop_fn *nf = !by_cl && count && bytes >= 4 ? h_shift_nf[sub][s] : NULL;
        uop_fn *f;
        enum flag_use use = by_cl || count == 0 ? FU_MERGE
                            : sub == SH_RCL || sub == SH_RCR ? FU_CARRY : rotate ? FU_MERGE : FU_WRITE;

        if (sub == SH_RCL || sub == SH_RCR)
            use = FU_CARRY;
        f = use == FU_WRITE ? h_shift_imm[sub][s] : h_shift[sub][s][by_cl];
        u = xl_emit_nf(x, f, nf, use);
        u->d = xl_reg(x, x->i.rm, bytes);
    } else {
        xl_mem(x, bytes, true, false);
        u = xl_emit(x, h_shift[sub][s][2 + by_cl], FU_CARRY);
        xl_put_mem(x, u);
    }
    u->imm = count;
}

static void imul3(struct xl *x)
{
    unsigned bytes = x->i.opsize;
    uint8_t ofs = xl_rm_value(x, bytes);
    unsigned sz = xl_size(bytes);
    struct uop *u = xl_emit_nf(x, h_imul3[0][sz], h_imul3[1][sz], FU_MERGE);

    u->s = ofs;
    u->d = xl_reg(x, x->i.reg, bytes);
    u->imm = x->i.imm;
}

/* ---- moves ---- */

static void mov_reg_rm(struct xl *x, unsigned bytes)
{
    unsigned s = xl_size(bytes);
    struct uop *u;

    if (x->i.mod == 3) {
        u = xl_emit(x, h_mov[s][F_RR], FU_NONE);
        u->s = xl_reg(x, x->i.rm, bytes);
    } else {
        xl_mem(x, bytes, false, true);
        u = xl_emit(x, h_mov[s][x->m.indexed ? F_RX : F_RM], FU_NONE);
        xl_put_mem(x, u);
    }
    u->d = xl_reg(x, x->i.reg, bytes);
}

static void mov_rm_imm(struct xl *x, unsigned bytes)
{
    unsigned s = xl_size(bytes);
    struct uop *u;

    if ((x->i.modrm & 0x38) != 0) {
        xl_ud(x);
        return;
    }
    if (x->i.mod == 3) {
        u = xl_emit(x, h_mov[s][F_RI], FU_NONE);
        u->d = xl_reg(x, x->i.rm, bytes);
    } else {
        xl_mem(x, bytes, true, true);
        u = xl_emit(x, h_mov[s][x->m.indexed ? F_XI : F_MI], FU_NONE);
        xl_put_mem(x, u);
    }
    u->imm = x->i.imm;
}

static void mov_reg_imm(struct xl *x, unsigned bytes)
{
    struct uop *u = xl_emit(x, h_mov[xl_size(bytes)][F_RI], FU_NONE);

    u->d = xl_reg(x, (x->i.op & 7) | (x->i.rex & 1) << 3, bytes);
    u->imm = x->i.imm;
}

/* A0-A3: an absolute offset of the address size. */
static void mov_moffs(struct xl *x)
{
    unsigned bytes = op_bytes(x), s = xl_size(bytes);
    bool store = x->i.op & 2;
    struct uop *u;

    if (x->bits == 64) {
        xl_emit(x, h_ea_const, FU_NONE)->imm = x->i.imm;
        x->m = (struct mem){.b = OFS_EA, .x = OFS_ZERO};
        u = xl_emit(x, h_ea_base, FU_NONE);
    } else {
        u = xl_emit(x, h_ea_seg, FU_NONE);
        x->m = (struct mem){.b = OFS_ZERO, .x = OFS_ZERO, .disp = (int32_t)x->i.imm};
        u->aux = (uint16_t)(bytes | (store ? EA_WRITE : 0) | (x->i.adsize == 2 ? EA_A16 : 0));
    }
    xl_put_mem(x, u);
    x->m = (struct mem){.b = OFS_EA, .x = OFS_ZERO};
    u = xl_emit(x, h_mov[s][store ? F_MR : F_RM], FU_NONE);
    xl_put_mem(x, u);
    u->d = u->s = X86_RAX * 8;
}

static void lea(struct xl *x)
{
    struct insn *i = &x->i;
    unsigned s = xl_size(i->opsize);
    struct uop *u;

    if (i->mod == 3) {
        xl_ud(x);
        return;
    }
    if (x->bits == 64 && i->adsize == 8 && !i->riprel) {
        i->seg = X86_DS;
        xl_mem(x, 0, false, true);
        u = xl_emit(x, h_lea[s][x->m.indexed], FU_NONE);
        xl_put_mem(x, u);
        u->d = xl_reg(x, i->reg, i->opsize);
        return;
    }
    u = xl_emit(x, h_ea_lea, FU_NONE);
    u->imm = i->adsize == 2 ? 0xffff : i->adsize == 4 ? 0xffffffff : ~0ull;
    u->b = i->base == REG_NONE ? OFS_ZERO : (uint8_t)(i->base * 8);
    u->x = i->index == REG_NONE ? OFS_ZERO : (uint8_t)(i->index * 8);
    u->scale = i->scale;
    u->disp = i->disp;
    if (i->riprel) {
        u->f = h_ea_const;
        u->imm = (x->next_ip + (uint64_t)(int64_t)i->disp) & (i->adsize == 4 ? 0xffffffff : ~0ull);
    }
    u = xl_emit(x, h_mov[s][F_RR], FU_NONE);
    u->d = xl_reg(x, i->reg, i->opsize);
    u->s = OFS_EA;
}

static void xchg_rm(struct xl *x)
{
    unsigned bytes = op_bytes(x), s = xl_size(bytes);
    struct uop *u;

    if (x->i.mod == 3) {
        u = xl_emit(x, h_xchg[s][0], FU_NONE);
        u->d = xl_reg(x, x->i.rm, bytes);
    } else {
        xl_mem(x, bytes, true, false);
        u = xl_emit(x, h_xchg[s][1], FU_NONE);
        xl_put_mem(x, u);
    }
    u->s = xl_reg(x, x->i.reg, bytes);
}

static void xchg_acc(struct xl *x)
{
    unsigned r = (x->i.op & 7) | (x->i.rex & 1) << 3, bytes = x->i.opsize;
    struct uop *u;

    if (r == X86_RAX) {
        xl_emit(x, x->i.rep == 0xf3 ? h_pause : h_nop, FU_NONE);
        return;
    }
    u = xl_emit(x, h_xchg[xl_size(bytes)][0], FU_NONE);
    u->d = X86_RAX * 8;
    u->s = xl_reg(x, r, bytes);
}

static void arpl(struct xl *x)
{
    struct uop *u;

    if (!(x->mode & MODE_PE) || x->mode & MODE_VM86) {
        xl_ud(x);
        return;
    }
    if (x->i.mod == 3) {
        u = xl_emit(x, h_arpl_r, FU_MERGE);
        u->d = xl_reg(x, x->i.rm, 2);
    } else {
        xl_mem(x, 2, false, true);
        u = xl_emit(x, h_arpl_m, FU_MERGE);
        xl_put_mem(x, u);
    }
    u->s = xl_reg(x, x->i.reg, 2);
}

static void movsxd(struct xl *x)
{
    struct uop *u;
    unsigned s = xl_size(x->i.opsize);

    if (x->bits != 64) {
        arpl(x);
        return;
    }
    if (x->i.mod == 3) {
        u = xl_emit(x, h_movsx[2][s][0], FU_NONE);
        u->s = xl_reg(x, x->i.rm, 4);
    } else {
        xl_mem(x, 4, false, true);
        u = xl_emit(x, h_movsx[2][s][x->m.indexed ? 2 : 1], FU_NONE);
        xl_put_mem(x, u);
    }
    u->d = xl_reg(x, x->i.reg, x->i.opsize);
}

/* ---- stack ---- */

static bool stack64(const struct xl *x)
{
    return x->bits == 64 && x->i.opsize == 8;
}

static void push_reg(struct xl *x, uint8_t ofs)
{
    struct uop *u = xl_emit(x, stack64(x) ? h_push64 : h_push, FU_NONE);

    u->s = ofs;
    u->aux = x->i.opsize;
    u->seg = X86_SS;
}

static void pop_reg(struct xl *x, unsigned r)
{
    struct uop *u = xl_emit(x, stack64(x) ? h_pop64 : h_pop, FU_NONE);

    u->d = xl_reg(x, r, 8);
    u->aux = x->i.opsize;
    u->seg = X86_SS;
}

static void push_imm(struct xl *x)
{
    struct uop *u = xl_emit(x, stack64(x) ? h_push64i : h_pushi, FU_NONE);

    u->imm = x->i.imm;
    u->aux = x->i.opsize;
    u->seg = X86_SS;
}

static void pop_rm(struct xl *x)
{
    struct insn *i = &x->i;
    struct uop *u;

    if (i->modrm & 0x38) {
        xl_ud(x);
        return;
    }
    if (i->mod == 3) {
        pop_reg(x, i->rm);
        return;
    }
    u = xl_emit(x, h_popm, FU_NONE);
    u->b = i->base == REG_NONE ? OFS_ZERO : (uint8_t)(i->base * 8);
    u->x = i->index == REG_NONE ? OFS_ZERO : (uint8_t)(i->index * 8);
    u->scale = (uint8_t)(i->scale | i->adsize << 4);
    u->disp = i->disp;
    u->aux = i->opsize;
    u->imm = i->riprel ? x->next_ip : 0;
}

static void simple_sized(struct xl *x, uop_fn *f, enum flag_use use)
{
    xl_emit(x, f, use)->aux = x->i.opsize;
}

void xl_push_seg(struct xl *x, unsigned seg)
{
    struct uop *u = xl_emit(x, h_push_seg, FU_NONE);

    u->s = (uint8_t)seg;
    u->aux = x->i.opsize;
}

void xl_pop_seg(struct xl *x, unsigned seg)
{
    struct uop *u = xl_last(x, h_pop_seg);

    u->d = (uint8_t)seg;
    u->aux = x->i.opsize;
}

/* ---- branches ---- */

/* Displacement and width of a relative branch. */
static void set_target(struct xl *x, struct uop *u)
{
    u->disp = (int32_t)x->i.imm;
    u->aux = x->i.opsize;
}

/* Makes one uop of the compare that was just emitted and this jump. */
static bool fuse_jcc(struct xl *x, unsigned cc)
{
    static const uint8_t op[FUSED_OPS] = {[FUSED_CMP] = ALU_CMP, [FUSED_TEST] = ALU_TEST};
    struct uop *u = x->n ? &x->u[x->n - 1] : NULL;

    if (!u || x->i.opsize == 2 || u->off + u->len != x->off)
        return false;
    for (unsigned k = 0; k < FUSED_OPS * 4; k++) {
        unsigned form = k >> 1 & 1, wide = k & 1, o = k >> 2;

        if (u->f != h_alu[0][op[o]][2 + wide][form ? F_RI : F_RR])
            continue;
        if (form && u->imm != (uint64_t)(int64_t)(int16_t)u->imm)
            return false;
        if (form) {
            u->s = (uint8_t)u->imm;
            u->b = (uint8_t)(u->imm >> 8);
        }
        u->f = h_fused[o][form][wide][cc][0];
        u->imm = 0;
        u->len = (uint8_t)(u->len + x->i.len);
        set_target(x, u);
        x->info[x->n - 1].branch = true;
        x->end = true;
        return true;
    }
    return false;
}

void xl_jcc(struct xl *x, unsigned cc)
{
    if (!fuse_jcc(x, cc))
        set_target(x, xl_branch(x, h_jcc[cc]));
    xl_jump_next(x);
}

static void jump(struct xl *x)
{
    set_target(x, xl_branch(x, h_jmp));
}

static void call(struct xl *x)
{
    struct uop *u = xl_branch(x, stack64(x) ? h_call64 : h_call);

    set_target(x, u);
    u->seg = X86_SS;
}

static void ret(struct xl *x)
{
    struct uop *u = xl_branch(x, stack64(x) ? h_ret64 : h_ret);

    u->seg = X86_SS;
    u->imm = x->i.op == 0xc2 ? x->i.imm : 0;
    u->aux = x->i.opsize;
}

static void loop(struct xl *x)
{
    unsigned kind = x->i.op & 3;
    struct uop *u;

    if (kind < 2 && x->i.rep) /* seen on AMD: a REP prefix says which ZF goes on */
        kind = x->i.rep == 0xf3;
    u = xl_branch(x, h_loop[kind]);
    set_target(x, u);
    u->s = x->i.adsize;
    xl_jump_next(x);
}

static void far_mem(struct xl *x, uop_fn *f)
{
    struct uop *u;

    if (x->i.mod == 3) {
        xl_ud(x);
        return;
    }
    xl_mem(x, x->i.opsize + 2u, false, true);
    u = xl_last(x, f);
    xl_put_mem(x, u);
    u->aux = x->i.opsize;
}

static void group_ff(struct xl *x)
{
    unsigned bytes = op_bytes(x), sub = x->i.modrm >> 3 & 7;
    struct uop *u;
    uint8_t ofs;

    if (sub < 2) {
        unary(x, sub == 0 ? UN_INC : UN_DEC, bytes);
        return;
    }
    if (x->i.op == 0xfe || sub == 7) {
        xl_ud(x);
        return;
    }
    if (sub == 3 || sub == 5) {
        far_mem(x, sub == 3 ? h_call_far_mem : h_jmp_far_mem);
        return;
    }
    ofs = xl_rm_value(x, bytes);
    if (sub == 6) {
        push_reg(x, ofs);
        return;
    }
    u = xl_branch(x, sub == 2 ? h_call_reg : h_jmp_reg);
    u->s = ofs;
    u->aux = (uint16_t)bytes;
}

static void far_direct(struct xl *x, uop_fn *f)
{
    struct uop *u;

    if (x->bits == 64) {
        xl_ud(x);
        return;
    }
    u = xl_last(x, f);
    u->imm = x->i.imm | (uint64_t)x->i.imm2 << 32;
    u->aux = x->i.opsize;
}

/* ---- strings, ports ---- */

static void string(struct xl *x, uop_fn *f)
{
    unsigned bytes = op_bytes(x);
    struct uop *u;

    if (bytes == 8 && (f == h_ins || f == h_outs))
        bytes = 4;
    u = xl_emit(x, f, f == h_cmps || f == h_scas ? FU_READ : FU_NONE);
    u->d = (uint8_t)bytes;
    u->aux = x->i.adsize;
    u->scale = x->i.rep == 0xf3 ? 3 : x->i.rep == 0xf2 ? 2 : 0;
}

static void port(struct xl *x, uop_fn *f)
{
    struct uop *u = xl_emit(x, f, FU_READ);
    unsigned bytes = op_bytes(x);

    u->aux = (uint16_t)(bytes == 8 ? 4 : bytes);
    u->imm = x->i.imm & 0xff;
}

static void xlat(struct xl *x)
{
    struct insn *i = &x->i;
    struct uop *u = xl_emit(x, h_movzx[0][3][0], FU_NONE);

    u->d = OFS_TMP;
    u->s = X86_RAX * 8;
    if (x->bits == 64) {
        u = xl_emit(x, i->adsize == 4 ? h_ea_32 : h_ea_base, FU_NONE);
    } else {
        u = xl_emit(x, h_ea_seg, FU_NONE);
        u->aux = (uint16_t)(1 | (i->adsize == 2 ? EA_A16 : 0));
    }
    u->b = X86_RBX * 8;
    u->x = OFS_TMP;
    xl_emit(x, h_xlat, FU_NONE);
}

static void mov_seg(struct xl *x)
{
    unsigned seg = x->i.modrm >> 3 & 7;
    struct uop *u;
    uint8_t ofs;

    if (seg > X86_GS || (x->i.op == 0x8e && seg == X86_CS)) {
        xl_ud(x);
        return;
    }
    if (x->i.op == 0x8e) {
        ofs = xl_rm_value(x, 2);
        u = xl_last(x, h_mov_to_seg);
        u->s = ofs;
        u->d = (uint8_t)seg;
        return;
    }
    u = xl_emit(x, h_mov_from_seg, FU_NONE); /* to tmp */
    u->s = (uint8_t)seg;
    xl_rm_store(x, x->i.mod == 3 ? x->i.opsize : 2, OFS_TMP);
}

void xl_load_far(struct xl *x, unsigned seg)
{
    struct uop *u;

    if (x->i.mod == 3) {
        xl_ud(x);
        return;
    }
    xl_mem(x, x->i.opsize + 2u, false, true);
    u = xl_last(x, h_load_far);
    xl_put_mem(x, u);
    u->d = xl_reg(x, x->i.reg, 8);
    u->s = (uint8_t)seg;
    u->aux = x->i.opsize;
}

static void bound(struct xl *x)
{
    struct uop *u;

    if (x->bits == 64 || x->i.mod == 3) {
        xl_ud(x);
        return;
    }
    xl_mem(x, x->i.opsize * 2u, false, true);
    u = xl_emit(x, h_bound, FU_READ);
    xl_put_mem(x, u);
    u->d = xl_reg(x, x->i.reg, 8);
    u->aux = x->i.opsize;
}

static void software_int(struct xl *x, uop_fn *f)
{
    xl_last(x, f)->imm = x->i.imm & 0xff;
}

static void legacy_acc(struct xl *x, uop_fn *f)
{
    if (x->bits == 64) {
        xl_ud(x);
        return;
    }
    xl_emit(x, f, FU_READ)->imm = x->i.imm;
}

/* CBW CWDE CDQE / CWD CDQ CQO */
static void extend_acc(struct xl *x)
{
    static uop_fn *const f[2][4] = {{NULL, h_cbw, h_cwde, h_cdqe}, {NULL, h_cwd, h_cdq, h_cqo}};

    xl_emit(x, f[x->i.op & 1][xl_size(x->i.opsize)], FU_NONE);
}

/* 06-3F with low bits 6 and 7: segment pushes and decimal adjustments. */
static void low_specials(struct xl *x)
{
    if (x->bits == 64) {
        xl_ud(x);
        return;
    }
    switch (x->i.op) {
    case 0x06: case 0x0e: case 0x16: case 0x1e: xl_push_seg(x, x->i.op >> 3); break;
    case 0x07: case 0x17: case 0x1f: xl_pop_seg(x, x->i.op >> 3); break;
    case 0x27: xl_emit(x, h_daa, FU_READ); break;
    case 0x2f: xl_emit(x, h_das, FU_READ); break;
    case 0x37: xl_emit(x, h_aaa, FU_READ); break;
    case 0x3f: xl_emit(x, h_aas, FU_READ); break;
    default: xl_ud(x);
    }
}

static void inc_dec_reg(struct xl *x)
{
    x->i.mod = 3;
    x->i.rm = x->i.op & 7;
    unary(x, x->i.op < 0x48 ? UN_INC : UN_DEC, x->i.opsize);
}

static void row_60(struct xl *x)
{
    switch (x->i.op) {
    case 0x60: case 0x61:
        if (x->bits == 64)
            xl_ud(x);
        else
            simple_sized(x, x->i.op == 0x60 ? h_pusha : h_popa, FU_NONE);
        break;
    case 0x62: bound(x); break;
    case 0x63: movsxd(x); break;
    case 0x68: case 0x6a: push_imm(x); break;
    case 0x69: case 0x6b: imul3(x); break;
    case 0x6c: case 0x6d: string(x, h_ins); break;
    case 0x6e: case 0x6f: string(x, h_outs); break;
    default: xl_ud(x);
    }
}

static void row_80(struct xl *x)
{
    unsigned bytes = op_bytes(x);

    switch (x->i.op) {
    case 0x82:
        if (x->bits == 64) {
            xl_ud(x);
            break;
        }
        /* fall through */
    case 0x80: case 0x81: case 0x83: alu_to_rm(x, x->i.modrm >> 3 & 7, bytes, 0xff); break;
    case 0x84: case 0x85: alu_to_rm(x, ALU_TEST, bytes, xl_reg(x, x->i.reg, bytes)); break;
    case 0x86: case 0x87: xchg_rm(x); break;
    case 0x88: case 0x89: xl_rm_store(x, bytes, xl_reg(x, x->i.reg, bytes)); break;
    case 0x8a: case 0x8b: mov_reg_rm(x, bytes); break;
    case 0x8c: case 0x8e: mov_seg(x); break;
    case 0x8d: lea(x); break;
    default: pop_rm(x);
    }
}

static void row_90(struct xl *x)
{
    switch (x->i.op) {
    case 0x98: case 0x99: extend_acc(x); break;
    case 0x9a: far_direct(x, h_call_far); break;
    case 0x9b:
        if (!xl_fpu(x))
            xl_ud(x);
        break;
    case 0x9c: simple_sized(x, h_pushf, FU_READ); break;
    case 0x9d: xl_last(x, h_popf)->aux = x->i.opsize; break;
    case 0x9e: xl_emit(x, h_sahf, FU_MERGE); break;
    case 0x9f: xl_emit(x, h_lahf, FU_READ); break;
    default: xchg_acc(x);
    }
}

static void row_a0(struct xl *x)
{
    switch (x->i.op) {
    case 0xa0: case 0xa1: case 0xa2: case 0xa3: mov_moffs(x); break;
    case 0xa4: case 0xa5: string(x, h_movs); break;
    case 0xa6: case 0xa7: string(x, h_cmps); break;
    case 0xa8: case 0xa9: alu_acc(x, ALU_TEST, op_bytes(x)); break;
    case 0xaa: case 0xab: string(x, h_stos); break;
    case 0xac: case 0xad: string(x, h_lods); break;
    default: string(x, h_scas);
    }
}

static void enter(struct xl *x)
{
    struct uop *u = xl_emit(x, h_enter, FU_NONE);

    u->imm = x->i.imm;
    u->aux = (uint16_t)(x->i.opsize | x->i.imm2 << 8);
}

static void row_c0(struct xl *x)
{
    switch (x->i.op) {
    case 0xc0: case 0xc1: shift(x); break;
    case 0xc2: case 0xc3: ret(x); break;
    case 0xc4: xl_load_far(x, X86_ES); break;
    case 0xc5: xl_load_far(x, X86_DS); break;
    case 0xc6: case 0xc7: mov_rm_imm(x, op_bytes(x)); break;
    case 0xc8: enter(x); break;
    case 0xc9:
        x->i.seg = X86_SS;
        simple_sized(x, stack64(x) ? h_leave64 : h_leave, FU_NONE);
        break;
    case 0xca: case 0xcb: {
        struct uop *u = xl_last(x, h_ret_far);

        u->imm = x->i.op == 0xca ? x->i.imm : 0;
        u->aux = x->i.opsize;
        break;
    }
    case 0xcc: xl_last(x, h_int3); break;
    case 0xcd: software_int(x, h_int); break;
    case 0xce:
        if (x->bits == 64)
            xl_ud(x);
        else
            xl_last(x, h_into);
        break;
    default: xl_last(x, h_iret)->aux = x->i.opsize;
    }
}

static void row_d0(struct xl *x)
{
    switch (x->i.op) {
    case 0xd0: case 0xd1: case 0xd2: case 0xd3: shift(x); break;
    case 0xd4: legacy_acc(x, h_aam); break;
    case 0xd5: legacy_acc(x, h_aad); break;
    case 0xd6: legacy_acc(x, h_salc); break;
    case 0xd7: xlat(x); break;
    default:
        if (!xl_fpu(x))
            xl_ud(x);
    }
}

static void row_e0(struct xl *x)
{
    switch (x->i.op) {
    case 0xe4: case 0xe5: port(x, h_in); break;
    case 0xe6: case 0xe7: port(x, h_out); break;
    case 0xe8: call(x); break;
    case 0xe9: case 0xeb: jump(x); break;
    case 0xea: far_direct(x, h_jmp_far); break;
    case 0xec: case 0xed: port(x, h_in_dx); break;
    case 0xee: case 0xef: port(x, h_out_dx); break;
    default: loop(x);
    }
}

static void row_f0(struct xl *x)
{
    switch (x->i.op) {
    case 0xf1: xl_last(x, h_int1); break;
    case 0xf4: xl_last(x, h_hlt); break;
    case 0xf5: xl_emit(x, h_cmc, FU_READ); break;
    case 0xf6: case 0xf7: group3(x); break;
    case 0xf8: xl_emit(x, h_clc, FU_MERGE); break;
    case 0xf9: xl_emit(x, h_stc, FU_MERGE); break;
    case 0xfa: xl_emit(x, h_cli, FU_READ); break;
    case 0xfb: xl_last(x, h_sti); break;
    case 0xfc: xl_emit(x, h_cld, FU_NONE); break;
    case 0xfd: xl_emit(x, h_std, FU_NONE); break;
    default: group_ff(x);
    }
}

void xl_insn_1b(struct xl *x)
{
    unsigned op = x->i.op;

    if (op < 0x40) {
        if ((op & 7) >= 6)
            low_specials(x);
        else
            insn_alu(x);
        return;
    }
    switch (op >> 4) {
    case 0x4: inc_dec_reg(x); break;
    case 0x5:
        if (op < 0x58)
            push_reg(x, xl_reg(x, (op & 7) | (x->i.rex & 1) << 3, 8));
        else
            pop_reg(x, (op & 7) | (x->i.rex & 1) << 3);
        break;
    case 0x6: row_60(x); break;
    case 0x7: xl_jcc(x, op & 15); break;
    case 0x8: row_80(x); break;
    case 0x9: row_90(x); break;
    case 0xa: row_a0(x); break;
    case 0xb: mov_reg_imm(x, op < 0xb8 ? 1 : x->i.opsize); break;
    case 0xc: row_c0(x); break;
    case 0xd: row_d0(x); break;
    case 0xe: row_e0(x); break;
    default: row_f0(x);
    }
}
