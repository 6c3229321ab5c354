/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * boot_cache: unpacked kernels on disk, so that xz need not be undone at every start.
 *
 * ${XDG_CACHE_HOME:-~/.cache}/ruche/unpacked/ holds one file per payload, named by the SHA-256
 * of the packed bytes: an LZ4 frame with content size and checksum. The directory must be ours
 * and closed to others (else a neighbour could choose our kernel); files are written under
 * another name and renamed. Everything that fails here just means "not cached".
 * RUCHE_CACHE=off in the environment disables it.
 */
#include "core/boot_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lz4frame.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CACHE_FILES_MAX = 8, NAME_BYTES = 2 * SHA256_BYTES + 5 };

static bool cache_off(void)
{
    const char *v = getenv("RUCHE_CACHE");

    return v && !strcmp(v, "off");
}

/* Opens `name` in `dir`, creating it if asked to, and closes `dir`. */
static int enter(int dir, const char *name, int flags, bool create)
{
    int fd;

    if (dir < 0)
        return -1;
    if (create)
        mkdirat(dir, name, 0700);
    fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
    close(dir);
    return fd;
}

/* The same for what must be a directory of ours, without these rights of others, and no
 * symbolic link. */
static int enter_own(int dir, const char *name, mode_t forbidden, bool create)
{
    int fd = enter(dir, name, O_NOFOLLOW, create);
    struct stat st;

    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & forbidden) == 0)
        return fd;
    close(fd);
    return -1;
}

/* ~/.cache or what stands for it. */
static int open_base(bool create)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int fd;

    if (xdg && xdg[0] == '/') {
        if (create)
            mkdir(xdg, 0700);
        return open(xdg, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (!home || home[0] != '/')
        return -1;
    fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return enter(fd, ".cache", 0, create);
}

/* The directory, or -1 if it is absent or not safe. */
static int open_dir(bool create)
{
    if (cache_off())
        return -1;
    return enter_own(enter_own(open_base(create), "ruche", 022, create), "unpacked", 077, create);
}

static void name_of(const uint8_t digest[SHA256_BYTES], char name[NAME_BYTES])
{
    for (int i = 0; i < SHA256_BYTES; i++)
        snprintf(name + 2 * i, 3, "%02x", digest[i]);
    memcpy(name + 2 * SHA256_BYTES, ".lz4", 5);
}

/* The whole file; NULL if it is not ours or larger than what it unpacks to could need. */
static uint8_t *read_whole(int fd, size_t outlen, size_t *len)
{
    struct stat st;
    uint8_t *buf;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_size <= 0 ||
        (uint64_t)st.st_size > LZ4F_compressFrameBound(outlen, NULL))
        return NULL;
    *len = (size_t)st.st_size;
    buf = malloc(*len);
    for (size_t done = 0; buf && done < *len;) {
        ssize_t n = pread(fd, buf + done, *len - done, (off_t)done);

        if (n <= 0) {
            free(buf);
            return NULL;
        }
        done += (size_t)n;
    }
    return buf;
}

/* True: one frame, its checksum right, exactly outlen bytes. */
static bool decode(const uint8_t *in, size_t inlen, uint8_t *out, size_t outlen)
{
    LZ4F_dctx *d = NULL;
    size_t got = 0, hint = 1;

    if (LZ4F_isError(LZ4F_createDecompressionContext(&d, LZ4F_VERSION)))
        return false;
    while (inlen > 0 && hint != 0) {
        size_t n = inlen, room = outlen - got;

        hint = LZ4F_decompress(d, out + got, &room, in, &n, NULL);
        if (LZ4F_isError(hint) || (n == 0 && room == 0))
            break;
        in += n;
        inlen -= n;
        got += room;
    }
    LZ4F_freeDecompressionContext(d);
    return hint == 0 && inlen == 0 && got == outlen;
}

bool boot_cache_get(const uint8_t digest[SHA256_BYTES], uint8_t *out, size_t outlen)
{
    char name[NAME_BYTES];
    int dir = open_dir(false), fd;
    uint8_t *in = NULL;
    size_t inlen = 0;
    bool ok = false;

    if (dir < 0)
        return false;
    name_of(digest, name);
    fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0) {
        in = read_whole(fd, outlen, &inlen);
        ok = in && decode(in, inlen, out, outlen);
        if (ok)
            futimens(fd, NULL); /* pruning goes by age of last use */
        else
            unlinkat(dir, name, 0);
        close(fd);
    }
    free(in);
    close(dir);
    return ok;
}

static bool is_ours(const char *name)
{
    size_t len = strlen(name);

    return !strncmp(name, "new-", 4) || (len == NAME_BYTES - 1 && !strcmp(name + len - 4, ".lz4"));
}

/* Removes the file that was used longest ago if there are too many. Temporary files that a
 * killed process left behind count and go like the others. */
static void prune(int dir)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    char oldest[256] = "";
    struct timespec age = {0};
    const struct dirent *ent;
    unsigned n = 0;

    if (!d) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while ((ent = readdir(d))) {
        struct stat st;

        if (!is_ours(ent->d_name) || fstatat(dir, ent->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        n++;
        if (!oldest[0] || st.st_mtim.tv_sec < age.tv_sec ||
            (st.st_mtim.tv_sec == age.tv_sec && st.st_mtim.tv_nsec < age.tv_nsec)) {
            age = st.st_mtim;
            snprintf(oldest, sizeof oldest, "%s", ent->d_name);
        }
    }
    closedir(d);
    if (n > CACHE_FILES_MAX)
        unlinkat(dir, oldest, 0);
}

static bool write_whole(int fd, const uint8_t *p, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static void store(int dir, const char *name, const uint8_t *frame, size_t len)
{
    char temp[64];
    int fd;
    bool ok;

    snprintf(temp, sizeof temp, "new-%ld-%.8s", (long)getpid(), name);
    fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    ok = write_whole(fd, frame, len);
    close(fd);
    if (!ok || renameat(dir, temp, dir, name) < 0)
        unlinkat(dir, temp, 0);
    prune(dir);
}

void boot_cache_put(const uint8_t digest[SHA256_BYTES], const uint8_t *data, size_t len)
{
    LZ4F_preferences_t prefs = {.frameInfo = {.blockSizeID = LZ4F_max4MB,
                                              .blockMode = LZ4F_blockIndependent,
                                              .contentChecksumFlag = LZ4F_contentChecksumEnabled,
                                              .contentSize = len}};
    size_t room = LZ4F_compressFrameBound(len, &prefs), n;
    int dir = open_dir(true);
    char name[NAME_BYTES];
    uint8_t *frame;

    if (dir < 0)
        return;
    frame = malloc(room);
    if (frame) {
        n = LZ4F_compressFrame(frame, room, data, len, &prefs);
        name_of(digest, name);
        if (!LZ4F_isError(n))
            store(dir, name, frame, n);
    }
    free(frame);
    close(dir);
}
