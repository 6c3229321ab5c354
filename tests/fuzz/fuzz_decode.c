/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The instruction decoder on any bytes, in all three code sizes: it reads no byte that it was not
 * given (a copy of exactly that size tells ASan), needs no more bytes than the length it reports,
 * answers the same with more of them, never exceeds 15, and agrees on the length with Zydis where
 * that knows the instruction.
 */
#include "core/x86/decode.h"

#include <Zydis/Zydis.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            __builtin_trap();                                                                      \
    } while (0)

static int decode_exact(struct insn *i, const uint8_t *data, unsigned n, unsigned bits)
{
    uint8_t *copy = malloc(n ? n : 1);
    int len;

    memcpy(copy, data, n);
    len = insn_decode(i, copy, n, bits);
    free(copy);
    return len;
}

static void check_fields(const struct insn *i, unsigned bits)
{
    unsigned regs = bits == 64 ? 16 : 8;

    CHECK(i->map <= MAP_0F3A);
    CHECK(i->mod <= 3);
    CHECK(i->reg < regs && i->rm < regs);
    CHECK(i->base == REG_NONE || i->base < regs);
    CHECK(i->index == REG_NONE || i->index < regs);
    CHECK(i->scale <= 3);
    CHECK(i->opsize == 2 || i->opsize == 4 || (i->opsize == 8 && bits == 64));
    CHECK(i->adsize == 2 || i->adsize == 4 || (i->adsize == 8 && bits == 64));
    CHECK(bits == 64 || !i->riprel);
}

/* Length with `n` bytes at hand; what is found with fewer is "more". */
static int check_prefixes_of(const uint8_t *data, unsigned n, unsigned bits)
{
    struct insn whole, part;
    int len = decode_exact(&whole, data, n, bits);

    CHECK(len <= INSN_MAX && len <= (int)n);
    CHECK(len > 0 || len == DECODE_MORE || len == DECODE_TOO_LONG || len == DECODE_UD);
    CHECK(len != DECODE_TOO_LONG || n >= INSN_MAX);
    CHECK(len != DECODE_MORE || n < INSN_MAX);
    if (len > 0)
        check_fields(&whole, bits);
    for (unsigned k = 0; k < n; k++) {
        int l = decode_exact(&part, data, k, bits);
        if (len > 0 && (int)k >= len)
            CHECK(l == len && memcmp(&part, &whole, sizeof part) == 0);
        else
            CHECK(l == DECODE_MORE || l == DECODE_UD || (l == DECODE_TOO_LONG && k >= INSN_MAX));
    }
    return len;
}

static void compare_zydis(const uint8_t *data, unsigned n, unsigned bits, int len)
{
    ZydisDecoder d;
    ZydisDecodedInstruction z;

    ZydisDecoderInit(&d, bits == 64 ? ZYDIS_MACHINE_MODE_LONG_64
                         : bits == 32 ? ZYDIS_MACHINE_MODE_LEGACY_32 : ZYDIS_MACHINE_MODE_LEGACY_16,
                     bits == 64 ? ZYDIS_STACK_WIDTH_64 : bits == 32 ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16);
    /* our processor is an AMD: 66 makes a near branch in 64-bit code a 16-bit one, as APM volume 3 says */
    ZydisDecoderEnableMode(&d, ZYDIS_DECODER_MODE_AMD_BRANCHES, ZYAN_TRUE);
    /* SSE4a has two immediates; to us it is #UD, of whatever length */
    if (ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&d, NULL, data, n, &z)) &&
        z.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY && z.meta.isa_ext != ZYDIS_ISA_EXT_SSE4A)
        CHECK(len == z.length || len == DECODE_UD);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t all_bits[] = {16, 32, 64};
    unsigned n = size > 18 ? 18 : (unsigned)size;

    for (unsigned i = 0; i < sizeof all_bits; i++) {
        int len = check_prefixes_of(data, n, all_bits[i]);
        compare_zydis(data, n, all_bits[i], len);
    }
    return 0;
}
