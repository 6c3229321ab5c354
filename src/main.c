/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * main: the command line of the program.
 */
#include <stdio.h>

int main(void)
{
    fputs("ruche: nothing here yet\n", stderr);
    return 2;
}
