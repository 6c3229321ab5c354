/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * images: the guests that come with the program, by name (DESIGN §11).
 *
 * They lie in $RUCHE_IMAGES, else in build/guests beside the executable, else in
 * ../share/ruche of the installed tree.
 */
#ifndef RUCHE_CORE_IMAGES_H
#define RUCHE_CORE_IMAGES_H

#include "core/err.h"
#include "core/vm_config.h"

#include <stdbool.h>
#include <stddef.h>

struct image {
    const char *name;
    const char *kernel; /* below the directory of images */
    const char *initrd; /* NULL: none */
    bool linux_console; /* its command line begins with `console=ttyS0 ruche.name=NAME` */
    const char *about;
    const char *make; /* what makes it */
};

/* The i-th, NULL past the end. */
const struct image *image_at(unsigned i);
const struct image *image_find(const char *name);

/* "debian, hello, ..." */
const char *image_names(char *out, size_t size);

/* True if `s` is a path, not the name of an image. */
bool image_is_path(const char *s);

/* Fills c->kernel, initrd, append and image of `c` for a known image. `append` (NULL: none) is
 * added to the image's own command line. -ENOENT and what to do if its files are absent. */
int image_apply(const char *name, const char *append, struct vm_config *c, struct err *e);

/* Fills the same for a kernel file; without `append` the command line is `console=ttyS0`. */
int image_apply_path(const char *path, const char *append, struct vm_config *c, struct err *e);

/* Holds those that only a privilege of the start can open (held.h). */
void images_hold(void);

/* Directory where images are looked for first that exists, or NULL. Caller frees. */
char *images_dir(void);

#endif
