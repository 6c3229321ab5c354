/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * vendor: where Intel's processors do something else than AMD's, whose model ours is. Found by running
 * the oracle on both; docs/CONFORMANCE.md lists it. On an AMD host nothing of this applies.
 */
#include "oracle.h"

#include <cpuid.h>

bool host_is_amd(void)
{
    static int known;
    unsigned a, b, c, d;

    if (!known)
        known = __get_cpuid(0, &a, &b, &c, &d) && b == signature_AMD_ebx ? 1 : 2;
    return known == 1;
}

static bool is_memory(const ZydisDecodedOperand *o)
{
    return o->type == ZYDIS_OPERAND_TYPE_MEMORY;
}

static bool has_long_memory(const struct form *f)
{
    for (unsigned i = 0; i < f->insn.operand_count; i++)
        if (is_memory(&f->ops[i]) && f->ops[i].size == 128)
            return true;
    return false;
}

static bool is_mmx_store(const struct form *f)
{
    return is_memory(&f->ops[0]) && f->ops[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
           ZydisRegisterGetClass(f->ops[1].reg.value) == ZYDIS_REGCLASS_MMX;
}

static bool is_segment_push(const struct form *f)
{
    return f->insn.mnemonic == ZYDIS_MNEMONIC_PUSH && f->ops[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
           ZydisRegisterGetClass(f->ops[0].reg.value) == ZYDIS_REGCLASS_SEGMENT;
}

static bool is_sha(const struct form *f)
{
    return f->insn.meta.isa_ext == ZYDIS_ISA_EXT_SHA;
}

static bool is_repeated(const struct form *f)
{
    for (unsigned i = 0; i < f->insn.raw.prefix_count; i++)
        if (f->insn.raw.prefixes[i].value == 0xf2 || f->insn.raw.prefixes[i].value == 0xf3)
            return true;
    return false;
}

/* LOCK MOV CR0 is MOV CR8 on AMD's. */
static bool is_locked_mov_cr(const uint8_t *b)
{
    bool lock = false;

    for (; *b == 0xf0 || *b == 0x66 || *b == 0xf2 || *b == 0xf3 || (*b & 0xf0) == 0x40; b++)
        lock |= *b == 0xf0;
    return lock && b[0] == 0x0f && (b[1] == 0x20 || b[1] == 0x22);
}

const char *vendor_skip(const struct form *f)
{
    const ZydisDecodedInstruction *i = &f->insn;

    if (host_is_amd())
        return NULL;
    if (!f->decoded)
        return is_locked_mov_cr(f->bytes) ? "LOCK MOV CR0 is CR8 on AMD's only" : NULL;
    if (f->mode == ORC_64 && i->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE && i->attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE)
        return "66 before a near branch: Intel's ignore it";
    if (i->mnemonic == ZYDIS_MNEMONIC_NOP && i->opcode_map == ZYDIS_OPCODE_MAP_0F && i->opcode == 0x0d)
        return "PREFETCHW of a register: no operation on Intel's, #UD on AMD's";
    if (i->mnemonic == ZYDIS_MNEMONIC_PAUSE && i->raw.rex.B)
        return "F3 REX.B 90: PAUSE on Intel's, XCHG on AMD's";
    if ((i->mnemonic == ZYDIS_MNEMONIC_LOOPE || i->mnemonic == ZYDIS_MNEMONIC_LOOPNE) && is_repeated(f))
        return "F2 or F3 before LOOPE and LOOPNE chooses the condition on Intel's";
    if (i->mnemonic == ZYDIS_MNEMONIC_MOVSXD && i->operand_width == 16)
        return "MOVSXD with 66: Intel's read 16 bits";
    if (is_mmx_store(f))
        return "stores of MMX registers: Intel's set TOP";
    if (is_sha(f) && has_long_memory(f))
        return "SHA: Intel's want alignment";
    if (is_segment_push(f) && i->operand_width == 32)
        return "PUSH of a segment register: Intel's write 16 bits";
    return NULL;
}

bool vendor_leaks(const struct form *f)
{
    const ZydisAccessedFlags *flags = f->insn.cpu_flags;

    if (host_is_amd())
        return false;
    return (flags && flags->undefined) || f->insn.meta.isa_ext == ZYDIS_ISA_EXT_X87 ||
           f->insn.mnemonic == ZYDIS_MNEMONIC_FXSAVE || f->insn.mnemonic == ZYDIS_MNEMONIC_FXSAVE64;
}

static bool is_string(const ZydisDecodedInstruction *i)
{
    return i->meta.category == ZYDIS_CATEGORY_STRINGOP;
}

static bool is_x87_store(ZydisMnemonic m)
{
    return m == ZYDIS_MNEMONIC_FST || m == ZYDIS_MNEMONIC_FSTP || m == ZYDIS_MNEMONIC_FIST || m == ZYDIS_MNEMONIC_FISTP ||
           m == ZYDIS_MNEMONIC_FISTTP || m == ZYDIS_MNEMONIC_FBSTP;
}

bool vendor_differs(const struct form *f, const struct orc_case *oc, const struct orc_result *host,
                    const struct orc_result *ours)
{
    const ZydisDecodedInstruction *i = &f->insn;
    bool fault = host->vec >= 0 && host->vec == ours->vec;

    if (host_is_amd() || !f->decoded)
        return false;
    if (ours->vec == VEC_AC && has_long_memory(f)) /* no alignment check of what may be unaligned */
        return true;
    if (is_x87_store(i->mnemonic)) /* an unmasked exception first; 10 bytes by two stores */
        return host->vec >= 0 || ours->vec >= 0;
    if (i->mnemonic == ZYDIS_MNEMONIC_BOUND) /* the lower bound is compared before the upper one is read */
        return host->vec == VEC_BR && ours->vec >= 0;
    if (i->mnemonic == ZYDIS_MNEMONIC_CALL) /* to nowhere: the return address is below the stack already */
        return fault && host->vec == VEC_GP;
    if (i->mnemonic == ZYDIS_MNEMONIC_FXRSTOR) /* unaligned, and beyond SS */
        return host->vec == VEC_GP && ours->vec == VEC_SS;
    if (!is_string(i) || !is_repeated(f))
        return false;
    if (f->mode == ORC_64 && i->address_width == 32) /* the registers are cut before the first element */
        return fault || (uint32_t)oc->in.gpr[X86_RCX] == 0;
    return fault; /* flags as before the first element */
}
