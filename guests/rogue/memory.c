/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * memory: attacks by loads, stores, fetches and page tables.
 */
#include "rogue.h"

struct access {
    u64 va, value;
    unsigned width; /* 1, 2, 4, 8, 16 */
    unsigned kind;
};

/* What can be done to an address, by kind. */
static void do_access(void *arg)
{
    struct access *x = arg;

    switch (x->kind * 16 + x->width) {
    case 1: x->value = mmio8(x->va); break;
    case 2: x->value = mmio16(x->va); break;
    case 4: x->value = mmio32(x->va); break;
    case 8: x->value = mmio64(x->va); break;
    case 16: asm volatile("movdqu (%0), %%xmm0" : : "r"(x->va) : "memory"); break;
    case 17: mmio8_set(x->va, (u8)x->value); break;
    case 18: mmio16_set(x->va, (u16)x->value); break;
    case 20: mmio32_set(x->va, (u32)x->value); break;
    case 24: mmio64_set(x->va, x->value); break;
    case 32: asm volatile("movdqu %%xmm0, (%0)" : : "r"(x->va) : "memory"); break;
    case 33: asm volatile("lock addb %b1, (%0)" : : "r"(x->va), "q"(x->value) : "memory", "cc"); break;
    case 34: asm volatile("lock xaddw %w1, (%0)" : : "r"(x->va), "r"(x->value) : "memory", "cc"); break;
    case 36: asm volatile("xchgl %k1, (%0)" : : "r"(x->va), "r"(x->value) : "memory"); break;
    case 40: asm volatile("lock cmpxchgq %1, (%0)" : : "r"(x->va), "r"(x->value), "a"(0) : "memory", "cc"); break;
    case 48: asm volatile("lock cmpxchg16b (%0)" : : "r"(x->va), "a"(0), "b"(0), "c"(0), "d"(0) : "memory", "cc"); break;
    case 49: asm volatile("notb (%0)" : : "r"(x->va) : "memory"); break;
    case 50: asm volatile("shlw $3, (%0)" : : "r"(x->va) : "memory", "cc"); break;
    case 52: asm volatile("fildl (%0); fistpl (%0)" : : "r"(x->va) : "memory"); break;
    case 56: asm volatile("btsq %1, (%0)" : : "r"(x->va), "r"(x->value & 0xfff) : "memory", "cc"); break;
    case 64: asm volatile("fxsave (%0)" : : "r"(x->va & ~15ull) : "memory"); break;
    default: asm volatile("push (%0); pop (%0)" : : "r"(x->va) : "memory");
    }
}

static struct access random_access(u64 va)
{
    return (struct access){va, rnd64(), 1u << rnd(5), (unsigned)rnd(5)};
}

static void try_access(u64 va)
{
    struct access x = random_access(va);

    try_call(do_access, &x, NULL);
    attempted();
}

/* Neither RAM nor an APIC, where a stray store may become an INIT to this CPU. */
static bool fair(u64 pa)
{
    pa &= (1ull << phys_bits()) - 4096;
    return !is_ram(pa, 8192) && (pa + 4096 < LAPIC_BASE || pa >= LAPIC_BASE + 4096) && (pa + 4096 < IOAPIC_BASE || pa >= IOAPIC_BASE + 4096);
}

void wild(void)
{
    while (more()) {
        u64 pa = bad_addr();
        if (fair(pa))
            try_access(phys(pa));
        if (!rnd(64))
            repair();
    }
}

static void jump(void *arg)
{
    ((void (*)(void))arg)();
}

void noncanonical(void)
{
    static const u64 edge[] = {1ull << 47, 1ull << 48, 1ull << 63, 0xffff7fffffffffff, 0x00007ffffffffffc,
                               0xfffffffffffffffc, 0xffff800000000000};

    while (more()) {
        u64 va = edge[rnd(ARRAY_LEN(edge))] + rnd(32) - 16;
        if (rnd(4))
            try_access(va);
        else
            try_call(jump, (void *)va, NULL);
        attempted();
    }
}

/* The two pages of the window: RAM and something else, in either order. */
void straddle(void)
{
    static const u64 other[] = {0xd0000000, 0xe0000000, 0xfed00000, 0xfffff000, 1ull << 40};

    while (more()) {
        unsigned ram = (unsigned)rnd(2);
        *window_pte(ram) = sandbox() | PTE_P | PTE_W;
        *window_pte(!ram) = rnd(4) ? other[rnd(ARRAY_LEN(other))] | PTE_P | PTE_W : rnd(2) ? sandbox() | PTE_P : 0;
        invlpg(WINDOW);
        invlpg(WINDOW + 4096);
        try_access(WINDOW + 4096 - rnd(17));
        if (!rnd(64))
            repair();
    }
}

void mmiocode(void)
{
    while (more()) {
        u64 pa = bad_addr();
        if (!fair(pa))
            continue;
        phys(pa);
        *window_pte(0) |= PTE_U;
        *window_pte(1) |= PTE_U;
        user_jump(WINDOW + (pa & 4095), 64, 200);
        attempted();
    }
}

static void use_stack(void *arg)
{
    asm volatile("mov %0, %%rsp; push $5; call 1f; 1: pop %%rax; pushfq; popfq; enter $16, $3; ud2" : : "r"(arg) : "memory");
}

void mmiostack(void)
{
    trap_use_ist(true);
    while (more()) {
        u64 pa = bad_addr();
        if (!fair(pa))
            continue;
        try_call(use_stack, (void *)(phys(pa) + rnd(4096)), NULL);
        attempted();
    }
    trap_use_ist(false);
}

struct copy {
    u64 src, dst, n;
    unsigned kind;
    bool back;
};

static void do_copy(void *arg)
{
    struct copy *c = arg;

    if (c->back)
        asm volatile("std");
    switch (c->kind) {
    case 0: asm volatile("rep movsb" : "+S"(c->src), "+D"(c->dst), "+c"(c->n) : : "memory"); break;
    case 1: asm volatile("rep movsw" : "+S"(c->src), "+D"(c->dst), "+c"(c->n) : : "memory"); break;
    case 2: asm volatile("rep movsl" : "+S"(c->src), "+D"(c->dst), "+c"(c->n) : : "memory"); break;
    case 3: asm volatile("rep movsq" : "+S"(c->src), "+D"(c->dst), "+c"(c->n) : : "memory"); break;
    case 4: asm volatile("rep stosq" : "+D"(c->dst), "+c"(c->n) : "a"(c->src) : "memory"); break;
    case 5: asm volatile("rep lodsl" : "+S"(c->src), "+c"(c->n) : : "memory", "rax"); break;
    case 6: asm volatile("repe cmpsb" : "+S"(c->src), "+D"(c->dst), "+c"(c->n) : : "memory", "cc"); break;
    default: asm volatile("repne scasw" : "+D"(c->dst), "+c"(c->n) : "a"(0x1234) : "memory", "cc");
    }
    asm volatile("cld");
}

void movs(void)
{
    static const u64 place[] = {LAPIC_BASE, 0xd0000000, 0xe0000000, 0xfed00000, 1ull << 40, 0};

    while (more()) {
        u64 a = place[rnd(ARRAY_LEN(place))], b = place[rnd(ARRAY_LEN(place))];
        bool back = !rnd(4);
        struct copy c;
        *window_pte(0) = (a && !back ? a : sandbox()) | PTE_P | PTE_W;
        *window_pte(1) = (b && b != LAPIC_BASE ? b : sandbox()) | PTE_P | PTE_W; /* no IPIs by chance */
        *window_pte(2) = rnd(2) ? (sandbox() + 4096) | PTE_P | PTE_W : 0;
        cr3_set(cr3());
        c = (struct copy){WINDOW + rnd(4096), WINDOW + 4096 + rnd(4096), rnd(3) ? rnd(600) : rnd64(), (unsigned)rnd(8),
                          back};
        if (c.n > 4096 && c.kind != 4 && !rnd(2))
            c.src = c.dst;
        try_call(do_copy, &c, NULL);
        attempted();
    }
    repair();
}

/* Entries of all levels that a walk may meet: tables at bad addresses, reserved bits, loops. */
void paging(void)
{
    u64 va = WINDOW + (1ull << 30) * 8;
    u64 *top = page_entry(cr3(), va, 3);
    u64 saved = *top;

    while (more()) {
        u64 *pd = (u64 *)(sandbox() + 8192), *pt = (u64 *)(sandbox() + 12288);
        unsigned i = (unsigned)rnd(512), j = (unsigned)rnd(512);
        u64 flags = (rnd64() & 0xfff) | PTE_P | (rnd(8) ? 0 : rnd64() & 0x7ff0000000000000);
        *top = (u64)pd | PTE_P | PTE_W;
        pd[i] = (u64)pt | PTE_P | PTE_W;
        pt[j] = sandbox() | PTE_P | PTE_W;
        switch (rnd(6)) {
        case 0: pt[j] = (bad_addr() & PTE_ADDR) | flags; break;
        case 1: pd[i] = (bad_addr() & PTE_ADDR) | (flags & ~(u64)PTE_LARGE); break;
        case 2: pd[i] = (bad_addr() & PTE_ADDR) | flags | PTE_LARGE; break;
        case 3: *top = (bad_addr() & PTE_ADDR) | (flags & ~(u64)PTE_LARGE); break;
        case 4: pd[i] = (u64)pd | flags; pt[j] = 0; break; /* a table that is its own entry */
        default: pt[j] = (u64)pt | PTE_P | PTE_W; /* the table maps itself: a write changes it */
        }
        cr3_set(cr3());
        va = (va & ~0x3fffffffull) | (u64)i << 21 | (u64)j << 12 | rnd(4096);
        if (!is_ram(pt[j] & PTE_ADDR, 4096) || (pt[j] & PTE_ADDR) - sandbox() < SANDBOX_PAGES * 4096)
            try_access(va);
        pd[i] = 0;
        pt[j] = 0;
    }
    *top = saved;
    cr3_set(cr3());
}

struct load {
    unsigned reg;
    u16 sel;
};

static void load_segments(void *arg)
{
    const struct load *l = arg;

    switch (l->reg) {
    case 0: asm volatile("mov %0, %%ds" : : "r"(l->sel) : "memory"); break;
    case 1: asm volatile("mov %0, %%es" : : "r"(l->sel) : "memory"); break;
    case 2: asm volatile("mov %0, %%fs" : : "r"(l->sel) : "memory"); break;
    case 3: asm volatile("mov %0, %%gs" : : "r"(l->sel) : "memory"); break;
    case 4: asm volatile("mov %0, %%ss" : : "r"(l->sel) : "memory"); break;
    default: asm volatile("lldt %0" : : "r"(l->sel) : "memory");
    }
}

static void ask_segments(void *arg)
{
    u64 v = (u64)arg & 0xffff, r;

    asm volatile("lar %1, %0; lsl %1, %0; verr %w1; verw %w1" : "=r"(r) : "r"(v) : "cc");
}

void descriptors(void)
{
    extern u64 gdt[];

    while (more()) {
        struct load l = {(unsigned)rnd(6), SEL_SPARE};
        gdt[SEL_SPARE / 8] = rnd64();
        gdt[SEL_SPARE / 8 + 1] = rnd64();
        if (rnd(2))
            gdt[SEL_SPARE / 8] |= 0x0000900000000000;
        if (!rnd(4))
            l.sel = (u16)rnd64();
        try_call(ask_segments, (void *)(u64)l.sel, NULL);
        try_call(load_segments, &l, NULL);
        asm volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%ss; mov %1, %%fs; mov %1, %%gs; lldt %w1" : : "r"(SEL_DATA), "r"(0));
        attempted();
    }
    gdt[SEL_SPARE / 8] = gdt[SEL_SPARE / 8 + 1] = 0;
}
