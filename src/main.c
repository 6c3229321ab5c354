/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * main: the command line of the program.
 */
#include "core/lab.h"
#include "core/text.h"

#include <stdio.h>
#include <string.h>

static int main_lint(int argc, char **argv)
{
    struct text said = {0};
    struct lab_host host;
    struct diags *d;
    struct lab *lab;
    bool ok;

    if (argc != 2) {
        fputs("usage: ruche lint LAB\n", stderr);
        return 2;
    }
    lab_host_measure(&host);
    lab = lab_load(argv[1], &host, &d);
    ok = lab != NULL;
    if (d)
        diags_print(d, &said);
    fputs(text_str(&said), stderr);
    text_free(&said);
    diags_free(d);
    lab_free(lab);
    return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "lint") == 0)
        return main_lint(argc - 1, argv + 1);
    fputs("usage: ruche lint LAB (the rest is being built)\n", stderr);
    return 2;
}
