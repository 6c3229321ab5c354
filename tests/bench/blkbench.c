/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * blkbench: runs inside a Linux guest: how fast is a block device? argv[1] the device.
 * Sequential: 1 MiB O_DIRECT reads of 256 MiB, twice, the second counts (the host's cache is
 * warm then). Random: 4 KiB O_DIRECT reads for two seconds. Prints one line.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
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

int main(int argc, char **argv)
{
    int fd = argc > 1 ? open(argv[1], O_RDONLY | O_DIRECT) : -1;
    void *buf;

    if (fd < 0 || posix_memalign(&buf, MIB, MIB)) {
        perror("blkbench");
        return 1;
    }
    sequential(fd, buf);
    printf("blkbench seq_mib_s %.1f", sequential(fd, buf));
    printf(" rand_iops %.0f\n", random_reads(fd, buf));
    return 0;
}
