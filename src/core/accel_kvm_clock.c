/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * accel_kvm_clock: a paused guest's time stands still.
 *
 * A guest reads three clocks: the TSC, kvmclock, and its timers. All go on in the kernel
 * while nobody runs the vCPU. At pause their state is taken, at resume it is put back: the
 * TSC by its offset (exact; a write of the MSR within a second of the expected value would be
 * taken for a synchronisation and change nothing), kvmclock by KVM_SET_CLOCK, the timers of
 * LAPIC and PIT by re-arming them with what was left.
 */
#include "core/accel_kvm.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <x86intrin.h>

enum { MSR_TSC = 0x10, MSR_TSC_DEADLINE = 0x6e0, LAPIC_TIMER_CURRENT = 0x390 };

static int tsc_offset_attr(struct accel_vcpu *v, unsigned long request, uint64_t *offset)
{
    struct kvm_device_attr attr = {
        .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)offset};

    return ioctl(v->fd, request, &attr) < 0 ? -errno : 0;
}

static void vcpu_timers_save(struct accel_vcpu *v)
{
    struct kvm_lapic_state s;

    if (tsc_offset_attr(v, KVM_GET_DEVICE_ATTR, &v->tsc_offset) < 0)
        v->vm->has_tsc_attr = false;
    if (v->vm->p.irqchip_user || ioctl(v->fd, KVM_GET_LAPIC, &s) < 0)
        return;
    memcpy(&v->timer_current, s.regs + LAPIC_TIMER_CURRENT, sizeof v->timer_current);
    v->lapic_valid = kvm_msr_get(v, MSR_TSC_DEADLINE, &v->tsc_deadline) == 0;
}

void kvm_clock_pause(struct accel_vm *vm)
{
    if (vm->paused)
        return;
    vm->paused = true;
    vm->has_tsc_attr = true;
    vm->paused_tsc = __rdtsc();
    if (ioctl(vm->fd, KVM_GET_CLOCK, &vm->paused_clock) < 0)
        memset(&vm->paused_clock, 0, sizeof vm->paused_clock);
    for (unsigned i = 0; i < vm->p.vcpus; i++)
        vcpu_timers_save(vm->vcpu[i]);
    if (!vm->p.irqchip_user)
        ioctl(vm->fd, KVM_GET_PIT2, &vm->paused_pit);
}

/* The rest of the LAPIC is read again: an interrupt may have arrived during the pause. */
static void vcpu_timers_restore(struct accel_vcpu *v)
{
    struct kvm_lapic_state s;

    if (!v->lapic_valid || ioctl(v->fd, KVM_GET_LAPIC, &s) < 0)
        return;
    memcpy(s.regs + LAPIC_TIMER_CURRENT, &v->timer_current, sizeof v->timer_current);
    ioctl(v->fd, KVM_SET_LAPIC, &s);
    if (v->tsc_deadline)
        kvm_msr_set(v, MSR_TSC_DEADLINE, v->tsc_deadline);
}

static void vcpu_tsc_restore(struct accel_vcpu *v, uint64_t passed)
{
    uint64_t offset = v->tsc_offset - passed;

    if (v->vm->has_tsc_attr)
        tsc_offset_attr(v, KVM_SET_DEVICE_ATTR, &offset);
    else /* before Linux 5.16; all vCPUs get the same value */
        kvm_msr_set(v, MSR_TSC, v->vm->paused_tsc);
}

void kvm_clock_resume(struct accel_vm *vm)
{
    struct kvm_clock_data clock = {.clock = vm->paused_clock.clock};
    uint64_t passed;

    if (!vm->paused)
        return;
    vm->paused = false;
    pthread_rwlock_wrlock(&vm->irq_lock);
    passed = __rdtsc() - vm->paused_tsc;
    for (unsigned i = 0; i < vm->p.vcpus; i++)
        vcpu_tsc_restore(vm->vcpu[i], passed);
    if (clock.clock)
        ioctl(vm->fd, KVM_SET_CLOCK, &clock);
    for (unsigned i = 0; i < vm->p.vcpus; i++) {
        vcpu_timers_restore(vm->vcpu[i]);
        ioctl(vm->vcpu[i]->fd, KVM_KVMCLOCK_CTRL, 0); /* refused if the guest uses no kvmclock */
    }
    if (!vm->p.irqchip_user)
        ioctl(vm->fd, KVM_SET_PIT2, &vm->paused_pit);
    pthread_rwlock_unlock(&vm->irq_lock);
}

uint32_t kvm_tsc_khz(struct accel_vm *vm)
{
    int khz = ioctl(vm->fd, KVM_GET_TSC_KHZ, 0);

    if (khz <= 0 && vm->vcpu[0])
        khz = ioctl(vm->vcpu[0]->fd, KVM_GET_TSC_KHZ, 0);
    return khz > 0 ? (uint32_t)khz : 0;
}
