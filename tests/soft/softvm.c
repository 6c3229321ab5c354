/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * softvm: runs one guest with the real machine on the software CPU (or, with -k, on KVM) and
 * shows its serial port. For work on src/core/x86 and for scripts that measure it.
 *
 * usage: softvm [-k] [-c VCPUS] [-m MIB] [-a APPEND] [-i INITRD] [-d DISK] [-t SECONDS] [-u TEXT]
 *               [-s TEXT] KERNEL
 *   -u  end when the console has shown TEXT; -s type TEXT once the console shows "# "
 * Exit status: 0 text seen or guest ended by itself, 1 not started, 3 crashed, 4 time is up.
 */
#include "core/accel.h"
#include "core/board.h"
#include "core/clock.h"
#include "core/console.h"
#include "core/loop.h"
#include "core/vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void on_event(void *opaque, struct vm *vm, const struct vm_event *ev)
{
    (void)opaque;
    (void)vm;
    if (ev->text[0])
        fprintf(stderr, "softvm: %s\n", ev->text);
}

static void show_stats(struct vm *vm, unsigned vcpus)
{
    struct kstat k[32];
    struct rusage ru;
    unsigned n;

    for (unsigned i = 0; i < vcpus; i++) {
        n = vm_kstats(vm, i, k, 32);
        fprintf(stderr, "cpu%u", i);
        for (unsigned j = 0; j < n; j++)
            fprintf(stderr, " %s %lu", k[j].name, k[j].value);
        fputc('\n', stderr);
    }
    getrusage(RUSAGE_SELF, &ru);
    fprintf(stderr, "cpu seconds: user %ld.%03ld system %ld.%03ld\n", ru.ru_utime.tv_sec,
            ru.ru_utime.tv_usec / 1000, ru.ru_stime.tv_sec, ru.ru_stime.tv_usec / 1000);
}

static void show_regs(struct vm *vm)
{
    struct x86_regs r;
    struct err e;

    if (vm_regs(vm, 0, &r, &e) < 0)
        return;
    fprintf(stderr, "rip %04x:%016lx rsp %016lx rflags %lx cr0 %lx cr2 %lx cr3 %lx cr4 %lx efer %lx\n",
            r.seg[X86_CS].sel, r.rip, r.gpr[4], r.rflags, r.cr0, r.cr2, r.cr3, r.cr4, r.efer);
    for (int i = 0; i < 16; i++)
        fprintf(stderr, "r%-2d %016lx%s", i, r.gpr[i], i % 4 == 3 ? "\n" : " ");
}

struct watch {
    char tail[65536];
    size_t n;
};

static bool seen(struct watch *w, const char *buf, size_t n, const char *text)
{
    if (w->n + n > sizeof w->tail - 1) {
        size_t keep = 1024 < w->n ? 1024 : w->n;

        memmove(w->tail, w->tail + w->n - keep, keep);
        w->n = keep;
    }
    memcpy(w->tail + w->n, buf, n);
    w->n += n;
    w->tail[w->n] = 0;
    return text && strstr(w->tail, text);
}

int main(int argc, char **argv)
{
    struct vm_config c;
    struct vm_listener l = {on_event, NULL};
    const struct accel_ops *accel = &accel_soft;
    struct err e = {0};
    struct loop *loop = loop_new(&e);
    const char *until = NULL, *type = NULL;
    static struct watch w;
    uint64_t pos = 0, begin, limit = 60;
    int opt, rc = 4;
    bool typed = false;

    vm_config_init(&c, "softvm");
    c.memory_bytes = 256ull << 20;
    while ((opt = getopt(argc, argv, "kc:m:a:i:d:t:u:s:")) != -1) {
        switch (opt) {
        case 'k': accel = &accel_kvm; break;
        case 'c': c.vcpus = (unsigned)atoi(optarg); break;
        case 'm': c.memory_bytes = strtoull(optarg, NULL, 0) << 20; break;
        case 'a': free(c.append); c.append = strdup(optarg); break;
        case 'i': c.initrd = optarg; break;
        case 'd':
            snprintf(c.disks[c.ndisks].name, sizeof c.disks[0].name, "vd%c", 'a' + (char)c.ndisks);
            c.disks[c.ndisks].path = optarg;
            c.disks[c.ndisks++].mode = DISK_OVERLAY;
            break;
        case 't': limit = strtoull(optarg, NULL, 0); break;
        case 'u': until = optarg; break;
        case 's': type = optarg; break;
        default: return 2;
        }
    }
    if (optind >= argc)
        return 2;
    c.kernel = argv[optind];
    struct vm *vm = vm_new(&c, accel, &pc_board, loop, &l, &e);
    if (!vm || vm_start(vm, &e) < 0) {
        fprintf(stderr, "softvm: %s\n", e.msg);
        return 1;
    }
    begin = clock_mono_ns();
    while (clock_mono_ns() - begin < limit * NS_PER_S) {
        char buf[4096];
        size_t n;

        loop_step(loop, 5);
        while ((n = console_read(vm_console(vm, CONSOLE_SERIAL0), &pos, buf, sizeof buf, NULL)) > 0) {
            fwrite(buf, 1, n, stdout);
            fflush(stdout);
            if (type && !typed && seen(&w, buf, n, "# ")) {
                vm_console_send(vm, CONSOLE_SERIAL0, type, strlen(type));
                vm_console_send(vm, CONSOLE_SERIAL0, "\n", 1);
                typed = true;
                w.n = 0;
            } else if (until && seen(&w, buf, n, until)) {
                rc = 0;
            }
        }
        if (rc == 0)
            break;
        if (vm_state(vm) == VM_CRASHED || vm_state(vm) == VM_STOPPED) {
            rc = vm_state(vm) == VM_CRASHED ? 3 : 0;
            break;
        }
    }
    fprintf(stderr, "\nsoftvm: %.3f s, status %d\n", (double)(clock_mono_ns() - begin) / 1e9, rc);
    if (vm_state(vm) == VM_RUNNING) {
        vm_pause(vm, &e);
        for (int i = 0; i < 200 && vm_state(vm) == VM_RUNNING; i++)
            loop_step(loop, 10);
    }
    show_stats(vm, c.vcpus);
    show_regs(vm);
    vm_free(vm);
    loop_free(loop);
    return rc;
}
