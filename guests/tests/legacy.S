/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * legacy: leaves long mode for 32-bit protected mode and comes back; the tests of 32-bit
 * protected mode, with and without paging, and of real mode. They leave results in
 * legacy_out[] and real_out[], which t_legacy.c judges.
 */
#include "layout.h"

#define REAL_AT 0x6000  /* where the real mode code runs */
#define REAL_OUT 0x7000 /* its results, 16-bit words */
#define REAL_SP 0x7f00

        .text
        .code64
        .globl legacy_call
legacy_call: /* rdi: 32-bit function */
        push %rbx
        push %rbp
        push %r12
        push %r13
        push %r14
        push %r15
        sidt saved_idt
        mov %rsp, saved_rsp
        mov %edi, legacy_fn
        mov %cr3, %rax
        mov %rax, saved_cr3
        mov %cr4, %rax
        mov %rax, saved_cr4
        mov %cr0, %rax
        mov %rax, saved_cr0
        pushq $SEL_CODE32
        pushq $1f
        lretq
        .code32
1:      mov $SEL_DATA, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov %cr0, %eax
        and $0x7fffffff, %eax
        mov %eax, %cr0
        mov $0xc0000080, %ecx
        rdmsr
        mov %eax, saved_efer
        and $~0x500, %eax
        wrmsr
        lidt idt32_ptr
        call *legacy_fn

legacy_back: /* 32-bit, paging off or on (32-bit), any stack */
        cli
        mov %cr0, %eax
        and $0x7fffffff, %eax
        mov %eax, %cr0
        lgdt boot_gdtr
        mov saved_cr4, %eax
        mov %eax, %cr4
        mov saved_cr3, %eax
        mov %eax, %cr3
        mov $0xc0000080, %ecx
        rdmsr
        mov saved_efer, %eax
        and $~0x400, %eax
        wrmsr
        mov saved_cr0, %eax
        mov %eax, %cr0
        ljmp $SEL_CODE, $2f
        .code64
2:      mov $SEL_DATA, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov saved_rsp, %rsp
        lgdt boot_gdtr
        lidt saved_idt
        pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %rbp
        pop %rbx
        ret

        /* ---- 32-bit protected mode ---- */
        .code32
        .macro NOTE n, val
        movl \val, legacy_out + 4 * \n
        .endm

        /* Gate `vec` of the 32-bit IDT to `to`; type in dl. Clobbers eax, ecx. */
        .macro GATE vec, to, type=0x8e
        mov $\to, %eax
        mov %ax, idt32 + 8 * \vec
        movw $SEL_CODE32, idt32 + 8 * \vec + 2
        movw $(\type << 8), idt32 + 8 * \vec + 4
        shr $16, %eax
        mov %ax, idt32 + 8 * \vec + 6
        .endm

        /* Where a fault goes on: at fix32; legacy_err and legacy_vec say what it was. */
fault32_de:
        movl $0, legacy_vec
        push $0
        jmp fault32
fault32_ud:
        movl $6, legacy_vec
        push $0
        jmp fault32
fault32_np:
        movl $11, legacy_vec
        jmp fault32
fault32_gp:
        movl $13, legacy_vec
        jmp fault32
fault32_pf:
        movl $14, legacy_vec
fault32:
        pop legacy_err
        push %eax
        mov fix32, %eax
        mov %eax, 4(%esp)
        pop %eax
        iret
int30:
        NOTE 1, $0x30
        mov 4(%esp), %eax /* CS */
        mov %eax, legacy_out + 4 * 2
        iret
int31: /* from CPL 3: leaves user code for good */
        mov %ds, %ecx /* null: IRET took it away from CPL 3 */
        mov $SEL_DATA, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %ecx, legacy_out + 4 * 26
        mov 4(%esp), %eax
        mov %eax, legacy_out + 4 * 20
        mov 16(%esp), %eax /* SS */
        mov %eax, legacy_out + 4 * 21
        mov 12(%esp), %eax /* ESP */
        mov %eax, legacy_out + 4 * 22
        mov %esp, legacy_out + 4 * 23
        mov saved_esp, %esp
        ret
gp_from_user: /* its CLI raised #GP(0); goes on behind it */
        mov $SEL_DATA, %eax
        mov %eax, %ds
        pop legacy_out + 4 * 24
        incl (%esp)
        iret

        .globl pm32_test
pm32_test:
        pusha
        GATE 0, fault32_de
        GATE 6, fault32_ud
        GATE 11, fault32_np
        GATE 13, fault32_gp
        GATE 14, fault32_pf
        GATE 0x29, int30, 0x0e /* not present */
        GATE 0x30, int30
        GATE 0x31, int31, 0xee
        mov %cr0, %eax
        mov %eax, legacy_out
        int $0x30

        movl $1f, fix32
        mov $0xfff8, %eax
        mov %eax, %ds
1:      mov legacy_err, %eax
        mov %eax, legacy_out + 4 * 3
        mov legacy_vec, %eax
        mov %eax, legacy_out + 4 * 4

        movl $1f, fix32
        ud2
1:      mov legacy_vec, %eax
        mov %eax, legacy_out + 4 * 5

        movl $1f, fix32
        xor %ecx, %ecx
        div %ecx
1:      mov legacy_vec, %eax
        mov %eax, legacy_out + 4 * 6

        movl $1f, fix32
        int $0x29
1:      mov legacy_vec, %eax
        mov %eax, legacy_out + 4 * 7
        mov legacy_err, %eax
        mov %eax, legacy_out + 4 * 8

        mov %esp, %eax /* 16-bit push and pop of a segment leave 4-byte slots */
        push %fs
        sub %esp, %eax
        mov %eax, legacy_out + 4 * 9
        pop %fs
        call paging32
        call user32
        popa
        ret

        /* 4 KiB and 4 MiB pages without PAE: pd32 maps 8 MiB to itself and, at 1 GiB, one page. */
paging32:
        mov $pd32, %edi
        mov $(5 * 1024), %ecx
        xor %eax, %eax
        rep stosl
        mov %cr4, %eax
        and $~0x20, %eax
        or $0x10, %eax
        mov %eax, %cr4
        movl $0x83, pd32
        movl $0x400083, pd32 + 4
        mov $pt32 + 3, %eax
        mov %eax, pd32 + 4 * 256
        mov $page32 + 3, %eax
        mov %eax, pt32
        mov $page32 + 1, %eax
        mov %eax, pt32 + 8
        mov $pd32, %eax
        mov %eax, %cr3
        mov %cr0, %eax
        or $0x80010000, %eax
        mov %eax, %cr0
        jmp 1f
1:      movl $0x12345678, 0x40000000
        mov page32, %eax
        mov %eax, legacy_out + 4 * 10
        mov pt32, %eax
        and $0x60, %eax /* A and D */
        mov %eax, legacy_out + 4 * 11
        mov pd32, %eax
        and $0x60, %eax
        mov %eax, legacy_out + 4 * 12
        movl $2f, fix32
        movl $0, legacy_vec
        mov 0x40001000, %eax /* absent */
2:      mov legacy_err, %eax
        or legacy_vec, %eax /* 14 */
        mov %eax, legacy_out + 4 * 13
        mov %cr2, %eax
        mov %eax, legacy_out + 4 * 14
        movl $3f, fix32
        movl $0, 0x40002004 /* read only */
3:      mov legacy_err, %eax
        mov %eax, legacy_out + 4 * 15
        mov %cr2, %eax
        mov %eax, legacy_out + 4 * 16
        mov %cr0, %eax
        and $0x7fffffff, %eax
        mov %eax, %cr0

        /* the same page by PAE */
        mov %cr4, %eax
        or $0x20, %eax
        mov %eax, %cr4
        movl $pd32 + 1, pdpt32
        movl $0, pdpt32 + 4
        movl $pae_pd + 1, pdpt32 + 8
        movl $0, pdpt32 + 12
        movl $0x83, pd32
        movl $0, pd32 + 4
        movl $0x200083, pd32 + 8
        movl $pt32 + 3, pae_pd
        movl $0, pae_pd + 4
        movl $page32 + 3, pt32
        movl $0, pt32 + 4
        movl $0, pt32 + 8
        mov $pdpt32, %eax
        mov %eax, %cr3
        mov %cr0, %eax
        or $0x80000000, %eax
        mov %eax, %cr0
        jmp 1f
1:      movl $0x9abcdef0, 0x40000004
        mov page32 + 4, %eax
        mov %eax, legacy_out + 4 * 17
        mov pt32, %eax
        and $0x60, %eax
        mov %eax, legacy_out + 4 * 18
        movl $2f, fix32
        mov 0x40001000, %eax
2:      mov legacy_err, %eax
        mov %eax, legacy_out + 4 * 19
        mov %cr0, %eax
        and $0x7fffffff, %eax
        mov %eax, %cr0
        ret

        /* CPL 3 by IRET, back through a 32-bit TSS. */
user32:
        GATE 13, gp_from_user
        movl $ring0_stack_end, tss32 + 4
        movl $SEL_DATA, tss32 + 8
        mov $tss32, %eax
        movw $0x67, gdt + SEL_SPARE
        mov %ax, gdt + SEL_SPARE + 2
        shr $16, %eax
        mov %al, gdt + SEL_SPARE + 4
        movb $0x89, gdt + SEL_SPARE + 5
        movb $0, gdt + SEL_SPARE + 6
        mov %ah, gdt + SEL_SPARE + 7
        mov $SEL_SPARE, %eax
        ltr %ax
        mov gdt + SEL_SPARE + 4, %eax
        and $0xff00, %eax
        mov %eax, legacy_out + 4 * 25 /* busy now */
        call 1f
        ret
1:      mov %esp, saved_esp
        push $SEL_UDATA | 3
        push $ring3_stack_end
        push $2
        push $SEL_UCODE32 | 3
        push $1f
        iret
1:      cli /* #GP(0) at CPL 3 */
        int $0x31

        /* ---- real mode ---- */
        .globl real_test
real_test:
        pusha
        mov $real_code, %esi
        mov $REAL_AT, %edi
        mov $(real_code_end - real_code), %ecx
        rep movsb
        mov %esp, saved_esp
        ljmp $SEL_CODE16, $REAL_AT
real_back:
        mov $SEL_DATA, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov saved_esp, %esp
        mov $REAL_OUT, %esi
        mov $real_out, %edi
        mov $64, %ecx
        rep movsl
        popa
        ret

        .section .rodata
        .code16
#define R(sym) (REAL_AT + (sym) - real_code)
        .macro RNOTE n, val
        movw \val, REAL_OUT + 2 * \n
        .endm
        .macro VECTOR vec, to
        movw $R(\to), 4 * \vec
        movw $0, 4 * \vec + 2
        .endm
real_code: /* protected mode, 16-bit segment */
        mov $SEL_DATA16, %ax
        mov %ax, %ds
        mov %ax, %es
        mov %ax, %ss
        mov %ax, %fs
        mov %ax, %gs
        lidt R(real_idt)
        mov %cr0, %eax
        and $~1, %eax
        mov %eax, %cr0
        ljmp $0, $R(real_start)
real_start:
        xor %ax, %ax
        mov %ax, %ds
        mov %ax, %es
        mov %ax, %ss
        mov $REAL_SP, %sp
        cld
        mov $REAL_OUT, %di
        mov $128, %cx
        rep stosw

        VECTOR 0, real_de
        VECTOR 1, real_db
        VECTOR 4, real_of
        VECTOR 6, real_ud
        VECTOR 13, real_gp
        VECTOR 0x60, real_int
        VECTOR VEC_PIC, real_tick
        RNOTE 0, $0x600d

        sti
        int $0x60 /* handler notes its FLAGS */
        pushf
        cli
        pop %ax
        mov %ax, REAL_OUT + 2 * 3

        xor %bl, %bl
        div %bl
        .byte 0x0f, 0x0b
        mov $0x7fff, %ax
        inc %ax
        into

        mov $0x1000, %ax
        mov %ax, %es
        movw $0xbeef, %es:0x10
        mov $0x1001, %ax
        mov %ax, %es
        mov %es:0, %ax
        mov %ax, REAL_OUT + 2 * 7
        mov $0xffff, %ax /* 0xffff:0x2010 = 1 MiB + 8 KiB: the image */
        mov %ax, %es
        mov %es:0x2010, %ax
        mov %ax, REAL_OUT + 2 * 8

        mov $0x2000, %ax /* SP wraps in its segment */
        mov %ax, %ss
        xor %sp, %sp
        push $0x4321
        mov %sp, REAL_OUT + 2 * 9
        mov %ss:0xfffe, %ax
        mov %ax, REAL_OUT + 2 * 10
        xor %ax, %ax
        mov %ax, %ss
        mov $REAL_SP, %sp

        lcall $REAL_AT / 16, $(far_fn - real_code)
        mov %ax, REAL_OUT + 2 * 11

        mov $R(real_text), %esi /* 32-bit addresses, DS base 0 */
        mov 1(%esi), %eax
        mov %ax, REAL_OUT + 2 * 12
        mov $0x12345, %ecx
        xor %ax, %ax
1:      inc %ax
        loop 1b /* CX alone: 0x2345 rounds */
        mov %ax, REAL_OUT + 2 * 13
        mov $R(real_text), %si
        mov $REAL_OUT + 2 * 14, %di
        xor %ax, %ax
        mov %ax, %es
        mov $4, %cx
        rep movsb
        pushal
        mov %sp, REAL_OUT + 2 * 16
        popal
        smsw %ax
        and $1, %ax
        mov %ax, REAL_OUT + 2 * 17
        pushfl /* single step two instructions */
        pop %eax
        or $0x100, %ax
        push %ax
        popf
        nop
        nop
        pushf
        pop %ax
        and $0xfeff, %ax
        push %ax
        popf

        movb $0x12, 0xffff
        mov 0xffff, %al
        mov %al, REAL_OUT + 2 * 19
        mov 0xffff, %ax /* crosses the limit: 4 bytes A1 ff ff, skipped by 3 */
        mov $0xfff8, %bx
        mov 0x10(%bx), %ax /* offset wraps to 8 */
        cmp 8, %ax
        sete REAL_OUT + 2 * 21

        mov $0x34, %al /* PIT: 1 kHz on IRQ 0, three ticks taken in HLT */
        out %al, $0x43
        mov $0xa9, %al
        out %al, $0x40
        mov $4, %al
        out %al, $0x40
        in $0x21, %al
        mov %al, %bl
        and $0xfe, %al
        out %al, $0x21
1:      sti
        hlt
        cli
        cmpw $3, REAL_OUT + 2 * 22
        jb 1b
        mov %bl, %al
        out %al, $0x21
        mov $0x30, %al
        out %al, $0x43

        RNOTE 1, $0x600d
        lgdtl R(real_gdt)
        mov $1, %ax
        lmsw %ax
        ljmpl $SEL_CODE32, $real_back

far_fn: mov %cs, %ax
        lret
real_int:
        push %bp
        mov %sp, %bp
        pushf
        pop REAL_OUT + 2 * 2
        pop %bp
        iret
real_de:
        incw REAL_OUT + 2 * 4
        jmp skip2
real_ud:
        incw REAL_OUT + 2 * 5
skip2:  push %bp
        mov %sp, %bp
        addw $2, 2(%bp)
        pop %bp
        iret
real_of:
        incw REAL_OUT + 2 * 6
        iret
real_db:
        incw REAL_OUT + 2 * 18
        iret
real_gp:
        incw REAL_OUT + 2 * 20
        push %bp
        mov %sp, %bp
        addw $3, 2(%bp)
        pop %bp
        iret
real_tick:
        push %ax
        incw REAL_OUT + 2 * 22
        mov $0x20, %al
        out %al, $0x20
        pop %ax
        iret
real_text:
        .ascii "realmode"
        .balign 4
real_idt:
        .word 0x3ff
        .long 0
real_gdt:
        .word SEL_TSS - 1
        .long gdt
real_code_end:

        .data
        .balign 8
idt32_ptr:
        .word 0x40 * 8 - 1
        .long idt32

        .bss
        .balign 16
        .globl legacy_out, real_out
legacy_out:
        .skip 4 * 32
real_out:
        .skip 4 * 64
saved_rsp: .skip 8
saved_cr0: .skip 8
saved_cr3: .skip 8
saved_cr4: .skip 8
saved_efer: .skip 8
saved_esp: .skip 8
saved_idt: .skip 16
legacy_fn: .skip 4
legacy_vec: .skip 4
legacy_err: .skip 4
fix32:  .skip 4
idt32:  .skip 0x40 * 8
tss32:  .skip 0x68

        .section .noinit, "aw", @nobits
        .balign 4096
pd32:   .skip 4096
pt32:   .skip 4096
page32: .skip 4096
pdpt32: .skip 4096
pae_pd: .skip 4096
        .skip 1024
ring0_stack_end:
        .skip 1024
ring3_stack_end:

        .section .note.GNU-stack, "", @progbits
