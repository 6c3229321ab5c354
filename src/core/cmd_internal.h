/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd_internal: what the commands see of the machinery that runs them. Only cmd*.c, session*.c
 * and the tests of these include it.
 *
 * A command's `exec` finds its arguments in the run, says what it has to say by cmd_printf,
 * cmd_note and cmd_fail, and ends in one of two ways: cmd_done, or cmd_wait with a function
 * that looks again after each event.
 */
#ifndef RUCHE_CORE_CMD_INTERNAL_H
#define RUCHE_CORE_CMD_INTERNAL_H

#include "core/cmd.h"
#include "core/json_out.h"
#include "core/loop.h"
#include "core/session.h"
#include "core/target.h"
#include "core/words.h"

/* A line, taken apart by the table. */
struct cmd_parsed {
    const struct cmd *cmd;
    struct words words;
    const char *arg[CMD_ARGS_MAX]; /* NULL: not given */
    unsigned nrest;                /* of an argument that may be repeated, or a text */
    char **rest;                   /* into words */
    const char *opt[CMD_OPTS_MAX]; /* value, "" for a switch, NULL: not given */
    bool json, help;
};

/* Fills `p` from p->words. -EINVAL and a sentence. p->cmd NULL: an empty line. */
int cmd_parse(struct cmd_parsed *p, struct err *e);
void cmd_parsed_fini(struct cmd_parsed *p);

/* What an ARG_LINE took, as a line; an ARG_TEXT, with one blank between its words. Caller frees. */
char *cmd_rest_line(const struct cmd_parsed *p);
char *cmd_rest_text(const struct cmd_parsed *p);

struct cmd_run {
    struct session *session;
    struct cmd_run *next; /* of the session's runs */
    const struct cmd *cmd;
    struct cmd_parsed p;
    char *line; /* as it can be typed again */
    struct cmd_client client;
    bool abandoned, asked, over;
    bool json;      /* results as JSON */
    bool json_made; /* `out` is JSON already */
    int status;
    struct text out;
    struct targets targets; /* of all its arguments that are targets */

    /* while it waits */
    void (*poll)(struct cmd_run *r);
    bool polling, timed_out, cancelled;
    struct loop_timer *timer;
    struct watcher *watcher;

    /* the command's own */
    void *state;
    void (*state_free)(void *state);
};

/* Output. cmd_printf is kept until the end (or cmd_flush); notes and errors leave at once, each
 * one line. cmd_fail ends the run with status 1; cmd_fail_err with the sentence of `e`. */
void cmd_printf(struct cmd_run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cmd_flush(struct cmd_run *r);
void cmd_note(struct cmd_run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cmd_error(struct cmd_run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cmd_refuse_looker(struct cmd_run *r); /* fails: its client may only look */
void cmd_fail(struct cmd_run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cmd_usage_error(struct cmd_run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The result is JSON: write it into `j`, which goes to r->out. */
struct json_out cmd_json(struct cmd_run *r);

/* `poll` is called now, after every event of the session, every console output that the run
 * watches, and once more with timed_out (after `timeout_ns`, 0: never) or cancelled set; it
 * calls cmd_done or cmd_fail when there is nothing left to wait for. */
void cmd_wait(struct cmd_run *r, void (*poll)(struct cmd_run *r), uint64_t timeout_ns);

/* `poll` is called on output of this console too. */
int cmd_watch(struct cmd_run *r, struct guest *g, enum board_console c);
void cmd_poll(struct cmd_run *r);

/* `--line`, option k of the command: false if that was no line, and the run has ended. */
bool cmd_line_option(struct cmd_run *r, unsigned k, enum board_console *c);

/* Zeroed memory that is freed with the run; NULL ends the run as failed. */
void *cmd_state(struct cmd_run *r, size_t size, void (*free_state)(void *state));

/* For session.c: the runs of a session. */
struct cmd_runs {
    struct cmd_run *first;
    bool reap_posted;
};
struct cmd_runs *session_runs(struct session *s);
void cmd_runs_poll(struct session *s);                   /* something happened */
void cmd_runs_forget(struct session *s, struct guest *g); /* it is being removed */
void cmd_runs_reap(struct session *s);                   /* the loop has ended: tells who waits for a run that is over */
void cmd_runs_free(struct session *s);

/* Several commands one after the other, until one fails; for undo, hooks and `at`. */
struct cmd_batch;
struct cmd_batch *cmd_batch_new(struct session *s, const char *lines, const struct cmd_client *client);

/* The lines as part of `r`, which ends as they do. Their errors are its own; if it speaks, so is what else they say; if
 * it undoes, they leave no record of how to take them back. */
enum cmd_part { CMD_PART_SPEAKS, CMD_PART_UNDOES };
void cmd_run_lines(struct cmd_run *r, const char *lines, enum cmd_part how);

/* Where the command records how it is taken back. NULL (which undo.h takes): it is part of an undo. */
struct undo *cmd_undo(struct cmd_run *r);

/* The functions of the table. */
void exec_list(struct cmd_run *r);
void exec_info(struct cmd_run *r);
void exec_stats(struct cmd_run *r);
void exec_exits(struct cmd_run *r);
void exec_events(struct cmd_run *r);
void exec_start(struct cmd_run *r);
void exec_pause(struct cmd_run *r);
void exec_resume(struct cmd_run *r);
void exec_shutdown(struct cmd_run *r);
void exec_stop(struct cmd_run *r);
void exec_reset(struct cmd_run *r);
void exec_create(struct cmd_run *r);
void exec_remove(struct cmd_run *r);
void exec_share(struct cmd_run *r);
void exec_cap(struct cmd_run *r);
void exec_pin(struct cmd_run *r);
void exec_mem(struct cmd_run *r);
void exec_link(struct cmd_run *r);
void exec_disk(struct cmd_run *r);
void exec_set(struct cmd_run *r);
void exec_console(struct cmd_run *r);
void exec_watch(struct cmd_run *r);
void exec_send(struct cmd_run *r);
void exec_expect(struct cmd_run *r);
void exec_check(struct cmd_run *r);
void exec_lab(struct cmd_run *r);
void exec_log(struct cmd_run *r);
void exec_record(struct cmd_run *r);
void exec_replay(struct cmd_run *r);
void exec_regs(struct cmd_run *r);
void exec_mem_dump(struct cmd_run *r);
void exec_disasm(struct cmd_run *r);
void exec_step(struct cmd_run *r);
void exec_wait(struct cmd_run *r);
void exec_at(struct cmd_run *r);
void exec_bind(struct cmd_run *r);
void exec_undo(struct cmd_run *r);
void exec_help(struct cmd_run *r);
void exec_complete(struct cmd_run *r);
void exec_quit(struct cmd_run *r);

#endif
