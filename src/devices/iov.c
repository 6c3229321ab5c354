/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * iov: see iov.h.
 */
#include "devices/iov.h"

#include <errno.h>
#include <string.h>

size_t iov_bytes(const struct iov *it)
{
    size_t sum = 0;

    for (unsigned i = 0; i < it->n; i++)
        sum += it->v[i].iov_len;
    return sum;
}

void iov_skip(struct iov *it, size_t len)
{
    while (it->n && len >= it->v->iov_len) {
        len -= it->v->iov_len;
        it->v++;
        it->n--;
    }
    if (it->n && len) {
        it->v->iov_base = (uint8_t *)it->v->iov_base + len;
        it->v->iov_len -= len;
    }
}

void iov_cut(struct iov *it, size_t len)
{
    while (it->n && len >= it->v[it->n - 1].iov_len)
        len -= it->v[--it->n].iov_len;
    if (it->n)
        it->v[it->n - 1].iov_len -= len;
}

void iov_zero(struct iov *it, size_t len)
{
    while (it->n && len) {
        size_t n = it->v->iov_len < len ? it->v->iov_len : len;

        memset(it->v->iov_base, 0, n);
        iov_skip(it, n);
        len -= n;
    }
}

#define STREAM UINT64_MAX /* as an offset: it has none */

static ssize_t call(struct iov *it, int n, int fd, uint64_t off, bool write)
{
    if (off == STREAM)
        return write ? writev(fd, it->v, n) : readv(fd, it->v, n);
    if (it->at_once)
        return preadv2(fd, it->v, n, (off_t)off, RWF_NOWAIT);
    return write ? pwritev(fd, it->v, n, (off_t)off) : preadv(fd, it->v, n, (off_t)off);
}

/* One system call for at most `len` bytes; the entry that sticks out is shortened meanwhile. */
static ssize_t transfer(struct iov *it, int fd, uint64_t off, size_t len, bool write)
{
    size_t sum = 0, over;
    unsigned k = 0;
    ssize_t r;

    while (k < it->n && sum < len)
        sum += it->v[k++].iov_len;
    if (sum == 0)
        return 0;
    over = sum > len ? sum - len : 0;
    it->v[k - 1].iov_len -= over;
    r = call(it, (int)k, fd, off, write);
    it->v[k - 1].iov_len += over;
    return r < 0 ? -errno : r;
}

static int transfer_all(struct iov *it, int fd, uint64_t off, size_t len, bool write)
{
    while (len) {
        ssize_t r = transfer(it, fd, off, len, write);

        if (r == -EINTR)
            continue;
        if (r <= 0)
            return r ? (int)r : -EIO;
        iov_skip(it, (size_t)r);
        if (off != STREAM)
            off += (uint64_t)r;
        len -= (size_t)r;
    }
    return 0;
}

int iov_pread(struct iov *it, int fd, uint64_t off, size_t len)
{
    return transfer_all(it, fd, off, len, false);
}

int iov_pwrite(struct iov *it, int fd, uint64_t off, size_t len)
{
    return transfer_all(it, fd, off, len, true);
}

int iov_recv(struct iov *it, int fd, size_t len)
{
    return transfer_all(it, fd, STREAM, len, false);
}

int iov_send(struct iov *it, int fd, size_t len)
{
    return transfer_all(it, fd, STREAM, len, true);
}

static int transfer_buf(int fd, uint64_t off, void *buf, size_t len, bool write)
{
    struct iovec v = {.iov_base = buf, .iov_len = len};

    return transfer_all(&(struct iov){.v = &v, .n = 1}, fd, off, len, write);
}

int buf_pread(int fd, uint64_t off, void *buf, size_t len)
{
    return transfer_buf(fd, off, buf, len, false);
}

int buf_pwrite(int fd, uint64_t off, const void *buf, size_t len)
{
    return transfer_buf(fd, off, (void *)(uintptr_t)buf, len, true);
}

int buf_recv(int fd, void *buf, size_t len)
{
    return transfer_buf(fd, STREAM, buf, len, false);
}

int buf_send(int fd, const void *buf, size_t len)
{
    return transfer_buf(fd, STREAM, (void *)(uintptr_t)buf, len, true);
}
