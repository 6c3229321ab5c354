/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * target: see target.h.
 */
#include "core/target.h"

#include "core/session.h"
#include "core/suggest.h"
#include "core/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `[a-b]` at `p` against the digits at `s`: bytes of both, 0 if it does not match. */
static bool match_range(const char **p, const char **s)
{
    unsigned long a, b, v;
    char *end;

    if (!isdigit((unsigned char)(*p)[1]) || !isdigit((unsigned char)**s))
        return false;
    a = strtoul(*p + 1, &end, 10);
    if (*end != '-' || !isdigit((unsigned char)end[1]))
        return false;
    b = strtoul(end + 1, &end, 10);
    if (*end != ']')
        return false;
    *p = end + 1;
    v = strtoul(*s, &end, 10);
    *s = end;
    return v >= a && v <= b;
}

bool target_match(const char *p, const char *s)
{
    const char *star = NULL, *from = NULL;

    for (;;) {
        if (*p == '*') {
            star = ++p;
            from = s;
            continue;
        }
        if (!*p && !*s)
            return true;
        if (*p == '[' ? match_range(&p, &s) : *s && *p && (*p == '?' || *p == *s) && (p++, s++, true))
            continue;
        if (!star || !*from)
            return false;
        p = star; /* the star takes one byte more */
        s = ++from;
    }
}

void targets_free(struct targets *t)
{
    free(t->t);
    *t = (struct targets){0};
}

static int append(struct targets *t, struct guest *g, int vcpu)
{
    struct target *p;

    for (unsigned i = 0; i < t->n; i++)
        if (t->t[i].g == g && t->t[i].vcpu == vcpu)
            return 0;
    p = realloc(t->t, (t->n + 1) * sizeof *p);
    if (!p)
        return -ENOMEM;
    t->t = p;
    t->t[t->n++] = (struct target){g, vcpu};
    return 0;
}

/* Takes `.3` off the end of the word. -1: there is none, -2: it is no number. */
static int split_vcpu(char *word)
{
    char *dot = strrchr(word, '.'), *end;
    long v;

    if (!dot)
        return -1;
    v = strtol(dot + 1, &end, 10);
    if (!isdigit((unsigned char)dot[1]) || *end || v > 9999)
        return -2;
    *dot = '\0';
    return (int)v;
}

static bool means(const char *word, const struct guest *g)
{
    if (strcmp(word, "all") == 0)
        return true;
    if (word[0] == '@')
        return g->c->group[0] && target_match(word + 1, g->c->group);
    return target_match(word, g->c->name);
}

static int nobody(struct session *s, const char *word, struct err *e)
{
    struct suggest near = suggest_begin(word[0] == '@' ? word + 1 : word);
    char show[48], hint[80];

    text_show(show, sizeof show, word);
    if (!session_guests(s))
        return err_set(e, ENOENT, "there are no guests yet: `create NAME image=hello` makes one");
    if (strcmp(word, "all") == 0 || strpbrk(word, "*?["))
        return err_set(e, ENOENT, "no guest matches `%s`: `list` shows who is there", show);
    for (struct guest *g = session_guests(s); g; g = g->next)
        suggest_offer(&near, word[0] == '@' ? g->c->group : g->c->name);
    suggest_text(&near, hint, sizeof hint);
    if (word[0] == '@')
        return err_set(e, ENOENT, "there is no group `%s`%s", show + 1, hint);
    return err_set(e, ENOENT, "there is no guest `%s`%s: `list` shows who is there", show, hint);
}

int targets_add(struct targets *t, struct session *s, const char *word, struct err *e)
{
    char name[128];
    int vcpu, rc = 0;
    bool found = false;

    if (strlen(word) >= sizeof name)
        return err_set(e, ENOENT, "`%.30s...` is too long for a guest's name", word);
    strcpy(name, word);
    vcpu = split_vcpu(name);
    if (vcpu == -2)
        return err_set(e, EINVAL, "`%s` is no target: a vCPU is written as `web.0`",
                       text_show((char[64]){0}, 64, word));
    for (struct guest *g = session_guests(s); g && rc == 0; g = g->next) {
        if (!means(name, g))
            continue;
        found = true;
        if (vcpu >= (int)g->c->vcpus)
            return err_set(e, EINVAL, "%s has no vCPU %d, only 0 to %u", g->c->name, vcpu, g->c->vcpus - 1);
        rc = append(t, g, vcpu);
    }
    return found || rc ? rc : nobody(s, name, e);
}

bool target_split(const char *text, char guests[TARGET_PART_MAX], const char **part)
{
    char *dot;

    if (snprintf(guests, TARGET_PART_MAX, "%s", text) >= TARGET_PART_MAX)
        return false;
    dot = strrchr(guests, '.');
    *part = dot ? dot + 1 : NULL;
    if (dot)
        *dot = '\0';
    return true;
}
