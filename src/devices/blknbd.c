/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * blknbd: see blknbd.h. Section names are those of the NBD project's doc/proto.md.
 */
#include "devices/blknbd.h"

#include "devices/iov.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define NBD_MAGIC 0x4e42444d41474943ull /* "NBDMAGIC" */
#define OPTION_MAGIC 0x49484156454f5054ull /* "IHAVEOPT" */
#define OPTION_REPLY_MAGIC 0x0003e889045565a9ull

enum {
    REQUEST_MAGIC = 0x25609513,
    REPLY_MAGIC = 0x67446698,
    FLAG_FIXED_NEWSTYLE = 1 << 0, /* handshake flags */
    FLAG_NO_ZEROES = 1 << 1,
    OPT_GO = 7,
    REP_ACK = 1,
    REP_INFO = 3,
    INFO_EXPORT = 0,
    INFO_BLOCK_SIZE = 3,
    SEND_READ_ONLY = 1 << 1, /* transmission flags */
    SEND_FLUSH = 1 << 2,
    SEND_TRIM = 1 << 5,
    SEND_WRITE_ZEROES = 1 << 6,
    CMD_READ = 0,
    CMD_WRITE = 1,
    CMD_DISC = 2,
    CMD_FLUSH = 3,
    CMD_TRIM = 4,
    CMD_WRITE_ZEROES = 6,
    CMD_FLAG_NO_HOLE = 1 << 1,
    ERROR_ENOSPC = 28,
    OPTION_REPLIES_MAX = 16,    /* to one option: more makes no sense */
    OPTION_DATA_MAX = 4096,
    PAYLOAD_MAX = 32 << 20,     /* "Block size constraints": what every server takes */
    RANGE_MAX = 1 << 30,        /* of a command without payload */
    SECTOR = 512,
};

struct request {
    uint32_t magic;
    uint16_t flags, type;
    uint64_t cookie, offset;
    uint32_t length;
} __attribute__((packed));

struct reply {
    uint32_t magic, error;
    uint64_t cookie;
} __attribute__((packed));

struct option {
    uint64_t magic;
    uint32_t option, length;
} __attribute__((packed));

struct option_reply {
    uint64_t magic;
    uint32_t option, type, length;
} __attribute__((packed));

_Static_assert(sizeof(struct request) == 28, "Request message");
_Static_assert(sizeof(struct reply) == 16, "Simple reply message");
_Static_assert(sizeof(struct option) == 16, "Newstyle negotiation");
_Static_assert(sizeof(struct option_reply) == 20, "Fixed newstyle negotiation");

struct blknbd {
    int fd;
    const char *lost; /* NULL: connected */
    uint64_t size_bytes;
    uint64_t cookie; /* of the last request */
    uint32_t payload_max;
    uint16_t flags; /* transmission flags */
};

/* The connection is over; -EIO. */
static int lose(struct blknbd *n, const char *why)
{
    if (!n->lost)
        n->lost = why;
    shutdown(n->fd, SHUT_RDWR);
    return -EIO;
}

/* What a transfer on the socket returned. */
static int checked(struct blknbd *n, int r)
{
    if (r == 0)
        return 0;
    return lose(n, r == -EAGAIN ? "it does not answer" : "it has ended");
}

/* ---- negotiation ---- */

static int greet(struct blknbd *n)
{
    struct {
        uint64_t magic, option_magic;
        uint16_t flags;
    } __attribute__((packed)) hello;
    uint32_t mine = FLAG_FIXED_NEWSTYLE;
    int r = checked(n, buf_recv(n->fd, &hello, sizeof hello));

    if (r < 0)
        return r;
    if (be64toh(hello.magic) != NBD_MAGIC || be64toh(hello.option_magic) != OPTION_MAGIC ||
        !(be16toh(hello.flags) & FLAG_FIXED_NEWSTYLE))
        return lose(n, "it speaks no NBD that we know");
    mine |= be16toh(hello.flags) & FLAG_NO_ZEROES;
    mine = htobe32(mine);
    return checked(n, buf_send(n->fd, &mine, sizeof mine));
}

/* NBD_OPT_GO for the default export, asking for its block sizes. */
static int ask(struct blknbd *n)
{
    struct {
        struct option o;
        uint32_t name_bytes;
        uint16_t infos, info;
    } __attribute__((packed)) go = {
        .o = {htobe64(OPTION_MAGIC), htobe32(OPT_GO), htobe32(8)},
        .infos = htobe16(1), .info = htobe16(INFO_BLOCK_SIZE),
    };

    return checked(n, buf_send(n->fd, &go, sizeof go));
}

static uint64_t get_be(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

static int take_info(struct blknbd *n, const uint8_t *data, uint32_t len)
{
    const unsigned kind = len >= 2 ? (unsigned)get_be(data, 2) : UINT16_MAX;

    if (kind == INFO_EXPORT && len == 12) {
        n->size_bytes = get_be(data + 2, 8);
        n->flags = (uint16_t)get_be(data + 10, 2);
        return 0;
    }
    if (kind == INFO_BLOCK_SIZE && len == 14) {
        const uint64_t least = get_be(data + 2, 4), most = get_be(data + 10, 4);

        if (least > SECTOR || most < SECTOR)
            return lose(n, "it takes no sectors of 512 bytes");
        n->payload_max = most < PAYLOAD_MAX ? (uint32_t)most & -SECTOR : PAYLOAD_MAX;
        return 0;
    }
    return kind == INFO_EXPORT || kind == INFO_BLOCK_SIZE ? lose(n, "its answer is garbled") : 0;
}

/* 1: go on, 0: the negotiation is done. */
static int take_option_reply(struct blknbd *n)
{
    uint8_t data[OPTION_DATA_MAX];
    struct option_reply h;
    int r = checked(n, buf_recv(n->fd, &h, sizeof h));
    const uint32_t len = be32toh(h.length), type = be32toh(h.type);

    if (r < 0)
        return r;
    if (be64toh(h.magic) != OPTION_REPLY_MAGIC || be32toh(h.option) != OPT_GO || len > sizeof data)
        return lose(n, "its answer is garbled");
    r = checked(n, buf_recv(n->fd, data, len));
    if (r < 0)
        return r;
    if (type == REP_ACK)
        return 0;
    if (type != REP_INFO)
        return lose(n, "it refuses");
    r = take_info(n, data, len);
    return r < 0 ? r : 1;
}

static int negotiate(struct blknbd *n)
{
    int r = greet(n);

    if (r == 0)
        r = ask(n);
    if (r == 0)
        r = 1;
    for (unsigned i = 0; i < OPTION_REPLIES_MAX && r == 1; i++)
        r = take_option_reply(n);
    if (r < 0)
        return r;
    if (r == 1 || n->size_bytes == 0 || n->size_bytes % SECTOR || n->size_bytes > INT64_MAX)
        return lose(n, "its answer is garbled");
    if (!(n->flags & SEND_READ_ONLY) && (~n->flags & (SEND_FLUSH | SEND_WRITE_ZEROES)))
        return lose(n, "it cannot flush, or not write zeros");
    return 0;
}

static void set_timeout(int fd, unsigned ms)
{
    const struct timeval t = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
}

struct blknbd *blknbd_new(int fd, unsigned timeout_ms, struct err *e)
{
    struct blknbd *n = calloc(1, sizeof *n);

    if (!n) {
        err_set(e, ENOMEM, "out of memory");
        close(fd);
        return NULL;
    }
    n->fd = fd;
    n->payload_max = PAYLOAD_MAX;
    set_timeout(fd, timeout_ms);
    if (negotiate(n) < 0) {
        err_set(e, EIO, "%s", n->lost);
        blknbd_free(n);
        return NULL;
    }
    return n;
}

/* ---- requests ---- */

static int send_request(struct blknbd *n, uint16_t type, uint16_t flags, uint64_t off, uint32_t len)
{
    const struct request q = {htobe32(REQUEST_MAGIC), htobe16(flags), htobe16(type),
                              htobe64(++n->cookie), htobe64(off), htobe32(len)};

    return n->lost ? -EIO : checked(n, buf_send(n->fd, &q, sizeof q));
}

static int take_reply(struct blknbd *n)
{
    struct reply a;
    int r = checked(n, buf_recv(n->fd, &a, sizeof a));

    if (r < 0)
        return r;
    if (be32toh(a.magic) != REPLY_MAGIC || be64toh(a.cookie) != n->cookie)
        return lose(n, "its answer is garbled");
    if (be32toh(a.error) == ERROR_ENOSPC)
        return -ENOSPC;
    return a.error ? -EIO : 0;
}

static int command(struct blknbd *n, uint16_t type, uint16_t flags, uint64_t off, uint32_t len)
{
    int r = send_request(n, type, flags, off, len);

    return r < 0 ? r : take_reply(n);
}

static int transfer(struct blknbd *n, struct iov *it, uint64_t off, uint32_t len, bool write)
{
    int r = send_request(n, write ? CMD_WRITE : CMD_READ, 0, off, len);

    if (r == 0 && write)
        r = checked(n, iov_send(it, n->fd, len));
    if (r == 0)
        r = take_reply(n);
    if (r == 0 && !write)
        r = checked(n, iov_recv(it, n->fd, len));
    return r;
}

static int transfer_all(struct blknbd *n, struct iov *it, uint64_t off, uint64_t len, bool write)
{
    int r = it->at_once ? -EAGAIN : 0;

    while (len && r == 0) {
        const uint32_t part = len < n->payload_max ? (uint32_t)len : n->payload_max;

        r = transfer(n, it, off, part, write);
        off += part;
        len -= part;
    }
    return r;
}

int blknbd_read(struct blknbd *n, struct iov *it, uint64_t off, uint64_t len)
{
    return transfer_all(n, it, off, len, false);
}

int blknbd_write(struct blknbd *n, struct iov *it, uint64_t off, uint64_t len)
{
    return transfer_all(n, it, off, len, true);
}

int blknbd_flush(struct blknbd *n)
{
    return command(n, CMD_FLUSH, 0, 0, 0);
}

static int range(struct blknbd *n, uint16_t type, uint16_t flags, uint64_t off, uint64_t len)
{
    int r = 0;

    while (len && r == 0) {
        const uint32_t part = len < RANGE_MAX ? (uint32_t)len : RANGE_MAX;

        r = command(n, type, flags, off, part);
        off += part;
        len -= part;
    }
    return r;
}

int blknbd_zero(struct blknbd *n, uint64_t off, uint64_t len, bool unmap)
{
    return range(n, CMD_WRITE_ZEROES, unmap ? 0 : CMD_FLAG_NO_HOLE, off, len);
}

int blknbd_discard(struct blknbd *n, uint64_t off, uint64_t len)
{
    if (n->flags & SEND_TRIM)
        return range(n, CMD_TRIM, 0, off, len);
    return n->lost ? -EIO : 0;
}

/* ---- the rest ---- */

void blknbd_free(struct blknbd *n)
{
    if (!n)
        return;
    if (!n->lost)
        (void)!send_request(n, CMD_DISC, 0, 0, 0); /* no answer comes */
    close(n->fd);
    free(n);
}

uint64_t blknbd_size_bytes(const struct blknbd *n)
{
    return n->size_bytes;
}

bool blknbd_readonly(const struct blknbd *n)
{
    return n->flags & SEND_READ_ONLY;
}

const char *blknbd_lost(const struct blknbd *n)
{
    return n->lost;
}
