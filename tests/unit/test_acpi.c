/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The ACPI tables as a guest would find them: from the RSDP, by their lengths and checksums,
 * with a decoder of its own; and once through the disassembler of ACPICA.
 */
#include "core/mem.h"
#include "devices/acpi_tables.h"
#include "devices/pc_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct machine {
    struct gmem *mem;
    uint8_t *area; /* PC_ACPI_AREA in host memory */
    uint64_t rsdp;
};

static struct machine machine_with(unsigned vcpus)
{
    struct acpi_params p = {.vcpus = vcpus};
    struct machine m = {0};
    struct err e = {0};

    m.mem = gmem_new("acpi", 1 << 20, &e);
    assert_non_null(m.mem);
    m.rsdp = acpi_tables_write(m.mem, &p, &e);
    assert_string_equal(e.msg, "");
    m.area = gmem_ptr(m.mem, PC_ACPI_AREA, PC_ACPI_AREA_BYTES);
    return m;
}

static uint64_t le(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;

    while (n--)
        v = v << 8 | p[n];
    return v;
}

static uint8_t sum(const uint8_t *p, size_t n)
{
    uint8_t s = 0;

    while (n--)
        s += *p++;
    return s;
}

static uint8_t *at(struct machine *m, uint64_t gpa, size_t len)
{
    assert_true(gpa >= PC_ACPI_AREA);
    assert_true(gpa + len <= PC_ACPI_AREA + PC_ACPI_AREA_BYTES);
    return m->area + (gpa - PC_ACPI_AREA);
}

/* The table at `gpa`: inside the area, checksum right. */
static uint8_t *table_at(struct machine *m, uint64_t gpa)
{
    uint8_t *t = at(m, gpa, 36);
    uint32_t len = (uint32_t)le(t + 4, 4);

    assert_true(len >= 36);
    at(m, gpa, len);
    assert_int_equal(sum(t, len), 0);
    return t;
}

static uint8_t *find(struct machine *m, const char *signature)
{
    uint8_t *rsdp = at(m, m->rsdp, 36), *xsdt = table_at(m, le(rsdp + 24, 8));

    assert_memory_equal(xsdt, "XSDT", 4);
    for (unsigned o = 36; o < le(xsdt + 4, 4); o += 8) {
        uint8_t *t = table_at(m, le(xsdt + o, 8));

        if (!memcmp(t, signature, 4))
            return t;
    }
    return NULL;
}

static void rsdp_is_where_old_kernels_scan_for_it(void **state)
{
    struct machine m = machine_with(1);
    uint8_t *r = at(&m, m.rsdp, 36);

    (void)state;
    assert_int_equal(m.rsdp, 0xe0000);
    assert_memory_equal(r, "RSD PTR ", 8);
    assert_int_equal(r[15], 2);
    assert_int_equal(sum(r, 20), 0);
    assert_int_equal(sum(r, 36), 0);
    gmem_free(m.mem);
}

static void fadt_describes_the_fixed_hardware(void **state)
{
    struct machine m = machine_with(1);
    uint8_t *f = find(&m, "FACP"), *facs;

    (void)state;
    assert_non_null(f);
    assert_int_equal(le(f + 4, 4), 276);
    assert_int_equal(le(f + 46, 2), 9);     /* SCI_INT */
    assert_int_equal(le(f + 48, 4), 0);     /* SMI_CMD: always in ACPI mode */
    assert_int_equal(le(f + 56, 4), 0x600); /* PM1a_EVT */
    assert_int_equal(le(f + 64, 4), 0x604); /* PM1a_CNT */
    assert_int_equal(le(f + 76, 4), 0x608); /* PM_TMR */
    assert_int_equal(f[88], 4);
    assert_int_equal(f[89], 2);
    assert_int_equal(f[91], 4);
    assert_int_equal(le(f + 109, 2), 1 << 0 | 1 << 2); /* legacy devices, no 8042, no VGA, RTC */
    assert_int_equal(le(f + 112, 4) & 1 << 4, 0);      /* power button is fixed hardware */
    assert_int_equal(le(f + 112, 4) & 1 << 10, 1 << 10);
    assert_int_equal(le(f + 112, 4) & 1 << 20, 0); /* not hardware-reduced */
    assert_int_equal(f[116], 1);                   /* reset register: I/O port 0xcf9 */
    assert_int_equal(le(f + 120, 8), 0xcf9);
    assert_int_equal(f[128], 6);
    assert_int_equal(le(f + 140, 8), le(f + 40, 4)); /* X_DSDT */
    assert_int_equal(le(f + 152, 8), 0x600);
    facs = at(&m, le(f + 36, 4), 64);
    assert_memory_equal(facs, "FACS", 4);
    assert_int_equal(le(f + 36, 4) % 64, 0);
    gmem_free(m.mem);
}

struct madt_seen {
    unsigned lapics, x2apics, ioapics, nmis;
    uint32_t pit_gsi;
    uint16_t sci_flags;
};

static struct madt_seen walk_madt(struct machine *m)
{
    uint8_t *t = find(m, "APIC"), *end = t + le(t + 4, 4), *p;
    struct madt_seen s = {0};

    assert_int_equal(le(t + 36, 4), PC_LAPIC);
    for (p = t + 44; p < end; p += p[1]) {
        assert_true(p[1] >= 6 && p + p[1] <= end);
        if (p[0] == 0)
            assert_int_equal(p[3], s.lapics++);
        if (p[0] == 9)
            assert_int_equal(le(p + 4, 4), s.lapics + s.x2apics++);
        if (p[0] == 1) {
            s.ioapics++;
            assert_int_equal(le(p + 4, 4), PC_IOAPIC);
            assert_int_equal(le(p + 8, 4), 0);
        }
        if (p[0] == 2 && p[3] == 0)
            s.pit_gsi = (uint32_t)le(p + 4, 4);
        if (p[0] == 2 && p[3] == 9)
            s.sci_flags = (uint16_t)le(p + 8, 2);
        if (p[0] == 4) {
            s.nmis++;
            assert_int_equal(p[5], 1);
        }
    }
    assert_ptr_equal(p, end);
    return s;
}

static void madt_lists_every_vcpu_and_the_overrides(void **state)
{
    static const unsigned sizes[] = {1, 2, 64, 255, 256, ACPI_VCPUS_MAX};

    (void)state;
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct machine m = machine_with(sizes[i]);
        struct madt_seen s = walk_madt(&m);

        assert_int_equal(s.lapics, sizes[i] < 255 ? sizes[i] : 255);
        assert_int_equal(s.lapics + s.x2apics, sizes[i]);
        assert_int_equal(s.ioapics, 1);
        assert_int_equal(s.nmis, 1);
        assert_int_equal(s.pit_gsi, 2);
        assert_int_equal(s.sci_flags, 0xd); /* level, active high */
        gmem_free(m.mem);
    }
}

static void mcfg_covers_bus_zero(void **state)
{
    struct machine m = machine_with(1);
    uint8_t *t = find(&m, "MCFG");

    (void)state;
    assert_int_equal(le(t + 4, 4), 60);
    assert_int_equal(le(t + 44, 8), PC_ECAM);
    assert_int_equal(le(t + 52, 2), 0);
    assert_int_equal(t[54], 0);
    assert_int_equal(t[55], 0);
    gmem_free(m.mem);
}

static uint8_t *dsdt(struct machine *m)
{
    uint8_t *t = table_at(m, le(find(m, "FACP") + 140, 8));

    assert_memory_equal(t, "DSDT", 4);
    return t;
}

static bool has(const uint8_t *table, const void *bytes, size_t n)
{
    return memmem(table, le(table + 4, 4), bytes, n) != NULL;
}

static bool has_port(const uint8_t *table, unsigned port, unsigned len)
{
    uint8_t lo = (uint8_t)port, hi = (uint8_t)(port >> 8);
    uint8_t d[] = {0x47, 1, lo, hi, lo, hi, 1, (uint8_t)len};

    return has(table, d, sizeof d);
}

static void dsdt_agrees_with_the_board_map(void **state)
{
    struct machine m = machine_with(1);
    uint8_t *t = dsdt(&m);
    uint8_t ecam[] = {0x86, 9, 0, 1, 0, 0, 0, 0xe0, 0, 0, 0x10, 0};
    uint8_t window[] = {0, 0, 0, 0xc0, 0xff, 0xff, 0xff, 0xdf};
    uint8_t s5[] = {0x08, '_', 'S', '5', '_', 0x12, 0x08, 0x04, 0x0a, PC_SLEEP_TYPE_S5};

    (void)state;
    assert_true(has_port(t, PC_COM1_PORT, PC_UART_PORTS));
    assert_true(has_port(t, PC_COM2_PORT, PC_UART_PORTS));
    assert_true(has_port(t, PC_RTC_PORT, 2));
    assert_true(has_port(t, PC_PCI_ADDR_PORT, 8));
    assert_true(has_port(t, PC_PM1_EVT_PORT, PC_PM_TMR_PORT + PC_PM_TMR_BYTES - PC_PM1_EVT_PORT));
    assert_int_equal(le(ecam + 4, 4), PC_ECAM);
    assert_int_equal(le(ecam + 8, 4), PC_ECAM_BYTES);
    assert_true(has(t, ecam, sizeof ecam));
    assert_int_equal(le(window, 4), PC_PCI_MMIO);
    assert_int_equal(le(window + 4, 4), PC_PCI_MMIO + (PC_PCI_MMIO_BYTES - 1));
    assert_true(has(t, window, sizeof window));
    assert_true(has(t, s5, sizeof s5));
    gmem_free(m.mem);
}

static void dsdt_routes_every_slot(void **state)
{
    struct machine m = machine_with(1);
    uint8_t *t = dsdt(&m);

    (void)state;
    for (unsigned slot = 0; slot < PC_PCI_SLOTS; slot++) {
        uint8_t dword[] = {
            0x0c, 0xff, 0xff, (uint8_t)slot, 0, 0, 0, 0x0a, (uint8_t)pc_gsi_of_slot(slot)};
        uint8_t word[] = {0x0b, 0xff, 0xff, 0, 0, 0x0a, (uint8_t)pc_gsi_of_slot(slot)};

        assert_in_range(pc_gsi_of_slot(slot), PC_GSI_PCI, PC_GSIS - 1);
        assert_true(slot ? has(t, dword, sizeof dword) : has(t, word, sizeof word));
    }
    gmem_free(m.mem);
}

/* Writes a table to a file, has it taken apart, and expects `text` in the listing. */
static void disassemble(const char *dir, const char *name, const uint8_t *t, const char *text)
{
    char aml[64], dsl[64], cmd[256], *listing;
    FILE *f;
    size_t n;

    snprintf(aml, sizeof aml, "%s/%s.aml", dir, name);
    snprintf(dsl, sizeof dsl, "%s/%s.dsl", dir, name);
    f = fopen(aml, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(t, le(t + 4, 4), 1, f), 1);
    fclose(f);
    snprintf(cmd, sizeof cmd, "iasl -d %s >%s/log 2>&1", aml, dir);
    assert_int_equal(system(cmd), 0);
    f = fopen(dsl, "r");
    assert_non_null(f);
    listing = calloc(1, 65536);
    n = fread(listing, 1, 65535, f);
    fclose(f);
    assert_true(n > 0);
    assert_non_null(strstr(listing, text));
    assert_null(strstr(listing, "Invalid"));
    assert_null(strstr(listing, "Incorrect"));
    free(listing);
    unlink(aml);
    unlink(dsl);
}

static void acpica_reads_every_table(void **state)
{
    struct machine m = machine_with(3);
    char dir[] = "/tmp/ruche-acpi-XXXXXX", cmd[64];

    (void)state;
    if (system("command -v iasl >/dev/null 2>&1") != 0) {
        gmem_free(m.mem);
        print_message("iasl is not installed\n");
        skip();
    }
    assert_non_null(mkdtemp(dir));
    disassemble(dir, "facp", find(&m, "FACP"), "Reset Register Supported (V2) : 1");
    disassemble(dir, "apic", find(&m, "APIC"), "Local Apic ID : 02");
    disassemble(dir, "mcfg", find(&m, "MCFG"), "Base Address : 00000000E0000000");
    disassemble(dir, "dsdt", dsdt(&m), "EisaId (\"PNP0501\")");
    snprintf(cmd, sizeof cmd, "rm -r %s", dir);
    assert_int_equal(system(cmd), 0);
    gmem_free(m.mem);
}

static void impossible_machines_are_refused(void **state)
{
    struct gmem *mem = gmem_new("acpi", 1 << 20, NULL);
    struct acpi_params none = {.vcpus = 0}, many = {.vcpus = ACPI_VCPUS_MAX + 1};
    struct err e = {0};

    (void)state;
    assert_int_equal(acpi_tables_write(mem, &none, &e), 0);
    assert_non_null(strstr(e.msg, "vCPUs"));
    assert_int_equal(acpi_tables_write(mem, &many, &e), 0);
    gmem_free(mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rsdp_is_where_old_kernels_scan_for_it),
        cmocka_unit_test(fadt_describes_the_fixed_hardware),
        cmocka_unit_test(madt_lists_every_vcpu_and_the_overrides),
        cmocka_unit_test(mcfg_covers_bus_zero),
        cmocka_unit_test(dsdt_agrees_with_the_board_map),
        cmocka_unit_test(dsdt_routes_every_slot),
        cmocka_unit_test(acpica_reads_every_table),
        cmocka_unit_test(impossible_machines_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
