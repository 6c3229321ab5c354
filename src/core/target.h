/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * target: which guests a word means.
 *
 * `NAME`, `NAME.vcpu` (`web.0`), glob (`web*`, `c?ll`), range (`n[1-8]`), `@group`, `all`. A
 * pattern must match at least one guest; all of these give guests in the order of the lab.
 */
#ifndef RUCHE_CORE_TARGET_H
#define RUCHE_CORE_TARGET_H

#include "core/err.h"

#include <stdbool.h>

struct guest;
struct session;

struct target {
    struct guest *g;
    int vcpu; /* -1: the whole guest */
};

struct targets {
    unsigned n;
    struct target *t;
};

/* Adds what `word` means; who is there already is not added again. -ENOENT and a suggestion,
 * -EINVAL: a vCPU that the guest does not have. */
int targets_add(struct targets *t, struct session *s, const char *word, struct err *e);
void targets_free(struct targets *t);

enum { TARGET_PART_MAX = 128 };

/* Splits `web*.lan` at its last dot into guests and a `*part` of each (NULL: no dot). False: too long. */
bool target_split(const char *text, char guests[TARGET_PART_MAX], const char **part);

/* Does the name match the pattern (`*`, `?`, `[a-b]` as numbers)? */
bool target_match(const char *pattern, const char *name);

#endif
