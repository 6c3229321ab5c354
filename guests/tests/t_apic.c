/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * t_apic: local APIC registers, self IPIs, x2APIC mode, PIC, IOAPIC.
 */
#include "selftest.h"

enum { VEC_T = 0x71, VEC_IO = 0x72 };

static volatile u32 *count(unsigned vec)
{
    return &this_cpu()->irqs[vec];
}

static bool taken(unsigned vec, u32 before)
{
    sti();
    for (unsigned i = 0; i < 1000000 && *count(vec) == before; i++)
        pause();
    cli();
    return *count(vec) == before + 1;
}

static void registers(void)
{
    check("apic.enabled_and_boot_cpu", (rdmsr(0x1b) & 0x900) == 0x900);
    check_eq("apic.base", rdmsr(0x1b) & 0xfffff000, LAPIC_BASE);
    check("apic.version", (lapic_read(LAPIC_VERSION) & 0xf0) == 0x10 && (lapic_read(LAPIC_VERSION) >> 16 & 255) >= 3);
    check_eq("apic.spurious", lapic_read(LAPIC_SVR) & 0x1ff, 0x100 | VEC_SPURIOUS);
    lapic_write(LAPIC_TPR, 0x30);
    check_eq("apic.tpr_is_cr8", cr8(), 3);
    lapic_write(LAPIC_TPR, 0);
    lapic_write(LAPIC_LVT_ERROR, 0x10000 | 0x55);
    check_eq("apic.lvt_kept", lapic_read(LAPIC_LVT_ERROR), 0x10055);
}

static void self(void)
{
    u32 before = *count(VEC_T);

    ipi(0, IPI_SELF | VEC_T);
    check("apic.self_ipi", taken(VEC_T, before));
    before++;
    ipi(cpus[0].apic_id, VEC_T);
    check("apic.physical_ipi", taken(VEC_T, before));
    before++;
    ipi(0, IPI_ALL | VEC_T);
    check("apic.ipi_to_all", taken(VEC_T, before));
    before++;
    ipi(0, IPI_SELF | VEC_T);
    ipi(0, IPI_SELF | VEC_T);
    check("apic.one_pending_at_most", taken(VEC_T, before));
    check_eq("apic.isr_clear_after_eoi", lapic_read(LAPIC_ISR + VEC_T / 32 * 16), 0);
}

static void disabled(void)
{
    u32 before = *count(VEC_T);

    if (x2apic_on())
        return;
    lapic_write(LAPIC_SVR, VEC_SPURIOUS);
    check("apic.software_off_masks_lvt", lapic_read(LAPIC_LVT_TIMER) & 0x10000);
    lapic_write(LAPIC_SVR, 0x100 | VEC_SPURIOUS);
    lapic_init();
    ipi(0, IPI_SELF | VEC_T);
    check("apic.on_again", taken(VEC_T, before));
}

static void x2apic(void)
{
    u64 base = rdmsr(0x1b);
    u32 before = *count(VEC_T);

    if (!(cpuid(1, 0).c & 1 << 21)) {
        skip("apic.x2apic", "not there");
        return;
    }
    expect("apic.x2_msr_in_xapic_mode", TRY("rdmsr", : "c"(0x802) : "rax", "rdx", "memory"), VEC_GP, 0);
    wrmsr(0x1b, base | 0x400);
    check("apic.x2apic_mode", x2apic_on());
    check_eq("apic.x2_id", lapic_read(LAPIC_ID), cpus[0].apic_id);
    lapic_write(LAPIC_SVR, 0x100 | VEC_SPURIOUS);
    ipi(cpus[0].apic_id, VEC_T);
    check("apic.x2_ipi", taken(VEC_T, before));
    wrmsr(0x83f, VEC_T);
    check("apic.x2_self_ipi", taken(VEC_T, before + 1));
    expect("apic.x2_reserved_register", TRY("rdmsr", : "c"(0x805) : "rax", "rdx", "memory"), VEC_GP, 0);
    expect("apic.x2_write_of_read_only", TRY("wrmsr", : "c"(0x802), "a"(0), "d"(0) : "memory"), VEC_GP, 0);
    expect("apic.x2_eoi_not_zero", TRY("wrmsr", : "c"(0x80b), "a"(1), "d"(0) : "memory"), VEC_GP, 0);
    expect("apic.x2_to_xapic_directly", TRY("wrmsr", : "c"(0x1b), "a"((u32)base), "d"(0) : "memory"), VEC_GP, 0);
    wrmsr(0x1b, base & ~0x800ull);
    check("apic.off_is_told_by_cpuid", !(cpuid(1, 0).d & 1 << 9));
    wrmsr(0x1b, base);
    check("apic.on_is_told_by_cpuid", cpuid(1, 0).d & 1 << 9);
    lapic_init();
    check("apic.xapic_again", !x2apic_on());
}

static void ioapic(void)
{
    u64 base = acpi_get()->ioapic ? acpi_get()->ioapic : IOAPIC_BASE;
    u32 version, before = *count(VEC_IO), old;

    mmio32_set(base, 1);
    version = mmio32(base + 16);
    check("apic.io_version", (version & 255) >= 0x11 && (version >> 16 & 255) >= 23);
    mmio32_set(base, 0x10 + 2 * 2); /* GSI 2: where the MADT puts the PIT */
    old = mmio32(base + 16);
    mmio32_set(base, 0x15);
    mmio32_set(base + 16, cpus[0].apic_id << 24);
    mmio32_set(base, 0x14);
    mmio32_set(base + 16, VEC_IO);
    check_eq("apic.io_entry_kept", mmio32(base + 16) & 0x1efff, VEC_IO);
    pit_start(1000);
    pic_mask(0, true);
    sti();
    for (u64 until = rdtsc() + tsc_hz(); *count(VEC_IO) < before + 5 && (s64)(until - rdtsc()) > 0;)
        pause();
    cli();
    check("apic.io_delivers_pit", *count(VEC_IO) >= before + 5);
    mmio32_set(base, 0x14);
    mmio32_set(base + 16, old | 0x10000);
    pit_stop();
}

static void pic(void)
{
    u32 before = *count(VEC_PIC);

    pit_start(1000);
    sti();
    for (u64 until = rdtsc() + tsc_hz(); *count(VEC_PIC) < before + 5 && (s64)(until - rdtsc()) > 0;)
        pause();
    cli();
    check("apic.pic_delivers_pit", *count(VEC_PIC) >= before + 5);
    pit_stop();
    check_eq("apic.pic_mask_reads_back", inb(0x21) & 1, 1);
    outb(0x20, 0x0a);
    for (unsigned i = 0; i < 10; i++)
        inb(0x20);
    outb(0x20, 0x0b);
    check_eq("apic.pic_isr_empty", inb(0x20), 0);
}

void test_apic(void)
{
    registers();
    self();
    disabled();
    x2apic();
    pic();
    ioapic();
}
