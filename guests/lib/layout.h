/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * layout: numbers that C and assembly share: segment selectors, fixed addresses, vectors.
 */
#ifndef TINY_LAYOUT_H
#define TINY_LAYOUT_H

#define CPUS_MAX 64
#define STACK_BYTES 8192
#define IST_BYTES 2048
#define TRAP_STUB_BYTES 32

/* Selectors. The order of the user ones is what SYSRET wants. */
#define SEL_CODE 0x08
#define SEL_DATA 0x10
#define SEL_UCODE32 0x18
#define SEL_UDATA 0x20
#define SEL_UCODE 0x28
#define SEL_CODE32 0x30
#define SEL_CODE16 0x38
#define SEL_DATA16 0x40
#define SEL_SPARE 0x48 /* two slots that a test may fill */
#define SEL_TSS 0x58   /* + 16 * CPU */

#define PROGRESS_ADDR 0x100000 /* progress.h */
#define TRAMPOLINE 0x8000      /* where application processors start, real mode */

#define VEC_PIC 0x20 /* 16 vectors */
#define VEC_TIMER 0x40
#define VEC_IPI 0x41
#define VEC_WAKE 0x42
#define VEC_DEVICE 0x43 /* one that the guest drives itself */
#define VEC_SPURIOUS 0xff

#define BOOT_PVH 1
#define BOOT_MULTIBOOT 2

#endif
