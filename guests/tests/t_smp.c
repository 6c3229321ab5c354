/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * t_smp: other processors: start, atomic operations against each other, memory order, TLB
 * shoot-down, cross-modified code, IPIs, NMI, INIT. Skipped on one CPU.
 */
#include "selftest.h"

enum { ROUNDS = 100000, VEC_SHOOT = 0x73 };

static struct {
    u64 locked, xadd, plain_ok;
    u64 across[2]; /* for locked operations that cross a line */
    u64 turn;
    u64 pair[2] __attribute__((aligned(16)));
} shared __attribute__((aligned(128)));

static unsigned ncpus;

static void on_all(void (*fn)(void *), void *arg)
{
    for (unsigned i = 1; i < ncpus; i++)
        smp_run(i, fn, arg);
    fn(arg);
    smp_wait();
}

static void add(void *arg)
{
    u64 *line_split = (u64 *)((u64)arg + 60), one;
    u64 *page_split = (u64 *)((u64)arg + 4092);

    for (unsigned i = 0; i < ROUNDS; i++) {
        asm volatile("lock incq %0" : "+m"(shared.locked) : : "cc");
        one = 1;
        asm volatile("lock xaddq %1, %0" : "+m"(shared.xadd), "+r"(one) : : "cc");
        asm volatile("lock incq %0" : "+m"(*line_split) : : "cc");
        if (!(i & 15))
            asm volatile("lock incq %0" : "+m"(*page_split) : : "cc");
    }
}

static void add16(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < ROUNDS / 4; i++) {
        u64 a = shared.pair[0], d = shared.pair[1];
        bool ok;
        do
            asm volatile("lock cmpxchg16b %0; setz %1" : "+m"(shared.pair), "=q"(ok), "+a"(a), "+d"(d)
                         : "b"(a + 1), "c"(d + 2) : "cc", "memory");
        while (!ok);
    }
}

static void xchg_lock(void *arg)
{
    static struct lock l;

    (void)arg;
    for (unsigned i = 0; i < ROUNDS / 4; i++) {
        lock_take(&l);
        shared.plain_ok = shared.plain_ok + 1;
        lock_drop(&l);
    }
}

static void atomics(void)
{
    u64 area = (u64)pages_alloc(2), n = (u64)ncpus * ROUNDS;

    memset(&shared, 0, sizeof(shared));
    on_all(add, (void *)area);
    check_eq("smp.lock_inc", shared.locked, n);
    check_eq("smp.lock_xadd", shared.xadd, n);
    check_eq("smp.lock_across_lines", *(u64 *)(area + 60), n);
    check_eq("smp.lock_across_pages", *(u64 *)(area + 4092), n / 16);
    on_all(xchg_lock, NULL);
    check_eq("smp.xchg_lock", shared.plain_ok, n / 4);
    if (cpuid(1, 0).c & 1 << 13) {
        on_all(add16, NULL);
        check("smp.cmpxchg16b", shared.pair[0] == n / 4 && shared.pair[1] == n / 2);
    }
}

/* Message passing (no reordering of stores, of loads) and store buffering with MFENCE. */
static struct {
    u64 x __attribute__((aligned(64))), y __attribute__((aligned(64)));
    u64 r[2] __attribute__((aligned(64)));
    u64 go __attribute__((aligned(64))), done __attribute__((aligned(64)));
} lit;

static void litmus_side(unsigned side, u64 round)
{
    volatile u64 *mine = side ? &lit.y : &lit.x, *other = side ? &lit.x : &lit.y;

    while (__atomic_load_n(&lit.go, __ATOMIC_ACQUIRE) < round)
        pause();
    *mine = round;
    asm volatile("mfence" : : : "memory");
    lit.r[side] = *other;
    __atomic_add_fetch(&lit.done, 1, __ATOMIC_SEQ_CST);
}

static void store_buffer_partner(void *arg)
{
    (void)arg;
    for (u64 i = 1; i <= 20000; i++)
        litmus_side(1, i);
}

static void message_partner(void *arg)
{
    (void)arg;
    for (u64 i = 1; i <= 200000; i++) {
        *(volatile u64 *)&lit.x = i;
        *(volatile u64 *)&lit.y = i;
    }
}

static void memory_order(void)
{
    u64 bad = 0, y, x;

    memset(&lit, 0, sizeof(lit));
    smp_run(1, message_partner, NULL);
    do {
        y = *(volatile u64 *)&lit.y;
        x = *(volatile u64 *)&lit.x;
        bad += x < y;
    } while (y < 200000);
    smp_wait();
    check_eq("smp.message_passing", bad, 0);
    memset(&lit, 0, sizeof(lit));
    bad = 0;
    smp_run(1, store_buffer_partner, NULL);
    for (u64 i = 1; i <= 20000; i++) {
        __atomic_store_n(&lit.go, i, __ATOMIC_RELEASE);
        litmus_side(0, i);
        while (__atomic_load_n(&lit.done, __ATOMIC_ACQUIRE) < 2 * i)
            pause();
        bad += lit.r[0] < i && lit.r[1] < i;
    }
    smp_wait();
    check_eq("smp.store_buffer_with_mfence", bad, 0);
}

static u64 shoot_va;
static volatile u64 shot, reader_stop, reader_loops, reader_old_after_ack;
static volatile u64 valid_from; /* values below this must not be seen any more */

static void shoot(struct regs *r)
{
    (void)r;
    invlpg(shoot_va);
    shot = shot + 1;
}

static void reader(void *arg)
{
    (void)arg;
    sti();
    while (!reader_stop) {
        u64 from = valid_from, v = mmio64(shoot_va);
        if (v < from)
            reader_old_after_ack = reader_old_after_ack + 1;
        reader_loops = reader_loops + 1;
    }
    cli();
}

static void shootdown(void)
{
    shoot_va = win_map(2, PTE_P | PTE_W);
    irq_handler(VEC_SHOOT, shoot);
    shot = reader_stop = reader_loops = reader_old_after_ack = valid_from = 0;
    win_page(3);
    smp_run(1, reader, NULL);
    for (u64 i = 1; i <= 2000; i++) {
        unsigned page = 2 + (i & 1);
        mmio64_set(win_page(page), i);
        *(volatile u64 *)win_pte(2) = win_page(page) | PTE_P | PTE_W;
        ipi(cpus[1].apic_id, VEC_SHOOT);
        while (shot < i)
            pause();
        valid_from = i;
    }
    reader_stop = 1;
    smp_wait();
    check("smp.shootdown_reader_ran", reader_loops > 0);
    check_eq("smp.shootdown", reader_old_after_ack, 0);
    invlpg(shoot_va);
}

/* One CPU patches, the other executes after a serializing instruction. */
static volatile u64 patch_round, patch_seen, patch_bad;

static void executor(void *arg)
{
    u64 va = (u64)arg;

    for (u64 i = 1; i <= 5000; i++) {
        while (patch_round < i)
            pause();
        asm volatile("cpuid" : : "a"(0), "c"(0) : "rbx", "rdx", "memory");
        patch_bad += ((u32(*)(void))va)() != i;
        patch_seen = i;
    }
}

static void cross_modify(void)
{
    u64 va = win_map(2, PTE_P | PTE_W);

    mmio8_set(va, 0xb8);
    mmio8_set(va + 5, 0xc3);
    patch_round = patch_seen = patch_bad = 0;
    smp_run(1, executor, (void *)va);
    for (u64 i = 1; i <= 5000; i++) {
        asm volatile("movl %0, (%1)" : : "r"((u32)i), "r"(va + 1) : "memory");
        patch_round = i;
        while (patch_seen < i)
            pause();
    }
    smp_wait();
    check_eq("smp.cross_modified_code", patch_bad, 0);
}

static void ping(void *arg)
{
    (void)arg;
}

static void signals(void)
{
    u64 t0 = rdtsc();
    volatile u32 *nmis = &cpus[1].irqs[2], *wakes = &cpus[1].irqs[VEC_WAKE];
    u32 n0 = *nmis, w0 = *wakes;

    for (unsigned i = 0; i < 1000; i++) {
        smp_run(1, ping, NULL);
        smp_wait();
    }
    check("smp.wake_from_hlt", *wakes > w0 && rdtsc() - t0 < 30 * tsc_hz());
    ipi(cpus[1].apic_id, IPI_NMI);
    for (u64 until = rdtsc() + tsc_hz(); *nmis == n0 && (s64)(until - rdtsc()) > 0;)
        pause();
    check_eq("smp.nmi", *nmis - n0, 1);
    smp_run(1, ping, NULL);
    smp_wait();
    check("smp.alive_after_nmi", true);
}

static volatile bool spinning;

static void spin(void *arg)
{
    (void)arg;
    cli();
    spinning = true;
    for (;;)
        pause();
}

/* INIT ends whatever a CPU does, interrupts masked or not; it can be started again. */
static void init(void)
{
    spinning = false;
    smp_run(1, spin, NULL);
    while (!spinning)
        pause();
    for (unsigned i = 1; i < ncpus; i++)
        ipi(cpus[i].apic_id, IPI_INIT);
    delay_us(1000);
    smp_forget();
    check_eq("smp.init_and_start_again", smp_start(), ncpus);
    smp_run(1, ping, NULL);
    smp_wait();
    check("smp.works_again", true);
}

void test_smp(void)
{
    ncpus = smp_start();
    check_eq("smp.all_started", ncpus, acpi_get()->ncpus);
    if (ncpus < 2) {
        skip("smp", "one CPU");
        return;
    }
    atomics();
    memory_order();
    shootdown();
    cross_modify();
    signals();
    init();
}
