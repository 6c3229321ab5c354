/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ui_internal: what the parts of the full-screen console share.
 */
#ifndef RUCHE_UI_INTERNAL_H
#define RUCHE_UI_INTERNAL_H

#include "core/cmd.h"
#include "core/loop.h"
#include "ui/field.h"
#include "ui/model.h"
#include "ui/ui.h"
#include "ui/view.h"

enum { UI_RUNS = 8, UI_MESSAGE = 240 };

/* A command that was given and has not ended. */
struct ui_run {
    struct ui *ui;
    struct cmd_run *run; /* NULL: the slot is free (if !starting) */
    bool used;
    char line[80];
    struct text out;
    bool bad;            /* something was said to CMD_ERROR */
    struct view *pager;  /* shows `out` as it grows */
};

struct ui {
    struct session *session;
    struct loop *loop;
    struct model model;
    struct loop_fd *in, *errors;
    struct loop_timer *draw_timer, *sample_timer;
    uint64_t drawn_ns;
    unsigned hint; /* what to do first is shown: until so many keys did something */
    bool dirty, frozen, mouse, closing, readonly;
    struct view *table;   /* the bottom of the stack */
    struct view *top;     /* who has the focus */
    struct view *dying;   /* popped, freed in the next turn */
    struct ui_run runs[UI_RUNS];
    struct view *attached;      /* the last one of `console`, and the command that made it: */
    struct cmd_run *attach_run; /* only compared, they may be gone */
    struct cmd_run *asking;
    char question[400];
    char message[UI_MESSAGE];
    bool message_bad;
    uint64_t message_ns;
    unsigned scroll_back; /* ticks that the graphs look back */
    char *bound[128];     /* by key: a command, NULL: what it does by itself */
};

/* ui.c */
struct area ui_main_area(struct ui *u);

/* ui_attach.c */
void ui_attach_init(struct ui *u);
void ui_attach_fini(struct ui *u);
void ui_grid(struct ui *u);

/* ui_run.c: commands. */
void ui_run_line(struct ui *u, const char *line);
void ui_open_command(struct ui *u, const char *text);
void ui_cancel_run(struct ui *u, struct view *pager); /* its window was closed */
bool ui_owns(struct ui *u, const struct cmd_run *r);
void ui_answer(struct ui *u, bool yes);
void ui_runs_fini(struct ui *u);

/* ui_settings.c: `set theme light`, the file that keeps them. */
void ui_settings_init(struct ui *u);
void ui_settings_fini(struct ui *u);

/* bind.c: keys that were given a command. */
int bind_command(void *ui, const char *key, const char *line, struct text *out, struct err *e); /* session_views.bind */
bool bind_key(struct ui *u, const struct key *k); /* true: it had one, which was run */
void bind_list(const struct ui *u, struct text *out, const char *format); /* format of a key and its command */
void bind_fini(struct ui *u);

/* hostbar.c: the rows at the top. */
int hostbar_rows(const struct ui *u, int lines);
void hostbar_draw(struct ui *u, int rows, int w);

/* table.c */
struct view *table_new(struct ui *u);
struct row *table_selected(struct view *v);
void table_select(struct view *v, unsigned id);
void table_targets(struct view *v, struct text *out); /* the tagged, else the selected: " a b" */
const char *table_filter(struct view *v);
void table_set_filter(struct view *v, const char *filter);
int table_set_columns(struct view *v, const char *list, struct err *e); /* "name,cpu"; "all" */
void table_columns(struct view *v, char out[SETTING_TEXT]);
int table_set_sort(struct view *v, const char *key, struct err *e);     /* "none": as in the lab */
const char *table_sort(struct view *v);
void table_keybar(struct ui *u, int y, int w);
bool table_keybar_at(struct ui *u, int x, int w, struct key *k); /* the key that a click there means; false: none */

/* panel.c: what is shown below the table. */
enum panel { PANEL_DIVISION, PANEL_VCPUS, PANEL_EXITS, PANEL_MEMORY, PANEL_NONE, PANELS };
void panel_draw(struct ui *u, enum panel p, struct row *r, struct area a);
void panel_division(struct ui *u, struct area a);
int panel_vcpus(struct ui *u, struct row *r, struct area a); /* rows used */
int panel_exits(struct ui *u, struct row *r, struct area a);
int panel_exits_rows(struct ui *u, struct row *r); /* rows that it needs */
int panel_memory(struct ui *u, struct row *r, struct area a);
int panel_memory_rows(void);
int panel_disks(struct ui *u, struct row *r, struct area a); /* panel_io.c */
int panel_disks_rows(const struct row *r);                   /* 0: it has none */
int panel_nets(struct ui *u, struct row *r, struct area a);
int panel_nets_rows(const struct row *r);
enum { PANEL_HISTORY_ROWS = 48 }; /* at most, its title too */
int panel_history(struct ui *u, struct row *r, enum past_field f, const char *title, struct area a); /* panel_history.c */
void panel_rule(int y, int x, int w, const char *title);

/* detail.c, overlay.c */
struct view *detail_new(struct ui *u, unsigned id);
struct view *pager_new(struct ui *u, const char *title);
struct view *sentence_new(struct ui *u, const char *title, const char *sentence, int w); /* in lines of `w` */
void pager_set(struct view *v, const char *text, size_t len); /* copied */
struct view *help_new(struct ui *u, const struct view_ops *of);
struct view *explain_new(struct ui *u, int i); /* a field_id, or FIELDS + number of a figure */

/* figures.c: explanations of what is no column. */
enum { FIGURE_TEXT = 160 };

struct figure {
    const char *where, *title, *what, *formula, *source; /* where: "host bar", "detail" */
    void (*now)(struct ui *u, struct row *r, char *out); /* FIGURE_TEXT bytes; r: the selected guest's */
    bool of_guest;                                       /* it is a figure of that guest */
};
const struct figure *figure_at(int i); /* NULL past the end */
int figure_count(void);
int figure_first(const char *where);

/* keys.c: keys of the table and the detail pane; true: it was one. */
bool keys_guest(struct ui *u, const struct key *k);
extern const struct key_help keys_common[];

#endif
