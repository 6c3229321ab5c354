/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Guest memory: the gate from guest addresses to host memory, above all at its edges.
 */
#include "core/mem.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static struct gmem *mem(uint64_t bytes)
{
    struct err e = {0};
    struct gmem *m = gmem_new("test", bytes, &e);

    assert_non_null(m);
    return m;
}

static void sizes_out_of_range_are_refused_with_a_sentence(void **state)
{
    static const uint64_t size[] = {0, 1, MIB - 1, 64 * GIB + 1, UINT64_MAX};

    (void)state;
    for (unsigned i = 0; i < sizeof size / sizeof *size; i++) {
        struct err e = {0};

        assert_null(gmem_new("test", size[i], &e));
        assert_int_equal(e.code, EINVAL);
        assert_non_null(strstr(e.msg, "memory"));
    }
    gmem_free(NULL);
}

static void an_odd_size_is_rounded_up_to_a_page(void **state)
{
    struct gmem *m = mem(MIB + 1);

    (void)state;
    assert_int_equal(gmem_size_bytes(m), MIB + 4096);
    assert_non_null(gmem_ptr(m, MIB + 4095, 1));
    assert_null(gmem_ptr(m, MIB + 4096, 1));
    gmem_free(m);
}

static void memory_begins_as_zeroes(void **state)
{
    struct gmem *m = mem(MIB);
    const uint8_t *p = gmem_ptr(m, 0, MIB);

    (void)state;
    for (uint64_t i = 0; i < MIB; i++)
        assert_int_equal(p[i], 0);
    gmem_free(m);
}

static void the_gate_lets_nothing_past_the_end(void **state)
{
    static const struct { uint64_t gpa, len; bool ok;
    } row[] = {
        {0, 1, true},           {0, MIB, true},
        {0, MIB + 1, false},    {MIB - 1, 1, true},
        {MIB - 1, 2, false},    {MIB, 1, false},
        {0, 0, false},          {MIB, 0, false},
        {1, UINT64_MAX, false}, {UINT64_MAX, 1, false},
        {UINT64_MAX, 2, false}, {UINT64_MAX - MIB, 2 * MIB, false},
        {0, UINT64_MAX, false}, {1ull << 63, 1ull << 63, false},
        {4 * GIB, 1, false},    {4 * GIB - 1, 2, false},
    };
    struct gmem *m = mem(MIB);

    (void)state;
    for (unsigned i = 0; i < sizeof row / sizeof *row; i++)
        assert_int_equal(gmem_ptr(m, row[i].gpa, row[i].len) != NULL, row[i].ok);
    gmem_free(m);
}

static void memory_above_3_gib_continues_at_4_gib(void **state)
{
    struct gmem *m = mem(5 * GIB);
    struct gmem_region r[2];

    (void)state;
    assert_int_equal(gmem_regions(m, r), 2);
    assert_int_equal(r[0].gpa, 0);
    assert_int_equal(r[0].size_bytes, GMEM_HOLE_START);
    assert_int_equal(r[1].gpa, GMEM_HIGH_START);
    assert_int_equal(r[1].size_bytes, 5 * GIB - GMEM_HOLE_START);
    assert_non_null(gmem_ptr(m, GMEM_HOLE_START - 1, 1));
    assert_null(gmem_ptr(m, GMEM_HOLE_START - 1, 2)); /* not across the hole */
    assert_null(gmem_ptr(m, GMEM_HOLE_START, 1));
    assert_null(gmem_ptr(m, GMEM_HIGH_START - 1, 1));
    assert_null(gmem_ptr(m, GMEM_HIGH_START - 1, 2));
    assert_ptr_equal(gmem_ptr(m, GMEM_HIGH_START, 1), r[1].host);
    assert_non_null(gmem_ptr(m, GMEM_HIGH_START + 2 * GIB - 1, 1));
    assert_null(gmem_ptr(m, GMEM_HIGH_START + 2 * GIB, 1));
    assert_null(gmem_ptr(m, GMEM_HIGH_START + 2 * GIB - 1, 2));
    gmem_free(m);
}

static void exactly_3_gib_is_one_region(void **state)
{
    struct gmem *m = mem(GMEM_HOLE_START);
    struct gmem_region r[2];

    (void)state;
    assert_int_equal(gmem_regions(m, r), 1);
    assert_null(gmem_ptr(m, GMEM_HIGH_START, 1));
    gmem_free(m);
}

static void copies_are_whole_or_not_at_all(void **state)
{
    struct gmem *m = mem(MIB);
    char buf[8] = "before.";

    (void)state;
    assert_int_equal(gmem_write(m, MIB - 4, "12345678", 8), -EFAULT);
    assert_int_equal(gmem_read(m, MIB - 4, buf, 8), -EFAULT);
    assert_string_equal(buf, "before.");
    assert_int_equal(gmem_write(m, MIB - 8, "1234567", 8), 0);
    assert_int_equal(gmem_read(m, MIB - 8, buf, 8), 0);
    assert_string_equal(buf, "1234567");
    assert_int_equal(gmem_read(m, UINT64_MAX, buf, 0), 0);
    assert_int_equal(gmem_write(m, UINT64_MAX, buf, 0), 0);
    gmem_free(m);
}

struct dirt {
    uint64_t gpa, len;
    unsigned calls;
};

static void note_dirt(void *arg, uint64_t gpa, uint64_t len)
{
    struct dirt *d = arg;

    *d = (struct dirt){.gpa = gpa, .len = len, .calls = d->calls + 1};
}

static void the_dirty_hook_hears_of_writes_and_discards(void **state)
{
    struct gmem *m = mem(MIB);
    struct dirt d = {0};

    (void)state;
    gmem_set_dirty_hook(m, note_dirt, &d);
    assert_int_equal(gmem_write(m, 0x1234, "abc", 3), 0);
    assert_int_equal(d.gpa, 0x1234);
    assert_int_equal(d.len, 3);
    assert_int_equal(gmem_write(m, MIB, "abc", 3), -EFAULT);
    assert_int_equal(d.calls, 1);
    assert_int_equal(gmem_discard(m, 0x2000, 0x3000), 0);
    assert_int_equal(d.calls, 2);
    assert_int_equal(d.gpa, 0x2000);
    assert_int_equal(d.len, 0x3000);
    gmem_clear(m);
    assert_int_equal(d.calls, 3);
    assert_int_equal(d.gpa, 0);
    assert_int_equal(d.len, MIB);
    gmem_free(m);
}

static void discarding_zeroes_whole_pages_inside_the_range_only(void **state)
{
    struct gmem *m = mem(MIB);
    uint8_t *p = gmem_ptr(m, 0, MIB);

    (void)state;
    memset(p, 0xaa, MIB);
    assert_int_equal(gmem_discard(m, 0x1001, 0x2fff), 0); /* pages 2 and 3 */
    assert_int_equal(p[0x1fff], 0xaa);
    assert_int_equal(p[0x2000], 0);
    assert_int_equal(p[0x3fff], 0);
    assert_int_equal(p[0x4000], 0xaa);
    assert_int_equal(gmem_discard(m, 0x5001, 0xffe), 0); /* no whole page */
    assert_int_equal(p[0x5800], 0xaa);
    assert_int_equal(gmem_discard(m, MIB - 0x1000, 0x2000), -EFAULT);
    assert_int_equal(p[MIB - 1], 0xaa);
    assert_int_equal(gmem_discard(m, UINT64_MAX - 10, 5), -EFAULT);
    assert_int_equal(gmem_discard(m, 0x1000, UINT64_MAX), -EFAULT);
    gmem_free(m);
}

static void resident_memory_is_what_was_touched(void **state)
{
    struct gmem *m = mem(64 * MIB);
    uint64_t before = gmem_resident_bytes(m);
    uint8_t *p = gmem_ptr(m, 0, 64 * MIB);

    (void)state;
    assert_true(before <= 2 * MIB);
    for (uint64_t i = 0; i < 16 * MIB; i += 4096)
        p[i] = 1;
    assert_in_range(gmem_resident_bytes(m) >> 20, 16, 20);
    assert_int_equal(gmem_discard(m, 0, 16 * MIB), 0);
    assert_true(gmem_resident_bytes(m) <= 4 * MIB);
    memset(p, 1, 8 * MIB);
    gmem_clear(m);
    assert_int_equal(gmem_resident_bytes(m), 0);
    assert_int_equal(p[4096], 0);
    gmem_free(m);
}

static void the_crash_handler_can_tell_whose_memory_it_was(void **state)
{
    struct gmem *a = mem(MIB), *b = mem(MIB);
    const uint8_t *p = gmem_ptr(a, 0, MIB);

    (void)state;
    assert_true(gmem_owns(a, p));
    assert_true(gmem_owns(a, p + MIB - 1));
    assert_true(gmem_owns(a, p - 1)); /* guards belong to it */
    assert_true(gmem_owns(a, p - MIB));
    assert_true(gmem_owns(a, p + MIB));
    assert_true(gmem_owns(a, p + 2 * MIB - 1));
    assert_false(gmem_owns(b, p));
    assert_false(gmem_owns(a, &a));
    gmem_free(a);
    gmem_free(b);
}

/* In a child: reads one byte at `off` from guest memory's start. */
static bool faults_at(struct gmem *m, int64_t off)
{
    int status;
    pid_t pid;

    /* the mapping itself is not inherited, so the child makes its own */
    (void)m;
    pid = fork();
    if (pid == 0) {
        struct gmem *mine = gmem_new("child", MIB, NULL);
        volatile const uint8_t *p = mine ? gmem_ptr(mine, 0, MIB) : NULL;

        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        if (p)
            (void)p[off];
        _exit(0);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status);
}

static void a_mebibyte_on_both_sides_is_guarded(void **state)
{
    static const int64_t guarded[] = {-1, -(int64_t)MIB, MIB, 2 * MIB - 1};
    struct gmem *m = mem(MIB);

    (void)state;
    for (unsigned i = 0; i < sizeof guarded / sizeof *guarded; i++)
        assert_true(faults_at(m, guarded[i]));
    assert_false(faults_at(m, 0));
    assert_false(faults_at(m, MIB - 1));
    gmem_free(m);
}

static void guest_memory_is_not_dumped_and_not_inherited(void **state)
{
    struct gmem *m = mem(4 * MIB);
    unsigned long host = (unsigned long)gmem_ptr(m, 0, 1), from, to;
    FILE *f = fopen("/proc/self/smaps", "r");
    bool mine = false, dd = false, dc = false;
    char line[512];

    (void)state;
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2 && !strstr(line, ":  "))
            mine = host >= from && host < to;
        if (mine && strncmp(line, "VmFlags:", 8) == 0) {
            dd = strstr(line, " dd") != NULL;
            dc = strstr(line, " dc") != NULL;
        }
    }
    fclose(f);
    assert_true(dd && dc);
    gmem_free(m);
}

static void memory_that_may_be_merged_tells_what_is_and_other_memory_shares_nothing(void **state)
{
    struct gmem *m = gmem_new("test", 4 * MIB, NULL);
    uint64_t shared;

    (void)state;
    assert_int_equal(gmem_shared_bytes(m), 0);
    if (gmem_merge(m) == 0) {
        memset(gmem_ptr(m, 0, MIB), 0x5a, MIB);
        shared = gmem_shared_bytes(m);
        assert_true(shared == UINT64_MAX || shared <= MIB);
        assert_int_equal(gmem_resident_bytes(m), MIB); /* by small pages */
    }
    gmem_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_that_may_be_merged_tells_what_is_and_other_memory_shares_nothing),
        cmocka_unit_test(sizes_out_of_range_are_refused_with_a_sentence),
        cmocka_unit_test(an_odd_size_is_rounded_up_to_a_page),
        cmocka_unit_test(memory_begins_as_zeroes),
        cmocka_unit_test(the_gate_lets_nothing_past_the_end),
        cmocka_unit_test(memory_above_3_gib_continues_at_4_gib),
        cmocka_unit_test(exactly_3_gib_is_one_region),
        cmocka_unit_test(copies_are_whole_or_not_at_all),
        cmocka_unit_test(the_dirty_hook_hears_of_writes_and_discards),
        cmocka_unit_test(discarding_zeroes_whole_pages_inside_the_range_only),
        cmocka_unit_test(resident_memory_is_what_was_touched),
        cmocka_unit_test(the_crash_handler_can_tell_whose_memory_it_was),
        cmocka_unit_test(a_mebibyte_on_both_sides_is_guarded),
        cmocka_unit_test(guest_memory_is_not_dumped_and_not_inherited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
