/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * step: a software vCPU without its run loop, for those who want to see each exception before it
 * is delivered: tests.
 */
#ifndef RUCHE_CORE_X86_STEP_H
#define RUCHE_CORE_X86_STEP_H

#include "core/accel.h"
#include "core/x86/scpu.h"

struct scpu *soft_scpu(struct accel_vcpu *v);

/* Runs until an exception or software interrupt is queued in scpu.exc, where it stays, or HLT; at
 * most `max_blocks` blocks. `single`: blocks of one instruction. On the vCPU's thread, outside
 * vcpu_run. */
void soft_run_to_exception(struct accel_vcpu *v, bool single, unsigned max_blocks);

#endif
