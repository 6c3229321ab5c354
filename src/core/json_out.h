/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * json_out: writes JSON into a text, in the order in which it is told.
 *
 * Commas and quoting are its business, that what is opened is closed is the caller's. `key` is
 * NULL inside arrays and for the outermost value. Strings that are no UTF-8 come out as UTF-8
 * with U+FFFD where it was broken.
 */
#ifndef RUCHE_CORE_JSON_OUT_H
#define RUCHE_CORE_JSON_OUT_H

#include "core/text.h"

#include <stdbool.h>
#include <stdint.h>

struct json_out {
    struct text *t;
    bool comma; /* before the next value */
};

void jout_begin(struct json_out *j, const char *key, char bracket); /* '{' or '[' */
void jout_end(struct json_out *j, char bracket);                    /* '}' or ']' */
void jout_str(struct json_out *j, const char *key, const char *s);  /* NULL: null */
void jout_strn(struct json_out *j, const char *key, const char *s, size_t len);
void jout_u64(struct json_out *j, const char *key, uint64_t v);
void jout_bool(struct json_out *j, const char *key, bool v);
void jout_null(struct json_out *j, const char *key);

/* With `decimals` digits behind the point; null if it is not a finite number. */
void jout_num(struct json_out *j, const char *key, double v, unsigned decimals);

/* JSON that is text already. */
void jout_raw(struct json_out *j, const char *key, const char *json, size_t len);

#endif
