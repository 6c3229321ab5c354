/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * netpcap: a capture file of the classic libpcap format, nanosecond variant, link type Ethernet:
 * what tcpdump and Wireshark open. A frame that a guest left uncut is written uncut, and its sum
 * may be missing. Ends by itself at its size limit.
 *
 * Threads: any; one lock. Writing happens on the thread that has the frame.
 */
#ifndef RUCHE_CORE_NETPCAP_H
#define RUCHE_CORE_NETPCAP_H

#include "core/err.h"
#include "core/netframe.h"

struct netpcap;

struct netpcap *netpcap_new(const char *path, uint64_t max_bytes, struct err *e);
void netpcap_free(struct netpcap *c); /* NULL is legal */
bool netpcap_write(struct netpcap *c, const struct netframe *f); /* false: it has ended, full or by an error */

#endif
