/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ui_settings: how the console looks, as settings of `set`, and the file that keeps them:
 * $XDG_CONFIG_HOME/ruche/rc, lines of the same `set` and `bind` commands; `:set save yes` writes it.
 */
#include "ui/ui_internal.h"

#include "core/units.h"
#include "ui/screen.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *get_theme(void *o, char out[SETTING_TEXT])
{
    (void)o;
    (void)out;
    return draw_theme_name(draw_theme());
}

static int set_theme(void *o, const char *v, struct err *e)
{
    for (int t = 0; t < THEMES; t++) {
        if (strcmp(v, draw_theme_name((enum draw_theme)t)) == 0) {
            draw_set_theme((enum draw_theme)t);
            screen_repaint();
            ui_redraw(o);
            return 0;
        }
    }
    return err_set(e, EINVAL, "theme is dark, light or mono");
}

static const char *get_graph(void *o, char out[SETTING_TEXT])
{
    (void)o;
    (void)out;
    return draw_graph_name(draw_graph());
}

static int set_graph(void *o, const char *v, struct err *e)
{
    for (int g = 0; g < GRAPHS; g++) {
        if (strcmp(v, draw_graph_name((enum draw_graph)g)) == 0) {
            draw_set_graph((enum draw_graph)g);
            ui_redraw(o);
            return 0;
        }
    }
    return err_set(e, EINVAL, "graph is braille, block, cp437 or ascii");
}

static const char *get_mouse(void *o, char out[SETTING_TEXT])
{
    (void)out;
    return ((struct ui *)o)->mouse ? "on" : "off";
}

static int set_mouse(void *o, const char *v, struct err *e)
{
    struct ui *u = o;
    int rc = units_bool(v, &u->mouse, e);

    if (rc == 0)
        screen_mouse(u->mouse);
    return rc;
}

static const char *get_columns(void *o, char out[SETTING_TEXT])
{
    table_columns(((struct ui *)o)->table, out);
    return out;
}

static int set_columns(void *o, const char *v, struct err *e)
{
    ui_redraw(o);
    return table_set_columns(((struct ui *)o)->table, v, e);
}

static const char *get_sort(void *o, char out[SETTING_TEXT])
{
    (void)out;
    return table_sort(((struct ui *)o)->table);
}

static int set_sort(void *o, const char *v, struct err *e)
{
    ui_redraw(o);
    return table_set_sort(((struct ui *)o)->table, v, e);
}

static const char *get_save(void *o, char out[SETTING_TEXT])
{
    (void)o;
    (void)out;
    return "no";
}

static int save(struct ui *u, struct err *e);

static int set_save(void *o, const char *v, struct err *e)
{
    bool yes;
    int rc = units_bool(v, &yes, e);

    return rc == 0 && yes ? save(o, e) : rc;
}

static const struct session_setting settings[] = {
    {"theme", "dark light mono", get_theme, set_theme},
    {"graph", "braille block cp437 ascii", get_graph, set_graph},
    {"mouse", "on off", get_mouse, set_mouse},
    {"sort", "none name state cpu share mem exits uptime", get_sort, set_sort},
    {"columns", "all", get_columns, set_columns},
    {"save", "yes", get_save, set_save},
    {NULL, NULL, NULL, NULL},
};

/* The file. */

static bool rc_path(char path[PATH_MAX])
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int n = -1;

    if (config && config[0] == '/')
        n = snprintf(path, PATH_MAX, "%s/ruche/rc", config);
    else if (home && home[0] == '/')
        n = snprintf(path, PATH_MAX, "%s/.config/ruche/rc", home);
    return n > 0 && n < PATH_MAX;
}

static int save(struct ui *u, struct err *e)
{
    char path[PATH_MAX], v[SETTING_TEXT];
    struct text bound = {0};
    FILE *f;

    if (!rc_path(path))
        return err_set(e, ENOENT, "there is no place for settings: set XDG_CONFIG_HOME or HOME");
    for (char *p = path + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(path, 0700);
        *p = '/';
    }
    f = fopen(path, "we");
    if (!f)
        return err_set(e, errno, "`%.100s` cannot be written: %s", path, strerror(errno));
    for (const struct session_setting *s = settings; s->key; s++)
        if (strcmp(s->key, "save") != 0)
            fprintf(f, "set %s %s\n", s->key, s->get(u, v));
    bind_list(u, &bound, "bind %s %s\n");
    fputs(text_str(&bound), f);
    text_free(&bound);
    if (fclose(f) != 0)
        return err_set(e, errno, "`%.100s` cannot be written: %s", path, strerror(errno));
    ui_say(u, false, "written to %s", path);
    return 0;
}

/* What follows `bind`. */
static int apply_bind(struct ui *u, char *line, struct err *e)
{
    char *save_, *key = strtok_r(line, " \t\n", &save_), *command = strtok_r(NULL, "\n", &save_);
    struct text none = {0};

    if (!key || !command)
        return err_set(e, EINVAL, "`bind` needs a key and a command");
    command += strspn(command, " \t");
    if (cmd_check(command, e) < 0)
        return -EINVAL;
    return bind_command(u, key, command, &none, e);
}

static void apply(struct ui *u, char *line, const char *path, unsigned number)
{
    char key[32], value[256];
    struct err e = {0};

    if (line[strspn(line, " \t\n")] == '\0' || line[0] == '#')
        return;
    if (strncmp(line, "bind ", 5) == 0 && apply_bind(u, line + 5, &e) == 0)
        return;
    if (sscanf(line, "set %31s %255s", key, value) == 2)
        for (const struct session_setting *s = settings; s->key; s++)
            if (strcmp(s->key, key) == 0 && strcmp(key, "save") != 0 && s->set(u, value, &e) == 0)
                return;
    ui_say(u, true, "%s:%u: %s", path, number, e.msg[0] ? e.msg : "not a setting of the console");
}

void ui_settings_init(struct ui *u)
{
    char path[PATH_MAX], line[400];
    FILE *f = rc_path(path) ? fopen(path, "re") : NULL;

    session_set_settings(u->session, settings, u);
    for (unsigned n = 1; f && n < 1000 && fgets(line, sizeof line, f); n++)
        apply(u, line, path, n);
    if (f)
        fclose(f);
}

void ui_settings_fini(struct ui *u)
{
    session_set_settings(u->session, NULL, NULL);
}
