/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * accel_kvm: what the files of the KVM accelerator share. Nobody else includes this.
 */
#ifndef RUCHE_CORE_ACCEL_KVM_H
#define RUCHE_CORE_ACCEL_KVM_H

#include "core/accel.h"
#include "core/bus.h"

#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>

enum { KVM_MAX_VCPUS = 64, KVM_MAX_DOORBELLS = 256 };

/* One value of the binary statistics (Documentation/virt/kvm/api.rst 4.133). */
struct kvm_stat_map {
    int fd;
    unsigned n;
    struct kstat *stat;    /* names point into `blob` */
    uint32_t *offset;      /* into the descriptor's file */
    char *blob;            /* the descriptors */
    uint32_t blocking;     /* where the kernel says that the vCPU is in HLT; 0: it does not (before 5.17) */
    uint32_t halts;        /* and how often it came to one, not far behind; 0: it does not */
};

struct accel_vcpu {
    struct accel_vm *vm;
    unsigned index;
    int fd;
    struct kvm_run *run;
    size_t run_bytes;
    struct vcpu_host host;
    _Atomic int tid;        /* 0 until its thread has started; partner: kvm_vcpu_kick */
    _Atomic bool nmi;       /* user irqchip: an NMI is to be injected */
    bool lapic_valid;       /* the fields below were read by kvm_clock_pause */
    uint64_t tsc_offset;    /* guest TSC - host TSC when it was paused */
    uint64_t tsc_deadline;
    uint32_t timer_current; /* LAPIC timer's current count */
    struct kvm_stat_map stats;
};

struct accel_vm {
    int kvm_fd, fd;
    struct accel_vm_params p;
    struct accel_vcpu *vcpu[KVM_MAX_VCPUS];
    struct kvm_cpuid2 *cpuid; /* as supported; each vCPU gets an adjusted copy */
    pthread_rwlock_t irq_lock; /* read: an interrupt is being raised; write: LAPICs are rewritten */
    bool has_tsc_attr;
    uint64_t paused_tsc; /* host TSC at clock_pause */
    struct kvm_clock_data paused_clock;
    struct kvm_pit_state2 paused_pit;
    bool paused;
    struct bus_doorbell doorbell[KVM_MAX_DOORBELLS]; /* registered with KVM; I/O thread only */
    unsigned ndoorbells;
};

int kvm_cpuid_load(struct accel_vm *vm, struct err *e);
int kvm_cpuid_apply(struct accel_vcpu *v, struct err *e);

int kvm_regs_get(struct accel_vcpu *v, struct x86_regs *r);
int kvm_regs_set(struct accel_vcpu *v, const struct x86_regs *r);
int kvm_boot_msrs(struct accel_vcpu *v);
int kvm_msr_get(struct accel_vcpu *v, uint32_t index, uint64_t *val);
int kvm_msr_set(struct accel_vcpu *v, uint32_t index, uint64_t val);

void kvm_clock_pause(struct accel_vm *vm);
void kvm_clock_resume(struct accel_vm *vm);
uint32_t kvm_tsc_khz(struct accel_vm *vm);

void kvm_stats_open(struct accel_vcpu *v);
void kvm_stats_close(struct accel_vcpu *v);
unsigned kvm_stats_read(struct accel_vcpu *v, struct kstat *out, unsigned max);
int kvm_vcpu_halted(struct accel_vcpu *v, uint32_t *halts);

#endif
