/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The virtio transport and its state machine: status, features, queue registers that freeze, the
 * configuration window, errors that latch, overlapping rings, resets from another thread. The
 * device is an entropy device, which answers any request.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "core/clock.h"
#include "unit/rng_machine.h"

#define VERSION_1 (1ull << VIRTIO_F_VERSION_1)
#define RING_RESET (1ull << 40)

/* ---- status and features ---- */

static void virtio_features_ok_is_refused_without_version_1(void **state)
{
    struct machine *m = *state;

    assert_false(drv_negotiate(&m->d, 0));
    assert_false(drv_negotiate(&m->d, 1ull << VIRTIO_RING_F_EVENT_IDX));
    assert_true(drv_negotiate(&m->d, VERSION_1));
}

static void virtio_features_ok_is_refused_for_what_was_not_offered(void **state)
{
    struct machine *m = *state;

    assert_false(drv_negotiate(&m->d, VERSION_1 | 1ull << 5));
    assert_false(drv_negotiate(&m->d, VERSION_1 | 1ull << 63));
    assert_true(drv_negotiate(&m->d, drv_features(&m->d)));
}

static void virtio_features_freeze_with_features_ok(void **state)
{
    struct machine *m = *state;

    assert_true(drv_negotiate(&m->d, VERSION_1));
    drv_set(&m->d, VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
    drv_set(&m->d, VIRTIO_PCI_COMMON_GF, 4, 0xffffffff);
    assert_int_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_GF, 4), 0);
    drv_set(&m->d, VIRTIO_PCI_COMMON_GFSELECT, 4, 2); /* there is no third word */
    drv_set(&m->d, VIRTIO_PCI_COMMON_GF, 4, 0xffffffff);
    assert_int_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_GF, 4), 0);
    drv_set(&m->d, VIRTIO_PCI_COMMON_DFSELECT, 4, 77);
    assert_int_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_DF, 4), 0);
}

static void virtio_driver_ok_needs_features_ok(void **state)
{
    struct machine *m = *state;

    drv_set_status(&m->d, 0);
    drv_set_status(&m->d, VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK);
    assert_int_equal(drv_status(&m->d), VIRTIO_CONFIG_S_DRIVER);
}

static void virtio_status_bits_are_only_added_until_reset(void **state)
{
    struct machine *m = *state;

    assert_true(start(m, VERSION_1));
    drv_set_status(&m->d, VIRTIO_CONFIG_S_FAILED);
    assert_int_equal(drv_status(&m->d), 0x8f);
    drv_set_status(&m->d, VIRTIO_CONFIG_S_NEEDS_RESET); /* the device's own bit */
    assert_int_equal(drv_status(&m->d), 0x8f);
    drv_set_status(&m->d, 0);
    assert_int_equal(drv_status(&m->d), 0);
}

static void virtio_queue_is_not_served_before_driver_ok(void **state)
{
    struct machine *m = *state;

    assert_true(drv_negotiate(&m->d, VERSION_1));
    drv_queue(&m->d, 0, 8, false);
    assert_int_equal(request(m), -1);
    drv_ok(&m->d);
    rig_step(&m->r); /* what was there before is served without another notification */
    assert_int_equal(m->d.q[0].used_idx, 0);
    assert_int_equal(ram_read16(&m->r, m->d.q[0].used + 2), 1);
}

static void virtio_device_leaves_memory_alone_until_it_is_bus_master(void **state)
{
    struct machine *m = *state;

    assert_true(start(m, VERSION_1));
    drv_master(&m->d, false);
    assert_int_equal(request(m), -1);
    assert_int_equal(ram_read16(&m->r, m->d.q[0].used + 2), 0);
    drv_master(&m->d, true);
    rig_step(&m->r); /* what it was told meanwhile is not lost */
    assert_int_equal(ram_read16(&m->r, m->d.q[0].used + 2), 1);
}

static void virtio_device_is_no_bus_master_after_power_up(void **state)
{
    struct machine *m = *state;

    assert_true(start(m, VERSION_1));
    virtio_pci_reset(m->vp);
    assert_false(cfg_read(&m->r, RIG_SLOT, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
    assert_true(start(m, VERSION_1)); /* the rig's driver enables it */
    drv_master(&m->d, false);
    assert_int_equal(request(m), -1);
}

/* ---- queue registers ---- */

static void virtio_queue_registers_freeze_while_enabled(void **state)
{
    struct machine *m = *state;

    assert_true(start(m, VERSION_1));
    drv_set(&m->d, VIRTIO_PCI_COMMON_Q_SIZE, 2, 64);
    drv_set64(&m->d, VIRTIO_PCI_COMMON_Q_DESCLO, ~0ull);
    drv_set64(&m->d, VIRTIO_PCI_COMMON_Q_AVAILLO, ~0ull);
    drv_set64(&m->d, VIRTIO_PCI_COMMON_Q_USEDLO, ~0ull);
    drv_set(&m->d, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0);
    assert_int_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_Q_SIZE, 2), 8);
    assert_int_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_Q_DESCLO, 4), m->d.q[0].desc);
    assert_int_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
    assert_int_equal(request(m), 16);
}

static void virtio_queue_sizes_that_are_not_legal_are_ignored(void **state)
{
    struct machine *m = *state;
    static const uint16_t bad[] = {0, 3, 65, 128, 0x8000, 0xffff};

    drv_negotiate(&m->d, VERSION_1);
    drv_set(&m->d, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        drv_set(&m->d, VIRTIO_PCI_COMMON_Q_SIZE, 2, bad[i]);
        assert_int_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_Q_SIZE, 2), 64);
    }
}

static void virtio_absent_queues_have_size_0_and_no_registers(void **state)
{
    struct machine *m = *state;

    for (unsigned qi = 1; qi < 0x10000; qi = qi * 3 + 1) {
        drv_set(&m->d, VIRTIO_PCI_COMMON_Q_SELECT, 2, qi);
        for (unsigned off = VIRTIO_PCI_COMMON_Q_SIZE; off < 64; off += 2)
            drv_set(&m->d, off, 2, 0xffff);
        for (unsigned off = VIRTIO_PCI_COMMON_Q_DESCLO; off < 56; off += 4)
            drv_set(&m->d, off, 4, 0xffffffff);
        assert_int_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
        assert_int_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
        assert_int_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_Q_DESCLO, 4), 0);
        bus_write(m->r.mmio, m->d.notify + 4 * (qi & 0x3ff), 2, qi);
    }
    assert_true(start(m, VERSION_1));
    assert_int_equal(request(m), 16);
}

static void virtio_rings_outside_memory_break_the_device_at_driver_ok(void **state)
{
    struct machine *m = *state;

    assert_true(drv_negotiate(&m->d, VERSION_1));
    drv_set(&m->d, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
    drv_set64(&m->d, VIRTIO_PCI_COMMON_Q_DESCLO, 0xfffffffff000);
    drv_set(&m->d, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
    assert_false(drv_status(&m->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
    drv_ok(&m->d);
    assert_true(drv_status(&m->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
    assert_int_equal(m->r.errors, 1);
    assert_string_equal(m->r.error, "rng: rings of a queue are misaligned or not in memory");
}

static void virtio_one_queue_can_be_reset_alone(void **state)
{
    struct machine *m = *state;

    assert_true(start(m, VERSION_1 | RING_RESET));
    assert_int_equal(request(m), 16);
    drv_set(&m->d, 58, 2, 1);
    assert_int_equal(drv_get(&m->d, 58, 2), 0);
    assert_int_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
    assert_int_equal(request(m), -1);
    drv_queue(&m->d, 0, 16, false);
    assert_int_equal(request(m), 16);
    assert_int_equal(drv_status(&m->d), 0xf);
}

static void virtio_queue_reset_is_ignored_unless_negotiated(void **state)
{
    struct machine *m = *state;

    assert_true(start(m, VERSION_1));
    drv_set(&m->d, 58, 2, 1);
    assert_int_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
    assert_int_equal(request(m), 16);
}

static void virtio_vectors_that_do_not_exist_read_back_as_none(void **state)
{
    struct machine *m = *state;

    drv_set(&m->d, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
    drv_set(&m->d, VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
    assert_int_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_Q_MSIX, 2), 1);
    drv_set(&m->d, VIRTIO_PCI_COMMON_Q_MSIX, 2, 2);
    assert_int_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
    drv_set(&m->d, VIRTIO_PCI_COMMON_MSIX, 2, 0x8001);
    assert_int_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
}

static void virtio_registers_are_written_whole_or_not_at_all(void **state)
{
    struct machine *m = *state;

    drv_set(&m->d, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
    drv_set(&m->d, VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x1000);
    drv_set(&m->d, VIRTIO_PCI_COMMON_Q_DESCLO, 2, 0xffff);
    drv_set(&m->d, VIRTIO_PCI_COMMON_Q_DESCLO + 1, 1, 0xff);
    assert_int_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_Q_DESCLO, 4), 0x1000);
    drv_set(&m->d, VIRTIO_PCI_COMMON_MSIX, 4, 0); /* two registers at once */
    assert_int_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
    bus_write(m->r.mmio, m->d.common + VIRTIO_PCI_COMMON_Q_DESCLO, 8, 0x1122334455667788);
    assert_int_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_Q_DESCHI, 4), 0x11223344);
}

/* ---- errors ---- */

static void virtio_error_latches_until_reset_and_interrupts_once(void **state)
{
    struct machine *m = *state;
    char text[80];

    assert_true(start(m, VERSION_1));
    drv_msix_on(&m->d, 2);
    drv_set(&m->d, VIRTIO_PCI_COMMON_MSIX, 2, 0);
    drv_show(&m->d, 0, 99);
    drv_kick(&m->d, 0);
    rig_step(&m->r);
    assert_int_equal(drv_status(&m->d), 0x4f);
    assert_int_equal(m->r.msis, 1);
    assert_int_equal(m->r.msi_data, 0x40);
    assert_int_equal(m->r.errors, 1);
    assert_true(virtio_describe_error(virtio_rng_dev(m->rng), text, sizeof text) > 0);
    assert_string_equal(text, "rng: head descriptor is outside the queue");
    for (unsigned i = 0; i < 100; i++) { /* T3: no retry, no more words */
        drv_kick(&m->d, 0);
        rig_step(&m->r);
    }
    assert_int_equal(m->r.errors, 1);
    assert_int_equal(m->r.msis, 1);
    assert_true(start(m, VERSION_1));
    assert_int_equal(request(m), 16);
    assert_int_equal(virtio_describe_error(virtio_rng_dev(m->rng), text, sizeof text), 0);
}

/* T4: the used ring lies over the available ring, so that each completion looks like a request. */
static void virtio_overlapping_rings_cost_one_batch_per_turn(void **state)
{
    struct machine *m = *state;
    struct timespec before, after;
    uint64_t ns;

    assert_true(drv_negotiate(&m->d, VERSION_1));
    drv_set(&m->d, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
    drv_set(&m->d, VIRTIO_PCI_COMMON_Q_SIZE, 2, 64);
    drv_set64(&m->d, VIRTIO_PCI_COMMON_Q_DESCLO, 0x10000);
    drv_set64(&m->d, VIRTIO_PCI_COMMON_Q_AVAILLO, 0x20000);
    drv_set64(&m->d, VIRTIO_PCI_COMMON_Q_USEDLO, 0x20000);
    drv_set(&m->d, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
    for (unsigned i = 0; i < 64; i++)
        drv_desc(&m->d, 0x10000 + 16 * i, RIG_DATA_GPA, 4096, VRING_DESC_F_WRITE, 0);
    drv_ok(&m->d);
    ram_write16(&m->r, 0x20002, 1);
    drv_kick(&m->d, 0);
    for (unsigned i = 0; i < 50; i++) { /* each turn comes back; the loop stays usable */
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
        loop_step(m->r.loop, 0);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
        ns = (uint64_t)(after.tv_sec - before.tv_sec) * NS_PER_S +
             (uint64_t)(after.tv_nsec - before.tv_nsec);
        assert_true(ns < 500 * NS_PER_MS);
    }
    drv_set_status(&m->d, 0);
    assert_int_equal(drv_status(&m->d), 0);
}

/* ---- the window in configuration space ---- */

static unsigned window(struct machine *m, uint32_t bar, uint32_t off, uint32_t len)
{
    unsigned cap = cfg_find_cap(&m->r, RIG_SLOT, PCI_CAP_ID_VNDR, VIRTIO_PCI_CAP_PCI_CFG);

    cfg_write(&m->r, RIG_SLOT, cap + VIRTIO_PCI_CAP_BAR, 1, bar);
    cfg_write(&m->r, RIG_SLOT, cap + VIRTIO_PCI_CAP_OFFSET, 4, off);
    cfg_write(&m->r, RIG_SLOT, cap + VIRTIO_PCI_CAP_LENGTH, 4, len);
    return cap + 16;
}

static void virtio_config_window_reaches_the_registers(void **state)
{
    struct machine *m = *state;
    unsigned at = window(m, 2, VIRTIO_PCI_COMMON_STATUS, 1);

    cfg_write(&m->r, RIG_SLOT, at, 1, VIRTIO_CONFIG_S_ACKNOWLEDGE);
    assert_int_equal(drv_status(&m->d), VIRTIO_CONFIG_S_ACKNOWLEDGE);
    assert_int_equal(cfg_read(&m->r, RIG_SLOT, at, 1), VIRTIO_CONFIG_S_ACKNOWLEDGE);
    at = window(m, 2, VIRTIO_PCI_COMMON_NUMQ, 2);
    assert_int_equal(cfg_read(&m->r, RIG_SLOT, at, 2), 1);
    assert_true(start(m, VERSION_1));
    const struct drv_buf b = {.gpa = RIG_DATA_GPA, .len = 16, .write = true};
    drv_add(&m->d, 0, &b, 1);
    at = window(m, 2, 0x3000, 4); /* notify */
    cfg_write(&m->r, RIG_SLOT, at, 4, 0);
    rig_step(&m->r);
    assert_int_equal(ram_read16(&m->r, m->d.q[0].used + 2), 1);
}

static void virtio_config_window_elsewhere_reads_as_0(void **state)
{
    struct machine *m = *state;
    static const uint32_t bad[][3] = {
        {0, 0, 4}, {7, 0, 4}, {2, 0x4000, 4}, {2, 0x3ffd, 4}, {2, 0xfffffffc, 4},
        {2, 1, 2}, {2, 0, 3}, {2, 0, 0}, {2, 0, 8}, {2, 0, 0xffffffff},
    };

    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        unsigned at = window(m, bad[i][0], bad[i][1], bad[i][2]);

        assert_int_equal(cfg_read(&m->r, RIG_SLOT, at, 4), 0);
        cfg_write(&m->r, RIG_SLOT, at, 4, 0xffffffff);
    }
    assert_true(start(m, VERSION_1));
    assert_int_equal(request(m), 16);
}

/* ---- a vCPU that resets while the loop's thread serves ---- */

static void *serve(void *arg)
{
    loop_run(arg);
    return NULL;
}

static void virtio_reset_from_a_vcpu_is_safe_at_any_moment(void **state)
{
    struct machine *m = *state;
    const struct drv_buf b = {.gpa = RIG_DATA_GPA, .len = 4096, .write = true};
    uint64_t worst = 0;
    pthread_t t;

    assert_int_equal(pthread_create(&t, NULL, serve, m->r.loop), 0);
    for (unsigned round = 0; round < 1000; round++) {
        uint64_t began;
        uint8_t *p = gmem_ptr(m->r.mem, RIG_DATA_GPA, 4096);

        assert_true(start(m, VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX));
        for (unsigned i = 0; i < 8; i++)
            drv_add(&m->d, 0, &b, 1);
        drv_kick(&m->d, 0);
        for (unsigned i = 0; i < round % 50; i++)
            __asm__ volatile("pause");
        began = clock_mono_ns();
        drv_set_status(&m->d, 0);
        if (clock_mono_ns() - began > worst)
            worst = clock_mono_ns() - began;
        memset(p, 0, 4096);
        sched_yield();
        for (unsigned i = 0; i < 4096; i++)
            assert_int_equal(p[i], 0);
    }
    loop_stop(m->r.loop);
    pthread_join(t, NULL);
    assert_int_equal(m->r.errors, 0);
    assert_true(worst < NS_PER_S);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(virtio_features_ok_is_refused_without_version_1),
        T(virtio_features_ok_is_refused_for_what_was_not_offered),
        T(virtio_features_freeze_with_features_ok),
        T(virtio_driver_ok_needs_features_ok),
        T(virtio_status_bits_are_only_added_until_reset),
        T(virtio_queue_is_not_served_before_driver_ok),
        T(virtio_device_leaves_memory_alone_until_it_is_bus_master),
        T(virtio_device_is_no_bus_master_after_power_up),
        T(virtio_queue_registers_freeze_while_enabled),
        T(virtio_queue_sizes_that_are_not_legal_are_ignored),
        T(virtio_absent_queues_have_size_0_and_no_registers),
        T(virtio_rings_outside_memory_break_the_device_at_driver_ok),
        T(virtio_one_queue_can_be_reset_alone),
        T(virtio_queue_reset_is_ignored_unless_negotiated),
        T(virtio_vectors_that_do_not_exist_read_back_as_none),
        T(virtio_registers_are_written_whole_or_not_at_all),
        T(virtio_error_latches_until_reset_and_interrupts_once),
        T(virtio_overlapping_rings_cost_one_batch_per_turn),
        T(virtio_config_window_reaches_the_registers),
        T(virtio_config_window_elsewhere_reads_as_0),
        T(virtio_reset_from_a_vcpu_is_safe_at_any_moment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
