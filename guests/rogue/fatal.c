/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * fatal: attacks after which this guest is gone. Only by their names, or as end=.
 */
#include "rogue.h"

struct table_ptr {
    u16 limit;
    u64 base;
} PACKED;

void fatal_triple(void)
{
    triple_fault();
}

void fatal_halt(void)
{
    halt_forever();
}

void fatal_init(void)
{
    ipi(cpus[0].apic_id, IPI_INIT);
    delay_us(1000000);
    print("rogue: INIT to itself had no effect\n");
}

void fatal_cr3(void)
{
    cr3_set(bad_addr() & 0xfffffffff000);
    mmio64(0x1000);
}

void fatal_idt(void)
{
    struct table_ptr p = {4095, 0xd0000000};

    asm volatile("lidt %0; int3" : : "m"(p));
}

void fatal_gdt(void)
{
    struct table_ptr p = {65535, LAPIC_BASE};

    asm volatile("lgdt %0; int3" : : "m"(p));
}

void fatal_wild(void)
{
    for (;;) {
        u64 pa = rnd(4) ? rnd(ram_end_low()) : bad_addr();
        mmio64_set(phys(pa & ~7ull), rnd64());
        attempted();
    }
}

void fatal_random(void)
{
    for (u64 i = 0; i < SANDBOX_PAGES * 512; i++)
        mmio64_set(sandbox() + 8 * i, rnd64() * 0x9e3779b97f4a7c15);
    ((void (*)(void))sandbox())();
}
