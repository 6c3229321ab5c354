/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * x86_walk: from a linear address of a vCPU to a guest physical one, by the guest's own page
 * tables (SDM 3A chapter 4): none, 32-bit, PAE, 4 and 5 levels.
 *
 * For looking inside a paused guest; sets no accessed bits, checks no rights.
 */
#ifndef RUCHE_CORE_X86_WALK_H
#define RUCHE_CORE_X86_WALK_H

#include "core/err.h"
#include "core/x86_regs.h"

#include <stddef.h>
#include <stdint.h>

struct x86_walk {
    const struct x86_regs *regs;
    int (*read)(void *opaque, uint64_t gpa, void *buf, size_t len, struct err *e);
    void *opaque;
};

/* Size of code at CS:RIP: 16, 32 or 64. */
unsigned x86_code_bits(const struct x86_regs *r);

int x86_translate(const struct x86_walk *w, uint64_t linear, uint64_t *gpa, struct err *e);

/* Copies from linear memory, page by page. Returns how much could be read before a page that is
 * not mapped or no memory (then `e` says which), or `len`. */
size_t x86_read_linear(const struct x86_walk *w, uint64_t linear, void *buf, size_t len, struct err *e);

#endif
