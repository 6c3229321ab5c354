/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * main: first C of the boot processor, and the progress pages.
 */
#include "tiny.h"

extern u32 boot_protocol, boot_info_addr;
struct progress progress __attribute__((section(".progress"), aligned(4096)));

_Static_assert(sizeof(struct progress) == 8192, "the host reads this structure");
_Static_assert(sizeof(struct progress_cpu) == 64, "the host reads this structure");

void tiny_start(void) __attribute__((noreturn));

void tiny_start(void)
{
    trap_init_cpu(0);
    boot_init(boot_protocol, boot_info_addr);
    serial_init();
    pic_init();
    lapic_init();
    time_init();
    guest_main();
    for (;;)
        sti_hlt();
}

void progress_init(const char *guest, const char *unit, unsigned ncpus)
{
    memset(&progress, 0, sizeof(progress));
    progress.version = PROGRESS_VERSION;
    progress.ncpus = ncpus;
    progress.tsc_hz = tsc_hz();
    progress.start_tsc = rdtsc();
    formatf(progress.guest, sizeof(progress.guest), "%s", guest);
    formatf(progress.unit, sizeof(progress.unit), "%s", unit);
    asm volatile("" : : : "memory");
    memcpy(progress.magic, "RUCHSPIN", 8);
}
