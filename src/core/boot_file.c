/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * boot_file: kernel and initrd files, see boot_priv.h. Read by pread, never mapped: a file
 * that somebody truncates while we read it must be an error here, not a SIGBUS.
 */
#include "core/boot_priv.h"

#include "core/fence.h"
#include "core/held.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int explain_open(const char *what, const char *path, int code, struct err *e)
{
    if (code == ENOENT && strstr(path, "build/"))
        return err_set(e, code,
                       "%s %s is not there yet; `make` builds the tiny guests, `make guests` "
                       "the Linux ones",
                       what, path);
    if (code == ENOENT || code == ENOTDIR)
        return err_set(e, code,
                       "%s %s does not exist; check the path (it is relative to the lab file "
                       "or to the current directory)",
                       what, path);
    if ((code == EACCES || code == EPERM) && *fence_hint(path, FENCE_READ))
        return err_set(e, code, "%s %s cannot be read%s", what, path, fence_hint(path, FENCE_READ));
    if (code == EACCES || code == EPERM)
        return err_set(e, code,
                       "%s %s cannot be read: permission denied; make it readable for you "
                       "(many systems keep /boot/vmlinuz* for root)",
                       what, path);
    return err_set(e, code, "%s %s cannot be opened: %s", what, path, strerror(code));
}

static int check_kind(const struct boot_file *f, const struct stat *st, struct err *e)
{
    if (S_ISDIR(st->st_mode))
        return err_set(e, EISDIR, "%s %s is a directory; give the file in it", f->what, f->path);
    if (!S_ISREG(st->st_mode))
        return err_set(e, EINVAL, "%s %s is no regular file; copy it into one", f->what, f->path);
    if (st->st_size == 0)
        return err_set(e, ENODATA, "%s %s is empty", f->what, f->path);
    return 0;
}

int boot_file_open(struct boot_file *f, const char *what, const char *path, struct err *e)
{
    struct stat st;
    int r;

    *f = (struct boot_file){.fd = -1, .what = what};
    f->path = strdup(path);
    if (!f->path)
        return err_set(e, ENOMEM, "out of memory");
    f->fd = held_open(path, O_RDONLY);
    if (f->fd < 0)
        return explain_open(what, path, errno, e);
    if (fstat(f->fd, &st) < 0)
        return err_set(e, errno, "%s %s: %s", what, path, strerror(errno));
    r = check_kind(f, &st, e);
    if (r < 0)
        return r;
    f->size_bytes = (uint64_t)st.st_size;
    f->dev = st.st_dev;
    f->ino = st.st_ino;
    f->mtime = st.st_mtim;
    f->ctime = st.st_ctim;
    return 0;
}

void boot_file_close(struct boot_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    free(f->path);
    *f = (struct boot_file){.fd = -1};
}

int boot_file_read(const struct boot_file *f, uint64_t offset, void *buf, size_t len, struct err *e)
{
    size_t done = 0;

    if (offset > f->size_bytes || len > f->size_bytes - offset)
        return err_set(e, ENODATA,
                       "%s %s is truncated: %llu bytes are needed, it has %llu; copy or "
                       "build it again",
                       f->what, f->path, (unsigned long long)offset + len,
                       (unsigned long long)f->size_bytes);
    while (done < len) {
        ssize_t n = pread(f->fd, (uint8_t *)buf + done, len - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(e, errno, "%s %s cannot be read: %s", f->what, f->path, strerror(errno));
        if (n == 0)
            return err_set(e, EIO,
                           "%s %s became shorter since it was opened; start the guest again",
                           f->what, f->path);
        done += (size_t)n;
    }
    return 0;
}

int boot_file_load(const struct boot_file *f, uint64_t offset, uint64_t len, struct gmem *m,
                   uint64_t gpa, struct err *e)
{
    void *p;
    int r;

    if (len == 0)
        return 0;
    p = gmem_ptr(m, gpa, len);
    if (!p)
        return err_set(e, EFAULT,
                       "%s %s: %llu bytes at 0x%llx do not fit into the guest's memory; "
                       "give it more memory",
                       f->what, f->path, (unsigned long long)len, (unsigned long long)gpa);
    r = boot_file_read(f, offset, p, len, e);
    gmem_dirty(m, gpa, len);
    return r;
}
