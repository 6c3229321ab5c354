/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pm32: see pm32.h.
 */
#include "pm32.h"

struct pm32 pm32;
struct pm32_rec pm32_rec;
struct pm32_seen pm32_seen;
u64 pm32_gdt[PM32_GDT_ENTRIES] __attribute__((aligned(16)));
struct tss32 pm32_main, pm32_a;
struct tss16 pm32_t16;

static u64 idt[PM32_INT + 1] __attribute__((aligned(16)));
static u8 stacks[4][1024] __attribute__((aligned(16)));

struct gdtr32 {
    u16 limit;
    u32 base;
} PACKED pm32_gdtr, pm32_idtr;

extern const u8 pm32_stubs[];
extern const u64 gdt[];

u64 pm32_desc(u32 base, u32 limit, unsigned type, unsigned flags)
{
    return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)type << 40 | (u64)(limit >> 16 & 15) << 48 |
           (u64)flags << 52 | (u64)(base >> 24) << 56;
}

bool pm32_busy(u16 sel)
{
    return pm32_gdt[sel / 8] >> 41 & 1;
}

void pm32_gate(unsigned vec, u16 sel, u32 offset, unsigned type_dpl)
{
    idt[vec] = (offset & 0xffff) | (u64)sel << 16 | (u64)type_dpl << 40 | (u64)(offset >> 16) << 48;
}

static u32 top(unsigned stack)
{
    return (u32)(u64)(stacks[stack] + sizeof(stacks[0]) - 16);
}

static void flat(struct tss32 *t, unsigned stack0, unsigned stack)
{
    memset(t, 0, sizeof(*t));
    t->esp0 = top(stack0);
    t->ss0 = SEL_DATA;
    t->eip = (u32)(u64)pm32_task;
    t->eflags = 2;
    for (unsigned i = 0; i < 8; i++)
        t->gpr[i] = 0x1000 + i;
    t->gpr[4] = top(stack);
    for (unsigned i = 0; i < 6; i++)
        t->seg[i] = SEL_DATA;
    t->seg[S_CS] = SEL_CODE32;
    t->iomap = __builtin_offsetof(struct tss32, map);
    memset(t->map, 0xff, sizeof(t->map));
}

u32 pm32_stub(unsigned vec)
{
    return (u32)(u64)pm32_stubs + 16 * vec;
}

void pm32_prepare(void)
{
    memset(&pm32, 0, sizeof(pm32));
    memset(&pm32_rec, 0xee, sizeof(pm32_rec));
    memset(&pm32_seen, 0, sizeof(pm32_seen));
    memset(&pm32_t16, 0, sizeof(pm32_t16));
    memset(pm32_gdt, 0, sizeof(pm32_gdt));
    memcpy(pm32_gdt, gdt, PM32_MAIN);
    flat(&pm32_main, 0, 1);
    flat(&pm32_a, 2, 3);
    pm32_gdt[PM32_MAIN / 8] = pm32_desc((u32)(u64)&pm32_main, sizeof(pm32_main) - 1, 0x89, 0);
    pm32_gdt[PM32_A / 8] = pm32_desc((u32)(u64)&pm32_a, sizeof(pm32_a) - 1, 0x89, 0);
    pm32_gdt[PM32_16 / 8] = pm32_desc((u32)(u64)&pm32_t16, sizeof(pm32_t16) - 1, 0x81, 0);
    pm32_gdt[PM32_GATE / 8] = (u64)PM32_A << 16 | 0x85ull << 40;
    for (unsigned v = 0; v <= PM32_INT; v++)
        pm32_gate(v, SEL_CODE32, pm32_stub(v), 0x8e);
    pm32_gdtr = (struct gdtr32){sizeof(pm32_gdt) - 1, (u32)(u64)pm32_gdt};
    pm32_idtr = (struct gdtr32){sizeof(idt) - 1, (u32)(u64)idt};
    pm32.flags = 2;
    pm32.then = (u32)(u64)pm32_then_iret;
}

const struct pm32_rec *pm32_run(const u8 *op)
{
    pm32.op = (u32)(u64)op;
    asm volatile("mov %0, %%dr6" : : "r"(0xffff0ff0ul));
    legacy_call(pm32_go);
    trap_init_cpu(0); /* TR was taken */
    return &pm32_rec;
}
