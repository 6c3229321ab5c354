/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * x87_stubs: one function for each of the 512 register encodings D8-DF C0-FF and the 64 memory
 * forms, X87_STEP bytes apart. The guest's stack is on the host's, so a function is the
 * instruction itself, with its memory operand at (%rdx). Encodings that are no instruction have a
 * function, too: x87.c never gives it out.
 *
 * FCMOVcc and FCOMI and their like get the guest's flags and give them back.
 *
 * In this file there is nothing for the compiler: assembler macros and their expansion.
 */
#include "core/x86/x87_int.h"

#include <stddef.h>

__attribute__((used)) static void offsets(void)
{
    __asm__ volatile(".set C_FL, %c0\n\t.set C_X87_SLOW, %c1"
                     :
                     : "i"(offsetof(struct scpu, fl)), "i"(offsetof(struct scpu, fpu.x87_slow)));
}

#define STR(x) #x
#define XSTR(x) STR(x)

/* clang-format off */
__asm__(
    ".macro x87_begin id\n"
    " cmpb $0, C_X87_SLOW(%rdi)\n jne .Lslow\\id\n"
    ".Lraw\\id:\n"
    ".endm\n"
    ".macro x87_end id\n"
    ".Lslow\\id:\n leaq .Lraw\\id(%rip), %r8\n jmp fpu_x87_slow_call\n"
    ".endm\n"
    ".macro x87_reg id\n"
    " x87_begin \\id\n"
    " .if (x87_op == 0xda || x87_op == 0xdb) && x87_rm < 0xe0 || "
          "(x87_op == 0xdb || x87_op == 0xdf) && x87_rm >= 0xe8 && x87_rm < 0xf8\n"
    "  movl C_FL(%rdi), %eax\n  addb $127, %al\n  sahf\n"
    "  .byte x87_op, x87_rm\n"
    "  lahf\n  seto %al\n  movzwl %ax, %eax\n  ret\n"
    " .else\n"
    "  .byte x87_op, x87_rm\n"
    "  xorl %eax, %eax\n  ret\n"
    " .endif\n"
    " x87_end \\id\n"
    ".endm\n"
    ".macro x87_mem id\n"
    " x87_begin \\id\n"
    " .byte x87_op, x87_rm\n"
    " xorl %eax, %eax\n ret\n"
    " x87_end \\id\n"
    ".endm\n"
    ".macro x87_slot form\n x87_\\form _\\@\n.endm\n"
    ".macro x87_table name form first last by\n"
    " .text\n .balign 16\n .hidden \\name\n .globl \\name\n .type \\name, @function\n"
    "\\name:\n"
    " .set x87_n, 0\n"
    " .set x87_op, 0xd8\n"
    " .rept 8\n"
    "  .set x87_rm, \\first\n"
    "  .rept (\\last - \\first) / \\by + 1\n"
    "   x87_slot \\form\n"
    "   .set x87_n, x87_n + 1\n"
    "   .set x87_rm, x87_rm + \\by\n"
    "   .org \\name + x87_n * X87_STEP, 0xcc\n"
    "  .endr\n"
    "  .set x87_op, x87_op + 1\n"
    " .endr\n"
    " .size \\name, . - \\name\n"
    ".endm\n"
    ".set X87_STEP, " XSTR(X87_STEP) "\n"
    "x87_table fpu_x87_reg reg 0xc0 0xff 1\n"
    "x87_table fpu_x87_mem mem 0x02 0x3a 8\n");
