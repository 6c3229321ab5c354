/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * x86_rig: a software vCPU over 16 MiB of RAM for unit tests: no devices, no time. Code starts
 * at RIG_CODE in 64-bit mode, CPL 0, the first 64 MiB mapped 1:1 by 4 KiB pages that tests may
 * change (rig_pte). HLT ends a run.
 */
#ifndef RUCHE_TESTS_X86_RIG_H
#define RUCHE_TESTS_X86_RIG_H

#include "core/accel.h"
#include "core/mem.h"
#include "core/vclock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    RIG_RAM = 16 << 20, RIG_PML4 = 0x1000, RIG_PDPT = 0x2000, RIG_PD = 0x3000, RIG_PT = 0x4000, /* 8 of them */
    RIG_GDT = 0x10000, RIG_IDT = 0x11000, RIG_TSS = 0x12000, RIG_HANDLERS = 0x13000, RIG_LOG = 0x14000,
    RIG_STACK = 0x80000, RIG_CODE = 0x100000, RIG_DATA = 0x200000,
};

struct rig {
    struct gmem *mem;
    struct vclock *clock;
    struct accel_vm *vm;
    struct accel_vcpu *v[2];
    uint8_t *ram;
    enum exit_reason last;
    unsigned io_count;
    uint32_t io_value; /* last value written to a port */
    void (*on_io)(struct rig *r, struct vexit *x);
};

static void rig_handle(void *opaque, struct vexit *x)
{
    struct rig *r = opaque;

    if (x->reason == EXIT_IO) {
        r->io_count++;
        if (x->io.write)
            memcpy(&r->io_value, x->io.data, x->io.size);
        else
            memset(x->io.data, 0xa5, x->io.size);
        if (r->on_io)
            r->on_io(r, x);
    } else if (x->reason == EXIT_MMIO) {
        if (!x->mmio.write)
            memset(x->mmio.data, 0xff, x->mmio.size);
    } else {
        r->last = x->reason;
    }
}

static inline uint64_t *rig_pte(struct rig *r, uint64_t va)
{
    return (uint64_t *)(r->ram + RIG_PT) + (va >> 12);
}

/* Every vector leads to a handler that stores vector and error code at RIG_LOG and halts. */
static inline void rig_handlers(struct rig *r)
{
    for (unsigned v = 0; v < 32; v++) {
        uint64_t at = RIG_HANDLERS + v * 32, *gate = (uint64_t *)(r->ram + RIG_IDT + v * 16);
        bool err = v == 8 || (v >= 10 && v <= 14) || v == 17;
        /* movl $v, RIG_LOG; [pop RIG_LOG+8]; hlt */
        uint8_t code[] = {0xc7, 0x04, 0x25, 0, 0x40, 1, 0, (uint8_t)v, 0, 0, 0,
                          0x8f, 0x04, 0x25, 8, 0x40, 1, 0, 0xf4};

        if (!err)
            memset(code + 11, 0x90, 7);
        memcpy(r->ram + at, code, sizeof code);
        gate[0] = (at & 0xffff) | 8ull << 16 | 0x8eull << 40 | (at >> 16) << 48;
        gate[1] = 0;
    }
}

static inline void rig_new(struct rig *r, unsigned vcpus)
{
    struct err e;
    struct vcpu_host host = {rig_handle, r};
    struct accel_vm_params p = {.name = "rig", .vcpus = vcpus};

    memset(r, 0, sizeof *r);
    p.mem = r->mem = gmem_new("rig", RIG_RAM, &e);
    p.clock = r->clock = vclock_new_manual();
    assert_non_null(r->mem);
    r->vm = accel_soft.vm_new(&p, &e);
    assert_non_null(r->vm);
    for (unsigned i = 0; i < vcpus; i++)
        assert_non_null(r->v[i] = accel_soft.vcpu_new(r->vm, i, &host, &e));
    r->ram = gmem_ptr(r->mem, 0, RIG_RAM);
    *(uint64_t *)(r->ram + RIG_PML4) = RIG_PDPT | 7;
    *(uint64_t *)(r->ram + RIG_PDPT) = RIG_PD | 7;
    for (unsigned i = 0; i < 8; i++)
        ((uint64_t *)(r->ram + RIG_PD))[i] = (RIG_PT + i * 4096u) | 7;
    for (unsigned i = 0; i < 8 * 512; i++)
        *rig_pte(r, i * 4096ull) = i * 4096ull | 7;
    ((uint64_t *)(r->ram + RIG_GDT))[1] = 0x00af9b000000ffffull;
    ((uint64_t *)(r->ram + RIG_GDT))[2] = 0x00cf93000000ffffull;
    ((uint64_t *)(r->ram + RIG_GDT))[3] = 0x00affb000000ffffull; /* user code, data */
    ((uint64_t *)(r->ram + RIG_GDT))[4] = 0x00cff3000000ffffull;
    rig_handlers(r);
}

static inline void rig_free(struct rig *r)
{
    for (unsigned i = 0; i < 2; i++)
        accel_soft.vcpu_free(r->v[i]);
    accel_soft.vm_free(r->vm);
    vclock_free(r->clock);
    gmem_free(r->mem);
}

static inline struct x86_regs rig_regs(void)
{
    struct x86_regs r;

    x86_regs_reset(&r);
    r.cr0 = 0x80010033;
    r.cr3 = RIG_PML4;
    r.cr4 = 0x620;
    r.efer = 0xd01;
    r.rip = RIG_CODE;
    r.gpr[X86_RSP] = RIG_STACK;
    r.gdt = (struct x86_table){RIG_GDT, 0xff};
    r.idt = (struct x86_table){RIG_IDT, 0xfff};
    for (int i = 0; i <= X86_GS; i++)
        r.seg[i] = (struct x86_seg){.sel = 0x10, .limit = 0xffffffff, .attr = 0xc093};
    r.seg[X86_CS] = (struct x86_seg){.sel = 8, .limit = 0xffffffff, .attr = 0xa09b};
    return r;
}

/* Puts code at RIG_CODE. */
static inline void rig_code(struct rig *r, const void *code, size_t n)
{
    assert_int_equal(gmem_write(r->mem, RIG_CODE, code, n), 0);
}

/* Runs vCPU 0 from `regs` until it halts; the registers then. */
static inline void rig_run(struct rig *r, struct x86_regs *regs)
{
    accel_soft.regs_set(r->v[0], regs);
    accel_soft.vcpu_kick_clear(r->v[0]);
    r->last = EXIT_REASONS;
    while (r->last == EXIT_REASONS)
        accel_soft.vcpu_run(r->v[0]);
    accel_soft.regs_get(r->v[0], regs);
}

static inline unsigned rig_vector(const struct rig *r)
{
    return *(uint32_t *)(r->ram + RIG_LOG);
}

static inline unsigned rig_error(const struct rig *r)
{
    return *(uint32_t *)(r->ram + RIG_LOG + 8);
}

#endif
