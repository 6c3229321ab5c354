/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * model: instructions that 64-bit mode has not got, from the text of SDM 2, for hosts that run
 * 64-bit code only. Undefined flags are left alone; compare.c does not look at them.
 */
#include "oracle.h"

#include <string.h>

struct model {
    const struct form *f;
    const struct orc_case *oc;
    struct orc_state *st;
    uint8_t imm;
    int vec; /* raised */
};

static void set_flag(struct model *m, uint64_t flag, bool on)
{
    m->st->rflags = on ? m->st->rflags | flag : m->st->rflags & ~flag;
}

static void set_szp(struct model *m, uint8_t v)
{
    set_flag(m, FLAG_SF, v & 0x80);
    set_flag(m, FLAG_ZF, v == 0);
    set_flag(m, FLAG_PF, !(__builtin_popcount(v) & 1));
}

static uint8_t get_al(const struct model *m)
{
    return (uint8_t)m->st->gpr[X86_RAX];
}

static void set_ax(struct model *m, uint16_t v)
{
    m->st->gpr[X86_RAX] = (m->st->gpr[X86_RAX] & ~0xffffull) | v;
}

static void set_al(struct model *m, uint8_t v)
{
    m->st->gpr[X86_RAX] = (m->st->gpr[X86_RAX] & ~0xffull) | v;
}

static void aaa_aas(struct model *m, bool add)
{
    uint16_t ax = (uint16_t)m->st->gpr[X86_RAX];
    bool adjust = (ax & 15) > 9 || m->st->rflags & FLAG_AF;

    if (adjust)
        ax = add ? (uint16_t)(ax + 0x106) : (uint16_t)(ax - 6 - 0x100);
    set_flag(m, FLAG_AF | FLAG_CF, adjust);
    set_ax(m, ax & 0xff0f);
}

static void daa_das(struct model *m, bool add)
{
    uint8_t old = get_al(m), al = old;
    bool cf = m->st->rflags & FLAG_CF, low = (al & 15) > 9 || m->st->rflags & FLAG_AF;
    bool high = old > 0x99 || cf, out = false;

    if (low) {
        out = cf || (add ? al > 0xff - 6 : al < 6);
        al = (uint8_t)(add ? al + 6 : al - 6);
    }
    if (high) {
        al = (uint8_t)(add ? al + 0x60 : al - 0x60);
        out = true;
    } else if (add) {
        out = false;
    }
    set_flag(m, FLAG_AF, low);
    set_flag(m, FLAG_CF, out);
    set_al(m, al);
    set_szp(m, al);
}

static void aam(struct model *m)
{
    uint8_t al = get_al(m);

    if (m->imm == 0) {
        m->vec = VEC_DE;
        return;
    }
    set_ax(m, (uint16_t)(al / m->imm << 8 | al % m->imm));
    set_szp(m, al % m->imm);
}

static void aad(struct model *m)
{
    uint16_t ax = (uint16_t)m->st->gpr[X86_RAX];
    uint8_t al = (uint8_t)(ax + (ax >> 8) * m->imm);

    set_ax(m, al);
    set_szp(m, al);
}

/* False: an operand is not in the arena. */
static bool bound(struct model *m)
{
    unsigned n = m->f->insn.operand_width / 8;
    uint64_t at = m->oc->ea - ORC_ARENA;
    int32_t v = (int32_t)m->st->gpr[m->f->insn.raw.modrm.reg], lo = 0, hi = 0;

    if (at > ORC_ARENA_BYTES - 2 * n || m->oc->in.rflags & FLAG_AC || m->f->ops[1].mem.segment == ZYDIS_REGISTER_CS)
        return false;
    memcpy(&lo, native_arena() + at, n);
    memcpy(&hi, native_arena() + at + n, n);
    if (n == 2) {
        v = (int16_t)v;
        lo = (int16_t)lo;
        hi = (int16_t)hi;
    }
    if (v < lo || v > hi)
        m->vec = VEC_BR;
    return true;
}

static bool arpl(struct model *m)
{
    const ZydisDecodedInstruction *i = &m->f->insn;
    uint16_t dst, src = (uint16_t)m->st->gpr[i->raw.modrm.reg];

    if (i->raw.modrm.mod != 3)
        return false;
    dst = (uint16_t)m->st->gpr[i->raw.modrm.rm];
    set_flag(m, FLAG_ZF, (dst & 3) < (src & 3));
    if ((dst & 3) < (src & 3))
        m->st->gpr[i->raw.modrm.rm] = (m->st->gpr[i->raw.modrm.rm] & ~3ull) | (src & 3);
    return true;
}

static bool execute(struct model *m)
{
    switch (m->f->insn.mnemonic) {
    case ZYDIS_MNEMONIC_AAA: aaa_aas(m, true); return true;
    case ZYDIS_MNEMONIC_AAS: aaa_aas(m, false); return true;
    case ZYDIS_MNEMONIC_DAA: daa_das(m, true); return true;
    case ZYDIS_MNEMONIC_DAS: daa_das(m, false); return true;
    case ZYDIS_MNEMONIC_AAM: aam(m); return true;
    case ZYDIS_MNEMONIC_AAD: aad(m); return true;
    case ZYDIS_MNEMONIC_SALC: set_al(m, m->st->rflags & FLAG_CF ? 0xff : 0); return true;
    case ZYDIS_MNEMONIC_BOUND: return bound(m);
    case ZYDIS_MNEMONIC_ARPL: return arpl(m);
    case ZYDIS_MNEMONIC_INTO: m->vec = m->st->rflags & FLAG_OF ? VEC_OF : ORC_NO_FAULT; return true;
    default: return false;
    }
}

bool model_knows(const struct form *f)
{
    switch (f->insn.mnemonic) {
    case ZYDIS_MNEMONIC_AAA:
    case ZYDIS_MNEMONIC_AAS:
    case ZYDIS_MNEMONIC_DAA:
    case ZYDIS_MNEMONIC_DAS:
    case ZYDIS_MNEMONIC_AAM:
    case ZYDIS_MNEMONIC_AAD:
    case ZYDIS_MNEMONIC_SALC:
    case ZYDIS_MNEMONIC_BOUND:
    case ZYDIS_MNEMONIC_INTO: return true;
    case ZYDIS_MNEMONIC_ARPL: return f->insn.raw.modrm.mod == 3;
    default: return false;
    }
}

bool model_run(const struct form *f, const struct orc_case *oc, struct orc_result *out)
{
    struct model m = {.f = f, .oc = oc, .st = &out->st, .vec = ORC_NO_FAULT};
    bool has_imm = f->insn.raw.imm[0].size != 0;

    memcpy(out->st.gpr, oc->in.gpr, sizeof oc->in.gpr);
    memcpy(out->st.fx.xmm, oc->in.fx.xmm, sizeof oc->in.fx.xmm);
    for (unsigned i = 0; i < 8; i++)
        out->st.gpr[i] = (uint32_t)out->st.gpr[i];
    m.imm = has_imm ? oc->bytes[f->insn.raw.imm[0].offset] : 0;
    if (!execute(&m))
        return false;
    out->vec = m.vec;
    out->st.rip = (oc->mode == ORC_16 ? 0 : ORC_CODE) + oc->at;
    if (m.vec == ORC_NO_FAULT || m.vec == VEC_OF)
        out->st.rip += oc->len;
    return true;
}
