/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a thread can still do behind its filter (core/sandbox.h). Filters stay for life: each runs in a process of
 * its own.
 */
#include "core/sandbox.h"

#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PIECES = 4000, PIECE_BYTES = 1000 };

static void (*filter)(void); /* of the child's thread */

/* A second thread: its arena grows by mprotect, where the first one's does by brk. */
static void *allocates(void *arg)
{
    static void *volatile piece[PIECES];

    (void)arg;
    filter();
    for (unsigned i = 0; i < PIECES; i++)
        if (!(piece[i] = malloc(PIECE_BYTES)))
            _exit(1);
    _exit(mallinfo2().hblks ? 2 : 0); /* blocks that are mappings of their own */
}

static void *makes_code(void *arg)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)arg;
    if (page == MAP_FAILED)
        _exit(1);
    filter();
    _exit(mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0 ? 3 : 0);
}

static void soft_vcpu(void)
{
    sandbox_vcpu_thread("soft", NULL, 0);
}

static int in_a_child(void *(*thread)(void *))
{
    pid_t child = fork();
    pthread_t t;
    int status;

    if (child == 0) {
        pthread_create(&t, NULL, thread, NULL);
        pthread_join(t, NULL);
        _exit(4);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void memory_grows_behind_the_filters_but_never_becomes_code(void **state)
{
    static void (*const filters[])(void) = {sandbox_io_thread, sandbox_net_thread, sandbox_governor_thread,
                                            sandbox_idle_thread, soft_vcpu};

    (void)state;
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        filter = filters[i];
        assert_int_equal(in_a_child(allocates), 0);
        assert_int_equal(in_a_child(makes_code), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_grows_behind_the_filters_but_never_becomes_code),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
