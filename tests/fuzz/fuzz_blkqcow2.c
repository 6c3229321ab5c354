/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The metadata of a qcow2 image, with any bytes in it: it is judged within bounds, and what it is
 * based on is opened only where it says, at most 64 deep.
 */
#include "devices/blkqcow2.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("qcow2", MFD_CLOEXEC);
    char path[40];
    struct err e = {0};

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (blkqcow2_examine(path, &e) < 0 && !e.msg[0])
        abort();
    close(fd);
    return 0;
}
