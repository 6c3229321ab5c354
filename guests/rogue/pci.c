/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pci: attacks on configuration space, BARs and MSI-X tables. What was there is put back.
 */
#include "pcidev.h"
#include "rogue.h"

static struct pci_saved devs[PCI_DEVS_MAX];

static void restore_all(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        pci_restore(&devs[i]);
}

static u64 ecam_of(unsigned bdf, unsigned reg)
{
    return acpi_get()->ecam ? acpi_get()->ecam + ((u64)bdf << 12) + reg : 0;
}

static void write_somewhere(unsigned bdf)
{
    unsigned reg = (unsigned)rnd(256), width = 1u << rnd(3);
    u64 e = ecam_of(bdf, (unsigned)rnd(4096));

    pci_write(bdf, reg & ~(width - 1), width, (u32)rnd64());
    if (!e)
        return;
    switch (rnd(5)) {
    case 0: mmio8_set(e, (u8)rnd64()); break;
    case 1: mmio16_set(e, (u16)rnd64()); break; /* unaligned ones, too */
    case 2: mmio32_set(e, (u32)rnd64()); break;
    case 3: mmio64_set(e, rnd64()); break;
    default: mmio64(e);
    }
}

void pci(void)
{
    unsigned n = pci_scan(devs);

    while (more()) {
        if (rnd(4) == 0)
            pci_read((unsigned)rnd(65536), (unsigned)rnd(256), 1u << rnd(3));
        else if (rnd(4) == 0)
            outl(0xcf8, (u32)rnd64()), rnd(2) ? (void)inl((u16)(0xcfc + rnd(4))) : outb((u16)(0xcfc + rnd(4)), (u8)rnd(256));
        else if (n)
            write_somewhere(devs[rnd(n)].bdf);
        attempted();
        if (!rnd(32))
            restore_all(n);
    }
    restore_all(n);
}

static void touch(void *arg)
{
    u64 a = (u64)arg;

    mmio32(a);
    mmio8_set(a + 20, 0);
    mmio32_set(a + 4, 1);
    mmio64(a + 8);
}

/* Moves BARs onto RAM, controllers, each other, and uses them there. Accesses where RAM is go
 * to the sandbox: RAM must win. */
void bars(void)
{
    unsigned n = pci_scan(devs);

    while (more() && n) {
        const struct pci_saved *d = &devs[rnd(n)];
        unsigned reg = 0x10 + 4 * (unsigned)rnd(6);
        u64 to = rnd(3) == 0 ? sandbox() : rnd(2) ? bad_addr() : pci_bar(devs[rnd(n)].bdf, (unsigned)rnd(6));
        if ((d->words[3] >> 16 & 0x7f) == 0) {
            pci_write(d->bdf, reg, 4, (u32)to);
            pci_write(d->bdf, reg + 4 < 0x28 ? reg + 4 : reg, 4, (u32)(to >> 32));
            pci_write(d->bdf, 4, 2, (u32)rnd(8));
        }
        if (to == sandbox() || !is_ram(to & ~4095ull, 8192))
            try_call(touch, (void *)phys(to & ~3ull), NULL);
        for (unsigned i = 0; i < rnd(8); i++)
            pci_write(d->bdf, 4, 2, i & 1 ? 7 : 0);
        pci_restore(d);
        attempted();
    }
    restore_all(n);
}

static u32 message_data(void)
{
    u32 v = sane_vector(rnd64()) | (u32)(rnd64() & 0xc000);

    return rnd(4) ? v : v | 0x100; /* fixed or lowest priority; no INIT to ourselves */
}

void msix(void)
{
    unsigned n = pci_scan(devs), found = 0;

    for (unsigned i = 0; i < n; i++)
        if ((devs[i].words[3] >> 16 & 0x7f) == 0 && pci_cap(devs[i].bdf, 0x11, 0))
            devs[found++] = devs[i];
    while (more() && found) {
        const struct pci_saved *d = &devs[rnd(found)];
        unsigned cap = pci_cap(d->bdf, 0x11, 0);
        u32 where = pci_read(d->bdf, cap + 4, 4), entries = (pci_read(d->bdf, cap + 2, 2) & 0x7ff) + 1;
        u64 table = pci_bar(d->bdf, where & 7) + (where & ~7u), entry = table + 16 * rnd(entries + 4);
        page_map(table, 65536);
        pci_write(d->bdf, cap + 2, 2, (u32)rnd(4) << 14);
        mmio32_set(entry, rnd(2) ? LAPIC_BASE | (u32)rnd64() % 0x100000 : rnd(2) ? (u32)sandbox() : (u32)bad_addr() | 0xc0000000);
        mmio32_set(entry + 4, rnd(8) ? 0 : (u32)rnd64());
        mmio32_set(entry + 8, message_data());
        mmio32_set(entry + 12, (u32)rnd(2));
        switch (rnd(4)) {
        case 0: mmio64_set(entry + 8, (u64)rnd(2) << 32 | message_data()); break;
        case 1: mmio8_set(entry + 12, (u8)rnd(2)); break;
        case 2: mmio16(entry + 5); break;
        default: mmio64_set(pci_bar(d->bdf, pci_read(d->bdf, cap + 8, 4) & 7) + (pci_read(d->bdf, cap + 8, 4) & ~7u), rnd64());
        }
        attempted();
        if (!rnd(32)) {
            sti();
            pause();
            cli();
        }
    }
    for (unsigned i = 0; i < found; i++)
        pci_restore(&devs[i]);
}
