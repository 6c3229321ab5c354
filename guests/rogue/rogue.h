/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * rogue: a guest that tries to break out of its machine, or to harm its neighbours. Everything
 * here must hurt only itself. An attack is one function; it is deterministic (seed=), loops
 * while more() says so, and leaves the guest able to go on.
 *
 * Attacks write only to the sandbox and to what is not RAM, lest the guest kill itself by
 * accident; what a device does with such an address is the question that is asked.
 */
#ifndef ROGUE_H
#define ROGUE_H

#include "tiny.h"

enum { SANDBOX_PAGES = 64 };

struct attack {
    const char *name, *help;
    void (*run)(void);
    bool fatal; /* ends the guest: only by its name */
};

bool more(void); /* time and rounds of this attack are not used up */
void attempted(void); /* one more thing was tried (progress, and the line at the end) */

u64 rnd(u64 n);  /* 0 .. n-1 */
u64 rnd64(void); /* any value, often an interesting one */

/* RAM that a device may ruin: SANDBOX_PAGES pages. */
u64 sandbox(void);

/* An address where no driver would have a device go: end of RAM, holes, device memory, the
 * end of the address space, anything. Never RAM that matters. */
u64 bad_addr(void);
bool is_ram(u64 pa, u64 len);

/* A virtual address of physical [pa, pa + 4096], remapped by the next call. */
u64 phys(u64 pa);

/* The page table entry of window page 0 or 1, for attacks on page tables. */
u64 *window_pte(unsigned page);
#define WINDOW 0x4000000000ull

/* Runs bytes at CPL 3 (in 64-, 32- or 16-bit code) for at most `us`; the sandbox is mapped
 * there, too. What ended them. */
const struct fault *user_bytes(const u8 *code, size_t len, unsigned bits, u64 us);

/* The same at an address that CPL 3 may reach (16-bit: within USER_BASE's 64 KiB). */
const struct fault *user_jump(u64 rip, unsigned bits, u64 us);
#define USER_BASE 0x80000000ull

/* Puts PIC, LAPIC, IOAPIC, PIT and serial line back into a known state. */
void repair(void);

bool disguised(struct regs *r); /* exception hook: it was an interrupt */
u8 sane_vector(u64 v); /* one that the library can take */

/* Attacks, by file. */
void wild(void);
void noncanonical(void);
void straddle(void);
void mmiocode(void);
void mmiostack(void);
void movs(void);
void paging(void);
void descriptors(void);

void ports(void);
void ports_all(void);
void strings(void);
void timers(void);
void uart(void);
void serialflood(void);
void debugport(void);

void lapic(void);
void apicbase(void);
void ioapic(void);
void irqstorm(void);
void ipistorm(void);
void nmistorm(void);
void initstorm(void);

void pci(void);
void bars(void);
void msix(void);

void vq_cycle(void);
void vq_range(void);
void vq_indirect(void);
void vq_size(void);
void vq_index(void);
void vq_overlap(void);
void vq_mmio(void);
void vq_early(void);
void vq_change(void);
void vq_reset(void);
void vq_config(void);
void vq_random(void);
void vq_race(void);
void blk(void);

void registers(void);
void msrs(void);
void tsc(void);
void virt(void);
void instructions(void);
void prefixes(void);
void edges(void);
void locks(void);
void segments(void);
void smc(void);
void debugregs(void);
void hypercalls(void);
void faults(void);
void doublefaults(void);
void hltstorm(void);

void fatal_triple(void);
void fatal_halt(void);
void fatal_init(void);
void fatal_cr3(void);
void fatal_idt(void);
void fatal_gdt(void);
void fatal_wild(void);
void fatal_random(void);

#endif
