/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sched_cgroup: see sched_cgroup.h.
 */
#include "core/sched_cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRIAL ".trial" /* no guest's name begins so */

enum {
    WEIGHT_MAX = 10000, WEIGHT_OF_A_THREAD = 100,
    PERIOD_US = 20000, /* of a cap; with the least quota, 1 ms, a small cap needs a longer one */
    LONG_PERIOD_US = 100000, LONG_BELOW_PCT = 5,
};

struct sched_cgroup {
    int base; /* the group that the process is in */
    int own;  /* ours below it */
    char name[32];
    bool made, cpu_enabled; /* what has to be undone */
};

static int put(int dir, const char *file, const char *text)
{
    int fd = openat(dir, file, O_WRONLY | O_CLOEXEC), rc;

    if (fd < 0)
        return -errno;
    rc = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return rc;
}

static int put_number(int dir, const char *file, unsigned long n)
{
    char text[24];

    snprintf(text, sizeof text, "%lu", n);
    return put(dir, file, text);
}

/* Is `word` among the words of a file? */
static bool has_word(int dir, const char *file, const char *word)
{
    int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
    char buf[64];
    bool found = false;

    if (!f) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    while (!found && fscanf(f, "%63s", buf) == 1)
        found = strcmp(buf, word) == 0;
    fclose(f);
    return found;
}

static int open_dir(int at, const char *path)
{
    int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

/* Calls `fn` for each group below `dir`. */
static void each_group(int dir, void (*fn)(void *arg, int dir, const char *name), void *arg)
{
    int fd = open_dir(dir, ".");
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (!d) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while ((entry = readdir(d)))
        if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            fn(arg, dir, entry->d_name);
    closedir(d);
}

/* Groups and what is left in them. */

static void empty_group(int group, int to)
{
    int fd = openat(group, "cgroup.threads", O_RDONLY | O_CLOEXEC);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
    unsigned long tid;

    if (!f) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while (fscanf(f, "%lu", &tid) == 1)
        put_number(to, "cgroup.threads", tid); /* ESRCH: it has ended since */
    fclose(f);
}

static void drop_guest(void *arg, int dir, const char *name)
{
    const int *to = arg;
    int fd = open_dir(dir, name);

    if (fd >= 0) {
        empty_group(fd, *to);
        close(fd);
    }
    unlinkat(dir, name, AT_REMOVEDIR);
}

static void drop_instance(int base, const char *name)
{
    int fd = open_dir(base, name);

    if (fd < 0)
        return;
    each_group(fd, drop_guest, &base);
    close(fd);
    unlinkat(base, name, AT_REMOVEDIR);
}

/* An instance that was killed could not clear up. */
static void drop_if_left(void *arg, int base, const char *name)
{
    int pid;
    char end;

    (void)arg;
    if (sscanf(name, "ruche-%9d%c", &pid, &end) == 1 && (pid == getpid() || (kill(pid, 0) < 0 && errno == ESRCH)))
        drop_instance(base, name);
}

/* The cgroup that the process is in. -errno: there is none of version 2. */
static int open_base(struct err *e)
{
    static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    char line[PATH_MAX] = "", path[PATH_MAX + 32];
    FILE *f = fopen("/proc/self/cgroup", "re");
    bool v2 = false;

    while (f && !v2 && fgets(line, sizeof line, f))
        v2 = strncmp(line, "0::/", 4) == 0;
    if (f)
        fclose(f);
    line[strcspn(line, "\n")] = '\0';
    for (unsigned i = 0; v2 && !strstr(line, "/..") && i < sizeof mounts / sizeof *mounts; i++) {
        int fd, there;

        snprintf(path, sizeof path, "%s%s", mounts[i], line + 3);
        fd = open_dir(AT_FDCWD, path);
        there = fd < 0 ? -1 : faccessat(fd, "cgroup.controllers", R_OK, 0);
        if (there == 0)
            return fd;
        if (fd >= 0)
            close(fd);
    }
    return err_set(e, ENOENT, "cgroup version 2 is not mounted at /sys/fs/cgroup: use `host.sched slots`");
}

static int not_delegated(const char *what, int rc, struct err *e)
{
    return err_set(e, -rc, "cgroup: %s: %s; `systemd-run --user --scope -p Delegate=yes ruche ...` delegates a group",
                   what, strerror(-rc));
}

/* By its mode: guests' process has no capabilities, even root's. */
static bool may_write(int dir)
{
    struct stat st;

    return fstat(dir, &st) == 0 && ((st.st_uid == geteuid() && st.st_mode & S_IWUSR) ||
                                    (st.st_gid == getegid() && st.st_mode & S_IWGRP) || st.st_mode & S_IWOTH);
}

static int make_group(struct sched_cgroup *c, unsigned cpus, struct err *e)
{
    unsigned long weight = cpus * (unsigned long)WEIGHT_OF_A_THREAD;
    int rc;

    if (!has_word(c->base, "cgroup.controllers", "cpu"))
        return err_set(e, ENOTSUP, "cgroup: the kernel or who delegated the group does not give `cpu` to it: "
                       "use `host.sched slots`");
    if (!may_write(c->base))
        return not_delegated("cannot make a group", -EACCES, e);
    each_group(c->base, drop_if_left, NULL);
    snprintf(c->name, sizeof c->name, "ruche-%d", (int)getpid());
    if (mkdirat(c->base, c->name, 0755) < 0)
        return not_delegated("cannot make a group", -errno, e);
    c->made = true;
    c->own = open_dir(c->base, c->name);
    if (c->own < 0)
        return not_delegated("cannot open the group", c->own, e);
    rc = put(c->own, "cgroup.type", "threaded");
    if (rc == 0 && !has_word(c->base, "cgroup.subtree_control", "cpu")) {
        rc = put(c->base, "cgroup.subtree_control", "+cpu");
        c->cpu_enabled = rc == 0;
    }
    if (rc == 0)
        rc = put(c->own, "cgroup.subtree_control", "+cpu");
    if (rc == 0)
        rc = put_number(c->own, "cpu.weight", weight < WEIGHT_MAX ? weight : WEIGHT_MAX);
    return rc < 0 ? not_delegated("cannot give it `cpu`", rc, e) : 0;
}

/* A thread of ours goes in and comes back. */
static int try_out(struct sched_cgroup *c, struct err *e)
{
    unsigned long tid = (unsigned long)syscall(SYS_gettid);
    int rc = sched_cgroup_set(c, TRIAL, 200, 50, e), dir, one = (int)tid;
    char text[24];

    if (rc == 0)
        rc = sched_cgroup_move(c, TRIAL, &one, 1, e);
    if (rc < 0)
        return rc;
    snprintf(text, sizeof text, "%lu", tid);
    dir = open_dir(c->own, TRIAL);
    if (dir < 0 || !has_word(dir, "cgroup.threads", text) || !has_word(dir, "cpu.weight", "200"))
        rc = err_set(e, EIO, "cgroup: the kernel did not do what was written: use `host.sched slots`");
    if (dir >= 0)
        close(dir);
    if (rc == 0 && (rc = put_number(c->base, "cgroup.threads", tid)) < 0)
        rc = not_delegated("cannot move a thread back", rc, e);
    sched_cgroup_remove(c, TRIAL);
    return rc;
}

struct sched_cgroup *sched_cgroup_new(unsigned cpus, struct err *e)
{
    struct sched_cgroup *c = calloc(1, sizeof *c);

    if (!c) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    c->own = -1;
    c->base = open_base(e);
    if (c->base >= 0 && make_group(c, cpus, e) == 0 && try_out(c, e) == 0)
        return c;
    sched_cgroup_free(c);
    return NULL;
}

void sched_cgroup_free(struct sched_cgroup *c)
{
    if (!c)
        return;
    if (c->made)
        drop_instance(c->base, c->name);
    if (c->cpu_enabled) /* EBUSY: another instance uses it */
        put(c->base, "cgroup.subtree_control", "-cpu");
    if (c->own >= 0)
        close(c->own);
    if (c->base >= 0)
        close(c->base);
    free(c);
}

static int put_cap(int dir, unsigned cap_pct)
{
    unsigned period = cap_pct < LONG_BELOW_PCT ? LONG_PERIOD_US : PERIOD_US;
    char text[48];

    if (cap_pct)
        snprintf(text, sizeof text, "%u %u", (unsigned)((uint64_t)cap_pct * period / 100), period);
    else
        snprintf(text, sizeof text, "max %u", period);
    return put(dir, "cpu.max", text);
}

int sched_cgroup_set(struct sched_cgroup *c, const char *guest, unsigned share, unsigned cap_pct, struct err *e)
{
    int rc = mkdirat(c->own, guest, 0755) < 0 ? -errno : 0, dir;

    if (rc < 0 && rc != -EEXIST)
        return not_delegated("cannot make a guest's group", rc, e);
    dir = open_dir(c->own, guest);
    if (dir < 0)
        return not_delegated("cannot open a guest's group", dir, e);
    rc = rc == -EEXIST ? 0 : put(dir, "cgroup.type", "threaded");
    if (rc == 0)
        rc = put_number(dir, "cpu.weight", share);
    if (rc == 0)
        rc = put_cap(dir, cap_pct);
    close(dir);
    return rc < 0 ? not_delegated("cannot set a guest's part", rc, e) : 0;
}

int sched_cgroup_move(struct sched_cgroup *c, const char *guest, const int *tid, unsigned n, struct err *e)
{
    int dir = open_dir(c->own, guest), rc = dir < 0 ? dir : 0;

    for (unsigned i = 0; i < n && rc == 0; i++) {
        rc = put_number(dir, "cgroup.threads", (unsigned long)tid[i]);
        rc = rc == -ESRCH ? 0 : rc; /* it has ended */
    }
    if (dir >= 0)
        close(dir);
    return rc < 0 ? not_delegated("cannot move a guest's threads", rc, e) : 0;
}

uint64_t sched_cgroup_throttled_ns(struct sched_cgroup *c, const char *guest)
{
    char buf[512];
    const char *p;
    unsigned long long us;
    int dir = open_dir(c->own, guest), fd = dir < 0 ? -1 : openat(dir, "cpu.stat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof buf - 1);

    if (fd >= 0)
        close(fd);
    if (dir >= 0)
        close(dir);
    buf[n > 0 ? n : 0] = '\0';
    p = strstr(buf, "throttled_usec ");
    return p && sscanf(p, "throttled_usec %llu", &us) == 1 ? us * 1000 : 0;
}

void sched_cgroup_remove(struct sched_cgroup *c, const char *guest)
{
    unlinkat(c->own, guest, AT_REMOVEDIR);
}
