/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * images: see images.h.
 */
#include "core/images.h"

#include "core/held.h"
#include "core/suggest.h"
#include "core/text.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct image images[] = {
    {"debian", "vmlinuz", "initrd.gz", true, "Debian's kernel with a busybox shell", "make guests"},
    {"hello", "tiny/hello.elf", NULL, false, "a small monitor on the serial line", "make"},
    {"spin", "tiny/spin.elf", NULL, false, "burns its processor, prints its progress", "make"},
    {"memhog", "tiny/memhog.elf", NULL, false, "takes all its memory", "make"},
    {"chatty", "tiny/chatty.elf", NULL, false, "storms of I/O and exits", "make"},
    {"flood", "tiny/flood.elf", NULL, false, "floods its disk or its network", "make"},
    {"rogue", "tiny/rogue.elf", NULL, false, "tries to break out", "make"},
    {"selftest", "tiny/selftest.elf", NULL, false, "tests the machine from inside", "make"},
};

const struct image *image_at(unsigned i)
{
    return i < sizeof images / sizeof *images ? &images[i] : NULL;
}

const struct image *image_find(const char *name)
{
    for (unsigned i = 0; image_at(i); i++)
        if (strcmp(images[i].name, name) == 0)
            return &images[i];
    return NULL;
}

const char *image_names(char *out, size_t size)
{
    size_t n = 0;

    out[0] = '\0';
    for (unsigned i = 0; image_at(i) && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s", i ? ", " : "", images[i].name);
    return out;
}

bool image_is_path(const char *s)
{
    return strchr(s, '/') || strchr(s, '.');
}

static bool is_dir(const char *path)
{
    struct stat st;

    return held_stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

char *images_dir(void)
{
    static const char *const below[] = {"build/guests", "../share/ruche"};
    const char *env = getenv("RUCHE_IMAGES");
    static char path[PATH_MAX + 32]; /* once found it stays: later it may not be ours to see */
    char exe[PATH_MAX];
    ssize_t n;

    if (env && *env)
        return strdup(env);
    if (path[0])
        return strdup(path);
    n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0)
        return NULL;
    exe[n] = '\0';
    dirname(exe);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", exe, below[i]);
        if (is_dir(path))
            return strdup(path);
    }
    path[0] = '\0';
    return is_dir(RUCHE_PREFIX "/share/ruche") ? strdup(RUCHE_PREFIX "/share/ruche") : NULL;
}

/* errno tells why not. */
static bool readable(const char *path)
{
    held_add(path, O_RDONLY);
    return held_access(path, R_OK) == 0;
}

/* DIR/FILE, or DIR/NAME without FILE's directory (as installed) if only that can be read. */
static char *image_locate(const char *dir, const char *file)
{
    const char *slash = strrchr(file, '/');
    char *path = NULL, *flat = NULL;

    if (asprintf(&path, "%s/%s", dir, file) < 0)
        return NULL;
    if (!slash || readable(path) || asprintf(&flat, "%s/%s", dir, slash + 1) < 0)
        return path;
    if (!readable(flat)) {
        free(flat);
        return path;
    }
    free(path);
    return flat;
}

/* The file of an image if it can be read; NULL and `e` otherwise. */
static char *image_file(const struct image *im, const char *file, struct err *e)
{
    char *dir = images_dir(), *path;

    if (!dir) {
        err_set(e, ENOENT, "image `%s` is not there yet: run `%s` in the source tree, or set RUCHE_IMAGES",
                im->name, im->make);
        return NULL;
    }
    path = image_locate(dir, file);
    if (!path) {
        err_set(e, ENOMEM, "out of memory");
    } else if (!readable(path)) {
        err_set(e, ENOENT, "image `%s` needs %s, which %s: run `%s`", im->name, path,
                errno == EACCES ? "may not be read" : "is not there", im->make);
        free(path);
        path = NULL;
    }
    free(dir);
    return path;
}

static int image_strings(struct vm_config *c, const char *image, const char *append)
{
    free(c->append);
    free(c->image);
    c->append = strdup(append);
    c->image = strdup(image);
    return c->append && c->image ? 0 : -ENOMEM;
}

int image_apply(const char *name, const char *append, struct vm_config *c, struct err *e)
{
    const struct image *im = image_find(name);
    char names[200], hint[80], show[40], line[4096];
    struct suggest s = suggest_begin(name);

    if (!im) {
        for (unsigned i = 0; image_at(i); i++)
            suggest_offer(&s, images[i].name);
        return err_set(e, ENOENT, "there is no image `%s`%s; known are %s, or a path with a `/`",
                       text_show(show, sizeof show, name), suggest_text(&s, hint, sizeof hint),
                       image_names(names, sizeof names));
    }
    if (im->linux_console)
        snprintf(line, sizeof line, "console=ttyS0 ruche.name=%s%s%s", c->name,
                 append && *append ? " " : "", append ? append : "");
    else
        snprintf(line, sizeof line, "%s", append ? append : "");
    free(c->kernel);
    c->kernel = image_file(im, im->kernel, e);
    if (!c->kernel)
        return -ENOENT;
    if (im->initrd && !c->initrd && !(c->initrd = image_file(im, im->initrd, e)))
        return -ENOENT;
    return image_strings(c, name, line) == 0 ? 0 : err_set(e, ENOMEM, "out of memory");
}

/* A word without a slash may have been meant as an image. */
static int kernel_missing(const char *path, const char *show, struct err *e)
{
    int code = errno;
    char names[200];

    if (code != ENOENT && code != ENOTDIR)
        return err_set(e, code, "kernel `%s` cannot be opened: %s", show, strerror(code));
    if (strchr(path, '/'))
        return err_set(e, code, "kernel `%s` does not exist: check the path", show);
    return err_set(e, code, "kernel `%s` does not exist: check the path, or name an image: %s", show,
                   image_names(names, sizeof names));
}

void images_hold(void)
{
    for (const struct image *im = images; im < images + sizeof images / sizeof *images; im++) {
        free(image_file(im, im->kernel, NULL));
        free(im->initrd ? image_file(im, im->initrd, NULL) : NULL);
    }
}

int image_apply_path(const char *path, const char *append, struct vm_config *c, struct err *e)
{
    char show[200];
    struct stat st;

    text_show(show, sizeof show, path);
    if (held_stat(path, &st) < 0)
        return kernel_missing(path, show, e);
    if (!S_ISREG(st.st_mode))
        return err_set(e, EINVAL, "kernel `%s` is %s", show,
                       S_ISDIR(st.st_mode) ? "a directory: give the file in it" : "no regular file: copy it into one");
    if (!readable(path))
        return err_set(e, errno, "kernel `%s` may not be read (%s): make it readable for you; many systems keep "
                       "/boot/vmlinuz* for root", show, strerror(errno));
    free(c->kernel);
    c->kernel = strdup(path);
    if (!c->kernel || image_strings(c, path, append ? append : "console=ttyS0") < 0)
        return err_set(e, ENOMEM, "out of memory");
    return 0;
}
