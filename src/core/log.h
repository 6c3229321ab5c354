/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * log: diagnostics of the program itself, one line each, to a file or stderr.
 *
 * A singleton (one of two; the other is the terminal). Any thread may call it.
 * What a guest can trigger goes through a `struct log_limit`: at most `burst`
 * lines a second per limiter; what is dropped is counted and said later.
 */
#ifndef RUCHE_CORE_LOG_H
#define RUCHE_CORE_LOG_H

#include <stdatomic.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct log_limit {
    _Atomic uint64_t window_ns; /* start of the current second */
    _Atomic uint32_t used;      /* lines in it */
    _Atomic uint64_t dropped;   /* lines never written, monotonic */
};

/* Opens `path` for appending (NULL: stderr). 0 or -errno. Called before threads exist. */
int log_open(const char *path, enum log_level max);
void log_close(void);
void log_set_level(enum log_level max);

void log_msg(enum log_level l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Like log_msg, at most 10 lines a second for this limiter. */
void log_limited(struct log_limit *lim, enum log_level l, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
