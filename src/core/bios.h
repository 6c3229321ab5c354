/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * bios: what real-mode programs find behind `int`: video's teletype and strings, and the keyboard,
 * on the serial line; memory sizes and map; restart. All else answers with carry: no such service.
 */
#ifndef RUCHE_CORE_BIOS_H
#define RUCHE_CORE_BIOS_H

struct gmem;

/* Puts interrupt vectors and code in place. 0, or -errno: memory is too small. */
int bios_write(struct gmem *m);

#endif
