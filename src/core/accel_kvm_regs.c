/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * accel_kvm_regs: x86_regs to and from KVM's structures, and the MSRs that firmware would set.
 */
#include "core/accel_kvm.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

enum { MSR_MISC_ENABLE = 0x1a0, MSR_MTRR_DEF_TYPE = 0x2ff };

/* x86_regs order (ModRM) against kvm_regs order. */
static uint64_t *kvm_gpr(struct kvm_regs *k, unsigned i)
{
    uint64_t *const map[16] = {(uint64_t *)&k->rax, (uint64_t *)&k->rcx, (uint64_t *)&k->rdx,
                               (uint64_t *)&k->rbx, (uint64_t *)&k->rsp, (uint64_t *)&k->rbp,
                               (uint64_t *)&k->rsi, (uint64_t *)&k->rdi, (uint64_t *)&k->r8,
                               (uint64_t *)&k->r9,  (uint64_t *)&k->r10, (uint64_t *)&k->r11,
                               (uint64_t *)&k->r12, (uint64_t *)&k->r13, (uint64_t *)&k->r14,
                               (uint64_t *)&k->r15};
    return map[i];
}

static struct kvm_segment *kvm_seg(struct kvm_sregs *s, unsigned i)
{
    struct kvm_segment *const map[X86_NSEGS] = {&s->es, &s->cs, &s->ss, &s->ds,
                                                &s->fs, &s->gs, &s->ldt, &s->tr};
    return map[i];
}

static struct x86_seg seg_from_kvm(const struct kvm_segment *k)
{
    uint16_t attr = (uint16_t)(k->type | k->s << 4 | k->dpl << 5 | k->present << 7 | k->avl << 12 |
                               k->l << 13 | k->db << 14 | k->g << 15);

    if (k->unusable)
        attr &= (uint16_t)~X86_SEG_P;
    return (struct x86_seg){.base = k->base, .limit = k->limit, .sel = k->selector, .attr = attr};
}

static struct kvm_segment seg_to_kvm(const struct x86_seg *x)
{
    return (struct kvm_segment){
        .base = x->base, .limit = x->limit, .selector = x->sel,
        .type = x->attr & X86_SEG_TYPE, .s = x->attr >> 4 & 1, .dpl = x->attr >> 5 & 3,
        .present = x->attr >> 7 & 1, .avl = x->attr >> 12 & 1, .l = x->attr >> 13 & 1,
        .db = x->attr >> 14 & 1, .g = x->attr >> 15 & 1, .unusable = !(x->attr & X86_SEG_P),
    };
}

int kvm_regs_get(struct accel_vcpu *v, struct x86_regs *r)
{
    struct kvm_regs k;
    struct kvm_sregs s;
    struct kvm_debugregs d;

    if (ioctl(v->fd, KVM_GET_REGS, &k) < 0 || ioctl(v->fd, KVM_GET_SREGS, &s) < 0 ||
        ioctl(v->fd, KVM_GET_DEBUGREGS, &d) < 0)
        return -errno;
    memset(r, 0, sizeof *r);
    for (unsigned i = 0; i < 16; i++)
        r->gpr[i] = *kvm_gpr(&k, i);
    r->rip = k.rip;
    r->rflags = k.rflags;
    for (unsigned i = 0; i < X86_NSEGS; i++)
        r->seg[i] = seg_from_kvm(kvm_seg(&s, i));
    r->gdt = (struct x86_table){.base = s.gdt.base, .limit = s.gdt.limit};
    r->idt = (struct x86_table){.base = s.idt.base, .limit = s.idt.limit};
    r->cr0 = s.cr0;
    r->cr2 = s.cr2;
    r->cr3 = s.cr3;
    r->cr4 = s.cr4;
    r->cr8 = s.cr8;
    r->efer = s.efer;
    r->apic_base = s.apic_base;
    for (unsigned i = 0; i < 4; i++)
        r->dr[i] = d.db[i];
    r->dr[6] = d.dr6;
    r->dr[7] = d.dr7;
    return 0;
}

static int set_sregs(struct accel_vcpu *v, const struct x86_regs *r)
{
    struct kvm_sregs s;

    /* what x86_regs does not hold (pending interrupts, the APIC base's BSP bit) stays */
    if (ioctl(v->fd, KVM_GET_SREGS, &s) < 0)
        return -errno;
    for (unsigned i = 0; i < X86_NSEGS; i++)
        *kvm_seg(&s, i) = seg_to_kvm(&r->seg[i]);
    s.gdt = (struct kvm_dtable){.base = r->gdt.base, .limit = r->gdt.limit};
    s.idt = (struct kvm_dtable){.base = r->idt.base, .limit = r->idt.limit};
    s.cr0 = r->cr0;
    s.cr2 = r->cr2;
    s.cr3 = r->cr3;
    s.cr4 = r->cr4;
    s.cr8 = r->cr8;
    s.efer = r->efer;
    return ioctl(v->fd, KVM_SET_SREGS, &s) < 0 ? -errno : 0;
}

int kvm_regs_set(struct accel_vcpu *v, const struct x86_regs *r)
{
    struct kvm_debugregs d = {.dr6 = r->dr[6], .dr7 = r->dr[7]};
    struct kvm_regs k = {.rip = r->rip, .rflags = r->rflags};
    int rc = set_sregs(v, r);

    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < 16; i++)
        *kvm_gpr(&k, i) = r->gpr[i];
    for (unsigned i = 0; i < 4; i++)
        d.db[i] = r->dr[i];
    if (ioctl(v->fd, KVM_SET_REGS, &k) < 0 || ioctl(v->fd, KVM_SET_DEBUGREGS, &d) < 0)
        return -errno;
    return 0;
}

struct one_msr {
    struct kvm_msrs h;
    struct kvm_msr_entry entry;
};

int kvm_msr_get(struct accel_vcpu *v, uint32_t index, uint64_t *val)
{
    struct one_msr m = {.h.nmsrs = 1, .entry.index = index};

    if (ioctl(v->fd, KVM_GET_MSRS, &m) != 1)
        return -EINVAL;
    *val = m.entry.data;
    return 0;
}

int kvm_msr_set(struct accel_vcpu *v, uint32_t index, uint64_t val)
{
    struct one_msr m = {.h.nmsrs = 1, .entry = {.index = index, .data = val}};

    return ioctl(v->fd, KVM_SET_MSRS, &m) == 1 ? 0 : -EINVAL;
}

/* Fast strings on; all memory write-back. A CPU without one of these is no error. */
int kvm_boot_msrs(struct accel_vcpu *v)
{
    kvm_msr_set(v, MSR_MISC_ENABLE, 1);
    kvm_msr_set(v, MSR_MTRR_DEF_TYPE, 1 << 11 | 6);
    return 0;
}
