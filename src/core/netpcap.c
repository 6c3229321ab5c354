/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * netpcap: see netpcap.h.
 */
#include "core/netpcap.h"

#include "core/clock.h"
#include "core/fence.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

struct file_header {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t zone, sigfigs, snaplen, linktype;
};

struct record_header {
    uint32_t sec, nsec, caplen, len;
};

_Static_assert(sizeof(struct file_header) == 24, "as in pcap-savefile(5)");
_Static_assert(sizeof(struct record_header) == 16, "likewise");

struct netpcap {
    pthread_mutex_t lock;
    int fd; /* -1: not open yet */
    bool over; /* the limit is reached or the disk full */
    uint64_t bytes, max_bytes;
};

struct netpcap *netpcap_new(const char *path, uint64_t max_bytes, struct err *e)
{
    const struct file_header h = {.magic = 0xa1b23c4d, .major = 2, .minor = 4, .snaplen = 262144, .linktype = 1};
    struct netpcap *c = calloc(1, sizeof *c);

    if (!c) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    pthread_mutex_init(&c->lock, NULL);
    c->max_bytes = max_bytes;
    c->bytes = sizeof h;
    c->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (c->fd < 0 && errno == EEXIST) { /* it may be a disk: nothing is written over */
        err_set(e, EEXIST, "`%s` is there already: choose another name", path);
        netpcap_free(c);
        return NULL;
    }
    if (c->fd < 0 || write(c->fd, &h, sizeof h) != sizeof h) {
        err_set(e, errno ? errno : EIO, "cannot write the capture file %s: %s%s", path, strerror(errno),
                fence_hint(path, FENCE_WRITE));
        netpcap_free(c);
        return NULL;
    }
    return c;
}

void netpcap_free(struct netpcap *c)
{
    if (!c)
        return;
    if (c->fd >= 0)
        close(c->fd);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

bool netpcap_write(struct netpcap *c, const struct netframe *f)
{
    const uint64_t now = clock_real_ns();
    struct record_header h = {.sec = (uint32_t)(now / NS_PER_S), .nsec = (uint32_t)(now % NS_PER_S),
                              .caplen = f->len, .len = f->len};
    const struct iovec v[2] = {{&h, sizeof h}, {(void *)(uintptr_t)f->data, f->len}};
    const uint64_t all = sizeof h + f->len;
    bool over;

    pthread_mutex_lock(&c->lock);
    c->over = c->over || c->bytes + all > c->max_bytes || writev(c->fd, v, 2) != (ssize_t)all;
    over = c->over;
    if (!over)
        c->bytes += all;
    pthread_mutex_unlock(&c->lock);
    return !over;
}
