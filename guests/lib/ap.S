/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ap: what an application processor runs after its start-up IPI. smp.c copies this code to
 * TRAMPOLINE; until the far jump to 32-bit code only addresses relative to that page are used.
 */
#include "layout.h"

#define AT(sym) (TRAMPOLINE + (sym) - ap_trampoline)

        .section .rodata
        .balign 16
        .globl ap_trampoline, ap_trampoline_end
        .code16
ap_trampoline:
        cli
        cld
        xor %ax, %ax
        mov %ax, %ds
        lgdtl AT(ap_gdtr)
        mov %cr0, %eax
        and $0x9fffffff, %eax
        or $1, %eax
        mov %eax, %cr0
        ljmpl $SEL_CODE32, $ap_start32
        .balign 8
        .word 0
ap_gdtr:
        .word SEL_TSS - 1
        .long gdt
ap_trampoline_end:

        .text
        .code32
ap_start32:
        mov $SEL_DATA, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov $1, %edi
        lock xadd %edi, ap_next
        cmp $CPUS_MAX, %edi
        jae 1f
        mov %edi, %esp
        inc %esp
        imul $STACK_BYTES, %esp, %esp
        add $cpu_stacks, %esp
        call enable_long_mode
        lgdt boot_gdtr
        ljmp $SEL_CODE, $ap_start64
1:      cli
        hlt
        jmp 1b

        .data
        .globl ap_next
        .balign 4
ap_next:
        .long 1

        .section .note.GNU-stack, "", @progbits
