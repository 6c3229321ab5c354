/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd_link: what guests' network links are like: rate, delay, loss, up or down, capture.
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

struct one {
    struct guest *g;
    struct netport *p;
    struct net_stats st;
    char name[80]; /* GUEST.LINK */
};

/* What a command asks for; `has_...`: it was said. */
struct change {
    struct link_limits limits;
    bool has_limits, has_up, up, has_capture;
    const char *capture; /* NULL: off */
};

static int parse_word(const char *w, struct change *c, struct err *e)
{
    char key[16];
    int rc;

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
    snprintf(key, sizeof key, "%.*s", (int)strcspn(w, "="), w);
    rc = strchr(w, '=') ? link_limits_set(&c->limits, key, strchr(w, '=') + 1, e) : -ENOENT;
    return rc != -ENOENT ? rc : err_set(e, EINVAL, "`%s` is none of up, down, rate=, delay=, loss=, capture=",
                                        text_show((char[40]){0}, 40, w));
}

static int read_words(struct cmd_run *r, struct change *c, struct err *e)
{
    int rc = 0;

    for (unsigned i = 0; i < r->p.nrest && rc == 0; i++)
        rc = parse_word(r->p.rest[i], c, e);
    return rc;
}

/* Splits `web*.lan` and finds the guests; `*link` is the pattern of the links, NULL: none was said. */
static int resolve(struct cmd_run *r, char word[TARGET_PART_MAX], const char **link, struct err *e)
{
    if (!target_split(r->p.arg[0], word, link))
        return err_set(e, EINVAL, "a link is written as `web.eth0`; `info VM` shows a guest's links");
    if (targets_add(&r->targets, r->session, word, e) < 0)
        return -ENOENT;
    if (r->targets.t[0].vcpu >= 0)
        return err_set(e, EINVAL, "`%s` is a vCPU, and has no links: a link is written as `web.eth0`", word);
    return 0;
}

/* Each link that was meant, until one fails; `*n` is how many there were. */
static int each(struct cmd_run *r, const char *link, int (*fn)(struct cmd_run *r, const struct one *l, struct err *e),
                unsigned *n, struct err *e)
{
    int rc = 0;

    *n = 0;
    for (unsigned i = 0; i < r->targets.n; i++) {
        struct guest *g = r->targets.t[i].g;

        for (unsigned k = 0; k < g->c->nnics && rc == 0; k++) {
            struct one l = {.g = g, .p = vm_link(g->vm, k)};

            if (!l.p)
                continue;
            netport_stats(l.p, &l.st);
            if (link && !target_match(link, l.st.name) && !target_match(link, l.st.network))
                continue;
            snprintf(l.name, sizeof l.name, "%s.%s", g->c->name, l.st.name);
            ++*n;
            rc = fn ? fn(r, &l, e) : 0;
        }
    }
    return rc;
}

/* That what was meant is there, and is one where it has to be. */
static int check(struct cmd_run *r, const char *link, const struct change *c, struct err *e)
{
    const struct guest *g = r->targets.n == 1 ? r->targets.t[0].g : NULL;
    char show[80];
    unsigned n;

    each(r, link, NULL, &n, e);
    if (g && g->c->nnics == 0)
        return err_set(e, ENOENT, "%s has no network link: give it one with `nets:` in the lab file", g->c->name);
    if (!n && g && link)
        return err_set(e, ENOENT, "%s has no link `%s`: it has %u, the first is eth0, see `info %s`", g->c->name,
                       text_show(show, sizeof show, link), g->c->nnics, g->c->name);
    if (!n)
        return err_set(e, ENOENT, "none of these guests has such a link: `info GUEST` shows those that it has");
    if (!link && n > r->targets.n && r->p.nrest)
        return err_set(e, ENOENT, "%s %s %u links: name one as %s.eth0, or all as %s.*", r->p.arg[0], g ? "has" : "means", n,
                       r->p.arg[0], r->p.arg[0]);
    if (c->has_capture && c->capture && n > 1)
        return err_set(e, EINVAL, "`%s` means %u links, and a capture is of one", r->p.arg[0], n);
    return 0;
}

static int apply(struct cmd_run *r, const struct one *l, struct err *e)
{
    const char *link = strrchr(l->name, '.') + 1;
    struct undo *u = cmd_undo(r);
    struct link_limits old;
    struct change c = {0};
    char text[96];

    netport_get_limits(l->p, &old);
    c.limits = old;
    if (read_words(r, &c, e) < 0 || (c.has_capture && netport_capture(l->p, c.capture, CAPTURE_BYTES, e) < 0))
        return -EINVAL;
    if (c.has_capture && (c.capture || l->st.capturing)) {
        if (c.capture)
            undo_step(u, "link %s capture=off", l->name);
        session_event(r->session, EV_CONFIG, l->g, c.capture ? "%s is captured" : "%s is not captured any more", link);
    }
    if (c.has_up && c.up != netport_up(l->p)) {
        undo_step(u, "link %s %s", l->name, c.up ? "down" : "up");
        netport_set_up(l->p, c.up);
        session_event(r->session, EV_CONFIG, l->g, "%s is %s", link, c.up ? "up" : "down");
    }
    if (c.has_limits) {
        undo_step(u, "link %s %s", l->name, link_limits_text(text, &old));
        netport_set_limits(l->p, &c.limits);
        session_event(r->session, EV_CONFIG, l->g, "%s has %s", link, link_limits_text(text, &c.limits));
    }
    return 0;
}

static int show(struct cmd_run *r, const struct one *l, struct err *e)
{
    struct link_limits limits;
    char text[96], mac[UNITS_TEXT], in[UNITS_TEXT], out[UNITS_TEXT];

    (void)e;
    netport_get_limits(l->p, &limits);
    cmd_printf(r, "%s: network %s, %s, %s%s\n", l->name, l->st.network, l->st.up ? "up" : "down",
               link_limits_text(text, &limits), l->st.capturing ? ", captured" : "");
    cmd_printf(r, "  %s, %s in, %s out, %llu frames dropped\n", units_fmt_mac(mac, l->st.mac),
               units_fmt_size(in, l->st.rx_bytes), units_fmt_size(out, l->st.tx_bytes),
               (unsigned long long)(l->st.rx_drops + l->st.tx_drops));
    return 0;
}

void exec_link(struct cmd_run *r)
{
    char word[TARGET_PART_MAX];
    struct change asked = {0};
    const char *link = NULL;
    struct err e;
    unsigned n;

    if (resolve(r, word, &link, &e) < 0 || read_words(r, &asked, &e) < 0 || check(r, link, &asked, &e) < 0) {
        cmd_fail(r, "%s", e.msg);
        return;
    }
    if (r->p.nrest)
        undo_begin(cmd_undo(r), r->line);
    if (each(r, link, r->p.nrest ? apply : show, &n, &e) < 0) {
        cmd_fail(r, "%s", e.msg);
        return;
    }
    cmd_done(r, CMD_DONE);
}
