/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ctl: the control socket, both ends. One JSON object per line in both directions, see
 * ruche(1), PROTOCOL.
 *
 * Sockets lie in a directory of the user's own, mode 0600, one per instance. The server checks
 * who connects, bounds what it reads and what it keeps for a client that does not read, and
 * runs one command of a client at a time. Threads: main's.
 */
#ifndef RUCHE_CORE_CTL_H
#define RUCHE_CORE_CTL_H

#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>

struct session;
struct ctl_server;

enum {
    CTL_CLIENTS_MAX = 16,
    CTL_REPLY_MAX = 32 << 20,  /* bytes kept for a client that does not read */
    CTL_STREAM_ROOM = 1 << 20, /* a stream (`watch`) waits before that */
};

/* $XDG_RUNTIME_DIR/ruche, else /tmp/ruche-UID; made if `make`. NULL and `e` if it is not there
 * or not ours alone. Caller frees. */
char *ctl_dir(bool make, struct err *e);

/* Path of the socket of an instance: `name` with a `/` as it is, else DIR/name.sock. */
char *ctl_path(const char *name, bool make, struct err *e);

/* Listens. `path` NULL: named after the session, with the process id if that name is in use.
 * -EADDRINUSE: somebody answers there. */
struct ctl_server *ctl_server_new(struct session *s, const char *path, struct err *e);
void ctl_server_free(struct ctl_server *c); /* closes, removes the socket */

/* The other end: `ruche ctl`. Finds the instance (`path` NULL: the only one), runs one command
 * (one word: a whole line), copies what it says to stdout and stderr. Returns its status, 1 if
 * there is no instance. */
int ctl_client(const char *path, bool json, char *const *words, unsigned n);

#endif
