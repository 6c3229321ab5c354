/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * accel_kvm: guests on Linux KVM.
 *
 * By default interrupt controllers and PIT are KVM's own; with `irqchip: user` they are ours
 * (struct irqchip) and interrupts are injected here, before each run.
 *
 * Threads: see accel.h. A vCPU's thread touches its kvm_run page; a kicker writes only
 * `immediate_exit` in it. What follows a clear of that flag re-reads every request flag
 * (SAFETY T19), so that no kick is lost.
 */
#include "core/accel_kvm.h"

#include "core/every_exit.h"
#include "core/mem.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KVM_TSS_GPA 0xfffbd000ul
#define KVM_IDENTITY_MAP_GPA 0xfffbc000ull

/* Who may open it: its group, unless that is root's or has no right to; else somebody has to be let in by name. */
static int denied(int code, struct err *e)
{
    struct stat st;
    struct group *g;

    if (access("/dev/kvm", R_OK | W_OK) == 0 || stat("/dev/kvm", &st) < 0)
        return err_set(e, code, "/dev/kvm cannot be opened here: a container has to be given it (`docker run --device /dev/kvm`)");
    g = st.st_gid != 0 && (st.st_mode & 060) == 060 ? getgrgid(st.st_gid) : NULL;
    if (g)
        return err_set(e, code, "no permission to open /dev/kvm: join its group with `sudo usermod -aG %s $USER` and log in "
                       "again", g->gr_name);
    return err_set(e, code, "no permission to open /dev/kvm: `sudo setfacl -m u:$USER:rw /dev/kvm` lets you in until it is "
                   "made anew");
}

static int open_kvm(struct err *e)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    if (fd >= 0)
        return fd;
    switch (errno) {
    case ENOENT:
        return err_set(e, errno, "/dev/kvm is missing: load kvm-intel or kvm-amd, or turn on VT-x/SVM "
                                 "in the firmware; inside a VM, ask its host for nested virtualisation");
    case EACCES:
    case EPERM:
        return denied(errno, e);
    case EBUSY:
        return err_set(e, errno, "/dev/kvm is busy: another hypervisor holds the processor's "
                                 "virtualisation; stop it (VirtualBox, VMware) and try again");
    default:
        return err_set(e, errno, "cannot open /dev/kvm: %s", strerror(errno));
    }
}

static int check_api(int fd, struct err *e)
{
    static const struct {
        int cap;
        const char *name;
    } need[] = {{KVM_CAP_USER_MEMORY, "user memory"}, {KVM_CAP_IRQCHIP, "irqchip"},
                {KVM_CAP_IMMEDIATE_EXIT, "immediate exit"}, {KVM_CAP_IOEVENTFD, "ioeventfd"},
                {KVM_CAP_SIGNAL_MSI, "MSI"}, {KVM_CAP_DEBUGREGS, "debug registers"}};

    if (ioctl(fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
        return err_set(e, ENOTSUP, "this kernel's KVM is not version %d", KVM_API_VERSION);
    for (unsigned i = 0; i < sizeof need / sizeof need[0]; i++)
        if (ioctl(fd, KVM_CHECK_EXTENSION, need[i].cap) <= 0)
            return err_set(e, ENOTSUP, "this kernel's KVM lacks %s; Linux 4.12 or newer has it",
                           need[i].name);
    return 0;
}

/* VMX: CPUID.1:ECX[5]; SVM: CPUID.80000001:ECX[2]. A KVM without either (kvm_pvm, found in cloud
 * VMs) runs guests in user mode and needs their kernels to be made for it. */
static int check_processor(struct err *e)
{
    unsigned eax, ebx, ecx, edx;

    if ((__get_cpuid(1, &eax, &ebx, &ecx, &edx) && ecx & 1u << 5) ||
        (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && ecx & 1u << 2))
        return 0;
    return err_set(e, ENOTSUP, "this host's /dev/kvm works without VT-x or SVM (kvm_pvm) and cannot run "
                               "unmodified guests; ask for nested virtualisation where the host is configured");
}

static int kvm_probe(struct err *e)
{
    int fd = open_kvm(e), rc;

    if (fd < 0)
        return fd;
    rc = check_processor(e);
    if (rc == 0)
        rc = check_api(fd, e);
    close(fd);
    return rc;
}

static int vm_set_memory(struct accel_vm *vm, struct err *e)
{
    struct gmem_region r[2];
    unsigned n = gmem_regions(vm->p.mem, r);

    for (unsigned i = 0; i < n; i++) {
        struct kvm_userspace_memory_region m = {.slot = i,
                                                .guest_phys_addr = r[i].gpa,
                                                .memory_size = r[i].size_bytes,
                                                .userspace_addr = (uintptr_t)r[i].host};
        if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &m) < 0)
            return err_set(e, errno, "KVM refuses the guest's memory: %s", strerror(errno));
    }
    return 0;
}

/* ISA interrupts reach the PICs and the IOAPIC; IRQ 0 is the IOAPIC's pin 2, as the MADT says. */
static int vm_set_routes(struct accel_vm *vm, struct err *e)
{
    struct {
        struct kvm_irq_routing h;
        struct kvm_irq_routing_entry entry[48];
    } t = {0};

    for (uint32_t gsi = 0; gsi < 24; gsi++) {
        if (gsi < 16 && gsi != 2)
            t.entry[t.h.nr++] = (struct kvm_irq_routing_entry){
                .gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP,
                .u.irqchip = {.irqchip = gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
                              .pin = gsi % 8}};
        if (gsi != 2)
            t.entry[t.h.nr++] = (struct kvm_irq_routing_entry){
                .gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP,
                .u.irqchip = {.irqchip = KVM_IRQCHIP_IOAPIC, .pin = gsi == 0 ? 2 : gsi}};
    }
    if (ioctl(vm->fd, KVM_SET_GSI_ROUTING, &t) < 0)
        return err_set(e, errno, "KVM refuses the interrupt routes: %s", strerror(errno));
    return 0;
}

static int vm_set_chips(struct accel_vm *vm, struct err *e)
{
    const struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
    uint64_t identity = KVM_IDENTITY_MAP_GPA;

    if (ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0 ||
        ioctl(vm->fd, KVM_SET_TSS_ADDR, KVM_TSS_GPA) < 0)
        return err_set(e, errno, "KVM refuses the task segment's address: %s", strerror(errno));
    if (vm->p.irqchip_user)
        return 0;
    if (ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0) < 0)
        return err_set(e, errno, "KVM cannot create interrupt controllers: %s", strerror(errno));
    if (ioctl(vm->fd, KVM_CREATE_PIT2, &pit) < 0)
        return err_set(e, errno, "KVM cannot create a timer (PIT): %s", strerror(errno));
    return vm_set_routes(vm, e);
}

static int vm_create(struct accel_vm *vm, struct err *e)
{
    vm->kvm_fd = open_kvm(e);
    if (vm->kvm_fd < 0)
        return vm->kvm_fd;
    vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, 0);
    if (vm->fd < 0)
        return err_set(e, errno, "KVM cannot create a virtual machine: %s", strerror(errno));
    return vm_set_chips(vm, e) < 0 || vm_set_memory(vm, e) < 0 || kvm_cpuid_load(vm, e) < 0 ? -1 : 0;
}

static void kvm_vm_free(struct accel_vm *vm)
{
    if (!vm)
        return;
    if (vm->fd >= 0)
        close(vm->fd);
    if (vm->kvm_fd >= 0)
        close(vm->kvm_fd);
    pthread_rwlock_destroy(&vm->irq_lock);
    free(vm->cpuid);
    free(vm);
}

static struct accel_vm *kvm_vm_new(const struct accel_vm_params *p, struct err *e)
{
    struct accel_vm *vm;

    if (p->vcpus > KVM_MAX_VCPUS) {
        err_set(e, EINVAL, "at most %d vCPUs", KVM_MAX_VCPUS);
        return NULL;
    }
    vm = calloc(1, sizeof *vm);
    if (!vm) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    vm->p = *p;
    vm->fd = vm->kvm_fd = -1;
    pthread_rwlock_init(&vm->irq_lock, NULL);
    if (vm_create(vm, e) < 0) {
        kvm_vm_free(vm);
        return NULL;
    }
    return vm;
}

static void kvm_vcpu_free(struct accel_vcpu *v)
{
    if (!v)
        return;
    kvm_stats_close(v);
    if (v->run)
        munmap(v->run, v->run_bytes);
    if (v->fd >= 0)
        close(v->fd);
    v->vm->vcpu[v->index] = NULL;
    free(v);
}

static int vcpu_create(struct accel_vcpu *v, struct err *e)
{
    int bytes = ioctl(v->vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);

    v->fd = ioctl(v->vm->fd, KVM_CREATE_VCPU, (unsigned long)v->index);
    if (v->fd < 0)
        return err_set(e, errno, "KVM cannot create vCPU %u: %s", v->index, strerror(errno));
    v->run_bytes = (size_t)bytes;
    v->run = mmap(NULL, v->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
    if (v->run == MAP_FAILED) {
        v->run = NULL;
        return err_set(e, errno, "cannot map the state of vCPU %u: %s", v->index, strerror(errno));
    }
    if (kvm_cpuid_apply(v, e) < 0)
        return -1;
    kvm_boot_msrs(v);
    kvm_stats_open(v);
    return 0;
}

static struct accel_vcpu *kvm_vcpu_new(struct accel_vm *vm, unsigned index,
                                       const struct vcpu_host *host, struct err *e)
{
    struct accel_vcpu *v = calloc(1, sizeof *v);

    if (!v) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    v->vm = vm;
    v->index = index;
    v->host = *host;
    v->fd = -1;
    vm->vcpu[index] = v;
    if (vcpu_create(v, e) < 0) {
        kvm_vcpu_free(v);
        return NULL;
    }
    return v;
}

static unsigned kvm_vcpu_thread_init(struct accel_vcpu *v, struct accel_ioctl *out, unsigned max)
{
    static const unsigned long own[] = {KVM_RUN, KVM_SET_GUEST_DEBUG};
    static const unsigned long own_user[] = {KVM_RUN,       KVM_INTERRUPT,     KVM_NMI,
                                             KVM_GET_REGS,  KVM_SET_REGS,      KVM_GET_SREGS,
                                             KVM_SET_SREGS, KVM_SET_DEBUGREGS, KVM_SET_GUEST_DEBUG};
    const unsigned long *list = v->vm->p.irqchip_user ? own_user : own;
    unsigned n = v->vm->p.irqchip_user ? sizeof own_user / sizeof *own_user : sizeof own / sizeof *own, k = 0;

    v->tid = (int)syscall(SYS_gettid);
    for (unsigned i = 0; i < n && k < max; i++)
        out[k++] = (struct accel_ioctl){.fd = v->fd, .request = list[i]};
    /* an access that this thread serves may raise the guest's own interrupts */
    if (!v->vm->p.irqchip_user && k + 2 <= max) {
        out[k++] = (struct accel_ioctl){.fd = v->vm->fd, .request = KVM_IRQ_LINE};
        out[k++] = (struct accel_ioctl){.fd = v->vm->fd, .request = KVM_SIGNAL_MSI};
    }
    return k;
}

/* User irqchip: partner of sync_chip. */
static void take_chip(struct accel_vcpu *v)
{
    const struct irqchip *chip = &v->vm->p.chip;

    v->run->cr8 = chip->ops->cr8_get(chip->chip, v->index);
    v->run->request_interrupt_window = 0;
}

/* User irqchip: offers the next interrupt, or asks to be told when one can be taken. */
static void inject(struct accel_vcpu *v)
{
    const struct irqchip *chip = &v->vm->p.chip;
    struct kvm_run *r = v->run;
    struct kvm_interrupt irq;
    int vector;

    if (atomic_exchange(&v->nmi, false))
        ioctl(v->fd, KVM_NMI, 0);
    take_chip(v);
    if (!chip->ops->pending(chip->chip, v->index))
        return;
    if (r->ready_for_interrupt_injection && r->if_flag) {
        vector = chip->ops->ack(chip->chip, v->index);
        irq.irq = (uint32_t)vector;
        if (vector >= 0)
            ioctl(v->fd, KVM_INTERRUPT, &irq);
        r->ready_for_interrupt_injection = 0;
    }
    r->request_interrupt_window = chip->ops->pending(chip->chip, v->index);
}

static void sync_chip(struct accel_vcpu *v)
{
    const struct irqchip *chip = &v->vm->p.chip;

    if (v->run->cr8 != chip->ops->cr8_get(chip->chip, v->index))
        chip->ops->cr8_set(chip->chip, v->index, (uint8_t)v->run->cr8);
}

static void exit_fatal(struct vexit *x, const char *fmt, unsigned long long a, unsigned long long b)
{
    x->reason = EXIT_OTHER;
    x->other.fatal = true;
    snprintf(x->other.text, sizeof x->other.text, fmt, a, b);
}

static void exit_decode_rare(const struct kvm_run *r, struct vexit *x)
{
    switch (r->exit_reason) {
    case KVM_EXIT_FAIL_ENTRY:
        exit_fatal(x, "the processor refused the guest's state (hardware reason %#llx on CPU %llu)",
                   r->fail_entry.hardware_entry_failure_reason, r->fail_entry.cpu);
        break;
    case KVM_EXIT_INTERNAL_ERROR:
        exit_fatal(x, "KVM internal error %llu: it cannot emulate this instruction (data %#llx)",
                   r->internal.suberror, r->internal.ndata ? r->internal.data[0] : 0);
        break;
    case KVM_EXIT_SYSTEM_EVENT:
        exit_fatal(x, "system event %llu from KVM", r->system_event.type, 0);
        break;
    case KVM_EXIT_EXCEPTION:
        exit_fatal(x, "exception %llu outside the guest, error %#llx", r->ex.exception,
                   r->ex.error_code);
        break;
    default:
        exit_fatal(x, "KVM exit %llu that is not known here", r->exit_reason, 0);
    }
}

static void exit_decode_msr(struct kvm_run *r, struct vexit *x)
{
    x->reason = EXIT_MSR;
    x->msr.index = r->msr.index;
    x->msr.write = r->exit_reason == KVM_EXIT_X86_WRMSR;
    x->msr.val = r->msr.data;
    x->msr.fault = false;
}

EVERY_EXIT static void exit_decode(struct kvm_run *r, struct vexit *x)
{
    if (r->exit_reason == KVM_EXIT_IO) { /* before the table of jumps, which is a page of its own */
        x->reason = EXIT_IO;
        x->io.port = r->io.port;
        x->io.size = r->io.size;
        x->io.write = r->io.direction == KVM_EXIT_IO_OUT;
        x->io.count = r->io.count;
        x->io.data = (uint8_t *)r + r->io.data_offset;
        return;
    }
    switch (r->exit_reason) {
    case KVM_EXIT_MMIO:
        x->reason = EXIT_MMIO;
        x->mmio.gpa = r->mmio.phys_addr;
        x->mmio.size = (uint8_t)r->mmio.len;
        x->mmio.write = r->mmio.is_write;
        x->mmio.data = r->mmio.data;
        break;
    case KVM_EXIT_HLT:
        x->reason = EXIT_HLT;
        x->hlt.irqs_enabled = r->if_flag;
        break;
    case KVM_EXIT_IRQ_WINDOW_OPEN:
    case KVM_EXIT_SET_TPR: /* CR8 was lowered: what it held back can be taken now */
        x->reason = EXIT_IRQWIN;
        break;
    case KVM_EXIT_HYPERCALL:
        x->reason = EXIT_HYPERCALL;
        break;
    case KVM_EXIT_SHUTDOWN:
        x->reason = EXIT_SHUTDOWN;
        break;
    case KVM_EXIT_INTR:
    case KVM_EXIT_DEBUG: /* kvm_vcpu_step */
        x->reason = EXIT_SIGNAL;
        break;
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
        exit_decode_msr(r, x);
        break;
    default:
        exit_decode_rare(r, x);
    }
}

/* Runs until something is for us, and has it handled. */
EVERY_EXIT static inline __attribute__((always_inline)) void run_once(struct accel_vcpu *v, struct vexit *x)
{
    int rc = ioctl(v->fd, KVM_RUN, 0);

    x->reason = EXIT_SIGNAL;
    if (rc < 0 && errno != EINTR && errno != EAGAIN) {
        exit_fatal(x, errno == EFAULT ? "the host has no memory for a page of the guest (errno %llu)"
                                      : "KVM cannot run the guest (errno %llu)",
                   (unsigned)errno, 0);
    } else if (rc == 0) {
        exit_decode(v->run, x);
    }
    if (v->vm->p.irqchip_user)
        sync_chip(v);
    v->host.handle(v->host.opaque, x);
    if (x->reason == EXIT_MSR) {
        v->run->msr.data = x->msr.val;
        v->run->msr.error = x->msr.fault;
    }
}

EVERY_EXIT static int kvm_vcpu_run(struct accel_vcpu *v)
{
    struct vexit x; /* what a reason has is filled by its decoder; to clear all of it costs more */

    if (v->vm->p.irqchip_user)
        inject(v);
    run_once(v, &x);
    return 0;
}

/* An instruction that is for us has more than one exit. Linux before 5.16 may take an interrupt first. */
static int kvm_vcpu_step(struct accel_vcpu *v)
{
    enum { EXITS_MAX = 64 };
    struct kvm_guest_debug d = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_BLOCKIRQ};
    struct vexit x = {.reason = EXIT_IO};
    bool done = false;

    if (ioctl(v->fd, KVM_SET_GUEST_DEBUG, &d) < 0)
        return -errno;
    for (int i = 0; i < EXITS_MAX && !done && (x.reason == EXIT_IO || x.reason == EXIT_MMIO || x.reason == EXIT_MSR); i++) {
        if (v->vm->p.irqchip_user)
            take_chip(v);
        v->run->exit_reason = KVM_EXIT_UNKNOWN;
        run_once(v, &x);
        done = v->run->exit_reason == KVM_EXIT_DEBUG || x.reason == EXIT_HLT || x.reason == EXIT_SHUTDOWN;
    }
    d.control = 0;
    ioctl(v->fd, KVM_SET_GUEST_DEBUG, &d);
    return done ? 0 : x.reason == EXIT_SIGNAL ? -EAGAIN : -EIO;
}

/* Order: flag, then signal. The signal ends a KVM_RUN that has read the flag already. */
static void kvm_vcpu_kick(struct accel_vcpu *v)
{
    int tid = v->tid;

    atomic_store((_Atomic uint8_t *)&v->run->immediate_exit, 1);
    if (tid && tid != (int)syscall(SYS_gettid))
        syscall(SYS_tgkill, getpid(), tid, ACCEL_KICK_SIGNAL);
}

EVERY_EXIT static void kvm_vcpu_kick_clear(struct accel_vcpu *v)
{
    _Atomic uint8_t *flag = (_Atomic uint8_t *)&v->run->immediate_exit;

    /* mostly clear already, and a store that is ordered costs more than the look */
    if (atomic_load_explicit(flag, memory_order_relaxed))
        atomic_store(flag, 0);
}

static void kvm_vcpu_nmi(struct accel_vcpu *v)
{
    v->nmi = true;
}

static void kvm_irq_line(struct accel_vm *vm, unsigned gsi, int level)
{
    struct kvm_irq_level l = {.irq = gsi, .level = (uint32_t)level};

    pthread_rwlock_rdlock(&vm->irq_lock);
    ioctl(vm->fd, KVM_IRQ_LINE, &l);
    pthread_rwlock_unlock(&vm->irq_lock);
}

static void kvm_msi(struct accel_vm *vm, uint64_t addr, uint32_t data)
{
    struct kvm_msi m = {.address_lo = (uint32_t)addr, .address_hi = (uint32_t)(addr >> 32), .data = data};

    pthread_rwlock_rdlock(&vm->irq_lock);
    ioctl(vm->fd, KVM_SIGNAL_MSI, &m);
    pthread_rwlock_unlock(&vm->irq_lock);
}

static bool doorbell_in(const struct bus_doorbell *d, const struct bus_doorbell *set, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (set[i].addr == d->addr && set[i].eventfd == d->eventfd)
            return true;
    return false;
}

static bool doorbell_ioctl(struct accel_vm *vm, const struct bus_doorbell *d, uint32_t flags)
{
    /* length 0: a write of any width, and the quickest path in KVM */
    struct kvm_ioeventfd io = {.addr = d->addr, .fd = d->eventfd, .flags = flags};

    return ioctl(vm->fd, KVM_IOEVENTFD, &io) == 0;
}

static void kvm_doorbells_sync(struct accel_vm *vm, struct bus *mmio)
{
    struct bus_doorbell want[KVM_MAX_DOORBELLS];
    unsigned n = bus_doorbells(mmio, want, KVM_MAX_DOORBELLS), kept = 0;

    if (n > KVM_MAX_DOORBELLS)
        n = KVM_MAX_DOORBELLS;
    for (unsigned i = 0; i < vm->ndoorbells; i++) {
        if (doorbell_in(&vm->doorbell[i], want, n))
            vm->doorbell[kept++] = vm->doorbell[i];
        else
            doorbell_ioctl(vm, &vm->doorbell[i], KVM_IOEVENTFD_FLAG_DEASSIGN);
    }
    vm->ndoorbells = kept;
    for (unsigned i = 0; i < n && vm->ndoorbells < KVM_MAX_DOORBELLS; i++)
        if (!doorbell_in(&want[i], vm->doorbell, kept) && doorbell_ioctl(vm, &want[i], 0))
            vm->doorbell[vm->ndoorbells++] = want[i];
}

const struct accel_ops accel_kvm = {
    .name = "kvm",
    .has_irqchip = true,
    .probe = kvm_probe,
    .vm_new = kvm_vm_new,
    .vm_free = kvm_vm_free,
    .vcpu_new = kvm_vcpu_new,
    .vcpu_free = kvm_vcpu_free,
    .vcpu_thread_init = kvm_vcpu_thread_init,
    .vcpu_run = kvm_vcpu_run,
    .vcpu_step = kvm_vcpu_step,
    .vcpu_kick = kvm_vcpu_kick,
    .vcpu_kick_clear = kvm_vcpu_kick_clear,
    .regs_get = kvm_regs_get,
    .regs_set = kvm_regs_set,
    .vcpu_nmi = kvm_vcpu_nmi,
    .irq_line = kvm_irq_line,
    .msi = kvm_msi,
    .doorbells_sync = kvm_doorbells_sync,
    .clock_pause = kvm_clock_pause,
    .clock_resume = kvm_clock_resume,
    .vcpu_kstats = kvm_stats_read,
    .vcpu_halted = kvm_vcpu_halted,
    .tsc_khz = kvm_tsc_khz,
};
