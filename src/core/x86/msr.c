/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * msr: model-specific registers, the TSC, and the paravirtual clock of KVM.
 *
 * The guest's TSC counts nanoseconds of its vclock, so it stands still with it, is the same on
 * all vCPUs, and the paravirtual clock is a constant relation that is written once.
 */
#include "core/x86/io.h"

#include "core/mem.h"
#include "core/vclock.h"
#include "core/x86/mmu.h"
#include "core/x86/svm.h"

#include <string.h>
#include <time.h>

enum {
    MSR_TSC = 0x10, MSR_APIC_BASE = 0x1b, MSR_SPEC_CTRL = 0x48, MSR_TSC_ADJUST = 0x3b, MSR_BIOS_SIGN = 0x8b,
    MSR_MTRR_CAP = 0xfe, MSR_MTRR_DEF_TYPE = 0x2ff,
    MSR_SYSENTER_CS = 0x174, MSR_SYSENTER_ESP = 0x175, MSR_SYSENTER_EIP = 0x176, MSR_MCG_CAP = 0x179,
    MSR_MCG_STATUS = 0x17a, MSR_MISC_ENABLE = 0x1a0, MSR_PAT = 0x277, MSR_TSC_DEADLINE = 0x6e0,
    MSR_X2APIC_FIRST = 0x800, MSR_X2APIC_LAST = 0x8ff, MSR_KVM_WALL_OLD = 0x11, MSR_KVM_TIME_OLD = 0x12,
    MSR_KVM_WALL = 0x4b564d00, MSR_KVM_TIME = 0x4b564d01,
};
#define MSR_EFER 0xc0000080u
#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_CSTAR 0xc0000083u
#define MSR_SFMASK 0xc0000084u
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u
#define MSR_KERNEL_GS 0xc0000102u
#define MSR_TSC_AUX 0xc0000103u
#define MSR_HWCR 0xc0010015u
#define MSR_AMD_FIRST 0xc0010000u
#define MSR_AMD_LAST 0xc00111ffu

enum { EFER_AUTOIBRS = 1 << 21, KVM_TIME_ENABLE = 1 };

uint64_t tsc_now(struct scpu *c)
{
    return vclock_now_ns(c->vm->clock) + c->tsc_adjust;
}

/* ---- paravirtual clock: Documentation/virt/kvm/x86/msr.rst ---- */

struct pvclock_time {
    uint32_t version, pad;
    uint64_t tsc_timestamp, system_time;
    uint32_t tsc_to_system_mul;
    int8_t tsc_shift;
    uint8_t flags;
    uint8_t pad2[2];
};
_Static_assert(sizeof(struct pvclock_time) == 32, "pvclock ABI");

struct pvclock_wall {
    uint32_t version, sec, nsec;
};

static void write_guest(struct scpu *c, uint64_t gpa, const void *p, size_t n)
{
    if (gmem_write(c->vm->mem, gpa, p, n) < 0) {
        /* not RAM: the guest's mistake, nothing is written */
    }
}

/* system_time = (tsc - tsc_timestamp) << 1 * 2^31 >> 32: one tick is one nanosecond. */
static void kvm_time(struct scpu *c, uint64_t v)
{
    struct pvclock_time t = {
        .version = 2, .tsc_timestamp = c->tsc_adjust, .tsc_to_system_mul = 0x80000000u, .tsc_shift = 1,
        .flags = 1, /* stable over all vCPUs */
    };

    c->kvm_system_time = v;
    if (v & KVM_TIME_ENABLE)
        write_guest(c, v & ~1ull, &t, sizeof t);
}

static void kvm_wall(struct scpu *c, uint64_t v)
{
    struct timespec now;
    uint64_t boot_ns;
    struct pvclock_wall w = {.version = 2};

    clock_gettime(CLOCK_REALTIME, &now);
    boot_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec - vclock_now_ns(c->vm->clock);
    w.sec = (uint32_t)(boot_ns / 1000000000u);
    w.nsec = (uint32_t)(boot_ns % 1000000000u);
    c->kvm_wall_clock = v;
    write_guest(c, v, &w, sizeof w);
}

/* ---- controller's registers ---- */

static bool is_chip_msr(uint32_t i)
{
    return i == MSR_APIC_BASE || i == MSR_TSC_DEADLINE || (i >= MSR_X2APIC_FIRST && i <= MSR_X2APIC_LAST);
}

static bool chip_read(struct scpu *c, uint32_t i, uint64_t *v)
{
    const struct irqchip *k = &c->vm->chip;

    if (!k->ops) {
        *v = c->apic_base;
        return i == MSR_APIC_BASE;
    }
    return k->ops->rdmsr(k->chip, c->index, i, v);
}

static bool chip_write(struct scpu *c, uint32_t i, uint64_t v)
{
    const struct irqchip *k = &c->vm->chip;

    if (!k->ops)
        return false;
    c->intr_check = true;
    if (!k->ops->wrmsr(k->chip, c->index, i, v))
        return false;
    if (i == MSR_APIC_BASE)
        k->ops->rdmsr(k->chip, c->index, i, &c->apic_base);
    return true;
}

/* ---- all ---- */

static bool amd_range(uint32_t i)
{
    return i >= MSR_AMD_FIRST && i <= MSR_AMD_LAST;
}

bool msr_read(struct scpu *c, uint32_t i, uint64_t *v)
{
    if (is_chip_msr(i))
        return chip_read(c, i, v);
    switch (i) {
    case MSR_TSC: *v = tsc_now(c); break;
    case MSR_TSC_ADJUST: *v = c->tsc_adjust; break;
    case MSR_BIOS_SIGN: case MSR_MCG_CAP: case MSR_MCG_STATUS: case MSR_MTRR_CAP: *v = 0; break;
    case MSR_MTRR_DEF_TYPE: *v = c->mtrr_def_type; break;
    case MSR_SYSENTER_CS: *v = c->sysenter_cs; break;
    case MSR_SYSENTER_ESP: *v = c->sysenter_esp; break;
    case MSR_SYSENTER_EIP: *v = c->sysenter_eip; break;
    case MSR_MISC_ENABLE: *v = c->misc_enable; break;
    case MSR_PAT: *v = c->pat; break;
    case MSR_EFER: *v = c->efer; break;
    case MSR_STAR: *v = c->star; break;
    case MSR_LSTAR: *v = c->lstar; break;
    case MSR_CSTAR: *v = c->cstar; break;
    case MSR_SFMASK: *v = c->sfmask; break;
    case MSR_FS_BASE: *v = c->seg[X86_FS].base; break;
    case MSR_GS_BASE: *v = c->seg[X86_GS].base; break;
    case MSR_KERNEL_GS: *v = c->kernel_gs_base; break;
    case MSR_TSC_AUX: *v = c->tsc_aux; break;
    case MSR_KVM_WALL: case MSR_KVM_WALL_OLD: *v = c->kvm_wall_clock; break;
    case MSR_KVM_TIME: case MSR_KVM_TIME_OLD: *v = c->kvm_system_time; break;
    case MSR_HWCR: *v = 1 << 24; break; /* the TSC counts at its nominal rate */
    default:
        *v = 0;
        return amd_range(i);
    }
    return true;
}

static bool efer_write(struct scpu *c, uint64_t v)
{
    uint64_t known = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_AUTOIBRS;
    uint64_t old = c->efer;

    if (v & ~known || ((old ^ v) & EFER_LME && c->cr0 & CR0_PG))
        return false;
    c->efer = (v & ~(uint64_t)EFER_LMA) | (old & EFER_LMA);
    if ((old ^ v) & EFER_NXE)
        tlb_flush_all(c);
    scpu_mode_update(c);
    return true;
}

static bool pat_ok(uint64_t v)
{
    for (int i = 0; i < 8; i++, v >>= 8) {
        if ((v & 0xff) > 7 || (v & 0xff) == 2 || (v & 0xff) == 3)
            return false;
    }
    return true;
}

/* MTRRs are not advertised, but Xen asks for them unasked: there are none but the default type,
 * which is kept and means nothing. */
static bool mtrr_def_type_write(struct scpu *c, uint64_t v)
{
    unsigned type = v & 0xff;

    if (v & ~0xcffull || type > 6 || type == 2 || type == 3)
        return false;
    c->mtrr_def_type = v;
    return true;
}

static bool base_write(struct scpu *c, uint64_t *where, uint64_t v)
{
    if (!mmu_canonical(v))
        return false;
    *where = v;
    scpu_mode_update(c);
    return true;
}

bool msr_write(struct scpu *c, uint32_t i, uint64_t v)
{
    if (is_chip_msr(i))
        return chip_write(c, i, v);
    switch (i) {
    case MSR_TSC: c->tsc_adjust += v - tsc_now(c); break;
    case MSR_TSC_ADJUST: c->tsc_adjust = v; break;
    case MSR_BIOS_SIGN: case MSR_MCG_STATUS: break;
    case MSR_SYSENTER_CS: c->sysenter_cs = v; break;
    case MSR_SYSENTER_ESP: return base_write(c, &c->sysenter_esp, v);
    case MSR_SYSENTER_EIP: return base_write(c, &c->sysenter_eip, v);
    case MSR_MISC_ENABLE: c->misc_enable = v; break;
    case MSR_PAT:
        if (!pat_ok(v))
            return false;
        c->pat = v;
        break;
    case MSR_MTRR_DEF_TYPE: return mtrr_def_type_write(c, v);
    case MSR_EFER: return efer_write(c, v);
    case MSR_STAR: c->star = v; break;
    case MSR_LSTAR: return base_write(c, &c->lstar, v);
    case MSR_CSTAR: return base_write(c, &c->cstar, v);
    case MSR_SFMASK: c->sfmask = v & 0xffffffff; break;
    case MSR_FS_BASE: return base_write(c, &c->seg[X86_FS].base, v);
    case MSR_GS_BASE: return base_write(c, &c->seg[X86_GS].base, v);
    case MSR_KERNEL_GS: return base_write(c, &c->kernel_gs_base, v);
    case MSR_TSC_AUX: c->tsc_aux = v & 0xffffffff; break;
    case MSR_KVM_WALL: case MSR_KVM_WALL_OLD: kvm_wall(c, v); break;
    case MSR_KVM_TIME: case MSR_KVM_TIME_OLD: kvm_time(c, v); break;
    default: return amd_range(i);
    }
    return true;
}
