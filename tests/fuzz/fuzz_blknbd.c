/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * An NBD server that answers anything: what it will say lies in the socket from the beginning.
 * After it has lost the connection the client must fail, and stay within the buffers it was given.
 */
#include "devices/blknbd.h"
#include "devices/iov.h"
#include "fuzz/input.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OPS_MAX = 20, BYTES_MAX = 4096 };

static int one(struct blknbd *n, struct input *in)
{
    uint8_t buf[BYTES_MAX] = {0};
    const uint64_t op = take(in, 1), off = take(in, 2) * 512;
    struct iovec v = {buf, (take(in, 1) % 8 + 1) * 512};
    struct iov it = {&v, 1};

    switch (op % 5) {
    case 0:
        return blknbd_read(n, &it, off, v.iov_len);
    case 1:
        return blknbd_write(n, &it, off, v.iov_len);
    case 2:
        return blknbd_flush(n);
    case 3:
        return blknbd_zero(n, off, v.iov_len, op & 64);
    default:
        return blknbd_discard(n, off, v.iov_len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct blknbd *n;
    int pair[2];

    signal(SIGPIPE, SIG_IGN);
    if (size < 100 || size > 16 << 10 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        return 0;
    take(&in, 8); /* operations come from the front, answers are what is behind them */
    if (buf_send(pair[1], data + 80, size - 80) < 0)
        abort();
    shutdown(pair[1], SHUT_WR);
    n = blknbd_new(pair[0], 100, NULL);
    for (int i = 0; n && i < OPS_MAX; i++)
        if (one(n, &in) == 0 && blknbd_lost(n))
            abort();
    if (n && (blknbd_size_bytes(n) == 0 || blknbd_size_bytes(n) % 512))
        abort();
    blknbd_free(n);
    close(pair[1]);
    return 0;
}
