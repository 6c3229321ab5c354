/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sse_stubs: the functions behind the rows of sse_ops.h. Each is the host's instruction with its
 * operands brought to fixed registers; the opcode bytes come from the row, so a function cannot
 * disagree with the table. Where an immediate follows there is one copy per immediate that makes
 * a difference, a fixed distance apart (FPU_IMM_STEP), and fpu_bind computes the address.
 *
 * On entry (System V): rdi = scpu, rsi = operand of modrm.reg, rdx = operand of modrm.rm; xmm0-xmm2,
 * mm0, rax, r8 are free. Returns 0 or the flags in rax.
 *
 * In this file there is nothing for the compiler: assembler macros and their expansion.
 */
#include "core/x86/fpu_int.h"

#include <stddef.h>

/* Offsets into struct scpu for the macros below. */
__attribute__((used)) static void offsets(void)
{
    __asm__ volatile(".set C_GPR, %c0\n\t.set C_FX, %c1\n\t.set C_MMX_SLOW, %c2\n\t.set C_MX_TRAP, %c3"
                     :
                     : "i"(offsetof(struct scpu, gpr)), "i"(offsetof(struct scpu, fx)),
                       "i"(offsetof(struct scpu, fpu.mmx_slow)), "i"(offsetof(struct scpu, fpu.mx_trap)));
}

/* clang-format off */

/* One instruction. `imm` 256: none. Register operands are 0 (and 1), memory is (%rdx) or (%r8);
 * rexb is 1 for the latter. */
__asm__(
    ".macro insn pfx map op sel modrm imm rexb=0\n"
    " .if \\pfx\n  .byte \\pfx\n .endif\n"
    " .if ((\\sel) & 8) | \\rexb\n  .byte 0x40 | ((\\sel) & 8) | \\rexb\n .endif\n"
    " .byte 0x0f\n"
    " .if \\map == 2\n  .byte 0x38\n .endif\n"
    " .if \\map == 3\n  .byte 0x3a\n .endif\n"
    " .byte \\op, \\modrm\n"
    " .if \\imm < 256\n  .byte \\imm\n .endif\n"
    ".endm\n"
    ".macro done\n xorl %eax, %eax\n ret\n.endm\n"

    /* Guest has SIMD exceptions unmasked: fpu_mx_trap calls what follows the test. */
    ".macro trap_test id\n"
    " cmpb $0, C_MX_TRAP(%rdi)\n jne .Ltrap\\id\n"
    ".Lraw\\id:\n"
    ".endm\n"
    ".macro trap_jump id\n"
    ".Ltrap\\id:\n leaq .Lraw\\id(%rip), %r8\n jmp fpu_mx_trap\n"
    ".endm\n"
    /* MMX registers are in c->fx, TOP is 0 and all tags are valid. */
    ".macro mmx_test id\n"
    " cmpb $0, C_MMX_SLOW(%rdi)\n jne .Lmslow\\id\n"
    ".Lmgo\\id:\n"
    ".endm\n"
    ".macro mmx_jump id\n"
    ".Lmslow\\id:\n call fpu_mmx_begin_stub\n jmp .Lmgo\\id\n"
    ".endm\n");

/* SSE forms. */
__asm__(
    /* reg = f(reg, rm) */
    ".macro form_VW pfx map op sel imm id\n"
    " movaps (%rsi), %xmm0\n insn \\pfx \\map \\op 0 0x02 \\imm\n movaps %xmm0, (%rsi)\n done\n"
    ".endm\n"
    ".macro form_VWi pfx map op sel imm id\n form_VW \\pfx \\map \\op 0 \\imm \\id\n.endm\n"
    ".macro form_VWX pfx map op sel imm id\n"
    " trap_test \\id\n form_VW \\pfx \\map \\op 0 \\imm \\id\n trap_jump \\id\n"
    ".endm\n"
    ".macro form_VWXi pfx map op sel imm id\n form_VWX \\pfx \\map \\op 0 \\imm \\id\n.endm\n"
    /* the same, XMM0 is a third operand */
    ".macro form_VW0 pfx map op sel imm id\n"
    " movaps C_FX+160(%rdi), %xmm0\n movaps (%rsi), %xmm1\n insn \\pfx \\map \\op 0 0x0a \\imm\n"
    " movaps %xmm1, (%rsi)\n done\n"
    ".endm\n"
    /* SHA: AMD takes its memory operand misaligned, Intel does not; this way both do */
    ".macro form_VWU pfx map op sel imm id\n"
    " movaps (%rsi), %xmm0\n movups (%rdx), %xmm1\n insn \\pfx \\map \\op 0 0xc1 \\imm\n"
    " movaps %xmm0, (%rsi)\n done\n"
    ".endm\n"
    ".macro form_VWUi pfx map op sel imm id\n form_VWU \\pfx \\map \\op 0 \\imm \\id\n.endm\n"
    ".macro form_VWU0 pfx map op sel imm id\n"
    " movaps C_FX+160(%rdi), %xmm0\n movaps (%rsi), %xmm1\n movups (%rdx), %xmm2\n"
    " insn \\pfx \\map \\op 0 0xca \\imm\n movaps %xmm1, (%rsi)\n done\n"
    ".endm\n"
    /* reg = f(reg, rm), where the register form is another instruction than the memory form */
    ".macro form_VU pfx map op sel imm id\n"
    " movaps (%rsi), %xmm0\n movaps (%rdx), %xmm1\n insn \\pfx \\map \\op 0 0xc1 \\imm\n"
    " movaps %xmm0, (%rsi)\n done\n"
    ".endm\n"
    ".macro form_VUi pfx map op sel imm id\n form_VU \\pfx \\map \\op 0 \\imm \\id\n.endm\n"
    /* reg = f(rm); rm = reg; the same by an ordinary store */
    ".macro form_LD pfx map op sel imm id\n"
    " insn \\pfx \\map \\op 0 0x02 \\imm\n movaps %xmm0, (%rsi)\n done\n"
    ".endm\n"
    ".macro form_ST pfx map op sel imm id\n"
    " movaps (%rsi), %xmm0\n insn \\pfx \\map \\op \\sel 0x02 \\imm\n done\n"
    ".endm\n"
    ".macro form_STi pfx map op sel imm id\n form_ST \\pfx \\map \\op \"\\sel\" \\imm \\id\n.endm\n"
    ".macro form_NT pfx map op sel imm id\n"
    " movaps (%rsi), %xmm0\n movaps %xmm0, (%rdx)\n done\n"
    ".endm\n"
    /* rm = low half of reg, register form of 66 0F D6 */
    ".macro form_UVq pfx map op sel imm id\n"
    " movq (%rsi), %xmm0\n movaps %xmm0, (%rdx)\n done\n"
    ".endm\n"
    /* rm = f(rm), opcode extension in modrm.reg */
    ".macro form_UVi pfx map op sel imm id\n"
    " movaps (%rdx), %xmm0\n insn \\pfx \\map \\op 0 \"(0xc0 | ((\\sel) >> 5 << 3))\" \\imm\n"
    " movaps %xmm0, (%rdx)\n done\n"
    ".endm\n"
    /* general registers: reg = f(rm); rm = f(reg); reg = f(reg, rm) with a general rm */
    ".macro form_GU pfx map op sel imm id\n"
    " movaps (%rdx), %xmm0\n insn \\pfx \\map \\op \"\\sel\" 0xc0 \\imm\n movq %rax, (%rsi)\n done\n"
    ".endm\n"
    ".macro form_GUi pfx map op sel imm id\n form_GU \\pfx \\map \\op \"\\sel\" \\imm \\id\n.endm\n"
    ".macro form_GWX pfx map op sel imm id\n"
    " trap_test \\id\n insn \\pfx \\map \\op \"\\sel\" 0x02 \\imm\n movq %rax, (%rsi)\n done\n trap_jump \\id\n"
    ".endm\n"
    ".macro form_EVr pfx map op sel imm id\n"
    " movaps (%rsi), %xmm0\n insn \\pfx \\map \\op \"\\sel\" 0xc0 \\imm\n movq %rax, (%rdx)\n done\n"
    ".endm\n"
    ".macro form_EVri pfx map op sel imm id\n form_EVr \\pfx \\map \\op \"\\sel\" \\imm \\id\n.endm\n"
    ".macro form_VE pfx map op sel imm id\n"
    " movaps (%rsi), %xmm0\n insn \\pfx \\map \\op \"\\sel\" 0x02 \\imm\n movaps %xmm0, (%rsi)\n done\n"
    ".endm\n"
    ".macro form_VEi pfx map op sel imm id\n form_VE \\pfx \\map \\op \"\\sel\" \\imm \\id\n.endm\n"
    ".macro form_VEX pfx map op sel imm id\n"
    " trap_test \\id\n form_VE \\pfx \\map \\op \"\\sel\" \\imm \\id\n trap_jump \\id\n"
    ".endm\n"
    /* flags = f(reg, rm) */
    ".macro form_FW pfx map op sel imm id\n"
    " movaps (%rsi), %xmm0\n movl $0, %eax\n insn \\pfx \\map \\op 0 0x02 \\imm\n lahf\n ret\n"
    ".endm\n"
    ".macro form_FWX pfx map op sel imm id\n"
    " trap_test \\id\n form_FW \\pfx \\map \\op 0 \\imm \\id\n trap_jump \\id\n"
    ".endm\n"
    /* PCMPxSTRx: explicit or implicit length, mask to XMM0 or index to ECX */
    ".macro pcmpstr_end\n lahf\n seto %al\n movzwl %ax, %eax\n ret\n.endm\n"
    ".macro pcmpstr_lengths\n"
    " movq %rdx, %r8\n movaps (%rsi), %xmm0\n movq C_GPR(%rdi), %rax\n movq C_GPR+16(%rdi), %rdx\n"
    ".endm\n"
    ".macro form_ESM pfx map op sel imm id\n"
    " movaps (%rsi), %xmm1\n movq %rdx, %r8\n movq C_GPR(%rdi), %rax\n movq C_GPR+16(%rdi), %rdx\n"
    " insn \\pfx \\map \\op \"\\sel\" 0x08 \\imm 1\n movaps %xmm0, C_FX+160(%rdi)\n pcmpstr_end\n"
    ".endm\n"
    ".macro form_ESI pfx map op sel imm id\n"
    " pcmpstr_lengths\n insn \\pfx \\map \\op \"\\sel\" 0x00 \\imm 1\n movq %rcx, C_GPR+8(%rdi)\n pcmpstr_end\n"
    ".endm\n"
    ".macro form_ISM pfx map op sel imm id\n"
    " movaps (%rsi), %xmm1\n insn \\pfx \\map \\op 0 0x0a \\imm\n movaps %xmm0, C_FX+160(%rdi)\n pcmpstr_end\n"
    ".endm\n"
    ".macro form_ISI pfx map op sel imm id\n"
    " movaps (%rsi), %xmm0\n insn \\pfx \\map \\op 0 0x02 \\imm\n movq %rcx, C_GPR+8(%rdi)\n pcmpstr_end\n"
    ".endm\n");

/* MMX forms. A register written gets all ones in the bits above 63 (SDM 1 9.2). */
__asm__(
    ".macro put_mm dst\n movq %mm0, (%\\dst)\n movw $-1, 8(%\\dst)\n done\n.endm\n"
    ".macro put_rax dst\n movq %rax, (%\\dst)\n movw $-1, 8(%\\dst)\n done\n.endm\n"
    ".macro form_PQ pfx map op sel imm id\n"
    " mmx_test \\id\n movq (%rsi), %mm0\n insn \\pfx \\map \\op 0 0x02 \\imm\n put_mm rsi\n mmx_jump \\id\n"
    ".endm\n"
    ".macro form_PQi pfx map op sel imm id\n form_PQ \\pfx \\map \\op 0 \\imm \\id\n.endm\n"
    ".macro form_PEi pfx map op sel imm id\n form_PQ \\pfx \\map \\op 0 \\imm \\id\n.endm\n"
    ".macro form_NQi pfx map op sel imm id\n"
    " mmx_test \\id\n movq (%rdx), %mm0\n insn \\pfx \\map \\op 0 \"(0xc0 | ((\\sel) >> 5 << 3))\" \\imm\n"
    " put_mm rdx\n mmx_jump \\id\n"
    ".endm\n"
    ".macro form_PLD4 pfx map op sel imm id\n mmx_test \\id\n movl (%rdx), %eax\n put_rax rsi\n mmx_jump \\id\n.endm\n"
    ".macro form_PLD8 pfx map op sel imm id\n mmx_test \\id\n movq (%rdx), %rax\n put_rax rsi\n mmx_jump \\id\n.endm\n"
    ".macro form_PLQ pfx map op sel imm id\n form_PLD8 0 0 0 0 0 \\id\n.endm\n"
    ".macro form_PU pfx map op sel imm id\n form_PLD8 0 0 0 0 0 \\id\n.endm\n"
    ".macro form_PMV pfx map op sel imm id\n mmx_test \\id\n movq (%rsi), %rax\n put_rax rdx\n mmx_jump \\id\n.endm\n"
    ".macro form_PST4 pfx map op sel imm id\n"
    " mmx_test \\id\n movl (%rsi), %eax\n movl %eax, (%rdx)\n done\n mmx_jump \\id\n"
    ".endm\n"
    ".macro form_PST8 pfx map op sel imm id\n"
    " mmx_test \\id\n movq (%rsi), %rax\n movq %rax, (%rdx)\n done\n mmx_jump \\id\n"
    ".endm\n"
    ".macro form_GP4 pfx map op sel imm id\n"
    " mmx_test \\id\n movl (%rsi), %eax\n movq %rax, (%rdx)\n done\n mmx_jump \\id\n"
    ".endm\n"
    ".macro form_GP8 pfx map op sel imm id\n form_PST8 0 0 0 0 0 \\id\n.endm\n"
    ".macro form_GP pfx map op sel imm id\n"
    " mmx_test \\id\n movq (%rdx), %mm0\n insn \\pfx \\map \\op 0 0xc0 \\imm\n movq %rax, (%rsi)\n done\n"
    " mmx_jump \\id\n"
    ".endm\n"
    ".macro form_GPi pfx map op sel imm id\n form_GP \\pfx \\map \\op 0 \\imm \\id\n.endm\n"
    ".macro form_VN pfx map op sel imm id\n"
    " mmx_test \\id\n movq (%rdx), %xmm0\n movaps %xmm0, (%rsi)\n done\n mmx_jump \\id\n"
    ".endm\n"
    /* conversions between MMX and XMM */
    ".macro form_PWX pfx map op sel imm id\n"
    " trap_test \\id\n mmx_test \\id\n insn \\pfx \\map \\op 0 0x02 \\imm\n put_mm rsi\n"
    " mmx_jump \\id\n trap_jump \\id\n"
    ".endm\n"
    ".macro form_VQX pfx map op sel imm id\n"
    " trap_test \\id\n mmx_test \\id\n movaps (%rsi), %xmm0\n insn \\pfx \\map \\op 0 0x02 \\imm\n"
    " movaps %xmm0, (%rsi)\n done\n mmx_jump \\id\n trap_jump \\id\n"
    ".endm\n"
    /* done by the caller */
    ".macro form_MASKP pfx map op sel imm id\n done\n.endm\n"
    ".macro form_MASKV pfx map op sel imm id\n done\n.endm\n"

    ".macro row name form pfx map op sel top step\n"
    " .text\n .balign 16\n .hidden fpu_i_\\name\n .globl fpu_i_\\name\n .type fpu_i_\\name, @function\n"
    "fpu_i_\\name:\n"
    " .if \\top == 0\n"
    "  form_\\form \\pfx \\map \\op \"\\sel\" 256 _\\@\n"
    " .else\n"
    "  .set imm_i, 0\n"
    "  .rept \\top + 1\n"
    "   row_slot \\form \\pfx \\map \\op \"\\sel\"\n"
    "   .set imm_i, imm_i + 1\n"
    "   .org fpu_i_\\name + imm_i * \\step, 0xcc\n" /* an error if a copy is too long */
    "  .endr\n"
    " .endif\n"
    " .size fpu_i_\\name, . - fpu_i_\\name\n"
    ".endm\n"
    ".macro row_slot form pfx map op sel\n form_\\form \\pfx \\map \\op \"\\sel\" imm_i _\\@\n.endm\n"

    /* fpu_mmx_begin, for those who keep their operands in registers */
    ".text\n .balign 16\n"
    "fpu_mmx_begin_stub:\n"
    " pushq %rdi\n pushq %rsi\n pushq %rdx\n pushq %r8\n"
    " call fpu_mmx_begin\n"
    " popq %r8\n popq %rdx\n popq %rsi\n popq %rdi\n ret\n");

#define STR(x) #x
#define XSTR(x) STR(x)
#define SSE_HEAD(name, pfx, map, op, sel, form, mem, align, ext, mask, top)                        \
    __asm__("row " #name " " #form " " #pfx " " #map " " #op " \"" XSTR(sel) "\" " #top " " XSTR(FPU_IMM_STEP_##form));
#define SSE_ALSO SSE_HEAD
#include "core/x86/sse_ops.h"
