/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * t_legacy: 32-bit protected mode (as Multiboot kernels use it) and real mode (as start-up code
 * uses it): judges what legacy.S found.
 */
#include "selftest.h"

extern u32 legacy_out[32];
extern u16 real_out[128];
extern const u8 pm32_test[], real_test[];

void test_legacy(void)
{
    const u32 *o = legacy_out;

    pic_mask(4, true);
    legacy_call(pm32_test);
    trap_init_cpu(0); /* TR was taken */
    check_eq("legacy.paging_off", o[0] >> 31, 0);
    check_eq("legacy.int", o[1], 0x30);
    check_eq("legacy.int_pushes_cs", o[2], SEL_CODE32);
    check("legacy.gp_selector", o[3] == 0xfff8 && o[4] == 13);
    check_eq("legacy.ud", o[5], 6);
    check_eq("legacy.de", o[6], 0);
    check("legacy.gate_not_present", o[7] == 11 && o[8] == 0x29 * 8 + 2);
    check_eq("legacy.push_segment", o[9], 4);
    check_eq("legacy.page_4k", o[10], 0x12345678);
    check_eq("legacy.page_4k_a_d", o[11], 0x60);
    check_eq("legacy.page_4m_a_d", o[12], 0x60);
    check("legacy.pf_absent", o[13] == 14 && o[14] == 0x40001000);
    check("legacy.pf_read_only", o[15] == 3 && o[16] == 0x40002004);
    check_eq("legacy.pae", o[17], 0x9abcdef0);
    check_eq("legacy.pae_a_d", o[18], 0x60);
    check_eq("legacy.pae_absent", o[19], 0);
    check("legacy.user", o[20] == (SEL_UCODE32 | 3) && o[21] == (SEL_UDATA | 3) && o[22]);
    check_eq("legacy.iret_takes_segments", o[26], 0);
    check_eq("legacy.user_cli_faults", o[24], 0);
    check_eq("legacy.ltr_busy", o[25], 0x8b00);
}

void test_real(void)
{
    const u16 *o = real_out;

    pic_mask(4, true);
    legacy_call(real_test);
    check("real.entered", o[0] == 0x600d);
    check("real.left", o[1] == 0x600d);
    check_eq("real.int_masks", o[2] & 0x200, 0);
    check_eq("real.iret_unmasks", o[3] & 0x200, 0x200);
    check_eq("real.de", o[4], 1);
    check_eq("real.ud", o[5], 1);
    check_eq("real.into", o[6], 1);
    check_eq("real.segment_base", o[7], 0xbeef);
    check_eq("real.above_1m", o[8], mmio16(0x102000));
    check("real.sp_wraps", o[9] == 0xfffe && o[10] == 0x4321);
    check_eq("real.far_call", o[11], 0x600);
    check_eq("real.address_32", o[12], 'e' | 'a' << 8);
    check_eq("real.loop_cx", o[13], 0x2345);
    check("real.movsb", !memcmp(&o[14], "real", 4));
    check_eq("real.pushal", o[16], 0x7f00 - 32);
    check_eq("real.smsw", o[17], 0);
    check("real.single_step", o[18] >= 4 && o[18] <= 7);
    check_eq("real.byte_at_limit", o[19] & 0xff, 0x12);
    if (under_tcg())
        skip("real.word_across_limit", "TCG checks no limits");
    else
        check_eq("real.word_across_limit", o[20], 1);
    check_eq("real.offset_wraps", o[21] & 0xff, 1);
    check("real.pit_interrupts", o[22] >= 3);
}
