/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * fence: see fence.h. Networks are not fenced (that is the NAT's work), and neither are Unix
 * sockets' names in the file system. Signals and abstract sockets are kept inside from version 6 on.
 */
#include "core/fence.h"

#include "core/ctl.h"
#include "core/images.h"
#include "core/lab.h"
#include "core/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than some distributions' headers. */
enum {
    ACCESS_TRUNCATE = 1 << 14,  /* version 3 */
    ACCESS_IOCTL_DEV = 1 << 15, /* version 5 */
    SCOPE_ALL = 3,              /* version 6: abstract sockets, signals */
};

struct ruleset_attr { /* landlock_ruleset_attr as of version 6 */
    uint64_t fs, net, scoped;
};

#define ACCESS_READ (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_USE \
    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | (uint64_t)ACCESS_TRUNCATE | \
     (uint64_t)ACCESS_IOCTL_DEV)
#define ACCESS_FILE (ACCESS_USE | LANDLOCK_ACCESS_FS_EXECUTE) /* all that has a meaning for a file */
#define ACCESS_NEVER (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK)

enum { ENTRIES_MAX = 1024 };

static struct {
    unsigned n;
    struct entry {
        char *path; /* resolved */
        uint64_t access;
    } entry[ENTRIES_MAX];
    int level;
} fence;

int fence_version(void)
{
    long v = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    return v > 0 ? (int)v : 0;
}

int fence_level(void)
{
    return fence.level;
}

/* Everything that version `v` knows. */
static uint64_t handled(int v)
{
    uint64_t all = (1u << 13) - 1;

    if (v >= 2)
        all |= LANDLOCK_ACCESS_FS_REFER;
    if (v >= 3)
        all |= ACCESS_TRUNCATE;
    if (v >= 5)
        all |= ACCESS_IOCTL_DEV;
    return all;
}

static void add(const char *path, uint64_t access)
{
    char *real = path && *path ? realpath(path, NULL) : NULL;

    for (unsigned i = 0; real && i < fence.n; i++) {
        if (strcmp(fence.entry[i].path, real) == 0) {
            fence.entry[i].access |= access;
            free(real);
            return;
        }
    }
    if (real && fence.n < ENTRIES_MAX)
        fence.entry[fence.n++] = (struct entry){real, access};
    else
        free(real);
}

void fence_allow(const char *path, enum fence_access a)
{
    add(path, a == FENCE_WRITE ? ~(uint64_t)ACCESS_NEVER : ACCESS_READ);
}

static void allow_parent(const char *path, enum fence_access a)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;

    if (n >= sizeof dir)
        return;
    memcpy(dir, path, n);
    dir[n] = '\0';
    fence_allow(n ? dir : slash ? "/" : ".", a);
}

void fence_allow_beside(const char *path, enum fence_access a)
{
    char *real = path ? realpath(path, NULL) : NULL;

    if (path)
        allow_parent(path, a);
    if (real)
        allow_parent(real, a);
    free(real);
}

static void allow_disk(const struct disk_config *d)
{
    struct stat st;

    if (stat(d->path, &st) == 0 && S_ISBLK(st.st_mode))
        add(d->path, d->mode == DISK_RAW ? ACCESS_USE : ACCESS_USE & ~(uint64_t)LANDLOCK_ACCESS_FS_WRITE_FILE);
    else
        fence_allow_beside(d->path, d->mode == DISK_RAW ? FENCE_WRITE : FENCE_READ);
    fence_allow_beside(d->overlay_path, FENCE_WRITE);
}

void fence_allow_lab(const struct lab *lab)
{
    if (lab->path && *lab->path)
        fence_allow_beside(lab->path, FENCE_READ);
    for (unsigned i = 0; i < lab->nguests; i++) {
        const struct lab_guest *g = &lab->guests[i];

        fence_allow_beside(g->c.kernel, FENCE_READ);
        fence_allow_beside(g->c.initrd, FENCE_READ);
        for (unsigned k = 0; k < g->c.ndisks; k++)
            allow_disk(&g->c.disks[k]);
        for (unsigned k = 0; k < g->nhooks; k++)
            fence_allow_words(g->hooks[k].command);
    }
}

void fence_allow_words(const char *command)
{
    char *copy = strdup(command), *save = NULL;

    for (char *w = copy ? strtok_r(copy, " \t=,\"'", &save) : NULL; w; w = strtok_r(NULL, " \t=,\"'", &save))
        if (strchr(w, '/'))
            fence_allow_beside(w, FENCE_WRITE);
    free(copy);
}

/* ---- what every instance needs ---- */

/* Directories of the user's that we keep things in; made now, for later they could not be. */
static void allow_own_dir(const char *variable, const char *below_home)
{
    const char *xdg = getenv(variable), *home = getenv("HOME");
    char path[PATH_MAX];
    int n = -1;

    if (xdg && xdg[0] == '/')
        n = snprintf(path, sizeof path, "%s/ruche", xdg);
    else if (home && home[0] == '/')
        n = snprintf(path, sizeof path, "%s/%s/ruche", home, below_home);
    if (n <= 0 || n >= (int)sizeof path)
        return;
    for (char *p = path + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(path, 0700);
        *p = '/';
    }
    mkdir(path, 0700);
    fence_allow(path, FENCE_WRITE);
}

/* Is `name`, a directory in /, one that homes are in? */
static bool holds_homes(const char *name)
{
    static const char *const never[] = {"usr", "etc", "var", "run", "opt", "tmp", "dev", "proc", "sys"};
    const char *home = getenv("HOME");
    size_t n = strlen(name);

    if (strcmp(name, "home") == 0 || strcmp(name, "root") == 0)
        return true;
    for (unsigned i = 0; i < sizeof never / sizeof *never; i++)
        if (strcmp(name, never[i]) == 0)
            return false;
    return home && home[0] == '/' && strncmp(home + 1, name, n) == 0 && (home[1 + n] == '/' || !home[1 + n]);
}

static void allow_system(void)
{
    static const char *const devices[] = {"/dev/kvm", "/dev/net/tun", "/dev/null", "/dev/zero", "/dev/full",
                                          "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts"};
    DIR *d = opendir("/");
    char path[300];

    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.' || holds_homes(e->d_name))
            continue;
        snprintf(path, sizeof path, "/%s", e->d_name);
        fence_allow(path, FENCE_READ);
    }
    if (d)
        closedir(d);
    for (unsigned i = 0; i < sizeof devices / sizeof *devices; i++)
        add(devices[i], ACCESS_USE | LANDLOCK_ACCESS_FS_READ_DIR);
    add("/proc/self/task", ACCESS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE); /* names of threads */
    add("/sys/fs/cgroup", ACCESS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
                              LANDLOCK_ACCESS_FS_REMOVE_DIR | (uint64_t)ACCESS_TRUNCATE);
}

static void allow_own(void)
{
    const char *tmp = getenv("TMPDIR");
    char *images = images_dir(), *sockets = ctl_dir(true, NULL);

    allow_own_dir("XDG_CACHE_HOME", ".cache");
    allow_own_dir("XDG_STATE_HOME", ".local/state");
    allow_own_dir("XDG_CONFIG_HOME", ".config");
    fence_allow(".", FENCE_WRITE);
    fence_allow(tmp && tmp[0] == '/' ? tmp : "/tmp", FENCE_WRITE);
    if (!tmp)
        fence_allow("/var/tmp", FENCE_WRITE);
    fence_allow(images, FENCE_READ);
    fence_allow(sockets, FENCE_WRITE);
    fence_allow_beside("/proc/self/exe", FENCE_READ);
    free(images);
    free(sockets);
}

/* ---- closing ---- */

/* False only if the kernel refuses the rule: then the fence would be narrower than said. */
static bool add_rule(int set, const struct entry *entry, uint64_t known)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = entry->access & known,
                                              .parent_fd = open(entry->path, O_PATH | O_CLOEXEC)};
    struct stat st;
    bool ok = true;

    if (rule.parent_fd < 0)
        return true; /* gone meanwhile, or not ours to see */
    if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
        rule.allowed_access &= ACCESS_FILE;
    if (rule.allowed_access)
        ok = syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
    close(rule.parent_fd);
    return ok;
}

int fence_close(struct err *e)
{
    const int v = fence_version();
    const struct ruleset_attr attr = {.fs = handled(v), .scoped = v >= 6 ? SCOPE_ALL : 0};
    bool ok;
    int set;

    if (v == 0)
        return err_set(e, ENOSYS, "this kernel has no Landlock: access to files is not fenced in");
    allow_system();
    allow_own();
    set = (int)syscall(SYS_landlock_create_ruleset, &attr,
                       v >= 6 ? sizeof attr : v >= 4 ? offsetof(struct ruleset_attr, scoped) : sizeof attr.fs, 0);
    if (set < 0)
        return err_set(e, errno, "access to files cannot be fenced in: %s", strerror(errno));
    ok = true;
    for (unsigned i = 0; i < fence.n; i++)
        ok = add_rule(set, &fence.entry[i], attr.fs) && ok;
    ok = ok && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_landlock_restrict_self, set, 0) == 0;
    if (ok)
        fence.level = v;
    else
        err_set(e, errno, "access to files cannot be fenced in: %s", strerror(errno));
    close(set);
    return ok ? 0 : -EPERM;
}

/* ---- explaining ---- */

static bool below(const char *path, const char *dir)
{
    size_t n = strlen(dir);

    return strncmp(path, dir, n) == 0 && (n == 1 || path[n] == '/' || path[n] == '\0');
}

static bool inside(const char *path, uint64_t want)
{
    char dir[PATH_MAX], *real = realpath(path, NULL);
    bool yes = false;

    if (!real) { /* not there (yet): what matters is its directory */
        text_directory(dir, sizeof dir, path);
        real = realpath(dir, NULL);
    }
    for (unsigned i = 0; real && i < fence.n && !yes; i++)
        yes = fence.entry[i].access & want && below(real, fence.entry[i].path);
    yes |= !real;
    free(real);
    return yes;
}

const char *fence_hint(const char *path, enum fence_access a)
{
    const uint64_t want = a == FENCE_WRITE ? LANDLOCK_ACCESS_FS_WRITE_FILE : LANDLOCK_ACCESS_FS_READ_FILE;
    const int saved = errno; /* the caller is about to tell it */
    const bool ok = !fence.level || inside(path, want);

    errno = saved;
    return ok ? "" : "; it is outside of what this instance may reach: start ruche with --allow DIRECTORY";
}
