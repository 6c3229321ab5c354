/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * conlog: a guest's console written to a file as it comes, bounded in size.
 *
 * When the file has reached its size it becomes FILE.1 (FILE.1 becomes FILE.2, ...) and a new
 * one begins; the oldest goes. What existed before is never overwritten. Bytes that came
 * faster than they could be written are counted in the file. Threads: main's.
 */
#ifndef RUCHE_CORE_CONLOG_H
#define RUCHE_CORE_CONLOG_H

#include "core/board.h"
#include "core/err.h"

#include <stdbool.h>
#include <stdint.h>

struct conlog;
struct guest;
struct session;

struct conlog_params {
    const char *path;
    bool append;
    uint64_t size_bytes; /* of one file */
    unsigned keep;       /* older files besides, 0..9 */
};

enum { CONLOG_SIZE_DEFAULT = 64 << 20, CONLOG_KEEP_DEFAULT = 1 };

/* Begins with what the guest says from now on. NULL and `e`: -EEXIST if a file of that name is
 * there and `append` is not set. */
struct conlog *conlog_new(struct session *s, struct guest *g, enum board_console c,
                          const struct conlog_params *p, struct err *e);
void conlog_free(struct conlog *l); /* writes what is left */
const char *conlog_path(const struct conlog *l);

#endif
