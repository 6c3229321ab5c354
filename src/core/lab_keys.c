/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * lab_keys: the top level of the lab file, `host:` and `networks:`.
 */
#include "core/lab_internal.h"

#include "core/cmd.h"
#include "core/sched_info.h"
#include "core/text.h"
#include "core/units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* host: */

static void read_host_cpus(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct lab *lab = obj;

    lab_read_cpus(r, v, &lab->host_cpus);
}

static void read_host_overcommit(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct lab *lab = obj;

    lab_read_bool(r, v, "overcommit", &lab->overcommit);
}

static void read_host_sched(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct lab *lab = obj;
    enum sched_choice c;
    struct err e;

    if (lab_read_string(r, v, "sched", &lab->host_sched) && sched_choice_parse(lab->host_sched, &c, &e) < 0)
        lab_error_at(r, v, "%s", e.msg);
}

static const struct lab_key host_keys[] = {{"cpus", read_host_cpus, false},
                                           {"sched", read_host_sched, false},
                                           {"overcommit", read_host_overcommit, false}};

/* networks: */

static void read_net_nat(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct lab_net *n = obj;

    lab_read_bool(r, v, "nat", &n->nat);
}

static void read_net_subnet(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct lab_net *n = obj;
    const char *s = lab_scalar(r, v, "subnet");
    unsigned a[4], bits;
    char show[40], end;

    if (!s)
        return;
    if (strlen(s) > 18 || sscanf(s, "%3u.%3u.%3u.%3u/%2u%c", &a[0], &a[1], &a[2], &a[3], &bits, &end) != 5 ||
        a[0] > 255 || a[1] > 255 || a[2] > 255 || a[3] > 255 || bits < 8 || bits > 30)
        lab_error_at(r, v, "`%s` is not an IPv4 subnet: write it as `10.0.2.0/24`",
                     text_show(show, sizeof show, s));
    else
        lab_read_string(r, v, "subnet", &n->subnet);
}

static void read_net_tap(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct lab_net *n = obj;

    if (lab_read_string(r, v, "tap", &n->tap) && strlen(n->tap) > 15)
        lab_error_at(r, v, "the name of an interface has at most 15 bytes");
}

/* `2222:web:22`, `udp:5353:web:53` */
static bool parse_forward(const char *s, struct lab_forward *f)
{
    unsigned host, port;
    char end;

    *f = (struct lab_forward){.udp = strncmp(s, "udp:", 4) == 0};
    if (f->udp || strncmp(s, "tcp:", 4) == 0)
        s += 4;
    if (strlen(s) > 48 || sscanf(s, "%5u:%31[A-Za-z0-9_-]:%5u%c", &host, f->guest, &port, &end) != 3)
        return false;
    if (host < 1 || host > 65535 || port < 1 || port > 65535)
        return false;
    f->host_port = (uint16_t)host;
    f->guest_port = (uint16_t)port;
    return true;
}

static void read_forward(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct lab_net *n = obj;
    const char *s = lab_scalar(r, v, "forward");
    struct lab_forward f;
    char show[60];

    if (!s)
        return;
    if (!parse_forward(s, &f)) {
        lab_error_at(r, v, "`%s` is not a port forward: write host port, guest and its port as `2222:web:22`",
                     text_show(show, sizeof show, s));
        return;
    }
    f.line = NODE_LINE(v);
    f.column = NODE_COLUMN(v);
    if (n->nforwards < LAB_FORWARDS_MAX)
        n->forwards[n->nforwards++] = f;
}

static void read_net_forward(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    lab_each_item(r, v, LAB_FORWARDS_MAX, "`forward`", read_forward, obj);
}

static const struct lab_key net_keys[] = {
    {"nat", read_net_nat, false},
    {"subnet", read_net_subnet, false},
    {"tap", read_net_tap, false},
    {"forward", read_net_forward, false},
};

static void read_net(struct lab_reader *r, yaml_node_t *k, yaml_node_t *v, void *obj)
{
    struct lab *lab = obj;
    struct lab_net *p, n = {.tap_fd = -1};

    if (!lab_read_name(r, k, "a network's name", n.name))
        return;
    if (lab->nnets == LAB_NETS_MAX) {
        lab_error_at(r, k, "a lab can have %d networks", LAB_NETS_MAX);
        return;
    }
    for (unsigned i = 0; i < lab->nnets; i++)
        if (strcmp(lab->nets[i].name, n.name) == 0)
            lab_error_at(r, k, "there are two networks `%s`", n.name);
    p = realloc(lab->nets, (lab->nnets + 1) * sizeof *p);
    if (!p)
        return;
    lab->nets = p;
    lab_read_map(r, v, "a network", net_keys, sizeof net_keys / sizeof *net_keys, false, &n);
    lab->nets[lab->nnets++] = n;
}

/* The file. `defaults` may stand below `guests`, so guests are read last. */

struct top {
    struct guest_spec defaults;
    yaml_node_t *guests;
};

static void read_name(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    (void)obj;
    lab_read_name(r, v, "name", r->lab->name);
}

/* Text for people, which goes to their terminal as it is: nothing that steers one (in UTF-8, C1 is C2 80 to C2 9F). */
static void read_text(struct lab_reader *r, yaml_node_t *v, const char *what, const char *may, char **out)
{
    const char *s = lab_scalar(r, v, what);

    for (const unsigned char *p = (const unsigned char *)(s ? s : ""); *p; p++) {
        if ((*p >= 0x20 || strchr(may, *p)) && *p != 0x7f && !(*p == 0xc2 && p[1] < 0xa0))
            continue;
        lab_error_at(r, v, "`%s` is %s without control characters", what, *may ? "text" : "one line");
        return;
    }
    free(*out);
    *out = dup_or_null(s);
}

static void read_title(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    (void)obj;
    read_text(r, v, "title", "", &r->lab->story.title);
}

static void read_about(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    (void)obj;
    read_text(r, v, "about", "\n", &r->lab->story.about);
}

static void read_check(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    const char *line = lab_scalar(r, v, "checks");
    struct err e;

    if (!line)
        return;
    if (strchr(line, '\n'))
        lab_error_at(r, v, "a check is a command, in one line");
    else if (cmd_check(line, &e) < 0)
        lab_error_at(r, v, "%s", e.msg);
    else
        text_printf(obj, "%s\n", line);
}

static void read_checks(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct text lines = {0};

    (void)obj;
    lab_each_item(r, v, LAB_CHECKS_MAX, "`checks`", read_check, &lines);
    free(r->lab->story.checks);
    r->lab->story.checks = text_take(&lines);
}

static void read_host(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    (void)obj;
    lab_read_map(r, v, "`host`", host_keys, sizeof host_keys / sizeof *host_keys, false, r->lab);
}

static void read_defaults(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct top *t = obj;

    lab_read_defaults(r, v, &t->defaults);
}

static void read_networks(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    (void)obj;
    lab_each_pair(r, v, "`networks`", read_net, r->lab);
}

static void read_guests(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    struct top *t = obj;

    (void)r;
    t->guests = v;
}

/* x-...: what a file keeps for its anchors, as in compose files. */
static void read_nothing(struct lab_reader *r, yaml_node_t *v, void *obj)
{
    (void)r;
    (void)v;
    (void)obj;
}

static const struct lab_key top_keys[] = {
    {"name", read_name, false},         {"title", read_title, false},
    {"host", read_host, false},         {"defaults", read_defaults, false},
    {"networks", read_networks, false}, {"guests", read_guests, false},
    {"about", read_about, false},       {"checks", read_checks, false},
    {"x-*", read_nothing, false},
};

static void read_one_guest(struct lab_reader *r, yaml_node_t *k, yaml_node_t *v, void *obj)
{
    struct top *t = obj;

    lab_read_guest(r, k, v, &t->defaults);
}

void lab_read_top(struct lab_reader *r, yaml_node_t *root)
{
    struct top t = {0};

    vm_config_init(&t.defaults.g.c, "");
    if (root->type != YAML_MAPPING_NODE) {
        lab_error_at(r, root, "a lab file is a map that begins with keys like `name:` and `guests:`, not %s",
                     lab_node_kind(root));
        return;
    }
    lab_read_map(r, root, "a lab", top_keys, sizeof top_keys / sizeof *top_keys, false, &t);
    if (t.guests)
        lab_each_pair(r, t.guests, "`guests`", read_one_guest, &t);
    else
        lab_error_at(r, root, "this lab has no `guests:`");
    guest_spec_fini(&t.defaults);
}
