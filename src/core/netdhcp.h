/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * netdhcp: answers DHCP requests (RFC 2131) with one fixed address. The switch knows which address
 * belongs to which link, so there is no lease to remember. No state, no locks.
 */
#ifndef RUCHE_CORE_NETDHCP_H
#define RUCHE_CORE_NETDHCP_H

#include "core/netswitch.h"

/* Is it a frame to a DHCP server? */
bool netdhcp_is_request(const struct netframe *f);

/* The answer that offers or confirms `ip`; NULL: none is due. */
struct netframe *netdhcp_answer(const struct netframe *f, const struct net_subnet *s, uint32_t ip);

#endif
