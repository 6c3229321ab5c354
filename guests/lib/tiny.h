/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tiny: all of the library. A guest is one function, guest_main, entered on the boot processor
 * with descriptor tables, serial line, PIC and local APIC ready and interrupts masked. When it
 * returns, the guest sleeps for ever.
 */
#ifndef TINY_H
#define TINY_H

#include "apic.h"
#include "boot.h"
#include "cpu.h"
#include "io.h"
#include "page.h"
#include "progress.h"
#include "smp.h"
#include "time.h"
#include "trap.h"

void guest_main(void);

#endif
