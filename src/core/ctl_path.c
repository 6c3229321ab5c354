/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ctl_path: where control sockets are.
 */
#include "core/ctl.h"

#include "core/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The directory belongs to us and nobody else may write into it. */
static int check_dir(const char *dir, struct err *e)
{
    struct stat st;

    if (lstat(dir, &st) < 0)
        return err_set(e, errno, "%s is not there: %s", dir, strerror(errno));
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
        return err_set(e, EPERM, "%s is not a directory of your own that only you may write to: remove it, "
                       "or set XDG_RUNTIME_DIR", dir);
    return 0;
}

char *ctl_dir(bool make, struct err *e)
{
    const char *run = getenv("XDG_RUNTIME_DIR");
    char *dir = NULL;
    int n = run && run[0] == '/' ? asprintf(&dir, "%s/ruche", run)
                                 : asprintf(&dir, "/tmp/ruche-%u", (unsigned)geteuid());

    if (n < 0) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    if (make && mkdir(dir, 0700) < 0 && errno != EEXIST)
        err_set(e, errno, "%s cannot be made: %s", dir, strerror(errno));
    else if (check_dir(dir, e) == 0)
        return dir;
    free(dir);
    return NULL;
}

char *ctl_path(const char *name, bool make, struct err *e)
{
    char *dir, *path = NULL;

    if (strchr(name, '/'))
        return strdup(name);
    dir = ctl_dir(make, e);
    if (dir && asprintf(&path, "%s/%s%s", dir, name, strstr(name, ".sock") ? "" : ".sock") < 0) {
        err_set(e, ENOMEM, "out of memory");
        path = NULL;
    }
    free(dir);
    return path;
}
