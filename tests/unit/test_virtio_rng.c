/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtio-rng: bytes that differ, bounded requests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "devices/virtio_rng.h"
#include "unit/virtio_rig.h"

struct machine {
    struct rig r;
    struct virtio_rng *rng;
    struct virtio_pci *vp;
    struct drv d;
};

static int setup(void **state)
{
    static struct machine m;

    if (rig_init(&m.r, 4 << 20) < 0)
        return -1;
    m.rng = virtio_rng_new(&m.r.env, NULL);
    m.vp = rig_plug(&m.r, RIG_SLOT, virtio_rng_dev(m.rng));
    drv_probe(&m.d, &m.r, RIG_SLOT);
    if (!drv_negotiate(&m.d, 1ull << VIRTIO_F_VERSION_1))
        return -1;
    drv_queue(&m.d, 0, 8, false);
    drv_ok(&m.d);
    *state = &m;
    return 0;
}

static int teardown(void **state)
{
    struct machine *m = *state;

    virtio_pci_free(m->vp);
    virtio_rng_free(m->rng);
    rig_fini(&m->r);
    return 0;
}

static void rng_fills_buffers_with_bytes_that_differ(void **state)
{
    struct machine *m = *state;
    const struct drv_buf b[] = {{.gpa = RIG_DATA_GPA, .len = 300, .write = true},
                                {.gpa = RIG_DATA_GPA + 300, .len = 300, .write = true}};
    uint8_t *p = gmem_ptr(m->r.mem, RIG_DATA_GPA, 601);

    assert_int_equal(drv_do(&m->d, 0, b, 2), 600);
    assert_memory_not_equal(p, p + 300, 300);
    assert_int_equal(p[600], 0);
}

static void rng_gives_a_part_to_an_immodest_request(void **state)
{
    struct machine *m = *state;
    const struct drv_buf b = {.gpa = RIG_DATA_GPA, .len = 2 << 20, .write = true};

    assert_int_equal(drv_do(&m->d, 0, &b, 1), 4096);
    assert_int_equal(*(uint64_t *)gmem_ptr(m->r.mem, RIG_DATA_GPA + 4096, 8), 0);
}

static void rng_request_without_room_gets_nothing(void **state)
{
    struct machine *m = *state;
    const struct drv_buf b = {.gpa = RIG_DATA_GPA, .len = 16};

    assert_int_equal(drv_do(&m->d, 0, &b, 1), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(rng_fills_buffers_with_bytes_that_differ),
        T(rng_gives_a_part_to_an_immodest_request),
        T(rng_request_without_room_gets_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
