/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * oracle: the host's CPU against ours. One instruction at a time is executed natively, in this
 * process, and by the software CPU, from the same registers, flags, FPU state and memory; then
 * everything is compared. Both are at CPL 3; both see the same addresses:
 *
 *   ORC_CODE   2 pages of code, nothing behind them
 *   ORC_ARENA  2 pages of data between stretches of nothing
 *
 * A test program, single-threaded; the native half owns fixed addresses and signal handlers.
 */
#ifndef RUCHE_TESTS_ORACLE_H
#define RUCHE_TESTS_ORACLE_H

#include "core/x86/scpu.h"

#include <Zydis/Zydis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ORC_CODE 0x10000000ull
#define ORC_CODE_BYTES 0x2000u
#define ORC_ARENA 0x20000000ull
#define ORC_ARENA_BYTES 0x2000u
#define ORC_GUARD_BYTES 0x20000u /* of nothing, on both sides of the arena */

enum orc_mode { ORC_64, ORC_32, ORC_16, ORC_MODES };

/* Selectors: those of Linux, and of the LDT that native_init makes (new kernels have no 32-bit CS). */
enum { SEL_DS32 = 0x2b, SEL_CS64 = 0x33, SEL_CS16 = 0x07, SEL_DS16 = 0x0f, SEL_CS32 = 0x17 };

struct orc_state {
    uint64_t gpr[16];
    uint64_t rip; /* offset in CS */
    uint64_t rflags;
    struct fx_image fx;
};

/* Bits of RFLAGS that a test may set, and that are compared. */
#define ORC_FLAGS (FLAGS_ARITH | FLAG_DF | FLAG_AC | FLAG_ID)

enum { ORC_NO_FAULT = -1, ORC_HANG = -2 };

struct orc_result {
    struct orc_state st;
    int vec; /* exception, or ORC_NO_FAULT, ORC_HANG */
    uint32_t err;
    uint64_t cr2; /* of #PF */
    bool no_pointers; /* FIP, FDP and FOP are not those of the instruction in question */
};

enum { ORC_CASE_BYTES = 160 };

/* One instruction at ORC_CODE + at. Where it may go on is known to the native half only if it
 * is the next instruction or one of taken[]. */
struct orc_case {
    enum orc_mode mode;
    uint8_t bytes[ORC_CASE_BYTES]; /* at most 15; more where equiv.c needs a sequence */
    unsigned len;
    uint32_t at;
    uint32_t taken[2]; /* offsets in the code */
    uint64_t ea;       /* linear address of the memory operand, if any */
    struct orc_state in;
};

/* An instruction form: all but values. */
struct form {
    enum orc_mode mode;
    uint8_t bytes[16];
    unsigned len;
    ZydisDecodedInstruction insn;
    ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
    bool decoded;      /* Zydis knows it: the two above are valid */
    const char *prefix; /* as named in the summary */
    const char *skip;  /* why it cannot be run natively */
    bool hidden;       /* not advertised: must be #UD on ours, is not run natively */
};

/* native.c: 0, or -1 with a reason on stderr. `code` bytes behind the instruction are ours. */
int native_init(void);
bool native_has(enum orc_mode m);
void native_place(const struct orc_case *oc); /* after each change of mode, bytes, len, at, taken */
void native_run(const struct orc_case *oc, struct orc_result *out);
uint8_t *native_arena(void);
uint64_t native_seg_base(unsigned seg); /* X86_FS, X86_GS in 64-bit mode */

/* equiv.c: where the host has no 16 or 32-bit code segments (some hypervisors offer none), what an
 * instruction of these modes does, from 64-bit instructions that do the same, or from a model.
 * False: neither is known; nothing was run. */
bool equiv_run(const struct form *f, const struct orc_case *oc, struct orc_result *out);
/* model.c: `out` comes with the state before. False: not this operand. */
bool model_knows(const struct form *f);
bool model_run(const struct form *f, const struct orc_case *oc, struct orc_result *out);

/* soft.c: the same on the software CPU. */
int soft_init(void);
void soft_fini(void);
void soft_place(const struct orc_case *oc);
bool soft_advertises(const ZydisDecodedInstruction *i); /* its extension */
void soft_run(const struct orc_case *oc, struct orc_result *out);
uint8_t *soft_arena(void);

/* values.c */
struct rng {
    uint64_t s[2];
};
void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
unsigned rng_below(struct rng *r, unsigned n);
static inline bool rng_chance(struct rng *r, unsigned percent)
{
    return rng_below(r, 100) < percent;
}
uint64_t value_int(struct rng *r);             /* near limits and powers of two more often than not */
void value_state(struct rng *r, struct orc_state *s, bool unmask);
void value_bytes(struct rng *r, uint8_t *p, size_t n); /* integers and floating point of all sizes */

/* forms.c: the walk over all forms of a mode. */
struct walk;
struct walk *walk_new(enum orc_mode m, uint64_t seed);
void walk_free(struct walk *w);
bool walk_next(struct walk *w, struct form *f); /* false: all done */
void form_disasm(const struct form *f, const uint8_t *bytes, char *out, size_t n);

/* operands.c: values for a form: immediates, displacements, registers so that memory operands
 * are where something interesting happens. */
void operands_fill(const struct form *f, struct rng *r, struct orc_case *oc);

int reg_index(ZydisRegister reg); /* 0-15 of a general register, else -1 */

/* vendor.c: what an Intel host does otherwise than the AMD processor that ours is. A reason not to run a form
 * there, or NULL; whether a later instruction may see what is undefined; whether two results may differ. */
bool host_is_amd(void);
const char *vendor_skip(const struct form *f);
bool vendor_leaks(const struct form *f);
bool vendor_differs(const struct form *f, const struct orc_case *oc, const struct orc_result *host,
                    const struct orc_result *ours);

/* compare.c: true if equal; else a report of at most `room` bytes in `text`. */
struct verdict {
    bool same;
    bool undefined_differs; /* only in flags that the manuals leave undefined */
    char text[4096];
};
struct verdict;

/* sequence.c: `count` sequences of instructions in 64-bit code. `report` gets each result; false: on to
 * the next sequence. */
typedef bool sequence_report(void *arg, const struct form *f, const struct orc_case *oc, const struct orc_result *host,
                             const struct verdict *v);
void sequence_run(uint64_t seed, unsigned count, sequence_report *report, void *arg);

void compare(const struct form *f, const struct orc_case *oc, const struct orc_result *native,
             const struct orc_result *soft, struct verdict *v);

#endif
