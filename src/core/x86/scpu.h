/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * scpu: the state of one software vCPU, as all files of this directory see it.
 *
 * One struct per vCPU. Everything in it belongs to the vCPU's thread, except `exitreq` and
 * what is marked atomic. It knows no device: memory is reached through the VM's `struct svm`,
 * ports and MMIO through the host's exit handler.
 *
 * Arithmetic flags live in the form that LAHF and SETO leave in AX (see flags.h) and travel
 * in a register through the handlers; `fl` holds them while no handler runs.
 */
#ifndef RUCHE_CORE_X86_SCPU_H
#define RUCHE_CORE_X86_SCPU_H

#include "core/x86_regs.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The 512-byte FXSAVE image (SDM 1 table 10-2), kept as it is: ST(i) in stack order, FTW
 * abridged, and the XMM registers in their place. */
struct fx_image {
    uint16_t fcw, fsw;
    uint8_t ftw, rsv0;
    uint16_t fop;
    uint64_t fip, fdp;
    uint32_t mxcsr, mxcsr_mask;
    _Alignas(16) uint8_t st[8][16]; /* 80 bits used; MMX registers are the low 64 */
    _Alignas(16) uint8_t xmm[16][16];
    uint8_t rest[96];
};
_Static_assert(sizeof(struct fx_image) == 512, "FXSAVE image");

/* Where the guest's FPU state is and what to look at; kept by fpu.c, sse.c and x87.c. */
enum fpu_where {
    FPU_IN_IMAGE, /* x87 state in scpu.fx; the host's x87 registers mean nothing */
    FPU_ON_HOST,  /* x87 state in the host's registers; that part of scpu.fx is stale */
    FPU_IN_MMX,   /* as FPU_IN_IMAGE, and TOP is 0 and all tags are valid */
};
struct fpu_ctl {
    uint8_t x87_slow;  /* x87 functions take the slow path: not on host, unmasked, pending */
    uint8_t mmx_slow;  /* not FPU_IN_MMX */
    uint8_t mx_trap;   /* MXCSR unmasks something */
    uint8_t where;     /* enum fpu_where */
    bool x87_pending;  /* FSW.ES: the next waiting instruction gets #MF */
    bool host_dirty;   /* the host needs FNINIT before other code runs */
    uint32_t host_mxcsr; /* of this thread outside guest code */
};

/* Exception vectors (SDM 3A table 6-1). */
enum {
    VEC_DE = 0, VEC_DB = 1, VEC_NMI = 2, VEC_BP = 3, VEC_OF = 4, VEC_BR = 5, VEC_UD = 6,
    VEC_NM = 7, VEC_DF = 8, VEC_TS = 10, VEC_NP = 11, VEC_SS = 12, VEC_GP = 13, VEC_PF = 14,
    VEC_MF = 16, VEC_AC = 17, VEC_MC = 18, VEC_XM = 19,
};

/* RFLAGS bits. */
enum {
    FLAG_CF = 1 << 0, FLAG_PF = 1 << 2, FLAG_AF = 1 << 4, FLAG_ZF = 1 << 6, FLAG_SF = 1 << 7,
    FLAG_TF = 1 << 8, FLAG_IF = 1 << 9, FLAG_DF = 1 << 10, FLAG_OF = 1 << 11,
    FLAG_IOPL = 3 << 12, FLAG_NT = 1 << 14, FLAG_RF = 1 << 16, FLAG_VM = 1 << 17,
    FLAG_AC = 1 << 18, FLAG_VIF = 1 << 19, FLAG_VIP = 1 << 20, FLAG_ID = 1 << 21,
    FLAGS_ARITH = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF,
};

struct scpu {
    uint64_t gpr[16];
    uint64_t rip;
    uint64_t fl;         /* arithmetic flags, AX image */
    uint64_t rflags_sys; /* all other bits of RFLAGS */
    _Atomic uint32_t exitreq; /* not 0: leave the block chain at its next end; set by anyone */

    struct fx_image fx;
    struct fpu_ctl fpu;

    struct x86_seg seg[X86_NSEGS];
    struct x86_table gdt, idt;
    uint64_t cr0, cr2, cr3, cr4;
    uint64_t efer;
    uint64_t dr[8];
};

#endif
