/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * h_sys: system instructions: control and debug registers, MSRs, ports, HLT, time, fast system
 * calls, and the ways into exc.c. Segment and far instructions are in h_seg.c.
 */
#include "core/x86/debug.h"
#include "core/x86/handlers.h"
#include "core/x86/io.h"
#include "core/x86/seg.h"
#include "core/x86/svm.h"

#include <sched.h>

#define RAX c->gpr[X86_RAX]
#define RCX c->gpr[X86_RCX]
#define RDX c->gpr[X86_RDX]

static const struct uop *gp(struct scpu *c, const struct uop *u, uint64_t fl)
{
    exc_raise_err(c, VEC_GP, 0);
    return raise_fault(c, u, fl);
}

static const struct uop *ud(struct scpu *c, const struct uop *u, uint64_t fl)
{
    exc_raise(c, VEC_UD);
    return raise_fault(c, u, fl);
}

#define NEED_CPL0                                                                                  \
    do {                                                                                           \
        if (c->cpl != 0)                                                                           \
            return gp(c, u, fl);                                                                   \
    } while (0)

/* ---- ways out ---- */

HANDLER(raise_fault)
{
    if (c->exc.noncanonical && c->exc.vec == VEC_GP && u->seg == X86_SS)
        c->exc.vec = VEC_SS;
    c->rip = uop_rip(u);
    c->fl = fl;
    return NULL;
}

HANDLER(leave_next)
{
    c->rip = uop_next_rip(u);
    c->fl = fl;
    return NULL;
}

HANDLER(h_ud)
{
    return ud(c, u, fl);
}

HANDLER(h_gp)
{
    return gp(c, u, fl);
}

HANDLER(h_too_long)
{
    return gp(c, u, fl);
}

HANDLER(h_cpl0)
{
    NEED_CPL0;
    NEXT;
}

/* ---- ports ---- */

static const struct uop *do_in(struct scpu *c, const struct uop *u, uint64_t fl, uint16_t port)
{
    uint32_t v;

    if (tss_io_allowed(c, port, u->aux) < 0)
        return raise_fault(c, u, fl);
    v = io_in(c, port, u->aux);
    if (u->aux == 1)
        R8(X86_RAX * 8) = (uint8_t)v;
    else if (u->aux == 2)
        R16(X86_RAX * 8) = (uint16_t)v;
    else
        RAX = v;
    NEXT;
}

static const struct uop *do_out(struct scpu *c, const struct uop *u, uint64_t fl, uint16_t port)
{
    if (tss_io_allowed(c, port, u->aux) < 0)
        return raise_fault(c, u, fl);
    io_out(c, port, u->aux, (uint32_t)RAX);
    NEXT;
}

HANDLER(h_in)
{
    return do_in(c, u, fl, (uint16_t)u->imm);
}

HANDLER(h_in_dx)
{
    return do_in(c, u, fl, (uint16_t)RDX);
}

HANDLER(h_out)
{
    return do_out(c, u, fl, (uint16_t)u->imm);
}

HANDLER(h_out_dx)
{
    return do_out(c, u, fl, (uint16_t)RDX);
}

/* ---- time, identification, random numbers ---- */

HANDLER(h_hlt)
{
    NEED_CPL0;
    c->halted = true;
    return leave_next(c, u, fl);
}

HANDLER(h_pause)
{
    if ((++c->pauses & 63) == 0 && c->vm->nvcpus > 1)
        sched_yield();
    NEXT;
}

HANDLER(h_fence)
{
    atomic_thread_fence(memory_order_seq_cst);
    NEXT;
}

HANDLER(h_cpuid)
{
    struct cpuid_regs r = cpuid_get(c, (uint32_t)RAX, (uint32_t)RCX);

    RAX = r.eax;
    c->gpr[X86_RBX] = r.ebx;
    RCX = r.ecx;
    RDX = r.edx;
    NEXT;
}

static bool tsc_forbidden(const struct scpu *c)
{
    return c->cpl != 0 && c->cr4 & CR4_TSD;
}

HANDLER(h_rdtsc)
{
    uint64_t t;

    if (tsc_forbidden(c))
        return gp(c, u, fl);
    t = tsc_now(c);
    RAX = (uint32_t)t;
    RDX = t >> 32;
    NEXT;
}

HANDLER(h_rdtscp)
{
    uint64_t t;

    if (tsc_forbidden(c))
        return gp(c, u, fl);
    t = tsc_now(c);
    RAX = (uint32_t)t;
    RDX = t >> 32;
    RCX = (uint32_t)c->tsc_aux;
    NEXT;
}

HANDLER(h_rdpid)
{
    R64(u->d) = (uint32_t)c->tsc_aux;
    NEXT;
}

HANDLER(h_rdpmc)
{
    return gp(c, u, fl);
}

/* RDRAND and RDSEED: advertised only where the host has them. CF says success. */
HANDLER(h_rdrand)
{
    uint64_t v = 0;
    uint8_t ok = 0;

    for (int i = 0; i < 10 && !ok; i++)
        __asm__ volatile("rdrand %0\n\tsetc %1" : "=r"(v), "=q"(ok) : : "cc");
    if (u->aux == 2)
        R16(u->d) = (uint16_t)v;
    else
        R64(u->d) = u->aux == 4 ? (uint32_t)v : v;
    fl = ok ? FL_CF : 0;
    NEXT;
}

HANDLER(h_rdmsr)
{
    uint64_t v;

    NEED_CPL0;
    if (!msr_read(c, (uint32_t)RCX, &v))
        return gp(c, u, fl);
    RAX = (uint32_t)v;
    RDX = v >> 32;
    NEXT;
}

HANDLER(h_wrmsr)
{
    NEED_CPL0;
    c->fl = fl;
    if (!msr_write(c, (uint32_t)RCX, (uint32_t)RAX | RDX << 32))
        return gp(c, u, fl);
    return leave_next(c, u, fl);
}

/* KVM's hypercalls; none is advertised, so each is unknown. */
HANDLER(h_vmcall)
{
    enum { KVM_ENOSYS = 1000, KVM_EPERM = 1 };

    RAX = (uint64_t)(c->cpl == 0 ? -KVM_ENOSYS : -KVM_EPERM);
    return leave_next(c, u, fl);
}

/* ---- control registers ---- */

static bool cr0_write(struct scpu *c, uint64_t v)
{
    uint64_t old = c->cr0;

    v |= CR0_ET;
    if (v >> 32 || (v & CR0_PG && !(v & CR0_PE)) || (v & CR0_NW && !(v & CR0_CD)))
        return false;
    if (v & ~old & CR0_PG && c->efer & EFER_LME) {
        if (!(c->cr4 & CR4_PAE) || c->seg[X86_CS].attr & X86_SEG_L)
            return false;
        c->efer |= EFER_LMA;
    }
    if (old & ~v & CR0_PG) {
        if (scpu_code64(c) || c->cr4 & CR4_PCIDE)
            return false;
        c->efer &= ~(uint64_t)EFER_LMA;
    }
    c->cr0 = v & (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM |
                  (uint64_t)CR0_NW | CR0_CD | CR0_PG);
    if ((old ^ v) & (CR0_PG | CR0_WP | CR0_PE))
        tlb_flush_all(c);
    fpu_trap_update(c);
    scpu_mode_update(c);
    return true;
}

static bool cr3_write(struct scpu *c, uint64_t v)
{
    if (scpu_long_mode(c) && v >> MMU_PHYS_BITS)
        return false;
    c->cr3 = v;
    scpu_count(c, cr3_writes, 1);
    tlb_flush_local(c);
    return true;
}

static bool cr4_write(struct scpu *c, uint64_t v)
{
    uint64_t known = CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR |
                     CR4_OSXMMEXCPT | CR4_UMIP | CR4_FSGSBASE | CR4_SMEP | CR4_SMAP;
    uint64_t old = c->cr4;

    if (v & ~known || (scpu_long_mode(c) && !(v & CR4_PAE)))
        return false;
    c->cr4 = v;
    if ((old ^ v) & (CR4_PGE | CR4_PSE | CR4_PAE | CR4_SMEP | CR4_SMAP))
        tlb_flush_all(c);
    debug_update(c);
    fpu_trap_update(c);
    scpu_mode_update(c);
    return true;
}

static bool cr8_write(struct scpu *c, uint64_t v)
{
    if (v > 15)
        return false;
    if (c->vm->chip.ops)
        c->vm->chip.ops->cr8_set(c->vm->chip.chip, c->index, (uint8_t)v);
    c->intr_check = true;
    return true;
}

HANDLER(h_mov_to_cr)
{
    uint64_t v = scpu_code64(c) ? R64(u->s) : R32(u->s);
    bool ok;

    NEED_CPL0;
    c->fl = fl;
    switch (u->aux) {
    case 0: ok = cr0_write(c, v); break;
    case 2: c->cr2 = v; ok = true; break;
    case 3: ok = cr3_write(c, v); break;
    case 4: ok = cr4_write(c, v); break;
    default: ok = cr8_write(c, v); break;
    }
    return ok ? leave_next(c, u, fl) : gp(c, u, fl);
}

HANDLER(h_mov_from_cr)
{
    uint64_t v;

    NEED_CPL0;
    switch (u->aux) {
    case 0: v = c->cr0; break;
    case 2: v = c->cr2; break;
    case 3: v = c->cr3; break;
    case 4: v = c->cr4; break;
    default: v = c->vm->chip.ops ? c->vm->chip.ops->cr8_get(c->vm->chip.chip, c->index) : 0; break;
    }
    R64(u->d) = scpu_code64(c) ? v : (uint32_t)v;
    NEXT;
}

HANDLER(h_clts)
{
    NEED_CPL0;
    c->cr0 &= ~(uint64_t)CR0_TS;
    fpu_trap_update(c);
    return leave_next(c, u, fl);
}

/* Cannot clear PE. */
HANDLER(h_lmsw)
{
    uint64_t v = R16(u->s) & 15;

    NEED_CPL0;
    c->fl = fl;
    v = (c->cr0 & ~14ull) | v;
    return cr0_write(c, v) ? leave_next(c, u, fl) : gp(c, u, fl);
}

static bool umip(const struct scpu *c)
{
    return c->cr4 & CR4_UMIP && c->cpl != 0;
}

HANDLER(h_smsw)
{
    if (umip(c))
        return gp(c, u, fl);
    c->tmp = c->cr0;
    NEXT;
}

HANDLER(h_invlpg)
{
    tlb_flush_page(c, EA_X);
    return leave_next(c, u, fl);
}

HANDLER(h_invd)
{
    NEED_CPL0;
    return leave_next(c, u, fl);
}

/* ---- debug registers ---- */

/* Number with DR4 and DR5 as aliases; -1: #UD, -2: #DB because of DR7.GD. */
static int debug_reg(struct scpu *c, unsigned n)
{
    if (n == 4 || n == 5) {
        if (c->cr4 & CR4_DE)
            return -1;
        n += 2;
    }
    if (c->dr[7] & DR7_GD) {
        debug_note(c, DR6_BD);
        return -2;
    }
    return (int)n;
}

static const struct uop *debug_fault(struct scpu *c, const struct uop *u, uint64_t fl, int why)
{
    exc_raise(c, why == -1 ? VEC_UD : VEC_DB);
    return raise_fault(c, u, fl);
}

HANDLER(h_mov_from_dr)
{
    int n;

    NEED_CPL0;
    n = debug_reg(c, u->aux);
    if (n < 0)
        return debug_fault(c, u, fl, n);
    R64(u->d) = scpu_code64(c) ? c->dr[n] : (uint32_t)c->dr[n];
    NEXT;
}

HANDLER(h_mov_to_dr)
{
    uint64_t v = scpu_code64(c) ? R64(u->s) : R32(u->s);
    int n;

    NEED_CPL0;
    n = debug_reg(c, u->aux);
    if (n < 0)
        return debug_fault(c, u, fl, n);
    if (n >= 6 && v >> 32)
        return gp(c, u, fl);
    if (n == 6)
        v = (v & 0xe00f) | 0xffff0ff0;
    if (n == 7)
        v = (v & 0xffff2fff) | 0x400;
    c->dr[n] = v;
    debug_update(c);
    return leave_next(c, u, fl);
}

/* ---- fast system calls ---- */

/* SYSCALL and SYSRET trap by the TF that they leave, before the next instruction. */
static const struct uop *step_by_new_tf(struct scpu *c)
{
    c->stepped = true;
    if (c->rflags_sys & FLAG_TF) {
        debug_note(c, DR6_BS);
        exc_raise(c, VEC_DB);
    }
    return NULL;
}

HANDLER(h_syscall)
{
    uint64_t next = uop_next_rip(u);

    if (!(c->efer & EFER_SCE) || !(c->cr0 & CR0_PE))
        return ud(c, u, fl);
    c->fl = fl;
    RCX = next;
    if (scpu_long_mode(c)) {
        c->gpr[11] = scpu_rflags(c) & ~(uint64_t)FLAG_RF;
        c->rip = scpu_code64(c) ? c->lstar : c->cstar;
        c->cpl = 0;
        seg_flat_code(c, (c->star >> 32) & 0xfffc, 0, true);
        seg_flat_stack(c, (uint16_t)((c->star >> 32 & 0xfffc) + 8), 0);
        scpu_set_rflags(c, scpu_rflags(c) & ~(c->sfmask | FLAG_RF));
    } else {
        RCX = (uint32_t)next;
        c->rip = (uint32_t)c->star;
        c->cpl = 0;
        seg_flat_code(c, (c->star >> 32) & 0xfffc, 0, false);
        seg_flat_stack(c, (uint16_t)((c->star >> 32 & 0xfffc) + 8), 0);
        scpu_set_rflags(c, scpu_rflags(c) & ~(uint64_t)(FLAG_VM | FLAG_IF | FLAG_RF));
    }
    return step_by_new_tf(c);
}

HANDLER(h_sysret)
{
    uint16_t base = (c->star >> 48) & 0xfffc;
    bool to64 = u->aux == 8;

    if (!(c->efer & EFER_SCE) || !(c->cr0 & CR0_PE))
        return ud(c, u, fl);
    NEED_CPL0;
    c->fl = fl;
    c->cpl = 3;
    seg_flat_code(c, (uint16_t)((to64 ? base + 16 : base) | 3), 3, to64);
    seg_flat_stack(c, (uint16_t)((base + 8) | 3), 3);
    c->rip = to64 ? RCX : (uint32_t)RCX;
    if (scpu_long_mode(c))
        scpu_set_rflags(c, (c->gpr[11] & 0x3c7fd7) | 2);
    else
        scpu_set_rflags(c, scpu_rflags(c) | FLAG_IF);
    return step_by_new_tf(c);
}

/* As on AMD: not in long mode. */
HANDLER(h_sysenter)
{
    if (scpu_long_mode(c) || !(c->cr0 & CR0_PE))
        return ud(c, u, fl);
    if ((c->sysenter_cs & 0xfffc) == 0)
        return gp(c, u, fl);
    c->fl = fl;
    c->cpl = 0;
    seg_flat_code(c, c->sysenter_cs & 0xfffc, 0, false);
    seg_flat_stack(c, (uint16_t)((c->sysenter_cs & 0xfffc) + 8), 0);
    c->rip = (uint32_t)c->sysenter_eip;
    c->gpr[X86_RSP] = (uint32_t)c->sysenter_esp;
    scpu_set_rflags(c, scpu_rflags(c) & ~(uint64_t)(FLAG_IF | FLAG_VM | FLAG_RF));
    return NULL;
}

HANDLER(h_sysexit)
{
    if (scpu_long_mode(c) || !(c->cr0 & CR0_PE))
        return ud(c, u, fl);
    if ((c->sysenter_cs & 0xfffc) == 0 || c->cpl != 0)
        return gp(c, u, fl);
    c->fl = fl;
    c->cpl = 3;
    seg_flat_code(c, (uint16_t)((c->sysenter_cs & 0xfffc) + 16) | 3, 3, false);
    seg_flat_stack(c, (uint16_t)((c->sysenter_cs & 0xfffc) + 24) | 3, 3);
    c->rip = (uint32_t)RDX;
    c->gpr[X86_RSP] = (uint32_t)RCX;
    scpu_mode_update(c);
    return NULL;
}

HANDLER(h_swapgs)
{
    uint64_t b = c->seg[X86_GS].base;

    NEED_CPL0;
    c->seg[X86_GS].base = c->kernel_gs_base;
    c->kernel_gs_base = b;
    c->seg_base[X86_GS] = c->seg[X86_GS].base;
    return leave_next(c, u, fl);
}

/* imm: 0 RDFSBASE, 1 RDGSBASE, 2 WRFSBASE, 3 WRGSBASE */
HANDLER(h_fsgsbase)
{
    unsigned seg = u->imm & 1 ? X86_GS : X86_FS;
    uint64_t v = u->aux == 8 ? R64(u->s) : R32(u->s);

    if (!(c->cr4 & CR4_FSGSBASE))
        return ud(c, u, fl);
    if (u->imm < 2) {
        v = c->seg[seg].base;
        R64(u->d) = u->aux == 8 ? v : (uint32_t)v;
        NEXT;
    }
    if (!mmu_canonical(v))
        return gp(c, u, fl);
    c->seg[seg].base = c->seg_base[seg] = v;
    NEXT;
}

HANDLER(h_stac_clac)
{
    if (c->cpl != 0)
        return ud(c, u, fl);
    if (u->d)
        c->rflags_sys |= FLAG_AC;
    else
        c->rflags_sys &= ~(uint64_t)FLAG_AC;
    scpu_mode_update(c);
    return leave_next(c, u, fl);
}

/* ---- software interrupts ---- */

static const struct uop *soft(struct scpu *c, const struct uop *u, uint64_t fl, enum exc_kind kind, unsigned vec)
{
    exc_soft(c, kind, vec, uop_next_rip(u));
    c->rip = uop_rip(u);
    LEAVE;
}

HANDLER(h_int)
{
    if (c->rflags_sys & FLAG_VM && (c->rflags_sys & FLAG_IOPL) != FLAG_IOPL)
        return gp(c, u, fl);
    return soft(c, u, fl, EXC_SOFT, (unsigned)u->imm);
}

HANDLER(h_int1)
{
    return soft(c, u, fl, EXC_PRIV_SOFT, VEC_DB);
}

HANDLER(h_int3)
{
    return soft(c, u, fl, EXC_SOFT, VEC_BP);
}

HANDLER(h_into)
{
    if (fl & FL_OF)
        return soft(c, u, fl, EXC_SOFT, VEC_OF);
    return leave_next(c, u, fl);
}

HANDLER(h_iret)
{
    c->fl = fl;
    c->rip = uop_next_rip(u); /* what a task switch saves */
    c->nmi_blocked = false;   /* also by one that faults, SDM 3A 6.7.1 */
    return far_iret(c, u->aux) < 0 ? raise_fault(c, u, fl) : NULL;
}
