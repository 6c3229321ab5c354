/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A VM without a machine: all of core/vm.h, with states that change when a test says so or in
 * the loop's next turn, and consoles that the test speaks on. Included by tests of the layers
 * above (fake_vm.c is #included after it, once per program).
 */
#ifndef RUCHE_TESTS_FAKE_VM_H
#define RUCHE_TESTS_FAKE_VM_H

#include "core/text.h"
#include "core/vm.h"

struct fake_vm_script {
    const char *fail_start; /* the next start fails with this */
    bool stall;             /* life-cycle jobs do not end until fake_vm_release */
    bool deaf;              /* takes nothing that is typed */
    unsigned starts;
    struct text typed;
    struct x86_regs regs;
    uint8_t mem[65536]; /* guest memory from 0 on */
    uint64_t mem_target;
    uint32_t disk_iops;
    uint64_t disk_bps;
    int tid; /* of the only thread; 0: none */
};

struct fake_vm_script *fake_vm(struct vm *vm);
void fake_vm_release(struct vm *vm);                  /* what was stalled ends now */
void fake_vm_crash(struct vm *vm, const char *why);
void fake_vm_poweroff(struct vm *vm);
void fake_vm_exit(struct vm *vm, unsigned code);
void fake_vm_say(struct vm *vm, const char *text);    /* on serial0 */
void fake_vm_device_error(struct vm *vm, const char *text);

/* An engine that is there, or (ops.probe replaced) not. */
extern const struct accel_ops fake_accel, fake_accel_absent;

#endif
