/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * prompt: see prompt.h.
 */
#include "ui/prompt.h"

#include "core/cmd.h"
#include "core/loop.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <readline/history.h>
#include <readline/readline.h>

enum { HISTORY_MAX = 2000 };

static struct {
    struct session *session;
    void (*line)(void *arg, const char *text);
    void *arg;
    struct loop_fd *in;
    bool shown, keep;
    char history[PATH_MAX];
    char **matches; /* while completing */
    size_t nmatches;
    bool space;
} the_prompt;

/* History. */

static void make_dirs(char *path)
{
    for (char *p = path + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(path, 0700);
        *p = '/';
    }
}

static void open_history(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n = -1;

    if (state && state[0] == '/')
        n = snprintf(the_prompt.history, sizeof the_prompt.history, "%s/ruche/history", state);
    else if (home && home[0] == '/')
        n = snprintf(the_prompt.history, sizeof the_prompt.history, "%s/.local/state/ruche/history", home);
    if (n <= 0 || n >= (int)sizeof the_prompt.history)
        the_prompt.history[0] = '\0';
    using_history();
    stifle_history(HISTORY_MAX);
    if (the_prompt.history[0])
        read_history(the_prompt.history);
}

void prompt_save(void)
{
    mode_t mask;

    if (!the_prompt.history[0])
        return;
    make_dirs(the_prompt.history);
    mask = umask(0177);
    write_history(the_prompt.history);
    umask(mask);
}

void prompt_remember(const char *line)
{
    HIST_ENTRY *last = history_length ? history_get(history_base + history_length - 1) : NULL;

    if (*line && (!last || strcmp(last->line, line) != 0))
        add_history(line);
}

/* Completion: cmd_complete knows the words, readline shows them. */

static void add_match(void *arg, const char *word, bool space)
{
    char **p = realloc(the_prompt.matches, (the_prompt.nmatches + 1) * sizeof *p);

    (void)arg;
    if (!p)
        return;
    the_prompt.matches = p;
    p[the_prompt.nmatches] = strdup(word);
    the_prompt.nmatches += p[the_prompt.nmatches] != NULL;
    the_prompt.space = space;
}

static char *next_match(const char *text, int state)
{
    static size_t i;

    (void)text;
    if (state == 0)
        i = 0;
    return i < the_prompt.nmatches ? the_prompt.matches[i++] : NULL; /* readline frees it */
}

static char **complete(const char *text, int start, int end)
{
    char **found;

    (void)start;
    the_prompt.nmatches = 0;
    cmd_complete(the_prompt.session, rl_line_buffer, (size_t)end, add_match, NULL);
    rl_attempted_completion_over = the_prompt.nmatches > 0; /* else names of files */
    rl_completion_append_character = the_prompt.space ? ' ' : '\0';
    found = the_prompt.nmatches ? rl_completion_matches(text, next_match) : NULL;
    free(the_prompt.matches);
    the_prompt.matches = NULL;
    return found;
}

/* Reading. */

static void on_line(char *text)
{
    prompt_hide();
    if (text && the_prompt.keep)
        prompt_remember(text);
    the_prompt.line(the_prompt.arg, text);
    free(text);
}

static void on_input(void *arg, uint32_t events)
{
    (void)arg;
    if (!the_prompt.shown)
        return;
    if ((events & (EPOLLHUP | EPOLLERR)) && !(events & EPOLLIN)) {
        on_line(NULL);
        return;
    }
    rl_callback_read_char();
}

void prompt_setup(struct session *s)
{
    the_prompt.session = s;
    rl_readline_name = "ruche";
    rl_catch_signals = 0;
    rl_catch_sigwinch = 0;
    rl_change_environment = 0;
    rl_attempted_completion_function = complete;
    rl_completer_word_break_characters = " \t\n"; /* `web*`, `key=value` are one word */
    rl_completer_quote_characters = "'\"";
    open_history();
}

int prompt_open(struct session *s, void (*line)(void *arg, const char *text), void *arg, struct err *e)
{
    (void)e;
    the_prompt.line = line;
    the_prompt.arg = arg;
    prompt_setup(s);
    return 0;
}

void prompt_close(void)
{
    prompt_hide();
    prompt_save();
}

void prompt_show(const char *prompt, bool keep)
{
    if (the_prompt.shown)
        return;
    the_prompt.keep = keep;
    rl_callback_handler_install(prompt, on_line);
    the_prompt.shown = true;
    the_prompt.in = loop_add_fd(session_loop(the_prompt.session), 0, EPOLLIN, on_input, NULL, NULL);
}

void prompt_hide(void)
{
    if (!the_prompt.shown)
        return;
    the_prompt.shown = false;
    loop_del_fd(the_prompt.in);
    the_prompt.in = NULL;
    rl_callback_handler_remove();
}

void prompt_interrupt(void)
{
    if (!the_prompt.shown)
        return;
    rl_callback_sigcleanup();
    rl_free_line_state();
    rl_replace_line("", 0);
    rl_crlf();
    rl_on_new_line();
    rl_redisplay();
}

void prompt_resize(void)
{
    if (the_prompt.shown)
        rl_resize_terminal();
}

void prompt_print(bool error, const char *text, size_t len)
{
    FILE *to = error ? stderr : stdout;

    if (the_prompt.shown)
        rl_clear_visible_line();
    fwrite(text, 1, len, to);
    fflush(to);
    if (the_prompt.shown) {
        rl_on_new_line();
        rl_redisplay();
    }
}
