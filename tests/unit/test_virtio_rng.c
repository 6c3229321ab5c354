/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * virtio-rng: bytes that differ, bounded requests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/rng_machine.h"

#define VERSION_1 (1ull << VIRTIO_F_VERSION_1)

static void rng_fills_buffers_with_bytes_that_differ(void **state)
{
    struct machine *m = *state;
    const struct drv_buf b[] = {{.gpa = RIG_DATA_GPA, .len = 300, .write = true},
                                {.gpa = RIG_DATA_GPA + 300, .len = 300, .write = true}};
    uint8_t *p = gmem_ptr(m->r.mem, RIG_DATA_GPA, 601);

    assert_true(start(m, VERSION_1));
    assert_int_equal(drv_do(&m->d, 0, b, 2), 600);
    assert_memory_not_equal(p, p + 300, 300);
    assert_int_equal(p[600], 0);
}

static void rng_gives_a_part_to_an_immodest_request(void **state)
{
    struct machine *m = *state;
    const struct drv_buf b = {.gpa = RIG_DATA_GPA, .len = 2 << 20, .write = true};

    assert_true(start(m, VERSION_1));
    assert_int_equal(drv_do(&m->d, 0, &b, 1), 4096);
    assert_int_equal(*(uint64_t *)gmem_ptr(m->r.mem, RIG_DATA_GPA + 4096, 8), 0);
}

static void rng_request_without_room_gets_nothing(void **state)
{
    struct machine *m = *state;
    const struct drv_buf b = {.gpa = RIG_DATA_GPA, .len = 16};

    assert_true(start(m, VERSION_1));
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
