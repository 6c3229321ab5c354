/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * x87: the decoder's table of x87 instructions, the slow way into them, and the control
 * instructions. The guest's registers, control and status word are the host's from the first x87
 * instruction after fpu_enter to fpu_leave, so instructions do to them what the hardware does,
 * unmasked exceptions included. The host is kept from ever taking one: after each instruction
 * while anything is unmasked fpu_x87_update looks whether one is pending, and then none that
 * waits is executed any more.
 *
 * The error pointers are not the host's (it would give away our addresses): the caller keeps
 * them in c->fx. FCS and FDS are 0 and CPUID says so. In real mode FDP lacks the segment's base.
 *
 * SDM 1 chapter 8, figures 8-9 to 8-12 (environments); SDM 2 appendix A.4 (opcodes).
 */
#include "core/x86/guest_bytes.h"
#include "core/x86/x87_int.h"

#include <string.h>

struct x87_row {
    struct fpu_op op;
    uint8_t valid; /* bit modrm.rm: that register form exists */
};

#define X87_OP(nm, fun, bytes, use, fl)                                                            \
    .name = nm, .fn = (fun), .mem = (use), .class = FPU_X87, .mem_bytes = (bytes),                 \
    .flags = (fl), .feature = FPU_F_BASE

#define REG_FN(o, r) ((fpu_fn *)(fpu_x87_reg + ((((o) & 7) * 64 + (r) * 8) * X87_STEP)))
#define REGS(o, r, nm, ok, fl)                                                                     \
    [(o) & 7][r] = {.op = {X87_OP(nm, REG_FN(o, r), 0, FPU_MEM_NONE, FPU_WAITS | FPU_SETS_IP | (fl)), \
                           .imm_mask = 7, .imm_top = 7, .imm_step = X87_STEP},                     \
                    .valid = (ok)},
#define FLAGS_TOO (FPU_SETS_FLAGS | FPU_USES_FLAGS)

/* Names of the aliases that manuals leave out, or call reserved, have a number. */
static const struct x87_row regs[8][8] = {
    REGS(0xd8, 0, "fadd", 0xff, 0) REGS(0xd8, 1, "fmul", 0xff, 0)
    REGS(0xd8, 2, "fcom", 0xff, 0) REGS(0xd8, 3, "fcomp", 0xff, 0)
    REGS(0xd8, 4, "fsub", 0xff, 0) REGS(0xd8, 5, "fsubr", 0xff, 0)
    REGS(0xd8, 6, "fdiv", 0xff, 0) REGS(0xd8, 7, "fdivr", 0xff, 0)
    REGS(0xd9, 0, "fld", 0xff, 0) REGS(0xd9, 1, "fxch", 0xff, 0)
    REGS(0xd9, 2, "fnop", 0x01, 0) REGS(0xd9, 3, "fstp1", 0xff, 0)
    REGS(0xd9, 4, "fchs fabs ftst fxam", 0x33, 0) REGS(0xd9, 5, "fld1..fldz", 0x7f, 0)
    REGS(0xd9, 6, "f2xm1..fincstp", 0xff, 0) REGS(0xd9, 7, "fprem..fcos", 0xff, 0)
    REGS(0xda, 0, "fcmovb", 0xff, FLAGS_TOO) REGS(0xda, 1, "fcmove", 0xff, FLAGS_TOO)
    REGS(0xda, 2, "fcmovbe", 0xff, FLAGS_TOO) REGS(0xda, 3, "fcmovu", 0xff, FLAGS_TOO)
    REGS(0xda, 5, "fucompp", 0x02, 0)
    REGS(0xdb, 0, "fcmovnb", 0xff, FLAGS_TOO) REGS(0xdb, 1, "fcmovne", 0xff, FLAGS_TOO)
    REGS(0xdb, 2, "fcmovnbe", 0xff, FLAGS_TOO) REGS(0xdb, 3, "fcmovnu", 0xff, FLAGS_TOO)
    REGS(0xdb, 5, "fucomi", 0xff, FLAGS_TOO) REGS(0xdb, 6, "fcomi", 0xff, FLAGS_TOO)
    REGS(0xdc, 0, "fadd", 0xff, 0) REGS(0xdc, 1, "fmul", 0xff, 0)
    REGS(0xdc, 2, "fcom2", 0xff, 0) REGS(0xdc, 3, "fcomp3", 0xff, 0)
    REGS(0xdc, 4, "fsubr", 0xff, 0) REGS(0xdc, 5, "fsub", 0xff, 0)
    REGS(0xdc, 6, "fdivr", 0xff, 0) REGS(0xdc, 7, "fdiv", 0xff, 0)
    REGS(0xdd, 0, "ffree", 0xff, 0) REGS(0xdd, 1, "fxch4", 0xff, 0)
    REGS(0xdd, 2, "fst", 0xff, 0) REGS(0xdd, 3, "fstp", 0xff, 0)
    REGS(0xdd, 4, "fucom", 0xff, 0) REGS(0xdd, 5, "fucomp", 0xff, 0)
    REGS(0xde, 0, "faddp", 0xff, 0) REGS(0xde, 1, "fmulp", 0xff, 0)
    REGS(0xde, 2, "fcomp5", 0xff, 0) REGS(0xde, 3, "fcompp", 0x02, 0)
    REGS(0xde, 4, "fsubrp", 0xff, 0) REGS(0xde, 5, "fsubp", 0xff, 0)
    REGS(0xde, 6, "fdivrp", 0xff, 0) REGS(0xde, 7, "fdivp", 0xff, 0)
    REGS(0xdf, 0, "ffreep", 0xff, 0) REGS(0xdf, 1, "fxch7", 0xff, 0)
    REGS(0xdf, 2, "fstp8", 0xff, 0) REGS(0xdf, 3, "fstp9", 0xff, 0)
    REGS(0xdf, 5, "fucomip", 0xff, FLAGS_TOO) REGS(0xdf, 6, "fcomip", 0xff, FLAGS_TOO)
};

#define MEM_FN(o, r) ((fpu_fn *)(fpu_x87_mem + ((((o) & 7) * 8 + (r)) * X87_STEP)))
#define LOAD(o, r, nm, bytes)                                                                      \
    [(o) & 7][r] = {X87_OP(nm, MEM_FN(o, r), bytes, FPU_MEM_READ, FPU_WAITS | FPU_SETS_IP)},
/* An unmasked exception keeps a store from being done: RW. */
#define STORE(o, r, nm, bytes)                                                                     \
    [(o) & 7][r] = {X87_OP(nm, MEM_FN(o, r), bytes, FPU_MEM_RW, FPU_WAITS | FPU_SETS_IP)},
#define ARITH(o, suffix, bytes)                                                                    \
    LOAD(o, 0, "fadd" suffix, bytes) LOAD(o, 1, "fmul" suffix, bytes)                              \
    LOAD(o, 2, "fcom" suffix, bytes) LOAD(o, 3, "fcomp" suffix, bytes)                             \
    LOAD(o, 4, "fsub" suffix, bytes) LOAD(o, 5, "fsubr" suffix, bytes)                             \
    LOAD(o, 6, "fdiv" suffix, bytes) LOAD(o, 7, "fdivr" suffix, bytes)

static const struct fpu_op mems[8][8] = {
    ARITH(0xd8, "32", 4) ARITH(0xda, "i32", 4) ARITH(0xdc, "64", 8) ARITH(0xde, "i16", 2)
    LOAD(0xd9, 0, "fld32", 4) STORE(0xd9, 2, "fst32", 4) STORE(0xd9, 3, "fstp32", 4)
    LOAD(0xdb, 0, "fild32", 4) STORE(0xdb, 1, "fisttp32", 4) STORE(0xdb, 2, "fist32", 4)
    STORE(0xdb, 3, "fistp32", 4) LOAD(0xdb, 5, "fld80", 10) STORE(0xdb, 7, "fstp80", 10)
    LOAD(0xdd, 0, "fld64", 8) STORE(0xdd, 1, "fisttp64", 8) STORE(0xdd, 2, "fst64", 8)
    STORE(0xdd, 3, "fstp64", 8)
    LOAD(0xdf, 0, "fild16", 2) STORE(0xdf, 1, "fisttp16", 2) STORE(0xdf, 2, "fist16", 2)
    STORE(0xdf, 3, "fistp16", 2) LOAD(0xdf, 4, "fbld", 10) LOAD(0xdf, 5, "fild64", 8)
    STORE(0xdf, 6, "fbstp", 10) STORE(0xdf, 7, "fistp64", 8)
};

/* Control instructions */

/* An environment as the host stores it with a 32-bit operand size in protected mode. */
struct env32 {
    uint32_t fcw, fsw, ftw, fip, fcs_fop, fdp, fds;
};

enum env_format { ENV_PROT32, ENV_REAL32, ENV_PROT16, ENV_REAL16 };

/* Reserved halves are ones, as the host stores them; FCS and FDS are 0. */
static void env_pack(struct scpu *c, const struct env32 *e, enum env_format f, uint8_t *out)
{
    uint32_t fop = c->fx.fop & 0x7ff, ip = (uint32_t)c->fx.fip, dp = (uint32_t)c->fx.fdp;
    uint32_t lip = (uint32_t)(c->seg[X86_CS].base + ip);
    uint32_t w[7] = {e->fcw, e->fsw, e->ftw};
    static const uint32_t ones = 0xffff0000;

    switch (f) {
    case ENV_PROT32:
        w[3] = ip;
        w[4] = fop << 16;
        w[5] = dp;
        w[6] = ones;
        break;
    case ENV_REAL32:
        w[3] = ones | (lip & 0xffff);
        w[4] = (lip >> 16) << 12 | fop;
        w[5] = ones | (dp & 0xffff);
        w[6] = (dp >> 16) << 12;
        break;
    case ENV_PROT16:
        w[3] = ip;
        w[4] = 0;
        w[5] = dp;
        w[6] = 0;
        break;
    case ENV_REAL16:
        w[3] = lip;
        w[4] = (lip >> 16) << 12 | fop;
        w[5] = dp;
        w[6] = (dp >> 16) << 12;
        break;
    }
    for (unsigned i = 0; i < 7; i++)
        if (f == ENV_PROT32 || f == ENV_REAL32)
            memcpy(out + 4 * i, &w[i], 4);
        else
            memcpy(out + 2 * i, &w[i], 2);
}

static uint32_t env_word(const uint8_t *in, enum env_format f, unsigned i)
{
    uint32_t w = 0;

    if (f == ENV_PROT32 || f == ENV_REAL32)
        memcpy(&w, in + 4 * i, 4);
    else
        memcpy(&w, in + 2 * i, 2);
    return w;
}

static void env_unpack(struct scpu *c, struct env32 *e, enum env_format f, const uint8_t *in)
{
    bool real = f == ENV_REAL32 || f == ENV_REAL16;
    uint32_t ip = env_word(in, f, 3), cs = env_word(in, f, 4), dp = env_word(in, f, 5), ds = env_word(in, f, 6);

    memset(e, 0, sizeof *e);
    e->fcw = 0xffff0000 | env_word(in, f, 0);
    e->fsw = 0xffff0000 | env_word(in, f, 1);
    e->ftw = 0xffff0000 | env_word(in, f, 2);
    if (real) {
        ip = (ip & 0xffff) | (cs & ~0xfffu) << 4;
        dp = (dp & 0xffff) | (ds & ~0xfffu) << 4;
    }
    c->fx.fip = ip;
    c->fx.fdp = dp;
    c->fx.fop = (f == ENV_PROT32 ? cs >> 16 : real ? cs : 0) & 0x7ff;
}

static unsigned env_bytes(enum env_format f)
{
    return f == ENV_PROT32 || f == ENV_REAL32 ? 28 : 14;
}

static void clear_pointers(struct scpu *c)
{
    c->fx.fip = 0;
    c->fx.fdp = 0;
    c->fx.fop = 0;
}

static uint64_t fnstenv(struct scpu *c, uint8_t *mem, enum env_format f)
{
    struct env32 e;

    fpu_to_host(c);
    __asm__ volatile("fnstenv %0" : "=m"(e));
    env_pack(c, &e, f, mem);
    fpu_x87_update(c);
    return 0;
}

/* What waits looks itself, too: the host must not be made to take an exception. */
static bool must_wait(struct scpu *c)
{
    fpu_to_host(c);
    return c->fpu.x87_pending;
}

static uint64_t fldenv(struct scpu *c, const uint8_t *mem, enum env_format f)
{
    uint8_t copy[28];
    struct env32 e;

    if (must_wait(c))
        return FPU_FAULT | VEC_MF;
    guest_copy(copy, mem, env_bytes(f));
    env_unpack(c, &e, f, copy);
    __asm__ volatile("fldenv %0" : : "m"(e));
    fpu_x87_update(c);
    return 0;
}

struct save32 {
    struct env32 env;
    uint8_t st[80];
};

static uint64_t fnsave(struct scpu *c, uint8_t *mem, enum env_format f)
{
    struct save32 s;

    fpu_to_host(c);
    __asm__ volatile("fnsave %0" : "=m"(s));
    env_pack(c, &s.env, f, mem);
    guest_copy(mem + env_bytes(f), s.st, sizeof s.st);
    clear_pointers(c);
    fpu_x87_update(c);
    return 0;
}

static uint64_t frstor(struct scpu *c, const uint8_t *mem, enum env_format f)
{
    uint8_t copy[28];
    struct save32 s;

    if (must_wait(c))
        return FPU_FAULT | VEC_MF;
    guest_copy(copy, mem, env_bytes(f));
    guest_copy(s.st, mem + env_bytes(f), sizeof s.st);
    env_unpack(c, &s.env, f, copy);
    __asm__ volatile("frstor %0" : : "m"(s));
    fpu_x87_update(c);
    return 0;
}

#define ENV_FN(what, name, fmt)                                                                    \
    static uint64_t what##_##name(struct scpu *c, void *reg, void *rm, uint32_t imm)               \
    {                                                                                              \
        (void)reg;                                                                                 \
        (void)imm;                                                                                 \
        return what(c, rm, fmt);                                                                   \
    }
#define ENV_FNS(what)                                                                              \
    ENV_FN(what, prot32, ENV_PROT32)                                                               \
    ENV_FN(what, real32, ENV_REAL32)                                                               \
    ENV_FN(what, prot16, ENV_PROT16)                                                               \
    ENV_FN(what, real16, ENV_REAL16)
ENV_FNS(fnstenv)
ENV_FNS(fldenv)
ENV_FNS(fnsave)
ENV_FNS(frstor)

static uint64_t fldcw(struct scpu *c, void *reg, void *rm, uint32_t imm)
{
    uint16_t cw;

    (void)reg;
    (void)imm;
    if (must_wait(c))
        return FPU_FAULT | VEC_MF;
    memcpy(&cw, rm, 2);
    __asm__ volatile("fldcw %0" : : "m"(cw));
    fpu_x87_update(c);
    return 0;
}

static uint64_t fnstcw(struct scpu *c, void *reg, void *rm, uint32_t imm)
{
    (void)reg;
    (void)imm;
    uint16_t cw = c->fpu.where == FPU_ON_HOST ? host_fcw() : c->fx.fcw;
    memcpy(rm, &cw, 2);
    return 0;
}

static uint64_t fnstsw(struct scpu *c, void *reg, void *rm, uint32_t imm)
{
    (void)reg;
    (void)imm;
    uint16_t sw = c->fpu.where == FPU_ON_HOST ? host_fsw() : c->fx.fsw;
    memcpy(rm, &sw, 2);
    return 0;
}

/* To AX, whatever REX.B says. */
static uint64_t fnstsw_ax(struct scpu *c, void *reg, void *rm, uint32_t imm)
{
    (void)rm;
    return fnstsw(c, reg, &c->gpr[X86_RAX], imm);
}

/* FNENI, FNDISI, FNSETPM of the 8087 and 80287. */
static uint64_t fn_nothing(struct scpu *c, void *reg, void *rm, uint32_t imm)
{
    (void)c;
    (void)reg;
    (void)rm;
    (void)imm;
    return 0;
}

static uint64_t fnclex(struct scpu *c, void *reg, void *rm, uint32_t imm)
{
    (void)reg;
    (void)rm;
    (void)imm;
    fpu_to_host(c);
    __asm__ volatile("fnclex");
    fpu_x87_update(c);
    return 0;
}

static uint64_t fninit(struct scpu *c, void *reg, void *rm, uint32_t imm)
{
    (void)reg;
    (void)rm;
    (void)imm;
    fpu_to_host(c);
    __asm__ volatile("fninit");
    clear_pointers(c);
    fpu_x87_update(c);
    return 0;
}

static uint64_t fwait(struct scpu *c, void *reg, void *rm, uint32_t imm)
{
    (void)reg;
    (void)rm;
    (void)imm;
    return c->fpu.x87_pending ? FPU_FAULT | VEC_MF : 0;
}

uint64_t fpu_x87_slow_call(struct scpu *c, void *reg, void *rm, uint32_t imm, fpu_fn *raw)
{
    if (must_wait(c))
        return FPU_FAULT | VEC_MF;
    uint64_t ret = raw(c, reg, rm, imm);
    if (c->fpu.x87_slow)
        fpu_x87_update(c);
    return ret;
}

/* By operand size and mode: enum env_format. */
#define ENV_OPS(nm, what, small, big, use, fl)                                                     \
    {                                                                                              \
        [ENV_PROT32] = {X87_OP(nm, what##_prot32, big, use, fl)},                                  \
        [ENV_REAL32] = {X87_OP(nm, what##_real32, big, use, fl)},                                  \
        [ENV_PROT16] = {X87_OP(nm, what##_prot16, small, use, fl)},                                \
        [ENV_REAL16] = {X87_OP(nm, what##_real16, small, use, fl)},                                \
    }
static const struct fpu_op
    op_fldenv[] = ENV_OPS("fldenv", fldenv, 14, 28, FPU_MEM_READ, FPU_WAITS),
    op_fnstenv[] = ENV_OPS("fnstenv", fnstenv, 14, 28, FPU_MEM_WRITE, 0),
    op_frstor[] = ENV_OPS("frstor", frstor, 94, 108, FPU_MEM_READ, FPU_WAITS),
    op_fnsave[] = ENV_OPS("fnsave", fnsave, 94, 108, FPU_MEM_WRITE, 0);
static const struct fpu_op
    op_fldcw = {X87_OP("fldcw", fldcw, 2, FPU_MEM_READ, FPU_WAITS)},
    op_fnstcw = {X87_OP("fnstcw", fnstcw, 2, FPU_MEM_WRITE, 0)},
    op_fnstsw = {X87_OP("fnstsw", fnstsw, 2, FPU_MEM_WRITE, 0)},
    op_fnstsw_ax = {X87_OP("fnstsw", fnstsw_ax, 0, FPU_MEM_NONE, 0)},
    op_fn_nothing = {X87_OP("fneni fndisi fnsetpm", fn_nothing, 0, FPU_MEM_NONE, 0)},
    op_fnclex = {X87_OP("fnclex", fnclex, 0, FPU_MEM_NONE, 0)},
    op_fninit = {X87_OP("fninit", fninit, 0, FPU_MEM_NONE, 0)},
    op_fwait = {.name = "fwait", .fn = fwait, .class = FPU_WAIT, .flags = FPU_WAITS, .feature = FPU_F_BASE};

/* Control instructions by opcode and modrm.reg (memory) or modrm (register). */
static const struct fpu_op *control_lookup(const struct fpu_query *q)
{
    unsigned f = (q->opsize16 ? 2 : 0) + (q->prot_mode ? 0 : 1);

    switch (q->opcode << 8 | (q->modrm < 0xc0 ? q->modrm & 0x38 : q->modrm)) {
    case 0xd920: return &op_fldenv[f];
    case 0xd928: return &op_fldcw;
    case 0xd930: return &op_fnstenv[f];
    case 0xd938: return &op_fnstcw;
    case 0xdd20: return &op_frstor[f];
    case 0xdd30: return &op_fnsave[f];
    case 0xdd38: return &op_fnstsw;
    case 0xdbe0:
    case 0xdbe1:
    case 0xdbe4: return &op_fn_nothing;
    case 0xdbe2: return &op_fnclex;
    case 0xdbe3: return &op_fninit;
    case 0xdfe0: return &op_fnstsw_ax;
    default: return NULL;
    }
}

const struct fpu_op *x87_lookup(const struct fpu_query *q)
{
    if (q->opcode == 0x9b)
        return &op_fwait;
    if ((q->opcode & ~7) != 0xd8)
        return NULL;

    const struct fpu_op *op = control_lookup(q);
    if (op)
        return op;
    if (q->modrm < 0xc0) {
        op = &mems[q->opcode & 7][q->modrm >> 3 & 7];
        return op->fn ? op : NULL;
    }
    const struct x87_row *r = &regs[q->opcode & 7][q->modrm >> 3 & 7];
    return r->valid >> (q->modrm & 7) & 1 ? &r->op : NULL;
}
