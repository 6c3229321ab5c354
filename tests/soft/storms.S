/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * storms: tiny hostile guests, each an endless loop of something costly or odd for the software
 * CPU. tests/soft/storms.py assembles this once for each, with -DSTORM=NAME; a flat binary for
 * 0000:7c00. All but the last few run in flat 32-bit mode with paging (4 MiB pages, the first
 * 16 MiB mapped) and an IDT whose gates all lead to `storm_handler`.
 */
#define CAT_(a, b) a##b
#define CAT(a, b) CAT_(a, b)
#define IS(name) (CAT(is_, STORM) == CAT(is_, name))

#define is_page_faults 1
#define is_double_faults 2
#define is_rep_mmio 3
#define is_rep_ports 4
#define is_self_modifying 5
#define is_ipis 6
#define is_ticks 7
#define is_cli_hlt 8
#define is_mov_ss 9
#define is_sti_shadow 10
#define is_page_ends 11
#define is_single_step 12
#define is_cr3 13
#define is_split_locks 14
#define is_fresh_code 15
#define is_no_bios 16
#define is_invalid_opcodes 17
#define is_breakpoints 18
#define is_far_calls 19
#define is_fault_in_rep 20
#define is_task_switches 21
#define is_vm86 22

PAGE_DIR = 0x10000
IDT = 0x11000
STACK = 0x20000
TSS1 = 0x30000
TSS2 = 0x30100
DATA = 0x400000

    .code16
    .globl _start
_start:
    cli
    xorw %ax, %ax
    movw %ax, %ds
#if IS(no_bios)
    sti
    int $0x10 /* the vectors are zero: on through whatever memory holds */
1:  jmp 1b
#endif
    lgdtl gdtr
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $8, $start32

    .code32
start32:
    movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $STACK, %esp
    movl $PAGE_DIR, %edi
    movl $0x87, %eax /* present, writable, user, 4 MiB */
    movl $4, %ecx
1:  stosl
    addl $0x400000, %eax
    loop 1b
    movl $PAGE_DIR + 0x300 * 4, %edi /* 3 GiB up: devices, and nothing */
    movl $0xc0000087, %eax
    movl $0x100, %ecx
1:  stosl
    addl $0x400000, %eax
    loop 1b
    movl $IDT, %edi
    movl $256, %ecx
1:  movl $(0x80000 + storm_handler - _start + 0x7c00), %eax
    stosl
    movl $0x8e00, %eax
    stosl
    loop 1b
    lidtl idtr
    movl $PAGE_DIR, %eax
    movl %eax, %cr3
    movl $0x10, %eax
    movl %eax, %cr4
    movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    cld

    movl $TSS1, %edi
    movl $0x80, %ecx
    xorl %eax, %eax
    rep stosl
    movl $STACK - 0x1000, TSS1 + 4
    movl $16, TSS1 + 8
    movw $0x18, %ax
    ltr %ax

storm:
#if IS(page_faults)
    movl $0x10000000, %ebx
1:  incl (%ebx) /* the handler comes back here */
    jmp 1b
storm_handler:
    addl $4, %esp
    iret
#elif IS(double_faults)
    movb $0, IDT + 11 * 8 + 5 /* no gate for #NP */
    movb $0, IDT + 0x40 * 8 + 5
1:  int $0x40
storm_handler:
    movl $STACK, %esp
    jmp 1b
#elif IS(rep_mmio)
1:  movl $0xd0000000, %edi
    movl $0xffffffff, %ecx
    rep stosb
    jmp 1b
storm_handler:
    iret
#elif IS(rep_ports)
1:  movl $DATA, %esi
    movl $0xffffffff, %ecx
    movw $0x80, %dx
    rep outsb
storm_handler:
    movl $STACK, %esp
    movl $DATA, %edi
    movl $0xffffffff, %ecx
    rep insb
    jmp 1b
#elif IS(self_modifying)
1:  incl 2f + 1
2:  movl $0, %eax
    addb $1, 3f + 1
3:  movb $0, %al
    jmp 1b
storm_handler:
    iret
#elif IS(ipis)
    movl $0xfee000f0, %eax
    movl $0x1ff, (%eax) /* the local APIC is on */
    movl $0x00040040, 0xfee00300 /* to self, vector 0x40 */
    sti
1:  jmp 1b
storm_handler:
    movl $0, 0xfee000b0
    movl $0x00040040, 0xfee00300
    iret
#elif IS(ticks)
    movb $0x34, %al
    outb %al, $0x43
    movb $2, %al /* the PIT's fastest */
    outb %al, $0x40
    movb $0, %al
    outb %al, $0x40
    movb $0x11, %al
    outb %al, $0x20
    movb $0x20, %al
    outb %al, $0x21
    movb $4, %al
    outb %al, $0x21
    movb $1, %al
    outb %al, $0x21
    movb $0xfe, %al
    outb %al, $0x21
    sti
1:  hlt
    jmp 1b
storm_handler:
    movb $0x20, %al
    outb %al, $0x20
    iret
#elif IS(cli_hlt)
1:  cli
    hlt
    jmp 1b
storm_handler:
    iret
#elif IS(mov_ss)
    movw $16, %ax
    sti
1:  .rept 1000
    movw %ax, %ss
    .endr
    jmp 1b
storm_handler:
    iret
#elif IS(sti_shadow)
1:  cli
    sti
    cli
    sti
    jmp 1b
storm_handler:
    iret
#elif IS(page_ends)
1:  movl $0xffffff, %ecx
    movl $DATA + 1, %esi
    movl $DATA + 0xffe, %edi
    rep movsl
    std
    movl $0xfffff, %ecx
    movl $DATA + 0x700fff, %esi
    movl $DATA + 0x700ffd, %edi
    rep cmpsl
    movl $0xfffff, %ecx
    rep movsw
    cld
    jmp 1b
storm_handler: /* past the mapped end */
    movl $STACK, %esp
    jmp 1b
#elif IS(single_step)
    pushl $0x102
    popfl
1:  incl %eax
    jmp 1b
storm_handler:
    iret
#elif IS(cr3)
1:  movl %cr3, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    xorl $0x80, %eax
    movl %eax, %cr4
    invlpg DATA
    wbinvd
    jmp 1b
storm_handler:
    iret
#elif IS(split_locks)
1:  lock incl DATA + 0xffe
    lock xaddl %eax, 0xd0000ffe
    jmp 1b
storm_handler:
    iret
#elif IS(fresh_code) /* more code than any cache of decoded blocks holds */
    movl $DATA, %edi
    movl $0xbffff0, %ecx
    movb $0x40, %al /* inc eax */
    rep stosb
    movb $0xc3, (%edi)
1:  movl $DATA, %ebx
    call *%ebx
    jmp 1b
storm_handler:
    iret
#elif IS(invalid_opcodes)
1:  ud2
    jmp 1b
storm_handler:
    iret /* to the same one */
#elif IS(breakpoints)
    movl $DATA, %eax
    movl %eax, %dr0
    movl $0x000f0002, %eax /* reads and writes of 4 bytes */
    movl %eax, %dr7
1:  incl DATA
    jmp 1b
storm_handler:
    iret
#elif IS(far_calls)
1:  lcall $8, $2f
    movw $16, %ax
    movw %ax, %fs
    verw %ax
    jmp 1b
2:  lret
storm_handler:
    iret
#elif IS(fault_in_rep) /* faults again and again in the midst of a REP, having done a page each time */
1:  movl $0x1000000 - 0x1000, %edi
    movl $0xffffffff, %ecx
    rep stosl
storm_handler:
    movl $STACK, %esp
    jmp 1b
#elif IS(task_switches) /* to and fro, each with the debug trap of the T flag */
    movl $PAGE_DIR, TSS1 + 0x1c
    movl $1, TSS1 + 0x64
    movl $PAGE_DIR, TSS2 + 0x1c
    movl $2f, TSS2 + 0x20
    movl $2, TSS2 + 0x24
    movl $STACK - 0x2000, TSS2 + 0x38
    movl $16, TSS2 + 0x48
    movl $8, TSS2 + 0x4c
    movl $16, TSS2 + 0x50
    movl $16, TSS2 + 0x54
    movl $1, TSS2 + 0x64
1:  lcall $0x20, $0
    jmp 1b
2:  iret
    jmp 2b
storm_handler:
    iret
#elif IS(vm86) /* a monitor that sends the guest back to what it may not do */
    xorl %eax, %eax
    pushl %eax
    pushl %eax
    pushl %eax
    pushl %eax
    pushl %eax
    pushl $0x7000
    pushl $0x20002
    pushl %eax
    pushl $1f
    iret
1:  cli
storm_handler:
    addl $4, %esp
    iret
#else
storm_handler:
    iret
#endif

    .align 8
gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x0000890300000067, 0x0000890301000067
gdtr:
    .word . - gdt - 1
    .long gdt
idtr:
    .word 0x7ff
    .long IDT
