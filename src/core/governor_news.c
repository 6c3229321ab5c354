/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * governor_news: which halts and wakes are worth a tick of their own (governor_internal.h).
 *
 * A halt is news to who is held; a wake also if another runs that hardly ever halts, and might have to be held for it.
 * Else such ticks would take more from the guests than they give them. Soft guests tell (governor_halts, governor_stir),
 * others are looked at: when their CPU is idle, and while they sleep now and then.
 */
#include "core/governor_internal.h"

#include "core/idle_watch.h"

enum { LOOKS_MAX = 8 };

#define PEEK_DEMAND 0.25 /* who wants less is served well enough by the kernel when it wakes */

/* Others are worth holding for it. */
static bool works(const struct gov_guest *a)
{
    for (unsigned i = 0; i < a->s.ncpus; i++)
        if (a->s.cpu[i].demand >= SCHED_LIGHT && !a->s.cpu[i].brief)
            return true;
    return false;
}

/* Who has halted or woken since the tick looked has told nobody if that was no news yet. Seq_cst pairs with vcpu_halts
 * and vcpu_stirs: either they see that it is news now, or we see what they did. */
static uint32_t missed(const struct gov_guest *a)
{
    uint32_t poke = 0;

    for (unsigned i = 0; i < a->s.ncpus && !a->unseen; i++) {
        enum sched_now now = a->ops->now(a->vm, i);

        if (now == a->s.cpu[i].now)
            continue;
        if (now == NOW_ASLEEP)
            poke |= a->halt_is_news ? POKE_STIR | POKE_FREE : 0;
        else
            poke |= a->wake_is_news ? POKE_STIR : 0;
    }
    return poke;
}

static unsigned busy_vcpus(const struct gov_guest *a)
{
    unsigned n = 0;

    for (unsigned i = 0; i < a->s.ncpus; i++)
        n += a->reading[i].busy && takes_cpu(a, i);
    return n;
}

static bool any_held(const struct gov_guest *a)
{
    for (unsigned i = 0; i < a->s.ncpus; i++)
        if (a->reading[i].told == GOV_HOLD_SHARE)
            return true;
    return false;
}

void governor_find_news(struct governor *g, const struct gov_guest *root)
{
    bool held = false;
    unsigned busy = 0;

    for (struct gov_guest *a = g->guests; a; a = a->next) {
        if (!a->live || a->root != root)
            continue;
        held |= any_held(a);
        busy += busy_vcpus(a);
    }
    for (struct gov_guest *a = g->guests; a; a = a->next) {
        bool counts = g->enforce && root->domain.contended && works(a);
        bool halts = a->halt_is_news, wakes = a->wake_is_news;

        if (!a->live || a->root != root)
            continue;
        a->halt_is_news = counts && held;
        a->wake_is_news = counts && (held || busy > busy_vcpus(a));
        if ((a->halt_is_news && !halts) || (a->wake_is_news && !wakes))
            atomic_fetch_or(&g->poked, missed(a));
    }
}

/* Some vCPU of it was found awake, or asleep, and may be otherwise before the next tick without a word. */
static bool may_change_unseen(const struct gov_guest *a, enum sched_now was)
{
    double least = was == NOW_ASLEEP ? PEEK_DEMAND : SCHED_LIGHT;
    bool any = false;

    if (!a->live || !a->unseen || !(was == NOW_ASLEEP ? a->wake_is_news : a->halt_is_news))
        return false;
    for (unsigned i = 0; i < a->s.ncpus; i++)
        any |= a->s.cpu[i].now == was && !a->reading[i].busy && a->s.cpu[i].demand >= least;
    return any;
}

static bool has_changed(struct gov_guest *a, enum sched_now was)
{
    if (!may_change_unseen(a, was))
        return false;
    for (unsigned i = 0; i < a->s.ncpus; i++)
        if (a->s.cpu[i].now == was && a->ops->now(a->vm, i) != was)
            return true;
    return false;
}

/* Whose halts nobody tells leave a CPU idle, and when they wake they wait for others to be held. */
static void watch(struct governor *g)
{
    g->peeks = false;
    for (struct gov_guest *a = g->guests; a; a = a->next) {
        g->peeks |= may_change_unseen(a, NOW_ASLEEP);
        if (!may_change_unseen(a, NOW_AWAKE))
            continue;
        for (unsigned c = 0; c < g->cpus; c++)
            if (CPU_ISSET(c, &a->cpus))
                idle_watch_arm(g->watch[c]);
    }
}

void governor_watch_unseen(struct governor *g)
{
    g->looks = 0;
    watch(g);
}

bool governor_looks(struct governor *g, enum sched_now was)
{
    bool any = false;

    pthread_mutex_lock(&g->lock);
    for (struct gov_guest *a = g->guests; a; a = a->next)
        any |= has_changed(a, was);
    if (!any && was == NOW_AWAKE && g->looks++ < LOOKS_MAX) /* not for ever: the CPU may be idle for another reason */
        watch(g);
    pthread_mutex_unlock(&g->lock);
    return any;
}
