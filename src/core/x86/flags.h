/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flags: the arithmetic flags as LAHF and SETO leave them in AX: AH = SF ZF - AF - PF - CF,
 * AL = OF. The host computes them, so that also undefined ones are as on the host. Bits above
 * 15 are garbage.
 */
#ifndef RUCHE_CORE_X86_FLAGS_H
#define RUCHE_CORE_X86_FLAGS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    FL_OF = 1 << 0,
    FL_CF = 1 << 8,
    FL_PF = 1 << 10,
    FL_AF = 1 << 12,
    FL_ZF = 1 << 14,
    FL_SF = 1 << 15,
};

/* To and from the bits of RFLAGS. */
static inline uint64_t fl_to_rflags(uint64_t fl)
{
    return ((fl >> 8) & 0xd5) | ((fl & 1) << 11);
}

static inline uint64_t fl_from_rflags(uint64_t rf)
{
    return ((rf & 0xd5) << 8) | ((rf >> 11) & 1);
}

/* Condition `cc` of Jcc/SETcc/CMOVcc. A constant cc gives one test. */
static inline __attribute__((always_inline)) bool fl_cond(unsigned cc, uint64_t fl)
{
    bool r;

    switch (cc >> 1) {
    case 0: r = fl & FL_OF; break;
    case 1: r = fl & FL_CF; break;
    case 2: r = fl & FL_ZF; break;
    case 3: r = fl & (FL_CF | FL_ZF); break;
    case 4: r = fl & FL_SF; break;
    case 5: r = fl & FL_PF; break;
    case 6: r = ((fl >> 15) ^ fl) & 1; break;
    default: r = (fl & FL_ZF) | (((fl >> 15) ^ fl) & 1); break;
    }
    return r ^ (cc & 1);
}

/* Assembly that saves the host's flags to fl (in rax) / loads them from it (in rax). */
#define FL_SAVE "lahf\n\tseto %%al\n\t"
#define FL_LOAD "addb $127, %%al\n\tsahf\n\t"

#endif
