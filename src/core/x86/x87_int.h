/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * x87_int: the tables of functions that x87_stubs.c makes for x87.c.
 */
#ifndef RUCHE_CORE_X86_X87_INT_H
#define RUCHE_CORE_X86_X87_INT_H

#include "core/x86/fpu_int.h"

#define X87_STEP 48 /* bytes from one function to the next; the assembler checks that they fit */

extern const char fpu_x87_reg[]; /* [opcode & 7][modrm & 63] */
extern const char fpu_x87_mem[]; /* [opcode & 7][modrm.reg] */

#endif
