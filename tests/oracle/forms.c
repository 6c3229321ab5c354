/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * forms: walks all instruction forms of a mode: prefixes x opcode maps x opcodes x modrm.reg x
 * operand classes. Zydis says which opcodes have a modrm byte and how long the rest is; what it
 * does not know is tried, too (all must be #UD or the same on both).
 *
 * Some forms are left out, each with a reason (docs/CONFORMANCE.md); those of extensions that
 * our CPU does not advertise are run on ours alone, where they must be #UD.
 */
#include "oracle.h"

#include <stdlib.h>
#include <string.h>

struct prefix {
    const char *name;
    uint8_t n, bytes[4];
    bool rich; /* all addressing classes with this one */
};

static const struct prefix prefixes64[] = {
    {"-", 0, {0}, true},
    {"66", 1, {0x66}, true},
    {"F2", 1, {0xf2}, false},
    {"F3", 1, {0xf3}, false},
    {"REX.W", 1, {0x48}, true},
    {"REX", 1, {0x40}, false},
    {"REX.R", 1, {0x44}, false},
    {"REX.X", 1, {0x42}, false},
    {"REX.B", 1, {0x41}, false},
    {"REX.WRXB", 1, {0x4f}, false},
    {"66 REX.W", 2, {0x66, 0x48}, false},
    {"66 REX.RXB", 2, {0x66, 0x47}, false},
    {"F2 REX.W", 2, {0xf2, 0x48}, false},
    {"F3 REX.W", 2, {0xf3, 0x48}, false},
    {"F2 REX.RXB", 2, {0xf2, 0x47}, false},
    {"F3 REX.RXB", 2, {0xf3, 0x47}, false},
    {"67", 1, {0x67}, false},
    {"67 REX.WRXB", 2, {0x67, 0x4f}, false},
    {"67 66", 2, {0x67, 0x66}, false},
    {"67 F3", 2, {0x67, 0xf3}, false},
    {"LOCK", 1, {0xf0}, false},
    {"LOCK 66", 2, {0xf0, 0x66}, false},
    {"LOCK REX.W", 2, {0xf0, 0x48}, false},
    {"LOCK F2", 2, {0xf0, 0xf2}, false},
    {"66 F2", 2, {0x66, 0xf2}, false},
    {"F3 66", 2, {0xf3, 0x66}, false},
    {"F2 F3", 2, {0xf2, 0xf3}, false},
    {"F3 F2", 2, {0xf3, 0xf2}, false},
    {"REX.W 66", 2, {0x48, 0x66}, false},
    {"ES", 1, {0x26}, false},
    {"CS", 1, {0x2e}, false},
    {"SS", 1, {0x36}, false},
    {"FS", 1, {0x64}, false},
    {"GS", 1, {0x65}, false},
};

static const struct prefix prefixes32[] = {
    {"-", 0, {0}, true},
    {"66", 1, {0x66}, true},
    {"F2", 1, {0xf2}, false},
    {"F3", 1, {0xf3}, false},
    {"67", 1, {0x67}, true},
    {"66 67", 2, {0x66, 0x67}, false},
    {"66 F2", 2, {0x66, 0xf2}, false},
    {"F3 66", 2, {0xf3, 0x66}, false},
    {"67 F3", 2, {0x67, 0xf3}, false},
    {"LOCK", 1, {0xf0}, false},
    {"LOCK 66", 2, {0xf0, 0x66}, false},
    {"F2 F3", 2, {0xf2, 0xf3}, false},
    {"ES", 1, {0x26}, false},
    {"CS", 1, {0x2e}, false},
    {"SS", 1, {0x36}, false},
    {"FS", 1, {0x64}, false},
    {"GS", 1, {0x65}, false},
};

/* modrm.mod and rm (and SIB): 8 and more are with a 32 or 64-bit address only. */
enum { CLASS_REG, CLASS_REG2, CLASS_BASE, CLASS_DISP8, CLASS_DISP32, CLASS_ABS, CLASS_SIB, CLASS_SIB8,
       CLASS_SIB32, CLASS_NOBASE, CLASSES };

struct walk {
    enum orc_mode mode;
    struct rng r;
    ZydisDecoder dec;
    unsigned prefix, map, op, reg, class;
    bool no_modrm; /* of the opcode we are at */
};

static const struct prefix *prefix_table(enum orc_mode m, unsigned *n)
{
    *n = m == ORC_64 ? sizeof prefixes64 / sizeof prefixes64[0] : sizeof prefixes32 / sizeof prefixes32[0];
    return m == ORC_64 ? prefixes64 : prefixes32;
}

struct walk *walk_new(enum orc_mode m, uint64_t seed)
{
    static const ZydisMachineMode mm[] = {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_MACHINE_MODE_LEGACY_32,
                                          ZYDIS_MACHINE_MODE_LEGACY_16};
    static const ZydisStackWidth sw[] = {ZYDIS_STACK_WIDTH_64, ZYDIS_STACK_WIDTH_32, ZYDIS_STACK_WIDTH_16};
    struct walk *w = calloc(1, sizeof *w);

    w->mode = m;
    rng_seed(&w->r, seed);
    ZydisDecoderInit(&w->dec, mm[m], sw[m]);
    ZydisDecoderEnableMode(&w->dec, ZYDIS_DECODER_MODE_AMD_BRANCHES, true);
    return w;
}

void walk_free(struct walk *w)
{
    free(w);
}

static bool is_prefix_byte(enum orc_mode m, unsigned map, unsigned op)
{
    if (map == 1)
        return op == 0x38 || op == 0x3a;
    if (map != 0)
        return false;
    if (m == ORC_64 && (op & 0xf0) == 0x40)
        return true;
    return op == 0x26 || op == 0x2e || op == 0x36 || op == 0x3e || (op >= 0x64 && op <= 0x67) ||
           op == 0xf0 || op == 0xf2 || op == 0xf3 || op == 0x0f;
}

/* VEX, EVEX and XOP: not by opcode byte (see walk_vex). */
static bool is_vex_byte(enum orc_mode m, unsigned map, unsigned op, uint8_t modrm)
{
    if (map != 0)
        return false;
    if (op == 0xc4 || op == 0xc5 || op == 0x62)
        return m == ORC_64 || modrm >= 0xc0;
    return op == 0x8f && (modrm & 0x38) != 0;
}

static uint8_t any_but(struct rng *r, unsigned n, unsigned but)
{
    unsigned v = rng_below(r, n - 1);
    return (uint8_t)(v >= but ? v + 1 : v);
}

/* modrm and SIB of a class; what follows is random and gets its values later. */
static unsigned put_modrm(struct walk *w, uint8_t *p, unsigned reg, unsigned class)
{
    struct rng *r = &w->r;
    bool wide = w->mode != ORC_16;
    uint8_t mod = 0, rm = 0, sib = (uint8_t)rng_next(r);

    switch (class) {
    case CLASS_REG:
        mod = 3;
        rm = (uint8_t)rng_below(r, 4);
        break;
    case CLASS_REG2:
        mod = 3;
        rm = (uint8_t)(4 + rng_below(r, 4));
        break;
    case CLASS_BASE:
        rm = wide ? any_but(r, 4, 5) : any_but(r, 8, 6);
        break;
    case CLASS_DISP8:
        mod = 1;
        rm = any_but(r, 8, wide ? 4 : 8);
        break;
    case CLASS_DISP32:
        mod = 2;
        rm = any_but(r, 8, wide ? 4 : 8);
        break;
    case CLASS_ABS:
        rm = wide ? 5 : 6;
        break;
    default:
        mod = (uint8_t)(class == CLASS_NOBASE ? 0 : class - CLASS_SIB);
        rm = 4;
        if (class == CLASS_NOBASE)
            sib = (sib & 0xf8) | 5;
        else if (class == CLASS_SIB && (sib & 7) == 5)
            sib ^= 1;
        break;
    }
    p[0] = (uint8_t)(mod << 6 | reg << 3 | rm);
    p[1] = sib;
    return rm == 4 && mod != 3 ? 2 : 1;
}

static const struct {
    ZydisMnemonic m;
    const char *why;
} skips[] = {
    {ZYDIS_MNEMONIC_SYSCALL, "enters the host's kernel"},
    {ZYDIS_MNEMONIC_SYSENTER, "enters the host's kernel"},
    {ZYDIS_MNEMONIC_INT, "enters the host's kernel"},
    {ZYDIS_MNEMONIC_VMCALL, "calls the host's hypervisor"},
    {ZYDIS_MNEMONIC_VMMCALL, "calls the host's hypervisor"},
    {ZYDIS_MNEMONIC_TZCNT, "is BSF to a guest: BMI1 is not advertised"},
    {ZYDIS_MNEMONIC_CPUID, "values differ by design"},
    {ZYDIS_MNEMONIC_RDTSC, "values differ by design"},
    {ZYDIS_MNEMONIC_RDTSCP, "values differ by design"},
    {ZYDIS_MNEMONIC_RDPMC, "depends on the host's CR4.PCE"},
    {ZYDIS_MNEMONIC_RDPID, "values differ by design"},
    {ZYDIS_MNEMONIC_RDPRU, "values differ by design"},
    {ZYDIS_MNEMONIC_RDRAND, "values differ by design"},
    {ZYDIS_MNEMONIC_RDSEED, "values differ by design"},
    {ZYDIS_MNEMONIC_SGDT, "the host's tables differ; its kernel may emulate it (UMIP)"},
    {ZYDIS_MNEMONIC_SIDT, "the host's tables differ; its kernel may emulate it (UMIP)"},
    {ZYDIS_MNEMONIC_SLDT, "the host's tables differ; its kernel may emulate it (UMIP)"},
    {ZYDIS_MNEMONIC_STR, "the host's tables differ; its kernel may emulate it (UMIP)"},
    {ZYDIS_MNEMONIC_SMSW, "the host's CR0 differs; its kernel may emulate it (UMIP)"},
    {ZYDIS_MNEMONIC_LAR, "the host's descriptor tables differ"},
    {ZYDIS_MNEMONIC_LSL, "the host's descriptor tables differ"},
    {ZYDIS_MNEMONIC_VERR, "the host's descriptor tables differ"},
    {ZYDIS_MNEMONIC_VERW, "the host's descriptor tables differ"},
    {ZYDIS_MNEMONIC_LDS, "loads the host's segment registers"},
    {ZYDIS_MNEMONIC_LES, "loads the host's segment registers"},
    {ZYDIS_MNEMONIC_LSS, "loads the host's segment registers"},
    {ZYDIS_MNEMONIC_LFS, "loads the host's segment registers"},
    {ZYDIS_MNEMONIC_LGS, "loads the host's segment registers"},
    {ZYDIS_MNEMONIC_IRET, "far transfer"},
    {ZYDIS_MNEMONIC_IRETD, "far transfer"},
    {ZYDIS_MNEMONIC_IRETQ, "far transfer"},
    {ZYDIS_MNEMONIC_UMONITOR, "waits"},
    {ZYDIS_MNEMONIC_UMWAIT, "waits"},
    {ZYDIS_MNEMONIC_TPAUSE, "waits"},
    {ZYDIS_MNEMONIC_MONITORX, "waits"},
    {ZYDIS_MNEMONIC_MWAITX, "waits"},
    {ZYDIS_MNEMONIC_RDFSBASE, "depends on the host's CR4.FSGSBASE"},
    {ZYDIS_MNEMONIC_RDGSBASE, "depends on the host's CR4.FSGSBASE"},
    {ZYDIS_MNEMONIC_WRFSBASE, "depends on the host's CR4.FSGSBASE"},
    {ZYDIS_MNEMONIC_WRGSBASE, "depends on the host's CR4.FSGSBASE"},
    {ZYDIS_MNEMONIC_XGETBV, "depends on the host's CR4.OSXSAVE"},
    {ZYDIS_MNEMONIC_RDPKRU, "depends on the host's CR4.PKE"},
    {ZYDIS_MNEMONIC_WRPKRU, "depends on the host's CR4.PKE"},
    {ZYDIS_MNEMONIC_GETSEC, "enters another mode"},
    {ZYDIS_MNEMONIC_SKINIT, "enters another mode"},
    {ZYDIS_MNEMONIC_ENCLU, "enters another mode"},
};

/* Encodings that mean something else where their extension is not advertised. */
static bool is_other_instruction(ZydisMnemonic m)
{
    switch (m) {
    case ZYDIS_MNEMONIC_VMCALL: /* hypercalls of KVM */
    case ZYDIS_MNEMONIC_VMMCALL:
    case ZYDIS_MNEMONIC_TZCNT: /* BSF */
    case ZYDIS_MNEMONIC_ENDBR32: /* NOPs */
    case ZYDIS_MNEMONIC_ENDBR64:
    case ZYDIS_MNEMONIC_RDSSPD:
    case ZYDIS_MNEMONIC_RDSSPQ:
        return true;
    default:
        return false;
    }
}

static bool has_segment_operand(const struct form *f)
{
    for (unsigned i = 0; i < f->insn.operand_count; i++)
        if (f->ops[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            (f->ops[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) &&
            ZydisRegisterGetClass(f->ops[i].reg.value) == ZYDIS_REGCLASS_SEGMENT)
            return true;
    return false;
}

/* FS:[disp32] cannot be aimed at the arena. */
static bool addresses_fs_alone(const struct form *f)
{
    for (unsigned i = 0; i < f->insn.operand_count; i++) {
        const ZydisDecodedOperand *op = &f->ops[i];
        if (f->mode == ORC_64 && op->type == ZYDIS_OPERAND_TYPE_MEMORY && op->mem.segment == ZYDIS_REGISTER_FS &&
            op->mem.type != ZYDIS_MEMOP_TYPE_AGEN && f->insn.address_width != 64)
            return true;
        if (f->mode == ORC_64 && op->type == ZYDIS_OPERAND_TYPE_MEMORY && op->mem.segment == ZYDIS_REGISTER_FS &&
            op->mem.type != ZYDIS_MEMOP_TYPE_AGEN && reg_index(op->mem.base) < 0 && reg_index(op->mem.index) < 0)
            return true;
    }
    return false;
}

static bool addresses_cs(const struct form *f)
{
    for (unsigned i = 0; i < f->insn.operand_count; i++)
        if (f->ops[i].type == ZYDIS_OPERAND_TYPE_MEMORY && f->ops[i].mem.segment == ZYDIS_REGISTER_CS)
            return true;
    return false;
}

static const char *skip_reason(const struct form *f)
{
    for (unsigned i = 0; i < sizeof skips / sizeof skips[0]; i++)
        if (f->insn.mnemonic == skips[i].m)
            return skips[i].why;
    if (f->insn.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
        return "far transfer";
    if (f->mode == ORC_16 && f->insn.meta.branch_type == ZYDIS_BRANCH_TYPE_NEAR && addresses_cs(f))
        return "its target would be in the code that both sides have their own of";
    if (addresses_fs_alone(f))
        return "FS is this process' own: nothing near it is safe to touch";
    if (has_segment_operand(f))
        return "loads the host's segment registers";
    return NULL;
}

/* mod 0 and SIB.base 5 is no base, also with REX.B: Zydis 4.0 says r13d with 32-bit addresses. */
static void correct_base(struct form *f)
{
    if (f->insn.raw.modrm.mod != 0 || f->insn.raw.modrm.rm != 4 || f->insn.raw.sib.base != 5)
        return;
    for (unsigned i = 0; i < f->insn.operand_count; i++)
        if (f->ops[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
            f->ops[i].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
            f->ops[i].mem.base = ZYDIS_REGISTER_NONE;
}

static bool is_lock_verw(const uint8_t *bytes, const struct prefix *p, unsigned n)
{
    return p->n && p->bytes[0] == 0xf0 && n >= p->n + 3u && bytes[p->n] == 0x0f && bytes[p->n + 1] == 0 &&
           (bytes[p->n + 2] & 0x38) == 0x28;
}

/* With a prefix that Zydis does not take: VMCALL, RDPKRU and WRPKRU, which are skipped without. */
static const char *hides_skipped(const uint8_t *bytes, const struct prefix *p)
{
    const uint8_t *b = bytes + p->n;

    if (b[0] != 0x0f || b[1] != 0x01)
        return NULL;
    if (b[2] == 0xc1)
        return "calls the host's hypervisor";
    return b[2] == 0xee || b[2] == 0xef ? "depends on the host's CR4.PKE" : NULL;
}

static void finish(struct walk *w, struct form *f, const struct prefix *p, unsigned n)
{
    f->mode = w->mode;
    f->prefix = p->name;
    f->skip = NULL;
    f->hidden = false;
    for (unsigned i = n; i < sizeof f->bytes; i++)
        f->bytes[i] = (uint8_t)(w->mode == ORC_64 ? 0 : rng_next(&w->r));
    f->decoded = ZYAN_SUCCESS(ZydisDecoderDecodeFull(&w->dec, f->bytes, 15, &f->insn, f->ops));
    f->len = f->decoded ? f->insn.length : 15;
    if (is_lock_verw(f->bytes, p, n))
        f->skip = "Zen executes LOCK VERW";
    if (!f->decoded && !f->skip)
        f->skip = hides_skipped(f->bytes, p);
    if (!f->decoded)
        memset(f->bytes + n, 0, sizeof f->bytes - n);
    f->skip = f->skip ? f->skip : vendor_skip(f);
    if (f->decoded) {
        correct_base(f);
        f->skip = f->skip ? f->skip : skip_reason(f);
        f->hidden = !soft_advertises(&f->insn) && !is_other_instruction(f->insn.mnemonic);
    }
}

static unsigned put_opcode(struct walk *w, const struct prefix *p, uint8_t *b)
{
    unsigned n = p->n;

    memcpy(b, p->bytes, n);
    if (w->map >= 1)
        b[n++] = 0x0f;
    if (w->map >= 2)
        b[n++] = w->map == 2 ? 0x38 : 0x3a;
    b[n++] = (uint8_t)w->op;
    return n;
}

/* To the next combination; false at the end. */
static bool advance(struct walk *w)
{
    unsigned nprefix;

    prefix_table(w->mode, &nprefix);
    if (!w->no_modrm) {
        if (++w->class < CLASSES)
            return true;
        w->class = 0;
        if (++w->reg < 8)
            return true;
    }
    w->class = w->reg = 0;
    w->no_modrm = false;
    if (++w->op < 256)
        return true;
    w->op = 0;
    if (++w->map < 4)
        return true;
    w->map = 0;
    return ++w->prefix < nprefix;
}

/* With most prefixes one register and two memory classes are enough. */
static bool class_wanted(const struct walk *w, const struct prefix *p)
{
    if (w->class >= CLASS_SIB && w->mode == ORC_16)
        return false;
    if (p->rich || w->class == CLASS_REG)
        return true;
    return w->class == CLASS_BASE + (w->op + w->reg) % 4 || w->class == CLASS_ABS + (w->op ^ w->reg) % 5;
}

bool walk_next(struct walk *w, struct form *f)
{
    unsigned nprefix;
    const struct prefix *table = prefix_table(w->mode, &nprefix);

    while (w->prefix < nprefix) {
        const struct prefix *p = &table[w->prefix];
        unsigned n = put_opcode(w, p, f->bytes);
        unsigned m = put_modrm(w, f->bytes + n, w->reg, w->class);
        bool ok = class_wanted(w, p) && !is_prefix_byte(w->mode, w->map, w->op) &&
                  !is_vex_byte(w->mode, w->map, w->op, f->bytes[n]);
        if (ok) {
            finish(w, f, p, n + m);
            w->no_modrm = f->decoded && !(f->insn.attributes & ZYDIS_ATTRIB_HAS_MODRM);
        }
        if (!advance(w))
            w->prefix = nprefix;
        if (ok)
            return true;
    }
    return false;
}

void form_disasm(const struct form *f, const uint8_t *bytes, char *out, size_t n)
{
    static const ZydisMachineMode mm[] = {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_MACHINE_MODE_LEGACY_32,
                                          ZYDIS_MACHINE_MODE_LEGACY_16};
    ZydisDisassembledInstruction d;

    out[0] = 0;
    if (n > 4 && ZYAN_SUCCESS(ZydisDisassembleIntel(mm[f->mode], ORC_CODE, bytes, f->len, &d)))
        strncat(out, d.text, n - 1);
    else
        strncat(out, "(not known to Zydis)", n - 1);
}
