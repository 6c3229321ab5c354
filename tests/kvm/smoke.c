// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * smoke: is there a /dev/kvm here that really runs a guest?  Makes a VM with one vCPU, lets it add
 * two numbers in real mode and write the digit to a port, and expects HLT after it; again and
 * again, as often as the argument says (default 1).  It needs nothing of ours, so when it fails
 * the machine is at fault and not the program.  Prints "ok"/"not ok"/"skip" lines for tests/run.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define GUEST_ADDR 0x1000
#define GUEST_BYTES 0x1000

static const uint8_t code[] = {
    0xba, 0xe9, 0x00,           // mov $0xe9, %dx
    0x00, 0xd8,                 // add %bl, %al
    0x04, '0',                  // add $'0', %al
    0xee,                       // out %al, (%dx)
    0xf4,                       // hlt
};

struct machine {
    int vm, vcpu;
    uint8_t *ram;
    struct kvm_run *run;
    size_t run_bytes;
};

static int fail(const char *what)
{
    printf("not ok %s: %s\n", what, strerror(errno));
    return -1;
}

static int machine_init(struct machine *m, int kvm)
{
    m->vm = ioctl(kvm, KVM_CREATE_VM, 0);
    if (m->vm < 0)
        return fail("KVM_CREATE_VM");
    m->ram = mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (m->ram == MAP_FAILED)
        return fail("mmap");
    memcpy(m->ram, code, sizeof(code));
    struct kvm_userspace_memory_region region = {
        .guest_phys_addr = GUEST_ADDR,
        .memory_size = GUEST_BYTES,
        .userspace_addr = (uintptr_t)m->ram,
    };
    if (ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
        return fail("KVM_SET_USER_MEMORY_REGION");
    m->vcpu = ioctl(m->vm, KVM_CREATE_VCPU, 0);
    if (m->vcpu < 0)
        return fail("KVM_CREATE_VCPU");
    m->run_bytes = (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    m->run = mmap(NULL, m->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->vcpu, 0);
    if (m->run == MAP_FAILED)
        return fail("mmap of kvm_run");
    return 0;
}

static int machine_set_registers(struct machine *m)
{
    struct kvm_sregs sregs;
    struct kvm_regs regs = {.rip = GUEST_ADDR, .rax = 3, .rbx = 4, .rflags = 2};

    if (ioctl(m->vcpu, KVM_GET_SREGS, &sregs) < 0)
        return fail("KVM_GET_SREGS");
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    if (ioctl(m->vcpu, KVM_SET_SREGS, &sregs) < 0 || ioctl(m->vcpu, KVM_SET_REGS, &regs) < 0)
        return fail("setting registers");
    return 0;
}

static int machine_run(struct machine *m)
{
    bool seen = false;

    for (;;) {
        if (ioctl(m->vcpu, KVM_RUN, 0) < 0)
            return fail("KVM_RUN");
        if (m->run->exit_reason == KVM_EXIT_IO && m->run->io.port == 0xe9) {
            seen = *((uint8_t *)m->run + m->run->io.data_offset) == '7';
            continue;
        }
        if (m->run->exit_reason == KVM_EXIT_HLT && seen)
            return 0;
        printf("not ok exit %u, 7 seen: %d\n", m->run->exit_reason, seen);
        return -1;
    }
}

static void machine_fini(struct machine *m)
{
    munmap(m->run, m->run_bytes);
    close(m->vcpu);
    munmap(m->ram, GUEST_BYTES);
    close(m->vm);
}

static int one_round(int kvm)
{
    struct machine m;

    if (machine_init(&m, kvm) < 0 || machine_set_registers(&m) < 0 || machine_run(&m) < 0)
        return -1;
    machine_fini(&m);
    return 0;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 1;
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    if (kvm < 0) {
        printf("skip kvm_runs_a_guest - cannot open /dev/kvm: %s\n", strerror(errno));
        return 0;
    }
    for (int i = 0; i < rounds; i++) {
        if (one_round(kvm) < 0)
            return 1;
    }
    printf("ok kvm_runs_a_guest\n");
    return 0;
}
