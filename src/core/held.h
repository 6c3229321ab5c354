/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * held: files that a lab names and only the privileges of the start can open. They stay open as long as
 * the process lives, so that a guest may be started again when the privileges are gone. Such a
 * privilege gives nobody a right that the file's owner does not have.
 *
 * It is added to before threads exist; then it does not change, and any thread may ask. A file is found
 * by the path that the lab has for it. Its descriptors have their locks in common, until the process
 * ends: that two guests of one lab do not write one disk is lab_check_disks' to see.
 */
#ifndef RUCHE_CORE_HELD_H
#define RUCHE_CORE_HELD_H

#include <stdbool.h>

struct stat;

/* Holds `path` if it cannot be opened with these `flags` (of open(2)) but by a privilege that is
 * still there. */
void held_add(const char *path, int flags);

/* True if `path` does not exist and only such a privilege can make it. */
bool held_only_makes(const char *path);

/* True if nothing but what is held opens it so. */
bool held_for(const char *path, bool writing);

/* As access(2), of what is held or with the privileges in effect. */
int held_access(const char *path, int mode);

/* As stat(2), of what is held or by a privilege that is still there where that is refused. */
int held_stat(const char *path, struct stat *st);

/* As open(2) of a file that exists, with close-on-exec, not to wait and to become no terminal; where that is
 * refused, a duplicate of what is held, unless it was deleted meanwhile. A descriptor, or -1 and errno. */
int held_open(const char *path, int flags);

#endif
