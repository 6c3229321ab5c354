/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * lab_words: see lab_words.h. The words are written as YAML and read by the lab reader.
 */
#include "core/lab_words.h"

#include "core/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A double-quoted YAML scalar of `len` bytes. */
static void quote(struct text *t, const char *s, size_t len)
{
    text_putc(t, '"');
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '"' || s[i] == '\\')
            text_printf(t, "\\%c", s[i]);
        else if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            text_printf(t, "\\x%02x", (unsigned char)s[i]);
        else
            text_putc(t, s[i]);
    }
    text_putc(t, '"');
}

/* PATH[,readonly][,overlay[=FILE]][,KEY=VALUE]... */
static int disk(struct text *t, const char *spec, struct err *e)
{
    size_t len = strcspn(spec, ",");

    if (len == 0)
        return err_set(e, EINVAL, "a disk begins with its path: disk=PATH[,readonly|,overlay][,size=SIZE]");
    text_puts(t, "{path: ");
    quote(t, spec, len);
    for (spec += len; *spec == ','; spec += len) {
        const char *equals;

        len = strcspn(++spec, ",");
        equals = memchr(spec, '=', len);
        text_puts(t, ", ");
        if (len == 2 && strncmp(spec, "ro", 2) == 0)
            text_puts(t, "readonly");
        else
            quote(t, spec, equals ? (size_t)(equals - spec) : len);
        text_puts(t, ": ");
        if (equals)
            quote(t, equals + 1, len - (size_t)(equals + 1 - spec));
        else
            text_puts(t, "true");
    }
    text_putc(t, '}');
    return 0;
}

static int disks(struct text *t, char *const *words, unsigned n, struct err *e)
{
    bool any = false;
    int rc = 0;

    for (unsigned i = 0; i < n && rc == 0; i++) {
        if (strncmp(words[i], "disk=", 5) != 0)
            continue;
        text_puts(t, any ? ", " : ", disks: [");
        any = true;
        rc = disk(t, words[i] + 5, e);
    }
    if (any)
        text_putc(t, ']');
    return rc;
}

static int write_yaml(struct text *t, const char *name, char *const *words, unsigned n, struct err *e)
{
    text_puts(t, "guests: {");
    quote(t, name, strlen(name));
    text_puts(t, ": {autostart: true");
    for (unsigned i = 0; i < n; i++) {
        const char *equals = strchr(words[i], '=');

        if (!equals || equals == words[i])
            return err_set(e, EINVAL, "`%s` is not KEY=VALUE, as `memory=256M`",
                           text_show((char[60]){0}, 60, words[i]));
        if (strncmp(words[i], "disk=", 5) == 0)
            continue;
        if (strncmp(words[i], "autostart=", 10) == 0 || strncmp(words[i], "count=", 6) == 0)
            return err_set(e, EINVAL, "`%.*s` belongs into a lab file", (int)(equals - words[i]), words[i]);
        text_puts(t, ", ");
        quote(t, words[i], (size_t)(equals - words[i]));
        text_puts(t, ": ");
        quote(t, equals + 1, strlen(equals + 1));
    }
    if (disks(t, words, n, e) < 0)
        return -EINVAL;
    text_puts(t, "}}\n");
    return t->full ? err_set(e, ENOMEM, "out of memory") : 0;
}

struct lab *lab_from_words(const char *name, char *const *words, unsigned n, const struct lab_host *h,
                           struct err *e)
{
    struct diags *d = diags_new("");
    struct text yaml = {0};
    struct lab *lab = NULL;

    if (!d) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    if (write_yaml(&yaml, name, words, n, e) == 0) {
        lab = lab_parse(text_str(&yaml), yaml.len, "", h, d);
        if (!lab)
            err_set(e, EINVAL, "%s", d->n ? d->d[0].msg : "this is no guest");
    }
    text_free(&yaml);
    diags_free(d);
    return lab;
}
