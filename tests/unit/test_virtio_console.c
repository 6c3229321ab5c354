/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtio-console: both directions, size, emergency write, full rings on both sides.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "devices/virtio_console.h"
#include "unit/virtio_rig.h"

#include <linux/virtio_console.h>

enum { RX = 0, TX = 1 };

struct machine {
    struct rig r;
    struct virtio_console *con;
    struct virtio_pci *vp;
    struct drv d;
    char out[1 << 20];
    size_t out_len;
    unsigned rooms;
};

static void take(void *opaque, const void *buf, size_t len)
{
    struct machine *m = opaque;

    if (len > sizeof m->out - m->out_len)
        len = sizeof m->out - m->out_len;
    memcpy(m->out + m->out_len, buf, len);
    m->out_len += len;
}

static void room(void *opaque)
{
    struct machine *m = opaque;

    m->rooms++;
}

static int setup(void **state)
{
    struct machine *m = calloc(1, sizeof *m);
    const struct virtio_console_host host = {.out = take, .room = room, .opaque = m};

    if (!m || rig_init(&m->r, 8 << 20) < 0)
        return -1;
    m->con = virtio_console_new(&m->r.env, &host, NULL);
    m->vp = rig_plug(&m->r, RIG_SLOT, virtio_console_dev(m->con));
    drv_probe(&m->d, &m->r, RIG_SLOT);
    *state = m;
    return m->vp ? 0 : -1;
}

static int teardown(void **state)
{
    struct machine *m = *state;

    virtio_pci_free(m->vp);
    virtio_console_free(m->con);
    rig_fini(&m->r);
    free(m);
    return 0;
}

static void start(struct machine *m)
{
    assert_true(drv_negotiate(&m->d, 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX |
                                         1ull << VIRTIO_CONSOLE_F_SIZE));
    drv_queue(&m->d, RX, 16, true);
    drv_queue(&m->d, TX, 16, true);
    drv_ok(&m->d);
}

static void add_rx(struct machine *m, uint32_t len)
{
    const struct drv_buf b = {.gpa = RIG_DATA_GPA, .len = len, .write = true};
    uint16_t old = m->d.q[RX].avail_idx;

    drv_add(&m->d, RX, &b, 1);
    if (drv_wants_kick(&m->d, RX, old))
        drv_kick(&m->d, RX);
}

static void console_output_reaches_the_host(void **state)
{
    struct machine *m = *state;
    const struct drv_buf b[] = {{.gpa = RIG_DATA_GPA, .len = 2},
                                {.gpa = RIG_DATA_GPA + 2, .len = 3}};

    start(m);
    assert_int_equal(gmem_write(m->r.mem, RIG_DATA_GPA, "hello", 5), 0);
    assert_int_equal(drv_do(&m->d, TX, b, 2), 0);
    assert_int_equal(m->out_len, 5);
    assert_memory_equal(m->out, "hello", 5);
}

static void console_output_of_one_request_is_bounded_and_the_loss_counted(void **state)
{
    struct machine *m = *state;
    const struct drv_buf b = {.gpa = RIG_DATA_GPA, .len = 1 << 20};

    start(m);
    assert_int_equal(drv_do(&m->d, TX, &b, 1), 0);
    assert_int_equal(m->out_len, 64 << 10);
    assert_int_equal(virtio_console_dropped(m->con), (1 << 20) - (64 << 10));
}

static void console_input_reaches_the_guest_in_order(void **state)
{
    struct machine *m = *state;
    uint32_t id, len;

    start(m);
    add_rx(m, 4);
    add_rx(m, 64);
    rig_step(&m->r);
    assert_int_equal(virtio_console_in(m->con, "abcdefg", 7), 7);
    rig_step(&m->r);
    assert_true(drv_used(&m->d, RX, &id, &len));
    assert_int_equal(len, 4);
    assert_true(drv_used(&m->d, RX, &id, &len));
    assert_int_equal(len, 3);
    assert_memory_equal(gmem_ptr(m->r.mem, RIG_DATA_GPA, 3), "efg", 3);
}

static void console_input_typed_before_the_driver_is_kept(void **state)
{
    struct machine *m = *state;
    uint32_t id, len;

    assert_int_equal(virtio_console_in(m->con, "early", 5), 5);
    rig_step(&m->r);
    start(m);
    add_rx(m, 64);
    rig_step(&m->r);
    assert_true(drv_used(&m->d, RX, &id, &len));
    assert_int_equal(len, 5);
}

/* T12: ring full, input full; both must get going again whichever side moves first. */
static void console_full_input_recovers_when_the_guest_adds_buffers(void **state)
{
    struct machine *m = *state;
    char flood[8192];
    size_t taken;
    unsigned got = 0;
    uint32_t id, len;

    start(m);
    memset(flood, 'x', sizeof flood);
    taken = virtio_console_in(m->con, flood, sizeof flood);
    assert_int_equal(taken, 4096);
    assert_int_equal(virtio_console_in(m->con, flood, 1), 0);
    rig_step(&m->r);
    assert_int_equal(m->rooms, 0);
    for (unsigned i = 0; i < 200 && got < sizeof flood; i++) {
        add_rx(m, 100);
        rig_step(&m->r);
        while (drv_used(&m->d, RX, &id, &len))
            got += len;
        if (m->rooms) {
            m->rooms = 0;
            taken += virtio_console_in(m->con, flood, sizeof flood - taken);
        }
    }
    assert_int_equal(got, sizeof flood);
    assert_int_equal(taken, sizeof flood);
}

static void console_board_reset_forgets_input_and_frees_room(void **state)
{
    struct machine *m = *state;
    char flood[5000] = {0};
    uint32_t id, len;

    assert_int_equal(virtio_console_in(m->con, flood, sizeof flood), 4096);
    virtio_pci_reset(m->vp);
    virtio_console_reset(m->con);
    assert_int_equal(m->rooms, 1);
    start(m);
    add_rx(m, 64);
    rig_step(&m->r);
    assert_false(drv_used(&m->d, RX, &id, &len));
}

static void console_resize_changes_the_config_and_interrupts(void **state)
{
    struct machine *m = *state;
    unsigned generation;

    start(m);
    drv_msix_on(&m->d, 3);
    drv_set(&m->d, VIRTIO_PCI_COMMON_MSIX, 2, 0);
    generation = drv_get(&m->d, VIRTIO_PCI_COMMON_CFGGENERATION, 1);
    virtio_console_resize(m->con, 132, 43);
    assert_int_equal(mmio_read(&m->r, m->d.device, 2), 132);
    assert_int_equal(mmio_read(&m->r, m->d.device + 2, 2), 43);
    assert_int_equal(m->r.msis, 1);
    assert_int_equal(m->r.msi_data, 0x40);
    assert_int_not_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_CFGGENERATION, 1), generation);
    virtio_console_resize(m->con, 132, 43); /* no change, no interrupt */
    assert_int_equal(m->r.msis, 1);
}

static void console_tells_a_driver_the_size_after_its_first_output(void **state)
{
    struct machine *m = *state;
    const struct drv_buf b = {.gpa = RIG_DATA_GPA, .len = 2};
    unsigned generation;

    virtio_console_resize(m->con, 132, 43); /* before there is a driver */
    start(m);
    generation = drv_get(&m->d, VIRTIO_PCI_COMMON_CFGGENERATION, 1);
    assert_int_equal(drv_do(&m->d, TX, &b, 1), 0);
    assert_int_not_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_CFGGENERATION, 1), generation);
    generation = drv_get(&m->d, VIRTIO_PCI_COMMON_CFGGENERATION, 1);
    assert_int_equal(drv_do(&m->d, TX, &b, 1), 0); /* once */
    assert_int_equal(drv_get(&m->d, VIRTIO_PCI_COMMON_CFGGENERATION, 1), generation);
}

static void console_emergency_write_needs_no_queue(void **state)
{
    struct machine *m = *state;

    assert_true(drv_features(&m->d) >> VIRTIO_CONSOLE_F_EMERG_WRITE & 1);
    bus_write(m->r.mmio, m->d.device + 8, 4, '!');
    assert_int_equal(m->out_len, 1);
    assert_int_equal(m->out[0], '!');
    bus_write(m->r.mmio, m->d.device, 4, 0xffffffff); /* read-only */
    assert_int_equal(mmio_read(&m->r, m->d.device, 2), 80);
}

/* T11: 64 MiB each way, with what is held never growing. */
static void console_floods_are_served_from_fixed_buffers(void **state)
{
    struct machine *m = *state;
    const struct drv_buf b = {.gpa = RIG_DATA_GPA, .len = 64 << 10};
    char in[4096] = {0};

    start(m);
    for (unsigned i = 0; i < 1024; i++) {
        m->out_len = 0;
        assert_int_equal(drv_do(&m->d, TX, &b, 1), 0);
        assert_int_equal(m->out_len, 64 << 10);
        for (unsigned k = 0; k < 16; k++)
            assert_true(virtio_console_in(m->con, in, sizeof in) <= sizeof in);
    }
    assert_int_equal(virtio_console_in(m->con, in, sizeof in), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(console_output_reaches_the_host),
        T(console_output_of_one_request_is_bounded_and_the_loss_counted),
        T(console_input_reaches_the_guest_in_order),
        T(console_input_typed_before_the_driver_is_kept),
        T(console_full_input_recovers_when_the_guest_adds_buffers),
        T(console_board_reset_forgets_input_and_frees_room),
        T(console_resize_changes_the_config_and_interrupts),
        T(console_tells_a_driver_the_size_after_its_first_output),
        T(console_emergency_write_needs_no_queue),
        T(console_floods_are_served_from_fixed_buffers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
