/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sched_place: see sched_place.h.
 */
#include "core/sched_place.h"

static int free_cpu(const struct sched_place *p, const cpu_set_t *taken)
{
    if (CPU_ISSET(p->at, p->may) && !CPU_ISSET(p->at, taken))
        return p->at;
    for (int c = 0; c < CPU_SETSIZE; c++)
        if (CPU_ISSET(c, p->may) && !CPU_ISSET(c, taken))
            return c;
    return -1;
}

void sched_place(struct sched_place *p, unsigned n)
{
    cpu_set_t taken;

    CPU_ZERO(&taken);
    for (unsigned i = 0; i < n; i++) {
        bool stays = p[i].at >= 0 && p[i].there && !CPU_ISSET(p[i].at, &taken);

        p[i].to = -1;
        if (stays)
            CPU_SET(p[i].at, &taken);
        else if (p[i].at >= 0)
            p[i].to = p[i].at;
    }
    for (unsigned i = 0; i < n; i++) {
        if (p[i].to < 0)
            continue;
        p[i].to = free_cpu(&p[i], &taken);
        if (p[i].to >= 0)
            CPU_SET(p[i].to, &taken);
    }
}
