/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pc_map: where everything on the board is: I/O ports, physical addresses, interrupt lines.
 *
 * The one place for these numbers in C. The ASL (pc_dsdt.asl) cannot include it and repeats
 * some of them; tests/unit/test_acpi.c compares the two. The same layout as a PC of 2010, so
 * that unmodified kernels find everything where they expect it.
 */
#ifndef RUCHE_DEVICES_PC_MAP_H
#define RUCHE_DEVICES_PC_MAP_H

/* I/O ports */
enum {
    PC_PIC_MASTER_PORT = 0x20,
    PC_PIT_PORT = 0x40,
    PC_I8042_DATA_PORT = 0x60,
    PC_PORT_B = 0x61, /* speaker gate, PIT channel 2 output */
    PC_I8042_CMD_PORT = 0x64,
    PC_RTC_PORT = 0x70,
    PC_POST_PORT = 0x80,
    PC_PORT_92 = 0x92, /* fast A20 and reset */
    PC_PIC_SLAVE_PORT = 0xa0,
    PC_DEBUG_CONSOLE_PORT = 0xe9,
    PC_DEBUG_EXIT_PORT = 0xf4,
    PC_COM2_PORT = 0x2f8,
    PC_COM1_PORT = 0x3f8,
    PC_PIC_ELCR_PORT = 0x4d0,
    PC_PM1_EVT_PORT = 0x600, /* status 16 bits, enable 16 bits */
    PC_PM1_CNT_PORT = 0x604,
    PC_PM_TMR_PORT = 0x608,
    PC_PCI_ADDR_PORT = 0xcf8,
    PC_RESET_PORT = 0xcf9, /* one byte inside the window of PC_PCI_ADDR_PORT */
    PC_PCI_DATA_PORT = 0xcfc,
};

enum {
    PC_UART_PORTS = 8,
    PC_PM1_EVT_BYTES = 4,
    PC_PM1_CNT_BYTES = 2,
    PC_PM_TMR_BYTES = 4,
    PC_RESET_VALUE = 6,     /* what written to PC_RESET_PORT resets the machine */
    PC_SLEEP_TYPE_S5 = 5,   /* SLP_TYP of PM1_CNT that powers off */
    PC_CMOS_CENTURY = 0x32, /* register of the RTC that holds the century, in BCD */
};

/* Physical addresses */
#define PC_ACPI_AREA 0xe0000u /* RSDP at its start, tables behind it */
#define PC_ACPI_AREA_BYTES 0x20000u
#define PC_PCI_MMIO 0xc0000000u /* BARs are placed here */
#define PC_PCI_MMIO_BYTES 0x20000000u
#define PC_ECAM 0xe0000000u /* configuration space of bus 0 */
#define PC_ECAM_BYTES 0x100000u
#define PC_IOAPIC 0xfec00000u
#define PC_IOAPIC_BYTES 0x1000u
#define PC_LAPIC 0xfee00000u

/* Global system interrupts, that is, inputs of the one IOAPIC. ISA interrupts are edges,
 * active high, except the SCI (level, active high). PCI INTA# is level; Linux programs
 * these inputs active low, so an IOAPIC must ignore the polarity bit, as KVM's does. */
enum {
    PC_GSI_PIT = 2, /* and IRQ 0 of the PIC */
    PC_GSI_COM2 = 3,
    PC_GSI_COM1 = 4,
    PC_GSI_RTC = 8,
    PC_GSI_SCI = 9,
    PC_GSI_PCI = 16, /* 16..23 */
    PC_GSIS = 24,
    PC_PCI_LINES = 8, /* slots this far apart share one */
    PC_PCI_SLOTS = 32,
};

/* The interrupt of INTA# of the device in `slot` of bus 0. */
static inline unsigned pc_gsi_of_slot(unsigned slot)
{
    return PC_GSI_PCI + slot % PC_PCI_LINES;
}

#endif
