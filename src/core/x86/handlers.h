/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * handlers: the tables of uop handlers from which the translator chooses.
 *
 * Operand sizes are indexed 0-3 for 8, 16, 32, 64 bits. Forms name destination and source: R
 * register, I immediate (u->imm), M memory at base+disp, X memory at base+index*scale+disp.
 * Where a table's first index is `nf`, [1] does not compute flags.
 */
#ifndef RUCHE_CORE_X86_HANDLERS_H
#define RUCHE_CORE_X86_HANDLERS_H

#include "core/x86/fpu.h"
#include "core/x86/uop.h"

enum form { F_RR, F_RI, F_RM, F_RX, F_MR, F_XR, F_MI, F_XI, FORMS };

enum alu_op { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP, ALU_TEST, ALU_OPS };
enum un_op { UN_INC, UN_DEC, UN_NOT, UN_NEG, UN_OPS };
enum shift_op { SH_ROL, SH_ROR, SH_RCL, SH_RCR, SH_SHL, SH_SHR, SH_SAL, SH_SAR, SH_OPS };

/* h_alu.c: d op= s; memory operand at b/x. */
extern uop_fn *const h_alu[2][ALU_OPS][4][FORMS];
extern uop_fn *const h_alu_lock[ALU_XOR + 1][4][2]; /* MR, MI; base+disp only */

/* h_un.c */
extern uop_fn *const h_un[2][UN_OPS][4][3]; /* R, M, X */
extern uop_fn *const h_un_lock[UN_OPS][4];
extern uop_fn *const h_shift[SH_OPS][4][4]; /* R by imm, R by CL, M by imm, M by CL */
extern uop_fn *const h_shift_imm[SH_OPS][4]; /* SHL SHR SAR of R by an imm that is not 0 */
extern uop_fn *const h_shift_nf[SH_OPS][4];  /* R by imm, 32 and 64 bits; may be NULL */
extern uop_fn *const h_shd[2][4][4];         /* SHLD, SHRD; forms as h_shift; s: source */

/* h_mov.c */
extern uop_fn *const h_mov[4][FORMS];
extern uop_fn *const h_movzx[2][4][3]; /* [8 or 16 from][to] RR, RM, RX */
extern uop_fn *const h_movsx[3][4][3];
extern uop_fn *const h_lea[4][2];      /* base+disp, base+index; by destination size */
extern uop_fn *const h_xchg[4][2];     /* RR, RM (locked) */
extern uop_fn *const h_cmov[16][4];    /* RR */
extern uop_fn *const h_setcc[16][2];   /* R, M */
extern uop_fn *const h_bswap[4];
extern uop_fn *const h_movbe[4][4];    /* RM, RX, MR, XR; 16, 32, 64 */
HANDLER(h_load_tmp8);
HANDLER(h_load_tmp16);
HANDLER(h_load_tmp32);
HANDLER(h_load_tmp64);
HANDLER(h_nop);
HANDLER(h_cbw);
HANDLER(h_cwde);
HANDLER(h_cdqe);
HANDLER(h_cwd);
HANDLER(h_cdq);
HANDLER(h_cqo);

/* h_muldiv.c: operand in register s (memory operands are loaded to tmp first). */
extern uop_fn *const h_mul[4], *const h_imul1[4], *const h_div[4], *const h_idiv[4];
extern uop_fn *const h_mul_nf[4];   /* may be NULL */
extern uop_fn *const h_imul2[2][4]; /* [nf]; d = s * d */
extern uop_fn *const h_imul3[2][4]; /* [nf]; d = s * imm */
HANDLER(h_aam);
HANDLER(h_aad);
HANDLER(h_daa);
HANDLER(h_das);
HANDLER(h_aaa);
HANDLER(h_aas);

/* h_bit.c */
enum bt_op { BT_T, BT_S, BT_R, BT_C };
extern uop_fn *const h_bt[4][4][2];  /* [op][size] register d: bit in register s, imm */
extern uop_fn *const h_btm[4][4][3]; /* memory b+disp: bit in register s (addresses beyond), imm,
                                      * bit in register s modulo size (after h_bit_ea) */
extern uop_fn *const h_btm_lock[4][4][3];
HANDLER(h_bit_ea);
enum bitcount { BC_BSF, BC_BSR, BC_TZCNT, BC_LZCNT, BC_POPCNT, BC_OPS };
extern uop_fn *const h_bitcount[BC_OPS][4]; /* d from s */
extern uop_fn *const h_xadd[4][3];          /* RR, M, M locked */
extern uop_fn *const h_cmpxchg[4][3];
HANDLER(h_cmpxchg8b);
HANDLER(h_cmpxchg16b);
extern uop_fn *const h_crc32[4];
extern uop_fn *const h_adx[2][2]; /* ADCX, ADOX; 32, 64 */

/* h_stack.c */
HANDLER(h_push64);
HANDLER(h_push64i);
HANDLER(h_pop64);
HANDLER(h_push); /* any stack; aux: operand bytes */
HANDLER(h_pushi);
HANDLER(h_pop);
HANDLER(h_popm); /* to memory at (b/x/seg), after the increment */
HANDLER(h_pusha);
HANDLER(h_popa);
HANDLER(h_pushf);
HANDLER(h_popf);
HANDLER(h_enter);
HANDLER(h_leave);
HANDLER(h_leave64);
HANDLER(h_push_seg);
HANDLER(h_pop_seg);

/* h_branch.c: ends of blocks. */
HANDLER(h_count);
HANDLER(h_jmp);      /* to next + disp; also the fall-through at a block's end with disp 0 */
HANDLER(h_jmp_linked);
HANDLER(h_jmp_cross);
extern uop_fn *const h_jcc[16]; /* not taken: the next uop, an h_jmp to the next instruction */
extern uop_fn *const h_jcc_linked[16], *const h_jcc_cross[16];
/* h_fused.c: a compare or test and the jump behind it:
 * [op][RR, RI][32, 64][cc][unlinked, linked, cross]. */
enum fused_op { FUSED_CMP, FUSED_TEST, FUSED_OPS };
extern uop_fn *const h_fused[FUSED_OPS][2][2][16][3];
/* h_pair.c: gives neighbours among `n` uops of a block, whose handlers are final, one handler. */
void pair_uops(struct uop *u, unsigned n);
HANDLER(h_call);     /* pushes aux bytes, jumps as h_jmp */
HANDLER(h_call64);
HANDLER(h_call64_linked);
HANDLER(h_call64_cross);
HANDLER(h_jmp_reg);  /* to s; aux: operand bytes */
HANDLER(h_call_reg);
HANDLER(h_ret64);    /* imm: bytes to release */
HANDLER(h_ret);
extern uop_fn *const h_loop[4]; /* LOOPNE LOOPE LOOP JCXZ; s: address size */
HANDLER(h_dead);     /* first uop of a dropped block */
HANDLER(h_span);     /* first uop of a SPAN block */

/* h_ea.c: effective address to c->ea. */
HANDLER(h_ea_base);   /* 64-bit: segment base (seg) + base + index + disp */
HANDLER(h_ea_const);  /* imm */
HANDLER(h_ea_32);     /* 64-bit mode, 67: low 32 bits, then segment base */
HANDLER(h_ea_flat);   /* legacy flat: low 32 bits */
HANDLER(h_ea_seg);    /* legacy: limit and rights; aux: bytes | EA_* */
HANDLER(h_ea_lea);    /* offset only, low imm mask */
enum { EA_WRITE = 0x8000, EA_A16 = 0x4000, EA_SIZE = 0x3ff };

/* h_string.c: d: element bytes; aux: address bytes; scale: 0, 2 REPNE, 3 REP/REPE. */
HANDLER(h_movs);
HANDLER(h_stos);
HANDLER(h_lods);
HANDLER(h_cmps);
HANDLER(h_scas);
HANDLER(h_ins);
HANDLER(h_outs);

/* h_fpu.c: any SSE instruction with plain operands; imm: its function. h_sse.c: those of
 * frequent ones, which do them without a call; NULL: none. */
HANDLER(h_sse_rr);
HANDLER(h_sse_rm4);
HANDLER(h_sse_rm8);
HANDLER(h_sse_rm16);
HANDLER(h_sse_mr4);
HANDLER(h_sse_mr8);
HANDLER(h_sse_mr16);
uop_fn *sse_hot(fpu_fn *function, bool mem);

/* h_flags.c */
HANDLER(h_cmc);
HANDLER(h_clc);
HANDLER(h_stc);
HANDLER(h_cld);
HANDLER(h_std);
HANDLER(h_cli);
HANDLER(h_sti);
HANDLER(h_lahf);
HANDLER(h_sahf);
HANDLER(h_salc);
HANDLER(h_xlat);

/* h_sys.c, h_seg.c */
HANDLER(h_ud);
HANDLER(h_gp);
HANDLER(h_too_long);
HANDLER(h_cpl0);      /* #GP unless CPL is 0 */
HANDLER(h_in);       /* aux: bytes; port in imm */
HANDLER(h_in_dx);
HANDLER(h_out);
HANDLER(h_out_dx);
HANDLER(h_hlt);
HANDLER(h_cpuid);
HANDLER(h_rdtsc);
HANDLER(h_rdtscp);
HANDLER(h_rdmsr);
HANDLER(h_wrmsr);
HANDLER(h_rdpmc);
HANDLER(h_mov_from_cr);
HANDLER(h_mov_to_cr);
HANDLER(h_mov_from_dr);
HANDLER(h_mov_to_dr);
HANDLER(h_clts);
HANDLER(h_lmsw);
HANDLER(h_smsw);
HANDLER(h_invlpg);
HANDLER(h_invd);
HANDLER(h_syscall);
HANDLER(h_sysret);
HANDLER(h_sysenter);
HANDLER(h_sysexit);
HANDLER(h_swapgs);
HANDLER(h_stac_clac);
HANDLER(h_vmcall);
HANDLER(h_int);
HANDLER(h_int1);
HANDLER(h_int3);
HANDLER(h_into);
HANDLER(h_iret);
HANDLER(h_sgdt);
HANDLER(h_lgdt);
HANDLER(h_sldt_str);
HANDLER(h_lldt);
HANDLER(h_ltr);
HANDLER(h_verr_verw);
HANDLER(h_lar_lsl);
HANDLER(h_arpl_r);
HANDLER(h_arpl_m);
HANDLER(h_mov_to_seg);
HANDLER(h_mov_from_seg);
HANDLER(h_load_far);   /* LES and the like */
HANDLER(h_jmp_far);
HANDLER(h_call_far);
HANDLER(h_jmp_far_mem);
HANDLER(h_call_far_mem);
HANDLER(h_ret_far);
HANDLER(h_bound);
HANDLER(h_rdrand);
HANDLER(h_rdpid);
HANDLER(h_fsgsbase);
HANDLER(h_fence);
HANDLER(h_pause);


#endif
