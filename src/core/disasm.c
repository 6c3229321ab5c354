/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * disasm: see disasm.h.
 */
#include "core/disasm.h"

#include <Zydis/Zydis.h>

#include <stdio.h>

size_t disasm_one(const uint8_t *code, size_t len, uint64_t addr, unsigned bits, char out[DISASM_TEXT])
{
    ZydisMachineMode mode = bits == 64   ? ZYDIS_MACHINE_MODE_LONG_64
                            : bits == 32 ? ZYDIS_MACHINE_MODE_LEGACY_32
                                         : ZYDIS_MACHINE_MODE_LEGACY_16;
    ZydisDisassembledInstruction in;

    if (!ZYAN_SUCCESS(ZydisDisassembleIntel(mode, addr, code, len, &in)))
        return 0;
    snprintf(out, DISASM_TEXT, "%s", in.text);
    return in.info.length;
}
