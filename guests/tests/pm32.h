/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pm32: what pm32.S and the tests of task switches and virtual-8086 mode share.
 */
#ifndef PM32_H
#define PM32_H

#include "layout.h"

/* Selectors in a GDT whose first entries are those of layout.h. */
#define PM32_MAIN 0x48 /* TSS of pm32_go */
#define PM32_A 0x50    /* TSS of the other task */
#define PM32_16 0x58   /* a 16-bit TSS */
#define PM32_GATE 0x60 /* task gate to PM32_A */
#define PM32_LDT 0x68
#define PM32_SEG 0x70  /* for a test's use */
#define PM32_GDT_ENTRIES 16

#define PM32_INT 0x60  /* software interrupt, the last vector of the IDT */
#define PM32_NONE 0xff /* pm32_rec.vec: came back without a fault */
#define PM32_FRAME_WORDS 23
#define PM32_CODE 0x6000 /* where 16-bit code runs, real-mode address 0600:0 */
#define PM32_SEL16 0x600

#ifndef __ASSEMBLER__
#include "selftest.h"

struct tss32 {
    u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, gpr[8], seg[6], ldt;
    u16 trap, iomap;
    u8 map[8192 + 1]; /* I/O permission bits */
};
struct tss16 {
    u16 link, stacks[6], ip, flags, gpr[8], es, cs, ss, ds, ldt;
};
enum { S_ES, S_CS, S_SS, S_DS, S_FS, S_GS };

/* What pm32_go does; the offsets are known to pm32.S. */
extern struct pm32 {
    u32 op;
    u32 target;
    u32 target_sel;
    u32 flags, cr3, dr7;
    u32 then;
} pm32;

/* How it ended; from v_esp on only for faults at an outer level, from v_es on for those in
 * virtual-8086 mode. */
extern struct pm32_rec {
    u32 gs, fs, es, ds;
    u32 edi, esi, ebp, esp, ebx, edx, ecx, eax;
    u32 vec, err, eip, cs, flags, v_esp, v_ss, v_es, v_ds, v_fs, v_gs;
    u32 tr, cr0, dr6, dr7, handler_flags;
} pm32_rec;

/* What the other task saw. */
extern struct pm32_seen {
    u32 eax, edi, esp, top, tr, flags, cr0, dr7, fs, ldt, mapped, count;
} pm32_seen;

extern u64 pm32_gdt[PM32_GDT_ENTRIES];
extern struct tss32 pm32_main, pm32_a;
extern struct tss16 pm32_t16;
extern u32 pm32_frame[16];
extern const u8 pm32_go[], pm32_jmp[], pm32_call[], pm32_int[], pm32_iret[], pm32_ud[], pm32_gp[],
    pm32_vm86[], pm32_task[], pm32_then_iret[], pm32_then_main[], pm32_then_ud[],
    pm32_then_int[];

/* Fresh tables, both tasks in flat segments at CPL 0; vectors lead to pm32_rec. */
void pm32_prepare(void);
void pm32_gate(unsigned vec, u16 sel, u32 offset, unsigned type_dpl);
u32 pm32_stub(unsigned vec); /* the handler of a vector */
u64 pm32_desc(u32 base, u32 limit, unsigned type, unsigned flags); /* flags: bits 52-55 */
bool pm32_busy(u16 sel);
/* Does `op` with what was prepared. */
const struct pm32_rec *pm32_run(const u8 *op);
#endif

#endif
