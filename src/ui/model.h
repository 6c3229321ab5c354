/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * model: what the console shows, as of the last sample: a row per guest, sums, history.
 * It draws nothing; the dashboard and --batch read it. Threads: main's.
 */
#ifndef RUCHE_UI_MODEL_H
#define RUCHE_UI_MODEL_H

#include "core/session.h"
#include "ui/host.h"
#include "ui/past.h"
#include "ui/rates.h"

struct row {
    struct guest *g;
    unsigned id, vcpus, color; /* color: stays with the guest */
    const char *name, *group, *word; /* word: its state, "RUN" */
    enum vm_state state;
    bool up, tagged;
    struct sched_info sched;
    double cpu, ready, capped; /* host CPUs; fractions of the vCPUs' time; NAN: not known */
    double exits, mips; /* per second; NAN: not known */
    uint64_t memory, resident; /* bytes */
    struct rates io; /* of disks and links */
};

struct model {
    struct session *session;
    struct past *history;
    struct row *rows; /* in the order of the lab */
    unsigned n;
    struct vm_stats *stats; /* for who reads one guest's in full */
    double cpus;            /* of the host */
    double cpu, exits;      /* sums */
    struct session_memory memory;
    struct host host;       /* all CPUs of it, whoever uses them */
    double others;          /* CPUs that others on the host use, our own console too; NAN: not known */
    unsigned running;
    bool sampled;
};

int model_init(struct model *m, struct session *s); /* -ENOMEM */
void model_fini(struct model *m);

/* Reads all guests; `tick`: also one more moment of history. */
void model_sample(struct model *m, bool tick);

struct row *model_row(struct model *m, unsigned id); /* NULL: none */
void model_forget(struct model *m, const struct guest *g); /* it is being removed */

/* All of one guest's figures; valid until the next call. */
const struct vm_stats *model_stats(struct model *m, struct guest *g);

const char *model_word(const struct guest *g); /* RUN PAUSE BOOT OFF CRASH FAIL */

#endif
