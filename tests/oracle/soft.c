/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * soft: runs one instruction on the software CPU, at the addresses and in the segments that the
 * native half uses: long mode, CPL 3, the code and the arena mapped and nothing else. Behind the
 * instruction and at its targets is UD2, which ends the run.
 */
#include "oracle.h"

#include "core/accel.h"
#include "core/mem.h"
#include "core/x86/io.h"
#include "core/x86/step.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct accel_ops accel_soft;

enum { GPA_PML4 = 0x1000, GPA_PDPT = 0x2000, GPA_PD = 0x3000, GPA_PT_CODE = 0x4000, GPA_PT_ARENA = 0x5000,
       GPA_CODE = 0x100000, GPA_ARENA = 0x200000 };
enum { PTE_ALL = 0x67 }; /* present, writable, user, accessed, dirty */

static struct {
    struct gmem *mem;
    struct accel_vm *vm;
    struct accel_vcpu *vcpu;
    struct scpu *c;
    uint8_t *arena, *code;
    enum orc_mode mode;
    struct x86_seg seg[X86_NSEGS]; /* as they are when a state begins */
} soft;

static void no_exit(void *opaque, struct vexit *x)
{
    (void)opaque;
    (void)x;
}

static void put_pte(uint64_t table, unsigned index, uint64_t pa)
{
    uint64_t v = pa | PTE_ALL;
    memcpy((uint8_t *)gmem_ptr(soft.mem, table, 4096) + index * 8, &v, 8);
}

static void make_tables(void)
{
    put_pte(GPA_PML4, 0, GPA_PDPT);
    put_pte(GPA_PDPT, 0, GPA_PD);
    put_pte(GPA_PD, ORC_CODE >> 21, GPA_PT_CODE);
    put_pte(GPA_PD, ORC_ARENA >> 21, GPA_PT_ARENA);
    for (unsigned i = 0; i < 2; i++) {
        put_pte(GPA_PT_CODE, i, GPA_CODE + i * 4096);
        put_pte(GPA_PT_ARENA, i, GPA_ARENA + i * 4096);
    }
}

static struct x86_seg segment(uint16_t sel, uint64_t base, uint32_t limit, uint16_t attr)
{
    return (struct x86_seg){.sel = sel, .base = base, .limit = limit, .attr = attr};
}

/* Segments as the host has them in this mode. */
static void set_mode(enum orc_mode m)
{
    const uint16_t user = X86_SEG_P | X86_SEG_S | 3 << X86_SEG_DPL_SHIFT, code = user | 0xb, data = user | 3;
    struct x86_regs r;

    accel_soft.regs_get(soft.vcpu, &r);
    r.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
    r.cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    r.efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
    r.cr3 = GPA_PML4;
    for (unsigned i = 0; i < 6; i++)
        r.seg[i] = segment(0, 0, 0, 0);
    r.seg[X86_TR] = segment(0x40, ORC_ARENA + 0x100000, 0x20, X86_SEG_P | 0xb); /* no I/O bitmap */
    switch (m) {
    case ORC_64:
        r.seg[X86_CS] = segment(SEL_CS64, 0, 0xffffffff, code | X86_SEG_L | X86_SEG_G);
        r.seg[X86_SS] = segment(SEL_DS32, 0, 0xffffffff, data | X86_SEG_DB | X86_SEG_G);
        break;
    case ORC_32:
        r.seg[X86_CS] = segment(SEL_CS32, 0, 0xffffffff, code | X86_SEG_DB | X86_SEG_G);
        r.seg[X86_SS] = segment(SEL_DS32, 0, 0xffffffff, data | X86_SEG_DB | X86_SEG_G);
        r.seg[X86_DS] = r.seg[X86_ES] = r.seg[X86_SS];
        break;
    default:
        r.seg[X86_CS] = segment(SEL_CS16, ORC_CODE, 0xffff, code);
        r.seg[X86_SS] = segment(SEL_DS16, ORC_ARENA, 0xffff, data);
        r.seg[X86_DS] = r.seg[X86_ES] = r.seg[X86_SS];
        break;
    }
    r.seg[X86_FS].base = m == ORC_64 ? native_seg_base(X86_FS) : 0;
    r.seg[X86_GS].base = m == ORC_64 ? native_seg_base(X86_GS) : 0;
    r.rflags = FLAG_IF | 2;
    accel_soft.regs_set(soft.vcpu, &r);
    soft.mode = m;
    memcpy(soft.seg, soft.c->seg, sizeof soft.seg);
}

int soft_init(void)
{
    static const struct vcpu_host host = {.handle = no_exit};
    struct accel_vm_params p = {.name = "oracle", .vcpus = 1, .irqchip_user = true};
    struct err e = {0};

    soft.mem = gmem_new("oracle", 16 << 20, &e);
    p.mem = soft.mem;
    soft.vm = soft.mem ? accel_soft.vm_new(&p, &e) : NULL;
    soft.vcpu = soft.vm ? accel_soft.vcpu_new(soft.vm, 0, &host, &e) : NULL;
    if (!soft.vcpu) {
        fprintf(stderr, "oracle: no software CPU\n");
        return -1;
    }
    soft.c = soft_scpu(soft.vcpu);
    soft.arena = gmem_ptr(soft.mem, GPA_ARENA, ORC_ARENA_BYTES);
    soft.code = gmem_ptr(soft.mem, GPA_CODE, ORC_CODE_BYTES);
    make_tables();
    set_mode(ORC_64);
    return 0;
}

void soft_fini(void)
{
    accel_soft.vcpu_free(soft.vcpu);
    accel_soft.vm_free(soft.vm);
    gmem_free(soft.mem);
}

uint8_t *soft_arena(void)
{
    return soft.arena;
}

static void put_code(uint32_t at, const void *p, unsigned n)
{
    if (at >= ORC_CODE_BYTES)
        return;
    if (n > ORC_CODE_BYTES - at)
        n = ORC_CODE_BYTES - at;
    memcpy(soft.code + at, p, n);
    gmem_dirty(soft.mem, GPA_CODE + at, n);
}

void soft_place(const struct orc_case *oc)
{
    static const uint8_t ud2[] = {0x0f, 0x0b};

    for (unsigned i = 0; i < 2; i++)
        put_code(oc->taken[i], ud2, sizeof ud2);
    put_code(oc->at, oc->bytes, oc->len);
    put_code(oc->at + oc->len, ud2, sizeof ud2);
}

static void load(const struct orc_case *oc)
{
    struct scpu *c = soft.c;

    if (soft.mode != oc->mode || memcmp(soft.seg, c->seg, sizeof soft.seg) != 0)
        set_mode(oc->mode);
    for (unsigned i = 0; i < 16; i++)
        c->gpr[i] = oc->mode == ORC_64 ? oc->in.gpr[i] : (uint32_t)oc->in.gpr[i];
    c->rip = (oc->mode == ORC_16 ? 0 : ORC_CODE) + oc->at;
    c->fx = oc->in.fx;
    c->exc.kind = EXC_NONE;
    c->halted = c->shadow = false;
    scpu_set_rflags(c, oc->in.rflags | FLAG_IF);
}

/* UD2 at a place where the instruction may go on: no exception of its own. */
static bool ended_well(const struct orc_case *oc)
{
    uint64_t off = soft.c->rip - (oc->mode == ORC_16 ? 0 : ORC_CODE);

    return soft.c->exc.kind == EXC_FAULT && soft.c->exc.vec == VEC_UD &&
           (off == oc->at + oc->len || off == oc->taken[0] || off == oc->taken[1]);
}

static void store(const struct orc_case *oc, struct orc_result *out)
{
    const struct scpu *c = soft.c;

    memcpy(out->st.gpr, c->gpr, sizeof c->gpr);
    if (oc->mode != ORC_64)
        memcpy(out->st.gpr + 8, oc->in.gpr + 8, 8 * sizeof c->gpr[0]);
    out->st.fx = c->fx;
    out->st.rip = c->rip;
    out->st.rflags = scpu_rflags(c);
    out->vec = ORC_NO_FAULT;
    out->err = 0;
    out->cr2 = 0;
    if (ended_well(oc))
        return;
    out->vec = c->exc.kind == EXC_NONE ? ORC_HANG : c->exc.vec;
    if (c->exc.kind != EXC_FAULT)
        out->st.rip = c->exc.ret;
    if (c->exc.kind == EXC_FAULT && c->exc.has_err)
        out->err = c->exc.err;
    if (c->exc.kind == EXC_FAULT && c->exc.vec == VEC_PF)
        out->cr2 = c->exc.cr2;
}

void soft_run(const struct orc_case *oc, struct orc_result *out)
{
    load(oc);
    soft_run_to_exception(soft.vcpu, false, 1000);
    store(oc, out);
}

/* Extensions that a CPU may lack, by the bit of CPUID that advertises them. */
static const struct {
    ZydisISAExt ext;
    uint32_t leaf;
    uint8_t reg, bit; /* 0-3: eax to edx */
} cpuid_bits[] = {
    {ZYDIS_ISA_EXT_ADOX_ADCX, 7, 1, 19}, {ZYDIS_ISA_EXT_AES, 1, 2, 25}, {ZYDIS_ISA_EXT_BMI1, 7, 1, 3},
    {ZYDIS_ISA_EXT_BMI2, 7, 1, 8}, {ZYDIS_ISA_EXT_CLFLUSHOPT, 7, 1, 23}, {ZYDIS_ISA_EXT_CLWB, 7, 1, 24},
    {ZYDIS_ISA_EXT_LZCNT, 0x80000001, 2, 5}, {ZYDIS_ISA_EXT_MOVBE, 1, 2, 22},
    {ZYDIS_ISA_EXT_PCLMULQDQ, 1, 2, 1}, {ZYDIS_ISA_EXT_RDPID, 7, 2, 22}, {ZYDIS_ISA_EXT_RDRAND, 1, 2, 30},
    {ZYDIS_ISA_EXT_RDSEED, 7, 1, 18}, {ZYDIS_ISA_EXT_RDTSCP, 0x80000001, 3, 27},
    {ZYDIS_ISA_EXT_RDWRFSGS, 7, 1, 0}, {ZYDIS_ISA_EXT_SHA, 7, 1, 29}, {ZYDIS_ISA_EXT_SMAP, 7, 1, 20},
    {ZYDIS_ISA_EXT_SSE3, 1, 2, 0}, {ZYDIS_ISA_EXT_SSSE3, 1, 2, 9}, {ZYDIS_ISA_EXT_MONITOR, 1, 2, 3},
    {ZYDIS_ISA_EXT_XSAVE, 1, 2, 26}, {ZYDIS_ISA_EXT_GFNI, 7, 2, 8}, {ZYDIS_ISA_EXT_INVPCID, 7, 1, 10},
    {ZYDIS_ISA_EXT_AMD3DNOW, 0x80000001, 3, 31}, {ZYDIS_ISA_EXT_SSE4A, 0x80000001, 2, 6},
    {ZYDIS_ISA_EXT_CLZERO, 0x80000008, 1, 0}, {ZYDIS_ISA_EXT_MOVDIR, 7, 2, 27},
    {ZYDIS_ISA_EXT_ENQCMD, 7, 2, 29}, {ZYDIS_ISA_EXT_PKU, 7, 2, 3}, {ZYDIS_ISA_EXT_RTM, 7, 1, 11},
    {ZYDIS_ISA_EXT_WAITPKG, 7, 2, 5}, {ZYDIS_ISA_EXT_SERIALIZE, 7, 3, 14}, {ZYDIS_ISA_EXT_UINTR, 7, 3, 5},
    {ZYDIS_ISA_EXT_CET, 7, 2, 7}, {ZYDIS_ISA_EXT_PCONFIG, 7, 3, 18}, {ZYDIS_ISA_EXT_SGX, 7, 1, 2},
    {ZYDIS_ISA_EXT_VTX, 1, 2, 5}, {ZYDIS_ISA_EXT_SVM, 0x80000001, 2, 2}, {ZYDIS_ISA_EXT_SMX, 1, 2, 6},
    {ZYDIS_ISA_EXT_MONITORX, 0x80000001, 2, 29}, {ZYDIS_ISA_EXT_RDPRU, 0x80000008, 1, 4},
    {ZYDIS_ISA_EXT_MCOMMIT, 0x80000008, 1, 8}, {ZYDIS_ISA_EXT_KEYLOCKER, 7, 2, 23},
    {ZYDIS_ISA_EXT_KEYLOCKER_WIDE, 7, 2, 23}, {ZYDIS_ISA_EXT_HRESET, 7, 0, 22}, {ZYDIS_ISA_EXT_SNP, 0x8000001f, 0, 4},
    {ZYDIS_ISA_EXT_AMD_INVLPGB, 0x80000008, 1, 3}, {ZYDIS_ISA_EXT_TSX_LDTRK, 7, 3, 16}, {ZYDIS_ISA_EXT_TDX, 1, 2, 5},
    {ZYDIS_ISA_EXT_XSAVEC, 1, 2, 26}, {ZYDIS_ISA_EXT_XSAVEOPT, 1, 2, 26}, {ZYDIS_ISA_EXT_XSAVES, 1, 2, 26},
    {ZYDIS_ISA_EXT_PADLOCK, 0, 0, 31}, {ZYDIS_ISA_EXT_VMFUNC, 1, 2, 5}, {ZYDIS_ISA_EXT_PT, 7, 1, 25},
};

bool soft_advertises(const ZydisDecodedInstruction *i)
{
    for (unsigned k = 0; k < sizeof cpuid_bits / sizeof cpuid_bits[0]; k++)
        if (cpuid_bits[k].ext == i->meta.isa_ext) {
            struct cpuid_regs r = cpuid_get(soft.c, cpuid_bits[k].leaf, 0);
            const uint32_t v[4] = {r.eax, r.ebx, r.ecx, r.edx};
            return v[cpuid_bits[k].reg] >> cpuid_bits[k].bit & 1;
        }
    return i->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY;
}
