/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * translate: one decoded instruction to uops. Private to translate*.c.
 */
#ifndef RUCHE_CORE_X86_TRANSLATE_H
#define RUCHE_CORE_X86_TRANSLATE_H

#include "core/x86/decode.h"
#include "core/x86/handlers.h"

/* What a uop does with the arithmetic flags. */
enum flag_use {
    FU_NONE,
    FU_WRITE, /* sets all of them */
    FU_MERGE, /* sets some; its flagless form reads none */
    FU_CARRY, /* reads, sets all; its flagless form reads too */
    FU_READ,  /* reads, or ends the block: they must be right here */
};

struct uop_info {
    uop_fn *nf; /* form without flags, or NULL */
    uint8_t use;
    bool branch; /* or h_count: u->x is to hold the number of instructions of the block */
};

/* A memory operand as uops address it. */
struct mem {
    uint8_t b, x, scale;
    int32_t disp;
    bool indexed;
};

struct xl {
    struct scpu *c;
    uint64_t lin, mode; /* of the block */
    unsigned bits;      /* code size */
    struct insn i;
    unsigned off;       /* of the instruction in its page */
    uint64_t next_ip;   /* of the instruction after it */
    struct uop *u;
    struct uop_info info[BLOCK_MAX_UOPS];
    unsigned n;
    struct mem m;
    bool end;           /* the last uop leaves the block */
};

/* Appends a uop of the instruction; its fields other than operands are set. */
struct uop *xl_emit(struct xl *x, uop_fn *f, enum flag_use use);
struct uop *xl_emit_nf(struct xl *x, uop_fn *f, uop_fn *nf, enum flag_use use);
/* A uop after which the block ends. */
struct uop *xl_last(struct xl *x, uop_fn *f);
void xl_ud(struct xl *x);

/* Emits what is needed to address `bytes` of the memory operand; x->m then is the operand, with
 * an index only if `indexed` is allowed. */
void xl_mem(struct xl *x, unsigned bytes, bool write, bool indexed);
void xl_put_mem(struct xl *x, struct uop *u);

/* Byte offset in struct scpu of an operand register; 8-bit ones as REX says. */
uint8_t xl_reg(const struct xl *x, unsigned r, unsigned bytes);
/* Index of an operand size: 0-3. */
unsigned xl_size(unsigned bytes);
/* Loads modrm.rm of that size if it is memory; the offset of the register that holds it. */
uint8_t xl_rm_value(struct xl *x, unsigned bytes);
/* Stores register `ofs` to modrm.rm. */
void xl_rm_store(struct xl *x, unsigned bytes, uint8_t ofs);
/* A branch of h_branch.c, after which the block ends (JCC: after the jump that follows it). */
struct uop *xl_branch(struct xl *x, uop_fn *f);
/* Ends the block with a jump to the next instruction. */
void xl_jump_next(struct xl *x);

/* One per map. */
void xl_insn_1b(struct xl *x);
void xl_insn_0f(struct xl *x);
void xl_insn_0f38(struct xl *x);
void xl_insn_0f3a(struct xl *x);
/* Parts of the one-byte map that the 0F map shares. */
void xl_jcc(struct xl *x, unsigned cc);
void xl_load_far(struct xl *x, unsigned seg);
void xl_push_seg(struct xl *x, unsigned seg);
void xl_pop_seg(struct xl *x, unsigned seg);
/* SSE, MMX and x87 (h_fpu.c). False: no such instruction. */
bool xl_fpu(struct xl *x);

#endif
