/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Host files behind disks: what is opened, refused and created, locks, overlays against a model
 * in memory, and what survives a death without farewell.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/blkfile.h"
#include "devices/iov.h"

static char dir[64];

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/ruche-blkfile-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    char cmd[96];

    (void)state;
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd) == 0 ? 0 : -1;
}

static char *path_of(const char *name)
{
    static char buf[4][128];
    static unsigned turn;
    char *p = buf[turn++ % 4];

    snprintf(p, 128, "%s/%s", dir, name);
    return p;
}

static char *make_file(const char *name, uint64_t size, const void *start, size_t len)
{
    char *p = path_of(name);
    int fd = open(p, O_RDWR | O_CREAT | O_EXCL, 0644);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    if (len)
        assert_int_equal(pwrite(fd, start, len, 0), (ssize_t)len);
    close(fd);
    return p;
}

static uint64_t size_on_host(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (uint64_t)st.st_size : UINT64_MAX;
}

static struct disk_config disk(char *path, enum disk_mode mode)
{
    return (struct disk_config){.name = "vda", .path = path, .mode = mode};
}

/* Expects a refusal whose sentence contains each of the two texts. */
static void refused(const struct disk_config *c, const char *a, const char *b)
{
    struct err e = {0};

    assert_null(blkfile_open(c, &e));
    assert_int_not_equal(e.code, 0);
    assert_int_equal(strncmp(e.msg, "disk vda: ", 10), 0);
    if (!strstr(e.msg, a) || !strstr(e.msg, b))
        fail_msg("the sentence was: %s", e.msg);
}

/* The transfer, cut into up to 8 buffers of uneven length. */
static struct iov cut(struct iovec v[8], void *buf, size_t len)
{
    struct iov it = {.v = v};
    size_t at = 0;

    while (it.n < 7 && len - at > 1) {
        size_t n = 1 + (len - at) * (it.n + 1) / 9;

        v[it.n++] = (struct iovec){.iov_base = (uint8_t *)buf + at, .iov_len = n};
        at += n;
    }
    v[it.n++] = (struct iovec){.iov_base = (uint8_t *)buf + at, .iov_len = len - at};
    return it;
}

static int put(struct blkfile *f, uint64_t off, const void *buf, size_t len)
{
    struct iovec v[8];
    struct iov it = cut(v, (void *)(uintptr_t)buf, len);

    return blkfile_write(f, &it, off);
}

static int get(struct blkfile *f, uint64_t off, void *buf, size_t len)
{
    struct iovec v[8];
    struct iov it = cut(v, buf, len);

    return blkfile_read(f, &it, off);
}

/* ---- what is opened ---- */

static void blkfile_absent_image_is_refused_and_not_created(void **state)
{
    struct disk_config c = disk(path_of("absent"), DISK_RAW);

    (void)state;
    refused(&c, "does not exist", "give a size");
    c.mode = DISK_OVERLAY;
    c.size_bytes = 1 << 20;
    refused(&c, "does not exist", "correct the path");
    assert_int_equal(size_on_host(c.path), UINT64_MAX);
}

static void blkfile_absent_image_is_created_sparse_by_size(void **state)
{
    struct disk_config c = disk(path_of("new"), DISK_RAW);
    struct blkfile *f;
    struct stat st;

    (void)state;
    c.size_bytes = 1ull << 30;
    f = blkfile_open(&c, NULL);
    assert_non_null(f);
    assert_int_equal(blkfile_size_bytes(f), 1ull << 30);
    blkfile_free(f);
    assert_int_equal(stat(c.path, &st), 0);
    assert_int_equal(st.st_size, 1ull << 30);
    assert_true(st.st_blocks * 512 < 1 << 20);
    assert_int_equal(st.st_mode & 0777, 0600);
    f = blkfile_open(&c, NULL); /* and is found again */
    assert_non_null(f);
    blkfile_free(f);
}

static void blkfile_creation_in_an_absent_directory_says_so(void **state)
{
    struct disk_config c = disk(path_of("no/such/disk"), DISK_RAW);

    (void)state;
    c.size_bytes = 1 << 20;
    refused(&c, "cannot be created", "make the directory");
}

static void blkfile_existing_image_of_another_size_is_left_alone(void **state)
{
    struct disk_config c = disk(make_file("old", 1 << 20, "data", 4), DISK_RAW);

    (void)state;
    c.size_bytes = 2 << 20;
    refused(&c, "exists with 1048576 bytes", "leave the size out");
    assert_int_equal(size_on_host(c.path), 1 << 20);
}

static void blkfile_directory_and_fifo_are_refused(void **state)
{
    struct disk_config c = disk(dir, DISK_RAW);
    struct disk_config fifo = disk(path_of("fifo"), DISK_READONLY);

    (void)state;
    refused(&c, "is a directory", "name a disk image");
    c.mode = DISK_READONLY;
    refused(&c, "is a directory", "name a disk image");
    assert_int_equal(mkfifo(fifo.path, 0600), 0);
    refused(&fifo, "neither a file nor a block device", fifo.path);
}

static void blkfile_sizes_that_make_no_disk_are_refused(void **state)
{
    struct disk_config empty = disk(make_file("empty", 0, NULL, 0), DISK_RAW);
    struct disk_config odd = disk(make_file("odd", 1000, NULL, 0), DISK_READONLY);
    struct disk_config odd_new = disk(path_of("odd-new"), DISK_RAW);

    (void)state;
    refused(&empty, "too small", "truncate -s");
    refused(&odd, "not a multiple of 512", "truncate -s 1024");
    odd_new.size_bytes = 1000;
    refused(&odd_new, "not a multiple of 512", "odd-new");
    assert_int_equal(size_on_host(odd_new.path), UINT64_MAX);
}

static void blkfile_read_only_file_asked_to_be_written_is_refused(void **state)
{
    struct disk_config c = disk(make_file("ro", 4096, NULL, 0), DISK_RAW);
    pid_t child;
    int status;

    (void)state;
    chmod(c.path, 0444);
    chmod(dir, 0755);
    child = fork();
    if (child == 0) { /* root may write everything: be somebody else */
        struct err e = {0};

        if (geteuid() == 0 && seteuid(65534) < 0)
            _exit(77);
        if (blkfile_open(&c, &e) || !strstr(e.msg, "may be read but not written"))
            _exit(1);
        c.mode = DISK_READONLY;
        _exit(blkfile_open(&c, &e) ? 0 : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
}

static void blkfile_foreign_formats_are_refused_with_the_command_to_convert(void **state)
{
    static const struct {
        const char *name, *magic;
        unsigned at, len;
        const char *says;
    } cases[] = {
        {"a.qcow", "QFI\xfb\0\0\0\1", 0, 8, "qemu-img convert -f qcow -O raw"},
        {"a.vmdk", "KDMV", 0, 4, "convert -f vmdk"},
        {"b.vmdk", "# Disk DescriptorFile\n", 0, 22, "convert -f vmdk"},
        {"a.vdi", "\x7f\x10\xda\xbe", 64, 4, "convert -f vdi"},
        {"a.vhd", "conectix", 0, 8, "convert -f vpc"},
        {"fixed.vhd", "conectix", 65536 - 512, 8, "convert -f vpc"},
        {"a.vhdx", "vhdxfile", 0, 8, "convert -f vhdx"},
        {"a.gz", "\x1f\x8b\x08\x00", 0, 4, "unpack it first"},
        {"a.xz", "\xfd" "7zXZ\0", 0, 6, "unpack it first"},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        static uint8_t content[65536];
        struct disk_config c;

        memset(content, 0, sizeof content);
        memcpy(content + cases[i].at, cases[i].magic, cases[i].len);
        c = disk(make_file(cases[i].name, sizeof content, content, sizeof content), DISK_RAW);
        refused(&c, "not a raw disk", cases[i].says);
        c.mode = DISK_OVERLAY;
        refused(&c, "not a raw disk", cases[i].says);
    }
}

/* What a guest may have written into its raw disk must not open other files of the host. */
static void blkfile_a_header_that_names_another_file_needs_a_persons_word(void **state)
{
    static uint8_t header[512] = "QFI\xfb\0\0\0\3\0\0\0\0\0\0\1";
    struct disk_config c = disk(make_file("guest.img", 65536, header, sizeof header), DISK_RAW);
    struct disk_config named = disk(make_file("x.qcow2", 65536, "nothing", 7), DISK_RAW);
    struct disk_config absent = disk(path_of("absent.qcow2"), DISK_RAW);
    struct blkfile *f;

    (void)state;
    refused(&c, "based on another file", "format: qcow2");
    c.mode = DISK_OVERLAY;
    refused(&c, "based on another file", "format: qcow2");
    c.mode = DISK_RAW;
    c.format = DISK_FORMAT_RAW; /* what it is */
    f = blkfile_open(&c, NULL);
    assert_non_null(f);
    assert_int_equal(blkfile_size_bytes(f), 65536);
    blkfile_free(f);
    refused(&named, "is no qcow2 image", "format: raw");
    absent.size_bytes = 1 << 20;
    refused(&absent, "qemu-img create -f qcow2", absent.path);
}

/* ---- locks ---- */

static void blkfile_two_writers_of_one_disk_are_refused(void **state)
{
    struct disk_config c = disk(make_file("d", 1 << 20, NULL, 0), DISK_RAW);
    struct blkfile *f = blkfile_open(&c, NULL);
    pid_t child;
    int status;

    (void)state;
    assert_non_null(f);
    refused(&c, "in use by another guest", c.path);
    c.mode = DISK_READONLY;
    refused(&c, "being written by another guest", c.path);
    c.mode = DISK_RAW;
    child = fork(); /* another process, without our descriptor */
    if (child == 0) {
        for (int fd = 3; fd < 64; fd++)
            close(fd);
        _exit(blkfile_open(&c, NULL) ? 1 : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    blkfile_free(f);
    f = blkfile_open(&c, NULL); /* the lock ends with its holder */
    assert_non_null(f);
    blkfile_free(f);
}

static void blkfile_readers_share_and_keep_writers_out(void **state)
{
    struct disk_config ro = disk(make_file("d", 1 << 20, NULL, 0), DISK_READONLY);
    struct disk_config over = disk(ro.path, DISK_OVERLAY), rw = disk(ro.path, DISK_RAW);
    struct blkfile *a = blkfile_open(&ro, NULL), *b = blkfile_open(&over, NULL);

    (void)state;
    assert_non_null(a);
    assert_non_null(b);
    refused(&rw, "in use by another guest", "base of overlays");
    blkfile_free(a);
    refused(&rw, "in use by another guest", "base of overlays");
    blkfile_free(b);
    a = blkfile_open(&rw, NULL);
    assert_non_null(a);
    blkfile_free(a);
}

static void blkfile_one_named_overlay_serves_one_guest(void **state)
{
    struct disk_config c = disk(make_file("base", 1 << 20, NULL, 0), DISK_OVERLAY);
    struct blkfile *f;

    (void)state;
    c.overlay_path = path_of("over");
    f = blkfile_open(&c, NULL);
    assert_non_null(f);
    refused(&c, "in use by another guest", c.overlay_path);
    blkfile_free(f);
}

/* ---- raw ---- */

static void blkfile_raw_reads_what_was_written_within_its_bounds(void **state)
{
    struct disk_config c = disk(make_file("d", 1 << 20, NULL, 0), DISK_RAW);
    struct blkfile *f = blkfile_open(&c, NULL);
    uint8_t a[512], b[512];

    (void)state;
    memset(a, 0x5a, sizeof a);
    assert_int_equal(put(f, 1024, a, sizeof a), 0);
    assert_int_equal(blkfile_flush(f), 0);
    assert_int_equal(get(f, 1024, b, sizeof b), 0);
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(put(f, (1 << 20) - 256, a, sizeof a), -EINVAL);
    assert_int_equal(get(f, UINT64_MAX - 100, b, sizeof b), -EINVAL);
    assert_int_equal(blkfile_zero(f, 1 << 20, 512, false), -EINVAL);
    assert_int_equal(blkfile_discard(f, 512, UINT64_MAX - 511), -EINVAL);
    assert_int_equal(size_on_host(c.path), 1 << 20);
    blkfile_free(f);
}

static void blkfile_readonly_disk_refuses_every_change(void **state)
{
    struct disk_config c = disk(make_file("d", 1 << 20, "keep", 4), DISK_READONLY);
    struct blkfile *f = blkfile_open(&c, NULL);
    uint8_t a[512] = {1};

    (void)state;
    assert_true(blkfile_readonly(f));
    assert_int_equal(put(f, 0, a, sizeof a), -EROFS);
    assert_int_equal(blkfile_zero(f, 0, 512, true), -EROFS);
    assert_int_equal(blkfile_discard(f, 0, 512), -EROFS);
    assert_int_equal(blkfile_flush(f), 0);
    assert_int_equal(get(f, 0, a, sizeof a), 0);
    assert_memory_equal(a, "keep", 4);
    blkfile_free(f);
}

static void blkfile_discard_gives_storage_back(void **state)
{
    struct disk_config c = disk(make_file("d", 4 << 20, NULL, 0), DISK_RAW);
    struct blkfile *f = blkfile_open(&c, NULL);
    static uint8_t big[4 << 20];
    struct stat before, after;

    (void)state;
    memset(big, 7, sizeof big);
    assert_int_equal(put(f, 0, big, sizeof big), 0);
    assert_int_equal(blkfile_flush(f), 0);
    stat(c.path, &before);
    assert_int_equal(blkfile_discard(f, 1 << 20, 2 << 20), 0);
    stat(c.path, &after);
    if (after.st_blocks == before.st_blocks)
        skip(); /* this file system cannot */
    assert_true(before.st_blocks - after.st_blocks >= (1 << 20) / 512);
    assert_int_equal(get(f, 1 << 20, big, 4096), 0);
    assert_int_equal(big[0] | big[4095], 0);
    blkfile_free(f);
}

/* ---- overlays ---- */

enum { MODEL_BYTES = 300 * 4096 + 512 * 3, BASE_BYTES = 200 * 4096 + 512 };

/* Random requests against a disk and a copy of what it should contain. */
static void torture(struct blkfile *f, uint8_t *model, unsigned rounds, unsigned *seed)
{
    static uint8_t buf[64 << 10];

    for (unsigned i = 0; i < rounds; i++) {
        uint64_t off = (uint64_t)(rand_r(seed) % (MODEL_BYTES / 512)) * 512;
        uint64_t len = (uint64_t)(1 + rand_r(seed) % 64) * 512;

        if (len > MODEL_BYTES - off)
            len = MODEL_BYTES - off;
        switch (rand_r(seed) % 4) {
        case 0:
            memset(buf, rand_r(seed) % 255 + 1, len);
            assert_int_equal(put(f, off, buf, len), 0);
            memcpy(model + off, buf, len);
            break;
        case 1:
            assert_int_equal(blkfile_zero(f, off, len, rand_r(seed) & 1), 0);
            memset(model + off, 0, len);
            break;
        default:
            assert_int_equal(get(f, off, buf, len), 0);
            assert_memory_equal(buf, model + off, len);
        }
    }
}

static char *make_base(uint8_t *model)
{
    for (unsigned i = 0; i < BASE_BYTES; i++)
        model[i] = (uint8_t)(i / 512 + 1);
    memset(model + BASE_BYTES, 0, MODEL_BYTES - BASE_BYTES);
    return make_file("base", BASE_BYTES, model, BASE_BYTES);
}

static void check_base_untouched(const char *path)
{
    static uint8_t got[BASE_BYTES], want[MODEL_BYTES];
    int fd = open(path, O_RDONLY);

    for (unsigned i = 0; i < BASE_BYTES; i++)
        want[i] = (uint8_t)(i / 512 + 1);
    assert_int_equal(read(fd, got, sizeof got), sizeof got);
    close(fd);
    assert_memory_equal(got, want, sizeof got);
}

static void blkfile_anonymous_overlay_equals_its_model_and_leaves_the_base(void **state)
{
    static uint8_t model[MODEL_BYTES];
    struct disk_config c = disk(make_base(model), DISK_OVERLAY);
    struct blkfile *f;
    unsigned seed = 1;

    (void)state;
    c.size_bytes = MODEL_BYTES;
    f = blkfile_open(&c, NULL);
    assert_non_null(f);
    assert_false(blkfile_readonly(f));
    torture(f, model, 5000, &seed);
    blkfile_free(f);
    check_base_untouched(c.path);
}

static void blkfile_named_overlay_is_the_same_disk_after_reopening(void **state)
{
    static uint8_t model[MODEL_BYTES], got[MODEL_BYTES];
    struct disk_config c = disk(make_base(model), DISK_OVERLAY);
    unsigned seed = 2;

    (void)state;
    c.size_bytes = MODEL_BYTES;
    c.overlay_path = path_of("over");
    for (int round = 0; round < 5; round++) {
        struct blkfile *f = blkfile_open(&c, NULL);

        assert_non_null(f);
        assert_int_equal(get(f, 0, got, sizeof got), 0);
        assert_memory_equal(got, model, sizeof got);
        torture(f, model, 500, &seed);
        blkfile_free(f);
        c.size_bytes = 0; /* known by the overlay from now on */
    }
    check_base_untouched(c.path);
}

/* Writes, flushes, writes more, says so through `fd`, and waits to be killed. */
static void doomed_child(const struct disk_config *c, int fd)
{
    static uint8_t buf[4096];
    struct blkfile *f = blkfile_open(c, NULL);

    if (!f)
        _exit(1);
    for (unsigned i = 0; i < 100; i++) { /* half blocks too: they need the base's other half */
        memset(buf, (int)(100 + i), sizeof buf);
        if (put(f, i * 8192ull, buf, i & 1 ? 512 : 4096) < 0)
            _exit(2);
    }
    if (blkfile_flush(f) < 0)
        _exit(3);
    for (unsigned i = 0; i < 50; i++) /* lost or not: both are legal */
        if (put(f, i * 8192ull + 4096, buf, 512) < 0)
            _exit(4);
    if (write(fd, "x", 1) != 1)
        _exit(5);
    pause();
    _exit(6);
}

static void blkfile_named_overlay_keeps_what_was_flushed_through_kill_9(void **state)
{
    static uint8_t model[MODEL_BYTES], got[4096];
    struct disk_config c = disk(make_base(model), DISK_OVERLAY);
    struct blkfile *f;
    int pipefd[2], status;
    char x;
    pid_t child;

    (void)state;
    c.size_bytes = MODEL_BYTES;
    c.overlay_path = path_of("over");
    assert_int_equal(pipe(pipefd), 0);
    child = fork();
    if (child == 0)
        doomed_child(&c, pipefd[1]);
    close(pipefd[1]);
    assert_int_equal(read(pipefd[0], &x, 1), 1);
    close(pipefd[0]);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status));

    f = blkfile_open(&c, NULL);
    assert_non_null(f);
    for (unsigned i = 0; i < 100; i++) {
        size_t n = i & 1 ? 512 : 4096;

        assert_int_equal(get(f, i * 8192ull, got, 4096), 0);
        for (size_t k = 0; k < n; k++)
            assert_int_equal(got[k], 100 + i);
        assert_memory_equal(got + n, model + i * 8192ull + n, 4096 - n);
    }
    for (unsigned i = 0; i < 50; i++) { /* old or new, never anything else */
        assert_int_equal(get(f, i * 8192ull + 4096, got, 4096), 0);
        if (got[0] != 199)
            assert_memory_equal(got, model + i * 8192ull + 4096, 512);
        assert_memory_equal(got + 512, model + i * 8192ull + 4096 + 512, 4096 - 512);
    }
    blkfile_free(f);
    check_base_untouched(c.path);
}

static void blkfile_overlay_smaller_than_its_base_is_refused(void **state)
{
    struct disk_config c = disk(make_file("base", 1 << 20, NULL, 0), DISK_OVERLAY);

    (void)state;
    c.size_bytes = 1 << 19;
    refused(&c, "less than that of its base", c.path);
}

static void blkfile_file_that_is_no_overlay_is_never_overwritten(void **state)
{
    struct disk_config c = disk(make_file("base", 1 << 20, NULL, 0), DISK_OVERLAY);
    char got[9] = {0};
    int fd;

    (void)state;
    c.overlay_path = make_file("precious", 8, "precious", 8);
    refused(&c, "exists and is not an overlay", c.overlay_path);
    fd = open(c.overlay_path, O_RDONLY);
    assert_int_equal(read(fd, got, 8), 8);
    close(fd);
    assert_string_equal(got, "precious");
    assert_int_equal(size_on_host(c.overlay_path), 8);
}

static void blkfile_overlay_over_another_base_is_refused(void **state)
{
    struct disk_config c = disk(make_file("base", 1 << 20, NULL, 0), DISK_OVERLAY);
    struct disk_config raw;
    struct blkfile *f;

    (void)state;
    c.overlay_path = path_of("over");
    f = blkfile_open(&c, NULL);
    assert_non_null(f);
    blkfile_free(f);
    raw = disk(c.overlay_path, DISK_RAW);
    refused(&raw, "an overlay made by ruche", "name it as the overlay");
    c.path = make_file("other", 2 << 20, NULL, 0);
    refused(&c, "made over a base of 1048576 bytes", "give it its own base");
}

static void blkfile_every_damaged_header_is_refused_or_harmless(void **state)
{
    struct disk_config c = disk(make_file("base", 1 << 20, NULL, 0), DISK_OVERLAY);
    struct blkfile *f;
    uint8_t byte;
    int fd;

    (void)state;
    c.overlay_path = path_of("over");
    f = blkfile_open(&c, NULL);
    blkfile_free(f);
    fd = open(c.overlay_path, O_RDWR);
    for (unsigned i = 0; i < 52; i++) {
        assert_int_equal(pread(fd, &byte, 1, i), 1);
        byte ^= 0x40;
        assert_int_equal(pwrite(fd, &byte, 1, i), 1);
        refused(&c, "overlay", c.overlay_path);
        byte ^= 0x40;
        assert_int_equal(pwrite(fd, &byte, 1, i), 1);
    }
    assert_int_equal(ftruncate(fd, 100), 0);
    refused(&c, "cannot be read", c.overlay_path);
    close(fd);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(blkfile_absent_image_is_refused_and_not_created),
        T(blkfile_absent_image_is_created_sparse_by_size),
        T(blkfile_creation_in_an_absent_directory_says_so),
        T(blkfile_existing_image_of_another_size_is_left_alone),
        T(blkfile_directory_and_fifo_are_refused),
        T(blkfile_sizes_that_make_no_disk_are_refused),
        T(blkfile_read_only_file_asked_to_be_written_is_refused),
        T(blkfile_foreign_formats_are_refused_with_the_command_to_convert),
        T(blkfile_a_header_that_names_another_file_needs_a_persons_word),
        T(blkfile_two_writers_of_one_disk_are_refused),
        T(blkfile_readers_share_and_keep_writers_out),
        T(blkfile_one_named_overlay_serves_one_guest),
        T(blkfile_raw_reads_what_was_written_within_its_bounds),
        T(blkfile_readonly_disk_refuses_every_change),
        T(blkfile_discard_gives_storage_back),
        T(blkfile_anonymous_overlay_equals_its_model_and_leaves_the_base),
        T(blkfile_named_overlay_is_the_same_disk_after_reopening),
        T(blkfile_named_overlay_keeps_what_was_flushed_through_kill_9),
        T(blkfile_overlay_smaller_than_its_base_is_refused),
        T(blkfile_file_that_is_no_overlay_is_never_overwritten),
        T(blkfile_overlay_over_another_base_is_refused),
        T(blkfile_every_damaged_header_is_refused_or_harmless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
