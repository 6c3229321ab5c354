/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * lab_yaml: YAML nodes with their places. Maps are read by key table, so that an unknown or
 * doubled key is told with a suggestion; scalars are read by type.
 *
 * Anchors, aliases and merge keys (`<<: *base`) work as in YAML 1.1. Aliases make a small file
 * stand for a huge tree, so every node that is looked at is taken from a budget.
 */
#include "core/lab_internal.h"

#include "core/suggest.h"
#include "core/text.h"
#include "core/units.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAB_MERGE_DEPTH = 8, LAB_KEYS_MAX = 40 };

void lab_error_at(struct lab_reader *r, const yaml_node_t *n, const char *fmt, ...)
{
    char msg[360];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    diags_error(r->diags, NODE_LINE(n), NODE_COLUMN(n), "%s", msg);
}

yaml_node_t *lab_node(struct lab_reader *r, int index)
{
    yaml_node_t *n = yaml_document_get_node(&r->doc, index);

    if (n && r->budget && --r->budget == 0)
        lab_error_at(r, n, "aliases make this file larger than a lab can be: write fewer of them");
    return r->budget ? n : NULL;
}

const char *lab_node_kind(const yaml_node_t *n)
{
    switch (n->type) {
    case YAML_SCALAR_NODE:
        return "a single value";
    case YAML_SEQUENCE_NODE:
        return "a list";
    case YAML_MAPPING_NODE:
        return "a map of keys";
    default:
        return "nothing";
    }
}

static const char *scalar_text(const yaml_node_t *n)
{
    if (n->type != YAML_SCALAR_NODE || strlen((const char *)n->data.scalar.value) != n->data.scalar.length)
        return NULL;
    return (const char *)n->data.scalar.value;
}

static bool is_null(const yaml_node_t *n)
{
    const char *s = scalar_text(n);

    return s && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!*s || strcmp(s, "~") == 0 || strcmp(s, "null") == 0);
}

/* One pass over a map. `seen` has a bit for each key of the table that was read already: in the
 * map itself a second one is a mistake, in a merged map it is overridden. */
struct map_pass {
    const char *what;
    const struct lab_key *keys;
    unsigned nkeys;
    bool defaults;
    void *obj;
    uint64_t seen;
};

static void unknown_key(struct lab_reader *r, const struct map_pass *p, yaml_node_t *k, const char *name)
{
    struct suggest s = suggest_begin(name);
    char show[40], hint[80];

    for (unsigned i = 0; i < p->nkeys; i++)
        suggest_offer(&s, p->keys[i].name);
    lab_error_at(r, k, "%s has no key `%s`%s", p->what, text_show(show, sizeof show, name),
                 suggest_text(&s, hint, sizeof hint));
}

/* `x-*` in a table stands for all keys that begin so. */
static bool key_matches(const char *key, const char *name)
{
    size_t n = strlen(key) - 1;

    return key[n] == '*' ? strncmp(key, name, n) == 0 : strcmp(key, name) == 0;
}

static void read_pair(struct lab_reader *r, struct map_pass *p, yaml_node_t *k, yaml_node_t *v,
                      bool merged)
{
    const char *name = scalar_text(k);
    unsigned i = 0;

    if (!name) {
        lab_error_at(r, k, "a key of %s must be a word, not %s", p->what, lab_node_kind(k));
        return;
    }
    while (i < p->nkeys && !key_matches(p->keys[i].name, name))
        i++;
    if (i == p->nkeys) {
        unknown_key(r, p, k, name);
    } else if (p->defaults && p->keys[i].no_default) {
        lab_error_at(r, k, "`%s` cannot be a default: give it to each guest", name);
    } else if (p->seen >> i & 1) {
        if (!merged && strcmp(p->keys[i].name, name) == 0)
            lab_error_at(r, k, "%s has `%s` twice", p->what, name);
    } else {
        p->seen |= 1ull << i;
        p->keys[i].read(r, v, p->obj);
    }
}

static bool is_merge(const yaml_node_t *k)
{
    const char *s = scalar_text(k);

    return s && strcmp(s, "<<") == 0;
}

static void map_pass(struct lab_reader *r, yaml_node_t *n, struct map_pass *p, unsigned depth);

static void merge(struct lab_reader *r, yaml_node_t *v, struct map_pass *p, unsigned depth)
{
    if (depth > LAB_MERGE_DEPTH) {
        if (r->budget)
            lab_error_at(r, v, "merge keys are nested more than %d deep", LAB_MERGE_DEPTH);
        r->budget = 0; /* no more of this */
    } else if (v->type == YAML_MAPPING_NODE) {
        map_pass(r, v, p, depth);
    } else if (v->type == YAML_SEQUENCE_NODE) {
        for (yaml_node_item_t *i = v->data.sequence.items.start; i < v->data.sequence.items.top; i++) {
            yaml_node_t *m = lab_node(r, *i);

            if (m)
                merge(r, m, p, depth + 1);
        }
    } else {
        lab_error_at(r, v, "`<<` merges a map, as `<<: *base`, not %s", lab_node_kind(v));
    }
}

static void map_pass(struct lab_reader *r, yaml_node_t *n, struct map_pass *p, unsigned depth)
{
    yaml_node_pair_t *first = n->data.mapping.pairs.start, *end = n->data.mapping.pairs.top;

    for (int merging = 0; merging < 2; merging++) {
        for (yaml_node_pair_t *i = first; i < end; i++) {
            yaml_node_t *k = lab_node(r, i->key), *v = lab_node(r, i->value);

            if (!k || !v)
                return;
            if (is_merge(k) != merging)
                continue;
            if (merging)
                merge(r, v, p, depth + 1);
            else
                read_pair(r, p, k, v, depth > 0);
        }
    }
}

void lab_read_map(struct lab_reader *r, yaml_node_t *n, const char *what, const struct lab_key *keys,
                  unsigned nkeys, bool defaults, void *obj)
{
    struct map_pass p = {what, keys, nkeys, defaults, obj, 0};

    if (is_null(n))
        return;
    if (n->type != YAML_MAPPING_NODE) {
        lab_error_at(r, n, "%s is written as keys with values, as `{%s: ...}`, not as %s", what,
                     keys[0].name, lab_node_kind(n));
        return;
    }
    map_pass(r, n, &p, 0);
}

void lab_each_pair(struct lab_reader *r, yaml_node_t *n, const char *what,
                   void (*each)(struct lab_reader *r, yaml_node_t *k, yaml_node_t *v, void *obj), void *obj)
{
    if (is_null(n))
        return;
    if (n->type != YAML_MAPPING_NODE) {
        lab_error_at(r, n, "%s is a map from names, as `web: {...}`, not %s", what, lab_node_kind(n));
        return;
    }
    for (yaml_node_pair_t *i = n->data.mapping.pairs.start; i < n->data.mapping.pairs.top; i++) {
        yaml_node_t *k = lab_node(r, i->key), *v = lab_node(r, i->value);

        if (!k || !v)
            return;
        each(r, k, v, obj);
    }
}

void lab_each_item(struct lab_reader *r, yaml_node_t *n, unsigned max, const char *what,
                   void (*each)(struct lab_reader *r, yaml_node_t *v, void *obj), void *obj)
{
    yaml_node_item_t *first, *end;

    if (is_null(n))
        return;
    if (n->type != YAML_SEQUENCE_NODE) {
        each(r, n, obj);
        return;
    }
    first = n->data.sequence.items.start;
    end = n->data.sequence.items.top;
    if ((size_t)(end - first) > max) {
        lab_error_at(r, n, "%s has %zu items, %u are possible", what, (size_t)(end - first), max);
        return;
    }
    for (yaml_node_item_t *i = first; i < end; i++) {
        yaml_node_t *v = lab_node(r, *i);

        if (!v)
            return;
        each(r, v, obj);
    }
}

const char *lab_scalar(struct lab_reader *r, yaml_node_t *n, const char *what)
{
    const char *s = scalar_text(n);

    if (n->type != YAML_SCALAR_NODE)
        lab_error_at(r, n, "`%s` takes a single value, not %s", what, lab_node_kind(n));
    else if (!s)
        lab_error_at(r, n, "the value of `%s` contains a zero byte", what);
    else if (is_null(n)) {
        lab_error_at(r, n, "`%s` has no value", what);
        s = NULL;
    }
    return s;
}

bool lab_read_string(struct lab_reader *r, yaml_node_t *n, const char *what, char **out)
{
    const char *s = lab_scalar(r, n, what);
    char *copy;

    if (!s)
        return false;
    if (strpbrk(s, "\n\r")) {
        lab_error_at(r, n, "the value of `%s` must be one line", what);
        return false;
    }
    copy = strdup(s);
    if (!copy) {
        lab_error_at(r, n, "out of memory");
        return false;
    }
    free(*out);
    *out = copy;
    return true;
}

bool lab_read_name(struct lab_reader *r, yaml_node_t *n, const char *what, char out[VM_NAME_MAX + 1])
{
    const char *s = lab_scalar(r, n, what);
    struct err e;

    if (!s)
        return false;
    if (lab_check_name(what, s, &e) < 0) {
        lab_error_at(r, n, "%s", e.msg);
        return false;
    }
    snprintf(out, VM_NAME_MAX + 1, "%s", s);
    return true;
}

char *lab_join(const char *dir, const char *path)
{
    char *s = NULL;

    if (path[0] == '/' || !*dir)
        return strdup(path);
    return asprintf(&s, "%s/%s", dir, path) < 0 ? NULL : s;
}

bool lab_read_path(struct lab_reader *r, yaml_node_t *n, const char *what, char **out)
{
    char *s = NULL, *joined;

    if (!lab_read_string(r, n, what, &s))
        return false;
    joined = lab_join(r->dir, s);
    free(s);
    if (!joined)
        return false;
    free(*out);
    *out = joined;
    return true;
}

bool lab_read_bool(struct lab_reader *r, yaml_node_t *n, const char *what, bool *out)
{
    const char *s = lab_scalar(r, n, what);
    struct err e;

    if (!s)
        return false;
    if (units_bool(s, out, &e) == 0)
        return true;
    lab_error_at(r, n, "`%s`: %s", what, e.msg);
    return false;
}

bool lab_read_uint(struct lab_reader *r, yaml_node_t *n, const char *what, uint64_t min, uint64_t max,
                   uint64_t *out)
{
    const char *s = lab_scalar(r, n, what);
    struct err e;

    if (!s)
        return false;
    if (units_uint(s, what, min, max, out, &e) == 0)
        return true;
    lab_error_at(r, n, "%s", e.msg);
    return false;
}

bool lab_read_size(struct lab_reader *r, yaml_node_t *n, const char *what, uint64_t *out)
{
    const char *s = lab_scalar(r, n, what);
    struct err e;

    if (!s)
        return false;
    if (units_size(s, out, &e) == 0)
        return true;
    lab_error_at(r, n, "`%s`: %s", what, e.msg);
    return false;
}

bool lab_read_cpus(struct lab_reader *r, yaml_node_t *n, char **out)
{
    const char *s = lab_scalar(r, n, "a CPU list");
    cpu_set_t set;
    struct err e;

    if (!s)
        return false;
    if (units_cpus(s, r->host->cpus, &set, &e) < 0) {
        lab_error_at(r, n, "%s", e.msg);
        return false;
    }
    return lab_read_string(r, n, "a CPU list", out);
}
