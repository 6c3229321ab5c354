/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * seg: segmentation outside the fast path, the stack, descriptors, far control transfers.
 * All int functions: 0, or -1 with a fault queued; 1 where a store hit translated code.
 */
#ifndef RUCHE_CORE_X86_SEG_H
#define RUCHE_CORE_X86_SEG_H

#include "core/x86/scpu.h"

/* Linear address of `n` bytes at seg:off, after the checks of the current mode. */
int seg_linear(struct scpu *c, unsigned seg, uint64_t off, unsigned n, bool write, uint64_t *lin);

/* Stack of the current mode: width of rSP that counts, and pushes/pops of 2, 4 or 8 bytes. */
uint64_t stack_mask(const struct scpu *c);
void stack_set_rsp(struct scpu *c, uint64_t v);
int stack_push(struct scpu *c, uint64_t v, unsigned bytes);
int stack_check_push(struct scpu *c, unsigned bytes); /* what stack_push would say */
int stack_pop(struct scpu *c, uint64_t *v, unsigned bytes);
/* Reads at rSP + off without popping. */
int stack_peek(struct scpu *c, unsigned off, uint64_t *v, unsigned bytes);

/* An 8-byte descriptor; the upper half of 16-byte ones too. */
struct desc {
    uint64_t lo, hi;
};
enum { SEL_RPL = 3, SEL_TI = 4 };

bool desc_in_table(const struct scpu *c, uint16_t sel, unsigned bytes);
int desc_read(struct scpu *c, uint16_t sel, struct desc *d, bool wide, unsigned vec);
void desc_to_seg(struct x86_seg *s, uint16_t sel, const struct desc *d);
int desc_set_accessed(struct scpu *c, uint16_t sel, struct desc *d);

/* MOV and POP to a data segment register or SS, in any mode. */
int seg_load(struct scpu *c, unsigned seg, uint16_t sel);
int seg_load_ldt(struct scpu *c, uint16_t sel);
int seg_load_tr(struct scpu *c, uint16_t sel);
void seg_real(struct scpu *c, unsigned seg, uint16_t sel);
/* Flat segments of SYSCALL, SYSRET, SYSENTER, SYSEXIT. */
void seg_flat_code(struct scpu *c, uint16_t sel, unsigned dpl, bool l);
void seg_flat_stack(struct scpu *c, uint16_t sel, unsigned dpl);

/* Stack pointer of privilege level `cpl` / IST entry from the TSS. */
int tss_stack64(struct scpu *c, unsigned index, uint64_t *rsp);
int tss_stack(struct scpu *c, unsigned cpl, uint16_t *ss, uint32_t *esp);
int tss_io_allowed(struct scpu *c, uint16_t port, unsigned bytes);

/* c->rip is that of the next instruction; on success CS:rip is the target. */
int far_jump(struct scpu *c, uint16_t sel, uint64_t off, unsigned opsize);
int far_call(struct scpu *c, uint16_t sel, uint64_t off, unsigned opsize);
int far_ret(struct scpu *c, unsigned opsize, unsigned release);
int far_iret(struct scpu *c, unsigned opsize);

#endif
