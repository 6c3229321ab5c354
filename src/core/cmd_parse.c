/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd_parse: words against the row of a command.
 *
 * Options may stand anywhere before a text begins; `--` ends them. --json and --help are known
 * to every command. The last argument may be repeated (`many`) or take all that is left (text,
 * a command's line).
 */
#include "core/cmd_internal.h"

#include "core/suggest.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool takes_rest(const struct cmd_arg *a)
{
    return a->many || a->kind == ARG_TEXT || a->kind == ARG_LINE;
}

static unsigned count_args(const struct cmd *c)
{
    unsigned n = 0;

    while (n < CMD_ARGS_MAX && c->args[n].kind != ARG_NONE)
        n++;
    return n;
}

static int unknown_option(const struct cmd *c, const char *word, struct err *e)
{
    struct suggest s = suggest_begin(word);
    char hint[80], show[40];

    for (unsigned i = 0; i < CMD_OPTS_MAX && c->opts[i].name; i++)
        suggest_offer(&s, c->opts[i].name);
    suggest_offer(&s, "--json");
    return err_set(e, EINVAL, "`%s` has no option `%s`%s; after `--` a word may begin with `-`", c->name,
                   text_show(show, sizeof show, word), suggest_text(&s, hint, sizeof hint));
}

/* One option at word *i. */
static int parse_option(struct cmd_parsed *p, unsigned *i, struct err *e)
{
    const char *word = p->words.w[*i], *equals = strchr(word, '=');
    size_t len = equals && word[1] == '-' ? (size_t)(equals - word) : strlen(word);
    unsigned k = 0;

    if (strcmp(word, "--json") == 0 || strcmp(word, "--help") == 0) {
        p->json |= word[2] == 'j';
        p->help |= word[2] == 'h';
        return 0;
    }
    for (; k < CMD_OPTS_MAX && p->cmd->opts[k].name; k++) {
        const struct cmd_opt *o = &p->cmd->opts[k];

        if ((strlen(o->name) == len && strncmp(o->name, word, len) == 0) ||
            (o->abbr && strcmp(o->abbr, word) == 0))
            break;
    }
    if (k == CMD_OPTS_MAX || !p->cmd->opts[k].name)
        return unknown_option(p->cmd, word, e);
    if (!p->cmd->opts[k].value) {
        p->opt[k] = "";
        return word[len] ? err_set(e, EINVAL, "`%s` takes no value", p->cmd->opts[k].name) : 0;
    }
    if (word[len])
        p->opt[k] = word + len + 1;
    else if (*i + 1 < p->words.n)
        p->opt[k] = p->words.w[++*i];
    else
        return err_set(e, EINVAL, "`%s` needs a value: %s %s", p->cmd->opts[k].name, p->cmd->opts[k].name,
                       p->cmd->opts[k].value);
    return 0;
}

static int parse_args(struct cmd_parsed *p, struct err *e)
{
    unsigned nargs = count_args(p->cmd), at = 0;
    bool options = true;

    for (unsigned i = 1; i < p->words.n; i++) {
        char *word = p->words.w[i];
        const struct cmd_arg *a = at < nargs ? &p->cmd->args[at] : NULL;
        int rc;

        if (options && strcmp(word, "--") == 0) {
            options = false;
            continue;
        }
        if (options && word[0] == '-' && word[1] && !isdigit((unsigned char)word[1])) {
            rc = parse_option(p, &i, e);
            if (rc)
                return rc;
            continue;
        }
        if (!a)
            return err_set(e, EINVAL, "`%s` takes no more than %u argument%s", p->cmd->name, nargs,
                           nargs == 1 ? "" : "s");
        if (!takes_rest(a)) {
            p->arg[at++] = word;
            continue;
        }
        if (!p->nrest) {
            p->rest = &p->words.w[i];
            p->arg[at] = word;
        }
        if (a->kind == ARG_TEXT || a->kind == ARG_LINE) { /* all that follows, options too */
            p->nrest = p->words.n - i;
            return 0;
        }
        p->words.w[i] = p->rest[p->nrest]; /* options may stand between: bring them together */
        p->rest[p->nrest++] = word;
    }
    return 0;
}

int cmd_parse(struct cmd_parsed *p, struct err *e)
{
    unsigned nargs;
    int rc;

    p->cmd = NULL;
    if (p->words.n == 0)
        return 0;
    p->cmd = cmd_find(p->words.w[0], e);
    if (!p->cmd)
        return -EINVAL;
    rc = parse_args(p, e);
    nargs = count_args(p->cmd);
    for (unsigned i = 0; i < nargs && rc == 0 && !p->help; i++)
        if (!p->arg[i] && !p->cmd->args[i].optional)
            rc = err_set(e, EINVAL, "`%s` needs %s", p->cmd->name, p->cmd->args[i].name);
    return rc;
}

char *cmd_rest_line(const struct cmd_parsed *p)
{
    struct text t = {0};

    if (p->nrest == 1) /* a whole line in quotes */
        return strdup(p->rest[0]);
    for (unsigned k = 0; k < p->nrest; k++)
        words_quote(&t, p->rest[k]);
    return text_take(&t);
}

char *cmd_rest_text(const struct cmd_parsed *p)
{
    struct text t = {0};

    for (unsigned k = 0; k < p->nrest; k++)
        text_printf(&t, "%s%s", k ? " " : "", p->rest[k]);
    return text_take(&t);
}

void cmd_parsed_fini(struct cmd_parsed *p)
{
    words_free(&p->words);
}

static int check_line(const char *line, unsigned depth, struct err *e)
{
    struct cmd_parsed p = {0};
    int rc = strlen(line) > CMD_LINE_MAX ? err_set(e, EINVAL, "a command has at most %d bytes", CMD_LINE_MAX)
                                         : words_split(line, &p.words, e);

    if (rc == 0)
        rc = cmd_parse(&p, e);
    if (rc == 0 && p.cmd && p.nrest && p.cmd->args[count_args(p.cmd) - 1].kind == ARG_LINE) {
        char *inner = cmd_rest_line(&p); /* `at TIME COMMAND` */

        rc = depth < 4 ? check_line(inner ? inner : "", depth + 1, e)
                       : err_set(e, EINVAL, "commands are nested too deep");
        free(inner);
    }
    cmd_parsed_fini(&p);
    return rc;
}

int cmd_check(const char *line, struct err *e)
{
    return check_line(line, 0, e);
}
