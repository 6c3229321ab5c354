/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * accel_kvm_cpuid: what CPU a guest sees under KVM: the host's, as far as KVM supports it,
 * less nested virtualisation (the largest attack surface of KVM; SAFETY §2.7), with a
 * topology of one socket, one thread per core, one core per vCPU.
 */
#include "core/accel_kvm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

enum { CPUID_MAX = 256 };

enum { /* leaf 1 */
    C1_VMX = 1u << 5, C1_X2APIC = 1u << 21, C1_TSC_DEADLINE = 1u << 24, C1_HYPERVISOR = 1u << 31,
    D1_HTT = 1u << 28,
};
enum { C6_ARAT = 1u << 2 };
enum { C81_SVM = 1u << 2, C81_CMP_LEGACY = 1u << 1, C81_TOPOEXT = 1u << 22 };
enum { KVM_FEATURES_LEAF = 0x40000001, KVM_CLOCK_BITS = 1u << 0 | 1u << 3 | 1u << 24 };

int kvm_cpuid_load(struct accel_vm *vm, struct err *e)
{
    vm->cpuid = calloc(1, sizeof *vm->cpuid + CPUID_MAX * sizeof vm->cpuid->entries[0]);
    if (!vm->cpuid)
        return err_set(e, ENOMEM, "out of memory");
    vm->cpuid->nent = CPUID_MAX;
    if (ioctl(vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, vm->cpuid) < 0)
        return err_set(e, errno, "KVM does not tell its CPU features: %s", strerror(errno));
    return 0;
}

static unsigned bits_for(unsigned n)
{
    unsigned bits = 0;

    while (1u << bits < n)
        bits++;
    return bits;
}

static void leaf_1(struct kvm_cpuid_entry2 *c, unsigned index, const struct accel_vm_params *p)
{
    unsigned count = p->vcpus < 255 ? p->vcpus : 255;

    c->ebx = (c->ebx & 0x0000ffff) | index << 24 | count << 16;
    c->ecx = (c->ecx | C1_HYPERVISOR) & ~(uint32_t)C1_VMX;
    if (p->irqchip_user)
        c->ecx &= ~(uint32_t)(C1_X2APIC | C1_TSC_DEADLINE);
    else
        c->ecx |= C1_X2APIC | C1_TSC_DEADLINE;
    c->edx = p->vcpus > 1 ? c->edx | D1_HTT : c->edx & ~(uint32_t)D1_HTT;
}

/* Extended topology: level 0 threads (one), level 1 cores. */
static void leaf_topology(struct kvm_cpuid_entry2 *c, unsigned index, const struct accel_vm_params *p)
{
    c->eax = c->index == 1 ? bits_for(p->vcpus) : 0;
    c->ebx = c->index == 0 ? 1 : c->index == 1 ? p->vcpus : 0;
    c->ecx = c->index | (c->index == 0 ? 1u << 8 : c->index == 1 ? 2u << 8 : 0);
    c->edx = index;
}

static void leaf_adjust(struct kvm_cpuid_entry2 *c, unsigned index, const struct accel_vm_params *p)
{
    switch (c->function) {
    case 1:
        leaf_1(c, index, p);
        break;
    case 4: /* caches: private to the core, cores of this package */
        c->eax = (c->eax & 0x00003fff) | (p->vcpus - 1 > 63 ? 63 : p->vcpus - 1) << 26;
        break;
    case 6: /* with ARAT Linux does not set up the PIT, and there is no HPET: noapictimer would hang */
        c->eax &= ~C6_ARAT;
        break;
    case 0xb:
    case 0x1f:
        leaf_topology(c, index, p);
        break;
    case KVM_FEATURES_LEAF:
        if (p->irqchip_user) /* paravirtual interrupts need KVM's own LAPIC */
            c->eax &= KVM_CLOCK_BITS;
        break;
    case 0x80000001:
        c->ecx &= ~(uint32_t)(C81_SVM | (p->vcpus > 1 ? 0u : C81_CMP_LEGACY));
        break;
    case 0x80000008:
        c->ecx = (bits_for(p->vcpus) << 12) | (p->vcpus - 1);
        break;
    case 0x8000000a: /* SVM features */
        c->eax = c->ebx = c->ecx = c->edx = 0;
        break;
    case 0x8000001d: /* AMD caches */
        c->eax &= 0x00003fff;
        break;
    case 0x8000001e:
        c->eax = index;
        c->ebx = index;
        c->ecx = 0;
        break;
    }
}

int kvm_cpuid_apply(struct accel_vcpu *v, struct err *e)
{
    const struct kvm_cpuid2 *all = v->vm->cpuid;
    size_t bytes = sizeof *all + all->nent * sizeof all->entries[0];
    struct kvm_cpuid2 *mine = malloc(bytes);
    int rc = 0;

    if (!mine)
        return err_set(e, ENOMEM, "out of memory");
    memcpy(mine, all, bytes);
    for (unsigned i = 0; i < mine->nent; i++)
        leaf_adjust(&mine->entries[i], v->index, &v->vm->p);
    if (ioctl(v->fd, KVM_SET_CPUID2, mine) < 0)
        rc = err_set(e, errno, "KVM refuses the CPU features of vCPU %u: %s", v->index, strerror(errno));
    free(mine);
    return rc;
}
