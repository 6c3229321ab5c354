/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * native: runs one instruction on the host's CPU. A trampoline in low memory loads all registers
 * and jumps to the instruction; what is placed behind it and at its possible targets jumps back
 * to a trampoline that stores all registers. Exceptions come as signals, whose handler takes the
 * registers from the signal frame and leaves through the trampoline, too.
 *
 * All is below 4 GiB for the sake of compatibility mode, which is entered by a far jump; 16-bit
 * code and data segments come from modify_ldt, based at the code and at the arena.
 */
#include "oracle.h"

#include <asm/ldt.h>
#include <asm/prctl.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define CTX 0x10010000
#define TRAMP 0x10020000

/* Offsets are known to the assembly below. */
struct ctx {
    uint64_t gpr_in[16];  /* 0 */
    uint64_t gpr_out[16]; /* 128 */
    uint64_t flags_in, flags_out, host_rsp; /* 256 264 272 */
    uint64_t entry;    /* 280 */
    uint32_t far_ip;   /* 288 */
    uint32_t far_cs;   /* 292 */
    uint64_t exit[4];  /* 296: addresses of the exits */
    uint64_t pad;      /* 328: which of them was taken */
    uint32_t mxcsr;    /* 336 */
    uint32_t seg;      /* 340: ES, DS, SS while in 16-bit code */
    uint32_t flat;     /* 344 */
    uint32_t rsv[9];
    struct fx_image fx_in, fx_out; /* 384, 896 */
};
_Static_assert(offsetof(struct ctx, fx_in) == 384 && offsetof(struct ctx, exit) == 296, "assembly");
#define ctx ((volatile struct ctx *)CTX)

/* clang-format off */
__asm__(
    ".text\n"
    ".set CTX, 0x10010000\n"
    "tramp_begin:\n"
    "tramp_enter16:\n"
    " movl CTX+340, %eax\n movl %eax, %ds\n movl %eax, %es\n"
    " push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
    " movq %rsp, CTX+272\n movl %eax, %ss\n jmp 1f\n"
    "tramp_enter32:\n"
    " movl CTX+344, %eax\n movl %eax, %ds\n movl %eax, %es\n"
    "tramp_enter64:\n"
    " push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
    " movq %rsp, CTX+272\n"
    "1:\n"
    " fxrstor64 CTX+384\n"
    " pushq CTX+256\n popfq\n"
    " movq CTX+0, %rax\n movq CTX+8, %rcx\n movq CTX+16, %rdx\n movq CTX+24, %rbx\n"
    " movq CTX+40, %rbp\n movq CTX+48, %rsi\n movq CTX+56, %rdi\n"
    " movq CTX+64, %r8\n movq CTX+72, %r9\n movq CTX+80, %r10\n movq CTX+88, %r11\n"
    " movq CTX+96, %r12\n movq CTX+104, %r13\n movq CTX+112, %r14\n movq CTX+120, %r15\n"
    " movq CTX+32, %rsp\n"
    "tramp_go64: jmp *CTX+280\n"
    "tramp_exit0: movb $0, CTX+328\n jmp tramp_exit\n"
    "tramp_exit1: movb $1, CTX+328\n jmp tramp_exit\n"
    "tramp_exit2: movb $2, CTX+328\n"
    "tramp_exit:\n"
    " movq %rsp, CTX+128+32\n movq CTX+272, %rsp\n"
    " movq %rax, CTX+128+0\n movq %rcx, CTX+128+8\n movq %rdx, CTX+128+16\n movq %rbx, CTX+128+24\n"
    " movq %rbp, CTX+128+40\n movq %rsi, CTX+128+48\n movq %rdi, CTX+128+56\n"
    " movq %r8, CTX+128+64\n movq %r9, CTX+128+72\n movq %r10, CTX+128+80\n movq %r11, CTX+128+88\n"
    " movq %r12, CTX+128+96\n movq %r13, CTX+128+104\n movq %r14, CTX+128+112\n movq %r15, CTX+128+120\n"
    " movl CTX+344, %eax\n movl %eax, %ss\n"
    " pushfq\n popq CTX+264\n pushq $2\n popfq\n"
    " fxsave64 CTX+896\n fninit\n ldmxcsr CTX+336\n"
    " pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n"
    "tramp_signal:\n" /* from the signal handler: rsp is the host's already */
    " movl CTX+344, %eax\n movl %eax, %ss\n"
    " pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n"
    /* the same entries, but into a segment */
    "tramp_far:\n ljmp *CTX+288\n"
    "tramp_end:\n");
/* clang-format on */

extern const uint8_t tramp_begin[], tramp_enter16[], tramp_enter32[], tramp_enter64[], tramp_exit0[],
    tramp_exit1[], tramp_exit2[], tramp_signal[], tramp_far[], tramp_end[];

static uint64_t tramp_addr(const uint8_t *label)
{
    return TRAMP + (uint64_t)(label - tramp_begin);
}

/* Of the run that is going on; the handler's business with native_run. */
static struct {
    volatile bool active;
    volatile int vec;
    volatile uint32_t err;
    volatile uint64_t cr2, rip;
    volatile unsigned count, ticked;
    bool has[ORC_MODES];
    uint64_t fs_base, gs_base;
} run;

static const uint8_t greg_of[16] = {
    REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
    REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

/* Keeps what the instruction left, and makes the host's own state of the frame. */
static void take_frame(ucontext_t *uc, int vec)
{
    greg_t *g = uc->uc_mcontext.gregs;

    run.vec = vec;
    run.err = (uint32_t)g[REG_ERR];
    run.cr2 = (uint64_t)g[REG_CR2];
    run.rip = (uint64_t)g[REG_RIP];
    for (unsigned i = 0; i < 16; i++)
        ctx->gpr_out[i] = (uint64_t)g[greg_of[i]];
    ctx->flags_out = (uint64_t)g[REG_EFL];
    memcpy((void *)&ctx->fx_out, uc->uc_mcontext.fpregs, sizeof ctx->fx_out);

    struct fx_image *fx = (struct fx_image *)uc->uc_mcontext.fpregs;
    fx->fcw = 0x37f;
    fx->fsw = 0;
    fx->ftw = 0;
    fx->mxcsr = ctx->mxcsr;
    g[REG_EFL] = 0x202;
    g[REG_RSP] = (greg_t)ctx->host_rsp;
    g[REG_RIP] = (greg_t)tramp_addr(tramp_signal);
    ((uint16_t *)&g[REG_CSGSFS])[0] = SEL_CS64;
    ((uint16_t *)&g[REG_CSGSFS])[3] = SEL_DS32;
    run.active = false;
}

static void on_fault(int sig, siginfo_t *si, void *uc)
{
    (void)si;
    if (!run.active) { /* a bug of ours */
        signal(sig, SIG_DFL);
        return;
    }
    take_frame(uc, (int)((ucontext_t *)uc)->uc_mcontext.gregs[REG_TRAPNO]);
}

static void on_tick(int sig, siginfo_t *si, void *uc)
{
    (void)sig;
    (void)si;
    if (run.active && run.ticked == run.count)
        take_frame(uc, ORC_HANG);
    run.ticked = run.count;
}

static int map_at(uint64_t addr, size_t bytes, int prot)
{
    void *p = mmap((void *)addr, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    if (p != (void *)addr) {
        fprintf(stderr, "oracle: no memory at %#llx: %s\n", (unsigned long long)addr, strerror(errno));
        return -1;
    }
    return 0;
}

static int map_all(void)
{
    const int rw = PROT_READ | PROT_WRITE, rwx = rw | PROT_EXEC;
    uint64_t guarded = ORC_ARENA - ORC_GUARD_BYTES;

    if (map_at(ORC_CODE, ORC_CODE_BYTES, rwx) || map_at(CTX, 4096, rw) || map_at(TRAMP, 4096, rwx) ||
        map_at(guarded, ORC_ARENA_BYTES + 2 * ORC_GUARD_BYTES, PROT_NONE))
        return -1;
    return mprotect((void *)ORC_ARENA, ORC_ARENA_BYTES, rw);
}

static void trap_signals(void)
{
    static uint8_t stack[64 << 10];
    static const int sigs[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    struct itimerval it = {{0, 200000}, {0, 200000}};

    sigaltstack(&ss, NULL);
    for (unsigned i = 0; i < sizeof sigs / sizeof sigs[0]; i++)
        sigaction(sigs[i], &sa, NULL);
    sa.sa_sigaction = on_tick;
    sa.sa_flags |= SA_RESTART;
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &it, NULL);
}

/* Whether a selector is there: a hypervisor of the host may know nothing of LDTs (PVM). */
static bool have_selector(uint16_t sel)
{
    uint32_t ar;
    bool ok;

    __asm__("larl %2, %0" : "=r"(ar), "=@ccz"(ok) : "r"((uint32_t)sel));
    return ok;
}

/* LDT entry 0: 16-bit code at ORC_CODE; 1: 16-bit data at the arena; 64 KiB both. 2: flat 32-bit
 * code. */
static bool make_ldt(void)
{
    struct user_desc code = {.entry_number = 0, .base_addr = ORC_CODE, .limit = 0xffff, .contents = 2},
                     data = {.entry_number = 1, .base_addr = ORC_ARENA, .limit = 0xffff, .contents = 0},
                     flat = {.entry_number = 2, .limit = 0xfffff, .limit_in_pages = 1, .seg_32bit = 1,
                             .contents = 2};

    return syscall(SYS_modify_ldt, 0x11, &flat, sizeof flat) == 0 &&
           syscall(SYS_modify_ldt, 0x11, &code, sizeof code) == 0 &&
           syscall(SYS_modify_ldt, 0x11, &data, sizeof data) == 0 && have_selector(SEL_CS32);
}

int native_init(void)
{
    if (map_all() < 0)
        return -1;
    size_t n = (size_t)(tramp_end - tramp_begin);
    memcpy((void *)(uint64_t)TRAMP, tramp_begin, n);
    ctx->exit[0] = tramp_addr(tramp_exit0);
    ctx->exit[1] = tramp_addr(tramp_exit1);
    ctx->exit[2] = tramp_addr(tramp_exit2);
    ctx->mxcsr = 0x1f80;
    ctx->flat = SEL_DS32;
    ctx->seg = SEL_DS16;
    trap_signals();
    run.gs_base = 0x6ffff9a0; /* the arena is within reach of a displacement */
    syscall(SYS_arch_prctl, ARCH_SET_GS, run.gs_base);
    syscall(SYS_arch_prctl, ARCH_GET_FS, &run.fs_base);
    run.has[ORC_64] = true;
    run.has[ORC_32] = run.has[ORC_16] = make_ldt();
    return 0;
}

bool native_has(enum orc_mode m)
{
    return run.has[m];
}

uint8_t *native_arena(void)
{
    return (uint8_t *)ORC_ARENA;
}

/* Code that goes to exit `n` from any mode. */
static unsigned put_exit(uint8_t *p, enum orc_mode m, unsigned n)
{
    uint32_t slot = (uint32_t)(uintptr_t)&ctx->exit[n], target = (uint32_t)ctx->exit[n];
    const uint16_t cs = SEL_CS64;
    unsigned k = 0;

    if (m == ORC_64) {
        memcpy(p, (const uint8_t[]){0xff, 0x24, 0x25}, 3); /* jmp *slot */
        memcpy(p + 3, &slot, 4);
        return 7;
    }
    if (m == ORC_16)
        p[k++] = 0x66;
    p[k++] = 0xea; /* ljmp cs:target */
    memcpy(p + k, &target, 4);
    memcpy(p + k + 4, &cs, 2);
    return k + 6;
}

void native_place(const struct orc_case *oc)
{
    uint8_t *code = (uint8_t *)ORC_CODE;

    for (unsigned i = 0; i < 2; i++)
        put_exit(code + oc->taken[i], oc->mode, i + 1);
    memcpy(code + oc->at, oc->bytes, oc->len);
    put_exit(code + oc->at + oc->len, oc->mode, 0);
}

static void load_ctx(const struct orc_case *oc)
{
    bool is64 = oc->mode == ORC_64;

    for (unsigned i = 0; i < 16; i++)
        ctx->gpr_in[i] = is64 ? oc->in.gpr[i] : (uint32_t)oc->in.gpr[i];
    ctx->flags_in = oc->in.rflags | 2;
    memcpy((void *)&ctx->fx_in, &oc->in.fx, sizeof oc->in.fx);
    ctx->entry = is64 ? ORC_CODE + oc->at : tramp_addr(tramp_far);
    ctx->far_ip = (uint32_t)(oc->mode == ORC_32 ? ORC_CODE + oc->at : oc->at);
    ctx->far_cs = oc->mode == ORC_32 ? SEL_CS32 : SEL_CS16;
}

static void call_tramp(enum orc_mode m)
{
    static const uint8_t *const entry[ORC_MODES] = {tramp_enter64, tramp_enter32, tramp_enter16};
    void (*fn)(void) = (void (*)(void))tramp_addr(entry[m]);

    run.vec = ORC_NO_FAULT;
    run.count++;
    run.active = true;
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\tcall *%0\n\tleaq 128(%%rsp), %%rsp"
                     :
                     : "r"(fn)
                     : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc",
                       "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                       "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    run.active = false;
    if (m != ORC_64) /* what 64-bit code would find in them */
        __asm__ volatile("movl %0, %%ds\n\tmovl %0, %%es" : : "r"(0));
}

static void store_result(const struct orc_case *oc, struct orc_result *out)
{
    uint64_t code_base = oc->mode == ORC_16 ? 0 : ORC_CODE;
    unsigned n = oc->mode == ORC_64 ? 16 : 8;

    for (unsigned i = 0; i < 16; i++)
        out->st.gpr[i] = i >= n ? oc->in.gpr[i]
                         : oc->mode == ORC_64 ? ctx->gpr_out[i] : (uint32_t)ctx->gpr_out[i];
    out->st.rflags = ctx->flags_out;
    memcpy(&out->st.fx, (const void *)&ctx->fx_out, sizeof out->st.fx);
    out->no_pointers = false;
    out->vec = run.vec;
    out->err = 0;
    out->cr2 = 0;
    if (run.vec == ORC_NO_FAULT) {
        uint32_t to = ctx->pad == 0 ? oc->at + oc->len : oc->taken[ctx->pad - 1];
        out->st.rip = code_base + to;
        return;
    }
    out->st.rip = run.rip;
    out->err = run.err;
    out->cr2 = run.vec == VEC_PF ? run.cr2 : 0;
}

void native_run(const struct orc_case *oc, struct orc_result *out)
{
    load_ctx(oc);
    call_tramp(oc->mode);
    store_result(oc, out);
}

uint64_t native_seg_base(unsigned seg)
{
    return seg == X86_FS ? run.fs_base : run.gs_base;
}
