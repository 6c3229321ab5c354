/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * blkcreate: see blkcreate.h.
 */
#include "devices/blkcreate.h"

#include "core/log.h"
#include "devices/blkformat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = 512 };

int blkcreate_lock(int fd, bool exclusive, const char *path, struct err *e)
{
    struct flock fl = {.l_type = exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_OFD_SETLK, &fl) == 0)
        return 0;
    if (errno == EAGAIN || errno == EACCES)
        return err_set(e, EBUSY, exclusive
                       ? "%s is in use by another guest or program and would be written by both; "
                         "give each its own disk, or share it as the base of overlays"
                       : "%s is being written by another guest or program; stop that one first, "
                         "or use a copy", path);
    log_msg(LOG_WARN, "%s: its file system has no locks (%s); nothing keeps two from writing it",
            path, strerror(errno));
    return 0;
}

int blkcreate_check_size(const char *path, uint64_t size, struct err *e)
{
    if (size < SECTOR)
        return err_set(e, EINVAL, "%s is too small for a disk (%llu bytes); make it larger: "
                       "truncate -s 1G %s", path, (unsigned long long)size, path);
    if (size % SECTOR)
        return err_set(e, EINVAL, "the size of %s, %llu bytes, is not a multiple of 512; pad it: "
                       "truncate -s %llu %s", path, (unsigned long long)size,
                       (unsigned long long)(size / SECTOR + 1) * SECTOR, path);
    return 0;
}

/* The directory of `path`, to be freed. */
static char *dir_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static int nameless_file(const char *dir)
{
    return dir ? open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;
}

/* A new empty file for `path`, nameless if the file system can (so that nobody ever meets it
 * half made), else there already. Never one that exists. */
int blkcreate_begin(const char *path, struct err *e)
{
    char *dir = dir_of(path);
    int fd = nameless_file(dir);

    if (fd < 0 && errno != ENOENT && errno != EACCES && errno != EROFS)
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        err_set(e, errno, "%s cannot be created (%s); create it elsewhere, or make the directory "
                "%s and give yourself permission to write there", path, strerror(errno),
                dir ? dir : ".");
    free(dir);
    return fd < 0 ? -1 : fd;
}

/* Gives the finished file its name. */
int blkcreate_end(int fd, const char *path, struct err *e)
{
    char proc[32];
    struct stat st;

    if (fsync(fd) < 0)
        return err_set(e, errno, "%s cannot be written: %s", path, strerror(errno));
    if (fstat(fd, &st) == 0 && st.st_nlink > 0)
        return 0;
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, proc, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0)
        return err_set(e, errno, "%s cannot be created: %s", path, strerror(errno));
    return 0;
}

/* After a failure: takes back a name that blkcreate_begin had to give at once. */
void blkcreate_abort(int fd, const char *path)
{
    struct stat st;

    if (fstat(fd, &st) == 0 && st.st_nlink > 0)
        unlink(path);
}

int blkcreate_raw(const struct disk_config *c, struct err *e)
{
    const char *path = c->path;
    const uint64_t size = c->size_bytes;
    int fd, r = blkcreate_check_size(path, size, e);

    if (r == 0 && blkformat_said(path, c->format) == DISK_FORMAT_QCOW2)
        r = err_set(e, ENOENT, "%s does not exist, and only raw disks are created by size; make it: "
                    "qemu-img create -f qcow2 %s %llu", path, path, (unsigned long long)size);
    if (r < 0)
        return r;
    fd = blkcreate_begin(path, e);
    if (fd < 0)
        return fd;
    r = blkcreate_lock(fd, true, path, e);
    if (r == 0 && ftruncate(fd, (off_t)size) < 0)
        r = err_set(e, errno, "%s cannot be made %llu bytes large: %s", path,
                    (unsigned long long)size, strerror(errno));
    if (r == 0)
        r = blkcreate_end(fd, path, e);
    if (r < 0) {
        blkcreate_abort(fd, path);
        close(fd);
        return r;
    }
    return fd;
}

/* A nameless sparse file on a disk rather than in memory: beside the base if that is allowed. */
int blkcreate_anonymous(const char *base_path, struct err *e)
{
    char *beside = dir_of(base_path);
    const char *dirs[] = {beside, getenv("TMPDIR"), "/var/tmp", "/tmp"};
    char name[] = "/tmp/ruche-overlay-XXXXXX";
    int fd = -1;

    for (unsigned i = 0; i < sizeof dirs / sizeof *dirs && fd < 0; i++)
        fd = nameless_file(dirs[i]);
    free(beside);
    if (fd >= 0)
        return fd;
    fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0)
        return err_set(e, errno, "no place for a private overlay of %s: %s; set TMPDIR to a "
                       "directory you may write to", base_path, strerror(errno));
    unlink(name);
    return fd;
}
