/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * blknbd: the client's side of the NBD protocol on a connected stream socket, one request at a
 * time, each answered before the next is sent. It starts no server and knows no file, see blkqemu.h.
 *
 * The server is not believed: what it sends is checked, and the first thing that does not fit, an
 * end of the stream or an answer that does not come in time ends the connection for good. From then on
 * everything fails with -EIO; blknbd_lost tells why.
 *
 * Specification: the NBD project's doc/proto.md: fixed newstyle negotiation with NBD_OPT_GO, the
 * default export, simple replies.
 * Threads: one at a time, but for blknbd_size_bytes and _readonly.
 */
#ifndef RUCHE_DEVICES_BLKNBD_H
#define RUCHE_DEVICES_BLKNBD_H

#include "core/err.h"

#include <stdbool.h>
#include <stdint.h>

struct blknbd;
struct iov;

/* Negotiates on `fd` (taken, also on failure). Each send and receive may take `timeout_ms`. */
struct blknbd *blknbd_new(int fd, unsigned timeout_ms, struct err *e);
void blknbd_free(struct blknbd *n); /* says good bye; NULL is legal */

uint64_t blknbd_size_bytes(const struct blknbd *n);
bool blknbd_readonly(const struct blknbd *n);

/* 0 or -errno: -ENOSPC as in blkfile.h, else -EIO. `it` loses what was transferred. The range is
 * inside the disk. */
int blknbd_read(struct blknbd *n, struct iov *it, uint64_t off, uint64_t len) RUCHE_MUST_CHECK;
int blknbd_write(struct blknbd *n, struct iov *it, uint64_t off, uint64_t len) RUCHE_MUST_CHECK;
int blknbd_flush(struct blknbd *n) RUCHE_MUST_CHECK;
int blknbd_zero(struct blknbd *n, uint64_t off, uint64_t len, bool unmap) RUCHE_MUST_CHECK;
int blknbd_discard(struct blknbd *n, uint64_t off, uint64_t len) RUCHE_MUST_CHECK;

/* NULL while it is connected, else a short reason. */
const char *blknbd_lost(const struct blknbd *n);

#endif
