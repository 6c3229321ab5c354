/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * doctor: what this host can do for guests, and how to mend what it cannot.
 */
#ifndef RUCHE_CORE_DOCTOR_H
#define RUCHE_CORE_DOCTOR_H

#include "core/accel.h"
#include "core/text.h"

#include <stdbool.h>

/* Looks at everything; `engines` best first, NULL at the end. One paragraph a finding, beginning
 * with ok, warn or fail. True if guests can run. */
bool doctor_examine(const struct accel_ops *const *engines, struct text *out);

#endif
