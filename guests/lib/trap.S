/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * trap: 256 entry stubs that build a struct regs (trap.h) and call trap_handle, try_call, by
 * which a guest survives what it provokes, and sti_hlt, of which trap_handle knows the address.
 */
#include "layout.h"

        .text
        .code64
        .balign 32
        .globl trap_stubs
trap_stubs: /* 32 bytes each */
        .set vec, 0
        .rept 256
        .balign 32
        .if vec == 8 || (vec >= 10 && vec <= 14) || vec == 17 || vec == 21 || vec == 29 || vec == 30
        test $8, %spl /* the frame began at a multiple of 16: is there an error code? */
        jz 1f
        pushq $0 /* no: an interrupt controller sent this vector */
1:
        .else
        pushq $0
        .endif
        pushq $vec
        jmp trap_common
        .set vec, vec + 1
        .endr

        .balign 16
trap_common:
        push %rax
        push %rcx
        push %rdx
        push %rbx
        push %rbp
        push %rsi
        push %rdi
        push %r8
        push %r9
        push %r10
        push %r11
        push %r12
        push %r13
        push %r14
        push %r15
        cld
        mov %rsp, %rdi
        mov %rsp, %rbp
        and $-16, %rsp
        call trap_handle
        mov %rbp, %rsp
        pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %r11
        pop %r10
        pop %r9
        pop %r8
        pop %rdi
        pop %rsi
        pop %rbp
        pop %rbx
        pop %rdx
        pop %rcx
        pop %rax
        add $16, %rsp
        iretq

        /* u64 try_enter(u64 *save_rsp, void (*fn)(void *), void *arg): calls fn(arg), 0 if it
         * came back. trap_handle sends a fault to try_landing with rsp = *save_rsp. */
        .globl try_enter, try_landing
try_enter:
        push %rbx
        push %rbp
        push %r12
        push %r13
        push %r14
        push %r15
        sub $8, %rsp
        mov %rsp, (%rdi)
        mov %rdx, %rdi
        call *%rsi
        xor %eax, %eax
        jmp 1f
try_landing:
        mov $1, %eax
1:      cld
        add $8, %rsp
        pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %rbp
        pop %rbx
        ret

        .globl sti_hlt, sti_hlt_halts
sti_hlt:
        sti
sti_hlt_halts:
        hlt
        ret

        .section .note.GNU-stack, "", @progbits
