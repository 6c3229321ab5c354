/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * blkbench: runs inside a Linux guest: how fast is a block device?
 *
 * usage: blkbench DEVICE              1 MiB O_DIRECT reads of 256 MiB, twice, the second counts (the
 *                                     host's cache is warm then); 4 KiB random ones for two seconds
 *        blkbench rate DEVICE BYTES SECONDS   random O_DIRECT reads of BYTES, timed from the first
 *                                     half second on: what a limit saves up is used up then
 *        blkbench copy FROM TO MIB    through the page cache, with an fsync at the end
 *
 * Prints one line.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MIB = 1 << 20, SEQ_MIB = 256 };

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double sequential(int fd, void *buf)
{
    double t0 = now();

    for (int i = 0; i < SEQ_MIB; i++)
        if (pread(fd, buf, MIB, (off_t)i * MIB) != MIB)
            return -1;
    return SEQ_MIB / (now() - t0);
}

static double random_reads(int fd, void *buf)
{
    double t0 = now(), t;
    uint64_t x = 88172645463325252ull;
    unsigned n = 0;

    do {
        for (int i = 0; i < 50; i++, n++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            if (pread(fd, buf, 4096, (off_t)(x % (SEQ_MIB * 256ull)) * 4096) != 4096)
                return -1;
        }
        t = now() - t0;
    } while (t < 2);
    return n / t;
}

static int rate(int fd, void *buf, size_t bytes, double seconds)
{
    const uint64_t places = (uint64_t)lseek(fd, 0, SEEK_END) / bytes;
    const double begin = now();
    double t0 = 0, t;
    uint64_t x = 88172645463325252ull;
    unsigned n = 0;

    do {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        if (pread(fd, buf, bytes, (off_t)(x % places * bytes)) != (ssize_t)bytes)
            return 1;
        t = now();
        if (t0 != 0)
            n++;
        else if (t - begin > 0.5)
            t0 = t;
    } while (t0 == 0 || t - t0 < seconds);
    printf("blkbench rate iops %.2f mean_us %.0f bytes_per_s %.0f end\n", n / (t - t0), (t - t0) * 1e6 / n,
           n * (double)bytes / (t - t0));
    return 0;
}

static int copy(int from, int to, void *buf, unsigned mib)
{
    const double t0 = now();

    for (unsigned i = 0; i < mib; i++)
        if (read(from, buf, MIB) != MIB || write(to, buf, MIB) != MIB)
            return 1;
    if (fsync(to) < 0)
        return 1;
    printf("blkbench copy seconds %.3f end\n", now() - t0);
    return 0;
}

static int fail(void)
{
    perror("blkbench");
    return 1;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    int fd;
    void *buf;

    if (posix_memalign(&buf, MIB, MIB))
        return fail();
    if (argc == 5 && strcmp(what, "copy") == 0) {
        int to = open(argv[3], O_WRONLY);

        fd = open(argv[2], O_RDONLY);
        return fd < 0 || to < 0 || copy(fd, to, buf, (unsigned)atoi(argv[4])) ? fail() : 0;
    }
    fd = open(argc == 5 ? argv[2] : what, O_RDONLY | O_DIRECT);
    if (fd < 0)
        return fail();
    if (argc == 5)
        return rate(fd, buf, (size_t)atoi(argv[3]), atof(argv[4])) ? fail() : 0;
    sequential(fd, buf);
    printf("blkbench seq %.1f rand %.0f end\n", sequential(fd, buf), random_reads(fd, buf));
    return 0;
}
