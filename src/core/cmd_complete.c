/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd_complete: what could stand where the cursor is.
 */
#include "core/cmd_internal.h"

#include "core/images.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct completion {
    struct session *session;
    const char *word; /* what is there already */
    void (*each)(void *arg, const char *word, bool space);
    void *arg;
};

static void offer(struct completion *c, const char *candidate, bool space)
{
    if (strncmp(candidate, c->word, strlen(c->word)) == 0)
        c->each(c->arg, candidate, space);
}

static void offer_commands(struct completion *c)
{
    for (unsigned i = 0; cmd_at(i); i++)
        offer(c, cmd_at(i)->name, true);
}

static void offer_guests(struct completion *c, bool many)
{
    char group[VM_NAME_MAX + 2];

    for (struct guest *g = session_guests(c->session); g; g = g->next) {
        bool seen = !g->c->group[0] || !many;

        offer(c, g->c->name, true);
        for (struct guest *o = session_guests(c->session); o != g; o = o->next)
            seen |= strcmp(o->c->group, g->c->group) == 0;
        snprintf(group, sizeof group, "@%s", g->c->group);
        if (!seen)
            offer(c, group, true);
    }
    if (many && session_guests(c->session))
        offer(c, "all", true);
}

static void offer_choices(struct completion *c, const char *choices)
{
    char word[32];

    while (choices && *choices) {
        size_t n = strcspn(choices, " ");

        snprintf(word, sizeof word, "%.*s", (int)n, choices);
        offer(c, word, true);
        choices += n + (choices[n] == ' ');
    }
}

static void offer_keyvals(struct completion *c)
{
    static const char *const keys[] = {"image=", "kernel=", "initrd=", "append=", "memory=",    "vcpus=",
                                       "share=", "cap=",    "pin=",    "group=",  "disk=",      "boot=auto",
                                       "boot=direct", "boot=bzimage", "irqchip=user", "mergeable=yes"};
    char word[60];

    for (unsigned i = 0; i < sizeof keys / sizeof *keys; i++)
        offer(c, keys[i], keys[i][strlen(keys[i]) - 1] != '=');
    for (unsigned i = 0; strncmp(c->word, "image=", 6) == 0 && image_at(i); i++) {
        snprintf(word, sizeof word, "image=%s", image_at(i)->name);
        offer(c, word, true);
    }
}

static void offer_options(struct completion *c, const struct cmd *cmd)
{
    for (unsigned i = 0; i < CMD_OPTS_MAX && cmd->opts[i].name; i++)
        offer(c, cmd->opts[i].name, true);
    offer(c, "--json", true);
    offer(c, "--help", true);
}

/* Keys of the user interface's settings, or the values of `key`. */
static void offer_settings(struct completion *c, const char *key)
{
    void *opaque;
    const struct session_setting *ui = session_settings(c->session, &opaque);

    for (; ui && ui->key; ui++) {
        if (!key)
            offer(c, ui->key, true);
        else if (strcmp(key, ui->key) == 0)
            offer_choices(c, ui->choices);
    }
}

static void offer_arg(struct completion *c, const struct cmd_arg *a)
{
    switch (a->kind) {
    case ARG_GUEST:
    case ARG_VCPU:
        offer_guests(c, false);
        break;
    case ARG_GUESTS:
    case ARG_VCPUS:
        offer_guests(c, true);
        break;
    case ARG_COMMAND:
        offer_commands(c);
        break;
    case ARG_KEYVAL:
        offer_keyvals(c);
        break;
    case ARG_KEY:
        offer_settings(c, NULL);
        break;
    default:
        if (strstr(a->name, "VM"))
            offer_guests(c, true);
    }
    offer_choices(c, a->choices);
}

/* The command's argument that the last of `w` is, NULL: none any more. Options are passed over;
 * `value` is set if it is an option's value. */
static const struct cmd_arg *current_arg(const struct cmd *cmd, const struct words *w, bool *value)
{
    const struct cmd_arg *a = cmd->args;
    bool after = false;

    for (unsigned i = 1; i < w->n; i++) {
        *value = after;
        after = false;
        if (*value)
            continue;
        if (w->w[i][0] == '-' && w->w[i][1] && i + 1 < w->n) {
            for (unsigned k = 0; k < CMD_OPTS_MAX && cmd->opts[k].name; k++)
                after |= cmd->opts[k].value && (strcmp(cmd->opts[k].name, w->w[i]) == 0 ||
                                                (cmd->opts[k].abbr && strcmp(cmd->opts[k].abbr, w->w[i]) == 0));
            continue;
        }
        if (i + 1 == w->n)
            break;
        if (a < cmd->args + CMD_ARGS_MAX && a->kind != ARG_NONE && !a->many && a->kind != ARG_TEXT &&
            a->kind != ARG_LINE)
            a++;
    }
    return a < cmd->args + CMD_ARGS_MAX && a->kind != ARG_NONE ? a : NULL;
}

size_t cmd_complete(struct session *s, const char *line, size_t point,
                    void (*each)(void *arg, const char *word, bool space), void *arg)
{
    struct completion c = {.session = s, .each = each, .arg = arg};
    const struct cmd_arg *a;
    const struct cmd *cmd;
    struct words w;
    bool value = false;
    size_t start = point;

    if (words_split_open(line, point, &w) < 0 || w.n == 0)
        return start;
    c.word = w.w[w.n - 1];
    start = w.start[w.n - 1];
    cmd = w.n > 1 ? cmd_find(w.w[0], NULL) : NULL;
    if (w.n == 1)
        offer_commands(&c);
    a = cmd ? current_arg(cmd, &w, &value) : NULL;
    if (cmd && !value && c.word[0] == '-')
        offer_options(&c, cmd);
    else if (a && a->kind == ARG_LINE) /* a command inside */
        start = w.start[2] + cmd_complete(s, line + w.start[2], point - w.start[2], each, arg);
    else if (a && !value)
        offer_arg(&c, a);
    if (cmd && w.n == 3 && cmd->args[0].kind == ARG_KEY)
        offer_settings(&c, w.w[1]);
    words_free(&w);
    return start;
}

static void say_word(void *arg, const char *word, bool space)
{
    (void)space;
    cmd_printf(arg, "%s\n", word);
}

void exec_complete(struct cmd_run *r)
{
    const char *line = r->p.arg[0] ? r->p.arg[0] : "";

    cmd_complete(r->session, line, strlen(line), say_word, r);
    cmd_done(r, CMD_DONE);
}
