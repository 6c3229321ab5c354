/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * start: both ways in (PVH note, Multiboot 1 header), from 32-bit protected mode without paging
 * to C in long mode with the first 4 GiB mapped one to one by 2 MiB pages. Also where an
 * application processor goes on after its trampoline (ap.S).
 *
 * Follows the Xen "x86/HVM direct boot ABI" and Multiboot 0.6.96. The header uses the address
 * fields (flag bit 16), because a loader need not know 64-bit ELF to obey them.
 */
#include "layout.h"

#define MB_MAGIC 0x1badb002
#define MB_FLAGS 0x00010003
#define XEN_ELFNOTE_PHYS32_ENTRY 18

        .section .head, "ax"
        .balign 8
mb_header:
        .long MB_MAGIC
        .long MB_FLAGS
        .long -(MB_MAGIC + MB_FLAGS)
        .long mb_header
        .long _load_start
        .long _load_end
        .long _image_end
        .long entry_multiboot

        .section .note.Xen, "a", @note
        .balign 4
        .long 4, 8, XEN_ELFNOTE_PHYS32_ENTRY
        .asciz "Xen"
        .quad entry_pvh

        .text
        .code32
        .globl entry_pvh, entry_multiboot
entry_pvh:
        mov $BOOT_PVH, %esi
        jmp start32
entry_multiboot:
        mov $BOOT_MULTIBOOT, %esi

start32: /* esi: protocol, ebx: its information */
        cli
        cld
        mov $boot_stack_end, %esp
        mov $_bss_start, %edi
        mov $_bss_end, %ecx
        sub %edi, %ecx
        xor %eax, %eax
        rep stosb
        mov %esi, boot_protocol
        mov %ebx, boot_info_addr

        /* one PML4 entry, four PDPT entries, 2048 pages of 2 MiB */
        mov $boot_pml4, %edi
        mov $(8192 / 4), %ecx
        rep stosl
        movl $boot_pdpt + 3, boot_pml4
        mov $boot_pdpt, %edi
        mov $boot_pd + 3, %eax
        mov $4, %ecx
1:      mov %eax, (%edi)
        add $8, %edi
        add $4096, %eax
        loop 1b
        mov $boot_pd, %edi
        mov $0x83, %eax /* present, writable, large */
        mov $2048, %ecx
2:      mov %eax, (%edi)
        movl $0, 4(%edi)
        add $8, %edi
        add $0x200000, %eax
        loop 2b

        lgdt boot_gdtr
        call enable_long_mode
        ljmp $SEL_CODE, $start64

        /* Turns on PAE, long mode, paging, write protection, and what SSE needs. */
        .globl enable_long_mode
enable_long_mode:
        mov %cr4, %eax
        or $0x620, %eax /* PAE, OSFXSR, OSXMMEXCPT */
        mov %eax, %cr4
        mov $boot_pml4, %eax
        mov %eax, %cr3
        mov $0xc0000080, %ecx /* EFER */
        rdmsr
        or $0x100, %eax
        wrmsr
        mov %cr0, %eax
        and $~0x6000000c, %eax /* CD, NW, EM, TS */
        or $0x80010023, %eax   /* PG, WP, NE, MP, PE */
        mov %eax, %cr0
        ret

        .code64
start64:
        call load_data_segments
        mov $boot_stack_end, %esp
        xor %ebp, %ebp
        call tiny_start
        ud2

load_data_segments:
        mov $SEL_DATA, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        xor %eax, %eax
        mov %eax, %fs
        mov %eax, %gs
        ret

        /* Application processor in long mode, edi: its index; the stack is its own. */
        .globl ap_start64
ap_start64:
        mov %edi, %eax
        inc %eax
        imul $STACK_BYTES, %eax, %eax
        lea cpu_stacks(%rax), %rsp
        mov %edi, %ebx
        call load_data_segments
        mov %ebx, %edi
        xor %ebp, %ebp
        call tiny_ap_start
        ud2

        .data
        .balign 16
        .globl gdt, boot_gdtr
gdt:    .quad 0
        .quad 0x00af9b000000ffff /* code, 64-bit */
        .quad 0x00cf93000000ffff /* data */
        .quad 0x00cffb000000ffff /* user code, 32-bit */
        .quad 0x00cff3000000ffff /* user data */
        .quad 0x00affb000000ffff /* user code, 64-bit */
        .quad 0x00cf9b000000ffff /* code, 32-bit */
        .quad 0x00009b000000ffff /* code, 16-bit, base 0 */
        .quad 0x000093000000ffff /* data, 16-bit limit, base 0 */
        .quad 0, 0               /* spare */
        .fill 2 * CPUS_MAX, 8, 0 /* a TSS for each CPU */
gdt_end:
        .balign 8
        .word 0
boot_gdtr:
        .word gdt_end - gdt - 1
        .quad gdt

        .globl boot_protocol, boot_info_addr
        .bss
boot_protocol:
        .long 0
boot_info_addr:
        .long 0

        .section .noinit, "aw", @nobits
        .balign 4096
        .globl boot_pml4, boot_pdpt, boot_pd, cpu_stacks, ist_stacks
boot_pml4:
        .skip 4096
boot_pdpt:
        .skip 4096
boot_pd:
        .skip 4 * 4096
cpu_stacks: /* the first is the boot processor's */
        .skip STACK_BYTES
boot_stack_end:
        .skip (CPUS_MAX - 1) * STACK_BYTES
ist_stacks:
        .skip CPUS_MAX * 3 * IST_BYTES

        .section .note.GNU-stack, "", @progbits
