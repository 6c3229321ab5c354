/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtio-blk through PCI registers and rings: every request, hostile ones, limits by a manual
 * clock, the disk's own thread, resets during I/O and a guest that rewrites its rings meanwhile.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "devices/virtio_blk.h"
#include "unit/virtio_rig.h"

#include <linux/virtio_blk.h>

enum {
    DISK_BYTES = 1 << 20,
    HDR = RIG_DATA_GPA,
    STATUS = RIG_DATA_GPA + 0x800,
    DATA = RIG_DATA_GPA + 0x1000,
};

#define F_BASE (1ull << VIRTIO_F_VERSION_1)
#define F_ALL (F_BASE | 1ull << VIRTIO_RING_F_EVENT_IDX | 1ull << VIRTIO_RING_F_INDIRECT_DESC | \
               1ull << VIRTIO_BLK_F_FLUSH | 1ull << VIRTIO_BLK_F_CONFIG_WCE)

/* The host's answers to writes and syncs, in place of the C library's functions: 0, or the errno
 * that it gives after `host_room` more bytes. */
static int host_write_error, host_sync_error;
static size_t host_room;

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t off)
{
    size_t sum = 0;

    for (int i = 0; i < n; i++)
        sum += v[i].iov_len;
    if (host_write_error && sum > host_room) {
        struct iovec part = {.iov_base = v->iov_base, .iov_len = host_room < v->iov_len ? host_room : v->iov_len};

        if (part.iov_len) { /* as a real host: a short write first */
            host_room -= part.iov_len;
            return syscall(SYS_pwritev, fd, &part, 1, off, 0);
        }
        errno = host_write_error;
        return -1;
    }
    return syscall(SYS_pwritev, fd, v, n, off, 0);
}

int fdatasync(int fd)
{
    if (host_sync_error) {
        errno = host_sync_error;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

/* So many bytes more the host has in memory; of others, what must not wait for its disk fails. Whatever file system
 * /tmp is, and used by one thread only: the one that notifies. */
static size_t host_has;

ssize_t preadv2(int fd, const struct iovec *v, int n, off_t off, int flags)
{
    struct iovec part = *v;

    assert_int_equal(flags, RWF_NOWAIT);
    if (host_has == 0) {
        errno = EAGAIN;
        return -1;
    }
    if (host_has >= part.iov_len)
        return syscall(SYS_preadv, fd, v, n, off, 0);
    part.iov_len = host_has;
    host_has = 0;
    return syscall(SYS_preadv, fd, &part, 1, off, 0);
}

struct machine {
    struct rig r;
    struct virtio_blk *blk;
    struct virtio_pci *vp;
    struct drv d;
    char path[64];
    unsigned queued; /* requests that throughput() left in the queue */
};

static void machine_init(struct machine *m, enum disk_mode mode, bool thread)
{
    struct disk_config dc = {.name = "vda", .path = m->path, .mode = mode};
    const struct virtio_blk_opts o = {.name = "vda", .on_env_loop = !thread};
    struct blkfile *f;
    int fd;

    memset(m, 0, sizeof *m);
    host_write_error = host_sync_error = 0;
    host_room = 0;
    host_has = SIZE_MAX;
    strcpy(m->path, "/tmp/ruche-blk-XXXXXX");
    fd = mkstemp(m->path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, DISK_BYTES), 0);
    for (unsigned s = 0; s < DISK_BYTES / 512; s++)
        assert_int_equal(pwrite(fd, &s, sizeof s, s * 512), sizeof s);
    close(fd);
    assert_int_equal(rig_init(&m->r, 8 << 20), 0);
    f = blkfile_open(&dc, NULL);
    assert_non_null(f);
    m->blk = virtio_blk_new(&m->r.env, &o, f, NULL);
    assert_non_null(m->blk);
    m->vp = rig_plug(&m->r, RIG_SLOT, virtio_blk_dev(m->blk));
    drv_probe(&m->d, &m->r, RIG_SLOT);
}

static void machine_fini(struct machine *m)
{
    virtio_pci_free(m->vp);
    virtio_blk_free(m->blk);
    rig_fini(&m->r);
    unlink(m->path);
}

static void start(struct machine *m, uint64_t features)
{
    assert_true(drv_negotiate(&m->d, features));
    drv_queue(&m->d, 0, 64, features >> VIRTIO_RING_F_EVENT_IDX & 1);
    drv_ok(&m->d);
}

static int setup(void **state)
{
    static struct machine m;

    machine_init(&m, DISK_RAW, false);
    *state = &m;
    return 0;
}

static int setup_readonly(void **state)
{
    static struct machine m;

    machine_init(&m, DISK_READONLY, false);
    *state = &m;
    return 0;
}

static int setup_thread(void **state)
{
    static struct machine m;

    machine_init(&m, DISK_RAW, true);
    *state = &m;
    return 0;
}

static int teardown(void **state)
{
    machine_fini(*state);
    return 0;
}

static void header(struct machine *m, uint32_t type, uint64_t sector)
{
    struct virtio_blk_outhdr h = {.type = type, .sector = sector};

    assert_int_equal(gmem_write(m->r.mem, HDR, &h, sizeof h), 0);
    *(uint8_t *)gmem_ptr(m->r.mem, STATUS, 1) = 0xee;
}

static uint8_t status(struct machine *m)
{
    return *(uint8_t *)gmem_ptr(m->r.mem, STATUS, 1);
}

/* One request with `len` data bytes at DATA; its status, or -1 if it was not completed. */
static int request(struct machine *m, uint32_t type, uint64_t sector, uint32_t len, bool to_guest)
{
    const struct drv_buf b[] = {
        {.gpa = HDR, .len = 16}, {.gpa = DATA, .len = len, .write = to_guest},
        {.gpa = STATUS, .len = 1, .write = true}};
    const struct drv_buf none[] = {b[0], b[2]};

    header(m, type, sector);
    if (drv_do(&m->d, 0, len ? b : none, len ? 3 : 2) < 0)
        return -1;
    return status(m);
}

static void on_host(struct machine *m, uint64_t off, void *buf, size_t len)
{
    FILE *f = fopen(m->path, "rb");

    fseek(f, (long)off, SEEK_SET);
    assert_int_equal(fread(buf, 1, len, f), len);
    fclose(f);
}

static uint8_t *data(struct machine *m)
{
    return gmem_ptr(m->r.mem, DATA, 1 << 20);
}

static struct disk_stats stats(struct machine *m)
{
    struct disk_stats s;

    virtio_blk_stats(m->blk, &s);
    return s;
}

/* ---- requests ---- */

static void blk_config_tells_the_capacity(void **state)
{
    struct machine *m = *state;

    assert_int_equal(mmio_read(&m->r, m->d.device, 4), DISK_BYTES / 512);
    assert_int_equal(mmio_read(&m->r, m->d.device + 4, 4), 0);
    assert_int_equal(mmio_read(&m->r, m->d.device + 12, 4), 254); /* seg_max */
    assert_int_equal(mmio_read(&m->r, m->d.device + 20, 4), 512); /* blk_size */
    assert_false(drv_features(&m->d) >> VIRTIO_BLK_F_RO & 1);
    assert_int_equal(cfg_read(&m->r, RIG_SLOT, PCI_DEVICE_ID, 2), 0x1042);
}

static void blk_reads_sectors_of_the_file(void **state)
{
    struct machine *m = *state;
    struct disk_stats s;

    start(m, F_ALL);
    assert_int_equal(request(m, VIRTIO_BLK_T_IN, 7, 1024, true), VIRTIO_BLK_S_OK);
    assert_int_equal(*(uint32_t *)data(m), 7);
    assert_int_equal(*(uint32_t *)(data(m) + 512), 8);
    s = stats(m);
    assert_int_equal(s.rd_reqs, 1);
    assert_int_equal(s.rd_bytes, 1024);
    assert_int_equal(s.capacity_bytes, DISK_BYTES);
    assert_string_equal(s.name, "vda");
}

static void blk_writes_sectors_of_the_file(void **state)
{
    struct machine *m = *state;
    uint8_t got[512];

    start(m, F_ALL);
    memset(data(m), 0xab, 512);
    assert_int_equal(request(m, VIRTIO_BLK_T_OUT, 9, 512, false), VIRTIO_BLK_S_OK);
    on_host(m, 9 * 512, got, sizeof got);
    assert_memory_equal(got, data(m), 512);
    assert_int_equal(stats(m).wr_bytes, 512);
}

static void blk_header_and_data_may_be_cut_anywhere(void **state)
{
    struct machine *m = *state;
    const struct drv_buf b[] = {
        {.gpa = HDR, .len = 5}, {.gpa = HDR + 5, .len = 11},
        {.gpa = DATA, .len = 100, .write = true}, {.gpa = DATA + 100, .len = 413, .write = true}};

    start(m, F_ALL);
    header(m, VIRTIO_BLK_T_IN, 3);
    data(m)[512] = 0xee; /* the last byte of the last buffer is the status */
    assert_int_equal(drv_do(&m->d, 0, b, 4), 513);
    assert_int_equal(*(uint32_t *)data(m), 3);
    assert_int_equal(data(m)[512], VIRTIO_BLK_S_OK);
}

struct dirty {
    uint8_t page[8 << 8]; /* one per page of memory */
};

static void note_dirty(void *arg, uint64_t gpa, uint64_t len)
{
    struct dirty *d = arg;

    for (uint64_t p = gpa >> 12; p <= (gpa + len - 1) >> 12; p++)
        d->page[p] = 1;
}

/* A software CPU keeps translated code: it must hear of every page that a disk wrote. */
static void blk_tells_memory_which_pages_it_wrote(void **state)
{
    struct machine *m = *state;
    struct dirty d = {{0}};

    start(m, F_ALL);
    gmem_set_dirty_hook(m->r.mem, note_dirty, &d);
    assert_int_equal(request(m, VIRTIO_BLK_T_IN, 0, 64 << 10, true), VIRTIO_BLK_S_OK);
    for (unsigned p = 0; p < 17; p++)
        assert_int_equal(d.page[(DATA >> 12) + p], p < 16);
    assert_int_equal(d.page[STATUS >> 12], 1);
    assert_int_equal(d.page[m->d.q[0].used >> 12], 1);
}

static void blk_requests_outside_the_disk_fail_and_change_nothing(void **state)
{
    struct machine *m = *state;
    const uint64_t last = DISK_BYTES / 512 - 1;

    start(m, F_ALL);
    memset(data(m), 0xab, 1024);
    assert_int_equal(request(m, VIRTIO_BLK_T_IN, last, 512, true), VIRTIO_BLK_S_OK);
    assert_int_equal(request(m, VIRTIO_BLK_T_IN, last, 1024, true), VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(m, VIRTIO_BLK_T_OUT, last + 1, 512, false), VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(m, VIRTIO_BLK_T_OUT, UINT64_MAX, 512, false), VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(m, VIRTIO_BLK_T_OUT, UINT64_MAX / 512, 512, false),
                     VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(m, VIRTIO_BLK_T_IN, 0, 100, true), VIRTIO_BLK_S_IOERR);
    assert_int_equal(stats(m).errors, 5);
    assert_int_equal(m->r.errors, 0); /* a bad request is an answer, not a broken device */
}

static void blk_errors_of_the_host_are_told_once_of_each_disk(void **state)
{
    struct machine *m = *state;

    start(m, F_ALL);
    assert_int_equal(request(m, VIRTIO_BLK_T_OUT, DISK_BYTES / 512, 512, false), VIRTIO_BLK_S_IOERR);
    assert_int_equal(m->r.errors, 0); /* the guest's own mistake */
    assert_int_equal(truncate(m->path, 4096), 0);
    assert_int_equal(request(m, VIRTIO_BLK_T_IN, 64, 512, true), VIRTIO_BLK_S_IOERR);
    assert_int_equal(m->r.errors, 1);
    assert_int_equal(request(m, VIRTIO_BLK_T_IN, 65, 512, true), VIRTIO_BLK_S_IOERR);
    assert_int_equal(m->r.errors, 1);
    assert_int_equal(stats(m).errors, 3);
}

static void blk_unknown_requests_are_unsupported(void **state)
{
    struct machine *m = *state;

    start(m, F_ALL);
    assert_int_equal(request(m, 77, 0, 0, false), VIRTIO_BLK_S_UNSUPP);
    assert_int_equal(request(m, VIRTIO_BLK_T_SECURE_ERASE, 0, 0, false), VIRTIO_BLK_S_UNSUPP);
}

static void blk_identifies_itself(void **state)
{
    struct machine *m = *state;

    start(m, F_ALL);
    assert_int_equal(request(m, VIRTIO_BLK_T_GET_ID, 0, 20, true), VIRTIO_BLK_S_OK);
    assert_memory_equal(data(m), "ruche-vda\0\0\0\0\0\0\0\0\0\0\0", 20);
}

static void blk_flush_is_counted(void **state)
{
    struct machine *m = *state;

    start(m, F_ALL);
    assert_int_equal(request(m, VIRTIO_BLK_T_FLUSH, 0, 0, false), VIRTIO_BLK_S_OK);
    assert_int_equal(stats(m).flush_reqs, 1);
}

static void range(struct machine *m, unsigned i, uint64_t sector, uint32_t n, uint32_t flags)
{
    struct virtio_blk_discard_write_zeroes r = {.sector = sector, .num_sectors = n, .flags = flags};

    memcpy(data(m) + i * sizeof r, &r, sizeof r);
}

static void blk_write_zeroes_makes_zeros_of_each_range(void **state)
{
    struct machine *m = *state;
    uint32_t got[4];

    start(m, F_ALL);
    range(m, 0, 10, 2, 0);
    range(m, 1, 20, 1, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
    assert_int_equal(request(m, VIRTIO_BLK_T_WRITE_ZEROES, 0, 32, false), VIRTIO_BLK_S_OK);
    on_host(m, 10 * 512, got, 4);
    on_host(m, 11 * 512, got + 1, 4);
    on_host(m, 12 * 512, got + 2, 4);
    on_host(m, 20 * 512, got + 3, 4);
    assert_int_equal(got[0] | got[1] | got[3], 0);
    assert_int_equal(got[2], 12);
}

static void blk_discard_checks_flags_ranges_and_count(void **state)
{
    struct machine *m = *state;

    start(m, F_ALL);
    range(m, 0, 16, 8, 0);
    assert_int_equal(request(m, VIRTIO_BLK_T_DISCARD, 0, 16, false), VIRTIO_BLK_S_OK);
    assert_int_equal(request(m, VIRTIO_BLK_T_DISCARD, 0, 15, false), VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(m, VIRTIO_BLK_T_DISCARD, 0, 16 * 33, false), VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(m, VIRTIO_BLK_T_DISCARD, 0, 0, false), VIRTIO_BLK_S_IOERR);
    range(m, 0, 16, 8, 1); /* unmap is for write zeroes */
    assert_int_equal(request(m, VIRTIO_BLK_T_DISCARD, 0, 16, false), VIRTIO_BLK_S_UNSUPP);
    range(m, 0, 16, 8, 2);
    assert_int_equal(request(m, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, false), VIRTIO_BLK_S_UNSUPP);
    range(m, 0, DISK_BYTES / 512, 1, 0);
    assert_int_equal(request(m, VIRTIO_BLK_T_DISCARD, 0, 16, false), VIRTIO_BLK_S_IOERR);
    range(m, 0, UINT64_MAX, 0xffffffff, 0);
    assert_int_equal(request(m, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, false), VIRTIO_BLK_S_IOERR);
}

static void blk_readonly_disk_offers_ro_and_refuses_writes(void **state)
{
    struct machine *m = *state;

    assert_true(drv_features(&m->d) >> VIRTIO_BLK_F_RO & 1);
    assert_false(drv_features(&m->d) >> VIRTIO_BLK_F_DISCARD & 1);
    start(m, F_BASE | 1ull << VIRTIO_BLK_F_FLUSH);
    assert_int_equal(request(m, VIRTIO_BLK_T_OUT, 0, 512, false), VIRTIO_BLK_S_IOERR);
    range(m, 0, 0, 1, 0);
    assert_int_equal(request(m, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, false), VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(m, VIRTIO_BLK_T_IN, 1, 512, true), VIRTIO_BLK_S_OK);
    assert_int_equal(*(uint32_t *)data(m), 1);
}

static void blk_write_back_switch_is_a_register_when_negotiated(void **state)
{
    struct machine *m = *state;
    const uint64_t wce = m->d.device + 32;

    start(m, F_ALL);
    assert_int_equal(mmio_read(&m->r, wce, 1), 1);
    bus_write(m->r.mmio, wce, 1, 0);
    assert_int_equal(mmio_read(&m->r, wce, 1), 0);
    assert_int_equal(request(m, VIRTIO_BLK_T_OUT, 0, 512, false), VIRTIO_BLK_S_OK);
    drv_set_status(&m->d, 0);
    assert_int_equal(mmio_read(&m->r, wce, 1), 1);
    start(m, F_BASE);
    bus_write(m->r.mmio, wce, 1, 0);
    assert_int_equal(mmio_read(&m->r, wce, 1), 1);
}

static void blk_request_without_header_or_status_breaks_the_device(void **state)
{
    struct machine *m = *state;
    const struct drv_buf no_status[] = {{.gpa = HDR, .len = 16}};
    const struct drv_buf no_header[] = {{.gpa = HDR, .len = 15},
                                        {.gpa = STATUS, .len = 1, .write = true}};

    start(m, F_ALL);
    assert_int_equal(drv_do(&m->d, 0, no_status, 1), -1);
    assert_true(drv_status(&m->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
    assert_string_equal(m->r.error, "vda: disk request without a header or a status byte");
    start(m, F_ALL); /* a reset heals it */
    assert_int_equal(drv_do(&m->d, 0, no_header, 2), -1);
    assert_true(drv_status(&m->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
    assert_int_equal(m->r.errors, 2);
    start(m, F_ALL);
    assert_int_equal(request(m, VIRTIO_BLK_T_IN, 1, 512, true), VIRTIO_BLK_S_OK);
}

static void blk_a_batch_takes_one_interrupt(void **state)
{
    struct machine *m = *state;
    uint32_t id, len;

    start(m, F_ALL);
    drv_msix_on(&m->d, 2);
    for (unsigned i = 0; i < 10; i++) {
        const struct drv_buf b[] = {{.gpa = HDR, .len = 16},
                                    {.gpa = DATA + 512 * i, .len = 512, .write = true},
                                    {.gpa = STATUS, .len = 1, .write = true}};

        header(m, VIRTIO_BLK_T_IN, 5);
        drv_add(&m->d, 0, b, 3);
    }
    drv_kick(&m->d, 0);
    rig_step(&m->r);
    for (unsigned i = 0; i < 10; i++)
        assert_true(drv_used(&m->d, 0, &id, &len));
    assert_in_range(m->r.msis, 1, 2); /* two, if the host was slow */
}

/* ---- on the vCPU's own thread ---- */

static void add_request(struct machine *m, uint32_t type, uint64_t sector, uint32_t len)
{
    const struct drv_buf b[] = {{.gpa = HDR, .len = 16}, {.gpa = DATA, .len = len, .write = type == VIRTIO_BLK_T_IN},
                                {.gpa = STATUS, .len = 1, .write = true}};

    header(m, type, sector);
    drv_add(&m->d, 0, b, 3);
}

/* How many requests of those in the queue are done when the guest has notified, and after the disk's thread, too. */
static void notified(struct machine *m, unsigned at_once, unsigned in_all)
{
    unsigned done = 0;
    uint32_t id, len;

    drv_kick(&m->d, 0);
    while (drv_used(&m->d, 0, &id, &len))
        done++;
    assert_int_equal(done, at_once);
    rig_step(&m->r);
    while (drv_used(&m->d, 0, &id, &len))
        done++;
    assert_int_equal(done, in_all);
}

static void blk_a_read_of_what_the_host_has_in_memory_is_done_at_once(void **state)
{
    struct machine *m = *state;

    start(m, F_ALL);
    drv_msix_on(&m->d, 2);
    add_request(m, VIRTIO_BLK_T_IN, 7, 4096);
    notified(m, 1, 1);
    assert_int_equal(m->r.msis, 1);
    assert_int_equal(status(m), VIRTIO_BLK_S_OK);
    assert_int_equal(*(uint32_t *)(data(m) + 3584), 14);
    assert_int_equal(stats(m).rd_reqs, 1);
    assert_int_equal(stats(m).latency[DISK_READ].count, 1);
    for (size_t has = 0; has <= 4096; has += 4096) { /* nothing, and half of it */
        struct dirty d = {{0}};

        host_has = has;
        gmem_set_dirty_hook(m->r.mem, note_dirty, &d);
        add_request(m, VIRTIO_BLK_T_IN, 9, 8192);
        drv_kick(&m->d, 0);
        assert_int_equal(d.page[DATA >> 12], 1); /* at least one of them may have changed */
        notified(m, 0, 1);
        assert_int_equal(*(uint32_t *)data(m), 9);
        assert_int_equal(*(uint32_t *)(data(m) + 4096), 17);
    }
    gmem_set_dirty_hook(m->r.mem, NULL, NULL);
    assert_int_equal(stats(m).rd_reqs, 3);
    assert_int_equal(stats(m).latency[DISK_READ].count, 3);
}

/* The guest is told that it has to notify again, with event indices and without. */
static void blk_after_a_read_at_once_the_next_is_notified(void **state)
{
    struct machine *m = *state;

    for (unsigned how = 0; how < 2; how++) {
        start(m, how ? F_BASE | 1ull << VIRTIO_BLK_F_FLUSH : F_ALL);
        for (unsigned i = 0; i < 3; i++) {
            uint16_t old = m->d.q[0].avail_idx;

            add_request(m, VIRTIO_BLK_T_IN, i, 512);
            assert_true(drv_wants_kick(&m->d, 0, old));
            if (i == 1)
                host_has = 0; /* by the disk's thread, in between */
            notified(m, i != 1, 1);
            host_has = SIZE_MAX;
        }
        virtio_reset(virtio_blk_dev(m->blk));
    }
}

static void blk_what_may_take_long_is_the_disks_own_thread(void **state)
{
    struct machine *m = *state;

    start(m, F_ALL);
    vclock_step(m->r.clock, NS_PER_MS);
    add_request(m, VIRTIO_BLK_T_IN, 0, 1 << 20);
    notified(m, 1, 1);
    add_request(m, VIRTIO_BLK_T_IN, 0, (1 << 20) - 512);
    add_request(m, VIRTIO_BLK_T_IN, 0, 1024);
    notified(m, 1, 2);
    add_request(m, VIRTIO_BLK_T_OUT, 0, 512);
    notified(m, 0, 1);
    for (unsigned n = 4; n <= 5; n++) {
        for (unsigned i = 0; i < n; i++)
            add_request(m, VIRTIO_BLK_T_IN, 0, 512);
        notified(m, n == 4 ? 4 : 0, n);
    }
    add_request(m, VIRTIO_BLK_T_IN, DISK_BYTES / 512, 512); /* it tells what is wrong */
    notified(m, 0, 1);
    assert_int_equal(status(m), VIRTIO_BLK_S_IOERR);
    virtio_blk_limit(m->blk, 1, 0);
    add_request(m, VIRTIO_BLK_T_IN, 0, 512);
    notified(m, 0, 1);
    add_request(m, VIRTIO_BLK_T_IN, 0, 512);
    notified(m, 0, 0);
    virtio_blk_limit(m->blk, 0, 0);
    notified(m, 0, 1);
    add_request(m, VIRTIO_BLK_T_IN, 0, 512);
    notified(m, 1, 1);
    virtio_pause(virtio_blk_dev(m->blk));
    add_request(m, VIRTIO_BLK_T_IN, 0, 512);
    notified(m, 0, 0);
    virtio_resume(virtio_blk_dev(m->blk));
    notified(m, 1, 1);
}

/* ---- no room on the host ---- */

static bool completed(struct machine *m)
{
    uint32_t id, len;

    rig_step(&m->r);
    return drv_used(&m->d, 0, &id, &len);
}

static void blk_write_without_room_waits_and_is_done_when_there_is(void **state)
{
    struct machine *m = *state;
    uint8_t got[1024];
    struct disk_stats s;

    start(m, F_ALL);
    memset(data(m), 0xab, 1024);
    host_write_error = ENOSPC;
    host_room = 512; /* the first half goes */
    assert_int_equal(request(m, VIRTIO_BLK_T_OUT, 9, 1024, false), -1);
    assert_int_equal(status(m), 0xee);
    assert_int_equal(m->r.fulls, 1);
    drv_kick(&m->d, 0); /* a guest that knocks changes nothing */
    assert_false(completed(m));
    virtio_blk_retry(m->blk); /* still full */
    assert_false(completed(m));
    assert_int_equal(m->r.fulls, 2);
    host_write_error = EDQUOT;
    virtio_blk_retry(m->blk);
    assert_false(completed(m));
    assert_int_equal(m->r.fulls, 3);
    host_write_error = 0;
    virtio_blk_retry(m->blk);
    assert_true(completed(m));
    assert_int_equal(status(m), VIRTIO_BLK_S_OK);
    on_host(m, 9 * 512, got, sizeof got);
    assert_memory_equal(got, data(m), sizeof got);
    s = stats(m);
    assert_int_equal(s.wr_reqs, 1);
    assert_int_equal(s.wr_bytes, 1024);
    assert_int_equal(s.errors, 0);
    assert_int_equal(s.latency[DISK_WRITE].count, 1);
    assert_int_equal(m->r.errors, 0);
}

static void blk_requests_behind_one_without_room_keep_their_order(void **state)
{
    struct machine *m = *state;

    start(m, F_ALL);
    host_write_error = ENOSPC;
    assert_int_equal(request(m, VIRTIO_BLK_T_OUT, 9, 512, false), -1);
    assert_int_equal(request(m, VIRTIO_BLK_T_FLUSH, 0, 0, false), -1); /* overwrites the header */
    assert_int_equal(stats(m).flush_reqs, 0);
    host_write_error = 0;
    virtio_blk_retry(m->blk);
    assert_true(completed(m));
    assert_true(completed(m));
    assert_int_equal(stats(m).wr_reqs, 1);
    assert_int_equal(stats(m).flush_reqs, 1);
    assert_int_equal(stats(m).errors, 0);
}

static void blk_reset_drops_the_request_without_room(void **state)
{
    struct machine *m = *state;

    start(m, F_ALL);
    host_write_error = ENOSPC;
    assert_int_equal(request(m, VIRTIO_BLK_T_OUT, 9, 512, false), -1);
    start(m, F_ALL);
    host_write_error = 0;
    assert_int_equal(request(m, VIRTIO_BLK_T_IN, 7, 512, true), VIRTIO_BLK_S_OK);
    assert_int_equal(*(uint32_t *)data(m), 7);
    assert_int_equal(stats(m).wr_reqs, 0);
    virtio_blk_retry(m->blk); /* nothing to do */
    assert_false(completed(m));
}

/* The kernel forgets what a sync could not write: a second attempt would lie. */
static void blk_failed_sync_is_an_error_for_ever_even_for_want_of_room(void **state)
{
    struct machine *m = *state;

    start(m, F_ALL);
    host_sync_error = ENOSPC;
    assert_int_equal(request(m, VIRTIO_BLK_T_FLUSH, 0, 0, false), VIRTIO_BLK_S_IOERR);
    host_sync_error = 0;
    assert_int_equal(request(m, VIRTIO_BLK_T_FLUSH, 0, 0, false), VIRTIO_BLK_S_IOERR);
    assert_int_equal(m->r.fulls, 0);
}

/* ---- limits ---- */

/* How many requests of `bytes` pass in `seconds` of guest time, if the guest always has more. */
static unsigned throughput(struct machine *m, uint32_t bytes, unsigned seconds)
{
    const struct drv_buf b[] = {{.gpa = HDR, .len = 16}, {.gpa = DATA, .len = bytes, .write = true},
                                {.gpa = STATUS, .len = 1, .write = true}};
    unsigned done = 0;
    uint32_t id, len;

    header(m, VIRTIO_BLK_T_IN, 0);
    for (unsigned ms = 0; ms < 1000 * seconds; ms++) {
        while (m->queued < 16) {
            drv_add(&m->d, 0, b, 3);
            m->queued++;
        }
        drv_kick(&m->d, 0);
        rig_step(&m->r);
        while (drv_used(&m->d, 0, &id, &len)) {
            done++;
            m->queued--;
        }
        vclock_step(m->r.clock, NS_PER_MS);
    }
    return done;
}

static void blk_iops_limit_is_exact(void **state)
{
    struct machine *m = *state;

    start(m, F_ALL);
    virtio_blk_limit(m->blk, 100, 0);
    assert_in_range(throughput(m, 512, 10), 970, 1030);
}

static void blk_byte_limit_is_exact(void **state)
{
    struct machine *m = *state;

    start(m, F_ALL);
    virtio_blk_limit(m->blk, 0, 1 << 20);
    assert_in_range(throughput(m, 64 << 10, 10) * 64ull, 10240 * 97 / 100, 10240 * 103 / 100);
}

static void blk_raised_limit_acts_at_once(void **state)
{
    struct machine *m = *state;

    start(m, F_ALL);
    virtio_blk_limit(m->blk, 0, 1000); /* one request owes more than a minute */
    assert_in_range(throughput(m, 64 << 10, 1), 1, 1);
    virtio_blk_limit(m->blk, 1000, 0);
    assert_in_range(throughput(m, 64 << 10, 1), 970, 1060);
    virtio_blk_limit(m->blk, 0, 0);
    assert_true(throughput(m, 512, 1) > 10000);
}

/* Latency is in guest time: with a clock that only the test moves it is what the limit held. */
static void blk_latency_counts_what_a_limit_held(void **state)
{
    struct machine *m = *state;
    struct disk_stats s;

    start(m, F_ALL);
    assert_int_equal(request(m, VIRTIO_BLK_T_FLUSH, 0, 0, false), VIRTIO_BLK_S_OK);
    virtio_blk_limit(m->blk, 10, 0);
    throughput(m, 512, 5);
    virtio_blk_stats(m->blk, &s);
    assert_int_equal(s.iops, 10);
    assert_int_equal(s.bytes_per_s, 0);
    assert_int_equal(s.latency[DISK_READ].count, s.rd_reqs);
    assert_in_range(s.latency[DISK_READ].mean_ns, 85 * NS_PER_MS, 105 * NS_PER_MS);
    assert_in_range(s.latency[DISK_READ].p50_ns, 95 * NS_PER_MS, 130 * NS_PER_MS);
    assert_true(s.latency[DISK_READ].p99_ns >= s.latency[DISK_READ].p50_ns);
    assert_in_range(s.held_ns, 4500 * NS_PER_MS, 5000 * NS_PER_MS);
    assert_int_equal(s.latency[DISK_FLUSH].count, 1);
    assert_int_equal(s.latency[DISK_WRITE].count, 0);
    assert_int_equal(s.latency[DISK_WRITE].p99_ns, 0);
}

static void blk_idle_disk_saves_up_a_burst_of_50_ms_only(void **state)
{
    struct machine *m = *state;

    start(m, F_ALL);
    virtio_blk_limit(m->blk, 1000, 0);
    vclock_step(m->r.clock, 60 * NS_PER_S);
    assert_in_range(throughput(m, 512, 1), 1000, 1060);
}

/* ---- the disk's own thread ---- */

static bool wait_used(struct machine *m, uint32_t *id, uint32_t *len)
{
    const uint64_t end = clock_mono_ns() + 10 * NS_PER_S;

    while (!drv_used(&m->d, 0, id, len)) {
        if (clock_mono_ns() > end)
            return false;
        sched_yield();
    }
    return true;
}

/* Each request by the disk's thread, or each second one: the other is done by who notifies. */
static void serves(struct machine *m, bool in_turn)
{
    uint32_t id, len;

    start(m, F_ALL);
    for (unsigned i = 0; i < 2000; i++) {
        uint16_t old = m->d.q[0].avail_idx;

        host_has = in_turn && i & 1 ? SIZE_MAX : 0;
        add_request(m, VIRTIO_BLK_T_IN, i % 1000, 512);
        if (drv_wants_kick(&m->d, 0, old))
            drv_kick(&m->d, 0);
        assert_true(wait_used(m, &id, &len)); /* a lost notification would hang here */
        assert_int_equal(*(uint32_t *)data(m), i % 1000);
    }
}

static void blk_thread_serves_without_the_guests_loop(void **state)
{
    serves(*state, false);
}

static void blk_thread_and_who_notifies_serve_in_turn(void **state)
{
    serves(*state, true);
}

static void blk_paused_disk_waits_and_resumed_disk_continues(void **state)
{
    struct machine *m = *state;
    const struct drv_buf b[] = {{.gpa = HDR, .len = 16}, {.gpa = DATA, .len = 512, .write = true},
                                {.gpa = STATUS, .len = 1, .write = true}};
    uint32_t id, len;

    start(m, F_ALL);
    virtio_pause(virtio_blk_dev(m->blk));
    header(m, VIRTIO_BLK_T_IN, 1);
    drv_add(&m->d, 0, b, 3);
    drv_kick(&m->d, 0);
    usleep(20000);
    assert_false(drv_used(&m->d, 0, &id, &len));
    virtio_resume(virtio_blk_dev(m->blk));
    assert_true(wait_used(m, &id, &len));
    virtio_pause(virtio_blk_dev(m->blk)); /* and a reset ends it, too */
    virtio_reset(virtio_blk_dev(m->blk));
    start(m, F_ALL);
    header(m, VIRTIO_BLK_T_IN, 1);
    drv_add(&m->d, 0, b, 3);
    drv_kick(&m->d, 0);
    assert_true(wait_used(m, &id, &len));
}

/* A store of the guest's, which races with the device and is no data race of ours: byte by byte,
 * not seen by the thread sanitizer. */
__attribute__((no_sanitize("thread"))) static void guest_store(void *to, const void *from,
                                                               size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
}

/* Fills the queue with requests of many kinds and sizes. */
static void storm_requests(struct machine *m, unsigned *seed)
{
    for (unsigned i = 0; i < 16; i++) {
        static const uint32_t types[] = {VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_IN,
                                         VIRTIO_BLK_T_FLUSH};
        const uint32_t len = 512u << rand_r(seed) % 8;
        const bool in = types[i % 4] == VIRTIO_BLK_T_IN;
        const struct drv_buf b[] = {{.gpa = HDR + 16 * i, .len = 16},
                                    {.gpa = DATA + 0x10000 * i, .len = len, .write = in},
                                    {.gpa = STATUS + i, .len = 1, .write = true}};
        struct virtio_blk_outhdr h = {.type = types[i % 4]};

        h.sector = (unsigned)rand_r(seed) % 1000;
        guest_store(gmem_ptr(m->r.mem, HDR + 16 * i, 16), &h, sizeof h);
        drv_add(&m->d, 0, b, 3);
    }
    drv_kick(&m->d, 0);
}

/* T14: after a reset no byte of guest memory changes any more. */
static void blk_reset_storm_leaves_no_io_in_flight(void **state)
{
    struct machine *m = *state;
    unsigned seed = 3;

    for (unsigned round = 0; round < 1000; round++) {
        uint8_t *mem = gmem_ptr(m->r.mem, DATA, 1 << 20);
        const uint64_t rings = RIG_RINGS_GPA + 0x8000;
        uint16_t used;

        start(m, F_ALL);
        storm_requests(m, &seed);
        for (unsigned spin = (unsigned)rand_r(&seed) % 2000; spin; spin--)
            __asm__ volatile("pause");
        drv_set_status(&m->d, 0);
        assert_int_equal(drv_status(&m->d), 0);
        used = ram_read16(&m->r, rings + 2);
        memset(mem, 0x77, 1 << 20);
        sched_yield();
        assert_int_equal(ram_read16(&m->r, rings + 2), used);
        for (unsigned i = 0; i < 1 << 20; i += 512)
            if (mem[i] != 0x77)
                fail_msg("memory changed after a reset in round %u", round);
    }
    assert_int_equal(m->r.errors, 0);
}

struct mutator {
    struct machine *m;
    _Atomic bool stop;
};

/* A vCPU that rewrites descriptors, rings and headers while the device works (T9). Not
 * instrumented: what a guest writes is no data race of ours. */
__attribute__((no_sanitize("thread"))) static void *mutate(void *arg)
{
    struct mutator *mu = arg;
    unsigned seed = 9;
    uint8_t *rings = gmem_ptr(mu->m->r.mem, RIG_RINGS_GPA, 0x10000);
    uint8_t *headers = gmem_ptr(mu->m->r.mem, HDR, 0x1000);

    while (!mu->stop) {
        unsigned what = (unsigned)rand_r(&seed);

        if (what % 3 == 0) /* a descriptor's address, length, flags or next */
            *(volatile uint16_t *)(rings + (what >> 4) % 1024 / 2 * 2) ^= (uint16_t)(what >> 8);
        else if (what % 3 == 1)
            *(volatile uint16_t *)(rings + 0x4000 + (what >> 4) % 64 * 2) = (uint16_t)(what >> 8);
        else
            headers[(what >> 4) % 0x1000] = (uint8_t)(what >> 8);
    }
    return NULL;
}

static void blk_survives_a_guest_that_rewrites_everything_meanwhile(void **state)
{
    struct machine *m = *state;
    struct mutator mu = {.m = m};
    const uint64_t end = clock_mono_ns() + 2 * NS_PER_S;
    pthread_t t;
    unsigned seed = 5, rounds = 0;

    start(m, F_ALL);
    assert_int_equal(pthread_create(&t, NULL, mutate, &mu), 0);
    while (clock_mono_ns() < end) {
        storm_requests(m, &seed);
        for (unsigned i = 0; i < 50; i++)
            sched_yield();
        if (drv_status(&m->d) & VIRTIO_CONFIG_S_NEEDS_RESET || rounds % 64 == 0)
            start(m, F_ALL);
        rounds++;
    }
    mu.stop = true;
    pthread_join(t, NULL);
    assert_true(m->r.errors > 0);
    start(m, F_ALL);
    header(m, VIRTIO_BLK_T_IN, 1);
    assert_int_equal(drv_status(&m->d) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define THREAD(f) cmocka_unit_test_setup_teardown(f, setup_thread, teardown)
    const struct CMUnitTest tests[] = {
        T(blk_config_tells_the_capacity),
        T(blk_reads_sectors_of_the_file),
        T(blk_writes_sectors_of_the_file),
        T(blk_header_and_data_may_be_cut_anywhere),
        T(blk_tells_memory_which_pages_it_wrote),
        T(blk_requests_outside_the_disk_fail_and_change_nothing),
        T(blk_errors_of_the_host_are_told_once_of_each_disk),
        T(blk_unknown_requests_are_unsupported),
        T(blk_identifies_itself),
        T(blk_flush_is_counted),
        T(blk_write_zeroes_makes_zeros_of_each_range),
        T(blk_discard_checks_flags_ranges_and_count),
        cmocka_unit_test_setup_teardown(blk_readonly_disk_offers_ro_and_refuses_writes,
                                        setup_readonly, teardown),
        T(blk_write_back_switch_is_a_register_when_negotiated),
        T(blk_request_without_header_or_status_breaks_the_device),
        T(blk_a_batch_takes_one_interrupt),
        T(blk_a_read_of_what_the_host_has_in_memory_is_done_at_once),
        T(blk_after_a_read_at_once_the_next_is_notified),
        T(blk_what_may_take_long_is_the_disks_own_thread),
        T(blk_write_without_room_waits_and_is_done_when_there_is),
        T(blk_requests_behind_one_without_room_keep_their_order),
        T(blk_reset_drops_the_request_without_room),
        T(blk_failed_sync_is_an_error_for_ever_even_for_want_of_room),
        T(blk_iops_limit_is_exact),
        T(blk_byte_limit_is_exact),
        T(blk_raised_limit_acts_at_once),
        T(blk_latency_counts_what_a_limit_held),
        T(blk_idle_disk_saves_up_a_burst_of_50_ms_only),
        THREAD(blk_thread_serves_without_the_guests_loop),
        THREAD(blk_thread_and_who_notifies_serve_in_turn),
        THREAD(blk_paused_disk_waits_and_resumed_disk_continues),
        THREAD(blk_reset_storm_leaves_no_io_in_flight),
        THREAD(blk_survives_a_guest_that_rewrites_everything_meanwhile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
