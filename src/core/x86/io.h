/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * io: port accesses, MSRs and CPUID of the software CPU.
 */
#ifndef RUCHE_CORE_X86_IO_H
#define RUCHE_CORE_X86_IO_H

#include "core/x86/scpu.h"

/* One access of 1, 2 or 4 bytes through the host's exit handler; permission was checked. */
uint32_t io_in(struct scpu *c, uint16_t port, unsigned bytes);
void io_out(struct scpu *c, uint16_t port, unsigned bytes, uint32_t v);

/* False: #GP. */
bool msr_read(struct scpu *c, uint32_t index, uint64_t *v);
bool msr_write(struct scpu *c, uint32_t index, uint64_t v);

struct cpuid_regs {
    uint32_t eax, ebx, ecx, edx;
};
struct cpuid_regs cpuid_get(const struct scpu *c, uint32_t leaf, uint32_t sub);

/* Guest TSC; its rate in kHz. */
enum { SCPU_TSC_KHZ = 1000000 };
uint64_t tsc_now(struct scpu *c);

/* CR4 bits that exist here. */
enum {
    CR4_VME = 1 << 0, CR4_PVI = 1 << 1, CR4_TSD = 1 << 2, CR4_DE = 1 << 3, CR4_PSE = 1 << 4,
    CR4_PAE = 1 << 5, CR4_MCE = 1 << 6, CR4_PGE = 1 << 7, CR4_PCE = 1 << 8, CR4_OSFXSR = 1 << 9,
    CR4_OSXMMEXCPT = 1 << 10, CR4_UMIP = 1 << 11, CR4_FSGSBASE = 1 << 16, CR4_PCIDE = 1 << 17,
    CR4_SMEP = 1 << 20, CR4_SMAP = 1 << 21,
};
enum {
    CR0_PE = 1 << 0, CR0_MP = 1 << 1, CR0_EM = 1 << 2, CR0_TS = 1 << 3, CR0_ET = 1 << 4,
    CR0_NE = 1 << 5, CR0_WP = 1 << 16, CR0_AM = 1 << 18, CR0_NW = 1 << 29, CR0_CD = 1 << 30,
};
#define CR0_PG (1u << 31)
enum { EFER_SCE = 1 << 0, EFER_LME = 1 << 8, EFER_LMA = 1 << 10, EFER_NXE = 1 << 11 };

#endif
