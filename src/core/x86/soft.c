/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * soft: the software CPU as an accelerator (accel.h). Here VMs and vCPUs come and go, registers
 * are read and set, and the run loop goes from block to block where links do not.
 *
 * Threads: as accel.h says; scpu.h and svm.h have the details.
 */
#include "core/accel.h"
#include "core/mem.h"
#include "core/x86/block.h"
#include "core/x86/debug.h"
#include "core/x86/fpu.h"
#include "core/x86/handlers.h"
#include "core/x86/io.h"
#include "core/x86/step.h"
#include "core/x86/svm.h"

#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct accel_vm {
    struct svm s;
};

struct accel_vcpu {
    struct scpu c;
};

static int soft_probe(struct err *e)
{
    (void)e;
    return 0;
}

/* ---- VM ---- */

static void host_features(struct svm *vm)
{
    unsigned a, b, c, d;

    vm->fpu_features = fpu_features();
    if (__get_cpuid(1, &a, &b, &c, &d))
        vm->host_rdrand = c & bit_RDRND;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        vm->host_rdseed = b & bit_RDSEED && vm->host_rdrand;
        vm->host_adx = b & bit_ADX;
    }
}

static void memory_written(void *arg, uint64_t gpa, uint64_t len)
{
    code_invalidate(arg, gpa, len);
}

static int map_memory(struct svm *vm)
{
    struct gmem_region r[2];
    unsigned n = gmem_regions(vm->mem, r);

    for (unsigned i = 0; i < n; i++) {
        if (r[i].gpa == 0) {
            vm->lo = r[i].host;
            vm->lo_bytes = r[i].size_bytes;
        } else {
            vm->hi = r[i].host;
            vm->hi_bytes = r[i].size_bytes;
        }
    }
    vm->npages = (vm->lo_bytes + vm->hi_bytes) >> 12;
    vm->pages = calloc(vm->npages, sizeof *vm->pages);
    vm->ones = malloc(4096);
    if (!vm->pages || !vm->ones)
        return -ENOMEM;
    memset(vm->ones, 0xff, 4096);
    return code_init(vm);
}

static void soft_vm_free(struct accel_vm *v)
{
    if (!v)
        return;
    if (v->s.mem)
        gmem_set_dirty_hook(v->s.mem, NULL, NULL);
    code_fini(&v->s);
    free(v->s.pages);
    free(v->s.ones);
    pthread_mutex_destroy(&v->s.code_lock);
    pthread_mutex_destroy(&v->s.stop_lock);
    pthread_mutex_destroy(&v->s.split_lock);
    pthread_cond_destroy(&v->s.stop_cond);
    free(v);
}

static struct accel_vm *soft_vm_new(const struct accel_vm_params *p, struct err *e)
{
    struct accel_vm *v = calloc(1, sizeof *v);

    if (!v) {
        err_set(e, ENOMEM, "no memory for a software CPU");
        return NULL;
    }
    v->s.mem = p->mem;
    v->s.clock = p->clock;
    v->s.chip = p->chip;
    v->s.nvcpus = p->vcpus;
    pthread_mutex_init(&v->s.code_lock, NULL);
    pthread_mutex_init(&v->s.stop_lock, NULL);
    pthread_mutex_init(&v->s.split_lock, NULL);
    pthread_cond_init(&v->s.stop_cond, NULL);
    host_features(&v->s);
    if (p->vcpus == 0 || p->vcpus > SVM_MAX_VCPUS || map_memory(&v->s) < 0) {
        err_set(e, ENOMEM, "no memory for a software CPU of %u vCPUs", p->vcpus);
        soft_vm_free(v);
        return NULL;
    }
    gmem_set_dirty_hook(p->mem, memory_written, &v->s);
    return v;
}

/* ---- vCPU ---- */

static void soft_vcpu_free(struct accel_vcpu *v)
{
    struct svm *vm;

    if (!v)
        return;
    vm = v->c.vm;
    pthread_mutex_lock(&vm->code_lock);
    pthread_mutex_lock(&vm->stop_lock);
    if (vm->vcpu[v->c.index] == &v->c)
        vm->vcpu[v->c.index] = NULL;
    pthread_mutex_unlock(&vm->stop_lock);
    pthread_mutex_unlock(&vm->code_lock);
    for (int i = 0; i < VIEWS; i++)
        tlb_free(v->c.views[i]);
    free(v);
}

static void power_up(struct scpu *c)
{
    struct x86_regs r;

    x86_regs_reset(&r);
    memcpy(c->seg, r.seg, sizeof c->seg);
    c->gdt = r.gdt;
    c->idt = r.idt;
    c->cr0 = r.cr0;
    c->rip = r.rip;
    memcpy(c->dr, r.dr, sizeof c->dr);
    c->apic_base = r.apic_base;
    c->pat = 0x0007040600070406ull;
    c->misc_enable = 1;
    c->mtrr_def_type = 0x806; /* enabled, write-back */
    fpu_reset(c);
    fpu_trap_update(c);
    scpu_set_rflags(c, r.rflags);
}

static struct accel_vcpu *soft_vcpu_new(struct accel_vm *vm, unsigned index, const struct vcpu_host *host,
                                        struct err *e)
{
    struct accel_vcpu *v = aligned_alloc(64, (sizeof *v + 63) & ~63ull);
    bool ok = v;

    if (v) {
        memset(v, 0, sizeof *v);
        v->c.vm = &vm->s;
        v->c.index = index;
        v->c.host = *host;
        for (int i = 0; i < VIEWS; i++)
            ok = ok && (v->c.views[i] = tlb_new());
    }
    if (!ok || index >= SVM_MAX_VCPUS) {
        err_set(e, ENOMEM, "no memory for software vCPU %u", index);
        soft_vcpu_free(v);
        return NULL;
    }
    for (unsigned k = 0; k < JC_SLOTS; k++)
        v->c.jc[k] = (struct block *)(uintptr_t)&block_none;
    power_up(&v->c);
    pthread_mutex_lock(&vm->s.code_lock);
    pthread_mutex_lock(&vm->s.stop_lock);
    vm->s.vcpu[index] = &v->c;
    pthread_mutex_unlock(&vm->s.stop_lock);
    pthread_mutex_unlock(&vm->s.code_lock);
    return v;
}

static unsigned soft_thread_init(struct accel_vcpu *v, struct accel_ioctl *out, unsigned max)
{
    (void)v;
    (void)out;
    (void)max;
    return 0;
}

/* ---- ports ---- */

static void port_access(struct scpu *c, uint16_t port, unsigned bytes, bool write, uint32_t *v)
{
    struct vexit x = {.reason = EXIT_IO};

    x.io.port = port;
    x.io.size = (uint8_t)bytes;
    x.io.write = write;
    x.io.count = 1;
    x.io.data = v;
    if (c->dbg & DBG_IO)
        debug_io_access(c, port, bytes);
    fpu_leave(c);
    c->host.handle(c->host.opaque, &x);
    fpu_enter(c);
}

uint32_t io_in(struct scpu *c, uint16_t port, unsigned bytes)
{
    uint32_t v = 0;

    port_access(c, port, bytes, false, &v);
    return v;
}

void io_out(struct scpu *c, uint16_t port, unsigned bytes, uint32_t v)
{
    port_access(c, port, bytes, true, &v);
}

/* ---- run loop ---- */

static uint64_t linear_ip(const struct scpu *c)
{
    return scpu_code64(c) ? c->rip : (uint32_t)(c->rip + (c->mode >> 32));
}

static uint64_t page_pa(const struct svm *vm, const uint8_t *host)
{
    if (host >= vm->lo && host < vm->lo + vm->lo_bytes)
        return (uint64_t)(host - vm->lo);
    return (uint64_t)(host - vm->hi) + 0x100000000ull;
}

/* The block at c->rip, decoded if need be. NULL: a fault is queued, or try again. */
static struct block *find_block(struct scpu *c, uint64_t mode)
{
    uint64_t lin = linear_ip(c), pa;
    const struct tlbe *e = &c->tlb->x[(lin >> 12) & (TLB_SLOTS - 1)];
    uint8_t *hpage;
    struct block *b;
    bool known = false;

    scpu_count(c, lookups, 1);
    if (scpu_code64(c) ? !mmu_canonical(lin) : c->rip > c->seg[X86_CS].limit) {
        exc_raise_err(c, VEC_GP, 0);
        return NULL;
    }
    if (e->tag == (lin & ~0xfffull)) {
        hpage = e->host;
        pa = page_pa(c->vm, hpage);
        b = c->jc[jc_slot(lin)];
        known = __atomic_load_n(&b->lin, __ATOMIC_RELAXED) == lin && b->mode == mode && b->hpage == hpage;
    } else {
        hpage = mmu_fetch_page(c, lin, &pa);
        if (!hpage)
            return NULL;
    }
    pa |= lin & 0xfff;
    if (!known)
        b = code_find(c->vm, lin, mode, pa);
    if (b && b->flags & BLOCK_SPAN && !code_span_valid(c, b))
        return NULL;
    return b ? b : code_build(c, lin, mode, hpage, pa);
}

/* Makes shortcuts to the block that was just found. */
static void remember(struct scpu *c, struct block *b)
{
    if (b->hpage != c->vm->ones) {
        c->jc[jc_slot(b->lin0)] = b;
        if (c->link_from)
            block_link(c->vm, c->link_from, b);
        if (c->link_dead && c->link_dead->lin0 == b->lin0 && c->link_dead->mode == b->mode &&
            c->link_dead->pa == b->pa)
            __atomic_store_n(&c->link_dead->successor, b, __ATOMIC_RELEASE);
    }
    c->link_from = NULL;
    c->link_dead = NULL;
}

/* A SPAN block was just found to be valid; if its second page is no RAM, h_span would never let it pass. */
static void execute(struct scpu *c, struct block *b)
{
    const struct uop *u = b->flags & BLOCK_SPAN ? &b->u[1] : &b->u[0];

#ifdef SCPU_CALL_LOOP
    while (u)
        u = __atomic_load_n(&u->f, __ATOMIC_ACQUIRE)(c, u, c->fl);
#else
    __atomic_load_n(&u->f, __ATOMIC_ACQUIRE)(c, u, c->fl); /* partner: kill_locked, block_link */
#endif
}

static bool interrupt_pending(struct scpu *c)
{
    const struct irqchip *k = &c->vm->chip;

    return k->ops && k->ops->pending(k->chip, c->index);
}

/* Delivers what waits: faults first, then NMI, then interrupts. */
static void take_events(struct scpu *c)
{
    if (c->exc.kind != EXC_NONE) {
        c->link_from = NULL;
        c->halted = false; /* the debug trap of HLT itself */
        exc_deliver(c);
        return;
    }
    if (c->shadow)
        return;
    if (atomic_load(&c->exitreq) & EXITREQ_NMI && !c->nmi_blocked) {
        atomic_fetch_and(&c->exitreq, ~(uint32_t)EXITREQ_NMI);
        c->nmi_blocked = true;
        c->halted = false;
        exc_extern(c, VEC_NMI);
        c->link_from = NULL;
        exc_deliver(c);
        return;
    }
    if (c->intr_check && c->rflags_sys & FLAG_IF) {
        int vec = interrupt_pending(c) ? c->vm->chip.ops->ack(c->vm->chip.chip, c->index) : -1;

        if (vec < 0) {
            c->intr_check = false;
            return;
        }
        scpu_count(c, interrupts, 1);
        c->halted = false;
        c->link_from = NULL;
        exc_extern(c, (unsigned)vec);
        exc_deliver(c);
    }
}

/* True: an execution breakpoint is here, and its fault is queued. */
static bool exec_breakpoint(struct scpu *c)
{
    unsigned hits;

    if (!(c->dbg & DBG_EXEC) || c->rflags_sys & FLAG_RF)
        return false;
    hits = debug_exec_hits(c, linear_ip(c));
    if (!hits)
        return false;
    debug_note(c, hits);
    exc_raise(c, VEC_DB);
    c->exc.set_rf = true;
    return true;
}

/* Single step and breakpoint traps of the instruction that was just done. */
static void debug_traps(struct scpu *c, bool tf)
{
    if (c->exc.kind == EXC_PRIV_SOFT) { /* one #DB tells of what MOV SS held back, too */
        c->dr[6] |= c->dbg_hits;
        c->dbg_hits = 0;
    }
    if (c->exc.kind != EXC_NONE || c->shadow_ss || (!tf && !c->dbg_hits))
        return;
    debug_note(c, c->dbg_hits | (tf ? DR6_BS : 0));
    c->dbg_hits = 0;
    exc_raise(c, VEC_DB);
}

/* One instruction, then a trap if TF was set before it. False: it was not there; once more. */
static bool single_step(struct scpu *c)
{
    bool tf = c->rflags_sys & FLAG_TF;
    struct block *b;

    c->link_from = NULL;
    if (c->dbg_hits && !c->shadow_ss) { /* held back by MOV SS, then by an INT n */
        debug_traps(c, false);
        return true;
    }
    if (!c->shadow_ss && exec_breakpoint(c))
        return true;
    b = find_block(c, c->mode | MODE_SINGLE);
    if (!b)
        return false;
    c->shadow = c->shadow_ss = c->stepped = false;
    c->rflags_sys &= ~(uint64_t)FLAG_RF;
    atomic_fetch_or(&c->exitreq, EXITREQ_EVENT);
    execute(c, b);
    c->link_from = NULL;
    c->link_dead = NULL;
    debug_traps(c, tf && !c->stepped);
    return true;
}

static void run_blocks(struct scpu *c)
{
    struct block *b;

    if (c->rflags_sys & FLAG_TF || c->shadow || c->dbg || c->dbg_hits) {
        single_step(c);
        return;
    }
    b = find_block(c, c->mode);
    if (!b)
        return;
    remember(c, b);
    c->rflags_sys &= ~(uint64_t)FLAG_RF;
    execute(c, b);
}

/* Requests to leave the chain of blocks. True: leave vcpu_run. */
static bool serve_requests(struct scpu *c)
{
    uint32_t req = atomic_load(&c->exitreq);

    if (req & EXITREQ_EVENT) {
        atomic_fetch_and(&c->exitreq, ~(uint32_t)EXITREQ_EVENT);
        c->link_from = NULL;
    }
    if (req & EXITREQ_STOP) {
        atomic_fetch_and(&c->exitreq, ~(uint32_t)EXITREQ_STOP);
        svm_park(c->vm);
    }
    return req & EXITREQ_KICK;
}

/* Runs until something is for the host; says what. */
static enum exit_reason run(struct scpu *c)
{
    c->intr_check = true;
    for (;;) {
        if (atomic_load_explicit(&c->exitreq, memory_order_acquire) && serve_requests(c))
            return EXIT_SIGNAL;
        if (c->exc.kind != EXC_NONE || c->intr_check ||
            atomic_load_explicit(&c->exitreq, memory_order_relaxed) & EXITREQ_NMI) {
            take_events(c);
            if (c->exc.kind != EXC_NONE) /* once more, but not where `pause` cannot reach */
                continue;
        }
        if (c->shutdown)
            return EXIT_SHUTDOWN;
        if (c->halted)
            return EXIT_HLT;
        run_blocks(c);
    }
}

/* The host may have it again, and is told why. */
static void leave(struct scpu *c, enum exit_reason reason)
{
    struct vexit x = {.reason = reason};

    fpu_leave(c);
    svm_exit(c->vm);
    if (reason == EXIT_HLT)
        x.hlt.irqs_enabled = c->rflags_sys & FLAG_IF;
    c->host.handle(c->host.opaque, &x);
}

static int soft_vcpu_run(struct accel_vcpu *v)
{
    struct scpu *c = &v->c;

    svm_enter(c->vm);
    fpu_enter(c);
    leave(c, run(c));
    return 0;
}

/* Faults are delivered: the next instruction is the first of their handler. */
static int soft_vcpu_step(struct accel_vcpu *v)
{
    struct scpu *c = &v->c;
    int rc = c->shutdown ? -EIO : c->halted ? -ENODATA : 0;

    svm_enter(c->vm);
    fpu_enter(c);
    if (serve_requests(c))
        rc = -EAGAIN;
    if (rc == 0 && c->exc.kind == EXC_NONE && !single_step(c) && c->exc.kind == EXC_NONE)
        rc = -EAGAIN;
    while (rc == 0 && c->exc.kind != EXC_NONE && !serve_requests(c))
        take_events(c);
    leave(c, rc < 0 ? EXIT_SIGNAL : c->halted ? EXIT_HLT : c->shutdown ? EXIT_SHUTDOWN : EXIT_SIGNAL);
    return rc;
}

struct scpu *soft_scpu(struct accel_vcpu *v)
{
    return &v->c;
}

void soft_run_to_exception(struct accel_vcpu *v, bool single, unsigned max_blocks)
{
    struct scpu *c = &v->c;

    svm_enter(c->vm);
    fpu_enter(c);
    for (unsigned i = 0; i < max_blocks && c->exc.kind == EXC_NONE && !c->halted; i++) {
        serve_requests(c);
        if (single)
            single_step(c);
        else
            run_blocks(c);
    }
    fpu_leave(c);
    svm_exit(c->vm);
}

static void soft_vcpu_kick(struct accel_vcpu *v)
{
    atomic_fetch_or(&v->c.exitreq, EXITREQ_KICK);
}

static void soft_vcpu_kick_clear(struct accel_vcpu *v)
{
    atomic_fetch_and(&v->c.exitreq, ~(uint32_t)EXITREQ_KICK);
}

static void soft_vcpu_nmi(struct accel_vcpu *v)
{
    atomic_fetch_or(&v->c.exitreq, EXITREQ_NMI);
}

/* ---- registers ---- */

static int soft_regs_get(struct accel_vcpu *v, struct x86_regs *r)
{
    struct scpu *c = &v->c;
    const struct irqchip *k = &c->vm->chip;

    memset(r, 0, sizeof *r);
    memcpy(r->gpr, c->gpr, sizeof r->gpr);
    r->rip = c->rip;
    r->rflags = scpu_rflags(c);
    memcpy(r->seg, c->seg, sizeof r->seg);
    r->gdt = c->gdt;
    r->idt = c->idt;
    r->cr0 = c->cr0;
    r->cr2 = c->cr2;
    r->cr3 = c->cr3;
    r->cr4 = c->cr4;
    r->cr8 = k->ops ? k->ops->cr8_get(k->chip, c->index) : 0;
    r->efer = c->efer;
    r->apic_base = c->apic_base;
    memcpy(r->dr, c->dr, sizeof r->dr);
    return 0;
}

static int soft_regs_set(struct accel_vcpu *v, const struct x86_regs *r)
{
    struct scpu *c = &v->c;
    const struct irqchip *k = &c->vm->chip;

    memcpy(c->gpr, r->gpr, sizeof c->gpr);
    c->rip = r->rip;
    memcpy(c->seg, r->seg, sizeof c->seg);
    c->gdt = r->gdt;
    c->idt = r->idt;
    c->cr0 = r->cr0 | CR0_ET;
    c->cr2 = r->cr2;
    c->cr3 = r->cr3;
    c->cr4 = r->cr4;
    c->efer = r->efer;
    c->apic_base = r->apic_base;
    memcpy(c->dr, r->dr, sizeof c->dr);
    if (k->ops)
        k->ops->cr8_set(k->chip, c->index, (uint8_t)(r->cr8 & 15));
    c->cpl = c->cr0 & CR0_PE ? (r->rflags & FLAG_VM ? 3 : c->seg[X86_SS].attr >> X86_SEG_DPL_SHIFT & 3) : 0;
    c->exc.kind = EXC_NONE;
    c->halted = c->shutdown = c->shadow = c->shadow_ss = c->nmi_blocked = false;
    c->link_from = NULL;
    c->link_dead = NULL;
    fpu_trap_update(c);
    debug_update(c);
    tlb_flush_all(c);
    scpu_set_rflags(c, r->rflags);
    return 0;
}

/* ---- the rest of the interface ---- */

/* The interrupt controllers are never ours. */
static void soft_irq_line(struct accel_vm *vm, unsigned gsi, int level)
{
    (void)vm;
    (void)gsi;
    (void)level;
}

static void soft_msi(struct accel_vm *vm, uint64_t addr, uint32_t data)
{
    (void)vm;
    (void)addr;
    (void)data;
}

/* The TSC follows the vclock, which is paused and resumed around these. */
static void soft_clock_nop(struct accel_vm *vm)
{
    (void)vm;
}

static unsigned soft_kstats(struct accel_vcpu *v, struct kstat *out, unsigned max)
{
    const struct scpu_stats *s = &v->c.stats;
#define READ(x) __atomic_load_n(&s->x, __ATOMIC_RELAXED)
    const struct kstat all[] = {
        {"insns", READ(insns), false}, {"blocks_decoded", READ(blocks_decoded), false},
        {"block_lookups", READ(lookups), false}, {"tlb_fills", READ(tlb_fills), false},
        {"tlb_misses", READ(tlb_misses), false}, {"tlb_flushes", READ(tlb_flushes), false},
        {"cr3_writes", READ(cr3_writes), false}, {"page_faults", READ(page_faults), false},
        {"exceptions", READ(exceptions), false}, {"interrupts", READ(interrupts), false},
        /* of the whole VM, told once */
        {"blocks_invalidated", v->c.index ? 0 : atomic_load(&v->c.vm->dropped), false},
    };
#undef READ
    unsigned n = sizeof all / sizeof all[0];

    if (n > max)
        n = max;
    memcpy(out, all, n * sizeof all[0]);
    return n;
}

static uint32_t soft_tsc_khz(struct accel_vm *vm)
{
    (void)vm;
    return SCPU_TSC_KHZ;
}

const struct accel_ops accel_soft = {
    .name = "soft",
    .has_irqchip = false,
    .probe = soft_probe,
    .vm_new = soft_vm_new,
    .vm_free = soft_vm_free,
    .vcpu_new = soft_vcpu_new,
    .vcpu_free = soft_vcpu_free,
    .vcpu_thread_init = soft_thread_init,
    .vcpu_run = soft_vcpu_run,
    .vcpu_step = soft_vcpu_step,
    .vcpu_kick = soft_vcpu_kick,
    .vcpu_kick_clear = soft_vcpu_kick_clear,
    .regs_get = soft_regs_get,
    .regs_set = soft_regs_set,
    .vcpu_nmi = soft_vcpu_nmi,
    .irq_line = soft_irq_line,
    .msi = soft_msi,
    .clock_pause = soft_clock_nop,
    .clock_resume = soft_clock_nop,
    .vcpu_kstats = soft_kstats,
    .tsc_khz = soft_tsc_khz,
};
