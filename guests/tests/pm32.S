/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pm32: the part of t_task.c and t_vm86.c that runs in 32-bit protected mode: pm32_go does one
 * thing with tables that C has made; whatever fault or interrupt ends it is recorded.
 */
#include "pm32.h"

        .text
        .code32
        .globl pm32_go
pm32_go: /* as a function of legacy_call */
        pusha
        mov %esp, go_esp
        lgdt pm32_gdtr
        lidt pm32_idtr
        mov pm32 + 16, %eax
        test %eax, %eax
        jz 1f
        mov %eax, %cr3
        mov %cr4, %eax
        and $~0x20, %eax
        or $0x10, %eax
        mov %eax, %cr4
        mov %cr0, %eax
        or $0x80000000, %eax
        mov %eax, %cr0
        jmp 1f
1:      mov $PM32_MAIN, %eax
        ltr %ax
        mov pm32 + 20, %eax
        mov %eax, %dr7
        pushl pm32 + 12
        popf
        jmp *pm32

        .globl pm32_jmp, pm32_call, pm32_int, pm32_iret, pm32_ud, pm32_gp, pm32_vm86
pm32_jmp:
        ljmp *pm32 + 4
        jmp done
pm32_call:
        lcall *pm32 + 4
        jmp done
pm32_int:
        int $PM32_INT
        jmp done
pm32_iret:
        iret
        jmp done
pm32_ud:
        ud2
        jmp done
pm32_gp:
        push %ds
        mov $0xfff8, %eax
        mov %eax, %ds
        jmp done
pm32_vm86: /* frame for IRET is made by C */
        mov $pm32_frame, %esp
        mov $0x11223344, %eax
        mov $0x55667788, %ebx
        mov $0x99aabbcc, %esi
        iret

done:   push $0
        push $PM32_NONE
        jmp stub_common

        /* 16 bytes per vector */
        .globl pm32_stubs
        .balign 16
pm32_stubs:
        .set vec, 0
        .rept PM32_INT + 1
        .balign 16
        .if !(vec == 8 || (vec >= 10 && vec <= 14) || vec == 17)
        push $0
        .endif
        push $vec
        jmp stub_common
        .set vec, vec + 1
        .endr
        .balign 16
stub_common: /* fills pm32_rec and gives up what was running */
        pusha
        push %ds
        push %es
        push %fs
        push %gs
        mov $SEL_DATA, %eax
        mov %eax, %ds
        mov %eax, %es
        cld
        mov %esp, %esi
        mov $pm32_rec, %edi
        mov $PM32_FRAME_WORDS, %ecx
        rep movsl %ss:(%esi), %es:(%edi)
        str %eax
        stosl
        mov %cr0, %eax
        stosl
        mov %dr6, %eax
        stosl
        mov %dr7, %eax
        stosl
        pushf
        pop %eax
        stosl
        mov $SEL_DATA, %eax
        mov %eax, %ss
        mov %eax, %fs
        mov %eax, %gs
        mov go_esp, %esp
        push $2
        popf
        xor %eax, %eax
        mov %eax, %dr7
        popa
        ret

        /* The other task: records what it finds, then does pm32 + 24. */
        .globl pm32_task, pm32_then_iret, pm32_then_main, pm32_then_ud, pm32_then_int
pm32_task:
        mov %eax, pm32_seen
        mov %edi, pm32_seen + 4
        mov %esp, pm32_seen + 8
        mov (%esp), %eax
        mov %eax, pm32_seen + 12
        str %eax
        mov %eax, pm32_seen + 16
        pushf
        pop %eax
        mov %eax, pm32_seen + 20
        mov %cr0, %eax
        mov %eax, pm32_seen + 24
        mov %dr7, %eax
        mov %eax, pm32_seen + 28
        mov %fs, %eax
        mov %eax, pm32_seen + 32
        sldt %eax
        mov %eax, pm32_seen + 36
        mov %cr0, %eax
        test %eax, %eax
        jns 1f
        mov 0x40000000, %eax
        mov %eax, pm32_seen + 40
1:      incl pm32_seen + 44
        jmp *pm32 + 24
pm32_then_iret:
        iret
        jmp pm32_task
pm32_then_main:
        ljmp $PM32_MAIN, $0
        jmp pm32_task
pm32_then_ud:
        ud2
pm32_then_int:
        int $PM32_INT

        .bss
        .balign 16
go_esp: .skip 4
        .skip 256 /* below the frame, if IRET faults */
        .globl pm32_frame
pm32_frame:
        .skip 64
        .section .note.GNU-stack, "", @progbits
