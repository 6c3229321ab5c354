/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * smp: see smp.h. ACPI 6.4 sections 5.2.5 (RSDP) to 5.2.12 (MADT); start-up after the SDM's
 * INIT-SIPI-SIPI, without its long delays: the machines here are virtual.
 */
#include "smp.h"
#include "apic.h"
#include "boot.h"
#include "io.h"
#include "page.h"
#include "trap.h"

struct sdt {
    char sig[4];
    u32 length;
    u8 rest[28];
} PACKED;

struct work {
    void (*fn)(void *arg);
    void *arg;
};

static struct acpi acpi;
static bool acpi_read;
static struct work work[CPUS_MAX];
static u32 running = 1;
static bool started;

extern u32 ap_next;
extern u8 ap_trampoline[], ap_trampoline_end[];
void tiny_ap_start(unsigned index);

static u32 get32(const void *p)
{
    u32 v;
    memcpy(&v, p, 4);
    return v;
}

static u64 get64(const void *p)
{
    u64 v;
    memcpy(&v, p, 8);
    return v;
}

static void add_cpu(u32 id, u32 flags)
{
    if ((flags & 1) && acpi.ncpus < CPUS_MAX)
        acpi.apic_ids[acpi.ncpus++] = id;
}

static void read_madt(const u8 *t, u32 len)
{
    acpi.ncpus = 0;
    acpi.lapic = get32(t + 36);
    for (u32 i = 44; i + 2 <= len && t[i + 1] >= 2; i += t[i + 1]) {
        if (t[i] == 0)
            add_cpu(t[i + 3], get32(t + i + 4));
        else if (t[i] == 9)
            add_cpu(get32(t + i + 4), get32(t + i + 8));
        else if (t[i] == 1 && !acpi.ioapic)
            acpi.ioapic = get32(t + i + 4);
    }
}

static void read_table(u64 addr)
{
    const u8 *t = (const u8 *)addr;
    u32 len = get32(t + 4);

    if (!memcmp(t, "APIC", 4))
        read_madt(t, len);
    else if (!memcmp(t, "MCFG", 4) && len >= 60) {
        acpi.ecam = get64(t + 44);
        acpi.ecam_bus_end = t[55];
    } else if (!memcmp(t, "FACP", 4)) {
        acpi.pm1a_cnt = (u16)get32(t + 64);
        acpi.pm_tmr = (u16)get32(t + 76);
    }
}

static u64 scan(u64 from, u64 to)
{
    for (; from + 20 <= to; from += 16)
        if (!memcmp((void *)from, "RSD PTR ", 8))
            return from;
    return 0;
}

static u64 find_rsdp(void)
{
    u64 a = boot.rsdp;

    if (a && !memcmp((void *)a, "RSD PTR ", 8))
        return a;
    a = scan(0xe0000, 0x100000);
    return a ? a : scan(0x9fc00, 0xa0000);
}

static void read_root(const u8 *rsdp)
{
    bool wide = rsdp[15] >= 2 && get64(rsdp + 24);
    u64 root = wide ? get64(rsdp + 24) : get32(rsdp + 16);
    unsigned size = wide ? 8 : 4;
    u32 len = get32((void *)(root + 4));

    for (u32 i = 36; i + size <= len; i += size)
        read_table(wide ? get64((void *)(root + i)) : get32((void *)(root + i)));
}

const struct acpi *acpi_get(void)
{
    u64 rsdp;

    if (acpi_read)
        return &acpi;
    acpi_read = true;
    acpi.ncpus = 1;
    acpi.apic_ids[0] = lapic_id();
    rsdp = find_rsdp();
    if (rsdp) {
        acpi.found = true;
        read_root((const u8 *)rsdp);
    }
    return &acpi;
}

/* Where an application processor lives: asleep until its `work` is filled and VEC_WAKE comes. */
void tiny_ap_start(unsigned index)
{
    struct work *w = &work[index];
    void (*fn)(void *arg);

    trap_init_cpu(index);
    lapic_init();
    __atomic_add_fetch(&running, 1, __ATOMIC_RELEASE);
    for (;;) {
        cli();
        fn = __atomic_load_n(&w->fn, __ATOMIC_ACQUIRE);
        if (!fn) {
            sti_hlt();
            continue;
        }
        fn(w->arg);
        __atomic_store_n(&w->fn, NULL, __ATOMIC_RELEASE);
    }
}

static bool wait_running(u32 n, u64 us)
{
    u64 until = rdtsc() + ns_to_tsc(us * 1000);

    while (__atomic_load_n(&running, __ATOMIC_ACQUIRE) < n && (s64)(until - rdtsc()) > 0)
        pause();
    return running >= n;
}

static void start_one(u32 apic)
{
    u32 n = running + 1;

    ipi(apic, IPI_INIT);
    delay_us(200);
    ipi(apic, IPI_SIPI | TRAMPOLINE >> 12);
    if (wait_running(n, 20000))
        return;
    ipi(apic, IPI_SIPI | TRAMPOLINE >> 12);
    if (!wait_running(n, 3000000))
        print("smp: the CPU with APIC ID %u did not start\n", apic);
}

void smp_forget(void)
{
    memset(work, 0, sizeof(work));
    running = ap_next = 1;
    started = false;
}

unsigned smp_start(void)
{
    const struct acpi *a = acpi_get();

    if (started)
        return running;
    started = true;
    if (a->ncpus < 2)
        return 1;
    memcpy((void *)TRAMPOLINE, ap_trampoline, (size_t)(ap_trampoline_end - ap_trampoline));
    for (unsigned i = 0; i < a->ncpus; i++)
        if (a->apic_ids[i] != this_cpu()->apic_id)
            start_one(a->apic_ids[i]);
    return running;
}

unsigned smp_running(void)
{
    return running;
}

void smp_run(unsigned index, void (*fn)(void *arg), void *arg)
{
    while (!smp_idle(index))
        pause();
    work[index].arg = arg;
    __atomic_store_n(&work[index].fn, fn, __ATOMIC_RELEASE);
    ipi(cpus[index].apic_id, IPI_FIXED | VEC_WAKE);
}

bool smp_idle(unsigned index)
{
    return !__atomic_load_n(&work[index].fn, __ATOMIC_ACQUIRE);
}

void smp_wait(void)
{
    for (unsigned i = 1; i < running; i++)
        while (!smp_idle(i))
            pause();
}
