/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * line_mode: see line_mode.h.
 *
 * At any time one of three has the terminal: the prompt, a command that runs, or a guest
 * (attach). Events are printed above the prompt, but not into a guest's screen.
 */
#include "ui/line_mode.h"

#include "core/cmd.h"
#include "ui/attach.h"
#include "ui/prompt.h"
#include "ui/term.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

struct line_mode {
    struct session *session;
    struct cmd_run *run;    /* what the person waits for */
    struct cmd_run *asking; /* waits for y or n */
    struct attach *attach;
    struct cmd_run *attach_run; /* the `console` command, NULL: begun without one */
    bool quit_with_guest;
    unsigned ends; /* Ctrl-D in a row while guests run */
};

static const char prompt_text[] = "ruche> ";

static void show_prompt(struct line_mode *m)
{
    if (!m->run && !m->attach && !session_quitting(m->session))
        prompt_show(prompt_text, true);
}

/* The client of commands. */

static void client_write(void *opaque, enum cmd_stream to, const char *text, size_t len)
{
    (void)opaque;
    prompt_print(to != CMD_OUT, text, len);
}

static void client_done(void *opaque, int status)
{
    struct line_mode *m = opaque;

    (void)status;
    m->run = NULL;
    show_prompt(m);
}

static void output_done(void *opaque, int status) /* of hooks and of `at`: nobody waits for them */
{
    (void)opaque;
    (void)status;
}

static void client_gone(void *opaque)
{
    ((struct line_mode *)opaque)->run = NULL;
}

static void client_ask(void *opaque, struct cmd_run *r, const char *question)
{
    struct line_mode *m = opaque;
    char prompt[440];

    m->asking = r;
    snprintf(prompt, sizeof prompt, "%s [y/N] ", question);
    prompt_show(prompt, false);
}

static void run_line(struct line_mode *m, const char *text)
{
    struct cmd_client c = {.write = client_write, .done = client_done, .gone = client_gone, .ask = client_ask,
                           .opaque = m};
    struct cmd_run *r = cmd_start(m->session, text, &c);

    m->run = r;
    if (!r)
        show_prompt(m);
}

static void end_of_input(struct line_mode *m)
{
    static const char warning[] = "\nguests are running: `quit` (or Ctrl-D again) stops them and ends\n";

    if (m->ends++ == 0 && session_running(m->session)) {
        prompt_print(true, warning, strlen(warning));
        show_prompt(m);
        return;
    }
    prompt_print(true, "\n", 1);
    session_quit(m->session, 0);
}

static void on_line(void *arg, const char *text)
{
    struct line_mode *m = arg;
    struct cmd_run *r = m->asking;

    m->asking = NULL;
    if (r)
        cmd_answer(r, text && (strcasecmp(text, "y") == 0 || strcasecmp(text, "yes") == 0));
    else if (!text)
        end_of_input(m);
    else
        run_line(m, text);
    if (text)
        m->ends = 0;
}

/* A guest's terminal. */

static void attach_over(void *arg, enum attach_end why)
{
    struct line_mode *m = arg;
    struct cmd_run *r = m->attach_run;
    static const char detached[] = "\r\ndetached\n", lost[] = "\r\nthe terminal is gone\n";
    bool leaving = why == ATTACH_LOST || (why == ATTACH_GUEST_ENDED && m->quit_with_guest);

    m->attach = NULL;
    m->attach_run = NULL;
    if (why == ATTACH_DETACHED)
        prompt_print(true, detached, strlen(detached));
    if (why == ATTACH_LOST)
        prompt_print(true, lost, strlen(lost));
    if (leaving)
        session_quit_when_idle(m->session);
    if (why == ATTACH_LOST)
        session_quit(m->session, 1);
    m->quit_with_guest = false;
    if (r)
        cmd_done(r, CMD_DONE);
    else if (!leaving)
        show_prompt(m);
}

static int begin_attach(struct line_mode *m, struct guest *g, enum board_console c, struct err *e)
{
    if (m->attach)
        return err_set(e, EBUSY, "the terminal is attached to %s already", attach_guest(m->attach)->c->name);
    prompt_hide();
    m->attach = attach_new(m->session, g, c, attach_over, m, e);
    return m->attach ? 0 : -ENOMEM;
}

/* The session's hook for `console VM`. Only our own command may take our terminal. */
static int on_attach(void *opaque, struct guest *g, enum board_console c, struct cmd_run *run, struct err *e)
{
    struct line_mode *m = opaque;
    enum vm_state s = vm_state(g->vm);
    int rc;

    if (!cmd_is_of(run, m))
        return err_set(e, ENOTTY, "`console` needs a terminal of its own: use it at the prompt; here `watch`, `send` "
                       "and `expect` do the same");
    if (!guest_is_up(g) && !g->starting && !g->want_start)
        return err_set(e, EINVAL, "%s is %s: `start %s` first; `watch %s` shows what it said", g->c->name,
                       vm_state_name(s), g->c->name, g->c->name);
    rc = begin_attach(m, g, c, e);
    if (rc == 0)
        m->attach_run = run;
    return rc;
}

/* What happens. */

static void print_event(const struct event *ev)
{
    char line[ERR_TEXT + 60], show[ERR_TEXT], when[16];
    int n = snprintf(line, sizeof line, "%.8s %s%s%s\n", event_time(ev, when), ev->guest, ev->guest[0] ? " " : "",
                     text_show(show, sizeof show, ev->text));

    prompt_print(true, line, (size_t)n);
}

static void on_event(void *opaque, const struct event *ev)
{
    struct line_mode *m = opaque;

    if (m->attach) {
        if (strcmp(ev->guest, attach_guest(m->attach)->c->name) != 0 || ev->kind == EV_CONFIG)
            return;
        attach_check(m->attach); /* its last words first; that may be the end of it */
        if (m->attach && ev->kind == EV_STATE && strncmp(ev->text, "is running", 10) == 0)
            return;
    }
    if (m->attach)
        prompt_print(true, "\r\n", 2);
    print_event(ev);
    if (m->attach)
        prompt_print(true, "\r", 1);
}

static void on_quit(void *opaque)
{
    struct line_mode *m = opaque;

    prompt_hide();
    attach_free(m->attach);
    m->attach = NULL;
}

void line_mode_signal(struct line_mode *m, int sig)
{
    switch (sig) {
    case SIGINT:
        if (m->asking) {
            prompt_hide();
            prompt_print(true, "\n", 1);
            on_line(m, "n");
        } else if (m->run)
            cmd_cancel(m->run);
        else
            prompt_interrupt();
        break;
    case SIGWINCH:
        prompt_resize();
        if (m->attach)
            attach_resize(m->attach);
        break;
    case SIGTSTP:
        prompt_hide();
        term_suspend();
        show_prompt(m);
        break;
    }
}

bool line_mode_attached(const struct line_mode *m)
{
    return m->attach != NULL;
}

struct line_mode *line_mode_new(struct session *s, const char *attach, struct err *e)
{
    struct line_mode *m = calloc(1, sizeof *m);
    struct session_listener l = {.event = on_event, .quit = on_quit, .opaque = m};
    struct cmd_client out = {.write = client_write, .done = output_done, .opaque = m};
    struct guest *g = attach ? session_guest(s, attach) : NULL;

    if (!m) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    m->session = s;
    prompt_open(s, on_line, m, e);
    session_listen(s, &l);
    session_set_attach(s, on_attach, m);
    session_set_output(s, &out);
    m->quit_with_guest = g != NULL;
    if (!g)
        show_prompt(m);
    else if (begin_attach(m, g, CONSOLE_SERIAL0, e) < 0) {
        line_mode_free(m);
        return NULL;
    }
    return m;
}

void line_mode_free(struct line_mode *m)
{
    if (!m)
        return;
    on_quit(m);
    prompt_close();
    session_unlisten(m->session, m);
    session_set_attach(m->session, NULL, NULL);
    term_restore();
    free(m);
}
