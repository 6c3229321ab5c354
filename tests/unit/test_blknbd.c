/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The NBD client against a server in a thread: what it sends, and what it does with answers that
 * are right, wrong, late or missing.
 */
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/blknbd.h"
#include "devices/iov.h"

enum { DISK = 1 << 20, LOG_MAX = 64 };

/* A server of 1 MiB in memory, and how it misbehaves. */
static struct server {
    int fd;
    pthread_t thread;
    uint8_t disk[DISK];
    uint16_t flags;        /* transmission flags */
    uint32_t max_payload;  /* 0: it says nothing of block sizes */
    uint32_t error;        /* answered to every command */
    unsigned die_after;    /* commands; 0: never */
    bool silent, wrong_cookie, refuse;
    unsigned n;
    uint16_t type[LOG_MAX], command_flags[LOG_MAX];
    uint32_t length[LOG_MAX];
    bool said_goodbye;
} s;

static void put_be(uint8_t **p, uint64_t v, unsigned bytes)
{
    while (bytes--)
        *(*p)++ = (uint8_t)(v >> (8 * bytes));
}

static void say_option(uint32_t type, const void *data, uint32_t len)
{
    uint8_t buf[64], *p = buf;

    put_be(&p, 0x3e889045565a9, 8);
    put_be(&p, 7, 4);
    put_be(&p, type, 4);
    put_be(&p, len, 4);
    memcpy(p, data, len);
    (void)!buf_send(s.fd, buf, (size_t)(p - buf) + len);
}

static bool shake_hands(void)
{
    uint8_t buf[64], *p = buf;

    put_be(&p, 0x4e42444d41474943, 8);
    put_be(&p, 0x49484156454f5054, 8);
    put_be(&p, 3, 2);
    if (buf_send(s.fd, buf, 18) < 0 || buf_recv(s.fd, buf, 4) < 0 || buf_recv(s.fd, buf, 16 + 8) < 0)
        return false;
    if (s.refuse) {
        say_option(1u << 31 | 6, "", 0);
        return false;
    }
    p = buf;
    put_be(&p, 0, 2);
    put_be(&p, DISK, 8);
    put_be(&p, s.flags, 2);
    say_option(3, buf, 12);
    if (s.max_payload) {
        p = buf;
        put_be(&p, 3, 2);
        put_be(&p, 1, 4);
        put_be(&p, 4096, 4);
        put_be(&p, s.max_payload, 4);
        say_option(3, buf, 14);
    }
    say_option(1, "", 0);
    return true;
}

static void answer(const uint8_t *request, uint64_t off, uint32_t len)
{
    const uint32_t error = s.error; /* the test changes it as soon as it has the answer */
    uint8_t reply[16], *p = reply;

    put_be(&p, 0x67446698, 4);
    put_be(&p, error, 4);
    memcpy(p, request + 8, 8);
    reply[15] ^= s.wrong_cookie;
    if (buf_send(s.fd, reply, sizeof reply) == 0 && request[7] == 0 && !error)
        (void)!buf_send(s.fd, s.disk + off, len);
}

/* One command; false at the end. */
static bool serve_one(void)
{
    uint8_t q[28];
    uint64_t off;
    uint32_t len;

    if (buf_recv(s.fd, q, sizeof q) < 0)
        return false;
    memcpy(&off, q + 16, 8);
    memcpy(&len, q + 24, 4);
    off = be64toh(off);
    len = be32toh(len);
    if (q[7] == 2)
        s.said_goodbye = true;
    if (q[7] == 2 || s.n == LOG_MAX || off + len > DISK)
        return false;
    s.type[s.n] = q[7];
    s.command_flags[s.n] = (uint16_t)(q[4] << 8 | q[5]);
    s.length[s.n++] = len;
    if (q[7] == 1 && buf_recv(s.fd, s.disk + off, len) < 0)
        return false;
    if (s.die_after && s.n > s.die_after)
        return false;
    if (q[7] == 6 && !s.error)
        memset(s.disk + off, 0, len);
    if (!s.silent)
        answer(q, off, len);
    return true;
}

static void *serve(void *arg)
{
    (void)arg;
    if (shake_hands())
        while (serve_one())
            ;
    shutdown(s.fd, SHUT_RDWR);
    return NULL;
}

static int fresh(void **state)
{
    (void)state;
    memset(&s, 0, sizeof s);
    s.flags = 1 | 1 << 2 | 1 << 5 | 1 << 6; /* flush, trim, write zeroes */
    return 0;
}

static struct blknbd *begin(struct err *e)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    s.fd = pair[0];
    assert_int_equal(pthread_create(&s.thread, NULL, serve, NULL), 0);
    return blknbd_new(pair[1], 200, e);
}

static void end(struct blknbd *n)
{
    blknbd_free(n);
    pthread_join(s.thread, NULL);
    close(s.fd);
}

static int put(struct blknbd *n, void *buf, size_t len, uint64_t off)
{
    struct iovec v[2] = {{buf, len / 3}, {(uint8_t *)buf + len / 3, len - len / 3}};

    return blknbd_write(n, &(struct iov){.v = v, .n = 2}, off, len);
}

static int get(struct blknbd *n, void *buf, size_t len, uint64_t off)
{
    struct iovec v[2] = {{buf, len / 5}, {(uint8_t *)buf + len / 5, len - len / 5}};

    return blknbd_read(n, &(struct iov){.v = v, .n = 2}, off, len);
}

static void nbd_what_is_written_is_read_again(void **state)
{
    static uint8_t a[100 << 10], b[sizeof a];
    struct blknbd *n = begin(NULL);

    (void)state;
    assert_non_null(n);
    assert_int_equal(blknbd_size_bytes(n), DISK);
    assert_false(blknbd_readonly(n));
    for (size_t i = 0; i < sizeof a; i++)
        a[i] = (uint8_t)(i * 7 + 1);
    assert_int_equal(put(n, a, sizeof a, 4096), 0);
    assert_int_equal(blknbd_flush(n), 0);
    assert_int_equal(get(n, b, sizeof b, 4096), 0);
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(blknbd_zero(n, 4096, 4096, false), 0);
    assert_int_equal(blknbd_zero(n, 8192, 4096, true), 0);
    assert_int_equal(blknbd_discard(n, 0, 512), 0);
    assert_int_equal(get(n, b, 8192 + 512, 4096), 0);
    for (int i = 0; i < 8192; i++)
        assert_int_equal(b[i], 0);
    assert_int_equal(b[8192], a[8192]);
    end(n);
    assert_true(s.said_goodbye);
    assert_int_equal(s.type[3], 6);
    assert_int_equal(s.command_flags[3], 2); /* no hole */
    assert_int_equal(s.command_flags[4], 0);
    assert_int_equal(s.type[5], 4);
}

static void nbd_a_transfer_is_cut_to_what_the_server_takes(void **state)
{
    static uint8_t a[10 << 10];
    struct blknbd *n;

    (void)state;
    s.max_payload = 4096;
    n = begin(NULL);
    assert_non_null(n);
    assert_int_equal(put(n, a, sizeof a, 0), 0);
    end(n);
    assert_int_equal(s.n, 3);
    assert_int_equal(s.length[0], 4096);
    assert_int_equal(s.length[2], 2048);
}

static void nbd_an_error_of_the_server_leaves_the_connection(void **state)
{
    uint8_t a[512] = {0};
    struct blknbd *n = begin(NULL);

    (void)state;
    assert_non_null(n);
    s.error = 28;
    assert_int_equal(put(n, a, sizeof a, 0), -ENOSPC);
    assert_int_equal(blknbd_flush(n), -ENOSPC);
    s.error = 5;
    assert_int_equal(get(n, a, sizeof a, 0), -EIO);
    assert_null(blknbd_lost(n));
    s.error = 0;
    assert_int_equal(get(n, a, sizeof a, 0), 0);
    end(n);
}

static void lost_with(const char *why)
{
    uint8_t a[512] = {0};
    struct blknbd *n = begin(NULL);

    assert_non_null(n);
    assert_int_equal(get(n, a, sizeof a, 0), -EIO);
    assert_string_equal(blknbd_lost(n), why);
    assert_int_equal(put(n, a, sizeof a, 0), -EIO); /* for good */
    assert_int_equal(blknbd_flush(n), -EIO);
    end(n);
    assert_false(s.said_goodbye);
}

static void nbd_a_server_that_is_silent_is_given_up(void **state)
{
    (void)state;
    s.silent = true;
    lost_with("it does not answer");
}

static void nbd_an_answer_to_another_question_ends_the_connection(void **state)
{
    (void)state;
    s.wrong_cookie = true;
    lost_with("its answer is garbled");
}

static void nbd_a_server_that_dies_is_noticed(void **state)
{
    uint8_t a[512] = {0};
    struct blknbd *n;

    (void)state;
    s.die_after = 2;
    n = begin(NULL);
    assert_non_null(n);
    assert_int_equal(put(n, a, sizeof a, 0), 0);
    assert_int_equal(put(n, a, sizeof a, 0), 0);
    assert_int_equal(put(n, a, sizeof a, 0), -EIO);
    assert_string_equal(blknbd_lost(n), "it has ended");
    end(n);
}

static void nbd_a_server_that_refuses_or_cannot_flush_is_not_taken(void **state)
{
    struct err e = {0};

    s.refuse = true;
    assert_null(begin(&e));
    end(NULL);
    assert_string_equal(e.msg, "it refuses");
    fresh(state);
    s.flags = 1;
    assert_null(begin(&e));
    end(NULL);
    assert_non_null(strstr(e.msg, "flush"));
    fresh(state);
    s.flags = 1 | 2; /* read-only: there is nothing to flush */
    end(begin(&e));
    assert_true(s.said_goodbye);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nbd_what_is_written_is_read_again, fresh),
        cmocka_unit_test_setup(nbd_a_transfer_is_cut_to_what_the_server_takes, fresh),
        cmocka_unit_test_setup(nbd_an_error_of_the_server_leaves_the_connection, fresh),
        cmocka_unit_test_setup(nbd_a_server_that_is_silent_is_given_up, fresh),
        cmocka_unit_test_setup(nbd_an_answer_to_another_question_ends_the_connection, fresh),
        cmocka_unit_test_setup(nbd_a_server_that_dies_is_noticed, fresh),
        cmocka_unit_test_setup(nbd_a_server_that_refuses_or_cannot_flush_is_not_taken, fresh),
    };

    signal(SIGPIPE, SIG_IGN); /* as main does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
