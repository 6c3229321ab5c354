/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * compare: everything that an instruction can change, host against ours. What differs by design
 * is listed here and in docs/CONFORMANCE.md: FCS and FDS, which we store as 0; MXCSR_MASK, for we do
 * not advertise misaligned SSE; RFLAGS.RF after a fault, which the host's kernel adds to its frame.
 */
#include "oracle.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void say(struct verdict *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct verdict *v, const char *fmt, ...)
{
    size_t n = strlen(v->text);
    va_list ap;

    v->same = false;
    va_start(ap, fmt);
    vsnprintf(v->text + n, sizeof v->text - n, fmt, ap);
    va_end(ap);
}

static const char *hex(const uint8_t *p, unsigned n, char *out)
{
    for (unsigned i = 0; i < n; i++)
        sprintf(out + 2 * i, "%02x", p[n - 1 - i]);
    return out;
}

static void compare_bytes(struct verdict *v, const char *name, unsigned i, const uint8_t *in, const uint8_t *a,
                          const uint8_t *b, unsigned n)
{
    char t[3][64];

    if (memcmp(a, b, n) != 0)
        say(v, "  %s%u: before %s\n    host %s\n    ours %s\n", name, i, hex(in, n, t[0]), hex(a, n, t[1]),
            hex(b, n, t[2]));
}

static void compare_u64(struct verdict *v, const char *name, uint64_t in, uint64_t a, uint64_t b)
{
    if (a != b)
        say(v, "  %s: before %llx host %llx ours %llx\n", name, (unsigned long long)in, (unsigned long long)a,
            (unsigned long long)b);
}

/* MXCSR flags that need not agree when #XM is raised. With overflow or underflow unmasked the host
 * flags P if the result were inexact with an unbounded exponent, we if the masked one is inexact.
 * DPPS and DPPD stop at the step that traps, ours goes on. */
static uint32_t lenient_mxcsr(const struct form *f, const struct orc_result *host)
{
    uint32_t mxcsr = host->st.fx.mxcsr, unmasked = ~(mxcsr >> 7) & 0x3f;

    if (host->vec != VEC_XM || !f->decoded)
        return 0;
    if (f->insn.mnemonic == ZYDIS_MNEMONIC_DPPS || f->insn.mnemonic == ZYDIS_MNEMONIC_DPPD)
        return 0x3f;
    return mxcsr & unmasked & 0x18 ? 0x20 : 0;
}

static void compare_fx(struct verdict *v, uint32_t lenient, bool pointers, const struct fx_image *in,
                       const struct fx_image *a, const struct fx_image *b)
{
    compare_u64(v, "fcw", in->fcw, a->fcw, b->fcw);
    compare_u64(v, "fsw", in->fsw, a->fsw, b->fsw);
    compare_u64(v, "ftw", in->ftw, a->ftw, b->ftw);
    compare_u64(v, "mxcsr", in->mxcsr, a->mxcsr & ~lenient, b->mxcsr & ~lenient);
    if (pointers && a->fsw & 0x80) { /* else the host does not keep them */
        compare_u64(v, "fop", in->fop, a->fop, b->fop);
        compare_u64(v, "fip", in->fip, a->fip, b->fip);
        compare_u64(v, "fdp", in->fdp, a->fdp, b->fdp);
    }
    for (unsigned i = 0; i < 8; i++)
        compare_bytes(v, "st", i, in->st[i], a->st[i], b->st[i], 10);
    for (unsigned i = 0; i < 16; i++)
        compare_bytes(v, "xmm", i, in->xmm[i], a->xmm[i], b->xmm[i], 16);
}

static uint64_t undefined_flags(const struct form *f)
{
    const ZydisAccessedFlags *c = f->decoded ? f->insn.cpu_flags : NULL;
    return c ? c->undefined & FLAGS_ARITH : 0;
}

static void compare_flags(const struct form *f, struct verdict *v, uint64_t in, uint64_t a, uint64_t b)
{
    uint64_t undef = undefined_flags(f), diff = (a ^ b) & ORC_FLAGS;

    if (diff & ~undef)
        say(v, "  rflags: before %llx host %llx ours %llx (differ in %llx)\n", (unsigned long long)in,
            (unsigned long long)(a & ORC_FLAGS), (unsigned long long)(b & ORC_FLAGS), (unsigned long long)diff);
    else if (diff)
        v->undefined_differs = true;
}

static void forgive(const struct orc_case *oc, unsigned where, unsigned n)
{
    uint64_t at = oc->ea + where - ORC_ARENA;

    if (at <= ORC_ARENA_BYTES - n)
        memcpy(soft_arena() + at, native_arena() + at, n);
}

/* FCS and FDS in a stored environment: ours are 0. MXCSR_MASK: without bit 17. */
static void forgive_stored(const struct form *f, const struct orc_case *oc)
{
    bool small = f->ops[0].size / 8 == 14 || f->ops[0].size / 8 == 94;

    switch (f->decoded ? f->insn.mnemonic : ZYDIS_MNEMONIC_INVALID) {
    case ZYDIS_MNEMONIC_FNSTENV:
    case ZYDIS_MNEMONIC_FNSAVE:
        forgive(oc, small ? 8 : 16, 2);
        forgive(oc, small ? 12 : 24, 2);
        break;
    case ZYDIS_MNEMONIC_FXSAVE:
        forgive(oc, 12, 2);
        forgive(oc, 20, 2);
        /* fall through */
    case ZYDIS_MNEMONIC_FXSAVE64:
        forgive(oc, 28, 4);
        break;
    default:
        break;
    }
}

static bool is_long_operand(const struct form *f)
{
    return f->decoded && (f->ops[0].size > 128 || f->ops[0].size == 112 || f->ops[0].size == 80 ||
                          f->insn.mnemonic == ZYDIS_MNEMONIC_BOUND || f->insn.mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU ||
                          f->insn.mnemonic == ZYDIS_MNEMONIC_PUSHA || f->insn.mnemonic == ZYDIS_MNEMONIC_PUSHAD);
}

/* Where in a long operand that crosses into nothing the fault is reported is not architectural;
 * 16-bit addresses go on at the segment's start. */
static bool same_cr2(const struct form *f, uint64_t a, uint64_t b)
{
    uint64_t d = a - b;

    if (a == b || !is_long_operand(f))
        return a == b;
    return d + 512 < 1024 || (f->insn.address_width == 16 && (uint16_t)(d + 512) < 1024);
}

static bool addresses_ss(const struct form *f)
{
    for (unsigned i = 0; i < f->insn.operand_count; i++)
        if (f->ops[i].type == ZYDIS_OPERAND_TYPE_MEMORY && f->ops[i].mem.segment == ZYDIS_REGISTER_SS)
            return true;
    return false;
}

/* Two faults of one instruction whose order the manuals leave open (SDM 3 6.9, APM 2 8.5: "faults
 * on executing an instruction" are one class). */
static bool either_fault(const struct form *f, int host, int ours)
{
    bool segment = ours == VEC_GP || ours == VEC_SS;

    if (f->insn.mnemonic == ZYDIS_MNEMONIC_SYSEXIT) /* not in long mode; not at CPL 3 */
        return host == VEC_GP && ours == VEC_UD;
    if (f->mode == ORC_64)
        return false;
    if (host == VEC_GP && ours == VEC_SS) /* unaligned, and beyond SS */
        return addresses_ss(f) && (f->ops[0].size == 128 || f->ops[1].size == 128);
    return is_long_operand(f) && (host == VEC_PF || host == VEC_AC) && segment; /* part of it within the limit */
}

static void compare_memory(struct verdict *v, const struct orc_case *oc)
{
    const uint8_t *a = native_arena();
    uint8_t *b = soft_arena();
    unsigned said = 0;
    char t[2][64];

    if (memcmp(a, b, ORC_ARENA_BYTES) == 0)
        return;
    for (unsigned i = 0; i < ORC_ARENA_BYTES && said < 6; i += 8)
        if (memcmp(a + i, b + i, 8) != 0) {
            say(v, "  memory %llx (operand %llx): host %s ours %s\n", ORC_ARENA + i, (unsigned long long)oc->ea,
                hex(a + i, 8, t[0]), hex(b + i, 8, t[1]));
            said++;
        }
    memcpy(b, a, ORC_ARENA_BYTES);
}

/* Whether there is a page for the host's kernel (P) far from where we are is the host's business. */
static bool same_error(const struct orc_result *a, const struct orc_result *b)
{
    uint32_t mask = a->vec == VEC_PF && a->cr2 >> 32 ? ~1u : ~0u;
    return (a->err & mask) == (b->err & mask);
}

static bool is_operands_fault(uint64_t address, const struct orc_result *r)
{
    return (r->vec == VEC_PF && !((r->cr2 ^ address) & 0xfff)) || r->vec == VEC_GP || r->vec == VEC_SS || r->vec == VEC_AC;
}

/* CMPS and MOVS have two operands, in an order that the manuals leave open: the same processor takes
 * SI first in its fast REPE CMPSB, DI first elsewhere. Neither has moved on. */
static bool other_operands_fault(const struct form *f, const struct orc_result *a, const struct orc_result *b)
{
    uint64_t si = a->st.gpr[X86_RSI], di = a->st.gpr[X86_RDI];

    switch (f->insn.mnemonic) {
    case ZYDIS_MNEMONIC_CMPSB:
    case ZYDIS_MNEMONIC_CMPSW:
    case ZYDIS_MNEMONIC_CMPSD:
    case ZYDIS_MNEMONIC_CMPSQ:
    case ZYDIS_MNEMONIC_MOVSB:
    case ZYDIS_MNEMONIC_MOVSW:
    case ZYDIS_MNEMONIC_MOVSD:
    case ZYDIS_MNEMONIC_MOVSQ:
        return is_operands_fault(si, a) ? is_operands_fault(di, b) : is_operands_fault(di, a) && is_operands_fault(si, b);
    default:
        return false;
    }
}

static bool same_fault(const struct form *f, const struct orc_result *a, const struct orc_result *b)
{
    if (other_operands_fault(f, a, b))
        return true;
    if (a->vec != b->vec)
        return either_fault(f, a->vec, b->vec);
    return same_error(a, b) && same_cr2(f, a->cr2, b->cr2);
}

static uint64_t start_of(const struct orc_case *oc)
{
    return (oc->mode == ORC_16 ? 0 : ORC_CODE) + oc->at;
}

/* Of bytes that Zydis does not know: #UD on both or on neither. */
static void compare_ud(struct verdict *v, const struct orc_case *oc, const struct orc_result *a,
                       const struct orc_result *b)
{
    uint64_t start = start_of(oc);
    bool ud_a = a->vec == VEC_UD && a->st.rip == start, ud_b = b->vec == VEC_UD && b->st.rip == start;

    if (ud_a != ud_b)
        say(v, "  host: vector %d at %llx, ours: vector %d at %llx\n", a->vec, (unsigned long long)a->st.rip, b->vec,
            (unsigned long long)b->st.rip);
    memcpy(soft_arena(), native_arena(), ORC_ARENA_BYTES);
}

/* POPA that faults after some of its pops: the host keeps what it popped, we nothing. */
static bool half_popped(const struct form *f, const struct orc_result *host)
{
    return host->vec >= 0 && (f->insn.mnemonic == ZYDIS_MNEMONIC_POPA || f->insn.mnemonic == ZYDIS_MNEMONIC_POPAD);
}

void compare(const struct form *f, const struct orc_case *oc, const struct orc_result *native,
             const struct orc_result *soft, struct verdict *v)
{
    static const char *const name[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                         "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};

    v->same = true;
    v->undefined_differs = false;
    v->text[0] = 0;
    if (!f->decoded) {
        compare_ud(v, oc, native, soft);
        return;
    }
    if (vendor_differs(f, oc, native, soft) || (f->insn.mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU && native->vec == VEC_AC)) {
        memcpy(soft_arena(), native_arena(), ORC_ARENA_BYTES); /* #AC: now and then; the manuals ask for none */
        return;
    }
    if (!same_fault(f, native, soft))
        say(v, "  exception: host %d error %x cr2 %llx, ours %d error %x cr2 %llx\n", native->vec, native->err,
            (unsigned long long)native->cr2, soft->vec, soft->err, (unsigned long long)soft->cr2);
    if (f->insn.mnemonic != ZYDIS_MNEMONIC_INT1 || native->st.rip != start_of(oc)) /* CONFORMANCE.md */
        compare_u64(v, "rip", oc->in.rip, native->st.rip, soft->st.rip);
    for (unsigned i = half_popped(f, native) ? 8 : 0; i < 16; i++)
        compare_u64(v, name[i], oc->in.gpr[i], native->st.gpr[i], soft->st.gpr[i]);
    compare_flags(f, v, oc->in.rflags, native->st.rflags, soft->st.rflags);
    compare_fx(v, lenient_mxcsr(f, native), !native->no_pointers, &oc->in.fx, &native->st.fx, &soft->st.fx);
    forgive_stored(f, oc);
    compare_memory(v, oc);
}
