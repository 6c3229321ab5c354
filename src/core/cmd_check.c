/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd_check: `check VM FIGURE MIN..MAX`, what `expect` is for consoles, for figures of the host.
 */
#include "core/cmd_internal.h"

#include "core/suggest.h"
#include "core/units.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum figure { FIG_GOT, FIG_ENTITLED, FIG_PART, FIG_RESIDENT, FIG_BALLOON, FIG_LEDGER }; /* then the ledger's states */

struct check {
    unsigned figure;
    double min, max;
    struct vm_stats st;
};

static const char *const names[] = {[FIG_GOT] = "got", [FIG_ENTITLED] = "entitled", [FIG_PART] = "part",
                                    [FIG_RESIDENT] = "resident", [FIG_BALLOON] = "balloon"};

static const char *figure_name(unsigned f)
{
    return f < FIG_LEDGER ? names[f] : ledger_state_name((enum ledger_state)(f - FIG_LEDGER));
}

/* CPU that all guests together used in the last interval. */
static double all_got(struct session *s, struct vm_stats *st)
{
    double sum = 0;

    for (struct guest *g = session_guests(s); g; g = g->next) {
        vm_stats(g->vm, st, session_interval_ns(s) * 3 / 2);
        sum += st->cpu;
    }
    return sum;
}

/* In percent; NAN: not known. */
static double measure(struct session *s, struct guest *g, struct check *c)
{
    double all = c->figure == FIG_PART ? all_got(s, &c->st) : 1, sum = 0;
    struct sched_info i;

    vm_stats(g->vm, &c->st, session_interval_ns(s) * 3 / 2);
    session_sched(s, g, &c->st, &i);
    if (c->figure == FIG_RESIDENT)
        return (double)c->st.memory_resident_bytes / (double)g->c->memory_bytes * 100;
    if (c->figure == FIG_BALLOON)
        return c->st.balloon ? (double)c->st.balloon_stats.actual_bytes / (double)g->c->memory_bytes * 100 : NAN;
    if (c->figure == FIG_ENTITLED)
        return i.entitlement * 100;
    if (c->figure < FIG_LEDGER)
        return all > 0 ? i.got / all * 100 : NAN;
    for (unsigned k = 0; k < c->st.vcpus; k++)
        sum += c->st.vcpu[k].ledger[c->figure - FIG_LEDGER];
    return sum / c->st.vcpus * 100;
}

static void poll_check(struct cmd_run *r)
{
    struct check *c = r->state;
    struct guest *g = r->targets.t[0].g;
    double have = measure(r->session, g, c);

    if (have >= c->min && have <= c->max) {
        cmd_note(r, "%s: %s is %.1f%%", g->c->name, figure_name(c->figure), have);
        cmd_done(r, CMD_DONE);
    } else if (r->timed_out) {
        cmd_fail(r, "%s: %s is %.1f%%, not between %g and %g", g->c->name, figure_name(c->figure), have, c->min,
                 c->max);
    }
}

static bool parse_figure(struct cmd_run *r, const char *word, unsigned *figure)
{
    struct suggest near = suggest_begin(word);
    char hint[80], show[40];

    for (unsigned f = 0; f < FIG_LEDGER + LEDGER_STATES; f++) {
        suggest_offer(&near, figure_name(f));
        *figure = f;
        if (strcmp(word, figure_name(f)) == 0)
            return true;
    }
    cmd_fail(r, "there is no figure `%s`%s", text_show(show, sizeof show, word),
                    suggest_text(&near, hint, sizeof hint));
    return false;
}

/* "73..77" */
static bool parse_range(const char *word, double *min, double *max)
{
    const char *dots = strstr(word, "..");
    char *end;

    if (!dots || dots == word)
        return false;
    *min = strtod(word, &end);
    if (end == word || (end != dots && end != dots + 1)) /* "73." takes one of the dots */
        return false;
    *max = strtod(dots + 2, &end);
    return end != dots + 2 && *end == '\0' && *min <= *max;
}

void exec_check(struct cmd_run *r)
{
    struct check *c = cmd_state(r, sizeof *c, NULL);
    uint64_t timeout = 10000000000;
    struct err e;

    if (!c || !parse_figure(r, r->p.arg[1], &c->figure))
        return;
    if (!parse_range(r->p.arg[2], &c->min, &c->max)) {
        cmd_fail(r, "write the percents as `73..77`");
        return;
    }
    if (r->p.arg[3] && units_duration(r->p.arg[3], &timeout, &e) < 0) {
        cmd_fail(r, "%s", e.msg);
        return;
    }
    cmd_wait(r, poll_check, timeout);
}
