/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cmd: the commands, and how one is run.
 *
 * Each command is a row of one table (cmd_table.c). The same grammar serves the prompt, --exec,
 * --script, hooks of the lab file and `ruche ctl`; completion, help and the man page are made
 * from the table too.
 *
 * A command that runs is a `struct cmd_run`. It never blocks: it either ends at once or waits
 * for events and a time limit. What it says goes to its client, in three streams: what was
 * asked for, remarks, and errors. It ends with a status: 0 done, 1 refused or failed, 2 usage.
 * A client has at most one run at a time; the order of several is its own business.
 *
 * Threads: main's.
 */
#ifndef RUCHE_CORE_CMD_H
#define RUCHE_CORE_CMD_H

#include "core/err.h"
#include "core/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct session;
struct guest;
struct cmd_run;

enum { CMD_LINE_MAX = 64 << 10 }; /* bytes of one command */
enum { CMD_ARGS_MAX = 4, CMD_OPTS_MAX = 4 };

enum cmd_status { CMD_DONE = 0, CMD_FAILED = 1, CMD_USAGE = 2 };
enum cmd_stream { CMD_OUT, CMD_NOTE, CMD_ERROR };

enum cmd_arg_kind {
    ARG_NONE,
    ARG_GUEST,   /* a target that is one guest */
    ARG_GUESTS,  /* a target: one guest or many */
    ARG_VCPU,    /* NAME or NAME.vcpu */
    ARG_VCPUS,   /* the same, one or many */
    ARG_WORD,
    ARG_FILE,
    ARG_COMMAND, /* name of a command */
    ARG_KEY,     /* of `set` */
    ARG_KEYVAL,  /* KEY=VALUE of `create` */
    ARG_TEXT,    /* all that follows, as one text */
    ARG_LINE,    /* all that follows, as a command */
};

struct cmd_arg {
    const char *name; /* as in the usage: "VM" */
    enum cmd_arg_kind kind;
    bool optional, many; /* many: the last one, repeated */
    const char *choices; /* words that can stand here, "stopped paused", for completion */
};

struct cmd_opt {
    const char *name;  /* "--lines" */
    const char *abbr;  /* "-n", NULL: none */
    const char *value; /* what follows it, NULL: nothing */
    const char *help;
};

enum cmd_flags {
    CMD_DESTRUCTIVE = 1 << 0, /* asks where there is somebody to ask; its name cannot be shortened */
    CMD_LOOKS = 1 << 1,       /* changes neither guests nor files: for a client that may only look, too */
};

struct cmd {
    const char *name, *alias; /* alias may be NULL */
    const char *help;         /* one line */
    const char *more;         /* some lines, NULL: none */
    struct cmd_arg args[CMD_ARGS_MAX];
    struct cmd_opt opts[CMD_OPTS_MAX]; /* every command has --json besides */
    unsigned flags;
    void (*exec)(struct cmd_run *r);
};

/* Who runs commands. `write` gets whole lines, but from commands that stream. */
struct cmd_client {
    void (*write)(void *opaque, enum cmd_stream to, const char *text, size_t len);
    void (*done)(void *opaque, int status); /* the run is over and its pointer no longer valid */
    void (*gone)(void *opaque);             /* the session is freed, there will be no `done`; or NULL */
    void (*ask)(void *opaque, struct cmd_run *r, const char *question); /* NULL: nobody to ask */
    size_t (*room)(void *opaque); /* bytes that a stream may write now; NULL: any number */
    void *opaque;
    bool json; /* results as JSON, one line, as if --json were given */
    bool undoes;     /* its commands take others back: they leave no record of their own */
    bool looks_only; /* commands that change something are refused (but the console's own settings) */
};

/* The i-th command in the order of the table, NULL past the end. */
const struct cmd *cmd_at(unsigned i);

/* By name, alias or unambiguous beginning. NULL and `e`: unknown or ambiguous, with a suggestion. */
const struct cmd *cmd_find(const char *word, struct err *e);

/* "expect VM REGEX [TIMEOUT]" */
const char *cmd_usage(const struct cmd *c, char *out, size_t size);

/* Is the line a command with the right number of arguments? Names of guests are not looked up.
 * 0 also for an empty line or a comment; -EINVAL. */
int cmd_check(const char *line, struct err *e);

/* Begins a command. `done` is called later from the loop in every case, also if it is refused
 * at once. NULL only if out of memory. An empty line is done with status 0. */
struct cmd_run *cmd_start(struct session *s, const char *line, const struct cmd_client *client);
struct cmd_run *cmd_start_words(struct session *s, char *const *words, unsigned n,
                                const struct cmd_client *client);

/* The answer to cmd_client.ask. */
void cmd_answer(struct cmd_run *r, bool yes);

/* The person does not want to wait any longer: ends with status 1. */
void cmd_cancel(struct cmd_run *r);

/* The client is going away: nothing is written to it any more, `done` is not called. */
void cmd_abandon(struct cmd_run *r);

/* For who took over a run (session_set_attach): its end. */
void cmd_done(struct cmd_run *r, int status);
const struct cmd *cmd_of(const struct cmd_run *r);
bool cmd_is_over(const struct cmd_run *r); /* only `done` is still to come */
bool cmd_is_of(const struct cmd_run *r, const void *opaque); /* does it belong to that client? */

/* What could stand at byte `point` of `line`: calls `each` for each word, `space` if a blank
 * may follow. Returns the offset where the word under the point begins. */
size_t cmd_complete(struct session *s, const char *line, size_t point,
                    void (*each)(void *arg, const char *word, bool space), void *arg);

/* Help as text: of all, of one; the table as roff for the man page. */
void cmd_help_all(struct text *out);
void cmd_help_one(const struct cmd *c, struct text *out);
void cmd_help_man(struct text *out);

#endif
