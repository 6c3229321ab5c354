/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * main: puts the parts together: options, engines, the lab, the control socket, and who gives
 * the commands: a script, a person at the prompt, or nobody (--headless).
 *
 * Signals are blocked in every thread, since they are blocked here before the first one is made; main's loop lets
 * them through.
 */
#include "core/accel.h"
#include "core/batch.h"
#include "core/board.h"
#include "core/cmd.h"
#include "core/ctl.h"
#include "core/doctor.h"
#include "core/fence.h"
#include "core/held.h"
#include "core/images.h"
#include "core/lab_words.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/nettap.h"
#include "core/options.h"
#include "core/sandbox.h"
#include "core/script.h"
#include "core/session.h"
#include "core/slice.h"
#include "core/text.h"
#include "core/units.h"
#include "devices/blkcreate.h"
#include "ui/line_mode.h"
#include "ui/screen.h"
#include "ui/term.h"
#include "ui/ui.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef RUCHE_VERSION
#define RUCHE_VERSION "?"
#endif

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* Best first. */
static const struct accel_ops *const engines[] = {&accel_kvm, &accel_soft, NULL};
static const struct accel_ops *const copies[] = {&accel_soft_1, &accel_soft_2, &accel_soft_3, &accel_soft_4,
                                                 &accel_soft_5, &accel_soft_6, &accel_soft_7, NULL};

struct app {
    struct options o;
    struct session *session;
    struct ctl_server *ctl;
    struct script *script;
    struct batch *batch;
    struct line_mode *ui;
    struct ui *screen;
    struct loop_fd *signals;
    bool interactive, settled;
    char guest[VM_NAME_MAX + 1]; /* of `ruche run` */
};

static int complain(const struct err *e, int status)
{
    fprintf(stderr, "ruche: %s\n", e->msg);
    return status;
}

/* Labs. */

static int lint(const char *path)
{
    struct text said = {0};
    struct lab_host host;
    struct diags *d;
    struct lab *lab;
    bool ok;

    lab_host_measure(&host);
    lab = lab_load(path, &host, &d);
    ok = lab != NULL;
    if (d)
        diags_print(d, &said);
    fputs(text_str(&said), stderr);
    text_free(&said);
    diags_free(d);
    lab_free(lab);
    return ok ? 0 : EXIT_FAILED;
}

/* A guest's name from the name of its kernel: `./a b.elf` is a-b. */
static void guest_name(const struct options *o, char out[VM_NAME_MAX + 1])
{
    const char *slash = strrchr(o->lab, '/'), *base = slash ? slash + 1 : o->lab;
    size_t n = 0;

    if (o->name) {
        snprintf(out, VM_NAME_MAX + 1, "%s", o->name);
        return;
    }
    for (; base[n] && base[n] != '.' && n < VM_NAME_MAX; n++)
        out[n] = strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", base[n]) ? base[n] : '-';
    out[n] = '\0';
    if (lab_check_name("", out, NULL) < 0)
        strcpy(out, "guest");
}

static struct lab *run_lab(struct app *a, const struct lab_host *host, struct err *e)
{
    struct options *o = &a->o;
    char *words[OPTIONS_ITEMS_MAX + 1], *kernel = NULL;
    struct lab *lab = NULL;

    guest_name(o, a->guest);
    if (lab_check_name("a guest's name", o->name ? o->name : a->guest, e) < 0)
        return NULL;
    if (asprintf(&kernel, "kernel=%s", o->lab) < 0) {
        err_set(e, ENOMEM, "out of memory");
        return NULL;
    }
    words[0] = kernel;
    memcpy(words + 1, o->words, o->nwords * sizeof *words);
    lab = lab_from_words(a->guest, words, o->nwords + 1, host, e);
    if (lab)
        snprintf(lab->name, sizeof lab->name, "%s", a->guest);
    free(kernel);
    return lab;
}

/* While the privileges are there: what guests need each time they start, and no check has opened; a raw disk that only
 * privilege can make is made. */
static int hold_files(const struct lab *lab, struct err *e)
{
    images_hold();
    for (unsigned i = 0; i < lab->nguests; i++) {
        const struct vm_config *c = &lab->guests[i].c;

        held_add(c->initrd, O_RDONLY);
        for (const struct disk_config *d = c->disks; d < c->disks + c->ndisks; d++) {
            int fd;

            if (d->mode != DISK_RAW || !d->size_bytes || !held_only_makes(d->path))
                continue;
            sandbox_any_file(true);
            fd = blkcreate_raw(d, e);
            sandbox_any_file(false);
            if (fd < 0)
                return fd;
            close(fd);
            held_add(d->path, O_RDWR);
        }
    }
    return 0;
}

/* The lab asked for, after saying what is wrong with it. *status is set if it is refused. */
static struct lab *open_lab(struct app *a, int *status)
{
    struct text said = {0};
    struct lab_host host;
    struct lab *lab;
    struct diags *d;
    struct err e;

    lab_host_measure(&host);
    *status = EXIT_FAILED;
    if (a->o.mode == MODE_RUN) {
        lab = run_lab(a, &host, &e);
        if (!lab)
            complain(&e, 0);
        return lab;
    }
    if (!a->o.lab)
        return lab_new(a->o.name ? a->o.name : "ruche");
    lab = lab_load(a->o.lab, &host, &d);
    if (d)
        diags_print(d, &said);
    fputs(text_str(&said), stderr);
    text_free(&said);
    diags_free(d);
    return lab;
}

/* Output of scripts. */

static void write_std(void *opaque, enum cmd_stream to, const char *text, size_t len)
{
    struct app *a = opaque;

    if (to != CMD_OUT) {
        fprintf(stderr, "%.*s", (int)len, text);
    } else if (fwrite(text, 1, len, stdout) != len || fflush(stdout) != 0) {
        if (!session_quitting(a->session))
            fprintf(stderr, "ruche: standard output cannot be written: %s\n", strerror(errno));
        session_quit(a->session, EXIT_FAILED);
    }
}

static void write_batch(void *opaque, const char *text, size_t len)
{
    write_std(opaque, CMD_OUT, text, len);
}

static void batch_done(void *opaque)
{
    struct app *a = opaque;

    session_quit(a->session, 0);
}

static void nothing_done(void *opaque, int status)
{
    (void)opaque;
    (void)status;
}

/* Where there is nobody to look, only what went wrong is told. */
static void on_event(void *opaque, const struct event *ev)
{
    char show[ERR_TEXT];

    (void)opaque;
    if (ev->kind == EV_FAILED || ev->kind == EV_DEVICE || strncmp(ev->text, "is crashed", 10) == 0)
        fprintf(stderr, "ruche: %s%s%s\n", ev->guest, ev->guest[0] ? " " : "",
                text_show(show, sizeof show, ev->text));
}

/* The console: full-screen where the terminal can, else a prompt. */
static int open_console(struct app *a, struct err *e)
{
    struct ui_params p = {.ascii = a->o.ascii, .readonly = a->o.readonly, .theme = a->o.theme};

    if (a->o.readonly && (a->o.plain || !screen_possible()))
        return err_set(e, ENOTTY, "--readonly is for the full-screen console, and this terminal has none");
    if (!a->o.plain && screen_possible())
        a->screen = ui_new(a->session, &p, e);
    else
        a->ui = line_mode_new(a->session, NULL, e);
    return a->screen || a->ui ? 0 : -1;
}

static void script_ended(void *arg, int status)
{
    struct app *a = arg;
    struct err e;

    if (status != CMD_DONE || (!a->o.headless && !a->interactive)) {
        session_quit(a->session, status);
    } else if (a->interactive) {
        session_unlisten(a->session, a->guest);
        if (open_console(a, &e) < 0)
            session_quit(a->session, complain(&e, EXIT_FAILED));
    } else {
        session_quit_when_idle(a->session);
    }
}

/* Scripts begin when all guests of the lab are there. */
static void check_settled(void *arg)
{
    struct app *a = arg;
    unsigned failed;
    char kept[200];

    if (a->settled || !session_settled(a->session, &failed))
        return;
    a->settled = true;
    if (a->screen) {
        sandbox_describe(kept, sizeof kept);
        session_event(a->session, EV_SESSION, NULL, "may still do: %s", kept);
    }
    if (failed && !a->interactive && !a->ui && !a->screen) {
        session_quit(a->session, EXIT_FAILED);
    } else if (a->script) {
        script_go(a->script);
    } else if (a->o.headless) {
        session_quit_when_idle(a->session);
    }
}

static void on_any_event(void *opaque, const struct event *ev)
{
    struct app *a = opaque;

    (void)ev;
    if (!a->settled) /* in a turn of its own: this may be the middle of a start */
        loop_post(session_loop(a->session), check_settled, a);
}

/* Signals: main's loop lets them through while it waits, and the handler tells it by a pipe. With a signalfd the kernel
 * would wake main at each signal of the process, those that end a KVM_RUN too. */

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP};
static int signal_pipe[2] = {-1, -1};

static void caught(int sig)
{
    const uint8_t b = (uint8_t)sig;
    const int saved = errno;

    if (write(signal_pipe[1], &b, 1) < 0) {
        /* full: main has enough to do */
    }
    errno = saved;
}

static void on_signal(void *arg, uint32_t events)
{
    struct app *a = arg;
    uint8_t sig;

    (void)events;
    if (read(signal_pipe[0], &sig, 1) != 1)
        return;
    switch (sig) {
    case SIGWINCH:
    case SIGTSTP:
        if (a->ui)
            line_mode_signal(a->ui, sig);
        else if (a->screen)
            ui_signal(a->screen, sig);
        else if (sig == SIGTSTP)
            raise(SIGSTOP);
        break;
    case SIGINT:
        if (a->ui && isatty(0) && isatty(1)) {
            line_mode_signal(a->ui, SIGINT);
            break;
        } /* fall through */
    default:
        log_msg(LOG_INFO, "ended by SIG%s", sigabbrev_np(sig));
        session_quit(a->session, 128 + sig);
    }
}

static sigset_t signal_set(void)
{
    sigset_t set;

    sigemptyset(&set);
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaddset(&set, signals[i]);
    return set;
}

static int catch_signals(void)
{
    const struct sigaction sa = {.sa_handler = caught};
    const sigset_t set = signal_set();

    if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction was;

        if (sigaction(signals[i], NULL, &was) == 0 && (signals[i] != SIGHUP || was.sa_handler != SIG_IGN)) /* nohup(1) */
            sigaction(signals[i], &sa, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

/* What this instance may reach from now on. */
static void close_fence(const struct app *a, const struct lab *lab)
{
    struct err e;

    for (unsigned i = 0; i < a->o.nallow; i++)
        fence_allow(a->o.allow[i], FENCE_WRITE);
    for (unsigned i = 0; i < a->o.nitems; i++) {
        if (a->o.item[i].is_file)
            fence_allow_beside(a->o.item[i].text, FENCE_READ);
        else
            fence_allow_words(a->o.item[i].text);
    }
    if (a->o.socket && strchr(a->o.socket, '/'))
        fence_allow_beside(a->o.socket, FENCE_WRITE);
    fence_allow_beside(a->o.log, FENCE_WRITE);
    fence_allow_lab(lab);
    if (fence_close(&e) < 0)
        log_msg(LOG_INFO, "%s", e.msg);
}

/* A session. */

/* Values that would be found wrong too late, or never. */
static int check_values(const struct options *o, struct err *e)
{
    struct stat st;

    if (o->name && lab_check_name("the name of an instance", o->name, e) < 0)
        return -EINVAL;
    for (unsigned i = 0; i < o->nallow; i++) {
        if (stat(o->allow[i], &st) < 0)
            return err_set(e, errno, "`%s` cannot be allowed: %s; make that directory first", o->allow[i], strerror(errno));
    }
    return 0;
}

static int make_session(struct app *a, struct err *e)
{
    struct session_params p = {.accel = a->o.accel, .board = &pc_board, .name = a->o.name};
    struct cmd_client out = {.write = write_std, .done = nothing_done, .opaque = a};
    struct session_listener settle = {.event = on_any_event, .opaque = a};
    const sigset_t set = signal_set();
    struct err dropped;
    int status = EXIT_FAILED;
    struct lab *lab;

    if (check_values(&a->o, e) < 0)
        return complain(e, EXIT_FAILED);
    lab = open_lab(a, &status);
    if (!lab)
        return status;
    status = hold_files(lab, e);
    close_fence(a, lab);
    if (status == 0)
        status = nettap_open_lab(lab, e);
    if (sandbox_no_capabilities(&dropped) < 0)
        log_msg(LOG_WARN, "%s", dropped.msg);
    if (status < 0) {
        lab_free(lab);
        return complain(e, EXIT_FAILED);
    }
    memcpy(p.engines, engines, sizeof engines);
    p.copies = copies;
    p.lab = lab;
    a->session = session_new(&p, e);
    lab_free(lab);
    if (!a->session)
        return complain(e, EXIT_FAILED);
    if (session_engine_note(a->session)[0])
        fprintf(stderr, "ruche: guests run on %s, for %s; `ruche doctor` tells more\n",
                session_engine(a->session)->name, session_engine_note(a->session));
    session_listen(a->session, &settle);
    session_set_output(a->session, &out);
    a->signals = loop_add_fd(session_loop(a->session), signal_pipe[0], EPOLLIN, on_signal, a, e);
    loop_let_through(session_loop(a->session), &set);
    return a->signals ? 0 : complain(e, EXIT_FAILED);
}

static int make_script(struct app *a, struct err *e)
{
    struct cmd_client out = {.write = write_std, .done = nothing_done, .opaque = a};
    bool from_stdin = !a->o.nitems && !a->o.headless && !a->interactive && a->o.mode == MODE_LAB;

    if (!a->o.nitems && !from_stdin)
        return 0;
    a->script = script_new(a->session, &out, script_ended, a, e);
    if (!a->script || (from_stdin && script_add_file(a->script, "-", e) < 0))
        return -1;
    for (unsigned i = 0; i < a->o.nitems; i++) {
        const struct options_item *it = &a->o.item[i];

        if ((it->is_file ? script_add_file : script_add_line)(a->script, it->text, e) < 0)
            return -1;
    }
    return 0;
}

static int make_batch(struct app *a, struct err *e)
{
    struct batch_params p = {
        .csv = a->o.csv, .interval_ns = 1000000000, .write = write_batch, .done = batch_done, .opaque = a};

    if (!a->o.batch)
        return 0;
    if ((a->o.interval && units_duration(a->o.interval, &p.interval_ns, e) < 0) ||
        (a->o.count && units_uint(a->o.count, "--count", 1, UINT64_MAX, &p.count, e) < 0))
        return -1;
    if (p.interval_ns < 100000000)
        return err_set(e, EINVAL, "--interval `%s` is too short: 100ms is the least", a->o.interval);
    a->batch = batch_new(a->session, &p, e);
    return a->batch ? 0 : -1;
}

static int make_ui(struct app *a, struct err *e)
{
    struct session_listener quiet = {.event = on_event, .opaque = a->guest};
    bool attach = a->o.mode == MODE_RUN && !a->o.headless && !a->o.nitems;

    if (a->script || (!a->interactive && !attach)) {
        session_listen(a->session, &quiet);
        return 0;
    }
    if (!attach)
        return open_console(a, e);
    a->ui = line_mode_new(a->session, a->guest, e);
    return a->ui ? 0 : -1;
}

/* `ruche run` ends as its guest did. */
static int run_status(const struct app *a, int status)
{
    struct guest *g = a->o.mode == MODE_RUN ? session_guest(a->session, a->guest) : NULL;

    if (g && (status == 0 || status == 3) && vm_exit_code(g->vm) >= 0)
        return vm_exit_code(g->vm) & 0xff;
    if (g && status == 0 && vm_state(g->vm) == VM_CRASHED)
        return 3;
    return status;
}

/* A vCPU takes four files under KVM; the usual limit would do for some thirty guests. */
static void allow_files(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_NOFILE, &l);
    }
}

static int run(struct app *a)
{
    struct err e = {0};
    int status;

    a->o.headless |= a->o.batch;
    a->interactive = a->o.interactive || (!a->o.headless && !a->o.nitems && isatty(0) && isatty(1));
    if (a->o.interactive && (!isatty(0) || !isatty(1))) {
        err_set(&e, ENOTTY, "--interactive needs a terminal");
        return complain(&e, EXIT_USAGE);
    }
    if (a->o.log && (status = log_open(a->o.log, LOG_INFO)) < 0) {
        err_set(&e, -status, "log `%s` cannot be written: %s", a->o.log, strerror(-status));
        return complain(&e, EXIT_FAILED);
    }
    if ((status = catch_signals()) < 0) {
        err_set(&e, -status, "no pipe for signals: %s", strerror(-status));
        return complain(&e, EXIT_FAILED);
    }
    allow_files();
    slice_ask(0, SLICE_SERVES_NS); /* all threads have it from here; vCPUs ask for others */
    slice_first(); /* the governor keeps that; we have the privilege now or never */
    term_init();
    if (sandbox_process(&e) < 0)
        log_msg(LOG_WARN, "%s", e.msg);
    status = make_session(a, &e);
    if (status)
        return status;
    a->ctl = ctl_server_new(a->session, a->o.socket, &e);
    if (!a->ctl && a->o.socket)
        return complain(&e, EXIT_FAILED);
    if (!a->ctl)
        fprintf(stderr, "ruche: no control socket: %s\n", e.msg);
    if (make_script(a, &e) < 0 || make_batch(a, &e) < 0 || make_ui(a, &e) < 0)
        return complain(&e, EXIT_FAILED);
    session_start_lab(a->session);
    check_settled(a);
    return run_status(a, session_run(a->session));
}

static void app_fini(struct app *a)
{
    script_free(a->script);
    batch_free(a->batch);
    line_mode_free(a->ui);
    ui_free(a->screen);
    ctl_server_free(a->ctl);
    if (a->session)
        loop_del_fd(a->signals);
    session_free(a->session);
    options_fini(&a->o);
    log_close();
}

static int doctor(void)
{
    struct text t = {0};
    bool ok = doctor_examine(engines, &t);

    fputs(text_str(&t), stdout);
    text_free(&t);
    return ok ? 0 : EXIT_FAILED;
}

static int man(void)
{
    struct text t = {0};

    cmd_help_man(&t);
    fputs(text_str(&t), stdout);
    text_free(&t);
    return 0;
}

int main(int argc, char **argv)
{
    struct app a = {0};
    struct err e = {0};
    int status;

    setlocale(LC_CTYPE, "");
    if (options_parse(&a.o, argc, argv, &e) < 0) {
        options_fini(&a.o);
        return complain(&e, EXIT_USAGE);
    }
    switch (a.o.mode) {
    case MODE_HELP:
        fputs(options_help, stdout);
        return 0;
    case MODE_VERSION:
        puts("ruche " RUCHE_VERSION);
        return 0;
    case MODE_MAN:
        return man();
    case MODE_LINT:
        return lint(a.o.lab);
    case MODE_DOCTOR:
        return doctor();
    case MODE_CTL:
        status = ctl_client(a.o.socket, a.o.json, a.o.words, a.o.nwords);
        options_fini(&a.o);
        return status;
    default:
        status = run(&a);
        app_fini(&a);
        return status;
    }
}
