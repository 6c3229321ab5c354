/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * bind: single keys that were given a command by `bind`, at the prompt or in the settings file.
 */
#include "ui/ui_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST = ' ' + 1, LAST = '~' };

/* The prompt stays reachable, whatever is bound. */
static int check_key(const char *key, struct err *e)
{
    if (!key[0] || key[1] || key[0] < FIRST || key[0] > LAST)
        return err_set(e, EINVAL, "a key is one character, as `X`");
    return key[0] == ':' ? err_set(e, EINVAL, "`:` opens this command line and cannot be bound") : 0;
}

static int give(struct ui *u, unsigned char key, const char *line, struct err *e)
{
    char *copy = NULL;

    if (line[0] && !(copy = strdup(line)))
        return err_set(e, ENOMEM, "out of memory");
    free(u->bound[key]);
    u->bound[key] = copy;
    return 0;
}

void bind_list(const struct ui *u, struct text *out, const char *format)
{
    for (char key[2] = {FIRST}; key[0] <= LAST; key[0]++)
        if (u->bound[(unsigned char)key[0]])
            text_printf(out, format, key, u->bound[(unsigned char)key[0]]);
}

int bind_command(void *ui, const char *key, const char *line, struct text *out, struct err *e)
{
    struct ui *u = ui;

    if (!key) {
        bind_list(u, out, "bind %s %s\n");
        return 0;
    }
    if (check_key(key, e) < 0)
        return -EINVAL;
    if (line)
        return give(u, (unsigned char)key[0], line, e);
    if (!u->bound[(unsigned char)key[0]])
        return err_set(e, ENOENT, "`%s` has no command of its own", key);
    text_printf(out, "bind %s %s\n", key, u->bound[(unsigned char)key[0]]);
    return 0;
}

/* Each `%` becomes the names of the tagged guests, else of the selected one. */
static void run(struct ui *u, const char *line)
{
    struct text names = {0}, whole = {0};

    table_targets(u->table, &names);
    for (const char *s = line; *s; s++) {
        if (*s == '%')
            text_puts(&whole, text_str(&names) + (names.len > 0)); /* it begins with a blank */
        else
            text_add(&whole, s, 1);
    }
    if (strchr(line, '%') && !names.len)
        ui_say(u, true, "no guest is selected");
    else
        ui_run_line(u, text_str(&whole));
    text_free(&names);
    text_free(&whole);
}

bool bind_key(struct ui *u, const struct key *k)
{
    const struct view_ops *ops = u->top->ops;

    if (k->special || k->alt || k->code < FIRST || k->code > LAST || ops->overlay || ops->full || ops->raw || !u->bound[k->code])
        return false;
    run(u, u->bound[k->code]);
    return true;
}

void bind_fini(struct ui *u)
{
    for (unsigned i = 0; i < sizeof u->bound / sizeof *u->bound; i++)
        free(u->bound[i]);
}
