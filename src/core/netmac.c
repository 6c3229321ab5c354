/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * netmac: the switch's table of addresses: a hash over entries that belong to the ports, so that
 * nobody can fill it at another's expense.
 */
#include "core/netswitch_internal.h"

#include <string.h>

#define AGE_NS (300 * NS_PER_S)

static unsigned mac_hash(const uint8_t mac[6])
{
    uint32_t h = 2166136261u;

    for (int i = 0; i < 6; i++)
        h = (h ^ mac[i]) * 16777619u;
    return (h ^ h >> 16) % NET_HASH_BUCKETS;
}

static struct mac_entry *mac_find(struct netswitch *s, const uint8_t mac[6])
{
    struct mac_entry *m = s->hash[mac_hash(mac)];

    while (m && memcmp(m->mac, mac, 6) != 0)
        m = m->next;
    return m;
}

static void mac_unlink(struct netswitch *s, struct mac_entry *m)
{
    struct mac_entry **p = &s->hash[mac_hash(m->mac)];

    if (!m->used)
        return;
    while (*p && *p != m)
        p = &(*p)->next;
    if (*p)
        *p = m->next;
    m->used = false;
}

static void mac_link(struct netswitch *s, struct mac_entry *m, const uint8_t mac[6], struct netport *p,
                     uint64_t now)
{
    struct mac_entry **head = &s->hash[mac_hash(mac)];

    *m = (struct mac_entry){.used = true, .seen_ns = now, .port = p, .next = *head};
    memcpy(m->mac, mac, 6);
    *head = m;
}

/* `mac` sends at `p`. A NIC's own address stays where it is. */
void netmac_learn(struct netport *p, const uint8_t mac[6], uint64_t now)
{
    struct mac_entry *m = mac_find(p->sw, mac), *oldest = &p->learnt[0];

    if ((mac[0] & 1) || (m && m == &m->port->own))
        return;
    if (m && m->port == p) {
        m->seen_ns = now;
        return;
    }
    if (m)
        mac_unlink(p->sw, m);
    for (unsigned i = 0; i < NETPORT_MACS && oldest->used; i++)
        if (!p->learnt[i].used || p->learnt[i].seen_ns < oldest->seen_ns)
            oldest = &p->learnt[i];
    mac_unlink(p->sw, oldest);
    mac_link(p->sw, oldest, mac, p, now);
}

struct netport *netmac_lookup(struct netswitch *s, const uint8_t mac[6], uint64_t now)
{
    struct mac_entry *m = mac[0] & 1 ? NULL : mac_find(s, mac);

    if (m && m != &m->port->own && now - m->seen_ns > AGE_NS) {
        mac_unlink(s, m);
        return NULL;
    }
    return m ? m->port : NULL;
}

void netmac_own(struct netport *p)
{
    if (p->has_mac && !mac_find(p->sw, p->mac))
        mac_link(p->sw, &p->own, p->mac, p, 0);
}

void netmac_forget(struct netport *p)
{
    mac_unlink(p->sw, &p->own);
    for (unsigned i = 0; i < NETPORT_MACS; i++)
        mac_unlink(p->sw, &p->learnt[i]);
}
