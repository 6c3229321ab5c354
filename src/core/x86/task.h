/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * task: hardware task switches. Not in long mode, where TSS descriptors and task gates are #GP.
 */
#ifndef RUCHE_CORE_X86_TASK_H
#define RUCHE_CORE_X86_TASK_H

#include "core/x86/seg.h"

enum task_why {
    TASK_JUMP, /* the old task ends */
    TASK_NEST, /* CALL, an interrupt: the new task links back */
    TASK_IRET, /* to the task that is linked */
};

struct task_switch {
    enum task_why why;
    uint16_t sel;   /* of the new TSS */
    uint32_t flags; /* EFLAGS to save of the old task; c->rip is what to save as EIP */
    uint32_t ext;   /* bit 0 of error codes: an event from outside is delivered */
};

/* 0: done (a debug trap of the T flag may be queued). -1: a fault of the old task, nothing has
 * changed. TASK_FAULT: a fault of the new task is queued; registers are the new task's. */
enum { TASK_FAULT = -2 };
int task_switch(struct scpu *c, const struct task_switch *t);

/* TSS selector in a task gate; -1: #GP queued. `ext` as above. */
int task_gate(struct scpu *c, uint64_t gate, uint32_t ext, uint16_t *sel);

/* Far CALL or JMP whose descriptor `d` is a TSS or task gate; IRET with NT. c->rip is that of
 * the next instruction. 0: done, faults of the new task queued; -1: a fault of the instruction. */
int task_far(struct scpu *c, uint16_t sel, const struct desc *d, bool call);
int task_return(struct scpu *c);

#endif
