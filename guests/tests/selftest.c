/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * selftest: see selftest.h.
 *
 * Options: test=GROUP[,GROUP...] or list (all)  quiet (failures and sums only)  loop=N
 *   tcg (the processor below is QEMU's own: excuse what it is known to do otherwise)
 *   strict (timers must not be late either)  end=exit|poweroff|halt (exit: port 0xf4 with 0, or 1 if something failed)
 */
#include "selftest.h"

struct fix fix = {.f = {.vec = NO_FAULT}};

static unsigned passed, failed, skipped;
static bool quiet;
static bool (*test_hook)(struct regs *r);
static u8 user_stack0[4096] __attribute__((aligned(16)));

static const struct group groups[] = {
    {"alu", test_alu},           {"strings", test_strings}, {"paging", test_paging},
    {"exceptions", test_exceptions}, {"segments", test_segments}, {"legacy", test_legacy},
    {"real", test_real},         {"msr", test_msr},         {"user", test_user},
    {"syscall", test_syscall},   {"debug", test_debug},     {"smc", test_smc},
    {"task", test_task},         {"vm86", test_vm86},
    {"fpu", test_fpu},           {"apic", test_apic},       {"time", test_time},
    {"smp", test_smp},
};

bool under_tcg(void)
{
    if (opt_flag("tcg"))
        return true; /* a KVM that is itself a guest of TCG */
    return (cpuid(1, 0).c >> 31) && cpuid(0x40000000, 0).b == 0x54474354;
}

/* What QEMU 7.2's own CPU, or a KVM on it, is known to do otherwise than the hardware; nobody else is
 * excused. */
static const char *const tcg_gaps[] = {
    "paging.large_2m_reserved_bit", "paging.nx_reserved_without_nxe", "paging.reserved_bit",
    "paging.reserved_bit_write", "paging.pml4_large_is_reserved", "paging.non_canonical_stack",
    "paging.end_non_canonical", "paging.end_non_canonical_write",
    "paging.pcide_absent", "exceptions.lock_mov", "exceptions.gate_not_present",
    "exceptions.gate_of_wrong_type", "segments.fs_base_non_canonical", "msr.read_nowhere",
    "msr.write_nowhere", "msr.fs_base_non_canonical", "msr.kernel_gs_base_non_canonical",
    "msr.lstar_non_canonical", "msr.efer_reserved", "msr.pat_invalid_type",
    "msr.cr0_nw_without_cd", "msr.cr0_upper_half", "msr.cr8_above_15",
    "user.int_through_kernel_gate", "user.int3_through_kernel_gate", "user.alignment_check",
    "syscall.fmask_clears", "debug.icebp", "debug.general_detect",
    "debug.general_detect_clears_gd", "debug.general_detect_dr6", "fpu.stack_underflow",
    "task.gate_to_ldt", "task.cs_absent", "task.cs_data",
    "task.cs_level", "task.ss_absent", "task.ss_null", "task.ss_level", "task.ldt_data", "task.trap_flag",
    "task.trap_flag_by_gate",
    "task.clears_local_breakpoints", "paging.gp_leaves_cr2", "strings.insw_fault_commits",
    "fpu.xm_zero_divide", "fpu.mxcsr_reserved", "fpu.mmx_sets_exponent",
};

static bool excused(const char *name)
{
    for (unsigned i = 0; under_tcg() && i < ARRAY_LEN(tcg_gaps); i++)
        if (!strcmp(name, tcg_gaps[i]))
            return true;
    return false;
}

/* Counts a failed check and begins its line. */
static const char *verdict(const char *name)
{
    bool gap = excused(name);

    if (gap)
        skipped++;
    else
        failed++;
    return gap ? "gap" : "FAIL";
}

void check(const char *name, bool ok)
{
    if (!ok) {
        print("%s %s\n", verdict(name), name);
        return;
    }
    passed++;
    if (!quiet)
        print("ok %s\n", name);
}

static void fail(const char *name, const char *what, u64 got, u64 want)
{
    print("%s %s %s 0x%lx, not 0x%lx\n", verdict(name), name, what, got, want);
}

void check_eq(const char *name, u64 got, u64 want)
{
    if (got == want)
        check(name, true);
    else
        fail(name, "value", got, want);
}

void check_near(const char *name, u64 got, u64 want, unsigned percent)
{
    u64 off = got > want ? got - want : want - got;

    if (off * 100 <= want * percent) {
        check(name, true);
        return;
    }
    print("%s %s %lu, not %lu within %u %%\n", verdict(name), name, got, want, percent);
}

void skip(const char *name, const char *why)
{
    skipped++;
    if (!quiet)
        print("skip %s (%s)\n", name, why);
}


void expect(const char *name, const struct fault *f, u64 vec, u64 err)
{
    if (f->vec != vec)
        fail(name, f->vec == NO_FAULT ? "no fault" : trap_name((unsigned)f->vec), f->vec, vec);
    else
        check_eq(name, f->err, err);
}

void expect_pf(const char *name, const struct fault *f, u64 err, u64 at)
{
    if (f->vec == VEC_PF && f->cr2 != at)
        fail(name, "cr2", f->cr2, at);
    else
        expect(name, f, VEC_PF, err);
}

void expect_none(const char *name, const struct fault *f)
{
    expect(name, f, NO_FAULT, f->vec == NO_FAULT ? f->err : 0);
}

static bool hook(struct regs *r)
{
    if (test_hook && test_hook(r))
        return true;
    if (!fix.rip || this_cpu()->index)
        return false;
    fix.f = (struct fault){r->vec, r->err, cr2(), *r};
    r->rip = fix.rip;
    r->rflags &= ~0x100ull;
    fix.rip = 0;
    return true;
}

void on_exception(bool (*h)(struct regs *r))
{
    test_hook = h;
}

u64 *win_pte(unsigned page)
{
    return page_entry(cr3(), WIN + page * 4096ull, 1);
}

u64 win_page(unsigned page)
{
    static u64 pages[WIN_PAGES];

    if (!pages[page])
        pages[page] = (u64)pages_alloc(1);
    return pages[page];
}

u64 win_map(unsigned page, u64 flags)
{
    *win_pte(page) = win_page(page) | flags;
    invlpg(WIN + page * 4096ull);
    return WIN + page * 4096ull;
}

void win_unmap(unsigned page)
{
    *win_pte(page) = 0;
    invlpg(WIN + page * 4096ull);
}

void flush_tlb(void)
{
    u64 c = cr4();

    cr3_set(cr3());
    cr4_set(c | 0x80);
    cr4_set(c & ~0x80ull);
    cr4_set(c);
}

struct user_frame {
    u64 rip, cs, rflags, rsp, ss, arg;
};

static void user_enter(void *arg)
{
    const struct user_frame *u = arg;

    asm volatile("pushq 32(%0)\n\tpushq 24(%0)\n\tpushq 16(%0)\n\tpushq 8(%0)\n\tpushq (%0)\n\t"
                 "mov 40(%0), %%rdi\n\txor %%eax, %%eax\n\tiretq"
                 : : "r"(u) : "memory", "rdi", "rax");
}

const struct fault *user_run_sel(const void *code, size_t len, u64 arg, u16 cs, u16 ss)
{
    static struct fault f;
    struct user_frame u = {USER_BASE, cs, 2, USER_BASE + 2 * 4096, ss, arg};

    memcpy((void *)win_page(0), code, len);
    cpus[0].tss.rsp[0] = (u64)user_stack0 + sizeof(user_stack0);
    if (!try_call(user_enter, &u, &f))
        f.vec = NO_FAULT;
    return &f;
}

const struct fault *user_run(const void *code, size_t len, u64 arg)
{
    return user_run_sel(code, len, arg, SEL_UCODE | 3, SEL_UDATA | 3);
}

u32 compat_call(const void *code, u16 sel, u32 arg)
{
    struct {
        u32 offset;
        u16 sel;
    } PACKED target = {(u32)(u64)code, sel}, *p = &target;

    /* upper halves do not survive 32-bit code */
    asm volatile("push %%rbp\n\tlcall *(%%rdx)\n\tpop %%rbp" : "+a"(arg), "+d"(p)
                 : : "memory", "cc", "rbx", "rcx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15");
    return arg;
}

static bool listed(const char *list, const char *name)
{
    size_t n = strlen(name);

    for (const char *s = list; *s; s++)
        if ((s == list || s[-1] == ',') && !memcmp(s, name, n) && (!s[n] || s[n] == ','))
            return true;
    return !strcmp(list, "all");
}

static void run_groups(const char *list)
{
    for (unsigned i = 0; i < ARRAY_LEN(groups); i++)
        if (listed(list, groups[i].name)) {
            print("selftest: group %s\n", groups[i].name);
            groups[i].run();
            on_exception(NULL);
            cli();
        } else if (!strcmp(list, "list")) {
            print("%s\n", groups[i].name);
        }
}

static void finish(void)
{
    const char *how = opt("end");

    print("selftest: %u ok, %u failed, %u skipped\n", passed, failed, skipped);
    if (how && !strcmp(how, "poweroff"))
        poweroff();
    if (!how || strcmp(how, "halt"))
        debug_exit(failed ? 1 : 0);
}

static void map_user_pages(void)
{
    *page_entry(cr3(), USER_BASE, 3) |= PTE_U;
    *page_entry(cr3(), USER_BASE, 2) = 0;
    *page_entry(cr3(), USER_BASE, 1) = win_page(0) | PTE_P | PTE_U;
    *page_entry(cr3(), USER_BASE + 4096, 1) = win_page(1) | PTE_P | PTE_U | PTE_W;
    flush_tlb();
}

void guest_main(void)
{
    char list[128];
    const char *s = opt("test");

    formatf(list, sizeof(list), "%s", s ? s : "all");
    quiet = opt_flag("quiet");
    print("selftest: ready\n");
    this_cpu()->hook = hook;
    ((u64 *)(cr3() & PTE_ADDR))[0] |= PTE_U; /* what lies at WIN decides for itself */
    if (cpuid(0x80000001, 0).d & 1u << 20)
        wrmsr(0xc0000080, rdmsr(0xc0000080) | 0x800); /* NXE */
    map_user_pages();
    for (u64 n = opt_u64("loop", 1); n; n--)
        run_groups(list);
    finish();
}
