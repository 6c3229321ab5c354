/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * disasm: machine code as text (Intel syntax), by Zydis. The only file that knows it.
 */
#ifndef RUCHE_CORE_DISASM_H
#define RUCHE_CORE_DISASM_H

#include <stddef.h>
#include <stdint.h>

enum { DISASM_TEXT = 96 };

/* The instruction at `code`, of at most `len` bytes, which lies at `addr`. `bits` 16, 32 or 64.
 * Returns its length, or 0 if it is none (or goes on past `len`). */
size_t disasm_one(const uint8_t *code, size_t len, uint64_t addr, unsigned bits, char out[DISASM_TEXT]);

#endif
