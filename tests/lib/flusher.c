/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flusher: runs inside a Linux guest: writes numbered blocks to random places of a disk, syncs after
 * every few, and then says up to which number all is on the disk. After the end of whatever was below
 * it, it checks that nothing of that is lost.
 *
 * usage: flusher DEVICE BASE        writes numbers BASE+1, ...; prints "flushed DEVICE NUMBER"
 *        flusher DEVICE BASE LAST   status 1 if a block of BASE+1..LAST is neither there nor overwritten
 *                                   by a later one
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECTOR = 512, SECTORS = 8, BLOCK = SECTOR * SECTORS, BLOCKS = 3000 };

struct sector {
    uint64_t number, place, filler[SECTOR / 8 - 2];
};

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= 0x7fb5d329728ea185ull;
    x ^= x >> 27;
    x *= 0x81dadef4bc2dd44dull;
    return x ^ x >> 33;
}

static unsigned block_of(uint64_t number)
{
    return (unsigned)(mix(number) % BLOCKS);
}

static void make(struct sector *s, uint64_t number, unsigned block)
{
    for (unsigned i = 0; i < SECTORS; i++) {
        s[i].number = number;
        s[i].place = (uint64_t)block * SECTORS + i;
        for (unsigned k = 0; k < SECTOR / 8 - 2; k++)
            s[i].filler[k] = mix(number * 64 + k);
    }
}

static int work(int fd, const char *device, uint64_t number)
{
    static struct sector s[SECTORS];

    for (;;) {
        for (unsigned n = 1 + mix(number + 7) % 24; n; n--) {
            number++;
            make(s, number, block_of(number));
            if (pwrite(fd, s, BLOCK, (off_t)block_of(number) * BLOCK) != BLOCK)
                return 1;
        }
        if (fsync(fd) < 0)
            return 1;
        printf("flushed %s %llu\n", device, (unsigned long long)number);
        fflush(stdout);
    }
}

/* A sector may be of a later write that was under way; then it is whole. */
static int sector_ok(const struct sector *s, uint64_t least, unsigned block, unsigned i)
{
    struct sector want[SECTORS];

    if (s->number < least || block_of(s->number) != block)
        return 0;
    make(want, s->number, block);
    return memcmp(s, &want[i], SECTOR) == 0;
}

static int check(int fd, const char *device, uint64_t base, uint64_t last)
{
    static uint64_t least[BLOCKS];
    static struct sector s[SECTORS];
    unsigned checked = 0, lost = 0;

    for (uint64_t n = base + 1; n <= last; n++)
        least[block_of(n)] = n;
    for (unsigned b = 0; b < BLOCKS; b++) {
        if (!least[b])
            continue;
        checked++;
        if (pread(fd, s, BLOCK, (off_t)b * BLOCK) != BLOCK)
            return 1;
        for (unsigned i = 0; i < SECTORS; i++)
            if (!sector_ok(&s[i], least[b], b, i)) {
                printf("lost: %s block %u sector %u holds %llu, flushed was %llu\n", device, b, i,
                       (unsigned long long)s[i].number, (unsigned long long)least[b]);
                lost++;
                break;
            }
    }
    printf("checked %s %u blocks, lost %u.\n", device, checked, lost);
    return lost != 0;
}

int main(int argc, char **argv)
{
    int fd = argc >= 3 ? open(argv[1], O_RDWR) : -1;

    if (fd < 0 || (argc == 4 ? check(fd, argv[1], strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10))
                             : work(fd, argv[1], strtoull(argv[2], NULL, 10)))) {
        perror("flusher");
        return 1;
    }
    return 0;
}
