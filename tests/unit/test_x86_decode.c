/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * test_x86_decode: lengths of instructions against Zydis, and that the decoder never reads
 * further than it was told.
 */
#include "core/x86/decode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>
#include <cmocka.h>

static uint64_t seed = 0x243f6a8885a308d3ull;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void random_bytes(uint8_t *b)
{
    static const uint8_t prefixes[] = {0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x64, 0x65, 0xf0, 0x48, 0x41, 0x0f, 0x0f};
    unsigned n = (unsigned)(rnd() >> 60) % 4;

    for (unsigned i = 0; i < 16; i++)
        b[i] = (uint8_t)(rnd() >> 24);
    for (unsigned i = 0; i < n; i++)
        b[i] = prefixes[(rnd() >> 24) % sizeof prefixes];
}

/* Where we follow AMD and Zydis follows Intel: 66 before near branches in 64-bit mode. */
static bool differs_on_amd(const ZydisDecodedInstruction *z, const struct insn *i)
{
    return z->machine_mode == ZYDIS_MACHINE_MODE_LONG_64 && i->p66 && z->meta.branch_type == ZYDIS_BRANCH_TYPE_NEAR;
}

/* Not on our CPU, #UD whatever their length. */
static bool undefined_here(const ZydisDecodedInstruction *z)
{
    switch (z->meta.isa_ext) {
    case ZYDIS_ISA_EXT_SSE4A: case ZYDIS_ISA_EXT_PADLOCK: case ZYDIS_ISA_EXT_XOP: return true;
    default: return z->encoding >= ZYDIS_INSTRUCTION_ENCODING_EVEX || z->encoding == ZYDIS_INSTRUCTION_ENCODING_3DNOW ||
                    z->encoding == ZYDIS_INSTRUCTION_ENCODING_XOP;
    }
}

static void compare(ZydisMachineMode mode, ZydisStackWidth width, unsigned bits)
{
    ZydisDecoder d;
    unsigned valid = 0, wrong = 0;

    ZydisDecoderInit(&d, mode, width);
    for (unsigned k = 0; k < 400000; k++) {
        ZydisDecodedInstruction z;
        struct insn i;
        uint8_t b[16];
        int len;

        random_bytes(b);
        len = insn_decode(&i, b, 15, bits);
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&d, NULL, b, 15, &z)))
            continue;
        if (undefined_here(&z) || differs_on_amd(&z, &i))
            continue;
        valid++;
        if (len != z.length && wrong++ < 10)
            print_error("%u-bit %02x %02x %02x %02x %02x %02x: %d, Zydis says %u (%s)\n", bits, b[0], b[1], b[2],
                     b[3], b[4], b[5], len, z.length, ZydisMnemonicGetString(z.mnemonic));
    }
    assert_true(valid > 100000);
    assert_int_equal(wrong, 0);
}

static void lengths_of_64_bit_code_are_those_of_zydis(void **state)
{
    (void)state;
    compare(ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64, 64);
}

static void lengths_of_32_bit_code_are_those_of_zydis(void **state)
{
    (void)state;
    compare(ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32, 32);
}

static void lengths_of_16_bit_code_are_those_of_zydis(void **state)
{
    (void)state;
    compare(ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16, 16);
}

static void truncated_code_asks_for_more_and_is_not_read_over(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 100000; k++) {
        uint8_t b[16];
        struct insn i, j;
        int len;

        random_bytes(b);
        len = insn_decode(&i, b, 15, 64);
        if (len <= 1)
            continue;
        for (unsigned avail = 0; avail < (unsigned)len; avail++) {
            uint8_t *exact = malloc(avail ? avail : 1); /* the sanitizers watch its end */

            memcpy(exact, b, avail);
            assert_int_equal(insn_decode(&j, exact, avail, 64), DECODE_MORE);
            free(exact);
        }
    }
}

static void fifteen_prefixes_are_too_long(void **state)
{
    uint8_t b[16];
    struct insn i;

    (void)state;
    memset(b, 0x66, sizeof b);
    assert_int_equal(insn_decode(&i, b, 15, 64), DECODE_TOO_LONG);
    b[14] = 0x90;
    assert_int_equal(insn_decode(&i, b, 15, 64), 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_of_64_bit_code_are_those_of_zydis),
        cmocka_unit_test(lengths_of_32_bit_code_are_those_of_zydis),
        cmocka_unit_test(lengths_of_16_bit_code_are_those_of_zydis),
        cmocka_unit_test(truncated_code_asks_for_more_and_is_not_read_over),
        cmocka_unit_test(fifteen_prefixes_are_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
