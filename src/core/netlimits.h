/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * netlimits: how fast and how faithful a network link is, and how people write it.
 */
#ifndef RUCHE_CORE_NETLIMITS_H
#define RUCHE_CORE_NETLIMITS_H

#include "core/err.h"

#include <stdint.h>

struct link_limits {
    uint64_t rate_bits; /* per second and direction, 0: none */
    uint64_t delay_ns;  /* added in each direction */
    uint32_t loss_ppm;  /* of a million frames in each direction */
};

/* `rate` is `10M`, `800kbit`; `delay` is `20ms`; `loss` is `2.5%`; each may be `none`. -ENOENT (e unset): `key` is none
 * of them. */
int link_limits_set(struct link_limits *l, const char *key, const char *value, struct err *e);

/* "rate=10Mbit delay=5ms loss=1%" */
const char *link_limits_text(char out[96], const struct link_limits *l);

#endif
