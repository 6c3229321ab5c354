/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * netnat: the way from a lab's network to the outside without privileges: libslirp turns guests'
 * connections into sockets of ours. The gateway's address also reaches the host's loopback; ports
 * of the host's loopback can be forwarded to guests. IPv4 only.
 *
 * Threads: one a network, which alone calls libslirp once it runs and alone may open sockets.
 */
#ifndef RUCHE_CORE_NETNAT_H
#define RUCHE_CORE_NETNAT_H

#include "core/netswitch.h"

#include <sched.h>

struct netnat;

struct nat_forward {
    bool udp;
    uint16_t host_port, guest_port;
    uint32_t guest_ip; /* host order */
};

struct netnat *netnat_new(struct netswitch *s, const struct nat_forward *f, unsigned n, struct err *e);
void netnat_pin(struct netnat *n, const cpu_set_t *set); /* its thread; NULL is legal */
void netnat_free(struct netnat *n); /* NULL is legal */

#endif
