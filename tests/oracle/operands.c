/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * operands: turns an instruction form into a case. Immediates and displacements are patched in
 * the bytes; registers get values, and those that address memory get the ones for which the
 * operand lies where we want it: in the arena, at its edges, across the middle page boundary.
 * Both arenas get the same contents there.
 *
 * Safety: natively executed code can write wherever its registers point. So each memory operand
 * that Zydis tells of is aimed at the arena or at the emptiness around it.
 */
#include "oracle.h"

#include <string.h>

struct aim {
    const struct form *f;
    struct rng *r;
    struct orc_case *oc;
    uint32_t fixed; /* registers that have their value for good */
    bool stack_bound; /* displacement must be small */
};

int reg_index(ZydisRegister reg)
{
    ZydisRegisterClass c = ZydisRegisterGetClass(reg);
    int id = ZydisRegisterGetId(reg);

    switch (c) {
    case ZYDIS_REGCLASS_GPR8: /* al cl dl bl ah ch dh bh spl bpl sil dil r8b.. */
        return id < 8 ? id & 3 : id - 4;
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64:
        return id;
    default:
        return -1;
    }
}

static uint64_t code_base(const struct orc_case *oc)
{
    return oc->mode == ORC_16 ? 0 : ORC_CODE;
}

/* Offset of the arena in the segments that address it. */
static uint64_t arena_base(const struct orc_case *oc)
{
    return oc->mode == ORC_16 ? 0 : ORC_ARENA;
}

/* Where an operand of `n` bytes goes; mostly where it does not fault. */
static uint64_t pick_target(struct aim *a, unsigned n)
{
    struct rng *r = a->r;
    unsigned x = rng_below(r, 100), end = ORC_ARENA_BYTES, part = n > 1 ? 1 + rng_below(r, n - 1) : 1;
    unsigned room = end - 0x200 - n;
    int32_t at;

    if (x < 45)
        at = (int32_t)(0x100 + (rng_below(r, room) & ~15u));
    else if (x < 65)
        at = (int32_t)(0x100 + rng_below(r, room) / n * n);
    else if (x < 85)
        at = (int32_t)(0x100 + rng_below(r, room));
    else if (x < 91)
        at = (int32_t)(0x1000 - part);
    else if (x < 95)
        at = (int32_t)(end - n);
    else if (x < 97)
        at = (int32_t)(end - part);
    else if (x < 98)
        at = -(int32_t)part;
    else if (x < 99)
        at = (int32_t)(end + rng_below(r, 64));
    else
        return a->oc->mode == ORC_64 ? (0x800000000000ull ^ (rng_next(r) & 0xffff)) : arena_base(a->oc) - 16;
    return arena_base(a->oc) + (uint64_t)(int64_t)at;
}

/* Contents for what a memory operand covers, the same in both arenas. */
static void fill_memory(struct aim *a, uint64_t target, unsigned n)
{
    int64_t at = (int64_t)(target - arena_base(a->oc)) - 16, end = at + 32 + n;

    if (at < 0)
        at = 0;
    if (end > ORC_ARENA_BYTES)
        end = ORC_ARENA_BYTES;
    if (at >= end)
        return;
    value_bytes(a->r, native_arena() + at, (size_t)(end - at));
    memcpy(soft_arena() + at, native_arena() + at, (size_t)(end - at));
}

static void put_memory(struct aim *a, uint64_t target, const void *data, unsigned n)
{
    uint64_t at = target - arena_base(a->oc);

    if (at > ORC_ARENA_BYTES - n)
        return;
    memcpy(native_arena() + at, data, n);
    memcpy(soft_arena() + at, data, n);
}

static void set_gpr(struct aim *a, int reg, uint64_t v, unsigned bits)
{
    uint64_t mask = bits == 64 ? ~0ull : (1ull << bits) - 1;
    uint64_t *g = &a->oc->in.gpr[reg];

    *g = (*g & ~mask) | (v & mask);
    a->fixed |= 1u << reg;
}

static void patch(struct aim *a, unsigned offset, uint64_t v, unsigned bits)
{
    memcpy(a->oc->bytes + offset, &v, bits / 8);
}

static uint64_t seg_base(const struct aim *a, ZydisRegister seg)
{
    if (a->oc->mode != ORC_64)
        return 0;
    return seg == ZYDIS_REGISTER_FS ? native_seg_base(X86_FS)
           : seg == ZYDIS_REGISTER_GS ? native_seg_base(X86_GS) : 0;
}

/* Displacement bytes: new value, as sign-extended. */
static int64_t pick_disp(struct aim *a)
{
    unsigned bits = a->f->insn.raw.disp.size;
    int64_t v;

    if (bits == 0)
        return 0;
    v = a->stack_bound || rng_chance(a->r, 50) ? (int64_t)rng_below(a->r, 128) - 64 : (int64_t)value_int(a->r);
    v = bits == 8 ? (int8_t)v : bits == 16 ? (int16_t)v : (int32_t)v;
    patch(a, a->f->insn.raw.disp.offset, (uint64_t)v, bits);
    return v;
}

/* Makes base + index * scale + disp = target as far as its registers are free. */
static void solve(struct aim *a, const ZydisDecodedOperand *op, uint64_t target)
{
    const struct orc_case *oc = a->oc;
    bool explicit = op->visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT;
    int base = reg_index(op->mem.base), index = reg_index(op->mem.index);
    unsigned abits = a->f->insn.address_width, scale = op->mem.scale ? op->mem.scale : 1;

    if (op->mem.base == ZYDIS_REGISTER_RIP || op->mem.base == ZYDIS_REGISTER_EIP) {
        patch(a, a->f->insn.raw.disp.offset, target - (code_base(oc) + oc->at + oc->len), 32);
        return;
    }
    if (base < 0 && index < 0) {
        patch(a, a->f->insn.raw.disp.offset, target, a->f->insn.raw.disp.size);
        return;
    }
    if (base >= 0 && a->fixed >> base & 1)
        a->stack_bound = true;
    uint64_t disp = explicit ? (uint64_t)pick_disp(a) : 0;
    if (base >= 0 && index >= 0 && index != base && a->stack_bound && !(a->fixed >> index & 1))
        set_gpr(a, index, rng_below(a->r, 16), 64);
    if (index >= 0 && (base < 0 || index == base)) {
        unsigned times = scale + (base >= 0);
        if (base < 0 && disp + 0x80000000 > 0xffffffff)
            disp = 0;
        if (!(a->fixed >> index & 1))
            set_gpr(a, index, (target - disp) / times, abits);
        return;
    }
    uint64_t iv = 0;
    if (index >= 0) {
        iv = oc->in.gpr[index];
        if (ZydisRegisterGetClass(op->mem.index) == ZYDIS_REGCLASS_GPR8)
            iv &= 0xff;
        a->fixed |= 1u << index;
    }
    if (!(a->fixed >> base & 1))
        set_gpr(a, base, target - iv * scale - disp, abits);
}

/* 16-bit code's CS is based at the code. There only a part is the same on both sides: one that
 * no case is placed in (all zero). */
static uint64_t pick_in_code(struct aim *a, unsigned n)
{
    return 0x1500 + rng_below(a->r, 0x900 - n);
}

static void aim_memory(struct aim *a, const ZydisDecodedOperand *op)
{
    unsigned n = op->size / 8 ? op->size / 8 : 1;
    bool in_code = a->oc->mode == ORC_16 && op->mem.segment == ZYDIS_REGISTER_CS;

    if (op->type != ZYDIS_OPERAND_TYPE_MEMORY || op->mem.type == ZYDIS_MEMOP_TYPE_AGEN)
        return;
    uint64_t target = in_code ? pick_in_code(a, n) : pick_target(a, n);
    if (!in_code)
        fill_memory(a, target, n);
    solve(a, op, target - seg_base(a, op->mem.segment));
    if (a->f->insn.meta.branch_type == ZYDIS_BRANCH_TYPE_NEAR) {
        uint64_t to = code_base(a->oc) + a->oc->taken[rng_below(a->r, 2)];
        put_memory(a, target, &to, n < 8 ? n : 8);
    }
}

static void pick_immediates(struct aim *a)
{
    for (unsigned i = 0; i < 2; i++) {
        unsigned bits = a->f->insn.raw.imm[i].size, offset = a->f->insn.raw.imm[i].offset;
        if (bits == 0)
            continue;
        if (a->f->insn.raw.imm[i].is_relative) {
            uint32_t to = a->oc->taken[rng_below(a->r, 2)];
            patch(a, offset, to - (a->oc->at + a->oc->len), bits);
        } else {
            patch(a, offset, value_int(a->r), bits);
        }
    }
}

/* Instructions whose operands need more than to be somewhere. */
static void special(struct aim *a)
{
    struct orc_case *oc = a->oc;
    uint64_t *g = oc->in.gpr;
    struct rng *r = a->r;
    unsigned abits = a->f->insn.address_width;

    if (a->f->insn.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE))
        set_gpr(a, X86_RCX, rng_below(r, 20), abits);
    switch (a->f->insn.mnemonic) {
    case ZYDIS_MNEMONIC_BT:
    case ZYDIS_MNEMONIC_BTS:
    case ZYDIS_MNEMONIC_BTR:
    case ZYDIS_MNEMONIC_BTC: {
        int reg = reg_index(a->f->ops[1].reg.value);
        if (a->f->ops[1].type == ZYDIS_OPERAND_TYPE_REGISTER && !(a->fixed >> reg & 1) &&
            a->f->ops[0].type == ZYDIS_OPERAND_TYPE_MEMORY)
            set_gpr(a, reg, (uint64_t)rng_below(r, 0x1000) - 0x800, a->f->ops[1].size);
        break;
    }
    case ZYDIS_MNEMONIC_DIV:
    case ZYDIS_MNEMONIC_IDIV:
        if (!(a->fixed & (1u << X86_RDX | 1u << X86_RAX)) && rng_chance(r, 80)) {
            g[X86_RDX] = rng_chance(r, 50) ? 0 : (uint64_t)((int64_t)g[X86_RAX] >> 63);
            if (a->f->insn.operand_width == 8)
                g[X86_RAX] &= 0xff;
        }
        break;
    case ZYDIS_MNEMONIC_LOOP:
    case ZYDIS_MNEMONIC_LOOPE:
    case ZYDIS_MNEMONIC_LOOPNE:
    case ZYDIS_MNEMONIC_JCXZ:
    case ZYDIS_MNEMONIC_JECXZ:
    case ZYDIS_MNEMONIC_JRCXZ:
        set_gpr(a, X86_RCX, rng_below(r, 3), rng_chance(r, 50) ? abits : 64);
        break;
    case ZYDIS_MNEMONIC_ENTER:
        patch(a, a->f->insn.raw.imm[0].offset, rng_below(r, 0x100), 16);
        patch(a, a->f->insn.raw.imm[1].offset, rng_chance(r, 50) ? rng_next(r) : rng_below(r, 3), 8);
        set_gpr(a, X86_RBP, arena_base(oc) + 0x800 + rng_below(r, 0x800), 64);
        break;
    case ZYDIS_MNEMONIC_LEAVE:
        set_gpr(a, X86_RBP, arena_base(oc) + rng_below(r, 0x1ff8), 64);
        break;
    case ZYDIS_MNEMONIC_RET: {
        uint64_t to = code_base(oc) + oc->taken[rng_below(r, 2)];
        if (a->f->insn.raw.imm[0].size)
            patch(a, a->f->insn.raw.imm[0].offset, rng_below(r, 0x1000), 16);
        put_memory(a, g[X86_RSP], &to, 8);
        break;
    }
    case ZYDIS_MNEMONIC_CALL:
    case ZYDIS_MNEMONIC_JMP:
        if (a->f->ops[0].type == ZYDIS_OPERAND_TYPE_REGISTER)
            set_gpr(a, reg_index(a->f->ops[0].reg.value), code_base(oc) + oc->taken[rng_below(r, 2)], 64);
        break;
    case ZYDIS_MNEMONIC_POPF:
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_POPFQ: {
        uint64_t v = (rng_next(r) & (ORC_FLAGS | FLAG_IF | FLAG_IOPL | FLAG_VIF | FLAG_VIP | FLAG_RF)) | 2;
        put_memory(a, g[X86_RSP], &v, a->f->insn.operand_width / 8);
        break;
    }
    case ZYDIS_MNEMONIC_PCMPESTRI:
    case ZYDIS_MNEMONIC_PCMPESTRM:
        if (!(a->fixed & (1u << X86_RDX | 1u << X86_RAX)) && rng_chance(r, 80)) {
            g[X86_RAX] = (uint64_t)rng_below(r, 40) - 20;
            g[X86_RDX] = (uint64_t)rng_below(r, 40) - 20;
        }
        break;
    default:
        break;
    }
}

/* Control state that an instruction loads from memory, as software would have stored it. */
static void loadable_state(struct aim *a, const ZydisDecodedOperand *op, uint64_t target)
{
    struct orc_state s;
    uint32_t env[7] = {0};

    value_state(a->r, &s, rng_chance(a->r, 20));
    switch (a->f->insn.mnemonic) {
    case ZYDIS_MNEMONIC_LDMXCSR:
        if (rng_chance(a->r, 5))
            s.fx.mxcsr |= 1u << (18 + rng_below(a->r, 14));
        put_memory(a, target, &s.fx.mxcsr, 4);
        break;
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR64:
        if (rng_chance(a->r, 5))
            s.fx.mxcsr |= 1u << (18 + rng_below(a->r, 14));
        put_memory(a, target, &s.fx, sizeof s.fx);
        break;
    case ZYDIS_MNEMONIC_FLDCW:
        put_memory(a, target, &s.fx.fcw, 2);
        break;
    case ZYDIS_MNEMONIC_FLDENV:
    case ZYDIS_MNEMONIC_FRSTOR:
        env[0] = s.fx.fcw;
        env[1] = s.fx.fsw;
        env[2] = (uint32_t)rng_next(a->r);
        if (op->size / 8 == 14 || op->size / 8 == 94) {
            uint16_t w[3] = {(uint16_t)env[0], (uint16_t)env[1], (uint16_t)env[2]};
            put_memory(a, target, w, sizeof w);
        } else {
            put_memory(a, target, env, 12);
        }
        break;
    default:
        break;
    }
}

/* Compare-and-exchange that succeeds half of the time. */
static void match_cmpxchg(struct aim *a, const ZydisDecodedOperand *op, uint64_t target)
{
    uint64_t *g = a->oc->in.gpr, v[2] = {g[X86_RAX], g[X86_RDX]};

    if (rng_chance(a->r, 50))
        return;
    if (a->f->insn.mnemonic == ZYDIS_MNEMONIC_CMPXCHG8B)
        v[0] = (uint32_t)v[0] | v[1] << 32;
    else if (a->f->insn.mnemonic != ZYDIS_MNEMONIC_CMPXCHG16B && a->f->insn.mnemonic != ZYDIS_MNEMONIC_CMPXCHG)
        return;
    put_memory(a, target, v, op->size / 8 < 16 ? op->size / 8 : 16);
}

static uint64_t address_of(const struct aim *a, const ZydisDecodedOperand *op)
{
    const struct orc_case *oc = a->oc;
    int base = reg_index(op->mem.base), index = reg_index(op->mem.index);
    unsigned abits = a->f->insn.address_width, db = a->f->insn.raw.disp.size / 8;
    uint64_t mask = abits == 64 ? ~0ull : (1ull << abits) - 1, ea = 0;

    if (op->visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT && db) {
        memcpy(&ea, oc->bytes + a->f->insn.raw.disp.offset, db);
        ea = db == 1 ? (uint64_t)(int8_t)ea : db == 2 ? (uint64_t)(int16_t)ea : db == 4 ? (uint64_t)(int32_t)ea : ea;
    }
    if (op->mem.base == ZYDIS_REGISTER_RIP || op->mem.base == ZYDIS_REGISTER_EIP)
        ea += code_base(oc) + oc->at + oc->len;
    else if (base >= 0)
        ea += oc->in.gpr[base];
    if (index >= 0)
        ea += oc->in.gpr[index] * op->mem.scale;
    return (ea & mask) + seg_base(a, op->mem.segment);
}

static void place(struct orc_case *oc, struct rng *r)
{
    oc->at = rng_chance(r, 97) ? 0x140 : 0x1000 - rng_below(r, oc->len);
    oc->taken[0] = oc->at + 0x40;
    oc->taken[1] = oc->at - 0x40;
}

void operands_fill(const struct form *f, struct rng *r, struct orc_case *oc)
{
    struct aim a = {.f = f, .r = r, .oc = oc};

    oc->mode = f->mode;
    oc->len = f->len;
    memcpy(oc->bytes, f->bytes, sizeof oc->bytes);
    value_state(r, &oc->in, rng_chance(r, 15));
    place(oc, r);
    if (!f->decoded) { /* nothing known: nothing must be within reach */
        for (unsigned i = 0; i < 16; i++)
            oc->in.gpr[i] = ORC_ARENA - 0x10000;
        return;
    }
    oc->in.gpr[X86_RSP] = arena_base(oc) + 0x800 + rng_below(r, 0x1000);
    /* A bit offset in the base register goes far: not too far, for the sake of this process. */
    a.stack_bound = f->insn.meta.category == ZYDIS_CATEGORY_BITBYTE;
    pick_immediates(&a);
    for (unsigned i = f->insn.operand_count; i-- > 0;) /* hidden ones first */
        aim_memory(&a, &f->ops[i]);
    special(&a);
    for (unsigned i = 0; i < f->insn.operand_count; i++)
        if (f->ops[i].type == ZYDIS_OPERAND_TYPE_MEMORY && f->ops[i].mem.type == ZYDIS_MEMOP_TYPE_AGEN) {
            oc->ea = address_of(&a, &f->ops[i]);
        } else if (f->ops[i].type == ZYDIS_OPERAND_TYPE_MEMORY) {
            uint64_t at = address_of(&a, &f->ops[i]);
            loadable_state(&a, &f->ops[i], at);
            match_cmpxchg(&a, &f->ops[i], at);
            if (f->ops[i].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
                oc->ea = at + (oc->mode == ORC_16 ? ORC_ARENA : 0);
        }
}
