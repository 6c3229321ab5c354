/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * fence: which files the process may reach from now on (Landlock, kernel 5.13 and newer).
 *
 * Reading: everything outside people's home directories. Writing: nothing. Both: what was
 * allowed by name before the fence is closed. The kernel enforces it on this process, on its
 * threads and on the programs it starts; what is open already stays open. It is no substitute for
 * a file's own rights, which hold as before.
 *
 * One per process, as the terminal is one. Built and closed by main, before threads exist; the
 * lists do not change afterwards, so that fence_hint may be called by any thread.
 * linux/Documentation/userspace-api/landlock.rst.
 */
#ifndef RUCHE_CORE_FENCE_H
#define RUCHE_CORE_FENCE_H

#include "core/err.h"

#include <stdbool.h>

struct lab;

enum fence_access { FENCE_READ, FENCE_WRITE };

/* Allows what is at `path`, below it if it is a directory. What does not exist is left out. */
void fence_allow(const char *path, enum fence_access a);

/* The same for the directory that `path` lies in, and for the one it leads to as a link. */
void fence_allow_beside(const char *path, enum fence_access a);

/* Allows what a lab names: kernels and bases to be read; disks and overlays to be written. */
void fence_allow_lab(const struct lab *lab);

/* Every word of a command that has a slash: its directory may be written. */
void fence_allow_words(const char *command);

/* Adds what every instance needs and closes the fence. 0, or -errno and `e`: there is none then. */
int fence_close(struct err *e);

/* Landlock's version here, 0: the kernel has none or it is not on. */
int fence_version(void);
/* The version the closed fence uses, 0: open. */
int fence_level(void);

/* "" or what to say behind a refused `path`: that it is outside of the fence, and what to do. */
const char *fence_hint(const char *path, enum fence_access a);

#endif
