/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * netlimits: see netlimits.h.
 */
#include "core/netlimits.h"

#include "core/text.h"
#include "core/units.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DELAY_MAX_S = 10 };

/* `10M`, `1.5G`, `800k`, `64000`, each with or without `bit`: bits per second, powers of 1000. */
static int parse_rate(const char *s, uint64_t *bits, struct err *e)
{
    static const struct {
        const char *unit;
        double mul;
    } units[] = {{"", 1}, {"k", 1e3}, {"K", 1e3}, {"M", 1e6}, {"m", 1e6}, {"G", 1e9}, {"g", 1e9}};
    char *end, unit[8];
    double v;

    if (strcmp(s, "none") == 0 || strcmp(s, "0") == 0) {
        *bits = 0;
        return 0;
    }
    v = strtod(s, &end);
    snprintf(unit, sizeof unit, "%s", end);
    if (strlen(unit) > 3 && strcmp(unit + strlen(unit) - 3, "bit") == 0)
        unit[strlen(unit) - 3] = '\0';
    else if (strcmp(unit, "bit") == 0)
        unit[0] = '\0';
    for (unsigned i = 0; i < sizeof units / sizeof *units && end != s; i++) {
        if (strcmp(unit, units[i].unit) == 0 && v * units[i].mul >= 8000 && v * units[i].mul <= 1e12) {
            *bits = (uint64_t)(v * units[i].mul);
            return 0;
        }
    }
    return err_set(e, EINVAL, "`%s` is not a rate: write bits per second as `10M`, from `8k` to `1000G`, or `none`",
                   text_show((char[40]){0}, 40, s));
}

/* `5%`, `0.1`: percent of the frames. */
static int parse_loss(const char *s, uint32_t *ppm, struct err *e)
{
    char *end;
    double v = strtod(s, &end);

    if (strcmp(s, "none") == 0) {
        *ppm = 0;
        return 0;
    }
    if (end == s || (*end && strcmp(end, "%") != 0) || !(v >= 0 && v <= 100))
        return err_set(e, EINVAL, "`%s` is not a loss: write percent of the frames as `2.5`, 0 to 100",
                       text_show((char[40]){0}, 40, s));
    *ppm = (uint32_t)(v * 10000 + 0.5);
    return 0;
}

static int parse_delay(const char *s, uint64_t *ns, struct err *e)
{
    if (strcmp(s, "none") == 0) {
        *ns = 0;
        return 0;
    }
    if (units_duration(s, ns, e) < 0)
        return -EINVAL;
    if (*ns > DELAY_MAX_S * 1000000000ull)
        return err_set(e, EINVAL, "a delay is at most %d s", DELAY_MAX_S);
    return 0;
}

const char *link_limits_text(char out[96], const struct link_limits *l)
{
    double rate = (double)l->rate_bits;
    const char *unit = rate >= 1e9 ? "G" : rate >= 1e6 ? "M" : "k";
    char text[32] = "none";

    if (l->rate_bits)
        snprintf(text, sizeof text, "%.10g%sbit", rate / (rate >= 1e9 ? 1e9 : rate >= 1e6 ? 1e6 : 1e3), unit);
    snprintf(out, 96, "rate=%s delay=%gms loss=%g%%", text, (double)l->delay_ns / 1e6, l->loss_ppm / 1e4);
    return out;
}

int link_limits_set(struct link_limits *l, const char *key, const char *value, struct err *e)
{
    if (strcmp(key, "rate") == 0)
        return parse_rate(value, &l->rate_bits, e);
    if (strcmp(key, "delay") == 0)
        return parse_delay(value, &l->delay_ns, e);
    if (strcmp(key, "loss") == 0)
        return parse_loss(value, &l->loss_ppm, e);
    return -ENOENT;
}
