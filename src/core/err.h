/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * err: why something failed, as a code and one sentence that says what to do.
 *
 * Who returns an error fills this; who shows it to a person prints it, once.
 * Functions that fill a `struct err` accept NULL where the caller does not care.
 */
#ifndef RUCHE_CORE_ERR_H
#define RUCHE_CORE_ERR_H

#include <stdarg.h>

enum { ERR_TEXT = 500 }; /* who passes a sentence on has as much room: what to do stands at its end */

struct err {
    int code;           /* errno value, 0: no error */
    char msg[ERR_TEXT]; /* one sentence, no trailing newline */
};

/* Fills `e` (may be NULL) and returns -code, so that `return err_set(e, EINVAL, ...)` works. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts a prefix ("guest web: ") before the sentence that is there. */
void err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define RUCHE_MUST_CHECK __attribute__((warn_unused_result))

#endif
