/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * field: see field.h.
 */
#include "ui/field.h"

#include "core/units.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char unknown[] = "–";

static void number(char out[FIELD_TEXT], const char *fmt, double v)
{
    if (isnan(v))
        snprintf(out, FIELD_TEXT, "%s", unknown);
    else
        snprintf(out, FIELD_TEXT, fmt, v);
}

static void count(char out[FIELD_TEXT], double v)
{
    char n[UNITS_TEXT];

    snprintf(out, FIELD_TEXT, "%s", isnan(v) ? unknown : units_fmt_count(n, v));
}

/* Percents keep their decimal up to 99.9. */
static void percent(char out[FIELD_TEXT], double v)
{
    number(out, v < 9.995 ? "%.1f" : "%.0f", v * 100);
}

static void name_text(const struct row *r, char out[FIELD_TEXT])
{
    snprintf(out, FIELD_TEXT, "%s", r->name);
}

static void state_text(const struct row *r, char out[FIELD_TEXT])
{
    snprintf(out, FIELD_TEXT, "%s", r->word);
}

static void group_text(const struct row *r, char out[FIELD_TEXT])
{
    snprintf(out, FIELD_TEXT, "%s", r->group);
}

static void vcpus_text(const struct row *r, char out[FIELD_TEXT])
{
    snprintf(out, FIELD_TEXT, "%u", r->vcpus);
}

static double vcpus_value(const struct row *r)
{
    return r->vcpus;
}

static void cpu_text(const struct row *r, char out[FIELD_TEXT])
{
    percent(out, r->cpu);
}

static double cpu_value(const struct row *r)
{
    return r->cpu;
}

static void entitled_text(const struct row *r, char out[FIELD_TEXT])
{
    percent(out, r->sched.entitlement);
}

static double entitled_value(const struct row *r)
{
    return r->sched.entitlement;
}

static void why_text(const struct row *r, char out[FIELD_TEXT])
{
    const char *w = r->up ? sched_reason_name(r->sched.reason) : "";

    snprintf(out, FIELD_TEXT, "%s", w ? w : unknown);
}

static void share_text(const struct row *r, char out[FIELD_TEXT])
{
    snprintf(out, FIELD_TEXT, "%u", r->sched.share);
}

static double share_value(const struct row *r)
{
    return r->sched.share;
}

static void cap_text(const struct row *r, char out[FIELD_TEXT])
{
    if (r->sched.cap_pct)
        snprintf(out, FIELD_TEXT, "%u%%", r->sched.cap_pct);
    else
        snprintf(out, FIELD_TEXT, "none");
}

static double cap_value(const struct row *r)
{
    return r->sched.cap_pct;
}

static void mem_text(const struct row *r, char out[FIELD_TEXT])
{
    char a[UNITS_TEXT], b[UNITS_TEXT];

    snprintf(out, FIELD_TEXT, "%s/%s", r->up ? units_fmt_size(a, r->resident) : "-", units_fmt_size(b, r->memory));
}

static double mem_value(const struct row *r)
{
    return (double)r->resident;
}

static void ready_text(const struct row *r, char out[FIELD_TEXT])
{
    percent(out, r->ready);
}

static double ready_value(const struct row *r)
{
    return r->ready;
}

static void mips_text(const struct row *r, char out[FIELD_TEXT])
{
    number(out, "%.0f", r->mips);
}

static double mips_value(const struct row *r)
{
    return r->mips;
}

static void bytes(char out[FIELD_TEXT], double v)
{
    char n[UNITS_TEXT];

    snprintf(out, FIELD_TEXT, "%s", isnan(v) ? unknown : units_fmt_size(n, (uint64_t)v));
}

static double rd_value(const struct row *r)
{
    return r->up ? rates_disks(&r->io, RATE_RD_BYTES) : NAN;
}

static double wr_value(const struct row *r)
{
    return r->up ? rates_disks(&r->io, RATE_WR_BYTES) : NAN;
}

static double rx_value(const struct row *r)
{
    return r->up ? rates_nets(&r->io, RATE_RX_BYTES) : NAN;
}

static double tx_value(const struct row *r)
{
    return r->up ? rates_nets(&r->io, RATE_TX_BYTES) : NAN;
}

static void rd_text(const struct row *r, char out[FIELD_TEXT])
{
    bytes(out, rd_value(r));
}

static void wr_text(const struct row *r, char out[FIELD_TEXT])
{
    bytes(out, wr_value(r));
}

static void rx_text(const struct row *r, char out[FIELD_TEXT])
{
    bytes(out, rx_value(r));
}

static void tx_text(const struct row *r, char out[FIELD_TEXT])
{
    bytes(out, tx_value(r));
}

static void exits_text(const struct row *r, char out[FIELD_TEXT])
{
    count(out, r->exits);
}

static double exits_value(const struct row *r)
{
    return r->exits;
}

static void uptime_text(const struct row *r, char out[FIELD_TEXT])
{
    char n[UNITS_TEXT];

    snprintf(out, FIELD_TEXT, "%s", r->up ? units_fmt_age(n, vm_uptime_ns(r->g->vm)) : "");
}

static double uptime_value(const struct row *r)
{
    return r->up ? (double)vm_uptime_ns(r->g->vm) : 0;
}

static const struct field fields[FIELDS] = {
    [FIELD_NAME] = {"name", "VM", 12, true, false, 0, name_text, NULL, "The guest's name.", "",
                    "the lab file, or `create`"},
    [FIELD_STATE] = {"state", "STATE", 5, true, false, 0, state_text, NULL,
                     "RUN, PAUSE, BOOT (being started), OFF, CRASH (triple fault or engine failure), FAIL (could "
                     "not be started).", "", "its life cycle"},
    [FIELD_VCPUS] = {"vcpus", "vC", 2, false, false, 3, vcpus_text, vcpus_value, "Virtual processors.", "",
                     "the lab file"},
    [FIELD_CPU] = {"cpu", "CPU%", 6, false, false, 0, cpu_text, cpu_value,
                   "Host processor time used: 100 is one host CPU all the time.",
                   "CPU time of its vCPU and I/O threads in the last interval / length of the interval",
                   "CPU clocks of its threads"},
    [FIELD_CPU_GRAPH] = {"cpu.graph", "CPU", 16, true, true, 4, NULL, cpu_value,
                         "CPU% over the last moments, the newest at the right; full height is all its vCPUs busy.",
                         "as CPU%", "one sample each interval, a quarter of an hour kept"},
    [FIELD_CPU_BAR] = {"cpu.bar", "GOT | ENTL", 12, true, true, 17, NULL, cpu_value,
                       "CPU% as a bar, and a mark at ENTL%: the bar ends before the mark when it is short of its part, or wants less.",
                       "full width is all its vCPUs busy", "as CPU% and ENTL%"},
    [FIELD_ENTITLED] = {"entitled", "ENTL%", 6, false, false, 5, entitled_text, entitled_value,
                        "What share, cap and demand say that it should get; compare with CPU%.",
                        "its share / shares of all that want to run, of the lab's CPUs; not more than its cap or demand",
                        "the governor, mean over the last interval"},
    [FIELD_WHY] = {"why", "LIMIT", 6, true, false, 5, why_text, NULL,
                   "What held it at what it got: idle (wanted no more), share (others' shares), cap (its own), host "
                   "(others on the host), paused.", "", "the governor"},
    [FIELD_SHARE] = {"share", "SHARE", 5, false, false, 0, share_text, share_value,
                     "Its weight when guests compete: 200 gets twice what 100 gets. Change it with + and -.", "",
                     "the lab file, `share`"},
    [FIELD_CAP] = {"cap", "CAP", 5, false, false, 14, cap_text, cap_value,
                   "The most it may use, in percent of one host CPU, even if nobody else wants it.", "",
                   "the lab file, `cap`"},
    [FIELD_MEM_BAR] = {"mem.bar", "MEM", 8, true, true, 12, NULL, mem_value,
                       "Memory that it has touched, of what it was given.", "resident / configured",
                       "pages of its memory that the host has mapped"},
    [FIELD_MEM] = {"mem", "used/mem", 11, false, false, 2, mem_text, mem_value,
                   "Memory that it has touched and has not given back / what it was given.", "",
                   "pages of its memory that the host has mapped"},
    [FIELD_READY] = {"ready", "RDY%", 5, false, false, 10, ready_text, ready_value,
                     "Time that its vCPUs wanted a host CPU and did not get one.",
                     "sum of `ready` of its vCPUs / their number", "run-queue delay in /proc/self/task/*/schedstat"},
    [FIELD_MIPS] = {"mips", "MIPS", 5, false, false, 11, mips_text, mips_value,
                    "Guest instructions, million per second. Known on the software CPU only.",
                    "instructions retired in the last interval / its length", "the software CPU's counters"},
    [FIELD_RD] = {"rd", "RD/s", 6, false, false, 6, rd_text, rd_value, "Bytes a second that it reads from its disks.",
                  "bytes of the last interval / its length, all disks", "virtio-blk"},
    [FIELD_WR] = {"wr", "WR/s", 6, false, false, 7, wr_text, wr_value, "Bytes a second that it writes to its disks.",
                  "bytes of the last interval / its length, all disks", "virtio-blk"},
    [FIELD_RX] = {"rx", "RX/s", 6, false, false, 8, rx_text, rx_value, "Bytes a second that it receives on its links.",
                  "bytes of the last interval / its length, all links", "the lab's switches"},
    [FIELD_TX] = {"tx", "TX/s", 6, false, false, 9, tx_text, tx_value, "Bytes a second that it sends on its links.",
                  "bytes of the last interval / its length, all links", "the lab's switches"},
    [FIELD_EXITS] = {"exits", "EXIT/s", 7, false, false, 0, exits_text, exits_value,
                     "How often a second the guest stopped running because this program had to do something for it.",
                     "exits in the last interval / its length", "counted at each exit, by reason"},
    [FIELD_EXIT_GRAPH] = {"exits.graph", "EXITS", 12, true, true, 16, NULL, exits_value,
                          "EXIT/s over the last moments; the scale is the highest of the graph.", "as EXIT/s", ""},
    [FIELD_UPTIME] = {"uptime", "UP", 6, false, false, 13, uptime_text, uptime_value,
                      "Guest time since its start; stands still while it is paused.", "", "its clock"},
    [FIELD_GROUP] = {"group", "GROUP", 8, true, false, 15, group_text, NULL,
                     "Its group: `@group` in a command names all guests of it.", "", "the lab file"},
};

const struct field *field_at(enum field_id f)
{
    return &fields[f < FIELDS ? f : 0];
}

int field_find(const char *key)
{
    for (int i = 0; i < FIELDS; i++)
        if (strcmp(fields[i].key, key) == 0)
            return i;
    return -1;
}

int field_compare(enum field_id id, const struct row *a, const struct row *b)
{
    const struct field *f = field_at(id);
    char ta[FIELD_TEXT], tb[FIELD_TEXT];

    if (f->value) {
        double va = f->value(a), vb = f->value(b);

        va = isnan(va) ? -1 : va;
        vb = isnan(vb) ? -1 : vb;
        return va < vb ? 1 : va > vb ? -1 : 0;
    }
    f->text(a, ta);
    f->text(b, tb);
    return strverscmp(ta, tb);
}

bool row_matches(const struct row *r, const char *filter)
{
    bool not = *filter == '!';

    filter += not;
    if (!*filter)
        return true;
    return (strcasestr(r->name, filter) || strcasestr(r->word, filter) || strcasestr(r->group, filter)) != not;
}
