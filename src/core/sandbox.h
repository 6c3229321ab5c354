/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sandbox: what the process and its threads give up before guest code runs (SAFETY §2).
 */
#ifndef RUCHE_CORE_SANDBOX_H
#define RUCHE_CORE_SANDBOX_H

#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>

struct accel_ioctl;

/* Drops every capability, the bounding set included, sets no_new_privs, and puts the process under
 * a filter that refuses the system calls that nothing of it needs. Called once, before threads
 * exist: they and child programs inherit it. CAP_NET_ADMIN and CAP_DAC_OVERRIDE, if held, stay
 * permitted, but are not in effect: a lab may name a TAP, and files of others. 0 or -errno and `e`. */
int sandbox_process(struct err *e);

/* One of them in effect, if it was held, and the other not. Nothing happens before sandbox_process and after
 * sandbox_no_capabilities. */
void sandbox_net_admin(void);
bool sandbox_any_file(bool may); /* true if it is in effect now; `may` false: none is */
bool sandbox_any_file_left(void); /* it could be */

/* The last capabilities go. Before threads exist. */
int sandbox_no_capabilities(struct err *e);

/* Puts the calling thread under a filter of system calls. Failure is logged once and counted:
 * a kernel without seccomp runs guests all the same, and `doctor` says so. */
void sandbox_vcpu_thread(const char *engine, const struct accel_ioctl *io, unsigned n);
void sandbox_io_thread(void);
void sandbox_governor_thread(void); /* waits, and moves threads */
void sandbox_idle_thread(void); /* waits */
void sandbox_net_thread(void); /* of a NAT: sockets, and reading the host's resolver */

/* One line for people: "no capabilities, no_new_privs, seccomp on guest threads". */
void sandbox_describe(char *buf, size_t len);

#endif
