/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * softrun: runs a kernel on the software CPU with the smallest machine there is: RAM, a serial
 * port that only speaks, the debug ports. No interrupt controller, no disk, no lab. For work
 * on src/core/x86.
 *
 * usage: softrun [-m MIB] [-a APPEND] [-i INITRD] [-t SECONDS] KERNEL
 */
#include "core/accel.h"
#include "core/boot.h"
#include "core/mem.h"
#include "core/vclock.h"
#include "core/vm_config.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct machine {
    struct accel_vcpu *v;
    bool ended;
    int code;
};

static void port(struct machine *m, struct vexit *x)
{
    uint8_t *p = x->io.data;

    for (uint32_t i = 0; i < x->io.count; i++, p += x->io.size) {
        if (x->io.write && (x->io.port == 0x3f8 || x->io.port == 0xe9)) {
            fputc(*p, stdout);
            fflush(stdout);
        } else if (x->io.write && x->io.port == 0xf4) {
            m->ended = true;
            m->code = *p;
            accel_soft.vcpu_kick(m->v);
        } else if (!x->io.write) {
            memset(p, 0xff, x->io.size);
            if (x->io.port == 0x3fd)
                *p = 0x60;
            else if (x->io.port > 0x3f8 && x->io.port < 0x400)
                *p = 0;
        }
    }
}

static void handle(void *opaque, struct vexit *x)
{
    struct machine *m = opaque;

    switch (x->reason) {
    case EXIT_IO:
        port(m, x);
        break;
    case EXIT_MMIO:
        if (!x->mmio.write)
            memset(x->mmio.data, 0xff, x->mmio.size);
        break;
    case EXIT_SHUTDOWN:
        fprintf(stderr, "softrun: triple fault\n");
        m->ended = true;
        m->code = 3;
        break;
    case EXIT_HLT:
        fprintf(stderr, "softrun: halted\n");
        m->ended = true;
        break;
    case EXIT_OTHER:
        fprintf(stderr, "softrun: %s\n", x->other.text);
        m->ended = true;
        break;
    default:
        break;
    }
}

static void show(struct accel_vcpu *v)
{
    struct x86_regs r;
    struct kstat k[32];
    unsigned n = accel_soft.vcpu_kstats(v, k, 32);

    accel_soft.regs_get(v, &r);
    fprintf(stderr, "rip %016lx rsp %016lx rflags %lx cr0 %lx cr2 %lx cr3 %lx cr4 %lx efer %lx\n", r.rip,
            r.gpr[4], r.rflags, r.cr0, r.cr2, r.cr3, r.cr4, r.efer);
    for (int i = 0; i < 16; i++)
        fprintf(stderr, "r%-2d %016lx%s", i, r.gpr[i], i % 4 == 3 ? "\n" : " ");
    for (unsigned i = 0; i < n; i++)
        fprintf(stderr, "%s %lu\n", k[i].name, k[i].value);
}

static void *alarm_main(void *arg)
{
    struct machine *m = arg;

    sleep((unsigned)m->code);
    fprintf(stderr, "softrun: time is up\n");
    m->ended = true;
    accel_soft.vcpu_kick(m->v);
    return NULL;
}

int main(int argc, char **argv)
{
    struct vm_config c;
    struct err e = {0};
    struct machine m = {.code = 60};
    struct vcpu_host host = {handle, &m};
    struct boot_params bp = {.vcpus = 1};
    struct x86_regs regs;
    int opt;
    pthread_t t;

    vm_config_init(&c, "softrun");
    c.memory_bytes = 256ull << 20;
    bp.cmdline = "";
    while ((opt = getopt(argc, argv, "m:a:i:t:")) != -1) {
        if (opt == 'm')
            c.memory_bytes = strtoull(optarg, NULL, 0) << 20;
        else if (opt == 'a')
            bp.cmdline = optarg;
        else if (opt == 'i')
            c.initrd = optarg;
        else if (opt == 't')
            m.code = atoi(optarg);
        else
            return 2;
    }
    if (optind >= argc)
        return 2;
    c.kernel = argv[optind];
    struct gmem *mem = gmem_new("softrun", c.memory_bytes, &e);
    struct vclock *clock = vclock_new_manual();
    struct boot_image *img = mem ? boot_open(&c, &e) : NULL;
    if (!img || boot_load(img, mem, &bp, &regs, &e) < 0) {
        fprintf(stderr, "softrun: %s\n", e.msg);
        return 1;
    }
    struct accel_vm_params p = {.name = "softrun", .mem = mem, .clock = clock, .vcpus = 1, .irqchip_user = true};
    struct accel_vm *vm = accel_soft.vm_new(&p, &e);
    m.v = vm ? accel_soft.vcpu_new(vm, 0, &host, &e) : NULL;
    if (!m.v) {
        fprintf(stderr, "softrun: %s\n", e.msg);
        return 1;
    }
    accel_soft.regs_set(m.v, &regs);
    pthread_create(&t, NULL, alarm_main, &m);
    pthread_detach(t);
    while (!m.ended) {
        accel_soft.vcpu_kick_clear(m.v);
        if (!m.ended)
            accel_soft.vcpu_run(m.v);
    }
    show(m.v);
    accel_soft.vcpu_free(m.v);
    accel_soft.vm_free(vm);
    boot_close(img);
    gmem_free(mem);
    return m.code;
}
