/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Kicks: how long a pause takes out of guest code and out of HLT (P4), and that no request is
 * lost however they come (T19). A paused guest makes no progress, a resumed one does: spin keeps
 * a counter at a fixed address.
 */
#include "rig.h"

enum { PAUSES = 100, P99 = PAUSES * 99 / 100 - 1, STORM = 240, PROGRESS_DONE = 0x100000 + 4096 };

#define LIMIT_MS 200.0
#define WATCHDOG_S 20

static uint64_t progress(struct rguest *g)
{
    uint64_t done = 0;

    return vm_mem_read(g->vm, PROGRESS_DONE, &done, sizeof done, NULL) == 0 ? done : 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* One pause and resume; the time from asking to being paused in ms, or -1. */
static double pause_ms(struct rguest *g)
{
    uint64_t begin = clock_mono_ns();

    if (!rig_ask(g, vm_pause, VM_PAUSED))
        return -1;
    return (double)(clock_mono_ns() - begin) / 1e6;
}

static void pauses(struct rguest *g, const char *what, bool spins)
{
    unsigned moved_in_pause = 0, stuck = 0;
    double ms[PAUSES];
    uint64_t before, last = 0;
    char name[100];

    for (int i = 0; i < PAUSES; i++) {
        ms[i] = pause_ms(g);
        if (ms[i] < 0 || (spins && (before = progress(g)) == 0)) {
            snprintf(name, sizeof name, "%s_can_be_paused_%d_times", what, PAUSES);
            rig_case(false, name, "pause %d failed", i);
            return;
        }
        if (spins) {
            stuck += i > 0 && before == last;
            moved_in_pause += progress(g) != before;
            last = before;
        }
        rig_ask(g, vm_resume, VM_RUNNING);
        rig_wait(spins ? 0.01 : 0);
    }
    qsort(ms, PAUSES, sizeof ms[0], by_value);
    snprintf(name, sizeof name, "%s_is_paused_in_time", what);
    rig_case(ms[P99] <= LIMIT_MS, name, "%d pauses: median %.2f ms, p99 %.2f ms, most %.2f ms", PAUSES,
             ms[PAUSES / 2], ms[P99], ms[PAUSES - 1]);
    if (!spins)
        return;
    rig_case(moved_in_pause == 0, "paused_guest_makes_no_progress", "%u of %d moved", moved_in_pause, PAUSES);
    /* on a busy host a guest may get nothing for 10 ms, but not mostly */
    rig_case(stuck <= PAUSES / 4, "resumed_guest_makes_progress", "%u of %d did not in 10 ms", stuck, PAUSES);
}

/* --- a storm of requests ---------------------------------------------------------- */

static unsigned next(void)
{
    static uint32_t x = 12345;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return x;
}

/* Asks without waiting; what is refused in this state is as good. */
static void ask_something(struct rguest *g)
{
    static int (*const what[])(struct vm *, struct err *) = {
        vm_pause, vm_resume, vm_pause, vm_resume, vm_pause, vm_resume, vm_reset, vm_stop, vm_start, vm_shutdown,
    };

    what[next() % (sizeof what / sizeof what[0])](g->vm, NULL);
    if (next() % 4 == 0)
        rig_send(g, "name");
}

static void storm(struct rguest **g, unsigned n)
{
    uint64_t begin = clock_mono_ns(), longest = 0, asked;
    unsigned lost = 0;

    for (int i = 0; i < STORM && !lost; i++) {
        struct rguest *one = g[next() % n];

        ask_something(one);
        rig_wait((double)(next() % 8) / 1000);
        if (next() % 3)
            continue; /* leave it busy and go on with another */
        asked = clock_mono_ns();
        lost += !UNTIL(WATCHDOG_S, !vm_busy(one->vm));
        asked = clock_mono_ns() - asked;
        longest = asked > longest ? asked : longest;
    }
    for (unsigned i = 0; i < n; i++)
        lost += !UNTIL(WATCHDOG_S, !vm_busy(g[i]->vm));
    rig_case(!lost, "no_request_is_lost_in_a_storm", "%d requests in %.1f s, the longest took %.0f ms", STORM,
             (double)(clock_mono_ns() - begin) / 1e9, (double)longest / 1e6);
}

static bool answers(struct rguest *g)
{
    if (vm_state(g->vm) == VM_PAUSED && !rig_ask(g, vm_resume, VM_RUNNING))
        return false;
    if (rig_over(g) && !rig_start(g))
        return false;
    UNTIL(30, !vm_busy(g->vm));
    return rig_do(g, "\003", "> $", 60) && rig_do(g, "echo still here", "^still here", 30);
}

int main(void)
{
    struct rguest *g[4], *spin;

    rig_begin();
    spin = rig_guest("spin", "spin", "quiet");
    g[0] = rig_guest("hello", "hello", NULL);
    g[1] = rig_guest("user", "hello", NULL);
    g[1]->c.irqchip_user = true;
    g[2] = rig_guest("two", "hello", "cmd=smp");
    g[2]->c.vcpus = 2;
    if (!rig_check(rig_start(spin) && rig_expect(spin, "spin: ready", 60), "spin_starts"))
        return rig_end();
    pauses(spin, "spinning_guest", true);
    rig_ask(spin, vm_stop, VM_STOPPED);
    for (int i = 0; i < 3; i++)
        if (!rig_check(rig_start(g[i]) && rig_hello_up(g[i]), "hello_starts"))
            return rig_end();
    pauses(g[0], "halted_guest", false);
    pauses(g[1], "halted_guest_with_user_irqchip", false);
    rig_start(spin);
    storm(g, 3);
    for (int i = 0; i < 3; i++)
        rig_check(answers(g[i]), "guest_answers_after_the_storm");
    return rig_end();
}
