/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * translate_0f: the two-byte opcode map and the integer instructions of 0F38 and 0F3A. SDM 2
 * appendix A, tables. What is not here is asked of fpu_lookup.
 */
#include "core/x86/svm.h"
#include "core/x86/translate.h"

static unsigned sub(const struct xl *x)
{
    return x->i.modrm >> 3 & 7;
}

static bool protected_mode(const struct xl *x)
{
    return x->mode & MODE_PE && !(x->mode & MODE_VM86);
}

/* A system uop on a memory operand of `bytes`, or #UD if it is a register. */
static struct uop *sys_mem(struct xl *x, uop_fn *f, unsigned bytes, bool write, bool last)
{
    struct uop *u;

    if (x->i.mod == 3) {
        xl_ud(x);
        return NULL;
    }
    if (last)
        xl_emit(x, h_cpl0, FU_READ); /* comes before a fault of the operand */
    xl_mem(x, bytes, write, true);
    u = last ? xl_last(x, f) : xl_emit(x, f, FU_READ);
    xl_put_mem(x, u);
    return u;
}

/* A system uop that reads a 16-bit selector or word; `last`: a privileged one. */
static struct uop *sys_word(struct xl *x, uop_fn *f, bool last)
{
    uint8_t ofs;
    struct uop *u;

    if (last)
        xl_emit(x, h_cpl0, FU_READ); /* comes before a fault of the operand */
    ofs = xl_rm_value(x, 2);
    u = last ? xl_last(x, f) : xl_emit(x, f, FU_READ);
    u->s = ofs;
    return u;
}

static void group6(struct xl *x)
{
    if (!protected_mode(x) || sub(x) > 5) {
        xl_ud(x);
        return;
    }
    switch (sub(x)) {
    case 0: case 1: { /* SLDT, STR: value to tmp */
        struct uop *u = xl_emit(x, h_sldt_str, FU_READ);

        u->d = sub(x) == 0 ? X86_LDTR : X86_TR;
        xl_rm_store(x, x->i.mod == 3 ? x->i.opsize : 2, OFS_TMP);
        break;
    }
    case 2: sys_word(x, h_lldt, true); break;
    case 3: sys_word(x, h_ltr, true); break;
    default: sys_word(x, h_verr_verw, false)->d = sub(x) == 5; break;
    }
}

/* 0F 01 with a register operand: one instruction per byte. */
static void group7_reg(struct xl *x)
{
    switch (x->i.modrm) {
    case 0xd9: xl_last(x, h_vmcall); break; /* VMMCALL; VMCALL is Intel's */
    case 0xca: case 0xcb:
        if (x->i.p66 || x->i.rep)
            xl_ud(x);
        else
            xl_last(x, h_stac_clac)->d = x->i.modrm == 0xcb;
        break;
    case 0xf8:
        if (x->bits == 64)
            xl_last(x, h_swapgs);
        else
            xl_ud(x);
        break;
    case 0xf9: xl_emit(x, h_rdtscp, FU_READ); break;
    default: xl_ud(x); /* MONITOR, MWAIT, XGETBV, CLZERO...: not advertised */
    }
}

static void group7(struct xl *x)
{
    struct uop *u;

    if (sub(x) == 4) { /* SMSW: value to tmp */
        xl_emit(x, h_smsw, FU_READ);
        xl_rm_store(x, x->i.mod == 3 ? x->i.opsize : 2, OFS_TMP);
        return;
    }
    if (sub(x) == 6) {
        sys_word(x, h_lmsw, true);
        return;
    }
    if (x->i.mod == 3) {
        group7_reg(x);
        return;
    }
    switch (sub(x)) {
    case 0: case 1:
        u = sys_mem(x, h_sgdt, x->bits == 64 ? 10 : 6, true, false);
        u->d = sub(x) == 1;
        break;
    case 2: case 3:
        u = sys_mem(x, h_lgdt, x->bits == 64 ? 10 : 6, false, true);
        u->d = sub(x) == 3;
        u->aux = x->i.opsize;
        break;
    case 7: sys_mem(x, h_invlpg, 1, false, true); break;
    default: xl_ud(x);
    }
}

static void lar_lsl(struct xl *x)
{
    struct uop *u;

    if (!protected_mode(x)) {
        xl_ud(x);
        return;
    }
    u = sys_word(x, h_lar_lsl, false);
    u->d = xl_reg(x, x->i.reg, 8);
    u->aux = x->i.opsize;
    u->imm = x->i.op == 0x03;
}

static void control_reg(struct xl *x)
{
    bool to = x->i.op & 2, debug = x->i.op & 1;
    unsigned r = x->i.reg;
    struct uop *u;

    if (x->i.lock && !debug) /* AMD's alternative encoding of CR8 */
        r = 8;
    if (debug ? r > 7 : r != 0 && r != 2 && r != 3 && r != 4 && r != 8) {
        xl_ud(x);
        return;
    }
    if (to)
        u = xl_last(x, debug ? h_mov_to_dr : h_mov_to_cr);
    else
        u = xl_emit(x, debug ? h_mov_from_dr : h_mov_from_cr, FU_READ);
    u->d = u->s = (uint8_t)(x->i.rm * 8);
    u->aux = (uint16_t)r;
}

static void cmov(struct xl *x)
{
    uint8_t ofs = xl_rm_value(x, x->i.opsize);
    struct uop *u = xl_emit(x, h_cmov[x->i.op & 15][xl_size(x->i.opsize)], FU_READ);

    u->s = ofs;
    u->d = xl_reg(x, x->i.reg, x->i.opsize);
}

static void setcc(struct xl *x)
{
    struct uop *u;

    if (x->i.mod == 3) {
        u = xl_emit(x, h_setcc[x->i.op & 15][0], FU_READ);
        u->d = xl_reg(x, x->i.rm, 1);
        return;
    }
    xl_mem(x, 1, true, true);
    u = xl_emit(x, h_setcc[x->i.op & 15][1], FU_READ);
    xl_put_mem(x, u);
}

/* The effective address with a bit offset from a register, as base register "tmp". */
static void bit_base(struct xl *x)
{
    struct insn *i = &x->i;
    struct uop *u = xl_emit(x, h_bit_ea, FU_NONE);

    u->b = i->base == REG_NONE ? OFS_ZERO : (uint8_t)(i->base * 8);
    u->x = i->index == REG_NONE ? OFS_ZERO : (uint8_t)(i->index * 8);
    u->scale = i->scale;
    u->disp = i->disp;
    u->imm = i->riprel ? x->next_ip : 0;
    u->s = xl_reg(x, i->reg, 8);
    u->aux = i->opsize;
    i->base = OFS_TMP / 8;
    i->index = REG_NONE;
    i->scale = 0;
    i->disp = 0;
    i->riprel = false;
}

enum { BIT_OF_REG, BIT_IMM, BIT_IN_ADDRESS };

static void bit_test(struct xl *x, unsigned op, bool imm)
{
    unsigned bytes = x->i.opsize, s = xl_size(bytes), form = imm ? BIT_IMM : BIT_OF_REG;
    struct uop *u;

    if (x->i.mod == 3) {
        u = xl_emit(x, h_bt[op][s][imm], FU_MERGE);
        u->d = xl_reg(x, x->i.rm, bytes);
    } else {
        if (!imm && x->i.adsize != 8) {
            bit_base(x);
            form = BIT_IN_ADDRESS;
        }
        xl_mem(x, bytes, op != BT_T, false);
        u = xl_emit(x, x->i.lock ? h_btm_lock[op][s][form] : h_btm[op][s][form], FU_MERGE);
        xl_put_mem(x, u);
    }
    u->s = xl_reg(x, x->i.reg, bytes);
    u->imm = x->i.imm & (bytes * 8 - 1);
}

static void double_shift(struct xl *x)
{
    unsigned bytes = x->i.opsize, s = xl_size(bytes);
    bool right = x->i.op & 8, by_cl = x->i.op & 1;
    struct uop *u;

    if (x->i.mod == 3) {
        u = xl_emit(x, h_shd[right][s][by_cl], FU_MERGE);
        u->d = xl_reg(x, x->i.rm, bytes);
    } else {
        xl_mem(x, bytes, true, false);
        u = xl_emit(x, h_shd[right][s][2 + by_cl], FU_MERGE);
        xl_put_mem(x, u);
    }
    u->s = xl_reg(x, x->i.reg, bytes);
    u->imm = x->i.imm;
}

static void extend(struct xl *x)
{
    unsigned from = x->i.op & 1, to = xl_size(x->i.opsize);
    bool sign = x->i.op & 8;
    struct uop *u;

#define EXT(k) (sign ? h_movsx[from][to][k] : h_movzx[from][to][k])
    if (x->i.mod == 3) {
        u = xl_emit(x, EXT(0), FU_NONE);
        u->s = xl_reg(x, x->i.rm, from ? 2 : 1);
    } else {
        xl_mem(x, from ? 2 : 1, false, true);
        u = xl_emit(x, EXT(x->m.indexed ? 2 : 1), FU_NONE);
        xl_put_mem(x, u);
    }
#undef EXT
    u->d = xl_reg(x, x->i.reg, x->i.opsize);
}

static void exchange(struct xl *x, uop_fn *const table[4][3])
{
    unsigned bytes = x->i.op & 1 ? x->i.opsize : 1, s = xl_size(bytes);
    struct uop *u;

    if (x->i.mod == 3) {
        u = xl_emit(x, table[s][0], FU_WRITE);
        u->d = xl_reg(x, x->i.rm, bytes);
    } else {
        xl_mem(x, bytes, true, false);
        u = xl_emit(x, table[s][1], FU_WRITE);
        xl_put_mem(x, u);
    }
    u->s = xl_reg(x, x->i.reg, bytes);
}

static void rdrand(struct xl *x)
{
    struct uop *u;

    if (x->i.rep == 0xf3 && sub(x) == 7) { /* RDPID */
        u = xl_emit(x, h_rdpid, FU_NONE);
    } else if (x->i.rep) {
        xl_ud(x);
        return;
    } else if (sub(x) == 6 ? !x->c->vm->host_rdrand : !x->c->vm->host_rdseed) {
        xl_ud(x);
        return;
    } else {
        u = xl_emit(x, h_rdrand, FU_WRITE);
    }
    u->d = xl_reg(x, x->i.rm, 8);
    u->aux = x->i.opsize;
    u->imm = sub(x) == 7;
}

static void group9(struct xl *x)
{
    struct uop *u;

    if (x->i.mod == 3) {
        if (sub(x) >= 6)
            rdrand(x);
        else
            xl_ud(x);
        return;
    }
    if (sub(x) != 1) {
        xl_ud(x);
        return;
    }
    xl_mem(x, x->i.rex & 8 ? 16 : 8, true, false);
    u = xl_emit(x, x->i.rex & 8 ? h_cmpxchg16b : h_cmpxchg8b, FU_MERGE);
    xl_put_mem(x, u);
}

static void imul2(struct xl *x)
{
    uint8_t ofs = xl_rm_value(x, x->i.opsize);
    unsigned sz = xl_size(x->i.opsize);
    struct uop *u = xl_emit_nf(x, h_imul2[0][sz], h_imul2[1][sz], FU_MERGE);

    u->s = ofs;
    u->d = xl_reg(x, x->i.reg, x->i.opsize);
}

/* BSF and BSR, and with F3 TZCNT and LZCNT; POPCNT. */
static void bit_count(struct xl *x, enum bitcount plain, enum bitcount with_f3)
{
    enum bitcount op = x->i.rep == 0xf3 ? with_f3 : plain;
    uint8_t ofs = xl_rm_value(x, x->i.opsize);
    struct uop *u = xl_emit(x, h_bitcount[op][xl_size(x->i.opsize)], FU_MERGE);

    u->s = ofs;
    u->d = xl_reg(x, x->i.reg, x->i.opsize);
}

static void bswap(struct xl *x)
{
    unsigned r = (x->i.op & 7) | (x->i.rex & 1) << 3;

    xl_emit(x, h_bswap[xl_size(x->i.opsize)], FU_NONE)->d = xl_reg(x, r, 8);
}

static void movnti(struct xl *x)
{
    if (x->i.mod == 3 || x->i.p66 || x->i.rep) {
        xl_ud(x);
        return;
    }
    xl_rm_store(x, x->i.rex & 8 ? 8 : 4, xl_reg(x, x->i.reg, 8));
}

/* 0F AE: fences, FS/GS base, cache line flushes; the rest is the FPU's. */
static void group15(struct xl *x)
{
    if (x->i.mod == 3 && x->i.rep == 0xf3 && sub(x) < 4 && x->bits == 64) {
        struct uop *u = xl_emit(x, h_fsgsbase, FU_READ);

        u->d = u->s = xl_reg(x, x->i.rm, 8);
        u->aux = x->i.opsize;
        u->imm = sub(x);
    } else if (x->i.mod == 3 && sub(x) >= 5 && !x->i.rep && !x->i.p66) {
        xl_emit(x, h_fence, FU_NONE);
    } else if (x->i.mod != 3 && (sub(x) == 7 || (sub(x) == 6 && x->i.p66)) && !x->i.rep) {
        xl_rm_value(x, 1); /* CLFLUSH, CLFLUSHOPT, CLWB: like a load */
    } else if (!xl_fpu(x)) {
        xl_ud(x);
    }
}

/* Prefetches and reserved NOPs: nothing is accessed. */
static void hint_nop(struct xl *x)
{
    xl_emit(x, h_nop, FU_NONE);
}

static void row_00(struct xl *x)
{
    switch (x->i.op) {
    case 0x00: group6(x); break;
    case 0x01: group7(x); break;
    case 0x02: case 0x03: lar_lsl(x); break;
    case 0x05:
        xl_last(x, h_syscall);
        break;
    case 0x06: xl_last(x, h_clts); break;
    case 0x07: xl_last(x, h_sysret)->aux = x->i.opsize; break;
    case 0x08: case 0x09: xl_last(x, h_invd); break;
    case 0x0d:
        if (x->i.mod == 3)
            xl_ud(x);
        else
            hint_nop(x);
        break;
    default: xl_ud(x);
    }
}

static void row_30(struct xl *x)
{
    switch (x->i.op) {
    case 0x30: xl_last(x, h_wrmsr); break;
    case 0x31: xl_emit(x, h_rdtsc, FU_READ); break;
    case 0x32: xl_emit(x, h_rdmsr, FU_READ); break;
    case 0x33: xl_emit(x, h_rdpmc, FU_READ); break;
    case 0x34: xl_last(x, h_sysenter); break;
    case 0x35: xl_last(x, h_sysexit)->aux = x->i.opsize; break;
    default: xl_ud(x);
    }
}

static void row_a0(struct xl *x)
{
    switch (x->i.op) {
    case 0xa0: xl_push_seg(x, X86_FS); break;
    case 0xa1: xl_pop_seg(x, X86_FS); break;
    case 0xa2: xl_emit(x, h_cpuid, FU_READ); break;
    case 0xa3: bit_test(x, BT_T, false); break;
    case 0xa4: case 0xa5: case 0xac: case 0xad: double_shift(x); break;
    case 0xa8: xl_push_seg(x, X86_GS); break;
    case 0xa9: xl_pop_seg(x, X86_GS); break;
    case 0xab: bit_test(x, BT_S, false); break;
    case 0xae: group15(x); break;
    case 0xaf: imul2(x); break;
    default: xl_ud(x);
    }
}

static void row_b0(struct xl *x)
{
    switch (x->i.op) {
    case 0xb0: case 0xb1: exchange(x, h_cmpxchg); break;
    case 0xb2: xl_load_far(x, X86_SS); break;
    case 0xb3: bit_test(x, BT_R, false); break;
    case 0xb4: xl_load_far(x, X86_FS); break;
    case 0xb5: xl_load_far(x, X86_GS); break;
    case 0xb6: case 0xb7: case 0xbe: case 0xbf: extend(x); break;
    case 0xb8:
        if (x->i.rep == 0xf3)
            bit_count(x, BC_POPCNT, BC_POPCNT);
        else
            xl_ud(x);
        break;
    case 0xba:
        if (sub(x) < 4)
            xl_ud(x);
        else
            bit_test(x, sub(x) & 3, true);
        break;
    case 0xbb: bit_test(x, BT_C, false); break;
    case 0xbc: bit_count(x, BC_BSF, BC_BSF); break; /* TZCNT comes with BMI1 */
    case 0xbd: bit_count(x, BC_BSR, BC_LZCNT); break;
    default: xl_ud(x);
    }
}

static void row_c0(struct xl *x)
{
    switch (x->i.op) {
    case 0xc0: case 0xc1: exchange(x, h_xadd); break;
    case 0xc3: movnti(x); break;
    case 0xc7: group9(x); break;
    case 0xc8: case 0xc9: case 0xca: case 0xcb: case 0xcc: case 0xcd: case 0xce: case 0xcf: bswap(x); break;
    default:
        if (!xl_fpu(x))
            xl_ud(x);
    }
}

void xl_insn_0f(struct xl *x)
{
    unsigned op = x->i.op;

    switch (op >> 4) {
    case 0x0: row_00(x); break;
    case 0x1:
        if (op >= 0x18)
            hint_nop(x);
        else if (!xl_fpu(x))
            xl_ud(x);
        break;
    case 0x2:
        if (op < 0x24)
            control_reg(x);
        else if (!xl_fpu(x))
            xl_ud(x);
        break;
    case 0x3: row_30(x); break;
    case 0x4: cmov(x); break;
    case 0x8: xl_jcc(x, op & 15); break;
    case 0x9: setcc(x); break;
    case 0xa: row_a0(x); break;
    case 0xb: row_b0(x); break;
    case 0xc: row_c0(x); break;
    default:
        if (!xl_fpu(x))
            xl_ud(x);
    }
}

static void movbe(struct xl *x)
{
    unsigned s = xl_size(x->i.opsize);
    bool store = x->i.op == 0xf1;
    struct uop *u;

    if (x->i.mod == 3) {
        xl_ud(x);
        return;
    }
    xl_mem(x, x->i.opsize, store, true);
    u = xl_emit(x, h_movbe[s][store * 2 + x->m.indexed], FU_NONE);
    xl_put_mem(x, u);
    u->d = u->s = xl_reg(x, x->i.reg, x->i.opsize);
}

static void crc32(struct xl *x)
{
    unsigned bytes = x->i.op == 0xf0 ? 1 : x->i.opsize;
    uint8_t ofs = xl_rm_value(x, bytes);
    struct uop *u = xl_emit(x, h_crc32[xl_size(bytes)], FU_NONE);

    u->s = ofs;
    u->d = xl_reg(x, x->i.reg, 8);
}

/* ADCX (66), ADOX (F3): only CF or only OF in and out. */
static void adx(struct xl *x)
{
    unsigned bytes = x->i.rex & 8 ? 8 : 4;
    uint8_t ofs = xl_rm_value(x, bytes);
    struct uop *u = xl_emit(x, h_adx[x->i.rep == 0xf3][bytes == 8], FU_READ);

    u->s = ofs;
    u->d = xl_reg(x, x->i.reg, bytes);
}

void xl_insn_0f38(struct xl *x)
{
    if ((x->i.op == 0xf0 || x->i.op == 0xf1) && x->i.rep == 0xf2)
        crc32(x);
    else if ((x->i.op == 0xf0 || x->i.op == 0xf1) && !x->i.rep)
        movbe(x);
    else if (x->i.op == 0xf6 && (x->i.rep == 0xf3 || (x->i.p66 && !x->i.rep)) &&
             x->c->vm->host_adx)
        adx(x);
    else if (!xl_fpu(x))
        xl_ud(x);
}

void xl_insn_0f3a(struct xl *x)
{
    if (!xl_fpu(x))
        xl_ud(x);
}
