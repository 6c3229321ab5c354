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
        undo_step(u, "link %s %s", name, link_limits_text(text, &old));
        netport_set_limits(p, &c->limits);
        session_event(r->session, EV_CONFIG, g, "%s has %s", strrchr(name, '.') + 1, link_limits_text(text, &c->limits));
    }
    return 0;
}

static void show(struct cmd_run *r, struct netport *p, const char *name)
{
    struct net_stats st;
    struct link_limits l;
    char text[96], mac[UNITS_TEXT], in[UNITS_TEXT], out[UNITS_TEXT];

    netport_stats(p, &st);
    netport_get_limits(p, &l);
    cmd_printf(r, "%s: network %s, %s, %s%s\n", name, st.network, st.up ? "up" : "down", link_limits_text(text, &l),
               st.capturing ? ", captured" : "");
    cmd_printf(r, "  %s, %s in, %s out, %llu frames dropped\n", units_fmt_mac(mac, st.mac), units_fmt_size(in, st.rx_bytes),
               units_fmt_size(out, st.tx_bytes), (unsigned long long)(st.rx_drops + st.tx_drops));
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
