/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtio-balloon: what a guest gives back is the host's at once, statistics, reporting, and
 * page numbers that lie.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/clock.h"
#include "devices/virtio_balloon.h"
#include "unit/virtio_rig.h"

#include <linux/virtio_balloon.h>

enum { INFLATE, DEFLATE, STATS, REPORT, REPORT_STANDARD, MEM_BYTES = 64 << 20 };

struct machine {
    struct rig r;
    struct virtio_balloon *b;
    struct virtio_pci *vp;
    struct drv d;
};

static int setup(void **state)
{
    static struct machine m;

    if (rig_init(&m.r, MEM_BYTES) < 0)
        return -1;
    m.b = virtio_balloon_new(&m.r.env, NULL);
    m.vp = rig_plug(&m.r, RIG_SLOT, virtio_balloon_dev(m.b));
    drv_probe(&m.d, &m.r, RIG_SLOT);
    *state = &m;
    return m.vp ? 0 : -1;
}

static int teardown(void **state)
{
    struct machine *m = *state;

    virtio_pci_free(m->vp);
    virtio_balloon_free(m->b);
    rig_fini(&m->r);
    return 0;
}

static void start(struct machine *m)
{
    assert_true(drv_negotiate(&m->d, drv_features(&m->d)));
    for (unsigned i = 0; i < 5; i++)
        drv_queue(&m->d, i, 16, true);
    drv_ok(&m->d);
}

static struct balloon_stats get(struct machine *m)
{
    struct balloon_stats s;

    virtio_balloon_get(m->b, &s);
    return s;
}

/* Sends `n` page numbers through queue `qi`. */
static void send_pfns(struct machine *m, unsigned qi, const uint32_t *pfn, unsigned n)
{
    const struct drv_buf b = {.gpa = RIG_DATA_GPA, .len = 4 * n};

    assert_int_equal(gmem_write(m->r.mem, RIG_DATA_GPA, pfn, 4 * n), 0);
    assert_int_equal(drv_do(&m->d, qi, &b, 1), 0);
}

static void balloon_target_is_told_by_config_and_interrupt(void **state)
{
    struct machine *m = *state;
    struct err e;

    start(m);
    drv_msix_on(&m->d, 6);
    drv_set(&m->d, VIRTIO_PCI_COMMON_MSIX, 2, 0);
    assert_int_equal(virtio_balloon_target(m->b, 8 << 20, NULL), 0);
    assert_int_equal(mmio_read(&m->r, m->d.device, 4), 2048);
    assert_int_equal(m->r.msi_data, 0x40);
    assert_int_equal(m->r.msis, 1);
    assert_int_equal(virtio_balloon_target(m->b, MEM_BYTES + 4096, &e), -EINVAL);
    bus_write(m->r.mmio, m->d.device + 4, 4, 1024); /* the guest says how far it is */
    assert_int_equal(get(m).actual_bytes, 4 << 20);
    assert_int_equal(get(m).target_bytes, 8 << 20);
    drv_set_status(&m->d, 0);
    assert_int_equal(get(m).actual_bytes, 0);
    assert_int_equal(get(m).target_bytes, 8 << 20); /* a person's setting stays */
    assert_false(get(m).driver_ok);
}

static void balloon_inflated_pages_go_back_to_the_host(void **state)
{
    struct machine *m = *state;
    const uint64_t base = 16 << 20;
    uint32_t pfn[512];
    uint64_t before;

    start(m);
    memset(gmem_ptr(m->r.mem, base, 4 << 20), 0x55, 4 << 20);
    memset(gmem_ptr(m->r.mem, RIG_DATA_GPA, 4096), 1, 4096); /* where the numbers will be */
    before = gmem_resident_bytes(m->r.mem);
    for (unsigned i = 0; i < 512; i++) /* every page of 2 MiB, backwards */
        pfn[i] = (uint32_t)(base >> 12) + 511 - i;
    send_pfns(m, INFLATE, pfn, 512);
    assert_true(before - gmem_resident_bytes(m->r.mem) >= 2 << 20);
    assert_int_equal(*(uint8_t *)gmem_ptr(m->r.mem, base, 1), 0);
    assert_int_equal(*(uint8_t *)gmem_ptr(m->r.mem, base + (2 << 20) - 1, 1), 0);
    assert_int_equal(*(uint8_t *)gmem_ptr(m->r.mem, base + (2 << 20), 1), 0x55);
    send_pfns(m, DEFLATE, pfn, 512);
    *(uint8_t *)gmem_ptr(m->r.mem, base, 1) = 1; /* usable again */
}

static void balloon_single_pages_leave_their_neighbours(void **state)
{
    struct machine *m = *state;
    const uint32_t pfn[] = {0x1004, 0x1000, 0x1000, 0x1002};

    start(m);
    memset(gmem_ptr(m->r.mem, 16 << 20, 32 << 10), 0x55, 32 << 10);
    send_pfns(m, INFLATE, pfn, 4);
    for (unsigned i = 0; i < 8; i++) {
        uint8_t want = i == 0 || i == 2 || i == 4 ? 0 : 0x55;

        assert_int_equal(*(uint8_t *)gmem_ptr(m->r.mem, (16 << 20) + i * 4096, 1), want);
    }
}

static void balloon_page_numbers_that_lie_do_nothing(void **state)
{
    struct machine *m = *state;
    const uint32_t pfn[] = {0xffffffff, 0xc0000, 0xfee00, MEM_BYTES >> 12, 0x80000000, 0xfffffffe};

    start(m);
    send_pfns(m, INFLATE, pfn, 6);
    assert_int_equal(m->r.errors, 0);
    assert_false(drv_status(&m->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void put_stats(struct machine *m, const struct virtio_balloon_stat *s, unsigned n)
{
    const struct drv_buf b = {.gpa = RIG_DATA_GPA + 0x10000, .len = n * (uint32_t)sizeof *s};

    assert_int_equal(gmem_write(m->r.mem, b.gpa, s, b.len), 0);
    drv_add(&m->d, STATS, &b, 1);
    drv_kick(&m->d, STATS);
    rig_step(&m->r);
}

static void balloon_statistics_are_unknown_until_said_then_kept(void **state)
{
    struct machine *m = *state;
    const struct virtio_balloon_stat s[] = {
        {.tag = VIRTIO_BALLOON_S_MEMFREE, .val = 111}, {.tag = VIRTIO_BALLOON_S_MEMTOT, .val = 222},
        {.tag = VIRTIO_BALLOON_S_AVAIL, .val = 333},   {.tag = VIRTIO_BALLOON_S_CACHES, .val = 444},
        {.tag = VIRTIO_BALLOON_S_MAJFLT, .val = 5},    {.tag = VIRTIO_BALLOON_S_MINFLT, .val = 6},
        {.tag = VIRTIO_BALLOON_S_SWAP_IN, .val = 7},   {.tag = 0x4242, .val = 1},
        {.tag = VIRTIO_BALLOON_S_HTLB_PGFAIL, .val = 9},
    };
    struct balloon_stats got;

    start(m);
    assert_true(get(m).free_bytes == UINT64_MAX);
    put_stats(m, s, 9);
    got = get(m);
    assert_int_equal(got.free_bytes, 111);
    assert_int_equal(got.total_bytes, 222);
    assert_int_equal(got.available_bytes, 333);
    assert_int_equal(got.disk_caches_bytes, 444);
    assert_int_equal(got.major_faults, 5);
    assert_int_equal(got.minor_faults, 6);
    assert_int_equal(got.swap_in_bytes, 7);
    assert_true(got.swap_out_bytes == UINT64_MAX);
    assert_true(got.driver_ok);
}

static void balloon_asks_for_statistics_at_most_once_a_second_and_only_if_asked(void **state)
{
    struct machine *m = *state;
    const struct virtio_balloon_stat s = {.tag = VIRTIO_BALLOON_S_MEMFREE, .val = 1};
    uint32_t id, len;

    start(m);
    vclock_step(m->r.clock, 5 * NS_PER_S);
    put_stats(m, &s, 1);
    vclock_step(m->r.clock, 5 * NS_PER_S);
    rig_step(&m->r);
    assert_false(drv_used(&m->d, STATS, &id, &len)); /* nobody looks */
    get(m);
    rig_step(&m->r);
    assert_true(drv_used(&m->d, STATS, &id, &len));
    put_stats(m, &s, 1);
    get(m);
    rig_step(&m->r);
    assert_false(drv_used(&m->d, STATS, &id, &len)); /* too early */
    vclock_step(m->r.clock, NS_PER_S);
    get(m);
    rig_step(&m->r);
    assert_true(drv_used(&m->d, STATS, &id, &len));
}

static void balloon_stats_buffer_of_an_earlier_life_is_not_returned(void **state)
{
    struct machine *m = *state;
    const struct virtio_balloon_stat s = {.tag = VIRTIO_BALLOON_S_MEMFREE, .val = 1};
    uint32_t id, len;

    start(m);
    vclock_step(m->r.clock, NS_PER_S);
    put_stats(m, &s, 1);
    start(m); /* the guest resets and starts again; the buffer is gone */
    get(m);
    rig_step(&m->r);
    assert_false(drv_used(&m->d, STATS, &id, &len));
    assert_true(get(m).free_bytes == UINT64_MAX);
}

static void balloon_reported_pages_go_back_on_both_queue_numbers(void **state)
{
    struct machine *m = *state;

    start(m);
    for (unsigned qi = REPORT; qi <= REPORT_STANDARD; qi++) {
        const struct drv_buf b[] = {{.gpa = 32 << 20, .len = 1 << 20, .write = true},
                                    {.gpa = 40 << 20, .len = 2 << 20, .write = true}};
        const uint64_t before = get(m).reported_bytes;

        memset(gmem_ptr(m->r.mem, 32 << 20, 16 << 20), 0x33, 16 << 20);
        assert_int_equal(drv_do(&m->d, qi, b, 2), 0);
        assert_int_equal(get(m).reported_bytes - before, 3 << 20);
        assert_int_equal(*(uint8_t *)gmem_ptr(m->r.mem, 32 << 20, 1), 0);
        assert_int_equal(*(uint8_t *)gmem_ptr(m->r.mem, 42 << 20, 1), 0x33);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(balloon_target_is_told_by_config_and_interrupt),
        T(balloon_inflated_pages_go_back_to_the_host),
        T(balloon_single_pages_leave_their_neighbours),
        T(balloon_page_numbers_that_lie_do_nothing),
        T(balloon_statistics_are_unknown_until_said_then_kept),
        T(balloon_asks_for_statistics_at_most_once_a_second_and_only_if_asked),
        T(balloon_stats_buffer_of_an_earlier_life_is_not_returned),
        T(balloon_reported_pages_go_back_on_both_queue_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
