/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * field: the figures of a guest's row: title, text, order, and what it is. One table serves the
 * dashboard, --batch and the explanations.
 */
#ifndef RUCHE_UI_FIELD_H
#define RUCHE_UI_FIELD_H

#include "ui/model.h"

enum field_id {
    FIELD_NAME, FIELD_STATE, FIELD_VCPUS, FIELD_CPU, FIELD_CPU_GRAPH, FIELD_CPU_BAR, FIELD_ENTITLED, FIELD_WHY, FIELD_SHARE,
    FIELD_CAP, FIELD_MEM_BAR, FIELD_MEM, FIELD_READY, FIELD_MIPS, FIELD_RD, FIELD_WR,
    FIELD_RX, FIELD_TX, FIELD_EXITS, FIELD_EXIT_GRAPH, FIELD_UPTIME, FIELD_GROUP, FIELDS
};

enum { FIELD_TEXT = 48 };

struct field {
    const char *key;   /* as `set columns` and the head of CSV name it */
    const char *title;
    int width;
    bool left, graph; /* graph: drawn, no text */
    int drop;         /* the highest goes first when the screen is narrow; 0: never */
    void (*text)(const struct row *r, char out[FIELD_TEXT]); /* "–": not known */
    double (*value)(const struct row *r); /* for the order; NULL: by text */
    const char *what, *formula, *source;  /* the explanation */
};

const struct field *field_at(enum field_id f);
int field_find(const char *key); /* -1: none */

/* <0, 0, >0: biggest value first, names from A to Z. */
int field_compare(enum field_id f, const struct row *a, const struct row *b);

/* Does the row match what was typed: a part of its name, state or group? "!x": those that do not. */
bool row_matches(const struct row *r, const char *filter);

#endif
