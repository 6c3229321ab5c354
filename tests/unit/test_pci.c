/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * PCI host, configuration space, BARs and MSI-X, driven by port and MMIO accesses. The
 * function in the slot is an entropy device: it has every kind of register.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "devices/pc_map.h"
#include "unit/rng_machine.h"

#define VERSION_1 (1ull << VIRTIO_F_VERSION_1)

static void pci_bridge_and_device_identify_themselves(void **state)
{
    struct machine *m = *state;

    assert_int_equal(cfg_read(&m->r, 0, PCI_VENDOR_ID, 4), 0x0d578086);
    assert_int_equal(cfg_read(&m->r, 0, PCI_CLASS_DEVICE, 2), 0x0600);
    assert_int_equal(cfg_read(&m->r, RIG_SLOT, PCI_VENDOR_ID, 4), 0x10441af4);
    assert_int_equal(cfg_read(&m->r, RIG_SLOT, PCI_REVISION_ID, 1), 1);
    assert_int_equal(cfg_read(&m->r, RIG_SLOT, PCI_INTERRUPT_PIN, 1), 1);
    assert_int_equal(cfg_read(&m->r, RIG_SLOT, PCI_INTERRUPT_LINE, 1), pc_gsi_of_slot(RIG_SLOT));
    assert_int_equal(cfg_read(&m->r, RIG_SLOT, PCI_HEADER_TYPE, 1), 0);
}

static void pci_absent_functions_and_buses_read_as_ones(void **state)
{
    struct machine *m = *state;
    uint64_t v;

    assert_int_equal(cfg_read(&m->r, 9, 0, 4), 0xffffffff);
    assert_int_equal(cfg_read(&m->r, 9, 0, 2), 0xffff);
    bus_write(m->r.pio, 0xcf8, 4, 0x80000000u | 1 << 16); /* bus 1 */
    bus_read(m->r.pio, 0xcfc, 4, &v);
    assert_int_equal(v, 0xffffffff);
    bus_write(m->r.pio, 0xcf8, 4, 0); /* not enabled */
    bus_read(m->r.pio, 0xcfc, 4, &v);
    assert_int_equal(v, 0xffffffff);
    bus_write(m->r.pio, 0xcf8, 4, 0x80000000u | RIG_SLOT << 11 | 1 << 8); /* function 1 */
    bus_read(m->r.pio, 0xcfc, 4, &v);
    assert_int_equal(v, 0xffffffff);
}

static void pci_address_latch_takes_only_dword_writes(void **state)
{
    struct machine *m = *state;
    uint64_t v;

    cf8(&m->r, RIG_SLOT, 0x10);
    bus_write(m->r.pio, 0xcf8, 2, 0x1234);
    bus_write(m->r.pio, 0xcfa, 1, 0x12);
    bus_read(m->r.pio, 0xcf8, 4, &v);
    assert_int_equal(v, 0x80000000u | RIG_SLOT << 11 | 0x10);
}

static void pci_ecam_shows_the_same_registers(void **state)
{
    struct machine *m = *state;
    const uint64_t at = 0xe0000000ull + (RIG_SLOT << 15);

    assert_int_equal(mmio_read(&m->r, at, 4), 0x10441af4);
    assert_int_equal(mmio_read(&m->r, at + 2, 2), 0x1044);
    assert_int_equal(mmio_read(&m->r, at + 3, 1), 0x10);
    assert_int_equal(mmio_read(&m->r, at + 0x100, 4), 0); /* no extended capabilities */
    assert_int_equal(mmio_read(&m->r, at + 0x1000, 4), 0xffffffff);
    bus_write(m->r.mmio, at + PCI_INTERRUPT_LINE, 1, 0x55);
    assert_int_equal(cfg_read(&m->r, RIG_SLOT, PCI_INTERRUPT_LINE, 1), 0x55);
}

static void pci_reset_control_calls_back_on_its_cpu_bit_only(void **state)
{
    struct machine *m = *state;
    uint64_t v;

    bus_write(m->r.pio, 0xcf9, 1, 2);
    assert_int_equal(m->r.resets, 0);
    bus_read(m->r.pio, 0xcf9, 1, &v);
    assert_int_equal(v, 2);
    bus_write(m->r.pio, 0xcf9, 1, 6);
    assert_int_equal(m->r.resets, 1);
    assert_int_equal(m->r.hard_resets, 1);
    bus_write(m->r.pio, 0xcf9, 1, 4);
    assert_int_equal(m->r.resets, 2);
    assert_int_equal(m->r.hard_resets, 1);
}

static void pci_bars_are_assigned_aligned_and_decoded_from_the_start(void **state)
{
    struct machine *m = *state;

    for (unsigned n = 0; n <= 2; n += 2) {
        uint64_t bar = cfg_bar(&m->r, RIG_SLOT, n);

        assert_in_range(bar, 0xc0000000, 0xdfffffff);
        assert_int_equal(bar & 0xfff, 0);
    }
    assert_int_equal(cfg_bar(&m->r, RIG_SLOT, 2) & 0x3fff, 0);
    assert_true(cfg_read(&m->r, RIG_SLOT, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY);
    assert_int_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_NUMQ, 2), 1);
}

static void pci_bar_sizing_reports_sizes_of_32_and_64_bit_bars(void **state)
{
    struct machine *m = *state;
    const uint64_t home = cfg_bar(&m->r, RIG_SLOT, 2);

    for (unsigned off = PCI_BASE_ADDRESS_0; off <= PCI_BASE_ADDRESS_5; off += 4)
        cfg_write(&m->r, RIG_SLOT, off, 4, 0xffffffff);
    assert_int_equal(cfg_read(&m->r, RIG_SLOT, PCI_BASE_ADDRESS_0, 4), 0xfffff000);
    assert_int_equal(cfg_read(&m->r, RIG_SLOT, PCI_BASE_ADDRESS_1, 4), 0);
    assert_int_equal(cfg_read(&m->r, RIG_SLOT, PCI_BASE_ADDRESS_2, 4), 0xffffc004);
    assert_int_equal(cfg_read(&m->r, RIG_SLOT, PCI_BASE_ADDRESS_3, 4), 0xffffffff);
    assert_int_equal(cfg_read(&m->r, RIG_SLOT, PCI_BASE_ADDRESS_4, 4), 0);
    cfg_write(&m->r, RIG_SLOT, PCI_BASE_ADDRESS_2, 4, (uint32_t)home);
    cfg_write(&m->r, RIG_SLOT, PCI_BASE_ADDRESS_3, 4, (uint32_t)(home >> 32));
    assert_int_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_NUMQ, 2), 1);
}

static void pci_a_moved_bar_answers_at_its_new_address_with_its_doorbells(void **state)
{
    struct machine *m = *state;
    struct bus_doorbell bell[4];
    const uint64_t to = 0x880000000; /* above 4 GiB */

    cfg_write(&m->r, RIG_SLOT, PCI_BASE_ADDRESS_2, 4, (uint32_t)to);
    cfg_write(&m->r, RIG_SLOT, PCI_BASE_ADDRESS_3, 4, (uint32_t)(to >> 32));
    assert_int_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_NUMQ, 2), 0xffff); /* gone from the old */
    assert_int_equal(mmio_read(&m->r, to + VIRTIO_PCI_COMMON_NUMQ, 2), 1);
    assert_int_equal(bus_doorbells(m->r.mmio, bell, 4), 1);
    assert_int_equal(bell[0].addr, to + 0x3000);
}

static void pci_memory_disable_hides_bars_and_doorbells(void **state)
{
    struct machine *m = *state;
    struct bus_doorbell bell[4];

    cfg_write(&m->r, RIG_SLOT, PCI_COMMAND, 2, 0);
    assert_int_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_NUMQ, 2), 0xffff);
    assert_int_equal(bus_doorbells(m->r.mmio, bell, 4), 0);
    cfg_write(&m->r, RIG_SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    assert_int_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_NUMQ, 2), 1);
}

static void pci_reset_brings_bars_home(void **state)
{
    struct machine *m = *state;
    const uint64_t home = cfg_bar(&m->r, RIG_SLOT, 2);

    cfg_write(&m->r, RIG_SLOT, PCI_BASE_ADDRESS_2, 4, 0xd0000000);
    virtio_pci_reset(m->vp);
    pci_reset(m->r.pci);
    assert_int_equal(cfg_bar(&m->r, RIG_SLOT, 2), home);
    assert_int_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_NUMQ, 2), 1);
}

static void pci_read_only_registers_keep_their_value(void **state)
{
    struct machine *m = *state;

    for (unsigned off = 0; off < 256; off += 4)
        cfg_write(&m->r, RIG_SLOT, off, 4, 0xffffffff);
    cfg_write(&m->r, RIG_SLOT, PCI_INTERRUPT_LINE, 1, pc_gsi_of_slot(RIG_SLOT));
    pci_bridge_and_device_identify_themselves(state);
    assert_int_equal(cfg_read(&m->r, RIG_SLOT, PCI_CAPABILITY_LIST, 1), 0x40);
}

static void pci_slots_are_refused_when_taken_or_absent(void **state)
{
    struct machine *m = *state;
    struct virtio_rng *other = virtio_rng_new(&m->r.env, NULL);
    struct err e = {0};
    const struct irq_wire w = rig_irq(&m->r);
    const struct msi_sink s = rig_sink(&m->r);

    assert_null(virtio_pci_new(m->r.pci, RIG_SLOT, virtio_rng_dev(other), &w, &s, &e));
    assert_string_equal(e.msg, "PCI slot 3 is taken by rng");
    assert_null(virtio_pci_new(m->r.pci, 32, virtio_rng_dev(other), &w, &s, &e));
    assert_int_equal(e.code, EINVAL);
    virtio_rng_free(other);
}

/* ---- MSI-X ---- */

static unsigned msix_flags_off(struct machine *m)
{
    return cfg_find_cap(&m->r, RIG_SLOT, PCI_CAP_ID_MSIX, 0) + PCI_MSIX_FLAGS;
}

static void msix_sends_what_the_table_says(void **state)
{
    struct machine *m = *state;

    drv_msix_on(&m->d, 2);
    assert_true(start(m, VERSION_1));
    assert_int_equal(request(m), 16);
    assert_int_equal(m->r.msis, 1);
    assert_int_equal(m->r.msi_data, 0x41);
    assert_int_equal(m->r.msi_addr, 0xfee00000);
    assert_int_equal(m->r.level, 0);
}

static void msix_table_reads_back_in_dwords_and_qwords(void **state)
{
    struct machine *m = *state;

    bus_write(m->r.mmio, m->d.msix + 16, 8, 0x11223344fee01234);
    bus_write(m->r.mmio, m->d.msix + 24, 8, 0x00000000deadbeef);
    assert_int_equal(mmio_read(&m->r, m->d.msix + 16, 4), 0xfee01234);
    assert_int_equal(mmio_read(&m->r, m->d.msix + 20, 4), 0x11223344);
    assert_int_equal(mmio_read(&m->r, m->d.msix + 24, 8), 0xdeadbeef);
    assert_int_equal(mmio_read(&m->r, m->d.msix + 16, 8), 0x11223344fee01234);
}

static void msix_accesses_outside_the_table_are_ignored(void **state)
{
    struct machine *m = *state;

    for (uint64_t off = 32; off < 4096; off += 8)
        bus_write(m->r.mmio, m->d.msix + off, 8, ~0ull);
    for (uint64_t off = 32; off < 4096; off += 8)
        assert_int_equal(mmio_read(&m->r, m->d.msix + off, 8), 0);
    bus_write(m->r.mmio, m->d.msix, 1, 0xff); /* too narrow */
    assert_int_equal(mmio_read(&m->r, m->d.msix, 4), 0);
}

static void msix_masked_vector_is_pending_until_unmasked(void **state)
{
    struct machine *m = *state;

    drv_msix_on(&m->d, 2);
    assert_true(start(m, VERSION_1));
    bus_write(m->r.mmio, m->d.msix + 16 + 12, 4, 1);
    assert_int_equal(request(m), 16);
    assert_int_equal(request(m), 16);
    assert_int_equal(m->r.msis, 0);
    assert_int_equal(mmio_read(&m->r, m->d.msix + 0x800, 8), 1 << 1);
    bus_write(m->r.mmio, m->d.msix + 16 + 12, 4, 0);
    assert_int_equal(m->r.msis, 1);
    assert_int_equal(mmio_read(&m->r, m->d.msix + 0x800, 4), 0);
}

static void msix_function_mask_holds_everything_back(void **state)
{
    struct machine *m = *state;
    const unsigned flags = msix_flags_off(m);

    drv_msix_on(&m->d, 2);
    assert_true(start(m, VERSION_1));
    cfg_write(&m->r, RIG_SLOT, flags, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    assert_int_equal(request(m), 16);
    assert_int_equal(m->r.msis, 0);
    cfg_write(&m->r, RIG_SLOT, flags, 2, PCI_MSIX_FLAGS_ENABLE);
    assert_int_equal(m->r.msis, 1);
}

/* The device says that its configuration changed: vector 0. */
static void config_interrupt(struct machine *m)
{
    struct virtio_dev *d = virtio_rng_dev(m->rng);

    drv_set(&m->d, VIRTIO_PCI_COMMON_MSIX, 2, 0);
    pthread_mutex_lock(&d->lock);
    virtio_config_changed_locked(d);
    pthread_mutex_unlock(&d->lock);
}

static void msix_sends_nothing_while_the_function_is_no_bus_master(void **state)
{
    struct machine *m = *state;

    drv_msix_on(&m->d, 2);
    assert_true(start(m, VERSION_1));
    drv_master(&m->d, false);
    config_interrupt(m);
    assert_int_equal(m->r.msis, 0);
    assert_int_equal(mmio_read(&m->r, m->d.msix + 0x800, 4), 1);
    drv_master(&m->d, true);
    assert_int_equal(m->r.msis, 1);
    assert_int_equal(mmio_read(&m->r, m->d.msix + 0x800, 4), 0);
}

static void msix_vectors_are_masked_after_reset(void **state)
{
    struct machine *m = *state;

    drv_msix_on(&m->d, 2);
    virtio_pci_reset(m->vp);
    for (unsigned v = 0; v < 2; v++)
        assert_int_equal(mmio_read(&m->r, m->d.msix + 16 * v + 12, 4), 1);
    assert_int_equal(cfg_read(&m->r, RIG_SLOT, msix_flags_off(m), 2), 1); /* 2 vectors, off */
}

/* ---- INTx ---- */

static void intx_rises_with_a_completion_and_falls_when_isr_is_read(void **state)
{
    struct machine *m = *state;

    assert_true(start(m, VERSION_1));
    assert_int_equal(request(m), 16);
    assert_int_equal(m->r.level, 1);
    assert_true(cfg_read(&m->r, RIG_SLOT, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
    assert_int_equal(mmio_read(&m->r, m->d.isr, 1), 1);
    assert_int_equal(m->r.level, 0);
    assert_int_equal(mmio_read(&m->r, m->d.isr, 1), 0);
    assert_false(cfg_read(&m->r, RIG_SLOT, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
}

static void intx_disable_bit_holds_the_wire_low(void **state)
{
    struct machine *m = *state;

    assert_true(start(m, VERSION_1));
    cfg_write(&m->r, RIG_SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
    assert_int_equal(request(m), 16);
    assert_int_equal(m->r.level, 0);
    cfg_write(&m->r, RIG_SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    assert_int_equal(m->r.level, 1);
}

static void intx_falls_when_the_device_is_reset(void **state)
{
    struct machine *m = *state;

    assert_true(start(m, VERSION_1));
    assert_int_equal(request(m), 16);
    drv_set_status(&m->d, 0);
    assert_int_equal(m->r.level, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(pci_bridge_and_device_identify_themselves),
        T(pci_absent_functions_and_buses_read_as_ones),
        T(pci_address_latch_takes_only_dword_writes),
        T(pci_ecam_shows_the_same_registers),
        T(pci_reset_control_calls_back_on_its_cpu_bit_only),
        T(pci_bars_are_assigned_aligned_and_decoded_from_the_start),
        T(pci_bar_sizing_reports_sizes_of_32_and_64_bit_bars),
        T(pci_a_moved_bar_answers_at_its_new_address_with_its_doorbells),
        T(pci_memory_disable_hides_bars_and_doorbells),
        T(pci_reset_brings_bars_home),
        T(pci_read_only_registers_keep_their_value),
        T(pci_slots_are_refused_when_taken_or_absent),
        T(msix_sends_what_the_table_says),
        T(msix_table_reads_back_in_dwords_and_qwords),
        T(msix_accesses_outside_the_table_are_ignored),
        T(msix_masked_vector_is_pending_until_unmasked),
        T(msix_function_mask_holds_everything_back),
        T(msix_sends_nothing_while_the_function_is_no_bus_master),
        T(msix_vectors_are_masked_after_reset),
        T(intx_rises_with_a_completion_and_falls_when_isr_is_read),
        T(intx_disable_bit_holds_the_wire_low),
        T(intx_falls_when_the_device_is_reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
