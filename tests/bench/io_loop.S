/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * io_loop: what one port write costs, measured by the guest itself. Real mode, position
 * independent, no stack. Seven rounds of ROUND times `out 0xe9`; after each it prints the TSC
 * ticks of the round in hex and a newline on COM1, at the end it leaves through port 0xf4.
 */
        .code16
        .set ROUND, 20000
        .globl _start
_start:
        cli
        mov $7, %bp
round:
        rdtsc
        mov %eax, %esi
        mov $ROUND, %ecx
1:      out %al, $0xe9
        dec %ecx
        jnz 1b
        rdtsc
        sub %esi, %eax
        mov %eax, %ebx
        mov $8, %cx             /* eight hex digits, high first */
        mov $0x3f8, %dx
2:      rol $4, %ebx
        mov %bl, %al
        and $15, %al
        add $'0', %al
        cmp $'9', %al
        jbe 3f
        add $'a'-'0'-10, %al
3:      out %al, %dx
        dec %cx
        jnz 2b
        mov $10, %al
        out %al, %dx
        dec %bp
        jnz round
        xor %al, %al
        out %al, $0xf4
4:      hlt
        jmp 4b
        .org 510                /* a boot sector, so that every loader knows where it goes */
        .word 0xaa55
