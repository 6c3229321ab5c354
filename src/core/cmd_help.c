/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd_help: finding a command by its name, and what people read about it.
 *
 * A name may be shortened as long as only one command begins so; those that destroy something
 * are written out, so that no slip of the finger does.
 */
#include "core/cmd_internal.h"

#include "core/columns.h"
#include "core/suggest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int ambiguous(const char *word, struct err *e)
{
    struct text names = {.limit = 200};
    int rc;

    for (unsigned i = 0; cmd_at(i); i++)
        if (strncmp(cmd_at(i)->name, word, strlen(word)) == 0)
            text_printf(&names, "%s`%s`", names.len ? ", " : "", cmd_at(i)->name);
    rc = err_set(e, EINVAL, "`%s` could be %s", word, text_str(&names));
    text_free(&names);
    return rc;
}

static void unknown(const char *word, struct err *e)
{
    struct suggest s = suggest_begin(word);
    char show[40], hint[80];

    for (unsigned i = 0; cmd_at(i); i++)
        suggest_offer(&s, cmd_at(i)->name);
    err_set(e, EINVAL, "there is no command `%s`%s; `help` lists them", text_show(show, sizeof show, word),
            suggest_text(&s, hint, sizeof hint));
}

const struct cmd *cmd_find(const char *word, struct err *e)
{
    const struct cmd *found = NULL;
    unsigned n = 0, destructive = 0;

    for (unsigned i = 0; cmd_at(i); i++) {
        const struct cmd *c = cmd_at(i);

        if (strcmp(c->name, word) == 0 || (c->alias && strcmp(c->alias, word) == 0))
            return c;
        if (!*word || strncmp(c->name, word, strlen(word)) != 0)
            continue;
        n++;
        destructive += (c->flags & CMD_DESTRUCTIVE) != 0;
        found = c;
    }
    if (n == 1 && !destructive)
        return found;
    if (n == 1)
        err_set(e, EINVAL, "`%s` is written out: its name cannot be shortened", found->name);
    else if (n > 1)
        ambiguous(word, e);
    else
        unknown(word, e);
    return NULL;
}

const char *cmd_usage(const struct cmd *c, char *out, size_t size)
{
    struct text t = {.limit = size - 1};

    text_puts(&t, c->name);
    for (unsigned i = 0; i < CMD_OPTS_MAX && c->opts[i].name; i++)
        text_printf(&t, " [%s%s%s]", c->opts[i].abbr ? c->opts[i].abbr : c->opts[i].name,
                    c->opts[i].value ? " " : "", c->opts[i].value ? c->opts[i].value : "");
    for (unsigned i = 0; i < CMD_ARGS_MAX && c->args[i].kind != ARG_NONE; i++)
        text_printf(&t, c->args[i].optional ? " [%s%s]" : " %s%s", c->args[i].name,
                    c->args[i].many || c->args[i].kind == ARG_TEXT || c->args[i].kind == ARG_LINE ? "..." : "");
    snprintf(out, size, "%s", text_str(&t));
    text_free(&t);
    return out;
}

void cmd_help_all(struct text *out)
{
    struct columns c;
    char usage[200];

    columns_init(&c, "<|<");
    for (unsigned i = 0; cmd_at(i); i++) {
        columns_cell(&c, "%s", cmd_at(i)->name);
        columns_cell(&c, "%s", cmd_at(i)->help);
    }
    c.ncells -= 2; /* the empty titles */
    memmove(c.cells.buf, c.cells.buf + 2, c.cells.len -= 2);
    columns_print(&c, out);
    columns_fini(&c);
    text_printf(out, "\nVM is a name, `web*`, `n[1-8]`, `@group` or `all`; NAME.0 is a vCPU. Every command takes\n"
                     "--json. `help COMMAND` tells more: %s\n", cmd_usage(cmd_find("expect", NULL), usage, sizeof usage));
}

void cmd_help_one(const struct cmd *c, struct text *out)
{
    char usage[200];

    text_printf(out, "%s\n    %s", cmd_usage(c, usage, sizeof usage), c->help);
    if (c->alias)
        text_printf(out, " (also `%s`)", c->alias);
    text_putc(out, '\n');
    for (unsigned i = 0; i < CMD_OPTS_MAX && c->opts[i].name; i++) {
        const struct cmd_opt *o = &c->opts[i];
        char name[60];

        snprintf(name, sizeof name, "%s%s%s%s%s", o->abbr ? o->abbr : "", o->abbr ? ", " : "", o->name,
                 o->value ? " " : "", o->value ? o->value : "");
        text_printf(out, "    %-22s %s\n", name, o->help);
    }
    if (!c->more)
        return;
    for (const char *p = c->more; *p;) {
        size_t n = strcspn(p, "\n");

        text_printf(out, "    %.*s\n", (int)n, p);
        p += n + (p[n] == '\n');
    }
}

/* Text as roff: backslashes and dashes escaped, `x` bold. */
static void roff(struct text *out, const char *s)
{
    bool bold = false;

    for (; *s; s++) {
        if (*s == '`') {
            text_puts(out, bold ? "\\fR" : "\\fB");
            bold = !bold;
        } else if (*s == '\\') {
            text_puts(out, "\\e");
        } else if (*s == '-') {
            text_puts(out, "\\-");
        } else if (*s == '\n') {
            text_putc(out, '\n');
            if (s[1] == '.' || s[1] == '\'')
                text_puts(out, "\\&");
        } else {
            text_putc(out, *s);
        }
    }
}

static void man_one(const struct cmd *c, struct text *out)
{
    char usage[200];
    const char *args = cmd_usage(c, usage, sizeof usage) + strlen(c->name);

    text_puts(out, ".TP\n\\fB");
    roff(out, c->name);
    text_puts(out, "\\fR");
    roff(out, args);
    text_putc(out, '\n');
    text_printf(out, "%c", c->help[0] - 'a' + 'A');
    roff(out, c->help + 1);
    if (c->alias)
        text_printf(out, " (also \\fB%s\\fR)", c->alias);
    text_puts(out, ".\n");
    if (c->more) {
        roff(out, c->more);
        text_putc(out, '\n');
    }
    for (unsigned i = 0; i < CMD_OPTS_MAX && c->opts[i].name; i++) {
        const struct cmd_opt *o = &c->opts[i];

        text_puts(out, ".RS\n.TP\n\\fB");
        if (o->abbr) {
            roff(out, o->abbr);
            text_puts(out, "\\fR, \\fB");
        }
        roff(out, o->name);
        text_printf(out, "\\fR%s%s\n", o->value ? " " : "", o->value ? o->value : "");
        roff(out, o->help);
        text_puts(out, "\n.RE\n");
    }
}

void cmd_help_man(struct text *out)
{
    for (unsigned i = 0; cmd_at(i); i++)
        man_one(cmd_at(i), out);
}

void exec_help(struct cmd_run *r)
{
    const struct cmd *c;
    struct err e;

    if (r->p.opt[0]) {
        cmd_help_man(&r->out);
    } else if (!r->p.arg[0]) {
        cmd_help_all(&r->out);
    } else {
        c = cmd_find(r->p.arg[0], &e);
        if (!c) {
            cmd_fail(r, "%s", e.msg);
            return;
        }
        cmd_help_one(c, &r->out);
    }
    cmd_done(r, CMD_DONE);
}
