/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * session_net: the lab's networks and the guests' links to them. Networks live from before the
 * first guest until after the last; a link as long as its guest.
 */
#include "core/session_internal.h"

#include "core/netnat.h"
#include "core/netswitch.h"
#include "core/nettap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* 10.0.2.0/24 for the first network, 10.0.3.0/24 for the next, unless given. Behind a TAP there may be a
 * DHCP server already: there ours answers only if told to. */
static struct net_subnet subnet_of(const struct lab_net *n, unsigned index)
{
    struct net_subnet s = {.base = 10u << 24 | (2 + index) << 8, .bits = 24};
    unsigned a[4], bits;

    if (n->subnet && sscanf(n->subnet, "%3u.%3u.%3u.%3u/%2u", &a[0], &a[1], &a[2], &a[3], &bits) == 5) {
        s.bits = bits;
        s.base = (a[0] << 24 | a[1] << 16 | a[2] << 8 | a[3]) & ~0u << (32 - bits);
    } else if (n->tap && !n->nat)
        s.bits = 0;
    if (n->nat) {
        s.gateway = s.base + 2;
        s.dns = s.base + 3;
    }
    return s;
}

int session_nets_new(struct session *s, const struct lab *lab, struct err *e)
{
    for (unsigned i = 0; i < lab->nnets && i < LAB_NETS_MAX; i++) {
        const struct lab_net *n = &lab->nets[i];
        const struct net_subnet subnet = subnet_of(n, i);

        if (n->nat && subnet.bits > 27)
            return err_set(e, EINVAL, "network %s: a NAT needs a subnet of /27 or larger", n->name);
        s->nets[s->nnets].sw = netswitch_new(n->name, &subnet, NULL, e);
        if (!s->nets[s->nnets].sw)
            return -ENOMEM;
        s->nnets++;
    }
    return 0;
}

/* The address of a guest in a network; 0: it is not there. */
static uint32_t ip_in(struct session *s, const char *guest, const struct netswitch *sw)
{
    struct guest *g = session_guest(s, guest);

    for (unsigned i = 0; g && i < g->c->nnics; i++)
        if (vm_link(g->vm, i) && netport_switch(vm_link(g->vm, i)) == sw)
            return netport_ip(vm_link(g->vm, i));
    return 0;
}

static int nat_new(struct session *s, struct session_net *net, const struct lab_net *n, struct err *e)
{
    struct nat_forward f[LAB_FORWARDS_MAX];

    for (unsigned i = 0; i < n->nforwards; i++) {
        const struct lab_forward *from = &n->forwards[i];

        f[i] = (struct nat_forward){.udp = from->udp, .host_port = from->host_port,
                                    .guest_port = from->guest_port, .guest_ip = ip_in(s, from->guest, net->sw)};
        if (!f[i].guest_ip)
            return err_set(e, EINVAL, "network %s forwards port %u to %s, which has no link to it", n->name,
                           from->host_port, from->guest);
    }
    net->nat = netnat_new(net->sw, f, n->nforwards, e);
    return net->nat ? 0 : -EIO;
}

static int tap_new(struct session_net *net, const struct lab_net *n, struct err *e)
{
    const int fd = fcntl(n->tap_fd, F_DUPFD_CLOEXEC, 3); /* the lab goes before the session */

    if (fd < 0)
        return err_set(e, errno, "network %s: the TAP interface %s is not open", n->name, n->tap);
    net->tap = nettap_new(net->sw, n->tap, fd, e);
    return net->tap ? 0 : -EIO;
}

int session_nets_out(struct session *s, const struct lab *lab, struct err *e)
{
    int rc = 0;

    for (unsigned i = 0; i < s->nnets && rc == 0; i++) {
        if (lab->nets[i].nat)
            rc = nat_new(s, &s->nets[i], &lab->nets[i], e);
        if (rc == 0 && lab->nets[i].tap)
            rc = tap_new(&s->nets[i], &lab->nets[i], e);
    }
    return rc;
}

/* What these threads use is the guests' (netport_bill): it is of the lab's CPUs. */
void session_nets_pin(struct session *s, const cpu_set_t *set)
{
    for (unsigned i = 0; i < s->nnets; i++) {
        netnat_pin(s->nets[i].nat, set);
        nettap_pin(s->nets[i].tap, set);
    }
}

void session_nets_free(struct session *s)
{
    for (unsigned i = 0; i < s->nnets; i++) {
        netnat_free(s->nets[i].nat);
        nettap_free(s->nets[i].tap);
        netswitch_free(s->nets[i].sw);
    }
    s->nnets = 0;
}

/* Locally administered, and the same each time: from the names of lab and guest, and the index. */
static void derive_mac(const struct session *s, const struct vm_config *c, unsigned index, uint8_t mac[6])
{
    char text[2 * VM_NAME_MAX + 16];
    uint64_t h = 0xcbf29ce484222325ull;

    snprintf(text, sizeof text, "%s/%s/%u", s->name, c->name, index);
    for (const char *p = text; *p; p++)
        h = (h ^ (uint8_t)*p) * 0x100000001b3ull;
    mac[0] = 0x02;
    for (int i = 1; i < 6; i++)
        mac[i] = (uint8_t)(h >> (8 * i));
}

void session_nets_macs(struct session *s, struct vm_config *c)
{
    static const uint8_t none[6];

    for (unsigned i = 0; i < c->nnics; i++)
        if (memcmp(c->nics[i].mac, none, 6) == 0)
            derive_mac(s, c, i, c->nics[i].mac);
}

static struct netswitch *find_switch(struct session *s, const char *name)
{
    for (unsigned i = 0; i < s->nnets; i++)
        if (strcmp(netswitch_name(s->nets[i].sw), name) == 0)
            return s->nets[i].sw;
    return NULL;
}

int session_nets_link(struct session *s, struct guest *g, struct err *e)
{
    for (unsigned i = 0; i < g->c->nnics; i++) {
        const struct nic_config *n = &g->c->nics[i];
        struct netswitch *sw = find_switch(s, n->network);
        char name[16];

        if (!sw)
            return err_set(e, ENOENT, "there is no network `%s` for guest %s", n->network, g->c->name);
        snprintf(name, sizeof name, "eth%u", i);
        struct netport *p = netport_new(sw, name, n->mac, e);
        if (!p)
            return -ENOSPC;
        netport_set_limits(p, &n->limits);
        vm_set_link(g->vm, i, p);
    }
    return 0;
}

void session_nets_unlink(struct netport *const link[VM_NICS_MAX])
{
    for (unsigned i = 0; i < VM_NICS_MAX; i++)
        netport_free(link[i]);
}
