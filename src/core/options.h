/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * options: the command line of the program, taken apart.
 */
#ifndef RUCHE_CORE_OPTIONS_H
#define RUCHE_CORE_OPTIONS_H

#include "core/err.h"

#include <stdbool.h>

enum options_mode { MODE_LAB, MODE_RUN, MODE_CTL, MODE_DOCTOR, MODE_LINT, MODE_HELP, MODE_VERSION, MODE_MAN };
enum { OPTIONS_ITEMS_MAX = 256 };

/* --exec and --script, in the order in which they were given. */
struct options_item {
    bool is_file;
    const char *text;
};

struct options {
    enum options_mode mode;
    const char *accel;  /* NULL: auto */
    const char *socket; /* NULL: by name */
    const char *log;
    const char *name;
    const char *theme;
    bool headless, interactive, plain, ascii, readonly, json, batch, csv;
    const char *interval, *count; /* of --batch; NULL: not given */
    unsigned nitems;
    struct options_item item[OPTIONS_ITEMS_MAX];
    unsigned nallow;
    const char *allow[OPTIONS_ITEMS_MAX]; /* directories that may be written, too */
    const char *lab;    /* LAB of MODE_LAB and MODE_LINT, KERNEL of MODE_RUN */
    unsigned nwords;    /* MODE_RUN: KEY=VALUE of the guest; MODE_CTL: the command */
    char *words[OPTIONS_ITEMS_MAX];
    char *made[OPTIONS_ITEMS_MAX]; /* words that options_parse allocated */
    unsigned nmade;
};

/* -EINVAL and a sentence. Strings point into argv. */
int options_parse(struct options *o, int argc, char **argv, struct err *e);
void options_fini(struct options *o);

extern const char options_help[];

#endif
