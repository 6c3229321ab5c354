/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * lab_words: a lab of one guest from KEY=VALUE words, as `create` and `ruche run` have them.
 */
#ifndef RUCHE_CORE_LAB_WORDS_H
#define RUCHE_CORE_LAB_WORDS_H

#include "core/lab.h"

/* Keys are those of a guest in the lab file; `disk=PATH[,readonly][,overlay[=FILE]][,size=SIZE]...`
 * may stand more than once. Paths are relative to the working directory. NULL and `e`. */
struct lab *lab_from_words(const char *name, char *const *words, unsigned n, const struct lab_host *h,
                           struct err *e);

#endif
