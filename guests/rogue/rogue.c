/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * rogue: see rogue.h.
 *
 * Options: attack=NAME[,NAME...], all or list (all)  seed=N (1; 0: another, and another attack first, each time)
 *   each=MS (500)  rounds=N (instead of a time: the same attempts every time)  loop[=N] (again, with the next seed)
 *   end=halt|triple|hltoff|poweroff|exit (halt)
 * A disk given to this guest is written to: give it a copy.
 */
#include "rogue.h"

static struct {
    u64 state, seed, each_tsc, rounds;
    u64 until, left; /* of the attack that runs */
    u64 tried;
    unsigned first; /* attack of those chosen */
    u64 sandbox;
} cfg;

static const struct attack attacks[] = {
    {"wild", "reads and writes all over physical memory", wild, false},
    {"noncanonical", "accesses and jumps beyond canonical addresses", noncanonical, false},
    {"straddle", "accesses across the borders of RAM and device memory", straddle, false},
    {"mmiocode", "execution in device memory", mmiocode, false},
    {"mmiostack", "stacks in device memory", mmiostack, false},
    {"movs", "long string copies from device memory to device memory", movs, false},
    {"paging", "garbage page tables, in RAM and out of it", paging, false},
    {"descriptors", "garbage segment descriptors", descriptors, false},
    {"ports", "every I/O port, every width, random values", ports, false},
    {"strings", "INS and OUTS with bad addresses and long counts", strings, false},
    {"timers", "garbage to PIT, PIC, RTC, PM timer", timers, false},
    {"uart", "garbage to the serial port's registers", uart, false},
    {"serialflood", "terminal escapes and junk as fast as it goes", serialflood, false},
    {"debugport", "junk to port 0xe9", debugport, false},
    {"lapic", "garbage to the local APIC", lapic, false},
    {"apicbase", "moves the local APIC, changes its mode", apicbase, false},
    {"ioapic", "garbage to the I/O APIC", ioapic, false},
    {"irqstorm", "timers at their highest rates", irqstorm, false},
    {"ipistorm", "IPIs of all vectors to everybody", ipistorm, false},
    {"nmistorm", "NMIs to itself and others", nmistorm, false},
    {"initstorm", "INIT and start-up IPIs to the others", initstorm, false},
    {"pci", "garbage to PCI configuration space", pci, false},
    {"bars", "moves BARs onto everything", bars, false},
    {"msix", "garbage to MSI-X tables", msix, false},
    {"vq-cycle", "virtio: descriptor cycles and chains too long", vq_cycle, false},
    {"vq-range", "virtio: buffers that are not RAM, lengths that wrap", vq_range, false},
    {"vq-indirect", "virtio: indirect tables that are wrong", vq_indirect, false},
    {"vq-size", "virtio: impossible queue sizes", vq_size, false},
    {"vq-index", "virtio: ring indices that jump", vq_index, false},
    {"vq-overlap", "virtio: rings that overlap each other", vq_overlap, false},
    {"vq-mmio", "virtio: rings in device memory", vq_mmio, false},
    {"vq-early", "virtio: notifications before DRIVER_OK", vq_early, false},
    {"vq-change", "virtio: queues that change while they work", vq_change, false},
    {"vq-reset", "virtio: resets during I/O", vq_reset, false},
    {"vq-config", "virtio: garbage to all registers", vq_config, false},
    {"vq-random", "virtio: random descriptors", vq_random, false},
    {"vq-race", "virtio: descriptors rewritten while the device reads them", vq_race, false},
    {"blk", "virtio-blk: bad headers, sectors and lengths", blk, false},
    {"registers", "garbage to control registers", registers, false},
    {"msrs", "garbage to model specific registers", msrs, false},
    {"tsc", "the time stamp counter jumps", tsc, false},
    {"virt", "VMX and SVM instructions", virt, false},
    {"instructions", "random bytes as code, unprivileged, in three modes", instructions, false},
    {"prefixes", "endless prefixes, code at the end of a page", prefixes, false},
    {"edges", "code at the ends of the address space", edges, false},
    {"locks", "locked operations across lines, pages, and into device memory", locks, false},
    {"segments", "limits and types in 32-bit code", segments, false},
    {"smc", "code that rewrites itself", smc, false},
    {"debugregs", "breakpoints and single steps", debugregs, false},
    {"hypercalls", "hypercalls with random arguments", hypercalls, false},
    {"faults", "exceptions as fast as it goes", faults, false},
    {"doublefaults", "double faults", doublefaults, false},
    {"hltstorm", "very short sleeps", hltstorm, false},
    {"ports-all", "as ports, power and reset ports not left out", ports_all, true},
    {"triple", "triple fault", fatal_triple, true},
    {"hltoff", "HLT with interrupts masked", fatal_halt, true},
    {"init", "INIT to itself", fatal_init, true},
    {"cr3", "page tables that are not there", fatal_cr3, true},
    {"idt", "an IDT in device memory", fatal_idt, true},
    {"gdt", "a GDT in device memory", fatal_gdt, true},
    {"wildwrites", "writes everywhere, own memory too", fatal_wild, true},
    {"random", "random bytes as privileged code", fatal_random, true},
};

extern u64 gdt[];

bool more(void)
{
    if (cfg.rounds)
        return cfg.left && cfg.left--;
    return (s64)(cfg.until - rdtsc()) > 0;
}

void attempted(void)
{
    cfg.tried++;
    progress.cpu[0].done++;
}

u64 rnd(u64 n)
{
    return rng_below(&cfg.state, n);
}

u64 rnd64(void)
{
    static const u64 special[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000,
                                  0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffff,
                                  0x7fffffffffffffff, 0x8000000000000000, ~0ull, ~1ull, 0xfee00000};

    switch (rnd(4)) {
    case 0: return special[rnd(ARRAY_LEN(special))];
    case 1: return 1ull << rnd(64);
    case 2: return rng_next(&cfg.state) >> rnd(64);
    default: return rng_next(&cfg.state);
    }
}

u64 sandbox(void)
{
    return cfg.sandbox;
}

bool is_ram(u64 pa, u64 len)
{
    for (unsigned i = 0; i < boot.nmemmap; i++) {
        const struct memmap *m = &boot.memmap[i];
        if (pa < m->addr + m->size && pa + len > m->addr)
            return true; /* any kind: tables of the firmware count, too */
    }
    return pa < 0x100000;
}

static u64 end_of_high_ram(void)
{
    u64 end = ram_end_low();

    for (unsigned i = 0; i < boot.nmemmap; i++)
        if (boot.memmap[i].type == 1 && boot.memmap[i].addr + boot.memmap[i].size > end)
            end = boot.memmap[i].addr + boot.memmap[i].size;
    return end;
}

u64 bad_addr(void)
{
    const u64 near[] = {ram_end_low(), end_of_high_ram(), 0xc0000000, 0xd0000000, 0xe0000000, 0xe0008000,
                        IOAPIC_BASE, LAPIC_BASE, 0xfed00000, 0x100000000, 1ull << 40, 1ull << 46, 1ull << 47,
                        1ull << 51, 1ull << 52, 1ull << 63, 0, cfg.sandbox + SANDBOX_PAGES * 4096};
    u64 a;

    do {
        if (rnd(8) == 0)
            a = rnd64();
        else
            a = near[rnd(ARRAY_LEN(near))] + rnd(16) * (1ull << rnd(13)) - rnd(3) * 8;
    } while (a >= 0x1000 && is_ram(a, 1) && a < end_of_high_ram() - 64);
    return a < 0x1000 ? 0xfffffffffffff000 + a : a;
}

u64 *window_pte(unsigned page)
{
    return page_entry(cr3(), WINDOW + page * 4096ull, 1);
}

u64 phys(u64 pa)
{
    u64 mask = (1ull << phys_bits()) - 4096;

    for (unsigned i = 0; i < 2; i++) {
        *window_pte(i) = ((pa + i * 4096) & mask) | PTE_P | PTE_W;
        invlpg(WINDOW + i * 4096);
    }
    return WINDOW + (pa & 4095);
}

u8 sane_vector(u64 v)
{
    return (u8)(0x90 + (v & 0x3f));
}

static void map_user(void)
{
    ((u64 *)(cr3() & PTE_ADDR))[0] |= PTE_U;
    *page_entry(cr3(), USER_BASE, 3) |= PTE_U;
    *page_entry(cr3(), USER_BASE, 2) = 0;
    for (unsigned i = 0; i < SANDBOX_PAGES; i++)
        *page_entry(cr3(), USER_BASE + i * 4096ull, 1) = (cfg.sandbox + i * 4096ull) | PTE_P | PTE_W | PTE_U;
    cr3_set(cr3());
}

static void user_timeout(struct regs *r)
{
    if (r->cs & 3)
        try_abort(r);
}

struct user_frame {
    u64 rip, cs, rflags, rsp, ss;
};

static void user_enter(void *arg)
{
    asm volatile("mov %0, %%rsp\n\tmov $0x80002000, %%eax\n\tmov %%rax, %%rbx\n\tmov %%rax, %%rcx\n\t"
                 "mov %%rax, %%rdx\n\tmov %%rax, %%rsi\n\tmov %%rax, %%rdi\n\tmov %%rax, %%rbp\n\t"
                 "mov %%rax, %%r8\n\tmov %%rax, %%r9\n\tmov %%rax, %%r12\n\tiretq"
                 : : "r"(arg) : "memory");
}

const struct fault *user_jump(u64 rip, unsigned bits, u64 us)
{
    static struct fault f;
    static u8 ring0_stack[4096] __attribute__((aligned(16)));
    static u64 low[64]; /* room for the frames of faults of IRETQ itself */
    struct user_frame *u = (struct user_frame *)&low[56];

    *u = (struct user_frame){rip, SEL_UCODE | 3, 0x202, USER_BASE + 8 * 4096, SEL_UDATA | 3};
    if (bits == 32)
        u->cs = SEL_UCODE32 | 3;
    if (bits == 16) {
        gdt[SEL_SPARE / 8] = 0x8000fb000000ffff | (USER_BASE & 0xffffff) << 16;
        u->cs = SEL_SPARE | 3;
        u->rip -= USER_BASE;
    }
    cpus[0].tss.rsp[0] = (u64)ring0_stack + sizeof(ring0_stack);
    irq_handler(VEC_TIMER, user_timeout);
    lapic_timer_start(TIMER_PERIODIC, lapic_timer_hz() / 1000000 * us);
    if (!try_call(user_enter, u, &f))
        f.vec = 0xff;
    cli();
    lapic_timer_stop();
    asm volatile("mov %0, %%ds; mov %0, %%es; mov %1, %%fs; mov %1, %%gs" : : "r"(SEL_DATA), "r"(0));
    return &f;
}

const struct fault *user_bytes(const u8 *code, size_t len, unsigned bits, u64 us)
{
    memcpy((void *)cfg.sandbox, code, len);
    return user_jump(USER_BASE, bits, us);
}

void repair(void)
{
    cli();
    pic_init();
    lapic_init();
    lapic_timer_stop();
    pit_stop();
    for (unsigned i = 0; i < 24; i++) {
        mmio32_set(IOAPIC_BASE, 0x10 + 2 * i);
        mmio32_set(IOAPIC_BASE + 16, 0x10000);
    }
    inb(0x3f8);
    serial_init();
}

/* A vector below 32 that an APIC sent: acknowledged and forgotten. */
bool disguised(struct regs *r)
{
    if (!(r->rflags & 0x200) || !(lapic_read(LAPIC_ISR) >> r->vec & 1))
        return false;
    lapic_write(LAPIC_EOI, 0);
    return true;
}

static u64 hash(const char *s)
{
    u64 h = 0xcbf29ce484222325;

    while (*s)
        h = (h ^ (u8)*s++) * 0x100000001b3;
    return h;
}

static void run(const struct attack *a)
{
    cfg.state = cfg.seed ^ hash(a->name);
    cfg.tried = 0;
    cfg.left = cfg.rounds;
    print("rogue: %s\n", a->name);
    cfg.until = rdtsc() + cfg.each_tsc;
    a->run();
    repair();
    print("rogue: %s done, %lu attempts\n", a->name, cfg.tried);
}

static bool listed(const char *list, const char *name)
{
    size_t n = strlen(name);

    for (const char *s = list; *s; s++)
        if ((s == list || s[-1] == ',') && !memcmp(s, name, n) && (!s[n] || s[n] == ','))
            return true;
    return false;
}

static unsigned run_list(const char *list)
{
    bool all = !strcmp(list, "all");
    const struct attack *chosen[ARRAY_LEN(attacks)];
    unsigned n = 0;

    for (unsigned i = 0; i < ARRAY_LEN(attacks); i++)
        if (listed(list, attacks[i].name) || (all && !attacks[i].fatal))
            chosen[n++] = &attacks[i];
    for (unsigned i = 0; i < n; i++)
        run(chosen[(cfg.first + i) % n]);
    return n;
}

static void print_list(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(attacks); i++)
        print("%-13s %s%s\n", attacks[i].name, attacks[i].help, attacks[i].fatal ? " (ends the guest)" : "");
}

static void end(void)
{
    char how[16];
    const char *s = opt("end");

    formatf(how, sizeof(how), "%s", s ? s : "halt");
    if (!strcmp(how, "triple"))
        fatal_triple();
    if (!strcmp(how, "hltoff"))
        fatal_halt();
    if (!strcmp(how, "poweroff"))
        poweroff();
    if (!strcmp(how, "exit"))
        debug_exit(0);
}

void guest_main(void)
{
    char list[256];
    const char *s = opt("attack");
    u64 loops;

    formatf(list, sizeof(list), "%s", s ? s : "all");
    cfg.seed = opt_u64("seed", 1);
    if (!cfg.seed) {
        cfg.seed = rdtsc();
        cfg.first = (unsigned)(cfg.seed >> 8);
    }
    cfg.rounds = opt_u64("rounds", 0);
    cfg.each_tsc = ns_to_tsc(opt_u64("each", 500) * 1000000);
    loops = opt_flag("loop") && !opt("loop") ? ~0ull : opt_u64("loop", 1);
    cfg.sandbox = (u64)pages_alloc(SANDBOX_PAGES);
    lapic_timer_hz();
    map_user();
    for (unsigned i = 0; i < CPUS_MAX; i++)
        cpus[i].hook = disguised;
    progress_init("rogue", "attempts", 1);
    print("rogue: ready, seed %lu\n", cfg.seed);
    for (; loops; loops--, cfg.seed++) {
        if (!run_list(list)) {
            print_list();
            break;
        }
        print("rogue: survived\n");
    }
    end();
}
