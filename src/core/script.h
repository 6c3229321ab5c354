/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * script: commands from --exec and from files, one after the other; the first that fails ends it.
 *
 * A file is read as commands are done, so that it may be a pipe that somebody writes to. Lines
 * are bounded by CMD_LINE_MAX. Threads: main's.
 */
#ifndef RUCHE_CORE_SCRIPT_H
#define RUCHE_CORE_SCRIPT_H

#include "core/cmd.h"

struct script;

/* What the commands say goes to `out` (its `done` and `opaque` stay unused by the script but
 * for `write`); `end` is called once, from the loop, with the status of the last command. */
struct script *script_new(struct session *s, const struct cmd_client *out,
                          void (*end)(void *arg, int status), void *arg, struct err *e);
void script_free(struct script *x); /* also before its end */

/* Appends a command, or the lines of a file ("-": standard input). -ENOENT ... */
int script_add_line(struct script *x, const char *line, struct err *e);
int script_add_file(struct script *x, const char *path, struct err *e);

/* Begins; later calls are without effect. */
void script_go(struct script *x);

/* Ends the command that runs now (Ctrl-C). */
void script_cancel(struct script *x);

#endif
