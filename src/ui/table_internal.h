/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * table_internal: what the parts of the table of guests share: which rows and what keys do
 * (table.c), which columns (table_columns.c), drawing (table_draw.c).
 */
#ifndef RUCHE_UI_TABLE_INTERNAL_H
#define RUCHE_UI_TABLE_INTERNAL_H

#include "ui/ui_internal.h"

enum { TABLE_SHOWN_MAX = 256, TABLE_MARK = 2 }; /* MARK: columns left of the first one, for `>` and `*` */

struct table {
    struct view v;
    unsigned selected; /* id of the guest */
    unsigned first;    /* row at the top */
    char filter[64];
    char sought[64]; /* the last filter, for n and N */
    enum field_id sort;
    bool sorted, invert, grouped;
    enum panel panel;
    bool hidden[FIELDS];
    /* of the last frame */
    struct area area;
    enum field_id col[FIELDS];
    int ncols, width[FIELDS];
    struct row *shown[TABLE_SHOWN_MAX];
    unsigned nshown;
};

/* table.c */
void table_choose_rows(struct table *t);             /* into shown, in order */
unsigned table_selected_index(const struct table *t); /* in shown; 0: it is not there */

/* table_columns.c: those that fit into `w`, and their widths. */
void table_choose_columns(struct table *t, int w);

/* table_draw.c */
void table_draw(struct view *v, struct area a);
int table_rows(const struct table *t, int h); /* for guests, of `h` without the head */

#endif
