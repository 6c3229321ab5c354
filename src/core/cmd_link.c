/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd_link: what a guest's network link is like: rate, delay, loss, up or down, capture.
 */
#include "core/cmd_internal.h"

#include "core/netswitch.h"
#include "core/suggest.h"
#include "core/units.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPTURE_BYTES (256ull << 20) /* of one file */

enum { DELAY_MAX_S = 10 };

/* What a command asks for; `has_...`: it was said. */
struct change {
    struct link_limits limits;
    bool has_limits, has_up, up, has_capture;
    const char *capture; /* NULL: off */
};

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

static int parse_word(const char *w, struct change *c, struct err *e)
{
    if (strcmp(w, "up") == 0 || strcmp(w, "down") == 0) {
        c->has_up = true;
        c->up = w[0] == 'u';
        return 0;
    }
    if (strncmp(w, "capture=", 8) == 0 && w[8]) {
        c->has_capture = true;
        c->capture = strcmp(w + 8, "off") == 0 ? NULL : w + 8;
        return 0;
    }
    c->has_limits = true;
    if (strncmp(w, "rate=", 5) == 0)
        return parse_rate(w + 5, &c->limits.rate_bits, e);
    if (strncmp(w, "delay=", 6) == 0)
        return parse_delay(w + 6, &c->limits.delay_ns, e);
    if (strncmp(w, "loss=", 5) == 0)
        return parse_loss(w + 5, &c->limits.loss_ppm, e);
    return err_set(e, EINVAL, "`%s` is none of up, down, rate=, delay=, loss=, capture=",
                   text_show((char[40]){0}, 40, w));
}

/* `web.eth0`, `web.lan`, or `web` if it has one link only. */
static struct netport *find_link(struct cmd_run *r, const char *text, struct guest **guest, char name[80],
                                 struct err *e)
{
    const char *dot = strrchr(text, '.');
    char who[VM_NAME_MAX + 1], show[80];
    struct net_stats st;

    snprintf(who, sizeof who, "%.*s", dot ? (int)(dot - text) : VM_NAME_MAX, text);
    *guest = session_guest(r->session, who);
    if (!*guest) {
        err_set(e, ENOENT, "there is no guest `%s`: name a link as GUEST.eth0", text_show(show, sizeof show, who));
        return NULL;
    }
    for (unsigned i = 0; i < (*guest)->c->nnics; i++) {
        struct netport *p = vm_link((*guest)->vm, i);

        if (!p || (!dot && (*guest)->c->nnics > 1))
            continue;
        netport_stats(p, &st);
        if (dot && strcmp(dot + 1, st.name) != 0 && strcmp(dot + 1, st.network) != 0)
            continue;
        snprintf(name, 80, "%s.%s", who, st.name);
        return p;
    }
    if ((*guest)->c->nnics == 0)
        err_set(e, ENOENT, "%s has no network link: give it one with `nets:` in the lab file", who);
    else if (!dot)
        err_set(e, ENOENT, "%s has %u links: name one as %s.eth0", who, (*guest)->c->nnics, who);
    else
        err_set(e, ENOENT, "%s has no link `%s`: it has %u, the first is eth0, see `info %s`", who,
                text_show(show, sizeof show, dot + 1), (*guest)->c->nnics, who);
    return NULL;
}

/* "rate=10Mbit delay=5ms loss=1%", as the command takes it. */
static const char *limits_text(char out[96], const struct link_limits *l)
{
    double rate = (double)l->rate_bits;
    const char *unit = rate >= 1e9 ? "G" : rate >= 1e6 ? "M" : "k";
    char text[32] = "none";

    if (l->rate_bits)
        snprintf(text, sizeof text, "%.10g%sbit", rate / (rate >= 1e9 ? 1e9 : rate >= 1e6 ? 1e6 : 1e3), unit);
    snprintf(out, 96, "rate=%s delay=%gms loss=%g%%", text, (double)l->delay_ns / 1e6, l->loss_ppm / 1e4);
    return out;
}

static int apply(struct cmd_run *r, struct netport *p, struct guest *g, const char *name, const struct change *c,
                 struct err *e)
{
    struct undo *u = cmd_undo(r);
    struct link_limits old;
    char text[96];

    netport_get_limits(p, &old);
    if (c->has_capture && netport_capture(p, c->capture, CAPTURE_BYTES, e) < 0)
        return -EIO;
    undo_begin(u, r->line);
    if (c->has_capture) {
        if (c->capture)
            undo_step(u, "link %s capture=off", name);
        session_event(r->session, EV_CONFIG, g, c->capture ? "%s is captured" : "%s is not captured any more",
                      strrchr(name, '.') + 1);
    }
    if (c->has_up && c->up != netport_up(p)) {
        undo_step(u, "link %s %s", name, c->up ? "down" : "up");
        netport_set_up(p, c->up);
        session_event(r->session, EV_CONFIG, g, "%s is %s", strrchr(name, '.') + 1, c->up ? "up" : "down");
    }
    if (c->has_limits) {
        undo_step(u, "link %s %s", name, limits_text(text, &old));
        netport_set_limits(p, &c->limits);
        session_event(r->session, EV_CONFIG, g, "%s has %s", strrchr(name, '.') + 1, limits_text(text, &c->limits));
    }
    return 0;
}

static void show(struct cmd_run *r, struct netport *p, const char *name)
{
    struct net_stats st;
    struct link_limits l;
    char text[96];

    netport_stats(p, &st);
    netport_get_limits(p, &l);
    cmd_printf(r, "%s: network %s, %s, %s%s\n", name, st.network, st.up ? "up" : "down", limits_text(text, &l),
               st.capturing ? ", captured" : "");
}

void exec_link(struct cmd_run *r)
{
    struct change c = {0};
    struct guest *g;
    struct netport *p;
    char name[80];
    struct err e;

    p = find_link(r, r->p.arg[0], &g, name, &e);
    if (!p) {
        cmd_fail(r, "%s", e.msg);
        return;
    }
    netport_get_limits(p, &c.limits);
    for (unsigned i = 0; i < r->p.nrest; i++) {
        if (parse_word(r->p.rest[i], &c, &e) < 0) {
            cmd_fail(r, "%s", e.msg);
            return;
        }
    }
    if (r->p.nrest == 0)
        show(r, p, name);
    else if (apply(r, p, g, name, &c, &e) < 0) {
        cmd_fail(r, "%s", e.msg);
        return;
    }
    cmd_done(r, CMD_DONE);
}
