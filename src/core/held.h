/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * held: files that a lab names and only the privileges of the start could open. They stay open as long
 * as the process lives, so that a guest may be started again when the privileges are gone.
 *
 * It is added to before threads exist, as long as there are privileges; then it does not change, and any thread may ask. A file is
 * found by the path that the lab has for it. Duplicates of one descriptor have their locks in common,
 * until the process ends: that two guests of one lab do not write one disk is lab_check_disks' to see.
 */
#ifndef RUCHE_CORE_HELD_H
#define RUCHE_CORE_HELD_H

#include <stdbool.h>

struct stat;

/* Holds `path` if it cannot be opened with these `flags` (of open(2)) but by a privilege that is still there, and not
 * because its owner, who we are, took that right from it. */
void held_add(const char *path, int flags);

/* True if `path` does not exist and only such a privilege can make it. */
bool held_only_makes(const char *path);

/* As open(2) of a file that exists, with close-on-exec, not to wait and to become no terminal; where
 * that is refused, a duplicate of what is held. A descriptor, or -1 and errno. */
int held_open(const char *path, int flags);

/* As stat(2), of what is held or by privilege where that is refused. */
int held_stat(const char *path, struct stat *st);

/* True if it is held with these rights: those of the file do not matter then. */
bool held_for(const char *path, bool writing);

#endif
