/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * table_columns: which columns the table of guests has: those that were asked for, that say
 * something, and that fit; what is left goes to the graph.
 */
#include "ui/table_internal.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static bool known(struct table *t, enum field_id f)
{
    const struct model *m = &t->v.ui->model;

    if (t->hidden[f])
        return false;
    if (f == FIELD_GROUP && t->grouped)
        return true;
    for (unsigned i = 0; i < m->n; i++) {
        if (f == FIELD_MIPS && !isnan(m->rows[i].mips))
            return true;
        if (f == FIELD_CAP && m->rows[i].sched.cap_pct)
            return true;
        if ((f == FIELD_RD || f == FIELD_WR) && m->rows[i].io.ndisks)
            return true;
        if ((f == FIELD_RX || f == FIELD_TX) && m->rows[i].io.nnets)
            return true;
        if (f == FIELD_GROUP && m->rows[i].group[0])
            return true;
    }
    return f != FIELD_MIPS && f != FIELD_CAP && f != FIELD_GROUP && (f < FIELD_RD || f > FIELD_TX);
}

static int total_width(const struct table *t)
{
    int w = TABLE_MARK;

    for (int i = 0; i < t->ncols; i++)
        w += t->width[i] + 1;
    return w;
}

static void drop_one(struct table *t)
{
    int worst = -1;

    for (int i = 0; i < t->ncols; i++)
        if (field_at(t->col[i])->drop && !(t->grouped && t->col[i] == FIELD_GROUP) && (worst < 0 || field_at(t->col[i])->drop > field_at(t->col[worst])->drop))
            worst = i;
    if (worst < 0) {
        t->ncols--;
        return;
    }
    memmove(t->col + worst, t->col + worst + 1, (size_t)(t->ncols - worst - 1) * sizeof *t->col);
    memmove(t->width + worst, t->width + worst + 1, (size_t)(t->ncols - worst - 1) * sizeof *t->width);
    t->ncols--;
}

void table_choose_columns(struct table *t, int w)
{
    t->ncols = 0;
    for (int f = 0; f < FIELDS; f++) {
        if (!known(t, (enum field_id)f))
            continue;
        t->col[t->ncols] = (enum field_id)f;
        t->width[t->ncols++] = field_at((enum field_id)f)->width;
    }
    while (t->ncols > 1 && total_width(t) > w)
        drop_one(t);
    for (int i = 0; i < t->ncols; i++) {
        int more = w - total_width(t);

        if (t->col[i] == FIELD_CPU_GRAPH && more > 0)
            t->width[i] = t->width[i] + more > 60 ? 60 : t->width[i] + more;
    }
}

static int no_column(const char *word, const char *what, struct err *e)
{
    char names[SETTING_TEXT], show[40];
    size_t n = 0;

    for (int f = 0; f < FIELDS && n < sizeof names; f++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", field_at((enum field_id)f)->key);
    return err_set(e, EINVAL, "there is no column `%s`: it takes %s of %s", text_show(show, sizeof show, word), what, names);
}

int table_set_columns(struct view *v, const char *list, struct err *e)
{
    struct table *t = (struct table *)v;
    bool hide[FIELDS];
    char word[32];

    for (int f = 0; f < FIELDS; f++)
        hide[f] = strcmp(list, "all") != 0;
    hide[FIELD_NAME] = false;
    while (*list && strcmp(list, "all") != 0) {
        size_t n = strcspn(list, ",");
        int f;

        snprintf(word, sizeof word, "%.*s", (int)n, list);
        f = field_find(word);
        if (f < 0)
            return no_column(word, "all, or", e);
        hide[f] = false;
        list += n + (list[n] == ',');
    }
    memcpy(t->hidden, hide, sizeof hide);
    return 0;
}

void table_columns(struct view *v, char out[SETTING_TEXT])
{
    struct table *t = (struct table *)v;
    size_t n = 0;
    bool all = true;

    out[0] = '\0';
    for (int f = 0; f < FIELDS; f++) {
        all &= !t->hidden[f];
        if (!t->hidden[f] && n < SETTING_TEXT)
            n += (size_t)snprintf(out + n, SETTING_TEXT - n, "%s%s", n ? "," : "", field_at((enum field_id)f)->key);
    }
    if (all)
        strcpy(out, "all");
}

int table_set_sort(struct view *v, const char *key, struct err *e)
{
    struct table *t = (struct table *)v;
    int f = field_find(key);

    t->sorted = strcmp(key, "none") != 0;
    if (t->sorted && f < 0) {
        t->sorted = false;
        return no_column(key, "none, or one", e);
    }
    if (t->sorted)
        t->sort = (enum field_id)f;
    return 0;
}

const char *table_sort(struct view *v)
{
    const struct table *t = (struct table *)v;

    return t->sorted ? field_at(t->sort)->key : "none";
}
