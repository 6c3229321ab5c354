/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * equiv: 16 and 32-bit instructions on a host that runs 64-bit code only. Most do the same in
 * 64-bit mode once operand and address size prefixes are turned around and memory operands are
 * written as 67-prefixed or absolute ones; stack and branch instructions become short sequences
 * with absolute addresses, in which whatever can fault comes first. What 64-bit mode lacks
 * (BCD, BOUND, INTO, ...) is computed from the manual's text by model.c.
 *
 * Left out: FXSAVE and FXRSTOR (other size), POPF, FS and GS, far transfers, segment register moves, wrap-around at 64 KiB, string
 * instructions and XLAT with 16-bit addresses in 32-bit code.
 */
#include "oracle.h"

#include <string.h>

/* Sequences may use r8: no 32-bit code sees it. */
struct seq {
    const struct form *f;
    const struct orc_case *oc;
    struct orc_case eq;
    bool is16; /* 16-bit code: SS, DS, ES are based at the arena, SP is 16 bits */
};

static void emit(struct seq *s, const void *p, unsigned n)
{
    memcpy(s->eq.bytes + s->eq.len, p, n);
    s->eq.len += n;
}

static void emit1(struct seq *s, uint8_t b)
{
    emit(s, &b, 1);
}

static void emit_imm(struct seq *s, uint64_t v, unsigned n)
{
    emit(s, &v, n);
}

/* OP reg, [absolute]; n: 2 or 4 bytes. */
static void emit_abs(struct seq *s, uint8_t op, unsigned reg, uint32_t addr, unsigned n)
{
    if (n == 2)
        emit1(s, 0x66);
    emit1(s, (uint8_t)(0x40 | (reg >= 8 ? 4 : 0)));
    emit1(s, op);
    emit1(s, (uint8_t)(4 | (reg & 7) << 3));
    emit1(s, 0x25);
    emit_imm(s, addr, 4);
}

static void emit_store_imm(struct seq *s, uint32_t addr, uint32_t v, unsigned n)
{
    emit_abs(s, 0xc7, 0, addr, n);
    emit_imm(s, v, n);
}

/* reg = v, as wide as the stack pointer is. */
static void emit_set(struct seq *s, unsigned reg, uint32_t v, unsigned n)
{
    if (n == 2)
        emit1(s, 0x66);
    emit1(s, (uint8_t)(0xb8 + reg));
    emit_imm(s, v, n);
}

/* jmp to a pad */
static void emit_jump(struct seq *s, unsigned taken)
{
    emit1(s, 0xe9);
    emit_imm(s, s->eq.taken[taken] - (s->eq.at + s->eq.len + 4), 4);
}

static uint32_t code_offset(const struct seq *s)
{
    return s->is16 ? 0 : (uint32_t)ORC_CODE;
}

/* The pad that instruction pointer `ip` names, or -1. */
static int pad_of(const struct seq *s, uint32_t ip)
{
    for (int i = 0; i < 2; i++)
        if (ip == code_offset(s) + s->oc->taken[i])
            return i;
    return -1;
}

static unsigned width(const struct seq *s)
{
    return s->f->insn.operand_width == 16 ? 2 : 4;
}

static uint32_t gpr(const struct seq *s, unsigned r)
{
    return (uint32_t)s->oc->in.gpr[r];
}

static uint32_t sp_plus(const struct seq *s, int32_t d)
{
    uint32_t sp = gpr(s, X86_RSP) + (uint32_t)d;
    return s->is16 ? sp & 0xffff : sp;
}

static uint32_t stack_addr(const struct seq *s, uint32_t sp)
{
    return s->is16 ? (uint32_t)ORC_ARENA + sp : sp;
}

static void emit_set_sp(struct seq *s, uint32_t sp)
{
    emit_set(s, X86_RSP, sp, s->is16 ? 2 : 4);
}

static const ZydisDecodedOperand *memory_operand(const struct form *f)
{
    for (unsigned i = 0; i < f->insn.operand_count; i++)
        if (f->ops[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
            f->ops[i].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
            return &f->ops[i];
    return NULL;
}

static bool is_lea(const struct form *f)
{
    return f->insn.mnemonic == ZYDIS_MNEMONIC_LEA;
}

/* Whether the operand can be reached: no FS, GS; no store through CS; within 64 KiB in 16-bit code. */
static bool addressable(const struct seq *s)
{
    for (unsigned i = 0; i < s->f->insn.operand_count; i++) {
        const ZydisDecodedOperand *op = &s->f->ops[i];
        if (op->type != ZYDIS_OPERAND_TYPE_MEMORY || is_lea(s->f))
            continue;
        if (op->mem.segment == ZYDIS_REGISTER_FS || op->mem.segment == ZYDIS_REGISTER_GS)
            return false;
        if (op->mem.segment == ZYDIS_REGISTER_CS)
            return false;
        if (op->visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT && s->is16 &&
            (s->oc->ea - ORC_ARENA + op->size / 8 > 0x10000 || s->oc->ea - ORC_ARENA < 0x200))
            return false; /* (and BT m, r may reach a bit further) */
    }
    return true;
}

/* ---- the instruction itself, re-encoded ---- */

static bool is_simd(const ZydisDecodedInstruction *i)
{
    switch (i->meta.isa_ext) {
    case ZYDIS_ISA_EXT_MMX:
    case ZYDIS_ISA_EXT_SSE:
    case ZYDIS_ISA_EXT_SSE2:
    case ZYDIS_ISA_EXT_SSE3:
    case ZYDIS_ISA_EXT_SSSE3:
    case ZYDIS_ISA_EXT_SSE4:
    case ZYDIS_ISA_EXT_AES:
    case ZYDIS_ISA_EXT_PCLMULQDQ:
    case ZYDIS_ISA_EXT_SHA:
    case ZYDIS_ISA_EXT_ADOX_ADCX: /* not SIMD, but 66 belongs to these, too */
    case ZYDIS_ISA_EXT_CLWB:
    case ZYDIS_ISA_EXT_CLFLUSHOPT:
        return i->mnemonic != ZYDIS_MNEMONIC_CRC32 && i->mnemonic != ZYDIS_MNEMONIC_POPCNT;
    default:
        return false;
    }
}

static void emit_prefixes(struct seq *s, bool a32)
{
    const ZydisDecodedInstruction *i = &s->f->insn;
    bool p66 = false;

    for (unsigned k = 0; k < i->raw.prefix_count; k++) {
        uint8_t p = i->raw.prefixes[k].value;
        if (p == 0x66)
            p66 = true;
        else if (p == 0xf0 || p == 0xf2 || p == 0xf3)
            emit1(s, p);
    }
    if (s->is16 && !is_simd(i))
        p66 = !p66;
    if (p66)
        emit1(s, 0x66);
    if (a32)
        emit1(s, 0x67);
}

static void emit_opcode(struct seq *s)
{
    const ZydisDecodedInstruction *i = &s->f->insn;
    uint8_t op = i->opcode == 0x82 && i->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT ? 0x80 : i->opcode;

    if (i->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
        emit1(s, 0x0f);
    if (i->opcode_map == ZYDIS_OPCODE_MAP_0F38)
        emit1(s, 0x38);
    if (i->opcode_map == ZYDIS_OPCODE_MAP_0F3A)
        emit1(s, 0x3a);
    emit1(s, op);
}

static void emit_absolute_modrm(struct seq *s, uint32_t addr)
{
    emit1(s, (uint8_t)(s->f->insn.raw.modrm.reg << 3 | 4));
    emit1(s, 0x25);
    emit_imm(s, addr, 4);
}

/* modrm, SIB, displacement and immediates. */
static void emit_operands(struct seq *s, bool absolute)
{
    const ZydisDecodedInstruction *i = &s->f->insn;
    const uint8_t *b = s->oc->bytes;
    unsigned from = i->raw.modrm.offset, to = i->length;

    if (!(i->attributes & ZYDIS_ATTRIB_HAS_MODRM)) {
        from = i->raw.imm[0].size ? i->raw.imm[0].offset : i->length;
    } else if (i->raw.modrm.mod != 3 && absolute) {
        emit_absolute_modrm(s, (uint32_t)s->oc->ea);
        from = i->raw.imm[0].size ? i->raw.imm[0].offset : i->length;
    }
    emit(s, b + from, to - from);
}

static bool same_instruction(struct seq *s)
{
    const ZydisDecodedInstruction *i = &s->f->insn;
    bool modrm = i->attributes & ZYDIS_ATTRIB_HAS_MODRM, mem = modrm && i->raw.modrm.mod != 3;
    bool a32 = i->address_width == 32, absolute = mem && (s->is16 || !a32 || (i->raw.modrm.mod == 0 && i->raw.modrm.rm == 5));

    if (!mem && memory_operand(s->f) && !is_lea(s->f))
        return false; /* moffs */
    emit_prefixes(s, mem);
    emit_opcode(s);
    emit_operands(s, absolute);
    return true;
}

static bool moffs(struct seq *s)
{
    const ZydisDecodedInstruction *i = &s->f->insn;

    emit_prefixes(s, true);
    emit1(s, i->opcode);
    emit_imm(s, s->oc->ea, 4);
    return true;
}

/* ---- string instructions ---- */

static bool is_string(const ZydisDecodedInstruction *i)
{
    return i->meta.category == ZYDIS_CATEGORY_STRINGOP;
}

/* In 16-bit code with 32-bit registers that hold linear addresses. */
static bool string(struct seq *s)
{
    const ZydisDecodedInstruction *i = &s->f->insn;
    bool a32 = i->address_width == 32;

    if (!s->is16 && !a32)
        return false;
    if (s->is16) {
        uint32_t mask = a32 ? 0xffffffff : 0xffff;
        static const uint8_t ptr[] = {X86_RSI, X86_RDI};
        for (unsigned k = 0; k < 2; k++) {
            uint32_t v = gpr(s, ptr[k]) & mask;
            if (v < 0x100 || v > ORC_ARENA_BYTES - 0x100)
                return false;
            s->eq.in.gpr[ptr[k]] = ORC_ARENA + v;
        }
        if (i->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE))
            s->eq.in.gpr[X86_RCX] &= mask;
    }
    emit_prefixes(s, true);
    emit1(s, i->opcode);
    return true;
}

static uint64_t merge16(uint64_t old, uint64_t new)
{
    return (old & 0xffff0000) | (new & 0xffff);
}

static void string_result(const struct seq *s, struct orc_result *out)
{
    const ZydisDecodedInstruction *i = &s->f->insn;
    bool a32 = i->address_width == 32;
    uint64_t *g = out->st.gpr;
    const uint64_t *in = s->oc->in.gpr;

    if (!s->is16)
        return;
    g[X86_RSI] -= ORC_ARENA;
    g[X86_RDI] -= ORC_ARENA;
    if (a32)
        return;
    g[X86_RSI] = merge16(in[X86_RSI], g[X86_RSI]);
    g[X86_RDI] = merge16(in[X86_RDI], g[X86_RDI]);
    g[X86_RCX] = merge16(in[X86_RCX], g[X86_RCX]);
}

/* ---- stack ---- */

static bool push_value(struct seq *s, uint32_t v)
{
    unsigned n = width(s);
    uint32_t sp = sp_plus(s, -(int32_t)n);

    emit_store_imm(s, stack_addr(s, sp), v, n);
    emit_set_sp(s, sp);
    return true;
}

static uint32_t immediate(const struct seq *s)
{
    uint64_t v = 0;

    memcpy(&v, s->oc->bytes + s->f->insn.raw.imm[0].offset, s->f->insn.raw.imm[0].size / 8);
    return s->f->insn.raw.imm[0].size == 8 && s->f->insn.raw.imm[0].is_signed ? (uint32_t)(int8_t)v : (uint32_t)v;
}

static bool push(struct seq *s)
{
    const ZydisDecodedOperand *op = &s->f->ops[0];
    uint32_t sp = sp_plus(s, -(int32_t)width(s));

    switch (op->type) {
    case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        return push_value(s, immediate(s));
    case ZYDIS_OPERAND_TYPE_REGISTER:
        return ZydisRegisterGetClass(op->reg.value) != ZYDIS_REGCLASS_SEGMENT &&
               push_value(s, gpr(s, (unsigned)ZydisRegisterGetId(op->reg.value)));
    default:
        emit_abs(s, 0x8b, 8, (uint32_t)s->oc->ea, width(s));
        emit_abs(s, 0x89, 8, stack_addr(s, sp), width(s));
        emit_set_sp(s, sp);
        return true;
    }
}

/* mov reg, r8 */
static void emit_from_r8(struct seq *s, unsigned reg, unsigned n)
{
    if (n == 2)
        emit1(s, 0x66);
    emit1(s, 0x44);
    emit1(s, 0x89);
    emit1(s, (uint8_t)(0xc0 | reg));
}

static bool pop(struct seq *s)
{
    const ZydisDecodedOperand *op = &s->f->ops[0];
    unsigned n = width(s);
    uint32_t sp = sp_plus(s, 0), after = sp_plus(s, (int32_t)n);

    if (s->is16 && sp + n > 0x10000)
        return false;
    emit_abs(s, 0x8b, 8, stack_addr(s, sp), n);
    if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
        if (ZydisRegisterGetId(op->mem.base) == X86_RSP && op->mem.base != ZYDIS_REGISTER_NONE)
            return false; /* addressed after the pop */
        emit_abs(s, 0x89, 8, (uint32_t)s->oc->ea, n);
        emit_set_sp(s, after);
        return true;
    }
    if (ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_SEGMENT)
        return false;
    emit_set_sp(s, after);
    emit_from_r8(s, (unsigned)ZydisRegisterGetId(op->reg.value), n);
    return true;
}

/* No fault may come once the first has been stored. */
static bool stack_room(const struct seq *s, int32_t from, int32_t to)
{
    uint32_t lo = stack_addr(s, sp_plus(s, from)), hi = stack_addr(s, sp_plus(s, to));
    return lo >= ORC_ARENA && lo < hi && hi <= ORC_ARENA + ORC_ARENA_BYTES;
}

static bool pusha(struct seq *s)
{
    int32_t n = (int32_t)width(s);

    if (!stack_room(s, -8 * n, 0))
        return false;
    for (int32_t r = 0; r < 8; r++)
        emit_store_imm(s, stack_addr(s, sp_plus(s, -n * (r + 1))), gpr(s, (unsigned)r), (unsigned)n);
    emit_set_sp(s, sp_plus(s, -8 * n));
    return true;
}

static bool popa(struct seq *s)
{
    int32_t n = (int32_t)width(s);

    if (!stack_room(s, 0, 8 * n))
        return false;
    for (int32_t r = 0; r < 8; r++)
        if (r != X86_RSP)
            emit_abs(s, 0x8b, (unsigned)r, stack_addr(s, sp_plus(s, n * (7 - r))), (unsigned)n);
    emit_set_sp(s, sp_plus(s, 8 * n));
    return true;
}

static bool pushf(struct seq *s)
{
    return push_value(s, ((uint32_t)s->oc->in.rflags & ORC_FLAGS) | FLAG_IF | 2);
}

static bool leave(struct seq *s)
{
    unsigned n = width(s);
    uint32_t bp = s->is16 ? gpr(s, X86_RBP) & 0xffff : gpr(s, X86_RBP);

    emit_abs(s, 0x8b, 8, stack_addr(s, bp), n);
    emit_set_sp(s, s->is16 ? (bp + n) & 0xffff : bp + n);
    emit_from_r8(s, X86_RBP, n);
    return true;
}

static bool enter(struct seq *s)
{
    unsigned n = width(s);
    uint16_t room;
    uint32_t sp = sp_plus(s, -(int32_t)n);

    memcpy(&room, s->oc->bytes + s->f->insn.raw.imm[0].offset, 2);
    if (s->oc->bytes[s->f->insn.raw.imm[1].offset] & 31 || s->oc->in.rflags & FLAG_AC)
        return false; /* (probes the new top of the stack) */
    if (!stack_room(s, -(int32_t)room - 16, 0))
        return false;
    emit_store_imm(s, stack_addr(s, sp), gpr(s, X86_RBP), n);
    emit_set(s, X86_RBP, sp, n);
    emit_set_sp(s, s->is16 ? (sp - room) & 0xffff : sp - room);
    return true;
}

/* ---- branches ---- */

static uint32_t next_ip(const struct seq *s)
{
    return code_offset(s) + s->oc->at + s->oc->len;
}

/* Where a near branch goes: 0, 1, or -1 if not to a pad. A 16-bit one in 32-bit code never does. */
static int branch_pad(const struct seq *s)
{
    const ZydisDecodedInstruction *i = &s->f->insn;
    const ZydisDecodedOperand *op = &s->f->ops[0];
    uint32_t ip = 0;

    if (width(s) == 2 && !s->is16)
        return -1;
    if (i->raw.imm[0].is_relative) {
        memcpy(&ip, s->oc->bytes + i->raw.imm[0].offset, i->raw.imm[0].size / 8);
        ip = i->raw.imm[0].size == 8 ? (uint32_t)(int8_t)ip : ip;
        ip += next_ip(s);
    } else if (op->type == ZYDIS_OPERAND_TYPE_REGISTER) {
        ip = gpr(s, (unsigned)ZydisRegisterGetId(op->reg.value));
    } else if (s->oc->ea - ORC_ARENA <= ORC_ARENA_BYTES - width(s)) {
        memcpy(&ip, native_arena() + (s->oc->ea - ORC_ARENA), width(s));
    }
    return pad_of(s, width(s) == 2 ? ip & 0xffff : ip);
}

static bool jump(struct seq *s, bool call)
{
    int pad = branch_pad(s);

    if (memory_operand(s->f))
        emit_abs(s, 0x8b, 8, (uint32_t)s->oc->ea, width(s));
    if (pad < 0 && !(memory_operand(s->f) && s->oc->ea - ORC_ARENA > ORC_ARENA_BYTES - width(s)))
        return false;
    if (call)
        push_value(s, next_ip(s));
    emit_jump(s, pad > 0);
    return true;
}

static bool ret(struct seq *s)
{
    uint32_t sp = sp_plus(s, 0), ip = 0, imm = s->f->insn.raw.imm[0].size ? immediate(s) & 0xffff : 0;
    uint64_t at = stack_addr(s, sp) - ORC_ARENA;
    int pad;

    if (at <= ORC_ARENA_BYTES - 4)
        memcpy(&ip, native_arena() + at, width(s));
    pad = width(s) == 2 && !s->is16 ? -1 : pad_of(s, ip);
    if (pad < 0)
        return false;
    emit_abs(s, 0x8b, 8, stack_addr(s, sp), width(s));
    emit_set_sp(s, sp_plus(s, (int32_t)(width(s) + imm)));
    emit_jump(s, (unsigned)pad);
    return true;
}

static bool jcc(struct seq *s)
{
    int pad = branch_pad(s);

    if (pad < 0)
        return false;
    emit1(s, 0x0f);
    emit1(s, (uint8_t)(0x80 | (s->f->insn.opcode & 15)));
    emit_imm(s, s->eq.taken[pad] - (s->eq.at + s->eq.len + 4), 4);
    return true;
}

/* LOOPcc, JCXZ: over a jump to the pad. */
static bool loop(struct seq *s)
{
    int pad = branch_pad(s);

    if (pad < 0)
        return false;
    if (s->f->insn.address_width == 16)
        s->eq.in.gpr[X86_RCX] &= 0xffff;
    for (unsigned i = 0; i < s->f->insn.raw.prefix_count; i++)
        if (s->f->insn.raw.prefixes[i].value >= 0xf2)
            emit1(s, s->f->insn.raw.prefixes[i].value);
    emit(s, (const uint8_t[]){0x67, s->f->insn.opcode, 2, 0xeb, 5}, 5);
    emit_jump(s, (unsigned)pad);
    return true;
}

static void loop_result(const struct seq *s, struct orc_result *out)
{
    if (s->f->insn.address_width == 16)
        out->st.gpr[X86_RCX] = merge16(s->oc->in.gpr[X86_RCX], out->st.gpr[X86_RCX]);
}

static bool is_loop(ZydisMnemonic m)
{
    return m == ZYDIS_MNEMONIC_LOOP || m == ZYDIS_MNEMONIC_LOOPE || m == ZYDIS_MNEMONIC_LOOPNE ||
           m == ZYDIS_MNEMONIC_JCXZ || m == ZYDIS_MNEMONIC_JECXZ;
}

static bool inc_dec(struct seq *s)
{
    uint8_t op = s->f->insn.opcode;

    if (op < 0x40 || op > 0x4f || s->f->insn.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
        return same_instruction(s);
    emit_prefixes(s, false);
    emit1(s, 0xff);
    emit1(s, (uint8_t)(0xc0 | (op & 15)));
    return true;
}

/* BT m, r: whether the byte in question is within 64 KiB where that is where addresses end. */
static bool bit_in_segment(const struct seq *s)
{
    const ZydisDecodedInstruction *i = &s->f->insn;
    uint32_t v = gpr(s, i->raw.modrm.reg);
    int64_t bit = i->operand_width == 16 ? (int16_t)v : (int32_t)v;
    int64_t at = (int64_t)(s->oc->ea - (s->is16 ? ORC_ARENA : 0)) + bit / 8;

    return (i->address_width == 32 && !s->is16) || (at > 8 && at < 0xfff0);
}

static bool build(struct seq *s)
{
    const ZydisDecodedInstruction *i = &s->f->insn;

    switch (i->mnemonic) {
    case ZYDIS_MNEMONIC_PUSH: return push(s);
    case ZYDIS_MNEMONIC_POP: return pop(s);
    case ZYDIS_MNEMONIC_PUSHA:
    case ZYDIS_MNEMONIC_PUSHAD: return pusha(s);
    case ZYDIS_MNEMONIC_POPA:
    case ZYDIS_MNEMONIC_POPAD: return popa(s);
    case ZYDIS_MNEMONIC_PUSHF:
    case ZYDIS_MNEMONIC_PUSHFD: return pushf(s);
    case ZYDIS_MNEMONIC_LEAVE: return leave(s);
    case ZYDIS_MNEMONIC_ENTER: return enter(s);
    case ZYDIS_MNEMONIC_JMP: return jump(s, false);
    case ZYDIS_MNEMONIC_CALL: return jump(s, true);
    case ZYDIS_MNEMONIC_RET: return ret(s);
    case ZYDIS_MNEMONIC_INC:
    case ZYDIS_MNEMONIC_DEC: return inc_dec(s);
    case ZYDIS_MNEMONIC_FXSAVE:
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_POPF:
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_XLAT:
    case ZYDIS_MNEMONIC_MASKMOVQ:
    case ZYDIS_MNEMONIC_MASKMOVDQU:
    case ZYDIS_MNEMONIC_BOUND: /* (what model.c did not do of them) */
    case ZYDIS_MNEMONIC_ARPL: return false;
    case ZYDIS_MNEMONIC_BT:
    case ZYDIS_MNEMONIC_BTS:
    case ZYDIS_MNEMONIC_BTR:
    case ZYDIS_MNEMONIC_BTC:
        if (i->raw.modrm.mod != 3 && i->raw.imm[0].size == 0 && !bit_in_segment(s))
            return false;
        break;
    default: break;
    }
    if (is_loop(i->mnemonic))
        return loop(s);
    if (i->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
        return jcc(s);
    if (is_string(i))
        return string(s);
    if (memory_operand(s->f) && !(i->attributes & ZYDIS_ATTRIB_HAS_MODRM))
        return moffs(s);
    return same_instruction(s);
}

static bool reads_segment(const struct form *f)
{
    for (unsigned i = 0; i < f->insn.operand_count; i++)
        if (f->ops[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            ZydisRegisterGetClass(f->ops[i].reg.value) == ZYDIS_REGCLASS_SEGMENT)
            return true;
    return false;
}

bool equiv_run(const struct form *f, const struct orc_case *oc, struct orc_result *out)
{
    static struct seq s;

    if (!f->decoded || f->insn.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        return false;
    s = (struct seq){.f = f, .oc = oc, .is16 = oc->mode == ORC_16};
    s.eq.mode = ORC_64;
    s.eq.in = oc->in;
    for (unsigned i = 0; i < 16; i++)
        s.eq.in.gpr[i] = (uint32_t)s.eq.in.gpr[i];
    s.eq.at = 0x140;
    s.eq.taken[0] = 0x800;
    s.eq.taken[1] = 0x900;
    if (reads_segment(f) || !addressable(&s))
        return false;
    if (model_knows(f)) {
        emit1(&s, 0x90); /* for what the host makes of the FPU state */
    } else if (!build(&s)) {
        return false;
    }
    native_place(&s.eq);
    native_run(&s.eq, out);
    out->no_pointers = true;
    if (model_knows(f))
        return model_run(f, oc, out);

    uint32_t ip = (uint32_t)(out->st.rip - ORC_CODE);
    bool end = out->vec == ORC_NO_FAULT || (out->vec >= VEC_DB && out->vec <= VEC_OF);
    out->st.rip = code_offset(&s) + oc->at;
    if (end)
        out->st.rip = ip == s.eq.taken[0]   ? code_offset(&s) + oc->taken[0]
                      : ip == s.eq.taken[1] ? code_offset(&s) + oc->taken[1] : next_ip(&s);
    for (unsigned i = 0; i < 8; i++)
        out->st.gpr[i] = (uint32_t)out->st.gpr[i];
    memcpy(out->st.gpr + 8, oc->in.gpr + 8, 8 * sizeof out->st.gpr[0]);
    memcpy(out->st.fx.xmm + 8, oc->in.fx.xmm + 8, sizeof out->st.fx.xmm[0] * 8);
    if (is_string(&f->insn))
        string_result(&s, out);
    if (is_loop(f->insn.mnemonic))
        loop_result(&s, out);
    return true;
}
