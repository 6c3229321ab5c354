/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The split queue alone: legal chains of every shape, every rule a guest can break (T1-T9 of the
 * threat list), suppression of notifications and interrupts, wrap-around of the indices.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "devices/virtq.h"

#include <linux/virtio_ring.h>

enum {
    MEM_BYTES = 4 << 20,
    N = 8,
    DESC = 0x1000,
    AVAIL = 0x2000,
    USED = 0x3000,
    TABLE = 0x4000, /* indirect descriptors */
    DATA = 0x10000,
};

struct rig {
    struct gmem *mem;
    struct virtq q;
    struct virtq_chain c;
    unsigned interrupts, broken;
    const char *what;
    uint64_t dirty_gpa, dirty_len; /* last */
    uint16_t avail_idx;
};

static void interrupt(void *opaque, unsigned index)
{
    struct rig *r = opaque;

    assert_int_equal(index, 5);
    r->interrupts++;
}

static void broken(void *opaque, unsigned index, const char *what)
{
    struct rig *r = opaque;

    (void)index;
    r->broken++;
    r->what = what;
}

static void dirty(void *arg, uint64_t gpa, uint64_t len)
{
    struct rig *r = arg;

    r->dirty_gpa = gpa;
    r->dirty_len = len;
}

static const struct virtq_owner owner = {.interrupt = interrupt, .broken = broken};

static struct virtq_ring ring(void)
{
    return (struct virtq_ring){.size = N, .desc = DESC, .avail = AVAIL, .used = USED,
                               .event_idx = true, .indirect = true};
}

static int setup(void **state)
{
    static struct rig r;
    const struct virtq_ring ok = ring();

    memset(&r, 0, sizeof r);
    r.mem = gmem_new("virtq", MEM_BYTES, NULL);
    gmem_set_dirty_hook(r.mem, dirty, &r);
    virtq_init(&r.q, r.mem, 5, &owner, &r);
    *state = &r;
    return virtq_start(&r.q, &ok);
}

static int teardown(void **state)
{
    struct rig *r = *state;

    gmem_free(r->mem);
    return 0;
}

static void put(struct rig *r, uint64_t gpa, const void *p, size_t len)
{
    memcpy(gmem_ptr(r->mem, gpa, len), p, len);
}

static void put16(struct rig *r, uint64_t gpa, uint16_t v)
{
    put(r, gpa, &v, 2);
}

static uint16_t get16(struct rig *r, uint64_t gpa)
{
    uint16_t v;

    memcpy(&v, gmem_ptr(r->mem, gpa, 2), 2);
    return v;
}

static void desc(struct rig *r, uint64_t table, unsigned i, uint64_t addr, uint32_t len,
                 uint16_t flags, uint16_t next)
{
    const struct vring_desc d = {.addr = addr, .len = len, .flags = flags, .next = next};

    put(r, table + 16 * i, &d, sizeof d);
}

static void avail(struct rig *r, uint16_t head)
{
    put16(r, AVAIL + 4 + 2 * (r->avail_idx % N), head);
    put16(r, AVAIL + 2, ++r->avail_idx);
}

/* Makes head available and expects the queue to break with these words. */
static void breaks(struct rig *r, uint16_t head, const char *words)
{
    avail(r, head);
    assert_int_equal(virtq_pop(&r->q, &r->c), 0);
    assert_int_equal(r->broken, 1);
    assert_non_null(r->what);
    assert_string_equal(r->what, words);
    assert_false(r->q.live);
    assert_int_equal(virtq_pop(&r->q, &r->c), 0); /* and is silent from then on */
    assert_false(virtq_rearm(&r->q));
    virtq_push(&r->q, 0, 0);
    virtq_flush(&r->q);
    virtq_break(&r->q, "again");
    assert_int_equal(r->broken, 1);
    assert_int_equal(r->interrupts, 0);
}

/* ---- legal chains ---- */

static void virtq_pops_a_chain_with_all_its_buffers(void **state)
{
    struct rig *r = *state;

    desc(r, DESC, 3, DATA, 10, VRING_DESC_F_NEXT, 1);
    desc(r, DESC, 1, DATA + 0x100, 20, VRING_DESC_F_NEXT, 7);
    desc(r, DESC, 7, DATA + 0x200, 30, VRING_DESC_F_WRITE, 0);
    avail(r, 3);
    assert_int_equal(virtq_pop(&r->q, &r->c), 1);
    assert_int_equal(r->c.head, 3);
    assert_int_equal(r->c.nout, 2);
    assert_int_equal(r->c.nin, 1);
    assert_int_equal(r->c.out_bytes, 30);
    assert_int_equal(r->c.in_bytes, 30);
    assert_ptr_equal(r->c.iov[1].iov_base, gmem_ptr(r->mem, DATA + 0x100, 1));
    assert_int_equal(r->c.gpa[2], DATA + 0x200);
    assert_int_equal(virtq_pop(&r->q, &r->c), 0);
    assert_int_equal(r->broken, 0);
}

static void virtq_follows_an_indirect_table(void **state)
{
    struct rig *r = *state;

    desc(r, TABLE, 0, DATA, 1, VRING_DESC_F_NEXT, 2);
    desc(r, TABLE, 2, DATA + 1, 2, VRING_DESC_F_WRITE, 0);
    desc(r, DESC, 0, TABLE, 48, VRING_DESC_F_INDIRECT, 0);
    avail(r, 0);
    assert_int_equal(virtq_pop(&r->q, &r->c), 1);
    assert_int_equal(r->c.nout, 1);
    assert_int_equal(r->c.nin, 1);
}

static void virtq_takes_an_indirect_table_at_the_end_of_a_chain(void **state)
{
    struct rig *r = *state;

    desc(r, TABLE, 0, DATA, 1, VRING_DESC_F_WRITE, 0);
    desc(r, DESC, 0, DATA, 5, VRING_DESC_F_NEXT, 1);
    desc(r, DESC, 1, TABLE, 16, VRING_DESC_F_INDIRECT, 0);
    avail(r, 0);
    assert_int_equal(virtq_pop(&r->q, &r->c), 1);
    assert_int_equal(r->c.out_bytes, 5);
    assert_int_equal(r->c.in_bytes, 1);
}

static void virtq_takes_the_longest_indirect_chain(void **state)
{
    struct rig *r = *state;

    for (unsigned i = 0; i < VIRTQ_SEGS_MAX; i++)
        desc(r, TABLE, i, DATA, 1, VRING_DESC_F_NEXT, (uint16_t)(i + 1));
    desc(r, TABLE, VIRTQ_SEGS_MAX - 1, DATA, 1, 0, 0);
    desc(r, DESC, 0, TABLE, 16 * VIRTQ_SEGS_MAX, VRING_DESC_F_INDIRECT, 0);
    avail(r, 0);
    assert_int_equal(virtq_pop(&r->q, &r->c), 1);
    assert_int_equal(r->c.nout, VIRTQ_SEGS_MAX);
}

static void virtq_reaches_the_last_byte_of_memory(void **state)
{
    struct rig *r = *state;

    desc(r, DESC, 0, MEM_BYTES - 1, 1, 0, 0);
    avail(r, 0);
    assert_int_equal(virtq_pop(&r->q, &r->c), 1);
}

static void virtq_indices_wrap_after_65536_chains(void **state)
{
    struct rig *r = *state;

    desc(r, DESC, 2, DATA, 1, VRING_DESC_F_WRITE, 0);
    for (unsigned i = 0; i < 70000; i++) {
        avail(r, 2);
        assert_int_equal(virtq_pop(&r->q, &r->c), 1);
        virtq_push(&r->q, 2, 1);
        virtq_flush(&r->q);
    }
    assert_int_equal(get16(r, USED + 2), (uint16_t)70000);
    assert_int_equal(r->broken, 0);
}

/* ---- broken rules ---- */

static void virtq_descriptor_cycle_breaks_it(void **state)
{
    struct rig *r = *state;

    desc(r, DESC, 0, DATA, 1, VRING_DESC_F_NEXT, 1);
    desc(r, DESC, 1, DATA, 1, VRING_DESC_F_NEXT, 0);
    breaks(r, 0, "descriptor chain loops");
}

static void virtq_cycle_in_a_huge_indirect_table_is_cut_at_256(void **state)
{
    struct rig *r = *state;

    desc(r, TABLE, 0, DATA, 1, VRING_DESC_F_NEXT, 0);
    desc(r, DESC, 0, TABLE, 0x10000, VRING_DESC_F_INDIRECT, 0);
    breaks(r, 0, "descriptor chain is too long");
}

static void virtq_next_outside_the_table_breaks_it(void **state)
{
    struct rig *r = *state;

    desc(r, DESC, 0, DATA, 1, VRING_DESC_F_NEXT, N);
    breaks(r, 0, "next descriptor is outside its table");
}

static void virtq_next_outside_an_indirect_table_breaks_it(void **state)
{
    struct rig *r = *state;

    desc(r, TABLE, 0, DATA, 1, VRING_DESC_F_NEXT, 2);
    desc(r, DESC, 0, TABLE, 32, VRING_DESC_F_INDIRECT, 0);
    breaks(r, 0, "next descriptor is outside its table");
}

static void virtq_head_outside_the_queue_breaks_it(void **state)
{
    breaks(*state, N, "head descriptor is outside the queue");
}

static void virtq_available_index_too_far_ahead_breaks_it(void **state)
{
    struct rig *r = *state;

    r->avail_idx = N;
    breaks(r, 0, "available index runs ahead of the queue");
}

static void virtq_nested_indirect_table_breaks_it(void **state)
{
    struct rig *r = *state;

    desc(r, TABLE, 0, TABLE, 16, VRING_DESC_F_INDIRECT, 0);
    desc(r, DESC, 0, TABLE, 16, VRING_DESC_F_INDIRECT, 0);
    breaks(r, 0, "indirect descriptor inside an indirect table");
}

static void virtq_indirect_with_next_breaks_it(void **state)
{
    struct rig *r = *state;

    desc(r, DESC, 0, TABLE, 16, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 1);
    breaks(r, 0, "indirect descriptor with a next one");
}

static void virtq_indirect_of_odd_length_breaks_it(void **state)
{
    struct rig *r = *state;

    desc(r, DESC, 0, TABLE, 17, VRING_DESC_F_INDIRECT, 0);
    breaks(r, 0, "length of an indirect table is not a multiple of 16");
}

static void virtq_empty_indirect_table_breaks_it(void **state)
{
    struct rig *r = *state;

    desc(r, DESC, 0, TABLE, 0, VRING_DESC_F_INDIRECT, 0);
    breaks(r, 0, "length of an indirect table is not a multiple of 16");
}

static void virtq_indirect_table_outside_memory_breaks_it(void **state)
{
    struct rig *r = *state;

    desc(r, DESC, 0, MEM_BYTES - 16, 32, VRING_DESC_F_INDIRECT, 0);
    breaks(r, 0, "indirect table is not in memory or not aligned to 8");
}

static void virtq_indirect_that_was_not_negotiated_breaks_it(void **state)
{
    struct rig *r = *state;
    struct virtq_ring plain = ring();

    plain.indirect = false;
    assert_int_equal(virtq_start(&r->q, &plain), 0);
    desc(r, DESC, 0, TABLE, 16, VRING_DESC_F_INDIRECT, 0);
    breaks(r, 0, "indirect descriptor was not negotiated");
}

static void virtq_readable_after_writable_breaks_it(void **state)
{
    struct rig *r = *state;

    desc(r, DESC, 0, DATA, 1, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
    desc(r, DESC, 1, DATA, 1, 0, 0);
    breaks(r, 0, "readable descriptor after a writable one");
}

static void virtq_empty_buffer_breaks_it(void **state)
{
    struct rig *r = *state;

    desc(r, DESC, 0, DATA, 0, 0, 0);
    breaks(r, 0, "buffer is empty");
}

static void virtq_buffers_outside_memory_break_it(void **state)
{
    struct rig *r = *state;
    const struct virtq_ring ok = ring();
    static const struct {
        uint64_t addr;
        uint32_t len;
    } bad[] = {
        {MEM_BYTES, 1}, {MEM_BYTES - 1, 2}, {UINT64_MAX, 1}, {UINT64_MAX - 10, 100},
        {0, MEM_BYTES + 1}, {0x100000000, 1}, {0xfee00000, 4}, {1ull << 63, 0x10000000},
    };

    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        r->broken = 0;
        r->avail_idx = 0;
        put16(r, AVAIL + 2, 0);
        assert_int_equal(virtq_start(&r->q, &ok), 0);
        desc(r, DESC, 0, bad[i].addr, bad[i].len, 0, 0);
        breaks(r, 0, "buffer is not in memory");
    }
}

static void virtq_chain_of_more_than_a_gigabyte_breaks_it(void **state)
{
    struct rig *r = *state;
    struct gmem *big = gmem_new("big", 2ull << 30, NULL);
    const struct virtq_ring ok = ring();
    struct gmem *small = r->mem;

    assert_non_null(big);
    r->mem = big;
    virtq_init(&r->q, big, 5, &owner, r);
    assert_int_equal(virtq_start(&r->q, &ok), 0);
    desc(r, DESC, 0, DATA, 1 << 30, VRING_DESC_F_NEXT, 1);
    desc(r, DESC, 1, DATA, 1, 0, 0);
    breaks(r, 0, "request is larger than 1 GiB");
    gmem_free(big);
    r->mem = small;
}

static void virtq_more_in_flight_than_entries_breaks_it(void **state)
{
    struct rig *r = *state;

    desc(r, DESC, 0, DATA, 1, 0, 0);
    for (unsigned i = 0; i < N; i++) {
        avail(r, 0);
        assert_int_equal(virtq_pop(&r->q, &r->c), 1);
    }
    breaks(r, 0, "more requests in flight than the queue has entries");
}

static void virtq_refuses_rings_that_are_not_legal(void **state)
{
    struct rig *r = *state;
    struct virtq_ring bad[10];

    for (unsigned i = 0; i < 10; i++)
        bad[i] = ring();
    bad[0].size = 0;
    bad[1].size = 3;
    bad[2].size = 2 * VIRTQ_SIZE_MAX;
    bad[3].desc = DESC + 8;
    bad[4].avail = AVAIL + 1;
    bad[5].used = USED + 2;
    bad[6].desc = MEM_BYTES - 16 * N + 16;
    bad[7].avail = MEM_BYTES - 2 * N - 4;
    bad[8].used = MEM_BYTES - 8 * N - 4;
    bad[9].desc = UINT64_MAX - 15;
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(virtq_start(&r->q, &bad[i]), -EINVAL);
        assert_false(r->q.live);
        assert_int_equal(virtq_pop(&r->q, &r->c), 0);
    }
    bad[6].desc = MEM_BYTES - 16 * N; /* to the last byte is fine */
    assert_int_equal(virtq_start(&r->q, &bad[6]), 0);
}

/* ---- completions ---- */

static void virtq_pushed_chains_are_shown_all_at_once(void **state)
{
    struct rig *r = *state;
    uint32_t elem[2];

    desc(r, DESC, 0, DATA, 9, VRING_DESC_F_WRITE, 0);
    desc(r, DESC, 1, DATA, 9, VRING_DESC_F_WRITE, 0);
    avail(r, 0);
    avail(r, 1);
    assert_int_equal(virtq_pop(&r->q, &r->c), 1);
    assert_int_equal(virtq_pop(&r->q, &r->c), 1);
    virtq_push(&r->q, 1, 7);
    virtq_push(&r->q, 0, 8);
    assert_int_equal(get16(r, USED + 2), 0);
    virtq_flush(&r->q);
    assert_int_equal(get16(r, USED + 2), 2);
    assert_int_equal(r->interrupts, 1);
    memcpy(elem, gmem_ptr(r->mem, USED + 4 + 8, 8), 8);
    assert_int_equal(elem[0], 0);
    assert_int_equal(elem[1], 8);
    virtq_flush(&r->q); /* nothing new */
    assert_int_equal(r->interrupts, 1);
}

static void virtq_unpopped_chains_come_again(void **state)
{
    struct rig *r = *state;

    for (uint16_t i = 0; i < 3; i++) {
        desc(r, DESC, i, DATA, 1, 0, 0);
        avail(r, i);
        assert_int_equal(virtq_pop(&r->q, &r->c), 1);
    }
    virtq_unpop(&r->q, 2);
    assert_int_equal(virtq_pop(&r->q, &r->c), 1);
    assert_int_equal(r->c.head, 1);
    assert_int_equal(r->q.inflight, 2);
    virtq_unpop(&r->q, 100); /* no more than there are */
    assert_int_equal(r->q.inflight, 0);
    assert_int_equal(r->q.last_avail, 0);
}

static void complete(struct rig *r)
{
    desc(r, DESC, 0, DATA, 1, 0, 0);
    avail(r, 0);
    assert_int_equal(virtq_pop(&r->q, &r->c), 1);
    virtq_push(&r->q, 0, 0);
    virtq_flush(&r->q);
}

static void virtq_interrupts_when_used_event_is_passed(void **state)
{
    struct rig *r = *state;

    put16(r, AVAIL + 4 + 2 * N, 2); /* tell me when entry 2 is used */
    complete(r);
    complete(r);
    assert_int_equal(r->interrupts, 0);
    complete(r);
    assert_int_equal(r->interrupts, 1);
    complete(r);
    assert_int_equal(r->interrupts, 1);
}

static void virtq_without_event_idx_obeys_the_flag(void **state)
{
    struct rig *r = *state;
    struct virtq_ring plain = ring();

    plain.event_idx = false;
    assert_int_equal(virtq_start(&r->q, &plain), 0);
    put16(r, AVAIL, VRING_AVAIL_F_NO_INTERRUPT);
    complete(r);
    assert_int_equal(r->interrupts, 0);
    put16(r, AVAIL, 0);
    complete(r);
    assert_int_equal(r->interrupts, 1);
}

static void virtq_rearm_asks_for_the_next_chain_and_sees_a_late_one(void **state)
{
    struct rig *r = *state;

    desc(r, DESC, 0, DATA, 1, 0, 0);
    avail(r, 0);
    assert_int_equal(virtq_pop(&r->q, &r->c), 1);
    assert_false(virtq_rearm(&r->q));
    assert_int_equal(get16(r, USED + 4 + 8 * N), 1); /* avail_event */
    avail(r, 0);
    assert_true(virtq_rearm(&r->q));
}

static void virtq_without_event_idx_hushes_by_the_flag(void **state)
{
    struct rig *r = *state;
    struct virtq_ring plain = ring();

    plain.event_idx = false;
    assert_int_equal(virtq_start(&r->q, &plain), 0);
    virtq_hush(&r->q);
    assert_int_equal(get16(r, USED), VRING_USED_F_NO_NOTIFY);
    assert_false(virtq_rearm(&r->q));
    assert_int_equal(get16(r, USED), 0);
}

static void virtq_restart_forgets_everything(void **state)
{
    struct rig *r = *state;
    const struct virtq_ring ok = ring();
    const uint32_t epoch = r->q.epoch;

    complete(r);
    put16(r, AVAIL + 2, 0);
    r->avail_idx = 0;
    assert_int_equal(virtq_start(&r->q, &ok), 0);
    assert_int_equal(r->q.epoch, epoch + 1);
    assert_int_equal(virtq_pop(&r->q, &r->c), 0);
    complete(r);
    assert_int_equal(get16(r, USED + 2), 1);
    assert_int_equal(r->broken, 0);
}

/* ---- copies ---- */

static void virtq_copies_across_buffers_and_says_what_it_changed(void **state)
{
    struct rig *r = *state;
    char got[8] = {0};

    put(r, DATA, "abc", 3);
    put(r, DATA + 0x100, "defg", 4);
    desc(r, DESC, 0, DATA, 3, VRING_DESC_F_NEXT, 1);
    desc(r, DESC, 1, DATA + 0x100, 4, VRING_DESC_F_NEXT, 2);
    desc(r, DESC, 2, DATA + 0x200, 2, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 3);
    desc(r, DESC, 3, DATA + 0x300, 5, VRING_DESC_F_WRITE, 0);
    avail(r, 0);
    assert_int_equal(virtq_pop(&r->q, &r->c), 1);
    assert_int_equal(virtq_copy_from(&r->c, 1, got, 5), 5);
    assert_string_equal(got, "bcdef");
    assert_int_equal(virtq_copy_from(&r->c, 5, got, 8), 2);
    assert_int_equal(virtq_copy_from(&r->c, 7, got, 8), 0);
    assert_int_equal(virtq_copy_to(&r->q, &r->c, 1, "1234567890", 10), 6);
    assert_memory_equal(gmem_ptr(r->mem, DATA + 0x201, 1), "1", 1);
    assert_memory_equal(gmem_ptr(r->mem, DATA + 0x300, 5), "23456", 5);
    assert_int_equal(r->dirty_gpa, DATA + 0x300);
    assert_int_equal(r->dirty_len, 5);
    virtq_push(&r->q, 0, 7);
    assert_int_equal(r->dirty_gpa, USED + 4);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(virtq_pops_a_chain_with_all_its_buffers),
        T(virtq_follows_an_indirect_table),
        T(virtq_takes_an_indirect_table_at_the_end_of_a_chain),
        T(virtq_takes_the_longest_indirect_chain),
        T(virtq_reaches_the_last_byte_of_memory),
        T(virtq_indices_wrap_after_65536_chains),
        T(virtq_descriptor_cycle_breaks_it),
        T(virtq_cycle_in_a_huge_indirect_table_is_cut_at_256),
        T(virtq_next_outside_the_table_breaks_it),
        T(virtq_next_outside_an_indirect_table_breaks_it),
        T(virtq_head_outside_the_queue_breaks_it),
        T(virtq_available_index_too_far_ahead_breaks_it),
        T(virtq_nested_indirect_table_breaks_it),
        T(virtq_indirect_with_next_breaks_it),
        T(virtq_indirect_of_odd_length_breaks_it),
        T(virtq_empty_indirect_table_breaks_it),
        T(virtq_indirect_table_outside_memory_breaks_it),
        T(virtq_indirect_that_was_not_negotiated_breaks_it),
        T(virtq_readable_after_writable_breaks_it),
        T(virtq_empty_buffer_breaks_it),
        T(virtq_buffers_outside_memory_break_it),
        T(virtq_chain_of_more_than_a_gigabyte_breaks_it),
        T(virtq_more_in_flight_than_entries_breaks_it),
        T(virtq_refuses_rings_that_are_not_legal),
        T(virtq_pushed_chains_are_shown_all_at_once),
        T(virtq_unpopped_chains_come_again),
        T(virtq_interrupts_when_used_event_is_passed),
        T(virtq_without_event_idx_obeys_the_flag),
        T(virtq_rearm_asks_for_the_next_chain_and_sees_a_late_one),
        T(virtq_without_event_idx_hushes_by_the_flag),
        T(virtq_restart_forgets_everything),
        T(virtq_copies_across_buffers_and_says_what_it_changed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
