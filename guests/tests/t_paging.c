/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * t_paging: 4-level paging: sizes, rights, accessed and dirty bits, error codes and CR2.
 * SDM volume 3, chapter 4.
 */
#include "selftest.h"

#define READ(va) ({ u64 v_; TRY("movq (%1), %0", "=r"(v_) : "r"((u64)(va)) : "memory"); })
#define WRITE(va, v) TRY("movq %1, (%0)", : "r"((u64)(va)), "r"((u64)(v)) : "memory")

static u64 wp_set(bool on)
{
    u64 old = cr0();

    cr0_set(on ? old | 0x10000 : old & ~0x10000ull);
    return old;
}

/* Calls va, where there is a `ret`; the fault of the fetch, if any. */
static void call_va(void *va)
{
    ((void (*)(void))va)();
}

static const struct fault *fetch(u64 va)
{
    static struct fault f;

    if (!try_call(call_va, (void *)va, &f))
        f.vec = NO_FAULT;
    return &f;
}

static void rights(void)
{
    u64 va = win_map(2, PTE_P | PTE_W);

    win_unmap(3);
    expect_none("paging.write", WRITE(va, 0x1234));
    check_eq("paging.same_memory", mmio64(win_page(2)), 0x1234);
    expect_pf("paging.read_absent", READ(va + 4096), 0, va + 4096);
    expect_pf("paging.write_absent", WRITE(va + 4096 + 8, 1), PF_W, va + 4096 + 8);
    expect_pf("paging.read_crossing", READ(va + 4093), 0, va + 4096);
    mmio64_set(va + 4088, 0x77);
    expect_pf("paging.write_crossing", WRITE(va + 4093, ~0ull), PF_W, va + 4096);
    check_eq("paging.write_crossing_writes_nothing", mmio64(va + 4088), 0x77);
    win_map(2, PTE_P);
    expect_pf("paging.write_protect", WRITE(va, 1), PF_P | PF_W, va);
    expect_none("paging.read_only_reads", READ(va));
    wp_set(false);
    expect_none("paging.wp_off_writes", WRITE(va, 2));
    wp_set(true);
    expect_pf("paging.wp_on_again", WRITE(va, 1), PF_P | PF_W, va);
    win_map(2, PTE_P | PTE_W);
    expect_none("paging.rmw", TRY("lock incq (%0)", : "r"(va) : "memory", "cc"));
    win_map(2, PTE_P);
    expect_pf("paging.rmw_read_only", TRY("lock incq (%0)", : "r"(va) : "memory", "cc"), PF_P | PF_W, va);
    expect_pf("paging.cmpxchg_fails_but_writes", TRY("cmpxchg %1, (%0)", : "r"(va), "r"(0), "a"(~0) : "memory", "cc"),
              PF_P | PF_W, va);
}

static void accessed_dirty(void)
{
    u64 va = win_map(2, PTE_P | PTE_W), *pte = win_pte(2), *pde = page_entry(cr3(), va, 2);

    *pde &= ~(u64)PTE_A;
    flush_tlb();
    READ(va);
    check("paging.read_sets_a", (*pte & (PTE_A | PTE_D)) == PTE_A);
    check("paging.walk_sets_a_above", *pde & PTE_A);
    check("paging.no_d_above", !(*pde & PTE_D));
    WRITE(va, 1);
    check("paging.write_sets_d", *pte & PTE_D);
    win_map(2, PTE_P | PTE_W);
    TRY("lock orq $0, (%0)", : "r"(va) : "memory", "cc");
    check("paging.rmw_sets_a_d", (*pte & (PTE_A | PTE_D)) == (PTE_A | PTE_D));
    win_map(2, PTE_P);
    WRITE(va, 1);
    check("paging.failed_write_sets_no_d", !(*pte & PTE_D));
    win_map(2, PTE_P | PTE_W);
    READ(va);
    *pte &= ~(u64)PTE_D;
    invlpg(va);
    WRITE(va, 1);
    check("paging.d_set_again_after_invlpg", *pte & PTE_D);
}

static void large_pages(void)
{
    u64 va = WIN + (1ull << 30), *pde = page_entry(cr3(), va, 2), *pdpte;
    u64 here = (u64)&pde & ~0x1fffffull;

    *pde = here | PTE_P | PTE_W | PTE_LARGE;
    mmio64_set(va + ((u64)&va & 0x1fffff), va);
    check_eq("paging.large_2m", va, WIN + (1ull << 30));
    check("paging.large_2m_a_d", (*pde & (PTE_A | PTE_D)) == (PTE_A | PTE_D));
    *pde = here | PTE_P | PTE_LARGE;
    invlpg(va + 0x1ff000);
    expect_pf("paging.large_2m_read_only", WRITE(va + 0x1234, 0), PF_P | PF_W, va + 0x1234);
    *pde = here | PTE_P | PTE_LARGE | 1 << 13;
    invlpg(va);
    expect_pf("paging.large_2m_reserved_bit", READ(va), PF_P | PF_RSVD, va);
    *pde = 0;
    if (!(cpuid(0x80000001, 0).d & 1 << 26)) {
        skip("paging.large_1g", "no 1 GiB pages");
        return;
    }
    pdpte = page_entry(cr3(), va + (1ull << 30), 3);
    *pdpte = PTE_P | PTE_W | PTE_LARGE;
    va += 1ull << 30;
    check_eq("paging.large_1g", mmio64(va + (u64)&fix), fix.rip);
    check("paging.large_1g_a", *pdpte & PTE_A);
    *pdpte = 0;
    invlpg(va);
    expect_pf("paging.large_1g_gone", READ(va), 0, va);
}

static void execute(void)
{
    u64 va = win_map(2, PTE_P | PTE_W);
    bool nx = rdmsr(0xc0000080) & 0x800;

    mmio8_set(va, 0xc3);
    mmio8_set(va + 4095, 0x66); /* a prefix: its instruction needs the next page */
    expect_none("paging.fetch", fetch(va));
    expect_pf("paging.fetch_absent", fetch(va + 4096), nx ? PF_I : 0, va + 4096);
    expect_pf("paging.fetch_crossing", fetch(va + 4095), nx ? PF_I : 0, va + 4096);
    if (!nx) {
        skip("paging.nx", "no NX");
        return;
    }
    win_map(2, PTE_P | PTE_W | PTE_NX);
    expect_pf("paging.nx", fetch(va), PF_P | PF_I, va);
    expect_none("paging.nx_reads", READ(va));
    wrmsr(0xc0000080, rdmsr(0xc0000080) & ~0x800ull);
    flush_tlb();
    expect_pf("paging.nx_reserved_without_nxe", READ(va), PF_P | PF_RSVD, va);
    wrmsr(0xc0000080, rdmsr(0xc0000080) | 0x800);
    flush_tlb();
}

static void reserved(void)
{
    u64 va = win_map(2, PTE_P | PTE_W), *pml4e, *pte = win_pte(2);

    if (phys_bits() < 52) {
        *pte |= 1ull << 51;
        invlpg(va);
        expect_pf("paging.reserved_bit", READ(va), PF_P | PF_RSVD, va);
        expect_pf("paging.reserved_bit_write", WRITE(va, 0), PF_P | PF_RSVD | PF_W, va);
        *pte &= ~1ull;
        invlpg(va);
        expect_pf("paging.reserved_bit_of_absent", READ(va), 0, va);
    } else {
        skip("paging.reserved_bit", "52 physical bits");
    }
    pml4e = page_entry(cr3(), 1ull << 46, 4);
    *pml4e = (u64)win_page(2) | PTE_P | PTE_LARGE;
    expect_pf("paging.pml4_large_is_reserved", READ(1ull << 46), PF_P | PF_RSVD, 1ull << 46);
    *pml4e = 0;
    flush_tlb();
}

CODE(user_read, "mov (%rdi), %rax; ud2");
CODE(user_write, "mov %rax, (%rdi); ud2");
CODE(user_jump, "jmp *%rdi");

static void user_rights(void)
{
    u64 va = win_map(2, PTE_P | PTE_W), *pde = page_entry(cr3(), va, 2);

    mmio64_set(va, 0x9876);
    expect_pf("paging.user_reads_supervisor", USER(user_read, va), PF_P | PF_U, va);
    expect_pf("paging.user_writes_supervisor", USER(user_write, va), PF_P | PF_U | PF_W, va);
    expect_pf("paging.user_fetches_supervisor", USER(user_jump, va),
              PF_P | PF_U | (rdmsr(0xc0000080) & 0x800 ? PF_I : 0), va);
    expect_pf("paging.user_reads_absent", USER(user_read, WIN + 15 * 4096), PF_U, WIN + 15 * 4096);
    win_map(2, PTE_P | PTE_U);
    expect("paging.user_reads", USER(user_read, va), VEC_UD, 0);
    check_eq("paging.user_read_value", USER(user_read, va)->regs.rax, 0x9876);
    expect_pf("paging.user_writes_read_only", USER(user_write, va), PF_P | PF_U | PF_W, va);
    wp_set(false);
    expect_pf("paging.wp_off_not_for_user", USER(user_write, va), PF_P | PF_U | PF_W, va);
    wp_set(true);
    win_map(2, PTE_P | PTE_U | PTE_W);
    expect("paging.user_writes", USER(user_write, va), VEC_UD, 0);
    *pde &= ~(u64)PTE_W;
    flush_tlb();
    expect_pf("paging.read_only_above", USER(user_write, va), PF_P | PF_U | PF_W, va);
    *pde |= PTE_W;
    flush_tlb();
}

static void smep_smap(void)
{
    u64 va = win_map(2, PTE_P | PTE_U | PTE_W);
    u32 b = cpuid(0, 0).a >= 7 ? cpuid(7, 0).b : 0;

    mmio8_set(va, 0xc3);
    if (b & 1 << 7) {
        expect_none("paging.supervisor_fetches_user", fetch(va));
        cr4_set(cr4() | 1 << 20);
        expect_pf("paging.smep", fetch(va), PF_P | PF_I, va);
        cr4_set(cr4() & ~(1ull << 20));
        expect_none("paging.smep_off", fetch(va));
    } else {
        skip("paging.smep", "not there");
    }
    if (b & 1 << 20) {
        cr4_set(cr4() | 1 << 21);
        expect_pf("paging.smap_read", READ(va), PF_P, va);
        expect_pf("paging.smap_write", WRITE(va + 8, 1), PF_P | PF_W, va + 8);
        asm volatile("stac" : : : "memory", "cc");
        expect_none("paging.smap_stac", READ(va));
        asm volatile("clac" : : : "memory", "cc");
        expect_pf("paging.smap_clac", READ(va), PF_P, va);
        cr4_set(cr4() & ~(1ull << 21));
        expect_none("paging.smap_off", READ(va));
    } else {
        skip("paging.smap", "not there");
    }
}

static void tlb(void)
{
    u64 va = win_map(2, PTE_P | PTE_W), pa3 = win_page(3), cr = cr3();

    mmio64_set(win_page(2), 2);
    mmio64_set(pa3, 3);
    check_eq("paging.before_remap", mmio64(va), 2);
    *win_pte(2) = pa3 | PTE_P;
    invlpg(va + 77);
    check_eq("paging.invlpg", mmio64(va), 3);
    *win_pte(2) = win_page(2) | PTE_P;
    cr3_set(cr);
    check_eq("paging.cr3_write_flushes", mmio64(va), 2);
    cr4_set(cr4() | 0x80);
    *win_pte(2) = pa3 | PTE_P | PTE_G;
    invlpg(va);
    check_eq("paging.global_read", mmio64(va), 3);
    *win_pte(2) = win_page(2) | PTE_P | PTE_G;
    invlpg(va);
    check_eq("paging.invlpg_global", mmio64(va), 2);
    *win_pte(2) = pa3 | PTE_P;
    cr4_set(cr4() & ~0x80ull);
    check_eq("paging.cr4_pge_flushes", mmio64(va), 3);
    win_map(2, PTE_P | PTE_W);
    win_map(4, PTE_P | PTE_W);
    *win_pte(4) = win_page(2) | PTE_P | PTE_W;
    invlpg(WIN + 4 * 4096);
    mmio64_set(va + 64, 0xabc);
    check_eq("paging.alias", mmio64(WIN + 4 * 4096 + 64), 0xabc);
}

static void read_by_rbp(void *addr)
{
    asm volatile("mov %0, %%rbp; mov (%%rbp), %%rax" : : "r"(addr) : "rax", "memory");
}

static void canonical(void)
{
    u64 bad = 0x0000800000000000, before = cr2();
    struct fault f = {.vec = NO_FAULT};

    expect("paging.non_canonical", READ(bad), VEC_GP, 0);
    expect("paging.end_non_canonical", READ(bad - 2), VEC_GP, 0);
    expect("paging.end_non_canonical_write", WRITE(bad - 2, 0), VEC_GP, 0);
    try_call(read_by_rbp, (void *)bad, &f);
    expect("paging.non_canonical_stack", &f, VEC_SS, 0);
    check_eq("paging.gp_leaves_cr2", cr2(), before);
    expect_pf("paging.top_of_space", READ(0xfffffffffffffff0), 0, 0xfffffffffffffff0);
    expect_none("paging.invlpg_non_canonical", TRY("invlpg (%0)", : "r"(bad) : "memory"));
}

static void pcid(void)
{
    u64 va = win_map(2, PTE_P | PTE_W), cr = cr3(), c4 = cr4();

    if (!(cpuid(1, 0).c & 1 << 17)) {
        skip("paging.pcid", "not there");
        expect("paging.pcide_absent", TRY("mov %0, %%cr4", : "r"(cr4() | 1 << 17) : "memory"), VEC_GP, 0);
        cr4_set(c4);
        return;
    }
    cr4_set(cr4() | 1 << 17);
    mmio64_set(win_page(2), 2);
    mmio64_set(win_page(3), 3);
    cr3_set(cr | 1);
    mmio64(va);
    cr3_set(cr | 2);
    *win_pte(2) = win_page(3) | PTE_P;
    cr3_set(cr | 1); /* without bit 63: flushes PCID 1 */
    check_eq("paging.pcid_switch_flushes", mmio64(va), 3);
    cr3_set(cr | 2 | 1ull << 63);
    check_eq("paging.pcid_noflush", mmio64(va), 3);
    check("paging.pcid_reads_back", cr3() == (cr | 2));
    cr3_set(cr);
    cr4_set(cr4() & ~(1ull << 17));
    win_map(2, PTE_P | PTE_W);
}

void test_paging(void)
{
    rights();
    accessed_dirty();
    large_pages();
    execute();
    reserved();
    user_rights();
    smep_smap();
    tlb();
    canonical();
    pcid();
}
