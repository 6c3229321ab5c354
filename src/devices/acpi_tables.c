/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * acpi_tables: see acpi_tables.h. The tables are built in a buffer in one pass, each aligned
 * to 64 bytes (what the FACS needs), and copied into the guest at once.
 *
 * ACPI 6.3: 5.2.5.3 RSDP, 5.2.8 XSDT, 5.2.9 FADT, 5.2.10 FACS, 5.2.12 MADT; PCI firmware 3.0
 * 4.1.2 MCFG.
 */
#include "devices/acpi_tables.h"

#include "core/mem.h"
#include "devices/pc_map.h"
#include "pc_dsdt.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct acpi_header {
    char signature[4];
    uint32_t length;
    uint8_t revision, checksum;
    char oem_id[6], oem_table_id[8];
    uint32_t oem_revision;
    char creator_id[4];
    uint32_t creator_revision;
} __attribute__((packed));
static_assert(sizeof(struct acpi_header) == 36, "ACPI 5.2.6");

struct acpi_gas { /* generic address structure, 5.2.3.2 */
    uint8_t space, bits, offset, access;
    uint64_t address;
} __attribute__((packed));
static_assert(sizeof(struct acpi_gas) == 12, "ACPI 5.2.3.2");

struct acpi_rsdp {
    char signature[8];
    uint8_t checksum; /* of the first 20 bytes */
    char oem_id[6];
    uint8_t revision;
    uint32_t rsdt, length;
    uint64_t xsdt;
    uint8_t checksum_all, reserved[3];
} __attribute__((packed));
static_assert(sizeof(struct acpi_rsdp) == 36, "ACPI 5.2.5.3");

struct acpi_fadt {
    struct acpi_header h;
    uint32_t facs, dsdt;
    uint8_t reserved0, pm_profile;
    uint16_t sci_int;
    uint32_t smi_cmd;
    uint8_t acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
    uint32_t pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_tmr, gpe0, gpe1;
    uint8_t pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len, gpe0_len, gpe1_len, gpe1_base;
    uint8_t cst_cnt;
    uint16_t c2_latency_us, c3_latency_us, flush_size, flush_stride;
    uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
    uint16_t iapc_boot_arch;
    uint8_t reserved1;
    uint32_t flags;
    struct acpi_gas reset_reg;
    uint8_t reset_value;
    uint16_t arm_boot_arch;
    uint8_t minor_version;
    uint64_t x_facs, x_dsdt;
    struct acpi_gas x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt, x_pm_tmr;
    struct acpi_gas x_gpe0, x_gpe1, sleep_control, sleep_status;
    uint64_t hypervisor;
} __attribute__((packed));
static_assert(sizeof(struct acpi_fadt) == 276, "ACPI 5.2.9");

/* acpi_fadt.iapc_boot_arch: there is an ISA bus and a CMOS clock, no 8042, no VGA */
enum {
    IAPC_LEGACY_DEVICES = 1 << 0,
    IAPC_VGA_NOT_PRESENT = 1 << 2,
};

/* acpi_fadt.flags; PWR_BUTTON (1 << 4) clear: the power button is a fixed feature */
enum {
    FADT_WBINVD = 1 << 0,
    FADT_PROC_C1 = 1 << 2,
    FADT_SLP_BUTTON = 1 << 5, /* set: no sleep button in fixed hardware */
    FADT_FIX_RTC = 1 << 6,    /* set: no RTC wake status there */
    FADT_TMR_VAL_EXT = 1 << 8, /* the PM timer has 32 bits, not 24 */
    FADT_RESET_REG_SUP = 1 << 10,
};

enum { C2_UNSUPPORTED_US = 0xfff, C3_UNSUPPORTED_US = 0xfff };

struct acpi_facs {
    char signature[4];
    uint32_t length, hardware_signature, waking_vector, global_lock, flags;
    uint64_t x_waking_vector;
    uint8_t version, reserved[3];
    uint32_t ospm_flags;
    uint8_t reserved1[24];
} __attribute__((packed));
static_assert(sizeof(struct acpi_facs) == 64, "ACPI 5.2.10");

struct acpi_madt {
    struct acpi_header h;
    uint32_t lapic, flags;
} __attribute__((packed));

enum { MADT_PCAT_COMPAT = 1, MADT_ENABLED = 1 };
enum {
    MADT_LAPIC,
    MADT_IOAPIC,
    MADT_OVERRIDE,
    MADT_LAPIC_NMI = 4,
    MADT_X2APIC = 9,
    MADT_X2APIC_NMI
};
enum { INTI_CONFORMS = 0, INTI_HIGH_LEVEL = 0x1 | 0x3 << 2 };
enum { XAPIC_IDS = 255, LINT1 = 1 };

struct madt_lapic {
    uint8_t type, length, uid, apic_id;
    uint32_t flags;
} __attribute__((packed));
static_assert(sizeof(struct madt_lapic) == 8, "ACPI 5.2.12.2");

struct madt_x2apic {
    uint8_t type, length;
    uint16_t reserved;
    uint32_t x2apic_id, flags, uid;
} __attribute__((packed));
static_assert(sizeof(struct madt_x2apic) == 16, "ACPI 5.2.12.12");

struct madt_ioapic {
    uint8_t type, length, id, reserved;
    uint32_t address, gsi_base;
} __attribute__((packed));
static_assert(sizeof(struct madt_ioapic) == 12, "ACPI 5.2.12.3");

struct madt_override {
    uint8_t type, length, bus, source;
    uint32_t gsi;
    uint16_t flags;
} __attribute__((packed));
static_assert(sizeof(struct madt_override) == 10, "ACPI 5.2.12.5");

struct madt_lapic_nmi {
    uint8_t type, length, uid;
    uint16_t flags;
    uint8_t lint;
} __attribute__((packed));
static_assert(sizeof(struct madt_lapic_nmi) == 6, "ACPI 5.2.12.7");

struct madt_x2apic_nmi {
    uint8_t type, length;
    uint16_t flags;
    uint32_t uid;
    uint8_t lint, reserved[3];
} __attribute__((packed));
static_assert(sizeof(struct madt_x2apic_nmi) == 12, "ACPI 5.2.12.13");

struct acpi_mcfg {
    struct acpi_header h;
    uint8_t reserved[8];
    uint64_t base;
    uint16_t segment;
    uint8_t first_bus, last_bus;
    uint32_t reserved1;
} __attribute__((packed));
static_assert(sizeof(struct acpi_mcfg) == 60, "PCI firmware 3.0 4.1.2");

/* The area as it will be in the guest. `used` never exceeds the area: ACPI_VCPUS_MAX bounds
 * the only table whose size depends on anything. */
struct area {
    uint8_t *bytes;
    uint32_t used;
};

static_assert(ACPI_VCPUS_MAX * sizeof(struct madt_x2apic) + sizeof pc_dsdt_aml_code + 4096 <
                  PC_ACPI_AREA_BYTES,
              "the largest MADT fits");

static void *area_take(struct area *a, size_t len)
{
    void *p = a->bytes + a->used;

    a->used += (uint32_t)len;
    return p;
}

static void area_align(struct area *a)
{
    a->used = (a->used + 63) & ~63u;
}

static uint32_t area_gpa(const struct area *a, const void *p)
{
    return PC_ACPI_AREA + (uint32_t)((const uint8_t *)p - a->bytes);
}

static uint8_t checksum(const void *p, size_t len)
{
    const uint8_t *b = p;
    uint8_t sum = 0;

    while (len--)
        sum += *b++;
    return (uint8_t)-sum;
}

static void *table_begin(struct area *a, const char *signature, uint8_t revision, size_t len)
{
    struct acpi_header *h;

    area_align(a);
    h = area_take(a, len);
    memcpy(h->signature, signature, 4);
    h->revision = revision;
    memcpy(h->oem_id, "RUCHE ", 6);
    memcpy(h->oem_table_id, "RUCHEPC ", 8);
    h->oem_revision = 1;
    memcpy(h->creator_id, "RUCH", 4);
    h->creator_revision = 1;
    return h;
}

/* The table ends where the area ends now. Returns its guest address. */
static uint32_t table_end(struct area *a, struct acpi_header *h)
{
    h->length = a->used - (uint32_t)((uint8_t *)h - a->bytes);
    h->checksum = checksum(h, h->length);
    return area_gpa(a, h);
}

static uint32_t write_dsdt(struct area *a)
{
    void *p;

    area_align(a);
    p = area_take(a, sizeof pc_dsdt_aml_code);
    memcpy(p, pc_dsdt_aml_code, sizeof pc_dsdt_aml_code);
    return area_gpa(a, p);
}

static uint32_t write_facs(struct area *a)
{
    struct acpi_facs *f;

    area_align(a);
    f = area_take(a, sizeof *f);
    memcpy(f->signature, "FACS", 4);
    f->length = sizeof *f;
    f->version = 2;
    return area_gpa(a, f);
}

static struct acpi_gas gas_port(uint16_t port, unsigned bytes, unsigned access)
{
    return (struct acpi_gas){
        .space = 1, .bits = (uint8_t)(bytes * 8), .access = (uint8_t)access, .address = port};
}

static uint32_t write_fadt(struct area *a, uint32_t facs, uint32_t dsdt)
{
    struct acpi_fadt *f = table_begin(a, "FACP", 6, sizeof *f);

    f->minor_version = 3;
    f->facs = facs;
    f->dsdt = dsdt;
    f->x_dsdt = dsdt;
    f->sci_int = PC_GSI_SCI;
    f->pm1a_evt = PC_PM1_EVT_PORT;
    f->pm1_evt_len = PC_PM1_EVT_BYTES;
    f->pm1a_cnt = PC_PM1_CNT_PORT;
    f->pm1_cnt_len = PC_PM1_CNT_BYTES;
    f->pm_tmr = PC_PM_TMR_PORT;
    f->pm_tmr_len = PC_PM_TMR_BYTES;
    f->x_pm1a_evt = gas_port(PC_PM1_EVT_PORT, PC_PM1_EVT_BYTES, 2);
    f->x_pm1a_cnt = gas_port(PC_PM1_CNT_PORT, PC_PM1_CNT_BYTES, 2);
    f->x_pm_tmr = gas_port(PC_PM_TMR_PORT, PC_PM_TMR_BYTES, 3);
    f->c2_latency_us = C2_UNSUPPORTED_US;
    f->c3_latency_us = C3_UNSUPPORTED_US;
    f->century = PC_CMOS_CENTURY;
    f->iapc_boot_arch = IAPC_LEGACY_DEVICES | IAPC_VGA_NOT_PRESENT;
    f->flags = FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_FIX_RTC | FADT_TMR_VAL_EXT |
               FADT_RESET_REG_SUP;
    f->reset_reg = gas_port(PC_RESET_PORT, 1, 1);
    f->reset_value = PC_RESET_VALUE;
    return table_end(a, &f->h);
}

static void madt_add_cpu(struct area *a, unsigned id)
{
    if (id < XAPIC_IDS) {
        struct madt_lapic *l = area_take(a, sizeof *l);

        *l = (struct madt_lapic){.type = MADT_LAPIC,
                                 .length = sizeof *l,
                                 .uid = (uint8_t)id,
                                 .apic_id = (uint8_t)id,
                                 .flags = MADT_ENABLED};
    } else {
        struct madt_x2apic *x = area_take(a, sizeof *x);

        *x = (struct madt_x2apic){.type = MADT_X2APIC,
                                  .length = sizeof *x,
                                  .x2apic_id = id,
                                  .flags = MADT_ENABLED,
                                  .uid = id};
    }
}

static void madt_add_override(struct area *a, uint8_t irq, uint32_t gsi, uint16_t flags)
{
    struct madt_override *o = area_take(a, sizeof *o);

    *o = (struct madt_override){
        .type = MADT_OVERRIDE, .length = sizeof *o, .source = irq, .gsi = gsi, .flags = flags};
}

/* LINT1 of every processor is wired to NMI. */
static void madt_add_nmi(struct area *a, unsigned vcpus)
{
    struct madt_lapic_nmi *n = area_take(a, sizeof *n);

    *n = (struct madt_lapic_nmi){
        .type = MADT_LAPIC_NMI, .length = sizeof *n, .uid = 0xff, .lint = LINT1};
    if (vcpus > XAPIC_IDS) {
        struct madt_x2apic_nmi *x = area_take(a, sizeof *x);

        *x = (struct madt_x2apic_nmi){
            .type = MADT_X2APIC_NMI, .length = sizeof *x, .uid = UINT32_MAX, .lint = LINT1};
    }
}

static uint32_t write_madt(struct area *a, unsigned vcpus)
{
    struct acpi_madt *m = table_begin(a, "APIC", 5, sizeof *m);
    struct madt_ioapic *io;

    m->lapic = PC_LAPIC;
    m->flags = MADT_PCAT_COMPAT;
    for (unsigned id = 0; id < vcpus; id++)
        madt_add_cpu(a, id);
    io = area_take(a, sizeof *io);
    *io = (struct madt_ioapic){.type = MADT_IOAPIC, .length = sizeof *io, .address = PC_IOAPIC};
    madt_add_override(a, 0, PC_GSI_PIT, INTI_CONFORMS);
    madt_add_override(a, PC_GSI_SCI, PC_GSI_SCI, INTI_HIGH_LEVEL);
    madt_add_nmi(a, vcpus);
    return table_end(a, &m->h);
}

static uint32_t write_mcfg(struct area *a)
{
    struct acpi_mcfg *m = table_begin(a, "MCFG", 1, sizeof *m);

    m->base = PC_ECAM;
    return table_end(a, &m->h);
}

static uint32_t write_xsdt(struct area *a, const uint32_t *tables, unsigned n)
{
    struct acpi_header *h = table_begin(a, "XSDT", 1, sizeof *h);

    for (unsigned i = 0; i < n; i++) {
        uint64_t gpa = tables[i];

        memcpy(area_take(a, sizeof gpa), &gpa, sizeof gpa);
    }
    return table_end(a, h);
}

static void fill_rsdp(struct acpi_rsdp *r, uint32_t xsdt)
{
    memcpy(r->signature, "RSD PTR ", 8);
    memcpy(r->oem_id, "RUCHE ", 6);
    r->revision = 2;
    r->length = sizeof *r;
    r->xsdt = xsdt;
    r->checksum = checksum(r, 20);
    r->checksum_all = checksum(r, sizeof *r);
}

static void write_all(struct area *a, unsigned vcpus)
{
    struct acpi_rsdp *rsdp = area_take(a, sizeof *rsdp);
    uint32_t facs = write_facs(a);
    uint32_t dsdt = write_dsdt(a);
    uint32_t tables[] = {write_fadt(a, facs, dsdt), write_madt(a, vcpus), write_mcfg(a)};

    fill_rsdp(rsdp, write_xsdt(a, tables, sizeof tables / sizeof tables[0]));
}

uint64_t acpi_tables_write(struct gmem *m, const struct acpi_params *p, struct err *e)
{
    struct area a = {0};
    int r;

    if (p->vcpus < 1 || p->vcpus > ACPI_VCPUS_MAX) {
        err_set(e, EINVAL, "a machine has 1 to %d vCPUs, not %u", ACPI_VCPUS_MAX, p->vcpus);
        return 0;
    }
    a.bytes = calloc(1, PC_ACPI_AREA_BYTES);
    if (!a.bytes) {
        err_set(e, ENOMEM, "out of memory");
        return 0;
    }
    write_all(&a, p->vcpus);
    r = gmem_write(m, PC_ACPI_AREA, a.bytes, a.used);
    free(a.bytes);
    if (r < 0) {
        err_set(e, -r,
                "the ACPI tables need at least 1M of guest memory; give for example memory: 16M");
        return 0;
    }
    return PC_ACPI_AREA;
}
