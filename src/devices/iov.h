/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * iov: a row of buffers that is used up from the front, as a disk or a network does with what
 * a request names. The buffers are guest memory: their bytes may change at any time, their
 * addresses and lengths were checked by who made the row.
 */
#ifndef RUCHE_DEVICES_IOV_H
#define RUCHE_DEVICES_IOV_H

#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct iov {
    struct iovec *v; /* changed by the functions below */
    unsigned n;
    bool at_once; /* read only what the host has in memory: -EAGAIN if that is not all, -EOPNOTSUPP if it cannot tell */
};

size_t iov_bytes(const struct iov *it);

/* Drops `len` bytes at the front / at the end (or all, if there are fewer). */
void iov_skip(struct iov *it, size_t len);
void iov_cut(struct iov *it, size_t len);

/* Fills `len` bytes with zeros, and drops them. */
void iov_zero(struct iov *it, size_t len);

/* Transfers exactly `len` bytes from/to `fd` at `off` and drops them: 0 or -errno. The end of
 * the file is -EIO when reading. */
int iov_pread(struct iov *it, int fd, uint64_t off, size_t len) RUCHE_MUST_CHECK;
int iov_pwrite(struct iov *it, int fd, uint64_t off, size_t len) RUCHE_MUST_CHECK;

/* The same from/to a stream (a socket). -EAGAIN: it took longer than the stream allows. */
int iov_recv(struct iov *it, int fd, size_t len) RUCHE_MUST_CHECK;
int iov_send(struct iov *it, int fd, size_t len) RUCHE_MUST_CHECK;

/* The same for one buffer of our own. */
int buf_recv(int fd, void *buf, size_t len) RUCHE_MUST_CHECK;
int buf_send(int fd, const void *buf, size_t len) RUCHE_MUST_CHECK;
int buf_pread(int fd, uint64_t off, void *buf, size_t len) RUCHE_MUST_CHECK;
int buf_pwrite(int fd, uint64_t off, const void *buf, size_t len) RUCHE_MUST_CHECK;

#endif
