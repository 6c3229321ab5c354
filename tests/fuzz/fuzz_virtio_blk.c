/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A disk and a driver that says anything: a stream of requests (of every type, length and cut),
 * wild descriptors, register writes, resets, limits and time. The host file must keep its size.
 */
#include "core/log.h"
#include "devices/virtio_blk.h"
#include "fuzz/input.h"
#include "unit/virtio_rig.h"

#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DISK_BYTES = 256 << 10, QUEUE = 16, OPS_MAX = 200, DATA_BYTES = 0x40000 };

static struct {
    struct rig r;
    struct virtio_blk *blk;
    struct virtio_pci *vp;
    struct drv d;
    char path[64];
} m;

/* /dev/shm does not know RWF_NOWAIT: all is in memory there. */
ssize_t preadv2(int fd, const struct iovec *v, int n, off_t off, int flags)
{
    (void)flags;
    return syscall(SYS_preadv, fd, v, n, off, 0);
}

static void init(void)
{
    struct disk_config dc = {.name = "vda", .path = m.path};
    const struct virtio_blk_opts o = {.name = "vda", .on_env_loop = true};
    int fd;

    log_set_level(LOG_ERROR);
    strcpy(m.path, access("/dev/shm", W_OK) == 0 ? "/dev/shm/ruche-fuzz-XXXXXX"
                                                 : "/tmp/ruche-fuzz-XXXXXX");
    fd = mkstemp(m.path);
    if (fd < 0 || ftruncate(fd, DISK_BYTES) < 0 || rig_init(&m.r, 4 << 20) < 0)
        abort();
    close(fd);
    m.blk = virtio_blk_new(&m.r.env, &o, blkfile_open(&dc, NULL), NULL);
    m.vp = rig_plug(&m.r, RIG_SLOT, virtio_blk_dev(m.blk));
    drv_probe(&m.d, &m.r, RIG_SLOT);
}

static void start(uint8_t how)
{
    uint64_t features = 1ull << VIRTIO_F_VERSION_1;

    if (how & 1)
        features |= 1ull << VIRTIO_RING_F_EVENT_IDX | 1ull << VIRTIO_RING_F_INDIRECT_DESC;
    if (how & 2)
        features |= 1ull << VIRTIO_BLK_F_FLUSH | 1ull << VIRTIO_BLK_F_CONFIG_WCE;
    drv_negotiate(&m.d, features);
    drv_queue(&m.d, 0, QUEUE, how & 1);
    drv_ok(&m.d);
}

/* A request that is nearly right: header, up to 5 buffers, perhaps a status byte. */
static void request(struct input *in)
{
    static const uint32_t types[] = {
        VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID,
        VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_T_SECURE_ERASE, 0xffffffff};
    struct drv_buf b[7] = {{.gpa = RIG_DATA_GPA, .len = 16}};
    const uint8_t how = (uint8_t)take(in, 1);
    struct virtio_blk_outhdr h = {.type = types[how & 7], .sector = take(in, how & 8 ? 8 : 1)};
    unsigned n = 1, bufs = how >> 5;

    if (gmem_write(m.r.mem, RIG_DATA_GPA, &h, sizeof h) < 0)
        abort();
    for (; bufs && n < 6; bufs--, n++)
        b[n] = (struct drv_buf){.gpa = RIG_DATA_GPA + 0x1000 + (take(in, 2) << 2),
                                .len = (uint32_t)take(in, 2), .write = types[how & 7] % 2 == 0};
    if (!(how & 16))
        b[n++] = (struct drv_buf){.gpa = RIG_DATA_GPA + 0x800, .len = 1, .write = true};
    drv_add(&m.d, 0, b, n);
}

static void op(struct input *in)
{
    uint64_t at;

    switch (take(in, 1) % 8) {
    case 0:
    case 1:
        request(in);
        break;
    case 2:
        drv_kick(&m.d, 0);
        loop_step(m.r.loop, 0);
        break;
    case 3: /* a wild descriptor, or what else is in the rings */
        at = RIG_RINGS_GPA + (take(in, 2) & 0xfff8);
        *(uint64_t *)gmem_ptr(m.r.mem, at, 8) = take(in, 8);
        break;
    case 4: /* data: ranges of a discard, for instance */
        at = RIG_DATA_GPA + 0x1000 + ((take(in, 2) << 2) & (DATA_BYTES - 8));
        *(uint64_t *)gmem_ptr(m.r.mem, at, 8) = take(in, 8);
        break;
    case 5:
        start((uint8_t)take(in, 1));
        break;
    case 6:
        bus_write(m.r.mmio, m.d.device + take(in, 1) % 64, 1u << take(in, 1) % 4, take(in, 4));
        break;
    case 7:
        virtio_blk_limit(m.blk, (uint32_t)take(in, 2), take(in, 3));
        vclock_step(m.r.clock, take(in, 4));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {.p = data, .left = size};
    struct stat st;

    if (!m.blk)
        init();
    virtio_blk_limit(m.blk, 0, 0);
    start((uint8_t)take(&in, 1));
    for (unsigned i = 0; i < OPS_MAX && in.left; i++)
        op(&in);
    drv_kick(&m.d, 0);
    loop_step(m.r.loop, 0);
    virtio_pci_reset(m.vp);
    loop_step(m.r.loop, 0);
    if (stat(m.path, &st) < 0 || st.st_size != DISK_BYTES)
        abort();
    return 0;
}
