/* SPDX-License-Identifier: GPL-3.0-or-later
 * A boot sector that asks the BIOS for all it has, and says what it got; then an echo of what is
 * typed, until `r`: it begins anew by the old way, a jump to FFFF:0000.
 */
    .code16
    .intel_syntax noprefix
    .globl _start
_start:
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov si, offset greeting
1:  lodsb
    or al, al
    jz 2f
    call say
    jmp 1b
2:  mov ax, 0x1301
    mov bp, offset text
    mov cx, 6
    int 0x10
    mov al, 'b'             /* base memory, KiB */
    call say
    int 0x12
    call hex
    mov al, 'x'             /* extended memory, KiB */
    call say
    mov ah, 0x88
    int 0x15
    call hex
    mov al, 'm'             /* the map: type, bits 16-31 of start and of size */
    call say
    xor ebx, ebx
3:  mov eax, 0xe820
    mov edx, 0x534d4150
    mov ecx, 20
    mov di, 0x500
    int 0x15
    jc 4f
    mov al, [0x510]
    add al, '0'
    call say
    mov ax, [0x502]
    call hex
    mov ax, [0x50a]
    call hex
    test ebx, ebx
    jnz 3b
4:  mov ax, 0x0201          /* a sector: there is no such service */
    int 0x13
    mov al, 'd'
    adc al, 0
    call say
    mov al, 'w'
    call say
5:  mov ah, 1               /* until something is typed */
    int 0x16
    jz 5b
    mov ah, 0
    int 0x16
    cmp al, 'r'
    je 6f
    call say
    jmp 5b
6:  jmp 0xffff:0

say:
    mov ah, 0x0e
    int 0x10
    ret
hex:
    mov cx, 4
1:  rol ax, 4
    push ax
    and al, 15
    cmp al, 10
    jb 2f
    add al, 7
2:  add al, '0'
    call say
    pop ax
    loop 1b
    mov al, ' '
    jmp say

greeting:
    .asciz "hello by int 10h\r\n"
text:
    .ascii "string"
    .org 510
    .word 0xaa55
