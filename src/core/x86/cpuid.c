/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cpuid: the processor that guests see: AMD, family 1Ah, what is implemented here and no more.
 * The family is one without Meltdown and with automatic IBRS, so that Linux runs without page
 * table isolation and retpolines, which cost a software TLB most. AMD APM 3 appendix E.
 */
#include "core/x86/fpu.h"
#include "core/x86/io.h"
#include "core/x86/mmu.h"
#include "core/x86/svm.h"

#include <string.h>

enum { FAMILY_1A_MODEL_2 = 0x00b00f21 };
enum { MAX_BASIC = 0xb, MAX_EXT = 0x21 };
#define EXT 0x80000000u
#define HYPERVISOR 0x40000000u

/* Leaf 1. */
enum {
    C1_CX16 = 1 << 13, C1_X2APIC = 1 << 21, C1_MOVBE = 1 << 22, C1_POPCNT = 1 << 23,
    C1_TSC_DEADLINE = 1 << 24, C1_RDRAND = 1 << 30,
    D1_DE = 1 << 2, D1_PSE = 1 << 3, D1_TSC = 1 << 4, D1_MSR = 1 << 5, D1_PAE = 1 << 6, D1_CX8 = 1 << 8,
    D1_APIC = 1 << 9, D1_SEP = 1 << 11, D1_PGE = 1 << 13, D1_CMOV = 1 << 15, D1_PAT = 1 << 16,
    D1_PSE36 = 1 << 17, D1_CLFSH = 1 << 19, D1_HTT = 1 << 28,
};
#define C1_HYPERVISOR (1u << 31)

/* Leaf 7. */
enum {
    B7_FSGSBASE = 1 << 0, B7_SMEP = 1 << 7, B7_ERMS = 1 << 9, B7_RDSEED = 1 << 18, B7_ADX = 1 << 19,
    B7_SMAP = 1 << 20, B7_CLFLUSHOPT = 1 << 23, B7_CLWB = 1 << 24,
    C7_UMIP = 1 << 2, C7_RDPID = 1 << 22, D7_FSRM = 1 << 4,
};

/* Leaf 8000_0001. */
enum {
    CE_LAHF = 1 << 0, CE_CMP_LEGACY = 1 << 1, CE_CR8 = 1 << 4, CE_ABM = 1 << 5, CE_PREFETCHW = 1 << 8,
    DE_SYSCALL = 1 << 11, DE_NX = 1 << 20, DE_PDPE1GB = 1 << 26, DE_RDTSCP = 1 << 27, DE_LM = 1 << 29,
    DE_FXSR = 1 << 24,
};

static bool has_apic(const struct scpu *c)
{
    return c->vm->chip.ops;
}

static struct cpuid_regs leaf1(const struct scpu *c)
{
    struct cpuid_regs r = {.eax = FAMILY_1A_MODEL_2};
    uint32_t l7;

    fpu_cpuid(c->vm->fpu_features, &r.ecx, &r.edx, &l7);
    r.ebx = c->index << 24 | c->vm->nvcpus << 16 | 8 << 8;
    r.ecx |= C1_CX16 | C1_MOVBE | C1_POPCNT | C1_HYPERVISOR;
    if (c->vm->host_rdrand)
        r.ecx |= C1_RDRAND;
    r.edx |= D1_DE | D1_PSE | D1_TSC | D1_MSR | D1_PAE | D1_CX8 | D1_SEP | D1_PGE | D1_CMOV | D1_PAT |
             D1_PSE36 | D1_CLFSH;
    if (has_apic(c))
        r.ecx |= C1_X2APIC | C1_TSC_DEADLINE;
    if (has_apic(c) && c->apic_base & APIC_ENABLED)
        r.edx |= D1_APIC;
    if (c->vm->nvcpus > 1)
        r.edx |= D1_HTT;
    return r;
}

static struct cpuid_regs leaf7(const struct scpu *c)
{
    struct cpuid_regs r = {0};
    uint32_t ecx, edx;

    fpu_cpuid(c->vm->fpu_features, &ecx, &edx, &r.ebx);
    r.ebx |= B7_FSGSBASE | B7_SMEP | B7_ERMS | B7_SMAP | B7_CLFLUSHOPT | B7_CLWB;
    if (c->vm->host_rdseed)
        r.ebx |= B7_RDSEED;
    if (c->vm->host_adx)
        r.ebx |= B7_ADX;
    r.ecx = C7_UMIP | C7_RDPID;
    r.edx = D7_FSRM;
    return r;
}

static unsigned id_bits(unsigned n)
{
    unsigned b = 0;

    while (1u << b < n)
        b++;
    return b;
}

/* Extended topology: threads of one, cores of nvcpus. */
static struct cpuid_regs leaf_b(const struct scpu *c, uint32_t sub)
{
    struct cpuid_regs r = {.ecx = sub & 0xff, .edx = c->index};

    if (sub == 0) {
        r.ebx = 1;
        r.ecx |= 1 << 8;
    } else if (sub == 1) {
        r.eax = id_bits(c->vm->nvcpus);
        r.ebx = c->vm->nvcpus;
        r.ecx |= 2 << 8;
    }
    return r;
}

static struct cpuid_regs ext1(const struct scpu *c)
{
    struct cpuid_regs one = leaf1(c), r = {.eax = FAMILY_1A_MODEL_2};

    r.ecx = CE_LAHF | CE_CR8 | CE_ABM | CE_PREFETCHW | (c->vm->nvcpus > 1 ? CE_CMP_LEGACY : 0);
    r.edx = (one.edx & 0x0183f3ff & ~(uint32_t)D1_SEP) | DE_SYSCALL | DE_NX | DE_PDPE1GB | DE_RDTSCP | DE_LM;
    return r;
}

static struct cpuid_regs brand(uint32_t leaf)
{
    static const char name[48] = "Ruche software CPU";
    struct cpuid_regs r;

    memcpy(&r, name + (leaf - (EXT + 2)) * 16, 16);
    return r;
}

static struct cpuid_regs extended(const struct scpu *c, uint32_t leaf)
{
    struct cpuid_regs r = {0};

    switch (leaf) {
    case EXT:
        return (struct cpuid_regs){EXT + MAX_EXT, 0x68747541, 0x444d4163, 0x69746e65};
    case EXT + 1: return ext1(c);
    case EXT + 2: case EXT + 3: case EXT + 4: return brand(leaf);
    case EXT + 5: return (struct cpuid_regs){0xff40ff40, 0xff40ff40, 0x20080140, 0x20080140};
    case EXT + 6: return (struct cpuid_regs){0, 0x42004200, 0x04006140, 0};
    case EXT + 7: r.edx = 1 << 8; break; /* invariant TSC */
    case EXT + 8:
        r.eax = MMU_PHYS_BITS | 48 << 8;
        r.ebx = 1 << 26; /* SSB_NO */
        r.ecx = (c->vm->nvcpus - 1) | id_bits(c->vm->nvcpus) << 12;
        break;
    case EXT + 0x21:
        r.eax = 1 << 2 | 1 << 6 | 1 << 8 | 1 << 29; /* LFENCE, null base, automatic IBRS, SRSO_NO */
        r.ecx = 1 << 1 | 1 << 2;                    /* TSA_SQ_NO, TSA_L1_NO */
        break;
    default: break;
    }
    return r;
}

static struct cpuid_regs hypervisor(uint32_t leaf)
{
    struct cpuid_regs r = {0};

    switch (leaf - HYPERVISOR) {
    case 0: return (struct cpuid_regs){HYPERVISOR + 1, 0x4b4d564b, 0x564b4d56, 0x4d}; /* KVMKVMKVM */
    case 1: r.eax = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 24; break; /* kvmclock, stable; no I/O delay */
    default: break;
    }
    return r;
}

struct cpuid_regs cpuid_get(const struct scpu *c, uint32_t leaf, uint32_t sub)
{
    struct cpuid_regs r = {0};

    if (leaf >= EXT)
        return extended(c, leaf);
    if (leaf >= HYPERVISOR)
        return hypervisor(leaf);
    switch (leaf) { /* 6 is nothing: with ARAT Linux leaves the PIT alone, noapictimer or not */
    case 0: return (struct cpuid_regs){MAX_BASIC, 0x68747541, 0x444d4163, 0x69746e65};
    case 1: return leaf1(c);
    case 7: return sub == 0 ? leaf7(c) : r;
    case 0xb: return leaf_b(c, sub);
    default: break;
    }
    return r;
}
