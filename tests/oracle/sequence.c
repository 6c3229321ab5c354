/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sequence: several instructions in a row, because ours runs blocks, not instructions: flags that
 * nobody reads are not computed, instructions are fused and linked. Sequences are made of all
 * register forms and of memory forms based on R15, which with RSP is never written; now and then
 * a conditional jump over the next instruction. Each sequence runs from several states, so that
 * blocks are found again and linked.
 *
 * At a fault inside a block arithmetic flags may differ from the host's, as translate.c says.
 */
#include "oracle.h"

#include <stdlib.h>
#include <string.h>

enum { POOL_MAX = 150000, SEQ_MAX = 10, DISP_RANGE = 0xe00 };

struct part {
    uint8_t len, bytes[15];
    uint8_t disp_at;  /* offset of a displacement from R15, or 0 */
    uint8_t imm_at, imm_len;
    uint8_t stored;   /* leaves behind what differs by design: enum */
};
enum { STORED_NOTHING, STORED_ENV28, STORED_ENV14, STORED_FX, STORED_FX64 };

/* Integer instructions and the others: the former are fewer, but have the flags. */
struct pool {
    struct part *parts[2];
    unsigned n[2];
};

/* Leaves RSP and R15 alone, has no memory operand but an explicit one or the stack's, does not
 * branch. */
static bool is_tame(const struct form *f)
{
    bool stack = f->insn.mnemonic == ZYDIS_MNEMONIC_PUSH || f->insn.mnemonic == ZYDIS_MNEMONIC_POP;

    if (!f->decoded || f->skip || f->hidden || f->insn.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE || vendor_leaks(f))
        return false;
    for (unsigned i = 0; i < f->insn.operand_count; i++) {
        const ZydisDecodedOperand *op = &f->ops[i];
        bool hidden = op->visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT;

        if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && hidden && !stack)
            return false;
        if (op->type == ZYDIS_OPERAND_TYPE_REGISTER && op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) {
            int r = reg_index(op->reg.value);
            if (r == 15 || (r == X86_RSP && !(stack && hidden)))
                return false;
        }
    }
    switch (f->insn.mnemonic) {
    case ZYDIS_MNEMONIC_INT3:
    case ZYDIS_MNEMONIC_INT1:
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
    case ZYDIS_MNEMONIC_LDMXCSR: /* of anything: seldom valid */
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR64:
        return false;
    default:
        return f->insn.meta.category != ZYDIS_CATEGORY_SYSTEM && f->insn.meta.category != ZYDIS_CATEGORY_IO;
    }
}

static bool is_bit_string(const struct form *f)
{
    return f->insn.meta.category == ZYDIS_CATEGORY_BITBYTE && f->insn.raw.imm[0].size == 0;
}

static uint8_t what_it_stores(const struct form *f)
{
    switch (f->insn.mnemonic) {
    case ZYDIS_MNEMONIC_FNSTENV:
    case ZYDIS_MNEMONIC_FNSAVE:
        return f->ops[0].size / 8 == 14 || f->ops[0].size / 8 == 94 ? STORED_ENV14 : STORED_ENV28;
    case ZYDIS_MNEMONIC_FXSAVE:
        return STORED_FX;
    case ZYDIS_MNEMONIC_FXSAVE64:
        return STORED_FX64;
    default:
        return STORED_NOTHING;
    }
}

static unsigned legacy_prefixes(const uint8_t *b)
{
    unsigned n = 0;

    while (memchr("\x66\x67\xf0\xf2\xf3\x26\x2e\x36\x3e\x64\x65", b[n], 11))
        n++;
    return n;
}

/* [base + disp32] becomes [r15 + disp32]: REX.B is added or set. */
static bool rebase(const struct form *f, struct part *p)
{
    const ZydisDecodedInstruction *i = &f->insn;
    unsigned before = legacy_prefixes(f->bytes);
    bool has_rex = (f->bytes[before] & 0xf0) == 0x40;
    unsigned opcode = before + has_rex, rest = i->length - opcode;
    unsigned modrm = before + 1 + (i->raw.modrm.offset - opcode);

    if (i->raw.modrm.mod != 2 || i->raw.modrm.rm == 4 || i->address_width != 64 || is_bit_string(f))
        return false;
    if (before + 1 + rest > sizeof p->bytes || legacy_prefixes(f->bytes + opcode))
        return false; /* (REX before a prefix is none) */
    memcpy(p->bytes, f->bytes, before);
    p->bytes[before] = (has_rex ? f->bytes[before] : 0x40) | 1;
    memcpy(p->bytes + before + 1, f->bytes + opcode, rest);
    p->bytes[modrm] = (uint8_t)(0x80 | i->raw.modrm.reg << 3 | 7);
    p->len = (uint8_t)(before + 1 + rest);
    p->disp_at = (uint8_t)(modrm + 1);
    p->imm_len = i->raw.imm[0].size / 8;
    p->imm_at = (uint8_t)(p->len - p->imm_len);
    p->stored = what_it_stores(f);
    return true;
}

static bool make_part(const struct form *f, struct part *p)
{
    const ZydisDecodedInstruction *i = &f->insn;
    bool modrm = i->attributes & ZYDIS_ATTRIB_HAS_MODRM;

    memset(p, 0, sizeof *p);
    if (!is_tame(f) || i->raw.imm[1].size)
        return false;
    if (modrm && i->raw.modrm.mod != 3)
        return i->mnemonic != ZYDIS_MNEMONIC_LEA && rebase(f, p);
    if (!modrm && i->raw.disp.size)
        return false; /* moffs */
    p->len = i->length;
    memcpy(p->bytes, f->bytes, i->length);
    p->imm_len = i->raw.imm[0].size / 8;
    p->imm_at = i->raw.imm[0].offset;
    return true;
}

static struct pool *make_pool(uint64_t seed)
{
    struct pool *pool = calloc(1, sizeof *pool);
    struct walk *w = walk_new(ORC_64, seed);
    struct form f;

    for (unsigned k = 0; k < 2; k++)
        pool->parts[k] = calloc(POOL_MAX, sizeof **pool->parts);
    while (walk_next(w, &f)) {
        unsigned k = f.decoded && f.insn.meta.isa_ext == ZYDIS_ISA_EXT_BASE ? 0 : 1;
        if (pool->n[k] < POOL_MAX)
            pool->n[k] += make_part(&f, &pool->parts[k][pool->n[k]]);
    }
    walk_free(w);
    return pool;
}

/* Environments and FX images that a sequence stores: where they are to be forgiven. */
struct stored {
    unsigned n;
    struct {
        uint32_t at;
        uint8_t what;
    } list[SEQ_MAX];
};

static void append(struct orc_case *oc, const struct part *p, struct rng *r, struct stored *st)
{
    uint8_t *b = oc->bytes + oc->len;
    uint64_t imm = value_int(r);

    memcpy(b, p->bytes, p->len);
    if (p->imm_len)
        memcpy(b + p->imm_at, &imm, p->imm_len);
    if (p->disp_at) {
        int32_t d = (int32_t)(rng_below(r, 2 * DISP_RANGE) & (rng_chance(r, 85) ? ~15u : ~0u)) - DISP_RANGE;
        memcpy(b + p->disp_at, &d, 4);
        if (p->stored) {
            st->list[st->n].at = (uint32_t)(0x1000 + d);
            st->list[st->n++].what = p->stored;
        }
    }
    oc->len += p->len;
}

static void make_sequence(const struct pool *pool, struct rng *r, struct orc_case *oc, struct stored *st)
{
    unsigned n = 2 + rng_below(r, SEQ_MAX - 2);
    unsigned integers = rng_below(r, 4) * 33;
    int jump_at = -1;

    oc->mode = ORC_64;
    oc->len = 0;
    oc->at = 0x200;
    oc->taken[0] = 0x600;
    oc->taken[1] = 0x700;
    st->n = 0;
    for (unsigned i = 0; i < n; i++) {
        unsigned start = oc->len;

        unsigned k = rng_chance(r, integers) ? 0 : 1;

        append(oc, &pool->parts[k][rng_below(r, pool->n[k])], r, st);
        if (jump_at >= 0)
            oc->bytes[jump_at] = (uint8_t)(oc->len - start);
        jump_at = -1;
        if (i + 1 < n && rng_chance(r, 15)) { /* jcc over the next */
            oc->bytes[oc->len++] = (uint8_t)(0x70 | rng_below(r, 16));
            jump_at = (int)oc->len++;
        }
    }
}

static void set_state(struct rng *r, struct orc_case *oc)
{
    value_state(r, &oc->in, rng_chance(r, 15));
    oc->in.rflags &= ~(uint64_t)(FLAG_AC | FLAG_DF);
    oc->in.gpr[15] = ORC_ARENA + 0x1000;
    oc->in.gpr[X86_RSP] = ORC_ARENA + 0x1800;
    for (unsigned i = 0; i < 4; i++) {
        unsigned at = 0x100 + (rng_below(r, 0x1d00) & ~15u);
        value_bytes(r, native_arena() + at, 128);
        memcpy(soft_arena() + at, native_arena() + at, 128);
    }
}

static void forgive_at(uint32_t at, unsigned n)
{
    if (at <= ORC_ARENA_BYTES - n)
        memcpy(soft_arena() + at, native_arena() + at, n);
}

static void forgive_stored(const struct stored *st)
{
    for (unsigned i = 0; i < st->n; i++)
        switch (st->list[i].what) {
        case STORED_ENV28:
            forgive_at(st->list[i].at + 16, 2);
            forgive_at(st->list[i].at + 24, 2);
            break;
        case STORED_ENV14:
            forgive_at(st->list[i].at + 8, 2);
            forgive_at(st->list[i].at + 12, 2);
            break;
        case STORED_FX:
            forgive_at(st->list[i].at + 12, 2);
            forgive_at(st->list[i].at + 20, 2);
            /* fall through */
        default:
            forgive_at(st->list[i].at + 28, 4);
        }
}

/* The instruction at the end of the run, for lenience and the report. */
static void whole_form(const struct orc_case *oc, struct form *f)
{
    ZydisDecoder d;

    memset(f, 0, sizeof *f);
    f->mode = ORC_64;
    ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    f->decoded = ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d, oc->bytes, oc->len, &f->insn, f->ops));
    f->len = f->decoded ? f->insn.length : 1;
}

/* What the faulting instruction, not the first one, is allowed. */
static void faulting_form(const struct orc_case *oc, const struct orc_result *a, struct form *f)
{
    uint64_t off = a->st.rip - ORC_CODE - oc->at;
    ZydisDecoder d;

    if (a->vec < 0 || off >= oc->len)
        return;
    ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    ZydisDecoderDecodeFull(&d, oc->bytes + off, oc->len - off, &f->insn, f->ops);
}

void sequence_run(uint64_t seed, unsigned count, sequence_report *report, void *arg)
{
    static struct orc_case oc;
    static struct orc_result a, b;
    static struct verdict v;
    static struct form f;
    struct pool *pool = make_pool(seed);
    struct stored st;
    struct rng r;

    rng_seed(&r, seed ^ 0x736571);
    for (unsigned i = 0; i < count && pool->n[0] && pool->n[1]; i++) {
        make_sequence(pool, &r, &oc, &st);
        native_place(&oc);
        soft_place(&oc);
        for (unsigned k = 0; k < 3; k++) {
            set_state(&r, &oc);
            native_run(&oc, &a);
            soft_run(&oc, &b);
            whole_form(&oc, &f);
            faulting_form(&oc, &a, &f);
            if (a.vec >= 0) /* dead flags are not kept for faults */
                b.st.rflags = (b.st.rflags & ~(uint64_t)FLAGS_ARITH) | (a.st.rflags & FLAGS_ARITH);
            forgive_stored(&st);
            compare(&f, &oc, &a, &b, &v);
            if (!report(arg, &f, &oc, &a, &v))
                break;
        }
    }
    free(pool->parts[0]);
    free(pool->parts[1]);
    free(pool);
}
