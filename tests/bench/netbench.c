/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * netbench: runs inside two Linux guests: how fast is the network between them?
 *
 * usage: netbench server | netbench client ADDRESS SECONDS
 *
 * The client pings the server (ICMP, one at a time; the median and the 99th percentile of the round
 * trip), then sends by TCP for some seconds; what counts is what the server says it has got until
 * then. Prints one line.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/ip_icmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { PORT = 5001, CHUNK = 128 << 10, PINGS = 4000, WARM_UP = 20 };

static char chunk[CHUNK];

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int fail(const char *what)
{
    perror(what);
    return 1;
}

static int serve(void)
{
    const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int s = socket(AF_INET, SOCK_STREAM, 0), c;

    if (s < 0 || bind(s, (const struct sockaddr *)&any, sizeof any) < 0 || listen(s, 4) < 0)
        return fail("netbench");
    while ((c = accept(s, NULL, NULL)) >= 0) {
        uint64_t got = 0;
        ssize_t n;

        while ((n = read(c, chunk, sizeof chunk)) > 0)
            got += (uint64_t)n;
        if (write(c, &got, sizeof got) < 0)
            return fail("netbench: write");
        close(c);
    }
    return fail("netbench: accept");
}

static uint16_t sum(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint32_t s = 0;

    for (size_t i = 0; i < len; i += 2)
        s += (uint32_t)p[i] << 8 | p[i + 1];
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return htons((uint16_t)~s);
}

/* One round trip in us; < 0: it was lost. */
static double ping(int s, const struct sockaddr_in *to, uint16_t seq)
{
    struct {
        struct icmphdr h;
        uint8_t data[56];
    } m = {.h = {.type = ICMP_ECHO, .un.echo = {.id = 77, .sequence = seq}}};
    uint8_t answer[256];
    const double t0 = now();

    m.h.checksum = sum(&m, sizeof m);
    if (sendto(s, &m, sizeof m, 0, (const struct sockaddr *)to, sizeof *to) < 0)
        return -1;
    for (;;) {
        const struct icmphdr *h = (const struct icmphdr *)(answer + 20);

        if (recv(s, answer, sizeof answer, 0) < 28)
            return -1;
        if (h->type == ICMP_ECHOREPLY && h->un.echo.id == 77 && h->un.echo.sequence == seq)
            return (now() - t0) * 1e6;
    }
}

static int smaller(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static int pings(const struct sockaddr_in *to, double *median, double *p99)
{
    const struct timeval patience = {.tv_sec = 2};
    static double rtt[PINGS];
    int s = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), n = 0;

    if (s < 0 || setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0)
        return fail("netbench: icmp");
    for (int i = 0; i < WARM_UP + PINGS; i++) {
        const double us = ping(s, to, (uint16_t)i);

        if (us >= 0 && i >= WARM_UP)
            rtt[n++] = us;
    }
    if (n < PINGS)
        fprintf(stderr, "netbench: %d of %d pings were lost\n", PINGS - n, PINGS);
    qsort(rtt, (size_t)n, sizeof *rtt, smaller);
    *median = n ? rtt[n / 2] : 0;
    *p99 = n ? rtt[n * 99 / 100] : 0;
    close(s);
    return 0;
}

static int send_for(const struct sockaddr_in *to, double seconds, double *mbit)
{
    int s = socket(AF_INET, SOCK_STREAM, 0);
    uint64_t got = 0;
    double t0;

    if (s < 0 || connect(s, (const struct sockaddr *)to, sizeof *to) < 0)
        return fail("netbench: connect");
    for (t0 = now(); now() - t0 < seconds;)
        if (write(s, chunk, sizeof chunk) < 0)
            return fail("netbench: write");
    shutdown(s, SHUT_WR);
    if (read(s, &got, sizeof got) != sizeof got)
        return fail("netbench: read");
    *mbit = (double)got * 8 / 1e6 / (now() - t0);
    close(s);
    return 0;
}

static int client(const char *address, double seconds)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    double median, p99, mbit = 0, there;
    int s = -1;

    if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
        return 2;
    for (there = now() + 100; now() < there; usleep(100000)) { /* the server may still be booting */
        s = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(s, (const struct sockaddr *)&to, sizeof to) == 0)
            break;
        close(s);
        s = -1;
    }
    if (s < 0)
        return fail("netbench: no server");
    close(s);
    sleep(1);
    if (pings(&to, &median, &p99) || send_for(&to, 0.5, &mbit) || send_for(&to, seconds, &mbit))
        return 1;
    printf("netbench ping_us %.0f p99_us %.0f tcp_mbit %.1f end\n", median, p99, mbit);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "server") == 0)
        return serve();
    if (argc == 4 && strcmp(argv[1], "client") == 0)
        return client(argv[2], atof(argv[3]));
    fprintf(stderr, "usage: netbench server | netbench client ADDRESS SECONDS\n");
    return 2;
}
