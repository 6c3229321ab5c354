/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The bus: who answers, in which widths, and what happens where nobody does.
 */
#include "core/bus.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

enum { LOG = 16 };

struct device { /* remembers what was asked of it; reads give bytes that tell their offset */
    struct {
        bool write;
        uint64_t off, val;
        unsigned size;
    } log[LOG];
    unsigned n;
    pthread_mutex_t *must_be_held;
};

static void note(struct device *d, bool write, uint64_t off, unsigned size, uint64_t val)
{
    if (d->must_be_held)
        assert_int_equal(pthread_mutex_trylock(d->must_be_held), EBUSY);
    if (d->n < LOG) {
        d->log[d->n].write = write;
        d->log[d->n].off = off;
        d->log[d->n].size = size;
        d->log[d->n].val = val;
    }
    d->n++;
}

static uint64_t device_read(void *dev, uint64_t off, unsigned size)
{
    uint64_t val = 0;

    note(dev, false, off, size, 0);
    for (unsigned i = 0; i < 8; i++) /* more than asked: the bus must cut it */
        val |= (uint64_t)(uint8_t)(0x10 + off + i) << 8 * i;
    return val;
}

static void device_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    note(dev, true, off, size, val);
}

static const struct bus_ops ops_w1 = {device_read, device_write, BUS_W1};
static const struct bus_ops ops_w2 = {device_read, device_write, BUS_W2};
static const struct bus_ops ops_w4 = {device_read, device_write, BUS_W4};
static const struct bus_ops ops_w14 = {device_read, device_write, BUS_W1 | BUS_W4};
static const struct bus_ops ops_any = {device_read, device_write, BUS_WANY};

static int setup(void **state)
{
    *state = bus_new("test");
    assert_non_null(*state);
    return 0;
}

static int teardown(void **state)
{
    bus_free(*state);
    return 0;
}

static struct bus_region *add(struct bus *b, uint64_t base, uint64_t len, const struct bus_ops *ops,
                              struct device *d)
{
    struct err e = {0};
    struct bus_region *r = bus_add(b, "device", base, len, ops, d, NULL, &e);

    assert_non_null(r);
    return r;
}

static uint64_t rd(struct bus *b, uint64_t addr, unsigned size)
{
    uint64_t val;

    bus_read(b, addr, size, &val);
    return val;
}

static void an_access_arrives_with_offset_width_and_value(void **state)
{
    struct device d = {0};
    uint64_t val;

    add(*state, 0x1000, 0x100, &ops_any, &d);
    for (unsigned size = 1; size <= 8; size *= 2) {
        d.n = 0;
        assert_true(bus_write(*state, 0x1010, size, 0x8877665544332211));
        assert_true(bus_read(*state, 0x1020, size, &val));
        assert_int_equal(d.n, 2);
        assert_true(d.log[0].write);
        assert_int_equal(d.log[0].off, 0x10);
        assert_int_equal(d.log[0].size, size);
        assert_int_equal(d.log[0].val,
                         0x8877665544332211 & (size == 8 ? ~0ull : (1ull << 8 * size) - 1));
        assert_int_equal(d.log[1].off, 0x20);
        assert_int_equal(val, 0x3736353433323130 & (size == 8 ? ~0ull : (1ull << 8 * size) - 1));
    }
}

static void what_nobody_claims_reads_as_all_ones_and_is_counted(void **state)
{
    uint64_t val = 0;

    assert_false(bus_read(*state, 0x1000, 1, &val));
    assert_int_equal(val, 0xff);
    assert_false(bus_read(*state, 0x1000, 8, &val));
    assert_int_equal(val, UINT64_MAX);
    assert_false(bus_write(*state, 0x1000, 4, 1));
    assert_int_equal(bus_unclaimed(*state), 3);
    assert_int_equal(bus_refused(*state), 0);
}

static void a_wide_access_is_split_little_endian(void **state)
{
    struct device d = {0};

    add(*state, 0, 16, &ops_w1, &d);
    assert_true(bus_write(*state, 2, 4, 0x44332211));
    assert_int_equal(d.n, 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(d.log[i].off, 2 + i);
        assert_int_equal(d.log[i].val, 0x11 * (i + 1));
    }
    assert_int_equal(rd(*state, 4, 8), 0x1b1a191817161514);
}

static void pieces_are_the_widest_that_fit(void **state)
{
    struct device d = {0};

    add(*state, 0, 16, &ops_w14, &d);
    assert_true(bus_write(*state, 2, 8, 0x8877665544332211));
    assert_int_equal(d.n, 5); /* 2, 3, 4-7, 8, 9 */
    assert_int_equal(d.log[2].off, 4);
    assert_int_equal(d.log[2].size, 4);
    assert_int_equal(d.log[2].val, 0x66554433);
    assert_int_equal(d.log[4].off, 9);
    assert_int_equal(d.log[4].val, 0x88);
}

static void a_narrow_access_is_refused_and_counted(void **state)
{
    struct device d = {0};
    uint64_t val;

    add(*state, 0, 16, &ops_w4, &d);
    assert_false(bus_write(*state, 0, 1, 0));
    assert_false(bus_read(*state, 0, 2, &val));
    assert_int_equal(val, 0xffff);
    assert_int_equal(d.n, 0);
    assert_int_equal(bus_refused(*state), 2);
    assert_int_equal(bus_unclaimed(*state), 0);
}

static void a_misaligned_access_is_refused(void **state)
{
    struct device d = {0};

    add(*state, 0x100, 16, &ops_w2, &d);
    assert_int_equal(rd(*state, 0x101, 2), 0xffff);
    assert_int_equal(rd(*state, 0x101, 4), 0xffffffff);
    assert_int_equal(d.n, 0);
    assert_int_equal(rd(*state, 0x102, 4), 0x15141312);
}

static void alignment_counts_from_the_start_of_the_region(void **state)
{
    struct device d = {0};

    add(*state, 0x1f3, 8, &ops_w4, &d);
    assert_int_equal(rd(*state, 0x1f3, 4), 0x13121110);
}

static void an_access_across_the_end_gets_what_is_there(void **state)
{
    struct device d = {0};

    add(*state, 0x60, 2, &ops_w1, &d);
    assert_int_equal(rd(*state, 0x61, 4), 0xffffff11);
    d.n = 0;
    assert_true(bus_write(*state, 0x61, 8, 0x42));
    assert_int_equal(d.n, 1);
}

static void a_region_ends_where_it_ends(void **state)
{
    struct device d = {0};

    add(*state, 0x100, 0x10, &ops_any, &d);
    assert_int_equal(rd(*state, 0xff, 1), 0xff);
    assert_int_equal(rd(*state, 0x100, 1), 0x10);
    assert_int_equal(rd(*state, 0x10f, 1), 0x1f);
    assert_int_equal(rd(*state, 0x110, 1), 0xff);
    assert_int_equal(bus_unclaimed(*state), 2);
}

static void overlapping_regions_are_refused_by_name(void **state)
{
    static const struct { uint64_t base, len; } row[] = {
        {0x100, 0x10}, {0xf1, 0x10}, {0x10f, 1}, {0, 0x1000}, {0x108, 4},
    };
    struct device d = {0};
    struct err e = {0};

    add(*state, 0x100, 0x10, &ops_any, &d);
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++) {
        assert_null(bus_add(*state, "late", row[i].base, row[i].len, &ops_any, &d, NULL, &e));
        assert_int_equal(e.code, EEXIST);
        assert_non_null(strstr(e.msg, "late"));
        assert_non_null(strstr(e.msg, "device"));
    }
    add(*state, 0xf0, 0x10, &ops_any, &d);
    add(*state, 0x110, 0x10, &ops_any, &d);
}

static void a_bus_that_is_full_says_so(void **state)
{
    struct device d = {0};
    struct err e = {0};
    unsigned n = 0;

    while (bus_add(*state, "device", n * 16, 16, &ops_any, &d, NULL, &e))
        n++;
    assert_in_range(n, 64, 1000);
    assert_int_equal(e.code, ENOSPC);
    assert_null(bus_add_hidden(*state, "device", 16, &ops_any, &d, NULL, &e));
}

static void a_hidden_region_appears_moves_and_goes(void **state)
{
    struct device d = {0};
    struct err e = {0};
    struct bus_region *r = bus_add_hidden(*state, "bar", 0x1000, &ops_any, &d, NULL, &e);

    assert_non_null(r);
    assert_int_equal(rd(*state, 0, 1), 0xff);
    bus_show(*state, r, 0xc0000000);
    assert_int_equal(rd(*state, 0xc0000004, 1), 0x14);
    bus_show(*state, r, 0xd0000000);
    assert_int_equal(rd(*state, 0xc0000004, 1), 0xff);
    assert_int_equal(rd(*state, 0xd0000004, 1), 0x14);
    bus_hide(*state, r);
    assert_int_equal(rd(*state, 0xd0000004, 1), 0xff);
}

static void a_region_moved_beyond_the_end_of_addresses_is_hidden(void **state)
{
    struct device d = {0};
    struct err e = {0};
    struct bus_region *r = bus_add_hidden(*state, "bar", 0x1000, &ops_any, &d, NULL, &e);

    bus_show(*state, r, UINT64_MAX - 0x10);
    assert_int_equal(rd(*state, UINT64_MAX, 1), 0xff);
    assert_int_equal(rd(*state, 0, 1), 0xff);
    bus_show(*state, r, UINT64_MAX - 0x2000);
    assert_int_equal(rd(*state, UINT64_MAX - 0x2000, 1), 0x10);
}

static void of_overlapping_regions_the_first_added_answers(void **state)
{
    struct device first = {0}, second = {0};
    struct err e = {0};
    struct bus_region *a = bus_add_hidden(*state, "a", 0x1000, &ops_any, &first, NULL, &e);
    struct bus_region *b = bus_add_hidden(*state, "b", 0x1000, &ops_any, &second, NULL, &e);

    bus_show(*state, b, 0x8000);
    rd(*state, 0x8000, 1); /* the last hit is b */
    bus_show(*state, a, 0x8800);
    rd(*state, 0x8800, 1);
    assert_int_equal(first.n, 1);
    assert_int_equal(second.n, 1);
    rd(*state, 0x8000, 1);
    rd(*state, 0x8fff, 1);
    assert_int_equal(second.n, 2);
    assert_int_equal(first.n, 2);
    bus_hide(*state, a);
    rd(*state, 0x8fff, 1);
    assert_int_equal(second.n, 3);
}

static void the_lock_of_a_region_is_held_around_its_device(void **state)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct device d = {.must_be_held = &lock};
    struct err e = {0};

    assert_non_null(bus_add(*state, "device", 0, 16, &ops_w1, &d, &lock, &e));
    rd(*state, 0, 4);
    bus_write(*state, 0, 4, 0);
    assert_int_equal(d.n, 8);
    assert_int_equal(pthread_mutex_trylock(&lock), 0); /* and free afterwards */
    pthread_mutex_unlock(&lock);
}

static void hits_are_counted_by_register(void **state)
{
    struct device d = {0};
    struct bus_region *small = add(*state, 0x100, 8, &ops_any, &d);
    struct bus_region *page = add(*state, 0x10000, 0x1000, &ops_any, &d);
    struct bus_region *odd = add(*state, 0x20000, 65, &ops_any, &d);

    for (unsigned i = 0; i < 3; i++)
        rd(*state, 0x105, 1);
    bus_write(*state, 0x105, 1, 0);
    assert_int_equal(small->hits[5], 4);
    rd(*state, 0x10000 + 0x7f, 1);
    rd(*state, 0x10000 + 0x40, 1);
    rd(*state, 0x10fff, 1);
    assert_int_equal(page->hits[1], 2);
    assert_int_equal(page->hits[63], 1);
    rd(*state, 0x20000 + 64, 1);
    assert_int_equal(odd->hits[32], 1);
}

static void count_region(void *arg, const struct bus_region *r)
{
    unsigned *sum = arg;

    *sum = *sum * 10 + (unsigned)r->len;
}

static void regions_are_listed_in_order_of_addition(void **state)
{
    struct device d = {0};
    struct err e = {0};
    unsigned sum = 0;

    add(*state, 0x200, 3, &ops_any, &d);
    add(*state, 0x100, 1, &ops_any, &d);
    assert_non_null(bus_add_hidden(*state, "bar", 2, &ops_any, &d, NULL, &e));
    bus_each(*state, count_region, &sum);
    assert_int_equal(sum, 312);
    assert_string_equal(bus_name(*state), "test");
}

/* ---- doorbells */

static uint64_t rings(int fd)
{
    uint64_t n = 0;

    return read(fd, &n, sizeof n) == sizeof n ? n : 0;
}

static void a_doorbell_rings_on_any_width_and_hides_the_device(void **state)
{
    struct device d = {0};
    struct err e = {0};
    int fd = eventfd(0, EFD_NONBLOCK);
    struct bus_doorbell *bell = bus_add_doorbell(*state, fd, NULL, NULL, &e);

    assert_non_null(bell);
    add(*state, 0x1000, 0x100, &ops_any, &d);
    assert_true(bus_write(*state, 0x1010, 2, 7));
    assert_int_equal(d.n, 1); /* hidden: the device gets it */
    bus_show_doorbell(*state, bell, 0x1010);
    for (unsigned size = 1; size <= 8; size *= 2)
        assert_true(bus_write(*state, 0x1010, size, 7));
    assert_int_equal(rings(fd), 4);
    assert_int_equal(d.n, 1);
    rd(*state, 0x1010, 2); /* reads are the device's */
    assert_true(bus_write(*state, 0x1012, 2, 7));
    assert_int_equal(d.n, 3);
    bus_hide_doorbell(*state, bell);
    assert_true(bus_write(*state, 0x1010, 2, 7));
    assert_int_equal(d.n, 4);
    assert_int_equal(rings(fd), 0);
    close(fd);
}

static bool quick(void *opaque)
{
    return *(bool *)opaque;
}

static void a_doorbell_whose_work_is_done_at_once_does_not_ring(void **state)
{
    struct err e = {0};
    bool done = true;
    int fd = eventfd(0, EFD_NONBLOCK);
    struct bus_doorbell *bell = bus_add_doorbell(*state, fd, quick, &done, &e);

    bus_show_doorbell(*state, bell, 0x1000);
    assert_true(bus_write(*state, 0x1000, 2, 0));
    assert_int_equal(rings(fd), 0);
    done = false;
    assert_true(bus_write(*state, 0x1000, 2, 0));
    assert_int_equal(rings(fd), 1);
    close(fd);
}

static void a_doorbell_nobody_answers_does_not_block_the_guest(void **state)
{
    const uint64_t full = UINT64_MAX - 1;
    struct err e = {0};
    int fd = eventfd(0, EFD_NONBLOCK);
    struct bus_doorbell *bell = bus_add_doorbell(*state, fd, NULL, NULL, &e);

    bus_show_doorbell(*state, bell, 0x1000);
    assert_int_equal(write(fd, &full, sizeof full), sizeof full);
    bus_write(*state, 0x1000, 2, 0); /* it is signalled already */
    assert_int_equal(rings(fd), full);
    close(fd);
}

static void note_change(void *opaque)
{
    ++*(unsigned *)opaque;
}

static void the_listener_hears_of_every_change_and_only_of_changes(void **state)
{
    unsigned changes = 0;
    const struct bus_doorbell_listener l = {note_change, &changes};
    struct bus_doorbell copy[2], *a, *b;
    struct err e = {0};

    bus_set_doorbell_listener(*state, &l);
    a = bus_add_doorbell(*state, 3, NULL, NULL, &e);
    b = bus_add_doorbell(*state, 4, NULL, NULL, &e);
    assert_int_equal(bus_doorbells(*state, copy, 2), 0);
    bus_show_doorbell(*state, a, 0x1000);
    bus_show_doorbell(*state, a, 0x1000);
    assert_int_equal(changes, 1);
    bus_show_doorbell(*state, b, 0x2000);
    bus_show_doorbell(*state, a, 0x3000);
    assert_int_equal(changes, 3);
    assert_int_equal(bus_doorbells(*state, copy, 1), 2); /* says how many there are */
    assert_int_equal(bus_doorbells(*state, copy, 2), 2);
    assert_int_equal(copy[0].addr, 0x3000);
    assert_int_equal(copy[1].eventfd, 4);
    bus_hide_doorbell(*state, a);
    bus_hide_doorbell(*state, a);
    assert_int_equal(changes, 4);
    assert_int_equal(bus_doorbells(*state, copy, 2), 1);
}

/* ---- many threads */

enum { MOVES = 20000 };

struct mover {
    struct bus *bus;
    struct bus_region *bar;
    _Atomic bool done;
};

static void *mover_run(void *arg)
{
    struct mover *m = arg;

    for (unsigned i = 0; i < MOVES; i++) {
        bus_show(m->bus, m->bar, i & 1 ? 0x10000 : 0x20000);
        if (i % 7 == 0)
            bus_hide(m->bus, m->bar);
    }
    m->done = true;
    return NULL;
}

static uint64_t low_read(void *dev, uint64_t off, unsigned size)
{
    (void)size;
    return off < 0x100 ? *(uint8_t *)dev : 0xee; /* beyond its region: must never be asked */
}

static void low_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    (void)dev, (void)off, (void)size, (void)val;
}

static const struct bus_ops low_ops = {low_read, low_write, BUS_W1};

static void a_region_moved_under_way_is_seen_whole_or_not_at_all(void **state)
{
    uint8_t a = 0xaa, b = 0xbb;
    struct err e = {0};
    struct mover m = {.bus = *state};
    pthread_t thread;

    m.bar = bus_add_hidden(*state, "bar", 0x100, &low_ops, &a, NULL, &e);
    assert_non_null(bus_add(*state, "fixed", 0x30000, 0x100, &low_ops, &b, NULL, &e));
    assert_int_equal(pthread_create(&thread, NULL, mover_run, &m), 0);
    while (!m.done) {
        uint64_t one = rd(*state, 0x10080, 1), two = rd(*state, 0x20080, 1);

        assert_true(one == 0xaa || one == 0xff);
        assert_true(two == 0xaa || two == 0xff);
        assert_int_equal(rd(*state, 0x30080, 1), 0xbb);
    }
    pthread_join(thread, NULL);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(an_access_arrives_with_offset_width_and_value),
        T(what_nobody_claims_reads_as_all_ones_and_is_counted),
        T(a_wide_access_is_split_little_endian),
        T(pieces_are_the_widest_that_fit),
        T(a_narrow_access_is_refused_and_counted),
        T(a_misaligned_access_is_refused),
        T(alignment_counts_from_the_start_of_the_region),
        T(an_access_across_the_end_gets_what_is_there),
        T(a_region_ends_where_it_ends),
        T(overlapping_regions_are_refused_by_name),
        T(a_bus_that_is_full_says_so),
        T(a_hidden_region_appears_moves_and_goes),
        T(a_region_moved_beyond_the_end_of_addresses_is_hidden),
        T(of_overlapping_regions_the_first_added_answers),
        T(the_lock_of_a_region_is_held_around_its_device),
        T(hits_are_counted_by_register),
        T(regions_are_listed_in_order_of_addition),
        T(a_doorbell_rings_on_any_width_and_hides_the_device),
        T(a_doorbell_whose_work_is_done_at_once_does_not_ring),
        T(a_doorbell_nobody_answers_does_not_block_the_guest),
        T(the_listener_hears_of_every_change_and_only_of_changes),
        T(a_region_moved_under_way_is_seen_whole_or_not_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
