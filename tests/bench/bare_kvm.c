/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * bare_kvm: the smallest KVM loop there can be, as the yardstick for what our handling of an
 * exit adds. Runs a boot sector (argv[1]) in real mode; port 0x3f8 is printed, 0xf4 ends.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RAM = 1 << 20, LOAD = 0x7c00 };

static int set_up(int kvm, const char *path, struct kvm_run **run)
{
    int vm = ioctl(kvm, KVM_CREATE_VM, 0), fd = open(path, O_RDONLY), cpu;
    uint8_t *ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct kvm_userspace_memory_region m = {.memory_size = RAM, .userspace_addr = (uintptr_t)ram};
    struct kvm_regs r = {.rip = LOAD, .rflags = 2};
    struct kvm_sregs s;

    if (vm < 0 || fd < 0 || read(fd, ram + LOAD, 512) != 512)
        return -1;
    ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000ul);
    ioctl(vm, KVM_CREATE_IRQCHIP, 0);
    if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &m) < 0)
        return -1;
    cpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    *run = mmap(NULL, (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED,
                cpu, 0);
    ioctl(cpu, KVM_GET_SREGS, &s);
    s.cs.base = s.cs.selector = 0;
    ioctl(cpu, KVM_SET_SREGS, &s);
    ioctl(cpu, KVM_SET_REGS, &r);
    return cpu;
}

int main(int argc, char **argv)
{
    struct kvm_run *run;
    int kvm = open("/dev/kvm", O_RDWR), cpu = argc > 1 ? set_up(kvm, argv[1], &run) : -1;

    if (cpu < 0) {
        perror("bare_kvm");
        return 1;
    }
    for (;;) {
        if (ioctl(cpu, KVM_RUN, 0) < 0 || run->exit_reason != KVM_EXIT_IO)
            return 2;
        switch (run->io.port) {
        case 0x3f8:
            putchar(((char *)run)[run->io.data_offset]);
            break;
        case 0xf4:
            return 0;
        }
    }
}
