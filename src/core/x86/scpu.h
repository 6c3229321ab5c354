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

#include "core/accel.h"
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

/* Which address translations a data access uses. */
enum tlb_view {
    VIEW_USER,
    VIEW_USER_AC,   /* alignment is checked: no data access is in the tables */
    VIEW_KERNEL,
    VIEW_KERNEL_AC, /* SMAP, with user pages accessible */
    VIEWS
};

/* Bits of scpu.mode, the key under which blocks are cached. The upper half is CS.base. */
enum {
    MODE_CS16 = 0, MODE_CS32 = 1, MODE_CS64 = 2, MODE_CSIZE = 3,
    MODE_CPL_SHIFT = 2, MODE_CPL = 3 << 2,
    MODE_SS32 = 1 << 4,
    MODE_FLAT = 1 << 5,   /* not 64-bit: ES, SS, DS are flat, present and writable */
    MODE_PE = 1 << 6,
    MODE_VM86 = 1 << 7,
    MODE_SINGLE = 1 << 8, /* blocks of one instruction */
};

/* Bits of scpu.exitreq. */
enum {
    EXITREQ_KICK = 1 << 0,  /* leave vcpu_run with EXIT_SIGNAL */
    EXITREQ_NMI = 1 << 1,
    EXITREQ_STOP = 1 << 2,  /* the VM wants this vCPU between two blocks (code.c) */
    EXITREQ_EVENT = 1 << 3, /* set by ourselves: the run loop must look before the next block */
};

/* An exception or software interrupt on its way to the guest's handler. */
enum exc_kind { EXC_NONE, EXC_FAULT, EXC_SOFT, EXC_PRIV_SOFT /* INT1 */, EXC_EXTERN };

struct exc {
    uint8_t kind, vec;
    bool has_err;
    bool set_rf;       /* #DB of an execution breakpoint: RF in the pushed flags */
    bool noncanonical; /* #GP that is #SS if the access was to the stack */
    uint32_t err;
    uint64_t cr2;
    uint64_t ret; /* EXC_SOFT, EXC_PRIV_SOFT: where the handler returns to */
};

struct block;
struct uop;
struct tlb;
struct svm;

enum { JC_SLOTS = 16384, XBUF_BYTES = 512 };

/* Counted by the vCPU's thread, read by anyone. */
struct scpu_stats {
    uint64_t insns, blocks_decoded, tlb_fills, tlb_misses, tlb_flushes,
        page_faults, exceptions, interrupts, cr3_writes, lookups;
};

/* An aligned 64-bit counter with one writer is whole on x86 whatever the compiler does; a plain
 * addition is one instruction where an atomic store would be three. */
#ifdef __SANITIZE_THREAD__
#define scpu_count(c, what, n) __atomic_store_n(&(c)->stats.what, (c)->stats.what + (n), __ATOMIC_RELAXED)
#else
#define scpu_count(c, what, n) ((c)->stats.what += (n))
#endif

/* gpr..tmp are addressed by byte offsets of one byte each: they stay first, in this order. */
struct scpu {
    uint64_t gpr[16];
    uint64_t zero; /* always 0: absent base or index */
    uint64_t ea;   /* effective address that an `ea` uop computed for the next one */
    uint64_t tmp;
    uint64_t rip;        /* instruction pointer (not linear), valid between blocks */
    uint64_t fl;         /* arithmetic flags, AX image, valid between blocks */
    uint64_t rflags_sys; /* all other bits of RFLAGS */
    _Atomic uint32_t exitreq; /* not 0: leave the block chain at its next end; set by anyone */
    uint32_t cpl;
    uint64_t mode;      /* MODE_* and CS.base << 32 */
    struct tlb *tlb;    /* views[view]: what data accesses and fetches use now */
    uint32_t view;      /* enum tlb_view */
    uint64_t seg_base[X86_NSEGS]; /* copies of seg[].base for address computation */

    _Alignas(16) struct fx_image fx;
    struct fpu_ctl fpu;

    struct exc exc;
    struct uop *link_from; /* branch that wants to be linked to the next block found */
    struct block *link_dead; /* dropped block that wants to know its successor */
    bool shadow;           /* no interrupt before the next instruction ends, */
    bool shadow_ss;        /* and no debug trap either (MOV SS, POP SS) */
    bool stepped;          /* this instruction has seen to its single-step trap itself */
    uint8_t dbg;           /* DBG_*: kinds of breakpoints that are enabled */
    uint8_t dbg_hits;      /* of this instruction, as bits of DR6 */
    bool intr_check;       /* ask the interrupt controller before the next block */
    bool halted, shutdown; /* HLT executed; triple fault */
    bool nmi_blocked;
    bool smc_hit;          /* a store of this instruction hit translated code */
    uint32_t pauses; /* PAUSE instructions, for yielding now and then */
    uint8_t fpu_trap;      /* bit per enum fpu_class: CR0 or CR4 forbid it now */

    struct x86_seg seg[X86_NSEGS];
    struct x86_table gdt, idt;
    uint64_t cr0, cr2, cr3, cr4;
    uint64_t efer, apic_base;
    uint64_t dr[8];
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux, tsc_adjust;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat, misc_enable, mtrr_def_type;
    uint64_t kvm_wall_clock, kvm_system_time, kvm_poll;

    _Alignas(64) uint8_t xbuf[XBUF_BYTES]; /* bounce buffer of rmw_begin, SSE operands */
    uint64_t xbuf_va;
    uint32_t xbuf_len; /* 0: no write-back due */

    struct block *jc[JC_SLOTS]; /* last block seen per hash of its linear address; never NULL */
    struct tlb *views[VIEWS];
    struct svm *vm;
    struct vcpu_host host;
    unsigned index;
    struct scpu_stats stats;
};
_Static_assert(__builtin_offsetof(struct scpu, tmp) == 18 * 8, "register file offsets");

enum { APIC_X2 = 1 << 10, APIC_ENABLED = 1 << 11 }; /* of IA32_APIC_BASE */

/* Byte offsets into the register file, as uops hold them. */
enum { OFS_ZERO = 128, OFS_EA = 136, OFS_TMP = 144 };

#define SCPU_REG(c, ofs, type) (*(type *)((char *)(c) + (ofs)))

/* Queues a fault for delivery before the next instruction; the caller's way out follows. Always
 * returns -1, for `return exc_raise(...)`. */
int exc_raise(struct scpu *c, unsigned vec);
int exc_raise_err(struct scpu *c, unsigned vec, uint32_t err);
/* INT n, INT3, INTO (EXC_SOFT) or INT1 (EXC_PRIV_SOFT). */
void exc_soft(struct scpu *c, enum exc_kind kind, unsigned vec, uint64_t ret);
/* An interrupt from a controller, or an NMI. */
void exc_extern(struct scpu *c, unsigned vec);

/* Delivers c->exc through the IDT: state of the handler's first instruction, or of a nested
 * fault's, or c->shutdown (exc.c). The debug trap of a task switch may be queued then. */
void exc_deliver(struct scpu *c);

/* Mode word, TLB view and segment copies after a change of CS, SS, CR0, EFER, EFLAGS.VM/AC/TF. */
void scpu_mode_update(struct scpu *c);

/* fpu_trap after a change of CR0 or CR4 (h_fpu.c). */
void fpu_trap_update(struct scpu *c);

/* RFLAGS as PUSHF sees them; the arithmetic part from c->fl. */
uint64_t scpu_rflags(const struct scpu *c);
void scpu_set_rflags(struct scpu *c, uint64_t v);

static inline bool scpu_long_mode(const struct scpu *c)
{
    return c->efer & (1u << 10);
}

static inline bool scpu_code64(const struct scpu *c)
{
    return (c->mode & MODE_CSIZE) == MODE_CS64;
}

static inline bool scpu_protected(const struct scpu *c)
{
    return (c->cr0 & 1) && !(c->rflags_sys & FLAG_VM);
}

#endif
