/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * selftest: a conformance test of the processor and of the interrupt and time hardware, from
 * inside. Every check prints `ok NAME`, `FAIL NAME ...` or `skip NAME (why)`.
 *
 * Tools for the groups (t_*.c): TRY runs one instruction that may fault; win_* give pages at
 * WIN that a test may map as it likes; user_run executes a few bytes at CPL 3; compat_call and
 * legacy_call leave 64-bit mode.
 */
#ifndef SELFTEST_H
#define SELFTEST_H

#include "tiny.h"

#define WIN 0x4000000000ull /* 256 GiB: nothing is there */
#define USER_BASE 0x80000000ull /* two pages of user code and stack, below 4 GiB */
#define NO_FAULT 0xffull

enum { VEC_DE = 0, VEC_DB = 1, VEC_NMI = 2, VEC_BP = 3, VEC_OF = 4, VEC_BR = 5, VEC_UD = 6, VEC_NM = 7,
       VEC_DF = 8, VEC_TS = 10, VEC_NP = 11, VEC_SS = 12, VEC_GP = 13, VEC_PF = 14, VEC_MF = 16,
       VEC_AC = 17, VEC_XM = 19 };

enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16 };

void check(const char *name, bool ok);
void check_eq(const char *name, u64 got, u64 want);
void check_near(const char *name, u64 got, u64 want, unsigned percent);
void skip(const char *name, const char *why);
bool under_tcg(void); /* QEMU's own CPU, whose known gaps are skipped */

/* TRY("insn", outputs : inputs : clobbers) (nothing before the first colon if no outputs): what it raised, vec NO_FAULT if nothing. The
 * instruction must leave rsp alone. Boot processor only. */
struct fix {
    u64 rip; /* where to go on; used from assembly, must stay first */
    struct fault f;
};
extern struct fix fix;
#define TRY(insn, ...)                                                              \
    ({                                                                              \
        fix.f.vec = NO_FAULT;                                                       \
        asm volatile("movq $771f, fix\n\t" insn "\n771:\tmovq $0, fix" : __VA_ARGS__); \
        &fix.f;                                                                     \
    })

void expect(const char *name, const struct fault *f, u64 vec, u64 err);
void expect_pf(const char *name, const struct fault *f, u64 err, u64 cr2);
void expect_none(const char *name, const struct fault *f);

/* Sees exceptions of this CPU before anything else; true: dealt with. NULL: none. */
void on_exception(bool (*hook)(struct regs *r));

/* Named bytes of code. */
#define CODE(name, text)                                                                    \
    asm(".pushsection .rodata\n" #name ":\n" text "\n" #name "_end:\n.code64\n.popsection"); \
    extern const u8 name[], name##_end[]
#define CODE_LEN(name) ((size_t)(name##_end - name))

/* Pages at WIN. win_page gives the RAM behind (zeroed at the first call). */
enum { WIN_PAGES = 16 };
u64 *win_pte(unsigned page);
u64 win_page(unsigned page);
u64 win_map(unsigned page, u64 flags); /* to win_page(page); returns the virtual address */
void win_unmap(unsigned page);
void flush_tlb(void); /* global entries too */

/* Executes code at CPL 3 until it faults (end it with ud2); rdi = arg; what ended it. It runs
 * at USER_BASE (read only to it), its stack ends at USER_BASE + 2 pages. */
const struct fault *user_run(const void *code, size_t len, u64 arg);
const struct fault *user_run_sel(const void *code, size_t len, u64 arg, u16 cs, u16 ss);
#define USER(name, arg) user_run(name, CODE_LEN(name), arg)

/* Far-calls code in a 32- or 16-bit segment of long mode; it ends by lret. eax in and out. */
u32 compat_call(const void *code, u16 sel, u32 arg);

/* Leaves long mode, calls fn (32-bit code, paging off, flat segments, interrupts masked), and
 * comes back. */
void legacy_call(const void *fn);

struct group {
    const char *name;
    void (*run)(void);
};

void test_alu(void);
void test_strings(void);
void test_paging(void);
void test_exceptions(void);
void test_segments(void);
void test_legacy(void);
void test_real(void);
void test_task(void);
void test_vm86(void);
void test_msr(void);
void test_user(void);
void test_syscall(void);
void test_debug(void);
void test_smc(void);
void test_fpu(void);
void test_apic(void);
void test_time(void);
void test_smp(void);

#endif
