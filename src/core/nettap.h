/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * nettap: a TAP interface of the host as one more port of a lab's network. Checksums and long TCP
 * segments cross undone in both directions (virtio headers on the descriptor). The addresses behind
 * it are learnt, so it may be in a bridge of the host.
 *
 * Threads: one a TAP, which only reads and writes the descriptor. Opening is done before, by who may
 * still hold CAP_NET_ADMIN.
 */
#ifndef RUCHE_CORE_NETTAP_H
#define RUCHE_CORE_NETTAP_H

#include "core/netswitch.h"

#include <sched.h>

struct lab;
struct nettap;

/* Opens the TAP of every network of `lab` that has one, into its tap_fd. An interface that is there
 * already and is ours to use needs no privilege; creating one, and setting it up, needs
 * CAP_NET_ADMIN, of which is used what sandbox_process left. */
int nettap_open_lab(struct lab *lab, struct err *e);

/* Joins `fd` (taken, also on failure) to the network. */
struct nettap *nettap_new(struct netswitch *s, const char *name, int fd, struct err *e);
void nettap_pin(struct nettap *t, const cpu_set_t *set); /* its thread; NULL is legal */
void nettap_free(struct nettap *t); /* NULL is legal */

#endif
